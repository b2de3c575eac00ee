/* For implementations of the bus port: the table they fill, and the part of their structs that
 * bus.c and pipe.c know. An implementation embeds these as first members. */
#ifndef LUTRA_BUS_BUS_OPS_H
#define LUTRA_BUS_BUS_OPS_H

#include "bus/bus.h"

struct lutra_pipe_state; /* pipe.c: chunk groups under way, compressor */

struct lutra_bus {
    const struct lutra_bus_ops *ops;
    struct lutra_loop *loop;
    size_t max_message_bytes; /* key, headers and payload together */
    bool healthy;
    void (*health_fn)(bool healthy, void *arg);
    void *health_arg;
    struct lutra_pipe_state *pipe;
    char warning[512]; /* the last one */
    uint64_t warned_ms;
};

struct lutra_bus_reader {
    struct lutra_bus *bus;
};

struct lutra_bus_subscription {
    struct lutra_bus *bus;
};

/* Same meaning as the functions of bus.h; arguments have been checked by bus.c. */
struct lutra_bus_ops {
    void (*free)(struct lutra_bus *bus);
    int (*publish)(struct lutra_bus *bus,
                   const struct lutra_bus_record *record,
                   lutra_bus_ack_fn ack,
                   void *arg,
                   struct lutra_error *err);
    void (*forget)(struct lutra_bus *bus, void *arg);
    void (*warm_up)(struct lutra_bus *bus, const char *topic, lutra_bus_ack_fn done, void *arg);
    void (*ensure_topics)(struct lutra_bus *bus,
                          const struct lutra_bus_topic *topics,
                          size_t n,
                          lutra_bus_ack_fn done,
                          void *arg);
    void (*delete_topics)(struct lutra_bus *bus,
                          const char *const *topics,
                          size_t n,
                          lutra_bus_ack_fn done,
                          void *arg);
    int32_t (*partitions)(struct lutra_bus *bus, const char *topic);
    void (*list_topics)(struct lutra_bus *bus, lutra_bus_names_fn done, void *arg);
    void (*group_topics)(struct lutra_bus *bus,
                         const char *group,
                         lutra_bus_names_fn done,
                         void *arg);
    void (*delete_offsets)(struct lutra_bus *bus,
                           const char *group,
                           const char *topic,
                           lutra_bus_ack_fn done,
                           void *arg);

    struct lutra_bus_reader *(*reader_new)(struct lutra_bus *bus,
                                           const char *group,
                                           const char *topic,
                                           int32_t partition,
                                           enum lutra_bus_start start,
                                           const struct lutra_bus_reader_handler *handler,
                                           void *arg);
    void (*reader_free)(struct lutra_bus_reader *reader);
    void (*reader_pause)(struct lutra_bus_reader *reader, bool paused);
    void (*reader_commit)(struct lutra_bus_reader *reader, int64_t next_offset);

    struct lutra_bus_subscription *(*subscription_new)(
        struct lutra_bus *bus,
        const char *group,
        const struct lutra_bus_subscription_handler *handler,
        void *arg);
    void (*subscription_free)(struct lutra_bus_subscription *sub);
    void (*subscription_topics)(struct lutra_bus_subscription *sub,
                                const char *const *topics,
                                size_t n);
    void (*subscription_pause)(struct lutra_bus_subscription *sub,
                               const char *topic,
                               int32_t partition,
                               bool paused);
    void (*subscription_commit)(struct lutra_bus_subscription *sub,
                                const char *topic,
                                int32_t partition,
                                int64_t next_offset);
};

/* Tells a change of health; does nothing when it is none. */
void lutra_bus_set_healthy(struct lutra_bus *bus, bool healthy);

/* What lutra_bus_warning says from now on. */
void lutra_bus_warn(struct lutra_bus *bus, const char *fmt, ...) LUTRA_PRINTF(2, 3);

/* pipe.c: called by lutra_bus_free when no ack can come any more. NULL is legal. */
void lutra_pipe_state_free(struct lutra_pipe_state *state);

#endif
