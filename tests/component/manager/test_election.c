#include "fixture.h"

TestSuite(manager_election, .init = fixture_begin, .fini = fixture_end);

static size_t candidates(void)
{
    cr_assert_eq(fixture_call(fixture_await_leader(), "GET", "/v1/status", NULL), 200);
    return json_array_size(json_object_get(answer, "managers"));
}

Test(manager_election, exactly_one_of_three_leads_and_all_agree)
{
    char reason[256];
    int leader;

    for (int i = 0; i < 3; i++) {
        fixture_manager_start(i);
    }
    leader = fixture_await_leader();
    fixture_run(5000);
    cr_assert_eq(fixture_leader(), leader, "a leader stays");
    cr_assert_eq(candidates(), 3);
    for (int i = 0; i < 3; i++) {
        cr_assert(lutra_manager_ready(f.managers[i].manager, reason, sizeof(reason)), "%s", reason);
        cr_assert_eq(fixture_call(i, "GET", "/v1/status", NULL), 200);
        cr_assert_str_eq(fixture_text("leader"), f.managers[leader].instance);
    }
}

Test(manager_election, a_crashed_leader_is_followed_when_its_session_ends)
{
    int first, second;

    fixture_manager_start(0);
    first = fixture_await_leader();
    fixture_manager_start(1);
    fixture_run(2000);
    fixture_manager_crash(first);
    fixture_run(1000);
    cr_assert_eq(fixture_leader(), -1, "the session still lives");
    second = fixture_await_leader();
    cr_assert_neq(second, first);
    cr_assert_eq(candidates(), 1);
}

Test(manager_election, one_that_leaves_in_order_is_followed_at_once)
{
    fixture_manager_start(0);
    fixture_await_leader();
    fixture_manager_start(1);
    fixture_run(2000);
    fixture_manager_stop(0);
    fixture_run(200);
    cr_assert_eq(fixture_leader(), 1);
}

Test(manager_election, a_leader_that_is_cut_off_does_not_lead_and_comes_back_behind)
{
    fixture_manager_start(0);
    fixture_await_leader();
    fixture_manager_start(1);
    fixture_run(2000);
    lutra_coord_mem_partition(f.managers[0].coord, true);
    fixture_run(SESSION_MS + 3000);
    cr_assert_eq(fixture_leader(), 1);
    cr_assert_eq(fixture_call(0, "PUT", "/v1/channels/c", "x"), 503);
    lutra_coord_mem_partition(f.managers[0].coord, false);
    fixture_run(5000);
    cr_assert_eq(fixture_leader(), 1);
    cr_assert_eq(candidates(), 2);
}

Test(manager_election, an_expired_session_gives_a_new_candidate_not_two)
{
    fixture_manager_start(0);
    fixture_await_leader();
    for (int i = 0; i < 3; i++) {
        lutra_coord_mem_expire(f.managers[0].coord);
        fixture_run(3000);
        cr_assert_eq(candidates(), 1);
    }
}

Test(manager_election, without_zookeeper_nobody_leads_and_afterwards_somebody_does)
{
    char reason[256];

    fixture_manager_start(0);
    fixture_manager_start(1);
    fixture_await_leader();
    lutra_mem_tree_set_down(f.tree, true);
    fixture_run(2000);
    cr_assert_eq(fixture_leader(), -1);
    cr_assert_eq(fixture_call(0, "POST", "/v1/channels/c/start", NULL), 503);
    cr_assert_str_eq(fixture_text("error.class"), "retry");
    lutra_mem_tree_set_down(f.tree, false);
    fixture_await_leader();
    cr_assert(lutra_manager_ready(f.managers[0].manager, reason, sizeof(reason)), "%s", reason);
}
