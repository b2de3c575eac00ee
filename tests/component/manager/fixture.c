#include "fixture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct fixture f;
int answer_status;
json_t *answer;
char answer_location[256];

/* ---- what fetches /state ---- */

static const struct fixture_service *service_at(const char *address)
{
    for (int i = 0; i < MAX_SERVICES; i++) {
        if (strcmp(f.services[i].address, address) == 0) {
            return &f.services[i];
        }
    }
    return NULL;
}

static char *answer_of_service(const char *address, const char *target)
{
    const struct fixture_service *service = service_at(address);
    const char *text = NULL;

    if (service != NULL && strcmp(target, "/state") == 0) {
        text = service->state;
    } else if (service != NULL && strncmp(target, "/definitions/", 13) == 0) {
        text = service->definition;
    }
    return text != NULL ? strdup(text) : NULL;
}

/* ---- managers ---- */

void fixture_begin(void)
{
    memset(&f, 0, sizeof(f));
    f.loop = lutra_loop_new_sim(7);
    f.tree = lutra_mem_tree_new(f.loop);
    f.broker = lutra_mem_broker_new(f.loop);
    f.stall_ms = 30000;
    f.fetches = (struct fetch_port){.loop = f.loop, .answer = answer_of_service};
}

void fixture_manager_start(int i)
{
    struct fixture_manager *m = &f.managers[i];

    snprintf(m->instance, sizeof(m->instance), "m%d", i);
    snprintf(m->http, sizeof(m->http), "127.0.0.1:%d", 8640 + i);
    m->coord = lutra_coord_mem_new(f.tree, SESSION_MS);
    m->buses = lutra_buses_new(f.loop, NULL, NULL);
    lutra_buses_put(m->buses, "default", lutra_bus_mem_new(f.broker, m->instance));
    m->metrics = lutra_metrics_new();
    m->manager = lutra_manager_new(&(struct lutra_manager_options){
        .loop = f.loop,
        .coord = m->coord,
        .buses = m->buses,
        .instance = m->instance,
        .http = m->http,
        .fetcher = fetch_from(&f.fetches),
        .metrics = m->metrics,
        .stall_ms = f.stall_ms,
    });
}

static void manager_free(struct fixture_manager *m)
{
    lutra_manager_free(m->manager);
    lutra_buses_free(m->buses);
    lutra_coord_free(m->coord);
    lutra_metrics_free(m->metrics);
    memset(m, 0, sizeof(*m));
}

void fixture_manager_stop(int i)
{
    manager_free(&f.managers[i]);
}

void fixture_manager_crash(int i)
{
    lutra_coord_mem_kill(f.managers[i].coord);
    manager_free(&f.managers[i]);
}

void fixture_end(void)
{
    for (int i = 0; i < MAX_MANAGERS; i++) {
        if (f.managers[i].manager != NULL) {
            fixture_manager_stop(i);
        }
    }
    for (int i = 0; i < MAX_SERVICES; i++) {
        free(f.services[i].state);
        free(f.services[i].definition);
    }
    json_decref(answer);
    answer = NULL;
    lutra_mem_broker_free(f.broker);
    lutra_mem_tree_free(f.tree);
    lutra_loop_free(f.loop);
}

void fixture_run(uint64_t ms)
{
    lutra_loop_run_for(f.loop, ms);
}

int fixture_leader(void)
{
    int leader = -1;

    for (int i = 0; i < MAX_MANAGERS; i++) {
        if (f.managers[i].manager != NULL && lutra_manager_leads(f.managers[i].manager)) {
            cr_assert_eq(leader, -1, "two lead: %d and %d", leader, i);
            leader = i;
        }
    }
    return leader;
}

static bool somebody_leads(void *arg)
{
    char reason[256];
    int leader = fixture_leader();

    (void)arg;
    return leader >= 0 && lutra_manager_ready(f.managers[leader].manager, reason, sizeof(reason));
}

int fixture_await_leader(void)
{
    cr_assert(lutra_loop_run_until(f.loop, somebody_leads, NULL, 20000), "nobody leads");
    return fixture_leader();
}

/* ---- calls ---- */

static bool answered;

static void
sink(int status, const char *type, const char *location, const char *body, size_t len, void *arg)
{
    (void)type;
    (void)arg;
    answer_status = status;
    json_decref(answer);
    answer = json_loadb(body, len, 0, NULL);
    snprintf(answer_location, sizeof(answer_location), "%s", location != NULL ? location : "");
    answered = true;
}

