#include "base/log_limit.h"

#include <string.h>

#include "base/mem.h"

enum { WINDOW_MS = 1000 };

static size_t hash_of(const char *s)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (; *s; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    }
    return (size_t)(h % LUTRA_LOG_LIMIT_EVENTS);
}

static struct lutra_log_limit_entry *entry_of(struct lutra_log_limit *limit, const char *event)
{
    size_t start = hash_of(event);

    for (size_t i = 0; i < LUTRA_LOG_LIMIT_EVENTS; i++) {
        struct lutra_log_limit_entry *entry = &limit->entries[(start + i) % LUTRA_LOG_LIMIT_EVENTS];

        if (!entry->event) {
            if (limit->n >= LUTRA_LOG_LIMIT_EVENTS * 3 / 4) {
                return NULL; /* keeps the probing short */
            }
            entry->event = lutra_strdup(event);
            limit->n++;
            return entry;
        }
        if (strcmp(entry->event, event) == 0) {
            return entry;
        }
    }
    return NULL;
}

bool lutra_log_limit_pass(struct lutra_log_limit *limit, const char *event, uint64_t now_ms)
{
    struct lutra_log_limit_entry *entry = entry_of(limit, event);

    if (!entry) {
        return true;
    }
    if (entry->passed == 0 || now_ms - entry->begin_ms >= WINDOW_MS) {
        entry->begin_ms = now_ms;
        entry->passed = 0;
    }
    if (entry->passed < LUTRA_LOG_LIMIT_PER_S) {
        entry->passed++;
        return true;
    }
    entry->held++;
    return false;
}

const char *
lutra_log_limit_take(struct lutra_log_limit *limit, uint64_t now_ms, bool all, uint64_t *held)
{
    for (size_t i = 0; i < LUTRA_LOG_LIMIT_EVENTS; i++) {
        struct lutra_log_limit_entry *entry = &limit->entries[i];

        if (entry->held > 0 && (all || now_ms - entry->begin_ms >= WINDOW_MS)) {
            *held = entry->held;
            entry->held = 0;
            return entry->event;
        }
    }
    return NULL;
}

void lutra_log_limit_fini(struct lutra_log_limit *limit)
{
    for (size_t i = 0; i < LUTRA_LOG_LIMIT_EVENTS; i++) {
        lutra_free(limit->entries[i].event);
    }
    *limit = (struct lutra_log_limit){0};
}
