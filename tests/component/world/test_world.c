/* The whole installation from one seed: what each fault does, then all of them together, many
 * times. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "chaos.h"

Test(world, everything_arrives_once)
{
    struct world *w = world_new(1, "");
    world_start_all(w, false);
    world_run_load(w, 300, 5);
    world_settle(w, MINUTE_MS);
    world_check(w);
    world_free(w);
}

Test(world, a_transaction_of_many_windows_is_one_target_transaction)
{
    for (unsigned window = 1; window <= 8; window += 7) {
        char yaml[128];
        (void)snprintf(yaml, sizeof yaml, "    window: %u\n    batch: {max_rows: 4}\n", window);
        struct world *w = world_new(window, yaml);
        world_start_all(w, false);
        world_transaction(w, 1);
        world_settle(w, MINUTE_MS);
        world_begin(w);
        for (unsigned i = 0; i < window * 40; i++) {
            world_put(w, i % WORLD_KEYS, i);
        }
        world_commit(w);
        world_settle(w, 5 * MINUTE_MS);
        world_check(w);
        cr_assert_geq(lutra_mem_db_largest_unit_rows(w->db), window * 40, "it was torn");
        cr_assert_leq(world_state_int(world_node_of(w, "select-1"), "max_in_flight"), window);
        world_free(w);
    }
}

Test(world, lost_and_late_answers_change_nothing)
{
    struct world *w = world_new(3, "");
    struct lutra_mem_broker_faults faults = {
        .delay_min_ms = 1, .delay_max_ms = 30, .duplicate_percent = 10, .lose_ack_percent = 10};
    lutra_mem_broker_set_faults(w->broker, &faults);
    world_start_all(w, false);
    world_run_load(w, 200, 5);
    for (unsigned i = 0; i < 10; i++) {
        struct lutra_mem_db_faults db = {
            .lose_commit_reply = i % 2, .lose_commit = (i + 1) % 2, .fail_apply = i % 3};
        lutra_mem_db_set_faults(w->db, &db);
        world_run_load(w, 20, 5);
    }
    world_settle(w, 5 * MINUTE_MS);
    world_check(w);
    world_free(w);
}

Test(world, every_node_may_die)
{
    struct world *w = world_new(4, "");
    world_start_all(w, false);
    for (size_t i = 0; i < w->n; i++) {
        world_run_load(w, 30, 5);
        world_kill(&w->nodes[i]);
        world_run_load(w, 30, 5);
        world_restart(&w->nodes[i]);
        world_settle(w, 2 * MINUTE_MS);
        world_check(w);
    }
    world_free(w);
}

Test(world, standbys_take_over_in_seconds)
{
    struct world *w = world_new(5, "");
    world_start_all(w, true);
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    struct world_node *pairs[2][2] = {{world_node_of(w, "load-1"), world_node_of(w, "load-2")},
                                      {world_node_of(w, "select-1"), world_node_of(w, "select-2")}};
    for (unsigned i = 0; i < 2; i++) {
        bool first = world_state_true(pairs[i][0], "owner");
        world_kill(pairs[i][first ? 0 : 1]);
        world_run_load(w, 20, 5);
        world_settle(w, 10000);
        world_check(w);
    }
    world_free(w);
}

Test(world, a_loader_whose_session_expired_unnoticed_is_refused)
{
    struct world *w = world_new(6, "");
    world_start_all(w, true);
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    struct world_node *load = world_node_of(w, "load-1");
    if (!world_state_true(load, "owner")) {
        load = world_node_of(w, "load-2");
    }
    lutra_coord_mem_expire_silently(load->env.coord);
    lutra_target_mem_freeze(load->target, true);
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    lutra_target_mem_freeze(load->target, false);
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    cr_assert_geq(world_state_int(load, "fenced"), 1, "it knows that it was refused");
    lutra_coord_mem_partition(load->env.coord, false);
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    world_check(w);
    world_free(w);
}

/* The hardest moment for a fence: nothing was written under the new one yet, so the slots look to
 * the zombie as it left them. */
