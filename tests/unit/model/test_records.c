#include <criterion/criterion.h>

#include <string.h>

#include "base/mem.h"
#include "model/records.h"

#define FROM(kind, text, rec, err) lutra_##kind##_from_json((text), strlen(text), (rec), (err))

Test(records, desired_goes_through_json)
{
    for (int state = LUTRA_DESIRED_START; state <= LUTRA_DESIRED_STOP; state++) {
        struct lutra_desired_record a = {.state = (enum lutra_desired)state, .at_ms = 1700}, b;
        struct lutra_buf json = {0};
        struct lutra_error err;
        strcpy(a.by, "operator/anna \"a\"");
        lutra_desired_to_json(&a, &json);
        cr_assert_eq(FROM(desired, lutra_buf_cstr(&json), &b, &err), 0, "%s", err.msg);
        cr_expect_eq(b.state, a.state);
        cr_expect_eq(b.at_ms, 1700);
        cr_expect_str_eq(b.by, a.by);
        lutra_buf_fini(&json);
    }
}

Test(records, control_goes_through_json)
{
    struct lutra_control a = {.start = false,
                              .epoch = 9,
                              .retry_at_ms = 170,
                              .attempt = 3,
                              .process_id = 77,
                              .exhausted = true,
                              .at_ms = 5},
                         b;
    struct lutra_buf json = {0};
    struct lutra_error err;
    strcpy(a.reason, "line\nbreak and \xff\xfe not UTF-8, cut in a character: \xc3");
    strcpy(a.by, "select/s1");
    lutra_control_to_json(&a, &json);
    cr_assert_eq(FROM(control, lutra_buf_cstr(&json), &b, &err), 0, "%s", err.msg);
    cr_expect_not(b.start);
    cr_expect_eq(b.epoch, 9);
    cr_expect_eq(b.retry_at_ms, 170);
    cr_expect_eq(b.attempt, 3);
    cr_expect_eq(b.process_id, 77);
    cr_expect(b.exhausted);
    cr_expect_str_eq(b.reason, "line\nbreak and ?? not UTF-8, cut in a character: ?");
    cr_expect_str_eq(b.by, "select/s1");
    lutra_buf_fini(&json);
}

Test(records, long_text_is_cut_at_the_end_of_a_character)
{
    struct lutra_control rec;
    struct lutra_error err;
    char json[2048] = "{\"state\":\"START\",\"epoch\":1,\"reason\":\"";
    for (int i = 0; i < 400; i++) {
        strcat(json, "\xc3\xa4");
    }
    strcat(json, "\"}");
    cr_assert_eq(FROM(control, json, &rec, &err), 0, "%s", err.msg);
    cr_expect_eq(strlen(rec.reason), 510);
    cr_expect_str_eq(rec.reason + 508, "\xc3\xa4");
}

Test(records, origin_goes_through_json)
{
    struct lutra_origin a = {.epoch = 7,
                             .nonce = "0123456789abcdef",
                             .process_id = 41,
                             .config_version = 2,
                             .at_ms = 3},
                        b;
    struct lutra_buf json = {0};
    struct lutra_error err;
    a.position = lutra_strdup("binlog.000001:4;0-1-9");
    strcpy(a.select_session, "s1-77");
    strcpy(a.source_identity, "mariadb:1:0:1700");
    strcpy(a.source_member, "b");
    strcpy(a.target_member, "main");
    strcpy(a.by, "load/l1");
    lutra_origin_to_json(&a, &json);
    cr_assert_eq(FROM(origin, lutra_buf_cstr(&json), &b, &err), 0, "%s", err.msg);
    cr_expect_eq(b.epoch, 7);
    cr_expect_eq(b.process_id, 41);
    cr_expect_eq(b.config_version, 2);
    cr_expect_str_eq(b.nonce, a.nonce);
    cr_expect_str_eq(b.position, a.position);
    cr_expect_str_eq(b.select_session, "s1-77");
    cr_expect_str_eq(b.source_identity, a.source_identity);
    cr_expect_str_eq(b.source_member, "b");
    cr_expect_str_eq(b.target_member, "main");
    lutra_origin_fini(&a);
    lutra_origin_fini(&b);
    lutra_buf_fini(&json);
}

Test(records, media_goes_through_json)
{
    struct lutra_media_record a = {.primary = "b", .by = "select/s1 (auto)", .at_ms = 5}, b;
    struct lutra_buf json = {0};
    struct lutra_error err;
    lutra_media_to_json(&a, &json);
    cr_assert_eq(FROM(media, lutra_buf_cstr(&json), &b, &err), 0, "%s", err.msg);
    cr_expect_str_eq(b.primary, "b");
    cr_expect_str_eq(b.by, "select/s1 (auto)");
    cr_expect_eq(b.at_ms, 5);
    cr_expect_eq(FROM(media, "{\"by\":\"me\"}", &b, &err), -1);
    cr_expect(strstr(err.msg, "primary"), "%s", err.msg);
    lutra_buf_fini(&json);
}

