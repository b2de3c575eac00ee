/* Rows through a real target: byte for byte, and exactly one each. */
#include "target_fixture.h"

TestSuite(target_rows, .init = set_up, .fini = tear_down);

static struct batch *ids(const char *table, bool keyed)
{
    struct batch *b = batch_new(last_unit + 1);
    batch_table(b, schema, table);
    batch_column(b, "id", LUTRA_KIND_INT, keyed);
    batch_column(b, "v", LUTRA_KIND_STRING, 0);
    return b;
}

static void put(struct lutra_buf *row, int64_t id, const char *v)
{
    lutra_values_put_int(row, id);
    if (v) {
        lutra_values_put_bytes(row, v, strlen(v));
    } else {
        lutra_values_put_null(row);
    }
}

static void add(struct batch *b, Lutra__RowGroup__Op op, int64_t id, const char *v)
{
    struct lutra_buf row = {0};
    put(&row, id, v);
    batch_row(b, 0, op, &row);
    lutra_buf_fini(&row);
}

static void add_update(struct batch *b, int64_t id, const char *v, int64_t id2, const char *v2)
{
    struct lutra_buf row = {0};
    put(&row, id, v);
    put(&row, id2, v2);
    batch_row(b, 0, UPDATE, &row);
    lutra_buf_fini(&row);
}

/* ---- Every kind of value ---- */

static const char everything[] =
    "CREATE TABLE %s (id BIGINT %s, ti TINYINT, tu TINYINT UNSIGNED, mi MEDIUMINT,"
    " bi BIGINT, bu BIGINT UNSIGNED, y YEAR, de DECIMAL(65,30), d DATE, t6 TIME(6), t0 TIME,"
    " dt DATETIME(4), ts TIMESTAMP(3) NULL, ts2 TIMESTAMP NULL, c CHAR(10) CHARACTER SET latin1,"
    " g VARCHAR(50) CHARACTER SET gbk, u16 VARCHAR(50) CHARACTER SET utf16,"
    " u8 TEXT CHARACTER SET utf8mb4, b BINARY(6), vb VARBINARY(20), bl BLOB)";
static const char everything_hex[] =
    "SELECT CONCAT_WS('|', id, ti, tu, mi, bi, bu, y, de, d, t6, t0, dt, ts, ts2, HEX(c), HEX(g),"
    " HEX(u16), HEX(u8), HEX(b), HEX(vb), HEX(bl)) FROM %s";

struct raw {
    const char *data;
    size_t len;
};
#define RAW(s) ((struct raw){s, sizeof(s) - 1})

static const struct text_column {
    const char *name;
    enum lutra_kind kind;
    unsigned decimals;
    struct raw first, second;
} texts[] = {
    {"de",
     LUTRA_KIND_DECIMAL,
     30,
     {"-12345678901234567890123456789012345.123456789012345678901234567891", 67},
     {"0.000000000000000000000000000001", 32}},
    {"d", LUTRA_KIND_DATE, 0, {"2020-02-31", 10}, {"0000-00-00", 10}},
    {"t6", LUTRA_KIND_TIME, 6, {"-838:59:58.999999", 17}, {"-00:00:00.000001", 16}},
    {"t0", LUTRA_KIND_TIME, 0, {"838:59:59", 9}, {"-00:00:01", 9}},
    {"dt",
     LUTRA_KIND_DATETIME,
     4,
     {"2024-02-29 23:59:59.1234", 24},
     {"2020-00-00 00:00:00.0000", 24}},
    {"ts",
     LUTRA_KIND_TIMESTAMP,
     3,
     {"1970-01-01 00:00:01.001", 23},
     {"2038-01-19 03:14:07.999", 23}},
    {"ts2", LUTRA_KIND_TIMESTAMP, 0, {"0000-00-00 00:00:00", 19}, {"2024-10-27 02:30:00", 19}},
    {"c", LUTRA_KIND_STRING, 0, {"caf\xe9 '\\\"", 8}, {" \xff\x80", 3}},
    {"g", LUTRA_KIND_STRING, 0, {"\xc4\xe3\xba\xc3\x81\x5c  ", 8}, {"\xbf\x5c\x27", 3}},
    {"u16",
     LUTRA_KIND_STRING,
     0,
     {"\x00\x41\x26\x3a\xd8\x3d\xde\x00\x00\x20", 10},
     {"\x00\x27", 2}},
    {"u8", LUTRA_KIND_STRING, 0, {"\xf0\x9f\xa6\xa6 a\0b \n  ", 12}, {"", 0}},
    {"b", LUTRA_KIND_BINARY, 0, {"\0\xff\0'\\\0", 6}, {"\0\0\0\0\0\0", 6}},
    {"vb", LUTRA_KIND_BINARY, 0, {"\0\x1a\xff \0", 5}, {"", 0}},
    {"bl", LUTRA_KIND_BINARY, 0, {"\xde\xad\0\xbe\xef", 5}, {"\0", 1}},
};
enum { N_TEXTS = sizeof(texts) / sizeof(texts[0]) };

