/* From the source to the window: check, resolve, read, slice, publish. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "select/identity.h"
#include "select/pipeline.h"

enum { HEARTBEAT_MS = 1000 };
/* One event holds at most one row of several columns; MySQL's own limit for one is 1 GiB. */
#define MAX_EVENT_BYTES ((size_t)256 << 20)

static struct lutra_loop *loop_of(const struct sel_run *run)
{
    return run->p->select->env->loop;
}

uint32_t lutra_select_server_id(const char *pipeline, bool second)
{
    uint32_t hash = 2166136261u; /* FNV-1a, folded to 24 bits */
    for (const char *c = pipeline; *c; c++) {
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    }
    return (second ? 0x4d000000u : 0x4c000000u) | ((hash >> 24) ^ (hash & 0xffffffu));
}

/* ---- publishing ---- */

static void note_cut(struct sel_run *run, const struct lutra_slice *slice)
{
    struct sel_pipeline *p = run->p;
    p->rows_read += slice->rows;
    p->events_filtered += slice->events_filtered;
    p->ddl_passed += slice->ddl_passed;
    lutra_counter_add(p->c_rows, slice->rows);
    lutra_counter_add(p->c_filtered, slice->events_filtered);
    lutra_counter_add(p->c_ddl, slice->ddl_passed);
    lutra_counter_add(p->c_processes, 1);
    run->trouble_since_ms = 0; /* it flows */
}

/* PAUSE takes effect between transactions: load holds the locks of a transaction that is half
 * published, and would hold them until START. */
static bool may_publish(const struct sel_run *run)
{
    const struct lutra_pipeline *view = run->p->view;
    if (sel_permitted(run->p)) {
        return true;
    }
    return run->inside_transaction && !run->p->select->draining && view->has_desired &&
           view->desired.state == LUTRA_DESIRED_PAUSE && view->has_control && view->control.start &&
           view->control.epoch <= run->origin.epoch;
}

static void publish_next(struct sel_run *run)
{
    struct lutra_slice *slice = lutra_slicer_take(run->slicer);
    note_cut(run, slice);
    run->inside_transaction = slice->unfinished;
    sel_window_publish(run->window, slice);
}

/* Nothing is cut that cannot be published now: meanwhile the open batch grows up to its bounds. */
static bool cut_is_due(const struct sel_run *run)
{
    uint64_t due_ms = lutra_slicer_due_ms(run->slicer);
    if (run->p->state == SEL_DRAINING) {
        return due_ms != UINT64_MAX;
    }
    return (run->source_idle && lutra_slicer_has_rows(run->slicer)) ||
           due_ms <= lutra_loop_now_ms(loop_of(run));
}

static void arm_due(struct sel_run *run)
{
    uint64_t due_ms = lutra_slicer_due_ms(run->slicer), now = lutra_loop_now_ms(loop_of(run));
    if (due_ms == UINT64_MAX || !sel_window_room(run->window) || !may_publish(run)) {
        lutra_timer_stop(run->due);
    } else {
        lutra_timer_start(run->due, due_ms > now ? due_ms - now : 0);
    }
}

/* What stopped the slicer is told when everything before it has been applied. */
static void finish_draining(struct sel_run *run)
{
    if (run->p->state == SEL_DRAINING && !lutra_slicer_has_slice(run->slicer) &&
        lutra_slicer_due_ms(run->slicer) == UINT64_MAX && sel_window_drained(run->window)) {
        sel_halt(run, LUTRA_REQUEST_ROLLBACK, false, run->stop.msg);
    }
}

void sel_stream_pump(struct sel_run *run)
{
    struct sel_pipeline *p = run->p;
    if (!run->slicer || p->state == SEL_HALTED) {
        return;
    }
    while (may_publish(run) && sel_window_room(run->window)) {
        if (!lutra_slicer_has_slice(run->slicer) && cut_is_due(run)) {
            lutra_slicer_close(run->slicer);
        }
        if (!lutra_slicer_has_slice(run->slicer)) {
            break;
        }
        publish_next(run);
        if (p->state == SEL_HALTED) {
            return; /* the bus refused it */
        }
    }
    if (run->source_open) {
        bool pause = !may_publish(run) || lutra_slicer_has_slice(run->slicer);
        if (pause != run->source_paused) {
            run->source_paused = pause;
            lutra_source_pause(run->source, pause);
        }
    }
    arm_due(run);
    sel_status_update(p);
    finish_draining(run);
}

/* ---- the stream ---- */

void sel_stream_close(struct sel_run *run)
{
    if (run->source) {
        lutra_source_close(run->source);
    }
    run->source_open = run->source_paused = run->source_idle = false;
}

