/* The manager's logic over ports: elects a leader, answers the HTTP API (docs/PROTOCOL.md §9),
 * gathers what the services say of themselves, and, as the leader, carries out due retries and asks
 * for RESTART where a pipeline does not move. Pipelines run, recover and fail over without it.
 *
 * Loop thread only; nothing blocks. */
#ifndef LUTRA_MANAGER_MANAGER_H
#define LUTRA_MANAGER_MANAGER_H

#include "base/metrics.h"
#include "bus/buses.h"
#include "coord/coord.h"
#include "http/client.h"
#include "http/server.h"
#include "loop/loop.h"

/* How another service's /state is fetched: real HTTP, or a test's. */
struct lutra_manager_fetcher {
    /* Calls done once, in a later turn. */
    void (*get)(void *port,
                const char *address,
                const char *target,
                uint64_t timeout_ms,
                lutra_http_answer_fn done,
                void *arg);
    void (*forget)(void *port, void *arg); /* `done` of calls with this arg does not come */
    void *port;
};

struct lutra_manager_options {
    struct lutra_loop *loop;
    struct lutra_coord *coord;
    struct lutra_buses *buses; /* topics of deleted channels live on them */
    const char *instance;
    const char *http; /* host:port that others reach this manager by */
    struct lutra_manager_fetcher fetcher;
    struct lutra_metrics *metrics; /* may be NULL */
    bool looks_into_targets;       /* the janitor connects to the targets of channels */
    uint64_t stall_ms;             /* data in flight and no progress for so long is a stall */
};

struct lutra_manager;
struct lutra_manager *lutra_manager_new(const struct lutra_manager_options *options);
/* Requests not answered yet are answered with 503. */
void lutra_manager_free(struct lutra_manager *manager);
/* Handles everything below /v1/. arg: the manager. */
void lutra_manager_handle(struct lutra_http_request *request, void *arg);
bool lutra_manager_leads(const struct lutra_manager *manager);
/* False with one line why: nobody leads, or the channels have not been read. */
bool lutra_manager_ready(struct lutra_manager *manager, char *reason, size_t reason_len);
/* Adds leader, managers and pipelines to /state. */
void lutra_manager_state(struct lutra_manager *manager, json_t *root);

#endif
