/* Calls to the managers. The tool has nothing else to do meanwhile: the loop runs until the answer
 * is there. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/address.h"
#include "http/client.h"
#include "loop/loop.h"
#include "manager/cli/cli.h"

enum { CALL_MS = 15000, PATIENCE_MS = 10000, RETRY_MS = 250, MAX_REDIRECTS = 5 };
enum { MAX_BODY_BYTES = 64 * 1024 * 1024 };

struct cli_client {
    struct lutra_loop *loop;
    struct lutra_http_client *http;
    char *managers[CLI_MAX_MANAGERS];
    size_t n;
};

/* One exchange. */
struct exchange {
    bool done;
    int status;
    char *location;
    char *body;
    size_t len;
    char error[1024];
};

static int
add_manager(struct cli_client *client, const char *text, size_t len, struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *one = lutra_strndup(text, len);
    struct lutra_http_address address;

    if (client->n == CLI_MAX_MANAGERS) {
        return lutra_error_set(err, LUTRA_CONFIG, 0, "more than %d managers", CLI_MAX_MANAGERS);
    }
    if (lutra_http_address_parse(one, &address, err) != 0) {
        return lutra_error_wrap(err, "--manager");
    }
    client->managers[client->n++] = LUTRA_STEAL(one);
    return 0;
}

struct cli_client *cli_client_new(const char *managers, struct lutra_error *err)
{
    struct cli_client *client = LUTRA_NEW(struct cli_client);

    if (managers == NULL || managers[0] == '\0') {
        managers = getenv("LUTRA_MANAGER");
    }
    if (managers == NULL || managers[0] == '\0') {
        managers = "127.0.0.1:8640";
    }
    client->loop = lutra_loop_new();
    client->http = lutra_http_client_new(client->loop, MAX_BODY_BYTES);
    for (const char *p = managers; *p != '\0';) {
        size_t len = strcspn(p, ",");

        if (len > 0 && add_manager(client, p, len, err) != 0) {
            cli_client_free(client);
            return NULL;
        }
        p += len + (p[len] == ',');
    }
    if (client->n == 0) {
        lutra_error_set(err, LUTRA_CONFIG, 0, "--manager: expected host:port[,host:port...]");
        cli_client_free(client);
        return NULL;
    }
    return client;
}

void cli_client_free(struct cli_client *client)
{
    if (client == NULL) {
        return;
    }
    lutra_http_client_free(client->http);
    lutra_loop_free(client->loop);
    for (size_t i = 0; i < client->n; i++) {
        lutra_free(client->managers[i]);
    }
    lutra_free(client);
}

void cli_client_pause(struct cli_client *client, uint64_t ms)
{
    lutra_loop_run_for(client->loop, ms);
}

static void
on_answer(const struct lutra_http_answer *answer, const struct lutra_error *err, void *arg)
{
    struct exchange *exchange = arg;

    exchange->done = true;
    if (answer == NULL) {
        snprintf(exchange->error, sizeof(exchange->error), "%s", err->msg);
        return;
    }
    exchange->status = answer->status;
    exchange->location = lutra_strdup(answer->location);
    exchange->body = lutra_strndup(answer->body, answer->len);
    exchange->len = answer->len;
}

static bool is_done(void *arg)
{
    return ((struct exchange *)arg)->done;
}

static void exchange_once(struct cli_client *client,
                          const struct lutra_http_call *call,
                          struct exchange *exchange)
{
    memset(exchange, 0, sizeof(*exchange));
    lutra_http_client_call(client->http, call, on_answer, exchange);
    if (!lutra_loop_run_until(client->loop, is_done, exchange, CALL_MS + 1000)) {
        lutra_http_client_forget(client->http, exchange);
        snprintf(exchange->error, sizeof(exchange->error), "%s: no answer", call->address);
    }
}

static void exchange_fini(struct exchange *exchange)
{
    lutra_free(exchange->location);
    lutra_free(exchange->body);
    exchange->location = exchange->body = NULL;
}

/* "http://host:port/path" into both parts (heap). */
static bool split_location(const char *location, char **address, char **target)
{
    static const char scheme[] = "http://";
    const char *host, *slash;

    if (location == NULL || strncmp(location, scheme, sizeof(scheme) - 1) != 0) {
        return false;
    }
    host = location + sizeof(scheme) - 1;
    slash = strchr(host, '/');
    if (slash == NULL) {
        return false;
    }
    *address = lutra_strndup(host, (size_t)(slash - host));
    *target = lutra_strdup(slash);
    return true;
}

