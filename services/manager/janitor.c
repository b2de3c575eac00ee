/* What deleted pipelines left behind: topics, committed offsets, znodes, checkpoint rows and locks
 * whose names are exactly Lutra's and that no channel has.
 *
 * GET /v1/janitor      nodes afresh -> /lutra/media -> channels and their definitions ->
 *                      /lutra/pipelines -> topics and offsets of each bus -> rows and locks of
 *                      each target -> the list
 * POST .../remove      the same again, then what is asked for and still in the list, one by one
 *
 * A pipeline is known when a definition in ZooKeeper or in the cache of a node that answers has it,
 * and taken for another installation's when somebody wrote its checkpoint a moment ago. While a
 * definition cannot be read, or a node that is registered does not answer, nothing is removed.
 *
 * The record of a media group is left over when no definition in ZooKeeper has such a group, and no
 * node knows a channel that ZooKeeper does not: that one's groups are not known. Records are read
 * before the definitions, and deleted as read: one that was switched since then is in use. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bus/pipe.h"
#include "db/leftovers.h"
#include "manager/janitor_private.h"

static const char PATH[] = "/v1/janitor", REMOVE[] = "/v1/janitor/remove";
static const char *const stages[] = {"extract", "transform", "load", "termin"};
static const char *const groups[] = {"lutra-select", "lutra-extract", "lutra-transform",
                                     "lutra-load"};
enum { N_STAGES = 4, N_GROUPS = 4, ALIVE_MS = 600000 };

void mgr_janitor_free(struct jan *jan)
{
    if (jan == NULL) {
        return;
    }
    json_t *const all[] = {jan->wanted,  jan->pipelines, jan->channels, jan->media,
                           jan->defined, jan->records,   jan->alive,    jan->buses,
                           jan->items,   jan->warnings,  jan->removed,  jan->failed};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        json_decref(all[i]);
    }
    for (size_t i = 0; i < jan->n_targets; i++) {
        lutra_leftovers_free(jan->targets[i].leftovers);
    }
    lutra_free(jan->targets);
    lutra_free(jan);
}

static void warn(struct jan *jan, const char *fmt, ...) LUTRA_PRINTF(2, 3);
static void warn(struct jan *jan, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_array_append_new(jan->warnings, json_string(text));
}

static void put(json_t *set, const char *name)
{
    json_object_set_new(set, name, json_true());
}

static bool has(const json_t *set, const char *name)
{
    return json_object_get(set, name) != NULL;
}

/* Exactly a name of a pipeline's, and nobody's. */
static bool is_orphan(const struct jan *jan, const char *pipeline)
{
    return lutra_name_valid(pipeline) && !has(jan->pipelines, pipeline);
}

/* The pipeline of "lutra.<pipeline>.<stage>"; false: it is not such a name. */
static bool topic_pipeline(const char *topic, char pipeline[64])
{
    const char *dot = strrchr(topic, '.');
    size_t len;

    if (strncmp(topic, "lutra.", 6) != 0 || dot == NULL || dot <= topic + 6) {
        return false;
    }
    len = (size_t)(dot - topic) - 6;
    if (len >= 64) {
        return false;
    }
    memcpy(pipeline, topic + 6, len);
    pipeline[len] = '\0';
    for (size_t i = 0; i < N_STAGES; i++) {
        if (strcmp(dot + 1, stages[i]) == 0) {
            return lutra_name_valid(pipeline);
        }
    }
    return false;
}

/* where: the bus, the target or "". */
static void
found(struct jan *jan, const char *kind, const char *name, const char *where, const char *pipeline)
{
    json_array_append_new(jan->items, json_pack("{s:s, s:s, s:s, s:s}", "kind", kind, "name", name,
                                                "where", where, "pipeline", pipeline));
}

/* ---- the list is complete ---- */

/* Not of pipelines that somebody works for. */
static void drop_alive(struct jan *jan)
{
    for (size_t i = json_array_size(jan->items); i-- > 0;) {
        const char *pipeline =
            json_string_value(json_object_get(json_array_get(jan->items, i), "pipeline"));

        if (has(jan->alive, pipeline)) {
            json_array_remove(jan->items, i);
        }
    }
}

static void complete(struct mgr_op *op)
{
    struct jan *jan = op->jan;

    drop_alive(jan);
    if (jan->wanted == NULL) {
        mgr_op_answer(op, json_pack("{s:O, s:O, s:b}", "items", jan->items, "warnings",
                                    jan->warnings, "removable", !jan->blocked));
        return;
    }
    jan_remove(op);
}

/* ---- targets ---- */

struct lutra_leftovers *jan_target_named(struct jan *jan, const char *name)
{
    for (size_t i = 0; i < jan->n_targets; i++) {
        if (strcmp(jan->targets[i].name, name) == 0) {
            return jan->targets[i].leftovers;
        }
    }
    return NULL;
}

