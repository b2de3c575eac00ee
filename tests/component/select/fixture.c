#include "fixture.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SESSION_MS = 4000 };

struct fix fix;

static struct lutra_source *
source_new(const struct lutra_env *env, const struct lutra_endpoint *endpoint, const char *pipeline)
{
    (void)env;
    cr_expect_str_eq(endpoint->name, "a");
    cr_expect_str_eq(pipeline, "p");
    return lutra_source_mem_new(fix.binlog);
}

static void on_message(const struct lutra_bus_message *message, void *arg)
{
    struct lutra_envelope envelope;
    struct lutra_error err = {0};
    struct lutra_assembler *assembler = lutra_assembler_new(64 << 20);
    const uint8_t *payload;
    size_t len;
    (void)arg;
    cr_assert_eq(lutra_assembler_feed(assembler, message, &envelope, &payload, &len, &err), 1, "%s",
                 err.msg);
    fix.messages = lutra_realloc(fix.messages, (fix.n + 1) * sizeof(*fix.messages));
    struct fix_message *m = &fix.messages[fix.n++];
    *m = (struct fix_message){.process_id = envelope.process_id,
                              .epoch = envelope.epoch,
                              .partition = message->partition,
                              .stamp_us = envelope.ts_us[LUTRA_STAGE_SELECT],
                              .at_ms = lutra_loop_now_ms(fix.loop)};
    lutra_buf_append(&m->payload, payload, len);
    m->batch = lutra_wire_raw_batch(fix.arena, m->payload.data, m->payload.len, &err);
    cr_assert(m->batch, "%s", err.msg);
    cr_expect_eq(m->batch->head->process_id, m->process_id);
    cr_expect_eq(m->batch->head->epoch, m->epoch);
    lutra_assembler_free(assembler);
    if (fix.credit && m->epoch == fix.epoch && m->process_id > fix.consumed) {
        fix_termin(m->process_id, m->process_id);
    }
}

static const char *channel_yaml(const char *yaml)
{
    static char text[2000];
    (void)snprintf(text, sizeof(text),
                   "channel: c\nsources:\n  a: {type: mariadb, host: h, user: u}\n"
                   "  b: {type: mariadb, host: i, user: u}\npipelines:\n"
                   "  - {name: p, source: a, target: b, partitions: %d, "
                   "pairs: [{source: {schema: shop, table: 't*'}}]%s%s%s}\n",
                   FIX_PARTITIONS, strstr(yaml, "window") ? "" : ", window: 4", yaml[0] ? ", " : "",
                   yaml);
    return text;
}

void fix_define(const char *yaml, uint64_t version)
{
    const char *text = channel_yaml(yaml);
    struct lutra_error err = {0};
    struct lutra_buf json = {0};
    struct lutra_channel *channel = lutra_channel_parse(text, strlen(text), "test", &err);
    cr_assert(channel, "%s", err.msg);
    channel->version = version;
    lutra_channel_to_json(channel, &json);
    lutra_mem_tree_poke(fix.tree, "/lutra/channels/c/config", lutra_buf_cstr(&json));
    lutra_buf_fini(&json);
    lutra_channel_free(channel);
}

void fix_desire(const char *state)
{
    char json[128];
    (void)snprintf(json, sizeof(json), "{\"state\":\"%s\"}", state);
    lutra_mem_tree_poke(fix.tree, "/lutra/channels/c/desired", json);
}

void fix_init(const char *yaml)
{
    static const struct lutra_bus_reader_handler handler = {.on_message = on_message};
    fix = (struct fix){.loop = lutra_loop_new_sim(17), .config_version = 1};
    fix.broker = lutra_mem_broker_new(fix.loop);
    fix.tree = lutra_mem_tree_new(fix.loop);
    fix.binlog = lutra_mem_binlog_new(fix.loop, "mem:1");
    fix.arena = lutra_arena_new(0);
    events_init(&fix.events);
    fix_serve();
    fix_desire("START");
    lutra_mem_tree_poke(fix.tree, "/lutra/pipelines/p/control",
                        "{\"state\":\"START\",\"epoch\":0}");
    fix_define(yaml, 1);
    fix.env = (struct lutra_env){
        .loop = fix.loop,
        .coord = lutra_coord_mem_new(fix.tree, SESSION_MS),
        .buses = lutra_buses_new(fix.loop, NULL, NULL),
        .metrics = lutra_metrics_new(),
        .instance = "s1",
        .site = "default",
        .source_new = source_new,
    };
    lutra_buses_put(fix.env.buses, "default", lutra_bus_mem_new(fix.broker, "select"));
    (void)lutra_select_service.start(NULL, &fix.env, NULL, &fix.select, NULL);
    fix.bus = lutra_bus_mem_new(fix.broker, "load");
    lutra_mem_broker_create_topic(fix.broker, "lutra.p.extract", FIX_PARTITIONS);
    for (int32_t i = 0; i < FIX_PARTITIONS; i++) {
        fix.readers[i] = lutra_bus_reader_new(fix.bus, "test", "lutra.p.extract", i,
                                              LUTRA_BUS_START_LOW, &handler, NULL);
    }
}

