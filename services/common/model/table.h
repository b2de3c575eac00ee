/* What a row needs to be understood: a table's columns, as TABLE_MAP's FULL metadata tells them. */
#ifndef LUTRA_MODEL_TABLE_H
#define LUTRA_MODEL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kinds of value Lutra carries exactly. How each is written in a packed row: model/values.h. */
enum lutra_kind {
    LUTRA_KIND_NONE,
    LUTRA_KIND_INT,       /* TINYINT .. BIGINT, signed, and YEAR */
    LUTRA_KIND_UINT,      /* the same, unsigned */
    LUTRA_KIND_DECIMAL,   /* text: -123.4500 with exactly `decimals` digits */
    LUTRA_KIND_DATE,      /* text: 2024-02-29, zero dates too */
    LUTRA_KIND_TIME,      /* text: -838:59:59.000000 with `decimals` digits */
    LUTRA_KIND_DATETIME,  /* text: 2024-02-29 12:34:56.1234 */
    LUTRA_KIND_TIMESTAMP, /* text as DATETIME, in UTC */
    LUTRA_KIND_STRING,    /* bytes in the column's own character set */
    LUTRA_KIND_BINARY,    /* bytes */
};

struct lutra_column {
    char *name;
    enum lutra_kind kind;
    uint8_t
        type; /* MySQL's type code in TABLE_MAP (for STRING columns the real type: 254, 247, 248) */
    /* TABLE_MAP metadata of the type: greatest length in bytes (STRING, VARCHAR), length of the
     * length (BLOB), precision << 8 | scale (NEWDECIMAL), fractional digits (TIME2, DATETIME2,
     * TIMESTAMP2). */
    uint16_t meta;
    bool is_unsigned;
    bool nullable;
    uint16_t key_part;  /* 1.. in the primary key, 0 not part of it */
    uint16_t decimals;  /* DECIMAL scale, fractional seconds */
    uint16_t collation; /* number; 63 is binary; 0 unknown */
};

struct lutra_table {
    char *schema, *name;
    size_t n_columns;
    struct lutra_column *columns;
};

struct lutra_table *lutra_table_new(const char *schema, const char *name, size_t n_columns);
void lutra_table_free(struct lutra_table *table);
struct lutra_table *lutra_table_dup(const struct lutra_table *table);
/* Same names, kinds, signs, keys, collations in the same order. */
bool lutra_table_equal(const struct lutra_table *a, const struct lutra_table *b);
const char *lutra_kind_name(enum lutra_kind kind);

#endif
