/* `follow: auto`: the owner of a pipeline's side looks after the media group that it uses, and
 * makes another member the current one when that became the primary (docs/PROTOCOL.md §13). What
 * follows from the switch is as for any other: the load owner sees the record. Loop thread only. */
#ifndef LUTRA_DAEMON_FOLLOW_H
#define LUTRA_DAEMON_FOLLOW_H

#include "catalog/catalog.h"
#include "daemon/env.h"

enum lutra_side { LUTRA_SIDE_SOURCE, LUTRA_SIDE_TARGET };

struct lutra_follower;
/* service: "select" or "load", for the record's `by`. view: the catalog's; outlives it. */
struct lutra_follower *lutra_follower_new(const struct lutra_env *env,
                                          const char *service,
                                          struct lutra_pipeline *view,
                                          enum lutra_side side);
void lutra_follower_free(struct lutra_follower *follower);
/* active: this process owns the side, and the pipeline is not stopped. Does nothing for single
 * servers and `follow: manual`. To be called whenever something may have changed. */
void lutra_follower_update(struct lutra_follower *follower, bool active);
/* Of a source: what is applied, which a new primary must have. Copied. */
void lutra_follower_position(struct lutra_follower *follower, const char *position);
/* One line of what it sees while the current member is no primary; "" when all is well. */
const char *lutra_follower_note(const struct lutra_follower *follower);

#endif
