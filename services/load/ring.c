#include "load/ring.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void ldr_ring_fini(struct ldr_ring *ring)
{
    lutra_position_fini(&ring->position);
    lutra_free(ring->position_text);
    *ring = (struct ldr_ring){0};
}

static void ring_move_to(struct ldr_ring *ring,
                         const struct lutra_position *position,
                         const char *text,
                         uint64_t process_id)
{
    lutra_position_copy(&ring->position, position);
    lutra_free(ring->position_text);
    ring->position_text = lutra_strdup(text);
    ring->process_id = process_id;
}

/* L := the largest low, with the process id that was written with it. */
static int
ring_start_at_low(struct ldr_ring *ring, const struct lutra_ring *slots, struct lutra_error *err)
{
    ring->position_text = lutra_strdup("");
    for (size_t i = 0; i < slots->n; i++) {
        const struct lutra_slot *slot = &slots->slots[i];
        struct lutra_position low = {0};
        if (lutra_position_parse(ring->flavor, slot->low, &low, err)) {
            return lutra_error_wrap(err, "checkpoint slot %u: low", slot->slot);
        }
        if (slot->low_process_id > ring->process_id) {
            ring_move_to(ring, &low, slot->low, slot->low_process_id);
            (void)snprintf(ring->source_identity, sizeof ring->source_identity, "%s",
                           slot->source_identity);
        }
        lutra_position_fini(&low);
    }
    return 0;
}

/* Does an interval that begins at `from` begin at or before the end of the prefix? The server may
 * have changed in between: GTIDs say it then, where file and offset do not. */
static bool
ring_touches(const struct ldr_ring *ring, const struct lutra_position *from, const char *from_text)
{
    if (strcmp(from_text, ring->position_text) == 0) {
        return true;
    }
    if (from->gtids && ring->position.gtids) {
        return lutra_gtid_set_includes(ring->position.gtids, from->gtids);
    }
    return lutra_position_cmp(from, &ring->position) <= 0;
}

/* Extends L by one interval that begins at or before it and ends after it. 1: extended, 0: none,
 * -1: malformed. */
static int
ring_extend(struct ldr_ring *ring, const struct lutra_ring *slots, struct lutra_error *err)
{
    for (size_t i = 0; i < slots->n; i++) {
        const struct lutra_slot *slot = &slots->slots[i];
        struct lutra_position from = {0}, to = {0};
        if (slot->process_id <= ring->process_id) {
            continue;
        }
        if (lutra_position_parse(ring->flavor, slot->from, &from, err)) {
            return lutra_error_wrap(err, "checkpoint slot %u: from", slot->slot);
        }
        bool touches = ring_touches(ring, &from, slot->from);
        lutra_position_fini(&from);
        if (!touches) {
            continue;
        }
        if (lutra_position_parse(ring->flavor, slot->to, &to, err)) {
            return lutra_error_wrap(err, "checkpoint slot %u: to", slot->slot);
        }
        ring_move_to(ring, &to, slot->to, slot->process_id);
        lutra_position_fini(&to);
        (void)snprintf(ring->source_identity, sizeof ring->source_identity, "%s",
                       slot->source_identity);
        return 1;
    }
    return 0;
}

int ldr_ring_recover(struct ldr_ring *ring,
                     enum lutra_flavor flavor,
                     const struct lutra_ring *slots,
                     struct lutra_error *err)
{
    ldr_ring_fini(ring);
    ring->flavor = flavor;
    if (slots->n == 0 || slots->n > LUTRA_RING_SLOTS) {
        return lutra_error_set(err, LUTRA_DATA, 0, "the checkpoint has %zu slots, expected 1..%d",
                               slots->n, LUTRA_RING_SLOTS);
    }
    ring->n = slots->n;
    for (size_t i = 0; i < slots->n; i++) {
        const struct lutra_slot *slot = &slots->slots[i];
        if (slot->slot != i) {
            return lutra_error_set(err, LUTRA_DATA, 0, "checkpoint slot %zu is missing", i);
        }
        struct lutra_position to = {0};
        if (lutra_position_parse(flavor, slot->to, &to, err)) {
            return lutra_error_wrap(err, "checkpoint slot %u: to", slot->slot);
        }
        lutra_position_fini(&to);
        ring->slots[i].process_id = slot->process_id;
        ring->slots[i].unit = slot->unit;
        if (slot->unit >= ring->next_unit) {
            ring->next_unit = slot->unit + 1;
        }
    }
    if (ring_start_at_low(ring, slots, err)) {
        return -1;
    }
    int extended;
    do {
        extended = ring_extend(ring, slots, err);
    } while (extended > 0);
    if (extended < 0) {
        return -1;
    }
    for (size_t i = 0; i < ring->n; i++) {
        if (ring->slots[i].process_id > ring->process_id) {
            return lutra_error_set(err, LUTRA_DATA, 0,
                                   "checkpoint slot %zu ends at %s, beyond a gap after %s", i,
                                   slots->slots[i].to, ring->position_text);
        }
    }
    return 0;
}

uint32_t ldr_ring_pick(const struct ldr_ring *ring)
{
    /* The oldest unit: neighbouring units then never wait for one row, and the ring keeps the
     * longest history. */
    uint32_t best = 0;
    for (uint32_t i = 1; i < ring->n; i++) {
        if (ring->slots[i].unit < ring->slots[best].unit) {
            best = i;
        }
    }
    LUTRA_ASSERT(ring->slots[best].process_id <= ring->process_id);
    return best;
}

int ldr_ring_committed(struct ldr_ring *ring,
                       uint32_t slot,
                       const char *to,
                       uint64_t process_id,
                       const char *source_identity,
                       struct lutra_error *err)
{
    struct lutra_position position = {0};
    if (lutra_position_parse(ring->flavor, to, &position, err)) {
        return -1;
    }
    bool same_source = strcmp(source_identity, ring->source_identity) == 0;
    if ((same_source && lutra_position_cmp(&position, &ring->position) < 0) ||
        process_id < ring->process_id) {
        (void)lutra_error_set(err, LUTRA_DATA, 0,
                              "position %s (process %lu) lies before %s (process %lu)", to,
                              process_id, ring->position_text, ring->process_id);
        lutra_position_fini(&position);
        return -1;
    }
    ring->slots[slot].process_id = process_id;
    ring->slots[slot].unit = ring->next_unit++;
    ring_move_to(ring, &position, to, process_id);
    (void)snprintf(ring->source_identity, sizeof ring->source_identity, "%s", source_identity);
    lutra_position_fini(&position);
    return 0;
}
