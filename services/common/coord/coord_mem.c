/* DESIGN: the tree is a server without latency but with turns: a client's requests and the answers
 * and events to it each travel in order, one a turn of the loop, so that on a simulated loop with a
 * seed the clients interleave in every way, and a cut finds requests that were not carried out and
 * answers that did not arrive. */
#include "coord/coord_mem.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/mem.h"
#include "coord/coord_ops.h"

struct mem_node {
    char *path;
    char *data;
    size_t len;
    unsigned sequence; /* of sequential children */
    struct lutra_coord_stat stat;
    UT_hash_handle hh;
};

/* As the server sees it. Outlives a client that crashed. */
struct mem_session {
    struct lutra_mem_tree *tree;
    int64_t id;
    uint64_t timeout_ms;
    struct mem_client *client; /* NULL: gone without a word */
    struct lutra_timer *expiry;
    struct mem_session *prev, *next;
};

/* On the way to the client: the answer to req, or an event. */
struct mem_message {
    struct lutra_coord_req *req;
    enum lutra_coord_rc rc;
    const char *what;
    char *path;
    char *data;
    size_t len;
    struct lutra_coord_stat stat;
    char **children;
    size_t n_children;
    unsigned event; /* LUTRA_COORD_ON_* */
    struct mem_message *prev, *next;
};

struct mem_request {
    struct lutra_coord_req *req;
    struct mem_request *prev, *next;
};

struct mem_watch {
    char *path;
    unsigned kind;
    struct mem_watch *prev, *next;
};

struct mem_client {
    struct lutra_coord coord;
    struct lutra_mem_tree *tree;
    struct mem_session *session; /* NULL: none yet, or expired */
    bool cut, deaf, killed;
    struct mem_request *out;
    struct mem_message *in;
    struct mem_watch *watches;
    struct lutra_task *serve, *deliver, *link;
    struct mem_client *prev, *next;
};

struct lutra_mem_tree {
    struct lutra_loop *loop; /* NULL: a snapshot */
    struct mem_node *nodes;
    int64_t zxid, next_session;
    bool down;
    struct mem_session *sessions;
    struct mem_client *clients;
};

/* --- nodes --- */

static struct mem_node *node_find(struct lutra_mem_tree *tree, const char *path)
{
    struct mem_node *node;

    HASH_FIND_STR(tree->nodes, path, node);
    return node;
}

static void node_set_data(struct mem_node *node, const char *data, size_t len)
{
    lutra_free(node->data);
    node->data = lutra_alloc(len + 1);
    if (len > 0) {
        memcpy(node->data, data, len);
    }
    node->len = len;
}

static struct mem_node *
node_add(struct lutra_mem_tree *tree, const char *path, const char *data, size_t len)
{
    struct mem_node *node = LUTRA_NEW(struct mem_node);

    node->path = lutra_strdup(path);
    node_set_data(node, data, len);
    HASH_ADD_KEYPTR(hh, tree->nodes, node->path, strlen(node->path), node);
    return node;
}

static void node_free(struct lutra_mem_tree *tree, struct mem_node *node)
{
    HASH_DEL(tree->nodes, node);
    lutra_free(node->path);
    lutra_free(node->data);
    lutra_free(node);
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == path ? lutra_strdup("/") : lutra_strndup(path, (size_t)(slash - path));
}

/* The name of `path` when it is a child of `parent`, else NULL. */
static const char *child_name(const char *path, const char *parent)
{
    size_t len = strcmp(parent, "/") == 0 ? 0 : strlen(parent);

    if (strncmp(path, parent, len) != 0 || path[len] != '/' || path[len + 1] == '\0' ||
        strchr(path + len + 1, '/')) {
        return NULL;
    }
    return path + len + 1;
}

static bool has_children(const struct lutra_mem_tree *tree, const char *path)
{
    const struct mem_node *node;

    for (node = tree->nodes; node; node = node->hh.next) {
        if (child_name(node->path, path)) {
            return true;
        }
    }
    return false;
}

/* --- messages and watches --- */

static void message_free(struct mem_message *message)
{
    for (size_t i = 0; i < message->n_children; i++) {
        lutra_free(message->children[i]);
    }
    lutra_free(message->children);
    lutra_free(message->path);
    lutra_free(message->data);
    lutra_free(message);
}

static void send_to_client(struct mem_client *client, struct mem_message *message)
{
    DL_APPEND(client->in, message);
    lutra_task_schedule(client->deliver);
}

