/* lutra-extract and lutra-transform as processes, on a real broker and a real ZooKeeper. The test
 * plays select and load with the same bus that they use. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bus/bus_kafka.h"
#include "extract/extract.h"
#include "stages/batches.h"
#include "support/http.h"
#include "support/kafka.h"
#include "support/service.h"
#include "support/stack.h"
#include "support/test.h"
#include "support/zk.h"
#include "transform/transform.h"

enum { PARTITIONS = 4, MAX_SENT = 128, DEADLINE_MS = 60000 };

struct sent {
    struct lutra_buf raw, expected;
    struct lutra_envelope envelope;
    bool acked;
    unsigned arrived;
};

static char *pipeline;
static char topics[3][80];
static struct lutra_channel *channel;
static struct lutra_loop *loop;
static struct lutra_bus *bus;
static struct lutra_bus_reader *reader;
static struct lutra_assembler *assembler;
static struct sent sent[MAX_SENT];
static size_t n_sent;
static struct lutra_test_service extract[2], transform;

static void on_load_message(const struct lutra_bus_message *message, void *arg)
{
    struct lutra_envelope envelope;
    struct lutra_error err;
    const uint8_t *payload;
    size_t len;
    int rc = lutra_assembler_feed(assembler, message, &envelope, &payload, &len, &err);
    (void)arg;
    cr_assert_geq(rc, 0, "%s", err.msg);
    if (rc == 1) {
        struct sent *s = &sent[envelope.process_id - 1];
        cr_assert_leq(envelope.process_id, n_sent);
        s->arrived++;
        cr_assert_eq(len, s->expected.len);
        cr_assert_eq(memcmp(payload, s->expected.data, len), 0);
    }
}

static void define(void)
{
    struct lutra_buf json = {0};
    char *node = lutra_test_format("/lutra/channels/%s", pipeline);
    char *config = lutra_test_format("%s/config", node);
    channel = batch_channel_named(pipeline, "[{source: {schema: shop, table: '*'}, "
                                            "target: {schema: eu}, exclude: [qty]}]");
    channel->version = 1;
    lutra_channel_to_json(channel, &json);
    lutra_zk_create(lutra_test_chroot(), "/lutra", "");
    lutra_zk_create(lutra_test_chroot(), "/lutra/channels", "");
    lutra_zk_create(lutra_test_chroot(), node, "");
    lutra_zk_create(lutra_test_chroot(), config, lutra_buf_cstr(&json));
    lutra_buf_fini(&json);
    free(config);
    free(node);
}

static void setup(void)
{
    static const struct lutra_bus_reader_handler handler = {.on_message = on_load_message};
    static const char *const stages[] = {"extract", "transform", "load"};
    static const char *const settings[] = {"max.message.bytes=8388608", NULL};
    struct lutra_error err;
    pipeline = lutra_test_unique("stages");
    for (int i = 0; i < 3; i++) {
        (void)lutra_topic_name(pipeline, stages[i], topics[i]);
        lutra_kafka_create_topic(lutra_test_stack()->kafka, topics[i], i < 2 ? PARTITIONS : 1,
                                 settings);
    }
    define();
    loop = lutra_loop_new();
    bus = lutra_bus_kafka_new(loop, "test", lutra_test_stack()->kafka, "test", NULL, NULL, &err);
    cr_assert_not_null(bus, "%s", err.msg);
    assembler = lutra_assembler_new(LUTRA_WIRE_MAX_BYTES);
    reader =
        lutra_bus_reader_new(bus, "lutra-load", topics[2], 0, LUTRA_BUS_START_LOW, &handler, NULL);
    lutra_test_service_start(&extract[0], "extract", "extract-1", NULL, NULL);
    lutra_test_service_start(&extract[1], "extract", "extract-2", NULL, NULL);
    lutra_test_service_start(&transform, "transform", "transform-1", NULL, NULL);
    lutra_test_service_await_ready(&extract[0], DEADLINE_MS);
    lutra_test_service_await_ready(&extract[1], DEADLINE_MS);
    lutra_test_service_await_ready(&transform, DEADLINE_MS);
}

static void teardown(void)
{
    lutra_bus_reader_free(reader);
    lutra_bus_free(bus);
    lutra_assembler_free(assembler);
    lutra_loop_free(loop);
    lutra_channel_free(channel);
    for (size_t i = 0; i < n_sent; i++) {
        lutra_buf_fini(&sent[i].raw);
        lutra_buf_fini(&sent[i].expected);
    }
    free(pipeline);
}

TestSuite(stages, .init = setup, .fini = teardown, .timeout = 300);

static void expect(struct sent *s)
{
    struct lutra_pipeline view = {
        .id = pipeline, .channel = channel, .def = &channel->pipelines[0]};
    struct lutra_stage_output mid = {0}, out = {0};
    struct lutra_arena *arena = lutra_arena_new(0);
    struct lutra_error err;
    cr_assert_eq(
        lutra_extract_work(&view, &s->envelope, s->raw.data, s->raw.len, arena, &mid, &err), 0,
        "%s", err.msg);
    cr_assert_eq(lutra_transform_work(&view, &s->envelope, mid.payload.data, mid.payload.len, arena,
                                      &out, &err),
                 0, "%s", err.msg);
    s->expected = out.payload;
    lutra_buf_fini(&mid.payload);
    lutra_arena_free(arena);
}

static void on_ack(const struct lutra_error *err, void *arg)
{
    cr_assert_null(err);
    ((struct sent *)arg)->acked = true;
}

static void send_process(uint32_t events)
{
    struct batch_maker *m = batch_maker_new(pipeline, 1, n_sent + 1);
    struct sent *s = &sent[n_sent++];
    struct lutra_error err;
    batch_fill(m, events);
    batch_pack_raw(m, &s->raw);
    s->envelope = batch_envelope(m);
    batch_maker_free(m);
    expect(s);
    cr_assert_eq(lutra_pipe_publish(bus, topics[0], (int32_t)(n_sent % PARTITIONS), &s->envelope,
                                    s->raw.data, s->raw.len, on_ack, s, &err),
                 0, "%s", err.msg);
}

static bool all_arrived(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < n_sent; i++) {
        if (!sent[i].acked || sent[i].arrived == 0) {
            return false;
        }
    }
    return true;
}

static void await_all(void)
{
    cr_assert(lutra_loop_run_until(loop, all_arrived, NULL, lutra_test_scaled_ms(DEADLINE_MS)));
}

static json_int_t state_number(const struct lutra_test_service *service, const char *key)
{
    char *text = lutra_http_get(service->port, "/state");
    json_t *root = text ? json_loads(text, 0, NULL) : NULL;
    json_int_t n = json_integer_value(
        json_object_get(json_array_get(json_object_get(root, "pipelines"), 0), key));
    json_decref(root);
    free(text);
    return n;
}

static void assert_committed(const char *group, const char *topic)
{
    const char *kafka = lutra_test_stack()->kafka;
    for (int32_t i = 0; i < PARTITIONS; i++) {
        cr_assert_eq(lutra_kafka_committed(kafka, group, topic, i),
                     lutra_kafka_end_offset(kafka, topic, i), "%s/%d", topic, i);
    }
}

Test(stages, processes_of_every_size_pass_and_a_clean_stop_commits_all)
{
    for (uint32_t i = 0; i < 40; i++) {
        send_process(i % 7 == 0 ? 0 : i * i);
    }
    send_process(400000); /* larger than a message: travels in chunks */
    await_all();
    cr_assert_gt(lutra_kafka_end_offset(lutra_test_stack()->kafka, topics[2], 0),
                 (int64_t)n_sent); /* it did */
    /* Both instances take part. */
    LUTRA_WAIT_FOR(state_number(&extract[0], "partitions") > 0 &&
                       state_number(&extract[1], "partitions") > 0,
                   DEADLINE_MS);
    cr_assert_eq(state_number(&extract[0], "stale"), 0);
    cr_assert_eq(state_number(&transform, "malformed"), 0);
    char *metrics = lutra_http_get(transform.port, "/metrics");
    char *line = lutra_test_format("lutra_transform_rows_total{pipeline=\"%s\"}", pipeline);
    cr_assert_not_null(metrics);
    cr_assert_not_null(strstr(metrics, line));
    free(line);
    free(metrics);
    cr_assert_eq(lutra_proc_terminate(extract[0].proc, DEADLINE_MS), 0);
    cr_assert_eq(lutra_proc_terminate(extract[1].proc, DEADLINE_MS), 0);
    cr_assert_eq(lutra_proc_terminate(transform.proc, DEADLINE_MS), 0);
    assert_committed("lutra-extract", topics[0]);
    assert_committed("lutra-transform", topics[1]);
}

Test(stages, a_killed_instance_loses_nothing)
{
    send_process(10);
    await_all();
    LUTRA_WAIT_FOR(state_number(&extract[0], "partitions") == PARTITIONS / 2 &&
                       state_number(&extract[1], "partitions") == PARTITIONS / 2,
                   DEADLINE_MS);
    for (int i = 0; i < 60; i++) {
        send_process(500);
    }
    lutra_loop_run_for(loop, 20);
    lutra_proc_kill9(extract[0].proc);
    for (int i = 0; i < 20; i++) {
        send_process(100);
    }
    await_all();
    cr_assert_eq(state_number(&extract[1], "partitions"), PARTITIONS);
    cr_assert_eq(lutra_proc_terminate(extract[1].proc, DEADLINE_MS), 0);
    assert_committed("lutra-extract", topics[0]);
}
