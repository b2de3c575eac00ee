#include "select/slicer_part.h"

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "model/wire.h"

enum { ROWS_OVERHEAD_BYTES = 24, GTID_TEXT_BYTES = 96 };

uint64_t lutra_part_rows_cost(size_t body_len)
{
    return (uint64_t)body_len + ROWS_OVERHEAD_BYTES;
}

static void *grow(void *items, size_t n, size_t *cap, size_t item_bytes)
{
    if (n < *cap) {
        return items;
    }
    while (*cap <= n) {
        *cap = *cap ? *cap * 2 : 16;
    }
    return lutra_realloc(items, *cap * item_bytes);
}

void lutra_part_add_rows(struct lutra_part *part,
                         struct lutra_slice_table *table,
                         uint32_t transaction,
                         uint8_t event_type,
                         const uint8_t *body,
                         size_t body_len,
                         uint32_t row_count)
{
    uint8_t *copy = lutra_alloc(body_len ? body_len : 1);
    memcpy(copy, body, body_len);
    part->rows = grow(part->rows, part->n_rows, &part->rows_cap, sizeof(*part->rows));
    part->rows[part->n_rows++] = (struct lutra_part_rows){.table = lutra_slice_table_ref(table),
                                                          .transaction = transaction,
                                                          .event_type = event_type,
                                                          .body = copy,
                                                          .body_len = body_len};
    part->row_count += row_count;
    part->bytes += lutra_part_rows_cost(body_len);
}

uint32_t lutra_part_add_transaction(struct lutra_part *part,
                                    const struct lutra_part_transaction *transaction)
{
    part->transactions = grow(part->transactions, part->n_transactions, &part->transactions_cap,
                              sizeof(*part->transactions));
    part->transactions[part->n_transactions] = *transaction;
    part->bytes += ROWS_OVERHEAD_BYTES;
    return (uint32_t)part->n_transactions++;
}

void lutra_part_join(struct lutra_part *to, struct lutra_part *from)
{
    uint32_t base = (uint32_t)to->n_transactions;
    for (size_t i = 0; i < from->n_transactions; i++) {
        lutra_part_add_transaction(to, &from->transactions[i]);
    }
    if (from->n_rows) {
        to->rows = grow(to->rows, to->n_rows + from->n_rows, &to->rows_cap, sizeof(*to->rows));
    }
    for (size_t i = 0; i < from->n_rows; i++) {
        to->rows[to->n_rows] = from->rows[i];
        to->rows[to->n_rows++].transaction += base;
        to->bytes += lutra_part_rows_cost(from->rows[i].body_len);
    }
    to->row_count += from->row_count;
    to->events_filtered += from->events_filtered;
    to->ddl_passed += from->ddl_passed;
    to->transactions_filtered += from->transactions_filtered;
    from->n_rows = 0; /* moved, not freed */
    lutra_part_clear(from);
}

void lutra_part_clear(struct lutra_part *part)
{
    for (size_t i = 0; i < part->n_rows; i++) {
        lutra_slice_table_unref(part->rows[i].table);
        lutra_free(part->rows[i].body);
    }
    part->n_rows = part->n_transactions = 0;
    part->row_count = part->bytes = 0;
    part->events_filtered = part->ddl_passed = part->transactions_filtered = 0;
}

void lutra_part_fini(struct lutra_part *part)
{
    lutra_part_clear(part);
    lutra_free(part->rows);
    lutra_free(part->transactions);
    *part = (struct lutra_part){0};
}

/* ---- packing ---- */

static void
pack_transactions(const struct lutra_part *part, Lutra__BatchHead *head, struct lutra_arena *arena)
{
    size_t n = part->n_transactions;
    Lutra__Transaction *items = lutra_arena_alloc(arena, n * sizeof(*items));
    head->transactions = lutra_arena_alloc(arena, n * sizeof(*head->transactions));
    head->files = lutra_arena_alloc(arena, n * sizeof(*head->files));
    head->n_transactions = n;
    for (size_t i = 0; i < n; i++) {
        const struct lutra_part_transaction *t = &part->transactions[i];
        Lutra__Transaction *out = head->transactions[i] = &items[i];
        lutra__transaction__init(out);
        if (t->has_gtid) {
            out->gtid = lutra_arena_alloc(arena, GTID_TEXT_BYTES);
            lutra_gtid_format(&t->gtid, out->gtid);
        }
        /* Transactions come file by file: the last one named is the one, or a new one. */
        if (head->n_files == 0 || strcmp(head->files[head->n_files - 1], t->file) != 0) {
            head->files[head->n_files++] = lutra_arena_strdup(arena, t->file);
        }
        out->file = (uint32_t)(head->n_files - 1);
        out->end_offset = t->end_offset;
        out->commit_us = t->commit_us;
    }
}

static void pack_rows(const struct lutra_part *part,
                      Lutra__RawBatch *raw,
                      uint64_t batch,
                      struct lutra_arena *arena)
{
    Lutra__RawRows *items = lutra_arena_alloc(arena, part->n_rows * sizeof(*items));
    raw->rows = lutra_arena_alloc(arena, part->n_rows * sizeof(*raw->rows));
    raw->tables = lutra_arena_alloc(arena, part->n_rows * sizeof(*raw->tables));
    raw->n_rows = part->n_rows;
    for (size_t i = 0; i < part->n_rows; i++) {
        const struct lutra_part_rows *rows = &part->rows[i];
        Lutra__RawRows *out = raw->rows[i] = &items[i];
        lutra__raw_rows__init(out);
        if (rows->table->batch != batch) {
            rows->table->batch = batch;
            rows->table->index = (uint32_t)raw->n_tables;
            raw->tables[raw->n_tables++] = lutra_wire_table_pack(arena, rows->table->table);
        }
        out->table = rows->table->index;
        out->transaction = rows->transaction;
        out->event_type = rows->event_type;
        out->body = (ProtobufCBinaryData){.len = rows->body_len, .data = rows->body};
    }
}

void lutra_part_pack(const struct lutra_part *part,
                     Lutra__BatchHead *head,
                     uint64_t batch,
                     struct lutra_buf *out)
{
    struct lutra_arena *arena = lutra_arena_new(0);
    Lutra__RawBatch raw = LUTRA__RAW_BATCH__INIT;
    size_t size;
    raw.head = head;
    head->rows_read = part->row_count;
    head->events_filtered = part->events_filtered;
    head->ddl_passed = part->ddl_passed;
    pack_transactions(part, head, arena);
    pack_rows(part, &raw, batch, arena);
    size = lutra__raw_batch__get_packed_size(&raw);
    lutra_buf_reserve(out, size);
    out->len += lutra__raw_batch__pack(&raw, out->data + out->len);
    lutra_arena_free(arena);
}
