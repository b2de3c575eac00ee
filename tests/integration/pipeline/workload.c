#include "workload.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"

void workload_tables(struct cluster *c)
{
    cluster_both(c,
                 "CREATE TABLE sbtest1 (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL "
                 "DEFAULT 0,"
                 " c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', KEY k_1 (k));"
                 "CREATE TABLE sbtest2 LIKE sbtest1; CREATE TABLE bag (a INT, b VARCHAR(20));"
                 "CREATE TABLE versions (id INT PRIMARY KEY, v BIGINT)");
}

void workload_start(struct workload *w, struct cluster *c, unsigned seconds, unsigned rate)
{
    *w = (struct workload){.c = c};
    lutra_sql_exec(c->source, "INSERT INTO versions VALUES (1, 0)");
    char *socket = lutra_test_format("--mysql-socket=%s", c->source_server.socket);
    char *db = lutra_test_format("--mysql-db=%s", c->name);
    char *time = lutra_test_format("--time=%u", seconds);
    char *tps = lutra_test_format("--rate=%u", rate);
    const char *argv[] = {"/usr/bin/sysbench", "oltp_read_write", "--db-driver=mysql", socket,
                          "--mysql-user=root", db, "--tables=2", "--table-size=1000", "--threads=2",
                          "--point-selects=1", "--range-selects=off", time, tps,
                          /* A private server may go away under it: then it connects again. */
                          c->source_server.dir[0] != '\0' ? "--mysql-ignore-errors=all"
                                                          : "--mysql-ignore-errors=1213,1020,1205",
                          "run", NULL};
    w->sysbench = lutra_proc_start("sysbench", argv, NULL);
    free(socket);
    free(db);
    free(time);
    free(tps);
}

void workload_step(struct workload *w)
{
    w->n++;
    lutra_sql_exec(w->c->source,
                   "BEGIN; INSERT INTO bag VALUES (%lld, 'same'), (%lld, 'same');"
                   "UPDATE versions SET v = v + 1 WHERE id = 1; COMMIT",
                   (long long)(w->n % 7), (long long)(w->n % 7));
}

bool workload_until(struct workload *w, bool (*cond)(struct cluster *c), uint64_t deadline_ms)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(deadline_ms);
    while (!cond(w->c)) {
        if (lutra_test_now_ms() >= end_ms) {
            return false;
        }
        workload_step(w);
        lutra_test_poll_pause();
    }
    return true;
}

void workload_for(struct workload *w, uint64_t ms)
{
    /* A duration, not a deadline: no scale. */
    uint64_t end_ms = lutra_test_now_ms() + ms;
    while (lutra_test_now_ms() < end_ms) {
        workload_step(w);
        lutra_test_poll_pause();
    }
}

void workload_begin(struct workload *w,
                    struct cluster *c,
                    const struct cluster_options *options,
                    unsigned seconds,
                    unsigned rate)
{
    cluster_start(c, options);
    workload_tables(c);
    cluster_go(c);
    workload_start(w, c, seconds, rate);
}

int64_t workload_arrived(struct workload *w)
{
    return lutra_sql_int(w->c->target, "SELECT IFNULL(MAX(v), 0) FROM versions");
}

static int64_t seen_version;

static bool moved(struct cluster *c)
{
    return lutra_sql_int(c->target, "SELECT IFNULL(MAX(v), 0) FROM versions") > seen_version;
}

static void await_move(struct workload *w, uint64_t deadline_ms, const char *when)
{
    if (!workload_until(w, moved, deadline_ms)) {
        json_t *status = cluster_status(w->c);
        char *text = status != NULL ? json_dumps(status, JSON_INDENT(1)) : NULL;
        lutra_test_fail("nothing flows within %llu ms %s; status: %s",
                        (unsigned long long)deadline_ms, when, text != NULL ? text : "none");
    }
}

uint64_t workload_flows(struct workload *w, uint64_t deadline_ms, const char *when)
{
    uint64_t began_ms = lutra_test_now_ms();
    workload_step(w);
    seen_version = w->n - 1; /* the step just made has to arrive */
    await_move(w, deadline_ms, when);
    cr_log_info("rows flow %llu ms %s", (unsigned long long)(lutra_test_now_ms() - began_ms), when);
    return lutra_test_now_ms() - began_ms;
}

uint64_t workload_first_row(struct workload *w, uint64_t since_ms, uint64_t deadline_ms)
{
    seen_version = workload_arrived(w);
    await_move(w, deadline_ms, "after a standstill");
    return lutra_test_now_ms() - since_ms;
}

void workload_finish(struct workload *w)
{
    static const char *const tables[] = {"sbtest1", "sbtest2", "bag", "versions", "marker"};
    (void)lutra_proc_wait(w->sysbench, 120000);
    workload_step(w);
    cluster_sync(w->c, 120000);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        cluster_equal(w->c, tables[i]);
    }
    cr_assert_gt(lutra_sql_int(w->c->target, "SELECT COUNT(*) FROM sbtest1"), 0,
                 "the workload wrote nothing");
    cr_assert_eq(lutra_sql_int(w->c->target, "SELECT v FROM versions"), w->n);
}
