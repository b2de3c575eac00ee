/* What a target refuses, by name; and rows that cannot be applied. */
#include "target_fixture.h"

TestSuite(target_refusals, .init = set_up, .fini = tear_down);

static struct batch *one_row(const char *table, bool keyed)
{
    struct lutra_buf row = {0};
    struct batch *b = batch_new(77);
    batch_table(b, schema, table);
    batch_column(b, "id", LUTRA_KIND_INT, keyed);
    batch_column(b, "v", LUTRA_KIND_STRING, 0);
    lutra_values_put_int(&row, 1);
    lutra_values_put_bytes(&row, "a", 1);
    batch_row(b, 0, INSERT, &row);
    lutra_buf_fini(&row);
    return b;
}

static void expect_refused(struct batch *b, const char *a, const char *c)
{
    struct lutra_error err = {0};
    cr_expect_eq(run_unit(b, &err), LUTRA_CONFIG, "%s", err.msg);
    cr_expect(strstr(err.msg, a) && strstr(err.msg, c), "expected %s and %s: %s", a, c, err.msg);
}

Test(target_refusals, tables_that_cannot_be_written_exactly)
{
    expect_refused(one_row("absent", true), "absent", "not at the target");
    lutra_sql_exec(sql, "CREATE VIEW vw AS SELECT 1 AS id, 'a' AS v");
    expect_refused(one_row("vw", true), "vw", "VIEW");
    lutra_sql_exec(sql, "CREATE TABLE my (id INT PRIMARY KEY, v VARCHAR(9)) ENGINE=MyISAM");
    expect_refused(one_row("my", true), "my", "ENGINE=InnoDB");
    lutra_sql_exec(sql, "CREATE TABLE nokey (id INT, v VARCHAR(9))");
    expect_refused(one_row("nokey", true), "nokey", "primary key");
    lutra_sql_exec(sql, "CREATE TABLE twokeys (id INT, v VARCHAR(9), PRIMARY KEY (id, v))");
    expect_refused(one_row("twokeys", true), "(id, v)", "primary key");
    lutra_sql_exec(sql, "CREATE TABLE trig (id INT PRIMARY KEY, v VARCHAR(9));"
                        "CREATE TRIGGER bites AFTER INSERT ON trig FOR EACH ROW SET @x=1");
    expect_refused(one_row("trig", true), "bites", "triggers: allow");
    lutra_sql_exec(sql, "CREATE TABLE fewer (id INT PRIMARY KEY)");
    expect_refused(one_row("fewer", true), "v is not at the target", "fewer");
    /* Put right, it goes on. */
    lutra_sql_exec(sql, "ALTER TABLE fewer ADD v VARCHAR(9)");
    expect_unit(one_row("fewer", true));
}

static void expect_column_refused(const char *type,
                                  enum lutra_kind kind,
                                  uint32_t code,
                                  uint32_t meta,
                                  uint32_t decimals,
                                  uint32_t collation,
                                  const char *what)
{
    struct lutra_buf row = {0};
    static unsigned n;
    char table[20];
    snprintf(table, sizeof(table), "c%u", ++n);
    lutra_sql_exec(sql, "CREATE TABLE %s (id INT PRIMARY KEY, v %s)", table, type);
    struct batch *b = batch_new(1);
    batch_table(b, schema, table);
    batch_column(b, "id", LUTRA_KIND_INT, 1);
    Lutra__Column *column = batch_column(b, "v", kind, 0);
    column->type = code;
    column->meta = meta;
    column->decimals = decimals;
    column->collation = collation;
    lutra_values_put_int(&row, 1);
    lutra_values_put_null(&row);
    batch_row(b, 0, INSERT, &row);
    lutra_buf_fini(&row);
    if (what) {
        expect_refused(b, what, "v is ");
    } else {
        expect_unit(b);
    }
}

