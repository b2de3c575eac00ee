/* What comes back older than it was: ZooKeeper, the target, the source; and what deleted pipelines
 * leave behind. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/test.h"
#include "support/zk.h"
#include "workload.h"

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
    char *command;
    va_list ap;
    va_start(ap, format);
    cr_assert(vasprintf(&command, format, ap) >= 0);
    va_end(ap);
    cr_assert_eq(system(command), 0, "%s", command);
    free(command);
}

static unsigned rounds(unsigned otherwise)
{
    const char *text = getenv("LUTRA_TEST_ROUNDS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* ---- ZooKeeper ---- */

static void zookeeper_stop(void)
{
    lutra_test_server_kill9("zookeeper", "zookeeper");
}

/* An empty one; who installs it makes the chroot again. */
static void wipe(void)
{
    char *dir = lutra_test_path("zookeeper");
    zookeeper_stop();
    shell("rm -rf '%s/data'", dir);
    lutra_test_zookeeper_restart();
    lutra_zk_create(lutra_test_stack()->zookeeper, strrchr(lutra_test_chroot(), '/'), "");
    free(dir);
}

static void roll_back_zookeeper(void)
{
    char *dir = lutra_test_path("zookeeper");
    zookeeper_stop();
    shell("rm -rf '%s/data' && cp -a '%s/old' '%s/data'", dir, dir, dir);
    lutra_test_zookeeper_restart();
    free(dir);
}

static void keep_copy(void)
{
    char *dir = lutra_test_path("zookeeper");
    zookeeper_stop();
    shell("cp -a '%s/data' '%s/old'", dir, dir);
    lutra_test_zookeeper_restart();
    free(dir);
}

/* `lutractl recover` tells the channel, with the version and who knows it. */
static bool offered(struct cluster *c)
{
    char *output = NULL;
    int status = cluster_ctl_output(c, &output, "recover -o json");
    bool there = status == 0 && output != NULL && strstr(output, c->name) != NULL &&
                 strstr(output, "load-1") != NULL;
    free(output);
    return there;
}

static void recover_and_start(struct cluster *c, struct workload *w)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(40000);
    while (!offered(c)) {
        cr_assert(lutra_test_now_ms() < end_ms, "the channel is not offered");
        workload_step(w);
        lutra_test_poll_pause();
    }
    int64_t epoch = cluster_epoch(c);
    cr_assert_eq(cluster_ctl(c, "recover %s --by test", c->name), 0);
    cluster_await_state(c, "STOPPED", 20000);
    workload_for(w, 2000);
    cr_assert_eq(cluster_epoch(c), epoch, "it was started by itself");
    cr_assert_neq(cluster_ctl(c, "recover %s", c->name), 0, "there is nothing to recover any more");
    cr_assert_eq(cluster_ctl(c, "start %s", c->name), 0);
}

Test(recovery, zookeeper_wiped_or_rolled_back_under_load_and_epochs_still_grow, .timeout = 600)
{
    static const char *const env[] = {"LUTRA_ZOOKEEPER_SESSION_TIMEOUT=2s", NULL};
    struct cluster c;
    struct workload w;
    unsigned n = rounds(2);
    lutra_test_zookeeper_start();
    cluster_start(&c, &(struct cluster_options){.env = env});
    workload_tables(&c);
    cluster_go(&c);
    keep_copy();
    cluster_await_state(&c, "RUNNING", 40000);
    workload_start(&w, &c, 10 + 15 * n, 40);
    for (unsigned round = 0; round < n; round++) {
        workload_for(&w, 1500);
        cluster_sync(&c, 30000);
        int64_t epoch = cluster_epoch(&c);
        if (round % 2 == 0) {
            wipe();
            recover_and_start(&c, &w);
        } else {
            roll_back_zookeeper(); /* which knows the channel, in an epoch of long ago */
        }
        cluster_await_state(&c, "RUNNING", 60000);
        cluster_sync(&c, 30000);
        cr_assert_gt(cluster_epoch(&c), epoch, "round %u", round);
    }
    workload_finish(&w);
    cluster_end(&c);
}

/* ---- the target ---- */

static void stop_copy_start(struct lutra_test_mariadb *server)
{
    lutra_test_mariadb_stop(server);
    shell("rm -rf '%s/old' && cp -a '%s/data' '%s/old'", server->dir, server->dir, server->dir);
    lutra_test_mariadb_restart(server);
}

