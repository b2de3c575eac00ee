#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/target_private.h"

enum { SHORT_LOCK_WAIT_S = 1, LOCK_WAIT_S = 5, PAUSE_MS = 100 };

/* What one attempt came to. */
enum attempt { MADE, AGAIN, FAILED };

static void read_slot(struct lutra_slot *slot, MYSQL_ROW row)
{
    slot->slot = (uint32_t)strtoul(row[0], NULL, 10);
    slot->fence = strtoull(row[1], NULL, 10);
    slot->epoch = strtoull(row[2], NULL, 10);
    snprintf(slot->nonce, sizeof(slot->nonce), "%s", row[3]);
    slot->unit = strtoull(row[4], NULL, 10);
    slot->from = lutra_strdup(row[5]);
    slot->to = lutra_strdup(row[6]);
    slot->low = lutra_strdup(row[7]);
    slot->low_process_id = strtoull(row[8], NULL, 10);
    slot->process_id = strtoull(row[9], NULL, 10);
    snprintf(slot->source_identity, sizeof(slot->source_identity), "%s", row[10]);
    slot->age_ms = strtoll(row[11], NULL, 10);
}

/* Locks all slots, in slot order since that is the primary key's, and reads them. */
static int lock_slots(struct lutra_work *work, struct lutra_ring *ring, struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(
        &work->conn, err,
        "SELECT slot, fence, epoch, nonce, unit, from_pos, to_pos, low_pos, low_process_id,"
        " process_id, source_identity, TIMESTAMPDIFF(MICROSECOND, updated_at, NOW(6)) DIV 1000"
        " FROM lutra.checkpoint WHERE pipeline='%s' ORDER BY slot FOR UPDATE",
        work->pipeline);
    MYSQL_ROW row;
    if (!result) {
        return -1;
    }
    lutra_ring_fini(ring);
    while (ring->n < LUTRA_RING_SLOTS && (row = mysql_fetch_row(result))) {
        read_slot(&ring->slots[ring->n++], row);
    }
    mysql_free_result(result);
    ring->read_at_ms = lutra_clock_wall_us() / 1000;
    if (ring->n < LUTRA_RING_SLOTS) {
        return lutra_error_set(err, LUTRA_CONFIG, LUTRA_ER_NO_SUCH_TABLE,
                               "checkpoint of pipeline %s has %zu of %d slots: was it deleted?",
                               work->pipeline, ring->n, LUTRA_RING_SLOTS);
    }
    return 0;
}

static bool is_mine(const struct lutra_work *work, const struct lutra_slot *slot, uint64_t mine)
{
    return slot->fence == mine || (work->tried_fence && slot->fence == work->tried_fence &&
                                   strcmp(slot->nonce, work->tried_nonce) == 0);
}

static int raise_fence(struct lutra_work *work,
                       uint64_t control_epoch,
                       uint64_t mine,
                       const char *nonce,
                       struct lutra_ring *ring,
                       uint64_t *fence,
                       struct lutra_error *err)
{
    uint64_t highest = control_epoch ? control_epoch - 1 : 0, affected = 0;
    for (size_t i = 0; i < ring->n; i++) {
        const struct lutra_slot *slot = &ring->slots[i];
        if (mine && !is_mine(work, slot, mine)) {
            return lutra_error_set(err, LUTRA_FENCED, 0,
                                   "slot %" PRIu32 " of %s shows fence %" PRIu64 ", not %" PRIu64,
                                   slot->slot, work->pipeline, slot->fence, mine);
        }
        highest = slot->fence > highest ? slot->fence : highest;
    }
    *fence = highest + 1;
    const struct lutra_param params[] = {
        {.number = *fence}, {.number = *fence}, {.text = nonce}, {.text = work->pipeline}};
    if (lutra_stmt_run(work,
                       "UPDATE lutra.checkpoint SET fence=?, epoch=?, nonce=? WHERE pipeline=?",
                       params, 4, &affected, err)) {
        return -1;
    }
    for (size_t i = 0; i < ring->n; i++) {
        ring->slots[i].fence = ring->slots[i].epoch = *fence;
        snprintf(ring->slots[i].nonce, sizeof(ring->slots[i].nonce), "%s", nonce);
    }
    return 0;
}

