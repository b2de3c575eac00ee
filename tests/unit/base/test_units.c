#include <criterion/criterion.h>

#include "base/units.h"

Test(units, numbers)
{
    uint64_t v = 7;

    cr_assert_eq(lutra_units_parse_u64("18446744073709551615", &v), 0);
    cr_assert_eq(v, UINT64_MAX);
    v = 7;
    cr_assert_eq(lutra_units_parse_u64("18446744073709551616", &v), -1);
    cr_assert_eq(lutra_units_parse_u64("", &v), -1);
    cr_assert_eq(lutra_units_parse_u64("-1", &v), -1);
    cr_assert_eq(lutra_units_parse_u64("1x", &v), -1);
    cr_assert_eq(lutra_units_parse_u64(" 1", &v), -1);
    cr_assert_eq(v, 7, "untouched");
}

Test(units, sizes)
{
    uint64_t v = 7;

    cr_assert_eq(lutra_units_parse_size("64MiB", &v), 0);
    cr_assert_eq(v, 64u << 20);
    cr_assert_eq(lutra_units_parse_size("3 kB", &v), 0);
    cr_assert_eq(v, 3000);
    cr_assert_eq(lutra_units_parse_size("2GB", &v), 0);
    cr_assert_eq(v, 2000000000);
    cr_assert_eq(lutra_units_parse_size("12", &v), 0);
    cr_assert_eq(v, 12);
    cr_assert_eq(lutra_units_parse_size("12 ", &v), -1);
    cr_assert_eq(lutra_units_parse_size("1mb", &v), -1);
    cr_assert_eq(lutra_units_parse_size("99999999999GiB", &v), -1);
}

Test(units, durations)
{
    uint64_t v = 7;

    cr_assert_eq(lutra_units_parse_duration("500ms", &v), 0);
    cr_assert_eq(v, 500);
    cr_assert_eq(lutra_units_parse_duration("5 m", &v), 0);
    cr_assert_eq(v, 300000);
    cr_assert_eq(lutra_units_parse_duration("2d", &v), 0);
    cr_assert_eq(v, 172800000);
    cr_assert_eq(lutra_units_parse_duration("3000us", &v), 0);
    cr_assert_eq(v, 3);
    cr_assert_eq(lutra_units_parse_duration("0", &v), 0);
    cr_assert_eq(v, 0);
    cr_assert_eq(lutra_units_parse_duration("10", &v), -1, "of what?");
    cr_assert_eq(lutra_units_parse_duration("500us", &v), -1, "not whole ms");
}

Test(units, print_reads_back)
{
    const uint64_t values[] = {0,
                               1,
                               999,
                               1000,
                               1024,
                               60000,
                               90000,
                               3600000,
                               86400000,
                               64u << 20,
                               UINT64_MAX / 1000 / 1000};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct lutra_buf buf = {0};
        uint64_t v = 7;

        lutra_units_put_size(&buf, values[i]);
        cr_assert_eq(lutra_units_parse_size(lutra_buf_cstr(&buf), &v), 0);
        cr_assert_eq(v, values[i]);
        lutra_buf_clear(&buf);
        lutra_units_put_duration(&buf, values[i]);
        cr_assert_eq(lutra_units_parse_duration(lutra_buf_cstr(&buf), &v), 0);
        cr_assert_eq(v, values[i]);
        lutra_buf_fini(&buf);
    }
}
