/* Small transactions at the source while a test does harm, and what must be true of the target at
 * every moment meanwhile: money is neither made nor lost, versions only grow, a transaction is
 * there whole or not at all, nothing is there twice, epoch and fence only grow, and no unit is
 * committed under a fence that another has outbid. */
#ifndef LUTRA_TEST_NETWORK_TRAFFIC_H
#define LUTRA_TEST_NETWORK_TRAFFIC_H

#include "sites.h"

struct traffic {
    struct sites *s;
    int64_t n;                    /* transactions written */
    int64_t version;              /* the last one seen at the target */
    int64_t epoch, fence;         /* highest seen at the target */
    uint64_t moved_ms, looked_ms; /* when the version at the target last grew; the last look */
    uint64_t looks;
};

/* Tables bank, bag and versions on both sides, before cluster_go; the audit at the target. */
void traffic_tables(struct sites *s);
/* After cluster_go. */
void traffic_start(struct traffic *t, struct sites *s);
/* Writes one transaction and, now and then, looks at the target. */
void traffic_step(struct traffic *t);
/* Looks now. */
void traffic_look(struct traffic *t);
/* Steps for this long (a duration: not scaled). */
void traffic_for(struct traffic *t, uint64_t ms);
/* Steps until transaction `version` is at the target; ms it took, or UINT64_MAX when the time was
 * over. */
uint64_t traffic_until(struct traffic *t, int64_t version, uint64_t deadline_ms);
/* Waits until the target has everything and compares every table; looks at the audit. */
void traffic_equal(struct traffic *t, uint64_t deadline_ms);

#endif
