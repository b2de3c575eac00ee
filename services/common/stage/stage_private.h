/* What the files of the engine share.
 *
 * A message's way:
 *
 *                   ┌ malformed, lower epoch, lower config version: passed over, counted
 *   on_message ─────┼ its epoch is stopped: refused; the commit stays before it
 *   (input.c)       ├ a part: collected by the partition's assembler
 *                   └ complete: an item
 *
 *   item   ──▶ HELD ──config arrives──▶ QUEUED ──a turn's budget──▶ work (output.c)
 *     └─────────────────────────────────▲                            │ error: the epoch is stopped,
 *                                                                    ▼ ROLLBACK (stop.c)
 *              done ◀──acknowledged── PUBLISHED ◀──accepted──  same bytes  ──refused──▶ WAITING
 *                                         └──────ack says RETRY───────────────────────▶   │
 *                                                        ▲──────────back-off──────────────┘
 *
 * Every item in hand is of its pipeline's highest epoch: when a higher one shows, all are dropped.
 * The offset committed is the lowest that anything in hand, an open assembly or a refused message
 * still needs. */
#ifndef LUTRA_STAGE_STAGE_PRIVATE_H
#define LUTRA_STAGE_STAGE_PRIVATE_H

#include <uthash.h>

#include "daemon/warning.h"
#include "stage/stage.h"

#define STG_ENGINE_MAGIC 0x57a6e001u
#define STG_PIPELINE_MAGIC 0x57a6e002u
#define STG_ITEM_MAGIC 0x57a6e003u
#define STG_INPUT_MAGIC 0x57a6e004u

enum stg_item_state {
    STG_NEW,
    STG_HELD,      /* input: waits for the definition of its config version */
    STG_QUEUED,    /* input: waits for its turn */
    STG_PUBLISHED, /* output: waits for its ack */
    STG_WAITING,   /* output: waits to be published again */
};

/* A payload in hand. */
struct stg_item {
    uint32_t magic;
    enum stg_item_state state;
    struct stg_partition *partition;
    struct lutra_envelope envelope;
    int64_t first_offset; /* commits must not pass it */
    struct lutra_buf bytes;
    uint64_t rows;
    size_t counted_bytes;                   /* of engine->bytes_in_hand */
    struct stg_item *prev, *next;           /* the partition's, as they came */
    struct stg_item *line_prev, *line_next; /* the engine's queue or waiting line */
};

struct stg_partition {
    struct stg_pipeline *pipeline;
    int32_t number;
    struct lutra_assembler *assembler;
    struct stg_item *items;
    size_t n_held, n_waiting;
    int64_t next_offset;    /* after the last message that came; -1: none came */
    int64_t refused_offset; /* the first of a stopped epoch, or -1 */
    int64_t committed;      /* asked for, or -1 */
    bool paused;
    bool closing; /* no longer ours: the subscription is not told any more */
};

/* One bus that is read from: a member of the group there. Made when the first pipeline needs it. */
struct stg_input {
    uint32_t magic;
    struct lutra_stage_engine *engine;
    struct lutra_bus *bus;
    struct lutra_bus_subscription *subscription;
    struct lutra_buf topics; /* the list subscribed to, a line each */
    struct stg_input *next;
};

struct stg_pipeline {
    uint32_t magic;
    struct lutra_stage_engine *engine;
    struct lutra_pipeline *view; /* the catalog's */
    char *id;
    char topic_in[80], topic_out[80];
    struct stg_input *input; /* where topic_in is read; NULL: not of this site, or blocked */
    struct lutra_bus *output;
    /* A bus is not to be had: CONFIG (it has no configuration of it) or RETRY (it cannot be opened
     * for now), and why; LUTRA_OK: all are there. */
    enum lutra_error_class blocked;
    char blocked_by[512];
    size_t n_partitions; /* slots; NULL: not ours */
    struct stg_partition **partitions;

    bool warm;                /* the producer knows topic_out */
    uint64_t epoch;           /* the highest seen */
    uint64_t last_process_id; /* the highest of this epoch that is acknowledged */
    bool stopped;             /* this epoch: a batch could not be worked on */
    bool lost;                /* this epoch: messages will not come any more */
    bool requesting;          /* the ROLLBACK or RESTART is under way */
    struct lutra_request request;
    struct lutra_timer *request_timer;
    char last_error[512];

