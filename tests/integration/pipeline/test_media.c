/* Media groups on real servers: pairs of MariaDB, the second a replica of the first, as source or
 * target; switched under load by lutractl, by HTTP and by the services themselves. Afterwards the
 * current members of both sides hold the same rows. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/http.h"
#include "support/test.h"
#include "workload.h"

/* ---- a primary and its replica ---- */

struct pair {
    char name[16];
    struct lutra_test_mariadb a, b;
    struct lutra_sql *sa, *sb;
    char endpoint[512]; /* the YAML of the group */
};

static struct lutra_test_mariadb member_start(const struct pair *pair, const char *member)
{
    static const char *const options[] = {"log_slave_updates=ON", NULL};
    char *name = lutra_test_format("%s-%s", pair->name, member);
    struct lutra_test_mariadb server = lutra_test_mariadb_start(name, options);
    free(name);
    return server;
}

static void replicate(struct lutra_sql *replica, const struct lutra_test_mariadb *from)
{
    lutra_sql_exec(replica,
                   "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %u, MASTER_USER = "
                   "'r', MASTER_PASSWORD = 'r', MASTER_USE_GTID = slave_pos,"
                   " MASTER_CONNECT_RETRY = 1; START SLAVE",
                   from->port);
}

/* `more`: further keys of the group, such as "primary: a, follow: auto". */
static void pair_start(struct pair *pair, const char *name, const char *more)
{
    (void)snprintf(pair->name, sizeof pair->name, "%s", name);
    pair->a = member_start(pair, "a");
    pair->b = member_start(pair, "b");
    pair->sa = lutra_sql_open(pair->a.socket);
    pair->sb = lutra_sql_open(pair->b.socket);
    (void)snprintf(pair->endpoint, sizeof pair->endpoint,
                   "{type: mariadb, user: root, members: {a: {socket: %s}, b: {socket: %s}}, %s}",
                   pair->a.socket, pair->b.socket, more);
    lutra_sql_exec(pair->sa, "CREATE USER r@'127.0.0.1' IDENTIFIED BY 'r';"
                             "GRANT REPLICATION SLAVE ON *.* TO r@'127.0.0.1'");
    replicate(pair->sb, &pair->a);
    lutra_sql_exec(pair->sb, "SET GLOBAL read_only = ON");
    /* File numbers of the replica stay below: the direction in which they mislead. */
    for (int i = 0; i < 5; i++) {
        lutra_sql_exec(pair->sa, "FLUSH BINARY LOGS");
    }
}

static void catch_up(struct lutra_sql *primary, struct lutra_sql *replica)
{
    char *gtids = lutra_sql_text(primary, "SELECT @@GLOBAL.gtid_binlog_pos");
    cr_assert_eq(lutra_sql_int(replica, "SELECT MASTER_GTID_WAIT('%s', 30)", gtids), 0);
    free(gtids);
}

static void promote(struct lutra_sql *replica)
{
    lutra_sql_exec(replica, "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = OFF");
}

/* ---- switching and looking ---- */

static void point(struct cluster *c,
                  struct lutra_sql **connection,
                  struct lutra_test_mariadb *slot,
                  const struct lutra_test_mariadb *server)
{
    lutra_sql_close(*connection);
    *slot = *server;
    *connection = lutra_sql_open(server->socket);
    lutra_sql_exec(*connection, "USE `%s`", c->name);
}

static void write_at(struct cluster *c, const struct lutra_test_mariadb *server)
{
    point(c, &c->source, &c->source_server, server);
}

static void read_at(struct cluster *c, const struct lutra_test_mariadb *server)
{
    point(c, &c->target, &c->target_server, server);
}

static void switch_to(struct cluster *c, const char *side, const char *member)
{
    char *out = NULL;
    cr_assert_eq(cluster_ctl_output(c, &out, "media switch %s.%s %s", c->name, side, member), 0,
                 "%s", out);
    cr_assert(strstr(out, member), "%s", out);
    free(out);
}

