/* What Lutra refuses, says so by name, and goes on with after the operator has put it right. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/test.h"

static void refused_and_freed(char *reason)
{
    cr_log_info("refused: %s", reason);
    free(reason);
}

/* The operator pauses the pipeline by ROLLBACK, so that the source is looked at again at start. */
static void roll_back(struct cluster *c)
{
    cr_assert_eq(cluster_ctl(c, "rollback %s --reason test", c->name), 0);
    cluster_await_state(c, "ROLLED_BACK", 20000);
}

static void start_only(struct cluster *c)
{
    cr_assert_eq(cluster_ctl(c, "start %s", c->name), 0);
}

/* ---- the source's settings ---- */

static void setting(struct cluster *c, const char *variable, const char *bad, const char *good)
{
    roll_back(c);
    lutra_sql_exec(c->source, "SET GLOBAL %s = %s", variable, bad);
    start_only(c);
    refused_and_freed(cluster_await_refusal(c, variable, bad, good, NULL));
    lutra_sql_exec(c->source, "SET GLOBAL %s = %s", variable, good);
    cluster_resume(c);
    cluster_write(c, "INSERT INTO t (v) VALUES ('after %s')", variable);
    cluster_sync(c, 20000);
}

static void a_missing_grant(struct cluster *c)
{
    roll_back(c);
    lutra_sql_exec(c->source, "REVOKE REPLICATION SLAVE ON *.* FROM lutra@'127.0.0.1'");
    start_only(c);
    refused_and_freed(cluster_await_refusal(c, "REPLICATION SLAVE", "GRANT", NULL));
    lutra_sql_exec(c->source, "GRANT REPLICATION SLAVE ON *.* TO lutra@'127.0.0.1'");
    cluster_resume(c);
    cluster_write(c, "INSERT INTO t (v) VALUES ('after the grant')");
    cluster_sync(c, 20000);
}

Test(refusals,
     settings_and_grants_of_the_source_name_the_variable_the_value_and_the_fix,
     .timeout = 180)
{
    struct cluster c;
    struct lutra_test_mariadb source = lutra_test_mariadb_start("source", NULL);
    char *password = lutra_test_path("password");
    lutra_test_write_file(password, "s3cret of lutra\n");
    char *endpoint = lutra_test_format(
        "{type: mariadb, host: 127.0.0.1, port: %u, user: lutra, password_file: %s}", source.port,
        password);
    cluster_start(&c, &(struct cluster_options){.source = &source, .source_endpoint = endpoint});
    lutra_sql_exec(c.source, "CREATE USER lutra@'127.0.0.1' IDENTIFIED BY 's3cret of lutra';"
                             "GRANT SELECT, REPLICATION SLAVE, BINLOG MONITOR ON *.* "
                             "TO lutra@'127.0.0.1'");
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(50))");
    cluster_go(&c);
    setting(&c, "binlog_format", "STATEMENT", "ROW");
    setting(&c, "binlog_format", "MIXED", "ROW");
    setting(&c, "binlog_row_image", "MINIMAL", "FULL");
    setting(&c, "binlog_row_metadata", "NO_LOG", "FULL");
    a_missing_grant(&c);
    cluster_equal(&c, "t");
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t"), 5);
    cluster_end(&c);
    free(endpoint);
    free(password);
}

/* ---- column types ---- */

static void exclude(struct cluster *c, const char *columns)
{
    static char pairs[512];
    (void)snprintf(pairs, sizeof pairs,
                   "      - source: {schema: %s, table: types}\n"
                   "        exclude: [%s]\n"
                   "      - source: {schema: %s, table: marker}\n",
                   c->name, columns, c->name);
    c->options.pairs = pairs;
}

