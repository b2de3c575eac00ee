#include "load/batch.h"

#include <string.h>

#include "base/mem.h"
#include "model/wire.h"

static int batch_check(const struct lutra_envelope *envelope,
                       const Lutra__BatchHead *head,
                       struct lutra_error *err)
{
    if (head->process_id != envelope->process_id || head->epoch != envelope->epoch ||
        strcmp(head->nonce, envelope->nonce) != 0) {
        return lutra_error_set(
            err, LUTRA_DATA, 0,
            "process %lu epoch %lu nonce %s stands in a message of process %lu epoch "
            "%lu nonce %s",
            head->process_id, head->epoch, head->nonce, envelope->process_id, envelope->epoch,
            envelope->nonce);
    }
    return 0;
}

struct ldr_batch *ldr_batch_new(const struct lutra_envelope *envelope,
                                const uint8_t *payload,
                                size_t len,
                                int64_t offset,
                                struct lutra_error *err)
{
    struct lutra_arena *arena = lutra_arena_new(0);
    const Lutra__ChangeBatch *change = lutra_wire_change_batch(arena, payload, len, err);
    if (change == NULL || batch_check(envelope, change->head, err)) {
        lutra_arena_free(arena);
        return NULL;
    }
    struct ldr_batch *batch = LUTRA_NEW(struct ldr_batch);
    batch->refs = 1;
    batch->process_id = envelope->process_id;
    batch->offset = offset;
    batch->ts_select_us = envelope->ts_us[LUTRA_STAGE_SELECT];
    batch->arena = arena;
    batch->change = change;
    batch->size_bytes = lutra_arena_used_bytes(arena) + sizeof *batch;
    for (size_t i = 0; i < change->n_groups; i++) {
        batch->rows += change->groups[i]->n_rows;
    }
    if (change->head->n_transactions > 0) {
        batch->commit_us = change->head->transactions[change->head->n_transactions - 1]->commit_us;
    }
    return batch;
}

struct ldr_batch *ldr_batch_ref(struct ldr_batch *batch)
{
    batch->refs++;
    return batch;
}

void ldr_batch_unref(struct ldr_batch *batch)
{
    if (batch == NULL || --batch->refs > 0) {
        return;
    }
    lutra_arena_free(batch->arena);
    lutra_free(batch);
}
