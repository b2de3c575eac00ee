#include <inttypes.h>
#include <string.h>

#include "stage/stage.h"

static int foreign(const struct lutra_envelope *envelope, struct lutra_error *err)
{
    err->code = LUTRA_STAGE_FOREIGN;
    return lutra_error_wrap(err, "a message of process %" PRIu64, envelope->process_id);
}

static int check_head(const struct lutra_pipeline *pipeline,
                      const struct lutra_envelope *envelope,
                      const Lutra__BatchHead *head,
                      struct lutra_error *err)
{
    if (strcmp(head->pipeline, pipeline->id) != 0) {
        lutra_error_set(err, LUTRA_DATA, 0, "a batch of pipeline %s in a topic of %s",
                        head->pipeline, pipeline->id);
        return foreign(envelope, err);
    }
    if (head->epoch != envelope->epoch || head->process_id != envelope->process_id ||
        strcmp(head->nonce, envelope->nonce) != 0 ||
        head->config_version != envelope->config_version) {
        lutra_error_set(err, LUTRA_DATA, 0,
                        "process %" PRIu64 " epoch %" PRIu64 " nonce %s config %" PRIu64
                        " stands in a message of process %" PRIu64 " epoch %" PRIu64
                        " nonce %s config %" PRIu64,
                        head->process_id, head->epoch, head->nonce, head->config_version,
                        envelope->process_id, envelope->epoch, envelope->nonce,
                        envelope->config_version);
        return foreign(envelope, err);
    }
    return 0;
}

Lutra__RawBatch *lutra_stage_raw_batch(const struct lutra_pipeline *pipeline,
                                       const struct lutra_envelope *envelope,
                                       const uint8_t *payload,
                                       size_t len,
                                       struct lutra_arena *arena,
                                       struct lutra_error *err)
{
    Lutra__RawBatch *batch = lutra_wire_raw_batch(arena, payload, len, err);
    if (!batch) {
        (void)foreign(envelope, err);
        return NULL;
    }
    return check_head(pipeline, envelope, batch->head, err) ? NULL : batch;
}

Lutra__ChangeBatch *lutra_stage_change_batch(const struct lutra_pipeline *pipeline,
                                             const struct lutra_envelope *envelope,
                                             const uint8_t *payload,
                                             size_t len,
                                             struct lutra_arena *arena,
                                             struct lutra_error *err)
{
    Lutra__ChangeBatch *batch = lutra_wire_change_batch(arena, payload, len, err);
    if (!batch) {
        (void)foreign(envelope, err);
        return NULL;
    }
    return check_head(pipeline, envelope, batch->head, err) ? NULL : batch;
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
