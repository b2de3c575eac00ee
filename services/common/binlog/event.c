#include "binlog/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "binlog/event_internal.h"

enum {
    FORMAT_VERSION = 4,
    FORMAT_FIXED_BYTES = 2 + 50 + 4 + 1,
    FORMAT_MIN_BYTES =
        LUTRA_EVENT_HEADER_BYTES + FORMAT_FIXED_BYTES + 1 + LUTRA_EVENT_CHECKSUM_BYTES,
    FLAGS_OFFSET = 17,
};
enum { CHECKSUM_NONE = 0, CHECKSUM_CRC32 = 1 };

void lutra_binlog_format_init(struct lutra_binlog_format *format,
                              enum lutra_flavor flavor,
                              bool checksum_negotiated)
{
    *format = (struct lutra_binlog_format){.flavor = flavor, .checksum = checksum_negotiated};
}

int lutra_event_error(const struct lutra_event *event, const char *what, struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_DATA, 0, "%s event (code %u) ending at %" PRIu32 ": %s",
                           lutra_event_name(event->code), event->code, event->end_offset, what);
}

static uint32_t read_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int
check_crc(const struct lutra_event *event, const uint8_t *data, size_t len, struct lutra_error *err)
{
    uint32_t stored = read_u32(data + len - LUTRA_EVENT_CHECKSUM_BYTES);
    uLong crc;
    size_t covered = len - LUTRA_EVENT_CHECKSUM_BYTES;
    if (event->code == LUTRA_EVENT_FORMAT_DESCRIPTION) {
        /* The server computes it with the in-use flag cleared and sets that flag afterwards. */
        uint8_t flags = (uint8_t)(data[FLAGS_OFFSET] & ~LUTRA_EVENT_F_IN_USE);
        crc = crc32(0, data, FLAGS_OFFSET);
        crc = crc32(crc, &flags, 1);
        crc = crc32_z(crc, data + FLAGS_OFFSET + 1, covered - FLAGS_OFFSET - 1);
    } else {
        crc = crc32_z(0, data, covered);
    }
    if (crc != stored) {
        return lutra_event_error(event, "checksum mismatch", err);
    }
    return 0;
}

static int parse_format(struct lutra_binlog_format *format,
                        const struct lutra_event *event,
                        struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    struct lutra_binlog_format next = {.flavor = format->flavor, .known = true};
    unsigned version = (unsigned)lutra_cur_le(&cur, 2);
    const uint8_t *server = lutra_cur_bytes(&cur, sizeof(next.server_version) - 1);
    next.created_s = (uint32_t)lutra_cur_le(&cur, 4);
    unsigned header_len = lutra_cur_u8(&cur);
    if (cur.bad || version != FORMAT_VERSION || header_len != LUTRA_EVENT_HEADER_BYTES) {
        return lutra_event_error(event, "not binlog format 4", err);
    }
    memcpy(next.server_version, server, sizeof(next.server_version) - 1);
    if (strcasestr(next.server_version, "mariadb")) {
        next.flavor = LUTRA_FLAVOR_MARIADB;
    } else if (next.flavor == LUTRA_FLAVOR_NONE) {
        next.flavor = LUTRA_FLAVOR_MYSQL;
    }
    /* One length for each event code from 1 on; the last byte is the checksum algorithm. */
    size_t n = lutra_cur_left(&cur) - 1;
    for (size_t code = 1; code <= n && code < sizeof(next.post_header_len); code++) {
        next.post_header_len[code] = cur.p[code - 1];
    }
    next.checksum = cur.p[n] == CHECKSUM_CRC32;
    *format = next;
    return 0;
}

/* Whether this event ends with a checksum: a FORMAT_DESCRIPTION always does and names the algorithm
 * of its file; everything else, artificial ROTATE events too, follows the last FORMAT_DESCRIPTION.
 */
