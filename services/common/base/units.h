/* Numbers, sizes and durations as people write them. */
#ifndef LUTRA_BASE_UNITS_H
#define LUTRA_BASE_UNITS_H

#include <stdint.h>

#include "base/buf.h"

/* Each: 0, or -1 when the text is not one (or does not fit), *out is then untouched.
 * u64: decimal digits. size: digits, then nothing, B, KiB, MiB, GiB, TiB, kB, MB, GB, TB. duration,
 * in ms: digits, then us (a whole number of ms), ms, s, m, h, d; only 0 needs no unit. A blank
 * before the unit is legal. */
int lutra_units_parse_u64(const char *text, uint64_t *out);
int lutra_units_parse_size(const char *text, uint64_t *bytes);
int lutra_units_parse_duration(const char *text, uint64_t *ms);

/* In the largest unit that is exact: "64MiB", "90s". Appended to buf; the parsers read it back. */
void lutra_units_put_size(struct lutra_buf *buf, uint64_t bytes);
void lutra_units_put_duration(struct lutra_buf *buf, uint64_t ms);

#endif
