#include "binlog/rows.h"

#include <stdio.h>

#include "binlog/rows_value.h"
#include "model/values.h"

/* ---- types ---- */

bool lutra_column_supported(const struct lutra_column *column)
{
    return column->kind != LUTRA_KIND_NONE;
}

const char *lutra_column_type_name(const struct lutra_column *column)
{
    bool binary = column->collation == LUTRA_COLLATION_BINARY;
    switch (column->type) {
    case LUTRA_TYPE_OLD_DECIMAL:
        return "DECIMAL before MySQL 5.0";
    case LUTRA_TYPE_TINY:
        return column->is_unsigned ? "TINYINT UNSIGNED" : "TINYINT";
    case LUTRA_TYPE_SHORT:
        return column->is_unsigned ? "SMALLINT UNSIGNED" : "SMALLINT";
    case LUTRA_TYPE_INT24:
        return column->is_unsigned ? "MEDIUMINT UNSIGNED" : "MEDIUMINT";
    case LUTRA_TYPE_LONG:
        return column->is_unsigned ? "INT UNSIGNED" : "INT";
    case LUTRA_TYPE_LONGLONG:
        return column->is_unsigned ? "BIGINT UNSIGNED" : "BIGINT";
    case LUTRA_TYPE_FLOAT:
        return "FLOAT";
    case LUTRA_TYPE_DOUBLE:
        return "DOUBLE";
    case LUTRA_TYPE_NEWDECIMAL:
        return "DECIMAL";
    case LUTRA_TYPE_DATE:
    case LUTRA_TYPE_NEWDATE:
        return "DATE";
    case LUTRA_TYPE_TIME:
    case LUTRA_TYPE_TIME2:
        return "TIME";
    case LUTRA_TYPE_DATETIME:
    case LUTRA_TYPE_DATETIME2:
        return "DATETIME";
    case LUTRA_TYPE_TIMESTAMP:
    case LUTRA_TYPE_TIMESTAMP2:
        return "TIMESTAMP";
    case LUTRA_TYPE_YEAR:
        return "YEAR";
    case LUTRA_TYPE_VARCHAR:
    case LUTRA_TYPE_VAR_STRING:
        return binary ? "VARBINARY" : "VARCHAR";
    case LUTRA_TYPE_STRING:
        return binary ? "BINARY" : "CHAR";
    case LUTRA_TYPE_BLOB:
    case LUTRA_TYPE_TINY_BLOB:
    case LUTRA_TYPE_MEDIUM_BLOB:
    case LUTRA_TYPE_LONG_BLOB:
        return binary ? "BLOB" : "TEXT";
    case LUTRA_TYPE_BIT:
        return "BIT";
    case LUTRA_TYPE_ENUM:
        return "ENUM";
    case LUTRA_TYPE_SET:
        return "SET";
    case LUTRA_TYPE_JSON:
        return "JSON";
    case LUTRA_TYPE_GEOMETRY:
        return "GEOMETRY";
    case LUTRA_TYPE_VECTOR:
        return "VECTOR";
    case LUTRA_TYPE_BLOB_COMPRESSED:
        return binary ? "BLOB COMPRESSED" : "TEXT COMPRESSED";
    case LUTRA_TYPE_VARCHAR_COMPRESSED:
        return binary ? "VARBINARY COMPRESSED" : "VARCHAR COMPRESSED";
    default:
        return "unknown";
    }
}

static int unsupported(const struct lutra_table *table,
                       size_t i,
                       enum lutra_error_class class,
                       struct lutra_error *err)
{
    return lutra_error_set(err, class, 0, "%s.%s.%s: type %s is not supported", table->schema,
                           table->name, table->columns[i].name,
                           lutra_column_type_name(&table->columns[i]));
}

int lutra_table_check_types(const struct lutra_table *table, struct lutra_error *err)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!lutra_column_supported(&table->columns[i])) {
            return unsupported(table, i, LUTRA_CONFIG, err);
        }
    }
    return 0;
}

/* ---- events ---- */

int lutra_rows_op_of(uint8_t code, enum lutra_rows_op *op)
{
    switch (code) {
    case LUTRA_EVENT_WRITE_ROWS_V1:
    case LUTRA_EVENT_WRITE_ROWS:
        *op = LUTRA_ROWS_INSERT;
        return 0;
    case LUTRA_EVENT_UPDATE_ROWS_V1:
    case LUTRA_EVENT_UPDATE_ROWS:
        *op = LUTRA_ROWS_UPDATE;
        return 0;
    case LUTRA_EVENT_DELETE_ROWS_V1:
    case LUTRA_EVENT_DELETE_ROWS:
        *op = LUTRA_ROWS_DELETE;
        return 0;
    default:
        return -1;
    }
}

static int rows_error(const struct lutra_table *table, const char *what, struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_DATA, 0, "rows of %s.%s: %s", table->schema, table->name,
                           what);
}

