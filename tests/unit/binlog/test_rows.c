/* Rows bodies by hand: what the samples do not show. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/event.h"
#include "binlog/rows.h"
#include "binlog_build/build.h"
#include "model/values.h"

static int decode(const struct lutra_table *table,
                  uint8_t code,
                  const void *body,
                  size_t len,
                  struct lutra_buf *out,
                  uint32_t *n,
                  struct lutra_error *err)
{
    /* From an allocation of just that size: a read beyond it is seen by the sanitizer. */
    void *exact = lutra_alloc(len ? len : 1);
    memcpy(exact, body, len);
    int rc = lutra_rows_decode(table, code, exact, len, out, n, err);
    lutra_free(exact);
    return rc;
}

static void expect_error(const struct lutra_table *table,
                         uint8_t code,
                         const void *body,
                         size_t len,
                         const char *message)
{
    struct lutra_buf out = {0};
    struct lutra_error err = {0};
    uint32_t n;
    lutra_buf_append(&out, "kept", 4);
    cr_expect_eq(decode(table, code, body, len, &out, &n, &err), -1, "accepted; expected %s",
                 message);
    cr_expect_eq(err.class, LUTRA_DATA);
    cr_expect_not_null(strstr(err.msg, message), "%s", err.msg);
    cr_expect(out.len == 4 && memcmp(out.data, "kept", 4) == 0);
    lutra_buf_fini(&out);
}

Test(rows, images_without_a_column_have_it_absent)
{
    struct lutra_table *t =
        binlog_table("s", "t", "a TINYINT NULL, b TINYINT NULL, c TINYINT NULL");
    struct lutra_buf out = {0};
    struct lutra_error err = {0};
    struct lutra_value v[6];
    uint32_t n;
    /* Before: a = 1, c = NULL. After: b = 2. The NULL bits count present columns only. */
    cr_assert_eq(
        decode(t, LUTRA_EVENT_UPDATE_ROWS, "\x03\x05\x02\x02\x01\x00\x02", 7, &out, &n, &err), 0,
        "%s", err.msg);
    cr_expect_eq(n, 1);
    cr_assert_eq(lutra_values_unpack(out.data, out.len, v, 6, &err), 0);
    static const enum lutra_value_tag tags[] = {LUTRA_VALUE_INT,  LUTRA_VALUE_ABSENT,
                                                LUTRA_VALUE_NULL, LUTRA_VALUE_ABSENT,
                                                LUTRA_VALUE_INT,  LUTRA_VALUE_ABSENT};
    for (unsigned i = 0; i < 6; i++) {
        cr_expect_eq(v[i].tag, tags[i], "value %u", i);
    }
    cr_expect_eq(v[0].i64, 1);
    cr_expect_eq(v[4].i64, 2);
    lutra_buf_fini(&out);
    lutra_table_free(t);
}

Test(rows, malformed_bodies_are_errors_that_name_table_and_column)
{
    struct lutra_table *t =
        binlog_table("shop", "orders", "id INT KEY, v VARCHAR(5) NULL, at TIME NULL");
    const uint8_t insert = LUTRA_EVENT_WRITE_ROWS_V1;
    expect_error(t, insert, "", 0, "shop.orders");
    expect_error(t, insert, "\x02\x03", 2, "the event has 2 columns, the table 3");
    expect_error(t, insert, "\x03", 1, "cut short");
    expect_error(t, insert, "\x03\x07\x06\x01\x00\x00", 6, "shop.orders.id");
    expect_error(t, insert, "\x03\x07\x04\x01\x00\x00\x00\x15xxxxxxxxxxxxxxxxxxxxx", 30,
                 "shop.orders.v"); /* 21 > 20 */
    expect_error(t, insert, "\x03\x07\x04\x01\x00\x00\x00\x03xx", 10, "shop.orders.v");
    expect_error(t, insert, "\x03\x07\x02\x01\x00\x00\x00\x80\x00\x3c", 10,
                 "shop.orders.at"); /* 60 seconds */
    expect_error(t, insert, "\x03\x07\x06\x01\x00\x00\x00\x06", 8,
                 "shop.orders"); /* a second row, cut */
    expect_error(t, LUTRA_EVENT_QUERY, "\x03\x07", 2, "not the code of a rows event");
    lutra_table_free(t);
}

