/* Values from the tree, with errors that say where and what would be right. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "base/yaml.h"

int lutra_yaml_error(
    const struct lutra_yaml *node, const char *name, struct lutra_error *err, const char *fmt, ...)
{
    char msg[900];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    if (!node) {
        return lutra_error_set(err, LUTRA_CONFIG, 0, "%s: %s", name, msg);
    }
    return lutra_error_set(err, LUTRA_CONFIG, 0, "%s:%u:%u: %s", name, node->line, node->column,
                           msg);
}

struct lutra_yaml *lutra_yaml_get(const struct lutra_yaml *map, const char *key)
{
    if (!map || map->kind != LUTRA_YAML_MAPPING) {
        return NULL;
    }
    for (size_t i = 0; i < map->n; i++) {
        if (strcmp(map->keys[i]->text, key) == 0) {
            return map->items[i];
        }
    }
    return NULL;
}

bool lutra_yaml_is_null(const struct lutra_yaml *node)
{
    return !node || (node->kind == LUTRA_YAML_SCALAR && node->plain &&
                     (strcmp(node->text, "") == 0 || strcmp(node->text, "~") == 0 ||
                      strcmp(node->text, "null") == 0));
}

/* What stands there, for messages: a quoted text, cut, or the kind. */
static const char *found(const struct lutra_yaml *node, char buf[64])
{
    if (!node) {
        return "nothing";
    }
    if (node->kind != LUTRA_YAML_SCALAR) {
        return node->kind == LUTRA_YAML_MAPPING ? "a mapping" : "a list";
    }
    if (lutra_yaml_is_null(node)) {
        return "no value";
    }
    snprintf(buf, 64, "\"%.50s%s\"", node->text, strlen(node->text) > 50 ? "..." : "");
    return buf;
}

const char *lutra_yaml_str(const struct lutra_yaml *node, const char *name, struct lutra_error *err)
{
    char buf[64];

    if (!node || node->kind != LUTRA_YAML_SCALAR || lutra_yaml_is_null(node)) {
        lutra_yaml_error(node, name, err, "%s, expected a text", found(node, buf));
        return NULL;
    }
    return node->text;
}

int lutra_yaml_u64(const struct lutra_yaml *node,
                   const char *name,
                   uint64_t min,
                   uint64_t max,
                   uint64_t *out,
                   struct lutra_error *err)
{
    char buf[64];
    uint64_t v;

    if (!node || node->kind != LUTRA_YAML_SCALAR || lutra_units_parse_u64(node->text, &v) < 0 ||
        v < min || v > max) {
        return lutra_yaml_error(node, name, err,
                                "%s, expected a whole number from %" PRIu64 " to %" PRIu64,
                                found(node, buf), min, max);
    }
    *out = v;
    return 0;
}

static int read_unit(const struct lutra_yaml *node,
                     const char *name,
                     uint64_t min,
                     uint64_t max,
                     uint64_t *out,
                     bool size,
                     struct lutra_error *err)
{
    struct lutra_buf range = {0};
    char buf[64];
    uint64_t v;

    if (node && node->kind == LUTRA_YAML_SCALAR &&
        (size ? lutra_units_parse_size(node->text, &v)
              : lutra_units_parse_duration(node->text, &v)) == 0 &&
        v >= min && v <= max) {
        *out = v;
        return 0;
    }
    (size ? lutra_units_put_size : lutra_units_put_duration)(&range, min);
    if (max != UINT64_MAX) {
        lutra_buf_printf(&range, " to ");
        (size ? lutra_units_put_size : lutra_units_put_duration)(&range, max);
    } else {
        lutra_buf_printf(&range, " or more");
    }
    lutra_yaml_error(node, name, err, "%s, expected a %s, %s", found(node, buf),
                     size ? "size such as 64MiB" : "duration such as 500ms, 10s or 5m",
                     lutra_buf_cstr(&range));
    lutra_buf_fini(&range);
    return -1;
}

int lutra_yaml_size_bytes(const struct lutra_yaml *node,
                          const char *name,
                          uint64_t min,
                          uint64_t max,
                          uint64_t *out,
                          struct lutra_error *err)
{
    return read_unit(node, name, min, max, out, true, err);
}

int lutra_yaml_duration_ms(const struct lutra_yaml *node,
                           const char *name,
                           uint64_t min,
                           uint64_t max,
                           uint64_t *out,
                           struct lutra_error *err)
{
    return read_unit(node, name, min, max, out, false, err);
}

