/* Load and harm, drawn from the world's seed. */
#ifndef LUTRA_TEST_CHAOS_H
#define LUTRA_TEST_CHAOS_H

#include "world.h"

#define MINUTE_MS 60000u

struct world_node *world_node_of(struct world *w, const char *instance);
/* Random transactions with random pauses between them. */
void world_run_load(struct world *w, unsigned transactions, unsigned max_rows);
/* One fault: a bus, the target, ZooKeeper, a process, ... Bus and target get a delay as well. */
void world_harm(struct world *w);
/* Everything is up again, except what was lost. */
void world_heal(struct world *w);

#endif
