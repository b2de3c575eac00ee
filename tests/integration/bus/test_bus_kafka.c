/* Publishing, reading, topics, latency against a real broker. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kafka_client.h"
#include "support/kafka.h"
#include "support/stack.h"
#include "support/test.h"

TestSuite(bus_kafka, .init = client_setup, .fini = client_teardown, .timeout = 120);

Test(bus_kafka, acks_come_in_order_and_so_do_messages)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("order");
    unsigned done;

    client_make_topic(client, topic, 2);
    done = client->done;
    lutra_bus_warm_up(client->bus, topic, client_on_done, client);
    CLIENT_WAIT(client->done > done, 15000);
    cr_assert_eq(client->last_err.class, LUTRA_OK, "%s", client->last_err.msg);
    client_read(client, "g-order", topic, 1, LUTRA_BUS_START_LOW);
    client_publish_numbers(client, topic, 1, 0, 5000);
    CLIENT_WAIT(client->n == 5000 && client->acks == 5000, 20000);
    cr_assert_eq(client->failed, 0);
    for (int i = 0; i < 5000; i++) {
        cr_assert_eq(client->values[i], i);
        cr_assert_eq(client->offsets[i], i);
    }
    cr_assert_eq(lutra_bus_partitions(client->bus, topic), 2);
    cr_assert(lutra_bus_healthy(client->bus));
}

static size_t big_len;
static uint8_t *big;
static struct lutra_assembler *assembler;
static unsigned assembled;

static void assemble(struct kafka_client *client, const struct lutra_bus_message *message)
{
    struct lutra_envelope envelope;
    const uint8_t *payload;
    struct lutra_error err;
    size_t len;
    int rc = lutra_assembler_feed(assembler, message, &envelope, &payload, &len, &err);

    (void)client;
    cr_assert_neq(rc, -1, "%s", err.msg);
    if (rc == 1) {
        cr_assert_eq(len, big_len);
        cr_assert_eq(memcmp(payload, big, len), 0);
        cr_assert_eq(envelope.process_id, 77);
        assembled++;
    }
}

Test(bus_kafka, twenty_megabytes_travel_in_chunks)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("chunks");
    struct lutra_envelope envelope = {
        .epoch = 1, .nonce = "00112233445566aa", .process_id = 77, .config_version = 1};
    struct lutra_error err;

    big_len = 20u << 20;
    big = lutra_alloc(big_len);
    for (size_t i = 0; i < big_len; i++) {
        big[i] = (uint8_t)rand();
    }
    assembler = lutra_assembler_new(64u << 20);
    client->on_message = assemble;
    client_make_topic(client, topic, 1);
    client_read(client, "g-chunks", topic, 0, LUTRA_BUS_START_LOW);
    cr_assert_eq(lutra_pipe_publish(client->bus, topic, 0, &envelope, big, big_len, client_on_done,
                                    client, &err),
                 0, "%s", err.msg);
    CLIENT_WAIT(assembled == 1 && client->done == 2, 30000);
    cr_assert_eq(client->last_err.class, LUTRA_OK, "%s", client->last_err.msg);
    cr_assert_eq(client->n, 3);
    lutra_assembler_free(assembler);
    lutra_free(big);
}

Test(bus_kafka, headers_and_keys_pass_through)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("headers");
    struct lutra_bus_header headers[] = {{"lutra-epoch", "7"}, {"empty", ""}};
    struct lutra_bus_record record = {.topic = topic,
                                      .key = "42",
                                      .n_headers = 2,
                                      .headers = headers,
                                      .payload = NULL,
                                      .payload_len = 0};
    struct lutra_kafka_messages seen;
    struct lutra_error err;

    client_make_topic(client, topic, 1);
    cr_assert_eq(lutra_bus_publish(client->bus, &record, client_on_done, client, &err), 0);
    CLIENT_WAIT(client->done == 2, 10000);
    seen = lutra_kafka_read_all(brokers, topic);
    cr_assert_eq(seen.n, 1);
    cr_assert_str_eq(seen.items[0].key, "42");
    cr_assert_str_eq(lutra_kafka_header(&seen.items[0], "lutra-epoch"), "7");
    cr_assert_str_eq(lutra_kafka_header(&seen.items[0], "empty"), "");
    cr_assert_eq(seen.items[0].len, 0);
    lutra_kafka_messages_fini(&seen);
}

Test(bus_kafka, commits_of_a_reader_show_in_its_group_and_are_where_it_begins)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("commit"), *group = client_name("g");

    client_make_topic(client, topic, 1);
    client_publish_numbers(client, topic, 0, 0, 10);
    client->commits = true;
    client_read(client, group, topic, 0, LUTRA_BUS_START_COMMITTED);
    CLIENT_WAIT(client->n == 10, 10000);
    cr_assert_eq(client->start, 0, "nothing committed: the low watermark");
    CLIENT_WAIT(lutra_kafka_committed(brokers, group, topic, 0) == 10, 5000);

    /* At free, without waiting for the next second. */
    client_publish_numbers(client, topic, 0, 10, 12);
    CLIENT_WAIT(client->n == 12, 5000);
    lutra_bus_reader_free(client->reader);
    client->reader = NULL;
    CLIENT_WAIT(lutra_kafka_committed(brokers, group, topic, 0) == 12, 5000);

    client_publish_numbers(client, topic, 0, 12, 13);
    client_read(client, group, topic, 0, LUTRA_BUS_START_COMMITTED);
    CLIENT_WAIT(client->n == 13, 5000);
    cr_assert_eq(client->start, 12);

    /* And when the process ends. */
    client_free(client);
    cr_assert_eq(lutra_kafka_committed(brokers, group, topic, 0), 13);
}

