#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/channel.h"

static struct lutra_channel *parse(const char *text)
{
    struct lutra_error err = {0};
    struct lutra_channel *channel = lutra_channel_parse(text, strlen(text), "c.yaml", &err);
    cr_assert(channel, "%s", err.msg);
    return channel;
}

/* The example of docs/PROTOCOL.md §8: what the page shows is what the parser reads. */
static char *golden(void)
{
    static const char begin[] = "```yaml\n";
    FILE *file = fopen("docs/PROTOCOL.md", "r");
    char *page = calloc(1, 1 << 20), *from, *to, *text;
    cr_assert(file);
    cr_assert_gt(fread(page, 1, (1 << 20) - 1, file), 0);
    fclose(file);
    from = strstr(page, begin);
    cr_assert(from);
    from += sizeof(begin) - 1;
    to = strstr(from, "```");
    cr_assert(to);
    text = strndup(from, (size_t)(to - from));
    free(page);
    return text;
}

Test(channel, the_protocol_page_is_read)
{
    char *text = golden();
    struct lutra_channel *c = parse(text);
    const struct lutra_pipeline_def *def = lutra_channel_pipeline(c, "orders");
    const struct lutra_endpoint *frankfurt = lutra_channel_endpoint(c, "frankfurt");
    cr_expect_str_eq(c->name, "orders");
    cr_expect_str_eq(c->description, "Orders, Frankfurt to Dublin");
    cr_expect_eq(c->version, 0);
    cr_expect_eq(c->n_endpoints, 2);
    cr_assert(frankfurt);
    cr_expect_eq(frankfurt->flavor, LUTRA_FLAVOR_MARIADB);
    cr_expect_str_eq(frankfurt->host, "10.0.0.5");
    cr_expect_eq(frankfurt->port, 3306);
    cr_expect_str_eq(frankfurt->password_file, "/etc/lutra/frankfurt.password");
    cr_expect_null(frankfurt->socket);
    cr_assert(def);
    cr_expect_str_eq(def->source, "frankfurt");
    cr_expect_str_eq(def->target, "dublin");
    cr_expect_str_eq(def->source_site, "default");
    cr_expect_str_eq(def->source_bus, "default");
    cr_expect_str_eq(def->target_bus, "dublin");
    cr_expect_eq(def->start, LUTRA_START_CURRENT);
    cr_expect_eq(def->window, 32);
    cr_expect_eq(def->partitions, 8);
    cr_expect_eq(def->balance, LUTRA_BALANCE_ROUND_ROBIN);
    cr_expect_eq(def->batch_max_rows, 1000);
    cr_expect_eq(def->batch_max_bytes, 512 << 10);
    cr_expect_eq(def->batch_max_delay_ms, 50);
    cr_expect_eq(def->unit_max_rows, 5000);
    cr_expect_eq(def->unit_max_bytes, 8 << 20);
    cr_expect_not(def->accept_new_source);
    cr_expect_str_eq(def->resolved_until, "binlog.000003:4");
    cr_expect_str_eq(def->accept_target, "binlog.000003:4711@17");
    cr_expect_eq(def->target_may_lose_ms, 10000);
    cr_assert_eq(def->n_pairs, 1);
    cr_expect_str_eq(def->pairs[0].source_schema, "shop");
    cr_expect_str_eq(def->pairs[0].source_table, "*");
    cr_expect_str_eq(def->pairs[0].target_schema, "shop_eu");
    cr_expect_str_eq(def->pairs[0].target_table, "*");
    cr_expect_str_eq(lutra_pair_target_column(&def->pairs[0], "CUST_NO"), "customer_no");
    cr_expect_null(lutra_pair_target_column(&def->pairs[0], "internal_note"));
    cr_expect_str_eq(lutra_pair_target_column(&def->pairs[0], "id"), "id");
    cr_expect_not(def->pairs[0].allow_triggers);
    lutra_channel_free(c);
    free(text);
}

