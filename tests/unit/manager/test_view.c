/* The one word for a pipeline, from what is known of it. */
#include <criterion/criterion.h>
#include <string.h>

#include "manager/view.h"

/* A pipeline that runs: each test spoils one thing. */
static struct mgr_view healthy(void)
{
    return (struct mgr_view){
        .connected = true,
        .known = true,
        .has_desired = true,
        .desired = LUTRA_DESIRED_START,
        .has_control = true,
        .control_start = true,
        .control_epoch = 5,
        .control_reason = "",
        .has_origin = true,
        .origin_epoch = 5,
        .origin_config_version = 2,
        .origin_select_session = "s1-a",
        .config_version = 2,
        .select_owner = "s1",
        .select_session = "s1-a",
        .load_owner = "l1",
        .select_answers = true,
        .load_answers = true,
        .select_epoch = 5,
        .load_epoch = 5,
        .select_state = "STREAM",
        .load_state = "RUN",
        .extracts = 2,
        .transforms = 1,
        .in_flight = 3,
        .last_error = "",
        .wall_ms = 1700000000000,
        .stall_ms = 30000,
    };
}

static struct mgr_verdict judge(const struct mgr_view *view)
{
    struct mgr_verdict verdict;

    mgr_view_judge(view, &verdict);
    return verdict;
}

static void expect(const struct mgr_view *view, enum mgr_state state, const char *word)
{
    struct mgr_verdict verdict = judge(view);

    cr_assert_str_eq(mgr_state_name(verdict.state), mgr_state_name(state), "%s: %s",
                     mgr_state_name(verdict.state), verdict.reason);
    cr_assert(strstr(verdict.reason, word) != NULL, "\"%s\" has no \"%s\"", verdict.reason, word);
}

Test(view, running)
{
    struct mgr_view view = healthy();

    expect(&view, MGR_RUNNING, "");
    cr_assert(judge(&view).agreed && judge(&view).flowing);
    cr_assert_not(judge(&view).fence_pending);
    view.in_flight = 0;
    view.still_ms = 1000000; /* nothing to do is no stall */
    expect(&view, MGR_RUNNING, "");
}

Test(view, nothing_is_said_of_what_is_not_known)
{
    struct mgr_view view = healthy();

    view.connected = false;
    expect(&view, MGR_UNKNOWN, "not connected");
    view = healthy();
    view.known = false;
    expect(&view, MGR_UNKNOWN, "not been read");
    view = healthy();
    view.has_control = false;
    expect(&view, MGR_UNKNOWN, "control");
    view = healthy();
    view.has_desired = false;
    expect(&view, MGR_UNKNOWN, "desired");
    view = healthy();
    view.select_answers = false;
    expect(&view, MGR_UNKNOWN, "select owner s1 does not tell");
    view = healthy();
    view.load_answers = false;
    expect(&view, MGR_UNKNOWN, "load owner l1 does not tell");
}

Test(view, the_operators_word_stands_above_all)
{
    struct mgr_view view = healthy();

    view.control_start = false;
    view.control_reason = "boom";
    view.desired = LUTRA_DESIRED_PAUSE;
    expect(&view, MGR_PAUSED, "3 processes");
    view.desired = LUTRA_DESIRED_STOP;
    expect(&view, MGR_STOPPED, "select owner and load owner still there");
    view.select_owner = view.load_owner = NULL;
    expect(&view, MGR_STOPPED, "");
    cr_assert_str_eq(judge(&view).reason, "");
    cr_assert_not(judge(&view).permit);
}

Test(view, rolled_back_says_why_and_until_when)
{
    struct mgr_view view = healthy();

    view.control_start = false;
    view.control_reason = "duplicate key in shop.orders";
    expect(&view, MGR_ROLLED_BACK, "duplicate key in shop.orders; waits for an operator");
    view.retry_at_ms = view.wall_ms + 5000;
    expect(&view, MGR_ROLLED_BACK, "retry at 2023-11-14T22:13:25");
    view.retry_at_ms = view.wall_ms - 5000;
    expect(&view, MGR_ROLLED_BACK, "retry due since");
    view.control_epoch = 6;
    expect(&view, MGR_ROLLED_BACK, "the new fence is not made yet");
    cr_assert(judge(&view).fence_pending);
}

