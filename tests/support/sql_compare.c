#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/sql.h"
#include "support/sql_internal.h"
#include "support/test.h"

static MYSQL_RES *start_rows(struct lutra_sql *sql, const char *query)
{
    MYSQL_RES *result = NULL;
    if (mysql_real_query(&sql->mysql, query, strlen(query)) == 0) {
        result = mysql_use_result(&sql->mysql);
    }
    if (!result) {
        lutra_test_fail("%s\n  in: %.500s", mysql_error(&sql->mysql), query);
    }
    return result;
}

static void print_value(FILE *out, const char *value, unsigned long len)
{
    if (!value) {
        fputs("NULL", out);
        return;
    }
    fputc('\'', out);
    for (unsigned long i = 0; i < len && i < 60; i++) {
        unsigned char byte = (unsigned char)value[i];
        fprintf(out, isprint(byte) ? "%c" : "\\x%02x", byte);
    }
    fprintf(out, len > 60 ? "'... (%lu bytes)" : "'", len);
}

static void print_row(FILE *out, const char *side, MYSQL_RES *result, MYSQL_ROW row)
{
    fprintf(out, "\n  %s:", side);
    if (!row) {
        fputs(" no more rows", out);
        return;
    }
    const unsigned long *lengths = mysql_fetch_lengths(result);
    const MYSQL_FIELD *fields = mysql_fetch_fields(result);
    for (unsigned i = 0; i < mysql_num_fields(result); i++) {
        fprintf(out, " %s=", fields[i].name);
        print_value(out, row[i], lengths[i]);
    }
}

static bool equal_rows(MYSQL_RES *a, MYSQL_ROW row_a, MYSQL_RES *b, MYSQL_ROW row_b)
{
    if (!row_a || !row_b) {
        return row_a == row_b;
    }
    const unsigned long *lengths_a = mysql_fetch_lengths(a), *lengths_b = mysql_fetch_lengths(b);
    for (unsigned i = 0; i < mysql_num_fields(a); i++) {
        if (!row_a[i] || !row_b[i]) {
            if (row_a[i] != row_b[i]) {
                return false;
            }
        } else if (lengths_a[i] != lengths_b[i] || memcmp(row_a[i], row_b[i], lengths_a[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool compare(MYSQL_RES *a, MYSQL_RES *b, char **difference)
{
    if (mysql_num_fields(a) != mysql_num_fields(b)) {
        *difference = lutra_test_format("%u columns at the source, %u at the target",
                                        mysql_num_fields(a), mysql_num_fields(b));
        return false;
    }
    for (uint64_t n = 1;; n++) {
        MYSQL_ROW row_a = mysql_fetch_row(a), row_b = mysql_fetch_row(b);
        if (!equal_rows(a, row_a, b, row_b)) {
            size_t len;
            FILE *out = open_memstream(difference, &len);
            fprintf(out, "row %llu differs", (unsigned long long)n);
            print_row(out, "source", a, row_a);
            print_row(out, "target", b, row_b);
            fclose(out);
            return false;
        }
        if (!row_a) {
            return true;
        }
    }
}

bool lutra_sql_rows_equal(struct lutra_sql *source,
                          struct lutra_sql *target,
                          const char *source_query,
                          const char *target_query,
                          char **difference)
{
    *difference = NULL;
    MYSQL_RES *a = start_rows(source, source_query);
    MYSQL_RES *b = start_rows(target, target_query);
    bool equal = compare(a, b, difference);
    /* Freeing reads what is left of the rows. */
    mysql_free_result(a);
    mysql_free_result(b);
    /* An error in the middle looks like the end of the rows. */
    if (mysql_errno(&source->mysql) || mysql_errno(&target->mysql)) {
        lutra_test_fail("reading rows: %s%s", mysql_error(&source->mysql),
                        mysql_error(&target->mysql));
    }
    return equal;
}

/* SELECT * FROM `db`.`table` ORDER BY its primary key, or every column as bytes. */
static char *table_query(struct lutra_sql *sql, const char *table)
{
    char schema[65], name[65];
    if (sscanf(table, "%64[^.].%64s", schema, name) != 2) {
        lutra_test_fail("\"%s\" is not db.table", table);
    }
    char *order =
        lutra_sql_text(sql,
                       "SELECT GROUP_CONCAT('`', column_name, '`' ORDER BY ordinal_position) FROM "
                       "information_schema.key_column_usage WHERE constraint_name = 'PRIMARY' AND "
                       "table_schema = '%s' AND table_name = '%s'",
                       schema, name);
    if (!order) {
        order = lutra_sql_text(
            sql,
            "SELECT GROUP_CONCAT('CAST(`', column_name, '` AS BINARY)' ORDER BY ordinal_position) "
            "FROM information_schema.columns WHERE table_schema = '%s' AND table_name = '%s'",
            schema, name);
    }
    if (!order) {
        lutra_test_fail("there is no table %s", table);
    }
    char *query = lutra_test_format("SELECT * FROM `%s`.`%s` ORDER BY %s", schema, name, order);
    free(order);
    return query;
}

bool lutra_sql_tables_equal(struct lutra_sql *source,
                            struct lutra_sql *target,
                            const char *source_table,
                            const char *target_table,
                            char **difference)
{
    char *a = table_query(source, source_table), *b = table_query(target, target_table);
    bool equal = lutra_sql_rows_equal(source, target, a, b, difference);
    free(a);
    free(b);
    return equal;
}
