/* Origins, sessions, permits: when select may publish, and from where. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"

#define BEGIN "binlog.000001:4;"

TestSuite(select_epoch, .fini = fix_fini);

Test(select_epoch, waits_for_an_origin_that_names_its_session)
{
    fix_init("");
    fix_rows(3, 1);
    fix_session();
    fix_run(3000);
    cr_expect(fix_state_is("state", "WAITING"));
    fix_origin_as("another-session", 0, BEGIN, "mem:1");
    fix_run(3000);
    cr_expect_eq(fix.n, 0);
    cr_expect_eq(fix_state_int("epoch"), 0, "not even begun");
    fix_origin(0, BEGIN);
    fix_wait_rows(3, 1000);
    fix_check_chain(1, BEGIN);
}

Test(select_epoch, resolves_start_and_sends_it_first)
{
    fix_init("start: earliest");
    fix_rows(2, 1);
    fix_origin(0, "");
    fix_wait_rows(2, 1000);
    fix_check_chain(1, "");
    cr_expect_eq(fix.messages[0].batch->head->kind, LUTRA__BATCH_HEAD__KIND__START);
    cr_expect_str_eq(fix.messages[0].batch->head->source_identity, "mem:1");
}

Test(select_epoch, start_checkpoint_without_one_stops)
{
    struct lutra_control control;
    fix_init("start: checkpoint");
    fix_origin(0, "");
    fix_wait_state("HALTED", 1000);
    fix_run(500);
    cr_assert(fix_control(&control));
    cr_expect_not(control.start);
    cr_expect_eq(control.retry_at_ms, 0);
    cr_expect(strstr(control.reason, "no checkpoint"), "%s", control.reason);
}

Test(select_epoch, a_new_origin_drops_everything_in_hand)
{
    char position[64];
    fix_init("window: 2, batch: {max_rows: 1}");
    fix_rows(2, 1);
    (void)snprintf(position, sizeof(position), "binlog.000001:%llu;0-1-2",
                   (unsigned long long)fix.events.offset);
    fix_rows(6, 10);
    fix_origin(0, BEGIN);
    fix_messages(2, 1000);
    fix_origin(2, position); /* the first two were applied; the rest is read again */
    fix_messages(4, 1000);
    fix.credit = true;
    fix_termin(4, 4);
    fix_wait_rows(6, 2000);
    fix_check_chain(3, position);
    cr_expect_eq(fix_state_int("epoch"), 2);
}

Test(select_epoch, an_epoch_is_never_used_twice)
{
    fix_init("");
    fix.credit = true;
    fix_rows(2, 1);
    fix_origin(0, BEGIN);
    fix_wait_rows(2, 1000);
    size_t n = fix.n;
    fix.epoch--; /* ZooKeeper was rolled back and the same epoch appears again */
    fix_origin_as("somebody", 0, BEGIN, "mem:1");
    fix_run(1000);
    fix.epoch--;
    fix_origin(0, BEGIN);
    fix_run(1000);
    cr_expect_eq(fix.n, n);
    lutra_coord_mem_expire(fix.env.coord); /* and for a new session */
    fix_run(2000);
    fix.epoch--;
    fix_origin(0, BEGIN);
    fix_run(1000);
    cr_expect_eq(fix.n, n);
    cr_expect(fix_state_is("state", "WAITING"));
}

Test(select_epoch, pause_publishes_nothing_new_and_keeps_the_epoch)
{
    fix_init("");
    fix.credit = true;
    fix_rows(2, 1);
    fix_origin(0, BEGIN);
    fix_wait_rows(2, 1000);
    fix_desire("PAUSE");
    fix_run(500);
    fix_rows(3, 10);
    fix_run(5000);
    cr_expect_eq(fix_rows_read(), 2);
    fix_desire("START");
    fix_wait_rows(5, 2000);
    fix_check_chain(1, BEGIN);
    cr_expect_eq(fix_state_int("epoch"), 1);
}

Test(select_epoch, a_lost_session_ends_the_epoch)
{
    fix_init("");
    fix_rows(2, 1);
    fix_origin(0, BEGIN);
    fix_wait_rows(2, 1000);
    char before[64];
    (void)snprintf(before, sizeof(before), "%s", fix_session());
    lutra_coord_mem_expire(fix.env.coord);
    fix_run(100);
    fix_rows(2, 10);
    fix_run(2000);
    cr_expect_str_neq(fix_session(), before);
    cr_expect_eq(fix_rows_read(), 2, "the new session has no origin yet");
    cr_expect(fix_state_is("state", "WAITING"));
    fix_origin(0, BEGIN);
    fix_wait_rows(4, 1000);
}

