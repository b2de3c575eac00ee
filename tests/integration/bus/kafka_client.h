/* One bus on a real broker, and what it saw. */
#ifndef TEST_KAFKA_CLIENT_H
#define TEST_KAFKA_CLIENT_H

#include "bus/bus_kafka.h"
#include "bus/pipe.h"

#define CLIENT_MAX 65536

struct kafka_client {
    struct lutra_bus *bus;
    struct lutra_bus_reader *reader;
    struct lutra_bus_subscription *sub;
    unsigned acks, failed, starts, resets, done;
    struct lutra_error last_err;
    int64_t start, reset_from, reset_to;
    size_t n, n_bytes;
    int64_t offsets[CLIENT_MAX];
    int32_t partitions[CLIENT_MAX];
    int values[CLIENT_MAX]; /* the payload as a number */
    bool owns[64];
    unsigned n_owned, n_revoked;
    bool commits, frees_at_message;
    size_t pause_at;
    void (*on_message)(struct kafka_client *client, const struct lutra_bus_message *message);
    int64_t first_us, got_us;
};

extern struct lutra_loop *client_loop; /* made by client_setup */
void client_setup(void);
void client_teardown(void);

/* A name nobody else uses; freed by client_teardown. */
char *client_name(const char *prefix);

struct kafka_client *client_new(const char *brokers, const struct lutra_config_map *extra);
void client_free(struct kafka_client *client);
void client_read(struct kafka_client *client,
                 const char *group,
                 const char *topic,
                 int32_t partition,
                 enum lutra_bus_start start);
void client_subscribe(struct kafka_client *client, const char *group, const char *topic);
/* Messages whose payloads are the numbers from..to-1. */
void client_publish_numbers(
    struct kafka_client *client, const char *topic, int32_t partition, int from, int to);
/* ensure_topics and wait. */
void client_make_topic(struct kafka_client *client, const char *topic, int32_t partitions);
void client_on_done(const struct lutra_error *err, void *arg);

/* Runs the loop until the expression holds; fails the test otherwise. */
#define CLIENT_WAIT(expression, ms)                                                           \
    do {                                                                                      \
        uint64_t wait_end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(ms);                \
        while (!(expression)) {                                                               \
            if (lutra_test_now_ms() >= wait_end_ms) {                                         \
                lutra_test_fail("%s:%d: not within %d ms: %s", __FILE__, __LINE__, (int)(ms), \
                                #expression);                                                 \
            }                                                                                 \
            lutra_loop_run_for(client_loop, 2);                                               \
        }                                                                                     \
    } while (0)

#endif