static struct batch *everything_batch(const char *table, bool keyed)
{
    static const char *const names[] = {"ti", "tu", "mi", "bi", "bu", "y"};
    struct batch *b = batch_new(last_unit + 1);
    batch_table(b, schema, table);
    batch_column(b, "id", LUTRA_KIND_INT, keyed);
    for (size_t i = 0; i < 6; i++) {
        batch_column(b, names[i], i == 1 || i == 4 ? LUTRA_KIND_UINT : LUTRA_KIND_INT, 0);
    }
    for (size_t i = 0; i < N_TEXTS; i++) {
        batch_column(b, texts[i].name, texts[i].kind, 0)->decimals = texts[i].decimals;
    }
    return b;
}

static void put_everything(struct lutra_buf *row, int64_t id, int version)
{
    lutra_values_put_int(row, id);
    if (version == 2) {
        for (size_t i = 0; i < 6 + N_TEXTS; i++) {
            lutra_values_put_null(row);
        }
        return;
    }
    lutra_values_put_int(row, version ? 127 : -128);
    lutra_values_put_uint(row, version ? 0 : 255);
    lutra_values_put_int(row, version ? -1 : -8388608);
    lutra_values_put_int(row, version ? INT64_MAX : INT64_MIN);
    lutra_values_put_uint(row, version ? 0 : UINT64_MAX);
    lutra_values_put_int(row, version ? 0 : 2155);
    for (size_t i = 0; i < N_TEXTS; i++) {
        const struct raw *raw = version ? &texts[i].second : &texts[i].first;
        lutra_values_put_bytes(row, raw->data, raw->len);
    }
}

#define FIRST                                                                         \
    "|-128|255|-8388608|-9223372036854775808|18446744073709551615|2155|"              \
    "-12345678901234567890123456789012345.123456789012345678901234567891|2020-02-31|" \
    "-838:59:58.999999|838:59:59|2024-02-29 23:59:59.1234|1970-01-01 00:00:01.001|"   \
    "0000-00-00 00:00:00|636166E920275C22|C4E3BAC3815C2020|0041263AD83DDE000020|"     \
    "F09FA6A62061006220"                                                              \
    "0A2020|00FF00275C00|001AFF2000|DEAD00BEEF"
#define SECOND                                                                          \
    "|127|0|-1|9223372036854775807|0|0000|0.000000000000000000000000000001|0000-00-00|" \
    "-00:00:00.000001|-00:00:01|2020-00-00 00:00:00.0000|2038-01-19 03:14:07.999|"      \
    "2024-10-27 02:30:00|20FF80|BF5C27|0027||000000000000||00"