Test(view, each_thing_that_keeps_the_stream_from_being_there)
{
    struct mgr_view view = healthy();

    view.select_owner = NULL;
    expect(&view, MGR_STARTING, "no select owner");
    view.load_owner = NULL;
    expect(&view, MGR_STARTING, "neither");
    view.select_owner = "s1";
    expect(&view, MGR_STARTING, "no load owner");
    view = healthy();
    view.has_origin = false;
    expect(&view, MGR_STARTING, "first epoch");
    cr_assert(judge(&view).fence_pending);
    view = healthy();
    view.control_epoch = 6;
    expect(&view, MGR_STARTING, "epoch 6");
    view = healthy();
    view.select_session = "s1-b";
    expect(&view, MGR_STARTING, "another select owner");
    view = healthy();
    view.config_version = 3;
    expect(&view, MGR_STARTING, "config version 3");
    view = healthy();
    view.select_epoch = 4;
    expect(&view, MGR_STARTING, "select has not begun epoch 5");
    cr_assert_not(judge(&view).agreed);
}

Test(view, owners_that_do_not_work_yet_are_not_running)
{
    struct mgr_view view = healthy();

    view.select_state = "CHECK";
    expect(&view, MGR_STARTING, "select does not read yet: CHECK");
    cr_assert_not(judge(&view).flowing);
    view.waiting_ms = 40000;
    view.last_error = "no route to host";
    expect(&view, MGR_STALLED, "select does not read yet: CHECK, for 40 s; no route to host");
    cr_assert_not(judge(&view).stuck);
    view = healthy();
    view.load_state = "HALTED";
    expect(&view, MGR_STARTING, "load does not apply yet: HALTED");
    view = healthy();
    view.extracts = 0;
    expect(&view, MGR_STARTING, "no instance of extract serves it");
    view.transforms = 0;
    expect(&view, MGR_STARTING, "extract and transform");
    view.still_ms = 31000; /* with data in flight it is a stall all the same */
    expect(&view, MGR_STALLED, "no progress for 31 s");
    cr_assert(judge(&view).stuck);
}

/* Rows written once it says RUNNING are carried, also with `start: current`. */
Test(view, it_does_not_run_before_it_reads_from_a_settled_position)
{
    struct mgr_view view = healthy();

    view.select_state = "RESOLVE";
    expect(&view, MGR_STARTING, "select does not read yet: RESOLVE");
    view.select_state = "STREAM";
    view.start_pending = true;
    expect(&view, MGR_STARTING, "start position");
}

Test(view, a_start_that_takes_too_long_is_a_stall)
{
    struct mgr_view view = healthy();

    view.load_owner = NULL;
    view.waiting_ms = 29999;
    expect(&view, MGR_STARTING, "no load owner");
    view.waiting_ms = 30000;
    view.last_error = "access denied";
    expect(&view, MGR_STALLED, "no load owner, for 30 s; access denied");
    cr_assert_not(judge(&view).stuck, "a RESTART would not bring an owner");
}

Test(view, data_in_flight_and_no_progress)
{
    struct mgr_view view = healthy();

    view.still_ms = 29999;
    expect(&view, MGR_RUNNING, "");
    view.still_ms = 31000;
    expect(&view, MGR_STALLED, "3 processes in flight, no progress for 31 s");
    cr_assert(judge(&view).stuck);
}

Test(view, an_origin_above_control_is_a_moment_not_a_fault)
{
    struct mgr_view view = healthy();

    view.origin_epoch = view.select_epoch = 6;
    expect(&view, MGR_RUNNING, "");
    cr_assert_not(judge(&view).fence_pending);
}

Test(view, what_an_instance_lacks_is_told_where_it_does_not_run)
{
    struct mgr_view view = healthy();

    view.blocked = "bus far is not configured";
    expect(&view, MGR_RUNNING, "");
    cr_assert_str_eq(judge(&view).reason, "", "others serve it");
    view.select_owner = NULL;
    expect(&view, MGR_STARTING, "no select owner; bus far is not configured");
    view.waiting_ms = view.stall_ms;
    expect(&view, MGR_STALLED, "bus far is not configured");
}
