#include "binlog/packet.h"

#include <stdio.h>
#include <string.h>

enum { HEADER_BYTES = 4, FULL_PACKET = 0xFFFFFF, EOF_MAX_BYTES = 8 };
enum { STATUS_EVENT = 0x00, STATUS_EOF = 0xFE, STATUS_ERROR = 0xFF };
/* A buffer that grew for a large event goes back to the allocator when it is no longer needed. */
enum { KEEP_BYTES = 1 << 20 };

void lutra_packets_init(struct lutra_packets *packets, size_t max_event_bytes)
{
    *packets = (struct lutra_packets){.max_event_bytes = max_event_bytes};
}

void lutra_packets_fini(struct lutra_packets *packets)
{
    lutra_buf_fini(&packets->in);
    lutra_buf_fini(&packets->joined);
}

void lutra_packets_reset(struct lutra_packets *packets)
{
    size_t max_event_bytes = packets->max_event_bytes;
    lutra_packets_fini(packets);
    lutra_packets_init(packets, max_event_bytes);
}

static void release(struct lutra_buf *buf)
{
    if (buf->cap > KEEP_BYTES) {
        lutra_buf_fini(buf);
    } else {
        lutra_buf_clear(buf);
    }
}

/* The joined event was handed out by the last call and is no longer borrowed. */
static void forget_joined(struct lutra_packets *packets)
{
    if (packets->hand_joined) {
        release(&packets->joined);
        packets->hand_joined = false;
    }
}

uint8_t *lutra_packets_room(struct lutra_packets *packets, size_t want, size_t *space)
{
    struct lutra_buf *in = &packets->in;
    forget_joined(packets);
    if (packets->done == in->len) {
        release(in);
        packets->done = 0;
    } else if (packets->done > 0 && in->cap - in->len < want) {
        lutra_buf_drop_front(in, packets->done);
        packets->done = 0;
    }
    lutra_buf_reserve(in, want);
    *space = in->cap - in->len;
    return in->data + in->len;
}

void lutra_packets_filled(struct lutra_packets *packets, size_t n_bytes)
{
    LUTRA_ASSERT(n_bytes <= packets->in.cap - packets->in.len);
    packets->in.len += n_bytes;
}

void lutra_packets_feed(struct lutra_packets *packets, const void *data, size_t len)
{
    size_t space;
    if (len == 0) {
        return;
    }
    memcpy(lutra_packets_room(packets, len, &space), data, len);
    lutra_packets_filled(packets, len);
}

size_t lutra_packets_held_bytes(const struct lutra_packets *packets)
{
    return packets->in.cap + packets->joined.cap;
}

static void read_error(struct lutra_packet *packet, const uint8_t *p, size_t len)
{
    struct lutra_cur cur = lutra_cur_of(p + 1, len - 1);
    packet->kind = LUTRA_PACKET_ERROR;
    packet->code = (int)lutra_cur_le(&cur, 2);
    if (lutra_cur_left(&cur) >= 6 && *cur.p == '#') {
        memcpy(packet->sqlstate, cur.p + 1, 5);
        cur.p += 6;
    }
    snprintf(packet->message, sizeof(packet->message), "%.*s", (int)lutra_cur_left(&cur),
             (const char *)cur.p);
}

/* A whole payload, status byte first. */
static int
read_payload(const uint8_t *p, size_t len, struct lutra_packet *packet, struct lutra_error *err)
{
    if (len == 0) {
        return lutra_error_set(err, LUTRA_DATA, 0, "replication stream: empty packet");
    }
    *packet = (struct lutra_packet){.kind = LUTRA_PACKET_EVENT};
    switch (p[0]) {
    case STATUS_EVENT:
        packet->data = p + 1;
        packet->len = len - 1;
        return 1;
    case STATUS_EOF:
        if (len <= EOF_MAX_BYTES) {
            packet->kind = LUTRA_PACKET_EOF;
            return 1;
        }
        break;
    case STATUS_ERROR:
        read_error(packet, p, len);
        return 1;
    default:
        break;
    }
    return lutra_error_set(
        err, LUTRA_DATA, 0,
        "replication stream: unknown status byte 0x%02x in a packet of %zu bytes", p[0], len);
}

static int
check_header(struct lutra_packets *packets, size_t len, uint8_t sequence, struct lutra_error *err)
{
    size_t total = len + (packets->joining ? packets->joined.len : 0);
    if (packets->started && sequence != packets->sequence) {
        return lutra_error_set(err, LUTRA_DATA, 0,
                               "replication stream: packet %u came where %u was expected", sequence,
                               packets->sequence);
    }
    if (total > packets->max_event_bytes && total - 1 > packets->max_event_bytes) {
        return lutra_error_set(
            err, LUTRA_DATA, 0,
            "replication stream: an event of %s%zu bytes is above the bound of %zu",
            len == FULL_PACKET ? "at least " : "", total - 1, packets->max_event_bytes);
    }
    return 0;
}

int lutra_packets_next(struct lutra_packets *packets,
                       struct lutra_packet *packet,
                       struct lutra_error *err)
{
    forget_joined(packets);
    for (;;) {
        struct lutra_cur cur =
            lutra_cur_of(packets->in.data ? packets->in.data + packets->done : NULL,
                         packets->in.len - packets->done);
        if (lutra_cur_left(&cur) < HEADER_BYTES) {
            return 0;
        }
        size_t len = (size_t)lutra_cur_le(&cur, 3);
        uint8_t sequence = lutra_cur_u8(&cur);
        /* Checked before the bytes are there: a lying length must not make the buffer grow. */
        if (check_header(packets, len, sequence, err)) {
            return -1;
        }
        if (lutra_cur_left(&cur) < len) {
            return 0;
        }
        packets->started = true;
        packets->sequence = (uint8_t)(sequence + 1);
        packets->done += HEADER_BYTES + len;
        if (!packets->joining && len < FULL_PACKET) {
            return read_payload(cur.p, len, packet, err);
        }
        packets->joining = true;
        lutra_buf_append(&packets->joined, cur.p, len);
        if (len < FULL_PACKET) {
            packets->joining = false;
            packets->hand_joined = true;
            return read_payload(packets->joined.data, packets->joined.len, packet, err);
        }
    }
}
