#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "extract/extract.h"
#include "stages/batches.h"
#include "transform/transform.h"

static const char PAIRS[] = "[{source: {schema: shop, table: '*'}, target: {schema: eu}, "
                            "exclude: [qty], columns: {name: customer}}]";

/* ---- what reaches load ---- */

static struct sent *find_sent(struct world *w, uint64_t epoch, uint64_t process_id)
{
    for (size_t i = 0; i < w->n_sent; i++) {
        if (w->sent[i].epoch == epoch && w->sent[i].process_id == process_id) {
            return &w->sent[i];
        }
    }
    return NULL;
}

static void on_load_message(const struct lutra_bus_message *message, void *arg)
{
    struct world *w = arg;
    struct lutra_envelope envelope;
    struct lutra_error err;
    const uint8_t *payload;
    size_t len;
    int rc = lutra_assembler_feed(w->assembler, message, &envelope, &payload, &len, &err);
    cr_assert_geq(rc, 0, "%s", err.msg);
    if (rc == 0) {
        return;
    }
    struct sent *sent = find_sent(w, envelope.epoch, envelope.process_id);
    w->arrived++;
    if (!sent) {
        w->foreign++;
        return;
    }
    sent->arrived++;
    cr_assert_eq(len, sent->expected.len, "process %llu: %zu bytes, expected %zu",
                 (unsigned long long)envelope.process_id, len, sent->expected.len);
    cr_assert_eq(memcmp(payload, sent->expected.data, len), 0);
    cr_assert_str_eq(envelope.nonce, BATCH_NONCE);
    cr_assert_gt(envelope.ts_us[LUTRA_STAGE_EXTRACT], 0);
    cr_assert_geq(envelope.ts_us[LUTRA_STAGE_TRANSFORM], envelope.ts_us[LUTRA_STAGE_EXTRACT]);
}

/* ---- the world ---- */

void world_config(struct world *w, uint64_t version)
{
    struct lutra_buf json = {0};
    w->channel->version = version;
    lutra_channel_to_json(w->channel, &json);
    lutra_mem_tree_poke(w->tree, "/lutra/channels/orders/config", lutra_buf_cstr(&json));
    lutra_buf_fini(&json);
}

void world_remove_config(struct world *w)
{
    lutra_mem_tree_poke(w->tree, "/lutra/channels/orders", NULL);
}

void world_create_output(struct world *w)
{
    lutra_mem_broker_create_topic(w->broker, "lutra.orders.transform", PARTITIONS);
    lutra_mem_broker_create_topic(w->broker, "lutra.orders.load", 1);
}

struct world *world_new_without_output(uint64_t seed)
{
    static const struct lutra_bus_reader_handler handler = {.on_message = on_load_message};
    struct world *w = LUTRA_NEW(struct world);
    w->loop = lutra_loop_new_sim(seed);
    w->broker = lutra_mem_broker_new(w->loop);
    lutra_mem_broker_set_max_message_bytes(w->broker, 4096);
    w->tree = lutra_mem_tree_new(w->loop);
    w->channel = batch_channel(PAIRS);
    lutra_mem_broker_create_topic(w->broker, "lutra.orders.extract", PARTITIONS);
    w->bus = lutra_bus_mem_new(w->broker, "test");
    w->assembler = lutra_assembler_new(1 << 20);
    w->reader = lutra_bus_reader_new(w->bus, "lutra-load", "lutra.orders.load", 0,
                                     LUTRA_BUS_START_LOW, &handler, w);
    lutra_mem_tree_poke(w->tree, "/lutra/channels/orders/desired",
                        "{\"state\":\"START\",\"by\":\"test\",\"at_ms\":1}");
    world_config(w, 1);
    return w;
}

struct world *world_new(uint64_t seed)
{
    struct world *w = world_new_without_output(seed);
    world_create_output(w);
    return w;
}

