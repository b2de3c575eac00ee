#include "support/sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/sql_internal.h"
#include "support/test.h"

struct lutra_sql *lutra_sql_try_open(const char *socket, const char *user, unsigned *error)
{
    struct lutra_sql *sql = calloc(1, sizeof(*sql));
    if (!sql || !mysql_init(&sql->mysql)) {
        abort();
    }
    mysql_options(&sql->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(&sql->mysql, MYSQL_INIT_COMMAND, "SET time_zone='+00:00'");
    *error = 0;
    if (!mysql_real_connect(&sql->mysql, NULL, user, NULL, NULL, 0, socket,
                            CLIENT_MULTI_STATEMENTS)) {
        *error = mysql_errno(&sql->mysql);
        lutra_sql_close(sql);
        return NULL;
    }
    return sql;
}

struct lutra_sql *lutra_sql_open(const char *socket)
{
    unsigned error;
    struct lutra_sql *sql = lutra_sql_try_open(socket, "root", &error);
    if (!sql) {
        lutra_test_fail("connect to %s: error %u", socket, error);
    }
    return sql;
}

void lutra_sql_close(struct lutra_sql *sql)
{
    if (sql) {
        mysql_close(&sql->mysql);
        free(sql);
    }
}

/* Runs to the end of all results; the first row's first column goes to *scalar when wanted. */
static unsigned run(struct lutra_sql *sql, const char *text, char **scalar)
{
    if (mysql_real_query(&sql->mysql, text, strlen(text)) != 0) {
        return mysql_errno(&sql->mysql);
    }
    int more;
    do {
        MYSQL_RES *result = mysql_store_result(&sql->mysql);
        MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
        if (row && row[0] && scalar && !*scalar) {
            *scalar = lutra_test_format("%s", row[0]);
        }
        mysql_free_result(result);
        more = mysql_next_result(&sql->mysql); /* -1: no more; above 0: an error */
    } while (more == 0);
    return more > 0 ? mysql_errno(&sql->mysql) : 0;
}

static __attribute__((format(printf, 1, 0))) char *statement(const char *format, va_list args)
{
    char *text;
    if (vasprintf(&text, format, args) < 0) {
        abort();
    }
    return text;
}

static void must_run(struct lutra_sql *sql, const char *text, char **scalar)
{
    if (run(sql, text, scalar) != 0) {
        lutra_test_fail("%s\n  in: %.500s", mysql_error(&sql->mysql), text);
    }
}

void lutra_sql_exec(struct lutra_sql *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = statement(format, args);
    va_end(args);
    must_run(sql, text, NULL);
    free(text);
}

unsigned lutra_sql_try(struct lutra_sql *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = statement(format, args);
    va_end(args);
    unsigned error = run(sql, text, NULL);
    free(text);
    return error;
}

char *lutra_sql_text(struct lutra_sql *sql, const char *format, ...)
{
    char *scalar = NULL;
    va_list args;
    va_start(args, format);
    char *text = statement(format, args);
    va_end(args);
    must_run(sql, text, &scalar);
    free(text);
    return scalar;
}

int64_t lutra_sql_int(struct lutra_sql *sql, const char *format, ...)
{
    char *scalar = NULL;
    va_list args;
    va_start(args, format);
    char *text = statement(format, args);
    va_end(args);
    must_run(sql, text, &scalar);
    free(text);
    int64_t number = scalar ? strtoll(scalar, NULL, 10) : -1;
    free(scalar);
    return number;
}
