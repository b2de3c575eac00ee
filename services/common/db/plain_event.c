#include "db/plain_event.h"

#include <string.h>
#include <zlib.h>

enum { HEADER = 19, SIZE_AT = 9, FLAGS_AT = 17, CHECKSUM = 4, IN_USE = 0x01, NO_CHECKSUM = 0 };

static void put_u32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> 8 * i);
    }
}

void lutra_plain_format(uint8_t *event, size_t len)
{
    if (len < HEADER + 1 + CHECKSUM) {
        return;
    }
    size_t covered = len - CHECKSUM;
    uint8_t flags = event[FLAGS_AT];
    event[covered - 1] = NO_CHECKSUM;
    /* As the server does: the flag "in use" is not part of the sum. */
    event[FLAGS_AT] = (uint8_t)(flags & ~IN_USE);
    put_u32(event + covered, (uint32_t)crc32_z(0, event, covered));
    event[FLAGS_AT] = flags;
}

void lutra_plain_size(uint8_t *event, size_t len)
{
    put_u32(event + SIZE_AT, (uint32_t)len);
}
