/* A bump allocator: everything of a batch is freed at once. */
#ifndef LUTRA_BASE_ARENA_H
#define LUTRA_BASE_ARENA_H

#include <stddef.h>

struct lutra_arena;
struct ProtobufCAllocator;

struct lutra_arena *lutra_arena_new(size_t block_bytes); /* 0: 64 KiB */
void lutra_arena_free(struct lutra_arena *arena);
/* Forgets all allocations; keeps the first block for the next batch. */
void lutra_arena_reset(struct lutra_arena *arena);
void *lutra_arena_alloc(struct lutra_arena *arena,
                        size_t size_bytes); /* not zeroed, 16-byte aligned */
void *lutra_arena_calloc(struct lutra_arena *arena, size_t count, size_t size_bytes);
char *lutra_arena_strdup(struct lutra_arena *arena, const char *s);
void *lutra_arena_dup(struct lutra_arena *arena, const void *data, size_t len);
char *lutra_arena_printf(struct lutra_arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
size_t lutra_arena_used_bytes(const struct lutra_arena *arena);
/* For protobuf-c's unpack; `free` does nothing. Lives as long as the arena. */
struct ProtobufCAllocator *lutra_arena_protobuf(struct lutra_arena *arena);

#endif
