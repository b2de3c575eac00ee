/* What an operator should know of a pipeline although it runs: "warning" in its /state, one line,
 * "" when there is nothing. The manager raises an alarm for it and clears that when it is said no
 * more (docs/PROTOCOL.md §6.7).
 *
 * Here is what several services warn of, in the same words and for the same time. Each returns
 * whether it is so; the text is only written then. */
#ifndef LUTRA_DAEMON_WARNING_H
#define LUTRA_DAEMON_WARNING_H

#include "bus/bus.h"

/* Messages of a topic that could not be used and were passed over. */
struct lutra_unusable {
    uint64_t n;
    uint64_t last_ms; /* of the loop, when there were any */
};
void lutra_unusable_count(struct lutra_unusable *unusable, const struct lutra_loop *loop);
/* For five minutes after the last of them; stage: whose topic of the pipeline it is. */
bool lutra_warn_unusable(const struct lutra_unusable *unusable,
                         const struct lutra_loop *loop,
                         const char *pipeline,
                         const char *stage,
                         char *text,
                         size_t size);

/* A definition that has not come for ten seconds. since_ms: of the loop, 0: none is waited for. */
bool lutra_warn_definition(uint64_t since_ms,
                           uint64_t wanted,
                           uint64_t known,
                           const struct lutra_loop *loop,
                           char *text,
                           size_t size);

/* This process does not serve the pipeline for want of a bus. Only RETRY: without the configuration
 * it is perhaps not meant to. */
bool lutra_warn_blocked(enum lutra_error_class class, const char *why, char *text, size_t size);

/* What the bus itself says (lutra_bus_warning); NULL: there is none. */
bool lutra_warn_bus(const struct lutra_bus *bus, char *text, size_t size);

#endif
