#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon_private.h"

struct lutra_watchdog {
    struct lutra_loop *loop;
    struct lutra_timer *stamp_timer;
    _Atomic uint64_t stamp; /* grows while the loop turns */
    unsigned tick_ms;
    uint64_t warn_ms, abort_ms; /* abort_ms 0: never */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping; /* @locks lock */
};

static void stamp_cb(void *arg)
{
    struct lutra_watchdog *watchdog = arg;

    atomic_fetch_add(&watchdog->stamp, 1);
    lutra_timer_start(watchdog->stamp_timer, watchdog->tick_ms / 2);
}

/* One tick of the thread; true when the watchdog is being stopped. @thread watchdog */
static bool sleep_tick(struct lutra_watchdog *watchdog)
{
    struct timespec until;
    bool stopping;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(watchdog->tick_ms % 1000) * 1000000;
    until.tv_sec += (time_t)(watchdog->tick_ms / 1000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->stopping &&
           pthread_cond_timedwait(&watchdog->wake, &watchdog->lock, &until) == 0) {
    }
    stopping = watchdog->stopping;
    pthread_mutex_unlock(&watchdog->lock);
    return stopping;
}

static void *watchdog_thread_main(void *arg)
{
    struct lutra_watchdog *watchdog = arg;
    uint64_t seen = atomic_load(&watchdog->stamp);
    uint64_t still_ms = 0;
    bool told = false;

    while (!sleep_tick(watchdog)) {
        uint64_t stamp = atomic_load(&watchdog->stamp);

        if (stamp != seen) {
            if (told) {
                LUTRA_WARN("daemon.loop_resumed", LUTRA_F_U64("still_ms", still_ms));
            }
            seen = stamp;
            still_ms = 0;
            told = false;
            continue;
        }
        still_ms += watchdog->tick_ms;
        if (still_ms >= watchdog->warn_ms && !told) {
            told = true;
            LUTRA_ERROR("daemon.loop_stalled", LUTRA_F_U64("still_ms", still_ms),
                        LUTRA_F_U64("abort_ms", watchdog->abort_ms));
        }
        if (watchdog->abort_ms != 0 && still_ms >= watchdog->abort_ms) {
            LUTRA_ERROR("daemon.loop_hung", LUTRA_F_U64("still_ms", still_ms));
            abort();
        }
    }
    return NULL;
}

struct lutra_watchdog *
lutra_watchdog_new(struct lutra_loop *loop, unsigned tick_ms, uint64_t warn_ms, uint64_t abort_ms)
{
    struct lutra_watchdog *watchdog = LUTRA_NEW(struct lutra_watchdog);
    pthread_condattr_t attr;

    watchdog->loop = loop;
    watchdog->tick_ms = tick_ms;
    watchdog->warn_ms = warn_ms;
    watchdog->abort_ms = abort_ms;
    watchdog->stamp_timer = lutra_timer_new(loop, stamp_cb, watchdog);
    lutra_timer_start(watchdog->stamp_timer, 0);
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->wake, &attr);
    pthread_condattr_destroy(&attr);
    LUTRA_ASSERT(pthread_create(&watchdog->thread, NULL, watchdog_thread_main, watchdog) == 0);
    return watchdog;
}

void lutra_watchdog_free(struct lutra_watchdog *watchdog)
{
    if (watchdog == NULL) {
        return;
    }
    pthread_mutex_lock(&watchdog->lock);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->lock);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->wake);
    pthread_mutex_destroy(&watchdog->lock);
    lutra_timer_free(watchdog->stamp_timer);
    lutra_free(watchdog);
}
