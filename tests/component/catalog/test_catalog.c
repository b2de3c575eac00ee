/* What a service sees of channels and pipelines as the tree changes, vanishes and comes back. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "catalog/catalog.h"
#include "coord_test.h"

enum {
    ALL = LUTRA_CHANGED_CONFIG | LUTRA_CHANGED_DESIRED | LUTRA_CHANGED_CONTROL |
          LUTRA_CHANGED_ORIGIN | LUTRA_CHANGED_OWNERS | LUTRA_CHANGED_POSITION | LUTRA_CHANGED_MEDIA
};

static struct lutra_loop *loop;
static struct lutra_mem_tree *tree;
static struct lutra_coord *coord;
static struct lutra_catalog *catalog;
static char dir[] = "/tmp/lutra-catalog-XXXXXX", cache_dir[64];
static int added, removed, changed;
static unsigned what_changed;
static char last_removed[64];

static void on_added(struct lutra_pipeline *pipeline, void *arg)
{
    (void)arg;
    cr_assert_not_null(pipeline->def);
    cr_assert_str_eq(pipeline->def->name, pipeline->id);
    pipeline->user = &added;
    added++;
}

static void on_changed(struct lutra_pipeline *pipeline, unsigned what, void *arg)
{
    (void)arg;
    cr_assert_str_eq(pipeline->def->name, pipeline->id);
    cr_assert_eq(pipeline->user, &added);
    what_changed |= what;
    changed++;
}

static void on_removed(struct lutra_pipeline *pipeline, void *arg)
{
    (void)arg;
    cr_assert_str_eq(pipeline->def->name, pipeline->id, "valid until on_removed returned");
    (void)snprintf(last_removed, sizeof(last_removed), "%s", pipeline->id);
    removed++;
}

static const struct lutra_catalog_handler handler = {
    .on_added = on_added, .on_changed = on_changed, .on_removed = on_removed};

static void setup(void)
{
    loop = lutra_loop_new_sim(9);
    tree = lutra_mem_tree_new(loop);
    coord = lutra_coord_mem_new(tree, SESSION_MS);
    cr_assert_not_null(mkdtemp(dir));
    (void)snprintf(cache_dir, sizeof(cache_dir), "%s/a/b", dir);
    added = removed = changed = 0;
    what_changed = 0;
}

static void teardown(void)
{
    char command[128];

    lutra_catalog_free(catalog);
    lutra_coord_free(coord);
    lutra_mem_tree_free(tree);
    lutra_loop_free(loop);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(catalog, .init = setup, .fini = teardown);

static void settle(void)
{
    lutra_loop_run_for(loop, 200);
}

static void begin(const char *cache, unsigned watch)
{
    catalog = lutra_catalog_new(coord, cache, watch, &handler, NULL);
    cr_assert_eq(added, 0, "calls back in later turns only");
    settle();
}

/* The service dies and starts again. */
static void restart(void)
{
    lutra_catalog_free(catalog);
    added = removed = changed = 0;
    begin(cache_dir, ALL);
}