void fix_fini(void)
{
    lutra_select_service.stop(fix.select);
    for (int32_t i = 0; i < FIX_PARTITIONS; i++) {
        lutra_bus_reader_free(fix.readers[i]);
    }
    lutra_buses_free(fix.env.buses);
    lutra_bus_free(fix.bus);
    lutra_coord_free(fix.env.coord);
    lutra_metrics_free(fix.env.metrics);
    lutra_mem_binlog_free(fix.binlog);
    lutra_mem_tree_free(fix.tree);
    lutra_mem_broker_free(fix.broker);
    for (size_t i = 0; i < fix.n; i++) {
        lutra_buf_fini(&fix.messages[i].payload);
    }
    lutra_free(fix.messages);
    lutra_arena_free(fix.arena);
    events_fini(&fix.events);
    lutra_loop_free(fix.loop);
}

static bool has_session(void *arg)
{
    (void)arg;
    return lutra_mem_tree_peek(fix.tree, "/lutra/pipelines/p/select") != NULL;
}

const char *fix_session(void)
{
    static struct lutra_owner_record owner;
    struct lutra_error err = {0};
    cr_assert(lutra_loop_run_until(fix.loop, has_session, NULL, 5000), "no select owner");
    const char *text = lutra_mem_tree_peek(fix.tree, "/lutra/pipelines/p/select");
    cr_assert_eq(lutra_owner_from_json(text, strlen(text), &owner, &err), 0, "%s", err.msg);
    return owner.session;
}

void fix_origin_as(const char *session,
                   uint64_t process_id,
                   const char *position,
                   const char *identity)
{
    struct lutra_origin origin = {.epoch = ++fix.epoch,
                                  .nonce = FIX_NONCE,
                                  .process_id = process_id,
                                  .config_version = fix.config_version};
    struct lutra_control control = {.start = true, .epoch = fix.epoch};
    struct lutra_buf json = {0};
    fix.consumed = process_id;
    origin.position = lutra_strdup(position);
    (void)snprintf(origin.select_session, sizeof(origin.select_session), "%s", session);
    (void)snprintf(origin.source_identity, sizeof(origin.source_identity), "%s", identity);
    lutra_origin_to_json(&origin, &json);
    lutra_mem_tree_poke(fix.tree, "/lutra/pipelines/p/origin", lutra_buf_cstr(&json));
    lutra_buf_clear(&json);
    lutra_control_to_json(&control, &json);
    lutra_mem_tree_poke(fix.tree, "/lutra/pipelines/p/control", lutra_buf_cstr(&json));
    lutra_buf_fini(&json);
    lutra_origin_fini(&origin);
}

void fix_origin(uint64_t process_id, const char *position)
{
    fix_origin_as(fix_session(), process_id, position, position[0] ? "mem:1" : "");
}

void fix_serve(void)
{
    for (; fix.served < fix.events.n; fix.served++) {
        const uint8_t *event = events_at(&fix.events, fix.served);
        if ((event[17] & 0x20) == 0) { /* the server makes the artificial ones */
            lutra_mem_binlog_append(fix.binlog, event, fix.events.items[fix.served].len);
        }
    }
}

void fix_rows(unsigned n, uint64_t first)
{
    for (unsigned i = 0; i < n; i++) {
        events_transaction(&fix.events, "t", 1, 1, first + i);
    }
    fix_serve();
}

void fix_termin_as(uint64_t epoch, const char *nonce, uint64_t consumed, uint64_t applied)
{
    Lutra__Termin termin = LUTRA__TERMIN__INIT;
    struct lutra_envelope envelope = {.epoch = epoch, .process_id = applied, .config_version = 1};
    struct lutra_error err = {0};
    uint8_t data[256];
    (void)snprintf(envelope.nonce, sizeof(envelope.nonce), "%s", nonce);
    termin.pipeline = (char *)"p";
    termin.epoch = epoch;
    termin.nonce = envelope.nonce;
    termin.consumed_process_id = consumed;
    termin.applied_process_id = applied;
    size_t len = lutra__termin__pack(&termin, data);
    cr_assert_eq(
        lutra_pipe_publish(fix.bus, "lutra.p.termin", 0, &envelope, data, len, NULL, NULL, &err), 0,
        "%s", err.msg);
}

