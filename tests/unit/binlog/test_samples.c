/* Every sample file, end to end, against what the SQL beside it put in. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "sample.h"

/* The lines of one table, in their order, must be exactly these. A line may hold any byte. */
struct line {
    const char *text;
    size_t len;
};
#define L(s)               \
    {                      \
        (s), sizeof(s) - 1 \
    }

static bool is_line_of(const char *at, const char *end, const char *table)
{
    char head[3][128];
    static const char *const ops[] = {"INSERT", "UPDATE", "DELETE"};
    for (unsigned i = 0; i < 3; i++) {
        int n = snprintf(head[i], sizeof(head[i]), "%s s.%s ", ops[i], table);
        if (end - at > n && memcmp(at, head[i], (size_t)n) == 0) {
            return true;
        }
    }
    return false;
}

static void expect_table(const char *sample,
                         const struct walk *walk,
                         const char *table,
                         const struct line *lines,
                         size_t n)
{
    const char *at = (const char *)walk->lines.data, *end = at + walk->lines.len;
    size_t found = 0;
    while (at < end) {
        if ((at == (const char *)walk->lines.data || at[-1] == '\n') &&
            is_line_of(at, end, table)) {
            cr_assert_lt(found, n, "%s: %s has more rows than expected: %.200s", sample, table, at);
            bool same = (size_t)(end - at) > lines[found].len &&
                        memcmp(at, lines[found].text, lines[found].len) == 0 &&
                        at[lines[found].len] == '\n';
            cr_assert(same, "%s: %s\nexpected %s\ngot      %.400s", sample, table,
                      lines[found].text, at);
            at += lines[found].len;
            found++;
        }
        at++;
    }
    cr_assert_eq(found, n, "%s: %s has %zu rows, expected %zu", sample, table, found, n);
}
#define EXPECT_TABLE(sample, walk, table, ...)                                               \
    do {                                                                                     \
        const struct line lines_[] = {__VA_ARGS__};                                          \
        expect_table((sample), (walk), (table), lines_, sizeof(lines_) / sizeof(lines_[0])); \
    } while (0)

static bool has_line(const struct walk *walk, const char *line)
{
    return memmem(walk->lines.data, walk->lines.len, line, strlen(line)) != NULL;
}

#define INT_1 \
    "1,-128,255,-32768,65535,-8388608,16777215,-2147483648,4294967295,-9223372036854775808,"
#define INT_2 "2,127,0,32767,0,8388607,0,2147483647,0,9223372036854775807,0,0,2155,~,~,~,~"

/* Signed and unsigned integers of all widths, YEAR; BIT is not carried and comes as absent. */
static void expect_integers(const char *sample, const struct walk *walk)
{
    EXPECT_TABLE(
        sample, walk, "t_int", L("INSERT s.t_int " INT_1 "18446744073709551615,1,1901,~,~,~,~"),
        L("INSERT s.t_int " INT_2),
        L("INSERT s.t_int 3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,"
          "NULL,NULL,NULL"),
        L("INSERT s.t_int 4,-1,1,-1,1,-1,1,-1,1,-1,1,NULL,0,~,~,~,~"),
        L("UPDATE s.t_int " INT_1 "18446744073709551615,1,1901,~,~,~,~ -> "
          "1,5,255,-32768,65535,-8388608,16777215,-2147483648,4294967295,-9223372036854775808,"
          "12345678901234567890,1,1901,~,~,~,~"),
        L("DELETE s.t_int " INT_2));
}

#define D3_1 "'-12345678901234567890123456789012345.123456789012345678901234567890'"
#define D3_4 "'1.000000000000000000000000000000'"

/* FLOAT and DOUBLE are not carried. */
static void expect_decimals(const char *sample, const struct walk *walk)
{
    EXPECT_TABLE(
        sample, walk, "t_num",
        L("INSERT s.t_num 1,~,~,'9','-12345678.90'," D3_1 ",'0.123456789','123456789.987654321'"),
        L("INSERT s.t_num "
          "2,~,~,'-9','99999999.99','0.000000000000000000000000000001','-0.999999999',"
          "'0.000000000'"),
        L("INSERT s.t_num 3,NULL,NULL,NULL,NULL,NULL,NULL,NULL"),
        L("INSERT s.t_num 4,~,~,'0','-0.01'," D3_4 ",'0.000000000','1.000000000'"),
        L("UPDATE s.t_num 1,~,~,'9','-12345678.90'," D3_1 ",'0.123456789','123456789.987654321' -> "
          "1,~,~,'9','-12345677.90'," D3_1 ",'0.123456789','123456789.987654321'"),
        L("UPDATE s.t_num 4,~,~,'0','-0.01'," D3_4 ",'0.000000000','1.000000000' -> "
          "4,~,~,'0','0.99'," D3_4 ",'0.000000000','1.000000000'"));
}

