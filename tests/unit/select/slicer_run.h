/* Runs events through a slicer and writes down what it cuts; every batch is checked as a later
 * stage would: contract of the wire, unbroken chain of processIds and positions, readable rows. */
#ifndef LUTRA_TEST_SELECT_SLICER_RUN_H
#define LUTRA_TEST_SELECT_SLICER_RUN_H

#include "events.h"
#include "select/slicer.h"

struct slicer_run {
    struct lutra_channel *channel;
    struct lutra_slicer *slicer;
    struct events events;
    size_t fed; /* events so far */
    uint64_t now_ms;
    struct lutra_error err; /* why it stopped */
    /* One line per batch: "5 ROWS t=2 r=7 f=0 d=0 continues unfinished binlog.000001:400;0-1-3". */
    struct lutra_buf log;
    struct lutra_buf ids;   /* of all rows: "1 2 3 " */
    struct lutra_buf bytes; /* of all payloads */
    uint64_t process_id;
    char *position;
};

/* `limits` is YAML inside the pipeline, such as "batch: {max_rows: 3}, resolved_until: x:9". Pairs
 * match shop.t*. */
void slicer_run_init(struct slicer_run *run, const char *limits);
/* The same, reading on from a position. */
void slicer_run_init_at(struct slicer_run *run, const char *limits, const char *position);
void slicer_run_fini(struct slicer_run *run);
/* Feeds what was built since the last call; -1 when the slicer stopped. */
int slicer_run_feed(struct slicer_run *run);
/* Takes and checks what was cut; returns the log of it, borrowed until the next call. */
const char *slicer_run_cut(struct slicer_run *run);
/* close, then cut */
const char *slicer_run_close(struct slicer_run *run);
const char *slicer_run_ids(struct slicer_run *run);

#endif
