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

/* A varint whose value is not needed: at most ten bytes, the last below 0x80. */
static bool skip_varint(struct lutra_cur *cur)
{
    const uint8_t *p = cur->p;
    size_t left = lutra_cur_left(cur), most = left < 10 ? left : 10;
    for (size_t i = 0; i < most; i++) {
        if (p[i] < 0x80) {
            cur->p = p + i + 1;
            return i < 9 || p[i] <= 1;
        }
    }
    return false;
}

bool lutra_values_skip(struct lutra_cur *cur)
{
    uint64_t len;
    if (cur->p == cur->end) {
        return false;
    }
    switch (*cur->p++) {
    case LUTRA_VALUE_NULL:
    case LUTRA_VALUE_ABSENT:
        return true;
    case LUTRA_VALUE_INT:
    case LUTRA_VALUE_UINT:
        return skip_varint(cur);
    case LUTRA_VALUE_BYTES:
        if (cur->p < cur->end && *cur->p < 0x80) {
            len = *cur->p++; /* most are short */
        } else {
            len = lutra_cur_varint(cur);
        }
        if (cur->bad || len > lutra_cur_left(cur)) {
            return false;
        }
        cur->p += len;
        return true;
    default:
        return false;
    }
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
