#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/mem.h"
#include "load/window.h"

static struct ldr_batch *batch_of(uint64_t process_id)
{
    struct ldr_batch *batch = LUTRA_NEW(struct ldr_batch);
    batch->refs = 1;
    batch->process_id = process_id;
    batch->arena = lutra_arena_new(64);
    return batch;
}

Test(load_window, any_arrival_order_is_taken_serially)
{
    srand(7);
    for (unsigned round = 0; round < 200; round++) {
        struct ldr_window window = {0};
        uint64_t order[16], expected = 100;
        ldr_window_reset(&window, expected, 16);
        for (unsigned i = 0; i < 16; i++) {
            order[i] = 100 + i;
        }
        for (unsigned i = 15; i > 0; i--) {
            unsigned j = (unsigned)rand() % (i + 1);
            uint64_t t = order[i];
            order[i] = order[j];
            order[j] = t;
        }
        for (unsigned i = 0; i < 16; i++) {
            cr_assert_eq(ldr_window_put(&window, batch_of(order[i])), LDR_PUT_TAKEN);
            struct ldr_batch *next;
            while ((next = ldr_window_take(&window)) != NULL) {
                cr_assert_eq(next->process_id, expected);
                expected++;
                ldr_batch_unref(next);
            }
        }
        cr_assert_eq(expected, 116);
        cr_assert(window.max_count <= 16);
        ldr_window_fini(&window);
    }
}

Test(load_window, duplicates_and_what_is_beyond_are_told_apart)
{
    struct ldr_window window = {0};
    ldr_window_reset(&window, 5, 4);
    struct ldr_batch *early = batch_of(4), *twice = batch_of(6), *beyond = batch_of(9);
    cr_assert_eq(ldr_window_put(&window, batch_of(6)), LDR_PUT_TAKEN);
    cr_assert_eq(ldr_window_put(&window, early), LDR_PUT_DUPLICATE);
    cr_assert_eq(ldr_window_put(&window, twice), LDR_PUT_DUPLICATE);
    cr_assert_eq(ldr_window_put(&window, beyond), LDR_PUT_BEYOND);
    cr_assert_null(ldr_window_take(&window));
    cr_assert_eq(ldr_window_oldest(&window)->process_id, 6);
    ldr_batch_unref(early);
    ldr_batch_unref(twice);
    ldr_batch_unref(beyond);
    ldr_window_fini(&window);
}

Test(load_window, offsets_are_committed_as_a_contiguous_prefix)
{
    struct ldr_offsets offsets = {0};
    ldr_offsets_push(&offsets, 10, 11, false);
    ldr_offsets_push(&offsets, 11, 12, true);
    ldr_offsets_push(&offsets, 12, 15, false); /* three chunks */
    ldr_offsets_push(&offsets, 15, 16, false);
    cr_assert_eq(ldr_offsets_advance(&offsets), -1);
    ldr_offsets_done(&offsets, 12);
    cr_assert_eq(ldr_offsets_advance(&offsets), -1);
    ldr_offsets_done(&offsets, 10);
    cr_assert_eq(ldr_offsets_advance(&offsets), 15);
    ldr_offsets_done(&offsets, 15);
    cr_assert_eq(ldr_offsets_advance(&offsets), 16);
    for (int64_t i = 16; i < 1000; i++) {
        ldr_offsets_push(&offsets, i, i + 1, true);
    }
    cr_assert_eq(offsets.n, 1, "a run of dropped messages is one entry");
    cr_assert_eq(ldr_offsets_advance(&offsets), 1000);
    ldr_offsets_fini(&offsets);
}
