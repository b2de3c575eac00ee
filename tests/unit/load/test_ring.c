/* Recovery from the checkpoint ring: exactly what is committed, for every state that order: strict
 * can leave. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "load/ring.h"

static struct lutra_ring ring_of(size_t n)
{
    struct lutra_ring ring = {.n = n};
    for (size_t i = 0; i < n; i++) {
        ring.slots[i].slot = (uint32_t)i;
        ring.slots[i].from = lutra_strdup("");
        ring.slots[i].to = lutra_strdup("");
        ring.slots[i].low = lutra_strdup("");
    }
    return ring;
}

static void ring_drop(struct lutra_ring *ring)
{
    for (size_t i = 0; i < ring->n; i++) {
        lutra_free(ring->slots[i].from);
        lutra_free(ring->slots[i].to);
        lutra_free(ring->slots[i].low);
    }
}

static char *at(unsigned n)
{
    return n == 0 ? lutra_strdup("") : lutra_asprintf("binlog.000001:%u;0-1-%u", n * 100, n);
}

static void put(struct lutra_ring *ring, size_t slot, uint64_t unit, unsigned low, unsigned to)
{
    struct lutra_slot *s = &ring->slots[slot];
    lutra_free(s->from);
    lutra_free(s->to);
    lutra_free(s->low);
    s->unit = unit;
    s->from = at(low);
    s->low = at(low);
    s->to = at(to);
    s->low_process_id = low;
    s->process_id = to;
    (void)snprintf(s->source_identity, sizeof s->source_identity, "source");
}

Test(load_ring, an_empty_checkpoint_has_no_position)
{
    struct lutra_ring slots = ring_of(4);
    struct ldr_ring ring = {0};
    struct lutra_error err = {0};
    cr_assert_eq(ldr_ring_recover(&ring, LUTRA_FLAVOR_MARIADB, &slots, &err), 0, "%s", err.msg);
    cr_assert(lutra_position_is_none(&ring.position));
    cr_assert_str_eq(ring.position_text, "");
    cr_assert_eq(ring.process_id, 0);
    cr_assert_eq(ring.next_unit, 1);
    ldr_ring_fini(&ring);
    ring_drop(&slots);
}

Test(load_ring, every_number_of_units_recovers_the_last_one)
{
    for (unsigned units = 1; units <= 20; units++) {
        struct lutra_ring slots = ring_of(4);
        struct ldr_ring ring = {0};
        struct lutra_error err = {0};
        for (unsigned u = 1; u <= units; u++) {
            put(&slots, (u - 1) % 4, u, u - 1, u);
        }
        cr_assert_eq(ldr_ring_recover(&ring, LUTRA_FLAVOR_MARIADB, &slots, &err), 0, "%s", err.msg);
        LUTRA_AUTO_FREE char *expected = at(units);
        cr_assert_str_eq(ring.position_text, expected, "after %u units", units);
        cr_assert_eq(ring.process_id, units);
        cr_assert_eq(ring.next_unit, units + 1);
        cr_assert_str_eq(ring.source_identity, "source");
        cr_assert_eq(ldr_ring_pick(&ring), units < 4 ? units : units % 4,
                     "the oldest slot is next");
        ldr_ring_fini(&ring);
        ring_drop(&slots);
    }
}

Test(load_ring, an_interval_beyond_a_gap_is_refused)
{
    struct lutra_ring slots = ring_of(4);
    struct ldr_ring ring = {0};
    struct lutra_error err = {0};
    put(&slots, 0, 1, 0, 1);
    put(&slots, 1, 3, 1, 2);
    lutra_free(slots.slots[1].from);
    slots.slots[1].from = at(5);
    lutra_free(slots.slots[1].to);
    slots.slots[1].to = at(6);
    cr_assert_eq(ldr_ring_recover(&ring, LUTRA_FLAVOR_MARIADB, &slots, &err), -1);
    cr_assert_eq(err.class, LUTRA_DATA);
    cr_assert(strstr(err.msg, "gap") != NULL, "%s", err.msg);
    ldr_ring_fini(&ring);
    ring_drop(&slots);
}

Test(load_ring, a_malformed_position_is_named)
{
    struct lutra_ring slots = ring_of(4);
    struct ldr_ring ring = {0};
    struct lutra_error err = {0};
    lutra_free(slots.slots[2].to);
    slots.slots[2].to = lutra_strdup("no position at all");
    cr_assert_eq(ldr_ring_recover(&ring, LUTRA_FLAVOR_MARIADB, &slots, &err), -1);
    cr_assert_eq(err.class == LUTRA_OK, false);
    cr_assert(strstr(err.msg, "slot 2") != NULL, "%s", err.msg);
    ldr_ring_fini(&ring);
    ring_drop(&slots);
}

Test(load_ring, commits_move_forward_only)
{
    struct lutra_ring slots = ring_of(4);
    struct ldr_ring ring = {0};
    struct lutra_error err = {0};
    cr_assert_eq(ldr_ring_recover(&ring, LUTRA_FLAVOR_MARIADB, &slots, &err), 0);
    for (unsigned u = 1; u <= 9; u++) {
        LUTRA_AUTO_FREE char *to = at(u);
        cr_assert_eq(ldr_ring_committed(&ring, ldr_ring_pick(&ring), to, u, "s", &err), 0, "%s",
                     err.msg);
        cr_assert_eq(ring.process_id, u);
    }
    LUTRA_AUTO_FREE char *back = at(3);
    cr_assert_eq(ldr_ring_committed(&ring, ldr_ring_pick(&ring), back, 10, "s", &err), -1);
    cr_assert_eq(ring.process_id, 9, "a refused commit changes nothing");
    ldr_ring_fini(&ring);
    ring_drop(&slots);
}

Test(load_ring, a_batch_without_rows_moves_the_process_id)
{
    struct lutra_ring slots = ring_of(4);
    struct ldr_ring ring = {0};
    struct lutra_error err = {0};
    put(&slots, 0, 1, 0, 1);
    put(&slots, 1, 2, 1, 1); /* the position stays, an idle process was counted */
    slots.slots[1].process_id = 2;
    cr_assert_eq(ldr_ring_recover(&ring, LUTRA_FLAVOR_MARIADB, &slots, &err), 0, "%s", err.msg);
    cr_assert_eq(ring.process_id, 2);
    ldr_ring_fini(&ring);
    ring_drop(&slots);
}