#define HEAD                                                                 \
    "channel: c\n"                                                           \
    "sources:\n"                                                             \
    "  a: {type: mariadb, host: h1, user: u}\n"                              \
    "  b: {type: mysql, socket: /run/b.sock, user: u, password_env: B_PW}\n" \
    "pipelines:\n"
#define PAIRS "    pairs: [{source: {schema: s, table: t}}]\n"
#define ONE HEAD "  - source: a\n    target: b\n" PAIRS

Test(channel, what_is_left_out_has_defaults)
{
    struct lutra_channel *c = parse(ONE);
    const struct lutra_pipeline_def *def = &c->pipelines[0];
    cr_expect_str_eq(c->description, "");
    cr_expect_eq(c->max_attempts, 10);
    cr_expect_eq(c->protection_ms, 90000);
    cr_expect_str_eq(def->name, "c");
    cr_expect_str_eq(def->source_bus, "default");
    cr_expect_str_eq(def->target_bus, "default");
    cr_expect_eq(def->window, 32);
    cr_expect_eq(def->partitions, 8);
    cr_expect_eq(def->batch_max_rows, 1000);
    cr_expect_eq(c->endpoints[0].port, 3306);
    cr_expect_eq(c->endpoints[1].port, 0);
    cr_expect_str_eq(c->endpoints[1].socket, "/run/b.sock");
    cr_expect_eq(c->endpoints[1].flavor, LUTRA_FLAVOR_MYSQL);
    cr_expect_str_eq(def->pairs[0].target_schema, "s");
    cr_expect_str_eq(def->pairs[0].target_table, "t");
    lutra_channel_free(c);
}

#define GROUP                                                                             \
    "channel: c\nsources:\n"                                                              \
    "  a: {type: mariadb, user: u, members: {y: {socket: /y}, x: {host: h, port: 3307}}," \
    " primary: y, follow: auto}\n"                                                        \
    "  b: {type: mariadb, user: u, members: {x: {host: h}}, primary: x, group: pay.db}\n" \
    "pipelines:\n  - source: a\n    target: b\n    resolved_until: x@bin.000007:99\n" PAIRS

Test(channel, a_media_group_has_members_of_which_one_is_current)
{
    struct lutra_channel *c = parse(GROUP);
    const struct lutra_endpoint *a = lutra_channel_endpoint(c, "a"),
                                *b = lutra_channel_endpoint(c, "b");
    struct lutra_error err = {0};
    char names[16];
    cr_assert_eq(a->n_members, 2);
    cr_expect_str_eq(a->members[0].name, "x");
    cr_expect_str_eq(a->members[0].host, "h");
    cr_expect_eq(a->members[0].port, 3307);
    cr_expect_str_eq(a->members[1].socket, "/y");
    cr_expect_str_eq(a->primary, "y");
    cr_expect_str_eq(a->group, "c.a", "the default key");
    cr_expect_eq(a->follow, LUTRA_FOLLOW_AUTO);
    cr_expect_str_eq(b->group, "pay.db");
    cr_expect_eq(b->follow, LUTRA_FOLLOW_MANUAL);
    cr_expect_str_eq(lutra_endpoint_member_names(a, names, sizeof(names)), "x, y");

    struct lutra_endpoint *x = lutra_endpoint_resolve(a, "x", &err);
    cr_assert(x, "%s", err.msg);
    cr_expect_str_eq(x->name, "a/x");
    cr_expect_str_eq(x->member, "x");
    cr_expect_str_eq(x->host, "h");
    cr_expect_eq(x->port, 3307);
    cr_expect_null(x->socket);
    cr_expect_str_eq(x->user, "u");
    cr_expect_eq(x->n_members, 0);
    lutra_endpoint_free(x);
    cr_expect_null(lutra_endpoint_resolve(a, "z", &err));
    cr_expect_eq(err.class, LUTRA_CONFIG);
    cr_expect(strstr(err.msg, "\"z\"") && strstr(err.msg, "(x, y)") &&
                  strstr(err.msg, "media switch c.a"),
              "%s", err.msg);
    lutra_channel_free(c);
}

