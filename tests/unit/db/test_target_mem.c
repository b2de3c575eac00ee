#include <criterion/criterion.h>
#include <string.h>

#include "batches.h"
#include "db/target_mem.h"
#include "target_sync.h"

static struct lutra_loop *loop;
static struct lutra_mem_db *db;
static struct lutra_target *target;
static uint64_t fence;

static void set_up(void)
{
    loop = lutra_loop_new_sim(1);
    db = lutra_mem_db_new(loop);
    target = lutra_target_mem_new(db, "p");
    cr_assert_eq(sync_prepare(loop, target, NULL), LUTRA_OK);
    fence = sync_epoch(loop, target, 0, 0, NULL);
    cr_assert_eq(fence, 1);
}

static void tear_down(void)
{
    lutra_target_free(target);
    lutra_mem_db_free(db);
    lutra_loop_free(loop);
}

TestSuite(target_mem, .init = set_up, .fini = tear_down);

/* A batch on shop.t(id, v), keyed or not. */
static struct batch *small(uint64_t process_id, bool keyed)
{
    struct batch *b = batch_new(process_id);
    batch_table(b, "shop", keyed ? "t" : "log");
    batch_column(b, "id", LUTRA_KIND_INT, keyed);
    batch_column(b, "v", LUTRA_KIND_STRING, 0);
    return b;
}

static void
add(struct batch *b, Lutra__RowGroup__Op op, int64_t id, const char *v, int64_t id2, const char *v2)
{
    struct lutra_buf row = {0};
    lutra_values_put_int(&row, id);
    lutra_values_put_bytes(&row, v, strlen(v));
    if (op == UPDATE) {
        lutra_values_put_int(&row, id2);
        lutra_values_put_bytes(&row, v2, strlen(v2));
    }
    batch_row(b, 0, op, &row);
    lutra_buf_fini(&row);
}

static void expect_table(const char *name, const char *content)
{
    struct lutra_buf text = {0};
    lutra_mem_db_dump(db, "shop", name, &text);
    cr_expect_str_eq(lutra_buf_cstr(&text), content);
    lutra_buf_fini(&text);
}

Test(target_mem, rows_are_seen_after_the_commit_and_not_before)
{
    struct batch *b = small(1, true);
    add(b, INSERT, 1, "a", 0, NULL);
    add(b, INSERT, 2, "b", 0, NULL);
    add(b, UPDATE, 1, "a", 3, "c");
    add(b, DELETE, 2, "b", 0, NULL);
    add(b, INSERT, 2, "again", 0, NULL);
    unit_begin(target, fence, 1, 0);
    cr_assert_eq(sync_apply(loop, target, batch_get(b), NULL), LUTRA_OK);
    expect_table("t", "");
    cr_assert_eq(sync_commit(loop, target, "binlog.000001:100;", 7, NULL), LUTRA_OK);
    expect_table("t", "id=2 v='again'\nid=3 v='c'\n");
    cr_expect_str_eq(lutra_mem_db_history(db), "1 1 7 binlog.000001:100;\n");
    cr_expect_eq(lutra_mem_db_largest_unit_rows(db), 5);
    batch_free(b);
}

Test(target_mem, a_wrong_row_fails_the_whole_unit_and_is_named)
{
    struct batch *good = small(1, true), *bad = small(2, true);
    struct lutra_error err;
    add(good, INSERT, 1, "a", 0, NULL);
    cr_assert_eq(sync_unit(loop, target, fence, 1, 0, batch_get(good), NULL), LUTRA_OK);
    add(bad, INSERT, 5, "x", 0, NULL);
    add(bad, INSERT, 1, "dup", 0, NULL);
    unit_begin(target, fence, 2, 0);
    cr_expect_eq(sync_apply(loop, target, batch_get(bad), &err), LUTRA_DATA);
    cr_expect(strstr(err.msg, "shop.t") && strstr(err.msg, "id=1") && strstr(err.msg, "process 2"),
              "%s", err.msg);
    cr_expect_eq(sync_commit(loop, target, "binlog.000001:200;", 2, NULL), LUTRA_DATA);
    cr_expect_eq(sync_rollback(loop, target, NULL), LUTRA_OK);
    expect_table("t", "id=1 v='a'\n");

    struct batch *none = small(3, true);
    add(none, UPDATE, 9, "x", 9, "y");
    cr_expect_eq(sync_unit(loop, target, fence, 2, 0, batch_get(none), &err), LUTRA_DATA);
    struct batch *gone = small(4, true);
    add(gone, DELETE, 9, "x", 0, NULL);
    cr_expect_eq(sync_unit(loop, target, fence, 2, 0, batch_get(gone), &err), LUTRA_DATA);
    batch_free(good);
    batch_free(bad);
    batch_free(none);
    batch_free(gone);
}

Test(target_mem, without_a_key_one_of_equal_rows_is_changed)
{
    struct batch *b = small(1, false);
    add(b, INSERT, 1, "a", 0, NULL);
    add(b, INSERT, 1, "a", 0, NULL);
    add(b, INSERT, 1, "a", 0, NULL);
    add(b, UPDATE, 1, "a", 2, "b");
    add(b, DELETE, 1, "a", 0, NULL);
    cr_assert_eq(sync_unit(loop, target, fence, 1, 0, batch_get(b), NULL), LUTRA_OK);
    expect_table("log", "id=1 v='a'\nid=2 v='b'\n");
    batch_free(b);
}

