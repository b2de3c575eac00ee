/* The parts of a real source that talk SQL, on a worker thread; source_mysql.c has the port and the
 * stream. source_checks.c: questions and the dump; source_gtids.c: positions of another server. */
#ifndef LUTRA_DB_SOURCE_PRIVATE_H
#define LUTRA_DB_SOURCE_PRIVATE_H

#include "db/mysql_conn.h"
#include "db/source.h"

/* A column (or, column NULL, a table) whose rows cannot be carried. */
struct lutra_unfit {
    char *schema, *table, *column, *type;
};
struct lutra_unfits {
    size_t n;
    struct lutra_unfit *items;
};
void lutra_unfits_fini(struct lutra_unfits *unfits);

/* Connects. Settings, rights and identity; what of all tables is unfit is for the caller to match.
 */
int lutra_source_look(struct lutra_conn *conn,
                      struct lutra_source_info *info,
                      struct lutra_unfits *unfits,
                      struct lutra_error *err) LUTRA_MUST_CHECK;
/* Connects. Both halves of the position where the server can tell them. */
int lutra_source_locate(struct lutra_conn *conn,
                        enum lutra_start_kind start,
                        const char *text,
                        struct lutra_position *position,
                        struct lutra_error *err) LUTRA_MUST_CHECK;
/* Connected. A position without file: the server must have applied its GTIDs, and its binlog must
 * still have what follows them. CONFIG and FATAL name GTID, server and what to do; RETRY: a replica
 * that will have them. */
int lutra_source_check_gtids(struct lutra_conn *conn,
                             const struct lutra_position *position,
                             struct lutra_error *err) LUTRA_MUST_CHECK;
/* Connects, checks that the position is of this server's binlog, sends the dump command: what comes
 * on the socket from now on are events. */
int lutra_source_dump(struct lutra_conn *conn,
                      const struct lutra_position *position,
                      uint32_t server_id,
                      uint64_t heartbeat_ms,
                      struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
