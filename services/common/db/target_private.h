/* The parts of a real target (target_mysql.c has the port and its queue). All of struct lutra_work
 * belongs to the worker thread.
 *
 *   target_mysql.c    the port: calls become jobs
 *   target_session.c  session settings, schema `lutra`, named locks
 *   target_fence.c    make_epoch
 *   target_unit.c     begin, commit, rollback; what an unanswered COMMIT came to
 *   target_tables.c   what information_schema says of a table
 *   target_plan.c     does a message's table fit the target's?
 *   target_rows.c     apply: runs of rows
 *   target_stmt.c     prepared statements */
#ifndef LUTRA_DB_TARGET_PRIVATE_H
#define LUTRA_DB_TARGET_PRIVATE_H

#include "base/arena.h"
#include "db/mysql_conn.h"
#include "db/target.h"
#include "model/table.h"
#include "model/values.h"

/* Which target tables may have triggers: the pairs' target names with `*`. */
struct lutra_trigger_rule {
    char *schema, *table;
    bool allow;
};

enum lutra_unit_state {
    LUTRA_UNIT_NONE,
    LUTRA_UNIT_OPEN,
    LUTRA_UNIT_FAILED, /* rolled back already; `failure` is every answer until rollback */
};

struct lutra_stmt;
struct lutra_ttable;

struct lutra_work {
    struct lutra_conn conn;
    char pipeline[64];
    size_t n_rules;
    struct lutra_trigger_rule *rules;
    struct lutra_target_stats stats;

    /* Of the connection: gone with it. */
    bool bulk;                 /* MariaDB's array binding */
    uint64_t max_packet_bytes; /* of the server */
    int lock;                  /* n of the named lock held, -1: none */
    /* Of the connection before, when it held a lock: it may go on at the server. */
    unsigned long former_id; /* 0: none */
    int former_lock;
    bool ring_seen; /* this connection has shown the newest unit */
    struct lutra_stmt *statements;
    struct lutra_ttable *tables;
    size_t n_charsets; /* by collation number */
    char **charsets;

    /* Of the unit. */
    enum lutra_unit_state state;
    struct lutra_error failure;
    uint32_t slot;
    uint64_t fence, unit, previous_unit;
    bool row_by_row; /* a bulk run failed: find the row that did it */

    /* An epoch whose COMMIT was not answered: its fence is ours if the slots show it. */
    uint64_t tried_fence;
    char tried_nonce[17];

    struct lutra_arena *batch_arena, *run_arena; /* reset with each batch and run */
};

/* ---- target_session.c ---- */

/* PROTOCOL 7.3: everything that decides how a value is stored. */
int lutra_session_set(struct lutra_conn *conn, struct lutra_error *err) LUTRA_MUST_CHECK;
/* Connected, with the session set; a connection that is there is taken as it is. */
int lutra_work_connect(struct lutra_work *work, struct lutra_error *err) LUTRA_MUST_CHECK;
/* Closes, and forgets all that belongs to the connection. */
void lutra_work_disconnect(struct lutra_work *work);
int lutra_work_prepare(struct lutra_work *work, struct lutra_error *err) LUTRA_MUST_CHECK;
/* Holds one of the pipeline's named locks, so that a successor finds this connection. */
int lutra_work_lock(struct lutra_work *work, struct lutra_error *err) LUTRA_MUST_CHECK;
/* KILLs the connections that hold the pipeline's named locks, but for this one. */
int lutra_work_kill_holders(struct lutra_work *work, struct lutra_error *err) LUTRA_MUST_CHECK;
int lutra_work_kill(struct lutra_work *work,
                    unsigned long id,
                    struct lutra_error *err) LUTRA_MUST_CHECK;
/* KILLs that connection if it still is the one that holds that named lock: its number may be
 * another's by now. */
int lutra_work_end_connection(struct lutra_work *work,
                              unsigned long id,
                              int lock,
                              struct lutra_error *err) LUTRA_MUST_CHECK;
