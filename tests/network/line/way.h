/* One direction of a line: which packets get through, and when. Pure: the caller tells the time and
 * carries the packets. Owned by one thread. */
#ifndef LUTRA_TEST_NETWORK_WAY_H
#define LUTRA_TEST_NETWORK_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What happens to packets that come in from now on. All zero: a wire. */
struct way_rules {
    uint64_t delay_us;
    uint64_t jitter_us; /* the delay is drawn from delay ± jitter, anew for every packet */
    double loss;        /* 0..1: lost without a word */
    double duplicate;   /* 0..1: comes twice */
    uint64_t rate_bps;  /* bits a second; 0: no bound */
    bool reorder;       /* a packet may overtake another; else order is kept */
};

struct way_counts {
    uint64_t packets, bytes; /* came in */
    uint64_t delivered_packets, delivered_bytes;
    uint64_t lost, duplicated;
    uint64_t overflowed; /* dropped at the end of a full queue */
};

struct way_packet; /* on its way */

struct way {
    struct way_rules rules;
    struct way_counts counts;
    uint64_t random;     /* state of its generator */
    uint64_t free_us;    /* when the wire has sent what was given to it */
    uint64_t last_us;    /* latest arrival so far */
    uint64_t sequence;   /* of the packets taken */
    size_t queued_bytes; /* at most WAY_QUEUE_BYTES */
    struct way_packet **heap;
    size_t n, capacity;
};

#define WAY_QUEUE_BYTES (64u << 20)

void way_init(struct way *way, uint64_t seed);
void way_fini(struct way *way);

/* A packet (copied) comes in. */
void way_put(struct way *way, uint64_t now_us, const void *data, size_t len);
/* When the next packet arrives; UINT64_MAX: none is on its way. */
uint64_t way_next_us(const struct way *way);
/* Copies a packet that has arrived by now; its length, 0: none. size is at least what was put. */
size_t way_take(struct way *way, uint64_t now_us, void *data, size_t size);

/* Changes the rules by words such as "delay=100ms jitter=25ms loss=1% duplicate=0.5% rate=10mbit
 * reorder=yes"; what is not named stays. "clear" sets all back. False, with nothing changed and
 * *bad (static or inside words) naming the word, when one is not understood. Writes into words. */
bool way_rules_parse(struct way_rules *rules, char *words, const char **bad);

#endif
