/* Packed rows: the values of one row image, column after column, as they travel between stages.
 *
 *   value  := 0x00                         NULL
 *           | 0x01                         absent (the image does not hold the column)
 *           | 0x02 zigzag-varint           INT
 *           | 0x03 varint                  UINT
 *           | 0x04 varint(length) bytes    DECIMAL, DATE, TIME, DATETIME, TIMESTAMP, STRING, BINARY
 *
 * Which of the 0x04 kinds it is stands in the table's column. */
#ifndef LUTRA_MODEL_VALUES_H
#define LUTRA_MODEL_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum lutra_value_tag {
    LUTRA_VALUE_NULL,
    LUTRA_VALUE_ABSENT,
    LUTRA_VALUE_INT,
    LUTRA_VALUE_UINT,
    LUTRA_VALUE_BYTES,
};

struct lutra_value {
    enum lutra_value_tag tag;
    union {
        int64_t i64;
        uint64_t u64;
        struct {
            const uint8_t *data; /* borrowed from the packed row */
            size_t len;
        } bytes;
    };
};

void lutra_values_put_null(struct lutra_buf *row);
void lutra_values_put_absent(struct lutra_buf *row);
void lutra_values_put_int(struct lutra_buf *row, int64_t v);
void lutra_values_put_uint(struct lutra_buf *row, uint64_t v);
void lutra_values_put_bytes(struct lutra_buf *row, const void *data, size_t len);

/* Reads the next value. -1 and DATA when the bytes are malformed. */
int lutra_values_next(struct lutra_cur *cur,
                      struct lutra_value *value,
                      struct lutra_error *err) LUTRA_MUST_CHECK;
/* Moves over the next value; false when the bytes are malformed. For who copies rows. */
bool lutra_values_skip(struct lutra_cur *cur) LUTRA_MUST_CHECK;
/* Exactly n values and nothing after them. */
int lutra_values_unpack(const void *row,
                        size_t len,
                        struct lutra_value *values,
                        size_t n,
                        struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
