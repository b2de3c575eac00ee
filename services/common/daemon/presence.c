/* What a process says of itself in ZooKeeper: that it is there, an ephemeral node; and, when it
 * ends in good order, a mark that outlives it: the same record, persistent. A process that crashed
 * leaves none, and the mark of a former one under the same name says another pid and start. So
 * managers tell who was taken away from who was lost (docs/PROTOCOL.md §6.7). */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon_private.h"
#include "model/records.h"

static void record(const struct lutra_daemon *daemon, struct lutra_buf *json)
{
    struct lutra_node_record node = {.pid = getpid(), .started_ms = daemon->started_ms};

    snprintf(node.service, sizeof(node.service), "%s", daemon->service->name);
    snprintf(node.instance, sizeof(node.instance), "%s", daemon->instance);
    snprintf(node.host, sizeof(node.host), "%s", daemon->host);
    snprintf(node.site, sizeof(node.site), "%s", daemon->config->site);
    snprintf(node.version, sizeof(node.version), "%s", LUTRA_VERSION);
    snprintf(node.http, sizeof(node.http), "%.*s", (int)sizeof(node.http) - 1, daemon->advertised);
    lutra_node_to_json(&node, json);
}

void lutra_daemon_register(struct lutra_daemon *daemon)
{
    LUTRA_AUTO_FREE char *path =
        lutra_asprintf("/lutra/nodes/%s/%s", daemon->service->name, daemon->instance);
    struct lutra_buf json = {0};

    record(daemon, &json);
    daemon->registration = lutra_registration_new(daemon->env.coord, path, lutra_buf_cstr(&json));
    lutra_buf_fini(&json);
}

static void write_mark(struct lutra_daemon *daemon, bool exists);

static void on_created(const struct lutra_coord_result *result, void *arg)
{
    if (result->rc == LUTRA_COORD_NODE_EXISTS) {
        write_mark(arg, true);
    } else {
        lutra_daemon_departed(arg, result->rc == LUTRA_COORD_OK);
    }
}

static void on_set(const struct lutra_coord_result *result, void *arg)
{
    if (result->rc == LUTRA_COORD_NO_NODE) {
        write_mark(arg, false);
    } else {
        lutra_daemon_departed(arg, result->rc == LUTRA_COORD_OK);
    }
}

/* exists: that of a former process of this name is there. */
static void write_mark(struct lutra_daemon *daemon, bool exists)
{
    LUTRA_AUTO_FREE char *path =
        lutra_asprintf("/lutra/departed/%s-%s", daemon->service->name, daemon->instance);
    struct lutra_buf json = {0};

    record(daemon, &json);
    if (exists) {
        lutra_coord_set(daemon->env.coord, path, lutra_buf_cstr(&json), json.len, -1, on_set,
                        daemon);
    } else {
        lutra_coord_create(daemon->env.coord, path, lutra_buf_cstr(&json), json.len, 0, on_created,
                           daemon);
    }
    lutra_buf_fini(&json);
}

void lutra_daemon_depart(struct lutra_daemon *daemon)
{
    if (lutra_coord_state_of(daemon->env.coord) == LUTRA_COORD_CONNECTED) {
        write_mark(daemon, false);
    } else {
        lutra_daemon_departed(daemon, false);
    }
}
