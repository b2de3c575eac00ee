/* HTTP requests from the loop (evhttp's client). Nothing blocks; every call has a deadline. Loop
 * thread only. */
#ifndef LUTRA_HTTP_CLIENT_H
#define LUTRA_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "loop/loop.h"

struct lutra_http_answer {
    int status;
    const char *location; /* of a redirection, or NULL */
    const char *body;     /* NUL-terminated beyond len */
    size_t len;
};
/* Called once, in a later turn. answer NULL: err says why there is none (RETRY). Borrowed. */
typedef void (*lutra_http_answer_fn)(const struct lutra_http_answer *answer,
                                     const struct lutra_error *err,
                                     void *arg);

struct lutra_http_client;
/* max_body_bytes bounds an answer. */
struct lutra_http_client *lutra_http_client_new(struct lutra_loop *loop, size_t max_body_bytes);
/* Ends all calls; their `done` is not called. */
void lutra_http_client_free(struct lutra_http_client *client);

struct lutra_http_call {
    const char *method;  /* GET | PUT | POST | DELETE */
    const char *address; /* host:port */
    const char *target;  /* path?query */
    const char *type;    /* content type of the body, or NULL */
    const char *body;    /* may be NULL */
    size_t body_len;
    uint64_t timeout_ms; /* for the whole call */
};
/* Everything is copied. Redirections are not followed. */
void lutra_http_client_call(struct lutra_http_client *client,
                            const struct lutra_http_call *call,
                            lutra_http_answer_fn done,
                            void *arg);
/* Ends calls with this arg; their `done` is not called. */
void lutra_http_client_forget(struct lutra_http_client *client, void *arg);

#endif
