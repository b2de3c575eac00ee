/* Ownership and registration: races, expiry, unknown results, orphans. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "coord/owner.h"
#include "coord_test.h"

enum { PROTECTION_MS = 1000 };
static char path[] = "/lutra/pipelines/p/load";

/* A process that contends. */
struct process {
    struct lutra_coord *coord;
    struct lutra_owner *owner;
    int owned, suspended, standby; /* calls */
};

static struct lutra_loop *loop;
static struct lutra_mem_tree *tree;
static struct process one, two;

static void on_owner(enum lutra_owner_state state, void *arg)
{
    struct process *process = arg;

    cr_assert_eq(state, lutra_owner_state_of(process->owner));
    cr_assert_eq(strlen(lutra_owner_session(process->owner)) == 0, state == LUTRA_OWNER_STANDBY);
    process->owned += state == LUTRA_OWNER_OWNED;
    process->suspended += state == LUTRA_OWNER_SUSPENDED;
    process->standby += state == LUTRA_OWNER_STANDBY;
}

static void contend(struct process *process, const char *instance)
{
    process->owned = process->suspended = process->standby = 0;
    process->owner =
        lutra_owner_new(process->coord, path, instance, PROTECTION_MS, on_owner, process);
}

static void begin(uint64_t seed)
{
    loop = lutra_loop_new_sim(seed);
    tree = lutra_mem_tree_new(loop);
    one = two = (struct process){0};
    one.coord = lutra_coord_mem_new(tree, SESSION_MS);
    two.coord = lutra_coord_mem_new(tree, SESSION_MS);
}

static void finish(void)
{
    lutra_owner_free(one.owner);
    lutra_owner_free(two.owner);
    lutra_coord_free(one.coord);
    lutra_coord_free(two.coord);
    lutra_mem_tree_free(tree);
    lutra_loop_free(loop);
}

static void setup(void)
{
    begin(3);
}

TestSuite(owner, .init = setup, .fini = finish);

static bool owns(void *arg)
{
    return lutra_owner_state_of(((struct process *)arg)->owner) == LUTRA_OWNER_OWNED;
}

static bool is_standby(void *arg)
{
    return lutra_owner_state_of(((struct process *)arg)->owner) == LUTRA_OWNER_STANDBY;
}

static bool is_suspended(void *arg)
{
    return lutra_owner_state_of(((struct process *)arg)->owner) == LUTRA_OWNER_SUSPENDED;
}

static uint64_t await(bool (*fn)(void *arg), struct process *process)
{
    uint64_t begin_ms = lutra_loop_now_ms(loop);

    cr_assert(lutra_loop_run_until(loop, fn, process, LONG_MS));
    return lutra_loop_now_ms(loop) - begin_ms;
}

static bool node_is_of(const struct process *process)
{
    const char *data = lutra_mem_tree_peek(tree, path);

    return data && strstr(data, lutra_owner_session(process->owner)) &&
           lutra_owner_session(process->owner)[0];
}

static bool node_absent(void *arg)
{
    (void)arg;
    return lutra_mem_tree_peek(tree, path) == NULL;
}

static bool node_there(void *arg)
{
    return !node_absent(arg);
}

Test(owner, of_two_exactly_one_owns_in_every_order)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        if (seed > 1) {
            finish();
            begin(seed);
        }
        contend(&one, "a");
        contend(&two, "b");
        lutra_loop_run_for(loop, 100);
        cr_assert_eq(owns(&one) + owns(&two), 1, "seed %d", (int)seed);
        cr_assert(node_is_of(owns(&one) ? &one : &two));
    }
}

Test(owner, a_standby_takes_over_after_the_protection_time)
{
    uint64_t ms;

    contend(&one, "a");
    await(owns, &one);
    contend(&two, "b");
    lutra_loop_run_for(loop, 100);
    cr_assert(is_standby(&two));
    lutra_owner_free(one.owner);
    one.owner = NULL;
    cr_assert(lutra_loop_run_until(loop, node_absent, NULL, 100), "free deletes the node");
    ms = await(owns, &two);
    cr_assert_geq(ms, PROTECTION_MS);
    cr_assert_lt(ms, PROTECTION_MS + 100);
}

Test(owner, a_killed_owner_is_replaced_when_its_session_has_expired)
{
    uint64_t ms;

    contend(&one, "a");
    await(owns, &one);
    contend(&two, "b");
    lutra_loop_run_for(loop, 100);
    lutra_coord_mem_kill(one.coord);
    ms = await(owns, &two);
    cr_assert_geq(ms, SESSION_MS + PROTECTION_MS);
    cr_assert_lt(ms, SESSION_MS + PROTECTION_MS + 100);
    cr_assert(node_is_of(&two));
}

