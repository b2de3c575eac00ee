#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/gtid_text.h"
#include "model/position.h"

bool lutra_gtid_scan_u64(const char **p, uint64_t *out)
{
    const char *s = *p;
    uint64_t v = 0;
    if (*s < '0' || *s > '9') {
        return false;
    }
    for (; *s >= '0' && *s <= '9'; s++) {
        unsigned digit = (unsigned)(*s - '0');
        if (v > (UINT64_MAX - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *out = v;
    *p = s;
    return true;
}

bool lutra_gtid_scan_u32(const char **p, uint32_t *out)
{
    const char *s = *p;
    uint64_t v;
    if (!lutra_gtid_scan_u64(&s, &v) || v > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)v;
    *p = s;
    return true;
}

bool lutra_gtid_scan_char(const char **p, char c)
{
    if (**p != c) {
        return false;
    }
    (*p)++;
    return true;
}

void lutra_gtid_skip_blanks(const char **p)
{
    while (**p == ' ' || **p == '\t' || **p == '\r' || **p == '\n') {
        (*p)++;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool lutra_gtid_scan_uuid(const char **p, uint8_t uuid[16])
{
    const char *s = *p;
    bool dashes = strnlen(s, 9) == 9 && s[8] == '-';
    for (unsigned i = 0; i < 16; i++) {
        if (dashes && (i == 4 || i == 6 || i == 8 || i == 10) && !lutra_gtid_scan_char(&s, '-')) {
            return false;
        }
        int high = hex_digit(s[0]);
        int low = high < 0 ? -1 : hex_digit(s[1]);
        if (low < 0) {
            return false;
        }
        uuid[i] = (uint8_t)(high << 4 | low);
        s += 2;
    }
    if (isxdigit((unsigned char)*s)) {
        return false;
    }
    *p = s;
    return true;
}

static bool tag_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

bool lutra_gtid_tag_valid(const char *tag, size_t len)
{
    if (len > LUTRA_GTID_TAG_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!tag_char(tag[i], i == 0)) {
            return false;
        }
    }
    return true;
}

bool lutra_gtid_scan_tag(const char **p, char tag[33])
{
    const char *s = *p;
    size_t len = 0;
    for (;; s++) {
        char c = (*s >= 'A' && *s <= 'Z') ? (char)(*s - 'A' + 'a') : *s;
        if (!tag_char(c, len == 0)) {
            break;
        }
        if (len == LUTRA_GTID_TAG_MAX) {
            return false;
        }
        tag[len++] = c;
    }
    if (len == 0) {
        return false;
    }
    tag[len] = '\0';
    *p = s;
    return true;
}

bool lutra_gtid_scan_mariadb(const char **p, uint32_t *domain, uint32_t *server, uint64_t *seq)
{
    const char *s = *p;
    if (!lutra_gtid_scan_u32(&s, domain) || !lutra_gtid_scan_char(&s, '-') ||
        !lutra_gtid_scan_u32(&s, server) || !lutra_gtid_scan_char(&s, '-') ||
        !lutra_gtid_scan_u64(&s, seq)) {
        return false;
    }
    *p = s;
    return true;
}

void lutra_uuid_format(const uint8_t uuid[16], char text[LUTRA_UUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    char *t = text;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *t++ = '-';
        }
        *t++ = digits[uuid[i] >> 4];
        *t++ = digits[uuid[i] & 15];
    }
    *t = '\0';
}

static bool scan_mysql_gtid(const char **p, struct lutra_gtid *gtid)
{
    if (!lutra_gtid_scan_uuid(p, gtid->uuid) || !lutra_gtid_scan_char(p, ':')) {
        return false;
    }
    if (lutra_gtid_scan_tag(p, gtid->tag) && !lutra_gtid_scan_char(p, ':')) {
        return false;
    }
    return lutra_gtid_scan_u64(p, &gtid->seq) && gtid->seq > 0 && gtid->seq < LUTRA_GNO_END;
}

int lutra_gtid_parse(const char *text, struct lutra_gtid *gtid, struct lutra_error *err)
{
    const char *p = text;
    bool ok;
    *gtid = (struct lutra_gtid){.flavor = LUTRA_FLAVOR_NONE};
    lutra_gtid_skip_blanks(&p);
    /* Only MySQL's form has a colon. */
    if (strchr(p, ':')) {
        gtid->flavor = LUTRA_FLAVOR_MYSQL;
        ok = scan_mysql_gtid(&p, gtid);
    } else {
        gtid->flavor = LUTRA_FLAVOR_MARIADB;
        ok = lutra_gtid_scan_mariadb(&p, &gtid->domain, &gtid->server_id, &gtid->seq);
    }
    lutra_gtid_skip_blanks(&p);
    if (!ok || *p != '\0') {
        return lutra_error_set(
            err, LUTRA_CONFIG, 0,
            "\"%.200s\" is not a GTID, expected domain-server-sequence (MariaDB) or "
            "uuid[:tag]:number (MySQL)",
            text);
    }
    return 0;
}

const char *lutra_gtid_format(const struct lutra_gtid *gtid, char *buf)
{
    char uuid[LUTRA_UUID_TEXT_LEN + 1];
    switch (gtid->flavor) {
    case LUTRA_FLAVOR_MARIADB:
        snprintf(buf, 96, "%" PRIu32 "-%" PRIu32 "-%" PRIu64, gtid->domain, gtid->server_id,
                 gtid->seq);
        break;
    case LUTRA_FLAVOR_MYSQL:
        lutra_uuid_format(gtid->uuid, uuid);
        snprintf(buf, 96, "%s:%s%s%" PRIu64, uuid, gtid->tag, gtid->tag[0] ? ":" : "", gtid->seq);
        break;
    case LUTRA_FLAVOR_NONE:
        buf[0] = '\0';
        break;
    }
    return buf;
}
