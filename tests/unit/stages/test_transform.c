#include <criterion/criterion.h>

#include <string.h>

#include "base/mem.h"
#include "model/values.h"
#include "stages/batches.h"
#include "transform/transform.h"

static struct lutra_channel *channel;
static struct lutra_pipeline pipeline;
static struct batch_maker *m;
static struct lutra_arena *arena;
static struct lutra_buf in, rows;
static struct lutra_stage_output out;
static struct lutra_error err;

static void use_pairs(const char *pairs)
{
    lutra_channel_free(channel);
    channel = batch_channel(pairs);
    pipeline =
        (struct lutra_pipeline){.id = "orders", .channel = channel, .def = &channel->pipelines[0]};
}

static void setup(void)
{
    use_pairs("[{source: {schema: shop, table: '*'}}]");
    m = batch_maker_new("orders", 3, 7);
    arena = lutra_arena_new(0);
}

static void teardown(void)
{
    lutra_channel_free(channel);
    batch_maker_free(m);
    lutra_arena_free(arena);
    lutra_buf_fini(&in);
    lutra_buf_fini(&rows);
    lutra_buf_fini(&out.payload);
}

TestSuite(transform, .init = setup, .fini = teardown);

static int run(void)
{
    struct lutra_envelope envelope = batch_envelope(m);
    batch_pack_change(m, &in);
    lutra_buf_clear(&out.payload);
    out.rows = 0;
    lutra_arena_reset(arena);
    return lutra_transform_work(&pipeline, &envelope, in.data, in.len, arena, &out, &err);
}

static const Lutra__ChangeBatch *transformed(void)
{
    cr_assert_eq(run(), 0, "%s", err.msg);
    const Lutra__ChangeBatch *batch =
        lutra_wire_change_batch(arena, out.payload.data, out.payload.len, &err);
    cr_assert_not_null(batch, "%s", err.msg);
    return batch;
}

static void refused(enum lutra_error_class class, const char *what)
{
    cr_assert_eq(run(), -1);
    cr_assert_eq(err.class, class);
    cr_assert_not_null(strstr(err.msg, what), "%s", err.msg);
}

/* Every tag, in the order of batch_orders' columns: id, qty, name, amount, made. */
static void put_image(struct lutra_buf *row, uint64_t id, const char *name)
{
    lutra_values_put_uint(row, id);
    lutra_values_put_int(row, -(int64_t)id * 1000003);
    if (name) {
        lutra_values_put_bytes(row, name, strlen(name));
    } else {
        lutra_values_put_null(row);
    }
    lutra_values_put_absent(row);
    lutra_values_put_bytes(row, "2024-02-29 12:34:56", 19);
}

static const char *column_names(const Lutra__Table *table)
{
    static char text[1024];
    text[0] = '\0';
    for (size_t i = 0; i < table->n_columns; i++) {
        strcat(strcat(text, i ? "," : ""), table->columns[i]->name);
    }
    return text;
}

Test(transform, a_batch_that_needs_no_change_is_passed_on_byte_for_byte)
{
    uint32_t table = batch_orders(m);
    put_image(&rows, 1, "a");
    batch_group(m, table, 0, LUTRA__ROW_GROUP__OP__DELETE, 1, &rows);
    (void)transformed();
    cr_assert_eq(out.payload.len, in.len);
    cr_assert_arr_eq(out.payload.data, in.data, in.len);
    cr_assert_eq(out.rows, 1);
}

Test(transform, tables_get_the_targets_names_by_the_first_pair_that_matches)
{
    use_pairs("[{source: {schema: shop, table: orders}, target: {schema: eu, table: bestellungen}},"
              " {source: {schema: shop, table: 'log_*'}, target: {schema: 'eu', table: 'l_*'}},"
              " {source: {schema: shop, table: '*'}}]");
    const struct batch_column columns[] = {{.name = "n", .kind = LUTRA_KIND_INT, .type = 3}};
    batch_orders(m);
    batch_table(m, "shop", "log_2024", columns, 1);
    batch_table(m, "shop", "plain", columns, 1);
    const Lutra__ChangeBatch *batch = transformed();
    cr_assert_str_eq(batch->tables[0]->schema, "eu");
    cr_assert_str_eq(batch->tables[0]->name, "bestellungen");
    cr_assert_str_eq(batch->tables[1]->name, "l_2024");
    cr_assert_str_eq(batch->tables[2]->schema, "shop");
    cr_assert_str_eq(batch->tables[2]->name, "plain");
}

