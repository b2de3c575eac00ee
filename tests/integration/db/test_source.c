/* A real source: what it checks, where positions are, and streams through good and bad times. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/event.h"
#include "db/source.h"
#include "support/sql.h"
#include "support/stack.h"
#include "support/test.h"

enum { MAX_EVENT = 64 << 20, HEARTBEAT_MS = 300, SERVER_ID = 990001 };

static struct lutra_loop *loop;
static struct lutra_sql *sql;
static struct lutra_source *source;
static char *schema;

static struct lutra_source *source_of(const char *socket, const char *user)
{
    struct lutra_endpoint endpoint = {.name = (char *)(uintptr_t) "source",
                                      .flavor = LUTRA_FLAVOR_MARIADB,
                                      .socket = (char *)(uintptr_t)socket,
                                      .user = (char *)(uintptr_t)user};
    return lutra_source_mysql_new(loop, &endpoint);
}

static void use(const char *socket)
{
    loop = lutra_loop_new();
    sql = lutra_sql_open(socket);
    schema = lutra_test_unique("db");
    lutra_sql_exec(sql,
                   "CREATE DATABASE `%s`; USE `%s`; CREATE TABLE t (id INT PRIMARY KEY, v "
                   "LONGTEXT)",
                   schema, schema);
    source = source_of(socket, "root");
}

static void set_up(void)
{
    use(lutra_test_stack()->source.socket);
}

static void tear_down(void)
{
    lutra_source_free(source);
    if (sql) {
        (void)lutra_sql_try(sql, "DROP DATABASE `%s`", schema);
        lutra_sql_close(sql);
    }
    lutra_loop_free(loop);
    free(schema);
}

TestSuite(source, .init = set_up, .fini = tear_down, .timeout = 120);
/* On a server of its own, which the test may break. */
static struct lutra_test_mariadb own;
static void set_up_own(void)
{
    own = lutra_test_mariadb_start("own", NULL);
    use(own.socket);
}
TestSuite(source_own, .init = set_up_own, .fini = tear_down, .timeout = 120);

/* ---- Answers ---- */

struct reply {
    bool done;
    struct lutra_error err;
    struct lutra_source_info info;
    char *text;
};

static void
on_checked(const struct lutra_source_info *info, const struct lutra_error *err, void *arg)
{
    struct reply *reply = arg;
    reply->done = true;
    if (err) {
        reply->err = *err;
    } else {
        reply->info = *info;
    }
}

static void
on_resolved(const struct lutra_position *position, const struct lutra_error *err, void *arg)
{
    struct reply *reply = arg;
    reply->done = true;
    if (err) {
        reply->err = *err;
    } else {
        reply->text = lutra_position_text(position);
    }
}

static bool is_done(void *arg)
{
    return ((struct reply *)arg)->done;
}

static bool in_my_schema(const char *name, const char *table, const char *column, void *arg)
{
    (void)arg;
    return strcmp(name, schema) == 0 && strncmp(table, "skip", 4) != 0 &&
           (!column || strncmp(column, "left_out", 8) != 0);
}

static struct reply check(struct lutra_source *of)
{
    struct reply reply = {0};
    lutra_source_check(of, in_my_schema, on_checked, &reply);
    cr_assert(lutra_loop_run_until(loop, is_done, &reply, lutra_test_scaled_ms(20000)));
    return reply;
}

static struct reply resolve(enum lutra_start_kind kind, const char *text)
{
    struct reply reply = {0};
    lutra_source_resolve(source, kind, text, on_resolved, &reply);
    cr_assert(lutra_loop_run_until(loop, is_done, &reply, lutra_test_scaled_ms(20000)));
    return reply;
}

static char *current(void)
{
    struct reply reply = resolve(LUTRA_START_CURRENT, NULL);
    cr_assert(reply.text, "%s", reply.err.msg);
    return reply.text;
}

/* ---- Streams ---- */

