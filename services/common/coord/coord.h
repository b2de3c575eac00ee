/* The coordination port: a tree of small nodes with versions, ephemeral nodes, watches and
 * sessions. Implementations: ZooKeeper (coord_zk.h) and memory (coord_mem.h). All on the loop
 * thread; completions come in a later turn.
 *
 * Services mostly use what is built on it: mirrors (mirror.h), owners (owner.h), the catalog. */
#ifndef LUTRA_COORD_COORD_H
#define LUTRA_COORD_COORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "loop/loop.h"

struct lutra_coord;

/* SUSPENDED: not connected, the session may still live. LOST: the session has expired and its
 * ephemeral nodes are gone; a new session is being made (then CONNECTED with another session id).
 */
enum lutra_coord_state { LUTRA_COORD_SUSPENDED, LUTRA_COORD_CONNECTED, LUTRA_COORD_LOST };

enum lutra_coord_rc {
    LUTRA_COORD_OK,
    LUTRA_COORD_NO_NODE,
    LUTRA_COORD_NODE_EXISTS,
    LUTRA_COORD_BAD_VERSION,
    LUTRA_COORD_NOT_EMPTY,
    LUTRA_COORD_UNKNOWN, /* connection lost or session expired: it may or may not have happened;
                            read to find out */
    LUTRA_COORD_ERROR,   /* anything else: err says */
};

struct lutra_coord_stat {
    int32_t version;
    int64_t czxid, mzxid;
    int64_t pzxid;           /* of the last change of its children */
    int64_t ctime_ms;        /* wall clock of the server when it was made */
    int64_t ephemeral_owner; /* session id, 0: not ephemeral */
};

struct lutra_coord_result {
    enum lutra_coord_rc rc;
    const char *path; /* create: the name made */
    const char *data; /* get: NUL-terminated beyond len */
    size_t len;
    struct lutra_coord_stat stat;
    size_t n_children;
    const char *const *children; /* sorted */
    const struct lutra_error *err;
};
typedef void (*lutra_coord_fn)(const struct lutra_coord_result *result, void *arg);
/* One-shot: look again. Something about the path changed, or the connection is back (or new), or
 * the read that set it failed (UNKNOWN: as soon as there is a connection; ERROR: a second later).
 * So whoever reads again whenever its watch fires needs no time-outs of its own. */
typedef void (*lutra_coord_watch_fn)(const char *path, void *arg);

enum { LUTRA_COORD_EPHEMERAL = 1, LUTRA_COORD_SEQUENTIAL = 2 };

/* Data larger than this is refused (ERROR), in both directions. */
enum { LUTRA_COORD_MAX_DATA = 1 << 20 };

/* Operations. fn may be NULL. A request made while not CONNECTED waits for the connection at most
 * the session time-out, then completes with UNKNOWN. create makes missing parents (persistent,
 * empty). version -1: any. */
void lutra_coord_create(struct lutra_coord *coord,
                        const char *path,
                        const char *data,
                        size_t len,
                        int flags,
                        lutra_coord_fn fn,
                        void *arg);
void lutra_coord_set(struct lutra_coord *coord,
                     const char *path,
                     const char *data,
                     size_t len,
                     int32_t version,
                     lutra_coord_fn fn,
                     void *arg);
void lutra_coord_delete(
    struct lutra_coord *coord, const char *path, int32_t version, lutra_coord_fn fn, void *arg);
/* Deletes a subtree, children first. NO_NODE: it was not there. UNKNOWN: a part of it may be gone.
 */
void lutra_coord_delete_tree(struct lutra_coord *coord,
                             const char *path,
                             lutra_coord_fn fn,
                             void *arg);
/* watch may be NULL. A watch on an absent node fires when it appears; one on children fires when
 * the node vanishes, too. */
void lutra_coord_get(struct lutra_coord *coord,
                     const char *path,
                     lutra_coord_watch_fn watch,
                     lutra_coord_fn fn,
                     void *arg);
void lutra_coord_children(struct lutra_coord *coord,
                          const char *path,
                          lutra_coord_watch_fn watch,
                          lutra_coord_fn fn,
                          void *arg);
/* Forgets every completion and watch whose arg is `arg` (its owner is being freed). */
void lutra_coord_forget(struct lutra_coord *coord, void *arg);

enum lutra_coord_state lutra_coord_state_of(const struct lutra_coord *coord);
int64_t lutra_coord_session_id(const struct lutra_coord *coord); /* 0 before the first connection */
/* Any number of listeners; fn(state) on every change. */
void lutra_coord_listen(struct lutra_coord *coord,
                        void (*fn)(enum lutra_coord_state state, void *arg),
                        void *arg);
void lutra_coord_unlisten(struct lutra_coord *coord, void *arg);
struct lutra_loop *lutra_coord_loop(struct lutra_coord *coord);

/* Ties an object to the coord: lutra_coord_free calls drop(object) before anything else. For what
 * goes on after its owner has let it go, such as the deletion of a node; and to find it again. */
void lutra_coord_attach(struct lutra_coord *coord, void (*drop)(void *object), void *object);
void lutra_coord_detach(struct lutra_coord *coord, void *object);
/* Calls fn for each object attached with this drop; fn may detach that object. */
void lutra_coord_each_attached(struct lutra_coord *coord,
                               void (*drop)(void *object),
                               void (*fn)(void *object, void *arg),
                               void *arg);

/* Closes the session (ephemeral nodes vanish at once); nobody is called back any more. May block on
 * ZooKeeper: 1.5 s when the server hangs, some milliseconds otherwise. At exit only. */
void lutra_coord_free(struct lutra_coord *coord);

#endif
