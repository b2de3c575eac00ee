/* The line's rules, without a network: what they let through, and when. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "way.h"

static size_t take_number(struct way *way, uint64_t now_us, unsigned *number)
{
    return way_take(way, now_us, number, sizeof *number);
}

static void put_numbers(struct way *way, unsigned n, uint64_t step_us)
{
    for (unsigned i = 0; i < n; i++) {
        way_put(way, i * step_us, &i, sizeof i);
    }
}

Test(way, a_wire_passes_everything_at_once_and_in_order)
{
    struct way way;
    unsigned number;
    way_init(&way, 1);
    put_numbers(&way, 1000, 0);
    for (unsigned i = 0; i < 1000; i++) {
        cr_assert_eq(take_number(&way, 0, &number), sizeof number);
        cr_assert_eq(number, i);
    }
    cr_assert_eq(take_number(&way, 0, &number), 0);
    cr_assert_eq(way_next_us(&way), UINT64_MAX);
    cr_assert_eq(way.counts.delivered_bytes, 1000 * sizeof number);
    way_fini(&way);
}

Test(way, delay_and_jitter_keep_to_their_bounds_and_the_order)
{
    struct way way;
    unsigned number;
    uint64_t least = UINT64_MAX, most = 0, last = 0;
    way_init(&way, 7);
    way.rules = (struct way_rules){.delay_us = 100000, .jitter_us = 25000};
    put_numbers(&way, 2000, 100000); /* far apart: none waits for the one before it */
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t due = way_next_us(&way);
        cr_assert_eq(take_number(&way, due - 1, &number), 0, "early");
        cr_assert_eq(take_number(&way, due, &number), sizeof number);
        cr_assert_eq(number, i, "overtaken");
        cr_assert_geq(due, last);
        last = due;
        uint64_t delay = due - (uint64_t)i * 100000;
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    cr_assert_geq(least, 75000);
    cr_assert_leq(most, 125000);
    cr_assert_lt(least, 76000, "the jitter is not used: %lu", (unsigned long)least);
    cr_assert_gt(most, 124000);
    way_fini(&way);
}

Test(way, packets_overtake_each_other_only_when_asked)
{
    for (int reorder = 0; reorder < 2; reorder++) {
        struct way way;
        unsigned number, last = 0, overtaken = 0;
        way_init(&way, 3);
        way.rules =
            (struct way_rules){.delay_us = 100000, .jitter_us = 50000, .reorder = reorder == 1};
        put_numbers(&way, 1000, 1000);
        while (take_number(&way, UINT64_MAX - 1, &number) > 0) {
            overtaken += number < last;
            last = number;
        }
        cr_assert(reorder ? overtaken > 100 : overtaken == 0, "%u overtaken", overtaken);
        way_fini(&way);
    }
}

Test(way, loss_and_duplication_have_the_share_asked_for_and_are_counted)
{
    struct way way;
    unsigned number;
    uint64_t taken = 0;
    way_init(&way, 11);
    way.rules = (struct way_rules){.loss = 0.25, .duplicate = 0.1};
    put_numbers(&way, 100000, 0);
    while (take_number(&way, 0, &number) > 0) {
        taken++;
    }
    cr_assert(way.counts.lost > 24000 && way.counts.lost < 26000, "%lu lost",
              (unsigned long)way.counts.lost);
    cr_assert(way.counts.duplicated > 7000 && way.counts.duplicated < 8000, "%lu twice",
              (unsigned long)way.counts.duplicated);
    cr_assert_eq(taken, 100000 - way.counts.lost + way.counts.duplicated);
    way.rules.loss = 1;
    put_numbers(&way, 1000, 0);
    cr_assert_eq(way_next_us(&way), UINT64_MAX, "a black hole lets something through");
    way_fini(&way);
}

Test(way, a_rate_spaces_packets_out)
{
    struct way way;
    char packet[1250]; /* 10 kbit: 1 ms at 10 Mbit/s */
    way_init(&way, 5);
    memset(packet, 0, sizeof packet);
    way.rules = (struct way_rules){.rate_bps = 10000000, .delay_us = 500};
    for (int i = 0; i < 100; i++) {
        way_put(&way, 0, packet, sizeof packet);
    }
    for (uint64_t i = 0; i < 100; i++) {
        cr_assert_eq(way_next_us(&way), (i + 1) * 1000 + 500);
        cr_assert_eq(way_take(&way, (i + 1) * 1000 + 500, packet, sizeof packet), sizeof packet);
    }
    way_fini(&way);
}

Test(way, a_full_queue_drops_and_counts)
{
    static char packet[65536];
    struct way way;
    way_init(&way, 5);
    way.rules.delay_us = 1000000;
    for (size_t i = 0; i < WAY_QUEUE_BYTES / sizeof packet + 10; i++) {
        way_put(&way, 0, packet, sizeof packet);
    }
    cr_assert_eq(way.counts.overflowed, 10);
    cr_assert_leq(way.queued_bytes, WAY_QUEUE_BYTES);
    way_fini(&way);
}

Test(way, the_same_seed_makes_the_same_choices)
{
    struct way a, b;
    way_init(&a, 42);
    way_init(&b, 42);
    a.rules = b.rules =
        (struct way_rules){.loss = 0.3, .duplicate = 0.3, .delay_us = 50, .jitter_us = 50};
    put_numbers(&a, 1000, 10);
    put_numbers(&b, 1000, 10);
    unsigned x = 0, y = 0;
    while (way_next_us(&a) != UINT64_MAX) {
        cr_assert_eq(way_next_us(&a), way_next_us(&b));
        take_number(&a, UINT64_MAX - 1, &x);
        take_number(&b, UINT64_MAX - 1, &y);
        cr_assert_eq(x, y);
    }
    cr_assert_eq(way_next_us(&b), UINT64_MAX);
    way_fini(&a);
    way_fini(&b);
}

static bool parse(struct way_rules *rules, const char *text, const char **bad)
{
    static char words[200];
    (void)snprintf(words, sizeof words, "%s", text);
    return way_rules_parse(rules, words, bad);
}

Test(way, rules_are_read_from_words_whole_or_not_at_all)
{
    struct way_rules rules = {.loss = 0.5};
    const char *bad = NULL;
    cr_assert(parse(&rules, "delay=100ms jitter=25ms rate=10mbit reorder=yes\n", &bad));
    cr_assert_eq(rules.delay_us, 100000);
    cr_assert_eq(rules.jitter_us, 25000);
    cr_assert_eq(rules.rate_bps, 10000000);
    cr_assert(rules.reorder);
    cr_assert_float_eq(rules.loss, 0.5, 1e-9, "what is not named stays");
    cr_assert(parse(&rules, "loss=1% duplicate=0.25 delay=0", &bad));
    cr_assert_float_eq(rules.loss, 0.01, 1e-9);
    cr_assert_float_eq(rules.duplicate, 0.25, 1e-9);
    cr_assert_eq(rules.delay_us, 0);
    static const char *const wrong[] = {"delay=5",  "delay=-5ms", "delay=", "loss=101%",
                                        "loss=nan", "speed=3",    "delay",  "reorder=perhaps"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "jitter=1ms %s", wrong[i]);
        cr_assert_not(parse(&rules, text, &bad), "%s was understood", wrong[i]);
        cr_assert_str_eq(bad, wrong[i]);
        cr_assert_eq(rules.jitter_us, 25000, "half of the words were taken");
    }
    cr_assert(parse(&rules, "clear", &bad));
    cr_assert_eq(rules.loss, 0);
    cr_assert_eq(rules.rate_bps, 0);
}
