#include "loop/loop.h"

#include <errno.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "loop/loop_private.h"

static const int64_t SIM_WALL_START_US = 1700000000000000;
static const uint64_t SIM_START_US =
    1000000; /* not 0: code that takes 0 for "never" would differ */
/* Longer delays are as good as never, and sums with them do not overflow. */
static const uint64_t NEVER_MS = 100ull * 365 * 24 * 3600 * 1000;
/* So many callbacks without virtual time moving is a livelock, which a real clock would hide. */
static const uint64_t SIM_MAX_STEPS_AT_ONCE = 20000000;

struct lutra_task {
    struct lutra_item item;
};

struct lutra_timer {
    struct lutra_item item;
};

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct lutra_loop *loop_new(bool sim, uint64_t seed)
{
    struct lutra_loop *loop = LUTRA_NEW(struct lutra_loop);

    loop->sim = sim;
    loop->seed = loop->rng = seed;
    loop->order_rng = ~seed;
    loop->clock = LUTRA_NEW(struct lutra_loop_clock);
    if (sim) {
        loop->clock->now_us = SIM_START_US;
        loop->clock->wall_us = SIM_WALL_START_US;
    } else {
        lutra_loop_events_init(loop);
    }
    return loop;
}

struct lutra_loop *lutra_loop_new(void)
{
    uint64_t seed = 0;

    while (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        LUTRA_ASSERT(errno == EINTR);
    }
    return loop_new(false, seed);
}

struct lutra_loop *lutra_loop_new_sim(uint64_t seed)
{
    return loop_new(true, seed);
}

void lutra_loop_free(struct lutra_loop *loop)
{
    struct lutra_item *item;

    if (!loop) {
        return;
    }
    LUTRA_ASSERT(!loop->running);
    while ((item = lutra_queue_first(&loop->queue))) {
        lutra_queue_remove(&loop->queue, item);
        if (item->magic == LUTRA_POST_MAGIC) {
            lutra_free(item);
        }
    }
    lutra_queue_fini(&loop->queue);
    if (!loop->sim) {
        lutra_loop_events_fini(loop);
    }
    lutra_free(loop->clock);
    lutra_free(loop);
}

bool lutra_loop_is_sim(const struct lutra_loop *loop)
{
    return loop->sim;
}

struct event_base *lutra_loop_base(struct lutra_loop *loop)
{
    return loop->base;
}

uint64_t lutra_loop_random(struct lutra_loop *loop)
{
    return next_random(&loop->rng);
}

/* --- time --- */

static void read_clock(const struct lutra_loop *loop)
{
    loop->clock->now_us = lutra_clock_now_us();
    loop->clock->wall_us = lutra_clock_wall_us();
}

void lutra_loop_begin_turn(const struct lutra_loop *loop)
{
    if (loop->sim || loop->clock->phase == LUTRA_LOOP_TURN) {
        return;
    }
    read_clock(loop);
    if (loop->clock->phase == LUTRA_LOOP_WAITING) {
        loop->clock->phase = LUTRA_LOOP_TURN;
        atomic_store_explicit(&loop->clock->turn_since_us, loop->clock->now_us,
                              memory_order_relaxed);
    }
}

uint64_t lutra_loop_now_ms(const struct lutra_loop *loop)
{
    lutra_loop_begin_turn(loop);
    return loop->clock->now_us / 1000;
}

int64_t lutra_loop_wall_us(const struct lutra_loop *loop)
{
    lutra_loop_begin_turn(loop);
    return loop->clock->wall_us;
}

static void note_turn_ended(struct lutra_loop *loop, uint64_t since_us)
{
    uint64_t now_us = lutra_clock_now_us(), bucket = now_us / LUTRA_LAG_BUCKET_US;
    uint64_t ms = (now_us - since_us) / 1000;
    _Atomic uint64_t *lag = &loop->clock->lag[bucket % LUTRA_LAG_BUCKETS];
    uint64_t old = atomic_load_explicit(lag, memory_order_relaxed);

    if (ms > UINT32_MAX) {
        ms = UINT32_MAX;
    }
    if (old >> 32 != (bucket & UINT32_MAX) || (old & UINT32_MAX) < ms) {
        atomic_store_explicit(lag, (bucket & UINT32_MAX) << 32 | ms, memory_order_relaxed);
    }
    atomic_store_explicit(&loop->clock->turn_since_us, 0, memory_order_relaxed);
}