Test(owner, a_short_disconnection_suspends_and_keeps_the_session)
{
    char session[64];

    contend(&one, "a");
    await(owns, &one);
    contend(&two, "b");
    lutra_loop_run_for(loop, 100);
    (void)snprintf(session, sizeof(session), "%s", lutra_owner_session(one.owner));
    lutra_coord_mem_partition(one.coord, true);
    await(is_suspended, &one);
    cr_assert_str_eq(lutra_owner_session(one.owner), session);
    lutra_loop_run_for(loop, SESSION_MS / 2);
    lutra_coord_mem_partition(one.coord, false);
    await(owns, &one);
    cr_assert_str_eq(lutra_owner_session(one.owner), session);
    cr_assert_eq(one.standby, 0);
    cr_assert_eq(two.owned, 0);
}

Test(owner, stays_suspended_while_disconnected_for_long_then_sees_the_other)
{
    contend(&one, "a");
    await(owns, &one);
    contend(&two, "b");
    lutra_loop_run_for(loop, 100);
    lutra_coord_mem_partition(one.coord, true);
    await(owns, &two);
    lutra_loop_run_for(loop, SESSION_MS * 5);
    cr_assert(is_suspended(&one));
    lutra_coord_mem_partition(one.coord, false);
    await(is_standby, &one);
    lutra_loop_run_for(loop, LONG_MS);
    cr_assert(is_standby(&one));
    cr_assert(owns(&two));
}

Test(owner, an_expired_owner_retakes_at_once_with_a_new_session)
{
    char session[64];
    uint64_t ms;

    contend(&one, "a");
    await(owns, &one);
    contend(&two, "b");
    lutra_loop_run_for(loop, 100);
    (void)snprintf(session, sizeof(session), "%s", lutra_owner_session(one.owner));
    lutra_coord_mem_expire(one.coord);
    await(is_standby, &one);
    ms = await(owns, &one);
    cr_assert_lt(ms, PROTECTION_MS);
    cr_assert_str_neq(lutra_owner_session(one.owner), session);
    lutra_loop_run_for(loop, LONG_MS);
    cr_assert_eq(two.owned, 0);
    cr_assert_eq(one.owned, 2);
}

Test(owner, a_silently_expired_owner_learns_it_when_it_hears_again)
{
    contend(&one, "a");
    await(owns, &one);
    contend(&two, "b");
    lutra_loop_run_for(loop, 100);
    lutra_coord_mem_expire_silently(one.coord);
    await(owns, &two);
    cr_assert(owns(&one), "two owners for a while: the fence is for that");
    lutra_coord_mem_partition(one.coord, false);
    await(is_standby, &one);
    cr_assert(owns(&two));
}

Test(owner, a_create_of_unknown_result_that_happened_is_recognised)
{
    char session[128];

    contend(&one, "a");
    cr_assert(lutra_loop_run_until(loop, node_there, NULL, LONG_MS));
    cr_assert_not(owns(&one));
    (void)snprintf(session, sizeof(session), "%s", lutra_mem_tree_peek(tree, path));
    lutra_coord_mem_partition(one.coord, true);
    lutra_loop_run_for(loop, 100);
    cr_assert_not(owns(&one));
    lutra_coord_mem_partition(one.coord, false);
    await(owns, &one);
    cr_assert_not_null(strstr(session, lutra_owner_session(one.owner)));
    cr_assert_eq(one.owned, 1);
}

Test(owner, a_create_of_unknown_result_whose_session_expired_is_not_ours)
{
    char session[128];

    contend(&one, "a");
    cr_assert(lutra_loop_run_until(loop, node_there, NULL, LONG_MS));
    (void)snprintf(session, sizeof(session), "%s", lutra_mem_tree_peek(tree, path));
    lutra_coord_mem_partition(one.coord, true);
    lutra_loop_run_for(loop, SESSION_MS + 100);
    lutra_coord_mem_partition(one.coord, false);
    await(owns, &one);
    cr_assert_null(strstr(session, lutra_owner_session(one.owner)));
    cr_assert(node_is_of(&one));
}

Test(owner, the_orphan_of_a_former_run_is_waited_out_and_retaken_before_others)
{
    uint64_t ms;

    contend(&one, "a");
    await(owns, &one);
    contend(&two, "b");
    lutra_loop_run_for(loop, 100);
    lutra_coord_mem_kill(one.coord);
    lutra_owner_free(one.owner);
    lutra_coord_free(one.coord);
    one.coord = lutra_coord_mem_new(tree, SESSION_MS);
    contend(&one, "a");
    lutra_loop_run_for(loop, SESSION_MS / 2);
    cr_assert(is_standby(&one), "same instance, other session: not ours");
    ms = await(owns, &one);
    cr_assert_lt(ms, SESSION_MS / 2 + PROTECTION_MS);
    lutra_loop_run_for(loop, LONG_MS);
    cr_assert_eq(two.owned, 0);
}

