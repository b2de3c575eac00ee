/* What the files of the frame share. */
#ifndef LUTRA_DAEMON_DAEMON_PRIVATE_H
#define LUTRA_DAEMON_DAEMON_PRIVATE_H

#include <stdatomic.h>

#include "coord/owner.h"
#include "daemon/daemon.h"
#include "http/address.h"

enum { LUTRA_EXIT_OK = 0, LUTRA_EXIT_FAILED = 1, LUTRA_EXIT_USAGE = 2, LUTRA_EXIT_CONFIG = 78 };

/* Where the ports come from: the real ones, or a test's. */
struct lutra_daemon_ports {
    struct lutra_coord *(*coord_new)(struct lutra_loop *loop,
                                     const struct lutra_daemon_config *config,
                                     struct lutra_error *err);
    struct lutra_bus *(*bus_new)(struct lutra_loop *loop,
                                 const char *name,
                                 const char *brokers,
                                 const struct lutra_config_map *properties,
                                 const char *client_id,
                                 struct lutra_metrics *metrics,
                                 struct lutra_error *err);
    struct lutra_source *(*source_new)(const struct lutra_env *env,
                                       const struct lutra_endpoint *endpoint,
                                       const char *pipeline);
    struct lutra_target *(*target_new)(const struct lutra_env *env,
                                       const struct lutra_endpoint *endpoint,
                                       const char *pipeline,
                                       const struct lutra_pipeline_def *def);
    struct lutra_scout *(*scout_new)(const struct lutra_env *env,
                                     const struct lutra_endpoint *group,
                                     const char *pipeline);
};
extern const struct lutra_daemon_ports lutra_daemon_real_ports;

enum lutra_daemon_phase {
    LUTRA_DAEMON_STARTING,
    LUTRA_DAEMON_RUNNING,
    LUTRA_DAEMON_DRAINING,
    LUTRA_DAEMON_DEPARTING,
};

struct lutra_daemon {
    const struct lutra_service *service;
    const struct lutra_daemon_ports *ports;
    const char *config_path;            /* NULL: environment and defaults only */
    struct lutra_daemon_config *config; /* the service's struct begins with it */
    struct lutra_loop *loop;
    struct lutra_metrics *metrics;
    struct lutra_http_server *http;
    struct lutra_env env;
    void *state; /* the service's */
    struct lutra_registration *registration;
    struct lutra_process_metrics *process;
    struct lutra_watchdog *watchdog;
    struct lutra_signal *signals[4];
    struct lutra_timer *stop_timer; /* the bound of draining, then of departing */
    enum lutra_daemon_phase phase;
    unsigned stop_signals;
    int exit_status;
    int64_t started_ms;
    char instance[64];
    char host[256];
    char advertised[272];
};

/* options.c */
enum lutra_daemon_action {
    LUTRA_DAEMON_RUN,
    LUTRA_DAEMON_CHECK_CONFIG,
    LUTRA_DAEMON_PRINT_CONFIG,
    LUTRA_DAEMON_PRINT_KEYS,
    LUTRA_DAEMON_EXIT, /* all is said: leave with `status` */
};
struct lutra_daemon_options {
    enum lutra_daemon_action action;
    const char *config_path;
    int status;
};
void lutra_daemon_options_parse(const struct lutra_service *service,
                                int argc,
                                char **argv,
                                struct lutra_daemon_options *options);

/* settings.c: the members every service has, beyond what their types say; and a host's name. */
int lutra_daemon_settings_check(const struct lutra_service *service,
                                const struct lutra_daemon_config *config,
                                struct lutra_error *err) LUTRA_MUST_CHECK;
/* "<host>-<service>" unless configured. */
void lutra_daemon_instance_name(const struct lutra_service *service,
                                const struct lutra_daemon_config *config,
                                const char *host,
                                char *buf,
                                size_t size);
void lutra_daemon_host_name(char *buf, size_t size);
/* What others are told: http.advertise, or the listener with the host's name for 0.0.0.0. */
void lutra_daemon_advertised(const struct lutra_daemon_config *config,
                             const char *listening,
                             const char *host,
                             char *buf,
                             size_t size);

/* buses.c: what is configured of a bus; NULL: nothing. Borrowed. */
const char *lutra_daemon_bus_brokers(const struct lutra_daemon_config *config, const char *name);
/* Its librdkafka properties; the texts are borrowed, the arrays are the caller's. */
void lutra_daemon_bus_properties(const struct lutra_daemon_config *config,
                                 const char *name,
                                 struct lutra_config_map *out);
void lutra_daemon_bus_properties_fini(struct lutra_config_map *properties);
int lutra_daemon_buses_check(const struct lutra_daemon_config *config,
                             struct lutra_error *err) LUTRA_MUST_CHECK;

/* admin.c: /healthz, /readyz, /metrics, /state. */
void lutra_daemon_admin_routes(struct lutra_daemon *daemon);

/* ---- definitions.c: nothing, when the service tells none ---- */
void lutra_daemon_definitions_route(struct lutra_daemon *daemon);
void lutra_daemon_definitions_json(const struct lutra_daemon *daemon, json_t *root);
/* False with one line why. */
bool lutra_daemon_ready(struct lutra_daemon *daemon, char *reason, size_t reason_len);

/* process.c */
struct lutra_process_metrics;
struct lutra_process_metrics *lutra_process_metrics_new(struct lutra_metrics *metrics,
                                                        const char *service);
void lutra_process_metrics_update(struct lutra_process_metrics *process, struct lutra_loop *loop);
void lutra_process_metrics_free(struct lutra_process_metrics *process);

/* presence.c: the registration; and the mark of one that leaves in order, followed by departed,
 * perhaps at once; marked: ZooKeeper has it. */
void lutra_daemon_register(struct lutra_daemon *daemon);
void lutra_daemon_depart(struct lutra_daemon *daemon);
void lutra_daemon_departed(struct lutra_daemon *daemon, bool marked);

/* reload.c: SIGHUP. */
void lutra_daemon_reload(struct lutra_daemon *daemon);
/* Names of the keys whose values differ, separated by blanks. */
void lutra_daemon_config_diff(const struct lutra_config_key *keys,
                              const void *a,
                              const void *b,
                              struct lutra_buf *names);

/* watchdog.c: a thread that tells of a loop that stands still, and ends the process when it does so
 * for too long. It counts its own ticks: a process that was stopped (SIGSTOP, a suspended machine)
 * and goes on is not taken for a hung one. */
struct lutra_watchdog;
struct lutra_watchdog *
lutra_watchdog_new(struct lutra_loop *loop, unsigned tick_ms, uint64_t warn_ms, uint64_t abort_ms);
void lutra_watchdog_free(struct lutra_watchdog *watchdog);

/* daemon.c: lutra_daemon_main with other ports. */
int lutra_daemon_run(const struct lutra_service *service,
                     const struct lutra_daemon_ports *ports,
                     int argc,
                     char **argv);

#endif
