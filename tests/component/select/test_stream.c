/* The source: trouble, stops, quiet times. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "fixture.h"

#define BEGIN "binlog.000001:4;"

static void fini(void)
{
    lutra_fault_arm(NULL);
    fix_fini();
}

TestSuite(select_stream, .fini = fini);

static bool rolled_back(void *arg)
{
    (void)arg;
    struct lutra_control control;
    return fix_control(&control) && control.epoch > fix.epoch;
}

static struct lutra_control wait_request(uint64_t ms)
{
    struct lutra_control control = {0};
    cr_assert(lutra_loop_run_until(fix.loop, rolled_back, NULL, ms), "nothing was asked for");
    cr_assert(fix_control(&control));
    return control;
}

Test(select_stream, a_dropped_connection_goes_on_behind_the_last_cut)
{
    fix_init("batch: {max_rows: 3}");
    fix.credit = true;
    fix_origin(0, BEGIN);
    for (unsigned i = 0; i < 20; i++) {
        fix_rows(5, 10 * i);
        fix_run(i % 3);
        lutra_mem_binlog_drop_streams(fix.binlog);
        fix_run(i * 7);
    }
    fix_wait_rows(100, 10000);
    fix_check_chain(1, BEGIN);
    cr_expect_eq(fix_state_int("epoch"), 1);
    cr_expect_eq(fix.epoch, 1);
}

Test(select_stream, a_drop_within_a_transaction_of_which_a_piece_is_out_asks_for_restart)
{
    fix_init("batch: {max_rows: 1}");
    fix.credit = true;
    events_gtid(&fix.events, 0);
    events_table(&fix.events, 7, "t", 15);
    for (unsigned i = 0; i < 5; i++) {
        events_insert(&fix.events, 7, 1, i);
    }
    fix_serve();
    fix_origin(0, BEGIN);
    fix_messages(3, 1000);
    lutra_mem_binlog_drop_streams(fix.binlog);
    struct lutra_control control = wait_request(2000);
    cr_expect(control.start, "RESTART, not ROLLBACK");
    cr_expect(strstr(control.reason, "piece"), "%s", control.reason);
    cr_expect(strstr(control.by, "select/s1"));
}

Test(select_stream, a_source_that_stays_away_asks_for_rollback_with_a_time)
{
    fix_init("");
    fix_origin(0, BEGIN);
    fix_rows(1, 1);
    fix_wait_rows(1, 1000);
    lutra_mem_binlog_set_down(fix.binlog, true);
    fix_run(8000);
    cr_expect_not(rolled_back(NULL));
    struct lutra_control control = wait_request(8000);
    cr_expect_not(control.start);
    cr_expect_gt(control.retry_at_ms, 0);
    cr_expect(strstr(control.reason, "cannot be reached"), "%s", control.reason);
}

Test(select_stream, a_source_that_comes_back_in_time_is_forgiven)
{
    fix_init("");
    fix.credit = true;
    fix_origin(0, BEGIN);
    fix_rows(1, 1);
    fix_wait_rows(1, 1000);
    lutra_mem_binlog_set_down(fix.binlog, true);
    fix_run(6000);
    lutra_mem_binlog_set_down(fix.binlog, false);
    fix_rows(1, 2);
    fix_wait_rows(2, 5000);
    fix_run(10000);
    cr_expect_not(rolled_back(NULL));
    fix_check_chain(1, BEGIN);
}

Test(select_stream, a_purged_binlog_asks_for_rollback_without_a_time)
{
    fix_init("");
    fix_origin(0, "binlog.000000:4;0-1-1");
    struct lutra_control control = wait_request(2000);
    cr_expect_not(control.start);
    cr_expect_eq(control.retry_at_ms, 0);
    cr_expect(strstr(control.reason, "binlog.000000"), "%s", control.reason);
}

Test(select_stream, another_server_is_refused_by_name)
{
    fix_init("");
    fix_rows(1, 1);
    fix_origin_as(fix_session(), 0, BEGIN, "mem:before");
    struct lutra_control control = wait_request(2000);
    cr_expect_not(control.start);
    cr_expect_eq(control.retry_at_ms, 0);
    cr_expect(strstr(control.reason, "mem:before") && strstr(control.reason, "mem:1"), "%s",
              control.reason);
    cr_expect_eq(fix.n, 0);
}

Test(select_stream, another_server_that_is_accepted_is_read_by_gtid)
{
    fix_init("accept_new_source: true");
    fix_rows(4, 1);
    fix_origin_as(fix_session(), 7, "other-bin.000009:777;0-1-2", "mem:before");
    fix_wait_rows(2, 2000);
    fix_check_chain(8, "other-bin.000009:777;0-1-2");
}

Test(select_stream, another_server_cannot_be_read_without_gtids)
{
    fix_init("accept_new_source: true");
    fix_rows(4, 1);
    fix_origin_as(fix_session(), 7, "other-bin.000009:777;", "mem:before");
    struct lutra_control control = wait_request(2000);
    cr_expect(strstr(control.reason, "no GTIDs"), "%s", control.reason);
}

Test(select_stream, ddl_waits_until_everything_before_it_is_applied)
{
    fix_init("");
    fix_rows(3, 1);
    events_ddl(&fix.events, "shop", "ALTER TABLE t ADD COLUMN x INT");
    fix_rows(3, 10);
    fix_origin(0, BEGIN);
    fix_wait_rows(3, 1000);
    fix_run(5000);
    cr_expect_not(rolled_back(NULL), "not applied yet");
    cr_expect(fix_state_is("state", "DRAINING"));
    fix_termin(fix_state_int("published"), fix_state_int("published"));
    struct lutra_control control = wait_request(2000);
    cr_expect_not(control.start);
    cr_expect_eq(control.retry_at_ms, 0);
    cr_expect(strstr(control.reason, "ALTER TABLE t ADD COLUMN x INT"), "%s", control.reason);
    cr_expect_eq(fix_rows_read(), 3);
}

Test(select_stream, a_rollback_that_yields_to_the_operator_is_asked_for_again)
{
    fix_init("");
    fix.credit = true;
    fix_rows(1, 1);
    fix_origin(0, BEGIN);
    fix_wait_rows(1, 1000);
    fix_run(200);
    fix_desire("PAUSE");
    fix_run(200);
    events_ddl(&fix.events, "shop", "DROP TABLE t");
    fix_serve();
    fix_run(3000);
    fix_desire("START");
    struct lutra_control control = wait_request(10000);
    cr_expect(strstr(control.reason, "DROP TABLE t"), "%s", control.reason);
}

Test(select_stream, a_quiet_source_costs_nothing_and_filtered_changes_move_the_position)
{
    fix_init("");
    fix.credit = true;
    fix_origin(0, BEGIN);
    fix_rows(1, 1);
    fix_wait_rows(1, 1000);
    size_t n = fix.n;
    fix_run(60000);
    cr_expect_eq(fix.n, n, "nothing happened, nothing is sent");
    events_transaction(&fix.events, "x", 2, 1, 1);
    fix_serve();
    fix_run(900);
    cr_expect_eq(fix.n, n);
    fix_messages(n + 1, 300);
    cr_expect_eq(fix.messages[n].batch->head->kind, LUTRA__BATCH_HEAD__KIND__IDLE);
    fix_run(100);
    cr_expect_eq(fix_state_int("events_filtered"), 2);
    fix_check_chain(1, BEGIN);
}

Test(select_stream, a_new_binlog_file_moves_the_position_within_ten_seconds)
{
    fix_init("");
    fix.credit = true;
    fix_origin(0, BEGIN);
    fix_rows(1, 1);
    fix_wait_rows(1, 1000);
    size_t n = fix.n;
    events_rotate(&fix.events, "binlog.000002");
    fix_serve();
    fix_messages(n + 1, 10500);
    cr_expect(strncmp(fix.messages[n].batch->head->position_to, "binlog.000002:4;", 16) == 0, "%s",
              fix.messages[n].batch->head->position_to);
}

Test(select_stream, faults_while_reading_and_publishing_change_nothing)
{
    fix_init("batch: {max_rows: 2}");
    fix.credit = true;
    lutra_fault_arm("select.read=error:20,select.before_publish=error:3,select.acked=error:5");
    fix_origin(0, BEGIN);
    fix_rows(50, 1);
    fix_wait_rows(50, 20000);
    fix_check_chain(1, BEGIN);
    cr_expect_eq(fix_state_int("epoch"), 1);
}

Test(select_stream, a_column_that_is_not_carried_stops_by_name)
{
    fix_init("");
    fix.credit = true;
    fix_rows(1, 1);
    fix_origin(0, BEGIN);
    events_gtid(&fix.events, 0);
    events_table(&fix.events, 9, "t_enum", 247);
    fix_serve();
    struct lutra_control control = wait_request(3000);
    cr_expect(strstr(control.reason, "shop.t_enum.note"), "%s", control.reason);
}
