#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/target_private.h"

enum { SHORT_LOCK_WAIT_S = 1, LOCK_WAIT_S = 5, MIN_PAUSE_MS = 20, MAX_PAUSE_MS = 1000 };
enum { LOOK_UP_MS = 5000 }; /* what became of a COMMIT; then the caller's patience counts */

int lutra_work_fail(struct lutra_work *work, const struct lutra_error *err)
{
    struct lutra_error ignored = {0};
    work->failure = *err;
    work->state = LUTRA_UNIT_FAILED;
    if (lutra_mysql_error_lost(err->code) || lutra_conn_exec(&work->conn, &ignored, "ROLLBACK")) {
        lutra_work_disconnect(work);
    } else {
        lutra_stmt_forget_all(work); /* in what state the failed one is, is the library's secret */
    }
    if (err->class == LUTRA_CONFIG || err->class == LUTRA_DATA) {
        /* What is wrong may be put right by ALTER TABLE: look again next time. */
        lutra_tables_forget(work);
    }
    return -1;
}

int lutra_work_rollback(struct lutra_work *work, struct lutra_error *err)
{
    struct lutra_error lost = {0};
    if (work->state == LUTRA_UNIT_OPEN && work->conn.mysql &&
        lutra_conn_exec(&work->conn, &lost, "ROLLBACK")) {
        lutra_work_disconnect(work);
    }
    work->state = LUTRA_UNIT_NONE;
    return lutra_work_connect(work, err);
}

/* ---- begin ---- */

struct slot_state {
    uint64_t fence, unit;
};

/* A locking read: unlike a plain one it waits for a COMMIT that is still executing. */
static int read_slot(struct lutra_work *work, struct slot_state *slot, struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(&work->conn, err,
                                         "SELECT fence, unit FROM lutra.checkpoint WHERE "
                                         "pipeline='%s' AND slot=%" PRIu32 " FOR UPDATE",
                                         work->pipeline, work->slot);
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    int rc = -1;
    if (row) {
        slot->fence = strtoull(row[0], NULL, 10);
        slot->unit = strtoull(row[1], NULL, 10);
        rc = 0;
    } else if (result) {
        /* As when it is another's: to make an epoch is what looks at it. */
        lutra_error_set(err, LUTRA_FENCED, 0,
                        "slot %" PRIu32
                        " of pipeline %s is not in lutra.checkpoint: was it deleted?",
                        work->slot, work->pipeline);
    }
    if (result) {
        mysql_free_result(result);
    }
    return rc;
}

static int
fenced(const struct lutra_work *work, const struct slot_state *slot, struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_FENCED, 0,
                           "slot %" PRIu32 " of %s shows fence %" PRIu64 " unit %" PRIu64
                           ", not %" PRIu64 " unit %" PRIu64,
                           work->slot, work->pipeline, slot->fence, slot->unit, work->fence,
                           work->previous_unit);
}

/* The newest unit stands in another slot than the one that is taken: a server that lost its last
 * commits would let this one pass. Once per connection, under the slot's lock. */
static int
see_ring(struct lutra_work *work, const struct lutra_unit_begin *begin, struct lutra_error *err)
{
    if (work->ring_seen || begin->last_unit == 0) {
        return 0;
    }
    LUTRA_AUTO_FREE char *text = lutra_conn_text(
        &work->conn, err, "SELECT MAX(unit) FROM lutra.checkpoint WHERE pipeline='%s' AND slot<>%u",
        work->pipeline, begin->slot);
    if (!text) {
        return err->class != LUTRA_OK
                   ? -1
                   : lutra_error_set(err, LUTRA_FENCED, 0, "the other slots of %s are gone",
                                     work->pipeline);
    }
    uint64_t newest = strtoull(text, NULL, 10);
    if (newest != begin->last_unit) {
        return lutra_error_set(err, LUTRA_FENCED, 0,
                               "the checkpoint of %s ends with unit %" PRIu64 ", not %" PRIu64,
                               work->pipeline, newest, begin->last_unit);
    }
    work->ring_seen = true;
    return 0;
}

