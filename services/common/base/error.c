#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages are one log line: what a server or a file put into them must not break it. */
static void one_line(char *msg)
{
    size_t len = strlen(msg);

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)msg[i] < 0x20 || msg[i] == 0x7f) {
            msg[i] = ' ';
        }
    }
    while (len > 0 && msg[len - 1] == ' ') {
        msg[--len] = '\0';
    }
}

int lutra_error_set(
    struct lutra_error *err, enum lutra_error_class class, int code, const char *fmt, ...)
{
    char msg[sizeof(err->msg)]; /* an argument may point into err->msg */
    va_list ap;

    if (!err) {
        return -1;
    }
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    one_line(msg);
    err->class = class;
    err->code = code;
    memcpy(err->msg, msg, strlen(msg) + 1);
    return -1;
}

int lutra_error_wrap(struct lutra_error *err, const char *fmt, ...)
{
    char context[sizeof(err->msg)], msg[2 * sizeof(err->msg) + 2];
    va_list ap;

    if (!err) {
        return -1;
    }
    va_start(ap, fmt);
    vsnprintf(context, sizeof(context), fmt, ap);
    va_end(ap);
    snprintf(msg, sizeof(msg), "%s: %s", context, err->msg);
    msg[sizeof(err->msg) - 1] = '\0';
    one_line(msg);
    memcpy(err->msg, msg, strlen(msg) + 1);
    return -1;
}

void lutra_error_clear(struct lutra_error *err)
{
    if (err) {
        err->class = LUTRA_OK;
        err->code = 0;
        err->msg[0] = '\0';
    }
}

const char *lutra_error_class_name(enum lutra_error_class class)
{
    switch (class) {
    case LUTRA_OK:
        return "ok";
    case LUTRA_RETRY:
        return "retry";
    case LUTRA_DATA:
        return "data";
    case LUTRA_FENCED:
        return "fenced";
    case LUTRA_CONFIG:
        return "config";
    case LUTRA_FATAL:
        return "fatal";
    case LUTRA_BUG:
        return "bug";
    }
    return "unknown";
}

void lutra_panic(const char *file, int line, const char *func, const char *what)
{
    fprintf(stderr, "panic at %s:%d in %s: %s\n", file, line, func, what);
    fflush(stderr);
    abort();
}
