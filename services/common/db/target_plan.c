#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "db/target_private.h"

/* MySQL's type codes, as TABLE_MAP and model/table.h have them; 0: not told. */
enum {
    TYPE_TINY = 1,
    TYPE_SHORT = 2,
    TYPE_LONG = 3,
    TYPE_LONGLONG = 8,
    TYPE_INT24 = 9,
    TYPE_YEAR = 13,
    TYPE_VARCHAR = 15,
    TYPE_BLOB = 252,
    TYPE_STRING = 254,
};

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (strcmp(name, *names) == 0) {
            return true;
        }
    }
    return false;
}

/* Bytes of an integer type at the target, 0: not an integer. */
static unsigned width_of(const char *data_type)
{
    return strcmp(data_type, "tinyint") == 0     ? 1
           : strcmp(data_type, "smallint") == 0  ? 2
           : strcmp(data_type, "mediumint") == 0 ? 3
           : strcmp(data_type, "int") == 0       ? 4
           : strcmp(data_type, "bigint") == 0    ? 8
                                                 : 0;
}

static unsigned source_width(const Lutra__Column *source)
{
    switch (source->type) {
    case TYPE_TINY:
        return 1;
    case TYPE_SHORT:
        return 2;
    case TYPE_INT24:
        return 3;
    case TYPE_LONG:
        return 4;
    case TYPE_LONGLONG:
        return 8;
    default:
        return 0;
    }
}

/* Greatest length in bytes at the source, 0: not told. */
static uint64_t source_octets(const Lutra__Column *source)
{
    switch (source->type) {
    case TYPE_VARCHAR:
    case TYPE_STRING:
        return source->meta;
    case TYPE_BLOB:
        return source->meta >= 1 && source->meta <= 4 ? ((uint64_t)1 << (8 * source->meta)) - 1 : 0;
    default:
        return 0;
    }
}

/* Each says what is wrong, NULL: it fits. */

static const char *check_integer(const Lutra__Column *source, const struct lutra_tcolumn *target)
{
    if (source->type == TYPE_YEAR || strcmp(target->data_type, "year") == 0) {
        return strcmp(target->data_type, "year") != 0      ? "not YEAR"
               : source->type && source->type != TYPE_YEAR ? "YEAR, the source's is an integer"
                                                           : NULL;
    }
    unsigned width = width_of(target->data_type);
    if (width == 0) {
        return "not an integer";
    }
    if (target->is_unsigned != (source->kind == LUTRA_KIND_UINT)) {
        return target->is_unsigned ? "unsigned, the source's is signed"
                                   : "signed, the source's is unsigned";
    }
    return width < source_width(source) ? "smaller than the source's" : NULL;
}

static const char *check_decimal(const Lutra__Column *source, const struct lutra_tcolumn *target)
{
    if (strcmp(target->data_type, "decimal") != 0) {
        return "not DECIMAL";
    }
    unsigned precision = source->meta >> 8;
    if (target->scale < source->decimals ||
        (precision && target->precision - target->scale < precision - source->decimals)) {
        return "of fewer digits than the source's";
    }
    return NULL;
}

static const char *check_temporal(const Lutra__Column *source,
                                  const struct lutra_tcolumn *target,
                                  const char *data_type)
{
    if (strcmp(target->data_type, data_type) != 0) {
        return "of another type than the source's";
    }
    return target->fractional_seconds < source->decimals
               ? "of fewer fractional digits than the source's"
               : NULL;
}

static const char *const strings[] = {"char",       "varchar",  "tinytext", "text",
                                      "mediumtext", "longtext", NULL};
static const char *const binaries[] = {"binary",     "varbinary", "tinyblob", "blob",
                                       "mediumblob", "longblob",  NULL};

/* Whose bytes mean the same in the other. */
static bool charset_fits(const char *source, const char *target)
{
    return strcmp(source, target) == 0 ||
           (strcmp(source, "utf8mb3") == 0 && strcmp(target, "utf8mb4") == 0) ||
           (strcmp(source, "ascii") == 0 &&
            (strcmp(target, "utf8mb4") == 0 || strcmp(target, "utf8mb3") == 0 ||
             strcmp(target, "latin1") == 0));
}

static const char *
check_string(const Lutra__Column *source, const struct lutra_tcolumn *target, const char *charset)
{
    if (!is_one_of(target->data_type, strings) || !target->charset) {
        return "not a string";
    }
    if (source->collation && (!charset || !charset_fits(charset, target->charset))) {
        return "of another character set than the source's";
    }
    if (source->type && source->type != TYPE_STRING && strcmp(target->data_type, "char") == 0) {
        return "CHAR, which drops trailing spaces that the source keeps";
    }
    return target->octets < source_octets(source) ? "shorter than the source's" : NULL;
}

static const char *check_binary(const Lutra__Column *source, const struct lutra_tcolumn *target)
{
    if (!is_one_of(target->data_type, binaries)) {
        return "not BINARY, VARBINARY or BLOB";
    }
    if (strcmp(target->data_type, "binary") == 0 && source->type) {
        if (source->type != TYPE_STRING || target->octets != source_octets(source)) {
            return "BINARY of another length, which would be filled with zeros";
        }
    }
    return target->octets < source_octets(source) ? "shorter than the source's" : NULL;
}

