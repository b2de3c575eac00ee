/* Targets that go back in time, and COMMITs that nobody can ask about. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/records.h"
#include "world.h"

#define MINUTE_MS 60000u

static void flow(struct world *w, unsigned transactions)
{
    for (unsigned i = 0; i < transactions; i++) {
        world_transaction(w, 5);
        lutra_loop_run_for(w->loop, world_random(w, 20));
    }
}

static struct lutra_control control_of(struct world *w)
{
    struct lutra_control control = {0};
    struct lutra_error err = {0};
    const char *text = world_record(w, "control");
    cr_assert_not_null(text);
    cr_assert_eq(lutra_control_from_json(text, strlen(text), &control, &err), 0, "%s", err.msg);
    return control;
}

static bool rolled_back(void *arg)
{
    return !control_of(arg).start;
}

/* Waits for the refusal and returns what accept_target has to say; heap. */
static char *refused(struct world *w)
{
    cr_assert(lutra_loop_run_until(w->loop, rolled_back, w, 2 * MINUTE_MS), "it was not refused");
    struct lutra_control control = control_of(w);
    cr_assert_eq(control.retry_at_ms, 0, "only an operator may go on: %s", control.reason);
    const char *from = strstr(control.reason, "accept_target: ");
    cr_assert_not_null(from, "%s", control.reason);
    from += strlen("accept_target: ");
    return strndup(from, strcspn(from, "\""));
}

static void accept_and_start(struct world *w, const char *accept)
{
    LUTRA_AUTO_FREE char *yaml = lutra_asprintf("    accept_target: '%s'\n", accept);
    world_define(w, yaml);
    lutra_loop_run_for(w->loop, 100);
    world_request(w, true);
}

Test(world_recovery, a_target_restored_from_a_backup_is_refused_until_it_is_accepted)
{
    /* While load runs, and while it does not. */
    for (unsigned killed = 0; killed < 2; killed++) {
        struct world *w = world_new(21 + killed, "");
        world_start_all(w, false);
        flow(w, 50);
        world_settle(w, MINUTE_MS);
        struct lutra_mem_db *backup = lutra_mem_db_backup(w->db);
        lutra_loop_run_for(w->loop, MINUTE_MS);
        flow(w, 50);
        world_settle(w, MINUTE_MS);
        struct world_node *load = &w->nodes[5];
        cr_assert_str_eq(load->instance, "load-1");
        lutra_loop_run_for(w->loop, 2000); /* ZooKeeper is told once a second */
        if (killed) {
            world_kill(load);
        }
        world_restore_target(w, backup);
        size_t commits = lutra_mem_db_commits(w->db);
        world_restart(load);
        char *accept = refused(w);
        cr_assert_eq(strncmp(accept, "binlog.000001:", 14), 0, "%s", accept);
        flow(w, 20);
        lutra_loop_run_for(w->loop, MINUTE_MS);
        cr_assert_eq(lutra_mem_db_commits(w->db), commits, "it was written to");
        world_request(w, true); /* a start without the word: refused again */
        free(refused(w));
        accept_and_start(w, "binlog.000001:4@1"); /* another position's */
        free(refused(w));
        LUTRA_AUTO_FREE char *position = strndup(accept, strcspn(accept, "@"));
        accept_and_start(w, position); /* of any epoch */
        free(refused(w));
        accept_and_start(w, accept);
        world_settle(w, MINUTE_MS);
        world_check(w);
        /* Left in the definition it says nothing about what comes. */
        flow(w, 50);
        world_settle(w, MINUTE_MS);
        world_kill(load);
        lutra_loop_run_for(w->loop, MINUTE_MS);
        world_restart(load);
        flow(w, 20);
        world_settle(w, MINUTE_MS);
        world_check(w);
        free(accept);
        lutra_mem_db_free(backup);
        world_free(w);
    }
}

/* Crash at the worst moment: the fence of the acceptance is in the target, and ZooKeeper does not
 * know it yet. Whoever goes on needs no other word; and once it runs the word is used up. */
