/* A channel definition from YAML or JSON text. Every message says file:line:column, what is wrong
 * and what would be right. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/yaml.h"
#include "model/channel.h"
#include "model/channel_private.h"

enum {
    MAX_TEXT_BYTES = 255,
    MAX_DESCRIPTION_BYTES = 1000,
    MAX_IDENTIFIER_BYTES = 64, /* MySQL's 64 characters */
    MAX_START_BYTES = 65536,   /* a GTID set */
};
#define NAME_EXPECTED \
    "expected lower-case letters, digits and '-', at most 40, not beginning with '-'"

const char *const lutra_start_names[] = {"current", "earliest", "gtid", "file", "checkpoint", NULL};
const char *const lutra_balance_names[] = {"round-robin", "stick", "random", "least-lag", NULL};

struct parse {
    const char *name; /* of the file */
    struct lutra_error *err;
};

#define PARSE_ERROR(p, node, ...) lutra_yaml_error((node), (p)->name, (p)->err, __VA_ARGS__)

/* ---- pieces ---- */

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

static int want_map(const struct parse *p,
                    const struct lutra_yaml *node,
                    const char *what,
                    const char *const *known)
{
    if (node->kind != LUTRA_YAML_MAPPING) {
        return PARSE_ERROR(p, node, "%s is %s, expected a mapping", what, kind_name(node));
    }
    return known ? lutra_yaml_check_keys(node, p->name, known, p->err) : 0;
}

static int want_list(const struct parse *p, const struct lutra_yaml *node, const char *what)
{
    if (node->kind != LUTRA_YAML_SEQUENCE) {
        return PARSE_ERROR(p, node, "%s is %s, expected a list", what, kind_name(node));
    }
    return 0;
}

/* The value of a key that must be there. */
static const struct lutra_yaml *
need(const struct parse *p, const struct lutra_yaml *map, const char *key, const char *expected)
{
    const struct lutra_yaml *node = lutra_yaml_get(map, key);
    if (!node) {
        (void)PARSE_ERROR(p, map, "%s is missing, expected %s", key, expected);
    }
    return node;
}

static const struct lutra_yaml *optional(const struct lutra_yaml *map, const char *key)
{
    const struct lutra_yaml *node = lutra_yaml_get(map, key);
    return node && !lutra_yaml_is_null(node) ? node : NULL;
}

