#include "select/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"

enum { STANDBY_DELAY_MS = 1000, RELEASE_MS = 30000 };

const char *sel_state_name(enum sel_state state)
{
    static const char *const names[] = {
#define SEL_STATE_NAME(name) #name,
        SEL_STATES(SEL_STATE_NAME)
#undef SEL_STATE_NAME
    };
    return names[state];
}

void sel_set_state(struct sel_pipeline *p, enum sel_state state, const char *reason)
{
    if (p->state != state) {
        LUTRA_INFO("select.state", LUTRA_F_STR("pipeline", p->id),
                   LUTRA_F_STR("from", sel_state_name(p->state)),
                   LUTRA_F_STR("to", sel_state_name(state)), LUTRA_F_STR("reason", reason));
    }
    p->state = state;
    if (reason != p->reason) {
        (void)snprintf(p->reason, sizeof(p->reason), "%s", reason);
    }
    if (reason[0] && (state == SEL_BACKOFF || state == SEL_DRAINING || state == SEL_HALTED ||
                      state == SEL_TOPICS || state == SEL_BLOCKED)) {
        (void)snprintf(p->last_error, sizeof(p->last_error), "%s", reason);
    }
}

bool sel_owns(const struct sel_pipeline *p)
{
    return p->owner && lutra_owner_state_of(p->owner) != LUTRA_OWNER_STANDBY;
}

/* Publishing for an epoch that is about to end would be work for nothing. */
bool sel_permitted(const struct sel_pipeline *p)
{
    return p->view->permit && !p->select->draining &&
           !(p->run && p->view->has_control && p->view->control.epoch > p->run->origin.epoch);
}

static void end_run(struct sel_pipeline *p)
{
    if (p->run) {
        sel_status_keep(p);
        p->republished_before += p->last.republished;
        p->last.republished = 0;
        p->last.acknowledged = NULL;
        p->last.in_flight = p->last.bytes = 0;
        sel_run_free(LUTRA_STEAL(p->run));
    }
}

/* ---- ownership ---- */

static void on_owner(enum lutra_owner_state state, void *arg)
{
    struct sel_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == SEL_PIPELINE_MAGIC);
    if (state == LUTRA_OWNER_OWNED) {
        (void)LUTRA_FAULT("select.owner_taken");
    }
    sel_pipeline_reconcile(p);
}

static bool is_wanted(const struct sel_pipeline *p)
{
    const struct lutra_pipeline *view = p->view;
    return view->def && view->known && view->has_desired &&
           view->desired.state != LUTRA_DESIRED_STOP && !p->select->draining &&
           strcmp(view->def->source_site, p->select->env->site) == 0;
}

bool sel_should_contend(const struct sel_pipeline *p)
{
    return is_wanted(p) && p->blocked == LUTRA_OK;
}

/* Without one of the pipeline's buses there is nothing this process could do for it: it makes room
 * for one that has them. */
static void find_buses(struct sel_pipeline *p)
{
    struct lutra_error err = {0};
    bool was = p->blocked != LUTRA_OK;
    bool missing = is_wanted(p) && lutra_buses_pair(p->select->env->buses, p->view->def->source_bus,
                                                    p->view->def->target_bus, &p->buses, &err) != 0;
    if (missing && (!was || strcmp(p->reason, err.msg) != 0)) {
        LUTRA_ERROR("select.blocked", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(&err));
        end_run(p);
        lutra_timer_stop(p->release);
        lutra_owner_free(LUTRA_STEAL(p->owner));
        sel_set_state(p, SEL_BLOCKED, err.msg);
    } else if (!missing && was) {
        sel_set_state(p, SEL_IDLE, "");
        p->last_error[0] = '\0';
    }
    p->blocked = err.class;
}

static void contend(struct sel_pipeline *p)
{
    char path[256];
    lutra_timer_stop(p->release);
    p->released = false;
    if (!p->owner) {
        const struct lutra_env *env = p->select->env;
        uint64_t delay_ms = env->standby_delay_ms > 0 ? env->standby_delay_ms : STANDBY_DELAY_MS;
        p->owner = lutra_owner_new(env->coord, lutra_path_pipeline(p->id, "select", path),
                                   env->instance, delay_ms, on_owner, p);
        sel_set_state(p, SEL_STANDBY, "");
    }
}