Test(world_recovery, a_word_that_was_used_does_not_accept_the_same_copy_again)
{
    for (unsigned crash = 0; crash < 2; crash++) {
        struct world *w = world_new(51 + crash, "");
        struct world_node *select = &w->nodes[0], *load = &w->nodes[5];
        world_start_all(w, false);
        cr_assert_str_eq(select->instance, "select-1");
        cr_assert_str_eq(load->instance, "load-1");
        flow(w, 50);
        world_settle(w, MINUTE_MS);
        struct lutra_mem_db *backup = lutra_mem_db_backup(w->db);
        lutra_loop_run_for(w->loop, MINUTE_MS);
        flow(w, 50);
        world_settle(w, MINUTE_MS);
        lutra_loop_run_for(w->loop, 2000);
        world_restore_target(w, backup);
        world_restart(load);
        char *word = refused(w);
        if (crash) {
            world_kill(select);
            lutra_loop_run_for(w->loop, MINUTE_MS);
        }
        accept_and_start(w, word);
        if (crash) {
            lutra_loop_run_for(w->loop, 5000); /* it waits for a select owner */
            cr_assert_gt(world_state_int(load, "fence"), 1, "accepted");
            cr_assert_not_null(strstr(world_record(w, "origin"), "\"epoch\":1,"), "not published");
            world_kill(load);
            lutra_loop_run_for(w->loop, MINUTE_MS);
            world_restart(load);
            world_restart(select);
        }
        flow(w, 20);
        world_settle(w, MINUTE_MS);
        world_check(w);
        lutra_loop_run_for(w->loop, MINUTE_MS);

        world_restore_target(w, backup);
        char *second = refused(w);
        cr_assert_str_neq(second, word);
        cr_assert_eq(strcspn(second, "@"), strcspn(word, "@"), "%s, %s", word, second);
        cr_assert_eq(strncmp(second, word, strcspn(word, "@")), 0, "the very same copy");
        accept_and_start(w, word);
        free(refused(w));
        accept_and_start(w, second);
        flow(w, 20);
        world_settle(w, MINUTE_MS);
        world_check(w);
        free(word);
        free(second);
        lutra_mem_db_free(backup);
        world_free(w);
    }
}

/* Fewer units than slots: the slot that is taken next looks as it should. */
Test(world_recovery, the_loss_of_the_last_units_alone_is_noticed_and_read_again)
{
    for (unsigned lost = 1; lost <= 6; lost++) {
        struct world *w = world_new(30 + lost, "");
        world_start_all(w, false);
        flow(w, 20);
        world_settle(w, MINUTE_MS);
        struct lutra_mem_db *backup = lutra_mem_db_backup(w->db);
        for (unsigned i = 0; i < lost; i++) {
            world_transaction(w, 3);
            world_settle(w, MINUTE_MS);
        }
        world_restore_target(w, backup); /* of less than a second ago */
        flow(w, 5);
        world_settle(w, MINUTE_MS);
        world_check(w);
        cr_assert(control_of(w).start);
        lutra_mem_db_free(backup);
        world_free(w);
    }
}

Test(world_recovery, an_emptied_target_is_refused_in_its_own_words)
{
    struct world *w = world_new(23, "");
    struct lutra_mem_db *empty = lutra_mem_db_backup(w->db);
    world_start_all(w, false);
    flow(w, 50);
    world_settle(w, MINUTE_MS);
    world_restore_target(w, empty);
    char *accept = refused(w);
    cr_assert_eq(strncmp(accept, "empty:", 6), 0, "%s", accept);
    cr_assert(strstr(control_of(w).reason, "no checkpoint"), "%s", control_of(w).reason);
    accept_and_start(w, accept);
    world_settle(w, MINUTE_MS); /* start: earliest */
    world_check(w);
    /* Emptied once more: the old word is not for this one. */
    world_restore_target(w, empty);
    char *second = refused(w);
    cr_assert_str_neq(second, accept);
    free(accept);
    free(second);
    lutra_mem_db_free(empty);
    world_free(w);
}

Test(world_recovery, a_commit_that_nobody_can_ask_about_becomes_a_rollback_with_retry_at)
{
    for (unsigned there = 0; there < 2; there++) {
        struct world *w = world_new(24 + there, "");
        world_start_all(w, false);
        flow(w, 50);
        world_settle(w, MINUTE_MS);
        struct lutra_mem_db_faults faults = {
            .lose_commit = !there, .lose_commit_reply = there, .down_when_lost = true};
        lutra_mem_db_set_faults(w->db, &faults);
        world_transaction(w, 5);
        cr_assert(lutra_loop_run_until(w->loop, rolled_back, w, 20000), "there is a deadline");
        cr_assert_gt(control_of(w).retry_at_ms, 0);
        faults = (struct lutra_mem_db_faults){0};
        lutra_mem_db_set_faults(w->db, &faults);
        world_settle(w, 2 * MINUTE_MS);
        world_check(w);
        world_free(w);
    }
}
