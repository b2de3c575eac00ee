#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/metrics.h"

Test(metrics, exposition_is_sorted_prometheus_text)
{
    struct lutra_metrics *metrics = lutra_metrics_new();
    struct lutra_buf labels = {0}, out = {0};
    struct lutra_counter *rows;

    lutra_metrics_label(&labels, "pipeline", "de\"mo\\\n");
    lutra_metrics_label(&labels, "stage", "load");
    rows =
        lutra_metrics_counter(metrics, "lutra_rows_total", lutra_buf_cstr(&labels), "Rows\nseen");
    lutra_counter_add(rows, 3);
    lutra_counter_add(NULL, 3);
    cr_assert_eq(lutra_metrics_counter(metrics, "lutra_rows_total", lutra_buf_cstr(&labels), ""),
                 rows);
    lutra_metrics_counter(metrics, "lutra_rows_total", "", "other help");
    lutra_gauge_set(lutra_metrics_gauge(metrics, "lutra_lag_seconds", "", "Lag"), 1.5);
    lutra_metrics_expose(metrics, &out);
    cr_assert_str_eq(lutra_buf_cstr(&out),
                     "# HELP lutra_lag_seconds Lag\n"
                     "# TYPE lutra_lag_seconds gauge\n"
                     "lutra_lag_seconds 1.5\n"
                     "# HELP lutra_rows_total Rows\\nseen\n"
                     "# TYPE lutra_rows_total counter\n"
                     "lutra_rows_total 0\n"
                     "lutra_rows_total{pipeline=\"de\\\"mo\\\\\\n\",stage=\"load\"} 3\n");
    cr_assert_eq(lutra_counter_get(rows), 3);
    lutra_buf_fini(&labels);
    lutra_buf_fini(&out);
    lutra_metrics_free(metrics);
    lutra_metrics_free(NULL);
}

Test(metrics, gauges_say_not_a_number_and_large_numbers_exactly)
{
    struct lutra_metrics *metrics = lutra_metrics_new();
    struct lutra_buf out = {0};

    lutra_gauge_set(lutra_metrics_gauge(metrics, "a", "", ""), NAN);
    lutra_gauge_set(lutra_metrics_gauge(metrics, "b", "", ""), -INFINITY);
    lutra_gauge_set(lutra_metrics_gauge(metrics, "c", "", ""), 1700000000.123);
    lutra_metrics_expose(metrics, &out);
    cr_assert_not_null(strstr(lutra_buf_cstr(&out), "\na NaN\n"));
    cr_assert_not_null(strstr(lutra_buf_cstr(&out), "\nb -Inf\n"));
    cr_assert_not_null(strstr(lutra_buf_cstr(&out), "\nc 1700000000.123\n"));
    cr_assert_eq(lutra_gauge_get(lutra_metrics_gauge(metrics, "c", "", "")), 1700000000.123);
    lutra_buf_fini(&out);
    lutra_metrics_free(metrics);
}

Test(metrics, a_pipeline_that_left_is_removed_with_all_its_series)
{
    struct lutra_metrics *metrics = lutra_metrics_new();
    struct lutra_buf out = {0};

    lutra_metrics_counter(metrics, "a", "pipeline=\"p1\"", "");
    lutra_metrics_counter(metrics, "a", "pipeline=\"p1\",stage=\"x\"", "");
    lutra_metrics_counter(metrics, "a", "pipeline=\"p10\"", "");
    lutra_metrics_histogram(metrics, "b", "pipeline=\"p1\"", "", 1, 8);
    lutra_metrics_remove(metrics, "pipeline=\"p1\"");
    lutra_metrics_expose(metrics, &out);
    cr_assert_str_eq(lutra_buf_cstr(&out), "# HELP a \n# TYPE a counter\na{pipeline=\"p10\"} 0\n");
    lutra_buf_fini(&out);
    lutra_metrics_free(metrics);
}

Test(metrics, many_series_are_found_again)
{
    struct lutra_metrics *metrics = lutra_metrics_new();
    struct lutra_counter *counters[300];
    char name[16], labels[16];

    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "m%u", i * 7 % 10);
        snprintf(labels, sizeof(labels), "p=\"%u\"", i * 13 % 300);
        counters[i] = lutra_metrics_counter(metrics, name, labels, "");
        lutra_counter_add(counters[i], i);
    }
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "m%u", i * 7 % 10);
        snprintf(labels, sizeof(labels), "p=\"%u\"", i * 13 % 300);
        cr_assert_eq(lutra_metrics_counter(metrics, name, labels, ""), counters[i]);
        cr_assert_eq(lutra_counter_get(counters[i]), i);
    }
    lutra_metrics_free(metrics);
}

Test(histogram, buckets_are_cumulative_and_end_at_infinity)
{
    struct lutra_metrics *metrics = lutra_metrics_new();
    struct lutra_histogram *h = lutra_metrics_histogram(metrics, "h", "p=\"x\"", "", 1, 4);
    struct lutra_buf out = {0};

    lutra_histogram_observe(h, 0.5);
    lutra_histogram_observe(h, 1);
    lutra_histogram_observe(h, 3);
    lutra_histogram_observe(h, 100);
    lutra_histogram_observe(h, NAN);
    lutra_metrics_expose(metrics, &out);
    cr_assert_str_eq(lutra_buf_cstr(&out), "# HELP h \n# TYPE h histogram\n"
                                           "h_bucket{p=\"x\",le=\"1\"} 2\n"
                                           "h_bucket{p=\"x\",le=\"2\"} 2\n"
                                           "h_bucket{p=\"x\",le=\"4\"} 3\n"
                                           "h_bucket{p=\"x\",le=\"+Inf\"} 4\n"
                                           "h_sum{p=\"x\"} 104.5\n"
                                           "h_count{p=\"x\"} 4\n");
    cr_assert_eq(lutra_histogram_count(h), 4);
    lutra_buf_fini(&out);
    lutra_metrics_free(metrics);
}

Test(histogram, quantiles_interpolate_and_stay_within_what_was_seen)
{
    struct lutra_metrics *metrics = lutra_metrics_new();
    struct lutra_histogram *h = lutra_metrics_histogram(metrics, "h", "", "", 0.0001, 100);

    cr_assert(isnan(lutra_histogram_quantile(h, 0.5)));
    for (unsigned i = 1; i <= 1000; i++) {
        lutra_histogram_observe(h, i / 1000.0);
    }
    cr_assert_float_eq(lutra_histogram_quantile(h, 0.5), 0.5, 0.02);
    cr_assert_float_eq(lutra_histogram_quantile(h, 0.99), 0.99, 0.02);
    cr_assert_leq(lutra_histogram_quantile(h, 1), 1.0);
    cr_assert_geq(lutra_histogram_quantile(h, 0), 0);
    lutra_histogram_observe(h, 1e6);
    cr_assert_float_eq(lutra_histogram_quantile(h, 1), 1e6, 1);
    lutra_metrics_free(metrics);
}
