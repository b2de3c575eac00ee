#include "coord/zk_link.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum { MAGIC = 0x7a5c1401, PAUSE_MS = 50, BUDGET = 64 };

static void on_client_log(const char *message)
{
    LUTRA_DEBUG("coord.client", LUTRA_F_STR("message", message));
}

static void let_go(struct zk_link *link)
{
    lutra_io_free(link->io);
    link->io = NULL;
    lutra_timer_stop(link->timer);
}

static void tell(struct zk_link *link)
{
    int zoo = zoo_state(link->zh);
    enum zk_link_state state = ZK_LINK_DOWN;

    if (zoo == ZOO_CONNECTED_STATE) {
        state = ZK_LINK_UP;
    } else if (zoo == ZOO_EXPIRED_SESSION_STATE || zoo == ZOO_AUTH_FAILED_STATE) {
        state = ZK_LINK_DEAD;
    }
    if (state != link->state) {
        link->state = state;
        link->fn(link, state, link->arg);
    }
}

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    struct zk_link *link = context;

    (void)state;
    (void)path;
    LUTRA_ASSERT(link->magic == MAGIC);
    if (type == ZOO_SESSION_EVENT && link->zh == zh) {
        tell(link);
    }
}

static void on_io(unsigned events, void *arg);

static void arm(struct zk_link *link)
{
    struct timeval tv = {0, 0};
    int fd = -1, interest = 0, rc;
    uint64_t wait_ms;

    let_go(link);
    tell(link); /* a request that found the connection broken told nobody */
    link->inside = true;
    rc = zookeeper_interest(link->zh, &fd, &interest, &tv);
    link->inside = false;
    if (link->state == ZK_LINK_DEAD) {
        return;
    }
    wait_ms = (uint64_t)tv.tv_sec * 1000 + ((uint64_t)tv.tv_usec + 999) / 1000;
    if (rc != ZOK) {
        fd = -1;
        wait_ms = PAUSE_MS;
    }
    if (fd >= 0) {
        link->io = lutra_io_new(link->loop, fd, on_io, link);
        lutra_io_want(link->io, ((interest & ZOOKEEPER_READ) ? LUTRA_IO_READ : 0u) |
                                    ((interest & ZOOKEEPER_WRITE) ? LUTRA_IO_WRITE : 0u));
    }
    lutra_timer_start(link->timer, wait_ms > 0 ? wait_ms : 1);
}

static void on_arm(void *arg)
{
    struct zk_link *link = arg;

    LUTRA_ASSERT(link->magic == MAGIC);
    if (link->state != ZK_LINK_DEAD) {
        arm(link);
    }
}

static void on_io(unsigned events, void *arg)
{
    struct zk_link *link = arg;
    int what = ((events & LUTRA_IO_READ) ? ZOOKEEPER_READ : 0) |
               ((events & LUTRA_IO_WRITE) ? ZOOKEEPER_WRITE : 0);
    int rc;

    LUTRA_ASSERT(link->magic == MAGIC);
    let_go(link);
    link->inside = true;
    rc = zookeeper_process(link->zh, what);
    /* It reads one message a call. */
    for (int i = 1; i < BUDGET && rc == ZOK && zoo_state(link->zh) == ZOO_CONNECTED_STATE; i++) {
        rc = zookeeper_process(link->zh, ZOOKEEPER_READ);
    }
    link->inside = false;
    tell(link);
    if (link->state == ZK_LINK_DEAD) {
        return;
    }
    if (rc == ZOK || rc == ZNOTHING) {
        arm(link);
    } else {
        lutra_timer_start(link->timer, PAUSE_MS);
    }
}

struct zk_link *zk_link_new(struct lutra_loop *loop,
                            const char *servers,
                            int session_timeout_ms,
                            zk_link_fn fn,
                            void *arg,
                            struct lutra_error *err)
{
    struct zk_link *link = LUTRA_NEW(struct zk_link);

    zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
    link->magic = MAGIC;
    link->loop = loop;
    link->fn = fn;
    link->arg = arg;
    errno = 0;
    link->zh = zookeeper_init2(servers, on_session, session_timeout_ms, NULL, link,
                               ZOO_NO_LOG_CLIENTENV, on_client_log);
    if (!link->zh) {
        (void)lutra_error_set(err, LUTRA_RETRY, errno, "no ZooKeeper client for \"%s\": %s",
                              servers, errno ? strerror(errno) : "a name is not resolved");
        lutra_free(link);
        return NULL;
    }
    /* Otherwise it resolves the names at every call, and getaddrinfo blocks. */
    (void)zoo_set_servers_resolution_delay(link->zh, -1);
    link->timer = lutra_timer_new(loop, on_arm, link);
    link->arm = lutra_task_new(loop, on_arm, link);
    lutra_task_schedule(link->arm);
    return link;
}

void zk_link_free(struct zk_link *link)
{
    if (!link) {
        return;
    }
    LUTRA_ASSERT(link->magic == MAGIC && !link->inside);
    let_go(link);
    (void)zookeeper_close(link->zh); /* answers what is under way with ZCLOSING */
    lutra_timer_free(link->timer);
    lutra_task_free(link->arm);
    link->magic = 0;
    lutra_free(link);
}

void zk_link_disturb(struct zk_link *link)
{
    LUTRA_ASSERT(link->magic == MAGIC);
    if (!link->inside && link->io) {
        let_go(link);
        lutra_task_schedule(link->arm);
    }
}

enum zk_link_state zk_link_state_of(const struct zk_link *link)
{
    return link->state;
}

int64_t zk_link_session(const struct zk_link *link)
{
    return zoo_client_id(link->zh)->client_id;
}
