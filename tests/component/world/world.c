#include "world.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "base/mem.h"
#include "extract/extract.h"
#include "load/load.h"
#include "model/channel.h"
#include "model/records.h"
#include "select/select.h"
#include "transform/transform.h"

#define SESSION_MS 2000u

uint64_t world_random(struct world *w, uint64_t below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % below;
}

/* ---- nodes ---- */

static struct lutra_source *
source_new(const struct lutra_env *env, const struct lutra_endpoint *endpoint, const char *pipeline)
{
    struct world_node *node = env->ports_arg;
    (void)endpoint;
    (void)pipeline;
    return lutra_source_mem_new(node->world->binlog);
}

static struct lutra_target *target_new(const struct lutra_env *env,
                                       const struct lutra_endpoint *endpoint,
                                       const char *pipeline,
                                       const struct lutra_pipeline_def *def)
{
    struct world_node *node = env->ports_arg;
    struct lutra_mem_db *db = node->world->db;
    (void)def;
    if (endpoint->member != NULL) {
        db = endpoint->member[0] == 'b' ? node->world->member_b : node->world->member_a;
        cr_assert_not_null(db, "connected to member %s", endpoint->member);
    }
    node->target = lutra_target_mem_new(db, pipeline);
    return node->target;
}

/* A scout that sees what the test says. */
struct world_scout {
    struct lutra_scout scout;
    struct world *world;
    struct lutra_timer *timer;
    char member[64]; /* "": all */
    void (*done)(const struct lutra_member_view *, size_t, void *);
    void *arg;
};

static void on_looked(void *arg)
{
    struct world_scout *s = arg;
    const struct lutra_member_view *views = s->world->views;
    size_t n = 3;
    for (size_t i = 0; s->member[0] && i < 3; i++) {
        if (strcmp(s->world->views[i].name, s->member) == 0) {
            views = &s->world->views[i];
            n = 1;
        }
    }
    s->done(views, n, s->arg);
}

static void scout_look(struct lutra_scout *scout,
                       const char *member,
                       const char *position,
                       void (*done)(const struct lutra_member_view *, size_t, void *),
                       void *arg)
{
    struct world_scout *s = (struct world_scout *)scout;
    (void)position;
    (void)snprintf(s->member, sizeof s->member, "%s", member != NULL ? member : "");
    s->done = done;
    s->arg = arg;
    lutra_timer_start(s->timer, 10);
}

static void scout_free(struct lutra_scout *scout)
{
    struct world_scout *s = (struct world_scout *)scout;
    lutra_timer_free(s->timer);
    lutra_free(s);
}

static struct lutra_scout *
scout_new(const struct lutra_env *env, const struct lutra_endpoint *group, const char *pipeline)
{
    static const struct lutra_scout_ops ops = {.look = scout_look, .free = scout_free};
    struct world_node *node = env->ports_arg;
    struct world_scout *s = LUTRA_NEW(struct world_scout);
    cr_assert_eq(group->n_members, 3);
    cr_assert_str_eq(pipeline, WORLD_PIPELINE, "a target");
    s->scout.ops = &ops;
    s->world = node->world;
    s->timer = lutra_timer_new(env->loop, on_looked, s);
    return &s->scout;
}

/* As the daemon opens it by the configuration. */
static struct lutra_bus *open_bus(const char *name, void *arg, struct lutra_error *err)
{
    struct world_node *node = arg;
    if (strcmp(name, "far") != 0 || node->lacks_far) {
        lutra_error_set(err, LUTRA_CONFIG, 0, "bus %s is not configured", name);
        return NULL;
    }
    node->far_tries++;
    if (node->short_for_far) {
        lutra_error_set(err, LUTRA_RETRY, 0, "bus far: no threads");
        return NULL;
    }
    node->far_bus = lutra_bus_mem_new(node->world->far, node->instance);
    return node->far_bus;
}

static const struct lutra_service *service_of(const struct world_node *node)
{
    static const struct lutra_service *const services[LUTRA_N_STAGES] = {
        [LUTRA_STAGE_SELECT] = &lutra_select_service,
        [LUTRA_STAGE_EXTRACT] = &lutra_extract_service,
        [LUTRA_STAGE_TRANSFORM] = &lutra_transform_service,
        [LUTRA_STAGE_LOAD] = &lutra_load_service,
    };
    return services[node->stage];
}