Test(bus_kafka, a_reader_may_begin_at_the_end)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("end");

    client_make_topic(client, topic, 1);
    client_publish_numbers(client, topic, 0, 0, 10);
    CLIENT_WAIT(client->acks == 10, 10000);
    client_read(client, "g-end", topic, 0, LUTRA_BUS_START_END);
    CLIENT_WAIT(client->starts == 1, 10000);
    cr_assert_eq(client->start, 10);
    client_publish_numbers(client, topic, 0, 10, 12);
    CLIENT_WAIT(client->n == 2, 10000);
    cr_assert_eq(client->values[0], 10);
}

Test(bus_kafka, readers_of_one_group_come_and_go_independently)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("many");
    struct lutra_bus_reader *first;

    client_make_topic(client, topic, 2);
    client_publish_numbers(client, topic, 0, 0, 10);
    client_read(client, "g-many", topic, 0, LUTRA_BUS_START_LOW);
    first = client->reader;
    CLIENT_WAIT(client->n == 10, 10000);
    client_read(client, "g-many", topic, 1, LUTRA_BUS_START_LOW);
    CLIENT_WAIT(client->starts == 2, 10000);
    client_publish_numbers(client, topic, 1, 0, 10);
    CLIENT_WAIT(client->n == 20, 10000);
    lutra_bus_reader_free(first);
    client_publish_numbers(client, topic, 0, 10, 15);
    client_publish_numbers(client, topic, 1, 10, 15);
    CLIENT_WAIT(client->acks == 30 && client->n == 25, 10000);
    for (size_t i = 20; i < 25; i++) {
        cr_assert_eq(client->partitions[i], 1);
    }
    /* The same partition again, within the same turn. */
    lutra_bus_reader_free(client->reader);
    client_read(client, "g-many", topic, 1, LUTRA_BUS_START_LOW);
    CLIENT_WAIT(client->n == 40, 10000);
    client->frees_at_message = true;
    client_publish_numbers(client, topic, 1, 15, 20);
    CLIENT_WAIT(client->acks == 35 && client->n == 41, 10000);
}

Test(bus_kafka, a_reader_opened_before_its_topic_starts_soon_after_an_older_topic_was_deleted)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *names[3] = {client_name("first"), client_name("second"), client_name("third")};

    for (int i = 0; i < 3; i++) {
        const char *topic = names[i];
        struct lutra_bus_topic wanted = {.name = topic, .partitions = 1, .retention_ms = 3600000};
        /* Both at once, as load does: the topic is not there yet when the reader asks about it. */
        lutra_bus_ensure_topics(client->bus, &wanted, 1, client_on_done, client);
        client_read(client, "g-generations", topic, 0, LUTRA_BUS_START_COMMITTED);
        CLIENT_WAIT(client->starts == (unsigned)i + 1, 5000);
        client_publish_numbers(client, topic, 0, 0, 10);
        CLIENT_WAIT(client->n == ((size_t)i + 1) * 10, 5000);
        lutra_bus_reader_free(client->reader);
        client->reader = NULL;
        lutra_bus_delete_topics(client->bus, &topic, 1, NULL, NULL);
        lutra_loop_run_for(client_loop, 1000);
    }
}

