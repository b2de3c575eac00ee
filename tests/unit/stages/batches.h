/* Batches for tests and the bench of the parallel stages: tables as TABLE_MAP tells them, rows as a
 * server writes them. */
#ifndef LUTRA_TESTS_STAGES_BATCHES_H
#define LUTRA_TESTS_STAGES_BATCHES_H

#include "base/arena.h"
#include "base/buf.h"
#include "bus/pipe.h"
#include "model/channel.h"
#include "model/wire.h"

/* A RawBatch or ChangeBatch in the making; everything lies in the arena. */
struct batch_maker {
    struct lutra_arena *arena;
    Lutra__BatchHead *head;
    size_t n_tables, n_raw, n_groups, cap;
    Lutra__Table **tables;
    Lutra__RawRows **raw;
    Lutra__RowGroup **groups;
};

struct batch_column {
    const char *name;
    enum lutra_kind kind;
    uint8_t type;
    uint16_t meta;
    uint16_t key_part;
    uint16_t decimals;
};

#define BATCH_NONCE "00c0ffee00c0ffee"

/* One transaction stands in the head already. */
struct batch_maker *batch_maker_new(const char *pipeline, uint64_t epoch, uint64_t process_id);
void batch_maker_free(struct batch_maker *m);
uint32_t batch_transaction(struct batch_maker *m);
uint32_t batch_table(struct batch_maker *m,
                     const char *schema,
                     const char *name,
                     const struct batch_column *columns,
                     size_t n);
/* shop.orders (id BIGINT UNSIGNED key, qty INT, name VARCHAR(80), amount DECIMAL(10,2), made
 * DATETIME). */
uint32_t batch_orders(struct batch_maker *m);
enum { ORDERS_COLUMNS = 5 };

/* The body of a rows event on shop.orders: begin, then rows (UPDATE: two images for each row). */
void orders_body(struct lutra_buf *body, bool update);
/* name NULL: NULL. amount in cents. */
void orders_image(
    struct lutra_buf *body, uint64_t id, int32_t qty, const char *name, int64_t amount);

void batch_raw(struct batch_maker *m,
               uint32_t table,
               uint32_t transaction,
               uint8_t code,
               const struct lutra_buf *body);
void batch_group(struct batch_maker *m,
                 uint32_t table,
                 uint32_t transaction,
                 Lutra__RowGroup__Op op,
                 uint32_t n_rows,
                 const struct lutra_buf *rows);
/* A table shop.orders and this many row events of every operation, some transactions. About 60
 * bytes a row image, of which zstd leaves half. Always the same for one processId. */
void batch_fill(struct batch_maker *m, uint32_t events);
void batch_pack_raw(struct batch_maker *m, struct lutra_buf *out);
void batch_pack_change(struct batch_maker *m, struct lutra_buf *out);
/* The headers that belong to it. */
struct lutra_envelope batch_envelope(const struct batch_maker *m);

/* A channel `name` with one pipeline of the same name from the text of its `pairs:`, JSON or flow
 * YAML. */
struct lutra_channel *batch_channel_named(const char *name, const char *pairs);
struct lutra_channel *batch_channel(const char *pairs); /* "orders" */

#endif
