#include "fixture.h"

static void begin(void)
{
    fixture_begin();
    fixture_manager_start(0);
    fixture_await_leader();
}

TestSuite(manager_api, .init = begin, .fini = fixture_end);

static json_int_t version(void)
{
    return json_integer_value(json_object_get(answer, "version"));
}

static int apply(const char *channel, const char *text)
{
    char target[128];

    snprintf(target, sizeof(target), "/v1/channels/%s?by=me%%40here", channel);
    return fixture_call(0, "PUT", target, text);
}

static int post(const char *target)
{
    return fixture_call(0, "POST", target, "{\"by\":\"me\",\"reason\":\"why\"}");
}

Test(manager_api, a_definition_is_created_changed_and_left_alone)
{
    cr_assert_eq(apply("orders", fixture_definition("orders", "p1", "p2", "one")), 200, "%s",
                 fixture_error());
    cr_assert_str_eq(fixture_text("result"), "created");
    cr_assert_eq(version(), 1);
    cr_assert(strstr(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/desired"), "STOP"));
    cr_assert_str_eq(fixture_control("p1", "state"), "START");
    cr_assert_str_eq(fixture_control("p2", "by"), "me@here");
    cr_assert_eq(fixture_control_epoch("p2"), 0);

    cr_assert_eq(apply("orders", fixture_definition("orders", "p1", "p2", "one")), 200);
    cr_assert_str_eq(fixture_text("result"), "unchanged");
    cr_assert_eq(version(), 1);

    cr_assert_eq(apply("orders", fixture_definition("orders", "p1", "p2", "two")), 200);
    cr_assert_str_eq(fixture_text("result"), "changed");
    cr_assert_eq(version(), 2);

    cr_assert_eq(fixture_call(0, "GET", "/v1/channels/orders", NULL), 200);
    cr_assert_str_eq(fixture_text("description"), "two");
    cr_assert_eq(version(), 2);
    cr_assert_eq(fixture_call(0, "GET", "/v1/channels", NULL), 200);
    cr_assert_str_eq(fixture_text("channels.0.channel"), "orders");
}

Test(manager_api, what_get_says_apply_takes_back)
{
    char *text;

    apply("orders", fixture_definition("orders", "p1", NULL, "one"));
    fixture_call(0, "GET", "/v1/channels/orders", NULL);
    text = json_dumps(answer, 0);
    cr_assert_eq(apply("orders", text), 200, "%s", fixture_error());
    cr_assert_str_eq(fixture_text("result"), "unchanged");
    free(text);
}

Test(manager_api, mistakes_are_named_with_their_place)
{
    cr_assert_eq(apply("orders", "channel: orders\nsorces: {}\n"), 400);
    cr_assert_str_eq(fixture_text("error.class"), "config");
    cr_assert(strstr(fixture_error(), "2:1"), "%s", fixture_error());
    cr_assert(strstr(fixture_error(), "sources"), "%s", fixture_error());
    cr_assert_eq(apply("other", fixture_definition("orders", "p1", NULL, "x")), 400);
    cr_assert_eq(apply("orders", ""), 400);
    cr_assert_eq(apply("orders", "\xff\xfe"), 400);
    cr_assert_eq(apply("orders", "[1, 2"), 400);
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/config"));
}

Test(manager_api, a_pipeline_name_belongs_to_one_channel)
{
    cr_assert_eq(apply("one", fixture_definition("one", "p1", "p2", "x")), 200);
    cr_assert_eq(apply("two", fixture_definition("two", "p3", "p2", "x")), 409);
    cr_assert(strstr(fixture_error(), "p2 belongs to channel one"), "%s", fixture_error());
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/channels/two/config"));
    cr_assert_eq(apply("two", fixture_definition("two", "p3", "p4", "x")), 200);
}

Test(manager_api, a_pipeline_leaves_a_channel_only_when_it_stands_still)
{
    fixture_running("orders");
    cr_assert_eq(apply("orders", fixture_definition("orders", "other", NULL, "x")), 409);
    cr_assert(strstr(fixture_error(), "orders would leave"), "%s", fixture_error());
    post("/v1/channels/orders/stop");
    fixture_owner("orders", "select", NULL);
    fixture_owner("orders", "load", NULL);
    fixture_run(1000);
    cr_assert_eq(apply("orders", fixture_definition("orders", "other", NULL, "x")), 200, "%s",
                 fixture_error());
    fixture_run(1000);
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/pipelines/orders/control"));
    cr_assert_not_null(lutra_mem_tree_peek(f.tree, "/lutra/pipelines/other/control"));
}

Test(manager_api, what_a_crashed_apply_left_behind_does_not_start_by_itself)
{
    fixture_poke("/lutra/channels/orders/desired",
                 "{\"state\":\"START\",\"by\":\"x\",\"at_ms\":1}");
    fixture_poke("/lutra/pipelines/p1/control",
                 "{\"state\":\"PAUSE\",\"epoch\":7,\"reason\":\"r\",\"retry_at_ms\":0,"
                 "\"attempt\":0,\"by\":\"x\",\"at_ms\":1}");
    cr_assert_eq(apply("orders", fixture_definition("orders", "p1", NULL, "x")), 200, "%s",
                 fixture_error());
    cr_assert_str_eq(fixture_text("result"), "created");
    cr_assert(strstr(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/desired"), "STOP"));
    cr_assert_eq(fixture_control_epoch("p1"), 7, "an epoch never goes back");
}

Test(manager_api, start_pause_and_stop_write_the_operators_wish)
{
    apply("orders", fixture_definition("orders", "p1", NULL, "x"));
    cr_assert_eq(post("/v1/channels/orders/start"), 200);
    cr_assert_str_eq(fixture_text("desired"), "START");
    cr_assert(strstr(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/desired"), "START"));
    cr_assert(strstr(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/desired"), "\"me\""));
    cr_assert_eq(post("/v1/channels/orders/pause"), 200);
    cr_assert(strstr(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/desired"), "PAUSE"));
    cr_assert_eq(post("/v1/channels/orders/stop"), 200);
    cr_assert(strstr(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/desired"), "STOP"));
    cr_assert_eq(post("/v1/channels/none/start"), 404);
}

static const char group_definition[] =
    "channel: orders\nsources:\n"
    "  a: {type: mariadb, user: u, members: {m1: {host: h}, m2: {socket: /s}}, primary: m1}\n"
    "  b: {type: mariadb, user: u, host: h}\n"
    "pipelines: [{name: p1, source: a, target: b, pairs: [{source: {schema: s, table: t}}]}]\n";

static int switch_media(const char *key, const char *body)
{
    char target[128];

    snprintf(target, sizeof(target), "/v1/media/%s/switch", key);
    return fixture_call(0, "POST", target, body);
}

Test(manager_api, media_groups_are_told_and_switched)
{
    cr_assert_eq(apply("orders", group_definition), 200, "%s", fixture_error());
    cr_assert_eq(fixture_call(0, "GET", "/v1/media", NULL), 200);
    cr_assert_str_eq(fixture_text("groups.0.group"), "orders.a");
    cr_assert_str_eq(fixture_text("groups.0.primary"), "m1");
    cr_assert_eq(fixture_call(0, "GET", "/v1/media/orders.a", NULL), 200);
    cr_assert_str_eq(fixture_text("members.0.name"), "m1");
    cr_assert_str_eq(fixture_text("members.0.address"), "h:3306");
    cr_assert_str_eq(fixture_text("members.1.address"), "/s");
    cr_assert(json_is_null(json_object_get(answer, "at_ms")));

    cr_assert_eq(switch_media("orders.a", "{\"to\":\"m2\",\"by\":\"dba\"}"), 200, "%s",
                 fixture_error());
    cr_assert_str_eq(fixture_text("result"), "switched");
    cr_assert_str_eq(fixture_text("from"), "m1");
    cr_assert(strstr(lutra_mem_tree_peek(f.tree, "/lutra/media/orders.a"), "\"m2\""));
    cr_assert_eq(fixture_call(0, "GET", "/v1/media/orders.a", NULL), 200);
    cr_assert_str_eq(fixture_text("primary"), "m2");
    cr_assert_str_eq(fixture_text("by"), "dba");
    cr_assert_str_eq(fixture_text("channels.0"), "orders");
    cr_assert_eq(fixture_call(0, "GET", "/v1/channels/orders/status", NULL), 200);
    cr_assert_str_eq(fixture_text("pipelines.0.media.source.primary"), "m2");

    cr_assert_eq(switch_media("orders.a", "{\"to\":\"m2\"}"), 200);
    cr_assert_str_eq(fixture_text("result"), "unchanged");
    cr_assert_eq(switch_media("orders.a", "{\"to\":\"m1\",\"from\":\"m1\"}"), 409);
    cr_assert(strstr(fixture_error(), "current primary is m2"), "%s", fixture_error());
    cr_assert_eq(switch_media("orders.a", "{\"to\":\"m1\",\"from\":\"m2\"}"), 200);
}

Test(manager_api, a_switch_to_no_member_is_refused_with_the_list)
{
    cr_assert_eq(apply("orders", group_definition), 200, "%s", fixture_error());
    cr_assert_eq(switch_media("orders.a", "{\"to\":\"m3\"}"), 400);
    cr_assert(strstr(fixture_error(), "\"m3\"") && strstr(fixture_error(), "one of m1, m2"), "%s",
              fixture_error());
    cr_assert_eq(switch_media("orders.a", "{}"), 400);
    cr_assert_eq(switch_media("orders.a", "{\"to\":7}"), 400);
    cr_assert_eq(switch_media("orders.b", "{\"to\":\"m1\"}"), 404);
    cr_assert_eq(switch_media("Orders", "{\"to\":\"m1\"}"), 400);
    cr_assert_eq(fixture_call(0, "GET", "/v1/media/none", NULL), 404);
    cr_assert_eq(fixture_call(0, "GET", "/v1/media/orders.a/switch", NULL), 405);
    cr_assert_eq(fixture_call(0, "GET", "/v1/media/orders.a/other", NULL), 404);
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/media/orders.a"));
}

Test(manager_api, who_writes_sees_it_in_the_status_at_once)
{
    apply("orders", fixture_definition("orders", "p1", NULL, "x"));
    cr_assert_eq(fixture_call(0, "GET", "/v1/channels/orders/status", NULL), 200);
    cr_assert_str_eq(fixture_text("pipelines.0.state"), "STOPPED");
    post("/v1/channels/orders/start");
    cr_assert_eq(fixture_call(0, "GET", "/v1/channels/orders/status", NULL), 200);
    cr_assert_str_eq(fixture_text("pipelines.0.state"), "STARTING");
    cr_assert_str_eq(fixture_text("desired"), "START");
}

Test(manager_api, rollback_restart_and_start_again)
{
    fixture_running("orders");
    cr_assert_eq(post("/v1/pipelines/orders/rollback"), 200, "%s", fixture_error());
    cr_assert_str_eq(fixture_control("orders", "state"), "PAUSE");
    cr_assert_str_eq(fixture_control("orders", "reason"), "why");
    cr_assert_eq(fixture_control_epoch("orders"), 6);
    fixture_run(1000);
    cr_assert_str_eq(fixture_state("orders"), "ROLLED_BACK");
    cr_assert_eq(post("/v1/channels/orders/start"), 200);
    cr_assert_str_eq(fixture_control("orders", "state"), "START");
    cr_assert_eq(fixture_control_epoch("orders"), 6);
    cr_assert_eq(post("/v1/pipelines/orders/restart"), 200);
    cr_assert_eq(json_integer_value(json_object_get(answer, "epoch")), 7);
    cr_assert_str_eq(fixture_control("orders", "state"), "START");
    cr_assert_eq(post("/v1/pipelines/none/restart"), 404);
}

Test(manager_api, delete_wants_it_stopped_and_drained)
{
    fixture_running("orders");
    cr_assert_eq(fixture_call(0, "DELETE", "/v1/channels/orders", NULL), 409);
    cr_assert(strstr(fixture_error(), "stop it first"), "%s", fixture_error());
    post("/v1/channels/orders/stop");
    cr_assert_eq(fixture_call(0, "DELETE", "/v1/channels/orders", NULL), 409);
    cr_assert(strstr(fixture_error(), "select owner is still there"), "%s", fixture_error());
    fixture_owner("orders", "select", NULL);
    cr_assert_eq(fixture_call(0, "DELETE", "/v1/channels/orders", NULL), 409);
    cr_assert(strstr(fixture_error(), "load owner is still there"), "%s", fixture_error());
    fixture_owner("orders", "load", NULL);
    cr_assert_eq(fixture_call(0, "DELETE", "/v1/channels/orders?topics=true", NULL), 200, "%s",
                 fixture_error());
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders"));
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/pipelines/orders"));
    cr_assert_eq(fixture_call(0, "GET", "/v1/channels/orders/status", NULL), 404);
    cr_assert_eq(fixture_call(0, "DELETE", "/v1/channels/orders", NULL), 404);
}

static int topics_left(struct lutra_mem_broker *broker)
{
    static const char *const topics[] = {"lutra.p1.extract", "lutra.p1.transform", "lutra.p1.load",
                                         "lutra.p1.termin"};
    struct lutra_bus *bus = lutra_bus_mem_new(broker, "look");
    int n = 0;

    for (size_t i = 0; i < 4; i++) {
        n += lutra_bus_partitions(bus, topics[i]) > 0;
    }
    lutra_bus_free(bus);
    return n;
}

Test(manager_api, topics_are_deleted_on_the_buses_where_they_live)
{
    static const char definition[] =
        "channel: orders\nsources:\n  a: {type: mariadb, host: h, user: u}\n"
        "  b: {type: mariadb, host: i, user: u}\npipelines:\n  - name: p1\n    source: a\n"
        "    target: b\n    target_bus: far\n    pairs: [{source: {schema: s, table: t}}]\n";
    struct lutra_mem_broker *far = lutra_mem_broker_new(f.loop);

    lutra_mem_broker_create_topic(f.broker, "lutra.p1.extract", 2);
    lutra_mem_broker_create_topic(f.broker, "lutra.p1.transform", 2);
    lutra_mem_broker_create_topic(f.broker, "lutra.p1.termin", 1);
    lutra_mem_broker_create_topic(far, "lutra.p1.load", 1);
    apply("orders", definition);
    cr_assert_eq(fixture_call(0, "DELETE", "/v1/channels/orders?force=true&topics=true", NULL),
                 409);
    cr_assert(strstr(fixture_error(), "nothing is deleted") != NULL, "%s", fixture_error());
    cr_assert(strstr(fixture_error(), "bus far is not configured") != NULL, "%s", fixture_error());
    cr_assert_not_null(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/config"));
    cr_assert_eq(topics_left(f.broker), 3);
    lutra_buses_put(f.managers[0].buses, "far", lutra_bus_mem_new(far, "m0"));
    cr_assert_eq(fixture_call(0, "DELETE", "/v1/channels/orders?topics=true", NULL), 200, "%s",
                 fixture_error());
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders"));
    cr_assert_eq(topics_left(f.broker), 0);
    cr_assert_eq(topics_left(far), 0);
    fixture_manager_stop(0);
    lutra_mem_broker_free(far);
}

Test(manager_api, delete_by_force)
{
    fixture_running("orders");
    cr_assert_eq(fixture_call(0, "DELETE", "/v1/channels/orders?force=true", NULL), 200, "%s",
                 fixture_error());
    cr_assert_null(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders"));
}

Test(manager_api, followers_answer_reads_and_point_to_the_leader_for_writes)
{
    fixture_manager_start(1);
    fixture_run(3000);
    apply("orders", fixture_definition("orders", "p1", NULL, "x"));
    fixture_run(500);
    cr_assert_eq(fixture_call(1, "GET", "/v1/channels/orders", NULL), 200);
    cr_assert_eq(fixture_call(1, "GET", "/v1/channels/orders/status", NULL), 200);
    cr_assert_eq(fixture_call(1, "DELETE", "/v1/channels/orders?force=true&topics=true", NULL),
                 307);
    cr_assert_str_eq(answer_location,
                     "http://127.0.0.1:8640/v1/channels/orders?force=true&topics=true");
    cr_assert_eq(fixture_call(1, "POST", "/v1/channels/orders/start", "{}"), 307);
    cr_assert_not_null(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/config"));
}

Test(manager_api, bad_requests_are_answered)
{
    static const struct {
        const char *method, *target, *body;
        int status;
    } cases[] = {
        {"GET", "/v1/nothing", NULL, 404},
        {"GET", "/v1/", NULL, 404},
        {"POST", "/v1/status", NULL, 405},
        {"POST", "/v1/channels", "{}", 405},
        {"PUT", "/v1/lag", NULL, 405},
        {"GET", "/v1/channels/", NULL, 400},
        {"GET", "/v1/channels/..%2f..%2fzookeeper", NULL, 400},
        {"GET", "/v1/channels/UPPER", NULL, 400},
        {"GET", "/v1/channels/a/b/c", NULL, 404},
        {"GET", "/v1/channels/none", NULL, 404},
        {"GET", "/v1/channels/none/status", NULL, 404},
        {"GET", "/v1/channels/none/start", NULL, 405},
        {"POST", "/v1/channels/none", "{}", 405},
        {"POST", "/v1/channels/none/explode", "{}", 404},
        {"POST", "/v1/channels/none/start", "not json", 400},
        {"POST", "/v1/channels/none/start", "[]", 400},
        {"POST", "/v1/channels/none/start", "{\"by\":5}", 404},
        {"GET", "/v1/pipelines/p/restart", NULL, 405},
        {"POST", "/v1/pipelines/p", "{}", 404},
        {"POST", "/v1/pipelines/p/rollback", "{\"retry_after_ms\":\"soon\"}", 400},
        {"POST", "/v1/pipelines/p/rollback", "{\"retry_after_ms\":-1}", 400},
        {"POST", "/v1/pipelines/p/rollback", "{\"retry_after_ms\":1e99}", 400},
        {"DELETE", "/v1/pipelines/p/rollback", NULL, 405},
        {"DELETE", "/v1/channels/none", NULL, 404},
        {"PUT", "/v1/channels/0123456789012345678901234567890123456789x", "x", 400},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(fixture_call(0, cases[i].method, cases[i].target, cases[i].body),
                     cases[i].status, "%s %s: %d", cases[i].method, cases[i].target, answer_status);
        cr_assert(fixture_error()[0] != '\0', "%s", cases[i].target);
    }
}

Test(manager_api, nonsense_in_zookeeper_is_told_not_swallowed)
{
    fixture_poke("/lutra/channels/bad/config", "this is no definition: [");
    fixture_run(500);
    cr_assert_eq(fixture_call(0, "GET", "/v1/channels/bad", NULL), 500);
    cr_assert_eq(fixture_call(0, "POST", "/v1/channels/bad/start", NULL), 409);
    cr_assert_eq(fixture_call(0, "DELETE", "/v1/channels/bad", NULL), 409);
    cr_assert_eq(apply("bad", fixture_definition("bad", "p1", NULL, "x")), 409);
    cr_assert_eq(apply("good", fixture_definition("good", "p1", NULL, "x")), 200, "%s",
                 fixture_error());
}

static int late_status;

static void late_sink(
    int status, const char *type, const char *location, const char *body, size_t len, void *arg)
{
    (void)type;
    (void)location;
    (void)body;
    (void)len;
    (void)arg;
    late_status = status;
}

Test(manager_api, a_manager_that_stops_answers_what_it_was_asked)
{
    fixture_running("orders");
    fixture_service("load", "l1", NULL);
    fixture_run(5000);
    lutra_manager_handle(
        lutra_http_request_new("POST", "/v1/channels/orders/stop", NULL, 0, late_sink, NULL),
        f.managers[0].manager);
    fixture_manager_stop(0);
    cr_assert_eq(late_status, 503);
}
