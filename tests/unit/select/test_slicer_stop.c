#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slicer_run.h"

static struct slicer_run run;

static void fini(void)
{
    slicer_run_fini(&run);
}

TestSuite(slicer_stop, .fini = fini);

/* It stops, says `part`, stays stopped, and what was read before can still be cut. */
static void expect_stop(enum lutra_error_class class, const char *part)
{
    struct lutra_error again = {0};
    cr_expect_eq(slicer_run_feed(&run), -1);
    cr_expect_eq(run.err.class, class);
    cr_expect(strstr(run.err.msg, part), "\"%s\" lacks \"%s\"", run.err.msg, part);
    cr_expect_eq(lutra_slicer_feed(run.slicer, events_at(&run.events, 1), run.events.items[1].len,
                                   1, &again),
                 -1);
    cr_expect_str_eq(again.msg, run.err.msg);
    cr_expect_str_eq(slicer_run_close(&run), "1 ROWS t=1 r=1 f=0 d=0\n");
    cr_expect(strstr(run.position, ";0-1-1"), "stands before it, not at %s", run.position);
}

static void one_before(const char *limits)
{
    slicer_run_init(&run, limits);
    events_transaction(&run.events, "t", 1, 1, 1);
}

Test(slicer_stop, at_ddl_on_a_synchronised_table)
{
    char place[64];
    one_before("");
    events_ddl(&run.events, "shop", "ALTER TABLE t1 ADD COLUMN c INT");
    events_transaction(&run.events, "t", 1, 1, 2);
    snprintf(place, sizeof(place), "resolved_until: binlog.000001:%llu",
             (unsigned long long)run.events.offset);
    expect_stop(LUTRA_CONFIG, "ALTER TABLE t1 ADD COLUMN c INT");
    cr_expect(strstr(run.err.msg, "resolved_until: binlog.000001:"), "%s", run.err.msg);
}

Test(slicer_stop, at_what_it_does_not_understand)
{
    one_before("");
    events_ddl(&run.events, "shop", "FROBNICATE EVERYTHING");
    expect_stop(LUTRA_CONFIG, "FROBNICATE");
}

Test(slicer_stop, at_dropping_the_schema)
{
    one_before("");
    events_ddl(&run.events, "", "DROP DATABASE shop");
    expect_stop(LUTRA_CONFIG, "DROP DATABASE shop");
}

Test(slicer_stop, not_at_ddl_elsewhere)
{
    one_before("");
    events_ddl(&run.events, "shop", "CREATE TABLE x1 (a INT)");
    events_ddl(&run.events, "other", "ALTER TABLE t1 ADD COLUMN c INT");
    events_ddl(&run.events, "", "CREATE DATABASE another");
    events_ddl(&run.events, "", "GRANT SELECT ON shop.* TO u");
    cr_assert_eq(slicer_run_feed(&run), 0, "%s", run.err.msg);
    cr_expect_str_eq(slicer_run_close(&run), "1 ROWS t=1 r=1 f=0 d=3\n");
    cr_expect(strstr(run.position, ";0-1-5"), "%s", run.position);
}

Test(slicer_stop, at_changes_logged_as_statements)
{
    one_before("");
    events_gtid(&run.events, 0);
    events_query(&run.events, "shop", "UPDATE t1 SET note='x'");
    events_xid(&run.events);
    expect_stop(LUTRA_CONFIG, "binlog_format=ROW");
}

Test(slicer_stop, at_xa_transactions)
{
    one_before("");
    events_gtid(&run.events, EVENTS_GTID_PREPARED_XA);
    expect_stop(LUTRA_CONFIG, "XA");
}

Test(slicer_stop, at_an_incident)
{
    one_before("");
    events_incident(&run.events, "the binlog was not written");
    expect_stop(LUTRA_CONFIG, "the binlog was not written");
}

Test(slicer_stop, at_a_column_that_is_not_carried)
{
    one_before("");
    events_gtid(&run.events, 0);
    events_table(&run.events, 9, "t_enum", 247);
    expect_stop(LUTRA_CONFIG, "shop.t_enum.note: type ENUM");
}

Test(slicer_stop, not_at_such_a_column_of_another_table)
{
    one_before("");
    events_gtid(&run.events, 0);
    events_table(&run.events, 9, "x_enum", 247);
    events_insert(&run.events, 9, 1, 1);
    events_xid(&run.events);
    cr_assert_eq(slicer_run_feed(&run), 0, "%s", run.err.msg);
}

Test(slicer_stop, at_rows_of_an_unknown_table)
{
    one_before("");
    events_gtid(&run.events, 0);
    events_insert(&run.events, 99, 1, 1);
    expect_stop(LUTRA_DATA, "without a TABLE_MAP");
}

Test(slicer_stop, at_a_rolled_back_group_with_rows)
{
    one_before("");
    events_gtid(&run.events, 0);
    events_table(&run.events, 9, "t", 15);
    events_insert(&run.events, 9, 1, 1);
    events_query(&run.events, "shop", "ROLLBACK");
    expect_stop(LUTRA_CONFIG, "partly undone");
}