Test(select_epoch, a_suspended_session_goes_on)
{
    fix_init("");
    fix.credit = true;
    fix_rows(1, 1);
    fix_origin(0, BEGIN);
    fix_wait_rows(1, 1000);
    lutra_mem_tree_set_down(fix.tree, true);
    fix_rows(2, 10);
    fix_wait_rows(3, 1000);
    lutra_mem_tree_set_down(fix.tree, false);
    fix_rows(2, 20);
    fix_wait_rows(5, 3000);
    fix_check_chain(1, BEGIN);
}

Test(select_epoch, stop_lets_what_is_in_flight_be_applied_and_gives_the_node_up)
{
    fix_init("");
    fix_rows(2, 1);
    fix_origin(0, BEGIN);
    fix_wait_rows(2, 1000);
    fix_desire("STOP");
    fix_run(100);
    fix_rows(2, 10);
    fix_run(1900);
    cr_expect(lutra_mem_tree_peek(fix.tree, "/lutra/pipelines/p/select"), "not applied yet");
    fix_termin(fix_state_int("published"), fix_state_int("published"));
    fix_run(500);
    cr_expect_null(lutra_mem_tree_peek(fix.tree, "/lutra/pipelines/p/select"));
    cr_expect(fix_state_is("state", "IDLE"));
    cr_expect_eq(fix_rows_read(), 2);
}

Test(select_epoch, stop_does_not_wait_for_ever)
{
    fix_init("");
    fix_rows(2, 1);
    fix_origin(0, BEGIN);
    fix_wait_rows(2, 1000);
    fix_desire("STOP");
    fix_run(31000);
    cr_expect_null(lutra_mem_tree_peek(fix.tree, "/lutra/pipelines/p/select"));
}

static void on_drained(void *arg)
{
    *(bool *)arg = true;
}

Test(select_epoch, drain_waits_for_what_is_in_flight)
{
    bool drained = false;
    fix_init("");
    fix_rows(2, 1);
    fix_origin(0, BEGIN);
    fix_wait_rows(2, 1000);
    lutra_select_service.drain(fix.select, on_drained, &drained);
    fix_run(1000);
    cr_expect_not(drained);
    fix_termin(fix_state_int("published"), fix_state_int("published"));
    fix_run(500);
    cr_expect(drained);
    cr_expect_null(lutra_mem_tree_peek(fix.tree, "/lutra/pipelines/p/select"));
}

Test(select_epoch, another_site_is_not_ours)
{
    fix_init("source_site: elsewhere");
    fix_run(3000);
    cr_expect_null(lutra_mem_tree_peek(fix.tree, "/lutra/pipelines/p/select"));
    cr_expect(fix_state_is("state", "IDLE"));
}

Test(select_epoch, an_epoch_keeps_the_definition_that_it_was_made_for)
{
    fix_init("");
    fix.credit = true;
    fix_origin(0, BEGIN);
    fix_rows(1, 1);
    fix_wait_rows(1, 1000);
    fix_define("accept_new_source: true, balance: stick", 2);
    fix_run(500);
    fix_rows(1, 2);
    fix_wait_rows(2, 1000);
    cr_expect_eq(fix.messages[fix.n - 1].batch->head->config_version, 1);
}

Test(select_epoch, the_topics_are_made_before_anything_is_published)
{
    fix_init("");
    fix_rows(1, 1);
    fix_origin(0, BEGIN);
    fix_wait_rows(1, 1000);
    cr_expect_eq(lutra_bus_partitions(fix.bus, "lutra.p.transform"), FIX_PARTITIONS);
    cr_expect_eq(lutra_bus_partitions(fix.bus, "lutra.p.load"), 1);
    cr_expect_eq(lutra_bus_partitions(fix.bus, "lutra.p.termin"), 1);
}

Test(select_epoch, a_definition_that_does_not_come_is_warned_of_until_it_does)
{
    fix_init("");
    fix.credit = true;
    fix_rows(2, 1);
    fix.config_version = 2;
    fix_origin(0, BEGIN);
    fix_run(9000);
    cr_expect(fix_state_is("warning", ""), "it may be on its way");
    fix_run(2000);
    cr_expect(fix_state_is("state", "WAITING"));
    cr_expect(fix_state_is("warning", "waits for version 2 of the definition for 10 s, and knows "
                                      "version 1: does it reach ZooKeeper?") ||
              fix_state_is("warning", "waits for version 2 of the definition for 11 s, and knows "
                                      "version 1: does it reach ZooKeeper?"));
    fix_define("", 2);
    fix_wait_rows(2, 5000);
    cr_expect(fix_state_is("warning", ""));
}
