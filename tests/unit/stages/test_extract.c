#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "extract/extract.h"
#include "model/values.h"
#include "stages/batches.h"

static struct lutra_channel *channel;
static struct lutra_pipeline pipeline;
static struct batch_maker *m;
static struct lutra_arena *arena;
static struct lutra_buf in, body;
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
    lutra_buf_fini(&body);
    lutra_buf_fini(&out.payload);
}

TestSuite(extract, .init = setup, .fini = teardown);

static int run(void)
{
    struct lutra_envelope envelope = batch_envelope(m);
    batch_pack_raw(m, &in);
    lutra_buf_clear(&out.payload);
    out.rows = 0;
    lutra_arena_reset(arena);
    return lutra_extract_work(&pipeline, &envelope, in.data, in.len, arena, &out, &err);
}

/* The output, checked as every reader checks it. */
static const Lutra__ChangeBatch *extracted(void)
{
    cr_assert_eq(run(), 0, "%s", err.msg);
    const Lutra__ChangeBatch *batch =
        lutra_wire_change_batch(arena, out.payload.data, out.payload.len, &err);
    cr_assert_not_null(batch, "%s", err.msg);
    return batch;
}

static void refused(const char *what)
{
    cr_assert_eq(run(), -1);
    cr_assert_eq(err.class, LUTRA_DATA);
    cr_assert_not_null(strstr(err.msg, what), "%s", err.msg);
}

/* "1:2:x:9.80:2024-02-29 12:34:56|..." of a group's images; NULL and ABSENT as such. */
static const char *text_of(const Lutra__RowGroup *group, size_t n_columns)
{
    static char text[4096];
    struct lutra_cur cur = lutra_cur_of(group->rows.data, group->rows.len);
    size_t n = 0;
    while (lutra_cur_left(&cur) > 0) {
        for (size_t i = 0; i < n_columns; i++) {
            struct lutra_value v;
            cr_assert_eq(lutra_values_next(&cur, &v, &err), 0, "%s", err.msg);
            const char *end = i + 1 < n_columns ? ":" : "|";
            size_t room = sizeof text - n;
            switch (v.tag) {
            case LUTRA_VALUE_NULL:
                n += (size_t)snprintf(text + n, room, "NULL%s", end);
                break;
            case LUTRA_VALUE_ABSENT:
                n += (size_t)snprintf(text + n, room, "ABSENT%s", end);
                break;
            case LUTRA_VALUE_INT:
                n += (size_t)snprintf(text + n, room, "%lld%s", (long long)v.i64, end);
                break;
            case LUTRA_VALUE_UINT:
                n += (size_t)snprintf(text + n, room, "%llu%s", (unsigned long long)v.u64, end);
                break;
            case LUTRA_VALUE_BYTES:
                n +=
                    (size_t)snprintf(text + n, room, "%.*s%s", (int)v.bytes.len, v.bytes.data, end);
                break;
            }
        }
    }
    text[n] = '\0';
    return text;
}

Test(extract, decodes_the_rows_of_every_operation)
{
    static const struct {
        uint8_t code;
        Lutra__RowGroup__Op op;
    } ops[] = {
        {23, LUTRA__ROW_GROUP__OP__INSERT}, {30, LUTRA__ROW_GROUP__OP__INSERT},
        {24, LUTRA__ROW_GROUP__OP__UPDATE}, {31, LUTRA__ROW_GROUP__OP__UPDATE},
        {25, LUTRA__ROW_GROUP__OP__DELETE}, {32, LUTRA__ROW_GROUP__OP__DELETE},
    };
    uint32_t table = batch_orders(m);
    for (size_t i = 0; i < 6; i++) {
        bool update = ops[i].op == LUTRA__ROW_GROUP__OP__UPDATE;
        orders_body(&body, update);
        orders_image(&body, 18446744073709551615u, -5, "otter", 980);
        if (update) {
            orders_image(&body, 4, 2147483647, NULL, -1);
        }
        m->n_raw = 0;
        batch_raw(m, table, 0, ops[i].code, &body);
        const Lutra__ChangeBatch *batch = extracted();
        cr_assert_eq(batch->n_groups, 1);
        cr_assert_eq(batch->groups[0]->op, ops[i].op);
        cr_assert_eq(batch->groups[0]->n_rows, 1);
        cr_assert_eq(out.rows, 1);
        cr_assert_str_eq(text_of(batch->groups[0], ORDERS_COLUMNS),
                         update ? "18446744073709551615:-5:otter:9.80:2024-02-29 12:34:56|"
                                  "4:2147483647:NULL:-0.01:2024-02-29 12:34:56|"
                                : "18446744073709551615:-5:otter:9.80:2024-02-29 12:34:56|");
    }
}

