/* Two sites with a bus each: select, extract and transform at the one, load at the other. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "chaos.h"

#define SITES "    source_site: a\n    target_site: b\n"
#define TWO_SITES SITES "    target_bus: far\n"

static size_t messages(struct lutra_mem_broker *broker, const char *topic)
{
    size_t n = 0;
    for (int32_t partition = 0; partition < 4; partition++) {
        n += lutra_mem_broker_count(broker, topic, partition);
    }
    return n;
}

Test(world_buses, rows_cross_once_and_each_topic_lives_on_its_bus)
{
    struct world *w = world_new(1, TWO_SITES);
    world_start_all(w, false);
    world_run_load(w, 300, 5);
    world_settle(w, MINUTE_MS);
    world_check(w);
    struct world_node *select = world_node_of(w, "select-1");
    size_t published = (size_t)world_state_int(select, "published");
    cr_expect_eq(world_state_int(select, "republished"), 0);
    cr_expect_gt(published, 10);
    cr_expect_eq(messages(w->far, "lutra.p.load"), published);
    cr_expect_eq(messages(w->broker, "lutra.p.extract"), published);
    cr_expect_eq(messages(w->broker, "lutra.p.transform"), published);
    cr_expect_gt(messages(w->broker, "lutra.p.termin"), 0);
    cr_expect_eq(lutra_bus_partitions(select->bus, "lutra.p.load"), 0);
    cr_expect_eq(lutra_bus_partitions(select->far_bus, "lutra.p.load"), 1);
    cr_expect_eq(lutra_bus_partitions(select->far_bus, "lutra.p.extract"), 0);
    cr_expect_eq(lutra_bus_partitions(select->far_bus, "lutra.p.transform"), 0);
    cr_expect_eq(lutra_bus_partitions(select->far_bus, "lutra.p.termin"), 0);
    /* Offsets are committed where the topic is, so that lag shows there. */
    lutra_loop_run_for(w->loop, 3000);
    cr_expect_eq(lutra_mem_broker_committed(w->far, "lutra-load", "lutra.p.load", 0),
                 (int64_t)published);
    world_free(w);
}

static const struct lutra_mem_broker_faults down = {.down = true};
static const struct lutra_mem_broker_faults none;

Test(world_buses, a_bus_that_is_away_and_comes_back_costs_time_only)
{
    struct world *w = world_new(2, TWO_SITES "    window: 6\n");
    world_start_all(w, true);
    world_run_load(w, 50, 5);
    for (unsigned i = 0; i < 6; i++) {
        struct lutra_mem_broker *away = i % 2 == 0 ? w->far : w->broker;
        lutra_mem_broker_set_faults(away, &down);
        world_run_load(w, 50, 5);
        lutra_loop_run_for(w->loop, 1000 + world_random(w, 30000));
        cr_assert_not(world_caught_up(w), "rows flowed without a bus");
        lutra_mem_broker_set_faults(away, &none);
        world_settle(w, 10000);
        world_check(w);
    }
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i].stage == LUTRA_STAGE_SELECT) {
            cr_expect_leq(world_state_int(&w->nodes[i], "max_in_flight"), 6);
        }
    }
    world_free(w);
}

Test(world_buses, a_pipeline_starts_when_the_other_bus_comes)
{
    struct world *w = world_new(3, TWO_SITES);
    lutra_mem_broker_set_faults(w->far, &down);
    world_start_all(w, false);
    world_run_load(w, 50, 5);
    lutra_loop_run_for(w->loop, MINUTE_MS);
    cr_expect(world_state_is(world_node_of(w, "select-1"), "state", "TOPICS", true));
    lutra_mem_broker_set_faults(w->far, &none);
    world_settle(w, MINUTE_MS);
    world_check(w);
    world_free(w);
}

static void expect_blocked(struct world_node *node)
{
    cr_expect(world_state_is(node, "state", "BLOCKED", true), "%s", node->instance);
    cr_expect(world_state_is(node, "error_class", "config", true), "%s", node->instance);
    cr_expect(world_state_is(node, "last_error", "bus far is not configured", false), "%s",
              node->instance);
    cr_expect(world_state_is(node, "warning", "", true), "%s is perhaps not meant to have it",
              node->instance);
}

