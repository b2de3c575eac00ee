/* The extract service: decodes row images. RawBatch in (the server's own bytes), ChangeBatch out
 * (packed rows, model/values.h). Everything else is the common engine (stage/stage.h). */
#ifndef LUTRA_EXTRACT_EXTRACT_H
#define LUTRA_EXTRACT_EXTRACT_H

#include "stage/service.h"

extern const struct lutra_service lutra_extract_service;

/* A lutra_stage_work_fn. Head and tables are passed on; consecutive rows of one table, operation
 * and transaction become one group. Values of a type that is not carried become ABSENT when the
 * pipeline excludes their column, and are an error otherwise. */
int lutra_extract_work(const struct lutra_pipeline *pipeline,
                       const struct lutra_envelope *envelope,
                       const uint8_t *payload,
                       size_t len,
                       struct lutra_arena *arena,
                       struct lutra_stage_output *out,
                       struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
