#include "binlog/rows_value.h"
#include "model/values.h"

/* Digits are stored nine to four bytes; what is left over at either end takes so many bytes. */
static const uint8_t left_over_bytes[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
static const uint32_t powers[10] = {1,      10,      100,      1000,      10000,
                                    100000, 1000000, 10000000, 100000000, 1000000000};

enum { DIGITS_MAX = 81, TEXT_MAX = DIGITS_MAX + 3 };

struct shape {
    unsigned whole, fraction; /* digits before and after the point */
};

static struct shape shape_of(const struct lutra_column *column)
{
    unsigned precision = column->meta >> 8, scale = column->meta & 0xff;
    return (struct shape){.whole = precision - scale, .fraction = scale};
}

static size_t part_bytes(unsigned digits)
{
    return digits / 9 * 4 + left_over_bytes[digits % 9];
}

size_t lutra_value_decimal_bytes(const struct lutra_column *column)
{
    struct shape shape = shape_of(column);
    return part_bytes(shape.whole) + part_bytes(shape.fraction);
}

/* One group of up to nine digits, zero-padded. False: more than fits its digits. */
static bool put_group(const uint8_t *p, unsigned digits, uint32_t mask, uint8_t *text)
{
    unsigned bytes = left_over_bytes[digits];
    uint32_t keep = bytes == 4 ? UINT32_MAX : ((uint32_t)1 << 8 * bytes) - 1;
    uint32_t v = ((uint32_t)lutra_value_be(p, bytes) ^ mask) & keep;
    if (v >= powers[digits]) {
        return false;
    }
    for (unsigned i = digits; i > 0; i--) {
        text[i - 1] = (uint8_t)('0' + v % 10);
        v /= 10;
    }
    return true;
}

bool lutra_value_decimal(const struct lutra_column *column,
                         struct lutra_cur *cur,
                         struct lutra_buf *out)
{
    struct shape shape = shape_of(column);
    size_t len = lutra_value_decimal_bytes(column);
    const uint8_t *src;
    uint8_t bytes[40], digits[DIGITS_MAX];
    if (len > sizeof(bytes) || !lutra_value_take(cur, len, &src)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bytes[i] = src[i];
    }
    /* The first bit is inverted so that the bytes sort; in a negative number all others are, too.
     */
    bool negative = !(bytes[0] & 0x80);
    uint32_t mask = negative ? UINT32_MAX : 0;
    bytes[0] ^= 0x80;

    unsigned groups[2] = {shape.whole, shape.fraction};
    const uint8_t *p = bytes;
    uint8_t *d = digits;
    for (unsigned part = 0; part < 2; part++) {
        /* The short group stands first before the point and last after it. */
        unsigned left = groups[part], odd = left % 9;
        while (left > 0) {
            bool short_one = odd && (part == 0 ? left == groups[0] : left == odd);
            unsigned n = short_one ? odd : 9;
            if (!put_group(p, n, mask, d)) {
                return false;
            }
            p += left_over_bytes[n];
            d += n;
            left -= n;
        }
    }

    uint8_t *room = lutra_value_room(out, 2 + TEXT_MAX), *text = room + 2, *t = text;
    unsigned first = 0;
    while (first + 1 < shape.whole && digits[first] == '0') {
        first++;
    }
    if (negative) {
        *t++ = '-';
    }
    if (shape.whole == 0) {
        *t++ = '0';
    }
    for (; first < shape.whole; first++) {
        *t++ = digits[first];
    }
    if (shape.fraction > 0) {
        *t++ = '.';
    }
    for (unsigned i = 0; i < shape.fraction; i++) {
        *t++ = digits[shape.whole + i];
    }
    room[0] = LUTRA_VALUE_BYTES;
    room[1] = (uint8_t)(t - text); /* below 0x80: a varint of one byte */
    out->len += (size_t)(t - room);
    return true;
}
