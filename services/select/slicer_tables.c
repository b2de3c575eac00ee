#include "select/slicer_tables.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/rows.h"

enum { TRIM_ABOVE = 4096, MAX_TABLES = 65536 };

/* What a table id stands for. */
struct known {
    uint64_t id;
    char *schema, *name;
    struct lutra_slice_table *table; /* NULL: no pair matches */
};

struct lutra_slice_tables {
    const struct lutra_pipeline_def *def;
    struct known *known; /* by id */
    size_t n, cap;
};

struct lutra_slice_table *lutra_slice_table_ref(struct lutra_slice_table *table)
{
    table->refs++;
    return table;
}

void lutra_slice_table_unref(struct lutra_slice_table *table)
{
    if (table && --table->refs == 0) {
        lutra_table_free(table->table);
        lutra_free(table->definition);
        lutra_free(table);
    }
}

static void known_fini(struct known *known)
{
    lutra_free(known->schema);
    lutra_free(known->name);
    lutra_slice_table_unref(known->table);
}

struct lutra_slice_tables *lutra_slice_tables_new(const struct lutra_pipeline_def *def)
{
    struct lutra_slice_tables *tables = LUTRA_NEW(struct lutra_slice_tables);
    tables->def = def;
    return tables;
}

void lutra_slice_tables_free(struct lutra_slice_tables *tables)
{
    if (tables) {
        lutra_slice_tables_clear(tables);
        lutra_free(tables->known);
        lutra_free(tables);
    }
}

void lutra_slice_tables_clear(struct lutra_slice_tables *tables)
{
    for (size_t i = 0; i < tables->n; i++) {
        known_fini(&tables->known[i]);
    }
    tables->n = 0;
}

void lutra_slice_tables_trim(struct lutra_slice_tables *tables)
{
    if (tables->n > TRIM_ABOVE) {
        lutra_slice_tables_clear(tables);
    }
}

/* Index of the id, or of where it would stand. */
static size_t place_of(const struct lutra_slice_tables *tables, uint64_t id)
{
    size_t low = 0, high = tables->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (tables->known[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct known *find(const struct lutra_slice_tables *tables, uint64_t id)
{
    size_t place = place_of(tables, id);
    return place < tables->n && tables->known[place].id == id ? &tables->known[place] : NULL;
}

static bool same_name(const char *name, const char *bytes, size_t len)
{
    return strlen(name) == len && memcmp(name, bytes, len) == 0;
}

/* Is this TABLE_MAP what we know already? Ids are not given twice by a running server, but cost
 * nothing to check. */
static bool is_known(const struct known *known, const struct lutra_table_map *map)
{
    if (!same_name(known->schema, map->schema, map->schema_len) ||
        !same_name(known->name, map->name, map->name_len)) {
        return false;
    }
    return !known->table ||
           (known->table->definition_len == map->definition_len &&
            memcmp(known->table->definition, map->definition, map->definition_len) == 0);
}

/* Every column that the pair carries must be of a type that we carry exactly. */
static int check_columns(const struct lutra_pair *pair,
                         const struct lutra_table *table,
                         struct lutra_error *err)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct lutra_column *column = &table->columns[i];
        if (lutra_pair_target_column(pair, column->name) && !lutra_column_supported(column)) {
            return lutra_error_set(err, LUTRA_CONFIG, 0,
                                   "%s.%s.%s: type %s is not carried; exclude the column, or leave "
                                   "the table out of the pairs",
                                   table->schema, table->name, column->name,
                                   lutra_column_type_name(column));
        }
    }
    return 0;
}

static int decode(const struct lutra_pair *pair,
                  const struct lutra_table_map *map,
                  struct lutra_slice_table **out,
                  struct lutra_error *err)
{
    struct lutra_table *table = NULL;
    bool has_names = false;
    if (lutra_table_map_decode(map, &table, &has_names, err)) {
        return -1;
    }
    if (!has_names) {
        (void)lutra_error_set(err, LUTRA_CONFIG, 0,
                              "%s.%s: the source does not log column names, set its "
                              "binlog_row_metadata=FULL",
                              table->schema, table->name);
        lutra_table_free(table);
        return -1;
    }
    if (check_columns(pair, table, err)) {
        lutra_table_free(table);
        return -1;
    }
    *out = LUTRA_NEW(struct lutra_slice_table);
    (*out)->refs = 1;
    (*out)->table = table;
    (*out)->definition = lutra_alloc(map->definition_len ? map->definition_len : 1);
    memcpy((*out)->definition, map->definition, map->definition_len);
    (*out)->definition_len = map->definition_len;
    return 0;
}

static struct known *insert(struct lutra_slice_tables *tables, uint64_t id)
{
    size_t place = place_of(tables, id);
    if (tables->n == tables->cap) {
        tables->cap = tables->cap ? tables->cap * 2 : 16;
        tables->known = lutra_realloc(tables->known, tables->cap * sizeof(*tables->known));
    }
    memmove(&tables->known[place + 1], &tables->known[place],
            (tables->n - place) * sizeof(*tables->known));
    tables->n++;
    tables->known[place] = (struct known){.id = id};
    return &tables->known[place];
}

int lutra_slice_tables_map(struct lutra_slice_tables *tables,
                           const struct lutra_table_map *map,
                           struct lutra_error *err)
{
    struct known *known = find(tables, map->table_id), fresh = {.id = map->table_id};
    const struct lutra_pair *pair;
    if (known && is_known(known, map)) {
        return 0;
    }
    if (!known && tables->n >= MAX_TABLES) {
        return lutra_error_set(err, LUTRA_DATA, 0, "one transaction maps more than %d tables",
                               MAX_TABLES);
    }
    fresh.schema = lutra_strndup(map->schema, map->schema_len);
    fresh.name = lutra_strndup(map->name, map->name_len);
    pair = lutra_pipeline_match(tables->def, fresh.schema, fresh.name);
    if (pair && decode(pair, map, &fresh.table, err)) {
        known_fini(&fresh);
        return -1;
    }
    if (known) {
        known_fini(known);
    } else {
        known = insert(tables, map->table_id);
    }
    *known = fresh;
    return 0;
}

int lutra_slice_tables_find(struct lutra_slice_tables *tables,
                            uint64_t table_id,
                            struct lutra_slice_table **table,
                            struct lutra_error *err)
{
    const struct known *known = find(tables, table_id);
    if (!known) {
        return lutra_error_set(err, LUTRA_DATA, 0,
                               "rows of table id %" PRIu64 " without a TABLE_MAP before them",
                               table_id);
    }
    *table = known->table;
    return 0;
}
