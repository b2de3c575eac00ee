/* The connections of a server: their number, and how long each has been idle. */
#include <event2/bufferevent.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/server_private.h"

enum { SWEEP_MS = 1000, FRESH_MAX = 64 };

struct conn {
    int fd;
    ino_t inode;
    unsigned busy; /* requests not answered yet */
    uint64_t since_ms;
};

struct lutra_http_conns {
    struct lutra_loop *loop;
    unsigned max;
    uint64_t idle_ms;
    struct conn *conns;
    unsigned n, cap;
    /* Made in this turn: evhttp gives them their descriptor after the callback. */
    struct bufferevent *fresh[FRESH_MAX];
    unsigned n_fresh;
    struct lutra_task *adopt;
    struct lutra_timer *sweep;
};

static bool same_socket(int fd, ino_t inode)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == inode;
}

static void forget_closed(struct lutra_http_conns *conns)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < conns->n; i++) {
        if (same_socket(conns->conns[i].fd, conns->conns[i].inode)) {
            conns->conns[kept++] = conns->conns[i];
        }
    }
    conns->n = kept;
}

static void sweep_cb(void *arg)
{
    struct lutra_http_conns *conns = arg;
    uint64_t now_ms = lutra_loop_now_ms(conns->loop);

    forget_closed(conns);
    for (unsigned i = 0; i < conns->n; i++) {
        const struct conn *conn = &conns->conns[i];

        /* evhttp sees the end of the stream and frees the connection. */
        if (conn->busy == 0 && now_ms - conn->since_ms >= conns->idle_ms) {
            shutdown(conn->fd, SHUT_RDWR);
        }
    }
    if (conns->n > 0) {
        lutra_timer_start(conns->sweep, SWEEP_MS);
    }
}

static void adopt_one(struct lutra_http_conns *conns, int fd)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        return;
    }
    if (conns->n >= conns->max) {
        forget_closed(conns);
    }
    if (conns->n >= conns->max) {
        LUTRA_WARN("http.too_many_connections", LUTRA_F_U64("max", conns->max));
        shutdown(fd, SHUT_RDWR);
        return;
    }
    if (conns->n == conns->cap) {
        conns->cap = conns->cap == 0 ? 16 : conns->cap * 2;
        conns->conns = lutra_realloc(conns->conns, conns->cap * sizeof(*conns->conns));
    }
    conns->conns[conns->n++] = (struct conn){
        .fd = fd,
        .inode = st.st_ino,
        .since_ms = lutra_loop_now_ms(conns->loop),
    };
    if (!lutra_timer_active(conns->sweep)) {
        lutra_timer_start(conns->sweep, SWEEP_MS);
    }
}

static void adopt_cb(void *arg)
{
    struct lutra_http_conns *conns = arg;

    for (unsigned i = 0; i < conns->n_fresh; i++) {
        adopt_one(conns, (int)bufferevent_getfd(conns->fresh[i]));
        bufferevent_decref(conns->fresh[i]);
    }
    conns->n_fresh = 0;
}

struct bufferevent *lutra_http_conns_bufferevent_cb(struct event_base *base, void *arg)
{
    struct lutra_http_conns *conns = arg;
    struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);

    if (bev == NULL) {
        return NULL;
    }
    if (conns->n_fresh == FRESH_MAX) {
        adopt_cb(conns); /* all but the newest have their descriptor by now */
    }
    bufferevent_incref(bev);
    conns->fresh[conns->n_fresh++] = bev;
    lutra_task_schedule(conns->adopt);
    return bev;
}

static struct conn *find(struct lutra_http_conns *conns, int fd)
{
    if (conns->n_fresh > 0) {
        adopt_cb(conns);
    }
    for (unsigned i = conns->n; i-- > 0;) {
        if (conns->conns[i].fd == fd && same_socket(fd, conns->conns[i].inode)) {
            return &conns->conns[i];
        }
    }
    return NULL;
}

void lutra_http_conns_begin(struct lutra_http_conns *conns, int fd)
{
    struct conn *conn = find(conns, fd);

    if (conn != NULL) {
        conn->busy++;
    }
}

void lutra_http_conns_end(struct lutra_http_conns *conns, int fd)
{
    struct conn *conn = find(conns, fd);

    if (conn != NULL && conn->busy > 0) {
        conn->busy--;
        conn->since_ms = lutra_loop_now_ms(conns->loop);
    }
}

unsigned lutra_http_conns_count(struct lutra_http_conns *conns)
{
    forget_closed(conns);
    return conns->n;
}

struct lutra_http_conns *
lutra_http_conns_new(struct lutra_loop *loop, unsigned max_connections, uint64_t idle_ms)
{
    struct lutra_http_conns *conns = LUTRA_NEW(struct lutra_http_conns);

    conns->loop = loop;
    conns->max = max_connections;
    conns->idle_ms = idle_ms;
    conns->adopt = lutra_task_new(loop, adopt_cb, conns);
    conns->sweep = lutra_timer_new(loop, sweep_cb, conns);
    return conns;
}

void lutra_http_conns_free(struct lutra_http_conns *conns)
{
    if (conns == NULL) {
        return;
    }
    for (unsigned i = 0; i < conns->n_fresh; i++) {
        bufferevent_decref(conns->fresh[i]);
    }
    lutra_task_free(conns->adopt);
    lutra_timer_free(conns->sweep);
    lutra_free(conns->conns);
    lutra_free(conns);
}
