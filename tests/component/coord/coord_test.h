/* What the tests of the coordination port share. */
#ifndef LUTRA_TESTS_COORD_TEST_H
#define LUTRA_TESTS_COORD_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "coord/coord.h"
#include "coord/coord_mem.h"

enum { SESSION_MS = 2000, LONG_MS = 60000 };

/* The answer to one request. */
struct answer {
    bool came;
    enum lutra_coord_rc rc;
    char path[256], data[4096];
    struct lutra_coord_stat stat;
    size_t n_children;
    char children[8][64];
    int watch_fired;
};

static inline void on_answer(const struct lutra_coord_result *result, void *arg)
{
    struct answer *answer = arg;

    answer->came = true;
    answer->rc = result->rc;
    answer->stat = result->stat;
    answer->n_children = result->n_children;
    (void)snprintf(answer->path, sizeof(answer->path), "%s", result->path ? result->path : "");
    (void)snprintf(answer->data, sizeof(answer->data), "%s", result->data ? result->data : "");
    for (size_t i = 0; i < result->n_children && i < 8; i++) {
        (void)snprintf(answer->children[i], sizeof(answer->children[i]), "%s", result->children[i]);
    }
}

static inline void on_answer_watch(const char *path, void *arg)
{
    struct answer *answer = arg;

    (void)path;
    answer->watch_fired++;
}

static inline bool has_come(void *arg)
{
    return ((struct answer *)arg)->came;
}

static inline bool has_fired(void *arg)
{
    return ((struct answer *)arg)->watch_fired > 0;
}

struct state_wanted {
    struct lutra_coord *coord;
    enum lutra_coord_state state;
};

static inline bool is_in_state(void *arg)
{
    struct state_wanted *wanted = arg;

    return lutra_coord_state_of(wanted->coord) == wanted->state;
}

static inline bool await_state(struct lutra_coord *coord, enum lutra_coord_state state)
{
    struct state_wanted wanted = {coord, state};

    return lutra_loop_run_until(lutra_coord_loop(coord), is_in_state, &wanted, LONG_MS);
}

/* One request and its answer. */
#define ASK(coord, into, call)               \
    (memset(&(into), 0, sizeof(into)), call, \
     (void)lutra_loop_run_until(lutra_coord_loop(coord), has_come, &(into), LONG_MS), (into).rc)

#endif