Test(rows, unsupported_types_are_errors_that_name_the_column_unless_left_out)
{
    struct lutra_table *t =
        binlog_table("shop", "orders", "id TINYINT KEY, state ENUM NULL, price DOUBLE NULL");
    static const char body[] = "\x03\x07\x00\x09\x01\0\0\0\0\0\0\0\0";
    struct lutra_rows rows;
    struct lutra_buf out = {0};
    struct lutra_value v[3];
    uint32_t n;
    expect_error(t, LUTRA_EVENT_WRITE_ROWS, body, sizeof(body) - 1,
                 "shop.orders.state: type ENUM is not supported");
    /* Not in the image: nothing to refuse. */
    cr_expect_eq(decode(t, LUTRA_EVENT_WRITE_ROWS, "\x03\x01\x00\x09", 4, &out, &n, NULL), 0);
    lutra_buf_clear(&out);
    cr_assert_eq(
        lutra_rows_begin_supported(&rows, t, LUTRA_EVENT_WRITE_ROWS, body, sizeof(body) - 1, NULL),
        0);
    cr_assert_eq(lutra_rows_next(&rows, &out, NULL), 1);
    cr_expect_eq(lutra_rows_next(&rows, &out, NULL), 0);
    cr_assert_eq(lutra_values_unpack(out.data, out.len, v, 3, NULL), 0);
    cr_expect_eq(v[0].i64, 9);
    cr_expect_eq(v[1].tag, LUTRA_VALUE_ABSENT);
    cr_expect_eq(v[2].tag, LUTRA_VALUE_ABSENT);
    cr_assert_eq(lutra_rows_count(t, LUTRA_EVENT_WRITE_ROWS, body, sizeof(body) - 1, &n, NULL), 0);
    cr_expect_eq(n, 1);
    lutra_buf_fini(&out);
    lutra_table_free(t);
}

Test(rows, a_table_that_came_over_the_wire_is_not_trusted)
{
    struct lutra_table *t =
        binlog_table("s", "t", "d DECIMAL(10,2) NULL, at DATETIME(3) NULL, b BLOB NULL");
    static const char body[] = "\x03\x07\x07";
    struct lutra_buf out = {0};
    uint32_t n;
    cr_assert_eq(decode(t, LUTRA_EVENT_WRITE_ROWS, body, 3, &out, &n, NULL), 0);
    t->columns[0].meta = 200 << 8 | 2;
    expect_error(t, LUTRA_EVENT_WRITE_ROWS, body, 3, "s.t.d: kind");
    t->columns[0].meta = 10 << 8 | 20;
    expect_error(t, LUTRA_EVENT_WRITE_ROWS, body, 3, "s.t.d: kind");
    t->columns[0].meta = 10 << 8 | 2;
    t->columns[1].decimals = 9;
    expect_error(t, LUTRA_EVENT_WRITE_ROWS, body, 3, "s.t.at: kind");
    t->columns[1].decimals = 3;
    for (int kind = LUTRA_KIND_INT; kind <= LUTRA_KIND_BINARY; kind++) {
        if (kind != LUTRA_KIND_DECIMAL) {
            t->columns[0].kind = (enum lutra_kind)kind;
            expect_error(t, LUTRA_EVENT_WRITE_ROWS, body, 3, "s.t.d: kind");
        }
    }
    t->columns[0].kind = LUTRA_KIND_DECIMAL;
    t->columns[2].meta = 9;
    expect_error(t, LUTRA_EVENT_WRITE_ROWS, body, 3, "s.t.b: kind");
    lutra_buf_fini(&out);
    lutra_table_free(t);
}

Test(rows, version_2_events_may_carry_extra_data)
{
    struct lutra_binlog_format format;
    struct lutra_event_rows rows;
    struct lutra_error err = {0};
    /* id 0x2a, flags 1, extra data of 2 + 3 bytes, then the body */
    static const uint8_t bytes[] = {0x2a, 0, 0, 0, 0, 0, 1, 0, 5, 0, 'x', 'y', 'z', 1, 1, 0, 7};
    struct lutra_event event = {
        .code = LUTRA_EVENT_DELETE_ROWS, .body = bytes, .body_len = sizeof(bytes)};
    lutra_binlog_format_init(&format, LUTRA_FLAVOR_MYSQL, false);
    cr_assert_eq(lutra_event_rows(&format, &event, 100, NULL, &rows, &err), 0, "%s", err.msg);
    cr_expect_eq(rows.table_id, 0x2a);
    cr_expect_eq(rows.flags, LUTRA_ROWS_F_STATEMENT_END);
    cr_expect_eq(rows.body, bytes + 13);
    cr_expect_eq(rows.body_len, 4);
    event.body_len = 12;
    cr_expect_eq(lutra_event_rows(&format, &event, 100, NULL, &rows, &err), -1);
}