Test(transform, renamed_columns_change_the_table_and_no_row)
{
    use_pairs("[{source: {schema: shop, table: '*'}, columns: {NAME: customer, qty: Quantity}}]");
    uint32_t table = batch_orders(m);
    put_image(&rows, 5, NULL);
    batch_group(m, table, 0, LUTRA__ROW_GROUP__OP__INSERT, 1, &rows);
    const Lutra__ChangeBatch *batch = transformed();
    cr_assert_str_eq(column_names(batch->tables[0]), "id,Quantity,customer,amount,made");
    cr_assert_eq(batch->groups[0]->rows.len, rows.len);
    cr_assert_arr_eq(batch->groups[0]->rows.data, rows.data, rows.len);
    cr_assert_eq(batch->tables[0]->columns[0]->key_part, 1);
}

Test(transform, names_may_be_exchanged)
{
    use_pairs("[{source: {schema: shop, table: '*'}, columns: {name: qty, qty: name}}]");
    batch_orders(m);
    cr_assert_str_eq(column_names(transformed()->tables[0]), "id,name,qty,amount,made");
}

/* For every set of excluded columns: what is left is what those columns had, in both images. */
Test(transform, excluded_columns_leave_the_table_and_every_image)
{
    static const char *const names[ORDERS_COLUMNS] = {"id", "qty", "name", "amount", "made"};
    uint32_t table = batch_orders(m);
    m->tables[0]->columns[0]->key_part = 0;
    for (uint64_t i = 0; i < 6; i++) {
        put_image(&rows, i * 127, i % 2 ? "with a value" : NULL);
    }
    batch_group(m, table, 0, LUTRA__ROW_GROUP__OP__UPDATE, 3, &rows);
    batch_group(m, table, 0, LUTRA__ROW_GROUP__OP__INSERT, 6, &rows);
    for (unsigned set = 0; set < (1u << ORDERS_COLUMNS) - 1; set++) {
        struct lutra_buf pairs = {0};
        lutra_buf_printf(&pairs, "[{source: {schema: shop, table: '*'}, exclude: [");
        const char *comma = "";
        for (unsigned c = 0; c < ORDERS_COLUMNS; c++) {
            if (set >> c & 1) {
                lutra_buf_printf(&pairs, "%s%s", comma, names[c]);
                comma = ", ";
            }
        }
        lutra_buf_printf(&pairs, "]}]");
        use_pairs(lutra_buf_cstr(&pairs));
        lutra_buf_fini(&pairs);
        const Lutra__ChangeBatch *batch = transformed();
        cr_assert_eq(batch->tables[0]->n_columns,
                     (size_t)(ORDERS_COLUMNS - __builtin_popcount(set)));
        for (size_t g = 0; g < 2; g++) {
            struct lutra_cur was = lutra_cur_of(rows.data, rows.len);
            struct lutra_cur is =
                lutra_cur_of(batch->groups[g]->rows.data, batch->groups[g]->rows.len);
            for (int image = 0; image < 6; image++) {
                for (unsigned c = 0; c < ORDERS_COLUMNS; c++) {
                    const uint8_t *value = was.p, *kept = is.p;
                    cr_assert(lutra_values_skip(&was));
                    if (set >> c & 1) {
                        continue;
                    }
                    cr_assert(lutra_values_skip(&is));
                    cr_assert_eq(is.p - kept, was.p - value);
                    cr_assert_eq(memcmp(kept, value, (size_t)(is.p - kept)), 0);
                }
            }
            cr_assert_eq(lutra_cur_left(&is), 0);
        }
    }
}

Test(transform, what_cannot_be_mapped_is_refused_by_name)
{
    batch_orders(m);
    use_pairs("[{source: {schema: shop, table: items}}]");
    refused(LUTRA_DATA, "shop.orders: no pair of pipeline orders matches");
    use_pairs("[{source: {schema: shop, table: '*'}, exclude: [ID]}]");
    refused(LUTRA_CONFIG, "shop.orders.id: a column of the primary key cannot be excluded");
    use_pairs("[{source: {schema: shop, table: '*'}, columns: {qty: Amount}}]");
    refused(LUTRA_CONFIG, "shop.orders: columns qty and amount would both be Amount");
    m->tables[0]->columns[0]->key_part = 0;
    use_pairs("[{source: {schema: shop, table: '*'}, exclude: [id, qty, name, amount, made]}]");
    refused(LUTRA_CONFIG, "shop.orders: every column is excluded");
    use_pairs("[{source: {schema: shop, table: 'o*'}, target: {schema: "
              "a_schema_name_of_exactly_sixty_bytes_that_is_as_long_as_it_is, table: "
              "a_table_name_of_about_sixty_bytes_that_is_as_long_as_it_can_be_*}}]");
    refused(LUTRA_CONFIG, "64 bytes");
    m->tables[0]->columns[1]->kind = LUTRA_KIND_NONE;
    use_pairs("[{source: {schema: shop, table: '*'}}]");
    refused(LUTRA_CONFIG, "shop.orders.qty: its type is not supported");
}

