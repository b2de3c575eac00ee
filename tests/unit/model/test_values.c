#include <criterion/criterion.h>
#include <string.h>

#include "model/values.h"

Test(values, every_kind_of_value_round_trips)
{
    struct lutra_buf row = {0};
    struct lutra_value v[9];
    struct lutra_error err = {0};
    lutra_values_put_null(&row);
    lutra_values_put_absent(&row);
    lutra_values_put_int(&row, INT64_MIN);
    lutra_values_put_int(&row, INT64_MAX);
    lutra_values_put_int(&row, -1);
    lutra_values_put_uint(&row, UINT64_MAX);
    lutra_values_put_uint(&row, 0);
    lutra_values_put_bytes(&row, "a\0b", 3);
    lutra_values_put_bytes(&row, NULL, 0);
    cr_assert_eq(lutra_values_unpack(row.data, row.len, v, 9, &err), 0, "%s", err.msg);
    cr_expect_eq(v[0].tag, LUTRA_VALUE_NULL);
    cr_expect_eq(v[1].tag, LUTRA_VALUE_ABSENT);
    cr_expect_eq(v[2].i64, INT64_MIN);
    cr_expect_eq(v[3].i64, INT64_MAX);
    cr_expect_eq(v[4].i64, -1);
    cr_expect_eq(v[5].tag, LUTRA_VALUE_UINT);
    cr_expect_eq(v[5].u64, UINT64_MAX);
    cr_expect_eq(v[6].u64, 0);
    cr_expect_eq(v[7].bytes.len, 3);
    cr_expect_eq(memcmp(v[7].bytes.data, "a\0b", 3), 0);
    cr_expect_eq(v[8].tag, LUTRA_VALUE_BYTES);
    cr_expect_eq(v[8].bytes.len, 0);

    /* Too few, too many, cut anywhere: an error of class DATA. */
    cr_expect_eq(lutra_values_unpack(row.data, row.len, v, 8, &err), -1);
    cr_expect_eq(err.class, LUTRA_DATA);
    for (size_t len = 0; len < row.len; len++) {
        cr_expect_eq(lutra_values_unpack(row.data, len, v, 9, &err), -1);
    }
    lutra_buf_fini(&row);
}

Test(values, unknown_tags_and_lying_lengths_are_refused)
{
    struct lutra_value v;
    cr_expect_eq(lutra_values_unpack("\x05", 1, &v, 1, NULL), -1);
    cr_expect_eq(
        lutra_values_unpack("\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 12, &v, 1, NULL), -1);
    cr_expect_eq(
        lutra_values_unpack("\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, &v, 1, NULL), -1);
}

/* Skipping stops exactly where reading does, and refuses what reading refuses. */
Test(values, skipping_agrees_with_reading)
{
    uint8_t bytes[16];
    uint64_t x = 88172645463325252;
    for (int round = 0; round < 200000; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            /* Small tags and lengths, and long varints, more often than chance would have it. */
            bytes[i] = x % 4 ? (uint8_t)(x >> 32 | (x % 3 ? 0x80 : 0)) : (uint8_t)(x >> 32) % 6;
        }
        size_t len = (size_t)round % (sizeof bytes + 1);
        struct lutra_cur a = lutra_cur_of(bytes, len), b = a;
        struct lutra_value v;
        bool read = lutra_values_next(&a, &v, NULL) == 0;
        cr_assert_eq(lutra_values_skip(&b), read);
        cr_assert(!read || a.p == b.p);
    }
}
