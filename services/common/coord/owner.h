/* Ephemeral nodes that are kept: a registration, and ownership with standbys (docs/PROTOCOL.md
 * §6.1). */
#ifndef LUTRA_COORD_OWNER_H
#define LUTRA_COORD_OWNER_H

#include "coord/coord.h"

/* Keeps an ephemeral node with this data alive through session changes. An older node of the same
 * path that belongs to another session is waited out (it is a former self or a namesake: told once
 * by the log). */
struct lutra_registration;
struct lutra_registration *
lutra_registration_new(struct lutra_coord *coord, const char *path, const char *data);
void lutra_registration_set(struct lutra_registration *reg, const char *data);
void lutra_registration_free(struct lutra_registration *reg); /* deletes the node */

enum lutra_owner_state {
    LUTRA_OWNER_STANDBY,   /* somebody else owns it, or nobody does yet */
    LUTRA_OWNER_OWNED,     /* ours, and the connection is up */
    LUTRA_OWNER_SUSPENDED, /* was ours when the connection went; the session may still live */
};
/* Contends for an ephemeral node {instance, session}. `session` is new for every node created. When
 * the node vanishes the former owner may retake it at once, standbys wait protection_ms; a node of
 * this instance but of another session is that of a former run: waited out, then retaken at once.
 * fn on every change of state, in later turns; it may free the owner. */
struct lutra_owner;
struct lutra_owner *lutra_owner_new(struct lutra_coord *coord,
                                    const char *path,
                                    const char *instance,
                                    uint64_t protection_ms,
                                    void (*fn)(enum lutra_owner_state state, void *arg),
                                    void *arg);
enum lutra_owner_state lutra_owner_state_of(const struct lutra_owner *owner);
const char *
lutra_owner_session(const struct lutra_owner *owner); /* of the node we own(ed); "" in STANDBY */
/* Gives it up: deletes our node and stays a standby that will not contend for back_off_ms. */
void lutra_owner_stand_down(struct lutra_owner *owner, uint64_t back_off_ms);
void lutra_owner_free(struct lutra_owner *owner); /* deletes our node */

#endif
