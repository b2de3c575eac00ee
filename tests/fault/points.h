/* The table of the suite: every fault point of the services (docs/PROTOCOL.md §12), who meets it
 * and how it is brought about. */
#ifndef LUTRA_TEST_FAULT_POINTS_H
#define LUTRA_TEST_FAULT_POINTS_H

#include <stddef.h>

enum fault_role {
    ROLE_SELECT, /* the owner */
    ROLE_SELECT_STANDBY,
    ROLE_EXTRACT, /* one that has a partition */
    ROLE_TRANSFORM,
    ROLE_LOAD,
    ROLE_LOAD_STANDBY,
    ROLE_MANAGER, /* the leader */
};

enum fault_trigger {
    BY_TRAFFIC,   /* the load that is under way anyhow */
    BY_TAKE_OVER, /* the owner is killed */
    BY_RESTART,   /* lutractl restart */
    BY_START,     /* lutractl start, of a channel that runs */
    BY_APPLY,     /* lutractl apply, of a new channel */
};

struct fault_point {
    const char *name;
    enum fault_role role;
    enum fault_trigger trigger;
    unsigned max_hit; /* the n-th hit, drawn from 1..max_hit */
};

extern const struct fault_point fault_points[];
extern const size_t n_fault_points;

enum fault_kind { FAULT_KILL, FAULT_STOP, FAULT_PARTITION, N_FAULTS };
extern const char *const fault_names[N_FAULTS]; /* "kill", "stop", "partition" */

#endif