Test(bus_kafka, pausing_takes_effect_before_the_next_message_and_loses_none)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("pause");

    client_make_topic(client, topic, 1);
    client_publish_numbers(client, topic, 0, 0, 1000);
    CLIENT_WAIT(client->acks == 1000, 10000);
    client->pause_at = 7;
    client_read(client, "g-pause", topic, 0, LUTRA_BUS_START_LOW);
    CLIENT_WAIT(client->n == 7, 10000);
    for (size_t n = 7; n < 1000; n += 31) {
        cr_assert_eq(client->n, n);
        client->pause_at = n + 31;
        lutra_bus_reader_pause(client->reader, false);
        CLIENT_WAIT(client->n == (n + 31 < 1000 ? n + 31 : 1000), 5000);
    }
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(client->values[i], i);
    }
}

static void work_a_little(struct kafka_client *client, const struct lutra_bus_message *message)
{
    uint64_t until_us = lutra_clock_now_us() + 300;

    (void)client;
    (void)message;
    while (lutra_clock_now_us() < until_us) {
    }
}

/* librdkafka stops fetching when a partition's queue is full, and looks again once a second only.
 */
Test(bus_kafka, a_backlog_is_read_as_fast_as_it_is_worked_on)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("backlog");
    size_t len = 65536, total = 80u << 20;
    char *payload = lutra_alloc(len);
    struct lutra_error err;
    uint64_t began_ms;

    client_make_topic(client, topic, 1);
    client->done = 0;
    for (unsigned i = 0; i < total / len; i++) {
        CLIENT_WAIT(i - client->done < 100, 20000);
        cr_assert_eq(lutra_bus_publish(client->bus,
                                       &(struct lutra_bus_record){
                                           .topic = topic, .payload = payload, .payload_len = len},
                                       client_on_done, client, &err),
                     0, "%s", err.msg);
    }
    CLIENT_WAIT(client->done == total / len, 20000);
    client->on_message = work_a_little;
    began_ms = lutra_test_now_ms();
    client_read(client, "g-backlog", topic, 0, LUTRA_BUS_START_LOW);
    CLIENT_WAIT(client->n == total / len, 30000);
    printf("80 MiB of backlog read in %llu ms\n",
           (unsigned long long)(lutra_test_now_ms() - began_ms));
    cr_assert_lt(lutra_test_now_ms() - began_ms, lutra_test_scaled_ms(6000));
    lutra_bus_delete_topics(client->bus, (const char *const *)&topic, 1, client_on_done, client);
    CLIENT_WAIT(client->done == total / len + 1, 10000);
    lutra_free(payload);
}

static void record_hop(struct kafka_client *client, const struct lutra_bus_message *message)
{
    (void)message;
    client->got_us = (int64_t)lutra_clock_now_us();
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

Test(bus_kafka, a_hop_from_idle_takes_about_a_millisecond)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    struct kafka_client *other = client_new(brokers, NULL);
    char *topic = client_name("hop");
    int64_t hops[100];

    client_make_topic(client, topic, 1);
    other->on_message = record_hop;
    client_read(other, "g-hop", topic, 0, LUTRA_BUS_START_LOW);
    client_publish_numbers(client, topic, 0, 0, 1);
    CLIENT_WAIT(other->n == 1 && client->acks == 1, 10000);
    for (int i = 0; i < 100; i++) {
        size_t n = other->n;
        int64_t began_us;

        lutra_loop_run_for(client_loop, 20); /* idle */
        began_us = (int64_t)lutra_clock_now_us();
        client_publish_numbers(client, topic, 0, i, i + 1);
        CLIENT_WAIT(other->n == n + 1, 10000);
        hops[i] = other->got_us - began_us;
    }
    qsort(hops, 100, sizeof(hops[0]), compare);
    printf("hop through the broker: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n",
           (double)hops[50] / 1e3, (double)hops[98] / 1e3, (double)hops[99] / 1e3);
    cr_assert_lt(hops[50], 20000, "half of the hops take over 20 ms");
}

