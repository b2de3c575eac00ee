/* Fences, zombies, and COMMITs whose answer never came. */
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fault.h"
#include "target_fixture.h"

TestSuite(target_faults, .init = set_up, .fini = tear_down, .timeout = 120);

static struct batch *insert_of(int64_t id)
{
    struct lutra_buf row = {0};
    struct batch *b = batch_new(last_unit + 1);
    batch_table(b, schema, "t");
    batch_column(b, "id", LUTRA_KIND_INT, 1);
    lutra_values_put_int(&row, id);
    batch_row(b, 0, INSERT, &row);
    lutra_buf_fini(&row);
    return b;
}

static int64_t connection_of(const char *name)
{
    return lutra_sql_int(sql, "SELECT IS_USED_LOCK('lutra.%s.%s')", pipeline, name);
}

static int64_t state_count(int64_t id, const char *like)
{
    return lutra_sql_int(sql,
                         "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID=%lld AND "
                         "(STATE LIKE '%s' OR INFO LIKE '%s')",
                         (long long)id, like, like);
}

static int64_t rows_of_t(void)
{
    return lutra_sql_int(sql, "SELECT COUNT(*) FROM t");
}

Test(target_faults, fences_rise_above_control_and_slots_and_give_the_ring)
{
    struct answer answer = {0};
    struct lutra_error err = {0};
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY)");
    cr_expect_eq(sync_epoch(loop, target, 10, fence, &err), 10);
    cr_expect_eq(sync_epoch(loop, target, 3, 10, &err), 11);
    fence = 11;
    expect_unit(insert_of(1));
    expect_unit(insert_of(2));
    lutra_target_make_epoch(target, 13, 11, "feedfeedfeedfeed", (struct lutra_epoch_check){0},
                            answer_epoch, &answer);
    cr_assert(answer_wait(loop, &answer, 30000));
    cr_expect_eq(answer.fence, 13);
    cr_assert_eq(answer.ring.n, LUTRA_RING_SLOTS);
    const struct lutra_slot *slot = &answer.ring.slots[2];
    cr_expect_eq(slot->slot, 2);
    cr_expect_eq(slot->fence, 13);
    cr_expect_eq(slot->epoch, 13);
    cr_expect_str_eq(slot->nonce, "feedfeedfeedfeed");
    cr_expect_eq(slot->unit, 2);
    cr_expect_str_eq(slot->from, "binlog.000001:4;");
    cr_expect_str_eq(slot->to, "binlog.000001:100;");
    cr_expect_str_eq(slot->low, "binlog.000001:4;");
    cr_expect_eq(slot->low_process_id, 1);
    cr_expect_eq(slot->process_id, 2);
    cr_expect_str_eq(slot->source_identity, "here");
    cr_expect_str_eq(answer.ring.slots[3].to, "");
    answer_fini(&answer);
    /* The old fence writes nothing; a fence that somebody else made is not overtaken. */
    cr_expect_eq(run_unit(insert_of(3), &err), LUTRA_FENCED);
    cr_expect_eq(sync_epoch(loop, target, 0, 11, &err), 0);
    cr_expect_eq(err.class, LUTRA_FENCED);
    /* The right fence with a wrong idea of the slot's unit. */
    fence = 13;
    units[3] = 7;
    cr_expect_eq(run_unit(insert_of(3), &err), LUTRA_FENCED);
    units[3] = 0;
    expect_unit(insert_of(3));
    cr_expect_eq(rows_of_t(), 3);
}

Test(target_faults, after_a_failure_every_call_gets_it_until_the_rollback)
{
    struct answer answers[3] = {0};
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)");
    struct batch *bad = insert_of(1), *good = insert_of(2);
    struct lutra_unit_end end = {.to = "x:1;", .process_id = 1, .source_identity = ""};
    unit_begin(target, fence, 1, 0);
    lutra_target_apply(target, batch_get(bad), answer_done, &answers[0]);
    lutra_target_apply(target, batch_get(good), answer_done, &answers[1]);
    lutra_target_commit(target, &end, answer_done, &answers[2]);
    cr_assert(answer_wait(loop, &answers[2], 30000));
    for (size_t i = 0; i < 3; i++) {
        cr_expect(answers[i].done);
        cr_expect_eq(answers[i].err.class, LUTRA_DATA);
    }
    cr_expect_lt(answers[0].order, answers[1].order);
    cr_expect_eq(sync_rollback(loop, target, NULL), LUTRA_OK);
    expect_unit(good);
    batch_free(bad);
    cr_expect_eq(rows_of_t(), 2);
}

