/* DESIGN: families sorted by name, series in a family sorted by labels, so that a scrape is the
 * same text for the same state. Each series is its own allocation: pointers stay while others come
 * and go. */
#include "base/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum metric_type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };

struct lutra_counter {
    _Atomic uint64_t value;
};

struct lutra_gauge {
    double value;
};

struct lutra_histogram {
    size_t n;         /* buckets, without the last, which has no upper bound */
    double *bounds;   /* n upper bounds */
    uint64_t *counts; /* n + 1, not cumulative */
    uint64_t count;
    double sum, largest;
};

struct series {
    char *labels;
    union {
        struct lutra_counter counter;
        struct lutra_gauge gauge;
        struct lutra_histogram histogram;
    };
};

struct family {
    char *name, *help;
    enum metric_type type;
    struct series **series;
    size_t n;
};

struct lutra_metrics {
    struct family *families;
    size_t n;
};

struct lutra_metrics *lutra_metrics_new(void)
{
    return LUTRA_NEW(struct lutra_metrics);
}

static void series_free(enum metric_type type, struct series *series)
{
    if (type == TYPE_HISTOGRAM) {
        lutra_free(series->histogram.bounds);
        lutra_free(series->histogram.counts);
    }
    lutra_free(series->labels);
    lutra_free(series);
}

void lutra_metrics_free(struct lutra_metrics *metrics)
{
    if (!metrics) {
        return;
    }
    for (size_t i = 0; i < metrics->n; i++) {
        struct family *family = &metrics->families[i];

        for (size_t k = 0; k < family->n; k++) {
            series_free(family->type, family->series[k]);
        }
        lutra_free(family->series);
        lutra_free(family->name);
        lutra_free(family->help);
    }
    lutra_free(metrics->families);
    lutra_free(metrics);
}

