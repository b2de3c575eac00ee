/* The builder's binlogs through the reader: what goes in comes out, for any table and any values.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/packet.h"
#include "binlog/table_map.h"
#include "binlog_build/build.h"
#include "model/values.h"
#include "walk.h"

static const char all_types[] = "id BIGINT UNSIGNED KEY, ti TINYINT NULL, tu TINYINT UNSIGNED "
                                "NULL, si SMALLINT NULL, su SMALLINT UNSIGNED NULL, "
                                "mi MEDIUMINT NULL, mu MEDIUMINT UNSIGNED NULL, ii INT NULL, iu "
                                "INT UNSIGNED NULL, bi BIGINT NULL, y YEAR NULL, "
                                "d1 DECIMAL(1,0) NULL, d2 DECIMAL(10,2) NULL, d3 DECIMAL(65,30) "
                                "NULL, d4 DECIMAL(9,9) NULL, d5 DECIMAL(18,9) NULL, "
                                "d6 DECIMAL(30,0) NULL, da DATE NULL, t0 TIME NULL, t1 TIME(1) "
                                "NULL, t3 TIME(3) NULL, t6 TIME(6) NULL, "
                                "dt0 DATETIME NULL, dt2 DATETIME(2) NULL, dt5 DATETIME(5) NULL, "
                                "ts0 TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL, "
                                "c CHAR(255) NULL, v VARCHAR(10) NULL, vl VARCHAR(300) NULL, tx "
                                "TEXT NULL, b BINARY(16) NULL, vb VARBINARY(300) NULL, "
                                "bl BLOB NULL";

static uint64_t random_state = 88172645463325252u;
static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}
static unsigned below(unsigned n)
{
    return (unsigned)(random_u64() % n);
}

static void random_decimal(struct lutra_buf *row, const struct lutra_column *column)
{
    char text[128];
    unsigned scale = column->meta & 0xff, whole = (column->meta >> 8) - scale, n = 0;
    unsigned digits = whole ? 1 + below(whole) : 1;
    bool zero = true;
    if (below(2)) {
        text[n++] = '-';
    }
    for (unsigned i = 0; i < digits; i++) {
        text[n++] = whole ? (char)('0' + (i == 0 && digits > 1 ? 1 + below(9) : below(10))) : '0';
        zero = zero && text[n - 1] == '0';
    }
    if (scale) {
        text[n++] = '.';
    }
    for (unsigned i = 0; i < scale; i++) {
        text[n++] = (char)('0' + below(10));
        zero = zero && text[n - 1] == '0';
    }
    unsigned skip = zero && text[0] == '-'; /* there is no negative zero */
    lutra_values_put_bytes(row, text + skip, n - skip);
}

static void random_temporal(struct lutra_buf *row, const struct lutra_column *column)
{
    char text[64], fraction[8] = "";
    for (unsigned i = 0; i <= column->decimals && column->decimals; i++) {
        fraction[i] = i ? (char)('0' + below(10)) : '.';
        fraction[i + 1] = '\0';
    }
    if (column->kind == LUTRA_KIND_TIME) {
        bool zero = below(10) == 0;
        unsigned h = zero ? 0 : below(839), m = zero ? 0 : below(60), s = zero ? 0 : 1 + below(59);
        snprintf(text, sizeof(text), "%s%02u:%02u:%02u%s", !zero && below(2) ? "-" : "", h, m, s,
                 fraction);
    } else if (column->kind == LUTRA_KIND_DATE) {
        snprintf(text, sizeof(text), "%04u-%02u-%02u", below(10000), below(13), below(32));
    } else {
        bool stamp = column->kind == LUTRA_KIND_TIMESTAMP;
        unsigned year = stamp ? 1970 + below(68) : below(10000);
        unsigned month = stamp ? 1 + below(12) : below(13), day = stamp ? 1 + below(28) : below(32);
        snprintf(text, sizeof(text), "%04u-%02u-%02u %02u:%02u:%02u%s", year, month, day, below(24),
                 below(60), 1 + below(59), fraction);
    }
    lutra_values_put_bytes(row, text, strlen(text));
}

static void random_bytes(struct lutra_buf *row, const struct lutra_column *column)
{
    uint8_t data[2048];
    size_t most = column->type == LUTRA_TYPE_BLOB ? sizeof(data) : column->meta;
    bool fixed = column->type == LUTRA_TYPE_STRING && column->kind == LUTRA_KIND_BINARY;
    size_t len = fixed ? most : below((unsigned)most + 1);
    for (size_t i = 0; i < len; i++) {
        data[i] = below(4) ? (uint8_t)random_u64() : 0;
    }
    lutra_values_put_bytes(row, data, len);
}

