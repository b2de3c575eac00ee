#include "select/select.h"

#include <stddef.h>
#include <stdio.h>

#include "base/mem.h"
#include "select/pipeline.h"

static void check_drained(struct lutra_select *select)
{
    if (select->draining) {
        lutra_task_schedule(select->drain_task);
    }
}

static void on_added(struct lutra_pipeline *view, void *arg)
{
    struct lutra_select *select = arg;
    struct sel_pipeline *p = sel_pipeline_new(select, view);
    select->pipelines =
        lutra_realloc(select->pipelines, (select->n + 1) * sizeof(*select->pipelines));
    select->pipelines[select->n++] = p;
    view->user = p;
}

static void on_changed(struct lutra_pipeline *view, unsigned what, void *arg)
{
    (void)what;
    sel_pipeline_reconcile(view->user);
    check_drained(arg);
}

/* A bus that could not be opened may be asked for again. */
static void on_bus_due(void *arg)
{
    struct lutra_select *select = arg;
    for (size_t i = 0; i < select->n; i++) {
        if (select->pipelines[i]->blocked == LUTRA_RETRY) {
            sel_pipeline_reconcile(select->pipelines[i]);
        }
    }
}

static void on_removed(struct lutra_pipeline *view, void *arg)
{
    struct lutra_select *select = arg;
    for (size_t i = 0; i < select->n; i++) {
        if (select->pipelines[i] == view->user) {
            sel_pipeline_free(select->pipelines[i]);
            select->pipelines[i] = select->pipelines[--select->n];
            break;
        }
    }
    check_drained(select);
}

static void on_drain(void *arg)
{
    struct lutra_select *select = arg;
    for (size_t i = 0; i < select->n; i++) {
        if (!sel_pipeline_drained(select->pipelines[i])) {
            return;
        }
    }
    if (select->drained) {
        LUTRA_STEAL(select->drained)(select->drained_arg);
    }
}

/* ---- the service ---- */

static int start(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *config,
                 void **state,
                 struct lutra_error *err)
{
    static const struct lutra_catalog_handler handler = {
        .on_added = on_added, .on_changed = on_changed, .on_removed = on_removed};
    struct lutra_select *select = LUTRA_NEW(struct lutra_select);
    (void)daemon;
    (void)config;
    (void)err;
    select->env = env;
    select->drain_task = lutra_task_new(env->loop, on_drain, select);
    sel_stall_listen(select, true);
    lutra_buses_on_due(env->buses, on_bus_due, select);
    select->catalog =
        lutra_catalog_new(env->coord, env->state_dir,
                          LUTRA_CHANGED_CONFIG | LUTRA_CHANGED_DESIRED | LUTRA_CHANGED_CONTROL |
                              LUTRA_CHANGED_ORIGIN | LUTRA_CHANGED_OWNERS | LUTRA_CHANGED_MEDIA |
                              LUTRA_WATCH_MANAGERS,
                          &handler, select);
    *state = select;
    return 0;
}

static void drain(void *state, void (*drained)(void *arg), void *arg)
{
    struct lutra_select *select = state;
    select->draining = true;
    select->drained = drained;
    select->drained_arg = arg;
    for (size_t i = 0; i < select->n; i++) {
        sel_pipeline_reconcile(select->pipelines[i]);
    }
    check_drained(select);
}

static void stop(void *state)
{
    struct lutra_select *select = state;
    while (select->n > 0) {
        sel_pipeline_free(select->pipelines[--select->n]);
    }
    sel_stall_listen(select, false);
    lutra_buses_on_due(select->env->buses, NULL, NULL);
    lutra_catalog_free(select->catalog);
    lutra_task_free(select->drain_task);
    lutra_free(select->pipelines);
    lutra_free(select);
}

static const struct lutra_catalog *catalog(const void *state)
{
    return ((const struct lutra_select *)state)->catalog;
}

static bool ready(void *state, char *reason, size_t reason_len)
{
    const struct lutra_select *select = state;
    if (!lutra_catalog_known(select->catalog)) {
        (void)snprintf(reason, reason_len, "the list of channels has not been read yet");
        return false;
    }
    for (size_t i = 0; i < select->n; i++) {
        const struct sel_pipeline *p = select->pipelines[i];
        if (p->state == SEL_BACKOFF || (p->state == SEL_TOPICS && p->reason[0])) {
            (void)snprintf(reason, reason_len, "pipeline %s: %s", p->id, p->reason);
            return false;
        }
    }
    return true;
}

static void state_json(void *state, json_t *root)
{
    struct lutra_select *select = state;
    json_t *array = json_array();
    for (size_t i = 0; i < select->n; i++) {
        sel_pipeline_json(select->pipelines[i], array);
    }
    (void)json_object_set_new(root, "pipelines", array);
}

static const struct lutra_config_key keys[] = {LUTRA_DAEMON_CONFIG_KEYS, {0}};

const struct lutra_service lutra_select_service = {
    .name = "select",
    .description = "reads sources' binlogs and publishes them in processes",
    .keys = keys,
    .config_size = sizeof(struct lutra_daemon_config),
    .start = start,
    .catalog = catalog,
    .drain = drain,
    .stop = stop,
    .ready = ready,
    .state_json = state_json,
};
