/* What a manager fetches from other processes, without HTTP: a function of the test answers. */
#ifndef LUTRA_TEST_FETCH_H
#define LUTRA_TEST_FETCH_H

#include "manager/manager.h"

struct fetch;

/* Zeroed but for what the test sets; as long as the managers that use it. */
struct fetch_port {
    struct lutra_loop *loop;
    /* The body of a 200, heap; NULL: nobody answers. Asked when the call is made, which decides
     * whether it waits for its time-out, and again for what is delivered. */
    char *(*answer)(const char *address, const char *target);
    unsigned n; /* calls so far */
    struct fetch *under_way;
};

struct lutra_manager_fetcher fetch_from(struct fetch_port *port);

#endif
