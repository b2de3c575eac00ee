#include <criterion/criterion.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/loop.h"

static char trace[256];

static void note(void *arg)
{
    strncat(trace, arg, 1);
}

static bool trace_is(void *arg)
{
    return strcmp(trace, arg) == 0;
}

Test(real, timers_fire_in_order_and_never_early)
{
    struct lutra_loop *loop = lutra_loop_new();
    struct lutra_timer *a = lutra_timer_new(loop, note, "a");
    struct lutra_timer *b = lutra_timer_new(loop, note, "b");
    uint64_t start_us = lutra_clock_now_us();

    lutra_timer_start(a, 20);
    lutra_timer_start(b, 5);
    cr_assert(lutra_loop_run_until(loop, trace_is, "ba", 5000));
    cr_assert_geq(lutra_clock_now_us() - start_us, 20000);
    cr_assert_not_null(lutra_loop_base(loop));
    lutra_timer_free(a);
    lutra_timer_free(b);
    lutra_loop_free(loop);
}

Test(real, run_for_lasts_so_long)
{
    struct lutra_loop *loop = lutra_loop_new();
    uint64_t start_us = lutra_clock_now_us();

    lutra_loop_run_for(loop, 15);
    cr_assert_geq(lutra_clock_now_us() - start_us, 15000);
    lutra_loop_free(loop);
}

struct chain {
    struct lutra_loop *loop;
    struct lutra_task *task;
    unsigned runs;
};

static void reschedule_cb(void *arg)
{
    struct chain *chain = arg;

    chain->runs++;
    lutra_task_schedule(chain->task);
}

static void stop_cb(void *arg)
{
    lutra_loop_stop(arg);
}

Test(real, a_task_that_schedules_itself_does_not_starve_timers)
{
    struct chain chain = {.loop = lutra_loop_new()};
    struct lutra_timer *timer = lutra_timer_new(chain.loop, stop_cb, chain.loop);

    chain.task = lutra_task_new(chain.loop, reschedule_cb, &chain);
    lutra_task_schedule(chain.task);
    lutra_timer_start(timer, 5);
    lutra_loop_run(chain.loop);
    cr_assert_gt(chain.runs, 1);
    lutra_task_free(chain.task);
    lutra_timer_free(timer);
    lutra_loop_free(chain.loop);
}

Test(real, posts_run_in_order)
{
    struct lutra_loop *loop = lutra_loop_new();

    lutra_loop_post(loop, note, "a");
    lutra_loop_post(loop, note, "b");
    lutra_loop_post(loop, note, "c");
    cr_assert(lutra_loop_run_until(loop, trace_is, "abc", 5000));
    lutra_loop_free(loop);
}

struct end {
    int fd;
    struct lutra_io *io;
    unsigned reads, writes;
    char got[16];
};

static void on_end_cb(unsigned events, void *arg)
{
    struct end *end = arg;

    if (events & LUTRA_IO_READ) {
        ssize_t n = read(end->fd, end->got, sizeof(end->got) - 1);

        cr_assert_geq(n, 0);
        end->reads++;
    }
    if (events & LUTRA_IO_WRITE) {
        end->writes++;
        lutra_io_want(end->io, LUTRA_IO_READ);
    }
}

static bool end_has_both(void *arg)
{
    struct end *end = arg;

    return end->reads > 0 && end->writes > 0;
}

