/* No silent stall, as select sees it: it alone knows that processes are in flight when no stage
 * after it says anything. When nothing is credited for 30 s although the broker has the oldest one,
 * it asks for a RESTART, whether or not there is a manager.
 *
 * Where managers stand for election they come first: they see all stages, and leave a planned
 * restart of an instance its time (the channel's protection). So select waits that long on top of
 * it. While the bus does not take the oldest process a new epoch would change nothing. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "select/pipeline.h"

enum {
    STALL_MS = 30000,
    TELL_MS = 3000,
    WARN_TIMES = 4,    /* published: 14 s without credit */
    SETTLE_MS = 10000, /* after a connection to ZooKeeper: what is known of it may be old */
};

static void on_coord(enum lutra_coord_state state, void *arg)
{
    struct lutra_select *select = arg;
    select->connected_ms =
        state == LUTRA_COORD_CONNECTED ? lutra_loop_now_ms(select->env->loop) + 1 : 0;
}

void sel_stall_listen(struct lutra_select *select, bool on)
{
    if (on) {
        lutra_coord_listen(select->env->coord, on_coord, select);
        on_coord(lutra_coord_state_of(select->env->coord), select);
    } else {
        lutra_coord_unlisten(select->env->coord, select);
    }
}

static bool in_stream(const struct sel_pipeline *p)
{
    return p->run &&
           (p->state == SEL_STREAM || p->state == SEL_DRAINING || p->state == SEL_BACKOFF);
}

/* ---- on the way to the stream ---- */

static const char *step_name(const struct sel_pipeline *p)
{
    switch (p->state) {
    case SEL_TOPICS:
        return p->run->termin ? "the end of topic termin" : "the topics";
    case SEL_CHECK:
        return "the source's answer about its settings";
    case SEL_RESOLVE:
        return "the source's answer about where to begin";
    case SEL_IDLE:
    case SEL_STANDBY:
    case SEL_WAITING:
    case SEL_STREAM:
    case SEL_BACKOFF:
    case SEL_DRAINING:
    case SEL_HALTED:
    case SEL_BLOCKED:
        break;
    }
    return NULL;
}

void sel_stall_step(struct sel_run *run)
{
    run->step_since_ms = lutra_loop_now_ms(run->p->select->env->loop);
    lutra_timer_start(run->step, STALL_MS);
}

void sel_stall_step_cb(void *arg)
{
    struct sel_run *run = arg;
    struct sel_pipeline *p = run->p;
    const char *what = step_name(p);
    struct lutra_error err;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    if (!what || lutra_timer_active(run->again)) {
        return; /* it is over, or told and tried again already */
    }
    LUTRA_WARN("select.step_overdue", LUTRA_F_STR("pipeline", p->id),
               LUTRA_F_STR("state", sel_state_name(p->state)), LUTRA_F_STR("waits_for", what));
    (void)lutra_error_set(&err, LUTRA_RETRY, 0, "%s did not come within %d s", what,
                          STALL_MS / 1000);
    if (p->state != SEL_TOPICS) {
        sel_trouble(run, &err);
        return;
    }
    lutra_bus_pair_forget(&run->buses, run);
    sel_topics_forget(p);
    if (run->termin) {
        lutra_bus_reader_free(run->termin);
        run->termin = NULL;
    }
    sel_set_state(p, SEL_TOPICS, err.msg);
    sel_run_start(run);
}

/* ---- in the stream ---- */

static void describe(const struct sel_window_stats *stats, char *text, size_t size)
{
    (void)snprintf(text, size,
                   "process %" PRIu64 ", the oldest of %" PRIu64 " in flight, is not credited for "
                   "%" PRIu64 " s; published %u times, now to partition %" PRId32,
                   stats->oldest, stats->in_flight, stats->still_ms / 1000, stats->oldest_times,
                   stats->oldest_partition);
}

void sel_stall_describe(const struct sel_pipeline *p, char *text, size_t size)
{
    const char *step = p->run ? step_name(p) : NULL;
    struct sel_window_stats stats;
    text[0] = '\0';
    if (step) {
        (void)snprintf(text, size, "%s, for %" PRIu64 " s", step,
                       (lutra_loop_now_ms(p->select->env->loop) - p->run->step_since_ms) / 1000);
    } else if (in_stream(p)) {
        sel_window_stats(p->run->window, &stats);
        if (stats.oldest && stats.still_ms >= TELL_MS) {
            describe(&stats, text, size);
        }
    }
}

void sel_stall_warning(const struct sel_pipeline *p, char *text, size_t size)
{
    struct sel_window_stats stats;
    text[0] = '\0';
    if (in_stream(p)) {
        sel_window_stats(p->run->window, &stats);
        if (stats.oldest && stats.oldest_times >= WARN_TIMES) {
            describe(&stats, text, size);
        }
    }
}

void sel_stall_overdue(struct sel_run *run)
{
    struct sel_pipeline *p = run->p;
    const struct lutra_select *select = p->select;
    uint64_t since = select->connected_ms, bound_ms = STALL_MS;
    struct sel_window_stats stats;
    char reason[256];
    if (since == 0 || lutra_loop_now_ms(select->env->loop) - since < SETTLE_MS || !in_stream(p) ||
        !sel_permitted(p)) {
        return;
    }
    if (lutra_catalog_managed(select->catalog)) {
        bound_ms += p->view->channel->protection_ms;
    }
    sel_window_stats(run->window, &stats);
    if (stats.still_ms >= lutra_control_pace_ms(&p->view->control, stats.applied, bound_ms)) {
        describe(&stats, reason, sizeof(reason));
        sel_halt_stalled(run, reason);
    }
}
