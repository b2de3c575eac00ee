/* lutra-extract: see extract.h. */
#include "extract/extract.h"
#include "stage/service.h"

static int start(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *config,
                 void **state,
                 struct lutra_error *err)
{
    (void)err;
    *state = lutra_stage_service_new(daemon, env, LUTRA_STAGE_EXTRACT, lutra_extract_work, config);
    return 0;
}

int main(int argc, char **argv)
{
    const struct lutra_service service = {
        .name = "extract",
        .description = "decodes row images",
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