/* The slicer has come to something that cannot be carried. */
static void stop(struct sel_run *run, const struct lutra_error *err)
{
    sel_stream_close(run);
    if (err->class == LUTRA_RETRY) {
        sel_halt(run, LUTRA_REQUEST_RESTART, false, err->msg);
        return;
    }
    LUTRA_ERROR("select.stopped", LUTRA_F_STR("pipeline", run->p->id), LUTRA_F_ERR(err));
    run->stop = *err;
    sel_set_state(run->p, SEL_DRAINING, err->msg);
    sel_stream_pump(run);
}

static void on_event(const uint8_t *event, size_t len, void *arg)
{
    struct sel_run *run = arg;
    struct lutra_error err = {0};
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    run->source_idle = false;
    if (LUTRA_FAULT("select.read")) {
        lutra_error_set(&err, LUTRA_RETRY, 0, "fault select.read");
        sel_trouble(run, &err);
        return;
    }
    if (lutra_slicer_feed(run->slicer, event, len, lutra_loop_now_ms(loop_of(run)), &err)) {
        stop(run, &err);
        return;
    }
    /* Most events only add to the open batch: looking closer at each would cost more than slicing.
     */
    if (lutra_slicer_has_slice(run->slicer) || !lutra_timer_active(run->due)) {
        sel_stream_pump(run);
    }
}

static void on_idle(void *arg)
{
    struct sel_run *run = arg;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    run->source_idle = true;
    run->trouble_since_ms = 0;
    run->p->last_error[0] = '\0';
    lutra_backoff_reset(&run->backoff);
    sel_stream_pump(run);
}

static void on_end(const struct lutra_error *err, void *arg)
{
    struct sel_run *run = arg;
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    run->source_open = false;
    if (err->code == ETIMEDOUT) {
        run->p->second_identity = !run->p->second_identity;
    }
    sel_failed(run, err);
}

static void open_stream(struct sel_run *run)
{
    static const struct lutra_source_handler handler = {
        .on_event = on_event, .on_idle = on_idle, .on_end = on_end};
    const struct lutra_position *position = lutra_slicer_position(run->slicer);
    LUTRA_AUTO_FREE char *text = lutra_position_text(position);
    LUTRA_INFO("select.stream", LUTRA_F_STR("pipeline", run->p->id), LUTRA_F_STR("from", text),
               LUTRA_F_U64("epoch", run->origin.epoch));
    sel_set_state(run->p, SEL_STREAM, "");
    run->source_open = true;
    run->source_paused = run->source_idle = false;
    uint32_t server_id = lutra_select_server_id(run->p->id, run->p->second_identity);
    lutra_source_open(run->source, position, server_id, HEARTBEAT_MS, MAX_EVENT_BYTES, &handler,
                      run);
    sel_stream_pump(run);
}

/* ---- where to begin ---- */

static void make_slicer(struct sel_run *run, const struct lutra_position *position)
{
    run->slicer = lutra_slicer_new(&(struct lutra_slicer_config){
        .def = run->def,
        .flavor = run->info.flavor,
        .epoch = run->origin.epoch,
        .nonce = run->origin.nonce,
        .config_version = run->origin.config_version,
        .source_identity = run->info.identity,
        .member = run->endpoint->member,
        .process_id = run->origin.process_id,
        .position_text = run->origin.position,
        .position = position,
        .max_event_bytes = MAX_EVENT_BYTES,
    });
}

static void
on_resolved(const struct lutra_position *position, const struct lutra_error *err, void *arg)
{
    struct sel_run *run = arg;
    struct lutra_position none = {.flavor = run->info.flavor};
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    if (run->p->state != SEL_RESOLVE) {
        return;
    }
    if (err) {
        sel_failed(run, err);
        return;
    }
    make_slicer(run, &none);
    lutra_slicer_cut_start(run->slicer, position);
    open_stream(run);
}

static void resolve_start(struct sel_run *run)
{
    if (run->def->start == LUTRA_START_CHECKPOINT) {
        struct lutra_error err;
        lutra_error_set(&err, LUTRA_CONFIG, 0,
                        "start: checkpoint, but the target has no checkpoint of this pipeline");
        sel_failed(run, &err);
        return;
    }
    sel_set_state(run->p, SEL_RESOLVE, "");
    sel_stall_step(run);
    lutra_source_resolve(run->source, run->def->start, run->def->start_text, on_resolved, run);
}

/* Another server, or the same one reset: its binlog has nothing to do with the checkpoint's file
 * and offset. Another member of the media group was named by whoever switched it; of any other an
 * operator must have said that it may take the place. */
