/* What the files of this module share.
 *
 * DESIGN: timers and tasks live in one binary heap of our own, ordered by (due time, draw,
 * sequence). A task is an item that is due now. The real loop uses libevent for what it alone can
 * do (file descriptors, signals, evhttp) and to wait until the first item is due; the simulated
 * loop jumps there. So both kinds run the same code. The draw is 0 except on a simulated loop with
 * a seed. */
#ifndef LUTRA_LOOP_LOOP_PRIVATE_H
#define LUTRA_LOOP_LOOP_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

struct event;
struct event_base;

enum lutra_magic {
    LUTRA_TASK_MAGIC = 0x7a5c0001,
    LUTRA_TIMER_MAGIC = 0x7a5c0002,
    LUTRA_POST_MAGIC = 0x7a5c0003,
    LUTRA_IO_MAGIC = 0x7a5c0004,
    LUTRA_SIGNAL_MAGIC = 0x7a5c0005,
    LUTRA_MAILBOX_MAGIC = 0x7a5c0006,
    LUTRA_WORKER_MAGIC = 0x7a5c0007,
};

/* Something to run at a time. `magic` says what it is part of: a task, a timer or a posted call. */
struct lutra_item {
    uint32_t magic;
    size_t slot; /* place in the heap + 1; 0: not queued */
    uint64_t due_us, draw, seq;
    struct lutra_loop *loop;
    void (*fn)(void *arg);
    void *arg;
};

struct lutra_queue {
    struct lutra_item **heap;
    size_t n, cap;
    uint64_t seq; /* of the item queued last */
};

void lutra_queue_fini(struct lutra_queue *queue);
void lutra_queue_push(struct lutra_queue *queue, struct lutra_item *item);
void lutra_queue_remove(struct lutra_queue *queue,
                        struct lutra_item *item); /* not queued: nothing */
/* The first item, or NULL; stays queued. */
struct lutra_item *lutra_queue_first(const struct lutra_queue *queue);

/* Where the loop is: decides whether the cached time may be used. */
enum lutra_loop_phase {
    LUTRA_LOOP_OUTSIDE, /* nobody runs the loop: every question reads the clock */
    LUTRA_LOOP_WAITING, /* inside libevent: the first question reads the clock, and the turn has
                           begun */
    LUTRA_LOOP_TURN,    /* the cached time holds */
};

enum { LUTRA_LAG_BUCKETS = 13, LUTRA_LAG_BUCKET_US = 5000000 };

/* Changes while others hold a const loop: time is read lazily. */
struct lutra_loop_clock {
    enum lutra_loop_phase phase;
    uint64_t now_us;
    int64_t wall_us;
    /* For lutra_loop_longest_turn_ms, @thread any: the longest turn of each 5 s, as (bucket number
     * << 32 | ms), and since when the running turn runs (0: none runs). */
    _Atomic uint64_t lag[LUTRA_LAG_BUCKETS];
    _Atomic uint64_t turn_since_us;
};

struct lutra_loop {
    bool sim, stop, running;
    uint64_t seed, order_rng, rng;
    struct lutra_queue queue;
    struct lutra_loop_clock *clock;
    struct event_base *base; /* real loops only, likewise `wake` */
    struct event *wake;
};

/* The turn has begun: reads the clock unless that was done. Every callback from libevent calls it
 * first. */
void lutra_loop_begin_turn(const struct lutra_loop *loop);

/* libevent's part. */
void lutra_loop_events_init(struct lutra_loop *loop);
void lutra_loop_events_fini(struct lutra_loop *loop);
/* Waits for at most wait_us (UINT64_MAX: without end) and runs the callbacks of what happened. */
void lutra_loop_events_wait(struct lutra_loop *loop, uint64_t wait_us);

struct lutra_mailbox;
/* As lutra_mailbox_new; NULL and RETRY when the process lacks a descriptor. */
struct lutra_mailbox *lutra_mailbox_open(struct lutra_loop *loop,
                                         void (*fn)(void *item, void *arg),
                                         void *arg,
                                         struct lutra_error *err);
/* As lutra_mailbox_free, with an argument for drop. */
void lutra_mailbox_close(struct lutra_mailbox *mailbox,
                         void (*drop)(void *item, void *arg),
                         void *arg);

#endif