static int check_column(struct lutra_work *work,
                        const Lutra__Column *source,
                        const struct lutra_tcolumn *target,
                        const char **what,
                        struct lutra_error *err)
{
    const char *charset = NULL;
    *what = "of a kind that is not carried";
    switch ((enum lutra_kind)source->kind) {
    case LUTRA_KIND_INT:
    case LUTRA_KIND_UINT:
        *what = check_integer(source, target);
        break;
    case LUTRA_KIND_DECIMAL:
        *what = check_decimal(source, target);
        break;
    case LUTRA_KIND_DATE:
        *what = check_temporal(source, target, "date");
        break;
    case LUTRA_KIND_TIME:
        *what = check_temporal(source, target, "time");
        break;
    case LUTRA_KIND_DATETIME:
        *what = check_temporal(source, target, "datetime");
        break;
    case LUTRA_KIND_TIMESTAMP:
        *what = check_temporal(source, target, "timestamp");
        break;
    case LUTRA_KIND_STRING:
        if (source->collation && lutra_tables_charset(work, source->collation, &charset, err)) {
            return -1;
        }
        *what = check_string(source, target, charset);
        break;
    case LUTRA_KIND_BINARY:
        *what = check_binary(source, target);
        break;
    case LUTRA_KIND_NONE:
        break;
    }
    return 0;
}

static const struct lutra_tcolumn *find_column(const struct lutra_ttable *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (strcasecmp(table->columns[i].name, name) == 0) {
            return &table->columns[i];
        }
    }
    return NULL;
}

/* The source's primary key must be the target's, column for column; their order does not matter. */
static bool same_key(const Lutra__Table *table, const struct lutra_ttable *target)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_columns; i++) {
        bool found = false;
        for (size_t k = 0; table->columns[i]->key_part && k < target->n_key; k++) {
            found = found || strcasecmp(target->key[k], table->columns[i]->name) == 0;
        }
        if (table->columns[i]->key_part && !found) {
            return false;
        }
        n += found;
    }
    return n == target->n_key;
}

static void put_key(struct lutra_buf *out, const Lutra__Table *table)
{
    const char *separator = "";
    for (size_t part = 1; part <= table->n_columns; part++) {
        for (size_t i = 0; i < table->n_columns; i++) {
            if (table->columns[i]->key_part == part) {
                lutra_buf_printf(out, "%s%s", separator, table->columns[i]->name);
                separator = ", ";
            }
        }
    }
}

static void
refuse_key(const Lutra__Table *table, const struct lutra_ttable *target, struct lutra_error *err)
{
    struct lutra_buf text = {0};
    put_key(&text, table);
    lutra_buf_printf(&text, ") at the source, (");
    for (size_t i = 0; i < target->n_key; i++) {
        lutra_buf_printf(&text, "%s%s", i ? ", " : "", target->key[i]);
    }
    lutra_error_set(err, LUTRA_CONFIG, 0,
                    "%s.%s: primary key is (%s) at the target; rows are found by it, so both must "
                    "be the same",
                    table->schema, table->name, lutra_buf_cstr(&text));
    lutra_buf_fini(&text);
}

static enum enum_field_types bind_type(uint32_t kind)
{
    return kind == LUTRA_KIND_INT || kind == LUTRA_KIND_UINT ? MYSQL_TYPE_LONGLONG
           : kind == LUTRA_KIND_DECIMAL                      ? MYSQL_TYPE_NEWDECIMAL
           : kind == LUTRA_KIND_BINARY                       ? MYSQL_TYPE_BLOB
                                                             : MYSQL_TYPE_STRING;
}

/* What is wrong with each column goes to *wrong. */
static int plan_columns(struct lutra_work *work,
                        struct lutra_plan *plan,
                        const struct lutra_ttable *target,
                        struct lutra_buf *wrong,
                        struct lutra_error *err)
{
    const Lutra__Table *table = plan->table;
    for (size_t i = 0; i < table->n_columns; i++) {
        const Lutra__Column *source = table->columns[i];
        struct lutra_plan_column *column = &plan->columns[i];
        const char *what = "not at the target";
        column->target = find_column(target, source->name);
        if (column->target && check_column(work, source, column->target, &what, err)) {
            return -1;
        }
        if (what) {
            lutra_buf_printf(wrong, "%s%s is %s", wrong->len ? "; " : "", source->name, what);
            continue;
        }
        column->bind = bind_type(source->kind);
        column->is_key = source->key_part > 0;
        column->skip = column->target->generated;
        column->by_bytes = source->kind == LUTRA_KIND_STRING;
        plan->keyed = plan->keyed || column->is_key;
    }
    return 0;
}

struct lutra_plan *lutra_plan_make(struct lutra_work *work,
                                   struct lutra_arena *arena,
                                   const Lutra__Table *table,
                                   struct lutra_error *err)
{
    const struct lutra_ttable *target = lutra_tables_get(work, table->schema, table->name, err);
    struct lutra_buf wrong = {0};
    if (!target) {
        return NULL;
    }
    struct lutra_plan *plan = lutra_arena_calloc(arena, 1, sizeof(*plan));
    plan->table = table;
    plan->columns = lutra_arena_calloc(arena, table->n_columns + 1, sizeof(plan->columns[0]));
    int rc = plan_columns(work, plan, target, &wrong, err);
    if (rc == 0 && wrong.len) {
        rc = lutra_error_set(err, LUTRA_CONFIG, 0, "%s.%s at the target does not fit: %s",
                             table->schema, table->name, lutra_buf_cstr(&wrong));
    } else if (rc == 0 && plan->keyed && !same_key(table, target)) {
        refuse_key(table, target, err);
        rc = -1;
    }
    lutra_buf_fini(&wrong);
    return rc ? NULL : plan;
}