static int find_checksum(const struct lutra_binlog_format *format,
                         const struct lutra_event *event,
                         const uint8_t *data,
                         size_t len,
                         bool *checksum,
                         struct lutra_error *err)
{
    *checksum = format->checksum;
    if (event->code == LUTRA_EVENT_FORMAT_DESCRIPTION) {
        if (len < FORMAT_MIN_BYTES) {
            return lutra_event_error(event, "too short, or from a server without checksums", err);
        }
        uint8_t algorithm = data[len - LUTRA_EVENT_CHECKSUM_BYTES - 1];
        if (algorithm != CHECKSUM_NONE && algorithm != CHECKSUM_CRC32) {
            return lutra_error_set(err, LUTRA_CONFIG, 0,
                                   "binlog checksum algorithm %u is unknown, set the source's "
                                   "binlog_checksum to CRC32 or NONE",
                                   algorithm);
        }
        *checksum = true;
    }
    if (*checksum && len < LUTRA_EVENT_HEADER_BYTES + LUTRA_EVENT_CHECKSUM_BYTES) {
        return lutra_event_error(event, "too short for its checksum", err);
    }
    return 0;
}

int lutra_event_parse(struct lutra_binlog_format *format,
                      const void *data,
                      size_t len,
                      struct lutra_event *event,
                      struct lutra_error *err)
{
    const uint8_t *bytes = data;
    bool checksum;
    *event = (struct lutra_event){0};
    if (len < LUTRA_EVENT_HEADER_BYTES) {
        return lutra_error_set(err, LUTRA_DATA, 0,
                               "binlog event of %zu bytes is shorter than its header", len);
    }
    event->timestamp_s = read_u32(bytes);
    event->code = bytes[4];
    event->server_id = read_u32(bytes + 5);
    event->size_bytes = read_u32(bytes + 9);
    event->end_offset = read_u32(bytes + 13);
    event->flags = (uint16_t)(bytes[FLAGS_OFFSET] | bytes[FLAGS_OFFSET + 1] << 8);
    if (event->size_bytes != len) {
        return lutra_error_set(
            err, LUTRA_DATA, 0,
            "%s event ending at %" PRIu32 ": says it has %" PRIu32 " bytes, %zu came",
            lutra_event_name(event->code), event->end_offset, event->size_bytes, len);
    }
    if (find_checksum(format, event, bytes, len, &checksum, err)) {
        return -1;
    }
    if (checksum && check_crc(event, bytes, len, err)) {
        return -1;
    }
    event->body = bytes + LUTRA_EVENT_HEADER_BYTES;
    event->body_len =
        len - LUTRA_EVENT_HEADER_BYTES - (checksum ? (size_t)LUTRA_EVENT_CHECKSUM_BYTES : 0);
    return event->code == LUTRA_EVENT_FORMAT_DESCRIPTION ? parse_format(format, event, err) : 0;
}

bool lutra_event_is_artificial(const struct lutra_event *event)
{
    return (event->flags & LUTRA_EVENT_F_ARTIFICIAL) != 0 || event->end_offset == 0;
}

uint64_t lutra_event_end_offset(uint64_t previous_end_offset, const struct lutra_event *event)
{
    uint64_t end = (previous_end_offset & ~(uint64_t)UINT32_MAX) | event->end_offset;
    return end < previous_end_offset ? end + ((uint64_t)1 << 32) : end;
}

int lutra_event_split(const struct lutra_binlog_format *format,
                      const struct lutra_event *event,
                      size_t least,
                      size_t usual,
                      struct lutra_cur *post_header,
                      struct lutra_cur *rest,
                      struct lutra_error *err)
{
    size_t len = format->known ? format->post_header_len[event->code] : usual;
    if (len < least || len > event->body_len) {
        return lutra_event_error(event, "post-header is too short", err);
    }
    *post_header = lutra_cur_of(event->body, len);
    *rest = lutra_cur_of(event->body + len, event->body_len - len);
    return 0;
}

