/* What a client of the broker in memory consumes: readers, subscriptions, delivery, commits. */
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "bus/mem_broker.h"

#define MEM_TURN_BUDGET 64

/* ---- delivery ---- */

/* The reader or the owned partition that has something to do and waited longest. */
struct ready {
    struct mem_reader *reader;
    struct mem_sub *sub;
    struct mem_owned *owned;
    struct mem_partition *partition;
    uint64_t turn;
};

static void consider(struct ready *best, const struct ready *candidate)
{
    if ((!best->reader && !best->owned) || candidate->turn < best->turn) {
        *best = *candidate;
    }
}

static bool find_ready(struct mem_bus *bus, struct ready *best)
{
    struct mem_reader *reader;
    struct mem_owned *owned;
    struct mem_sub *sub;

    *best = (struct ready){0};
    DL_FOREACH(bus->readers, reader)
    {
        struct mem_partition *partition =
            mem_partition_find(bus->broker, reader->topic, reader->partition);

        if (partition && !reader->paused &&
            (!reader->started || reader->position != (int64_t)partition->n)) {
            consider(best, &(struct ready){
                               .reader = reader, .partition = partition, .turn = reader->turn});
        }
    }
    DL_FOREACH(bus->subs, sub)
    {
        DL_FOREACH(sub->member->owned, owned)
        {
            struct mem_partition *partition =
                mem_partition_find(bus->broker, owned->topic, owned->partition);

            if (partition && !owned->paused && owned->position != (int64_t)partition->n) {
                consider(best, &(struct ready){.sub = sub,
                                               .owned = owned,
                                               .partition = partition,
                                               .turn = owned->turn});
            }
        }
    }
    return best->reader || best->owned;
}

static void deliver(const struct mem_partition *partition,
                    const char *topic_name,
                    int32_t partition_no,
                    int64_t offset,
                    void (*fn)(const struct lutra_bus_message *message, void *arg),
                    void *arg)
{
    /* Copies: the callback may remove the message, the topic or the reader. */
    struct mem_record *record = mem_record_dup(partition->records[offset]);
    LUTRA_AUTO_FREE char *topic = lutra_strdup(topic_name);
    struct lutra_bus_message message = {
        .topic = topic,
        .partition = partition_no,
        .offset = offset,
        .key = record->key,
        .key_len = record->key ? strlen(record->key) : 0,
        .payload = record->payload,
        .payload_len = record->payload_len,
        .n_headers = record->n_headers,
        .headers = record->headers,
    };

    fn(&message, arg);
    mem_record_free(record);
}

static void reader_begin(struct mem_reader *reader, const struct mem_partition *partition)
{
    int64_t high = (int64_t)partition->n;
    int64_t committed = mem_group_committed(reader->group, reader->topic, reader->partition);

    switch (reader->start) {
    case LUTRA_BUS_START_COMMITTED:
        reader->position = committed < 0 ? 0 : committed;
        break;
    case LUTRA_BUS_START_LOW:
        reader->position = 0;
        break;
    case LUTRA_BUS_START_END:
        reader->position = high;
        break;
    }
    reader->started = true;
    if (reader->handler.on_start) {
        reader->handler.on_start(reader->position, reader->arg);
    }
}

static void serve_reader(struct mem_reader *reader, const struct mem_partition *partition)
{
    int64_t position = reader->position;

    if (!reader->started) {
        reader_begin(reader, partition);
    } else if (position > (int64_t)partition->n) {
        reader->position = 0;
        if (reader->handler.on_reset) {
            reader->handler.on_reset(position, 0, reader->arg);
        }
    } else {
        reader->position++;
        deliver(partition, reader->topic, reader->partition, position, reader->handler.on_message,
                reader->arg);
    }
}

static void
serve_owned(struct mem_sub *sub, struct mem_owned *owned, const struct mem_partition *partition)
{
    int64_t position = owned->position;

    if (position > (int64_t)partition->n) {
        owned->position = 0;
        return;
    }
    owned->position++;
    deliver(partition, owned->topic, owned->partition, position, sub->handler.on_message, sub->arg);
}

bool mem_deliver_some(struct mem_bus *bus)
{
    struct ready ready;

    for (unsigned i = 0; i < MEM_TURN_BUDGET; i++) {
        if (bus->killed || bus->broker->faults.down || !find_ready(bus, &ready)) {
            return false;
        }
        bus->turns++;
        if (ready.reader) {
            ready.reader->turn = bus->turns;
            serve_reader(ready.reader, ready.partition);
        } else {
            ready.owned->turn = bus->turns;
            serve_owned(ready.sub, ready.owned, ready.partition);
        }
    }
    return true;
}

/* ---- readers ---- */

