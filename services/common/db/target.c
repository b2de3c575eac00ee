#include "db/target.h"

#include "base/mem.h"

void lutra_ring_fini(struct lutra_ring *ring)
{
    for (size_t i = 0; i < ring->n; i++) {
        lutra_free(ring->slots[i].from);
        lutra_free(ring->slots[i].to);
        lutra_free(ring->slots[i].low);
    }
    *ring = (struct lutra_ring){0};
}

void lutra_epoch_check_fini(struct lutra_epoch_check *check)
{
    if (check->free) {
        check->free(check->arg);
    }
    *check = (struct lutra_epoch_check){0};
}

void lutra_target_prepare(struct lutra_target *target, lutra_target_fn done, void *arg)
{
    target->ops->prepare(target, done, arg);
}

void lutra_target_make_epoch(struct lutra_target *target,
                             uint64_t control_epoch,
                             uint64_t mine,
                             const char *nonce,
                             struct lutra_epoch_check check,
                             void (*done)(const struct lutra_ring *ring,
                                          uint64_t fence,
                                          const struct lutra_error *err,
                                          void *arg),
                             void *arg)
{
    target->ops->make_epoch(target, control_epoch, mine, nonce, check, done, arg);
}

void lutra_target_begin(struct lutra_target *target, const struct lutra_unit_begin *unit)
{
    target->ops->begin(target, unit);
}

void lutra_target_apply(struct lutra_target *target,
                        const Lutra__ChangeBatch *batch,
                        lutra_target_fn done,
                        void *arg)
{
    target->ops->apply(target, batch, done, arg);
}

void lutra_target_commit(struct lutra_target *target,
                         const struct lutra_unit_end *end,
                         lutra_target_fn done,
                         void *arg)
{
    target->ops->commit(target, end, done, arg);
}

void lutra_target_rollback(struct lutra_target *target, lutra_target_fn done, void *arg)
{
    target->ops->rollback(target, done, arg);
}

void lutra_target_close(struct lutra_target *target)
{
    target->ops->close(target);
}

void lutra_target_free(struct lutra_target *target)
{
    if (target) {
        target->ops->free(target);
    }
}

void lutra_target_stats_get(const struct lutra_target *target, struct lutra_target_stats *stats)
{
    target->ops->stats(target, stats);
}