static void swap_back(struct lutra_test_mariadb *server)
{
    lutra_test_mariadb_stop(server);
    shell("rm -rf '%s/new' && mv '%s/data' '%s/new' && cp -a '%s/old' '%s/data'", server->dir,
          server->dir, server->dir, server->dir, server->dir);
    lutra_test_mariadb_restart(server);
}

/* What the reason says after "accept_target: "; heap. */
static char *accepted(const char *reason)
{
    const char *found = strstr(reason, "accept_target: ");
    cr_assert_not_null(found, "%s", reason);
    found += strlen("accept_target: ");
    return strndup(found, strcspn(found, "\""));
}

static void accept(struct cluster *c, const char *may_lose, const char *what)
{
    static char lines[256];
    (void)snprintf(lines, sizeof lines, "    target_may_lose: %s\n    accept_target: '%s'\n",
                   may_lose, what);
    c->options.pipeline = lines;
    cluster_go(c);
}

static void position_is_told(struct cluster *c)
{
    char *path = lutra_test_format("/lutra/pipelines/%s/position", c->name), *told = NULL;
    char *process = lutra_test_format(
        "\"process_id\":%lld",
        (long long)lutra_sql_int(c->target,
                                 "SELECT MAX(process_id) FROM lutra.checkpoint WHERE pipeline='%s'",
                                 c->name));
    LUTRA_WAIT_FOR((free(told), told = lutra_zk_get(lutra_test_chroot(), path)) != NULL &&
                       strstr(told, process) != NULL,
                   10000);
    free(told);
    free(process);
    free(path);
}

Test(recovery, a_target_restored_from_an_old_copy_is_refused_until_it_is_accepted, .timeout = 300)
{
    struct cluster c;
    struct lutra_test_mariadb target = lutra_test_mariadb_start("target", NULL);
    cluster_start(
        &c, &(struct cluster_options){.target = &target, .pipeline = "    target_may_lose: 0s\n"});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(20));"
                     "CREATE TABLE bag (a INT)");
    cluster_go(&c);
    for (unsigned round = 0; round < rounds(2); round++) {
        cluster_write(&c, "INSERT INTO t (v) VALUES ('a'), ('b'); INSERT INTO bag VALUES (1), (1)");
        cluster_sync(&c, 30000);
        stop_copy_start(&target);
        cluster_reopen(&c);
        for (int i = 0; i < 20; i++) {
            cluster_write(&c, "INSERT INTO t (v) VALUES ('c'); INSERT INTO bag VALUES (2);"
                              "UPDATE t SET v = CONCAT('x', id)");
        }
        cluster_sync(&c, 30000);
        position_is_told(&c);
        int64_t epoch = cluster_epoch(&c);
        if (round % 2 == 1) { /* nobody remembers but ZooKeeper */
            lutra_proc_kill9(c.loads[0].proc);
        }
        swap_back(&target);
        cluster_reopen(&c);
        int64_t before = lutra_sql_int(c.target, "SELECT COUNT(*) FROM bag");
        if (round % 2 == 1) {
            cluster_restart(&c, &c.loads[0]);
        }
        char *reason = cluster_await_refusal(&c, "went back", "accept_target", NULL);
        cr_log_info("refused: %s", reason);
        cluster_write(&c, "INSERT INTO bag VALUES (3)");
        cr_assert_eq(cluster_ctl(&c, "start %s", c.name), 0); /* without the word */
        free(cluster_await_refusal(&c, "went back", NULL));
        cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM bag"), before);
        char *what = accepted(reason);
        accept(&c, "0s", what);
        cluster_sync(&c, 30000);
        cluster_equal(&c, "t");
        cluster_equal(&c, "bag");
        cr_assert_gt(cluster_epoch(&c), epoch);

        /* The very same copy again: the word that stands in the definition is used up. */
        position_is_told(&c);
        swap_back(&target);
        cluster_reopen(&c);
        free(cluster_await_refusal(&c, "went back", "is not for this", NULL));
        cr_assert_eq(cluster_ctl(&c, "start %s", c.name), 0);
        char *again = cluster_await_refusal(&c, "went back", "is not for this", NULL);
        cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM bag"), before);
        char *another = accepted(again);
        cr_assert_str_neq(another, what);
        accept(&c, "0s", another);
        cluster_sync(&c, 30000);
        cluster_equal(&c, "t");
        cluster_equal(&c, "bag");
        free(another);
        free(again);
        free(what);
        free(reason);
    }
    cluster_end(&c);
}

