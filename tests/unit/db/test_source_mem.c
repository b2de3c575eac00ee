#include <criterion/criterion.h>
#include <string.h>

#include "base/mem.h"
#include "db/source_mem.h"

enum { ROTATE = 4, FORMAT = 15, XID = 16, HEARTBEAT = 27, GTID = 162 };

static struct lutra_loop *loop;
static struct lutra_mem_binlog *binlog;
static struct lutra_source *source;

struct seen {
    struct lutra_buf types;
    unsigned idles, ends;
    struct lutra_error end;
    struct lutra_source *pause_at_xid, *free_at_xid;
};

static void on_event(const uint8_t *event, size_t len, void *arg)
{
    struct seen *seen = arg;
    cr_assert_geq(len, 19);
    lutra_buf_printf(&seen->types, "%u ", event[4]);
    if (event[4] == XID && seen->pause_at_xid) {
        lutra_source_pause(seen->pause_at_xid, true);
    }
    if (event[4] == XID && seen->free_at_xid) {
        lutra_source_free(seen->free_at_xid);
    }
}

static void on_idle(void *arg)
{
    ((struct seen *)arg)->idles++;
}

static void on_end(const struct lutra_error *err, void *arg)
{
    ((struct seen *)arg)->ends++;
    ((struct seen *)arg)->end = *err;
}

static const struct lutra_source_handler handler = {
    .on_event = on_event, .on_idle = on_idle, .on_end = on_end};

static void append(uint8_t type, const void *body, size_t len)
{
    uint8_t event[200] = {0};
    event[4] = type;
    event[5] = 1;
    memcpy(event + 19, body, len);
    lutra_mem_binlog_append(binlog, event, 19 + len);
}

static void append_transaction(uint8_t seq)
{
    uint8_t gtid[13] = {seq};
    append(GTID, gtid, sizeof(gtid));
    append(XID, "12345678", 8);
}

static void set_up(void)
{
    uint8_t format[100] = {4};
    loop = lutra_loop_new_sim(1);
    binlog = lutra_mem_binlog_new(loop, "mem:1");
    source = lutra_source_mem_new(binlog);
    append(FORMAT, format, sizeof(format));
    append_transaction(1);
    append_transaction(2);
}

static void tear_down(void)
{
    lutra_source_free(source);
    lutra_mem_binlog_free(binlog);
    lutra_loop_free(loop);
}

TestSuite(source_mem, .init = set_up, .fini = tear_down);

static void
on_resolved(const struct lutra_position *position, const struct lutra_error *err, void *arg)
{
    char **text = arg;
    *text = err ? lutra_strdup(lutra_error_class_name(err->class)) : lutra_position_text(position);
}

static void expect_resolved(enum lutra_start_kind kind, const char *start, const char *expected)
{
    char *text = NULL;
    lutra_source_resolve(source, kind, start, on_resolved, &text);
    lutra_loop_run_for(loop, 10);
    cr_assert(text);
    cr_expect_str_eq(text, expected);
    lutra_free(text);
}

static void open_at(const char *text, struct seen *seen, uint64_t heartbeat_ms)
{
    struct lutra_position position = {0};
    cr_assert_eq(lutra_position_parse(LUTRA_FLAVOR_MARIADB, text, &position, NULL), 0);
    lutra_source_open(source, &position, 7, heartbeat_ms, 1 << 20, &handler, seen);
    lutra_position_fini(&position);
}

Test(source_mem, every_kind_of_start_gives_both_halves)
{
    expect_resolved(LUTRA_START_EARLIEST, "", "binlog.000001:4;");
    expect_resolved(LUTRA_START_CURRENT, "", "binlog.000001:241;0-1-2");
    expect_resolved(LUTRA_START_GTID, "0-1-1", "binlog.000001:182;0-1-1");
    expect_resolved(LUTRA_START_FILE, "binlog.000001:182", "binlog.000001:182;0-1-1");
    expect_resolved(LUTRA_START_FILE, "binlog.000001:183", "config");
    expect_resolved(LUTRA_START_FILE, "binlog.000009:4", "config");
}

