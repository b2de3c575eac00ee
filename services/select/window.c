#include "select/window.h"

#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    OVERDUE_MIN_MS = 2000,
    OVERDUE_MAX_MS = 30000,
    RETRY_MIN_MS = 20,
    RETRY_MAX_MS = 1000,
    ENTRY_MAGIC = 0x5e1e0001,
};

struct entry {
    uint32_t magic;
    struct sel_window *window;
    struct lutra_slice *slice;
    int32_t partition;
    int64_t stamp_us; /* lutra-ts-select: of the first time, a repetition is the same message */
    enum { TO_SEND, SENDING, AT_BROKER } state;
    bool acknowledged; /* at least once */
    unsigned times;    /* published */
    struct entry *next;
};

struct sel_window {
    struct sel_window_config config;
    char topic[80];
    struct entry *first, **end; /* un-credited, by processId */
    uint64_t published, consumed, applied, last_whole;
    uint64_t in_flight, max_in_flight, bytes, republished, retried;
    uint64_t acknowledged_id; /* of the contiguous prefix */
    char *acknowledged;       /* its position */
    uint32_t *per_partition;  /* un-credited, for least-lag */
    uint64_t overdue_ms;      /* doubles */
    uint64_t still_since_ms;  /* the last credit, or the first in flight after none */
    struct lutra_timer *overdue, *retry;
    struct lutra_backoff backoff;
    bool halted;
};

static void on_overdue(void *arg);
static void on_retry(void *arg);

struct sel_window *sel_window_new(const struct sel_window_config *config)
{
    struct sel_window *w = LUTRA_NEW(struct sel_window);
    w->config = *config;
    w->config.position = NULL;
    lutra_topic_name(config->pipeline, "extract", w->topic);
    w->end = &w->first;
    w->published = w->consumed = w->applied = w->last_whole = config->process_id;
    w->acknowledged_id = config->process_id;
    w->acknowledged = lutra_strdup(config->position);
    w->per_partition = lutra_alloc(config->partitions * sizeof(*w->per_partition));
    w->overdue_ms = OVERDUE_MIN_MS;
    w->overdue = lutra_timer_new(config->loop, on_overdue, w);
    w->retry = lutra_timer_new(config->loop, on_retry, w);
    w->backoff = (struct lutra_backoff){.min_ms = RETRY_MIN_MS, .max_ms = RETRY_MAX_MS};
    return w;
}

static void drop_first(struct sel_window *w)
{
    struct entry *e = w->first;
    w->first = e->next;
    if (!w->first) {
        w->end = &w->first;
    }
    w->per_partition[e->partition]--;
    w->in_flight--;
    w->bytes -= e->slice->payload.len;
    if (e->state == SENDING) {
        lutra_pipe_forget(w->config.bus, e);
    }
    e->magic = 0;
    lutra_slice_free(e->slice);
    lutra_free(e);
}

void sel_window_free(struct sel_window *w)
{
    if (!w) {
        return;
    }
    while (w->first) {
        drop_first(w);
    }
    lutra_timer_free(w->overdue);
    lutra_timer_free(w->retry);
    lutra_free(w->per_partition);
    lutra_free(w->acknowledged);
    lutra_free(w);
}

void sel_window_halt(struct sel_window *w)
{
    w->halted = true;
    lutra_timer_stop(w->overdue);
    lutra_timer_stop(w->retry);
}

/* ---- where to ---- */

static int32_t stick(const struct sel_window *w)
{
    uint32_t hash = 2166136261u;
    for (const char *c = w->config.pipeline; *c; c++) {
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    }
    return (int32_t)(hash % w->config.partitions);
}

/* The fewest un-credited; among equals the one whose turn it would be. */
static int32_t least_lag(const struct sel_window *w, uint64_t process_id)
{
    uint32_t n = w->config.partitions, best = (uint32_t)(process_id % n);
    for (uint32_t i = 1; i < n; i++) {
        uint32_t candidate = (uint32_t)((process_id + i) % n);
        if (w->per_partition[candidate] < w->per_partition[best]) {
            best = candidate;
        }
    }
    return (int32_t)best;
}

