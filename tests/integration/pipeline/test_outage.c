/* What the pipeline stands on goes away under load, or gets in the way, and comes back: Kafka,
 * ZooKeeper, the source, the target. Nobody helps; afterwards both sides hold the same rows. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/http.h"
#include "support/test.h"
#include "workload.h"

/* ---- Kafka ---- */

static void await_standstill(struct workload *w)
{
    struct cluster *c = w->c;
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(20000);
    for (bool still = false; !still;) {
        cr_assert(lutra_test_now_ms() < end_ms, "select reads on without a broker");
        char *before = cluster_state_text(c, &c->selects[0], "read");
        workload_for(w, 1500);
        char *after = cluster_state_text(c, &c->selects[0], "read");
        still = before[0] != '\0' && strcmp(before, after) == 0;
        free(before);
        free(after);
    }
}

Test(outage, a_killed_broker_stops_the_reading_and_all_resumes_when_it_is_back, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    lutra_test_kafka_start();
    workload_begin(&w, &c,
                   &(struct cluster_options){
                       .window = 4, .pipeline = "    batch: {max_rows: 100, max_bytes: 64KiB}\n"},
                   15, 300);
    workload_for(&w, 2000);
    lutra_test_server_kill9("kafka", "kafka");
    await_standstill(&w);
    cr_assert_leq(cluster_state_int(&c, &c.selects[0], "in_flight"), 4);
    cr_assert_leq(cluster_state_int(&c, &c.selects[0], "max_in_flight"), 4,
                  "the window was exceeded");
    struct lutra_test_service *services[] = {&c.selects[0], &c.extracts[0], &c.transforms[0],
                                             &c.loads[0]};
    for (size_t i = 0; i < 4; i++) {
        struct lutra_http_answer ready = lutra_http_call("GET", services[i]->port, "/readyz", NULL);
        cr_assert_eq(lutra_http_status(services[i]->port, "/healthz"), 200, "%s",
                     services[i]->instance);
        cr_assert_eq(ready.status, 503, "%s says that it is ready", services[i]->instance);
        cr_assert_not_null(strstr(ready.body, "Kafka"), "%s: %s", services[i]->instance,
                           ready.body);
        lutra_http_answer_fini(&ready);
        cr_assert_lt(lutra_proc_rss_peak_kib(services[i]->proc), 200 * 1024, "%s grew",
                     services[i]->instance);
    }
    lutra_test_kafka_restart();
    (void)workload_flows(&w, 15000, "after the broker is back");
    workload_finish(&w);
    cr_assert_leq(cluster_state_int(&c, &c.selects[0], "max_in_flight"), 4,
                  "the window was exceeded");
    cluster_end(&c);
}

/* ---- ZooKeeper ---- */

static void restart_stages(struct cluster *c)
{
    struct lutra_test_service *stages[] = {&c->extracts[0], &c->transforms[0], &c->extracts[1],
                                           &c->transforms[1]};
    for (size_t i = 0; i < 4; i++) {
        lutra_proc_kill9(stages[i]->proc);
        cluster_restart(c, stages[i]);
    }
}

Test(outage, zookeeper_away_stops_nothing_and_loses_nothing, .timeout = 240)
{
    static const char *const env[] = {"LUTRA_ZOOKEEPER_SESSION_TIMEOUT=2s", NULL};
    struct cluster c;
    struct workload w;
    lutra_test_zookeeper_start();
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2, .transforms = 2, .env = env},
                   20, 100);
    workload_for(&w, 2000);

    /* It stands still for longer than every session: all owners find theirs expired. */
    lutra_test_server_signal("zookeeper", "zookeeper", SIGSTOP);
    workload_for(&w, 5000);
    lutra_test_server_signal("zookeeper", "zookeeper", SIGCONT);
    cluster_await_state(&c, "RUNNING", 30000);
    (void)workload_flows(&w, 15000, "after ZooKeeper stood still");

    /* It dies. Owners go on with their epoch; extract and transform, killed as well, start from
     * the definitions that they keep on disk. */
    lutra_test_server_kill9("zookeeper", "zookeeper");
    restart_stages(&c);
    (void)workload_flows(&w, 20000, "without ZooKeeper, extract and transform started anew");
    cr_assert_gt(cluster_state_int(&c, &c.extracts[0], "done") +
                     cluster_state_int(&c, &c.extracts[1], "done"),
                 0, "the restarted extracts did nothing");
    lutra_test_zookeeper_restart();
    cluster_await_state(&c, "RUNNING", 30000);
    (void)workload_flows(&w, 15000, "after ZooKeeper is back");
    workload_finish(&w);
    cluster_end(&c);
}

/* ---- the target ---- */

Test(outage, a_target_killed_under_load_is_found_again, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    struct lutra_test_mariadb target = lutra_test_mariadb_start("target", NULL);
    workload_begin(&w, &c, &(struct cluster_options){.target = &target}, 12, 150);
    workload_for(&w, 2000);
    for (int round = 0; round < 2; round++) {
        if (round == 0) {
            lutra_test_server_kill9("target", "mariadb");
        } else {
            lutra_test_mariadb_stop(&target);
        }
        workload_for(&w, 2000);
        lutra_test_mariadb_restart(&target);
        cluster_reopen(&c);
        (void)workload_flows(&w, 15000, "after the target is back");
    }
    workload_finish(&w);
    cluster_end(&c);
}

