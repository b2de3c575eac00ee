/* Metrics: one table per service, registered once; Prometheus text exposition (version 0.0.4).
 * Names: lutra_<stage>_<what>_<unit>[_total]. Loop thread only, except lutra_counter_add (any). */
#ifndef LUTRA_BASE_METRICS_H
#define LUTRA_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct lutra_metrics;   /* the registry */
struct lutra_counter;   /* only grows */
struct lutra_gauge;     /* a double */
struct lutra_histogram; /* log-scaled buckets; also answers quantiles */

struct lutra_metrics *lutra_metrics_new(void);
void lutra_metrics_free(struct lutra_metrics *metrics);

/* Get-or-create by (name, labels). `labels` is the inside of the braces, ready made, such as
 * pipeline="demo",stage="load" (values escaped by lutra_metrics_label), or "". Returned pointers
 * live as long as the registry, or until removed. `help` is taken from the first call for a name.
 */
struct lutra_counter *lutra_metrics_counter(struct lutra_metrics *metrics,
                                            const char *name,
                                            const char *labels,
                                            const char *help);
struct lutra_gauge *lutra_metrics_gauge(struct lutra_metrics *metrics,
                                        const char *name,
                                        const char *labels,
                                        const char *help);
/* Buckets from min to max, doubling; units are the name's (seconds: 0.0001 .. 100). */
struct lutra_histogram *lutra_metrics_histogram(struct lutra_metrics *metrics,
                                                const char *name,
                                                const char *labels,
                                                const char *help,
                                                double min,
                                                double max);
/* Removes every metric whose labels are exactly `labels` or begin with `labels` and a comma (a
 * pipeline left). */
void lutra_metrics_remove(struct lutra_metrics *metrics, const char *labels);

void lutra_counter_add(struct lutra_counter *counter,
                       uint64_t n); /* @thread any; NULL is ignored */
uint64_t lutra_counter_get(const struct lutra_counter *counter);
/* Setting, observing and asking ignore NULL as well. */
void lutra_gauge_set(struct lutra_gauge *gauge, double value);
double lutra_gauge_get(const struct lutra_gauge *gauge);
void lutra_histogram_observe(struct lutra_histogram *histogram, double value);
/* Estimate by linear interpolation in the bucket; NAN when empty. q in 0..1. */
double lutra_histogram_quantile(const struct lutra_histogram *histogram, double q);
uint64_t lutra_histogram_count(const struct lutra_histogram *histogram);

/* key="value" with \, " and newline escaped, appended to buf (with a comma before it unless buf is
 * empty). */
void lutra_metrics_label(struct lutra_buf *buf, const char *key, const char *value);
void lutra_metrics_expose(const struct lutra_metrics *metrics, struct lutra_buf *out);

#endif
