#include <criterion/criterion.h>
#include <string.h>

#include "binlog/packet.h"

enum { BOUND = 40 << 20 };

/* Appends a packet as a server would write it. */
static void add_packet(struct lutra_buf *wire, uint8_t sequence, const void *payload, size_t len)
{
    lutra_buf_put_le(wire, len, 3);
    lutra_buf_put_u8(wire, sequence);
    lutra_buf_append(wire, payload, len);
}

/* A status byte 0 and an event of so many bytes, over as many packets as that takes. */
static void add_event(struct lutra_buf *wire, uint8_t *sequence, size_t event_len, uint8_t fill)
{
    struct lutra_buf payload = {0};
    lutra_buf_put_u8(&payload, 0);
    lutra_buf_reserve(&payload, event_len);
    memset(payload.data + 1, fill, event_len);
    payload.len += event_len;
    size_t done = 0, n;
    do {
        n = payload.len - done < 0xFFFFFF ? payload.len - done : 0xFFFFFF;
        add_packet(wire, (*sequence)++, payload.data + done, n);
        done += n;
    } while (n == 0xFFFFFF);
    lutra_buf_fini(&payload);
}

static void expect_event(struct lutra_packets *packets, size_t len, uint8_t fill)
{
    struct lutra_packet packet;
    struct lutra_error err = {0};
    cr_assert_eq(lutra_packets_next(packets, &packet, &err), 1, "%s", err.msg);
    cr_assert_eq(packet.kind, LUTRA_PACKET_EVENT);
    cr_assert_eq(packet.len, len);
    for (size_t i = 0; i < len; i++) {
        cr_assert_eq(packet.data[i], fill);
    }
}

Test(packet, events_come_out_whole_however_the_bytes_arrive)
{
    static const size_t pieces[] = {1, 2, 3, 5, 7, 100, 4096, 1 << 20};
    struct lutra_buf wire = {0};
    uint8_t sequence = 250; /* wraps on the way */
    for (uint8_t i = 0; i < 20; i++) {
        add_event(&wire, &sequence, 19 + (size_t)i * i * 3, i);
    }
    for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
        struct lutra_packets packets;
        struct lutra_packet packet;
        lutra_packets_init(&packets, BOUND);
        uint8_t next = 0;
        for (size_t at = 0; at < wire.len; at += pieces[k]) {
            size_t n = wire.len - at < pieces[k] ? wire.len - at : pieces[k];
            lutra_packets_feed(&packets, wire.data + at, n);
            int rc;
            while ((rc = lutra_packets_next(&packets, &packet, NULL)) == 1) {
                cr_assert_eq(packet.len, 19 + (size_t)next * next * 3);
                cr_assert_eq(packet.data[0], next);
                cr_assert_eq(packet.data[packet.len - 1], next);
                next++;
            }
            cr_assert_eq(rc, 0);
        }
        cr_expect_eq(next, 20);
        lutra_packets_fini(&packets);
    }
    lutra_buf_fini(&wire);
}

Test(packet, an_event_in_one_packet_is_not_copied)
{
    struct lutra_packets packets;
    struct lutra_packet packet;
    struct lutra_buf wire = {0};
    uint8_t sequence = 1;
    size_t space;
    add_event(&wire, &sequence, 100, 7);
    lutra_packets_init(&packets, BOUND);
    uint8_t *room = lutra_packets_room(&packets, wire.len, &space);
    cr_assert_geq(space, wire.len);
    memcpy(room, wire.data, wire.len);
    lutra_packets_filled(&packets, wire.len);
    cr_assert_eq(lutra_packets_next(&packets, &packet, NULL), 1);
    cr_expect_eq(packet.data, room + 5);
    lutra_packets_fini(&packets);
    lutra_buf_fini(&wire);
}

