/* What the tables of lutra-extract and lutra-transform are made of (struct lutra_service): the
 * engine. They differ in their name, and in what `start` hands to lutra_stage_start. */
#ifndef LUTRA_STAGE_SERVICE_H
#define LUTRA_STAGE_SERVICE_H

#include "daemon/daemon.h"
#include "stage/stage.h"

struct lutra_stage_config {
    struct lutra_daemon_config daemon;
    uint64_t max_bytes_in_hand;
};
extern const struct lutra_config_key lutra_stage_config_keys[];

/* config: a struct lutra_stage_config. Never fails. */
int lutra_stage_start(const struct lutra_env *env,
                      enum lutra_stage stage,
                      lutra_stage_work_fn work,
                      const void *config,
                      void **state);
const struct lutra_catalog *lutra_stage_catalog(const void *state);
void lutra_stage_drain(void *state, void (*drained)(void *arg), void *arg);
void lutra_stage_stop(void *state);
bool lutra_stage_ready(void *state, char *reason, size_t reason_len);
void lutra_stage_state_json(void *state, json_t *root);

#endif