static void list_next_target(struct mgr_op *op);

static void found_locks(struct jan *jan, const struct lutra_leftover *one, const char *target)
{
    for (unsigned n = 0; n < LUTRA_LEFTOVER_LOCKS; n++) {
        LUTRA_AUTO_FREE char *name = lutra_asprintf("lutra.%s.%u", one->pipeline, n);

        if (one->locks[n] != 0) {
            found(jan, "lock", name, target, one->pipeline);
            json_t *item = json_array_get(jan->items, json_array_size(jan->items) - 1);
            json_object_set_new(item, "lock", json_integer((json_int_t)n));
            json_object_set_new(item, "connection", json_integer((json_int_t)one->locks[n]));
        }
    }
}

static void
on_leftovers(const struct lutra_leftover *list, size_t n, const struct lutra_error *err, void *arg)
{
    struct mgr_op *op = arg;
    struct jan *jan = op->jan;
    const char *target = jan->targets[jan->i++].name;

    if (err != NULL) {
        warn(jan, "target %s is not looked at: %s", target, err->msg);
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_orphan(jan, list[i].pipeline)) {
            continue;
        }
        if (list[i].idle_ms < ALIVE_MS) {
            put(jan->alive, list[i].pipeline);
            warn(jan,
                 "pipeline %s is left alone: its checkpoint at %s was written %" PRId64
                 " s ago (another installation's, or deleted just now)",
                 list[i].pipeline, target, list[i].idle_ms / 1000);
            continue;
        }
        found(jan, "checkpoint", list[i].pipeline, target, list[i].pipeline);
        found_locks(jan, &list[i], target);
    }
    list_next_target(op);
}

static void list_next_target(struct mgr_op *op)
{
    struct jan *jan = op->jan;

    if (jan->i < jan->n_targets) {
        lutra_leftovers_list(jan->targets[jan->i].leftovers, on_leftovers, op);
    } else {
        complete(op);
    }
}

static void add_target(struct lutra_pipeline *pipeline, void *arg)
{
    struct mgr_op *op = arg;
    struct jan *jan = op->jan;
    struct lutra_error err = {0};
    struct lutra_endpoint *endpoint = lutra_endpoint_resolve(lutra_pipeline_target(pipeline),
                                                             pipeline->target_media.member, &err);
    char name[160];

    if (endpoint == NULL) {
        warn(jan, "the target of pipeline %s is not looked at: %s", pipeline->id, err.msg);
        return;
    }
    if (endpoint->socket != NULL) {
        mgr_text_copy(name, sizeof(name), endpoint->socket);
    } else {
        snprintf(name, sizeof(name), "%.140s:%u", endpoint->host, endpoint->port);
    }
    if (jan_target_named(jan, name) == NULL) {
        jan->targets = lutra_realloc(jan->targets, (jan->n_targets + 1) * sizeof(jan->targets[0]));
        struct jan_target *target = &jan->targets[jan->n_targets++];
        mgr_text_copy(target->name, sizeof(target->name), name);
        target->leftovers = lutra_leftovers_new(op->manager->options.loop, endpoint);
    }
    lutra_endpoint_free(endpoint);
}

static void list_targets(struct mgr_op *op)
{
    struct jan *jan = op->jan;

    if (op->manager->options.looks_into_targets) {
        lutra_catalog_each(op->manager->catalog, add_target, op);
    }
    jan->i = 0;
    list_next_target(op);
}

/* ---- buses ---- */

static void list_next_bus(struct mgr_op *op);
static void list_next_group(struct mgr_op *op);

static const char *bus_name(const struct jan *jan)
{
    return json_string_value(json_array_get(jan->buses, jan->i));
}

static void bus_away(struct mgr_op *op, const struct lutra_error *err)
{
    warn(op->jan, "bus %s is not looked at: %s", bus_name(op->jan), err->msg);
    op->jan->i++;
    list_next_bus(op);
}

static void on_group(const char *const *names, size_t n, const struct lutra_error *err, void *arg)
{
    struct mgr_op *op = arg;
    struct jan *jan = op->jan;
    char pipeline[64];

    if (err != NULL) {
        bus_away(op, err);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (topic_pipeline(names[i], pipeline) && is_orphan(jan, pipeline)) {
            LUTRA_AUTO_FREE char *name = lutra_asprintf("%s/%s", groups[jan->k], names[i]);

            found(jan, "offsets", name, bus_name(jan), pipeline);
        }
    }
    jan->k++;
    list_next_group(op);
}

