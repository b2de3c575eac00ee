#include "load/load.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "load/pipeline.h"

#define DRAIN_POLL_MS 10u

static void on_added(struct lutra_pipeline *view, void *arg)
{
    struct lutra_load *load = arg;
    load->pipelines = lutra_realloc(load->pipelines, (load->n + 1) * sizeof(struct ldr_pipeline *));
    view->user = load->pipelines[load->n++] = ldr_pipeline_new(load, view);
}

static void on_changed(struct lutra_pipeline *view, unsigned what, void *arg)
{
    (void)arg;
    ldr_pipeline_changed(view->user, what);
}

static void on_removed(struct lutra_pipeline *view, void *arg)
{
    struct lutra_load *load = arg;
    for (size_t i = 0; i < load->n; i++) {
        if (load->pipelines[i] == view->user) {
            ldr_pipeline_free(load->pipelines[i]);
            load->pipelines[i] = load->pipelines[--load->n];
            break;
        }
    }
}

/* A bus that could not be opened may be asked for again. */
static void on_bus_due(void *arg)
{
    struct lutra_load *load = arg;
    for (size_t i = 0; i < load->n; i++) {
        if (load->pipelines[i]->state == LDR_BLOCKED) {
            ldr_pipeline_changed(load->pipelines[i], 0);
        }
    }
}

static void on_drain_poll(void *arg)
{
    struct lutra_load *load = arg;
    bool all = true;
    for (size_t i = 0; i < load->n; i++) {
        ldr_pipeline_drain(load->pipelines[i]);
        all = all && ldr_pipeline_drained(load->pipelines[i]);
    }
    if (!all) {
        lutra_timer_start(load->drain_timer, DRAIN_POLL_MS);
    } else if (load->drained != NULL) {
        LUTRA_STEAL(load->drained)(load->drained_arg);
    }
}

static void on_coord(enum lutra_coord_state state, void *arg)
{
    struct lutra_load *load = arg;
    load->connected_ms =
        state == LUTRA_COORD_CONNECTED ? lutra_loop_now_ms(load->env->loop) + 1 : 0;
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
    struct lutra_load *load = LUTRA_NEW(struct lutra_load);
    (void)daemon;
    (void)config;
    (void)err;
    load->env = env;
    load->drain_timer = lutra_timer_new(env->loop, on_drain_poll, load);
    lutra_buses_on_due(env->buses, on_bus_due, load);
    lutra_coord_listen(env->coord, on_coord, load);
    on_coord(lutra_coord_state_of(env->coord), load);
    load->catalog =
        lutra_catalog_new(env->coord, env->state_dir,
                          LUTRA_CHANGED_CONFIG | LUTRA_CHANGED_DESIRED | LUTRA_CHANGED_CONTROL |
                              LUTRA_CHANGED_ORIGIN | LUTRA_CHANGED_OWNERS | LUTRA_CHANGED_MEDIA |
                              LUTRA_WATCH_MANAGERS,
                          &handler, load);
    *state = load;
    return 0;
}

static void drain(void *state, void (*drained)(void *arg), void *arg)
{
    struct lutra_load *load = state;
    load->draining = true;
    load->drained = drained;
    load->drained_arg = arg;
    lutra_timer_start(load->drain_timer, 0);
}

static void stop(void *state)
{
    struct lutra_load *load = state;
    while (load->n > 0) {
        ldr_pipeline_free(load->pipelines[--load->n]);
    }
    lutra_coord_unlisten(load->env->coord, load);
    lutra_buses_on_due(load->env->buses, NULL, NULL);
    lutra_catalog_free(load->catalog);
    lutra_timer_free(load->drain_timer);
    lutra_free(load->pipelines);
    lutra_free(load);
}

static const struct lutra_catalog *catalog(const void *state)
{
    return ((const struct lutra_load *)state)->catalog;
}

static bool ready(void *state, char *reason, size_t reason_len)
{
    const struct lutra_load *load = state;
    if (!lutra_catalog_known(load->catalog)) {
        (void)snprintf(reason, reason_len, "the list of channels has not been read yet");
        return false;
    }
    for (size_t i = 0; i < load->n; i++) {
        const struct ldr_pipeline *p = load->pipelines[i];
        if (p->state == LDR_PREPARE && p->trouble_since_ms != 0) {
            (void)snprintf(reason, reason_len, "pipeline %s: %s", p->id, p->reason);
            return false;
        }
    }
    return true;
}

static void state_json(void *state, json_t *root)
{
    struct lutra_load *load = state;
    json_t *array = json_array();
    for (size_t i = 0; i < load->n; i++) {
        ldr_pipeline_json(load->pipelines[i], array);
    }
    (void)json_object_set_new(root, "pipelines", array);
}

static const struct lutra_config_key keys[] = {LUTRA_DAEMON_CONFIG_KEYS, {0}};

const struct lutra_service lutra_load_service = {
    .name = "load",
    .description = "applies batches to the target strictly in order",
    .keys = keys,
    .config_size = sizeof(struct lutra_daemon_config),
    .start = start,
    .catalog = catalog,
    .drain = drain,
    .stop = stop,
    .ready = ready,
    .state_json = state_json,
};
