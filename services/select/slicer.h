/* Cuts a binlog into processes: events in, batches out. Pure: no clock, no I/O, the same events and
 * calls give the same bytes. It never looks into rows beyond counting them.
 *
 * Feed events; take cut batches. Whole transactions gather in one batch until it is closed (the
 * source is idle, or it is due) or full; a transaction that is larger than a batch goes out in
 * pieces of its own. A rows event is never split, so a batch may be above its bounds by one (8 KB,
 * or one row). What was cut is final: its number names that content for ever.
 *
 * The slicer stops, for good, at what cannot be carried: DDL on a matched table (or not
 * understood), changes logged as statements, XA, an incident, malformed bytes. It stands then
 * before the transaction that holds it; whole transactions read before it can still be cut. */
#ifndef LUTRA_SELECT_SLICER_H
#define LUTRA_SELECT_SLICER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/channel.h"
#include "model/position.h"

struct lutra_slicer;

struct lutra_slicer_config {
    const struct lutra_pipeline_def *def; /* outlives the slicer */
    enum lutra_flavor flavor;
    uint64_t epoch;
    const char *nonce; /* copied */
    uint64_t config_version;
    const char *source_identity; /* copied */
    const char *member;  /* copied: of a media group, that positions belong to; NULL: none */
    uint64_t process_id; /* the last one used: the first cut is the next */
    /* The origin's position as it stands there, the `position_from` of the first batch; and where
     * reading begins, which differs when another server takes the source's place (then it has
     * GTIDs only). */
    const char *position_text;
    const struct lutra_position *position;
    size_t max_event_bytes; /* bound of one event after decompression */
};

/* A batch that was cut. */
struct lutra_slice {
    uint64_t process_id;
    struct lutra_buf payload; /* RawBatch */
    char *position_to;
    uint64_t rows, events_filtered, ddl_passed;
    bool unfinished; /* the position does not move yet */
    struct lutra_slice *next;
};
void lutra_slice_free(struct lutra_slice *slice);

struct lutra_slicer *lutra_slicer_new(const struct lutra_slicer_config *config);
void lutra_slicer_free(struct lutra_slicer *slicer);

/* `start:` was resolved to this position: cuts the START batch that carries it. Before any event.
 */
void lutra_slicer_cut_start(struct lutra_slicer *slicer, const struct lutra_position *position);

/* One event, as the source port gives it. -1: the slicer has stopped. RETRY: a transaction of which
 * a piece was cut broke off at the source; only a new epoch helps. Everything else says what an
 * operator must do. */
int lutra_slicer_feed(struct lutra_slicer *slicer,
                      const uint8_t *event,
                      size_t len,
                      uint64_t now_ms,
                      struct lutra_error *err) LUTRA_MUST_CHECK;
/* The oldest cut batch, the caller's from now on; NULL: none. */
struct lutra_slice *lutra_slicer_take(struct lutra_slicer *slicer);
bool lutra_slicer_has_slice(const struct lutra_slicer *slicer);
/* Cuts the whole transactions read so far into a batch, or, when all were filtered, an IDLE one
 * that moves the position. Does nothing when there is nothing. */
void lutra_slicer_close(struct lutra_slicer *slicer);
/* Whole transactions with rows are there. */
bool lutra_slicer_has_rows(const struct lutra_slicer *slicer);
/* When the open batch ought to be closed at the latest; UINT64_MAX: it is empty. */
uint64_t lutra_slicer_due_ms(const struct lutra_slicer *slicer);

/* The stream has broken off and will be opened again at lutra_slicer_position: forgets what was
 * read but not cut. False: not possible, a piece of an open transaction was cut; only a new epoch
 * helps. */
bool lutra_slicer_reopen(struct lutra_slicer *slicer);
/* Where the stream has to begin to go on after the last cut. Borrowed until the next call. */
const struct lutra_position *lutra_slicer_position(const struct lutra_slicer *slicer);
/* The end of the last transaction read; heap text. */
char *lutra_slicer_read_position(const struct lutra_slicer *slicer);

#endif
