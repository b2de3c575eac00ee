/* When an epoch ends: by a higher one, or by a batch that cannot be worked on.
 *
 * A stopped pipeline goes on reading, since only so it sees the next epoch. What it reads of the
 * stopped one is refused without being kept, and the commit stays before the first of it: should
 * this process die before the ROLLBACK was heard, its successor reads the same batch, and asks for
 * the same. */
#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "stage/stage_private.h"

enum { REQUEST_REPEAT_MS = 5000 };

static void
on_requested(enum lutra_request_outcome outcome, const struct lutra_control *control, void *arg)
{
    struct stg_pipeline *p = arg;
    (void)control;
    LUTRA_ASSERT(p->magic == STG_PIPELINE_MAGIC);
    p->requesting = false;
    switch (outcome) {
    case LUTRA_REQUEST_DONE:
    case LUTRA_REQUEST_COALESCED:
        break; /* the next epoch will come */
    case LUTRA_REQUEST_YIELDED:
    case LUTRA_REQUEST_FAILED:
        lutra_timer_start(p->request_timer, REQUEST_REPEAT_MS);
        break;
    }
}

void stg_request_timer_cb(void *arg)
{
    struct stg_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == STG_PIPELINE_MAGIC);
    if ((p->stopped || p->lost) && !p->requesting) {
        p->requesting = true;
        lutra_request_send(p->engine->env->coord, p->id, &p->request, on_requested, p);
    }
}

/* Drops what has not been worked on yet; what is on its way to the next topic does no harm. */
static void abandon_inputs(struct stg_pipeline *p)
{
    for (size_t i = 0; i < p->n_partitions; i++) {
        struct stg_item *item, *tmp;
        if (!p->partitions[i]) {
            continue;
        }
        DL_FOREACH_SAFE(p->partitions[i]->items, item, tmp)
        {
            if (item->state == STG_HELD || item->state == STG_QUEUED) {
                p->refused++;
                stg_item_abandon(item);
            }
        }
    }
}

void stg_stop(struct stg_item *item, const struct lutra_error *err)
{
    struct stg_pipeline *p = item->partition->pipeline;
    const char *stage = lutra_stage_name(p->engine->desc.stage);
    LUTRA_ERROR("stage.stopped", LUTRA_F_STR("pipeline", p->id), LUTRA_F_U64("epoch", p->epoch),
                LUTRA_F_U64("process", item->envelope.process_id), LUTRA_F_ERR(err));
    lutra_counter_add(p->c_failed, 1);
    bool first = !p->stopped;
    if (first) {
        p->stopped = true;
        lutra_gauge_set(p->g_stopped, 1);
        (void)snprintf(p->last_error, sizeof p->last_error, "process %" PRIu64 ": %.470s",
                       item->envelope.process_id, err->msg);
        p->request =
            (struct lutra_request){.kind = LUTRA_REQUEST_ROLLBACK, .about_epoch = p->epoch};
        (void)snprintf(p->request.reason, sizeof p->request.reason, "%s: %.490s", stage,
                       p->last_error);
        (void)snprintf(p->request.by, sizeof p->request.by, "%s/%s", stage,
                       p->engine->env->instance);
        lutra_timer_start(p->request_timer, 0);
    }
    p->refused++;
    stg_item_abandon(item);
    abandon_inputs(p);
}

void stg_lost(struct stg_pipeline *p, const char *reason)
{
    const char *stage = lutra_stage_name(p->engine->desc.stage);
    if (p->epoch == 0 || p->stopped || p->lost) {
        return; /* nothing was under way; or it is asked for already */
    }
    p->lost = true;
    (void)snprintf(p->last_error, sizeof p->last_error, "%s", reason);
    p->request = (struct lutra_request){.kind = LUTRA_REQUEST_RESTART, .about_epoch = p->epoch};
    (void)snprintf(p->request.reason, sizeof p->request.reason, "%s: %.490s", stage, reason);
    (void)snprintf(p->request.by, sizeof p->request.by, "%s/%s", stage, p->engine->env->instance);
    LUTRA_WARN("stage.lost", LUTRA_F_STR("pipeline", p->id), LUTRA_F_U64("epoch", p->epoch),
               LUTRA_F_STR("reason", reason));
    lutra_timer_start(p->request_timer, 0);
}

void stg_new_epoch(struct stg_pipeline *p, uint64_t epoch)
{
    uint64_t dropped = p->n_items;
    p->epoch = epoch;
    p->last_process_id = 0;
    p->stopped = p->lost = false;
    p->requesting = false;
    p->last_error[0] = '\0';
    lutra_gauge_set(p->g_stopped, 0);
    lutra_timer_stop(p->request_timer);
    lutra_request_forget(p->engine->env->coord, p);
    p->stale += dropped;
    lutra_counter_add(p->c_stale, dropped);
    for (size_t i = 0; i < p->n_partitions; i++) {
        struct stg_partition *part = p->partitions[i];
        if (!part) {
            continue;
        }
        lutra_assembler_drop_below(part->assembler, epoch);
        part->refused_offset = -1;
        while (part->items) {
            stg_item_done(part->items);
        }
        stg_partition_commit(part);
    }
    LUTRA_INFO("stage.epoch", LUTRA_F_STR("pipeline", p->id), LUTRA_F_U64("epoch", epoch),
               LUTRA_F_U64("dropped", dropped));
}
