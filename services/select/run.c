/* A run: everything that belongs to one epoch, and its way to the stream. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/wire.h"
#include "select/pipeline.h"

enum {
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 2000,
    WATCH_MS = 1000,
    TERMIN_MAX_BYTES = 4 << 20,
};

/* ---- termin ---- */

/* load says it again, and more, within a second. */
static void refused(struct sel_pipeline *p, const struct lutra_error *err)
{
    LUTRA_WARN("select.termin_refused", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(err));
    lutra_unusable_count(&p->refused, p->select->env->loop);
}

static void take_termin(struct sel_run *run, const uint8_t *payload, size_t len)
{
    struct sel_pipeline *p = run->p;
    struct lutra_error err;
    Lutra__Termin *termin;
    lutra_arena_reset(run->arena);
    termin = lutra_wire_termin(run->arena, payload, len, &err);
    if (!termin) {
        refused(p, &err);
        return;
    }
    /* The envelope was looked at already; a payload that says something else is nobody's. */
    if (strcmp(termin->pipeline, p->id) != 0 || termin->epoch != run->origin.epoch ||
        strcmp(termin->nonce, run->origin.nonce) != 0) {
        (void)lutra_error_set(&err, LUTRA_DATA, 0, "it says something else than its headers");
        refused(p, &err);
        return;
    }
    if (LUTRA_FAULT("select.termin")) {
        return; /* as though it had not come: the next one says the same and more */
    }
    if (!sel_window_termin(run->window, termin->consumed_process_id, termin->applied_process_id)) {
        (void)lutra_error_set(&err, LUTRA_DATA, 0, "of process %" PRIu64 ", never published",
                              termin->consumed_process_id);
        refused(p, &err);
    }
    (void)LUTRA_FAULT("select.credited");
}

static void on_message(const struct lutra_bus_message *message, void *arg)
{
    struct sel_run *run = arg;
    struct lutra_envelope envelope;
    struct lutra_error err;
    const uint8_t *payload;
    size_t len;
    int rc;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    lutra_bus_reader_commit(run->termin, message->offset + 1);
    (void)LUTRA_FAULT("select.offset_committed");
    if (lutra_envelope_parse(message, &envelope, &err)) {
        refused(run->p, &err);
        return;
    }
    if (envelope.epoch != run->origin.epoch || strcmp(envelope.nonce, run->origin.nonce) != 0) {
        lutra_counter_add(run->p->c_foreign, 1);
        return;
    }
    rc = lutra_assembler_feed(run->assembler, message, &envelope, &payload, &len, &err);
    if (rc < 0) {
        refused(run->p, &err);
    } else if (rc == 1) {
        take_termin(run, payload, len);
    }
}

static void on_reader_start(int64_t offset, void *arg)
{
    struct sel_run *run = arg;
    (void)offset;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    if (run->p->state == SEL_TOPICS) {
        sel_stream_check(run);
    }
}

/* ---- topics ---- */

static void bus_trouble(struct sel_run *run, const struct lutra_error *err)
{
    uint64_t delay_ms;
    if (err->class != LUTRA_RETRY) {
        sel_failed(run, err);
        return;
    }
    delay_ms = lutra_backoff_next_ms(&run->backoff, run->p->select->env->loop);
    LUTRA_WARN("select.retry", LUTRA_F_STR("pipeline", run->p->id), LUTRA_F_U64("in_ms", delay_ms),
               LUTRA_F_ERR(err));
    sel_set_state(run->p, SEL_TOPICS, err->msg);
    lutra_timer_start(run->again, delay_ms);
}

/* Credit does not come: perhaps because somebody deleted a topic. What was in it is read again, and
 * the topic made again, by the epoch that a RESTART begins. */
static void on_watch(void *arg)
{
    static const char *const stages[] = {"extract", "transform", "load", "termin"};
    struct sel_run *run = arg;
    struct sel_window_stats stats;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    lutra_timer_start(run->watch, WATCH_MS);
    sel_window_stats(run->window, &stats);
    bool still = stats.in_flight > 0 && stats.consumed == run->watched_consumed;
    run->watched_consumed = stats.consumed;
    if (!still || run->p->state == SEL_TOPICS || run->p->state == SEL_HALTED) {
        return;
    }
    for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
        char topic[80], reason[160];
        (void)lutra_topic_name(run->p->id, stages[i], topic);
        struct lutra_bus *bus =
            strcmp(stages[i], "load") == 0 ? run->buses.target : run->buses.source;
        if (lutra_bus_partitions(bus, topic) == 0) {
            (void)snprintf(reason, sizeof(reason), "topic %s is gone", topic);
            sel_topics_forget(run->p);
            sel_halt(run, LUTRA_REQUEST_RESTART, false, reason);
            return;
        }
    }
}

/* Only what load says from now on matters: it is cumulative, and told again every second. */
static void on_warm(const struct lutra_error *err, void *arg)
{
    static const struct lutra_bus_reader_handler handler = {.on_message = on_message,
                                                            .on_start = on_reader_start};
    struct sel_run *run = arg;
    char topic[80];
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    if (run->p->state != SEL_TOPICS) {
        return;
    }
    if (err) {
        struct lutra_error named = *err;
        (void)lutra_error_wrap(&named, "bus %s", run->def->source_bus);
        bus_trouble(run, &named);
        return;
    }
    lutra_backoff_reset(&run->backoff);
    lutra_timer_start(run->watch, WATCH_MS);
    run->termin = lutra_bus_reader_new(run->buses.source, "lutra-select",
                                       lutra_topic_name(run->p->id, "termin", topic), 0,
                                       LUTRA_BUS_START_END, &handler, run);
}

