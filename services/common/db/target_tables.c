#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/target_private.h"

enum { MAX_COLLATION = 65535 };

static void table_free(struct lutra_ttable *table)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        lutra_free(table->columns[i].name);
        lutra_free(table->columns[i].data_type);
        lutra_free(table->columns[i].charset);
    }
    for (size_t i = 0; i < table->n_key; i++) {
        lutra_free(table->key[i]);
    }
    lutra_free(table->columns);
    lutra_free(table->key);
    lutra_free(table->schema);
    lutra_free(table->name);
    lutra_free(table);
}

void lutra_tables_forget(struct lutra_work *work)
{
    while (work->tables) {
        struct lutra_ttable *table = work->tables;
        work->tables = table->next;
        table_free(table);
    }
    for (size_t i = 0; i < work->n_charsets; i++) {
        lutra_free(work->charsets[i]);
    }
    lutra_free(work->charsets);
    work->charsets = NULL;
    work->n_charsets = 0;
}

/* ---- Character sets ---- */

static void put_charset(struct lutra_work *work, unsigned long id, const char *name)
{
    if (id == 0 || id > MAX_COLLATION) {
        return;
    }
    if (id >= work->n_charsets) {
        size_t n = id + 1;
        work->charsets = lutra_realloc(work->charsets, n * sizeof(char *));
        memset(work->charsets + work->n_charsets, 0, (n - work->n_charsets) * sizeof(char *));
        work->n_charsets = n;
    }
    lutra_free(work->charsets[id]);
    /* Servers before 10.6 call utf8mb3 utf8. */
    work->charsets[id] = lutra_strdup(strcmp(name, "utf8") == 0 ? "utf8mb3" : name);
}

static int load_charsets(struct lutra_work *work, struct lutra_error *err)
{
    /* MariaDB 10.10+ numbers collations of several character sets only in the first table; older
     * ones and MySQL have no number there. */
    static const char *const queries[] = {
        "SELECT ID, CHARACTER_SET_NAME FROM "
        "information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"
        " WHERE ID IS NOT NULL",
        "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS"
        " WHERE ID IS NOT NULL AND CHARACTER_SET_NAME IS NOT NULL",
    };
    MYSQL_RES *result = NULL;
    for (size_t i = 0; i < 2 && !result; i++) {
        lutra_error_clear(err);
        result = lutra_conn_query(&work->conn, err, "%s", queries[i]);
    }
    MYSQL_ROW row;
    if (!result) {
        return -1;
    }
    while ((row = mysql_fetch_row(result))) {
        put_charset(work, strtoul(row[0], NULL, 10), row[1]);
    }
    mysql_free_result(result);
    return 0;
}

int lutra_tables_charset(struct lutra_work *work,
                         uint32_t collation,
                         const char **charset,
                         struct lutra_error *err)
{
    if (work->n_charsets == 0 && load_charsets(work, err)) {
        return -1;
    }
    *charset = collation < work->n_charsets ? work->charsets[collation] : NULL;
    return 0;
}

/* ---- Refusals ---- */

static int check_kind(struct lutra_work *work,
                      const struct lutra_ttable *table,
                      const char *where,
                      struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(
        &work->conn, err,
        "SELECT t.TABLE_TYPE, t.ENGINE, e.TRANSACTIONS FROM information_schema.TABLES t"
        " LEFT JOIN information_schema.ENGINES e ON e.ENGINE=t.ENGINE WHERE %s",
        where);
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    int rc = -1;
    if (!result) {
        return -1;
    }
    if (!row) {
        lutra_error_set(err, LUTRA_CONFIG, LUTRA_ER_NO_SUCH_TABLE,
                        "table %s.%s is not at the target, or user %s may not see it; create it or "
                        "GRANT SELECT, INSERT, UPDATE, DELETE ON it",
                        table->schema, table->name, work->conn.endpoint.user);
    } else if (!row[0] || strcmp(row[0], "BASE TABLE") != 0) {
        lutra_error_set(err, LUTRA_CONFIG, 0, "%s.%s at the target is a %s, not a base table",
                        table->schema, table->name, row[0] ? row[0] : "view");
    } else if (!row[2] || strcmp(row[2], "YES") != 0) {
        lutra_error_set(err, LUTRA_CONFIG, 0,
                        "%s.%s at the target has engine %s, which has no transactions; "
                        "ALTER TABLE %s.%s ENGINE=InnoDB",
                        table->schema, table->name, row[1] ? row[1] : "none", table->schema,
                        table->name);
    } else {
        rc = 0;
    }
    mysql_free_result(result);
    return rc;
}

/* `*` stands for any run of characters. */
static bool name_matches(const char *pattern, const char *name)
{
    if (*pattern == '*') {
        for (;; name++) {
            if (name_matches(pattern + 1, name)) {
                return true;
            }
            if (!*name) {
                return false;
            }
        }
    }
    return *pattern ? *pattern == *name && name_matches(pattern + 1, name + 1) : !*name;
}

static bool triggers_allowed(const struct lutra_work *work, const struct lutra_ttable *table)
{
    for (size_t i = 0; i < work->n_rules; i++) {
        if (name_matches(work->rules[i].schema, table->schema) &&
            name_matches(work->rules[i].table, table->name)) {
            return work->rules[i].allow;
        }
    }
    return false;
}

