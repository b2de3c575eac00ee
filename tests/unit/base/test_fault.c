#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
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

Test(fault, a_bad_text_is_told_and_changes_nothing)
{
    static const char *const bad[] = {"a",           "=error",      "b=explode",      "c=error:0",
                                      "d=error:x",   "e=error,f",   "g=delay",        "h=delay@",
                                      "i=delay@0",   "j=delay@x",   "k=error@5",      "l=crash@5:1",
                                      "m=delay@5:0", "n=delay@5:y", "o=delay@9999999"};
    struct lutra_error err;

    lutra_fault_arm("good=error");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lutra_error_clear(&err);
        cr_expect_neq(lutra_fault_set(bad[i], &err), 0, "%s", bad[i]);
        cr_expect_eq(err.class, LUTRA_CONFIG, "%s", bad[i]);
    }
    cr_assert_not(lutra_fault_hit("e"));
    char *armed = lutra_fault_armed();
    cr_expect_str_eq(armed, "good=error");
    free(armed);
    cr_assert(lutra_fault_hit("good"), "what was armed stays armed");
}

static uint64_t hits_of(const char *name)
{
    struct lutra_fault_point points[LUTRA_FAULT_MAX_POINTS];
    size_t n = lutra_fault_points(points, LUTRA_FAULT_MAX_POINTS);

    for (size_t i = 0; i < n; i++) {
        if (strcmp(points[i].name, name) == 0) {
            return points[i].hits;
        }
    }
    return 0;
}

Test(fault, every_point_counts_its_hits_armed_or_not)
{
    static const char copy[] = "p"; /* the same name from another call site */

    cr_expect_eq(hits_of("p"), 0);
    lutra_fault_hit("p");
    lutra_fault_arm("p=error:2");
    lutra_fault_hit(copy);
    lutra_fault_hit("q");
    cr_expect(lutra_fault_hit("p"), "counted from the arming on");
    cr_expect_eq(hits_of("p"), 3);
    cr_expect_eq(hits_of("q"), 1);
    lutra_fault_arm(NULL);
    cr_expect_eq(hits_of("p"), 3);
}

static uint64_t hit_ms(const char *name)
{
    struct timespec from, to;

    clock_gettime(CLOCK_MONOTONIC, &from);
    cr_expect_not(lutra_fault_hit(name));
    clock_gettime(CLOCK_MONOTONIC, &to);
    return (uint64_t)((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
}

Test(fault, a_delay_keeps_the_step_slow)
{
    lutra_fault_arm("x=delay@50:2");
    cr_expect_lt(hit_ms("x"), 40);
    cr_expect_geq(hit_ms("x"), 49);
    cr_expect_geq(hit_ms("x"), 49);
    lutra_fault_arm("");
    cr_expect_lt(hit_ms("x"), 40);
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
