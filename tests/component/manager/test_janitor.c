/* What deleted pipelines left behind is found, and only that is removed. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "bus/pipe.h"

static void begin(void)
{
    fixture_begin();
    fixture_manager_start(0);
    fixture_await_leader();
}

TestSuite(manager_janitor, .init = begin, .fini = fixture_end);

static void topics_of(const char *pipeline)
{
    static const char *const stages[] = {"extract", "transform", "load", "termin"};
    for (size_t i = 0; i < 4; i++) {
        char name[80];
        lutra_topic_name(pipeline, stages[i], name);
        lutra_mem_broker_create_topic(f.broker, name, 1);
    }
}

static bool listed(const char *kind, const char *name)
{
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "kind")), kind) == 0 &&
            strcmp(json_string_value(json_object_get(item, "name")), name) == 0) {
            return true;
        }
    }
    return false;
}

static size_t count(void)
{
    cr_assert_eq(fixture_call(0, "GET", "/v1/janitor", NULL), 200, "%s", fixture_error());
    return json_array_size(json_object_get(answer, "items"));
}

/* Asks for what the last answer listed. */
static int remove_listed(void)
{
    json_t *body = json_pack("{s:O, s:s}", "items", json_object_get(answer, "items"), "by", "me");
    char *text = json_dumps(body, 0);
    int status = fixture_call(0, "POST", "/v1/janitor/remove", text);
    free(text);
    json_decref(body);
    return status;
}

static void leave_behind(const char *pipeline)
{
    char path[128];
    topics_of(pipeline);
    snprintf(path, sizeof(path), "/lutra/pipelines/%s/control", pipeline);
    fixture_poke(path, "{\"state\":\"START\",\"epoch\":3}");
}

Test(manager_janitor, exactly_the_orphans_are_found_and_removed)
{
    fixture_running("orders");
    topics_of("orders");
    leave_behind("gone");
    lutra_mem_broker_create_topic(f.broker, "lutra.gone.other", 1);
    lutra_mem_broker_create_topic(f.broker, "lutra.Gone.load", 1);
    lutra_mem_broker_create_topic(f.broker, "lutra.load", 1);
    lutra_mem_broker_create_topic(f.broker, "my.lutra.gone.load", 1);
    fixture_poke("/lutra/channels/half/desired", "{\"state\":\"STOP\"}");
    fixture_poke("/lutra/media/nobody.s", "{\"primary\":\"a\"}");
    cr_expect_eq(count(), 7);
    cr_expect(listed("topic", "lutra.gone.extract"));
    cr_expect(listed("topic", "lutra.gone.termin"));
    cr_expect(listed("znode", "/lutra/pipelines/gone"));
    cr_expect(listed("znode", "/lutra/channels/half"));
    cr_expect(listed("znode", "/lutra/media/nobody.s"));
    cr_expect(lutra_mem_tree_peek(f.tree, "/lutra/pipelines/gone/control"), "only listed");
    cr_assert_eq(remove_listed(), 200, "%s", fixture_error());
    cr_expect_eq(json_array_size(json_object_get(answer, "removed")), 7);
    cr_expect_eq(json_array_size(json_object_get(answer, "failed")), 0);
    cr_expect_eq(count(), 0);
    cr_expect_null(lutra_mem_tree_peek(f.tree, "/lutra/pipelines/gone/control"));
    cr_expect(lutra_mem_tree_peek(f.tree, "/lutra/channels/orders/config"));
    cr_expect_str_eq(fixture_control("orders", "state"), "START");
}

Test(manager_janitor, what_a_node_knows_from_its_cache_is_not_touched)
{
    leave_behind("cached");
    fixture_poke("/lutra/media/cached-group", "{\"primary\":\"a\"}");
    fixture_service("load", "l1",
                    "{\"pipelines\":[],\"definitions\":[{\"channel\":\"orders\",\"version\":7,"
                    "\"unknown_to_zookeeper\":true,\"pipelines\":[\"cached\"]}]}");
    fixture_run(3000);
    cr_expect_eq(count(), 0);
}

Test(manager_janitor, nothing_is_removed_while_something_is_not_known)
{
    leave_behind("gone");
    fixture_service("load", "l1", NULL); /* registered, and silent */
    fixture_run(3000);
    cr_expect_eq(count(), 5);
    cr_expect(json_is_false(json_object_get(answer, "removable")));
    cr_expect_eq(remove_listed(), 409);
    cr_expect(strstr(fixture_error(), "load l1"), "%s", fixture_error());
    fixture_service("load", "l1", "{\"pipelines\":[]}");
    fixture_poke("/lutra/channels/future/config", "{\"channel\":\"future\",\"wormhole\":true}");
    fixture_run(3000);
    (void)count();
    cr_expect_eq(remove_listed(), 409);
    cr_expect(strstr(fixture_error(), "future"), "%s", fixture_error());
    cr_expect(lutra_mem_tree_peek(f.tree, "/lutra/pipelines/gone/control"));
}

Test(manager_janitor, what_is_not_in_the_list_is_not_removed)
{
    fixture_running("orders");
    topics_of("orders");
    cr_expect_eq(fixture_call(0, "POST", "/v1/janitor/remove",
                              "{\"items\":[{\"kind\":\"topic\",\"name\":\"lutra.orders.load\","
                              "\"where\":\"default\"}]}"),
                 409);
    cr_expect_eq(fixture_call(0, "POST", "/v1/janitor/remove",
                              "{\"items\":[{\"kind\":\"znode\",\"name\":\"/zookeeper\","
                              "\"where\":\"\"}]}"),
                 409);
    cr_expect_eq(fixture_call(0, "POST", "/v1/janitor/remove", "{\"items\":[{}, 3]}"), 409);
    cr_expect_eq(fixture_call(0, "POST", "/v1/janitor/remove", "{\"items\":3}"), 400);
    cr_expect_eq(fixture_call(0, "DELETE", "/v1/janitor", NULL), 405);
    cr_expect_eq(count(), 0);
}
