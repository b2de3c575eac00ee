/* Lag samples of the recent past, exact quantiles over them, and a rate. */
#ifndef LUTRA_LOAD_LAG_H
#define LUTRA_LOAD_LAG_H

#include <stddef.h>
#include <stdint.h>

#define LDR_LAG_SAMPLES 2048
#define LDR_LAG_HORIZON_MS 60000u

struct ldr_lag {
    struct {
        uint64_t at_ms;
        double lag_ms;
    } samples[LDR_LAG_SAMPLES];
    size_t next, n;
};
void ldr_lag_add(struct ldr_lag *lag, uint64_t now_ms, double lag_ms);
/* Of the samples of the last LDR_LAG_HORIZON_MS; -1 when there is none. q in 0..1. */
double ldr_lag_quantile(const struct ldr_lag *lag, uint64_t now_ms, double q);

/* Rows per second over the last ten seconds, or since the first ones when that is less. */
struct ldr_rate {
    uint64_t buckets[11];
    uint64_t second, first_second; /* first_second 0: none yet */
};
void ldr_rate_add(struct ldr_rate *rate, uint64_t now_ms, uint64_t n);
double ldr_rate_per_s(struct ldr_rate *rate, uint64_t now_ms);

#endif
