/* Calls of the target port, each awaited on the loop. */
#ifndef LUTRA_TEST_TARGET_SYNC_H
#define LUTRA_TEST_TARGET_SYNC_H

#include "db/target.h"

struct answer {
    bool done;
    unsigned order; /* of the completion, from 1, over all answers */
    struct lutra_error err;
    uint64_t fence;
    struct lutra_ring ring; /* a copy; strings leak into the test's end */
};

/* Completions for the port; arg is a struct answer. */
void answer_done(const struct lutra_error *err, void *arg);
void answer_epoch(const struct lutra_ring *ring,
                  uint64_t fence,
                  const struct lutra_error *err,
                  void *arg);
/* Runs the loop until it has come; false after timeout_ms. */
bool answer_wait(struct lutra_loop *loop, struct answer *answer, uint64_t timeout_ms);
void answer_fini(struct answer *answer);

/* Each returns the class of its answer; the last error is in *err (may be NULL). */
enum lutra_error_class
sync_prepare(struct lutra_loop *loop, struct lutra_target *target, struct lutra_error *err);
/* The new fence, 0 on failure. */
uint64_t sync_epoch(struct lutra_loop *loop,
                    struct lutra_target *target,
                    uint64_t control_epoch,
                    uint64_t mine,
                    struct lutra_error *err);
enum lutra_error_class sync_apply(struct lutra_loop *loop,
                                  struct lutra_target *target,
                                  const Lutra__ChangeBatch *batch,
                                  struct lutra_error *err);
enum lutra_error_class sync_commit(struct lutra_loop *loop,
                                   struct lutra_target *target,
                                   const char *to,
                                   uint64_t process_id,
                                   struct lutra_error *err);
enum lutra_error_class
sync_rollback(struct lutra_loop *loop, struct lutra_target *target, struct lutra_error *err);
/* begin on slot unit % 4, whose previous unit is given. */
void unit_begin(struct lutra_target *target, uint64_t fence, uint64_t unit, uint64_t previous);
/* A whole unit of one batch; on failure rolled back. */
enum lutra_error_class sync_unit(struct lutra_loop *loop,
                                 struct lutra_target *target,
                                 uint64_t fence,
                                 uint64_t unit,
                                 uint64_t previous,
                                 const Lutra__ChangeBatch *batch,
                                 struct lutra_error *err);

#endif