Test(refusals, column_types_that_are_not_carried_are_named, .timeout = 120)
{
    struct cluster c;
    cluster_start(&c, &(struct cluster_options){0});
    cluster_both(&c, "CREATE TABLE types (id INT PRIMARY KEY, f FLOAT, e ENUM('a','b'), b BIT(8),"
                     " j JSON)");
    char *f = lutra_test_format("%s.types.f", c.name), *e = lutra_test_format("%s.types.e", c.name),
         *b = lutra_test_format("%s.types.b", c.name);
    exclude(&c, "");
    cluster_begin(&c);
    refused_and_freed(cluster_await_refusal(&c, f, "FLOAT", NULL));
    exclude(&c, "f");
    cluster_begin(&c);
    refused_and_freed(cluster_await_refusal(&c, e, "ENUM", ": 2 columns", NULL));
    exclude(&c, "f, e");
    cluster_begin(&c);
    char *reason = cluster_await_refusal(&c, b, "BIT", ": 1 columns", NULL);
    cr_assert(strstr(reason, f) == NULL && strstr(reason, e) == NULL, "%s", reason);
    free(reason);
    exclude(&c, "f, e, b");
    cluster_go(&c);
    cluster_write(&c, "INSERT INTO types VALUES (1, 1.5, 'a', 1, '{\"a\": [1, \"é\"]}'),"
                      "(2, 2.5, 'b', 2, NULL); UPDATE types SET j = '[]' WHERE id = 2");
    cluster_sync(&c, 20000);
    char *difference = NULL;
    cr_assert(lutra_sql_rows_equal(c.source, c.target, "SELECT id, j FROM types ORDER BY id",
                                   "SELECT id, j FROM types ORDER BY id", &difference),
              "%s", difference);
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM types WHERE f IS NULL AND e IS NULL "
                                         "AND b IS NULL"),
                 2);
    free(f);
    free(e);
    free(b);
    cluster_end(&c);
}

/* ---- DDL ---- */

/* "resolved_until: <file>:<offset>" as the reason gives it: what follows the blank; heap. */
static char *resolved_until(const char *reason)
{
    const char *found = strstr(reason, "resolved_until: ");
    cr_assert_not_null(found, "%s", reason);
    found += strlen("resolved_until: ");
    return strndup(found, strspn(found, "abcdefghijklmnopqrstuvwxyz.-0123456789:"));
}

/* What the operator does after a stop: tells up to where it has been dealt with, and starts. */
static void resolve(struct cluster *c, const char *reason)
{
    static char line[128];
    char *until = resolved_until(reason);
    (void)snprintf(line, sizeof line, "    resolved_until: %s\n", until);
    c->options.pipeline = line;
    cluster_go(c);
    free(until);
}

Test(refusals, ddl_on_a_synchronised_table_stops_before_it_and_elsewhere_is_passed, .timeout = 120)
{
    struct cluster c;
    char pairs[256];
    cluster_start(&c, &(struct cluster_options){0});
    (void)snprintf(pairs, sizeof pairs,
                   "      - source: {schema: %s, table: t}\n"
                   "      - source: {schema: %s, table: marker}\n",
                   c.name, c.name);
    c.options.pairs = pairs;
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))");
    cluster_go(&c);
    int64_t passed = cluster_state_int(&c, &c.selects[0], "ddl_passed");
    cluster_write(&c, "CREATE TABLE other (id INT); ALTER TABLE other ADD COLUMN x INT;"
                      "DROP TABLE other");
    cluster_sync(&c, 20000);
    LUTRA_WAIT_FOR(cluster_state_int(&c, &c.selects[0], "ddl_passed") >= passed + 3, 10000);

    cluster_write(&c, "INSERT INTO t VALUES (1, 'before'), (2, 'before');"
                      "ALTER TABLE t ADD COLUMN added INT NOT NULL DEFAULT 7;"
                      "INSERT INTO t VALUES (3, 'after', 8); UPDATE t SET added = 9 WHERE id = 1");
    char *reason = cluster_await_refusal(&c, "ALTER TABLE t ADD COLUMN added", "binlog.", NULL);
    cr_log_info("refused: %s", reason);
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t"), 2,
                 "everything before the statement is applied, nothing behind it");
    /* Starting again without a word about it stops at the same place. */
    start_only(&c);
    refused_and_freed(cluster_await_refusal(&c, "ALTER TABLE t ADD COLUMN added", NULL));
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t"), 2);

    lutra_sql_exec(c.target, "ALTER TABLE t ADD COLUMN added INT NOT NULL DEFAULT 7");
    resolve(&c, reason);
    cluster_sync(&c, 20000);
    cluster_equal(&c, "t");
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t"), 3);

    /* What stands behind the place is not covered by it. */
    cluster_write(&c, "TRUNCATE TABLE t; INSERT INTO t VALUES (4, 'new', 1)");
    free(reason);
    reason = cluster_await_refusal(&c, "TRUNCATE TABLE t", NULL);
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t"), 3);
    lutra_sql_exec(c.target, "TRUNCATE TABLE t");
    resolve(&c, reason);
    cluster_sync(&c, 20000);
    cluster_equal(&c, "t");
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t"), 1);
    free(reason);
    cluster_end(&c);
}

