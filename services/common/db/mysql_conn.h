/* One connection to a MySQL or MariaDB server, used by one worker thread with blocking calls, and
 * interruptible by the loop. Private to this module.
 *
 * Generations: everything a worker does belongs to a generation; lutra_conn_interrupt begins the
 * next one, from which moment the running job's calls fail and its waits end. */
#ifndef LUTRA_DB_MYSQL_CONN_H
#define LUTRA_DB_MYSQL_CONN_H

#include <mysql.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/channel.h"

struct lutra_conn {
    struct lutra_endpoint endpoint; /* own copies */
    char program[64];               /* shown by the server: connection attribute program_name */
    MYSQL *mysql;                   /* worker only; NULL: not connected */
    unsigned long id;               /* the server's connection id */
    uint64_t statements;            /* worker only: counted by the calls below */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t generation; /* @locks lock */
    uint64_t running;    /* @locks lock: that of the job under way */
    uint64_t opened;     /* worker only: generation in which the connection was made */
    int fd;              /* @locks lock; -1: none */
};

void lutra_conn_init(struct lutra_conn *conn,
                     const struct lutra_endpoint *endpoint,
                     const char *program);
void lutra_conn_fini(struct lutra_conn *conn); /* closes; no thread uses it any more */

/* Loop. */
uint64_t lutra_conn_generation(struct lutra_conn *conn);
void lutra_conn_interrupt(struct lutra_conn *conn);

/* Worker. Begins a job of that generation; false: it is stale, do nothing. A connection of an older
 * generation is closed. */
bool lutra_conn_enter(struct lutra_conn *conn, uint64_t generation);
bool lutra_conn_interrupted(struct lutra_conn *conn);
/* Waits; false as soon as the job is interrupted. */
bool lutra_conn_wait(struct lutra_conn *conn, uint64_t ms);
/* Connects and logs in; flags as of mysql_real_connect. CONFIG when the server refuses the user,
 * RETRY when it cannot be reached. */
int lutra_conn_open(struct lutra_conn *conn,
                    unsigned long flags,
                    struct lutra_error *err) LUTRA_MUST_CHECK;
/* Statements prepared on it stay valid handles for mysql_stmt_close. */
void lutra_conn_close(struct lutra_conn *conn);
/* Begin and end of a worker thread (loop/worker.h) that uses the client library. The end closes the
 * connection that is the worker's state. */
void lutra_conn_worker_begin(void *conn);
void lutra_conn_worker_end(void *conn);
/* Hands the connection over: the caller closes it by mysql_close. NULL: there is none. */
MYSQL *lutra_conn_release(struct lutra_conn *conn);

/* One statement; results are thrown away. */
int lutra_conn_exec(struct lutra_conn *conn, struct lutra_error *err, const char *fmt, ...)
    LUTRA_MUST_CHECK LUTRA_PRINTF(3, 4);
/* One statement with a result, NULL on error; mysql_free_result. */
MYSQL_RES *lutra_conn_query(struct lutra_conn *conn, struct lutra_error *err, const char *fmt, ...)
    LUTRA_MUST_CHECK LUTRA_PRINTF(3, 4);
/* The value of one row and column as heap text; NULL for SQL NULL or no row (err stays clear) and
 * on error. */
char *lutra_conn_text(struct lutra_conn *conn, struct lutra_error *err, const char *fmt, ...)
    LUTRA_PRINTF(3, 4);
/* 'text', escaped; heap. */
char *lutra_conn_quote(struct lutra_conn *conn, const char *text);
/* Fills *err from the last error of the connection. Returns -1. */
int lutra_conn_error(struct lutra_conn *conn, struct lutra_error *err);

/* Connected. Does the server apply what it replicates from another one? False when the user may not
 * know. (source_gtids.c) */
int lutra_conn_replicates(struct lutra_conn *conn,
                          bool *replicates,
                          struct lutra_error *err) LUTRA_MUST_CHECK;

/* The class of a server's or the client library's error number. */
enum lutra_error_class lutra_mysql_error_class(unsigned code);
/* The connection is gone or of no more use. */
bool lutra_mysql_error_lost(int code);
/* ER_LOCK_WAIT_TIMEOUT and so on, where code needs them by name. */
enum lutra_mysql_code {
    LUTRA_ER_DBACCESS_DENIED = 1044,
    LUTRA_ER_BAD_DB = 1049,
    LUTRA_ER_NO_SUCH_THREAD = 1094,
    LUTRA_ER_TABLEACCESS_DENIED = 1142,
    LUTRA_ER_NO_SUCH_TABLE = 1146,
    LUTRA_ER_LOCK_WAIT_TIMEOUT = 1205,
    LUTRA_ER_SPECIFIC_ACCESS_DENIED = 1227,
    LUTRA_CR_SERVER_LOST = 2013,
};

#endif
