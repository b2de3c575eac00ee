/* The checkpoint ring as pure arithmetic: what is committed, and which slot a unit may take
 * (docs/PROTOCOL.md §7.1; checked as a model: every simpler rule has a counterexample). */
#ifndef LUTRA_LOAD_RING_H
#define LUTRA_LOAD_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "db/target.h"
#include "model/position.h"

/* Order: committed units are in the order of their process ids, which number the stream through all
 * epochs and source servers. Positions are only compared where the server is the same: file and
 * offset of another member of a media group say nothing. */
struct ldr_ring_slot {
    uint64_t process_id; /* of its `to` */
    uint64_t unit;
};

struct ldr_ring {
    enum lutra_flavor flavor;
    size_t n;
    struct ldr_ring_slot slots[LUTRA_RING_SLOTS];
    struct lutra_position position; /* L: end of the gapless committed prefix */
    char *position_text;            /* the same, as it stands in the checkpoint; "" when none */
    uint64_t process_id;            /* last process wholly at or before it */
    uint64_t next_unit;
    char source_identity[256];
};

void ldr_ring_fini(struct ldr_ring *ring);
/* Works the state out from slots read under the fence's locks. -1 and DATA: a slot is malformed, or
 * holds an interval beyond a gap (which order: strict never makes). */
int ldr_ring_recover(struct ldr_ring *ring,
                     enum lutra_flavor flavor,
                     const struct lutra_ring *slots,
                     struct lutra_error *err) LUTRA_MUST_CHECK;
/* The slot of the oldest unit, whose stored `to` is at or before the committed position. There
 * always is one while nothing is in flight. */
uint32_t ldr_ring_pick(const struct ldr_ring *ring);
/* Unit `next_unit` was committed into `slot`. -1 and DATA: `to` is no position, or it or the
 * process id lies before the present one (I5). */
int ldr_ring_committed(struct ldr_ring *ring,
                       uint32_t slot,
                       const char *to,
                       uint64_t process_id,
                       const char *source_identity,
                       struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