uint64_t lutra_loop_longest_turn_ms(const struct lutra_loop *loop)
{
    uint64_t now_us, since_us, bucket, longest = 0;

    if (loop->sim) {
        return 0;
    }
    now_us = lutra_clock_now_us();
    bucket = now_us / LUTRA_LAG_BUCKET_US;
    for (size_t i = 0; i < LUTRA_LAG_BUCKETS; i++) {
        uint64_t lag = atomic_load_explicit(&loop->clock->lag[i], memory_order_relaxed);

        if (((bucket - (lag >> 32)) & UINT32_MAX) < LUTRA_LAG_BUCKETS &&
            (lag & UINT32_MAX) > longest) {
            longest = lag & UINT32_MAX;
        }
    }
    since_us = atomic_load_explicit(&loop->clock->turn_since_us, memory_order_relaxed);
    if (since_us > 0 && now_us > since_us && (now_us - since_us) / 1000 > longest) {
        longest = (now_us - since_us) / 1000; /* the running turn, which may never end */
    }
    return longest;
}

/* --- running --- */

static void run_item(struct lutra_loop *loop, struct lutra_item *item)
{
    void (*fn)(void *arg) = item->fn;
    void *arg = item->arg;

    lutra_queue_remove(&loop->queue, item);
    if (item->magic == LUTRA_POST_MAGIC) {
        lutra_free(item);
    } else {
        LUTRA_ASSERT(item->magic == LUTRA_TASK_MAGIC || item->magic == LUTRA_TIMER_MAGIC);
    }
    fn(arg); /* may free the item */
}

/* One turn of a simulated loop is one callback. false: nothing is due up to limit_us, which it is
 * now. */
static bool sim_turn(struct lutra_loop *loop, uint64_t limit_us, uint64_t *steps)
{
    struct lutra_item *item = lutra_queue_first(&loop->queue);
    uint64_t to_us = item && item->due_us <= limit_us ? item->due_us : limit_us;

    if (to_us != UINT64_MAX && to_us > loop->clock->now_us) {
        loop->clock->wall_us += (int64_t)(to_us - loop->clock->now_us);
        loop->clock->now_us = to_us;
        *steps = 0;
    }
    if (!item || item->due_us > limit_us) {
        return false;
    }
    LUTRA_ASSERT(++*steps < SIM_MAX_STEPS_AT_ONCE);
    run_item(loop, item);
    return true;
}

/* false: limit_us is reached. What is queued during a turn runs in a later one. */
static bool real_turn(struct lutra_loop *loop, uint64_t limit_us)
{
    struct lutra_item *item = lutra_queue_first(&loop->queue);
    uint64_t now_us = lutra_clock_now_us();
    uint64_t until_us = item && item->due_us < limit_us ? item->due_us : limit_us;
    uint64_t last_seq;

    loop->clock->phase = LUTRA_LOOP_WAITING;
    lutra_loop_events_wait(loop, until_us == UINT64_MAX ? UINT64_MAX
                                 : until_us > now_us    ? until_us - now_us
                                                        : 0);
    lutra_loop_begin_turn(loop);
    now_us = loop->clock->now_us;
    last_seq = loop->queue.seq;
    while ((item = lutra_queue_first(&loop->queue)) && item->due_us <= now_us &&
           item->seq <= last_seq) {
        run_item(loop, item);
    }
    note_turn_ended(loop, now_us);
    return now_us < limit_us;
}

/* Until stop, done or limit_us. A stop that came before is not lost; it ends one run. */
static void run(struct lutra_loop *loop, bool (*done)(void *arg), void *arg, uint64_t limit_us)
{
    uint64_t steps = 0;

    LUTRA_ASSERT(!loop->running);
    loop->running = true;
    while (!loop->stop && !(done && done(arg))) {
        if (loop->sim ? !sim_turn(loop, limit_us, &steps) : !real_turn(loop, limit_us)) {
            break;
        }
    }
    loop->stop = false;
    loop->running = false;
    loop->clock->phase = LUTRA_LOOP_OUTSIDE;
}

void lutra_loop_run(struct lutra_loop *loop)
{
    run(loop, NULL, NULL, UINT64_MAX);
}

void lutra_loop_stop(struct lutra_loop *loop)
{
    loop->stop = true;
}

static uint64_t limit_of(const struct lutra_loop *loop, uint64_t ms)
{
    lutra_loop_begin_turn(loop);
    return loop->clock->now_us + (ms < NEVER_MS ? ms : NEVER_MS) * 1000;
}

bool lutra_loop_run_until(struct lutra_loop *loop,
                          bool (*done)(void *arg),
                          void *arg,
                          uint64_t timeout_ms)
{
    run(loop, done, arg, limit_of(loop, timeout_ms));
    return done(arg);
}

