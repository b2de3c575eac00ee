/* Private to model/: the scanning of GTID texts, shared by gtid.c and gtid_set.c. */
#ifndef LUTRA_MODEL_GTID_TEXT_H
#define LUTRA_MODEL_GTID_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
    LUTRA_GTID_TAG_MAX = 32,
    LUTRA_UUID_TEXT_LEN = 36,
};

/* MySQL numbers transactions from 1 to 2^63 - 2; an interval's exclusive end still fits an int64_t.
 */
#define LUTRA_GNO_END ((uint64_t)INT64_MAX)

/* Each advances *p over what it reads and returns true, or returns false and leaves *p alone. */
bool lutra_gtid_scan_u64(const char **p, uint64_t *out);
bool lutra_gtid_scan_u32(const char **p, uint32_t *out);
bool lutra_gtid_scan_uuid(const char **p, uint8_t uuid[16]); /* with dashes, or 32 bare digits */
bool lutra_gtid_scan_tag(const char **p, char tag[33]);      /* lower-cased */
bool lutra_gtid_scan_char(const char **p, char c);
bool lutra_gtid_scan_mariadb(const char **p, uint32_t *domain, uint32_t *server, uint64_t *seq);
void lutra_gtid_skip_blanks(const char **p);

bool lutra_gtid_tag_valid(const char *tag, size_t len); /* lower case already */
void lutra_uuid_format(const uint8_t uuid[16], char text[LUTRA_UUID_TEXT_LEN + 1]);

#endif
