#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"

Test(fault, unarmed_points_do_nothing)
{
    lutra_fault_arm(NULL);
    cr_assert_not(lutra_fault_hit("load.before_commit"));
}

Test(fault, an_error_comes_once_at_the_nth_hit)
{
    lutra_fault_arm("a=error:3,b=error");
    cr_assert_not(lutra_fault_hit("a"));
    cr_assert(lutra_fault_hit("b"));
    cr_assert_not(lutra_fault_hit("a"));
    cr_assert(lutra_fault_hit("a"));
    cr_assert_not(lutra_fault_hit("a"));
    cr_assert_not(lutra_fault_hit("c"));
    lutra_fault_arm(NULL);
    cr_assert_not(lutra_fault_hit("b"));
}

Test(fault, bad_specs_arm_nothing_and_do_not_crash)
{
    lutra_fault_arm("a,=error,b=explode,c=error:0,d=error:x,e=error");
    cr_assert_not(lutra_fault_hit("a"));
    cr_assert_not(lutra_fault_hit("b"));
    cr_assert_not(lutra_fault_hit("c"));
    cr_assert_not(lutra_fault_hit("d"));
    cr_assert(lutra_fault_hit("e"), "the good one is armed");
}

Test(fault, the_environment_arms_and_crash_kills)
{
    int status = 0;
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        setenv("LUTRA_TEST_FAULTS", "x=crash:2", 1);
        lutra_fault_hit("x");
        lutra_fault_hit("x");
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status));
    cr_assert_eq(WTERMSIG(status), SIGKILL);
}

Test(fault, pause_stops_until_continued)
{
    int status = 0;
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        lutra_fault_arm("x=pause");
        _exit(lutra_fault_hit("x") ? 1 : 7);
    }
    cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
    cr_assert(WIFSTOPPED(status));
    kill(pid, SIGCONT);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 7);
}
