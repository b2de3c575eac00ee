/* Work, and what comes of it to the next topic.
 *
 * DESIGN: one batch a turn. The first message of a turn is worked on where it lies; what comes in
 * the same turn is copied and waits in the queue, one a turn. */
#include <utlist.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "stage/stage_private.h"

enum { REPUBLISH_BUDGET = 16 };

static void on_ack(const struct lutra_error *err, void *arg);

static void wait_and_retry(struct stg_item *item, const struct lutra_error *err)
{
    struct stg_pipeline *p = item->partition->pipeline;
    struct lutra_stage_engine *engine = p->engine;
    p->retries++;
    lutra_counter_add(p->c_retries, 1);
    LUTRA_WARN("stage.retry", LUTRA_F_STR("pipeline", p->id),
               LUTRA_F_U64("process", item->envelope.process_id), LUTRA_F_ERR(err));
    stg_item_set_state(item, STG_WAITING);
    if (!lutra_timer_active(engine->retry_timer)) {
        lutra_timer_start(engine->retry_timer,
                          lutra_backoff_next_ms(&engine->backoff, engine->env->loop));
    }
}

static void failed(struct stg_item *item, const struct lutra_error *err)
{
    if (err->class == LUTRA_RETRY) {
        wait_and_retry(item, err);
    } else {
        stg_stop(item, err);
    }
}

static int publish_to_bus(struct stg_item *item, struct lutra_error *err)
{
    struct stg_partition *part = item->partition;
    struct lutra_stage_engine *engine = part->pipeline->engine;
    struct lutra_envelope envelope = item->envelope;
    int32_t partition = engine->desc.stage == LUTRA_STAGE_TRANSFORM ? 0 : part->number;
    if (LUTRA_FAULT(engine->faults->before_publish)) {
        return lutra_error_set(err, LUTRA_RETRY, 0, "fault point %s",
                               engine->faults->before_publish);
    }
    envelope.ts_us[engine->desc.stage] = lutra_loop_wall_us(engine->env->loop);
    if (lutra_pipe_publish(part->pipeline->output, part->pipeline->topic_out, partition, &envelope,
                           item->bytes.data, item->bytes.len, on_ack, item, err)) {
        return -1;
    }
    if (LUTRA_FAULT(engine->faults->published)) {
        lutra_pipe_forget(part->pipeline->output, item);
        return lutra_error_set(err, LUTRA_RETRY, 0, "fault point %s", engine->faults->published);
    }
    return 0;
}

static void publish(struct stg_item *item)
{
    struct lutra_error err = {0};
    if (publish_to_bus(item, &err)) {
        failed(item, &err);
    } else {
        stg_item_set_state(item, STG_PUBLISHED);
    }
}

static void on_ack(const struct lutra_error *err, void *arg)
{
    struct stg_item *item = arg;
    LUTRA_ASSERT(item->magic == STG_ITEM_MAGIC && item->state == STG_PUBLISHED);
    struct stg_pipeline *p = item->partition->pipeline;
    struct lutra_error fault = {.class = LUTRA_RETRY, .msg = "fault point"};
    stg_item_set_state(item, STG_NEW); /* nothing is left to forget */
    if (!err && LUTRA_FAULT(p->engine->faults->acked)) {
        err = &fault;
    }
    if (err) {
        failed(item, err);
        return;
    }
    lutra_backoff_reset(&p->engine->backoff);
    p->done++;
    p->rows += item->rows;
    lutra_counter_add(p->c_done, 1);
    lutra_counter_add(p->c_rows, item->rows);
    if (item->envelope.process_id > p->last_process_id) {
        p->last_process_id = item->envelope.process_id;
    }
    stg_item_done(item);
}

void stg_work(struct stg_item *item, const uint8_t *payload, size_t len)
{
    struct stg_pipeline *p = item->partition->pipeline;
    struct lutra_stage_engine *engine = p->engine;
    struct lutra_stage_output out = {0};
    struct lutra_error err = {0};
    uint64_t start_us = lutra_clock_now_us();
    engine->worked = true;
    lutra_task_schedule(engine->work_task);
    int rc = engine->desc.work(p->view, &item->envelope, payload, len, engine->arena, &out, &err);
    if (rc == 0 && LUTRA_FAULT(engine->faults->decoded)) {
        rc = lutra_error_set(&err, LUTRA_DATA, 0, "fault point %s", engine->faults->decoded);
    }
    lutra_arena_reset(engine->arena);
    lutra_histogram_observe(p->h_work, (double)(lutra_clock_now_us() - start_us) / 1e6);
    stg_item_set_state(item, STG_NEW);
    lutra_buf_fini(&item->bytes);
    item->bytes = out.payload;
    item->rows = out.rows;
    if (rc && err.code == LUTRA_STAGE_FOREIGN) {
        stg_malformed(p, &err);
        stg_item_done(item);
    } else if (rc) {
        stg_stop(item, &err);
    } else {
        publish(item);
    }
}

void stg_work_task_cb(void *arg)
{
    struct lutra_stage_engine *engine = arg;
    LUTRA_ASSERT(engine->magic == STG_ENGINE_MAGIC);
    engine->worked = false;
    while (!engine->worked && engine->queue) {
        struct stg_item *item = engine->queue;
        if (stg_may_work(item)) {
            stg_work(item, item->bytes.data, item->bytes.len);
        }
    }
}

void stg_retry_timer_cb(void *arg)
{
    struct lutra_stage_engine *engine = arg;
    LUTRA_ASSERT(engine->magic == STG_ENGINE_MAGIC);
    for (int i = 0; i < REPUBLISH_BUDGET && engine->waiting; i++) {
        publish(engine->waiting);
        if (lutra_timer_active(engine->retry_timer)) {
            return; /* it failed again: all wait */
        }
    }
    if (engine->waiting) {
        lutra_timer_start(engine->retry_timer, 0);
    }
}
