/* A batch in the making: rows, the transactions they belong to, and the counts. The slicer keeps
 * two, the whole transactions read so far and the one being read, and joins them. */
#ifndef LUTRA_SELECT_SLICER_PART_H
#define LUTRA_SELECT_SLICER_PART_H

#include "base/buf.h"
#include "model/position.h"
#include "proto/batch.pb-c.h"
#include "select/slicer_tables.h"

struct lutra_part_rows {
    struct lutra_slice_table *table; /* a reference */
    uint32_t transaction;            /* index into the part's */
    uint8_t event_type;
    uint8_t *body; /* heap */
    size_t body_len;
};

struct lutra_part_transaction {
    bool has_gtid;
    struct lutra_gtid gtid;
    const char *file; /* lives as long as the slicer */
    uint64_t end_offset;
    int64_t commit_us;
};

struct lutra_part {
    struct lutra_part_rows *rows;
    size_t n_rows, rows_cap;
    struct lutra_part_transaction *transactions;
    size_t n_transactions, transactions_cap;
    uint64_t row_count, bytes;
    uint64_t events_filtered, ddl_passed, transactions_filtered;
};

/* Copies the body. */
void lutra_part_add_rows(struct lutra_part *part,
                         struct lutra_slice_table *table,
                         uint32_t transaction,
                         uint8_t event_type,
                         const uint8_t *body,
                         size_t body_len,
                         uint32_t row_count);
/* What a rows event of this length adds to `bytes`. */
uint64_t lutra_part_rows_cost(size_t body_len);
uint32_t lutra_part_add_transaction(struct lutra_part *part,
                                    const struct lutra_part_transaction *transaction);
/* Moves everything of `from` behind `to`'s; `from` is empty then. */
void lutra_part_join(struct lutra_part *to, struct lutra_part *from);
void lutra_part_clear(struct lutra_part *part);
void lutra_part_fini(struct lutra_part *part);

/* Packs the part under this head (whose transactions, files and counts are filled in here).
 * `batch` is a number never used before with the same tables. */
void lutra_part_pack(const struct lutra_part *part,
                     Lutra__BatchHead *head,
                     uint64_t batch,
                     struct lutra_buf *out);

#endif
