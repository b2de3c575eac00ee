/* rd_kafka_destroy waits for the handle's threads, and they for requests under way: up to a minute
 * when a broker does not answer. So each handle is destroyed by a thread of its own, which nobody
 * joins; the end of the process waits for them, but not for long. */
#include <pthread.h>
#include <time.h>

#include "base/mem.h"
#include "bus/bus_kafka_impl.h"

struct kafka_reaper {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned running; /* threads */
    bool abandoned;   /* the last thread frees */
};

struct reaping {
    struct kafka_reaper *reaper;
    rd_kafka_t *rk;
};

/* Without leaving the group: who has to leave has done it before. */
static void destroy_handle(rd_kafka_t *rk)
{
    if (rd_kafka_type(rk) == RD_KAFKA_PRODUCER) {
        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                               RD_KAFKA_PURGE_F_NON_BLOCKING);
    }
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void reaper_destroy(struct kafka_reaper *reaper)
{
    pthread_cond_destroy(&reaper->changed);
    pthread_mutex_destroy(&reaper->lock);
    lutra_free(reaper);
}

static void *reaper_thread_main(void *arg)
{
    struct reaping *reaping = arg;
    struct kafka_reaper *reaper = reaping->reaper;
    bool last;

    destroy_handle(reaping->rk);
    lutra_free(reaping);
    pthread_mutex_lock(&reaper->lock);
    reaper->running--;
    last = reaper->abandoned && reaper->running == 0;
    pthread_cond_signal(&reaper->changed);
    pthread_mutex_unlock(&reaper->lock);
    if (last) {
        reaper_destroy(reaper);
    }
    return NULL;
}

struct kafka_reaper *kafka_reaper_new(void)
{
    struct kafka_reaper *reaper = LUTRA_NEW(struct kafka_reaper);
    pthread_condattr_t attr;

    pthread_mutex_init(&reaper->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&reaper->changed, &attr);
    pthread_condattr_destroy(&attr);
    return reaper;
}

void kafka_reaper_take(struct kafka_reaper *reaper, rd_kafka_t *rk)
{
    struct reaping *reaping = LUTRA_NEW(struct reaping);
    pthread_t thread;

    reaping->reaper = reaper;
    reaping->rk = rk;
    pthread_mutex_lock(&reaper->lock);
    reaper->running++;
    pthread_mutex_unlock(&reaper->lock);
    if (pthread_create(&thread, NULL, reaper_thread_main, reaping) != 0) {
        reaper_thread_main(reaping);
        return;
    }
    pthread_detach(thread);
}

void kafka_reaper_free(struct kafka_reaper *reaper, unsigned wait_ms)
{
    struct timespec until;
    bool idle;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&reaper->lock);
    while (reaper->running > 0 && rc == 0) {
        rc = pthread_cond_timedwait(&reaper->changed, &reaper->lock, &until);
    }
    idle = reaper->running == 0;
    reaper->abandoned = !idle;
    pthread_mutex_unlock(&reaper->lock);
    if (idle) {
        reaper_destroy(reaper);
    }
}
