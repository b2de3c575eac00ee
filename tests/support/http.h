/* A tiny blocking HTTP client, for 127.0.0.1 unless a port was said to be elsewhere. */
#ifndef LUTRA_TEST_SUPPORT_HTTP_H
#define LUTRA_TEST_SUPPORT_HTTP_H

#include <stddef.h>
#include <stdint.h>

struct lutra_http_answer {
    int status; /* 0: no connection, no answer, or not HTTP */
    char *body; /* heap, ends with NUL; "" when there is none */
    size_t len;
    char location[256]; /* "" when there is none */
};

/* Whoever listens on this port (they are unique in a test) does so at that address. */
void lutra_http_at(uint16_t port, const char *address);

/* method: GET, PUT, POST, DELETE. body may be NULL. Never fails the test: a service may be down. */
struct lutra_http_answer
lutra_http_call(const char *method, uint16_t port, const char *path, const char *body);
void lutra_http_answer_fini(struct lutra_http_answer *answer);

/* GET: the body as heap text when the status is 200, else NULL. */
char *lutra_http_get(uint16_t port, const char *path);
/* GET: the status alone. */
int lutra_http_status(uint16_t port, const char *path);

#endif
