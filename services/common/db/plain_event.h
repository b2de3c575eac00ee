/* Events as in a binlog without checksums. Private to this module. */
#ifndef LUTRA_DB_PLAIN_EVENT_H
#define LUTRA_DB_PLAIN_EVENT_H

#include <stddef.h>
#include <stdint.h>

/* Makes a FORMAT_DESCRIPTION say that no event has a checksum; its own, which it always has, is
 * computed anew. Too short a one stays as it is: whoever parses it refuses it. */
void lutra_plain_format(uint8_t *event, size_t len);
/* Takes the checksum off any other event: sets the size in its header. */
void lutra_plain_size(uint8_t *event, size_t len);

#endif
