/* DESIGN: calls queue up; a timer carries out the first one, then sets itself for the next. A call
 * that waits for a lock, or for the server to come back, stays first and is tried again every
 * POLL_MS. The completion is the last thing a step does: it may close or free the target. */
#include "db/target_mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "db/mem_db.h"
#include "db/row_text.h"

enum { POLL_MS = 10, EPOCH_LOCK_WAIT_MS = 1000, ROW_LOCK_WAIT_MS = 5000, LOOK_UP_MS = 5000 };
/* The server's error numbers, as the real one gives them. */
enum { ER_DUP = 1062, ER_NO_ROW = 1032, ER_LOCK_WAIT = 1205, ER_DEADLOCK = 1213, CR_LOST = 2013 };

enum call_kind {
    CALL_PREPARE,
    CALL_MAKE_EPOCH,
    CALL_BEGIN,
    CALL_APPLY,
    CALL_COMMIT,
    CALL_ROLLBACK
};

struct call {
    struct call *next;
    enum call_kind kind;
    lutra_target_fn done;
    void (*epoch_done)(const struct lutra_ring *, uint64_t, const struct lutra_error *, void *);
    void *arg;
    bool waiting; /* since `since_ms` */
    uint64_t since_ms;

    uint64_t control_epoch, mine; /* make_epoch */
    struct lutra_epoch_check check;
    char nonce[17];
    struct lutra_ring ring;
    uint64_t fence;

    struct lutra_unit_begin begin; /* its strings are ours */

    const Lutra__ChangeBatch *batch; /* apply */
    size_t group;                    /* where it waits */
    uint32_t row;
    size_t offset;

    char *to; /* commit */
    uint64_t process_id;
    char source_identity[256];
    bool sent; /* the outcome has to be found out */
};

struct mem_target {
    struct lutra_target target;
    struct mem_conn conn;
    struct lutra_mem_db *db;
    char pipeline[64];
    struct lutra_timer *timer;
    struct call *first, **end;
    bool frozen;
    bool unit_failed;
    bool ring_seen; /* this connection has shown the newest unit */
    struct lutra_error failure;
    uint64_t fence, previous_unit; /* of the open unit */
    struct lutra_target_stats stats;
};

/* What a step came to: finished (with *err set or not), or to be tried again. */
enum step { STEP_DONE, STEP_WAIT };

static struct mem_target *mem_target_of(struct lutra_target *target)
{
    return (struct mem_target *)target;
}

/* ---- The queue ---- */

static void call_free(struct call *call)
{
    lutra_ring_fini(&call->ring);
    lutra_epoch_check_fini(&call->check);
    lutra_auto_free(&call->begin.low);
    lutra_auto_free(&call->begin.from);
    lutra_free(call->to);
    lutra_free(call);
}

static void wake(struct mem_target *t, uint64_t delay_ms)
{
    if (t->first && !t->frozen) {
        lutra_timer_start(t->timer, delay_ms);
    }
}

static uint64_t call_delay_ms(struct mem_target *t)
{
    const struct lutra_mem_db_faults *faults = &t->db->faults;
    if (faults->delay_max_ms <= faults->delay_min_ms) {
        return faults->delay_min_ms;
    }
    return faults->delay_min_ms +
           lutra_loop_random(t->db->loop) % (faults->delay_max_ms - faults->delay_min_ms + 1);
}

static struct call *
call_new(struct mem_target *t, enum call_kind kind, lutra_target_fn done, void *arg)
{
    struct call *call = LUTRA_NEW(struct call);
    call->kind = kind;
    call->done = done;
    call->arg = arg;
    *t->end = call;
    t->end = &call->next;
    if (t->first == call) {
        wake(t, call_delay_ms(t));
    }
    return call;
}

/* ---- The connection ---- */

static int connect_server(struct mem_target *t, struct lutra_error *err)
{
    if (t->conn.connected) {
        return 0;
    }
    if (t->conn.killed) {
        t->conn.killed = false;
        return lutra_error_set(err, LUTRA_RETRY, CR_LOST, "lost connection to the target");
    }
    if (t->db->faults.down) {
        return lutra_error_set(err, LUTRA_RETRY, 2003, "the target cannot be reached");
    }
    t->conn.connected = true;
    t->ring_seen = false;
    t->stats.reconnects++;
    return 0;
}

