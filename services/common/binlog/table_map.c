#include "binlog/table_map.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/event_internal.h"

enum { COLUMNS_MAX = 4096 };

/* Fields of the optional metadata. */
enum {
    META_SIGNEDNESS = 1,
    META_DEFAULT_CHARSET = 2,
    META_COLUMN_CHARSET = 3,
    META_COLUMN_NAME = 4,
    META_PRIMARY_KEY = 8,
    META_PRIMARY_KEY_PREFIX = 9,
    META_ENUM_SET_DEFAULT_CHARSET = 10,
    META_ENUM_SET_COLUMN_CHARSET = 11,
};

static int map_error(const struct lutra_table_map *map, const char *what, struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_DATA, 0, "TABLE_MAP of %.*s.%.*s: %s", (int)map->schema_len,
                           map->schema, (int)map->name_len, map->name, what);
}

/* One length byte, the name, a NUL. */
static const char *read_name(struct lutra_cur *cur, size_t *len)
{
    *len = lutra_cur_u8(cur);
    const uint8_t *name = lutra_cur_bytes(cur, *len);
    uint8_t end = lutra_cur_u8(cur);
    if (!name || end != 0 || *len == 0 || memchr(name, '\0', *len)) {
        cur->bad = true;
        return NULL;
    }
    return (const char *)name;
}

int lutra_event_table_map(const struct lutra_binlog_format *format,
                          const struct lutra_event *event,
                          struct lutra_table_map *out,
                          struct lutra_error *err)
{
    struct lutra_cur head, rest;
    *out = (struct lutra_table_map){.flavor = format->flavor};
    if (lutra_event_split(format, event, 6, 8, &head, &rest, err)) {
        return -1;
    }
    out->table_id = lutra_event_table_id(format, event, &head);
    out->flags = (uint16_t)lutra_cur_le(&head, 2);
    out->schema = read_name(&rest, &out->schema_len);
    out->name = rest.bad ? NULL : read_name(&rest, &out->name_len);
    if (head.bad || rest.bad) {
        return lutra_event_error(event, "malformed", err);
    }
    out->definition = rest.p;
    out->definition_len = lutra_cur_left(&rest);
    return 0;
}

/* ---- types ---- */

/* CHAR, BINARY, ENUM and SET share one type code: the real one stands in the metadata, whose other
 * bits are the length's upper two (inverted, so that lengths below 256 look as they did
 * before 5.1). */
static void set_string_type(struct lutra_column *column, uint8_t byte0, uint8_t byte1)
{
    if ((byte0 & 0x30) != 0x30) {
        column->type = byte0 | 0x30;
        column->meta = (uint16_t)(byte1 | ((byte0 & 0x30) ^ 0x30) << 4);
    } else {
        column->type = byte0;
        column->meta = byte1;
    }
}

/* Reads as many metadata bytes as the type has. False: a type whose metadata is unknown. */
static bool read_type(struct lutra_column *column, uint8_t type, struct lutra_cur *meta)
{
    uint8_t byte0;
    column->type = type;
    switch (type) {
    case LUTRA_TYPE_TINY:
    case LUTRA_TYPE_SHORT:
    case LUTRA_TYPE_INT24:
    case LUTRA_TYPE_LONG:
    case LUTRA_TYPE_LONGLONG:
    case LUTRA_TYPE_YEAR:
    case LUTRA_TYPE_DATE:
    case LUTRA_TYPE_NEWDATE:
    case LUTRA_TYPE_TIME:
    case LUTRA_TYPE_DATETIME:
    case LUTRA_TYPE_TIMESTAMP:
    case LUTRA_TYPE_NULL:
    case LUTRA_TYPE_OLD_DECIMAL:
        return true;
    case LUTRA_TYPE_FLOAT:
    case LUTRA_TYPE_DOUBLE:
    case LUTRA_TYPE_BLOB:
    case LUTRA_TYPE_TINY_BLOB:
    case LUTRA_TYPE_MEDIUM_BLOB:
    case LUTRA_TYPE_LONG_BLOB:
    case LUTRA_TYPE_GEOMETRY:
    case LUTRA_TYPE_JSON:
    case LUTRA_TYPE_VECTOR:
    case LUTRA_TYPE_BLOB_COMPRESSED:
        column->meta = lutra_cur_u8(meta);
        return true;
    case LUTRA_TYPE_TIME2:
    case LUTRA_TYPE_DATETIME2:
    case LUTRA_TYPE_TIMESTAMP2:
        column->meta = lutra_cur_u8(meta);
        column->decimals = column->meta;
        return true;
    case LUTRA_TYPE_VARCHAR:
    case LUTRA_TYPE_VAR_STRING:
    case LUTRA_TYPE_BIT:
    case LUTRA_TYPE_VARCHAR_COMPRESSED:
        column->meta = (uint16_t)lutra_cur_le(meta, 2);
        return true;
    case LUTRA_TYPE_NEWDECIMAL:
        column->meta = (uint16_t)lutra_cur_be(meta, 2);
        column->decimals = column->meta & 0xff;
        return true;
    case LUTRA_TYPE_STRING:
    case LUTRA_TYPE_ENUM:
    case LUTRA_TYPE_SET:
        byte0 = lutra_cur_u8(meta);
        set_string_type(column, byte0, lutra_cur_u8(meta));
        return true;
    default:
        return false;
    }
}

