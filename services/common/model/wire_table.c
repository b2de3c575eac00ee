#include <string.h>

#include "base/mem.h"
#include "model/wire.h"

Lutra__Table *lutra_wire_table_pack(struct lutra_arena *arena, const struct lutra_table *table)
{
    Lutra__Table *out = lutra_arena_alloc(arena, sizeof(*out));
    Lutra__Column *columns = lutra_arena_alloc(arena, table->n_columns * sizeof(*columns));
    lutra__table__init(out);
    out->schema = lutra_arena_strdup(arena, table->schema);
    out->name = lutra_arena_strdup(arena, table->name);
    out->n_columns = table->n_columns;
    out->columns = lutra_arena_alloc(arena, table->n_columns * sizeof(*out->columns));
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct lutra_column *column = &table->columns[i];
        Lutra__Column *c = &columns[i];
        lutra__column__init(c);
        c->name = lutra_arena_strdup(arena, column->name);
        c->kind = (uint32_t)column->kind;
        c->type = column->type;
        c->meta = column->meta;
        c->is_unsigned = column->is_unsigned;
        c->nullable = column->nullable;
        c->key_part = column->key_part;
        c->decimals = column->decimals;
        c->collation = column->collation;
        out->columns[i] = c;
    }
    return out;
}

static struct lutra_column column_of(const Lutra__Column *c, char *name)
{
    return (struct lutra_column){
        .name = name,
        .kind = (enum lutra_kind)c->kind,
        .type = (uint8_t)c->type,
        .meta = (uint16_t)c->meta,
        .is_unsigned = c->is_unsigned,
        .nullable = c->nullable,
        .key_part = (uint16_t)c->key_part,
        .decimals = (uint16_t)c->decimals,
        .collation = (uint16_t)c->collation,
    };
}

struct lutra_table *lutra_wire_table_unpack(const Lutra__Table *table)
{
    struct lutra_table *out = lutra_table_new(table->schema, table->name, table->n_columns);
    for (size_t i = 0; i < table->n_columns; i++) {
        out->columns[i] = column_of(table->columns[i], lutra_strdup(table->columns[i]->name));
    }
    return out;
}

const struct lutra_table *lutra_wire_table_view(struct lutra_arena *arena,
                                                const Lutra__Table *table)
{
    struct lutra_table *out = lutra_arena_alloc(arena, sizeof(*out));
    *out = (struct lutra_table){
        .schema = table->schema, .name = table->name, .n_columns = table->n_columns};
    out->columns = lutra_arena_alloc(arena, table->n_columns * sizeof(*out->columns));
    for (size_t i = 0; i < table->n_columns; i++) {
        out->columns[i] = column_of(table->columns[i], table->columns[i]->name);
    }
    return out;
}