void world_free(struct world *w)
{
    for (size_t i = 0; i < MAX_NODES; i++) {
        if (w->nodes[i].engine) {
            world_stop(&w->nodes[i]);
        }
    }
    for (size_t i = 0; i < w->n_sent; i++) {
        lutra_buf_fini(&w->sent[i].raw);
        lutra_buf_fini(&w->sent[i].expected);
    }
    lutra_bus_reader_free(w->reader);
    lutra_bus_free(w->bus);
    lutra_assembler_free(w->assembler);
    lutra_mem_broker_free(w->broker);
    lutra_mem_tree_free(w->tree);
    lutra_channel_free(w->channel);
    lutra_loop_free(w->loop);
    lutra_free(w);
}

/* ---- processes ---- */

static struct lutra_bus *open_bus(const char *name, void *arg, struct lutra_error *err)
{
    const struct world *w = arg;
    if (w->no_threads) {
        lutra_error_set(err, LUTRA_RETRY, 0, "bus %s: no threads", name);
        return NULL;
    }
    return lutra_bus_mem_new(w->broker, name);
}

struct node *world_start(struct world *w, enum lutra_stage stage)
{
    struct lutra_stage_desc desc = {
        .stage = stage,
        .work = stage == LUTRA_STAGE_EXTRACT ? lutra_extract_work : lutra_transform_work,
        .max_bytes_in_hand = w->max_bytes_in_hand,
    };
    size_t i = 0;
    while (w->nodes[i].engine) {
        i++;
        cr_assert_lt(i, MAX_NODES);
    }
    struct node *node = &w->nodes[i];
    *node = (struct node){.world = w};
    node->env = (struct lutra_env){
        .loop = w->loop,
        .coord = lutra_coord_mem_new(w->tree, 4000),
        .buses = lutra_buses_new(w->loop, open_bus, w),
        .metrics = lutra_metrics_new(),
        .instance = "one",
        .site = "default",
    };
    node->bus = lutra_bus_mem_new(w->broker, "stage");
    lutra_buses_put(node->env.buses, "default", node->bus);
    node->engine = lutra_stage_engine_new(&node->env, &desc);
    return node;
}

void world_stop(struct node *node)
{
    lutra_stage_engine_free(node->engine);
    lutra_buses_free(node->env.buses);
    lutra_coord_free(node->env.coord);
    lutra_metrics_free(node->env.metrics);
    node->engine = NULL;
}

void world_kill(struct node *node)
{
    lutra_bus_mem_kill(node->bus);
    lutra_coord_mem_kill(node->env.coord);
    world_stop(node);
}

static void on_drained(void *arg)
{
    struct node *node = arg;
    cr_assert_not(node->drained);
    node->drained = true;
}

void world_drain(struct node *node)
{
    lutra_stage_engine_drain(node->engine, on_drained, node);
}

/* ---- what select does ---- */

static void publish(struct sent *sent);

static void on_ack(const struct lutra_error *err, void *arg)
{
    struct sent *sent = arg;
    if (err) {
        publish(sent);
    } else {
        sent->acked = true;
    }
}

static void publish(struct sent *sent)
{
    struct lutra_error err;
    cr_assert_eq(lutra_pipe_publish(sent->world->bus, "lutra.orders.extract", sent->partition,
                                    &sent->envelope, sent->raw.data, sent->raw.len, on_ack, sent,
                                    &err),
                 0, "%s", err.msg);
}

/* What must come out at the end, by the pure functions themselves. */
static void expect(struct sent *sent, const struct lutra_channel *channel)
{
    struct lutra_pipeline pipeline = {
        .id = "orders", .channel = channel, .def = &channel->pipelines[0]};
    struct lutra_stage_output mid = {0}, out = {0};
    struct lutra_arena *arena = lutra_arena_new(0);
    struct lutra_error err;
    cr_assert_eq(lutra_extract_work(&pipeline, &sent->envelope, sent->raw.data, sent->raw.len,
                                    arena, &mid, &err),
                 0, "%s", err.msg);
    cr_assert_eq(lutra_transform_work(&pipeline, &sent->envelope, mid.payload.data, mid.payload.len,
                                      arena, &out, &err),
                 0, "%s", err.msg);
    sent->expected = out.payload;
    lutra_buf_fini(&mid.payload);
    lutra_arena_free(arena);
}

