/* What the files of this module share.
 *
 * DESIGN: catalog.c follows the channels: which there are, their definitions, what to make of one
 * that is gone. pipeline.c follows the records of each pipeline. */
#ifndef LUTRA_CATALOG_CATALOG_PRIVATE_H
#define LUTRA_CATALOG_CATALOG_PRIVATE_H

#include <uthash.h>

#include "catalog/cache.h"
#include "catalog/catalog.h"
#include "coord/mirror.h"

/* Follows the record of the group that one side of a pipeline uses. */
struct cat_media {
    struct cat_pipeline *pipeline;
    char *group; /* NULL: a single server, or nobody wants to know */
    struct lutra_znode *znode;
};

struct cat_pipeline {
    struct lutra_pipeline pub; /* first */
    struct lutra_catalog *catalog;
    struct cat_channel *channel;
    struct lutra_znode *control, *origin, *select, *load, *position; /* NULL: not wanted */
    struct cat_media source_media, target_media;
    UT_hash_handle hh; /* by pub.id */
};

struct cat_channel {
    struct lutra_catalog *catalog;
    char *name;
    struct lutra_channel *def; /* NULL: none that could be read yet */
    bool from_cache, listed, in_cache, unknown;
    bool incomplete;                       /* a pipeline's name was taken by another channel */
    struct lutra_cache_stamp seen, cached; /* when it was listed last; as in its file */
    struct lutra_znode *config, *desired;
    bool has_desired;
    struct lutra_desired_record desired_record;
    struct cat_channel *prev, *next;
};

struct lutra_catalog {
    uint32_t magic;
    struct lutra_coord *coord;
    unsigned watch;
    const struct lutra_catalog_handler *handler;
    void *arg;
    struct lutra_cache *cache; /* may be NULL */
    struct lutra_task *begin;  /* adds what came from the cache */
    struct lutra_zchildren *list;
    struct lutra_zchildren *managers; /* NULL: not wanted */
    struct cat_channel *channels;
    struct cat_pipeline *pipelines;
};

/* Adds and tells. `def` is of channel->def. */
void lutra_cat_pipeline_add(struct cat_channel *channel, const struct lutra_pipeline_def *def);
/* Tells, and frees. */
void lutra_cat_pipeline_remove(struct cat_pipeline *pipeline);
void lutra_cat_pipeline_free(struct cat_pipeline *pipeline);
/* Takes over what the channel says, and tells what of it (LUTRA_CHANGED_*) is new. */
void lutra_cat_pipeline_update(struct cat_pipeline *pipeline, unsigned what);
/* What the mirrors say, worked out anew; tells of `what`. */
void lutra_cat_pipeline_tell(struct cat_pipeline *pipeline, unsigned what);

/* ---- media.c ---- */
/* Follows the groups that the definition names now. */
void lutra_cat_media_follow(struct cat_pipeline *pipeline);
void lutra_cat_media_free(struct cat_pipeline *pipeline);

/* A record that cannot be read: the former value stays. */
void lutra_cat_malformed(const char *path, const struct lutra_error *err);

#endif
