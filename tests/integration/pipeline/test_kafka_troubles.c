/* What can happen to topics, messages and clients of Kafka under a running pipeline, beside a
 * broker that dies (test_outage.c). Nobody helps; afterwards both sides hold the same rows. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/kafka.h"
#include "support/test.h"
#include "troubles.h"

static const char *const stages[] = {"extract", "transform", "load", "termin"};

static const char *kafka(void)
{
    return lutra_test_stack()->kafka;
}

/* ---- topics ---- */

Test(kafka_troubles,
     a_topic_that_is_deleted_is_made_again_and_what_was_in_it_is_read_again,
     .timeout = 240)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2}, 25, 100);
    workload_for(&w, 1000);
    for (size_t i = 0; i < 4; i++) {
        char *topic = cluster_topic(&c, stages[i]), *when;
        lutra_kafka_delete_topic(kafka(), topic);
        uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(30000);
        when = lutra_test_format("after topic %s was deleted", stages[i]);
        (void)workload_flows(&w, 30000, when);
        while (lutra_kafka_partitions(kafka(), topic) == 0) { /* termin: when the window is full */
            cr_assert_lt(lutra_test_now_ms(), end_ms, "%s is not made again", topic);
            workload_for(&w, 100);
        }
        free(when);
        free(topic);
    }
    workload_finish(&w);
    cluster_end(&c);
}

/* What is in the topic is deleted while its reader stands still: it finds its offset below the low
 * watermark. */
static void truncate_under(struct workload *w, struct lutra_test_service *reader, const char *stage)
{
    struct cluster *c = w->c;
    char *topic = cluster_topic(c, stage), *when;
    int n = lutra_kafka_partitions(kafka(), topic);
    int64_t end = lutra_kafka_end_offset(kafka(), topic, 0);
    double resets = troubles_metric(reader, "lutra_bus_offset_resets_total");
    lutra_proc_freeze(reader->proc);
    uint64_t deadline_ms = lutra_test_now_ms() + lutra_test_scaled_ms(10000);
    while (lutra_kafka_end_offset(kafka(), topic, 0) < end + 5) {
        cr_assert_lt(lutra_test_now_ms(), deadline_ms, "nothing is written to %s", topic);
        workload_for(w, 50);
    }
    for (int i = 0; i < n; i++) {
        lutra_kafka_truncate(kafka(), topic, i);
    }
    lutra_proc_thaw(reader->proc);
    when = lutra_test_format("after topic %s was truncated", stage);
    (void)workload_flows(w, 20000, when);
    LUTRA_WAIT_FOR(troubles_metric(reader, "lutra_bus_offset_resets_total") > resets, 5000);
    free(when);
    free(topic);
}

Test(kafka_troubles, what_retention_takes_from_a_topic_is_read_again, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){0}, 15, 100);
    workload_for(&w, 1000);
    truncate_under(&w, &c.extracts[0], "extract");
    truncate_under(&w, &c.transforms[0], "transform");
    truncate_under(&w, &c.loads[0], "load");
    truncate_under(&w, &c.selects[0], "termin");
    workload_finish(&w);
    cluster_end(&c);
}

static int64_t partitions_of(struct cluster *c, struct lutra_test_service *services)
{
    return cluster_state_int(c, &services[0], "partitions") +
           cluster_state_int(c, &services[1], "partitions");
}

/* ---- messages ---- */

static void forge(const char *topic,
                  const struct lutra_kafka_message *message,
                  const char *header,
                  const char *value)
{
    struct lutra_kafka_header headers[32];
    struct lutra_kafka_message copy = *message;
    size_t n = message->n_headers < 32 ? message->n_headers : 32;
    char *text = lutra_test_format("%s", value);
    for (size_t i = 0; i < n; i++) {
        headers[i] = message->headers[i];
        if (strcmp(headers[i].name, header) == 0) {
            headers[i].value = text;
        }
    }
    if (strcmp(header, "key") == 0) {
        copy.key = text;
    }
    copy.headers = headers;
    copy.n_headers = n;
    lutra_kafka_produce(kafka(), topic, &copy);
    free(text);
}

