/* Writers at the source, and a reader at the target that looks all the time while harm is done.
 *
 * Every transaction of a writer moves money between two accounts (their sum never changes), adds
 * alike rows to a table without a key and counts them in another, and says when it was made; now
 * and then one adds or removes BLOCK rows at once, which is several processes. The reader takes one
 * snapshot after the other and checks that each is a state that the source was in, and that none
 * goes back. */
#ifndef LUTRA_TEST_FAULT_TRAFFIC_H
#define LUTRA_TEST_FAULT_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

struct cluster;
struct traffic;

enum { TRAFFIC_BLOCK = 120 };

/* What the reader can see broken. */
enum traffic_check {
    SEEN_DOUBLE,     /* I2: rows without a key and their count differ */
    SEEN_ORDER,      /* I3: a key's version fell */
    SEEN_TORN,       /* I4: the sum, or half a block */
    SEEN_PREFIX,     /* I5: the confirmed prefix fell */
    SEEN_FENCE,      /* I6: a fence fell, or two are there at once */
    SEEN_UNREADABLE, /* the reader's own trouble */
    N_SEEN
};

/* Tables on both sides, with their first rows; before the channel is started. */
void traffic_tables(struct cluster *c);
extern const char *const traffic_table_names[]; /* ended by NULL */
struct traffic *traffic_start(struct cluster *c, uint64_t seed);
void traffic_stop(struct traffic *t);

/* Returns when no transaction is open at the source. */
void traffic_pause(struct traffic *t);
void traffic_resume(struct traffic *t);

/* The newest time of a source transaction that is seen at the target, and when it was first seen;
 * both as lutra_test_now_ms tells. */
uint64_t traffic_newest_ms(struct traffic *t);
uint64_t traffic_moved_ms(struct traffic *t);
/* From now on: when a transaction begun at or after `since_ms` is first seen; 0 until then. */
void traffic_watch(struct traffic *t, uint64_t since_ms);
uint64_t traffic_watched_ms(struct traffic *t);

/* What was found wrong since the last call, by check, "" when nothing; returns whether all is well.
 */
bool traffic_findings(struct traffic *t, char findings[N_SEEN][256]);
/* Transactions written, snapshots read. */
void traffic_counts(struct traffic *t, uint64_t *written, uint64_t *read);

#endif
