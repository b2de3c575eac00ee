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
#include "model/wire.h"

struct lutra_stage_output {
    struct lutra_buf payload; /* the work appends to it; the caller's */
    uint64_t rows;            /* row changes in it, an UPDATE counts once */
};

/* err.code of a work function: this is no batch of the stream (it cannot be unpacked, or says
 * something else than its headers). It is passed over and counted; the real one, if this was in its
 * place, is missed by its processId and published again. */
#define LUTRA_STAGE_FOREIGN 1

/* Turns an input payload into an output payload. Pure: same input and definition, same output
 * bytes. `arena` is reset by the engine after the batch. Any other error stops the pipeline's
 * epoch: the engine sends ROLLBACK with the reason (nothing is skipped). */
typedef int (*lutra_stage_work_fn)(const struct lutra_pipeline *pipeline,
                                   const struct lutra_envelope *envelope,
                                   const uint8_t *payload,
                                   size_t len,
                                   struct lutra_arena *arena,
                                   struct lutra_stage_output *out,
                                   struct lutra_error *err);

struct lutra_stage_desc {
    enum lutra_stage stage; /* LUTRA_STAGE_EXTRACT | LUTRA_STAGE_TRANSFORM */
    lutra_stage_work_fn work;
    /* Payloads kept at the same time; above it nothing more is read until half of it is free again.
     * Exceeded by at most what was delivered already. 0: 64 MiB. */
    uint64_t max_bytes_in_hand;
};

/* What every work function begins with: the batch, which is the one that the headers and the topic
 * name; otherwise NULL: DATA, LUTRA_STAGE_FOREIGN. */
Lutra__RawBatch *lutra_stage_raw_batch(const struct lutra_pipeline *pipeline,
                                       const struct lutra_envelope *envelope,
                                       const uint8_t *payload,
                                       size_t len,
                                       struct lutra_arena *arena,
                                       struct lutra_error *err);
Lutra__ChangeBatch *lutra_stage_change_batch(const struct lutra_pipeline *pipeline,
                                             const struct lutra_envelope *envelope,
                                             const uint8_t *payload,
                                             size_t len,
                                             struct lutra_arena *arena,
                                             struct lutra_error *err);
/* What every work function ends with. DATA when it is larger than a batch may be. */
int lutra_stage_pack(const Lutra__ChangeBatch *batch,
                     struct lutra_buf *out,
                     struct lutra_error *err) LUTRA_MUST_CHECK;

struct lutra_stage_engine;
/* env and what it points to outlive it. Never fails: it waits for what is not there yet. */
struct lutra_stage_engine *lutra_stage_engine_new(const struct lutra_env *env,
                                                  const struct lutra_stage_desc *desc);
/* Takes no new batch; drained(arg), once, in a later turn, when everything in hand is acknowledged
 * and committed. What waits for a definition is left to the next member of the group. */
void lutra_stage_engine_drain(struct lutra_stage_engine *engine,
                              void (*drained)(void *arg),
                              void *arg);
void lutra_stage_engine_free(struct lutra_stage_engine *engine);
const struct lutra_catalog *lutra_stage_engine_catalog(const struct lutra_stage_engine *engine);
/* False and a one-line reason while the list of channels is not known. */
bool lutra_stage_engine_ready(struct lutra_stage_engine *engine, char *reason, size_t reason_len);
/* Adds "pipelines" (docs/PROTOCOL.md §9) and "bytes_in_hand". */
void lutra_stage_engine_state(struct lutra_stage_engine *engine, json_t *root);

#endif
