/* ZooKeeper behind the port.
 *
 * DESIGN: a link is one handle of the single-threaded client with its place in the loop
 * (zk_link.c). The main link's session is the port's. The library never sees a chroot: paths are
 * prefixed here, so that missing parents, the chroot among them, are made in one way.
 *
 *   SUSPENDED: the library says that the connection is gone. It tries all servers by itself.
 *   LOST:      a server says that the session has expired; a new handle is made.
 *
 * A client whose last seen transaction is ahead of the servers' (ZooKeeper was wiped or restored
 * from an older snapshot) is refused by every server without a word that its session is over. So,
 * when the main link has been away for twice the session time-out, a second link asks for a session
 * of its own. When it has one for a whole session time-out while the main link still is not
 * connected, the main session cannot live any more: LOST, and the second link becomes the main one.
 */
#include "coord/coord_zk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#include "base/log.h"
#include "base/mem.h"
#include "coord/coord_ops.h"
#include "coord/zk_link.h"

enum {
    RELINK_MIN_MS = 100,
    RELINK_MAX_MS = 5000,
    MAX_TIMEOUT_MS = 600000,
    DOUBT_MARGIN_MS = 500,
};

struct zk_coord {
    struct lutra_coord coord;
    char *servers, *chroot;           /* chroot: "" or "/a/b" */
    int wanted_timeout_ms;            /* the server may grant another */
    struct zk_link *main, *second;    /* main may be NULL while there is no handle */
    struct lutra_timer *relink_timer; /* no handle could be made */
    struct lutra_timer *doubt_timer;  /* away for long: see DESIGN */
    struct lutra_backoff backoff;
};

/* A request on its way, with what is needed beside it. */
struct zk_call {
    struct zk_coord *zk;
    struct lutra_coord_req *req;
    char *path; /* with the chroot */
};

/* --- answers --- */

static enum lutra_coord_rc rc_of(int rc)
{
    switch (rc) {
    case ZOK:
        return LUTRA_COORD_OK;
    case ZNONODE:
        return LUTRA_COORD_NO_NODE;
    case ZNODEEXISTS:
        return LUTRA_COORD_NODE_EXISTS;
    case ZBADVERSION:
        return LUTRA_COORD_BAD_VERSION;
    case ZNOTEMPTY:
        return LUTRA_COORD_NOT_EMPTY;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSESSIONEXPIRED:
    case ZSESSIONMOVED:
    case ZINVALIDSTATE:
    case ZCLOSING:
    case ZAUTHFAILED:
    case ZRUNTIMEINCONSISTENCY:
    case ZSYSTEMERROR:
        return LUTRA_COORD_UNKNOWN;
    default:
        return LUTRA_COORD_ERROR;
    }
}

static struct lutra_coord_stat stat_of(const struct Stat *stat)
{
    struct lutra_coord_stat out = {0};

    if (stat) {
        out.version = stat->version;
        out.czxid = stat->czxid;
        out.mzxid = stat->mzxid;
        out.pzxid = stat->pzxid;
        out.ctime_ms = stat->ctime;
        out.ephemeral_owner = stat->ephemeralOwner;
    }
    return out;
}

/* The request of a call, which ends here. */
static struct lutra_coord_req *call_end(const void *data)
{
    struct zk_call *call = (struct zk_call *)(uintptr_t)data;
    struct lutra_coord_req *req = call->req;

    lutra_free(call->path);
    lutra_free(call);
    return req;
}

static void answer(struct lutra_coord_req *req, int rc, struct lutra_coord_result *result)
{
    result->rc = rc_of(rc);
    if (result->rc == LUTRA_COORD_OK) {
        lutra_coord_answer(req, result);
    } else {
        lutra_coord_answer_rc(req, result->rc, zerror(rc));
    }
}

static const char *without_chroot(const struct zk_coord *zk, const char *path)
{
    size_t len = strlen(zk->chroot);

    if (strncmp(path, zk->chroot, len) != 0) {
        return path;
    }
    return path[len] ? path + len : "/";
}

static void on_created(int rc, const char *path, const struct Stat *stat, const void *data)
{
    struct zk_coord *zk = ((const struct zk_call *)data)->zk;
    struct lutra_coord_req *req = call_end(data);
    struct lutra_coord_result result = {
        .path = path ? without_chroot(zk, path) : req->path,
        .data = "",
        .stat = stat_of(stat),
    };

    answer(req, rc, &result);
}

static void on_set(int rc, const struct Stat *stat, const void *data)
{
    struct lutra_coord_req *req = call_end(data);
    struct lutra_coord_result result = {.path = req->path, .data = "", .stat = stat_of(stat)};

    answer(req, rc, &result);
}

