#include "fixture.h"

static void begin(void)
{
    fixture_begin();
    fixture_manager_start(0);
}

TestSuite(manager_status, .init = begin, .fini = fixture_end);

static const json_t *pipeline(void)
{
    return json_array_get(json_object_get(answer, "pipelines"), 0);
}

Test(manager_status, a_running_pipeline_with_its_numbers)
{
    const json_t *one;

    fixture_running("orders");
    fixture_service("extract", "e1",
                    "{\"pipelines\":[{\"pipeline\":\"orders\",\"in_hand\":[12,13]}]}");
    fixture_service("extract", "e2",
                    "{\"pipelines\":[{\"pipeline\":\"orders\",\"in_hand\":[14]}]}");
    fixture_service("transform", "t1", "{\"pipelines\":[]}");
    fixture_numbers("orders", 5, 14, 11, 10);
    fixture_run(2000);
    cr_assert_str_eq(fixture_state("orders"), "RUNNING", "%s", fixture_text("pipelines.0.reason"));
    one = pipeline();
    cr_assert_str_eq(fixture_text("pipelines.0.owners.select"), "s1");
    cr_assert_str_eq(fixture_text("pipelines.0.owners.load"), "l1");
    cr_assert_str_eq(fixture_text("pipelines.0.position.read"), "b.1:9");
    cr_assert_str_eq(fixture_text("pipelines.0.position.applied"), "b.1:4");
    cr_assert_eq(json_array_size(json_object_get(json_object_get(one, "instances"), "extract")), 3);
    cr_assert_eq(json_array_size(json_object_get(json_object_get(one, "process"), "extract")), 3);
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(one, "process"), "in_flight")),
                 3);
    cr_assert(json_is_null(json_object_get(one, "lag_p50_ms")), "nothing measured");
    cr_assert_float_eq(json_real_value(json_object_get(one, "lag_ms")), 5.5, 0.01);
    cr_assert(fixture_text("pipelines.0.lag_method")[0] != '\0');
    cr_assert_eq(json_integer_value(json_object_get(one, "rows_total")), 100);
    cr_assert_eq(json_integer_value(json_object_get(one, "config_version")), 1);
    cr_assert_eq(fixture_call(0, "GET", "/v1/lag", NULL), 200);
    cr_assert_eq(
        json_integer_value(json_object_get(json_object_get(pipeline(), "stages"), "extract")), 3);
}

Test(manager_status, the_lag_grows_while_nothing_reaches_load)
{
    fixture_running("orders");
    fixture_numbers("orders", 5, 14, 11, 10);
    fixture_service("select", "s1",
                    "{\"pipelines\":[{\"pipeline\":\"orders\",\"state\":\"STREAM\",\"epoch\":5,"
                    "\"owner\":true,\"published\":14,\"consumed\":11,\"in_flight\":3,"
                    "\"oldest_ms\":7000}]}");
    fixture_run(2000);
    cr_assert_str_eq(fixture_state("orders"), "RUNNING", "%s", fixture_text("pipelines.0.reason"));
    cr_assert_float_eq(json_real_value(json_object_get(pipeline(), "lag_ms")), 7000, 0.01,
                       "load's own lag hides what does not reach it");
}

Test(manager_status, a_node_that_does_not_answer_is_shown_and_holds_up_nobody)
{
    uint64_t begin_ms;
    bool found = false;
    size_t i;
    const json_t *node;

    fixture_running("orders");
    fixture_service("select", "s1", NULL);
    fixture_run(3000);
    begin_ms = lutra_loop_now_ms(f.loop);
    cr_assert_eq(fixture_call(0, "GET", "/v1/status", NULL), 200);
    cr_assert_leq(lutra_loop_now_ms(f.loop) - begin_ms, 1100);
    json_array_foreach(json_object_get(answer, "nodes"), i, node)
    {
        if (strcmp(json_string_value(json_object_get(node, "instance")), "s1") == 0) {
            found = true;
            cr_assert(json_is_false(json_object_get(node, "answers")));
            cr_assert(strstr(json_string_value(json_object_get(node, "error")), "no answer"));
        }
    }
    cr_assert(found);
    cr_assert_str_eq(fixture_text("channels.0.pipelines.0.state"), "UNKNOWN");
    cr_assert(strstr(fixture_text("channels.0.pipelines.0.reason"), "s1"));
}

Test(manager_status, a_state_that_is_nonsense_is_no_answer)
{
    static const char *const bad[] = {
        "",
        "[]",
        "no json",
        "{\"pipelines\":5}",
        "{\"pipelines\":[null,7,{\"pipeline\":4}]}",
        ("{\"pipelines\":[{\"pipeline\":\"orders\",\"owner\":\"yes\",\"in_flight\":-5,"
         "\"buffered\":\"x\",\"lag_ms\":\"y\",\"in_hand\":{}}]}"),
    };

    fixture_running("orders");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fixture_service("select", "s1", bad[i]);
        fixture_service("load", "l1", bad[i]);
        fixture_service("extract", "e1", bad[i]);
        fixture_run(3000);
        cr_assert_str_eq(fixture_state("orders"), "UNKNOWN", "%s", bad[i]);
        cr_assert_eq(fixture_call(0, "GET", "/v1/lag", NULL), 200);
    }
}