Test(target_refusals, columns_that_would_lose_something)
{
    enum { LATIN1 = 8, UTF8MB4 = 45, UTF8MB4_UCA1400 = 2304, UTF8MB3 = 33, GBK = 28 };
    expect_column_refused("INT UNSIGNED", LUTRA_KIND_INT, 3, 0, 0, 0, "unsigned");
    expect_column_refused("INT", LUTRA_KIND_UINT, 3, 0, 0, 0, "signed");
    expect_column_refused("SMALLINT", LUTRA_KIND_INT, 3, 0, 0, 0, "smaller");
    expect_column_refused("BIGINT", LUTRA_KIND_INT, 3, 0, 0, 0, NULL);
    expect_column_refused("INT", LUTRA_KIND_INT, 13, 0, 0, 0, "YEAR");
    expect_column_refused("YEAR", LUTRA_KIND_INT, 13, 0, 0, 0, NULL);
    expect_column_refused("FLOAT", LUTRA_KIND_INT, 3, 0, 0, 0, "not an integer");
    expect_column_refused("DECIMAL(10,2)", LUTRA_KIND_DECIMAL, 246, 10 << 8 | 3, 3, 0, "digits");
    expect_column_refused("DECIMAL(10,2)", LUTRA_KIND_DECIMAL, 246, 11 << 8 | 2, 2, 0, "digits");
    expect_column_refused("DECIMAL(12,3)", LUTRA_KIND_DECIMAL, 246, 11 << 8 | 2, 2, 0, NULL);
    expect_column_refused("DATETIME(3)", LUTRA_KIND_DATETIME, 18, 6, 6, 0, "fractional");
    expect_column_refused("TIMESTAMP(6) NULL", LUTRA_KIND_DATETIME, 18, 6, 6, 0, "another type");
    expect_column_refused("VARCHAR(10) CHARACTER SET utf8mb4", LUTRA_KIND_STRING, 15, 10, 0, LATIN1,
                          "character set");
    expect_column_refused("VARCHAR(10) CHARACTER SET gbk", LUTRA_KIND_STRING, 15, 20, 0, GBK, NULL);
    expect_column_refused("VARCHAR(10) CHARACTER SET utf8mb4", LUTRA_KIND_STRING, 15, 40, 0,
                          UTF8MB4_UCA1400, NULL);
    expect_column_refused("VARCHAR(10) CHARACTER SET utf8mb4", LUTRA_KIND_STRING, 15, 30, 0,
                          UTF8MB3, NULL);
    expect_column_refused("VARCHAR(10) CHARACTER SET utf8mb4", LUTRA_KIND_STRING, 15, 44, 0,
                          UTF8MB4, "shorter");
    expect_column_refused("TEXT CHARACTER SET utf8mb4", LUTRA_KIND_STRING, 252, 3, 0, UTF8MB4,
                          "shorter");
    expect_column_refused("CHAR(10) CHARACTER SET latin1", LUTRA_KIND_STRING, 15, 10, 0, LATIN1,
                          "trailing spaces");
    expect_column_refused("BINARY(20)", LUTRA_KIND_BINARY, 254, 16, 0, 63, "another length");
    expect_column_refused("VARBINARY(16)", LUTRA_KIND_BINARY, 254, 16, 0, 63, NULL);
    expect_column_refused("UUID", LUTRA_KIND_BINARY, 254, 16, 0, 63, "BINARY");
}

/* ---- Rows ---- */

static void put(struct lutra_buf *row, int64_t id, const char *v)
{
    lutra_values_put_int(row, id);
    lutra_values_put_bytes(row, v, strlen(v));
}

/* A batch of good rows with one that fails in the middle, in a run. */
static struct batch *run_of(const char *table, Lutra__RowGroup__Op op, int64_t bad, const char *v)
{
    struct lutra_buf row = {0};
    struct batch *b = batch_new(77);
    batch_table(b, schema, table);
    batch_column(b, "id", LUTRA_KIND_INT, 1);
    batch_column(b, "v", LUTRA_KIND_STRING, 0);
    batch_transaction(b, "0-1-4711");
    for (int64_t i = 0; i < 20; i++) {
        int64_t id = op == INSERT ? 100 + i : i;
        put(&row, i == 13 ? bad : id, i == 13 ? v : "old");
        if (op == UPDATE) {
            put(&row, i == 13 ? bad : id, i == 13 ? v : "new");
        }
        batch_row(b, 0, op, &row);
    }
    lutra_buf_fini(&row);
    return b;
}

static void expect_row_named(Lutra__RowGroup__Op op, int64_t bad, const char *v, const char *what)
{
    struct lutra_error err = {0};
    struct lutra_target_stats before, after;
    lutra_target_stats_get(target, &before);
    /* The run fails as a whole; executed again, row by row, it names the row. */
    cr_expect_eq(run_unit(run_of("t", op, bad, v), &err), LUTRA_RETRY, "%s", err.msg);
    cr_expect_eq(run_unit(run_of("t", op, bad, v), &err), LUTRA_DATA, "%s", err.msg);
    char key[40];
    snprintf(key, sizeof(key), "key (id=%lld)", (long long)bad);
    cr_expect(strstr(err.msg, key) && strstr(err.msg, what) && strstr(err.msg, "process 77") &&
                  strstr(err.msg, "0-1-4711") && strstr(err.msg, ".t "),
              "%s", err.msg);
    expect_text("SELECT CONCAT(COUNT(*), ' ', SUM(v='old')) FROM t", "20 20");
    lutra_target_stats_get(target, &after);
    cr_expect_eq(before.reconnects, after.reconnects);
    expect_unit(batch_new(1)); /* a unit that commits: runs again */
}

