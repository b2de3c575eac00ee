#include "base/config.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "base/yaml.h"

/* Variables of tools and tests, which a service does not read; a trailing * is any rest. */
static const char *const env_ignored[] = {
    "LUTRA_TEST_*",    "LUTRA_DEMO_*", "LUTRA_BENCH_*",       "LUTRA_LOCAL_*",
    "LUTRA_MANAGER",   "LUTRA_KAFKA",  "LUTRA_SOURCE_SOCKET", "LUTRA_TARGET_SOCKET",
    "LUTRA_ZOOKEEPER", NULL,
};

struct loading {
    const struct lutra_config_key *keys;
    const char *path; /* of the file, for messages; NULL: none */
    void *out;
    bool *given;
    struct lutra_error *err;
};

static void *member(const struct lutra_config_key *key, void *config)
{
    return (char *)config + key->offset;
}

static const void *const_member(const struct lutra_config_key *key, const void *config)
{
    return (const char *)config + key->offset;
}

static size_t count_keys(const struct lutra_config_key *keys)
{
    size_t n = 0;

    while (keys[n].key) {
        n++;
    }
    return n;
}

static const char *type_name(enum lutra_config_type type)
{
    switch (type) {
    case LUTRA_CONFIG_STRING:
        return "text";
    case LUTRA_CONFIG_BOOL:
        return "true or false";
    case LUTRA_CONFIG_U64:
        return "whole number";
    case LUTRA_CONFIG_SIZE_BYTES:
        return "size such as 64MiB";
    case LUTRA_CONFIG_DURATION_MS:
        return "duration such as 500ms, 10s or 5m";
    case LUTRA_CONFIG_MAP:
        return "mapping";
    }
    return "value";
}

static void put_number(struct lutra_buf *out, enum lutra_config_type type, uint64_t v)
{
    if (type == LUTRA_CONFIG_SIZE_BYTES) {
        lutra_units_put_size(out, v);
    } else if (type == LUTRA_CONFIG_DURATION_MS) {
        lutra_units_put_duration(out, v);
    } else {
        lutra_buf_printf(out, "%" PRIu64, v);
    }
}

static uint64_t max_of(const struct lutra_config_key *key)
{
    return key->max ? key->max : UINT64_MAX;
}

static int parse_number(const struct lutra_config_key *key, const char *text, uint64_t *v)
{
    int rc = key->type == LUTRA_CONFIG_SIZE_BYTES    ? lutra_units_parse_size(text, v)
             : key->type == LUTRA_CONFIG_DURATION_MS ? lutra_units_parse_duration(text, v)
                                                     : lutra_units_parse_u64(text, v);

    return rc == 0 && *v >= key->min && *v <= max_of(key) ? 0 : -1;
}

/* `where` is "file:line:column", or the variable's name. A secret is not repeated in the message.
 */
static int refuse_value(const struct lutra_config_key *key,
                        const char *text,
                        const char *where,
                        struct lutra_error *err)
{
    struct lutra_buf msg = {0};

    lutra_buf_printf(&msg, "%s: ", key->key);
    if (!key->secret) {
        lutra_buf_printf(&msg, "\"%.60s\", ", text);
    }
    lutra_buf_printf(&msg, "expected %s%s", key->type == LUTRA_CONFIG_BOOL ? "" : "a ",
                     type_name(key->type));
    if (key->type != LUTRA_CONFIG_BOOL) {
        lutra_buf_printf(&msg, ", ");
        put_number(&msg, key->type, key->min);
        lutra_buf_printf(&msg, key->max ? " to " : " or more");
        if (key->max) {
            put_number(&msg, key->type, key->max);
        }
    }
    lutra_error_set(err, LUTRA_CONFIG, 0, "%s: %s", where, lutra_buf_cstr(&msg));
    lutra_buf_fini(&msg);
    return -1;
}

