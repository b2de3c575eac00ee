/* What lutra-extract and lutra-transform hand to the daemon: the engine behind struct
 * lutra_service. */
#ifndef LUTRA_STAGE_SERVICE_H
#define LUTRA_STAGE_SERVICE_H

#include "daemon/daemon.h"
#include "stage/stage.h"

struct lutra_stage_config {
    struct lutra_daemon_config daemon;
    uint64_t max_bytes_in_hand;
};
const struct lutra_config_key *lutra_stage_config_keys(void);

/* For lutra_service.start: *state for the others. */
void *lutra_stage_service_new(struct lutra_daemon *daemon,
                              const struct lutra_env *env,
                              enum lutra_stage stage,
                              lutra_stage_work_fn work,
                              const struct lutra_stage_config *config);
void lutra_stage_service_drain(void *state);
void lutra_stage_service_stop(void *state);
bool lutra_stage_service_ready(void *state, char *reason, size_t reason_len);
void lutra_stage_service_state(void *state, json_t *root);

#endif