Test(recovery, a_target_that_lost_its_last_moments_is_read_again_without_a_word, .timeout = 240)
{
    struct cluster c;
    struct lutra_test_mariadb target = lutra_test_mariadb_start("target", NULL);
    cluster_start(
        &c, &(struct cluster_options){.target = &target, .pipeline = "    target_may_lose: 10m\n"});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(20));"
                     "CREATE TABLE bag (a INT)");
    cluster_go(&c);
    for (int lost = 1; lost <= 5; lost += 2) {
        cluster_write(&c, "INSERT INTO t (v) VALUES ('a'); INSERT INTO bag VALUES (1), (1)");
        cluster_sync(&c, 30000);
        stop_copy_start(&target);
        cluster_reopen(&c);
        cluster_sync(&c, 30000);
        for (int i = 1; i < lost; i++) { /* units, of which the ring has four */
            cluster_write(&c, "INSERT INTO bag VALUES (2); UPDATE t SET v = CONCAT('x', v)");
            cluster_sync(&c, 30000);
        }
        swap_back(&target);
        cluster_reopen(&c);
        cluster_write(&c, "INSERT INTO bag VALUES (3)");
        cluster_sync(&c, 60000);
        cluster_equal(&c, "t");
        cluster_equal(&c, "bag");
        cluster_equal(&c, "marker");
    }
    cluster_end(&c);
}

Test(recovery, a_dropped_checkpoint_is_refused_in_its_own_words, .timeout = 180)
{
    struct cluster c;
    struct lutra_test_mariadb target = lutra_test_mariadb_start("target", NULL);
    cluster_start(&c, &(struct cluster_options){.target = &target});
    cluster_both(&c, "CREATE TABLE bag (a INT)");
    cluster_go(&c);
    cluster_write(&c, "INSERT INTO bag VALUES (1), (1)");
    cluster_sync(&c, 30000);
    lutra_sql_exec(c.target, "DROP TABLE lutra.checkpoint");
    char *reason =
        cluster_await_refusal(&c, "no checkpoint of this pipeline", "accept_target: empty:", NULL);
    cr_log_info("refused: %s", reason);
    char *what = accepted(reason);
    accept(&c, "10s", what); /* both sides are in step: start: current is right */
    cluster_write(&c, "INSERT INTO bag VALUES (2)");
    cluster_sync(&c, 30000);
    cluster_equal(&c, "bag");
    /* The word was for that one. */
    lutra_sql_exec(c.target, "DELETE FROM lutra.checkpoint");
    free(cluster_await_refusal(&c, "no checkpoint of this pipeline", NULL));
    free(what);
    free(reason);
    cluster_end(&c);
}

/* ---- the source ---- */

Test(recovery, a_source_restored_from_an_old_copy_is_refused_by_name, .timeout = 180)
{
    struct cluster c;
    struct lutra_test_mariadb source = lutra_test_mariadb_start("source", NULL);
    cluster_start(&c, &(struct cluster_options){.source = &source});
    cluster_both(&c, "CREATE TABLE bag (a INT)");
    cluster_go(&c);
    cluster_write(&c, "INSERT INTO bag VALUES (1), (1)");
    cluster_sync(&c, 30000);
    stop_copy_start(&source);
    cluster_reopen(&c);
    cluster_await_state(&c, "RUNNING", 30000);
    cluster_write(&c, "INSERT INTO bag VALUES (2), (2)");
    cluster_sync(&c, 30000);
    swap_back(&source);
    cluster_reopen(&c);
    char *reason = cluster_await_refusal(&c, "binlog", "restored", NULL);
    cr_log_info("refused: %s", reason);
    free(reason);
    /* The right one is put back. */
    lutra_test_mariadb_stop(&source);
    shell("rm -rf '%s/data' && mv '%s/new' '%s/data'", source.dir, source.dir, source.dir);
    lutra_test_mariadb_restart(&source);
    cluster_reopen(&c);
    cluster_resume(&c);
    cluster_write(&c, "INSERT INTO bag VALUES (3)");
    cluster_sync(&c, 30000);
    cluster_equal(&c, "bag");
    cluster_end(&c);
}

/* ---- the janitor ---- */

static bool lists(struct cluster *c, const char *what)
{
    char *output = NULL;
    int status = cluster_ctl_output(c, &output, "janitor");
    bool there = status == 0 && output != NULL && strstr(output, what) != NULL;
    free(output);
    return there;
}

