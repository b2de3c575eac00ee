#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/position.h"

#define UUID_A "73a32781-e687-11f1-804a-02fc00000001"
#define UUID_B "00000000-0000-0000-0000-0000000000ff"

static struct lutra_gtid_set *parse(enum lutra_flavor flavor, const char *text)
{
    struct lutra_error err = {0};
    struct lutra_gtid_set *set = lutra_gtid_set_parse(flavor, text, &err);
    cr_assert_not_null(set, "%s: %s", text, err.msg);
    return set;
}

static void expect_format(enum lutra_flavor flavor, const char *text, const char *expected)
{
    struct lutra_gtid_set *set = parse(flavor, text);
    struct lutra_buf buf = {0};
    lutra_gtid_set_format(set, &buf);
    cr_expect_str_eq(lutra_buf_cstr(&buf), expected);
    /* What we print we read back to the same set. */
    struct lutra_gtid_set *again = parse(flavor, lutra_buf_cstr(&buf));
    cr_expect(lutra_gtid_set_equal(set, again));
    lutra_gtid_set_free(again);
    lutra_gtid_set_free(set);
    lutra_buf_fini(&buf);
}

static void expect_bad(enum lutra_flavor flavor, const char *text)
{
    struct lutra_error err = {0};
    struct lutra_gtid_set *set = lutra_gtid_set_parse(flavor, text, &err);
    cr_expect_null(set, "\"%s\" was accepted", text);
    cr_expect_eq(err.class, LUTRA_CONFIG);
    lutra_gtid_set_free(set);
}

static struct lutra_gtid gtid_of(const char *text)
{
    struct lutra_gtid gtid;
    struct lutra_error err = {0};
    cr_assert_eq(lutra_gtid_parse(text, &gtid, &err), 0, "%s", err.msg);
    return gtid;
}

Test(gtid, one_gtid_reads_and_prints_in_both_families)
{
    static const char *const texts[] = {"0-1-140", "4294967295-77-18446744073709551615",
                                        UUID_A ":1", UUID_A ":tag_1:9223372036854775806"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char buf[96];
        struct lutra_gtid gtid = gtid_of(texts[i]);
        cr_expect_str_eq(lutra_gtid_format(&gtid, buf), texts[i]);
    }
    cr_expect_str_eq(gtid_of(UUID_A ":TAG:5").tag, "tag");
}

Test(gtid, malformed_gtids_are_refused)
{
    static const char *const texts[] = {"",
                                        "0-1",
                                        "0-1-",
                                        "0-1-2-3",
                                        "4294967296-1-1",
                                        "0-1-18446744073709551616",
                                        UUID_A,
                                        UUID_A ":",
                                        UUID_A ":0",
                                        UUID_A ":1-2",
                                        UUID_A ":tag",
                                        UUID_A ":9223372036854775807",
                                        "73a32781-e687-11f1-804a-02fc0000001:1",
                                        UUID_A ":a23456789012345678901234567890123:1"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct lutra_gtid gtid;
        struct lutra_error err = {0};
        cr_expect_eq(lutra_gtid_parse(texts[i], &gtid, &err), -1, "\"%s\" was accepted", texts[i]);
        cr_expect_eq(err.class, LUTRA_CONFIG);
    }
}

Test(gtid_set, mysql_text_is_sorted_and_merged)
{
    expect_format(LUTRA_FLAVOR_MYSQL, "", "");
    expect_format(LUTRA_FLAVOR_MYSQL, UUID_A ":7:1-5:6", UUID_A ":1-7");
    expect_format(LUTRA_FLAVOR_MYSQL, UUID_A ":1-5:7", UUID_A ":1-5:7");
    expect_format(LUTRA_FLAVOR_MYSQL, " " UUID_A ":1 - 3 ,\n" UUID_B ":9\n",
                  UUID_B ":9," UUID_A ":1-3");
    expect_format(LUTRA_FLAVOR_MYSQL, UUID_A ":1-3:Tag_1:5-6:8:other:1",
                  UUID_A ":1-3," UUID_A ":other:1," UUID_A ":tag_1:5-6:8");
    expect_format(LUTRA_FLAVOR_MYSQL, "73A32781E68711F1804A02FC00000001:1", UUID_A ":1");
}

Test(gtid_set, mariadb_text_keeps_the_last_gtid_of_each_domain)
{
    expect_format(LUTRA_FLAVOR_MARIADB, "", "");
    expect_format(LUTRA_FLAVOR_MARIADB, "5-77-9, 0-1-140", "0-1-140,5-77-9");
}

