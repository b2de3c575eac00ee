#include "support/ensemble.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/internal.h"
#include "support/stack.h"
#include "support/test.h"

static void free_port(char *text, size_t size)
{
    snprintf(text, size, "%u", lutra_test_free_port());
}

static char *node_name(const char *server, int node)
{
    return lutra_test_format("%s/%d", server, node);
}

static void addresses(const char *variable, char ports[][8], size_t step)
{
    char *list = lutra_test_format("127.0.0.1:%s,127.0.0.1:%s,127.0.0.1:%s", ports[0], ports[step],
                                   ports[2 * step]);
    setenv(variable, list, 1);
    free(list);
}

/* ---- Kafka ---- */

void lutra_test_kafka_cluster_start(void)
{
    char ports[6][8];
    for (size_t i = 0; i < 6; i++) {
        free_port(ports[i], sizeof(ports[i]));
    }
    lutra_test_server("kafka_cluster_start", "kafka", ports[0], ports[1], ports[2], ports[3],
                      ports[4], ports[5], NULL);
    addresses("LUTRA_TEST_KAFKA", ports, 1);
}

void lutra_test_kafka_node_kill9(int node)
{
    char *name = node_name("kafka", node);
    lutra_test_server_kill9(name, "kafka");
    free(name);
}

void lutra_test_kafka_node_start(int node)
{
    char *name = node_name("kafka", node);
    lutra_test_server("kafka_node_start", name, NULL);
    free(name);
}

/* ---- ZooKeeper ---- */

static char zookeeper_ports[12][8], observer[32];

void lutra_test_zookeeper_ensemble_start(void)
{
    char(*p)[8] = zookeeper_ports;
    for (size_t i = 0; i < 12; i++) {
        free_port(p[i], sizeof(p[i]));
    }
    lutra_test_server("zookeeper_ensemble_start", "zookeeper", p[0], p[1], p[2], p[3], p[4], p[5],
                      p[6], p[7], p[8], p[9], p[10], p[11], NULL);
    addresses("LUTRA_TEST_ZOOKEEPER", p, 3);
    snprintf(observer, sizeof(observer), "127.0.0.1:%s", p[9]);
}

const char *lutra_test_zookeeper_observer(void)
{
    return observer;
}

int lutra_test_zookeeper_leader(void)
{
    for (int node = 1; node <= 3; node++) {
        const char *const args[] = {zookeeper_ports[(node - 1) * 3], "leader", NULL};
        if (lutra_test_stack_lib("zookeeper_mode", args) == 0) {
            return node;
        }
    }
    return 0;
}

void lutra_test_zookeeper_node_kill9(int node)
{
    char *name = node_name("zookeeper", node);
    lutra_test_server_kill9(name, "zookeeper");
    free(name);
}

void lutra_test_zookeeper_node_stop(int node)
{
    char *name = node_name("zookeeper", node);
    lutra_test_server("zookeeper_stop", name, NULL);
    free(name);
}

void lutra_test_zookeeper_node_start(int node, int await)
{
    char *name = node_name("zookeeper", node);
    lutra_test_server("zookeeper_node_launch", name, NULL);
    if (await) {
        lutra_test_server("zookeeper_node_await", name, NULL);
    }
    free(name);
}
