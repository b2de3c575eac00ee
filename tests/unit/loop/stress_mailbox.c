/* Many threads post to one mailbox and one thread feeds many workers; build with
 * LUTRA_SANITIZE=thread to have the races found. Plain main(): see CMakeLists.txt. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "loop/loop.h"
#include "loop/worker.h"

enum { POSTERS = 4, POSTS = 20000, WORKERS = 3, JOBS = 5000 };

static uintptr_t last_of[POSTERS]; /* per poster: the number seen last */
static unsigned n_posts, n_jobs;
static struct lutra_mailbox *mailbox;

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "failed: %s\n", what);
        exit(1);
    }
}

static void on_post_cb(void *item, void *arg)
{
    uintptr_t value = (uintptr_t)item, poster = value / (POSTS + 1), number = value % (POSTS + 1);

    (void)arg;
    check(number == last_of[poster] + 1, "posts of one thread arrive in order, once");
    last_of[poster] = number;
    n_posts++;
}

static void *poster_thread_main(void *arg)
{
    uintptr_t poster = (uintptr_t)arg;

    for (uintptr_t number = 1; number <= POSTS; number++) {
        lutra_mailbox_post(mailbox, (void *)(poster * (POSTS + 1) + number));
    }
    return NULL;
}

struct count_job {
    struct lutra_job job;
    struct lutra_worker *worker;
    unsigned left, result;
};

static void run_count(struct lutra_job *job, void *worker_state)
{
    struct count_job *count = (struct count_job *)job;

    count->result = ++*(unsigned *)worker_state;
}

static void done_count(struct lutra_job *job)
{
    struct count_job *count = (struct count_job *)job;

    n_jobs++;
    check(count->result > 0, "the worker's result is seen");
    if (--count->left > 0) {
        lutra_worker_submit(count->worker, job);
    }
}

static bool all_done(void *arg)
{
    (void)arg;
    return n_posts == POSTERS * POSTS && n_jobs == WORKERS * 4 * JOBS;
}

int main(void)
{
    struct lutra_loop *loop = lutra_loop_new();
    struct lutra_worker *workers[WORKERS];
    unsigned runs[WORKERS] = {0};
    struct count_job jobs[WORKERS * 4];
    pthread_t posters[POSTERS];

    mailbox = lutra_mailbox_new(loop, on_post_cb, NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = lutra_worker_new(loop, "stress", NULL, NULL, &runs[i]);
        for (size_t k = 0; k < 4; k++) {
            struct count_job *job = &jobs[i * 4 + k];

            *job = (struct count_job){
                .job = {.run = run_count, .done = done_count}, .worker = workers[i], .left = JOBS};
            lutra_worker_submit(workers[i], &job->job);
        }
    }
    for (uintptr_t i = 0; i < POSTERS; i++) {
        check(pthread_create(&posters[i], NULL, poster_thread_main, (void *)i) == 0, "thread");
    }
    check(lutra_loop_run_until(loop, all_done, NULL, 100000), "everything arrives");
    for (size_t i = 0; i < POSTERS; i++) {
        pthread_join(posters[i], NULL);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        lutra_worker_free(workers[i], NULL);
        check(runs[i] == 4 * JOBS, "every job ran once");
    }
    lutra_mailbox_free(mailbox, NULL);
    lutra_loop_free(loop);
    return 0;
}
