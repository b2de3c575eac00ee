/* Mirrors: the current value of a node, or the current children of one, kept across reconnections
 * and sessions. */
#ifndef LUTRA_COORD_MIRROR_H
#define LUTRA_COORD_MIRROR_H

#include "coord/coord.h"

struct lutra_znode;
/* fn is called in a later turn after the first read and after every change (also: appears,
 * vanishes). */
struct lutra_znode *
lutra_znode_new(struct lutra_coord *coord, const char *path, void (*fn)(void *arg), void *arg);
void lutra_znode_free(struct lutra_znode *znode);
bool lutra_znode_known(const struct lutra_znode *znode); /* read at least once */
bool lutra_znode_exists(const struct lutra_znode *znode);
/* Borrowed until the next change; "" when absent. */
const char *lutra_znode_data(const struct lutra_znode *znode, size_t *len);
int32_t lutra_znode_version(const struct lutra_znode *znode); /* -1 when absent */
const struct lutra_coord_stat *lutra_znode_stat(const struct lutra_znode *znode);

struct lutra_zchildren;
struct lutra_zchildren *
lutra_zchildren_new(struct lutra_coord *coord, const char *path, void (*fn)(void *arg), void *arg);
void lutra_zchildren_free(struct lutra_zchildren *children);
bool lutra_zchildren_known(const struct lutra_zchildren *children);
bool lutra_zchildren_exists(const struct lutra_zchildren *children); /* the parent does */
/* Of the parent, as of the last read; version -1 when absent. */
const struct lutra_coord_stat *lutra_zchildren_stat(const struct lutra_zchildren *children);
/* Sorted; borrowed until the next change. */
size_t lutra_zchildren_names(const struct lutra_zchildren *children, const char *const **names);

#endif
