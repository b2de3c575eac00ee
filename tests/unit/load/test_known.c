/* Did the target go back in time? What is known of it against what it shows. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "load/known.h"

#define NOW_MS 1000000000

/* A target whose newest unit is process `process_id`, under `fence`, written `age_ms` ago. */
static struct lutra_ring shows(uint64_t fence, unsigned process_id, int64_t age_ms)
{
    struct lutra_ring ring = {.n = LUTRA_RING_SLOTS, .read_at_ms = NOW_MS};
    for (uint32_t i = 0; i < LUTRA_RING_SLOTS; i++) {
        struct lutra_slot *slot = &ring.slots[i];
        bool newest = i == 2 && process_id > 0;
        slot->slot = i;
        slot->fence = slot->epoch = fence;
        slot->age_ms = newest ? age_ms : age_ms + 60000;
        slot->from = lutra_strdup("");
        slot->low = lutra_strdup("");
        slot->to = newest ? lutra_asprintf("binlog.000001:%u;0-1-%u", process_id * 100, process_id)
                          : lutra_strdup("");
        slot->unit = newest ? process_id : 0;
        slot->process_id = newest ? process_id : 0;
    }
    return ring;
}

/* Known: epoch 7, process 50, as of a minute ago. */
static enum ldr_target_state judge_more(uint64_t fence,
                                        unsigned process_id,
                                        int64_t age_ms,
                                        const char *accept,
                                        uint64_t may_lose_ms,
                                        struct lutra_error *err)
{
    struct ldr_known known = {0};
    struct lutra_ring ring = shows(fence, process_id, age_ms);
    ldr_known_note(&known, 7, 50, "binlog.000001:5000;0-1-50", NOW_MS - 60000);
    struct ldr_expect *expect =
        ldr_expect_new(&known, "p", LUTRA_FLAVOR_MARIADB, accept, may_lose_ms);
    enum ldr_target_state state = ldr_target_judge(expect, &ring, err);
    struct lutra_error again = {0};
    cr_expect_eq(ldr_expect_check(&ring, expect, &again) != 0, state == LDR_TARGET_REFUSED);
    ldr_expect_free(expect);
    ldr_known_fini(&known);
    lutra_ring_fini(&ring);
    return state;
}

static enum ldr_target_state
judge(uint64_t fence, unsigned process_id, int64_t age_ms, const char *accept)
{
    struct lutra_error err = {0};
    return judge_more(fence, process_id, age_ms, accept, 10000, &err);
}

Test(load_known, what_is_known_is_the_highest_by_epoch_then_by_process)
{
    struct ldr_known known = {0};
    ldr_known_note(&known, 3, 10, "x:1;", 1);
    ldr_known_note(&known, 3, 9, "x:0;", 2);
    cr_expect_eq(known.process_id, 10);
    ldr_known_note(&known, 4, 9, "x:2;", 3);
    cr_expect_eq(known.epoch, 4);
    cr_expect_eq(known.process_id, 9);
    cr_expect_str_eq(known.position, "x:2;");
    ldr_known_note(&known, 3, 99, "x:9;", 4);
    cr_expect_eq(known.epoch, 4);
    ldr_known_fini(&known);
}

Test(load_known, a_target_that_has_what_was_known_or_more_fits)
{
    cr_expect_eq(judge(7, 50, 60000, ""), LDR_TARGET_FITS);
    cr_expect_eq(judge(7, 51, 0, ""), LDR_TARGET_FITS);
    cr_expect_eq(judge(9, 50, 3600000, ""), LDR_TARGET_FITS);
}

Test(load_known, an_older_position_is_refused_by_name_and_told_what_to_accept)
{
    struct lutra_error err = {0};
    cr_assert_eq(judge_more(7, 30, 7200000, "", 10000, &err), LDR_TARGET_REFUSED);
    cr_expect_eq(err.class, LUTRA_CONFIG);
    cr_expect(strstr(err.msg, "accept_target: binlog.000001:3000@7\""), "%s", err.msg);
    cr_expect(strstr(err.msg, "process 50"), "%s", err.msg);
    cr_expect(strstr(err.msg, "binlog.000001:5000"), "%s", err.msg);
    cr_expect(strstr(err.msg, "1970-01-12T13:45:40"), "since when: %s", err.msg);
    cr_expect_lt(strlen(err.msg), 512, "it must fit into a reason");
}

