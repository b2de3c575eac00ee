#include "load/pipeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"

#define TICK_MS 1000u
#define AGAIN_MS 500u
#define TOUCH_MS 5000u
#define STANDBY_DELAY_MS 1000u
#define STOP_DRAIN_MS 30000u
#define STOP_QUIET_MS 2000u
#define MAX_PAYLOAD_BYTES ((size_t)256 << 20)

const char *ldr_state_name(enum ldr_state state)
{
    static const char *const names[] = {
#define LDR_STATE_NAME(name) #name,
        LDR_STATES(LDR_STATE_NAME)
#undef LDR_STATE_NAME
    };
    return names[state];
}

static uint64_t now_ms(const struct ldr_pipeline *p)
{
    return lutra_loop_now_ms(p->load->env->loop);
}

void ldr_set_state(struct ldr_pipeline *p, enum ldr_state state, const char *reason)
{
    (void)snprintf(p->reason, sizeof p->reason, "%s", reason);
    if (p->state == state) {
        return;
    }
    LUTRA_INFO("load.state", LUTRA_F_STR("pipeline", p->id),
               LUTRA_F_STR("from", ldr_state_name(p->state)),
               LUTRA_F_STR("to", ldr_state_name(state)), LUTRA_F_U64("epoch", p->epoch),
               LUTRA_F_STR("reason", reason));
    p->state = state;
    p->state_since_ms = now_ms(p);
    lutra_timer_stop(p->timer);
}

bool ldr_owns(const struct ldr_pipeline *p)
{
    return p->owner != NULL && lutra_owner_state_of(p->owner) != LUTRA_OWNER_STANDBY;
}

/* ---- the stream of batches ---- */

static void stream_drop(struct ldr_pipeline *p)
{
    ldr_unit_drop(p);
    ldr_window_reset(&p->window, 0, p->window.capacity);
    ldr_offsets_all_done(&p->offsets);
    p->waits[0] = '\0';
}

static void commit_offsets(struct ldr_pipeline *p)
{
    int64_t next = ldr_offsets_advance(&p->offsets);
    if (next >= 0 && p->reader != NULL) {
        lutra_bus_reader_commit(p->reader, next);
    }
}

/* Ours by epoch and nonce, and a process that is still to come? Counts what is not. */
static bool wanted(struct ldr_pipeline *p, const struct lutra_envelope *envelope)
{
    if (p->epoch == 0 || envelope->epoch != p->epoch || strcmp(envelope->nonce, p->nonce) != 0 ||
        (p->state != LDR_ORIGIN && p->state != LDR_RUN)) {
        p->stale++;
        lutra_counter_add(p->c_stale, 1);
        return false;
    }
    if (envelope->process_id < p->window.next) {
        p->duplicates++;
        lutra_counter_add(p->c_duplicates, 1);
        return false;
    }
    return true;
}

/* True when the batch waits in the window. */
static bool accept_payload(struct ldr_pipeline *p,
                           const struct lutra_envelope *envelope,
                           const uint8_t *payload,
                           size_t len,
                           int64_t first_offset)
{
    struct lutra_error err = {0};
    if (!wanted(p, envelope)) {
        return false;
    }
    struct ldr_batch *batch = ldr_batch_new(envelope, payload, len, first_offset, &err);
    if (batch == NULL) {
        /* Not a batch of the stream, whatever its headers say. The real one, if this came in its
         * place, is missed by its processId. */
        LUTRA_WARN("load.message_refused", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(&err));
        lutra_unusable_count(&p->broken, p->load->env->loop);
        return false;
    }
    switch (ldr_window_put(&p->window, batch)) {
    case LDR_PUT_TAKEN:
        return true;
    case LDR_PUT_DUPLICATE:
        p->duplicates++;
        lutra_counter_add(p->c_duplicates, 1);
        break;
    case LDR_PUT_BEYOND:
        (void)lutra_error_set(&err, LUTRA_DATA, 0,
                              "process %lu came, more than the window of %zu beyond %lu",
                              batch->process_id, p->window.capacity, p->window.next);
        lutra_unusable_count(&p->broken, p->load->env->loop);
        ldr_request(p, LUTRA_REQUEST_RESTART, false, err.msg);
        break;
    }
    ldr_batch_unref(batch);
    return false;
}

