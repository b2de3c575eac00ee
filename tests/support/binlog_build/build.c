#include "binlog_build/build.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "binlog_build/build_internal.h"

enum { POST_HEADERS = 171, DEFAULT_TIMESTAMP_S = 1795361000, FULL_PACKET = 0xFFFFFF };

/* Appends an event; end_offset 0: it stands in no file. */
static void append_event(struct lutra_buf *out,
                         uint32_t timestamp_s,
                         uint8_t code,
                         uint32_t server_id,
                         uint64_t end_offset,
                         uint16_t flags,
                         const void *body,
                         size_t len,
                         bool checksum)
{
    size_t start = out->len;
    lutra_buf_put_le(out, timestamp_s, 4);
    lutra_buf_put_u8(out, code);
    lutra_buf_put_le(out, server_id, 4);
    lutra_buf_put_le(
        out, LUTRA_EVENT_HEADER_BYTES + len + (checksum ? LUTRA_EVENT_CHECKSUM_BYTES : 0), 4);
    lutra_buf_put_le(out, end_offset & UINT32_MAX, 4);
    lutra_buf_put_le(out, flags, 2);
    lutra_buf_append(out, body, len);
    if (checksum) {
        lutra_buf_put_le(out, crc32_z(0, out->data + start, out->len - start), 4);
    }
}

static uint64_t add(struct binlog_file *file,
                    uint8_t code,
                    uint16_t flags,
                    const void *body,
                    size_t len,
                    bool checksum)
{
    uint64_t start = file->bytes.len;
    uint64_t end =
        start + LUTRA_EVENT_HEADER_BYTES + len + (checksum ? LUTRA_EVENT_CHECKSUM_BYTES : 0);
    append_event(&file->bytes, file->timestamp_s, code, file->server_id, end, flags, body, len,
                 checksum);
    return start;
}

uint64_t
binlog_event(struct binlog_file *file, uint8_t code, uint16_t flags, const void *body, size_t len)
{
    return add(file, code, flags, body, len, file->checksum);
}

static uint64_t add_buf(struct binlog_file *file, uint8_t code, struct lutra_buf *body)
{
    uint64_t start = binlog_event(file, code, 0, body->data, body->len);
    lutra_buf_fini(body);
    return start;
}

static uint8_t post_header_len(unsigned code)
{
    switch (code) {
    case LUTRA_EVENT_QUERY:
    case LUTRA_EVENT_QUERY_COMPRESSED:
        return 13;
    case LUTRA_EVENT_ROTATE:
    case LUTRA_EVENT_TABLE_MAP:
    case LUTRA_EVENT_WRITE_ROWS_V1:
    case LUTRA_EVENT_UPDATE_ROWS_V1:
    case LUTRA_EVENT_DELETE_ROWS_V1:
        return 8;
    case LUTRA_EVENT_FORMAT_DESCRIPTION:
        return 228;
    case LUTRA_EVENT_INCIDENT:
        return 2;
    case LUTRA_EVENT_MARIADB_GTID:
        return 19;
    case LUTRA_EVENT_BINLOG_CHECKPOINT:
    case LUTRA_EVENT_GTID_LIST:
        return 4;
    default:
        return 0;
    }
}

void binlog_file_init(struct binlog_file *file, const char *name, uint32_t server_id, bool checksum)
{
    static const char version[50] = "10.11.19-MariaDB-log";
    struct lutra_buf body = {0};
    *file = (struct binlog_file){
        .server_id = server_id, .timestamp_s = DEFAULT_TIMESTAMP_S, .checksum = checksum};
    snprintf(file->name, sizeof(file->name), "%s", name);
    lutra_buf_append(&file->bytes,
                     "\xfe"
                     "bin",
                     4);
    lutra_buf_put_le(&body, 4, 2);
    lutra_buf_append(&body, version, sizeof(version));
    lutra_buf_put_le(&body, file->timestamp_s, 4);
    lutra_buf_put_u8(&body, LUTRA_EVENT_HEADER_BYTES);
    for (unsigned code = 1; code <= POST_HEADERS; code++) {
        lutra_buf_put_u8(&body, post_header_len(code));
    }
    lutra_buf_put_u8(&body, checksum);
    /* This one always has a checksum. */
    add(file, LUTRA_EVENT_FORMAT_DESCRIPTION, 0, body.data, body.len, true);
    lutra_buf_fini(&body);
}