Test(gtid_set, malformed_sets_are_refused)
{
    expect_bad(LUTRA_FLAVOR_MYSQL, "0-1-2");
    expect_bad(LUTRA_FLAVOR_MYSQL, UUID_A);
    expect_bad(LUTRA_FLAVOR_MYSQL, UUID_A ":tag");
    expect_bad(LUTRA_FLAVOR_MYSQL, UUID_A ":1:tag");
    expect_bad(LUTRA_FLAVOR_MYSQL, UUID_A ":5-4");
    expect_bad(LUTRA_FLAVOR_MYSQL, UUID_A ":0-4");
    expect_bad(LUTRA_FLAVOR_MYSQL, UUID_A ":1-9223372036854775807");
    expect_bad(LUTRA_FLAVOR_MYSQL, UUID_A ":1,");
    expect_bad(LUTRA_FLAVOR_MYSQL, UUID_A ":1," UUID_B);
    expect_bad(LUTRA_FLAVOR_MYSQL, UUID_A ":1;");
    expect_bad(LUTRA_FLAVOR_MARIADB, UUID_A ":1");
    expect_bad(LUTRA_FLAVOR_MARIADB, "0-1-2,");
    expect_bad(LUTRA_FLAVOR_MARIADB, "0-1-2,0-1-3");
    expect_bad(LUTRA_FLAVOR_MARIADB, "0-1-2 5-1-3");
    expect_bad(LUTRA_FLAVOR_NONE, "0-1-2");
}

Test(gtid_set, a_set_takes_no_gtid_of_the_other_family)
{
    struct lutra_error err = {0};
    struct lutra_gtid_set *set = lutra_gtid_set_new(LUTRA_FLAVOR_MYSQL);
    struct lutra_gtid gtid = gtid_of("0-1-2");
    cr_expect_eq(lutra_gtid_set_add(set, &gtid, &err), -1);
    cr_expect_eq(err.class, LUTRA_DATA);
    cr_expect(lutra_gtid_set_empty(set));
    cr_expect_not(lutra_gtid_set_contains(set, &gtid));
    lutra_gtid_set_free(set);
}

Test(gtid_set, mariadb_add_replaces_and_contains_means_reached)
{
    struct lutra_error err = {0};
    struct lutra_gtid_set *set = parse(LUTRA_FLAVOR_MARIADB, "0-1-140,5-77-9");
    struct lutra_gtid next = gtid_of("0-2-141"), before = gtid_of("0-9-140"),
                      beyond = gtid_of("0-2-142"), other = gtid_of("7-1-1");
    cr_expect_not(lutra_gtid_set_contains(set, &next));
    cr_assert_eq(lutra_gtid_set_add(set, &next, &err), 0);
    cr_expect(lutra_gtid_set_contains(set, &next));
    cr_expect(lutra_gtid_set_contains(set, &before));
    cr_expect_not(lutra_gtid_set_contains(set, &beyond));
    cr_expect_not(lutra_gtid_set_contains(set, &other));
    struct lutra_gtid_set *old = parse(LUTRA_FLAVOR_MARIADB, "0-1-140");
    cr_expect(lutra_gtid_set_includes(set, old));
    cr_expect_not(lutra_gtid_set_includes(old, set));
    lutra_gtid_set_free(old);
    lutra_gtid_set_free(set);
}

Test(gtid_set, bounds_are_errors_not_growth)
{
    struct lutra_error err = {0};
    struct lutra_gtid_set *set = lutra_gtid_set_new(LUTRA_FLAVOR_MARIADB);
    struct lutra_gtid gtid = gtid_of("0-1-1");
    for (uint32_t i = 0; i < 1024; i++) {
        gtid.domain = i;
        cr_assert_eq(lutra_gtid_set_add(set, &gtid, &err), 0);
    }
    gtid.domain = 1024;
    cr_expect_eq(lutra_gtid_set_add(set, &gtid, &err), -1);
    gtid.domain = 5;
    cr_expect_eq(lutra_gtid_set_add(set, &gtid, &err), 0);
    lutra_gtid_set_free(set);

    set = lutra_gtid_set_new(LUTRA_FLAVOR_MYSQL);
    gtid = gtid_of(UUID_A ":1");
    for (uint64_t i = 0; i < 100000; i++) {
        gtid.seq = 2 * i + 1;
        cr_assert_eq(lutra_gtid_set_add(set, &gtid, &err), 0);
    }
    gtid.seq = 200002;
    cr_expect_eq(lutra_gtid_set_add(set, &gtid, &err), -1);
    cr_expect_eq(err.class, LUTRA_DATA);
    gtid.seq = 200000; /* joins the last interval: still fits */
    cr_expect_eq(lutra_gtid_set_add(set, &gtid, &err), 0);
    gtid.seq = 2; /* joins the first two */
    cr_expect_eq(lutra_gtid_set_add(set, &gtid, &err), 0);
    cr_expect(lutra_gtid_set_contains(set, &gtid));
    lutra_gtid_set_free(set);
}

/* A set against the plainest model of it: one flag per number. */
enum { N_SOURCES = 4, N_NUMBERS = 60 };

