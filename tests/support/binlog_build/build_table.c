#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "binlog_build/build.h"
#include "binlog_build/build_internal.h"

enum { UTF8MB4_GENERAL_CI = 45, UTF8MB4_BYTES = 4 };

static const struct type {
    const char *name;
    enum lutra_kind kind;
    uint8_t type;
} types[] = {
    {"TINYINT", LUTRA_KIND_INT, LUTRA_TYPE_TINY},
    {"SMALLINT", LUTRA_KIND_INT, LUTRA_TYPE_SHORT},
    {"MEDIUMINT", LUTRA_KIND_INT, LUTRA_TYPE_INT24},
    {"INT", LUTRA_KIND_INT, LUTRA_TYPE_LONG},
    {"BIGINT", LUTRA_KIND_INT, LUTRA_TYPE_LONGLONG},
    {"YEAR", LUTRA_KIND_INT, LUTRA_TYPE_YEAR},
    {"DECIMAL", LUTRA_KIND_DECIMAL, LUTRA_TYPE_NEWDECIMAL},
    {"DATE", LUTRA_KIND_DATE, LUTRA_TYPE_DATE},
    {"TIME", LUTRA_KIND_TIME, LUTRA_TYPE_TIME2},
    {"DATETIME", LUTRA_KIND_DATETIME, LUTRA_TYPE_DATETIME2},
    {"TIMESTAMP", LUTRA_KIND_TIMESTAMP, LUTRA_TYPE_TIMESTAMP2},
    {"CHAR", LUTRA_KIND_STRING, LUTRA_TYPE_STRING},
    {"VARCHAR", LUTRA_KIND_STRING, LUTRA_TYPE_VARCHAR},
    {"TEXT", LUTRA_KIND_STRING, LUTRA_TYPE_BLOB},
    {"BINARY", LUTRA_KIND_BINARY, LUTRA_TYPE_STRING},
    {"VARBINARY", LUTRA_KIND_BINARY, LUTRA_TYPE_VARCHAR},
    {"BLOB", LUTRA_KIND_BINARY, LUTRA_TYPE_BLOB},
    {"DOUBLE", LUTRA_KIND_NONE, LUTRA_TYPE_DOUBLE},
    {"ENUM", LUTRA_KIND_NONE, LUTRA_TYPE_ENUM},
    {"BIT", LUTRA_KIND_NONE, LUTRA_TYPE_BIT},
};

static void set_type(struct lutra_column *column, const char *name, unsigned n, unsigned m)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcasecmp(types[i].name, name) == 0) {
            column->kind = types[i].kind;
            column->type = types[i].type;
            switch (column->type) {
            case LUTRA_TYPE_NEWDECIMAL:
                column->meta = (uint16_t)(n << 8 | m);
                column->decimals = (uint16_t)m;
                break;
            case LUTRA_TYPE_TIME2:
            case LUTRA_TYPE_DATETIME2:
            case LUTRA_TYPE_TIMESTAMP2:
                column->meta = column->decimals = (uint16_t)n;
                break;
            case LUTRA_TYPE_STRING:
            case LUTRA_TYPE_VARCHAR:
                column->meta =
                    (uint16_t)(column->kind == LUTRA_KIND_STRING ? n * UTF8MB4_BYTES : n);
                break;
            case LUTRA_TYPE_BLOB:
                column->meta = 2;
                break;
            case LUTRA_TYPE_DOUBLE:
                column->meta = 8;
                break;
            case LUTRA_TYPE_ENUM:
            case LUTRA_TYPE_BIT:
                column->meta = 1;
                break;
            default:
                break;
            }
            if (column->kind == LUTRA_KIND_STRING || column->type == LUTRA_TYPE_ENUM) {
                column->collation = UTF8MB4_GENERAL_CI;
            } else if (column->kind == LUTRA_KIND_BINARY) {
                column->collation = LUTRA_COLLATION_BINARY;
            }
            return;
        }
    }
    fprintf(stderr, "binlog_table: no type %s\n", name);
    abort();
}

static void set_attribute(struct lutra_column *column, const char *word, uint16_t *key_part)
{
    if (strcasecmp(word, "UNSIGNED") == 0) {
        column->is_unsigned = true;
        if (column->kind == LUTRA_KIND_INT) {
            column->kind = LUTRA_KIND_UINT;
        }
    } else if (strcasecmp(word, "NULL") == 0) {
        column->nullable = true;
    } else if (strcasecmp(word, "KEY") == 0) {
        column->key_part = ++*key_part;
    } else {
        fprintf(stderr, "binlog_table: no attribute %s\n", word);
        abort();
    }
}

/* One column's text: name TYPE[(n[,m])] attribute... */
static void parse_column(struct lutra_column *column, char *text, uint16_t *key_part)
{
    char *save = NULL, *name = strtok_r(text, " \n", &save), *type = strtok_r(NULL, " \n", &save);
    unsigned n = 0, m = 0;
    LUTRA_ASSERT(name && type);
    char *open = strchr(type, '(');
    if (open) {
        *open = '\0';
        LUTRA_ASSERT(sscanf(open + 1, "%u,%u", &n, &m) >= 1);
    }
    column->name = lutra_strdup(name);
    set_type(column, type, n, m);
    for (char *word; (word = strtok_r(NULL, " \n", &save)) != NULL;) {
        set_attribute(column, word, key_part);
    }
}