struct stream {
    struct lutra_binlog_format format;
    unsigned rows, xids, gtids, heartbeats, rotates, formats, idles, ends;
    size_t largest, bytes;
    char file[128];
    uint64_t offset;
    struct lutra_error end;
    unsigned pause_after, close_after; /* XIDs */
    struct lutra_source *source;
};

static void on_event(const uint8_t *data, size_t len, void *arg)
{
    struct stream *stream = arg;
    struct lutra_error err = {0};
    struct lutra_event event;
    struct lutra_event_rotate rotate;
    /* As select reads it: a stream without checksums. */
    cr_assert_eq(lutra_event_parse(&stream->format, data, len, &event, &err), 0, "%s", err.msg);
    cr_assert_not(stream->format.checksum);
    stream->largest = len > stream->largest ? len : stream->largest;
    stream->bytes += len;
    stream->rows += lutra_event_is_rows(event.code);
    stream->gtids += event.code == LUTRA_EVENT_MARIADB_GTID;
    stream->heartbeats += event.code == LUTRA_EVENT_HEARTBEAT;
    stream->formats += event.code == LUTRA_EVENT_FORMAT_DESCRIPTION;
    if (event.code == LUTRA_EVENT_ROTATE) {
        stream->rotates++;
        cr_assert_eq(lutra_event_rotate(&event, &rotate, &err), 0);
        snprintf(stream->file, sizeof(stream->file), "%s", rotate.file);
        stream->offset = rotate.offset;
    }
    if (event.code == LUTRA_EVENT_XID) {
        stream->xids++;
        stream->offset = event.end_offset;
        if (stream->pause_after && stream->xids == stream->pause_after) {
            lutra_source_pause(stream->source, true);
        }
        if (stream->close_after && stream->xids == stream->close_after) {
            lutra_source_close(stream->source);
        }
    }
}

static void on_idle(void *arg)
{
    ((struct stream *)arg)->idles++;
}

static void on_end(const struct lutra_error *err, void *arg)
{
    ((struct stream *)arg)->ends++;
    ((struct stream *)arg)->end = *err;
}

static const struct lutra_source_handler handler = {
    .on_event = on_event, .on_idle = on_idle, .on_end = on_end};

static void open_stream(struct lutra_source *of, struct stream *stream, const char *text)
{
    struct lutra_position position = {0};
    struct lutra_error err = {0};
    cr_assert_eq(lutra_position_parse(LUTRA_FLAVOR_MARIADB, text, &position, &err), 0, "%s",
                 err.msg);
    lutra_binlog_format_init(&stream->format, LUTRA_FLAVOR_MARIADB, false);
    stream->source = of;
    lutra_source_open(of, &position, SERVER_ID, HEARTBEAT_MS, MAX_EVENT, &handler, stream);
    lutra_position_fini(&position);
}

struct want {
    const unsigned *counter;
    unsigned at_least;
    const struct stream *stream;
};

static bool has_come(void *arg)
{
    const struct want *want = arg;
    return *want->counter >= want->at_least ||
           (want->stream->ends && want->counter != &want->stream->ends);
}

static void await(struct stream *stream, const unsigned *counter, unsigned at_least)
{
    struct want want = {counter, at_least, stream};
    lutra_loop_run_until(loop, has_come, &want, lutra_test_scaled_ms(30000));
    cr_assert_geq(*counter, at_least, "%s", stream->end.msg);
}

/* ---- check ---- */

Test(source, a_good_source_passes_and_says_who_it_is)
{
    struct reply reply = check(source);
    char expected[100];
    cr_expect_eq(reply.err.class, LUTRA_OK, "%s", reply.err.msg);
    cr_expect_eq(reply.info.flavor, LUTRA_FLAVOR_MARIADB);
    cr_expect(strstr(reply.info.version, "MariaDB"));
    snprintf(expected, sizeof(expected), "mariadb:%lld:%lld",
             (long long)lutra_sql_int(sql, "SELECT @@server_id"),
             (long long)lutra_sql_int(sql, "SELECT @@gtid_domain_id"));
    cr_expect_str_eq(reply.info.identity, expected);
    /* Files come and go, the identity stays. */
    lutra_sql_exec(sql, "FLUSH BINARY LOGS");
    cr_expect_str_eq(check(source).info.identity, expected);
}

