#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/wire.h"
#include "slicer_run.h"

static struct slicer_run run;

static void fini(void)
{
    slicer_run_fini(&run);
}

TestSuite(slicer, .fini = fini);

static void feed(void)
{
    cr_assert_eq(slicer_run_feed(&run), 0, "%s", run.err.msg);
}

Test(slicer, whole_transactions_gather_until_the_batch_is_closed)
{
    slicer_run_init(&run, "");
    events_transaction(&run.events, "t1", 1, 2, 1);
    events_transaction(&run.events, "t2", 2, 3, 10);
    feed();
    cr_expect_str_eq(slicer_run_cut(&run), "");
    cr_expect(lutra_slicer_has_rows(run.slicer));
    cr_expect_eq(lutra_slicer_due_ms(run.slicer), 1050);
    cr_expect_str_eq(slicer_run_close(&run), "1 ROWS t=2 r=8 f=0 d=0\n");
    cr_expect_str_eq(slicer_run_ids(&run), "1 2 10 11 12 13 14 15 ");
    cr_expect_not(lutra_slicer_has_rows(run.slicer));
    cr_expect_eq(lutra_slicer_due_ms(run.slicer), UINT64_MAX);
    cr_expect_str_eq(slicer_run_close(&run), "", "nothing new, nothing cut");
    char end[64];
    snprintf(end, sizeof(end), "binlog.000001:%llu;0-1-2", (unsigned long long)run.events.offset);
    cr_expect_str_eq(run.position, end);
}

Test(slicer, a_batch_is_cut_when_it_has_the_rows_it_may_have)
{
    slicer_run_init(&run, "batch: {max_rows: 5}");
    for (unsigned i = 0; i < 4; i++) {
        events_transaction(&run.events, "t", 1, 2, 10 * i);
    }
    events_transaction(&run.events, "t", 1, 5, 100); /* fills one by itself */
    feed();
    cr_expect_str_eq(slicer_run_cut(&run), "1 ROWS t=2 r=4 f=0 d=0\n"
                                           "2 ROWS t=2 r=4 f=0 d=0\n"
                                           "3 ROWS t=1 r=5 f=0 d=0\n");
    cr_expect_str_eq(slicer_run_ids(&run), "0 1 10 11 20 21 30 31 100 101 102 103 104 ");
}

Test(slicer, a_batch_is_cut_when_it_has_the_bytes_it_may_have)
{
    slicer_run_init(&run, "batch: {max_bytes: 1KiB}");
    for (unsigned i = 0; i < 8; i++) {
        events_transaction(&run.events, "t", 1, 20, 100 * i); /* about 350 bytes */
    }
    feed();
    slicer_run_close(&run);
    cr_expect_eq(run.process_id, 4);
}

Test(slicer, a_transaction_above_the_bound_goes_in_pieces_of_its_own)
{
    slicer_run_init(&run, "batch: {max_rows: 4}");
    events_transaction(&run.events, "t", 1, 1, 1);
    events_transaction(&run.events, "t", 5, 2, 10);
    events_transaction(&run.events, "t", 1, 1, 90);
    feed();
    cr_expect_str_eq(slicer_run_close(&run), "1 ROWS t=1 r=1 f=0 d=0\n"
                                             "2 ROWS t=1 r=4 f=0 d=0 unfinished\n"
                                             "3 ROWS t=1 r=4 f=0 d=0 continues unfinished\n"
                                             "4 ROWS t=1 r=2 f=0 d=0 continues\n"
                                             "5 ROWS t=1 r=1 f=0 d=0\n");
    cr_expect_str_eq(slicer_run_ids(&run), "1 10 11 12 13 14 15 16 17 18 19 90 ");
}

