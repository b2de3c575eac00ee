#include <criterion/criterion.h>
#include <string.h>
#include <zlib.h>

#include "binlog/event.h"
#include "binlog/payload.h"
#include "sample.h"

/* An event with header and, if wanted, checksum. */
static void make_event(struct lutra_buf *out,
                       uint8_t code,
                       uint16_t flags,
                       const void *body,
                       size_t len,
                       bool checksum)
{
    lutra_buf_clear(out);
    lutra_buf_put_le(out, 1700000000, 4);
    lutra_buf_put_u8(out, code);
    lutra_buf_put_le(out, 7, 4);
    lutra_buf_put_le(out, 19 + len + (checksum ? 4 : 0), 4);
    lutra_buf_put_le(out, 1000, 4);
    lutra_buf_put_le(out, flags, 2);
    lutra_buf_append(out, body, len);
    if (checksum) {
        lutra_buf_put_le(out, crc32(0, out->data, (uInt)out->len), 4);
    }
}

static struct lutra_binlog_format negotiated(bool checksum)
{
    struct lutra_binlog_format format;
    lutra_binlog_format_init(&format, LUTRA_FLAVOR_MYSQL, checksum);
    return format;
}

static int parse(struct lutra_binlog_format *format,
                 const struct lutra_buf *bytes,
                 struct lutra_event *event,
                 struct lutra_error *err)
{
    return lutra_event_parse(format, bytes->data, bytes->len, event, err);
}

Test(event, header_fields_and_lengths)
{
    struct lutra_buf bytes = {0};
    struct lutra_event event;
    struct lutra_error err = {0};
    struct lutra_binlog_format format = negotiated(true);
    make_event(&bytes, LUTRA_EVENT_XID, 0x20, "\x09\0\0\0\0\0\0\0", 8, true);
    cr_assert_eq(parse(&format, &bytes, &event, &err), 0, "%s", err.msg);
    cr_expect_eq(event.timestamp_s, 1700000000);
    cr_expect_eq(event.server_id, 7);
    cr_expect_eq(event.size_bytes, 31);
    cr_expect_eq(event.end_offset, 1000);
    cr_expect(lutra_event_is_artificial(&event));
    uint64_t xid;
    cr_assert_eq(lutra_event_xid(&event, &xid, &err), 0);
    cr_expect_eq(xid, 9);

    cr_expect_eq(lutra_event_parse(&format, bytes.data, 18, &event, &err), -1);
    cr_expect_eq(lutra_event_parse(&format, bytes.data, bytes.len - 1, &event, &err), -1);
    bytes.data[22] ^= 1;
    cr_expect_eq(parse(&format, &bytes, &event, &err), -1);
    cr_expect_eq(err.class, LUTRA_DATA);
    cr_expect_not_null(strstr(err.msg, "checksum"));
    lutra_buf_fini(&bytes);
}

Test(event, before_the_format_description_checksums_are_as_negotiated_and_after_it_as_it_says)
{
    struct lutra_buf rotate = {0}, file = {0};
    struct lutra_event event;
    struct lutra_event_rotate to;
    struct lutra_error err = {0};
    struct lutra_binlog_format format = negotiated(true);
    static const char body[] = "\x04\0\0\0\0\0\0\0binlog.000003";
    make_event(&rotate, LUTRA_EVENT_ROTATE, 0x20, body, sizeof(body) - 1, true);
    cr_assert_eq(parse(&format, &rotate, &event, &err), 0, "%s", err.msg);
    cr_assert_eq(lutra_event_rotate(&event, &to, &err), 0);
    cr_expect_str_eq(to.file, "binlog.000003");
    cr_expect_eq(to.offset, 4);

    /* A file written with binlog_checksum=NONE: its FORMAT_DESCRIPTION has a checksum all the same.
     */
    sample_load("mysql97-05-nochecksum", &file);
    struct lutra_cur size = lutra_cur_of(file.data + 4 + 9, 4);
    size_t len = (size_t)lutra_cur_le(&size, 4);
    cr_assert_eq(lutra_event_parse(&format, file.data + 4, len, &event, &err), 0, "%s", err.msg);
    cr_expect_not(format.checksum);
    cr_expect_eq(format.flavor, LUTRA_FLAVOR_MYSQL);
    cr_expect_eq(strncmp(format.server_version, "9.7", 3), 0);
    make_event(&rotate, LUTRA_EVENT_ROTATE, 0x20, body, sizeof(body) - 1, false);
    cr_assert_eq(parse(&format, &rotate, &event, &err), 0, "%s", err.msg);
    cr_assert_eq(lutra_event_rotate(&event, &to, &err), 0);
    cr_expect_str_eq(to.file, "binlog.000003");
    lutra_buf_fini(&rotate);
    lutra_buf_fini(&file);
}