Test(source, unfit_columns_of_wanted_tables_are_named)
{
    lutra_sql_exec(sql, "CREATE TABLE a (id INT PRIMARY KEY, price FLOAT, left_out FLOAT, e "
                        "ENUM('x','y'), ok TEXT);"
                        "CREATE TABLE b (id INT PRIMARY KEY, u UUID, g GEOMETRY, bits BIT(3),"
                        " z VARCHAR(100) COMPRESSED);"
                        "CREATE TABLE h (id INT PRIMARY KEY) WITH SYSTEM VERSIONING;"
                        "CREATE TABLE skipped (id INT PRIMARY KEY, d DOUBLE);"
                        "CREATE VIEW vw AS SELECT 1e0 AS d");
    struct reply reply = check(source);
    static const char *const named[] = {
        "a.price float", "a.e enum('x','y')", "b.u uuid",          "b.g geometry",
        "b.bits bit(3)", "b.z varchar(100)",  "h SYSTEM VERSIONED"};
    cr_expect_eq(reply.err.class, LUTRA_CONFIG);
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        cr_expect(strstr(reply.err.msg, named[i]), "%s is not in: %s", named[i], reply.err.msg);
    }
    cr_expect_not(strstr(reply.err.msg, "skipped"));
    cr_expect_not(strstr(reply.err.msg, "left_out"));
    cr_expect_not(strstr(reply.err.msg, "vw"));
}

Test(source, rights_and_reachability_are_told)
{
    char *user = lutra_test_unique("u");
    lutra_sql_exec(sql, "CREATE USER '%s'@'localhost'", user);
    struct lutra_source *poor = source_of(lutra_test_stack()->source.socket, user);
    struct reply reply = check(poor);
    cr_expect_eq(reply.err.class, LUTRA_CONFIG);
    cr_expect(strstr(reply.err.msg, "GRANT REPLICATION SLAVE ON *.*") &&
                  strstr(reply.err.msg, "GRANT BINLOG MONITOR ON *.*"),
              "%s", reply.err.msg);
    lutra_sql_exec(
        sql, "GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.* TO '%s'@'localhost'", user);
    reply = check(poor);
    cr_expect_eq(reply.err.class, LUTRA_OK, "%s", reply.err.msg);
    /* These rights are enough for all of it. */
    struct stream stream = {0};
    char *from = current();
    open_stream(poor, &stream, from);
    lutra_sql_exec(sql, "INSERT INTO t VALUES (1, 'a')");
    await(&stream, &stream.xids, 1);
    lutra_source_free(poor);
    lutra_free(from);
    lutra_sql_exec(sql, "DROP USER '%s'@'localhost'", user);
    free(user);

    poor = source_of("/nowhere/mariadb.sock", "root");
    cr_expect_eq(check(poor).err.class, LUTRA_RETRY);
    lutra_source_free(poor);
    poor = source_of(lutra_test_stack()->source.socket, "nobody-knows-me");
    cr_expect_eq(check(poor).err.class, LUTRA_CONFIG);
    lutra_source_free(poor);
}