Test(target_refusals, a_row_that_cannot_be_applied_is_named_and_nothing_is_written)
{
    lutra_sql_exec(sql, "CREATE TABLE parent (id INT PRIMARY KEY); INSERT INTO parent VALUES (1);"
                        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(5));"
                        "INSERT INTO t SELECT seq, 'old' FROM seq_0_to_19");
    expect_row_named(INSERT, 5, "dup", "1062");
    expect_row_named(INSERT, 300, "too long", "1406");
    expect_row_named(UPDATE, 999, "gone", "no such row");
    expect_row_named(DELETE, 999, "gone", "no such row");
    expect_row_named(UPDATE, 5, "too long", "1406");
    lutra_sql_exec(sql, "CREATE TABLE child (id INT PRIMARY KEY, v VARCHAR(5),"
                        " FOREIGN KEY (id) REFERENCES parent (id))");
    struct lutra_error err = {0};
    cr_expect_eq(run_unit(run_of("child", INSERT, 1, "ok"), &err), LUTRA_RETRY);
    cr_expect_eq(run_unit(run_of("child", INSERT, 1, "ok"), &err), LUTRA_DATA);
    cr_expect(strstr(err.msg, "1452") && strstr(err.msg, "id=100"), "%s", err.msg);
    /* A good unit after all that, and runs again. */
    struct batch *b = run_of("t", UPDATE, 13, "old");
    expect_unit(b);
    expect_text("SELECT COUNT(*) FROM t WHERE v='new'", "19");
}

Test(target_refusals, keyless_rows_that_are_not_there_fail_too)
{
    struct lutra_buf row = {0};
    struct lutra_error err = {0};
    lutra_sql_exec(sql, "CREATE TABLE log (id INT, v VARCHAR(5)); INSERT INTO log VALUES (1, 'a')");
    struct batch *b = batch_new(1);
    batch_table(b, schema, "log");
    batch_column(b, "id", LUTRA_KIND_INT, 0);
    batch_column(b, "v", LUTRA_KIND_STRING, 0);
    put(&row, 1, "A");
    batch_row(b, 0, DELETE, &row);
    cr_expect_eq(run_unit(b, &err), LUTRA_DATA);
    cr_expect(strstr(err.msg, "no such row") && strstr(err.msg, "v='A'"), "%s", err.msg);
    lutra_buf_fini(&row);
}

Test(target_refusals, users_without_rights_are_told_what_to_grant)
{
    struct lutra_error err = {0};
    char *user = lutra_test_unique("u");
    const char *socket = lutra_test_stack()->target.socket;
    lutra_sql_exec(sql, "CREATE USER '%s'@'localhost'", user);
    struct lutra_target *poor = target_as(socket, user, false);
    cr_expect_eq(sync_prepare(loop, poor, &err), LUTRA_CONFIG, "%s", err.msg);
    cr_expect(strstr(err.msg, "GRANT ALL ON lutra.*"), "%s", err.msg);
    lutra_sql_exec(sql, "GRANT ALL ON lutra.* TO '%s'@'localhost'", user);
    cr_expect_eq(sync_prepare(loop, poor, &err), LUTRA_OK, "%s", err.msg);

    lutra_sql_exec(sql, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(5))");
    uint64_t mine = sync_epoch(loop, poor, 0, 0, &err);
    cr_assert_gt(mine, 0, "%s", err.msg);
    struct batch *b = one_row("t", true);
    cr_expect_eq(sync_unit(loop, poor, mine, 1, 0, batch_get(b), &err), LUTRA_CONFIG);
    cr_expect(strstr(err.msg, "GRANT SELECT, INSERT"), "%s", err.msg);
    lutra_sql_exec(sql, "GRANT SELECT, INSERT, UPDATE, DELETE ON `%s`.* TO '%s'@'localhost'",
                   schema, user);
    cr_expect_eq(sync_unit(loop, poor, mine, 1, 0, batch_get(b), &err), LUTRA_CONFIG);
    cr_expect(strstr(err.msg, "GRANT TRIGGER"), "%s", err.msg);
    lutra_sql_exec(sql, "GRANT TRIGGER ON `%s`.* TO '%s'@'localhost'", schema, user);
    cr_expect_eq(sync_unit(loop, poor, mine, 1, 0, batch_get(b), &err), LUTRA_OK, "%s", err.msg);
    lutra_target_free(poor);

    poor = target_as(socket, "nobody-knows-me", false);
    cr_expect_eq(sync_prepare(loop, poor, &err), LUTRA_CONFIG);
    lutra_target_free(poor);
    poor = target_as("/nowhere/mariadb.sock", "root", false);
    cr_expect_eq(sync_prepare(loop, poor, &err), LUTRA_RETRY);
    lutra_target_free(poor);
    lutra_sql_exec(sql, "DROP USER '%s'@'localhost'", user);
    free(user);
    batch_free(b);
}