static enum lutra_kind kind_of(const struct lutra_column *column)
{
    switch (column->type) {
    case LUTRA_TYPE_TINY:
    case LUTRA_TYPE_SHORT:
    case LUTRA_TYPE_INT24:
    case LUTRA_TYPE_LONG:
    case LUTRA_TYPE_LONGLONG:
        return column->is_unsigned ? LUTRA_KIND_UINT : LUTRA_KIND_INT;
    case LUTRA_TYPE_YEAR:
        return LUTRA_KIND_INT;
    case LUTRA_TYPE_NEWDECIMAL:
        return LUTRA_KIND_DECIMAL;
    case LUTRA_TYPE_DATE:
    case LUTRA_TYPE_NEWDATE:
        return LUTRA_KIND_DATE;
    case LUTRA_TYPE_TIME:
    case LUTRA_TYPE_TIME2:
        return LUTRA_KIND_TIME;
    case LUTRA_TYPE_DATETIME:
    case LUTRA_TYPE_DATETIME2:
        return LUTRA_KIND_DATETIME;
    case LUTRA_TYPE_TIMESTAMP:
    case LUTRA_TYPE_TIMESTAMP2:
        return LUTRA_KIND_TIMESTAMP;
    case LUTRA_TYPE_STRING:
    case LUTRA_TYPE_VARCHAR:
    case LUTRA_TYPE_VAR_STRING:
    case LUTRA_TYPE_BLOB:
    case LUTRA_TYPE_TINY_BLOB:
    case LUTRA_TYPE_MEDIUM_BLOB:
    case LUTRA_TYPE_LONG_BLOB:
        return column->collation == LUTRA_COLLATION_BINARY ? LUTRA_KIND_BINARY : LUTRA_KIND_STRING;
    default:
        return LUTRA_KIND_NONE;
    }
}

bool lutra_column_hides_decimals(const struct lutra_column *column)
{
    return column->type == LUTRA_TYPE_TIME || column->type == LUTRA_TYPE_DATETIME ||
           column->type == LUTRA_TYPE_TIMESTAMP;
}

/* ---- optional metadata ---- */

/* The classes of columns that the optional metadata numbers separately. */
enum column_class { CLASS_NUMERIC, CLASS_CHARACTER, CLASS_ENUM_SET };

static bool
in_class(enum lutra_flavor flavor, const struct lutra_column *column, enum column_class class)
{
    switch (column->type) {
    case LUTRA_TYPE_TINY:
    case LUTRA_TYPE_SHORT:
    case LUTRA_TYPE_INT24:
    case LUTRA_TYPE_LONG:
    case LUTRA_TYPE_LONGLONG:
    case LUTRA_TYPE_YEAR:
    case LUTRA_TYPE_NEWDECIMAL:
    case LUTRA_TYPE_FLOAT:
    case LUTRA_TYPE_DOUBLE:
        return class == CLASS_NUMERIC;
    case LUTRA_TYPE_STRING:
    case LUTRA_TYPE_VARCHAR:
    case LUTRA_TYPE_VAR_STRING:
    case LUTRA_TYPE_BLOB:
    case LUTRA_TYPE_TINY_BLOB:
    case LUTRA_TYPE_MEDIUM_BLOB:
    case LUTRA_TYPE_LONG_BLOB:
    case LUTRA_TYPE_BLOB_COMPRESSED:
    case LUTRA_TYPE_VARCHAR_COMPRESSED:
        return class == CLASS_CHARACTER;
    case LUTRA_TYPE_GEOMETRY: /* MariaDB counts it, MySQL does not */
        return class == CLASS_CHARACTER && flavor == LUTRA_FLAVOR_MARIADB;
    case LUTRA_TYPE_VECTOR:
        return class == CLASS_CHARACTER && flavor == LUTRA_FLAVOR_MYSQL;
    case LUTRA_TYPE_ENUM:
    case LUTRA_TYPE_SET:
        return class == CLASS_ENUM_SET;
    default:
        return false;
    }
}