Test(target_faults, a_zombie_in_an_open_transaction_is_killed_and_fenced)
{
    struct lutra_target *second = another_target();
    struct lutra_error err = {0};
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY)");
    struct batch *b = insert_of(1);
    unit_begin(target, fence, 1, 0);
    cr_assert_eq(sync_apply(loop, target, batch_get(b), &err), LUTRA_OK);
    /* It holds its slot's lock and stands still, as a stopped process does. */
    struct answer made = {0};
    cr_assert_eq(sync_prepare(loop, second, &err), LUTRA_OK, "%s", err.msg);
    lutra_target_make_epoch(second, 0, 0, "0123456789abcdef", (struct lutra_epoch_check){0},
                            answer_epoch, &made);
    cr_assert(answer_wait(loop, &made, lutra_test_scaled_ms(8000)), "the zombie was not killed");
    uint64_t new_fence = made.fence;
    cr_expect_eq(new_fence, fence + 1, "%s", made.err.msg);
    answer_fini(&made);
    struct lutra_target_stats stats;
    lutra_target_stats_get(second, &stats);
    cr_expect_geq(stats.kills, 1);
    /* It goes on where it stood. */
    cr_expect_eq(sync_commit(loop, target, "x:1;", 1, &err), LUTRA_RETRY, "%s", err.msg);
    cr_expect_eq(sync_rollback(loop, target, &err), LUTRA_OK);
    cr_expect_eq(sync_unit(loop, target, fence, 1, 0, batch_get(b), &err), LUTRA_FENCED);
    cr_expect_eq(rows_of_t(), 0);
    fence = new_fence;
    lutra_target_free(target);
    target = second;
    expect_unit(b);
    cr_expect_eq(rows_of_t(), 1);
}

/* A loader that stood still between locking the slots and its COMMIT: it holds all of them. */
Test(target_faults, a_connection_that_makes_a_fence_is_found_by_its_lock_and_killed)
{
    struct lutra_error err = {0};
    struct answer made = {0};
    /* Every connection that holds slots bears a name, also one that has begun no unit yet. */
    struct lutra_target *second = another_target();
    cr_assert_eq(sync_prepare(loop, second, &err), LUTRA_OK, "%s", err.msg);
    cr_expect_leq(connection_of("1"), 0, "the second has none yet");
    uint64_t mine = sync_epoch(loop, second, 0, 0, &err);
    cr_assert_eq(mine, fence + 1, "%s", err.msg);
    cr_expect_gt(connection_of("1"), 0);
    lutra_target_free(second);
    /* Another's slots stay locked, three times over: killed, it comes back and locks them again. */
    struct lutra_target *third = another_target();
    cr_assert_eq(sync_prepare(loop, third, &err), LUTRA_OK, "%s", err.msg);
    struct lutra_sql *zombie = NULL;
    for (unsigned i = 0; i < 3; i++) {
        if (zombie != NULL) {
            lutra_sql_close(zombie);
        }
        zombie = lutra_sql_open(lutra_test_stack()->target.socket);
        (void)lutra_sql_int(zombie, "SELECT GET_LOCK('lutra.%s.3', 5)", pipeline);
        lutra_sql_exec(zombie, "BEGIN; UPDATE lutra.checkpoint SET unit=unit WHERE pipeline='%s'",
                       pipeline);
        if (i == 0) {
            lutra_target_make_epoch(third, 0, 0, "0123456789abcdef", (struct lutra_epoch_check){0},
                                    answer_epoch, &made);
        }
        int64_t id = connection_of("3");
        cr_assert_gt(id, 0);
        uint64_t deadline_ms = lutra_test_now_ms() + lutra_test_scaled_ms(10000);
        while (state_count(id, "%") > 0 && lutra_test_now_ms() < deadline_ms) {
            lutra_loop_run_for(loop, 20);
        }
        cr_assert_eq(lutra_sql_int(sql,
                                   "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID="
                                   "%lld",
                                   (long long)id),
                     0, "round %u: it was not killed", i);
        if (made.done) {
            break; /* it was free between two of them */
        }
    }
    cr_assert(answer_wait(loop, &made, lutra_test_scaled_ms(10000)));
    cr_expect_eq(made.err.class, LUTRA_OK, "%s", made.err.msg);
    cr_expect_gt(made.fence, mine);
    answer_fini(&made);
    lutra_sql_close(zombie);
    lutra_target_free(third);
}

static int refuse(const struct lutra_ring *ring, void *arg, struct lutra_error *err)
{
    *(uint64_t *)arg = ring->slots[0].fence;
    return lutra_error_set(err, LUTRA_CONFIG, 0, "%zu slots, the youngest %lld ms old", ring->n,
                           (long long)ring->slots[0].age_ms);
}

