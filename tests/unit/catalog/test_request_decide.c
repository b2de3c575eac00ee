/* What a request does to a control record, row by row. */
#include <criterion/criterion.h>
#include <string.h>

#include "catalog/request.h"

enum { NOW_MS = 1000000 };

static const struct lutra_control running = {.start = true, .epoch = 5, .attempt = 2};
static const struct lutra_control pending = {.epoch = 5, .retry_at_ms = NOW_MS + 1, .attempt = 2};
static const struct lutra_control due = {.epoch = 5, .retry_at_ms = NOW_MS, .attempt = 2};
static const struct lutra_control stopped = {.epoch = 5, .attempt = 2};

static struct lutra_control next;

static enum lutra_request_outcome
decide(const struct lutra_control *control, uint64_t origin_epoch, struct lutra_request request)
{
    memset(&next, 0xee, sizeof(next));
    return lutra_request_decide(control, origin_epoch, &request, NOW_MS, &next);
}

#define ROLLBACK .kind = LUTRA_REQUEST_ROLLBACK
#define RESTART .kind = LUTRA_REQUEST_RESTART
#define RESUME .kind = LUTRA_REQUEST_RESUME
#define R(...) ((struct lutra_request){__VA_ARGS__})

Test(decide, rollback_and_restart_raise_the_higher_of_both_epochs)
{
    cr_assert_eq(decide(&running, 3, R(ROLLBACK, .reason = "why\nnow", .by = "load/a")),
                 LUTRA_REQUEST_DONE);
    cr_assert_eq(next.epoch, 6);
    cr_assert_not(next.start);
    cr_assert_eq(next.retry_at_ms, 0);
    cr_assert_eq(next.at_ms, NOW_MS);
    cr_assert_str_eq(next.reason, "why now");
    cr_assert_str_eq(next.by, "load/a");
    cr_assert_eq(decide(&running, 9, R(RESTART)), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.epoch, 10);
    cr_assert(next.start);
    cr_assert_eq(next.attempt, 2);
    cr_assert_eq(decide(NULL, 4, R(RESTART)), LUTRA_REQUEST_DONE, "wiped: no control");
    cr_assert_eq(next.epoch, 5);
    cr_assert_eq(decide(NULL, 0, R(RESTART)), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.epoch, 1);
}

Test(decide, backoff_doubles_to_a_minute_with_the_attempt)
{
    static const int64_t seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct lutra_control control = running;

    for (uint32_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        control.attempt = i;
        cr_assert_eq(decide(&control, 0, R(ROLLBACK, .retry_with_backoff = true)),
                     LUTRA_REQUEST_DONE);
        cr_assert_eq(next.retry_at_ms - NOW_MS, seconds[i] * 1000);
        cr_assert_eq(next.attempt, i + 1);
    }
    control.attempt = UINT32_MAX;
    cr_assert_eq(decide(&control, 0, R(ROLLBACK, .retry_with_backoff = true)), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.retry_at_ms - NOW_MS, 60000);
    cr_assert_eq(next.attempt, UINT32_MAX);
}

Test(decide, complaints_about_one_epoch_coalesce)
{
    cr_assert_eq(decide(&running, 5, R(RESTART, .about_epoch = 5)), LUTRA_REQUEST_DONE);
    cr_assert_eq(decide(&running, 5, R(RESTART, .about_epoch = 4)), LUTRA_REQUEST_COALESCED);
    cr_assert_eq(decide(&running, 5, R(ROLLBACK, .about_epoch = 4)), LUTRA_REQUEST_COALESCED);
    cr_assert_eq(decide(&running, 6, R(RESTART, .about_epoch = 5)), LUTRA_REQUEST_COALESCED,
                 "the origin is ahead of the control for a moment");
    cr_assert_eq(decide(&stopped, 5, R(RESTART, .about_epoch = 4)), LUTRA_REQUEST_COALESCED);
    cr_assert_eq(decide(&running, 5, R(RESTART, .about_epoch = 4, .by_operator = true)),
                 LUTRA_REQUEST_DONE, "an operator is always served");
}

Test(decide, an_automatic_restart_does_not_lift_a_rollback_before_its_time)
{
    cr_assert_eq(decide(&pending, 0, R(RESTART)), LUTRA_REQUEST_YIELDED);
    cr_assert_eq(decide(&stopped, 0, R(RESTART)), LUTRA_REQUEST_YIELDED);
    cr_assert_eq(decide(&due, 0, R(RESTART)), LUTRA_REQUEST_DONE);
    cr_assert_eq(decide(&pending, 0, R(RESTART, .by_operator = true)), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.attempt, 0);
    cr_assert_eq(decide(&stopped, 0, R(RESTART, .by_operator = true)), LUTRA_REQUEST_DONE);
}

Test(decide, of_two_rollbacks_the_one_for_an_operator_stands_above)
{
    cr_assert_eq(decide(&pending, 0, R(ROLLBACK, .retry_with_backoff = true)),
                 LUTRA_REQUEST_COALESCED);
    cr_assert_eq(decide(&pending, 0, R(ROLLBACK)), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.retry_at_ms, 0);
    cr_assert_eq(decide(&stopped, 0, R(ROLLBACK, .retry_with_backoff = true)),
                 LUTRA_REQUEST_YIELDED);
    cr_assert_eq(decide(&stopped, 0, R(ROLLBACK, .retry_at_ms = NOW_MS + 5)),
                 LUTRA_REQUEST_YIELDED);
    cr_assert_eq(decide(&stopped, 0, R(ROLLBACK)), LUTRA_REQUEST_COALESCED);
    cr_assert_eq(decide(&due, 0, R(ROLLBACK, .retry_with_backoff = true)), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.attempt, 3);
    cr_assert_eq(decide(&stopped, 0, R(ROLLBACK, .retry_at_ms = NOW_MS + 5, .by_operator = true)),
                 LUTRA_REQUEST_DONE);
    cr_assert_eq(next.retry_at_ms, NOW_MS + 5);
    cr_assert_eq(next.attempt, 0);
}

Test(decide, resume_keeps_the_epoch_and_waits_for_its_time)
{
    cr_assert_eq(decide(&running, 0, R(RESUME)), LUTRA_REQUEST_COALESCED);
    cr_assert_eq(decide(&running, 0, R(RESUME, .by_operator = true)), LUTRA_REQUEST_COALESCED);
    cr_assert_eq(decide(&pending, 0, R(RESUME)), LUTRA_REQUEST_YIELDED);
    cr_assert_eq(decide(&stopped, 0, R(RESUME)), LUTRA_REQUEST_YIELDED);
    cr_assert_eq(decide(&due, 9, R(RESUME, .about_epoch = 5)), LUTRA_REQUEST_DONE);
    cr_assert(next.start);
    cr_assert_eq(next.epoch, 5);
    cr_assert_eq(next.retry_at_ms, 0);
    cr_assert_eq(next.attempt, 2, "the back-off goes on until load resets it");
    cr_assert_eq(decide(&due, 0, R(RESUME, .about_epoch = 4)), LUTRA_REQUEST_COALESCED,
                 "a newer ROLLBACK stands there");
    cr_assert_eq(decide(&stopped, 0, R(RESUME, .by_operator = true)), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.epoch, 5);
    cr_assert_eq(next.attempt, 0);
}
