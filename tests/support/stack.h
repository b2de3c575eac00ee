/* The real servers of a test: the shared ones that tests/run started, or, when a test binary is run
 * by itself, ones that it starts for all its tests. A test that stops or breaks a server starts a
 * private one. */
#ifndef LUTRA_TEST_SUPPORT_STACK_H
#define LUTRA_TEST_SUPPORT_STACK_H

#include <stdint.h>
#include <stdlib.h>

/* At file level of a test that starts every server by itself: run by hand, its program then starts
 * no shared ones. */
#define LUTRA_TEST_OWN_SERVERS                                                 \
    static __attribute__((constructor)) void lutra_test_own_servers_mark(void) \
    {                                                                          \
        (void)setenv("LUTRA_TEST_OWN_SERVERS", "1", 1);                        \
    }

struct lutra_test_mariadb {
    char socket[108]; /* root without password */
    uint16_t port;
    char dir[256]; /* of a private server; "" of a shared one */
};

struct lutra_test_stack {
    char zookeeper[64]; /* host:port, no chroot: see lutra_test_chroot */
    char kafka[64];
    struct lutra_test_mariadb source, target;
    char bin[256]; /* folder of the programs */
};

/* Where they are. Skips the test, by name of what is missing, when there are none. */
const struct lutra_test_stack *lutra_test_stack(void);

/* A whole private set of servers that listen on this address of the namespace that the test is in;
 * it takes the place of the shared one in this test. Before anything asked for that. */
void lutra_test_stack_start(const char *address);

/* Folder of the programs; asks for no servers. */
const char *lutra_test_bin(void);

/* "host:port/unique": a part of the shared ZooKeeper that is this test's own. The same string at
 * every call of one test. */
const char *lutra_test_chroot(void);
/* Another part of it from now on. */
void lutra_test_chroot_renew(void);

/* A private broker, a private ZooKeeper, in folder "kafka", "zookeeper", that take the place of the
 * shared one in this test: from then on lutra_test_stack() and lutra_test_chroot() name them.
 * Before anything asked for those. */
void lutra_test_kafka_start(void);
void lutra_test_zookeeper_start(void);
/* The same server again, after a stop or a kill; returns when it answers. */
void lutra_test_kafka_restart(void);
void lutra_test_zookeeper_restart(void);

/* One more private broker, in folder `name`, beside the one that lutra_test_stack() names. */
struct lutra_test_broker {
    char name[32];
    char brokers[64];
    uint16_t port, controller_port;
};
struct lutra_test_broker lutra_test_broker_start(const char *name);
/* The same again, after lutra_test_server_kill9(name, "kafka"); returns when it answers. */
void lutra_test_broker_restart(const struct lutra_test_broker *broker);

/* Private servers below the test's folder, on a free port; stopped when the test's process ends.
 * options: lines for my.cnf ("binlog_row_metadata=MINIMAL"), ended by NULL; may be NULL. */
struct lutra_test_mariadb lutra_test_mariadb_start(const char *name, const char *const *options);
/* The same server again, after a stop. */
void lutra_test_mariadb_restart(const struct lutra_test_mariadb *server);
void lutra_test_mariadb_stop(const struct lutra_test_mariadb *server);
/* One function of deploy/local/lib.sh with this test's folder as its first argument's parent:
 * lutra_test_server("kafka_start", "kafka", "12345", "12346", NULL). */
void lutra_test_server(const char *function, const char *name, ...) __attribute__((sentinel));
/* Sends a signal to a private server (SIGKILL, SIGSTOP, SIGCONT); program: "mariadb", "kafka",
 * "zookeeper". */
void lutra_test_server_signal(const char *name, const char *program, int signal);
/* SIGKILL, and waits until it is gone. */
void lutra_test_server_kill9(const char *name, const char *program);

#endif
