/* ZooKeeper, seen from outside: one short session per call. `connect` may carry a chroot. */
#ifndef LUTRA_TEST_SUPPORT_ZK_H
#define LUTRA_TEST_SUPPORT_ZK_H

#include <stdbool.h>
#include <stddef.h>

/* A persistent node; one that is there already is left alone. */
void lutra_zk_create(const char *connect, const char *path, const char *value);
/* The value as heap text; NULL when there is no such node. */
char *lutra_zk_get(const char *connect, const char *path);
void lutra_zk_set(const char *connect, const char *path, const char *value); /* any version */
/* False when there is no such node. */
bool lutra_zk_delete(const char *connect, const char *path);
/* Names of the children, sorted, joined by ' '; heap; NULL when there is no such node. */
char *lutra_zk_children(const char *connect, const char *path);

#endif
