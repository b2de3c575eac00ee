/* The clock port: real, or moved by hand. */
#ifndef LUTRA_BASE_CLOCK_H
#define LUTRA_BASE_CLOCK_H

#include <stdint.h>

/* Monotonic milliseconds and wall-clock microseconds (since 1970, UTC) of the real clock. Code that
 * runs in a loop asks the loop instead (lutra_loop_now_ms, lutra_loop_wall_us): it may be virtual.
 */
uint64_t lutra_clock_now_ms(void);
uint64_t lutra_clock_now_us(void);
int64_t lutra_clock_wall_us(void);
/* "2026-11-23T21:43:30.123Z"; buf of at least 32 bytes; returns buf. */
const char *lutra_clock_format_us(int64_t wall_us, char *buf);

#endif
