/* Errors by value: a caller-owned struct, no allocation. The class says what to do about it. */
#ifndef LUTRA_BASE_ERROR_H
#define LUTRA_BASE_ERROR_H

#include <stdarg.h>

/* In a message, what follows this mark are row values: status and operators get them, log lines
 * above DEBUG leave them out. */
#define LUTRA_ERROR_VALUES "; values: "

#define LUTRA_MUST_CHECK __attribute__((warn_unused_result))
#define LUTRA_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* What the caller does about an error. */
enum lutra_error_class {
    LUTRA_OK = 0,
    LUTRA_RETRY,  /* passing: back off and repeat */
    LUTRA_DATA,   /* this row, transaction or message is bad: stop or quarantine, by policy */
    LUTRA_FENCED, /* no longer the owner: stop writing now, re-read ownership */
    LUTRA_CONFIG, /* refused: say what is wrong, where and what would be right */
    LUTRA_FATAL,  /* this process cannot go on: log, exit non-zero, be restarted */
    LUTRA_BUG,    /* own fault: an invariant does not hold */
};

struct lutra_error {
    enum lutra_error_class class;
    int code;       /* the library's or server's code (errno, MySQL error, ZooKeeper rc), or 0 */
    char msg[1024]; /* one line, no trailing full stop, cut when longer */
};

/* Fills *err and returns -1, so that `return lutra_error_set(...)` is one line. `err` may be NULL.
 */
int lutra_error_set(struct lutra_error *err,
                    enum lutra_error_class class,
                    int code,
                    const char *fmt,
                    ...) LUTRA_PRINTF(4, 5);

/* Prepends "context: " to the message; class and code stay. Returns -1. */
int lutra_error_wrap(struct lutra_error *err, const char *fmt, ...) LUTRA_PRINTF(2, 3);

/* Sets the class to LUTRA_OK and the message to "". */
void lutra_error_clear(struct lutra_error *err);

/* "retry", "data", "fenced", ...: a static string. */
const char *lutra_error_class_name(enum lutra_error_class class);

/* An invariant of ours does not hold: says where on stderr and aborts. Stays on in release builds.
 * Never reached by bytes from the network, files or databases. */
#define LUTRA_ASSERT(cond)                                    \
    do {                                                      \
        if (!(cond)) {                                        \
            lutra_panic(__FILE__, __LINE__, __func__, #cond); \
        }                                                     \
    } while (0)
_Noreturn void lutra_panic(const char *file, int line, const char *func, const char *what);

#endif
