#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binlog_build/build.h"
#include "binlog_build/build_internal.h"

static void put_be(struct lutra_buf *out, uint64_t v, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--) {
        lutra_buf_put_u8(out, (uint8_t)(v >> 8 * (i - 1)));
    }
}

void binlog_row(struct lutra_buf *rows, const struct lutra_table *table, const char *const *values)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *value = values[i];
        char *end = NULL;
        if (!value) {
            lutra_values_put_null(rows);
            continue;
        }
        enum lutra_kind kind = table->columns[i].kind;
        if (kind == LUTRA_KIND_INT) {
            lutra_values_put_int(rows, strtoll(value, &end, 10));
        } else if (kind == LUTRA_KIND_UINT) {
            lutra_values_put_uint(rows, strtoull(value, &end, 10));
        } else {
            lutra_values_put_bytes(rows, value, strlen(value));
        }
        LUTRA_ASSERT(!end || *end == '\0');
    }
}

static unsigned integer_bytes(uint8_t type)
{
    switch (type) {
    case LUTRA_TYPE_TINY:
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

static unsigned digit_bytes(unsigned digits)
{
    static const uint8_t left_over[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
    return left_over[digits];
}

static void put_digits(struct lutra_buf *out, const char *digits, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        v = v * 10 + (uint32_t)(digits[i] - '0');
    }
    put_be(out, v, digit_bytes(n));
}

static void
put_decimal(struct lutra_buf *out, const struct lutra_column *column, const char *text, size_t len)
{
    char digits[128];
    unsigned scale = column->meta & 0xff, whole = (column->meta >> 8) - scale, n = 0;
    bool negative = len > 0 && *text == '-';
    text += negative;
    len -= negative;
    const char *point = memchr(text, '.', len);
    size_t whole_len = point ? (size_t)(point - text) : len;
    LUTRA_ASSERT((point ? len - whole_len - 1 : 0) == scale);
    if (whole == 0) {
        LUTRA_ASSERT(whole_len == 1 && *text == '0');
        text++;
        whole_len = 0;
    }
    LUTRA_ASSERT(whole_len <= whole);
    for (; n < whole - whole_len; n++) {
        digits[n] = '0';
    }
    memcpy(digits + n, text, whole_len);
    if (point) {
        memcpy(digits + whole, point + 1, scale);
    }
    size_t start = out->len;
    const char *d = digits;
    put_digits(out, d, whole % 9);
    d += whole % 9;
    for (unsigned i = 0; i < whole / 9 + scale / 9; i++, d += 9) {
        put_digits(out, d, 9);
    }
    put_digits(out, d, scale % 9);
    for (size_t i = start; negative && i < out->len; i++) {
        out->data[i] = (uint8_t)~out->data[i];
    }
    out->data[start] ^= 0x80;
}

static int64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    static const unsigned before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t days = 0;
    for (unsigned y = 1970; y < year; y++) {
        days += 365 + ((y % 4 == 0 && y % 100 != 0) || y % 400 == 0);
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days + before[month - 1] + (leap && month > 2) + day - 1;
}

static void
put_temporal(struct lutra_buf *out, const struct lutra_column *column, const char *text, size_t len)
{
    char copy[64];
    unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0,
             decimals = column->decimals;
    unsigned extra = (decimals + 1) / 2;
    uint64_t fraction = 0;
    LUTRA_ASSERT(len < sizeof(copy));
    memcpy(copy, text, len);
    copy[len] = '\0';
    bool negative = copy[0] == '-';
    const char *point = strchr(copy, '.');
    for (unsigned i = 0; i < 2 * extra; i++) {
        fraction = fraction * 10 + (i < decimals ? (uint64_t)(point[1 + i] - '0') : 0);
    }
    if (column->kind == LUTRA_KIND_TIME) {
        LUTRA_ASSERT(sscanf(copy + negative, "%u:%u:%u", &hour, &minute, &second) == 3);
    } else {
        int n = sscanf(copy, "%u-%u-%u %u:%u:%u", &year, &month, &day, &hour, &minute, &second);
        LUTRA_ASSERT(n == (column->kind == LUTRA_KIND_DATE ? 3 : 6));
    }
    uint64_t clock = (uint64_t)hour << 12 | minute << 6 | second;
    if (column->kind == LUTRA_KIND_DATE) {
        lutra_buf_put_le(out, year << 9 | month << 5 | day, 3);
    } else if (column->kind == LUTRA_KIND_TIME) {
        uint64_t v = clock << 8 * extra | fraction, zero = (uint64_t)0x800000 << 8 * extra;
        put_be(out, negative ? zero - v : zero + v, 3 + extra);
    } else if (column->kind == LUTRA_KIND_DATETIME) {
        put_be(out,
               0x8000000000 + ((uint64_t)(year * 13 + month) << 22 | (uint64_t)day << 17 | clock),
               5);
        put_be(out, fraction, extra);
    } else {
        uint64_t days = year ? (uint64_t)days_since_1970(year, month, day) : 0;
        put_be(out, days * 86400 + hour * 3600 + minute * 60 + second, 4);
        put_be(out, fraction, extra);
    }
}

static void put_string(struct lutra_buf *out,
                       const struct lutra_column *column,
                       const uint8_t *data,
                       size_t len)
{
    unsigned prefix = column->type == LUTRA_TYPE_BLOB ? column->meta : column->meta > 255 ? 2 : 1;
    while (column->type == LUTRA_TYPE_STRING && column->kind == LUTRA_KIND_BINARY && len > 0 &&
           data[len - 1] == 0) {
        len--;
    }
    lutra_buf_put_le(out, len, prefix);
    lutra_buf_append(out, data, len);
}

void build_value(struct lutra_buf *out,
                 const struct lutra_column *column,
                 const struct lutra_value *value)
{
    const char *text = (const char *)value->bytes.data;
    switch (column->kind) {
    case LUTRA_KIND_INT:
        if (column->type == LUTRA_TYPE_YEAR) {
            lutra_buf_put_u8(out, (uint8_t)(value->i64 ? value->i64 - 1900 : 0));
        } else {
            lutra_buf_put_le(out, (uint64_t)value->i64, integer_bytes(column->type));
        }
        break;
    case LUTRA_KIND_UINT:
        lutra_buf_put_le(out, value->u64, integer_bytes(column->type));
        break;
    case LUTRA_KIND_DECIMAL:
        put_decimal(out, column, text, value->bytes.len);
        break;
    case LUTRA_KIND_DATE:
    case LUTRA_KIND_TIME:
    case LUTRA_KIND_DATETIME:
    case LUTRA_KIND_TIMESTAMP:
        put_temporal(out, column, text, value->bytes.len);
        break;
    case LUTRA_KIND_STRING:
    case LUTRA_KIND_BINARY:
        put_string(out, column, value->bytes.data, value->bytes.len);
        break;
    case LUTRA_KIND_NONE: /* something of the right length */
        lutra_buf_put_le(out, 1, column->type == LUTRA_TYPE_DOUBLE ? 8 : 1);
        break;
    }
}