/* Messages whose headers say one thing and whose payload another, or nothing. */
static void poison(struct cluster *c, const char *stage)
{
    char *topic = cluster_topic(c, stage);
    struct lutra_kafka_messages all = lutra_kafka_read_all(kafka(), topic);
    cr_assert_gt(all.n, 0, "nothing in %s", topic);
    const struct lutra_kafka_message *last = &all.items[all.n - 1];
    char *ahead = lutra_test_format("%llu", strtoull(last->key, NULL, 10) + 3);
    struct lutra_kafka_message hollow = *last;
    char garbage[] = "\xff\xff\xff\xff not protobuf";
    hollow.payload = garbage;
    hollow.len = sizeof garbage - 1;
    forge(topic, last, "lutra-nonce", "0123456789abcdef");
    forge(topic, last, "lutra-epoch", "999999");
    forge(topic, last, "key", ahead); /* in place of one that is still to come */
    forge(topic, &hollow, "key", ahead);
    forge(topic, &hollow, "lutra-epoch", "999999");
    lutra_kafka_messages_fini(&all);
    free(ahead);
    free(topic);
}

Test(kafka_troubles, poison_is_passed_over_and_stops_nobody, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2, .transforms = 2}, 12, 100);
    workload_for(&w, 1000);
    int64_t epoch = cluster_epoch(&c);
    for (size_t i = 0; i < 4; i++) {
        char *when = lutra_test_format("with poison in topic %s", stages[i]);
        poison(&c, stages[i]);
        (void)workload_flows(&w, 15000, when);
        free(when);
    }
    workload_finish(&w);
    cr_assert_eq(cluster_epoch(&c), epoch, "a forged message began or ended an epoch");
    for (int i = 0; i < 2; i++) {
        cr_log_info("malformed: %lld at %s, %lld at %s",
                    (long long)cluster_state_int(&c, &c.extracts[i], "malformed"),
                    c.extracts[i].instance,
                    (long long)cluster_state_int(&c, &c.transforms[i], "malformed"),
                    c.transforms[i].instance);
    }
    cr_assert_geq(cluster_state_int(&c, &c.extracts[0], "malformed") +
                      cluster_state_int(&c, &c.extracts[1], "malformed"),
                  5);
    cr_assert_geq(cluster_state_int(&c, &c.transforms[0], "malformed") +
                      cluster_state_int(&c, &c.transforms[1], "malformed"),
                  5);
    cr_assert_geq(cluster_state_int(&c, &c.loads[0], "broken"), 1);
    cluster_end(&c);
}

/* ---- producers ---- */

Test(kafka_troubles, a_producer_that_fails_for_good_is_replaced_in_every_service, .timeout = 180)
{
    static const char *const faults[] = {
        "select:bus.producer_fatal=error:60", "extract:bus.producer_fatal=error:60",
        "transform:bus.producer_fatal=error:60", "load:bus.producer_fatal=error:60", NULL};
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.faults = faults}, 10, 100);
    workload_for(&w, 1000);
    struct lutra_test_service *services[] = {&c.selects[0], &c.extracts[0], &c.transforms[0],
                                             &c.loads[0]};
    for (size_t i = 0; i < 4; i++) {
        uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(20000);
        while (lutra_proc_log_count(services[i]->proc, "bus.producer_failed") == 0) {
            cr_assert_lt(lutra_test_now_ms(), end_ms, "%s still has its first producer",
                         services[i]->instance);
            workload_for(&w, 100);
        }
    }
    (void)workload_flows(&w, 15000, "after every producer failed for good");
    workload_finish(&w);
    cluster_end(&c);
}

/* ---- instances that die or are slow ---- */

Test(kafka_troubles,
     rows_flow_on_within_seconds_when_an_extract_or_a_transform_is_killed,
     .timeout = 180)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2, .transforms = 2}, 15, 100);
    workload_for(&w, 1000);
    struct lutra_test_service *victims[] = {&c.extracts[0], &c.transforms[1], &c.extracts[1]};
    for (size_t i = 0; i < 3; i++) {
        workload_for(&w, 1500);
        lutra_proc_kill9(victims[i]->proc);
        char *when = lutra_test_format("after %s was killed", victims[i]->instance);
        uint64_t took_ms = workload_flows(&w, 10000, when);
        lutra_test_measured("%s killed -> a row written then: %llu ms", victims[i]->instance,
                            (unsigned long long)took_ms);
        free(when);
        lutra_test_service_restart(victims[i], NULL);
        lutra_test_service_await_ready(victims[i], 20000);
        LUTRA_WAIT_FOR(partitions_of(&c, c.extracts) == 2 && partitions_of(&c, c.transforms) == 2,
                       15000);
    }
    workload_finish(&w);
    cluster_end(&c);
}
