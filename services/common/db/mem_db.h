/* The server behind target_mem.c: tables with row locks and committed and current images, the
 * checkpoint ring of each pipeline, transactions. Private to this module. */
#ifndef LUTRA_DB_MEM_DB_H
#define LUTRA_DB_MEM_DB_H

#include "db/target_mem.h"
#include "model/values.h"

struct mem_row;
struct mem_pipeline;

/* A transaction: rows it holds locked, and at most one slot. */
struct mem_tx {
    bool open;
    size_t n_rows, cap_rows;
    struct mem_row **rows;
    size_t n_changes; /* rows executed */
    struct mem_pipeline *pipeline;
    struct lutra_slot *slot;   /* the locked one, as committed */
    struct lutra_slot pending; /* what it becomes */
};

struct mem_pipeline {
    char name[64];
    struct lutra_slot slots[LUTRA_RING_SLOTS];
    int64_t written_ms[LUTRA_RING_SLOTS]; /* wall clock */
    struct mem_tx *holder[LUTRA_RING_SLOTS];
    struct mem_pipeline *next;
};

struct mem_conn { /* a target, as the server sees it */
    struct mem_tx tx;
    bool connected;
    bool killed; /* the next call finds the connection lost */
    struct mem_conn *prev, *next;
};

struct lutra_mem_db {
    struct lutra_loop *loop;
    struct lutra_mem_db_faults faults;
    struct mem_table *tables;
    struct mem_pipeline *pipelines;
    struct mem_conn *conns;
    struct lutra_buf history;
    void (*committed)(const struct lutra_slot *slot, void *arg);
    void *committed_arg;
    size_t commits, largest_unit_rows;
};

/* What one row came to. */
enum mem_result {
    MEM_DONE,
    MEM_LOCKED,    /* another transaction holds the row */
    MEM_DUPLICATE, /* INSERT or UPDATE of the key: it is there already */
    MEM_NO_ROW,    /* UPDATE or DELETE: no such row */
};

struct mem_table;
/* The table as a message describes it: made at first sight, widened by new columns. map[i] is the
 * table's column of the message's column i. NULL and CONFIG when the primary key is another. */
struct mem_table *mem_table_of(struct lutra_mem_db *db,
                               const Lutra__Table *table,
                               size_t *map,
                               struct lutra_error *err);
enum mem_result mem_insert(struct mem_tx *tx,
                           struct mem_table *table,
                           const size_t *map,
                           const struct lutra_value *values,
                           size_t n);
enum mem_result mem_update(struct mem_tx *tx,
                           struct mem_table *table,
                           const size_t *map,
                           const struct lutra_value *before,
                           const struct lutra_value *after,
                           size_t n);
enum mem_result mem_delete(struct mem_tx *tx,
                           struct mem_table *table,
                           const size_t *map,
                           const struct lutra_value *before,
                           size_t n);
void mem_tx_commit(struct lutra_mem_db *db, struct mem_tx *tx);
void mem_tx_rollback(struct mem_tx *tx);
/* NULL when prepare has not been called for it. */
struct mem_pipeline *mem_pipeline_of(struct lutra_mem_db *db, const char *name);
struct mem_pipeline *mem_pipeline_make(struct lutra_mem_db *db, const char *name);
void mem_slot_set(char **field, const char *text);
void mem_kill(struct mem_conn *conn);

#endif