static void node_up(struct world_node *node)
{
    static const struct lutra_stage_config none;
    struct world *w = node->world;
    node->env = (struct lutra_env){
        .loop = w->loop,
        .coord = lutra_coord_mem_new(w->tree, SESSION_MS),
        .buses = lutra_buses_new(w->loop, open_bus, node),
        .metrics = lutra_metrics_new(),
        .instance = node->instance,
        .site = node->stage == LUTRA_STAGE_LOAD ? w->target_site : w->source_site,
        .source_new = source_new,
        .target_new = target_new,
        .scout_new = scout_new,
        .ports_arg = node,
    };
    node->bus = lutra_bus_mem_new(w->broker, node->instance);
    lutra_buses_put(node->env.buses, "default", node->bus);
    node->far_bus = NULL;
    if (!node->lacks_far && !node->short_for_far) {
        node->far_bus = lutra_bus_mem_new(w->far, node->instance);
        lutra_buses_put(node->env.buses, "far", node->far_bus);
    }
    node->target = NULL;
    (void)service_of(node)->start(NULL, &node->env, &none, &node->service, NULL);
    node->alive = true;
}

static void node_down(struct world_node *node)
{
    service_of(node)->stop(node->service);
    lutra_buses_free(node->env.buses);
    lutra_coord_free(node->env.coord);
    lutra_metrics_free(node->env.metrics);
    node->alive = false;
}

static struct world_node *node_new(struct world *w, enum lutra_stage stage, const char *instance)
{
    cr_assert_lt(w->n, WORLD_NODES);
    struct world_node *node = &w->nodes[w->n++];
    node->world = w;
    node->stage = stage;
    (void)snprintf(node->instance, sizeof node->instance, "%s", instance);
    return node;
}

struct world_node *world_start(struct world *w, enum lutra_stage stage, const char *instance)
{
    struct world_node *node = node_new(w, stage, instance);
    node_up(node);
    return node;
}

struct world_node *
world_start_without_far(struct world *w, enum lutra_stage stage, const char *instance)
{
    struct world_node *node = node_new(w, stage, instance);
    node->lacks_far = true;
    node_up(node);
    return node;
}

struct world_node *
world_start_short_for_far(struct world *w, enum lutra_stage stage, const char *instance)
{
    struct world_node *node = node_new(w, stage, instance);
    node->short_for_far = true;
    node_up(node);
    return node;
}

void world_kill(struct world_node *node)
{
    if (node->alive) {
        lutra_coord_mem_kill(node->env.coord);
        lutra_bus_mem_kill(node->bus);
        if (node->far_bus != NULL) {
            lutra_bus_mem_kill(node->far_bus);
        }
        node_down(node);
    }
    node->frozen = false;
}

void world_freeze(struct world_node *node)
{
    if (node->alive && node->target != NULL && !node->frozen) {
        node->frozen = true;
        lutra_coord_mem_expire_silently(node->env.coord);
        lutra_target_mem_freeze(node->target, true);
    }
}

void world_thaw(struct world_node *node)
{
    if (node->frozen) {
        node->frozen = false;
        lutra_target_mem_freeze(node->target, false);
    }
}

void world_restart(struct world_node *node)
{
    if (!node->alive) {
        node_up(node);
    }
}

void world_start_all(struct world *w, bool standbys)
{
    (void)world_start(w, LUTRA_STAGE_SELECT, "select-1");
    (void)world_start(w, LUTRA_STAGE_EXTRACT, "extract-1");
    (void)world_start(w, LUTRA_STAGE_EXTRACT, "extract-2");
    (void)world_start(w, LUTRA_STAGE_TRANSFORM, "transform-1");
    (void)world_start(w, LUTRA_STAGE_TRANSFORM, "transform-2");
    (void)world_start(w, LUTRA_STAGE_LOAD, "load-1");
    if (standbys) {
        (void)world_start(w, LUTRA_STAGE_SELECT, "select-2");
        (void)world_start(w, LUTRA_STAGE_LOAD, "load-2");
    }
}

/* ---- ZooKeeper ---- */

void world_desire(struct world *w, const char *state)
{
    char json[128];
    (void)snprintf(json, sizeof json, "{\"state\":\"%s\",\"by\":\"test\",\"at_ms\":1}", state);
    lutra_mem_tree_poke(w->tree, "/lutra/channels/c/desired", json);
}

const char *world_record(struct world *w, const char *leaf)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/lutra/pipelines/" WORLD_PIPELINE "/%s", leaf);
    return lutra_mem_tree_peek(w->tree, path);
}

