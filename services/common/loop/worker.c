#include "loop/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "loop/loop_private.h"

struct jobs {
    struct lutra_job *first, **end;
};

/* Jobs go in by `queue`, completions come out by the mailbox. On a simulated loop there is no
 * thread: a task runs one job a turn. */
struct lutra_worker {
    uint32_t magic;
    struct lutra_loop *loop;
    struct lutra_mailbox *mailbox;
    void (*begin)(void *worker_state);
    void (*end)(void *worker_state);
    void *worker_state;
    struct lutra_task *task; /* simulated loops only */
    char name[16];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct jobs queue; /* @locks lock */
    bool stopping;     /* @locks lock */
};

static void jobs_init(struct jobs *jobs)
{
    jobs->first = NULL;
    jobs->end = &jobs->first;
}

static void jobs_append(struct jobs *jobs, struct lutra_job *job)
{
    job->next = NULL;
    *jobs->end = job;
    jobs->end = &job->next;
}

static struct lutra_job *jobs_take(struct jobs *jobs)
{
    struct lutra_job *job = jobs->first;

    if (job) {
        jobs->first = job->next;
        if (!jobs->first) {
            jobs->end = &jobs->first;
        }
        job->next = NULL;
    }
    return job;
}

static void on_job_done_cb(void *item, void *arg)
{
    struct lutra_job *job = item;

    (void)arg;
    job->done(job); /* may free the worker */
}

/* The next job, or NULL when the worker is to end: what was not begun then stays queued. */
static struct lutra_job *wait_for_job(struct lutra_worker *worker)
{
    struct lutra_job *job = NULL;

    pthread_mutex_lock(&worker->lock);
    while (!worker->stopping && !worker->queue.first) {
        pthread_cond_wait(&worker->changed, &worker->lock);
    }
    if (!worker->stopping) {
        job = jobs_take(&worker->queue);
    }
    pthread_mutex_unlock(&worker->lock);
    return job;
}

static void *worker_thread_main(void *arg)
{
    struct lutra_worker *worker = arg;
    struct lutra_job *job;

    pthread_setname_np(pthread_self(), worker->name);
    if (worker->begin) {
        worker->begin(worker->worker_state);
    }
    while ((job = wait_for_job(worker))) {
        job->run(job, worker->worker_state);
        lutra_mailbox_post(worker->mailbox, job);
    }
    if (worker->end) {
        worker->end(worker->worker_state);
    }
    return NULL;
}

static void on_sim_task_cb(void *arg)
{
    struct lutra_worker *worker = arg;
    struct lutra_job *job;

    LUTRA_ASSERT(worker->magic == LUTRA_WORKER_MAGIC);
    job = jobs_take(&worker->queue);
    if (worker->queue.first) {
        lutra_task_schedule(worker->task);
    }
    if (job) {
        job->run(job, worker->worker_state);
        lutra_mailbox_post(worker->mailbox, job);
    }
}

/* Signals are the loop thread's: a blocking client call must not see EINTR. */
static int start_thread(struct lutra_worker *worker, struct lutra_error *err)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    LUTRA_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    rc = pthread_create(&worker->thread, NULL, worker_thread_main, worker);
    LUTRA_ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    if (rc != 0) {
        return lutra_error_set(err, LUTRA_RETRY, rc, "no thread: %s", strerror(rc));
    }
    return 0;
}

static void worker_free(struct lutra_worker *worker)
{
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    worker->magic = 0;
    lutra_free(worker);
}

struct lutra_worker *lutra_worker_open(struct lutra_loop *loop,
                                       const char *name,
                                       void (*begin)(void *worker_state),
                                       void (*end)(void *worker_state),
                                       void *worker_state,
                                       struct lutra_error *err)
{
    struct lutra_worker *worker = LUTRA_NEW(struct lutra_worker);

    worker->magic = LUTRA_WORKER_MAGIC;
    worker->loop = loop;
    worker->begin = begin;
    worker->end = end;
    worker->worker_state = worker_state;
    strncpy(worker->name, name, sizeof(worker->name) - 1);
    jobs_init(&worker->queue);
    LUTRA_ASSERT(pthread_mutex_init(&worker->lock, NULL) == 0);
    LUTRA_ASSERT(pthread_cond_init(&worker->changed, NULL) == 0);
    worker->mailbox = lutra_mailbox_open(loop, on_job_done_cb, worker, err);
    if (!worker->mailbox) {
        worker_free(worker);
        return NULL;
    }
    if (lutra_loop_is_sim(loop)) {
        worker->task = lutra_task_new(loop, on_sim_task_cb, worker);
        if (begin) {
            begin(worker_state);
        }
    } else if (start_thread(worker, err)) {
        lutra_mailbox_free(worker->mailbox, NULL);
        worker_free(worker);
        return NULL;
    }
    return worker;
}

struct lutra_worker *lutra_worker_new(struct lutra_loop *loop,
                                      const char *name,
                                      void (*begin)(void *worker_state),
                                      void (*end)(void *worker_state),
                                      void *worker_state)
{
    struct lutra_worker *worker = lutra_worker_open(loop, name, begin, end, worker_state, NULL);

    LUTRA_ASSERT(worker);
    return worker;
}

void lutra_worker_submit(struct lutra_worker *worker, struct lutra_job *job)
{
    LUTRA_ASSERT(worker->magic == LUTRA_WORKER_MAGIC);
    pthread_mutex_lock(&worker->lock);
    jobs_append(&worker->queue, job);
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    if (worker->task) {
        lutra_task_schedule(worker->task);
    }
}

static void stop_thread(struct lutra_worker *worker)
{
    if (worker->task) {
        lutra_task_free(worker->task);
        if (worker->end) {
            worker->end(worker->worker_state);
        }
        return;
    }
    pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    pthread_cond_signal(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    LUTRA_ASSERT(pthread_join(worker->thread, NULL) == 0);
}

static void drop_job(void *item, void *arg)
{
    void (**drop)(struct lutra_job * job) = arg;

    if (*drop) {
        (*drop)(item);
    }
}

void lutra_worker_free(struct lutra_worker *worker, void (*drop)(struct lutra_job *job))
{
    struct lutra_job *job;

    if (!worker) {
        return;
    }
    LUTRA_ASSERT(worker->magic == LUTRA_WORKER_MAGIC);
    stop_thread(worker);
    lutra_mailbox_close(worker->mailbox, drop_job, &drop);
    while ((job = jobs_take(&worker->queue))) {
        drop_job(job, &drop);
    }
    worker_free(worker);
}
