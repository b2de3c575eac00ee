/* What the programs of this folder run: selections of cells, zombie rounds, take-overs. All take
 * their choices from the environment: LUTRA_TEST_SEED, LUTRA_TEST_ROUNDS, LUTRA_TEST_MINUTES,
 * LUTRA_TEST_ONLY (a regular expression of "point/fault"). */
#ifndef LUTRA_TEST_FAULT_SUITE_H
#define LUTRA_TEST_FAULT_SUITE_H

#include <stddef.h>

/* Every cell of the table, or those named ("point/fault", ended by NULL), in an order drawn from
 * the seed, as many times as there are rounds or as there is time. Fails the test when one fell
 * short. */
void suite_cells(const char *const *named);
/* load is frozen at each of its steps for three sessions while a standby takes over. */
void suite_zombies(unsigned rounds_each);
/* SIGKILL, then SIGTERM, to the owners of load and select in turn. */
void suite_take_overs(unsigned n);

#endif
