/* The frame of every service process: options, configuration, logging, loop, ports, admin HTTP,
 * registration in ZooKeeper, signals, drain. A service's main() fills a descriptor and calls
 * lutra_daemon_main. */
#ifndef LUTRA_DAEMON_DAEMON_H
#define LUTRA_DAEMON_DAEMON_H

#include <jansson.h>

#include "base/config.h"
#include "catalog/catalog.h"
#include "daemon/env.h"
#include "http/server.h"

/* Keys that every service has. A service's config struct begins with it. */
struct lutra_daemon_config {
    char *instance; /* default <host>-<service> */
    char *site;
    char *log_level;
    bool log_json;
    char *http_listen;    /* 127.0.0.1:0 picks a port */
    char *http_advertise; /* what the registration says; "": worked out from the listener */
    char *zookeeper_connect;
    uint64_t zookeeper_session_timeout_ms;
    char *kafka_brokers;
    struct lutra_config_map kafka; /* kafka.properties.* */
    struct lutra_config_map buses; /* <name>.brokers, <name>.properties.* */
    char *state_dir;
    uint64_t drain_timeout_ms;
    uint64_t standby_delay_ms;
    uint64_t watchdog_ms;
};
/* The table rows for the members above, for a struct that begins with struct lutra_daemon_config:
 *   static const struct lutra_config_key keys[] = {LUTRA_DAEMON_CONFIG_KEYS, {...own...}, {0}}; */
#define LUTRA_DAEMON_CONFIG_KEYS LUTRA_DAEMON_CONFIG_KEYS_LISTEN("127.0.0.1:0")
/* The same with another default of http.listen. */
#define LUTRA_DAEMON_CONFIG_KEYS_LISTEN(listen)                                                    \
    {.key = "instance",                                                                            \
     .type = LUTRA_CONFIG_STRING,                                                                  \
     .offset = offsetof(struct lutra_daemon_config, instance),                                     \
     .def = "",                                                                                    \
     .help = "name of this process, unique per service; empty: <host>-<service>"},                 \
        {.key = "site",                                                                            \
         .type = LUTRA_CONFIG_STRING,                                                              \
         .offset = offsetof(struct lutra_daemon_config, site),                                     \
         .def = "default",                                                                         \
         .help = "the site (data centre) this process stands in"},                                 \
        {.key = "log.level",                                                                       \
         .type = LUTRA_CONFIG_STRING,                                                              \
         .offset = offsetof(struct lutra_daemon_config, log_level),                                \
         .def = "info",                                                                            \
         .help = "debug | info | warn | error"},                                                   \
        {.key = "log.json",                                                                        \
         .type = LUTRA_CONFIG_BOOL,                                                                \
         .offset = offsetof(struct lutra_daemon_config, log_json),                                 \
         .def = "false",                                                                           \
         .help = "JSON lines instead of logfmt"},                                                  \
        {.key = "http.listen",                                                                     \
         .type = LUTRA_CONFIG_STRING,                                                              \
         .offset = offsetof(struct lutra_daemon_config, http_listen),                              \
         .def = listen,                                                                            \
         .help = "address of /healthz, /readyz, /metrics, /state; port 0 picks one"},              \
        {.key = "http.advertise",                                                                  \
         .type = LUTRA_CONFIG_STRING,                                                              \
         .offset = offsetof(struct lutra_daemon_config, http_advertise),                           \
         .def = "",                                                                                \
         .help = "host:port that others are told; empty: the listener's, with the host's name "    \
                 "where it listens on every address"},                                             \
        {.key = "zookeeper.connect",                                                               \
         .type = LUTRA_CONFIG_STRING,                                                              \
         .offset = offsetof(struct lutra_daemon_config, zookeeper_connect),                        \
         .help = "host:port[,host:port...][/chroot]"},                                             \
        {.key = "zookeeper.session_timeout",                                                       \
         .type = LUTRA_CONFIG_DURATION_MS,                                                         \
         .offset = offsetof(struct lutra_daemon_config, zookeeper_session_timeout_ms),             \
         .def = "4s",                                                                              \
         .min = 500,                                                                               \
         .max = 60000,                                                                             \
         .help = "session time-out asked for"},                                                    \
        {.key = "kafka.brokers",                                                                   \
         .type = LUTRA_CONFIG_STRING,                                                              \
         .offset = offsetof(struct lutra_daemon_config, kafka_brokers),                            \
         .def = "",                                                                                \
         .help = "host:port[,host:port...] of the bus `default`; needed unless there are others"}, \
        {.key = "kafka.properties",                                                                \
         .type = LUTRA_CONFIG_MAP,                                                                 \
         .offset = offsetof(struct lutra_daemon_config, kafka),                                    \
         .help = "librdkafka properties, passed through (security.protocol, ssl.*, sasl.*, ...)"}, \
        {.key = "buses",                                                                           \
         .type = LUTRA_CONFIG_MAP,                                                                 \
         .offset = offsetof(struct lutra_daemon_config, buses),                                    \
         .help = "more buses: <name>.brokers and <name>.properties.*, as under kafka; pipelines "  \
                 "name them as source_bus and target_bus"},                                        \
        {.key = "state_dir",                                                                       \
         .type = LUTRA_CONFIG_STRING,                                                              \
         .offset = offsetof(struct lutra_daemon_config, state_dir),                                \
         .def = "",                                                                                \
         .help = "folder for the cached channel definitions; empty: no cache, a start needs "      \
                 "ZooKeeper"},                                                                     \
        {.key = "drain_timeout",                                                                   \
         .type = LUTRA_CONFIG_DURATION_MS,                                                         \
         .offset = offsetof(struct lutra_daemon_config, drain_timeout_ms),                         \
         .def = "5s",                                                                              \
         .max = 600000,                                                                            \
         .help = "how long SIGTERM may take"},                                                     \
        {.key = "standby_delay",                                                                   \
         .type = LUTRA_CONFIG_DURATION_MS,                                                         \
         .offset = offsetof(struct lutra_daemon_config, standby_delay_ms),                         \
         .def = "1s",                                                                              \
         .min = 1,                                                                                 \
         .max = 60000,                                                                             \
         .help = "select and load: how long a standby leaves a pipeline whose owner vanished to "  \
                 "that owner"},                                                                    \
    {                                                                                              \
        .key = "watchdog", .type = LUTRA_CONFIG_DURATION_MS,                                       \
        .offset = offsetof(struct lutra_daemon_config, watchdog_ms), .def = "60s", .max = 3600000, \
        .help = "a loop that stands still so long ends the process (to be restarted); 0s: never"   \
    }