uint64_t lutra_event_table_id(const struct lutra_binlog_format *format,
                              const struct lutra_event *event,
                              struct lutra_cur *post_header)
{
    bool oldest = format->known && format->post_header_len[event->code] == 6;
    return lutra_cur_le(post_header, oldest ? 4 : 6);
}

static int copy_file_name(const struct lutra_event *event,
                          const uint8_t *name,
                          size_t len,
                          struct lutra_event_rotate *out,
                          struct lutra_error *err)
{
    if (len == 0 || len >= sizeof(out->file) || memchr(name, '\0', len)) {
        return lutra_event_error(event, "bad file name", err);
    }
    memcpy(out->file, name, len);
    out->file[len] = '\0';
    return 0;
}

int lutra_event_rotate(const struct lutra_event *event,
                       struct lutra_event_rotate *out,
                       struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    *out = (struct lutra_event_rotate){.offset = lutra_cur_le(&cur, 8)};
    if (cur.bad) {
        return lutra_event_error(event, "too short", err);
    }
    return copy_file_name(event, cur.p, lutra_cur_left(&cur), out, err);
}

static int heartbeat_v2(const struct lutra_event *event,
                        struct lutra_event_rotate *out,
                        struct lutra_error *err)
{
    enum { FIELD_END = 0, FIELD_FILE = 1, FIELD_OFFSET = 2 };
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    while (lutra_cur_left(&cur) > 0) {
        uint64_t field = lutra_cur_lenenc(&cur);
        if (field == FIELD_END) {
            break;
        }
        uint64_t len = lutra_cur_lenenc(&cur);
        const uint8_t *value = lutra_cur_bytes(&cur, len <= SIZE_MAX ? (size_t)len : SIZE_MAX);
        if (cur.bad) {
            break;
        }
        if (field == FIELD_FILE && copy_file_name(event, value, (size_t)len, out, err)) {
            return -1;
        }
        if (field == FIELD_OFFSET) {
            struct lutra_cur number = lutra_cur_of(value, (size_t)len);
            out->offset = lutra_cur_lenenc(&number);
            cur.bad = cur.bad || number.bad;
        }
    }
    return cur.bad || !out->file[0] ? lutra_event_error(event, "malformed", err) : 0;
}

int lutra_event_heartbeat(const struct lutra_event *event,
                          struct lutra_event_rotate *out,
                          struct lutra_error *err)
{
    *out = (struct lutra_event_rotate){.offset = event->end_offset};
    if (event->code == LUTRA_EVENT_HEARTBEAT_V2) {
        return heartbeat_v2(event, out, err);
    }
    if (event->end_offset == 0 && event->body_len > 8) {
        /* MariaDB beyond 4 GiB: eight bytes of offset stand before the name. */
        return lutra_event_rotate(event, out, err);
    }
    return copy_file_name(event, event->body, event->body_len, out, err);
}

int lutra_event_xid(const struct lutra_event *event, uint64_t *xid, struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    *xid = lutra_cur_le(&cur, 8);
    return cur.bad ? lutra_event_error(event, "too short", err) : 0;
}

void lutra_event_read_xid(struct lutra_cur *cur, unsigned length_bytes, struct lutra_xid *xid)
{
    xid->format_id = (uint32_t)lutra_cur_le(cur, 4);
    uint64_t gtrid_len = lutra_cur_le(cur, length_bytes);
    uint64_t bqual_len = lutra_cur_le(cur, length_bytes);
    if (gtrid_len > 64 || bqual_len > 64) {
        cur->bad = true;
        return;
    }
    const uint8_t *data = lutra_cur_bytes(cur, (size_t)(gtrid_len + bqual_len));
    if (data) {
        xid->gtrid_len = (uint8_t)gtrid_len;
        xid->bqual_len = (uint8_t)bqual_len;
        memcpy(xid->data, data, (size_t)(gtrid_len + bqual_len));
    }
}

int lutra_event_xa_prepare(const struct lutra_event *event,
                           struct lutra_event_xa_prepare *out,
                           struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    *out = (struct lutra_event_xa_prepare){.one_phase = lutra_cur_u8(&cur) != 0};
    lutra_event_read_xid(&cur, 4, &out->xid);
    return cur.bad ? lutra_event_error(event, "malformed", err) : 0;
}

