/* The shared broker, seen from outside: topics, injected messages, what a topic holds. */
#ifndef LUTRA_TEST_SUPPORT_KAFKA_H
#define LUTRA_TEST_SUPPORT_KAFKA_H

#include <stddef.h>
#include <stdint.h>

struct lutra_kafka_header {
    char *name, *value; /* value: text */
};
struct lutra_kafka_message {
    int32_t partition;
    int64_t offset;
    char *key; /* NULL when there is none */
    void *payload;
    size_t len;
    size_t n_headers;
    struct lutra_kafka_header *headers;
};
struct lutra_kafka_messages {
    size_t n;
    struct lutra_kafka_message *items;
};

/* brokers: of lutra_test_stack(). config: "name=value" strings ended by NULL; may be NULL. A topic
 * that is there already is left as it is. */
void lutra_kafka_create_topic(const char *brokers,
                              const char *topic,
                              int partitions,
                              const char *const *config);
/* Appends one message (offset is ignored) and waits until it is acknowledged. */
void lutra_kafka_produce(const char *brokers,
                         const char *topic,
                         const struct lutra_kafka_message *message);
/* Everything a topic holds now, partition by partition. Free with lutra_kafka_messages_fini. */
struct lutra_kafka_messages lutra_kafka_read_all(const char *brokers, const char *topic);
void lutra_kafka_messages_fini(struct lutra_kafka_messages *messages);
/* A header's value; NULL when there is none. */
const char *lutra_kafka_header(const struct lutra_kafka_message *message, const char *name);
/* The committed offset of a group in one partition; -1 when there is none. */
int64_t
lutra_kafka_committed(const char *brokers, const char *group, const char *topic, int32_t partition);

/* Where the next message of a partition will stand. */
int64_t lutra_kafka_end_offset(const char *brokers, const char *topic, int32_t partition);
/* 0: there is no such topic. */
int lutra_kafka_partitions(const char *brokers, const char *topic);
/* A setting of a topic, as heap text; NULL when the broker tells none of that name. */
char *lutra_kafka_topic_config(const char *brokers, const char *topic, const char *name);

/* As an administrator would (kafka_admin.c). A topic that is deleted may still be seen for a
 * moment. */
void lutra_kafka_delete_topic(const char *brokers, const char *topic);
void lutra_kafka_grow_topic(const char *brokers, const char *topic, int partitions);
/* Everything that the partition holds now is deleted: its low watermark becomes its high one. */
/* Node id of the broker that leads the partition; 0: none at the moment. */
int lutra_kafka_leader(const char *brokers, const char *topic, int32_t partition);
/* Brokers that hold a copy of it. */
int lutra_kafka_replicas(const char *brokers, const char *topic, int32_t partition);
void lutra_kafka_truncate(const char *brokers, const char *topic, int32_t partition);

#endif
