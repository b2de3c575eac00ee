/* What a load owner does about errors, and what it asks the others for. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "load/pipeline.h"

#define PATIENCE_MS 10000u    /* of passing errors, until a ROLLBACK tells the operator */
#define UNREACHABLE_MS 30000u /* before the target was ever reached, until a standby may try */
#define REQUEST_REPEAT_MS 5000u
#define STAND_DOWN_MS 5000u
#define SILENT_MS 6000u /* longer than a lock wait */
#define MAX_FENCED_IN_A_ROW 3u

void ldr_again_cb(void *arg)
{
    struct ldr_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    if (p->again != NULL) {
        void (*again)(struct ldr_pipeline *) = LUTRA_STEAL(p->again);
        again(p);
    }
}

void ldr_silence_tick(struct ldr_pipeline *p)
{
    uint64_t now = lutra_loop_now_ms(p->load->env->loop), since_ms = now;
    if (p->state != LDR_RUN) {
        return;
    }
    if (p->calls_n > 0) {
        uint64_t asked_ms = p->calls[p->calls_head].at_ms;
        since_ms = asked_ms > p->answered_ms ? asked_ms : p->answered_ms;
    }
    if (now - since_ms >= SILENT_MS) {
        p->silence_told = true;
        (void)snprintf(p->reason, sizeof p->reason,
                       "the target has not answered a statement for %" PRIu64
                       " s: it hangs, its disk is full, or something is locked",
                       (now - since_ms) / 1000);
    } else if (p->silence_told) {
        p->silence_told = false;
        p->reason[0] = '\0';
    }
}

/* Only what passed: why it stopped is kept until it runs again. */
void ldr_trouble_over(struct ldr_pipeline *p)
{
    if (p->state == LDR_RUN) {
        p->reason[0] = '\0';
        p->silence_told = false;
    }
    p->trouble_since_ms = 0;
    p->again = NULL;
    lutra_backoff_reset(&p->backoff);
}

static void trouble_retry(struct ldr_pipeline *p,
                          const struct lutra_error *err,
                          void (*again)(struct ldr_pipeline *p))
{
    uint64_t now = lutra_loop_now_ms(p->load->env->loop);
    if (p->trouble_since_ms == 0) {
        p->trouble_since_ms = now;
    }
    (void)snprintf(p->reason, sizeof p->reason, "%s", err->msg);
    uint64_t lasting_ms = now - p->trouble_since_ms;
    if (p->state == LDR_RUN && lasting_ms >= PATIENCE_MS) {
        ldr_request(p, LUTRA_REQUEST_ROLLBACK, true, err->msg);
        return;
    }
    if (p->state == LDR_PREPARE && lasting_ms >= UNREACHABLE_MS) {
        ldr_stand_down(p, err->msg);
        return;
    }
    uint64_t delay_ms = lutra_backoff_next_ms(&p->backoff, p->load->env->loop);
    LUTRA_WARN("load.retry", LUTRA_F_STR("pipeline", p->id),
               LUTRA_F_STR("state", ldr_state_name(p->state)), LUTRA_F_U64("in_ms", delay_ms),
               LUTRA_F_ERR(err));
    p->again = again;
    lutra_timer_start(p->timer, delay_ms);
}

void ldr_trouble(struct ldr_pipeline *p,
                 const struct lutra_error *err,
                 void (*again)(struct ldr_pipeline *p))
{
    switch (err->class) {
    case LUTRA_RETRY:
        trouble_retry(p, err, again);
        break;
    case LUTRA_FENCED:
        ldr_fenced(p, err);
        break;
    case LUTRA_OK:
    case LUTRA_DATA:
    case LUTRA_CONFIG:
    case LUTRA_FATAL:
    case LUTRA_BUG:
        LUTRA_ERROR("load.stopped", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(err));
        ldr_request(p, LUTRA_REQUEST_ROLLBACK, false, err->msg);
        break;
    }
}

/* ---- ROLLBACK and RESTART ---- */

static void
on_requested(enum lutra_request_outcome outcome, const struct lutra_control *control, void *arg)
{
    struct ldr_pipeline *p = arg;
    (void)control;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    p->requesting = false;
    switch (outcome) {
    case LUTRA_REQUEST_DONE:
    case LUTRA_REQUEST_COALESCED:
        p->request_wanted = false; /* control.epoch rises: reconcile makes the epoch */
        break;
    case LUTRA_REQUEST_YIELDED: /* an operator's word stands above it: again when that has changed
                                 */
    case LUTRA_REQUEST_FAILED:
        if (p->state == LDR_HALTED) {
            p->again = ldr_request_again;
            lutra_timer_start(p->timer, REQUEST_REPEAT_MS);
        }
        break;
    }
}

