#include <utlist.h>

#include "base/fault.h"
#include "base/mem.h"
#include "stage/stage_private.h"

/* ---- partitions ---- */

enum { MAX_PARTITION = 1 << 16 };

static struct stg_partition *partition_new(struct stg_pipeline *p, int32_t number)
{
    struct stg_partition *part = LUTRA_NEW(struct stg_partition);
    part->pipeline = p;
    part->number = number;
    part->assembler = lutra_assembler_new(LUTRA_WIRE_MAX_BYTES);
    part->next_offset = part->refused_offset = part->committed = -1;
    stg_partition_pause(part);
    return part;
}

struct stg_partition *stg_partition_get(struct stg_pipeline *p, int32_t number)
{
    if (number < 0 || number > MAX_PARTITION) {
        return NULL;
    }
    size_t i = (size_t)number;
    if (i >= p->n_partitions) {
        p->partitions = lutra_realloc(p->partitions, (i + 1) * sizeof *p->partitions);
        while (p->n_partitions <= i) {
            p->partitions[p->n_partitions++] = NULL;
        }
    }
    if (!p->partitions[i]) {
        p->partitions[i] = partition_new(p, number);
    }
    return p->partitions[i];
}

void stg_partition_drop(struct stg_pipeline *p, int32_t number)
{
    if (number < 0 || (size_t)number >= p->n_partitions || !p->partitions[number]) {
        return;
    }
    struct stg_partition *part = p->partitions[number];
    part->closing = true;
    while (part->items) {
        stg_item_abandon(part->items);
    }
    p->partitions[number] = NULL;
    lutra_assembler_free(part->assembler);
    lutra_free(part);
}

static void lower(int64_t *bound, int64_t offset)
{
    if (offset >= 0 && offset < *bound) {
        *bound = offset;
    }
}

void stg_partition_commit(struct stg_partition *part)
{
    int64_t next = part->next_offset;
    const struct stg_item *item;
    lower(&next, lutra_assembler_first_offset(part->assembler));
    lower(&next, part->refused_offset);
    DL_FOREACH(part->items, item)
    {
        lower(&next, item->first_offset);
    }
    if (next > part->committed) {
        part->committed = next;
        lutra_bus_subscription_commit(part->pipeline->input->subscription, part->pipeline->topic_in,
                                      part->number, next);
        (void)LUTRA_FAULT(part->pipeline->engine->faults->committed);
    }
}

void stg_partition_pause(struct stg_partition *part)
{
    struct lutra_stage_engine *engine = part->pipeline->engine;
    bool want = part->n_held > 0 || part->n_waiting > 0 || engine->full || engine->draining;
    if (want != part->paused && !part->closing) {
        part->paused = want;
        lutra_bus_subscription_pause(part->pipeline->input->subscription, part->pipeline->topic_in,
                                     part->number, want);
    }
}

void stg_pause_all(struct lutra_stage_engine *engine)
{
    struct stg_pipeline *p, *tmp;
    HASH_ITER(hh, engine->pipelines, p, tmp)
    {
        for (size_t i = 0; i < p->n_partitions; i++) {
            if (p->partitions[i]) {
                stg_partition_pause(p->partitions[i]);
            }
        }
    }
}

/* ---- items ---- */

struct stg_item *stg_item_new(struct stg_partition *part,
                              const struct lutra_envelope *envelope,
                              int64_t first_offset)
{
    struct stg_item *item = LUTRA_NEW(struct stg_item);
    item->magic = STG_ITEM_MAGIC;
    item->partition = part;
    item->envelope = *envelope;
    item->first_offset = first_offset;
    DL_APPEND(part->items, item);
    part->pipeline->n_items++;
    part->pipeline->engine->n_items++;
    lutra_gauge_set(part->pipeline->g_in_hand, (double)part->pipeline->n_items);
    return item;
}

void stg_item_recount(struct stg_item *item)
{
    struct lutra_stage_engine *engine = item->partition->pipeline->engine;
    uint64_t max = engine->desc.max_bytes_in_hand;
    engine->bytes_in_hand -= item->counted_bytes;
    item->counted_bytes = item->state == STG_HELD ? 0 : item->bytes.cap;
    engine->bytes_in_hand += item->counted_bytes;
    lutra_gauge_set(engine->g_bytes, (double)engine->bytes_in_hand);
    if (engine->full ? engine->bytes_in_hand <= max / 2 : engine->bytes_in_hand > max) {
        engine->full = !engine->full;
        stg_pause_all(engine);
    }
}

static void leave_state(struct stg_item *item)
{
    struct stg_partition *part = item->partition;
    struct lutra_stage_engine *engine = part->pipeline->engine;
    switch (item->state) {
    case STG_NEW:
        break;
    case STG_HELD:
        part->n_held--;
        part->pipeline->n_held--;
        lutra_gauge_set(part->pipeline->g_held, (double)part->pipeline->n_held);
        break;
    case STG_QUEUED:
        DL_DELETE2(engine->queue, item, line_prev, line_next);
        break;
    case STG_PUBLISHED:
        break;
    case STG_WAITING:
        DL_DELETE2(engine->waiting, item, line_prev, line_next);
        part->n_waiting--;
        break;
    }
}

void stg_item_set_state(struct stg_item *item, enum stg_item_state state)
{
    struct stg_partition *part = item->partition;
    struct lutra_stage_engine *engine = part->pipeline->engine;
    leave_state(item);
    item->state = state;
    switch (state) {
    case STG_NEW:
        break;
    case STG_HELD:
        part->n_held++;
        if (part->pipeline->n_held++ == 0) {
            part->pipeline->held_since_ms = lutra_loop_now_ms(engine->env->loop);
        }
        lutra_gauge_set(part->pipeline->g_held, (double)part->pipeline->n_held);
        break;
    case STG_QUEUED:
        DL_APPEND2(engine->queue, item, line_prev, line_next);
        lutra_task_schedule(engine->work_task);
        break;
    case STG_PUBLISHED:
        break;
    case STG_WAITING:
        DL_APPEND2(engine->waiting, item, line_prev, line_next);
        part->n_waiting++;
        break;
    }
    stg_item_recount(item);
    stg_partition_pause(part);
}

/* Its acks are forgotten: what was published may still be written, and is then one time too often.
 */
static void item_free(struct stg_item *item)
{
    struct stg_partition *part = item->partition;
    struct stg_pipeline *p = part->pipeline;
    if (item->state == STG_PUBLISHED) {
        lutra_pipe_forget(p->output, item);
    }
    lutra_buf_fini(&item->bytes);
    stg_item_set_state(item, STG_NEW);
    DL_DELETE(part->items, item);
    p->n_items--;
    p->engine->n_items--;
    lutra_gauge_set(p->g_in_hand, (double)p->n_items);
    if (p->engine->draining && p->engine->n_items == 0) {
        lutra_task_schedule(p->engine->drain_task);
    }
    item->magic = 0;
    lutra_free(item);
}

void stg_item_done(struct stg_item *item)
{
    struct stg_partition *part = item->partition;
    item_free(item);
    stg_partition_commit(part);
}

void stg_item_abandon(struct stg_item *item)
{
    struct stg_partition *part = item->partition;
    if (part->refused_offset < 0 || item->first_offset < part->refused_offset) {
        part->refused_offset = item->first_offset;
    }
    item_free(item);
}