#define TIME_1                                                                      \
    "1,'1000-01-01','-838:59:59','-00:00:00.1','-12:34:56.789','-00:00:00.000001'," \
    "'1000-01-01 00:00:00','1999-12-31 23:59:59.99','2024-02-29 12:34:56.1234',"    \
    "'9999-12-31 23:59:59.999999','1970-01-02 00:00:01','2024-02-29 12:34:56.789'," \
    "'2037-12-31 23:59:59.999999'"

static void expect_times(const char *sample, const struct walk *walk)
{
    EXPECT_TABLE(
        sample, walk, "t_time", L("INSERT s.t_time " TIME_1),
        L("INSERT s.t_time "
          "2,'9999-12-31','838:59:59','838:59:58.9','00:00:00.001','23:59:59.999999',"
          "'2024-01-01 00:00:00','2024-01-01 00:00:00.01','2024-01-01 00:00:00.0001',"
          "'2024-01-01 00:00:00.000001','2024-01-01 00:00:00','2024-01-01 00:00:00.001',"
          "'2024-01-01 00:00:00.000001'"),
        L("INSERT s.t_time 3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL"),
        L("INSERT s.t_time 4,'0000-00-00','00:00:00','00:00:00.0','00:00:00.000','00:00:00.000000',"
          "'0000-00-00 00:00:00','0000-00-00 00:00:00.00','2024-00-00 00:00:00.0000',"
          "'0000-00-00 00:00:00.000000','0000-00-00 00:00:00','0000-00-00 00:00:00.000',"
          "'0000-00-00 00:00:00.000000'"),
        L("UPDATE s.t_time " TIME_1 " -> "
          "1,'1000-01-01','-838:59:59','-00:00:00.1','-12:34:56.789','-01:02:03.000100',"
          "'1000-01-01 00:00:00','1999-12-31 23:59:59.99','2024-02-29 12:34:56.1234',NULL,"
          "'1970-01-02 00:00:01','2024-02-29 12:34:56.789','2037-12-31 23:59:59.999999'"));
}

#define R10(s) s s s s s s s s s s
#define R100(s) R10(R10(s))
/* Values of row 1 up to tt; then tx (which the update changes), then the rest. */
#define STR_1_HEAD                                                                         \
    "1,'a','αβγ','中文字符😀','\xe4\xf6\xfc','v10','é','日本','" R10(R100(                  \
        "z")) "','\xba\xba\xd7\xd6',"                                                      \
              "'\0u\0t\0f\0001\0006',x000102030405060708090a0b0c0d0e0f,x" R10(R10("00ff")) \
                  R10("00ff") R10("00ff") R10("00ff") R10("00ff") R10("00ff") ",'tiny','text😀"
#define STR_1_TAIL                                                                            \
    "','" R10("mmmmmmm") "','" R10("long long long long long long ") "',x00,xdeadbeef,x" R10( \
        "0d0a1a000d0a1a000d0a1a000d0a1a"                                                      \
        "000d0a1a000d0a1a000d0a1a000d0a"                                                      \
        "1a00") ",x" R100("424242") ",~"                                                      \
                                    ",~"                                                      \
                                    ",~"                                                      \
                                    ",~"
#define STR_2                                                                               \
    "2,'','trail','','','','','','','','',x00000000000000000000000000000000,x,'','','',''," \
    "x,x,x,x,~,~,~,~"
#define STR_4                                                         \
    ",''','\"\\','\n\t\0','%_','`',';--','/*','*/','\xba\xba','\0x'," \
    "x00000000000000000000000000000000,x00,'a','b','c','d',x65,x66,x67,x68,~,~,~,~"

/* Each string is the bytes of its column's own character set; ENUM and SET are not carried. */
static void expect_strings(const char *sample, const struct walk *walk)
{
    EXPECT_TABLE(sample, walk, "t_str", L("INSERT s.t_str " STR_1_HEAD STR_1_TAIL),
                 L("INSERT s.t_str " STR_2),
                 L("INSERT s.t_str "
                   "3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,"
                   "NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL"),
                 L("INSERT s.t_str 4" STR_4),
                 L("UPDATE s.t_str " STR_1_HEAD STR_1_TAIL " -> " STR_1_HEAD "!" STR_1_TAIL),
                 L("UPDATE s.t_str 4" STR_4 " -> 40" STR_4), L("DELETE s.t_str " STR_2));
}

