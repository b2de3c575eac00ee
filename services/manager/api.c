/* The routes of docs/PROTOCOL.md §9. Reads are answered by every manager, writes by the leader;
 * others say where it is (307). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "manager/manager_private.h"

/* A read that waits for states or for ZooKeeper. */
struct mgr_read {
    struct lutra_manager *manager;
    struct lutra_http_request *request;
    char name[64];
    json_t *(*make)(struct lutra_manager *manager);
    void (*then)(struct lutra_manager *manager,
                 struct lutra_http_request *request,
                 const char *name);
    struct mgr_read *prev, *next;
};

static struct mgr_read *
read_new(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    struct mgr_read *read = LUTRA_NEW(struct mgr_read);

    read->manager = manager;
    read->request = request;
    mgr_text_copy(read->name, sizeof(read->name), name);
    read->next = manager->reads;
    if (manager->reads != NULL) {
        manager->reads->prev = read;
    }
    manager->reads = read;
    return read;
}

static void read_free(struct mgr_read *read)
{
    if (read->prev != NULL) {
        read->prev->next = read->next;
    } else {
        read->manager->reads = read->next;
    }
    if (read->next != NULL) {
        read->next->prev = read->prev;
    }
    lutra_coord_forget(read->manager->options.coord, read);
    lutra_free(read);
}

void mgr_reads_free(struct lutra_manager *manager)
{
    while (manager->reads != NULL) {
        lutra_http_reply_error(manager->reads->request, 503, "retry", "this manager is stopping");
        read_free(manager->reads);
    }
}

/* ---- reads ---- */

static void refreshed(void *arg)
{
    struct mgr_read *read = arg;
    json_t *body;

    if (read->then != NULL) {
        if (read->manager->stopping) {
            lutra_http_reply_error(read->request, 503, "retry", "this manager is stopping");
        } else {
            read->then(read->manager, read->request, read->name);
        }
        read_free(read);
        return;
    }
    if (read->make != NULL) {
        body = read->make(read->manager);
    } else {
        body = mgr_channel_status_json(read->manager, read->name);
    }
    if (body == NULL) {
        lutra_http_reply_error(read->request, 404, "not_found", "no channel %s", read->name);
    } else {
        lutra_http_reply_json(read->request, 200, body);
    }
    read_free(read);
}

static bool catalog_known(struct lutra_manager *manager, struct lutra_http_request *request)
{
    if (lutra_catalog_known(manager->catalog)) {
        return true;
    }
    lutra_http_reply_error(request, 503, "retry",
                           "the channels have not been read from ZooKeeper yet");
    return false;
}

static void get_status(struct lutra_manager *manager,
                       struct lutra_http_request *request,
                       const char *channel,
                       json_t *(*make)(struct lutra_manager *manager))
{
    struct mgr_read *read;

    if (!catalog_known(manager, request)) {
        return;
    }
    read = read_new(manager, request, channel);
    read->make = make;
    mgr_nodes_refresh(manager->nodes, MGR_FRESH_MS, refreshed, read);
}

void mgr_get_fresh(struct lutra_manager *manager,
                   struct lutra_http_request *request,
                   json_t *(*make)(struct lutra_manager *manager))
{
    get_status(manager, request, "", make);
}

void mgr_refresh_then(struct lutra_manager *manager,
                      struct lutra_http_request *request,
                      const char *name,
                      void (*then)(struct lutra_manager *manager,
                                   struct lutra_http_request *request,
                                   const char *name))
{
    struct mgr_read *read;

    if (!catalog_known(manager, request)) {
        return;
    }
    read = read_new(manager, request, name);
    read->then = then;
    mgr_nodes_refresh(manager->nodes, 0, refreshed, read);
}

static void on_definition(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_read *read = arg;
    json_t *definition;

    if (result->rc == LUTRA_COORD_NO_NODE) {
        lutra_http_reply_error(read->request, 404, "not_found", "no channel %s", read->name);
    } else if (result->rc != LUTRA_COORD_OK) {
        lutra_http_reply_error(read->request, 503, "retry", "ZooKeeper did not answer");
    } else {
        definition = json_loadb(result->data, result->len, 0, NULL);
        if (definition != NULL) {
            lutra_http_reply_json(read->request, 200, definition);
        } else {
            lutra_http_reply_error(read->request, 500, "data",
                                   "the definition in ZooKeeper is not JSON");
        }
    }
    read_free(read);
}

static void
get_definition(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    char path[256];

    lutra_coord_get(manager->options.coord, lutra_path_channel(name, "config", path), NULL,
                    on_definition, read_new(manager, request, name));
}

/* ---- writes ---- */