static void lose_connection(struct mem_target *t)
{
    mem_kill(&t->conn);
    t->conn.killed = false;
}

/* True while the call may go on waiting; false when limit_ms is over. */
static bool may_wait(struct mem_target *t, struct call *call, uint64_t limit_ms)
{
    uint64_t now_ms = lutra_loop_now_ms(t->db->loop);
    if (!call->waiting) {
        call->waiting = true;
        call->since_ms = now_ms;
    }
    return now_ms - call->since_ms < limit_ms;
}

static void roll_back(struct mem_target *t)
{
    mem_tx_rollback(&t->conn.tx);
    t->unit_failed = false;
    t->conn.killed = false;
}

static struct lutra_slot *slot_copy(struct lutra_slot *dst, const struct lutra_slot *src)
{
    *dst = *src;
    dst->from = lutra_strdup(src->from);
    dst->to = lutra_strdup(src->to);
    dst->low = lutra_strdup(src->low);
    return dst;
}

/* ---- Calls ---- */

static enum step step_prepare(struct mem_target *t, struct lutra_error *err)
{
    roll_back(t);
    if (connect_server(t, err) == 0) {
        mem_pipeline_make(t->db, t->pipeline);
    }
    return STEP_DONE;
}

static void kill_holders(struct mem_target *t, struct mem_pipeline *pipeline)
{
    for (struct mem_conn *conn = t->db->conns; conn; conn = conn->next) {
        if (conn != &t->conn && conn->tx.open && conn->tx.pipeline == pipeline) {
            mem_kill(conn);
            t->stats.kills++;
        }
    }
}

static enum step step_make_epoch(struct mem_target *t, struct call *call, struct lutra_error *err)
{
    roll_back(t);
    if (connect_server(t, err)) {
        return STEP_DONE;
    }
    struct mem_pipeline *pipeline = mem_pipeline_make(t->db, t->pipeline);
    int64_t now_ms = lutra_loop_wall_us(t->db->loop) / 1000;
    for (size_t i = 0; i < LUTRA_RING_SLOTS; i++) {
        if (pipeline->holder[i]) {
            if (!may_wait(t, call, EPOCH_LOCK_WAIT_MS)) {
                kill_holders(t, pipeline);
                call->waiting = false;
            }
            return STEP_WAIT;
        }
    }
    for (size_t i = 0; i < LUTRA_RING_SLOTS; i++) {
        slot_copy(&call->ring.slots[i], &pipeline->slots[i])->age_ms =
            now_ms - pipeline->written_ms[i];
    }
    call->ring.n = LUTRA_RING_SLOTS;
    call->ring.read_at_ms = now_ms;
    if (call->check.check && call->check.check(&call->ring, call->check.arg, err)) {
        return STEP_DONE;
    }
    uint64_t highest = call->control_epoch ? call->control_epoch - 1 : 0;
    for (size_t i = 0; i < LUTRA_RING_SLOTS; i++) {
        if (call->mine && pipeline->slots[i].fence != call->mine) {
            lutra_error_set(err, LUTRA_FENCED, 0,
                            "slot %zu of %s shows fence %" PRIu64 ", not %" PRIu64, i, t->pipeline,
                            pipeline->slots[i].fence, call->mine);
            return STEP_DONE;
        }
        highest = pipeline->slots[i].fence > highest ? pipeline->slots[i].fence : highest;
    }
    call->fence = highest + 1;
    for (size_t i = 0; i < LUTRA_RING_SLOTS; i++) {
        struct lutra_slot *slot = &pipeline->slots[i];
        slot->fence = slot->epoch = call->fence;
        memcpy(slot->nonce, call->nonce, sizeof(slot->nonce));
        pipeline->written_ms[i] = now_ms;
        call->ring.slots[i].fence = call->ring.slots[i].epoch = call->fence;
        memcpy(call->ring.slots[i].nonce, call->nonce, sizeof(slot->nonce));
    }
    t->ring_seen = true;
    return STEP_DONE;
}