struct lutra_bus_reader *mem_reader_new(struct lutra_bus *base,
                                        const char *group,
                                        const char *topic,
                                        int32_t partition,
                                        enum lutra_bus_start start,
                                        const struct lutra_bus_reader_handler *handler,
                                        void *arg)
{
    struct mem_bus *bus = (struct mem_bus *)base;
    struct mem_reader *reader = LUTRA_NEW(struct mem_reader);

    reader->base.bus = base;
    reader->group = mem_group_get(bus->broker, group);
    reader->topic = lutra_strdup(topic);
    reader->partition = partition;
    reader->start = start;
    reader->handler = *handler;
    reader->arg = arg;
    reader->commit = -1;
    DL_APPEND(bus->readers, reader);
    mem_wake(bus);
    return &reader->base;
}

static void reader_write_commit(struct mem_reader *reader)
{
    if (reader->commit >= 0) {
        mem_group_commit(reader->group, reader->topic, reader->partition, reader->commit);
        reader->commit = -1;
    }
}

void mem_reader_free(struct lutra_bus_reader *base)
{
    struct mem_reader *reader = (struct mem_reader *)base;
    struct mem_bus *bus = (struct mem_bus *)base->bus;

    if (!bus->killed && !bus->broker->faults.down) {
        reader_write_commit(reader);
    }
    DL_DELETE(bus->readers, reader);
    lutra_free(reader->topic);
    lutra_free(reader);
}

void mem_reader_pause(struct lutra_bus_reader *base, bool paused)
{
    ((struct mem_reader *)base)->paused = paused;
    mem_wake((struct mem_bus *)base->bus);
}

static void commit_soon(struct mem_bus *bus)
{
    if (!bus->killed && !lutra_timer_active(bus->commit)) {
        lutra_timer_start(bus->commit, MEM_COMMIT_MS);
    }
}

void mem_reader_commit(struct lutra_bus_reader *base, int64_t next_offset)
{
    ((struct mem_reader *)base)->commit = next_offset;
    commit_soon((struct mem_bus *)base->bus);
}

void mem_write_commits(void *arg)
{
    struct mem_bus *bus = arg;
    struct mem_reader *reader;
    struct mem_sub *sub;

    if (bus->broker->faults.down) {
        commit_soon(bus);
        return;
    }
    DL_FOREACH(bus->readers, reader)
    {
        reader_write_commit(reader);
    }
    DL_FOREACH(bus->subs, sub)
    {
        mem_member_write_commits(sub->member);
    }
}

/* ---- subscriptions ---- */

struct lutra_bus_subscription *
mem_subscription_new(struct lutra_bus *base,
                     const char *group,
                     const struct lutra_bus_subscription_handler *handler,
                     void *arg)
{
    struct mem_bus *bus = (struct mem_bus *)base;
    struct mem_sub *sub = LUTRA_NEW(struct mem_sub);

    LUTRA_ASSERT(!bus->killed);
    sub->base.bus = base;
    sub->handler = *handler;
    sub->arg = arg;
    sub->member = mem_member_new(mem_group_get(bus->broker, group), sub);
    DL_APPEND(bus->subs, sub);
    return &sub->base;
}

void mem_subscription_free(struct lutra_bus_subscription *base)
{
    struct mem_sub *sub = (struct mem_sub *)base;
    struct mem_bus *bus = (struct mem_bus *)base->bus;

    if (sub->member) {
        if (!bus->broker->faults.down) {
            mem_member_write_commits(sub->member);
        }
        mem_member_leave(sub->member);
    }
    DL_DELETE(bus->subs, sub);
    lutra_free(sub);
}

void mem_subscription_topics(struct lutra_bus_subscription *base,
                             const char *const *topics,
                             size_t n)
{
    struct mem_sub *sub = (struct mem_sub *)base;

    if (sub->member) {
        mem_member_topics(sub->member, topics, n);
    }
}

static struct mem_owned *
sub_owned(struct lutra_bus_subscription *base, const char *topic, int32_t partition)
{
    struct mem_sub *sub = (struct mem_sub *)base;

    return sub->member ? mem_member_owned(sub->member, topic, partition) : NULL;
}

void mem_subscription_pause(struct lutra_bus_subscription *base,
                            const char *topic,
                            int32_t partition,
                            bool paused)
{
    struct mem_owned *owned = sub_owned(base, topic, partition);

    if (owned) {
        owned->paused = paused;
        mem_wake((struct mem_bus *)base->bus);
    }
}

void mem_subscription_commit(struct lutra_bus_subscription *base,
                             const char *topic,
                             int32_t partition,
                             int64_t next_offset)
{
    struct mem_owned *owned = sub_owned(base, topic, partition);

    if (owned) {
        owned->commit = next_offset;
        commit_soon((struct mem_bus *)base->bus);
    }
}

void mem_sub_assigned(struct mem_sub *sub, const char *topic, int32_t partition)
{
    mem_wake((struct mem_bus *)sub->base.bus);
    sub->handler.on_assigned(topic, partition, sub->arg);
}

void mem_sub_revoked(struct mem_sub *sub, const char *topic, int32_t partition)
{
    sub->handler.on_revoked(topic, partition, sub->arg);
}
