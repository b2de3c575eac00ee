/* No silent stall: what the owner waits for stands in its state at once, and when nothing of what
 * it has in hand moves for 30 s, it asks for a RESTART, whether or not there is a manager.
 *
 * Where managers stand for election they come first: they see all stages, and leave a planned
 * restart of an instance its time (the channel's protection). So the owner waits that long on top
 * of it. What has not reached load yet select watches in the same way (select/stall.c). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "load/pipeline.h"

enum {
    STALL_MS = 30000,
    TELL_MS = 3000,
    SETTLE_MS = 10000, /* after a connection to ZooKeeper: what is known of it may be old */
};

static uint64_t now_ms(const struct ldr_pipeline *p)
{
    return lutra_loop_now_ms(p->load->env->loop);
}

static bool has_data_in_hand(const struct ldr_pipeline *p)
{
    return p->window.count > 0 || (p->unit.open && p->unit.last_process_id > p->ring.process_id);
}

static bool has_moved(struct ldr_pipeline *p)
{
    struct ldr_progress now = {.epoch = p->epoch,
                               .next = p->window.next,
                               .consumed = p->consumed_process_id,
                               .applied = p->ring.process_id};
    bool moved = memcmp(&now, &p->progress, sizeof now) != 0;
    p->progress = now;
    return moved;
}

static void describe(const struct ldr_pipeline *p, uint64_t still_ms, char *text, size_t size)
{
    uint64_t seconds = still_ms / 1000;
    if (ldr_window_has_next(&p->window) || p->unit.executing > 0 || p->unit.committing ||
        p->unit.undoing) {
        (void)snprintf(text, size,
                       "process %" PRIu64 " is being %s for %" PRIu64 " s without an end",
                       p->unit.open ? p->unit.last_process_id : p->window.next,
                       p->unit.committing ? "committed"
                       : p->unit.undoing  ? "rolled back"
                                          : "applied",
                       seconds);
    } else if (p->window.count > 0) {
        (void)snprintf(text, size,
                       "process %" PRIu64 " has not come for %" PRIu64
                       " s although %zu later ones have",
                       p->window.next, seconds, p->window.count);
    } else {
        (void)snprintf(text, size,
                       "process %" PRIu64 " has not come for %" PRIu64
                       " s although its transaction has begun",
                       p->window.next, seconds);
    }
}

static uint64_t bound_ms(const struct ldr_pipeline *p)
{
    uint64_t base = STALL_MS;
    if (lutra_catalog_managed(p->load->catalog)) {
        base += p->view->channel->protection_ms;
    }
    return lutra_control_pace_ms(&p->view->control, p->ring.process_id, base);
}

/* Only what ZooKeeper says now counts, and a request must reach it: otherwise what is in hand would
 * be thrown away for nothing. */
static bool may_ask(const struct ldr_pipeline *p)
{
    uint64_t since = p->load->connected_ms;
    return since != 0 && now_ms(p) - since >= SETTLE_MS && p->view->permit && !p->requesting;
}

void ldr_stall_tick(struct ldr_pipeline *p)
{
    uint64_t now = now_ms(p);
    p->waits[0] = '\0';
    if (has_moved(p) || !has_data_in_hand(p)) {
        p->still_since_ms = now;
        return;
    }
    uint64_t still_ms = now - p->still_since_ms;
    if (still_ms >= TELL_MS) {
        describe(p, still_ms, p->waits, sizeof p->waits);
    }
    if (still_ms >= bound_ms(p) && may_ask(p)) {
        char reason[sizeof p->waits];
        memcpy(reason, p->waits, sizeof reason);
        ldr_request_stalled(p, reason);
    }
}
