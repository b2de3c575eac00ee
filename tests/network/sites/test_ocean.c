/* Two sites, each with its own Kafka, and an ocean between them: long, lossy, gone for a while. And
 * what it costs: how often rows cross it, how many of them a second. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "cell.h"
#include "support/test.h"

static void begin(struct sites *s, struct traffic *t, const char *pipeline)
{
    sites_start(s, &(struct sites_options){.seed = cell_seed(), .pipeline = pipeline});
    traffic_tables(s);
    cluster_go(&s->c);
    traffic_start(t, s);
    traffic_for(t, 1000);
}

static void all_of(const struct cell *cells, size_t n)
{
    struct sites s;
    struct traffic t;
    begin(&s, &t, NULL);
    for (size_t i = 0; i < n; i++) {
        cell_run(&t, &cells[i]);
    }
    sites_end(&s);
}
#define RUN(cells) all_of(cells, sizeof(cells) / sizeof(cells)[0])
#define BOTH(rules) .ab = (rules), .ba = (rules), .which = -1

Test(ocean, delay_and_a_little_loss_cost_no_epoch, .timeout = 400)
{
    static const struct cell cells[] = {
        {.name = "RTT 200 ms +- 50 ms, 20 s",
         BOTH("delay=100ms jitter=25ms"),
         .lasts_ms = 20000,
         .flow_ms = 5000,
         .keeps_epoch = true},
        {.name = "RTT 200 ms +- 50 ms, 1 % loss, 30 s",
         BOTH("delay=100ms jitter=25ms loss=1%"),
         .lasts_ms = 30000,
         .flow_ms = 8000},
        {.name = "RTT 40 ms, 2 % twice, out of order, 15 s",
         BOTH("delay=20ms jitter=15ms duplicate=2% reorder=yes"),
         .lasts_ms = 15000,
         .flow_ms = 5000,
         .keeps_epoch = true},
    };
    RUN(cells);
}

Test(ocean, heavy_loss_is_crawled_through, .timeout = 400)
{
    static const struct cell cells[] = {
        {.name = "RTT 20 ms, 25 % loss, 40 s",
         BOTH("delay=10ms loss=25%"),
         .lasts_ms = 40000,
         .flow_ms = 20000},
        {.name = "RTT 200 ms +- 50 ms, 25 % loss, 60 s",
         BOTH("delay=100ms jitter=25ms loss=25%"),
         .lasts_ms = 60000,
         .flow_ms = 45000},
    };
    RUN(cells);
}

Test(ocean, a_black_hole_ends_and_rows_flow, .timeout = 400)
{
    static const struct cell cells[] = {
        {.name = "black hole, 30 s", BOTH("loss=100%"), .lasts_ms = 30000},
        {.name = "black hole from a to b, 17 s", .ab = "loss=100%", .which = -1, .lasts_ms = 17000},
        {.name = "black hole from b to a, 17 s", .ba = "loss=100%", .which = -1, .lasts_ms = 17000},
        {.name = "black hole, 3 s", BOTH("loss=100%"), .lasts_ms = 3000, .keeps_epoch = true},
    };
    RUN(cells);
}

/* ---- what it costs ---- */

enum { BULK_ROWS_A_TRANSACTION = 200 };

static void write_bulk(struct sites *s, unsigned transactions)
{
    for (unsigned i = 0; i < transactions; i++) {
        /* What zstd cannot make small. */
        lutra_sql_exec(s->c.source,
                       "INSERT INTO bulk (a, b) SELECT seq, CONCAT(SHA2(RAND(), 512), "
                       "SHA2(RAND(), 512)) FROM seq_1_to_%d",
                       BULK_ROWS_A_TRANSACTION);
    }
}

/* Rows a second, from the first at the source to the last at the target. */
static double carry_bulk(struct sites *s, unsigned transactions, uint64_t deadline_ms)
{
    uint64_t began_ms = lutra_test_now_ms();
    write_bulk(s, transactions);
    cluster_sync(&s->c, deadline_ms);
    return transactions * BULK_ROWS_A_TRANSACTION * 1000.0 /
           (double)(lutra_test_now_ms() - began_ms + 1);
}

static void bulk_begin(struct sites *s, const char *pipeline)
{
    sites_start(s, &(struct sites_options){.seed = cell_seed(), .pipeline = pipeline});
    cluster_both(&s->c, "CREATE TABLE bulk (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b "
                        "VARCHAR(300))");
    cluster_go(&s->c);
    cluster_sync(&s->c, 30000);
}

Test(ocean, rows_cross_once, .timeout = 300)
{
    struct sites s;
    struct link_counts ab[2], ba[2];
    bulk_begin(&s, NULL);
    link_rules(&s.link, "both", "delay=10ms");
    link_counts(&s.link, &ab[0], &ba[0]);
    uint64_t topic = sites_topic_bytes(&s, "load");
    (void)carry_bulk(&s, 300, 60000);
    link_counts(&s.link, &ab[1], &ba[1]);
    topic = sites_topic_bytes(&s, "load") - topic;
    double there = (double)(ab[1].bytes - ab[0].bytes) / (double)topic;
    double back = (double)(ba[1].bytes - ba[0].bytes) / (double)topic;
    cell_measured("rows cross once: %.1f MB in the load topic, %.3f of that from a to b, %.3f back",
                  (double)topic / 1e6, there, back);
    cr_assert_gt(topic, 1000000, "the load topic has %llu bytes", (unsigned long long)topic);
    cr_assert_gt(there, 0.9, "rows do not come over the line: what was measured?");
    cr_assert_lt(there, 1.3, "rows cross the ocean more than once");
    cr_assert_lt(back, 0.3, "rows come back");
    cluster_equal(&s.c, "bulk");
    sites_end(&s);
}

Test(ocean, rows_a_second_at_rtt_200_ms, .timeout = 300)
{
    struct sites s;
    bulk_begin(&s, "    batch: {max_rows: 5000, max_bytes: 1MiB}\n");
    double near = carry_bulk(&s, 300, 60000);
    link_rules(&s.link, "both", "delay=100ms");
    double far = carry_bulk(&s, 300, 120000);
    link_rules(&s.link, "both", "delay=100ms jitter=25ms loss=1%");
    double lossy = carry_bulk(&s, 100, 200000);
    cell_measured("rows of 260 bytes a second: %.0f at RTT 0, %.0f at 200 ms, %.0f at 200 ms +- 50 "
                  "ms with 1 %% loss",
                  near, far, lossy);
    cluster_equal(&s.c, "bulk");
    sites_end(&s);
}
