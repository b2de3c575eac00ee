/* Inside of the Kafka bus. Everything on the loop thread except the `run` of jobs.
 *
 * DESIGN
 * - librdkafka's threads do the network; they wake the loop by an eventfd per queue (a pump). The
 *   event API only: no callback of librdkafka's runs our code.
 * - Each partition being read has a queue of its own, taken out of the consumer's. Pausing is not
 *   draining it: what was prefetched stays (bounded by queued.max.messages.kbytes per partition)
 * and nothing is fetched twice; librdkafka's own pause would flush it.
 * - Calls that block (committed offsets, watermarks, metadata, destroy) are jobs of one worker
 *   thread, in order, so that a handle is destroyed after the last job that uses it. Results find
 *   their partition by its id: it may be gone.
 * - Readers of one group share a consumer, by incremental (un)assign. A subscription has its own.
 */
#ifndef LUTRA_BUS_BUS_KAFKA_IMPL_H
#define LUTRA_BUS_BUS_KAFKA_IMPL_H

#include <librdkafka/rdkafka.h>
#include <uthash.h>

#include "bus/bus_kafka.h"
#include "bus/bus_ops.h"
#include "loop/worker.h"

#define KAFKA_MESSAGE_MAX_BYTES (8 * 1024 * 1024)
/* Room for what Kafka's record batch adds. */
#define KAFKA_BATCH_OVERHEAD_BYTES 4096
#define KAFKA_TICK_MS 1000
#define KAFKA_QUERY_TIMEOUT_MS 2000
#define KAFKA_RETRY_MS 250
#define KAFKA_ADMIN_TIMEOUT_MS 10000

struct kafka_bus;

/* ---- pump: events of one queue to one function ---- */
struct kafka_pump;
typedef void (*kafka_event_fn)(rd_kafka_event_t *event, void *arg);
/* NULL and RETRY when the process lacks a descriptor. */
struct kafka_pump *
kafka_pump_new(struct lutra_loop *loop, kafka_event_fn fn, void *arg, struct lutra_error *err);
/* Begins; takes over the queue reference. */
void kafka_pump_start(struct kafka_pump *pump, rd_kafka_queue_t *queue);
/* Allowed within its own callback; the queue is emptied. */
void kafka_pump_free(struct kafka_pump *pump);
void kafka_pump_pause(struct kafka_pump *pump, bool paused);
/* Looks into the queue in a later turn, signalled or not. */
void kafka_pump_kick(struct kafka_pump *pump);
/* At exit only: blocks for the next event, at most so long. */
void kafka_pump_wait(struct kafka_pump *pump, int timeout_ms);
rd_kafka_queue_t *kafka_pump_queue(struct kafka_pump *pump);

/* ---- reaper: destroys handles in the background ---- */
struct kafka_reaper;
struct kafka_reaper *kafka_reaper_new(void);
void kafka_reaper_take(struct kafka_reaper *reaper, rd_kafka_t *rk);
/* Waits for what is under way, at most so long. */
void kafka_reaper_free(struct kafka_reaper *reaper, unsigned wait_ms);

/* ---- producer ---- */
struct kafka_send {
    lutra_bus_ack_fn ack; /* NULL: forgotten */
    void *arg;
    uint64_t at_us;
    struct kafka_send *prev, *next;
};

struct kafka_warm_up {
    char *topic;
    bool topic_known, asking;
    uint64_t deadline_ms;
    lutra_bus_ack_fn done;
    void *arg;
    struct kafka_warm_up *prev, *next;
};

/* ---- consumers ---- */
struct kafka_consumer;
struct kafka_reader;
struct kafka_subscription;

struct kafka_part {
    uint64_t id;
    struct kafka_consumer *consumer;
    char *topic;
    int32_t partition;
    struct kafka_reader *reader; /* or NULL: the consumer's subscription */
    struct kafka_pump *pump;     /* NULL: not assigned yet */
    bool paused;
    bool waking;               /* a request is under way that wakes librdkafka */
    size_t taken, taken_bytes; /* from the queue since librdkafka was last woken */
    bool skipping;             /* a seek past a corrupt record is under way */
    int64_t position;          /* next offset to deliver, -1: not known yet */
    int64_t commit, committed; /* asked for; known to be written; -1: none */
    struct kafka_part *prev, *next;
};

