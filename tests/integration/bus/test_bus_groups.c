/* Subscriptions against a real broker. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>

#include "kafka_client.h"
#include "support/kafka.h"
#include "support/proc.h"
#include "support/stack.h"
#include "support/test.h"

TestSuite(bus_groups, .init = client_setup, .fini = client_teardown, .timeout = 120);

Test(bus_groups, a_killed_member_is_succeeded_within_seconds)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("kill"), *group = client_name("g");
    const char *argv[] = {BUS_MEMBER, brokers, group, topic, NULL};
    struct lutra_proc *other;
    uint64_t killed_ms;

    client_make_topic(client, topic, 4);
    client->commits = true;
    client_subscribe(client, group, topic);
    CLIENT_WAIT(client->n_owned == 4, 20000);
    other = lutra_proc_start("member", argv, NULL);
    CLIENT_WAIT(client->n_owned == 2, 20000);
    CLIENT_WAIT(lutra_proc_log_count(other, "bus.assigned") == 2, 20000);
    for (int i = 0; i < 4; i++) {
        client_publish_numbers(client, topic, i, 0, 5);
    }
    CLIENT_WAIT(client->n == 10 && lutra_proc_log_count(other, "got ") == 10, 10000);
    killed_ms = lutra_test_now_ms();
    lutra_proc_kill9(other);
    for (int i = 0; i < 4; i++) {
        client_publish_numbers(client, topic, i, 5, 6);
    }
    CLIENT_WAIT(client->n_owned == 4, 15000);
    printf("partitions of a killed member taken over after %llu ms\n",
           (unsigned long long)(lutra_test_now_ms() - killed_ms));
    cr_assert_lt(lutra_test_now_ms() - killed_ms, lutra_test_scaled_ms(8000));
    CLIENT_WAIT(client->acks == 24 && client->n >= 14, 10000);
}

Test(bus_groups, a_member_that_leaves_hands_over_at_once_and_from_its_commit)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    struct kafka_client *other = client_new(brokers, NULL);
    char *topic = client_name("leave"), *group = client_name("g");
    uint64_t left_ms;

    client_make_topic(client, topic, 2);
    client->commits = other->commits = true;
    client_subscribe(client, group, topic);
    CLIENT_WAIT(client->n_owned == 2, 20000);
    client_subscribe(other, group, topic);
    CLIENT_WAIT(client->n_owned == 1 && other->n_owned == 1, 20000);
    client_publish_numbers(client, topic, 0, 0, 50);
    client_publish_numbers(client, topic, 1, 0, 50);
    CLIENT_WAIT(client->n == 50 && other->n == 50, 10000);
    /* What was asked to be committed a moment ago is written before the group is left. */
    left_ms = lutra_test_now_ms();
    lutra_bus_subscription_free(other->sub);
    other->sub = NULL;
    CLIENT_WAIT(client->n_owned == 2, 10000);
    printf("handed over after %llu ms\n", (unsigned long long)(lutra_test_now_ms() - left_ms));
    cr_assert_lt(lutra_test_now_ms() - left_ms, lutra_test_scaled_ms(3000));
    client_publish_numbers(client, topic, 0, 50, 51);
    client_publish_numbers(client, topic, 1, 50, 51);
    CLIENT_WAIT(client->n >= 52, 10000);
    lutra_loop_run_for(client_loop, 300);
    cr_assert_eq(client->n, 52, "nothing is read twice");
    /* Leaving by the end of the process. */
    client_free(client);
    cr_assert_eq(lutra_kafka_committed(brokers, group, topic, 0), 51);
    cr_assert_eq(lutra_kafka_committed(brokers, group, topic, 1), 51);
}

Test(bus_groups, a_topic_made_after_the_subscription_is_picked_up_soon)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("late"), *group = client_name("g");
    char *there = client_name("there");
    const char *topics[] = {there, topic};
    uint64_t made_ms;

    client_make_topic(client, there, 1);
    client_subscribe(client, group, there);
    CLIENT_WAIT(client->n_owned == 1, 20000);
    lutra_bus_subscription_topics(client->sub, topics, 2);
    lutra_loop_run_for(client_loop, 3000);
    cr_assert_eq(client->n_owned, 1);
    cr_assert_eq(client->n_revoked, 0);
    client->owns[0] = false; /* the other topic has a partition 0, too */
    client_make_topic(client, topic, 3);
    made_ms = lutra_test_now_ms();
    CLIENT_WAIT(client->n_owned == 4, 15000);
    printf("a new topic was assigned %llu ms after it was made\n",
           (unsigned long long)(lutra_test_now_ms() - made_ms));
    cr_assert_lt(lutra_test_now_ms() - made_ms, lutra_test_scaled_ms(4000));
    client_publish_numbers(client, topic, 2, 0, 5);
    CLIENT_WAIT(client->n == 5, 5000);
    /* Left out again. */
    lutra_bus_subscription_topics(client->sub, &topics[1], 1);
    CLIENT_WAIT(client->n_owned == 3, 10000);
}

Test(bus_groups, an_idle_member_stays_in_its_group)
{
    const char *brokers = lutra_test_stack()->kafka;
    char key[] = "max.poll.interval.ms", value[] = "3000";
    char *keys[] = {key}, *values[] = {value};
    struct lutra_config_map extra = {.n = 1, .keys = keys, .values = values};
    struct kafka_client *client = client_new(brokers, &extra);
    char *topic = client_name("idle"), *group = client_name("g");

    client_make_topic(client, topic, 1);
    client_subscribe(client, group, topic);
    CLIENT_WAIT(client->n_owned == 1, 20000);
    lutra_loop_run_for(client_loop, 7000);
    cr_assert_eq(client->n_owned, 1);
    cr_assert_eq(client->n_revoked, 0);
}

Test(bus_groups, a_paused_partition_holds_and_the_other_one_flows)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct kafka_client *client = client_new(brokers, NULL);
    char *topic = client_name("pause"), *group = client_name("g");

    client_make_topic(client, topic, 2);
    client_subscribe(client, group, topic);
    CLIENT_WAIT(client->n_owned == 2, 20000);
    lutra_bus_subscription_pause(client->sub, topic, 0, true);
    client_publish_numbers(client, topic, 0, 0, 100);
    client_publish_numbers(client, topic, 1, 0, 100);
    CLIENT_WAIT(client->acks == 200 && client->n == 100, 10000);
    lutra_loop_run_for(client_loop, 300);
    cr_assert_eq(client->n, 100);
    for (size_t i = 0; i < 100; i++) {
        cr_assert_eq(client->partitions[i], 1);
    }
    lutra_bus_subscription_pause(client->sub, topic, 0, false);
    CLIENT_WAIT(client->n == 200, 5000);
}
