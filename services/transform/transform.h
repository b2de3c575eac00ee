/* The transform service: maps what extract read to what the target is to get. ChangeBatch in (the
 * source's names and columns), ChangeBatch out (the target's). Everything else is the common engine
 * (stage/stage.h). */
#ifndef LUTRA_TRANSFORM_TRANSFORM_H
#define LUTRA_TRANSFORM_TRANSFORM_H

#include "stage/service.h"

extern const struct lutra_service lutra_transform_service;

/* A lutra_stage_work_fn. Each table gets its target's name and columns by the pair that matches it;
 * excluded columns leave the table and every row. Refused, by name: a table that no pair matches,
 * an excluded column of the primary key, two columns of one target name, a table of which nothing
 * is left, a column of a type that is not carried. */
int lutra_transform_work(const struct lutra_pipeline *pipeline,
                         const struct lutra_envelope *envelope,
                         const uint8_t *payload,
                         size_t len,
                         struct lutra_arena *arena,
                         struct lutra_stage_output *out,
                         struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