static int
take_slot(struct lutra_work *work, const struct lutra_unit_begin *begin, struct lutra_error *err)
{
    const struct lutra_param params[] = {
        {.number = begin->unit},  {.text = begin->from},
        {.text = begin->low},     {.number = begin->low_process_id},
        {.text = work->pipeline}, {.number = begin->slot},
        {.number = begin->fence}, {.number = begin->previous_unit},
    };
    uint64_t affected = 0;
    struct slot_state slot;
    if (LUTRA_FAULT("load.before_begin")) {
        return lutra_error_set(err, LUTRA_RETRY, 0, "fault load.before_begin");
    }
    if (lutra_work_connect(work, err) || lutra_work_lock(work, err) ||
        lutra_stmt_run(work,
                       "UPDATE lutra.checkpoint SET unit=?, from_pos=?, low_pos=?, low_process_id=?"
                       " WHERE pipeline=? AND slot=? AND fence=? AND unit=?",
                       params, 8, &affected, err)) {
        if (err->code == LUTRA_ER_NO_SUCH_TABLE || err->code == LUTRA_ER_BAD_DB) {
            err->class = LUTRA_FENCED; /* it was there: as in read_slot */
        }
        return -1;
    }
    if (affected == 1) {
        return see_ring(work, begin, err);
    }
    return read_slot(work, &slot, err) ? -1 : fenced(work, &slot, err);
}

void lutra_work_begin(struct lutra_work *work, const struct lutra_unit_begin *begin)
{
    struct lutra_error err = {0};
    if (work->state == LUTRA_UNIT_FAILED) {
        return;
    }
    if (work->state == LUTRA_UNIT_OPEN) {
        lutra_error_set(&err, LUTRA_BUG, 0, "a unit is open already");
        (void)lutra_work_fail(work, &err);
        return;
    }
    work->slot = begin->slot;
    work->fence = begin->fence;
    work->unit = begin->unit;
    work->previous_unit = begin->previous_unit;
    int rc = take_slot(work, begin, &err);
    if (rc && lutra_mysql_error_lost(err.code)) {
        /* The connection had ended while idle; nothing was written, so once more on a new one. */
        lutra_work_disconnect(work);
        lutra_error_clear(&err);
        rc = take_slot(work, begin, &err);
    }
    if (rc == 0 && LUTRA_FAULT("load.after_begin")) {
        rc = lutra_error_set(&err, LUTRA_RETRY, 0, "fault load.after_begin");
    }
    if (rc) {
        (void)lutra_work_fail(work, &err);
        return;
    }
    work->state = LUTRA_UNIT_OPEN;
}

/* ---- commit ---- */

static int
end_slot(struct lutra_work *work, const struct lutra_unit_end *end, struct lutra_error *err)
{
    const struct lutra_param params[] = {{.text = end->to},
                                         {.number = end->process_id},
                                         {.text = end->source_identity},
                                         {.text = work->pipeline},
                                         {.number = work->slot}};
    uint64_t affected = 0;
    if (lutra_stmt_run(work,
                       "UPDATE lutra.checkpoint SET to_pos=?, process_id=?, source_identity=?"
                       " WHERE pipeline=? AND slot=?",
                       params, 5, &affected, err)) {
        return -1;
    }
    if (affected != 1) {
        return lutra_error_set(err, LUTRA_RETRY, 0, "slot %" PRIu32 " of %s is not there",
                               work->slot, work->pipeline);
    }
    if (LUTRA_FAULT("load.before_commit")) {
        return lutra_error_set(err, LUTRA_RETRY, 0, "fault load.before_commit");
    }
    return 0;
}

/* In two steps, so that a test can cut the connection in between. */
static int send_commit(struct lutra_work *work, struct lutra_error *err)
{
    MYSQL *mysql = work->conn.mysql;
    work->stats.round_trips++;
    if (mysql_send_query(mysql, "COMMIT", 6)) {
        return lutra_conn_error(&work->conn, err);
    }
    if (LUTRA_FAULT("load.commit_sent")) {
        (void)shutdown((int)mysql_get_socket(mysql), SHUT_RDWR);
    }
    return mysql_read_query_result(mysql) ? lutra_conn_error(&work->conn, err) : 0;
}

