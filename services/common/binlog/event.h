/* Binlog events: header, checksum, and the parsed forms of those that matter. Rows are in rows.h,
 * tables in table_map.h, compressed transactions in payload.h.
 *
 * Parsed forms borrow from the event's bytes (or from the caller's scratch buffer where something
 * had to be decompressed) and live as long as those. Malformed bytes give -1 and DATA; what this
 * reader refuses by policy gives CONFIG with the server variable to change. */
#ifndef LUTRA_BINLOG_EVENT_H
#define LUTRA_BINLOG_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "binlog/codes.h"
#include "model/position.h"

/* What the last FORMAT_DESCRIPTION said; how every event after it is read. */
struct lutra_binlog_format {
    enum lutra_flavor flavor;
    bool known;    /* a FORMAT_DESCRIPTION was seen */
    bool checksum; /* events end with a CRC32; before the first FORMAT_DESCRIPTION: as negotiated */
    char server_version[51];
    uint32_t created_s;           /* 0 unless the file is the first after a server start */
    uint8_t post_header_len[256]; /* by event code */
};

void lutra_binlog_format_init(struct lutra_binlog_format *format,
                              enum lutra_flavor flavor,
                              bool checksum_negotiated);

struct lutra_event {
    uint32_t timestamp_s; /* of the statement, seconds since 1970; 0 in artificial events */
    uint8_t code;         /* enum lutra_event_code, or one unknown here */
    uint32_t server_id;
    uint32_t size_bytes; /* header and checksum included */
    uint32_t end_offset; /* in its file, low 32 bits; 0: artificial, or inside a compressed
                            transaction */
    uint16_t flags;      /* LUTRA_EVENT_F_* */
    const uint8_t *body; /* without header and checksum */
    size_t body_len;
};

/* Reads the header, verifies the checksum and, for a FORMAT_DESCRIPTION, updates *format. */
int lutra_event_parse(struct lutra_binlog_format *format,
                      const void *data,
                      size_t len,
                      struct lutra_event *event,
                      struct lutra_error *err) LUTRA_MUST_CHECK;

/* "WRITE_ROWS_V1" or "unknown". */
const char *lutra_event_name(uint8_t code);
bool lutra_event_is_artificial(const struct lutra_event *event);

enum lutra_event_use {
    LUTRA_EVENT_REFUSED = -1,
    LUTRA_EVENT_SKIP = 0,   /* carries nothing that we need, or is unknown and marked ignorable */
    LUTRA_EVENT_HANDLE = 1, /* must be looked at */
};
/* What to do with an event of this code. REFUSED fills *err by name: encrypted binlogs, partial
 * JSON updates, formats before MySQL 5.1, unknown events that are not ignorable. */
enum lutra_event_use lutra_event_use(const struct lutra_event *event, struct lutra_error *err);

/* Files may grow beyond 4 GiB (one transaction is never split), the header's offset may not: the
 * 64-bit end offset, given that of the event before in the same file. */
uint64_t lutra_event_end_offset(uint64_t previous_end_offset, const struct lutra_event *event);

struct lutra_event_rotate {
    uint64_t offset; /* where to go on in the next file */
    char file[128];
};
int lutra_event_rotate(const struct lutra_event *event,
                       struct lutra_event_rotate *out,
                       struct lutra_error *err) LUTRA_MUST_CHECK;

/* HEARTBEAT and HEARTBEAT_V2: where the dump thread stands. */
int lutra_event_heartbeat(const struct lutra_event *event,
                          struct lutra_event_rotate *out,
                          struct lutra_error *err) LUTRA_MUST_CHECK;

/* An XA transaction's identifier. */
struct lutra_xid {
    uint32_t format_id;
    uint8_t gtrid_len, bqual_len;
    uint8_t data[128]; /* gtrid, then bqual */
};