static void all_kinds(const char *table, bool keyed)
{
    struct lutra_buf row = {0};
    char query[600];
    lutra_sql_exec(sql, everything, table, keyed ? "PRIMARY KEY" : "");
    snprintf(query, sizeof(query), everything_hex, table);

    /* id 0 stays 0; then two rows more, so that the second and third travel as an array. */
    struct batch *b = everything_batch(table, keyed);
    put_everything(&row, 0, 0);
    batch_row(b, 0, INSERT, &row);
    expect_unit(b);
    expect_text(query, "0" FIRST);
    b = everything_batch(table, keyed);
    put_everything(&row, 1, 2);
    batch_row(b, 0, INSERT, &row);
    put_everything(&row, 2, 1);
    batch_row(b, 0, INSERT, &row);
    put_everything(&row, 3, 0);
    batch_row(b, 0, INSERT, &row);
    expect_unit(b);
    strcat(query, " WHERE id=2");
    expect_text(query, "2" SECOND);

    /* Alone and as an array: found by key, or by all their bytes. */
    b = everything_batch(table, keyed);
    put_everything(&row, 0, 0);
    put_everything(&row, 0, 1);
    batch_row(b, 0, UPDATE, &row);
    expect_unit(b);
    query[strlen(query) - 1] = '0';
    expect_text(query, "0" SECOND);
    b = everything_batch(table, keyed);
    for (int64_t id = 1; id <= 3; id++) {
        put_everything(&row, id, id == 1 ? 2 : id == 2 ? 1 : 0);
        put_everything(&row, id, id == 1 ? 0 : id == 2 ? 0 : 1);
        batch_row(b, 0, UPDATE, &row);
    }
    expect_unit(b);
    query[strlen(query) - 1] = '1';
    expect_text(query, "1" FIRST);
    query[strlen(query) - 1] = '3';
    expect_text(query, "3" SECOND);
    b = everything_batch(table, keyed);
    put_everything(&row, 0, 1);
    batch_row(b, 0, DELETE, &row);
    put_everything(&row, 1, 0);
    batch_row(b, 0, DELETE, &row);
    put_everything(&row, 3, 1);
    batch_row(b, 0, DELETE, &row);
    expect_unit(b);
    cr_expect_eq(lutra_sql_int(sql, "SELECT SUM(id) FROM %s", table), 2);
    b = everything_batch(table, keyed);
    put_everything(&row, 2, 0);
    batch_row(b, 0, DELETE, &row);
    expect_unit(b);
    cr_expect_eq(lutra_sql_int(sql, "SELECT COUNT(*) FROM %s", table), 0);
    lutra_buf_fini(&row);
}

Test(target_rows, every_kind_keeps_its_bytes_with_a_primary_key)
{
    all_kinds("everything", true);
}

Test(target_rows, every_kind_keeps_its_bytes_and_is_found_by_them_without_a_key)
{
    all_kinds("keyless", false);
}

/* ---- Keys ---- */

static int64_t rows_read(void)
{
    return lutra_sql_int(sql, "SELECT SUM(VARIABLE_VALUE) FROM information_schema.GLOBAL_STATUS "
                              "WHERE VARIABLE_NAME IN ('Innodb_rows_read')");
}

static void string_key(
    const char *charset, const char *type, enum lutra_kind kind, const struct raw *keys, size_t n)
{
    struct lutra_buf row = {0};
    lutra_sql_exec(sql, "CREATE TABLE k_%s (k %s(20)%s%s, n INT, PRIMARY KEY (k, n))", charset,
                   type, kind == LUTRA_KIND_STRING ? " CHARACTER SET " : "",
                   kind == LUTRA_KIND_STRING ? charset : "");
    lutra_sql_exec(sql,
                   "INSERT INTO k_%s SELECT CONVERT(CONCAT('x', seq) USING ascii), 0 FROM "
                   "seq_1_to_5000",
                   charset);
    char table[40];
    snprintf(table, sizeof(table), "k_%s", charset);
    struct batch *b = batch_new(last_unit + 1);
    batch_table(b, schema, table);
    batch_column(b, "k", kind, 1);
    batch_column(b, "n", LUTRA_KIND_INT, 2);
    for (size_t i = 0; i < n; i++) {
        lutra_values_put_bytes(&row, keys[i].data, keys[i].len);
        lutra_values_put_int(&row, 1);
        batch_row(b, 0, INSERT, &row);
    }
    expect_unit(b);
    for (int pass = 0; pass < 2; pass++) { /* one by one, then together */
        b = NULL;
        int64_t read = rows_read();
        for (size_t i = 0; i < n; i++) {
            if (!b) {
                b = batch_new(last_unit + 1);
                batch_table(b, schema, table);
                batch_column(b, "k", kind, 1);
                batch_column(b, "n", LUTRA_KIND_INT, 2);
            }
            lutra_values_put_bytes(&row, keys[i].data, keys[i].len);
            lutra_values_put_int(&row, pass + 1);
            lutra_values_put_bytes(&row, keys[i].data, keys[i].len);
            lutra_values_put_int(&row, pass + 2);
            batch_row(b, 0, UPDATE, &row);
            if (pass == 0) {
                expect_unit(b);
                b = NULL;
            }
        }
        if (b) {
            expect_unit(b);
        }
        cr_expect_lt(rows_read() - read, 500, "%s: the key's index is not used", charset);
    }
    cr_expect_eq(lutra_sql_int(sql, "SELECT COUNT(*) FROM k_%s WHERE n=3", charset), (int64_t)n);
    char *hex =
        lutra_sql_text(sql, "SELECT HEX(k) FROM k_%s WHERE n=3 ORDER BY HEX(k) LIMIT 1", charset);
    cr_expect(hex && strlen(hex) >= 2 * keys[0].len);
    free(hex);
    lutra_buf_fini(&row);
}

