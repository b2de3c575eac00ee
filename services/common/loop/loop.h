/* The event loop: timers, tasks, file descriptors, signals. One loop, one thread owns all state.
 *
 * Two kinds: real (libevent) and simulated (virtual time, no file descriptors), so that whole
 * pipelines can run in one process from one seed. Everything here is loop-thread only unless said
 * otherwise. */
#ifndef LUTRA_LOOP_LOOP_H
#define LUTRA_LOOP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct lutra_loop;

struct lutra_loop *lutra_loop_new(void);
/* Virtual time: starts at wall clock 1 700 000 000 s, moves only when nothing is runnable. Tasks
 * that are due at the same time run in an order drawn from the seed (0: first come, first served).
 */
struct lutra_loop *lutra_loop_new_sim(uint64_t seed);
void lutra_loop_free(struct lutra_loop *loop);
bool lutra_loop_is_sim(const struct lutra_loop *loop);

/* Runs until lutra_loop_stop; a stop before the run ends it at once. A simulated loop also returns
 * when nothing is left that could ever happen. */
void lutra_loop_run(struct lutra_loop *loop);
void lutra_loop_stop(struct lutra_loop *loop);
/* Runs until done(arg) is true or timeout_ms (of the loop's time) passed; true when done. Tests and
 * tools. */
bool lutra_loop_run_until(struct lutra_loop *loop,
                          bool (*done)(void *arg),
                          void *arg,
                          uint64_t timeout_ms);
/* Runs for ms of the loop's time. */
void lutra_loop_run_for(struct lutra_loop *loop, uint64_t ms);

/* Monotonic time and wall clock of the loop, read once per turn. */
uint64_t lutra_loop_now_ms(const struct lutra_loop *loop);
int64_t lutra_loop_wall_us(const struct lutra_loop *loop);
/* Deterministic random numbers of the loop (simulated: from the seed; real: seeded from getrandom).
 */
uint64_t lutra_loop_random(struct lutra_loop *loop);
/* For evhttp; NULL on a simulated loop. */
struct event_base *lutra_loop_base(struct lutra_loop *loop);
/* Milliseconds the longest turn of the last minute took (loop lag). @thread any */
uint64_t lutra_loop_longest_turn_ms(const struct lutra_loop *loop);

/* A task: runs once per schedule, in a later turn; scheduling twice before it runs is one run. */
struct lutra_task;
struct lutra_task *lutra_task_new(struct lutra_loop *loop, void (*fn)(void *arg), void *arg);
void lutra_task_free(struct lutra_task *task); /* cancels; allowed inside its own callback */
void lutra_task_schedule(struct lutra_task *task);
void lutra_task_cancel(struct lutra_task *task);
/* Fire and forget: runs fn(arg) once in a later turn. Cannot be cancelled: arg must outlive it. */
void lutra_loop_post(struct lutra_loop *loop, void (*fn)(void *arg), void *arg);

/* A one-shot timer; start again replaces the delay, which counts from the moment of the call. */
struct lutra_timer;
struct lutra_timer *lutra_timer_new(struct lutra_loop *loop, void (*fn)(void *arg), void *arg);
void lutra_timer_free(
    struct lutra_timer *timer); /* NULL is legal; allowed inside its own callback */
void lutra_timer_start(struct lutra_timer *timer, uint64_t delay_ms);
void lutra_timer_stop(struct lutra_timer *timer);
bool lutra_timer_active(const struct lutra_timer *timer);

/* A file descriptor (real loops only). The fd stays the caller's. */
enum { LUTRA_IO_READ = 1, LUTRA_IO_WRITE = 2 };
struct lutra_io;
struct lutra_io *
lutra_io_new(struct lutra_loop *loop, int fd, void (*fn)(unsigned events, void *arg), void *arg);
void lutra_io_want(struct lutra_io *io, unsigned events); /* level triggered; 0: none */
void lutra_io_free(struct lutra_io *io);                  /* before the fd is closed */

/* A signal as an ordinary callback (real loops only). */
struct lutra_signal;
struct lutra_signal *
lutra_signal_new(struct lutra_loop *loop, int signo, void (*fn)(int signo, void *arg), void *arg);
void lutra_signal_free(struct lutra_signal *signal);

/* Exponential back-off with jitter: min_ms, doubling, up to max_ms; +-25 %. */
struct lutra_backoff {
    uint64_t min_ms, max_ms;
    unsigned attempt;
};
uint64_t lutra_backoff_next_ms(struct lutra_backoff *backoff, struct lutra_loop *loop);
void lutra_backoff_reset(struct lutra_backoff *backoff);

#endif
