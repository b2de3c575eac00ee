/* Looks on while a world runs, at every step, not at its end: what any reader of the target, of
 * the topics and of ZooKeeper may see at any time. A breach fails the test where it happens. */
#ifndef LUTRA_TEST_WORLD_AUDIT_H
#define LUTRA_TEST_WORLD_AUDIT_H

#include "world.h"

/* At each COMMIT of the target:
 * - I1, I2, I4: the target holds what the source held at the position that the unit ends at, all
 *   of it and nothing else;
 * - I3, I5, I6: position, process id, epoch and the writer's fence never fall.
 * In the topics of bus "default": (epoch, processId) has one content for ever; termin says applied
 * of committed processes only. In ZooKeeper: the origin's epoch never falls, each epoch is
 * published once, none that the target does not have, each where the target ended; control's epoch
 * never falls. */
struct world_audit *world_audit_new(struct world *w);
void world_audit_free(struct world_audit *audit);
/* The source has committed: this is what it holds from here on. */
void world_audit_source(struct world_audit *audit);
/* The highest that is committed. */
uint64_t world_audit_process_id(const struct world_audit *audit);
/* What ZooKeeper says may be older than what it said. */
void world_audit_zookeeper_restored(struct world_audit *audit);
/* So may what the target holds. */
void world_audit_target_restored(struct world_audit *audit);
/* The target has several members: looks at the topics and at ZooKeeper alone from now on. */
void world_audit_leave_target(struct world_audit *audit);
/* Writes some of the messages seen so far once more, as a process that was long away does: into
 * the topics that they came from, to any partition. */
void world_audit_replay(struct world_audit *audit, unsigned n);

#endif