void lutra_loop_run_for(struct lutra_loop *loop, uint64_t ms)
{
    run(loop, NULL, NULL, limit_of(loop, ms));
}

/* --- tasks and timers --- */

static void item_init(struct lutra_item *item,
                      uint32_t magic,
                      struct lutra_loop *loop,
                      void (*fn)(void *arg),
                      void *arg)
{
    *item = (struct lutra_item){.magic = magic, .loop = loop, .fn = fn, .arg = arg};
}

static void item_queue(struct lutra_item *item, uint64_t due_us)
{
    struct lutra_loop *loop = item->loop;

    item->due_us = due_us;
    item->draw = loop->sim && loop->seed ? next_random(&loop->order_rng) : 0;
    lutra_queue_push(&loop->queue, item);
}

/* Due at the time of the turn: a task never comes before an item that was due earlier. */
static void item_queue_now(struct lutra_item *item)
{
    lutra_loop_begin_turn(item->loop);
    item_queue(item, item->loop->clock->now_us);
}

static void item_fini(struct lutra_item *item)
{
    if (item->slot != 0) {
        lutra_queue_remove(&item->loop->queue, item);
    }
    item->magic = 0;
}

struct lutra_task *lutra_task_new(struct lutra_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct lutra_task *task = LUTRA_NEW(struct lutra_task);

    item_init(&task->item, LUTRA_TASK_MAGIC, loop, fn, arg);
    return task;
}

void lutra_task_free(struct lutra_task *task)
{
    if (task) {
        LUTRA_ASSERT(task->item.magic == LUTRA_TASK_MAGIC);
        item_fini(&task->item);
        lutra_free(task);
    }
}

void lutra_task_schedule(struct lutra_task *task)
{
    LUTRA_ASSERT(task->item.magic == LUTRA_TASK_MAGIC);
    if (task->item.slot == 0) {
        item_queue_now(&task->item);
    }
}

void lutra_task_cancel(struct lutra_task *task)
{
    lutra_queue_remove(&task->item.loop->queue, &task->item);
}

void lutra_loop_post(struct lutra_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct lutra_item *item = LUTRA_NEW(struct lutra_item);

    item_init(item, LUTRA_POST_MAGIC, loop, fn, arg);
    item_queue_now(item);
}

struct lutra_timer *lutra_timer_new(struct lutra_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct lutra_timer *timer = LUTRA_NEW(struct lutra_timer);

    item_init(&timer->item, LUTRA_TIMER_MAGIC, loop, fn, arg);
    return timer;
}

void lutra_timer_free(struct lutra_timer *timer)
{
    if (timer) {
        LUTRA_ASSERT(timer->item.magic == LUTRA_TIMER_MAGIC);
        item_fini(&timer->item);
        lutra_free(timer);
    }
}

void lutra_timer_start(struct lutra_timer *timer, uint64_t delay_ms)
{
    struct lutra_loop *loop = timer->item.loop;
    uint64_t now_us;

    LUTRA_ASSERT(timer->item.magic == LUTRA_TIMER_MAGIC);
    lutra_queue_remove(&loop->queue, &timer->item);
    /* The true time, not the turn's: a slow turn must not make the time-outs it starts fire early.
     */
    now_us = loop->sim ? loop->clock->now_us : lutra_clock_now_us();
    item_queue(&timer->item, now_us + (delay_ms < NEVER_MS ? delay_ms : NEVER_MS) * 1000);
}

void lutra_timer_stop(struct lutra_timer *timer)
{
    lutra_queue_remove(&timer->item.loop->queue, &timer->item);
}

bool lutra_timer_active(const struct lutra_timer *timer)
{
    return timer->item.slot != 0;
}

/* --- back-off --- */

uint64_t lutra_backoff_next_ms(struct lutra_backoff *backoff, struct lutra_loop *loop)
{
    uint64_t ms = backoff->min_ms ? backoff->min_ms : 1;

    for (unsigned i = 0; i < backoff->attempt && ms < backoff->max_ms; i++) {
        ms = ms > UINT64_MAX / 4 ? UINT64_MAX / 2 : ms * 2;
    }
    if (ms > backoff->max_ms && backoff->max_ms > 0) {
        ms = backoff->max_ms;
    }
    if (backoff->attempt < 64) {
        backoff->attempt++;
    }
    return ms - ms / 4 + lutra_loop_random(loop) % (ms / 2 + 1);
}

void lutra_backoff_reset(struct lutra_backoff *backoff)
{
    backoff->attempt = 0;
}