static bool uses(struct cluster *c, const char *side, const char *member)
{
    json_t *status = cluster_status(c);
    const json_t *media = json_object_get(json_object_get(status, "media"), side);
    const char *used = json_string_value(json_object_get(media, "used")),
               *state = json_string_value(json_object_get(status, "state"));
    bool does = used && strcmp(used, member) == 0 && state && strcmp(state, "RUNNING") == 0;
    json_decref(status);
    return does;
}

/* Told by the run, not judged: the machine may be slow. */
static void measured(const char *what, uint64_t since_ms)
{
    lutra_test_measured("%s: %llu ms", what, (unsigned long long)(lutra_test_now_ms() - since_ms));
}

static int64_t dumps_of(struct lutra_sql *server)
{
    return lutra_sql_int(server, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE "
                                 "COMMAND = 'Binlog Dump' AND USER = 'root'");
}

static int64_t connections_of_load(struct lutra_sql *server, const struct cluster *c)
{
    return lutra_sql_int(server, "SELECT IS_USED_LOCK('lutra.%s.0') IS NOT NULL", c->name);
}

static bool tells(struct cluster *c, struct lutra_test_service *service, const char *what)
{
    char *error = cluster_state_text(c, service, "last_error");
    bool told = strstr(error, what) != NULL;
    free(error);
    return told;
}

static bool purged(struct lutra_sql *server, const char *to)
{
    lutra_sql_exec(server, "PURGE BINARY LOGS TO '%s'", to);
    char *first = lutra_sql_text(server, "SHOW BINARY LOGS");
    bool gone = strcmp(first, to) == 0;
    free(first);
    return gone;
}

static void refused_and_freed(char *reason)
{
    cr_log_info("%s", reason);
    free(reason);
}

static void go(struct cluster *c)
{
    cluster_go(c);
    lutra_sql_exec(c->source, "INSERT INTO versions VALUES (1, 0)");
}

static void equal(struct cluster *c)
{
    static const char *const names[] = {"bag", "versions", "marker", "sbtest1", "sbtest2"};
    cluster_sync(c, 60000);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cluster_equal(c, names[i]);
    }
}

/* The cluster with this pair at one side, and the tables; the channel is not begun. */
static void start_with_source(struct cluster *c, const struct pair *pair)
{
    cluster_start(c,
                  &(struct cluster_options){.source = &pair->a, .source_endpoint = pair->endpoint});
    workload_tables(c);
}

static void start_with_target(struct cluster *c, const struct pair *pair)
{
    cluster_start(c,
                  &(struct cluster_options){.target = &pair->a, .target_endpoint = pair->endpoint});
    workload_tables(c);
}

/* ---- sources ---- */

/* Reading from a standby, and from the primary again, to and fro, while the primary is written to
 * without a pause. */
Test(media, a_source_is_switched_between_primary_and_standby_under_load, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    struct pair source;
    pair_start(&source, "src", "primary: b");
    cluster_start(&c, &(struct cluster_options){
                          .source = &source.a, .source_endpoint = source.endpoint, .window = 4});
    workload_tables(&c);
    catch_up(source.sa, source.sb);
    cluster_go(&c);
    LUTRA_WAIT_FOR(uses(&c, "source", "b"), 20000); /* the standby */
    workload_start(&w, &c, 25, 40);
    workload_for(&w, 2000);
    int64_t epoch = cluster_epoch(&c);
    static const char *const order[] = {"a", "b", "a", "b"};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        uint64_t began = lutra_test_now_ms();
        switch_to(&c, "source", order[i]);
        measured("lutractl media switch", began);
        LUTRA_WAIT_FOR((workload_step(&w), uses(&c, "source", order[i])), 20000);
        measured("source switched, stream of the new epoch", began);
        cluster_sync(&c, 30000);
        measured("source switched, a row written after it is there", began);
        /* The former server's dump is gone: nobody reads it any more. */
        struct lutra_sql *former = order[i][0] == 'a' ? source.sb : source.sa;
        LUTRA_WAIT_FOR(dumps_of(former) == 0, 10000);
        cr_assert_eq(dumps_of(order[i][0] == 'a' ? source.sa : source.sb), 1);
        workload_for(&w, 1500);
    }
    cr_assert_geq(cluster_epoch(&c), epoch + 4, "each switch is a new epoch");
    workload_finish(&w);
    cluster_end(&c);
}