Test(manager_status, states_are_asked_for_once_a_second_at_most)
{
    unsigned before;

    fixture_running("orders");
    before = f.fetches.n;
    for (int i = 0; i < 50; i++) {
        fixture_call(0, "GET", "/v1/status", NULL);
    }
    cr_assert_leq(f.fetches.n - before, 8);
}

Test(manager_status, each_step_towards_running)
{
    int leader = fixture_await_leader();

    fixture_call(leader, "PUT", "/v1/channels/c", fixture_definition("c", "c", NULL, "x"));
    cr_assert_str_eq(fixture_state("c"), "STOPPED");
    fixture_call(leader, "POST", "/v1/channels/c/start", NULL);
    cr_assert_str_eq(fixture_state("c"), "STARTING");
    fixture_owner("c", "load", "l1");
    fixture_run(500);
    cr_assert_str_eq(fixture_state("c"), "STARTING");
    cr_assert_str_eq(fixture_text("pipelines.0.reason"), "no select owner");
    fixture_owner("c", "select", "s1");
    fixture_origin("c", 1, "s1");
    fixture_numbers("c", 1, 0, 0, 0);
    fixture_service("transform", "t0", "{\"pipelines\":[]}");
    fixture_run(3000);
    cr_assert_str_eq(fixture_state("c"), "STARTING");
    cr_assert_str_eq(fixture_text("pipelines.0.reason"), "no instance of transform serves it");
    fixture_numbers("c", 1, 0, 0, 0);
    fixture_run(3000);
    cr_assert_str_eq(fixture_state("c"), "RUNNING", "%s", fixture_text("pipelines.0.reason"));
    fixture_call(leader, "POST", "/v1/channels/c/pause", NULL);
    cr_assert_str_eq(fixture_state("c"), "PAUSED");
}

Test(manager_status, nobody_takes_it_up_for_long)
{
    int leader = fixture_await_leader();

    fixture_call(leader, "PUT", "/v1/channels/c", fixture_definition("c", "c", NULL, "x"));
    fixture_call(leader, "POST", "/v1/channels/c/start", NULL);
    fixture_run(29000);
    cr_assert_str_eq(fixture_state("c"), "STARTING");
    fixture_run(3000);
    cr_assert_str_eq(fixture_state("c"), "STALLED");
    cr_assert_eq(fixture_control_epoch("c"), 0, "a RESTART brings no owner");
}

Test(manager_status, what_happened_is_remembered)
{
    bool found = false;
    size_t i;
    const json_t *event;

    fixture_running("orders");
    fixture_service_gone("select", "s1");
    fixture_run(1000);
    fixture_call(0, "GET", "/v1/status", NULL);
    json_array_foreach(json_object_get(answer, "events"), i, event)
    {
        found |= strcmp(json_string_value(json_object_get(event, "kind")), "node.vanished") == 0;
    }
    cr_assert(found);
    cr_assert_leq(json_array_size(json_object_get(answer, "events")), 200);
}

Test(manager_status, who_lacks_a_bus_is_named_and_serves_nobody)
{
    static const char blocked[] =
        "{\"pipelines\":[{\"pipeline\":\"orders\",\"state\":\"BLOCKED\",\"error_class\":\"config\","
        "\"last_error\":\"bus far is not configured\"}]}";

    fixture_running("orders");
    fixture_numbers("orders", 5, 14, 11, 10);
    fixture_service("transform", "t2", blocked);
    fixture_run(2000);
    cr_assert_str_eq(fixture_state("orders"), "RUNNING", "%s", fixture_text("pipelines.0.reason"));
    cr_assert_eq(json_array_size(json_object_get(pipeline(), "blocked")), 1);
    cr_assert_str_eq(fixture_text("pipelines.0.blocked.0.service"), "transform");
    cr_assert_str_eq(fixture_text("pipelines.0.blocked.0.instance"), "t2");
    cr_assert_str_eq(fixture_text("pipelines.0.blocked.0.class"), "config");
    cr_assert_str_eq(fixture_text("pipelines.0.blocked.0.error"), "bus far is not configured");
    cr_assert_eq(
        json_array_size(json_object_get(json_object_get(pipeline(), "instances"), "transform")), 1);
    fixture_service("transform", "t0", blocked);
    fixture_run(2000);
    cr_assert_str_neq(fixture_state("orders"), "RUNNING", "no transform serves it");
    cr_assert(strstr(fixture_text("pipelines.0.reason"), "bus far is not configured") != NULL, "%s",
              fixture_text("pipelines.0.reason"));
}
