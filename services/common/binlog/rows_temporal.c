#include "binlog/codes.h"
#include "binlog/rows_value.h"
#include "model/values.h"

enum { TEXT_MAX = 32 };

static const uint32_t powers[7] = {1, 10, 100, 1000, 10000, 100000, 1000000};

struct moment {
    bool negative;
    uint32_t year, month, day, hour, minute, second, us;
};

/* ---- text ---- */

static uint8_t *put_2(uint8_t *t, uint32_t v)
{
    *t++ = (uint8_t)('0' + v / 10);
    *t++ = (uint8_t)('0' + v % 10);
    return t;
}

static uint8_t *put_date(uint8_t *t, const struct moment *m)
{
    t = put_2(t, m->year / 100);
    t = put_2(t, m->year % 100);
    *t++ = '-';
    t = put_2(t, m->month);
    *t++ = '-';
    return put_2(t, m->day);
}

static uint8_t *put_time(uint8_t *t, const struct moment *m, unsigned decimals)
{
    if (m->hour >= 100) {
        *t++ = (uint8_t)('0' + m->hour / 100);
    }
    t = put_2(t, m->hour % 100);
    *t++ = ':';
    t = put_2(t, m->minute);
    *t++ = ':';
    t = put_2(t, m->second);
    if (decimals > 0) {
        uint32_t v = m->us / powers[6 - decimals];
        *t++ = '.';
        for (unsigned i = decimals; i > 0; i--) {
            t[i - 1] = (uint8_t)('0' + v % 10);
            v /= 10;
        }
        t += decimals;
    }
    return t;
}

/* ---- bytes of each format ---- */

static unsigned fraction_bytes(unsigned decimals)
{
    return (decimals + 1) / 2;
}

/* Fractions are stored with an even number of digits. */
static uint32_t fraction_us(uint64_t stored, unsigned decimals)
{
    return (uint32_t)stored * powers[6 - 2 * fraction_bytes(decimals)];
}

static void set_clock(struct moment *m, uint64_t hms)
{
    m->hour = (uint32_t)(hms >> 12);
    m->minute = (uint32_t)(hms >> 6 & 0x3f);
    m->second = (uint32_t)(hms & 0x3f);
}

/* From seconds since 1970, UTC; proleptic Gregorian, by 400-year eras beginning in March. */
static void set_utc(struct moment *m, uint64_t unix_s)
{
    uint64_t days = unix_s / 86400 + 719468, second = unix_s % 86400;
    uint64_t era_day = days % 146097;
    uint64_t era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
    uint64_t year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    uint64_t march_month = (5 * year_day + 2) / 153;
    m->day = (uint32_t)(year_day - (153 * march_month + 2) / 5 + 1);
    m->month = (uint32_t)(march_month < 10 ? march_month + 3 : march_month - 9);
    m->year = (uint32_t)(days / 146097 * 400 + era_year + (m->month <= 2));
    m->hour = (uint32_t)(second / 3600);
    m->minute = (uint32_t)(second / 60 % 60);
    m->second = (uint32_t)(second % 60);
}

/* The zero date, and not the epoch, is what 0 means. */
static void set_timestamp(struct moment *m, uint64_t unix_s, uint32_t us)
{
    m->us = us;
    if (unix_s != 0 || us != 0) {
        set_utc(m, unix_s);
    }
}

static void read_date(const uint8_t *p, struct moment *m)
{
    uint64_t v = lutra_value_le(p, 3);
    m->day = (uint32_t)(v & 31);
    m->month = (uint32_t)(v >> 5 & 15);
    m->year = (uint32_t)(v >> 9);
}

static void read_time2(const uint8_t *p, unsigned decimals, struct moment *m)
{
    unsigned extra = fraction_bytes(decimals);
    /* One two's complement number around a zero point, fraction included. */
    int64_t v = (int64_t)lutra_value_be(p, 3 + extra) - ((int64_t)0x800000 << 8 * extra);
    m->negative = v < 0;
    uint64_t size = (uint64_t)(v < 0 ? -v : v);
    set_clock(m, size >> 8 * extra & 0x3fffff);
    m->us = fraction_us(size & (((uint64_t)1 << 8 * extra) - 1), decimals);
}

static void read_datetime2(const uint8_t *p, unsigned decimals, struct moment *m)
{
    uint64_t v = lutra_value_be(p, 5) & 0x7fffffffff;
    uint64_t months = v >> 22;
    m->year = (uint32_t)(months / 13);
    m->month = (uint32_t)(months % 13);
    m->day = (uint32_t)(v >> 17 & 31);
    set_clock(m, v & 0x1ffff);
    m->us = fraction_us(lutra_value_be(p + 5, fraction_bytes(decimals)), decimals);
}

/* MariaDB before the MySQL 5.6 format, with fractional digits: the bytes of each number of them. */
static const uint8_t hires_time_bytes[7] = {3, 4, 4, 5, 5, 5, 6};
static const uint8_t hires_datetime_bytes[7] = {8, 6, 6, 7, 7, 7, 8};
static const uint8_t hires_fraction_bytes[7] = {0, 1, 1, 2, 2, 3, 3};

