#include "model/position.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/gtid_text.h"

const char *lutra_flavor_name(enum lutra_flavor flavor)
{
    switch (flavor) {
    case LUTRA_FLAVOR_MARIADB:
        return "mariadb";
    case LUTRA_FLAVOR_MYSQL:
        return "mysql";
    case LUTRA_FLAVOR_NONE:
        break;
    }
    return "none";
}

void lutra_position_fini(struct lutra_position *pos)
{
    lutra_gtid_set_free(pos->gtids);
    *pos = (struct lutra_position){.flavor = LUTRA_FLAVOR_NONE};
}

void lutra_position_copy(struct lutra_position *dst, const struct lutra_position *src)
{
    struct lutra_gtid_set *gtids;
    if (dst == src) {
        return;
    }
    gtids = src->gtids ? lutra_gtid_set_dup(src->gtids) : NULL;
    lutra_gtid_set_free(dst->gtids);
    *dst = *src;
    dst->gtids = gtids;
}

bool lutra_position_is_none(const struct lutra_position *pos)
{
    return pos->file[0] == '\0' && (!pos->gtids || lutra_gtid_set_empty(pos->gtids));
}

static int position_error(struct lutra_error *err, const char *text)
{
    return lutra_error_set(
        err, LUTRA_CONFIG, 0,
        "\"%.200s\" is not a position, expected file:offset;gtid-set with one of "
        "the halves possibly empty",
        text);
}

/* "binlog.000003:1234" up to `len`. */
static int parse_file(const char *text, size_t len, struct lutra_position *pos)
{
    const char *colon = memrchr(text, ':', len);
    const char *p = colon ? colon + 1 : NULL;
    size_t file_len = colon ? (size_t)(colon - text) : 0;
    if (file_len == 0 || file_len >= sizeof(pos->file) || !lutra_gtid_scan_u64(&p, &pos->offset) ||
        p != text + len) {
        return -1;
    }
    for (size_t i = 0; i < file_len; i++) {
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f) {
            return -1;
        }
    }
    memcpy(pos->file, text, file_len);
    pos->file[file_len] = '\0';
    return 0;
}

int lutra_position_parse(enum lutra_flavor flavor,
                         const char *text,
                         struct lutra_position *pos,
                         struct lutra_error *err)
{
    *pos = (struct lutra_position){.flavor = flavor};
    if (*text == '\0') {
        return 0;
    }
    const char *semicolon = strchr(text, ';');
    if (!semicolon) {
        return position_error(err, text);
    }
    if (semicolon != text && parse_file(text, (size_t)(semicolon - text), pos)) {
        return position_error(err, text);
    }
    if (semicolon[1] != '\0') {
        pos->gtids = lutra_gtid_set_parse(flavor, semicolon + 1, err);
        if (!pos->gtids) {
            *pos = (struct lutra_position){.flavor = flavor};
            return -1;
        }
    }
    if (lutra_position_is_none(pos)) {
        lutra_position_fini(pos);
        return position_error(err, text);
    }
    return 0;
}

void lutra_position_format(const struct lutra_position *pos, struct lutra_buf *out)
{
    if (lutra_position_is_none(pos)) {
        return;
    }
    if (pos->file[0]) {
        lutra_buf_printf(out, "%s:%" PRIu64, pos->file, pos->offset);
    }
    lutra_buf_put_u8(out, ';');
    if (pos->gtids) {
        lutra_gtid_set_format(pos->gtids, out);
    }
}

char *lutra_position_text(const struct lutra_position *pos)
{
    struct lutra_buf buf = {0};
    lutra_position_format(pos, &buf);
    char *text = lutra_strdup(lutra_buf_cstr(&buf));
    lutra_buf_fini(&buf);
    return text;
}

/* Splits "binlog.000003" into its base's length and the digits' value. Servers count on past 999999
 * with seven digits, so the text order of the names is not their order. */
static size_t split_file(const char *file, uint64_t *number)
{
    size_t len = strlen(file), base = len;
    while (base > 0 && file[base - 1] >= '0' && file[base - 1] <= '9') {
        base--;
    }
    const char *digits = file + base;
    if (!lutra_gtid_scan_u64(&digits, number)) {
        *number = 0;
        return len;
    }
    return base;
}

static int cmp_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int lutra_position_cmp(const struct lutra_position *a, const struct lutra_position *b)
{
    if (!a->file[0] || !b->file[0]) {
        return (a->file[0] != '\0') - (b->file[0] != '\0');
    }
    uint64_t number_a, number_b;
    size_t base_a = split_file(a->file, &number_a), base_b = split_file(b->file, &number_b);
    if (base_a != base_b || memcmp(a->file, b->file, base_a) != 0) {
        return strcmp(a->file, b->file);
    }
    if (number_a != number_b) {
        return cmp_u64(number_a, number_b);
    }
    return cmp_u64(a->offset, b->offset);
}