static void watch_free(struct mem_client *client, struct mem_watch *watch)
{
    DL_DELETE(client->watches, watch);
    lutra_free(watch->path);
    lutra_free(watch);
}

static void fire(struct lutra_mem_tree *tree, const char *path, unsigned kinds)
{
    struct mem_client *client;

    DL_FOREACH(tree->clients, client)
    {
        struct mem_watch *watch, *next;
        unsigned fired = 0;

        DL_FOREACH_SAFE(client->watches, watch, next)
        {
            if ((watch->kind & kinds) && strcmp(watch->path, path) == 0) {
                fired |= watch->kind;
                watch_free(client, watch);
            }
        }
        if (fired != 0) {
            struct mem_message *message = LUTRA_NEW(struct mem_message);

            message->path = lutra_strdup(path);
            message->event = fired;
            send_to_client(client, message);
        }
    }
}

static void touch_parent(struct lutra_mem_tree *tree, const char *path)
{
    LUTRA_AUTO_FREE char *name = parent_of(path);
    struct mem_node *parent = node_find(tree, name);

    if (parent) {
        parent->stat.pzxid = tree->zxid;
    }
    fire(tree, name, LUTRA_COORD_ON_CHILDREN);
}

static struct mem_node *tree_create(
    struct lutra_mem_tree *tree, const char *path, const char *data, size_t len, int64_t owner)
{
    struct mem_node *node = node_add(tree, path, data, len);

    tree->zxid++;
    node->stat.czxid = node->stat.mzxid = node->stat.pzxid = tree->zxid;
    node->stat.ephemeral_owner = owner;
    node->stat.ctime_ms = lutra_loop_wall_us(tree->loop) / 1000;
    touch_parent(tree, path);
    fire(tree, path, LUTRA_COORD_ON_DATA | LUTRA_COORD_ON_CHILDREN);
    return node;
}

static void
tree_set(struct lutra_mem_tree *tree, struct mem_node *node, const char *data, size_t len)
{
    node_set_data(node, data, len);
    node->stat.version++;
    node->stat.mzxid = ++tree->zxid;
    fire(tree, node->path, LUTRA_COORD_ON_DATA);
}

static void tree_delete(struct lutra_mem_tree *tree, struct mem_node *node)
{
    LUTRA_AUTO_FREE char *path = lutra_strdup(node->path);

    tree->zxid++;
    node_free(tree, node);
    touch_parent(tree, path);
    fire(tree, path, LUTRA_COORD_ON_DATA | LUTRA_COORD_ON_CHILDREN);
}

/* --- sessions --- */

static void session_end(struct mem_session *session)
{
    struct lutra_mem_tree *tree = session->tree;
    struct mem_node *node, *next;

    HASH_ITER(hh, tree->nodes, node, next)
    {
        if (node->stat.ephemeral_owner == session->id) {
            tree_delete(tree, node);
        }
    }
    if (session->client) {
        session->client->session = NULL;
    }
    DL_DELETE(tree->sessions, session);
    lutra_timer_free(session->expiry);
    lutra_free(session);
}

static void on_expiry(void *arg)
{
    session_end(arg);
}

static bool reachable(const struct mem_client *client)
{
    return !client->tree->down && !client->cut && !client->killed;
}

/* The server hears nothing of the client (any more), or does again. */
static void watch_over(struct mem_session *session)
{
    if (session->tree->down || (session->client && reachable(session->client))) {
        lutra_timer_stop(session->expiry);
    } else if (!lutra_timer_active(session->expiry)) {
        lutra_timer_start(session->expiry, session->timeout_ms);
    }
}

static void session_begin(struct mem_client *client)
{
    struct mem_session *session = LUTRA_NEW(struct mem_session);

    session->tree = client->tree;
    session->id = ++client->tree->next_session;
    session->timeout_ms = client->coord.session_timeout_ms;
    session->client = client;
    session->expiry = lutra_timer_new(client->tree->loop, on_expiry, session);
    DL_APPEND(client->tree->sessions, session);
    client->session = session;
}