Test(transform, a_column_may_take_the_name_of_an_excluded_one)
{
    use_pairs("[{source: {schema: shop, table: '*'}, exclude: [qty], columns: {amount: qty}}]");
    batch_orders(m);
    cr_assert_str_eq(column_names(transformed()->tables[0]), "id,name,qty,made");
}

Test(transform, batches_without_rows_are_passed_on)
{
    static const Lutra__BatchHead__Kind kinds[] = {LUTRA__BATCH_HEAD__KIND__START,
                                                   LUTRA__BATCH_HEAD__KIND__IDLE,
                                                   LUTRA__BATCH_HEAD__KIND__ROWS};
    use_pairs("[{source: {schema: shop, table: '*'}, target: {schema: eu}}]");
    for (size_t i = 0; i < 3; i++) {
        m->head->kind = kinds[i];
        m->head->n_transactions = kinds[i] == LUTRA__BATCH_HEAD__KIND__ROWS;
        cr_assert_eq(transformed()->head->kind, kinds[i]);
        cr_assert_eq(out.rows, 0);
    }
}

Test(transform, rows_that_do_not_hold_what_they_say_are_refused)
{
    use_pairs("[{source: {schema: shop, table: '*'}, exclude: [qty]}]");
    uint32_t table = batch_orders(m);
    put_image(&rows, 1, "abcdef");
    batch_group(m, table, 0, LUTRA__ROW_GROUP__OP__INSERT, 1, &rows);
    m->groups[0]->rows.len--;
    refused(LUTRA_DATA, "shop.orders: malformed packed row");
    m->groups[0]->rows.len++;
    put_image(&rows, 2, "abcdef");
    batch_group(m, table, 0, LUTRA__ROW_GROUP__OP__INSERT, 1, &rows);
    refused(LUTRA_DATA, "more bytes than 1 packed rows");
}

Test(transform, a_large_batch_comes_out_whole_and_the_same_every_time)
{
    enum { N = 50000 };
    struct lutra_buf first = {0};
    uint32_t table = batch_orders(m);
    use_pairs("[{source: {schema: shop, table: '*'}, target: {schema: eu}, exclude: [made]}]");
    for (uint32_t i = 0; i < N; i++) {
        put_image(&rows, i, i % 2 ? "name" : NULL);
        put_image(&rows, i, "another name");
    }
    batch_group(m, table, 0, LUTRA__ROW_GROUP__OP__UPDATE, N, &rows);
    const Lutra__ChangeBatch *batch = transformed();
    cr_assert_eq(batch->groups[0]->n_rows, N);
    cr_assert_eq(batch->groups[0]->rows.len, rows.len - (size_t)2 * N * 21);
    cr_assert_eq(out.rows, N);
    lutra_buf_append(&first, out.payload.data, out.payload.len);
    cr_assert_eq(run(), 0);
    cr_assert_eq(first.len, out.payload.len);
    cr_assert_arr_eq(first.data, out.payload.data, first.len);
    lutra_buf_fini(&first);
}

Test(transform, survives_any_changed_byte)
{
    struct lutra_envelope envelope = batch_envelope(m);
    use_pairs("[{source: {schema: shop, table: '*'}, target: {schema: eu}, exclude: [qty]}]");
    uint32_t table = batch_orders(m);
    put_image(&rows, 1, "abcdef");
    put_image(&rows, 2, NULL);
    batch_group(m, table, 0, LUTRA__ROW_GROUP__OP__UPDATE, 1, &rows);
    batch_pack_change(m, &in);
    for (size_t i = 0; i < in.len; i++) {
        uint8_t was = in.data[i];
        for (unsigned flip = 1; flip < 256; flip += 3) {
            in.data[i] = was ^ (uint8_t)flip;
            lutra_buf_clear(&out.payload);
            lutra_arena_reset(arena);
            if (lutra_transform_work(&pipeline, &envelope, in.data, in.len, arena, &out, &err) ==
                0) {
                cr_assert_not_null(
                    lutra_wire_change_batch(arena, out.payload.data, out.payload.len, &err), "%s",
                    err.msg);
            }
        }
        in.data[i] = was;
    }
}