Test(world, a_zombie_before_the_first_unit_of_its_successor_is_refused)
{
    struct world *w = world_new(12, "");
    world_start_all(w, false);
    world_run_load(w, 20, 5);
    world_settle(w, MINUTE_MS);
    struct world_node *zombie = world_node_of(w, "load-1");
    world_freeze(zombie);
    size_t commits = lutra_mem_db_commits(w->db);
    world_run_load(w, 5, 5); /* waits in its queue */
    world_kill(world_node_of(w, "select-1"));
    uint64_t epoch = lutra_mem_db_epoch(w->db, WORLD_PIPELINE);
    (void)world_start(w, LUTRA_STAGE_LOAD, "load-2");
    lutra_loop_run_for(w->loop, 4000);
    cr_assert_gt(lutra_mem_db_epoch(w->db, WORLD_PIPELINE), epoch, "the successor made its fence");
    cr_assert_eq(lutra_mem_db_commits(w->db), commits);
    world_thaw(zombie);
    lutra_loop_run_for(w->loop, 1000);
    cr_assert_geq(world_state_int(zombie, "fenced"), 1);
    lutra_coord_mem_partition(zombie->env.coord, false);
    world_restart(world_node_of(w, "select-1"));
    world_settle(w, MINUTE_MS);
    world_check(w);
    world_free(w);
}

Test(world, a_select_whose_session_ended_reads_nothing_more)
{
    struct world *w = world_new(13, "");
    world_start_all(w, true);
    world_run_load(w, 20, 5);
    world_settle(w, MINUTE_MS);
    struct world_node *former = world_node_of(w, "select-1");
    if (!world_state_true(former, "owner")) {
        former = world_node_of(w, "select-2");
    }
    lutra_coord_mem_partition(former->env.coord, true);
    lutra_loop_run_for(w->loop, 10000);
    lutra_coord_mem_partition(former->env.coord, false);
    lutra_loop_run_for(w->loop, 5000);
    cr_assert_not(world_state_true(former, "owner"));
    int64_t published = world_state_int(former, "published");
    world_run_load(w, 20, 5);
    world_settle(w, MINUTE_MS);
    cr_assert_eq(world_state_int(former, "published"), published);
    /* Nor does it take the dump away from its successor. */
    json_t *state = world_state(former);
    cr_assert_str_eq(json_string_value(json_object_get(state, "state")), "STANDBY");
    json_decref(state);
    world_check(w);
    world_free(w);
}

/* ZooKeeper knows a higher epoch than the target: never written over, never used by two. */
Test(world, an_origin_that_is_newer_is_outbid_and_not_overwritten)
{
    struct world *w = world_new(14, "");
    world_start_all(w, false);
    world_run_load(w, 20, 5);
    world_settle(w, MINUTE_MS);
    world_kill(world_node_of(w, "select-1"));
    world_kill(world_node_of(w, "load-1"));
    lutra_loop_run_for(w->loop, 4000);
    world_restart(world_node_of(w, "load-1"));
    lutra_loop_run_for(w->loop, 4000);
    /* Its epoch is made, and waits for a select owner to be published. */
    uint64_t epoch = lutra_mem_db_epoch(w->db, WORLD_PIPELINE) + 10;
    struct lutra_buf origin = {0};
    lutra_buf_printf(&origin,
                     "{\"epoch\":%llu,\"nonce\":\"feedfeedfeedfeed\",\"process_id\":1,"
                     "\"position\":\"\",\"config_version\":1,\"select_session\":\"x\","
                     "\"source_identity\":\"\",\"by\":\"test\",\"at_ms\":1}",
                     (unsigned long long)epoch);
    lutra_mem_tree_poke(w->tree, "/lutra/pipelines/" WORLD_PIPELINE "/origin",
                        lutra_buf_cstr(&origin));
    lutra_buf_fini(&origin);
    lutra_loop_run_for(w->loop, 100);
    world_restart(world_node_of(w, "select-1"));
    world_run_load(w, 20, 5);
    world_settle(w, MINUTE_MS);
    world_check(w);
    cr_assert_gt(lutra_mem_db_epoch(w->db, WORLD_PIPELINE), epoch);
    world_free(w);
}

Test(world, rollback_and_restart_begin_a_new_epoch)
{
    struct world *w = world_new(7, "");
    world_start_all(w, false);
    for (unsigned i = 0; i < 6; i++) {
        world_run_load(w, 30, 5);
        if (world_record(w, "origin") != NULL) {
            world_request(w, i % 2 == 0);
        }
        world_run_load(w, 30, 5);
        world_request(w, true);
        world_settle(w, MINUTE_MS);
        world_check(w);
    }
    world_free(w);
}

