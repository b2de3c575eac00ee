/* Who a source is, where it may be one of several servers.
 *
 * The identity of a single server is what the source port says ("mariadb:1:0"); that of a media
 * group's member has the member's name in front ("b/mariadb:2:0"). The checkpoint bears the
 * identity of the server that its position was read from. */
#ifndef LUTRA_SELECT_IDENTITY_H
#define LUTRA_SELECT_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

/* member NULL: a single server. Returns out. */
char *sel_identity_make(const char *member, const char *server, char *out, size_t size);
/* File and offset of the one hold at the other: the same server, under the same name or under a
 * name that one of them does not have (the definition was changed between server and group). */
bool sel_identity_same(const char *known, const char *now);
/* `now` is a group's member by another name than `known`: another server, as the group foresees. */
bool sel_identity_switched(const char *known, const char *now);

#endif
