/* DESIGN: a line is built in memory and written with one write(2), so that lines of several threads
 * and processes on one stderr do not mix. The lock covers the rate limit only, never the write. */
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log_limit.h"

/* One value never makes a line endless. */
enum { MAX_VALUE_BYTES = 8192 };

static struct {
    char service[64], instance[128];
    enum lutra_log_level min;
    bool json;
} settings = {.min = LUTRA_LOG_INFO};

static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lutra_log_limit limit;
static uint64_t next_sweep_ms; /* when held-back lines are looked for again */

static const char *const level_names[] = {
    [LUTRA_LOG_DEBUG] = "debug",
    [LUTRA_LOG_INFO] = "info",
    [LUTRA_LOG_WARN] = "warn",
    [LUTRA_LOG_ERROR] = "error",
};

/* Length of the UTF-8 character at s (1..4), 0 when it is none. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (len == 0 || len > left || s[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) {
        return 0;
    }
    return len;
}

static void put_control(struct lutra_buf *line, unsigned char c, bool json)
{
    switch (c) {
    case '\n':
        lutra_buf_append(line, "\\n", 2);
        break;
    case '\r':
        lutra_buf_append(line, "\\r", 2);
        break;
    case '\t':
        lutra_buf_append(line, "\\t", 2);
        break;
    default:
        lutra_buf_printf(line, json ? "\\u%04x" : "\\x%02x", c);
    }
}

static void put_quoted(struct lutra_buf *line, const char *text, size_t len, bool json)
{
    const unsigned char *s = (const unsigned char *)text;

    lutra_buf_put_u8(line, '"');
    for (size_t i = 0; i < len;) {
        size_t n = utf8_len(s + i, len - i);

        if (n == 0) {
            if (json) { /* JSON is UTF-8; a raw byte has no way to say itself */
                lutra_buf_append(line, "\\ufffd", 6);
            } else {
                lutra_buf_printf(line, "\\x%02x", s[i]);
            }
            i++;
            continue;
        }
        if (s[i] < 0x20 || s[i] == 0x7f) {
            put_control(line, s[i], json);
        } else {
            if (s[i] == '"' || s[i] == '\\') {
                lutra_buf_put_u8(line, '\\');
            }
            lutra_buf_append(line, s + i, n);
        }
        i += n;
    }
    lutra_buf_put_u8(line, '"');
}

static bool needs_quotes(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t n = utf8_len((const unsigned char *)text + i, len - i);

        if (n == 0 || c <= ' ' || c == '=' || c == '"' || c == '\\' || c == 0x7f) {
            return true;
        }
        i += n;
    }
    return len == 0;
}

static void put_key(struct lutra_buf *line, const char *key)
{
    if (settings.json) {
        lutra_buf_put_u8(line, line->len == 0 ? '{' : ',');
        put_quoted(line, key, strlen(key), true);
        lutra_buf_put_u8(line, ':');
    } else {
        if (line->len > 0) {
            lutra_buf_put_u8(line, ' ');
        }
        lutra_buf_printf(line, "%s=", key);
    }
}

static void put_str(struct lutra_buf *line, const char *key, const char *value)
{
    const char *text = value ? value : "";
    size_t len = strlen(text);
    bool cut = len > MAX_VALUE_BYTES;

    if (cut) {
        len = MAX_VALUE_BYTES;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
            len--; /* not in the middle of a character */
        }
    }
    put_key(line, key);
    if (settings.json || needs_quotes(text, len)) {
        put_quoted(line, text, len, settings.json);
    } else {
        lutra_buf_append(line, text, len);
    }
    if (cut) {
        put_str(line, "cut", key);
    }
}

/* Row values are for operators who may see them, not for whoever collects logs. */
static void
put_text(struct lutra_buf *line, enum lutra_log_level level, const struct lutra_log_field *field)
{
    const char *values = field->str ? strstr(field->str, LUTRA_ERROR_VALUES) : NULL;
    struct lutra_buf public = {0};

    if (!values || level == LUTRA_LOG_DEBUG) {
        put_str(line, field->key, field->str);
        return;
    }
    lutra_buf_append(&public, field->str, (size_t)(values - field->str));
    lutra_buf_printf(&public, LUTRA_ERROR_VALUES "***");
    put_str(line, field->key, lutra_buf_cstr(&public));
    lutra_buf_fini(&public);
}

