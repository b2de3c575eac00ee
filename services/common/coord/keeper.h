/* One ephemeral node that this process wants to hold: what registrations and owners share. Private
 * to the module.
 *
 * DESIGN: the node is looked at (read with a watch) and made when it is absent; only what was read
 * in the live session says whether it is ours, never the answer to a request that may be old. A
 * create of unknown result is read back. An answered look ends in one of:
 *
 *      absent ──▶ after delay_ms: create ──▶ look        ours ──▶ HELD
 *      another's ──▶ wait for the watch                  ours, but given up ──▶ delete ──▶ look
 *
 *      HELD ──(connection lost)──▶ DOUBTFUL ──(look: ours)──▶ HELD
 *        └──(session expired, vanished, another's, given up)──▶ NONE ◀── DOUBTFUL
 *
 * A keeper that is freed while it may have a node lives on until that is deleted. */
#ifndef LUTRA_COORD_KEEPER_H
#define LUTRA_COORD_KEEPER_H

#include "base/buf.h"
#include "coord/coord.h"

enum lutra_keeper_state { LUTRA_KEEPER_NONE, LUTRA_KEEPER_HELD, LUTRA_KEEPER_DOUBTFUL };

struct lutra_keeper_ops {
    /* The content of the node about to be made, the first time in a session of ZooKeeper. */
    void (*fill)(struct lutra_buf *out, void *arg);
    /* A node of our live session stands there: is it what was filled in last? Otherwise it is a
     * leftover, and deleted. */
    bool (*ours)(const char *data, size_t len, void *arg);
    /* The node is absent and may be made: in how many ms? */
    uint64_t (*delay_ms)(void *arg);
    /* A node of another session stands there; called at every look. */
    void (*foreign)(const char *data, size_t len, void *arg);
    void (*changed)(enum lutra_keeper_state state, void *arg); /* may be NULL */
};

struct lutra_keeper;
/* Looks for the first time in this call, and calls back later only. */
struct lutra_keeper *lutra_keeper_new(struct lutra_coord *coord,
                                      const char *path,
                                      const struct lutra_keeper_ops *ops,
                                      void *arg);
/* The content it has or will have; a node that is held is rewritten. */
void lutra_keeper_set(struct lutra_keeper *keeper, const char *data, size_t len);
/* Deletes the node and does not make it again for back_off_ms. The state is NONE at once; changed
 * is not called for that. */
void lutra_keeper_give_up(struct lutra_keeper *keeper, uint64_t back_off_ms);
enum lutra_keeper_state lutra_keeper_state_of(const struct lutra_keeper *keeper);
struct lutra_coord *lutra_keeper_coord(const struct lutra_keeper *keeper);
void lutra_keeper_free(struct lutra_keeper *keeper);

#endif