static void on_deleted(int rc, const void *data)
{
    struct lutra_coord_req *req = call_end(data);
    struct lutra_coord_result result = {.path = req->path, .data = ""};

    answer(req, rc, &result);
}

static void on_watch(zhandle_t *zh, int type, int state, const char *path, void *context);

/* A watch on an absent node, set after the read said so. */
static void on_exists(int rc, const struct Stat *stat, const void *data)
{
    struct zk_coord *zk = ((const struct zk_call *)data)->zk;
    struct lutra_coord_req *req = call_end(data);
    LUTRA_AUTO_FREE char *path = lutra_strdup(req->path);

    (void)stat;
    if (rc != ZOK && rc != ZNONODE) {
        lutra_coord_answer_rc(req, rc_of(rc), zerror(rc));
        return;
    }
    lutra_coord_answer_rc(req, LUTRA_COORD_NO_NODE, NULL);
    if (rc == ZOK) { /* it has appeared in between */
        lutra_coord_fire(&zk->coord, path, LUTRA_COORD_ON_DATA | LUTRA_COORD_ON_CHILDREN);
    }
}

/* A read found no node: true when a watch on its appearing is being set, which answers it. */
static bool watch_absent(int *rc, const void *data)
{
    const struct zk_call *call = data;
    struct zk_link *link = call->zk->main;

    if (*rc != ZNONODE || !call->req->watch || call->zk->coord.closing) {
        return false;
    }
    zk_link_disturb(link);
    if (zoo_awexists(link->zh, call->path, on_watch, call->zk, on_exists, data) == ZOK) {
        return true;
    }
    *rc = ZINVALIDSTATE; /* without a watch it must not look as if there were one */
    return false;
}

