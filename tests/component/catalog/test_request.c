/* Requests on a tree: races, lost answers, crashes, a wiped tree. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "catalog/catalog.h"
#include "coord_test.h"

static struct lutra_loop *loop;
static struct lutra_mem_tree *tree;
static struct lutra_coord *one, *two;

static void begin(uint64_t seed)
{
    loop = lutra_loop_new_sim(seed);
    tree = lutra_mem_tree_new(loop);
    one = lutra_coord_mem_new(tree, SESSION_MS);
    two = lutra_coord_mem_new(tree, SESSION_MS);
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
    cr_assert(await_state(two, LUTRA_COORD_CONNECTED));
    lutra_mem_tree_poke(
        tree, "/lutra/pipelines/p/control",
        "{\"state\":\"START\",\"epoch\":5,\"reason\":\"\",\"retry_at_ms\":0,\"attempt\":0,"
        "\"by\":\"op\",\"at_ms\":1}");
    lutra_mem_tree_poke(
        tree, "/lutra/pipelines/p/origin",
        "{\"epoch\":5,\"nonce\":\"0123456789abcdef\",\"process_id\":0,\"position\":\"\","
        "\"config_version\":1,\"select_session\":\"s\",\"source_identity\":\"\",\"by\":\"load/a\","
        "\"at_ms\":1}");
}

static void finish(void)
{
    lutra_coord_free(one);
    lutra_coord_free(two);
    lutra_mem_tree_free(tree);
    lutra_loop_free(loop);
}

static void setup(void)
{
    begin(5);
}

TestSuite(request, .init = setup, .fini = finish);

struct reply {
    bool came;
    enum lutra_request_outcome outcome;
    bool has_control;
    struct lutra_control control;
};

static void
on_reply(enum lutra_request_outcome outcome, const struct lutra_control *control, void *arg)
{
    struct reply *reply = arg;

    cr_assert_not(reply->came, "one answer");
    reply->came = true;
    reply->outcome = outcome;
    reply->has_control = control != NULL;
    if (control) {
        reply->control = *control;
    }
}

static bool replied(void *arg)
{
    return ((struct reply *)arg)->came;
}

static struct reply ask(struct lutra_coord *coord, struct lutra_request request)
{
    struct reply reply = {0};

    lutra_request_send(coord, "p", &request, on_reply, &reply);
    cr_assert_not(reply.came);
    cr_assert(lutra_loop_run_until(loop, replied, &reply, LONG_MS));
    return reply;
}

static struct lutra_control control_now(void)
{
    struct lutra_control control = {0};
    struct lutra_error err;
    const char *data = lutra_mem_tree_peek(tree, "/lutra/pipelines/p/control");

    cr_assert_not_null(data);
    cr_assert_eq(lutra_control_from_json(data, strlen(data), &control, &err), 0, "%s", err.msg);
    return control;
}

static const struct lutra_request restart = {
    .kind = LUTRA_REQUEST_RESTART, .about_epoch = 5, .reason = "gap", .by = "load/a"};
static const struct lutra_request rollback = {.kind = LUTRA_REQUEST_ROLLBACK,
                                              .about_epoch = 5,
                                              .retry_with_backoff = true,
                                              .reason = "target gone",
                                              .by = "load/b"};

Test(request, writes_what_was_decided)
{
    struct reply reply = ask(one, rollback);
    struct lutra_control control = control_now();

    cr_assert_eq(reply.outcome, LUTRA_REQUEST_DONE);
    cr_assert_eq(reply.control.epoch, 6);
    cr_assert_eq(control.epoch, 6);
    cr_assert_not(control.start);
    cr_assert_str_eq(control.reason, "target gone");
    cr_assert_eq(control.retry_at_ms, control.at_ms + 1000);
    reply = ask(two, restart);
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_COALESCED);
    cr_assert_eq(reply.control.epoch, 6);
    reply = ask(two, (struct lutra_request){.kind = LUTRA_REQUEST_RESTART});
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_YIELDED);
    cr_assert_eq(control_now().epoch, 6);
    lutra_loop_run_for(loop, 1000);
    reply = ask(two, (struct lutra_request){.kind = LUTRA_REQUEST_RESUME, .about_epoch = 6});
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_DONE);
    cr_assert(control_now().start);
    cr_assert_eq(control_now().epoch, 6);
}

Test(request, two_at_once_about_one_epoch_make_one_in_every_order)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct reply a = {0}, b = {0};

        if (seed > 1) {
            finish();
            begin(seed);
        }
        lutra_request_send(one, "p", &restart, on_reply, &a);
        lutra_request_send(two, "p", &rollback, on_reply, &b);
        cr_assert(lutra_loop_run_until(loop, replied, &a, LONG_MS));
        cr_assert(lutra_loop_run_until(loop, replied, &b, LONG_MS));
        cr_assert_eq(control_now().epoch, 6, "seed %d", (int)seed);
        cr_assert_eq((a.outcome == LUTRA_REQUEST_DONE) + (b.outcome == LUTRA_REQUEST_DONE), 1);
        cr_assert_eq(
            (a.outcome == LUTRA_REQUEST_COALESCED) + (b.outcome == LUTRA_REQUEST_COALESCED), 1);
        cr_assert_eq(control_now().start, a.outcome == LUTRA_REQUEST_DONE);
    }
}

Test(request, operators_at_once_are_all_served)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct lutra_request request = {.kind = LUTRA_REQUEST_RESTART, .by_operator = true};
        struct reply replies[6] = {0};

        if (seed > 1) {
            finish();
            begin(seed);
        }
        for (int i = 0; i < 6; i++) {
            (void)snprintf(request.by, sizeof(request.by), "op%d", i);
            lutra_request_send(i % 2 ? one : two, "p", &request, on_reply, &replies[i]);
        }
        for (int i = 0; i < 6; i++) {
            cr_assert(lutra_loop_run_until(loop, replied, &replies[i], LONG_MS));
            cr_assert_eq(replies[i].outcome, LUTRA_REQUEST_DONE);
        }
        cr_assert_eq(control_now().epoch, 11, "seed %d", (int)seed);
    }
}

Test(request, a_write_whose_answer_was_lost_is_recognised_and_not_done_twice)
{
    /* At whatever turn the connection breaks. */
    for (int turns = 1; turns < 20; turns++) {
        struct lutra_request request = {
            .kind = LUTRA_REQUEST_RESTART, .by_operator = true, .by = "op"};
        struct reply reply = {0};

        if (turns > 1) {
            finish();
            begin(0);
        }
        lutra_request_send(one, "p", &request, on_reply, &reply);
        for (int i = 0; i < turns && !reply.came; i++) {
            uint64_t now_ms = lutra_loop_now_ms(loop);

            (void)lutra_loop_run_until(loop, replied, &reply, 0);
            cr_assert_eq(lutra_loop_now_ms(loop), now_ms);
        }
        lutra_coord_mem_partition(one, true);
        lutra_loop_run_for(loop, 100);
        lutra_coord_mem_partition(one, false);
        cr_assert(lutra_loop_run_until(loop, replied, &reply, LONG_MS));
        if (reply.outcome == LUTRA_REQUEST_DONE) {
            cr_assert_eq(control_now().epoch, 6, "after %d turns", turns);
        } else {
            cr_assert_eq(reply.outcome, LUTRA_REQUEST_FAILED);
            cr_assert_eq(control_now().epoch, 5);
        }
    }
}

