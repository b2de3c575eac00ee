#include "kafka_client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "support/test.h"

struct lutra_loop *client_loop;
static struct kafka_client *clients[8];
static char *names[8];

void client_setup(void)
{
    client_loop = lutra_loop_new();
}

void client_teardown(void)
{
    for (size_t i = 0; i < 8; i++) {
        if (clients[i]) {
            client_free(clients[i]);
        }
    }
    lutra_loop_free(client_loop);
    for (size_t i = 0; i < 8; i++) {
        free(names[i]);
    }
}

char *client_name(const char *prefix)
{
    size_t i = 0;

    while (names[i]) {
        i++;
    }
    names[i] = lutra_test_unique(prefix);
    return names[i];
}

struct kafka_client *client_new(const char *brokers, const struct lutra_config_map *extra)
{
    struct kafka_client *client = LUTRA_NEW(struct kafka_client);
    struct lutra_error err;
    size_t i = 0;

    client->bus = lutra_bus_kafka_new(client_loop, "test", brokers, "test", extra, NULL, &err);
    cr_assert_not_null(client->bus, "%s", err.msg);
    while (clients[i]) {
        i++;
    }
    clients[i] = client;
    return client;
}

void client_free(struct kafka_client *client)
{
    for (size_t i = 0; i < 8; i++) {
        if (clients[i] == client) {
            clients[i] = NULL;
        }
    }
    lutra_bus_reader_free(client->reader);
    lutra_bus_subscription_free(client->sub);
    lutra_bus_free(client->bus);
    lutra_free(client);
}

static void on_message(const struct lutra_bus_message *message, void *arg)
{
    struct kafka_client *client = arg;
    char text[16];

    cr_assert_lt(client->n, CLIENT_MAX);
    client->got_us = (int64_t)lutra_clock_now_us();
    snprintf(text, sizeof(text), "%.*s", (int)message->payload_len, (const char *)message->payload);
    client->offsets[client->n] = message->offset;
    client->partitions[client->n] = message->partition;
    client->values[client->n] = atoi(text);
    client->n++;
    client->n_bytes += message->payload_len;
    if (client->on_message) {
        client->on_message(client, message);
    }
    if (client->commits && client->sub) {
        lutra_bus_subscription_commit(client->sub, message->topic, message->partition,
                                      message->offset + 1);
    }
    if (client->commits && client->reader) {
        lutra_bus_reader_commit(client->reader, message->offset + 1);
    }
    if (client->pause_at && client->n == client->pause_at) {
        lutra_bus_reader_pause(client->reader, true);
    }
    if (client->frees_at_message) {
        lutra_bus_reader_free(client->reader);
        client->reader = NULL;
    }
}

static void on_start(int64_t offset, void *arg)
{
    struct kafka_client *client = arg;

    client->starts++;
    client->start = offset;
}

static void on_reset(int64_t from, int64_t to, void *arg)
{
    struct kafka_client *client = arg;

    client->resets++;
    client->reset_from = from;
    client->reset_to = to;
}

static void on_assigned(const char *topic, int32_t partition, void *arg)
{
    struct kafka_client *client = arg;

    (void)topic;
    cr_assert(!client->owns[partition]);
    client->owns[partition] = true;
    client->n_owned++;
}

static void on_revoked(const char *topic, int32_t partition, void *arg)
{
    struct kafka_client *client = arg;

    (void)topic;
    cr_assert(client->owns[partition]);
    client->owns[partition] = false;
    client->n_owned--;
    client->n_revoked++;
}

void client_read(struct kafka_client *client,
                 const char *group,
                 const char *topic,
                 int32_t partition,
                 enum lutra_bus_start start)
{
    static const struct lutra_bus_reader_handler handler = {
        .on_message = on_message, .on_start = on_start, .on_reset = on_reset};

    client->reader =
        lutra_bus_reader_new(client->bus, group, topic, partition, start, &handler, client);
}

void client_subscribe(struct kafka_client *client, const char *group, const char *topic)
{
    static const struct lutra_bus_subscription_handler handler = {
        .on_message = on_message, .on_assigned = on_assigned, .on_revoked = on_revoked};

    client->sub = lutra_bus_subscription_new(client->bus, group, &handler, client);
    lutra_bus_subscription_topics(client->sub, &topic, 1);
}

static void on_ack(const struct lutra_error *err, void *arg)
{
    struct kafka_client *client = arg;

    client->acks++;
    if (err) {
        client->failed++;
        client->last_err = *err;
    }
}

void client_publish_numbers(
    struct kafka_client *client, const char *topic, int32_t partition, int from, int to)
{
    struct lutra_error err;
    char text[16];

    for (int i = from; i < to; i++) {
        snprintf(text, sizeof(text), "%d", i);
        cr_assert_eq(lutra_bus_publish(client->bus,
                                       &(struct lutra_bus_record){.topic = topic,
                                                                  .partition = partition,
                                                                  .key = text,
                                                                  .payload = text,
                                                                  .payload_len = strlen(text)},
                                       on_ack, client, &err),
                     0, "%s", err.msg);
    }
}

void client_on_done(const struct lutra_error *err, void *arg)
{
    struct kafka_client *client = arg;

    client->done++;
    lutra_error_clear(&client->last_err);
    if (err) {
        client->last_err = *err;
    }
}

void client_make_topic(struct kafka_client *client, const char *topic, int32_t partitions)
{
    struct lutra_bus_topic wanted = {
        .name = topic, .partitions = partitions, .retention_ms = 3600000};
    unsigned done = client->done;

    lutra_bus_ensure_topics(client->bus, &wanted, 1, client_on_done, client);
    CLIENT_WAIT(client->done > done, 20000);
    cr_assert_eq(client->last_err.class, LUTRA_OK, "%s", client->last_err.msg);
}
