#include <string.h>
#include <strings.h>

#include "model/channel.h"
#include "model/channel_private.h"

struct span {
    const char *begin;
    size_t len;
};

/* Matches `name` against a pattern with `*`; captures what each star stands for. Going back to the
 * last star only is enough for stars, and takes at most pattern x name steps. */
static bool pattern_match(const char *pattern, const char *name, struct span *stars)
{
    const char *after_star = NULL; /* where the pattern goes on after the last star */
    size_t n_stars = 0;
    for (;;) {
        if (*pattern == '*') {
            LUTRA_ASSERT(n_stars < LUTRA_PATTERN_MAX_STARS);
            stars[n_stars++] = (struct span){.begin = name};
            after_star = ++pattern;
        } else if (*pattern == *name) {
            if (*name == '\0') {
                return true;
            }
            pattern++;
            name++;
        } else {
            struct span *last = n_stars ? &stars[n_stars - 1] : NULL;
            if (!last || last->begin[last->len] == '\0') {
                return false;
            }
            name = last->begin + ++last->len;
            pattern = after_star;
        }
    }
}

/* Puts the captured texts for the stars of `pattern`; false when it does not fit. */
static bool pattern_fill(const char *pattern, const struct span *stars, char *out, size_t size)
{
    size_t len = 0;
    for (; *pattern; pattern++) {
        struct span piece = *pattern == '*' ? *stars++ : (struct span){pattern, 1};
        if (piece.len >= size - len) {
            return false;
        }
        memcpy(out + len, piece.begin, piece.len);
        len += piece.len;
    }
    out[len] = '\0';
    return true;
}

bool lutra_schema_is_system(const char *schema)
{
    static const char *const system[] = {"lutra", "mysql", "information_schema",
                                         "performance_schema", "sys"};
    for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++) {
        if (strcasecmp(schema, system[i]) == 0) {
            return true;
        }
    }
    return false;
}

const struct lutra_pair *
lutra_pipeline_match(const struct lutra_pipeline_def *def, const char *schema, const char *table)
{
    struct span stars[LUTRA_PATTERN_MAX_STARS];
    if (lutra_schema_is_system(schema)) {
        return NULL;
    }
    for (size_t i = 0; i < def->n_pairs; i++) {
        const struct lutra_pair *pair = &def->pairs[i];
        if (pattern_match(pair->source_schema, schema, stars) &&
            pattern_match(pair->source_table, table, stars)) {
            return pair;
        }
    }
    return NULL;
}

bool lutra_pipeline_match_schema(const struct lutra_pipeline_def *def, const char *schema)
{
    struct span stars[LUTRA_PATTERN_MAX_STARS];
    if (lutra_schema_is_system(schema)) {
        return false;
    }
    for (size_t i = 0; i < def->n_pairs; i++) {
        if (pattern_match(def->pairs[i].source_schema, schema, stars)) {
            return true;
        }
    }
    return false;
}

static int target_name(const char *source_pattern,
                       const char *target_pattern,
                       const char *name,
                       char *out,
                       struct lutra_error *err)
{
    struct span stars[LUTRA_PATTERN_MAX_STARS];
    if (!pattern_match(source_pattern, name, stars)) {
        return lutra_error_set(err, LUTRA_BUG, 0, "%s does not match %s", name, source_pattern);
    }
    if (!pattern_fill(target_pattern, stars, out, 65)) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "the target's name for %s by %s is longer than 64 bytes", name,
                               target_pattern);
    }
    return 0;
}

int lutra_pair_target_name(const struct lutra_pair *pair,
                           const char *schema,
                           const char *table,
                           char *target_schema,
                           char *target_table,
                           struct lutra_error *err)
{
    return target_name(pair->source_schema, pair->target_schema, schema, target_schema, err) ||
                   target_name(pair->source_table, pair->target_table, table, target_table, err)
               ? -1
               : 0;
}

const char *lutra_pair_target_column(const struct lutra_pair *pair, const char *column)
{
    for (size_t i = 0; i < pair->n_excluded; i++) {
        if (strcasecmp(pair->excluded[i], column) == 0) {
            return NULL;
        }
    }
    for (size_t i = 0; i < pair->n_renames; i++) {
        if (strcasecmp(pair->renames[i].source, column) == 0) {
            return pair->renames[i].target;
        }
    }
    return column;
}
