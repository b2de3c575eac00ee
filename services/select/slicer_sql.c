#include "select/slicer_sql.h"

#include "binlog/ddl.h"

static bool match(const char *schema, const char *table, void *arg)
{
    union {
        void *arg;
        const struct lutra_pipeline_def *def;
    } u = {.arg = arg};
    return table ? lutra_pipeline_match(u.def, schema, table) != NULL
                 : lutra_pipeline_match_schema(u.def, schema);
}

static enum lutra_slice_sql judge(const struct lutra_pipeline_def *def,
                                  const struct lutra_query *query)
{
    union {
        const struct lutra_pipeline_def *def;
        void *arg;
    } u = {.def = def};
    bool concerned = false;
    switch (query->class) {
    case LUTRA_QUERY_BEGIN:
        return LUTRA_SLICE_SQL_BEGIN;
    case LUTRA_QUERY_COMMIT:
        return LUTRA_SLICE_SQL_COMMIT;
    case LUTRA_QUERY_ROLLBACK:
        return LUTRA_SLICE_SQL_ROLLBACK;
    case LUTRA_QUERY_ROLLBACK_TO:
        return LUTRA_SLICE_SQL_ROLLBACK_TO;
    case LUTRA_QUERY_XA:
        return LUTRA_SLICE_SQL_XA;
    case LUTRA_QUERY_SAVEPOINT:
    case LUTRA_QUERY_OTHER:
        return LUTRA_SLICE_SQL_NOTHING;
    case LUTRA_QUERY_DDL:
    case LUTRA_QUERY_DML:
    case LUTRA_QUERY_UNKNOWN:
        break;
    }
    concerned = lutra_query_concerns(query, match, u.arg) != LUTRA_CONCERNS_NONE;
    if (query->class == LUTRA_QUERY_DML) {
        return concerned ? LUTRA_SLICE_SQL_STOP_STATEMENT : LUTRA_SLICE_SQL_STATEMENT;
    }
    return concerned ? LUTRA_SLICE_SQL_STOP_DDL : LUTRA_SLICE_SQL_DDL;
}

enum lutra_slice_sql lutra_slice_sql_of(const struct lutra_pipeline_def *def,
                                        const struct lutra_event_query *in)
{
    struct lutra_query query;
    enum lutra_slice_sql sql;
    lutra_query_parse(in, &query);
    sql = judge(def, &query);
    lutra_query_fini(&query);
    return sql;
}
