#include <criterion/criterion.h>
#include <protobuf-c/protobuf-c.h>
#include <string.h>

#include "base/arena.h"

Test(arena, pieces_are_aligned_and_do_not_overlap)
{
    struct lutra_arena *arena = lutra_arena_new(256);
    unsigned char *pieces[200];

    for (size_t i = 0; i < 200; i++) {
        size_t size = i * 7 % 400; /* some larger than a block */

        pieces[i] = lutra_arena_alloc(arena, size);
        cr_assert_not_null(pieces[i]);
        cr_assert_eq((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, size);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < i * 7 % 400; k++) {
            cr_assert_eq(pieces[i][k], (unsigned char)i);
        }
    }
    lutra_arena_free(arena);
    lutra_arena_free(NULL);
}

Test(arena, reset_forgets_all_and_reuses_the_first_block)
{
    struct lutra_arena *arena = lutra_arena_new(0);
    void *first = lutra_arena_alloc(arena, 10);

    lutra_arena_alloc(arena, 1 << 20);
    cr_assert_geq(lutra_arena_used_bytes(arena), (1 << 20) + 10);
    lutra_arena_reset(arena);
    cr_assert_eq(lutra_arena_used_bytes(arena), 0);
    cr_assert_eq(lutra_arena_alloc(arena, 10), first);
    lutra_arena_free(arena);
}

Test(arena, a_large_piece_leaves_the_current_block_in_use)
{
    struct lutra_arena *arena = lutra_arena_new(1024);
    char *a = lutra_arena_alloc(arena, 16);

    lutra_arena_alloc(arena, 5000);
    cr_assert_eq((char *)lutra_arena_alloc(arena, 16), a + 16);
    lutra_arena_free(arena);
}

Test(arena, text_and_zeroes)
{
    struct lutra_arena *arena = lutra_arena_new(64);
    char *zeroes = lutra_arena_calloc(arena, 3, 100);

    for (size_t i = 0; i < 300; i++) {
        cr_assert_eq(zeroes[i], 0);
    }
    cr_assert_str_eq(lutra_arena_strdup(arena, "abc"), "abc");
    cr_assert_null(lutra_arena_strdup(arena, NULL));
    cr_assert_str_eq(lutra_arena_printf(arena, "%d/%s", 7, "x"), "7/x");
    cr_assert_not_null(lutra_arena_dup(arena, NULL, 0));
    lutra_arena_free(arena);
}

Test(arena, serves_protobuf_c)
{
    struct lutra_arena *arena = lutra_arena_new(64);
    ProtobufCAllocator *allocator = lutra_arena_protobuf(arena);
    char *p = allocator->alloc(allocator->allocator_data, 5);

    memcpy(p, "abcd", 5);
    allocator->free(allocator->allocator_data, p);
    cr_assert_str_eq(p, "abcd");
    cr_assert_geq(lutra_arena_used_bytes(arena), 5);
    lutra_arena_free(arena);
}