/* A definition as lutractl apply writes it. */
static void put_config(const char *channel, int version, const char *pipelines)
{
    struct lutra_buf yaml = {0}, json = {0};
    struct lutra_error err;
    struct lutra_channel *def;
    char path[256], copy[128], *save = NULL;

    lutra_buf_printf(&yaml,
                     "channel: %s\n"
                     "sources:\n"
                     "  one: {type: mariadb, host: 127.0.0.1, port: 3306, user: lutra}\n"
                     "  two: {type: mariadb, host: 127.0.0.1, port: 3307, user: lutra}\n"
                     "pipelines:\n",
                     channel);
    (void)snprintf(copy, sizeof(copy), "%s", pipelines);
    for (char *name = strtok_r(copy, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
        lutra_buf_printf(&yaml,
                         "  - name: %s\n"
                         "    source: one\n"
                         "    target: two\n"
                         "    pairs:\n"
                         "      - source: {schema: shop, table: \"*\"}\n"
                         "        target: {schema: shop}\n",
                         name);
    }
    def = lutra_channel_parse(lutra_buf_cstr(&yaml), yaml.len, "test", &err);
    cr_assert_not_null(def, "%s", err.msg);
    def->version = (uint64_t)version;
    lutra_channel_to_json(def, &json);
    lutra_mem_tree_poke(tree, lutra_path_channel(channel, "config", path), lutra_buf_cstr(&json));
    lutra_channel_free(def);
    lutra_buf_fini(&yaml);
    lutra_buf_fini(&json);
}

static void put_desired(const char *channel, const char *state)
{
    char path[256], text[128];

    (void)snprintf(text, sizeof(text), "{\"state\":\"%s\",\"by\":\"op\",\"at_ms\":1}", state);
    lutra_mem_tree_poke(tree, lutra_path_channel(channel, "desired", path), text);
}

static void put_control(const char *pipeline, const char *state, int epoch)
{
    char path[256], text[256];

    (void)snprintf(text, sizeof(text),
                   "{\"state\":\"%s\",\"epoch\":%d,\"reason\":\"\",\"retry_at_ms\":0,"
                   "\"attempt\":0,\"by\":\"op\",\"at_ms\":1}",
                   state, epoch);
    lutra_mem_tree_poke(tree, lutra_path_pipeline(pipeline, "control", path), text);
}

static void put_channel(const char *channel, int version, const char *pipeline)
{
    put_desired(channel, "START");
    put_control(pipeline, "START", 0);
    put_config(channel, version, pipeline);
}

static struct lutra_pipeline *find(const char *pipeline)
{
    return lutra_catalog_find(catalog, pipeline);
}

static bool cached(const char *channel)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s.channel", cache_dir, channel);
    return access(path, R_OK) == 0;
}

static void delete_channel(const char *channel)
{
    char path[256];

    lutra_mem_tree_poke(tree, lutra_path_channel(channel, "config", path), NULL);
    lutra_mem_tree_poke(tree, lutra_path_channel(channel, NULL, path), NULL);
}

Test(catalog, paths_are_those_of_the_protocol)
{
    char buf[256];

    cr_assert_str_eq(lutra_path_channel("c", "config", buf), "/lutra/channels/c/config");
    cr_assert_str_eq(lutra_path_channel("c", NULL, buf), "/lutra/channels/c");
    cr_assert_str_eq(lutra_path_pipeline("p", "load", buf), "/lutra/pipelines/p/load");
    cr_assert_str_eq(lutra_path_media("c.db", buf), "/lutra/media/c.db");
}

Test(catalog, an_empty_tree_is_known_and_a_channel_appears)
{
    begin(NULL, ALL);
    cr_assert(lutra_catalog_known(catalog));
    cr_assert_eq(added, 0);
    put_channel("c", 3, "p q");
    put_control("p", "START", 7);
    settle();
    cr_assert_eq(added, 2);
    cr_assert(find("p")->known);
    cr_assert(find("p")->permit);
    cr_assert_eq(find("p")->control.epoch, 7);
    cr_assert_eq(find("p")->config_version, 3);
    cr_assert_not(find("p")->from_cache);
    cr_assert_str_eq(find("p")->channel->name, "c");
    cr_assert(find("q")->known);
    cr_assert_not(find("q")->permit, "no control");
    cr_assert_null(find("r"));
}

Test(catalog, the_permit_needs_both_words)
{
    begin(NULL, ALL);
    put_channel("c", 1, "p");
    settle();
    cr_assert(find("p")->permit);
    put_desired("c", "PAUSE");
    settle();
    cr_assert_not(find("p")->permit);
    cr_assert_eq(find("p")->desired.state, LUTRA_DESIRED_PAUSE);
    put_desired("c", "START");
    put_control("p", "PAUSE", 1);
    settle();
    cr_assert_not(find("p")->permit);
    put_control("p", "START", 1);
    settle();
    cr_assert(find("p")->permit);
    lutra_mem_tree_set_down(tree, true);
    lutra_loop_run_for(loop, LONG_MS);
    cr_assert(find("p")->permit, "without ZooKeeper as last seen");
}

