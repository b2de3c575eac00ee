/* The life of a service process:
 *
 *   options -> configuration -> log -> loop, signals -> HTTP listener -> ports -> the service's
 *   logic -> registration -> turns of the loop -> TERM: drain -> the mark that it left in order ->
 *   stop -> the same backwards
 */
#include "daemon/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon_private.h"

enum { WATCHDOG_TICK_MS = 1000, WATCHDOG_WARN_MS = 5000, DEPART_MS = 1000 };

static int exit_status_of(const struct lutra_error *err)
{
    return err->class == LUTRA_CONFIG ? LUTRA_EXIT_CONFIG : LUTRA_EXIT_FAILED;
}

/* ---- stopping ---- */

void lutra_daemon_departed(struct lutra_daemon *daemon, bool marked)
{
    if (!marked) {
        LUTRA_WARN("daemon.departed_unmarked",
                   LUTRA_F_STR("note", "ZooKeeper was not told: this looks like a lost node"));
    }
    lutra_timer_stop(daemon->stop_timer);
    lutra_loop_stop(daemon->loop);
}

/* Everything is handed over or given up: last, what a crash would not leave behind. */
static void depart(struct lutra_daemon *daemon, const char *why)
{
    LUTRA_INFO("daemon.stopping", LUTRA_F_STR("why", why));
    daemon->phase = LUTRA_DAEMON_DEPARTING;
    lutra_timer_start(daemon->stop_timer, DEPART_MS);
    lutra_daemon_depart(daemon);
}

static void on_drained(void *arg)
{
    struct lutra_daemon *daemon = arg;

    if (daemon->phase == LUTRA_DAEMON_DRAINING) {
        depart(daemon, "drained");
    }
}

void lutra_daemon_fail(struct lutra_daemon *daemon, const struct lutra_error *err)
{
    LUTRA_ERROR("daemon.failed", LUTRA_F_ERR(err));
    daemon->exit_status = LUTRA_EXIT_FAILED;
    lutra_loop_stop(daemon->loop);
}

static void stop_timer_cb(void *arg)
{
    struct lutra_daemon *daemon = arg;

    if (daemon->phase == LUTRA_DAEMON_DEPARTING) {
        lutra_daemon_departed(daemon, false);
        return;
    }
    LUTRA_WARN("daemon.drain_timeout",
               LUTRA_F_U64("drain_timeout_ms", daemon->config->drain_timeout_ms));
    depart(daemon, "drain_timeout");
}

static void on_stop_signal(int signo, void *arg)
{
    struct lutra_daemon *daemon = arg;

    if (++daemon->stop_signals > 1) {
        LUTRA_WARN("daemon.stopped_at_once", LUTRA_F_STR("signal", strsignal(signo)));
        _exit(LUTRA_EXIT_FAILED);
    }
    LUTRA_INFO("daemon.draining", LUTRA_F_STR("signal", strsignal(signo)));
    daemon->phase = LUTRA_DAEMON_DRAINING;
    if (daemon->service->drain == NULL || daemon->config->drain_timeout_ms == 0) {
        depart(daemon, "signal");
        return;
    }
    lutra_timer_start(daemon->stop_timer, daemon->config->drain_timeout_ms);
    daemon->service->drain(daemon->state, on_drained, daemon);
}

static void on_hup(int signo, void *arg)
{
    (void)signo;
    lutra_daemon_reload(arg);
}

/* ---- starting ---- */

static void log_setup(const struct lutra_daemon *daemon)
{
    enum lutra_log_level level = LUTRA_LOG_INFO;

    (void)lutra_log_level_parse(daemon->config->log_level, &level); /* checked before */
    lutra_log_setup(daemon->service->name, daemon->instance, level, daemon->config->log_json);
}

static void warn_of_settings(const struct lutra_daemon *daemon)
{
    struct lutra_http_address address;

    if (lutra_http_address_parse(daemon->config->http_listen, &address, NULL) == 0 &&
        !lutra_http_address_is_loopback(&address)) {
        LUTRA_WARN("daemon.http_not_loopback", LUTRA_F_STR("listen", daemon->config->http_listen),
                   LUTRA_F_STR("note", "there is no authentication: keep it behind a firewall"));
    }
    if (!daemon->service->stateless && daemon->config->state_dir[0] == '\0') {
        LUTRA_WARN("daemon.no_state_dir",
                   LUTRA_F_STR("note", "without ZooKeeper this service cannot start"));
    }
}

