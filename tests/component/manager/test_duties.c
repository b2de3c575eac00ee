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

static const char *kinds_seen(const char *kind)
{
    static char text[600];
    size_t i;
    const json_t *event;

    cr_assert_eq(fixture_call(fixture_await_leader(), "GET", "/v1/status", NULL), 200);
    json_array_foreach(json_object_get(answer, "events"), i, event)
    {
        if (strcmp(json_string_value(json_object_get(event, "kind")), kind) == 0) {
            snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(event, "text")));
            return text;
        }
    }
    return NULL;
}

/* Applied with a protection period of its own. */
static void short_protection(const char *channel)
{
    char path[128], text[2048];

    snprintf(text, sizeof(text), "recovery: {protection: 10s}\n%s",
             fixture_definition(channel, channel, NULL, "x"));
    snprintf(path, sizeof(path), "/v1/channels/%s", channel);
    cr_assert_eq(fixture_call(fixture_leader(), "PUT", path, text), 200, "%s", fixture_error());
    snprintf(path, sizeof(path), "/lutra/pipelines/%s/origin", channel);
    fixture_poke(path,
                 "{\"epoch\":5,\"nonce\":\"0123456789abcdef\",\"process_id\":0,\"position\":\"\","
                 "\"config_version\":2,\"select_session\":\"s1-x\",\"source_identity\":\"\","
                 "\"by\":\"load/l1\",\"at_ms\":1}");
}

Test(manager_duties,
     the_only_extract_gone_with_data_in_flight_restarts_what_it_served_after_its_time)
{
    fixture_running("orders");
    short_protection("orders");
    fixture_numbers("orders", 5, 20, 12, 12);
    fixture_run(3000);
    fixture_service_gone("extract", "e0");
    fixture_run(8000);
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    fixture_run(4000);
    cr_assert_eq(fixture_control_epoch("orders"), 6);
    cr_assert(strstr(fixture_control("orders", "reason"), "extract e0 is gone for 10 s"), "%s",
              fixture_control("orders", "reason"));
    fixture_origin("orders", 6, "s1");
    fixture_run(600000);
    cr_assert_eq(fixture_control_epoch("orders"), 6, "more RESTARTs would bring no extract");
}

Test(manager_duties, a_planned_restart_with_data_in_flight_has_its_time_although_nothing_moves)
{
    fixture_running("orders");
    fixture_numbers("orders", 5, 20, 12, 12);
    fixture_run(3000);
    fixture_service_gone("extract", "e0");
    fixture_run(80000); /* longer than a stall may last */
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    cr_assert_str_eq(fixture_state("orders"), "STALLED");
    cr_assert(strstr(fixture_text("pipelines.0.reason"), "extract e0 is gone for"), "%s",
              fixture_text("pipelines.0.reason"));
    fixture_numbers("orders", 5, 20, 20, 20);
    fixture_run(100000);
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    cr_assert_str_eq(fixture_state("orders"), "RUNNING");
}

Test(manager_duties, nothing_in_flight_needs_no_restart)
{
    fixture_running("orders");
    fixture_service_gone("transform", "t0");
    fixture_run(300000);
    cr_assert_eq(fixture_control_epoch("orders"), 5);
}

Test(manager_duties, another_process_under_the_same_name_is_not_the_former_one)
{
    fixture_running("orders");
    fixture_poke(
        "/lutra/nodes/extract/e0",
        "{\"service\":\"extract\",\"instance\":\"e0\",\"host\":\"h\",\"pid\":2,"
        "\"site\":\"default\",\"version\":\"1\",\"http\":\"extract-e0:1\",\"started_ms\":7}");
    fixture_run(3000);
    cr_assert_str_eq(kinds_seen("node.restarted"),
                     "extract e0 is another process now: pid 2 on h, before 1 on h");
    cr_assert_str_eq(fixture_state("orders"), "RUNNING");
    cr_assert_eq(fixture_control_epoch("orders"), 5);
}

/* ZooKeeper is away for longer than everything: afterwards what was known before counts for
 * nothing. */
Test(manager_duties, no_restarts_by_what_was_known_before_zookeeper_was_away)
{
    for (unsigned away_ms = 1000; away_ms <= 301000; away_ms += 60000) {
        if (away_ms > 1000) {
            fixture_end();
            begin();
        }
        fixture_running("orders");
        fixture_numbers("orders", 5, 20, 12, 12);
        fixture_run(20000);
        fixture_service_gone("extract", "e0");
        fixture_run(5000);
        lutra_mem_tree_set_down(f.tree, true);
        fixture_run(away_ms);
        fixture_numbers("orders", 5, 25, 20, 20);
        lutra_mem_tree_set_down(f.tree, false);
        fixture_run(25000);
        cr_assert_eq(fixture_control_epoch("orders"), 5, "after %u ms", away_ms);
        cr_assert_str_eq(fixture_state("orders"), "RUNNING", "after %u ms", away_ms);
    }
}

Test(manager_duties, a_leader_that_slept_knows_nothing_of_the_time_between)
{
    fixture_running("orders");
    fixture_numbers("orders", 5, 20, 12, 12);
    fixture_run(5000);
    lutra_coord_mem_partition(f.managers[0].coord, true);
    lutra_coord_mem_partition(f.managers[1].coord, true);
    fixture_run(100000);
    fixture_numbers("orders", 5, 20, 12, 12);
    lutra_coord_mem_partition(f.managers[0].coord, false);
    lutra_coord_mem_partition(f.managers[1].coord, false);
    fixture_run(20000);
    cr_assert_eq(fixture_control_epoch("orders"), 5, "it may have moved meanwhile");
    fixture_run(30000);
    cr_assert_eq(fixture_control_epoch("orders"), 6);
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
