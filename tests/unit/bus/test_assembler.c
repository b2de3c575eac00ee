#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/mem.h"
#include "bus/pipe.h"
#include "wire.h"

#define MAX_MESSAGE 2048
#define PART (MAX_MESSAGE - 1024)

static struct wire wire;
static struct lutra_assembler *assembler;
static struct lutra_envelope got;
static const uint8_t *payload;
static size_t payload_len;
static struct lutra_error err;

static void setup(void)
{
    wire_init(&wire, MAX_MESSAGE);
    assembler = lutra_assembler_new(1 << 20);
}

static void teardown(void)
{
    lutra_assembler_free(assembler);
    wire_fini(&wire);
}

TestSuite(assembler, .init = setup, .fini = teardown);

static int feed(size_t i)
{
    lutra_error_clear(&err);
    return lutra_assembler_feed(assembler, wire_get(&wire, i), &got, &payload, &payload_len, &err);
}

static size_t publish(uint64_t epoch, uint64_t process_id, const uint8_t *data, size_t len)
{
    struct lutra_envelope envelope = wire_envelope(epoch, process_id);

    return wire_publish(&wire, &envelope, data, len);
}

static void assert_payload(uint64_t process_id, const uint8_t *data, size_t len)
{
    cr_assert_eq(got.process_id, process_id);
    cr_assert_eq(payload_len, len);
    cr_assert_eq(memcmp(payload, data, len), 0);
}

Test(assembler, every_boundary_around_the_size_of_a_part)
{
    uint8_t *noise = wire_noise(4 * PART, 1);

    for (size_t len = 0; len <= 3 * PART + 1;
         len += len % PART > 1 && len % PART < PART - 2 ? PART - 2 - len % PART : 1) {
        size_t first = publish(1, len, noise, len);
        size_t parts = len <= PART ? 1 : (len + PART - 1) / PART;

        cr_assert_eq(wire.n - first, parts, "%zu bytes", len);
        for (size_t i = 0; i + 1 < parts; i++) {
            cr_assert_eq(feed(first + i), 0, "%s", err.msg);
            cr_assert_eq(lutra_assembler_first_offset(assembler), (int64_t)first);
        }
        cr_assert_eq(feed(wire.n - 1), 1, "%s", err.msg);
        assert_payload(len, noise, len);
        cr_assert_eq(lutra_assembler_first_offset(assembler), -1);
    }
    cr_assert_eq(lutra_assembler_dropped(assembler), 0);
    lutra_free(noise);
}

Test(assembler, compressed_payloads_in_parts)
{
    uint8_t *data = wire_noise(40000, 1);
    size_t first;

    memset(data + 10000, 'x', 20000); /* half of it compresses */
    first = publish(1, 5, data, 40000);
    cr_assert_gt(wire.n - first, 3);
    cr_assert_str_eq(lutra_bus_header_get(wire_get(&wire, first), "lutra-encoding"), "zstd");
    for (size_t i = first; i + 1 < wire.n; i++) {
        cr_assert_eq(feed(i), 0);
    }
    cr_assert_eq(feed(wire.n - 1), 1, "%s", err.msg);
    assert_payload(5, data, 40000);
    lutra_free(data);
}

Test(assembler, a_changed_byte_is_a_data_error_and_the_next_attempt_works)
{
    uint8_t *noise = wire_noise(5 * PART, 2);
    size_t first = publish(1, 1, noise, 5 * PART);
    size_t n = wire.n;

    ((uint8_t *)wire_get(&wire, first + 2)->payload)[17] ^= 1;
    for (size_t i = first; i + 1 < n; i++) {
        cr_assert_eq(feed(i), 0);
    }
    cr_assert_eq(feed(n - 1), -1);
    cr_assert_eq(err.class, LUTRA_DATA);
    cr_assert_not_null(strstr(err.msg, "hash"), "%s", err.msg);
    cr_assert_eq(lutra_assembler_first_offset(assembler), -1);

    first = publish(1, 1, noise, 5 * PART);
    for (size_t i = first; i + 1 < wire.n; i++) {
        cr_assert_eq(feed(i), 0);
    }
    cr_assert_eq(feed(wire.n - 1), 1);
    assert_payload(1, noise, 5 * PART);
    lutra_free(noise);
}