/* What is in flight may still be applied: a new owner would have to read it again. */
static bool may_release(struct sel_pipeline *p)
{
    if (p->released || !sel_owns(p) || !p->run || p->state == SEL_HALTED ||
        sel_window_drained(p->run->window)) {
        return true;
    }
    if (!lutra_timer_active(p->release)) {
        lutra_timer_start(p->release, RELEASE_MS);
    }
    return false;
}

static void release(struct sel_pipeline *p)
{
    if (p->owner && may_release(p)) {
        lutra_timer_stop(p->release);
        end_run(p);
        lutra_owner_free(LUTRA_STEAL(p->owner));
        sel_set_state(p, SEL_IDLE, "");
    }
    if (p->select->draining) {
        lutra_task_schedule(p->select->drain_task);
    }
}

static void on_reconcile(void *arg)
{
    struct sel_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == SEL_PIPELINE_MAGIC);
    sel_pipeline_reconcile(p);
}

static void on_release(void *arg)
{
    struct sel_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == SEL_PIPELINE_MAGIC);
    p->released = true;
    sel_pipeline_reconcile(p);
}

/* ---- the origin ---- */

/* Why the origin that stands there is not one to start from; NULL: it is. */
static const char *origin_unusable(const struct sel_pipeline *p)
{
    const struct lutra_pipeline *view = p->view;
    if (lutra_owner_state_of(p->owner) != LUTRA_OWNER_OWNED) {
        return "not connected to ZooKeeper";
    }
    if (!view->has_origin || view->origin.epoch <= p->used_epoch ||
        strcmp(view->origin.select_session, lutra_owner_session(p->owner)) != 0) {
        return "waits for the load owner to make an epoch for this session";
    }
    if (view->config_version != view->origin.config_version) {
        return "waits for the definition that the epoch was made for";
    }
    if (!view->permit) {
        return "no permit";
    }
    return NULL;
}

/* load makes an epoch only for a definition that there is: it has not come here yet. */
static bool waits_for_definition(const struct sel_pipeline *p)
{
    const struct lutra_pipeline *view = p->view;
    return view->has_origin && view->origin.epoch > p->used_epoch &&
           view->config_version < view->origin.config_version;
}

/* The run's epoch is over: a newer origin, or this one is somebody else's. */
static bool run_outdated(const struct sel_pipeline *p)
{
    const struct lutra_origin *mine = &p->run->origin, *now = &p->view->origin;
    return strcmp(mine->select_session, lutra_owner_session(p->owner)) != 0 ||
           (p->view->has_origin &&
            (now->epoch > mine->epoch ||
             (now->epoch == mine->epoch && strcmp(now->nonce, mine->nonce) != 0)));
}

static void follow_origin(struct sel_pipeline *p)
{
    const char *why;
    if (p->run && run_outdated(p)) {
        end_run(p);
    }
    if (p->run) {
        sel_stream_pump(p->run); /* the permit may have changed */
        return;
    }
    why = origin_unusable(p);
    if (!waits_for_definition(p)) {
        p->definition_since_ms = 0;
    } else if (p->definition_since_ms == 0) {
        p->definition_since_ms = lutra_loop_now_ms(p->select->env->loop) + 1;
    }
    if (sel_owns(p) && p->view->permit) {
        sel_topics_want(p);
    }
    if (why) {
        sel_set_state(p, SEL_WAITING, why);
        return;
    }
    p->used_epoch = p->view->origin.epoch;
    (void)LUTRA_FAULT("select.origin_taken");
    p->run = sel_run_new(p);
    LUTRA_INFO("select.epoch", LUTRA_F_STR("pipeline", p->id),
               LUTRA_F_U64("epoch", p->run->origin.epoch),
               LUTRA_F_U64("process_id", p->run->origin.process_id),
               LUTRA_F_STR("position", p->run->origin.position));
    sel_run_start(p->run);
}