Test(source_own, wrong_settings_are_named_with_their_cure)
{
    lutra_sql_exec(sql, "SET GLOBAL binlog_format=MIXED, binlog_row_image=MINIMAL,"
                        " binlog_row_metadata=NO_LOG");
    struct reply reply = check(source);
    cr_expect_eq(reply.err.class, LUTRA_CONFIG);
    cr_expect(strstr(reply.err.msg, "binlog_format is MIXED, set it to ROW") &&
                  strstr(reply.err.msg, "binlog_row_image is MINIMAL, set it to FULL") &&
                  strstr(reply.err.msg, "binlog_row_metadata is NO_LOG, set it to FULL"),
              "%s", reply.err.msg);
    /* A replica that does not log what it replicates; a primary may have it off. */
    lutra_sql_exec(sql, "SET GLOBAL binlog_format=ROW, binlog_row_image=FULL,"
                        " binlog_row_metadata=FULL");
    cr_expect_eq(check(source).err.class, LUTRA_OK);
    lutra_sql_exec(sql, "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_USER='nobody'");
    reply = check(source);
    cr_expect(strstr(reply.err.msg, "log_slave_updates is OFF at a replica"), "%s", reply.err.msg);
    static const char *const without[] = {"skip_log_bin", NULL};
    struct lutra_test_mariadb quiet = lutra_test_mariadb_start("quiet", without);
    struct lutra_source *silent = source_of(quiet.socket, "root");
    reply = check(silent);
    cr_expect(strstr(reply.err.msg, "log_bin is OFF, set it to ON"), "%s", reply.err.msg);
    lutra_source_free(silent);
}

/* ---- resolve ---- */

static void expect_resolved(enum lutra_start_kind kind, const char *start, const char *expected)
{
    struct reply reply = resolve(kind, start);
    cr_expect_str_eq(reply.text ? reply.text : reply.err.msg, expected, "%s: %s, not %s", start,
                     reply.text ? reply.text : reply.err.msg, expected);
    lutra_free(reply.text);
}

Test(source_own, every_kind_of_start_is_found)
{
    lutra_sql_exec(sql, "RESET MASTER; SET gtid_domain_id=7; INSERT INTO t VALUES (1, 'a');"
                        "SET gtid_domain_id=0; INSERT INTO t VALUES (2, 'b'); FLUSH BINARY LOGS;"
                        "INSERT INTO t VALUES (3, 'c')");
    long long id = (long long)lutra_sql_int(sql, "SELECT @@server_id");
    char *file = lutra_sql_text(sql, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
                                     "WHERE VARIABLE_NAME='Binlog_snapshot_file'");
    long long end =
        (long long)lutra_sql_int(sql, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
                                      "WHERE VARIABLE_NAME='Binlog_snapshot_position'");
    char at[64], all[160], first[160], begin[160], set[64];
    snprintf(at, sizeof(at), "binlog.000002:%lld", end);
    snprintf(all, sizeof(all), "%s;0-%lld-2,7-%lld-1", at, id, id);
    snprintf(begin, sizeof(begin), "binlog.000002:4;0-%lld-1,7-%lld-1", id, id);
    snprintf(set, sizeof(set), "0-%lld-1", id);
    snprintf(first, sizeof(first), ";%s", set);
    cr_expect_str_eq(file, "binlog.000002");
    expect_resolved(LUTRA_START_CURRENT, "", all);
    expect_resolved(LUTRA_START_EARLIEST, "", "binlog.000001:4;");
    expect_resolved(LUTRA_START_FILE, at, all);
    expect_resolved(LUTRA_START_FILE, "binlog.000002:4", begin);
    expect_resolved(LUTRA_START_GTID, set, first);
    cr_expect_eq(resolve(LUTRA_START_FILE, "binlog.000002:5").err.class, LUTRA_CONFIG);
    cr_expect_eq(resolve(LUTRA_START_FILE, "binlog.000009:4").err.class, LUTRA_CONFIG);
    cr_expect_eq(resolve(LUTRA_START_FILE, "binlog.000002:999999").err.class, LUTRA_CONFIG);
    cr_expect_eq(resolve(LUTRA_START_FILE, "rubbish").err.class, LUTRA_CONFIG);
    cr_expect_eq(resolve(LUTRA_START_GTID, "0-1-999999").err.class, LUTRA_CONFIG);
    cr_expect_eq(resolve(LUTRA_START_GTID, "rubbish").err.class, LUTRA_CONFIG);
    cr_expect_eq(resolve(LUTRA_START_CHECKPOINT, "").err.class, LUTRA_CONFIG);

    /* Each of them can be opened, and streams what came after it. */
    struct stream streams[3] = {0};
    open_stream(source, &streams[0], "binlog.000001:4;");
    await(&streams[0], &streams[0].xids, 3);
    cr_expect_eq(streams[0].rotates,
                 3); /* at the start, at the end of 000001, artificial for 000002 */
    lutra_source_close(source);
    open_stream(source, &streams[1], begin);
    await(&streams[1], &streams[1].xids, 1);
    lutra_source_close(source);
    char gtids[100];
    snprintf(gtids, sizeof(gtids), ";%s,7-%lld-1", set, id);
    open_stream(source, &streams[2], gtids);
    await(&streams[2], &streams[2].idles, 1);
    cr_expect_eq(streams[2].xids, 1);
    cr_expect_str_eq(streams[2].file, "binlog.000002");
    free(file);
}