Test(world, zookeeper_restored_from_an_old_snapshot)
{
    struct world *w = world_new(8, "");
    world_start_all(w, true);
    world_run_load(w, 30, 5);
    world_settle(w, MINUTE_MS);
    struct lutra_mem_tree *old = lutra_mem_tree_snapshot(w->tree);
    for (unsigned i = 0; i < 5; i++) {
        world_request(w, true);
        world_run_load(w, 20, 5);
        world_settle(w, MINUTE_MS);
    }
    world_restore_zookeeper(w, old);
    world_run_load(w, 50, 5);
    world_settle(w, 2 * MINUTE_MS);
    world_check(w);
    lutra_mem_tree_free(old);
    world_free(w);
}

Test(world, pause_drains_and_start_goes_on)
{
    struct world *w = world_new(9, "");
    world_start_all(w, false);
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    world_desire(w, "PAUSE");
    lutra_loop_run_for(w->loop, 3000);
    size_t commits = lutra_mem_db_commits(w->db);
    uint64_t reached = w->file.bytes.len;
    world_run_load(w, 50, 5);
    lutra_loop_run_for(w->loop, 3000);
    cr_assert_gt(w->file.bytes.len, reached);
    cr_assert_not(world_caught_up(w), "rows flowed in PAUSE");
    cr_assert_leq(lutra_mem_db_commits(w->db), commits + 5, "only touches in PAUSE");
    world_desire(w, "START");
    world_settle(w, MINUTE_MS);
    world_desire(w, "STOP");
    lutra_loop_run_for(w->loop, 40000);
    cr_assert_null(world_record(w, "load"), "owners are given up in STOP");
    cr_assert_null(world_record(w, "select"));
    world_run_load(w, 50, 5);
    world_desire(w, "START");
    world_settle(w, MINUTE_MS);
    world_check(w);
    world_free(w);
}

static bool large_is_there(void *arg)
{
    struct world *w = arg;
    return lutra_mem_db_rows(w->db, "shop", "bag") == w->bag_rows;
}

Test(world, pause_lets_a_transaction_that_is_half_published_finish)
{
    struct world *w = world_new(10, "    window: 2\n    batch: {max_rows: 2}\n");
    struct lutra_mem_broker_faults slow = {.delay_min_ms = 5, .delay_max_ms = 10};
    lutra_mem_broker_set_faults(w->broker, &slow);
    world_start_all(w, false);
    world_transaction(w, 1);
    world_settle(w, MINUTE_MS);
    world_begin(w);
    for (unsigned i = 0; i < 100; i++) {
        world_bag(w, 2);
    }
    world_commit(w);
    int64_t before = world_state_int(world_node_of(w, "select-1"), "published");
    while (world_state_int(world_node_of(w, "select-1"), "published") < before + 5) {
        lutra_loop_run_for(w->loop, 1);
    }
    world_desire(w, "PAUSE");
    cr_assert(lutra_loop_run_until(w->loop, large_is_there, w, MINUTE_MS),
              "the target's locks are held until START");
    world_desire(w, "START");
    world_settle(w, MINUTE_MS);
    world_check(w);
    world_free(w);
}

/* ---- chaos ---- */

static void chaos(uint64_t seed)
{
    char yaml[160];
    struct world *w = world_new(seed, "");
    world_free(w);
    unsigned window = 1 + (unsigned)(seed % 9);
    (void)snprintf(yaml, sizeof yaml,
                   "    window: %u\n    batch: {max_rows: %u}\n    unit: {max_rows: %u}\n", window,
                   1 + (unsigned)(seed % 5), 1 + (unsigned)(seed % 30));
    w = world_new(seed, yaml);
    world_start_all(w, seed % 2 == 0);
    for (unsigned round = 0; round < 12; round++) {
        world_run_load(w, 10, 12);
        world_harm(w);
        world_run_load(w, 10, 12);
        lutra_loop_run_for(w->loop, world_random(w, 4000));
        if (world_random(w, 3) == 0) {
            world_heal(w);
        }
    }
    world_heal(w);
    /* A ROLLBACK of the worst minute waits at most a minute for its retry. */
    world_settle(w, 5 * MINUTE_MS);
    world_check(w);
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i].stage == LUTRA_STAGE_SELECT) {
            cr_assert_leq(world_state_int(&w->nodes[i], "max_in_flight"), window);
        }
    }
    world_free(w);
}

Test(world, chaos_from_many_seeds, .timeout = 280)
{
    const char *one = getenv("LUTRA_TEST_SEED");
    if (one != NULL) {
        chaos(strtoull(one, NULL, 10));
        return;
    }
    const char *many = getenv("LUTRA_TEST_SEEDS");
    uint64_t n = many != NULL ? strtoull(many, NULL, 10) : 150;
    for (uint64_t seed = 1; seed <= n; seed++) {
        (void)fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        chaos(seed);
    }
}
