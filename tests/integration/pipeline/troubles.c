#include "troubles.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/http.h"
#include "support/test.h"

static char plain_endpoint[256];

void troubles_begin_plain(struct workload *w,
                          struct cluster *c,
                          const struct lutra_test_mariadb *target,
                          unsigned seconds,
                          unsigned rate)
{
    struct lutra_sql *root = lutra_sql_open(target->socket);
    lutra_sql_exec(root, "CREATE USER plain@localhost; GRANT ALL ON lutra.* TO plain@localhost;"
                         "GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON *.* TO plain@localhost");
    lutra_sql_close(root);
    (void)snprintf(plain_endpoint, sizeof plain_endpoint,
                   "{type: mariadb, socket: %s, user: plain}", target->socket);
    workload_begin(w, c,
                   &(struct cluster_options){.target = target, .target_endpoint = plain_endpoint},
                   seconds, rate);
    workload_for(w, 1000);
}

static char told[16384];

static bool tells(struct cluster *c, const char *const *words)
{
    json_t *status = cluster_status(c);
    char *text = status != NULL ? json_dumps(status, JSON_COMPACT) : NULL;
    bool found = text != NULL;
    for (; found && *words != NULL; words++) {
        found = strcasestr(text, *words) != NULL;
    }
    (void)snprintf(told, sizeof told, "%s", text != NULL ? text : "nothing");
    free(text);
    json_decref(status);
    return found;
}

void troubles_told(
    struct cluster *c, struct workload *w, uint64_t since_ms, const char *a, const char *b)
{
    const char *words[] = {a, b, NULL};
    while (!tells(c, words)) {
        cr_assert_lt(lutra_test_now_ms() - since_ms, lutra_test_scaled_ms(15000),
                     "not told within 15 s: \"%s\", \"%s\"; status: %s", a, b, told);
        if (w != NULL) {
            workload_step(w);
        }
        lutra_test_poll_pause();
    }
    cr_log_info("\"%s\" told after %llu ms", a,
                (unsigned long long)(lutra_test_now_ms() - since_ms));
}

void troubles_over(struct workload *w, const char *what, uint64_t deadline_ms)
{
    uint64_t took_ms = workload_first_row(w, lutra_test_now_ms(), deadline_ms);
    lutra_test_measured("%s -> first row: %llu ms", what, (unsigned long long)took_ms);
    (void)workload_flows(w, deadline_ms, what);
    cluster_await_state(w->c, "RUNNING", 20000);
}

double troubles_metric(struct lutra_test_service *service, const char *name)
{
    char *body = lutra_http_get(service->port, "/metrics");
    char *needle = lutra_test_format("\n%s", name);
    const char *at = body != NULL ? strstr(body, needle) : NULL;
    const char *value = at != NULL ? at + strlen(needle) : NULL;
    if (value != NULL && *value == '{') {
        value = strchr(value, '}');
        value = value != NULL ? value + 1 : NULL;
    }
    double number = value != NULL ? strtod(value, NULL) : -1;
    free(needle);
    free(body);
    return number;
}

int64_t troubles_republished(struct cluster *c)
{
    return cluster_state_int(c, &c->selects[0], "republished");
}
