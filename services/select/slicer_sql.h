/* What a statement in the binlog means to the slicer. */
#ifndef LUTRA_SELECT_SLICER_SQL_H
#define LUTRA_SELECT_SLICER_SQL_H

#include "binlog/event.h"
#include "model/channel.h"

enum lutra_slice_sql {
    LUTRA_SLICE_SQL_BEGIN,
    LUTRA_SLICE_SQL_COMMIT,
    LUTRA_SLICE_SQL_ROLLBACK,
    LUTRA_SLICE_SQL_ROLLBACK_TO, /* to a savepoint: what came before may be undone */
    LUTRA_SLICE_SQL_NOTHING,     /* touches no table: savepoints, grants, comments */
    LUTRA_SLICE_SQL_DDL,         /* on tables that no pair matches */
    LUTRA_SLICE_SQL_STATEMENT,   /* changes of rows that no pair matches, logged as a statement */
    LUTRA_SLICE_SQL_XA,
    LUTRA_SLICE_SQL_STOP_DDL,       /* on a matched table, or not understood */
    LUTRA_SLICE_SQL_STOP_STATEMENT, /* changes of matched rows, logged as a statement */
};

enum lutra_slice_sql lutra_slice_sql_of(const struct lutra_pipeline_def *def,
                                        const struct lutra_event_query *query);

#endif
