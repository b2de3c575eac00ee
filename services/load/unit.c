/* Units: target transactions of one or more whole, consecutive source transactions.
 *
 * A unit is opened by the first batch that is ready and takes more as long as they are there (so it
 * grows with the backlog), up to the pipeline's bounds. It is committed when nothing more waits and
 * everything in it is executed, or when it is full; never inside a source transaction. A unit that
 * fails for a passing reason is applied again from memory; one that was too large to keep is read
 * again from the source (new epoch). */
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "load/pipeline.h"

/* What a unit keeps for a second attempt before it becomes forgetful, beyond twice its byte bound.
 */
#define KEEP_MIN_BYTES ((uint64_t)32 << 20)

static void unit_redo(struct ldr_pipeline *p);
static void unit_undo(struct ldr_pipeline *p);

/* ---- calls to the target, in order ---- */

static void call_push(struct ldr_pipeline *p, struct ldr_batch *batch)
{
    if (p->calls_n == p->calls_cap) {
        size_t cap = p->calls_cap > 0 ? p->calls_cap * 2 : 16;
        struct ldr_call *calls = lutra_alloc(cap * sizeof *calls);
        for (size_t i = 0; i < p->calls_n; i++) {
            calls[i] = p->calls[(p->calls_head + i) % p->calls_cap];
        }
        lutra_free(p->calls);
        p->calls = calls;
        p->calls_cap = cap;
        p->calls_head = 0;
    }
    struct ldr_call *call = &p->calls[(p->calls_head + p->calls_n++) % p->calls_cap];
    *call = (struct ldr_call){.batch = batch != NULL ? ldr_batch_ref(batch) : NULL,
                              .generation = p->generation,
                              .at_ms = lutra_loop_now_ms(p->load->env->loop)};
}

/* The oldest call is complete. Its batch is still referenced by *batch (give it back). True: of
 * this generation. */
static bool call_pop(struct ldr_pipeline *p, struct ldr_batch **batch)
{
    LUTRA_ASSERT(p->calls_n > 0);
    struct ldr_call call = p->calls[p->calls_head];
    p->calls_head = (p->calls_head + 1) % p->calls_cap;
    p->calls_n--;
    p->answered_ms = lutra_loop_now_ms(p->load->env->loop);
    *batch = call.batch;
    return call.generation == p->generation;
}

/* ---- the unit's batches ---- */

static void unit_release_batches(struct ldr_unit *unit)
{
    for (size_t i = 0; i < unit->n; i++) {
        ldr_batch_unref(unit->batches[i]);
    }
    unit->n = 0;
    unit->kept_bytes = 0;
}

static void unit_reset(struct ldr_unit *unit)
{
    unit_release_batches(unit);
    lutra_free(unit->to);
    lutra_free(unit->source_identity);
    *unit = (struct ldr_unit){.batches = unit->batches, .cap = unit->cap};
}

void ldr_unit_drop(struct ldr_pipeline *p)
{
    unit_reset(&p->unit);
}

void ldr_unit_close(struct ldr_pipeline *p)
{
    struct ldr_batch *batch;
    unit_reset(&p->unit);
    while (p->calls_n > 0) {
        (void)call_pop(p, &batch);
        ldr_batch_unref(batch);
    }
}

static void unit_set_end(struct ldr_unit *unit, const struct ldr_batch *batch)
{
    const Lutra__BatchHead *head = batch->change->head;
    lutra_free(unit->to);
    lutra_free(unit->source_identity);
    unit->to = lutra_strdup(head->position_to);
    unit->source_identity = lutra_strdup(head->source_identity);
    unit->last_process_id = batch->process_id;
    unit->unfinished = head->unfinished;
    if (batch->commit_us != 0) {
        unit->commit_us = batch->commit_us;
    }
    if (unit->ts_select_us == 0) {
        unit->ts_select_us = batch->ts_select_us;
    }
}

/* ---- asking the target ---- */

static void on_applied(const struct lutra_error *err, void *arg);
static void on_committed(const struct lutra_error *err, void *arg);

static void unit_begin(struct ldr_pipeline *p)
{
    struct ldr_unit *unit = &p->unit;
    unit->slot = ldr_ring_pick(&p->ring);
    unit->open = true;
    struct lutra_unit_begin begin = {
        .slot = unit->slot,
        .previous_unit = p->ring.slots[unit->slot].unit,
        .unit = p->ring.next_unit,
        .fence = p->fence,
        .last_unit = p->ring.next_unit - 1,
        .low = p->ring.position_text,
        .low_process_id = p->ring.process_id,
        .from = p->ring.position_text,
    };
    lutra_target_begin(p->target, &begin);
}

static void unit_apply(struct ldr_pipeline *p, struct ldr_batch *batch)
{
    p->unit.executing++;
    call_push(p, batch);
    lutra_target_apply(p->target, batch->change, on_applied, p);
}

