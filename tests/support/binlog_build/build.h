/* Test support: makes binlogs as MariaDB 10.11 with binlog_row_metadata=FULL would, so that a fake
 * source can serve them.
 *
 *   struct lutra_table *t = binlog_table("shop", "orders", "id BIGINT KEY, note VARCHAR(100)
 * NULL"); struct binlog_file file; binlog_file_init(&file, "binlog.000001", 1, true);
 *   binlog_gtid(&file, 0, 1, 100, 0);
 *   binlog_table_map(&file, 17, t);
 *   binlog_row(&rows, t, (const char *const[]){"1", NULL});
 *   binlog_rows(&file, 17, t, LUTRA_ROWS_INSERT, &rows);
 *   binlog_xid(&file, 5);
 *   binlog_rotate(&file, "binlog.000002");
 *
 * Each event function returns the offset at which the event begins; file.bytes.len is where the
 * next will. What does not fit (an unknown type, a text that is no number) is a fault of the test
 * and aborts. */
#ifndef BINLOG_BUILD_H
#define BINLOG_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "binlog/codes.h"
#include "binlog/event.h"
#include "binlog/rows.h"
#include "model/table.h"

/* ---- tables and rows ---- */

/* Columns as in SQL, fewer words: "id BIGINT UNSIGNED KEY, d DECIMAL(10,2) NULL, at DATETIME(6), s
 * VARCHAR(40)". KEY: the next part of the primary key. Without NULL a column is NOT NULL. Types:
 * TINYINT SMALLINT MEDIUMINT INT BIGINT [UNSIGNED], YEAR, DECIMAL(p,s), DATE, TIME(n), DATETIME(n),
 * TIMESTAMP(n), CHAR(n) VARCHAR(n) TEXT (utf8mb4; n counts characters), BINARY(n) VARBINARY(n)
 * BLOB; and, which the reader refuses: DOUBLE, ENUM, BIT. */
struct lutra_table *binlog_table(const char *schema, const char *name, const char *columns);

/* Appends a packed row (model/values.h) from one text per column; NULL is NULL. For UPDATE: before,
 * then after. */
void binlog_row(struct lutra_buf *rows, const struct lutra_table *table, const char *const *values);

/* ---- files ---- */

struct binlog_file {
    char name[128];
    uint32_t server_id,
        timestamp_s; /* of the events that follow; set the time as the test needs it */
    bool checksum;
    struct lutra_buf bytes; /* magic number, FORMAT_DESCRIPTION, ... */
};

void binlog_file_init(struct binlog_file *file,
                      const char *name,
                      uint32_t server_id,
                      bool checksum);
void binlog_file_fini(struct binlog_file *file);

enum { BINLOG_GTID_STANDALONE = 0x01, BINLOG_GTID_TRANSACTIONAL = 0x04, BINLOG_GTID_DDL = 0x20 };
uint64_t binlog_gtid(
    struct binlog_file *file, uint32_t domain, uint32_t server_id, uint64_t seq, uint8_t flags);
uint64_t binlog_gtid_list(struct binlog_file *file, const struct lutra_gtid *gtids, size_t n);
uint64_t binlog_query(struct binlog_file *file, const char *schema, const char *text);
uint64_t binlog_xid(struct binlog_file *file, uint64_t xid);
uint64_t
binlog_table_map(struct binlog_file *file, uint64_t table_id, const struct lutra_table *table);
/* All packed rows in *rows in one event, full images (ABSENT is not possible); clears *rows. */
uint64_t binlog_rows(struct binlog_file *file,
                     uint64_t table_id,
                     const struct lutra_table *table,
                     enum lutra_rows_op op,
                     struct lutra_buf *rows);
uint64_t binlog_rotate(struct binlog_file *file, const char *next_name);
/* Any body. */
uint64_t
binlog_event(struct binlog_file *file, uint8_t code, uint16_t flags, const void *body, size_t len);

/* ---- streams: what a dump thread sends ---- */

/* Events that stand in no file, appended to *out. */
void binlog_artificial_rotate(
    struct lutra_buf *out, uint32_t server_id, const char *name, uint64_t offset, bool checksum);
void binlog_heartbeat(
    struct lutra_buf *out, uint32_t server_id, const char *name, uint32_t offset, bool checksum);

/* Appends an event (or an EOF, or an error) as packets; *sequence is the number of the next packet.
 */
void binlog_packet(struct lutra_buf *wire, uint8_t *sequence, const void *event, size_t len);
void binlog_packet_eof(struct lutra_buf *wire, uint8_t *sequence);
void binlog_packet_error(struct lutra_buf *wire,
                         uint8_t *sequence,
                         uint16_t code,
                         const char *message);
/* As packets: all events of the file from that offset on (4: from the first); returns how many. */
size_t binlog_packet_file(struct lutra_buf *wire,
                          uint8_t *sequence,
                          const struct binlog_file *file,
                          uint64_t offset);

#endif
