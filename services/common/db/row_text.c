#include "db/row_text.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_VALUE = 64, MAX_KEY = 200, MAX_IMAGE = 240, MAX_WHAT = 240 };

static void cut(struct lutra_buf *out, size_t begin, size_t max)
{
    if (out->len - begin > max) {
        out->len = begin + max - 3;
        lutra_buf_append(out, "...", 3);
    }
}

static void put_bytes(struct lutra_buf *out, const struct lutra_value *value, size_t max)
{
    size_t begin = out->len;
    lutra_buf_put_u8(out, '\'');
    for (size_t i = 0; i < value->bytes.len && out->len - begin <= max; i++) {
        uint8_t c = value->bytes.data[i];
        if (c < 32 || c > 126 || c == '\'' || c == '\\') {
            lutra_buf_printf(out, "\\x%02x", c);
        } else {
            lutra_buf_put_u8(out, c);
        }
    }
    lutra_buf_put_u8(out, '\'');
}

void lutra_value_text(struct lutra_buf *out, const struct lutra_value *value, size_t max)
{
    size_t begin = out->len;
    switch (value->tag) {
    case LUTRA_VALUE_NULL:
        lutra_buf_printf(out, "NULL");
        break;
    case LUTRA_VALUE_ABSENT:
        lutra_buf_printf(out, "-");
        break;
    case LUTRA_VALUE_INT:
        lutra_buf_printf(out, "%" PRId64, value->i64);
        break;
    case LUTRA_VALUE_UINT:
        lutra_buf_printf(out, "%" PRIu64, value->u64);
        break;
    case LUTRA_VALUE_BYTES:
        put_bytes(out, value, max);
        break;
    }
    cut(out, begin, max);
}

void lutra_row_text(struct lutra_buf *out,
                    const Lutra__Table *table,
                    const struct lutra_value *values,
                    bool key_only,
                    size_t max)
{
    size_t begin = out->len;
    const char *separator = "";
    lutra_buf_put_u8(out, '(');
    for (size_t i = 0; i < table->n_columns && out->len - begin <= max; i++) {
        if (key_only && table->columns[i]->key_part == 0) {
            continue;
        }
        lutra_buf_printf(out, "%s%s=", separator, table->columns[i]->name);
        lutra_value_text(out, &values[i], MAX_VALUE);
        separator = ", ";
    }
    lutra_buf_put_u8(out, ')');
    cut(out, begin, max);
}

const char *lutra_op_name(Lutra__RowGroup__Op op)
{
    return op == LUTRA__ROW_GROUP__OP__INSERT   ? "INSERT"
           : op == LUTRA__ROW_GROUP__OP__UPDATE ? "UPDATE"
                                                : "DELETE";
}

void lutra_row_message(struct lutra_buf *out,
                       const Lutra__ChangeBatch *batch,
                       const Lutra__RowGroup *group,
                       const struct lutra_value *before,
                       const struct lutra_value *after,
                       const char *what)
{
    const Lutra__Table *table = batch->tables[group->table];
    const Lutra__BatchHead *head = batch->head;
    bool keyed = false;
    for (size_t i = 0; i < table->n_columns; i++) {
        keyed = keyed || table->columns[i]->key_part > 0;
    }
    lutra_buf_printf(out, "%s %s.%s", lutra_op_name(group->op), table->schema, table->name);
    if (keyed) {
        lutra_buf_printf(out, " key ");
        lutra_row_text(out, table, before ? before : after, true, MAX_KEY);
    }
    size_t begin = out->len;
    lutra_buf_printf(out, ": %s", what);
    cut(out, begin, MAX_WHAT);
    if (head) {
        lutra_buf_printf(out, "; process %" PRIu64, head->process_id);
        if (group->transaction < head->n_transactions &&
            head->transactions[group->transaction]->gtid[0]) {
            lutra_buf_printf(out, ", transaction %.60s",
                             head->transactions[group->transaction]->gtid);
        }
    }
    if (before) {
        lutra_buf_printf(out, LUTRA_ERROR_VALUES "before ");
        lutra_row_text(out, table, before, false, MAX_IMAGE);
    }
    if (after) {
        lutra_buf_printf(out, "%safter ", before ? "; " : LUTRA_ERROR_VALUES);
        lutra_row_text(out, table, after, false, MAX_IMAGE);
    }
}