static void
put_field(struct lutra_buf *line, enum lutra_log_level level, const struct lutra_log_field *field)
{
    switch (field->type) {
    case LUTRA_FIELD_STR:
        put_text(line, level, field);
        break;
    case LUTRA_FIELD_U64:
        put_key(line, field->key);
        lutra_buf_printf(line, "%" PRIu64, field->u64);
        break;
    case LUTRA_FIELD_I64:
        put_key(line, field->key);
        lutra_buf_printf(line, "%" PRId64, field->i64);
        break;
    case LUTRA_FIELD_F64:
        put_key(line, field->key);
        if (settings.json && !isfinite(field->f64)) {
            lutra_buf_append(line, "null", 4);
        } else {
            lutra_buf_printf(line, "%.9g", field->f64);
        }
        break;
    }
}

static void write_all(const struct lutra_buf *line)
{
    size_t done = 0;

    while (done < line->len) {
        ssize_t n = write(STDERR_FILENO, line->data + done, line->len - done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return; /* nobody reads our log: nowhere to say so */
        }
        done += (size_t)n;
    }
}

static void write_line(enum lutra_log_level level,
                       const char *event,
                       const struct lutra_log_field *fields,
                       size_t n_fields)
{
    struct lutra_buf line = {0};
    char ts[32];
    int saved_errno = errno;

    put_str(&line, "ts", lutra_clock_format_us(lutra_clock_wall_us(), ts));
    put_str(&line, "level", level_names[level]);
    if (settings.service[0]) {
        put_str(&line, "service", settings.service);
    }
    if (settings.instance[0]) {
        put_str(&line, "instance", settings.instance);
    }
    put_str(&line, "event", event);
    for (size_t i = 0; i < n_fields; i++) {
        put_field(&line, level, &fields[i]);
    }
    if (settings.json) {
        lutra_buf_put_u8(&line, '}');
    }
    lutra_buf_put_u8(&line, '\n');
    write_all(&line);
    lutra_buf_fini(&line);
    errno = saved_errno;
}

/* Tells how many lines were held back, of events whose second is over (or of all). */
static void tell_held(uint64_t now_ms, bool all)
{
    for (;;) {
        char of[128];
        uint64_t held = 0;
        const char *event;

        pthread_mutex_lock(&limit_lock);
        event = lutra_log_limit_take(&limit, now_ms, all, &held);
        if (event) {
            strncpy(of, event, sizeof(of) - 1);
            of[sizeof(of) - 1] = '\0';
        }
        pthread_mutex_unlock(&limit_lock);
        if (!event) {
            return;
        }
        const struct lutra_log_field fields[] = {LUTRA_F_STR("of", of), LUTRA_F_U64("lines", held)};
        write_line(LUTRA_LOG_WARN, "log.repeats", fields, 2);
    }
}

static void tell_at_exit(void)
{
    tell_held(0, true);
}

void lutra_log_write(enum lutra_log_level level,
                     const char *event,
                     const struct lutra_log_field *fields,
                     size_t n_fields)
{
    uint64_t now_ms;
    bool pass = true, sweep = false;

    if (level < settings.min) {
        return;
    }
    now_ms = lutra_clock_now_ms();
    pthread_mutex_lock(&limit_lock);
    if (level > LUTRA_LOG_DEBUG) {
        pass = lutra_log_limit_pass(&limit, event, now_ms);
    }
    if (now_ms >= next_sweep_ms) {
        next_sweep_ms = now_ms + 1000;
        sweep = true;
    }
    pthread_mutex_unlock(&limit_lock);
    if (sweep) {
        tell_held(now_ms, false);
    }
    if (pass) {
        write_line(level, event, fields, n_fields);
    }
}

void lutra_log_setup(const char *service, const char *instance, enum lutra_log_level min, int json)
{
    static bool registered;

    strncpy(settings.service, service ? service : "", sizeof(settings.service) - 1);
    strncpy(settings.instance, instance ? instance : "", sizeof(settings.instance) - 1);
    settings.min = min;
    settings.json = json != 0;
    if (!registered) {
        registered = true;
        atexit(tell_at_exit);
    }
}

int lutra_log_level_parse(const char *text, enum lutra_log_level *level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (text && strcmp(text, level_names[i]) == 0) {
            *level = (enum lutra_log_level)i;
            return 0;
        }
    }
    return -1;
}
