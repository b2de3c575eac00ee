#include "manager/nodes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "coord/mirror.h"
#include "manager/departed.h"

enum { FETCH_TIMEOUT_MS = 1000 };

static const char *const services[] = {"select", "extract", "transform", "load", "manager"};
enum { N_SERVICES = sizeof(services) / sizeof(services[0]) };

struct node {
    struct mgr_node pub;
    struct mgr_nodes *nodes;
    struct lutra_znode *znode; /* NULL: vanished */
    char instance[64];
    char error[256];
    json_t *state;
    bool fetching;
    struct node *next; /* by service, then name */
};

struct group {
    struct mgr_nodes *nodes;
    const char *service;
    struct lutra_zchildren *children;
    struct node *first;
};

struct waiter {
    void (*done)(void *arg);
    void *arg;
    struct waiter *next;
};

struct mgr_nodes {
    struct lutra_loop *loop;
    struct lutra_coord *coord;
    struct lutra_manager_fetcher fetcher;
    struct mgr_events *events;
    struct mgr_departed *departed;
    struct group groups[N_SERVICES];
    struct waiter *waiters;
    unsigned fetching;
};

const json_t *mgr_state_entry(const json_t *root, const char *pipeline)
{
    const json_t *list = json_object_get(root, "pipelines");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "pipeline"));

        if (name != NULL && strcmp(name, pipeline) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void wake_waiters(struct mgr_nodes *nodes)
{
    struct waiter *waiter = nodes->waiters;

    nodes->waiters = NULL;
    while (waiter != NULL) {
        struct waiter *next = waiter->next;

        waiter->done(waiter->arg);
        lutra_free(waiter);
        waiter = next;
    }
}

/* ---- who is there ---- */

static void node_free(struct node *node)
{
    struct mgr_nodes *nodes = node->nodes;

    nodes->fetcher.forget(nodes->fetcher.port, node);
    if (node->fetching) {
        nodes->fetching--;
    }
    lutra_znode_free(node->znode);
    json_decref(node->state);
    lutra_free(node);
}

/* A name says little: another session or another process under it is not the former one, and what
 * that one said of itself does not count any more. */
static void note_identity(struct node *node, const struct lutra_node_record *former)
{
    struct mgr_nodes *nodes = node->nodes;
    const struct lutra_node_record *now = &node->pub.record;
    int64_t session = lutra_znode_stat(node->znode)->ephemeral_owner;
    bool other = node->pub.session != session && node->pub.session != 0;

    node->pub.session = session;
    if (former == NULL || !node->pub.has_record) {
        return;
    }
    if (former->pid != now->pid || former->started_ms != now->started_ms ||
        strcmp(former->host, now->host) != 0) {
        node->pub.restarts++;
        mgr_events_add(
            nodes->events, "node.restarted", node->instance,
            "%s %s is another process now: pid %" PRId64 " on %s, before %" PRId64 " on %s",
            node->pub.service, node->instance, now->pid, now->host, former->pid, former->host);
    } else if (other) {
        mgr_events_add(nodes->events, "node.session", node->instance,
                       "%s %s is the same process with a new session", node->pub.service,
                       node->instance);
    } else {
        return;
    }
    nodes->fetcher.forget(nodes->fetcher.port, node);
    if (node->fetching) {
        node->fetching = false;
        nodes->fetching--;
    }
    json_decref(node->state);
    node->state = NULL;
    node->pub.root = NULL;
    node->pub.asked = node->pub.answers = false;
    snprintf(node->error, sizeof(node->error), "not asked yet");
    if (nodes->fetching == 0) {
        wake_waiters(nodes);
    }
}

static void on_record(void *arg)
{
    struct node *node = arg;
    struct lutra_error err = {0};
    size_t len;
    const char *data = lutra_znode_data(node->znode, &len);

    if (!lutra_znode_exists(node->znode)) {
        return; /* the children tell */
    }
    struct lutra_node_record former = node->pub.record;
    bool had_record = node->pub.has_record;

    node->pub.has_record = lutra_node_from_json(data, len, &node->pub.record, &err) == 0;
    if (!node->pub.has_record) {
        LUTRA_WARN("manager.bad_node", LUTRA_F_STR("instance", node->instance), LUTRA_F_ERR(&err));
    }
    note_identity(node, had_record ? &former : NULL);
}

static void watch_record(struct node *node)
{
    char path[256];

    snprintf(path, sizeof(path), "/lutra/nodes/%s/%s", node->pub.service, node->instance);
    node->znode = lutra_znode_new(node->nodes->coord, path, on_record, node);
}

static struct node **find_place(struct group *group, const char *instance)
{
    struct node **place = &group->first;

    while (*place != NULL && strcmp((*place)->instance, instance) < 0) {
        place = &(*place)->next;
    }
    return place;
}

static struct node *find(struct group *group, const char *instance)
{
    struct node *node = *find_place(group, instance);

    return node != NULL && strcmp(node->instance, instance) == 0 ? node : NULL;
}

static void appear(struct group *group, const char *instance)
{
    struct mgr_nodes *nodes = group->nodes;
    struct node *node = find(group, instance);

    if (node == NULL) {
        struct node **place = find_place(group, instance);

        node = LUTRA_NEW(struct node);
        node->nodes = nodes;
        snprintf(node->instance, sizeof(node->instance), "%s", instance);
        node->pub.service = group->service;
        node->pub.instance = node->instance;
        node->pub.error = node->error;
        node->next = *place;
        *place = node;
        watch_record(node);
    } else if (node->znode == NULL) {
        mgr_events_add(nodes->events, "node.returned", node->instance,
                       "%s %s is back after %" PRIu64 " ms", group->service, node->instance,
                       lutra_loop_now_ms(nodes->loop) - node->pub.vanished_ms);
        node->pub.vanished_ms = node->pub.judged_ms = 0;
        node->pub.departed = false;
        watch_record(node);
    }
}

static void vanish(struct node *node)
{
    struct mgr_nodes *nodes = node->nodes;

    lutra_znode_free(node->znode);
    node->znode = NULL;
    node->pub.vanished_ms = lutra_loop_now_ms(nodes->loop) + 1;
    node->pub.answers = false;
    snprintf(node->error, sizeof(node->error), "not registered any more");
    mgr_events_add(nodes->events, "node.vanished", node->instance, "%s %s is gone",
                   node->pub.service, node->instance);
}

static bool is_listed(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void on_children(void *arg)
{
    struct group *group = arg;
    const char *const *names;
    size_t n = lutra_zchildren_names(group->children, &names);

    for (struct node *node = group->first; node != NULL; node = node->next) {
        if (node->znode != NULL && !is_listed(node->instance, names, n)) {
            vanish(node);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (strlen(names[i]) < sizeof(((struct node *)0)->instance)) {
            appear(group, names[i]);
        }
    }
}

void mgr_nodes_judge(struct mgr_nodes *nodes,
                     uint64_t keep_ms,
                     void (*fn)(const struct mgr_node *node, uint64_t gone_ms, void *arg),
                     void *arg)
{
    uint64_t now_ms = lutra_loop_now_ms(nodes->loop);

    for (size_t i = 0; i < N_SERVICES; i++) {
        for (struct node **place = &nodes->groups[i].first; *place != NULL;) {
            struct node *node = *place;
            uint64_t gone_ms = now_ms > node->pub.vanished_ms ? now_ms - node->pub.vanished_ms : 0;

            if (node->znode != NULL) {
                place = &node->next;
                continue;
            }
            node->pub.departed =
                node->pub.departed ||
                (node->pub.has_record && mgr_departed_has(nodes->departed, &node->pub.record));
            fn(&node->pub, gone_ms, arg);
            node->pub.judged_ms = gone_ms;
            if (gone_ms <= keep_ms) {
                place = &node->next;
                continue;
            }
            *place = node->next;
            node_free(node);
        }
    }
}

void mgr_nodes_renew(struct mgr_nodes *nodes)
{
    uint64_t now_ms = lutra_loop_now_ms(nodes->loop);

    mgr_departed_renew(nodes->departed);
    for (size_t i = 0; i < N_SERVICES; i++) {
        for (struct node *node = nodes->groups[i].first; node != NULL; node = node->next) {
            if (node->znode == NULL) {
                node->pub.vanished_ms = now_ms + 1;
                node->pub.judged_ms = 0;
            }
        }
    }
}

void mgr_nodes_each(struct mgr_nodes *nodes,
                    void (*fn)(const struct mgr_node *node, void *arg),
                    void *arg)
{
    for (size_t i = 0; i < N_SERVICES; i++) {
        for (struct node *node = nodes->groups[i].first; node != NULL; node = node->next) {
            fn(&node->pub, arg);
        }
    }
}

static const struct node *
find_any(struct mgr_nodes *nodes, const char *service, const char *instance)
{
    for (size_t i = 0; i < N_SERVICES; i++) {
        if (strcmp(services[i], service) == 0) {
            return find(&nodes->groups[i], instance);
        }
    }
    return NULL;
}

const struct mgr_node *
mgr_nodes_find(struct mgr_nodes *nodes, const char *service, const char *instance)
{
    const struct node *node = find_any(nodes, service, instance);

    return node != NULL && node->znode != NULL ? &node->pub : NULL;
}

const struct mgr_node *
mgr_nodes_find_vanished(struct mgr_nodes *nodes, const char *service, const char *instance)
{
    const struct node *node = find_any(nodes, service, instance);

    return node != NULL && node->znode == NULL ? &node->pub : NULL;
}

void mgr_nodes_sweep(struct mgr_nodes *nodes, uint64_t keep_ms)
{
    mgr_departed_sweep(nodes->departed, keep_ms);
}

const json_t *mgr_nodes_entry(struct mgr_nodes *nodes,
                              const char *service,
                              const char *instance,
                              const char *pipeline)
{
    const struct mgr_node *node = mgr_nodes_find(nodes, service, instance);

    return node != NULL && node->answers ? mgr_state_entry(node->root, pipeline) : NULL;
}

bool mgr_entry_blocked(const json_t *entry)
{
    const char *state = json_string_value(json_object_get(entry, "state"));

    return state != NULL && strcmp(state, "BLOCKED") == 0;
}

unsigned mgr_nodes_serving(struct mgr_nodes *nodes, const char *service, const char *pipeline)
{
    unsigned n = 0;

    for (size_t i = 0; i < N_SERVICES; i++) {
        if (strcmp(services[i], service) != 0) {
            continue;
        }
        for (struct node *node = nodes->groups[i].first; node != NULL; node = node->next) {
            const json_t *entry = mgr_state_entry(node->state, pipeline);

            n += node->znode != NULL && node->pub.answers && entry != NULL &&
                 !mgr_entry_blocked(entry);
        }
    }
    return n;
}

/* ---- what they say ---- */

static void
fetched(const struct lutra_http_answer *answer, const struct lutra_error *err, void *arg)
{
    struct node *node = arg;
    struct mgr_nodes *nodes = node->nodes;
    json_t *state = answer != NULL && answer->status == 200
                        ? json_loadb(answer->body, answer->len, 0, NULL)
                        : NULL;

    node->fetching = false;
    nodes->fetching--;
    node->pub.state_ms = lutra_loop_now_ms(nodes->loop);
    node->pub.answers = json_is_object(state) && node->znode != NULL;
    if (node->pub.answers) {
        json_decref(node->state);
        node->state = state;
        node->pub.root = state;
        node->error[0] = '\0';
    } else if (node->znode != NULL) {
        json_decref(state);
        if (answer != NULL) {
            snprintf(node->error, sizeof(node->error), "/state says %d, not a state",
                     answer->status);
        } else {
            snprintf(node->error, sizeof(node->error), "%.250s", err->msg);
        }
    } else {
        json_decref(state);
    }
    if (nodes->fetching == 0) {
        wake_waiters(nodes);
    }
}

static void fetch(struct node *node)
{
    struct mgr_nodes *nodes = node->nodes;

    node->fetching = true;
    node->pub.asked = true;
    nodes->fetching++;
    nodes->fetcher.get(nodes->fetcher.port, node->pub.record.http, "/state", FETCH_TIMEOUT_MS,
                       fetched, node);
}

static void add_waiter(struct mgr_nodes *nodes, void (*done)(void *arg), void *arg)
{
    struct waiter *waiter = LUTRA_NEW(struct waiter);
    struct waiter **end = &nodes->waiters;

    waiter->done = done;
    waiter->arg = arg;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = waiter;
}

void mgr_nodes_refresh(struct mgr_nodes *nodes,
                       uint64_t max_age_ms,
                       void (*done)(void *arg),
                       void *arg)
{
    uint64_t now_ms = lutra_loop_now_ms(nodes->loop);

    for (size_t i = 0; i < N_SERVICES; i++) {
        for (struct node *node = nodes->groups[i].first; node != NULL; node = node->next) {
            if (strcmp(node->pub.service, "manager") != 0 && node->znode != NULL &&
                node->pub.has_record && !node->fetching &&
                (!node->pub.asked || now_ms - node->pub.state_ms >= max_age_ms)) {
                fetch(node);
            }
        }
    }
    if (nodes->fetching == 0) {
        done(arg);
        return;
    }
    add_waiter(nodes, done, arg);
}

struct mgr_nodes *mgr_nodes_new(struct lutra_loop *loop,
                                struct lutra_coord *coord,
                                const struct lutra_manager_fetcher *fetcher,
                                struct mgr_events *events)
{
    struct mgr_nodes *nodes = LUTRA_NEW(struct mgr_nodes);

    nodes->loop = loop;
    nodes->coord = coord;
    nodes->fetcher = *fetcher;
    nodes->events = events;
    nodes->departed = mgr_departed_new(coord);
    for (size_t i = 0; i < N_SERVICES; i++) {
        struct group *group = &nodes->groups[i];
        char path[64];

        group->nodes = nodes;
        group->service = services[i];
        snprintf(path, sizeof(path), "/lutra/nodes/%s", services[i]);
        group->children = lutra_zchildren_new(coord, path, on_children, group);
    }
    return nodes;
}

void mgr_nodes_free(struct mgr_nodes *nodes)
{
    if (nodes == NULL) {
        return;
    }
    wake_waiters(nodes);
    mgr_departed_free(nodes->departed);
    for (size_t i = 0; i < N_SERVICES; i++) {
        struct group *group = &nodes->groups[i];

        lutra_zchildren_free(group->children);
        while (group->first != NULL) {
            struct node *node = group->first;

            group->first = node->next;
            node_free(node);
        }
    }
    lutra_free(nodes);
}
