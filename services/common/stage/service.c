#include "stage/service.h"

#include <stddef.h>

#include "base/mem.h"

const struct lutra_config_key *lutra_stage_config_keys(void)
{
    static const struct lutra_config_key keys[] = {
        LUTRA_DAEMON_CONFIG_KEYS,
        {.key = "max_bytes_in_hand",
         .type = LUTRA_CONFIG_SIZE_BYTES,
         .offset = offsetof(struct lutra_stage_config, max_bytes_in_hand),
         .def = "64MiB",
         .min = 1 << 20,
         .help = "payloads kept at the same time; above it nothing more is read"},
        {0}};
    return keys;
}

struct service {
    struct lutra_daemon *daemon;
    struct lutra_stage_engine *engine;
};

void *lutra_stage_service_new(struct lutra_daemon *daemon,
                              const struct lutra_env *env,
                              enum lutra_stage stage,
                              lutra_stage_work_fn work,
                              const struct lutra_stage_config *config)
{
    const struct lutra_stage_desc desc = {
        .stage = stage, .work = work, .max_bytes_in_hand = config->max_bytes_in_hand};
    struct service *service = LUTRA_NEW(struct service);
    service->daemon = daemon;
    service->engine = lutra_stage_engine_new(env, &desc);
    lutra_daemon_definitions(daemon, lutra_stage_engine_catalog(service->engine));
    return service;
}

static void drained(void *arg)
{
    lutra_daemon_drained(((struct service *)arg)->daemon);
}

void lutra_stage_service_drain(void *state)
{
    lutra_stage_engine_drain(((struct service *)state)->engine, drained, state);
}

void lutra_stage_service_stop(void *state)
{
    lutra_stage_engine_free(((struct service *)state)->engine);
    lutra_free(state);
}

bool lutra_stage_service_ready(void *state, char *reason, size_t reason_len)
{
    return lutra_stage_engine_ready(((struct service *)state)->engine, reason, reason_len);
}

void lutra_stage_service_state(void *state, json_t *root)
{
    lutra_stage_engine_state(((struct service *)state)->engine, root);
}