/* --- the server carries out one request --- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_children(struct lutra_mem_tree *tree, const char *path, struct mem_message *answer)
{
    const struct mem_node *node;

    for (node = tree->nodes; node; node = node->hh.next) {
        const char *name = child_name(node->path, path);

        if (name) {
            answer->children =
                lutra_realloc(answer->children, (answer->n_children + 1) * sizeof(char *));
            answer->children[answer->n_children++] = lutra_strdup(name);
        }
    }
    if (answer->n_children > 0) {
        qsort(answer->children, answer->n_children, sizeof(char *), by_name);
    }
}

static enum lutra_coord_rc
do_create(struct mem_client *client, const struct lutra_coord_req *req, struct mem_message *answer)
{
    struct lutra_mem_tree *tree = client->tree;
    LUTRA_AUTO_FREE char *name = parent_of(req->path);
    struct mem_node *parent = node_find(tree, name);
    int64_t owner = (req->flags & LUTRA_COORD_EPHEMERAL) ? client->session->id : 0;

    if (!parent) {
        return LUTRA_COORD_NO_NODE;
    }
    if (parent->stat.ephemeral_owner != 0) {
        answer->what = "an ephemeral node has no children";
        return LUTRA_COORD_ERROR;
    }
    if (req->flags & LUTRA_COORD_SEQUENTIAL) {
        lutra_free(answer->path);
        answer->path = lutra_asprintf("%s%010u", req->path, parent->sequence++);
    }
    if (node_find(tree, answer->path)) {
        return LUTRA_COORD_NODE_EXISTS;
    }
    answer->stat = tree_create(tree, answer->path, req->data, req->len, owner)->stat;
    return LUTRA_COORD_OK;
}

static enum lutra_coord_rc do_existing(struct mem_client *client,
                                       const struct lutra_coord_req *req,
                                       struct mem_message *answer)
{
    struct lutra_mem_tree *tree = client->tree;
    struct mem_node *node = node_find(tree, req->path);

    if (!node) {
        return LUTRA_COORD_NO_NODE;
    }
    if (req->version != -1 && req->version != node->stat.version) {
        return LUTRA_COORD_BAD_VERSION;
    }
    switch (req->op) {
    case LUTRA_COORD_SET:
        tree_set(tree, node, req->data, req->len);
        break;
    case LUTRA_COORD_DELETE:
        if (has_children(tree, req->path)) {
            return LUTRA_COORD_NOT_EMPTY;
        }
        tree_delete(tree, node);
        return LUTRA_COORD_OK;
    case LUTRA_COORD_GET:
        answer->data = lutra_alloc(node->len + 1);
        memcpy(answer->data, node->data, node->len);
        answer->len = node->len;
        break;
    case LUTRA_COORD_CHILDREN:
        list_children(tree, req->path, answer);
        break;
    case LUTRA_COORD_CREATE:
    case LUTRA_COORD_DELETE_TREE:
        LUTRA_ASSERT(false && "reachable");
        break;
    }
    answer->stat = node->stat;
    return LUTRA_COORD_OK;
}

static void set_watch(struct mem_client *client, const struct lutra_coord_req *req)
{
    struct mem_watch *watch = LUTRA_NEW(struct mem_watch);

    watch->path = lutra_strdup(req->path);
    watch->kind = req->op == LUTRA_COORD_GET ? LUTRA_COORD_ON_DATA : LUTRA_COORD_ON_CHILDREN;
    DL_APPEND(client->watches, watch);
}

static void on_serve(void *arg)
{
    struct mem_client *client = arg;
    struct mem_request *request = client->out;
    struct mem_message *answer;
    struct lutra_coord_req *req;

    if (!request || client->deaf || !reachable(client) || !client->session) {
        return;
    }
    DL_DELETE(client->out, request);
    req = request->req;
    lutra_free(request);
    answer = LUTRA_NEW(struct mem_message);
    answer->req = req;
    answer->path = lutra_strdup(req->path);
    answer->rc = req->op == LUTRA_COORD_CREATE ? do_create(client, req, answer)
                                               : do_existing(client, req, answer);
    if (req->watch) {
        set_watch(client, req);
    }
    send_to_client(client, answer);
    if (client->out) {
        lutra_task_schedule(client->serve);
    }
}

/* --- the client --- */

