#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"

Test(error, set_fills_class_code_and_one_line)
{
    struct lutra_error err = {0};

    cr_assert_eq(lutra_error_set(&err, LUTRA_RETRY, 2006, "gone\naway %d\n", 7), -1);
    cr_assert_eq(err.class, LUTRA_RETRY);
    cr_assert_eq(err.code, 2006);
    cr_assert_str_eq(err.msg, "gone away 7");
    cr_assert_eq(lutra_error_set(NULL, LUTRA_DATA, 0, "x"), -1);
}

Test(error, wrap_prepends_and_keeps_class)
{
    struct lutra_error err = {0};

    lutra_error_set(&err, LUTRA_DATA, 1062, "duplicate");
    cr_assert_eq(lutra_error_wrap(&err, "load %s", "t"), -1);
    cr_assert_str_eq(err.msg, "load t: duplicate");
    cr_assert_eq(err.class, LUTRA_DATA);
    cr_assert_eq(err.code, 1062);
    lutra_error_clear(&err);
    cr_assert_eq(err.class, LUTRA_OK);
    cr_assert_str_eq(err.msg, "");
}

Test(error, its_own_message_may_be_an_argument)
{
    struct lutra_error err = {0};

    lutra_error_set(&err, LUTRA_DATA, 0, "inner");
    lutra_error_set(&err, LUTRA_FATAL, 0, "outer of %s", err.msg);
    cr_assert_str_eq(err.msg, "outer of inner");
}

Test(error, long_messages_are_cut_not_overrun)
{
    struct lutra_error err = {0};
    char big[5000];

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    lutra_error_set(&err, LUTRA_BUG, 0, "%s", big);
    cr_assert_eq(strlen(err.msg), sizeof(err.msg) - 1);
    lutra_error_wrap(&err, "ctx");
    cr_assert_eq(strlen(err.msg), sizeof(err.msg) - 1);
    cr_assert_eq(strncmp(err.msg, "ctx: xx", 7), 0);
    lutra_error_wrap(&err, "%s", big);
    cr_assert_eq(strlen(err.msg), sizeof(err.msg) - 1);
}

Test(mem, steal_hands_out_and_nulls)
{
    char *kept;
    {
        LUTRA_AUTO_FREE char *s = lutra_strdup("abc");
        kept = LUTRA_STEAL(s);
        cr_assert_null(s);
    }
    cr_assert_str_eq(kept, "abc");
    lutra_free(kept);
    cr_assert_null(lutra_strdup(NULL));
    kept = lutra_asprintf("%d-%s", 5, "x");
    cr_assert_str_eq(kept, "5-x");
    lutra_free(kept);
}

Test(clock, formats_utc_with_milliseconds)
{
    char buf[32];

    cr_assert_str_eq(lutra_clock_format_us(1700000000123999, buf), "2023-11-14T22:13:20.123Z");
    cr_assert_str_eq(lutra_clock_format_us(0, buf), "1970-01-01T00:00:00.000Z");
    cr_assert_str_eq(lutra_clock_format_us(-1000, buf), "1969-12-31T23:59:59.999Z");
    cr_assert_eq(strlen(lutra_clock_format_us(INT64_MAX, buf)), 24);
    cr_assert_eq(strlen(lutra_clock_format_us(INT64_MIN, buf)), 24);
}

Test(clock, monotonic_does_not_go_back)
{
    uint64_t a = lutra_clock_now_us(), b = lutra_clock_now_us();

    cr_assert_leq(a, b);
    cr_assert_gt(lutra_clock_wall_us(), 1600000000000000);
}
