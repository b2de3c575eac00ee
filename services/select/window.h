/* The processes in flight of one epoch, as in a TCP window: published, kept byte for byte until
 * credited, published again when overdue. Loop thread only. */
#ifndef LUTRA_SELECT_WINDOW_H
#define LUTRA_SELECT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/pipe.h"
#include "model/channel.h"
#include "select/slicer.h"

struct sel_window;

struct sel_window_config {
    struct lutra_bus *bus;
    struct lutra_loop *loop;
    const char *pipeline;           /* outlives the window */
    struct lutra_envelope envelope; /* epoch, nonce, config version */
    uint64_t process_id;            /* the origin's */
    const char *position;           /* the origin's */
    uint32_t window, partitions;
    enum lutra_balance balance;
    /* Credit, progress or an acknowledgement came. */
    void (*changed)(void *arg);
    /* The bus refuses a process for good. */
    void (*refused)(const struct lutra_error *err, void *arg);
    /* The oldest one is overdue and was published once more. May halt the window, not free it. */
    void (*overdue)(void *arg);
    void *arg;
};

struct sel_window *sel_window_new(const struct sel_window_config *config);
void sel_window_free(struct sel_window *window);
/* Publishes nothing any more, not even again: a new epoch is coming. */
void sel_window_halt(struct sel_window *window);

/* May one more be published? */
bool sel_window_room(const struct sel_window *window);
/* Takes the slice; its number must be the next. There must be room. */
void sel_window_publish(struct sel_window *window, struct lutra_slice *slice);
/* What load says, of this epoch. False: it cannot be true (of processes never published). */
bool sel_window_termin(struct sel_window *window, uint64_t consumed, uint64_t applied);
/* Everything published that ends with a whole transaction is applied. */
bool sel_window_drained(const struct sel_window *window);

struct sel_window_stats {
    uint64_t published, consumed, applied; /* processIds */
    uint64_t in_flight, max_in_flight;     /* un-credited */
    uint64_t bytes;                        /* kept */
    uint64_t oldest_ms;                    /* since the oldest un-credited one was published */
    uint64_t republished;                  /* overdue ones */
    uint64_t retried;                      /* those that the bus had not taken */
    const char *acknowledged;              /* position; borrowed until the next call */
    /* The oldest in flight; 0: none. */
    uint64_t oldest;
    int32_t oldest_partition;
    unsigned oldest_times; /* published */
    uint64_t still_ms; /* nothing was credited or applied for so long while some were in flight */
};
void sel_window_stats(const struct sel_window *window, struct sel_window_stats *stats);

#endif