static void on_message(const struct lutra_bus_message *message, void *arg)
{
    struct ldr_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    struct lutra_envelope envelope;
    struct lutra_error err = {0};
    const uint8_t *payload;
    size_t len;
    if (p->state == LDR_STANDBY) {
        return; /* only reading along */
    }
    p->last_message_ms = now_ms(p);
    (void)LUTRA_FAULT("load.received");
    int64_t first = lutra_assembler_first_offset(p->assembler);
    int rc = -1;
    if (lutra_envelope_parse(message, &envelope, &err) == 0) {
        rc = lutra_assembler_feed(p->assembler, message, &envelope, &payload, &len, &err);
    }
    if (rc == 0) {
        return; /* more parts are needed; offsets are counted when it is whole */
    }
    if (first < 0) {
        first = message->offset;
    }
    bool waits = false;
    if (rc > 0) {
        waits = accept_payload(p, &envelope, payload, len, first);
    } else {
        /* Not one of ours, or damaged: what it should have been is missed by its processId. */
        LUTRA_WARN("load.message_refused", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(&err));
        lutra_unusable_count(&p->broken, p->load->env->loop);
        lutra_assembler_reset(p->assembler);
    }
    ldr_offsets_push(&p->offsets, first, message->offset + 1, !waits);
    commit_offsets(p);
    if (waits && p->state == LDR_RUN) {
        ldr_unit_pump(p);
    }
}

/* What is gone is read again from the source: waiting for it would only cost time. */
static void on_reset(int64_t from, int64_t to, void *arg)
{
    struct ldr_pipeline *p = arg;
    char reason[192];
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    LUTRA_WARN("load.offset_gone", LUTRA_F_STR("pipeline", p->id), LUTRA_F_I64("from", from),
               LUTRA_F_I64("to", to));
    if (p->state == LDR_RUN) {
        (void)snprintf(reason, sizeof reason,
                       "messages of lutra.%s.load are gone or corrupt from offset %" PRId64 " on",
                       p->id, from);
        ldr_request(p, LUTRA_REQUEST_RESTART, false, reason);
    }
}

static void on_start(int64_t offset, void *arg)
{
    struct ldr_pipeline *p = arg;
    (void)offset;
    p->reader_started = true;
}

static const struct lutra_bus_reader_handler reader_handler = {
    .on_message = on_message, .on_start = on_start, .on_reset = on_reset};

static void topics_ready(const struct lutra_error *err, void *arg)
{
    const struct ldr_pipeline *p = arg;
    if (err != NULL) {
        LUTRA_WARN("load.topics", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(err));
    }
}

/* A new consumer needs a second or more for its first message. A standby therefore reads along at
 * the topic's end and throws away what comes: of the epoch that it makes when it takes over nothing
 * is published before that. */
static void read_along(struct ldr_pipeline *p)
{
    char load[80];
    if (p->reader == NULL && p->state == LDR_STANDBY) {
        p->reader_bus = p->wanted_buses.target;
        p->reader =
            lutra_bus_reader_new(p->reader_bus, "lutra-load", lutra_topic_name(p->id, "load", load),
                                 0, LUTRA_BUS_START_END, &reader_handler, p);
    }
}

static void reader_close(struct ldr_pipeline *p)
{
    if (p->reader != NULL) {
        commit_offsets(p);
        lutra_bus_reader_free(p->reader);
        p->reader = NULL;
    }
    p->reader_started = false;
    lutra_assembler_reset(p->assembler);
    ldr_offsets_fini(&p->offsets);
}

