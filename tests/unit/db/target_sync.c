#include "target_sync.h"

#include "base/mem.h"

enum { PATIENCE_MS = 120000 };

static unsigned completions;

void answer_done(const struct lutra_error *err, void *arg)
{
    struct answer *answer = arg;
    LUTRA_ASSERT(!answer->done);
    answer->done = true;
    answer->order = ++completions;
    if (err) {
        answer->err = *err;
    }
}

void answer_epoch(const struct lutra_ring *ring,
                  uint64_t fence,
                  const struct lutra_error *err,
                  void *arg)
{
    struct answer *answer = arg;
    if (!err) {
        answer->fence = fence;
        answer->ring = *ring;
        for (size_t i = 0; i < ring->n; i++) {
            answer->ring.slots[i].from = lutra_strdup(ring->slots[i].from);
            answer->ring.slots[i].to = lutra_strdup(ring->slots[i].to);
            answer->ring.slots[i].low = lutra_strdup(ring->slots[i].low);
        }
    }
    answer_done(err, arg);
}

static bool is_done(void *arg)
{
    return ((struct answer *)arg)->done;
}

bool answer_wait(struct lutra_loop *loop, struct answer *answer, uint64_t timeout_ms)
{
    return lutra_loop_run_until(loop, is_done, answer, timeout_ms);
}

void answer_fini(struct answer *answer)
{
    lutra_ring_fini(&answer->ring);
}

static enum lutra_error_class
finish(struct lutra_loop *loop, struct answer *answer, struct lutra_error *err)
{
    LUTRA_ASSERT(answer_wait(loop, answer, PATIENCE_MS));
    if (err) {
        *err = answer->err;
    }
    return answer->err.class;
}

enum lutra_error_class
sync_prepare(struct lutra_loop *loop, struct lutra_target *target, struct lutra_error *err)
{
    struct answer answer = {0};
    lutra_target_prepare(target, answer_done, &answer);
    return finish(loop, &answer, err);
}

uint64_t sync_epoch(struct lutra_loop *loop,
                    struct lutra_target *target,
                    uint64_t control_epoch,
                    uint64_t mine,
                    struct lutra_error *err)
{
    struct answer answer = {0};
    lutra_target_make_epoch(target, control_epoch, mine, "0123456789abcdef",
                            (struct lutra_epoch_check){0}, answer_epoch, &answer);
    (void)finish(loop, &answer, err);
    answer_fini(&answer);
    return answer.fence;
}

enum lutra_error_class sync_apply(struct lutra_loop *loop,
                                  struct lutra_target *target,
                                  const Lutra__ChangeBatch *batch,
                                  struct lutra_error *err)
{
    struct answer answer = {0};
    lutra_target_apply(target, batch, answer_done, &answer);
    return finish(loop, &answer, err);
}

enum lutra_error_class sync_commit(struct lutra_loop *loop,
                                   struct lutra_target *target,
                                   const char *to,
                                   uint64_t process_id,
                                   struct lutra_error *err)
{
    struct answer answer = {0};
    struct lutra_unit_end end = {.to = to, .process_id = process_id, .source_identity = "here"};
    lutra_target_commit(target, &end, answer_done, &answer);
    return finish(loop, &answer, err);
}

enum lutra_error_class
sync_rollback(struct lutra_loop *loop, struct lutra_target *target, struct lutra_error *err)
{
    struct answer answer = {0};
    lutra_target_rollback(target, answer_done, &answer);
    return finish(loop, &answer, err);
}

void unit_begin(struct lutra_target *target, uint64_t fence, uint64_t unit, uint64_t previous)
{
    struct lutra_unit_begin begin = {.slot = (uint32_t)(unit % LUTRA_RING_SLOTS),
                                     .previous_unit = previous,
                                     .unit = unit,
                                     .fence = fence,
                                     .low = "binlog.000001:4;",
                                     .low_process_id = unit - 1,
                                     .from = "binlog.000001:4;"};
    lutra_target_begin(target, &begin);
}

enum lutra_error_class sync_unit(struct lutra_loop *loop,
                                 struct lutra_target *target,
                                 uint64_t fence,
                                 uint64_t unit,
                                 uint64_t previous,
                                 const Lutra__ChangeBatch *batch,
                                 struct lutra_error *err)
{
    unit_begin(target, fence, unit, previous);
    enum lutra_error_class class = sync_apply(loop, target, batch, err);
    if (class == LUTRA_OK) {
        class = sync_commit(loop, target, "binlog.000001:100;", unit, err);
    }
    if (class != LUTRA_OK) {
        (void)sync_rollback(loop, target, NULL);
    }
    return class;
}