Test(target_rows, string_keys_of_every_character_set_use_the_index)
{
    static const struct raw latin1[] = {{"\xe9t\xe9", 3}, {"O'Neil\\", 7}, {"a ", 2}};
    static const struct raw gbk[] = {{"\xc4\xe3", 2}, {"\x81\x5c", 2}, {"\xbf\x5c", 2}};
    static const struct raw utf16[] = {{"\x00\x27\x26\x3a", 4}, {"\xd8\x3d\xde\x00", 4}};
    static const struct raw utf8[] = {{"\xf0\x9f\xa6\xa6", 4},
                                      {"stra\xc3\x9f"
                                       "e",
                                       7}};
    static const struct raw binary[] = {{"\0\x01", 2}, {"\xff\xfe\0", 3}};
    string_key("latin1", "VARCHAR", LUTRA_KIND_STRING, latin1, 3);
    string_key("gbk", "VARCHAR", LUTRA_KIND_STRING, gbk, 3);
    string_key("utf16", "VARCHAR", LUTRA_KIND_STRING, utf16, 2);
    string_key("utf8mb4", "VARCHAR", LUTRA_KIND_STRING, utf8, 2);
    string_key("utf8mb3", "VARCHAR", LUTRA_KIND_STRING, utf8 + 1, 1);
    string_key("bin", "VARBINARY", LUTRA_KIND_BINARY, binary, 2);
}

Test(target_rows, keys_of_decimals_and_times_are_found_exactly)
{
    struct lutra_buf row = {0};
    /* Two decimals that are one as doubles. */
    static const char *const keys[] = {"123456789012345678901234567890.0000000001",
                                       "123456789012345678901234567890.0000000002"};
    lutra_sql_exec(sql,
                   "CREATE TABLE dk (de DECIMAL(60,10), d DATETIME(6), t TIME(3), y YEAR, v INT,"
                   " PRIMARY KEY (de, d, t, y))");
    for (int op = 0; op < 3; op++) {
        struct batch *b = batch_new(last_unit + 1);
        batch_table(b, schema, "dk");
        batch_column(b, "de", LUTRA_KIND_DECIMAL, 1);
        batch_column(b, "d", LUTRA_KIND_DATETIME, 2);
        batch_column(b, "t", LUTRA_KIND_TIME, 3);
        batch_column(b, "y", LUTRA_KIND_INT, 4);
        batch_column(b, "v", LUTRA_KIND_INT, 0);
        for (int i = 0; i < (op == 2 ? 1 : 2); i++) {
            for (int image = 0; image < (op == 1 ? 2 : 1); image++) {
                lutra_values_put_bytes(&row, keys[i], strlen(keys[i]));
                lutra_values_put_bytes(&row, "0000-00-00 00:00:00.000000", 26);
                lutra_values_put_bytes(&row, "-00:00:00.001", 13);
                lutra_values_put_int(&row, 0);
                lutra_values_put_int(&row, image ? i + 10 : i);
            }
            batch_row(b, 0, op == 0 ? INSERT : op == 1 ? UPDATE : DELETE, &row);
        }
        expect_unit(b);
    }
    expect_text("SELECT CONCAT(de, ' ', d, ' ', t, ' ', y, ' ', v) FROM dk",
                "123456789012345678901234567890.0000000002 0000-00-00 00:00:00.000000 "
                "-00:00:00.001 0000 11");
    lutra_buf_fini(&row);
}