Test(channel, a_single_server_resolves_to_itself)
{
    struct lutra_channel *c = parse(ONE);
    struct lutra_error err = {0};
    struct lutra_endpoint *b = lutra_endpoint_resolve(&c->endpoints[1], "", &err);
    cr_assert(b, "%s", err.msg);
    cr_expect_str_eq(b->name, "b");
    cr_expect_str_eq(b->socket, "/run/b.sock");
    cr_expect_null(b->member);
    lutra_endpoint_free(b);
    lutra_channel_free(c);
}

Test(channel, canonical_json_is_read_back_equal)
{
    char *page = golden();
    const char *texts[] = {
        page,
        ONE,
        HEAD
        "  - source: b\n    target: a\n    start: gtid:3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5\n"
        "    window: 1\n    balance: least-lag\n    batch: {max_delay: 1s, max_bytes: 2000}\n"
        "    accept_new_source: true\n    accept_target: empty:17\n    target_may_lose: 0s\n" PAIRS,
        HEAD "  - source: b\n    target: a\n    accept_target: "
             "binlog.000009:4;3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5@17\n" PAIRS,
        "recovery: {max_attempts: 0, protection: 5m}\n" ONE,
        GROUP,
        HEAD "  - source: a\n    target: b\n    start: file:mysql-bin.000009:4\n    pairs:\n"
             "      - {source: {schema: 's*', table: 'o_*_*'}, target: {table: 'n_*_x_*'},\n"
             "         columns: {Zed: z2, abc: b2}, exclude: [y, X], triggers: allow}\n"
             "      - source: {schema: \"sch\\u00e4m\\\"a\", table: \"back\\\\slash\"}\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct lutra_channel *a = parse(texts[i]), *b;
        struct lutra_buf json = {0}, again = {0};
        a->version = 7;
        lutra_channel_to_json(a, &json);
        b = parse(lutra_buf_cstr(&json));
        cr_expect_eq(b->version, 7);
        cr_expect(lutra_channel_same(a, b));
        lutra_channel_to_json(b, &again);
        cr_expect_str_eq(lutra_buf_cstr(&again), lutra_buf_cstr(&json));
        cr_expect_null(strchr(lutra_buf_cstr(&json), '\n'));
        b->version = 8;
        cr_expect(lutra_channel_same(a, b));
        b->max_attempts++;
        cr_expect_not(lutra_channel_same(a, b));
        b->max_attempts--;
        b->protection_ms++;
        cr_expect_not(lutra_channel_same(a, b));
        b->protection_ms--;
        b->pipelines[0].window++;
        cr_expect_not(lutra_channel_same(a, b));
        lutra_channel_free(a);
        lutra_channel_free(b);
        lutra_buf_fini(&json);
        lutra_buf_fini(&again);
    }
    free(page);
}

Test(channel, the_order_of_sources_columns_and_exclusions_does_not_count)
{
    struct lutra_channel *a = parse(
        "channel: c\nsources:\n  a: {type: mariadb, host: h, user: u}\n"
        "  b: {type: mariadb, host: i, user: u}\npipelines:\n  - source: a\n    target: b\n"
        "    pairs: [{source: {schema: s, table: t}, columns: {p: q, r: s}, exclude: [x, y]}]\n");
    struct lutra_channel *b = parse(
        "pipelines:\n  - target: b\n    source: a\n"
        "    pairs: [{exclude: [y, x], columns: {r: s, p: q}, source: {table: t, schema: s}}]\n"
        "sources:\n  b: {type: mariadb, host: i, user: u}\n"
        "  a: {type: mariadb, port: 3306, host: h, user: u}\nchannel: c\n");
    struct lutra_buf ja = {0}, jb = {0};
    cr_expect(lutra_channel_same(a, b));
    lutra_channel_to_json(a, &ja);
    lutra_channel_to_json(b, &jb);
    cr_expect_str_eq(lutra_buf_cstr(&ja), lutra_buf_cstr(&jb));
    lutra_buf_fini(&ja);
    lutra_buf_fini(&jb);
    lutra_channel_free(a);
    lutra_channel_free(b);
}

/* ---- mistakes: each class with its exact place ---- */