bool mgr_may_write(struct lutra_manager *manager, struct lutra_http_request *request)
{
    const char *http = mgr_election_leader_http(manager->election);
    char location[4096];

    if (lutra_http_header(request, "Origin") != NULL) {
        /* A page in the operator's browser: without a login nothing tells it from the operator. */
        lutra_http_reply_error(request, 403, "config", "changes from web pages are refused");
        return false;
    }
    if (mgr_election_leads(manager->election)) {
        return true;
    }
    if (http == NULL || lutra_coord_state_of(manager->options.coord) != LUTRA_COORD_CONNECTED ||
        strcmp(http, manager->options.http) == 0) {
        lutra_http_reply_error(request, 503, "retry", "no manager leads now; ask again");
        return false;
    }
    if ((size_t)snprintf(location, sizeof(location), "http://%s%s", http,
                         lutra_http_target(request)) >= sizeof(location)) {
        lutra_http_reply_error(request, 400, "config", "the path is too long");
        return false;
    }
    lutra_http_redirect(request, location);
    return false;
}

static bool query_is_true(const struct lutra_http_request *request, const char *name)
{
    const char *value = lutra_http_query(request, name);

    return value != NULL && strcmp(value, "true") == 0;
}

static void
put_channel(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    struct mgr_op *op = mgr_op_new(manager, request, name, mgr_op_apply);
    const char *by = lutra_http_query(request, "by");

    if (by != NULL) {
        mgr_text_copy(op->by, sizeof(op->by), by);
    }
    mgr_op_submit(op);
}

static void
delete_channel(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    struct mgr_op *op = mgr_op_new(manager, request, name, mgr_op_remove);
    const char *by = lutra_http_query(request, "by");

    if (by != NULL) {
        mgr_text_copy(op->by, sizeof(op->by), by);
    }
    op->force = query_is_true(request, "force");
    op->topics = query_is_true(request, "topics");
    mgr_op_submit(op);
}

void mgr_op_take_by(struct mgr_op *op, const json_t *body)
{
    const char *by = json_string_value(json_object_get(body, "by"));

    if (by != NULL && by[0] != '\0') {
        mgr_text_copy(op->by, sizeof(op->by), by);
    }
}

static void post_desired(struct lutra_manager *manager,
                         struct lutra_http_request *request,
                         const char *name,
                         enum lutra_desired desired)
{
    json_t *body = mgr_body_object(request);
    struct mgr_op *op;

    if (body == NULL) {
        return;
    }
    op = mgr_op_new(manager, request, name, mgr_op_desired);
    op->desired = desired;
    mgr_op_take_by(op, body);
    json_decref(body);
    mgr_op_submit(op);
}

static void post_request(struct lutra_manager *manager,
                         struct lutra_http_request *request,
                         const char *name,
                         enum lutra_request_kind kind)
{
    json_t *body = mgr_body_object(request);
    const json_t *after;
    const char *reason;
    struct mgr_op *op;
    json_int_t retry_after_ms;

    if (body == NULL) {
        return;
    }
    after = json_object_get(body, "retry_after_ms");
    retry_after_ms = json_integer_value(after);
    if (after != NULL && (!json_is_integer(after) || retry_after_ms < 0 ||
                          retry_after_ms > (json_int_t)365 * 24 * 3600 * 1000)) {
        lutra_http_reply_error(request, 400, "config",
                               "retry_after_ms: expected a whole number of ms, at most a year");
        json_decref(body);
        return;
    }
    op = mgr_op_new(manager, request, name, mgr_op_request);
    mgr_op_take_by(op, body);
    reason = json_string_value(json_object_get(body, "reason"));
    op->wish.kind = kind;
    op->wish.by_operator = true;
    if (kind == LUTRA_REQUEST_ROLLBACK && retry_after_ms > 0) {
        op->wish.retry_at_ms = lutra_loop_wall_us(manager->options.loop) / 1000 + retry_after_ms;
    }
    mgr_text_copy(op->wish.by, sizeof(op->wish.by), op->by);
    mgr_text_copy(op->wish.reason, sizeof(op->wish.reason),
                  reason != NULL && reason[0] != '\0' ? reason : "asked for by an operator");
    json_decref(body);
    mgr_op_submit(op);
}

static void
post_warning(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    json_t *body = mgr_body_object(request);
    const char *reason = json_string_value(json_object_get(body, "reason"));
    struct mgr_op *op;

    if (body == NULL) {
        return;
    }
    if (reason == NULL || reason[0] == '\0') {
        lutra_http_reply_error(request, 400, "config", "reason: expected what is to be told");
        json_decref(body);
        return;
    }
    op = mgr_op_new(manager, request, name, mgr_op_warn);
    mgr_op_take_by(op, body);
    mgr_text_copy(op->wish.reason, sizeof(op->wish.reason), reason);
    json_decref(body);
    mgr_op_submit(op);
}