Test(world_buses, a_process_without_the_bus_says_so_and_leaves_it_to_others)
{
    struct world *w = world_new(4, TWO_SITES);
    struct world_node *without[] = {
        world_start_without_far(w, LUTRA_STAGE_SELECT, "select-0"),
        world_start_without_far(w, LUTRA_STAGE_TRANSFORM, "transform-0"),
        world_start_without_far(w, LUTRA_STAGE_LOAD, "load-0"),
    };
    struct world_node *extract = world_start_without_far(w, LUTRA_STAGE_EXTRACT, "extract-0");
    world_run_load(w, 20, 5);
    lutra_loop_run_for(w->loop, 10000);
    for (size_t i = 0; i < 3; i++) {
        expect_blocked(without[i]);
    }
    /* It works for the pipeline on the source's bus alone. */
    cr_expect_not(world_state_is(extract, "state", "BLOCKED", true));
    cr_expect_null(world_record(w, "select"));
    cr_expect_null(world_record(w, "load"));
    world_start_all(w, false);
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    world_check(w);
    for (size_t i = 0; i < 3; i++) {
        expect_blocked(without[i]);
    }
    world_free(w);
}

Test(world_buses, an_owner_that_lacks_the_new_bus_makes_room)
{
    struct world *w = world_new(5, SITES);
    struct world_node *without[] = {
        world_start_without_far(w, LUTRA_STAGE_SELECT, "select-0"),
        world_start_without_far(w, LUTRA_STAGE_EXTRACT, "extract-0"),
        world_start_without_far(w, LUTRA_STAGE_TRANSFORM, "transform-0"),
        world_start_without_far(w, LUTRA_STAGE_LOAD, "load-0"),
    };
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    world_start_all(w, false);
    world_run_load(w, 20, 5);
    world_define(w, SITES "    source_bus: far\n    target_bus: far\n");
    world_run_load(w, 50, 5);
    world_settle(w, 20000);
    world_check(w);
    for (size_t i = 0; i < 4; i++) {
        expect_blocked(without[i]);
    }
    cr_expect_gt(messages(w->far, "lutra.p.extract"), 0);
    /* And back to one that all of them have. */
    world_kill(world_node_of(w, "select-1"));
    world_kill(world_node_of(w, "load-1"));
    world_kill(world_node_of(w, "extract-1"));
    world_kill(world_node_of(w, "extract-2"));
    world_kill(world_node_of(w, "transform-1"));
    world_kill(world_node_of(w, "transform-2"));
    world_define(w, SITES);
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    world_check(w);
    for (size_t i = 0; i < 4; i++) {
        cr_expect_not(world_state_is(without[i], "state", "BLOCKED", true));
        cr_expect(world_state_is(without[i], "last_error", "", true));
    }
    world_free(w);
}

/* ---- a bus that cannot be opened for now ---- */

static void expect_short(struct world_node *node)
{
    cr_expect(world_state_is(node, "state", "BLOCKED", true), "%s", node->instance);
    cr_expect(world_state_is(node, "error_class", "retry", true), "%s", node->instance);
    cr_expect(world_state_is(node, "last_error", "tried again: bus far: no threads", false), "%s",
              node->instance);
    cr_expect(world_state_is(node, "warning", "tried again: bus far: no threads", false), "%s",
              node->instance);
}

Test(world_buses, a_bus_that_cannot_be_opened_for_now_is_tried_again_with_back_off)
{
    struct world *w = world_new(7, TWO_SITES);
    struct world_node *nodes[] = {
        world_start_short_for_far(w, LUTRA_STAGE_SELECT, "select-0"),
        world_start_short_for_far(w, LUTRA_STAGE_TRANSFORM, "transform-0"),
        world_start_short_for_far(w, LUTRA_STAGE_LOAD, "load-0"),
    };
    (void)world_start(w, LUTRA_STAGE_EXTRACT, "extract-0");
    world_run_load(w, 20, 5);
    lutra_loop_run_for(w->loop, 10 * MINUTE_MS);
    for (size_t i = 0; i < 3; i++) {
        expect_short(nodes[i]);
        cr_expect_geq(nodes[i]->far_tries, 10, "%s", nodes[i]->instance);
        cr_expect_leq(nodes[i]->far_tries, 30, "%s: %u tries in ten minutes", nodes[i]->instance,
                      nodes[i]->far_tries);
        nodes[i]->short_for_far = false;
    }
    /* Nobody changes anything. */
    world_settle(w, 3 * MINUTE_MS);
    world_check(w);
    for (size_t i = 0; i < 3; i++) {
        cr_expect_not(world_state_is(nodes[i], "state", "BLOCKED", true));
        cr_expect(world_state_is(nodes[i], "last_error", "", true), "%s", nodes[i]->instance);
    }
    world_free(w);
}

