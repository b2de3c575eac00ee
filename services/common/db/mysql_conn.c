#include "db/mysql_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/mem.h"
#include "base/tcp.h"

/* A dead peer is noticed by the kernel after some seconds (base/tcp.h); READ_S bounds a server that
 * lives and does not answer. Lock waits end long before it. */
enum { CONNECT_S = 5, READ_S = 60, WRITE_S = 60 };

enum lutra_error_class lutra_mysql_error_class(unsigned code)
{
    switch (code) {
    case 1044: /* access denied to the database */
    case 1045: /* access denied */
    case 1049: /* unknown database */
    case 1054: /* unknown column */
    case 1130: /* host is not allowed */
    case 1142: /* command denied on the table */
    case 1143: /* ... on the column */
    case 1146: /* no such table */
    case 1153: /* packet too large: max_allowed_packet */
    case 1227: /* a privilege is missing */
    case 1251: /* authentication protocol */
    case 1381: /* no binlog */
    case 1370: /* routine access denied */
    case 1396:
    case 1524: /* plugin is not loaded */
    case 1665: /* statement-format binlog and READ COMMITTED */
    case 1698: /* access denied, no password */
    case 1820: /* password must be changed */
    case 1862: /* password expired */
    case 2058: /* client plugin */
    case 2059:
    case 2061:
        return LUTRA_CONFIG;
    case 1015: /* file locks */
    case 1021: /* disk full */
    case 1026: /* error on write: most often a full disk under the binlog */
    case 1028:
    case 1030: /* from the storage engine: a full disk, an I/O error */
    case 1037: /* out of memory */
    case 1040: /* too many connections */
    case 1041:
    case 1042: /* bad host (resolver) */
    case 1047: /* node not ready (Galera) */
    case 1053: /* shutdown */
    case 1114: /* table full */
    case 1129: /* host blocked */
    case 1152:
    case 1154:
    case 1155:
    case 1156:
    case 1157:
    case 1158:
    case 1159:
    case 1160:
    case 1161:
    case 1180: /* error during COMMIT */
    case 1184:
    case 1203: /* too many user connections */
    case 1205: /* lock wait */
    case 1206: /* no room for locks */
    case 1213: /* deadlock */
    case 1226: /* user resource */
    case 1290: /* read_only */
    case 1317: /* interrupted */
    case 1412: /* table definition changed */
    case 1534: /* the binlog could not be written */
    case 1598:
    case 1613:
    case 1614: /* XA rolled back */
    case 1615: /* statement needs to be prepared again */
    case 1836: /* read only mode */
    case 1927: /* connection was killed */
    case 1969: /* max_statement_time */
    case 4031: /* idle disconnect */
        return LUTRA_RETRY;
    default:
        /* Those of the client library are about the connection, those below 1000 of the server's
         * files: a full disk, an I/O error, no memory. */
        return (code >= 2000 && code < 3000) || (code > 0 && code < 1000) ? LUTRA_RETRY
                                                                          : LUTRA_DATA;
    }
}

