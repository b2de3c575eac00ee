/* The registered service processes, what each says of itself (/state), and which have vanished. */
#ifndef LUTRA_MANAGER_NODES_H
#define LUTRA_MANAGER_NODES_H

#include <jansson.h>

#include "manager/events.h"
#include "manager/manager.h"
#include "model/records.h"

struct mgr_node {
    const char *service; /* "select", "extract", "transform", "load", "manager" */
    const char *instance;
    bool has_record;
    struct lutra_node_record record;
    int64_t session;      /* of its registration: with another it is not the former one */
    unsigned restarts;    /* how often another process came under its name */
    uint64_t vanished_ms; /* of the loop; 0: it is there */
    bool departed;        /* it vanished, and had said itself that it would (departed.h) */
    uint64_t judged_ms;   /* how long it had been gone when mgr_nodes_judge told it last */
    /* Its /state, as fetched last. */
    bool asked;         /* at least once */
    bool answers;       /* the last time */
    uint64_t state_ms;  /* when */
    const json_t *root; /* kept while it does not answer: see `answers` */
    const char *error;  /* why it does not, "" */
};

struct mgr_nodes;
struct mgr_nodes *mgr_nodes_new(struct lutra_loop *loop,
                                struct lutra_coord *coord,
                                const struct lutra_manager_fetcher *fetcher,
                                struct mgr_events *events);
/* Calls of refresh under way are ended by their `done`. */
void mgr_nodes_free(struct mgr_nodes *nodes);

/* Asks those whose state is older than max_age_ms, and calls done when all have answered or failed
 * (1 s at most): perhaps at once. */
void mgr_nodes_refresh(struct mgr_nodes *nodes,
                       uint64_t max_age_ms,
                       void (*done)(void *arg),
                       void *arg);
/* Calls fn for each node, by service and name; those vanished come too, until they are dropped. */
void mgr_nodes_each(struct mgr_nodes *nodes,
                    void (*fn)(const struct mgr_node *node, void *arg),
                    void *arg);
/* The entry of a pipeline in the state of a node that is there and answers, or NULL. */
const json_t *mgr_nodes_entry(struct mgr_nodes *nodes,
                              const char *service,
                              const char *instance,
                              const char *pipeline);
/* The service lacks what the pipeline needs (its last_error says what), and does nothing for it. */
bool mgr_entry_blocked(const json_t *entry);
/* How many instances of a service answer and serve the pipeline. */
unsigned mgr_nodes_serving(struct mgr_nodes *nodes, const char *service, const char *pipeline);
/* A registered node of that name, or NULL. */
const struct mgr_node *
mgr_nodes_find(struct mgr_nodes *nodes, const char *service, const char *instance);
/* One of that name that has vanished and is still remembered, or NULL. */
const struct mgr_node *
mgr_nodes_find_vanished(struct mgr_nodes *nodes, const char *service, const char *instance);
/* The leader's: takes away marks of departed ones that nobody needs after keep_ms. */
void mgr_nodes_sweep(struct mgr_nodes *nodes, uint64_t keep_ms);
/* Calls fn for each vanished node; gone_ms: for how long. Those for longer than keep_ms are
 * forgotten after it. */
void mgr_nodes_judge(struct mgr_nodes *nodes,
                     uint64_t keep_ms,
                     void (*fn)(const struct mgr_node *node, uint64_t gone_ms, void *arg),
                     void *arg);
/* This process saw nothing for a while: vanished nodes count from now on. */
void mgr_nodes_renew(struct mgr_nodes *nodes);
/* An entry of `pipelines` in a /state document, or NULL. */
const json_t *mgr_state_entry(const json_t *root, const char *pipeline);

#endif