static bool bit(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

int lutra_rows_begin_supported(struct lutra_rows *rows,
                               const struct lutra_table *table,
                               uint8_t code,
                               const void *body,
                               size_t len,
                               struct lutra_error *err)
{
    *rows = (struct lutra_rows){.table = table, .cur = lutra_cur_of(body, len)};
    if (lutra_rows_op_of(code, &rows->op)) {
        return rows_error(table, "not the code of a rows event", err);
    }
    uint64_t n_columns = lutra_cur_lenenc(&rows->cur);
    if (rows->cur.bad || n_columns != table->n_columns) {
        return lutra_error_set(
            err, LUTRA_DATA, 0, "rows of %s.%s: the event has %llu columns, the table %zu",
            table->schema, table->name, (unsigned long long)n_columns, table->n_columns);
    }
    for (unsigned image = 0; image < (rows->op == LUTRA_ROWS_UPDATE ? 2 : 1); image++) {
        rows->present[image] = lutra_cur_bytes(&rows->cur, (table->n_columns + 7) / 8);
        if (!rows->present[image]) {
            return rows_error(table, "cut short", err);
        }
        for (size_t i = 0; i < table->n_columns; i++) {
            rows->n_present[image] += bit(rows->present[image], i);
        }
    }
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!lutra_value_fits(&table->columns[i])) {
            return lutra_error_set(err, LUTRA_DATA, 0,
                                   "%s.%s.%s: kind %s and metadata %u do not fit type %s",
                                   table->schema, table->name, table->columns[i].name,
                                   lutra_kind_name(table->columns[i].kind), table->columns[i].meta,
                                   lutra_column_type_name(&table->columns[i]));
        }
    }
    return 0;
}

int lutra_rows_begin(struct lutra_rows *rows,
                     const struct lutra_table *table,
                     uint8_t code,
                     const void *body,
                     size_t len,
                     struct lutra_error *err)
{
    if (lutra_rows_begin_supported(rows, table, code, body, len, err)) {
        return -1;
    }
    for (size_t i = 0; i < table->n_columns; i++) {
        bool present = bit(rows->present[0], i) || (rows->present[1] && bit(rows->present[1], i));
        if (present && !lutra_column_supported(&table->columns[i])) {
            return unsupported(table, i, LUTRA_DATA, err);
        }
    }
    return 0;
}

static int value_error(const struct lutra_rows *rows, size_t i, struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_DATA, 0, "%s.%s.%s: malformed value of type %s",
                           rows->table->schema, rows->table->name, rows->table->columns[i].name,
                           lutra_column_type_name(&rows->table->columns[i]));
}

/* One image: a bit for each present column says NULL, then the values that are not. With out NULL
 * the values are only moved over. */
static int
read_image(struct lutra_rows *rows, unsigned image, struct lutra_buf *out, struct lutra_error *err)
{
    const struct lutra_table *table = rows->table;
    const uint8_t *present = rows->present[image];
    const uint8_t *nulls = lutra_cur_bytes(&rows->cur, (rows->n_present[image] + 7) / 8);
    if (!nulls) {
        return rows_error(table, "cut short", err);
    }
    bool all = rows->n_present[image] == table->n_columns;
    for (size_t i = 0, k = 0; i < table->n_columns; i++) {
        const struct lutra_column *column = &table->columns[i];
        if (!all && !bit(present, i)) {
            if (out) {
                lutra_values_put_absent(out);
            }
            continue;
        }
        if (bit(nulls, k++)) {
            if (out) {
                lutra_values_put_null(out);
            }
            continue;
        }
        bool decode = out && lutra_column_supported(column);
        bool ok = decode ? lutra_value_decode(column, &rows->cur, out)
                         : lutra_value_skip(column, &rows->cur);
        if (!ok) {
            return value_error(rows, i, err);
        }
        if (out && !decode) {
            lutra_values_put_absent(out);
        }
    }
    return 0;
}

static int next(struct lutra_rows *rows, struct lutra_buf *out, struct lutra_error *err)
{
    if (lutra_cur_left(&rows->cur) == 0) {
        return 0;
    }
    const uint8_t *start = rows->cur.p;
    if (read_image(rows, 0, out, err) ||
        (rows->op == LUTRA_ROWS_UPDATE && read_image(rows, 1, out, err))) {
        return -1;
    }
    /* A row without bytes would be followed by others without end. */
    return rows->cur.p == start ? rows_error(rows->table, "a row without columns", err) : 1;
}

int lutra_rows_next(struct lutra_rows *rows, struct lutra_buf *out, struct lutra_error *err)
{
    size_t before = out->len;
    int rc = next(rows, out, err);
    if (rc < 0) {
        out->len = before;
    }
    return rc;
}

int lutra_rows_decode(const struct lutra_table *table,
                      uint8_t code,
                      const void *body,
                      size_t len,
                      struct lutra_buf *out,
                      uint32_t *n_rows,
                      struct lutra_error *err)
{
    struct lutra_rows rows;
    size_t before = out->len;
    int rc;
    *n_rows = 0;
    if (lutra_rows_begin(&rows, table, code, body, len, err)) {
        return -1;
    }
    /* Most values grow by a byte or two: one reservation is usually enough. */
    lutra_buf_reserve(out, len + len / 2);
    while ((rc = next(&rows, out, err)) == 1) {
        (*n_rows)++;
    }
    if (rc < 0) {
        out->len = before;
    }
    return rc;
}

int lutra_rows_count(const struct lutra_table *table,
                     uint8_t code,
                     const void *body,
                     size_t len,
                     uint32_t *n_rows,
                     struct lutra_error *err)
{
    struct lutra_rows rows;
    int rc;
    *n_rows = 0;
    if (lutra_rows_begin_supported(&rows, table, code, body, len, err)) {
        return -1;
    }
    while ((rc = next(&rows, NULL, err)) == 1) {
        (*n_rows)++;
    }
    return rc;
}