bool lutra_mysql_error_lost(int code)
{
    return (code >= 2000 && code < 3000) || code == 1053 || code == 1927 || code == 1153 ||
           code == 4031 || code == 1152 || code == 1184 || (code >= 1158 && code <= 1161);
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_begin(void)
{
    LUTRA_ASSERT(mysql_library_init(0, NULL, NULL) == 0);
}

void lutra_conn_init(struct lutra_conn *conn,
                     const struct lutra_endpoint *endpoint,
                     const char *program)
{
    pthread_condattr_t monotonic;
    pthread_once(&library_once, library_begin);
    *conn = (struct lutra_conn){.fd = -1};
    conn->endpoint = (struct lutra_endpoint){
        .name = lutra_strdup(endpoint->name),
        .flavor = endpoint->flavor,
        .host = lutra_strdup(endpoint->host),
        .port = endpoint->port,
        .socket = lutra_strdup(endpoint->socket),
        .user = lutra_strdup(endpoint->user),
        .password_file = lutra_strdup(endpoint->password_file),
        .password_env = lutra_strdup(endpoint->password_env),
        .member = lutra_strdup(endpoint->member),
    };
    snprintf(conn->program, sizeof(conn->program), "%s", program);
    LUTRA_ASSERT(pthread_mutex_init(&conn->lock, NULL) == 0);
    LUTRA_ASSERT(pthread_condattr_init(&monotonic) == 0);
    LUTRA_ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    LUTRA_ASSERT(pthread_cond_init(&conn->changed, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
}

void lutra_conn_fini(struct lutra_conn *conn)
{
    lutra_conn_close(conn);
    pthread_cond_destroy(&conn->changed);
    pthread_mutex_destroy(&conn->lock);
    lutra_free(conn->endpoint.name);
    lutra_free(conn->endpoint.host);
    lutra_free(conn->endpoint.socket);
    lutra_free(conn->endpoint.user);
    lutra_free(conn->endpoint.password_file);
    lutra_free(conn->endpoint.password_env);
    lutra_free(conn->endpoint.member);
}

/* ---- Worker threads ---- */

void lutra_conn_worker_begin(void *conn)
{
    (void)conn;
    LUTRA_ASSERT(mysql_thread_init() == 0);
}

void lutra_conn_worker_end(void *conn)
{
    lutra_conn_close(conn);
    mysql_thread_end();
}

/* ---- Generations ---- */

uint64_t lutra_conn_generation(struct lutra_conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    uint64_t generation = conn->generation;
    pthread_mutex_unlock(&conn->lock);
    return generation;
}

void lutra_conn_interrupt(struct lutra_conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    conn->generation++;
    if (conn->fd >= 0) {
        /* The worker's read returns; it closes the descriptor, so that no other gets its number. */
        (void)shutdown(conn->fd, SHUT_RDWR);
    }
    pthread_cond_broadcast(&conn->changed);
    pthread_mutex_unlock(&conn->lock);
}

bool lutra_conn_enter(struct lutra_conn *conn, uint64_t generation)
{
    pthread_mutex_lock(&conn->lock);
    bool current = conn->generation == generation;
    conn->running = generation;
    pthread_mutex_unlock(&conn->lock);
    if (conn->mysql && conn->opened != generation) {
        lutra_conn_close(conn);
    }
    return current;
}

bool lutra_conn_interrupted(struct lutra_conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    bool interrupted = conn->running != conn->generation;
    pthread_mutex_unlock(&conn->lock);
    return interrupted;
}

bool lutra_conn_wait(struct lutra_conn *conn, uint64_t ms)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&conn->lock);
    while (conn->running == conn->generation && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&conn->changed, &conn->lock, &until);
    }
    bool whole = conn->running == conn->generation;
    pthread_mutex_unlock(&conn->lock);
    return whole;
}

/* ---- Open and close ---- */

static void set_options(struct lutra_conn *conn, MYSQL *mysql)
{
    unsigned connect_s = CONNECT_S, read_s = READ_S, write_s = WRITE_S, off = 0;
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &read_s);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &write_s);
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off); /* a server must not read our files */
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "binary");
    mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", conn->program);
}

static void set_socket_options(int fd)
{
    int on = 1;
    lutra_tcp_bound_silence(fd);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a unix socket has none */
}

static int interrupted_error(struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_RETRY, LUTRA_CR_SERVER_LOST, "interrupted");
}

/* Lets the loop reach the socket; false when it asked for the end meanwhile. */
static bool publish(struct lutra_conn *conn, int fd)
{
    pthread_mutex_lock(&conn->lock);
    bool current = conn->running == conn->generation;
    conn->fd = current ? fd : -1;
    pthread_mutex_unlock(&conn->lock);
    return current;
}

static const char *where(const struct lutra_conn *conn, char *text, size_t len)
{
    if (conn->endpoint.socket) {
        snprintf(text, len, "%s", conn->endpoint.socket);
    } else {
        snprintf(text, len, "%s:%u", conn->endpoint.host ? conn->endpoint.host : "localhost",
                 conn->endpoint.port);
    }
    return text;
}