static void list_next_group(struct mgr_op *op)
{
    struct jan *jan = op->jan;
    struct lutra_error err = {0};
    struct lutra_bus *bus = lutra_buses_get(op->manager->options.buses, bus_name(jan), &err);

    if (bus == NULL) {
        bus_away(op, &err);
    } else if (jan->k == N_GROUPS) {
        jan->i++;
        list_next_bus(op);
    } else {
        lutra_bus_group_topics(bus, groups[jan->k], on_group, op);
    }
}

static void on_topics(const char *const *names, size_t n, const struct lutra_error *err, void *arg)
{
    struct mgr_op *op = arg;
    struct jan *jan = op->jan;
    char pipeline[64];

    if (err != NULL) {
        bus_away(op, err);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (topic_pipeline(names[i], pipeline) && is_orphan(jan, pipeline)) {
            found(jan, "topic", names[i], bus_name(jan), pipeline);
        }
    }
    jan->k = 0;
    list_next_group(op);
}

static void list_next_bus(struct mgr_op *op)
{
    struct jan *jan = op->jan;
    struct lutra_error err = {0};
    struct lutra_bus *bus;

    if (jan->i == json_array_size(jan->buses)) {
        list_targets(op);
        return;
    }
    bus = lutra_buses_get(op->manager->options.buses, bus_name(jan), &err);
    if (bus == NULL) {
        bus_away(op, &err);
    } else {
        lutra_bus_list_topics(bus, on_topics, op);
    }
}

/* ---- ZooKeeper ---- */

static bool knows_all_groups(struct jan *jan)
{
    const char *channel;
    json_t *unused;

    json_object_foreach(jan->channels, channel, unused)
    {
        if (!has(jan->defined, channel)) {
            warn(
                jan,
                "records of media groups are left alone: ZooKeeper does not know channel %s, which "
                "may have some",
                channel);
            return false;
        }
    }
    return true;
}

static void list_records(struct jan *jan)
{
    const char *key;
    json_t *version;

    if (json_object_size(jan->records) == 0 || !knows_all_groups(jan)) {
        return;
    }
    json_object_foreach(jan->records, key, version)
    {
        LUTRA_AUTO_FREE char *path = lutra_asprintf("/lutra/media/%s", key);

        if (!has(jan->media, key)) {
            found(jan, "znode", path, "", "");
            json_object_set(json_array_get(jan->items, json_array_size(jan->items) - 1), "version",
                            version);
        }
    }
}

static void on_pipelines(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    for (size_t i = 0; i < result->n_children; i++) {
        if (is_orphan(op->jan, result->children[i])) {
            LUTRA_AUTO_FREE char *path = lutra_asprintf("/lutra/pipelines/%s", result->children[i]);

            found(op->jan, "znode", path, "", result->children[i]);
        }
    }
    list_records(op->jan);
    op->jan->i = 0;
    list_next_bus(op);
}

static void read_next_channel(struct mgr_op *op);

static void add_bus(struct jan *jan, const char *name)
{
    const json_t *there;
    size_t i;

    json_array_foreach(jan->buses, i, there)
    {
        if (strcmp(json_string_value(there), name) == 0) {
            return;
        }
    }
    json_array_append_new(jan->buses, json_string(name));
}

static void learn(struct jan *jan, const struct lutra_channel *channel)
{
    put(jan->channels, channel->name);
    for (size_t i = 0; i < channel->n_pipelines; i++) {
        put(jan->pipelines, channel->pipelines[i].name);
        add_bus(jan, channel->pipelines[i].source_bus);
        add_bus(jan, channel->pipelines[i].target_bus);
    }
    for (size_t i = 0; i < channel->n_endpoints; i++) {
        if (channel->endpoints[i].group != NULL) {
            put(jan->media, channel->endpoints[i].group);
        }
    }
}

static void on_config(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    const char *name = op->names[op->next_name - 1];
    struct lutra_error err = {0};

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_NO_NODE) {
        if (lutra_name_valid(name) && !has(op->jan->channels, name)) {
            LUTRA_AUTO_FREE char *path = lutra_asprintf("/lutra/channels/%s", name);

            found(op->jan, "znode", path, "", "");
        }
    } else {
        struct lutra_channel *channel = lutra_channel_parse(result->data, result->len, name, &err);

        if (channel == NULL) {
            op->jan->blocked = true;
            put(op->jan->channels, name);
            warn(op->jan, "the definition of channel %s cannot be read: %s", name, err.msg);
        } else {
            put(op->jan->defined, channel->name);
            learn(op->jan, channel);
            lutra_channel_free(channel);
        }
    }
    read_next_channel(op);
}

static void read_next_channel(struct mgr_op *op)
{
    char path[256];

    if (op->next_name == op->n_names) {
        lutra_coord_children(op->manager->options.coord, "/lutra/pipelines", NULL, on_pipelines,
                             op);
        return;
    }
    lutra_coord_get(op->manager->options.coord,
                    lutra_path_channel(op->names[op->next_name++], "config", path), NULL, on_config,
                    op);
}

