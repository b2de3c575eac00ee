/* Builds binlog events as MariaDB writes them (binlog_row_metadata=FULL, no checksums), one after
 * another, with the offsets they would have. Tables have two columns: id BIGINT UNSIGNED, the
 * primary key, and note VARCHAR(100). */
#ifndef LUTRA_TEST_SELECT_EVENTS_H
#define LUTRA_TEST_SELECT_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct events_item {
    size_t at, len; /* in `bytes` */
};
struct events {
    struct lutra_buf bytes;
    struct events_item *items;
    size_t n;
    char file[64];
    uint64_t offset, seq;
    uint32_t timestamp_s;
};

/* binlog.000001 with its head: an artificial ROTATE and the FORMAT_DESCRIPTION. */
void events_init(struct events *events);
void events_fini(struct events *events);
const uint8_t *events_at(const struct events *events, size_t i);

void events_raw(struct events *events, uint8_t code, uint16_t flags, const void *body, size_t len);
/* The start of a stream at file:offset. */
void events_stream_head(struct events *events);
void events_gtid(struct events *events, uint8_t flags);
enum {
    EVENTS_GTID_STANDALONE = 1,
    EVENTS_GTID_PREPARED_XA = 0x40,
    EVENTS_GTID_COMPLETED_XA = 0x80
};
void events_query(struct events *events, const char *schema, const char *text);
void events_xid(struct events *events);
/* The table's id; `type` of its second column: 15 VARCHAR, 254 CHAR, 247 ENUM (which is not
 * carried). */
void events_table(struct events *events, uint64_t id, const char *name, uint8_t type);
/* n rows with ids from `first` on. */
void events_insert(struct events *events, uint64_t table, unsigned n, uint64_t first);
void events_insert_compressed(struct events *events, uint64_t table, unsigned n, uint64_t first);
void events_rotate(struct events *events, const char *file);
void events_incident(struct events *events, const char *message);

/* A whole transaction: n_events inserts of n_rows rows each into shop.<name>. */
void events_transaction(
    struct events *events, const char *name, unsigned n_events, unsigned n_rows, uint64_t first);
/* A statement with a GTID of its own. */
void events_ddl(struct events *events, const char *schema, const char *text);

#endif