static void expect_keys_and_others(const char *sample, const struct walk *walk)
{
    /* t_trg's trigger adds rows to t_nopk. */
    EXPECT_TABLE(sample, walk, "t_nopk", L("INSERT s.t_nopk 1,'a'"), L("INSERT s.t_nopk 1,'a'"),
                 L("INSERT s.t_nopk NULL,NULL"), L("DELETE s.t_nopk 1,'a'"),
                 L("UPDATE s.t_nopk 1,'a' -> 1,'c'"), L("INSERT s.t_nopk 1,'trg'"),
                 L("INSERT s.t_nopk 2,'trg'"));
    /* REPLACE and ON DUPLICATE KEY arrive as the changes that they made. */
    EXPECT_TABLE(sample, walk, "t_cpk", L("INSERT s.t_cpk 1,'x',1,1"),
                 L("INSERT s.t_cpk 2,'y',2,2"), L("UPDATE s.t_cpk 2,'y',2,2 -> 3,'z',2,3"),
                 L("UPDATE s.t_cpk 1,'x',1,1 -> 1,'x',1,99"));
    EXPECT_TABLE(sample, walk, "t_pre", L("INSERT s.t_pre 'prefix key value',1"));
    EXPECT_TABLE(sample, walk, "we`ird na.me-表", L("INSERT s.we`ird na.me-表 1,'值'"));
    EXPECT_TABLE(sample, walk, "t_myisam", L("INSERT s.t_myisam 1,1"), L("INSERT s.t_myisam 2,2"));
    EXPECT_TABLE(sample, walk, "t_gen", L("INSERT s.t_gen 1,10,20,11,'x'"),
                 L("INSERT s.t_gen 2,NULL,NULL,NULL,'y'"),
                 L("UPDATE s.t_gen 1,10,20,11,'x' -> 1,11,22,12,'x'"));
    EXPECT_TABLE(sample, walk, "t_inv", L("INSERT s.t_inv 1,7,1"), L("INSERT s.t_inv 2,8,2"));
    /* ROLLBACK left nothing; the ALTERs change the columns in the middle. */
    EXPECT_TABLE(sample, walk, "t_par", L("INSERT s.t_par 1,1"), L("INSERT s.t_par 2,2"),
                 L("UPDATE s.t_par 2,2 -> 2,5"), L("INSERT s.t_par 10,1"), L("DELETE s.t_par 1,1"),
                 L("UPDATE s.t_par 2,5 -> 2,6"), L("INSERT s.t_par 30,'new',3"),
                 L("INSERT s.t_par 31,'x'"));
}

static unsigned count_lines(const struct walk *walk, const char *head)
{
    unsigned n = 0;
    const uint8_t *at = walk->lines.data, *end = at + walk->lines.len;
    while ((at = memmem(at, (size_t)(end - at), head, strlen(head))) != NULL) {
        n++;
        at++;
    }
    return n;
}

Test(samples, full_metadata_gives_every_value_of_both_families)
{
    static const char *const names[] = {"mariadb1011-02-metafull", "mysql97-02-metafull",
                                        "mysql97-01-default", "mysql97-06-compressed"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct walk walk;
        walk_init(&walk);
        sample_walk(names[i], &walk);
        expect_integers(names[i], &walk);
        expect_decimals(names[i], &walk);
        expect_times(names[i], &walk);
        expect_strings(names[i], &walk);
        expect_keys_and_others(names[i], &walk);
        cr_expect_eq(count_lines(&walk, "INSERT s.t_big "), 500);
        cr_expect_gt(walk.n_refused, 0);
        walk_fini(&walk);
    }
}

Test(samples, mariadb_without_metadata_still_has_all_that_needs_none)
{
    static const char *const names[] = {"mariadb1011-01-default", "mariadb1011-07-compressed"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct walk walk;
        walk_init(&walk);
        sample_walk(names[i], &walk);
        expect_decimals(names[i], &walk);
        expect_times(names[i], &walk);
        expect_keys_and_others(names[i], &walk);
        cr_expect_str_eq(walk_table(&walk, "t_cpk")->columns[1].name, "@2");
        walk_fini(&walk);
    }
}