static int32_t choose(const struct sel_window *w, uint64_t process_id)
{
    switch (w->config.balance) {
    case LUTRA_BALANCE_STICK:
        return stick(w);
    case LUTRA_BALANCE_RANDOM:
        return (int32_t)(lutra_loop_random(w->config.loop) % w->config.partitions);
    case LUTRA_BALANCE_LEAST_LAG:
        return least_lag(w, process_id);
    case LUTRA_BALANCE_ROUND_ROBIN:
        break;
    }
    return (int32_t)(process_id % w->config.partitions);
}

/* ---- sending ---- */

static void arm_overdue(struct sel_window *w)
{
    if (w->first && !w->halted) {
        lutra_timer_start(w->overdue, w->overdue_ms);
    } else {
        lutra_timer_stop(w->overdue);
    }
}

static void retry_later(struct sel_window *w)
{
    w->retried++;
    if (!w->halted && !lutra_timer_active(w->retry)) {
        lutra_timer_start(w->retry, lutra_backoff_next_ms(&w->backoff, w->config.loop));
    }
}

/* The acknowledged prefix grows over entries that the broker has. */
static void acknowledge(struct sel_window *w)
{
    for (const struct entry *e = w->first; e && e->acknowledged; e = e->next) {
        if (e->slice->process_id == w->acknowledged_id + 1) {
            w->acknowledged_id++;
            lutra_free(w->acknowledged);
            w->acknowledged = lutra_strdup(e->slice->position_to);
        }
    }
}

static void on_ack(const struct lutra_error *err, void *arg)
{
    struct entry *e = arg;
    struct sel_window *w;
    LUTRA_ASSERT(e->magic == ENTRY_MAGIC);
    w = e->window;
    if (err || LUTRA_FAULT("select.acked")) {
        e->state = TO_SEND;
        retry_later(w);
        return;
    }
    e->state = AT_BROKER;
    e->acknowledged = true;
    lutra_backoff_reset(&w->backoff);
    acknowledge(w);
    w->config.changed(w->config.arg);
}

/* 0: on its way. -1: not accepted now; it is TO_SEND. */
static int send_entry(struct sel_window *w, struct entry *e)
{
    struct lutra_envelope envelope = w->config.envelope;
    struct lutra_error err = {0};
    envelope.process_id = e->slice->process_id;
    envelope.ts_us[LUTRA_STAGE_SELECT] = e->stamp_us;
    if (LUTRA_FAULT("select.before_publish")) {
        lutra_error_set(&err, LUTRA_RETRY, 0, "fault select.before_publish");
    } else if (lutra_pipe_publish(w->config.bus, w->topic, e->partition, &envelope,
                                  e->slice->payload.data, e->slice->payload.len, on_ack, e,
                                  &err) == 0) {
        e->state = SENDING;
        e->times++;
        (void)LUTRA_FAULT("select.after_publish"); /* crash and pause only */
        return 0;
    }
    e->state = TO_SEND;
    if (err.class == LUTRA_RETRY) {
        retry_later(w);
    } else {
        w->config.refused(&err, w->config.arg);
    }
    return -1;
}

static void on_retry(void *arg)
{
    struct sel_window *w = arg;
    for (struct entry *e = w->first; e && !w->halted; e = e->next) {
        if (e->state == TO_SEND && send_entry(w, e)) {
            return; /* the others after it, when it is through */
        }
    }
}

bool sel_window_room(const struct sel_window *w)
{
    return !w->halted && w->published - w->consumed < w->config.window;
}

