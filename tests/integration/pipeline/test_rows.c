/* What arrives is what was written: every kind of value, tables without a key, the merge cases that
 * earlier systems get wrong, large transactions. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"
#include "support/test.h"

Test(rows, every_kind_of_value_is_exact, .timeout = 120)
{
    struct cluster c;
    cluster_start(&c, &(struct cluster_options){0});
    cluster_both(&c, "CREATE TABLE ints (id INT PRIMARY KEY, ti TINYINT, tu TINYINT UNSIGNED, si "
                     "SMALLINT, su SMALLINT UNSIGNED,"
                     " mi MEDIUMINT, mu MEDIUMINT UNSIGNED, iu INT UNSIGNED, bi BIGINT, bu BIGINT "
                     "UNSIGNED, y YEAR);"
                     "CREATE TABLE decs (id BIGINT UNSIGNED PRIMARY KEY, a DECIMAL(1,0), b "
                     "DECIMAL(10,2), c DECIMAL(65,30),"
                     " d DECIMAL(9,9), e DECIMAL(18,9) UNSIGNED);"
                     "CREATE TABLE times (id INT PRIMARY KEY AUTO_INCREMENT, da DATE, t0 TIME, t3 "
                     "TIME(3), t6 TIME(6), dt0 DATETIME,"
                     " dt6 DATETIME(6), ts0 TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL);"
                     "CREATE TABLE strs (id VARCHAR(20) CHARACTER SET utf8mb4 PRIMARY KEY, c10 "
                     "CHAR(10) CHARACTER SET utf8mb4,"
                     " cl CHAR(10) CHARACTER SET latin1, vg VARCHAR(20) CHARACTER SET gbk, vu "
                     "VARCHAR(20) CHARACTER SET utf16,"
                     " bn BINARY(16), vb VARBINARY(300), tx TEXT CHARACTER SET utf8mb4, mt "
                     "MEDIUMTEXT, bl BLOB, lb LONGBLOB)");
    cluster_go(&c);
    cluster_write(
        &c, "INSERT INTO ints VALUES "
            "(0,-128,255,-32768,65535,-8388608,16777215,4294967295,-9223372036854775808,"
            "18446744073709551615,1901),(2,127,0,32767,0,8388607,0,0,9223372036854775807,0,2155),"
            "(-3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),(4,-1,1,-1,1,-1,1,1,-1,1,0);"
            "UPDATE ints SET bu = 12345678901234567890, y = NULL WHERE id = 0; DELETE FROM ints "
            "WHERE id = 2");
    cluster_write(&c, "INSERT INTO decs VALUES (18446744073709551615,9,-12345678.90,"
                      "-12345678901234567890123456789012345.123456789012345678901234567890,0."
                      "123456789,123456789.987654321),"
                      "(2,-9,99999999.99,0.000000000000000000000000000001,-0.999999999,0),(3,NULL,"
                      "NULL,NULL,NULL,NULL),"
                      "(4,0,-0.01,1,0,1); UPDATE decs SET b = b - 0.01 WHERE id IN (2,4)");
    cluster_write(
        &c, "SET sql_mode = ''; INSERT INTO times (da,t0,t3,t6,dt0,dt6,ts0,ts6) VALUES"
            "('1000-01-01','-838:59:59','-12:34:56.789','-00:00:00.000001','1000-01-01','9999-12-"
            "31 23:59:59.999999',"
            "'1970-01-02 00:00:01','2037-12-31 23:59:59.999999'),"
            "('9999-12-31','838:59:59','00:00:00.001','23:59:59.999999','2024-02-29 "
            "12:34:56','2024-01-01 00:00:00.000001',"
            "'2024-01-01','2024-01-01 00:00:00.000001'),(NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),"
            "('0000-00-00',0,0,0,'0000-00-00','2024-00-00 00:00:00',0,0);"
            "SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO times (da) VALUES ('2020-02-31');"
            "SET sql_mode = DEFAULT; UPDATE times SET t6 = '-01:02:03.000100', dt6 = NULL WHERE id "
            "= 1");
    cluster_write(
        &c, "INSERT INTO strs VALUES "
            "('ключ','中文字符😀','äöü','汉字','utf16',UNHEX('000102030405060708090A0B0C0D0000'),"
            "REPEAT(UNHEX('00FF'),150),'text😀',REPEAT('long "
            "',600),UNHEX('DEADBEEF00'),REPEAT(UNHEX('0D0A1A00'),80000)),"
            "('Trail ','x  "
            "','','','','','','','','',''),('n',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL),"
            "('\\'','\\n\\t\\0','%%_','`',';--',UNHEX('00'),UNHEX('00'),'\\\\','/*','*/','\"');"
            "UPDATE strs SET tx = CONCAT(tx, '!'), bn = UNHEX('FF') WHERE id = 'КЛЮЧ'; DELETE FROM "
            "strs WHERE id = 'N'");
    cluster_sync(&c, 30000);
    cluster_equal(&c, "ints");
    cluster_equal(&c, "decs");
    cluster_equal(&c, "times");
    cluster_equal(&c, "strs");
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM ints"), 3);
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM times"), 5);
    cluster_end(&c);
}