#define REFUSED(text, place, part)                                                             \
    do {                                                                                       \
        struct lutra_error err_ = {0};                                                         \
        struct lutra_channel *c_ = lutra_channel_parse((text), strlen(text), "c.yaml", &err_); \
        cr_expect_null(c_, "accepted: %s", text);                                              \
        lutra_channel_free(c_);                                                                \
        cr_expect_eq(err_.class, LUTRA_CONFIG);                                                \
        cr_expect(strncmp(err_.msg, "c.yaml:" place ": ", strlen("c.yaml:" place ": ")) == 0,  \
                  "\"%s\" is not at %s", err_.msg, place);                                     \
        cr_expect(strstr(err_.msg, part), "\"%s\" lacks \"%s\"", err_.msg, part);              \
    } while (0)

Test(channel, mistakes_in_the_whole_have_a_place)
{
    REFUSED("[]", "1:1", "expected a mapping");
    REFUSED("just text", "1:1", "expected a mapping");
    REFUSED("sources: {}\n", "1:1", "channel is missing");
    REFUSED("channel: Orders\n", "1:10", "lower-case");
    REFUSED("channel: -x\n", "1:10", "not beginning with '-'");
    REFUSED("channel: abcdefghijklmnopqrstuvwxyzabcdefghijklmno\n", "1:10", "at most 40");
    REFUSED("channel: [c]\n", "1:10", "expected text");
    REFUSED("channel: c\nchanel: d\n", "2:1", "channel");
    REFUSED("channel: c\nchannel: d\n", "2:1", "channel");
    REFUSED("channel: c\ndescription: \"a\\nb\"\n", "2:14", "control character");
    REFUSED("channel: c\nversion: x\n", "2:10", "x");
    REFUSED("channel: c\nrecovery: 3\n", "2:11", "expected a mapping");
    REFUSED("channel: c\nrecovery: {attempts: 3}\n", "2:12", "max_attempts");
    REFUSED("channel: c\nrecovery: {max_attempts: -1}\n", "2:26", "1000000");
    REFUSED("channel: c\nrecovery: {protection: 10}\n", "2:24", "10");
    REFUSED("channel: c\nrecovery: {protection: 10ms}\n", "2:24", "1s");
    REFUSED("channel: c\npipelines: []\n", "1:1", "sources is missing");
    REFUSED("channel: c\nsources: []\n", "2:10", "expected a mapping");
    REFUSED("channel: c\nsources: {}\n", "1:1", "pipelines is missing");
    REFUSED("channel: c\nsources: {}\npipelines: []\n", "3:12", "at least one");
    REFUSED("channel: c\nsources: {}\npipelines: {}\n", "3:12", "expected a list");
}

#define SOURCE(text) "channel: c\nsources:\n  a: {" text "}\n"

Test(channel, mistakes_in_sources_have_a_place)
{
    REFUSED("channel: c\nsources:\n  A: {}\n", "3:3", "lower-case");
    REFUSED("channel: c\nsources:\n  a: x\n", "3:6", "expected a mapping");
    REFUSED(SOURCE("typ: mariadb"), "3:7", "did you mean");
    REFUSED(SOURCE("host: h"), "3:6", "type is missing, expected mariadb or mysql");
    REFUSED(SOURCE("type: mariadv, host: h, user: u"), "3:13", "mariadb");
    REFUSED(SOURCE("type: mariadb, user: u"), "3:6", "expected host or socket");
    REFUSED(SOURCE("type: mariadb, user: u, host: h, socket: /s"), "3:48", "one of them");
    REFUSED(SOURCE("type: mariadb, user: u, socket: /s, port: 1"), "3:49", "with host only");
    REFUSED(SOURCE("type: mariadb, user: u, socket: s"), "3:39", "begins with /");
    REFUSED(SOURCE("type: mariadb, user: u, host: h, port: 0"), "3:46", "65535");
    REFUSED(SOURCE("type: mariadb, user: u, host: h, port: 70000"), "3:46", "65535");
    REFUSED(SOURCE("type: mariadb, host: h"), "3:6", "user is missing");
    REFUSED(SOURCE("type: mariadb, host: h, user: ''"), "3:37", "empty");
    REFUSED(SOURCE("type: mariadb, host: h, user: u, password: x"), "3:50", "password_file");
    REFUSED(SOURCE("type: mariadb, host: h, user: u, password_file: x, password_env: Y"), "3:72",
            "at most one");
    REFUSED(SOURCE("type: mariadb, host: h, user: u, password_env: 'A B'"), "3:54",
            "environment variable");
}

