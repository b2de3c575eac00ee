#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"

Test(buf, grows_prints_and_drops)
{
    struct lutra_buf buf = {0};
    char big[3000];

    memset(big, 'y', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    lutra_buf_append(&buf, NULL, 0);
    lutra_buf_append(&buf, "abc", 3);
    lutra_buf_printf(&buf, "-%d-%s", 42, big);
    cr_assert_eq(buf.len, 3 + 4 + 2999);
    lutra_buf_drop_front(&buf, 3);
    cr_assert_eq(strncmp(lutra_buf_cstr(&buf), "-42-yy", 6), 0);
    cr_assert_eq(strlen(lutra_buf_cstr(&buf)), buf.len);
    lutra_buf_clear(&buf);
    cr_assert_str_eq(lutra_buf_cstr(&buf), "");
    lutra_buf_fini(&buf);
    cr_assert_null(buf.data);
}

Test(buf, printf_fits_exactly_at_every_fill)
{
    for (size_t fill = 0; fill < 200; fill++) {
        struct lutra_buf buf = {0};

        for (size_t i = 0; i < fill; i++) {
            lutra_buf_put_u8(&buf, 'a');
        }
        lutra_buf_printf(&buf, "%s", "0123456789");
        cr_assert_eq(buf.len, fill + 10);
        cr_assert_eq(memcmp(buf.data + fill, "0123456789", 10), 0);
        lutra_buf_fini(&buf);
    }
}

Test(buf, integers_read_back)
{
    const uint64_t values[] = {0,         1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX - 1,
                               UINT64_MAX};
    struct lutra_buf buf = {0};
    struct lutra_cur cur;

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        lutra_buf_put_varint(&buf, values[i]);
        lutra_buf_put_le(&buf, values[i], 8);
    }
    cur = lutra_cur_of(buf.data, buf.len);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        cr_assert_eq(lutra_cur_varint(&cur), values[i]);
        cr_assert_eq(lutra_cur_le(&cur, 8), values[i]);
    }
    cr_assert_not(cur.bad);
    cr_assert_eq(lutra_cur_left(&cur), 0);
    lutra_buf_fini(&buf);
}

Test(cur, reads_both_byte_orders)
{
    struct lutra_cur cur = lutra_cur_of("\x01\x02\x03\x01\x02\x03", 6);

    cr_assert_eq(lutra_cur_le(&cur, 3), 0x030201);
    cr_assert_eq(lutra_cur_be(&cur, 3), 0x010203);
    cr_assert_not(cur.bad);
}

Test(cur, a_read_beyond_the_end_is_bad_and_stays_at_the_end)
{
    struct lutra_cur cur = lutra_cur_of("\x01\x02\x03", 3);

    cr_assert_null(lutra_cur_bytes(&cur, 4));
    cr_assert(cur.bad);
    cr_assert_eq(lutra_cur_left(&cur), 0);
    cr_assert_eq(lutra_cur_u8(&cur), 0);
    cr_assert_eq(lutra_cur_le(&cur, 4), 0);
    cr_assert_null(lutra_cur_bytes(&cur, SIZE_MAX));

    cur = lutra_cur_of(NULL, 0);
    cr_assert_not_null(lutra_cur_bytes(&cur, 0));
    cr_assert_not(cur.bad);
    cr_assert_eq(lutra_cur_u8(&cur), 0);
    cr_assert(cur.bad);
}

Test(cur, overlong_and_cut_varints_are_bad)
{
    struct lutra_cur cur = lutra_cur_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);

    cr_assert_eq(lutra_cur_varint(&cur), 0);
    cr_assert(cur.bad);
    cur = lutra_cur_of("\x80\x80", 2);
    cr_assert_eq(lutra_cur_varint(&cur), 0);
    cr_assert(cur.bad);
    cur = lutra_cur_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11);
    cr_assert_eq(lutra_cur_varint(&cur), 0);
    cr_assert(cur.bad);
}

Test(cur, length_encoded_integers)
{
    struct lutra_cur cur =
        lutra_cur_of("\xfa\xfc\x01\x02\xfd\x01\x02\x03\xfe\1\0\0\0\0\0\0\x80", 17);

    cr_assert_eq(lutra_cur_lenenc(&cur), 0xfa);
    cr_assert_eq(lutra_cur_lenenc(&cur), 0x0201);
    cr_assert_eq(lutra_cur_lenenc(&cur), 0x030201);
    cr_assert_eq(lutra_cur_lenenc(&cur), 0x8000000000000001);
    cr_assert_not(cur.bad);
    cur = lutra_cur_of("\xfb", 1);
    cr_assert_eq(lutra_cur_lenenc(&cur), 0);
    cr_assert(cur.bad);
    cur = lutra_cur_of("\xfe\x01", 2);
    cr_assert_eq(lutra_cur_lenenc(&cur), 0);
    cr_assert(cur.bad);
}