/* As see_ring in target_unit.c. */
static bool ring_shows(struct mem_target *t,
                       const struct mem_pipeline *pipeline,
                       const struct lutra_unit_begin *begin)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < LUTRA_RING_SLOTS; i++) {
        if (i != begin->slot && pipeline->slots[i].unit > newest) {
            newest = pipeline->slots[i].unit;
        }
    }
    t->ring_seen = t->ring_seen || begin->last_unit == 0 || newest == begin->last_unit;
    return t->ring_seen;
}

static enum step step_begin(struct mem_target *t, struct call *call, struct lutra_error *err)
{
    const struct lutra_unit_begin *begin = &call->begin;
    struct mem_tx *tx = &t->conn.tx;
    if (tx->open) {
        lutra_error_set(err, LUTRA_BUG, 0, "a unit is open");
        return STEP_DONE;
    }
    if (connect_server(t, err)) {
        return STEP_DONE;
    }
    struct mem_pipeline *pipeline = mem_pipeline_of(t->db, t->pipeline);
    if (!pipeline || begin->slot >= LUTRA_RING_SLOTS) {
        lutra_error_set(err, LUTRA_FENCED, 0, "checkpoint slot %" PRIu32 " of %s is not there",
                        begin->slot, t->pipeline);
        return STEP_DONE;
    }
    if (pipeline->holder[begin->slot]) {
        if (may_wait(t, call, ROW_LOCK_WAIT_MS)) {
            return STEP_WAIT;
        }
        lutra_error_set(err, LUTRA_RETRY, ER_LOCK_WAIT, "lock wait time-out on the checkpoint");
        return STEP_DONE;
    }
    struct lutra_slot *slot = &pipeline->slots[begin->slot];
    if (slot->fence != begin->fence || slot->unit != begin->previous_unit) {
        lutra_error_set(err, LUTRA_FENCED, 0,
                        "slot %" PRIu32 " of %s shows fence %" PRIu64 " unit %" PRIu64
                        ", not %" PRIu64 " unit %" PRIu64,
                        begin->slot, t->pipeline, slot->fence, slot->unit, begin->fence,
                        begin->previous_unit);
        return STEP_DONE;
    }
    if (!ring_shows(t, pipeline, begin)) {
        lutra_error_set(err, LUTRA_FENCED, 0,
                        "the checkpoint of %s does not end with unit %" PRIu64, t->pipeline,
                        begin->last_unit);
        return STEP_DONE;
    }
    tx->open = true;
    tx->pipeline = pipeline;
    tx->slot = slot;
    pipeline->holder[begin->slot] = tx;
    slot_copy(&tx->pending, slot);
    tx->pending.fence = begin->fence; /* the writer's, for the history */
    tx->pending.unit = begin->unit;
    tx->pending.low_process_id = begin->low_process_id;
    mem_slot_set(&tx->pending.from, begin->from);
    mem_slot_set(&tx->pending.low, begin->low);
    t->fence = begin->fence;
    t->previous_unit = begin->previous_unit;
    return STEP_DONE;
}

static void row_error(const Lutra__ChangeBatch *batch,
                      const Lutra__RowGroup *group,
                      const struct lutra_value *before,
                      const struct lutra_value *after,
                      enum mem_result result,
                      struct lutra_error *err)
{
    struct lutra_buf text = {0};
    lutra_row_message(&text, batch, group, before, after,
                      result == MEM_DUPLICATE ? "duplicate key" : "no such row");
    lutra_error_set(err, LUTRA_DATA, result == MEM_DUPLICATE ? ER_DUP : ER_NO_ROW, "%s",
                    lutra_buf_cstr(&text));
    lutra_buf_fini(&text);
}

