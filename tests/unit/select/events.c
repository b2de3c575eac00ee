#include "events.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"

enum { HEADER = 19, ARTIFICIAL = 0x20 };
enum {
    QUERY = 2,
    ROTATE = 4,
    FORMAT = 15,
    XID = 16,
    TABLE_MAP = 19,
    WRITE_ROWS_V1 = 23,
    INCIDENT = 26,
    MARIADB_GTID = 162,
    WRITE_ROWS_COMPRESSED_V1 = 166
};

static void put(struct lutra_buf *buf, uint64_t v, unsigned bytes)
{
    lutra_buf_put_le(buf, v, bytes);
}

static struct lutra_buf
header(const struct events *events, uint8_t code, uint16_t flags, size_t len, uint64_t end)
{
    struct lutra_buf buf = {0};
    put(&buf, flags & ARTIFICIAL ? 0 : events->timestamp_s, 4);
    put(&buf, code, 1);
    put(&buf, 1, 4);
    put(&buf, HEADER + len, 4);
    put(&buf, end, 4);
    put(&buf, flags, 2);
    return buf;
}

void events_raw(struct events *events, uint8_t code, uint16_t flags, const void *body, size_t len)
{
    uint64_t end = flags & ARTIFICIAL ? 0 : (events->offset += HEADER + len);
    struct lutra_buf buf = header(events, code, flags, len, end);
    lutra_buf_append(&buf, body, len);
    if (code == FORMAT) {
        uint32_t crc = (uint32_t)crc32(0, buf.data, (uInt)(buf.len - 4));
        memcpy(buf.data + buf.len - 4, &crc, 4);
    }
    events->items = lutra_realloc(events->items, (events->n + 1) * sizeof(*events->items));
    events->items[events->n++] = (struct events_item){events->bytes.len, buf.len};
    lutra_buf_append(&events->bytes, buf.data, buf.len);
    lutra_buf_fini(&buf);
}

const uint8_t *events_at(const struct events *events, size_t i)
{
    return events->bytes.data + events->items[i].at;
}

static void put_rotate(struct events *events, uint16_t flags, const char *file, uint64_t offset)
{
    struct lutra_buf body = {0};
    put(&body, offset, 8);
    lutra_buf_append(&body, file, strlen(file));
    events_raw(events, ROTATE, flags, body.data, body.len);
    lutra_buf_fini(&body);
}

static void put_format(struct events *events, uint16_t flags)
{
    uint8_t post[172] = {0};
    char version[50] = "10.11.19-MariaDB-log";
    struct lutra_buf body = {0};
    post[QUERY] = 13;
    post[ROTATE] = 8;
    post[TABLE_MAP] = 8;
    post[23] = post[24] = post[25] = 8;
    post[INCIDENT] = 2;
    post[30] = post[31] = post[32] = 10;
    post[MARIADB_GTID] = 19;
    post[165] = 13;
    post[166] = post[167] = post[168] = 8;
    put(&body, 4, 2);
    lutra_buf_append(&body, version, sizeof(version));
    put(&body, 0, 4);
    put(&body, HEADER, 1);
    lutra_buf_append(&body, post + 1, 171);
    put(&body, 0, 1); /* no checksums */
    put(&body, 0, 4); /* its own: events_raw */
    events_raw(events, FORMAT, flags, body.data, body.len);
    lutra_buf_fini(&body);
}

void events_init(struct events *events)
{
    *events = (struct events){.offset = 4, .timestamp_s = 1700000000};
    snprintf(events->file, sizeof(events->file), "binlog.000001");
    put_rotate(events, ARTIFICIAL, events->file, 4);
    put_format(events, 0);
}

void events_stream_head(struct events *events)
{
    put_rotate(events, ARTIFICIAL, events->file, events->offset);
    put_format(events, ARTIFICIAL);
}

void events_fini(struct events *events)
{
    lutra_buf_fini(&events->bytes);
    lutra_free(events->items);
    *events = (struct events){0};
}

void events_gtid(struct events *events, uint8_t flags)
{
    struct lutra_buf body = {0};
    put(&body, ++events->seq, 8);
    put(&body, 0, 4);
    put(&body, flags, 1);
    if (flags & (EVENTS_GTID_PREPARED_XA | EVENTS_GTID_COMPLETED_XA)) {
        put(&body, 1, 4);
        put(&body, 1, 1);
        put(&body, 0, 1);
        put(&body, 'x', 1);
    }
    while (body.len < 19) {
        put(&body, 0, 1);
    }
    events_raw(events, MARIADB_GTID, 0, body.data, body.len);
    lutra_buf_fini(&body);
}

void events_query(struct events *events, const char *schema, const char *text)
{
    struct lutra_buf body = {0};
    put(&body, 7, 4);
    put(&body, 0, 4);
    put(&body, strlen(schema), 1);
    put(&body, 0, 2);
    put(&body, 0, 2);
    lutra_buf_append(&body, schema, strlen(schema) + 1);
    lutra_buf_append(&body, text, strlen(text));
    events_raw(events, QUERY, 0, body.data, body.len);
    lutra_buf_fini(&body);
}