Test(target_faults, a_check_that_refuses_leaves_the_slots_as_they_are)
{
    struct lutra_error err = {0};
    struct answer answer = {0};
    uint64_t seen = 0;
    struct lutra_epoch_check check = {.check = refuse, .arg = &seen};
    lutra_target_make_epoch(target, 99, fence, "feedfeedfeedfeed", check, answer_epoch, &answer);
    cr_assert(answer_wait(loop, &answer, 30000));
    cr_expect_eq(answer.err.class, LUTRA_CONFIG);
    cr_expect(strstr(answer.err.msg, "4 slots"), "%s", answer.err.msg);
    cr_expect_eq(seen, fence);
    answer_fini(&answer);
    cr_expect_eq(
        lutra_sql_int(sql, "SELECT MAX(fence) FROM lutra.checkpoint WHERE pipeline='%s'", pipeline),
        (int64_t)fence);
    /* And nothing is locked any more. */
    cr_expect_eq(sync_epoch(loop, target, 99, fence, &err), 99, "%s", err.msg);
}

/* A server that came back without the last unit: the slot that is taken next looks right. */
Test(target_faults, a_new_connection_must_show_the_newest_unit)
{
    struct lutra_error err = {0};
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY)");
    struct lutra_unit_begin begin = {.fence = fence, .low = "", .from = ""};
    for (uint64_t unit = 1; unit <= 2; unit++) {
        struct batch *b = insert_of((int64_t)unit);
        begin.slot = (uint32_t)unit - 1;
        begin.unit = unit;
        begin.last_unit = unit - 1;
        lutra_target_begin(target, &begin);
        cr_assert_eq(sync_apply(loop, target, batch_get(b), &err), LUTRA_OK, "%s", err.msg);
        cr_assert_eq(sync_commit(loop, target, "x:1;", unit, &err), LUTRA_OK, "%s", err.msg);
        batch_free(b);
    }
    lutra_target_close(target);
    lutra_sql_exec(sql,
                   "DELETE FROM t WHERE id=2; UPDATE lutra.checkpoint SET unit=0 WHERE "
                   "pipeline='%s' AND slot=1",
                   pipeline);
    struct batch *b = insert_of(3);
    begin.slot = 2;
    begin.unit = 3;
    begin.last_unit = 2;
    lutra_target_begin(target, &begin);
    cr_expect_eq(sync_apply(loop, target, batch_get(b), &err), LUTRA_FENCED, "%s", err.msg);
    cr_expect(strstr(err.msg, "unit 1, not 2"), "%s", err.msg);
    cr_expect_eq(rows_of_t(), 1);
    batch_free(b);
}

/* The table is dropped under a running loader: an epoch looks at what is there now. */
Test(target_faults, a_checkpoint_that_is_gone_fences_and_the_check_sees_it_empty)
{
    struct lutra_error err = {0};
    struct answer answer = {0};
    uint64_t seen = 1;
    struct lutra_epoch_check check = {.check = refuse, .arg = &seen};
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY)");
    expect_unit(insert_of(1));
    lutra_sql_exec(sql, "DELETE FROM lutra.checkpoint WHERE pipeline='%s'", pipeline);
    cr_expect_eq(run_unit(insert_of(2), &err), LUTRA_FENCED, "%s", err.msg);
    lutra_target_make_epoch(target, 0, 0, "feedfeedfeedfeed", check, answer_epoch, &answer);
    cr_assert(answer_wait(loop, &answer, 30000));
    cr_expect_eq(answer.err.class, LUTRA_CONFIG, "%s", answer.err.msg);
    cr_expect_eq(seen, 0);
    answer_fini(&answer);
    cr_expect_eq(rows_of_t(), 1);
}

Test(target_faults, a_commit_that_was_executed_without_an_answer_is_found)
{
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY)");
    expect_unit(insert_of(1));
    lutra_fault_arm("load.commit_sent=error");
    expect_unit(insert_of(2));
    lutra_fault_arm(NULL);
    expect_unit(insert_of(3));
    cr_expect_eq(rows_of_t(), 3);
    struct lutra_target_stats stats;
    lutra_target_stats_get(target, &stats);
    cr_expect_eq(stats.reconnects, 2);
}

