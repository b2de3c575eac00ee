#include "http/client.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/dns.h>
#include <event2/http.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/address.h"

struct call {
    struct lutra_http_client *client;
    struct evhttp_connection *evcon; /* NULL: never begun */
    struct evhttp_request *evreq;    /* NULL: answered or failed */
    struct lutra_timer *deadline;
    struct lutra_task
        *finish; /* `done` and the end of the connection, outside evhttp's callbacks */
    lutra_http_answer_fn done;
    void *arg;
    uint64_t timeout_ms;
    struct lutra_error err;
    int status; /* 0: err holds */
    char *location, *body;
    size_t len;
    char address[272];
    struct call *prev, *next;
};

struct lutra_http_client {
    struct lutra_loop *loop;
    struct evdns_base *dns; /* made for the first name; numbers need none */
    size_t max_body_bytes;
    struct call *calls;
};

struct lutra_http_client *lutra_http_client_new(struct lutra_loop *loop, size_t max_body_bytes)
{
    struct lutra_http_client *client = LUTRA_NEW(struct lutra_http_client);

    LUTRA_ASSERT(lutra_loop_base(loop) != NULL);
    client->loop = loop;
    client->max_body_bytes = max_body_bytes;
    return client;
}

static void call_free(struct call *call)
{
    if (call->prev != NULL) {
        call->prev->next = call->next;
    } else {
        call->client->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    }
    lutra_timer_free(call->deadline);
    lutra_task_free(call->finish);
    if (call->evreq != NULL) {
        evhttp_cancel_request(call->evreq);
    }
    if (call->evcon != NULL) {
        evhttp_connection_free(call->evcon);
    }
    lutra_free(call->location);
    lutra_free(call->body);
    lutra_free(call);
}

void lutra_http_client_free(struct lutra_http_client *client)
{
    if (client == NULL) {
        return;
    }
    while (client->calls != NULL) {
        call_free(client->calls);
    }
    if (client->dns != NULL) {
        evdns_base_free(client->dns, 0);
    }
    lutra_free(client);
}

void lutra_http_client_forget(struct lutra_http_client *client, void *arg)
{
    for (struct call *call = client->calls; call != NULL;) {
        struct call *next = call->next;

        if (call->arg == arg) {
            call->done = NULL;
            /* Perhaps inside its own `done`: ended in a later turn. */
            lutra_task_schedule(call->finish);
        }
        call = next;
    }
}

static void finish_cb(void *arg)
{
    struct call *call = arg;
    lutra_http_answer_fn done = call->done;

    call->done = NULL;
    if (done != NULL) {
        struct lutra_http_answer answer = {
            .status = call->status,
            .location = call->location,
            .body = call->body != NULL ? call->body : "",
            .len = call->len,
        };

        done(call->status != 0 ? &answer : NULL, call->status != 0 ? NULL : &call->err, call->arg);
    }
    call_free(call);
}

static void fail(struct call *call, const char *what)
{
    lutra_error_set(&call->err, LUTRA_RETRY, 0, "%s: %s", call->address, what);
    lutra_task_schedule(call->finish);
}

static void deadline_cb(void *arg)
{
    struct call *call = arg;
    char what[64];

    snprintf(what, sizeof(what), "no answer within %llu ms", (unsigned long long)call->timeout_ms);
    fail(call, what);
}

static void on_error_cb(enum evhttp_request_error error, void *arg)
{
    struct call *call = arg;

    if (error == EVREQ_HTTP_DATA_TOO_LONG) {
        lutra_error_set(&call->err, LUTRA_RETRY, 0, "%s: the answer is too large", call->address);
    } else if (error == EVREQ_HTTP_INVALID_HEADER) {
        lutra_error_set(&call->err, LUTRA_RETRY, 0, "%s: the answer is not HTTP", call->address);
    }
}