Test(slicer, a_transaction_of_very_many_pieces_keeps_the_position_until_its_end)
{
    slicer_run_init(&run, "window: 1, batch: {max_rows: 1}");
    events_gtid(&run.events, 0);
    events_table(&run.events, 7, "t", 15);
    for (unsigned i = 0; i < 50; i++) {
        events_insert(&run.events, 7, 3, 3 * i); /* each above the bound: still goes whole */
    }
    feed();
    slicer_run_cut(&run);
    cr_expect_eq(run.process_id, 49, "the last one waits for more");
    cr_expect_str_eq(run.position, "binlog.000001:4;0-1-0");
    events_xid(&run.events);
    feed();
    cr_expect_str_eq(slicer_run_cut(&run), "50 ROWS t=1 r=3 f=0 d=0 continues\n");
    cr_expect(strstr(run.position, ";0-1-1"), "%s", run.position);
}

Test(slicer, rows_of_other_tables_are_counted_and_move_the_position)
{
    slicer_run_init(&run, "");
    events_transaction(&run.events, "x", 3, 2, 1);
    feed();
    cr_expect_not(lutra_slicer_has_rows(run.slicer));
    cr_expect_eq(lutra_slicer_due_ms(run.slicer), 2000);
    cr_expect_str_eq(slicer_run_close(&run), "1 IDLE t=0 r=0 f=3 d=0\n");
    cr_expect(strstr(run.position, ";0-1-1"));
    events_gtid(&run.events, 0); /* one transaction with both */
    events_table(&run.events, 8, "x", 15);
    events_table(&run.events, 9, "t", 15);
    events_insert(&run.events, 8, 1, 1);
    events_insert(&run.events, 9, 1, 2);
    events_xid(&run.events);
    feed();
    cr_expect_eq(lutra_slicer_due_ms(run.slicer), 1050);
    cr_expect_str_eq(slicer_run_close(&run), "2 ROWS t=1 r=1 f=1 d=0\n");
    cr_expect_str_eq(slicer_run_ids(&run), "2 ");
}

Test(slicer, a_long_stretch_of_filtered_transactions_is_cut_by_itself)
{
    slicer_run_init(&run, "");
    for (unsigned i = 0; i < 5000; i++) {
        events_transaction(&run.events, "x", 1, 1, 1);
    }
    feed();
    cr_expect_str_eq(slicer_run_cut(&run), "1 IDLE t=0 r=0 f=5000 d=0\n");
}

Test(slicer, filtered_transactions_before_a_large_one_go_before_its_pieces)
{
    slicer_run_init(&run, "batch: {max_rows: 2}");
    events_transaction(&run.events, "x", 1, 1, 1);
    events_transaction(&run.events, "t", 3, 1, 5);
    feed();
    cr_expect_str_eq(slicer_run_close(&run), "1 IDLE t=0 r=0 f=1 d=0\n"
                                             "2 ROWS t=1 r=2 f=0 d=0 unfinished\n"
                                             "3 ROWS t=1 r=1 f=0 d=0 continues\n");
}

Test(slicer, a_non_transactional_group_ends_with_commit)
{
    slicer_run_init(&run, "");
    events_gtid(&run.events, 0);
    events_table(&run.events, 7, "t", 15);
    events_insert(&run.events, 7, 1, 1);
    events_query(&run.events, "shop", "COMMIT");
    feed();
    cr_expect_str_eq(slicer_run_close(&run), "1 ROWS t=1 r=1 f=0 d=0\n");
}

Test(slicer, an_unfinished_transaction_is_not_closed)
{
    slicer_run_init(&run, "");
    events_transaction(&run.events, "t", 1, 1, 1);
    events_gtid(&run.events, 0);
    events_table(&run.events, 7, "t", 15);
    events_insert(&run.events, 7, 1, 2);
    feed();
    cr_expect_str_eq(slicer_run_close(&run), "1 ROWS t=1 r=1 f=0 d=0\n");
    cr_expect(strstr(run.position, ";0-1-1"), "%s", run.position);
    events_xid(&run.events);
    feed();
    cr_expect_str_eq(slicer_run_close(&run), "2 ROWS t=1 r=1 f=0 d=0\n");
}