static void read_old_time(const uint8_t *p, unsigned decimals, struct moment *m)
{
    if (decimals == 0) {
        int32_t v = (int32_t)lutra_value_le(p, 3);
        v = v >= 0x800000 ? v - 0x1000000 : v;
        m->negative = v < 0;
        uint32_t size = (uint32_t)(v < 0 ? -v : v);
        m->hour = size / 10000;
        m->minute = size / 100 % 100;
        m->second = size % 100;
        return;
    }
    /* A count of fractions around a zero point of 838:59:59 and one second. */
    int64_t v = (int64_t)lutra_value_be(p, hires_time_bytes[decimals]) -
                (int64_t)(838 * 3600 + 59 * 60 + 59 + 1) * powers[decimals];
    m->negative = v < 0;
    uint64_t size = (uint64_t)(v < 0 ? -v : v);
    uint64_t seconds = size / powers[decimals];
    m->us = (uint32_t)(size % powers[decimals]) * powers[6 - decimals];
    m->hour = (uint32_t)(seconds / 3600);
    m->minute = (uint32_t)(seconds / 60 % 60);
    m->second = (uint32_t)(seconds % 60);
}

static void read_old_datetime(const uint8_t *p, unsigned decimals, struct moment *m)
{
    if (decimals == 0) {
        uint64_t v = lutra_value_le(p, 8); /* YYYYMMDDhhmmss */
        m->second = (uint32_t)(v % 100);
        m->minute = (uint32_t)(v / 100 % 100);
        m->hour = (uint32_t)(v / 10000 % 100);
        m->day = (uint32_t)(v / 1000000 % 100);
        m->month = (uint32_t)(v / 100000000 % 100);
        v /= 10000000000;
        m->year = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
        return;
    }
    uint64_t v = lutra_value_be(p, hires_datetime_bytes[decimals]);
    m->us = (uint32_t)(v % powers[decimals]) * powers[6 - decimals];
    v /= powers[decimals];
    m->second = (uint32_t)(v % 60);
    m->minute = (uint32_t)(v / 60 % 60);
    m->hour = (uint32_t)(v / 3600 % 24);
    m->day = (uint32_t)(v / 86400 % 32);
    v /= (uint64_t)86400 * 32;
    m->month = (uint32_t)(v % 13);
    v /= 13;
    m->year = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

size_t lutra_value_temporal_bytes(const struct lutra_column *column)
{
    unsigned decimals = column->decimals;
    switch (column->type) {
    case LUTRA_TYPE_DATE:
    case LUTRA_TYPE_NEWDATE:
        return 3;
    case LUTRA_TYPE_TIME2:
        return 3 + fraction_bytes(decimals);
    case LUTRA_TYPE_DATETIME2:
        return 5 + fraction_bytes(decimals);
    case LUTRA_TYPE_TIMESTAMP2:
        return 4 + fraction_bytes(decimals);
    case LUTRA_TYPE_TIME:
        return hires_time_bytes[decimals];
    case LUTRA_TYPE_DATETIME:
        return hires_datetime_bytes[decimals];
    case LUTRA_TYPE_TIMESTAMP:
        return 4 + (size_t)hires_fraction_bytes[decimals];
    default:
        return SIZE_MAX;
    }
}

static void read_moment(const struct lutra_column *column, const uint8_t *p, struct moment *m)
{
    unsigned decimals = column->decimals;
    switch (column->type) {
    case LUTRA_TYPE_TIME2:
        read_time2(p, decimals, m);
        break;
    case LUTRA_TYPE_DATETIME2:
        read_datetime2(p, decimals, m);
        break;
    case LUTRA_TYPE_TIMESTAMP2:
        set_timestamp(m, lutra_value_be(p, 4),
                      fraction_us(lutra_value_be(p + 4, fraction_bytes(decimals)), decimals));
        break;
    case LUTRA_TYPE_TIME:
        read_old_time(p, decimals, m);
        break;
    case LUTRA_TYPE_DATETIME:
        read_old_datetime(p, decimals, m);
        break;
    case LUTRA_TYPE_TIMESTAMP:
        if (decimals == 0) {
            set_timestamp(m, lutra_value_le(p, 4), 0);
        } else {
            set_timestamp(m, lutra_value_be(p, 4),
                          (uint32_t)lutra_value_be(p + 4, hires_fraction_bytes[decimals]) *
                              powers[6 - decimals]);
        }
        break;
    default: /* DATE, NEWDATE */
        read_date(p, m);
        break;
    }
}

/* Zero dates and days that a month does not have are legal values; these ranges are not. */
static bool in_range(const struct moment *m, enum lutra_kind kind)
{
    return m->year <= 9999 && m->month <= 12 && m->day <= 31 && m->minute < 60 && m->second < 60 &&
           m->us < 1000000 && m->hour < (kind == LUTRA_KIND_TIME ? 839u : 24u);
}

bool lutra_value_temporal(const struct lutra_column *column,
                          struct lutra_cur *cur,
                          struct lutra_buf *out)
{
    const uint8_t *p;
    struct moment m = {0};
    if (!lutra_value_take(cur, lutra_value_temporal_bytes(column), &p)) {
        return false;
    }
    read_moment(column, p, &m);
    if (!in_range(&m, column->kind)) {
        return false;
    }
    uint8_t *room = lutra_value_room(out, 2 + TEXT_MAX), *text = room + 2, *t = text;
    if (column->kind != LUTRA_KIND_TIME) {
        t = put_date(t, &m);
    } else if (m.negative) {
        *t++ = '-';
    }
    if (column->kind != LUTRA_KIND_TIME && column->kind != LUTRA_KIND_DATE) {
        *t++ = ' ';
    }
    if (column->kind != LUTRA_KIND_DATE) {
        t = put_time(t, &m, column->decimals);
    }
    room[0] = LUTRA_VALUE_BYTES;
    room[1] = (uint8_t)(t - text);
    out->len += (size_t)(t - room);
    return true;
}