Test(target_rows, without_a_key_one_of_equal_rows_is_changed)
{
    lutra_sql_exec(sql, "CREATE TABLE log (id INT, v VARCHAR(20))");
    struct batch *b = ids("log", false);
    for (int i = 0; i < 4; i++) {
        add(b, INSERT, 1, "a");
    }
    add(b, INSERT, 1, "A");
    add(b, INSERT, 1, "a ");
    add(b, INSERT, 1, NULL);
    add(b, INSERT, 1, NULL);
    add_update(b, 1, "a", 2, "b");
    add_update(b, 1, NULL, 3, "c");
    add_update(b, 1, "a", 2, "b");
    add(b, DELETE, 1, "a");
    expect_unit(b);
    expect_text("SELECT GROUP_CONCAT(CONCAT(id, '=', IFNULL(CONCAT('[', v, ']'), 'NULL')) ORDER BY "
                "id, HEX(v) SEPARATOR ' ') FROM log",
                "1=NULL 1=[A] 1=[a] 1=[a ] 2=[b] 2=[b] 3=[c]");
}

/* ---- Runs ---- */

/* The same changes in the same order, in batches of `rows` changes. */
static void workload(const char *table, size_t rows, bool keyed)
{
    struct batch *b = NULL;
    unsigned seed = 1;
    bool there[200] = {0};
    char old[200][40];
    lutra_sql_exec(sql, "CREATE TABLE %s (id INT%s, v VARCHAR(40))", table,
                   keyed ? " PRIMARY KEY" : "");
    for (size_t i = 0; i < 3000; i++) {
        /* Runs of one operation on neighbouring keys, and mixtures. */
        seed = seed * 1103515245u + 12345u;
        size_t id = i % 500 < 200 ? i % 500 : (seed >> 16) % 200;
        char v[40];
        snprintf(v, sizeof(v), "v%zu", i);
        b = b ? b : ids(table, keyed);
        if (!there[id]) {
            add(b, INSERT, (int64_t)id, v);
        } else if (i % 7 == 0) {
            add(b, DELETE, (int64_t)id, old[id]);
        } else {
            add_update(b, (int64_t)id, old[id], (int64_t)id, i % 5 ? v : old[id]);
            if (i % 5 == 0) {
                snprintf(v, sizeof(v), "%s", old[id]);
            }
        }
        there[id] = !there[id] || i % 7 != 0;
        strcpy(old[id], v);
        if ((i + 1) % rows == 0) {
            expect_unit(b);
            b = NULL;
        }
    }
    if (b) {
        expect_unit(b);
    }
}

static void same_in_runs(bool keyed)
{
    char *difference = NULL, *left = lutra_test_format("%s.one", schema),
         *right = lutra_test_format("%s.many", schema);
    struct lutra_target_stats before, between, after;
    lutra_target_stats_get(target, &before);
    workload("one", 1, keyed);
    lutra_target_stats_get(target, &between);
    workload("many", 700, keyed);
    lutra_target_stats_get(target, &after);
    struct lutra_sql *other = lutra_sql_open(lutra_test_stack()->target.socket);
    cr_expect(lutra_sql_tables_equal(sql, other, left, right, &difference), "%s", difference);
    lutra_sql_close(other);
    for (int op = 0; op < 3; op++) {
        cr_expect_eq(after.rows[op] - between.rows[op], between.rows[op] - before.rows[op]);
    }
    cr_expect_lt((after.round_trips - between.round_trips) * 2,
                 between.round_trips - before.round_trips);
    free(left);
    free(right);
}

