#include <string.h>
#include <uthash.h>

#include "base/mem.h"
#include "db/target_private.h"

/* Each costs memory here and at the server (max_prepared_stmt_count). */
enum { MAX_STATEMENTS = 256, MAX_PARAMS = 8 };

struct lutra_stmt {
    UT_hash_handle hh; /* in the order of last use */
    char *sql;
    MYSQL_STMT *stmt;
};

int lutra_stmt_error(MYSQL_STMT *stmt, struct lutra_error *err)
{
    unsigned code = mysql_stmt_errno(stmt);
    return lutra_error_set(err, lutra_mysql_error_class(code), (int)code, "%u %s", code,
                           mysql_stmt_error(stmt));
}

static void forget(struct lutra_work *work, struct lutra_stmt *entry)
{
    HASH_DEL(work->statements, entry);
    mysql_stmt_close(entry->stmt);
    lutra_free(entry->sql);
    lutra_free(entry);
}

void lutra_stmt_forget_all(struct lutra_work *work)
{
    while (work->statements) {
        forget(work, work->statements);
    }
}

MYSQL_STMT *lutra_stmt_get(struct lutra_work *work, const char *sql, struct lutra_error *err)
{
    struct lutra_stmt *entry;
    HASH_FIND_STR(work->statements, sql, entry);
    if (entry) {
        HASH_DEL(work->statements, entry);
        HASH_ADD_KEYPTR(hh, work->statements, entry->sql, strlen(entry->sql), entry);
        return entry->stmt;
    }
    if (!work->conn.mysql) {
        lutra_error_set(err, LUTRA_RETRY, LUTRA_CR_SERVER_LOST, "not connected");
        return NULL;
    }
    if (HASH_COUNT(work->statements) >= MAX_STATEMENTS) {
        forget(work, work->statements);
    }
    MYSQL_STMT *stmt = mysql_stmt_init(work->conn.mysql);
    LUTRA_ASSERT(stmt);
    work->stats.round_trips++;
    if (mysql_stmt_prepare(stmt, sql, (unsigned long)strlen(sql))) {
        lutra_stmt_error(stmt, err);
        mysql_stmt_close(stmt);
        return NULL;
    }
    entry = LUTRA_NEW(struct lutra_stmt);
    entry->sql = lutra_strdup(sql);
    entry->stmt = stmt;
    HASH_ADD_KEYPTR(hh, work->statements, entry->sql, strlen(entry->sql), entry);
    return stmt;
}

int lutra_stmt_run(struct lutra_work *work,
                   const char *sql,
                   const struct lutra_param *params,
                   size_t n,
                   uint64_t *affected,
                   struct lutra_error *err)
{
    MYSQL_BIND binds[MAX_PARAMS] = {0};
    unsigned long lengths[MAX_PARAMS];
    uint64_t numbers[MAX_PARAMS];
    LUTRA_ASSERT(n <= MAX_PARAMS);
    MYSQL_STMT *stmt = lutra_stmt_get(work, sql, err);
    if (!stmt) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (params[i].text) {
            lengths[i] = (unsigned long)strlen(params[i].text);
            binds[i].buffer_type = MYSQL_TYPE_STRING;
            binds[i].buffer = (void *)(uintptr_t)params[i].text; /* not written to */
            binds[i].buffer_length = lengths[i];
            binds[i].length = &lengths[i];
        } else {
            numbers[i] = params[i].number;
            binds[i].buffer_type = MYSQL_TYPE_LONGLONG;
            binds[i].buffer = &numbers[i];
            binds[i].is_unsigned = 1;
        }
    }
    work->stats.statements++;
    work->stats.round_trips++;
    if (mysql_stmt_bind_param(stmt, binds) || mysql_stmt_execute(stmt)) {
        return lutra_stmt_error(stmt, err);
    }
    *affected = mysql_stmt_affected_rows(stmt);
    return 0;
}
