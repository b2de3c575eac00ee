#include <criterion/criterion.h>
#include <string.h>

#include "base/mem.h"
#include "model/position.h"

static struct lutra_position at(const char *text)
{
    struct lutra_position pos;
    struct lutra_error err = {0};
    cr_assert_eq(lutra_position_parse(LUTRA_FLAVOR_MARIADB, text, &pos, &err), 0, "%s: %s", text,
                 err.msg);
    return pos;
}

Test(position, text_round_trips)
{
    static const char *const texts[] = {"", "binlog.000003:1234;0-1-140,5-77-9", "binlog.000003:4;",
                                        ";0-1-140", "a:b.1:18446744073709551615;"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct lutra_position pos = at(texts[i]), copy = {0};
        lutra_position_copy(&copy, &pos);
        char *text = lutra_position_text(&copy);
        cr_expect_str_eq(text, texts[i]);
        cr_expect_eq(lutra_position_is_none(&copy), texts[i][0] == '\0');
        lutra_free(text);
        lutra_position_fini(&copy);
        lutra_position_fini(&pos);
    }
}

Test(position, malformed_texts_are_refused)
{
    static const char *const texts[] = {";",
                                        "binlog.000003:1234",
                                        "binlog.000003;",
                                        "binlog.000003:;",
                                        ":4;",
                                        "binlog.1:x;",
                                        "binlog.1:4 ;",
                                        "bin log.1:4;",
                                        "binlog.1:18446744073709551616;",
                                        "binlog.1:4;nonsense"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct lutra_position pos;
        struct lutra_error err = {0};
        cr_expect_eq(lutra_position_parse(LUTRA_FLAVOR_MARIADB, texts[i], &pos, &err), -1,
                     "\"%s\" was accepted", texts[i]);
        cr_expect_eq(err.class, LUTRA_CONFIG);
        cr_expect(lutra_position_is_none(&pos));
    }
    char longest[200];
    struct lutra_position pos;
    memset(longest, 'x', sizeof(longest));
    strcpy(longest + 128, ":4;");
    cr_expect_eq(lutra_position_parse(LUTRA_FLAVOR_MARIADB, longest, &pos, NULL), -1);
    strcpy(longest + 127, ":4;");
    cr_expect_eq(lutra_position_parse(LUTRA_FLAVOR_MARIADB, longest, &pos, NULL), 0);
}

Test(position, copy_over_a_position_frees_and_replaces_it)
{
    struct lutra_position a = at("b.1:4;0-1-1"), b = at("b.2:8;0-1-2");
    lutra_position_copy(&a, &b);
    lutra_position_copy(&a, &a);
    cr_expect_eq(lutra_position_cmp(&a, &b), 0);
    cr_expect(lutra_gtid_set_equal(a.gtids, b.gtids));
    cr_expect_neq(a.gtids, b.gtids);
    lutra_position_fini(&a);
    lutra_position_fini(&b);
}

Test(position, order_is_by_file_number_then_offset)
{
    static const char *const ascending[] = {"",
                                            "binlog.000009:900;",
                                            "binlog.000010:4;",
                                            "binlog.000010:5;",
                                            "binlog.999999:1;",
                                            "binlog.1000000:1;",
                                            "mysql-bin.000001:4;"};
    size_t n = sizeof(ascending) / sizeof(ascending[0]);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            struct lutra_position a = at(ascending[i]), b = at(ascending[k]);
            int order = lutra_position_cmp(&a, &b);
            cr_expect_eq((order > 0) - (order < 0), (i > k) - (i < k), "%s against %s",
                         ascending[i], ascending[k]);
        }
    }
    struct lutra_position only_gtid = at(";0-1-1"), first = at("b.1:4;");
    cr_expect_lt(lutra_position_cmp(&only_gtid, &first), 0);
    lutra_position_fini(&only_gtid);
}
