/* The troubles that take longer, beside test_kafka_troubles.c and test_db_troubles.c. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/http.h"
#include "support/kafka.h"
#include "support/test.h"
#include "troubles.h"

static const char *const stages[] = {"extract", "transform", "load", "termin"};

static const char *kafka(void)
{
    return lutra_test_stack()->kafka;
}

/* ---- the broker stands still ---- */

Test(long_troubles,
     a_broker_that_stands_still_is_told_and_rows_flow_when_it_moves_again,
     .timeout = 180)
{
    struct cluster c;
    struct workload w;
    lutra_test_kafka_start();
    workload_begin(&w, &c, &(struct cluster_options){.window = 8, .extracts = 2}, 20, 100);
    workload_for(&w, 1000);
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
    lutra_test_measured("broker moves again -> first row: %llu ms", (unsigned long long)took_ms);
    (void)workload_flows(&w, 15000, "after the broker moves again");
    workload_finish(&w);
    cr_assert_leq(cluster_state_int(&c, &c.selects[0], "max_in_flight"), 8);
    cluster_end(&c);
}

/* ---- topics ---- */

static void make_again(const char *topic, int partitions)
{
    lutra_kafka_delete_topic(kafka(), topic);
    LUTRA_WAIT_FOR(lutra_kafka_partitions(kafka(), topic) == 0, 10000);
    lutra_kafka_create_topic(kafka(), topic, partitions, NULL);
}

Test(long_troubles, a_topic_that_is_made_anew_is_read_from_its_beginning, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.transforms = 2}, 15, 100);
    workload_for(&w, 1000);
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

static int64_t partitions_of(struct cluster *c, struct lutra_test_service *services)
{
    return cluster_state_int(c, &services[0], "partitions") +
           cluster_state_int(c, &services[1], "partitions");
}

Test(long_troubles, more_partitions_are_taken_by_the_group_and_disturb_nobody, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2, .transforms = 2}, 8, 100);
    workload_for(&w, 1000);
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
    double corrupt = troubles_metric(reader, "lutra_bus_corrupt_total");
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
    LUTRA_WAIT_FOR(troubles_metric(reader, "lutra_bus_corrupt_total") > corrupt, 5000);
    free(when);
    free(topic);
}

Test(long_troubles,
     a_damaged_record_is_never_taken_for_one_and_read_again_from_the_source,
     .timeout = 240)
{
    static const char *const env[] = {"LUTRA_ZOOKEEPER_SESSION_TIMEOUT=30s", NULL};
    struct cluster c;
    struct workload w;
    lutra_test_kafka_start();
    workload_begin(&w, &c, &(struct cluster_options){.env = env}, 15, 100);
    workload_for(&w, 1000);
    corrupt_under(&w, &c.extracts[0], "extract");
    corrupt_under(&w, &c.transforms[0], "transform");
    corrupt_under(&w, &c.loads[0], "load");
    workload_finish(&w);
    cluster_end(&c);
}

/* ---- losses and overload ---- */

Test(long_troubles,
     a_process_that_a_stage_loses_is_missed_by_its_number_and_published_again,
     .timeout = 180)
{
    static const char *const faults[] = {"extract:extract.received=error:25",
                                         "transform:transform.received=error:60", NULL};
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.faults = faults}, 10, 100);
    workload_for(&w, 1000);
    int64_t epoch = cluster_epoch(&c);
    LUTRA_WAIT_FOR(troubles_republished(&c) >= 2, 20000);
    (void)workload_flows(&w, 10000, "after two processes were lost");
    workload_finish(&w);
    cr_assert_eq(cluster_epoch(&c), epoch);
    cr_assert_eq(cluster_state_int(&c, &c.extracts[0], "malformed"), 1);
    cr_assert_eq(cluster_state_int(&c, &c.transforms[0], "malformed"), 1);
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

Test(long_troubles, an_overload_is_not_made_worse_by_publishing_again, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2, .window = 16}, 20, 100);
    workload_for(&w, 1000);
    int64_t before = troubles_republished(&c), epoch = cluster_epoch(&c);

    /* The target hangs on a row. */
    lutra_sql_exec(c.target, "BEGIN; SELECT v FROM versions WHERE id = 1 FOR UPDATE");
    workload_for(&w, 8000);
    lutra_sql_exec(c.target, "ROLLBACK");
    (void)workload_flows(&w, 15000, "after the row was let go of");
    int64_t slow_target = troubles_republished(&c) - before;
    cr_assert_leq(slow_target, 4, "%lld published again within 8 s", (long long)slow_target);

    /* Both extracts get a tenth of the time. */
    before = troubles_republished(&c);
    stutter(&w, c.extracts, 8000);
    (void)workload_flows(&w, 20000, "after extract got its time again");
    int64_t slow_extract = troubles_republished(&c) - before;
    cr_assert_leq(slow_extract, 5, "%lld published again within 8 s", (long long)slow_extract);
    lutra_test_measured("published again: %lld with a slow target, %lld with a slow extract",
                        (long long)slow_target, (long long)slow_extract);
    cr_assert_eq(cluster_epoch(&c), epoch);
    workload_finish(&w);
    cluster_end(&c);
}

/* ---- the target's disk ---- */

static void fill(const char *path)
{
    FILE *file = fopen(path, "wb");
    static char block[65536];
    cr_assert_not_null(file);
    while (fwrite(block, 1, sizeof block, file) == sizeof block && fflush(file) == 0) {
    }
    (void)fclose(file);
}

static char small_disk[300];

static void unmount(void)
{
    (void)umount2(small_disk, MNT_DETACH);
}

Test(long_troubles, a_full_disk_at_the_target_is_told_and_costs_time_only, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    (void)snprintf(small_disk, sizeof small_disk, "%s/target", lutra_test_dir());
    cr_assert(mkdir(small_disk, 0700) == 0);
    if (mount("none", small_disk, "tmpfs", 0, "size=160m,mode=0755") != 0) {
        cr_skip_test("no right to mount a small disk");
    }
    atexit(unmount); /* before that of the servers is registered: runs after it */
    struct lutra_test_mariadb target = lutra_test_mariadb_start("target", NULL);
    troubles_begin_plain(&w, &c, &target, 15, 60);
    char *ballast = lutra_test_path("target/ballast");
    uint64_t since_ms = lutra_test_now_ms();
    fill(ballast);
    troubles_told(&c, &w, since_ms, "full", "");
    cr_assert_eq(unlink(ballast), 0);
    /* MariaDB looks once a minute whether a full disk under its binlog has room again. */
    troubles_over(&w, "the target's disk has room again", 90000);
    workload_finish(&w);
    free(ballast);
    cluster_end(&c);
}
