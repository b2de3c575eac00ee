#include "way.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct way_packet {
    uint64_t due_us, sequence;
    size_t len;
    unsigned char data[];
};

void way_init(struct way *way, uint64_t seed)
{
    *way = (struct way){.random = seed * 0x9E3779B97F4A7C15u + 0x2545F4914F6CDD1Du};
}

void way_fini(struct way *way)
{
    for (size_t i = 0; i < way->n; i++) {
        free(way->heap[i]);
    }
    free(way->heap);
    *way = (struct way){0};
}

/* splitmix64, as a number from 0 up to, not including, 1. */
static double draw(struct way *way)
{
    uint64_t z = way->random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 11) / 9007199254740992.0;
}

/* ---- the heap: earliest first, equal ones as they came ---- */

static bool before(const struct way_packet *a, const struct way_packet *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->sequence < b->sequence;
}

static void swap(struct way_packet **a, struct way_packet **b)
{
    struct way_packet *t = *a;
    *a = *b;
    *b = t;
}

static void heap_push(struct way *way, struct way_packet *packet)
{
    if (way->n == way->capacity) {
        way->capacity = way->capacity ? way->capacity * 2 : 256;
        way->heap = realloc(way->heap, way->capacity * sizeof(*way->heap));
        if (!way->heap) {
            abort();
        }
    }
    size_t i = way->n++;
    way->heap[i] = packet;
    while (i > 0 && before(way->heap[i], way->heap[(i - 1) / 2])) {
        swap(&way->heap[i], &way->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static struct way_packet *heap_pop(struct way *way)
{
    struct way_packet *first = way->heap[0];
    way->heap[0] = way->heap[--way->n];
    for (size_t i = 0;;) {
        size_t least = i, left = 2 * i + 1, right = left + 1;
        if (left < way->n && before(way->heap[left], way->heap[least])) {
            least = left;
        }
        if (right < way->n && before(way->heap[right], way->heap[least])) {
            least = right;
        }
        if (least == i) {
            return first;
        }
        swap(&way->heap[i], &way->heap[least]);
        i = least;
    }
}

/* ---- packets ---- */

/* The wire sends one packet after the other; the delay comes after that. */
static uint64_t arrival(struct way *way, uint64_t now_us, size_t len)
{
    const struct way_rules *rules = &way->rules;
    uint64_t sent_us = now_us;
    if (rules->rate_bps > 0) {
        sent_us = (way->free_us > now_us ? way->free_us : now_us) +
                  (uint64_t)len * 8 * 1000000 / rules->rate_bps;
        way->free_us = sent_us;
    }
    double swing = (2 * draw(way) - 1) * (double)rules->jitter_us;
    double delay = (double)rules->delay_us + swing;
    uint64_t due_us = sent_us + (delay > 0 ? (uint64_t)delay : 0);
    if (!rules->reorder && due_us < way->last_us) {
        due_us = way->last_us;
    }
    if (due_us > way->last_us) {
        way->last_us = due_us;
    }
    return due_us;
}

static void queue(struct way *way, uint64_t now_us, const void *data, size_t len)
{
    if (way->queued_bytes + len > WAY_QUEUE_BYTES) {
        way->counts.overflowed++;
        return;
    }
    struct way_packet *packet = malloc(sizeof(*packet) + len);
    if (!packet) {
        abort();
    }
    packet->due_us = arrival(way, now_us, len);
    packet->sequence = way->sequence++;
    packet->len = len;
    memcpy(packet->data, data, len);
    way->queued_bytes += len;
    heap_push(way, packet);
}

void way_put(struct way *way, uint64_t now_us, const void *data, size_t len)
{
    way->counts.packets++;
    way->counts.bytes += len;
    if (draw(way) < way->rules.loss) {
        way->counts.lost++;
        return;
    }
    queue(way, now_us, data, len);
    if (draw(way) < way->rules.duplicate) {
        way->counts.duplicated++;
        queue(way, now_us, data, len);
    }
}

uint64_t way_next_us(const struct way *way)
{
    return way->n > 0 ? way->heap[0]->due_us : UINT64_MAX;
}

size_t way_take(struct way *way, uint64_t now_us, void *data, size_t size)
{
    if (way_next_us(way) > now_us) {
        return 0;
    }
    struct way_packet *packet = heap_pop(way);
    size_t len = packet->len < size ? packet->len : size;
    memcpy(data, packet->data, len);
    way->queued_bytes -= packet->len;
    way->counts.delivered_packets++;
    way->counts.delivered_bytes += len;
    free(packet);
    return len;
}

/* ---- rules as text ---- */

struct unit {
    const char *name;
    double factor;
};
static const struct unit times[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {NULL, 0}};
static const struct unit shares[] = {{"%", 0.01}, {"", 1}, {NULL, 0}};
static const struct unit rates[] = {
    {"mbit", 1e6}, {"kbit", 1e3}, {"gbit", 1e9}, {"", 1}, {NULL, 0}};

static bool measure(const char *text, const struct unit *units, double max, double *out)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || !(number >= 0)) {
        return false;
    }
    for (; units->name; units++) {
        if (strcmp(end, units->name) == 0) {
            *out = number * units->factor;
            return *out <= max;
        }
    }
    /* Nothing is nothing in any unit. */
    *out = 0;
    return *end == '\0' && number == 0;
}

static bool parse_word(struct way_rules *rules, const char *name, const char *value)
{
    double number = 0;
    if (strcmp(name, "delay") == 0 && measure(value, times, 60e6, &number)) {
        rules->delay_us = (uint64_t)number;
    } else if (strcmp(name, "jitter") == 0 && measure(value, times, 60e6, &number)) {
        rules->jitter_us = (uint64_t)number;
    } else if (strcmp(name, "loss") == 0 && measure(value, shares, 1, &number)) {
        rules->loss = number;
    } else if (strcmp(name, "duplicate") == 0 && measure(value, shares, 1, &number)) {
        rules->duplicate = number;
    } else if (strcmp(name, "rate") == 0 && measure(value, rates, 1e12, &number)) {
        rules->rate_bps = (uint64_t)number;
    } else if (strcmp(name, "reorder") == 0 &&
               (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)) {
        rules->reorder = value[0] == 'y';
    } else {
        return false;
    }
    return true;
}

bool way_rules_parse(struct way_rules *rules, char *words, const char **bad)
{
    struct way_rules fresh = *rules;
    char *save = NULL;
    for (char *word = strtok_r(words, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
        char *value = strchr(word, '=');
        if (strcmp(word, "clear") == 0) {
            fresh = (struct way_rules){0};
            continue;
        }
        *bad = word;
        if (!value) {
            return false;
        }
        *value = '\0';
        bool known = parse_word(&fresh, word, value + 1);
        *value = '=';
        if (!known) {
            return false;
        }
    }
    *rules = fresh;
    return true;
}