static void on_deliver(void *arg)
{
    struct mem_client *client = arg;
    struct mem_message *message = client->in;

    if (!message || client->deaf || !reachable(client) || !client->session) {
        return;
    }
    DL_DELETE(client->in, message);
    if (client->in) {
        lutra_task_schedule(client->deliver);
    }
    if (message->event != 0) {
        lutra_coord_fire(&client->coord, message->path, message->event);
    } else if (message->rc == LUTRA_COORD_OK) {
        struct lutra_coord_result result = {
            .rc = message->rc,
            .path = message->path,
            .data = message->data ? message->data : "",
            .len = message->len,
            .stat = message->stat,
            .n_children = message->n_children,
            .children = (const char *const *)message->children,
        };

        lutra_coord_answer(message->req, &result);
    } else {
        lutra_coord_answer_rc(message->req, message->rc, message->what);
    }
    message_free(message);
}

/* What is on the way, in either direction, is lost. */
static void lose_all(struct mem_client *client)
{
    struct mem_message *messages = client->in, *message, *next_message;
    struct mem_request *requests = client->out, *request, *next_request;

    client->in = NULL;
    client->out = NULL;
    while (client->watches) {
        watch_free(client, client->watches);
    }
    DL_FOREACH_SAFE(messages, message, next_message)
    {
        if (message->req) {
            lutra_coord_answer_rc(message->req, LUTRA_COORD_UNKNOWN, NULL);
        }
        message_free(message);
    }
    DL_FOREACH_SAFE(requests, request, next_request)
    {
        lutra_coord_answer_rc(request->req, LUTRA_COORD_UNKNOWN, NULL);
        lutra_free(request);
    }
}

/* Brings what the client knows of its connection one step nearer to what is. */
static void on_link(void *arg)
{
    struct mem_client *client = arg;
    struct lutra_coord *coord = &client->coord;
    bool had_session = coord->session_id != 0 && coord->state != LUTRA_COORD_LOST;

    if (client->killed || client->deaf) {
        return;
    }
    if (!reachable(client)) {
        if (coord->state == LUTRA_COORD_CONNECTED) {
            lutra_coord_set_state(coord, LUTRA_COORD_SUSPENDED, coord->session_id);
            lose_all(client);
        }
        return;
    }
    if (had_session && (!client->session || client->session->id != coord->session_id)) {
        lutra_coord_set_state(coord, LUTRA_COORD_LOST, coord->session_id);
        lose_all(client);
        lutra_task_schedule(client->link);
        return;
    }
    if (coord->state != LUTRA_COORD_CONNECTED) {
        if (!client->session) {
            session_begin(client);
        }
        watch_over(client->session);
        lutra_coord_set_state(coord, LUTRA_COORD_CONNECTED, client->session->id);
    }
}

static void client_submit(struct lutra_coord *coord, struct lutra_coord_req *req)
{
    struct mem_client *client = (struct mem_client *)coord;
    struct mem_request *request = LUTRA_NEW(struct mem_request);

    request->req = req;
    DL_APPEND(client->out, request);
    lutra_task_schedule(client->serve);
}

static void client_free(struct lutra_coord *coord)
{
    struct mem_client *client = (struct mem_client *)coord;

    lose_all(client);
    DL_DELETE(client->tree->clients, client);
    if (client->session) {
        client->session->client = NULL;
        if (reachable(client)) {
            session_end(client->session);
        }
    }
    lutra_task_free(client->serve);
    lutra_task_free(client->deliver);
    lutra_task_free(client->link);
    lutra_coord_fini(coord);
    lutra_free(client);
}

static const struct lutra_coord_ops mem_ops = {.submit = client_submit, .free = client_free};

struct lutra_coord *lutra_coord_mem_new(struct lutra_mem_tree *tree, uint64_t session_timeout_ms)
{
    struct mem_client *client = LUTRA_NEW(struct mem_client);

    lutra_coord_init(&client->coord, &mem_ops, tree->loop, session_timeout_ms);
    client->tree = tree;
    client->serve = lutra_task_new(tree->loop, on_serve, client);
    client->deliver = lutra_task_new(tree->loop, on_deliver, client);
    client->link = lutra_task_new(tree->loop, on_link, client);
    DL_APPEND(tree->clients, client);
    lutra_task_schedule(client->link);
    return &client->coord;
}

/* --- faults --- */

static struct mem_client *client_of(struct lutra_coord *coord)
{
    LUTRA_ASSERT(coord->ops == &mem_ops);
    return (struct mem_client *)coord;
}

void lutra_mem_tree_set_down(struct lutra_mem_tree *tree, bool down)
{
    struct mem_client *client;
    struct mem_session *session;

    tree->down = down;
    DL_FOREACH(tree->sessions, session)
    {
        watch_over(session);
    }
    DL_FOREACH(tree->clients, client)
    {
        lutra_task_schedule(client->link);
    }
}

