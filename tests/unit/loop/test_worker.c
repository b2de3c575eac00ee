#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "loop/worker.h"

static char trace[256];

static void note(const char *text)
{
    strcat(trace, text);
}

static bool trace_is(void *arg)
{
    return strcmp(trace, arg) == 0;
}

static void on_text_cb(void *item, void *arg)
{
    (void)arg;
    note(item);
}

static void drop_text(void *item)
{
    note("-");
    note(item);
}

static struct lutra_loop *loop_of(bool sim)
{
    return sim ? lutra_loop_new_sim(7) : lutra_loop_new();
}

static void mailbox_in_order(bool sim)
{
    struct lutra_loop *loop = loop_of(sim);
    struct lutra_mailbox *mailbox = lutra_mailbox_new(loop, on_text_cb, NULL);

    lutra_mailbox_post(mailbox, "a");
    lutra_mailbox_post(mailbox, "b");
    lutra_mailbox_post(mailbox, "c");
    cr_assert_str_eq(trace, "", "never inside post");
    cr_assert(lutra_loop_run_until(loop, trace_is, "abc", 5000));
    lutra_mailbox_post(mailbox, "d");
    cr_assert(lutra_loop_run_until(loop, trace_is, "abcd", 5000));
    lutra_mailbox_post(mailbox, "e");
    lutra_mailbox_post(mailbox, "f");
    lutra_mailbox_free(mailbox, drop_text);
    cr_assert_str_eq(trace, "abcd-e-f");
    lutra_mailbox_free(NULL, NULL);
    lutra_loop_free(loop);
}

Test(mailbox, delivers_in_order_on_a_real_loop)
{
    mailbox_in_order(false);
}

Test(mailbox, delivers_in_order_on_a_simulated_loop)
{
    mailbox_in_order(true);
}

static unsigned delivered;

static void on_count_cb(void *item, void *arg)
{
    (void)arg;
    cr_assert_eq((uintptr_t)item, delivered + 1);
    delivered++;
}

static void on_task_cb(void *arg)
{
    unsigned *at = arg;

    *at = delivered;
}

Test(mailbox, a_full_mailbox_lets_others_have_their_turn)
{
    struct lutra_loop *loop = lutra_loop_new();
    struct lutra_mailbox *mailbox = lutra_mailbox_new(loop, on_count_cb, NULL);
    unsigned at = 0;

    for (uintptr_t i = 1; i <= 1000; i++) {
        lutra_mailbox_post(mailbox, (void *)i);
    }
    lutra_loop_post(loop, on_task_cb, &at);
    lutra_loop_run_for(loop, 50);
    cr_assert_eq(delivered, 1000);
    cr_assert_lt(at, 200);
    lutra_mailbox_free(mailbox, NULL);
    lutra_loop_free(loop);
}

static struct lutra_mailbox *suicidal;

static void on_free_cb(void *item, void *arg)
{
    (void)arg;
    note(item);
    lutra_mailbox_free(suicidal, drop_text);
}

Test(mailbox, may_be_freed_in_its_own_callback)
{
    for (int sim = 0; sim < 2; sim++) {
        struct lutra_loop *loop = loop_of(sim);

        trace[0] = '\0';
        suicidal = lutra_mailbox_new(loop, on_free_cb, NULL);
        lutra_mailbox_post(suicidal, "a");
        lutra_mailbox_post(suicidal, "b");
        lutra_loop_run_for(loop, 5);
        cr_assert_str_eq(trace, "a-b");
        lutra_loop_free(loop);
    }
}

struct text_job {
    struct lutra_job job;
    const char *text;
    pthread_t ran_on;
    sem_t *started, *go;
};

static void run_text(struct lutra_job *job, void *worker_state)
{
    struct text_job *text_job = (struct text_job *)job;

    cr_assert_str_eq(worker_state, "state");
    text_job->ran_on = pthread_self();
    if (text_job->started) {
        sem_post(text_job->started);
        sem_wait(text_job->go);
    }
}

static void done_text(struct lutra_job *job)
{
    note(((struct text_job *)job)->text);
}

static void drop_job(struct lutra_job *job)
{
    note("-");
    note(((struct text_job *)job)->text);
}

static struct text_job job_of(const char *text)
{
    return (struct text_job){.job = {.run = run_text, .done = done_text}, .text = text};
}

