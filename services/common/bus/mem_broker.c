/* The broker in memory: topics, partitions, faults. */
#include "bus/mem_broker.h"

#include <string.h>
#include <utlist.h>

#include "base/mem.h"

#define MEM_MAX_MESSAGE_BYTES (((size_t)8 << 20) - 4096)

/* ---- records ---- */

struct mem_record *mem_record_new(const struct lutra_bus_record *record)
{
    struct mem_record *copy = LUTRA_NEW(struct mem_record);

    copy->key = lutra_strdup(record->key);
    copy->n_headers = record->n_headers;
    copy->headers = lutra_alloc(record->n_headers * sizeof(*copy->headers));
    for (size_t i = 0; i < record->n_headers; i++) {
        copy->headers[i].name = lutra_strdup(record->headers[i].name);
        copy->headers[i].value = lutra_strdup(record->headers[i].value);
    }
    copy->payload = lutra_alloc(record->payload_len);
    if (record->payload_len) {
        memcpy(copy->payload, record->payload, record->payload_len);
    }
    copy->payload_len = record->payload_len;
    return copy;
}

struct mem_record *mem_record_dup(const struct mem_record *record)
{
    return mem_record_new(&(struct lutra_bus_record){
        .key = record->key,
        .n_headers = record->n_headers,
        .headers = record->headers,
        .payload = record->payload,
        .payload_len = record->payload_len,
    });
}

static void free_text(const char *text)
{
    void *p;

    memcpy(&p, &text, sizeof(p)); /* owned, though the port's struct says const */
    lutra_free(p);
}

void mem_record_free(struct mem_record *record)
{
    if (!record) {
        return;
    }
    for (size_t i = 0; i < record->n_headers; i++) {
        free_text(record->headers[i].name);
        free_text(record->headers[i].value);
    }
    lutra_free(record->headers);
    lutra_free(record->payload);
    lutra_free(record->key);
    lutra_free(record);
}

size_t mem_record_bytes(const struct mem_record *record)
{
    return record->payload_len + 256;
}

/* ---- topics ---- */

struct mem_topic *mem_topic_find(struct lutra_mem_broker *broker, const char *name)
{
    struct mem_topic *topic;

    HASH_FIND_STR(broker->topics, name, topic);
    return topic;
}

struct mem_partition *
mem_partition_find(struct lutra_mem_broker *broker, const char *topic, int32_t partition)
{
    struct mem_topic *found = mem_topic_find(broker, topic);

    return found && partition < found->n ? &found->partitions[partition] : NULL;
}

void mem_partition_append(struct mem_partition *partition, struct mem_record *record)
{
    if (partition->n == partition->cap) {
        partition->cap = partition->cap ? partition->cap * 2 : 16;
        partition->records =
            lutra_realloc(partition->records, partition->cap * sizeof(struct mem_record *));
    }
    partition->records[partition->n++] = record;
}

static void rebalance_all(struct lutra_mem_broker *broker)
{
    struct mem_group *group, *tmp;

    HASH_ITER(hh, broker->groups, group, tmp)
    {
        mem_group_rebalance(group);
    }
}

static void mem_topic_free(struct mem_topic *topic)
{
    for (int32_t i = 0; i < topic->n; i++) {
        for (size_t j = 0; j < topic->partitions[i].n; j++) {
            mem_record_free(topic->partitions[i].records[j]);
        }
        lutra_free(topic->partitions[i].records);
    }
    lutra_free(topic->partitions);
    lutra_free(topic->name);
    lutra_free(topic);
}

void mem_topic_delete(struct lutra_mem_broker *broker, const char *name)
{
    struct mem_topic *topic = mem_topic_find(broker, name);

    if (!topic) {
        return;
    }
    HASH_DEL(broker->topics, topic);
    mem_topic_free(topic);
    rebalance_all(broker);
}

void lutra_mem_broker_create_topic(struct lutra_mem_broker *broker,
                                   const char *name,
                                   int32_t partitions)
{
    struct mem_topic *topic = mem_topic_find(broker, name);

    if (!topic) {
        topic = LUTRA_NEW(struct mem_topic);
        topic->name = lutra_strdup(name);
        HASH_ADD_KEYPTR(hh, broker->topics, topic->name, strlen(topic->name), topic);
    }
    if (partitions > topic->n) {
        topic->partitions =
            lutra_realloc(topic->partitions, (size_t)partitions * sizeof(struct mem_partition));
        memset(&topic->partitions[topic->n], 0,
               (size_t)(partitions - topic->n) * sizeof(struct mem_partition));
        topic->n = partitions;
        rebalance_all(broker);
        mem_wake_all(broker);
    }
}