Test(samples, old_temporal_format_is_exact_once_the_decimals_are_known)
{
    static const uint8_t decimals[13] = {0, 0, 0, 1, 3, 6, 0, 2, 4, 6, 0, 3, 6};
    struct lutra_buf file = {0};
    struct lutra_error err = {0};
    struct walk walk;
    walk_init(&walk);
    walk.hidden_table = "t_time";
    walk.hidden_decimals = decimals;
    sample_walk("mariadb1011-08-oldtemporal", &walk);
    expect_times("mariadb1011-08-oldtemporal", &walk);
    walk_fini(&walk);

    /* Without them the lengths do not add up, and that is an error, not other values. */
    walk_init(&walk);
    sample_load("mariadb1011-08-oldtemporal", &file);
    cr_expect_eq(walk_file(&walk, file.data, file.len, &err), -1);
    cr_expect_eq(err.class, LUTRA_DATA);
    walk_fini(&walk);
    lutra_buf_fini(&file);
}

/* ---- small.sql, under each row image ---- */

static void expect_bulk(const char *name, const struct walk *walk)
{
    /* 100 rows in, all updated, 50 deleted; before them 4 inserts, 4 updates, 1 delete. */
    cr_expect_eq(count_lines(walk, "INSERT s.sm "), 104, "%s", name);
    cr_expect_eq(count_lines(walk, "UPDATE s.sm "), 104, "%s", name);
    cr_expect_eq(count_lines(walk, "DELETE s.sm "), 51, "%s", name);
}

static const char *const small_full[] = {
    "INSERT s.sm 1,1,'one','text one',1\nINSERT s.sm 2,2,'two','text two',NULL\n"
    "INSERT s.sm 3,NULL,NULL,NULL,3\nINSERT s.sm 4,4,NULL,NULL,5\n",
    "UPDATE s.sm 1,1,'one','text one',1 -> 1,11,'one','text one',1\n"
    "UPDATE s.sm 2,2,'two','text two',NULL -> 2,12,'two','text two',NULL\n",
    "UPDATE s.sm 1,11,'one','text one',1 -> 1,11,NULL,'changed',1\n",
    "DELETE s.sm 2,12,'two','text two',NULL\n",
    "UPDATE s.sm 3,NULL,NULL,NULL,3 -> 33,NULL,NULL,NULL,3\n",
    "INSERT s.sm 1099,NULL,'bulk','compressible compressible compressible compressible ',5\n",
    NULL};
static const char *const small_minimal[] = {
    "INSERT s.sm 3,NULL,NULL,NULL,3\nINSERT s.sm 4,4,~,~,~\n",
    "UPDATE s.sm 1,~,~,~,~ -> ~,11,~,~,~\nUPDATE s.sm 2,~,~,~,~ -> ~,12,~,~,~\n",
    "UPDATE s.sm 1,~,~,~,~ -> ~,~,NULL,'changed',~\n",
    "DELETE s.sm 2,~,~,~,~\n",
    "UPDATE s.sm 3,~,~,~,~ -> 33,~,~,~,~\n",
    NULL};
static const char *const small_noblob[] = {
    "INSERT s.sm 3,NULL,NULL,NULL,3\nINSERT s.sm 4,4,NULL,~,5\n",
    "UPDATE s.sm 1,1,'one',~,1 -> 1,11,'one',~,1\nUPDATE s.sm 2,2,'two',~,NULL -> "
    "2,12,'two',~,NULL\n",
    "UPDATE s.sm 1,11,'one',~,1 -> 1,11,NULL,'changed',1\n", "DELETE s.sm 2,12,'two',~,NULL\n",
    NULL};

static void expect_small(const char *name, const char *const *lines)
{
    struct walk walk;
    walk_init(&walk);
    sample_walk(name, &walk);
    for (; *lines; lines++) {
        cr_expect(has_line(&walk, *lines), "%s lacks %s", name, *lines);
    }
    expect_bulk(name, &walk);
    walk_fini(&walk);
}

Test(samples, row_images_full_minimal_and_noblob)
{
    static const char *const full[] = {
        "mariadb1011-03-metaminimal", "mariadb1011-06-nochecksum", "mariadb1011-07-compressed",
        "mariadb1011-09-noannotate",  "mariadb1011-11-domain",     "mysql97-05-nochecksum",
        "mysql97-06-compressed",      "mysql97-09-gtid-tagged",    "mysql97-11-anonymous"};
    for (size_t i = 0; i < sizeof(full) / sizeof(full[0]); i++) {
        expect_small(full[i], small_full);
    }
    expect_small("mariadb1011-04-image-minimal", small_minimal);
    expect_small("mysql97-03-image-minimal", small_minimal);
    expect_small("mariadb1011-05-image-noblob", small_noblob);
    expect_small("mysql97-04-image-noblob", small_noblob);
}