Test(owner, standing_down_lets_the_other_in_and_keeps_off)
{
    uint64_t ms;

    contend(&one, "a");
    await(owns, &one);
    contend(&two, "b");
    lutra_loop_run_for(loop, 100);
    lutra_owner_stand_down(one.owner, 5000);
    cr_assert(is_standby(&one));
    cr_assert_eq(one.standby, 0, "told in a later turn");
    lutra_loop_run_for(loop, 10);
    cr_assert_eq(one.standby, 1);
    ms = await(owns, &two);
    cr_assert_lt(ms, PROTECTION_MS + 100);
    lutra_loop_run_for(loop, LONG_MS);
    cr_assert(owns(&two));
    cr_assert_eq(one.owned, 1);
}

Test(owner, standing_down_alone_comes_back_after_the_time)
{
    char session[64];
    uint64_t ms;

    contend(&one, "a");
    await(owns, &one);
    (void)snprintf(session, sizeof(session), "%s", lutra_owner_session(one.owner));
    lutra_owner_stand_down(one.owner, 5000);
    ms = await(owns, &one);
    cr_assert_geq(ms, 5000);
    cr_assert_lt(ms, 5100);
    cr_assert_str_neq(lutra_owner_session(one.owner), session);
}

Test(owner, standing_down_while_disconnected_deletes_the_node_later)
{
    contend(&one, "a");
    await(owns, &one);
    lutra_coord_mem_partition(one.coord, true);
    await(is_suspended, &one);
    lutra_owner_stand_down(one.owner, LONG_MS);
    lutra_loop_run_for(loop, 100);
    cr_assert(node_there(NULL));
    lutra_coord_mem_partition(one.coord, false);
    cr_assert(lutra_loop_run_until(loop, node_absent, NULL, 1000));
}

Test(owner, freed_while_disconnected_leaves_no_orphan)
{
    contend(&one, "a");
    await(owns, &one);
    lutra_coord_mem_partition(one.coord, true);
    await(is_suspended, &one);
    lutra_owner_free(one.owner);
    one.owner = NULL;
    lutra_loop_run_for(loop, 100);
    lutra_coord_mem_partition(one.coord, false);
    cr_assert(lutra_loop_run_until(loop, node_absent, NULL, 1000));
}

Test(owner, freed_while_its_create_is_under_way_leaves_no_orphan)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        if (seed > 1) {
            finish();
            begin(seed);
        }
        cr_assert(await_state(one.coord, LUTRA_COORD_CONNECTED));
        contend(&one, "a");
        if (seed % 2) {
            cr_assert(lutra_loop_run_until(loop, node_there, NULL, LONG_MS));
        } else {
            for (uint64_t i = 0; i < seed / 2; i++) {
                lutra_loop_run_until(loop, node_there, NULL, 0);
            }
        }
        lutra_owner_free(one.owner);
        one.owner = NULL;
        lutra_loop_run_for(loop, 100);
        cr_assert(node_absent(NULL), "seed %d", (int)seed);
    }
}

Test(owner, freed_and_contending_again_at_once_owns_a_new_node)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        char session[64];

        if (seed > 1) {
            finish();
            begin(seed);
        }
        contend(&one, "a");
        await(owns, &one);
        (void)snprintf(session, sizeof(session), "%s", lutra_owner_session(one.owner));
        lutra_owner_free(one.owner);
        contend(&one, "a");
        await(owns, &one);
        lutra_loop_run_for(loop, 5000);
        cr_assert(owns(&one));
        cr_assert(node_is_of(&one), "seed %d", (int)seed);
        cr_assert_str_neq(lutra_owner_session(one.owner), session);
    }
}

Test(owner, a_node_deleted_by_hand_is_retaken)
{
    contend(&one, "a");
    await(owns, &one);
    lutra_mem_tree_poke(tree, path, NULL);
    lutra_loop_run_for(loop, 100);
    cr_assert(owns(&one));
    cr_assert(node_is_of(&one));
}

Test(owner, a_wiped_server_ends_ownership_and_a_new_one_is_taken)
{
    contend(&one, "a");
    await(owns, &one);
    lutra_mem_tree_restore(tree, NULL);
    await(is_standby, &one);
    await(owns, &one);
    cr_assert(node_is_of(&one));
}