/* The group's rows from where the call stands. */
static enum step apply_group(struct mem_target *t,
                             struct call *call,
                             struct mem_table *table,
                             const size_t *map,
                             struct lutra_value *values,
                             struct lutra_error *err)
{
    const Lutra__RowGroup *group = call->batch->groups[call->group];
    size_t n = call->batch->tables[group->table]->n_columns;
    bool update = group->op == LUTRA__ROW_GROUP__OP__UPDATE;
    while (call->row < group->n_rows) {
        struct lutra_cur cur =
            lutra_cur_of(group->rows.data + call->offset, group->rows.len - call->offset);
        for (size_t i = 0; i < n * (update ? 2 : 1); i++) {
            if (lutra_values_next(&cur, &values[i], err)) {
                return STEP_DONE;
            }
        }
        enum mem_result result = update ? mem_update(&t->conn.tx, table, map, values, values + n, n)
                                 : group->op == LUTRA__ROW_GROUP__OP__INSERT
                                     ? mem_insert(&t->conn.tx, table, map, values, n)
                                     : mem_delete(&t->conn.tx, table, map, values, n);
        if (result == MEM_LOCKED) {
            if (may_wait(t, call, ROW_LOCK_WAIT_MS)) {
                return STEP_WAIT;
            }
            lutra_error_set(err, LUTRA_RETRY, ER_LOCK_WAIT, "lock wait time-out");
            return STEP_DONE;
        }
        if (result != MEM_DONE) {
            bool insert = group->op == LUTRA__ROW_GROUP__OP__INSERT;
            row_error(call->batch, group, insert ? NULL : values,
                      insert   ? values
                      : update ? values + n
                               : NULL,
                      result, err);
            return STEP_DONE;
        }
        call->waiting = false;
        call->row++;
        call->offset = group->rows.len - lutra_cur_left(&cur);
        t->stats.rows[group->op]++;
        t->stats.statements++;
        t->conn.tx.n_changes++;
    }
    call->row = 0;
    call->offset = 0;
    return STEP_DONE;
}

static enum step step_apply(struct mem_target *t, struct call *call, struct lutra_error *err)
{
    if (t->conn.killed) {
        lutra_error_set(err, LUTRA_RETRY, CR_LOST, "lost connection to the target");
        return STEP_DONE;
    }
    if (!t->conn.tx.open) {
        lutra_error_set(err, LUTRA_BUG, 0, "no unit is open");
        return STEP_DONE;
    }
    if (!call->waiting && t->db->faults.fail_apply) {
        t->db->faults.fail_apply--;
        lutra_error_set(err, LUTRA_RETRY, ER_DEADLOCK, "deadlock found when trying to get lock");
        return STEP_DONE;
    }
    enum step step = STEP_DONE;
    for (; step == STEP_DONE && err->class == LUTRA_OK && call->group < call->batch->n_groups;
         call->group += step == STEP_DONE) {
        const Lutra__RowGroup *group = call->batch->groups[call->group];
        const Lutra__Table *message = call->batch->tables[group->table];
        size_t *map = lutra_alloc(message->n_columns * sizeof(*map) + 1);
        struct lutra_value *values = lutra_alloc(2 * message->n_columns * sizeof(*values) + 1);
        struct mem_table *table = mem_table_of(t->db, message, map, err);
        if (table) {
            step = apply_group(t, call, table, map, values, err);
        }
        lutra_free(map);
        lutra_free(values);
    }
    return step;
}

/* The connection was lost while COMMIT was under way: what does the slot say? */
static enum step resolve_commit(struct mem_target *t, struct call *call, struct lutra_error *err)
{
    struct lutra_error ignored = {0};
    if (connect_server(t, &ignored)) {
        if (may_wait(t, call, LOOK_UP_MS)) {
            return STEP_WAIT;
        }
        lutra_error_set(err, LUTRA_RETRY, LUTRA_TARGET_UNKNOWN,
                        "what became of COMMIT of unit %" PRIu64 " is not known yet: %s",
                        call->begin.unit, ignored.msg);
        return STEP_DONE;
    }
    struct mem_pipeline *pipeline = mem_pipeline_make(t->db, t->pipeline);
    const struct lutra_slot *slot = &pipeline->slots[call->begin.slot];
    if (pipeline->holder[call->begin.slot]) {
        return STEP_WAIT;
    }
    if (slot->fence != t->fence) {
        lutra_error_set(err, LUTRA_FENCED, 0,
                        "slot %" PRIu32 " of %s shows fence %" PRIu64 ", not %" PRIu64, slot->slot,
                        t->pipeline, slot->fence, t->fence);
    } else if (slot->unit != call->begin.unit) {
        lutra_error_set(err, LUTRA_RETRY, CR_LOST,
                        "lost connection to the target during COMMIT; unit %" PRIu64
                        " is not there",
                        call->begin.unit);
    }
    return STEP_DONE;
}