/* ---- Streams ---- */

Test(source, a_workload_with_rows_of_many_megabytes_streams_and_then_is_idle)
{
    struct stream stream = {0};
    char *from = current();
    open_stream(source, &stream, from);
    await(&stream, &stream.idles, 1);
    cr_expect_eq(stream.xids, 0);
    cr_expect_eq(stream.formats, 1);
    cr_expect_eq(stream.rotates, 1);
    lutra_sql_exec(sql, "INSERT INTO t SELECT seq, REPEAT('x', 100) FROM seq_1_to_500");
    for (int i = 501; i <= 700; i++) {
        lutra_sql_exec(sql, "INSERT INTO t VALUES (%d, 'single')", i);
    }
    lutra_sql_exec(sql, "INSERT INTO t VALUES (1000, REPEAT('y', 20*1024*1024)), (1001, 'z');"
                        "UPDATE t SET v='small' WHERE id=1000");
    await(&stream, &stream.xids, 203);
    cr_expect_gt(stream.largest, 20u << 20);
    unsigned idles = stream.idles;
    await(&stream, &stream.heartbeats, stream.heartbeats + 3);
    cr_expect_gt(stream.idles, idles);
    char *now = current();
    char place[200];
    snprintf(place, sizeof(place), "%s:%llu;", stream.file, (unsigned long long)stream.offset);
    cr_expect_eq(strncmp(now, place, strlen(place)), 0, "%s is not at %s", place, now);
    lutra_free(now);
    lutra_free(from);
}

Test(source, a_dropped_connection_ends_with_retry_and_goes_on_where_it_was)
{
    struct stream stream = {0}, again = {0};
    char place[200], *from = current();
    open_stream(source, &stream, from);
    lutra_sql_exec(sql, "INSERT INTO t VALUES (1, 'a')");
    await(&stream, &stream.xids, 1);
    int64_t dump = lutra_sql_int(sql, "SELECT ID FROM information_schema.PROCESSLIST WHERE "
                                      "COMMAND='Binlog Dump' ORDER BY ID DESC LIMIT 1");
    lutra_sql_exec(sql, "KILL CONNECTION %lld", (long long)dump);
    await(&stream, &stream.ends, 1);
    cr_expect_eq(stream.end.class, LUTRA_RETRY, "%s", stream.end.msg);
    lutra_sql_exec(sql, "INSERT INTO t VALUES (2, 'b')");
    snprintf(place, sizeof(place), "%s:%llu;", stream.file, (unsigned long long)stream.offset);
    open_stream(source, &again, place);
    await(&again, &again.xids, 1);
    cr_expect_eq(again.gtids, 1);
    lutra_free(from);
}

