#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/json_text.h"
#include "stage/stage_private.h"

/* The stage whose input is our output. */
static const char *next_stage(enum lutra_stage stage)
{
    return lutra_stage_name(stage == LUTRA_STAGE_EXTRACT ? LUTRA_STAGE_TRANSFORM
                                                         : LUTRA_STAGE_LOAD);
}

static struct lutra_counter *
counter(struct stg_pipeline *p, const char *what, const char *labels, const char *help)
{
    char name[96];
    (void)snprintf(name, sizeof name, "lutra_%s_%s", lutra_stage_name(p->engine->desc.stage), what);
    return lutra_metrics_counter(p->engine->env->metrics, name, labels, help);
}

static struct lutra_gauge *
gauge(struct stg_pipeline *p, const char *what, const char *labels, const char *help)
{
    char name[96];
    (void)snprintf(name, sizeof name, "lutra_%s_%s", lutra_stage_name(p->engine->desc.stage), what);
    return lutra_metrics_gauge(p->engine->env->metrics, name, labels, help);
}

static void metrics_open(struct stg_pipeline *p)
{
    struct lutra_buf buf = {0};
    char name[96];
    lutra_metrics_label(&buf, "pipeline", p->id);
    const char *labels = lutra_buf_cstr(&buf);
    p->c_done = counter(p, "processes_total", labels, "Processes published and acknowledged");
    p->c_rows = counter(p, "rows_total", labels, "Row changes in them");
    p->c_stale =
        counter(p, "stale_total", labels, "Messages of a lower epoch or config version, dropped");
    p->c_malformed = counter(p, "malformed_total", labels, "Unreadable messages, passed over");
    p->c_retries = counter(p, "retries_total", labels, "Publications that had to be repeated");
    p->c_failed = counter(p, "failed_total", labels, "Batches that could not be worked on");
    p->g_in_hand = gauge(p, "in_hand_processes", labels, "Processes in hand");
    p->g_held = gauge(p, "held_processes", labels, "Processes that wait for their definition");
    p->g_stopped = gauge(p, "stopped", labels, "1: a batch could not be worked on");
    (void)snprintf(name, sizeof name, "lutra_%s_work_seconds",
                   lutra_stage_name(p->engine->desc.stage));
    p->h_work = lutra_metrics_histogram(p->engine->env->metrics, name, labels,
                                        "Time that the work on a batch took", 0.00001, 10);
    lutra_buf_fini(&buf);
}

struct stg_pipeline *stg_pipeline_new(struct lutra_stage_engine *engine,
                                      struct lutra_pipeline *view)
{
    struct stg_pipeline *p = LUTRA_NEW(struct stg_pipeline);
    p->magic = STG_PIPELINE_MAGIC;
    p->engine = engine;
    p->view = view;
    p->id = lutra_strdup(view->id);
    (void)lutra_topic_name(p->id, lutra_stage_name(engine->desc.stage), p->topic_in);
    (void)lutra_topic_name(p->id, next_stage(engine->desc.stage), p->topic_out);
    p->request_timer = lutra_timer_new(engine->env->loop, stg_request_timer_cb, p);
    metrics_open(p);
    HASH_ADD_STR(engine->pipelines, topic_in, p);
    stg_pipeline_place(p);
    return p;
}

static void drop_partitions(struct stg_pipeline *p)
{
    for (size_t i = 0; i < p->n_partitions; i++) {
        struct stg_partition *part = p->partitions[i];
        /* It may come back before the subscription has changed: then reading must go on. */
        if (part && part->paused) {
            lutra_bus_subscription_pause(p->input->subscription, p->topic_in, part->number, false);
        }
        stg_partition_drop(p, (int32_t)i);
    }
}

/* Of the definition before; what is held waits for this one, and stays. */
static void drop_output(struct stg_pipeline *p)
{
    for (size_t i = 0; i < p->n_partitions; i++) {
        struct stg_item *item, *tmp;
        if (!p->partitions[i]) {
            continue;
        }
        DL_FOREACH_SAFE(p->partitions[i]->items, item, tmp)
        {
            if (item->state == STG_PUBLISHED || item->state == STG_WAITING) {
                p->stale++;
                lutra_counter_add(p->c_stale, 1);
                stg_item_done(item);
            }
        }
    }
    if (p->output) {
        lutra_bus_forget(p->output, p);
    }
    p->warm = false;
}

/* -1 when there is no place for it here. */
static int find_place(struct stg_pipeline *p, struct lutra_bus_pair *at)
{
    const struct lutra_pipeline_def *def = p->view->def;
    struct lutra_error err = {0};
    bool last = p->engine->desc.stage == LUTRA_STAGE_TRANSFORM;
    int rc = -1;
    if (stg_pipeline_mine(p)) {
        rc = lutra_buses_pair(p->engine->env->buses, def->source_bus,
                              last ? def->target_bus : def->source_bus, at, &err);
    }
    err.msg[sizeof p->blocked_by - 1] = '\0';
    if (err.class != LUTRA_OK && strcmp(p->blocked_by, err.msg) != 0) {
        LUTRA_ERROR("stage.blocked", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(&err));
    }
    p->blocked = err.class;
    memcpy(p->blocked_by, err.msg, sizeof p->blocked_by);
    return rc;
}

