#include "model/values.h"

void lutra_values_put_null(struct lutra_buf *row)
{
    lutra_buf_put_u8(row, LUTRA_VALUE_NULL);
}

void lutra_values_put_absent(struct lutra_buf *row)
{
    lutra_buf_put_u8(row, LUTRA_VALUE_ABSENT);
}

void lutra_values_put_int(struct lutra_buf *row, int64_t v)
{
    lutra_buf_put_u8(row, LUTRA_VALUE_INT);
    /* Zigzag: small numbers of either sign take few bytes. */
    lutra_buf_put_varint(row, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

void lutra_values_put_uint(struct lutra_buf *row, uint64_t v)
{
    lutra_buf_put_u8(row, LUTRA_VALUE_UINT);
    lutra_buf_put_varint(row, v);
}

void lutra_values_put_bytes(struct lutra_buf *row, const void *data, size_t len)
{
    lutra_buf_put_u8(row, LUTRA_VALUE_BYTES);
    lutra_buf_put_varint(row, len);
    lutra_buf_append(row, data, len);
}

int lutra_values_next(struct lutra_cur *cur, struct lutra_value *value, struct lutra_error *err)
{
    uint8_t tag = lutra_cur_u8(cur);
    uint64_t v;
    *value = (struct lutra_value){.tag = LUTRA_VALUE_NULL};
    if (tag > LUTRA_VALUE_BYTES) {
        return lutra_error_set(err, LUTRA_DATA, 0, "packed row: unknown tag %u", tag);
    }
    value->tag = (enum lutra_value_tag)tag;
    switch (value->tag) {
    case LUTRA_VALUE_NULL:
    case LUTRA_VALUE_ABSENT:
        break;
    case LUTRA_VALUE_INT:
        v = lutra_cur_varint(cur);
        value->i64 = (int64_t)((v >> 1) ^ ((v & 1) ? UINT64_MAX : 0));
        break;
    case LUTRA_VALUE_UINT:
        value->u64 = lutra_cur_varint(cur);
        break;
    case LUTRA_VALUE_BYTES:
        v = lutra_cur_varint(cur);
        if (v > lutra_cur_left(cur)) {
            cur->bad = true;
            break;
        }
        value->bytes.len = (size_t)v;
        value->bytes.data = lutra_cur_bytes(cur, (size_t)v);
        break;
    }
    if (cur->bad) {
        return lutra_error_set(err, LUTRA_DATA, 0, "packed row is cut short");
    }
    return 0;
}

int lutra_values_unpack(
    const void *row, size_t len, struct lutra_value *values, size_t n, struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(row, len);
    for (size_t i = 0; i < n; i++) {
        if (lutra_values_next(&cur, &values[i], err)) {
            return -1;
        }
    }
    if (lutra_cur_left(&cur) > 0) {
        return lutra_error_set(err, LUTRA_DATA, 0, "packed row holds more than %zu values", n);
    }
    return 0;
}
