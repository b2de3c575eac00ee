/* Threads talk by messages. A mailbox brings values from any thread to the loop; a worker is one
 * thread that runs blocking jobs in order and delivers each job's completion on the loop. */
#ifndef LUTRA_LOOP_WORKER_H
#define LUTRA_LOOP_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "loop/loop.h"

/* A mailbox: posts from any thread are delivered in order by fn on the loop thread (mutex list +
 * eventfd; on a simulated loop by a task). At most `budget` items a turn, then others get their
 * turn. */
struct lutra_mailbox;
struct lutra_mailbox *
lutra_mailbox_new(struct lutra_loop *loop, void (*fn)(void *item, void *arg), void *arg);
/* Items not yet delivered are given to drop (may be NULL). No thread may post any more. Allowed
 * inside fn. */
void lutra_mailbox_free(struct lutra_mailbox *mailbox, void (*drop)(void *item));
void lutra_mailbox_post(struct lutra_mailbox *mailbox, void *item); /* @thread any */

/* A job: `run` on the worker's thread, then `done` on the loop. The struct is embedded in the
 * caller's own and belongs to the worker between submit and done. */
struct lutra_job {
    void (*run)(struct lutra_job *job, void *worker_state);
    void (*done)(struct lutra_job *job);
    struct lutra_job *next; /* the worker's */
};

/* On a simulated loop there is no thread: jobs run in order, one a turn, on the loop; and
 * everything here is loop-thread only. */
struct lutra_worker;
/* `begin` and `end` run on the thread at its start and end (mysql_thread_init ...); worker_state is
 * passed on. */
struct lutra_worker *lutra_worker_new(struct lutra_loop *loop,
                                      const char *name,
                                      void (*begin)(void *worker_state),
                                      void (*end)(void *worker_state),
                                      void *worker_state);
/* The same; NULL and RETRY when the process lacks a thread or a descriptor for it. */
struct lutra_worker *lutra_worker_open(struct lutra_loop *loop,
                                       const char *name,
                                       void (*begin)(void *worker_state),
                                       void (*end)(void *worker_state),
                                       void *worker_state,
                                       struct lutra_error *err);
/* @thread any */
void lutra_worker_submit(struct lutra_worker *worker, struct lutra_job *job);
/* Waits for the running job. `done` is not called any more: jobs whose done was not delivered, then
 * jobs that were not begun, are given to drop in order (may be NULL). Interrupting a blocked job
 * (shutdown(2) of its socket) is the caller's business. Allowed inside a job's done; not inside
 * run. */
void lutra_worker_free(struct lutra_worker *worker, void (*drop)(struct lutra_job *job));

#endif
