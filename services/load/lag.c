#include "load/lag.h"

#include <stdlib.h>
#include <string.h>

void ldr_lag_add(struct ldr_lag *lag, uint64_t now_ms, double lag_ms)
{
    lag->samples[lag->next].at_ms = now_ms;
    lag->samples[lag->next].lag_ms = lag_ms;
    lag->next = (lag->next + 1) % LDR_LAG_SAMPLES;
    if (lag->n < LDR_LAG_SAMPLES) {
        lag->n++;
    }
}

static int double_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ldr_lag_quantile(const struct ldr_lag *lag, uint64_t now_ms, double q)
{
    static double
        sorted[LDR_LAG_SAMPLES]; /* loop thread only; too large for the stack of a callback */
    size_t n = 0;
    for (size_t i = 0; i < lag->n; i++) {
        if (now_ms - lag->samples[i].at_ms <= LDR_LAG_HORIZON_MS) {
            sorted[n++] = lag->samples[i].lag_ms;
        }
    }
    if (n == 0) {
        return -1;
    }
    qsort(sorted, n, sizeof *sorted, double_order);
    size_t i = (size_t)(q * (double)n);
    return sorted[i < n ? i : n - 1];
}

static void rate_turn(struct ldr_rate *rate, uint64_t second)
{
    if (second - rate->second >= 11) {
        memset(rate->buckets, 0, sizeof rate->buckets);
    } else {
        for (uint64_t s = rate->second + 1; s <= second; s++) {
            rate->buckets[s % 11] = 0;
        }
    }
    rate->second = second;
}

void ldr_rate_add(struct ldr_rate *rate, uint64_t now_ms, uint64_t n)
{
    rate_turn(rate, now_ms / 1000);
    rate->buckets[rate->second % 11] += n;
    if (rate->first_second == 0) {
        rate->first_second = rate->second;
    }
}

double ldr_rate_per_s(struct ldr_rate *rate, uint64_t now_ms)
{
    rate_turn(rate, now_ms / 1000);
    uint64_t sum = 0;
    for (size_t i = 0; i < 11; i++) {
        if (i != rate->second % 11) { /* the running second is not whole yet */
            sum += rate->buckets[i];
        }
    }
    uint64_t seconds = rate->first_second != 0 ? rate->second - rate->first_second : 0;
    return seconds == 0 ? (double)rate->buckets[rate->second % 11]
                        : (double)sum / (double)(seconds < 10 ? seconds : 10);
}
