#include "bus/buses.h"

#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "bus/pipe.h"

struct entry {
    char *name;
    struct lutra_bus *bus;
    struct entry *next;
};

/* One that could not be opened for now. */
struct failure {
    struct lutra_buses *buses;
    char *name;
    struct lutra_error err;
    struct lutra_backoff backoff;
    struct lutra_timer *timer;
    bool due; /* the back-off is over, and nobody has asked again yet */
    struct failure *next;
};

struct lutra_buses {
    struct lutra_loop *loop;
    lutra_bus_open_fn open;
    void *arg;
    void (*due_fn)(void *arg);
    void *due_arg;
    struct entry *entries;
    struct failure *failures;
};

struct lutra_buses *lutra_buses_new(struct lutra_loop *loop, lutra_bus_open_fn open, void *arg)
{
    struct lutra_buses *buses = LUTRA_NEW(struct lutra_buses);

    buses->loop = loop;
    buses->open = open;
    buses->arg = arg;
    return buses;
}

void lutra_buses_on_due(struct lutra_buses *buses, void (*fn)(void *arg), void *arg)
{
    buses->due_fn = fn;
    buses->due_arg = arg;
}

/* ---- those that could not be opened for now ---- */

static struct failure *find_failure(const struct lutra_buses *buses, const char *name)
{
    struct failure *failure;

    LL_FOREACH(buses->failures, failure)
    {
        if (strcmp(failure->name, name) == 0) {
            return failure;
        }
    }
    return NULL;
}

static void forget_failure(struct failure *failure)
{
    LL_DELETE(failure->buses->failures, failure);
    lutra_timer_free(failure->timer);
    lutra_free(failure->name);
    lutra_free(failure);
}

static void on_backoff_over(void *arg)
{
    struct failure *failure = arg, *next;
    struct lutra_buses *buses = failure->buses;

    failure->due = true;
    if (buses->due_fn) {
        buses->due_fn(buses->due_arg);
    }
    LL_FOREACH_SAFE(buses->failures, failure, next)
    {
        if (failure->due) {
            forget_failure(failure); /* nobody wants it any more */
        }
    }
}

static void
wait_after_failure(struct lutra_buses *buses, const char *name, const struct lutra_error *err)
{
    struct failure *failure = find_failure(buses, name);

    if (!failure) {
        failure = LUTRA_NEW(struct failure);
        failure->buses = buses;
        failure->name = lutra_strdup(name);
        failure->backoff = (struct lutra_backoff){.min_ms = 1000, .max_ms = 60000};
        failure->timer = lutra_timer_new(buses->loop, on_backoff_over, failure);
        LL_APPEND(buses->failures, failure);
    }
    failure->err = *err;
    failure->due = false;
    lutra_timer_start(failure->timer, lutra_backoff_next_ms(&failure->backoff, buses->loop));
}

/* ---- those that are open ---- */

void lutra_buses_free(struct lutra_buses *buses)
{
    if (!buses) {
        return;
    }
    while (buses->failures) {
        forget_failure(buses->failures);
    }
    while (buses->entries) {
        struct entry *entry = buses->entries;

        LL_DELETE(buses->entries, entry);
        lutra_bus_free(entry->bus);
        lutra_free(entry->name);
        lutra_free(entry);
    }
    lutra_free(buses);
}

static struct lutra_bus *find(const struct lutra_buses *buses, const char *name)
{
    const struct entry *entry;

    LL_FOREACH(buses->entries, entry)
    {
        if (strcmp(entry->name, name) == 0) {
            return entry->bus;
        }
    }
    return NULL;
}

void lutra_buses_put(struct lutra_buses *buses, const char *name, struct lutra_bus *bus)
{
    struct entry *entry = LUTRA_NEW(struct entry);

    LUTRA_ASSERT(bus && !find(buses, name));
    entry->name = lutra_strdup(name);
    entry->bus = bus;
    LL_APPEND(buses->entries, entry);
}

struct lutra_bus *
lutra_buses_get(struct lutra_buses *buses, const char *name, struct lutra_error *err)
{
    struct lutra_bus *bus = find(buses, name);
    struct failure *failure = find_failure(buses, name);

    if (bus) {
        return bus;
    }
    if (!buses->open) {
        lutra_error_set(err, LUTRA_CONFIG, 0, "bus %s is not configured", name);
        return NULL;
    }
    if (failure && !failure->due) {
        *err = failure->err;
        return NULL;
    }
    bus = buses->open(name, buses->arg, err);
    if (!bus && err->class == LUTRA_RETRY) {
        lutra_error_wrap(err, "cannot be opened now, is tried again");
        wait_after_failure(buses, name, err);
        return NULL;
    }
    if (failure) {
        forget_failure(failure);
    }
    if (bus) {
        lutra_buses_put(buses, name, bus);
    }
    return bus;
}

void lutra_buses_each(const struct lutra_buses *buses,
                      void (*fn)(const char *name, struct lutra_bus *bus, void *arg),
                      void *arg)
{
    struct entry *entry;

    LL_FOREACH(buses->entries, entry)
    {
        fn(entry->name, entry->bus, arg);
    }
}

const char *lutra_buses_away(const struct lutra_buses *buses)
{
    const struct entry *entry;

    LL_FOREACH(buses->entries, entry)
    {
        if (!lutra_bus_healthy(entry->bus)) {
            return entry->name;
        }
    }
    return NULL;
}

int lutra_buses_pair(struct lutra_buses *buses,
                     const char *source,
                     const char *target,
                     struct lutra_bus_pair *pair,
                     struct lutra_error *err)
{
    struct lutra_bus_pair found = {.source = lutra_buses_get(buses, source, err)};

    if (!found.source) {
        return -1;
    }
    found.target = lutra_buses_get(buses, target, err);
    if (!found.target) {
        return -1;
    }
    *pair = found;
    return 0;
}

bool lutra_bus_pair_same(const struct lutra_bus_pair *a, const struct lutra_bus_pair *b)
{
    return a->source == b->source && a->target == b->target;
}

static void forget(struct lutra_bus *bus, void *arg)
{
    if (bus) {
        lutra_bus_forget(bus, arg);
        lutra_pipe_forget(bus, arg);
    }
}

void lutra_bus_pair_forget(const struct lutra_bus_pair *pair, void *arg)
{
    forget(pair->source, arg);
    if (pair->target != pair->source) {
        forget(pair->target, arg);
    }
}