static void reader_open(struct ldr_pipeline *p)
{
    char load[80], termin[80];
    /* Where it reads must be settled before anybody publishes for us. */
    if (p->reader != NULL && (!p->reader_started || p->reader_bus != p->buses.target)) {
        reader_close(p);
    }
    lutra_topic_name(p->id, "load", load);
    lutra_topic_name(p->id, "termin", termin);
    struct lutra_bus_topic in = {.name = load, .partitions = 1, .retention_ms = 86400000};
    struct lutra_bus_topic out = {.name = termin, .partitions = 1, .retention_ms = 3600000};
    lutra_bus_ensure_topics(p->buses.target, &in, 1, topics_ready, p);
    lutra_bus_ensure_topics(p->buses.source, &out, 1, topics_ready, p);
    if (p->reader == NULL) {
        p->reader_bus = p->buses.target;
        p->reader = lutra_bus_reader_new(p->reader_bus, "lutra-load", load, 0,
                                         LUTRA_BUS_START_COMMITTED, &reader_handler, p);
    }
}

/* ---- ownership and epochs ---- */

void ldr_disown(struct ldr_pipeline *p, enum ldr_state state, const char *reason)
{
    p->generation++;
    ldr_set_state(p, state, reason);
    reader_close(p);
    if (p->target != NULL) {
        lutra_target_close(p->target); /* no completion comes after it */
        lutra_target_free(p->target);
        p->target = NULL;
    }
    ldr_unit_close(p);
    ldr_window_reset(&p->window, 0, p->window.capacity);
    lutra_coord_forget(p->load->env->coord, p);
    lutra_coord_forget(p->load->env->coord, &p->origin_op);
    p->origin_op.busy = false;
    lutra_request_forget(p->load->env->coord, p);
    lutra_bus_pair_forget(&p->buses, p);
    p->requesting = p->request_wanted = false;
    p->position_writing = p->attempt_resetting = false;
    p->termin_in_flight = false;
    p->fence = p->epoch = p->ring_epoch = 0;
    ldr_known_fini(&p->found);
    p->origin_published = false;
    ldr_trouble_over(p);
    lutra_timer_stop(p->tick);
}

static void prepare(struct ldr_pipeline *p);

static void on_prepared(const struct lutra_error *err, void *arg)
{
    struct ldr_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    if (p->state != LDR_PREPARE) {
        return;
    }
    if (err != NULL) {
        ldr_trouble(p, err, prepare);
        return;
    }
    ldr_trouble_over(p);
    reader_open(p);
    ldr_make_epoch(p, "take-over");
}

static void prepare_target(struct ldr_pipeline *p)
{
    struct lutra_error err = {0};
    if (p->target == NULL) {
        p->buses = p->wanted_buses;
        p->prepared_version = p->view->config_version;
        p->target = ldr_media_target(p, &err);
    }
    if (p->target == NULL) {
        ldr_trouble(p, &err, prepare);
        return;
    }
    lutra_target_prepare(p->target, on_prepared, p);
}

/* What owners before us confirmed: a lower bound of what the target must show. */
static void found_read(const struct lutra_coord_result *result, void *arg)
{
    struct ldr_pipeline *p = arg;
    struct lutra_position_record record = {0};
    struct lutra_error err = {0};
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    if (p->state != LDR_PREPARE) {
        return;
    }
    if (result->rc != LUTRA_COORD_OK && result->rc != LUTRA_COORD_NO_NODE) {
        p->again = prepare;
        lutra_timer_start(p->timer, AGAIN_MS);
        return;
    }
    ldr_known_fini(&p->found);
    if (result->rc == LUTRA_COORD_OK) {
        if (lutra_position_record_from_json(result->data, result->len, &record, &err) == 0) {
            ldr_known_note(&p->found, record.epoch, record.process_id, record.position,
                           record.at_ms);
        } else {
            LUTRA_WARN("load.position_ignored", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(&err));
        }
        lutra_position_record_fini(&record);
    }
    prepare_target(p);
}

static void prepare(struct ldr_pipeline *p)
{
    char path[256];
    ldr_set_state(p, LDR_PREPARE, "connecting to the target");
    lutra_coord_get(p->load->env->coord, lutra_path_pipeline(p->id, "position", path), NULL,
                    found_read, p);
}

/* The highest of what ZooKeeper and this owner know. A record of an epoch before the origin's is
 * past: the origin was made from what the target held, and if that was less, somebody accepted it.
 */
