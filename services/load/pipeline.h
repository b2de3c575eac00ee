/* One pipeline at its load owner (or standby).
 *
 *            contend                 owned                 prepared               epoch committed
 * in the target IDLE ───────────▶ STANDBY ───────────────▶ PREPARE ───────────────▶ EPOCH
 * ─────────────────────────┐ ▲                   ▲  ▲                     │ ▲  refused ▲  ▲ ▼ │
 * STOP, drained     │  └─ node lost ─────────┤ └──────── HALTED        │  │  select changed,
 * ORIGIN: waits for a select │                   │     (any state)        │  request, then │  │
 * request, config,    owner, publishes the origin, └───────────────────┴────────────────────────┘
 * control.epoch rises ───┘  │  origin foreign      raises control.epoch │ │ └───────── RUN
 * ◀────────────┘ fenced: re-reads its node first (FENCED)
 *
 * The target is asked strictly in order (db/target.h); every completion carries the generation in
 * which it was asked for, and a new epoch begins a new generation: late answers then only release
 * what they hold. */
#ifndef LUTRA_LOAD_PIPELINE_H
#define LUTRA_LOAD_PIPELINE_H

#include "catalog/catalog.h"
#include "coord/owner.h"
#include "daemon/env.h"
#include "daemon/follow.h"
#include "daemon/warning.h"
#include "load/known.h"
#include "load/lag.h"
#include "load/load.h"
#include "load/ring.h"
#include "load/window.h"

#define LDR_STATES(X) \
    X(IDLE)           \
    X(BLOCKED)        \
    X(STANDBY)        \
    X(PREPARE)        \
    X(EPOCH)          \
    X(ORIGIN)         \
    X(RUN)            \
    X(FENCED)         \
    X(HALTED)

enum ldr_state {
#define LDR_STATE_ENUM(name) LDR_##name,
    LDR_STATES(LDR_STATE_ENUM)
#undef LDR_STATE_ENUM
};

/* A unit: the target transaction that is open, or being applied again. */
struct ldr_unit {
    bool open;       /* begin was asked for */
    bool committing; /* commit was asked for */
    bool undoing;    /* rollback was asked for */
    uint64_t commit_asked_ms;
    bool forgetful; /* batches were let go (too large): a failure needs them read again */
    uint32_t slot;
    unsigned executing; /* applies under way */
    uint64_t rows, bytes, kept_bytes;
    size_t n, cap;
    struct ldr_batch **batches; /* in order; referenced, unless forgetful */
    uint64_t last_process_id;
    char *to; /* position_to of the last batch */
    char *source_identity;
    bool unfinished; /* the last batch ends inside a transaction */
    int64_t commit_us, ts_select_us;
};

/* Any of these grows when the stream moves. */
struct ldr_progress {
    uint64_t epoch, next, consumed, applied;
};

struct ldr_pipeline {
    uint32_t magic;
    struct lutra_load *load;
    struct lutra_pipeline *view; /* the catalog's */
    char *id;
    enum ldr_state state;
    uint64_t generation;
    char reason[1024];                    /* why it does not run; "" */
    enum lutra_error_class blocked_class; /* BLOCKED: CONFIG, or RETRY for now */

    struct lutra_owner *owner;
    struct lutra_follower *follower;
    struct lutra_bus_pair wanted_buses; /* of the definition that stands now */
    /* Those of prepared_version: what is read from and published to. */
    struct lutra_bus_pair buses;
    uint64_t prepared_version; /* the definition that target and buses are of */
    struct lutra_target *target;
    struct lutra_timer *timer; /* repeats what failed: calls `again` */
    void (*again)(struct ldr_pipeline *p);
    struct lutra_timer *tick; /* every second while owned */
    uint64_t state_since_ms, stop_since_ms;
    struct lutra_backoff backoff;
    uint64_t trouble_since_ms; /* first RETRY of a row of them; 0: none */

    /* the epoch that this owner made */
    uint64_t fence; /* 0: none yet */
    uint64_t epoch;
    char nonce[17];
    uint64_t config_version;
    char source_member[64]; /* of the media groups; "": a single server */
    char target_member[64]; /* that `target` leads to */
    char select_session[64];
    struct ldr_origin_op {
        struct ldr_pipeline *p;
        bool busy;
    } origin_op; /* the argument of every request about origin and control */
    bool origin_published, origin_seen;
    uint64_t origin_published_ms;
    unsigned fenced_in_a_row;
    struct ldr_ring ring;
    uint64_t left_process_id; /* that a member of the target's group had come to when it was left */
    uint64_t ring_epoch;    /* the epoch in which this owner read and wrote `ring`; 0: it has not */
    int64_t ring_at_ms;     /* wall clock of its last commit */
    struct ldr_known found; /* the position record, as read when the node was taken */
    char went_back[256];    /* the target did, and it goes on all the same; "" */

    /* the stream */
    struct lutra_bus_reader *reader;
    struct lutra_bus *reader_bus; /* it reads there */
    bool reader_started;          /* where it begins is settled */
    struct lutra_assembler *assembler;
    struct ldr_window window;
    struct ldr_offsets offsets;
    char *chain_end; /* position_to of what was taken last */
    struct ldr_progress progress;
    uint64_t still_since_ms; /* data in hand, and none of `progress` has grown */
    char waits[256];         /* for what, then; "" */
    struct ldr_unit unit;
    struct ldr_call {            /* what the target was asked for, in order */
        struct ldr_batch *batch; /* apply: referenced; commit, rollback: NULL */
        uint64_t generation, at_ms;
    } * calls;
    size_t calls_head, calls_n, calls_cap;
    struct lutra_error unit_error; /* why the unit is being undone */
    uint64_t answered_ms;          /* the target's last answer */
    bool silence_told;             /* `reason` says that it does not answer */
    uint64_t consumed_process_id;  /* executed */
    uint64_t last_commit_ms;
    uint64_t last_message_ms;
    int64_t last_commit_us; /* source commit time of the last applied transaction */

