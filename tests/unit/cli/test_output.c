#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "manager/cli/cli.h"
#include "model/channel.h"

static const char *yaml_of(const char *json)
{
    static char text[4096];
    struct lutra_buf out = {0};
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);

    cr_assert_not_null(value, "%s", json);
    cli_yaml(value, &out);
    snprintf(text, sizeof(text), "%s", lutra_buf_cstr(&out));
    lutra_buf_fini(&out);
    json_decref(value);
    return text;
}

Test(cli_output, yaml)
{
    cr_assert_str_eq(yaml_of("{\"a\":1,\"b\":[1,\"x\"],\"c\":{},\"d\":[],\"e\":{\"f\":null}}"),
                     "a: 1\nb:\n  - 1\n  - x\nc: {}\nd: []\ne:\n  f: null\n");
    cr_assert_str_eq(yaml_of("[{\"a\":1,\"b\":2},[3,4]]"), "- a: 1\n  b: 2\n- - 3\n  - 4\n");
    cr_assert_str_eq(yaml_of("\"plain\""), "plain\n");
}

Test(cli_output, text_that_yaml_would_take_for_something_else_is_quoted)
{
    static const char *const words[] = {"true", "No", "1",   "",     "a: b", "*",
                                        "- x",  "~",  "1.5", "a\nb", "null"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct lutra_buf out = {0};
        json_t *value = json_string(words[i]);

        cli_yaml(value, &out);
        cr_assert_eq(lutra_buf_cstr(&out)[0], '"', "%s", words[i]);
        lutra_buf_fini(&out);
        json_decref(value);
    }
}

Test(cli_output, a_definition_survives_the_way_through_yaml)
{
    static const char text[] =
        "channel: orders\n"
        "description: \"a: tricky # one\"\n"
        "sources:\n"
        "  a: {type: mariadb, host: 10.0.0.5, user: lutra}\n"
        "  b: {type: mariadb, socket: /run/m.sock, user: lutra, password_env: PW}\n"
        "pipelines:\n"
        "  - source: a\n"
        "    target: b\n"
        "    start: \"gtid:0-1-140\"\n"
        "    pairs:\n"
        "      - {source: {schema: shop, table: \"*\"}, columns: {a: b}, exclude: [c]}\n";
    struct lutra_error err = {0};
    struct lutra_channel *first = lutra_channel_parse(text, strlen(text), "first", &err);
    struct lutra_channel *second;
    struct lutra_buf json = {0}, yaml = {0};
    json_t *value;

    cr_assert_not_null(first, "%s", err.msg);
    lutra_channel_to_json(first, &json);
    value = json_loadb((const char *)json.data, json.len, 0, NULL);
    cli_yaml(value, &yaml);
    second = lutra_channel_parse((const char *)yaml.data, yaml.len, "second", &err);
    cr_assert_not_null(second, "%s\n%s", err.msg, lutra_buf_cstr(&yaml));
    cr_assert(lutra_channel_same(first, second));
    lutra_channel_free(first);
    lutra_channel_free(second);
    lutra_buf_fini(&json);
    lutra_buf_fini(&yaml);
    json_decref(value);
}

Test(cli_output, columns_are_aligned_numbers_to_the_right)
{
    static const char *const headers[] = {"NAME", "N", "WHY", NULL};
    const char *first[] = {"orders", "5", ""};
    const char *second[] = {"\xc3\xa9t\xc3\xa9", "1234", "two\nlines"};
    struct cli_table *table = cli_table_new(headers);
    struct lutra_buf out = {0};

    cli_table_row(table, first);
    cli_table_row(table, second);
    cli_table_end(table, &out);
    cr_assert_str_eq(lutra_buf_cstr(&out), "NAME       N  WHY\n"
                                           "orders     5  -\n"
                                           "\xc3\xa9t\xc3\xa9     1234  two lines\n");
    lutra_buf_fini(&out);
}

static const char status_json[] =
    "{\"channels\":[{\"channel\":\"orders\",\"desired\":\"START\",\"version\":3,\"pipelines\":[{"
    "\"pipeline\":\"orders\",\"channel\":\"orders\",\"state\":\"RUNNING\",\"reason\":\"\","
    "\"epoch\":5,\"fence_pending\":false,\"owners\":{\"select\":\"s1\",\"load\":null},"
    "\"instances\":{\"extract\":[\"e1\",\"e2\"],\"transform\":[\"t1\"]},"
    "\"position\":{\"read\":\"b.1:9\",\"acknowledged\":null,\"applied\":\"b.1:4\"},"
    "\"process\":{\"published\":9,\"consumed\":8,\"applied\":7,\"in_flight\":1,"
    "\"extract\":[9],\"transform\":[],\"load\":null},\"lag_ms\":12.34,\"lag_p50_ms\":null,"
    "\"lag_p99_ms\":3.21,\"lag_method\":\"here\",\"rows_per_s\":1000.4,\"rows_total\":77,"
    "\"last_error\":\"\"}]}]}";

Test(cli_output, status_for_people)
{
    json_t *status = json_loads(status_json, 0, NULL);
    struct lutra_buf out = {0};

    cli_status_text(status, false, &out);
    cr_assert_str_eq(
        lutra_buf_cstr(&out),
        "CHANNEL  PIPELINE  STATE    EPOCH  SELECT  E+T  LOAD  IN FLIGHT  LAG MS  ROWS/S  REASON\n"
        "orders   orders    RUNNING      5  s1      2+1  -             1      12    1000  -\n");
    lutra_buf_clear(&out);
    cli_channel_text(json_array_get(json_object_get(status, "channels"), 0), &out);
    cr_assert(strstr(lutra_buf_cstr(&out), "in flight     1: extract [9], transform [], load -"),
              "%s", lutra_buf_cstr(&out));
    cr_assert(strstr(lutra_buf_cstr(&out), "12 ms, p50 - ms, p99 3.2 ms (from here)\n"));
    cr_assert(strstr(lutra_buf_cstr(&out), "owners        select s1, load -\n"));
    cr_assert(cli_all_running(json_object_get(status, "channels")));
    lutra_buf_fini(&out);
    json_decref(status);
}

Test(cli_output, an_answer_of_another_shape_breaks_nothing)
{
    static const char *const shapes[] = {
        "{}",
        "{\"channels\":5}",
        "{\"channels\":[null,1,{\"pipelines\":\"x\"},{\"pipelines\":[null,[],{\"process\":[]}]}]}",
    };

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        json_t *value = json_loads(shapes[i], 0, NULL);
        struct lutra_buf out = {0};

        cli_status_text(value, true, &out);
        cli_channel_text(value, &out);
        cli_lag_text(value, &out);
        cr_assert_gt(out.len, 0);
        lutra_buf_fini(&out);
        json_decref(value);
    }
}
