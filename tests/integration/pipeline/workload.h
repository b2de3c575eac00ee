/* Writes at the source while a test does harm: sysbench on two tables, and a table without key
 * written by this process. */
#ifndef LUTRA_TEST_PIPELINE_WORKLOAD_H
#define LUTRA_TEST_PIPELINE_WORKLOAD_H

#include "cluster.h"
#include "support/proc.h"

struct workload {
    struct cluster *c;
    struct lutra_proc *sysbench;
    int64_t n;
};

/* Tables sbtest1, sbtest2, bag and versions on both sides; before cluster_go. */
void workload_tables(struct cluster *c);
/* sysbench oltp_read_write for some seconds at some transactions a second. */
void workload_start(struct workload *w, struct cluster *c, unsigned seconds, unsigned rate);
/* All at once: the cluster with these tables, the pipeline RUNNING, the workload begun. */
void workload_begin(struct workload *w,
                    struct cluster *c,
                    const struct cluster_options *options,
                    unsigned seconds,
                    unsigned rate);
/* One more transaction of this process: rows into `bag` that are alike, and a version that only
 * grows. */
void workload_step(struct workload *w);
/* Steps until the condition holds or the time is over; true when it holds. */
bool workload_until(struct workload *w, bool (*cond)(struct cluster *c), uint64_t deadline_ms);
/* The version at the target. */
int64_t workload_arrived(struct workload *w);
/* A row written now arrives within this time, or the test fails with the status; says how long it
 * took, and returns it. */
uint64_t workload_flows(struct workload *w, uint64_t deadline_ms, const char *when);
/* Steps until the first row after a standstill arrives; the milliseconds since since_ms. */
uint64_t workload_first_row(struct workload *w, uint64_t since_ms, uint64_t deadline_ms);
/* Steps for this long. */
void workload_for(struct workload *w, uint64_t ms);
/* Waits for sysbench, for the target, and compares every table. */
void workload_finish(struct workload *w);

#endif
