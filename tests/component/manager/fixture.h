/* Managers on a simulated loop, over a tree and a broker in memory, with services that are nothing
 * but their registration and a text for /state. */
#ifndef LUTRA_TEST_MANAGER_FIXTURE_H
#define LUTRA_TEST_MANAGER_FIXTURE_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "bus/bus_mem.h"
#include "bus/buses.h"
#include "coord/coord_mem.h"
#include "fetch/fetch.h"
#include "manager/manager.h"

enum { SESSION_MS = 4000, MAX_MANAGERS = 3, MAX_SERVICES = 16 };

struct fixture_manager {
    struct lutra_coord *coord;
    struct lutra_buses *buses;
    struct lutra_metrics *metrics;
    struct lutra_manager *manager;
    char instance[16], http[32];
};
struct fixture_service {
    char address[32];
    char *state;      /* NULL: does not answer */
    char *definition; /* to /definitions/<any>; NULL: does not answer */
};

struct fixture {
    struct lutra_loop *loop;
    struct lutra_mem_tree *tree;
    struct lutra_mem_broker *broker;
    struct fixture_manager managers[MAX_MANAGERS];
    struct fixture_service services[MAX_SERVICES];
    uint64_t stall_ms;
    struct fetch_port fetches;
};
extern struct fixture f;

void fixture_begin(void);
void fixture_end(void);
void fixture_manager_start(int i);
void fixture_manager_stop(int i);  /* in order */
void fixture_manager_crash(int i); /* its session expires in time */
void fixture_run(uint64_t ms);
/* Index of the one that leads; -1: none. Fails when there are two. */
int fixture_leader(void);
int fixture_await_leader(void);

/* The answer to the last call. */
extern int answer_status;
extern json_t *answer; /* NULL: not JSON */
extern char answer_location[256];
/* Waits for the answer; the status. */
int fixture_call(int manager, const char *method, const char *target, const char *body);
/* "a.b" of the answer. */
const char *fixture_text(const char *path);
const char *fixture_error(void);

/* A definition of one pipeline per name (at most 3, NULL: none). */
const char *
fixture_definition(const char *channel, const char *p1, const char *p2, const char *description);
/* Applied and started, control epoch 5, an origin of epoch 5, owners s1 and l1, all registered and
 * answering. */
void fixture_running(const char *pipeline);
/* /state of select s1, extract e0, transform t0 and load l1 for the pipeline. */
void fixture_numbers(
    const char *pipeline, unsigned epoch, unsigned published, unsigned consumed, unsigned applied);
void fixture_service(const char *service, const char *instance, const char *state);
void fixture_knows(const char *service, const char *instance, const char *definition);
void fixture_service_gone(const char *service, const char *instance);
void fixture_owner(const char *pipeline, const char *stage, const char *instance);
void fixture_origin(const char *pipeline, unsigned epoch, const char *select);
void fixture_poke(const char *path, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A member of the control record, "state" or "reason". */
const char *fixture_control(const char *pipeline, const char *key);
json_int_t fixture_control_epoch(const char *pipeline);
/* The pipeline's state by /v1/status of the leader. */
const char *fixture_state(const char *pipeline);

#endif