void sel_run_topics(struct sel_run *run)
{
    struct sel_topics *topics = &run->p->topics;
    char topic[80];
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    if (topics->state == SEL_TOPICS_FAILED) {
        bus_trouble(run, &topics->err);
    } else if (topics->state == SEL_TOPICS_THERE) {
        lutra_bus_warm_up(run->buses.source, lutra_topic_name(run->p->id, "extract", topic),
                          on_warm, run);
    }
}

void sel_run_start(struct sel_run *run)
{
    sel_set_state(run->p, SEL_TOPICS, "");
    sel_stall_step(run);
    sel_topics_want(run->p);
    sel_run_topics(run);
}

/* ---- life ---- */

static void on_again(void *arg)
{
    struct sel_run *run = arg;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    if (run->p->state == SEL_TOPICS) {
        sel_run_start(run);
    } else if (run->p->state == SEL_BACKOFF) {
        sel_stream_check(run);
    }
}

static void on_due(void *arg)
{
    struct sel_run *run = arg;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    sel_stream_pump(run);
}

static void on_window_changed(void *arg)
{
    struct sel_run *run = arg;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    sel_stream_pump(run);
    if (!sel_should_contend(run->p)) {
        /* Perhaps the last one that was in flight. Later, since that frees the window. */
        lutra_task_schedule(run->p->reconcile);
    }
}

static void on_window_refused(const struct lutra_error *err, void *arg)
{
    struct sel_run *run = arg;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    sel_failed(run, err);
}

static void on_window_overdue(void *arg)
{
    struct sel_run *run = arg;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    sel_stall_overdue(run);
}

/* Our own copy of the definition: the catalog's is replaced when it changes, this epoch's never. */
static struct lutra_channel *copy_definition(const struct lutra_pipeline *view)
{
    struct lutra_buf json = {0};
    struct lutra_error err = {0};
    struct lutra_channel *copy;
    lutra_channel_to_json(view->channel, &json);
    copy = lutra_channel_parse((const char *)json.data, json.len, "definition", &err);
    lutra_buf_fini(&json);
    LUTRA_ASSERT(copy); /* it was parsed before */
    return copy;
}

static void copy_origin(struct lutra_origin *to, const struct lutra_origin *from)
{
    *to = *from;
    to->position = lutra_strdup(from->position);
}

struct sel_run *sel_run_new(struct sel_pipeline *p)
{
    struct sel_run *run = LUTRA_NEW(struct sel_run);
    const struct lutra_env *env = p->select->env;
    run->magic = SEL_RUN_MAGIC;
    run->p = p;
    copy_origin(&run->origin, &p->view->origin);
    run->channel = copy_definition(p->view);
    run->def = lutra_channel_pipeline(run->channel, p->id);
    run->buses = p->buses; /* of the same config version */
    run->assembler = lutra_assembler_new(TERMIN_MAX_BYTES);
    run->arena = lutra_arena_new(0);
    run->again = lutra_timer_new(env->loop, on_again, run);
    run->due = lutra_timer_new(env->loop, on_due, run);
    run->ask = lutra_timer_new(env->loop, sel_ask_cb, run);
    run->step = lutra_timer_new(env->loop, sel_stall_step_cb, run);
    run->watch = lutra_timer_new(env->loop, on_watch, run);
    run->backoff = (struct lutra_backoff){.min_ms = RETRY_MIN_MS, .max_ms = RETRY_MAX_MS};
    struct sel_window_config config = {
        .bus = run->buses.source,
        .loop = env->loop,
        .pipeline = p->id,
        .envelope = {.epoch = run->origin.epoch, .config_version = run->origin.config_version},
        .process_id = run->origin.process_id,
        .position = run->origin.position,
        .window = run->def->window,
        .partitions = run->def->partitions,
        .balance = run->def->balance,
        .changed = on_window_changed,
        .refused = on_window_refused,
        .overdue = on_window_overdue,
        .arg = run,
    };
    memcpy(config.envelope.nonce, run->origin.nonce, sizeof(config.envelope.nonce));
    run->window = sel_window_new(&config);
    if (p->max_window != run->def->window) {
        p->max_window = run->def->window;
        p->max_in_flight = 0;
    }
    return run;
}

void sel_run_free(struct sel_run *run)
{
    if (!run) {
        return;
    }
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    lutra_bus_pair_forget(&run->buses, run);
    if (run->termin) {
        lutra_bus_reader_free(run->termin);
    }
    if (run->source) {
        lutra_source_close(run->source);
        lutra_source_free(run->source);
    }
    lutra_slicer_free(run->slicer);
    sel_window_free(run->window);
    lutra_assembler_free(run->assembler);
    lutra_arena_free(run->arena);
    lutra_timer_free(run->again);
    lutra_timer_free(run->due);
    lutra_timer_free(run->ask);
    lutra_timer_free(run->step);
    lutra_timer_free(run->watch);
    lutra_origin_fini(&run->origin);
    lutra_endpoint_free(run->endpoint);
    lutra_channel_free(run->channel);
    run->magic = 0;
    lutra_free(run);
}
