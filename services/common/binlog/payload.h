/* TRANSACTION_PAYLOAD (MySQL's binlog_transaction_compression): the events of a whole transaction
 * inside one event, zstd-compressed. Decompressed piece by piece, so a transaction of any size
 * takes the memory of its largest event. */
#ifndef LUTRA_BINLOG_PAYLOAD_H
#define LUTRA_BINLOG_PAYLOAD_H

#include "base/error.h"
#include "binlog/event.h"

struct lutra_payload;

/* Starts reading; borrows the event's bytes until freed. NULL and DATA (malformed) or CONFIG
 * (unknown compression). */
struct lutra_payload *lutra_payload_new(const struct lutra_event *event,
                                        const struct lutra_binlog_format *format,
                                        size_t max_event_bytes,
                                        struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_payload_free(struct lutra_payload *payload);

/* 1: *event is the next one, borrowed until the next call. 0: no more. -1 and DATA: malformed, an
 * event above the bound, or other sizes than announced. Inner events have no checksum and no end
 * offset. */
int lutra_payload_next(struct lutra_payload *payload,
                       struct lutra_event *event,
                       struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
