#include "batches.h"

#include <string.h>

#include "base/mem.h"

struct batch {
    struct lutra_arena *arena;
    Lutra__ChangeBatch *message;
    struct lutra_buf *rows; /* of each group */
    size_t n_tables, n_groups, n_transactions;
};

struct batch *batch_new(uint64_t process_id)
{
    struct batch *batch = LUTRA_NEW(struct batch);
    batch->arena = lutra_arena_new(0);
    batch->message = lutra_arena_calloc(batch->arena, 1, sizeof(*batch->message));
    lutra__change_batch__init(batch->message);
    batch->message->head = lutra_arena_calloc(batch->arena, 1, sizeof(*batch->message->head));
    lutra__batch_head__init(batch->message->head);
    batch->message->head->process_id = process_id;
    return batch;
}

void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->n_groups; i++) {
        lutra_buf_fini(&batch->rows[i]);
    }
    lutra_free(batch->rows);
    lutra_arena_free(batch->arena);
    lutra_free(batch);
}

const Lutra__ChangeBatch *batch_get(struct batch *batch)
{
    for (size_t i = 0; i < batch->n_groups; i++) {
        batch->message->groups[i]->rows =
            (ProtobufCBinaryData){.len = batch->rows[i].len, .data = batch->rows[i].data};
    }
    return batch->message;
}

/* A pointer array of n + 1 entries with the old ones in it. */
static void *grown(struct batch *batch, const void *old, size_t n)
{
    void **array = lutra_arena_calloc(batch->arena, n + 1, sizeof(void *));
    if (n) {
        memcpy(array, old, n * sizeof(void *));
    }
    return array;
}

uint32_t batch_table(struct batch *batch, const char *schema, const char *name)
{
    Lutra__Table *table = lutra_arena_calloc(batch->arena, 1, sizeof(*table));
    lutra__table__init(table);
    table->schema = lutra_arena_strdup(batch->arena, schema);
    table->name = lutra_arena_strdup(batch->arena, name);
    batch->message->tables = grown(batch, batch->message->tables, batch->n_tables);
    batch->message->tables[batch->n_tables++] = table;
    batch->message->n_tables = batch->n_tables;
    return (uint32_t)(batch->n_tables - 1);
}

Lutra__Column *
batch_column(struct batch *batch, const char *name, enum lutra_kind kind, uint32_t key_part)
{
    Lutra__Table *table = batch->message->tables[batch->n_tables - 1];
    Lutra__Column *column = lutra_arena_calloc(batch->arena, 1, sizeof(*column));
    lutra__column__init(column);
    column->name = lutra_arena_strdup(batch->arena, name);
    column->kind = kind;
    column->key_part = key_part;
    column->nullable = key_part == 0;
    column->is_unsigned = kind == LUTRA_KIND_UINT;
    table->columns = grown(batch, table->columns, table->n_columns);
    table->columns[table->n_columns++] = column;
    return column;
}

void batch_transaction(struct batch *batch, const char *gtid)
{
    Lutra__BatchHead *head = batch->message->head;
    Lutra__Transaction *transaction = lutra_arena_calloc(batch->arena, 1, sizeof(*transaction));
    lutra__transaction__init(transaction);
    transaction->gtid = lutra_arena_strdup(batch->arena, gtid);
    head->transactions = grown(batch, head->transactions, batch->n_transactions);
    head->transactions[batch->n_transactions++] = transaction;
    head->n_transactions = batch->n_transactions;
}

void batch_row(struct batch *batch, uint32_t table, Lutra__RowGroup__Op op, struct lutra_buf *row)
{
    Lutra__ChangeBatch *message = batch->message;
    if (batch->n_transactions == 0) {
        batch_transaction(batch, "0-1-1");
    }
    uint32_t transaction = (uint32_t)batch->n_transactions - 1;
    Lutra__RowGroup *group = batch->n_groups ? message->groups[batch->n_groups - 1] : NULL;
    if (!group || group->table != table || group->op != op || group->transaction != transaction) {
        group = lutra_arena_calloc(batch->arena, 1, sizeof(*group));
        lutra__row_group__init(group);
        group->table = table;
        group->op = op;
        group->transaction = transaction;
        message->groups = grown(batch, message->groups, batch->n_groups);
        batch->rows = lutra_realloc(batch->rows, (batch->n_groups + 1) * sizeof(struct lutra_buf));
        batch->rows[batch->n_groups] = (struct lutra_buf){0};
        message->groups[batch->n_groups++] = group;
        message->n_groups = batch->n_groups;
    }
    group->n_rows++;
    lutra_buf_append(&batch->rows[batch->n_groups - 1], row->data, row->len);
    lutra_buf_clear(row);
}