static struct lutra_epoch_check target_check(const struct ldr_pipeline *p)
{
    const struct lutra_pipeline *view = p->view;
    struct ldr_known known = {0};
    uint64_t origin_epoch = view->has_origin ? view->origin.epoch : 0;
    /* Another member of the target's group was chosen: what it holds is accepted with it. */
    bool switched = view->has_origin && strcmp(view->origin.target_member, p->target_member) != 0;
    if (view->has_origin && !switched) {
        ldr_known_note(&known, view->origin.epoch, view->origin.process_id, view->origin.position,
                       view->origin.at_ms);
    }
    if (!switched && p->found.epoch >= origin_epoch && p->found.epoch != 0) {
        ldr_known_note(&known, p->found.epoch, p->found.process_id, p->found.position,
                       p->found.at_ms);
    }
    if (!switched && p->ring_epoch >= origin_epoch && p->ring_epoch != 0) {
        ldr_known_note(&known, p->ring_epoch, p->ring.process_id, p->ring.position_text,
                       p->ring_at_ms);
    }
    struct lutra_epoch_check check = {
        .check = ldr_expect_check,
        .free = ldr_expect_free,
        .arg = ldr_expect_new(&known, p->id, lutra_pipeline_source(view)->flavor,
                              view->def->accept_target, view->def->target_may_lose_ms),
    };
    ldr_known_fini(&known);
    return check;
}

static void epoch_retry(struct ldr_pipeline *p)
{
    ldr_make_epoch(p, "again");
}

static void
on_epoch(const struct lutra_ring *slots, uint64_t fence, const struct lutra_error *err, void *arg)
{
    struct ldr_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    struct lutra_error bad = {0};
    if (p->state != LDR_EPOCH) {
        return;
    }
    uint64_t had = p->ring_epoch != 0 ? p->ring.process_id : p->found.process_id;
    if (err == NULL) {
        p->ring_epoch = 0;
    }
    if (err == NULL &&
        (ldr_ring_recover(&p->ring, lutra_pipeline_source(p->view)->flavor, slots, &bad) ||
         ldr_media_check_ring(p, &bad))) {
        err = &bad;
    }
    if (err != NULL) {
        if (err->class != LUTRA_RETRY && err->class != LUTRA_FENCED) {
            p->epoch = 0; /* none to run on: halted until an operator starts it again */
        }
        ldr_trouble(p, err, epoch_retry);
        return;
    }
    ldr_trouble_over(p);
    p->fence = p->epoch = p->ring_epoch = fence;
    p->ring_at_ms = lutra_loop_wall_us(p->load->env->loop) / 1000;
    p->consumed_process_id = p->ring.process_id;
    if (p->ring.process_id < had) {
        (void)snprintf(p->went_back, sizeof p->went_back,
                       "from process %lu to %lu before epoch %lu; read again from there", had,
                       p->ring.process_id, fence);
    }
    ldr_window_reset(&p->window, p->ring.process_id + 1, p->view->def->window);
    lutra_free(p->chain_end);
    p->chain_end = lutra_strdup(p->ring.position_text);
    p->origin_published = p->origin_seen = false;
    lutra_gauge_set(p->g_epoch, (double)p->epoch);
    LUTRA_INFO("load.epoch_made", LUTRA_F_STR("pipeline", p->id), LUTRA_F_U64("epoch", p->epoch),
               LUTRA_F_U64("process_id", p->ring.process_id),
               LUTRA_F_STR("position", p->ring.position_text));
    ldr_set_state(p, LDR_ORIGIN, "waiting for a select owner");
    ldr_origin_step(p);
}

void ldr_reopen(struct ldr_pipeline *p, const char *why)
{
    ldr_disown(p, LDR_STANDBY, why);
    lutra_timer_start(p->tick, TICK_MS);
    prepare(p);
}