static int
check_identity(struct sel_run *run, const struct lutra_source_info *info, struct lutra_error *err)
{
    const char *wanted = run->slicer ? run->info.identity : run->origin.source_identity;
    if (wanted[0] == '\0' || sel_identity_same(wanted, info->identity)) {
        return 0;
    }
    if (!run->def->accept_new_source && !sel_identity_switched(wanted, info->identity)) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "the source is %.250s, the checkpoint was made from %.250s: another "
                               "server; set accept_new_source: true to go on with it by GTID",
                               info->identity, wanted);
    }
    LUTRA_WARN("select.new_source", LUTRA_F_STR("pipeline", run->p->id),
               LUTRA_F_STR("source", info->identity), LUTRA_F_STR("before", wanted));
    return 0;
}

/* The origin's position, as far as it holds at this server. */
static int
starting_position(struct sel_run *run, struct lutra_position *position, struct lutra_error *err)
{
    const char *known = run->origin.source_identity;
    if (lutra_position_parse(run->info.flavor, run->origin.position, position, err)) {
        return lutra_error_wrap(err, "position of the origin");
    }
    if (known[0] == '\0' || sel_identity_same(known, run->info.identity)) {
        return 0;
    }
    if (!position->gtids || lutra_gtid_set_empty(position->gtids)) {
        lutra_position_fini(position);
        return lutra_error_set(
            err, LUTRA_CONFIG, 0,
            "the checkpoint %.300s of %.250s has no GTIDs, so it cannot be found "
            "at %s, which is another server: file and offset of two servers "
            "cannot be compared; go on with the former server, or put both "
            "sides in step, delete the pipeline's rows of lutra.checkpoint at "
            "the target, and start it with the start: that fits",
            run->origin.position, known, run->endpoint->name);
    }
    position->file[0] = '\0';
    position->offset = 0;
    return 0;
}

static int begin_reading(struct sel_run *run, struct lutra_error *err)
{
    struct lutra_position position = {0};
    if (run->slicer) {
        open_stream(run);
        return 0;
    }
    if (run->origin.position[0] == '\0') {
        resolve_start(run);
        return 0;
    }
    if (starting_position(run, &position, err)) {
        return -1;
    }
    make_slicer(run, &position);
    lutra_position_fini(&position);
    open_stream(run);
    return 0;
}

static void
on_checked(const struct lutra_source_info *info, const struct lutra_error *failed, void *arg)
{
    struct sel_run *run = arg;
    struct lutra_source_info here;
    struct lutra_error err = {0};
    LUTRA_ASSERT(run->magic == SEL_RUN_MAGIC);
    if (run->p->state != SEL_CHECK) {
        return;
    }
    if (failed) {
        sel_failed(run, failed);
        return;
    }
    here = *info;
    sel_identity_make(run->endpoint->member, info->identity, here.identity, sizeof(here.identity));
    if (check_identity(run, &here, &err)) {
        sel_failed(run, &err);
        return;
    }
    if (run->slicer && strcmp(run->info.identity, here.identity) != 0) {
        sel_halt(run, LUTRA_REQUEST_RESTART, false, "another source server took the place");
        return;
    }
    run->info = here;
    if (begin_reading(run, &err)) {
        sel_failed(run, &err);
    }
}

static bool is_matched(const char *schema, const char *table, const char *column, void *arg)
{
    const struct sel_run *run = arg;
    const struct lutra_pair *pair = lutra_pipeline_match(run->def, schema, table);
    return pair && (!column || lutra_pair_target_column(pair, column));
}

void sel_stream_check(struct sel_run *run)
{
    struct lutra_error err;
    sel_set_state(run->p, SEL_CHECK, "");
    sel_stall_step(run);
    if (!run->endpoint) {
        run->endpoint =
            lutra_endpoint_resolve(lutra_channel_endpoint(run->channel, run->def->source),
                                   run->origin.source_member, &err);
    }
    const struct lutra_endpoint *endpoint = run->endpoint;
    if (!endpoint) {
        sel_failed(run, &err);
        return;
    }
    if (endpoint->flavor != LUTRA_FLAVOR_MARIADB) {
        lutra_error_set(&err, LUTRA_CONFIG, 0,
                        "source %s: type mysql is not supported as a source, expected mariadb",
                        endpoint->name);
        sel_failed(run, &err);
        return;
    }
    if (!run->source) {
        const struct lutra_env *env = run->p->select->env;
        run->source = env->source_new(env, endpoint, run->p->id);
    }
    lutra_source_check(run->source, is_matched, on_checked, run);
}
