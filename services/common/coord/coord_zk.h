/* ZooKeeper behind the coordination port: the single-threaded C client driven by the loop, with a
 * back-off after connection loss, requests queued while disconnected, and a new handle after
 * expiry. */
#ifndef LUTRA_COORD_COORD_ZK_H
#define LUTRA_COORD_COORD_ZK_H

#include "coord/coord.h"

/* connect: "host:port[,host:port...][/chroot]" (the chroot is created). Give hosts by address where
 * you can: the client resolves names by a blocking call, at start and after a lost connection. NULL
 * and CONFIG for a malformed string only; whether anybody answers shows later. */
struct lutra_coord *lutra_coord_zk_new(struct lutra_loop *loop,
                                       const char *connect,
                                       uint64_t session_timeout_ms,
                                       struct lutra_error *err);

#endif
