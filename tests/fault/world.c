#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/http.h"
#include "support/netns.h"
#include "support/test.h"

#define HUB_ADDRESS "10.77.0.1"
#define SERVERS_ADDRESS "10.77.0.2"

static struct lutra_netns *hub, *servers, *parties[32];
static char party_names[32][64];
static unsigned n_parties;
static const char *no_partition;

const char *world_no_partition(void)
{
    return no_partition;
}

/* Everything of this test's process happens where the servers are. */
void world_servers(void)
{
    no_partition = lutra_netns_missing();
    if (no_partition != NULL) {
        if (getenv("LUTRA_TEST_REQUIRE_SERVERS") != NULL) {
            lutra_test_fail("no network namespaces: %s", no_partition);
        }
        lutra_test_stack();
        return;
    }
    hub = lutra_netns_add_hub("hub", HUB_ADDRESS);
    servers = lutra_netns_add_party("servers", hub, SERVERS_ADDRESS);
    lutra_netns_enter(servers);
    lutra_test_stack_start(SERVERS_ADDRESS);
}

/* The namespace of an instance; the same at every start of it. */
static const struct lutra_netns *place(const char *instance)
{
    char address[16];
    for (unsigned i = 0; i < n_parties; i++) {
        if (strcmp(party_names[i], instance) == 0) {
            return parties[i];
        }
    }
    snprintf(party_names[n_parties], sizeof *party_names, "%s", instance);
    snprintf(address, sizeof address, "10.77.0.%u", n_parties + 3);
    parties[n_parties] = lutra_netns_add_party(instance, hub, address);
    return parties[n_parties++];
}

static char *endpoint(struct lutra_test_mariadb const *server)
{
    struct lutra_sql *sql = lutra_sql_open(server->socket);
    lutra_sql_exec(sql, "CREATE USER IF NOT EXISTS lutra@'%%'; GRANT ALL ON *.* TO lutra@'%%'");
    lutra_sql_close(sql);
    return lutra_test_format("{type: mariadb, host: %s, port: %u, user: lutra}", SERVERS_ADDRESS,
                             server->port);
}

void world_start(struct world *w, unsigned session_ms, uint64_t seed)
{
    static char session[64];
    static const char *const env[] = {session, "LUTRA_STANDBY_DELAY=200ms", "LUTRA_LOG_LEVEL=info",
                                      NULL};
    const struct lutra_test_stack *stack = lutra_test_stack();
    *w = (struct world){.session_ms = session_ms, .apart = no_partition == NULL};
    lutra_test_chroot_renew(); /* a world that fell leaves its channel behind */
    snprintf(session, sizeof session, "LUTRA_ZOOKEEPER_SESSION_TIMEOUT=%ums", session_ms);
    cluster_start(&w->c, &(struct cluster_options){
                             .selects = 2,
                             .extracts = 2,
                             .transforms = 2,
                             .loads = 2,
                             .managers = 2,
                             .pipeline = "    batch: {max_rows: 40}\n",
                             .env = env,
                             .place = w->apart ? place : NULL,
                             .source_endpoint = w->apart ? endpoint(&stack->source) : NULL,
                             .target_endpoint = w->apart ? endpoint(&stack->target) : NULL,
                         });
    traffic_tables(&w->c);
    /* What no pair names: read and passed over. */
    lutra_sql_exec(w->c.source, "CREATE DATABASE `%s-out`; CREATE TABLE `%s-out`.t (id INT)",
                   w->c.name, w->c.name);
    cluster_go(&w->c);
    w->traffic = traffic_start(&w->c, seed);
}

void world_end(struct world *w)
{
    if (w->traffic != NULL) {
        traffic_stop(w->traffic);
        w->traffic = NULL;
    }
    cluster_kill(&w->c);
    if (w->apart) {
        for (unsigned i = 0; i < WORLD_SERVICES * WORLD_INSTANCES; i++) {
            world_heal(w, world_process(w, i));
        }
    }
}

struct lutra_test_service *world_process(struct world *w, unsigned i)
{
    struct lutra_test_service *const all[WORLD_SERVICES] = {
        w->c.managers, w->c.selects, w->c.extracts, w->c.transforms, w->c.loads};
    return &all[i / WORLD_INSTANCES][i % WORLD_INSTANCES];
}

struct lutra_test_service *world_other(struct world *w, const struct lutra_test_service *service)
{
    for (unsigned i = 0; i < WORLD_SERVICES * WORLD_INSTANCES; i++) {
        if (world_process(w, i) == service) {
            return world_process(w, i ^ 1);
        }
    }
    return NULL;
}

