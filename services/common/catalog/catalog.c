#include "catalog/catalog.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "catalog/catalog_private.h"

enum { MAGIC = 0x7a5c2001 };
static const char CHANNELS[] = "/lutra/channels", ELECTION[] = "/lutra/manager/election";

static void on_config(void *arg);
static void on_desired(void *arg);
static void on_gone_watch(const char *path, void *arg);
static void on_gone_read(const struct lutra_coord_result *result, void *arg);

/* --- channels --- */

static struct cat_channel *channel_find(const struct lutra_catalog *catalog, const char *name)
{
    struct cat_channel *channel;

    DL_FOREACH(catalog->channels, channel)
    {
        if (strcmp(channel->name, name) == 0) {
            return channel;
        }
    }
    return NULL;
}

static struct cat_channel *channel_add(struct lutra_catalog *catalog, const char *name)
{
    struct cat_channel *channel = LUTRA_NEW(struct cat_channel);
    char path[256];

    channel->catalog = catalog;
    channel->name = lutra_strdup(name);
    channel->config = lutra_znode_new(catalog->coord, lutra_path_channel(name, "config", path),
                                      on_config, channel);
    if (catalog->watch & LUTRA_CHANGED_DESIRED) {
        channel->desired = lutra_znode_new(
            catalog->coord, lutra_path_channel(name, "desired", path), on_desired, channel);
    }
    DL_APPEND(catalog->channels, channel);
    return channel;
}

static void channel_free(struct cat_channel *channel)
{
    DL_DELETE(channel->catalog->channels, channel);
    lutra_coord_forget(channel->catalog->coord, channel);
    lutra_znode_free(channel->config);
    lutra_znode_free(channel->desired);
    lutra_channel_free(channel->def);
    lutra_free(channel->name);
    lutra_free(channel);
}

static struct lutra_cache_stamp stamp_of(const struct lutra_coord_stat *stat)
{
    return (struct lutra_cache_stamp){
        .czxid = stat->czxid, .ctime_ms = stat->ctime_ms, .pzxid = stat->pzxid};
}

static bool same_tree(const struct lutra_cache_stamp *a, const struct lutra_cache_stamp *b)
{
    return a->czxid == b->czxid && a->ctime_ms == b->ctime_ms;
}

/* Its file is brought up to date when the tree it was seen in is known, too. */
static void channel_save(struct cat_channel *channel, bool changed)
{
    if (!channel->catalog->cache || !channel->listed || !channel->def || channel->from_cache ||
        (!changed && channel->in_cache && same_tree(&channel->cached, &channel->seen))) {
        return;
    }
    channel->in_cache = true;
    channel->cached = channel->seen;
    lutra_cache_write(channel->catalog->cache, channel->def, &channel->seen);
}

/* While its definition is there: what is gone is compared with when it was. */
static void note_seen(struct cat_channel *channel)
{
    const struct lutra_coord_stat *stat = lutra_zchildren_stat(channel->catalog->list);

    if (channel->listed && lutra_znode_exists(channel->config)) {
        channel->seen = stamp_of(stat);
    }
}

static void update_pipelines(struct cat_channel *channel, unsigned what)
{
    struct cat_pipeline *pipeline, *next;

    HASH_ITER(hh, channel->catalog->pipelines, pipeline, next)
    {
        if (pipeline->channel == channel) {
            lutra_cat_pipeline_update(pipeline, what);
        }
    }
}

/* Pipelines of channel->def that are not there yet. */
static void add_pipelines(struct cat_channel *channel)
{
    channel->incomplete = false;
    for (size_t i = 0; i < channel->def->n_pipelines; i++) {
        const struct lutra_pipeline_def *def = &channel->def->pipelines[i];
        const struct cat_pipeline *taken;

        HASH_FIND_STR(channel->catalog->pipelines, def->name, taken);
        if (!taken) {
            lutra_cat_pipeline_add(channel, def);
        } else if (taken->channel != channel) {
            channel->incomplete = true;
            LUTRA_ERROR("catalog.pipeline_name_taken", LUTRA_F_STR("pipeline", def->name),
                        LUTRA_F_STR("channel", channel->name),
                        LUTRA_F_STR("taken_by", taken->channel->name));
        }
    }
}