Test(assembler, attempts_of_one_process_that_interleave_give_one_of_them)
{
    uint8_t *noise = wire_noise(3 * PART, 2);
    size_t a = publish(1, 1, noise, 3 * PART);
    size_t b = publish(1, 1, noise, 3 * PART);

    cr_assert_eq(feed(a), 0);
    cr_assert_eq(feed(b), 0); /* drops a */
    cr_assert_eq(feed(a + 1), 0);
    cr_assert_eq(feed(b + 1), 0);
    cr_assert_eq(feed(a + 2), 0);
    cr_assert_eq(feed(b + 2), 1);
    assert_payload(1, noise, 3 * PART);
    cr_assert_eq(lutra_assembler_dropped(assembler), 1);
    lutra_free(noise);
}

Test(assembler, writers_of_different_processes_may_interleave)
{
    uint8_t *x = wire_noise(3 * PART, 2), *y = wire_noise(3 * PART, 3);
    size_t a = publish(1, 1, x, 3 * PART);
    size_t b = publish(1, 2, y, 3 * PART);
    size_t c = publish(1, 3, x, 10);

    cr_assert_eq(feed(a), 0);
    cr_assert_eq(feed(b), 0);
    cr_assert_eq(feed(a + 1), 0);
    cr_assert_eq(feed(c), 1);
    assert_payload(3, x, 10);
    cr_assert_eq(lutra_assembler_first_offset(assembler), (int64_t)a);
    cr_assert_eq(feed(a + 2), 1);
    assert_payload(1, x, 3 * PART);
    cr_assert_eq(lutra_assembler_first_offset(assembler), (int64_t)b);
    cr_assert_eq(feed(b + 1), 0);
    cr_assert_eq(feed(b + 2), 1);
    assert_payload(2, y, 3 * PART);
    cr_assert_eq(lutra_assembler_dropped(assembler), 0);
    lutra_free(x);
    lutra_free(y);
}

Test(assembler, a_higher_epoch_drops_what_was_collected_of_lower_ones)
{
    uint8_t *noise = wire_noise(3 * PART, 2);
    size_t a = publish(1, 1, noise, 3 * PART);
    size_t b = publish(2, 1, noise, 10);

    cr_assert_eq(feed(a), 0);
    cr_assert_eq(feed(b), 1);
    cr_assert_eq(got.epoch, 2);
    cr_assert_eq(lutra_assembler_first_offset(assembler), -1);
    cr_assert_eq(lutra_assembler_dropped(assembler), 1);
    cr_assert_eq(feed(a + 1), 0, "the rest of it is of no use");
    cr_assert_eq(feed(a + 2), 0);
    lutra_free(noise);
}

Test(assembler, chunks_delivered_twice_are_taken_once)
{
    uint8_t *noise = wire_noise(3 * PART, 2);
    size_t a = publish(1, 1, noise, 3 * PART);

    cr_assert_eq(feed(a), 0);
    cr_assert_eq(feed(a), 0);
    cr_assert_eq(feed(a + 1), 0);
    cr_assert_eq(feed(a), 0);
    cr_assert_eq(feed(a + 1), 0);
    cr_assert_eq(feed(a + 2), 1, "%s", err.msg);
    assert_payload(1, noise, 3 * PART);
    lutra_free(noise);
}

Test(assembler, a_hole_drops_the_attempt)
{
    uint8_t *noise = wire_noise(4 * PART, 2);
    size_t a = publish(1, 1, noise, 4 * PART);

    cr_assert_eq(feed(a), 0);
    cr_assert_eq(feed(a + 2), 0);
    cr_assert_eq(lutra_assembler_first_offset(assembler), -1);
    cr_assert_eq(feed(a + 3), 0);
    cr_assert_eq(lutra_assembler_dropped(assembler), 1);
    lutra_free(noise);
}

Test(assembler, reading_that_begins_in_the_middle_waits_for_a_whole_payload)
{
    uint8_t *noise = wire_noise(3 * PART, 2);
    size_t a = publish(1, 1, noise, 3 * PART);

    cr_assert_eq(feed(a + 1), 0);
    cr_assert_eq(feed(a + 2), 0);
    cr_assert_eq(lutra_assembler_first_offset(assembler), -1);
    lutra_free(noise);
}

