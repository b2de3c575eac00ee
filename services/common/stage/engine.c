#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "stage/stage_private.h"

#define DEFAULT_MAX_BYTES_IN_HAND ((uint64_t)64 << 20)

static const struct stg_faults extract_faults = {
    .received = "extract.received",
    .decoded = "extract.decoded",
    .before_publish = "extract.before_publish",
    .published = "extract.published",
    .acked = "extract.acked",
    .committed = "extract.committed",
};
static const struct stg_faults transform_faults = {
    .received = "transform.received",
    .decoded = "transform.decoded",
    .before_publish = "transform.before_publish",
    .published = "transform.published",
    .acked = "transform.acked",
    .committed = "transform.committed",
};

/* ---- which topics ---- */

/* Once a turn, however many channels changed. */
static void on_topics_task(void *arg)
{
    struct lutra_stage_engine *engine = arg;
    struct stg_input *input;
    LUTRA_ASSERT(engine->magic == STG_ENGINE_MAGIC);
    LL_FOREACH(engine->inputs, input)
    {
        stg_input_subscribe(input);
    }
}

static void on_added(struct lutra_pipeline *view, void *arg)
{
    struct lutra_stage_engine *engine = arg;
    LUTRA_ASSERT(engine->magic == STG_ENGINE_MAGIC);
    view->user = stg_pipeline_new(engine, view);
    lutra_task_schedule(engine->topics_task);
}

static void on_changed(struct lutra_pipeline *view, unsigned what, void *arg)
{
    struct lutra_stage_engine *engine = arg;
    LUTRA_ASSERT(engine->magic == STG_ENGINE_MAGIC);
    if (what & LUTRA_CHANGED_CONFIG) {
        stg_pipeline_place(view->user);
        stg_input_released(view->user);
        lutra_task_schedule(engine->topics_task);
    }
}

/* A bus that could not be opened may be asked for again. */
static void on_bus_due(void *arg)
{
    struct lutra_stage_engine *engine = arg;
    struct stg_pipeline *p, *tmp;
    LUTRA_ASSERT(engine->magic == STG_ENGINE_MAGIC);
    HASH_ITER(hh, engine->pipelines, p, tmp)
    {
        if (p->blocked == LUTRA_RETRY) {
            stg_pipeline_place(p);
        }
    }
    lutra_task_schedule(engine->topics_task);
}

static void on_removed(struct lutra_pipeline *view, void *arg)
{
    struct lutra_stage_engine *engine = arg;
    LUTRA_ASSERT(engine->magic == STG_ENGINE_MAGIC);
    stg_pipeline_free(view->user);
    view->user = NULL;
    lutra_task_schedule(engine->topics_task);
}

/* ---- life ---- */

static void on_drain_task(void *arg)
{
    struct lutra_stage_engine *engine = arg;
    LUTRA_ASSERT(engine->magic == STG_ENGINE_MAGIC);
    if (engine->n_items == 0 && engine->drained) {
        LUTRA_STEAL(engine->drained)(engine->drained_arg);
    }
}

static void engine_ports(struct lutra_stage_engine *engine)
{
    static const struct lutra_catalog_handler handler = {
        .on_added = on_added, .on_changed = on_changed, .on_removed = on_removed};
    const struct lutra_env *env = engine->env;
    lutra_buses_on_due(env->buses, on_bus_due, engine);
    engine->catalog =
        lutra_catalog_new(env->coord, env->state_dir, LUTRA_CHANGED_CONFIG, &handler, engine);
}

