#include "bus/pipe.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/mem.h"
#include "wire.h"

Test(pipe, names_topics_and_stages)
{
    char buf[80];

    cr_assert_str_eq(lutra_topic_name("orders", "extract", buf), "lutra.orders.extract");
    cr_assert_str_eq(lutra_topic_name("orders", "termin", buf), "lutra.orders.termin");
    cr_assert_str_eq(lutra_stage_name(LUTRA_STAGE_TRANSFORM), "transform");
}

Test(pipe, writes_the_headers_of_the_protocol)
{
    struct wire wire;
    struct lutra_envelope envelope = wire_envelope(7, 42);
    const struct lutra_bus_message *m;

    wire_init(&wire, 0);
    envelope.ts_us[LUTRA_STAGE_EXTRACT] = 1700000000000999;
    m = wire_get(&wire, wire_publish(&wire, &envelope, "hello", 5));
    cr_assert_str_eq(m->key, "42");
    cr_assert_str_eq(lutra_bus_header_get(m, "lutra-format"), "1");
    cr_assert_str_eq(lutra_bus_header_get(m, "lutra-epoch"), "7");
    cr_assert_str_eq(lutra_bus_header_get(m, "lutra-nonce"), "0123456789abcdef");
    cr_assert_str_eq(lutra_bus_header_get(m, "lutra-config"), "3");
    cr_assert_str_eq(lutra_bus_header_get(m, "lutra-part"), "1/1");
    cr_assert_str_eq(lutra_bus_header_get(m, "lutra-ts-select"), "1700000000000001");
    cr_assert_str_eq(lutra_bus_header_get(m, "lutra-ts-extract"), "1700000000000999");
    cr_assert_null(lutra_bus_header_get(m, "lutra-ts-load"));
    cr_assert_null(lutra_bus_header_get(m, "lutra-encoding"));
    cr_assert_null(lutra_bus_header_get(m, "lutra-attempt"));
    cr_assert_null(lutra_bus_header_get(m, "lutra-hash"));
    cr_assert_eq(m->payload_len, 5);
    wire_fini(&wire);
}

Test(pipe, envelope_survives_with_extreme_values)
{
    struct wire wire;
    struct lutra_envelope in = {.epoch = UINT64_MAX,
                                .nonce = "ffffffffffffffff",
                                .process_id = UINT64_MAX,
                                .config_version = UINT64_MAX,
                                .ts_us = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}};
    struct lutra_envelope out;
    struct lutra_error err;
    uint8_t *noise = wire_noise(5000, 1);

    /* Just above what fits: the longest headers go out with parts of full size. */
    wire_init(&wire, 2048);
    wire_publish(&wire, &in, noise, 5000);
    cr_assert_eq(wire.failed_acks, 0);
    for (size_t i = 0; i < wire.n; i++) {
        cr_assert_eq(lutra_envelope_parse(wire_get(&wire, i), &out, &err), 0, "%s", err.msg);
        cr_assert_eq(out.epoch, in.epoch);
        cr_assert_eq(out.process_id, in.process_id);
        cr_assert_eq(out.config_version, in.config_version);
        cr_assert_str_eq(out.nonce, in.nonce);
        cr_assert_arr_eq(out.ts_us, in.ts_us, sizeof(in.ts_us));
    }
    lutra_free(noise);
    wire_fini(&wire);
}

Test(pipe, compresses_above_the_threshold_only)
{
    struct wire wire;
    struct lutra_envelope envelope = wire_envelope(1, 1);
    char *zeros = lutra_alloc(LUTRA_PIPE_COMPRESS_ABOVE_BYTES + 1);
    uint8_t *noise = wire_noise(LUTRA_PIPE_COMPRESS_ABOVE_BYTES * 2, 9);
    size_t i;

    wire_init(&wire, 0);
    i = wire_publish(&wire, &envelope, zeros, LUTRA_PIPE_COMPRESS_ABOVE_BYTES);
    cr_assert_null(lutra_bus_header_get(wire_get(&wire, i), "lutra-encoding"));
    i = wire_publish(&wire, &envelope, zeros, LUTRA_PIPE_COMPRESS_ABOVE_BYTES + 1);
    cr_assert_str_eq(lutra_bus_header_get(wire_get(&wire, i), "lutra-encoding"), "zstd");
    cr_assert_lt(wire_get(&wire, i)->payload_len, 100);
    i = wire_publish(&wire, &envelope, noise, LUTRA_PIPE_COMPRESS_ABOVE_BYTES * 2);
    cr_assert_null(lutra_bus_header_get(wire_get(&wire, i), "lutra-encoding"),
                   "what does not get smaller travels as it is");
    lutra_free(zeros);
    lutra_free(noise);
    wire_fini(&wire);
}