Test(assembler, a_writer_that_died_on_the_way_does_not_hold_commits_for_ever)
{
    uint8_t *noise = wire_noise(3 * PART, 2);
    size_t a = publish(1, 1, noise, 3 * PART);
    size_t b = publish(1, 2, noise, 3);

    cr_assert_eq(feed(a), 0);
    for (int i = 0; i < 1024; i++) {
        cr_assert_eq(feed(b), 1);
        cr_assert_eq(lutra_assembler_first_offset(assembler), (int64_t)a);
    }
    cr_assert_eq(feed(b), 1);
    cr_assert_eq(lutra_assembler_first_offset(assembler), -1);
    lutra_free(noise);
}

Test(assembler, memory_stays_bounded_whatever_is_announced)
{
    uint8_t *noise = wire_noise(3 * PART, 2);

    lutra_assembler_free(assembler);
    assembler = lutra_assembler_new(2 * PART);
    /* One payload that is too large. */
    size_t a = publish(1, 1, noise, 3 * PART);
    cr_assert_eq(feed(a), 0);
    cr_assert_eq(feed(a + 1), 0);
    cr_assert_eq(feed(a + 2), -1);
    cr_assert_eq(err.class, LUTRA_DATA);
    cr_assert_eq(lutra_assembler_first_offset(assembler), -1);
    /* A whole one that is too large. */
    wire_fini(&wire);
    wire_init(&wire, 16384);
    a = publish(1, 2, noise, 2 * PART + 1);
    cr_assert_eq(feed(a), -1);
    cr_assert_eq(err.class, LUTRA_DATA);
    cr_assert_eq(feed(publish(1, 2, noise, 2 * PART)), 1);
    lutra_free(noise);
}

Test(assembler, many_unfinished_payloads_drop_the_oldest)
{
    uint8_t *noise = wire_noise(2 * PART, 2);
    size_t first[40];

    for (size_t i = 0; i < 40; i++) {
        first[i] = publish(1, i, noise, 2 * PART);
        cr_assert_eq(feed(first[i]), 0);
    }
    cr_assert_gt(lutra_assembler_first_offset(assembler), (int64_t)first[20]);
    cr_assert_eq(feed(first[0] + 1), 0);
    cr_assert_eq(feed(first[39] + 1), 1);
    assert_payload(39, noise, 2 * PART);
    lutra_assembler_reset(assembler);
    cr_assert_eq(lutra_assembler_first_offset(assembler), -1);
    lutra_free(noise);
}

static size_t make_zstd(const void *data, size_t len)
{
    static const char *const headers[] = {"lutra-format",
                                          "1",
                                          "lutra-epoch",
                                          "1",
                                          "lutra-nonce",
                                          "0123456789abcdef",
                                          "lutra-config",
                                          "1",
                                          "lutra-part",
                                          "1/1",
                                          "lutra-encoding",
                                          "zstd",
                                          NULL};

    return wire_make(&wire, "1", data, len, headers);
}

Test(assembler, what_is_no_zstd_frame_or_a_bomb_is_a_data_error)
{
    size_t bomb_len = (1 << 20) + 1;
    char *zeros = lutra_alloc(bomb_len);
    char frame[4096];
    size_t n;

    cr_assert_eq(feed(make_zstd("", 0)), -1);
    cr_assert_eq(err.class, LUTRA_DATA);
    cr_assert_eq(feed(make_zstd("garbage garbage", 15)), -1);
    cr_assert_eq(err.class, LUTRA_DATA);
    n = ZSTD_compress(frame, sizeof(frame), zeros, bomb_len, 1);
    cr_assert(!ZSTD_isError(n));
    cr_assert_eq(feed(make_zstd(frame, n)), -1, "decompresses to more than allowed");
    cr_assert_eq(err.class, LUTRA_DATA);
    n = ZSTD_compress(frame, sizeof(frame), zeros, bomb_len - 1, 1);
    cr_assert_eq(feed(make_zstd(frame, n)), 1, "%s", err.msg);
    for (size_t cut = 0; cut < n; cut++) {
        cr_assert_eq(feed(make_zstd(frame, cut)), -1, "a frame cut after %zu bytes", cut);
        cr_assert_eq(err.class, LUTRA_DATA);
    }
    frame[n / 2] ^= 0x55;
    if (feed(make_zstd(frame, n)) == -1) {
        cr_assert_eq(err.class, LUTRA_DATA);
    }
    lutra_free(zeros);
}