void ldr_request_again(struct ldr_pipeline *p)
{
    if (p->requesting || !p->request_wanted || lutra_timer_active(p->timer)) {
        return;
    }
    p->requesting = true;
    lutra_request_send(p->load->env->coord, p->id, &p->request, on_requested, p);
}

static void request(struct ldr_pipeline *p,
                    enum lutra_request_kind kind,
                    bool with_backoff,
                    bool keeps_permit,
                    const char *reason)
{
    bool restart = kind == LUTRA_REQUEST_RESTART;
    LUTRA_WARN("load.request", LUTRA_F_STR("pipeline", p->id),
               LUTRA_F_STR("kind", restart ? "RESTART" : "ROLLBACK"),
               LUTRA_F_U64("epoch", p->epoch), LUTRA_F_STR("reason", reason));
    p->generation++;
    ldr_set_state(p, LDR_HALTED, reason);
    ldr_unit_drop(p);
    ldr_window_reset(&p->window, 0, p->window.capacity);
    ldr_offsets_all_done(&p->offsets);
    if (p->target != NULL) {
        lutra_target_rollback(p->target, NULL, NULL); /* no locks are held while waiting */
    }
    p->request = (struct lutra_request){.kind = kind,
                                        .about_epoch = p->epoch,
                                        .retry_with_backoff = with_backoff,
                                        .keeps_permit = keeps_permit};
    (void)snprintf(p->request.reason, sizeof p->request.reason, "%s", reason);
    (void)snprintf(p->request.by, sizeof p->request.by, "load/%s", p->load->env->instance);
    lutra_request_bound(&p->request, p->view, p->ring.process_id);
    p->request_wanted = true;
    if (!p->requesting) {
        ldr_request_again(p);
    }
}

void ldr_request(struct ldr_pipeline *p,
                 enum lutra_request_kind kind,
                 bool with_backoff,
                 const char *reason)
{
    request(p, kind, with_backoff, false, reason);
}

void ldr_request_stalled(struct ldr_pipeline *p, const char *reason)
{
    request(p, LUTRA_REQUEST_RESTART, false, true, reason);
}

/* ---- fenced ---- */

void ldr_stand_down(struct ldr_pipeline *p, const char *reason)
{
    LUTRA_WARN("load.stand_down", LUTRA_F_STR("pipeline", p->id), LUTRA_F_STR("reason", reason));
    ldr_disown(p, LDR_STANDBY, reason);
    lutra_owner_stand_down(p->owner, STAND_DOWN_MS);
}

static void on_owner_read(const struct lutra_coord_result *result, void *arg)
{
    struct ldr_pipeline *p = arg;
    struct lutra_owner_record record = {0};
    struct lutra_error err = {0};
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    if (p->state != LDR_FENCED) {
        return;
    }
    bool mine = result->rc == LUTRA_COORD_OK &&
                lutra_owner_from_json(result->data, result->len, &record, &err) == 0 &&
                strcmp(record.session, lutra_owner_session(p->owner)) == 0;
    if (!mine) {
        ldr_stand_down(p, "a newer fence is in the target, and the owner node is not ours");
    } else if (p->fenced_in_a_row >= MAX_FENCED_IN_A_ROW) {
        ldr_stand_down(p, "fenced again and again without a commit");
    } else {
        p->fence = 0; /* a take-over like any other */
        ldr_make_epoch(p, "still the owner: taking over again");
    }
}

void ldr_fenced(struct ldr_pipeline *p, const struct lutra_error *err)
{
    char path[256];
    p->fenced++;
    p->fenced_in_a_row++;
    lutra_counter_add(p->c_fenced, 1);
    LUTRA_WARN("load.fenced", LUTRA_F_STR("pipeline", p->id), LUTRA_F_U64("fence", p->fence),
               LUTRA_F_ERR(err));
    p->generation++;
    ldr_set_state(p, LDR_FENCED, err->msg);
    ldr_unit_drop(p);
    ldr_window_reset(&p->window, 0, p->window.capacity);
    lutra_target_rollback(p->target, NULL, NULL);
    lutra_coord_get(p->load->env->coord, lutra_path_pipeline(p->id, "load", path), NULL,
                    on_owner_read, p);
}
