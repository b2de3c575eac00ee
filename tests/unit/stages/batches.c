#include "stages/batches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct batch_maker *batch_maker_new(const char *pipeline, uint64_t epoch, uint64_t process_id)
{
    struct batch_maker *m = LUTRA_NEW(struct batch_maker);
    m->arena = lutra_arena_new(0);
    m->head = lutra_arena_alloc(m->arena, sizeof *m->head);
    lutra__batch_head__init(m->head);
    m->head->pipeline = lutra_arena_strdup(m->arena, pipeline);
    m->head->epoch = epoch;
    m->head->nonce = lutra_arena_strdup(m->arena, BATCH_NONCE);
    m->head->process_id = process_id;
    m->head->config_version = 1;
    m->head->flavor = lutra_arena_strdup(m->arena, "mariadb");
    m->head->position_from =
        lutra_arena_printf(m->arena, "binlog.000001:%llu;", (unsigned long long)process_id * 1000);
    m->head->position_to = lutra_arena_printf(m->arena, "binlog.000001:%llu;",
                                              (unsigned long long)process_id * 1000 + 1000);
    m->head->source_identity = lutra_arena_strdup(m->arena, "mariadb:1:0:17");
    m->head->files = lutra_arena_alloc(m->arena, sizeof(char *));
    m->head->files[0] = lutra_arena_strdup(m->arena, "binlog.000001");
    m->head->n_files = 1;
    (void)batch_transaction(m);
    return m;
}

void batch_maker_free(struct batch_maker *m)
{
    lutra_arena_free(m->arena);
    lutra_free(m);
}

/* A larger array of pointers, one longer than n. */
static void *grown(struct batch_maker *m, void *old, size_t n)
{
    void **out;
    if (n > 0 && (n & (n - 1)) != 0) {
        return old;
    }
    out = lutra_arena_alloc(m->arena, (n ? 2 * n : 1) * sizeof *out);
    if (n > 0) {
        memcpy(out, old, n * sizeof *out);
    }
    return out;
}

uint32_t batch_transaction(struct batch_maker *m)
{
    Lutra__Transaction *t = lutra_arena_alloc(m->arena, sizeof *t);
    size_t n = m->head->n_transactions;
    lutra__transaction__init(t);
    t->gtid = lutra_arena_printf(m->arena, "0-1-%zu", n + 1);
    t->end_offset = 1000 + n;
    t->commit_us = 1700000000000000;
    m->head->transactions = grown(m, m->head->transactions, n);
    m->head->transactions[n] = t;
    m->head->n_transactions++;
    return (uint32_t)n;
}

uint32_t batch_table(struct batch_maker *m,
                     const char *schema,
                     const char *name,
                     const struct batch_column *columns,
                     size_t n)
{
    struct lutra_table *table = lutra_table_new(schema, name, n);
    for (size_t i = 0; i < n; i++) {
        table->columns[i] = (struct lutra_column){
            .name = lutra_strdup(columns[i].name),
            .kind = columns[i].kind,
            .type = columns[i].type,
            .meta = columns[i].meta,
            .is_unsigned = columns[i].kind == LUTRA_KIND_UINT,
            .nullable = columns[i].key_part == 0,
            .key_part = columns[i].key_part,
            .decimals = columns[i].decimals,
        };
    }
    m->tables = grown(m, m->tables, m->n_tables);
    m->tables[m->n_tables] = lutra_wire_table_pack(m->arena, table);
    lutra_table_free(table);
    return (uint32_t)m->n_tables++;
}

uint32_t batch_orders(struct batch_maker *m)
{
    static const struct batch_column columns[ORDERS_COLUMNS] = {
        {.name = "id", .kind = LUTRA_KIND_UINT, .type = 8, .key_part = 1},
        {.name = "qty", .kind = LUTRA_KIND_INT, .type = 3},
        {.name = "name", .kind = LUTRA_KIND_STRING, .type = 15, .meta = 320},
        {.name = "amount",
         .kind = LUTRA_KIND_DECIMAL,
         .type = 246,
         .meta = 10 << 8 | 2,
         .decimals = 2},
        {.name = "made", .kind = LUTRA_KIND_DATETIME, .type = 18},
    };
    return batch_table(m, "shop", "orders", columns, ORDERS_COLUMNS);
}

static void put_be(struct lutra_buf *buf, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0) {
        lutra_buf_put_u8(buf, (uint8_t)(v >> (8 * bytes)));
    }
}

void orders_body(struct lutra_buf *body, bool update)
{
    lutra_buf_clear(body);
    lutra_buf_put_u8(body, ORDERS_COLUMNS);
    lutra_buf_put_u8(body, 0x1f);
    if (update) {
        lutra_buf_put_u8(body, 0x1f);
    }
}

