/* The port itself, on the tree in memory: answers, watches, states, faults. */
#include <criterion/criterion.h>

#include "coord_test.h"

static struct lutra_loop *loop;
static struct lutra_mem_tree *tree;
static struct lutra_coord *one, *two;
static struct answer a, b;

static void setup(void)
{
    loop = lutra_loop_new_sim(1);
    tree = lutra_mem_tree_new(loop);
    one = lutra_coord_mem_new(tree, SESSION_MS);
    two = lutra_coord_mem_new(tree, SESSION_MS);
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
    cr_assert(await_state(two, LUTRA_COORD_CONNECTED));
}

static void teardown(void)
{
    lutra_coord_free(one);
    lutra_coord_free(two);
    lutra_mem_tree_free(tree);
    lutra_loop_free(loop);
}

TestSuite(coord, .init = setup, .fini = teardown);

Test(coord, creates_with_parents_reads_sets_and_deletes)
{
    cr_assert_eq(ASK(one, a, lutra_coord_create(one, "/a/b/c", "x", 1, 0, on_answer, &a)),
                 LUTRA_COORD_OK);
    cr_assert_str_eq(a.path, "/a/b/c");
    cr_assert_eq(ASK(two, b, lutra_coord_get(two, "/a/b/c", NULL, on_answer, &b)), LUTRA_COORD_OK);
    cr_assert_str_eq(b.data, "x");
    cr_assert_eq(b.stat.version, 0);
    cr_assert_eq(b.stat.ephemeral_owner, 0);
    cr_assert_eq(ASK(two, b, lutra_coord_set(two, "/a/b/c", "yy", 2, 0, on_answer, &b)),
                 LUTRA_COORD_OK);
    cr_assert_eq(b.stat.version, 1);
    cr_assert_eq(ASK(one, a, lutra_coord_set(one, "/a/b/c", "z", 1, 0, on_answer, &a)),
                 LUTRA_COORD_BAD_VERSION);
    cr_assert_str_eq(lutra_mem_tree_peek(tree, "/a/b/c"), "yy");
    cr_assert_eq(ASK(one, a, lutra_coord_create(one, "/a/b/c", "x", 1, 0, on_answer, &a)),
                 LUTRA_COORD_NODE_EXISTS);
    cr_assert_eq(ASK(one, a, lutra_coord_delete(one, "/a/b", -1, on_answer, &a)),
                 LUTRA_COORD_NOT_EMPTY);
    cr_assert_eq(ASK(one, a, lutra_coord_delete(one, "/a/b/c", 0, on_answer, &a)),
                 LUTRA_COORD_BAD_VERSION);
    cr_assert_eq(ASK(one, a, lutra_coord_delete(one, "/a/b/c", 1, on_answer, &a)), LUTRA_COORD_OK);
    cr_assert_eq(ASK(one, a, lutra_coord_get(one, "/a/b/c", NULL, on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
    cr_assert_eq(ASK(one, a, lutra_coord_set(one, "/a/b/c", "", 0, -1, on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
}

Test(coord, lists_children_sorted_and_numbers_sequential_ones)
{
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(
            ASK(one, a,
                lutra_coord_create(one, "/e/n-", "", 0,
                                   LUTRA_COORD_EPHEMERAL | LUTRA_COORD_SEQUENTIAL, on_answer, &a)),
            LUTRA_COORD_OK);
    }
    cr_assert_str_eq(a.path, "/e/n-0000000002");
    cr_assert_eq(ASK(two, b, lutra_coord_children(two, "/e", NULL, on_answer, &b)), LUTRA_COORD_OK);
    cr_assert_eq(b.n_children, 3);
    cr_assert_str_eq(b.children[0], "n-0000000000");
    cr_assert_str_eq(b.children[2], "n-0000000002");
    cr_assert_eq(ASK(two, b, lutra_coord_get(two, a.path, NULL, on_answer, &b)), LUTRA_COORD_OK);
    cr_assert_eq(b.stat.ephemeral_owner, lutra_coord_session_id(one));
}

Test(coord, deletes_a_subtree)
{
    static const char *const paths[] = {"/t/a/b/c", "/t/a/d", "/t/e", "/tx"};

    for (size_t i = 0; i < 4; i++) {
        lutra_mem_tree_poke(tree, paths[i], "1");
    }
    cr_assert_eq(ASK(one, a, lutra_coord_delete_tree(one, "/t", on_answer, &a)), LUTRA_COORD_OK);
    cr_assert_null(lutra_mem_tree_peek(tree, "/t"));
    cr_assert_null(lutra_mem_tree_peek(tree, "/t/a/b/c"));
    cr_assert_not_null(lutra_mem_tree_peek(tree, "/tx"));
    cr_assert_eq(ASK(one, a, lutra_coord_delete_tree(one, "/t", on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
}

Test(coord, refuses_what_is_too_large_in_a_later_turn)
{
    char *big = lutra_alloc(LUTRA_COORD_MAX_DATA + 2);

    a = (struct answer){0};
    lutra_coord_create(one, "/big", big, LUTRA_COORD_MAX_DATA + 1, 0, on_answer, &a);
    cr_assert_not(a.came);
    cr_assert(lutra_loop_run_until(loop, has_come, &a, LONG_MS));
    cr_assert_eq(a.rc, LUTRA_COORD_ERROR);
    cr_assert_null(lutra_mem_tree_peek(tree, "/big"));
    cr_assert_eq(
        ASK(one, a, lutra_coord_create(one, "/big", big, LUTRA_COORD_MAX_DATA, 0, on_answer, &a)),
        LUTRA_COORD_OK);
    lutra_free(big);
}

Test(coord, watches_fire_once_for_appearing_changing_and_vanishing)
{
    cr_assert_eq(ASK(one, a, lutra_coord_get(one, "/w", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
    lutra_mem_tree_poke(tree, "/w", "1");
    cr_assert(lutra_loop_run_until(loop, has_fired, &a, LONG_MS));
    lutra_mem_tree_poke(tree, "/w", "2");
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.watch_fired, 1);
    cr_assert_eq(ASK(one, a, lutra_coord_get(one, "/w", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_OK);
    cr_assert_str_eq(a.data, "2");
    lutra_mem_tree_poke(tree, "/w", "3");
    cr_assert(lutra_loop_run_until(loop, has_fired, &a, LONG_MS));
    cr_assert_eq(ASK(one, a, lutra_coord_get(one, "/w", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_OK);
    lutra_mem_tree_poke(tree, "/w", NULL);
    cr_assert(lutra_loop_run_until(loop, has_fired, &a, LONG_MS));
}

Test(coord, watches_on_children_see_children_and_not_data)
{
    lutra_mem_tree_poke(tree, "/p/x", "1");
    cr_assert_eq(ASK(one, a, lutra_coord_children(one, "/p", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_OK);
    lutra_mem_tree_poke(tree, "/p/x", "2");
    lutra_mem_tree_poke(tree, "/p", "2");
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.watch_fired, 0);
    lutra_mem_tree_poke(tree, "/p/y", "1");
    cr_assert(lutra_loop_run_until(loop, has_fired, &a, LONG_MS));
    cr_assert_eq(ASK(one, a, lutra_coord_children(one, "/q", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
    lutra_mem_tree_poke(tree, "/q", "");
    cr_assert(lutra_loop_run_until(loop, has_fired, &a, LONG_MS));
}

Test(coord, a_watch_fires_when_the_connection_is_back)
{
    cr_assert_eq(ASK(one, a, lutra_coord_get(one, "/w", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
    lutra_coord_mem_partition(one, true);
    cr_assert(await_state(one, LUTRA_COORD_SUSPENDED));
    lutra_loop_run_for(loop, 500);
    cr_assert_eq(a.watch_fired, 0);
    lutra_coord_mem_partition(one, false);
    cr_assert(lutra_loop_run_until(loop, has_fired, &a, LONG_MS));
    cr_assert_eq(lutra_coord_state_of(one), LUTRA_COORD_CONNECTED);
}

Test(coord, ephemeral_nodes_go_with_the_session_and_not_with_the_connection)
{
    int64_t session = lutra_coord_session_id(one);

    cr_assert_eq(
        ASK(one, a, lutra_coord_create(one, "/eph", "", 0, LUTRA_COORD_EPHEMERAL, on_answer, &a)),
        LUTRA_COORD_OK);
    lutra_coord_mem_partition(one, true);
    lutra_loop_run_for(loop, SESSION_MS - 100);
    lutra_coord_mem_partition(one, false);
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
    cr_assert_eq(lutra_coord_session_id(one), session);
    lutra_loop_run_for(loop, SESSION_MS * 2);
    cr_assert_not_null(lutra_mem_tree_peek(tree, "/eph"));

    lutra_coord_mem_partition(one, true);
    lutra_loop_run_for(loop, SESSION_MS + 100);
    cr_assert_null(lutra_mem_tree_peek(tree, "/eph"));
    cr_assert_eq(lutra_coord_state_of(one), LUTRA_COORD_SUSPENDED);
    lutra_coord_mem_partition(one, false);
    cr_assert(await_state(one, LUTRA_COORD_LOST));
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
    cr_assert_neq(lutra_coord_session_id(one), session);
}

Test(coord, no_session_expires_while_the_server_is_down)
{
    int64_t session = lutra_coord_session_id(one);

    lutra_mem_tree_set_down(tree, true);
    lutra_loop_run_for(loop, SESSION_MS * 10);
    lutra_mem_tree_set_down(tree, false);
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
    cr_assert_eq(lutra_coord_session_id(one), session);
}

Test(coord, requests_wait_for_the_connection_up_to_the_session_timeout)
{
    uint64_t begin_ms;

    lutra_mem_tree_set_down(tree, true);
    cr_assert(await_state(one, LUTRA_COORD_SUSPENDED));
    a = (struct answer){0};
    lutra_coord_create(one, "/late", "1", 1, 0, on_answer, &a);
    lutra_loop_run_for(loop, SESSION_MS / 2);
    cr_assert_not(a.came);
    lutra_mem_tree_set_down(tree, false);
    cr_assert(lutra_loop_run_until(loop, has_come, &a, LONG_MS));
    cr_assert_eq(a.rc, LUTRA_COORD_OK);

    lutra_mem_tree_set_down(tree, true);
    cr_assert(await_state(one, LUTRA_COORD_SUSPENDED));
    begin_ms = lutra_loop_now_ms(loop);
    cr_assert_eq(ASK(one, a, lutra_coord_get(one, "/late", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_UNKNOWN);
    cr_assert_eq(lutra_loop_now_ms(loop) - begin_ms, SESSION_MS);
    cr_assert_eq(a.watch_fired, 0);
    lutra_mem_tree_set_down(tree, false);
    cr_assert(lutra_loop_run_until(loop, has_fired, &a, LONG_MS), "a failed read is told again");
}

static bool is_made(void *arg)
{
    return lutra_mem_tree_peek(tree, arg) != NULL;
}

Test(coord, a_lost_answer_is_unknown_whether_carried_out_or_not)
{
    char path[] = "/maybe";

    a = (struct answer){0};
    lutra_coord_create(one, path, "1", 1, 0, on_answer, &a);
    cr_assert(lutra_loop_run_until(loop, is_made, path, LONG_MS));
    cr_assert_not(a.came);
    lutra_coord_mem_partition(one, true);
    cr_assert(lutra_loop_run_until(loop, has_come, &a, LONG_MS));
    cr_assert_eq(a.rc, LUTRA_COORD_UNKNOWN);
    cr_assert_not_null(lutra_mem_tree_peek(tree, path));

    lutra_coord_mem_partition(one, false);
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
    a = (struct answer){0};
    lutra_coord_create(one, "/not", "1", 1, 0, on_answer, &a);
    lutra_coord_mem_partition(one, true);
    cr_assert(lutra_loop_run_until(loop, has_come, &a, LONG_MS));
    cr_assert_eq(a.rc, LUTRA_COORD_UNKNOWN);
    cr_assert_null(lutra_mem_tree_peek(tree, "/not"));
}

Test(coord, a_silently_expired_client_is_deaf_until_the_partition_ends)
{
    cr_assert_eq(
        ASK(one, a, lutra_coord_create(one, "/eph", "", 0, LUTRA_COORD_EPHEMERAL, on_answer, &a)),
        LUTRA_COORD_OK);
    lutra_coord_mem_expire_silently(one);
    cr_assert_null(lutra_mem_tree_peek(tree, "/eph"));
    a = (struct answer){0};
    lutra_coord_get(one, "/eph", NULL, on_answer, &a);
    lutra_loop_run_for(loop, SESSION_MS * 5);
    cr_assert_not(a.came);
    cr_assert_eq(lutra_coord_state_of(one), LUTRA_COORD_CONNECTED);
    lutra_coord_mem_partition(one, false);
    cr_assert(await_state(one, LUTRA_COORD_LOST));
    cr_assert(a.came);
    cr_assert_eq(a.rc, LUTRA_COORD_UNKNOWN);
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
}

Test(coord, forgetting_and_freeing_call_nobody)
{
    cr_assert_eq(ASK(one, a, lutra_coord_get(one, "/w", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
    a = (struct answer){0};
    lutra_coord_create(one, "/x/y", "", 0, 0, on_answer, &a);
    lutra_coord_delete_tree(one, "/nothing", on_answer, &a);
    lutra_coord_forget(one, &a);
    lutra_mem_tree_poke(tree, "/w", "");
    lutra_loop_run_for(loop, 1000);
    cr_assert_not(a.came);
    cr_assert_eq(a.watch_fired, 0);
    cr_assert_not_null(lutra_mem_tree_peek(tree, "/x/y"), "forgotten, not undone");

    lutra_coord_get(two, "/w", on_answer_watch, on_answer, &a);
    lutra_coord_create(two, "/p/q", "", 0, 0, on_answer, &a);
    lutra_coord_free(two);
    two = lutra_coord_mem_new(tree, SESSION_MS);
    lutra_loop_run_for(loop, 1000);
    cr_assert_not(a.came);
}

static void count_states(enum lutra_coord_state state, void *arg)
{
    ((int *)arg)[state]++;
}

static void unlisten_self(enum lutra_coord_state state, void *arg)
{
    ((int *)arg)[state]++;
    lutra_coord_unlisten(one, arg);
}

Test(coord, listeners_hear_every_change_and_may_leave)
{
    int heard[3] = {0}, once[3] = {0};

    lutra_coord_listen(one, unlisten_self, once);
    lutra_coord_listen(one, count_states, heard);
    lutra_coord_mem_expire(one);
    cr_assert(await_state(one, LUTRA_COORD_LOST));
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
    cr_assert_eq(heard[LUTRA_COORD_LOST], 1);
    cr_assert_eq(heard[LUTRA_COORD_CONNECTED], 1);
    cr_assert_eq(once[LUTRA_COORD_LOST], 1);
    cr_assert_eq(once[LUTRA_COORD_CONNECTED], 0);
    lutra_coord_unlisten(one, heard);
    lutra_coord_mem_partition(one, true);
    cr_assert(await_state(one, LUTRA_COORD_SUSPENDED));
    cr_assert_eq(heard[LUTRA_COORD_SUSPENDED], 0);
}

Test(coord, a_restored_snapshot_ends_all_sessions)
{
    struct lutra_mem_tree *snapshot;
    int64_t session = lutra_coord_session_id(one);

    lutra_mem_tree_poke(tree, "/kept", "old");
    snapshot = lutra_mem_tree_snapshot(tree);
    lutra_mem_tree_poke(tree, "/kept", "new");
    lutra_mem_tree_poke(tree, "/later", "");
    cr_assert_eq(
        ASK(one, a, lutra_coord_create(one, "/eph", "", 0, LUTRA_COORD_EPHEMERAL, on_answer, &a)),
        LUTRA_COORD_OK);
    lutra_mem_tree_restore(tree, snapshot);
    lutra_mem_tree_free(snapshot);
    cr_assert(await_state(one, LUTRA_COORD_LOST));
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
    cr_assert_neq(lutra_coord_session_id(one), session);
    cr_assert_str_eq(lutra_mem_tree_peek(tree, "/kept"), "old");
    cr_assert_null(lutra_mem_tree_peek(tree, "/later"));
    cr_assert_null(lutra_mem_tree_peek(tree, "/eph"));
}