Test(event, a_file_in_use_has_the_checksum_of_one_that_is_not)
{
    struct lutra_buf file = {0};
    struct lutra_event event;
    struct lutra_binlog_format format = negotiated(true);
    sample_load("mariadb1011-02-metafull", &file);
    struct lutra_cur size = lutra_cur_of(file.data + 4 + 9, 4);
    size_t len = (size_t)lutra_cur_le(&size, 4);
    file.data[4 + 17] |= LUTRA_EVENT_F_IN_USE;
    cr_expect_eq(lutra_event_parse(&format, file.data + 4, len, &event, NULL), 0);
    cr_expect_eq(format.flavor, LUTRA_FLAVOR_MARIADB);
    file.data[4 + 25] ^= 4;
    cr_expect_eq(lutra_event_parse(&format, file.data + 4, len, &event, NULL), -1);
    lutra_buf_fini(&file);
}

Test(event, an_unknown_checksum_algorithm_is_refused_by_name)
{
    struct lutra_buf file = {0};
    struct lutra_event event;
    struct lutra_error err = {0};
    struct lutra_binlog_format format = negotiated(true);
    sample_load("mysql97-01-default", &file);
    struct lutra_cur size = lutra_cur_of(file.data + 4 + 9, 4);
    size_t len = (size_t)lutra_cur_le(&size, 4);
    file.data[4 + len - 5] = 9;
    cr_expect_eq(lutra_event_parse(&format, file.data + 4, len, &event, &err), -1);
    cr_expect_eq(err.class, LUTRA_CONFIG);
    cr_expect_not_null(strstr(err.msg, "binlog_checksum"));
    lutra_buf_fini(&file);
}

Test(event, offsets_go_on_beyond_4_gib)
{
    struct lutra_event event = {.end_offset = 100};
    cr_expect_eq(lutra_event_end_offset(4, &event), 100);
    cr_expect_eq(lutra_event_end_offset(0xfffffff0, &event), 0x100000064);
    cr_expect_eq(lutra_event_end_offset(0x300000004, &event), 0x300000064);
}

Test(event, what_is_handled_skipped_and_refused)
{
    static const struct {
        uint8_t code;
        uint16_t flags;
        enum lutra_event_use use;
    } cases[] = {
        {LUTRA_EVENT_QUERY, 0, LUTRA_EVENT_HANDLE},
        {LUTRA_EVENT_DELETE_ROWS_COMPRESSED_V1, 0, LUTRA_EVENT_HANDLE},
        {LUTRA_EVENT_INCIDENT, 0, LUTRA_EVENT_HANDLE},
        {LUTRA_EVENT_ANNOTATE_ROWS, 0, LUTRA_EVENT_SKIP},
        {LUTRA_EVENT_ROWS_QUERY, LUTRA_EVENT_F_IGNORABLE, LUTRA_EVENT_SKIP},
        {LUTRA_EVENT_STOP, 0, LUTRA_EVENT_SKIP},
        {LUTRA_EVENT_START_ENCRYPTION, 0, LUTRA_EVENT_REFUSED},
        {LUTRA_EVENT_PARTIAL_UPDATE_ROWS, 0, LUTRA_EVENT_REFUSED},
        {20, 0, LUTRA_EVENT_REFUSED},
        {6, 0, LUTRA_EVENT_REFUSED},
        {99, 0, LUTRA_EVENT_REFUSED},
        {99, LUTRA_EVENT_F_IGNORABLE, LUTRA_EVENT_SKIP},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lutra_event event = {.code = cases[i].code, .flags = cases[i].flags};
        struct lutra_error err = {0};
        cr_expect_eq(lutra_event_use(&event, &err), cases[i].use, "code %u", cases[i].code);
        cr_expect_eq(err.class, cases[i].use == LUTRA_EVENT_REFUSED ? LUTRA_CONFIG : LUTRA_OK);
    }
}