void orders_image(
    struct lutra_buf *body, uint64_t id, int32_t qty, const char *name, int64_t amount)
{
    uint64_t whole = (uint64_t)llabs(amount) / 100, cents = (uint64_t)llabs(amount) % 100;
    uint64_t digits = whole << 8 | cents;
    uint64_t packed = (amount < 0 ? ~digits : digits) ^ (uint64_t)1 << 39;
    uint64_t day = (uint64_t)(2024 * 13 + 2) << 5 | 29, second = 12u << 12 | 34u << 6 | 56u;
    lutra_buf_put_u8(body, name ? 0 : 0x04);
    lutra_buf_put_le(body, id, 8);
    lutra_buf_put_le(body, (uint32_t)qty, 4);
    if (name) {
        lutra_buf_put_le(body, strlen(name), 2);
        lutra_buf_append(body, name, strlen(name));
    }
    put_be(body, packed & 0xffffffffff, 5);
    put_be(body, (uint64_t)1 << 39 | day << 17 | second, 5);
}

void batch_raw(struct batch_maker *m,
               uint32_t table,
               uint32_t transaction,
               uint8_t code,
               const struct lutra_buf *body)
{
    Lutra__RawRows *rows = lutra_arena_alloc(m->arena, sizeof *rows);
    lutra__raw_rows__init(rows);
    rows->table = table;
    rows->transaction = transaction;
    rows->event_type = code;
    rows->body.len = body->len;
    rows->body.data = lutra_arena_dup(m->arena, body->data, body->len);
    m->raw = grown(m, m->raw, m->n_raw);
    m->raw[m->n_raw++] = rows;
}

void batch_group(struct batch_maker *m,
                 uint32_t table,
                 uint32_t transaction,
                 Lutra__RowGroup__Op op,
                 uint32_t n_rows,
                 const struct lutra_buf *rows)
{
    Lutra__RowGroup *group = lutra_arena_alloc(m->arena, sizeof *group);
    lutra__row_group__init(group);
    group->table = table;
    group->transaction = transaction;
    group->op = op;
    group->n_rows = n_rows;
    group->rows.len = rows->len;
    group->rows.data = lutra_arena_dup(m->arena, rows->data, rows->len);
    m->groups = grown(m, m->groups, m->n_groups);
    m->groups[m->n_groups++] = group;
}

void batch_fill(struct batch_maker *m, uint32_t events)
{
    struct lutra_buf body = {0};
    uint32_t table = batch_orders(m), transaction = 0;
    char name[64];
    for (uint32_t i = 0; i < events; i++) {
        static const uint8_t codes[] = {30, 31, 32, 30};
        uint64_t x = (m->head->process_id * 1000003 + i) * 0x9e3779b97f4a7c15u;
        bool update = i % 4 == 1;
        if (i > 0 && i % 3 == 0) {
            transaction = batch_transaction(m);
        }
        (void)snprintf(name, sizeof name, "%016llx%016llx", (unsigned long long)x,
                       (unsigned long long)(x * x));
        orders_body(&body, update);
        orders_image(&body, x, (int32_t)i, name, (int64_t)i);
        if (update) {
            orders_image(&body, x, -(int32_t)i, NULL, (int64_t)i);
        }
        batch_raw(m, table, transaction, codes[i % 4], &body);
    }
    lutra_buf_fini(&body);
}

void batch_pack_raw(struct batch_maker *m, struct lutra_buf *out)
{
    Lutra__RawBatch batch = LUTRA__RAW_BATCH__INIT;
    batch.head = m->head;
    batch.n_tables = m->n_tables;
    batch.tables = m->tables;
    batch.n_rows = m->n_raw;
    batch.rows = m->raw;
    lutra_buf_clear(out);
    lutra_buf_reserve(out, lutra__raw_batch__get_packed_size(&batch));
    out->len = lutra__raw_batch__pack(&batch, out->data);
}

void batch_pack_change(struct batch_maker *m, struct lutra_buf *out)
{
    Lutra__ChangeBatch batch = LUTRA__CHANGE_BATCH__INIT;
    batch.head = m->head;
    batch.n_tables = m->n_tables;
    batch.tables = m->tables;
    batch.n_groups = m->n_groups;
    batch.groups = m->groups;
    lutra_buf_clear(out);
    lutra_buf_reserve(out, lutra__change_batch__get_packed_size(&batch));
    out->len = lutra__change_batch__pack(&batch, out->data);
}

struct lutra_envelope batch_envelope(const struct batch_maker *m)
{
    struct lutra_envelope envelope = {
        .epoch = m->head->epoch,
        .nonce = BATCH_NONCE,
        .process_id = m->head->process_id,
        .config_version = m->head->config_version,
    };
    return envelope;
}

struct lutra_channel *batch_channel(const char *pairs)
{
    return batch_channel_named("orders", pairs);
}

struct lutra_channel *batch_channel_named(const char *name, const char *pairs)
{
    struct lutra_error err;
    LUTRA_AUTO_FREE char *text =
        lutra_asprintf("channel: %s\n"
                       "sources:\n"
                       "  a: {type: mariadb, host: 127.0.0.1, port: 3306, user: lutra}\n"
                       "  b: {type: mariadb, host: 127.0.0.1, port: 3307, user: lutra}\n"
                       "pipelines:\n"
                       "  - name: %s\n"
                       "    source: a\n"
                       "    target: b\n"
                       "    pairs: %s\n",
                       name, name, pairs);
    struct lutra_channel *channel = lutra_channel_parse(text, strlen(text), "test", &err);
    if (!channel) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return channel;
}
