/* How one table of a batch becomes the target's. Private to transform. */
#ifndef LUTRA_TRANSFORM_MAPPING_H
#define LUTRA_TRANSFORM_MAPPING_H

#include "base/arena.h"
#include "model/channel.h"
#include "model/wire.h"

struct xfm_mapping {
    const Lutra__Table *source;
    Lutra__Table *target; /* `source` itself when nothing changes */
    const bool *keep;     /* per source column; NULL: all are kept, rows travel as they are */
};

/* All from the arena; borrows def and source. CONFIG or DATA names what does not fit. */
int xfm_mapping_init(struct xfm_mapping *mapping,
                     const struct lutra_pipeline_def *def,
                     Lutra__Table *source,
                     struct lutra_arena *arena,
                     struct lutra_error *err) LUTRA_MUST_CHECK;

/* Rewrites the packed rows of a group of that table; *group gets bytes from the arena. */
int xfm_mapping_rows(const struct xfm_mapping *mapping,
                     Lutra__RowGroup *group,
                     struct lutra_arena *arena,
                     struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
