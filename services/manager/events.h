/* The manager's memory of what happened: the last few hundred events, shown in the status. */
#ifndef LUTRA_MANAGER_EVENTS_H
#define LUTRA_MANAGER_EVENTS_H

#include <jansson.h>

#include "base/error.h"
#include "loop/loop.h"

struct mgr_events;
struct mgr_events *mgr_events_new(struct lutra_loop *loop);
void mgr_events_free(struct mgr_events *events);
/* subject: a pipeline, channel or node. Also logged, as manager.event. */
void mgr_events_add(struct mgr_events *events,
                    const char *kind,
                    const char *subject,
                    const char *fmt,
                    ...) LUTRA_PRINTF(4, 5);
/* Oldest first: [{"at_ms","kind","subject","text"}]. */
json_t *mgr_events_json(const struct mgr_events *events);

#endif
