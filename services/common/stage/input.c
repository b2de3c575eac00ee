/* What comes from the topic: which messages are taken, and what becomes of the others. */
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "stage/stage_private.h"

/* NULL: none of ours, or it is read from another bus by now. */
static struct stg_pipeline *find(const struct stg_input *input, const char *topic)
{
    struct stg_pipeline *p;
    HASH_FIND_STR(input->engine->pipelines, topic, p);
    return p && p->input == input ? p : NULL;
}

/* Only for the time that it saves the first process. */
static void on_warm(const struct lutra_error *err, void *arg)
{
    struct stg_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == STG_PIPELINE_MAGIC);
    p->warm = err == NULL;
}

static void warm_up(struct stg_pipeline *p)
{
    if (!p->warm) {
        lutra_bus_forget(p->output, p);
        lutra_bus_warm_up(p->output, p->topic_out, on_warm, p);
    }
}

static void on_assigned(const char *topic, int32_t partition, void *arg)
{
    const struct stg_input *input = arg;
    LUTRA_ASSERT(input->magic == STG_INPUT_MAGIC);
    struct stg_pipeline *p = find(input, topic);
    if (p) {
        stg_partition_drop(p, partition);
        (void)stg_partition_get(p, partition);
        warm_up(p);
        LUTRA_INFO("stage.assigned", LUTRA_F_STR("pipeline", p->id),
                   LUTRA_F_I64("partition", partition));
    }
}

static void on_revoked(const char *topic, int32_t partition, void *arg)
{
    const struct stg_input *input = arg;
    LUTRA_ASSERT(input->magic == STG_INPUT_MAGIC);
    struct stg_pipeline *p = find(input, topic);
    if (p) {
        stg_partition_drop(p, partition);
        LUTRA_INFO("stage.revoked", LUTRA_F_STR("pipeline", p->id),
                   LUTRA_F_I64("partition", partition));
    }
}

void stg_malformed(struct stg_pipeline *p, const struct lutra_error *err)
{
    lutra_unusable_count(&p->malformed, p->engine->env->loop);
    lutra_counter_add(p->c_malformed, 1);
    if (!p->stopped && !p->lost) {
        (void)snprintf(p->last_error, sizeof p->last_error, "passed over: %.490s", err->msg);
    }
    LUTRA_ERROR("stage.malformed", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(err));
}

static void stale(struct stg_pipeline *p, const struct lutra_envelope *envelope)
{
    p->stale++;
    lutra_counter_add(p->c_stale, 1);
    LUTRA_DEBUG("stage.stale", LUTRA_F_STR("pipeline", p->id),
                LUTRA_F_U64("process", envelope->process_id), LUTRA_F_U64("epoch", envelope->epoch),
                LUTRA_F_U64("config", envelope->config_version));
}

static void keep(struct stg_item *item, enum stg_item_state state, const uint8_t *data, size_t len)
{
    lutra_buf_append(&item->bytes, data, len);
    stg_item_set_state(item, state);
}

bool stg_may_work(struct stg_item *item)
{
    struct stg_pipeline *p = item->partition->pipeline;
    uint64_t wanted = item->envelope.config_version, own = p->view->config_version;
    if (wanted < own) {
        stale(p, &item->envelope);
        stg_item_done(item);
    } else if (wanted > own && item->state != STG_HELD) {
        stg_item_set_state(item, STG_HELD);
    }
    return wanted == own;
}

static void take(struct stg_partition *part,
                 const struct lutra_envelope *envelope,
                 const uint8_t *payload,
                 size_t len,
                 int64_t first_offset)
{
    struct lutra_stage_engine *engine = part->pipeline->engine;
    struct stg_item *item = stg_item_new(part, envelope, first_offset);
    if (envelope->config_version > part->pipeline->view->config_version) {
        LUTRA_INFO("stage.held", LUTRA_F_STR("pipeline", part->pipeline->id),
                   LUTRA_F_U64("process", envelope->process_id),
                   LUTRA_F_U64("config", envelope->config_version),
                   LUTRA_F_U64("own_config", part->pipeline->view->config_version));
        keep(item, STG_HELD, payload, len);
    } else if (engine->draining) {
        stg_item_abandon(item);
    } else if (engine->worked || engine->queue) {
        keep(item, STG_QUEUED, payload, len);
    } else {
        stg_work(item, payload, len); /* the usual case: nothing is copied */
    }
}

/* True: the message belongs to what the pipeline works on now. */
static bool admit(struct stg_partition *part, const struct lutra_envelope *envelope, int64_t offset)
{
    struct stg_pipeline *p = part->pipeline;
    if (envelope->epoch < p->epoch) {
        stale(p, envelope);
        return false;
    }
    if (envelope->epoch > p->epoch) {
        return true; /* it has to show first that it is what it says: see begin_epoch */
    }
    if (p->stopped) {
        p->refused++;
        if (part->refused_offset < 0) {
            part->refused_offset = offset;
        }
        return false;
    }
    if (envelope->config_version < p->view->config_version) {
        stale(p, envelope);
        return false;
    }
    return true;
}

/* A message that is whole may begin the epoch that it names, when it is a batch of the stream.
 * False: it is not, or not for the definition that there is. */
static bool begin_epoch(struct stg_pipeline *p,
                        const struct lutra_envelope *envelope,
                        const uint8_t *payload,
                        size_t len)
{
    struct lutra_stage_engine *engine = p->engine;
    struct lutra_error err = {0};
    bool ours;
    if (engine->desc.stage == LUTRA_STAGE_EXTRACT) {
        ours = lutra_stage_raw_batch(p->view, envelope, payload, len, engine->arena, &err);
    } else {
        ours = lutra_stage_change_batch(p->view, envelope, payload, len, engine->arena, &err);
    }
    lutra_arena_reset(engine->arena);
    if (!ours) {
        stg_malformed(p, &err);
        return false;
    }
    stg_new_epoch(p, envelope->epoch);
    if (envelope->config_version < p->view->config_version) {
        stale(p, envelope);
        return false;
    }
    return true;
}

