/* Three Kafka brokers, or three ZooKeeper servers and an observer, that take the place of the
 * shared server in this test. To be started before anything asks for lutra_test_stack(). Nodes are
 * numbered from 1; they live in folders "kafka/<n>" and "zookeeper/<n>". */
#ifndef LUTRA_TEST_SUPPORT_ENSEMBLE_H
#define LUTRA_TEST_SUPPORT_ENSEMBLE_H

#define LUTRA_TEST_OBSERVER 4 /* the ZooKeeper node */

/* Default replication factor 3, min.insync.replicas 2. */
void lutra_test_kafka_cluster_start(void);
void lutra_test_kafka_node_kill9(int node);
void lutra_test_kafka_node_start(int node); /* again; returns when all three know each other */

/* Clients get the addresses of the three voters. */
void lutra_test_zookeeper_ensemble_start(void);
const char *lutra_test_zookeeper_observer(void); /* "host:port" */
int lutra_test_zookeeper_leader(void);           /* node; 0: none at the moment */
void lutra_test_zookeeper_node_kill9(int node);
void lutra_test_zookeeper_node_stop(int node);
/* Again; await: until it serves, which takes a quorum. */
void lutra_test_zookeeper_node_start(int node, int await);

#endif
