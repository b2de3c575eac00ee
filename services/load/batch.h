/* One batch in hand: unpacked once, referenced by the window, the unit and the target's queue. */
#ifndef LUTRA_LOAD_BATCH_H
#define LUTRA_LOAD_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "bus/pipe.h"
#include "proto/batch.pb-c.h"

struct ldr_batch {
    unsigned refs;
    uint64_t process_id;
    size_t size_bytes; /* what it holds in memory */
    uint64_t rows;
    int64_t offset; /* first message of it in the load topic */
    int64_t ts_select_us;
    int64_t commit_us; /* source commit time of its last transaction; 0: none */
    struct lutra_arena *arena;
    const Lutra__ChangeBatch *change;
};

/* Unpacks and checks; one reference. NULL and DATA when the payload is malformed or contradicts its
 * envelope. */
struct ldr_batch *ldr_batch_new(const struct lutra_envelope *envelope,
                                const uint8_t *payload,
                                size_t len,
                                int64_t offset,
                                struct lutra_error *err);
struct ldr_batch *ldr_batch_ref(struct ldr_batch *batch);
void ldr_batch_unref(struct ldr_batch *batch); /* NULL is legal */

#endif
