/* /healthz, /readyz, /metrics, /state. */
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon_private.h"

static const char text_plain[] = "text/plain; charset=utf-8";

static const char *coord_state_name(enum lutra_coord_state state)
{
    switch (state) {
    case LUTRA_COORD_SUSPENDED:
        return "SUSPENDED";
    case LUTRA_COORD_CONNECTED:
        return "CONNECTED";
    case LUTRA_COORD_LOST:
        return "LOST";
    }
    return "UNKNOWN";
}

bool lutra_daemon_ready(struct lutra_daemon *daemon, char *reason, size_t reason_len)
{
    const struct lutra_service *service = daemon->service;
    const char *away;

    if (daemon->phase >= LUTRA_DAEMON_DRAINING) {
        snprintf(reason, reason_len, "draining");
        return false;
    }
    if (lutra_coord_state_of(daemon->env.coord) != LUTRA_COORD_CONNECTED) {
        snprintf(reason, reason_len, "not connected to ZooKeeper %s",
                 daemon->config->zookeeper_connect);
        return false;
    }
    away = lutra_buses_away(daemon->env.buses);
    if (away != NULL) {
        snprintf(reason, reason_len, "bus %s: no Kafka broker reachable of %s", away,
                 lutra_daemon_bus_brokers(daemon->config, away));
        return false;
    }
    reason[0] = '\0';
    return service->ready == NULL || service->ready(daemon->state, reason, reason_len);
}

/* Answers 405 unless it is a GET. */
static bool is_get(struct lutra_http_request *request)
{
    if (strcmp(lutra_http_method(request), "GET") == 0) {
        return true;
    }
    lutra_http_reply_error(request, 405, "config", "%s: only GET", lutra_http_path(request));
    return false;
}

static void healthz(struct lutra_http_request *request, void *arg)
{
    (void)arg;
    if (is_get(request)) {
        lutra_http_reply_text(request, 200, text_plain, "ok\n");
    }
}

static void readyz(struct lutra_http_request *request, void *arg)
{
    struct lutra_daemon *daemon = arg;
    char reason[512] = "", line[516];
    bool ready;

    if (!is_get(request)) {
        return;
    }
    ready = lutra_daemon_ready(daemon, reason, sizeof(reason));
    snprintf(line, sizeof(line), "%s\n", ready ? "ready" : reason);
    lutra_http_reply_text(request, ready ? 200 : 503, text_plain, line);
}

static void bus_gauge(const char *name, struct lutra_bus *bus, void *arg)
{
    struct lutra_daemon *daemon = arg;
    struct lutra_buf labels = {0};

    lutra_metrics_label(&labels, "bus", name);
    lutra_gauge_set(lutra_metrics_gauge(daemon->metrics, "lutra_bus_connected",
                                        lutra_buf_cstr(&labels),
                                        "1 while a Kafka broker of the bus is reachable."),
                    lutra_bus_healthy(bus));
    lutra_buf_fini(&labels);
}

static void metrics(struct lutra_http_request *request, void *arg)
{
    struct lutra_daemon *daemon = arg;
    struct lutra_buf out = {0};
    char reason[512];

    if (!is_get(request)) {
        return;
    }
    lutra_process_metrics_update(daemon->process, daemon->loop);
    lutra_gauge_set(
        lutra_metrics_gauge(daemon->metrics, "lutra_ready", "", "1 while /readyz says 200."),
        lutra_daemon_ready(daemon, reason, sizeof(reason)));
    lutra_gauge_set(lutra_metrics_gauge(daemon->metrics, "lutra_coord_connected", "",
                                        "1 while the ZooKeeper session is connected."),
                    lutra_coord_state_of(daemon->env.coord) == LUTRA_COORD_CONNECTED);
    lutra_buses_each(daemon->env.buses, bus_gauge, daemon);
    lutra_metrics_expose(daemon->metrics, &out);
    lutra_http_reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8",
                          lutra_buf_cstr(&out));
    lutra_buf_fini(&out);
}