/* The source was switched to another server, whose binlog files count from the beginning. */
Test(load_ring, another_source_server_has_positions_of_its_own)
{
    for (unsigned units = 5; units <= 14; units++) {
        struct lutra_ring slots = ring_of(4);
        struct ldr_ring ring = {0};
        struct lutra_error err = {0};
        LUTRA_AUTO_FREE char *last = NULL;
        for (unsigned u = 1; u <= units; u++) {
            struct lutra_slot *s = &slots.slots[(u - 1) % 4];
            put(&slots, (u - 1) % 4, u, u - 1, u);
            for (unsigned end = 0; end < 2; end++) { /* low and from; to */
                unsigned n = u - 1 + end;
                LUTRA_AUTO_FREE char *text =
                    n == 0 ? lutra_strdup("")
                           : lutra_asprintf("binlog.%06u:%u;0-1-%u", n < 5 ? 900u : 3u, n * 100, n);
                if (end) {
                    lutra_free(s->to);
                    s->to = lutra_strdup(text);
                    lutra_free(last);
                    last = lutra_strdup(text);
                } else {
                    lutra_free(s->low);
                    lutra_free(s->from);
                    s->low = lutra_strdup(text);
                    s->from = lutra_strdup(text);
                }
            }
            (void)snprintf(s->source_identity, sizeof s->source_identity, "%s/mariadb",
                           u < 5 ? "a" : "b");
        }
        cr_assert_eq(ldr_ring_recover(&ring, LUTRA_FLAVOR_MARIADB, &slots, &err), 0, "%s", err.msg);
        cr_assert_str_eq(ring.position_text, last, "after %u units", units);
        cr_assert_eq(ring.process_id, units);
        cr_assert_str_eq(ring.source_identity, "b/mariadb");
        cr_assert_eq(ldr_ring_committed(&ring, ldr_ring_pick(&ring), "binlog.000001:4;0-1-90",
                                        units + 1, "c/mariadb", &err),
                     0, "%s", err.msg);
        cr_assert_eq(ldr_ring_committed(&ring, ldr_ring_pick(&ring), "binlog.000001:3;0-1-91",
                                        units + 2, "c/mariadb", &err),
                     -1, "on one server the position only grows");
        ldr_ring_fini(&ring);
        ring_drop(&slots);
    }
}
