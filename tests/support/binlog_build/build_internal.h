#ifndef BINLOG_BUILD_INTERNAL_H
#define BINLOG_BUILD_INTERNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "model/table.h"
#include "model/values.h"

void build_lenenc(struct lutra_buf *out, uint64_t v);
/* The value as it stands in a row image. */
void build_value(struct lutra_buf *out,
                 const struct lutra_column *column,
                 const struct lutra_value *value);
/* TABLE_MAP's body after the names. */
void build_definition(struct lutra_buf *out, const struct lutra_table *table);

#endif
