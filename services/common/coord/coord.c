#include "coord/coord.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "coord/coord_ops.h"

enum { MAGIC = 0x7a5c1001, WATCH_RETRY_MS = 1000 };
static const char TOO_LARGE[] = "data larger than 1 MiB";

struct lutra_coord_watch {
    char *path;
    unsigned kind;
    lutra_coord_watch_fn fn;
    void *arg;
    uint64_t due_ms; /* its read failed: fires then. 0: waits for an event */
    struct lutra_coord_watch *prev, *next;
};

struct lutra_coord_listener {
    void (*fn)(enum lutra_coord_state state, void *arg); /* NULL: removed */
    void *arg;
    struct lutra_coord_listener *prev, *next;
};

struct lutra_coord_attached {
    void (*drop)(void *object);
    void *object;
    struct lutra_coord_attached *prev, *next;
};

static void on_queue_timer(void *arg);
static void on_watch_timer(void *arg);

void lutra_coord_init(struct lutra_coord *coord,
                      const struct lutra_coord_ops *ops,
                      struct lutra_loop *loop,
                      uint64_t session_timeout_ms)
{
    coord->magic = MAGIC;
    coord->ops = ops;
    coord->loop = loop;
    coord->session_timeout_ms = session_timeout_ms;
    coord->state = LUTRA_COORD_SUSPENDED;
    coord->queue_timer = lutra_timer_new(loop, on_queue_timer, coord);
    coord->watch_timer = lutra_timer_new(loop, on_watch_timer, coord);
}

static void watch_free(struct lutra_coord_watch *watch)
{
    lutra_free(watch->path);
    lutra_free(watch);
}

static void req_free(struct lutra_coord_req *req)
{
    DL_DELETE(req->coord->reqs, req);
    lutra_coord_tree_free(req);
    lutra_free(req->path);
    lutra_free(req->data);
    lutra_free(req);
}

void lutra_coord_fini(struct lutra_coord *coord)
{
    struct lutra_coord_watch *watch, *next_watch;
    struct lutra_coord_listener *listener, *next_listener;

    while (coord->reqs) {
        req_free(coord->reqs);
    }
    DL_CONCAT(coord->watches, coord->firing);
    DL_FOREACH_SAFE(coord->watches, watch, next_watch)
    {
        watch_free(watch);
    }
    DL_FOREACH_SAFE(coord->listeners, listener, next_listener)
    {
        lutra_free(listener);
    }
    lutra_timer_free(coord->queue_timer);
    lutra_timer_free(coord->watch_timer);
    coord->magic = 0;
}

void lutra_coord_free(struct lutra_coord *coord)
{
    if (!coord) {
        return;
    }
    LUTRA_ASSERT(coord->magic == MAGIC);
    while (coord->attached) {
        struct lutra_coord_attached *first = coord->attached;

        DL_DELETE(coord->attached, first);
        first->drop(first->object);
        lutra_free(first);
    }
    coord->closing = true;
    coord->ops->free(coord);
}

/* --- requests --- */

static struct lutra_coord_req *req_new(struct lutra_coord *coord,
                                       enum lutra_coord_op op,
                                       const char *path,
                                       lutra_coord_fn fn,
                                       void *arg)
{
    struct lutra_coord_req *req = LUTRA_NEW(struct lutra_coord_req);

    LUTRA_ASSERT(coord->magic == MAGIC && path && path[0] == '/');
    req->coord = coord;
    req->op = op;
    req->path = lutra_strdup(path);
    req->version = -1;
    req->fn = fn;
    req->arg = arg;
    DL_APPEND(coord->reqs, req);
    return req;
}

static void req_set_data(struct lutra_coord_req *req, const char *data, size_t len)
{
    req->len = len;
    if (len <= LUTRA_COORD_MAX_DATA) {
        req->data = lutra_alloc(len + 1);
        if (len > 0) {
            memcpy(req->data, data, len);
        }
    }
}

static void queue(struct lutra_coord_req *req, uint64_t wait_ms)
{
    struct lutra_coord *coord = req->coord;

    req->queued = true;
    req->deadline_ms = lutra_loop_now_ms(coord->loop) + wait_ms;
    if (wait_ms == 0 || !lutra_timer_active(coord->queue_timer)) {
        lutra_timer_start(coord->queue_timer, wait_ms);
    }
}

void lutra_coord_refuse_later(struct lutra_coord_req *req, const char *why)
{
    req->refused = why;
    queue(req, 0);
}