struct lutra_daemon; /* the frame */

/* A service: a table that its library exports. What `start` returned is `state` for the others. */
struct lutra_service {
    const char *name; /* "select": program lutra-select */
    const char *description;
    const struct lutra_config_key *keys;
    size_t config_size;
    bool stateless; /* has no use for state_dir */
    /* Extra validation after parsing (also under --check-config). May be NULL. */
    int (*check)(const void *config, struct lutra_error *err);
    /* Builds the logic. env and what it points to outlive it. */
    int (*start)(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *config,
                 void **state,
                 struct lutra_error *err);
    /* What definitions it knows, told by GET /definitions/<channel> and in /state; lives until
     * `stop`. NULL: it tells none. */
    const struct lutra_catalog *(*catalog)(const void *state);
    /* SIGTERM: stop taking work, finish what is in hand, give up every ownership, then call
     * drained(arg), once, never from within this call. NULL: there is nothing to finish. */
    void (*drain)(void *state, void (*drained)(void *arg), void *arg);
    void (*stop)(void *state); /* frees everything; the ports are still there */
    /* Ready to do its work? When not, the reason (one line). Coordination and bus are checked by
     * the frame. */
    bool (*ready)(void *state, char *reason, size_t reason_len);
    /* Adds its machines to /state: "pipelines" (docs/PROTOCOL.md §9). */
    void (*state_json)(void *state, json_t *root);
};

/* The whole life of a service process; returns its exit status (docs/PROTOCOL.md §10). */
int lutra_daemon_main(const struct lutra_service *service, int argc, char **argv);
/* Ends the process with status 1 after this turn, its reason logged: it cannot go on (FATAL). */
void lutra_daemon_fail(struct lutra_daemon *daemon, const struct lutra_error *err);

/* More HTTP routes on the same listener (manager); http/server.h has the request's side. To be
 * called in start. */
void lutra_daemon_route(struct lutra_daemon *daemon, const char *path, lutra_http_fn fn, void *arg);
/* What others are told of the listener (http.advertise), "127.0.0.1:8641". */
const char *lutra_daemon_http_address(const struct lutra_daemon *daemon);

#endif
