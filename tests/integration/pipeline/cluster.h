/* A whole installation for one test: service processes on the shared servers, one channel with one
 * pipeline, a database of its own on both sides. The pipeline, the channel and the database bear
 * one unique name. */
#ifndef LUTRA_TEST_PIPELINE_CLUSTER_H
#define LUTRA_TEST_PIPELINE_CLUSTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/service.h"
#include "support/sql.h"
#include "support/stack.h"

#define CLUSTER_MAX 3 /* instances of one service */

struct cluster_options {
    /* Instances of each; 0 means 1, -1 none. */
    int selects, extracts, transforms, loads, managers;
    unsigned window;      /* 0: 32 */
    const char *start;    /* NULL: current */
    const char *channel;  /* more YAML lines of the channel; NULL: none */
    const char *pipeline; /* more YAML lines of the pipeline, four blanks in front; NULL: none */
    const char *pairs;    /* the pairs' YAML; NULL: every table of the database */
    const char *const *faults; /* "service:LUTRA_TEST_FAULTS value" for the first instance, ended by
                                  NULL; may be NULL */
    const char *const *env;    /* "NAME=value" for every service, ended by NULL; may be NULL */
    const struct lutra_test_mariadb *source, *target; /* NULL: the shared servers */
    /* More YAML for an instance's configuration; may be NULL, and may return NULL. */
    const char *(*config)(const char *instance);
    /* Where an instance runs; NULL: here. */
    const struct lutra_netns *(*place)(const char *instance);
    /* How the services reach the servers, "{type: mariadb, host: ...}"; NULL: the socket as root.
     */
    const char *source_endpoint, *target_endpoint;
};

struct cluster {
    struct cluster_options options;
    char name[64]; /* pipeline, channel and database */
    struct lutra_test_mariadb source_server, target_server;
    struct lutra_sql *source, *target;
    struct lutra_test_service selects[CLUSTER_MAX], extracts[CLUSTER_MAX], transforms[CLUSTER_MAX],
        loads[CLUSTER_MAX], managers[CLUSTER_MAX];
    int64_t marker;
    unsigned n_ctl; /* runs of lutractl */
};

/* Starts the services and makes the database with table `marker` on both sides. No channel yet:
 * make the tables, then cluster_go. */
void cluster_start(struct cluster *c, const struct cluster_options *options);
/* Runs a statement on both servers in the database. */
void cluster_both(struct cluster *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same at the source only. */
void cluster_write(struct cluster *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Applies the channel, starts it, waits until it is RUNNING. */
void cluster_go(struct cluster *c);
void cluster_apply(struct cluster *c);
/* Applies the channel and starts it, whatever may come of it. */
void cluster_begin(struct cluster *c);
/* `lutractl start`, until it is RUNNING. */
void cluster_resume(struct cluster *c);
/* Starts a service that has ended again, with the cluster's environment. */
void cluster_restart(struct cluster *c, struct lutra_test_service *service);
/* New connections for c->source and c->target, after a server's restart. */
void cluster_reopen(struct cluster *c);
/* Runs lutractl with these arguments ("start %s"); its exit status; output goes to <test
 * folder>/lutractl*.log. */
int cluster_ctl(struct cluster *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, without waiting for its end. */
struct lutra_proc *cluster_ctl_start(struct cluster *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same; *output: what it printed, heap. */
int cluster_ctl_output(struct cluster *c, char **output, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Status of the pipeline as a manager tells it; NULL when none answers. json_decref it. */
json_t *cluster_status(struct cluster *c);
json_t *cluster_status_of(struct cluster *c, const char *pipeline);
void cluster_await_state(struct cluster *c, const char *state, uint64_t deadline_ms);
/* Waits until the pipeline is ROLLED_BACK for a reason that has all these words, in upper or lower
 * case (ended by NULL). The reason, heap. */
char *cluster_await_refusal(struct cluster *c, const char *word, ...) __attribute__((sentinel));
/* The entry of this pipeline in a service's /state; NULL when it does not answer. json_decref it.
 */
json_t *cluster_state_of(struct cluster *c, struct lutra_test_service *service);
char *cluster_state_text(struct cluster *c, struct lutra_test_service *service, const char *key);
/* true is 1; a service that does not answer, or a number that it does not tell, fails the test. */
int64_t cluster_state_int(struct cluster *c, struct lutra_test_service *service, const char *key);
/* Writes a row into `marker` at the source and waits until it is at the target: since commits are
 * in order, everything written before is there too. */
void cluster_sync(struct cluster *c, uint64_t deadline_ms);
/* Fails, with the first difference, unless the table holds the same rows on both sides. */
void cluster_equal(struct cluster *c, const char *table);
/* "lutra.<pipeline>.<stage>"; heap. */
char *cluster_topic(struct cluster *c, const char *stage);
/* Load owner's epoch as the target's checkpoint says. */
int64_t cluster_epoch(struct cluster *c);
/* The instance of a stage ("select", "load") that owns the pipeline as ZooKeeper says; NULL: none.
 */
struct lutra_test_service *cluster_owner(struct cluster *c, const char *stage);
/* SIGKILL to every process. */
void cluster_kill(struct cluster *c);
void cluster_end(
    struct cluster *c); /* closes connections, drops the databases; processes end with the test */

#endif
