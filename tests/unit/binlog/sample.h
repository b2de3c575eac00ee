#ifndef LUTRA_TEST_SAMPLE_H
#define LUTRA_TEST_SAMPLE_H

#include "walk.h"

/* The bytes of tests/unit/binlog/samples/<name>.binlog, read once more at each call. */
void sample_load(const char *name, struct lutra_buf *out);
/* Walks the sample; fails the test when it cannot be read to its end. */
void sample_walk(const char *name, struct walk *walk);

extern const char *const sample_names[]; /* all, NULL-terminated */

#endif