void sel_window_publish(struct sel_window *w, struct lutra_slice *slice)
{
    struct entry *e = LUTRA_NEW(struct entry);
    LUTRA_ASSERT(sel_window_room(w) && slice->process_id == w->published + 1);
    e->magic = ENTRY_MAGIC;
    e->window = w;
    e->slice = slice;
    e->partition = choose(w, slice->process_id);
    e->stamp_us = lutra_loop_wall_us(w->config.loop);
    e->state = TO_SEND;
    *w->end = e;
    w->end = &e->next;
    w->per_partition[e->partition]++;
    w->bytes += slice->payload.len;
    w->published++;
    w->in_flight++;
    if (w->in_flight > w->max_in_flight) {
        w->max_in_flight = w->in_flight;
    }
    if (!slice->unfinished) {
        w->last_whole = slice->process_id;
    }
    if (w->first == e) {
        w->still_since_ms = lutra_loop_now_ms(w->config.loop);
        arm_overdue(w);
    }
    if (!lutra_timer_active(w->retry)) { /* else others wait before it */
        (void)send_entry(w, e);
    }
}

/* ---- credit ---- */

bool sel_window_termin(struct sel_window *w, uint64_t consumed, uint64_t applied)
{
    bool moved = false;
    if (consumed > w->published || applied > consumed) {
        return false;
    }
    if (consumed > w->consumed) {
        w->consumed = consumed;
        moved = true;
    }
    if (applied > w->applied) {
        w->applied = applied;
        moved = true;
    }
    while (w->first && w->first->slice->process_id <= w->consumed) {
        w->first->acknowledged = true; /* load has it, so the broker had */
        acknowledge(w);
        drop_first(w);
    }
    if (moved) {
        w->still_since_ms = lutra_loop_now_ms(w->config.loop);
        w->overdue_ms = OVERDUE_MIN_MS;
        arm_overdue(w);
        w->config.changed(w->config.arg);
    }
    return true;
}

/* Nothing moved: the oldest may be stuck with a stage that died. Another partition, another
 * instance. */
static void on_overdue(void *arg)
{
    struct sel_window *w = arg;
    struct entry *e = w->first;
    if (!e || w->halted) {
        return;
    }
    if (e->state == AT_BROKER) {
        w->per_partition[e->partition]--;
        e->partition = (int32_t)(((uint32_t)e->partition + 1) % w->config.partitions);
        w->per_partition[e->partition]++;
        w->republished++;
        LUTRA_WARN("select.republished", LUTRA_F_STR("pipeline", w->config.pipeline),
                   LUTRA_F_U64("process_id", e->slice->process_id),
                   LUTRA_F_I64("partition", e->partition), LUTRA_F_U64("after_ms", w->overdue_ms));
        (void)send_entry(w, e);
        w->overdue_ms = w->overdue_ms * 2 < OVERDUE_MAX_MS ? w->overdue_ms * 2 : OVERDUE_MAX_MS;
        w->config.overdue(w->config.arg);
    }
    arm_overdue(w);
}

bool sel_window_drained(const struct sel_window *w)
{
    return w->applied >= w->last_whole;
}

static uint64_t oldest_ms(const struct sel_window *w)
{
    int64_t age_us = w->first ? lutra_loop_wall_us(w->config.loop) - w->first->stamp_us : 0;
    return age_us > 0 ? (uint64_t)age_us / 1000 : 0;
}

void sel_window_stats(const struct sel_window *w, struct sel_window_stats *stats)
{
    *stats = (struct sel_window_stats){
        .published = w->published,
        .consumed = w->consumed,
        .applied = w->applied,
        .in_flight = w->in_flight,
        .max_in_flight = w->max_in_flight,
        .bytes = w->bytes,
        .oldest_ms = oldest_ms(w),
        .republished = w->republished,
        .retried = w->retried,
        .acknowledged = w->acknowledged,
    };
    if (w->first) {
        stats->oldest = w->first->slice->process_id;
        stats->oldest_partition = w->first->partition;
        stats->oldest_times = w->first->times;
        stats->still_ms = lutra_loop_now_ms(w->config.loop) - w->still_since_ms;
    }
}
