/* A ZooKeeper in memory for component tests. */
#ifndef LUTRA_COORD_COORD_MEM_H
#define LUTRA_COORD_COORD_MEM_H

#include "coord/coord.h"

struct lutra_mem_tree; /* the server; shared by the clients of one test and outlives them */
struct lutra_mem_tree *lutra_mem_tree_new(struct lutra_loop *loop);
void lutra_mem_tree_free(struct lutra_mem_tree *tree);

struct lutra_coord *lutra_coord_mem_new(struct lutra_mem_tree *tree, uint64_t session_timeout_ms);

/* Faults. */
void lutra_mem_tree_set_down(struct lutra_mem_tree *tree,
                             bool down); /* all clients SUSPENDED; no session expires */
void lutra_coord_mem_partition(struct lutra_coord *coord,
                               bool cut); /* this client only; its session expires in time */
void lutra_coord_mem_expire(struct lutra_coord *coord); /* now; the client learns it at once */
/* The server expires the session; the client does not learn it, and gets no answers, until
 * lutra_coord_mem_partition(coord, false). */
void lutra_coord_mem_expire_silently(struct lutra_coord *coord);
void lutra_coord_mem_kill(
    struct lutra_coord *coord); /* a crashed process: no callbacks, expires in time */
/* A copy of the persistent nodes, and back to it (restored from an old snapshot). NULL: wiped. All
 * sessions end: the server does not know them. */
struct lutra_mem_tree *lutra_mem_tree_snapshot(struct lutra_mem_tree *tree);
void lutra_mem_tree_restore(struct lutra_mem_tree *tree, const struct lutra_mem_tree *snapshot);
/* Direct look and write, for assertions. Data is borrowed until the next change; NULL: no such
 * node. poke makes the node and its parents as needed; data NULL deletes the subtree. */
const char *lutra_mem_tree_peek(struct lutra_mem_tree *tree, const char *path);
void lutra_mem_tree_poke(struct lutra_mem_tree *tree, const char *path, const char *data);

#endif
