#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/address.h"
#include "http/server_private.h"

const struct lutra_http_limits lutra_http_default_limits = {
    .max_header_bytes = 16 * 1024,
    .max_body_bytes = 1024 * 1024,
    .max_connections = 256,
    .idle_ms = 30 * 1000,
};

struct route {
    char *path;
    lutra_http_fn fn;
    void *arg;
};

struct lutra_http_server {
    struct evhttp *http;
    struct lutra_http_conns *conns;
    struct lutra_http_request *pending;
    struct route *routes;
    size_t n_routes;
    size_t max_body_bytes;
    char address[272];
};

static int request_fd(struct evhttp_request *evreq)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(evreq);

    return evcon == NULL ? -1 : (int)bufferevent_getfd(evhttp_connection_get_bufferevent(evcon));
}

static const char *method_name(enum evhttp_cmd_type type)
{
    static const struct {
        enum evhttp_cmd_type type;
        const char *name;
    } names[] = {
        {EVHTTP_REQ_GET, "GET"},
        {EVHTTP_REQ_PUT, "PUT"},
        {EVHTTP_REQ_POST, "POST"},
        {EVHTTP_REQ_DELETE, "DELETE"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].type == type) {
            return names[i].name;
        }
    }
    return NULL;
}

static const struct route *find_route(const struct lutra_http_server *server, const char *path)
{
    const struct route *best = NULL;

    for (size_t i = 0; i < server->n_routes; i++) {
        const struct route *route = &server->routes[i];
        size_t len = strlen(route->path);

        if (strcmp(route->path, path) == 0) {
            return route;
        }
        if (route->path[len - 1] == '/' && strncmp(route->path, path, len) == 0 &&
            (best == NULL || len > strlen(best->path))) {
            best = route;
        }
    }
    return best;
}

static void on_request_cb(struct evhttp_request *evreq, void *arg)
{
    struct lutra_http_server *server = arg;
    const char *method = method_name(evhttp_request_get_command(evreq));
    const char *target = evhttp_request_get_uri(evreq);
    struct evbuffer *input = evhttp_request_get_input_buffer(evreq);
    struct lutra_http_request *request;
    const struct route *route;

    if (method == NULL || target == NULL || target[0] != '/') {
        evhttp_send_error(evreq, HTTP_BADREQUEST, NULL);
        return;
    }
    request = lutra_http_request_make(method, target);
    if (request == NULL) {
        evhttp_send_error(evreq, HTTP_BADREQUEST, NULL);
        return;
    }
    request->server = server;
    request->evreq = evreq;
    request->body_len = evbuffer_get_length(input);
    request->body = lutra_alloc(request->body_len + 1);
    evbuffer_copyout(input, request->body, request->body_len);
    request->next = server->pending;
    if (server->pending != NULL) {
        server->pending->prev = request;
    }
    server->pending = request;
    lutra_http_conns_begin(server->conns, request_fd(evreq));

    route = find_route(server, request->path);
    if (request->body_len > server->max_body_bytes) {
        lutra_http_reply_error(request, 413, "config", "the body is larger than %zu bytes",
                               server->max_body_bytes);
    } else if (route == NULL) {
        lutra_http_reply_error(request, 404, "config", "no such path: %.200s", request->path);
    } else {
        route->fn(request, route->arg);
    }
}

void lutra_http_server_answered(struct lutra_http_request *request)
{
    struct lutra_http_server *server = request->server;

    if (server == NULL) {
        return;
    }
    lutra_http_conns_end(server->conns, request_fd(request->evreq));
    if (request->prev != NULL) {
        request->prev->next = request->next;
    } else {
        server->pending = request->next;
    }
    if (request->next != NULL) {
        request->next->prev = request->prev;
    }
    request->server = NULL;
}

static int
to_sockaddr(const struct lutra_http_address *address, struct sockaddr_storage *out, socklen_t *len)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    const char *host = strcmp(address->host, "localhost") == 0 ? "127.0.0.1" : address->host;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(out, &v4, sizeof(v4));
        *len = sizeof(v4);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(out, &v6, sizeof(v6));
        *len = sizeof(v6);
        return 0;
    }
    return -1;
}

static void
remember_address(struct lutra_http_server *server, int fd, const struct lutra_http_address *asked)
{
    struct lutra_http_address real = *asked;
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);

    if (strcmp(real.host, "localhost") == 0) {
        snprintf(real.host, sizeof(real.host), "127.0.0.1");
    }
    if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0) {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;

        if (ss.ss_family == AF_INET) {
            memcpy(&v4, &ss, sizeof(v4));
            real.port = ntohs(v4.sin_port);
        } else if (ss.ss_family == AF_INET6) {
            memcpy(&v6, &ss, sizeof(v6));
            real.port = ntohs(v6.sin6_port);
        }
    }
    lutra_http_address_format(&real, server->address);
}