/* The next column of the class from index i on; n_columns: none. */
static size_t next_in_class(const struct lutra_table *table,
                            enum lutra_flavor flavor,
                            enum column_class class,
                            size_t i)
{
    while (i < table->n_columns && !in_class(flavor, &table->columns[i], class)) {
        i++;
    }
    return i;
}

static void
read_signedness(struct lutra_table *table, enum lutra_flavor flavor, struct lutra_cur *cur)
{
    unsigned bits = 0, left = 0;
    for (size_t i = next_in_class(table, flavor, CLASS_NUMERIC, 0); i < table->n_columns;
         i = next_in_class(table, flavor, CLASS_NUMERIC, i + 1)) {
        if (left == 0) {
            bits = lutra_cur_u8(cur);
            left = 8;
        }
        left--;
        /* YEAR comes as unsigned; it is an INT here. */
        table->columns[i].is_unsigned =
            (bits >> left & 1) && table->columns[i].type != LUTRA_TYPE_YEAR;
    }
}

static uint16_t read_collation(struct lutra_cur *cur)
{
    uint64_t collation = lutra_cur_lenenc(cur);
    cur->bad = cur->bad || collation > UINT16_MAX;
    return (uint16_t)collation;
}

/* One collation for the class, then (index within the class, collation) for each that differs. */
static void read_default_charset(struct lutra_table *table,
                                 enum lutra_flavor flavor,
                                 enum column_class class,
                                 struct lutra_cur *cur)
{
    uint16_t collation = read_collation(cur);
    uint64_t index = 0;
    size_t i;
    for (i = next_in_class(table, flavor, class, 0); i < table->n_columns;
         i = next_in_class(table, flavor, class, i + 1)) {
        table->columns[i].collation = collation;
    }
    i = next_in_class(table, flavor, class, 0);
    while (lutra_cur_left(cur) > 0 && !cur->bad) {
        uint64_t wanted = lutra_cur_lenenc(cur);
        collation = read_collation(cur);
        if (wanted < index) {
            cur->bad = true; /* they come in ascending order */
        }
        for (; index < wanted && i < table->n_columns; index++) {
            i = next_in_class(table, flavor, class, i + 1);
        }
        if (cur->bad || i >= table->n_columns) {
            cur->bad = true;
            return;
        }
        table->columns[i].collation = collation;
    }
}

static void read_column_charsets(struct lutra_table *table,
                                 enum lutra_flavor flavor,
                                 enum column_class class,
                                 struct lutra_cur *cur)
{
    for (size_t i = next_in_class(table, flavor, class, 0); i < table->n_columns;
         i = next_in_class(table, flavor, class, i + 1)) {
        table->columns[i].collation = read_collation(cur);
    }
}

static void read_column_names(struct lutra_table *table, struct lutra_cur *cur)
{
    for (size_t i = 0; i < table->n_columns && !cur->bad; i++) {
        uint64_t len = lutra_cur_lenenc(cur);
        const uint8_t *name = lutra_cur_bytes(cur, len <= UINT8_MAX ? (size_t)len : SIZE_MAX);
        if (!name || len == 0 || memchr(name, '\0', (size_t)len)) {
            cur->bad = true;
            return;
        }
        lutra_free(table->columns[i].name);
        table->columns[i].name = lutra_strndup((const char *)name, (size_t)len);
    }
}

static void read_primary_key(struct lutra_table *table, bool with_prefix, struct lutra_cur *cur)
{
    uint16_t part = 0;
    while (lutra_cur_left(cur) > 0 && !cur->bad) {
        uint64_t index = lutra_cur_lenenc(cur);
        if (with_prefix) {
            (void)lutra_cur_lenenc(cur);
        }
        if (cur->bad || index >= table->n_columns || table->columns[index].key_part != 0) {
            cur->bad = true;
            return;
        }
        table->columns[index].key_part = ++part;
    }
}