/* Place of `name` among the families, or where it belongs. */
static size_t family_place(const struct lutra_metrics *metrics, const char *name, bool *there)
{
    size_t low = 0, high = metrics->n;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(metrics->families[mid].name, name);

        if (order == 0) {
            *there = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *there = false;
    return low;
}

static size_t series_place(const struct family *family, const char *labels, bool *there)
{
    size_t low = 0, high = family->n;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(family->series[mid]->labels, labels);

        if (order == 0) {
            *there = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *there = false;
    return low;
}

static struct family *
family_of(struct lutra_metrics *metrics, const char *name, const char *help, enum metric_type type)
{
    bool there;
    size_t i = family_place(metrics, name, &there);

    if (!there) {
        metrics->families =
            lutra_realloc(metrics->families, (metrics->n + 1) * sizeof(struct family));
        memmove(&metrics->families[i + 1], &metrics->families[i],
                (metrics->n - i) * sizeof(struct family));
        metrics->families[i] =
            (struct family){.name = lutra_strdup(name), .help = lutra_strdup(help), .type = type};
        metrics->n++;
    }
    LUTRA_ASSERT(metrics->families[i].type == type);
    return &metrics->families[i];
}

static struct series *series_of(struct family *family, const char *labels, bool *is_new)
{
    bool there;
    size_t i = series_place(family, labels, &there);

    if (!there) {
        struct series *series = LUTRA_NEW(struct series);

        series->labels = lutra_strdup(labels);
        family->series = lutra_realloc(family->series, (family->n + 1) * sizeof(struct series *));
        memmove(&family->series[i + 1], &family->series[i],
                (family->n - i) * sizeof(struct series *));
        family->series[i] = series;
        family->n++;
    }
    *is_new = !there;
    LUTRA_ASSERT(family->series);
    return family->series[i];
}

struct lutra_counter *lutra_metrics_counter(struct lutra_metrics *metrics,
                                            const char *name,
                                            const char *labels,
                                            const char *help)
{
    bool is_new;

    return &series_of(family_of(metrics, name, help, TYPE_COUNTER), labels, &is_new)->counter;
}

struct lutra_gauge *lutra_metrics_gauge(struct lutra_metrics *metrics,
                                        const char *name,
                                        const char *labels,
                                        const char *help)
{
    bool is_new;

    return &series_of(family_of(metrics, name, help, TYPE_GAUGE), labels, &is_new)->gauge;
}

struct lutra_histogram *lutra_metrics_histogram(struct lutra_metrics *metrics,
                                                const char *name,
                                                const char *labels,
                                                const char *help,
                                                double min,
                                                double max)
{
    struct lutra_histogram *histogram;
    bool is_new;

    LUTRA_ASSERT(min > 0 && max >= min && isfinite(max));
    histogram =
        &series_of(family_of(metrics, name, help, TYPE_HISTOGRAM), labels, &is_new)->histogram;
    if (is_new) {
        while (ldexp(min, (int)histogram->n) < max) {
            histogram->n++;
        }
        histogram->n++;
        histogram->bounds = lutra_alloc(histogram->n * sizeof(double));
        histogram->counts = lutra_alloc((histogram->n + 1) * sizeof(uint64_t));
        for (size_t i = 0; i < histogram->n; i++) {
            histogram->bounds[i] = ldexp(min, (int)i);
        }
    }
    return histogram;
}

static bool labels_begin_with(const char *labels, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(labels, prefix, len) == 0 && (labels[len] == '\0' || labels[len] == ',');
}

void lutra_metrics_remove(struct lutra_metrics *metrics, const char *labels)
{
    for (size_t i = 0; i < metrics->n; i++) {
        struct family *family = &metrics->families[i];
        size_t kept = 0;

        for (size_t k = 0; k < family->n; k++) {
            if (labels_begin_with(family->series[k]->labels, labels)) {
                series_free(family->type, family->series[k]);
            } else {
                family->series[kept++] = family->series[k];
            }
        }
        family->n = kept;
    }
}

void lutra_counter_add(struct lutra_counter *counter, uint64_t n)
{
    if (counter) {
        atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
    }
}

uint64_t lutra_counter_get(const struct lutra_counter *counter)
{
    return counter ? atomic_load_explicit(&counter->value, memory_order_relaxed) : 0;
}

void lutra_gauge_set(struct lutra_gauge *gauge, double value)
{
    if (gauge) {
        gauge->value = value;
    }
}

double lutra_gauge_get(const struct lutra_gauge *gauge)
{
    return gauge ? gauge->value : NAN;
}

void lutra_histogram_observe(struct lutra_histogram *histogram, double value)
{
    size_t i = 0;

    if (!histogram || isnan(value)) {
        return;
    }
    while (i < histogram->n && value > histogram->bounds[i]) {
        i++;
    }
    histogram->counts[i]++;
    if (histogram->count++ == 0 || value > histogram->largest) {
        histogram->largest = value;
    }
    histogram->sum += value;
}

double lutra_histogram_quantile(const struct lutra_histogram *histogram, double q)
{
    double rank, below = 0;

    if (!histogram || histogram->count == 0 || isnan(q)) {
        return NAN;
    }
    q = q < 0 ? 0 : q > 1 ? 1 : q;
    rank = q * (double)histogram->count;
    for (size_t i = 0; i <= histogram->n; i++) {
        double in = (double)histogram->counts[i];

        if (in > 0 && below + in >= rank) {
            double low = i > 0 ? histogram->bounds[i - 1] : 0;
            /* No estimate above what was really seen; the last bucket has no other bound. */
            double high = i < histogram->n && histogram->bounds[i] < histogram->largest
                              ? histogram->bounds[i]
                              : histogram->largest;

            return high < low ? high : low + (high - low) * (rank - below) / in;
        }
        below += in;
    }
    return histogram->largest;
}

uint64_t lutra_histogram_count(const struct lutra_histogram *histogram)
{
    return histogram ? histogram->count : 0;
}

/* --- text --- */

static void put_escaped(struct lutra_buf *buf, const char *text, bool quotes)
{
    for (; *text; text++) {
        if (*text == '\n') {
            lutra_buf_append(buf, "\\n", 2);
            continue;
        }
        if (*text == '\\' || (quotes && *text == '"')) {
            lutra_buf_put_u8(buf, '\\');
        }
        lutra_buf_append(buf, text, 1);
    }
}

void lutra_metrics_label(struct lutra_buf *buf, const char *key, const char *value)
{
    lutra_buf_printf(buf, "%s%s=\"", buf->len > 0 ? "," : "", key);
    put_escaped(buf, value ? value : "", true);
    lutra_buf_put_u8(buf, '"');
}

static void put_double(struct lutra_buf *out, double v)
{
    if (isnan(v)) {
        lutra_buf_printf(out, "NaN");
    } else if (isinf(v)) {
        lutra_buf_printf(out, v > 0 ? "+Inf" : "-Inf");
    } else {
        lutra_buf_printf(out, "%.15g", v);
    }
}

static void put_name(struct lutra_buf *out,
                     const struct family *family,
                     const char *suffix,
                     const char *labels,
                     const double *le)
{
    lutra_buf_printf(out, "%s%s", family->name, suffix);
    if (*labels || le) {
        lutra_buf_printf(out, "{%s", labels);
        if (le) {
            lutra_buf_printf(out, "%sle=\"", *labels ? "," : "");
            put_double(out, *le);
            lutra_buf_put_u8(out, '"');
        }
        lutra_buf_put_u8(out, '}');
    }
    lutra_buf_put_u8(out, ' ');
}

static void
expose_histogram(const struct family *family, const struct series *series, struct lutra_buf *out)
{
    const struct lutra_histogram *histogram = &series->histogram;
    uint64_t below = 0;

    for (size_t i = 0; i <= histogram->n; i++) {
        double le = i < histogram->n ? histogram->bounds[i] : INFINITY;

        below += histogram->counts[i];
        put_name(out, family, "_bucket", series->labels, &le);
        lutra_buf_printf(out, "%" PRIu64 "\n", below);
    }
    put_name(out, family, "_sum", series->labels, NULL);
    put_double(out, histogram->sum);
    lutra_buf_put_u8(out, '\n');
    put_name(out, family, "_count", series->labels, NULL);
    lutra_buf_printf(out, "%" PRIu64 "\n", histogram->count);
}

static void
expose_series(const struct family *family, const struct series *series, struct lutra_buf *out)
{
    switch (family->type) {
    case TYPE_COUNTER:
        put_name(out, family, "", series->labels, NULL);
        lutra_buf_printf(out, "%" PRIu64 "\n", lutra_counter_get(&series->counter));
        break;
    case TYPE_GAUGE:
        put_name(out, family, "", series->labels, NULL);
        put_double(out, series->gauge.value);
        lutra_buf_put_u8(out, '\n');
        break;
    case TYPE_HISTOGRAM:
        expose_histogram(family, series, out);
        break;
    }
}

void lutra_metrics_expose(const struct lutra_metrics *metrics, struct lutra_buf *out)
{
    static const char *const type_names[] = {
        [TYPE_COUNTER] = "counter", [TYPE_GAUGE] = "gauge", [TYPE_HISTOGRAM] = "histogram"};

    for (size_t i = 0; i < metrics->n; i++) {
        const struct family *family = &metrics->families[i];

        if (family->n == 0) {
            continue;
        }
        lutra_buf_printf(out, "# HELP %s ", family->name);
        put_escaped(out, family->help ? family->help : "", false);
        lutra_buf_printf(out, "\n# TYPE %s %s\n", family->name, type_names[family->type]);
        for (size_t k = 0; k < family->n; k++) {
            expose_series(family, family->series[k], out);
        }
    }
}