static char *media_of(struct cluster *c)
{
    char *path = lutra_test_format("/v1/media/%s.source", c->name);
    char *body = lutra_http_get(c->managers[0].port, path);
    free(path);
    return body;
}

/* A DBA platform demotes the primary, promotes the standby and tells the managers. */
Test(media, a_planned_failover_of_the_source_is_told_by_http, .timeout = 240)
{
    struct cluster c;
    struct workload w = {.c = &c};
    struct pair source;
    pair_start(&source, "src", "primary: a");
    start_with_source(&c, &source);
    go(&c);
    workload_for(&w, 1500);
    lutra_sql_exec(source.sa, "SET GLOBAL read_only = ON");
    catch_up(source.sa, source.sb);
    promote(source.sb);
    write_at(&c, &source.b);
    workload_for(&w, 500); /* the new primary has transactions of its own by now */

    char *path = lutra_test_format("/v1/media/%s.source/switch", c.name);
    uint64_t began = lutra_test_now_ms();
    struct lutra_http_answer answer = lutra_http_call(
        "POST", c.managers[0].port, path, "{\"to\":\"b\",\"from\":\"a\",\"by\":\"platform\"}");
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    lutra_http_answer_fini(&answer);
    cluster_sync(&c, 30000);
    measured("source switched by HTTP, a row is there", began);
    workload_for(&w, 1000);
    equal(&c);
    char *media = media_of(&c);
    cr_assert(media && strstr(media, "\"platform\"") && strstr(media, "\"b\""), "%s", media);
    free(media);
    answer = lutra_http_call("POST", c.managers[0].port, path, "{\"to\":\"c\"}");
    cr_assert_eq(answer.status, 400);
    cr_assert(strstr(answer.body, "a, b"), "%s", answer.body);
    lutra_http_answer_fini(&answer);
    free(path);

    /* The former primary comes back as a standby and takes over again. */
    replicate(source.sa, &source.b);
    catch_up(source.sb, source.sa);
    switch_to(&c, "source", "a");
    workload_for(&w, 1000);
    equal(&c);
    cluster_end(&c);
}

/* Its replication is a few seconds late: it is waited for, by name, and nothing is lost. */
Test(media, a_source_that_is_behind_is_waited_for, .timeout = 240)
{
    struct cluster c;
    struct workload w = {.c = &c};
    struct pair source;
    pair_start(&source, "src", "primary: a");
    start_with_source(&c, &source);
    catch_up(source.sa, source.sb);
    lutra_sql_exec(source.sb, "STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = 8; START SLAVE");
    go(&c);
    workload_for(&w, 1000);
    cluster_sync(&c, 20000);
    switch_to(&c, "source", "b");
    LUTRA_WAIT_FOR(tells(&c, &c.selects[0], "source/b is behind"), 20000);
    workload_step(&w);
    equal(&c);
    cluster_end(&c);
}

/* The primary dies with writes that the standby never got; the target has them. */
Test(media, a_source_that_lost_what_the_target_has_is_refused_by_gtid_and_server, .timeout = 240)
{
    struct cluster c;
    struct workload w = {.c = &c};
    struct pair source;
    pair_start(&source, "src", "primary: a");
    start_with_source(&c, &source);
    go(&c);
    workload_step(&w);
    catch_up(source.sa, source.sb);
    lutra_sql_exec(source.sb, "STOP SLAVE");
    workload_step(&w);
    cluster_sync(&c, 20000);
    promote(source.sb);
    switch_to(&c, "source", "b");
    refused_and_freed(cluster_await_refusal(&c, "source/b lacks GTID 0-", "does not replicate",
                                            "lutractl media switch", NULL));
    /* ... and the same when it has gone on by itself for so long that its numbers are beyond. */
    write_at(&c, &source.b);
    for (int i = 0; i < 20; i++) {
        lutra_sql_exec(c.source, "INSERT INTO bag VALUES (100, 'other history')");
    }
    cr_assert_eq(cluster_ctl(&c, "start %s", c.name), 0);
    refused_and_freed(cluster_await_refusal(&c, "source/b never had GTID 0-", NULL));
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM bag WHERE a = 100"), 0);
    write_at(&c, &source.a);
    switch_to(&c, "source", "a");
    cluster_resume(&c);
    workload_step(&w);
    equal(&c);
    cluster_end(&c);
}

