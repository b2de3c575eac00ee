/* What pipelines have left in a target: checkpoint rows and named locks. For the janitor; a worker
 * and a connection of its own. Loop thread only. */
#ifndef LUTRA_DB_LEFTOVERS_H
#define LUTRA_DB_LEFTOVERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "loop/loop.h"
#include "model/channel.h"

#define LUTRA_LEFTOVER_LOCKS 4

/* A pipeline with rows in lutra.checkpoint. */
struct lutra_leftover {
    char pipeline[64];
    int64_t idle_ms;                      /* since they were written last, by the target's clock */
    uint64_t locks[LUTRA_LEFTOVER_LOCKS]; /* the connection that holds lutra.<pipeline>.<n>, or 0 */
};

struct lutra_leftovers;
/* The endpoint is copied. Connects at each call. */
struct lutra_leftovers *lutra_leftovers_new(struct lutra_loop *loop,
                                            const struct lutra_endpoint *endpoint);
void lutra_leftovers_free(struct lutra_leftovers *leftovers); /* no callback after it */
/* list: borrowed for the call. */
void lutra_leftovers_list(struct lutra_leftovers *leftovers,
                          void (*done)(const struct lutra_leftover *list,
                                       size_t n,
                                       const struct lutra_error *err,
                                       void *arg),
                          void *arg);
/* Deletes the pipeline's checkpoint rows. */
void lutra_leftovers_delete_rows(struct lutra_leftovers *leftovers,
                                 const char *pipeline,
                                 void (*done)(const struct lutra_error *err, void *arg),
                                 void *arg);
/* Ends the connection if it still holds lock n of the pipeline. */
void lutra_leftovers_kill(struct lutra_leftovers *leftovers,
                          const char *pipeline,
                          unsigned n,
                          uint64_t connection,
                          void (*done)(const struct lutra_error *err, void *arg),
                          void *arg);

#endif
