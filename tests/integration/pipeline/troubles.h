/* What tests of troubles have in common: waiting until status tells them, and until they are over.
 */
#ifndef LUTRA_TEST_PIPELINE_TROUBLES_H
#define LUTRA_TEST_PIPELINE_TROUBLES_H

#include "workload.h"

/* workload_begin with a private target, which load enters as user `plain`, without any
 * administrator's right. */
void troubles_begin_plain(struct workload *w,
                          struct cluster *c,
                          const struct lutra_test_mariadb *target,
                          unsigned seconds,
                          unsigned rate);
/* Steps, unless w is NULL, until the pipeline's status has both words; within 15 s of since_ms. */
void troubles_told(
    struct cluster *c, struct workload *w, uint64_t since_ms, const char *a, const char *b);
/* It is over: how long until the first row, and until all is well. */
void troubles_over(struct workload *w, const char *what, uint64_t deadline_ms);
/* A counter or gauge of a service, of its first labels; -1: there is none. */
double troubles_metric(struct lutra_test_service *service, const char *name);
/* Of select: processes that were published again. */
int64_t troubles_republished(struct cluster *c);

#endif