void stg_pipeline_place(struct stg_pipeline *p)
{
    struct lutra_bus_pair at = {0};
    struct stg_input *input = NULL;
    if (find_place(p, &at) == 0) {
        input = stg_input_get(p->engine, at.source);
    }
    if (at.target != p->output) {
        drop_output(p);
    }
    if (input != p->input) {
        drop_partitions(p);
    }
    p->input = input;
    p->output = at.target;
}

void stg_pipeline_free(struct stg_pipeline *p)
{
    struct lutra_buf labels = {0};
    struct lutra_stage_engine *engine = p->engine;
    drop_partitions(p);
    lutra_free(p->partitions);
    if (p->output) {
        lutra_bus_forget(p->output, p);
    }
    lutra_request_forget(engine->env->coord, p);
    lutra_timer_free(p->request_timer);
    lutra_metrics_label(&labels, "pipeline", p->id);
    lutra_metrics_remove(engine->env->metrics, lutra_buf_cstr(&labels));
    lutra_buf_fini(&labels);
    HASH_DEL(engine->pipelines, p);
    lutra_free(p->id);
    p->magic = 0;
    lutra_free(p);
}

bool stg_pipeline_mine(const struct stg_pipeline *p)
{
    return strcmp(p->view->def->source_site, p->engine->env->site) == 0;
}

/* ---- /state ---- */

static const char *state_name(const struct stg_pipeline *p, size_t n_partitions, size_t n_waiting)
{
    if (p->blocked != LUTRA_OK) {
        return "BLOCKED";
    }
    if (p->stopped) {
        return "STOPPED";
    }
    if (p->n_held > 0) {
        return "HELD";
    }
    if (n_waiting > 0) {
        return "RETRYING";
    }
    return n_partitions > 0 ? "RUNNING" : "UNASSIGNED";
}

/* The version that is waited for; 0: none. */
static uint64_t held_version(const struct stg_pipeline *p)
{
    for (size_t i = 0; p->n_held > 0 && i < p->n_partitions; i++) {
        const struct stg_item *item;
        if (!p->partitions[i]) {
            continue;
        }
        DL_FOREACH(p->partitions[i]->items, item)
        {
            if (item->state == STG_HELD) {
                return item->envelope.config_version;
            }
        }
    }
    return 0;
}

/* A batch that cannot be worked on is none of these: it stops the pipeline. */
static const char *warning(const struct stg_pipeline *p, bool assigned, char *text, size_t size)
{
    const struct lutra_loop *loop = p->engine->env->loop;
    uint64_t wanted = held_version(p);
    bool is = lutra_warn_blocked(p->blocked, p->blocked_by, text, size) ||
              lutra_warn_definition(wanted > 0 ? p->held_since_ms : 0, wanted,
                                    p->view->config_version, loop, text, size) ||
              lutra_warn_unusable(&p->malformed, loop, p->id,
                                  lutra_stage_name(p->engine->desc.stage), text, size) ||
              lutra_warn_bus(assigned ? p->output : NULL, text, size);
    return is ? text : "";
}

static void set_int(json_t *entry, const char *key, uint64_t value)
{
    (void)json_object_set_new(entry, key, json_integer((json_int_t)value));
}

void stg_pipeline_json(struct stg_pipeline *p, json_t *array)
{
    json_t *entry = json_object(), *in_hand = json_array(), *assigned = json_array();
    size_t n_partitions = 0, n_waiting = 0;
    char text[640];
    for (size_t i = 0; i < p->n_partitions; i++) {
        const struct stg_item *item;
        if (!p->partitions[i]) {
            continue;
        }
        n_partitions++;
        (void)json_array_append_new(assigned, json_integer(p->partitions[i]->number));
        n_waiting += p->partitions[i]->n_waiting;
        DL_FOREACH(p->partitions[i]->items, item)
        {
            (void)json_array_append_new(in_hand,
                                        json_integer((json_int_t)item->envelope.process_id));
        }
    }
    (void)json_object_set_new(entry, "pipeline", json_string(p->id));
    (void)json_object_set_new(entry, "state", json_string(state_name(p, n_partitions, n_waiting)));
    (void)json_object_set_new(
        entry, "last_error",
        lutra_json_text(p->blocked != LUTRA_OK ? p->blocked_by : p->last_error));
    if (p->blocked != LUTRA_OK) {
        (void)json_object_set_new(entry, "error_class",
                                  json_string(lutra_error_class_name(p->blocked)));
    }
    (void)json_object_set_new(entry, "warning",
                              lutra_json_text(warning(p, n_partitions > 0, text, sizeof text)));
    (void)json_object_set_new(entry, "in_hand", in_hand);
    (void)json_object_set_new(entry, "assigned", assigned);
    set_int(entry, "epoch", p->epoch);
    set_int(entry, "config_version", p->view->config_version);
    set_int(entry, "partitions", n_partitions);
    set_int(entry, "done", p->done);
    set_int(entry, "rows", p->rows);
    set_int(entry, "last_process_id", p->last_process_id);
    set_int(entry, "stale", p->stale);
    set_int(entry, "held", p->n_held);
    set_int(entry, "refused", p->refused);
    set_int(entry, "malformed", p->malformed.n);
    set_int(entry, "retries", p->retries);
    (void)json_array_append_new(array, entry);
}