static struct lutra_bus *open_bus(const char *name, void *arg, struct lutra_error *err)
{
    struct lutra_daemon *daemon = arg;
    const char *brokers = lutra_daemon_bus_brokers(daemon->config, name);
    bool is_default = strcmp(name, LUTRA_BUS_DEFAULT) == 0;
    struct lutra_config_map properties;
    struct lutra_bus *bus;
    char client_id[128];

    if (brokers == NULL) {
        lutra_error_set(err, LUTRA_CONFIG, 0,
                        "bus %s is not configured: the configuration of %s %s lacks %s%s.brokers",
                        name, daemon->service->name, daemon->instance, is_default ? "" : "buses.",
                        is_default ? "kafka" : name);
        return NULL;
    }
    snprintf(client_id, sizeof(client_id), "lutra-%s-%s", daemon->service->name, daemon->instance);
    lutra_daemon_bus_properties(daemon->config, name, &properties);
    bus = daemon->ports->bus_new(daemon->loop, name, brokers, &properties, client_id,
                                 daemon->metrics, err);
    lutra_daemon_bus_properties_fini(&properties);
    if (bus == NULL) {
        lutra_error_wrap(err, "bus %s", name);
        return NULL;
    }
    LUTRA_INFO("daemon.bus_opened", LUTRA_F_STR("bus", name), LUTRA_F_STR("brokers", brokers));
    return bus;
}

static int start_ports(struct lutra_daemon *daemon, struct lutra_error *err)
{
    struct lutra_env *env = &daemon->env;

    daemon->metrics = lutra_metrics_new();
    daemon->process = lutra_process_metrics_new(daemon->metrics, daemon->service->name);
    *env = (struct lutra_env){
        .loop = daemon->loop,
        .metrics = daemon->metrics,
        .instance = daemon->instance,
        .site = daemon->config->site,
        .state_dir = daemon->config->state_dir[0] != '\0' ? daemon->config->state_dir : NULL,
        .standby_delay_ms = daemon->config->standby_delay_ms,
        .source_new = daemon->ports->source_new,
        .target_new = daemon->ports->target_new,
        .scout_new = daemon->ports->scout_new,
    };
    daemon->http = lutra_http_server_new(daemon->loop, daemon->config->http_listen, NULL, err);
    if (daemon->http == NULL) {
        return -1;
    }
    lutra_daemon_advertised(daemon->config, lutra_http_server_address(daemon->http), daemon->host,
                            daemon->advertised, sizeof(daemon->advertised));
    env->coord = daemon->ports->coord_new(daemon->loop, daemon->config, err);
    if (env->coord == NULL) {
        return lutra_error_wrap(err, "ZooKeeper");
    }
    env->buses = lutra_buses_new(daemon->loop, open_bus, daemon);
    /* The default one at once: what it refuses ends the process now, not when work comes. */
    return daemon->config->kafka_brokers[0] == '\0' ||
                   lutra_buses_get(env->buses, LUTRA_BUS_DEFAULT, err) != NULL
               ? 0
               : -1;
}

static int start(struct lutra_daemon *daemon, struct lutra_error *err)
{
    if (start_ports(daemon, err) != 0) {
        return -1;
    }
    if (daemon->service->start(daemon, &daemon->env, daemon->config, &daemon->state, err) != 0) {
        return -1;
    }
    lutra_daemon_admin_routes(daemon);
    lutra_daemon_definitions_route(daemon);
    lutra_daemon_register(daemon);
    daemon->stop_timer = lutra_timer_new(daemon->loop, stop_timer_cb, daemon);
    daemon->signals[0] = lutra_signal_new(daemon->loop, SIGTERM, on_stop_signal, daemon);
    daemon->signals[1] = lutra_signal_new(daemon->loop, SIGINT, on_stop_signal, daemon);
    daemon->signals[2] = lutra_signal_new(daemon->loop, SIGHUP, on_hup, daemon);
    daemon->watchdog = lutra_watchdog_new(daemon->loop, WATCHDOG_TICK_MS, WATCHDOG_WARN_MS,
                                          daemon->config->watchdog_ms);
    daemon->phase = LUTRA_DAEMON_RUNNING;
    LUTRA_INFO("daemon.started", LUTRA_F_STR("version", LUTRA_VERSION),
               LUTRA_F_STR("http", daemon->advertised), LUTRA_F_STR("site", daemon->config->site),
               LUTRA_F_I64("pid", getpid()));
    return 0;
}

