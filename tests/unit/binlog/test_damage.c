/* Damaged input gives errors, never crashes (run under the address and undefined-behaviour
 * sanitizers) and never silent nonsense: whatever a checksum covers is noticed. Deterministic. */
#include <criterion/criterion.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "binlog/packet.h"
#include "sample.h"

static uint64_t state;
static uint32_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static int walk_bytes(const uint8_t *data, size_t len, struct lutra_error *err)
{
    struct walk walk;
    walk_init(&walk);
    int rc = walk_file(&walk, data, len, err);
    walk_fini(&walk);
    return rc;
}

static uint32_t size_of(const uint8_t *event)
{
    struct lutra_cur cur = lutra_cur_of(event + 9, 4);
    return (uint32_t)lutra_cur_le(&cur, 4);
}

/* Start of an event chosen at random, so that small files' heads are hit as often as their rows. */
static size_t random_event(const uint8_t *data, size_t len, uint32_t *size)
{
    size_t starts[4096], n = 0;
    for (size_t at = 4; at + 19 <= len && n < 4096; at += size_of(data + at)) {
        starts[n++] = at;
        if (size_of(data + at) < 19) {
            break;
        }
    }
    size_t at = starts[next_random() % n];
    *size = size_of(data + at);
    return at;
}

static void damage(uint8_t *data, size_t len, bool keep_lengths)
{
    static const uint8_t nasty[] = {0, 1, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff};
    uint32_t size;
    size_t event = random_event(data, len, &size);
    for (unsigned i = 1 + next_random() % 4; i > 0; i--) {
        size_t at = next_random() % size;
        if (keep_lengths && at >= 9 && at < 13) {
            continue;
        }
        switch (next_random() % 3) {
        case 0:
            data[event + at] ^= (uint8_t)(1u << next_random() % 8);
            break;
        case 1:
            data[event + at] = nasty[next_random() % sizeof(nasty)];
            break;
        default:
            data[event + at] = (uint8_t)next_random();
            break;
        }
    }
}

Test(damage, flipped_bits_are_noticed_by_the_checksum)
{
    struct lutra_buf file = {0};
    state = 1;
    for (size_t i = 0; sample_names[i]; i++) {
        if (strstr(sample_names[i], "nochecksum") || strstr(sample_names[i], "oldtemporal") ||
            strstr(sample_names[i], "partial")) {
            continue;
        }
        for (unsigned round = 0; round < 5; round++) {
            sample_load(sample_names[i], &file);
            file.data[4 + next_random() % (file.len - 4)] ^= (uint8_t)(1u << next_random() % 8);
            struct lutra_error err = {0};
            cr_expect_eq(walk_bytes(file.data, file.len, &err), -1, "%s", sample_names[i]);
            cr_expect(err.class == LUTRA_DATA || err.class == LUTRA_CONFIG);
        }
    }
    lutra_buf_fini(&file);
}

Test(damage, what_gets_past_the_checksum_is_survived, .timeout = 300)
{
    struct lutra_buf file = {0};
    unsigned errors = 0, rounds = 0;
    state = 2;
    for (size_t i = 0; sample_names[i]; i++) {
        sample_load(sample_names[i], &file);
        uint8_t *copy = lutra_alloc(file.len);
        bool checksums = !strstr(sample_names[i], "nochecksum");
        for (unsigned round = 0; round < (file.len < 30000 ? 150 : 40); round++) {
            memcpy(copy, file.data, file.len);
            damage(copy, file.len, next_random() % 8 != 0);
            if (checksums) {
                walk_repair_checksums(copy, file.len);
            }
            struct lutra_error err = {0};
            rounds++;
            if (walk_bytes(copy, file.len, &err)) {
                errors++;
                cr_assert(err.class == LUTRA_DATA || err.class == LUTRA_CONFIG, "%s", err.msg);
                cr_assert_neq(err.msg[0], '\0');
            }
        }
        lutra_free(copy);
    }
    /* Much of it must have been noticed, or the damage does not reach the parsers. */
    cr_expect_gt(errors, rounds / 4);
    lutra_buf_fini(&file);
}

