/* A few cells of every service and kind; the whole table is the label `fault`. */
#include <criterion/criterion.h>

#include "suite.h"

Test(fault_cells, a_short_selection_holds_every_invariant, .timeout = 600)
{
    static const char *const cells[] = {
        "load.before_commit/kill", "load.mid_rows/stop",           "load.commit_sent/partition",
        "select.acked/kill",       "extract.acked/partition",      "transform.decoded/stop",
        "load.fence_made/kill",    "manager.desired_written/kill", NULL};
    suite_cells(cells);
}