static void stop(struct lutra_daemon *daemon)
{
    /* The rest may block for its bounded time, the loop stands: nobody is to call that a stall. */
    lutra_watchdog_free(daemon->watchdog);
    if (daemon->state != NULL && daemon->service->stop != NULL) {
        daemon->service->stop(daemon->state);
    }
    lutra_registration_free(daemon->registration);
    lutra_http_server_free(daemon->http);
    lutra_buses_free(daemon->env.buses);
    if (daemon->env.coord != NULL) {
        lutra_coord_free(daemon->env.coord);
    }
    for (size_t i = 0; i < sizeof(daemon->signals) / sizeof(daemon->signals[0]); i++) {
        if (daemon->signals[i] != NULL) {
            lutra_signal_free(daemon->signals[i]);
        }
    }
    lutra_timer_free(daemon->stop_timer);
    lutra_process_metrics_free(daemon->process);
    lutra_metrics_free(daemon->metrics);
    lutra_loop_free(daemon->loop);
}

static int run(const struct lutra_service *service,
               const struct lutra_daemon_ports *ports,
               const char *config_path,
               struct lutra_daemon_config *config)
{
    struct lutra_daemon daemon = {
        .service = service,
        .ports = ports,
        .config_path = config_path,
        .config = config,
        .started_ms = lutra_clock_wall_us() / 1000,
    };
    struct lutra_error err = {0};

    /* A peer that goes away is an error of the write, not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    lutra_daemon_host_name(daemon.host, sizeof(daemon.host));
    lutra_daemon_instance_name(service, config, daemon.host, daemon.instance,
                               sizeof(daemon.instance));
    log_setup(&daemon);
    warn_of_settings(&daemon);
    daemon.loop = lutra_loop_new();
    if (start(&daemon, &err) != 0) {
        LUTRA_ERROR("daemon.start_failed", LUTRA_F_ERR(&err));
        stop(&daemon);
        return exit_status_of(&err);
    }
    lutra_loop_run(daemon.loop);
    stop(&daemon);
    LUTRA_INFO("daemon.stopped", LUTRA_F_I64("status", daemon.exit_status));
    return daemon.exit_status;
}

static int act(const struct lutra_service *service,
               const struct lutra_daemon_ports *ports,
               const struct lutra_daemon_options *options,
               struct lutra_daemon_config *config)
{
    struct lutra_buf out = {0};

    switch (options->action) {
    case LUTRA_DAEMON_CHECK_CONFIG:
        printf("configuration is valid\n");
        return LUTRA_EXIT_OK;
    case LUTRA_DAEMON_PRINT_CONFIG:
        lutra_config_print(service->keys, config, &out);
        fwrite(out.data, 1, out.len, stdout);
        lutra_buf_fini(&out);
        return LUTRA_EXIT_OK;
    case LUTRA_DAEMON_RUN:
    case LUTRA_DAEMON_PRINT_KEYS:
    case LUTRA_DAEMON_EXIT:
        break;
    }
    return run(service, ports, options->config_path, config);
}

static int print_keys(const struct lutra_service *service)
{
    struct lutra_buf out = {0};

    lutra_config_document(service->keys, &out);
    fwrite(out.data, 1, out.len, stdout);
    lutra_buf_fini(&out);
    return LUTRA_EXIT_OK;
}

int lutra_daemon_run(const struct lutra_service *service,
                     const struct lutra_daemon_ports *ports,
                     int argc,
                     char **argv)
{
    struct lutra_daemon_options options;
    struct lutra_daemon_config *config;
    struct lutra_error err = {0};
    int status;

    lutra_daemon_options_parse(service, argc, argv, &options);
    if (options.action == LUTRA_DAEMON_EXIT) {
        return options.status;
    }
    if (options.action == LUTRA_DAEMON_PRINT_KEYS) {
        return print_keys(service);
    }
    config = lutra_alloc(service->config_size);
    if (lutra_config_load(service->keys, options.config_path, config, &err) != 0 ||
        lutra_daemon_settings_check(service, config, &err) != 0 ||
        (service->check != NULL && service->check(config, &err) != 0)) {
        fprintf(stderr, "lutra-%s: %s\n", service->name, err.msg);
        status = exit_status_of(&err);
    } else {
        status = act(service, ports, &options, config);
    }
    lutra_config_fini(service->keys, config);
    lutra_free(config);
    return status;
}

void lutra_daemon_route(struct lutra_daemon *daemon, const char *path, lutra_http_fn fn, void *arg)
{
    lutra_http_server_route(daemon->http, path, fn, arg);
}

const char *lutra_daemon_http_address(const struct lutra_daemon *daemon)
{
    return daemon->advertised;
}
