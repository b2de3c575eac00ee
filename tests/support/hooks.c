/* The runner's side of a test binary: servers for all its tests, and afterwards the logs of those
 * that failed. Here rather than in the tests, because a crashed test cannot tell its own end. */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/internal.h"

ReportHook(PRE_ALL)(struct criterion_test_set *set)
{
    (void)set;
    lutra_test_session_begin();
}

static void end_of_test(const char *suite, const struct criterion_test_stats *stats)
{
    char *dir = lutra_test_dir_of(getpid(), suite, stats->test->name);
    if (access(dir, F_OK) == 0) {
        if (stats->test_status == CR_STATUS_FAILED) {
            const char *const args[] = {dir, NULL};
            lutra_test_stack_lib("daemons_stop_all", args);
            fprintf(stderr, "---- %s::%s failed; its folder: %s\n", suite, stats->test->name, dir);
            lutra_test_print_logs(dir);
        } else {
            lutra_test_remove_tree(dir);
        }
    }
    free(dir);
}

ReportHook(POST_ALL)(struct criterion_global_stats *all)
{
    for (const struct criterion_suite_stats *suite = all->suites; suite; suite = suite->next) {
        for (const struct criterion_test_stats *test = suite->tests; test; test = test->next) {
            end_of_test(suite->suite->name, test);
        }
    }
    lutra_test_session_end(all->tests_failed > 0 || all->tests_crashed > 0);
}