void lutra_coord_start(struct lutra_coord_req *req)
{
    struct lutra_coord *coord = req->coord;

    if (req->len > LUTRA_COORD_MAX_DATA) {
        lutra_coord_refuse_later(req, TOO_LARGE);
    } else if (coord->state == LUTRA_COORD_CONNECTED) {
        coord->ops->submit(coord, req);
    } else {
        queue(req, coord->session_timeout_ms);
    }
}

static struct lutra_coord_req *first_queued(struct lutra_coord *coord, uint64_t until_ms)
{
    struct lutra_coord_req *req;

    DL_FOREACH(coord->reqs, req)
    {
        if (req->queued && req->deadline_ms <= until_ms) {
            return req;
        }
    }
    return NULL;
}

static void on_queue_timer(void *arg)
{
    struct lutra_coord *coord = arg;
    uint64_t now_ms = lutra_loop_now_ms(coord->loop), next_ms = UINT64_MAX;
    struct lutra_coord_req *req;

    while ((req = first_queued(coord, now_ms))) {
        req->queued = false;
        if (req->refused) {
            lutra_coord_answer_rc(req, LUTRA_COORD_ERROR, req->refused);
        } else {
            lutra_coord_answer_rc(req, LUTRA_COORD_UNKNOWN, NULL);
        }
    }
    DL_FOREACH(coord->reqs, req)
    {
        if (req->queued && req->deadline_ms < next_ms) {
            next_ms = req->deadline_ms;
        }
    }
    if (next_ms != UINT64_MAX) {
        lutra_timer_start(coord->queue_timer, next_ms > now_ms ? next_ms - now_ms : 0);
    }
}

static void send_queued(struct lutra_coord *coord)
{
    struct lutra_coord_req *req;

    DL_FOREACH(coord->reqs, req)
    {
        if (req->queued && !req->refused) {
            req->queued = false;
            coord->ops->submit(coord, req);
        }
    }
}

void lutra_coord_create(struct lutra_coord *coord,
                        const char *path,
                        const char *data,
                        size_t len,
                        int flags,
                        lutra_coord_fn fn,
                        void *arg)
{
    struct lutra_coord_req *req = req_new(coord, LUTRA_COORD_CREATE, path, fn, arg);

    req_set_data(req, data, len);
    req->flags = flags;
    lutra_coord_start(req);
}

void lutra_coord_set(struct lutra_coord *coord,
                     const char *path,
                     const char *data,
                     size_t len,
                     int32_t version,
                     lutra_coord_fn fn,
                     void *arg)
{
    struct lutra_coord_req *req = req_new(coord, LUTRA_COORD_SET, path, fn, arg);

    req_set_data(req, data, len);
    req->version = version;
    lutra_coord_start(req);
}

void lutra_coord_delete(
    struct lutra_coord *coord, const char *path, int32_t version, lutra_coord_fn fn, void *arg)
{
    struct lutra_coord_req *req = req_new(coord, LUTRA_COORD_DELETE, path, fn, arg);

    req->version = version;
    lutra_coord_start(req);
}

void lutra_coord_get(struct lutra_coord *coord,
                     const char *path,
                     lutra_coord_watch_fn watch,
                     lutra_coord_fn fn,
                     void *arg)
{
    struct lutra_coord_req *req = req_new(coord, LUTRA_COORD_GET, path, fn, arg);

    req->watch = watch;
    lutra_coord_start(req);
}

void lutra_coord_children(struct lutra_coord *coord,
                          const char *path,
                          lutra_coord_watch_fn watch,
                          lutra_coord_fn fn,
                          void *arg)
{
    struct lutra_coord_req *req = req_new(coord, LUTRA_COORD_CHILDREN, path, fn, arg);

    req->watch = watch;
    lutra_coord_start(req);
}

void lutra_coord_delete_tree(struct lutra_coord *coord,
                             const char *path,
                             lutra_coord_fn fn,
                             void *arg)
{
    lutra_coord_tree_start(req_new(coord, LUTRA_COORD_DELETE_TREE, path, fn, arg));
}

