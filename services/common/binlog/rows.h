/* Rows events: the server's row images in, packed rows (model/values.h) out. */
#ifndef LUTRA_BINLOG_ROWS_H
#define LUTRA_BINLOG_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "binlog/codes.h"
#include "model/table.h"

enum lutra_rows_op { LUTRA_ROWS_INSERT, LUTRA_ROWS_UPDATE, LUTRA_ROWS_DELETE };

/* ---- types ---- */

/* False: values of this column cannot be carried exactly: FLOAT, DOUBLE, BIT, ENUM, SET, JSON,
 * GEOMETRY, VECTOR, MariaDB's COMPRESSED columns. */
bool lutra_column_supported(const struct lutra_column *column);
/* The SQL name of the type, as far as the binlog tells it: "ENUM", "VARCHAR", ... A static string.
 */
const char *lutra_column_type_name(const struct lutra_column *column);
/* Names the first column that is not supported, as CONFIG: "shop.orders.state: type ENUM ...". */
int lutra_table_check_types(const struct lutra_table *table,
                            struct lutra_error *err) LUTRA_MUST_CHECK;

/* ---- decoding ---- */

/* Goes through the rows of one event. Embedded; borrows table and body. */
struct lutra_rows {
    const struct lutra_table *table;
    enum lutra_rows_op op;
    struct lutra_cur cur;
    /* Which columns the images hold, one bit each; UPDATE has two images, before and after. */
    const uint8_t *present[2];
    size_t n_present[2];
};

/* `code` is 23..25 or 30..32, `body` begins at the column count (struct lutra_event_rows). DATA
 * when it does not fit the table, holds a column whose type is not supported, or is malformed. */
int lutra_rows_begin(struct lutra_rows *rows,
                     const struct lutra_table *table,
                     uint8_t code,
                     const void *body,
                     size_t len,
                     struct lutra_error *err) LUTRA_MUST_CHECK;
/* The same, for who leaves unsupported columns out: their values come as ABSENT instead of an
 * error. */
int lutra_rows_begin_supported(struct lutra_rows *rows,
                               const struct lutra_table *table,
                               uint8_t code,
                               const void *body,
                               size_t len,
                               struct lutra_error *err) LUTRA_MUST_CHECK;
/* 1: one row was appended to *out (UPDATE: the before image, then the after image, each with a
 * value for every column of the table; those that the image lacks are ABSENT). 0: no more rows. -1
 * and DATA: malformed, with the column named; *out is as it was. Allocates nothing but room in
 * *out. */
int lutra_rows_next(struct lutra_rows *rows,
                    struct lutra_buf *out,
                    struct lutra_error *err) LUTRA_MUST_CHECK;

/* The whole event; *out is as it was on error. *n_rows counts an UPDATE's two images as one row. */
int lutra_rows_decode(const struct lutra_table *table,
                      uint8_t code,
                      const void *body,
                      size_t len,
                      struct lutra_buf *out,
                      uint32_t *n_rows,
                      struct lutra_error *err) LUTRA_MUST_CHECK;

/* How many rows the event holds, by their lengths alone, without decoding. Works for every column
 * type with known lengths, supported or not. */
int lutra_rows_count(const struct lutra_table *table,
                     uint8_t code,
                     const void *body,
                     size_t len,
                     uint32_t *n_rows,
                     struct lutra_error *err) LUTRA_MUST_CHECK;

/* -1: not the code of an uncompressed rows event. */
int lutra_rows_op_of(uint8_t code, enum lutra_rows_op *op);

#endif