int lutra_yaml_bool(const struct lutra_yaml *node,
                    const char *name,
                    bool *out,
                    struct lutra_error *err)
{
    char buf[64];

    if (node && node->kind == LUTRA_YAML_SCALAR && node->plain) {
        if (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0) {
            *out = node->text[0] == 't';
            return 0;
        }
    }
    return lutra_yaml_error(node, name, err, "%s, expected true or false", found(node, buf));
}

/* "a, b, c", at most so much that a message stays readable. */
static void put_list(struct lutra_buf *buf, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        if (buf->len > 400) {
            lutra_buf_printf(buf, ", ...");
            return;
        }
        lutra_buf_printf(buf, "%s%s", i > 0 ? ", " : "", words[i]);
    }
}

static int not_among(const struct lutra_yaml *node,
                     const char *name,
                     const char *what,
                     const char *const *words,
                     struct lutra_error *err)
{
    const char *near = lutra_did_you_mean(node->text, words);
    struct lutra_buf list = {0};
    char buf[64];

    if (near) {
        return lutra_yaml_error(node, name, err, "unknown %s %s, did you mean \"%s\"?", what,
                                found(node, buf), near);
    }
    put_list(&list, words);
    lutra_yaml_error(node, name, err, "unknown %s %s, expected one of %s", what, found(node, buf),
                     lutra_buf_cstr(&list));
    lutra_buf_fini(&list);
    return -1;
}

int lutra_yaml_enum(const struct lutra_yaml *node,
                    const char *name,
                    const char *const *values,
                    unsigned *out,
                    struct lutra_error *err)
{
    if (!lutra_yaml_str(node, name, err)) {
        return -1;
    }
    for (unsigned i = 0; values[i]; i++) {
        if (strcmp(node->text, values[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    return not_among(node, name, "value", values, err);
}

int lutra_yaml_check_keys(const struct lutra_yaml *map,
                          const char *name,
                          const char *const *known,
                          struct lutra_error *err)
{
    char buf[64];

    if (!map || map->kind != LUTRA_YAML_MAPPING) {
        return lutra_yaml_error(map, name, err, "%s, expected a mapping", found(map, buf));
    }
    for (size_t i = 0; i < map->n; i++) {
        size_t k = 0;

        while (known[k] && strcmp(known[k], map->keys[i]->text) != 0) {
            k++;
        }
        if (!known[k]) {
            return not_among(map->keys[i], name, "key", known, err);
        }
    }
    return 0;
}

enum { MAX_WORD = 63 };

/* Edit distance where a swap of neighbours is one edit and upper case is free. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
    unsigned d[MAX_WORD + 1][MAX_WORD + 1];

    for (size_t i = 0; i <= n; i++) {
        d[i][0] = (unsigned)i;
    }
    for (size_t k = 0; k <= m; k++) {
        d[0][k] = (unsigned)k;
    }
    for (size_t i = 1; i <= n; i++) {
        for (size_t k = 1; k <= m; k++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[k - 1]);
            unsigned best = d[i - 1][k - 1] + (x != y);

            best = d[i - 1][k] + 1 < best ? d[i - 1][k] + 1 : best;
            best = d[i][k - 1] + 1 < best ? d[i][k - 1] + 1 : best;
            if (i > 1 && k > 1 && x == tolower((unsigned char)b[k - 2]) &&
                tolower((unsigned char)a[i - 2]) == y && d[i - 2][k - 2] + 1 < best) {
                best = d[i - 2][k - 2] + 1;
            }
            d[i][k] = best;
        }
    }
    return d[n][m];
}

const char *lutra_did_you_mean(const char *word, const char *const *candidates)
{
    size_t len = strlen(word);
    unsigned best = (unsigned)(len / 3 + 1); /* a slip, not another word */
    const char *near = NULL;

    for (size_t i = 0; len > 0 && len <= MAX_WORD && candidates[i]; i++) {
        size_t candidate_len = strlen(candidates[i]);
        unsigned d;

        if (candidate_len > MAX_WORD) {
            continue;
        }
        d = distance(word, len, candidates[i], candidate_len);
        if (d < best || (d == best && !near && len > 2)) {
            best = d;
            near = candidates[i];
        }
    }
    return near;
}
