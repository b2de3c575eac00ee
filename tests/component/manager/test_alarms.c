/* Alarms: raised once, cleared once, whoever leads and however often that changes. */
#include <stdlib.h>

#include "fixture.h"

static void begin(void)
{
    fixture_begin();
    fixture_manager_start(0);
    fixture_manager_start(1);
}

TestSuite(manager_alarms, .init = begin, .fini = fixture_end);

static const char *alarm_text(const char *name)
{
    static char text[800];
    size_t i;
    const json_t *alarm;

    cr_assert_eq(fixture_call(fixture_await_leader(), "GET", "/v1/alarms", NULL), 200);
    json_array_foreach(json_object_get(answer, "alarms"), i, alarm)
    {
        if (strcmp(json_string_value(json_object_get(alarm, "name")), name) == 0) {
            snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(alarm, "text")));
            return text;
        }
    }
    return NULL;
}

static size_t n_alarms(void)
{
    cr_assert_eq(fixture_call(fixture_await_leader(), "GET", "/v1/alarms", NULL), 200);
    return json_array_size(json_object_get(answer, "alarms"));
}

/* Over all managers that live. */
static unsigned events(const char *kind, const char *subject)
{
    unsigned n = 0;

    for (int m = 0; m < MAX_MANAGERS; m++) {
        size_t i;
        const json_t *event;

        if (f.managers[m].manager == NULL || fixture_call(m, "GET", "/v1/status", NULL) != 200) {
            continue;
        }
        json_array_foreach(json_object_get(answer, "events"), i, event)
        {
            n += strcmp(json_string_value(json_object_get(event, "kind")), kind) == 0 &&
                 strcmp(json_string_value(json_object_get(event, "subject")), subject) == 0;
        }
    }
    return n;
}

static bool metric(int manager, const char *line)
{
    struct lutra_buf text = {0};
    bool found;

    lutra_metrics_expose(f.managers[manager].metrics, &text);
    found = strstr(lutra_buf_cstr(&text), line) != NULL;
    lutra_buf_fini(&text);
    return found;
}

static void control(const char *state, unsigned attempt, bool exhausted)
{
    fixture_poke(
        "/lutra/pipelines/orders/control",
        "{\"state\":\"%s\",\"epoch\":5,\"reason\":\"the target is full\",\"retry_at_ms\":0,"
        "\"attempt\":%u,\"exhausted\":%s,\"by\":\"load/l1\",\"at_ms\":1}",
        state, attempt, exhausted ? "true" : "false");
}

Test(manager_alarms, a_rollback_that_waits_for_an_operator_is_one_until_he_starts_it)
{
    fixture_running("orders");
    fixture_run(10000);
    cr_assert_eq(n_alarms(), 0);
    control("PAUSE", 0, false);
    fixture_run(5000);
    cr_assert_str_eq(alarm_text("orders-rolled_back"), "the target is full");
    for (int m = 0; m < 2; m++) {
        cr_assert(metric(m, "lutra_alarm{kind=\"rolled_back\",pipeline=\"orders\"} 1"), "m%d", m);
    }
    cr_assert_eq(fixture_call(0, "GET", "/v1/channels/orders/status", NULL), 200);
    cr_assert_str_eq(fixture_text("pipelines.0.alarms.0.kind"), "rolled_back");
    fixture_run(600000);
    cr_assert_eq(events("alarm.raised", "orders"), 1);
    fixture_call(fixture_leader(), "POST", "/v1/channels/orders/start", NULL);
    fixture_run(5000);
    cr_assert_eq(n_alarms(), 0);
    cr_assert_eq(events("alarm.cleared", "orders"), 1);
    cr_assert_not(metric(0, "lutra_alarm{"));
}

Test(manager_alarms, attempts_that_came_to_their_end_are_another_one)
{
    fixture_running("orders");
    control("PAUSE", 11, true);
    fixture_run(8000);
    cr_assert_str_eq(alarm_text("orders-attempts_exhausted"), "the target is full");
    cr_assert_null(alarm_text("orders-rolled_back"));
    control("START", 0, false);
    fixture_run(5000);
    cr_assert_eq(n_alarms(), 0);
}

Test(manager_alarms, an_operators_pause_is_no_reason_for_any)
{
    fixture_running("orders");
    control("PAUSE", 0, false);
    fixture_call(fixture_leader(), "POST", "/v1/channels/orders/pause", NULL);
    fixture_run(20000);
    cr_assert_eq(n_alarms(), 0);
}