Test(owner, ends_with_one_owner_after_any_sequence_of_faults)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        if (seed > 1) {
            finish();
            begin(seed);
        }
        contend(&one, "a");
        contend(&two, "b");
        for (int i = 0; i < 30; i++) {
            uint64_t draw = lutra_loop_random(loop);
            struct process *process = draw & 1 ? &one : &two;

            switch ((draw >> 1) % 7) {
            case 0:
                lutra_coord_mem_partition(process->coord, true);
                break;
            case 1:
            case 2:
                lutra_coord_mem_partition(process->coord, false);
                break;
            case 3:
                lutra_coord_mem_expire(process->coord);
                break;
            case 4:
                lutra_coord_mem_expire_silently(process->coord);
                break;
            case 5:
                lutra_owner_stand_down(process->owner, (draw >> 8) % 3000);
                break;
            default:
                lutra_mem_tree_set_down(tree, (draw >> 8) & 1);
                break;
            }
            lutra_loop_run_for(loop, (draw >> 16) % 1500);
        }
        lutra_mem_tree_set_down(tree, false);
        lutra_coord_mem_partition(one.coord, false);
        lutra_coord_mem_partition(two.coord, false);
        lutra_loop_run_for(loop, 10000);
        cr_assert_eq(owns(&one) + owns(&two), 1, "seed %d", (int)seed);
        cr_assert(node_is_of(owns(&one) ? &one : &two), "seed %d", (int)seed);
    }
}

static enum lutra_owner_state free_in;

static void free_on_state(enum lutra_owner_state state, void *arg)
{
    struct process *process = arg;

    if (state == free_in) {
        lutra_owner_free(process->owner);
        process->owner = NULL;
    }
}

static bool is_freed(void *arg)
{
    return ((struct process *)arg)->owner == NULL;
}

Test(owner, may_be_freed_in_any_of_its_callbacks)
{
    static const enum lutra_owner_state states[] = {LUTRA_OWNER_OWNED, LUTRA_OWNER_SUSPENDED,
                                                    LUTRA_OWNER_STANDBY};

    for (size_t i = 0; i < 3; i++) {
        free_in = states[i];
        one.owner = lutra_owner_new(one.coord, path, "a", PROTECTION_MS, free_on_state, &one);
        if (free_in != LUTRA_OWNER_OWNED) {
            await(owns, &one);
            lutra_coord_mem_partition(one.coord, true);
            lutra_loop_run_for(loop, free_in == LUTRA_OWNER_STANDBY ? SESSION_MS * 2 : 100);
            lutra_coord_mem_partition(one.coord, false);
        }
        cr_assert(lutra_loop_run_until(loop, is_freed, &one, LONG_MS));
        lutra_loop_run_for(loop, 1000);
        cr_assert(node_absent(NULL));
    }
    free_in = LUTRA_OWNER_STANDBY;
    one.owner = lutra_owner_new(one.coord, path, "a", PROTECTION_MS, free_on_state, &one);
    await(owns, &one);
    lutra_owner_stand_down(one.owner, 0);
    cr_assert(lutra_loop_run_until(loop, is_freed, &one, LONG_MS));
    lutra_loop_run_for(loop, 1000);
    cr_assert(node_absent(NULL));
}

/* --- registration --- */

static char reg_path[] = "/lutra/nodes/load/a";

static bool registered(void *arg)
{
    const char *data = lutra_mem_tree_peek(tree, reg_path);

    return data && strcmp(data, arg) == 0;
}

static bool unregistered(void *arg)
{
    (void)arg;
    return lutra_mem_tree_peek(tree, reg_path) == NULL;
}

Test(owner, a_registration_survives_expiry_and_takes_new_data)
{
    struct lutra_registration *reg = lutra_registration_new(one.coord, reg_path, "1");

    cr_assert(lutra_loop_run_until(loop, registered, "1", 1000));
    lutra_registration_set(reg, "2");
    cr_assert(lutra_loop_run_until(loop, registered, "2", 1000));
    lutra_coord_mem_expire(one.coord);
    cr_assert(unregistered(NULL));
    cr_assert(lutra_loop_run_until(loop, registered, "2", 1000));
    lutra_coord_mem_partition(one.coord, true);
    lutra_loop_run_for(loop, 10);
    lutra_registration_set(reg, "3");
    lutra_coord_mem_partition(one.coord, false);
    cr_assert(lutra_loop_run_until(loop, registered, "3", 1000));
    lutra_registration_free(reg);
    cr_assert(lutra_loop_run_until(loop, unregistered, NULL, 1000));
}

Test(owner, a_registration_waits_for_its_former_self_to_expire)
{
    struct lutra_registration *old = lutra_registration_new(one.coord, reg_path, "old"), *new;

    cr_assert(lutra_loop_run_until(loop, registered, "old", 1000));
    lutra_coord_mem_kill(one.coord);
    new = lutra_registration_new(two.coord, reg_path, "new");
    lutra_loop_run_for(loop, SESSION_MS / 2);
    cr_assert(registered("old"));
    cr_assert(lutra_loop_run_until(loop, registered, "new", SESSION_MS));
    lutra_registration_free(old);
    lutra_registration_free(new);
}
