#include <criterion/criterion.h>
#include <string.h>

#include "batches.h"
#include "db/mysql_conn.h"
#include "db/row_text.h"

Test(db_errors, numbers_have_the_class_that_says_what_to_do)
{
    static const unsigned retry[] = {3,    20,   1026, 1030, 1040, 1053, 1205,
                                     1213, 1290, 1927, 2002, 2003, 2006, 2013};
    static const unsigned data[] = {1062, 1048, 1264, 1292, 1366, 1406, 1451, 1452, 4025};
    static const unsigned config[] = {1044, 1045, 1049, 1142, 1146, 1153, 1227, 1698};
    for (size_t i = 0; i < sizeof(retry) / sizeof(retry[0]); i++) {
        cr_expect_eq(lutra_mysql_error_class(retry[i]), LUTRA_RETRY, "%u", retry[i]);
    }
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        cr_expect_eq(lutra_mysql_error_class(data[i]), LUTRA_DATA, "%u", data[i]);
        cr_expect_not(lutra_mysql_error_lost((int)data[i]));
    }
    for (size_t i = 0; i < sizeof(config) / sizeof(config[0]); i++) {
        cr_expect_eq(lutra_mysql_error_class(config[i]), LUTRA_CONFIG, "%u", config[i]);
    }
    cr_expect(lutra_mysql_error_lost(2013) && lutra_mysql_error_lost(1927));
    cr_expect_not(lutra_mysql_error_lost(1213));
    cr_expect_not(lutra_mysql_error_lost(0));
}

Test(db_errors, a_row_is_told_in_bounded_printable_text)
{
    struct lutra_value values[3] = {
        {.tag = LUTRA_VALUE_INT, .i64 = -5}, {.tag = LUTRA_VALUE_NULL}, {.tag = LUTRA_VALUE_BYTES}};
    uint8_t big[5000];
    struct lutra_buf text = {0};
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (uint8_t)i;
    }
    values[2].bytes.data = big;
    values[2].bytes.len = sizeof(big);
    struct batch *b = batch_new(12);
    batch_table(b, "shop", "t");
    batch_column(b, "id", LUTRA_KIND_INT, 1);
    batch_column(b, "n", LUTRA_KIND_STRING, 0);
    batch_column(b, "big", LUTRA_KIND_BINARY, 0);
    struct lutra_buf row = {0};
    lutra_values_put_int(&row, 1);
    batch_row(b, 0, UPDATE, &row);
    const Lutra__ChangeBatch *batch = batch_get(b);
    lutra_row_message(&text, batch, batch->groups[0], values, values, "no such row");
    const char *s = lutra_buf_cstr(&text);
    cr_expect(strstr(s, "UPDATE shop.t key (id=-5): no such row; process 12, transaction 0-1-1; "
                        "values: before (id=-5, n=NULL, big='\\x00\\x01") == s,
              "%s", s);
    cr_expect_lt(strlen(s), 1000);
    for (const char *p = s; *p; p++) {
        cr_expect(*p >= 32 && *p < 127);
    }
    lutra_buf_fini(&text);
    lutra_buf_fini(&row);
    batch_free(b);
}