Test(bus_kafka, topics_are_made_checked_corrected_and_deleted)
{
    static const char *const config[] = {"retention.ms=1000", "segment.ms=86400000", NULL};
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("topic");
    struct lutra_bus_topic wanted = {.name = topic, .partitions = 3, .retention_ms = 7200000};
    const char *name = topic;
    uint8_t *large = lutra_alloc(5u << 20);
    struct lutra_error err;

    lutra_kafka_create_topic(brokers, topic, 3, config);
    lutra_bus_ensure_topics(client->bus, &wanted, 1, client_on_done, client);
    CLIENT_WAIT(client->done == 1, 15000);
    cr_assert_eq(client->last_err.class, LUTRA_OK, "%s", client->last_err.msg);
    /* max.message.bytes was 1 MiB before. */
    for (size_t i = 0; i < 5u << 20; i++) {
        large[i] = (uint8_t)rand();
    }
    cr_assert_eq(lutra_bus_publish(client->bus,
                                   &(struct lutra_bus_record){
                                       .topic = topic, .payload = large, .payload_len = 5u << 20},
                                   client_on_done, client, &err),
                 0);
    CLIENT_WAIT(client->done == 2, 15000);
    cr_assert_eq(client->last_err.class, LUTRA_OK, "%s", client->last_err.msg);
    lutra_free(large);

    wanted.partitions = 2;
    lutra_bus_ensure_topics(client->bus, &wanted, 1, client_on_done, client);
    CLIENT_WAIT(client->done == 3, 15000);
    cr_assert_eq(client->last_err.class, LUTRA_OK, "%s", client->last_err.msg);
    wanted.partitions = 4;
    lutra_bus_ensure_topics(client->bus, &wanted, 1, client_on_done, client);
    CLIENT_WAIT(client->done == 4, 15000);
    cr_assert_eq(client->last_err.class, LUTRA_CONFIG);

    lutra_bus_delete_topics(client->bus, &name, 1, client_on_done, client);
    CLIENT_WAIT(client->done == 5, 15000);
    cr_assert_eq(client->last_err.class, LUTRA_OK, "%s", client->last_err.msg);
    lutra_bus_delete_topics(client->bus, &name, 1, client_on_done, client);
    CLIENT_WAIT(client->done == 6, 15000);
    cr_assert_eq(client->last_err.class, LUTRA_OK, "deleting what is not there: %s",
                 client->last_err.msg);
}

Test(bus_kafka, settings_lutra_depends_on_cannot_be_changed)
{
    static const char *const names[] = {"enable.auto.commit", "acks",
                                        "enable.idempotence", "auto.offset.reset",
                                        "message.max.bytes",  "group.id"};
    struct lutra_error err;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char key[64], value[] = "1";
        char *keys[] = {key}, *values[] = {value};
        struct lutra_config_map extra = {.n = 1, .keys = keys, .values = values};

        snprintf(key, sizeof(key), "%s", names[i]);
        cr_assert_null(
            lutra_bus_kafka_new(client_loop, "test", "127.0.0.1:1", "t", &extra, NULL, &err));
        cr_assert_eq(err.class, LUTRA_CONFIG);
        cr_assert_not_null(strstr(err.msg, names[i]), "%s", err.msg);
    }
    {
        char key[] = "no.such.setting", value[] = "1";
        char *keys[] = {key}, *values[] = {value};
        struct lutra_config_map extra = {.n = 1, .keys = keys, .values = values};

        cr_assert_null(
            lutra_bus_kafka_new(client_loop, "test", "127.0.0.1:1", "t", &extra, NULL, &err));
        cr_assert_eq(err.class, LUTRA_CONFIG);
        cr_assert_not_null(strstr(err.msg, "no.such.setting"), "%s", err.msg);
    }
}

Test(bus_kafka, without_a_broker_nothing_blocks)
{
    char brokers[32];
    struct kafka_client *client;
    uint64_t began_ms;

    snprintf(brokers, sizeof(brokers), "127.0.0.1:%u", lutra_test_free_port());
    client = client_new(brokers, NULL);
    client_subscribe(client, "g", "t");
    client_read(client, "g2", "t", 0, LUTRA_BUS_START_COMMITTED);
    client_publish_numbers(client, "t", 0, 0, 10);
    lutra_bus_partitions(client->bus, "t");
    lutra_loop_run_for(client_loop, 3000);
    cr_assert_eq(client->acks, 0);
    cr_assert(!lutra_bus_healthy(client->bus));
    cr_assert_lt(lutra_loop_longest_turn_ms(client_loop), 200);
    began_ms = lutra_test_now_ms();
    client_free(client);
    cr_assert_lt(lutra_test_now_ms() - began_ms, lutra_test_scaled_ms(6000));
}
