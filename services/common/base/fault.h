/* Named fault points, compiled in with LUTRA_FAULTS (tests); without it a point is the constant
 * false. docs/PROTOCOL.md §12 lists them.
 *
 * Armed by text, from LUTRA_TEST_FAULTS at start or by PUT /faults:
 *   "load.before_commit=crash:3,extract.decoded=delay@200"      name=action[@ms][:n], ...
 * At the n-th hit (default 1) from then on, after the log event fault.hit:
 *   error  LUTRA_FAULT() is true and the caller behaves as though the step had failed
 *   crash  the process kills itself with SIGKILL      pause  SIGSTOP to itself
 *   delay  the thread sleeps @ms; at every later hit too, so that a step stays slow */
#ifndef LUTRA_BASE_FAULT_H
#define LUTRA_BASE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef LUTRA_FAULTS
#define LUTRA_FAULT(name) lutra_fault_hit(name)
#else
#define LUTRA_FAULT(name) false
#endif

/* `name` lives as long as the process. @thread any */
bool lutra_fault_hit(const char *name);
/* Takes the place of what was armed; counting towards n begins anew. NULL or "" disarms. CONFIG
 * when the text is none: then nothing is changed. @thread any */
int lutra_fault_set(const char *spec, struct lutra_error *err) LUTRA_MUST_CHECK;
/* The same with a text that is known to be good, for tests inside one process. */
void lutra_fault_arm(const char *spec);

struct lutra_fault_point {
    const char *name;
    uint64_t hits; /* since the process started, armed or not */
};
/* The points reached so far, at most `capacity`; how many. @thread any */
size_t lutra_fault_points(struct lutra_fault_point *points, size_t capacity);
#define LUTRA_FAULT_MAX_POINTS 128
/* The text armed last, "" when none is. Heap. @thread any */
char *lutra_fault_armed(void);

#endif