Test(event, heartbeats_of_both_versions)
{
    struct lutra_buf bytes = {0};
    struct lutra_event event;
    struct lutra_event_rotate at;
    struct lutra_binlog_format format = negotiated(false);
    make_event(&bytes, LUTRA_EVENT_HEARTBEAT, 0, "binlog.000007", 13, false);
    cr_assert_eq(parse(&format, &bytes, &event, NULL), 0);
    cr_assert_eq(lutra_event_heartbeat(&event, &at, NULL), 0);
    cr_expect_str_eq(at.file, "binlog.000007");
    cr_expect_eq(at.offset, 1000);
    /* MariaDB beyond 4 GiB. */
    make_event(&bytes, LUTRA_EVENT_HEARTBEAT, 0, "\x07\0\0\0\x02\0\0\0binlog.000007", 21, false);
    memset(bytes.data + 13, 0, 4);
    cr_assert_eq(parse(&format, &bytes, &event, NULL), 0);
    cr_assert_eq(lutra_event_heartbeat(&event, &at, NULL), 0);
    cr_expect_str_eq(at.file, "binlog.000007");
    cr_expect_eq(at.offset, 0x200000007);
    make_event(&bytes, LUTRA_EVENT_HEARTBEAT_V2, 0,
               "\x01\x0d"
               "binlog.000007"
               "\x02\x09\xfe\x01\0\0\0\x01\0\0\0\0",
               27, false);
    cr_assert_eq(parse(&format, &bytes, &event, NULL), 0);
    struct lutra_error err = {0};
    cr_assert_eq(lutra_event_heartbeat(&event, &at, &err), 0, "%s", err.msg);
    cr_expect_str_eq(at.file, "binlog.000007");
    cr_expect_eq(at.offset, 0x100000001);
    lutra_buf_fini(&bytes);
}

Test(event, incident)
{
    struct lutra_buf bytes = {0};
    struct lutra_event event;
    struct lutra_event_incident incident;
    struct lutra_binlog_format format = negotiated(false);
    make_event(&bytes, LUTRA_EVENT_INCIDENT, 0, "\x01\x00\x06LOST_E", 9, false);
    cr_assert_eq(parse(&format, &bytes, &event, NULL), 0);
    cr_assert_eq(lutra_event_incident(&event, &incident, NULL), 0);
    cr_expect_eq(incident.number, 1);
    cr_expect_str_eq(incident.message, "LOST_E");
    lutra_buf_fini(&bytes);
}

/* The events of one code in a sample. */
static size_t find_events(const struct lutra_buf *file,
                          uint8_t code,
                          struct lutra_binlog_format *format,
                          struct lutra_event *events,
                          size_t max)
{
    size_t n = 0;
    for (size_t at = 4; at < file->len;) {
        struct lutra_event event;
        struct lutra_cur size_at = lutra_cur_of(file->data + at + 9, 4);
        size_t size = (size_t)lutra_cur_le(&size_at, 4);
        cr_assert_eq(lutra_event_parse(format, file->data + at, size, &event, NULL), 0);
        if (event.code == code && n < max) {
            events[n++] = event;
        }
        at += size;
    }
    return n;
}

Test(event, queries_tell_whether_a_backslash_escapes)
{
    static const char *const names[] = {"mariadb1011-02-metafull", "mysql97-02-metafull"};
    for (size_t i = 0; i < 2; i++) {
        struct lutra_buf file = {0}, scratch = {0};
        struct lutra_event event;
        struct lutra_event_query query;
        struct lutra_binlog_format format = negotiated(true);
        sample_load(names[i], &file);
        cr_assert_eq(find_events(&file, LUTRA_EVENT_QUERY, &format, &event, 1), 1);
        cr_assert_eq(lutra_event_query(&format, &event, 1 << 20, &scratch, &query, NULL), 0);
        cr_expect_eq(query.escapes, LUTRA_ESCAPES_BACKSLASH, "%s", names[i]);
        lutra_buf_fini(&scratch);
        lutra_buf_fini(&file);
    }
}

