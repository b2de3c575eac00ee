/* Network namespaces of a test: parties with addresses of their own, which can be cut off from each
 * other in one direction or both. They are named after the test's process and removed when it ends;
 * what a crashed test left behind is removed by the next one.
 *
 * A unix socket is reached from every namespace; a process stays in the one that it was started
 * in. So a test starts a server or a service inside a namespace by entering it, and leaves again.
 */
#ifndef LUTRA_TEST_SUPPORT_NETNS_H
#define LUTRA_TEST_SUPPORT_NETNS_H

#include <stdbool.h>

struct lutra_netns {
    char name[64];    /* as `ip netns` knows it */
    char path[96];    /* /run/netns/<name> */
    char address[16]; /* "" until it has joined a hub */
    int fd;
    struct lutra_netns *next;
};

/* What this machine lacks to make them, as static text; NULL: nothing. */
const char *lutra_netns_missing(void);
/* Skips the test, by name of what is missing, where namespaces or TUN devices cannot be made; fails
 * it when LUTRA_TEST_REQUIRE_SERVERS is set. First of all. */
void lutra_netns_need(void);

/* A new namespace with its loopback up. Owned by the library. */
struct lutra_netns *lutra_netns_add(const char *name);
/* The same with a bridge, which has this address in a /24, that others join. It forwards. */
struct lutra_netns *lutra_netns_add_hub(const char *name, const char *address);
/* The same, joined to the hub with an address of the hub's /24; its default route is the hub. */
struct lutra_netns *
lutra_netns_add_party(const char *name, struct lutra_netns *hub, const char *address);

/* This thread, and what it starts from now on, is in the namespace. NULL: where it was at first. */
void lutra_netns_enter(const struct lutra_netns *ns);
/* Where this thread is; NULL: where it was at first. */
const struct lutra_netns *lutra_netns_current(void);
/* Runs a shell command there; ends the test when it fails. */
void lutra_netns_run(const struct lutra_netns *ns, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* From now on `to` gets nothing that `from` sends: its packets are dropped where they come in. The
 * other direction goes on: `to` can still send, and is not heard to be deaf. Both must be parties.
 */
void lutra_netns_cut(const struct lutra_netns *from, const struct lutra_netns *to);
/* The same, but TCP is told: every packet from `from` is answered by a reset. */
void lutra_netns_reset(const struct lutra_netns *from, const struct lutra_netns *to);
/* Both end here. Nothing happens when there was neither. */
void lutra_netns_heal(const struct lutra_netns *from, const struct lutra_netns *to);
/* All of them end. */
void lutra_netns_heal_all(void);

/* Removes the namespaces, and ends the processes inside, of test processes that are gone. */
void lutra_netns_sweep(void);

#endif
