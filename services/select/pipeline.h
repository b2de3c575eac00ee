/* One pipeline at its select owner (or standby).
 *
 *          contend          owned            origin for my session,       topics there,
 *  IDLE ───────────▶ STANDBY ─────▶ WAITING ─────────────────────▶ TOPICS ─────────────▶ CHECK
 * ◀───┐ ▲                   ▲   ◀── node lost (any state)  permit      ▲  termin read       │  ▲ │
 *   └─ STOP, drained ───┘                                          │              who, ▼  │ again │
 *                                                                  │ new origin   START? RESOLVE │
 *                             request sent              stopped    │ (any state)        │ │ HALTED
 * ◀────────────── DRAINING ◀────────── STREAM ◀───────────────┘          │ ▲ │    stream broke off
 * │ └──────────── 10 s of trouble ─────────────┴──────────▶ BACKOFF ───────────┘
 *
 * Everything that belongs to one epoch is a run: it is made when the origin is accepted and thrown
 * away as a whole when another comes or the node is lost. */
#ifndef LUTRA_SELECT_PIPELINE_H
#define LUTRA_SELECT_PIPELINE_H

#include "base/arena.h"
#include "catalog/catalog.h"
#include "coord/owner.h"
#include "daemon/env.h"
#include "daemon/follow.h"
#include "daemon/warning.h"
#include "select/select.h"
#include "select/slicer.h"
#include "select/window.h"

#define SEL_STATES(X) \
    X(IDLE)           \
    X(BLOCKED)        \
    X(STANDBY)        \
    X(WAITING)        \
    X(TOPICS)         \
    X(CHECK)          \
    X(RESOLVE)        \
    X(STREAM)         \
    X(BACKOFF)        \
    X(DRAINING)       \
    X(HALTED)

enum sel_state {
#define SEL_STATE_ENUM(name) SEL_##name,
    SEL_STATES(SEL_STATE_ENUM)
#undef SEL_STATE_ENUM
};

enum sel_topics_state { SEL_TOPICS_UNKNOWN, SEL_TOPICS_ASKED, SEL_TOPICS_THERE, SEL_TOPICS_FAILED };

/* Whether the topics of a definition are there (topics.c). */
struct sel_topics {
    struct sel_pipeline *p;
    enum sel_topics_state state;
    uint64_t config_version; /* of the definition that they were asked for */
    struct lutra_bus_pair buses;
    char source_bus[64], target_bus[64]; /* their names */
    struct lutra_error err;              /* FAILED */
};

/* One epoch. */
struct sel_run {
    uint32_t magic;
    struct sel_pipeline *p;
    struct lutra_origin origin;    /* a copy */
    struct lutra_channel *channel; /* the definition of that config version, our own */
    const struct lutra_pipeline_def *def;
    struct lutra_endpoint *endpoint; /* of a media group the member that the origin names */
    struct lutra_source *source;
    struct lutra_source_info info;
    struct lutra_slicer *slicer; /* NULL until the source was checked */
    struct sel_window *window;
    struct lutra_bus_reader *termin;
    struct lutra_assembler *assembler;
    struct lutra_arena *arena;
    struct lutra_bus_pair buses;
    struct lutra_timer *again; /* repeats what failed: topics, or check and stream */
    struct lutra_timer *due;   /* the open batch */
    struct lutra_timer *step;  /* how long a step on the way to the stream may take */
    uint64_t step_since_ms;
    struct lutra_timer *watch; /* are the topics still there, when nothing moves */
    uint64_t watched_consumed;
    struct lutra_backoff backoff;
    uint64_t trouble_since_ms; /* of the source; 0: none */
    bool source_open, source_paused, source_idle;
    bool inside_transaction; /* what was published last goes on in the next process */
    struct lutra_error stop; /* why the slicer stopped (DRAINING) */

    struct lutra_request request; /* wanted while HALTED */
    struct lutra_timer *ask;
};
#define SEL_RUN_MAGIC 0x53454c52u

struct sel_pipeline {
    uint32_t magic;
    struct lutra_select *select;
    struct lutra_pipeline *view; /* the catalog's */
    char *id;
    enum sel_state state;
    char reason[1024];           /* why it is where it is; "" */
    char last_error[1024];       /* kept until the stream flows again */
    struct lutra_bus_pair buses; /* of the definition that stands now */
    /* This process does not have them: CONFIG, or RETRY for now; LUTRA_OK: it has. */
    enum lutra_error_class blocked;
    struct sel_topics topics;
    struct lutra_owner *owner;
    struct lutra_follower *follower;
    struct lutra_task *reconcile;
    struct lutra_timer *release;   /* STOP: how long what is in flight may take */
    bool released;                 /* that time is over */
    bool second_identity;          /* of the dump: see select.h */
    uint64_t definition_since_ms;  /* the origin's is waited for; 0: it is not */
    struct lutra_unusable refused; /* of the termin topic */
    uint64_t used_epoch;           /* the highest that this process published or may have */
    struct sel_run *run;
    bool requesting; /* a request is under way; its completion names the pipeline */

