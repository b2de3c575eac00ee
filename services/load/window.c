#include "load/window.h"

#include <string.h>

#include "base/mem.h"

static void window_clear(struct ldr_window *window)
{
    for (size_t i = 0; i < window->capacity; i++) {
        ldr_batch_unref(window->slots[i]);
        window->slots[i] = NULL;
    }
    window->count = 0;
}

void ldr_window_fini(struct ldr_window *window)
{
    window_clear(window);
    lutra_free(window->slots);
    *window = (struct ldr_window){0};
}

void ldr_window_reset(struct ldr_window *window, uint64_t next, size_t capacity)
{
    window_clear(window);
    if (capacity != window->capacity) {
        window->slots = lutra_realloc(window->slots, capacity * sizeof *window->slots);
        memset(window->slots, 0, capacity * sizeof *window->slots);
        window->capacity = capacity;
    }
    window->next = next;
}

enum ldr_window_put ldr_window_put(struct ldr_window *window, struct ldr_batch *batch)
{
    uint64_t id = batch->process_id;
    if (id < window->next) {
        return LDR_PUT_DUPLICATE;
    }
    if (id - window->next >= window->capacity) {
        return LDR_PUT_BEYOND;
    }
    struct ldr_batch **slot = &window->slots[id % window->capacity];
    if (*slot != NULL) {
        return LDR_PUT_DUPLICATE;
    }
    *slot = batch;
    window->count++;
    if (window->count > window->max_count) {
        window->max_count = window->count;
    }
    return LDR_PUT_TAKEN;
}

bool ldr_window_has_next(const struct ldr_window *window)
{
    return window->capacity > 0 && window->slots[window->next % window->capacity] != NULL;
}

struct ldr_batch *ldr_window_take(struct ldr_window *window)
{
    if (!ldr_window_has_next(window)) {
        return NULL;
    }
    struct ldr_batch **slot = &window->slots[window->next % window->capacity];
    window->next++;
    window->count--;
    return LUTRA_STEAL(*slot);
}

const struct ldr_batch *ldr_window_oldest(const struct ldr_window *window)
{
    for (size_t i = 0; i < window->capacity; i++) {
        const struct ldr_batch *batch = window->slots[(window->next + i) % window->capacity];
        if (batch != NULL) {
            return batch;
        }
    }
    return NULL;
}

void ldr_offsets_fini(struct ldr_offsets *offsets)
{
    lutra_free(offsets->ring);
    *offsets = (struct ldr_offsets){0};
}

static struct ldr_offset *offsets_at(const struct ldr_offsets *offsets, size_t i)
{
    return &offsets->ring[(offsets->head + i) % offsets->cap];
}

static void offsets_grow(struct ldr_offsets *offsets)
{
    size_t cap = offsets->cap > 0 ? offsets->cap * 2 : 64;
    struct ldr_offset *ring = lutra_alloc(cap * sizeof *ring);
    for (size_t i = 0; i < offsets->n; i++) {
        ring[i] = *offsets_at(offsets, i);
    }
    lutra_free(offsets->ring);
    offsets->ring = ring;
    offsets->cap = cap;
    offsets->head = 0;
}

void ldr_offsets_push(struct ldr_offsets *offsets, int64_t first, int64_t next, bool done)
{
    if (offsets->n > 0 && done) {
        /* A run of dropped messages is one entry: the queue stays as short as what is in hand. */
        struct ldr_offset *last = offsets_at(offsets, offsets->n - 1);
        if (last->done) {
            last->next = next;
            return;
        }
    }
    if (offsets->n == offsets->cap) {
        offsets_grow(offsets);
    }
    offsets->n++;
    *offsets_at(offsets, offsets->n - 1) = (struct ldr_offset){first, next, done};
}

void ldr_offsets_done(struct ldr_offsets *offsets, int64_t first)
{
    for (size_t i = 0; i < offsets->n; i++) {
        struct ldr_offset *entry = offsets_at(offsets, i);
        if (entry->first == first) {
            entry->done = true;
            return;
        }
    }
}

void ldr_offsets_all_done(struct ldr_offsets *offsets)
{
    for (size_t i = 0; i < offsets->n; i++) {
        offsets_at(offsets, i)->done = true;
    }
}

int64_t ldr_offsets_advance(struct ldr_offsets *offsets)
{
    int64_t next = -1;
    while (offsets->n > 0 && offsets_at(offsets, 0)->done) {
        next = offsets_at(offsets, 0)->next;
        offsets->head = (offsets->head + 1) % offsets->cap;
        offsets->n--;
    }
    return next;
}
