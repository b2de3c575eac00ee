/* An HTTP server on the loop (evhttp) with limits, and the request a handler sees. Loop thread
 * only.
 *
 * Limits: headers 16 KiB, body 1 MiB (413), connections 256 (the newest is closed), 30 s without a
 * complete request (closed). Methods: GET, PUT, POST, DELETE; others 501. */
#ifndef LUTRA_HTTP_SERVER_H
#define LUTRA_HTTP_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "loop/loop.h"

struct lutra_http_limits {
    size_t max_header_bytes, max_body_bytes;
    unsigned max_connections;
    uint64_t idle_ms;
};
extern const struct lutra_http_limits lutra_http_default_limits;

struct lutra_http_request;
/* Answers by exactly one lutra_http_reply_*, lutra_http_redirect, now or later. */
typedef void (*lutra_http_fn)(struct lutra_http_request *request, void *arg);

struct lutra_http_server;
/* listen: a number and a port, or localhost:port; port 0 picks one. limits: NULL for the defaults.
 * NULL and CONFIG (not an address), FATAL (cannot listen there; a simulated loop). */
struct lutra_http_server *lutra_http_server_new(struct lutra_loop *loop,
                                                const char *listen,
                                                const struct lutra_http_limits *limits,
                                                struct lutra_error *err);
/* Closes every connection. Requests not answered yet may still be replied to: nothing is sent. */
void lutra_http_server_free(struct lutra_http_server *server);
/* Where it really listens, "127.0.0.1:8641". */
const char *lutra_http_server_address(const struct lutra_http_server *server);
/* An exact path, or a prefix ending in '/'; an exact one wins, then the longest prefix. Nothing
 * matches: 404. */
void lutra_http_server_route(struct lutra_http_server *server,
                             const char *path,
                             lutra_http_fn fn,
                             void *arg);
/* Connections open now. */
unsigned lutra_http_server_connections(struct lutra_http_server *server);

/* ---- the request: valid until it is answered ---- */

const char *lutra_http_method(const struct lutra_http_request *request);
const char *lutra_http_path(const struct lutra_http_request *request); /* decoded, without query */
/* The target as it came, with its query: for a redirection. */
const char *lutra_http_target(const struct lutra_http_request *request);
/* Value of a query parameter, decoded, or NULL. */
const char *lutra_http_query(const struct lutra_http_request *request, const char *name);
/* A header's value, or NULL. */
const char *lutra_http_header(const struct lutra_http_request *request, const char *name);
const char *lutra_http_body(const struct lutra_http_request *request, size_t *len);

void lutra_http_reply_json(struct lutra_http_request *request,
                           int status,
                           json_t *body); /* takes body */
void lutra_http_reply_text(struct lutra_http_request *request,
                           int status,
                           const char *type,
                           const char *text);
/* {"error":{"class","message"}} */
void lutra_http_reply_error(struct lutra_http_request *request,
                            int status,
                            const char *class,
                            const char *fmt,
                            ...) LUTRA_PRINTF(4, 5);
void lutra_http_redirect(struct lutra_http_request *request, const char *location); /* 307 */

/* A request that comes from no connection: handlers can be tested, or called, without a socket.
 * `target` is path?query. sink gets the answer once (location: only of a redirection). */
typedef void (*lutra_http_sink_fn)(
    int status, const char *type, const char *location, const char *body, size_t len, void *arg);
struct lutra_http_request *lutra_http_request_new(const char *method,
                                                  const char *target,
                                                  const char *body,
                                                  size_t len,
                                                  lutra_http_sink_fn sink,
                                                  void *arg);

#endif