static bool epoch_is_6(void *arg)
{
    (void)arg;
    return control_now().epoch == 6;
}

Test(request, an_unknown_answer_after_the_write_is_done)
{
    struct lutra_request request = {.kind = LUTRA_REQUEST_RESTART, .by_operator = true};
    struct reply reply = {0};

    lutra_request_send(one, "p", &request, on_reply, &reply);
    cr_assert(lutra_loop_run_until(loop, epoch_is_6, NULL, LONG_MS));
    cr_assert_not(reply.came);
    lutra_coord_mem_partition(one, true);
    lutra_loop_run_for(loop, 100);
    lutra_coord_mem_partition(one, false);
    cr_assert(lutra_loop_run_until(loop, replied, &reply, LONG_MS));
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_DONE);
    cr_assert_eq(reply.control.epoch, 6);
    cr_assert_eq(control_now().epoch, 6);
}

Test(request, a_crash_before_the_write_changes_nothing_and_after_it_stands)
{
    struct reply reply = {0};

    lutra_request_send(one, "p", &restart, on_reply, &reply);
    lutra_coord_mem_kill(one);
    lutra_loop_run_for(loop, SESSION_MS * 2);
    cr_assert_eq(control_now().epoch, 5);
    cr_assert_not(reply.came);

    lutra_request_send(two, "p", &restart, on_reply, &reply);
    cr_assert(lutra_loop_run_until(loop, epoch_is_6, NULL, LONG_MS));
    lutra_coord_mem_kill(two);
    lutra_loop_run_for(loop, SESSION_MS * 2);
    cr_assert_eq(control_now().epoch, 6);
    cr_assert_not(reply.came);
}

Test(request, fails_when_zookeeper_does_not_answer)
{
    struct reply reply;

    lutra_mem_tree_set_down(tree, true);
    reply = ask(one, restart);
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_FAILED);
    cr_assert_not(reply.has_control);
}

Test(request, makes_a_control_that_is_missing)
{
    struct reply reply;

    lutra_mem_tree_poke(tree, "/lutra/pipelines/p/control", NULL);
    reply = ask(one, rollback);
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_DONE);
    cr_assert_eq(control_now().epoch, 6);

    lutra_mem_tree_restore(tree, NULL);
    cr_assert(await_state(one, LUTRA_COORD_LOST));
    cr_assert(await_state(one, LUTRA_COORD_CONNECTED));
    reply = ask(one, rollback);
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_DONE, "%d", reply.outcome);
    cr_assert_eq(control_now().epoch, 1);
    cr_assert_not(control_now().start);
}

Test(request, only_an_operator_writes_over_a_control_that_cannot_be_read)
{
    struct reply reply;

    lutra_mem_tree_poke(tree, "/lutra/pipelines/p/control", "{\"state\":");
    reply = ask(one, rollback);
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_FAILED);
    cr_assert_str_eq(lutra_mem_tree_peek(tree, "/lutra/pipelines/p/control"), "{\"state\":");
    reply = ask(one, (struct lutra_request){.kind = LUTRA_REQUEST_RESTART, .by_operator = true});
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_DONE);
    cr_assert_eq(control_now().epoch, 6);
    lutra_mem_tree_poke(tree, "/lutra/pipelines/p/origin", "garbage");
    reply = ask(one, (struct lutra_request){.kind = LUTRA_REQUEST_RESTART});
    cr_assert_eq(reply.outcome, LUTRA_REQUEST_DONE);
    cr_assert_eq(control_now().epoch, 7);
}

Test(request, a_forgotten_request_answers_nobody)
{
    struct reply reply = {0};

    lutra_request_send(one, "p", &restart, on_reply, &reply);
    lutra_request_forget(one, &reply);
    lutra_loop_run_for(loop, 1000);
    cr_assert_not(reply.came);
    lutra_request_send(one, "p", &restart, on_reply, &reply);
    lutra_coord_free(one);
    lutra_loop_run_for(loop, 1000);
    cr_assert_not(reply.came);
    one = lutra_coord_mem_new(tree, SESSION_MS);
}