/* A COMMIT that waits behind a global read lock, and its connection cut from this side or that. */
static void commit_under_read_lock(bool kill)
{
    struct answer answer = {0};
    struct lutra_error err = {0};
    struct lutra_unit_end end = {.to = "x:9;", .process_id = 2, .source_identity = ""};
    struct lutra_sql *locker = lutra_sql_open(lutra_test_stack()->target.socket);
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY)");
    expect_unit(insert_of(1));
    struct batch *b = insert_of(2);
    unit_begin(target, fence, 2, 0);
    cr_assert_eq(sync_apply(loop, target, batch_get(b), &err), LUTRA_OK);
    int64_t id = connection_of("0");
    cr_assert_gt(id, 0);
    /* The slot's last UPDATE must pass, the COMMIT must not: the lock is asked for while the unit
     * is open, and given up to COMMITs only. */
    lutra_sql_exec(locker, "BACKUP STAGE START; BACKUP STAGE FLUSH; BACKUP STAGE BLOCK_DDL; "
                           "BACKUP STAGE BLOCK_COMMIT");
    if (!kill) {
        lutra_fault_arm("load.commit_sent=error");
    }
    lutra_target_commit(target, &end, answer_done, &answer);
    if (kill) {
        LUTRA_WAIT_FOR(state_count(id, "%commit%") > 0, 20000);
        lutra_sql_exec(sql, "KILL CONNECTION %lld", (long long)id);
    }
    /* Nobody may guess while the COMMIT hangs. */
    LUTRA_WAIT_FOR(lutra_sql_int(sql,
                                 "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE "
                                 "ID=%lld",
                                 (long long)id) == 0,
                   20000);
    cr_expect_not(answer.done);
    lutra_sql_exec(locker, "BACKUP STAGE END");
    cr_assert(answer_wait(loop, &answer, 60000));
    lutra_fault_arm(NULL);
    bool there = rows_of_t() == 2;
    cr_expect_eq(answer.err.class, there ? LUTRA_OK : LUTRA_RETRY, "%s", answer.err.msg);
    cr_expect_not(there); /* it was killed before it could commit */
    (void)sync_rollback(loop, target, NULL);
    cr_expect_eq(sync_unit(loop, target, fence, 2, 0, batch_get(b), &err), LUTRA_OK, "%s", err.msg);
    cr_expect_eq(rows_of_t(), 2);
    batch_free(b);
    lutra_sql_close(locker);
}

Test(target_faults, a_commit_that_was_killed_is_known_not_to_be_there)
{
    commit_under_read_lock(true);
}

Test(target_faults, a_commit_that_still_hangs_is_ended_before_the_slot_is_read)
{
    commit_under_read_lock(false);
}

/* ---- a server that is not told that a connection has ended ---- */

enum { MAX_FD = 256 };

/* Marks the descriptors that are connected to the target; how many there are. */
static int mark_connections(bool marked[MAX_FD])
{
    int n = 0;
    for (int fd = 0; fd < MAX_FD; fd++) {
        struct sockaddr_un peer = {0};
        socklen_t len = sizeof peer;
        marked[fd] = getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
                     peer.sun_family == AF_UNIX &&
                     strcmp(peer.sun_path, lutra_test_stack()->target.socket) == 0;
        n += marked[fd];
    }
    return n;
}

/* From here on this side hears that the connection is dead; the server hears nothing. What keeps it
 * open there; close it in the end. */
static int cut_off(int fd)
{
    int kept = dup(fd), dead[2];
    cr_assert(kept >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, dead) == 0);
    close(dead[1]);
    cr_assert_eq(dup2(dead[0], fd), fd);
    close(dead[0]);
    return kept;
}

Test(target_faults, a_connection_that_the_server_takes_for_alive_holds_nothing_up)
{
    bool before[MAX_FD], after[MAX_FD];
    struct lutra_error err = {0};
    int ours = -1;
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY)");
    lutra_target_close(target);
    LUTRA_WAIT_FOR(mark_connections(before) == 1, 10000); /* the test's own */
    struct batch *b = insert_of(1);
    unit_begin(target, fence, 1, 0);
    cr_assert_eq(sync_apply(loop, target, batch_get(b), &err), LUTRA_OK, "%s", err.msg);
    cr_assert_eq(mark_connections(after), 2);
    for (int fd = 0; fd < MAX_FD; fd++) {
        ours = after[fd] && !before[fd] ? fd : ours;
    }
    cr_assert_geq(ours, 0);
    int64_t id = connection_of("0");
    int kept = cut_off(ours);
    cr_assert_neq(sync_apply(loop, target, batch_get(b), &err), LUTRA_OK);
    cr_assert_eq(connection_of("0"), id, "the server has noticed: nothing is proven");
    (void)sync_rollback(loop, target, NULL);
    uint64_t began_ms = lutra_test_now_ms();
    cr_assert_eq(sync_unit(loop, target, fence, 1, 0, batch_get(b), &err), LUTRA_OK, "%s", err.msg);
    cr_assert_lt(lutra_test_now_ms() - began_ms, lutra_test_scaled_ms(2000),
                 "it waited for the locks of its own former connection");
    cr_assert_eq(rows_of_t(), 1);
    batch_free(b);
    close(kept);
}