struct kafka_consumer {
    struct kafka_bus *bus;
    char *group;
    rd_kafka_t *rk;
    struct kafka_pump *pump; /* rebalances, errors, results of commits, log */
    struct kafka_part *parts;
    struct kafka_subscription *sub; /* NULL: shared by the group's readers */
    unsigned commits_under_way;
    /* Member: a rebalance gives it these, and waits until it is known where to begin. */
    rd_kafka_topic_partition_list_t *assigning;
    uint64_t assigning_id; /* of the question */
    struct kafka_consumer *prev, *next;
};

struct kafka_reader {
    struct lutra_bus_reader base;
    struct kafka_part *part;
    enum lutra_bus_start start;
    struct lutra_timer *retry; /* asks again where to begin */
    bool asking;
    struct lutra_bus_reader_handler handler;
    void *arg;
};

struct kafka_subscription {
    struct lutra_bus_subscription base;
    char *group;
    struct lutra_bus_subscription_handler handler;
    void *arg;
    char **topics;
    size_t n_topics;
    struct kafka_consumer *consumer; /* NULL: could not be made yet */
    struct lutra_timer *retry;       /* asks again where to begin */
    bool freed;                      /* leaves in the next turn */
    bool rejoin;                     /* with a new consumer, in the next turn */
    bool refused;                    /* has fallen back to the longer session time-out */
    bool offset_gone;                /* committed offsets are to be checked against what is there */
    char *told_topic;                /* whose offset was gone, and told; NULL: none */
    int32_t told_partition;
    struct kafka_subscription *prev, *next;
};

/* A consumer on its way out of its group. */
struct kafka_leaving {
    struct kafka_bus *bus;
    rd_kafka_t *rk;
    struct kafka_pump *pump;
    struct lutra_timer *timer;
    uint64_t deadline_ms;
    struct kafka_leaving *prev, *next;
};

struct kafka_retired {
    rd_kafka_t *rk;
    struct kafka_retired *next;
};

struct kafka_admin;

struct kafka_topic {
    char *name;
    int32_t partitions;
    uint64_t asked_ms; /* 0: never */
    bool asking;
    UT_hash_handle hh;
};

struct kafka_metrics {
    struct lutra_counter *published, *publish_errors, *received, *resets, *rebalances, *corrupt;
    struct lutra_counter *producers_failed;
    struct lutra_histogram *ack_seconds;
    struct lutra_gauge *up;
};

struct kafka_bus {
    struct lutra_bus base;
    char *name, *brokers, *client_id;
    struct lutra_config_map extra; /* copied */
    struct lutra_worker *worker;
    struct kafka_reaper *reaper;
    struct lutra_timer *tick;
    struct lutra_task *reap;
    bool closing;         /* no callbacks to the users of the bus any more */
    bool session_refused; /* the time-out of group sessions: the fallback is used */
    uint64_t next_id;

    rd_kafka_t *producer; /* NULL: could not be made again yet */
    struct kafka_pump *producer_pump;
    bool producer_ready; /* has its producer id */
    unsigned producers_failed;
    struct kafka_send *sends, *failed_sends;
    struct kafka_warm_up *warm_ups;
    struct kafka_admin *admins;
    struct kafka_list *lists;

    struct kafka_consumer *consumers;
    struct kafka_subscription *subs;
    struct kafka_leaving *leaving;
    struct kafka_retired *retired;
    struct kafka_topic *topics;
    struct kafka_metrics metrics;
};

/* ---- bus_kafka.c ---- */
enum kafka_role { KAFKA_PRODUCER, KAFKA_READER, KAFKA_MEMBER };
/* A handle with our settings; its log goes to our log. NULL and CONFIG, or RETRY when the process
 * lacks what it needs (threads). */