void ldr_make_epoch(struct ldr_pipeline *p, const char *why)
{
    static const char hex[] = "0123456789abcdef";
    if (p->prepared_version != p->view->config_version) {
        ldr_reopen(p, "the definition has changed"); /* endpoint, buses, pairs or bounds */
        return;
    }
    p->generation++;
    ldr_set_state(p, LDR_EPOCH, why);
    stream_drop(p);
    uint64_t random = lutra_loop_random(p->load->env->loop);
    for (size_t i = 0; i < 16; i++) {
        p->nonce[i] = hex[(random >> (4 * i)) & 15];
    }
    p->nonce[16] = '\0';
    p->config_version = p->view->config_version;
    memcpy(p->source_member, p->view->source_media.member, sizeof p->source_member);
    lutra_coord_forget(p->load->env->coord, &p->origin_op);
    p->origin_op.busy = false;
    /* Above what ZooKeeper knows and what the target knows, whichever of the two was lost or
     * restored. */
    uint64_t wanted_epoch = p->view->control.epoch;
    if (p->view->has_origin && p->view->origin.epoch >= wanted_epoch) {
        wanted_epoch = p->view->origin.epoch + 1;
    }
    lutra_target_rollback(p->target, NULL, NULL);
    lutra_target_make_epoch(p->target, wanted_epoch, p->fence, p->nonce, target_check(p), on_epoch,
                            p);
}

void ldr_run(struct ldr_pipeline *p)
{
    ldr_set_state(p, LDR_RUN, "");
    p->last_commit_ms = now_ms(p);
    p->request_wanted = false;
    ldr_termin_changed(p);
    ldr_unit_pump(p);
}

static bool wants(const struct ldr_pipeline *p)
{
    return !p->load->draining && p->view->known && p->view->has_desired && p->view->has_control &&
           strcmp(p->view->def->target_site, p->load->env->site) == 0;
}

/* STOP: nothing in hand and nothing has come for a while, or the time is up. */
static bool stop_drained(const struct ldr_pipeline *p)
{
    if (p->state != LDR_RUN) {
        return true;
    }
    uint64_t now = now_ms(p);
    bool quiet = p->window.count == 0 && !p->unit.open && now - p->last_message_ms >= STOP_QUIET_MS;
    return quiet || now - p->stop_since_ms >= STOP_DRAIN_MS;
}

static void on_owner(enum lutra_owner_state state, void *arg)
{
    struct ldr_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    switch (state) {
    case LUTRA_OWNER_OWNED:
        if (p->state == LDR_STANDBY) {
            (void)LUTRA_FAULT("load.owner_taken");
            lutra_timer_start(p->tick, TICK_MS);
            prepare(p);
        }
        break;
    case LUTRA_OWNER_STANDBY:
        if (p->state != LDR_STANDBY && p->state != LDR_IDLE) {
            ldr_disown(p, LDR_STANDBY, "the owner node is gone");
        }
        read_along(p);
        break;
    case LUTRA_OWNER_SUSPENDED:
        break; /* the fence protects: go on */
    }
}

static void contend(struct ldr_pipeline *p)
{
    char path[256];
    ldr_set_state(p, LDR_STANDBY, "");
    const struct lutra_env *env = p->load->env;
    uint64_t delay_ms = env->standby_delay_ms > 0 ? env->standby_delay_ms : STANDBY_DELAY_MS;
    p->owner = lutra_owner_new(env->coord, lutra_path_pipeline(p->id, "load", path), env->instance,
                               delay_ms, on_owner, p);
    read_along(p);
}

static void stop(struct ldr_pipeline *p, const char *reason)
{
    ldr_disown(p, LDR_IDLE, reason);
    lutra_owner_free(p->owner);
    p->owner = NULL;
}

static void config_check(struct ldr_pipeline *p)
{
    if (p->target != NULL && p->config_version != 0 &&
        p->view->config_version != p->config_version &&
        (p->state == LDR_RUN || p->state == LDR_ORIGIN || p->state == LDR_HALTED)) {
        ldr_reopen(p, "the definition has changed");
    }
}

static void reconcile_halted(struct ldr_pipeline *p)
{
    if (p->requesting) {
        return;
    }
    if (p->request_wanted) {
        ldr_request_again(p);
    } else if (p->epoch == 0) {
        /* Refused before there was an epoch: only somebody's START says that it was put right. */
        if (p->view->control.start) {
            prepare(p);
        }
    } else if (p->view->control.epoch > p->epoch) {
        ldr_make_epoch(p, "control asks for a newer epoch");
    }
}