/* Before the completion is called, so that an event right behind the answer finds the watch. */
static void set_watch(struct lutra_coord_req *req, enum lutra_coord_rc rc)
{
    struct lutra_coord *coord = req->coord;
    uint64_t delay_ms = rc == LUTRA_COORD_ERROR ? WATCH_RETRY_MS : 0;
    unsigned kind = req->op == LUTRA_COORD_GET ? LUTRA_COORD_ON_DATA : LUTRA_COORD_ON_CHILDREN;
    struct lutra_coord_watch *watch;

    if (!req->watch || coord->closing) {
        return;
    }
    DL_FOREACH(coord->watches, watch)
    { /* set before, and not fired yet: one is enough */
        if (watch->kind == kind && watch->fn == req->watch && watch->arg == req->arg &&
            strcmp(watch->path, req->path) == 0) {
            break;
        }
    }
    if (!watch) {
        watch = LUTRA_NEW(struct lutra_coord_watch);
        watch->path = lutra_strdup(req->path);
        watch->kind = kind;
        watch->fn = req->watch;
        watch->arg = req->arg;
        DL_APPEND(coord->watches, watch);
    }
    if (rc == LUTRA_COORD_ERROR ||
        (rc == LUTRA_COORD_UNKNOWN && coord->state == LUTRA_COORD_CONNECTED)) {
        watch->due_ms = lutra_loop_now_ms(coord->loop) + delay_ms;
        if (!lutra_timer_active(coord->watch_timer) || delay_ms == 0) {
            lutra_timer_start(coord->watch_timer, delay_ms);
        }
    }
}

void lutra_coord_finish(struct lutra_coord_req *req, const struct lutra_coord_result *result)
{
    set_watch(req, result->rc);
    if (req->fn && !req->coord->closing) {
        req->fn(result, req->arg);
    }
    req_free(req);
}

void lutra_coord_answer(struct lutra_coord_req *req, const struct lutra_coord_result *result)
{
    if (req->op == LUTRA_COORD_CREATE && result->rc == LUTRA_COORD_NO_NODE &&
        !req->coord->closing && lutra_coord_make_parent(req)) {
        return;
    }
    if (result->rc == LUTRA_COORD_OK && result->len > LUTRA_COORD_MAX_DATA) {
        lutra_coord_answer_rc(req, LUTRA_COORD_ERROR, TOO_LARGE);
        return;
    }
    lutra_coord_finish(req, result);
}

void lutra_coord_answer_rc(struct lutra_coord_req *req, enum lutra_coord_rc rc, const char *what)
{
    struct lutra_error err = {0};
    struct lutra_coord_result result = {.rc = rc, .path = req->path, .data = "", .err = &err};

    if (rc == LUTRA_COORD_UNKNOWN) {
        (void)lutra_error_set(&err, LUTRA_RETRY, 0, "%s: no answer from the coordination service",
                              req->path);
    } else if (rc == LUTRA_COORD_ERROR) {
        (void)lutra_error_set(&err, LUTRA_DATA, 0, "%s: %s", req->path, what ? what : "refused");
    }
    lutra_coord_answer(req, &result);
}

void lutra_coord_forget(struct lutra_coord *coord, void *arg)
{
    struct lutra_coord_watch *watch, *next;
    struct lutra_coord_req *req;

    DL_FOREACH(coord->reqs, req)
    {
        if (req->arg == arg) {
            req->fn = NULL;
            req->watch = NULL;
        }
    }
    DL_FOREACH_SAFE(coord->watches, watch, next)
    {
        if (watch->arg == arg) {
            DL_DELETE(coord->watches, watch);
            watch_free(watch);
        }
    }
    DL_FOREACH_SAFE(coord->firing, watch, next)
    {
        if (watch->arg == arg) {
            DL_DELETE(coord->firing, watch);
            watch_free(watch);
        }
    }
}

/* --- watches --- */

/* What is called may set, fire and forget watches: nothing but the list's head is held. */
static void call_firing(struct lutra_coord *coord)
{
    while (coord->firing) {
        struct lutra_coord_watch *watch = coord->firing;

        DL_DELETE(coord->firing, watch);
        watch->fn(watch->path, watch->arg);
        watch_free(watch);
    }
}

void lutra_coord_fire(struct lutra_coord *coord, const char *path, unsigned kinds)
{
    struct lutra_coord_watch *watch, *next;

    if (coord->closing) {
        return;
    }
    DL_FOREACH_SAFE(coord->watches, watch, next)
    {
        if ((watch->kind & kinds) && strcmp(watch->path, path) == 0) {
            DL_DELETE(coord->watches, watch);
            DL_APPEND(coord->firing, watch);
        }
    }
    call_firing(coord);
}