static struct evconnlistener *listen_at(struct event_base *base,
                                        const struct lutra_http_address *address,
                                        const char *text,
                                        struct lutra_error *err)
{
    struct sockaddr_storage ss;
    socklen_t len;
    struct evconnlistener *listener;

    if (to_sockaddr(address, &ss, &len) != 0) {
        lutra_error_set(err, LUTRA_CONFIG, 0,
                        "http.listen \"%.200s\": expected an address in numbers and a port, such "
                        "as 127.0.0.1:8640",
                        text);
        return NULL;
    }
    listener = evconnlistener_new_bind(base, NULL, NULL,
                                       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
                                           LEV_OPT_REUSEABLE | LEV_OPT_DISABLED,
                                       128, (struct sockaddr *)&ss, (int)len);
    if (listener == NULL) {
        lutra_error_set(err, LUTRA_FATAL, errno, "cannot listen on %.200s: %s", text,
                        strerror(errno));
    }
    return listener;
}

static void set_limits(struct lutra_http_server *server, const struct lutra_http_limits *limits)
{
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_PUT | EVHTTP_REQ_POST |
                                                 EVHTTP_REQ_DELETE);
    evhttp_set_max_headers_size(server->http, (ev_ssize_t)limits->max_header_bytes);
    evhttp_set_max_body_size(server->http, (ev_ssize_t)limits->max_body_bytes);
    evhttp_set_timeout(server->http, (int)((limits->idle_ms + 999) / 1000));
    /* Reads on for a while after an error, so that the client sees the 413. */
    evhttp_set_flags(server->http, EVHTTP_SERVER_LINGERING_CLOSE);
    server->max_body_bytes = limits->max_body_bytes;
}

struct lutra_http_server *lutra_http_server_new(struct lutra_loop *loop,
                                                const char *listen,
                                                const struct lutra_http_limits *limits,
                                                struct lutra_error *err)
{
    struct event_base *base = lutra_loop_base(loop);
    struct lutra_http_address address;
    struct lutra_http_server *server;
    struct evconnlistener *listener;

    if (base == NULL) {
        lutra_error_set(err, LUTRA_FATAL, 0, "a simulated loop has no sockets");
        return NULL;
    }
    if (lutra_http_address_parse(listen, &address, err) != 0) {
        lutra_error_wrap(err, "http.listen");
        return NULL;
    }
    listener = listen_at(base, &address, listen, err);
    if (listener == NULL) {
        return NULL;
    }
    if (limits == NULL) {
        limits = &lutra_http_default_limits;
    }
    server = LUTRA_NEW(struct lutra_http_server);
    server->http = evhttp_new(base);
    LUTRA_ASSERT(server->http != NULL);
    server->conns = lutra_http_conns_new(loop, limits->max_connections, limits->idle_ms);
    set_limits(server, limits);
    evhttp_set_bevcb(server->http, lutra_http_conns_bufferevent_cb, server->conns);
    evhttp_set_gencb(server->http, on_request_cb, server);
    remember_address(server, (int)evconnlistener_get_fd(listener), &address);
    /* Owned by evhttp from here on. */
    LUTRA_ASSERT(evhttp_bind_listener(server->http, listener) != NULL);
    evconnlistener_enable(listener);
    return server;
}

void lutra_http_server_free(struct lutra_http_server *server)
{
    if (server == NULL) {
        return;
    }
    for (struct lutra_http_request *request = server->pending; request != NULL;) {
        struct lutra_http_request *next = request->next;

        request->server = NULL;
        request->evreq = NULL;
        request->prev = request->next = NULL;
        request = next;
    }
    evhttp_free(server->http);
    lutra_http_conns_free(server->conns);
    for (size_t i = 0; i < server->n_routes; i++) {
        lutra_free(server->routes[i].path);
    }
    lutra_free(server->routes);
    lutra_free(server);
}

const char *lutra_http_server_address(const struct lutra_http_server *server)
{
    return server->address;
}

unsigned lutra_http_server_connections(struct lutra_http_server *server)
{
    return lutra_http_conns_count(server->conns);
}

void lutra_http_server_route(struct lutra_http_server *server,
                             const char *path,
                             lutra_http_fn fn,
                             void *arg)
{
    server->routes =
        lutra_realloc(server->routes, (server->n_routes + 1) * sizeof(*server->routes));
    server->routes[server->n_routes++] =
        (struct route){.path = lutra_strdup(path), .fn = fn, .arg = arg};
}