Test(real, a_file_descriptor_tells_what_is_wanted_only)
{
    struct lutra_loop *loop = lutra_loop_new();
    struct end end = {0};
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    end.fd = fds[0];
    end.io = lutra_io_new(loop, fds[0], on_end_cb, &end);
    cr_assert_eq(write(fds[1], "hey", 4), 4);
    lutra_loop_run_for(loop, 5);
    cr_assert_eq(end.reads + end.writes, 0);
    lutra_io_want(end.io, LUTRA_IO_READ | LUTRA_IO_WRITE);
    cr_assert(lutra_loop_run_until(loop, end_has_both, &end, 5000));
    cr_assert_str_eq(end.got, "hey");
    lutra_loop_run_for(loop, 5);
    cr_assert_eq(end.writes, 1, "writing is no longer wanted");
    lutra_io_want(end.io, 0);
    cr_assert_eq(write(fds[1], "x", 2), 2);
    lutra_loop_run_for(loop, 5);
    cr_assert_eq(end.reads, 1);
    lutra_io_want(end.io, LUTRA_IO_READ);
    lutra_loop_run_for(loop, 5);
    cr_assert_eq(end.reads, 2);
    lutra_io_free(end.io);
    lutra_io_free(NULL);
    close(fds[0]);
    close(fds[1]);
    lutra_loop_free(loop);
}

static void on_end_free_cb(unsigned events, void *arg)
{
    struct end *end = arg;

    (void)events;
    lutra_io_free(end->io);
    end->reads++;
}

static bool end_has_read(void *arg)
{
    return ((struct end *)arg)->reads > 0;
}

Test(real, io_may_be_freed_in_its_own_callback)
{
    struct lutra_loop *loop = lutra_loop_new();
    struct end end = {0};
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    end.io = lutra_io_new(loop, fds[0], on_end_free_cb, &end);
    lutra_io_want(end.io, LUTRA_IO_WRITE);
    cr_assert(lutra_loop_run_until(loop, end_has_read, &end, 5000));
    lutra_loop_run_for(loop, 5);
    cr_assert_eq(end.reads, 1);
    close(fds[0]);
    close(fds[1]);
    lutra_loop_free(loop);
}

static void on_usr1_cb(int signo, void *arg)
{
    cr_assert_eq(signo, SIGUSR1);
    note(arg);
}

Test(real, a_signal_is_a_callback)
{
    struct lutra_loop *loop = lutra_loop_new();
    struct lutra_signal *usr1 = lutra_signal_new(loop, SIGUSR1, on_usr1_cb, "s");

    kill(getpid(), SIGUSR1);
    cr_assert(lutra_loop_run_until(loop, trace_is, "s", 5000));
    lutra_signal_free(usr1);
    lutra_signal_free(NULL);
    lutra_loop_free(loop);
}

static void slow_cb(void *arg)
{
    struct lutra_loop *loop = arg;
    uint64_t start_us = lutra_clock_now_us(), turn_ms = lutra_loop_now_ms(loop);

    while (lutra_clock_now_us() - start_us < 30000) {
    }
    cr_assert_eq(lutra_loop_now_ms(loop), turn_ms, "time is read once per turn");
    cr_assert_geq(lutra_loop_longest_turn_ms(loop), 29, "the running turn counts");
}

Test(real, the_longest_turn_is_known)
{
    struct lutra_loop *loop = lutra_loop_new();

    cr_assert_eq(lutra_loop_longest_turn_ms(loop), 0);
    lutra_loop_post(loop, slow_cb, loop);
    lutra_loop_run_for(loop, 40);
    cr_assert_geq(lutra_loop_longest_turn_ms(loop), 29);
    lutra_loop_free(loop);
}

static void on_event_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    note(arg);
}

Test(real, events_of_libevent_itself_run_too)
{
    struct lutra_loop *loop = lutra_loop_new();
    const struct timeval tv = {.tv_usec = 3000};

    cr_assert_eq(event_base_once(lutra_loop_base(loop), -1, EV_TIMEOUT, on_event_cb, "e", &tv), 0);
    cr_assert(lutra_loop_run_until(loop, trace_is, "e", 5000));
    lutra_loop_free(loop);
}

Test(real, random_numbers_differ_between_loops)
{
    struct lutra_loop *a = lutra_loop_new(), *b = lutra_loop_new();

    cr_assert_neq(lutra_loop_random(a), lutra_loop_random(b));
    lutra_loop_free(a);
    lutra_loop_free(b);
}
