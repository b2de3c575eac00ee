#include <criterion/criterion.h>

#include "base/mem.h"
#include "model/table.h"

static struct lutra_table *sample(void)
{
    struct lutra_table *table = lutra_table_new("shop", "orders", 2);
    table->columns[0] = (struct lutra_column){.name = lutra_strdup("id"),
                                              .kind = LUTRA_KIND_UINT,
                                              .type = 8,
                                              .is_unsigned = true,
                                              .key_part = 1};
    table->columns[1] = (struct lutra_column){.name = lutra_strdup("price"),
                                              .kind = LUTRA_KIND_DECIMAL,
                                              .type = 246,
                                              .meta = 10 << 8 | 2,
                                              .nullable = true,
                                              .decimals = 2};
    return table;
}

Test(table, a_copy_is_equal_and_independent)
{
    struct lutra_table *a = sample(), *b = lutra_table_dup(a);
    cr_expect(lutra_table_equal(a, b));
    b->columns[1].decimals = 3;
    cr_expect_not(lutra_table_equal(a, b));
    b->columns[1].decimals = 2;
    cr_expect(lutra_table_equal(a, b));
    b->columns[0].name[0] = 'x';
    cr_expect_not(lutra_table_equal(a, b));
    cr_expect_str_eq(a->columns[0].name, "id");
    lutra_table_free(a);
    lutra_table_free(b);
    lutra_table_free(NULL);
}

Test(table, schema_and_column_count_count)
{
    struct lutra_table *a = lutra_table_new("s", "t", 0), *b = lutra_table_new("s", "t", 1),
                       *c = lutra_table_new("r", "t", 0);
    cr_expect_not(lutra_table_equal(a, b));
    cr_expect_not(lutra_table_equal(a, c));
    lutra_table_free(a);
    lutra_table_free(b);
    lutra_table_free(c);
}
