/* Kafka and ZooKeeper as they stand in production, three of each, losing one or more. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/ensemble.h"
#include "support/kafka.h"
#include "support/test.h"
#include "workload.h"

/* ---- Kafka ---- */

static int leader_of(const char *topic)
{
    int leader = 0;
    LUTRA_WAIT_FOR((leader = lutra_kafka_leader(lutra_test_stack()->kafka, topic, 0)) > 0, 30000);
    return leader;
}

Test(ensembles, a_cluster_of_three_loses_a_broker_and_rows_flow_on, .timeout = 400)
{
    static const char *const stages[] = {"extract", "transform", "load", "termin"};
    struct cluster c;
    struct workload w;
    lutra_test_kafka_cluster_start();
    cluster_start(&c, &(struct cluster_options){.extracts = 2, .transforms = 2});
    workload_tables(&c);
    cluster_begin(&c);
    cluster_await_state(&c, "RUNNING", 120000); /* three new brokers take their time */
    for (size_t i = 0; i < 4; i++) {
        char *topic = cluster_topic(&c, stages[i]);
        cr_assert_eq(lutra_kafka_replicas(lutra_test_stack()->kafka, topic, 0), 3, "%s", topic);
        free(topic);
    }
    workload_start(&w, &c, 30, 60);
    workload_for(&w, 2000);
    char *load = cluster_topic(&c, "load"), *extract = cluster_topic(&c, "extract");
    for (int round = 0; round < 2; round++) {
        int node = leader_of(round == 0 ? load : extract);
        char *when = lutra_test_format("after broker %d of 3 was killed", node);
        lutra_test_kafka_node_kill9(node);
        uint64_t took_ms = workload_flows(&w, 60000, when);
        lutra_test_measured("%s: a row written then arrived after %llu ms", when,
                            (unsigned long long)took_ms);
        lutra_test_kafka_node_start(node);
        (void)workload_flows(&w, 30000, "with three brokers again");
        free(when);
    }
    workload_finish(&w);
    free(load);
    free(extract);
    cluster_end(&c);
}

/* ---- ZooKeeper ---- */

/* A session that was lost costs its owner one epoch: there are two owners. */
static void expect_calm(struct cluster *c, int64_t *epoch, int64_t most, const char *after)
{
    cluster_await_state(c, "RUNNING", 60000);
    int64_t now = cluster_epoch(c);
    lutra_test_measured("%lld new epochs %s", (long long)(now - *epoch), after);
    cr_assert_leq(now - *epoch, most, "%lld new epochs %s", (long long)(now - *epoch), after);
    *epoch = now;
}

static void kill_leader(struct workload *w)
{
    int leader = 0;
    LUTRA_WAIT_FOR((leader = lutra_test_zookeeper_leader()) > 0, 20000);
    lutra_test_zookeeper_node_kill9(leader);
    (void)workload_flows(w, 10000, "when ZooKeeper's leader was killed");
    workload_for(w, 3000);
    (void)workload_flows(w, 20000, "under the new leader");
    lutra_test_zookeeper_node_start(leader, 1);
}

static void restart_in_turn(struct workload *w)
{
    for (int node = 1; node <= LUTRA_TEST_OBSERVER; node++) {
        char *when = lutra_test_format("with ZooKeeper server %d stopped", node);
        lutra_test_zookeeper_node_stop(node);
        (void)workload_flows(w, 20000, when);
        lutra_test_zookeeper_node_start(node, 1);
        free(when);
    }
}

static void lose_quorum(struct workload *w)
{
    lutra_test_zookeeper_node_kill9(1);
    lutra_test_zookeeper_node_kill9(2);
    workload_for(w, 6000);
    (void)workload_flows(w, 10000, "without a quorum of ZooKeeper");
    lutra_test_zookeeper_node_start(1, 0);
    lutra_test_zookeeper_node_start(2, 1);
    lutra_test_zookeeper_node_start(1, 1);
}

Test(ensembles, zookeeper_loses_its_leader_each_server_in_turn_and_the_quorum, .timeout = 400)
{
    struct cluster c;
    struct workload w;
    lutra_test_zookeeper_ensemble_start();
    cluster_start(&c, &(struct cluster_options){0});
    workload_tables(&c);
    cluster_go(&c);

    /* load is at another site, which sees the observer only. */
    const char *chroot = strchr(lutra_test_chroot(), '/');
    char *connect =
        lutra_test_format("LUTRA_ZOOKEEPER_CONNECT=%s%s", lutra_test_zookeeper_observer(), chroot);
    const char *env[] = {connect, NULL};
    cr_assert_eq(lutra_proc_terminate(c.loads[0].proc, 20000), 0);
    lutra_test_service_restart(&c.loads[0], env);
    cluster_await_state(&c, "RUNNING", 30000);

    workload_start(&w, &c, 30, 40);
    workload_for(&w, 1000);
    int64_t epoch = cluster_epoch(&c);
    kill_leader(&w);
    expect_calm(&c, &epoch, 2, "after the leader was killed");
    restart_in_turn(&w);
    expect_calm(&c, &epoch, 4, "after a rolling restart");
    lose_quorum(&w);
    expect_calm(&c, &epoch, 2, "after the quorum was lost");
    (void)workload_flows(&w, 15000, "with all of ZooKeeper again");
    workload_finish(&w);
    free(connect);
    cluster_end(&c);
}