void fix_termin(uint64_t consumed, uint64_t applied)
{
    fix.consumed = consumed;
    fix_termin_as(fix.epoch, FIX_NONCE, consumed, applied);
}

void fix_run(uint64_t ms)
{
    lutra_loop_run_for(fix.loop, ms);
}

static bool has_messages(void *arg)
{
    return fix.n >= *(size_t *)arg;
}

static void fail_with_state(const char *what)
{
    json_t *root = json_object();
    lutra_select_service.state_json(fix.select, root);
    char *text = json_dumps(root, 0);
    cr_log_error("%s; %s", what, text);
    free(text);
    json_decref(root);
    cr_assert_fail("%s", what);
}

void fix_messages(size_t n, uint64_t ms)
{
    if (!lutra_loop_run_until(fix.loop, has_messages, &n, ms)) {
        fail_with_state("messages did not come");
    }
}

/* The first copy of it in the current epoch. */
static const struct fix_message *first_copy(uint64_t process_id)
{
    for (size_t i = 0; i < fix.n; i++) {
        if (fix.messages[i].epoch == fix.epoch && fix.messages[i].process_id == process_id) {
            return &fix.messages[i];
        }
    }
    return NULL;
}

uint64_t fix_rows_read(void)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < fix.n; i++) {
        if (fix.messages[i].epoch == fix.epoch &&
            first_copy(fix.messages[i].process_id) == &fix.messages[i]) {
            rows += fix.messages[i].batch->head->rows_read;
        }
    }
    return rows;
}

static bool has_rows(void *arg)
{
    return fix_rows_read() >= *(uint64_t *)arg;
}

void fix_wait_rows(uint64_t rows, uint64_t ms)
{
    if (!lutra_loop_run_until(fix.loop, has_rows, &rows, ms)) {
        fail_with_state("rows did not come");
    }
    cr_expect_eq(fix_rows_read(), rows);
}

void fix_check_chain(uint64_t first_process_id, const char *position)
{
    const char *end = position;
    for (uint64_t id = first_process_id;; id++) {
        const struct fix_message *m = first_copy(id);
        if (!m) {
            cr_expect_gt(id, first_process_id, "nothing came");
            break;
        }
        cr_expect_str_eq(m->batch->head->position_from, end);
        end = m->batch->head->position_to;
        for (size_t i = 0; i < fix.n; i++) {
            const struct fix_message *copy = &fix.messages[i];
            if (copy->epoch == m->epoch && copy->process_id == id) {
                cr_expect_eq(copy->payload.len, m->payload.len);
                cr_expect_eq(memcmp(copy->payload.data, m->payload.data, m->payload.len), 0,
                             "process %" PRIu64 " has two contents", id);
                cr_expect_eq(copy->stamp_us, m->stamp_us);
            }
        }
    }
}

/* ---- status ---- */

static json_t *state_value(const char *key)
{
    json_t *root = json_object();
    lutra_select_service.state_json(fix.select, root);
    json_t *value = json_object_get(json_array_get(json_object_get(root, "pipelines"), 0), key);
    cr_assert(value, "no %s in the state", key);
    json_incref(value);
    json_decref(root);
    return value;
}

int64_t fix_state_int(const char *key)
{
    json_t *value = state_value(key);
    int64_t v = json_integer_value(value);
    json_decref(value);
    return v;
}

bool fix_state_is(const char *key, const char *text)
{
    json_t *value = state_value(key);
    bool is = strcmp(json_string_value(value), text) == 0;
    json_decref(value);
    return is;
}

static bool is_state(void *arg)
{
    return fix_state_is("state", arg);
}

void fix_wait_state(const char *state, uint64_t ms)
{
    LUTRA_AUTO_FREE char *copy = lutra_strdup(state);
    if (!lutra_loop_run_until(fix.loop, is_state, copy, ms)) {
        fail_with_state(state);
    }
}

bool fix_control(struct lutra_control *control)
{
    struct lutra_error err;
    const char *text = lutra_mem_tree_peek(fix.tree, "/lutra/pipelines/p/control");
    return text && lutra_control_from_json(text, strlen(text), control, &err) == 0;
}