int lutra_event_incident(const struct lutra_event *event,
                         struct lutra_event_incident *out,
                         struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    *out = (struct lutra_event_incident){.number = (unsigned)lutra_cur_le(&cur, 2)};
    size_t len = lutra_cur_u8(&cur);
    const uint8_t *message = lutra_cur_bytes(&cur, len);
    if (cur.bad) {
        return lutra_event_error(event, "malformed", err);
    }
    snprintf(out->message, sizeof(out->message), "%.*s", (int)len, (const char *)message);
    return 0;
}

/* ---- query ---- */

static int query_text(const struct lutra_event *event,
                      struct lutra_cur *cur,
                      size_t max_bytes,
                      struct lutra_buf *scratch,
                      struct lutra_event_query *out,
                      struct lutra_error *err)
{
    out->text = (const char *)cur->p;
    out->text_len = lutra_cur_left(cur);
    if (event->code != LUTRA_EVENT_QUERY_COMPRESSED) {
        return 0;
    }
    lutra_buf_clear(scratch);
    if (lutra_event_inflate(event, cur->p, out->text_len, max_bytes, scratch, err)) {
        return -1;
    }
    out->text = lutra_buf_cstr(scratch);
    out->text_len = scratch->len;
    return 0;
}

/* The session's settings, of which sql_mode is the second; the flags before it are the first. */
static enum lutra_query_escapes query_escapes(struct lutra_cur status)
{
    enum { VAR_FLAGS = 0, VAR_SQL_MODE = 1, NO_BACKSLASH_ESCAPES = 1 << 20 };
    unsigned var = lutra_cur_u8(&status);
    if (!status.bad && var == VAR_FLAGS) {
        (void)lutra_cur_bytes(&status, 4);
        var = lutra_cur_u8(&status);
    }
    uint64_t mode = lutra_cur_le(&status, 8);
    if (status.bad || var != VAR_SQL_MODE) {
        return LUTRA_ESCAPES_UNKNOWN;
    }
    return mode & NO_BACKSLASH_ESCAPES ? LUTRA_ESCAPES_NONE : LUTRA_ESCAPES_BACKSLASH;
}

int lutra_event_query(const struct lutra_binlog_format *format,
                      const struct lutra_event *event,
                      size_t max_bytes,
                      struct lutra_buf *scratch,
                      struct lutra_event_query *out,
                      struct lutra_error *err)
{
    struct lutra_cur head, rest;
    *out = (struct lutra_event_query){0};
    size_t least = event->code == LUTRA_EVENT_EXECUTE_LOAD_QUERY ? 26 : 13;
    if (lutra_event_split(format, event, least, least, &head, &rest, err)) {
        return -1;
    }
    out->thread_id = (uint32_t)lutra_cur_le(&head, 4);
    out->exec_s = (uint32_t)lutra_cur_le(&head, 4);
    out->schema_len = lutra_cur_u8(&head);
    out->error_code = (uint16_t)lutra_cur_le(&head, 2);
    size_t status_len = (size_t)lutra_cur_le(&head, 2);
    const uint8_t *status = lutra_cur_bytes(&rest, status_len);
    if (status) {
        out->escapes = query_escapes(lutra_cur_of(status, status_len));
    }
    out->schema = (const char *)lutra_cur_bytes(&rest, out->schema_len);
    uint8_t end_of_schema = lutra_cur_u8(&rest);
    if (head.bad || rest.bad || end_of_schema != 0) {
        return lutra_event_error(event, "malformed", err);
    }
    return query_text(event, &rest, max_bytes, scratch, out, err);
}

/* ---- rows ---- */

