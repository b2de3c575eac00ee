/* TABLE_MAP: which table the rows events after it belong to, and what its columns are. */
#ifndef LUTRA_BINLOG_TABLE_MAP_H
#define LUTRA_BINLOG_TABLE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "binlog/event.h"
#include "model/table.h"

/* The cheap part: enough to decide by name whether the table is of interest, and, by comparing
 * `definition` bytewise with the last one of the same name, whether it must be decoded again.
 * Borrows from the event. */
struct lutra_table_map {
    enum lutra_flavor flavor;
    uint64_t table_id; /* unique until the table is altered or the server restarts */
    uint16_t flags;
    const char *schema, *name; /* not NUL-terminated; UTF-8 */
    size_t schema_len, name_len;
    const uint8_t *definition; /* columns and metadata */
    size_t definition_len;
};
int lutra_event_table_map(const struct lutra_binlog_format *format,
                          const struct lutra_event *event,
                          struct lutra_table_map *out,
                          struct lutra_error *err) LUTRA_MUST_CHECK;

/* Decodes the columns; the caller frees *table. *has_names is false when the source does not log
 * binlog_row_metadata=FULL: then the columns are called @1, @2, ..., keys are unknown, and
 * (MariaDB's NO_LOG) signs and collations too, so that the values must not be used.
 *
 * Columns of types that Lutra does not carry get kind NONE; see rows.h. Types 7, 11 and 12
 * (TIMESTAMP, TIME, DATETIME in the format before MySQL 5.6) do not tell their fractional digits:
 * `decimals` is 0 and must be set from information_schema where the source is MariaDB
 * (lutra_column_hides_decimals). */
int lutra_table_map_decode(const struct lutra_table_map *map,
                           struct lutra_table **table,
                           bool *has_names,
                           struct lutra_error *err) LUTRA_MUST_CHECK;

bool lutra_column_hides_decimals(const struct lutra_column *column);

#endif