static void
delete_alarm(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    struct mgr_op *op = mgr_op_new(manager, request, "", mgr_op_clear);

    lutra_free(op->body);
    op->body = lutra_strdup(name);
    mgr_op_submit(op);
}

/* ---- routes ---- */

static void no_such_path(struct lutra_http_request *request)
{
    lutra_http_reply_error(request, 404, "not_found", "no such path: %.200s",
                           lutra_http_path(request));
}

static void wrong_method(struct lutra_http_request *request, const char *allowed)
{
    lutra_http_reply_error(request, 405, "config", "%.200s: only %s", lutra_http_path(request),
                           allowed);
}

bool mgr_is_method(struct lutra_http_request *request, const char *method)
{
    if (strcmp(lutra_http_method(request), method) == 0) {
        return true;
    }
    wrong_method(request, method);
    return false;
}

static bool is_get(struct lutra_http_request *request)
{
    return mgr_is_method(request, "GET");
}

/* Splits "<name>" or "<name>/<verb>"; false: answered. */
static bool
split(struct lutra_http_request *request, const char *rest, char *name, const char **verb)
{
    const char *slash = strchr(rest, '/');
    size_t len = slash != NULL ? (size_t)(slash - rest) : strlen(rest);

    *verb = slash != NULL ? slash + 1 : "";
    if (len < 64) {
        memcpy(name, rest, len);
        name[len] = '\0';
        if (lutra_name_valid(name)) {
            return true;
        }
    }
    lutra_http_reply_error(request, 400, "config",
                           "\"%.100s\" is not a name: expected [a-z0-9-], at most 40", rest);
    return false;
}

static void
on_channel(struct lutra_manager *manager, struct lutra_http_request *request, const char *name)
{
    const char *method = lutra_http_method(request);

    if (strcmp(method, "GET") == 0) {
        get_definition(manager, request, name);
    } else if (strcmp(method, "PUT") == 0) {
        if (mgr_may_write(manager, request)) {
            put_channel(manager, request, name);
        }
    } else if (strcmp(method, "DELETE") == 0) {
        if (mgr_may_write(manager, request)) {
            delete_channel(manager, request, name);
        }
    } else {
        wrong_method(request, "GET, PUT and DELETE");
    }
}

static void
on_channels(struct lutra_manager *manager, struct lutra_http_request *request, const char *rest)
{
    static const struct {
        const char *verb;
        enum lutra_desired desired;
    } verbs[] = {
        {"start", LUTRA_DESIRED_START},
        {"pause", LUTRA_DESIRED_PAUSE},
        {"stop", LUTRA_DESIRED_STOP},
    };
    const char *verb;
    char name[64];

    if (!split(request, rest, name, &verb)) {
        return;
    }
    if (verb[0] == '\0') {
        on_channel(manager, request, name);
        return;
    }
    if (strcmp(verb, "status") == 0) {
        if (is_get(request)) {
            get_status(manager, request, name, NULL);
        }
        return;
    }
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verb, verbs[i].verb) == 0) {
            if (strcmp(lutra_http_method(request), "POST") != 0) {
                wrong_method(request, "POST");
            } else if (mgr_may_write(manager, request)) {
                post_desired(manager, request, name, verbs[i].desired);
            }
            return;
        }
    }
    no_such_path(request);
}

static void
on_pipelines(struct lutra_manager *manager, struct lutra_http_request *request, const char *rest)
{
    bool rollback, warning;
    const char *verb;
    char name[64];

    if (!split(request, rest, name, &verb)) {
        return;
    }
    rollback = strcmp(verb, "rollback") == 0;
    warning = strcmp(verb, "warning") == 0;
    if (!rollback && !warning && strcmp(verb, "restart") != 0) {
        no_such_path(request);
    } else if (strcmp(lutra_http_method(request), "POST") != 0) {
        wrong_method(request, "POST");
    } else if (!mgr_may_write(manager, request)) {
        return;
    } else if (warning) {
        post_warning(manager, request, name);
    } else {
        post_request(manager, request, name,
                     rollback ? LUTRA_REQUEST_ROLLBACK : LUTRA_REQUEST_RESTART);
    }
}