/* Pipelines of the channel that `def` (NULL: none) does not have. */
static void remove_pipelines(struct cat_channel *channel, const struct lutra_channel *def)
{
    struct lutra_catalog *catalog = channel->catalog;
    struct cat_pipeline *pipeline, *next;
    struct cat_channel *other;
    bool removed = false;

    HASH_ITER(hh, catalog->pipelines, pipeline, next)
    {
        if (pipeline->channel == channel &&
            !(def && lutra_channel_pipeline(def, pipeline->pub.id))) {
            lutra_cat_pipeline_remove(pipeline);
            removed = true;
        }
    }
    DL_FOREACH(catalog->channels, other)
    {
        if (removed && other != channel && other->incomplete) {
            add_pipelines(other);
        }
    }
}

/* Takes `def` over. */
static void set_definition(struct cat_channel *channel, struct lutra_channel *def)
{
    struct lutra_channel *former = channel->def;

    remove_pipelines(channel, def);
    channel->def = def;
    update_pipelines(channel, LUTRA_CHANGED_CONFIG);
    add_pipelines(channel);
    lutra_channel_free(former);
}

/* --- a definition appears or changes --- */

static struct lutra_channel *parse_config(const struct cat_channel *channel)
{
    struct lutra_error err = {0};
    struct lutra_channel *def;
    char path[256];
    size_t len;
    const char *data = lutra_znode_data(channel->config, &len);

    (void)lutra_path_channel(channel->name, "config", path);
    def = lutra_channel_parse(data, len, path, &err);
    if (def && strcmp(def->name, channel->name) != 0) {
        (void)lutra_error_set(&err, LUTRA_DATA, 0, "it defines channel %s", def->name);
        lutra_channel_free(def);
        def = NULL;
    }
    if (!def) {
        lutra_cat_malformed(path, &err);
    }
    return def;
}

static void accept_config(struct cat_channel *channel)
{
    struct lutra_channel *def = parse_config(channel);
    bool was_unknown = channel->unknown;

    if (!def) {
        return;
    }
    if (channel->def && def->version < channel->def->version) {
        LUTRA_WARN("catalog.config_went_back", LUTRA_F_STR("channel", channel->name),
                   LUTRA_F_U64("version", def->version),
                   LUTRA_F_U64("former_version", channel->def->version));
    }
    channel->from_cache = false;
    channel->unknown = false;
    note_seen(channel);
    if (channel->def && channel->def->version == def->version &&
        lutra_channel_same(channel->def, def)) {
        lutra_channel_free(def);
        if (was_unknown) {
            LUTRA_INFO("catalog.known_again", LUTRA_F_STR("channel", channel->name));
        }
        update_pipelines(channel, LUTRA_CHANGED_CONFIG);
        channel_save(channel, false);
        return;
    }
    LUTRA_INFO("catalog.config", LUTRA_F_STR("channel", channel->name),
               LUTRA_F_U64("version", def->version), LUTRA_F_U64("pipelines", def->n_pipelines));
    set_definition(channel, def);
    channel_save(channel, true);
}

static void on_config(void *arg)
{
    struct cat_channel *channel = arg;

    if (lutra_znode_exists(channel->config)) {
        accept_config(channel);
    } else if (channel->def) {
        on_gone_watch(CHANNELS, channel);
    }
}

static void on_desired(void *arg)
{
    struct cat_channel *channel = arg;
    struct lutra_desired_record record = {0};
    struct lutra_error err;
    char path[256];
    size_t len;
    const char *data = lutra_znode_data(channel->desired, &len);

    if (!lutra_znode_exists(channel->desired)) {
        channel->has_desired = false;
    } else if (lutra_desired_from_json(data, len, &record, &err) == 0) {
        channel->desired_record = record;
        channel->has_desired = true;
    } else {
        lutra_cat_malformed(lutra_path_channel(channel->name, "desired", path), &err);
    }
    update_pipelines(channel, LUTRA_CHANGED_DESIRED);
}