void binlog_file_fini(struct binlog_file *file)
{
    lutra_buf_fini(&file->bytes);
}

uint64_t binlog_gtid(
    struct binlog_file *file, uint32_t domain, uint32_t server_id, uint64_t seq, uint8_t flags)
{
    struct lutra_buf body = {0};
    lutra_buf_put_le(&body, seq, 8);
    lutra_buf_put_le(&body, domain, 4);
    lutra_buf_put_u8(&body, flags);
    lutra_buf_append(&body, "\0\0\0\0\0", 6);
    /* The server id of a GTID is that of its event's header. */
    uint32_t own = file->server_id;
    file->server_id = server_id;
    uint64_t start = add_buf(file, LUTRA_EVENT_MARIADB_GTID, &body);
    file->server_id = own;
    return start;
}

uint64_t binlog_gtid_list(struct binlog_file *file, const struct lutra_gtid *gtids, size_t n)
{
    struct lutra_buf body = {0};
    lutra_buf_put_le(&body, n, 4);
    for (size_t i = 0; i < n; i++) {
        lutra_buf_put_le(&body, gtids[i].domain, 4);
        lutra_buf_put_le(&body, gtids[i].server_id, 4);
        lutra_buf_put_le(&body, gtids[i].seq, 8);
    }
    return add_buf(file, LUTRA_EVENT_GTID_LIST, &body);
}

uint64_t binlog_query(struct binlog_file *file, const char *schema, const char *text)
{
    /* Flags, then sql_mode: what a server always writes first. */
    static const uint8_t status[14] = {0, 0, 0, 0, 0, 1};
    struct lutra_buf body = {0};
    lutra_buf_put_le(&body, 1, 4);
    lutra_buf_put_le(&body, 0, 4);
    lutra_buf_put_u8(&body, (uint8_t)strlen(schema));
    lutra_buf_put_le(&body, 0, 2);
    lutra_buf_put_le(&body, sizeof(status), 2);
    lutra_buf_append(&body, status, sizeof(status));
    lutra_buf_append(&body, schema, strlen(schema) + 1);
    lutra_buf_append(&body, text, strlen(text));
    return add_buf(file, LUTRA_EVENT_QUERY, &body);
}

uint64_t binlog_xid(struct binlog_file *file, uint64_t xid)
{
    struct lutra_buf body = {0};
    lutra_buf_put_le(&body, xid, 8);
    return add_buf(file, LUTRA_EVENT_XID, &body);
}

uint64_t
binlog_table_map(struct binlog_file *file, uint64_t table_id, const struct lutra_table *table)
{
    struct lutra_buf body = {0};
    lutra_buf_put_le(&body, table_id, 6);
    lutra_buf_put_le(&body, 1, 2);
    lutra_buf_put_u8(&body, (uint8_t)strlen(table->schema));
    lutra_buf_append(&body, table->schema, strlen(table->schema) + 1);
    lutra_buf_put_u8(&body, (uint8_t)strlen(table->name));
    lutra_buf_append(&body, table->name, strlen(table->name) + 1);
    build_definition(&body, table);
    return add_buf(file, LUTRA_EVENT_TABLE_MAP, &body);
}

static void put_bitmap(struct lutra_buf *out, size_t n_bits)
{
    for (size_t i = 0; i < n_bits; i += 8) {
        lutra_buf_put_u8(out, (uint8_t)(n_bits - i >= 8 ? 0xff : (1u << (n_bits - i)) - 1));
    }
}

static void
put_image(struct lutra_buf *out, const struct lutra_table *table, struct lutra_cur *rows)
{
    struct lutra_error err = {0};
    size_t nulls = out->len;
    for (size_t i = 0; i < table->n_columns; i += 8) {
        lutra_buf_put_u8(out, 0);
    }
    for (size_t i = 0; i < table->n_columns; i++) {
        struct lutra_value value;
        LUTRA_ASSERT(lutra_values_next(rows, &value, &err) == 0 && value.tag != LUTRA_VALUE_ABSENT);
        if (value.tag == LUTRA_VALUE_NULL) {
            out->data[nulls + i / 8] |= (uint8_t)(1u << i % 8);
        } else {
            build_value(out, &table->columns[i], &value);
        }
    }
}

