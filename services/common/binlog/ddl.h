/* What the text of a QUERY event is about, to decide one thing: does it concern a synchronised
 * table? A tokenizer and the heads of statements, no SQL grammar. It may say "unknown", it never
 * says "no" when it cannot tell. */
#ifndef LUTRA_BINLOG_DDL_H
#define LUTRA_BINLOG_DDL_H

#include <stdbool.h>
#include <stddef.h>

#include "binlog/event.h"

enum lutra_query_class {
    LUTRA_QUERY_BEGIN,
    LUTRA_QUERY_COMMIT,
    LUTRA_QUERY_ROLLBACK,
    LUTRA_QUERY_SAVEPOINT,   /* SAVEPOINT, RELEASE SAVEPOINT: nothing to do */
    LUTRA_QUERY_ROLLBACK_TO, /* undoes the rows since that savepoint; logged when something in
                                between cannot be undone */
    LUTRA_QUERY_XA,          /* XA START, END, COMMIT, ROLLBACK ... */
    LUTRA_QUERY_DDL,
    LUTRA_QUERY_DML,     /* changes rows by statement (binlog_format=STATEMENT or MIXED): cannot be
                            applied */
    LUTRA_QUERY_OTHER,   /* GRANT, ANALYZE, SET ...: changes no rows */
    LUTRA_QUERY_UNKNOWN, /* not understood */
};

enum lutra_query_scope {
    LUTRA_QUERY_NO_TABLE, /* touches the rows or the definition of no (non-temporary) table */
    LUTRA_QUERY_NAMES,    /* of exactly these */
    LUTRA_QUERY_ANY, /* unknown which. Always so for DML: triggers and cascades touch other tables;
                        names hold the table named in the text, if any, for messages */
};

struct lutra_query_name {
    char *schema;
    char *table; /* NULL: the whole schema (CREATE, ALTER, DROP DATABASE) */
};

struct lutra_query {
    enum lutra_query_class class;
    enum lutra_query_scope scope;
    size_t n_names;
    struct lutra_query_name *names;
};

/* Understands the text of a QUERY event. Cannot fail; release with lutra_query_fini. */
void lutra_query_parse(const struct lutra_event_query *in, struct lutra_query *query);
void lutra_query_fini(struct lutra_query *query);
const char *lutra_query_class_name(enum lutra_query_class class); /* "ddl", "dml", ... */

enum lutra_query_concern { LUTRA_CONCERNS_NONE, LUTRA_CONCERNS_SOME, LUTRA_CONCERNS_UNKNOWN };
/* `match` says whether schema.table is synchronised; with table NULL, whether any table of the
 * schema is, or could come to be. */
enum lutra_query_concern
lutra_query_concerns(const struct lutra_query *query,
                     bool (*match)(const char *schema, const char *table, void *arg),
                     void *arg);

#endif
