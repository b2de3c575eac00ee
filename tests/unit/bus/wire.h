/* A bus that remembers what was published, so that tests can feed, change, reorder and repeat it.
 */
#ifndef TEST_BUS_WIRE_H
#define TEST_BUS_WIRE_H

#include "bus/bus_mem.h"
#include "bus/pipe.h"

#define WIRE_MAX 512

struct wire_message {
    struct lutra_bus_message message; /* all owned */
    struct lutra_bus_header headers[20];
};

struct wire {
    struct lutra_loop *loop;
    struct lutra_mem_broker *broker;
    struct lutra_bus *bus;
    size_t n;
    struct wire_message *messages[WIRE_MAX];
    unsigned acks, failed_acks;
};

void wire_init(struct wire *wire, size_t max_message_bytes);
void wire_fini(struct wire *wire);
/* Publishes through the pipe, waits until all has come back; returns the index of its first
 * message. */
size_t wire_publish(struct wire *wire,
                    const struct lutra_envelope *envelope,
                    const void *payload,
                    size_t len);
/* A message of our own making. headers: name, value, name, value, ..., NULL. */
size_t wire_make(struct wire *wire,
                 const char *key,
                 const void *payload,
                 size_t len,
                 const char *const *headers);
/* Replaces (value not NULL), adds or removes (NULL) a header. */
void wire_set_header(struct wire *wire, size_t i, const char *name, const char *value);
const struct lutra_bus_message *wire_get(struct wire *wire, size_t i);
/* Bytes that do not compress. */
uint8_t *wire_noise(size_t len, uint64_t seed);
struct lutra_envelope wire_envelope(uint64_t epoch, uint64_t process_id);

#endif
