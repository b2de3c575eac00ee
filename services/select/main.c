/* lutra-select: see select.h. */
#include <stddef.h>

#include "base/mem.h"
#include "daemon/daemon.h"
#include "select/select.h"

static const struct lutra_config_key keys[] = {LUTRA_DAEMON_CONFIG_KEYS, {0}};

struct state {
    struct lutra_daemon *daemon;
    struct lutra_select *select;
};

static int start(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *config,
                 void **out,
                 struct lutra_error *err)
{
    struct state *state = LUTRA_NEW(struct state);
    (void)config;
    (void)err;
    state->daemon = daemon;
    state->select = lutra_select_new(env);
    lutra_daemon_definitions(daemon, lutra_select_catalog(state->select));
    *out = state;
    return 0;
}

static void drained(void *arg)
{
    lutra_daemon_drained(((struct state *)arg)->daemon);
}

static void drain(void *arg)
{
    lutra_select_drain(((struct state *)arg)->select, drained, arg);
}

static void stop(void *arg)
{
    lutra_select_free(((struct state *)arg)->select);
    lutra_free(arg);
}

static bool ready(void *arg, char *reason, size_t reason_len)
{
    return lutra_select_ready(((struct state *)arg)->select, reason, reason_len);
}

static void state_json(void *arg, json_t *root)
{
    lutra_select_state(((struct state *)arg)->select, root);
}

int main(int argc, char **argv)
{
    static const struct lutra_service service = {
        .name = "select",
        .description = "reads sources' binlogs and publishes them in processes",
        .keys = keys,
        .config_size = sizeof(struct lutra_daemon_config),
        .start = start,
        .drain = drain,
        .stop = stop,
        .ready = ready,
        .state_json = state_json,
    };
    return lutra_daemon_main(&service, argc, argv);
}
