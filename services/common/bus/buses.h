/* The buses of a process, by name (docs/PROTOCOL.md §1): a pipeline's definition says on which its
 * topics live. A bus is opened when it is first asked for, and stays open until the registry is
 * freed: who has one may keep it. Everything on the loop thread. */
#ifndef LUTRA_BUS_BUSES_H
#define LUTRA_BUS_BUSES_H

#include "bus/bus.h"

#define LUTRA_BUS_DEFAULT "default"

/* Opens the bus of that name. NULL and CONFIG when there is no configuration for it: the message
 * names the bus and the key that is missing. NULL and RETRY when this process lacks threads,
 * descriptors or memory for it now. */
typedef struct lutra_bus *(*lutra_bus_open_fn)(const char *name,
                                               void *arg,
                                               struct lutra_error *err);

struct lutra_buses;
/* open may be NULL: then only what lutra_buses_put gave is there. */
struct lutra_buses *lutra_buses_new(struct lutra_loop *loop, lutra_bus_open_fn open, void *arg);
/* Also frees the buses. */
void lutra_buses_free(struct lutra_buses *buses);
/* Gives it an open bus, which becomes the registry's. */
void lutra_buses_put(struct lutra_buses *buses, const char *name, struct lutra_bus *bus);
/* NULL and the reason when it cannot be opened; asked again, it is tried again. After RETRY not
 * before a back-off is over (1 s to 60 s): until then everybody who asks gets that reason. */
struct lutra_bus *
lutra_buses_get(struct lutra_buses *buses, const char *name, struct lutra_error *err);
/* fn(arg) when such a back-off is over: who still wants the bus asks for it. NULL: nobody is told.
 */
void lutra_buses_on_due(struct lutra_buses *buses, void (*fn)(void *arg), void *arg);
/* Those that are open, in the order in which they were opened. */
void lutra_buses_each(const struct lutra_buses *buses,
                      void (*fn)(const char *name, struct lutra_bus *bus, void *arg),
                      void *arg);
/* Name of an open bus that cannot be reached, or NULL. */
const char *lutra_buses_away(const struct lutra_buses *buses);

/* What a pipeline works with: the extract, transform and termin topics live on source, the load
 * topic on target. Both may be the same. */
struct lutra_bus_pair {
    struct lutra_bus *source, *target;
};
/* -1 and the first reason when one of them is not to be had; *pair is left as it was then. */
int lutra_buses_pair(struct lutra_buses *buses,
                     const char *source,
                     const char *target,
                     struct lutra_bus_pair *pair,
                     struct lutra_error *err) LUTRA_MUST_CHECK;
bool lutra_bus_pair_same(const struct lutra_bus_pair *a, const struct lutra_bus_pair *b);
/* lutra_bus_forget and lutra_pipe_forget on both; a pair that was never filled is legal. */
void lutra_bus_pair_forget(const struct lutra_bus_pair *pair, void *arg);

#endif