uint64_t binlog_rows(struct binlog_file *file,
                     uint64_t table_id,
                     const struct lutra_table *table,
                     enum lutra_rows_op op,
                     struct lutra_buf *rows)
{
    static const uint8_t codes[] = {
        [LUTRA_ROWS_INSERT] = LUTRA_EVENT_WRITE_ROWS_V1,
        [LUTRA_ROWS_UPDATE] = LUTRA_EVENT_UPDATE_ROWS_V1,
        [LUTRA_ROWS_DELETE] = LUTRA_EVENT_DELETE_ROWS_V1,
    };
    struct lutra_buf body = {0};
    struct lutra_cur cur = lutra_cur_of(rows->data, rows->len);
    lutra_buf_put_le(&body, table_id, 6);
    lutra_buf_put_le(&body, LUTRA_ROWS_F_STATEMENT_END, 2);
    build_lenenc(&body, table->n_columns);
    put_bitmap(&body, table->n_columns);
    if (op == LUTRA_ROWS_UPDATE) {
        put_bitmap(&body, table->n_columns);
    }
    while (lutra_cur_left(&cur) > 0) {
        put_image(&body, table, &cur);
        if (op == LUTRA_ROWS_UPDATE) {
            put_image(&body, table, &cur);
        }
    }
    lutra_buf_clear(rows);
    return add_buf(file, codes[op], &body);
}

static void rotate_body(struct lutra_buf *body, const char *name, uint64_t offset)
{
    lutra_buf_put_le(body, offset, 8);
    lutra_buf_append(body, name, strlen(name));
}

uint64_t binlog_rotate(struct binlog_file *file, const char *next_name)
{
    struct lutra_buf body = {0};
    rotate_body(&body, next_name, 4);
    return add_buf(file, LUTRA_EVENT_ROTATE, &body);
}

/* ---- streams ---- */

void binlog_artificial_rotate(
    struct lutra_buf *out, uint32_t server_id, const char *name, uint64_t offset, bool checksum)
{
    struct lutra_buf body = {0};
    rotate_body(&body, name, offset);
    append_event(out, 0, LUTRA_EVENT_ROTATE, server_id, 0, LUTRA_EVENT_F_ARTIFICIAL, body.data,
                 body.len, checksum);
    lutra_buf_fini(&body);
}

void binlog_heartbeat(
    struct lutra_buf *out, uint32_t server_id, const char *name, uint32_t offset, bool checksum)
{
    append_event(out, 0, LUTRA_EVENT_HEARTBEAT, server_id, offset, 0, name, strlen(name), checksum);
}

void binlog_packet(struct lutra_buf *wire, uint8_t *sequence, const void *event, size_t len)
{
    const uint8_t *data = event;
    size_t left = len + 1; /* the status byte */
    for (;;) {
        size_t n = left < FULL_PACKET ? left : FULL_PACKET;
        bool first = left == len + 1;
        lutra_buf_put_le(wire, n, 3);
        lutra_buf_put_u8(wire, (*sequence)++);
        if (first) {
            lutra_buf_put_u8(wire, 0);
        }
        lutra_buf_append(wire, data, n - first);
        data += n - first;
        left -= n;
        if (n < FULL_PACKET) {
            return;
        }
    }
}

static void
put_short_packet(struct lutra_buf *wire, uint8_t *sequence, const void *payload, size_t len)
{
    lutra_buf_put_le(wire, len, 3);
    lutra_buf_put_u8(wire, (*sequence)++);
    lutra_buf_append(wire, payload, len);
}

void binlog_packet_eof(struct lutra_buf *wire, uint8_t *sequence)
{
    put_short_packet(wire, sequence, "\xfe\0\0\2", 5);
}

void binlog_packet_error(struct lutra_buf *wire,
                         uint8_t *sequence,
                         uint16_t code,
                         const char *message)
{
    struct lutra_buf payload = {0};
    lutra_buf_put_u8(&payload, 0xff);
    lutra_buf_put_le(&payload, code, 2);
    lutra_buf_printf(&payload, "#HY000%s", message);
    put_short_packet(wire, sequence, payload.data, payload.len);
    lutra_buf_fini(&payload);
}

size_t binlog_packet_file(struct lutra_buf *wire,
                          uint8_t *sequence,
                          const struct binlog_file *file,
                          uint64_t offset)
{
    size_t n = 0;
    while (offset < file->bytes.len) {
        struct lutra_cur size_at = lutra_cur_of(file->bytes.data + offset + 9, 4);
        size_t size = (size_t)lutra_cur_le(&size_at, 4);
        binlog_packet(wire, sequence, file->bytes.data + offset, size);
        offset += size;
        n++;
    }
    return n;
}