/* Without one of the pipeline's buses there is nothing this process could do for it: it makes room
 * for one that has them. True when it is so. */
static bool blocked(struct ldr_pipeline *p)
{
    struct lutra_error err = {0};
    if (!lutra_buses_pair(p->load->env->buses, p->view->def->source_bus, p->view->def->target_bus,
                          &p->wanted_buses, &err)) {
        if (p->state == LDR_BLOCKED) {
            ldr_set_state(p, LDR_IDLE, "");
        }
        return false;
    }
    if (p->state != LDR_BLOCKED || strcmp(p->reason, err.msg) != 0) {
        LUTRA_ERROR("load.blocked", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(&err));
        if (p->owner != NULL) {
            stop(p, "");
        }
        ldr_set_state(p, LDR_BLOCKED, err.msg);
    }
    p->blocked_class = err.class;
    return true;
}

/* Compares what is with what ought to be; called on every change and every second. */
static void reconcile(struct ldr_pipeline *p)
{
    bool stopped = p->view->has_desired && p->view->desired.state == LUTRA_DESIRED_STOP;
    lutra_follower_update(p->follower, ldr_owns(p) && !stopped);
    if (wants(p) && !stopped && blocked(p)) {
        return;
    }
    if (p->owner == NULL) {
        if (wants(p) && !stopped) {
            contend(p);
        } else if (p->state == LDR_BLOCKED) {
            ldr_set_state(p, LDR_IDLE, "");
        }
        return;
    }
    if (!ldr_owns(p)) {
        if (!wants(p) || stopped) {
            stop(p, stopped ? "stopped" : "");
        }
        return;
    }
    if (!stopped) {
        p->stop_since_ms = 0;
    } else if (p->stop_since_ms == 0) {
        p->stop_since_ms = now_ms(p);
    }
    if (stopped && stop_drained(p)) {
        stop(p, "stopped");
        return;
    }
    config_check(p);
    ldr_media_check(p);
    if (p->state == LDR_HALTED) {
        reconcile_halted(p);
        return;
    }
    const char *why = NULL;
    if (p->state == LDR_ORIGIN || p->state == LDR_RUN) {
        why = ldr_origin_outdated(p);
    }
    if (why != NULL) {
        ldr_make_epoch(p, why);
    } else if (p->state == LDR_ORIGIN) {
        ldr_origin_step(p);
    }
}

/* retry_at has passed for five seconds and no manager acted. */
static void check_retry_at(struct ldr_pipeline *p)
{
    const struct lutra_control *control = &p->view->control;
    int64_t now = lutra_loop_wall_us(p->load->env->loop) / 1000;
    if (control->start || control->retry_at_ms == 0 || now < control->retry_at_ms + 5000 ||
        p->requesting) {
        return;
    }
    struct lutra_request request = {.kind = LUTRA_REQUEST_RESUME};
    (void)snprintf(request.by, sizeof request.by, "load/%s", p->load->env->instance);
    (void)snprintf(request.reason, sizeof request.reason, "retry_at has come");
    lutra_request_send(p->load->env->coord, p->id, &request, NULL, p);
}

static void on_tick(void *arg)
{
    struct ldr_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    lutra_timer_start(p->tick, TICK_MS);
    reconcile(p);
    if (!ldr_owns(p)) {
        return;
    }
    check_retry_at(p);
    if (p->state == LDR_RUN) {
        ldr_stall_tick(p);
    }
    if (p->state == LDR_RUN) {
        if (now_ms(p) - p->last_commit_ms >= TOUCH_MS) {
            ldr_unit_touch(p);
        }
        ldr_termin_tick(p);
        ldr_position_tick(p);
        commit_offsets(p);
    }
    ldr_silence_tick(p);
    lutra_gauge_set(p->g_lag, ldr_lag_now_ms(p) / 1000.0);
    lutra_gauge_set(p->g_buffered, (double)p->window.count);
}