/* Ends the connection by which load holds one of the pipeline's lock names. */
static unsigned kill_load_connection(struct cluster *c)
{
    for (int n = 0; n < 4; n++) {
        int64_t id = lutra_sql_int(c->target, "SELECT IS_USED_LOCK('lutra.%s.%d')", c->name, n);
        if (id > 0 && lutra_sql_try(c->target, "KILL CONNECTION %lld", (long long)id) == 0) {
            return 1;
        }
    }
    return 0;
}

static void kill_connections(struct workload *w)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(30000);
    for (unsigned kills = 0; kills < 10; kills += kill_load_connection(w->c)) {
        cr_assert_lt(lutra_test_now_ms(), end_ms, "load came back only %u times", kills);
        workload_for(w, 200);
    }
}

/* A client at the target holds a row for longer than innodb_lock_wait_timeout (5 s). */
static void hold_a_row(struct workload *w)
{
    struct cluster *c = w->c;
    struct lutra_sql *client = lutra_sql_open(c->target_server.socket);
    unsigned retries = lutra_proc_log_count(c->loads[0].proc, "load.retry");
    int64_t epoch = cluster_epoch(c);
    LUTRA_WAIT_FOR(lutra_sql_try(client,
                                 "ROLLBACK; BEGIN; UPDATE `%s`.versions SET v = v WHERE id = 1",
                                 c->name) == 0,
                   10000);
    workload_for(w, 7000);
    lutra_sql_exec(client, "COMMIT");
    lutra_sql_close(client);
    (void)workload_flows(w, 15000, "after the client let go of the row");
    cr_assert_gt(lutra_proc_log_count(c->loads[0].proc, "load.retry"), retries,
                 "load did not even notice");
    cr_assert_eq(cluster_epoch(c), epoch, "a lock wait is no reason for a new epoch");
}

/* Not by INNODB_TRX, which is a copy that polling keeps from being renewed. */
static bool somebody_waits(struct cluster *c)
{
    return lutra_sql_int(c->target, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
                                    "WHERE VARIABLE_NAME = 'INNODB_ROW_LOCK_CURRENT_WAITS'") > 0;
}

/* A client holds row 2 and wants row 1 while load holds row 1 and wants row 2. The client has
 * changed more, so that load is the one that is rolled back. */
static void deadlock(struct workload *w)
{
    struct cluster *c = w->c;
    struct lutra_sql *client = lutra_sql_open(c->target_server.socket);
    lutra_sql_exec(client,
                   "USE `%s`; BEGIN; INSERT INTO scratch SELECT seq FROM seq_1_to_20000;"
                   "UPDATE knot SET v = v WHERE id = 2",
                   c->name);
    cluster_write(c, "BEGIN; UPDATE knot SET v = v + 1 WHERE id = 1;"
                     "UPDATE knot SET v = v + 1 WHERE id = 2; COMMIT");
    LUTRA_WAIT_FOR(somebody_waits(c), 10000);
    lutra_sql_exec(client, "UPDATE knot SET v = v WHERE id = 1"); /* load was the victim */
    lutra_sql_exec(client, "ROLLBACK");
    lutra_sql_close(client);
    (void)workload_flows(w, 15000, "after the deadlock");
    cr_assert_gt(lutra_proc_log_count(c->loads[0].proc, "1213"), 0,
                 "there was no deadlock: nothing is proven");
}

Test(outage, clients_of_the_target_get_in_the_way_and_only_cost_time, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    cluster_start(&c, &(struct cluster_options){0});
    workload_tables(&c);
    cluster_both(&c, "CREATE TABLE knot (id INT PRIMARY KEY, v INT)");
    lutra_sql_exec(c.target, "CREATE TABLE scratch (id INT PRIMARY KEY)");
    cluster_go(&c);
    workload_start(&w, &c, 13, 100);
    cluster_write(&c, "INSERT INTO knot VALUES (1, 0), (2, 0)");
    workload_for(&w, 1000);
    kill_connections(&w);
    hold_a_row(&w);
    deadlock(&w);
    workload_finish(&w);
    cluster_equal(&c, "knot");
    cr_assert_eq(lutra_sql_int(c.target, "SELECT SUM(v) FROM knot"), 2);
    cluster_end(&c);
}

/* ---- the source ---- */

static unsigned kill_dumps(struct cluster *c)
{
    unsigned kills = 0;
    int64_t id = lutra_sql_int(
        c->source, "SELECT MIN(id) FROM information_schema.processlist WHERE command LIKE 'Binlog "
                   "Dump%%'");
    if (id > 0) {
        kills += lutra_sql_try(c->source, "KILL CONNECTION %lld", (long long)id) == 0;
    }
    return kills;
}

Test(outage, a_source_that_drops_the_dump_or_dies_is_read_on_from_the_last_cut, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    struct lutra_test_mariadb source = lutra_test_mariadb_start("source", NULL);
    workload_begin(&w, &c, &(struct cluster_options){.source = &source}, 10, 150);
    workload_for(&w, 2000);
    int64_t epoch = cluster_epoch(&c);
    unsigned kills = 0;
    for (int i = 0; i < 15; i++) {
        workload_for(&w, 200);
        kills += kill_dumps(&c);
    }
    cr_assert_gt(kills, 3, "the dump was hardly ever there to be killed");
    (void)workload_flows(&w, 15000, "after its dump was killed again and again");
    cr_assert_eq(cluster_epoch(&c), epoch, "a dropped dump is no reason for a new epoch");

    lutra_test_server_kill9("source", "mariadb");
    lutra_test_mariadb_restart(&source);
    cluster_reopen(&c);
    (void)workload_flows(&w, 20000, "after the source was killed and started again");
    workload_finish(&w);
    cluster_end(&c);
}
