/* Named fault points, compiled in with LUTRA_FAULTS (tests). Armed by the environment at start:
 * LUTRA_TEST_FAULTS="load.before_commit=crash:3,select.before_publish=pause" - at the n-th hit
 * (default 1): crash  the process kills itself with SIGKILL      pause  SIGSTOP to itself error
 * LUTRA_FAULT() returns true and the caller behaves as if the step had failed */
#ifndef LUTRA_BASE_FAULT_H
#define LUTRA_BASE_FAULT_H

#include <stdbool.h>

#ifdef LUTRA_FAULTS
#define LUTRA_FAULT(name) lutra_fault_hit(name)
#else
#define LUTRA_FAULT(name) false
#endif

/* Each action happens once, at exactly the n-th hit, after the log event fault.hit. @thread any */
bool lutra_fault_hit(const char *name);
/* Re-reads the arming text; NULL disarms. For tests inside one process. */
void lutra_fault_arm(const char *spec);

#endif
