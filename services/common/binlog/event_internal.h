/* Private to binlog/. */
#ifndef LUTRA_BINLOG_EVENT_INTERNAL_H
#define LUTRA_BINLOG_EVENT_INTERNAL_H

#include "binlog/event.h"

/* Fills *err: "EVENT_NAME event ending at OFFSET: what". Returns -1. */
int lutra_event_error(const struct lutra_event *event, const char *what, struct lutra_error *err);

/* A cursor over the post-header and one over what follows it. The post-header is as long as the
 * FORMAT_DESCRIPTION says (before there is one: `usual` bytes) and has at least `least` bytes. */
int lutra_event_split(const struct lutra_binlog_format *format,
                      const struct lutra_event *event,
                      size_t least,
                      size_t usual,
                      struct lutra_cur *post_header,
                      struct lutra_cur *rest,
                      struct lutra_error *err) LUTRA_MUST_CHECK;

/* The table id of TABLE_MAP and rows events: 4 bytes in the oldest format, else 6. */
uint64_t lutra_event_table_id(const struct lutra_binlog_format *format,
                              const struct lutra_event *event,
                              struct lutra_cur *post_header);

/* Appends what MariaDB compressed (a size, then zlib) to *out, at most max_bytes. */
int lutra_event_inflate(const struct lutra_event *event,
                        const uint8_t *data,
                        size_t len,
                        size_t max_bytes,
                        struct lutra_buf *out,
                        struct lutra_error *err) LUTRA_MUST_CHECK;

/* format id (4 bytes), two lengths of length_bytes, the two parts. Sets cur->bad when malformed. */
void lutra_event_read_xid(struct lutra_cur *cur, unsigned length_bytes, struct lutra_xid *xid);

#endif
