#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "db/source_private.h"

enum { ER_UNKNOWN_SYSTEM_VARIABLE = 1193 };

void lutra_unfits_fini(struct lutra_unfits *unfits)
{
    for (size_t i = 0; i < unfits->n; i++) {
        lutra_free(unfits->items[i].schema);
        lutra_free(unfits->items[i].table);
        lutra_free(unfits->items[i].column);
        lutra_free(unfits->items[i].type);
    }
    lutra_free(unfits->items);
    *unfits = (struct lutra_unfits){0};
}

/* ---- Settings ---- */

static int
check_flavor(struct lutra_conn *conn, struct lutra_source_info *info, struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *version = lutra_conn_text(conn, err, "SELECT VERSION()");
    const char *name = conn->endpoint.name;
    if (!version) {
        return -1;
    }
    bool mariadb = strstr(version, "MariaDB") != NULL;
    snprintf(info->version, sizeof(info->version), "%s", version);
    info->flavor = mariadb ? LUTRA_FLAVOR_MARIADB : LUTRA_FLAVOR_MYSQL;
    if (conn->endpoint.flavor != LUTRA_FLAVOR_NONE && conn->endpoint.flavor != info->flavor) {
        return lutra_error_set(err, LUTRA_CONFIG, 0, "%s: the server is %s %s; set type: %s", name,
                               lutra_flavor_name(info->flavor), version,
                               lutra_flavor_name(info->flavor));
    }
    if (!mariadb) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "%s: the server is MySQL %s; sources are MariaDB 10.5 or later",
                               name, version);
    }
    return 0;
}

static void
need(struct lutra_buf *wrong, const char *variable, const char *value, const char *wanted)
{
    if (strcmp(value, wanted) != 0) {
        lutra_buf_printf(wrong, "%s%s is %s, set it to %s", wrong->len ? "; " : "", variable, value,
                         wanted);
    }
}

static int check_settings(struct lutra_conn *conn,
                          struct lutra_source_info *info,
                          bool *logs_replicated,
                          struct lutra_buf *wrong,
                          struct lutra_error *err)
{
    MYSQL_RES *result =
        lutra_conn_query(conn, err,
                         "SELECT IF(@@GLOBAL.log_bin, 'ON', 'OFF'), @@GLOBAL.binlog_format,"
                         " @@GLOBAL.binlog_row_image, @@GLOBAL.binlog_row_metadata,"
                         " IF(@@GLOBAL.mysql56_temporal_format, 'ON', 'OFF'), @@GLOBAL.server_id,"
                         " @@GLOBAL.gtid_domain_id, IF(@@GLOBAL.log_slave_updates, 'ON', 'OFF')");
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    if (!row) {
        if (!result && err->code == ER_UNKNOWN_SYSTEM_VARIABLE) {
            lutra_error_set(err, LUTRA_CONFIG, err->code,
                            "%s: the server is MariaDB %s; sources are MariaDB 10.5 or later",
                            conn->endpoint.name, info->version);
        }
        mysql_free_result(result);
        return -1;
    }
    need(wrong, "log_bin", row[0], "ON");
    need(wrong, "binlog_format", row[1], "ROW");
    need(wrong, "binlog_row_image", row[2], "FULL");
    need(wrong, "binlog_row_metadata", row[3], "FULL");
    need(wrong, "mysql56_temporal_format", row[4], "ON");
    *logs_replicated = strcmp(row[7], "ON") == 0;
    snprintf(info->identity, sizeof(info->identity), "mariadb:%s:%s", row[5], row[6]);
    mysql_free_result(result);
    return 0;
}

/* ---- Rights ---- */

static int check_right(struct lutra_conn *conn,
                       const char *privileges,
                       const char *grant,
                       struct lutra_buf *wrong,
                       struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *has = lutra_conn_text(
        conn, err,
        "SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE IN (%s) AND GRANTEE"
        " IN (CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), ''''),"
        " CONCAT('''', CURRENT_ROLE(), '''@'''''), CURRENT_ROLE()) LIMIT 1",
        privileges);
    if (!has && err->class != LUTRA_OK) {
        return -1;
    }
    if (!has) {
        lutra_buf_printf(wrong, "%suser %s lacks %s: GRANT %s ON *.* TO it", wrong->len ? "; " : "",
                         conn->endpoint.user, grant, grant);
    }
    return 0;
}

