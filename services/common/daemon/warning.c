#include "daemon/warning.h"

#include <inttypes.h>
#include <stdio.h>

enum { UNUSABLE_MS = 300000, DEFINITION_MS = 10000 };

void lutra_unusable_count(struct lutra_unusable *unusable, const struct lutra_loop *loop)
{
    unusable->n++;
    unusable->last_ms = lutra_loop_now_ms(loop);
}

bool lutra_warn_unusable(const struct lutra_unusable *unusable,
                         const struct lutra_loop *loop,
                         const char *pipeline,
                         const char *stage,
                         char *text,
                         size_t size)
{
    if (unusable->n == 0 || lutra_loop_now_ms(loop) - unusable->last_ms >= UNUSABLE_MS) {
        return false;
    }
    (void)snprintf(text, size,
                   "%" PRIu64 " messages of topic lutra.%s.%s could not be used and were passed "
                   "over; what they should have been is sent again",
                   unusable->n, pipeline, stage);
    return true;
}

bool lutra_warn_definition(uint64_t since_ms,
                           uint64_t wanted,
                           uint64_t known,
                           const struct lutra_loop *loop,
                           char *text,
                           size_t size)
{
    uint64_t now_ms = lutra_loop_now_ms(loop);

    if (since_ms == 0 || now_ms - since_ms < DEFINITION_MS) {
        return false;
    }
    (void)snprintf(text, size,
                   "waits for version %" PRIu64 " of the definition for %" PRIu64
                   " s, and knows version %" PRIu64 ": does it reach ZooKeeper?",
                   wanted, (now_ms - since_ms) / 1000, known);
    return true;
}

bool lutra_warn_blocked(enum lutra_error_class class, const char *why, char *text, size_t size)
{
    if (class != LUTRA_RETRY) {
        return false;
    }
    (void)snprintf(text, size, "%s", why);
    return true;
}

bool lutra_warn_bus(const struct lutra_bus *bus, char *text, size_t size)
{
    const char *warning = bus ? lutra_bus_warning(bus) : "";

    if (warning[0] == '\0') {
        return false;
    }
    (void)snprintf(text, size, "%s", warning);
    return true;
}
