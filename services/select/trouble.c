/* What select does about errors, and what it asks the others for. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "select/pipeline.h"

enum { PATIENCE_MS = 10000, ASK_AGAIN_MS = 5000, ASK_FAILED_MS = 1000 };

void sel_trouble(struct sel_run *run, const struct lutra_error *err)
{
    struct sel_pipeline *p = run->p;
    uint64_t now = lutra_loop_now_ms(p->select->env->loop), delay_ms;
    sel_stream_close(run);
    if (run->slicer && !lutra_slicer_reopen(run->slicer)) {
        sel_halt(run, LUTRA_REQUEST_RESTART, false,
                 "the source was lost within a transaction of which a piece was sent");
        return;
    }
    if (run->trouble_since_ms == 0) {
        run->trouble_since_ms = now;
    }
    /* In PAUSE it is nobody's trouble yet. */
    if (now - run->trouble_since_ms >= PATIENCE_MS && sel_permitted(p)) {
        sel_halt(run, LUTRA_REQUEST_ROLLBACK, true, err->msg);
        return;
    }
    delay_ms = lutra_backoff_next_ms(&run->backoff, p->select->env->loop);
    LUTRA_WARN("select.retry", LUTRA_F_STR("pipeline", p->id), LUTRA_F_U64("in_ms", delay_ms),
               LUTRA_F_ERR(err));
    sel_set_state(p, SEL_BACKOFF, err->msg);
    lutra_timer_start(run->again, delay_ms);
}

void sel_failed(struct sel_run *run, const struct lutra_error *err)
{
    if (err->class == LUTRA_RETRY) {
        sel_trouble(run, err);
        return;
    }
    LUTRA_ERROR("select.stopped", LUTRA_F_STR("pipeline", run->p->id), LUTRA_F_ERR(err));
    sel_halt(run, LUTRA_REQUEST_ROLLBACK, false, err->msg);
}

/* ---- ROLLBACK and RESTART ---- */

static bool is_served(const struct sel_run *run)
{
    const struct lutra_pipeline *view = run->p->view;
    return view->has_control && view->control.epoch > run->origin.epoch;
}

static void
on_requested(enum lutra_request_outcome outcome, const struct lutra_control *control, void *arg)
{
    struct sel_pipeline *p = arg;
    struct sel_run *run;
    (void)control;
    LUTRA_ASSERT(p->magic == SEL_PIPELINE_MAGIC);
    p->requesting = false;
    run = p->run;
    if (!run || p->state != SEL_HALTED) {
        return;
    }
    switch (outcome) {
    case LUTRA_REQUEST_DONE:
    case LUTRA_REQUEST_COALESCED:
        /* control.epoch rises and a new origin comes. Should the record be lost (ZooKeeper rolled
         * back), it is asked for again. */
    case LUTRA_REQUEST_YIELDED: /* an operator's word stands above it: again when that is gone */
        lutra_timer_start(run->ask, ASK_AGAIN_MS);
        break;
    case LUTRA_REQUEST_FAILED:
        lutra_timer_start(run->ask, ASK_FAILED_MS);
        break;
    }
}

void sel_ask_cb(void *arg)
{
    struct sel_run *run = arg;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    if (run->p->state != SEL_HALTED) {
        return;
    }
    if (run->p->requesting || is_served(run)) {
        lutra_timer_start(run->ask, ASK_AGAIN_MS);
        return;
    }
    run->p->requesting = true;
    lutra_request_send(run->p->select->env->coord, run->p->id, &run->request, on_requested, run->p);
}

static void halt(struct sel_run *run,
                 enum lutra_request_kind kind,
                 bool with_backoff,
                 bool keeps_permit,
                 const char *reason)
{
    struct sel_pipeline *p = run->p;
    struct sel_window_stats stats;
    LUTRA_WARN("select.request", LUTRA_F_STR("pipeline", p->id),
               LUTRA_F_STR("kind", kind == LUTRA_REQUEST_RESTART ? "RESTART" : "ROLLBACK"),
               LUTRA_F_U64("epoch", run->origin.epoch), LUTRA_F_STR("reason", reason));
    run->request = (struct lutra_request){.kind = kind,
                                          .about_epoch = run->origin.epoch,
                                          .retry_with_backoff = with_backoff,
                                          .keeps_permit = keeps_permit};
    (void)snprintf(run->request.reason, sizeof(run->request.reason), "%s", reason);
    (void)snprintf(run->request.by, sizeof(run->request.by), "select/%s", p->select->env->instance);
    sel_window_stats(run->window, &stats);
    lutra_request_bound(&run->request, p->view, stats.applied);
    sel_set_state(p, SEL_HALTED, reason);
    sel_stream_close(run);
    sel_window_halt(run->window);
    lutra_timer_stop(run->again);
    lutra_timer_stop(run->due);
    sel_ask_cb(run);
}

void sel_halt(struct sel_run *run,
              enum lutra_request_kind kind,
              bool with_backoff,
              const char *reason)
{
    halt(run, kind, with_backoff, false, reason);
}

void sel_halt_stalled(struct sel_run *run, const char *reason)
{
    halt(run, LUTRA_REQUEST_RESTART, false, true, reason);
}
