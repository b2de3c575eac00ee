#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "db/target_private.h"

enum { LOCK_NAMES = 4, LOCK_PATIENCE_MS = 5000, LOCK_PAUSE_MS = 50 };

#define SQL_MODE \
    "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION"

static const char create_checkpoint[] =
    "CREATE TABLE IF NOT EXISTS lutra.checkpoint ("
    " pipeline VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,"
    " slot INT UNSIGNED NOT NULL,"
    " fence BIGINT UNSIGNED NOT NULL,"
    " epoch BIGINT UNSIGNED NOT NULL,"
    " nonce CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,"
    " unit BIGINT UNSIGNED NOT NULL,"
    " from_pos TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,"
    " to_pos TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,"
    " low_pos TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,"
    " low_process_id BIGINT UNSIGNED NOT NULL,"
    " process_id BIGINT UNSIGNED NOT NULL,"
    " source_identity VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,"
    " updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"
    " ON UPDATE CURRENT_TIMESTAMP(6),"
    " PRIMARY KEY (pipeline, slot)"
    ") ENGINE=InnoDB";

int lutra_session_set(struct lutra_conn *conn, struct lutra_error *err)
{
    /* Bytes travel as they are; nothing is converted on the way in or out. */
    if (lutra_conn_exec(conn, err, "SET NAMES binary") ||
        lutra_conn_exec(conn, err, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")) {
        return -1;
    }
    /* autocommit off: the first statement of a unit begins its transaction. lock_wait_timeout
     * bounds waits for DDL and for FLUSH TABLES WITH READ LOCK. */
    return lutra_conn_exec(conn, err,
                           "SET SESSION autocommit=0, time_zone='+00:00',"
                           " innodb_lock_wait_timeout=5, lock_wait_timeout=30,"
                           " sql_mode='" SQL_MODE "'");
}

void lutra_work_disconnect(struct lutra_work *work)
{
    if (work->lock >= 0) {
        work->former_id = work->conn.id;
        work->former_lock = work->lock;
    }
    lutra_conn_close(&work->conn);
    lutra_stmt_forget_all(work);
    lutra_tables_forget(work);
    work->lock = -1;
    work->ring_seen = false;
}

/* What the server can do, and whether rows can be written under this session at all. */
static int look_at_server(struct lutra_work *work, struct lutra_error *err)
{
    MYSQL *mysql = work->conn.mysql;
    unsigned long more = 0;
    work->bulk = false;
    if (mariadb_get_infov(mysql, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &more) == 0) {
        work->bulk = (more & (unsigned long)(MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) != 0;
    }
    MYSQL_RES *result = lutra_conn_query(&work->conn, err,
                                         "SELECT @@max_allowed_packet, @@log_bin, @@binlog_format");
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    int rc = -1;
    if (!row) {
        rc = result ? lutra_conn_error(&work->conn, err) : -1;
    } else if (strcmp(row[1], "1") == 0 && strcmp(row[2], "STATEMENT") == 0) {
        lutra_error_set(err, LUTRA_CONFIG, 0,
                        "%s: binlog_format is STATEMENT, under which the target refuses READ "
                        "COMMITTED; set binlog_format to ROW or MIXED",
                        work->conn.endpoint.name);
    } else {
        work->max_packet_bytes = strtoull(row[0], NULL, 10);
        rc = 0;
    }
    if (result) {
        mysql_free_result(result);
    }
    return rc;
}

/* A member of a media group must be the primary that it is taken for. What a standby replicates
 * would write over fences and rows of this pipeline; it is waited for until it is promoted. */
static int check_primary(struct lutra_work *work, struct lutra_error *err)
{
    const char *name = work->conn.endpoint.name;
    bool replicates = false;
    if (!work->conn.endpoint.member) {
        return 0;
    }
    LUTRA_AUTO_FREE char *read_only =
        lutra_conn_text(&work->conn, err, "SELECT @@GLOBAL.read_only");
    if (!read_only || lutra_conn_replicates(&work->conn, &replicates, err)) {
        return -1;
    }
    if (strcmp(read_only, "0") != 0) {
        return lutra_error_set(err, LUTRA_RETRY, 0,
                               "%s is read_only: waiting until it is promoted (SET GLOBAL "
                               "read_only=OFF), or the group is switched to the primary",
                               name);
    }
    return replicates ? lutra_error_set(err, LUTRA_RETRY, 0,
                                        "%s still replicates from another server: waiting until it "
                                        "is promoted (STOP SLAVE), or the group is switched to the "
                                        "primary",
                                        name)
                      : 0;
}

int lutra_work_end_connection(struct lutra_work *work,
                              unsigned long id,
                              int lock,
                              struct lutra_error *err)
{
    lutra_error_clear(err);
    LUTRA_AUTO_FREE char *holder = lutra_conn_text(
        &work->conn, err, "SELECT IS_USED_LOCK('lutra.%s.%d')", work->pipeline, lock);
    if (!holder) {
        return err->class == LUTRA_OK ? 0 : -1;
    }
    return strtoul(holder, NULL, 10) == id ? lutra_work_kill(work, id, err) : 0;
}

/* A server that has not been told of the end, because the network was away, keeps the former
 * connection for hours, with the locks of the unit that was open. */
static int end_former(struct lutra_work *work, struct lutra_error *err)
{
    if (work->former_id &&
        lutra_work_end_connection(work, work->former_id, work->former_lock, err)) {
        return -1;
    }
    work->former_id = 0;
    return 0;
}

int lutra_work_connect(struct lutra_work *work, struct lutra_error *err)
{
    if (work->conn.mysql) {
        return 0;
    }
    lutra_work_disconnect(work);
    if (lutra_conn_open(&work->conn, CLIENT_FOUND_ROWS, err)) {
        return -1;
    }
    work->stats.reconnects++;
    if (lutra_session_set(&work->conn, err) || look_at_server(work, err) ||
        check_primary(work, err) || end_former(work, err) ||
        lutra_conn_exec(&work->conn, err, "COMMIT")) {
        lutra_work_disconnect(work);
        return -1;
    }
    return 0;
}

/* ---- Schema lutra ---- */

static int refuse_rights(struct lutra_work *work, struct lutra_error *err)
{
    if (err->code == LUTRA_ER_DBACCESS_DENIED || err->code == LUTRA_ER_TABLEACCESS_DENIED) {
        struct lutra_error cause = *err;
        lutra_error_set(err, LUTRA_CONFIG, cause.code,
                        "user %s may not keep the checkpoint: GRANT ALL ON lutra.* TO it (%.600s)",
                        work->conn.endpoint.user, cause.msg);
    }
    return -1;
}

static int count_slots(struct lutra_work *work, int *n, struct lutra_error *err)
{
    lutra_error_clear(err);
    LUTRA_AUTO_FREE char *text = lutra_conn_text(
        &work->conn, err, "SELECT COUNT(*) FROM lutra.checkpoint WHERE pipeline='%s'",
        work->pipeline);
    if (!text) {
        return -1;
    }
    *n = atoi(text);
    return 0;
}

int lutra_work_prepare(struct lutra_work *work, struct lutra_error *err)
{
    int n = 0;
    if (lutra_work_rollback(work, err)) {
        return -1;
    }
    if (count_slots(work, &n, err)) {
        if (err->code != LUTRA_ER_NO_SUCH_TABLE && err->code != LUTRA_ER_BAD_DB) {
            return refuse_rights(work, err);
        }
        if (lutra_conn_exec(&work->conn, err, "CREATE DATABASE IF NOT EXISTS lutra") ||
            lutra_conn_exec(&work->conn, err, "%s", create_checkpoint) ||
            count_slots(work, &n, err)) {
            return refuse_rights(work, err);
        }
    }
    /* Only when some are missing: INSERT would wait for the locks of a running unit. */
    for (unsigned slot = 0; n < LUTRA_RING_SLOTS && slot < LUTRA_RING_SLOTS; slot++) {
        if (lutra_conn_exec(
                &work->conn, err,
                "INSERT IGNORE INTO lutra.checkpoint (pipeline, slot, fence, epoch,"
                " nonce, unit, from_pos, to_pos, low_pos, low_process_id, process_id,"
                " source_identity) VALUES ('%s', %u, 0, 0, '', 0, '', '', '', 0, 0, '')",
                work->pipeline, slot)) {
            return refuse_rights(work, err);
        }
    }
    return lutra_conn_exec(&work->conn, err, "COMMIT");
}

/* ---- Named locks ---- */

int lutra_work_lock_wait(struct lutra_work *work, unsigned seconds, struct lutra_error *err)
{
    return lutra_conn_exec(&work->conn, err, "SET SESSION innodb_lock_wait_timeout=%u", seconds);
}

int lutra_work_kill(struct lutra_work *work, unsigned long id, struct lutra_error *err)
{
    struct lutra_error refused = {0};
    work->stats.kills++;
    LUTRA_WARN("target.kill", LUTRA_F_STR("pipeline", work->pipeline),
               LUTRA_F_U64("connection", id));
    if (lutra_conn_exec(&work->conn, &refused, "KILL CONNECTION %lu", id) == 0 ||
        refused.code == LUTRA_ER_NO_SUCH_THREAD) {
        return 0;
    }
    if (lutra_mysql_error_lost(refused.code)) {
        *err = refused;
        return -1;
    }
    /* Another user's connection, and no right to end it: an operator has to. It may go by itself.
     */
    LUTRA_ERROR("target.kill_refused", LUTRA_F_STR("pipeline", work->pipeline),
                LUTRA_F_U64("connection", id), LUTRA_F_ERR(&refused));
    return 0;
}

int lutra_work_kill_holders(struct lutra_work *work, struct lutra_error *err)
{
    for (unsigned n = 0; n < LOCK_NAMES; n++) {
        lutra_error_clear(err);
        LUTRA_AUTO_FREE char *holder = lutra_conn_text(
            &work->conn, err, "SELECT IS_USED_LOCK('lutra.%s.%u')", work->pipeline, n);
        if (!holder && err->class != LUTRA_OK) {
            return -1;
        }
        unsigned long id = holder ? strtoul(holder, NULL, 10) : 0;
        if (id && id != work->conn.id && lutra_work_kill(work, id, err)) {
            return -1;
        }
    }
    return 0;
}

static int try_locks(struct lutra_work *work, struct lutra_error *err)
{
    for (int n = 0; n < LOCK_NAMES && work->lock < 0; n++) {
        lutra_error_clear(err);
        LUTRA_AUTO_FREE char *got = lutra_conn_text(
            &work->conn, err, "SELECT GET_LOCK('lutra.%s.%d', 0)", work->pipeline, n);
        if (!got && err->class != LUTRA_OK) {
            return -1;
        }
        if (got && strcmp(got, "1") == 0) {
            work->lock = n;
        }
    }
    return 0;
}

int lutra_work_lock(struct lutra_work *work, struct lutra_error *err)
{
    if (work->lock >= 0) {
        return 0;
    }
    for (unsigned waited_ms = 0;; waited_ms += LOCK_PAUSE_MS) {
        if (try_locks(work, err)) {
            return -1;
        }
        if (work->lock >= 0) {
            return 0;
        }
        /* All names are taken by former connections: nobody but one loader owns the pipeline. */
        if (waited_ms >= LOCK_PATIENCE_MS || !lutra_conn_wait(&work->conn, LOCK_PAUSE_MS)) {
            return lutra_error_set(err, LUTRA_RETRY, 0,
                                   "all of lutra.%s.0 to .%d are held by other connections",
                                   work->pipeline, LOCK_NAMES - 1);
        }
        if (waited_ms % 1000 == 0 && lutra_work_kill_holders(work, err)) {
            return -1;
        }
    }
}