static void on_watch_timer(void *arg)
{
    struct lutra_coord *coord = arg;
    uint64_t now_ms = lutra_loop_now_ms(coord->loop), next_ms = UINT64_MAX;
    struct lutra_coord_watch *watch, *next;

    DL_FOREACH_SAFE(coord->watches, watch, next)
    {
        if (watch->due_ms != 0 && watch->due_ms <= now_ms) {
            DL_DELETE(coord->watches, watch);
            DL_APPEND(coord->firing, watch);
        } else if (watch->due_ms != 0 && watch->due_ms < next_ms) {
            next_ms = watch->due_ms;
        }
    }
    if (next_ms != UINT64_MAX) {
        lutra_timer_start(coord->watch_timer, next_ms - now_ms);
    }
    call_firing(coord);
}

/* --- state --- */

enum lutra_coord_state lutra_coord_state_of(const struct lutra_coord *coord)
{
    return coord->state;
}

int64_t lutra_coord_session_id(const struct lutra_coord *coord)
{
    return coord->session_id;
}

struct lutra_loop *lutra_coord_loop(struct lutra_coord *coord)
{
    return coord->loop;
}

void lutra_coord_listen(struct lutra_coord *coord,
                        void (*fn)(enum lutra_coord_state state, void *arg),
                        void *arg)
{
    struct lutra_coord_listener *listener = LUTRA_NEW(struct lutra_coord_listener);

    listener->fn = fn;
    listener->arg = arg;
    DL_APPEND(coord->listeners, listener);
}

static void sweep_listeners(struct lutra_coord *coord)
{
    struct lutra_coord_listener *listener, *next;

    DL_FOREACH_SAFE(coord->listeners, listener, next)
    {
        if (!listener->fn) {
            DL_DELETE(coord->listeners, listener);
            lutra_free(listener);
        }
    }
}

void lutra_coord_unlisten(struct lutra_coord *coord, void *arg)
{
    struct lutra_coord_listener *listener;

    DL_FOREACH(coord->listeners, listener)
    {
        if (listener->arg == arg) {
            listener->fn = NULL;
        }
    }
    if (coord->notifying == 0) {
        sweep_listeners(coord);
    }
}

static void log_state(const struct lutra_coord *coord)
{
    char session[24];

    (void)snprintf(session, sizeof(session), "0x%" PRIx64, (uint64_t)coord->session_id);
    switch (coord->state) {
    case LUTRA_COORD_CONNECTED:
        LUTRA_INFO("coord.connected", LUTRA_F_STR("session", session),
                   LUTRA_F_U64("session_timeout_ms", coord->session_timeout_ms));
        break;
    case LUTRA_COORD_SUSPENDED:
        LUTRA_WARN("coord.suspended", LUTRA_F_STR("session", session));
        break;
    case LUTRA_COORD_LOST:
        LUTRA_WARN("coord.lost", LUTRA_F_STR("session", session));
        break;
    }
}

void lutra_coord_set_state(struct lutra_coord *coord,
                           enum lutra_coord_state state,
                           int64_t session_id)
{
    struct lutra_coord_listener *listener;

    if (coord->closing || (state == coord->state && session_id == coord->session_id)) {
        return;
    }
    coord->state = state;
    coord->session_id = session_id;
    log_state(coord);
    if (state == LUTRA_COORD_CONNECTED) {
        send_queued(coord);
    }
    coord->notifying++;
    DL_FOREACH(coord->listeners, listener)
    {
        if (listener->fn) {
            listener->fn(state, listener->arg);
        }
    }
    if (--coord->notifying == 0) {
        sweep_listeners(coord);
    }
    if (state == LUTRA_COORD_CONNECTED) {
        DL_CONCAT(coord->firing, coord->watches);
        coord->watches = NULL;
        call_firing(coord);
    }
}

/* --- attached objects --- */

void lutra_coord_attach(struct lutra_coord *coord, void (*drop)(void *object), void *object)
{
    struct lutra_coord_attached *attached = LUTRA_NEW(struct lutra_coord_attached);

    attached->drop = drop;
    attached->object = object;
    DL_APPEND(coord->attached, attached);
}

void lutra_coord_detach(struct lutra_coord *coord, void *object)
{
    struct lutra_coord_attached *attached, *next;

    DL_FOREACH_SAFE(coord->attached, attached, next)
    {
        if (attached->object == object) {
            DL_DELETE(coord->attached, attached);
            lutra_free(attached);
        }
    }
}

void lutra_coord_each_attached(struct lutra_coord *coord,
                               void (*drop)(void *object),
                               void (*fn)(void *object, void *arg),
                               void *arg)
{
    struct lutra_coord_attached *attached, *next;

    DL_FOREACH_SAFE(coord->attached, attached, next)
    {
        if (attached->drop == drop) {
            fn(attached->object, arg);
        }
    }
}
