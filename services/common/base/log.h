/* Structured logging to stderr: one event, one line, logfmt (or JSON). No row values above DEBUG,
 * no secrets at any level. Repeats of one event are rate limited: more than 20 a second become a
 * count (event log.repeats); DEBUG is not limited, since who asks for it wants all of it.
 *
 *   LUTRA_INFO("load.fence_made", LUTRA_F_STR("pipeline", id), LUTRA_F_U64("fence", fence));
 *   ts=2026-11-23T21:43:30.123Z level=info service=load event=load.fence_made pipeline=demo fence=7
 *
 * Event names are API: tests and runbooks look for them. */
#ifndef LUTRA_BASE_LOG_H
#define LUTRA_BASE_LOG_H

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum lutra_log_level { LUTRA_LOG_DEBUG, LUTRA_LOG_INFO, LUTRA_LOG_WARN, LUTRA_LOG_ERROR };

struct lutra_log_field {
    const char *key;
    enum { LUTRA_FIELD_STR, LUTRA_FIELD_U64, LUTRA_FIELD_I64, LUTRA_FIELD_F64 } type;
    union {
        const char *str; /* NULL prints as empty */
        uint64_t u64;
        int64_t i64;
        double f64;
    };
};

#define LUTRA_F_STR(k, v) \
    ((struct lutra_log_field){.key = (k), .type = LUTRA_FIELD_STR, .str = (v)})
#define LUTRA_F_U64(k, v) \
    ((struct lutra_log_field){.key = (k), .type = LUTRA_FIELD_U64, .u64 = (uint64_t)(v)})
#define LUTRA_F_I64(k, v) \
    ((struct lutra_log_field){.key = (k), .type = LUTRA_FIELD_I64, .i64 = (int64_t)(v)})
#define LUTRA_F_F64(k, v) \
    ((struct lutra_log_field){.key = (k), .type = LUTRA_FIELD_F64, .f64 = (double)(v)})
/* The error's class and message as class=... error="..." */
#define LUTRA_F_ERR(e) \
    LUTRA_F_STR("class", lutra_error_class_name((e)->class)), LUTRA_F_STR("error", (e)->msg)

#define LUTRA_LOG(level, event, ...)                                                 \
    lutra_log_write((level), (event), (const struct lutra_log_field[]){__VA_ARGS__}, \
                    sizeof((const struct lutra_log_field[]){__VA_ARGS__}) /          \
                        sizeof(struct lutra_log_field))
#define LUTRA_DEBUG(event, ...) LUTRA_LOG(LUTRA_LOG_DEBUG, event, __VA_ARGS__)
#define LUTRA_INFO(event, ...) LUTRA_LOG(LUTRA_LOG_INFO, event, __VA_ARGS__)
#define LUTRA_WARN(event, ...) LUTRA_LOG(LUTRA_LOG_WARN, event, __VA_ARGS__)
#define LUTRA_ERROR(event, ...) LUTRA_LOG(LUTRA_LOG_ERROR, event, __VA_ARGS__)

/* @thread any. At least one field is required (ISO C). */
void lutra_log_write(enum lutra_log_level level,
                     const char *event,
                     const struct lutra_log_field *fields,
                     size_t n_fields);

/* Called once at start. service and instance stand on every line; json: JSON instead of logfmt. */
void lutra_log_setup(const char *service, const char *instance, enum lutra_log_level min, int json);
int lutra_log_level_parse(const char *text, enum lutra_log_level *level); /* -1: no such level */

#endif