static void on_channels(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    mgr_op_set_names(op, result->n_children);
    for (size_t i = 0; i < result->n_children; i++) {
        op->names[i] = lutra_strdup(result->children[i]);
    }
    read_next_channel(op);
}

static void read_next_record(struct mgr_op *op);

static void on_record(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_OK) {
        json_object_set_new(op->jan->records, op->names[op->next_name - 1],
                            json_integer(result->stat.version));
    }
    read_next_record(op);
}

static void read_next_record(struct mgr_op *op)
{
    LUTRA_AUTO_FREE char *path = NULL;

    if (op->next_name == op->n_names) {
        lutra_coord_children(op->manager->options.coord, "/lutra/channels", NULL, on_channels, op);
        return;
    }
    path = lutra_asprintf("/lutra/media/%s", op->names[op->next_name++]);
    lutra_coord_get(op->manager->options.coord, path, NULL, on_record, op);
}

static void on_records(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    size_t n = 0;

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    mgr_op_set_names(op, result->n_children);
    for (size_t i = 0; i < result->n_children; i++) {
        if (lutra_group_key_valid(result->children[i])) {
            op->names[n++] = lutra_strdup(result->children[i]);
        }
    }
    op->n_names = n;
    read_next_record(op);
}

/* ---- the caches of nodes ---- */

static void add_cached(const struct mgr_node *node, void *arg)
{
    struct jan *jan = arg;
    const json_t *definition, *pipeline;
    size_t i, k;

    if (node->vanished_ms != 0 || strcmp(node->service, "manager") == 0) {
        return;
    }
    if (!node->answers) {
        jan->blocked = true;
        warn(jan, "%s %s does not answer: what it knows is not known", node->service,
             node->instance);
        return;
    }
    json_array_foreach(json_object_get(node->root, "definitions"), i, definition)
    {
        const char *channel = json_string_value(json_object_get(definition, "channel"));

        if (channel != NULL) {
            put(jan->channels, channel);
        }
        json_array_foreach(json_object_get(definition, "pipelines"), k, pipeline)
        {
            if (json_is_string(pipeline)) {
                put(jan->pipelines, json_string_value(pipeline));
            }
        }
    }
}

static void own_definition(const struct lutra_channel *channel, bool unknown, void *arg)
{
    (void)unknown;
    learn(arg, channel);
}

static void look(struct mgr_op *op)
{
    struct jan *jan = op->jan;

    mgr_nodes_each(op->manager->nodes, add_cached, jan);
    lutra_catalog_definitions(op->manager->catalog, own_definition, jan);
    lutra_coord_children(op->manager->options.coord, "/lutra/media", NULL, on_records, op);
}

/* ---- routes ---- */

static struct mgr_op *
janitor_new(struct lutra_manager *manager, struct lutra_http_request *request, json_t *wanted)
{
    struct mgr_op *op = mgr_op_new(manager, request, "janitor", look);

    op->jan = LUTRA_NEW(struct jan);
    op->jan->wanted = wanted;
    op->jan->pipelines = json_object();
    op->jan->channels = json_object();
    op->jan->media = json_object();
    op->jan->defined = json_object();
    op->jan->records = json_object();
    op->jan->alive = json_object();
    op->jan->buses = json_pack("[s]", LUTRA_BUS_DEFAULT);
    op->jan->items = json_array();
    op->jan->warnings = json_array();
    op->jan->removed = json_array();
    op->jan->failed = json_array();
    return op;
}

static void
list(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    (void)name;
    mgr_op_submit(janitor_new(manager, request, NULL));
}

static void
remove_items(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    json_t *body = mgr_body_object(request);
    json_t *items = json_object_get(body, "items");
    struct mgr_op *op;

    (void)name;
    if (body == NULL) {
        return;
    }
    if (!json_is_array(items)) {
        lutra_http_reply_error(request, 400, "config", "items: expected a list, as GET %s gives it",
                               PATH);
        json_decref(body);
        return;
    }
    op = janitor_new(manager, request, json_incref(items));
    mgr_op_take_by(op, body);
    json_decref(body);
    mgr_op_submit(op);
}

bool mgr_janitor_route(struct lutra_manager *manager, struct lutra_http_request *request)
{
    const char *path = lutra_http_path(request);

    if (strcmp(path, PATH) == 0) {
        if (mgr_is_method(request, "GET")) {
            mgr_refresh_then(manager, request, "", list);
        }
        return true;
    }
    if (strcmp(path, REMOVE) == 0) {
        if (mgr_is_method(request, "POST") && mgr_may_write(manager, request)) {
            mgr_refresh_then(manager, request, "", remove_items);
        }
        return true;
    }
    return false;
}