Test(channel, mistakes_in_media_groups_have_a_place)
{
#define M "type: mariadb, user: u, members: {x: {host: h}, y: {socket: /y}}"
    REFUSED(SOURCE(M), "3:6", "primary is missing");
    REFUSED(SOURCE("type: mariadb, user: u, members: {main: {host: h}}, primary: mian"), "3:68",
            "expected one of main; did you mean main?");
    REFUSED(SOURCE(M ", primary: zebra"), "3:82", "not a member of source a");
    REFUSED(SOURCE(M ", primary: x, host: h"), "3:91", "members and host");
    REFUSED(SOURCE(M ", primary: x, follow: automatic"), "3:93", "auto");
    REFUSED(SOURCE(M ", primary: x, group: 'A/B'"), "3:92", "not a key");
    REFUSED(SOURCE(M ", primary: x, groop: g"), "3:85", "did you mean");
    REFUSED(SOURCE("type: mariadb, user: u, members: {}, primary: x"), "3:40", "expected 1..16");
    REFUSED(SOURCE("type: mariadb, user: u, members: [x], primary: x"), "3:40", "a mapping");
    REFUSED(SOURCE("type: mariadb, user: u, members: {x: {}}, primary: x"), "3:44",
            "member x has no address");
    REFUSED(SOURCE("type: mariadb, user: u, members: {x: {hots: h}}, primary: x"), "3:45",
            "did you mean");
    REFUSED(SOURCE("type: mariadb, user: u, members: {X: {host: h}}, primary: x"), "3:41",
            "lower-case");
    REFUSED(SOURCE("type: mariadb, user: u, members: {x: {host: h}, y: {host: h}}, primary: x"),
            "3:58", "the address of member x");
    REFUSED(SOURCE("type: mariadb, user: u, host: h, primary: x"), "3:49", "without members");
#undef M
    REFUSED("channel: c\nsources:\n"
            "  a: {type: mariadb, user: u, members: {x: {host: h}}, primary: x}\n"
            "  b: {type: mariadb, user: u, host: h}\npipelines:\n"
            "  - {source: a, target: b, resolved_until: 'bin.000007:99'}\n",
            "6:44", "<member>@<binlog file>:<offset>");
}

#define PIPE(text) HEAD "  - " text "\n"
#define REST "source: a, target: b, pairs: [{source: {schema: s, table: t}}]"