Test(source, a_second_reader_of_the_same_server_id_ends_the_first)
{
    struct stream first = {0}, second = {0};
    struct lutra_source *other = source_of(lutra_test_stack()->source.socket, "root");
    char *from = current();
    open_stream(source, &first, from);
    await(&first, &first.idles, 1);
    open_stream(other, &second, from);
    await(&first, &first.ends, 1);
    cr_expect_eq(first.end.class, LUTRA_RETRY, "%s", first.end.msg);
    lutra_sql_exec(sql, "INSERT INTO t VALUES (1, 'a')");
    await(&second, &second.xids, 1);
    cr_expect_eq(second.ends, 0);
    lutra_source_free(other);
    lutra_free(from);
}

Test(source, pause_stops_reading_and_bounds_memory)
{
    struct stream stream = {.pause_after = 1};
    char *from = current();
    lutra_sql_exec(sql, "INSERT INTO t VALUES (0, 'a')");
    for (int i = 1; i <= 40; i++) {
        lutra_sql_exec(sql, "INSERT INTO t VALUES (%d, REPEAT('p', 1024*1024))", i);
    }
    open_stream(source, &stream, from);
    await(&stream, &stream.xids, 1);
    size_t bytes = stream.bytes;
    lutra_loop_run_for(loop,
                       4 * 4 * HEARTBEAT_MS / 3); /* longer than the silence that would end it */
    cr_expect_eq(stream.xids, 1);
    cr_expect_eq(stream.bytes, bytes);
    cr_expect_eq(stream.ends, 0, "%s", stream.end.msg);
    stream.pause_after = 0;
    lutra_source_pause(source, false);
    await(&stream, &stream.xids, 41);
    await(&stream, &stream.idles, 1);
    lutra_free(from);
}

Test(source, closing_inside_an_event_and_while_opening_is_safe)
{
    struct stream stream = {.close_after = 2};
    char *from = current();
    for (int i = 0; i < 5; i++) {
        lutra_sql_exec(sql, "INSERT INTO t VALUES (%d, 'a')", i);
    }
    open_stream(source, &stream, from);
    await(&stream, &stream.xids, 2);
    lutra_loop_run_for(loop, 300);
    cr_expect_eq(stream.xids, 2);
    cr_expect_eq(stream.ends, 0);
    for (int i = 0; i < 20; i++) {
        struct stream dropped = {0};
        open_stream(source, &dropped, from);
        lutra_loop_run_for(loop, (uint64_t)i % 5);
        lutra_source_close(source);
    }
    struct stream last = {0};
    open_stream(source, &last, from);
    await(&last, &last.xids, 5);
    lutra_free(from);
}

/* ---- Bad times ---- */

/* The server keeps a file until its transactions are safe in the engine. */
static bool has_purged(const char *to)
{
    lutra_sql_exec(sql, "PURGE BINARY LOGS TO '%s'", to);
    char *first = lutra_sql_text(sql, "SHOW BINARY LOGS");
    bool purged = first && strcmp(first, to) == 0;
    free(first);
    return purged;
}