Test(slicer, compressed_rows_travel_decompressed)
{
    slicer_run_init(&run, "");
    events_gtid(&run.events, 0);
    events_table(&run.events, 7, "t", 15);
    events_table(&run.events, 8, "x", 15);
    events_insert_compressed(&run.events, 7, 30, 1);
    events_insert_compressed(&run.events, 8, 30, 1);
    events_xid(&run.events);
    feed();
    cr_expect_str_eq(slicer_run_close(&run), "1 ROWS t=1 r=30 f=1 d=0\n");
    cr_expect(strncmp(slicer_run_ids(&run), "1 2 3 ", 6) == 0);
}

Test(slicer, a_new_file_moves_the_position_when_nothing_else_comes)
{
    slicer_run_init(&run, "");
    events_transaction(&run.events, "t", 1, 1, 1);
    feed();
    slicer_run_close(&run);
    events_rotate(&run.events, "binlog.000002");
    feed();
    cr_expect_eq(lutra_slicer_due_ms(run.slicer), 11000);
    cr_expect_str_eq(slicer_run_close(&run), "2 IDLE t=0 r=0 f=0 d=0\n");
    cr_expect_str_eq(run.position, "binlog.000002:4;0-1-1");
    events_transaction(&run.events, "t", 1, 1, 2);
    feed();
    cr_expect_str_eq(slicer_run_close(&run), "3 ROWS t=1 r=1 f=0 d=0\n");
    cr_expect(strncmp(run.position, "binlog.000002:", 14) == 0, "%s", run.position);
}

Test(slicer, a_batch_across_files_names_both)
{
    struct lutra_slice *slice;
    struct lutra_arena *arena = lutra_arena_new(0);
    slicer_run_init(&run, "");
    events_transaction(&run.events, "t", 1, 1, 1);
    events_rotate(&run.events, "binlog.000002");
    events_transaction(&run.events, "t", 1, 1, 2);
    feed();
    lutra_slicer_close(run.slicer);
    slice = lutra_slicer_take(run.slicer);
    Lutra__RawBatch *batch =
        lutra_wire_raw_batch(arena, slice->payload.data, slice->payload.len, &run.err);
    cr_assert(batch, "%s", run.err.msg);
    cr_assert_eq(batch->head->n_files, 2);
    cr_expect_str_eq(batch->head->files[batch->head->transactions[0]->file], "binlog.000001");
    cr_expect_str_eq(batch->head->files[batch->head->transactions[1]->file], "binlog.000002");
    cr_expect_str_eq(batch->head->transactions[1]->gtid, "0-1-2");
    cr_expect_eq(batch->head->transactions[1]->end_offset, run.events.offset);
    cr_expect_eq(batch->head->transactions[0]->commit_us, 1700000000000000);
    cr_expect_eq(batch->n_tables, 1, "one definition serves both");
    lutra_arena_free(arena);
    lutra_slice_free(slice);
}

Test(slicer, a_resolved_start_is_the_first_batch)
{
    struct lutra_position at;
    slicer_run_init_at(&run, "start: earliest", "");
    cr_assert_eq(lutra_position_parse(LUTRA_FLAVOR_MARIADB, "binlog.000001:4;0-1-7", &at, &run.err),
                 0);
    lutra_slicer_cut_start(run.slicer, &at);
    lutra_position_fini(&at);
    cr_expect_str_eq(slicer_run_cut(&run), "1 START t=0 r=0 f=0 d=0\n");
    cr_expect_str_eq(run.position, "binlog.000001:4;0-1-7");
    events_transaction(&run.events, "t", 1, 1, 1);
    feed();
    cr_expect_str_eq(slicer_run_close(&run), "2 ROWS t=1 r=1 f=0 d=0\n");
}

