/* What TABLE_MAP's FULL metadata tells about the tables of types-common.sql. */
#include <criterion/criterion.h>
#include <string.h>

#include "binlog/rows.h"
#include "binlog/table_map.h"
#include "sample.h"

static const struct lutra_column *column(const struct lutra_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (strcmp(table->columns[i].name, name) == 0) {
            return &table->columns[i];
        }
    }
    cr_assert_fail("%s has no column %s", table->name, name);
    return NULL;
}

static const struct lutra_table *table_of(const struct walk *walk, const char *name)
{
    const struct lutra_table *table = walk_table(walk, name);
    cr_assert_not_null(table, "no table %s", name);
    return table;
}

static const char *const files[] = {"mariadb1011-02-metafull", "mysql97-02-metafull"};

static void with_both(void (*check)(const struct walk *walk, bool mariadb))
{
    for (unsigned i = 0; i < 2; i++) {
        struct walk walk;
        walk_init(&walk);
        sample_walk(files[i], &walk);
        check(&walk, i == 0);
        walk_fini(&walk);
    }
}

static void check_integers(const struct walk *walk, bool mariadb)
{
    (void)mariadb;
    const struct lutra_table *t = table_of(walk, "t_int");
    static const char *const is_signed[] = {"id", "ti", "si", "mi", "ii", "bi", "bo", "y"};
    static const char *const is_unsigned[] = {"tu", "su", "mu", "iu", "bu"};
    for (size_t i = 0; i < sizeof(is_signed) / sizeof(is_signed[0]); i++) {
        cr_expect_eq(column(t, is_signed[i])->kind, LUTRA_KIND_INT, "%s", is_signed[i]);
        cr_expect_not(column(t, is_signed[i])->is_unsigned);
    }
    for (size_t i = 0; i < sizeof(is_unsigned) / sizeof(is_unsigned[0]); i++) {
        cr_expect_eq(column(t, is_unsigned[i])->kind, LUTRA_KIND_UINT, "%s", is_unsigned[i]);
        cr_expect(column(t, is_unsigned[i])->is_unsigned);
    }
    cr_expect_not(column(t, "id")->nullable);
    cr_expect(column(t, "ti")->nullable);
    cr_expect_eq(column(t, "id")->key_part, 1);
    cr_expect_eq(column(t, "ti")->key_part, 0);
    cr_expect_eq(column(t, "b1")->kind, LUTRA_KIND_NONE);
    cr_expect_str_eq(lutra_column_type_name(column(t, "b17")), "BIT");
}

Test(table_map, signs_nullability_and_names)
{
    with_both(check_integers);
}

static void check_numbers_and_times(const struct walk *walk, bool mariadb)
{
    (void)mariadb;
    const struct lutra_table *t = table_of(walk, "t_num");
    cr_expect_eq(column(t, "d3")->kind, LUTRA_KIND_DECIMAL);
    cr_expect_eq(column(t, "d3")->decimals, 30);
    cr_expect_eq(column(t, "d3")->meta, 65 << 8 | 30);
    cr_expect(column(t, "d5")->is_unsigned);
    cr_expect_not(column(t, "d4")->is_unsigned);
    t = table_of(walk, "t_time");
    cr_expect_eq(column(t, "t3")->kind, LUTRA_KIND_TIME);
    cr_expect_eq(column(t, "t3")->decimals, 3);
    cr_expect_eq(column(t, "dt4")->kind, LUTRA_KIND_DATETIME);
    cr_expect_eq(column(t, "dt4")->decimals, 4);
    cr_expect_eq(column(t, "ts6")->kind, LUTRA_KIND_TIMESTAMP);
    cr_expect_eq(column(t, "ts6")->decimals, 6);
    cr_expect_eq(column(t, "da")->kind, LUTRA_KIND_DATE);
    cr_expect_not(lutra_column_hides_decimals(column(t, "t3")));
}

Test(table_map, scales_and_fractional_digits)
{
    with_both(check_numbers_and_times);
}