void lutra_coord_mem_partition(struct lutra_coord *coord, bool cut)
{
    struct mem_client *client = client_of(coord);

    client->cut = cut;
    client->deaf = false;
    if (client->session) {
        watch_over(client->session);
    }
    lutra_task_schedule(client->link);
}

void lutra_coord_mem_expire(struct lutra_coord *coord)
{
    struct mem_client *client = client_of(coord);

    if (client->session) {
        session_end(client->session);
    }
    lutra_task_schedule(client->link);
}

void lutra_coord_mem_expire_silently(struct lutra_coord *coord)
{
    struct mem_client *client = client_of(coord);

    client->deaf = true;
    if (client->session) {
        session_end(client->session);
    }
}

void lutra_coord_mem_kill(struct lutra_coord *coord)
{
    struct mem_client *client = client_of(coord);

    client->killed = true;
    coord->closing = true;
    if (client->session) {
        watch_over(client->session);
    }
}

/* --- the tree --- */

struct lutra_mem_tree *lutra_mem_tree_new(struct lutra_loop *loop)
{
    struct lutra_mem_tree *tree = LUTRA_NEW(struct lutra_mem_tree);

    tree->loop = loop;
    (void)node_add(tree, "/", "", 0);
    return tree;
}

static void drop_nodes(struct lutra_mem_tree *tree)
{
    struct mem_node *node, *next;

    HASH_ITER(hh, tree->nodes, node, next)
    {
        node_free(tree, node);
    }
}

void lutra_mem_tree_free(struct lutra_mem_tree *tree)
{
    if (!tree) {
        return;
    }
    LUTRA_ASSERT(!tree->clients);
    while (tree->sessions) {
        session_end(tree->sessions);
    }
    drop_nodes(tree);
    lutra_free(tree);
}

static void copy_nodes(struct lutra_mem_tree *to, const struct lutra_mem_tree *from)
{
    const struct mem_node *node;

    for (node = from->nodes; node; node = node->hh.next) {
        if (node->stat.ephemeral_owner == 0) {
            struct mem_node *copy = node_add(to, node->path, node->data, node->len);

            copy->stat = node->stat;
            copy->sequence = node->sequence;
        }
    }
    to->zxid = from->zxid;
}

struct lutra_mem_tree *lutra_mem_tree_snapshot(struct lutra_mem_tree *tree)
{
    struct lutra_mem_tree *snapshot = LUTRA_NEW(struct lutra_mem_tree);

    copy_nodes(snapshot, tree);
    return snapshot;
}

void lutra_mem_tree_restore(struct lutra_mem_tree *tree, const struct lutra_mem_tree *snapshot)
{
    struct mem_client *client;

    while (tree->sessions) {
        session_end(tree->sessions);
    }
    drop_nodes(tree);
    if (snapshot) {
        copy_nodes(tree, snapshot);
    } else {
        (void)node_add(tree, "/", "", 0);
        tree->zxid = 0;
    }
    DL_FOREACH(tree->clients, client)
    {
        lutra_task_schedule(client->link);
    }
}

const char *lutra_mem_tree_peek(struct lutra_mem_tree *tree, const char *path)
{
    const struct mem_node *node = node_find(tree, path);

    return node ? node->data : NULL;
}

static void delete_below(struct lutra_mem_tree *tree, const char *path)
{
    size_t len = strlen(path);
    struct mem_node *node, *next;

    HASH_ITER(hh, tree->nodes, node, next)
    {
        if (strncmp(node->path, path, len) == 0 &&
            (node->path[len] == '/' || node->path[len] == '\0')) {
            tree_delete(tree, node);
        }
    }
}

void lutra_mem_tree_poke(struct lutra_mem_tree *tree, const char *path, const char *data)
{
    struct mem_node *node = node_find(tree, path);

    if (!data) {
        delete_below(tree, path);
        return;
    }
    if (node) {
        tree_set(tree, node, data, strlen(data));
        return;
    }
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        LUTRA_AUTO_FREE char *parent = lutra_strndup(path, (size_t)(slash - path));

        if (!node_find(tree, parent)) {
            (void)tree_create(tree, parent, "", 0, 0);
        }
    }
    (void)tree_create(tree, path, data, strlen(data), 0);
}