Test(extract, consecutive_rows_of_one_table_operation_and_transaction_are_one_group)
{
    uint32_t orders = batch_orders(m), other = batch_orders(m), second = batch_transaction(m);
    static const struct {
        int table, transaction;
        uint8_t code;
        size_t groups;
    } steps[] = {
        {0, 0, 30, 1}, {0, 0, 30, 1}, {0, 0, 23, 1}, {0, 0, 32, 2}, {0, 0, 30, 3},
        {1, 0, 30, 4}, {1, 1, 30, 5}, {1, 1, 30, 5}, {0, 1, 30, 6},
    };
    orders_body(&body, false);
    orders_image(&body, 1, 1, "a", 1);
    orders_image(&body, 2, 2, "b", 2);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        batch_raw(m, steps[i].table ? other : orders, steps[i].transaction ? second : 0,
                  steps[i].code, &body);
        const Lutra__ChangeBatch *batch = extracted();
        cr_assert_eq(batch->n_groups, steps[i].groups, "step %zu: %zu groups", i, batch->n_groups);
        cr_assert_eq(out.rows, 2 * (i + 1));
    }
    const Lutra__ChangeBatch *batch = extracted();
    cr_assert_eq(batch->groups[0]->n_rows, 6);
    cr_assert_eq(batch->groups[4]->transaction, second);
    cr_assert_eq(batch->groups[4]->n_rows, 4);
}

Test(extract, columns_that_the_image_lacks_are_absent)
{
    uint32_t table = batch_orders(m);
    /* UPDATE, MINIMAL: the key before, the changed column after. */
    const uint8_t minimal[] = {
        ORDERS_COLUMNS, 0x01, 0x02, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0};
    lutra_buf_append(&body, minimal, sizeof minimal);
    batch_raw(m, table, 0, 31, &body);
    cr_assert_str_eq(text_of(extracted()->groups[0], ORDERS_COLUMNS),
                     "9:ABSENT:ABSENT:ABSENT:ABSENT|ABSENT:7:ABSENT:ABSENT:ABSENT|");
}

Test(extract, a_table_without_key_and_head_and_tables_are_passed_on)
{
    const struct batch_column columns[] = {{.name = "n", .kind = LUTRA_KIND_INT, .type = 3}};
    uint32_t table = batch_table(m, "shop", "log", columns, 1);
    const uint8_t rows[] = {1, 1, 0, 42, 0, 0, 0, 1};
    lutra_buf_append(&body, rows, sizeof rows);
    batch_raw(m, table, 0, 30, &body);
    m->head->rows_read = 2;
    m->head->events_filtered = 5;
    m->head->ddl_passed = 6;
    const Lutra__ChangeBatch *batch = extracted();
    cr_assert_str_eq(text_of(batch->groups[0], 1), "42|NULL|");
    cr_assert_eq(batch->tables[0]->columns[0]->key_part, 0);
    size_t n = lutra__batch_head__get_packed_size(m->head);
    cr_assert_eq(n, lutra__batch_head__get_packed_size(batch->head));
    uint8_t *a = lutra_arena_alloc(arena, n), *b = lutra_arena_alloc(arena, n);
    (void)lutra__batch_head__pack(m->head, a);
    (void)lutra__batch_head__pack(batch->head, b);
    cr_assert_arr_eq(a, b, n);
}

Test(extract, batches_without_rows_are_passed_on)
{
    static const Lutra__BatchHead__Kind kinds[] = {LUTRA__BATCH_HEAD__KIND__START,
                                                   LUTRA__BATCH_HEAD__KIND__IDLE,
                                                   LUTRA__BATCH_HEAD__KIND__ROWS};
    for (size_t i = 0; i < 3; i++) {
        m->head->kind = kinds[i];
        m->head->n_transactions = kinds[i] == LUTRA__BATCH_HEAD__KIND__ROWS;
        const Lutra__ChangeBatch *batch = extracted();
        cr_assert_eq(batch->head->kind, kinds[i]);
        cr_assert_eq(batch->n_groups, 0);
        cr_assert_eq(out.rows, 0);
    }
    /* An event whose rows were none makes no group. */
    orders_body(&body, false);
    batch_raw(m, batch_orders(m), 0, 30, &body);
    cr_assert_eq(extracted()->n_groups, 0);
}

