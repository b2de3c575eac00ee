#include <criterion/criterion.h>
#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/daemon_private.h"

static void stand_still(void *arg)
{
    uint64_t end_ms = lutra_clock_now_ms() + *(uint64_t *)arg;

    while (lutra_clock_now_ms() < end_ms) {
    }
}

static void run(uint64_t still_ms, uint64_t abort_ms)
{
    struct lutra_loop *loop = lutra_loop_new();
    struct lutra_watchdog *watchdog = lutra_watchdog_new(loop, 20, 60, abort_ms);

    lutra_loop_post(loop, stand_still, &still_ms);
    lutra_loop_run_for(loop, still_ms + 100);
    lutra_watchdog_free(watchdog);
    lutra_loop_free(loop);
}

Test(daemon_watchdog, a_loop_that_turns_lives)
{
    run(0, 100);
}

Test(daemon_watchdog, a_short_stall_is_only_told)
{
    run(150, 5000);
}

Test(daemon_watchdog, a_hung_loop_ends_the_process, .signal = SIGABRT)
{
    run(3000, 200);
}

Test(daemon_watchdog, none_is_asked_for)
{
    run(300, 0);
}
