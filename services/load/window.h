/* Re-sequencing: batches that came early wait here for those before them. Also the record of which
 * topic offsets are done with, so that only a contiguous prefix is committed. */
#ifndef LUTRA_LOAD_WINDOW_H
#define LUTRA_LOAD_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/batch.h"

struct ldr_window {
    uint64_t next; /* processId that is taken next */
    size_t capacity;
    size_t count, max_count;
    struct ldr_batch **slots; /* by process_id % capacity */
};

void ldr_window_fini(struct ldr_window *window); /* unreferences what waits */
/* Empties it; the first process taken will be `next`; at most `capacity` processes may wait. */
void ldr_window_reset(struct ldr_window *window, uint64_t next, size_t capacity);

enum ldr_window_put { LDR_PUT_TAKEN, LDR_PUT_DUPLICATE, LDR_PUT_BEYOND };
/* TAKEN consumes the caller's reference. BEYOND: further ahead than the window allows. */
enum ldr_window_put ldr_window_put(struct ldr_window *window, struct ldr_batch *batch);
/* The next batch, whose reference passes to the caller, or NULL when it has not come. */
struct ldr_batch *ldr_window_take(struct ldr_window *window);
bool ldr_window_has_next(const struct ldr_window *window);
/* The oldest that waits, or NULL. */
const struct ldr_batch *ldr_window_oldest(const struct ldr_window *window);

/* Offsets in the order they were read; done ones at the head give the offset to commit. */
struct ldr_offsets {
    struct ldr_offset {
        int64_t first, next; /* the payload's first message, and the one after its last */
        bool done;
    } * ring;
    size_t head, n, cap;
};
void ldr_offsets_fini(struct ldr_offsets *offsets);
void ldr_offsets_push(struct ldr_offsets *offsets, int64_t first, int64_t next, bool done);
void ldr_offsets_done(struct ldr_offsets *offsets, int64_t first);
void ldr_offsets_all_done(struct ldr_offsets *offsets);
/* Pops the done prefix; returns the offset to commit, or -1 when nothing new is done. */
int64_t ldr_offsets_advance(struct ldr_offsets *offsets);

#endif
