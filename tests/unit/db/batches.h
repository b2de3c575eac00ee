/* Change batches by hand, for tests of the target port. */
#ifndef LUTRA_TEST_BATCHES_H
#define LUTRA_TEST_BATCHES_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "model/table.h"
#include "model/values.h"
#include "proto/batch.pb-c.h"

#define INSERT LUTRA__ROW_GROUP__OP__INSERT
#define UPDATE LUTRA__ROW_GROUP__OP__UPDATE
#define DELETE LUTRA__ROW_GROUP__OP__DELETE

struct batch; /* one process; rows are added in order */

struct batch *batch_new(uint64_t process_id);
void batch_free(struct batch *batch);
const Lutra__ChangeBatch *batch_get(struct batch *batch);

/* Adds a table; the columns follow as batch_column calls. Returns its index. */
uint32_t batch_table(struct batch *batch, const char *schema, const char *name);
/* The last table's next column. */
Lutra__Column *
batch_column(struct batch *batch, const char *name, enum lutra_kind kind, uint32_t key_part);
/* Begins a source transaction. */
void batch_transaction(struct batch *batch, const char *gtid);
/* The values of one row (UPDATE: before, then after) are put into *row by lutra_values_put_*;
 * joined to the last group when table, operation and transaction are the same. Clears *row. */
void batch_row(struct batch *batch, uint32_t table, Lutra__RowGroup__Op op, struct lutra_buf *row);

#endif
