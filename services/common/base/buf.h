/* A growable byte buffer, and a bounds-checked cursor for reading bytes from the wire. */
#ifndef LUTRA_BASE_BUF_H
#define LUTRA_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lutra_buf {
    uint8_t *data;
    size_t len, cap;
};

void lutra_buf_fini(struct lutra_buf *buf);  /* frees the memory, leaves an empty buffer */
void lutra_buf_clear(struct lutra_buf *buf); /* len := 0, memory stays */
void lutra_buf_reserve(struct lutra_buf *buf, size_t extra_bytes);
void lutra_buf_append(struct lutra_buf *buf, const void *data, size_t len);
void lutra_buf_printf(struct lutra_buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Removes the first len bytes (memmove). */
void lutra_buf_drop_front(struct lutra_buf *buf, size_t len);
/* NUL-terminates (the NUL is not counted in len) and returns the text; borrowed until the next
 * change. */
const char *lutra_buf_cstr(struct lutra_buf *buf);

void lutra_buf_put_u8(struct lutra_buf *buf, uint8_t v);
void lutra_buf_put_varint(struct lutra_buf *buf, uint64_t v); /* LEB128, as protobuf */
void lutra_buf_put_le(struct lutra_buf *buf, uint64_t v, unsigned bytes);

/* A cursor never reads beyond `end`: a read that does not fit sets `bad`, returns 0 or NULL and
 * leaves the cursor at the end. Check `bad` once after a group of reads. */
struct lutra_cur {
    const uint8_t *p, *end;
    bool bad;
};

struct lutra_cur lutra_cur_of(const void *data, size_t len);
size_t lutra_cur_left(const struct lutra_cur *cur);
uint8_t lutra_cur_u8(struct lutra_cur *cur);
uint64_t lutra_cur_le(struct lutra_cur *cur, unsigned bytes);      /* little endian, 1..8 bytes */
uint64_t lutra_cur_be(struct lutra_cur *cur, unsigned bytes);      /* big endian, 1..8 bytes */
uint64_t lutra_cur_varint(struct lutra_cur *cur);                  /* LEB128 */
uint64_t lutra_cur_lenenc(struct lutra_cur *cur);                  /* MySQL's; 0xfb (NULL) is bad */
const uint8_t *lutra_cur_bytes(struct lutra_cur *cur, size_t len); /* borrowed from the input */

#endif