void world_restart(struct world *w, struct lutra_test_service *service)
{
    if (!lutra_proc_running(service->proc)) {
        cluster_restart(&w->c, service);
    }
}

void world_whole(struct world *w, uint64_t deadline_ms)
{
    for (unsigned i = 0; i < WORLD_SERVICES * WORLD_INSTANCES; i++) {
        world_restart(w, world_process(w, i));
    }
    for (unsigned i = 0; i < WORLD_SERVICES * WORLD_INSTANCES; i++) {
        lutra_test_service_await_ready(world_process(w, i), deadline_ms);
    }
    cluster_await_state(&w->c, "RUNNING", deadline_ms);
    LUTRA_WAIT_FOR(cluster_owner(&w->c, "select") != NULL && cluster_owner(&w->c, "load") != NULL,
                   deadline_ms);
}

/* ---- victims ---- */

static bool has_partition(struct world *w, struct lutra_test_service *service)
{
    json_t *entry = cluster_state_of(&w->c, service);
    bool has = json_integer_value(json_object_get(entry, "partitions")) > 0;
    json_decref(entry);
    return has;
}

static struct lutra_test_service *leader(struct world *w)
{
    struct lutra_test_service *found = NULL;
    for (int i = 0; i < WORLD_INSTANCES && found == NULL; i++) {
        char *body = lutra_http_get(w->c.managers[i].port, "/v1/status");
        json_t *root = body != NULL ? json_loads(body, 0, NULL) : NULL;
        const char *name = json_string_value(json_object_get(root, "leader"));
        for (int k = 0; name != NULL && k < WORLD_INSTANCES; k++) {
            if (strcmp(w->c.managers[k].instance, name) == 0) {
                found = &w->c.managers[k];
            }
        }
        json_decref(root);
        free(body);
    }
    return found;
}

static struct lutra_test_service *victim(struct world *w, enum fault_role role)
{
    struct lutra_test_service *services = NULL, *owner;
    switch (role) {
    case ROLE_SELECT:
        return cluster_owner(&w->c, "select");
    case ROLE_LOAD:
        return cluster_owner(&w->c, "load");
    case ROLE_SELECT_STANDBY:
        owner = cluster_owner(&w->c, "select");
        return owner != NULL ? world_other(w, owner) : NULL;
    case ROLE_LOAD_STANDBY:
        owner = cluster_owner(&w->c, "load");
        return owner != NULL ? world_other(w, owner) : NULL;
    case ROLE_MANAGER:
        return leader(w);
    case ROLE_EXTRACT:
        services = w->c.extracts;
        break;
    case ROLE_TRANSFORM:
        services = w->c.transforms;
        break;
    }
    return has_partition(w, &services[0])   ? &services[0]
           : has_partition(w, &services[1]) ? &services[1]
                                            : NULL;
}

struct lutra_test_service *world_victim(struct world *w, enum fault_role role)
{
    struct lutra_test_service *found = NULL;
    LUTRA_WAIT_FOR((found = victim(w, role)) != NULL, 20000);
    return found;
}

bool world_stopped(const struct lutra_test_service *service)
{
    char *path = lutra_test_format("/proc/%d/stat", (int)service->proc->pid);
    char *stat = lutra_test_read_file(path);
    const char *name_end = stat != NULL ? strrchr(stat, ')') : NULL;
    bool stopped = name_end != NULL && strncmp(name_end, ") T", 3) == 0;
    free(stat);
    free(path);
    return stopped;
}

/* ---- the network ---- */

void world_cut(struct world *w, struct lutra_test_service *service)
{
    lutra_netns_cut(service->netns, servers);
    lutra_netns_cut(servers, service->netns);
    for (unsigned i = 0; i < WORLD_SERVICES * WORLD_INSTANCES; i++) {
        struct lutra_test_service *other = world_process(w, i);
        if (other != service) {
            lutra_netns_cut(other->netns, service->netns);
        }
    }
}

void world_heal(struct world *w, struct lutra_test_service *service)
{
    lutra_netns_heal(service->netns, servers);
    lutra_netns_heal(servers, service->netns);
    for (unsigned i = 0; i < WORLD_SERVICES * WORLD_INSTANCES; i++) {
        struct lutra_test_service *other = world_process(w, i);
        if (other != service) {
            lutra_netns_heal(other->netns, service->netns);
        }
    }
}

int64_t world_sum(struct world *w, struct lutra_test_service *services, const char *key)
{
    int64_t sum = 0;
    for (int i = 0; i < WORLD_INSTANCES; i++) {
        json_t *entry = cluster_state_of(&w->c, &services[i]);
        sum += json_integer_value(json_object_get(entry, key));
        json_decref(entry);
    }
    return sum;
}