void events_xid(struct events *events)
{
    events_raw(events, XID, 0, "\1\0\0\0\0\0\0\0", 8);
}

static void put_text(struct lutra_buf *buf, const char *text, bool nul)
{
    put(buf, strlen(text), 1);
    lutra_buf_append(buf, text, strlen(text) + nul);
}

void events_table(struct events *events, uint64_t id, const char *name, uint8_t type)
{
    struct lutra_buf body = {0}, names = {0};
    put(&body, id, 6);
    put(&body, 1, 2);
    put_text(&body, "shop", true);
    put_text(&body, name, true);
    put(&body, 2, 1);
    put(&body, 8, 1); /* LONGLONG */
    put(&body, type == 247 ? 254 : type, 1);
    put(&body, 2, 1);
    put(&body, type == 15 ? 100 : type, 1);
    put(&body, type == 15 ? 0 : type == 247 ? 1 : 100, 1);
    put(&body, 2, 1);                       /* note may be NULL */
    lutra_buf_append(&body, "\1\1\x80", 3); /* id is unsigned */
    if (type != 247) {
        lutra_buf_append(&body, "\2\1\x2d", 3); /* utf8mb4_general_ci */
    }
    put_text(&names, "id", false);
    put_text(&names, "note", false);
    put(&body, 4, 1);
    put(&body, names.len, 1);
    lutra_buf_append(&body, names.data, names.len);
    lutra_buf_append(&body, "\10\1\0", 3); /* primary key: column 0 */
    events_raw(events, TABLE_MAP, 0, body.data, body.len);
    lutra_buf_fini(&body);
    lutra_buf_fini(&names);
}

static struct lutra_buf rows_bytes(unsigned n, uint64_t first)
{
    struct lutra_buf rows = {0};
    for (unsigned i = 0; i < n; i++) {
        char note[32];
        snprintf(note, sizeof(note), "note %u", (unsigned)(first + i));
        put(&rows, 0, 1); /* no NULLs */
        put(&rows, first + i, 8);
        put_text(&rows, note, false);
    }
    return rows;
}

static struct lutra_buf rows_head(uint64_t table)
{
    struct lutra_buf body = {0};
    put(&body, table, 6);
    put(&body, 1, 2);
    put(&body, 2, 1); /* columns */
    put(&body, 3, 1); /* both are there */
    return body;
}

void events_insert(struct events *events, uint64_t table, unsigned n, uint64_t first)
{
    struct lutra_buf body = rows_head(table), rows = rows_bytes(n, first);
    lutra_buf_append(&body, rows.data, rows.len);
    events_raw(events, WRITE_ROWS_V1, 0, body.data, body.len);
    lutra_buf_fini(&body);
    lutra_buf_fini(&rows);
}

void events_insert_compressed(struct events *events, uint64_t table, unsigned n, uint64_t first)
{
    struct lutra_buf body = rows_head(table), rows = rows_bytes(n, first);
    uLongf len = compressBound(rows.len);
    uint8_t *packed = lutra_alloc(len);
    compress(packed, &len, rows.data, rows.len);
    put(&body, 0x80 | 4, 1);
    for (int shift = 24; shift >= 0; shift -= 8) {
        put(&body, rows.len >> shift & 0xff, 1);
    }
    lutra_buf_append(&body, packed, len);
    events_raw(events, WRITE_ROWS_COMPRESSED_V1, 0, body.data, body.len);
    lutra_free(packed);
    lutra_buf_fini(&body);
    lutra_buf_fini(&rows);
}

void events_rotate(struct events *events, const char *file)
{
    put_rotate(events, 0, file, 4);
    snprintf(events->file, sizeof(events->file), "%s", file);
    events->offset = 4;
    put_rotate(events, ARTIFICIAL, file, 4);
    put_format(events, 0);
}

void events_incident(struct events *events, const char *message)
{
    struct lutra_buf body = {0};
    put(&body, 1, 2);
    put_text(&body, message, false);
    events_raw(events, INCIDENT, 0, body.data, body.len);
    lutra_buf_fini(&body);
}

void events_transaction(
    struct events *events, const char *name, unsigned n_events, unsigned n_rows, uint64_t first)
{
    uint64_t id = 100;
    for (const char *c = name; *c; c++) {
        id = id * 31 + (unsigned char)*c;
    }
    id &= 0xffffff;
    events_gtid(events, 0);
    events_table(events, id, name, 15);
    for (unsigned i = 0; i < n_events; i++) {
        events_insert(events, id, n_rows, first + (uint64_t)i * n_rows);
    }
    events_xid(events);
}

void events_ddl(struct events *events, const char *schema, const char *text)
{
    events_gtid(events, EVENTS_GTID_STANDALONE);
    events_query(events, schema, text);
}