Test(catalog, tells_what_changed)
{
    char path[256];

    begin(NULL, ALL);
    put_channel("c", 1, "p");
    settle();
    what_changed = 0;
    lutra_mem_tree_poke(
        tree, lutra_path_pipeline("p", "origin", path),
        "{\"epoch\":5,\"nonce\":\"0123456789abcdef\",\"process_id\":9,\"position\":\"\","
        "\"config_version\":1,\"select_session\":\"s\",\"source_identity\":\"\",\"by\":\"load/a\","
        "\"at_ms\":1}");
    settle();
    cr_assert_eq(what_changed, LUTRA_CHANGED_ORIGIN);
    cr_assert(find("p")->has_origin);
    cr_assert_eq(find("p")->origin.process_id, 9);
    what_changed = 0;
    lutra_mem_tree_poke(tree, lutra_path_pipeline("p", "select", path),
                        "{\"instance\":\"a\",\"session\":\"a-1\"}");
    settle();
    cr_assert_eq(what_changed, LUTRA_CHANGED_OWNERS);
    cr_assert(find("p")->has_select);
    cr_assert_not(find("p")->has_load);
    cr_assert_str_eq(find("p")->select_owner.session, "a-1");
    lutra_mem_tree_poke(tree, path, NULL);
    settle();
    cr_assert_not(find("p")->has_select);
    what_changed = 0;
    lutra_mem_tree_poke(
        tree, lutra_path_pipeline("p", "position", path),
        "{\"epoch\":5,\"process_id\":9,\"position\":\"\",\"commit_us\":1,\"at_ms\":1}");
    settle();
    cr_assert_eq(what_changed, LUTRA_CHANGED_POSITION);
    cr_assert_eq(find("p")->position.process_id, 9);
    lutra_mem_tree_poke(tree, lutra_path_pipeline("p", "origin", path), NULL);
    settle();
    cr_assert_not(find("p")->has_origin);
}

Test(catalog, who_wants_only_definitions_gets_only_those)
{
    put_channel("c", 1, "p");
    begin(NULL, LUTRA_CHANGED_CONFIG);
    cr_assert_eq(added, 1);
    cr_assert(find("p")->known);
    cr_assert_not(find("p")->permit);
    put_control("p", "PAUSE", 1);
    put_desired("c", "STOP");
    settle();
    cr_assert_eq(what_changed & ~(unsigned)LUTRA_CHANGED_CONFIG, 0);
}

static char seen_order[64];

static void note_order(struct lutra_pipeline *pipeline, void *arg)
{
    (void)arg;
    strcat(seen_order, pipeline->id);
}

static void put_group(int version, const char *source)
{
    struct lutra_buf yaml = {0}, json = {0};
    struct lutra_error err;
    struct lutra_channel *def;
    char path[256];

    lutra_buf_printf(&yaml,
                     "channel: c\nsources:\n  one: {type: mariadb, user: u, %s}\n"
                     "  two: {type: mariadb, host: h, user: u}\n"
                     "pipelines:\n  - {name: p, source: one, target: two,"
                     " pairs: [{source: {schema: s, table: t}}]}\n",
                     source);
    def = lutra_channel_parse(lutra_buf_cstr(&yaml), yaml.len, "test", &err);
    cr_assert_not_null(def, "%s", err.msg);
    def->version = (uint64_t)version;
    lutra_channel_to_json(def, &json);
    lutra_mem_tree_poke(tree, lutra_path_channel("c", "config", path), lutra_buf_cstr(&json));
    lutra_channel_free(def);
    lutra_buf_fini(&yaml);
    lutra_buf_fini(&json);
}

#define MEMBERS "members: {a: {host: h}, b: {host: i}}, primary: a"