struct lutra_table *binlog_table(const char *schema, const char *name, const char *columns)
{
    enum { COLUMNS_MAX = 256 };
    char *parts[COLUMNS_MAX];
    size_t n = 0;
    int depth = 0;
    LUTRA_AUTO_FREE char *text = lutra_strdup(columns);
    parts[n++] = text;
    for (char *p = text; *p; p++) {
        depth += *p == '(' ? 1 : *p == ')' ? -1 : 0;
        if (*p == ',' && depth == 0) {
            LUTRA_ASSERT(n < COLUMNS_MAX);
            *p = '\0';
            parts[n++] = p + 1;
        }
    }
    struct lutra_table *table = lutra_table_new(schema, name, n);
    uint16_t key_part = 0;
    for (size_t i = 0; i < n; i++) {
        parse_column(&table->columns[i], parts[i], &key_part);
    }
    return table;
}

/* ---- TABLE_MAP ---- */

void build_lenenc(struct lutra_buf *out, uint64_t v)
{
    if (v < 251) {
        lutra_buf_put_u8(out, (uint8_t)v);
    } else if (v <= UINT16_MAX) {
        lutra_buf_put_u8(out, 0xfc);
        lutra_buf_put_le(out, v, 2);
    } else {
        lutra_buf_put_u8(out, 0xfe);
        lutra_buf_put_le(out, v, 8);
    }
}

static void build_meta(struct lutra_buf *out, const struct lutra_column *column)
{
    switch (column->type) {
    case LUTRA_TYPE_STRING: /* upper length bits inverted, in the type byte */
        lutra_buf_put_u8(out, (uint8_t)(LUTRA_TYPE_STRING ^ (column->meta >> 4 & 0x30)));
        lutra_buf_put_u8(out, (uint8_t)column->meta);
        break;
    case LUTRA_TYPE_ENUM:
        lutra_buf_put_u8(out, LUTRA_TYPE_ENUM);
        lutra_buf_put_u8(out, (uint8_t)column->meta);
        break;
    case LUTRA_TYPE_NEWDECIMAL:
        lutra_buf_put_u8(out, (uint8_t)(column->meta >> 8));
        lutra_buf_put_u8(out, (uint8_t)column->meta);
        break;
    case LUTRA_TYPE_VARCHAR:
    case LUTRA_TYPE_BIT:
        lutra_buf_put_le(out, column->meta, 2);
        break;
    case LUTRA_TYPE_TIME2:
    case LUTRA_TYPE_DATETIME2:
    case LUTRA_TYPE_TIMESTAMP2:
    case LUTRA_TYPE_BLOB:
    case LUTRA_TYPE_DOUBLE:
        lutra_buf_put_u8(out, (uint8_t)column->meta);
        break;
    default:
        break;
    }
}

static void put_field(struct lutra_buf *out, uint8_t field, struct lutra_buf *value)
{
    if (value->len > 0) {
        lutra_buf_put_u8(out, field);
        build_lenenc(out, value->len);
        lutra_buf_append(out, value->data, value->len);
    }
    lutra_buf_clear(value);
}

static bool is_numeric(const struct lutra_column *column)
{
    return column->kind == LUTRA_KIND_INT || column->kind == LUTRA_KIND_UINT ||
           column->kind == LUTRA_KIND_DECIMAL || column->type == LUTRA_TYPE_DOUBLE;
}

static void put_signs(struct lutra_buf *value, const struct lutra_table *table)
{
    unsigned n = 0;
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct lutra_column *column = &table->columns[i];
        if (!is_numeric(column)) {
            continue;
        }
        if (n % 8 == 0) {
            lutra_buf_put_u8(value, 0);
        }
        if (column->is_unsigned || column->type == LUTRA_TYPE_YEAR) {
            value->data[value->len - 1] |= (uint8_t)(0x80 >> n % 8);
        }
        n++;
    }
}

void build_definition(struct lutra_buf *out, const struct lutra_table *table)
{
    struct lutra_buf value = {0};
    build_lenenc(out, table->n_columns);
    for (size_t i = 0; i < table->n_columns; i++) {
        uint8_t type = table->columns[i].type;
        lutra_buf_put_u8(out, type == LUTRA_TYPE_ENUM ? LUTRA_TYPE_STRING : type);
        build_meta(&value, &table->columns[i]);
    }
    build_lenenc(out, value.len);
    lutra_buf_append(out, value.data, value.len);
    lutra_buf_clear(&value);
    for (size_t i = 0; i < table->n_columns; i++) {
        if (i % 8 == 0) {
            lutra_buf_put_u8(out, 0);
        }
        out->data[out->len - 1] |= (uint8_t)(table->columns[i].nullable << i % 8);
    }

    put_signs(&value, table);
    put_field(out, 1, &value);
    for (size_t i = 0; i < table->n_columns; i++) {
        enum lutra_kind kind = table->columns[i].kind;
        if (kind == LUTRA_KIND_STRING || kind == LUTRA_KIND_BINARY) {
            build_lenenc(&value, table->columns[i].collation);
        }
    }
    put_field(out, 3, &value);
    for (size_t i = 0; i < table->n_columns; i++) {
        build_lenenc(&value, strlen(table->columns[i].name));
        lutra_buf_append(&value, table->columns[i].name, strlen(table->columns[i].name));
    }
    put_field(out, 4, &value);
    for (size_t i = 0; i < table->n_columns; i++) {
        if (table->columns[i].type == LUTRA_TYPE_ENUM) {
            build_lenenc(&value, table->columns[i].collation);
        }
    }
    put_field(out, 11, &value);
    for (uint16_t part = 1; part <= table->n_columns; part++) {
        for (size_t i = 0; i < table->n_columns; i++) {
            if (table->columns[i].key_part == part) {
                build_lenenc(&value, i);
            }
        }
    }
    put_field(out, 8, &value);
    lutra_buf_fini(&value);
}
