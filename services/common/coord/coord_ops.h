/* Between coord.c and the implementations of the port. Private to the module.
 *
 * DESIGN: coord.c keeps what all implementations share: requests and their queue while there is no
 * connection, missing parents, subtrees, watches (by path; whoever sets one is a subscriber),
 * listeners. An implementation sends single requests, and tells answers, events and states. */
#ifndef LUTRA_COORD_COORD_OPS_H
#define LUTRA_COORD_COORD_OPS_H

#include "coord/coord.h"

enum lutra_coord_op {
    LUTRA_COORD_CREATE,
    LUTRA_COORD_SET,
    LUTRA_COORD_DELETE,
    LUTRA_COORD_GET,
    LUTRA_COORD_CHILDREN,
    LUTRA_COORD_DELETE_TREE, /* never submitted: made of others */
};

struct lutra_coord_req {
    struct lutra_coord *coord;
    enum lutra_coord_op op;
    char *path;
    char *data; /* create, set: a copy */
    size_t len;
    int flags;
    int32_t version;
    lutra_coord_watch_fn watch;
    lutra_coord_fn fn; /* NULL: nobody waits (any more) */
    void *arg;
    bool queued;          /* waits for the connection, until deadline_ms */
    uint64_t deadline_ms; /* of the loop's time */
    const char *refused;  /* queued only to be answered in a later turn: ERROR, and why */
    unsigned attempts;
    struct lutra_coord_path *todo; /* delete_tree: a stack */
    bool deleted;                  /* delete_tree: at least one node */
    struct lutra_coord_req *prev, *next;
};

struct lutra_coord_ops {
    /* Called only while CONNECTED. Answers with lutra_coord_answer, once, in a later turn. */
    void (*submit)(struct lutra_coord *coord, struct lutra_coord_req *req);
    /* Closes the session and frees the implementation's struct, of which coord is the first member.
     * Calls lutra_coord_fini when it is done with the requests. */
    void (*free)(struct lutra_coord *coord);
};

struct lutra_coord {
    uint32_t magic;
    const struct lutra_coord_ops *ops;
    struct lutra_loop *loop;
    uint64_t session_timeout_ms;
    enum lutra_coord_state state;
    int64_t session_id;
    bool closing;                    /* nobody is called any more */
    struct lutra_coord_req *reqs;    /* all of them, oldest first */
    struct lutra_timer *queue_timer; /* ends the waiting of queued requests */
    struct lutra_coord_watch *watches;
    struct lutra_coord_watch *firing; /* taken off `watches`, to be called */
    struct lutra_timer *watch_timer;  /* watches of failed reads */
    struct lutra_coord_listener *listeners;
    unsigned notifying; /* listeners are being called: only mark the ones to remove */
    struct lutra_coord_attached *attached;
};

void lutra_coord_init(struct lutra_coord *coord,
                      const struct lutra_coord_ops *ops,
                      struct lutra_loop *loop,
                      uint64_t session_timeout_ms);
void lutra_coord_fini(struct lutra_coord *coord);

/* The answer to a submitted request, which is gone after it. result->rc NO_NODE or OK of a read
 * with a watch: the watch is set. */
void lutra_coord_answer(struct lutra_coord_req *req, const struct lutra_coord_result *result);
/* The same without content. `what` is for the message of ERROR; may be NULL. */
void lutra_coord_answer_rc(struct lutra_coord_req *req, enum lutra_coord_rc rc, const char *what);

/* ERROR in a later turn; `why` is a literal, or lives as long. */
void lutra_coord_refuse_later(struct lutra_coord_req *req, const char *why);

enum { LUTRA_COORD_ON_DATA = 1, LUTRA_COORD_ON_CHILDREN = 2 };
/* Calls the watches of this path and of these kinds. */
void lutra_coord_fire(struct lutra_coord *coord, const char *path, unsigned kinds);
/* Logs, sends what is queued, tells listeners; on CONNECTED all watches fire. */
void lutra_coord_set_state(struct lutra_coord *coord,
                           enum lutra_coord_state state,
                           int64_t session_id);

/* coord_tree.c: requests that are made of several. */
void lutra_coord_tree_start(struct lutra_coord_req *req);
void lutra_coord_start(struct lutra_coord_req *req); /* submits, or queues */
void lutra_coord_finish(struct lutra_coord_req *req, const struct lutra_coord_result *result);
/* A create whose parent is missing: true when it was taken on. */
bool lutra_coord_make_parent(struct lutra_coord_req *req);
void lutra_coord_tree_free(struct lutra_coord_req *req);

#endif
