/* A broker that dies, forgets, or refuses: each test has its own. */
#include <criterion/criterion.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/bus_kafka_impl.h"
#include "kafka_client.h"
#include "support/kafka.h"
#include "support/stack.h"
#include "support/test.h"

TestSuite(bus_faults, .init = client_setup, .fini = client_teardown, .timeout = 180);

static char port[8], controller[8], brokers[32];

static void start_broker(void)
{
    if (!port[0]) {
        snprintf(port, sizeof(port), "%u", lutra_test_free_port());
        snprintf(controller, sizeof(controller), "%u", lutra_test_free_port());
        snprintf(brokers, sizeof(brokers), "127.0.0.1:%s", port);
    }
    lutra_test_server("kafka_start", "kafka", port, controller, NULL);
}

Test(bus_faults, everything_resumes_after_a_broker_was_killed)
{
    struct kafka_client *reader, *member;
    char topic[] = "resume";

    start_broker();
    reader = client_new(brokers, NULL);
    member = client_new(brokers, NULL);
    client_make_topic(reader, topic, 1);
    client_read(reader, "g-reader", topic, 0, LUTRA_BUS_START_COMMITTED);
    client_subscribe(member, "g-member", topic);
    reader->commits = member->commits = true;
    CLIENT_WAIT(member->n_owned == 1, 30000);
    client_publish_numbers(reader, topic, 0, 0, 10);
    CLIENT_WAIT(reader->n == 10 && member->n == 10 && reader->acks == 10, 20000);
    CLIENT_WAIT(lutra_bus_healthy(reader->bus), 5000);
    lutra_loop_run_for(client_loop, 6000); /* so that the log is flushed when it is killed */

    lutra_test_server_signal("kafka", "kafka", SIGKILL);
    CLIENT_WAIT(!lutra_bus_healthy(reader->bus), 10000);
    client_publish_numbers(reader, topic, 0, 10, 20);
    lutra_loop_run_for(client_loop, 4000);
    cr_assert_eq(reader->acks, 10, "nothing is acknowledged without a broker");
    cr_assert_lt(lutra_loop_longest_turn_ms(client_loop), 500);

    start_broker();
    CLIENT_WAIT(reader->acks == 20, 30000);
    cr_assert_eq(reader->failed, 0);
    CLIENT_WAIT(reader->n >= 20 && member->n >= 20, 30000);
    CLIENT_WAIT(lutra_bus_healthy(reader->bus), 10000);
    cr_assert_eq(reader->n, 20, "nothing twice for the reader");
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(reader->values[i], i);
    }
    CLIENT_WAIT(lutra_kafka_committed(brokers, "g-reader", topic, 0) == 20, 10000);
    CLIENT_WAIT(lutra_kafka_committed(brokers, "g-member", topic, 0) == 20, 10000);
}

static void remake_topic(struct kafka_client *client, const char *topic, int from, int to)
{
    unsigned done = client->done, acks = client->acks;

    lutra_bus_delete_topics(client->bus, &topic, 1, client_on_done, client);
    CLIENT_WAIT(client->done == done + 1, 10000);
    cr_assert_eq(client->last_err.class, LUTRA_OK, "%s", client->last_err.msg);
    client_make_topic(client, topic, 1);
    client_publish_numbers(client, topic, 0, from, to);
    CLIENT_WAIT(client->acks == acks + (unsigned)(to - from), 40000);
    cr_assert_eq(client->failed, 0, "%s", client->last_err.msg);
}

/* As if the broker had not forgotten the group's offset together with the topic. */
static void
commit_by_hand(const char *brokers_now, const char *group, const char *topic, int64_t at)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];
    rd_kafka_t *rk;

    rd_kafka_conf_set(conf, "bootstrap.servers", brokers_now, why, sizeof(why));
    rd_kafka_conf_set(conf, "group.id", group, why, sizeof(why));
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = at;
    cr_assert_eq(rd_kafka_commit(rk, list, 0), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
}

Test(bus_faults, a_committed_offset_that_is_gone_is_told_and_reading_begins_at_the_low_watermark)
{
    const char *shared = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(shared, NULL);
    char *topic = client_name("gone"), *group = client_name("g"), *members = client_name("g");

    client_make_topic(client, topic, 1);
    client_publish_numbers(client, topic, 0, 100, 103);
    CLIENT_WAIT(client->acks == 3, 10000);
    commit_by_hand(shared, group, topic, 10);
    commit_by_hand(shared, members, topic, 10);
    client_read(client, group, topic, 0, LUTRA_BUS_START_COMMITTED);
    CLIENT_WAIT(client->n == 3, 10000);
    cr_assert_eq(client->resets, 1);
    cr_assert_eq(client->reset_from, 10);
    cr_assert_eq(client->reset_to, 0);
    cr_assert_eq(client->values[0], 100);
    lutra_bus_reader_free(client->reader);
    client->reader = NULL;

    client->n = 0;
    client_subscribe(client, members, topic);
    CLIENT_WAIT(client->n == 3, 15000);
    cr_assert_eq(client->values[0], 100);
}