static int ask_slot(struct lutra_work *work,
                    unsigned long old_id,
                    int old_lock,
                    struct slot_state *slot,
                    struct lutra_error *err)
{
    if (lutra_work_connect(work, err) || lutra_work_end_connection(work, old_id, old_lock, err) ||
        lutra_work_lock_wait(work, SHORT_LOCK_WAIT_S, err) || read_slot(work, slot, err) ||
        lutra_conn_exec(&work->conn, err, "ROLLBACK") ||
        lutra_work_lock_wait(work, LOCK_WAIT_S, err)) {
        return -1;
    }
    return 0;
}

/* The COMMIT's answer did not come, or was an error. The slot says what happened; until it does,
 * nothing is assumed. Ends without knowing when the target is closed, or cannot be asked for
 * LOOK_UP_MS: then the unit fails, and its slot decides when it is begun again (FENCED when it had
 * been committed), or an epoch is made, which reads the slots. */
static int resolve_commit(struct lutra_work *work, struct lutra_error *err)
{
    unsigned long old_id = work->conn.id;
    int old_lock = work->lock, old_code = err->code;
    struct slot_state slot;
    uint64_t pause_ms = MIN_PAUSE_MS, since_ms = lutra_clock_now_ms();
    LUTRA_WARN("target.commit_unknown", LUTRA_F_STR("pipeline", work->pipeline),
               LUTRA_F_U64("unit", work->unit), LUTRA_F_ERR(err));
    lutra_work_disconnect(work);
    while (ask_slot(work, old_id, old_lock, &slot, err)) {
        if (err->code != LUTRA_ER_LOCK_WAIT_TIMEOUT) {
            lutra_work_disconnect(work);
        }
        if (lutra_clock_now_ms() - since_ms >= LOOK_UP_MS) {
            struct lutra_error cause = *err;
            return lutra_error_set(err, LUTRA_RETRY, LUTRA_TARGET_UNKNOWN,
                                   "what became of COMMIT of unit %" PRIu64 " is not known yet: %s",
                                   work->unit, cause.msg);
        }
        if (!lutra_conn_wait(&work->conn, pause_ms)) {
            return -1;
        }
        pause_ms = pause_ms * 2 > MAX_PAUSE_MS ? MAX_PAUSE_MS : pause_ms * 2;
    }
    bool there = slot.fence == work->fence && slot.unit == work->unit;
    LUTRA_WARN("target.commit_resolved", LUTRA_F_STR("pipeline", work->pipeline),
               LUTRA_F_U64("unit", work->unit), LUTRA_F_STR("committed", there ? "yes" : "no"));
    if (there) {
        return 0;
    }
    if (slot.fence == work->fence && slot.unit == work->previous_unit) {
        return lutra_error_set(err, LUTRA_RETRY, old_code,
                               "COMMIT of unit %" PRIu64 " was lost: it is not at the target",
                               work->unit);
    }
    return fenced(work, &slot, err);
}

int lutra_work_commit(struct lutra_work *work,
                      const struct lutra_unit_end *end,
                      struct lutra_error *err)
{
    if (work->state == LUTRA_UNIT_FAILED) {
        *err = work->failure;
        return -1;
    }
    if (work->state != LUTRA_UNIT_OPEN) {
        return lutra_error_set(err, LUTRA_BUG, 0, "no unit is open");
    }
    if (end_slot(work, end, err)) {
        return lutra_work_fail(work, err);
    }
    if (send_commit(work, err) && resolve_commit(work, err)) {
        return lutra_work_fail(work, err);
    }
    work->state = LUTRA_UNIT_NONE;
    work->row_by_row = false;
    (void)LUTRA_FAULT(
        "load.after_commit"); /* nothing can fail any more: it may only crash or pause */
    return 0;
}