static int check_rights(struct lutra_conn *conn, struct lutra_buf *wrong, struct lutra_error *err)
{
    return check_right(conn, "'REPLICATION SLAVE'", "REPLICATION SLAVE", wrong, err) ||
                   check_right(conn, "'BINLOG MONITOR','REPLICATION CLIENT'", "BINLOG MONITOR",
                               wrong, err)
               ? -1
               : 0;
}

/* ---- What the binlog leaves out ---- */

/* A replica that does not log what it replicates would lose that on the way to the target. Who may
 * not see replication is taken at his word. */
static int check_replica(struct lutra_conn *conn, struct lutra_buf *wrong, struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(conn, err, "SHOW ALL SLAVES STATUS");
    if (!result) {
        if (err->code != LUTRA_ER_SPECIFIC_ACCESS_DENIED) {
            return -1;
        }
        lutra_error_clear(err);
        return 0;
    }
    if (mysql_num_rows(result) > 0) {
        lutra_buf_printf(wrong,
                         "%slog_slave_updates is OFF at a replica, whose binlog lacks what it "
                         "replicates; set it to ON",
                         wrong->len ? "; " : "");
    }
    mysql_free_result(result);
    return 0;
}

static void tell_filters(struct lutra_conn *conn)
{
    struct lutra_error ignored = {0};
    MYSQL_RES *result = lutra_conn_query(conn, &ignored, "SHOW MASTER STATUS");
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    if (row && ((row[2] && row[2][0]) || (row[3] && row[3][0]))) {
        LUTRA_WARN("source.binlog_is_filtered", LUTRA_F_STR("source", conn->endpoint.name),
                   LUTRA_F_STR("binlog_do_db", row[2] ? row[2] : ""),
                   LUTRA_F_STR("binlog_ignore_db", row[3] ? row[3] : ""));
    }
    if (result) {
        mysql_free_result(result);
    }
}

/* ---- Tables ---- */

static int collect(struct lutra_conn *conn,
                   struct lutra_unfits *unfits,
                   const char *query,
                   struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(conn, err, "%s", query);
    MYSQL_ROW row;
    if (!result) {
        return -1;
    }
    size_t n = unfits->n + (size_t)mysql_num_rows(result);
    unfits->items = lutra_realloc(unfits->items, n * sizeof(unfits->items[0]) + 1);
    while ((row = mysql_fetch_row(result))) {
        unfits->items[unfits->n++] = (struct lutra_unfit){.schema = lutra_strdup(row[0]),
                                                          .table = lutra_strdup(row[1]),
                                                          .column = lutra_strdup(row[2]),
                                                          .type = lutra_strdup(row[3])};
    }
    mysql_free_result(result);
    return 0;
}

#define OURS_NOT "('mysql','information_schema','performance_schema','sys','lutra')"