Test(bus_faults, a_topic_made_anew_under_its_readers_is_read_from_its_beginning)
{
    const char *shared = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(shared, NULL);
    struct kafka_client *member = client_new(shared, NULL);
    char *topic = client_name("anew"), *group = client_name("g"), *members = client_name("g");

    client_make_topic(client, topic, 1);
    client_publish_numbers(client, topic, 0, 0, 10);
    client->commits = member->commits = true;
    client_read(client, group, topic, 0, LUTRA_BUS_START_COMMITTED);
    client_subscribe(member, members, topic);
    CLIENT_WAIT(client->n == 10 && member->n == 10, 20000);
    remake_topic(client, topic, 100, 103);
    CLIENT_WAIT(client->n == 13, 20000);
    cr_assert_eq(client->resets, 1);
    cr_assert_eq(client->values[10], 100);
    CLIENT_WAIT(member->n == 13, 20000);
    cr_assert_eq(member->values[10], 100);
    cr_assert_eq(member->n_owned, 1);
}

Test(bus_faults, a_session_time_out_below_the_brokers_minimum_falls_back)
{
    char session[] = "session.timeout.ms", heartbeat[] = "heartbeat.interval.ms";
    char *keys[] = {session, heartbeat}, *values[] = {(char[]){"500"}, (char[]){"200"}};
    struct lutra_config_map extra = {.n = 2, .keys = keys, .values = values};
    const char *shared = lutra_test_stack()->kafka; /* its minimum is 1 s */
    struct kafka_client *client = client_new(shared, &extra);
    char *topic = client_name("session"), *group = client_name("g");

    client_make_topic(client, topic, 1);
    client_subscribe(client, group, topic);
    CLIENT_WAIT(client->n_owned == 1, 30000);
}

/* What librdkafka calls fatal: idempotence cannot be kept. The producer is replaced, what was under
 * way is told RETRY, and publishing goes on. */
Test(bus_faults, a_producer_that_failed_for_good_is_replaced)
{
    const char *shared = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(shared, NULL);
    char *topic = client_name("fatal");

    client_make_topic(client, topic, 1);
    client_publish_numbers(client, topic, 0, 0, 1);
    CLIENT_WAIT(client->acks == 1 && client->failed == 0, 10000);
    client_publish_numbers(client, topic, 0, 1, 11);
    rd_kafka_test_fatal_error(((struct kafka_bus *)client->bus)->producer,
                              RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "made by a test");
    CLIENT_WAIT(client->acks == 11, 10000);
    if (client->failed > 0) {
        cr_assert_eq(client->last_err.class, LUTRA_RETRY);
    }
    CLIENT_WAIT(((struct kafka_bus *)client->bus)->producer_ready, 10000);
    client->failed = 0;
    client_publish_numbers(client, topic, 0, 11, 21);
    CLIENT_WAIT(client->acks == 21, 10000);
    cr_assert_eq(client->failed, 0);
}

Test(bus_faults, a_frozen_broker_blocks_neither_the_loop_nor_the_end)
{
    struct kafka_client *client;
    char topic[] = "frozen";
    uint64_t began_ms;

    start_broker();
    client = client_new(brokers, NULL);
    client_make_topic(client, topic, 1);
    client->commits = true;
    client_subscribe(client, "g-frozen", topic);
    client_read(client, "g-frozen-reader", topic, 0, LUTRA_BUS_START_COMMITTED);
    client_publish_numbers(client, topic, 0, 0, 10);
    CLIENT_WAIT(client->n == 20, 30000);
    CLIENT_WAIT(lutra_bus_healthy(client->bus), 5000);
    lutra_test_server_signal("kafka", "kafka", SIGSTOP);
    client_publish_numbers(client, topic, 0, 10, 20);
    lutra_bus_warm_up(client->bus, topic, client_on_done, client);
    lutra_bus_reader_free(client->reader);
    client_read(client, "g-frozen-reader", topic, 0, LUTRA_BUS_START_COMMITTED);
    lutra_loop_run_for(client_loop, 4000);
    cr_assert_lt(lutra_loop_longest_turn_ms(client_loop), 500);
    cr_assert_eq(client->acks, 10);
    began_ms = lutra_test_now_ms();
    client_free(client);
    printf("freed without an answering broker in %llu ms\n",
           (unsigned long long)(lutra_test_now_ms() - began_ms));
    cr_assert_lt(lutra_test_now_ms() - began_ms, lutra_test_scaled_ms(12000));
    lutra_test_server_signal("kafka", "kafka", SIGCONT);
}
