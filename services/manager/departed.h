/* The marks of processes that left in order (/lutra/departed): the record that each was registered
 * with, written by itself before it ended. */
#ifndef LUTRA_MANAGER_DEPARTED_H
#define LUTRA_MANAGER_DEPARTED_H

#include "coord/coord.h"
#include "model/records.h"

struct mgr_departed;
struct mgr_departed *mgr_departed_new(struct lutra_coord *coord);
void mgr_departed_free(struct mgr_departed *departed);
/* Did this very process leave its mark? That of another one under its name says nothing of it. */
bool mgr_departed_has(const struct mgr_departed *departed, const struct lutra_node_record *record);
/* The leader's: takes away marks that this manager has seen for longer than keep_ms. */
void mgr_departed_sweep(struct mgr_departed *departed, uint64_t keep_ms);
/* This process saw nothing for a while: times begin anew. */
void mgr_departed_renew(struct mgr_departed *departed);

#endif
