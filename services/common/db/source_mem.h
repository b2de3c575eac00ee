/* A binlog in memory behind the source port: component tests append ready-made events. */
#ifndef LUTRA_DB_SOURCE_MEM_H
#define LUTRA_DB_SOURCE_MEM_H

#include "db/source.h"

/* The server: its binlog, one file "binlog.000001" (more by ROTATE events). Shared by sources,
 * outlives them. */
struct lutra_mem_binlog;
struct lutra_mem_binlog *lutra_mem_binlog_new(struct lutra_loop *loop, const char *identity);
void lutra_mem_binlog_free(struct lutra_mem_binlog *binlog);
/* Appends one event: header included, without checksum, as in a file written with
 * binlog_checksum=NONE, where only FORMAT_DESCRIPTION ends with its algorithm byte (NONE) and its
 * own CRC. This call sets the header's size and end_log_pos and that algorithm and CRC. A ROTATE
 * begins the file that it names, at offset 4. Returns the event's end. */
uint64_t lutra_mem_binlog_append(struct lutra_mem_binlog *binlog, const uint8_t *event, size_t len);
void lutra_mem_binlog_set_identity(struct lutra_mem_binlog *binlog, const char *identity);
void lutra_mem_binlog_set_down(struct lutra_mem_binlog *binlog,
                               bool down); /* streams end with RETRY */
/* Ends every stream with RETRY once (a dropped connection). */
void lutra_mem_binlog_drop_streams(struct lutra_mem_binlog *binlog);

struct lutra_source *lutra_source_mem_new(struct lutra_mem_binlog *binlog);

#endif