static int
collect_unfits(struct lutra_conn *conn, struct lutra_unfits *unfits, struct lutra_error *err)
{
    static const char columns[] =
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA NOT IN " OURS_NOT " AND (DATA_TYPE NOT IN"
        " ('tinyint','smallint','mediumint','int','bigint','year','decimal','date','time','"
        "datetime',"
        "'timestamp','char','varchar','tinytext','text','mediumtext','longtext','binary','"
        "varbinary',"
        "'tinyblob','blob','mediumblob','longblob') OR COLUMN_TYPE LIKE '%COMPRESSED%')"
        " AND (TABLE_SCHEMA, TABLE_NAME) NOT IN"
        " (SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEWS)"
        " ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION";
    static const char tables[] =
        "SELECT TABLE_SCHEMA, TABLE_NAME, NULL, 'SYSTEM VERSIONED' FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA NOT IN " OURS_NOT " AND TABLE_TYPE='SYSTEM VERSIONED'";
    return collect(conn, unfits, columns, err) || collect(conn, unfits, tables, err) ? -1 : 0;
}

int lutra_source_look(struct lutra_conn *conn,
                      struct lutra_source_info *info,
                      struct lutra_unfits *unfits,
                      struct lutra_error *err)
{
    struct lutra_buf wrong = {0};
    if (lutra_conn_open(conn, 0, err) || check_flavor(conn, info, err)) {
        return -1;
    }
    bool logs_replicated = true;
    int rc = check_settings(conn, info, &logs_replicated, &wrong, err) ||
                     check_rights(conn, &wrong, err) ||
                     (!logs_replicated && check_replica(conn, &wrong, err))
                 ? -1
                 : 0;
    if (rc == 0 && wrong.len) {
        rc = lutra_error_set(err, LUTRA_CONFIG, 0, "%s: %s", conn->endpoint.name,
                             lutra_buf_cstr(&wrong));
    }
    lutra_buf_fini(&wrong);
    if (rc) {
        return -1;
    }
    tell_filters(conn);
    return collect_unfits(conn, unfits, err);
}

/* ---- Positions ---- */

/* The size of a binlog file, -1 when the server does not have it; the first file's name too. */
static int find_file(struct lutra_conn *conn,
                     const char *file,
                     int64_t *size,
                     char *first,
                     size_t first_len,
                     struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(conn, err, "SHOW BINARY LOGS");
    MYSQL_ROW row;
    bool at_first = true;
    if (!result) {
        return -1;
    }
    *size = -1;
    first[0] = '\0';
    while ((row = mysql_fetch_row(result))) {
        if (at_first) {
            snprintf(first, first_len, "%s", row[0]);
            at_first = false;
        }
        if (strcmp(row[0], file) == 0) {
            *size = strtoll(row[1], NULL, 10);
        }
    }
    mysql_free_result(result);
    return 0;
}

/* What had been logged up to file:offset; NULL (err clear) when no event ends there. */
static char *
gtids_at(struct lutra_conn *conn, const char *file, uint64_t offset, struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *quoted = lutra_conn_quote(conn, file);
    lutra_error_clear(err);
    return lutra_conn_text(conn, err, "SELECT BINLOG_GTID_POS(%s, %" PRIu64 ")", quoted, offset);
}

static int make_position(struct lutra_conn *conn,
                         const char *file,
                         uint64_t offset,
                         struct lutra_position *position,
                         struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *gtids = gtids_at(conn, file, offset, err);
    if (!gtids) {
        return err->class != LUTRA_OK
                   ? -1
                   : lutra_error_set(err, LUTRA_CONFIG, 0, "%s: no event ends at %s:%" PRIu64,
                                     conn->endpoint.name, file, offset);
    }
    LUTRA_AUTO_FREE char *text = lutra_asprintf("%s:%" PRIu64 ";%s", file, offset, gtids);
    return lutra_position_parse(LUTRA_FLAVOR_MARIADB, text, position, err);
}

static int
locate_current(struct lutra_conn *conn, struct lutra_position *position, struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(conn, err, "SHOW MASTER STATUS");
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    int rc = -1;
    if (row) {
        rc = make_position(conn, row[0], strtoull(row[1], NULL, 10), position, err);
    } else if (result) {
        lutra_error_set(err, LUTRA_CONFIG, 0, "%s: the server has no binlog; set log_bin",
                        conn->endpoint.name);
    }
    if (result) {
        mysql_free_result(result);
    }
    return rc;
}

static int locate_file(struct lutra_conn *conn,
                       const char *text,
                       struct lutra_position *position,
                       struct lutra_error *err)
{
    struct lutra_position wanted = {0};
    LUTRA_AUTO_FREE char *with_gtids = lutra_asprintf("%s;", text);
    char first[128];
    int64_t size;
    if (lutra_position_parse(LUTRA_FLAVOR_MARIADB, with_gtids, &wanted, err)) {
        return -1;
    }
    int rc = find_file(conn, wanted.file, &size, first, sizeof(first), err);
    if (rc == 0 && (size < 0 || wanted.offset > (uint64_t)size)) {
        rc = lutra_error_set(
            err, LUTRA_CONFIG, 0, "%s: start is %s, but the server's binlog begins with %s%s",
            conn->endpoint.name, text, first, size < 0 ? "" : " and that file is shorter");
    }
    if (rc == 0) {
        rc = make_position(conn, wanted.file, wanted.offset, position, err);
    }
    lutra_position_fini(&wanted);
    return rc;
}

static int locate_gtids(struct lutra_conn *conn,
                        const char *text,
                        struct lutra_position *position,
                        struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *here = lutra_conn_text(conn, err, "SELECT @@GLOBAL.gtid_binlog_pos");
    LUTRA_AUTO_FREE char *with_file = lutra_asprintf(";%s", text);
    if (!here || lutra_position_parse(LUTRA_FLAVOR_MARIADB, with_file, position, err)) {
        return -1;
    }
    struct lutra_gtid_set *all = lutra_gtid_set_parse(LUTRA_FLAVOR_MARIADB, here, err);
    if (!all) {
        return -1;
    }
    bool known = position->gtids && lutra_gtid_set_includes(all, position->gtids);
    lutra_gtid_set_free(all);
    return known ? 0
                 : lutra_error_set(err, LUTRA_CONFIG, 0,
                                   "%s: start is gtid:%s, but the server's binlog ends at %s",
                                   conn->endpoint.name, text, here);
}

int lutra_source_locate(struct lutra_conn *conn,
                        enum lutra_start_kind start,
                        const char *text,
                        struct lutra_position *position,
                        struct lutra_error *err)
{
    char first[128];
    int64_t size;
    if (lutra_conn_open(conn, 0, err)) {
        return -1;
    }
    switch (start) {
    case LUTRA_START_CURRENT:
        return locate_current(conn, position, err);
    case LUTRA_START_EARLIEST:
        return find_file(conn, "", &size, first, sizeof(first), err)
                   ? -1
                   : make_position(conn, first, 4, position, err);
    case LUTRA_START_GTID:
        return locate_gtids(conn, text, position, err);
    case LUTRA_START_FILE:
        return locate_file(conn, text, position, err);
    case LUTRA_START_CHECKPOINT:
        break;
    }
    return lutra_error_set(err, LUTRA_CONFIG, 0,
                           "start: checkpoint, and the target has no checkpoint");
}

/* ---- Before a dump ---- */

/* Nothing can be read on from there, whatever the operator allows: what to do instead. */
#define BEGIN_ANEW                                                                                 \
    "; put both sides in step, delete the pipeline's rows of lutra.checkpoint at the target (and " \
    "accept that, see accept_target), and start it with the start: that fits"

/* Every GTID of the position is the last one of its domain at the server's same place. */
static bool same_history(const char *position, const char *server)
{
    while (*position) {
        size_t len = strcspn(position, ",");
        const char *at = server;
        while (*at && !(strcspn(at, ",") == len && memcmp(at, position, len) == 0)) {
            at += strcspn(at, ",");
            at += *at == ',';
        }
        if (!*at) {
            return false;
        }
        position += len;
        position += *position == ',';
    }
    return true;
}

static int
check_gtids(struct lutra_conn *conn, const struct lutra_position *position, struct lutra_error *err)
{
    if (!position->gtids || lutra_gtid_set_empty(position->gtids)) {
        return 0;
    }
    LUTRA_AUTO_FREE char *server = gtids_at(conn, position->file, position->offset, err);
    if (!server && err->class != LUTRA_OK) {
        return -1;
    }
    struct lutra_buf wanted = {0};
    lutra_gtid_set_format(position->gtids, &wanted);
    int rc = 0;
    if (!server || !same_history(lutra_buf_cstr(&wanted), server)) {
        rc = lutra_error_set(err, LUTRA_CONFIG, 0,
                             "%s: at %s:%" PRIu64 " the server's binlog has GTIDs %s, the position "
                             "has %s: it is another server, or it was reset or restored" BEGIN_ANEW,
                             conn->endpoint.name, position->file, position->offset,
                             server ? server : "none (no event ends there)",
                             lutra_buf_cstr(&wanted));
    }
    lutra_buf_fini(&wanted);
    return rc;
}

/* Is the position in this server's binlog? */
static int check_position(struct lutra_conn *conn,
                          const struct lutra_position *position,
                          struct lutra_error *err)
{
    char first[128];
    int64_t size;
    if (find_file(conn, position->file, &size, first, sizeof(first), err)) {
        return -1;
    }
    if (size < 0) {
        struct lutra_position oldest = {.flavor = LUTRA_FLAVOR_MARIADB, .offset = 4};
        snprintf(oldest.file, sizeof(oldest.file), "%s", first);
        bool purged = lutra_position_cmp(position, &oldest) < 0;
        return lutra_error_set(err, purged ? LUTRA_FATAL : LUTRA_CONFIG, 1236,
                               purged
                                   ? "%s: binlog file %s is purged, the oldest is %s; what it held "
                                     "must be copied anew, and the pipeline started after it"
                                   : "%s: binlog file %s is not at the server, whose first is %s: "
                                     "it is another server, or it was reset or restored" BEGIN_ANEW,
                               conn->endpoint.name, position->file, first);
    }
    if (position->offset > (uint64_t)size) {
        return lutra_error_set(
            err, LUTRA_CONFIG, 1236,
            "%s: binlog file %s ends at %" PRId64 ", before the position's %" PRIu64
            ": it is another server, or it was reset, restored, or lost its last writes" BEGIN_ANEW,
            conn->endpoint.name, position->file, size, position->offset);
    }
    if (position->offset > UINT32_MAX) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "%s: %s:%" PRIu64 " is beyond 4 GiB, where no dump can start",
                               conn->endpoint.name, position->file, position->offset);
    }
    return check_gtids(conn, position, err);
}

