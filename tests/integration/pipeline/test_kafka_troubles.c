/* What can happen to topics, messages and clients of Kafka under a running pipeline, beside a
 * broker that dies (test_outage.c). Nobody helps; afterwards both sides hold the same rows. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/http.h"
#include "support/kafka.h"
#include "support/test.h"
#include "workload.h"

static const char *const stages[] = {"extract", "transform", "load", "termin"};

static void begin(struct cluster *c,
                  struct workload *w,
                  const struct cluster_options *options,
                  unsigned seconds)
{
    cluster_start(c, options);
    workload_tables(c);
    cluster_go(c);
    workload_start(w, c, seconds, 100);
    workload_for(w, 1000);
}

static const char *kafka(void)
{
    return lutra_test_stack()->kafka;
}

/* A counter or gauge without labels of a service. */
static double metric(struct lutra_test_service *service, const char *name)
{
    char *body = lutra_http_get(service->port, "/metrics");
    char *needle = lutra_test_format("\n%s ", name);
    const char *at = body != NULL ? strstr(body, needle) : NULL;
    double value = at != NULL ? strtod(at + strlen(needle), NULL) : -1;
    free(needle);
    free(body);
    return value;
}

static int64_t republished(struct cluster *c)
{
    return cluster_state_int(c, &c->selects[0], "republished");
}

/* ---- the broker stands still ---- */

Test(kafka_troubles,
     a_broker_that_stands_still_is_told_and_rows_flow_when_it_moves_again,
     .timeout = 180)
{
    struct cluster c;
    struct workload w;
    lutra_test_kafka_start();
    begin(&c, &w, &(struct cluster_options){.window = 8, .extracts = 2}, 20);
    lutra_test_server_signal("kafka", "kafka", SIGSTOP);
    uint64_t frozen_ms = lutra_test_now_ms();
    struct lutra_http_answer ready = {0};
    do { /* within 15 s each service says that it cannot reach Kafka */
        cr_assert_lt(lutra_test_now_ms() - frozen_ms, lutra_test_scaled_ms(15000),
                     "select says that it is ready: %s", ready.body);
        workload_for(&w, 200);
        lutra_http_answer_fini(&ready);
        ready = lutra_http_call("GET", c.selects[0].port, "/readyz", NULL);
    } while (ready.status != 503);
    cr_assert_not_null(strstr(ready.body, "Kafka"), "%s", ready.body);
    lutra_http_answer_fini(&ready);
    cr_log_info("told after %llu ms", (unsigned long long)(lutra_test_now_ms() - frozen_ms));
    while (lutra_test_now_ms() - frozen_ms < 20000) {
        workload_step(&w);
        lutra_test_poll_pause();
    }
    lutra_test_server_signal("kafka", "kafka", SIGCONT);
    uint64_t took_ms = workload_first_row(&w, lutra_test_now_ms(), 15000);
    cr_log_warn("broker moves again -> first row: %llu ms", (unsigned long long)took_ms);
    (void)workload_flows(&w, 15000, "after the broker moves again");
    workload_finish(&w);
    cr_assert_leq(cluster_state_int(&c, &c.selects[0], "max_in_flight"), 8);
    cluster_end(&c);
}

/* ---- topics ---- */