Test(source_own, a_purged_file_is_fatal_and_named)
{
    struct stream stream = {0};
    char *from = current();
    lutra_sql_exec(sql, "INSERT INTO t VALUES (1, 'a'); FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    LUTRA_WAIT_FOR(has_purged("binlog.000003"), 20000);
    open_stream(source, &stream, from);
    await(&stream, &stream.ends, 1);
    cr_expect_eq(stream.end.class, LUTRA_FATAL);
    cr_expect(strstr(stream.end.msg, "binlog.000001 is purged, the oldest is binlog.000003"), "%s",
              stream.end.msg);
    /* By GTID alone it is the server that says so. */
    struct stream by_gtid = {0};
    open_stream(source, &by_gtid, strchr(from, ';'));
    await(&by_gtid, &by_gtid.ends, 1);
    cr_expect_eq(by_gtid.end.class, LUTRA_FATAL, "%s", by_gtid.end.msg);
    lutra_free(from);
}

Test(source_own, a_reset_server_is_refused_whatever_it_wrote_since)
{
    struct stream streams[3] = {0};
    for (int i = 0; i < 3; i++) {
        lutra_sql_exec(sql, "INSERT INTO t VALUES (%d, 'before')", i);
    }
    char *from = current();
    lutra_sql_exec(sql, "RESET MASTER");
    open_stream(source, &streams[0], from);
    await(&streams[0], &streams[0].ends, 1);
    cr_expect_eq(streams[0].end.class, LUTRA_CONFIG);
    cr_expect(strstr(streams[0].end.msg, "it was reset"), "%s", streams[0].end.msg);
    for (int i = 100; i < 200; i++) { /* longer than before */
        lutra_sql_exec(sql, "INSERT INTO t VALUES (%d, 'since')", i);
    }
    open_stream(source, &streams[1], from);
    await(&streams[1], &streams[1].ends, 1);
    cr_expect_eq(streams[1].end.class, LUTRA_CONFIG);
    cr_expect(strstr(streams[1].end.msg, "it was reset"), "%s", streams[1].end.msg);
    open_stream(source, &streams[2], "binlog.000007:4;0-1-5");
    await(&streams[2], &streams[2].ends, 1);
    cr_expect_eq(streams[2].end.class, LUTRA_CONFIG, "%s", streams[2].end.msg);
    lutra_free(from);
}

Test(source_own, a_server_without_checksums_and_a_change_of_it_stream_the_same)
{
    struct stream stream = {0};
    char *from = current();
    lutra_sql_exec(sql, "INSERT INTO t VALUES (1, 'a'); SET GLOBAL binlog_checksum=NONE;"
                        "INSERT INTO t VALUES (2, 'b'); SET GLOBAL binlog_checksum=CRC32;"
                        "INSERT INTO t VALUES (3, 'c')");
    open_stream(source, &stream, from);
    await(&stream, &stream.xids, 3);
    cr_expect_eq(stream.ends, 0, "%s", stream.end.msg);
    lutra_free(from);
}

Test(source_own, silence_ends_with_retry)
{
    struct stream stream = {0};
    char *from = current();
    open_stream(source, &stream, from);
    await(&stream, &stream.heartbeats, 1);
    uint64_t began_ms = lutra_test_now_ms();
    lutra_test_server_signal("own", "mariadb", SIGSTOP);
    await(&stream, &stream.ends, 1);
    lutra_test_server_signal("own", "mariadb", SIGCONT);
    cr_expect_eq(stream.end.class, LUTRA_RETRY);
    cr_expect_eq(stream.end.code, ETIMEDOUT);
    cr_expect(strstr(stream.end.msg, "heartbeat"), "%s", stream.end.msg);
    cr_expect_lt(lutra_test_now_ms() - began_ms, lutra_test_scaled_ms(6 * HEARTBEAT_MS));
    lutra_free(from);
}

Test(source_own, a_server_that_stops_ends_the_stream_and_its_restart_is_no_new_server)
{
    struct stream stream = {0}, again = {0};
    char *from = current();
    struct reply before = check(source);
    open_stream(source, &stream, from);
    await(&stream, &stream.idles, 1);
    lutra_test_mariadb_stop(&own);
    await(&stream, &stream.ends, 1);
    cr_expect_eq(stream.end.class, LUTRA_RETRY, "%s", stream.end.msg);
    cr_expect_eq(check(source).err.class, LUTRA_RETRY);
    lutra_test_mariadb_restart(&own);
    struct reply after = check(source);
    cr_expect_str_eq(after.info.identity, before.info.identity);
    lutra_sql_close(sql);
    sql = lutra_sql_open(own.socket);
    lutra_sql_exec(sql, "INSERT INTO `%s`.t VALUES (1, 'a')", schema);
    open_stream(source, &again, from);
    await(&again, &again.xids, 1);
    lutra_free(from);
}
