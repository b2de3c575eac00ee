/* Channels that nodes know from their caches, and a wiped or restored ZooKeeper does not.
 *
 * GET /v1/recover tells them; POST /v1/recover/<c> writes the newest definition that a node knows
 * into ZooKeeper again, as apply does for a new channel: desired STOP, controls, config last. It is
 * never started by that: an operator's start is, and then goes on from the target's checkpoint. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "manager/manager_private.h"

enum { FETCH_MS = 5000 };
static const char PATH[] = "/v1/recover", OF_CHANNEL[] = "/v1/recover/";

/* ---- what is known where ---- */

struct known {
    const char *channel;
    bool known;
};

static void is_known(const struct lutra_channel *channel, bool unknown, void *arg)
{
    struct known *known = arg;

    known->known = known->known || (!unknown && strcmp(channel->name, known->channel) == 0);
}

static bool known_to_zookeeper(struct lutra_manager *manager, const char *channel)
{
    struct known known = {.channel = channel};

    lutra_catalog_definitions(manager->catalog, is_known, &known);
    return known.known;
}

static json_t *entry_of(json_t *list, const char *channel)
{
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "channel")), channel) == 0) {
            return entry;
        }
    }
    entry = json_pack("{s:s, s:I, s:[], s:[]}", "channel", channel, "version", (json_int_t)0,
                      "pipelines", "nodes");
    json_array_append_new(list, entry);
    return entry;
}

struct gather {
    struct lutra_manager *manager;
    json_t *list;
};

static void add_definition(struct gather *gather,
                           const char *service,
                           const char *instance,
                           const json_t *definition)
{
    const char *channel = json_string_value(json_object_get(definition, "channel"));
    json_int_t version = json_integer_value(json_object_get(definition, "version"));
    json_t *entry;

    if (channel == NULL || !lutra_name_valid(channel) ||
        !json_is_true(json_object_get(definition, "unknown_to_zookeeper")) ||
        known_to_zookeeper(gather->manager, channel)) {
        return;
    }
    entry = entry_of(gather->list, channel);
    if (version > json_integer_value(json_object_get(entry, "version"))) {
        json_object_set_new(entry, "version", json_integer(version));
        json_object_set(entry, "pipelines", json_object_get(definition, "pipelines"));
    }
    json_array_append_new(
        json_object_get(entry, "nodes"),
        json_pack("{s:s, s:s, s:I}", "service", service, "instance", instance, "version", version));
}

static void add_node(const struct mgr_node *node, void *arg)
{
    const json_t *definition;
    size_t i;

    if (node->vanished_ms != 0 || !node->answers) {
        return;
    }
    json_array_foreach(json_object_get(node->root, "definitions"), i, definition)
    {
        add_definition(arg, node->service, node->instance, definition);
    }
}

json_t *mgr_recover_json(struct lutra_manager *manager)
{
    struct gather gather = {.manager = manager, .list = json_array()};

    mgr_nodes_each(manager->nodes, add_node, &gather);
    return json_pack("{s:o}", "channels", gather.list);
}

/* ---- one of them ---- */

static void
on_fetched(const struct lutra_http_answer *answer, const struct lutra_error *err, void *arg)
{
    struct mgr_op *op = arg;

    if (answer == NULL || answer->status != 200) {
        mgr_op_fail(op, 503, "retry", "%s does not tell its definition: %s; ask again", op->node,
                    err != NULL ? err->msg : "refused");
        return;
    }
    lutra_free(op->body);
    op->body = lutra_strndup(answer->body, answer->len);
    op->body_len = answer->len;
    mgr_op_apply(op);
}

struct newest {
    const char *channel;
    json_int_t version;
    char http[128], node[160];
};

static void find_newest(const struct mgr_node *node, void *arg)
{
    struct newest *newest = arg;
    const json_t *definition;
    size_t i;

    if (node->vanished_ms != 0 || !node->answers || !node->has_record) {
        return;
    }
    json_array_foreach(json_object_get(node->root, "definitions"), i, definition)
    {
        const char *channel = json_string_value(json_object_get(definition, "channel"));
        json_int_t version = json_integer_value(json_object_get(definition, "version"));

        if (channel != NULL && strcmp(channel, newest->channel) == 0 && version > newest->version &&
            json_is_true(json_object_get(definition, "unknown_to_zookeeper"))) {
            newest->version = version;
            mgr_text_copy(newest->http, sizeof(newest->http), node->record.http);
            snprintf(newest->node, sizeof(newest->node), "%.32s/%.64s", node->service,
                     node->instance);
        }
    }
}

static void fetch_newest(struct mgr_op *op)
{
    const struct lutra_manager_fetcher *fetcher = &op->manager->options.fetcher;
    struct newest newest = {.channel = op->name};
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/definitions/%s", op->name);

    mgr_nodes_each(op->manager->nodes, find_newest, &newest);
    if (known_to_zookeeper(op->manager, op->name)) {
        mgr_op_fail(op, 409, "conflict", "ZooKeeper knows channel %s: nothing to recover",
                    op->name);
        return;
    }
    if (newest.version == 0) {
        mgr_op_fail(op, 404, "not_found",
                    "no node that is there knows a channel %s which ZooKeeper does not know",
                    op->name);
        return;
    }
    mgr_text_copy(op->node, sizeof(op->node), newest.node);
    op->recover = true;
    fetcher->get(fetcher->port, newest.http, target, FETCH_MS, on_fetched, op);
}

static void
recover(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    json_t *body = mgr_body_object(request);
    struct mgr_op *op;

    if (body == NULL) {
        return;
    }
    op = mgr_op_new(manager, request, name, fetch_newest);
    mgr_op_take_by(op, body);
    json_decref(body);
    mgr_op_submit(op);
}

bool mgr_recover_route(struct lutra_manager *manager, struct lutra_http_request *request)
{
    const char *path = lutra_http_path(request), *name = path + sizeof(OF_CHANNEL) - 1;

    if (strcmp(path, PATH) == 0) {
        if (mgr_is_method(request, "GET")) {
            mgr_get_fresh(manager, request, mgr_recover_json);
        }
        return true;
    }
    if (strncmp(path, OF_CHANNEL, sizeof(OF_CHANNEL) - 1) != 0) {
        return false;
    }
    if (!lutra_name_valid(name)) {
        lutra_http_reply_error(request, 400, "config",
                               "\"%.100s\" is not a name: expected [a-z0-9-], at most 40", name);
    } else if (mgr_is_method(request, "POST") && mgr_may_write(manager, request)) {
        mgr_refresh_then(manager, request, name, recover);
    }
    return true;
}