void world_request(struct world *w, bool start)
{
    struct lutra_control control = {0};
    struct lutra_origin origin = {0};
    struct lutra_error err = {0};
    struct lutra_buf json = {0};
    const char *text = world_record(w, "control");
    cr_assert_not_null(text);
    cr_assert_eq(lutra_control_from_json(text, strlen(text), &control, &err), 0, "%s", err.msg);
    text = world_record(w, "origin");
    if (text != NULL) {
        cr_assert_eq(lutra_origin_from_json(text, strlen(text), &origin, &err), 0, "%s", err.msg);
    }
    control.epoch = (control.epoch > origin.epoch ? control.epoch : origin.epoch) + 1;
    control.start = start;
    control.retry_at_ms = 0;
    lutra_control_to_json(&control, &json);
    lutra_mem_tree_poke(w->tree, "/lutra/pipelines/" WORLD_PIPELINE "/control",
                        lutra_buf_cstr(&json));
    lutra_buf_fini(&json);
    lutra_origin_fini(&origin);
}

void world_restore_zookeeper(struct world *w, const struct lutra_mem_tree *snapshot)
{
    world_audit_zookeeper_restored(w->audit);
    lutra_mem_tree_restore(w->tree, snapshot);
}

void world_restore_target(struct world *w, const struct lutra_mem_db *backup)
{
    world_audit_target_restored(w->audit);
    lutra_mem_db_restore(w->db, backup);
}

void world_define(struct world *w, const char *yaml)
{
    struct lutra_error err = {0};
    struct lutra_buf json = {0};
    LUTRA_AUTO_FREE char *text = lutra_asprintf(
        "channel: c\nsources:\n  s: {type: mariadb, host: s, user: u}\n"
        "  t: %s\npipelines:\n  - name: " WORLD_PIPELINE
        "\n    source: s\n    target: t\n    start: earliest\n    partitions: 4\n%s"
        "    pairs:\n      - source: {schema: shop, table: \"*\"}\n",
        w->target_yaml != NULL ? w->target_yaml : "{type: mariadb, host: t, user: u}", yaml);
    struct lutra_channel *channel = lutra_channel_parse(text, strlen(text), "test", &err);
    cr_assert_not_null(channel, "%s", err.msg);
    channel->version = ++w->config_version;
    (void)snprintf(w->source_site, sizeof w->source_site, "%s", channel->pipelines[0].source_site);
    (void)snprintf(w->target_site, sizeof w->target_site, "%s", channel->pipelines[0].target_site);
    w->uses_far |= strcmp(channel->pipelines[0].source_bus, "far") == 0 ||
                   strcmp(channel->pipelines[0].target_bus, "far") == 0;
    lutra_channel_to_json(channel, &json);
    lutra_mem_tree_poke(w->tree, "/lutra/channels/c/config", lutra_buf_cstr(&json));
    lutra_buf_fini(&json);
    lutra_channel_free(channel);
}

/* ---- life ---- */

static void serve(struct world *w)
{
    /* Every event of the built file goes into the binlog in memory. */
    while (w->served < w->file.bytes.len) {
        const uint8_t *event = w->file.bytes.data + w->served;
        uint32_t size = (uint32_t)event[9] | (uint32_t)event[10] << 8 | (uint32_t)event[11] << 16 |
                        (uint32_t)event[12] << 24;
        (void)lutra_mem_binlog_append(w->binlog, event, size);
        w->served += size;
    }
}

struct world *world_new(uint64_t seed, const char *yaml)
{
    struct world *w = LUTRA_NEW(struct world);
    w->random = seed * 2654435761u + 88172645463325252u;
    w->loop = lutra_loop_new_sim(seed);
    w->broker = lutra_mem_broker_new(w->loop);
    w->far = lutra_mem_broker_new(w->loop);
    w->tree = lutra_mem_tree_new(w->loop);
    w->binlog = lutra_mem_binlog_new(w->loop, "mariadb:test");
    w->db = lutra_mem_db_new(w->loop);
    w->keyed = binlog_table("shop", "keyed", "id BIGINT KEY, v BIGINT, t VARCHAR(40)");
    w->bag = binlog_table("shop", "bag", "a INT NULL, b VARCHAR(10)");
    binlog_file_init(&w->file, "binlog.000001", 1, false);
    w->audit = world_audit_new(w);
    w->served = 4; /* the magic number is no event */
    serve(w);
    world_desire(w, "START");
    lutra_mem_tree_poke(w->tree, "/lutra/pipelines/" WORLD_PIPELINE "/control",
                        "{\"state\":\"START\",\"epoch\":0,\"reason\":\"\",\"retry_at_ms\":0,"
                        "\"attempt\":0,\"by\":\"test\",\"at_ms\":1}");
    world_define(w, yaml);
    return w;
}

