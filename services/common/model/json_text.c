#include "model/json_text.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

size_t lutra_utf8_len(const char *s, size_t left)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t len;
    uint32_t c;

    if (left == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > left) {
        return 0;
    }
    c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    if ((len == 3 && c < 0x800) || (len == 4 && c < 0x10000) || c > 0x10ffff ||
        (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    return len;
}

json_t *lutra_json_text(const char *s)
{
    size_t len = s ? strlen(s) : 0, used = 0;
    LUTRA_AUTO_FREE char *clean = lutra_strndup(s ? s : "", len);
    while (used < len) {
        size_t n = lutra_utf8_len(clean + used, len - used);
        if (n == 0) {
            clean[used] = '?';
            n = 1;
        }
        used += n;
    }
    json_t *value = json_stringn(clean, len);
    LUTRA_ASSERT(value);
    return value;
}

json_t *lutra_json_u64(uint64_t v)
{
    return json_integer(v > INT64_MAX ? (json_int_t)INT64_MAX : (json_int_t)v);
}

static int append(const char *data, size_t len, void *arg)
{
    lutra_buf_append(arg, data, len);
    return 0;
}

void lutra_json_put(json_t *value, struct lutra_buf *out)
{
    int failed = json_dump_callback(value, append, out, JSON_COMPACT);
    LUTRA_ASSERT(!failed);
    json_decref(value);
}