static enum step step_commit(struct mem_target *t, struct call *call, struct lutra_error *err)
{
    struct mem_tx *tx = &t->conn.tx;
    if (call->sent) {
        return resolve_commit(t, call, err);
    }
    if (t->conn.killed) {
        lutra_error_set(err, LUTRA_RETRY, CR_LOST, "lost connection to the target");
        return STEP_DONE;
    }
    if (!tx->open) {
        lutra_error_set(err, LUTRA_BUG, 0, "no unit is open");
        return STEP_DONE;
    }
    mem_slot_set(&tx->pending.to, call->to);
    tx->pending.process_id = call->process_id;
    memcpy(tx->pending.source_identity, call->source_identity, sizeof(call->source_identity));
    call->begin.slot = tx->slot->slot;
    call->begin.unit = tx->pending.unit;
    if (t->db->faults.lose_commit) {
        t->db->faults.lose_commit--;
        lose_connection(t);
        t->db->faults.down = t->db->faults.down_when_lost;
        call->sent = true;
        return STEP_WAIT;
    }
    mem_tx_commit(t->db, tx);
    if (t->db->faults.lose_commit_reply) {
        t->db->faults.lose_commit_reply--;
        lose_connection(t);
        t->db->faults.down = t->db->faults.down_when_lost;
        call->sent = true;
        return STEP_WAIT;
    }
    return STEP_DONE;
}

static enum step step_rollback(struct mem_target *t, struct lutra_error *err)
{
    roll_back(t);
    (void)connect_server(t, err); /* its error is the call's */
    return STEP_DONE;
}

static enum step step_call(struct mem_target *t, struct call *call, struct lutra_error *err)
{
    bool of_unit =
        call->kind == CALL_BEGIN || call->kind == CALL_APPLY || call->kind == CALL_COMMIT;
    if (of_unit && t->unit_failed) {
        *err = t->failure;
        return STEP_DONE;
    }
    enum step step = STEP_DONE;
    switch (call->kind) {
    case CALL_PREPARE:
        return step_prepare(t, err);
    case CALL_MAKE_EPOCH:
        return step_make_epoch(t, call, err);
    case CALL_ROLLBACK:
        return step_rollback(t, err);
    case CALL_BEGIN:
        step = step_begin(t, call, err);
        break;
    case CALL_APPLY:
        step = step_apply(t, call, err);
        break;
    case CALL_COMMIT:
        step = step_commit(t, call, err);
        break;
    }
    if (err->class != LUTRA_OK) {
        mem_tx_rollback(&t->conn.tx);
        t->unit_failed = true;
        t->failure = *err;
    }
    return step;
}

static void on_timer_cb(void *arg)
{
    struct mem_target *t = arg;
    struct call *call = t->first;
    struct lutra_error err = {0};
    if (!call || t->frozen) {
        return;
    }
    if (step_call(t, call, &err) == STEP_WAIT) {
        wake(t, POLL_MS);
        return;
    }
    t->first = call->next;
    t->end = t->first ? t->end : &t->first;
    t->stats.round_trips++;
    wake(t, call_delay_ms(t));
    const struct lutra_error *result = err.class == LUTRA_OK ? NULL : &err;
    if (call->epoch_done) {
        call->epoch_done(result ? NULL : &call->ring, call->fence, result, call->arg);
    } else if (call->done) {
        call->done(result, call->arg);
    }
    call_free(call);
}

/* ---- The port ---- */