static atomic_uint begun, ended;

static void begin_cb(void *worker_state)
{
    cr_assert_str_eq(worker_state, "state");
    begun++;
}

static void end_cb(void *worker_state)
{
    (void)worker_state;
    ended++;
}

static void worker_in_order(bool sim)
{
    struct lutra_loop *loop = loop_of(sim);
    char state[] = "state";
    struct lutra_worker *worker = lutra_worker_new(loop, "test", begin_cb, end_cb, state);
    struct text_job a = job_of("a"), b = job_of("b"), c = job_of("c");

    lutra_worker_submit(worker, &a.job);
    lutra_worker_submit(worker, &b.job);
    lutra_worker_submit(worker, &c.job);
    cr_assert_str_eq(trace, "");
    cr_assert(lutra_loop_run_until(loop, trace_is, "abc", 5000));
    cr_assert_eq((bool)pthread_equal(a.ran_on, pthread_self()), sim);
    cr_assert_eq(begun, 1);
    cr_assert_eq(ended, 0);
    lutra_worker_free(worker, drop_job);
    cr_assert_eq(ended, 1);
    cr_assert_str_eq(trace, "abc");
    lutra_worker_free(NULL, NULL);
    lutra_loop_free(loop);
}

Test(worker, runs_jobs_in_order_on_a_thread)
{
    worker_in_order(false);
}

Test(worker, runs_jobs_inline_on_a_simulated_loop)
{
    worker_in_order(true);
}

struct free_race {
    struct lutra_worker *worker;
    sem_t *go;
};

static void *release_later(void *arg)
{
    struct free_race *race = arg;

    sem_post(race->go);
    return NULL;
}

Test(worker, free_waits_for_the_running_job_and_drops_the_rest)
{
    struct lutra_loop *loop = lutra_loop_new();
    char state[] = "state";
    struct lutra_worker *worker = lutra_worker_new(loop, "test", NULL, end_cb, state);
    struct text_job a = job_of("a"), b = job_of("b");
    sem_t started, go;
    struct free_race race = {.worker = worker, .go = &go};
    pthread_t thread;

    sem_init(&started, 0, 0);
    sem_init(&go, 0, 0);
    a.started = &started;
    a.go = &go;
    lutra_worker_submit(worker, &a.job);
    sem_wait(&started);
    lutra_worker_submit(worker, &b.job);
    cr_assert_eq(pthread_create(&thread, NULL, release_later, &race), 0);
    lutra_worker_free(worker, drop_job);
    pthread_join(thread, NULL);
    cr_assert_eq(ended, 1);
    /* a ran to its end. b may have been begun before the worker was told to stop; no done was
     * delivered. */
    cr_assert_str_eq(trace, "-a-b");
    sem_destroy(&started);
    sem_destroy(&go);
    lutra_loop_free(loop);
}

Test(worker, a_simulated_worker_drops_what_it_did_not_begin)
{
    struct lutra_loop *loop = lutra_loop_new_sim(0);
    char state[] = "state";
    struct lutra_worker *worker = lutra_worker_new(loop, "test", NULL, NULL, state);
    struct text_job a = job_of("a"), b = job_of("b");

    lutra_worker_submit(worker, &a.job);
    lutra_worker_submit(worker, &b.job);
    lutra_worker_free(worker, drop_job);
    cr_assert_str_eq(trace, "-a-b");
    lutra_loop_run(loop);
    cr_assert_str_eq(trace, "-a-b");
    lutra_loop_free(loop);
}

static struct lutra_worker *finished;

static void done_and_free(struct lutra_job *job)
{
    note(((struct text_job *)job)->text);
    lutra_worker_free(finished, drop_job);
}

Test(worker, may_be_freed_in_a_done_callback)
{
    for (int sim = 0; sim < 2; sim++) {
        struct lutra_loop *loop = loop_of(sim);
        char state[] = "state";
        struct text_job a = job_of("a");

        trace[0] = '\0';
        finished = lutra_worker_new(loop, "test", NULL, NULL, state);
        a.job.done = done_and_free;
        lutra_worker_submit(finished, &a.job);
        cr_assert(lutra_loop_run_until(loop, trace_is, "a", 5000));
        lutra_loop_free(loop);
    }
}
