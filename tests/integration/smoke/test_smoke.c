/* The ground that integration tests stand on: servers, and helpers that notice what they should. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/http.h"
#include "support/internal.h"
#include "support/kafka.h"
#include "support/proc.h"
#include "support/sql.h"
#include "support/stack.h"
#include "support/test.h"
#include "support/zk.h"

TestSuite(smoke, .timeout = 120);

Test(smoke, servers_write_the_binlog_that_lutra_needs)
{
    const struct lutra_test_stack *stack = lutra_test_stack();
    const struct lutra_test_mariadb *servers[] = {&stack->source, &stack->target};
    for (int i = 0; i < 2; i++) {
        struct lutra_sql *sql = lutra_sql_open(servers[i]->socket);
        char *settings = lutra_sql_text(sql, "SELECT CONCAT_WS(' ', @@log_bin, @@binlog_format, "
                                             "@@binlog_row_image, @@binlog_row_metadata)");
        cr_assert_str_eq(settings, "ON ROW FULL FULL");
        cr_assert_eq(lutra_sql_int(sql, "SELECT @@port"), servers[i]->port);
        cr_assert_eq(lutra_sql_int(sql, "SELECT @@server_id"), servers[i]->port);
        free(settings);
        lutra_sql_close(sql);
    }
    cr_assert_neq(stack->source.port, stack->target.port);
}

/* Runs the same statements on both sides. */
static void on_both(struct lutra_sql *source, struct lutra_sql *target, const char *statements)
{
    lutra_sql_exec(source, "%s", statements);
    lutra_sql_exec(target, "%s", statements);
}

Test(smoke, row_comparison_finds_a_planted_difference)
{
    const struct lutra_test_stack *stack = lutra_test_stack();
    struct lutra_sql *source = lutra_sql_open(stack->source.socket);
    struct lutra_sql *target = lutra_sql_open(stack->target.socket);
    on_both(source, target,
            "CREATE OR REPLACE DATABASE smoke;"
            "CREATE TABLE smoke.keyed (id INT PRIMARY KEY, b VARBINARY(20), t VARCHAR(20));"
            "INSERT INTO smoke.keyed VALUES (1, x'00ff', 'é'), (2, NULL, ''), (3, '', NULL);"
            "CREATE TABLE smoke.bare (n DECIMAL(5,2), t VARCHAR(20));"
            "INSERT INTO smoke.bare VALUES (1.5, 'a'), (1.5, 'A'), (NULL, 'x'), (1.5, 'a');");
    /* Physical order must not matter. */
    lutra_sql_exec(target, "DELETE FROM smoke.bare WHERE n IS NULL;"
                           "INSERT INTO smoke.bare VALUES (NULL, 'x')");
    char *difference;
    cr_assert(lutra_sql_tables_equal(source, target, "smoke.keyed", "smoke.keyed", &difference));
    cr_assert(lutra_sql_tables_equal(source, target, "smoke.bare", "smoke.bare", &difference), "%s",
              difference);

    /* NULL is not the empty string. */
    lutra_sql_exec(target, "UPDATE smoke.keyed SET b = '' WHERE id = 2");
    cr_assert_not(
        lutra_sql_tables_equal(source, target, "smoke.keyed", "smoke.keyed", &difference));
    cr_assert_not_null(strstr(difference, "row 2"), "%s", difference);
    cr_assert_not_null(strstr(difference, "source: id='2' b=NULL"), "%s", difference);
    free(difference);
    /* A row too many at the end; one row in place of its double. */
    lutra_sql_exec(target, "UPDATE smoke.keyed SET b = NULL WHERE id = 2;"
                           "INSERT INTO smoke.keyed VALUES (4, '', '')");
    cr_assert_not(
        lutra_sql_tables_equal(source, target, "smoke.keyed", "smoke.keyed", &difference));
    cr_assert_not_null(strstr(difference, "source: no more rows"), "%s", difference);
    free(difference);
    lutra_sql_exec(target, "UPDATE smoke.bare SET t = 'A' WHERE BINARY t = 'a' LIMIT 1");
    cr_assert_not(lutra_sql_tables_equal(source, target, "smoke.bare", "smoke.bare", &difference));
    free(difference);
    /* Both connections are usable after a difference in the middle. */
    on_both(source, target, "DROP DATABASE smoke");
    lutra_sql_close(source);
    lutra_sql_close(target);
}

Test(smoke, kafka_gives_back_what_was_produced)
{
    const char *brokers = lutra_test_stack()->kafka;
    char *topic = lutra_test_unique("smoke");
    const char *const config[] = {"cleanup.policy=delete", NULL};
    lutra_kafka_create_topic(brokers, topic, 2, config);
    struct lutra_kafka_header headers[] = {{"lutra-epoch", "7"}, {"lutra-part", "1/1"}};
    char payload[] = "a\0b";
    for (int i = 0; i < 3; i++) {
        lutra_kafka_produce(brokers, topic,
                            &(struct lutra_kafka_message){.partition = i % 2,
                                                          .key = i ? "2" : "1",
                                                          .payload = payload,
                                                          .len = sizeof(payload),
                                                          .n_headers = 2,
                                                          .headers = headers});
    }
    struct lutra_kafka_messages messages = lutra_kafka_read_all(brokers, topic);
    cr_assert_eq(messages.n, 3);
    cr_assert_eq(messages.items[0].partition, 0);
    cr_assert_eq(messages.items[1].partition, 0);
    cr_assert_eq(messages.items[1].offset, 1);
    cr_assert_eq(messages.items[2].partition, 1);
    cr_assert_str_eq(messages.items[0].key, "1");
    cr_assert_eq(messages.items[0].len, sizeof(payload));
    cr_assert_eq(memcmp(messages.items[0].payload, payload, sizeof(payload)), 0);
    cr_assert_str_eq(lutra_kafka_header(&messages.items[2], "lutra-epoch"), "7");
    cr_assert_null(lutra_kafka_header(&messages.items[2], "lutra-nonce"));
    cr_assert_eq(lutra_kafka_committed(brokers, "smoke-nobody", topic, 0), -1);
    lutra_kafka_messages_fini(&messages);
    free(topic);
}