int lutra_work_lock_wait(struct lutra_work *work,
                         unsigned seconds,
                         struct lutra_error *err) LUTRA_MUST_CHECK;

/* ---- target_fence.c ---- */

int lutra_work_make_epoch(struct lutra_work *work,
                          uint64_t control_epoch,
                          uint64_t mine,
                          const char *nonce,
                          const struct lutra_epoch_check *check,
                          struct lutra_ring *ring,
                          uint64_t *fence,
                          struct lutra_error *err) LUTRA_MUST_CHECK;

/* ---- target_unit.c ---- */

void lutra_work_begin(struct lutra_work *work, const struct lutra_unit_begin *begin);
int lutra_work_commit(struct lutra_work *work,
                      const struct lutra_unit_end *end,
                      struct lutra_error *err) LUTRA_MUST_CHECK;
int lutra_work_rollback(struct lutra_work *work, struct lutra_error *err) LUTRA_MUST_CHECK;
/* Makes err the unit's failure: rolls back at once, so that no lock is held, and closes a
 * connection that is of no more use. Returns -1. */
int lutra_work_fail(struct lutra_work *work, const struct lutra_error *err);

/* ---- target_tables.c ---- */

struct lutra_tcolumn {
    char *name, *data_type, *charset; /* charset NULL: not a string */
    bool is_unsigned, generated;
    uint64_t octets;             /* greatest length of strings */
    unsigned precision, scale;   /* DECIMAL */
    unsigned fractional_seconds; /* temporal types */
};

struct lutra_ttable {
    struct lutra_ttable *next;
    char *schema, *name;
    size_t n_columns;
    struct lutra_tcolumn *columns;
    size_t n_key;
    char **key; /* primary key's columns in order */
};

/* The table as the target has it, cached; refused (CONFIG) when it is not there, not a base table,
 * not transactional, or has triggers. Borrowed until the connection ends. NULL on error. */
const struct lutra_ttable *lutra_tables_get(struct lutra_work *work,
                                            const char *schema,
                                            const char *name,
                                            struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_tables_forget(struct lutra_work *work);
/* The character set of a collation number, NULL when the target does not know it. */
int lutra_tables_charset(struct lutra_work *work,
                         uint32_t collation,
                         const char **charset,
                         struct lutra_error *err) LUTRA_MUST_CHECK;

/* ---- target_plan.c ---- */

struct lutra_plan {
    const Lutra__Table *table;
    bool keyed;
    struct lutra_plan_column {
        const struct lutra_tcolumn *target;
        enum enum_field_types bind;
        bool is_key;   /* of the WHERE by primary key */
        bool skip;     /* generated at the target */
        bool by_bytes; /* a string: keyless tables compare it as BINARY */
    } * columns;
};

/* From the arena; CONFIG names every column that does not fit. NULL on error. */
struct lutra_plan *lutra_plan_make(struct lutra_work *work,
                                   struct lutra_arena *arena,
                                   const Lutra__Table *table,
                                   struct lutra_error *err) LUTRA_MUST_CHECK;

/* ---- target_rows.c ---- */

int lutra_work_apply(struct lutra_work *work,
                     const Lutra__ChangeBatch *batch,
                     struct lutra_error *err) LUTRA_MUST_CHECK;

/* ---- target_stmt.c ---- */

/* Prepared, from the cache or new; borrowed until the next call. NULL on error. */
MYSQL_STMT *
lutra_stmt_get(struct lutra_work *work, const char *sql, struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_stmt_forget_all(struct lutra_work *work);
int lutra_stmt_error(MYSQL_STMT *stmt, struct lutra_error *err);

/* One execution with a few parameters. */
struct lutra_param {
    const char *text; /* NULL: the number */
    uint64_t number;
};
int lutra_stmt_run(struct lutra_work *work,
                   const char *sql,
                   const struct lutra_param *params,
                   size_t n,
                   uint64_t *affected,
                   struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
