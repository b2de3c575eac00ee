/* A line between two hubs: the program `line`, its devices, addresses and routes, and how a test
 * turns its knobs. */
#ifndef LUTRA_TEST_NETWORK_LINK_H
#define LUTRA_TEST_NETWORK_LINK_H

#include <stdint.h>

#include "support/netns.h"
#include "support/proc.h"

struct link {
    struct lutra_proc *proc;
    char path[108]; /* of the program's socket */
    int fd;
};

struct link_counts {
    uint64_t packets, bytes; /* that were given to the line */
    uint64_t delivered_bytes, lost;
};

/* Hosts of hub a reach those of hub b from now on; networks are the hubs' /24. */
void link_start(struct link *link,
                const struct lutra_netns *a,
                const struct lutra_netns *b,
                uint64_t seed);
/* way: "ab", "ba" or "both"; rules as in way.h: "delay=100ms jitter=25ms". */
void link_rules(struct link *link, const char *way, const char *rules);
/* What went from a to b, and from b to a, so far. */
void link_counts(struct link *link, struct link_counts *ab, struct link_counts *ba);

#endif