/* ---- life ---- */

static void metrics_open(struct ldr_pipeline *p)
{
    struct lutra_metrics *m = p->load->env->metrics;
    struct lutra_buf labels = {0};
    lutra_metrics_label(&labels, "pipeline", p->id);
    const char *l = lutra_buf_cstr(&labels);
    p->c_rows = lutra_metrics_counter(m, "lutra_load_rows_total", l, "Rows applied and committed");
    p->c_units =
        lutra_metrics_counter(m, "lutra_load_units_total", l, "Target transactions committed");
    p->c_stale =
        lutra_metrics_counter(m, "lutra_load_stale_total", l, "Messages of another epoch, dropped");
    p->c_duplicates = lutra_metrics_counter(m, "lutra_load_duplicates_total", l,
                                            "Processes that came again, dropped");
    p->c_fenced =
        lutra_metrics_counter(m, "lutra_load_fenced_total", l, "Commits refused by a newer fence");
    p->g_lag =
        lutra_metrics_gauge(m, "lutra_load_lag_seconds", l, "Lag of the last applied change");
    p->g_epoch = lutra_metrics_gauge(m, "lutra_load_epoch", l, "Epoch that this owner made");
    p->g_buffered = lutra_metrics_gauge(m, "lutra_load_buffered_processes", l,
                                        "Processes that wait for those before them");
    lutra_buf_fini(&labels);
}

struct ldr_pipeline *ldr_pipeline_new(struct lutra_load *load, struct lutra_pipeline *view)
{
    struct ldr_pipeline *p = LUTRA_NEW(struct ldr_pipeline);
    p->magic = LDR_PIPELINE_MAGIC;
    p->load = load;
    p->view = view;
    p->id = lutra_strdup(view->id);
    p->timer = lutra_timer_new(load->env->loop, ldr_again_cb, p);
    p->origin_op.p = p;
    p->tick = lutra_timer_new(load->env->loop, on_tick, p);
    p->assembler = lutra_assembler_new(MAX_PAYLOAD_BYTES);
    p->backoff = (struct lutra_backoff){.min_ms = 50, .max_ms = 500};
    p->chain_end = lutra_strdup("");
    ldr_window_reset(&p->window, 0, 1);
    metrics_open(p);
    p->follower = lutra_follower_new(load->env, "load", view, LUTRA_SIDE_TARGET);
    reconcile(p);
    return p;
}

void ldr_pipeline_free(struct ldr_pipeline *p)
{
    struct lutra_buf labels = {0};
    if (p->owner != NULL) {
        stop(p, "");
    }
    lutra_metrics_label(&labels, "pipeline", p->id);
    lutra_metrics_remove(p->load->env->metrics, lutra_buf_cstr(&labels));
    lutra_buf_fini(&labels);
    lutra_follower_free(p->follower);
    lutra_timer_free(p->timer);
    lutra_timer_free(p->tick);
    lutra_assembler_free(p->assembler);
    ldr_window_fini(&p->window);
    ldr_offsets_fini(&p->offsets);
    ldr_ring_fini(&p->ring);
    ldr_known_fini(&p->found);
    lutra_free(p->unit.batches);
    lutra_free(p->unit.to);
    lutra_free(p->unit.source_identity);
    lutra_free(p->calls);
    lutra_free(p->chain_end);
    lutra_free(p->position_written);
    lutra_free(p->id);
    p->magic = 0;
    lutra_free(p);
}

void ldr_pipeline_changed(struct ldr_pipeline *p, unsigned what)
{
    (void)what;
    reconcile(p);
}

void ldr_pipeline_drain(struct ldr_pipeline *p)
{
    /* Nothing new is begun (unit.c looks at load->draining); what is committing finishes. */
    const struct ldr_unit *unit = &p->unit;
    bool finishing = p->state == LDR_RUN && unit->open && !unit->undoing && !unit->unfinished;
    if (p->owner != NULL && !finishing) {
        stop(p, "shutting down");
    }
}

bool ldr_pipeline_drained(const struct ldr_pipeline *p)
{
    return p->owner == NULL;
}