rd_kafka_t *kafka_handle_new(struct kafka_bus *bus,
                             enum kafka_role role,
                             const char *group,
                             struct lutra_error *err);
/* Destroys the handle in the background, after the jobs that use it. All of its queues, events and
 * objects of ours are to be gone by the end of this turn. */
void kafka_retire(struct kafka_bus *bus, rd_kafka_t *rk);
/* What is the same for every handle: log lines, brokers lost. true: it was such an event. */
bool kafka_common_event(struct kafka_bus *bus, rd_kafka_event_t *event);
void kafka_set_healthy(struct kafka_bus *bus, bool healthy);
enum lutra_error_class kafka_error_class(rd_kafka_resp_err_t code);
int kafka_error(struct lutra_error *err, rd_kafka_resp_err_t code, const char *text);

/* ---- bus_kafka_producer.c ---- */
int kafka_producer_open(struct kafka_bus *bus, struct lutra_error *err);
void kafka_producer_tick(struct kafka_bus *bus);
void kafka_producer_close(struct kafka_bus *bus, uint64_t deadline_ms);
int kafka_publish(struct lutra_bus *base,
                  const struct lutra_bus_record *record,
                  lutra_bus_ack_fn ack,
                  void *arg,
                  struct lutra_error *err);
void kafka_producer_forget(struct kafka_bus *bus, const void *arg);
void kafka_warm_up(struct lutra_bus *base, const char *topic, lutra_bus_ack_fn done, void *arg);

/* ---- bus_kafka_admin.c ---- */
void kafka_ensure_topics(struct lutra_bus *base,
                         const struct lutra_bus_topic *topics,
                         size_t n,
                         lutra_bus_ack_fn done,
                         void *arg);
void kafka_delete_topics(
    struct lutra_bus *base, const char *const *topics, size_t n, lutra_bus_ack_fn done, void *arg);
int32_t kafka_partitions(struct lutra_bus *base, const char *topic);
void kafka_admin_event(struct kafka_bus *bus, rd_kafka_event_t *event);
void kafka_admin_forget(struct kafka_bus *bus, const void *arg);
/* The handle is no more: what was asked with it gets no answer. */
void kafka_admin_fail(struct kafka_bus *bus, const rd_kafka_t *rk);
void kafka_admin_close(struct kafka_bus *bus);

/* Asks the broker, and with it renews what `rk` remembers of the topic. Blocks: worker only. */
rd_kafka_resp_err_t kafka_topic_count(rd_kafka_t *rk, const char *topic, int32_t *partitions);
/* Asks for partition counts in the background (0: no such topic). ctx stays valid until fn is
 * called; when the bus closes meanwhile it is not called. */
typedef void (*kafka_metadata_fn)(struct kafka_bus *bus,
                                  const int32_t *partitions,
                                  const struct lutra_error *err,
                                  void *ctx);
void kafka_metadata_ask(
    struct kafka_bus *bus, const char *const *topics, size_t n, kafka_metadata_fn fn, void *ctx);

/* ---- bus_kafka_list.c ---- */
void kafka_list_topics(struct lutra_bus *base, lutra_bus_names_fn done, void *arg);
void kafka_group_topics(struct lutra_bus *base,
                        const char *group,
                        lutra_bus_names_fn done,
                        void *arg);
void kafka_delete_offsets(
    struct lutra_bus *base, const char *group, const char *topic, lutra_bus_ack_fn done, void *arg);
void kafka_list_forget(struct kafka_bus *bus, const void *arg);

/* ---- bus_kafka_consumer.c ---- */
struct kafka_consumer *kafka_consumer_new(struct kafka_bus *bus,
                                          const char *group,
                                          struct kafka_subscription *sub,
                                          struct lutra_error *err);
/* Forgets partitions and pump; the handle is the caller's to retire or to close. */
rd_kafka_t *kafka_consumer_take_apart(struct kafka_consumer *consumer);
struct kafka_part *kafka_part_new(struct kafka_consumer *consumer,
                                  const char *topic,
                                  int32_t partition,
                                  struct kafka_reader *reader);