Test(kafka_troubles,
     a_topic_that_is_deleted_is_made_again_and_what_was_in_it_is_read_again,
     .timeout = 240)
{
    struct cluster c;
    struct workload w;
    begin(&c, &w, &(struct cluster_options){.extracts = 2}, 25);
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

static void make_again(const char *topic, int partitions)
{
    lutra_kafka_delete_topic(kafka(), topic);
    LUTRA_WAIT_FOR(lutra_kafka_partitions(kafka(), topic) == 0, 10000);
    lutra_kafka_create_topic(kafka(), topic, partitions, NULL);
}

Test(kafka_troubles, a_topic_that_is_made_anew_is_read_from_its_beginning, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    begin(&c, &w, &(struct cluster_options){.transforms = 2}, 15);
    for (size_t i = 0; i < 4; i++) {
        char *topic = cluster_topic(&c, stages[i]), *when;
        make_again(topic, i < 2 ? 2 : 1);
        when = lutra_test_format("after topic %s was made anew", stages[i]);
        (void)workload_flows(&w, 30000, when);
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
    double resets = metric(reader, "lutra_bus_offset_resets_total");
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
    LUTRA_WAIT_FOR(metric(reader, "lutra_bus_offset_resets_total") > resets, 5000);
    free(when);
    free(topic);
}

Test(kafka_troubles, what_retention_takes_from_a_topic_is_read_again, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    begin(&c, &w, &(struct cluster_options){0}, 15);
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

Test(kafka_troubles, more_partitions_are_taken_by_the_group_and_disturb_nobody, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    begin(&c, &w, &(struct cluster_options){.extracts = 2, .transforms = 2}, 8);
    int64_t epoch = cluster_epoch(&c);
    for (size_t i = 0; i < 4; i++) {
        char *topic = cluster_topic(&c, stages[i]);
        lutra_kafka_grow_topic(kafka(), topic, i < 2 ? 5 : 3);
        free(topic);
    }
    (void)workload_flows(&w, 15000, "after every topic got more partitions");
    LUTRA_WAIT_FOR(partitions_of(&c, c.extracts) == 5 && partitions_of(&c, c.transforms) == 5,
                   15000);
    cr_assert_eq(cluster_epoch(&c), epoch, "more partitions are no reason for a new epoch");
    cr_assert_eq(cluster_ctl(&c, "restart %s --reason test", c.name), 0);
    (void)workload_flows(&w, 15000, "in an epoch that finds more partitions than it asks for");
    workload_finish(&w);
    cluster_end(&c);
}

/* ---- records that are damaged ---- */

/* Flips a byte in the last record of the first partition's first segment; false: there is none. */
static bool flip(const char *topic)
{
    char *path = lutra_test_path("kafka/data/%s-0/00000000000000000000.log", topic);
    FILE *file = fopen(path, "r+b");
    long at = 0, last = -1;
    unsigned char head[12];
    cr_assert_not_null(file, "%s", path);
    while (fseek(file, at, SEEK_SET) == 0 && fread(head, 1, sizeof head, file) == sizeof head) {
        unsigned len = (unsigned)head[8] << 24 | (unsigned)head[9] << 16 | (unsigned)head[10] << 8 |
                       (unsigned)head[11];
        last = len > 0 ? at : last;
        at = len > 0 ? at + 12 + (long)len : -1;
    }
    if (last >= 0) {
        long byte = last + 12 + 49 + 20; /* behind the batch's header: in its first record */
        cr_assert_eq(fseek(file, byte, SEEK_SET), 0);
        int c = fgetc(file);
        cr_assert_eq(fseek(file, byte, SEEK_SET), 0);
        cr_assert_neq(fputc(c ^ 0x5a, file), EOF);
    }
    cr_assert_eq(fclose(file), 0);
    free(path);
    return last >= 0;
}

/* The reader stands still, so that the damaged record is one it has not read yet. */
static void corrupt_under(struct workload *w, struct lutra_test_service *reader, const char *stage)
{
    struct cluster *c = w->c;
    char *topic = cluster_topic(c, stage), *when;
    double corrupt = metric(reader, "lutra_bus_corrupt_total");
    lutra_proc_freeze(reader->proc);
    int64_t end = lutra_kafka_end_offset(kafka(), topic, 0);
    uint64_t deadline_ms = lutra_test_now_ms() + lutra_test_scaled_ms(10000);
    while (lutra_kafka_end_offset(kafka(), topic, 0) < end + 3) {
        cr_assert_lt(lutra_test_now_ms(), deadline_ms, "nothing is written to %s", topic);
        workload_for(w, 50);
    }
    cr_assert(flip(topic), "%s holds no record", topic);
    lutra_proc_thaw(reader->proc);
    when = lutra_test_format("after a record of %s was damaged", stage);
    (void)workload_flows(w, 20000, when);
    LUTRA_WAIT_FOR(metric(reader, "lutra_bus_corrupt_total") > corrupt, 5000);
    free(when);
    free(topic);
}

Test(kafka_troubles,
     a_damaged_record_is_never_taken_for_one_and_read_again_from_the_source,
     .timeout = 240)
{
    static const char *const env[] = {"LUTRA_ZOOKEEPER_SESSION_TIMEOUT=30s", NULL};
    struct cluster c;
    struct workload w;
    lutra_test_kafka_start();
    begin(&c, &w, &(struct cluster_options){.env = env}, 15);
    corrupt_under(&w, &c.extracts[0], "extract");
    corrupt_under(&w, &c.transforms[0], "transform");
    corrupt_under(&w, &c.loads[0], "load");
    workload_finish(&w);
    cluster_end(&c);
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
    begin(&c, &w, &(struct cluster_options){.extracts = 2, .transforms = 2}, 12);
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

Test(kafka_troubles,
     a_process_that_a_stage_loses_is_missed_by_its_number_and_published_again,
     .timeout = 180)
{
    static const char *const faults[] = {"extract:extract.received=error:25",
                                         "transform:transform.received=error:60", NULL};
    struct cluster c;
    struct workload w;
    begin(&c, &w, &(struct cluster_options){.faults = faults}, 10);
    int64_t epoch = cluster_epoch(&c);
    LUTRA_WAIT_FOR(republished(&c) >= 2, 20000);
    (void)workload_flows(&w, 10000, "after two processes were lost");
    workload_finish(&w);
    cr_assert_eq(cluster_epoch(&c), epoch);
    cr_assert_eq(cluster_state_int(&c, &c.extracts[0], "malformed"), 1);
    cr_assert_eq(cluster_state_int(&c, &c.transforms[0], "malformed"), 1);
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
    begin(&c, &w, &(struct cluster_options){.faults = faults}, 10);
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
    begin(&c, &w, &(struct cluster_options){.extracts = 2, .transforms = 2}, 15);
    struct lutra_test_service *victims[] = {&c.extracts[0], &c.transforms[1], &c.extracts[1]};
    for (size_t i = 0; i < 3; i++) {
        workload_for(&w, 1500);
        lutra_proc_kill9(victims[i]->proc);
        char *when = lutra_test_format("after %s was killed", victims[i]->instance);
        uint64_t took_ms = workload_flows(&w, 10000, when);
        cr_log_warn("%s killed -> a row written then: %llu ms", victims[i]->instance,
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

static void stutter(struct workload *w, struct lutra_test_service *services, uint64_t ms)
{
    uint64_t end_ms = lutra_test_now_ms() + ms;
    while (lutra_test_now_ms() < end_ms) {
        lutra_proc_freeze(services[0].proc);
        lutra_proc_freeze(services[1].proc);
        workload_for(w, 500);
        lutra_proc_thaw(services[0].proc);
        lutra_proc_thaw(services[1].proc);
        workload_for(w, 50);
    }
}

Test(kafka_troubles, an_overload_is_not_made_worse_by_publishing_again, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    begin(&c, &w, &(struct cluster_options){.extracts = 2, .window = 16}, 20);
    int64_t before = republished(&c), epoch = cluster_epoch(&c);

    /* The target hangs on a row. */
    lutra_sql_exec(c.target, "BEGIN; SELECT v FROM versions WHERE id = 1 FOR UPDATE");
    workload_for(&w, 8000);
    lutra_sql_exec(c.target, "ROLLBACK");
    (void)workload_flows(&w, 15000, "after the row was let go of");
    int64_t slow_target = republished(&c) - before;
    cr_assert_leq(slow_target, 4, "%lld published again within 8 s", (long long)slow_target);

    /* Both extracts get a tenth of the time. */
    before = republished(&c);
    stutter(&w, c.extracts, 8000);
    (void)workload_flows(&w, 20000, "after extract got its time again");
    int64_t slow_extract = republished(&c) - before;
    cr_assert_leq(slow_extract, 5, "%lld published again within 8 s", (long long)slow_extract);
    cr_log_warn("published again: %lld with a slow target, %lld with a slow extract",
                (long long)slow_target, (long long)slow_extract);
    cr_assert_eq(cluster_epoch(&c), epoch);
    workload_finish(&w);
    cluster_end(&c);
}