static int set_text(const struct lutra_config_key *key,
                    const char *text,
                    const char *where,
                    void *out,
                    struct lutra_error *err)
{
    switch (key->type) {
    case LUTRA_CONFIG_STRING: {
        char **value = member(key, out);

        lutra_free(*value);
        *value = lutra_strdup(text);
        return 0;
    }
    case LUTRA_CONFIG_BOOL:
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
            *(bool *)member(key, out) = text[0] == 't';
            return 0;
        }
        return refuse_value(key, text, where, err);
    case LUTRA_CONFIG_U64:
    case LUTRA_CONFIG_SIZE_BYTES:
    case LUTRA_CONFIG_DURATION_MS: {
        uint64_t v;

        if (parse_number(key, text, &v) < 0) {
            return refuse_value(key, text, where, err);
        }
        *(uint64_t *)member(key, out) = v;
        return 0;
    }
    case LUTRA_CONFIG_MAP:
        break;
    }
    return lutra_error_set(err, LUTRA_CONFIG, 0, "%s: %s: a mapping is given in the file only",
                           where, key->key);
}

/* --- the file --- */

static void map_add(struct lutra_config_map *map, const char *key, const char *value)
{
    map->keys = lutra_realloc(map->keys, (map->n + 1) * sizeof(char *));
    map->values = lutra_realloc(map->values, (map->n + 1) * sizeof(char *));
    map->keys[map->n] = lutra_strdup(key);
    map->values[map->n] = lutra_strdup(value);
    map->n++;
}

/* {a: {b: 1}, c.d: 2} gives a.b and c.d. */
static int fill_map(struct loading *loading,
                    struct lutra_config_map *map,
                    const char *prefix,
                    const struct lutra_yaml *node)
{
    if (lutra_yaml_is_null(node)) {
        return 0;
    }
    if (node->kind != LUTRA_YAML_MAPPING) {
        return lutra_yaml_error(node, loading->path, loading->err, "expected a mapping");
    }
    for (size_t i = 0; i < node->n; i++) {
        LUTRA_AUTO_FREE char *key =
            lutra_asprintf("%s%s%s", prefix, *prefix ? "." : "", node->keys[i]->text);
        const struct lutra_yaml *value = node->items[i];

        if (value->kind == LUTRA_YAML_MAPPING) {
            if (fill_map(loading, map, key, value) < 0) {
                return -1;
            }
            continue;
        }
        if (!lutra_yaml_str(value, loading->path, loading->err)) {
            return lutra_error_wrap(loading->err, "%s", key);
        }
        for (size_t k = 0; k < map->n; k++) {
            if (strcmp(map->keys[k], key) == 0) {
                return lutra_yaml_error(value, loading->path, loading->err, "%s is given twice",
                                        key);
            }
        }
        map_add(map, key, value->text);
    }
    return 0;
}

static int set_node(struct loading *loading, size_t i, const struct lutra_yaml *node)
{
    const struct lutra_config_key *key = &loading->keys[i];
    LUTRA_AUTO_FREE char *where =
        lutra_asprintf("%s:%u:%u", loading->path, node->line, node->column);

    if (loading->given[i]) {
        return lutra_yaml_error(node, loading->path, loading->err, "%s is given twice", key->key);
    }
    loading->given[i] = true;
    if (key->type == LUTRA_CONFIG_MAP) {
        return fill_map(loading, member(key, loading->out), "", node);
    }
    if (node->kind != LUTRA_YAML_SCALAR || lutra_yaml_is_null(node)) {
        return lutra_yaml_error(node, loading->path, loading->err, "%s: expected a %s", key->key,
                                type_name(key->type));
    }
    return set_text(key, node->text, where, loading->out, loading->err);
}

static int refuse_key(struct loading *loading, const struct lutra_yaml *node, const char *name)
{
    size_t n = count_keys(loading->keys);
    LUTRA_AUTO_FREE const char **names = lutra_alloc((n + 1) * sizeof(char *));
    const char *near;

    for (size_t i = 0; i < n; i++) {
        names[i] = loading->keys[i].key;
    }
    near = lutra_did_you_mean(name, names);
    if (near) {
        return lutra_yaml_error(node, loading->path, loading->err,
                                "unknown key \"%s\", did you mean \"%s\"?", name, near);
    }
    return lutra_yaml_error(node, loading->path, loading->err, "unknown key \"%s\"", name);
}