/* Does not unassign. */
void kafka_part_free(struct kafka_part *part);
struct kafka_part *
kafka_part_find(struct kafka_consumer *consumer, const char *topic, int32_t partition);
/* Takes the partition's queue out of the consumer's. Before it is assigned. */
void kafka_part_attach(struct kafka_part *part);
void kafka_part_pause(struct kafka_part *part, bool paused);
/* Finds out offsets in the background. fn is not called when the consumer is gone meanwhile;
 * offsets are one per element of the list, NULL when it failed. */
struct kafka_offsets {
    int64_t committed, low, high; /* -1: none, or not asked for */
};
enum kafka_offsets_want {
    KAFKA_WANT_COMMITTED, /* watermarks only where nothing is committed */
    KAFKA_WANT_BOTH,
    KAFKA_WANT_WATERMARKS
};
typedef void (*kafka_offsets_fn)(struct kafka_consumer *consumer,
                                 uint64_t id,
                                 const struct kafka_offsets *offsets);
void kafka_offsets_ask(struct kafka_consumer *consumer,
                       const rd_kafka_topic_partition_list_t *list,
                       enum kafka_offsets_want want,
                       uint64_t id,
                       kafka_offsets_fn fn);
void kafka_tell_offset_gone(struct kafka_consumer *consumer,
                            const char *topic,
                            int32_t partition,
                            int64_t from,
                            int64_t to);
void kafka_consumer_commit(struct kafka_consumer *consumer);
/* Commits what was asked for this partition, now. */
void kafka_part_commit_now(struct kafka_part *part);

/* ---- bus_kafka_skip.c ---- */
/* The record at the partition's position is damaged: reading goes on behind it. May free the part.
 */
void kafka_part_corrupt(struct kafka_part *part, const char *why);

/* ---- bus_kafka_reader.c ---- */
struct lutra_bus_reader *kafka_reader_new(struct lutra_bus *base,
                                          const char *group,
                                          const char *topic,
                                          int32_t partition,
                                          enum lutra_bus_start start,
                                          const struct lutra_bus_reader_handler *handler,
                                          void *arg);
void kafka_reader_free(struct lutra_bus_reader *base);
void kafka_reader_pause(struct lutra_bus_reader *base, bool paused);
void kafka_reader_commit(struct lutra_bus_reader *base, int64_t next_offset);
void kafka_reader_offset_gone(struct kafka_reader *reader);

/* ---- bus_kafka_subscription.c ---- */
struct lutra_bus_subscription *
kafka_subscription_new(struct lutra_bus *base,
                       const char *group,
                       const struct lutra_bus_subscription_handler *handler,
                       void *arg);
void kafka_subscription_free(struct lutra_bus_subscription *base);
void kafka_subscription_topics(struct lutra_bus_subscription *base,
                               const char *const *topics,
                               size_t n);
void kafka_subscription_pause(struct lutra_bus_subscription *base,
                              const char *topic,
                              int32_t partition,
                              bool paused);
void kafka_subscription_commit(struct lutra_bus_subscription *base,
                               const char *topic,
                               int32_t partition,
                               int64_t next_offset);
void kafka_subscription_rebalance(struct kafka_subscription *sub, rd_kafka_event_t *event);
/* Leaves the group and joins it again. */
void kafka_subscription_rejoin(struct kafka_subscription *sub);
void kafka_subscription_offset_gone(struct kafka_subscription *sub, const struct kafka_part *part);
/* Tells the user that messages will not come any more. */
void kafka_subscription_lost(
    struct kafka_subscription *sub, const char *topic, int32_t partition, int64_t from, int64_t to);
/* The session time-out asked for is below what the broker allows. */
void kafka_subscription_refused(struct kafka_subscription *sub);
/* Makes, replaces and leaves what was asked for in earlier turns. */
void kafka_subscriptions_reap(struct kafka_bus *bus);
/* At exit: waits for those that leave. */
void kafka_leaving_close(struct kafka_bus *bus, uint64_t deadline_ms);

#endif
