/* Media groups in one process: the target fails over to a replica that lacks the last moments, is
 * followed, and is left alone when nobody can say which member is right. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "base/mem.h"
#include "world.h"

#define MINUTE_MS 60000u
#define RECORD "/lutra/media/c.t"

static struct world *group_world(uint64_t seed, const char *follow)
{
    static char yaml[256];
    struct world *w = world_new(seed, "");
    (void)snprintf(yaml, sizeof yaml,
                   "{type: mariadb, user: u, members: {a: {host: a}, b: {host: b}, c: {host: c}},"
                   " primary: a, follow: %s}",
                   follow);
    w->target_yaml = yaml;
    w->member_a = w->db;
    world_audit_leave_target(w->audit);
    w->views[0] = (struct lutra_member_view){.name = "a", .reachable = true, .fits = true};
    w->views[1] = (struct lutra_member_view){
        .name = "b", .reachable = true, .read_only = true, .replicates = true};
    w->views[2] = (struct lutra_member_view){.name = "c"};
    world_define(w, "");
    return w;
}

static void flow(struct world *w, unsigned transactions)
{
    for (unsigned i = 0; i < transactions; i++) {
        world_transaction(w, 5);
        lutra_loop_run_for(w->loop, world_random(w, 30));
    }
}

static void set_down(struct lutra_mem_db *db)
{
    lutra_mem_db_set_faults(db, &(struct lutra_mem_db_faults){.down = true});
}

static uint64_t origin_epoch(struct world *w)
{
    json_t *origin = json_loads(world_record(w, "origin"), 0, NULL);
    uint64_t epoch = (uint64_t)json_integer_value(json_object_get(origin, "epoch"));
    json_decref(origin);
    return epoch;
}

/* b as it was some moments ago is the target from now on. */
static void fail_over(struct world *w)
{
    flow(w, (unsigned)world_random(w, 20));
    w->member_b = lutra_mem_db_backup(w->db);
    flow(w, (unsigned)world_random(w, 20));
}

Test(world_media, a_target_fails_over_to_a_replica_that_lacks_the_last_moments)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct world *w = group_world(seed, "manual");
        world_start_all(w, seed % 2);
        flow(w, 20);
        world_settle(w, MINUTE_MS);
        uint64_t epoch = origin_epoch(w);
        fail_over(w);
        if (seed % 3) { /* else it lives on, and nobody writes to it any more */
            set_down(w->member_a);
        }
        size_t commits = lutra_mem_db_commits(w->member_a);
        lutra_mem_tree_poke(w->tree, RECORD, "{\"primary\":\"b\",\"by\":\"test\",\"at_ms\":1}");
        w->db = w->member_b;
        flow(w, 20);
        world_settle(w, 2 * MINUTE_MS);
        world_check(w);
        cr_assert_leq(lutra_mem_db_commits(w->member_a), commits + 1, "seed %lu: the former target",
                      seed);
        cr_assert_gt(origin_epoch(w), epoch);
        cr_assert(strstr(world_record(w, "origin"), "\"target_member\": \"b\"") ||
                      strstr(world_record(w, "origin"), "\"target_member\":\"b\""),
                  "%s", world_record(w, "origin"));
        world_free(w);
    }
}

Test(world_media, a_promoted_replica_is_followed_and_a_rollback_in_the_way_is_lifted)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct world *w = group_world(seed, "auto");
        world_start_all(w, false);
        flow(w, 20);
        fail_over(w);
        set_down(w->member_a);
        w->views[0].reachable = false;
        /* Nobody is promoted for a while: load asks for ROLLBACKs, nothing is switched. */
        lutra_loop_run_for(w->loop, 5000 + 5000 * (seed % 4));
        cr_assert_null(lutra_mem_tree_peek(w->tree, RECORD));
        w->views[1] = (struct lutra_member_view){.name = "b", .reachable = true, .fits = true};
        w->db = w->member_b;
        world_settle(w, 20000);
        world_check(w);
        const char *record = lutra_mem_tree_peek(w->tree, RECORD);
        cr_assert(record && strstr(record, "\"b\"") && strstr(record, "(auto)"), "%s", record);
        world_free(w);
    }
}

Test(world_media, a_split_brain_is_told_and_nothing_is_switched)
{
    struct world *w = group_world(5, "auto");
    struct world_node *load;
    world_start_all(w, false);
    flow(w, 20);
    world_settle(w, MINUTE_MS);
    set_down(w->member_a);
    w->views[0].reachable = false;
    w->views[1] = (struct lutra_member_view){.name = "b", .reachable = true, .fits = true};
    w->views[2] = (struct lutra_member_view){.name = "c", .reachable = true, .fits = true};
    lutra_loop_run_for(w->loop, MINUTE_MS);
    cr_assert_null(lutra_mem_tree_peek(w->tree, RECORD));
    for (load = w->nodes; load->stage != LUTRA_STAGE_LOAD; load++) {
    }
    json_t *state = world_state(load);
    const char *note = json_string_value(json_object_get(state, "media_note"));
    cr_assert(note && strstr(note, "split brain"), "%s", note);
    json_decref(state);
    world_free(w);
}

/* In its first epoch, moments after its first commit, a pipeline is switched to an empty member. */
Test(world_media, an_empty_member_is_never_begun_with)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct world *w = group_world(seed, "manual");
        w->member_b = lutra_mem_db_backup(w->db);
        world_start_all(w, false);
        flow(w, 5);
        world_settle(w, MINUTE_MS);
        size_t commits = lutra_mem_db_commits(w->member_b);
        lutra_loop_run_for(w->loop, 400 * (seed % 4));
        lutra_mem_tree_poke(w->tree, RECORD, "{\"primary\":\"b\",\"by\":\"test\",\"at_ms\":1}");
        lutra_loop_run_for(w->loop, 20000);
        cr_assert(strstr(world_record(w, "control"), "has no checkpoint of this pipeline"), "%s",
                  world_record(w, "control"));
        cr_assert_eq(lutra_mem_db_commits(w->member_b), commits, "it was written to");
        lutra_mem_tree_poke(w->tree, RECORD, "{\"primary\":\"a\",\"by\":\"test\",\"at_ms\":2}");
        lutra_loop_run_for(w->loop, 1000);
        world_request(w, true);
        flow(w, 5);
        world_settle(w, MINUTE_MS);
        world_check(w);
        world_free(w);
    }
}