Test(extract, a_large_batch_comes_out_whole_and_the_same_every_time)
{
    enum { N = 40000 };
    uint32_t table = batch_orders(m);
    struct lutra_buf first = {0};
    orders_body(&body, true);
    for (uint32_t i = 0; i < N; i++) {
        orders_image(&body, i, (int32_t)i, "a name that is somewhat longer than most of them", i);
        orders_image(&body, i, -(int32_t)i, i % 3 ? "short" : NULL, -(int64_t)i);
    }
    batch_raw(m, table, 0, 31, &body);
    const Lutra__ChangeBatch *batch = extracted();
    cr_assert_eq(batch->n_groups, 1);
    cr_assert_eq(batch->groups[0]->n_rows, N);
    struct lutra_cur cur = lutra_cur_of(batch->groups[0]->rows.data, batch->groups[0]->rows.len);
    for (uint32_t i = 0; i < N; i++) {
        for (int image = 0; image < 2; image++) {
            struct lutra_value v[ORDERS_COLUMNS];
            for (size_t c = 0; c < ORDERS_COLUMNS; c++) {
                cr_assert_eq(lutra_values_next(&cur, &v[c], &err), 0);
            }
            cr_assert_eq(v[0].u64, i);
            cr_assert_eq(v[1].i64, image ? -(int64_t)i : (int64_t)i);
        }
    }
    cr_assert_eq(lutra_cur_left(&cur), 0);
    lutra_buf_append(&first, out.payload.data, out.payload.len);
    cr_assert_eq(run(), 0);
    cr_assert_eq(first.len, out.payload.len);
    cr_assert_arr_eq(first.data, out.payload.data, first.len);
    lutra_buf_fini(&first);
}

Test(extract, what_does_not_belong_together_is_refused)
{
    struct lutra_envelope envelope = batch_envelope(m);
    struct lutra_envelope other;
    batch_pack_raw(m, &in);
#define REFUSED(change)                                                                          \
    other = envelope;                                                                            \
    change;                                                                                      \
    err.class = LUTRA_OK;                                                                        \
    cr_assert_eq(lutra_extract_work(&pipeline, &other, in.data, in.len, arena, &out, &err), -1); \
    cr_assert_eq(err.class, LUTRA_DATA)
    REFUSED(other.epoch++);
    REFUSED(other.process_id++);
    REFUSED(other.config_version++);
    REFUSED(other.nonce[0] = 'f');
    REFUSED(pipeline.id = "other");
#undef REFUSED
    pipeline.id = "orders";
    cr_assert_eq(lutra_extract_work(&pipeline, &envelope, in.data, in.len - 1, arena, &out, &err),
                 -1);
}

Test(extract, malformed_rows_are_refused_with_their_table)
{
    uint32_t table = batch_orders(m);
    orders_body(&body, false);
    orders_image(&body, 1, 1, "a", 1);
    body.len--;
    batch_raw(m, table, 0, 30, &body);
    refused("shop.orders");
    m->n_raw = 0;
    body.data[0] = ORDERS_COLUMNS + 1;
    batch_raw(m, table, 0, 30, &body);
    refused("shop.orders");
}

Test(extract, values_of_an_unsupported_type_pass_only_where_their_column_is_excluded)
{
    const struct batch_column columns[] = {
        {.name = "id", .kind = LUTRA_KIND_INT, .type = 3, .key_part = 1},
        {.name = "state", .kind = LUTRA_KIND_NONE, .type = 247, .meta = 1},
    };
    const uint8_t rows[] = {2, 3, 0, 42, 0, 0, 0, 1};
    lutra_buf_append(&body, rows, sizeof rows);
    batch_raw(m, batch_table(m, "shop", "orders", columns, 2), 0, 30, &body);
    refused("shop.orders.state: type ENUM");
    use_pairs("[{source: {schema: shop, table: '*'}, exclude: [State]}]");
    cr_assert_str_eq(text_of(extracted()->groups[0], 2), "42:ABSENT|");
}

/* Bytes from the bus may be anything: whatever one byte becomes, the answer is an error or a batch
 * that the next stage reads. */
Test(extract, survives_any_changed_byte)
{
    uint32_t table = batch_orders(m);
    struct lutra_envelope envelope = batch_envelope(m);
    orders_body(&body, true);
    orders_image(&body, 1, 1, "a", 1);
    orders_image(&body, 1, 2, NULL, 2);
    batch_raw(m, table, 0, 31, &body);
    batch_pack_raw(m, &in);
    for (size_t i = 0; i < in.len; i++) {
        uint8_t was = in.data[i];
        for (unsigned flip = 1; flip < 256; flip += 3) {
            in.data[i] = was ^ (uint8_t)flip;
            lutra_buf_clear(&out.payload);
            lutra_arena_reset(arena);
            if (lutra_extract_work(&pipeline, &envelope, in.data, in.len, arena, &out, &err) == 0) {
                cr_assert_not_null(
                    lutra_wire_change_batch(arena, out.payload.data, out.payload.len, &err), "%s",
                    err.msg);
            }
        }
        in.data[i] = was;
    }
}