static void bus_state(const char *name, struct lutra_bus *bus, void *arg)
{
    json_object_set_new(arg, name, json_string(lutra_bus_healthy(bus) ? "CONNECTED" : "DOWN"));
}

static void state(struct lutra_http_request *request, void *arg)
{
    struct lutra_daemon *daemon = arg;
    char reason[512] = "";
    json_t *root, *buses;
    bool ready;

    if (!is_get(request)) {
        return;
    }
    ready = lutra_daemon_ready(daemon, reason, sizeof(reason));
    root = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:b, s:s, s:b, s:I, s:s}", "service",
                     daemon->service->name, "instance", daemon->instance, "site",
                     daemon->config->site, "version", LUTRA_VERSION, "http", daemon->advertised,
                     "started_ms", (json_int_t)daemon->started_ms, "coord",
                     coord_state_name(lutra_coord_state_of(daemon->env.coord)), "bus",
                     lutra_buses_away(daemon->env.buses) == NULL ? "CONNECTED" : "DOWN", "ready",
                     ready, "ready_reason", ready ? "" : reason, "draining",
                     daemon->phase >= LUTRA_DAEMON_DRAINING, "loop_longest_turn_ms",
                     (json_int_t)lutra_loop_longest_turn_ms(daemon->loop), "host", daemon->host);
    if (root == NULL) {
        lutra_http_reply_error(request, 500, "bug", "the state cannot be written as JSON");
        return;
    }
    buses = json_object();
    lutra_buses_each(daemon->env.buses, bus_state, buses);
    json_object_set_new(root, "buses", buses);
    if (daemon->service->state_json != NULL) {
        daemon->service->state_json(daemon->state, root);
    }
    lutra_daemon_definitions_json(daemon, root);
    if (json_object_get(root, "pipelines") == NULL) {
        json_object_set_new(root, "pipelines", json_array());
    }
    lutra_http_reply_json(request, 200, root);
}

#ifdef LUTRA_FAULTS
static json_t *faults_json(void)
{
    struct lutra_fault_point points[LUTRA_FAULT_MAX_POINTS];
    size_t n = lutra_fault_points(points, LUTRA_FAULT_MAX_POINTS);
    json_t *array = json_array();
    LUTRA_AUTO_FREE char *armed = lutra_fault_armed();

    for (size_t i = 0; i < n; i++) {
        json_array_append_new(array, json_pack("{s:s, s:I}", "name", points[i].name, "hits",
                                               (json_int_t)points[i].hits));
    }
    return json_pack("{s:o, s:s}", "points", array, "armed", armed);
}

/* GET: the points reached, and what is armed. PUT: arms the body's text. Only in builds for tests.
 */
static void faults(struct lutra_http_request *request, void *arg)
{
    struct lutra_error err = {0};

    (void)arg;
    if (strcmp(lutra_http_method(request), "PUT") == 0) {
        size_t len;
        const char *body = lutra_http_body(request, &len);
        LUTRA_AUTO_FREE char *spec = lutra_asprintf("%.*s", (int)len, body ? body : "");

        spec[strcspn(spec, "\r\n")] = '\0';
        if (lutra_fault_set(spec, &err)) {
            lutra_http_reply_error(request, 400, "config", "%s", err.msg);
            return;
        }
        LUTRA_WARN("fault.armed", LUTRA_F_STR("spec", spec));
    } else if (!is_get(request)) {
        return;
    }
    lutra_http_reply_json(request, 200, faults_json());
}
#endif

void lutra_daemon_admin_routes(struct lutra_daemon *daemon)
{
#ifdef LUTRA_FAULTS
    lutra_http_server_route(daemon->http, "/faults", faults, daemon);
#endif
    lutra_http_server_route(daemon->http, "/healthz", healthz, daemon);
    lutra_http_server_route(daemon->http, "/readyz", readyz, daemon);
    lutra_http_server_route(daemon->http, "/metrics", metrics, daemon);
    lutra_http_server_route(daemon->http, "/state", state, daemon);
}