/* --- a definition is gone: deleted, or lost with the tree? --- */

/* The list of channels, read after the definition was found gone: in one session, reads do not go
 * back. Read again at every change of the list, for as long as the definition is gone. */
static void on_gone_watch(const char *path, void *arg)
{
    struct cat_channel *channel = arg;

    if (!lutra_znode_exists(channel->config) && channel->def) {
        lutra_coord_children(channel->catalog->coord, path, on_gone_watch, on_gone_read, channel);
    }
}

static bool was_deleted(const struct cat_channel *channel, const struct lutra_coord_result *result)
{
    struct lutra_cache_stamp now = stamp_of(&result->stat);

    if (result->rc != LUTRA_COORD_OK) {
        return false;
    }
    if (channel->seen.czxid == 0) { /* never seen in a list: only a file of ours would be lost */
        return !channel->from_cache;
    }
    if (!same_tree(&now, &channel->seen)) {
        return false;
    }
    for (size_t i = 0; i < result->n_children; i++) {
        if (strcmp(result->children[i], channel->name) == 0) {
            return true; /* the channel's node stands, only the definition was deleted */
        }
    }
    return now.pzxid > channel->seen.pzxid;
}

static void forget_channel(struct cat_channel *channel)
{
    LUTRA_INFO("catalog.channel_deleted", LUTRA_F_STR("channel", channel->name));
    remove_pipelines(channel, NULL);
    lutra_channel_free(channel->def);
    channel->def = NULL;
    channel->from_cache = false;
    channel->unknown = false;
    if (channel->in_cache) {
        channel->in_cache = false;
        lutra_cache_remove(channel->catalog->cache, channel->name);
    }
    if (!channel->listed) {
        channel_free(channel);
    }
}

static void on_gone_read(const struct lutra_coord_result *result, void *arg)
{
    struct cat_channel *channel = arg;

    if (lutra_znode_exists(channel->config) || !channel->def ||
        (result->rc != LUTRA_COORD_OK && result->rc != LUTRA_COORD_NO_NODE)) {
        return; /* it is back, or the watch asks again */
    }
    if (!channel->unknown && was_deleted(channel, result)) {
        forget_channel(channel);
    } else if (!channel->unknown) {
        channel->unknown = true;
        LUTRA_ERROR("catalog.unknown_to_zookeeper", LUTRA_F_STR("channel", channel->name),
                    LUTRA_F_U64("version", channel->def->version),
                    LUTRA_F_STR("hint", "ZooKeeper was wiped or restored from an older snapshot; "
                                        "the channel is not run until it is recovered "
                                        "(lutractl recover) or applied again"));
        update_pipelines(channel, LUTRA_CHANGED_CONFIG);
    }
}

/* --- the list of channels --- */

static void on_list(void *arg)
{
    struct lutra_catalog *catalog = arg;
    const char *const *names;
    size_t n = lutra_zchildren_names(catalog->list, &names);
    struct cat_channel *channel, *next;

    DL_FOREACH(catalog->channels, channel)
    {
        channel->listed = false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!lutra_name_valid(names[i])) {
            LUTRA_WARN("catalog.name_ignored", LUTRA_F_STR("channel", names[i]));
            continue;
        }
        channel = channel_find(catalog, names[i]);
        if (!channel) {
            channel = channel_add(catalog, names[i]);
        }
        channel->listed = true;
        note_seen(channel);
        channel_save(channel, false);
    }
    DL_FOREACH_SAFE(catalog->channels, channel, next)
    {
        if (!channel->listed && !channel->def && !lutra_znode_exists(channel->config)) {
            channel_free(channel);
        }
    }
}

static void on_managers(void *arg)
{
    (void)arg; /* looked at when somebody asks */
}