/* Asks one manager and follows where it points. */
static void
ask(struct cli_client *client, const struct lutra_http_call *call, struct exchange *exchange)
{
    LUTRA_AUTO_FREE char *address = lutra_strdup(call->address);
    LUTRA_AUTO_FREE char *target = lutra_strdup(call->target);

    for (int hops = 0; hops <= MAX_REDIRECTS; hops++) {
        struct lutra_http_call next = *call;
        char *new_address, *new_target;

        next.address = address;
        next.target = target;
        exchange_once(client, &next, exchange);
        if (exchange->status != 307) {
            if (exchange->status == 0 && hops > 0) { /* the leader it names has just gone */
                exchange->status = 503;
            }
            return;
        }
        if (!split_location(exchange->location, &new_address, &new_target)) {
            break;
        }
        exchange_fini(exchange);
        lutra_free(address);
        lutra_free(target);
        address = new_address;
        target = new_target;
    }
    exchange->status = 503;
    snprintf(exchange->error, sizeof(exchange->error), "%s: the redirections lead nowhere",
             call->address);
}

static void take_message(const struct exchange *exchange, struct cli_answer *answer)
{
    const char *message =
        json_string_value(json_object_get(json_object_get(answer->body, "error"), "message"));

    if (message != NULL) {
        snprintf(answer->message, sizeof(answer->message), "%s", message);
    } else if (exchange->error[0] != '\0') {
        snprintf(answer->message, sizeof(answer->message), "%s", exchange->error);
    } else if (exchange->status >= 400) {
        snprintf(answer->message, sizeof(answer->message), "status %d", exchange->status);
    }
}

/* The first manager whose answer says something; the last one's otherwise. */
static void
try_all(struct cli_client *client, struct lutra_http_call *call, struct cli_answer *answer)
{
    struct cli_answer best = {0};

    for (size_t i = 0; i < client->n; i++) {
        struct cli_answer one = {0};
        struct exchange exchange;

        call->address = client->managers[i];
        ask(client, call, &exchange);
        one.status = exchange.status;
        one.body = exchange.len > 0 ? json_loadb(exchange.body, exchange.len, 0, NULL) : NULL;
        take_message(&exchange, &one);
        exchange_fini(&exchange);
        if (one.status >= best.status || best.message[0] == '\0') {
            cli_answer_fini(&best);
            best = one;
        } else {
            cli_answer_fini(&one);
        }
        if (best.status != 0 && best.status != 503) {
            break;
        }
    }
    *answer = best;
}

void cli_client_call(struct cli_client *client,
                     const char *method,
                     const char *target,
                     const char *body,
                     size_t len,
                     bool patient,
                     struct cli_answer *answer)
{
    struct lutra_http_call call = {
        .method = method,
        .target = target,
        .body = body,
        .body_len = len,
        .timeout_ms = CALL_MS,
    };
    uint64_t end_ms = lutra_loop_now_ms(client->loop) + PATIENCE_MS;

    memset(answer, 0, sizeof(*answer));
    for (;;) {
        try_all(client, &call, answer);
        if (answer->status != 503 || !patient || lutra_loop_now_ms(client->loop) >= end_ms) {
            return;
        }
        cli_answer_fini(answer);
        cli_client_pause(client, RETRY_MS);
    }
}

void cli_client_post(struct cli_client *client,
                     const char *target,
                     json_t *body,
                     bool patient,
                     struct cli_answer *answer)
{
    char *text = json_dumps(body, JSON_COMPACT);

    assert(text != NULL); /* options.c lets nothing through that JSON cannot carry */
    json_decref(body);
    cli_client_call(client, "POST", target, text, strlen(text), patient, answer);
    free(text);
}

void cli_answer_fini(struct cli_answer *answer)
{
    json_decref(answer->body);
    memset(answer, 0, sizeof(*answer));
}

int cli_answer_failed(const struct cli_answer *answer, int refused)
{
    switch (answer->status) {
    case 0:
        cli_say("no manager can be reached: %s", answer->message);
        return CLI_UNREACHABLE;
    case 503:
        cli_say("%s", answer->message);
        return CLI_TRY_LATER;
    case 400:
    case 413:
        cli_say("%s", answer->message);
        return refused;
    default:
        cli_say("%s", answer->message[0] != '\0' ? answer->message : "an answer that is not one");
        return CLI_FAILED;
    }
}