/* MARIADB_GTID, GTID, ANONYMOUS_GTID, GTID_TAGGED: the head of a transaction. */
struct lutra_event_gtid {
    struct lutra_gtid gtid;
    bool anonymous;     /* ANONYMOUS_GTID: gtid has only its flavor */
    bool standalone;    /* MariaDB: one event follows and no COMMIT (DDL, non-transactional) */
    bool ddl;           /* MariaDB */
    bool transactional; /* MariaDB: can be rolled back */
    bool xa_prepared,
        xa_completed; /* MariaDB: this is the PREPARE, or the COMMIT/ROLLBACK, of `xid` */
    struct lutra_xid xid;
    uint8_t flags;      /* as in the event */
    uint64_t commit_id; /* MariaDB, 0: none */
    int64_t commit_us,
        original_us; /* MySQL: µs since 1970 at this source, at the first one; else 0 */
    uint64_t last_committed, sequence_number; /* MySQL */
    uint64_t transaction_bytes; /* MySQL 8+: size of the whole, this event included; else 0 */
};
int lutra_event_gtid(const struct lutra_binlog_format *format,
                     const struct lutra_event *event,
                     struct lutra_event_gtid *out,
                     struct lutra_error *err) LUTRA_MUST_CHECK;

/* GTID_LIST (MariaDB) and PREVIOUS_GTIDS (MySQL): what was logged before this file. The caller
 * frees it. NULL on error. MariaDB may list several servers of one domain: the last, which is the
 * newest, counts. */
struct lutra_gtid_set *lutra_event_gtids_before(const struct lutra_event *event,
                                                struct lutra_error *err) LUTRA_MUST_CHECK;

enum lutra_query_escapes {
    LUTRA_ESCAPES_UNKNOWN,
    LUTRA_ESCAPES_BACKSLASH,
    LUTRA_ESCAPES_NONE, /* sql_mode has NO_BACKSLASH_ESCAPES */
};

/* QUERY, QUERY_COMPRESSED, EXECUTE_LOAD_QUERY. What the text means: ddl.h. */
struct lutra_event_query {
    uint32_t thread_id, exec_s;
    uint16_t error_code; /* of the statement at the source */
    enum lutra_query_escapes escapes;
    const char *schema; /* the default schema; not NUL-terminated */
    size_t schema_len;
    const char *text; /* not NUL-terminated */
    size_t text_len;
};
/* A compressed text is written to *scratch, at most max_bytes. */
int lutra_event_query(const struct lutra_binlog_format *format,
                      const struct lutra_event *event,
                      size_t max_bytes,
                      struct lutra_buf *scratch,
                      struct lutra_event_query *out,
                      struct lutra_error *err) LUTRA_MUST_CHECK;

int lutra_event_xid(const struct lutra_event *event,
                    uint64_t *xid,
                    struct lutra_error *err) LUTRA_MUST_CHECK;

struct lutra_event_xa_prepare {
    bool one_phase; /* MySQL: XA COMMIT ... ONE PHASE, so this is the commit */
    struct lutra_xid xid;
};
int lutra_event_xa_prepare(const struct lutra_event *event,
                           struct lutra_event_xa_prepare *out,
                           struct lutra_error *err) LUTRA_MUST_CHECK;

struct lutra_event_incident {
    unsigned number; /* 1: LOST_EVENTS */
    char message[256];
};
int lutra_event_incident(const struct lutra_event *event,
                         struct lutra_event_incident *out,
                         struct lutra_error *err) LUTRA_MUST_CHECK;

/* All rows events, compressed or not. */
struct lutra_event_rows {
    uint64_t table_id;
    uint16_t flags; /* LUTRA_ROWS_F_* */
    uint8_t
        code; /* as rows.h wants it: 23..25 (v1), 30..32 (v2); compressed ones are mapped to it */
    const uint8_t *body; /* from the column count on */
    size_t body_len;
};
enum {
    LUTRA_ROWS_F_STATEMENT_END = 0x01,
    LUTRA_ROWS_F_NO_FOREIGN_KEY_CHECKS = 0x02,
};
bool lutra_event_is_rows(uint8_t code);
/* Whose rows they are, without decompressing anything. */
int lutra_event_rows_table_id(const struct lutra_binlog_format *format,
                              const struct lutra_event *event,
                              uint64_t *table_id,
                              struct lutra_error *err) LUTRA_MUST_CHECK;
/* Compressed rows are written to *scratch, at most max_bytes. */
int lutra_event_rows(const struct lutra_binlog_format *format,
                     const struct lutra_event *event,
                     size_t max_bytes,
                     struct lutra_buf *scratch,
                     struct lutra_event_rows *out,
                     struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