static bool is_answered(void *arg)
{
    (void)arg;
    return answered;
}

int fixture_call(int manager, const char *method, const char *target, const char *body)
{
    struct lutra_http_request *request =
        lutra_http_request_new(method, target, body, body != NULL ? strlen(body) : 0, sink, NULL);

    cr_assert_not_null(request, "%s", target);
    answered = false;
    lutra_manager_handle(request, f.managers[manager].manager);
    cr_assert(lutra_loop_run_until(f.loop, is_answered, NULL, 60000), "%s %s: no answer", method,
              target);
    return answer_status;
}

const char *fixture_text(const char *path)
{
    char copy[128], *save = NULL;
    const json_t *value = answer;
    const char *text;

    snprintf(copy, sizeof(copy), "%s", path);
    for (char *key = strtok_r(copy, ".", &save); key != NULL; key = strtok_r(NULL, ".", &save)) {
        value = key[0] >= '0' && key[0] <= '9' ? json_array_get(value, (size_t)atoi(key))
                                               : json_object_get(value, key);
    }
    text = json_string_value(value);
    return text != NULL ? text : "";
}

const char *fixture_error(void)
{
    return fixture_text("error.message");
}

/* ---- definitions and records ---- */

const char *
fixture_definition(const char *channel, const char *p1, const char *p2, const char *description)
{
    static char text[2048];
    const char *names[] = {p1, p2};
    int n = snprintf(text, sizeof(text),
                     "channel: %s\ndescription: %s\nsources:\n"
                     "  a: {type: mariadb, host: 10.0.0.5, user: lutra}\n"
                     "  b: {type: mariadb, host: 10.1.0.5, user: lutra}\npipelines:\n",
                     channel, description);

    for (int i = 0; i < 2; i++) {
        if (names[i] != NULL) {
            n += snprintf(text + n, sizeof(text) - (size_t)n,
                          "  - {name: %s, source: a, target: b, pairs: [{source: {schema: shop, "
                          "table: \"*\"}}]}\n",
                          names[i]);
        }
    }
    return text;
}

void fixture_poke(const char *path, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    lutra_mem_tree_poke(f.tree, path, text);
}

static struct fixture_service *service_slot(const char *address)
{
    for (int i = 0; i < MAX_SERVICES; i++) {
        if (f.services[i].address[0] == '\0' || strcmp(f.services[i].address, address) == 0) {
            snprintf(f.services[i].address, sizeof(f.services[i].address), "%s", address);
            return &f.services[i];
        }
    }
    cr_assert_fail("too many services");
    return NULL;
}

void fixture_service(const char *service, const char *instance, const char *state)
{
    char path[128], address[32];
    struct fixture_service *slot;

    snprintf(address, sizeof(address), "%s-%s:1", service, instance);
    slot = service_slot(address);
    free(slot->state);
    slot->state = state != NULL ? strdup(state) : NULL;
    snprintf(path, sizeof(path), "/lutra/nodes/%s/%s", service, instance);
    if (lutra_mem_tree_peek(f.tree, path) == NULL) {
        fixture_poke(path,
                     "{\"service\":\"%s\",\"instance\":\"%s\",\"host\":\"h\",\"pid\":1,"
                     "\"site\":\"default\",\"version\":\"1\",\"http\":\"%s\",\"started_ms\":1}",
                     service, instance, address);
    }
}

void fixture_knows(const char *service, const char *instance, const char *definition)
{
    char address[32];
    struct fixture_service *slot;

    snprintf(address, sizeof(address), "%s-%s:1", service, instance);
    slot = service_slot(address);
    free(slot->definition);
    slot->definition = strdup(definition);
}

void fixture_service_gone(const char *service, const char *instance)
{
    char path[128];

    snprintf(path, sizeof(path), "/lutra/nodes/%s/%s", service, instance);
    lutra_mem_tree_poke(f.tree, path, NULL);
}

void fixture_owner(const char *pipeline, const char *stage, const char *instance)
{
    char path[128];

    snprintf(path, sizeof(path), "/lutra/pipelines/%s/%s", pipeline, stage);
    if (instance == NULL) {
        lutra_mem_tree_poke(f.tree, path, NULL);
    } else {
        fixture_poke(path, "{\"instance\":\"%s\",\"session\":\"%s-x\"}", instance, instance);
    }
}

