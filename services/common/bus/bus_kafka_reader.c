/* Readers: partitions assigned by hand. All readers of a group share one consumer, which is never a
 * member of the group: it only commits offsets into it. */
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/bus_kafka_impl.h"

static struct kafka_consumer *group_consumer(struct kafka_bus *bus, const char *group)
{
    struct kafka_consumer *consumer;
    struct lutra_error err;

    DL_FOREACH(bus->consumers, consumer)
    {
        if (!consumer->sub && strcmp(consumer->group, group) == 0) {
            return consumer;
        }
    }
    consumer = kafka_consumer_new(bus, group, NULL, &err);
    if (!consumer) {
        /* The settings were checked at the start: no threads or no memory. */
        LUTRA_ERROR("bus.consumer_not_made", LUTRA_F_STR("group", group), LUTRA_F_ERR(&err));
    }
    return consumer;
}

/* incremental: rd_kafka_incremental_assign or rd_kafka_incremental_unassign. */
static void change_assignment(
    struct kafka_part *part,
    int64_t offset,
    rd_kafka_error_t *(*incremental)(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list))
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_error_t *error;

    rd_kafka_topic_partition_list_add(list, part->topic, part->partition)->offset = offset;
    error = incremental(part->consumer->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error) {
        LUTRA_ERROR("bus.assign_failed", LUTRA_F_STR("topic", part->topic),
                    LUTRA_F_I64("partition", part->partition),
                    LUTRA_F_STR("error", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
}

/* ---- where to begin ---- */

static void reader_begin(struct kafka_reader *reader, const struct kafka_offsets *offsets)
{
    struct kafka_part *part = reader->part;

    if (reader->start == LUTRA_BUS_START_END) {
        part->position = offsets->high;
    } else if (reader->start == LUTRA_BUS_START_COMMITTED && offsets->committed >= 0) {
        part->position = offsets->committed;
    } else {
        part->position = offsets->low;
    }
    kafka_part_attach(part);
    change_assignment(part, part->position, rd_kafka_incremental_assign);
    if (reader->handler.on_start) {
        reader->handler.on_start(part->position, reader->arg);
    }
}

/* A seek has no effect on a partition whose offset was refused: it is assigned anew. */
static void reader_restart(struct kafka_reader *reader, int64_t low)
{
    struct kafka_part *part = reader->part;
    int64_t from = part->position;

    change_assignment(part, RD_KAFKA_OFFSET_INVALID, rd_kafka_incremental_unassign);
    part->position = low;
    change_assignment(part, low, rd_kafka_incremental_assign);
    kafka_tell_offset_gone(part->consumer, part->topic, part->partition, from, low);
    if (reader->handler.on_reset) {
        reader->handler.on_reset(from, low, reader->arg);
    }
}

static struct kafka_reader *reader_by_id(struct kafka_consumer *consumer, uint64_t id)
{
    struct kafka_part *part;

    DL_FOREACH(consumer->parts, part)
    {
        if (part->id == id) {
            return part->reader;
        }
    }
    return NULL;
}

static void
on_offsets(struct kafka_consumer *consumer, uint64_t id, const struct kafka_offsets *offsets)
{
    struct kafka_reader *reader = reader_by_id(consumer, id);

    if (!reader) {
        return;
    }
    reader->asking = false;
    if (!offsets) {
        lutra_timer_start(reader->retry, KAFKA_RETRY_MS);
    } else if (reader->part->pump) {
        reader_restart(reader, offsets->low);
    } else {
        reader_begin(reader, offsets);
    }
}

static void reader_ask(void *arg)
{
    struct kafka_reader *reader = arg;
    struct kafka_part *part = reader->part;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    bool committed = !part->pump && reader->start == LUTRA_BUS_START_COMMITTED;

    reader->asking = true;
    rd_kafka_topic_partition_list_add(list, part->topic, part->partition);
    kafka_offsets_ask(part->consumer, list,
                      committed ? KAFKA_WANT_COMMITTED : KAFKA_WANT_WATERMARKS, part->id,
                      on_offsets);
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_reader_offset_gone(struct kafka_reader *reader)
{
    if (!reader->asking) {
        reader_ask(reader);
    }
}

/* ---- the port ---- */

struct lutra_bus_reader *kafka_reader_new(struct lutra_bus *base,
                                          const char *group,
                                          const char *topic,
                                          int32_t partition,
                                          enum lutra_bus_start start,
                                          const struct lutra_bus_reader_handler *handler,
                                          void *arg)
{
    struct kafka_consumer *consumer = group_consumer((struct kafka_bus *)base, group);
    struct kafka_reader *reader;

    LUTRA_ASSERT(consumer);
    reader = LUTRA_NEW(struct kafka_reader);
    reader->base.bus = base;
    reader->start = start;
    reader->handler = *handler;
    reader->arg = arg;
    reader->retry = lutra_timer_new(base->loop, reader_ask, reader);
    reader->part = kafka_part_new(consumer, topic, partition, reader);
    reader_ask(reader);
    return &reader->base;
}

void kafka_reader_free(struct lutra_bus_reader *base)
{
    struct kafka_reader *reader = (struct kafka_reader *)base;

    kafka_part_commit_now(reader->part);
    if (reader->part->pump) {
        change_assignment(reader->part, RD_KAFKA_OFFSET_INVALID, rd_kafka_incremental_unassign);
    }
    kafka_part_free(reader->part);
    lutra_timer_free(reader->retry);
    lutra_free(reader);
}

void kafka_reader_pause(struct lutra_bus_reader *base, bool paused)
{
    kafka_part_pause(((struct kafka_reader *)base)->part, paused);
}

void kafka_reader_commit(struct lutra_bus_reader *base, int64_t next_offset)
{
    ((struct kafka_reader *)base)->part->commit = next_offset;
}