static void
post_switch(struct lutra_manager *manager, struct lutra_http_request *request, const char *key)
{
    json_t *body = mgr_body_object(request);
    const char *to, *from;
    struct mgr_op *op;

    if (body == NULL) {
        return;
    }
    to = json_string_value(json_object_get(body, "to"));
    from = json_string_value(json_object_get(body, "from"));
    if (to == NULL || !lutra_name_valid(to) || (from != NULL && !lutra_name_valid(from))) {
        lutra_http_reply_error(request, 400, "config",
                               "the body: expected {\"to\": member} and, if wished, \"from\", the "
                               "one expected to be current");
        json_decref(body);
        return;
    }
    op = mgr_op_new(manager, request, key, mgr_op_media);
    mgr_text_copy(op->to, sizeof(op->to), to);
    mgr_text_copy(op->expected, sizeof(op->expected), from != NULL ? from : "");
    mgr_op_take_by(op, body);
    json_decref(body);
    mgr_op_submit(op);
}

static void
get_group(struct lutra_manager *manager, struct lutra_http_request *request, const char *key)
{
    json_t *group = mgr_media_group_json(manager, key);

    if (group == NULL) {
        lutra_http_reply_error(request, 404, "not_found", "no pipeline uses a media group %s", key);
    } else {
        lutra_http_reply_json(request, 200, group);
    }
}

/* "<key>" or "<key>/switch". */
static void
on_media(struct lutra_manager *manager, struct lutra_http_request *request, const char *rest)
{
    const char *slash = strchr(rest, '/');
    size_t len = slash != NULL ? (size_t)(slash - rest) : strlen(rest);
    char key[96];

    mgr_text_copy(key, len + 1 < sizeof(key) ? len + 1 : sizeof(key), rest);
    if (!lutra_group_key_valid(key)) {
        lutra_http_reply_error(request, 400, "config",
                               "\"%.100s\" is not a media group's key: expected [a-z0-9.-], at "
                               "most 81",
                               rest);
    } else if (!catalog_known(manager, request)) {
        return;
    } else if (slash == NULL) {
        if (is_get(request)) {
            get_group(manager, request, key);
        }
    } else if (strcmp(slash + 1, "switch") != 0) {
        no_such_path(request);
    } else if (strcmp(lutra_http_method(request), "POST") != 0) {
        wrong_method(request, "POST");
    } else if (mgr_may_write(manager, request)) {
        post_switch(manager, request, key);
    }
}

static void
on_alarms(struct lutra_manager *manager, struct lutra_http_request *request, const char *rest)
{
    if (rest[0] == '\0') {
        if (is_get(request)) {
            lutra_http_reply_json(
                request, 200, json_pack("{s:o}", "alarms", mgr_alarms_json(manager->alarms, NULL)));
        }
    } else if (strcmp(lutra_http_method(request), "DELETE") != 0) {
        wrong_method(request, "DELETE");
    } else if (!mgr_alarm_name_valid(rest)) {
        lutra_http_reply_error(request, 400, "config", "\"%.100s\" is not the name of an alarm",
                               rest);
    } else if (mgr_may_write(manager, request)) {
        delete_alarm(manager, request, rest);
    }
}

void lutra_manager_handle(struct lutra_http_request *request, void *arg)
{
    static const char channels[] = "/v1/channels/", pipelines[] = "/v1/pipelines/",
                      media[] = "/v1/media/", alarms[] = "/v1/alarms/";
    struct lutra_manager *manager = arg;
    const char *path = lutra_http_path(request);

    if (strcmp(path, "/v1/status") == 0) {
        if (is_get(request)) {
            get_status(manager, request, "", mgr_status_json);
        }
    } else if (strcmp(path, "/v1/lag") == 0) {
        if (is_get(request)) {
            get_status(manager, request, "", mgr_lag_json);
        }
    } else if (strcmp(path, "/v1/channels") == 0) {
        if (is_get(request) && catalog_known(manager, request)) {
            lutra_http_reply_json(request, 200, mgr_channels_json(manager));
        }
    } else if (strcmp(path, "/v1/media") == 0) {
        if (is_get(request) && catalog_known(manager, request)) {
            lutra_http_reply_json(request, 200, mgr_media_json(manager));
        }
    } else if (strncmp(path, media, sizeof(media) - 1) == 0) {
        on_media(manager, request, path + sizeof(media) - 1);
    } else if (strcmp(path, "/v1/alarms") == 0) {
        on_alarms(manager, request, "");
    } else if (strncmp(path, alarms, sizeof(alarms) - 1) == 0) {
        on_alarms(manager, request, path + sizeof(alarms) - 1);
    } else if (strncmp(path, channels, sizeof(channels) - 1) == 0) {
        on_channels(manager, request, path + sizeof(channels) - 1);
    } else if (strncmp(path, pipelines, sizeof(pipelines) - 1) == 0) {
        on_pipelines(manager, request, path + sizeof(pipelines) - 1);
    } else if (!mgr_recover_route(manager, request) && !mgr_janitor_route(manager, request)) {
        no_such_path(request);
    }
}
