#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/client.h"
#include "http/server.h"

static struct lutra_loop *loop;
static struct lutra_http_server *server;
static struct lutra_http_client *client;
static int status, answers;
static char body[4096], error[1024], location[256];

static void begin(void)
{
    struct lutra_error err = {0};

    loop = lutra_loop_new();
    server = lutra_http_server_new(loop, "127.0.0.1:0", NULL, &err);
    cr_assert_not_null(server, "%s", err.msg);
    client = lutra_http_client_new(loop, 2048);
}

static void end(void)
{
    lutra_http_client_free(client);
    lutra_http_server_free(server);
    lutra_loop_free(loop);
}

TestSuite(http_client, .init = begin, .fini = end);

static void
on_answer(const struct lutra_http_answer *answer, const struct lutra_error *err, void *arg)
{
    (void)arg;
    answers++;
    status = answer != NULL ? answer->status : 0;
    snprintf(body, sizeof(body), "%s", answer != NULL ? answer->body : "");
    snprintf(error, sizeof(error), "%s", err != NULL ? err->msg : "");
    snprintf(location, sizeof(location), "%s",
             answer != NULL && answer->location != NULL ? answer->location : "");
}

static bool answered(void *arg)
{
    return answers >= *(int *)arg;
}

static void call(const char *method, const char *address, const char *target, const char *text)
{
    int want = answers + 1;

    lutra_http_client_call(client,
                           &(struct lutra_http_call){.method = method,
                                                     .address = address,
                                                     .target = target,
                                                     .body = text,
                                                     .body_len = text != NULL ? strlen(text) : 0,
                                                     .timeout_ms = 1000},
                           on_answer, NULL);
    cr_assert(lutra_loop_run_until(loop, answered, &want, 5000));
}

static void echo(struct lutra_http_request *request, void *arg)
{
    size_t len;
    char text[256];

    (void)arg;
    snprintf(text, sizeof(text), "%s %s %s", lutra_http_method(request), lutra_http_path(request),
             lutra_http_body(request, &len));
    lutra_http_reply_text(request, 200, "text/plain", text);
}

static void redirect(struct lutra_http_request *request, void *arg)
{
    (void)arg;
    lutra_http_redirect(request, "http://127.0.0.1:9/elsewhere");
}

static void big(struct lutra_http_request *request, void *arg)
{
    static char text[4000];

    (void)arg;
    memset(text, 'x', sizeof(text) - 1);
    lutra_http_reply_text(request, 200, "text/plain", text);
}

static struct lutra_http_request *kept;

static void keep(struct lutra_http_request *request, void *arg)
{
    (void)arg;
    kept = request;
}

Test(http_client, every_method_with_its_body)
{
    const char *address = lutra_http_server_address(server);

    lutra_http_server_route(server, "/echo/", echo, NULL);
    call("GET", address, "/echo/x", NULL);
    cr_assert_str_eq(body, "GET /echo/x ");
    call("PUT", address, "/echo/y?q=1", "text");
    cr_assert_str_eq(body, "PUT /echo/y text");
    call("POST", address, "/echo/", "{}");
    cr_assert_str_eq(body, "POST /echo/ {}");
    call("DELETE", address, "/echo/z", NULL);
    cr_assert_str_eq(body, "DELETE /echo/z ");
    cr_assert_eq(status, 200);
}

Test(http_client, a_redirection_is_handed_out_with_its_place)
{
    lutra_http_server_route(server, "/there", redirect, NULL);
    call("POST", lutra_http_server_address(server), "/there", "{}");
    cr_assert_eq(status, 307);
    cr_assert_str_eq(location, "http://127.0.0.1:9/elsewhere");
}

Test(http_client, nobody_there)
{
    char address[64];

    snprintf(address, sizeof(address), "%s", lutra_http_server_address(server));
    lutra_http_server_free(server);
    server = NULL;
    call("GET", address, "/", NULL);
    cr_assert_eq(status, 0);
    cr_assert(strstr(error, "refused or closed") != NULL, "%s", error);
}

Test(http_client, an_address_that_is_none)
{
    call("GET", "nonsense", "/", NULL);
    cr_assert_eq(status, 0);
    cr_assert(strstr(error, "host:port") != NULL, "%s", error);
}

Test(http_client, a_server_that_does_not_answer_ends_at_the_deadline)
{
    lutra_http_server_route(server, "/never", keep, NULL);
    call("GET", lutra_http_server_address(server), "/never", NULL);
    cr_assert_eq(status, 0);
    cr_assert(strstr(error, "no answer within 1000 ms") != NULL, "%s", error);
    /* The late answer reaches nobody and harms nobody. */
    lutra_http_reply_text(kept, 200, "text/plain", "late");
    lutra_loop_run_for(loop, 50);
}

Test(http_client, an_answer_beyond_the_bound_is_refused)
{
    lutra_http_server_route(server, "/big", big, NULL);
    call("GET", lutra_http_server_address(server), "/big", NULL);
    cr_assert_eq(status, 0);
    cr_assert(strstr(error, "too large") != NULL, "%s", error);
}

Test(http_client, forgotten_calls_do_not_call_back)
{
    lutra_http_server_route(server, "/never", keep, NULL);
    lutra_http_client_call(client,
                           &(struct lutra_http_call){.method = "GET",
                                                     .address = lutra_http_server_address(server),
                                                     .target = "/never",
                                                     .timeout_ms = 100},
                           on_answer, &kept);
    lutra_http_client_forget(client, &kept);
    lutra_loop_run_for(loop, 300);
    cr_assert_eq(answers, 0);
}

Test(http_client, a_request_answered_after_the_server_has_gone)
{
    lutra_http_server_route(server, "/never", keep, NULL);
    call("GET", lutra_http_server_address(server), "/never", NULL);
    lutra_http_server_free(server);
    server = NULL;
    lutra_http_reply_text(kept, 200, "text/plain", "late");
}