struct lutra_stage_engine *lutra_stage_engine_new(const struct lutra_env *env,
                                                  const struct lutra_stage_desc *desc)
{
    struct lutra_stage_engine *engine = LUTRA_NEW(struct lutra_stage_engine);
    char name[64];
    LUTRA_ASSERT(desc->stage == LUTRA_STAGE_EXTRACT || desc->stage == LUTRA_STAGE_TRANSFORM);
    engine->magic = STG_ENGINE_MAGIC;
    engine->env = env;
    engine->desc = *desc;
    if (engine->desc.max_bytes_in_hand == 0) {
        engine->desc.max_bytes_in_hand = DEFAULT_MAX_BYTES_IN_HAND;
    }
    engine->faults = desc->stage == LUTRA_STAGE_EXTRACT ? &extract_faults : &transform_faults;
    engine->arena = lutra_arena_new(0);
    engine->topics_task = lutra_task_new(env->loop, on_topics_task, engine);
    engine->work_task = lutra_task_new(env->loop, stg_work_task_cb, engine);
    engine->drain_task = lutra_task_new(env->loop, on_drain_task, engine);
    engine->retry_timer = lutra_timer_new(env->loop, stg_retry_timer_cb, engine);
    engine->backoff = (struct lutra_backoff){.min_ms = 20, .max_ms = 2000};
    (void)snprintf(name, sizeof name, "lutra_%s_in_hand_bytes", lutra_stage_name(desc->stage));
    engine->g_bytes = lutra_metrics_gauge(env->metrics, name, "", "Bytes of payloads in hand");
    engine_ports(engine);
    return engine;
}

void lutra_stage_engine_drain(struct lutra_stage_engine *engine,
                              void (*drained)(void *arg),
                              void *arg)
{
    struct stg_pipeline *p, *tmp;
    engine->draining = true;
    engine->drained = drained;
    engine->drained_arg = arg;
    stg_pause_all(engine);
    HASH_ITER(hh, engine->pipelines, p, tmp)
    {
        for (size_t i = 0; i < p->n_partitions; i++) {
            struct stg_item *item, *next;
            if (!p->partitions[i]) {
                continue;
            }
            DL_FOREACH_SAFE(p->partitions[i]->items, item, next)
            {
                if (item->state == STG_HELD) {
                    stg_item_abandon(item);
                }
            }
        }
    }
    lutra_task_schedule(engine->drain_task);
}

void lutra_stage_engine_free(struct lutra_stage_engine *engine)
{
    struct stg_pipeline *p, *tmp;
    if (!engine) {
        return;
    }
    lutra_buses_on_due(engine->env->buses, NULL, NULL);
    lutra_catalog_free(engine->catalog);
    HASH_ITER(hh, engine->pipelines, p, tmp)
    {
        stg_pipeline_free(p);
    }
    stg_inputs_free(engine);
    lutra_timer_free(engine->retry_timer);
    lutra_task_free(engine->drain_task);
    lutra_task_free(engine->work_task);
    lutra_task_free(engine->topics_task);
    lutra_arena_free(engine->arena);
    engine->magic = 0;
    lutra_free(engine);
}

const struct lutra_catalog *lutra_stage_engine_catalog(const struct lutra_stage_engine *engine)
{
    return engine->catalog;
}

bool lutra_stage_engine_ready(struct lutra_stage_engine *engine, char *reason, size_t reason_len)
{
    if (!lutra_catalog_known(engine->catalog)) {
        (void)snprintf(reason, reason_len, "the list of channels has not been read yet");
        return false;
    }
    return true;
}

static int by_id(const struct stg_pipeline *a, const struct stg_pipeline *b)
{
    return strcmp(a->id, b->id);
}

void lutra_stage_engine_state(struct lutra_stage_engine *engine, json_t *root)
{
    struct stg_pipeline *p, *tmp;
    json_t *array = json_array();
    HASH_SORT(engine->pipelines, by_id);
    HASH_ITER(hh, engine->pipelines, p, tmp)
    {
        if (stg_pipeline_mine(p)) {
            stg_pipeline_json(p, array);
        }
    }
    (void)json_object_set_new(root, "pipelines", array);
    (void)json_object_set_new(root, "bytes_in_hand",
                              json_integer((json_int_t)engine->bytes_in_hand));
}
