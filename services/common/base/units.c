#include "base/units.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"TiB", 1ull << 40},
    {"GiB", 1ull << 30},
    {"MiB", 1ull << 20},
    {"KiB", 1ull << 10},
    {"TB", 1000000000000},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"kB", 1000},
    {"B", 1},
    {"", 1},
    {NULL, 0},
};

static const struct unit duration_units[] = {
    /* in us */
    {"d", 86400000000}, {"h", 3600000000}, {"m", 60000000}, {"s", 1000000},
    {"ms", 1000},       {"us", 1},         {NULL, 0},
};

/* Digits at *text, which moves behind them. */
static int parse_digits(const char **text, uint64_t *out)
{
    const char *s = *text;
    uint64_t v = 0;

    if (*s < '0' || *s > '9') {
        return -1;
    }
    for (; *s >= '0' && *s <= '9'; s++) {
        uint64_t digit = (uint64_t)(*s - '0');

        if (v > (UINT64_MAX - digit) / 10) {
            return -1;
        }
        v = v * 10 + digit;
    }
    *text = s;
    *out = v;
    return 0;
}

static int parse_with(const struct unit *units, const char *text, uint64_t *out)
{
    uint64_t v;

    if (parse_digits(&text, &v) < 0) {
        return -1;
    }
    if (*text == ' ' && text[1] != '\0') {
        text++;
    }
    for (; units->name; units++) {
        if (strcmp(text, units->name) == 0) {
            if (v > UINT64_MAX / units->factor) {
                return -1;
            }
            *out = v * units->factor;
            return 0;
        }
    }
    return -1;
}

int lutra_units_parse_u64(const char *text, uint64_t *out)
{
    uint64_t v;

    if (parse_digits(&text, &v) < 0 || *text != '\0') {
        return -1;
    }
    *out = v;
    return 0;
}

int lutra_units_parse_size(const char *text, uint64_t *bytes)
{
    return parse_with(size_units, text, bytes);
}

int lutra_units_parse_duration(const char *text, uint64_t *ms)
{
    uint64_t us;

    if (strcmp(text, "0") == 0) {
        *ms = 0;
        return 0;
    }
    if (parse_with(duration_units, text, &us) < 0 || us % 1000 != 0) {
        return -1;
    }
    *ms = us / 1000;
    return 0;
}

void lutra_units_put_size(struct lutra_buf *buf, uint64_t bytes)
{
    for (const struct unit *unit = size_units; bytes > 0 && unit->name[1] == 'i'; unit++) {
        if (bytes % unit->factor == 0) {
            lutra_buf_printf(buf, "%" PRIu64 "%s", bytes / unit->factor, unit->name);
            return;
        }
    }
    lutra_buf_printf(buf, "%" PRIu64, bytes);
}

void lutra_units_put_duration(struct lutra_buf *buf, uint64_t ms)
{
    const struct unit *unit = duration_units;

    if (ms == 0) {
        lutra_buf_printf(buf, "0s");
        return;
    }
    while (ms % (unit->factor / 1000) != 0) {
        unit++; /* ends at ms */
    }
    lutra_buf_printf(buf, "%" PRIu64 "%s", ms / (unit->factor / 1000), unit->name);
}