void world_free(struct world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        world_kill(&w->nodes[i]);
    }
    world_audit_free(w->audit);
    if (w->snapshot != NULL) {
        lutra_mem_tree_free(w->snapshot);
    }
    if (w->member_a != w->db) {
        lutra_mem_db_free(w->member_a);
    }
    if (w->member_b != w->db) {
        lutra_mem_db_free(w->member_b);
    }
    lutra_mem_db_free(w->db);
    lutra_mem_binlog_free(w->binlog);
    lutra_mem_tree_free(w->tree);
    lutra_mem_broker_free(w->broker);
    lutra_mem_broker_free(w->far);
    lutra_loop_free(w->loop);
    binlog_file_fini(&w->file);
    lutra_table_free(w->keyed);
    lutra_table_free(w->bag);
    lutra_free(w);
}

/* ---- the source ---- */

void world_begin(struct world *w)
{
    binlog_gtid(&w->file, 0, 1, ++w->seq, BINLOG_GTID_TRANSACTIONAL);
    w->in_transaction = true;
}

static const char *number(char *buf, int64_t v)
{
    (void)sprintf(buf, "%" PRId64, v);
    return buf;
}

static void keyed_image(struct world *w, struct lutra_buf *rows, unsigned key, int64_t value)
{
    char id[32], v[32], t[40];
    (void)snprintf(t, sizeof t, "value %" PRId64, value);
    binlog_row(rows, w->keyed, (const char *const[]){number(id, key), number(v, value), t});
}

static void keyed_event(struct world *w, enum lutra_rows_op op, struct lutra_buf *rows)
{
    binlog_table_map(&w->file, 17, w->keyed);
    binlog_rows(&w->file, 17, w->keyed, op, rows);
    lutra_buf_fini(rows);
}

void world_put(struct world *w, unsigned key, int64_t value)
{
    struct lutra_buf rows = {0};
    bool update = w->present[key];
    if (update) {
        keyed_image(w, &rows, key, w->value[key]);
    }
    keyed_image(w, &rows, key, value);
    keyed_event(w, update ? LUTRA_ROWS_UPDATE : LUTRA_ROWS_INSERT, &rows);
    w->present[key] = true;
    w->value[key] = value;
}

void world_remove(struct world *w, unsigned key)
{
    struct lutra_buf rows = {0};
    if (w->present[key]) {
        keyed_image(w, &rows, key, w->value[key]);
        keyed_event(w, LUTRA_ROWS_DELETE, &rows);
        w->present[key] = false;
    }
}

void world_move(struct world *w, unsigned from, unsigned to)
{
    struct lutra_buf rows = {0};
    if (w->present[from] && !w->present[to]) {
        keyed_image(w, &rows, from, w->value[from]);
        keyed_image(w, &rows, to, w->value[from]);
        keyed_event(w, LUTRA_ROWS_UPDATE, &rows);
        w->present[from] = false;
        w->present[to] = true;
        w->value[to] = w->value[from];
    }
}

void world_bag(struct world *w, unsigned n)
{
    struct lutra_buf rows = {0};
    for (unsigned i = 0; i < n; i++) {
        binlog_row(&rows, w->bag, (const char *const[]){i % 2 == 0 ? "7" : NULL, "same"});
    }
    binlog_table_map(&w->file, 18, w->bag);
    binlog_rows(&w->file, 18, w->bag, LUTRA_ROWS_INSERT, &rows);
    lutra_buf_fini(&rows);
    w->bag_rows += n;
}

void world_commit(struct world *w)
{
    binlog_xid(&w->file, w->seq);
    w->in_transaction = false;
    world_audit_source(w->audit);
    serve(w);
}

void world_transaction(struct world *w, unsigned max_rows)
{
    unsigned n = 1 + (unsigned)world_random(w, max_rows);
    world_begin(w);
    for (unsigned i = 0; i < n; i++) {
        unsigned key = (unsigned)world_random(w, WORLD_KEYS);
        switch (world_random(w, 6)) {
        case 0:
            world_remove(w, key);
            break;
        case 1:
            world_move(w, key, (unsigned)world_random(w, WORLD_KEYS));
            break;
        case 2:
            world_bag(w, 1 + (unsigned)world_random(w, 3));
            break;
        default:
            world_put(w, key, (int64_t)(w->seq * 1000 + i));
            break;
        }
    }
    world_commit(w);
}

/* ---- looking ---- */

