#include "binlog/rows_value.h"

#include <string.h>

#include "binlog/codes.h"
#include "model/values.h"

enum { VARINT_MAX = 10 };

static unsigned integer_bytes(uint8_t type)
{
    switch (type) {
    case LUTRA_TYPE_TINY:
    case LUTRA_TYPE_YEAR:
        return 1;
    case LUTRA_TYPE_SHORT:
        return 2;
    case LUTRA_TYPE_INT24:
        return 3;
    case LUTRA_TYPE_LONG:
        return 4;
    default:
        return 8;
    }
}

static bool put_integer(struct lutra_buf *out, uint8_t tag, uint64_t v)
{
    uint8_t *room = lutra_value_room(out, 1 + VARINT_MAX);
    *room = tag;
    out->len += (size_t)(lutra_value_varint(room + 1, v) - room);
    return true;
}

static bool put_signed(struct lutra_buf *out, int64_t v)
{
    return put_integer(out, LUTRA_VALUE_INT, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

static bool
decode_integer(const struct lutra_column *column, struct lutra_cur *cur, struct lutra_buf *out)
{
    unsigned n = integer_bytes(column->type);
    const uint8_t *p;
    if (!lutra_value_take(cur, n, &p)) {
        return false;
    }
    uint64_t v = lutra_value_le(p, n);
    if (column->type == LUTRA_TYPE_YEAR) {
        return put_signed(out, v ? 1900 + (int64_t)v : 0);
    }
    if (column->kind == LUTRA_KIND_UINT) {
        return put_integer(out, LUTRA_VALUE_UINT, v);
    }
    uint64_t sign = (uint64_t)1 << (8 * n - 1);
    return put_signed(out, (int64_t)((v ^ sign) - sign));
}

/* The bytes of a length-prefixed value. */
static bool take_string(const struct lutra_column *column,
                        struct lutra_cur *cur,
                        const uint8_t **p,
                        size_t *len)
{
    unsigned prefix;
    size_t most = SIZE_MAX;
    switch (column->type) {
    case LUTRA_TYPE_STRING:
    case LUTRA_TYPE_VARCHAR:
    case LUTRA_TYPE_VAR_STRING:
    case LUTRA_TYPE_VARCHAR_COMPRESSED:
        prefix = column->meta > 255 ? 2 : 1;
        most = column->meta;
        break;
    default:
        prefix = column->meta;
        break;
    }
    if (!lutra_value_take(cur, prefix, p)) {
        return false;
    }
    *len = (size_t)lutra_value_le(*p, prefix);
    return *len <= most && lutra_value_take(cur, *len, p);
}

static bool
decode_string(const struct lutra_column *column, struct lutra_cur *cur, struct lutra_buf *out)
{
    const uint8_t *src;
    size_t len;
    if (!take_string(column, cur, &src, &len)) {
        return false;
    }
    /* BINARY(n) always has n bytes; the binlog leaves its trailing zeros out. */
    bool pad = column->type == LUTRA_TYPE_STRING && column->kind == LUTRA_KIND_BINARY;
    size_t total = pad ? column->meta : len;
    uint8_t *room = lutra_value_room(out, 1 + VARINT_MAX + total), *p = room;
    *p++ = LUTRA_VALUE_BYTES;
    p = lutra_value_varint(p, total);
    memcpy(p, src, len);
    memset(p + len, 0, total - len);
    out->len += (size_t)(p - room) + total;
    return true;
}

bool lutra_value_decode(const struct lutra_column *column,
                        struct lutra_cur *cur,
                        struct lutra_buf *out)
{
    switch (column->kind) {
    case LUTRA_KIND_INT:
    case LUTRA_KIND_UINT:
        return decode_integer(column, cur, out);
    case LUTRA_KIND_DECIMAL:
        return lutra_value_decimal(column, cur, out);
    case LUTRA_KIND_DATE:
    case LUTRA_KIND_TIME:
    case LUTRA_KIND_DATETIME:
    case LUTRA_KIND_TIMESTAMP:
        return lutra_value_temporal(column, cur, out);
    case LUTRA_KIND_STRING:
    case LUTRA_KIND_BINARY:
        return decode_string(column, cur, out);
    case LUTRA_KIND_NONE:
        break;
    }
    return false;
}

bool lutra_value_skip(const struct lutra_column *column, struct lutra_cur *cur)
{
    const uint8_t *p;
    size_t len;
    switch (column->type) {
    case LUTRA_TYPE_TINY:
    case LUTRA_TYPE_YEAR:
    case LUTRA_TYPE_SHORT:
    case LUTRA_TYPE_INT24:
    case LUTRA_TYPE_LONG:
    case LUTRA_TYPE_LONGLONG:
        return lutra_value_take(cur, integer_bytes(column->type), &p);
    case LUTRA_TYPE_FLOAT:
    case LUTRA_TYPE_DOUBLE:
    case LUTRA_TYPE_ENUM:
    case LUTRA_TYPE_SET:
        return lutra_value_take(cur, column->meta, &p); /* the metadata is the length */
    case LUTRA_TYPE_BIT:
        return lutra_value_take(cur, (size_t)(column->meta >> 8) + ((column->meta & 0xff) ? 1 : 0),
                                &p);
    case LUTRA_TYPE_NEWDECIMAL:
        return lutra_value_take(cur, lutra_value_decimal_bytes(column), &p);
    case LUTRA_TYPE_DATE:
    case LUTRA_TYPE_NEWDATE:
    case LUTRA_TYPE_TIME:
    case LUTRA_TYPE_TIME2:
    case LUTRA_TYPE_DATETIME:
    case LUTRA_TYPE_DATETIME2:
    case LUTRA_TYPE_TIMESTAMP:
    case LUTRA_TYPE_TIMESTAMP2:
        return lutra_value_take(cur, lutra_value_temporal_bytes(column), &p);
    case LUTRA_TYPE_STRING:
    case LUTRA_TYPE_VARCHAR:
    case LUTRA_TYPE_VAR_STRING:
    case LUTRA_TYPE_VARCHAR_COMPRESSED:
    case LUTRA_TYPE_BLOB:
    case LUTRA_TYPE_TINY_BLOB:
    case LUTRA_TYPE_MEDIUM_BLOB:
    case LUTRA_TYPE_LONG_BLOB:
    case LUTRA_TYPE_BLOB_COMPRESSED:
    case LUTRA_TYPE_GEOMETRY:
    case LUTRA_TYPE_JSON:
    case LUTRA_TYPE_VECTOR:
        return take_string(column, cur, &p, &len);
    default:
        return false;
    }
}

/* Tables travel between processes: kind and type of a column must not contradict each other. */
static bool kind_fits(const struct lutra_column *column)
{
    enum lutra_kind kind = column->kind;
    switch (column->type) {
    case LUTRA_TYPE_TINY:
    case LUTRA_TYPE_SHORT:
    case LUTRA_TYPE_INT24:
    case LUTRA_TYPE_LONG:
    case LUTRA_TYPE_LONGLONG:
    case LUTRA_TYPE_YEAR:
        return kind == LUTRA_KIND_INT || kind == LUTRA_KIND_UINT;
    case LUTRA_TYPE_NEWDECIMAL:
        return kind == LUTRA_KIND_DECIMAL;
    case LUTRA_TYPE_DATE:
    case LUTRA_TYPE_NEWDATE:
        return kind == LUTRA_KIND_DATE;
    case LUTRA_TYPE_TIME:
    case LUTRA_TYPE_TIME2:
        return kind == LUTRA_KIND_TIME;
    case LUTRA_TYPE_DATETIME:
    case LUTRA_TYPE_DATETIME2:
        return kind == LUTRA_KIND_DATETIME;
    case LUTRA_TYPE_TIMESTAMP:
    case LUTRA_TYPE_TIMESTAMP2:
        return kind == LUTRA_KIND_TIMESTAMP;
    case LUTRA_TYPE_STRING:
    case LUTRA_TYPE_VARCHAR:
    case LUTRA_TYPE_VAR_STRING:
    case LUTRA_TYPE_BLOB:
    case LUTRA_TYPE_TINY_BLOB:
    case LUTRA_TYPE_MEDIUM_BLOB:
    case LUTRA_TYPE_LONG_BLOB:
        return kind == LUTRA_KIND_STRING || kind == LUTRA_KIND_BINARY;
    default:
        return kind == LUTRA_KIND_NONE;
    }
}

bool lutra_value_fits(const struct lutra_column *column)
{
    if (column->kind != LUTRA_KIND_NONE && !kind_fits(column)) {
        return false;
    }
    unsigned precision = column->meta >> 8, scale = column->meta & 0xff;
    switch (column->type) {
    case LUTRA_TYPE_NEWDECIMAL:
        return precision >= 1 && precision <= 65 && scale <= precision && scale <= 38;
    case LUTRA_TYPE_TIME2:
    case LUTRA_TYPE_DATETIME2:
    case LUTRA_TYPE_TIMESTAMP2:
        return column->decimals <= 6 && column->decimals == column->meta;
    case LUTRA_TYPE_TIME:
    case LUTRA_TYPE_DATETIME:
    case LUTRA_TYPE_TIMESTAMP:
        return column->decimals <= 6;
    case LUTRA_TYPE_DATE:
    case LUTRA_TYPE_NEWDATE:
        return column->decimals == 0;
    case LUTRA_TYPE_BLOB:
    case LUTRA_TYPE_TINY_BLOB:
    case LUTRA_TYPE_MEDIUM_BLOB:
    case LUTRA_TYPE_LONG_BLOB:
    case LUTRA_TYPE_BLOB_COMPRESSED:
    case LUTRA_TYPE_GEOMETRY:
    case LUTRA_TYPE_JSON:
    case LUTRA_TYPE_VECTOR:
        return column->meta >= 1 && column->meta <= 4;
    default:
        return true;
    }
}
