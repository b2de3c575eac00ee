#include "manager/events.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

enum { MAX_EVENTS = 200 };

struct event {
    int64_t at_ms;
    char kind[32], subject[128], text[600];
};

struct mgr_events {
    struct lutra_loop *loop;
    struct event ring[MAX_EVENTS];
    size_t next, n;
};

struct mgr_events *mgr_events_new(struct lutra_loop *loop)
{
    struct mgr_events *events = LUTRA_NEW(struct mgr_events);

    events->loop = loop;
    return events;
}

void mgr_events_free(struct mgr_events *events)
{
    lutra_free(events);
}

void mgr_events_add(
    struct mgr_events *events, const char *kind, const char *subject, const char *fmt, ...)
{
    struct event *event = &events->ring[events->next];
    va_list ap;

    events->next = (events->next + 1) % MAX_EVENTS;
    if (events->n < MAX_EVENTS) {
        events->n++;
    }
    event->at_ms = lutra_loop_wall_us(events->loop) / 1000;
    snprintf(event->kind, sizeof(event->kind), "%s", kind);
    snprintf(event->subject, sizeof(event->subject), "%s", subject);
    va_start(ap, fmt);
    vsnprintf(event->text, sizeof(event->text), fmt, ap);
    va_end(ap);
    LUTRA_INFO("manager.event", LUTRA_F_STR("kind", kind), LUTRA_F_STR("subject", subject),
               LUTRA_F_STR("text", event->text));
}

json_t *mgr_events_json(const struct mgr_events *events)
{
    json_t *array = json_array();

    for (size_t i = 0; i < events->n; i++) {
        const struct event *event =
            &events->ring[(events->next + MAX_EVENTS - events->n + i) % MAX_EVENTS];
        /* `text` may quote cut UTF-8: json_string refuses that. */
        json_t *text = json_string(event->text);

        json_array_append_new(array,
                              json_pack("{s:I, s:s, s:s, s:o}", "at_ms", (json_int_t)event->at_ms,
                                        "kind", event->kind, "subject", event->subject, "text",
                                        text != NULL ? text : json_string("(not UTF-8)")));
    }
    return array;
}