static void unit_commit(struct ldr_pipeline *p)
{
    struct ldr_unit *unit = &p->unit;
    struct lutra_unit_end end = {
        .to = unit->to,
        .process_id = unit->last_process_id,
        .source_identity = unit->source_identity,
    };
    unit->committing = true;
    unit->commit_asked_ms = lutra_loop_now_ms(p->load->env->loop);
    call_push(p, NULL);
    lutra_target_commit(p->target, &end, on_committed, p);
}

static void unit_add(struct ldr_pipeline *p, struct ldr_batch *batch)
{
    struct ldr_unit *unit = &p->unit;
    if (!unit->open) {
        unit_begin(p);
    }
    if (unit->n == unit->cap) {
        unit->cap = unit->cap > 0 ? unit->cap * 2 : 16;
        unit->batches = lutra_realloc(unit->batches, unit->cap * sizeof(struct ldr_batch *));
    }
    unit->batches[unit->n++] = batch; /* the window's reference */
    unit->rows += batch->rows;
    unit->bytes += batch->size_bytes;
    unit->kept_bytes += batch->size_bytes;
    unit_set_end(unit, batch);
    unit_apply(p, batch);
}

/* ---- taking batches ---- */

/* Does the batch go on exactly where the one before it ended? */
static int
chain_check(const struct ldr_pipeline *p, const struct ldr_batch *batch, struct lutra_error *err)
{
    const Lutra__BatchHead *head = batch->change->head;
    if (strcmp(head->position_from, p->chain_end) != 0) {
        return lutra_error_set(err, LUTRA_DATA, 0,
                               "process %lu begins at %s, expected %s: the chain is broken",
                               batch->process_id, head->position_from, p->chain_end);
    }
    if (head->continues != p->unit.unfinished) {
        return lutra_error_set(
            err, LUTRA_DATA, 0, "process %lu %s a transaction that %s: the chain is broken",
            batch->process_id, head->continues ? "continues" : "does not continue",
            p->unit.unfinished ? "is open" : "is not open");
    }
    return 0;
}

static bool unit_full(const struct ldr_pipeline *p)
{
    const struct lutra_pipeline_def *def = p->view->def;
    return !p->unit.unfinished && p->unit.open &&
           (p->unit.rows >= def->unit_max_rows || p->unit.bytes >= def->unit_max_bytes);
}

static bool may_take(const struct ldr_pipeline *p)
{
    const struct ldr_unit *unit = &p->unit;
    if (p->state != LDR_RUN || unit->committing || unit->undoing || unit_full(p)) {
        return false;
    }
    /* Shutting down: a transaction that is open is left to the next owner, nothing new is begun. */
    return !p->load->draining;
}

void ldr_unit_pump(struct ldr_pipeline *p)
{
    struct ldr_unit *unit = &p->unit;
    struct lutra_error err = {0};
    while (may_take(p)) {
        struct ldr_batch *batch = ldr_window_take(&p->window);
        if (batch == NULL) {
            break;
        }
        if (chain_check(p, batch, &err)) {
            ldr_batch_unref(batch);
            lutra_unusable_count(&p->broken, p->load->env->loop);
            ldr_request(p, LUTRA_REQUEST_RESTART, false, err.msg);
            return;
        }
        lutra_free(p->chain_end);
        p->chain_end = lutra_strdup(batch->change->head->position_to);
        unit_add(p, batch);
    }
    if (p->state == LDR_RUN && unit->open && !unit->committing && !unit->undoing &&
        !unit->unfinished && (unit->executing == 0 || unit_full(p))) {
        unit_commit(p);
    }
}

void ldr_unit_touch(struct ldr_pipeline *p)
{
    struct ldr_unit *unit = &p->unit;
    if (unit->open || p->calls_n > 0 || p->load->draining) {
        return;
    }
    unit->to = lutra_strdup(p->ring.position_text);
    unit->source_identity = lutra_strdup(p->ring.source_identity);
    unit->last_process_id = p->ring.process_id;
    unit_begin(p);
    unit_commit(p);
}

/* ---- answers ---- */

static void unit_forget_if_large(struct ldr_pipeline *p)
{
    struct ldr_unit *unit = &p->unit;
    uint64_t bound = 2 * p->view->def->unit_max_bytes;
    if (unit->executing > 0 ||
        unit->kept_bytes <= (bound > KEEP_MIN_BYTES ? bound : KEEP_MIN_BYTES)) {
        return;
    }
    for (size_t i = 0; i < unit->n; i++) {
        ldr_offsets_done(&p->offsets, unit->batches[i]->offset);
    }
    unit_release_batches(unit);
    unit->forgetful = true;
}

static void unit_failed(struct ldr_pipeline *p, const struct lutra_error *err)
{
    if (p->unit.undoing) {
        return; /* the calls behind the one that failed */
    }
    p->unit_error = *err;
    unit_undo(p);
}