void fixture_origin(const char *pipeline, unsigned epoch, const char *select)
{
    char path[128];

    snprintf(path, sizeof(path), "/lutra/pipelines/%s/origin", pipeline);
    fixture_poke(path,
                 "{\"epoch\":%u,\"nonce\":\"0123456789abcdef\",\"process_id\":0,\"position\":\"\","
                 "\"config_version\":1,\"select_session\":\"%s-x\",\"source_identity\":\"\","
                 "\"by\":\"load/l1\",\"at_ms\":1}",
                 epoch, select);
}

void fixture_numbers(
    const char *pipeline, unsigned epoch, unsigned published, unsigned consumed, unsigned applied)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "{\"pipelines\":[{\"pipeline\":\"%s\",\"state\":\"STREAM\",\"epoch\":%u,"
             "\"owner\":true,\"last_error\":\"\",\"read\":\"b.1:9\",\"acknowledged\":\"b.1:4\","
             "\"published\":%u,\"consumed\":%u,\"applied\":%u,\"in_flight\":%u,\"window\":32}]}",
             pipeline, epoch, published, consumed, applied, published - consumed);
    fixture_service("select", "s1", text);
    snprintf(text, sizeof(text),
             "{\"pipelines\":[{\"pipeline\":\"%s\",\"state\":\"RUN\",\"epoch\":%u,"
             "\"owner\":true,\"last_error\":\"\",\"position\":\"b.1:4\",\"process_id\":%u,"
             "\"buffered\":[],\"units\":%u,\"rows\":%u,\"lag_ms\":5.5,\"lag_p50_ms\":-1,"
             "\"lag_p99_ms\":9.0,\"rows_per_s\":12.0}]}",
             pipeline, epoch, applied, applied, applied * 10);
    fixture_service("load", "l1", text);
    snprintf(text, sizeof(text), "{\"pipelines\":[{\"pipeline\":\"%s\",\"in_hand\":[]}]}",
             pipeline);
    fixture_service("extract", "e0", text);
    fixture_service("transform", "t0", text);
}

void fixture_running(const char *pipeline)
{
    char path[128];
    int leader = fixture_await_leader();

    snprintf(path, sizeof(path), "/v1/channels/%s", pipeline);
    cr_assert_eq(
        fixture_call(leader, "PUT", path, fixture_definition(pipeline, pipeline, NULL, "x")), 200,
        "%s", fixture_error());
    snprintf(path, sizeof(path), "/v1/channels/%s/start", pipeline);
    cr_assert_eq(fixture_call(leader, "POST", path, NULL), 200, "%s", fixture_error());
    snprintf(path, sizeof(path), "/lutra/pipelines/%s/control", pipeline);
    fixture_poke(path, "{\"state\":\"START\",\"epoch\":5,\"reason\":\"\",\"retry_at_ms\":0,"
                       "\"attempt\":0,\"by\":\"load/l1\",\"at_ms\":1}");
    fixture_owner(pipeline, "select", "s1");
    fixture_owner(pipeline, "load", "l1");
    fixture_origin(pipeline, 5, "s1");
    fixture_numbers(pipeline, 5, 10, 10, 10);
    fixture_run(3000);
}

static json_t *control_of(const char *pipeline)
{
    char path[128];
    const char *text;

    snprintf(path, sizeof(path), "/lutra/pipelines/%s/control", pipeline);
    text = lutra_mem_tree_peek(f.tree, path);
    return text != NULL ? json_loads(text, 0, NULL) : NULL;
}

const char *fixture_control(const char *pipeline, const char *key)
{
    static char value[512];
    json_t *control = control_of(pipeline);
    const char *text = json_string_value(json_object_get(control, key));

    snprintf(value, sizeof(value), "%s", text != NULL ? text : "");
    json_decref(control);
    return value;
}

json_int_t fixture_control_epoch(const char *pipeline)
{
    json_t *control = control_of(pipeline);
    json_int_t epoch = json_integer_value(json_object_get(control, "epoch"));

    json_decref(control);
    return epoch;
}

const char *fixture_state(const char *pipeline)
{
    char path[128];

    snprintf(path, sizeof(path), "/v1/channels/%s/status", pipeline);
    cr_assert_eq(fixture_call(fixture_await_leader(), "GET", path, NULL), 200, "%s",
                 fixture_error());
    return fixture_text("pipelines.0.state");
}