/* A second channel of the installation, with the same servers. */
static void second_channel(struct cluster *c, const char *name)
{
    char *yaml = lutra_test_format(
        "channel: %s\nsources:\n  source: {type: mariadb, socket: %s, user: root}\n"
        "  target: {type: mariadb, socket: %s, user: root}\npipelines:\n  - name: %s\n"
        "    source: source\n    target: target\n    partitions: 2\n    pairs:\n"
        "      - source: {schema: %s, table: \"*\"}\n        target: {schema: %s_copy}\n",
        name, c->source_server.socket, c->target_server.socket, name, c->name, c->name);
    char *path = lutra_test_path("second.yaml");
    lutra_test_write_file(path, yaml);
    cr_assert_eq(cluster_ctl(c, "apply -f %s", path), 0);
    cr_assert_eq(cluster_ctl(c, "start %s --wait 40s", name), 0);
    free(path);
    free(yaml);
}

Test(recovery, the_janitor_removes_exactly_what_a_deleted_pipeline_left, .timeout = 300)
{
    struct cluster c;
    lutra_test_kafka_start(); /* its own: everything of others would be left over */
    struct lutra_test_mariadb target = lutra_test_mariadb_start("target", NULL);
    cluster_start(&c, &(struct cluster_options){.target = &target});
    cluster_both(&c, "CREATE TABLE bag (a INT)");
    lutra_sql_exec(c.target,
                   "CREATE DATABASE `%s_copy`; CREATE TABLE `%s_copy`.bag (a INT);"
                   "CREATE TABLE `%s_copy`.marker (id BIGINT PRIMARY KEY)",
                   c.name, c.name, c.name);
    cluster_go(&c);
    char *old = lutra_test_unique("old");
    second_channel(&c, old);
    cluster_write(&c, "INSERT INTO bag VALUES (1), (1)");
    cluster_sync(&c, 30000);
    LUTRA_WAIT_FOR(lutra_sql_int(c.target, "SELECT COUNT(*) FROM `%s_copy`.bag", c.name) == 2,
                   20000);
    cr_assert(!lists(&c, old), "nothing of a living channel is left over");
    cr_assert_eq(cluster_ctl(&c, "stop %s --wait 60s", old), 0);
    cr_assert_eq(cluster_ctl(&c, "delete %s", old), 0);
    cr_assert(!lists(&c, c.name));

    /* Written a moment ago: perhaps somebody else's. Then it is old enough. */
    cr_assert(lists(&c, "left alone"));
    lutra_sql_exec(c.target,
                   "UPDATE lutra.checkpoint SET updated_at=NOW(6) - INTERVAL 1 HOUR WHERE "
                   "pipeline='%s'",
                   old);
    struct lutra_sql *zombie = lutra_sql_open(target.socket);
    (void)lutra_sql_int(zombie, "SELECT GET_LOCK('lutra.%s.2', 5)", old);
    cr_assert(lists(&c, old));
    char *output = NULL;
    cr_assert_eq(cluster_ctl_output(&c, &output, "janitor -o json"), 0);
    static const char *const kinds[] = {"\"topic\"", "\"checkpoint\"", "\"lock\""};
    for (size_t i = 0; i < 3; i++) {
        cr_assert(strstr(output, kinds[i]), "%s: %s", kinds[i], output);
    }
    cr_assert_null(strstr(output, c.name), "%s", output);
    free(output);

    cr_assert_eq(cluster_ctl(&c, "janitor --remove --yes"), 0);
    cr_assert_eq(
        lutra_sql_int(c.target, "SELECT COUNT(*) FROM lutra.checkpoint WHERE pipeline='%s'", old),
        0);
    cr_assert_leq(lutra_sql_int(c.target, "SELECT IFNULL(IS_USED_LOCK('lutra.%s.2'), 0)", old), 0);
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(20000);
    while (lists(&c, old)) {
        cr_assert(lutra_test_now_ms() < end_ms, "something is left");
    }
    /* The other one has not noticed. */
    int64_t epoch = cluster_epoch(&c);
    cluster_write(&c, "INSERT INTO bag VALUES (2)");
    cluster_sync(&c, 30000);
    cluster_equal(&c, "bag");
    cr_assert_eq(cluster_epoch(&c), epoch);
    lutra_sql_close(zombie);
    free(old);
    cluster_end(&c);
}
