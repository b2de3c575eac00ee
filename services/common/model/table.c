#include "model/table.h"

#include <string.h>

#include "base/mem.h"

struct lutra_table *lutra_table_new(const char *schema, const char *name, size_t n_columns)
{
    struct lutra_table *table = LUTRA_NEW(struct lutra_table);
    table->schema = lutra_strdup(schema);
    table->name = lutra_strdup(name);
    table->n_columns = n_columns;
    table->columns = lutra_alloc((n_columns ? n_columns : 1) * sizeof(*table->columns));
    return table;
}

void lutra_table_free(struct lutra_table *table)
{
    if (!table) {
        return;
    }
    for (size_t i = 0; i < table->n_columns; i++) {
        lutra_free(table->columns[i].name);
    }
    lutra_free(table->columns);
    lutra_free(table->schema);
    lutra_free(table->name);
    lutra_free(table);
}

struct lutra_table *lutra_table_dup(const struct lutra_table *table)
{
    struct lutra_table *dup = lutra_table_new(table->schema, table->name, table->n_columns);
    for (size_t i = 0; i < table->n_columns; i++) {
        dup->columns[i] = table->columns[i];
        dup->columns[i].name = lutra_strdup(table->columns[i].name);
    }
    return dup;
}

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool column_equal(const struct lutra_column *a, const struct lutra_column *b)
{
    return text_equal(a->name, b->name) && a->kind == b->kind && a->type == b->type &&
           a->meta == b->meta && a->is_unsigned == b->is_unsigned && a->nullable == b->nullable &&
           a->key_part == b->key_part && a->decimals == b->decimals && a->collation == b->collation;
}

bool lutra_table_equal(const struct lutra_table *a, const struct lutra_table *b)
{
    if (!text_equal(a->schema, b->schema) || !text_equal(a->name, b->name) ||
        a->n_columns != b->n_columns) {
        return false;
    }
    for (size_t i = 0; i < a->n_columns; i++) {
        if (!column_equal(&a->columns[i], &b->columns[i])) {
            return false;
        }
    }
    return true;
}

const char *lutra_kind_name(enum lutra_kind kind)
{
    switch (kind) {
    case LUTRA_KIND_INT:
        return "int";
    case LUTRA_KIND_UINT:
        return "uint";
    case LUTRA_KIND_DECIMAL:
        return "decimal";
    case LUTRA_KIND_DATE:
        return "date";
    case LUTRA_KIND_TIME:
        return "time";
    case LUTRA_KIND_DATETIME:
        return "datetime";
    case LUTRA_KIND_TIMESTAMP:
        return "timestamp";
    case LUTRA_KIND_STRING:
        return "string";
    case LUTRA_KIND_BINARY:
        return "binary";
    case LUTRA_KIND_NONE:
        break;
    }
    return "none";
}