Test(source_mem, a_stream_has_a_head_the_events_and_then_is_idle)
{
    struct seen seen = {0};
    open_at("binlog.000001:182;0-1-1", &seen, 1000);
    lutra_loop_run_for(loop, 100);
    cr_expect_str_eq(lutra_buf_cstr(&seen.types), "4 15 162 16 ");
    cr_expect_eq(seen.idles, 1);
    append_transaction(3);
    lutra_loop_run_for(loop, 100);
    cr_expect_str_eq(lutra_buf_cstr(&seen.types), "4 15 162 16 162 16 ");
    cr_expect_eq(seen.idles, 2);
    lutra_loop_run_for(loop, 2500);
    cr_expect_str_eq(lutra_buf_cstr(&seen.types), "4 15 162 16 162 16 27 27 ");
    cr_expect_eq(seen.idles, 4);
    lutra_buf_fini(&seen.types);
}

Test(source_mem, by_gtid_and_over_a_rotate)
{
    struct seen seen = {0};
    uint8_t rotate[21] = {4};
    memcpy(rotate + 8, "binlog.000002", 13);
    append(ROTATE, rotate, sizeof(rotate));
    append_transaction(3);
    expect_resolved(LUTRA_START_CURRENT, "", "binlog.000002:63;0-1-3");
    open_at(";0-1-2", &seen, 0);
    lutra_loop_run_for(loop, 100);
    cr_expect_str_eq(lutra_buf_cstr(&seen.types), "4 162 16 ");
    lutra_buf_fini(&seen.types);
}

Test(source_mem, pause_holds_before_the_next_event)
{
    struct seen seen = {.pause_at_xid = source};
    open_at("binlog.000001:4;", &seen, 0);
    lutra_loop_run_for(loop, 100);
    cr_expect_str_eq(lutra_buf_cstr(&seen.types), "4 15 162 16 ");
    cr_expect_eq(seen.idles, 0);
    lutra_source_pause(source, false);
    lutra_loop_run_for(loop, 100);
    cr_expect_str_eq(lutra_buf_cstr(&seen.types), "4 15 162 16 162 16 ");
    lutra_buf_fini(&seen.types);
}

Test(source_mem, streams_end_by_drop_by_server_id_and_by_purge)
{
    struct seen seen = {0}, second = {0};
    open_at("binlog.000001:4;", &seen, 0);
    lutra_mem_binlog_drop_streams(binlog);
    lutra_loop_run_for(loop, 100);
    cr_expect_eq(seen.ends, 1);
    cr_expect_eq(seen.end.class, LUTRA_RETRY);

    open_at("binlog.000001:4;", &seen, 0);
    struct lutra_source *first = source;
    source = lutra_source_mem_new(binlog);
    open_at("binlog.000001:4;", &second, 0);
    lutra_loop_run_for(loop, 100);
    cr_expect_eq(seen.ends, 2);
    cr_expect_eq(seen.end.code, 4052);
    cr_expect_eq(second.ends, 0);
    lutra_source_close(source);

    open_at("binlog.000000:4;", &second, 0);
    lutra_loop_run_for(loop, 100);
    cr_expect_eq(second.end.class, LUTRA_FATAL);
    lutra_source_free(first);
    lutra_buf_fini(&seen.types);
    lutra_buf_fini(&second.types);
}

Test(source_mem, may_be_freed_inside_an_event)
{
    struct seen seen = {.free_at_xid = source};
    open_at("binlog.000001:4;", &seen, 0);
    lutra_loop_run_for(loop, 100);
    cr_expect_str_eq(lutra_buf_cstr(&seen.types), "4 15 162 16 ");
    source = NULL;
    lutra_buf_fini(&seen.types);
}
