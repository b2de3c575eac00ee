/* `pairs:` of a pipeline. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "model/channel_parse.h"
#include "model/channel_private.h"

enum { MAX_IDENTIFIER_BYTES = 64 }; /* MySQL's 64 characters */

static size_t count_stars(const char *pattern)
{
    size_t n = 0;
    for (; *pattern; pattern++) {
        n += *pattern == '*';
    }
    return n;
}

static int take_pattern(const struct lutra_parse *p,
                        const struct lutra_yaml *node,
                        const char *what,
                        char **out)
{
    if (lutra_parse_text(p, node, what, LUTRA_PARSE_TEXT_BYTES, out)) {
        return -1;
    }
    if (count_stars(*out) > LUTRA_PATTERN_MAX_STARS) {
        return PARSE_ERROR(p, node, "%s has more than %d *", what, LUTRA_PATTERN_MAX_STARS);
    }
    return 0;
}

static int parse_pair_source(const struct lutra_parse *p,
                             const struct lutra_yaml *node,
                             struct lutra_pair *pair)
{
    static const char *const known[] = {"schema", "table", NULL};
    const struct lutra_yaml *schema, *table;
    if (lutra_parse_map(p, node, "source of a pair", known) ||
        !(schema = lutra_parse_need(p, node, "schema", "a schema, * stands for any text")) ||
        take_pattern(p, schema, "schema", &pair->source_schema) ||
        !(table = lutra_parse_need(p, node, "table", "a table, * stands for any text")) ||
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
static int parse_pair_target_name(const struct lutra_parse *p,
                                  const struct lutra_yaml *map,
                                  const char *key,
                                  const char *source,
                                  char **out)
{
    const struct lutra_yaml *node = map ? lutra_parse_optional(map, key) : NULL;
    size_t at_source = count_stars(source);
    if (!node) {
        *out = lutra_strdup(source);
        return 0;
    }
    if (lutra_parse_text(p, node, key, LUTRA_PARSE_TEXT_BYTES, out)) {
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

static int parse_pair_target(const struct lutra_parse *p,
                             const struct lutra_yaml *node,
                             struct lutra_pair *pair)
{
    static const char *const known[] = {"schema", "table", NULL};
    if (node && lutra_parse_map(p, node, "target of a pair", known)) {
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
parse_columns(const struct lutra_parse *p, const struct lutra_yaml *node, struct lutra_pair *pair)
{
    if (lutra_parse_map(p, node, "columns", NULL)) {
        return -1;
    }
    pair->renames = lutra_alloc((node->n ? node->n : 1) * sizeof(*pair->renames));
    for (size_t i = 0; i < node->n; i++) {
        struct lutra_column_rename *rename = &pair->renames[pair->n_renames++];
        if (lutra_parse_text(p, node->keys[i], "column", LUTRA_PARSE_TEXT_BYTES, &rename->source) ||
            lutra_parse_text(p, node->items[i], "column", LUTRA_PARSE_TEXT_BYTES,
                             &rename->target)) {
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
parse_exclude(const struct lutra_parse *p, const struct lutra_yaml *node, struct lutra_pair *pair)
{
    if (lutra_parse_list(p, node, "exclude")) {
        return -1;
    }
    pair->excluded = lutra_alloc((node->n ? node->n : 1) * sizeof(*pair->excluded));
    for (size_t i = 0; i < node->n; i++) {
        if (lutra_parse_text(p, node->items[i], "column", LUTRA_PARSE_TEXT_BYTES,
                             &pair->excluded[i])) {
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

static int
parse_pair(const struct lutra_parse *p, const struct lutra_yaml *node, struct lutra_pair *pair)
{
    static const char *const known[] = {"source", "target", "columns", "exclude", "triggers", NULL};
    static const char *const triggers[] = {"refuse", "allow", NULL};
    const struct lutra_yaml *source, *columns, *exclude;
    unsigned allow = 0;
    if (lutra_parse_map(p, node, "a pair", known) ||
        !(source = lutra_parse_need(p, node, "source", "{schema: ..., table: ...}")) ||
        parse_pair_source(p, source, pair) ||
        parse_pair_target(p, lutra_parse_optional(node, "target"), pair) ||
        lutra_parse_enum(p, node, "triggers", triggers, &allow)) {
        return -1;
    }
    columns = lutra_parse_optional(node, "columns");
    exclude = lutra_parse_optional(node, "exclude");
    if ((columns && parse_columns(p, columns, pair)) ||
        (exclude && parse_exclude(p, exclude, pair))) {
        return -1;
    }
    pair->allow_triggers = allow == 1;
    return 0;
}

int lutra_parse_pairs(const struct lutra_parse *p,
                      const struct lutra_yaml *node,
                      struct lutra_pipeline_def *def)
{
    if (lutra_parse_list(p, node, "pairs")) {
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