/* information_schema hides triggers from who lacks the privilege: then nothing is known. */
static int check_trigger_right(struct lutra_work *work,
                               const struct lutra_ttable *table,
                               const char *schema,
                               const char *name,
                               struct lutra_error *err)
{
    static const char me[] =
        "GRANTEE IN (CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), ''''),"
        " CONCAT('''', CURRENT_ROLE(), '''@'''''), CURRENT_ROLE()) AND PRIVILEGE_TYPE='TRIGGER'";
    lutra_error_clear(err);
    LUTRA_AUTO_FREE char *seen = lutra_conn_text(
        &work->conn, err,
        "SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE %s"
        " UNION SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE %s AND %s LIKE "
        "TABLE_SCHEMA"
        " UNION SELECT 1 FROM information_schema.TABLE_PRIVILEGES WHERE %s AND TABLE_SCHEMA=%s AND"
        " TABLE_NAME=%s",
        me, me, schema, me, schema, name);
    if (seen) {
        return 0;
    }
    if (err->class != LUTRA_OK) {
        return -1;
    }
    return lutra_error_set(
        err, LUTRA_CONFIG, 0,
        "cannot see whether %s.%s has triggers: GRANT TRIGGER ON %s.* TO user %s, "
        "or set triggers: allow for its pair",
        table->schema, table->name, table->schema, work->conn.endpoint.user);
}

static int check_triggers(struct lutra_work *work,
                          const struct lutra_ttable *table,
                          const char *schema,
                          const char *name,
                          struct lutra_error *err)
{
    if (triggers_allowed(work, table)) {
        return 0;
    }
    lutra_error_clear(err);
    LUTRA_AUTO_FREE char *names = lutra_conn_text(
        &work->conn, err,
        "SELECT GROUP_CONCAT(TRIGGER_NAME ORDER BY TRIGGER_NAME SEPARATOR ', ')"
        " FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA=%s AND EVENT_OBJECT_TABLE=%s",
        schema, name);
    if (names) {
        return lutra_error_set(
            err, LUTRA_CONFIG, 0,
            "%s.%s at the target has triggers (%.300s), whose work the source has "
            "done already; DROP them or set triggers: allow for its pair",
            table->schema, table->name, names);
    }
    return err->class == LUTRA_OK ? check_trigger_right(work, table, schema, name, err) : -1;
}

/* ---- Columns and key ---- */

static unsigned number_of(const char *text)
{
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static int read_columns(struct lutra_work *work,
                        struct lutra_ttable *table,
                        const char *where,
                        struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(
        &work->conn, err,
        "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_SET_NAME, COLUMN_TYPE, EXTRA,"
        " CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION"
        " FROM information_schema.COLUMNS t WHERE %s ORDER BY ORDINAL_POSITION",
        where);
    MYSQL_ROW row;
    if (!result) {
        return -1;
    }
    table->columns = lutra_alloc((size_t)mysql_num_rows(result) * sizeof(table->columns[0]) + 1);
    while ((row = mysql_fetch_row(result))) {
        struct lutra_tcolumn *column = &table->columns[table->n_columns++];
        column->name = lutra_strdup(row[0]);
        column->data_type = lutra_strdup(row[1]);
        column->charset = lutra_strdup(row[2] && strcmp(row[2], "utf8") == 0 ? "utf8mb3" : row[2]);
        column->is_unsigned = row[3] && strstr(row[3], "unsigned");
        column->generated = row[4] && strstr(row[4], "GENERATED");
        column->octets = row[5] ? strtoull(row[5], NULL, 10) : 0;
        column->precision = number_of(row[6]);
        column->scale = number_of(row[7]);
        column->fractional_seconds = number_of(row[8]);
    }
    mysql_free_result(result);
    return 0;
}

static int read_key(struct lutra_work *work,
                    struct lutra_ttable *table,
                    const char *where,
                    struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(
        &work->conn, err,
        "SELECT COLUMN_NAME FROM information_schema.STATISTICS t WHERE %s AND INDEX_NAME='PRIMARY'"
        " ORDER BY SEQ_IN_INDEX",
        where);
    MYSQL_ROW row;
    if (!result) {
        return -1;
    }
    table->key = lutra_alloc((size_t)mysql_num_rows(result) * sizeof(char *) + 1);
    while ((row = mysql_fetch_row(result))) {
        table->key[table->n_key++] = lutra_strdup(row[0]);
    }
    mysql_free_result(result);
    return 0;
}

static int
look_at_table(struct lutra_work *work, struct lutra_ttable *table, struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *schema = lutra_conn_quote(&work->conn, table->schema);
    LUTRA_AUTO_FREE char *name = lutra_conn_quote(&work->conn, table->name);
    LUTRA_AUTO_FREE char *where =
        lutra_asprintf("t.TABLE_SCHEMA=%s AND t.TABLE_NAME=%s", schema, name);
    return check_kind(work, table, where, err) || check_triggers(work, table, schema, name, err) ||
                   read_columns(work, table, where, err) || read_key(work, table, where, err)
               ? -1
               : 0;
}

const struct lutra_ttable *lutra_tables_get(struct lutra_work *work,
                                            const char *schema,
                                            const char *name,
                                            struct lutra_error *err)
{
    struct lutra_ttable **link = &work->tables;
    for (; *link; link = &(*link)->next) {
        struct lutra_ttable *found = *link;
        if (strcmp(found->name, name) == 0 && strcmp(found->schema, schema) == 0) {
            *link = found->next; /* most recent first: a batch names few tables again and again */
            found->next = work->tables;
            work->tables = found;
            return found;
        }
    }
    if (!work->conn.mysql) {
        lutra_error_set(err, LUTRA_RETRY, LUTRA_CR_SERVER_LOST, "not connected");
        return NULL;
    }
    struct lutra_ttable *table = LUTRA_NEW(struct lutra_ttable);
    table->schema = lutra_strdup(schema);
    table->name = lutra_strdup(name);
    if (look_at_table(work, table, err)) {
        table_free(table);
        return NULL;
    }
    table->next = work->tables;
    work->tables = table;
    return table;
}