Test(slicer_stop, not_at_a_rolled_back_group_without_rows)
{
    one_before("");
    events_gtid(&run.events, 0);
    events_query(&run.events, "shop", "SAVEPOINT `a`");
    events_query(&run.events, "shop", "ROLLBACK");
    cr_assert_eq(slicer_run_feed(&run), 0, "%s", run.err.msg);
    slicer_run_close(&run);
    cr_expect(strstr(run.position, ";0-1-2"), "%s", run.position);
}

Test(slicer_stop, what_was_dealt_with_by_hand_is_passed)
{
    struct events sizes;
    char limits[64];
    events_init(&sizes);
    events_transaction(&sizes, "t", 1, 1, 1);
    events_ddl(&sizes, "shop", "ALTER TABLE t1 ADD COLUMN c INT");
    snprintf(limits, sizeof(limits), "resolved_until: 'binlog.000001:%llu'",
             (unsigned long long)sizes.offset);
    events_fini(&sizes);
    one_before(limits);
    events_ddl(&run.events, "shop", "ALTER TABLE t1 ADD COLUMN c INT");
    events_transaction(&run.events, "t", 1, 1, 2);
    cr_assert_eq(slicer_run_feed(&run), 0, "%s", run.err.msg);
    cr_expect_str_eq(slicer_run_close(&run), "1 ROWS t=2 r=2 f=0 d=1\n");
    events_ddl(&run.events, "shop", "ALTER TABLE t1 ADD COLUMN d INT");
    cr_expect_eq(slicer_run_feed(&run), -1, "the next one is not covered");
}

Test(slicer_stop, an_xa_transaction_dealt_with_by_hand_leaves_its_rows_out)
{
    one_before("resolved_until: 'binlog.000001:99999'");
    events_gtid(&run.events, EVENTS_GTID_PREPARED_XA);
    events_table(&run.events, 9, "t", 15);
    events_insert(&run.events, 9, 1, 2);
    events_query(&run.events, "", "XA END X'78',X'',1");
    events_raw(&run.events, 38, 0, "\0\1\0\0\0\1\0\0\0\0\0\0\0x", 14);
    events_transaction(&run.events, "t", 1, 1, 3);
    cr_assert_eq(slicer_run_feed(&run), 0, "%s", run.err.msg);
    slicer_run_close(&run);
    cr_expect_str_eq(slicer_run_ids(&run), "1 3 ");
}

Test(slicer_stop, a_stop_after_pieces_leaves_them_unfinished)
{
    slicer_run_init(&run, "batch: {max_rows: 1}");
    events_gtid(&run.events, 0);
    events_table(&run.events, 9, "t", 15);
    events_insert(&run.events, 9, 1, 1);
    events_insert(&run.events, 9, 1, 2);
    events_query(&run.events, "shop", "UPDATE t1 SET note='x'");
    cr_expect_eq(slicer_run_feed(&run), -1);
    cr_expect_str_eq(slicer_run_close(&run), "1 ROWS t=1 r=1 f=0 d=0 unfinished\n");
}

Test(slicer_stop, a_transaction_that_breaks_off_after_a_piece_needs_a_new_epoch)
{
    slicer_run_init(&run, "batch: {max_rows: 1}");
    events_gtid(&run.events, 0);
    events_table(&run.events, 9, "t", 15);
    events_insert(&run.events, 9, 1, 1);
    events_insert(&run.events, 9, 1, 2);
    events_gtid(&run.events, 0);
    cr_expect_eq(slicer_run_feed(&run), -1);
    cr_expect_eq(run.err.class, LUTRA_RETRY);
}

Test(slicer_stop, a_transaction_that_breaks_off_before_a_cut_never_was)
{
    one_before("");
    events_gtid(&run.events, 0);
    events_table(&run.events, 9, "t", 15);
    events_insert(&run.events, 9, 1, 7);
    events_rotate(&run.events, "binlog.000002"); /* the server crashed and wrote a new file */
    events_transaction(&run.events, "t", 1, 1, 2);
    cr_assert_eq(slicer_run_feed(&run), 0, "%s", run.err.msg);
    slicer_run_close(&run);
    cr_expect_str_eq(slicer_run_ids(&run), "1 2 ");
}

/* Bytes from the server, broken at random: refused or read, never a crash. */
Test(slicer_stop, mutated_events_never_crash)
{
    unsigned stopped = 0;
    srand(3);
    slicer_run_init(&run, "");
    for (unsigned round = 0; round < 3000; round++) {
        struct slicer_run r;
        slicer_run_init(&r, "batch: {max_rows: 3}");
        events_transaction(&r.events, "t", 2, 2, 1);
        events_gtid(&r.events, 0);
        events_table(&r.events, 5, "t2", 15);
        events_insert_compressed(&r.events, 5, 4, 1);
        events_query(&r.events, "shop", "COMMIT");
        events_ddl(&r.events, "x", "CREATE TABLE y (a INT)");
        events_incident(&r.events, "m");
        for (int k = rand() % 3; k >= 0; k--) {
            size_t item = (size_t)rand() % r.events.n;
            size_t at = 17 + (size_t)rand() % (r.events.items[item].len - 17);
            r.events.bytes.data[r.events.items[item].at + at] ^= (uint8_t)(1 << rand() % 8);
        }
        stopped += slicer_run_feed(&r) != 0;
        lutra_slicer_close(r.slicer);
        slicer_run_fini(&r);
    }
    cr_expect_gt(stopped, 0);
}
