/* Requests that are made of several: a node with its parents, a subtree. */
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "coord/coord_ops.h"

enum {
    MAX_PARENTS = 32,
    MAX_LISTINGS = 100000, /* of one subtree: somebody fills it faster than we empty it */
};

struct lutra_coord_path {
    struct lutra_coord_path *next;
    char text[];
};

/* --- parents --- */

static void on_parent(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_coord_req *req = arg;

    if (result->rc == LUTRA_COORD_OK || result->rc == LUTRA_COORD_NODE_EXISTS) {
        lutra_coord_start(req);
    } else {
        struct lutra_coord_result ours = *result;

        ours.path = req->path;
        lutra_coord_finish(req, &ours);
    }
}

bool lutra_coord_make_parent(struct lutra_coord_req *req)
{
    const char *slash = strrchr(req->path, '/');
    LUTRA_AUTO_FREE char *parent = NULL;

    if (slash == req->path || req->attempts++ >= MAX_PARENTS) {
        return false;
    }
    parent = lutra_strndup(req->path, (size_t)(slash - req->path));
    lutra_coord_create(req->coord, parent, "", 0, 0, on_parent, req);
    return true;
}

/* --- a subtree --- */

static void push(struct lutra_coord_req *req, const char *parent, const char *name)
{
    size_t len = strlen(parent) + 1 + strlen(name) + 1;
    struct lutra_coord_path *path = lutra_alloc(sizeof(*path) + len);

    (void)snprintf(path->text, len, "%s%s%s", parent, name[0] ? "/" : "", name);
    LL_PREPEND(req->todo, path);
}

static void pop(struct lutra_coord_req *req)
{
    struct lutra_coord_path *top = req->todo;

    LL_DELETE(req->todo, top);
    lutra_free(top);
}

void lutra_coord_tree_free(struct lutra_coord_req *req)
{
    while (req->todo) {
        pop(req);
    }
}

static void
finish_tree(struct lutra_coord_req *req, enum lutra_coord_rc rc, const struct lutra_error *err)
{
    struct lutra_coord_result result = {.rc = rc, .path = req->path, .data = "", .err = err};

    lutra_coord_finish(req, &result);
}

static void on_tree_deleted(const struct lutra_coord_result *result, void *arg);

static void on_tree_listed(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_coord_req *req = arg;

    if (result->rc == LUTRA_COORD_OK) {
        const struct lutra_coord_path *top = req->todo;

        for (size_t i = 0; i < result->n_children; i++) {
            push(req, top->text, result->children[i]);
        }
    } else if (result->rc != LUTRA_COORD_NO_NODE) {
        finish_tree(req, result->rc, result->err);
        return;
    }
    lutra_coord_delete(req->coord, req->todo->text, -1, on_tree_deleted, req);
}

static void on_tree_deleted(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_coord_req *req = arg;

    if (result->rc == LUTRA_COORD_NOT_EMPTY && req->attempts++ < MAX_LISTINGS) {
        lutra_coord_children(req->coord, req->todo->text, NULL, on_tree_listed, req);
        return;
    }
    if (result->rc != LUTRA_COORD_OK && result->rc != LUTRA_COORD_NO_NODE) {
        finish_tree(req, result->rc, result->err);
        return;
    }
    req->deleted = req->deleted || result->rc == LUTRA_COORD_OK;
    pop(req);
    if (req->todo) {
        lutra_coord_delete(req->coord, req->todo->text, -1, on_tree_deleted, req);
    } else {
        finish_tree(req, req->deleted ? LUTRA_COORD_OK : LUTRA_COORD_NO_NODE, NULL);
    }
}

void lutra_coord_tree_start(struct lutra_coord_req *req)
{
    push(req, req->path, "");
    lutra_coord_delete(req->coord, req->path, -1, on_tree_deleted, req);
}
