#include <criterion/criterion.h>
#include <stdio.h>

#include "coord/mirror.h"
#include "coord_test.h"

static struct lutra_loop *loop;
static struct lutra_mem_tree *tree;
static struct lutra_coord *coord;
static int calls;

static void setup(void)
{
    loop = lutra_loop_new_sim(7);
    tree = lutra_mem_tree_new(loop);
    coord = lutra_coord_mem_new(tree, SESSION_MS);
    calls = 0;
}

static void teardown(void)
{
    lutra_coord_free(coord);
    lutra_mem_tree_free(tree);
    lutra_loop_free(loop);
}

TestSuite(mirror, .init = setup, .fini = teardown);

static void on_change(void *arg)
{
    (void)arg;
    calls++;
}

static bool called(void *arg)
{
    return calls >= *(int *)arg;
}

static void await_calls(int n)
{
    cr_assert(lutra_loop_run_until(loop, called, &n, LONG_MS), "%d of %d calls", calls, n);
}

Test(mirror, a_node_appears_changes_and_vanishes)
{
    struct lutra_znode *znode = lutra_znode_new(coord, "/n", on_change, NULL);
    size_t len;

    cr_assert_not(lutra_znode_known(znode));
    cr_assert_str_eq(lutra_znode_data(znode, &len), "");
    await_calls(1);
    cr_assert(lutra_znode_known(znode));
    cr_assert_not(lutra_znode_exists(znode));
    cr_assert_eq(lutra_znode_version(znode), -1);
    lutra_mem_tree_poke(tree, "/n", "one");
    await_calls(2);
    cr_assert_str_eq(lutra_znode_data(znode, &len), "one");
    cr_assert_eq(len, 3);
    lutra_mem_tree_poke(tree, "/n", "two");
    await_calls(3);
    cr_assert_str_eq(lutra_znode_data(znode, &len), "two");
    cr_assert_eq(lutra_znode_version(znode), 1);
    lutra_mem_tree_poke(tree, "/n", NULL);
    await_calls(4);
    cr_assert_not(lutra_znode_exists(znode));
    cr_assert_str_eq(lutra_znode_data(znode, &len), "");
    lutra_znode_free(znode);
}

Test(mirror, many_changes_end_at_the_last_one)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct lutra_loop *l = lutra_loop_new_sim(seed);
        struct lutra_mem_tree *t = lutra_mem_tree_new(l);
        struct lutra_coord *c = lutra_coord_mem_new(t, SESSION_MS);
        struct lutra_znode *znode = lutra_znode_new(c, "/n", on_change, NULL);
        char text[16] = "";

        for (int i = 0; i < 40; i++) {
            (void)snprintf(text, sizeof(text), "%d", i);
            lutra_mem_tree_poke(t, "/n", text);
            if (i % 7 == 3) {
                lutra_coord_mem_partition(c, true);
            }
            if (i % 7 == 5) {
                lutra_coord_mem_partition(c, false);
            }
            if (i == 20) {
                lutra_coord_mem_expire(c);
            }
            lutra_loop_run_for(l, (uint64_t)(i % 3 == 0));
        }
        lutra_coord_mem_partition(c, false);
        lutra_loop_run_for(l, 100);
        cr_assert_str_eq(lutra_znode_data(znode, NULL), text, "seed %d", (int)seed);
        lutra_znode_free(znode);
        lutra_coord_free(c);
        lutra_mem_tree_free(t);
        lutra_loop_free(l);
    }
}

Test(mirror, keeps_the_value_while_disconnected_and_catches_up)
{
    struct lutra_znode *znode;

    lutra_mem_tree_poke(tree, "/n", "old");
    znode = lutra_znode_new(coord, "/n", on_change, NULL);
    await_calls(1);
    lutra_coord_mem_partition(coord, true);
    cr_assert(await_state(coord, LUTRA_COORD_SUSPENDED));
    lutra_mem_tree_poke(tree, "/n", "new");
    lutra_loop_run_for(loop, SESSION_MS * 3);
    cr_assert_eq(calls, 1);
    cr_assert_str_eq(lutra_znode_data(znode, NULL), "old");
    lutra_coord_mem_partition(coord, false);
    await_calls(2);
    cr_assert_str_eq(lutra_znode_data(znode, NULL), "new");
    lutra_coord_mem_expire(coord);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(calls, 2, "the same value read again is no change");
    lutra_mem_tree_poke(tree, "/n", "newer");
    await_calls(3);
    lutra_znode_free(znode);
}

Test(mirror, starts_while_the_server_is_down)
{
    struct lutra_znode *znode;

    lutra_mem_tree_set_down(tree, true);
    lutra_mem_tree_poke(tree, "/n", "x");
    znode = lutra_znode_new(coord, "/n", on_change, NULL);
    lutra_loop_run_for(loop, SESSION_MS * 5);
    cr_assert_not(lutra_znode_known(znode));
    lutra_mem_tree_set_down(tree, false);
    await_calls(1);
    cr_assert_str_eq(lutra_znode_data(znode, NULL), "x");
    lutra_znode_free(znode);
}

Test(mirror, children_follow_and_the_parent_may_be_absent)
{
    struct lutra_zchildren *children = lutra_zchildren_new(coord, "/p", on_change, NULL);
    const char *const *names;

    await_calls(1);
    cr_assert(lutra_zchildren_known(children));
    cr_assert_not(lutra_zchildren_exists(children));
    cr_assert_eq(lutra_zchildren_names(children, &names), 0);
    lutra_mem_tree_poke(tree, "/p/b", "");
    lutra_mem_tree_poke(tree, "/p/a", "");
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(lutra_zchildren_names(children, &names), 2);
    cr_assert_str_eq(names[0], "a");
    cr_assert_str_eq(names[1], "b");
    cr_assert_gt(lutra_zchildren_stat(children)->pzxid, lutra_zchildren_stat(children)->czxid);
    lutra_mem_tree_poke(tree, "/p", NULL);
    lutra_loop_run_for(loop, 100);
    cr_assert_not(lutra_zchildren_exists(children));
    cr_assert_eq(lutra_zchildren_names(children, &names), 0);
    lutra_zchildren_free(children);
}

static struct lutra_znode *victim;

static void free_victim(void *arg)
{
    (void)arg;
    calls++;
    lutra_znode_free(victim);
}

Test(mirror, may_be_freed_in_its_own_callback)
{
    victim = lutra_znode_new(coord, "/n", free_victim, NULL);
    await_calls(1);
    lutra_mem_tree_poke(tree, "/n", "x");
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(calls, 1);
}