Test(smoke, zookeeper_answers_below_a_chroot_of_ones_own)
{
    const char *connect = lutra_test_chroot();
    lutra_zk_create(connect, "/b", "{\"n\":1}");
    lutra_zk_create(connect, "/a", "");
    char *children = lutra_zk_children(connect, "/");
    cr_assert_str_eq(children, "a b");
    lutra_zk_set(connect, "/b", "two");
    char *value = lutra_zk_get(connect, "/b");
    cr_assert_str_eq(value, "two");
    cr_assert(lutra_zk_delete(connect, "/b"));
    cr_assert_not(lutra_zk_delete(connect, "/b"));
    cr_assert_null(lutra_zk_get(connect, "/b"));
    free(children);
    free(value);
}

Test(smoke, processes_can_be_frozen_and_killed)
{
    const char *const argv[] = {"/bin/sh", "-c", "echo \"$WORD\"; while :; do sleep 1; done", NULL};
    const char *const env[] = {"WORD=ready", NULL};
    struct lutra_proc *proc = lutra_proc_start("shell", argv, env);
    lutra_proc_log_await(proc, "ready", 5000);
    lutra_proc_freeze(proc);
    cr_assert(lutra_proc_running(proc));
    lutra_proc_thaw(proc);
    cr_assert_eq(lutra_proc_terminate(proc, 5000), 128 + SIGTERM);

    proc = lutra_proc_start("shell", argv, env);
    LUTRA_WAIT_FOR(lutra_proc_log_count(proc, "ready") == 2, 5000);
    cr_assert_gt(lutra_proc_rss_kib(proc), 0);
    lutra_proc_kill9(proc);
    cr_assert_not(lutra_proc_running(proc));

    const char *const refusing[] = {"/bin/sh", "-c", "exit 78", NULL};
    cr_assert_eq(lutra_proc_wait(lutra_proc_start("refusing", refusing, NULL), 5000), 78);
}

Test(smoke, http_tells_a_service_that_is_down)
{
    uint16_t port = lutra_test_free_port();
    cr_assert_eq(lutra_http_status(port, "/readyz"), 0);
    cr_assert_null(lutra_http_get(port, "/readyz"));
}

Test(smoke, private_mariadb_can_be_killed_and_comes_back)
{
    const char *const options[] = {"binlog_row_metadata=MINIMAL", NULL};
    struct lutra_test_mariadb server = lutra_test_mariadb_start("private", options);
    struct lutra_sql *sql = lutra_sql_open(server.socket);
    lutra_sql_exec(sql, "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY);"
                        "INSERT INTO d.t VALUES (1)");
    char *metadata = lutra_sql_text(sql, "SELECT @@binlog_row_metadata");
    cr_assert_str_eq(metadata, "MINIMAL");
    lutra_test_server_signal("private", "mariadb", SIGKILL);
    LUTRA_WAIT_FOR(lutra_sql_try(sql, "DO 1") != 0, 5000);
    /* And so says every later call on the lost connection. */
    cr_assert_neq(lutra_sql_try(sql, "DO 1"), 0);
    lutra_sql_close(sql);
    lutra_test_mariadb_restart(&server);
    sql = lutra_sql_open(server.socket);
    cr_assert_eq(lutra_sql_int(sql, "SELECT COUNT(*) FROM d.t"), 1);
    lutra_sql_close(sql);
    lutra_test_mariadb_stop(&server);
    free(metadata);
}

static void *stay(void *fd)
{
    char end;
    (void)!read(*(int *)fd, &end, 1); /* until the test closes it */
    _exit(0);
}

/* A killed server's first thread may be gone while others still hold its port. */
Test(smoke, a_process_counts_as_running_until_its_last_thread_is_gone)
{
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        close(fds[1]);
        pthread_create(&thread, NULL, stay, &fds[0]);
        pthread_exit(NULL);
    }
    close(fds[0]);
    char *stat_path = lutra_test_format("/proc/%d/stat", (int)pid);
    char *pidfile = lutra_test_path("it.pid");
    char *stat = NULL;
    LUTRA_WAIT_FOR((free(stat), stat = lutra_test_read_file(stat_path), strstr(stat, ") Z ")),
                   5000);
    unsigned long long started;
    cr_assert_eq(sscanf(strstr(stat, ") Z "),
                        ") Z %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                        "%*s %*s %*s %*s %*s %*s %llu",
                        &started),
                 1);
    FILE *file = fopen(pidfile, "we");
    fprintf(file, "%d %llu\n", (int)pid, started);
    fclose(file);
    const char *const args[] = {pidfile, NULL};
    cr_assert_eq(lutra_test_stack_lib("daemon_pid", args), 0, "it lives, but for its first thread");
    close(fds[1]);
    int status;
    LUTRA_WAIT_FOR(lutra_test_stack_lib("daemon_gone", args) == 0, 5000); /* not reaped yet */
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    free(stat);
    free(stat_path);
    free(pidfile);
}