    /* termin */
    bool termin_dirty, termin_in_flight;
    uint64_t termin_sent_ms, termin_changed_ms;

    bool requesting;              /* a ROLLBACK or RESTART of ours is under way */
    struct lutra_request request; /* what to ask for again when it failed or yielded */
    bool request_wanted;
    bool position_writing;
    char *position_written;
    bool attempt_resetting;

    /* status */
    uint64_t units, rows, stale, duplicates, fenced, max_bytes_in_hand;
    struct lutra_unusable broken;
    struct ldr_lag lag;
    struct ldr_rate rate;
    struct lutra_counter *c_rows, *c_units, *c_stale, *c_duplicates, *c_fenced;
    struct lutra_gauge *g_lag, *g_epoch, *g_buffered;
};

#define LDR_PIPELINE_MAGIC 0x4c445250u

struct lutra_load {
    const struct lutra_env *env;
    struct lutra_catalog *catalog;
    struct ldr_pipeline **pipelines;
    size_t n;
    uint64_t connected_ms; /* to ZooKeeper, since; 0: not now */
    bool draining;
    void (*drained)(void *arg);
    void *drained_arg;
    struct lutra_timer *drain_timer;
};

const char *ldr_state_name(enum ldr_state state);
struct ldr_pipeline *ldr_pipeline_new(struct lutra_load *load, struct lutra_pipeline *view);
void ldr_pipeline_free(struct ldr_pipeline *p);
void ldr_pipeline_changed(struct ldr_pipeline *p, unsigned what);
void ldr_pipeline_drain(struct ldr_pipeline *p);
bool ldr_pipeline_drained(const struct ldr_pipeline *p);

/* ---- between the files of this service ---- */
void ldr_set_state(struct ldr_pipeline *p, enum ldr_state state, const char *reason);
bool ldr_owns(const struct ldr_pipeline *p);
/* Drops everything in hand and makes a new epoch in the target. */
void ldr_make_epoch(struct ldr_pipeline *p, const char *why);
/* Epoch made: publish the origin once a select owner is there (origin.c), then ldr_run. */
void ldr_origin_step(struct ldr_pipeline *p);
void ldr_run(struct ldr_pipeline *p);
/* Begins with new connections, then a new epoch. */
void ldr_reopen(struct ldr_pipeline *p, const char *why);
/* Is what we run on still what ZooKeeper says? NULL, or why a new epoch is needed. */
const char *ldr_origin_outdated(struct ldr_pipeline *p);

/* media.c: connects to another member of the target's group, or makes a new epoch for another one
 * of the source's, when a group was switched. */
void ldr_media_check(struct ldr_pipeline *p);
/* The target to be used now; NULL: err says why not (RETRY: not known yet). */
struct lutra_target *ldr_media_target(struct ldr_pipeline *p, struct lutra_error *err);
/* The ring just read is that of a member that took over: does it go on with this pipeline? */
int ldr_media_check_ring(const struct ldr_pipeline *p, struct lutra_error *err) LUTRA_MUST_CHECK;

/* Takes what is ready from the window into units (unit.c). */
void ldr_unit_pump(struct ldr_pipeline *p);
void ldr_unit_touch(struct ldr_pipeline *p); /* an empty unit, when nothing else is there to do */
void ldr_unit_drop(struct ldr_pipeline
                       *p); /* forgets the unit; what the target holds is released by completions */
void ldr_unit_close(
    struct ldr_pipeline *p); /* after the target was closed: releases the calls too */

/* What to do about an error of the target, by its class (trouble.c). again(p) repeats what failed.
 */
void ldr_trouble(struct ldr_pipeline *p,
                 const struct lutra_error *err,
                 void (*again)(struct ldr_pipeline *p));
void ldr_trouble_over(struct ldr_pipeline *p);
/* Says so when the target has been silent for a while: a statement that hangs is no error yet. */
void ldr_silence_tick(struct ldr_pipeline *p);
void ldr_again_cb(void *arg); /* p->timer */
/* Asks for ROLLBACK or RESTART; stays HALTED until the new epoch comes. */
void ldr_request(struct ldr_pipeline *p,
                 enum lutra_request_kind kind,
                 bool with_backoff,
                 const char *reason);
/* The RESTART of a stall (stall.c). */
void ldr_request_stalled(struct ldr_pipeline *p, const char *reason);
void ldr_request_again(struct ldr_pipeline *p);
/* A newer fence is in the target: re-reads the owner node, then takes over again or stands down. */
void ldr_fenced(struct ldr_pipeline *p, const struct lutra_error *err);
/* Loses the node on purpose, so that a standby (or this process, later) may try. */
void ldr_stand_down(struct ldr_pipeline *p, const char *reason);
void ldr_disown(struct ldr_pipeline *p, enum ldr_state state, const char *reason);

/* Every second while it runs (stall.c). */
void ldr_stall_tick(struct ldr_pipeline *p);

void ldr_termin_changed(struct ldr_pipeline *p);
void ldr_termin_tick(struct ldr_pipeline *p);
void ldr_position_tick(
    struct ldr_pipeline *p); /* origin.c: the operators' copy, and attempt := 0 */
void ldr_pipeline_json(struct ldr_pipeline *p, json_t *array);
double ldr_lag_now_ms(struct ldr_pipeline *p);

#endif
