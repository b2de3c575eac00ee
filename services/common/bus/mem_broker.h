/* Inside of the broker in memory: what mem_broker.c (topics), mem_group.c (consumer groups) and
 * bus_mem.c (clients) share. */
#ifndef LUTRA_BUS_MEM_BROKER_H
#define LUTRA_BUS_MEM_BROKER_H

#include <uthash.h>

#include "bus/bus_mem.h"
#include "bus/bus_ops.h"

#define MEM_SESSION_MS 2000
#define MEM_COMMIT_MS 1000
#define MEM_REBALANCE_MS 10

struct mem_record {
    char *key;
    size_t n_headers;
    struct lutra_bus_header *headers; /* names and values owned */
    uint8_t *payload;
    size_t payload_len;
};
struct mem_record *mem_record_new(const struct lutra_bus_record *record);
struct mem_record *mem_record_dup(const struct mem_record *record);
void mem_record_free(struct mem_record *record);
size_t mem_record_bytes(const struct mem_record *record);

struct mem_partition {
    struct mem_record **records; /* offset = index */
    size_t n, cap;
    uint64_t last_due_ms; /* keeps the order under delays */
};

struct mem_topic {
    char *name;
    int32_t n;
    struct mem_partition *partitions;
    UT_hash_handle hh;
};

/* A partition that a member owns, with where it stands. */
struct mem_owned {
    char *topic;
    int32_t partition;
    int64_t position;
    int64_t commit; /* asked for and not yet written, or -1 */
    bool paused;
    uint64_t turn; /* when it was last served */
    struct mem_owned *prev, *next;
};

struct mem_sub;

/* The broker's view of a subscription; lives on for the session time-out after a crash. */
struct mem_member {
    uint64_t id;
    struct mem_group *group;
    struct mem_sub *sub; /* NULL: killed */
    char **topics;
    size_t n_topics;
    struct mem_owned *owned;
    struct lutra_timer *session; /* runs once killed */
    size_t load;                 /* during a rebalance: partitions it is to have */
    struct mem_member *prev, *next;
};

struct mem_offset {
    char *key; /* topic/partition */
    int64_t offset;
    UT_hash_handle hh;
};

struct mem_group {
    char *name;
    struct lutra_mem_broker *broker;
    struct mem_member *members;
    struct mem_offset *offsets;
    struct lutra_timer *rebalance;
    UT_hash_handle hh;
};

struct mem_bus;

struct lutra_mem_broker {
    struct lutra_loop *loop;
    struct lutra_mem_broker_faults faults;
    size_t max_message_bytes;
    struct mem_topic *topics;
    struct mem_group *groups;
    struct mem_bus *clients;
    uint64_t next_id;
};

struct mem_reader {
    struct lutra_bus_reader base;
    struct mem_group *group;
    char *topic;
    int32_t partition;
    enum lutra_bus_start start;
    struct lutra_bus_reader_handler handler;
    void *arg;
    bool started, paused;
    int64_t position, commit;
    uint64_t turn;
    struct mem_reader *prev, *next;
};

struct mem_sub {
    struct lutra_bus_subscription base;
    struct mem_member *member; /* NULL once the client is killed */
    struct lutra_bus_subscription_handler handler;
    void *arg;
    struct mem_sub *prev, *next;
};

/* A client: messages published and not yet acknowledged, calls to come, consumers. */
struct mem_bus {
    struct lutra_bus base;
    struct lutra_mem_broker *broker;
    char *client_id;
    bool killed;
    struct mem_send *sending, *acking;
    size_t queued_n, queued_bytes;
    uint64_t last_ack_ms, turns;
    struct mem_call *calls;
    struct mem_reader *readers;
    struct mem_sub *subs;
    struct lutra_task *turn;
    struct lutra_timer *later, *commit;
    struct mem_bus *prev, *next;
};

/* ---- mem_broker.c ---- */
struct mem_topic *mem_topic_find(struct lutra_mem_broker *broker, const char *name);
struct mem_partition *
mem_partition_find(struct lutra_mem_broker *broker, const char *topic, int32_t partition);
/* Consumes the record. */
void mem_partition_append(struct mem_partition *partition, struct mem_record *record);
void mem_topic_delete(struct lutra_mem_broker *broker, const char *name);
/* Heap, each and the array. */
size_t mem_topic_names(struct lutra_mem_broker *broker, char ***names);
bool mem_draw_percent(struct lutra_mem_broker *broker, unsigned percent);
uint64_t mem_draw_delay_ms(struct lutra_mem_broker *broker);

/* ---- mem_group.c ---- */
struct mem_group *mem_group_get(struct lutra_mem_broker *broker, const char *name);
void mem_group_free(struct mem_group *group);
int64_t mem_group_committed(struct mem_group *group, const char *topic, int32_t partition);
void mem_group_commit(struct mem_group *group,
                      const char *topic,
                      int32_t partition,
                      int64_t next_offset);
size_t mem_group_topics(struct mem_group *group, char ***names);
void mem_group_delete_offsets(struct mem_group *group, const char *topic);
struct mem_member *mem_member_new(struct mem_group *group, struct mem_sub *sub);
void mem_member_topics(struct mem_member *member, const char *const *topics, size_t n);
struct mem_owned *mem_member_owned(struct mem_member *member, const char *topic, int32_t partition);
void mem_member_write_commits(struct mem_member *member);
void mem_member_killed(struct mem_member *member);
void mem_member_leave(struct mem_member *member);
/* Something changed: members, topics, the broker is up again. */
void mem_group_rebalance(struct mem_group *group);

/* ---- bus_mem.c ---- */
void mem_wake(struct mem_bus *bus);
void mem_wake_all(struct lutra_mem_broker *broker);

/* ---- mem_consume.c ---- */
/* Delivers up to a turn's budget; true: there is more to do. */
bool mem_deliver_some(struct mem_bus *bus);
/* Timer callback: writes what was asked to be committed. */
void mem_write_commits(void *arg);
void mem_sub_assigned(struct mem_sub *sub, const char *topic, int32_t partition);
void mem_sub_revoked(struct mem_sub *sub, const char *topic, int32_t partition);
/* For the ops table. */
struct lutra_bus_reader *mem_reader_new(struct lutra_bus *base,
                                        const char *group,
                                        const char *topic,
                                        int32_t partition,
                                        enum lutra_bus_start start,
                                        const struct lutra_bus_reader_handler *handler,
                                        void *arg);
void mem_reader_free(struct lutra_bus_reader *base);
void mem_reader_pause(struct lutra_bus_reader *base, bool paused);
void mem_reader_commit(struct lutra_bus_reader *base, int64_t next_offset);
struct lutra_bus_subscription *
mem_subscription_new(struct lutra_bus *base,
                     const char *group,
                     const struct lutra_bus_subscription_handler *handler,
                     void *arg);
void mem_subscription_free(struct lutra_bus_subscription *base);
void mem_subscription_topics(struct lutra_bus_subscription *base,
                             const char *const *topics,
                             size_t n);
void mem_subscription_pause(struct lutra_bus_subscription *base,
                            const char *topic,
                            int32_t partition,
                            bool paused);
void mem_subscription_commit(struct lutra_bus_subscription *base,
                             const char *topic,
                             int32_t partition,
                             int64_t next_offset);

#endif
