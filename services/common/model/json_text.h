/* Text that may come from anywhere (a server's error message cut in the middle of a character) as a
 * JSON string. */
#ifndef LUTRA_MODEL_JSON_TEXT_H
#define LUTRA_MODEL_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Length of the UTF-8 character at s (1..4), 0 when the bytes are not one. */
size_t lutra_utf8_len(const char *s, size_t left);
/* A new reference. Bytes that are not UTF-8 become '?'. NULL reads as "". */
json_t *lutra_json_text(const char *s);
/* Numbers above 2^63-1 do not occur (versions, epochs, processIds); one that does is capped. */
json_t *lutra_json_u64(uint64_t v);
/* Appends the value on one line and drops the reference. */
void lutra_json_put(json_t *value, struct lutra_buf *out);

#endif