Test(event, mysql_gtid_events_tell_times_and_sizes)
{
    struct lutra_buf file = {0};
    struct lutra_event event;
    struct lutra_event_gtid gtid;
    struct lutra_binlog_format format = negotiated(true);
    char text[96];
    sample_load("mysql97-02-metafull", &file);
    cr_assert_eq(find_events(&file, LUTRA_EVENT_GTID, &format, &event, 1), 1);
    cr_assert_eq(lutra_event_gtid(&format, &event, &gtid, NULL), 0);
    cr_expect_str_eq(lutra_gtid_format(&gtid.gtid, text),
                     "73a32781-e687-11f1-804a-02fc00000001:80");
    /* Within the second of the header. */
    cr_expect_eq(gtid.commit_us / 1000000, event.timestamp_s);
    cr_expect_eq(gtid.original_us, gtid.commit_us);
    cr_expect_gt(gtid.transaction_bytes, event.size_bytes);
    cr_expect_eq(gtid.sequence_number, 1);

    sample_load("mysql97-09-gtid-tagged", &file);
    format = negotiated(true);
    struct lutra_event tagged[2];
    cr_assert_eq(find_events(&file, LUTRA_EVENT_GTID_TAGGED, &format, tagged, 2), 2);
    cr_assert_eq(lutra_event_gtid(&format, &tagged[1], &gtid, NULL), 0);
    cr_expect_str_eq(lutra_gtid_format(&gtid.gtid, text),
                     "73a32781-e687-11f1-804a-02fc00000001:tag_1:2");
    cr_expect_eq(gtid.commit_us / 1000000, tagged[1].timestamp_s);
    cr_expect_eq(gtid.last_committed, 2);
    cr_expect_eq(gtid.sequence_number, 3);
    cr_expect_gt(gtid.transaction_bytes, tagged[1].size_bytes);
    lutra_buf_fini(&file);
}

Test(event, decompression_is_bounded)
{
    struct lutra_buf file = {0}, scratch = {0};
    struct lutra_event event;
    struct lutra_event_query query;
    struct lutra_event_rows rows;
    struct lutra_error err = {0};
    struct lutra_binlog_format format = negotiated(true);
    sample_load("mariadb1011-07-compressed", &file);
    cr_assert_eq(find_events(&file, LUTRA_EVENT_QUERY_COMPRESSED, &format, &event, 1), 1);
    cr_expect_eq(lutra_event_query(&format, &event, 1 << 20, &scratch, &query, &err), 0, "%s",
                 err.msg);
    cr_expect_eq(lutra_event_query(&format, &event, 20, &scratch, &query, &err), -1);
    cr_expect_eq(err.class, LUTRA_DATA);
    format = negotiated(true);
    cr_assert_eq(find_events(&file, LUTRA_EVENT_WRITE_ROWS_COMPRESSED_V1, &format, &event, 1), 1);
    cr_expect_eq(lutra_event_rows(&format, &event, 1 << 20, &scratch, &rows, &err), 0);
    cr_expect_eq(rows.code, LUTRA_EVENT_WRITE_ROWS_V1);
    cr_expect_eq(lutra_event_rows(&format, &event, 20, &scratch, &rows, &err), -1);

    sample_load("mysql97-06-compressed", &file);
    format = negotiated(true);
    cr_assert_eq(find_events(&file, LUTRA_EVENT_TRANSACTION_PAYLOAD, &format, &event, 1), 1);
    struct lutra_payload *payload = lutra_payload_new(&event, &format, 60, &err);
    cr_assert_not_null(payload);
    struct lutra_event inner;
    int rc;
    while ((rc = lutra_payload_next(payload, &inner, &err)) == 1) {
        cr_expect_leq(inner.size_bytes, 60);
    }
    cr_expect_eq(rc, -1);
    cr_expect_eq(err.class, LUTRA_DATA);
    lutra_payload_free(payload);
    lutra_buf_fini(&scratch);
    lutra_buf_fini(&file);
}