static void random_value(struct lutra_buf *row, const struct lutra_column *column)
{
    static const unsigned bytes[256] = {[LUTRA_TYPE_TINY] = 1,
                                        [LUTRA_TYPE_SHORT] = 2,
                                        [LUTRA_TYPE_INT24] = 3,
                                        [LUTRA_TYPE_LONG] = 4,
                                        [LUTRA_TYPE_LONGLONG] = 8};
    unsigned shift = 64 - 8 * bytes[column->type];
    if (column->nullable && below(5) == 0) {
        lutra_values_put_null(row);
        return;
    }
    switch (column->kind) {
    case LUTRA_KIND_INT:
        if (column->type == LUTRA_TYPE_YEAR) {
            lutra_values_put_int(row, below(4) ? 1901 + below(255) : 0);
        } else {
            lutra_values_put_int(row, (int64_t)random_u64() >> shift);
        }
        break;
    case LUTRA_KIND_UINT:
        lutra_values_put_uint(row, random_u64() >> shift);
        break;
    case LUTRA_KIND_DECIMAL:
        random_decimal(row, column);
        break;
    case LUTRA_KIND_DATE:
    case LUTRA_KIND_TIME:
    case LUTRA_KIND_DATETIME:
    case LUTRA_KIND_TIMESTAMP:
        random_temporal(row, column);
        break;
    case LUTRA_KIND_STRING:
    case LUTRA_KIND_BINARY:
    case LUTRA_KIND_NONE:
        random_bytes(row, column);
        break;
    }
}

struct stream {
    struct lutra_packets packets;
    struct lutra_binlog_format format;
    struct lutra_buf scratch;
};

/* The next event of that code; the others are passed over. */
static struct lutra_event next_event(struct stream *stream, uint8_t code)
{
    struct lutra_packet packet;
    struct lutra_event event;
    struct lutra_error err = {0};
    do {
        cr_assert_eq(lutra_packets_next(&stream->packets, &packet, &err), 1, "no %s: %s",
                     lutra_event_name(code), err.msg);
        cr_assert_eq(packet.kind, LUTRA_PACKET_EVENT);
        cr_assert_eq(lutra_event_parse(&stream->format, packet.data, packet.len, &event, &err), 0,
                     "%s", err.msg);
    } while (event.code != code);
    return event;
}

static void stream_init(struct stream *stream, const struct binlog_file *file)
{
    struct lutra_buf wire = {0};
    uint8_t sequence = 1;
    lutra_packets_init(&stream->packets, 64 << 20);
    lutra_binlog_format_init(&stream->format, LUTRA_FLAVOR_NONE, file->checksum);
    stream->scratch = (struct lutra_buf){0};
    struct lutra_buf rotate = {0};
    binlog_artificial_rotate(&rotate, file->server_id, file->name, 4, file->checksum);
    binlog_packet(&wire, &sequence, rotate.data, rotate.len);
    binlog_packet_file(&wire, &sequence, file, 4);
    lutra_packets_feed(&stream->packets, wire.data, wire.len);
    lutra_buf_fini(&rotate);
    lutra_buf_fini(&wire);
}

static void stream_fini(struct stream *stream)
{
    lutra_packets_fini(&stream->packets);
    lutra_buf_fini(&stream->scratch);
}

static void expect_rows(struct stream *stream,
                        const struct lutra_table *table,
                        uint8_t code,
                        const struct lutra_buf *expected,
                        uint32_t n)
{
    struct lutra_error err = {0};
    struct lutra_event_rows rows;
    struct lutra_buf out = {0};
    uint32_t n_rows;
    struct lutra_event event = next_event(stream, code);
    cr_assert_eq(lutra_event_rows(&stream->format, &event, 1 << 20, &stream->scratch, &rows, &err),
                 0, "%s", err.msg);
    cr_expect_eq(rows.table_id, 17);
    cr_assert_eq(lutra_rows_decode(table, rows.code, rows.body, rows.body_len, &out, &n_rows, &err),
                 0, "%s", err.msg);
    cr_expect_eq(n_rows, n);
    cr_assert_eq(out.len, expected->len);
    cr_assert_eq(memcmp(out.data, expected->data, out.len), 0);
    lutra_buf_fini(&out);
}

Test(build, any_row_of_any_type_round_trips)
{
    static const enum lutra_rows_op ops[] = {LUTRA_ROWS_INSERT, LUTRA_ROWS_UPDATE,
                                             LUTRA_ROWS_DELETE};
    static const uint8_t codes[] = {LUTRA_EVENT_WRITE_ROWS_V1, LUTRA_EVENT_UPDATE_ROWS_V1,
                                    LUTRA_EVENT_DELETE_ROWS_V1};
    struct lutra_table *table = binlog_table("shop", "every thing", all_types);
    for (unsigned round = 0; round < 300; round++) {
        struct lutra_error err = {0};
        struct binlog_file file;
        struct stream stream;
        struct lutra_buf rows = {0}, expected = {0};
        unsigned op = below(3), n = 1 + below(4);
        binlog_file_init(&file, "binlog.000001", 1, round % 2);
        binlog_table_map(&file, 17, table);
        for (unsigned r = 0; r < n * (op == 1 ? 2 : 1); r++) {
            for (size_t i = 0; i < table->n_columns; i++) {
                random_value(&rows, &table->columns[i]);
            }
        }
        lutra_buf_append(&expected, rows.data, rows.len);
        binlog_rows(&file, 17, table, ops[op], &rows);

        stream_init(&stream, &file);
        struct lutra_event event = next_event(&stream, LUTRA_EVENT_TABLE_MAP);
        struct lutra_table_map map;
        struct lutra_table *decoded;
        bool has_names;
        cr_assert_eq(lutra_event_table_map(&stream.format, &event, &map, &err), 0, "%s", err.msg);
        cr_expect_eq(map.table_id, 17);
        cr_assert_eq(lutra_table_map_decode(&map, &decoded, &has_names, &err), 0, "%s", err.msg);
        cr_expect(has_names);
        cr_expect(lutra_table_equal(table, decoded));
        expect_rows(&stream, decoded, codes[op], &expected, n);
        lutra_table_free(decoded);
        stream_fini(&stream);
        lutra_buf_fini(&rows);
        lutra_buf_fini(&expected);
        binlog_file_fini(&file);
    }
    lutra_table_free(table);
}

