#include "transform/mapping.h"

#include <string.h>
#include <strings.h>

#include "model/values.h"

static int
column_error(const Lutra__Table *t, const char *column, const char *what, struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_CONFIG, 0, "%s.%s.%s: %s", t->schema, t->name, column, what);
}

/* Only a rename can make two names meet: each target name that differs from its column's own is
 * compared with all others. */
static int
check_names(const Lutra__Table *source, const char *const *names, struct lutra_error *err)
{
    for (size_t i = 0; i < source->n_columns; i++) {
        if (!names[i] || names[i] == source->columns[i]->name) {
            continue;
        }
        for (size_t j = 0; j < source->n_columns; j++) {
            if (j != i && names[j] && strcasecmp(names[i], names[j]) == 0) {
                return lutra_error_set(err, LUTRA_CONFIG, 0,
                                       "%s.%s: columns %s and %s would both be %s at the target",
                                       source->schema, source->name, source->columns[i]->name,
                                       source->columns[j]->name, names[i]);
            }
        }
    }
    return 0;
}

static int check_column(const Lutra__Table *source,
                        const Lutra__Column *column,
                        bool kept,
                        struct lutra_error *err)
{
    if (!kept && column->key_part > 0) {
        return column_error(source, column->name, "a column of the primary key cannot be excluded",
                            err);
    }
    if (kept && column->kind == LUTRA_KIND_NONE) {
        return column_error(source, column->name,
                            "its type is not supported, and no pair excludes it", err);
    }
    return 0;
}

/* The target's name of every column, NULL for those excluded. */
static int name_columns(const struct lutra_pair *pair,
                        const Lutra__Table *source,
                        const char **names,
                        size_t *n_kept,
                        bool *renamed,
                        struct lutra_error *err)
{
    *n_kept = 0;
    *renamed = false;
    for (size_t i = 0; i < source->n_columns; i++) {
        const Lutra__Column *column = source->columns[i];
        names[i] = lutra_pair_target_column(pair, column->name);
        if (check_column(source, column, names[i] != NULL, err)) {
            return -1;
        }
        *n_kept += names[i] != NULL;
        *renamed = *renamed || (names[i] && strcmp(names[i], column->name) != 0);
    }
    if (*n_kept == 0) {
        return lutra_error_set(err, LUTRA_CONFIG, 0, "%s.%s: every column is excluded",
                               source->schema, source->name);
    }
    return *renamed ? check_names(source, names, err) : 0;
}

static Lutra__Table *target_table(const Lutra__Table *source,
                                  const char *schema,
                                  const char *name,
                                  const char *const *names,
                                  size_t n_kept,
                                  struct lutra_arena *arena)
{
    Lutra__Table *target = lutra_arena_dup(arena, source, sizeof *target);
    Lutra__Column *columns = lutra_arena_alloc(arena, n_kept * sizeof *columns);
    target->schema = lutra_arena_strdup(arena, schema);
    target->name = lutra_arena_strdup(arena, name);
    target->columns = lutra_arena_alloc(arena, n_kept * sizeof *target->columns);
    target->n_columns = 0;
    for (size_t i = 0; i < source->n_columns; i++) {
        if (names[i]) {
            Lutra__Column *column = &columns[target->n_columns];
            *column = *source->columns[i];
            column->name = lutra_arena_strdup(arena, names[i]);
            target->columns[target->n_columns++] = column;
        }
    }
    return target;
}

int xfm_mapping_init(struct xfm_mapping *mapping,
                     const struct lutra_pipeline_def *def,
                     Lutra__Table *source,
                     struct lutra_arena *arena,
                     struct lutra_error *err)
{
    char schema[65], name[65];
    size_t n_kept;
    bool renamed;
    *mapping = (struct xfm_mapping){.source = source, .target = source};
    const struct lutra_pair *pair = lutra_pipeline_match(def, source->schema, source->name);
    if (!pair) {
        return lutra_error_set(err, LUTRA_DATA, 0,
                               "%s.%s: no pair of pipeline %s matches this table", source->schema,
                               source->name, def->name);
    }
    if (lutra_pair_target_name(pair, source->schema, source->name, schema, name, err)) {
        return -1;
    }
    const char **names = lutra_arena_alloc(arena, source->n_columns * sizeof *names);
    if (name_columns(pair, source, names, &n_kept, &renamed, err)) {
        return -1;
    }
    if (renamed || n_kept < source->n_columns || strcmp(schema, source->schema) != 0 ||
        strcmp(name, source->name) != 0) {
        mapping->target = target_table(source, schema, name, names, n_kept, arena);
    }
    if (n_kept < source->n_columns) {
        bool *keep = lutra_arena_alloc(arena, source->n_columns * sizeof *keep);
        for (size_t i = 0; i < source->n_columns; i++) {
            keep[i] = names[i] != NULL;
        }
        mapping->keep = keep;
    }
    return 0;
}

/* Copies one image without the columns that are left out, a run of kept values at a time. Returns
 * the end of what was written, or NULL: malformed. */
static uint8_t *copy_image(const struct xfm_mapping *mapping, struct lutra_cur *cur, uint8_t *out)
{
    const uint8_t *run = cur->p;
    for (size_t i = 0; i < mapping->source->n_columns; i++) {
        const uint8_t *value = cur->p;
        if (!lutra_values_skip(cur)) {
            return NULL;
        }
        if (!mapping->keep[i]) {
            memcpy(out, run, (size_t)(value - run));
            out += value - run;
            run = cur->p;
        }
    }
    memcpy(out, run, (size_t)(cur->p - run));
    return out + (cur->p - run);
}

int xfm_mapping_rows(const struct xfm_mapping *mapping,
                     Lutra__RowGroup *group,
                     struct lutra_arena *arena,
                     struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(group->rows.data, group->rows.len);
    uint64_t images = (uint64_t)group->n_rows * (group->op == LUTRA__ROW_GROUP__OP__UPDATE ? 2 : 1);
    uint8_t *start = lutra_arena_alloc(arena, group->rows.len), *end = start;
    for (uint64_t i = 0; i < images; i++) {
        end = copy_image(mapping, &cur, end);
        if (!end) {
            return lutra_error_set(err, LUTRA_DATA, 0, "%s.%s: malformed packed row",
                                   mapping->source->schema, mapping->source->name);
        }
    }
    if (lutra_cur_left(&cur) > 0) {
        return lutra_error_set(err, LUTRA_DATA, 0, "%s.%s: more bytes than %u packed rows",
                               mapping->source->schema, mapping->source->name, group->n_rows);
    }
    group->rows.data = start;
    group->rows.len = (size_t)(end - start);
    return 0;
}
