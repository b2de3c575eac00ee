/* Two sites joined by a line, every party in a network namespace of its own:
 *   site a: the source, Kafka a, ZooKeeper, manager, select, extract, transform
 *   site b: the target, load; with buses Kafka b, which has the load topic
 * with one channel and one pipeline, as struct cluster has them. The test itself stands where the
 * manager stands: what talks to the manager works as everywhere; others are entered. */
#ifndef LUTRA_TEST_NETWORK_SITES_H
#define LUTRA_TEST_NETWORK_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster.h"
#include "link.h"
#include "support/netns.h"

enum party {
    PARTY_SELECT,
    PARTY_EXTRACT,
    PARTY_TRANSFORM,
    PARTY_LOAD,
    PARTY_MANAGER,
    PARTY_SOURCE,
    PARTY_TARGET,
    PARTY_KAFKA_A,
    PARTY_KAFKA_B, /* without buses: Kafka a */
    PARTY_ZOOKEEPER,
    N_PARTIES
};

struct sites_options {
    int selects, extracts, transforms, loads; /* 0: 1 */
    bool one_bus;                             /* Kafka a has every topic */
    uint64_t seed;
    const char *pipeline; /* more YAML lines, as in struct cluster_options */
};

struct sites {
    struct sites_options options;
    struct cluster c;
    struct link link;
    struct lutra_netns *hub_a, *hub_b;
    struct lutra_netns *parties[N_PARTIES][CLUSTER_MAX]; /* ended by NULL, or full */
    unsigned addresses[2];                               /* given at each site */
};

const char *party_name(enum party party);

/* Skips the test where there are no namespaces. No channel yet: cluster_go(&s->c). */
void sites_start(struct sites *s, const struct sites_options *options);
/* Nothing that these send reaches these; every instance of both, or one instance of `from` and `to`
 * (which: 0, 1, ...; -1: all). */
void sites_cut(struct sites *s, enum party from, enum party to, int which);
/* All cuts end, and the line is as it was at first. */
void sites_heal(struct sites *s);
/* An entry of a service's /state; NULL when it does not answer. json_decref it. */
json_t *sites_state(struct sites *s, enum party party, int instance);
/* The instance that owns the pipeline's select or load; -1: none, or not known. */
int sites_owner(struct sites *s, enum party party);
/* Bytes of the messages that a topic holds, as the log segments of its broker tell. */
uint64_t sites_topic_bytes(struct sites *s, const char *stage);
void sites_end(struct sites *s);

#endif
