/* A broker in memory for component tests, with faults. Works on a simulated loop: delays are drawn
 * from its seed. */
#ifndef LUTRA_BUS_BUS_MEM_H
#define LUTRA_BUS_BUS_MEM_H

#include "bus/bus.h"

/* The broker: shared by the buses (clients) of one test; outlives them. */
struct lutra_mem_broker;
struct lutra_mem_broker *lutra_mem_broker_new(struct lutra_loop *loop);
void lutra_mem_broker_free(struct lutra_mem_broker *broker);

struct lutra_mem_broker_faults {
    bool down; /* nothing is accepted, acknowledged or delivered until it is up again */
    uint64_t delay_min_ms, delay_max_ms; /* per message, keeping the order within a partition */
    unsigned duplicate_percent;          /* the message is written twice */
    unsigned lose_ack_percent;           /* written, but the publisher is told RETRY */
};
void lutra_mem_broker_set_faults(struct lutra_mem_broker *broker,
                                 const struct lutra_mem_broker_faults *faults);
/* Writes a message as somebody else would (stale epoch, garbage). */
void lutra_mem_broker_inject(struct lutra_mem_broker *broker,
                             const struct lutra_bus_record *record);
/* Messages in a partition so far. */
size_t
lutra_mem_broker_count(struct lutra_mem_broker *broker, const char *topic, int32_t partition);
/* Removes the last message of a partition (a broker that lost its tail). */
void lutra_mem_broker_lose_last(struct lutra_mem_broker *broker,
                                const char *topic,
                                int32_t partition);

/* A client of it. Killing a client (crash) is lutra_bus_mem_kill: no more callbacks, its group
 * members vanish after the session time-out of 2 s. */
struct lutra_bus *lutra_bus_mem_new(struct lutra_mem_broker *broker, const char *client_id);
void lutra_bus_mem_kill(struct lutra_bus *bus);

#endif