bool lutra_event_is_rows(uint8_t code)
{
    return (code >= LUTRA_EVENT_WRITE_ROWS_V1 && code <= LUTRA_EVENT_DELETE_ROWS_V1) ||
           (code >= LUTRA_EVENT_WRITE_ROWS && code <= LUTRA_EVENT_DELETE_ROWS) ||
           (code >= LUTRA_EVENT_WRITE_ROWS_COMPRESSED_V1 &&
            code <= LUTRA_EVENT_DELETE_ROWS_COMPRESSED);
}

/* Only the rows themselves are compressed: column count and bitmaps stand before them in the clear.
 */
static int inflate_rows(const struct lutra_event *event,
                        struct lutra_cur *cur,
                        size_t max_bytes,
                        struct lutra_buf *scratch,
                        struct lutra_event_rows *out,
                        struct lutra_error *err)
{
    const uint8_t *start = cur->p;
    uint64_t n_columns = lutra_cur_lenenc(cur);
    if (n_columns > UINT16_MAX) {
        return lutra_event_error(event, "bad column count", err);
    }
    bool update = out->code == LUTRA_EVENT_UPDATE_ROWS_V1 || out->code == LUTRA_EVENT_UPDATE_ROWS;
    (void)lutra_cur_bytes(cur, ((size_t)n_columns + 7) / 8 * (update ? 2 : 1));
    if (cur->bad) {
        return lutra_event_error(event, "cut short", err);
    }
    lutra_buf_clear(scratch);
    lutra_buf_append(scratch, start, (size_t)(cur->p - start));
    if (lutra_event_inflate(event, cur->p, lutra_cur_left(cur), max_bytes, scratch, err)) {
        return -1;
    }
    out->body = scratch->data;
    out->body_len = scratch->len;
    return 0;
}

int lutra_event_rows_table_id(const struct lutra_binlog_format *format,
                              const struct lutra_event *event,
                              uint64_t *table_id,
                              struct lutra_error *err)
{
    struct lutra_cur head, rest;
    if (lutra_event_split(format, event, 6, 8, &head, &rest, err)) {
        return -1;
    }
    *table_id = lutra_event_table_id(format, event, &head);
    return head.bad ? lutra_event_error(event, "malformed", err) : 0;
}

int lutra_event_rows(const struct lutra_binlog_format *format,
                     const struct lutra_event *event,
                     size_t max_bytes,
                     struct lutra_buf *scratch,
                     struct lutra_event_rows *out,
                     struct lutra_error *err)
{
    struct lutra_cur head, rest;
    bool compressed = event->code >= LUTRA_EVENT_WRITE_ROWS_COMPRESSED_V1;
    *out = (struct lutra_event_rows){.code = event->code};
    if (compressed) {
        bool v1 = event->code <= LUTRA_EVENT_DELETE_ROWS_COMPRESSED_V1;
        out->code = v1 ? (uint8_t)(event->code - LUTRA_EVENT_WRITE_ROWS_COMPRESSED_V1 +
                                   LUTRA_EVENT_WRITE_ROWS_V1)
                       : (uint8_t)(event->code - LUTRA_EVENT_WRITE_ROWS_COMPRESSED +
                                   LUTRA_EVENT_WRITE_ROWS);
    }
    bool v2 = out->code >= LUTRA_EVENT_WRITE_ROWS;
    if (lutra_event_split(format, event, v2 ? 10 : 6, v2 ? 10 : 8, &head, &rest, err)) {
        return -1;
    }
    out->table_id = lutra_event_table_id(format, event, &head);
    out->flags = (uint16_t)lutra_cur_le(&head, 2);
    if (v2) {
        uint64_t extra = lutra_cur_le(&head, 2); /* counts its own two bytes */
        (void)lutra_cur_bytes(&rest, extra >= 2 ? (size_t)extra - 2 : SIZE_MAX);
    }
    if (head.bad || rest.bad) {
        return lutra_event_error(event, "malformed", err);
    }
    if (compressed) {
        return inflate_rows(event, &rest, max_bytes, scratch, out, err);
    }
    out->body = rest.p;
    out->body_len = lutra_cur_left(&rest);
    return 0;
}
