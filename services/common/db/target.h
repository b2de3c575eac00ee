/* The target port: where rows, checkpoint and fence are written in one transaction
 * (docs/PROTOCOL.md §7). Implementations: a real server (one connection on a worker thread:
 * target_mysql.c) and memory (target_mem.h).
 *
 * Calls queue up and are carried out in order; completions come on the loop in the same order.
 * After a failure inside a unit apply and commit complete with the same error, undone, up to the
 * next lutra_target_rollback. (prepare and make_epoch begin with such a rollback by themselves.) A
 * unit whose begin finds its slot changed ends with FENCED: also when the fence is the caller's but
 * the slot holds another unit than it thinks, since the cure is the same, to make an epoch and read
 * the ring again. */
#ifndef LUTRA_DB_TARGET_H
#define LUTRA_DB_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "loop/loop.h"
#include "model/channel.h"
#include "model/position.h"
#include "proto/batch.pb-c.h"

#define LUTRA_RING_SLOTS 4

struct lutra_target;

/* One slot of the checkpoint ring, as read under the fence's locks. Positions in text form. */
struct lutra_slot {
    uint32_t slot;
    uint64_t fence, epoch;
    char nonce[17];
    uint64_t unit;         /* number of the unit that wrote it last */
    char *from, *to, *low; /* heap; "" when none */
    uint64_t low_process_id, process_id;
    char source_identity[256];
    int64_t age_ms; /* since it was written last, by the target's own clock */
};
struct lutra_ring {
    size_t n;
    struct lutra_slot slots[LUTRA_RING_SLOTS];
    int64_t read_at_ms; /* our wall clock */
};
void lutra_ring_fini(struct lutra_ring *ring);

/* Looks at the slots under make_epoch's locks before anything is written: -1 and an error leaves
 * the target as it was. Called on the target's own thread, which arg then belongs to; the target
 * frees it. check NULL: none. */
struct lutra_epoch_check {
    int (*check)(const struct lutra_ring *ring, void *arg, struct lutra_error *err);
    void (*free)(void *arg);
    void *arg;
};
void lutra_epoch_check_fini(struct lutra_epoch_check *check);

/* Connects, checks the target (grants, sql settings, sql_mode), creates schema `lutra` and its
 * tables when absent, and the pipeline's slots (fence 0). */
typedef void (*lutra_target_fn)(const struct lutra_error *err, void *arg); /* err NULL: done */
void lutra_target_prepare(struct lutra_target *target, lutra_target_fn done, void *arg);

/* Makes a fence, and an epoch with it, in one transaction: locks all slots in order (short lock
 * wait; on time-out KILLs the connections that hold lutra.<pipeline>.<n> and tries again until it
 * succeeds or the target is closed); asks `check` (taken over); when `mine` is not 0 and a slot
 * shows another fence -> FENCED, nothing written; fence := max(control_epoch - 1, fence) + 1, epoch
 * := fence, nonce := the given one, in every slot; reads the slots under these locks; commits.
 * ring: as of then, owned by the callee's caller for the call only. */
void lutra_target_make_epoch(struct lutra_target *target,
                             uint64_t control_epoch,
                             uint64_t mine,
                             const char *nonce,
                             struct lutra_epoch_check check,
                             void (*done)(const struct lutra_ring *ring,
                                          uint64_t fence,
                                          const struct lutra_error *err,
                                          void *arg),
                             void *arg);

/* A unit: begin, apply any number of batches, commit. What begin writes into the slot as the
 * transaction's first statement: UPDATE ... WHERE pipeline, slot, fence, unit = previous_unit must
 * match exactly one row. */
struct lutra_unit_begin {
    uint32_t slot;
    uint64_t previous_unit; /* what this slot holds */
    uint64_t unit;
    uint64_t fence;
    /* The newest unit that is known to be committed, 0: none. On a connection that has not shown it
     * yet it must still be there, else FENCED: a server that came back without its last commits (a
     * failover, a crash without durability) may look right in this one slot. */
    uint64_t last_unit;
    const char *low; /* borrowed for the call */
    uint64_t low_process_id;
    const char *from;
};
void lutra_target_begin(struct lutra_target *target, const struct lutra_unit_begin *unit);
/* Executes the batch's groups in order. `batch` must stay until done. done(NULL): all rows executed
 * in the open transaction. DATA: names table, key, both images (never values above DEBUG in logs:
 * the message carries them), process. Exact semantics: docs/PROTOCOL.md §7.3. */
void lutra_target_apply(struct lutra_target *target,
                        const Lutra__ChangeBatch *batch,
                        lutra_target_fn done,
                        void *arg);
/* The last UPDATE of the slot (to, process_id, source identity), then COMMIT. A connection lost
 * while waiting is resolved by a locking read of the slot on a new connection (after KILL of the
 * old one): done(NULL) when the unit is there, RETRY when it is not (apply it again), FENCED when
 * another fence is. While the target cannot be asked this is tried for some seconds, then answered
 * by RETRY and the code LUTRA_TARGET_UNKNOWN: the slot decides when the unit is begun again. Never
 * a guess. */
enum { LUTRA_TARGET_UNKNOWN = -2 };
struct lutra_unit_end {
    const char *to; /* borrowed for the call */
    uint64_t process_id;
    const char *source_identity;
};
void lutra_target_commit(struct lutra_target *target,
                         const struct lutra_unit_end *end,
                         lutra_target_fn done,
                         void *arg);
/* Rolls back (always the whole transaction), reconnects if needed, clears the failure. */
void lutra_target_rollback(struct lutra_target *target, lutra_target_fn done, void *arg);

/* Drops queued calls (their completions do not come), interrupts the running one, closes the
 * connection. */
void lutra_target_close(struct lutra_target *target);
/* Waits for the interrupted call, which is at once but for a connection that is being made to a
 * silent address: at most the connect time-out of 5 s. */
void lutra_target_free(struct lutra_target *target);

/* Statistics for status and metrics. */
struct lutra_target_stats {
    uint64_t rows[3]; /* inserted, updated, deleted (enum RowGroup.Op), committed or not */
    uint64_t statements, round_trips, reconnects, kills;
};
void lutra_target_stats_get(const struct lutra_target *target, struct lutra_target_stats *stats);

/* For implementations. */
struct lutra_target_ops {
    void (*prepare)(struct lutra_target *, lutra_target_fn, void *);
    void (*make_epoch)(
        struct lutra_target *,
        uint64_t,
        uint64_t,
        const char *,
        struct lutra_epoch_check,
        void (*)(const struct lutra_ring *, uint64_t, const struct lutra_error *, void *),
        void *);
    void (*begin)(struct lutra_target *, const struct lutra_unit_begin *);
    void (*apply)(struct lutra_target *, const Lutra__ChangeBatch *, lutra_target_fn, void *);
    void (*commit)(struct lutra_target *, const struct lutra_unit_end *, lutra_target_fn, void *);
    void (*rollback)(struct lutra_target *, lutra_target_fn, void *);
    void (*close)(struct lutra_target *);
    void (*free)(struct lutra_target *);
    void (*stats)(const struct lutra_target *, struct lutra_target_stats *);
};
struct lutra_target {
    const struct lutra_target_ops *ops;
};

/* A real server. def tells pairs (triggers: allow); both are copied. */
struct lutra_target *lutra_target_mysql_new(struct lutra_loop *loop,
                                            const struct lutra_endpoint *endpoint,
                                            const char *pipeline,
                                            const struct lutra_pipeline_def *def);

#endif
