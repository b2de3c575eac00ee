#include <criterion/criterion.h>
#include <string.h>

#include "http/server.h"

static int last_status;
static char last_body[4096], last_location[256];

static void
sink(int status, const char *type, const char *location, const char *body, size_t len, void *arg)
{
    (void)type;
    (void)arg;
    last_status = status;
    cr_assert_lt(len, sizeof(last_body));
    memcpy(last_body, body, len);
    last_body[len] = '\0';
    snprintf(last_location, sizeof(last_location), "%s", location != NULL ? location : "");
}

static struct lutra_http_request *make(const char *target)
{
    return lutra_http_request_new("GET", target, NULL, 0, sink, NULL);
}

Test(http_request, path_and_query_are_decoded)
{
    struct lutra_http_request *request = make("/v1/a%2Fb%20c?force=true&n=%31+2");

    cr_assert_not_null(request);
    cr_assert_str_eq(lutra_http_path(request), "/v1/a/b c");
    cr_assert_str_eq(lutra_http_query(request, "force"), "true");
    cr_assert_str_eq(lutra_http_query(request, "n"), "1 2");
    cr_assert_null(lutra_http_query(request, "none"));
    cr_assert_str_eq(lutra_http_target(request), "/v1/a%2Fb%20c?force=true&n=%31+2");
    lutra_http_reply_text(request, 200, "text/plain", "x");
    cr_assert_str_eq(last_body, "x");
}

Test(http_request, malformed_targets_make_no_request)
{
    static const char *const bad[] = {"/a%", "/a%2", "/a%zz", "/a%00b", "a", "", "?x=1", "/%"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_null(make(bad[i]), "\"%s\"", bad[i]);
    }
}

Test(http_request, an_error_is_json_whatever_it_quotes)
{
    json_error_t at;
    json_t *answer;

    lutra_http_reply_error(make("/"), 400, "config", "bad \"%s\"", "\xff\n\x01");
    cr_assert_eq(last_status, 400);
    answer = json_loads(last_body, 0, &at);
    cr_assert_not_null(answer, "%s", last_body);
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(answer, "error"), "class")),
                     "config");
    json_decref(answer);
}

Test(http_request, a_redirection_names_the_place)
{
    lutra_http_redirect(make("/"), "http://127.0.0.1:1/x");
    cr_assert_eq(last_status, 307);
    cr_assert_str_eq(last_location, "http://127.0.0.1:1/x");
}
