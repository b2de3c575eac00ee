#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_limit.h"

static char captured[1 << 16];

static int saved_fd, file_fd;

static void capture_begin(void)
{
    FILE *file = tmpfile();

    cr_assert_not_null(file);
    file_fd = fileno(file);
    saved_fd = dup(STDERR_FILENO);
    dup2(file_fd, STDERR_FILENO);
}

/* What was written since capture_begin,. */
static const char *capture_end(void)
{
    ssize_t n;

    dup2(saved_fd, STDERR_FILENO);
    n = pread(file_fd, captured, sizeof(captured) - 1, 0);
    cr_assert_geq(n, 0);
    captured[n] = '\0';
    return captured;
}

static const char *after_ts(const char *line)
{
    const char *level = strstr(line, "level");

    cr_assert_not_null(level);
    return level;
}

Test(log, logfmt_line_has_service_instance_event_and_fields)
{
    lutra_log_setup("load", "n1", LUTRA_LOG_INFO, 0);
    capture_begin();
    LUTRA_INFO("load.fence_made", LUTRA_F_STR("pipeline", "demo"), LUTRA_F_U64("fence", 7),
               LUTRA_F_I64("d", -3), LUTRA_F_F64("s", 0.5));
    cr_assert_str_eq(after_ts(capture_end()), "level=info service=load instance=n1 "
                                              "event=load.fence_made pipeline=demo fence=7 d=-3 "
                                              "s=0.5\n");
    cr_assert_eq(strncmp(captured, "ts=20", 5), 0);
}

Test(log, logfmt_quotes_and_escapes)
{
    lutra_log_setup("s", "", LUTRA_LOG_INFO, 0);
    capture_begin();
    LUTRA_WARN("e", LUTRA_F_STR("a", "x y"), LUTRA_F_STR("b", "k=v"), LUTRA_F_STR("c", "say \"q\""),
               LUTRA_F_STR("d", "one\ntwo\t\x01"), LUTRA_F_STR("e", ""), LUTRA_F_STR("f", NULL),
               LUTRA_F_STR("g", "\xc3\xbc"), LUTRA_F_STR("h", "\xff"), LUTRA_F_STR("i", "a\\b"));
    cr_assert_str_eq(after_ts(capture_end()),
                     "level=warn service=s event=e a=\"x y\" b=\"k=v\" c=\"say \\\"q\\\"\" "
                     "d=\"one\\ntwo\\t\\x01\" e=\"\" f=\"\" g=\xc3\xbc h=\"\\xff\" i=\"a\\\\b\"\n");
}

Test(log, row_values_are_left_out_above_debug)
{
    const char *message = "UPDATE a.b key (id=1): no such row; process 2" LUTRA_ERROR_VALUES
                          "before (id=1, card='4111')";
    lutra_log_setup("s", "", LUTRA_LOG_DEBUG, 0);
    capture_begin();
    LUTRA_ERROR("e", LUTRA_F_STR("error", message));
    cr_assert_not_null(strstr(capture_end(), "no such row; process 2; values: ***"));
    cr_assert_null(strstr(captured, "4111"));
    capture_begin();
    LUTRA_DEBUG("e", LUTRA_F_STR("error", message));
    cr_assert_not_null(strstr(capture_end(), "4111"));
}

Test(log, json_is_valid_json)
{
    lutra_log_setup("s", "i", LUTRA_LOG_DEBUG, 1);
    capture_begin();
    LUTRA_DEBUG("e", LUTRA_F_STR("a", "x\n\"\\\x02\xff\xc3\xbc"), LUTRA_F_U64("n", UINT64_MAX),
                LUTRA_F_F64("f", NAN));
    cr_assert_str_eq(after_ts(capture_end()),
                     "level\":\"debug\",\"service\":\"s\",\"instance\":\"i\",\"event\":\"e\","
                     "\"a\":\"x\\n\\\"\\\\\\u0002\\ufffd\xc3\xbc\",\"n\":18446744073709551615,"
                     "\"f\":null}\n");
    cr_assert_eq(strncmp(captured, "{\"ts\":\"20", 9), 0);
}

Test(log, lines_below_the_level_are_not_written)
{
    lutra_log_setup("s", "i", LUTRA_LOG_WARN, 0);
    capture_begin();
    LUTRA_INFO("e", LUTRA_F_U64("n", 1));
    cr_assert_str_eq(capture_end(), "");
}

Test(log, an_error_is_two_fields)
{
    struct lutra_error err = {0};

    lutra_error_set(&err, LUTRA_RETRY, 5, "lost it");
    lutra_log_setup("s", "", LUTRA_LOG_INFO, 0);
    capture_begin();
    LUTRA_ERROR("e", LUTRA_F_ERR(&err));
    cr_assert_str_eq(after_ts(capture_end()),
                     "level=error service=s event=e class=retry error=\"lost it\"\n");
}

Test(log, a_very_long_value_is_cut_and_says_so)
{
    static char big[20000];

    memset(big, 'z', sizeof(big) - 1);
    lutra_log_setup("s", "", LUTRA_LOG_INFO, 0);
    capture_begin();
    LUTRA_INFO("e", LUTRA_F_STR("v", big));
    cr_assert_lt(strlen(capture_end()), 8400);
    cr_assert_not_null(strstr(captured, "zzz cut=v\n"));
}

Test(log, levels_parse)
{
    enum lutra_log_level level = LUTRA_LOG_INFO;

    cr_assert_eq(lutra_log_level_parse("error", &level), 0);
    cr_assert_eq(level, LUTRA_LOG_ERROR);
    cr_assert_eq(lutra_log_level_parse("loud", &level), -1);
    cr_assert_eq(lutra_log_level_parse(NULL, &level), -1);
}

Test(log_limit, twenty_a_second_pass_and_the_rest_is_counted)
{
    static struct lutra_log_limit limit;
    uint64_t held = 0;
    unsigned passed = 0;

    for (unsigned i = 0; i < 50; i++) {
        passed += lutra_log_limit_pass(&limit, "a", 1000 + i);
    }
    cr_assert_eq(passed, 20);
    cr_assert(lutra_log_limit_pass(&limit, "b", 1050), "another event is not concerned");
    cr_assert_null(lutra_log_limit_take(&limit, 1999, false, &held));
    cr_assert_str_eq(lutra_log_limit_take(&limit, 2000, false, &held), "a");
    cr_assert_eq(held, 30);
    cr_assert_null(lutra_log_limit_take(&limit, 2000, false, &held), "told once");
    cr_assert(lutra_log_limit_pass(&limit, "a", 2000), "a new second");
    lutra_log_limit_fini(&limit);
}

Test(log_limit, a_full_table_limits_nothing_more)
{
    static struct lutra_log_limit limit;
    char name[16];

    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "e%u", i);
        cr_assert(lutra_log_limit_pass(&limit, name, 1));
    }
    for (unsigned i = 0; i < 50; i++) {
        cr_assert(lutra_log_limit_pass(&limit, "e1999", 1));
    }
    lutra_log_limit_fini(&limit);
}
