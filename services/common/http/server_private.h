/* What the files of the server share. */
#ifndef LUTRA_HTTP_SERVER_PRIVATE_H
#define LUTRA_HTTP_SERVER_PRIVATE_H

#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "http/server.h"

struct lutra_http_request {
    struct lutra_http_server *server; /* NULL: detached, or the server is gone */
    struct evhttp_request *evreq;     /* NULL: detached, or gone with the server */
    lutra_http_sink_fn sink;
    void *sink_arg;
    const char *method;
    char *target, *path;
    struct evkeyvalq query;
    char *body;
    size_t body_len;
    struct lutra_http_request *prev, *next; /* the server's list of unanswered requests */
};

/* NULL when the target is not one (bad escapes, a NUL). */
struct lutra_http_request *lutra_http_request_make(const char *method, const char *target);
void lutra_http_request_free(struct lutra_http_request *request);
/* Takes the request off its server's list. */
void lutra_http_server_answered(struct lutra_http_request *request);

/* The connections of a server: evhttp of libevent 2.1 neither counts them nor tells their end, so
 * they are known by descriptor and inode, which says whether the descriptor is still that socket.
 */
struct lutra_http_conns;
struct lutra_http_conns *
lutra_http_conns_new(struct lutra_loop *loop, unsigned max_connections, uint64_t idle_ms);
void lutra_http_conns_free(struct lutra_http_conns *conns);
/* For evhttp_set_bevcb; arg is the conns. */
struct bufferevent *lutra_http_conns_bufferevent_cb(struct event_base *base, void *arg);
/* A request came over, or was answered on, this descriptor. */
void lutra_http_conns_begin(struct lutra_http_conns *conns, int fd);
void lutra_http_conns_end(struct lutra_http_conns *conns, int fd);
unsigned lutra_http_conns_count(struct lutra_http_conns *conns);

#endif