static void on_answer_cb(struct evhttp_request *evreq, void *arg)
{
    struct call *call = arg;
    const char *location;
    struct evbuffer *input;

    call->evreq = NULL; /* freed by evhttp after this callback */
    lutra_timer_stop(call->deadline);
    if (evreq == NULL || evhttp_request_get_response_code(evreq) == 0) {
        if (call->err.class == LUTRA_OK) {
            fail(call, "connection refused or closed");
            return;
        }
        lutra_task_schedule(call->finish);
        return;
    }
    call->status = evhttp_request_get_response_code(evreq);
    location = evhttp_find_header(evhttp_request_get_input_headers(evreq), "Location");
    call->location = lutra_strdup(location);
    input = evhttp_request_get_input_buffer(evreq);
    call->len = evbuffer_get_length(input);
    call->body = lutra_alloc(call->len + 1);
    evbuffer_copyout(input, call->body, call->len);
    lutra_task_schedule(call->finish);
}

static enum evhttp_cmd_type method_of(const char *method)
{
    if (strcmp(method, "PUT") == 0) {
        return EVHTTP_REQ_PUT;
    }
    if (strcmp(method, "POST") == 0) {
        return EVHTTP_REQ_POST;
    }
    if (strcmp(method, "DELETE") == 0) {
        return EVHTTP_REQ_DELETE;
    }
    return EVHTTP_REQ_GET;
}

static struct evdns_base *resolver(struct lutra_http_client *client,
                                   const struct lutra_http_address *address)
{
    if (lutra_http_address_is_numeric(address)) {
        return NULL;
    }
    if (client->dns == NULL) {
        client->dns =
            evdns_base_new(lutra_loop_base(client->loop),
                           EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    }
    return client->dns;
}

/* 0: under way. */
static int begin(struct call *call, const struct lutra_http_call *what)
{
    struct lutra_http_address address;
    struct evhttp_request *evreq;
    struct evkeyvalq *headers;

    if (lutra_http_address_parse(what->address, &address, &call->err) != 0) {
        return -1;
    }
    struct evdns_base *dns = resolver(call->client, &address);

    if (dns == NULL && !lutra_http_address_is_numeric(&address)) {
        return lutra_error_set(&call->err, LUTRA_RETRY, 0, "%s: no name server", call->address);
    }
    call->evcon = evhttp_connection_base_new(lutra_loop_base(call->client->loop), dns, address.host,
                                             address.port);
    evreq = call->evcon == NULL ? NULL : evhttp_request_new(on_answer_cb, call);
    if (evreq == NULL) {
        return lutra_error_set(&call->err, LUTRA_RETRY, ENOMEM, "%s: out of memory", call->address);
    }
    evhttp_connection_set_max_body_size(call->evcon, (ev_ssize_t)call->client->max_body_bytes);
    evhttp_connection_set_max_headers_size(call->evcon, 64 * 1024);
    evhttp_request_set_error_cb(evreq, on_error_cb);
    headers = evhttp_request_get_output_headers(evreq);
    evhttp_add_header(headers, "Host", call->address);
    evhttp_add_header(headers, "Connection", "close");
    if (what->body != NULL) {
        evhttp_add_header(headers, "Content-Type",
                          what->type != NULL ? what->type : "application/json");
        evbuffer_add(evhttp_request_get_output_buffer(evreq), what->body, what->body_len);
    }
    call->evreq = evreq;
    /* Failure may call back at once, or free the request without a call. */
    if (evhttp_make_request(call->evcon, evreq, method_of(what->method), what->target) != 0) {
        call->evreq = NULL;
        return lutra_error_set(&call->err, LUTRA_RETRY, errno, "%s: cannot connect", call->address);
    }
    return 0;
}

void lutra_http_client_call(struct lutra_http_client *client,
                            const struct lutra_http_call *what,
                            lutra_http_answer_fn done,
                            void *arg)
{
    struct call *call = LUTRA_NEW(struct call);

    call->client = client;
    call->done = done;
    call->arg = arg;
    call->timeout_ms = what->timeout_ms;
    snprintf(call->address, sizeof(call->address), "%s", what->address);
    call->deadline = lutra_timer_new(client->loop, deadline_cb, call);
    call->finish = lutra_task_new(client->loop, finish_cb, call);
    call->next = client->calls;
    if (client->calls != NULL) {
        client->calls->prev = call;
    }
    client->calls = call;
    lutra_timer_start(call->deadline, what->timeout_ms);
    if (begin(call, what) != 0) {
        lutra_task_schedule(call->finish);
    }
}
