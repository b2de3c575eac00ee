#include "model/wire.h"

#include <inttypes.h>
#include <string.h>

#include "model/channel.h"
#include "model/position.h"

enum {
    MAX_COLUMNS = 4096,     /* MySQL's own limit */
    MAX_NAME_BYTES = 64 * 4 /* 64 characters of a schema, table or column name */
};

static int bad(struct lutra_error *err, const char *what)
{
    return lutra_error_set(err, LUTRA_DATA, 0, "malformed batch: %s", what);
}

static bool name_ok(const char *name)
{
    return name && name[0] && strnlen(name, MAX_NAME_BYTES + 1) <= MAX_NAME_BYTES;
}

static bool nonce_ok(const char *nonce)
{
    return nonce && strnlen(nonce, 17) == 16 && strspn(nonce, "0123456789abcdef") == 16;
}

static int check_size(size_t len, struct lutra_error *err)
{
    return len <= LUTRA_WIRE_MAX_BYTES
               ? 0
               : lutra_error_set(err, LUTRA_DATA, 0, "malformed batch: %zu bytes, at most %u", len,
                                 LUTRA_WIRE_MAX_BYTES);
}

static int check_position(enum lutra_flavor flavor,
                          const char *text,
                          const char *what,
                          struct lutra_error *err)
{
    struct lutra_position pos;
    struct lutra_error why;
    if (!text || lutra_position_parse(flavor, text, &pos, &why)) {
        return lutra_error_set(err, LUTRA_DATA, 0, "malformed batch: %s: %s", what,
                               text ? why.msg : "missing");
    }
    lutra_position_fini(&pos);
    return 0;
}

static int check_transactions(const Lutra__BatchHead *head, struct lutra_error *err)
{
    for (size_t i = 0; i < head->n_files; i++) {
        size_t n = head->files[i] ? strnlen(head->files[i], 128) : 0;
        if (n == 0 || n >= sizeof(((struct lutra_position *)0)->file)) {
            return bad(err, "name of a binlog file");
        }
    }
    for (size_t i = 0; i < head->n_transactions; i++) {
        const Lutra__Transaction *t = head->transactions[i];
        if (t->file >= head->n_files) {
            return bad(err, "file index of a transaction");
        }
        if ((t->end_offset == 0) != (head->unfinished != 0)) {
            return bad(err, "end of a transaction");
        }
        if (!t->gtid || strnlen(t->gtid, 256) > 255) {
            return bad(err, "GTID of a transaction");
        }
    }
    if ((head->continues || head->unfinished) && head->n_transactions != 1) {
        return bad(err, "a piece of a transaction holds exactly that one");
    }
    if (head->kind != LUTRA__BATCH_HEAD__KIND__ROWS && head->n_transactions != 0) {
        return bad(err, "START and IDLE hold no transactions");
    }
    return 0;
}

static int check_head(const Lutra__BatchHead *head, struct lutra_error *err)
{
    enum lutra_flavor flavor;
    if (!head) {
        return bad(err, "no head");
    }
    if (!head->pipeline || !lutra_name_valid(head->pipeline)) {
        return bad(err, "pipeline name");
    }
    if (head->epoch == 0 || head->process_id == 0 || !nonce_ok(head->nonce)) {
        return bad(err, "epoch, nonce or processId");
    }
    switch (head->kind) {
    case LUTRA__BATCH_HEAD__KIND__ROWS:
    case LUTRA__BATCH_HEAD__KIND__START:
    case LUTRA__BATCH_HEAD__KIND__IDLE:
        break;
    case _LUTRA__BATCH_HEAD__KIND_IS_INT_SIZE:
    default:
        return bad(err, "unknown kind");
    }
    if (head->flavor && strcmp(head->flavor, "mariadb") == 0) {
        flavor = LUTRA_FLAVOR_MARIADB;
    } else if (head->flavor && strcmp(head->flavor, "mysql") == 0) {
        flavor = LUTRA_FLAVOR_MYSQL;
    } else {
        return bad(err, "unknown flavor");
    }
    if (!head->source_identity || strnlen(head->source_identity, 256) > 255) {
        return bad(err, "source identity");
    }
    if (check_position(flavor, head->position_from, "position_from", err) ||
        check_position(flavor, head->position_to, "position_to", err)) {
        return -1;
    }
    if (head->unfinished && strcmp(head->position_from, head->position_to) != 0) {
        return bad(err, "an unfinished transaction moves the position");
    }
    return check_transactions(head, err);
}

static int check_tables(size_t n, Lutra__Table *const *tables, struct lutra_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const Lutra__Table *t = tables[i];
        if (!name_ok(t->schema) || !name_ok(t->name)) {
            return bad(err, "name of a table");
        }
        if (t->n_columns == 0 || t->n_columns > MAX_COLUMNS) {
            return bad(err, "number of columns");
        }
        size_t n_key = 0, last_key_part = 0;
        for (size_t j = 0; j < t->n_columns; j++) {
            const Lutra__Column *c = t->columns[j];
            n_key += c->key_part > 0;
            last_key_part = c->key_part > last_key_part ? c->key_part : last_key_part;
            if (!name_ok(c->name)) {
                return bad(err, "name of a column");
            }
            if (c->kind > LUTRA_KIND_BINARY || c->type > UINT8_MAX || c->meta > UINT16_MAX ||
                c->decimals > UINT16_MAX || c->collation > UINT16_MAX) {
                return bad(err, "definition of a column");
            }
        }
        if (last_key_part > n_key) {
            return bad(err, "parts of a primary key");
        }
    }
    return 0;
}