Test(channel, mistakes_in_pipelines_have_a_place)
{
    REFUSED(PIPE("x"), "6:5", "expected a mapping");
    REFUSED(PIPE("{sorce: a}"), "6:6", "did you mean");
    REFUSED(PIPE("{target: b}"), "6:5", "source is missing");
    REFUSED(PIPE("{source: a}"), "6:5", "target is missing");
    REFUSED(PIPE("{source: c, target: b}"), "6:14", "not one of the sources");
    REFUSED(PIPE("{source: a, target: a}"), "6:25", "expected another");
    REFUSED(PIPE("{source: a, target: b}"), "6:5", "pairs is missing");
    REFUSED(PIPE("{source: a, target: b, pairs: []}"), "6:35", "at least one");
    REFUSED(PIPE("{source: a, target: b, pairs: x}"), "6:35", "expected a list");
    REFUSED(PIPE("{name: p_1, " REST "}"), "6:12", "lower-case");
    REFUSED(PIPE("{" REST "}") "  - {name: p, " REST "}\n", "6:5", "name is missing");
    REFUSED(PIPE("{name: p, " REST "}") "  - {name: p, " REST "}\n", "7:12", "twice");
    REFUSED(PIPE("{window: 0, " REST "}"), "6:14", "1024");
    REFUSED(PIPE("{window: 1025, " REST "}"), "6:14", "1024");
    REFUSED(PIPE("{partitions: 257, " REST "}"), "6:18", "256");
    REFUSED(PIPE("{balance: round-robbin, " REST "}"), "6:15", "round-robin");
    REFUSED(PIPE("{source_site: 'A', " REST "}"), "6:19", "lower-case");
    REFUSED(PIPE("{target_bus: 'a.b', " REST "}"), "6:18", "lower-case");
    REFUSED(PIPE("{source_buss: a, " REST "}"), "6:6", "source_bus");
    REFUSED(PIPE("{accept_new_source: 3, " REST "}"), "6:25", "true");
    REFUSED(PIPE("{resolved_until: later, " REST "}"), "6:22", "<binlog file>:<offset>");
    REFUSED(PIPE("{accept_target: yes, " REST "}"), "6:21", "empty:<epoch>");
    REFUSED(PIPE("{accept_target: 'empty:', " REST "}"), "6:21", "empty:<epoch>");
    REFUSED(PIPE("{accept_target: 'x:1;nonsense', " REST "}"), "6:21", "not what a target holds");
    REFUSED(PIPE("{accept_target: 'x:1@', " REST "}"), "6:21", "<offset>[;<gtids>]@<epoch>");
    REFUSED(PIPE("{accept_target: 'x:1@a', " REST "}"), "6:21", "not what a target holds");
    REFUSED(PIPE("{accept_target: '@17', " REST "}"), "6:21", "not what a target holds");
    REFUSED(PIPE("{target_may_lose: 2d, " REST "}"), "6:23", "2d");
    REFUSED(PIPE("{batch: 3, " REST "}"), "6:13", "expected a mapping");
    REFUSED(PIPE("{batch: {max_row: 3}, " REST "}"), "6:14", "max_rows");
    REFUSED(PIPE("{batch: {max_bytes: 1}, " REST "}"), "6:25", "1");
    REFUSED(PIPE("{batch: {max_delay: 5 days}, " REST "}"), "6:25", "5 days");
    REFUSED(PIPE("{unit: {max_rows: 0}, " REST "}"), "6:23", "10000000");
}

Test(channel, mistakes_in_start_have_a_place)
{
    REFUSED(PIPE("{start: curent, " REST "}"), "6:13", "did you mean current?");
    REFUSED(PIPE("{start: 'gtid:', " REST "}"), "6:13", "empty");
    REFUSED(PIPE("{start: 'gtid:zz', " REST "}"), "6:13", "zz");
    REFUSED(PIPE("{start: 'file:binlog', " REST "}"), "6:13", "not a binlog file");
    REFUSED(PIPE("{start: 'file:binlog.000001:3', " REST "}"), "6:13", "offset 4");
    REFUSED(PIPE("{start: gtid, " REST "}"), "6:13", "expected current");
}

#define PAIR(text) HEAD "  - source: a\n    target: b\n    pairs:\n    - {" text "}\n"
#define S "source: {schema: s, table: t}"

Test(channel, mistakes_in_pairs_have_a_place)
{
    REFUSED(PAIR("sorce: x"), "9:8", "did you mean");
    REFUSED(PAIR("target: {schema: s}"), "9:7", "source is missing");
    REFUSED(PAIR("source: {schema: s}"), "9:16", "table is missing");
    REFUSED(PAIR("source: {table: t}"), "9:16", "schema is missing");
    REFUSED(PAIR("source: {schema: mysql, table: t}"), "9:25", "belongs to the server");
    REFUSED(PAIR("source: {schema: Lutra, table: t}"), "9:25", "belongs to the server");
    REFUSED(PAIR("source: {schema: s, table: '*********'}"), "9:35", "more than 8");
    REFUSED(PAIR(S ", target: {schema: 'x*'}"), "9:56", "expected none");
    REFUSED(PAIR("source: {schema: '*', table: '*_*'}, target: {table: '*'}"), "9:61",
            "expected none or 2");
    REFUSED(PAIR(S ", columns: [a]"), "9:48", "expected a mapping");
    REFUSED(PAIR(S ", columns: {a: b, A: c}"), "9:55", "renamed twice");
    REFUSED(PAIR(S ", columns: {a: b, c: B}"), "9:58", "both named B");
    REFUSED(PAIR(S ", exclude: a"), "9:48", "expected a list");
    REFUSED(PAIR(S ", exclude: [a, A]"), "9:52", "twice");
    REFUSED(PAIR(S ", columns: {a: b}, exclude: [a]"), "9:66", "renamed and excluded");
    REFUSED(PAIR(S ", triggers: maybe"), "9:49", "refuse");
    REFUSED(PAIR(S) "    - {" S ", exclude: [x]}\n", "10:7", "line 9");
}

