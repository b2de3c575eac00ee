#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { MIN_CAPACITY = 64 };

void lutra_buf_fini(struct lutra_buf *buf)
{
    lutra_free(buf->data);
    *buf = (struct lutra_buf){0};
}

void lutra_buf_clear(struct lutra_buf *buf)
{
    buf->len = 0;
}

void lutra_buf_reserve(struct lutra_buf *buf, size_t extra_bytes)
{
    size_t need, cap;

    if (extra_bytes <= buf->cap - buf->len) {
        return;
    }
    LUTRA_ASSERT(extra_bytes <= SIZE_MAX / 2 - buf->len);
    need = buf->len + extra_bytes;
    cap = buf->cap < MIN_CAPACITY ? MIN_CAPACITY : buf->cap;
    while (cap < need) {
        cap *= 2;
    }
    buf->data = lutra_realloc(buf->data, cap);
    buf->cap = cap;
}

void lutra_buf_append(struct lutra_buf *buf, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }
    lutra_buf_reserve(buf, len);
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void lutra_buf_printf(struct lutra_buf *buf, const char *fmt, ...)
{
    va_list ap;
    int n;

    lutra_buf_reserve(buf, MIN_CAPACITY);
    va_start(ap, fmt);
    n = vsnprintf((char *)buf->data + buf->len, buf->cap - buf->len, fmt, ap);
    va_end(ap);
    LUTRA_ASSERT(n >= 0);
    if ((size_t)n >= buf->cap - buf->len) {
        lutra_buf_reserve(buf, (size_t)n + 1);
        va_start(ap, fmt);
        vsnprintf((char *)buf->data + buf->len, buf->cap - buf->len, fmt, ap);
        va_end(ap);
    }
    buf->len += (size_t)n;
}

void lutra_buf_drop_front(struct lutra_buf *buf, size_t len)
{
    LUTRA_ASSERT(len <= buf->len);
    if (len == 0) {
        return;
    }
    memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}

const char *lutra_buf_cstr(struct lutra_buf *buf)
{
    lutra_buf_reserve(buf, 1);
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}

void lutra_buf_put_u8(struct lutra_buf *buf, uint8_t v)
{
    lutra_buf_reserve(buf, 1);
    buf->data[buf->len++] = v;
}

void lutra_buf_put_varint(struct lutra_buf *buf, uint64_t v)
{
    while (v >= 0x80) {
        lutra_buf_put_u8(buf, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    lutra_buf_put_u8(buf, (uint8_t)v);
}

void lutra_buf_put_le(struct lutra_buf *buf, uint64_t v, unsigned bytes)
{
    LUTRA_ASSERT(bytes >= 1 && bytes <= 8);
    lutra_buf_reserve(buf, bytes);
    for (unsigned i = 0; i < bytes; i++) {
        buf->data[buf->len++] = (uint8_t)(v >> (8 * i));
    }
}

struct lutra_cur lutra_cur_of(const void *data, size_t len)
{
    static const uint8_t nothing[1];
    const uint8_t *p = data ? data : nothing; /* arithmetic on NULL is undefined */

    LUTRA_ASSERT(data || len == 0);
    return (struct lutra_cur){.p = p, .end = p + len};
}

size_t lutra_cur_left(const struct lutra_cur *cur)
{
    return (size_t)(cur->end - cur->p);
}

const uint8_t *lutra_cur_bytes(struct lutra_cur *cur, size_t len)
{
    const uint8_t *p = cur->p;

    if (len > lutra_cur_left(cur)) {
        cur->bad = true;
        cur->p = cur->end;
        return NULL;
    }
    cur->p += len;
    return p;
}

uint8_t lutra_cur_u8(struct lutra_cur *cur)
{
    const uint8_t *p = lutra_cur_bytes(cur, 1);

    return p ? *p : 0;
}

uint64_t lutra_cur_le(struct lutra_cur *cur, unsigned bytes)
{
    const uint8_t *p;
    uint64_t v = 0;

    LUTRA_ASSERT(bytes >= 1 && bytes <= 8);
    p = lutra_cur_bytes(cur, bytes);
    for (unsigned i = 0; p && i < bytes; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

uint64_t lutra_cur_be(struct lutra_cur *cur, unsigned bytes)
{
    const uint8_t *p;
    uint64_t v = 0;

    LUTRA_ASSERT(bytes >= 1 && bytes <= 8);
    p = lutra_cur_bytes(cur, bytes);
    for (unsigned i = 0; p && i < bytes; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static uint64_t bad_value(struct lutra_cur *cur)
{
    cur->bad = true;
    cur->p = cur->end;
    return 0;
}

uint64_t lutra_cur_varint(struct lutra_cur *cur)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = lutra_cur_u8(cur);

        if (cur->bad) {
            return 0;
        }
        if (shift == 63 && byte > 1) {
            break; /* more than 64 bits */
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return v;
        }
    }
    return bad_value(cur);
}

uint64_t lutra_cur_lenenc(struct lutra_cur *cur)
{
    uint8_t first = lutra_cur_u8(cur);

    switch (first) {
    case 0xfb: /* NULL, in a text row: no integer */
    case 0xff: /* an error packet: no integer */
        return bad_value(cur);
    case 0xfc:
        return lutra_cur_le(cur, 2);
    case 0xfd:
        return lutra_cur_le(cur, 3);
    case 0xfe:
        return lutra_cur_le(cur, 8);
    default:
        return first;
    }
}
