#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"

static struct cell *cells;
static size_t n_cells, capacity;
static char *lines;
static size_t lines_len;

static const char *const results[] = {
    [CELL_PASSED] = "ok", [CELL_FAILED] = "FAILED", [CELL_SKIPPED] = "skipped"};

void report_cell(const struct cell *cell)
{
    if (n_cells == capacity) {
        capacity = capacity > 0 ? capacity * 2 : 64;
        cells = realloc(cells, capacity * sizeof *cells);
        if (cells == NULL) {
            abort();
        }
    }
    cells[n_cells++] = *cell;
    if (cell->result == CELL_PASSED) {
        fprintf(stderr, "ok      %-34s hit %3u, new rows after %5" PRIu64 " ms", cell->name,
                cell->nth, cell->recovery_ms);
        if (cell->kind != FAULT_KILL) {
            fprintf(stderr, ", %5" PRIu64 " ms after its end", cell->heal_ms);
        }
        fprintf(stderr, "\n");
        return;
    }
    fprintf(stderr, "%-7s %-34s %s\n", results[cell->result], cell->name, cell->why);
    if (cell->result == CELL_FAILED) {
        fprintf(stderr, "        again: tests/run fault --seed %" PRIu64 " -R '^%s$'\n", cell->seed,
                cell->name);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

uint64_t report_percentile(uint64_t *values, size_t n, unsigned percent)
{
    if (n == 0) {
        return 0;
    }
    qsort(values, n, sizeof *values, by_value);
    size_t i = (n * percent + 99) / 100;
    return values[i > 0 ? i - 1 : 0];
}

void report_line(const char *format, ...)
{
    char *line;
    va_list args;
    va_start(args, format);
    if (vasprintf(&line, format, args) < 0) {
        abort();
    }
    va_end(args);
    fprintf(stderr, "%s\n", line);
    size_t len = strlen(line);
    lines = realloc(lines, lines_len + len + 2);
    if (lines == NULL) {
        abort();
    }
    memcpy(lines + lines_len, line, len);
    lines_len += len;
    lines[lines_len++] = '\n';
    lines[lines_len] = '\0';
    free(line);
}

/* ---- files ---- */

static FILE *open_result(const char *name)
{
    char *path = lutra_test_format("%s/%s", LUTRA_TEST_RESULTS, name);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        lutra_test_fail("%s cannot be written", path);
    }
    free(path);
    return file;
}

/* The worst of all runs of a cell. */
struct summary {
    unsigned runs, failed, skipped;
    bool broken[N_INVARIANTS + 1];
    uint64_t recovery_ms, heal_ms;
};

static struct summary summary_of(const struct fault_point *point, enum fault_kind kind)
{
    struct summary s = {0};
    for (size_t i = 0; i < n_cells; i++) {
        const struct cell *cell = &cells[i];
        if (cell->point != point || cell->kind != kind) {
            continue;
        }
        s.runs++;
        s.failed += cell->result == CELL_FAILED;
        s.skipped += cell->result == CELL_SKIPPED;
        for (size_t k = 0; k <= N_INVARIANTS; k++) {
            s.broken[k] = s.broken[k] || cell->broken[k];
        }
        s.recovery_ms = cell->recovery_ms > s.recovery_ms ? cell->recovery_ms : s.recovery_ms;
        s.heal_ms = cell->heal_ms > s.heal_ms ? cell->heal_ms : s.heal_ms;
    }
    return s;
}

static void write_entry(FILE *md, const struct summary *s, enum fault_kind kind)
{
    if (s->runs == 0) {
        fprintf(md, " | –");
    } else if (s->skipped == s->runs) {
        fprintf(md, " | skipped");
    } else if (s->failed > 0) {
        fprintf(md, " | **failed**");
        for (unsigned k = 1; k <= N_INVARIANTS; k++) {
            if (s->broken[k]) {
                fprintf(md, " I%u", k);
            }
        }
    } else if (kind == FAULT_KILL) {
        fprintf(md, " | %.1f s", (double)s->recovery_ms / 1000);
    } else {
        fprintf(md, " | %.1f s (%.1f s)", (double)s->recovery_ms / 1000, (double)s->heal_ms / 1000);
    }
}

static void write_table(FILE *md)
{
    fprintf(md, "| point | kill | stop, three sessions | cut off for 5 s |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n_fault_points; i++) {
        struct summary s[N_FAULTS];
        unsigned runs = 0;
        for (unsigned k = 0; k < N_FAULTS; k++) {
            s[k] = summary_of(&fault_points[i], (enum fault_kind)k);
            runs += s[k].runs;
        }
        if (runs == 0) {
            continue;
        }
        fprintf(md, "| `%s`", fault_points[i].name);
        for (unsigned k = 0; k < N_FAULTS; k++) {
            write_entry(md, &s[k], (enum fault_kind)k);
        }
        fprintf(md, " |\n");
    }
}

unsigned report_write(uint64_t seed, uint64_t began_ms, uint64_t written, uint64_t read)
{
    FILE *tsv = open_result("fault.tsv"), *md = open_result("fault.md");
    unsigned failed = 0, skipped = 0, violated[N_INVARIANTS + 1] = {0};
    for (size_t i = 0; i < n_cells; i++) {
        const struct cell *cell = &cells[i];
        fprintf(tsv, "%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\n", results[cell->result],
                cell->name, cell->seed, cell->recovery_ms, cell->heal_ms, cell->why);
        failed += cell->result == CELL_FAILED;
        skipped += cell->result == CELL_SKIPPED;
        for (unsigned k = 0; k <= N_INVARIANTS; k++) {
            violated[k] += cell->broken[k];
        }
    }
    write_table(md);
    if (n_cells > 0) {
        fprintf(md,
                "\n%zu cells, %u failed, %u skipped, %.1f minutes, seed %" PRIu64 "; %" PRIu64
                " source transactions, %" PRIu64 " snapshots read at the target.\n\nViolations:",
                n_cells, failed, skipped, (double)(lutra_test_now_ms() - began_ms) / 60000, seed,
                written, read);
        for (unsigned k = 1; k <= N_INVARIANTS; k++) {
            fprintf(md, " I%u %u%s", k, violated[k], k < N_INVARIANTS ? "," : ".\n");
        }
    }
    if (lines != NULL) {
        fprintf(md, "\n%s", lines);
    }
    fclose(tsv);
    fclose(md);
    return failed;
}