/* ---- matching ---- */

static const struct lutra_pair *match(const char *pair,
                                      const char *schema,
                                      const char *table,
                                      char *target_schema,
                                      char *target_table)
{
    static struct lutra_channel *c; /* kept until the next call: the pair points into it */
    char text[2000];
    struct lutra_error err = {0};
    lutra_channel_free(c);
    snprintf(text, sizeof(text), HEAD "  - source: a\n    target: b\n    pairs: [{%s}]\n", pair);
    c = parse(text);
    const struct lutra_pair *found = lutra_pipeline_match(&c->pipelines[0], schema, table);
    if (found && lutra_pair_target_name(found, schema, table, target_schema, target_table, &err)) {
        strcpy(target_schema, "too long");
    }
    return found;
}

#define MATCH(pair, schema, table, to_schema, to_table)        \
    do {                                                       \
        char s_[65] = "", t_[65] = "";                         \
        cr_expect(match(pair, schema, table, s_, t_) != NULL); \
        cr_expect_str_eq(s_, to_schema);                       \
        cr_expect_str_eq(t_, to_table);                        \
    } while (0)
#define NO_MATCH(pair, schema, table)                       \
    do {                                                    \
        char s_[65], t_[65];                                \
        cr_expect_null(match(pair, schema, table, s_, t_)); \
    } while (0)

Test(channel, a_star_stands_for_any_text)
{
    MATCH("source: {schema: s, table: t}", "s", "t", "s", "t");
    NO_MATCH("source: {schema: s, table: t}", "s", "t2");
    NO_MATCH("source: {schema: s, table: t}", "S", "t");
    MATCH("source: {schema: s, table: '*'}", "s", "", "s", "");
    MATCH("source: {schema: 'shop_*', table: '*'}, target: {schema: 'eu_*'}", "shop_7", "x", "eu_7",
          "x");
    MATCH("source: {schema: s, table: 'a*b*c'}, target: {table: '*-*'}", "s", "aXbYbZc", "s",
          "X-YbZ");
    MATCH("source: {schema: s, table: '*_log'}, target: {table: log}", "s", "a_log_log", "s",
          "log");
    NO_MATCH("source: {schema: s, table: '*_log'}", "s", "a_logs");
    NO_MATCH("source: {schema: s, table: 'a*a'}", "s", "a");
    MATCH("source: {schema: s, table: 'a*a'}", "s", "aa", "s", "aa");
    MATCH("source: {schema: s, table: '**'}, target: {table: 'x*y*'}", "s", "q", "s", "xyq");
}

Test(channel, no_pattern_matches_the_servers_schemas_or_ours)
{
    const char *system[] = {"mysql", "lutra", "sys", "information_schema", "PERFORMANCE_SCHEMA"};
    for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++) {
        NO_MATCH("source: {schema: '*', table: '*'}", system[i], "t");
    }
    MATCH("source: {schema: '*', table: '*'}", "lutra2", "t", "lutra2", "t");
}