static void check_strings(const struct walk *walk, bool mariadb)
{
    const unsigned utf8mb4 = mariadb ? 45 : 255;
    const struct lutra_table *t = table_of(walk, "t_str");
    static const struct {
        const char *name;
        enum lutra_kind kind;
        unsigned collation; /* 0: the server's default for utf8mb4 */
        unsigned type, meta;
    } expected[] = {
        {"c1", LUTRA_KIND_STRING, 0, LUTRA_TYPE_STRING, 4},
        {"c255", LUTRA_KIND_STRING, 0, LUTRA_TYPE_STRING, 1020},
        {"cl", LUTRA_KIND_STRING, 8, LUTRA_TYPE_STRING, 10},
        {"v63", LUTRA_KIND_STRING, 0, LUTRA_TYPE_VARCHAR, 252},
        {"v64", LUTRA_KIND_STRING, 0, LUTRA_TYPE_VARCHAR, 256},
        {"v1000", LUTRA_KIND_STRING, 8, LUTRA_TYPE_VARCHAR, 1000},
        {"vg", LUTRA_KIND_STRING, 28, LUTRA_TYPE_VARCHAR, 40},
        {"vu", LUTRA_KIND_STRING, 54, LUTRA_TYPE_VARCHAR, 80},
        {"bn", LUTRA_KIND_BINARY, 63, LUTRA_TYPE_STRING, 16},
        {"vb", LUTRA_KIND_BINARY, 63, LUTRA_TYPE_VARCHAR, 300},
        {"tt", LUTRA_KIND_STRING, 0, LUTRA_TYPE_BLOB, 1},
        {"lt", LUTRA_KIND_STRING, 0, LUTRA_TYPE_BLOB, 4},
        {"tb", LUTRA_KIND_BINARY, 63, LUTRA_TYPE_BLOB, 1},
        {"lb", LUTRA_KIND_BINARY, 63, LUTRA_TYPE_BLOB, 4},
        {"e", LUTRA_KIND_NONE, 0, LUTRA_TYPE_ENUM, 1},
        {"es", LUTRA_KIND_NONE, 8, LUTRA_TYPE_ENUM, 1},
        {"s", LUTRA_KIND_NONE, 0, LUTRA_TYPE_SET, 1},
        {"s9", LUTRA_KIND_NONE, 0, LUTRA_TYPE_SET, 2},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct lutra_column *c = column(t, expected[i].name);
        cr_expect_eq(c->kind, expected[i].kind, "%s", c->name);
        cr_expect_eq(c->collation, expected[i].collation ? expected[i].collation : utf8mb4, "%s",
                     c->name);
        cr_expect_eq(c->type, expected[i].type, "%s", c->name);
        cr_expect_eq(c->meta, expected[i].meta, "%s", c->name);
    }
}

Test(table_map, character_sets_and_lengths)
{
    with_both(check_strings);
}

static void check_keys(const struct walk *walk, bool mariadb)
{
    (void)mariadb;
    const struct lutra_table *t = table_of(walk, "t_cpk"); /* PRIMARY KEY (b, a) */
    cr_expect_eq(column(t, "a")->key_part, 2);
    cr_expect_eq(column(t, "b")->key_part, 1);
    cr_expect_eq(column(t, "c")->key_part, 0);
    t = table_of(walk, "t_pre"); /* PRIMARY KEY (a(10)) */
    cr_expect_eq(column(t, "a")->key_part, 1);
    t = table_of(walk, "t_nopk");
    cr_expect_eq(column(t, "a")->key_part, 0);
    t = table_of(walk, "we`ird na.me-表");
    cr_expect_str_eq(t->columns[0].name, "co`l 1");
    cr_expect_str_eq(t->columns[1].name, "列");
}

Test(table_map, primary_keys_and_odd_names)
{
    with_both(check_keys);
}

static void expect_refused(const struct lutra_table *table, const char *message)
{
    struct lutra_error err = {0};
    cr_expect_eq(lutra_table_check_types(table, &err), -1);
    cr_expect_eq(err.class, LUTRA_CONFIG);
    cr_expect_not_null(strstr(err.msg, message), "%s", err.msg);
}

static void check_refusals(const struct walk *walk, bool mariadb)
{
    struct lutra_error err = {0};
    expect_refused(table_of(walk, "t_int"), "s.t_int.b1: type BIT is not supported");
    expect_refused(table_of(walk, "t_num"), "s.t_num.f: type FLOAT");
    expect_refused(table_of(walk, "t_str"), "s.t_str.e: type ENUM");
    expect_refused(table_of(walk, "t_geo"), "s.t_geo.g: type GEOMETRY");
    cr_expect_eq(lutra_table_check_types(table_of(walk, "t_time"), &err), 0);
    if (mariadb) {
        expect_refused(table_of(walk, "t_comp"), "s.t_comp.vc: type VARCHAR COMPRESSED");
        cr_expect_eq(column(table_of(walk, "t_comp"), "bc")->collation, 63);
        cr_expect_eq(lutra_table_check_types(table_of(walk, "t_json"), &err), 0); /* LONGTEXT */
        cr_expect_eq(column(table_of(walk, "t_uuid"), "u")->kind, LUTRA_KIND_BINARY);
    } else {
        expect_refused(table_of(walk, "t_vec"), "s.t_vec.v: type VECTOR");
        expect_refused(table_of(walk, "t_json"), "s.t_json.j: type JSON");
    }
}

Test(table_map, unsupported_types_are_refused_by_name)
{
    with_both(check_refusals);
}
