/* What came of the cells: a line each while it runs, then a table in Markdown and one line each for
 * scripts, in the build's results folder. */
#ifndef LUTRA_TEST_FAULT_REPORT_H
#define LUTRA_TEST_FAULT_REPORT_H

#include "cell.h"

/* Keeps a copy, prints the line, and for a failure how to have it again. */
void report_cell(const struct cell *cell);
/* fault.tsv and fault.md; how many failed. */
unsigned report_write(uint64_t seed, uint64_t began_ms, uint64_t written, uint64_t read);
/* The smallest value that a share of them does not exceed; sorts. */
uint64_t report_percentile(uint64_t *values, size_t n, unsigned percent);
/* One more line for the Markdown file. */
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