Test(manager_alarms, they_outlive_leaders_and_both_managers)
{
    fixture_running("orders");
    control("PAUSE", 0, false);
    fixture_run(8000);
    cr_assert_not_null(alarm_text("orders-rolled_back"));
    fixture_manager_crash(fixture_leader());
    fixture_run(30000);
    cr_assert_not_null(alarm_text("orders-rolled_back"));
    cr_assert_eq(events("alarm.raised", "orders"), 0, "the other one did not raise it again");
    fixture_manager_stop(fixture_leader());
    fixture_manager_start(2);
    fixture_run(30000);
    cr_assert_not_null(alarm_text("orders-rolled_back"));
    cr_assert_eq(events("alarm.raised", "orders"), 0);
    control("START", 0, false);
    fixture_run(8000);
    cr_assert_eq(n_alarms(), 0);
    cr_assert_eq(events("alarm.cleared", "orders"), 1);
}

Test(manager_alarms, a_leader_that_is_cut_off_at_any_moment_of_acting_makes_no_second_one)
{
    for (unsigned at_ms = 0; at_ms < 2400; at_ms += 100) {
        int leader;

        if (at_ms > 0) {
            fixture_end();
            begin();
        }
        fixture_running("orders");
        fixture_run(8000);
        control("PAUSE", 0, false);
        fixture_run(at_ms);
        leader = fixture_leader();
        lutra_coord_mem_partition(f.managers[leader].coord, true);
        fixture_run(20000);
        lutra_coord_mem_partition(f.managers[leader].coord, false);
        fixture_run(20000);
        cr_assert_not_null(alarm_text("orders-rolled_back"), "at %u", at_ms);
        cr_assert_leq(events("alarm.raised", "orders"), 1, "at %u", at_ms);
        control("START", 0, false);
        fixture_run(at_ms);
        leader = fixture_leader();
        lutra_coord_mem_partition(f.managers[leader].coord, true);
        fixture_run(20000);
        lutra_coord_mem_partition(f.managers[leader].coord, false);
        fixture_run(20000);
        cr_assert_eq(n_alarms(), 0, "at %u", at_ms);
        cr_assert_leq(events("alarm.cleared", "orders"), 1, "at %u", at_ms);
    }
}

Test(manager_alarms, a_stall_is_told_where_it_is_and_cleared_only_by_progress)
{
    char text[1024];

    fixture_running("orders");
    fixture_numbers("orders", 5, 20, 12, 12);
    snprintf(text, sizeof(text),
             "{\"pipelines\":[{\"pipeline\":\"orders\",\"in_hand\":[13],\"assigned\":[0,1],"
             "\"last_error\":\"\"}]}");
    fixture_service("transform", "t0", text);
    fixture_run(16000);
    cr_assert_str_eq(fixture_state("orders"), "RUNNING");
    cr_assert(strstr(fixture_text("pipelines.0.reason"), "process 13 is in hand at transform t0"),
              "%s", fixture_text("pipelines.0.reason"));
    fixture_run(16000);
    cr_assert(strstr(alarm_text("orders-stalled"), "process 13 is in hand at transform t0"));
    cr_assert_eq(fixture_control_epoch("orders"), 6);
    cr_assert(strstr(fixture_control("orders", "reason"), "in hand at transform t0"));
    fixture_origin("orders", 6, "s1");
    fixture_numbers("orders", 6, 20, 12, 12);
    fixture_run(70000);
    cr_assert_eq(fixture_control_epoch("orders"), 7);
    cr_assert_eq(events("alarm.raised", "orders"), 1, "a RESTART alone clears nothing");
    cr_assert_eq(events("alarm.cleared", "orders"), 0);
    fixture_origin("orders", 7, "s1");
    fixture_numbers("orders", 7, 30, 25, 25);
    fixture_run(5000);
    cr_assert_eq(n_alarms(), 0);
    cr_assert_eq(events("alarm.cleared", "orders"), 1);
}

Test(manager_alarms, restarts_that_never_help_are_told_and_go_on_at_the_slowest_pace)
{
    json_int_t epoch = 5;
    unsigned restarts = 0;

    fixture_running("orders");
    fixture_numbers("orders", 5, 20, 12, 12);
    for (int minute = 0; minute < 240; minute++) {
        fixture_run(60000);
        epoch = fixture_control_epoch("orders");
        if (epoch > 5 + (json_int_t)restarts) {
            restarts++;
            fixture_origin("orders", (unsigned)epoch, "s1");
            fixture_numbers("orders", (unsigned)epoch, 20, 12, 12);
        }
    }
    cr_assert_geq(restarts, 12);
    cr_assert_leq(restarts, 20);
    cr_assert_str_eq(fixture_control("orders", "state"), "START");
    cr_assert(strstr(alarm_text("orders-attempts_exhausted"), "restarts in a row did not help"));
    cr_assert_eq(events("alarm.raised", "orders"), 2, "stalled and attempts_exhausted");
}