Test(damage, every_truncation_of_every_event_is_an_error)
{
    static const char *const names[] = {"mariadb1011-10-xa", "mysql97-10-xa",
                                        "mysql97-08-partial-json-minimal"};
    struct lutra_buf file = {0};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        sample_load(names[i], &file);
        for (size_t len = 0; len < file.len; len++) {
            /* From an allocation of just that size: a read beyond it is seen. */
            uint8_t *copy = lutra_alloc(len ? len : 1);
            struct walk walk;
            memcpy(copy, file.data, len);
            walk_init(&walk);
            int rc = walk_file(&walk, copy, len, NULL);
            /* Only a cut between two events can look like a shorter file. */
            bool boundary = false;
            for (size_t at = 4; at <= len; at += size_of(file.data + at)) {
                boundary = boundary || at == len;
                if (at == len) {
                    break;
                }
            }
            cr_assert(rc == -1 || boundary, "%s cut to %zu", names[i], len);
            walk_fini(&walk);
            lutra_free(copy);
        }
    }
    lutra_buf_fini(&file);
}

/* The bodies of events, shortened, with length and checksum made right again. */
Test(damage, shortened_bodies_are_survived)
{
    static const char *const names[] = {"mariadb1011-02-metafull", "mariadb1011-07-compressed",
                                        "mysql97-06-compressed",   "mysql97-09-gtid-tagged",
                                        "mysql97-10-xa",           "mariadb1011-10-xa"};
    struct lutra_buf file = {0};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        sample_load(names[i], &file);
        struct walk walk;
        walk_init(&walk);
        for (size_t at = 4; at < file.len; at += size_of(file.data + at)) {
            uint32_t size = size_of(file.data + at);
            uint8_t code = file.data[at + 4];
            if (code != LUTRA_EVENT_FORMAT_DESCRIPTION) {
                uint32_t step = size > 400 ? size / 61 : 1;
                for (uint32_t cut = 1; cut <= size - 23; cut += step) {
                    uint32_t len = size - cut;
                    uint8_t *copy = lutra_alloc(len);
                    memcpy(copy, file.data + at, len - 4);
                    for (unsigned b = 0; b < 4; b++) {
                        copy[9 + b] = (uint8_t)(len >> 8 * b);
                    }
                    uLong crc = crc32(0, copy, len - 4);
                    for (unsigned b = 0; b < 4; b++) {
                        copy[len - 4 + b] = (uint8_t)(crc >> 8 * b);
                    }
                    struct lutra_error err = {0};
                    struct lutra_binlog_format format = walk.format;
                    int rc = walk_event(&walk, copy, len, &err);
                    walk.format = format;
                    bool whole =
                        code == LUTRA_EVENT_XID || code == LUTRA_EVENT_XA_PREPARE ||
                        code == LUTRA_EVENT_GTID_LIST || code == LUTRA_EVENT_PREVIOUS_GTIDS ||
                        code == LUTRA_EVENT_TRANSACTION_PAYLOAD || code == LUTRA_EVENT_GTID_TAGGED;
                    cr_assert(rc == -1 || !whole, "%s %s cut by %u was accepted", names[i],
                              lutra_event_name(code), cut);
                    lutra_free(copy);
                }
            }
            struct lutra_error err = {0};
            cr_assert_eq(walk_event(&walk, file.data + at, size, &err), 0, "%s", err.msg);
        }
        walk_fini(&walk);
    }
    lutra_buf_fini(&file);
}

Test(damage, packets_of_random_bytes_are_survived)
{
    state = 3;
    for (unsigned round = 0; round < 300; round++) {
        struct lutra_packets packets;
        struct lutra_packet packet;
        struct lutra_error err = {0};
        lutra_packets_init(&packets, 100000);
        int rc = 0;
        for (unsigned i = 0; i < 50 && rc >= 0; i++) {
            uint8_t bytes[64];
            size_t n = next_random() % sizeof(bytes);
            for (size_t k = 0; k < n; k++) {
                bytes[k] = next_random() % 3 ? 0 : (uint8_t)next_random();
            }
            lutra_packets_feed(&packets, bytes, n);
            while ((rc = lutra_packets_next(&packets, &packet, &err)) == 1) {
            }
        }
        cr_expect_leq(lutra_packets_held_bytes(&packets), 1 << 20);
        lutra_packets_fini(&packets);
    }
}