static void mem_prepare(struct lutra_target *target, lutra_target_fn done, void *arg)
{
    call_new(mem_target_of(target), CALL_PREPARE, done, arg);
}

static void mem_make_epoch(
    struct lutra_target *target,
    uint64_t control_epoch,
    uint64_t mine,
    const char *nonce,
    struct lutra_epoch_check check,
    void (*done)(const struct lutra_ring *, uint64_t, const struct lutra_error *, void *),
    void *arg)
{
    struct call *call = call_new(mem_target_of(target), CALL_MAKE_EPOCH, NULL, arg);
    call->epoch_done = done;
    call->control_epoch = control_epoch;
    call->mine = mine;
    call->check = check;
    snprintf(call->nonce, sizeof(call->nonce), "%s", nonce);
}

static void mem_begin(struct lutra_target *target, const struct lutra_unit_begin *unit)
{
    struct call *call = call_new(mem_target_of(target), CALL_BEGIN, NULL, NULL);
    call->begin = *unit;
    call->begin.low = lutra_strdup(unit->low);
    call->begin.from = lutra_strdup(unit->from);
}

static void mem_apply(struct lutra_target *target,
                      const Lutra__ChangeBatch *batch,
                      lutra_target_fn done,
                      void *arg)
{
    call_new(mem_target_of(target), CALL_APPLY, done, arg)->batch = batch;
}

static void mem_commit(struct lutra_target *target,
                       const struct lutra_unit_end *end,
                       lutra_target_fn done,
                       void *arg)
{
    struct call *call = call_new(mem_target_of(target), CALL_COMMIT, done, arg);
    call->to = lutra_strdup(end->to);
    call->process_id = end->process_id;
    snprintf(call->source_identity, sizeof(call->source_identity), "%s", end->source_identity);
}

static void mem_rollback(struct lutra_target *target, lutra_target_fn done, void *arg)
{
    call_new(mem_target_of(target), CALL_ROLLBACK, done, arg);
}

static void mem_close(struct lutra_target *target)
{
    struct mem_target *t = mem_target_of(target);
    lutra_timer_stop(t->timer);
    while (t->first) {
        struct call *call = t->first;
        t->first = call->next;
        call_free(call);
    }
    t->end = &t->first;
    lose_connection(t);
    t->unit_failed = false;
}

static void mem_free(struct lutra_target *target)
{
    struct mem_target *t = mem_target_of(target);
    mem_close(target);
    lutra_timer_free(t->timer);
    if (t->conn.prev) {
        t->conn.prev->next = t->conn.next;
    } else {
        t->db->conns = t->conn.next;
    }
    if (t->conn.next) {
        t->conn.next->prev = t->conn.prev;
    }
    lutra_free(t);
}

static void mem_stats(const struct lutra_target *target, struct lutra_target_stats *stats)
{
    *stats = ((const struct mem_target *)target)->stats;
}

static const struct lutra_target_ops mem_ops = {
    .prepare = mem_prepare,
    .make_epoch = mem_make_epoch,
    .begin = mem_begin,
    .apply = mem_apply,
    .commit = mem_commit,
    .rollback = mem_rollback,
    .close = mem_close,
    .free = mem_free,
    .stats = mem_stats,
};

struct lutra_target *lutra_target_mem_new(struct lutra_mem_db *db, const char *pipeline)
{
    struct mem_target *t = LUTRA_NEW(struct mem_target);
    t->target.ops = &mem_ops;
    t->db = db;
    t->end = &t->first;
    snprintf(t->pipeline, sizeof(t->pipeline), "%s", pipeline);
    t->timer = lutra_timer_new(db->loop, on_timer_cb, t);
    t->conn.next = db->conns;
    if (t->conn.next) {
        t->conn.next->prev = &t->conn;
    }
    db->conns = &t->conn;
    return &t->target;
}

void lutra_target_mem_freeze(struct lutra_target *target, bool frozen)
{
    struct mem_target *t = mem_target_of(target);
    t->frozen = frozen;
    if (frozen) {
        lutra_timer_stop(t->timer);
    } else {
        wake(t, 0);
    }
}
