/* The records of one pipeline. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "catalog/catalog_private.h"

void lutra_cat_malformed(const char *path, const struct lutra_error *err)
{
    LUTRA_ERROR("catalog.malformed", LUTRA_F_STR("path", path), LUTRA_F_ERR(err),
                LUTRA_F_STR("hint", "the former value is kept"));
}

static bool read_or_unwanted(const struct lutra_znode *znode)
{
    return !znode || lutra_znode_known(znode);
}

static bool all_known(const struct cat_pipeline *pipeline)
{
    return read_or_unwanted(pipeline->channel->desired) && read_or_unwanted(pipeline->control) &&
           read_or_unwanted(pipeline->origin) && read_or_unwanted(pipeline->select) &&
           read_or_unwanted(pipeline->load) && read_or_unwanted(pipeline->position);
}

/* What follows from the rest. */
static void conclude(struct cat_pipeline *pipeline)
{
    const struct cat_channel *channel = pipeline->channel;
    struct lutra_pipeline *pub = &pipeline->pub;

    pub->from_cache = channel->from_cache;
    pub->unknown_to_zookeeper = channel->unknown;
    pub->has_desired = channel->has_desired;
    pub->desired = channel->desired_record;
    /* A group that only a new definition names: each side says so, the rest stays known. */
    pub->known =
        all_known(pipeline) && (pub->known || (pub->source_media.known && pub->target_media.known));
    pub->permit = !channel->unknown && pub->has_desired &&
                  pub->desired.state == LUTRA_DESIRED_START && pub->has_control &&
                  pub->control.start;
}

void lutra_cat_pipeline_tell(struct cat_pipeline *pipeline, unsigned what)
{
    conclude(pipeline);
    if (pipeline->catalog->handler->on_changed) {
        pipeline->catalog->handler->on_changed(&pipeline->pub, what, pipeline->catalog->arg);
    }
}

void lutra_cat_pipeline_update(struct cat_pipeline *pipeline, unsigned what)
{
    struct lutra_pipeline *pub = &pipeline->pub;

    pub->channel = pipeline->channel->def;
    pub->def = lutra_channel_pipeline(pub->channel, pub->id);
    pub->config_version = pub->channel->version;
    lutra_cat_media_follow(pipeline);
    lutra_cat_pipeline_tell(pipeline, what);
}

/* --- the mirrors --- */

/* The data of a znode that exists; NULL: absent. */
static const char *content(const struct lutra_znode *znode, size_t *len)
{
    return lutra_znode_exists(znode) ? lutra_znode_data(znode, len) : NULL;
}

static void refused(const struct cat_pipeline *pipeline, const char *leaf, struct lutra_error *err)
{
    char path[256];

    lutra_cat_malformed(lutra_path_pipeline(pipeline->pub.id, leaf, path), err);
}

static void on_control(void *arg)
{
    struct cat_pipeline *pipeline = arg;
    struct lutra_pipeline *pub = &pipeline->pub;
    struct lutra_control record = {0};
    struct lutra_error err;
    size_t len;
    const char *data = content(pipeline->control, &len);

    if (!data) {
        pub->has_control = false;
    } else if (lutra_control_from_json(data, len, &record, &err) == 0) {
        pub->control = record;
        pub->has_control = true;
    } else {
        refused(pipeline, "control", &err);
    }
    pub->control_version = lutra_znode_version(pipeline->control);
    lutra_cat_pipeline_tell(pipeline, LUTRA_CHANGED_CONTROL);
}

static void on_origin(void *arg)
{
    struct cat_pipeline *pipeline = arg;
    struct lutra_pipeline *pub = &pipeline->pub;
    struct lutra_origin record = {0};
    struct lutra_error err;
    size_t len;
    const char *data = content(pipeline->origin, &len);

    if (!data) {
        lutra_origin_fini(&pub->origin);
        pub->origin = record;
        pub->has_origin = false;
    } else if (lutra_origin_from_json(data, len, &record, &err) == 0) {
        lutra_origin_fini(&pub->origin);
        pub->origin = record;
        pub->has_origin = true;
    } else {
        refused(pipeline, "origin", &err);
    }
    lutra_cat_pipeline_tell(pipeline, LUTRA_CHANGED_ORIGIN);
}

static void take_owner(const struct cat_pipeline *pipeline,
                       const struct lutra_znode *znode,
                       const char *leaf,
                       bool *has,
                       struct lutra_owner_record *owner)
{
    struct lutra_owner_record record = {0};
    struct lutra_error err;
    size_t len;
    const char *data = content(znode, &len);