static void on_applied(const struct lutra_error *err, void *arg)
{
    struct ldr_pipeline *p = arg;
    struct ldr_batch *batch;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    bool current = call_pop(p, &batch) && p->state == LDR_RUN;
    if (current) {
        p->unit.executing--;
        if (err != NULL) {
            unit_failed(p, err);
        } else {
            if (batch->process_id > p->consumed_process_id) {
                p->consumed_process_id = batch->process_id;
                ldr_termin_changed(p);
            }
            unit_forget_if_large(p);
        }
    }
    ldr_batch_unref(batch);
    if (current && err == NULL) {
        ldr_unit_pump(p);
    }
}

static void account(struct ldr_pipeline *p)
{
    const struct ldr_unit *unit = &p->unit;
    uint64_t now = lutra_loop_now_ms(p->load->env->loop);
    p->last_commit_ms = now;
    p->ring_at_ms = lutra_loop_wall_us(p->load->env->loop) / 1000;
    p->fenced_in_a_row = 0;
    p->units++;
    p->rows += unit->rows;
    lutra_counter_add(p->c_units, 1);
    lutra_counter_add(p->c_rows, unit->rows);
    ldr_rate_add(&p->rate, now, unit->rows);
    if (unit->commit_us != 0) {
        p->last_commit_us = unit->commit_us;
    }
    if (unit->rows > 0 && unit->ts_select_us != 0) {
        int64_t wall = lutra_loop_wall_us(p->load->env->loop);
        double lag = (double)(wall - unit->ts_select_us) / 1000.0;
        double by_source = (double)(wall - unit->commit_us) / 1000.0;
        /* Whole seconds from the source: believed only when they say more than their own rounding.
         */
        if (unit->commit_us != 0 && by_source > lag + 1000.0) {
            lag = by_source;
        }
        ldr_lag_add(&p->lag, now, lag > 0 ? lag : 0);
    }
    for (size_t i = 0; i < unit->n; i++) {
        ldr_offsets_done(&p->offsets, unit->batches[i]->offset);
    }
    if (p->reader != NULL) {
        int64_t next = ldr_offsets_advance(&p->offsets);
        if (next >= 0) {
            lutra_bus_reader_commit(p->reader, next);
        }
    }
}

static void on_committed(const struct lutra_error *err, void *arg)
{
    struct ldr_pipeline *p = arg;
    struct ldr_batch *none;
    struct lutra_error bad = {0};
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    if (!call_pop(p, &none) || p->state != LDR_RUN) {
        return;
    }
    if (err != NULL) {
        if (err->code == LUTRA_TARGET_UNKNOWN && p->trouble_since_ms == 0) {
            p->trouble_since_ms = p->unit.commit_asked_ms; /* it lasts since then */
        }
        unit_failed(p, err);
        return;
    }
    (void)LUTRA_FAULT("load.committed"); /* in the target, and nobody else knows yet */
    struct ldr_unit *unit = &p->unit;
    if (ldr_ring_committed(&p->ring, unit->slot, unit->to, unit->last_process_id,
                           unit->source_identity, &bad)) {
        ldr_request(p, LUTRA_REQUEST_ROLLBACK, false, bad.msg);
        return;
    }
    ldr_trouble_over(p);
    account(p);
    unit_reset(unit);
    ldr_termin_changed(p);
    (void)LUTRA_FAULT("load.reported");
    ldr_unit_pump(p);
}

/* ---- failure ---- */

static void on_undone(const struct lutra_error *err, void *arg)
{
    struct ldr_pipeline *p = arg;
    struct ldr_batch *none;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    if (!call_pop(p, &none) || p->state != LDR_RUN) {
        return;
    }
    if (err != NULL) {
        ldr_trouble(p, err, unit_undo);
        return;
    }
    p->unit.executing = 0;
    p->unit.committing = false;
    if (p->unit_error.class == LUTRA_RETRY && p->unit.forgetful) {
        (void)lutra_error_wrap(&p->unit_error, "a unit too large to be kept in memory failed");
        ldr_request(p, LUTRA_REQUEST_RESTART, false, p->unit_error.msg);
        return;
    }
    ldr_trouble(p, &p->unit_error, unit_redo);
}

static void unit_undo(struct ldr_pipeline *p)
{
    p->unit.undoing = true;
    call_push(p, NULL);
    lutra_target_rollback(p->target, on_undone, p);
}

static void unit_redo(struct ldr_pipeline *p)
{
    struct ldr_unit *unit = &p->unit;
    unit->undoing = false;
    unit_begin(p);
    for (size_t i = 0; i < unit->n; i++) {
        unit_apply(p, unit->batches[i]);
    }
    if (unit->n == 0) {
        unit_commit(p); /* a touch */
    }
}
