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

static const char media_record[] = "/lutra/media/orders.b";

static void delete_channel(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "/v1/channels/%s?force=true", name);
    cr_assert_eq(fixture_call(0, "DELETE", path, NULL), 200, "%s", fixture_error());
    fixture_run(1000);
}

static void apply_with_group(const char *name)
{
    char path[128], text[1024];
    snprintf(path, sizeof(path), "/v1/channels/%s", name);
    snprintf(text, sizeof(text),
             "channel: %s\nsources:\n  a: {type: mariadb, host: h1, user: u}\n"
             "  b: {type: mariadb, user: u, group: orders.b, primary: x,\n"
             "      members: {x: {host: h2}, y: {host: h3}}}\npipelines:\n"
             "  - {name: %s, source: a, target: b, pairs: [{source: {schema: s, table: t}}]}\n",
             name, name);
    cr_assert_eq(fixture_call(0, "PUT", path, text), 200, "%s", fixture_error());
    fixture_run(1000);
}

Test(manager_janitor, the_record_of_a_media_group_goes_when_no_channel_has_the_group)
{
    apply_with_group("one");
    apply_with_group("two");
    cr_assert_eq(fixture_call(0, "POST", "/v1/media/orders.b/switch", "{\"to\":\"y\"}"), 200);
    cr_expect_eq(count(), 0);
    delete_channel("one");
    (void)count();
    cr_expect(!listed("znode", media_record), "the other channel has the group, too");
    delete_channel("two");
    (void)count();
    cr_assert(listed("znode", media_record));
    cr_assert_eq(remove_listed(), 200, "%s", fixture_error());
    cr_expect_null(lutra_mem_tree_peek(f.tree, media_record));
    (void)count();
    cr_expect(!listed("znode", media_record));
}

/* The definition is of no use here: the other channel's groups are not known. */
Test(manager_janitor, records_stay_while_a_node_knows_a_channel_that_zookeeper_does_not)
{
    fixture_poke("/lutra/media/cached-group", "{\"primary\":\"a\"}");
    fixture_service("load", "l1",
                    "{\"pipelines\":[],\"definitions\":[{\"channel\":\"orders\",\"version\":7,"
                    "\"unknown_to_zookeeper\":false,\"pipelines\":[\"cached\"]}]}");
    fixture_run(3000);
    cr_expect_eq(count(), 0);
    cr_expect(strstr(fixture_text("warnings.0"), "channel orders"), "%s",
              fixture_text("warnings.0"));
    fixture_service("load", "l1", "{\"pipelines\":[],\"definitions\":[]}");
    cr_expect_eq(count(), 1);
}

Test(manager_janitor, a_record_that_was_switched_since_it_was_listed_stays)
{
    fixture_poke("/lutra/media/nobody.s", "{\"primary\":\"a\"}");
    cr_assert_eq(count(), 1);
    fixture_poke("/lutra/media/nobody.s", "{\"primary\":\"b\"}");
    cr_expect_eq(remove_listed(), 409);
    cr_expect(strstr(fixture_error(), "nobody.s"), "%s", fixture_error());
    cr_expect(lutra_mem_tree_peek(f.tree, "/lutra/media/nobody.s"));
}

static struct lutra_timer *turn;
static unsigned turns;
static bool switched;

/* After so many turns of the loop, if it is still there. */
static void switch_it(void *arg)
{
    (void)arg;
    if (turns-- > 0) {
        lutra_timer_start(turn, 0);
        return;
    }
    switched = lutra_mem_tree_peek(f.tree, "/lutra/media/nobody.s") != NULL;
    if (switched) {
        fixture_poke("/lutra/media/nobody.s", "{\"primary\":\"b\"}");
    }
}

Test(manager_janitor, a_record_that_is_switched_while_it_is_removed_stays)
{
    unsigned refused = 0, failed = 0, removed = 0;
    turn = lutra_timer_new(f.loop, switch_it, NULL);
    for (unsigned n = 0; n < 64; n++) {
        fixture_poke("/lutra/media/nobody.s", "{\"primary\":\"a\"}");
        cr_assert_eq(count(), 1);
        turns = n;
        switched = false;
        lutra_timer_start(turn, 0);
        int status = remove_listed();
        refused += status == 409;
        failed += json_array_size(json_object_get(answer, "failed")) == 1;
        removed += json_array_size(json_object_get(answer, "removed")) == 1;
        fixture_run(100);
        if (switched) {
            const char *left = lutra_mem_tree_peek(f.tree, "/lutra/media/nobody.s");
            cr_assert(left != NULL && strstr(left, "\"b\""), "switched in turn %u", n);
        }
    }
    cr_expect(refused > 0 && failed > 0 && removed > 0, "%u refused, %u failed, %u removed",
              refused, failed, removed);
    lutra_timer_free(turn);
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
