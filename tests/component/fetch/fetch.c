#include "fetch/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { ANSWER_MS = 2 };

struct fetch {
    struct fetch_port *port;
    lutra_http_answer_fn done;
    void *arg;
    struct lutra_timer *timer;
    char address[64], target[128];
    uint64_t timeout_ms;
    struct fetch *next;
};

static void fetch_free(struct fetch *fetch)
{
    struct fetch **place = &fetch->port->under_way;

    while (*place != fetch) {
        place = &(*place)->next;
    }
    *place = fetch->next;
    lutra_timer_free(fetch->timer);
    lutra_free(fetch);
}

static void on_time(void *arg)
{
    struct fetch *fetch = arg;
    lutra_http_answer_fn done = fetch->done;
    void *done_arg = fetch->arg;
    struct lutra_error err = {0};
    char *body = fetch->port->answer(fetch->address, fetch->target);

    lutra_error_set(&err, LUTRA_RETRY, 0, "no answer within %llu ms",
                    (unsigned long long)fetch->timeout_ms);
    fetch_free(fetch); /* done may begin the next */
    if (body != NULL) {
        struct lutra_http_answer got = {.status = 200, .body = body, .len = strlen(body)};

        done(&got, NULL, done_arg);
    } else {
        done(NULL, &err, done_arg);
    }
    free(body);
}

static void get(void *arg,
                const char *address,
                const char *target,
                uint64_t timeout_ms,
                lutra_http_answer_fn done,
                void *done_arg)
{
    struct fetch_port *port = arg;
    struct fetch *fetch = LUTRA_NEW(struct fetch);
    char *body = port->answer(address, target);

    port->n++;
    fetch->port = port;
    fetch->done = done;
    fetch->arg = done_arg;
    fetch->timeout_ms = timeout_ms;
    snprintf(fetch->address, sizeof(fetch->address), "%s", address);
    snprintf(fetch->target, sizeof(fetch->target), "%s", target);
    fetch->timer = lutra_timer_new(port->loop, on_time, fetch);
    fetch->next = port->under_way;
    port->under_way = fetch;
    lutra_timer_start(fetch->timer, body != NULL ? ANSWER_MS : timeout_ms);
    free(body);
}

static void forget(void *arg, void *done_arg)
{
    struct fetch_port *port = arg;

    for (struct fetch *fetch = port->under_way; fetch != NULL;) {
        struct fetch *next = fetch->next;

        if (fetch->arg == done_arg) {
            fetch_free(fetch);
        }
        fetch = next;
    }
}

struct lutra_manager_fetcher fetch_from(struct fetch_port *port)
{
    return (struct lutra_manager_fetcher){.get = get, .forget = forget, .port = port};
}
