#include "coord/mirror.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { ZNODE_MAGIC = 0x7a5c1101, ZCHILDREN_MAGIC = 0x7a5c1102 };

struct lutra_znode {
    uint32_t magic;
    struct lutra_coord *coord;
    char *path;
    void (*fn)(void *arg);
    void *arg;
    bool known, exists;
    struct lutra_buf data;
    struct lutra_coord_stat stat;
};

static void on_znode_read(const struct lutra_coord_result *result, void *arg);

static void on_znode_watch(const char *path, void *arg)
{
    struct lutra_znode *znode = arg;

    LUTRA_ASSERT(znode->magic == ZNODE_MAGIC);
    lutra_coord_get(znode->coord, path, on_znode_watch, on_znode_read, znode);
}

static void on_znode_read(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_znode *znode = arg;
    bool exists = result->rc == LUTRA_COORD_OK;

    LUTRA_ASSERT(znode->magic == ZNODE_MAGIC);
    if (!exists && result->rc != LUTRA_COORD_NO_NODE) {
        return; /* the watch fires when it is time to read again */
    }
    if (znode->known && znode->exists == exists &&
        (!exists ||
         (znode->stat.czxid == result->stat.czxid && znode->stat.mzxid == result->stat.mzxid &&
          znode->stat.version == result->stat.version && znode->data.len == result->len &&
          memcmp(lutra_buf_cstr(&znode->data), result->data, result->len) == 0))) {
        return;
    }
    znode->known = true;
    znode->exists = exists;
    lutra_buf_clear(&znode->data);
    if (exists) {
        lutra_buf_append(&znode->data, result->data, result->len);
        znode->stat = result->stat;
    } else {
        znode->stat = (struct lutra_coord_stat){.version = -1};
    }
    (void)lutra_buf_cstr(&znode->data);
    znode->fn(znode->arg);
}

struct lutra_znode *
lutra_znode_new(struct lutra_coord *coord, const char *path, void (*fn)(void *arg), void *arg)
{
    struct lutra_znode *znode = LUTRA_NEW(struct lutra_znode);

    znode->magic = ZNODE_MAGIC;
    znode->coord = coord;
    znode->path = lutra_strdup(path);
    znode->fn = fn;
    znode->arg = arg;
    znode->stat.version = -1;
    (void)lutra_buf_cstr(&znode->data);
    lutra_coord_get(coord, path, on_znode_watch, on_znode_read, znode);
    return znode;
}

void lutra_znode_free(struct lutra_znode *znode)
{
    if (!znode) {
        return;
    }
    LUTRA_ASSERT(znode->magic == ZNODE_MAGIC);
    lutra_coord_forget(znode->coord, znode);
    lutra_buf_fini(&znode->data);
    lutra_free(znode->path);
    znode->magic = 0;
    lutra_free(znode);
}

bool lutra_znode_known(const struct lutra_znode *znode)
{
    return znode->known;
}

bool lutra_znode_exists(const struct lutra_znode *znode)
{
    return znode->exists;
}

const char *lutra_znode_data(const struct lutra_znode *znode, size_t *len)
{
    if (len) {
        *len = znode->data.len;
    }
    return (const char *)znode->data.data;
}

int32_t lutra_znode_version(const struct lutra_znode *znode)
{
    return znode->stat.version;
}

const struct lutra_coord_stat *lutra_znode_stat(const struct lutra_znode *znode)
{
    return &znode->stat;
}

/* --- children --- */

struct lutra_zchildren {
    uint32_t magic;
    struct lutra_coord *coord;
    char *path;
    void (*fn)(void *arg);
    void *arg;
    bool known, exists;
    size_t n;
    char **names;
    struct lutra_coord_stat stat;
};

static void on_children_read(const struct lutra_coord_result *result, void *arg);

static void on_children_watch(const char *path, void *arg)
{
    struct lutra_zchildren *children = arg;

    LUTRA_ASSERT(children->magic == ZCHILDREN_MAGIC);
    lutra_coord_children(children->coord, path, on_children_watch, on_children_read, children);
}

static bool same_names(const struct lutra_zchildren *children,
                       const struct lutra_coord_result *result)
{
    if (children->n != result->n_children) {
        return false;
    }
    for (size_t i = 0; i < children->n; i++) {
        if (strcmp(children->names[i], result->children[i]) != 0) {
            return false;
        }
    }
    return true;
}

static void drop_names(struct lutra_zchildren *children)
{
    for (size_t i = 0; i < children->n; i++) {
        lutra_free(children->names[i]);
    }
    lutra_free(children->names);
    children->names = NULL;
    children->n = 0;
}

static void on_children_read(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_zchildren *children = arg;
    bool exists = result->rc == LUTRA_COORD_OK;
    size_t n = exists ? result->n_children : 0;

    LUTRA_ASSERT(children->magic == ZCHILDREN_MAGIC);
    if (!exists && result->rc != LUTRA_COORD_NO_NODE) {
        return;
    }
    if (children->known && children->exists == exists &&
        (!exists || (children->stat.czxid == result->stat.czxid &&
                     children->stat.pzxid == result->stat.pzxid && same_names(children, result)))) {
        return;
    }
    drop_names(children);
    if (n > 0) {
        children->names = lutra_alloc(n * sizeof(*children->names));
        for (size_t i = 0; i < n; i++) {
            children->names[i] = lutra_strdup(result->children[i]);
        }
        children->n = n;
    }
    children->known = true;
    children->exists = exists;
    children->stat = exists ? result->stat : (struct lutra_coord_stat){.version = -1};
    children->fn(children->arg);
}

struct lutra_zchildren *
lutra_zchildren_new(struct lutra_coord *coord, const char *path, void (*fn)(void *arg), void *arg)
{
    struct lutra_zchildren *children = LUTRA_NEW(struct lutra_zchildren);

    children->magic = ZCHILDREN_MAGIC;
    children->coord = coord;
    children->path = lutra_strdup(path);
    children->fn = fn;
    children->arg = arg;
    children->stat.version = -1;
    lutra_coord_children(coord, path, on_children_watch, on_children_read, children);
    return children;
}

void lutra_zchildren_free(struct lutra_zchildren *children)
{
    if (!children) {
        return;
    }
    LUTRA_ASSERT(children->magic == ZCHILDREN_MAGIC);
    lutra_coord_forget(children->coord, children);
    drop_names(children);
    lutra_free(children->path);
    children->magic = 0;
    lutra_free(children);
}

bool lutra_zchildren_known(const struct lutra_zchildren *children)
{
    return children->known;
}

bool lutra_zchildren_exists(const struct lutra_zchildren *children)
{
    return children->exists;
}

const struct lutra_coord_stat *lutra_zchildren_stat(const struct lutra_zchildren *children)
{
    return &children->stat;
}

size_t lutra_zchildren_names(const struct lutra_zchildren *children, const char *const **names)
{
    *names = (const char *const *)children->names;
    return children->n;
}