Test(build, a_transaction_reads_as_a_servers_does)
{
    struct lutra_table *table = binlog_table("shop", "orders", "id INT KEY, note VARCHAR(20) NULL");
    struct lutra_buf rows = {0};
    struct lutra_error err = {0};
    struct binlog_file file;
    struct walk walk;
    binlog_file_init(&file, "binlog.000001", 1, true);
    struct lutra_gtid before = {.flavor = LUTRA_FLAVOR_MARIADB, .server_id = 1, .seq = 99};
    binlog_gtid_list(&file, &before, 1);
    binlog_gtid(&file, 0, 1, 100, BINLOG_GTID_STANDALONE | BINLOG_GTID_DDL);
    binlog_query(&file, "shop", "CREATE TABLE orders (...)");
    uint64_t at = binlog_gtid(&file, 0, 3, 101, BINLOG_GTID_TRANSACTIONAL);
    binlog_table_map(&file, 17, table);
    binlog_row(&rows, table, (const char *const[]){"-1", "x"});
    binlog_row(&rows, table, (const char *const[]){"-1", NULL});
    binlog_rows(&file, 17, table, LUTRA_ROWS_UPDATE, &rows);
    binlog_xid(&file, 7);
    binlog_rotate(&file, "binlog.000002");
    cr_expect_eq(file.bytes.data[at + 4], LUTRA_EVENT_MARIADB_GTID);

    walk_init(&walk);
    cr_assert_eq(walk_file(&walk, file.bytes.data, file.bytes.len, &err), 0, "%s", err.msg);
    cr_expect_str_eq(lutra_buf_cstr(&walk.lines),
                     "GTID 0-1-100 standalone ddl\nQUERY [shop] CREATE TABLE orders (...)\n"
                     "GTID 0-3-101 transactional\nUPDATE shop.orders -1,'x' -> -1,NULL\nXID\n"
                     "ROTATE binlog.000002:4\n");
    walk_fini(&walk);
    lutra_buf_fini(&rows);
    binlog_file_fini(&file);
    lutra_table_free(table);
}

Test(build, packets_heartbeats_and_the_end_of_a_stream)
{
    struct lutra_packets packets;
    struct lutra_packet packet;
    struct lutra_buf wire = {0}, event = {0};
    uint8_t sequence = 255;
    binlog_heartbeat(&event, 1, "binlog.000001", 777, true);
    binlog_packet(&wire, &sequence, event.data, event.len);
    struct lutra_buf large = {0};
    lutra_buf_reserve(&large, 0xFFFFFE);
    memset(large.data, 0, 0xFFFFFE);
    binlog_packet(&wire, &sequence, large.data,
                  0xFFFFFE); /* exactly one full packet and an empty one */
    binlog_packet_error(&wire, &sequence, 1236, "gone");
    binlog_packet_eof(&wire, &sequence);
    lutra_packets_init(&packets, 32 << 20);
    lutra_packets_feed(&packets, wire.data, wire.len);
    cr_assert_eq(lutra_packets_next(&packets, &packet, NULL), 1);
    struct lutra_binlog_format format;
    struct lutra_event parsed;
    struct lutra_event_rotate at;
    lutra_binlog_format_init(&format, LUTRA_FLAVOR_MARIADB, true);
    cr_assert_eq(lutra_event_parse(&format, packet.data, packet.len, &parsed, NULL), 0);
    cr_assert_eq(lutra_event_heartbeat(&parsed, &at, NULL), 0);
    cr_expect_eq(at.offset, 777);
    cr_assert_eq(lutra_packets_next(&packets, &packet, NULL), 1);
    cr_expect_eq(packet.len, 0xFFFFFE);
    cr_assert_eq(lutra_packets_next(&packets, &packet, NULL), 1);
    cr_expect_eq(packet.code, 1236);
    cr_expect_str_eq(packet.message, "gone");
    cr_assert_eq(lutra_packets_next(&packets, &packet, NULL), 1);
    cr_expect_eq(packet.kind, LUTRA_PACKET_EOF);
    lutra_packets_fini(&packets);
    lutra_buf_fini(&large);
    lutra_buf_fini(&wire);
    lutra_buf_fini(&event);
}
