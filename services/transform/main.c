/* lutra-transform: see transform.h. */
#include "stage/service.h"
#include "transform/transform.h"

static int start(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *config,
                 void **state,
                 struct lutra_error *err)
{
    (void)err;
    *state =
        lutra_stage_service_new(daemon, env, LUTRA_STAGE_TRANSFORM, lutra_transform_work, config);
    return 0;
}

int main(int argc, char **argv)
{
    const struct lutra_service service = {
        .name = "transform",
        .description = "maps tables and columns to the target's",
        .keys = lutra_stage_config_keys(),
        .config_size = sizeof(struct lutra_stage_config),
        .start = start,
        .drain = lutra_stage_service_drain,
        .stop = lutra_stage_service_stop,
        .ready = lutra_stage_service_ready,
        .state_json = lutra_stage_service_state,
    };
    return lutra_daemon_main(&service, argc, argv);
}
