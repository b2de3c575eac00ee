/* One trouble of the network: it begins, lasts, ends; what must hold meanwhile and afterwards. */
#ifndef LUTRA_TEST_NETWORK_CELL_H
#define LUTRA_TEST_NETWORK_CELL_H

#include "traffic.h"

struct cell {
    const char *name;
    const char *ab, *ba; /* rules of the line from a to b, from b to a; NULL: none */
    enum party from, to; /* nothing gets from `from` to `to`; the same party twice: no cut */
    int which;           /* of several instances; -1: all */
    uint64_t lasts_ms;
    uint64_t flow_ms;  /* not 0: rows must flow while it lasts, and never stand still for longer */
    uint64_t heals_ms; /* rows flow within this time after the end; 0: CELL_FLOW_MS */
    bool keeps_epoch;  /* no new epoch may come of it */
};

/* Transactions flow again within this time after the end. */
#define CELL_FLOW_MS 5000
/* What status says agrees with the truth within this time. */
#define CELL_STATUS_MS 15000

/* Fails the test unless rows are right all the time, status tells the truth, and everything flows
 * again. Appends a line to what is measured. */
void cell_run(struct traffic *t, const struct cell *cell);

/* Seed of this run (LUTRA_TEST_SEED, or drawn); how many rounds (LUTRA_TEST_ROUNDS, or fallback),
 * and whether another round may begin (LUTRA_TEST_MINUTES since the first call, when it is set). */
uint64_t cell_seed(void);
bool cell_another_round(unsigned done, unsigned fallback);

/* A line for the reader of a run: printed by tests/run, and in the merged logs. */
void cell_measured(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line for the merged logs only: what the test does now. */
void cell_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
