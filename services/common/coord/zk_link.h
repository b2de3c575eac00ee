/* One handle of the single-threaded ZooKeeper client in the loop. Private to the module.
 *
 * DESIGN: the library says which fd it wants to read or write and when it wants to be called
 * (zookeeper_interest), and is called (zookeeper_process). Either call, and any request, may close
 * or change the fd: the loop lets go of it before. After a failed connection there is a pause,
 * since the library tries again at once, over and over, when all servers are down. */
#ifndef LUTRA_COORD_ZK_LINK_H
#define LUTRA_COORD_ZK_LINK_H

#include <zookeeper/zookeeper.h>

#include "base/error.h"
#include "loop/loop.h"

/* DEAD: the session has expired; the handle is of no more use. */
enum zk_link_state { ZK_LINK_DOWN, ZK_LINK_UP, ZK_LINK_DEAD };

struct zk_link;
typedef void (*zk_link_fn)(struct zk_link *link, enum zk_link_state state, void *arg);

struct zk_link {
    uint32_t magic;
    zhandle_t *zh;
    struct lutra_loop *loop;
    zk_link_fn fn;
    void *arg;
    enum zk_link_state state;
    bool inside; /* the library is running, and arms afterwards */
    struct lutra_io *io;
    struct lutra_timer *timer;
    struct lutra_task *arm;
};

/* fn is called on every change of state, not from inside this call, and must not free the link.
 * NULL and RETRY when the library makes no handle (a name is not resolved). */
struct zk_link *zk_link_new(struct lutra_loop *loop,
                            const char *servers,
                            int session_timeout_ms,
                            zk_link_fn fn,
                            void *arg,
                            struct lutra_error *err);
/* Closes the session when it is up. Not from inside fn. NULL is legal. */
void zk_link_free(struct zk_link *link);
/* Before every request: lets go of the fd; the loop takes it up again in a later turn. */
void zk_link_disturb(struct zk_link *link);
enum zk_link_state zk_link_state_of(const struct zk_link *link);
int64_t zk_link_session(const struct zk_link *link);

#endif
