/* Two of each: the one that works is cut off alone, and the other takes its place. What the first
 * still tries counts for nothing. And storms: several troubles at once, drawn from a seed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "cell.h"
#include "support/test.h"

static void begin(struct sites *s, struct traffic *t)
{
    sites_start(s,
                &(struct sites_options){
                    .selects = 2, .extracts = 2, .transforms = 2, .loads = 2, .seed = cell_seed()});
    traffic_tables(s);
    cluster_go(&s->c);
    traffic_start(t, s);
    traffic_for(t, 1000);
}

/* The owner of a stage loses ZooKeeper, in one direction: another takes over while it lasts. */
static void cut_owner(struct traffic *t, enum party stage, bool deaf)
{
    char name[64];
    int owner = sites_owner(t->s, stage);
    cr_assert_geq(owner, 0, "nobody owns %s", party_name(stage));
    (void)snprintf(name, sizeof name, "owning %s %s zookeeper, 17 s", party_name(stage),
                   deaf ? "deaf to" : "-/->");
    cell_run(t, &(struct cell){.name = name,
                               .from = deaf ? PARTY_ZOOKEEPER : stage,
                               .to = deaf ? stage : PARTY_ZOOKEEPER,
                               .which = owner,
                               .lasts_ms = 17000,
                               .flow_ms = 12000});
}

static void owner_is_replaced(enum party stage)
{
    struct sites s;
    struct traffic t;
    begin(&s, &t);
    cut_owner(&t, stage, false);
    cut_owner(&t, stage, true);
    sites_end(&s);
}

Test(owners, a_select_without_zookeeper_is_replaced, .timeout = 400)
{
    owner_is_replaced(PARTY_SELECT);
}

Test(owners, a_load_without_zookeeper_is_replaced, .timeout = 400)
{
    owner_is_replaced(PARTY_LOAD);
}

Test(owners, one_extract_or_transform_without_kafka_is_done_without, .timeout = 400)
{
    struct sites s;
    struct traffic t;
    begin(&s, &t);
    cell_run(&t, &(struct cell){.name = "one extract of two -/-> kafka-a, 20 s",
                                .from = PARTY_EXTRACT,
                                .to = PARTY_KAFKA_A,
                                .which = 0,
                                .lasts_ms = 20000,
                                .flow_ms = 12000});
    cell_run(&t, &(struct cell){.name = "one transform of two deaf to kafka-a, 20 s",
                                .from = PARTY_KAFKA_A,
                                .to = PARTY_TRANSFORM,
                                .which = 0,
                                .lasts_ms = 20000,
                                .flow_ms = 12000});
    cell_run(&t, &(struct cell){.name = "one transform of two -/-> kafka-b, 20 s",
                                .from = PARTY_TRANSFORM,
                                .to = PARTY_KAFKA_B,
                                .which = 1,
                                .lasts_ms = 20000});
    sites_end(&s);
}

/* ---- storms ---- */

static const char *const weathers[] = {"clear",
                                       "delay=20ms jitter=10ms",
                                       "delay=100ms jitter=25ms loss=1%",
                                       "loss=10%",
                                       "delay=50ms duplicate=5% reorder=yes jitter=40ms",
                                       "rate=5mbit",
                                       "loss=100%"};

static const enum party talk[][2] = {
    {PARTY_SELECT, PARTY_KAFKA_A},    {PARTY_SELECT, PARTY_ZOOKEEPER},
    {PARTY_SELECT, PARTY_SOURCE},     {PARTY_EXTRACT, PARTY_KAFKA_A},
    {PARTY_TRANSFORM, PARTY_KAFKA_A}, {PARTY_TRANSFORM, PARTY_KAFKA_B},
    {PARTY_LOAD, PARTY_KAFKA_A},      {PARTY_LOAD, PARTY_KAFKA_B},
    {PARTY_LOAD, PARTY_TARGET},       {PARTY_LOAD, PARTY_ZOOKEEPER},
    {PARTY_MANAGER, PARTY_ZOOKEEPER}, {PARTY_MANAGER, PARTY_LOAD},
};

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void storm(struct traffic *t, unsigned round, unsigned *random)
{
    unsigned pair = (unsigned)rand_r(random) % N(talk), way = (unsigned)rand_r(random) % 2;
    unsigned ab = (unsigned)rand_r(random) % N(weathers);
    unsigned ba = (unsigned)rand_r(random) % N(weathers);
    struct cell cell = {.ab = weathers[ab],
                        .ba = weathers[ba],
                        .from = talk[pair][way],
                        .to = talk[pair][!way],
                        .which = rand_r(random) % 3 - 1,
                        .lasts_ms = 2000 + (unsigned)rand_r(random) % 20000};
    char name[160];
    (void)snprintf(
        name, sizeof name, "storm %u: %s%s -/-> %s, %.1f s, weather %u and %u", round + 1,
        cell.which < 0    ? "all "
        : cell.which == 0 ? "1st "
                          : "2nd ",
        party_name(cell.from), party_name(cell.to), (double)cell.lasts_ms / 1000, ab, ba);
    cell.name = name;
    cell_run(t, &cell);
}

Test(owners, storms_pass, .timeout = 36000)
{
    struct sites s;
    struct traffic t;
    unsigned random = (unsigned)cell_seed();
    begin(&s, &t);
    for (unsigned round = 0; cell_another_round(round, 3); round++) {
        storm(&t, round, &random);
    }
    sites_end(&s);
}