/* One line of text: control characters would break logs, headers and the JSON form. */
static int check_text(const struct parse *p,
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

static int take_text(const struct parse *p,
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

static int
take_name(const struct parse *p, const struct lutra_yaml *node, const char *what, char **out)
{
    if (take_text(p, node, what, MAX_TEXT_BYTES, out)) {
        return -1;
    }
    if (!lutra_name_valid(*out)) {
        return PARSE_ERROR(p, node, "%s \"%s\" is not a name, " NAME_EXPECTED, what, *out);
    }
    return 0;
}

static int take_u32(const struct parse *p,
                    const struct lutra_yaml *map,
                    const char *key,
                    uint32_t min,
                    uint32_t max,
                    uint32_t *out)
{
    const struct lutra_yaml *node = optional(map, key);
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

static int take_size(const struct parse *p,
                     const struct lutra_yaml *map,
                     const char *key,
                     uint64_t min,
                     uint64_t max,
                     uint64_t *out)
{
    const struct lutra_yaml *node = optional(map, key);
    return node ? lutra_yaml_size_bytes(node, p->name, min, max, out, p->err) : 0;
}

static int take_enum(const struct parse *p,
                     const struct lutra_yaml *map,
                     const char *key,
                     const char *const *values,
                     unsigned *out)
{
    const struct lutra_yaml *node = optional(map, key);
    return node ? lutra_yaml_enum(node, p->name, values, out, p->err) : 0;
}

/* ---- sources ---- */

static int
parse_address(const struct parse *p, const struct lutra_yaml *node, struct lutra_endpoint *endpoint)
{
    const struct lutra_yaml *host = optional(node, "host"), *socket = optional(node, "socket"),
                            *port = optional(node, "port");
    uint32_t number = 3306;
    if (!host && !socket) {
        return PARSE_ERROR(p, node, "source %s has no address, expected host or socket",
                           endpoint->name);
    }
    if (host && socket) {
        return PARSE_ERROR(p, socket, "source %s has host and socket, expected one of them",
                           endpoint->name);
    }
    if (socket && port) {
        return PARSE_ERROR(p, port, "source %s has socket and port, expected port with host only",
                           endpoint->name);
    }
    if ((host && take_text(p, host, "host", MAX_TEXT_BYTES, &endpoint->host)) ||
        (socket && take_text(p, socket, "socket", 107, &endpoint->socket)) ||
        take_u32(p, node, "port", 1, 65535, &number)) {
        return -1;
    }
    if (socket && endpoint->socket[0] != '/') {
        return PARSE_ERROR(p, socket, "socket %s is not a path, expected one that begins with /",
                           endpoint->socket);
    }
    endpoint->port = host ? (uint16_t)number : 0;
    return 0;
}

static int parse_password(const struct parse *p,
                          const struct lutra_yaml *node,
                          struct lutra_endpoint *endpoint)
{
    const struct lutra_yaml *file = optional(node, "password_file"),
                            *env = optional(node, "password_env");
    if (lutra_yaml_get(node, "password")) {
        return PARSE_ERROR(
            p, lutra_yaml_get(node, "password"),
            "a password must not stand here, expected password_file or password_env");
    }
    if (file && env) {
        return PARSE_ERROR(
            p, env, "source %s has password_file and password_env, expected at most one of them",
            endpoint->name);
    }
    if ((file && take_text(p, file, "password_file", 4000, &endpoint->password_file)) ||
        (env && take_text(p, env, "password_env", MAX_TEXT_BYTES, &endpoint->password_env))) {
        return -1;
    }
    if (env && strspn(endpoint->password_env,
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") !=
                   strlen(endpoint->password_env)) {
        return PARSE_ERROR(p, env, "password_env \"%s\" is not the name of an environment variable",
                           endpoint->password_env);
    }
    return 0;
}

static int parse_endpoint(const struct parse *p,
                          const struct lutra_yaml *key,
                          const struct lutra_yaml *node,
                          struct lutra_endpoint *endpoint)
{
    /* `password` is known so that its message can say what to write instead. */
    static const char *const known[] = {"type",         "host",     "port",
                                        "socket",       "user",     "password_file",
                                        "password_env", "password", NULL};
    static const char *const types[] = {"mariadb", "mysql", NULL};
    const struct lutra_yaml *type, *user;
    unsigned index;
    if (take_name(p, key, "source", &endpoint->name) || want_map(p, node, "a source", known)) {
        return -1;
    }
    if (!(type = need(p, node, "type", "mariadb or mysql")) ||
        lutra_yaml_enum(type, p->name, types, &index, p->err) || parse_address(p, node, endpoint) ||
        !(user = need(p, node, "user", "the user to connect as")) ||
        take_text(p, user, "user", MAX_TEXT_BYTES, &endpoint->user) ||
        parse_password(p, node, endpoint)) {
        return -1;
    }
    endpoint->flavor = index == 0 ? LUTRA_FLAVOR_MARIADB : LUTRA_FLAVOR_MYSQL;
    return 0;
}

static int by_endpoint_name(const void *a, const void *b)
{
    return strcmp(((const struct lutra_endpoint *)a)->name,
                  ((const struct lutra_endpoint *)b)->name);
}

static int
parse_endpoints(const struct parse *p, const struct lutra_yaml *node, struct lutra_channel *channel)
{
    if (want_map(p, node, "sources", NULL)) {
        return -1;
    }
    channel->endpoints = lutra_alloc((node->n ? node->n : 1) * sizeof(*channel->endpoints));
    for (size_t i = 0; i < node->n; i++) {
        channel->n_endpoints++;
        if (parse_endpoint(p, node->keys[i], node->items[i], &channel->endpoints[i])) {
            return -1;
        }
    }
    if (node->n) { /* one order in the canonical form, whatever that in the file */
        qsort(channel->endpoints, channel->n_endpoints, sizeof(*channel->endpoints),
              by_endpoint_name);
    }
    return 0;
}

/* ---- pairs ---- */

static size_t count_stars(const char *pattern)
{
    size_t n = 0;
    for (; *pattern; pattern++) {
        n += *pattern == '*';
    }
    return n;
}

static int
take_pattern(const struct parse *p, const struct lutra_yaml *node, const char *what, char **out)
{
    if (take_text(p, node, what, MAX_TEXT_BYTES, out)) {
        return -1;
    }
    if (count_stars(*out) > LUTRA_PATTERN_MAX_STARS) {
        return PARSE_ERROR(p, node, "%s has more than %d *", what, LUTRA_PATTERN_MAX_STARS);
    }
    return 0;
}

static int
parse_pair_source(const struct parse *p, const struct lutra_yaml *node, struct lutra_pair *pair)
{
    static const char *const known[] = {"schema", "table", NULL};
    const struct lutra_yaml *schema, *table;
    if (want_map(p, node, "source of a pair", known) ||
        !(schema = need(p, node, "schema", "a schema, * stands for any text")) ||
        take_pattern(p, schema, "schema", &pair->source_schema) ||
        !(table = need(p, node, "table", "a table, * stands for any text")) ||
        take_pattern(p, table, "table", &pair->source_table)) {
        return -1;
    }
    if (lutra_schema_is_system(pair->source_schema)) {
        return PARSE_ERROR(p, schema, "schema %s belongs to the server or to Lutra, expected yours",
                           pair->source_schema);
    }
    return 0;
}

/* A target name: as at the source when left out; its stars stand for the source's, one by one. */
static int parse_pair_target_name(const struct parse *p,
                                  const struct lutra_yaml *map,
                                  const char *key,
                                  const char *source,
                                  char **out)
{
    const struct lutra_yaml *node = map ? optional(map, key) : NULL;
    size_t at_source = count_stars(source);
    if (!node) {
        *out = lutra_strdup(source);
        return 0;
    }
    if (take_text(p, node, key, MAX_TEXT_BYTES, out)) {
        return -1;
    }
    if (count_stars(*out) != 0 && at_source == 0) {
        return PARSE_ERROR(p, node, "%s has a * at the target, expected none as in \"%s\"", key,
                           source);
    }
    if (count_stars(*out) != 0 && count_stars(*out) != at_source) {
        return PARSE_ERROR(p, node, "%s has %zu * at the target, expected none or %zu as in \"%s\"",
                           key, count_stars(*out), at_source, source);
    }
    if (strlen(*out) - count_stars(*out) > MAX_IDENTIFIER_BYTES) {
        return PARSE_ERROR(p, node, "%s has more than %d bytes at the target", key,
                           MAX_IDENTIFIER_BYTES);
    }
    if (lutra_schema_is_system(*out) && strcmp(key, "schema") == 0) {
        return PARSE_ERROR(p, node, "schema %s belongs to the server or to Lutra, expected yours",
                           *out);
    }
    return 0;
}

static int
parse_pair_target(const struct parse *p, const struct lutra_yaml *node, struct lutra_pair *pair)
{
    static const char *const known[] = {"schema", "table", NULL};
    if (node && want_map(p, node, "target of a pair", known)) {
        return -1;
    }
    return parse_pair_target_name(p, node, "schema", pair->source_schema, &pair->target_schema) ||
                   parse_pair_target_name(p, node, "table", pair->source_table, &pair->target_table)
               ? -1
               : 0;
}

static int by_rename_source(const void *a, const void *b)
{
    return strcasecmp(((const struct lutra_column_rename *)a)->source,
                      ((const struct lutra_column_rename *)b)->source);
}

static int
parse_columns(const struct parse *p, const struct lutra_yaml *node, struct lutra_pair *pair)
{
    if (want_map(p, node, "columns", NULL)) {
        return -1;
    }
    pair->renames = lutra_alloc((node->n ? node->n : 1) * sizeof(*pair->renames));
    for (size_t i = 0; i < node->n; i++) {
        struct lutra_column_rename *rename = &pair->renames[pair->n_renames++];
        if (take_text(p, node->keys[i], "column", MAX_TEXT_BYTES, &rename->source) ||
            take_text(p, node->items[i], "column", MAX_TEXT_BYTES, &rename->target)) {
            return -1;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcasecmp(pair->renames[j].source, rename->source) == 0) {
                return PARSE_ERROR(p, node->keys[i], "column %s is renamed twice", rename->source);
            }
            if (strcasecmp(pair->renames[j].target, rename->target) == 0) {
                return PARSE_ERROR(p, node->items[i],
                                   "columns %s and %s are both named %s at the target",
                                   pair->renames[j].source, rename->source, rename->target);
            }
        }
    }
    if (node->n) {
        qsort(pair->renames, pair->n_renames, sizeof(*pair->renames), by_rename_source);
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcasecmp(*(char *const *)a, *(char *const *)b);
}

static int
parse_exclude(const struct parse *p, const struct lutra_yaml *node, struct lutra_pair *pair)
{
    if (want_list(p, node, "exclude")) {
        return -1;
    }
    pair->excluded = lutra_alloc((node->n ? node->n : 1) * sizeof(*pair->excluded));
    for (size_t i = 0; i < node->n; i++) {
        if (take_text(p, node->items[i], "column", MAX_TEXT_BYTES, &pair->excluded[i])) {
            return -1;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcasecmp(pair->excluded[j], pair->excluded[i]) == 0) {
                lutra_free(LUTRA_STEAL(pair->excluded[i]));
                return PARSE_ERROR(p, node->items[i], "column %s is excluded twice",
                                   node->items[i]->text);
            }
        }
        pair->n_excluded++;
        for (size_t j = 0; j < pair->n_renames; j++) {
            if (strcasecmp(pair->renames[j].source, pair->excluded[i]) == 0) {
                return PARSE_ERROR(p, node->items[i],
                                   "column %s is renamed and excluded, expected one of the two",
                                   pair->excluded[i]);
            }
        }
    }
    if (node->n) {
        qsort(pair->excluded, pair->n_excluded, sizeof(*pair->excluded), by_text);
    }
    return 0;
}

static int parse_pair(const struct parse *p, const struct lutra_yaml *node, struct lutra_pair *pair)
{
    static const char *const known[] = {"source", "target", "columns", "exclude", "triggers", NULL};
    static const char *const triggers[] = {"refuse", "allow", NULL};
    const struct lutra_yaml *source, *columns, *exclude;
    unsigned allow = 0;
    if (want_map(p, node, "a pair", known) ||
        !(source = need(p, node, "source", "{schema: ..., table: ...}")) ||
        parse_pair_source(p, source, pair) ||
        parse_pair_target(p, optional(node, "target"), pair) ||
        take_enum(p, node, "triggers", triggers, &allow)) {
        return -1;
    }
    columns = optional(node, "columns");
    exclude = optional(node, "exclude");
    if ((columns && parse_columns(p, columns, pair)) ||
        (exclude && parse_exclude(p, exclude, pair))) {
        return -1;
    }
    pair->allow_triggers = allow == 1;
    return 0;
}

static int
parse_pairs(const struct parse *p, const struct lutra_yaml *node, struct lutra_pipeline_def *def)
{
    if (want_list(p, node, "pairs")) {
        return -1;
    }
    if (node->n == 0) {
        return PARSE_ERROR(p, node, "pairs is empty, expected at least one pair of tables");
    }
    def->pairs = lutra_alloc(node->n * sizeof(*def->pairs));
    for (size_t i = 0; i < node->n; i++) {
        def->n_pairs++;
        if (parse_pair(p, node->items[i], &def->pairs[i])) {
            return -1;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(def->pairs[j].source_schema, def->pairs[i].source_schema) == 0 &&
                strcmp(def->pairs[j].source_table, def->pairs[i].source_table) == 0) {
                return PARSE_ERROR(p, node->items[i],
                                   "the pair of line %u matches the same tables already",
                                   node->items[j]->line);
            }
        }
    }
    return 0;
}

/* ---- pipelines ---- */

static int bad_start(const struct parse *p, const struct lutra_yaml *node, const char *why)
{
    return PARSE_ERROR(p, node,
                       "start \"%.100s\"%s, expected current, earliest, gtid:<set>, "
                       "file:<binlog file>:<offset> or checkpoint",
                       node->text, why);
}

static int parse_start_file(const struct parse *p, const struct lutra_yaml *node, const char *text)
{
    struct lutra_position pos;
    LUTRA_AUTO_FREE char *position = lutra_asprintf("%s;", text);
    if (strchr(text, ';') || lutra_position_parse(LUTRA_FLAVOR_MARIADB, position, &pos, NULL)) {
        return bad_start(p, node, " is not a binlog file and offset");
    }
    bool low = pos.offset < 4;
    lutra_position_fini(&pos);
    return low ? bad_start(p, node, ": a binlog begins at offset 4") : 0;
}

static int parse_start_gtid(const struct parse *p,
                            const struct lutra_yaml *node,
                            const char *text,
                            enum lutra_flavor flavor)
{
    struct lutra_error why;
    struct lutra_gtid_set *set = lutra_gtid_set_parse(flavor, text, &why);
    if (!set) {
        return PARSE_ERROR(p, node, "start: %.300s", why.msg);
    }
    bool empty = lutra_gtid_set_empty(set);
    lutra_gtid_set_free(set);
    return empty ? bad_start(p, node, ": the GTID set is empty") : 0;
}

static int parse_start(const struct parse *p,
                       const struct lutra_yaml *node,
                       enum lutra_flavor flavor,
                       struct lutra_pipeline_def *def)
{
    const char *rest = NULL;
    LUTRA_AUTO_FREE char *text = NULL;
    if (take_text(p, node, "start", MAX_START_BYTES, &text)) {
        return -1;
    }
    if (strncmp(text, "gtid:", 5) == 0) {
        def->start = LUTRA_START_GTID;
        rest = text + 5;
    } else if (strncmp(text, "file:", 5) == 0) {
        def->start = LUTRA_START_FILE;
        rest = text + 5;
    }
    if (rest) {
        def->start_text = lutra_strdup(rest);
        return def->start == LUTRA_START_FILE ? parse_start_file(p, node, rest)
                                              : parse_start_gtid(p, node, rest, flavor);
    }
    for (unsigned i = 0; lutra_start_names[i]; i++) {
        if (i != LUTRA_START_GTID && i != LUTRA_START_FILE &&
            strcmp(text, lutra_start_names[i]) == 0) {
            def->start = (enum lutra_start_kind)i;
            return 0;
        }
    }
    const char *near = lutra_did_you_mean(text, lutra_start_names);
    LUTRA_AUTO_FREE char *why =
        near ? lutra_asprintf(" (did you mean %s?)", near) : lutra_strdup("");
    return bad_start(p, node, why);
}

/* `source:` or `target:`: the name of one of the channel's sources. */
static int take_endpoint(const struct parse *p,
                         const struct lutra_yaml *map,
                         const char *key,
                         const struct lutra_channel *channel,
                         char **out)
{
    const struct lutra_yaml *node = need(p, map, key, "the name of one of the sources");
    const char **names, *near;
    if (!node || take_text(p, node, key, MAX_TEXT_BYTES, out)) {
        return -1;
    }
    if (lutra_channel_endpoint(channel, *out)) {
        return 0;
    }
    names = lutra_alloc((channel->n_endpoints + 1) * sizeof(*names));
    for (size_t i = 0; i < channel->n_endpoints; i++) {
        names[i] = channel->endpoints[i].name;
    }
    near = lutra_did_you_mean(*out, names);
    (void)PARSE_ERROR(p, node, "%s \"%s\" is not one of the sources%s%s%s", key, *out,
                      near ? ", did you mean " : ", expected the name of one", near ? near : "",
                      near ? "?" : "");
    lutra_free(names);
    return -1;
}

static int
parse_batch(const struct parse *p, const struct lutra_yaml *node, struct lutra_pipeline_def *def)
{
    static const char *const known[] = {"max_rows", "max_bytes", "max_delay", NULL};
    const struct lutra_yaml *delay;
    if (want_map(p, node, "batch", known) ||
        take_u32(p, node, "max_rows", 1, 1000000, &def->batch_max_rows) ||
        take_size(p, node, "max_bytes", 1 << 10, 256 << 20, &def->batch_max_bytes)) {
        return -1;
    }
    delay = optional(node, "max_delay");
    return delay
               ? lutra_yaml_duration_ms(delay, p->name, 1, 60000, &def->batch_max_delay_ms, p->err)
               : 0;
}

static int
parse_unit(const struct parse *p, const struct lutra_yaml *node, struct lutra_pipeline_def *def)
{
    static const char *const known[] = {"max_rows", "max_bytes", NULL};
    return want_map(p, node, "unit", known) ||
                   take_u32(p, node, "max_rows", 1, 10000000, &def->unit_max_rows) ||
                   take_size(p, node, "max_bytes", 1 << 10, 1 << 30, &def->unit_max_bytes)
               ? -1
               : 0;
}

static int
parse_limits(const struct parse *p, const struct lutra_yaml *node, struct lutra_pipeline_def *def)
{
    const struct lutra_yaml *batch = optional(node, "batch"), *unit = optional(node, "unit"),
                            *accept = optional(node, "accept_new_source");
    unsigned balance = 0;
    if (take_u32(p, node, "window", 1, 1024, &def->window) ||
        take_u32(p, node, "partitions", 1, 256, &def->partitions) ||
        take_enum(p, node, "balance", lutra_balance_names, &balance) ||
        (batch && parse_batch(p, batch, def)) || (unit && parse_unit(p, unit, def)) ||
        (accept && lutra_yaml_bool(accept, p->name, &def->accept_new_source, p->err))) {
        return -1;
    }
    def->balance = (enum lutra_balance)balance;
    return 0;
}

static int
parse_sites(const struct parse *p, const struct lutra_yaml *node, struct lutra_pipeline_def *def)
{
    const struct lutra_yaml *source = optional(node, "source_site"),
                            *target = optional(node, "target_site");
    def->source_site = lutra_strdup("default");
    def->target_site = lutra_strdup("default");
    return (source && take_name(p, source, "source_site", &def->source_site)) ||
                   (target && take_name(p, target, "target_site", &def->target_site))
               ? -1
               : 0;
}

static int parse_pipeline_name(const struct parse *p,
                               const struct lutra_yaml *node,
                               const struct lutra_channel *channel,
                               bool only,
                               struct lutra_pipeline_def *def)
{
    const struct lutra_yaml *name = optional(node, "name");
    if (!name && only) {
        def->name = lutra_strdup(channel->name);
        return 0;
    }
    if (!name) {
        return PARSE_ERROR(p, node, "name is missing, expected one for each of several pipelines");
    }
    if (take_name(p, name, "pipeline", &def->name)) {
        return -1;
    }
    for (const struct lutra_pipeline_def *other = channel->pipelines; other < def; other++) {
        if (strcmp(other->name, def->name) == 0) {
            return PARSE_ERROR(p, name, "pipeline %s is defined twice, expected different names",
                               def->name);
        }
    }
    return 0;
}

static int parse_pipeline(const struct parse *p,
                          const struct lutra_yaml *node,
                          const struct lutra_channel *channel,
                          bool only,
                          struct lutra_pipeline_def *def)
{
    static const char *const known[] = {
        "name",       "source",  "target", "source_site", "target_site",       "start", "window",
        "partitions", "balance", "batch",  "unit",        "accept_new_source", "pairs", NULL};
    const struct lutra_yaml *start, *pairs;
    def->start = LUTRA_START_CURRENT;
    def->window = 32;
    def->partitions = 8;
    def->batch_max_rows = 1000;
    def->batch_max_bytes = 512 << 10;
    def->batch_max_delay_ms = 50;
    def->unit_max_rows = 5000;
    def->unit_max_bytes = 8 << 20;
    if (want_map(p, node, "a pipeline", known) ||
        parse_pipeline_name(p, node, channel, only, def) ||
        take_endpoint(p, node, "source", channel, &def->source) ||
        take_endpoint(p, node, "target", channel, &def->target)) {
        return -1;
    }
    if (strcmp(def->source, def->target) == 0) {
        return PARSE_ERROR(p, lutra_yaml_get(node, "target"),
                           "target is the source itself, expected another of the sources");
    }
    start = optional(node, "start");
    if (parse_sites(p, node, def) ||
        (start &&
         parse_start(p, start, lutra_channel_endpoint(channel, def->source)->flavor, def)) ||
        parse_limits(p, node, def) ||
        !(pairs = need(p, node, "pairs", "a list of {source: ..., target: ...}"))) {
        return -1;
    }
    return parse_pairs(p, pairs, def);
}

static int
parse_pipelines(const struct parse *p, const struct lutra_yaml *node, struct lutra_channel *channel)
{
    if (want_list(p, node, "pipelines")) {
        return -1;
    }
    if (node->n == 0) {
        return PARSE_ERROR(p, node, "pipelines is empty, expected at least one");
    }
    channel->pipelines = lutra_alloc(node->n * sizeof(*channel->pipelines));
    for (size_t i = 0; i < node->n; i++) {
        channel->n_pipelines++;
        if (parse_pipeline(p, node->items[i], channel, node->n == 1, &channel->pipelines[i])) {
            return -1;
        }
    }
    return 0;
}

static int
parse_channel(const struct parse *p, const struct lutra_yaml *root, struct lutra_channel *channel)
{
    static const char *const known[] = {"channel", "description", "version",
                                        "sources", "pipelines",   NULL};
    const struct lutra_yaml *name, *description, *version, *sources, *pipelines;
    if (want_map(p, root, "the definition", known) ||
        !(name = need(p, root, "channel", "the channel's name")) ||
        take_name(p, name, "channel", &channel->name)) {
        return -1;
    }
    description = optional(root, "description");
    version = optional(root, "version");
    channel->description = lutra_strdup("");
    if ((description && (description->kind != LUTRA_YAML_SCALAR || description->text[0]) &&
         take_text(p, description, "description", MAX_DESCRIPTION_BYTES, &channel->description)) ||
        (version && lutra_yaml_u64(version, p->name, 0, INT64_MAX, &channel->version, p->err))) {
        return -1;
    }
    if (!(sources = need(p, root, "sources", "a mapping of names to servers")) ||
        parse_endpoints(p, sources, channel) ||
        !(pipelines = need(p, root, "pipelines", "a list of pipelines"))) {
        return -1;
    }
    return parse_pipelines(p, pipelines, channel);
}

struct lutra_channel *
lutra_channel_parse(const char *text, size_t len, const char *name, struct lutra_error *err)
{
    const struct parse p = {.name = name, .err = err};
    struct lutra_yaml *root = lutra_yaml_parse(text, len, name, err);
    struct lutra_channel *channel;
    if (!root) {
        return NULL;
    }
    channel = LUTRA_NEW(struct lutra_channel);
    if (parse_channel(&p, root, channel)) {
        lutra_channel_free(channel);
        channel = NULL;
    }
    lutra_yaml_free(root);
    return channel;
}
