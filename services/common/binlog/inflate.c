#include <stdio.h>
#include <zlib.h>

#include "binlog/event_internal.h"

/* 0x80 + number of size bytes (1..4), the size big endian, a zlib stream. */
int lutra_event_inflate(const struct lutra_event *event,
                        const uint8_t *data,
                        size_t len,
                        size_t max_bytes,
                        struct lutra_buf *out,
                        struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(data, len);
    unsigned head = lutra_cur_u8(&cur);
    unsigned size_bytes = head & 0x07;
    if (cur.bad || (head & 0xf8) != 0x80 || size_bytes < 1 || size_bytes > 4) {
        return lutra_event_error(event, "unknown compression", err);
    }
    uint64_t size = lutra_cur_be(&cur, size_bytes);
    if (cur.bad) {
        return lutra_event_error(event, "cut short", err);
    }
    if (size > max_bytes) {
        return lutra_event_error(event, "decompressed, it is above the bound on an event's size",
                                 err);
    }
    lutra_buf_reserve(out, (size_t)size + 1);
    uLongf got = (uLongf)size;
    int rc = uncompress(out->data + out->len, &got, cur.p, (uLong)lutra_cur_left(&cur));
    if (rc != Z_OK || got != size) {
        return lutra_event_error(event, "cannot be decompressed", err);
    }
    out->len += (size_t)size;
    return 0;
}
