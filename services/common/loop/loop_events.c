/* libevent's part of the real loop: waiting, file descriptors, signals. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/thread.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop_private.h"

struct lutra_io {
    uint32_t magic;
    int fd;
    unsigned want;
    struct lutra_loop *loop;
    void (*fn)(unsigned events, void *arg);
    void *arg;
    struct event event;
};

struct lutra_signal {
    uint32_t magic;
    struct lutra_loop *loop;
    void (*fn)(int signo, void *arg);
    void *arg;
    struct event event;
};

static void on_libevent_log_cb(int severity, const char *msg)
{
    static const enum lutra_log_level levels[] = {
        [EVENT_LOG_DEBUG] = LUTRA_LOG_DEBUG,
        [EVENT_LOG_MSG] = LUTRA_LOG_INFO,
        [EVENT_LOG_WARN] = LUTRA_LOG_WARN,
        [EVENT_LOG_ERR] = LUTRA_LOG_ERROR,
    };

    LUTRA_LOG(severity >= 0 && severity <= EVENT_LOG_ERR ? levels[severity] : LUTRA_LOG_ERROR,
              "loop.libevent", LUTRA_F_STR("message", msg));
}

static void on_libevent_fatal_cb(int err)
{
    LUTRA_ERROR("loop.libevent_fatal", LUTRA_F_I64("code", err));
    lutra_panic(__FILE__, __LINE__, __func__, "libevent cannot go on");
}

static void libevent_setup(void)
{
    event_set_log_callback(on_libevent_log_cb);
    event_set_fatal_callback(on_libevent_fatal_cb);
    LUTRA_ASSERT(evthread_use_pthreads() == 0);
#ifndef NDEBUG
    event_enable_debug_mode();
#endif
}

static void on_wake_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* only ends the wait: the due items are run after it */
}

void lutra_loop_events_init(struct lutra_loop *loop)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, libevent_setup);
    loop->base = event_base_new();
    LUTRA_ASSERT(loop->base);
    loop->wake = evtimer_new(loop->base, on_wake_cb, NULL);
    LUTRA_ASSERT(loop->wake);
}

void lutra_loop_events_fini(struct lutra_loop *loop)
{
    event_free(loop->wake);
    event_base_free(loop->base);
}

void lutra_loop_events_wait(struct lutra_loop *loop, uint64_t wait_us)
{
    const uint64_t longest_us = 3600u * 1000000u;
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

    if (wait_us == 0) {
        flags |= EVLOOP_NONBLOCK;
    } else if (wait_us != UINT64_MAX) {
        struct timeval tv;

        wait_us =
            wait_us < longest_us ? wait_us : longest_us; /* an idle turn an hour costs nothing */
        tv.tv_sec = (time_t)(wait_us / 1000000);
        tv.tv_usec = (suseconds_t)(wait_us % 1000000);
        LUTRA_ASSERT(evtimer_add(loop->wake, &tv) == 0);
    }
    LUTRA_ASSERT(event_base_loop(loop->base, flags) >= 0);
    evtimer_del(loop->wake);
}

static void on_io_cb(evutil_socket_t fd, short what, void *arg)
{
    struct lutra_io *io = arg;
    unsigned events = 0;

    (void)fd;
    LUTRA_ASSERT(io->magic == LUTRA_IO_MAGIC);
    lutra_loop_begin_turn(io->loop);
    if (what & EV_READ) {
        events |= LUTRA_IO_READ;
    }
    if (what & EV_WRITE) {
        events |= LUTRA_IO_WRITE;
    }
    io->fn(events, io->arg); /* may free io */
}

struct lutra_io *
lutra_io_new(struct lutra_loop *loop, int fd, void (*fn)(unsigned events, void *arg), void *arg)
{
    struct lutra_io *io;

    LUTRA_ASSERT(!loop->sim && fd >= 0);
    io = LUTRA_NEW(struct lutra_io);
    io->magic = LUTRA_IO_MAGIC;
    io->fd = fd;
    io->loop = loop;
    io->fn = fn;
    io->arg = arg;
    return io;
}

static void io_disarm(struct lutra_io *io)
{
    if (io->want) {
        event_del(&io->event);
        event_debug_unassign(&io->event);
        io->want = 0;
    }
}

void lutra_io_want(struct lutra_io *io, unsigned events)
{
    short what = EV_PERSIST;

    LUTRA_ASSERT(io->magic == LUTRA_IO_MAGIC);
    if (events == io->want) {
        return;
    }
    io_disarm(io);
    if (events == 0) {
        return;
    }
    if (events & LUTRA_IO_READ) {
        what |= EV_READ;
    }
    if (events & LUTRA_IO_WRITE) {
        what |= EV_WRITE;
    }
    LUTRA_ASSERT(event_assign(&io->event, io->loop->base, io->fd, what, on_io_cb, io) == 0);
    LUTRA_ASSERT(event_add(&io->event, NULL) == 0);
    io->want = events;
}

void lutra_io_free(struct lutra_io *io)
{
    if (io) {
        LUTRA_ASSERT(io->magic == LUTRA_IO_MAGIC);
        io_disarm(io);
        io->magic = 0;
        lutra_free(io);
    }
}

static void on_signal_cb(evutil_socket_t signo, short what, void *arg)
{
    struct lutra_signal *signal = arg;

    (void)what;
    LUTRA_ASSERT(signal->magic == LUTRA_SIGNAL_MAGIC);
    lutra_loop_begin_turn(signal->loop);
    signal->fn((int)signo, signal->arg);
}

struct lutra_signal *
lutra_signal_new(struct lutra_loop *loop, int signo, void (*fn)(int signo, void *arg), void *arg)
{
    struct lutra_signal *signal;

    LUTRA_ASSERT(!loop->sim);
    signal = LUTRA_NEW(struct lutra_signal);
    signal->magic = LUTRA_SIGNAL_MAGIC;
    signal->loop = loop;
    signal->fn = fn;
    signal->arg = arg;
    LUTRA_ASSERT(evsignal_assign(&signal->event, loop->base, signo, on_signal_cb, signal) == 0);
    LUTRA_ASSERT(evsignal_add(&signal->event, NULL) == 0);
    return signal;
}

void lutra_signal_free(struct lutra_signal *signal)
{
    if (signal) {
        LUTRA_ASSERT(signal->magic == LUTRA_SIGNAL_MAGIC);
        evsignal_del(&signal->event);
        event_debug_unassign(&signal->event);
        signal->magic = 0;
        lutra_free(signal);
    }
}