size_t mem_topic_names(struct lutra_mem_broker *broker, char ***names)
{
    struct mem_topic *topic, *tmp;
    size_t n = 0;

    *names = lutra_alloc((HASH_COUNT(broker->topics) + 1) * sizeof(char *));
    HASH_ITER(hh, broker->topics, topic, tmp)
    {
        (*names)[n++] = lutra_strdup(topic->name);
    }
    return n;
}

/* ---- the broker ---- */

struct lutra_mem_broker *lutra_mem_broker_new(struct lutra_loop *loop)
{
    struct lutra_mem_broker *broker = LUTRA_NEW(struct lutra_mem_broker);

    broker->loop = loop;
    broker->max_message_bytes = MEM_MAX_MESSAGE_BYTES;
    return broker;
}

void lutra_mem_broker_free(struct lutra_mem_broker *broker)
{
    struct mem_group *group, *next_group;
    struct mem_topic *topic, *next_topic;

    if (!broker) {
        return;
    }
    LUTRA_ASSERT(!broker->clients);
    HASH_ITER(hh, broker->groups, group, next_group)
    {
        HASH_DEL(broker->groups, group);
        mem_group_free(group);
    }
    HASH_ITER(hh, broker->topics, topic, next_topic)
    {
        HASH_DEL(broker->topics, topic);
        mem_topic_free(topic);
    }
    lutra_free(broker);
}

void lutra_mem_broker_set_max_message_bytes(struct lutra_mem_broker *broker, size_t bytes)
{
    LUTRA_ASSERT(bytes >= 2048);
    broker->max_message_bytes = bytes;
}

void lutra_mem_broker_set_faults(struct lutra_mem_broker *broker,
                                 const struct lutra_mem_broker_faults *faults)
{
    bool was_down = broker->faults.down;

    LUTRA_ASSERT(faults->delay_max_ms >= faults->delay_min_ms);
    broker->faults = *faults;
    if (was_down == faults->down) {
        return;
    }
    if (!faults->down) {
        rebalance_all(broker);
    }
    mem_wake_all(broker); /* health is told in each client's own turn */
}

bool mem_draw_percent(struct lutra_mem_broker *broker, unsigned percent)
{
    return percent && lutra_loop_random(broker->loop) % 100 < percent;
}

uint64_t mem_draw_delay_ms(struct lutra_mem_broker *broker)
{
    uint64_t span = broker->faults.delay_max_ms - broker->faults.delay_min_ms;

    return broker->faults.delay_min_ms + (span ? lutra_loop_random(broker->loop) % (span + 1) : 0);
}

void lutra_mem_broker_inject(struct lutra_mem_broker *broker, const struct lutra_bus_record *record)
{
    struct mem_partition *partition;

    if (!mem_partition_find(broker, record->topic, record->partition)) {
        lutra_mem_broker_create_topic(broker, record->topic, record->partition + 1);
    }
    partition = mem_partition_find(broker, record->topic, record->partition);
    mem_partition_append(partition, mem_record_new(record));
    mem_wake_all(broker);
}

size_t lutra_mem_broker_count(struct lutra_mem_broker *broker, const char *topic, int32_t partition)
{
    struct mem_partition *found = mem_partition_find(broker, topic, partition);

    return found ? found->n : 0;
}

int64_t lutra_mem_broker_committed(struct lutra_mem_broker *broker,
                                   const char *group,
                                   const char *topic,
                                   int32_t partition)
{
    struct mem_group *found;

    HASH_FIND_STR(broker->groups, group, found);
    return found ? mem_group_committed(found, topic, partition) : -1;
}

void lutra_mem_broker_lose_last(struct lutra_mem_broker *broker,
                                const char *topic,
                                int32_t partition)
{
    struct mem_partition *found = mem_partition_find(broker, topic, partition);

    if (found && found->n > 0) {
        mem_record_free(found->records[--found->n]);
        mem_wake_all(broker);
    }
}
