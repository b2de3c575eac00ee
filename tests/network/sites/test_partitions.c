/* Every pair of parties that talk to each other, cut off in one direction, each in turn. One
 * instance of everything: nobody can help out. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "cell.h"
#include "support/test.h"

static void cut_one_way(struct traffic *t, enum party from, enum party to)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s -/-> %s, 17 s", party_name(from), party_name(to));
    cell_run(t,
             &(struct cell){.name = name, .from = from, .to = to, .which = -1, .lasts_ms = 17000});
}

static void cut_both_ways_in_turn(enum party a, enum party b)
{
    struct sites s;
    struct traffic t;
    sites_start(&s, &(struct sites_options){.one_bus = true, .seed = cell_seed()});
    traffic_tables(&s);
    cluster_go(&s.c);
    traffic_start(&t, &s);
    traffic_for(&t, 1000);
    cut_one_way(&t, a, b);
    cut_one_way(&t, b, a);
    sites_end(&s);
}

/* A test of its own for each, so that one that fails hides no other. */
#define PAIR(name, a, b)                         \
    Test(partitions, name##_cut, .timeout = 400) \
    {                                            \
        cut_both_ways_in_turn(a, b);             \
    }

PAIR(select_and_kafka, PARTY_SELECT, PARTY_KAFKA_A)
PAIR(select_and_zookeeper, PARTY_SELECT, PARTY_ZOOKEEPER)
PAIR(select_and_source, PARTY_SELECT, PARTY_SOURCE)
PAIR(extract_and_kafka, PARTY_EXTRACT, PARTY_KAFKA_A)
PAIR(transform_and_kafka, PARTY_TRANSFORM, PARTY_KAFKA_A)
PAIR(load_and_kafka, PARTY_LOAD, PARTY_KAFKA_A)
PAIR(load_and_target, PARTY_LOAD, PARTY_TARGET)
PAIR(load_and_zookeeper, PARTY_LOAD, PARTY_ZOOKEEPER)
PAIR(manager_and_zookeeper, PARTY_MANAGER, PARTY_ZOOKEEPER)
