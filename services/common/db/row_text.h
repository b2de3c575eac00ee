/* Rows as text for error messages. Private to this module. */
#ifndef LUTRA_DB_ROW_TEXT_H
#define LUTRA_DB_ROW_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "model/values.h"
#include "proto/batch.pb-c.h"

/* NULL, -12, '2024-02-29', 'a\x00b'; at most max bytes, cut by "...". */
void lutra_value_text(struct lutra_buf *out, const struct lutra_value *value, size_t max);
/* (id=1, name='x'): all columns, or those of the primary key; at most max bytes. */
void lutra_row_text(struct lutra_buf *out,
                    const Lutra__Table *table,
                    const struct lutra_value *values,
                    bool key_only,
                    size_t max);
/* "UPDATE shop.orders key (id=5): <what>; process 12, transaction 0-1-140; before (...) after
 * (...)", short enough for an error. before or after may be NULL. */
void lutra_row_message(struct lutra_buf *out,
                       const Lutra__ChangeBatch *batch,
                       const Lutra__RowGroup *group,
                       const struct lutra_value *before,
                       const struct lutra_value *after,
                       const char *what);
/* "INSERT", "UPDATE", "DELETE" */
const char *lutra_op_name(Lutra__RowGroup__Op op);

#endif
