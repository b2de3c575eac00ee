/* Packets of a replication stream: bytes in, events out. After COM_BINLOG_DUMP the server sends
 * packets of a 3-byte length, a sequence number and a payload, whose first byte says event, EOF or
 * error; an event of 16 MiB or more spans packets of length 0xFFFFFF. No I/O here: the caller reads
 * the socket.
 *
 *   room = lutra_packets_room(&packets, 65536, &space);  n = read(fd, room, space);
 *   lutra_packets_filled(&packets, n);
 *   while ((rc = lutra_packets_next(&packets, &packet, &err)) == 1) { ... }
 */
#ifndef LUTRA_BINLOG_PACKET_H
#define LUTRA_BINLOG_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum lutra_packet_kind {
    LUTRA_PACKET_EVENT,
    LUTRA_PACKET_EOF,   /* the server has nothing more (non-blocking dump) or is shutting down */
    LUTRA_PACKET_ERROR, /* the server ended the dump */
};

struct lutra_packet {
    enum lutra_packet_kind kind;
    const uint8_t
        *data; /* EVENT: header, body, checksum. Borrowed until the next call with the reader */
    size_t len;
    int code;          /* ERROR: the server's, such as 1236 */
    char sqlstate[6];  /* ERROR, "" when the server gives none */
    char message[512]; /* ERROR, cut when longer */
};

/* Embedded; one thread. */
struct lutra_packets {
    struct lutra_buf in; /* [done, len) is not yet handed out */
    size_t done;
    struct lutra_buf joined; /* payload of an event that spans packets */
    bool joining, hand_joined, started;
    uint8_t sequence; /* the number the next packet must have */
    size_t max_event_bytes;
};

void lutra_packets_init(struct lutra_packets *packets, size_t max_event_bytes);
void lutra_packets_fini(struct lutra_packets *packets);
/* Forgets all bytes and starts again, for a new connection. */
void lutra_packets_reset(struct lutra_packets *packets);

/* Where to read at least `want` bytes to; *space is how many fit. Ends the life of the last packet.
 */
uint8_t *lutra_packets_room(struct lutra_packets *packets, size_t want, size_t *space);
/* So many bytes were written there. */
void lutra_packets_filled(struct lutra_packets *packets, size_t n_bytes);
/* Copies bytes in: room and filled in one. */
void lutra_packets_feed(struct lutra_packets *packets, const void *data, size_t len);

/* 1: *packet is set. 0: more bytes are needed. -1 and DATA: an event above the bound, a packet out
 * of order, an unknown status byte; the stream cannot be read on. An event that lies in one packet
 * is not copied. */
int lutra_packets_next(struct lutra_packets *packets,
                       struct lutra_packet *packet,
                       struct lutra_error *err) LUTRA_MUST_CHECK;

/* Bytes held, handed out or not. */
size_t lutra_packets_held_bytes(const struct lutra_packets *packets);

#endif