Test(catalog, a_media_group_has_its_first_primary_until_another_is_written)
{
    const struct lutra_media_side *side;
    struct answer answer = {0};

    put_channel("c", 1, "p");
    put_group(1, MEMBERS);
    begin(NULL, ALL);
    side = &find("p")->source_media;
    cr_assert(find("p")->known && side->known);
    cr_assert_str_eq(side->member, "a");
    cr_assert_not(side->has_record);
    cr_assert_eq(side->version, -1);
    cr_assert_str_eq(find("p")->target_media.member, "");
    cr_assert(find("p")->target_media.known);

    what_changed = 0;
    lutra_media_write(coord, "c.one", side->version, "b", "someone", on_answer, &answer);
    settle();
    cr_assert_eq(answer.rc, LUTRA_COORD_OK);
    cr_assert(what_changed & LUTRA_CHANGED_MEDIA);
    cr_assert_str_eq(side->member, "b");
    cr_assert_str_eq(side->record.by, "someone");
    cr_assert_eq(side->version, 0);
    lutra_media_write(coord, "c.one", -1, "a", "who came too late", on_answer, &answer);
    settle();
    cr_assert_eq(answer.rc, LUTRA_COORD_NODE_EXISTS);
    lutra_media_write(coord, "c.one", 7, "a", "who read something else", on_answer, &answer);
    settle();
    cr_assert_eq(answer.rc, LUTRA_COORD_BAD_VERSION);
    cr_assert_str_eq(side->member, "b");
    lutra_mem_tree_poke(tree, "/lutra/media/c.one", "{\"primary\":5}");
    settle();
    cr_assert_str_eq(side->member, "b", "the former value is kept");
}

Test(catalog, a_side_follows_the_group_that_its_definition_names)
{
    const struct lutra_media_side *side;

    lutra_mem_tree_poke(tree, "/lutra/media/c.one", "{\"primary\":\"b\"}");
    lutra_mem_tree_poke(tree, "/lutra/media/shared", "{\"primary\":\"z\"}");
    put_channel("c", 1, "p");
    put_group(1, "host: h");
    begin(NULL, ALL);
    side = &find("p")->source_media;
    cr_assert_str_eq(side->member, "");
    put_group(2, MEMBERS);
    lutra_loop_run_for(loop, 0);
    settle();
    cr_assert(find("p")->known);
    cr_assert_str_eq(side->member, "b");
    put_group(3, MEMBERS ", group: shared");
    settle();
    cr_assert_str_eq(side->member, "z", "told as it is, a member or not");
    struct lutra_error err;
    cr_assert_null(lutra_endpoint_resolve(lutra_pipeline_source(find("p")), side->member, &err));
    put_group(4, "host: h");
    settle();
    cr_assert_str_eq(side->member, "");
    cr_assert_not(side->has_record);
}

Test(catalog, a_change_adds_removes_and_keeps_pipelines)
{
    begin(NULL, ALL);
    put_channel("c", 1, "b a");
    settle();
    put_config("c", 2, "d c b");
    settle();
    cr_assert_eq(added, 4);
    cr_assert_eq(removed, 1);
    cr_assert_str_eq(last_removed, "a");
    cr_assert_null(find("a"));
    cr_assert_eq(find("b")->config_version, 2);
    cr_assert_eq(find("b")->channel, find("d")->channel);
    lutra_catalog_each(catalog, note_order, NULL);
    cr_assert_str_eq(seen_order, "bcd");
}

Test(catalog, a_deleted_channel_takes_its_pipelines_and_its_file_away)
{
    begin(cache_dir, ALL);
    put_channel("c", 1, "p");
    put_channel("kept", 1, "k");
    settle();
    cr_assert(cached("c"));
    delete_channel("c");
    settle();
    cr_assert_eq(removed, 1);
    cr_assert_null(find("p"));
    cr_assert_not_null(find("k"));
    cr_assert_not(cached("c"));
    cr_assert(cached("kept"));
    put_channel("c", 1, "p");
    settle();
    cr_assert_not_null(find("p"));
    cr_assert(cached("c"));
}

Test(catalog, malformed_records_are_told_and_the_former_values_kept)
{
    char path[256];

    begin(cache_dir, ALL);
    put_channel("c", 1, "p");
    settle();
    lutra_mem_tree_poke(tree, lutra_path_channel("c", "config", path), "{\"channel\":");
    lutra_mem_tree_poke(tree, lutra_path_channel("c", "desired", path), "[]");
    lutra_mem_tree_poke(tree, lutra_path_pipeline("p", "control", path), "");
    lutra_mem_tree_poke(tree, lutra_path_pipeline("p", "origin", path), "{}");
    lutra_mem_tree_poke(tree, lutra_path_pipeline("p", "load", path), "\xff\xfe");
    settle();
    cr_assert_eq(removed, 0);
    cr_assert_eq(find("p")->config_version, 1);
    cr_assert(find("p")->permit);
    cr_assert(find("p")->known);
    cr_assert_not(find("p")->has_origin);
    cr_assert_not(find("p")->has_load);
    put_config("other", 1, "q");
    lutra_mem_tree_poke(tree, lutra_path_channel("c", "config", path),
                        lutra_mem_tree_peek(tree, "/lutra/channels/other/config"));
    settle();
    cr_assert_str_eq(find("p")->channel->name, "c", "a definition under another's name");
    lutra_mem_tree_poke(tree, "/lutra/channels/NOT A NAME/config", "{}");
    put_config("c", 4, "p");
    settle();
    cr_assert_eq(find("p")->config_version, 4);
}

