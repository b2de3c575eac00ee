/* The bus port: topics, partitions, keyed messages with headers. Implementations: Kafka
 * (bus_kafka.h) and memory (bus_mem.h). Everything on the loop thread; nothing blocks. */
#ifndef LUTRA_BUS_BUS_H
#define LUTRA_BUS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "loop/loop.h"

struct lutra_bus;

struct lutra_bus_header {
    const char *name;
    const char *value; /* text */
};

/* A message received: everything borrowed for the call. */
struct lutra_bus_message {
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *key;
    size_t key_len;
    const uint8_t *payload;
    size_t payload_len;
    size_t n_headers;
    const struct lutra_bus_header *headers;
};
/* Value of a header, or NULL. */
const char *lutra_bus_header_get(const struct lutra_bus_message *message, const char *name);

/* A message to publish: copied by lutra_bus_publish. */
struct lutra_bus_record {
    const char *topic;
    int32_t partition;
    const char *key;
    size_t n_headers;
    const struct lutra_bus_header *headers;
    const void *payload;
    size_t payload_len;
};

/* Called exactly once per accepted record, on the loop: err is NULL when the broker has it
 * (acks=all). RETRY: unknown or not written; publish again (the receiver drops duplicates). */
typedef void (*lutra_bus_ack_fn)(const struct lutra_error *err, void *arg);

/* 0: accepted, ack will be called. -1: not accepted (RETRY: queue full; DATA: larger than
 * max_message_bytes), ack will not be called. Order within a partition is the order of calls. ack
 * may be NULL. */
int lutra_bus_publish(struct lutra_bus *bus,
                      const struct lutra_bus_record *record,
                      lutra_bus_ack_fn ack,
                      void *arg,
                      struct lutra_error *err) LUTRA_MUST_CHECK;
/* Forgets acks and done callbacks (below) whose arg is `arg` (its owner is being freed); the
 * messages themselves may still be written. */
void lutra_bus_forget(struct lutra_bus *bus, void *arg);
/* Gets the producer its id and the topic's metadata before the first real message. done(NULL) when
 * ready. */
void lutra_bus_warm_up(struct lutra_bus *bus, const char *topic, lutra_bus_ack_fn done, void *arg);
size_t lutra_bus_max_message_bytes(const struct lutra_bus *bus);

/* Topics. Creates what is missing, checks and (where the broker allows) corrects settings of what
 * is there; more partitions than asked for are left, fewer are an error CONFIG. Idempotent. */
struct lutra_bus_topic {
    const char *name;
    int32_t partitions;
    uint64_t retention_ms;
};
void lutra_bus_ensure_topics(struct lutra_bus *bus,
                             const struct lutra_bus_topic *topics,
                             size_t n,
                             lutra_bus_ack_fn done,
                             void *arg);
void lutra_bus_delete_topics(
    struct lutra_bus *bus, const char *const *topics, size_t n, lutra_bus_ack_fn done, void *arg);
/* For the janitor. names: borrowed for the call, without an order; err: RETRY, then there are none.
 * Cancelled by lutra_bus_forget. */
typedef void (*lutra_bus_names_fn)(const char *const *names,
                                   size_t n,
                                   const struct lutra_error *err,
                                   void *arg);
void lutra_bus_list_topics(struct lutra_bus *bus, lutra_bus_names_fn done, void *arg);
/* The topics in which the group has committed offsets, whether they are there or not. */
void lutra_bus_group_topics(struct lutra_bus *bus,
                            const char *group,
                            lutra_bus_names_fn done,
                            void *arg);
/* Forgets what the group has committed in a topic. */
void lutra_bus_delete_offsets(
    struct lutra_bus *bus, const char *group, const char *topic, lutra_bus_ack_fn done, void *arg);
/* Partition count of a topic as last seen in metadata; 0: unknown (asks for it in the background).
 */
int32_t lutra_bus_partitions(struct lutra_bus *bus, const char *topic);

/* A reader: one partition, assigned by hand, offsets committed into a member-less group
 * (lutra-select, lutra-load). */
