/* SQL for tests, over a server's socket as root, in UTC and utf8mb4. */
#ifndef LUTRA_TEST_SUPPORT_SQL_H
#define LUTRA_TEST_SUPPORT_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lutra_sql; /* one connection */

struct lutra_sql *lutra_sql_open(const char *socket);
/* As this user, without a password; NULL and the error number when refused. */
struct lutra_sql *lutra_sql_try_open(const char *socket, const char *user, unsigned *error);
void lutra_sql_close(struct lutra_sql *sql);

/* One statement or several, separated by semicolons; results are thrown away. */
void lutra_sql_exec(struct lutra_sql *sql, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same; 0 or the server's error number. */
unsigned lutra_sql_try(struct lutra_sql *sql, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* First column of the first row as heap text; NULL when it is NULL or there is no row. */
char *lutra_sql_text(struct lutra_sql *sql, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same as a number; -1 when it is NULL or there is no row. */
int64_t lutra_sql_int(struct lutra_sql *sql, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Compares a table ("db.table", unquoted names) on two servers row by row, ordered by primary key,
 * without one by all columns. True when equal; otherwise *difference (heap) tells the first one. */
bool lutra_sql_tables_equal(struct lutra_sql *source,
                            struct lutra_sql *target,
                            const char *source_table,
                            const char *target_table,
                            char **difference);
/* The same for the rows of two queries, in the order they come. */
bool lutra_sql_rows_equal(struct lutra_sql *source,
                          struct lutra_sql *target,
                          const char *source_query,
                          const char *target_query,
                          char **difference);

#endif
