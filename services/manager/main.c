/* lutra-manager: see manager.h. */
#include <stddef.h>

#include "base/mem.h"
#include "daemon/daemon.h"
#include "http/client.h"
#include "manager/manager.h"

enum { MAX_STATE_BYTES = 8 * 1024 * 1024 };

struct config {
    struct lutra_daemon_config daemon;
    uint64_t stall_ms;
};

static const struct lutra_config_key keys[] = {
    LUTRA_DAEMON_CONFIG_KEYS_LISTEN("127.0.0.1:8640"),
    {.key = "manager.stall",
     .type = LUTRA_CONFIG_DURATION_MS,
     .offset = offsetof(struct config, stall_ms),
     .def = "30s",
     .min = 1000,
     .max = 86400000,
     .help = "how long data may be in flight without progress before a restart"},
    {0},
};

struct state {
    struct lutra_http_client *client;
    struct lutra_manager *manager;
};

static void get(void *port,
                const char *address,
                const char *target,
                uint64_t timeout_ms,
                lutra_http_answer_fn done,
                void *arg)
{
    struct lutra_http_call call = {
        .method = "GET", .address = address, .target = target, .timeout_ms = timeout_ms};

    lutra_http_client_call(port, &call, done, arg);
}

static void forget(void *port, void *arg)
{
    lutra_http_client_forget(port, arg);
}

static int start(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *arg,
                 void **out,
                 struct lutra_error *err)
{
    const struct config *config = arg;
    struct state *state = LUTRA_NEW(struct state);

    (void)err;
    state->client = lutra_http_client_new(env->loop, MAX_STATE_BYTES);
    state->manager = lutra_manager_new(&(struct lutra_manager_options){
        .loop = env->loop,
        .coord = env->coord,
        .buses = env->buses,
        .instance = env->instance,
        .http = lutra_daemon_http_address(daemon),
        .fetcher = {.get = get, .forget = forget, .port = state->client},
        .metrics = env->metrics,
        .looks_into_targets = true,
        .stall_ms = config->stall_ms,
    });
    lutra_daemon_route(daemon, "/v1/", lutra_manager_handle, state->manager);
    *out = state;
    return 0;
}

static void stop(void *arg)
{
    struct state *state = arg;

    lutra_manager_free(state->manager);
    lutra_http_client_free(state->client);
    lutra_free(state);
}

static bool ready(void *arg, char *reason, size_t reason_len)
{
    return lutra_manager_ready(((struct state *)arg)->manager, reason, reason_len);
}

static void state_json(void *arg, json_t *root)
{
    lutra_manager_state(((struct state *)arg)->manager, root);
}

int main(int argc, char **argv)
{
    static const struct lutra_service service = {
        .name = "manager",
        .description = "arbitrates between the services, tells their state, takes definitions",
        .keys = keys,
        .config_size = sizeof(struct config),
        .stateless = true,
        .start = start,
        .stop = stop,
        .ready = ready,
        .state_json = state_json,
    };
    return lutra_daemon_main(&service, argc, argv);
}
