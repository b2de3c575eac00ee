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
static uint64_t origin_process_id;

static enum lutra_request_outcome
decide(const struct lutra_control *control, uint64_t origin_epoch, struct lutra_request request)
{
    memset(&next, 0xee, sizeof(next));
    return lutra_request_decide(control, origin_epoch, origin_process_id, &request, NOW_MS, &next);
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
    cr_assert_eq(decide(&running, 9, R(RESTART, .by_operator = true)), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.epoch, 10);
    cr_assert(next.start);
    cr_assert_eq(next.attempt, 0);
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
    cr_assert_eq(decide(&pending, 0, R(RESUME, .early = true)), LUTRA_REQUEST_DONE);
    cr_assert_eq(decide(&stopped, 0, R(RESUME, .early = true)), LUTRA_REQUEST_YIELDED);
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

Test(decide, beyond_the_bound_a_rollback_waits_for_an_operator_and_says_what_to_do)
{
    struct lutra_request request = R(ROLLBACK, .retry_with_backoff = true, .max_attempts = 3,
                                     .reason = "the target is\naway", .channel = "orders");
    struct lutra_control control = {.start = true, .epoch = 5};

    for (uint32_t i = 1; i <= 3; i++) {
        cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
        cr_assert_gt(next.retry_at_ms, NOW_MS);
        cr_assert_not(next.exhausted);
        cr_assert_eq(next.attempt, i);
        control = next;
        control.start = true;
    }
    cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
    cr_assert_not(next.start);
    cr_assert_eq(next.retry_at_ms, 0);
    cr_assert(next.exhausted);
    cr_assert_str_eq(next.reason, "3 attempts in a row failed, the last: the target is away; put "
                                  "it right and `lutractl start orders`");
    control = next;
    cr_assert_eq(decide(&control, 5, R(RESTART)), LUTRA_REQUEST_YIELDED);
    cr_assert_eq(decide(&control, 5, R(RESUME)), LUTRA_REQUEST_YIELDED);
    cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_YIELDED);
    cr_assert_eq(decide(&control, 5, R(RESUME, .by_operator = true)), LUTRA_REQUEST_DONE);
    cr_assert_not(next.exhausted);
    cr_assert_eq(next.attempt, 0);
    request.max_attempts = 0;
    control.start = true;
    control.attempt = 1000;
    cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.retry_at_ms, NOW_MS + 60000, "0: without end");
}

Test(decide, what_was_applied_since_begins_the_row_anew)
{
    struct lutra_control control = {.start = true, .epoch = 5, .attempt = 9, .process_id = 100};
    struct lutra_request request =
        R(ROLLBACK, .retry_with_backoff = true, .max_attempts = 9, .process_id = 100);

    origin_process_id = 100;
    cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
    cr_assert(next.exhausted, "nothing was applied");
    request.process_id = 101;
    cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
    cr_assert_not(next.exhausted);
    cr_assert_eq(next.attempt, 1);
    cr_assert_eq(next.process_id, 101);
    cr_assert_eq(next.retry_at_ms, NOW_MS + 1000);
    request.process_id = 90; /* who knows less than ZooKeeper does */
    origin_process_id = 102;
    cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.attempt, 1);
    cr_assert_eq(next.process_id, 102);
    origin_process_id = 40; /* a target restored from a backup */
    cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
    cr_assert_eq(next.attempt, 1);
    origin_process_id = 0;
}

Test(decide, restarts_in_a_row_begin_to_wait_and_come_to_an_end)
{
    struct lutra_request request =
        R(RESTART, .max_attempts = 5, .reason = "broken chain", .channel = "c");
    struct lutra_control control = {.start = true, .epoch = 5};
    static const int64_t waits_ms[] = {0, 0, 4000, 8000, 16000};

    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
        cr_assert_eq(next.start, waits_ms[i] == 0);
        cr_assert_eq(next.retry_at_ms, waits_ms[i] != 0 ? NOW_MS + waits_ms[i] : 0);
        control = next;
        control.start = true;
        control.retry_at_ms = 0;
    }
    cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
    cr_assert_not(next.start);
    cr_assert_eq(next.retry_at_ms, 0);
    cr_assert(next.exhausted);
    cr_assert(strstr(next.reason, "5 attempts in a row failed, the last: broken chain"), "%s",
              next.reason);
}

Test(decide, the_restart_of_a_stall_keeps_the_permit_and_is_told_when_it_never_helps)
{
    struct lutra_request request =
        R(RESTART, .max_attempts = 2, .keeps_permit = true, .reason = "stalled", .channel = "c");
    struct lutra_control control = {.start = true, .epoch = 5};

    for (uint32_t i = 1; i <= 9; i++) {
        cr_assert_eq(decide(&control, 5, request), LUTRA_REQUEST_DONE);
        cr_assert(next.start);
        cr_assert_eq(next.exhausted, i > 2);
        cr_assert_eq(next.attempt, i);
        cr_assert_str_eq(next.reason, "stalled");
        cr_assert_eq(lutra_control_pace_ms(&next, 0, 1000), 1000ull << (i < 5 ? i : 5));
        cr_assert_eq(lutra_control_pace_ms(&next, 1, 1000), 1000, "it moved");
        control = next;
    }
}