/* ---- transactions ---- */

static void expect_gtids(const char *name, enum lutra_flavor flavor, const char *includes)
{
    struct walk walk;
    walk_init(&walk);
    sample_walk(name, &walk);
    cr_assert_eq(walk.format.flavor, flavor);
    cr_assert_not_null(walk.gtids);
    struct lutra_gtid_set *expected = lutra_gtid_set_parse(flavor, includes, NULL);
    cr_assert_not_null(expected);
    cr_expect(lutra_gtid_set_equal(walk.gtids, expected), "%s is not at %s", name, includes);
    lutra_gtid_set_free(expected);
    walk_fini(&walk);
}

Test(samples, heads_and_transactions_add_up_to_the_position_at_the_end)
{
    expect_gtids("mariadb1011-11-domain", LUTRA_FLAVOR_MARIADB, "0-13310-366,5-77-9");
    expect_gtids("mariadb1011-10-xa", LUTRA_FLAVOR_MARIADB, "0-13310-364");
    expect_gtids("mysql97-09-gtid-tagged", LUTRA_FLAVOR_MYSQL,
                 "73a32781-e687-11f1-804a-02fc00000001:1-285:tag_1:1-9");
    expect_gtids("mysql97-10-xa", LUTRA_FLAVOR_MYSQL,
                 "73a32781-e687-11f1-804a-02fc00000001:1-293:tag_1:1-9");
}

Test(samples, xa_transactions_say_what_they_are)
{
    struct walk walk;
    walk_init(&walk);
    sample_walk("mariadb1011-10-xa", &walk);
    cr_expect(has_line(&walk, "GTID 0-13310-360 transactional prepared\nINSERT s.t_xa 1,1\n"
                              "QUERY [s] XA END X'6731',X'6231',7\nXA_PREPARE g1+b1+7\n"
                              "GTID 0-13310-361 standalone transactional completed\n"
                              "QUERY [s] XA COMMIT X'6731',X'6231',7\n"));
    cr_expect(has_line(&walk, "INSERT s.t_xa 2,2\nXID\n")); /* one phase is an ordinary commit */
    walk_fini(&walk);
    walk_init(&walk);
    sample_walk("mysql97-10-xa", &walk);
    cr_expect(has_line(&walk, "XA_PREPARE g1+b1+7\n"));
    cr_expect(has_line(&walk, "XA_PREPARE g2++1 one phase\n"));
    walk_fini(&walk);
}

Test(samples, statement_format_arrives_as_queries)
{
    static const char *const names[] = {"mariadb1011-12-statement", "mysql97-12-statement",
                                        "mariadb1011-13-mixed"};
    for (size_t i = 0; i < 3; i++) {
        struct walk walk;
        walk_init(&walk);
        sample_walk(names[i], &walk);
        cr_expect(has_line(&walk, "QUERY [s] UPDATE sm SET a=a+10 WHERE id<=2\nXID\n"));
        walk_fini(&walk);
    }
}

Test(samples, partial_json_updates_are_refused_by_name)
{
    static const char *const names[] = {"mysql97-07-partial-json",
                                        "mysql97-08-partial-json-minimal"};
    for (size_t i = 0; i < 2; i++) {
        struct lutra_buf file = {0};
        struct lutra_error err = {0};
        struct walk walk;
        walk_init(&walk);
        sample_load(names[i], &file);
        cr_expect_eq(walk_file(&walk, file.data, file.len, &err), -1);
        cr_expect_eq(err.class, LUTRA_CONFIG);
        cr_expect_not_null(strstr(err.msg, "binlog_row_value_options"));
        walk_fini(&walk);
        lutra_buf_fini(&file);
    }
}

Test(samples, all_files_end_with_the_rotation_to_the_next)
{
    for (size_t i = 0; sample_names[i]; i++) {
        struct lutra_buf file = {0};
        struct walk walk;
        walk_init(&walk);
        sample_load(sample_names[i], &file);
        if (walk_file(&walk, file.data, file.len, NULL) == 0) {
            cr_expect_eq(walk.codes[LUTRA_EVENT_FORMAT_DESCRIPTION], 1, "%s", sample_names[i]);
            cr_expect_eq(walk.codes[LUTRA_EVENT_ROTATE], 1, "%s", sample_names[i]);
            cr_expect_eq(walk.format.checksum, strstr(sample_names[i], "nochecksum") == NULL);
        }
        walk_fini(&walk);
        lutra_buf_fini(&file);
    }
}
