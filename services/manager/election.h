/* Who of the managers leads: ephemeral sequential nodes, the lowest one leads. */
#ifndef LUTRA_MANAGER_ELECTION_H
#define LUTRA_MANAGER_ELECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "coord/coord.h"

struct mgr_election;
struct mgr_election *
mgr_election_new(struct lutra_coord *coord, const char *instance, const char *http);
void mgr_election_free(struct mgr_election *election); /* deletes the own node */

/* As last seen; false while not connected. */
bool mgr_election_leads(const struct mgr_election *election);
/* Reads the candidates afresh before it answers: whoever was stopped for a while, or whose timers
 * are late, must not act on what it believed before. fn is not called after a forget. */
void mgr_election_verify(struct mgr_election *election,
                         void (*fn)(bool leads, void *arg),
                         void *arg);
/* The leader's address or instance, NULL when there is none or it is not known. */
const char *mgr_election_leader_http(const struct mgr_election *election);
const char *mgr_election_leader(const struct mgr_election *election);

/* The candidates, the leader first. Borrowed until the next turn. */
struct mgr_candidate {
    const char *instance, *http;
    bool leader, self;
};
size_t
mgr_election_candidates(const struct mgr_election *election, struct mgr_candidate *out, size_t max);

#endif
