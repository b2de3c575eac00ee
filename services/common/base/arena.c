#include "base/arena.h"

#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { DEFAULT_BLOCK_BYTES = 64 * 1024, ALIGNMENT = 16 };

struct block {
    struct block *next;
    size_t cap, used;
    _Alignas(ALIGNMENT) uint8_t data[];
};

/* `blocks` is the newest; `first` is the oldest and survives a reset. A request that is larger than
 * a block gets one of its own behind the newest, so that the newest block's rest is not wasted. */
struct lutra_arena {
    struct block *blocks, *first;
    size_t block_bytes, used_bytes;
    ProtobufCAllocator protobuf;
};

static struct block *block_new(size_t cap)
{
    struct block *block = NULL;

    LUTRA_ASSERT(cap <= SIZE_MAX - sizeof(*block));
    /* Not zeroed on purpose: blocks are large and callers ask for calloc where they need zeroes. */
    block = lutra_realloc(NULL, sizeof(*block) + cap);
    block->next = NULL;
    block->cap = cap;
    block->used = 0;
    return block;
}

static void *protobuf_alloc(void *data, size_t size_bytes)
{
    return lutra_arena_alloc(data, size_bytes);
}

static void protobuf_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

struct lutra_arena *lutra_arena_new(size_t block_bytes)
{
    struct lutra_arena *arena = LUTRA_NEW(struct lutra_arena);

    arena->block_bytes = block_bytes ? block_bytes : DEFAULT_BLOCK_BYTES;
    arena->first = arena->blocks = block_new(arena->block_bytes);
    arena->protobuf = (ProtobufCAllocator){
        .alloc = protobuf_alloc, .free = protobuf_free, .allocator_data = arena};
    return arena;
}

void lutra_arena_free(struct lutra_arena *arena)
{
    if (!arena) {
        return;
    }
    lutra_arena_reset(arena);
    lutra_free(arena->first);
    lutra_free(arena);
}

void lutra_arena_reset(struct lutra_arena *arena)
{
    struct block *block = arena->blocks;

    while (block) {
        struct block *next = block->next;

        if (block != arena->first) {
            lutra_free(block);
        }
        block = next;
    }
    arena->first->next = NULL;
    arena->first->used = 0;
    arena->blocks = arena->first;
    arena->used_bytes = 0;
}

void *lutra_arena_alloc(struct lutra_arena *arena, size_t size_bytes)
{
    struct block *block = arena->blocks;
    size_t size;
    void *p;

    LUTRA_ASSERT(size_bytes <= SIZE_MAX / 2);
    size = (size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size == 0) {
        size = ALIGNMENT; /* a pointer of its own, never NULL */
    }
    if (size > block->cap - block->used) {
        struct block *fresh = block_new(size > arena->block_bytes ? size : arena->block_bytes);

        if (size > arena->block_bytes) {
            fresh->next = block->next;
            block->next = fresh;
        } else {
            fresh->next = block;
            arena->blocks = fresh;
        }
        block = fresh;
    }
    p = block->data + block->used;
    block->used += size;
    arena->used_bytes += size;
    return p;
}

void *lutra_arena_calloc(struct lutra_arena *arena, size_t count, size_t size_bytes)
{
    void *p;

    LUTRA_ASSERT(size_bytes == 0 || count <= SIZE_MAX / size_bytes);
    p = lutra_arena_alloc(arena, count * size_bytes);
    memset(p, 0, count * size_bytes);
    return p;
}

char *lutra_arena_strdup(struct lutra_arena *arena, const char *s)
{
    return s ? lutra_arena_dup(arena, s, strlen(s) + 1) : NULL;
}

void *lutra_arena_dup(struct lutra_arena *arena, const void *data, size_t len)
{
    void *p = lutra_arena_alloc(arena, len);

    if (len > 0) {
        memcpy(p, data, len);
    }
    return p;
}

char *lutra_arena_printf(struct lutra_arena *arena, const char *fmt, ...)
{
    va_list ap;
    char *s;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    LUTRA_ASSERT(n >= 0);
    s = lutra_arena_alloc(arena, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

size_t lutra_arena_used_bytes(const struct lutra_arena *arena)
{
    return arena->used_bytes;
}

struct ProtobufCAllocator *lutra_arena_protobuf(struct lutra_arena *arena)
{
    return &arena->protobuf;
}
