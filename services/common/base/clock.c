#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/error.h"

static uint64_t read_us(clockid_t id)
{
    struct timespec ts;

    LUTRA_ASSERT(clock_gettime(id, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t lutra_clock_now_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t lutra_clock_now_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t lutra_clock_wall_us(void)
{
    return (int64_t)read_us(CLOCK_REALTIME);
}

const char *lutra_clock_format_us(int64_t wall_us, char *buf)
{
    const int64_t year_1_s = -62135596800, year_9999_s = 253402300799;
    int64_t s = wall_us / 1000000, us = wall_us % 1000000;
    struct tm tm;
    time_t t;

    if (us < 0) {
        us += 1000000;
        s--;
    }
    s = s < year_1_s ? year_1_s : s > year_9999_s ? year_9999_s : s;
    t = (time_t)s;
    LUTRA_ASSERT(gmtime_r(&t, &tm));
    snprintf(buf, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100,
             (unsigned)(us / 1000) % 1000);
    return buf;
}
