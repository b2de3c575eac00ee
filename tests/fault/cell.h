/* One cell of the table: a point, a fault, and what must hold meanwhile and afterwards. */
#ifndef LUTRA_TEST_FAULT_CELL_H
#define LUTRA_TEST_FAULT_CELL_H

#include "world.h"

enum { N_INVARIANTS = 10 };

struct cell {
    const struct fault_point *point;
    enum fault_kind kind;
    char name[64];
    uint64_t seed;
    /* What came of it. */
    enum { CELL_PASSED, CELL_FAILED, CELL_SKIPPED } result;
    bool broken[N_INVARIANTS + 1]; /* by number, 1.. */
    char why[1024];                /* the first thing that was wrong */
    unsigned nth;                  /* the hit at which it happened */
    uint64_t recovery_ms;          /* from the fault to the first new row at the target */
    uint64_t heal_ms; /* from SIGCONT or the end of the cut to that; 0: it did not stop */
    int64_t fenced;   /* refusals by the fence, as load counts them */
};

/* What may be left out of it: the comparison of whole tables and of the counters at the end. */
enum cell_end { CELL_COMPARE, CELL_LOOK_ONLY };

/* Fills result and the rest. A world that a cell failed in is not to be used again. */
void cell_run(struct world *w, struct cell *cell, enum cell_end end);
/* Writes down what is broken; the first one stays in `why`. invariant 0: none of the ten. */
void cell_blame(struct cell *cell, unsigned invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The rows of both sides, table by table, and read = loaded + filtered, while the writers rest. */
void cell_compare(struct world *w, struct cell *cell);
/* What the continuous reader found since the last time. */
void cell_take_findings(struct world *w, struct cell *cell);

#endif
