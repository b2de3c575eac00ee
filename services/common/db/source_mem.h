/* A binlog in memory behind the source port: component tests append ready-made events. */
#ifndef LUTRA_DB_SOURCE_MEM_H
#define LUTRA_DB_SOURCE_MEM_H

#include "db/source.h"

/* The server: its binlog, one file "binlog.000001" (more by ROTATE events). Shared by sources,
 * outlives them. */
struct lutra_mem_binlog;
struct lutra_mem_binlog *lutra_mem_binlog_new(struct lutra_loop *loop, const char *identity);
void lutra_mem_binlog_free(struct lutra_mem_binlog *binlog);
/* Appends one event (header included, no checksum); end_log_pos in the header is set by this call.
 * Returns the end. */
uint64_t lutra_mem_binlog_append(struct lutra_mem_binlog *binlog, const uint8_t *event, size_t len);
void lutra_mem_binlog_set_identity(struct lutra_mem_binlog *binlog, const char *identity);
void lutra_mem_binlog_set_down(struct lutra_mem_binlog *binlog,
                               bool down); /* streams end with RETRY */
/* Ends every stream with RETRY once (a dropped connection). */
void lutra_mem_binlog_drop_streams(struct lutra_mem_binlog *binlog);

struct lutra_source *lutra_source_mem_new(struct lutra_mem_binlog *binlog);

#endif