/* ---- the target ---- */

static void a_missing_row(struct cluster *c)
{
    cluster_write(c, "INSERT INTO t VALUES (17, 'here'), (18, 'here')");
    cluster_sync(c, 20000);
    lutra_sql_exec(c->target, "DELETE FROM t WHERE id = 17");
    cluster_write(c, "UPDATE t SET v = 'changed' WHERE id = 18;"
                     "UPDATE t SET v = 'changed' WHERE id = 17");
    char *table = lutra_test_format("%s.t", c->name);
    refused_and_freed(cluster_await_refusal(c, table, "17", "process", NULL));
    lutra_sql_exec(c->target, "INSERT INTO t VALUES (17, 'here')");
    cluster_resume(c);
    cluster_sync(c, 20000);
    cluster_equal(c, "t");
    free(table);
}

static void a_duplicate(struct cluster *c)
{
    lutra_sql_exec(c->target, "INSERT INTO t VALUES (33, 'planted')");
    cluster_write(c, "INSERT INTO t VALUES (33, 'real')");
    char *table = lutra_test_format("%s.t", c->name);
    refused_and_freed(cluster_await_refusal(c, table, "33", "process", NULL));
    lutra_sql_exec(c->target, "DELETE FROM t WHERE id = 33");
    cluster_resume(c);
    cluster_sync(c, 20000);
    cluster_equal(c, "t");
    free(table);
}

static void a_trigger(struct cluster *c)
{
    static char pairs[512];
    cluster_write(c, "INSERT INTO triggered VALUES (1)");
    char *table = lutra_test_format("%s.triggered", c->name);
    refused_and_freed(cluster_await_refusal(c, table, "copies_it", "triggers: allow", NULL));
    cr_assert_eq(lutra_sql_int(c->target, "SELECT COUNT(*) FROM copies"), 0);
    (void)snprintf(pairs, sizeof pairs,
                   "      - source: {schema: %s, table: triggered}\n"
                   "        triggers: allow\n"
                   "      - source: {schema: %s, table: \"*\"}\n",
                   c->name, c->name);
    c->options.pairs = pairs;
    cluster_go(c);
    cluster_sync(c, 20000);
    cluster_equal(c, "triggered");
    cr_assert_eq(lutra_sql_int(c->target, "SELECT COUNT(*) FROM copies"), 1);
    free(table);
}

static void a_missing_key(struct cluster *c)
{
    cluster_write(c, "INSERT INTO keyless VALUES (1, 2); UPDATE keyless SET v = 3");
    char *table = lutra_test_format("%s.keyless", c->name);
    refused_and_freed(cluster_await_refusal(c, table, "primary key", NULL));
    lutra_sql_exec(c->target, "ALTER TABLE keyless ADD PRIMARY KEY (id)");
    cluster_resume(c);
    cluster_sync(c, 20000);
    cluster_equal(c, "keyless");
    free(table);
}

