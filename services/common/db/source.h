/* The source port: a server's binlog as a replica reads it. Implementations: a real server (MariaDB
 * Connector/C, the socket taken over and read in the loop: source_mysql.c) and memory
 * (source_mem.h). Loop thread only. */
#ifndef LUTRA_DB_SOURCE_H
#define LUTRA_DB_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "loop/loop.h"
#include "model/channel.h"
#include "model/position.h"

struct lutra_source;

struct lutra_source_info {
    enum lutra_flavor flavor;
    char version[128];
    /* Who this binlog belongs to. MariaDB: "mariadb:<server_id>:<gtid_domain_id>". Another one
     * means another server. Nothing in it may change on a healthy server: files are purged (so
     * nothing of the first file), containers get another network card (so not @@server_uid). That a
     * server of the same identity was reset or replaced is found when a position is opened: its
     * file must be there and reach its offset, and the GTIDs logged up to that offset must be the
     * position's. */
    char identity[256];
};

struct lutra_source_handler {
    /* One event, packet framing removed, checksum verified and removed: what comes reads like a
     * file written with binlog_checksum=NONE, sizes in headers included (lutra_binlog_format_init
     * with checksum_negotiated false). Borrowed for the call. First an artificial ROTATE that names
     * file and offset, then the file's FORMAT_DESCRIPTION. Events come until lutra_source_pause is
     * called (it takes effect before the next event). Heartbeats come too. */
    void (*on_event)(const uint8_t *event, size_t len, void *arg);
    /* Everything the server had sent has been delivered: the source is idle for now. Comes after
     * the last of every lot of events, heartbeats too; not while paused. */
    void (*on_idle)(void *arg);
    /* The stream has ended: RETRY (reconnect and go on after the last cut), CONFIG or FATAL (purged
     * binlog, refused). The stream is closed; open it again. */
    void (*on_end)(const struct lutra_error *err, void *arg);
};

/* Connects, checks what replication needs and who the server is. Each refusal (CONFIG) names
 * variable, value and fix: log_bin, binlog_format=ROW, binlog_row_image=FULL,
 * binlog_row_metadata=FULL, grants, the flavor asked for; and every column that `match` accepts
 * whose type Lutra does not carry, as schema.table.column type (column NULL: what is unfit is the
 * table). RETRY when the server cannot be reached. done is called once; at most one check, resolve
 * or open at a time. */
void lutra_source_check(
    struct lutra_source *source,
    bool (*match)(const char *schema, const char *table, const char *column, void *arg),
    void (*done)(const struct lutra_source_info *info, const struct lutra_error *err, void *arg),
    void *arg);
/* What `start:` means now, as a position: current, earliest, gtid:..., file:... (kind CHECKPOINT is
 * not for it). */
void lutra_source_resolve(struct lutra_source *source,
                          enum lutra_start_kind start,
                          const char *start_text,
                          void (*done)(const struct lutra_position *position,
                                       const struct lutra_error *err,
                                       void *arg),
                          void *arg);
/* Starts the dump after `position` (by file and offset where it has them, else by GTID). server_id:
 * unique and stable per pipeline, so that a new owner's dump ends a zombie's. Heartbeat every
 * heartbeat_ms; silence of four of them ends the stream with RETRY, code
 * ETIMEDOUT. max_event_bytes bounds memory.
 */
void lutra_source_open(struct lutra_source *source,
                       const struct lutra_position *position,
                       uint32_t server_id,
                       uint64_t heartbeat_ms,
                       size_t max_event_bytes,
                       const struct lutra_source_handler *handler,
                       void *arg);
void lutra_source_pause(struct lutra_source *source, bool paused);
void lutra_source_close(
    struct lutra_source *source); /* no callback after it; may be opened again */
/* Waits as lutra_target_free does. */
void lutra_source_free(struct lutra_source *source);

/* For implementations: the first member of theirs. */
struct lutra_source_ops {
    void (*check)(struct lutra_source *,
                  bool (*match)(const char *, const char *, const char *, void *),
                  void (*done)(const struct lutra_source_info *,
                               const struct lutra_error *,
                               void *),
                  void *arg);
    void (*resolve)(struct lutra_source *,
                    enum lutra_start_kind,
                    const char *,
                    void (*done)(const struct lutra_position *, const struct lutra_error *, void *),
                    void *arg);
    void (*open)(struct lutra_source *,
                 const struct lutra_position *,
                 uint32_t server_id,
                 uint64_t heartbeat_ms,
                 size_t max_event_bytes,
                 const struct lutra_source_handler *,
                 void *arg);
    void (*pause)(struct lutra_source *, bool);
    void (*close)(struct lutra_source *);
    void (*free)(struct lutra_source *);
};
struct lutra_source {
    const struct lutra_source_ops *ops;
};

/* A real server. The endpoint is copied; the password is read at each connection. */
struct lutra_source *lutra_source_mysql_new(struct lutra_loop *loop,
                                            const struct lutra_endpoint *endpoint);

#endif
