#include "wire.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static char *own(const char *s)
{
    return lutra_strdup(s);
}

static void on_message(const struct lutra_bus_message *message, void *arg)
{
    struct wire *wire = arg;
    const char *headers[42];
    size_t n = 0;
    char key[64];

    for (size_t i = 0; i < message->n_headers; i++) {
        headers[n++] = message->headers[i].name;
        headers[n++] = message->headers[i].value;
    }
    headers[n] = NULL;
    snprintf(key, sizeof(key), "%.*s", (int)message->key_len, message->key);
    wire_make(wire, key, message->payload, message->payload_len, headers);
}

static void on_ack(const struct lutra_error *err, void *arg)
{
    struct wire *wire = arg;

    wire->acks++;
    wire->failed_acks += err != NULL;
}

void wire_init(struct wire *wire, size_t max_message_bytes)
{
    static const struct lutra_bus_reader_handler handler = {.on_message = on_message};

    memset(wire, 0, sizeof(*wire));
    wire->loop = lutra_loop_new_sim(1);
    wire->broker = lutra_mem_broker_new(wire->loop);
    if (max_message_bytes) {
        lutra_mem_broker_set_max_message_bytes(wire->broker, max_message_bytes);
    }
    lutra_mem_broker_create_topic(wire->broker, "t", 1);
    wire->bus = lutra_bus_mem_new(wire->broker, "test");
    lutra_bus_reader_new(wire->bus, "g", "t", 0, LUTRA_BUS_START_LOW, &handler, wire);
}

void wire_fini(struct wire *wire)
{
    lutra_bus_free(wire->bus);
    lutra_mem_broker_free(wire->broker);
    lutra_loop_free(wire->loop);
    for (size_t i = 0; i < wire->n; i++) {
        struct wire_message *m = wire->messages[i];

        for (size_t j = 0; j < m->message.n_headers; j++) {
            free((char *)m->headers[j].name);
            free((char *)m->headers[j].value);
        }
        free((char *)m->message.key);
        free((uint8_t *)m->message.payload);
        free(m);
    }
}

size_t wire_make(
    struct wire *wire, const char *key, const void *payload, size_t len, const char *const *headers)
{
    struct wire_message *m = LUTRA_NEW(struct wire_message);
    uint8_t *copy = lutra_alloc(len);

    cr_assert_lt(wire->n, WIRE_MAX);
    if (len) {
        memcpy(copy, payload, len);
    }
    m->message = (struct lutra_bus_message){
        .topic = "t",
        .offset = (int64_t)wire->n,
        .key = own(key),
        .key_len = strlen(key),
        .payload = copy,
        .payload_len = len,
        .headers = m->headers,
    };
    for (; headers && *headers; headers += 2) {
        m->headers[m->message.n_headers].name = own(headers[0]);
        m->headers[m->message.n_headers++].value = own(headers[1]);
    }
    wire->messages[wire->n] = m;
    return wire->n++;
}

static size_t want_n, want_acks;

static bool all_back(void *arg)
{
    struct wire *wire = arg;

    return wire->acks >= want_acks && wire->n >= want_n &&
           wire->n >= lutra_mem_broker_count(wire->broker, "t", 0);
}

size_t wire_publish(struct wire *wire,
                    const struct lutra_envelope *envelope,
                    const void *payload,
                    size_t len)
{
    size_t first = wire->n;
    struct lutra_error err;

    want_n = wire->n + 1;
    want_acks = wire->acks + 1;
    cr_assert_eq(lutra_pipe_publish(wire->bus, "t", 0, envelope, payload, len, on_ack, wire, &err),
                 0, "%s", err.msg);
    cr_assert(lutra_loop_run_until(wire->loop, all_back, wire, 60000));
    return first;
}

void wire_set_header(struct wire *wire, size_t i, const char *name, const char *value)
{
    struct wire_message *m = wire->messages[i];
    size_t j = 0;

    while (j < m->message.n_headers && strcmp(m->headers[j].name, name) != 0) {
        j++;
    }
    if (j < m->message.n_headers) {
        free((char *)m->headers[j].name);
        free((char *)m->headers[j].value);
        m->headers[j] = m->headers[--m->message.n_headers];
    }
    if (value) {
        m->headers[m->message.n_headers].name = own(name);
        m->headers[m->message.n_headers++].value = own(value);
    }
}

const struct lutra_bus_message *wire_get(struct wire *wire, size_t i)
{
    return &wire->messages[i]->message;
}

uint8_t *wire_noise(size_t len, uint64_t seed)
{
    uint8_t *data = lutra_alloc(len + 8);
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (uint8_t)(x >> 24);
    }
    return data;
}

struct lutra_envelope wire_envelope(uint64_t epoch, uint64_t process_id)
{
    return (struct lutra_envelope){.epoch = epoch,
                                   .nonce = "0123456789abcdef",
                                   .process_id = process_id,
                                   .config_version = 3,
                                   .ts_us = {1700000000000001, 0, 0, 0}};
}
