/* A request as handlers see it, from a connection or from none. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"
#include "http/server_private.h"

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {413, "Payload Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Answer";
}

/* A copy of the escaped text with %xx resolved; NULL when an escape is malformed or means NUL. */
static char *decode(const char *text, size_t len)
{
    char *out = lutra_alloc(len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '%') {
            char hex[3] = {0};
            char *end;

            if (len - i < 3) {
                lutra_free(out);
                return NULL;
            }
            memcpy(hex, text + i + 1, 2);
            c = (char)strtol(hex, &end, 16);
            if (end != hex + 2 || c == '\0') {
                lutra_free(out);
                return NULL;
            }
            i += 2;
        }
        out[n++] = c;
    }
    return out;
}

struct lutra_http_request *lutra_http_request_make(const char *method, const char *target)
{
    const char *question = strchr(target, '?');
    struct lutra_http_request *request = LUTRA_NEW(struct lutra_http_request);

    TAILQ_INIT(&request->query);
    request->method = method;
    request->target = lutra_strdup(target);
    request->path = decode(target, question != NULL ? (size_t)(question - target) : strlen(target));
    if (request->path == NULL || request->path[0] != '/' ||
        (question != NULL && question[1] != '\0' &&
         evhttp_parse_query_str(question + 1, &request->query) != 0)) {
        lutra_http_request_free(request);
        return NULL;
    }
    return request;
}

void lutra_http_request_free(struct lutra_http_request *request)
{
    evhttp_clear_headers(&request->query);
    lutra_free(request->target);
    lutra_free(request->path);
    lutra_free(request->body);
    lutra_free(request);
}

struct lutra_http_request *lutra_http_request_new(const char *method,
                                                  const char *target,
                                                  const char *body,
                                                  size_t len,
                                                  lutra_http_sink_fn sink,
                                                  void *arg)
{
    struct lutra_http_request *request = lutra_http_request_make(method, target);

    if (request == NULL) {
        return NULL;
    }
    request->body = lutra_strndup(body != NULL ? body : "", body != NULL ? len : 0);
    request->body_len = len;
    request->sink = sink;
    request->sink_arg = arg;
    return request;
}

const char *lutra_http_method(const struct lutra_http_request *request)
{
    return request->method;
}

const char *lutra_http_path(const struct lutra_http_request *request)
{
    return request->path;
}

const char *lutra_http_target(const struct lutra_http_request *request)
{
    return request->target;
}

const char *lutra_http_query(const struct lutra_http_request *request, const char *name)
{
    return evhttp_find_header(&request->query, name);
}

const char *lutra_http_header(const struct lutra_http_request *request, const char *name)
{
    if (request->evreq == NULL) {
        return NULL;
    }
    return evhttp_find_header(evhttp_request_get_input_headers(request->evreq), name);
}

const char *lutra_http_body(const struct lutra_http_request *request, size_t *len)
{
    *len = request->body_len;
    return request->body;
}

static void header(struct evhttp_request *evreq, const char *name, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(evreq), name, value);
}

static void send_evhttp(struct evhttp_request *evreq,
                        int status,
                        const char *type,
                        const char *location,
                        const char *body,
                        size_t len)
{
    struct evbuffer *out = evbuffer_new();

    header(evreq, "Content-Type", type);
    header(evreq, "Cache-Control", "no-store");
    header(evreq, "X-Content-Type-Options", "nosniff");
    if (location != NULL) {
        header(evreq, "Location", location);
    }
    if (out != NULL) {
        evbuffer_add(out, body, len);
    }
    /* Frees evreq, also when its connection is gone. */
    evhttp_send_reply(evreq, status, reason_of(status), out);
    if (out != NULL) {
        evbuffer_free(out);
    }
}

static void answer(struct lutra_http_request *request,
                   int status,
                   const char *type,
                   const char *location,
                   const char *body,
                   size_t len)
{
    struct evhttp_request *evreq = request->evreq;

    lutra_http_server_answered(request);
    if (request->sink != NULL) {
        request->sink(status, type, location, body, len, request->sink_arg);
    } else if (evreq != NULL) {
        send_evhttp(evreq, status, type, location, body, len);
    }
    lutra_http_request_free(request);
}

void lutra_http_reply_json(struct lutra_http_request *request, int status, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);

    json_decref(body);
    if (text == NULL) {
        lutra_http_reply_text(request, 500, "text/plain; charset=utf-8",
                              "the answer cannot be written as JSON\n");
        return;
    }
    answer(request, status, "application/json", NULL, text, strlen(text));
    free(text);
}

void lutra_http_reply_text(struct lutra_http_request *request,
                           int status,
                           const char *type,
                           const char *text)
{
    answer(request, status, type, NULL, text, strlen(text));
}

void lutra_http_reply_error(
    struct lutra_http_request *request, int status, const char *class, const char *fmt, ...)
{
    char message[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    /* Replaces what is not UTF-8: the text may quote what came from outside. */
    for (char *p = message; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
    json_t *text = json_string(message);

    if (text == NULL) {
        for (char *p = message; *p != '\0'; p++) {
            if ((unsigned char)*p >= 0x80) {
                *p = '?';
            }
        }
        text = json_string(message);
    }
    lutra_http_reply_json(request, status,
                          json_pack("{s:{s:s,s:o}}", "error", "class", class, "message", text));
}

void lutra_http_redirect(struct lutra_http_request *request, const char *location)
{
    answer(request, 307, "text/plain; charset=utf-8", location, "", 0);
}
