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

struct lutra_buses {
    lutra_bus_open_fn open;
    void *arg;
    struct entry *entries;
};

struct lutra_buses *lutra_buses_new(lutra_bus_open_fn open, void *arg)
{
    struct lutra_buses *buses = LUTRA_NEW(struct lutra_buses);

    buses->open = open;
    buses->arg = arg;
    return buses;
}

void lutra_buses_free(struct lutra_buses *buses)
{
    if (!buses) {
        return;
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

    if (bus) {
        return bus;
    }
    if (!buses->open) {
        lutra_error_set(err, LUTRA_CONFIG, 0, "bus %s is not configured", name);
        return NULL;
    }
    bus = buses->open(name, buses->arg, err);
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