/* ---- The dump ---- */

static int command(struct lutra_conn *conn,
                   enum enum_server_command code,
                   const struct lutra_buf *body,
                   bool wait_for_answer,
                   struct lutra_error *err)
{
    MYSQL *mysql = conn->mysql;
    return mysql->methods->db_command(mysql, code, (const char *)body->data, body->len,
                                      wait_for_answer ? 0 : 1, NULL)
               ? lutra_conn_error(conn, err)
               : 0;
}

/* Shown by SHOW SLAVE HOSTS at the source. */
static int register_replica(struct lutra_conn *conn, uint32_t server_id, struct lutra_error *err)
{
    struct lutra_buf body = {0};
    size_t len = strlen(conn->program);
    lutra_buf_put_le(&body, server_id, 4);
    lutra_buf_put_u8(&body, (uint8_t)len);
    lutra_buf_append(&body, conn->program, len);
    lutra_buf_put_u8(&body, 0);    /* user */
    lutra_buf_put_u8(&body, 0);    /* password */
    lutra_buf_put_le(&body, 0, 2); /* port */
    lutra_buf_put_le(&body, 0, 4); /* rank */
    lutra_buf_put_le(&body, 0, 4); /* the source's id: the server knows it */
    int rc = command(conn, COM_REGISTER_SLAVE, &body, true, err);
    lutra_buf_fini(&body);
    return rc;
}