Test(catalog, a_name_taken_by_another_channel_is_free_when_that_is_gone)
{
    begin(NULL, ALL);
    put_channel("c", 1, "p");
    settle();
    put_channel("d", 1, "p");
    settle();
    cr_assert_eq(added, 1);
    cr_assert_str_eq(find("p")->channel->name, "c");
    delete_channel("c");
    settle();
    cr_assert_str_eq(find("p")->channel->name, "d");
}

Test(catalog, starts_from_the_cache_when_zookeeper_is_silent)
{
    begin(cache_dir, ALL);
    put_channel("c", 2, "p");
    settle();
    lutra_mem_tree_set_down(tree, true);
    settle();
    restart();
    cr_assert_eq(added, 1);
    cr_assert(find("p")->from_cache);
    cr_assert_eq(find("p")->config_version, 2);
    cr_assert_not(find("p")->known);
    cr_assert_not(find("p")->permit);
    cr_assert_not(lutra_catalog_known(catalog));
    lutra_mem_tree_set_down(tree, false);
    settle();
    cr_assert_not(find("p")->from_cache);
    cr_assert(find("p")->permit);
    cr_assert_eq(added, 1);
    cr_assert_eq(removed, 0);
}

Test(catalog, a_channel_deleted_while_the_service_was_down_is_removed)
{
    begin(cache_dir, ALL);
    put_channel("c", 1, "p");
    settle();
    lutra_catalog_free(catalog);
    delete_channel("c");
    added = removed = 0;
    begin(cache_dir, ALL);
    cr_assert_eq(added, 1, "from the cache");
    cr_assert_eq(removed, 1);
    cr_assert_not(cached("c"));
}

Test(catalog, a_definition_changed_while_the_service_was_down_is_taken)
{
    begin(cache_dir, ALL);
    put_channel("c", 1, "p q");
    settle();
    lutra_catalog_free(catalog);
    put_config("c", 2, "q r");
    added = removed = 0;
    begin(cache_dir, ALL);
    cr_assert_eq(added, 3);
    cr_assert_eq(removed, 1);
    cr_assert_eq(find("q")->config_version, 2);
    lutra_mem_tree_set_down(tree, true);
    restart();
    cr_assert_not_null(find("r"), "and cached");
}

Test(catalog, a_wiped_tree_deletes_nothing_and_permits_nothing)
{
    begin(cache_dir, ALL);
    put_channel("c", 1, "p");
    settle();
    cr_assert(find("p")->permit);
    lutra_mem_tree_restore(tree, NULL);
    settle();
    cr_assert_eq(removed, 0);
    cr_assert(find("p")->unknown_to_zookeeper);
    cr_assert_not(find("p")->permit);
    cr_assert(cached("c"));
    restart();
    cr_assert(find("p")->unknown_to_zookeeper, "after a restart, too");
    cr_assert(cached("c"));

    /* Another channel in the new tree changes nothing, though its transactions pass those of the
     * former tree. */
    put_channel("d", 1, "q");
    for (int i = 0; i < 50; i++) {
        lutra_mem_tree_poke(tree, "/count", "");
    }
    put_channel("e", 1, "r");
    settle();
    cr_assert_eq(removed, 0);
    cr_assert(cached("c"));
    cr_assert(find("q")->permit);
    restart();
    cr_assert_eq(removed, 0);
    cr_assert(cached("c"));
    cr_assert_not(find("p")->permit);

    /* Applied again: desired STOP, control, config last. */
    put_desired("c", "STOP");
    put_control("p", "START", 0);
    settle();
    cr_assert(cached("c"));
    cr_assert(find("p")->unknown_to_zookeeper);
    put_config("c", 1, "p");
    settle();
    cr_assert_not(find("p")->unknown_to_zookeeper);
    cr_assert_not(find("p")->permit);
    put_desired("c", "START");
    settle();
    cr_assert(find("p")->permit);

    /* And now it can be deleted in earnest, also while the service is down. */
    lutra_catalog_free(catalog);
    delete_channel("c");
    added = removed = 0;
    begin(cache_dir, ALL);
    cr_assert_eq(removed, 1);
    cr_assert_not(cached("c"));
}