/* Every malformed header is DATA, and the message says which header and where. */
Test(pipe, malformed_headers_are_data_errors_that_name_them)
{
    static const struct {
        const char *name, *value; /* NULL: the header is missing */
    } cases[] = {
        {"lutra-format", NULL},
        {"lutra-format", "2"},
        {"lutra-format", ""},
        {"lutra-format", "01"},
        {"lutra-epoch", NULL},
        {"lutra-epoch", ""},
        {"lutra-epoch", "-1"},
        {"lutra-epoch", "+1"},
        {"lutra-epoch", " 1"},
        {"lutra-epoch", "1 "},
        {"lutra-epoch", "0x1"},
        {"lutra-epoch", "18446744073709551616"},
        {"lutra-epoch", "99999999999999999999999999999999999999999999999999999999999999999999"},
        {"lutra-nonce", NULL},
        {"lutra-nonce", ""},
        {"lutra-nonce", "0123456789abcde"},
        {"lutra-nonce", "0123456789abcdef0"},
        {"lutra-nonce", "0123456789abcdeg"},
        {"lutra-nonce", "0123456789ABCDEF"},
        {"lutra-config", NULL},
        {"lutra-config", "one"},
        {"lutra-part", NULL},
        {"lutra-part", ""},
        {"lutra-part", "1"},
        {"lutra-part", "1/"},
        {"lutra-part", "/1"},
        {"lutra-part", "0/1"},
        {"lutra-part", "2/1"},
        {"lutra-part", "1/0"},
        {"lutra-part", "1/1/1"},
        {"lutra-part", "1/99999999"},
        {"lutra-part", "1/18446744073709551617"},
        {"lutra-part", "-1/1"},
        {"lutra-part", "1/2"}, /* without attempt and hash */
        {"lutra-encoding", "gzip"},
        {"lutra-encoding", ""},
        {"lutra-ts-select", ""},
        {"lutra-ts-select", "yesterday"},
        {"lutra-ts-select", "9223372036854775808"},
        {"lutra-ts-load", "-1"},
        {"lutra-ts-load", "1\n2\x1b[31m"},
    };
    struct wire wire;
    struct lutra_envelope envelope = wire_envelope(1, 1);
    struct lutra_error err;

    wire_init(&wire, 0);
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        size_t i = wire_publish(&wire, &envelope, "x", 1);
        const char *named = strcmp(cases[c].name, "lutra-part") == 0 && cases[c].value &&
                                    strcmp(cases[c].value, "1/2") == 0
                                ? "lutra-attempt"
                                : cases[c].name;

        wire_set_header(&wire, i, cases[c].name, cases[c].value);
        lutra_error_clear(&err);
        cr_assert_eq(lutra_envelope_parse(wire_get(&wire, i), &envelope, &err), -1, "%s=%s",
                     cases[c].name, cases[c].value ? cases[c].value : "(absent)");
        cr_assert_eq(err.class, LUTRA_DATA);
        cr_assert_not_null(strstr(err.msg, named), "%s", err.msg);
        cr_assert_not_null(strstr(err.msg, "t, partition 0, offset"), "%s", err.msg);
        for (const char *p = err.msg; *p; p++) {
            cr_assert(*p >= ' ' && *p < 0x7f, "unprintable byte in \"%s\"", err.msg);
        }
        envelope = wire_envelope(1, 1);
    }
    wire_fini(&wire);
}

Test(pipe, malformed_attempt_and_hash_are_data_errors)
{
    static const char *const values[] = {NULL, "", "xyz", "12345678901234567", "-1"};
    struct wire wire;
    struct lutra_envelope envelope = wire_envelope(1, 1);
    struct lutra_error err;
    uint8_t *noise = wire_noise(9000, 3);

    wire_init(&wire, 4096);
    for (size_t v = 0; v < 5; v++) {
        size_t i = wire_publish(&wire, &envelope, noise, 9000);

        wire_set_header(&wire, i, "lutra-attempt", values[v]);
        cr_assert_eq(lutra_envelope_parse(wire_get(&wire, i), &envelope, &err), -1);
        cr_assert_eq(err.class, LUTRA_DATA);
        wire_set_header(&wire, i + 1, "lutra-hash", values[v]);
        cr_assert_eq(lutra_envelope_parse(wire_get(&wire, i + 1), &envelope, &err), -1);
        cr_assert_eq(err.class, LUTRA_DATA);
        envelope = wire_envelope(1, 1);
    }
    lutra_free(noise);
    wire_fini(&wire);
}