Test(target_faults, fault_points_fail_the_unit_and_it_can_be_repeated)
{
    struct lutra_error err = {0};
    static const char *const points[] = {"load.after_begin=error", "load.mid_rows=error",
                                         "load.before_commit=error"};
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY)");
    for (size_t i = 0; i < 3; i++) {
        lutra_fault_arm(points[i]);
        cr_expect_eq(run_unit(insert_of(1), &err), LUTRA_RETRY, "%s", points[i]);
    }
    lutra_fault_arm(NULL);
    cr_expect_eq(rows_of_t(), 0);
    expect_unit(insert_of(1));
}

Test(target_faults, lock_waits_end_with_retry_and_close_interrupts_them)
{
    struct answer answer = {0};
    struct lutra_error err = {0};
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (0)");
    expect_unit(insert_of(1));
    lutra_sql_exec(sql, "BEGIN; INSERT INTO t VALUES (2)");
    cr_expect_eq(run_unit(insert_of(2), &err), LUTRA_RETRY);
    cr_expect_eq(err.code, 1205);

    struct batch *b = insert_of(2);
    unit_begin(target, fence, 2, 0);
    lutra_target_apply(target, batch_get(b), answer_done, &answer);
    int64_t id = connection_of("0");
    LUTRA_WAIT_FOR(state_count(id, "INSERT%") > 0, 10000);
    uint64_t began_ms = lutra_test_now_ms();
    lutra_target_close(target);
    lutra_loop_run_for(loop, 100);
    cr_expect_not(answer.done);
    lutra_target_free(target);
    cr_expect_lt(lutra_test_now_ms() - began_ms, lutra_test_scaled_ms(2000));
    lutra_sql_exec(sql, "ROLLBACK");
    target = another_target();
    cr_expect_eq(sync_prepare(loop, target, &err), LUTRA_OK);
    fence = sync_epoch(loop, target, 0, 0, &err);
    cr_expect_eq(sync_unit(loop, target, fence, 2, 0, batch_get(b), &err), LUTRA_OK, "%s", err.msg);
    batch_free(b);
}

Test(target_faults, a_closed_target_can_be_used_again)
{
    struct lutra_error err = {0};
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY)");
    expect_unit(insert_of(1));
    lutra_target_close(target);
    LUTRA_WAIT_FOR(connection_of("0") <= 0, 10000);
    cr_expect_eq(sync_prepare(loop, target, &err), LUTRA_OK);
    expect_unit(insert_of(2));
    cr_expect_eq(connection_of("0") > 0, true);
}

Test(target_faults, a_server_that_goes_and_comes_back_is_retried)
{
    struct lutra_error err = {0};
    struct lutra_test_mariadb server = lutra_test_mariadb_start("own", NULL);
    struct lutra_target *own = target_as(server.socket, "root", false);
    struct lutra_sql *there = lutra_sql_open(server.socket);
    lutra_sql_exec(there, "CREATE DATABASE `%s`; CREATE TABLE `%s`.t (id INT PRIMARY KEY)", schema,
                   schema);
    lutra_sql_close(there);
    cr_assert_eq(sync_prepare(loop, own, &err), LUTRA_OK, "%s", err.msg);
    uint64_t mine = sync_epoch(loop, own, 0, 0, &err);
    struct batch *b = insert_of(1), *c = insert_of(2);
    cr_expect_eq(sync_unit(loop, own, mine, 1, 0, batch_get(b), &err), LUTRA_OK, "%s", err.msg);
    unit_begin(own, mine, 2, 0);
    cr_expect_eq(sync_apply(loop, own, batch_get(c), &err), LUTRA_OK);
    lutra_test_mariadb_stop(&server);
    cr_expect_eq(sync_commit(loop, own, "x:2;", 2, &err), LUTRA_RETRY, "%s", err.msg);
    cr_expect_eq(sync_rollback(loop, own, &err), LUTRA_RETRY);
    lutra_test_mariadb_restart(&server);
    cr_expect_eq(sync_rollback(loop, own, &err), LUTRA_OK, "%s", err.msg);
    cr_expect_eq(sync_unit(loop, own, mine, 2, 0, batch_get(c), &err), LUTRA_OK, "%s", err.msg);
    lutra_target_free(own);
    batch_free(b);
    batch_free(c);
}
