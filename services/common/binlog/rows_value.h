/* Private to binlog/: one column's value. */
#ifndef LUTRA_BINLOG_ROWS_VALUE_H
#define LUTRA_BINLOG_ROWS_VALUE_H

#include <stdbool.h>

#include "base/buf.h"
#include "model/table.h"

/* Reads one non-NULL value and appends it packed. False: malformed. The column passed
 * lutra_value_fits. */
bool lutra_value_decode(const struct lutra_column *column,
                        struct lutra_cur *cur,
                        struct lutra_buf *out);
/* Moves over one non-NULL value. False: malformed, or the type's length is unknown. */
bool lutra_value_skip(const struct lutra_column *column, struct lutra_cur *cur);
/* The column's kind and metadata are what its type may have: lengths derived from them stay in
 * bounds. */
bool lutra_value_fits(const struct lutra_column *column);

/* rows_decimal.c: the packed decimal format. */
bool lutra_value_decimal(const struct lutra_column *column,
                         struct lutra_cur *cur,
                         struct lutra_buf *out);
size_t lutra_value_decimal_bytes(const struct lutra_column *column);

/* rows_temporal.c: dates and times as text. */
bool lutra_value_temporal(const struct lutra_column *column,
                          struct lutra_cur *cur,
                          struct lutra_buf *out);
size_t lutra_value_temporal_bytes(const struct lutra_column *column);

/* Room for n more bytes, and where they go; the writer sets out->len afterwards. */
static inline uint8_t *lutra_value_room(struct lutra_buf *out, size_t n)
{
    if (out->cap - out->len < n) {
        lutra_buf_reserve(out, n);
    }
    return out->data + out->len;
}

static inline uint8_t *lutra_value_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

/* Like lutra_cur_le and lutra_cur_be, inlined: these run once per value. */
static inline bool lutra_value_take(struct lutra_cur *cur, size_t n, const uint8_t **p)
{
    if ((size_t)(cur->end - cur->p) < n) {
        return false;
    }
    *p = cur->p;
    cur->p += n;
    return true;
}

static inline uint64_t lutra_value_le(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

static inline uint64_t lutra_value_be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

#endif