Test(media, a_source_whose_binlog_was_purged_too_far_is_refused_by_name, .timeout = 240)
{
    struct cluster c;
    struct workload w = {.c = &c};
    struct pair source;
    pair_start(&source, "src", "primary: a");
    start_with_source(&c, &source);
    go(&c);
    workload_step(&w);
    cluster_sync(&c, 20000);
    cr_assert_eq(cluster_ctl(&c, "stop %s --wait 40s", c.name), 0);
    workload_step(&w);
    catch_up(source.sa, source.sb);
    lutra_sql_exec(source.sb, "FLUSH BINARY LOGS");
    char *last = lutra_sql_text(source.sb, "SHOW MASTER STATUS");
    /* The server keeps a file until its successor's checkpoint is written. */
    LUTRA_WAIT_FOR(purged(source.sb, last), 20000);
    free(last);
    switch_to(&c, "source", "b");
    cr_assert_eq(cluster_ctl(&c, "start %s", c.name), 0);
    refused_and_freed(
        cluster_await_refusal(&c, "source/b: the binlog begins after GTID 0-", "purged", NULL));
    switch_to(&c, "source", "a");
    cluster_resume(&c);
    equal(&c);
    cluster_end(&c);
}

/* ---- targets ---- */

/* The target dies; its asynchronous replica lacks the last second, rows and checkpoint alike. */
Test(media, a_target_that_lost_the_last_second_goes_on_from_its_own_checkpoint, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    struct pair target;
    pair_start(&target, "dst", "primary: a");
    workload_begin(
        &w, &c, &(struct cluster_options){.target = &target.a, .target_endpoint = target.endpoint},
        20, 40);
    workload_for(&w, 2000);
    lutra_sql_exec(target.sb, "STOP SLAVE");
    int64_t there = lutra_sql_int(target.sb, "SELECT MAX(process_id) FROM lutra.checkpoint");
    workload_for(&w, 1500);
    cluster_sync(&c, 20000);
    cr_assert_gt(lutra_sql_int(target.sa, "SELECT MAX(process_id) FROM lutra.checkpoint"), there,
                 "the replica lacks something");
    int64_t epoch = cluster_epoch(&c);
    lutra_test_server_kill9("dst-a", "mariadb");
    workload_for(&w, 500);
    promote(target.sb);
    uint64_t began = lutra_test_now_ms();
    switch_to(&c, "target", "b");
    read_at(&c, &target.b);
    cluster_sync(&c, 30000);
    measured("target switched, a row is there", began);
    LUTRA_WAIT_FOR(uses(&c, "target", "b"), 20000);
    cr_assert_gt(cluster_epoch(&c), epoch, "above what the former target had");
    workload_finish(&w);
    cluster_end(&c);
}

