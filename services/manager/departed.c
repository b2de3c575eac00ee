#include "manager/departed.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "coord/mirror.h"

static const char PATH[] = "/lutra/departed";

struct mark {
    struct mgr_departed *departed;
    char path[192];
    const char *name; /* in path */
    struct lutra_znode *znode;
    bool valid;
    struct lutra_node_record record;
    uint64_t seen_ms;
    struct mark *next;
};

struct mgr_departed {
    struct lutra_coord *coord;
    struct lutra_zchildren *children;
    struct mark *first;
};

static uint64_t now_ms(const struct mgr_departed *departed)
{
    return lutra_loop_now_ms(lutra_coord_loop(departed->coord));
}

static void on_mark(void *arg)
{
    struct mark *mark = arg;
    struct lutra_error err = {0};
    size_t len;
    const char *data = lutra_znode_data(mark->znode, &len);

    mark->seen_ms = now_ms(mark->departed);
    mark->valid = lutra_znode_exists(mark->znode) &&
                  lutra_node_from_json(data, len, &mark->record, &err) == 0;
    if (lutra_znode_exists(mark->znode) && !mark->valid) {
        LUTRA_WARN("manager.bad_mark", LUTRA_F_STR("path", mark->path), LUTRA_F_ERR(&err));
    }
}

static struct mark **place_of(struct mgr_departed *departed, const char *name)
{
    struct mark **place = &departed->first;

    while (*place != NULL && strcmp((*place)->name, name) != 0) {
        place = &(*place)->next;
    }
    return place;
}

static void add(struct mgr_departed *departed, const char *name)
{
    struct mark *mark;
    int len;

    if (*place_of(departed, name) != NULL) {
        return;
    }
    mark = LUTRA_NEW(struct mark);
    mark->departed = departed;
    len = snprintf(mark->path, sizeof(mark->path), "%s/%s", PATH, name);
    if (len < 0 || (size_t)len >= sizeof(mark->path)) { /* nobody of ours has such a name */
        lutra_free(mark);
        return;
    }
    mark->name = mark->path + sizeof(PATH);
    mark->seen_ms = now_ms(departed);
    mark->next = departed->first;
    departed->first = mark;
    mark->znode = lutra_znode_new(departed->coord, mark->path, on_mark, mark);
}

static void drop(struct mark **place)
{
    struct mark *mark = *place;

    *place = mark->next;
    lutra_znode_free(mark->znode);
    lutra_free(mark);
}

static bool is_listed(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void on_children(void *arg)
{
    struct mgr_departed *departed = arg;
    const char *const *names;
    size_t n = lutra_zchildren_names(departed->children, &names);

    for (struct mark **place = &departed->first; *place != NULL;) {
        if (is_listed((*place)->name, names, n)) {
            place = &(*place)->next;
        } else {
            drop(place);
        }
    }
    for (size_t i = 0; i < n; i++) {
        add(departed, names[i]);
    }
}

bool mgr_departed_has(const struct mgr_departed *departed, const struct lutra_node_record *record)
{
    for (const struct mark *mark = departed->first; mark != NULL; mark = mark->next) {
        const struct lutra_node_record *left = &mark->record;

        if (mark->valid && strcmp(left->service, record->service) == 0 &&
            strcmp(left->instance, record->instance) == 0 &&
            strcmp(left->host, record->host) == 0 && left->pid == record->pid &&
            left->started_ms == record->started_ms) {
            return true;
        }
    }
    return false;
}

void mgr_departed_sweep(struct mgr_departed *departed, uint64_t keep_ms)
{
    for (const struct mark *mark = departed->first; mark != NULL; mark = mark->next) {
        if (lutra_znode_exists(mark->znode) && now_ms(departed) - mark->seen_ms > keep_ms) {
            lutra_coord_delete(departed->coord, mark->path, lutra_znode_version(mark->znode), NULL,
                               NULL);
        }
    }
}

void mgr_departed_renew(struct mgr_departed *departed)
{
    for (struct mark *mark = departed->first; mark != NULL; mark = mark->next) {
        mark->seen_ms = now_ms(departed);
    }
}

struct mgr_departed *mgr_departed_new(struct lutra_coord *coord)
{
    struct mgr_departed *departed = LUTRA_NEW(struct mgr_departed);

    departed->coord = coord;
    departed->children = lutra_zchildren_new(coord, PATH, on_children, departed);
    return departed;
}

void mgr_departed_free(struct mgr_departed *departed)
{
    if (departed == NULL) {
        return;
    }
    lutra_zchildren_free(departed->children);
    while (departed->first != NULL) {
        drop(&departed->first);
    }
    lutra_free(departed);
}
