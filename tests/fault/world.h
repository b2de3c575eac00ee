/* The installation that many cells of the table share: two managers, two of each service, their
 * servers, and traffic. Where the machine gives network namespaces each process has one of its own
 * and the servers are private ones; else the shared servers are used and nothing can be cut off. */
#ifndef LUTRA_TEST_FAULT_WORLD_H
#define LUTRA_TEST_FAULT_WORLD_H

#include "cluster.h"
#include "points.h"
#include "traffic.h"

enum { WORLD_SERVICES = 5, WORLD_INSTANCES = 2 };

struct world {
    struct cluster c;
    struct traffic *traffic;
    unsigned session_ms;
    bool apart; /* processes have namespaces */
};

/* Why nothing can be cut off here, NULL when it can; of the whole test. */
const char *world_no_partition(void);
/* Once, first of all: private servers in a namespace where that is possible. */
void world_servers(void);

/* session_ms: of ZooKeeper. Ends the test when it does not come up. */
void world_start(struct world *w, unsigned session_ms, uint64_t seed);
/* Ends every process and what was cut; nothing is checked. */
void world_end(struct world *w);

/* Starts what has ended, and waits until the pipeline is RUNNING, both owners are there and each
 * process is ready. */
void world_whole(struct world *w, uint64_t deadline_ms);
/* The process that is to meet a point. */
struct lutra_test_service *world_victim(struct world *w, enum fault_role role);
/* The other instance of the same service. */
struct lutra_test_service *world_other(struct world *w, const struct lutra_test_service *service);
void world_restart(struct world *w, struct lutra_test_service *service);
/* Does it stand still by SIGSTOP? */
bool world_stopped(const struct lutra_test_service *service);
/* Nothing comes to the process or goes out of it, until it is healed. */
void world_cut(struct world *w, struct lutra_test_service *service);
void world_heal(struct world *w, struct lutra_test_service *service);
/* Sum of a number over the /state of all instances of a service that answer; 0 when none has it. */
int64_t world_sum(struct world *w, struct lutra_test_service *services, const char *key);
/* All processes, WORLD_SERVICES x WORLD_INSTANCES. */
struct lutra_test_service *world_process(struct world *w, unsigned i);

#endif
