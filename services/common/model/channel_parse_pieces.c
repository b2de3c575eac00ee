#include "model/channel_parse.h"

#include <string.h>

#include "base/mem.h"

#define NAME_EXPECTED \
    "expected lower-case letters, digits and '-', at most 40, not beginning with '-'"

static const char *kind_name(const struct lutra_yaml *node)
{
    switch (node->kind) {
    case LUTRA_YAML_SCALAR:
        return lutra_yaml_is_null(node) ? "nothing" : "a single value";
    case LUTRA_YAML_SEQUENCE:
        return "a list";
    case LUTRA_YAML_MAPPING:
        break;
    }
    return "a mapping";
}

int lutra_parse_map(const struct lutra_parse *p,
                    const struct lutra_yaml *node,
                    const char *what,
                    const char *const *known)
{
    if (node->kind != LUTRA_YAML_MAPPING) {
        return PARSE_ERROR(p, node, "%s is %s, expected a mapping", what, kind_name(node));
    }
    return known ? lutra_yaml_check_keys(node, p->name, known, p->err) : 0;
}

int lutra_parse_list(const struct lutra_parse *p, const struct lutra_yaml *node, const char *what)
{
    if (node->kind != LUTRA_YAML_SEQUENCE) {
        return PARSE_ERROR(p, node, "%s is %s, expected a list", what, kind_name(node));
    }
    return 0;
}

/* The value of a key that must be there. */
const struct lutra_yaml *lutra_parse_need(const struct lutra_parse *p,
                                          const struct lutra_yaml *map,
                                          const char *key,
                                          const char *expected)
{
    const struct lutra_yaml *node = lutra_yaml_get(map, key);
    if (!node) {
        (void)PARSE_ERROR(p, map, "%s is missing, expected %s", key, expected);
    }
    return node;
}

const struct lutra_yaml *lutra_parse_optional(const struct lutra_yaml *map, const char *key)
{
    const struct lutra_yaml *node = lutra_yaml_get(map, key);
    return node && !lutra_yaml_is_null(node) ? node : NULL;
}

/* One line of text: control characters would break logs, headers and the JSON form. */
static int check_text(const struct lutra_parse *p,
                      const struct lutra_yaml *node,
                      const char *what,
                      const char *text,
                      size_t max_bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t len = strlen(text);
    if (len > max_bytes) {
        return PARSE_ERROR(p, node, "%s has %zu bytes, expected at most %zu", what, len, max_bytes);
    }
    for (size_t i = 0; i < len; i++) {
        bool c1 = s[i] == 0xc2 && s[i + 1] >= 0x80 && s[i + 1] < 0xa0;
        bool separator = s[i] == 0xe2 && s[i + 1] == 0x80 && (s[i + 2] == 0xa8 || s[i + 2] == 0xa9);
        bool mark = s[i] == 0xef && s[i + 1] == 0xbb && s[i + 2] == 0xbf;
        if (s[i] < 0x20 || s[i] == 0x7f || c1 || separator || mark) {
            return PARSE_ERROR(
                p, node, "%s holds a control character, expected one line of plain text", what);
        }
    }
    return 0;
}

int lutra_parse_text(const struct lutra_parse *p,
                     const struct lutra_yaml *node,
                     const char *what,
                     size_t max_bytes,
                     char **out)
{
    if (node->kind != LUTRA_YAML_SCALAR || lutra_yaml_is_null(node) || node->text[0] == '\0') {
        return PARSE_ERROR(p, node, "%s is %s, expected text", what,
                           node->kind == LUTRA_YAML_SCALAR ? "empty" : kind_name(node));
    }
    if (check_text(p, node, what, node->text, max_bytes)) {
        return -1;
    }
    lutra_free(*out);
    *out = lutra_strdup(node->text);
    return 0;
}

int lutra_parse_name(const struct lutra_parse *p,
                     const struct lutra_yaml *node,
                     const char *what,
                     char **out)
{
    if (lutra_parse_text(p, node, what, LUTRA_PARSE_TEXT_BYTES, out)) {
        return -1;
    }
    if (!lutra_name_valid(*out)) {
        return PARSE_ERROR(p, node, "%s \"%s\" is not a name, " NAME_EXPECTED, what, *out);
    }
    return 0;
}

int lutra_parse_u32(const struct lutra_parse *p,
                    const struct lutra_yaml *map,
                    const char *key,
                    uint32_t min,
                    uint32_t max,
                    uint32_t *out)
{
    const struct lutra_yaml *node = lutra_parse_optional(map, key);
    uint64_t v;
    if (!node) {
        return 0;
    }
    if (lutra_yaml_u64(node, p->name, min, max, &v, p->err)) {
        return -1;
    }
    *out = (uint32_t)v;
    return 0;
}

int lutra_parse_size(const struct lutra_parse *p,
                     const struct lutra_yaml *map,
                     const char *key,
                     uint64_t min,
                     uint64_t max,
                     uint64_t *out)
{
    const struct lutra_yaml *node = lutra_parse_optional(map, key);
    return node ? lutra_yaml_size_bytes(node, p->name, min, max, out, p->err) : 0;
}

int lutra_parse_enum(const struct lutra_parse *p,
                     const struct lutra_yaml *map,
                     const char *key,
                     const char *const *values,
                     unsigned *out)
{
    const struct lutra_yaml *node = lutra_parse_optional(map, key);
    return node ? lutra_yaml_enum(node, p->name, values, out, p->err) : 0;
}