char *world_truth(const struct world *w)
{
    struct lutra_buf text = {0};
    for (unsigned key = 0; key < WORLD_KEYS; key++) {
        if (w->present[key]) {
            lutra_buf_printf(&text, "%u=%" PRId64 "\n", key, w->value[key]);
        }
    }
    char *copy = lutra_strdup(lutra_buf_cstr(&text));
    lutra_buf_fini(&text);
    return copy;
}

static int pair_order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (x[0] > y[0]) - (x[0] < y[0]);
}

/* The target's keyed table in the truth's form; each line of the dump holds the numbers id and v
 * first. */
char *world_reality(struct world *w)
{
    struct lutra_buf dump = {0}, text = {0};
    int64_t pairs[WORLD_KEYS * 4][2];
    size_t n = 0;
    lutra_mem_db_dump(w->db, "shop", "keyed", &dump);
    char *save = NULL;
    LUTRA_AUTO_FREE char *lines = lutra_strdup(lutra_buf_cstr(&dump));
    for (char *line = strtok_r(lines, "\n", &save); line != NULL && n < WORLD_KEYS * 4;
         line = strtok_r(NULL, "\n", &save)) {
        const char *id = strstr(line, "id="), *v = strstr(line, "v=");
        cr_assert(id != NULL && v != NULL, "a line of the dump: %s", line);
        pairs[n][0] = strtoll(id + 3, NULL, 10);
        pairs[n++][1] = strtoll(v + 2, NULL, 10);
    }
    qsort(pairs, n, sizeof pairs[0], pair_order);
    for (size_t i = 0; i < n; i++) {
        lutra_buf_printf(&text, "%" PRId64 "=%" PRId64 "\n", pairs[i][0], pairs[i][1]);
    }
    char *copy = lutra_strdup(lutra_buf_cstr(&text));
    lutra_buf_fini(&dump);
    lutra_buf_fini(&text);
    return copy;
}

/* The end of the newest unit, as the history tells: "fence epoch process_id to". */
static bool history_reached(struct world *w)
{
    const char *history = lutra_mem_db_history(w->db);
    size_t len = strlen(history);
    if (len == 0) {
        return false;
    }
    const char *last = history + len - 1;
    while (last > history && last[-1] != '\n') {
        last--;
    }
    const char *colon = strchr(last, ':');
    return colon != NULL && strtoull(colon + 1, NULL, 10) >= w->file.bytes.len;
}

bool world_caught_up(void *world)
{
    struct world *w = world;
    return history_reached(w);
}

struct json_t *world_state(struct world_node *node)
{
    json_t *root = json_object();
    service_of(node)->state_json(node->service, root);
    json_t *entry = json_incref(json_array_get(json_object_get(root, "pipelines"), 0));
    json_decref(root);
    return entry;
}

bool world_state_true(struct world_node *node, const char *key)
{
    json_t *entry = world_state(node);
    bool is = json_is_true(json_object_get(entry, key));
    json_decref(entry);
    return is;
}

int64_t world_state_int(struct world_node *node, const char *key)
{
    json_t *entry = world_state(node);
    int64_t value = json_integer_value(json_object_get(entry, key));
    json_decref(entry);
    return value;
}

bool world_state_is(struct world_node *node, const char *key, const char *text, bool whole)
{
    json_t *entry = world_state(node);
    const char *value = json_string_value(json_object_get(entry, key));
    bool is = value != NULL && (whole ? strcmp(value, text) == 0 : strstr(value, text) != NULL);
    json_decref(entry);
    return is;
}

void world_settle(struct world *w, uint64_t ms)
{
    if (lutra_loop_run_until(w->loop, world_caught_up, w, ms)) {
        return;
    }
    struct lutra_buf text = {0};
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i].alive) {
            json_t *entry = world_state(&w->nodes[i]);
            char *json = entry != NULL ? json_dumps(entry, 0) : NULL;
            lutra_buf_printf(&text, "\n%s: %s", w->nodes[i].instance, json != NULL ? json : "-");
            free(json);
            json_decref(entry);
        }
    }
    const char *control = world_record(w, "control"), *origin = world_record(w, "origin");
    cr_assert(false, "not caught up in %" PRIu64 " ms of virtual time; control %s; origin %s;%s",
              ms, control != NULL ? control : "-", origin != NULL ? origin : "-",
              lutra_buf_cstr(&text));
}

void world_check(struct world *w)
{
    LUTRA_AUTO_FREE char *expected = world_truth(w);
    LUTRA_AUTO_FREE char *actual = world_reality(w);
    cr_assert_str_eq(actual, expected);
    cr_assert_eq(lutra_mem_db_rows(w->db, "shop", "bag"), w->bag_rows, "rows without a key");
}
