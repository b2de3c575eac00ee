#include <inttypes.h>
#include <string.h>

#include "stage/stage.h"

int lutra_stage_check_head(const struct lutra_pipeline *pipeline,
                           const struct lutra_envelope *envelope,
                           const Lutra__BatchHead *head,
                           struct lutra_error *err)
{
    if (strcmp(head->pipeline, pipeline->id) != 0) {
        return lutra_error_set(err, LUTRA_DATA, 0, "a batch of pipeline %s in a topic of %s",
                               head->pipeline, pipeline->id);
    }
    if (head->epoch != envelope->epoch || head->process_id != envelope->process_id ||
        strcmp(head->nonce, envelope->nonce) != 0 ||
        head->config_version != envelope->config_version) {
        return lutra_error_set(err, LUTRA_DATA, 0,
                               "process %" PRIu64 " epoch %" PRIu64 " nonce %s config %" PRIu64
                               " stands in a message of process %" PRIu64 " epoch %" PRIu64
                               " nonce %s config %" PRIu64,
                               head->process_id, head->epoch, head->nonce, head->config_version,
                               envelope->process_id, envelope->epoch, envelope->nonce,
                               envelope->config_version);
    }
    return 0;
}

int lutra_stage_pack(const Lutra__ChangeBatch *batch,
                     struct lutra_buf *out,
                     struct lutra_error *err)
{
    size_t len = lutra__change_batch__get_packed_size(batch);
    if (len > LUTRA_WIRE_MAX_BYTES) {
        return lutra_error_set(err, LUTRA_DATA, 0, "the batch becomes %zu bytes, at most %u", len,
                               LUTRA_WIRE_MAX_BYTES);
    }
    lutra_buf_reserve(out, len);
    out->len += lutra__change_batch__pack(batch, out->data + out->len);
    return 0;
}