Test(rows, tables_without_a_key_keep_their_duplicates, .timeout = 120)
{
    struct cluster c;
    cluster_start(&c, &(struct cluster_options){0});
    cluster_both(&c, "CREATE TABLE bag (a INT, b VARCHAR(10), c VARBINARY(10))");
    cluster_go(&c);
    cluster_write(
        &c, "INSERT INTO bag VALUES "
            "(1,'a','x'),(1,'a','x'),(1,'a','x'),(NULL,NULL,NULL),(NULL,NULL,NULL),(1,'A','x')");
    cluster_write(&c, "DELETE FROM bag WHERE a = 1 LIMIT 1");
    cluster_write(&c, "UPDATE bag SET b = 'z' WHERE a IS NULL LIMIT 1");
    cluster_write(&c, "UPDATE bag SET c = 'y' WHERE BINARY b = 'A'");
    cluster_sync(&c, 30000);
    cluster_equal(&c, "bag");
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM bag"), 5);
    cluster_end(&c);
}

/* The eight inputs that a key-merging loader turned into lost rows, ghosts and endless loops; all
 * in one transaction each, and all in one transaction together. */
Test(rows, key_moves_swaps_and_chains_arrive_exactly, .timeout = 120)
{
    static const char *const cases[] = {
        "UPDATE t SET a=5 WHERE id=1; UPDATE t SET id=2 WHERE id=1",
        "UPDATE t SET a=5 WHERE id=1; UPDATE t SET id=2 WHERE id=1; DELETE FROM t WHERE id=2",
        "UPDATE t SET id=2 WHERE id=1; INSERT INTO t VALUES (1,9,901)",
        "UPDATE t SET id=2 WHERE id=1; INSERT INTO t VALUES (1,9,901); DELETE FROM t WHERE id=2",
        "INSERT INTO t VALUES (2,0,902); DELETE FROM t WHERE id=2; UPDATE t SET id=2 WHERE id=1",
        "INSERT INTO t VALUES (2,0,902); UPDATE t SET id=3 WHERE id=1; UPDATE t SET id=1 WHERE "
        "id=2; UPDATE t SET id=2 WHERE id=3",
        "INSERT INTO t VALUES (5,0,905); DELETE FROM t WHERE id=5",
        "DELETE FROM t WHERE id=1; INSERT INTO t VALUES (1,7,907); UPDATE t SET id=2 WHERE id=1",
        /* unique-key moves between rows */
        "INSERT INTO t VALUES (2,0,902); UPDATE t SET u=0 WHERE id=1; UPDATE t SET u=900 WHERE "
        "id=2; UPDATE t SET u=902 WHERE id=1",
    };
    struct cluster c;
    cluster_start(&c, &(struct cluster_options){0});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY, a INT, u INT UNIQUE)");
    cluster_go(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cluster_write(&c, "DELETE FROM t; INSERT INTO t VALUES (1,1,900)");
        cluster_write(&c, "BEGIN; %s; COMMIT", cases[i]);
        cluster_sync(&c, 30000);
        cluster_equal(&c, "t");
    }
    cluster_write(&c, "BEGIN");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cluster_write(&c, "DELETE FROM t; INSERT INTO t VALUES (1,1,900); %s", cases[i]);
    }
    cluster_write(&c, "COMMIT");
    cluster_sync(&c, 30000);
    cluster_equal(&c, "t");
    cluster_end(&c);
}

