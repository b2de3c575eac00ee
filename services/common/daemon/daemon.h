/* The frame of every service process: options, configuration, logging, loop, ports, admin HTTP,
 * registration in ZooKeeper, signals, drain. A service's main() fills a descriptor and calls
 * lutra_daemon_main. */
#ifndef LUTRA_DAEMON_DAEMON_H
#define LUTRA_DAEMON_DAEMON_H

#include <jansson.h>

#include "base/config.h"
#include "daemon/env.h"

/* Keys that every service has. A service's config struct begins with it. */
struct lutra_daemon_config {
    char *instance; /* default <host>-<service> */
    char *site;
    char *log_level;
    bool log_json;
    char *http_listen; /* 127.0.0.1:0 picks a port */
    char *zookeeper_connect;
    uint64_t zookeeper_session_timeout_ms;
    char *kafka_brokers;
    struct lutra_config_map kafka; /* kafka.properties.* */
    char *state_dir;
    uint64_t drain_timeout_ms;
};
/* The table rows for the members above, for a struct that begins with struct lutra_daemon_config:
 *   static const struct lutra_config_key keys[] = {LUTRA_DAEMON_CONFIG_KEYS, {...own...}, {0}}; */
#define LUTRA_DAEMON_CONFIG_KEYS                                                                   \
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
         .def = "127.0.0.1:0",                                                                     \
         .help = "address of /healthz, /readyz, /metrics, /state; port 0 picks one"},              \
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
         .help = "host:port[,host:port...]"},                                                      \
        {.key = "kafka.properties",                                                                \
         .type = LUTRA_CONFIG_MAP,                                                                 \
         .offset = offsetof(struct lutra_daemon_config, kafka),                                    \
         .help = "librdkafka properties, passed through (security.protocol, ssl.*, sasl.*, ...)"}, \
        {.key = "state_dir",                                                                       \
         .type = LUTRA_CONFIG_STRING,                                                              \
         .offset = offsetof(struct lutra_daemon_config, state_dir),                                \
         .help = "folder for the cached channel definitions"},                                     \
    {                                                                                              \
        .key = "drain_timeout", .type = LUTRA_CONFIG_DURATION_MS,                                  \
        .offset = offsetof(struct lutra_daemon_config, drain_timeout_ms), .def = "5s",             \
        .max = 600000, .help = "how long SIGTERM may take"                                         \
    }

struct lutra_daemon; /* the frame */

struct lutra_service {
    const char *name; /* "select": program lutra-select */
    const char *description;
    const struct lutra_config_key *keys;
    size_t config_size;
    /* Extra validation after parsing (also under --check-config). May be NULL. */
    int (*check)(const void *config, struct lutra_error *err);
    /* Builds the logic; *state is passed to the rest. */
    int (*start)(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *config,
                 void **state,
                 struct lutra_error *err);
    /* SIGTERM: stop taking work, finish what is in hand, then call lutra_daemon_drained. */
    void (*drain)(void *state);
    void (*stop)(void *state); /* frees everything; the ports are still there */
    /* Ready to do its work? When not, the reason (one line). Coordination and bus are checked by
     * the frame. */
    bool (*ready)(void *state, char *reason, size_t reason_len);
    /* Adds its machines to /state. */
    void (*state_json)(void *state, json_t *root);
};

int lutra_daemon_main(const struct lutra_service *service, int argc, char **argv);
void lutra_daemon_drained(struct lutra_daemon *daemon);

/* More HTTP routes on the same listener (manager). The body is borrowed. handler answers with
 * lutra_http_reply, now or later. An exact path, or a prefix ending in '/'. */
struct lutra_http_request;
typedef void (*lutra_http_fn)(struct lutra_http_request *request, void *arg);
void lutra_daemon_route(struct lutra_daemon *daemon, const char *path, lutra_http_fn fn, void *arg);
const char *lutra_http_method(const struct lutra_http_request *request);
const char *lutra_http_path(const struct lutra_http_request *request); /* decoded, without query */
const char *lutra_http_query(const struct lutra_http_request *request,
                             const char *name); /* or NULL */
const char *lutra_http_body(const struct lutra_http_request *request,
                            size_t *len); /* at most 1 MiB, else 413 */
void lutra_http_reply_json(struct lutra_http_request *request,
                           int status,
                           json_t *body); /* takes body */
void lutra_http_reply_text(struct lutra_http_request *request,
                           int status,
                           const char *type,
                           const char *text);
void lutra_http_redirect(struct lutra_http_request *request, const char *location); /* 307 */
/* Where the listener really is, "127.0.0.1:8641". */
const char *lutra_daemon_http_address(const struct lutra_daemon *daemon);

#endif
