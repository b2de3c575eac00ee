/* A database in memory behind the target port: tables with and without primary key, transactions,
 * row and slot locks, fences. For component tests; obeys the same rules as the real one (plain
 * INSERT, exactly one row, first statement is the fence; a lock held for 5 s ends the waiter with
 * RETRY; make_epoch kills who holds the slots after 1 s). */
#ifndef LUTRA_DB_TARGET_MEM_H
#define LUTRA_DB_TARGET_MEM_H

#include "base/buf.h"
#include "db/target.h"

struct lutra_mem_db; /* the server; shared by targets, outlives them */
struct lutra_mem_db *lutra_mem_db_new(struct lutra_loop *loop);
void lutra_mem_db_free(struct lutra_mem_db *db);

struct lutra_mem_db_faults {
    bool down;                           /* connections end, and fail with RETRY */
    uint64_t delay_min_ms, delay_max_ms; /* per call */
    unsigned lose_commit_reply; /* the next n COMMITs are executed but the connection is lost before
                                   the reply */
    unsigned lose_commit;       /* the next n COMMITs are lost before the server gets them */
    bool down_when_lost;        /* the server is down as soon as a COMMIT was lost */
    unsigned fail_apply;        /* the next n applies end with RETRY (deadlock) */
};
/* What is left of the counters is overwritten. */
void lutra_mem_db_set_faults(struct lutra_mem_db *db, const struct lutra_mem_db_faults *faults);
/* Every committed row of a table in a canonical order, one text line per row; "" when the table has
 * none. */
void lutra_mem_db_dump(struct lutra_mem_db *db,
                       const char *schema,
                       const char *table,
                       struct lutra_buf *out);
size_t lutra_mem_db_rows(struct lutra_mem_db *db, const char *schema, const char *table);
/* The history of committed units, one line each: "fence epoch process_id to", for I3, I5 and I6.
 * The fence is the one that the writer believed in.
 * Borrowed until the next commit. */
const char *lutra_mem_db_history(struct lutra_mem_db *db);
/* Told of every unit in the moment of its COMMIT, when its rows can be seen: the slot as it stands
 * then, with the writer's fence. */
void lutra_mem_db_watch(struct lutra_mem_db *db,
                        void (*committed)(const struct lutra_slot *slot, void *arg),
                        void *arg);
/* The epoch that a pipeline's slots show; 0: none. */
uint64_t lutra_mem_db_epoch(struct lutra_mem_db *db, const char *pipeline);
/* Units committed, and the largest number of rows that one of them held. */
size_t lutra_mem_db_commits(struct lutra_mem_db *db);
size_t lutra_mem_db_largest_unit_rows(struct lutra_mem_db *db);

/* What is committed now, checkpoints and history included; lutra_mem_db_free it. */
struct lutra_mem_db *lutra_mem_db_backup(const struct lutra_mem_db *db);
/* The server stops, gets the backup's contents (a new server's: an empty one) and starts. */
void lutra_mem_db_restore(struct lutra_mem_db *db, const struct lutra_mem_db *backup);

struct lutra_target *lutra_target_mem_new(struct lutra_mem_db *db, const char *pipeline);
/* A frozen process (SIGSTOP): its calls stay queued, its open transaction keeps its locks, until
 * thawed. */
void lutra_target_mem_freeze(struct lutra_target *target, bool frozen);

#endif