Test(pipe, malformed_keys_are_data_errors)
{
    static const char *const keys[] = {"",
                                       "-1",
                                       "x",
                                       "1x",
                                       " 1",
                                       "18446744073709551616",
                                       "111111111111111111111111111111111111111111111111"};
    static const char *const headers[] = {
        "lutra-format", "1", "lutra-epoch", "1",   "lutra-nonce", "0123456789abcdef",
        "lutra-config", "1", "lutra-part",  "1/1", NULL};
    struct wire wire;
    struct lutra_envelope envelope;
    struct lutra_error err;
    struct lutra_bus_message m;

    wire_init(&wire, 0);
    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        size_t i = wire_make(&wire, keys[k], "", 0, headers);

        cr_assert_eq(lutra_envelope_parse(wire_get(&wire, i), &envelope, &err), -1, "%s", keys[k]);
        cr_assert_eq(err.class, LUTRA_DATA);
    }
    m = *wire_get(&wire, wire_make(&wire, "1", "", 0, headers));
    cr_assert_eq(lutra_envelope_parse(&m, &envelope, &err), 0, "%s", err.msg);
    m.key = NULL;
    m.key_len = 0;
    cr_assert_eq(lutra_envelope_parse(&m, &envelope, &err), -1);
    m.key = "1\0"
            "2";
    m.key_len = 3;
    cr_assert_eq(lutra_envelope_parse(&m, &envelope, &err), -1, "a NUL inside the key");
    m.n_headers = 0;
    m.headers = NULL;
    cr_assert_eq(lutra_envelope_parse(&m, &envelope, &err), -1);
    wire_fini(&wire);
}

struct acks {
    unsigned n, failed;
};

static void count_ack(const struct lutra_error *err, void *arg)
{
    struct acks *acks = arg;

    acks->n++;
    acks->failed += err != NULL;
}

Test(pipe, one_ack_for_all_parts_and_the_first_error_wins)
{
    struct wire wire;
    struct lutra_envelope envelope = wire_envelope(1, 1);
    struct lutra_mem_broker_faults faults = {.lose_ack_percent = 50};
    uint8_t *noise = wire_noise(60000, 3);
    struct acks acks = {0};
    struct lutra_error err;

    wire_init(&wire, 4096);
    lutra_mem_broker_set_faults(wire.broker, &faults);
    cr_assert_eq(
        lutra_pipe_publish(wire.bus, "t", 0, &envelope, noise, 60000, count_ack, &acks, &err), 0);
    cr_assert_eq(acks.n, 0, "never from within the call");
    lutra_loop_run_for(wire.loop, 1000);
    cr_assert_eq(acks.n, 1);
    cr_assert_eq(acks.failed, 1);
    lutra_free(noise);
    wire_fini(&wire);
}

Test(pipe, forgotten_acks_are_not_called)
{
    struct wire wire;
    struct lutra_envelope envelope = wire_envelope(1, 1);
    uint8_t *noise = wire_noise(60000, 3);
    struct acks acks = {0}, other = {0};
    struct lutra_error err;

    wire_init(&wire, 4096);
    cr_assert_eq(
        lutra_pipe_publish(wire.bus, "t", 0, &envelope, noise, 60000, count_ack, &acks, &err), 0);
    cr_assert_eq(lutra_pipe_publish(wire.bus, "t", 0, &envelope, noise, 10, count_ack, &acks, &err),
                 0);
    cr_assert_eq(
        lutra_pipe_publish(wire.bus, "t", 0, &envelope, noise, 60000, count_ack, &other, &err), 0);
    lutra_pipe_forget(wire.bus, &acks);
    lutra_loop_run_for(wire.loop, 1000);
    cr_assert_eq(acks.n, 0);
    cr_assert_eq(other.n, 1);
    lutra_free(noise);
    wire_fini(&wire);
}

Test(pipe, bus_freed_with_parts_under_way_leaks_nothing_and_calls_nobody)
{
    struct wire wire;
    struct lutra_envelope envelope = wire_envelope(1, 1);
    uint8_t *noise = wire_noise(60000, 3);
    struct acks acks = {0};
    struct lutra_error err;

    wire_init(&wire, 4096);
    cr_assert_eq(
        lutra_pipe_publish(wire.bus, "t", 0, &envelope, noise, 60000, count_ack, &acks, &err), 0);
    lutra_free(noise);
    wire_fini(&wire);
    cr_assert_eq(acks.n, 0);
}