Test(slicer, after_a_dropped_stream_it_goes_on_behind_the_last_cut)
{
    struct slicer_run whole;
    slicer_run_init(&run, "");
    events_transaction(&run.events, "t", 1, 2, 1);
    feed();
    slicer_run_close(&run);
    size_t resume_item = run.events.n;
    uint64_t resume = run.events.offset;
    events_transaction(&run.events, "t", 1, 2, 10);
    events_gtid(&run.events, 0);
    events_table(&run.events, 7, "t", 15);
    events_insert(&run.events, 7, 1, 20);
    feed(); /* a whole one and a part of another are read, none of it is cut */
    cr_assert(lutra_slicer_reopen(run.slicer));
    cr_expect_eq(lutra_slicer_position(run.slicer)->offset, resume);
    cr_expect_str_eq(slicer_run_close(&run), "");
    events_xid(&run.events);
    struct events head;
    events_init(&head);
    head.offset = resume;
    events_stream_head(&head);
    for (size_t i = 2; i < head.n; i++) { /* the new stream's head */
        cr_assert_eq(
            lutra_slicer_feed(run.slicer, events_at(&head, i), head.items[i].len, 1, &run.err), 0,
            "%s", run.err.msg);
    }
    events_fini(&head);
    run.fed = resume_item;
    feed();
    cr_expect_str_eq(slicer_run_close(&run), "2 ROWS t=2 r=3 f=0 d=0\n");
    cr_expect_str_eq(slicer_run_ids(&run), "1 2 10 11 20 ");
    slicer_run_init(&whole, ""); /* the same as if nothing had happened */
    events_transaction(&whole.events, "t", 1, 2, 1);
    cr_assert_eq(slicer_run_feed(&whole), 0);
    slicer_run_close(&whole);
    events_transaction(&whole.events, "t", 1, 2, 10);
    events_gtid(&whole.events, 0);
    events_table(&whole.events, 7, "t", 15);
    events_insert(&whole.events, 7, 1, 20);
    events_xid(&whole.events);
    cr_assert_eq(slicer_run_feed(&whole), 0);
    slicer_run_close(&whole);
    cr_assert_eq(run.bytes.len, whole.bytes.len);
    cr_expect_eq(memcmp(run.bytes.data, whole.bytes.data, run.bytes.len), 0);
    slicer_run_fini(&whole);
}

Test(slicer, a_stream_that_drops_between_pieces_needs_a_new_epoch)
{
    slicer_run_init(&run, "batch: {max_rows: 1}");
    events_gtid(&run.events, 0);
    events_table(&run.events, 7, "t", 15);
    events_insert(&run.events, 7, 1, 1);
    events_insert(&run.events, 7, 1, 2);
    feed();
    cr_expect_str_eq(slicer_run_cut(&run), "1 ROWS t=1 r=1 f=0 d=0 unfinished\n");
    cr_expect_not(lutra_slicer_reopen(run.slicer));
}

Test(slicer, a_changed_definition_is_sent_with_the_first_batch_that_uses_it)
{
    struct lutra_slice *slice;
    struct lutra_arena *arena = lutra_arena_new(0);
    slicer_run_init(&run, "");
    events_gtid(&run.events, 0);
    events_table(&run.events, 7, "t", 15);
    events_insert(&run.events, 7, 1, 1);
    events_xid(&run.events);
    events_gtid(&run.events, 0);
    events_table(&run.events, 9, "t", 254); /* a new id and another type: altered meanwhile */
    events_insert(&run.events, 9, 1, 2);
    events_xid(&run.events);
    feed();
    lutra_slicer_close(run.slicer);
    slice = lutra_slicer_take(run.slicer);
    Lutra__RawBatch *batch =
        lutra_wire_raw_batch(arena, slice->payload.data, slice->payload.len, &run.err);
    cr_assert(batch, "%s", run.err.msg);
    cr_assert_eq(batch->n_tables, 2);
    cr_expect_eq(batch->tables[0]->columns[1]->type, 15);
    cr_expect_eq(batch->tables[1]->columns[1]->type, 254);
    cr_expect_eq(batch->rows[1]->table, 1);
    lutra_arena_free(arena);
    lutra_slice_free(slice);
}