static void
on_got(int rc, const char *value, int value_len, const struct Stat *stat, const void *data)
{
    struct lutra_coord_result result = {.data = "", .stat = stat_of(stat)};
    LUTRA_AUTO_FREE char *copy = NULL; /* NUL-terminated */
    struct lutra_coord_req *req;

    if (watch_absent(&rc, data)) {
        return;
    }
    req = call_end(data);
    result.path = req->path;
    if (rc == ZOK && value && value_len > 0) {
        result.len = (size_t)value_len;
        if (result.len <= LUTRA_COORD_MAX_DATA) {
            copy = lutra_strndup(value, result.len);
            memcpy(copy, value, result.len);
            result.data = copy;
        }
    }
    answer(req, rc, &result);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
on_children(int rc, const struct String_vector *names, const struct Stat *stat, const void *data)
{
    struct lutra_coord_result result = {.data = "", .stat = stat_of(stat)};
    LUTRA_AUTO_FREE const char **sorted = NULL;
    struct lutra_coord_req *req;

    if (watch_absent(&rc, data)) {
        return;
    }
    req = call_end(data);
    result.path = req->path;
    if (rc == ZOK && names && names->count > 0) {
        size_t n = (size_t)names->count;

        sorted = lutra_alloc(n * sizeof(*sorted));
        for (size_t i = 0; i < n; i++) {
            sorted[i] = names->data[i];
        }
        qsort(sorted, n, sizeof(*sorted), by_name);
        result.children = sorted;
        result.n_children = n;
    }
    answer(req, rc, &result);
}

static void on_watch(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    struct zk_coord *zk = context;
    unsigned kinds = LUTRA_COORD_ON_DATA | LUTRA_COORD_ON_CHILDREN;

    (void)zh;
    (void)state;
    /* The states of the session reach every watch, too; we have the link for them. */
    if (type == ZOO_SESSION_EVENT || !path) {
        return;
    }
    if (type == ZOO_CHANGED_EVENT) {
        kinds = LUTRA_COORD_ON_DATA;
    } else if (type == ZOO_CHILD_EVENT) {
        kinds = LUTRA_COORD_ON_CHILDREN;
    }
    lutra_coord_fire(&zk->coord, without_chroot(zk, path), kinds);
}

/* --- requests --- */

static int create_mode(int flags)
{
    if (flags & LUTRA_COORD_EPHEMERAL) {
        return (flags & LUTRA_COORD_SEQUENTIAL) ? ZOO_EPHEMERAL_SEQUENTIAL : ZOO_EPHEMERAL;
    }
    return (flags & LUTRA_COORD_SEQUENTIAL) ? ZOO_PERSISTENT_SEQUENTIAL : ZOO_PERSISTENT;
}

static int send_call(zhandle_t *zh, struct zk_call *call)
{
    const struct lutra_coord_req *req = call->req;

    switch (req->op) {
    case LUTRA_COORD_CREATE:
        return zoo_acreate2(zh, call->path, req->data, (int)req->len, &ZOO_OPEN_ACL_UNSAFE,
                            create_mode(req->flags), on_created, call);
    case LUTRA_COORD_SET:
        return zoo_aset(zh, call->path, req->data, (int)req->len, req->version, on_set, call);
    case LUTRA_COORD_DELETE:
        return zoo_adelete(zh, call->path, req->version, on_deleted, call);
    case LUTRA_COORD_GET:
        return zoo_awget(zh, call->path, req->watch ? on_watch : NULL, call->zk, on_got, call);
    case LUTRA_COORD_CHILDREN:
        return zoo_awget_children2(zh, call->path, req->watch ? on_watch : NULL, call->zk,
                                   on_children, call);
    case LUTRA_COORD_DELETE_TREE:
        break;
    }
    LUTRA_ASSERT(false && "reachable");
}

static void zk_submit(struct lutra_coord *coord, struct lutra_coord_req *req)
{
    struct zk_coord *zk = (struct zk_coord *)coord;
    struct zk_call *call = LUTRA_NEW(struct zk_call);
    int rc;

    call->zk = zk;
    call->req = req;
    call->path = strcmp(req->path, "/") == 0 && zk->chroot[0]
                     ? lutra_strdup(zk->chroot)
                     : lutra_asprintf("%s%s", zk->chroot, req->path);
    /* A request may find the connection broken and close its fd: not behind the loop's back. */
    zk_link_disturb(zk->main);
    rc = send_call(zk->main->zh, call);
    if (rc != ZOK) {
        (void)call_end(call);
        lutra_coord_refuse_later(req, zerror(rc));
    }
}

/* --- the session --- */

static void on_chroot_made(int rc, const char *path, const void *data)
{
    const struct zk_coord *zk = data;

    (void)path;
    if (rc_of(rc) == LUTRA_COORD_ERROR) {
        LUTRA_ERROR("coord.chroot_refused", LUTRA_F_STR("chroot", zk->chroot),
                    LUTRA_F_STR("error", zerror(rc)));
    }
}

/* Ahead of all requests, which travel in order. */
static void make_chroot(struct zk_coord *zk)
{
    LUTRA_AUTO_FREE char *path = lutra_strdup(zk->chroot);

    zk_link_disturb(zk->main);
    for (size_t i = 1; i <= strlen(zk->chroot); i++) {
        if (zk->chroot[i] == '/' || zk->chroot[i] == '\0') {
            path[i] = '\0';
            (void)zoo_acreate(zk->main->zh, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, on_chroot_made,
                              zk);
            path[i] = zk->chroot[i];
        }
    }
}

static void main_is_up(struct zk_coord *zk)
{
    int timeout_ms = zoo_recv_timeout(zk->main->zh);

    lutra_timer_stop(zk->doubt_timer);
    zk_link_free(zk->second);
    zk->second = NULL;
    lutra_backoff_reset(&zk->backoff);
    if (timeout_ms > 0) {
        zk->coord.session_timeout_ms = (uint64_t)timeout_ms;
    }
    if (zk->chroot[0]) {
        make_chroot(zk);
    }
    lutra_coord_set_state(&zk->coord, LUTRA_COORD_CONNECTED, zk_link_session(zk->main));
}

static void main_is_lost(struct zk_coord *zk)
{
    lutra_timer_stop(zk->doubt_timer);
    if (zk->coord.session_id != 0) {
        lutra_coord_set_state(&zk->coord, LUTRA_COORD_LOST, zk->coord.session_id);
    }
}

static void on_link(struct zk_link *link, enum zk_link_state state, void *arg)
{
    struct zk_coord *zk = arg;

    if (zk->coord.closing) {
        return;
    }
    if (link == zk->second) {
        if (state == ZK_LINK_UP) {
            lutra_timer_start(zk->doubt_timer, zk->coord.session_timeout_ms + DOUBT_MARGIN_MS);
        } else {
            lutra_timer_stop(zk->doubt_timer);
        }
        if (state == ZK_LINK_DEAD) {
            lutra_timer_start(zk->relink_timer, 0);
        }
        return;
    }
    switch (state) {
    case ZK_LINK_UP:
        main_is_up(zk);
        break;
    case ZK_LINK_DOWN:
        if (zk->coord.state == LUTRA_COORD_CONNECTED) {
            lutra_timer_start(zk->doubt_timer, zk->coord.session_timeout_ms * 2);
            lutra_coord_set_state(&zk->coord, LUTRA_COORD_SUSPENDED, zk->coord.session_id);
        }
        break;
    case ZK_LINK_DEAD:
        main_is_lost(zk);
        lutra_timer_start(zk->relink_timer, 0); /* not from inside the handle's own callback */
        break;
    }
}

static struct zk_link *new_link(struct zk_coord *zk)
{
    struct lutra_error err;
    struct zk_link *link =
        zk_link_new(zk->coord.loop, zk->servers, zk->wanted_timeout_ms, on_link, zk, &err);

    if (!link) {
        LUTRA_WARN("coord.no_handle", LUTRA_F_STR("servers", zk->servers), LUTRA_F_ERR(&err));
        lutra_timer_start(zk->relink_timer, lutra_backoff_next_ms(&zk->backoff, zk->coord.loop));
    }
    return link;
}

/* Replaces links that are dead. */
static void on_relink(void *arg)
{
    struct zk_coord *zk = arg;

    if (zk->second && zk_link_state_of(zk->second) == ZK_LINK_DEAD) {
        zk_link_free(zk->second);
        zk->second = NULL;
        lutra_timer_start(zk->doubt_timer, zk->coord.session_timeout_ms);
    }
    if (!zk->main || zk_link_state_of(zk->main) == ZK_LINK_DEAD) {
        zk_link_free(zk->main);
        zk->main = new_link(zk);
    }
}

static void on_doubt(void *arg)
{
    struct zk_coord *zk = arg;
    struct zk_link *former = zk->main;

    if (!zk->second) {
        LUTRA_WARN("coord.session_in_doubt",
                   LUTRA_F_U64("away_ms", zk->coord.session_timeout_ms * 2));
        zk->second = new_link(zk);
        if (!zk->second) {
            lutra_timer_start(zk->doubt_timer, RELINK_MAX_MS);
        }
        return;
    }
    if (zk_link_state_of(zk->second) != ZK_LINK_UP) {
        return;
    }
    main_is_lost(zk);
    zk->main = zk->second;
    zk->second = NULL;
    zk_link_free(former);
    main_is_up(zk);
}

static void zk_free(struct lutra_coord *coord)
{
    struct zk_coord *zk = (struct zk_coord *)coord;

    zk_link_free(zk->second);
    zk_link_free(zk->main);
    lutra_timer_free(zk->relink_timer);
    lutra_timer_free(zk->doubt_timer);
    lutra_coord_fini(coord);
    lutra_free(zk->servers);
    lutra_free(zk->chroot);
    lutra_free(zk);
}

static const struct lutra_coord_ops zk_ops = {.submit = zk_submit, .free = zk_free};

/* --- the connect string --- */

static bool server_valid(const char *server, size_t len)
{
    const char *colon = memrchr(server, ':', len);
    size_t digits = colon ? len - (size_t)(colon - server) - 1 : 0;

    return colon && colon > server && digits >= 1 && digits <= 5 &&
           strspn(colon + 1, "0123456789") >= digits && strtoul(colon + 1, NULL, 10) - 1 < 65535;
}

static int parse(struct zk_coord *zk, const char *connect, struct lutra_error *err)
{
    const char *slash = strchr(connect, '/');
    size_t len = slash ? (size_t)(slash - connect) : strlen(connect);

    zk->servers = lutra_strndup(connect, len);
    zk->chroot = lutra_strdup(slash && slash[1] ? slash : "");
    for (const char *server = zk->servers;;) {
        size_t n = strcspn(server, ",");

        if (!server_valid(server, n)) {
            return lutra_error_set(err, LUTRA_CONFIG, 0,
                                   "ZooKeeper address \"%s\": \"%.*s\" is not host:port", connect,
                                   (int)n, server);
        }
        if (server[n] == '\0') {
            break;
        }
        server += n + 1;
    }
    len = strlen(zk->chroot);
    if (len > 0 && (zk->chroot[len - 1] == '/' || strstr(zk->chroot, "//"))) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "ZooKeeper address \"%s\": the path \"%s\" has an empty part",
                               connect, zk->chroot);
    }
    return 0;
}

struct lutra_coord *lutra_coord_zk_new(struct lutra_loop *loop,
                                       const char *connect,
                                       uint64_t session_timeout_ms,
                                       struct lutra_error *err)
{
    struct zk_coord *zk = LUTRA_NEW(struct zk_coord);

    if (parse(zk, connect, err) != 0) {
        lutra_free(zk->servers);
        lutra_free(zk->chroot);
        lutra_free(zk);
        return NULL;
    }
    lutra_coord_init(&zk->coord, &zk_ops, loop, session_timeout_ms);
    zk->wanted_timeout_ms =
        session_timeout_ms < MAX_TIMEOUT_MS ? (int)session_timeout_ms : MAX_TIMEOUT_MS;
    zk->backoff = (struct lutra_backoff){.min_ms = RELINK_MIN_MS, .max_ms = RELINK_MAX_MS};
    zk->relink_timer = lutra_timer_new(loop, on_relink, zk);
    zk->doubt_timer = lutra_timer_new(loop, on_doubt, zk);
    zk->main = new_link(zk);
    return &zk->coord;
}