    uint64_t done, rows, stale, refused, retries;
    struct lutra_unusable malformed;
    struct lutra_counter *c_done, *c_rows, *c_stale, *c_malformed, *c_retries, *c_failed;
    struct lutra_gauge *g_in_hand, *g_held, *g_stopped;
    struct lutra_histogram *h_work;
    size_t n_items, n_held;
    uint64_t held_since_ms; /* while n_held > 0 */
    UT_hash_handle hh;      /* by topic_in */
};

struct stg_faults {
    const char *received, *decoded, *before_publish, *published, *acked, *committed;
};

struct lutra_stage_engine {
    uint32_t magic;
    const struct lutra_env *env;
    struct lutra_stage_desc desc;
    const struct stg_faults *faults;
    struct lutra_catalog *catalog;
    struct stg_input *inputs;
    struct stg_pipeline *pipelines;
    struct lutra_task *topics_task;

    struct lutra_arena *arena;
    bool worked; /* this turn's budget is spent */
    struct stg_item *queue;
    struct lutra_task *work_task;
    struct stg_item *waiting;
    struct lutra_timer *retry_timer;
    struct lutra_backoff backoff;

    size_t n_items;
    uint64_t bytes_in_hand; /* without what is held: that is bounded by one a partition */
    bool full;
    struct lutra_gauge *g_bytes;

    bool draining;
    struct lutra_task *drain_task;
    void (*drained)(void *arg);
    void *drained_arg;
};

/* ---- item.c: items, partitions, commits, pauses ---- */
struct stg_partition *stg_partition_get(struct stg_pipeline *p, int32_t number); /* makes it */
void stg_partition_drop(struct stg_pipeline *p, int32_t number);
void stg_partition_commit(struct stg_partition *part);
void stg_partition_pause(struct stg_partition *part);
void stg_pause_all(struct lutra_stage_engine *engine);

struct stg_item *stg_item_new(struct stg_partition *part,
                              const struct lutra_envelope *envelope,
                              int64_t first_offset);
void stg_item_set_state(struct stg_item *item, enum stg_item_state state);
/* bytes has changed. */
void stg_item_recount(struct stg_item *item);
/* Done with: the commit may pass it. */
void stg_item_done(struct stg_item *item);
/* Not done with: whoever reads the partition next gets it again. */
void stg_item_abandon(struct stg_item *item);

/* ---- input.c ---- */
/* The one that reads this bus; makes it. */
struct stg_input *stg_input_get(struct lutra_stage_engine *engine, struct lutra_bus *bus);
void stg_inputs_free(struct lutra_stage_engine *engine);
/* Subscribes to what the pipelines of this input need now. */
void stg_input_subscribe(struct stg_input *input);
/* Not a batch of the stream: passed over, counted. The gap is recognised by load. */
void stg_malformed(struct stg_pipeline *p, const struct lutra_error *err);
/* The pipeline's definition changed: looks at what is held again. */
void stg_input_released(struct stg_pipeline *p);

/* ---- output.c ---- */
/* Works on the payload (borrowed; may be the item's own bytes) and publishes the result. */
void stg_work(struct stg_item *item, const uint8_t *payload, size_t len);
/* Of the right config version? Otherwise the item is held or gone. */
bool stg_may_work(struct stg_item *item);
void stg_work_task_cb(void *arg);
void stg_retry_timer_cb(void *arg);

/* ---- stop.c ---- */
/* The item cannot be worked on: stops its epoch and asks for ROLLBACK. Consumes the item. */
void stg_stop(struct stg_item *item, const struct lutra_error *err);
/* Messages of the input topic are gone: asks for RESTART. */
void stg_lost(struct stg_pipeline *p, const char *reason);
/* A higher epoch is there: everything of the former is dropped. */
void stg_new_epoch(struct stg_pipeline *p, uint64_t epoch);
void stg_request_timer_cb(void *arg);

/* ---- pipeline.c ---- */
struct stg_pipeline *stg_pipeline_new(struct lutra_stage_engine *engine,
                                      struct lutra_pipeline *view);
void stg_pipeline_free(struct stg_pipeline *p);
bool stg_pipeline_mine(const struct stg_pipeline *p);
/* Looks where its topics live now; what belongs to former places is dropped. */
void stg_pipeline_place(struct stg_pipeline *p);
void stg_pipeline_json(struct stg_pipeline *p, json_t *array);

#endif
