/* What channels this process knows, for when ZooKeeper does not: docs/PROTOCOL.md §9. */
#include <string.h>

#include "daemon/daemon_private.h"

static const char PREFIX[] = "/definitions/";

struct wanted {
    const char *name;
    struct lutra_buf json;
};

static void find(const struct lutra_channel *channel, bool unknown, void *arg)
{
    struct wanted *wanted = arg;

    (void)unknown;
    if (strcmp(channel->name, wanted->name) == 0) {
        lutra_channel_to_json(channel, &wanted->json);
    }
}

static void definition(struct lutra_http_request *request, void *arg)
{
    struct lutra_daemon *daemon = arg;
    struct wanted wanted = {.name = lutra_http_path(request) + sizeof(PREFIX) - 1};

    if (strcmp(lutra_http_method(request), "GET") != 0) {
        lutra_http_reply_error(request, 405, "config", "%.200s: only GET",
                               lutra_http_path(request));
        return;
    }
    lutra_catalog_definitions(daemon->service->catalog(daemon->state), find, &wanted);
    if (wanted.json.len == 0) {
        lutra_http_reply_error(request, 404, "not_found", "no channel %.100s is known here",
                               wanted.name);
    } else {
        lutra_http_reply_text(request, 200, "application/json", lutra_buf_cstr(&wanted.json));
    }
    lutra_buf_fini(&wanted.json);
}

static void add(const struct lutra_channel *channel, bool unknown, void *arg)
{
    json_t *pipelines = json_array();

    for (size_t i = 0; i < channel->n_pipelines; i++) {
        json_array_append_new(pipelines, json_string(channel->pipelines[i].name));
    }
    json_array_append_new(arg, json_pack("{s:s, s:I, s:b, s:o}", "channel", channel->name,
                                         "version", (json_int_t)channel->version,
                                         "unknown_to_zookeeper", unknown, "pipelines", pipelines));
}

void lutra_daemon_definitions_json(const struct lutra_daemon *daemon, json_t *root)
{
    json_t *array;

    if (daemon->service->catalog != NULL) {
        array = json_array();
        lutra_catalog_definitions(daemon->service->catalog(daemon->state), add, array);
        json_object_set_new(root, "definitions", array);
    }
}

void lutra_daemon_definitions_route(struct lutra_daemon *daemon)
{
    if (daemon->service->catalog != NULL) {
        lutra_http_server_route(daemon->http, PREFIX, definition, daemon);
    }
}
