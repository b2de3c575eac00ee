/* The processes in flight. */
#include <criterion/criterion.h>
#include <string.h>

#include "fixture.h"

#define BEGIN "binlog.000001:4;"

TestSuite(select_window, .fini = fix_fini);

Test(select_window, is_never_exceeded)
{
    fix_init("window: 3, batch: {max_rows: 2}");
    fix_rows(40, 1);
    fix_origin(0, BEGIN);
    fix_messages(3, 1000);
    fix_run(1500);
    cr_expect_eq(fix.n, 3);
    cr_expect_eq(fix_state_int("in_flight"), 3);
    cr_expect_geq(fix_state_int("oldest_ms"), 1500, "the oldest has waited since then");
    fix_termin(1, 0);
    fix_run(300);
    cr_expect_eq(fix.n, 4, "one credit, one process");
    fix_termin(3, 3);
    fix_run(300);
    cr_expect_eq(fix.n, 6);
    fix.credit = true;
    fix_termin(6, 6);
    fix_wait_rows(40, 5000);
    fix_check_chain(1, BEGIN);
    fix_run(100);
    cr_expect_eq(fix_state_int("max_in_flight"), 3);
    cr_expect_eq(fix_state_int("in_flight"), 0);
    cr_expect_eq(fix_state_int("oldest_ms"), 0);
    cr_expect_eq(fix_state_int("rows_read"), 40);
}

Test(select_window, of_one_lets_a_transaction_of_any_length_through)
{
    fix_init("window: 1, batch: {max_rows: 2}");
    fix.credit = true;
    events_transaction(&fix.events, "t", 30, 2, 1);
    fix_serve();
    fix_origin(0, BEGIN);
    fix_wait_rows(60, 5000);
    fix_check_chain(1, BEGIN);
    cr_expect_eq(fix.n, 30);
    cr_expect_eq(fix_state_int("max_in_flight"), 1);
}

Test(select_window, an_overdue_process_is_published_again_elsewhere)
{
    fix_init("");
    fix_rows(1, 1);
    fix_origin(0, BEGIN);
    fix_messages(1, 1000);
    fix_run(1900);
    cr_expect_eq(fix.n, 1);
    fix_messages(2, 300);
    fix_messages(3, 4200); /* 2 s, 4 s, 8 s */
    fix_run(7500);
    cr_expect_eq(fix.n, 3);
    fix_messages(4, 1000);
    cr_expect_neq(fix.messages[1].partition, fix.messages[0].partition);
    cr_expect_eq(fix_state_int("republished"), 3);
    fix_check_chain(1, BEGIN);
    fix_termin(1, 1);
    fix_run(60000);
    for (size_t i = 4; i < fix.n; i++) {
        cr_expect_neq(fix.messages[i].process_id, 1, "it was credited");
    }
}

Test(select_window, only_the_oldest_is_published_again)
{
    fix_init("batch: {max_rows: 1}");
    fix_rows(3, 1);
    fix_origin(0, BEGIN);
    fix_messages(3, 1000);
    fix_run(3000);
    cr_assert_eq(fix.n, 4);
    cr_expect_eq(fix.messages[3].process_id, 1);
}

Test(select_window, lost_acknowledgements_repeat_the_same_bytes)
{
    fix_init("batch: {max_rows: 1}");
    lutra_mem_broker_set_faults(fix.broker,
                                &(struct lutra_mem_broker_faults){.lose_ack_percent = 60});
    fix_rows(20, 1);
    fix_origin(0, BEGIN);
    fix_run(1000);
    cr_expect_gt(fix.n, 4);
    fix.credit = true;
    fix_termin(4, 4);
    fix_wait_rows(20, 60000);
    cr_expect_gt(fix.n, 20, "some came twice");
    fix_check_chain(1, BEGIN);
}

Test(select_window, a_broker_that_is_away_loses_nothing)
{
    fix_init("batch: {max_rows: 1}");
    fix.credit = true;
    fix_origin(0, BEGIN);
    fix_rows(5, 1);
    fix_wait_rows(5, 1000);
    lutra_mem_broker_set_faults(fix.broker, &(struct lutra_mem_broker_faults){.down = true});
    fix_rows(50, 100);
    fix_run(20000);
    cr_expect_eq(fix_rows_read(), 5);
    lutra_mem_broker_set_faults(fix.broker, &(struct lutra_mem_broker_faults){0});
    fix_wait_rows(55, 60000);
    fix_check_chain(1, BEGIN);
    cr_expect_leq(fix_state_int("max_in_flight"), 4);
}

Test(select_window, a_foreign_termin_gives_no_credit)
{
    fix_init("window: 2, batch: {max_rows: 1}");
    fix_rows(10, 1);
    fix_origin(0, BEGIN);
    fix_messages(2, 1000);
    fix_termin_as(fix.epoch - 1, FIX_NONCE, 2, 2);
    fix_termin_as(fix.epoch + 1, FIX_NONCE, 2, 2);
    fix_termin_as(fix.epoch, "00000000000000bb", 2, 2);
    fix_termin_as(fix.epoch, FIX_NONCE, 9, 9); /* of processes never published */
    lutra_mem_broker_inject(fix.broker, &(struct lutra_bus_record){.topic = "lutra.p.termin",
                                                                   .key = "x",
                                                                   .payload = "garbage",
                                                                   .payload_len = 7});
    fix_run(1000);
    cr_expect_eq(fix.n, 2);
    cr_expect_eq(fix_state_int("consumed"), 0);
    fix_termin(2, 1);
    fix_messages(4, 1000);
}

Test(select_window, the_source_is_not_read_ahead_of_it)
{
    fix_init("window: 1, batch: {max_rows: 10}");
    fix_rows(2000, 1);
    fix_origin(0, BEGIN);
    fix_messages(1, 1000);
    fix_run(1000);
    cr_expect_leq(fix_state_int("in_flight_bytes"), 2000);
    char read[64];
    (void)snprintf(read, sizeof(read), "binlog.000001:%llu", (unsigned long long)fix.events.offset);
    cr_expect_not(fix_state_is("read", read));
    fix.credit = true;
    fix_termin(1, 1);
    fix_wait_rows(2000, 60000);
    fix_check_chain(1, BEGIN);
}

/* Garbage, and one of processes that nobody published. */
Test(select_window, termins_that_cannot_be_used_are_counted_and_warned_of_for_a_while)
{
    fix_init("");
    fix_rows(1, 1);
    fix_origin(0, BEGIN);
    fix_messages(1, 1000);
    fix_termin(1, 1);
    fix_run(1000);
    cr_expect(fix_state_is("warning", ""));
    const struct lutra_bus_record garbage = {
        .topic = "lutra.p.termin", .key = "1", .payload = "garbage", .payload_len = 7};
    lutra_mem_broker_inject(fix.broker, &garbage);
    fix_termin(100, 100);
    fix_run(1000);
    cr_expect_eq(fix_state_int("malformed"), 2);
    cr_expect(fix_state_is("warning",
                           "2 messages of topic lutra.p.termin could not be used and were passed "
                           "over; what they should have been is sent again"));
    fix_run(290000);
    cr_expect_not(fix_state_is("warning", ""));
    fix_run(10000);
    cr_expect(fix_state_is("warning", ""));
    cr_expect_eq(fix_state_int("in_flight"), 0);
}