Test(load_known, a_lower_fence_alone_is_an_older_target)
{
    cr_expect_eq(judge(6, 50, 7200000, ""), LDR_TARGET_REFUSED);
}

Test(load_known, only_the_position_that_the_target_holds_is_accepted)
{
    cr_expect_eq(judge(6, 30, 7200000, "binlog.000001:3000@7"), LDR_TARGET_ACCEPTED);
    cr_expect_eq(judge(6, 30, 7200000, "binlog.000001:3000;0-1-30@7"), LDR_TARGET_ACCEPTED);
    cr_expect_eq(judge(6, 30, 7200000, "binlog.000001:3000;0-1-31@7"), LDR_TARGET_REFUSED);
    cr_expect_eq(judge(6, 29, 7200000, "binlog.000001:3000@7"), LDR_TARGET_REFUSED);
    cr_expect_eq(judge(6, 30, 7200000, "empty:7"), LDR_TARGET_REFUSED);
}

Test(load_known, a_word_is_for_one_epoch_and_then_used_up)
{
    struct lutra_error err = {0};
    cr_expect_eq(judge(6, 30, 7200000, "binlog.000001:3000@6"), LDR_TARGET_REFUSED);
    cr_expect_eq(judge(6, 30, 7200000, "binlog.000001:3000@70"), LDR_TARGET_REFUSED);
    cr_expect_eq(judge(6, 30, 7200000, "binlog.000001:3000"), LDR_TARGET_REFUSED, "for any");
    cr_assert_eq(judge_more(6, 30, 7200000, "binlog.000001:3000@6", 10000, &err),
                 LDR_TARGET_REFUSED);
    cr_expect(strstr(err.msg, "binlog.000001:3000@7\" into the pipeline (the one that stands there "
                              "is not for this)"),
              "%s", err.msg);
    cr_expect_lt(strlen(err.msg), 512, "it must fit into a reason");
    /* The fence of the acceptance is there, and nobody else was told: it holds on. */
    cr_expect_eq(judge(8, 30, 0, "binlog.000001:3000@7"), LDR_TARGET_ACCEPTED);
}

Test(load_known, an_empty_checkpoint_has_its_own_words_and_is_accepted_once)
{
    struct lutra_error err = {0};
    cr_assert_eq(judge_more(0, 0, 0, "", 86400000, &err), LDR_TARGET_REFUSED, "however young");
    cr_expect(strstr(err.msg, "no checkpoint"), "%s", err.msg);
    cr_expect(strstr(err.msg, "accept_target: empty:7\""), "%s", err.msg);
    cr_expect_eq(judge(0, 0, 0, "empty:7"), LDR_TARGET_ACCEPTED);
    cr_expect_eq(judge(0, 0, 0, "empty:6"), LDR_TARGET_REFUSED);
}

Test(load_known, what_a_failover_loses_goes_on_by_itself_within_the_bound)
{
    struct lutra_error err = {0};
    cr_expect_eq(judge(7, 49, 61000, ""), LDR_TARGET_LOST, "one second");
    cr_expect_eq(judge(6, 49, 69000, ""), LDR_TARGET_LOST);
    cr_expect_eq(judge(7, 49, 71000, ""), LDR_TARGET_REFUSED, "eleven");
    cr_expect_eq(judge_more(7, 49, 61000, "", 0, &err), LDR_TARGET_REFUSED, "nothing may be lost");
}

Test(load_known, where_nothing_is_known_everything_fits)
{
    struct ldr_known known = {0};
    struct lutra_error err = {0};
    struct lutra_ring ring = shows(0, 0, 0);
    struct ldr_expect *expect = ldr_expect_new(&known, "p", LUTRA_FLAVOR_MARIADB, "", 10000);
    cr_expect_eq(ldr_target_judge(expect, &ring, &err), LDR_TARGET_FITS);
    /* Nor is anything lost with a checkpoint that never had a position. */
    ldr_known_note(&expect->known, 3, 0, "", 1);
    cr_expect_eq(ldr_target_judge(expect, &ring, &err), LDR_TARGET_FITS);
    ldr_expect_free(expect);
    lutra_ring_fini(&ring);
}