static int send_dump(struct lutra_conn *conn,
                     const struct lutra_position *position,
                     uint32_t server_id,
                     struct lutra_error *err)
{
    struct lutra_buf body = {0};
    bool by_file = position->file[0] != '\0';
    lutra_buf_put_le(&body, by_file ? position->offset : 4, 4);
    lutra_buf_put_le(&body, 0, 2); /* flags: wait for more at the end, no ANNOTATE_ROWS */
    lutra_buf_put_le(&body, server_id, 4);
    lutra_buf_append(&body, position->file, strlen(position->file));
    int rc = command(conn, COM_BINLOG_DUMP, &body, false, err);
    lutra_buf_fini(&body);
    return rc;
}

static int
set_gtids(struct lutra_conn *conn, const struct lutra_position *position, struct lutra_error *err)
{
    struct lutra_buf text = {0};
    if (position->gtids) {
        lutra_gtid_set_format(position->gtids, &text);
    }
    int rc = lutra_conn_exec(conn, err,
                             "SET @slave_connect_state='%s', @slave_gtid_strict_mode=1,"
                             " @slave_gtid_ignore_duplicates=0",
                             lutra_buf_cstr(&text));
    lutra_buf_fini(&text);
    return rc;
}

enum { PAUSED_AT_MOST_S = 3600 };

int lutra_source_dump(struct lutra_conn *conn,
                      const struct lutra_position *position,
                      uint32_t server_id,
                      uint64_t heartbeat_ms,
                      struct lutra_error *err)
{
    bool by_file = position->file[0] != '\0';
    if (lutra_conn_open(conn, 0, err) || (by_file && check_position(conn, position, err))) {
        return -1;
    }
    /* "I understand checksums": what they are is written in each file. Below capability 4 MariaDB
     * would hide its GTID events. While the target is slow the stream is not read, and a server
     * that gave up after its usual minute would cut a large transaction in two for ever. */
    if (lutra_conn_exec(conn, err,
                        "SET @master_binlog_checksum='CRC32', @mariadb_slave_capability=4,"
                        " SESSION net_write_timeout=%d, @master_heartbeat_period=%" PRIu64,
                        PAUSED_AT_MOST_S, heartbeat_ms * 1000000)) {
        return -1;
    }
    if (!by_file &&
        (lutra_source_check_gtids(conn, position, err) || set_gtids(conn, position, err))) {
        return -1;
    }
    return register_replica(conn, server_id, err) || send_dump(conn, position, server_id, err) ? -1
                                                                                               : 0;
}