Test(manager_alarms, nobody_owns_it)
{
    fixture_running("orders");
    fixture_owner("orders", "load", NULL);
    fixture_service("load", "l1", "{\"pipelines\":[{\"pipeline\":\"orders\",\"owner\":false}]}");
    fixture_run(25000);
    cr_assert_eq(n_alarms(), 0);
    fixture_run(15000);
    cr_assert_str_eq(alarm_text("orders-no_owner"), "no load owner, for 30 s");
    fixture_owner("orders", "load", "l1");
    fixture_numbers("orders", 5, 10, 10, 10);
    fixture_run(5000);
    cr_assert_eq(n_alarms(), 0);
}

Test(manager_alarms, a_lost_node_is_one_until_it_is_back_or_an_operator_says_so)
{
    fixture_running("orders");
    fixture_service("extract", "e1", "{\"pipelines\":[{\"pipeline\":\"orders\"}]}");
    fixture_run(3000);
    fixture_service_gone("extract", "e1");
    fixture_run(85000);
    cr_assert_eq(n_alarms(), 0);
    fixture_run(10000);
    cr_assert(strstr(alarm_text("extract-e1-node_lost"), "is not registered for 90 s"));
    cr_assert_eq(fixture_control_epoch("orders"), 5, "e0 does its work");
    fixture_manager_crash(fixture_leader());
    fixture_run(20000);
    cr_assert_not_null(alarm_text("extract-e1-node_lost"));
    fixture_service("extract", "e1", "{\"pipelines\":[{\"pipeline\":\"orders\"}]}");
    fixture_run(5000);
    cr_assert_eq(n_alarms(), 0);

    fixture_service_gone("extract", "e1");
    fixture_run(95000);
    cr_assert_eq(fixture_call(fixture_leader(), "DELETE", "/v1/alarms/extract-e1-node_lost", NULL),
                 200);
    cr_assert_eq(n_alarms(), 0);
    fixture_run(600000);
    cr_assert_eq(n_alarms(), 0, "it was taken away on purpose");
    cr_assert_eq(fixture_call(fixture_leader(), "DELETE", "/v1/alarms/extract-e1-node_lost", NULL),
                 404);
}

/* What a process that ends in order leaves behind; a crash is fixture_service_gone alone. */
static void depart(const char *service, const char *instance, int pid)
{
    char path[128];

    snprintf(path, sizeof(path), "/lutra/departed/%s-%s", service, instance);
    fixture_poke(path,
                 "{\"service\":\"%s\",\"instance\":\"%s\",\"host\":\"h\",\"pid\":%d,"
                 "\"site\":\"default\",\"version\":\"1\",\"http\":\"%s-%s:1\",\"started_ms\":1}",
                 service, instance, pid, service, instance);
    fixture_service_gone(service, instance);
}

static const char serving[] = "{\"pipelines\":[{\"pipeline\":\"orders\"}]}";

Test(manager_alarms, a_node_that_was_taken_away_in_order_and_is_not_needed_alarms_nobody)
{
    fixture_running("orders");
    fixture_service("extract", "e1", serving);
    fixture_service("load", "l2", serving);
    fixture_run(3000);
    depart("extract", "e1", 1);
    depart("load", "l2", 1);
    fixture_run(600000);
    cr_assert_eq(n_alarms(), 0);
    cr_assert_eq(events("alarm.raised", "extract-e1-node_lost"), 0);
    cr_assert_eq(events("node.departed", "e1"), 1, "told by the leader alone");
    cr_assert_eq(fixture_control_epoch("orders"), 5);
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/departed/extract-e1"),
                   "marks do not pile up");
}

Test(manager_alarms, the_mark_of_a_former_process_spares_no_one_that_crashes)
{
    fixture_running("orders");
    fixture_service("extract", "e1", serving);
    fixture_run(3000);
    depart("extract", "e1", 4711); /* another pid */
    fixture_run(95000);
    cr_assert_not_null(alarm_text("extract-e1-node_lost"));
    cr_assert_null(strstr(alarm_text("extract-e1-node_lost"), "in order"));
    fixture_run(300000);
    cr_assert_eq(n_alarms(), 1);
}

Test(manager_alarms, the_last_one_that_leaves_in_order_is_told_until_another_does_its_work)
{
    fixture_running("orders");
    depart("extract", "e0", 1);
    fixture_run(95000);
    cr_assert(strstr(alarm_text("extract-e0-node_lost"), "no other extract serves pipeline orders"),
              "%s", alarm_text("extract-e0-node_lost"));
    fixture_run(30000);
    cr_assert_not_null(alarm_text("extract-e0-node_lost"));
    fixture_service("extract", "e7", serving);
    fixture_run(10000);
    cr_assert_null(alarm_text("extract-e0-node_lost"));
}

