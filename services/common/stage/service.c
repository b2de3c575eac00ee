#include "stage/service.h"

#include <stddef.h>

const struct lutra_config_key lutra_stage_config_keys[] = {
    LUTRA_DAEMON_CONFIG_KEYS,
    {.key = "max_bytes_in_hand",
     .type = LUTRA_CONFIG_SIZE_BYTES,
     .offset = offsetof(struct lutra_stage_config, max_bytes_in_hand),
     .def = "64MiB",
     .min = 1 << 20,
     .help = "payloads kept at the same time; above it nothing more is read"},
    {0}};

int lutra_stage_start(const struct lutra_env *env,
                      enum lutra_stage stage,
                      lutra_stage_work_fn work,
                      const void *config,
                      void **state)
{
    const struct lutra_stage_config *own = config;
    *state = lutra_stage_engine_new(
        env, &(struct lutra_stage_desc){
                 .stage = stage, .work = work, .max_bytes_in_hand = own->max_bytes_in_hand});
    return 0;
}

const struct lutra_catalog *lutra_stage_catalog(const void *state)
{
    return lutra_stage_engine_catalog(state);
}

void lutra_stage_drain(void *state, void (*drained)(void *arg), void *arg)
{
    lutra_stage_engine_drain(state, drained, arg);
}

void lutra_stage_stop(void *state)
{
    lutra_stage_engine_free(state);
}

bool lutra_stage_ready(void *state, char *reason, size_t reason_len)
{
    return lutra_stage_engine_ready(state, reason, reason_len);
}

void lutra_stage_state_json(void *state, json_t *root)
{
    lutra_stage_engine_state(state, root);
}
