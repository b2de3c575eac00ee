/* What can happen to the databases under a running pipeline, beside a restart, connections that are
 * ended, and locks (test_outage.c): each is told in status by what it is, and nobody helps when it
 * is over; afterwards both sides hold the same rows. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/test.h"
#include "troubles.h"

/* Ends load's connections: those that remain hold none of the things that new ones are refused. */
static void kill_load(struct cluster *c)
{
    for (int64_t id; (id = lutra_sql_int(c->target, "SELECT MIN(id) FROM "
                                                    "information_schema.processlist "
                                                    "WHERE user = 'plain' AND info IS NULL")) > 0 ||
                     lutra_sql_int(c->target, "SELECT COUNT(*) FROM "
                                              "information_schema.processlist "
                                              "WHERE user = 'plain'") > 0;) {
        (void)lutra_sql_try(c->target, "KILL CONNECTION %lld", (long long)id);
    }
}

/* ---- the target refuses ---- */

static void read_only(struct workload *w)
{
    uint64_t since_ms = lutra_test_now_ms();
    lutra_sql_exec(w->c->target, "SET GLOBAL read_only = 1");
    troubles_told(w->c, w, since_ms, "read-only", "1290");
    lutra_sql_exec(w->c->target, "SET GLOBAL read_only = 0");
    troubles_over(w, "the target may be written again", 15000);
}

static void too_many_connections(struct workload *w)
{
    struct lutra_sql *crowd[256] = {0};
    unsigned error = 0;
    size_t n = 0;
    uint64_t since_ms = lutra_test_now_ms();
    lutra_sql_exec(w->c->target, "SET GLOBAL max_connections = 12; CREATE USER crowd@localhost");
    while (n < 256) {
        crowd[n] = lutra_sql_try_open(w->c->target_server.socket, "crowd", &error);
        if (crowd[n] == NULL) {
            break;
        }
        n++;
    }
    cr_assert_eq(error, 1040, "the target took %zu connections, then error %u", n, error);
    kill_load(w->c);
    /* The places that are free now go to the crowd, too; load may be quicker, and loses it. */
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(10000);
    while (lutra_sql_int(w->c->target, "SELECT COUNT(*) FROM information_schema.processlist "
                                       "WHERE user = 'plain'") > 0 ||
           (crowd[n] = lutra_sql_try_open(w->c->target_server.socket, "crowd", &error)) != NULL) {
        cr_assert_lt(lutra_test_now_ms(), end_ms);
        n += crowd[n] != NULL;
        cr_assert_lt(n, 255);
        kill_load(w->c);
    }
    troubles_told(w->c, w, since_ms, "too many connections", "");
    while (n > 0) {
        lutra_sql_close(crowd[--n]);
    }
    troubles_over(w, "the target has places for connections again", 15000);
    lutra_sql_exec(w->c->target, "SET GLOBAL max_connections = 200");
}

static void user_connections(struct workload *w)
{
    struct lutra_sql *first = NULL;
    unsigned error = 0;
    uint64_t since_ms = lutra_test_now_ms(), end_ms = since_ms + lutra_test_scaled_ms(10000);
    lutra_sql_exec(w->c->target, "ALTER USER plain@localhost WITH MAX_USER_CONNECTIONS 1");
    while (first == NULL) {
        cr_assert_lt(lutra_test_now_ms(), end_ms, "load is always quicker (error %u)", error);
        kill_load(w->c);
        first = lutra_sql_try_open(w->c->target_server.socket, "plain", &error);
    }
    troubles_told(w->c, w, since_ms, "max_user_connections", "plain");
    lutra_sql_exec(w->c->target, "ALTER USER plain@localhost WITH MAX_USER_CONNECTIONS 0");
    lutra_sql_close(first);
    troubles_over(w, "the user may connect again", 15000);
}

Test(db_troubles,
     a_target_that_refuses_is_told_by_its_reason_and_taken_when_it_accepts,
     .timeout = 240)
{
    struct cluster c;
    struct workload w;
    struct lutra_test_mariadb target = lutra_test_mariadb_start("target", NULL);
    troubles_begin_plain(&w, &c, &target, 15, 60);
    read_only(&w);
    too_many_connections(&w);
    user_connections(&w);
    workload_finish(&w);
    cluster_end(&c);
}

/* ---- the target is silent, or gone ---- */