void sel_pipeline_reconcile(struct sel_pipeline *p)
{
    find_buses(p);
    if (!sel_should_contend(p)) {
        if (p->run) {
            sel_stream_pump(p->run); /* pauses the source */
        }
        release(p);
    } else {
        contend(p);
    }
    if (p->owner && !sel_owns(p)) {
        end_run(p); /* the session is over, and the epoch with it */
        sel_set_state(p, SEL_STANDBY, "");
    } else if (p->owner && sel_should_contend(p)) {
        follow_origin(p);
    }
    lutra_follower_update(p->follower, p->owner && sel_owns(p) && sel_should_contend(p));
    sel_status_update(p);
}

/* ---- life ---- */

struct sel_pipeline *sel_pipeline_new(struct lutra_select *select, struct lutra_pipeline *view)
{
    struct sel_pipeline *p = LUTRA_NEW(struct sel_pipeline);
    struct lutra_metrics *metrics = select->env->metrics;
    struct lutra_buf labels = {0};
    p->magic = SEL_PIPELINE_MAGIC;
    p->select = select;
    p->view = view;
    p->id = lutra_strdup(view->id);
    p->read = lutra_strdup("");
    p->acknowledged = lutra_strdup("");
    p->reconcile = lutra_task_new(select->env->loop, on_reconcile, p);
    p->release = lutra_timer_new(select->env->loop, on_release, p);
    p->follower = lutra_follower_new(select->env, "select", view, LUTRA_SIDE_SOURCE);
    lutra_metrics_label(&labels, "pipeline", p->id);
    const char *l = lutra_buf_cstr(&labels);
    p->c_rows = lutra_metrics_counter(metrics, "lutra_select_rows_total", l,
                                      "Rows of synchronised tables read");
    p->c_filtered = lutra_metrics_counter(metrics, "lutra_select_events_filtered_total", l,
                                          "Row events of tables that no pair matches");
    p->c_ddl = lutra_metrics_counter(metrics, "lutra_select_ddl_passed_total", l,
                                     "Schema changes on other tables");
    p->c_processes =
        lutra_metrics_counter(metrics, "lutra_select_processes_total", l, "Processes published");
    p->c_foreign = lutra_metrics_counter(metrics, "lutra_select_termin_foreign_total", l,
                                         "Termin messages of another epoch");
    p->g_in_flight = lutra_metrics_gauge(metrics, "lutra_select_in_flight_processes", l,
                                         "Processes published and not credited");
    p->g_bytes = lutra_metrics_gauge(metrics, "lutra_select_in_flight_bytes", l,
                                     "Bytes kept of processes in flight");
    p->g_epoch = lutra_metrics_gauge(metrics, "lutra_select_epoch", l, "Epoch published");
    p->c_republished = lutra_metrics_counter(metrics, "lutra_select_republished_total", l,
                                             "Overdue processes published again");
    lutra_buf_fini(&labels);
    sel_pipeline_reconcile(p);
    return p;
}

void sel_pipeline_free(struct sel_pipeline *p)
{
    struct lutra_buf labels = {0};
    if (!p) {
        return;
    }
    LUTRA_ASSERT(p->magic == SEL_PIPELINE_MAGIC);
    lutra_request_forget(p->select->env->coord, p);
    end_run(p);
    sel_topics_forget(p);
    lutra_owner_free(p->owner);
    lutra_follower_free(p->follower);
    lutra_timer_free(p->release);
    lutra_task_free(p->reconcile);
    lutra_metrics_label(&labels, "pipeline", p->id);
    lutra_metrics_remove(p->select->env->metrics, lutra_buf_cstr(&labels));
    lutra_buf_fini(&labels);
    lutra_free(p->read);
    lutra_free(p->acknowledged);
    lutra_free(p->id);
    p->magic = 0;
    lutra_free(p);
}

bool sel_pipeline_drained(const struct sel_pipeline *p)
{
    return p->owner == NULL;
}
