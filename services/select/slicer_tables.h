/* The tables of a stream: which of them some pair matches, and what their columns are. The rows of
 * the others are dropped undecoded. */
#ifndef LUTRA_SELECT_SLICER_TABLES_H
#define LUTRA_SELECT_SLICER_TABLES_H

#include "binlog/table_map.h"
#include "model/channel.h"

/* One definition of a matched table. Rows that wait in an open batch hold a reference, since the
 * table may be altered meanwhile. */
struct lutra_slice_table {
    unsigned refs;
    struct lutra_table *table;
    uint8_t *definition; /* bytes of TABLE_MAP, to see a change */
    size_t definition_len;
    uint64_t batch; /* the packer's: number of the batch that `index` is of */
    uint32_t index;
};
struct lutra_slice_table *lutra_slice_table_ref(struct lutra_slice_table *table);
void lutra_slice_table_unref(struct lutra_slice_table *table);

struct lutra_slice_tables;
/* def outlives the tables. */
struct lutra_slice_tables *lutra_slice_tables_new(const struct lutra_pipeline_def *def);
void lutra_slice_tables_free(struct lutra_slice_tables *tables);
/* Table ids are the server's until it restarts: forget them with every new stream. */
void lutra_slice_tables_clear(struct lutra_slice_tables *tables);
/* Keeps the number of known tables bounded; call between transactions. */
void lutra_slice_tables_trim(struct lutra_slice_tables *tables);
/* A TABLE_MAP came. CONFIG: names what the source does not log, or a column type that is not
 * carried. */
int lutra_slice_tables_map(struct lutra_slice_tables *tables,
                           const struct lutra_table_map *map,
                           struct lutra_error *err) LUTRA_MUST_CHECK;
/* Rows of this table: *table NULL when no pair matches it. DATA: no TABLE_MAP came before. */
int lutra_slice_tables_find(struct lutra_slice_tables *tables,
                            uint64_t table_id,
                            struct lutra_slice_table **table,
                            struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