/* Named before it locks slots: a process that freezes in here is found, too. */
static int begin_fence(struct lutra_work *work, struct lutra_error *err)
{
    return lutra_work_connect(work, err) || lutra_conn_exec(&work->conn, err, "ROLLBACK") ||
                   lutra_work_lock(work, err) || lutra_work_lock_wait(work, SHORT_LOCK_WAIT_S, err)
               ? -1
               : 0;
}

static enum attempt try_epoch(struct lutra_work *work,
                              uint64_t control_epoch,
                              uint64_t mine,
                              const char *nonce,
                              const struct lutra_epoch_check *check,
                              struct lutra_ring *ring,
                              uint64_t *fence,
                              struct lutra_error *err)
{
    if (begin_fence(work, err)) {
        return FAILED;
    }
    int rc = lock_slots(work, ring, err);
    if (rc && (err->code == LUTRA_ER_NO_SUCH_TABLE || err->code == LUTRA_ER_BAD_DB)) {
        /* Somebody deleted it: empty slots, and the check says what it thinks of that. */
        lutra_error_clear(err);
        rc = lutra_work_prepare(work, err) || lutra_work_lock_wait(work, SHORT_LOCK_WAIT_S, err) ||
                     lock_slots(work, ring, err)
                 ? -1
                 : 0;
    }
    if (rc) {
        if (err->code != LUTRA_ER_LOCK_WAIT_TIMEOUT) {
            return FAILED;
        }
        /* Somebody holds a slot: a zombie that may come back, so as often as it takes. */
        return lutra_conn_exec(&work->conn, err, "ROLLBACK") || lutra_work_kill_holders(work, err)
                   ? FAILED
                   : AGAIN;
    }
    if (LUTRA_FAULT("load.slots_read")) {
        lutra_error_set(err, LUTRA_RETRY, 0, "fault load.slots_read");
        return FAILED;
    }
    if (check->check && check->check(ring, check->arg, err)) {
        return FAILED;
    }
    if (raise_fence(work, control_epoch, mine, nonce, ring, fence, err)) {
        return FAILED;
    }
    work->tried_fence = *fence;
    snprintf(work->tried_nonce, sizeof(work->tried_nonce), "%s", nonce);
    return lutra_conn_exec(&work->conn, err, "COMMIT") ||
                   lutra_work_lock_wait(work, LOCK_WAIT_S, err)
               ? FAILED
               : MADE;
}

int lutra_work_make_epoch(struct lutra_work *work,
                          uint64_t control_epoch,
                          uint64_t mine,
                          const char *nonce,
                          const struct lutra_epoch_check *check,
                          struct lutra_ring *ring,
                          uint64_t *fence,
                          struct lutra_error *err)
{
    struct lutra_error ignored = {0};
    if (work->state != LUTRA_UNIT_NONE && lutra_work_rollback(work, err)) {
        return -1;
    }
    for (;;) {
        lutra_error_clear(err);
        switch (try_epoch(work, control_epoch, mine, nonce, check, ring, fence, err)) {
        case MADE:
            work->tried_fence = 0;
            work->ring_seen = true;
            (void)LUTRA_FAULT("load.fence_made");
            LUTRA_INFO("target.epoch_made", LUTRA_F_STR("pipeline", work->pipeline),
                       LUTRA_F_U64("fence", *fence));
            return 0;
        case FAILED:
            if (lutra_mysql_error_lost(err->code)) {
                lutra_work_disconnect(work);
            } else if (lutra_conn_exec(&work->conn, &ignored, "ROLLBACK") ||
                       lutra_work_lock_wait(work, LOCK_WAIT_S, &ignored)) {
                lutra_work_disconnect(work);
            }
            return -1;
        case AGAIN:
            break;
        }
        if (!lutra_conn_wait(&work->conn, PAUSE_MS)) {
            return lutra_error_set(err, LUTRA_RETRY, 0, "interrupted");
        }
    }
}