int lutra_conn_open(struct lutra_conn *conn, unsigned long flags, struct lutra_error *err)
{
    const struct lutra_endpoint *endpoint = &conn->endpoint;
    char *password = NULL, text[300];
    lutra_conn_close(conn);
    if (lutra_conn_interrupted(conn)) {
        return interrupted_error(err);
    }
    if (lutra_endpoint_password(endpoint, &password, err)) {
        return -1;
    }
    MYSQL *mysql = mysql_init(NULL);
    LUTRA_ASSERT(mysql);
    set_options(conn, mysql);
    /* "localhost" would mean the default unix socket to the library, not what is configured. */
    const char *host = endpoint->socket                                          ? NULL
                       : !endpoint->host || !strcmp(endpoint->host, "localhost") ? "127.0.0.1"
                                                                                 : endpoint->host;
    bool ok = mysql_real_connect(mysql, host, endpoint->user, password, NULL, endpoint->port,
                                 endpoint->socket, flags) != NULL;
    lutra_secret_free(password);
    if (!ok) {
        unsigned code = mysql_errno(mysql);
        enum lutra_error_class class = lutra_mysql_error_class(code);
        lutra_error_set(err, class == LUTRA_DATA ? LUTRA_RETRY : class, (int)code,
                        "%s (%s as %s): %s", endpoint->name ? endpoint->name : "server",
                        where(conn, text, sizeof(text)), endpoint->user ? endpoint->user : "",
                        mysql_error(mysql));
        mysql_close(mysql);
        return -1;
    }
    set_socket_options(mysql_get_socket(mysql));
    if (!publish(conn, mysql_get_socket(mysql))) {
        mysql_close(mysql);
        return interrupted_error(err);
    }
    conn->mysql = mysql;
    conn->id = mysql_thread_id(mysql);
    conn->opened = conn->running;
    return 0;
}

MYSQL *lutra_conn_release(struct lutra_conn *conn)
{
    MYSQL *mysql = conn->mysql;
    pthread_mutex_lock(&conn->lock);
    conn->fd = -1;
    pthread_mutex_unlock(&conn->lock);
    conn->mysql = NULL;
    return mysql;
}

void lutra_conn_close(struct lutra_conn *conn)
{
    MYSQL *mysql = lutra_conn_release(conn);
    if (mysql) {
        mysql_close(mysql);
    }
}

/* ---- Statements ---- */

int lutra_conn_error(struct lutra_conn *conn, struct lutra_error *err)
{
    unsigned code = mysql_errno(conn->mysql);
    return lutra_error_set(err, lutra_mysql_error_class(code), (int)code, "%s: %u %s",
                           conn->endpoint.name ? conn->endpoint.name : "server", code,
                           mysql_error(conn->mysql));
}

LUTRA_PRINTF(2, 0)
static int send_text(struct lutra_conn *conn, const char *fmt, va_list ap, struct lutra_error *err)
{
    char *sql = NULL;
    if (!conn->mysql) {
        return lutra_error_set(err, LUTRA_RETRY, LUTRA_CR_SERVER_LOST, "not connected");
    }
    int len = vasprintf(&sql, fmt, ap);
    LUTRA_ASSERT(len >= 0);
    int rc = mysql_real_query(conn->mysql, sql, (unsigned long)len);
    free(sql);
    conn->statements++;
    return rc ? lutra_conn_error(conn, err) : 0;
}

int lutra_conn_exec(struct lutra_conn *conn, struct lutra_error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = send_text(conn, fmt, ap, err);
    va_end(ap);
    if (rc == 0 && mysql_field_count(conn->mysql) > 0) {
        mysql_free_result(mysql_store_result(conn->mysql));
    }
    return rc;
}

LUTRA_PRINTF(2, 0)
static MYSQL_RES *
query(struct lutra_conn *conn, const char *fmt, va_list ap, struct lutra_error *err)
{
    if (send_text(conn, fmt, ap, err)) {
        return NULL;
    }
    MYSQL_RES *result = mysql_store_result(conn->mysql);
    if (!result) {
        lutra_conn_error(conn, err);
    }
    return result;
}

MYSQL_RES *lutra_conn_query(struct lutra_conn *conn, struct lutra_error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    MYSQL_RES *result = query(conn, fmt, ap, err);
    va_end(ap);
    return result;
}

char *lutra_conn_text(struct lutra_conn *conn, struct lutra_error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    MYSQL_RES *result = query(conn, fmt, ap, err);
    va_end(ap);
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    char *text = row ? lutra_strdup(row[0]) : NULL;
    if (result) {
        mysql_free_result(result);
    }
    return text;
}

char *lutra_conn_quote(struct lutra_conn *conn, const char *text)
{
    size_t len = strlen(text);
    char *quoted = lutra_alloc(2 * len + 3);
    quoted[0] = '\'';
    unsigned long n = mysql_real_escape_string(conn->mysql, quoted + 1, text, (unsigned long)len);
    memcpy(quoted + 1 + n, "'", 2);
    return quoted;
}
