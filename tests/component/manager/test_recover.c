/* Channels that nodes know from their caches and ZooKeeper does not. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "model/channel.h"

static void begin(void)
{
    fixture_begin();
    fixture_manager_start(0);
    fixture_await_leader();
}

TestSuite(manager_recover, .init = begin, .fini = fixture_end);

static void knows(const char *service, const char *instance, int version, bool unknown)
{
    char state[512];
    snprintf(state, sizeof(state),
             "{\"pipelines\":[],\"definitions\":[{\"channel\":\"orders\",\"version\":%d,"
             "\"unknown_to_zookeeper\":%s,\"pipelines\":[\"p1\"]}]}",
             version, unknown ? "true" : "false");
    fixture_service(service, instance, state);
    struct lutra_error err = {0};
    struct lutra_buf json = {0};
    const char *yaml = fixture_definition("orders", "p1", NULL, version == 7 ? "new" : "old");
    struct lutra_channel *channel = lutra_channel_parse(yaml, strlen(yaml), "test", &err);
    cr_assert_not_null(channel, "%s", err.msg);
    channel->version = (uint64_t)version;
    lutra_channel_to_json(channel, &json);
    fixture_knows(service, instance, lutra_buf_cstr(&json));
    lutra_buf_fini(&json);
    lutra_channel_free(channel);
}

static json_int_t number(const char *path)
{
    return json_integer_value(
        json_object_get(json_array_get(json_object_get(answer, "channels"), 0), path));
}

Test(manager_recover, what_nodes_know_is_listed_with_the_newest_version)
{
    knows("select", "s1", 6, true);
    knows("load", "l1", 7, true);
    fixture_service("extract", "e0", "{\"pipelines\":[]}");
    fixture_run(3000);
    cr_assert_eq(fixture_call(0, "GET", "/v1/recover", NULL), 200);
    cr_assert_eq(json_array_size(json_object_get(answer, "channels")), 1);
    cr_expect_str_eq(fixture_text("channels.0.channel"), "orders");
    cr_expect_eq(number("version"), 7);
    cr_expect_str_eq(fixture_text("channels.0.pipelines.0"), "p1");
    cr_expect_str_eq(fixture_text("channels.0.nodes.1.instance"), "l1");
    cr_expect_null(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/config"), "only listed");
}

Test(manager_recover, the_newest_is_written_again_and_stays_stopped)
{
    knows("select", "s1", 6, true);
    knows("load", "l1", 7, true);
    fixture_run(3000);
    cr_assert_eq(fixture_call(0, "POST", "/v1/recover/orders", "{\"by\":\"me\"}"), 200, "%s",
                 fixture_error());
    cr_expect_str_eq(fixture_text("result"), "recovered");
    cr_expect_str_eq(fixture_text("from"), "load/l1");
    cr_expect_eq(json_integer_value(json_object_get(answer, "version")), 7);
    cr_expect(strstr(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/desired"), "STOP"));
    cr_expect(strstr(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/config"), "new"));
    cr_expect_str_eq(fixture_control("p1", "state"), "START");
    cr_expect_eq(fixture_control_epoch("p1"), 0);
    /* A second time there is nothing to do. */
    cr_expect_eq(fixture_call(0, "POST", "/v1/recover/orders", NULL), 409);
    cr_assert_eq(fixture_call(0, "GET", "/v1/recover", NULL), 200);
    cr_expect_eq(json_array_size(json_object_get(answer, "channels")), 0);
}

Test(manager_recover, a_control_that_survived_is_not_touched)
{
    fixture_poke("/lutra/pipelines/p1/control",
                 "{\"state\":\"PAUSE\",\"epoch\":41,\"reason\":\"why\",\"retry_at_ms\":0,"
                 "\"attempt\":0,\"by\":\"x\",\"at_ms\":1}");
    knows("load", "l1", 7, true);
    fixture_run(3000);
    cr_assert_eq(fixture_call(0, "POST", "/v1/recover/orders", NULL), 200, "%s", fixture_error());
    cr_expect_eq(fixture_control_epoch("p1"), 41);
    cr_expect_str_eq(fixture_control("p1", "state"), "PAUSE");
}

Test(manager_recover, what_nobody_knows_or_zookeeper_knows_is_refused)
{
    knows("load", "l1", 7, false);
    fixture_run(3000);
    cr_expect_eq(fixture_call(0, "POST", "/v1/recover/orders", NULL), 404);
    cr_expect_eq(fixture_call(0, "POST", "/v1/recover/Orders", NULL), 400);
    cr_expect_eq(fixture_call(0, "GET", "/v1/recover/orders", NULL), 405);
    cr_assert_eq(fixture_call(0, "PUT", "/v1/channels/orders",
                              fixture_definition("orders", "p1", NULL, "x")),
                 200);
    knows("load", "l1", 7, true); /* it has not noticed yet */
    fixture_run(3000);
    cr_expect_eq(fixture_call(0, "POST", "/v1/recover/orders", NULL), 409);
}

Test(manager_recover, a_name_that_another_channel_has_taken_meanwhile_is_a_conflict)
{
    cr_assert_eq(
        fixture_call(0, "PUT", "/v1/channels/other", fixture_definition("other", "p1", NULL, "x")),
        200);
    knows("load", "l1", 7, true);
    fixture_run(3000);
    cr_expect_eq(fixture_call(0, "POST", "/v1/recover/orders", NULL), 409);
    cr_expect(strstr(fixture_error(), "p1 belongs to channel other"), "%s", fixture_error());
}