    if (!data) {
        *has = false;
    } else if (lutra_owner_from_json(data, len, &record, &err) == 0) {
        *owner = record;
        *has = true;
    } else {
        refused(pipeline, leaf, &err);
    }
}

static void on_select(void *arg)
{
    struct cat_pipeline *pipeline = arg;

    take_owner(pipeline, pipeline->select, "select", &pipeline->pub.has_select,
               &pipeline->pub.select_owner);
    lutra_cat_pipeline_tell(pipeline, LUTRA_CHANGED_OWNERS);
}

static void on_load(void *arg)
{
    struct cat_pipeline *pipeline = arg;

    take_owner(pipeline, pipeline->load, "load", &pipeline->pub.has_load,
               &pipeline->pub.load_owner);
    lutra_cat_pipeline_tell(pipeline, LUTRA_CHANGED_OWNERS);
}

static void on_position(void *arg)
{
    struct cat_pipeline *pipeline = arg;
    struct lutra_pipeline *pub = &pipeline->pub;
    struct lutra_position_record record = {0};
    struct lutra_error err;
    size_t len;
    const char *data = content(pipeline->position, &len);

    if (!data) {
        lutra_position_record_fini(&pub->position);
        pub->position = record;
        pub->has_position = false;
    } else if (lutra_position_record_from_json(data, len, &record, &err) == 0) {
        lutra_position_record_fini(&pub->position);
        pub->position = record;
        pub->has_position = true;
    } else {
        refused(pipeline, "position", &err);
    }
    lutra_cat_pipeline_tell(pipeline, LUTRA_CHANGED_POSITION);
}

static struct lutra_znode *
mirror(struct cat_pipeline *pipeline, unsigned what, const char *leaf, void (*fn)(void *arg))
{
    char path[256];

    if (!(pipeline->catalog->watch & what)) {
        return NULL;
    }
    return lutra_znode_new(pipeline->catalog->coord,
                           lutra_path_pipeline(pipeline->pub.id, leaf, path), fn, pipeline);
}

/* --- life --- */

static int by_id(const struct cat_pipeline *a, const struct cat_pipeline *b)
{
    return strcmp(a->pub.id, b->pub.id);
}

void lutra_cat_pipeline_add(struct cat_channel *channel, const struct lutra_pipeline_def *def)
{
    struct lutra_catalog *catalog = channel->catalog;
    struct cat_pipeline *pipeline = LUTRA_NEW(struct cat_pipeline);

    pipeline->catalog = catalog;
    pipeline->channel = channel;
    pipeline->pub.id = lutra_strdup(def->name);
    pipeline->pub.channel = channel->def;
    pipeline->pub.def = def;
    pipeline->pub.config_version = channel->def->version;
    pipeline->pub.control_version = -1;
    HASH_ADD_KEYPTR(hh, catalog->pipelines, pipeline->pub.id, strlen(pipeline->pub.id), pipeline);
    HASH_SORT(catalog->pipelines, by_id);
    pipeline->control = mirror(pipeline, LUTRA_CHANGED_CONTROL, "control", on_control);
    pipeline->origin = mirror(pipeline, LUTRA_CHANGED_ORIGIN, "origin", on_origin);
    pipeline->select = mirror(pipeline, LUTRA_CHANGED_OWNERS, "select", on_select);
    pipeline->load = mirror(pipeline, LUTRA_CHANGED_OWNERS, "load", on_load);
    pipeline->position = mirror(pipeline, LUTRA_CHANGED_POSITION, "position", on_position);
    lutra_cat_media_follow(pipeline);
    conclude(pipeline);
    if (catalog->handler->on_added) {
        catalog->handler->on_added(&pipeline->pub, catalog->arg);
    }
}

void lutra_cat_pipeline_free(struct cat_pipeline *pipeline)
{
    HASH_DEL(pipeline->catalog->pipelines, pipeline);
    lutra_znode_free(pipeline->control);
    lutra_znode_free(pipeline->origin);
    lutra_znode_free(pipeline->select);
    lutra_znode_free(pipeline->load);
    lutra_znode_free(pipeline->position);
    lutra_cat_media_free(pipeline);
    lutra_origin_fini(&pipeline->pub.origin);
    lutra_position_record_fini(&pipeline->pub.position);
    lutra_free((char *)(uintptr_t)pipeline->pub.id);
    lutra_free(pipeline);
}

void lutra_cat_pipeline_remove(struct cat_pipeline *pipeline)
{
    const struct lutra_catalog *catalog = pipeline->catalog;

    if (catalog->handler->on_removed) {
        catalog->handler->on_removed(&pipeline->pub, catalog->arg);
    }
    lutra_cat_pipeline_free(pipeline);
}