static struct sent *make(struct world *w,
                         uint64_t epoch,
                         uint64_t process_id,
                         uint32_t rows,
                         uint64_t config_version,
                         bool bad)
{
    struct batch_maker *m = batch_maker_new("orders", epoch, process_id);
    cr_assert_lt(w->n_sent, MAX_PROCESSES);
    struct sent *sent = &w->sent[w->n_sent++];
    *sent = (struct sent){.world = w, .epoch = epoch, .process_id = process_id};
    m->head->config_version = config_version;
    batch_fill(m, rows);
    if (bad) {
        m->raw[0]->body.len--;
    }
    batch_pack_raw(m, &sent->raw);
    sent->envelope = batch_envelope(m);
    batch_maker_free(m);
    if (!bad) {
        expect(sent, w->channel);
    }
    return sent;
}

static struct sent *send_it(struct world *w, struct sent *sent)
{
    sent->partition = (int32_t)(lutra_loop_random(w->loop) % PARTITIONS);
    publish(sent);
    return sent;
}

struct sent *world_send_config(
    struct world *w, uint64_t epoch, uint64_t process_id, uint32_t rows, uint64_t config_version)
{
    struct sent *sent = find_sent(w, epoch, process_id);
    return send_it(w, sent ? sent : make(w, epoch, process_id, rows, config_version, false));
}

struct sent *world_send(struct world *w, uint64_t epoch, uint64_t process_id, uint32_t rows)
{
    return world_send_config(w, epoch, process_id, rows, 1);
}

struct sent *world_send_bad(struct world *w, uint64_t epoch, uint64_t process_id)
{
    return send_it(w, make(w, epoch, process_id, 2, 1, true));
}

/* ---- looking ---- */

void world_run(struct world *w, uint64_t ms)
{
    lutra_loop_run_for(w->loop, ms);
}

struct waiting {
    struct world *w;
    uint64_t epoch;
};

static bool all_arrived(void *arg)
{
    const struct waiting *waiting = arg;
    for (size_t i = 0; i < waiting->w->n_sent; i++) {
        const struct sent *sent = &waiting->w->sent[i];
        if (sent->arrived == 0 && (waiting->epoch == 0 || sent->epoch == waiting->epoch)) {
            return false;
        }
    }
    return true;
}

bool world_all_arrived(struct world *w, uint64_t epoch, uint64_t timeout_ms)
{
    struct waiting waiting = {.w = w, .epoch = epoch};
    return lutra_loop_run_until(w->loop, all_arrived, &waiting, timeout_ms);
}

static json_t *node_state(struct node *node)
{
    json_t *root = json_object();
    lutra_stage_engine_state(node->engine, root);
    return root;
}

static json_t *node_entry(json_t *root, const char *key)
{
    json_t *entry = json_array_get(json_object_get(root, "pipelines"), 0);
    json_t *value = json_object_get(entry, key);
    cr_assert_not_null(value, "no %s in /state", key);
    return value;
}

int64_t node_number(struct node *node, const char *key)
{
    json_t *root = node_state(node);
    json_t *value = node_entry(root, key);
    int64_t number =
        json_is_array(value) ? (int64_t)json_array_size(value) : (int64_t)json_integer_value(value);
    json_decref(root);
    return number;
}

const char *node_text(struct node *node, const char *key)
{
    static char text[1024];
    json_t *root = node_state(node);
    snprintf(text, sizeof text, "%s", json_string_value(node_entry(root, key)));
    json_decref(root);
    return text;
}

uint64_t node_bytes_in_hand(struct node *node)
{
    json_t *root = node_state(node);
    uint64_t bytes = (uint64_t)json_integer_value(json_object_get(root, "bytes_in_hand"));
    json_decref(root);
    return bytes;
}

int64_t world_committed(struct world *w, const char *stage, int32_t partition)
{
    char topic[80], group[80];
    snprintf(topic, sizeof topic, "lutra.orders.%s", stage);
    snprintf(group, sizeof group, "lutra-%s", stage);
    return lutra_mem_broker_committed(w->broker, group, topic, partition);
}
