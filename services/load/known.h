/* Did the target go back in time? What it is known to have had (from ZooKeeper, and from this
 * owner's own memory) against what its slots show, as pure functions (docs/PROTOCOL.md §7.4).
 *
 * Known is always a lower bound: origins and positions are written after the target committed. A
 * consistent older image of a target is safe to go on from, since rows and checkpoint are of one
 * moment; it is refused because it is hardly what somebody wanted, and told by name. Only what a
 * failover loses (target_may_lose) goes on by itself. */
#ifndef LUTRA_LOAD_KNOWN_H
#define LUTRA_LOAD_KNOWN_H

#include "db/target.h"
#include "model/position.h"

struct ldr_known {
    uint64_t epoch; /* 0: nothing is known */
    uint64_t process_id;
    char *position;
    int64_t at_ms; /* wall clock: it had this then */
};

void ldr_known_fini(struct ldr_known *known);
/* The highest by epoch, then by process. */
void ldr_known_note(struct ldr_known *known,
                    uint64_t epoch,
                    uint64_t process_id,
                    const char *position,
                    int64_t at_ms);

struct ldr_expect {
    struct ldr_known known;
    enum lutra_flavor flavor;
    char *pipeline; /* for the log */
    char *accept;   /* the definition's accept_target */
    uint64_t may_lose_ms;
};
struct ldr_expect *ldr_expect_new(const struct ldr_known *known,
                                  const char *pipeline,
                                  enum lutra_flavor flavor,
                                  const char *accept,
                                  uint64_t may_lose_ms);
void ldr_expect_free(void *expect);

enum ldr_target_state {
    LDR_TARGET_FITS,
    LDR_TARGET_LOST,     /* its last moments, no more than it may */
    LDR_TARGET_ACCEPTED, /* went back, and the definition names what it holds and what it had */
    LDR_TARGET_REFUSED,
};
/* *err is set (CONFIG) when refused; it names what to put into accept_target. A malformed ring
 * fits: recovering it says what is wrong. */
enum ldr_target_state ldr_target_judge(const struct ldr_expect *expect,
                                       const struct lutra_ring *ring,
                                       struct lutra_error *err);
/* A lutra_epoch_check, by ldr_target_judge. */
int ldr_expect_check(const struct lutra_ring *ring, void *expect, struct lutra_error *err);

#endif