    /* status, over all runs */
    char *read, *acknowledged;
    struct sel_window_stats last; /* of the run, or of the last one */
    uint64_t rows_read, events_filtered, ddl_passed, republished_before, max_in_flight;
    uint32_t max_window; /* that max_in_flight belongs to */
    struct lutra_counter *c_rows, *c_filtered, *c_ddl, *c_processes, *c_foreign, *c_republished;
    struct lutra_gauge *g_in_flight, *g_bytes, *g_epoch;
};
#define SEL_PIPELINE_MAGIC 0x53454c50u

struct lutra_select {
    const struct lutra_env *env;
    struct lutra_catalog *catalog;
    struct sel_pipeline **pipelines;
    size_t n;
    uint64_t connected_ms; /* to ZooKeeper, since; 0: not now */
    bool draining;
    void (*drained)(void *arg);
    void *drained_arg;
    struct lutra_task *drain_task;
};

const char *sel_state_name(enum sel_state state);
struct sel_pipeline *sel_pipeline_new(struct lutra_select *select, struct lutra_pipeline *view);
void sel_pipeline_free(struct sel_pipeline *p);
/* Compares what ZooKeeper says with what is done, and acts. */
void sel_pipeline_reconcile(struct sel_pipeline *p);
/* May the node be kept, or is the pipeline being given up (STOP, end of this process)? */
bool sel_should_contend(const struct sel_pipeline *p);
bool sel_pipeline_drained(const struct sel_pipeline *p);
void sel_pipeline_json(struct sel_pipeline *p, json_t *array);

/* ---- between the files of this service ---- */
void sel_set_state(struct sel_pipeline *p, enum sel_state state, const char *reason);
/* May new processes be published now? */
bool sel_permitted(const struct sel_pipeline *p);
bool sel_owns(const struct sel_pipeline *p);

/* run.c */
struct sel_run *sel_run_new(struct sel_pipeline *p);
void sel_run_free(struct sel_run *run);
void sel_run_start(struct sel_run *run);  /* TOPICS */
void sel_run_topics(struct sel_run *run); /* they are there, or failed */

/* topics.c */
/* Asks for the topics of the present definition, unless they are there or asked for already. */
void sel_topics_want(struct sel_pipeline *p);
/* What was known of them no longer counts; a request under way is given up. */
void sel_topics_forget(struct sel_pipeline *p);

/* stream.c */
void sel_stream_check(struct sel_run *run); /* CHECK, and on to STREAM */
void sel_stream_close(struct sel_run *run);
/* Publishes what may be, cuts what is due, pauses or resumes the source. */
void sel_stream_pump(struct sel_run *run);

/* trouble.c */
/* Passing trouble of the source: once more after a back-off, ROLLBACK after 10 s. */
void sel_trouble(struct sel_run *run, const struct lutra_error *err);
/* Asks for ROLLBACK or RESTART and does nothing more until the new epoch comes. */
void sel_halt(struct sel_run *run,
              enum lutra_request_kind kind,
              bool with_backoff,
              const char *reason);
/* The same for the RESTART of a stall. */
void sel_halt_stalled(struct sel_run *run, const char *reason);
void sel_ask_cb(void *arg);
/* Passing or not, by its class. */
void sel_failed(struct sel_run *run, const struct lutra_error *err);

/* stall.c */
/* A step before the stream begins (TOPICS, CHECK, RESOLVE): it is taken anew when it does not end.
 */
void sel_stall_step(struct sel_run *run);
void sel_stall_step_cb(void *arg); /* run->step */
void sel_stall_overdue(struct sel_run *run);
/* What is waited for, when that has lasted some seconds; "" */
void sel_stall_describe(const struct sel_pipeline *p, char *text, size_t size);
/* The oldest process is published again and again; "" */
void sel_stall_warning(const struct sel_pipeline *p, char *text, size_t size);
void sel_stall_listen(struct lutra_select *select, bool on);

/* status.c */
void sel_status_update(struct sel_pipeline *p);
/* The same, and the positions, which outlive the run. */
void sel_status_keep(struct sel_pipeline *p);

#endif