enum lutra_bus_start {
    LUTRA_BUS_START_COMMITTED, /* the group's committed offset, else the low watermark */
    LUTRA_BUS_START_LOW,
    LUTRA_BUS_START_END, /* the high watermark of now: on_start tells when it is known */
};
struct lutra_bus_reader;
struct lutra_bus_reader_handler {
    /* In offset order. Pausing takes effect before the next call; the reader may be freed in
     * any of these. */
    void (*on_message)(const struct lutra_bus_message *message, void *arg);
    /* Where reading begins is settled. May be NULL. */
    void (*on_start)(int64_t offset, void *arg);
    /* The offset asked for is gone (retention, topic recreated): reading goes on at the low
     * watermark; or the record there is corrupt: reading goes on behind it. May be NULL. */
    void (*on_reset)(int64_t from, int64_t to, void *arg);
};
struct lutra_bus_reader *lutra_bus_reader_new(struct lutra_bus *bus,
                                              const char *group,
                                              const char *topic,
                                              int32_t partition,
                                              enum lutra_bus_start start,
                                              const struct lutra_bus_reader_handler *handler,
                                              void *arg);
void lutra_bus_reader_free(struct lutra_bus_reader *reader); /* commits what was asked to be */
void lutra_bus_reader_pause(struct lutra_bus_reader *reader, bool paused);
/* Everything below next_offset is done with. Written at leisure (about once a second, and at free).
 */
void lutra_bus_reader_commit(struct lutra_bus_reader *reader, int64_t next_offset);

/* A subscription: a member of a consumer group (lutra-extract, lutra-transform),
 * cooperative-sticky. One per group and process. */
struct lutra_bus_subscription;
struct lutra_bus_subscription_handler {
    void (*on_message)(const struct lutra_bus_message *message, void *arg);
    void (*on_assigned)(const char *topic, int32_t partition, void *arg);
    /* Drop what is in hand of that partition; commits already asked for are written first. */
    void (*on_revoked)(const char *topic, int32_t partition, void *arg);
    /* Messages from `from` on will not come: the offset is gone (retention, topic made anew), or
     * the record there is corrupt. Reading goes on at `to` (-1: not known yet). May be NULL. */
    void (*on_reset)(const char *topic, int32_t partition, int64_t from, int64_t to, void *arg);
};
struct lutra_bus_subscription *
lutra_bus_subscription_new(struct lutra_bus *bus,
                           const char *group,
                           const struct lutra_bus_subscription_handler *handler,
                           void *arg);
void lutra_bus_subscription_free(struct lutra_bus_subscription *sub); /* leaves the group cleanly */
/* The explicit topic list; replaces the former one; may name topics that do not exist yet. */
void lutra_bus_subscription_topics(struct lutra_bus_subscription *sub,
                                   const char *const *topics,
                                   size_t n);
void lutra_bus_subscription_pause(struct lutra_bus_subscription *sub,
                                  const char *topic,
                                  int32_t partition,
                                  bool paused);
void lutra_bus_subscription_commit(struct lutra_bus_subscription *sub,
                                   const char *topic,
                                   int32_t partition,
                                   int64_t next_offset);

/* Is a broker reachable? Changes are told to fn (may be NULL). For readiness, status and logs only.
 */
bool lutra_bus_healthy(const struct lutra_bus *bus);
void lutra_bus_on_health(struct lutra_bus *bus, void (*fn)(bool healthy, void *arg), void *arg);

/* What an operator should know of the bus although it works; "" when there is nothing. For five
 * minutes: its producer failed for good and was replaced, which says that a broker no longer knows
 * what it had acknowledged. While it lasts: there is no producer in its place. */
const char *lutra_bus_warning(const struct lutra_bus *bus);

/* Readers and subscriptions are freed before. Waits for messages under way and for commits, at most
 * a few seconds; acks still to come are not called any more. Not from within a callback of the bus.
 */
void lutra_bus_free(struct lutra_bus *bus);

/* ---- for implementations ---- */
struct lutra_bus_ops; /* bus_ops.h */

#endif