Test(catalog, an_older_snapshot_without_the_channel_deletes_nothing)
{
    struct lutra_mem_tree *snapshot;

    put_channel("old", 1, "o");
    snapshot = lutra_mem_tree_snapshot(tree);
    begin(cache_dir, ALL);
    put_channel("new", 1, "n");
    settle();
    lutra_mem_tree_restore(tree, snapshot);
    settle();
    cr_assert_eq(removed, 0);
    cr_assert(find("n")->unknown_to_zookeeper);
    cr_assert_not(find("n")->permit);
    cr_assert(find("o")->permit);
    restart();
    cr_assert_eq(removed, 0);
    cr_assert(cached("new"));
    cr_assert(find("n")->unknown_to_zookeeper);
    lutra_mem_tree_free(snapshot);
}

Test(catalog, an_older_snapshot_with_an_older_definition_is_the_truth)
{
    struct lutra_mem_tree *snapshot;

    begin(cache_dir, ALL);
    put_channel("c", 1, "p");
    settle();
    snapshot = lutra_mem_tree_snapshot(tree);
    put_config("c", 2, "p q");
    settle();
    cr_assert_not_null(find("q"));
    lutra_mem_tree_restore(tree, snapshot);
    settle();
    cr_assert_eq(find("p")->config_version, 1);
    cr_assert_null(find("q"));
    cr_assert(find("p")->permit);
    lutra_mem_tree_free(snapshot);
}

Test(catalog, files_that_cannot_be_read_are_ignored)
{
    char path[128];
    static const char *const contents[] = {
        "", "x", "lutra-channel-cache 1 5 6 7\n{\"channel\":", "lutra-channel-cache 2 5 6\n{}"};

    begin(cache_dir, ALL);
    put_channel("c", 1, "p");
    settle();
    lutra_mem_tree_set_down(tree, true);
    for (int i = 0; i < 4; i++) {
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/bad%d.channel", cache_dir, i);
        file = fopen(path, "w");
        cr_assert_not_null(file);
        fputs(contents[i], file);
        fclose(file);
    }
    restart();
    cr_assert_eq(added, 1);
    cr_assert_not_null(find("p"));
}

Test(catalog, a_folder_that_cannot_be_written_stops_nothing)
{
    FILE *file = fopen(cache_dir, "w");

    cr_assert_null(file);
    (void)snprintf(cache_dir, sizeof(cache_dir), "/proc/none/of/ours");
    begin(cache_dir, ALL);
    put_channel("c", 1, "p");
    settle();
    cr_assert(find("p")->permit);
    delete_channel("c");
    settle();
    cr_assert_eq(removed, 1);
}

Test(catalog, follows_through_disconnections_and_expiry)
{
    begin(cache_dir, ALL);
    put_channel("c", 1, "p");
    settle();
    lutra_coord_mem_partition(coord, true);
    settle();
    put_config("c", 2, "p q");
    put_control("p", "PAUSE", 3);
    lutra_loop_run_for(loop, SESSION_MS * 3);
    cr_assert_eq(find("p")->config_version, 1);
    lutra_coord_mem_partition(coord, false);
    settle();
    cr_assert_eq(find("p")->config_version, 2);
    cr_assert_not(find("p")->permit);
    cr_assert_not_null(find("q"));
    lutra_coord_mem_expire(coord);
    settle();
    put_control("p", "START", 3);
    settle();
    cr_assert(find("p")->permit);
    cr_assert_eq(removed, 0);
}