Test(target_mem, a_lost_reply_is_resolved_both_ways)
{
    struct lutra_mem_db_faults faults = {.lose_commit_reply = 1};
    struct batch *b = small(1, true);
    add(b, INSERT, 1, "a", 0, NULL);
    lutra_mem_db_set_faults(db, &faults);
    cr_expect_eq(sync_unit(loop, target, fence, 1, 0, batch_get(b), NULL), LUTRA_OK);
    expect_table("t", "id=1 v='a'\n");

    faults = (struct lutra_mem_db_faults){.lose_commit = 1};
    lutra_mem_db_set_faults(db, &faults);
    struct batch *c = small(2, true);
    add(c, INSERT, 2, "b", 0, NULL);
    cr_expect_eq(sync_unit(loop, target, fence, 2, 0, batch_get(c), NULL), LUTRA_RETRY);
    expect_table("t", "id=1 v='a'\n");
    cr_expect_eq(sync_unit(loop, target, fence, 2, 0, batch_get(c), NULL), LUTRA_OK);
    expect_table("t", "id=1 v='a'\nid=2 v='b'\n");
    batch_free(b);
    batch_free(c);
}

Test(target_mem, a_frozen_owner_is_killed_and_fenced)
{
    struct lutra_target *other = lutra_target_mem_new(db, "p");
    struct batch *b = small(1, true);
    struct answer late = {0};
    add(b, INSERT, 1, "zombie", 0, NULL);
    unit_begin(target, fence, 1, 0);
    cr_assert_eq(sync_apply(loop, target, batch_get(b), NULL), LUTRA_OK);
    lutra_target_mem_freeze(target, true);
    struct lutra_unit_end end = {.to = "binlog.000001:9;", .process_id = 1, .source_identity = ""};
    lutra_target_commit(target, &end, answer_done, &late);

    cr_assert_eq(sync_prepare(loop, other, NULL), LUTRA_OK);
    uint64_t second = sync_epoch(loop, other, 0, 0, NULL);
    cr_expect_eq(second, fence + 1);
    lutra_target_mem_freeze(target, false);
    cr_assert(answer_wait(loop, &late, 60000));
    cr_expect_eq(late.err.class, LUTRA_RETRY); /* the connection is gone, nothing was committed */
    cr_expect_eq(sync_rollback(loop, target, NULL), LUTRA_OK);
    cr_expect_eq(sync_unit(loop, target, fence, 1, 0, batch_get(b), NULL), LUTRA_FENCED);
    expect_table("t", "");
    struct lutra_error err;
    cr_expect_eq(sync_epoch(loop, target, 0, fence, &err), 0);
    cr_expect_eq(err.class, LUTRA_FENCED);
    cr_expect_eq(sync_unit(loop, other, second, 1, 0, batch_get(b), NULL), LUTRA_OK);
    expect_table("t", "id=1 v='zombie'\n");
    lutra_target_free(other);
    batch_free(b);
}

Test(target_mem, fences_rise_above_the_control_record_and_the_slots)
{
    struct answer answer = {0};
    cr_expect_eq(sync_epoch(loop, target, 10, fence, NULL), 10);
    cr_expect_eq(sync_epoch(loop, target, 3, 10, NULL), 11);
    lutra_target_make_epoch(target, 12, 11, "feedfeedfeedfeed", (struct lutra_epoch_check){0},
                            answer_epoch, &answer);
    cr_assert(answer_wait(loop, &answer, 60000));
    cr_expect_eq(answer.fence, 12);
    cr_assert_eq(answer.ring.n, LUTRA_RING_SLOTS);
    for (size_t i = 0; i < answer.ring.n; i++) {
        cr_expect_eq(answer.ring.slots[i].slot, i);
        cr_expect_eq(answer.ring.slots[i].epoch, 12);
        cr_expect_str_eq(answer.ring.slots[i].nonce, "feedfeedfeedfeed");
    }
    answer_fini(&answer);
}

Test(target_mem, a_server_that_is_down_is_retried_and_close_drops_what_waits)
{
    struct lutra_mem_db_faults down = {.down = true}, up = {0};
    struct answer answer = {0};
    struct batch *b = small(1, true);
    add(b, INSERT, 1, "a", 0, NULL);
    unit_begin(target, fence, 1, 0);
    cr_assert_eq(sync_apply(loop, target, batch_get(b), NULL), LUTRA_OK);
    lutra_mem_db_set_faults(db, &down);
    cr_expect_eq(sync_commit(loop, target, "binlog.000001:9;", 1, NULL), LUTRA_RETRY);
    cr_expect_eq(sync_rollback(loop, target, NULL), LUTRA_RETRY);
    lutra_mem_db_set_faults(db, &up);
    cr_expect_eq(sync_rollback(loop, target, NULL), LUTRA_OK);
    cr_expect_eq(sync_unit(loop, target, fence, 1, 0, batch_get(b), NULL), LUTRA_OK);

    lutra_target_rollback(target, answer_done, &answer);
    lutra_target_close(target);
    lutra_loop_run_for(loop, 1000);
    cr_expect_not(answer.done);
    cr_expect_eq(sync_prepare(loop, target, NULL), LUTRA_OK);
    batch_free(b);
}

Test(target_mem, completions_come_in_order_with_delays)
{
    struct lutra_mem_db_faults slow = {.delay_min_ms = 1, .delay_max_ms = 50};
    struct answer answers[20] = {0};
    lutra_mem_db_set_faults(db, &slow);
    for (size_t i = 0; i < 20; i++) {
        lutra_target_rollback(target, answer_done, &answers[i]);
    }
    cr_assert(answer_wait(loop, &answers[19], 60000));
    for (size_t i = 1; i < 20; i++) {
        cr_expect_gt(answers[i].order, answers[i - 1].order);
    }
}