/* --- the catalog --- */

static void on_cached(struct lutra_channel *def, const struct lutra_cache_stamp *stamp, void *arg)
{
    struct cat_channel *channel = channel_add(arg, def->name);

    channel->def = def;
    channel->from_cache = true;
    channel->in_cache = true;
    channel->seen = channel->cached = *stamp;
}

static void on_begin(void *arg)
{
    struct lutra_catalog *catalog = arg;
    struct cat_channel *channel;

    DL_FOREACH(catalog->channels, channel)
    {
        if (channel->def) {
            LUTRA_INFO("catalog.from_cache", LUTRA_F_STR("channel", channel->name),
                       LUTRA_F_U64("version", channel->def->version));
            add_pipelines(channel);
        }
    }
}

struct lutra_catalog *lutra_catalog_new(struct lutra_coord *coord,
                                        const char *cache_dir,
                                        unsigned watch,
                                        const struct lutra_catalog_handler *handler,
                                        void *arg)
{
    struct lutra_catalog *catalog = LUTRA_NEW(struct lutra_catalog);

    catalog->magic = MAGIC;
    catalog->coord = coord;
    catalog->watch = watch;
    catalog->handler = handler;
    catalog->arg = arg;
    catalog->begin = lutra_task_new(lutra_coord_loop(coord), on_begin, catalog);
    catalog->list = lutra_zchildren_new(coord, CHANNELS, on_list, catalog);
    if (watch & LUTRA_WATCH_MANAGERS) {
        catalog->managers = lutra_zchildren_new(coord, ELECTION, on_managers, catalog);
    }
    if (cache_dir) {
        catalog->cache = lutra_cache_new(lutra_coord_loop(coord), cache_dir);
        lutra_cache_load(catalog->cache, on_cached, catalog);
    }
    lutra_task_schedule(catalog->begin);
    return catalog;
}

void lutra_catalog_free(struct lutra_catalog *catalog)
{
    struct cat_pipeline *pipeline, *next;

    if (!catalog) {
        return;
    }
    LUTRA_ASSERT(catalog->magic == MAGIC);
    HASH_ITER(hh, catalog->pipelines, pipeline, next)
    {
        lutra_cat_pipeline_free(pipeline);
    }
    while (catalog->channels) {
        channel_free(catalog->channels);
    }
    lutra_zchildren_free(catalog->list);
    lutra_zchildren_free(catalog->managers);
    lutra_task_free(catalog->begin);
    lutra_cache_free(catalog->cache);
    catalog->magic = 0;
    lutra_free(catalog);
}

struct lutra_pipeline *lutra_catalog_find(struct lutra_catalog *catalog, const char *pipeline)
{
    struct cat_pipeline *found;

    HASH_FIND_STR(catalog->pipelines, pipeline, found);
    return found ? &found->pub : NULL;
}

void lutra_catalog_each(struct lutra_catalog *catalog,
                        void (*fn)(struct lutra_pipeline *pipeline, void *arg),
                        void *arg)
{
    struct cat_pipeline *pipeline, *next;

    HASH_ITER(hh, catalog->pipelines, pipeline, next)
    {
        fn(&pipeline->pub, arg);
    }
}

void lutra_catalog_definitions(const struct lutra_catalog *catalog,
                               void (*fn)(const struct lutra_channel *channel,
                                          bool unknown_to_zookeeper,
                                          void *arg),
                               void *arg)
{
    const struct cat_channel *channel;

    DL_FOREACH(catalog->channels, channel)
    {
        if (channel->def) {
            fn(channel->def, channel->unknown, arg);
        }
    }
}

bool lutra_catalog_known(const struct lutra_catalog *catalog)
{
    return lutra_zchildren_known(catalog->list);
}

bool lutra_catalog_managed(const struct lutra_catalog *catalog)
{
    const char *const *names;

    return catalog->managers && lutra_zchildren_known(catalog->managers) &&
           lutra_zchildren_names(catalog->managers, &names) > 0;
}
