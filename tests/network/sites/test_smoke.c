/* The shortest of the network suites, run with every change: namespaces, a line and a cut work, and
 * so does Lutra on them. Others run beside it, so that times are not judged closely here. */
#include <criterion/criterion.h>

#include "cell.h"

Test(network_smoke, one_cut_and_one_long_line, .timeout = 180)
{
    struct sites s;
    struct traffic t;
    sites_start(&s, &(struct sites_options){.seed = cell_seed()});
    traffic_tables(&s);
    cluster_go(&s.c);
    traffic_start(&t, &s);
    cell_run(&t, &(struct cell){.name = "RTT 200 ms +- 50 ms, 4 s",
                                .ab = "delay=100ms jitter=25ms",
                                .ba = "delay=100ms jitter=25ms",
                                .which = -1,
                                .lasts_ms = 4000,
                                .keeps_epoch = true});
    cell_run(&t, &(struct cell){.name = "extract deaf to kafka-a, 5 s",
                                .from = PARTY_KAFKA_A,
                                .to = PARTY_EXTRACT,
                                .which = -1,
                                .lasts_ms = 5000,
                                .heals_ms = 15000});
    sites_end(&s);
}
