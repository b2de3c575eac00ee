/* Which member of a media group is the current one: /lutra/media/<group>. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "catalog/catalog_private.h"

const struct lutra_endpoint *lutra_pipeline_source(const struct lutra_pipeline *pipeline)
{
    return lutra_channel_endpoint(pipeline->channel, pipeline->def->source);
}

const struct lutra_endpoint *lutra_pipeline_target(const struct lutra_pipeline *pipeline)
{
    return lutra_channel_endpoint(pipeline->channel, pipeline->def->target);
}

static void read_record(const struct cat_media *media, struct lutra_media_side *side)
{
    struct lutra_media_record record = {0};
    struct lutra_error err;
    size_t len;

    side->version = lutra_znode_version(media->znode);
    if (!lutra_znode_exists(media->znode)) {
        side->has_record = false;
        return;
    }
    const char *data = lutra_znode_data(media->znode, &len);
    if (lutra_media_from_json(data, len, &record, &err) == 0) {
        side->record = record;
        side->has_record = true;
    } else {
        char path[256];

        lutra_cat_malformed(lutra_path_media(media->group, path), &err);
    }
}

/* What the side is, now that the definition or the record is new. */
static void conclude(const struct cat_media *media,
                     const struct lutra_endpoint *endpoint,
                     struct lutra_media_side *side)
{
    const char *member = "";

    side->known = !media->znode || lutra_znode_known(media->znode);
    if (media->znode) {
        member = side->has_record ? side->record.primary : endpoint->primary;
    } else {
        side->has_record = false;
        side->version = -1;
    }
    (void)snprintf(side->member, sizeof(side->member), "%s", member);
}

static void conclude_both(struct cat_pipeline *pipeline)
{
    struct lutra_pipeline *pub = &pipeline->pub;

    conclude(&pipeline->source_media, lutra_pipeline_source(pub), &pub->source_media);
    conclude(&pipeline->target_media, lutra_pipeline_target(pub), &pub->target_media);
}

static void on_record(void *arg)
{
    struct cat_media *media = arg;
    struct cat_pipeline *pipeline = media->pipeline;

    read_record(media, media == &pipeline->source_media ? &pipeline->pub.source_media
                                                        : &pipeline->pub.target_media);
    conclude_both(pipeline);
    lutra_cat_pipeline_tell(pipeline, LUTRA_CHANGED_MEDIA);
}

static void unfollow(struct cat_media *media)
{
    lutra_znode_free(media->znode);
    lutra_free(media->group);
    media->znode = NULL;
    media->group = NULL;
}

static void follow(struct cat_media *media,
                   const struct lutra_endpoint *endpoint,
                   struct lutra_media_side *side)
{
    const struct lutra_catalog *catalog = media->pipeline->catalog;
    const char *group = catalog->watch & LUTRA_CHANGED_MEDIA ? endpoint->group : NULL;
    char path[256];

    if (group && media->group && strcmp(group, media->group) == 0) {
        return;
    }
    unfollow(media);
    side->has_record = false;
    side->version = -1;
    if (group) {
        media->group = lutra_strdup(group);
        media->znode =
            lutra_znode_new(catalog->coord, lutra_path_media(group, path), on_record, media);
    }
}

void lutra_cat_media_follow(struct cat_pipeline *pipeline)
{
    struct lutra_pipeline *pub = &pipeline->pub;

    pipeline->source_media.pipeline = pipeline->target_media.pipeline = pipeline;
    follow(&pipeline->source_media, lutra_pipeline_source(pub), &pub->source_media);
    follow(&pipeline->target_media, lutra_pipeline_target(pub), &pub->target_media);
    conclude_both(pipeline);
}

void lutra_cat_media_free(struct cat_pipeline *pipeline)
{
    unfollow(&pipeline->source_media);
    unfollow(&pipeline->target_media);
}

void lutra_media_write(struct lutra_coord *coord,
                       const char *group,
                       int32_t version,
                       const char *to,
                       const char *by,
                       lutra_coord_fn done,
                       void *arg)
{
    struct lutra_media_record record = {.at_ms =
                                            lutra_loop_wall_us(lutra_coord_loop(coord)) / 1000};
    struct lutra_buf json = {0};
    char path[256];

    (void)snprintf(record.primary, sizeof(record.primary), "%s", to);
    (void)snprintf(record.by, sizeof(record.by), "%s", by);
    lutra_media_to_json(&record, &json);
    lutra_path_media(group, path);
    if (version >= 0) {
        lutra_coord_set(coord, path, (const char *)json.data, json.len, version, done, arg);
    } else {
        lutra_coord_create(coord, path, (const char *)json.data, json.len, 0, done, arg);
    }
    lutra_buf_fini(&json);
}