Test(channel, a_schema_matches_when_a_table_of_it_may)
{
    struct lutra_channel *c = parse(
        HEAD "  - source: a\n    target: b\n    pairs:\n"
             "    - {source: {schema: 's_*', table: t}}\n    - {source: {schema: x, table: t}}\n");
    const struct lutra_pipeline_def *def = &c->pipelines[0];
    cr_expect(lutra_pipeline_match_schema(def, "s_1"));
    cr_expect(lutra_pipeline_match_schema(def, "x"));
    cr_expect_not(lutra_pipeline_match_schema(def, "y"));
    cr_expect_not(lutra_pipeline_match_schema(def, "mysql"));
    lutra_channel_free(c);
}

Test(channel, a_target_name_above_the_limit_is_an_error)
{
    char s[65], t[65], table[61];
    memset(table, 'x', 60);
    table[60] = '\0';
    cr_expect(match("source: {schema: s, table: '*'}, target: {table: 'abcd*'}", "s", table, s, t));
    cr_expect_str_eq(s, "s");
    cr_expect_eq(strlen(t), 64);
    cr_expect(
        match("source: {schema: s, table: '*'}, target: {table: 'abcde*'}", "s", table, s, t));
    cr_expect_str_eq(s, "too long");
}

Test(channel, the_first_pair_wins)
{
    struct lutra_channel *c =
        parse(HEAD "  - source: a\n    target: b\n    pairs:\n"
                   "    - {source: {schema: s, table: t}, target: {table: special}}\n"
                   "    - {source: {schema: s, table: '*'}}\n");
    const struct lutra_pipeline_def *def = &c->pipelines[0];
    cr_expect_eq(lutra_pipeline_match(def, "s", "t"), &def->pairs[0]);
    cr_expect_eq(lutra_pipeline_match(def, "s", "u"), &def->pairs[1]);
    lutra_channel_free(c);
}

/* ---- passwords ---- */

Test(channel, passwords_come_from_a_file_or_the_environment)
{
    struct lutra_endpoint e = {.name = (char *)"a"};
    struct lutra_error err = {0};
    char path[] = "/tmp/lutra-password-XXXXXX", *secret;
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "s3cret\r\nsecond", 14), 14);
    close(fd);
    cr_assert_eq(lutra_endpoint_password(&e, &secret, &err), 0);
    cr_expect_str_eq(secret, "");
    lutra_secret_free(secret);
    e.password_file = path;
    cr_assert_eq(lutra_endpoint_password(&e, &secret, &err), 0, "%s", err.msg);
    cr_expect_str_eq(secret, "s3cret");
    lutra_secret_free(secret);
    unlink(path);
    cr_expect_eq(lutra_endpoint_password(&e, &secret, &err), -1);
    cr_expect_eq(err.class, LUTRA_CONFIG);
    cr_expect(strstr(err.msg, path), "%s", err.msg);
    e.password_file = NULL;
    e.password_env = (char *)"LUTRA_TEST_MODEL_PASSWORD";
    unsetenv(e.password_env);
    cr_expect_eq(lutra_endpoint_password(&e, &secret, &err), -1);
    cr_expect(strstr(err.msg, "LUTRA_TEST_MODEL_PASSWORD"), "%s", err.msg);
    setenv(e.password_env, "from env", 1);
    cr_assert_eq(lutra_endpoint_password(&e, &secret, &err), 0);
    cr_expect_str_eq(secret, "from env");
    lutra_secret_free(secret);
    lutra_secret_free(NULL);
}

Test(channel, mutated_text_never_crashes)
{
    char *good = golden();
    size_t len = strlen(good);
    unsigned passed = 0;
    srand(11);
    for (int i = 0; i < 3000; i++) {
        char *copy = malloc(len);
        size_t n = rand() % 8 ? len : (size_t)rand() % len;
        memcpy(copy, good, len);
        for (int k = rand() % 3; k >= 0; k--) {
            copy[(size_t)rand() % len] = " \n:-{}[]\"'*aZ0\t\xff#"[rand() % 17];
        }
        struct lutra_error err = {0};
        struct lutra_channel *c = lutra_channel_parse(copy, n, "c.yaml", &err);
        passed += c != NULL;
        cr_expect((c != NULL) == (err.msg[0] == '\0'));
        lutra_channel_free(c);
        free(copy);
    }
    cr_expect_gt(passed, 0);
    free(good);
}
