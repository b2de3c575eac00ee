/* Reads a whole binlog file through the reader and writes what it says as text, one line each:
 *   GTID 0-1-5 ddl | QUERY [s] CREATE TABLE ... | XID | ROTATE binlog.000002:4 | ...
 *   INSERT s.t 1,'text',NULL,~      (~ absent; UPDATE has both images, " -> " between them)
 * Never crashes on damaged bytes: used by the sample tests, the mutation tests and the fuzz target.
 */
#ifndef LUTRA_TEST_WALK_H
#define LUTRA_TEST_WALK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "binlog/event.h"
#include "model/position.h"
#include "model/table.h"

struct walk {
    struct lutra_binlog_format format;
    struct lutra_buf lines;
    uint32_t codes[256];        /* events by code, also those inside payloads */
    uint32_t n_rows, n_refused; /* rows decoded; rows events whose table has unsupported columns */
    struct lutra_gtid_set *gtids; /* of the head of the file, and all transactions since */
    struct lutra_table *tables[512];
    uint64_t table_ids[512];
    size_t n_tables;
    struct lutra_buf scratch, rows;
    size_t max_bytes;
    /* What information_schema would say: fractional digits of the table's old temporal columns. */
    const char *hidden_table;
    const uint8_t *hidden_decimals;
};

void walk_init(struct walk *walk);
void walk_fini(struct walk *walk);
/* A file's bytes, with its 4-byte magic number. */
int walk_file(struct walk *walk, const uint8_t *data, size_t len, struct lutra_error *err);
/* One event's bytes. */
int walk_event(struct walk *walk, const uint8_t *data, size_t len, struct lutra_error *err);
/* Gives every event of a file its right checksum, so that damage done to it reaches the parsers.
 * Stops at the first length that does not fit. */
void walk_repair_checksums(uint8_t *data, size_t len);
const struct lutra_table *walk_table(const struct walk *walk, const char *name); /* the newest */

#endif