Test(records, owner_position_and_node_go_through_json)
{
    struct lutra_owner_record owner = {.instance = "s1", .session = "s1-1"}, owner2;
    struct lutra_position_record position = {.epoch = 1, .process_id = 2, .commit_us = -1},
                                 position2;
    struct lutra_node_record node = {.service = "select",
                                     .instance = "s1",
                                     .host = "h",
                                     .site = "a",
                                     .version = "0.1",
                                     .http = "127.0.0.1:1",
                                     .pid = 5},
                             node2;
    struct lutra_buf json = {0};
    struct lutra_error err;
    lutra_owner_to_json(&owner, &json);
    cr_assert_eq(FROM(owner, lutra_buf_cstr(&json), &owner2, &err), 0, "%s", err.msg);
    cr_expect_str_eq(owner2.session, "s1-1");
    lutra_buf_clear(&json);
    position.position = lutra_strdup("");
    lutra_position_record_to_json(&position, &json);
    cr_assert_eq(FROM(position_record, lutra_buf_cstr(&json), &position2, &err), 0, "%s", err.msg);
    cr_expect_eq(position2.commit_us, -1);
    cr_expect_str_eq(position2.position, "");
    lutra_position_record_fini(&position);
    lutra_position_record_fini(&position2);
    lutra_buf_clear(&json);
    lutra_node_to_json(&node, &json);
    cr_assert_eq(FROM(node, lutra_buf_cstr(&json), &node2, &err), 0, "%s", err.msg);
    cr_expect_eq(memcmp(&node, &node2, sizeof(node)), 0);
    lutra_buf_fini(&json);
}

Test(records, unknown_keys_are_ignored)
{
    struct lutra_desired_record rec;
    cr_expect_eq(FROM(desired, "{\"state\":\"STOP\",\"of the future\":[1,{}]}", &rec, NULL), 0);
    cr_expect_eq(rec.state, LUTRA_DESIRED_STOP);
}

#define REFUSED(kind, type, text, part)                                           \
    do {                                                                          \
        struct type rec_;                                                         \
        struct lutra_error err_ = {0};                                            \
        cr_expect_eq(FROM(kind, text, &rec_, &err_), -1, "accepted %s", text);    \
        cr_expect_eq(err_.class, LUTRA_DATA);                                     \
        cr_expect(strstr(err_.msg, part), "\"%s\" lacks \"%s\"", err_.msg, part); \
    } while (0)

#define NONCE "\"nonce\":\"0123456789abcdef\","

Test(records, what_is_wrong_is_named)
{
    REFUSED(desired, lutra_desired_record, "", "JSON object");
    REFUSED(desired, lutra_desired_record, "[]", "JSON object");
    REFUSED(desired, lutra_desired_record, "{}", "\"state\" is missing");
    REFUSED(desired, lutra_desired_record, "{\"state\":null}", "\"state\" is missing");
    REFUSED(desired, lutra_desired_record, "{\"state\":\"start\"}", "START, PAUSE or STOP");
    REFUSED(desired, lutra_desired_record, "{\"state\":1}", "expected a string");
    REFUSED(desired, lutra_desired_record, "{\"state\":\"a very long state name\"}", "shorter");
    REFUSED(desired, lutra_desired_record, "{\"state\":\"STOP\",\"state\":\"START\"}", "duplicate");
    REFUSED(desired, lutra_desired_record, "{\"state\":\"STOP\",\"at_ms\":1.5}", "whole number");
    REFUSED(control, lutra_control, "{\"state\":\"START\"}", "\"epoch\" is missing");
    REFUSED(control, lutra_control, "{\"state\":\"STOP\",\"epoch\":1}", "START or PAUSE");
    REFUSED(control, lutra_control, "{\"state\":\"START\",\"epoch\":-1}", "0 or above");
    REFUSED(control, lutra_control, "{\"state\":\"START\",\"epoch\":1,\"attempt\":4294967296}",
            "2^32");
    REFUSED(control, lutra_control, "{\"state\":\"START\",\"epoch\":99999999999999999999}",
            "too big");
    REFUSED(origin, lutra_origin,
            "{\"epoch\":1,\"nonce\":\"XYZ\",\"process_id\":0,\"position\":\"\"}", "16 hexadecimal");
    REFUSED(origin, lutra_origin, "{\"epoch\":1," NONCE "\"process_id\":0,\"position\":5}",
            "\"position\"");
    REFUSED(origin, lutra_origin, "{\"epoch\":1," NONCE "\"process_id\":0,\"position\":\"\"}",
            "\"config_version\"");
    REFUSED(owner, lutra_owner_record, "{\"instance\":\"i\"}", "\"session\" is missing");
    REFUSED(node, lutra_node_record, "{\"service\":\"select\"}", "\"instance\" is missing");
    REFUSED(position_record, lutra_position_record, "{\"epoch\":1,\"process_id\":1}",
            "\"position\"");
}