static bool is_section(const struct lutra_config_key *keys, const char *name)
{
    size_t len = strlen(name);

    for (; keys->key; keys++) {
        if (strncmp(keys->key, name, len) == 0 && keys->key[len] == '.') {
            return true;
        }
    }
    return false;
}

static int read_section(struct loading *loading, const char *prefix, const struct lutra_yaml *node)
{
    if (lutra_yaml_is_null(node)) {
        return 0;
    }
    if (node->kind != LUTRA_YAML_MAPPING) {
        return lutra_yaml_error(node, loading->path, loading->err, "%s%sexpected a mapping", prefix,
                                *prefix ? ": " : "");
    }
    for (size_t i = 0; i < node->n; i++) {
        LUTRA_AUTO_FREE char *name =
            lutra_asprintf("%s%s%s", prefix, *prefix ? "." : "", node->keys[i]->text);
        size_t k = 0;
        int rc;

        while (loading->keys[k].key && strcmp(loading->keys[k].key, name) != 0) {
            k++;
        }
        if (loading->keys[k].key) {
            rc = set_node(loading, k, node->items[i]);
        } else if (is_section(loading->keys, name)) {
            rc = read_section(loading, name, node->items[i]);
        } else {
            rc = refuse_key(loading, node->keys[i], name);
        }
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

/* --- the environment --- */

static char *env_name(const char *key)
{
    char *name = lutra_asprintf("LUTRA_%s", key);

    for (char *c = name; *c; c++) {
        *c = *c == '.' || *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    }
    return name;
}

static bool env_is_ignored(const char *name)
{
    for (size_t i = 0; env_ignored[i]; i++) {
        size_t len = strlen(env_ignored[i]);

        if (env_ignored[i][len - 1] == '*' ? strncmp(name, env_ignored[i], len - 1) == 0
                                           : strcmp(name, env_ignored[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int refuse_variable(const char *name, char *const *names, struct lutra_error *err)
{
    const char *near = lutra_did_you_mean(name, (const char *const *)names);

    if (near) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "environment: unknown variable %s, did you mean %s?", name, near);
    }
    return lutra_error_set(err, LUTRA_CONFIG, 0, "environment: unknown variable %s", name);
}

static int set_variable(struct loading *loading, const char *variable, char *const *names)
{
    const char *value = strchr(variable, '=');
    LUTRA_AUTO_FREE char *name = NULL;
    LUTRA_AUTO_FREE char *where = NULL;

    if (!value || strncmp(variable, "LUTRA_", 6) != 0) {
        return 0;
    }
    name = lutra_strndup(variable, (size_t)(value - variable));
    where = lutra_asprintf("environment: %s", name);
    for (size_t i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0 && loading->keys[i].type != LUTRA_CONFIG_MAP) {
            loading->given[i] = true;
            return set_text(&loading->keys[i], value + 1, where, loading->out, loading->err);
        }
    }
    return env_is_ignored(name) ? 0 : refuse_variable(name, names, loading->err);
}

static int read_environment(struct loading *loading)
{
    size_t n = count_keys(loading->keys);
    char **names = lutra_alloc((n + 1) * sizeof(char *));
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        names[i] = env_name(loading->keys[i].key);
    }
    for (char *const *variable = environ; variable && *variable && rc == 0; variable++) {
        rc = set_variable(loading, *variable, names);
    }
    for (size_t i = 0; i < n; i++) {
        lutra_free(names[i]);
    }
    lutra_free(names);
    return rc;
}

/* --- the whole --- */

static void set_zero(const struct lutra_config_key *key, void *out)
{
    switch (key->type) {
    case LUTRA_CONFIG_STRING:
        *(char **)member(key, out) = NULL;
        break;
    case LUTRA_CONFIG_BOOL:
        *(bool *)member(key, out) = false;
        break;
    case LUTRA_CONFIG_U64:
    case LUTRA_CONFIG_SIZE_BYTES:
    case LUTRA_CONFIG_DURATION_MS:
        *(uint64_t *)member(key, out) = 0;
        break;
    case LUTRA_CONFIG_MAP:
        *(struct lutra_config_map *)member(key, out) = (struct lutra_config_map){0};
        break;
    }
}

static void set_defaults(const struct lutra_config_key *keys, void *out)
{
    for (; keys->key; keys++) {
        struct lutra_error err = {0};

        set_zero(keys, out);
        if (keys->def && keys->type != LUTRA_CONFIG_MAP &&
            set_text(keys, keys->def, "default", out, &err) < 0) {
            lutra_panic(__FILE__, __LINE__, keys->key, err.msg);
        }
    }
}

static int check_required(const struct loading *loading)
{
    for (size_t i = 0; loading->keys[i].key; i++) {
        const struct lutra_config_key *key = &loading->keys[i];

        if (!key->def && key->type != LUTRA_CONFIG_MAP && !loading->given[i]) {
            LUTRA_AUTO_FREE char *name = env_name(key->key);

            return lutra_error_set(loading->err, LUTRA_CONFIG, 0,
                                   "%s: \"%s\" is required (or the variable %s): %s",
                                   loading->path ? loading->path : "configuration", key->key, name,
                                   key->help ? key->help : "no default");
        }
    }
    return 0;
}

static int read_file(struct loading *loading)
{
    struct lutra_yaml *root;
    int rc;

    if (!loading->path) {
        return 0;
    }
    root = lutra_yaml_load(loading->path, loading->err);
    if (!root) {
        return -1;
    }
    rc = read_section(loading, "", root);
    lutra_yaml_free(root);
    return rc;
}

int lutra_config_load(const struct lutra_config_key *keys,
                      const char *path,
                      void *out,
                      struct lutra_error *err)
{
    struct loading loading = {.keys = keys, .path = path, .out = out, .err = err};
    int rc;

    loading.given = lutra_alloc(count_keys(keys) * sizeof(bool));
    set_defaults(keys, out);
    rc = read_file(&loading);
    if (rc == 0) {
        rc = read_environment(&loading);
    }
    if (rc == 0) {
        rc = check_required(&loading);
    }
    lutra_free(loading.given);
    if (rc < 0) {
        lutra_config_fini(keys, out);
    }
    return rc;
}

void lutra_config_fini(const struct lutra_config_key *keys, void *config)
{
    for (; keys->key; keys++) {
        if (keys->type == LUTRA_CONFIG_STRING) {
            lutra_free(*(char **)member(keys, config));
        } else if (keys->type == LUTRA_CONFIG_MAP) {
            struct lutra_config_map *map = member(keys, config);

            for (size_t i = 0; i < map->n; i++) {
                lutra_free(map->keys[i]);
                lutra_free(map->values[i]);
            }
            lutra_free(map->keys);
            lutra_free(map->values);
        }
        set_zero(keys, config);
    }
}

/* --- showing it --- */

static void put_quoted(struct lutra_buf *out, const char *text)
{
    lutra_buf_put_u8(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7f) {
            lutra_buf_printf(out, "\\x%02x", c);
        } else {
            if (c == '"' || c == '\\') {
                lutra_buf_put_u8(out, '\\');
            }
            lutra_buf_put_u8(out, c);
        }
    }
    lutra_buf_put_u8(out, '"');
}

static void indent(struct lutra_buf *out, unsigned depth)
{
    lutra_buf_printf(out, "%*s", (int)depth * 2, "");
}

/* A passed-through key that holds a secret, going by its name. */
static bool looks_secret(const char *key)
{
    static const char *const words[] = {"password", "passphrase", "secret", "token", "key.pem"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasestr(key, words[i])) {
            return true;
        }
    }
    return false;
}

static void print_map(const struct lutra_config_key *key,
                      const struct lutra_config_map *map,
                      unsigned depth,
                      struct lutra_buf *out)
{
    lutra_buf_printf(out, map->n ? "\n" : " {}\n");
    for (size_t i = 0; i < map->n; i++) {
        indent(out, depth + 1);
        put_quoted(out, map->keys[i]);
        lutra_buf_printf(out, ": ");
        put_quoted(out, key->secret || looks_secret(map->keys[i]) ? "***" : map->values[i]);
        lutra_buf_put_u8(out, '\n');
    }
}

static void print_value(const struct lutra_config_key *key,
                        const void *config,
                        unsigned depth,
                        struct lutra_buf *out)
{
    const void *value = const_member(key, config);

    if (key->type == LUTRA_CONFIG_MAP) {
        print_map(key, value, depth, out);
        return;
    }
    lutra_buf_put_u8(out, ' ');
    if (key->secret) {
        put_quoted(out, "***");
    } else if (key->type == LUTRA_CONFIG_STRING) {
        const char *text = *(char *const *)value;

        put_quoted(out, text ? text : "");
    } else if (key->type == LUTRA_CONFIG_BOOL) {
        lutra_buf_printf(out, *(const bool *)value ? "true" : "false");
    } else {
        put_number(out, key->type, *(const uint64_t *)value);
    }
    lutra_buf_put_u8(out, '\n');
}

/* Is this the first key of the table in the section that the first `len` bytes of its name say? */
static bool opens_section(const struct lutra_config_key *keys, size_t i, size_t len)
{
    for (size_t k = 0; k < i; k++) {
        if (strncmp(keys[k].key, keys[i].key, len) == 0) {
            return false;
        }
    }
    return true;
}

/* The keys that begin with the first `len` bytes of `prefix`, in the table's order. */
static void print_section(const struct lutra_config_key *keys,
                          const void *config,
                          const char *prefix,
                          size_t len,
                          unsigned depth,
                          struct lutra_buf *out)
{
    for (size_t i = 0; keys[i].key; i++) {
        const char *rest = keys[i].key + len, *dot;

        if (strncmp(keys[i].key, prefix, len) != 0) {
            continue;
        }
        dot = strchr(rest, '.');
        if (!dot) {
            indent(out, depth);
            lutra_buf_printf(out, "%s:", rest);
            print_value(&keys[i], config, depth, out);
        } else if (opens_section(keys, i, (size_t)(dot + 1 - keys[i].key))) {
            indent(out, depth);
            lutra_buf_printf(out, "%.*s:\n", (int)(dot - rest), rest);
            print_section(keys, config, keys[i].key, (size_t)(dot + 1 - keys[i].key), depth + 1,
                          out);
        }
    }
}

void lutra_config_print(const struct lutra_config_key *keys,
                        const void *config,
                        struct lutra_buf *out)
{
    print_section(keys, config, "", 0, 0, out);
}

void lutra_config_document(const struct lutra_config_key *keys, struct lutra_buf *out)
{
    lutra_buf_printf(out, "| key | type | default | range | variable | meaning |\n"
                          "|---|---|---|---|---|---|\n");
    for (; keys->key; keys++) {
        LUTRA_AUTO_FREE char *name = env_name(keys->key);
        bool number = keys->type == LUTRA_CONFIG_U64 || keys->type == LUTRA_CONFIG_SIZE_BYTES ||
                      keys->type == LUTRA_CONFIG_DURATION_MS;

        lutra_buf_printf(out, "| `%s` | %s | ", keys->key, type_name(keys->type));
        if (keys->type == LUTRA_CONFIG_MAP) {
            lutra_buf_printf(out, "empty | ");
        } else if (keys->def) {
            lutra_buf_printf(out, "`%s` | ", *keys->def ? keys->def : "\"\"");
        } else {
            lutra_buf_printf(out, "required | ");
        }
        if (number) {
            put_number(out, keys->type, keys->min);
            lutra_buf_printf(out, keys->max ? " to " : " or more");
            if (keys->max) {
                put_number(out, keys->type, keys->max);
            }
        }
        lutra_buf_printf(out, " | %s%s%s | %s |\n", keys->type == LUTRA_CONFIG_MAP ? "" : "`",
                         keys->type == LUTRA_CONFIG_MAP ? "" : name,
                         keys->type == LUTRA_CONFIG_MAP ? "" : "`", keys->help ? keys->help : "");
    }
}
