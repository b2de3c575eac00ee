#include "bus/bus.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bus/bus_ops.h"

enum { WARNING_MS = 300000 };

const char *lutra_bus_header_get(const struct lutra_bus_message *message, const char *name)
{
    for (size_t i = 0; i < message->n_headers; i++) {
        if (strcmp(message->headers[i].name, name) == 0) {
            return message->headers[i].value;
        }
    }
    return NULL;
}

static size_t record_bytes(const struct lutra_bus_record *record)
{
    size_t bytes = record->payload_len + (record->key ? strlen(record->key) : 0);

    for (size_t i = 0; i < record->n_headers; i++) {
        bytes += strlen(record->headers[i].name) + strlen(record->headers[i].value);
    }
    return bytes;
}

int lutra_bus_publish(struct lutra_bus *bus,
                      const struct lutra_bus_record *record,
                      lutra_bus_ack_fn ack,
                      void *arg,
                      struct lutra_error *err)
{
    size_t bytes = record_bytes(record);

    LUTRA_ASSERT(record->topic && record->partition >= 0);
    if (bytes > bus->max_message_bytes) {
        return lutra_error_set(err, LUTRA_DATA, 0,
                               "a message of %zu bytes for %s is larger than %zu bytes", bytes,
                               record->topic, bus->max_message_bytes);
    }
    return bus->ops->publish(bus, record, ack, arg, err);
}

void lutra_bus_forget(struct lutra_bus *bus, void *arg)
{
    bus->ops->forget(bus, arg);
}

void lutra_bus_warm_up(struct lutra_bus *bus, const char *topic, lutra_bus_ack_fn done, void *arg)
{
    bus->ops->warm_up(bus, topic, done, arg);
}

size_t lutra_bus_max_message_bytes(const struct lutra_bus *bus)
{
    return bus->max_message_bytes;
}

void lutra_bus_ensure_topics(struct lutra_bus *bus,
                             const struct lutra_bus_topic *topics,
                             size_t n,
                             lutra_bus_ack_fn done,
                             void *arg)
{
    bus->ops->ensure_topics(bus, topics, n, done, arg);
}

void lutra_bus_delete_topics(
    struct lutra_bus *bus, const char *const *topics, size_t n, lutra_bus_ack_fn done, void *arg)
{
    bus->ops->delete_topics(bus, topics, n, done, arg);
}

void lutra_bus_list_topics(struct lutra_bus *bus, lutra_bus_names_fn done, void *arg)
{
    bus->ops->list_topics(bus, done, arg);
}

void lutra_bus_group_topics(struct lutra_bus *bus,
                            const char *group,
                            lutra_bus_names_fn done,
                            void *arg)
{
    bus->ops->group_topics(bus, group, done, arg);
}

void lutra_bus_delete_offsets(
    struct lutra_bus *bus, const char *group, const char *topic, lutra_bus_ack_fn done, void *arg)
{
    bus->ops->delete_offsets(bus, group, topic, done, arg);
}

int32_t lutra_bus_partitions(struct lutra_bus *bus, const char *topic)
{
    return bus->ops->partitions(bus, topic);
}

struct lutra_bus_reader *lutra_bus_reader_new(struct lutra_bus *bus,
                                              const char *group,
                                              const char *topic,
                                              int32_t partition,
                                              enum lutra_bus_start start,
                                              const struct lutra_bus_reader_handler *handler,
                                              void *arg)
{
    LUTRA_ASSERT(group && topic && partition >= 0 && handler && handler->on_message);
    return bus->ops->reader_new(bus, group, topic, partition, start, handler, arg);
}

void lutra_bus_reader_free(struct lutra_bus_reader *reader)
{
    if (reader) {
        reader->bus->ops->reader_free(reader);
    }
}

void lutra_bus_reader_pause(struct lutra_bus_reader *reader, bool paused)
{
    reader->bus->ops->reader_pause(reader, paused);
}

void lutra_bus_reader_commit(struct lutra_bus_reader *reader, int64_t next_offset)
{
    reader->bus->ops->reader_commit(reader, next_offset);
}

struct lutra_bus_subscription *
lutra_bus_subscription_new(struct lutra_bus *bus,
                           const char *group,
                           const struct lutra_bus_subscription_handler *handler,
                           void *arg)
{
    LUTRA_ASSERT(group && handler && handler->on_message && handler->on_assigned &&
                 handler->on_revoked);
    return bus->ops->subscription_new(bus, group, handler, arg);
}

void lutra_bus_subscription_free(struct lutra_bus_subscription *sub)
{
    if (sub) {
        sub->bus->ops->subscription_free(sub);
    }
}

void lutra_bus_subscription_topics(struct lutra_bus_subscription *sub,
                                   const char *const *topics,
                                   size_t n)
{
    sub->bus->ops->subscription_topics(sub, topics, n);
}

void lutra_bus_subscription_pause(struct lutra_bus_subscription *sub,
                                  const char *topic,
                                  int32_t partition,
                                  bool paused)
{
    sub->bus->ops->subscription_pause(sub, topic, partition, paused);
}

void lutra_bus_subscription_commit(struct lutra_bus_subscription *sub,
                                   const char *topic,
                                   int32_t partition,
                                   int64_t next_offset)
{
    sub->bus->ops->subscription_commit(sub, topic, partition, next_offset);
}

bool lutra_bus_healthy(const struct lutra_bus *bus)
{
    return bus->healthy;
}

void lutra_bus_on_health(struct lutra_bus *bus, void (*fn)(bool healthy, void *arg), void *arg)
{
    bus->health_fn = fn;
    bus->health_arg = arg;
}

void lutra_bus_set_healthy(struct lutra_bus *bus, bool healthy)
{
    if (bus->healthy == healthy) {
        return;
    }
    bus->healthy = healthy;
    if (bus->health_fn) {
        bus->health_fn(healthy, bus->health_arg);
    }
}

void lutra_bus_warn(struct lutra_bus *bus, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(bus->warning, sizeof(bus->warning), fmt, ap);
    va_end(ap);
    bus->warned_ms = lutra_loop_now_ms(bus->loop);
}

const char *lutra_bus_warning(const struct lutra_bus *bus)
{
    bool stands = lutra_loop_now_ms(bus->loop) - bus->warned_ms < WARNING_MS;

    return stands ? bus->warning : "";
}

void lutra_bus_free(struct lutra_bus *bus)
{
    struct lutra_pipe_state *pipe;

    if (!bus) {
        return;
    }
    pipe = bus->pipe;
    bus->ops->free(bus);
    lutra_pipe_state_free(pipe);
}
