/* librdkafka signals a queue once, when it goes from empty to not empty. So a pump drains until
 * there is nothing more, or schedules itself when its budget for this turn is spent. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "bus/bus_kafka_impl.h"

#define PUMP_BUDGET 64
/* More events than a queue ever holds; a bound for emptying it. */
#define PUMP_PURGE_MAX 1000000

struct kafka_pump {
    rd_kafka_queue_t *queue;
    int fd;
    struct lutra_io *io;
    struct lutra_task *task;
    kafka_event_fn fn;
    void *arg;
    bool paused, running, dead;
};

static void pump_destroy(struct kafka_pump *pump)
{
    rd_kafka_event_t *event;

    if (pump->queue) {
        rd_kafka_queue_io_event_enable(pump->queue, -1, NULL, 0);
        for (int i = 0; i < PUMP_PURGE_MAX && (event = rd_kafka_queue_poll(pump->queue, 0)); i++) {
            rd_kafka_event_destroy(event);
        }
        rd_kafka_queue_destroy(pump->queue);
    }
    lutra_io_free(pump->io);
    lutra_task_free(pump->task);
    close(pump->fd);
    lutra_free(pump);
}

static bool pump_one(struct kafka_pump *pump, int timeout_ms)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(pump->queue, timeout_ms);

    if (!event) {
        return false;
    }
    pump->fn(event, pump->arg);
    rd_kafka_event_destroy(event);
    return true;
}

static void pump_drain(struct kafka_pump *pump)
{
    bool more = true;

    pump->running = true;
    for (int i = 0; i < PUMP_BUDGET && more && !pump->paused && !pump->dead; i++) {
        more = pump_one(pump, 0);
    }
    pump->running = false;
    if (pump->dead) {
        pump_destroy(pump);
    } else if (more && !pump->paused) {
        lutra_task_schedule(pump->task);
    }
}

static void on_task(void *arg)
{
    pump_drain(arg);
}

static void on_io(unsigned events, void *arg)
{
    struct kafka_pump *pump = arg;
    uint64_t count;

    (void)events;
    if (read(pump->fd, &count, sizeof(count)) < 0) {
        return; /* signalled and read meanwhile */
    }
    pump_drain(pump);
}

struct kafka_pump *
kafka_pump_new(struct lutra_loop *loop, kafka_event_fn fn, void *arg, struct lutra_error *err)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct kafka_pump *pump;

    if (fd < 0) {
        lutra_error_set(err, LUTRA_RETRY, errno, "no eventfd: %s", strerror(errno));
        return NULL;
    }
    pump = LUTRA_NEW(struct kafka_pump);
    pump->fn = fn;
    pump->arg = arg;
    pump->fd = fd;
    pump->io = lutra_io_new(loop, fd, on_io, pump);
    pump->task = lutra_task_new(loop, on_task, pump);
    return pump;
}

void kafka_pump_start(struct kafka_pump *pump, rd_kafka_queue_t *queue)
{
    static const uint64_t one = 1;

    pump->queue = queue;
    lutra_io_want(pump->io, LUTRA_IO_READ);
    rd_kafka_queue_io_event_enable(queue, pump->fd, &one, sizeof(one));
    /* What came before gave no signal. */
    lutra_task_schedule(pump->task);
}

void kafka_pump_free(struct kafka_pump *pump)
{
    if (!pump) {
        return;
    }
    if (pump->running) {
        pump->dead = true;
    } else {
        pump_destroy(pump);
    }
}

void kafka_pump_pause(struct kafka_pump *pump, bool paused)
{
    pump->paused = paused;
    if (!paused) {
        lutra_task_schedule(pump->task);
    }
}

void kafka_pump_kick(struct kafka_pump *pump)
{
    lutra_task_schedule(pump->task);
}

void kafka_pump_wait(struct kafka_pump *pump, int timeout_ms)
{
    pump->running = true;
    if (pump_one(pump, timeout_ms)) {
        while (!pump->dead && pump_one(pump, 0)) {
        }
    }
    pump->running = false;
    if (pump->dead) {
        pump_destroy(pump);
    }
}

rd_kafka_queue_t *kafka_pump_queue(struct kafka_pump *pump)
{
    return pump->queue;
}