Test(target_rows, runs_give_the_same_as_row_by_row)
{
    same_in_runs(true);
}

Test(target_rows, runs_give_the_same_as_row_by_row_without_a_key)
{
    same_in_runs(false);
}

Test(target_rows, an_update_that_changes_nothing_has_matched_its_row)
{
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); "
                        "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')");
    struct batch *b = ids("t", true);
    add_update(b, 1, "a", 1, "a");
    add_update(b, 2, "b", 2, "b");
    add_update(b, 3, "c", 3, "c");
    expect_unit(b);
    b = ids("t", true);
    add_update(b, 1, "a", 1, "a");
    expect_unit(b);
}

Test(target_rows, generated_and_absent_columns_are_left_out)
{
    struct lutra_buf row = {0};
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20) DEFAULT 'dflt',"
                        " w INT AS (id * 2) VIRTUAL, p INT AS (id * 3) PERSISTENT)");
    struct batch *b = batch_new(1);
    batch_table(b, schema, "t");
    batch_column(b, "id", LUTRA_KIND_INT, 1);
    batch_column(b, "v", LUTRA_KIND_STRING, 0);
    batch_column(b, "w", LUTRA_KIND_INT, 0);
    batch_column(b, "p", LUTRA_KIND_INT, 0);
    for (int64_t id = 1; id <= 4; id++) {
        lutra_values_put_int(&row, id);
        if (id > 2) {
            lutra_values_put_absent(&row);
        } else {
            lutra_values_put_bytes(&row, "set", 3);
        }
        lutra_values_put_int(&row, 99);
        lutra_values_put_int(&row, 99);
        batch_row(b, 0, INSERT, &row);
    }
    expect_unit(b);
    expect_text("SELECT GROUP_CONCAT(CONCAT(id, v, w, p) ORDER BY id) FROM t",
                "1set23,2set46,3dflt69,4dflt812");
    lutra_buf_fini(&row);
}

Test(target_rows, rows_of_many_megabytes_pass)
{
    enum { BIG = 20 << 20 };
    struct lutra_buf row = {0};
    char *big = malloc(BIG);
    memset(big, 'z', BIG);
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT CHARACTER SET utf8mb4)");
    struct batch *b = ids("t", true);
    for (int64_t id = 1; id <= 3; id++) {
        lutra_values_put_int(&row, id);
        lutra_values_put_bytes(&row, big, id == 2 ? BIG : 10);
        batch_row(b, 0, INSERT, &row);
    }
    expect_unit(b);
    cr_expect_eq(lutra_sql_int(sql, "SELECT SUM(LENGTH(v)) FROM t"), BIG + 20);
    lutra_buf_fini(&row);
    free(big);
}

Test(target_rows, the_session_is_as_the_protocol_says)
{
    /* Seen through a trigger: no other way into that connection. Character set and sql_mode are the
     * trigger's own; the bytes and values of the tests above stand for those. */
    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200));"
                        "CREATE TRIGGER look BEFORE INSERT ON t FOR EACH ROW SET NEW.v="
                        "CONCAT_WS('|', @@SESSION.time_zone,"
                        " @@SESSION.tx_isolation, @@SESSION.innodb_lock_wait_timeout,"
                        " @@SESSION.lock_wait_timeout, @@SESSION.autocommit)");
    lutra_target_free(target);
    target = target_as(lutra_test_stack()->target.socket, "root", true);
    struct batch *b = ids("t", true);
    add(b, INSERT, 1, "x");
    expect_unit(b);
    expect_text("SELECT v FROM t", "+00:00|READ-COMMITTED|5|30|OFF");
    lutra_sql_exec(sql,
                   "DROP TRIGGER look; DELETE FROM t; CREATE TRIGGER look BEFORE INSERT ON t FOR "
                   "EACH ROW SET NEW.id=LENGTH(NEW.v)");
    b = ids("t", true);
    add(b, INSERT, 0, "four");
    expect_unit(b);
    expect_text("SELECT id FROM t", "4");
}