/* Rows stand in the order of their transactions, each of which is one of the head's. */
static int check_rows_place(const Lutra__BatchHead *head,
                            size_t n_tables,
                            uint32_t table,
                            uint32_t transaction,
                            uint32_t *last_transaction,
                            struct lutra_error *err)
{
    if (table >= n_tables) {
        return bad(err, "table index of rows");
    }
    if (transaction >= head->n_transactions || transaction < *last_transaction) {
        return bad(err, "transaction index of rows");
    }
    *last_transaction = transaction;
    return 0;
}

Lutra__RawBatch *lutra_wire_raw_batch(struct lutra_arena *arena,
                                      const void *data,
                                      size_t len,
                                      struct lutra_error *err)
{
    Lutra__RawBatch *batch;
    uint32_t last = 0;
    if (check_size(len, err)) {
        return NULL;
    }
    batch = lutra__raw_batch__unpack(lutra_arena_protobuf(arena), len, data);
    if (!batch) {
        (void)bad(err, "not a protobuf RawBatch");
        return NULL;
    }
    if (check_head(batch->head, err) || check_tables(batch->n_tables, batch->tables, err)) {
        return NULL;
    }
    for (size_t i = 0; i < batch->n_rows; i++) {
        const Lutra__RawRows *rows = batch->rows[i];
        if (check_rows_place(batch->head, batch->n_tables, rows->table, rows->transaction, &last,
                             err)) {
            return NULL;
        }
        if (!((rows->event_type >= 23 && rows->event_type <= 25) ||
              (rows->event_type >= 30 && rows->event_type <= 32))) {
            (void)bad(err, "type of a rows event");
            return NULL;
        }
        if (rows->body.len == 0) {
            (void)bad(err, "empty rows event");
            return NULL;
        }
    }
    return batch;
}

static int check_group(const Lutra__RowGroup *group, size_t n_columns, struct lutra_error *err)
{
    uint64_t images;
    switch (group->op) {
    case LUTRA__ROW_GROUP__OP__INSERT:
    case LUTRA__ROW_GROUP__OP__DELETE:
        images = 1;
        break;
    case LUTRA__ROW_GROUP__OP__UPDATE:
        images = 2;
        break;
    case _LUTRA__ROW_GROUP__OP_IS_INT_SIZE:
    default:
        return bad(err, "unknown operation");
    }
    /* A packed value takes at least one byte: a count that the bytes cannot hold is refused here,
     * before anybody allocates for it. */
    if (group->n_rows == 0 || (uint64_t)group->n_rows * images * n_columns > group->rows.len) {
        return bad(err, "number of rows");
    }
    return 0;
}

Lutra__ChangeBatch *lutra_wire_change_batch(struct lutra_arena *arena,
                                            const void *data,
                                            size_t len,
                                            struct lutra_error *err)
{
    Lutra__ChangeBatch *batch;
    uint32_t last = 0;
    if (check_size(len, err)) {
        return NULL;
    }
    batch = lutra__change_batch__unpack(lutra_arena_protobuf(arena), len, data);
    if (!batch) {
        (void)bad(err, "not a protobuf ChangeBatch");
        return NULL;
    }
    if (check_head(batch->head, err) || check_tables(batch->n_tables, batch->tables, err)) {
        return NULL;
    }
    for (size_t i = 0; i < batch->n_groups; i++) {
        const Lutra__RowGroup *group = batch->groups[i];
        if (check_rows_place(batch->head, batch->n_tables, group->table, group->transaction, &last,
                             err) ||
            check_group(group, batch->tables[group->table]->n_columns, err)) {
            return NULL;
        }
    }
    return batch;
}

Lutra__Termin *
lutra_wire_termin(struct lutra_arena *arena, const void *data, size_t len, struct lutra_error *err)
{
    Lutra__Termin *termin;
    if (check_size(len, err)) {
        return NULL;
    }
    termin = lutra__termin__unpack(lutra_arena_protobuf(arena), len, data);
    if (!termin) {
        (void)bad(err, "not a protobuf Termin");
        return NULL;
    }
    if (!termin->pipeline || !lutra_name_valid(termin->pipeline) || termin->epoch == 0 ||
        !nonce_ok(termin->nonce) || !termin->position) {
        (void)bad(err, "termin: pipeline, epoch or nonce");
        return NULL;
    }
    if (termin->applied_process_id > termin->consumed_process_id) {
        (void)bad(err, "termin: applied beyond consumed");
        return NULL;
    }
    return termin;
}