static uint32_t random_state = 12345;
static uint32_t random_u32(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static struct lutra_gtid nth_source(unsigned i, uint64_t seq)
{
    static const char *const heads[N_SOURCES] = {UUID_A, UUID_A ":blue", UUID_B, UUID_B ":_x9"};
    char text[128];
    snprintf(text, sizeof(text), "%s:%" PRIu64, heads[i], seq);
    return gtid_of(text);
}

static struct lutra_gtid_set *random_set(bool model[N_SOURCES][N_NUMBERS], unsigned adds)
{
    struct lutra_error err = {0};
    struct lutra_gtid_set *set = lutra_gtid_set_new(LUTRA_FLAVOR_MYSQL);
    memset(model, 0, sizeof(bool) * N_SOURCES * N_NUMBERS);
    for (unsigned i = 0; i < adds; i++) {
        unsigned source = random_u32() % N_SOURCES, number = random_u32() % N_NUMBERS;
        struct lutra_gtid gtid = nth_source(source, number + 1);
        cr_assert_eq(lutra_gtid_set_add(set, &gtid, &err), 0);
        model[source][number] = true;
    }
    return set;
}

static void expect_is_model(const struct lutra_gtid_set *set, bool model[N_SOURCES][N_NUMBERS])
{
    for (unsigned s = 0; s < N_SOURCES; s++) {
        for (unsigned k = 0; k < N_NUMBERS; k++) {
            struct lutra_gtid gtid = nth_source(s, k + 1);
            cr_assert_eq(lutra_gtid_set_contains(set, &gtid), model[s][k]);
        }
    }
}

static bool model_includes(bool a[N_SOURCES][N_NUMBERS], bool b[N_SOURCES][N_NUMBERS])
{
    for (unsigned s = 0; s < N_SOURCES; s++) {
        for (unsigned k = 0; k < N_NUMBERS; k++) {
            if (b[s][k] && !a[s][k]) {
                return false;
            }
        }
    }
    return true;
}

Test(gtid_set, behaves_as_a_set_of_numbers_through_text_and_bytes)
{
    bool model[N_SOURCES][N_NUMBERS], other[N_SOURCES][N_NUMBERS];
    for (unsigned round = 0; round < 150; round++) {
        struct lutra_error err = {0};
        struct lutra_gtid_set *set = random_set(model, random_u32() % 250);
        expect_is_model(set, model);

        struct lutra_buf text = {0}, bytes = {0};
        lutra_gtid_set_format(set, &text);
        struct lutra_gtid_set *from_text = parse(LUTRA_FLAVOR_MYSQL, lutra_buf_cstr(&text));
        cr_assert(lutra_gtid_set_equal(set, from_text));
        lutra_gtid_set_encode(set, &bytes);
        struct lutra_gtid_set *from_bytes = lutra_gtid_set_decode(bytes.data, bytes.len, &err);
        cr_assert_not_null(from_bytes, "%s", err.msg);
        cr_assert(lutra_gtid_set_equal(set, from_bytes));
        struct lutra_gtid_set *dup = lutra_gtid_set_dup(set);
        cr_assert(lutra_gtid_set_equal(set, dup));

        struct lutra_gtid_set *second = random_set(other, random_u32() % 40);
        cr_assert_eq(lutra_gtid_set_includes(set, second), model_includes(model, other));
        cr_assert_eq(lutra_gtid_set_includes(second, set), model_includes(other, model));
        cr_assert(lutra_gtid_set_includes(set, dup));

        /* Cut anywhere, the bytes are refused or (never) read beyond. */
        for (size_t len = 0; len < bytes.len; len++) {
            cr_assert_null(lutra_gtid_set_decode(bytes.data, len, NULL));
        }
        lutra_gtid_set_free(second);
        lutra_gtid_set_free(dup);
        lutra_gtid_set_free(from_bytes);
        lutra_gtid_set_free(from_text);
        lutra_gtid_set_free(set);
        lutra_buf_fini(&text);
        lutra_buf_fini(&bytes);
    }
}

static void expect_encoded(const char *text, const char *hex)
{
    struct lutra_gtid_set *set = parse(LUTRA_FLAVOR_MYSQL, text);
    struct lutra_buf bytes = {0}, printed = {0};
    lutra_gtid_set_encode(set, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        lutra_buf_printf(&printed, "%02x", bytes.data[i]);
    }
    cr_expect_str_eq(lutra_buf_cstr(&printed), hex);
    lutra_buf_fini(&bytes);
    lutra_buf_fini(&printed);
    lutra_gtid_set_free(set);
}

Test(gtid_set, encodes_as_mysql_does)
{
    expect_encoded("", "0000000000000000");
    /* As in a PREVIOUS_GTIDS event of MySQL 9.7. */
    expect_encoded(UUID_A ":1-79", "0100000000000000"
                                   "73a32781e68711f1804a02fc00000001"
                                   "0100000000000000"
                                   "01000000000000005000000000000000");
    expect_encoded(UUID_A ":1-79:tag_1:5", "0102000000000001"
                                           "73a32781e68711f1804a02fc00000001"
                                           "00"
                                           "0100000000000000"
                                           "01000000000000005000000000000000"
                                           "73a32781e68711f1804a02fc00000001"
                                           "0a7461675f31"
                                           "0100000000000000"
                                           "05000000000000000600000000000000");
}