static void a_missing_table(struct cluster *c)
{
    cluster_write(c, "INSERT INTO absent VALUES (1)");
    char *table = lutra_test_format("%s.absent", c->name);
    refused_and_freed(cluster_await_refusal(c, table, "not at the target", NULL));
    lutra_sql_exec(c->target, "CREATE TABLE absent (id INT PRIMARY KEY)");
    cluster_resume(c);
    cluster_sync(c, 20000);
    cluster_equal(c, "absent");
    free(table);
}

Test(refusals,
     a_target_that_does_not_fit_stops_by_name_and_goes_on_when_it_is_put_right,
     .timeout = 180)
{
    struct cluster c;
    cluster_start(&c, &(struct cluster_options){0});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20));"
                     "CREATE TABLE triggered (id INT PRIMARY KEY)");
    lutra_sql_exec(c.source, "CREATE TABLE keyless (id INT PRIMARY KEY, v INT);"
                             "CREATE TABLE absent (id INT PRIMARY KEY)");
    lutra_sql_exec(c.target, "CREATE TABLE keyless (id INT, v INT); CREATE TABLE copies (id INT);"
                             "CREATE TRIGGER copies_it AFTER INSERT ON triggered FOR EACH ROW "
                             "INSERT INTO copies VALUES (NEW.id)");
    cluster_go(&c);
    a_missing_row(&c);
    a_duplicate(&c);
    a_trigger(&c);
    a_missing_key(&c);
    a_missing_table(&c);
    cluster_end(&c);
}

/* ---- another source ---- */

Test(refusals, a_source_that_was_reset_is_not_taken_for_the_same, .timeout = 120)
{
    struct cluster c;
    struct lutra_test_mariadb source = lutra_test_mariadb_start("source", NULL);
    cluster_start(&c, &(struct cluster_options){.source = &source});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY, v INT)");
    cluster_go(&c);
    cluster_write(&c, "INSERT INTO t SELECT seq, 0 FROM seq_1_to_100; UPDATE t SET v = 1");
    cluster_sync(&c, 20000);
    cluster_equal(&c, "t");
    /* The same file name and GTIDs begin anew, and reach over what was read already. */
    cluster_write(&c, "RESET MASTER");
    for (int i = 0; i < 5; i++) {
        cluster_write(&c, "UPDATE t SET v = v + 1");
    }
    refused_and_freed(cluster_await_refusal(&c, "binlog.000001", NULL));
    cr_assert_eq(lutra_sql_int(c.target, "SELECT MAX(v) FROM t"), 1,
                 "something of another history was applied");
    start_only(&c);
    refused_and_freed(cluster_await_refusal(&c, "binlog.000001", NULL));
    cr_assert_eq(lutra_sql_int(c.target, "SELECT MAX(v) FROM t"), 1);
    cluster_end(&c);
}

static bool replica_has(struct lutra_sql *replica, const char *schema, int64_t id)
{
    return lutra_sql_try(replica, "SELECT 1 FROM `%s`.t", schema) == 0 &&
           lutra_sql_int(replica, "SELECT MAX(id) FROM `%s`.t", schema) == id;
}

/* The source fails over to its replica, whose binlog has other files: refused until the operator
 * says that it may take the place, then read on after the last GTID. */