/* One field of the optional metadata; the cursor covers just its value. */
static void read_metadata_field(struct lutra_table *table,
                                enum lutra_flavor flavor,
                                unsigned field,
                                struct lutra_cur *cur,
                                bool *has_names)
{
    switch (field) {
    case META_SIGNEDNESS:
        read_signedness(table, flavor, cur);
        break;
    case META_DEFAULT_CHARSET:
        read_default_charset(table, flavor, CLASS_CHARACTER, cur);
        break;
    case META_COLUMN_CHARSET:
        read_column_charsets(table, flavor, CLASS_CHARACTER, cur);
        break;
    case META_ENUM_SET_DEFAULT_CHARSET:
        read_default_charset(table, flavor, CLASS_ENUM_SET, cur);
        break;
    case META_ENUM_SET_COLUMN_CHARSET:
        read_column_charsets(table, flavor, CLASS_ENUM_SET, cur);
        break;
    case META_COLUMN_NAME:
        read_column_names(table, cur);
        *has_names = !cur->bad;
        break;
    case META_PRIMARY_KEY:
        read_primary_key(table, false, cur);
        break;
    case META_PRIMARY_KEY_PREFIX:
        read_primary_key(table, true, cur);
        break;
    default: /* members of ENUM and SET, geometry types, visibility, dimensions, and what is yet to
                come */
        return;
    }
    /* Some versions pad; what does not fit sets cur->bad. */
}

static int read_metadata(const struct lutra_table_map *map,
                         struct lutra_table *table,
                         struct lutra_cur *cur,
                         bool *has_names,
                         struct lutra_error *err)
{
    while (lutra_cur_left(cur) > 0) {
        unsigned field = lutra_cur_u8(cur);
        uint64_t len = lutra_cur_lenenc(cur);
        const uint8_t *value =
            cur->bad ? NULL : lutra_cur_bytes(cur, len <= SIZE_MAX ? (size_t)len : SIZE_MAX);
        if (!value) {
            return map_error(map, "metadata is cut short", err);
        }
        struct lutra_cur inner = lutra_cur_of(value, (size_t)len);
        read_metadata_field(table, map->flavor, field, &inner, has_names);
        if (inner.bad) {
            return map_error(map, "malformed metadata", err);
        }
    }
    return 0;
}

/* ---- the whole ---- */

static void name_by_number(struct lutra_table *table)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!table->columns[i].name) {
            table->columns[i].name = lutra_asprintf("@%zu", i + 1);
        }
    }
}

static int read_columns(const struct lutra_table_map *map,
                        struct lutra_table *table,
                        const uint8_t *types,
                        struct lutra_cur *cur,
                        struct lutra_error *err)
{
    uint64_t meta_len = lutra_cur_lenenc(cur);
    const uint8_t *meta_bytes =
        cur->bad ? NULL : lutra_cur_bytes(cur, meta_len <= SIZE_MAX ? (size_t)meta_len : SIZE_MAX);
    const uint8_t *null_bits = lutra_cur_bytes(cur, (table->n_columns + 7) / 8);
    if (!meta_bytes || !null_bits) {
        return map_error(map, "cut short", err);
    }
    struct lutra_cur meta = lutra_cur_of(meta_bytes, (size_t)meta_len);
    for (size_t i = 0; i < table->n_columns; i++) {
        struct lutra_column *column = &table->columns[i];
        if (!read_type(column, types[i], &meta)) {
            return lutra_error_set(err, LUTRA_CONFIG, 0,
                                   "TABLE_MAP of %s.%s: column %zu has type %u, which is unknown",
                                   table->schema, table->name, i + 1, types[i]);
        }
        column->nullable = null_bits[i / 8] >> (i % 8) & 1;
    }
    if (meta.bad || lutra_cur_left(&meta) > 0) {
        return map_error(map, "metadata does not fit the column types", err);
    }
    return 0;
}

int lutra_table_map_decode(const struct lutra_table_map *map,
                           struct lutra_table **table,
                           bool *has_names,
                           struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(map->definition, map->definition_len);
    uint64_t n_columns = lutra_cur_lenenc(&cur);
    *table = NULL;
    *has_names = false;
    if (cur.bad || n_columns == 0 || n_columns > COLUMNS_MAX) {
        return map_error(map, "bad column count", err);
    }
    const uint8_t *types = lutra_cur_bytes(&cur, (size_t)n_columns);
    if (!types) {
        return map_error(map, "cut short", err);
    }
    LUTRA_AUTO_FREE char *schema = lutra_strndup(map->schema, map->schema_len);
    LUTRA_AUTO_FREE char *name = lutra_strndup(map->name, map->name_len);
    struct lutra_table *made = lutra_table_new(schema, name, (size_t)n_columns);
    if (read_columns(map, made, types, &cur, err) ||
        read_metadata(map, made, &cur, has_names, err)) {
        lutra_table_free(made);
        return -1;
    }
    for (size_t i = 0; i < made->n_columns; i++) {
        made->columns[i].kind = kind_of(&made->columns[i]);
    }
    name_by_number(made);
    *table = made;
    return 0;
}
