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
/* Of the buses made after this; default 8 MiB less 4 KiB, at least 2 KiB. */
void lutra_mem_broker_set_max_message_bytes(struct lutra_mem_broker *broker, size_t bytes);
/* Makes the topic at once, or gives it more partitions. */
void lutra_mem_broker_create_topic(struct lutra_mem_broker *broker,
                                   const char *topic,
                                   int32_t partitions);
/* Writes a message as somebody else would (stale epoch, garbage); makes the topic when there is
 * none. */
void lutra_mem_broker_inject(struct lutra_mem_broker *broker,
                             const struct lutra_bus_record *record);
/* Messages in a partition so far. */
size_t
lutra_mem_broker_count(struct lutra_mem_broker *broker, const char *topic, int32_t partition);
/* What the group has committed, or -1. */
int64_t lutra_mem_broker_committed(struct lutra_mem_broker *broker,
                                   const char *group,
                                   const char *topic,
                                   int32_t partition);
/* Removes the last message of a partition (a broker that lost its tail). */
void lutra_mem_broker_lose_last(struct lutra_mem_broker *broker,
                                const char *topic,
                                int32_t partition);

/* A client of it. Killing a client (crash) is lutra_bus_mem_kill: no more callbacks, of what it had
 * under way a part is written (drawn), commits not yet written are lost, its group members vanish
 * after the session time-out of 2 s. It, its readers and subscriptions are still to be freed. */
struct lutra_bus *lutra_bus_mem_new(struct lutra_mem_broker *broker, const char *client_id);
void lutra_bus_mem_kill(struct lutra_bus *bus);

#endif