Test(db_troubles, a_target_that_hangs_is_told_and_goes_on_in_its_epoch, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    struct lutra_test_mariadb target = lutra_test_mariadb_start("target", NULL);
    troubles_begin_plain(&w, &c, &target, 12, 60);
    int64_t epoch = cluster_epoch(&c);
    uint64_t since_ms = lutra_test_now_ms();
    lutra_test_server_signal("target", "mariadb", SIGSTOP);
    troubles_told(&c, &w, since_ms, "not answered", "target");
    lutra_test_server_signal("target", "mariadb", SIGCONT);
    troubles_over(&w, "the target moves again", 10000);
    cr_assert_eq(cluster_epoch(&c), epoch, "a target that was slow is no reason for a new epoch");

    for (int round = 0; round < 2; round++) {
        if (round == 0) {
            lutra_test_server_kill9("target", "mariadb");
        } else {
            lutra_test_mariadb_stop(&target);
        }
        since_ms = lutra_test_now_ms();
        troubles_told(&c, &w, since_ms, "target", "connect");
        lutra_test_mariadb_restart(&target);
        since_ms = lutra_test_now_ms();
        cluster_reopen(&c);
        uint64_t took_ms = workload_first_row(&w, since_ms, 15000);
        lutra_test_measured("target accepts connections -> first row: %llu ms",
                            (unsigned long long)took_ms);
    }
    workload_finish(&w);
    cluster_end(&c);
}

/* ---- the source ---- */

Test(db_troubles, a_source_that_hangs_is_told_and_read_on_when_it_moves_again, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    struct lutra_test_mariadb source = lutra_test_mariadb_start("source", NULL);
    cluster_start(&c, &(struct cluster_options){.source = &source});
    workload_tables(&c);
    cluster_go(&c);
    workload_start(&w, &c, 8, 100);
    workload_for(&w, 1000);
    uint64_t since_ms = lutra_test_now_ms();
    lutra_test_server_signal("source", "mariadb", SIGSTOP);
    troubles_told(&c, NULL, since_ms, "source", "heartbeat");
    while (lutra_test_now_ms() - since_ms < 12000) { /* longer than a connection attempt lasts */
        lutra_test_poll_pause();
    }
    lutra_test_server_signal("source", "mariadb", SIGCONT);
    troubles_over(&w, "the source moves again", 20000);
    workload_finish(&w);
    cluster_end(&c);
}

/* A file that a dump is reading is not purged: that of the dead select ends first. */
static bool purged(struct cluster *c, const char *up_to)
{
    int64_t id = lutra_sql_int(c->source, "SELECT MIN(id) FROM information_schema.processlist "
                                          "WHERE command LIKE 'Binlog Dump%%'");
    if (id > 0) {
        (void)lutra_sql_try(c->source, "KILL CONNECTION %lld", (long long)id);
    }
    lutra_sql_exec(c->source, "PURGE BINARY LOGS TO '%s'", up_to);
    char *first = lutra_sql_text(c->source, "SHOW BINARY LOGS");
    bool done = first != NULL && strcmp(first, up_to) == 0;
    free(first);
    return done;
}

Test(db_troubles,
     a_binlog_that_was_purged_under_the_reader_stops_it_and_says_what_to_do,
     .timeout = 180)
{
    struct cluster c;
    struct workload w;
    struct lutra_test_mariadb source = lutra_test_mariadb_start("source", NULL);
    cluster_start(&c, &(struct cluster_options){.source = &source});
    workload_tables(&c);
    cluster_go(&c);
    workload_start(&w, &c, 2, 100);
    workload_finish(&w); /* all of it is at the target */
    lutra_proc_kill9(c.selects[0].proc);
    workload_step(&w);
    int64_t before = workload_arrived(&w);
    lutra_sql_exec(c.source, "FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    char *last = lutra_sql_text(c.source, "SHOW MASTER STATUS");
    LUTRA_WAIT_FOR(purged(&c, last), 20000);
    workload_step(&w);
    cluster_restart(&c, &c.selects[0]);
    char *reason = cluster_await_refusal(&c, "purged", "binlog.0", NULL);
    cr_log_info("%s", reason);
    cr_assert_eq(workload_arrived(&w), before, "rows behind the hole were applied");
    free(reason);
    free(last);
    cluster_end(&c);
}
