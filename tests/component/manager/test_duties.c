#include "fixture.h"

static void begin(void)
{
    fixture_begin();
    fixture_manager_start(0);
    fixture_manager_start(1);
}

TestSuite(manager_duties, .init = begin, .fini = fixture_end);

static void rollback(unsigned after_ms)
{
    char body[128];

    snprintf(body, sizeof(body), "{\"by\":\"me\",\"reason\":\"why\",\"retry_after_ms\":%u}",
             after_ms);
    cr_assert_eq(fixture_call(fixture_leader(), "POST", "/v1/pipelines/orders/rollback", body), 200,
                 "%s", fixture_error());
}

Test(manager_duties, a_due_retry_is_carried_out_not_before)
{
    fixture_running("orders");
    rollback(10000);
    fixture_run(9000);
    cr_assert_str_eq(fixture_control("orders", "state"), "PAUSE");
    cr_assert_str_eq(fixture_state("orders"), "ROLLED_BACK");
    fixture_run(3000);
    cr_assert_str_eq(fixture_control("orders", "state"), "START");
    cr_assert_eq(fixture_control_epoch("orders"), 6, "the same epoch");
    cr_assert(strncmp(fixture_control("orders", "by"), "manager/", 8) == 0);
}

Test(manager_duties, a_retry_without_a_time_waits_for_an_operator)
{
    fixture_running("orders");
    rollback(0);
    fixture_run(600000);
    cr_assert_str_eq(fixture_control("orders", "state"), "PAUSE");
    cr_assert_eq(fixture_control_epoch("orders"), 6);
}

Test(manager_duties, a_retry_is_not_carried_out_against_the_operators_pause)
{
    fixture_running("orders");
    rollback(5000);
    fixture_call(fixture_leader(), "POST", "/v1/channels/orders/pause", NULL);
    fixture_run(20000);
    cr_assert_str_eq(fixture_control("orders", "state"), "PAUSE");
}

Test(manager_duties, the_next_leader_carries_out_a_retry)
{
    fixture_running("orders");
    rollback(10000);
    fixture_manager_crash(fixture_leader());
    fixture_run(14000);
    cr_assert_str_eq(fixture_control("orders", "state"), "START");
}

Test(manager_duties, data_in_flight_without_progress_is_restarted_and_says_why)
{
    fixture_running("orders");
    fixture_numbers("orders", 5, 20, 12, 12);
    fixture_run(28000);
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    fixture_run(6000);
    cr_assert_eq(fixture_control_epoch("orders"), 6);
    cr_assert_str_eq(fixture_control("orders", "state"), "START");
    cr_assert(strstr(fixture_control("orders", "reason"), "8 processes in flight"), "%s",
              fixture_control("orders", "reason"));
    cr_assert_str_eq(fixture_state("orders"), "STARTING", "the new epoch is not made yet");
    fixture_run(300000);
    cr_assert_eq(fixture_control_epoch("orders"), 6, "asked for once, until it is served");
}

Test(manager_duties, slow_progress_is_progress)
{
    fixture_running("orders");
    for (unsigned i = 0; i < 10; i++) {
        fixture_numbers("orders", 5, 40, 12 + i, 12);
        fixture_run(20000);
    }
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    cr_assert_str_eq(fixture_state("orders"), "RUNNING");
}

Test(manager_duties, nothing_in_flight_is_no_stall)
{
    fixture_running("orders");
    fixture_run(600000);
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    cr_assert_str_eq(fixture_state("orders"), "RUNNING");
}

Test(manager_duties, restarts_that_do_not_help_become_rarer)
{
    json_int_t epoch;
    unsigned restarts = 0;

    fixture_running("orders");
    fixture_numbers("orders", 5, 20, 12, 12);
    for (int second = 0; second < 600; second++) {
        fixture_run(1000);
        epoch = fixture_control_epoch("orders");
        if (epoch > 5 + (json_int_t)restarts) { /* load serves it, and nothing gets better */
            restarts++;
            fixture_origin("orders", (unsigned)epoch, "s1");
            fixture_numbers("orders", (unsigned)epoch, 20, 12, 12);
        }
    }
    cr_assert_geq(restarts, 3);
    cr_assert_leq(restarts, 5, "%u in ten minutes", restarts);
}

Test(manager_duties, a_silent_select_is_not_taken_for_a_stall)
{
    fixture_running("orders");
    fixture_numbers("orders", 5, 20, 12, 12);
    fixture_run(5000);
    fixture_service("select", "s1", NULL);
    fixture_run(120000);
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    cr_assert_str_eq(fixture_state("orders"), "UNKNOWN");
}

Test(manager_duties, a_dead_node_that_holds_a_pipeline_up_leads_to_a_restart)
{
    fixture_running("orders");
    fixture_service_gone("select", "s1");
    fixture_owner("orders", "select", NULL);
    fixture_run(85000);
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    fixture_run(10000);
    cr_assert_eq(fixture_control_epoch("orders"), 6);
    cr_assert(strstr(fixture_control("orders", "reason"), "select s1 is gone for 90 s"), "%s",
              fixture_control("orders", "reason"));
}

Test(manager_duties, a_deploy_within_the_protection_period_causes_nothing)
{
    fixture_running("orders");
    for (int i = 0; i < 3; i++) {
        fixture_service_gone("select", "s1");
        fixture_owner("orders", "select", NULL);
        fixture_run(60000);
        fixture_numbers("orders", 5, 10, 10, 10);
        fixture_owner("orders", "select", "s1");
        fixture_run(60000);
    }
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    cr_assert_str_eq(fixture_state("orders"), "RUNNING");
}

Test(manager_duties, a_dead_node_whose_work_another_took_over_is_only_recorded)
{
    bool recorded = false;
    size_t i;
    const json_t *event;

    fixture_running("orders");
    fixture_service("extract", "e1", "{\"pipelines\":[]}");
    fixture_run(2000);
    fixture_service_gone("extract", "e1");
    fixture_run(100000);
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    fixture_call(fixture_leader(), "GET", "/v1/status", NULL);
    json_array_foreach(json_object_get(answer, "events"), i, event)
    {
        recorded |= strcmp(json_string_value(json_object_get(event, "kind")), "node.dead") == 0;
    }
    cr_assert(recorded);
}

Test(manager_duties, a_follower_does_nothing)
{
    int leader, follower;

    fixture_running("orders");
    leader = fixture_leader();
    follower = 1 - leader;
    /* The leader's session lives on, but it hears and says nothing: nobody may act meanwhile. */
    rollback(1000);
    lutra_coord_mem_partition(f.managers[leader].coord, true);
    fixture_run(2500);
    cr_assert_not(lutra_manager_leads(f.managers[follower].manager));
    cr_assert_str_eq(fixture_control("orders", "state"), "PAUSE");
    fixture_run(10000);
    cr_assert(lutra_manager_leads(f.managers[follower].manager));
    cr_assert_str_eq(fixture_control("orders", "state"), "START");
}
