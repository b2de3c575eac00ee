/* Which log lines pass: at most 20 a second of one event; what was held back is told as a count.
 * Private to the log; a table apart so that it can be tested without a clock. */
#ifndef LUTRA_BASE_LOG_LIMIT_H
#define LUTRA_BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LUTRA_LOG_LIMIT_EVENTS = 512, LUTRA_LOG_LIMIT_PER_S = 20 };

struct lutra_log_limit {
    struct lutra_log_limit_entry {
        char *event; /* NULL: free */
        uint64_t begin_ms, passed, held;
    } entries[LUTRA_LOG_LIMIT_EVENTS];
    size_t n;
};

/* May this line pass? Events beyond the table's size are not limited. */
bool lutra_log_limit_pass(struct lutra_log_limit *limit, const char *event, uint64_t now_ms);
/* The name of an event whose second is over and of which lines were held back, with their number,
 * which starts again from 0; NULL: none. `all`: also those whose second is not over. */
const char *
lutra_log_limit_take(struct lutra_log_limit *limit, uint64_t now_ms, bool all, uint64_t *held);
void lutra_log_limit_fini(struct lutra_log_limit *limit);

#endif