static void feed(struct stg_partition *part, const struct lutra_bus_message *message)
{
    struct stg_pipeline *p = part->pipeline;
    struct lutra_envelope envelope;
    struct lutra_error err;
    const uint8_t *payload;
    size_t len;
    if (lutra_envelope_parse(message, &envelope, &err)) {
        stg_malformed(p, &err);
        return;
    }
    if (!admit(part, &envelope, message->offset)) {
        return;
    }
    /* Payloads may interleave: that of the first open assembly is the safe bound for all. */
    int64_t first = lutra_assembler_first_offset(part->assembler);
    int rc = lutra_assembler_feed(part->assembler, message, &envelope, &payload, &len, &err);
    if (rc < 0) {
        stg_malformed(p, &err);
    } else if (rc > 0 && (envelope.epoch <= p->epoch || begin_epoch(p, &envelope, payload, len))) {
        take(part, &envelope, payload, len, first >= 0 ? first : message->offset);
    }
}

static void on_message(const struct lutra_bus_message *message, void *arg)
{
    const struct stg_input *input = arg;
    LUTRA_ASSERT(input->magic == STG_INPUT_MAGIC);
    const struct lutra_stage_engine *engine = input->engine;
    struct stg_pipeline *p = find(input, message->topic);
    struct stg_partition *part = p ? stg_partition_get(p, message->partition) : NULL;
    if (!part) {
        return; /* the pipeline was removed; the subscription follows */
    }
    if (message->offset < part->next_offset) {
        part->committed = -1; /* the topic was made anew, or lost its tail */
    }
    if (LUTRA_FAULT(engine->faults->received)) {
        struct lutra_error err;
        (void)lutra_error_set(&err, LUTRA_DATA, 0, "fault point %s", engine->faults->received);
        stg_malformed(p, &err);
    } else {
        feed(part, message);
    }
    /* Only now: what feed commits must not pass this message. */
    part->next_offset = message->offset + 1;
    stg_partition_commit(part);
}

static void on_reset(const char *topic, int32_t partition, int64_t from, int64_t to, void *arg)
{
    const struct stg_input *input = arg;
    char reason[256];
    (void)to;
    LUTRA_ASSERT(input->magic == STG_INPUT_MAGIC);
    struct stg_pipeline *p = find(input, topic);
    if (p) {
        (void)snprintf(reason, sizeof reason,
                       "messages of %s, partition %d, are gone or corrupt from offset %lld on",
                       topic, (int)partition, (long long)from);
        stg_lost(p, reason);
    }
}

void stg_input_released(struct stg_pipeline *p)
{
    for (size_t i = 0; i < p->n_partitions; i++) {
        struct stg_item *item, *tmp;
        if (!p->partitions[i]) {
            continue;
        }
        DL_FOREACH_SAFE(p->partitions[i]->items, item, tmp)
        {
            if (item->state == STG_HELD && stg_may_work(item)) {
                stg_item_set_state(item, STG_QUEUED);
            }
        }
    }
}

/* ---- the buses that are read ---- */

struct stg_input *stg_input_get(struct lutra_stage_engine *engine, struct lutra_bus *bus)
{
    static const struct lutra_bus_subscription_handler handler = {
        .on_message = on_message,
        .on_assigned = on_assigned,
        .on_revoked = on_revoked,
        .on_reset = on_reset,
    };
    struct stg_input *input;
    char group[32];
    LL_FOREACH(engine->inputs, input)
    {
        if (input->bus == bus) {
            return input;
        }
    }
    input = LUTRA_NEW(struct stg_input);
    input->magic = STG_INPUT_MAGIC;
    input->engine = engine;
    input->bus = bus;
    (void)snprintf(group, sizeof group, "lutra-%s", lutra_stage_name(engine->desc.stage));
    input->subscription = lutra_bus_subscription_new(bus, group, &handler, input);
    LL_APPEND(engine->inputs, input);
    return input;
}

void stg_inputs_free(struct lutra_stage_engine *engine)
{
    while (engine->inputs) {
        struct stg_input *input = engine->inputs;
        LL_DELETE(engine->inputs, input);
        lutra_bus_subscription_free(input->subscription);
        lutra_buf_fini(&input->topics);
        input->magic = 0;
        lutra_free(input);
    }
}

/* Only when the list has changed: a group does not move for nothing. */
void stg_input_subscribe(struct stg_input *input)
{
    struct stg_pipeline *p, *tmp;
    struct lutra_buf text = {0};
    size_t n = 0;
    LUTRA_AUTO_FREE const char **list =
        lutra_alloc((HASH_COUNT(input->engine->pipelines) + 1) * sizeof *list);
    HASH_ITER(hh, input->engine->pipelines, p, tmp)
    {
        if (p->input == input) {
            list[n++] = p->topic_in;
            lutra_buf_printf(&text, "%s\n", p->topic_in);
        }
    }
    if (strcmp(lutra_buf_cstr(&text), lutra_buf_cstr(&input->topics)) != 0) {
        lutra_bus_subscription_topics(input->subscription, list, n);
        LUTRA_INFO("stage.topics", LUTRA_F_U64("topics", n));
        lutra_buf_fini(&input->topics);
        input->topics = text;
        text = (struct lutra_buf){0};
    }
    lutra_buf_fini(&text);
}
