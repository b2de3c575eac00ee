/* Channel definitions on disk: one file per channel, the definition as canonical JSON behind a line
 * that says which tree of ZooKeeper it was seen in. Private to the module.
 *
 * Written by a worker, each file whole: temporary file, fsync, rename, fsync of the folder. */
#ifndef LUTRA_CATALOG_CACHE_H
#define LUTRA_CATALOG_CACHE_H

#include "loop/loop.h"
#include "model/channel.h"

/* /lutra/channels when the channel was listed there. Deleting a channel afterwards raises pzxid and
 * leaves the rest; in a wiped ZooKeeper the node was made anew (transactions count from the start
 * again there, so czxid alone may be the same); a restored older snapshot has a lower pzxid. */
struct lutra_cache_stamp {
    int64_t czxid, ctime_ms, pzxid;
};

struct lutra_cache;
/* Makes the folder when it is missing; what fails is logged, here and later. */
struct lutra_cache *lutra_cache_new(struct lutra_loop *loop, const char *dir);
/* Finishes what is to be written. NULL is legal. */
void lutra_cache_free(struct lutra_cache *cache);
/* Calls fn, which takes the channel over, for each definition that can be read; blocks: at start.
 */
void lutra_cache_load(struct lutra_cache *cache,
                      void (*fn)(struct lutra_channel *channel,
                                 const struct lutra_cache_stamp *stamp,
                                 void *arg),
                      void *arg);
void lutra_cache_write(struct lutra_cache *cache,
                       const struct lutra_channel *channel,
                       const struct lutra_cache_stamp *stamp);
void lutra_cache_remove(struct lutra_cache *cache, const char *channel);

#endif
