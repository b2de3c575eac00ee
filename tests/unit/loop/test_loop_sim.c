#include <criterion/criterion.h>
#include <string.h>

#include "loop/loop.h"

/* What ran, as letters. */
static char trace[1024];

static void note(void *arg)
{
    strncat(trace, arg, 1);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

Test(sim, time_jumps_to_the_next_timer)
{
    struct lutra_loop *loop = lutra_loop_new_sim(0);
    struct lutra_timer *a = lutra_timer_new(loop, note, "a");
    struct lutra_timer *b = lutra_timer_new(loop, note, "b");
    uint64_t start_ms = lutra_loop_now_ms(loop);

    cr_assert_eq(lutra_loop_wall_us(loop), 1700000000000000);
    lutra_timer_start(a, 3600000);
    lutra_timer_start(b, 10);
    cr_assert(lutra_timer_active(a));
    lutra_loop_run(loop);
    cr_assert_str_eq(trace, "ba");
    cr_assert_not(lutra_timer_active(a));
    cr_assert_eq(lutra_loop_now_ms(loop) - start_ms, 3600000);
    cr_assert_eq(lutra_loop_wall_us(loop), 1700003600000000);
    cr_assert_null(lutra_loop_base(loop));
    cr_assert(lutra_loop_is_sim(loop));
    lutra_timer_free(a);
    lutra_timer_free(b);
    lutra_loop_free(loop);
}

Test(sim, run_for_runs_what_is_due_within_and_stops_there)
{
    struct lutra_loop *loop = lutra_loop_new_sim(5);
    struct lutra_timer *a = lutra_timer_new(loop, note, "a");
    struct lutra_timer *b = lutra_timer_new(loop, note, "b");
    uint64_t start_ms = lutra_loop_now_ms(loop);

    lutra_timer_start(a, 100);
    lutra_timer_start(b, 101);
    lutra_loop_run_for(loop, 100);
    cr_assert_str_eq(trace, "a");
    cr_assert_eq(lutra_loop_now_ms(loop) - start_ms, 100);
    lutra_loop_run_for(loop, 1);
    cr_assert_str_eq(trace, "ab");
    lutra_timer_free(a);
    lutra_timer_free(b);
    lutra_loop_free(loop);
}

Test(sim, restart_replaces_the_delay_and_stop_cancels)
{
    struct lutra_loop *loop = lutra_loop_new_sim(0);
    struct lutra_timer *a = lutra_timer_new(loop, note, "a");
    struct lutra_timer *b = lutra_timer_new(loop, note, "b");

    lutra_timer_start(a, 10);
    lutra_timer_start(a, 30);
    lutra_timer_start(b, 20);
    lutra_loop_run_for(loop, 29);
    cr_assert_str_eq(trace, "b");
    lutra_timer_stop(a);
    lutra_timer_stop(a);
    lutra_loop_run_for(loop, 100);
    cr_assert_str_eq(trace, "b");
    lutra_timer_start(a, UINT64_MAX);
    lutra_loop_run_for(loop, 1000);
    cr_assert(lutra_timer_active(a));
    lutra_timer_free(a);
    lutra_timer_free(b);
    lutra_timer_free(NULL);
    lutra_loop_free(loop);
}

Test(sim, a_task_scheduled_twice_runs_once_and_can_be_cancelled)
{
    struct lutra_loop *loop = lutra_loop_new_sim(0);
    struct lutra_task *a = lutra_task_new(loop, note, "a");
    struct lutra_task *b = lutra_task_new(loop, note, "b");

    lutra_task_schedule(a);
    lutra_task_schedule(a);
    lutra_task_schedule(b);
    lutra_task_cancel(b);
    lutra_loop_run(loop);
    cr_assert_str_eq(trace, "a");
    lutra_task_schedule(a);
    lutra_loop_run(loop);
    cr_assert_str_eq(trace, "aa");
    lutra_task_free(a);
    lutra_task_free(b);
    lutra_loop_free(loop);
}

struct self_freeing {
    struct lutra_task *task;
    struct lutra_timer *timer;
    unsigned ran;
};

static void free_task_cb(void *arg)
{
    struct self_freeing *self = arg;

    lutra_task_schedule(self->task); /* and not run again */
    lutra_task_free(self->task);
    self->ran++;
}

static void free_timer_cb(void *arg)
{
    struct self_freeing *self = arg;

    lutra_timer_start(self->timer, 0);
    lutra_timer_free(self->timer);
    self->ran++;
}

Test(sim, a_task_and_a_timer_may_free_themselves)
{
    struct lutra_loop *loop = lutra_loop_new_sim(3);
    struct self_freeing self = {0};

    self.task = lutra_task_new(loop, free_task_cb, &self);
    self.timer = lutra_timer_new(loop, free_timer_cb, &self);
    lutra_task_schedule(self.task);
    lutra_timer_start(self.timer, 5);
    lutra_loop_run(loop);
    cr_assert_eq(self.ran, 2);
    lutra_loop_free(loop);
}

static void order_of(uint64_t seed, char out[32])
{
    static char letters[] = "abcdefghijklmnop";
    struct lutra_loop *loop = lutra_loop_new_sim(seed);

    trace[0] = '\0';
    for (size_t i = 0; i < 16; i++) {
        lutra_loop_post(loop, note, &letters[i]);
    }
    lutra_loop_run(loop);
    strcpy(out, trace);
    lutra_loop_free(loop);
}

Test(sim, the_seed_alone_decides_the_order_of_what_is_due_at_once)
{
    char fifo[32], one[32], again[32], two[32];

    order_of(0, fifo);
    order_of(1, one);
    order_of(1, again);
    order_of(2, two);
    cr_assert_str_eq(fifo, "abcdefghijklmnop");
    cr_assert_str_eq(one, again);
    cr_assert_str_neq(one, fifo);
    cr_assert_str_neq(one, two);
    cr_assert_eq(strlen(one), 16);
}

static uint64_t reached;

static bool reached_3(void *arg)
{
    (void)arg;
    return reached >= 3;
}

struct ticker {
    struct lutra_timer *timer;
};

static void tick_cb(void *arg)
{
    struct ticker *ticker = arg;

    reached++;
    lutra_timer_start(ticker->timer, 100);
}

Test(sim, run_until_ends_with_the_condition_or_the_deadline)
{
    struct lutra_loop *loop = lutra_loop_new_sim(9);
    struct ticker ticker;
    uint64_t start_ms = lutra_loop_now_ms(loop);

    ticker.timer = lutra_timer_new(loop, tick_cb, &ticker);
    lutra_timer_start(ticker.timer, 100);
    cr_assert(lutra_loop_run_until(loop, reached_3, NULL, 1000));
    cr_assert_eq(lutra_loop_now_ms(loop) - start_ms, 300);
    cr_assert_not(lutra_loop_run_until(loop, never, NULL, 1000));
    cr_assert_eq(lutra_loop_now_ms(loop) - start_ms, 1300);
    cr_assert_eq(reached, 13);
    lutra_timer_free(ticker.timer);
    lutra_loop_free(loop);
}

static void stop_cb(void *arg)
{
    lutra_loop_stop(arg);
}

Test(sim, stop_ends_the_run_and_a_stop_before_it_is_not_lost)
{
    struct lutra_loop *loop = lutra_loop_new_sim(0);

    lutra_loop_post(loop, stop_cb, loop);
    lutra_loop_post(loop, note, "a");
    lutra_loop_run(loop);
    cr_assert_str_eq(trace, "");
    lutra_loop_run(loop);
    cr_assert_str_eq(trace, "a");
    lutra_loop_stop(loop);
    lutra_loop_post(loop, note, "b");
    lutra_loop_run(loop);
    cr_assert_str_eq(trace, "a");
    lutra_loop_free(loop); /* frees the post that did not run */
}

Test(sim, many_timers_fire_in_order_of_time)
{
    enum { N = 500 };
    struct lutra_loop *loop = lutra_loop_new_sim(0);
    struct lutra_timer *timers[N];
    unsigned fired = 0;

    for (size_t i = 0; i < N; i++) {
        timers[i] = lutra_timer_new(loop, note, "x");
        lutra_timer_start(timers[i], lutra_loop_random(loop) % 1000);
    }
    for (size_t i = 0; i < N; i += 3) {
        lutra_timer_stop(timers[i]);
    }
    for (unsigned ms = 0; ms < 1000; ms++) {
        unsigned active = 0;

        trace[0] = '\0';
        lutra_loop_run_for(loop, 1);
        fired += (unsigned)strlen(trace);
        for (size_t i = 0; i < N; i++) {
            active += lutra_timer_active(timers[i]);
        }
        cr_assert_eq(active + fired, N - (N + 2) / 3);
    }
    cr_assert_eq(fired, N - (N + 2) / 3);
    for (size_t i = 0; i < N; i++) {
        lutra_timer_free(timers[i]);
    }
    lutra_loop_free(loop);
}

Test(backoff, doubles_up_to_the_maximum_with_a_quarter_of_jitter)
{
    struct lutra_loop *loop = lutra_loop_new_sim(4);
    struct lutra_backoff backoff = {.min_ms = 100, .max_ms = 1000};
    const uint64_t want[] = {100, 200, 400, 800, 1000, 1000};

    for (size_t i = 0; i < 6; i++) {
        uint64_t ms = lutra_backoff_next_ms(&backoff, loop);

        cr_assert_geq(ms, want[i] * 3 / 4);
        cr_assert_leq(ms, want[i] * 5 / 4);
    }
    for (unsigned i = 0; i < 200; i++) {
        cr_assert_leq(lutra_backoff_next_ms(&backoff, loop), 1250);
    }
    lutra_backoff_reset(&backoff);
    cr_assert_leq(lutra_backoff_next_ms(&backoff, loop), 125);
    lutra_loop_free(loop);
}