Test(refusals, another_server_must_be_accepted_and_is_then_read_on_by_gtid, .timeout = 120)
{
    static const char *const options[] = {"log_slave_updates=ON", NULL};
    struct cluster c;
    struct lutra_test_mariadb first = lutra_test_mariadb_start("first", NULL);
    struct lutra_test_mariadb second = lutra_test_mariadb_start("second", options);
    struct lutra_sql *replica = lutra_sql_open(second.socket);
    cluster_start(&c, &(struct cluster_options){.source = &first});
    lutra_sql_exec(c.source, "CREATE USER r@'127.0.0.1' IDENTIFIED BY 'r';"
                             "GRANT REPLICATION SLAVE ON *.* TO r@'127.0.0.1'");
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY)");
    lutra_sql_exec(replica,
                   "FLUSH BINARY LOGS; FLUSH BINARY LOGS;"
                   "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %u, MASTER_USER = "
                   "'r', MASTER_PASSWORD = 'r', MASTER_USE_GTID = slave_pos; START SLAVE",
                   first.port);
    cluster_go(&c);
    cluster_write(&c, "INSERT INTO t VALUES (1), (2), (3)");
    cluster_sync(&c, 20000);
    cr_assert_eq(cluster_ctl(&c, "stop %s --wait 40s", c.name), 0);
    cluster_write(&c, "INSERT INTO t VALUES (4)");
    LUTRA_WAIT_FOR(replica_has(replica, c.name, 4), 20000);
    lutra_test_mariadb_stop(&first);
    lutra_sql_exec(replica, "STOP SLAVE; INSERT INTO `%s`.t VALUES (5)", c.name);
    lutra_sql_close(replica);

    c.source_server = second;
    cluster_reopen(&c);
    cluster_begin(&c);
    refused_and_freed(cluster_await_refusal(&c, "accept_new_source", NULL));
    cr_assert_eq(lutra_sql_int(c.target, "SELECT MAX(id) FROM t"), 3);
    c.options.pipeline = "    accept_new_source: true\n";
    cluster_go(&c);
    cluster_sync(&c, 20000);
    cluster_equal(&c, "t");
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t"), 5);
    cluster_end(&c);
}

/* ---- where a pipeline begins ---- */

enum { EARLIEST, GTID, FILE_AND_OFFSET, CURRENT, CHECKPOINT, GONE, N_STARTS };

struct start_case {
    char name[80], start[128];
    int first; /* id of the first row that must arrive */
};

static void apply_starts(struct cluster *c, const struct start_case *starts)
{
    char *yaml = lutra_test_format("channel: %s\nsources:\n"
                                   "  source: {type: mariadb, socket: %s, user: root}\n"
                                   "  target: {type: mariadb, socket: %s, user: root}\n"
                                   "pipelines:\n",
                                   c->name, c->source_server.socket, c->target_server.socket);
    for (int i = 0; i < N_STARTS; i++) {
        char *more = lutra_test_format("%s  - name: %s\n"
                                       "    source: source\n"
                                       "    target: target\n"
                                       "    start: %s\n"
                                       "    partitions: 1\n"
                                       "    pairs:\n"
                                       "      - source: {schema: %s, table: t}\n"
                                       "        target: {schema: %s, table: t%d}\n",
                                       yaml, starts[i].name, starts[i].start, c->name, c->name, i);
        free(yaml);
        yaml = more;
    }
    char *path = lutra_test_path("starts.yaml");
    lutra_test_write_file(path, yaml);
    cr_assert_eq(cluster_ctl(c, "apply -f %s", path), 0);
    cr_assert_eq(cluster_ctl(c, "start %s", c->name), 0);
    free(path);
    free(yaml);
}

static bool state_of(struct cluster *c, const char *pipeline, const char *state, const char *word)
{
    json_t *status = cluster_status_of(c, pipeline);
    const char *now = json_string_value(json_object_get(status, "state"));
    const char *reason = json_string_value(json_object_get(status, "reason"));
    bool is = now != NULL && strcmp(now, state) == 0 &&
              (word == NULL || (reason != NULL && strstr(reason, word) != NULL));
    json_decref(status);
    return is;
}

static void expect_rows(struct cluster *c, int number, int first)
{
    char *difference = NULL;
    char *source = lutra_test_format("SELECT id, v FROM t WHERE id >= %d ORDER BY id", first);
    char *target = lutra_test_format("SELECT id, v FROM t%d ORDER BY id", number);
    cr_assert(lutra_sql_rows_equal(c->source, c->target, source, target, &difference),
              "start position %d: %s", number, difference);
    free(source);
    free(target);
}

