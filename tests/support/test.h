/* One running test: its private folder, its deadlines, its names and ports, and how a helper fails
 * it. Criterion runs each test in a process of its own, so there is one such state per process.
 * Every helper of tests/support that cannot do its job ends the test; those named _try do not. */
#ifndef LUTRA_TEST_SUPPORT_TEST_H
#define LUTRA_TEST_SUPPORT_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fails the running test with this message; does not return. */
_Noreturn void lutra_test_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A figure that a person may want, one line: on stderr, and at the end of tests/run. (A warning of
 * Criterion's would fail the program.) */
void lutra_test_measured(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* While it is set, a helper that cannot do its job calls it, and it does not return (longjmp): a
 * test that goes on with something else after a failure. NULL: as usual. */
void lutra_test_on_failure(void (*fn)(const char *message));

/* The test's private folder, made at the first call: $LUTRA_TEST_DIR/<runner>-<suite>-<test>.
 * Removed when the test passes, kept with its logs when it fails. */
const char *lutra_test_dir(void);
/* dir/<formatted name>, heap. */
char *lutra_test_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes a file of this content (mode 0600), replacing one that is there. */
void lutra_test_write_file(const char *path, const char *content);
/* The whole file as heap text; NULL when it cannot be read. */
char *lutra_test_read_file(const char *path);
/* asprintf that cannot fail. */
char *lutra_test_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A name nobody else uses on the shared servers: <prefix>-<pid>-<n>, of [a-z0-9-] when prefix is.
 * As a database name it wants quoting by backticks. Heap. */
char *lutra_test_unique(const char *prefix);
/* A TCP port of 127.0.0.1 that is free now, below the range the kernel hands out itself; no test of
 * the same run gets it again. */
uint16_t lutra_test_free_port(void);

uint64_t lutra_test_now_ms(void); /* monotonic */
/* True as soon as cond(arg) is; false when it was not within deadline_ms (which is multiplied by
 * LUTRA_TEST_TIMEOUT_SCALE). */
bool lutra_test_wait_until(bool (*cond)(void *arg), void *arg, uint64_t deadline_ms);
uint64_t lutra_test_scaled_ms(uint64_t deadline_ms);
void lutra_test_poll_pause(void); /* between two looks at a condition */

/* Waits for an expression; ends the test, naming it and where it stands, when the time is over. */
#define LUTRA_WAIT_FOR(expression, deadline_ms)                                               \
    do {                                                                                      \
        uint64_t lutra_wait_end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(deadline_ms); \
        while (!(expression)) {                                                               \
            if (lutra_test_now_ms() >= lutra_wait_end_ms) {                                   \
                lutra_test_fail("%s:%d: not within %llu ms: %s", __FILE__, __LINE__,          \
                                (unsigned long long)lutra_test_scaled_ms(deadline_ms),        \
                                #expression);                                                 \
            }                                                                                 \
            lutra_test_poll_pause();                                                          \
        }                                                                                     \
    } while (0)

#endif