/* A planned switch under load, and back. The former target is left at once. */
Test(media, a_target_is_switched_to_and_fro_under_load, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    struct pair target;
    pair_start(&target, "dst", "primary: a");
    workload_begin(
        &w, &c, &(struct cluster_options){.target = &target.a, .target_endpoint = target.endpoint},
        25, 40);
    workload_for(&w, 2000);
    /* Switched too early it waits, and touches nothing. */
    switch_to(&c, "target", "b");
    LUTRA_WAIT_FOR(tells(&c, &c.loads[0], "target/b is read_only"), 20000);
    LUTRA_WAIT_FOR(connections_of_load(target.sa, &c) == 0, 10000);
    catch_up(target.sa, target.sb);
    promote(target.sb);
    read_at(&c, &target.b);
    cluster_sync(&c, 60000);
    LUTRA_WAIT_FOR(uses(&c, "target", "b"), 20000);
    workload_for(&w, 1000);

    replicate(target.sa, &target.b);
    /* All of the load's writes are at b: stop them for the moment of the switch, as a DBA would. */
    cr_assert_eq(cluster_ctl(&c, "pause %s --wait 30s", c.name), 0);
    catch_up(target.sb, target.sa);
    promote(target.sa);
    switch_to(&c, "target", "a");
    cr_assert_eq(cluster_ctl(&c, "start %s", c.name), 0);
    read_at(&c, &target.a);
    workload_finish(&w);
    LUTRA_WAIT_FOR(connections_of_load(target.sb, &c) == 0, 10000);
    cluster_end(&c);
}

Test(media, a_member_without_the_checkpoint_is_refused_by_name, .timeout = 240)
{
    struct cluster c;
    struct workload w = {.c = &c};
    struct pair target;
    pair_start(&target, "dst", "primary: a");
    lutra_sql_exec(target.sb, "STOP SLAVE"); /* before anything came: an empty server */
    start_with_target(&c, &target);
    go(&c);
    workload_step(&w);
    cluster_sync(&c, 20000);
    promote(target.sb);
    switch_to(&c, "target", "b");
    refused_and_freed(cluster_await_refusal(&c, "target/b has no checkpoint of this pipeline",
                                            "lutractl media switch", NULL));
    switch_to(&c, "target", "a");
    cluster_resume(&c);
    equal(&c);
    cluster_end(&c);
}

/* ---- follow: auto ---- */

static bool is_told(struct cluster *c, struct lutra_test_service *service, const char *what)
{
    char *note = cluster_state_text(c, service, "media_note");
    bool told = strstr(note, what) != NULL;
    free(note);
    return told;
}

/* kill -9 of the primary: nothing is switched until a standby was promoted, then by itself. */
Test(media, a_killed_source_is_followed_to_the_standby_that_was_promoted, .timeout = 240)
{
    struct cluster c;
    struct workload w = {.c = &c};
    struct pair source;
    pair_start(&source, "src", "primary: a, follow: auto");
    start_with_source(&c, &source);
    go(&c);
    workload_for(&w, 1500);
    catch_up(source.sa, source.sb);
    lutra_test_server_kill9("src-a", "mariadb");
    LUTRA_WAIT_FOR(is_told(&c, &c.selects[0], "a cannot be reached, b is read_only"), 20000);
    cr_assert_not(uses(&c, "source", "b"));
    promote(source.sb);
    uint64_t began = lutra_test_now_ms();
    write_at(&c, &source.b);
    workload_step(&w);
    LUTRA_WAIT_FOR(uses(&c, "source", "b"), 30000);
    cluster_sync(&c, 30000);
    measured("source promoted, followed, a row is there", began);
    workload_for(&w, 500);
    equal(&c);
    char *media = media_of(&c);
    cr_assert(media && strstr(media, "select/") && strstr(media, "(auto)"), "%s", media);
    free(media);
    cluster_end(&c);
}

Test(media, a_killed_target_is_followed_to_the_standby_that_was_promoted, .timeout = 240)
{
    struct cluster c;
    struct workload w = {.c = &c};
    struct pair target;
    pair_start(&target, "dst", "primary: a, follow: auto");
    start_with_target(&c, &target);
    go(&c);
    workload_for(&w, 1500);
    lutra_test_server_kill9("dst-a", "mariadb");
    workload_for(&w, 1500);
    LUTRA_WAIT_FOR(is_told(&c, &c.loads[0], "a cannot be reached, b is read_only"), 20000);
    promote(target.sb);
    uint64_t began = lutra_test_now_ms();
    read_at(&c, &target.b);
    workload_step(&w);
    cluster_sync(&c, 60000);
    measured("target promoted, followed, a row is there", began);
    LUTRA_WAIT_FOR(uses(&c, "target", "b"), 20000);
    equal(&c);
    cluster_end(&c);
}
