/* The parallel stages' common engine: consume a topic in a group, work on each batch, publish to
 * the next topic, commit the contiguous acknowledged prefix. extract and transform differ in the
 * work function only. docs/PROTOCOL.md §4. */
#ifndef LUTRA_STAGE_STAGE_H
#define LUTRA_STAGE_STAGE_H

#include <jansson.h>

#include "base/arena.h"
#include "bus/pipe.h"
#include "catalog/catalog.h"
#include "daemon/env.h"

/* Turns an input payload into an output payload. Pure: same input and definition, same output
 * bytes. `arena` is reset by the engine after the batch. DATA stops the batch: the engine sends
 * ROLLBACK with the reason (nothing is skipped). */
typedef int (*lutra_stage_work_fn)(const struct lutra_pipeline *pipeline,
                                   const struct lutra_envelope *envelope,
                                   const uint8_t *payload,
                                   size_t len,
                                   struct lutra_arena *arena,
                                   struct lutra_buf *out,
                                   struct lutra_error *err);

struct lutra_stage_desc {
    enum lutra_stage stage; /* LUTRA_STAGE_EXTRACT | LUTRA_STAGE_TRANSFORM */
    lutra_stage_work_fn work;
};

struct lutra_stage_engine;
struct lutra_stage_engine *lutra_stage_engine_new(const struct lutra_env *env,
                                                  const struct lutra_stage_desc *desc);
/* Takes no new batch; drained(arg) when everything in hand is acknowledged and committed. */
void lutra_stage_engine_drain(struct lutra_stage_engine *engine,
                              void (*drained)(void *arg),
                              void *arg);
void lutra_stage_engine_free(struct lutra_stage_engine *engine);
bool lutra_stage_engine_ready(struct lutra_stage_engine *engine, char *reason, size_t reason_len);
void lutra_stage_engine_state(struct lutra_stage_engine *engine, json_t *root);

#endif