Test(manager_alarms, whoever_leads_knows_who_left_in_order)
{
    fixture_running("orders");
    fixture_service("extract", "e1", serving);
    fixture_run(3000);
    depart("extract", "e1", 1);
    fixture_run(30000);
    fixture_manager_stop(fixture_leader());
    fixture_run(30000);
    lutra_mem_tree_set_down(f.tree, true);
    fixture_run(30000);
    lutra_mem_tree_set_down(f.tree, false);
    fixture_run(600000);
    cr_assert_eq(n_alarms(), 0);
}

Test(manager_alarms, an_operators_warning_stands_until_it_is_cleared)
{
    int leader;

    fixture_running("orders");
    leader = fixture_leader();
    cr_assert_eq(fixture_call(leader, "POST", "/v1/pipelines/orders/warning",
                              "{\"by\":\"me\",\"reason\":\"hands off\"}"),
                 200);
    cr_assert_str_eq(fixture_text("result"), "raised");
    cr_assert_str_eq(alarm_text("orders-warning"), "hands off");
    cr_assert_eq(fixture_call(leader, "POST", "/v1/pipelines/orders/warning",
                              "{\"by\":\"me\",\"reason\":\"still\"}"),
                 200);
    cr_assert_str_eq(fixture_text("result"), "changed");
    fixture_run(60000);
    cr_assert_str_eq(alarm_text("orders-warning"), "still");
    cr_assert_eq(events("alarm.raised", "orders"), 1);
    cr_assert_eq(fixture_control_epoch("orders"), 5, "an alarm and nothing else");
    cr_assert_eq(fixture_call(leader, "POST", "/v1/pipelines/orders/warning", "{}"), 400);
    cr_assert_eq(fixture_call(leader, "POST", "/v1/pipelines/nobody/warning", "{\"reason\":\"x\"}"),
                 404);
    cr_assert_eq(fixture_call(leader, "GET", "/v1/pipelines/orders/warning", NULL), 405);
    cr_assert_eq(fixture_call(leader, "DELETE", "/v1/alarms/..", NULL), 400);
    cr_assert_eq(fixture_call(leader, "POST", "/v1/alarms", NULL), 405);
    cr_assert_eq(fixture_call(1 - leader, "DELETE", "/v1/alarms/orders-warning", NULL), 307);
    cr_assert_eq(fixture_call(leader, "DELETE", "/v1/alarms/orders-warning", NULL), 200);
    fixture_run(5000);
    cr_assert_eq(n_alarms(), 0);
}

Test(manager_alarms, what_a_node_warns_of_stands_as_long_as_it_says_so)
{
    fixture_running("orders");
    fixture_service("extract", "e0",
                    "{\"pipelines\":[{\"pipeline\":\"orders\",\"in_hand\":[],"
                    "\"warning\":\"3 messages could not be read\"}]}");
    fixture_run(8000);
    cr_assert_str_eq(alarm_text("orders-warning-extract-e0"),
                     "extract e0: 3 messages could not be read");
    fixture_service("extract", "e0", NULL); /* says nothing: who knows */
    fixture_run(8000);
    cr_assert_not_null(alarm_text("orders-warning-extract-e0"));
    fixture_service("extract", "e0",
                    "{\"pipelines\":[{\"pipeline\":\"orders\",\"in_hand\":[],\"warning\":\"\"}]}");
    fixture_run(8000);
    cr_assert_eq(n_alarms(), 0);
}

Test(manager_alarms, two_that_say_they_own_it_are_told)
{
    fixture_running("orders");
    fixture_service("load", "l2",
                    "{\"pipelines\":[{\"pipeline\":\"orders\",\"owner\":true,\"state\":\"RUN\"}]}");
    fixture_run(10000);
    cr_assert_eq(n_alarms(), 0, "a take-over is no alarm");
    fixture_run(15000);
    cr_assert_str_eq(alarm_text("orders-two_owners"),
                     "load l2 says that it owns the pipeline; ZooKeeper says l1");
}

Test(manager_alarms, a_wiped_zookeeper_is_told)
{
    fixture_running("orders");
    fixture_run(5000);
    lutra_mem_tree_restore(f.tree, NULL);
    fixture_run(60000);
    cr_assert_not_null(alarm_text("orders-unknown_to_zookeeper"));
}

Test(manager_alarms, there_are_never_too_many)
{
    char name[64];

    fixture_running("orders");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "/lutra/alarms/x%d-warning", i);
        fixture_poke(name,
                     "{\"kind\":\"node_lost\",\"subject\":\"load/x%d\",\"pipeline\":\"\","
                     "\"text\":\"t\",\"by\":\"me\",\"raised_ms\":1}",
                     i);
    }
    control("PAUSE", 0, false);
    fixture_run(20000);
    cr_assert_eq(n_alarms(), 1000);
}

Test(manager_alarms, what_cannot_be_read_is_taken_away)
{
    fixture_running("orders");
    fixture_poke("/lutra/alarms/orders-stalled", "%s", "not json");
    fixture_run(8000);
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/alarms/orders-stalled"));
}