Test(refusals, a_pipeline_begins_where_it_is_told_to, .timeout = 120)
{
    struct cluster c;
    struct start_case starts[N_STARTS];
    struct lutra_test_mariadb source = lutra_test_mariadb_start("source", NULL);
    cluster_start(&c, &(struct cluster_options){.source = &source});
    for (int i = 0; i < N_STARTS; i++) {
        lutra_sql_exec(c.target, "CREATE TABLE t%d (id INT PRIMARY KEY, v VARCHAR(20))", i);
        (void)snprintf(starts[i].name, sizeof starts[i].name, "%s-%d", c.name, i);
    }
    /* The binlog begins after it: CREATE would stop who reads from the beginning. */
    lutra_sql_exec(c.source, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); RESET MASTER;"
                             "INSERT INTO t VALUES (1, 'a')");
    char *gtid = lutra_sql_text(c.source, "SELECT @@gtid_binlog_pos");
    lutra_sql_exec(c.source, "INSERT INTO t VALUES (2, 'b'); FLUSH BINARY LOGS;"
                             "INSERT INTO t VALUES (3, 'c')");
    char *file = lutra_sql_text(c.source, "SHOW MASTER STATUS");
    int64_t offset = lutra_sql_int(c.source, "SELECT VARIABLE_VALUE FROM "
                                             "information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME "
                                             "= 'BINLOG_SNAPSHOT_POSITION'");
    lutra_sql_exec(c.source, "INSERT INTO t VALUES (4, 'd')");
    struct start_case *s = starts;
    (void)snprintf(s[EARLIEST].start, sizeof s->start, "earliest");
    (void)snprintf(s[GTID].start, sizeof s->start, "gtid:%s", gtid);
    (void)snprintf(s[FILE_AND_OFFSET].start, sizeof s->start, "file:%s:%lld", file,
                   (long long)offset);
    (void)snprintf(s[CURRENT].start, sizeof s->start, "current");
    (void)snprintf(s[CHECKPOINT].start, sizeof s->start, "checkpoint");
    (void)snprintf(s[GONE].start, sizeof s->start, "file:binlog.000099:4");
    apply_starts(&c, starts);
    for (int i = EARLIEST; i <= CURRENT; i++) {
        LUTRA_WAIT_FOR(state_of(&c, starts[i].name, "RUNNING", NULL), 30000);
    }
    /* Without a checkpoint there is nothing to begin with; a file that is not there is named. */
    LUTRA_WAIT_FOR(state_of(&c, starts[CHECKPOINT].name, "ROLLED_BACK", "checkpoint"), 30000);
    LUTRA_WAIT_FOR(state_of(&c, starts[GONE].name, "ROLLED_BACK", "binlog.000099"), 30000);
    lutra_sql_exec(c.source, "INSERT INTO t VALUES (5, 'e'), (6, 'f')");
    for (int i = EARLIEST; i <= CURRENT; i++) {
        LUTRA_WAIT_FOR(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t%d WHERE id = 6", i) == 1,
                       20000);
    }
    expect_rows(&c, EARLIEST, 1);
    expect_rows(&c, GTID, 2);
    expect_rows(&c, FILE_AND_OFFSET, 4);
    expect_rows(&c, CURRENT, 5);
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t%d", CHECKPOINT), 0);
    /* Where there is a checkpoint it is what counts, and `start: checkpoint` is content with it. */
    (void)snprintf(s[EARLIEST].start, sizeof s->start, "checkpoint");
    (void)snprintf(s[CURRENT].start, sizeof s->start, "earliest");
    apply_starts(&c, starts);
    lutra_sql_exec(c.source, "INSERT INTO t VALUES (7, 'g')");
    LUTRA_WAIT_FOR(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t%d WHERE id = 7", EARLIEST) == 1,
                   20000);
    LUTRA_WAIT_FOR(lutra_sql_int(c.target, "SELECT COUNT(*) FROM t%d WHERE id = 7", CURRENT) == 1,
                   20000);
    expect_rows(&c, EARLIEST, 1);
    expect_rows(&c, CURRENT, 5);
    free(gtid);
    free(file);
    cluster_end(&c);
}