Test(world_buses, an_owner_that_cannot_open_the_new_bus_makes_room_and_is_there_again_later)
{
    struct world *w = world_new(8, SITES);
    struct world_node *nodes[] = {
        world_start_short_for_far(w, LUTRA_STAGE_SELECT, "select-0"),
        world_start_short_for_far(w, LUTRA_STAGE_LOAD, "load-0"),
    };
    (void)world_start(w, LUTRA_STAGE_EXTRACT, "extract-0");
    (void)world_start(w, LUTRA_STAGE_TRANSFORM, "transform-0");
    world_run_load(w, 50, 5);
    world_settle(w, MINUTE_MS);
    struct world_node *select = world_start(w, LUTRA_STAGE_SELECT, "select-1");
    struct world_node *load = world_start(w, LUTRA_STAGE_LOAD, "load-1");
    lutra_loop_run_for(w->loop, 5000);
    cr_expect(world_state_true(nodes[0], "owner"));
    world_define(w, TWO_SITES);
    world_run_load(w, 50, 5);
    world_settle(w, 20000);
    for (size_t i = 0; i < 2; i++) {
        expect_short(nodes[i]);
        nodes[i]->short_for_far = false;
    }
    lutra_loop_run_for(w->loop, 2 * MINUTE_MS);
    world_kill(select);
    world_kill(load);
    world_run_load(w, 50, 5);
    world_settle(w, 30000);
    world_check(w);
    world_free(w);
}

/* ---- a definition that moves from bus to bus ---- */

static const char *const places[] = {
    SITES,
    TWO_SITES,
    SITES "    source_bus: far\n",
    SITES "    source_bus: far\n    target_bus: far\n",
};

Test(world_buses, another_bus_is_a_new_epoch_with_its_topics_there)
{
    struct world *w = world_new(6, places[0]);
    int64_t epoch = 0;
    world_start_all(w, true);
    for (unsigned i = 0; i < 24; i++) {
        size_t place = i < 4 ? i : (size_t)world_random(w, 4);
        bool far_source = place >= 2, far_target = place % 2 == 1;
        size_t at_source = messages(far_source ? w->far : w->broker, "lutra.p.transform");
        size_t at_target = messages(far_target ? w->far : w->broker, "lutra.p.load");
        world_define(w, places[place]);
        world_run_load(w, 30, 8);
        world_settle(w, 20000);
        world_check(w);
        cr_expect_gt(messages(far_source ? w->far : w->broker, "lutra.p.transform"), at_source);
        cr_expect_gt(messages(far_target ? w->far : w->broker, "lutra.p.load"), at_target);
        struct world_node *load = world_node_of(w, "load-1");
        if (!world_state_true(load, "owner")) {
            load = world_node_of(w, "load-2");
        }
        cr_expect_gt(world_state_int(load, "epoch"), epoch);
        epoch = world_state_int(load, "epoch");
    }
    world_free(w);
}

/* ---- chaos ---- */

static void chaos(uint64_t seed)
{
    char yaml[256];
    unsigned window = 1 + (unsigned)(seed % 9);
    (void)snprintf(yaml, sizeof yaml, "    window: %u\n    batch: {max_rows: %u}\n", window,
                   1 + (unsigned)(seed % 5));
    char *text = NULL;
    cr_assert_gt(asprintf(&text, "%s%s", TWO_SITES, yaml), 0);
    struct world *w = world_new(seed, text);
    free(text);
    world_start_all(w, seed % 2 == 0);
    for (unsigned round = 0; round < 12; round++) {
        world_run_load(w, 10, 12);
        world_harm(w);
        if (seed % 3 == 0 && world_random(w, 3) == 0) {
            cr_assert_gt(asprintf(&text, "%s%s", places[world_random(w, 4)], yaml), 0);
            world_define(w, text);
            free(text);
        }
        world_run_load(w, 10, 12);
        lutra_loop_run_for(w->loop, world_random(w, 4000));
        if (world_random(w, 3) == 0) {
            world_heal(w);
        }
    }
    world_heal(w);
    world_settle(w, 5 * MINUTE_MS);
    world_check(w);
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i].stage == LUTRA_STAGE_SELECT) {
            cr_assert_leq(world_state_int(&w->nodes[i], "max_in_flight"), window);
        }
    }
    world_free(w);
}

Test(world_buses, chaos_with_two_buses_from_many_seeds, .timeout = 280)
{
    const char *one = getenv("LUTRA_TEST_SEED");
    if (one != NULL) {
        chaos(strtoull(one, NULL, 10));
        return;
    }
    const char *many = getenv("LUTRA_TEST_SEEDS");
    uint64_t n = many != NULL ? strtoull(many, NULL, 10) : 100;
    for (uint64_t seed = 1; seed <= n; seed++) {
        (void)fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        chaos(seed);
    }
}
