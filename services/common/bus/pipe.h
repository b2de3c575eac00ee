/* A payload on the bus: the envelope's headers, compression above a threshold, chunks when it is
 * larger than a message may be. docs/PROTOCOL.md §2. */
#ifndef LUTRA_BUS_PIPE_H
#define LUTRA_BUS_PIPE_H

#include "base/buf.h"
#include "bus/bus.h"

enum lutra_stage {
    LUTRA_STAGE_SELECT,
    LUTRA_STAGE_EXTRACT,
    LUTRA_STAGE_TRANSFORM,
    LUTRA_STAGE_LOAD
};
#define LUTRA_N_STAGES 4
const char *lutra_stage_name(enum lutra_stage stage);

/* What the headers say. */
struct lutra_envelope {
    uint64_t epoch;
    char nonce[17];
    uint64_t process_id; /* the key */
    uint64_t config_version;
    int64_t ts_us[LUTRA_N_STAGES]; /* wall clock when the stage published it; 0: not yet. select:
                                      also its read time */
};

/* Topic of a pipeline whose input it is: "lutra.<pipeline>.extract" | ".transform" | ".load" |
 * ".termin". buf >= 80. */
const char *lutra_topic_name(const char *pipeline, const char *stage, char *buf);

/* Payloads above this are compressed (zstd level 1) when that makes them smaller. */
#define LUTRA_PIPE_COMPRESS_ABOVE_BYTES 4096

/* Publishes the payload as one message or as chunks, all to one partition; ack once, when all parts
 * are acknowledged (first error wins), never from within this call. Ownership of nothing. -1:
 * nothing was accepted. */
int lutra_pipe_publish(struct lutra_bus *bus,
                       const char *topic,
                       int32_t partition,
                       const struct lutra_envelope *envelope,
                       const void *payload,
                       size_t len,
                       lutra_bus_ack_fn ack,
                       void *arg,
                       struct lutra_error *err) LUTRA_MUST_CHECK;
/* Forget the acks with this arg (see lutra_bus_forget). */
void lutra_pipe_forget(struct lutra_bus *bus, void *arg);

/* Reads only the envelope of a message. -1 and DATA: malformed (names header, topic, partition,
 * offset). */
int lutra_envelope_parse(const struct lutra_bus_message *message,
                         struct lutra_envelope *envelope,
                         struct lutra_error *err) LUTRA_MUST_CHECK;

/* Puts chunks together. One per partition being read. Several payloads may be under assembly at
 * once, since several writers share the load topic; of each (epoch, process) one attempt only is
 * assembled, checked by its hash. The first chunk of another attempt drops what was collected of
 * the former, a message of a higher epoch everything of lower ones; so does a hole in the chunks,
 * a writer that stays away for 1024 messages, and the bound: all that is collected together, and
 * each payload after decompression, is at most max_bytes. */
struct lutra_assembler;
struct lutra_assembler *lutra_assembler_new(size_t max_bytes);
void lutra_assembler_free(struct lutra_assembler *assembler);
void lutra_assembler_reset(struct lutra_assembler *assembler);
/* Drops what was collected of epochs below this one. */
void lutra_assembler_drop_below(struct lutra_assembler *assembler, uint64_t epoch);
/* 1: complete; *payload (borrowed until the next call, and no longer than the message) and
 * *envelope are set. 0: more parts are needed. -1: DATA. */
int lutra_assembler_feed(struct lutra_assembler *assembler,
                         const struct lutra_bus_message *message,
                         struct lutra_envelope *envelope,
                         const uint8_t **payload,
                         size_t *len,
                         struct lutra_error *err) LUTRA_MUST_CHECK;
/* Offset of the first message that a payload under assembly needs, or -1: commits must not pass it.
 */
int64_t lutra_assembler_first_offset(const struct lutra_assembler *assembler);
/* Payloads of which parts were dropped before they were complete. */
uint64_t lutra_assembler_dropped(const struct lutra_assembler *assembler);

#endif