static void large_transaction(unsigned window, unsigned rows, unsigned processes)
{
    struct cluster c;
    cluster_start(
        &c, &(struct cluster_options){
                .window = window,
                .extracts = 2,
                .transforms = 2,
                .pipeline = "    batch: {max_rows: 100, max_bytes: 64KiB, max_delay: 50ms}\n"});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100))");
    cluster_go(&c);
    cluster_write(&c,
                  "BEGIN; INSERT INTO t SELECT seq, REPEAT('v', 50) FROM seq_1_to_%u; UPDATE t SET "
                  "v = CONCAT(id, v)"
                  " WHERE id %% 10 = 0; COMMIT",
                  rows);
    cluster_sync(&c, 60000);
    cluster_equal(&c, "t");
    cr_assert_leq(cluster_state_int(&c, &c.selects[0], "max_in_flight"), window,
                  "the window was exceeded");
    cr_assert_leq(cluster_state_int(&c, &c.loads[0], "max_buffered"), window);
    cr_assert_eq(
        lutra_sql_int(c.target,
                      "SELECT MAX(process_id) >= %u FROM lutra.checkpoint WHERE pipeline = '%s'",
                      processes, c.name),
        1, "it did not travel as many processes");
    cluster_end(&c);
}

Test(rows, a_transaction_of_ten_windows_flows_through, .timeout = 120)
{
    large_transaction(8, 16000, 80);
}

Test(rows, a_large_transaction_flows_through_a_window_of_one, .timeout = 120)
{
    large_transaction(1, 2000, 10);
}

Test(rows, a_transaction_of_100000_rows_needs_bounded_memory, .timeout = 180)
{
    struct cluster c;
    cluster_start(&c, &(struct cluster_options){.extracts = 2, .transforms = 2});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(1000))");
    cluster_go(&c);
    cluster_write(
        &c, "INSERT INTO t SELECT seq, REPEAT(CHAR(97 + seq %% 26), 900) FROM seq_1_to_100000");
    cluster_sync(&c, 120000);
    cluster_equal(&c, "t");
    struct lutra_test_service *services[] = {&c.selects[0], &c.extracts[0], &c.transforms[0],
                                             &c.loads[0]};
    for (size_t i = 0; i < 4; i++) {
        uint64_t peak_mib = lutra_proc_rss_peak_kib(services[i]->proc) / 1024;
        cr_log_info("%s: peak %llu MiB", services[i]->instance, (unsigned long long)peak_mib);
        /* 90 MB of rows; the bound is a window of batches and what a unit keeps. */
        cr_assert_lt(peak_mib, 320, "%s grew to %llu MiB", services[i]->instance,
                     (unsigned long long)peak_mib);
    }
    cluster_end(&c);
}

Test(rows, names_are_mapped_and_columns_left_out, .timeout = 120)
{
    struct cluster c;
    struct cluster_options options = {0};
    cluster_start(&c, &options);
    char pairs[1024];
    (void)snprintf(pairs, sizeof pairs,
                   "      - source: {schema: %s, table: orders}\n"
                   "        target: {schema: %s, table: orders_eu}\n"
                   "        columns: {cust_no: customer_no}\n"
                   "        exclude: [note]\n"
                   "      - source: {schema: %s, table: marker}\n",
                   c.name, c.name, c.name);
    c.options.pairs = pairs;
    lutra_sql_exec(
        c.source,
        "CREATE TABLE orders (id INT PRIMARY KEY, cust_no INT, note TEXT, total DECIMAL(9,2));"
        "CREATE TABLE others (id INT PRIMARY KEY)");
    lutra_sql_exec(
        c.target,
        "CREATE TABLE orders_eu (id INT PRIMARY KEY, total DECIMAL(9,2), customer_no INT);"
        "CREATE TABLE others (id INT PRIMARY KEY)");
    cluster_go(&c);
    cluster_write(&c, "INSERT INTO orders VALUES (1,7,'secret',9.90),(2,8,NULL,1); UPDATE orders "
                      "SET cust_no=9, note='x' WHERE id=2;"
                      "INSERT INTO others VALUES (1); DELETE FROM orders WHERE id=1");
    cluster_sync(&c, 30000);
    char *difference = NULL;
    cr_assert(lutra_sql_rows_equal(c.source, c.target, "SELECT id, cust_no, total FROM orders",
                                   "SELECT id, customer_no, total FROM orders_eu", &difference),
              "%s", difference);
    cr_assert_eq(lutra_sql_int(c.target, "SELECT COUNT(*) FROM others"), 0,
                 "a table that no pair names arrived");
    cluster_end(&c);
}
