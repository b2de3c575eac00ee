#include "base/error.h"
#include "base/mem.h"
#include "loop/loop_private.h"

static bool before(const struct lutra_item *a, const struct lutra_item *b)
{
    if (a->due_us != b->due_us) {
        return a->due_us < b->due_us;
    }
    return a->draw != b->draw ? a->draw < b->draw : a->seq < b->seq;
}

static void put(struct lutra_queue *queue, size_t i, struct lutra_item *item)
{
    queue->heap[i] = item;
    item->slot = i + 1;
}

static void sift_up(struct lutra_queue *queue, size_t i, struct lutra_item *item)
{
    while (i > 0 && before(item, queue->heap[(i - 1) / 2])) {
        put(queue, i, queue->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(queue, i, item);
}

static void sift_down(struct lutra_queue *queue, size_t i, struct lutra_item *item)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < queue->n && before(queue->heap[child + 1], queue->heap[child])) {
            child++;
        }
        if (child >= queue->n || !before(queue->heap[child], item)) {
            break;
        }
        put(queue, i, queue->heap[child]);
        i = child;
    }
    put(queue, i, item);
}

void lutra_queue_fini(struct lutra_queue *queue)
{
    for (size_t i = 0; i < queue->n; i++) {
        queue->heap[i]->slot = 0; /* its owner may still free it later */
    }
    lutra_free(queue->heap);
    *queue = (struct lutra_queue){0};
}

void lutra_queue_push(struct lutra_queue *queue, struct lutra_item *item)
{
    LUTRA_ASSERT(item->slot == 0);
    if (queue->n == queue->cap) {
        queue->cap = queue->cap ? queue->cap * 2 : 64;
        queue->heap = lutra_realloc(queue->heap, queue->cap * sizeof(struct lutra_item *));
    }
    item->seq = ++queue->seq;
    queue->n++;
    sift_up(queue, queue->n - 1, item);
}

void lutra_queue_remove(struct lutra_queue *queue, struct lutra_item *item)
{
    size_t i = item->slot;
    struct lutra_item *last;

    if (i-- == 0) {
        return;
    }
    LUTRA_ASSERT(i < queue->n && queue->heap[i] == item);
    item->slot = 0;
    last = queue->heap[--queue->n];
    if (last == item) {
        return;
    }
    if (i > 0 && before(last, queue->heap[(i - 1) / 2])) {
        sift_up(queue, i, last);
    } else {
        sift_down(queue, i, last);
    }
}

struct lutra_item *lutra_queue_first(const struct lutra_queue *queue)
{
    return queue->n ? queue->heap[0] : NULL;
}