Test(packet, events_above_16_mib_are_joined_and_their_memory_is_given_back)
{
    static const size_t lengths[] = {0xFFFFFE - 1, 0xFFFFFF - 1, 0xFFFFFF, 20 << 20,
                                     2 * 0xFFFFFF - 1};
    struct lutra_packets packets;
    uint8_t sequence = 1;
    lutra_packets_init(&packets, BOUND);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct lutra_buf wire = {0};
        add_event(&wire, &sequence, lengths[i], (uint8_t)(i + 1));
        add_event(&wire, &sequence, 30, 99);
        lutra_packets_feed(&packets, wire.data, wire.len);
        expect_event(&packets, lengths[i], (uint8_t)(i + 1));
        expect_event(&packets, 30, 99);
        lutra_buf_fini(&wire);
    }
    struct lutra_packet packet;
    size_t space;
    cr_expect_eq(lutra_packets_next(&packets, &packet, NULL), 0);
    (void)lutra_packets_room(&packets, 1024, &space);
    cr_expect_leq(lutra_packets_held_bytes(&packets), 2 << 20);
    lutra_packets_fini(&packets);
}

Test(packet, an_event_above_the_bound_is_refused_before_its_bytes_come)
{
    struct lutra_packets packets;
    struct lutra_packet packet;
    struct lutra_error err = {0};
    lutra_packets_init(&packets, 1000);
    lutra_packets_feed(&packets, "\xea\x03\x00\x01", 4); /* 1002: an event of 1001 bytes */
    cr_expect_eq(lutra_packets_next(&packets, &packet, &err), -1);
    cr_expect_eq(err.class, LUTRA_DATA);

    lutra_packets_reset(&packets);
    lutra_packets_feed(&packets, "\xe9\x03\x00\x01", 4); /* 1001: 1000 and the status byte */
    cr_expect_eq(lutra_packets_next(&packets, &packet, &err), 0);
    lutra_packets_fini(&packets);

    /* Also when only the sum of the packets exceeds it. */
    struct lutra_buf wire = {0};
    uint8_t sequence = 1;
    add_event(&wire, &sequence, 17 << 20, 1);
    lutra_packets_init(&packets, (17 << 20) - 1);
    lutra_packets_feed(&packets, wire.data, wire.len);
    cr_expect_eq(lutra_packets_next(&packets, &packet, &err), -1);
    lutra_packets_fini(&packets);
    lutra_buf_fini(&wire);
}

Test(packet, eof_and_errors_of_the_server)
{
    struct lutra_packets packets;
    struct lutra_packet packet;
    struct lutra_buf wire = {0};
    add_packet(&wire, 1, "\xff\xd4\x04#HY000Could not find first log file", 38);
    add_packet(&wire, 2, "\xff\xd4\x04old form", 11);
    add_packet(&wire, 3, "\xfe\x00\x00\x02\x00", 5);
    lutra_packets_init(&packets, BOUND);
    lutra_packets_feed(&packets, wire.data, wire.len);
    cr_assert_eq(lutra_packets_next(&packets, &packet, NULL), 1);
    cr_expect_eq(packet.kind, LUTRA_PACKET_ERROR);
    cr_expect_eq(packet.code, 1236);
    cr_expect_str_eq(packet.sqlstate, "HY000");
    cr_expect_str_eq(packet.message, "Could not find first log file");
    cr_assert_eq(lutra_packets_next(&packets, &packet, NULL), 1);
    cr_expect_str_eq(packet.sqlstate, "");
    cr_expect_str_eq(packet.message, "old form");
    cr_assert_eq(lutra_packets_next(&packets, &packet, NULL), 1);
    cr_expect_eq(packet.kind, LUTRA_PACKET_EOF);
    cr_expect_eq(lutra_packets_next(&packets, &packet, NULL), 0);
    lutra_packets_fini(&packets);
    lutra_buf_fini(&wire);
}

Test(packet, disorder_empty_packets_and_unknown_status_bytes_are_errors)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x01\x00\x00\x01\x00\x01\x00\x00\x03\x00", 10}, /* 1, then 3 */
        {"\x00\x00\x00\x01", 4},
        {"\x01\x00\x00\x01\x42", 5},
        {"\x09\x00\x00\x01\xfe\x00\x00\x00\x00\x00\x00\x00\x00", 13}, /* too long for EOF */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lutra_packets packets;
        struct lutra_packet packet;
        struct lutra_error err = {0};
        lutra_packets_init(&packets, BOUND);
        lutra_packets_feed(&packets, cases[i].bytes, cases[i].len);
        int rc;
        while ((rc = lutra_packets_next(&packets, &packet, &err)) == 1) {
        }
        cr_expect_eq(rc, -1, "case %zu", i);
        cr_expect_eq(err.class, LUTRA_DATA);
        lutra_packets_fini(&packets);
    }
}
