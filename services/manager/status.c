/* The JSON of /v1/status and its relatives. */
#include <string.h>

#include "base/mem.h"
#include "manager/manager_private.h"

/* load measures from the moment select read a batch's last event to the target's commit. */
static const char lag_method[] =
    "select's publishing to the target's commit; above a second by the source's clock";

static json_t *string_or_null(const char *text)
{
    json_t *value = text != NULL ? json_string(text) : NULL;

    return value != NULL ? value : json_null();
}

static json_t *u64(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

/* A copy of an entry's member; null when it is absent or a negative number (nothing measured). */
static void copy(json_t *object, const char *key, const json_t *entry, const char *from)
{
    json_t *value = json_object_get(entry, from);

    if (value == NULL || (json_is_number(value) && json_number_value(value) < 0)) {
        set(object, key, json_null());
        return;
    }
    set(object, key, json_deep_copy(value));
}

/* ---- what the parallel stages hold of a pipeline ---- */

struct stage_sum {
    const char *service, *pipeline;
    json_t *instances, *ids;
    const char *last_error;
};

static void add_instance(const struct mgr_node *node, void *arg)
{
    struct stage_sum *sum = arg;
    const json_t *entry, *in_hand;
    const char *error;

    if (strcmp(node->service, sum->service) != 0 || node->vanished_ms != 0 || !node->answers) {
        return;
    }
    entry = mgr_state_entry(node->root, sum->pipeline);
    if (entry == NULL || mgr_entry_blocked(entry)) {
        return;
    }
    json_array_append_new(sum->instances, json_string(node->instance));
    in_hand = json_object_get(entry, "in_hand");
    for (size_t i = 0; i < json_array_size(in_hand); i++) {
        json_array_append(sum->ids, json_array_get(in_hand, i));
    }
    error = json_string_value(json_object_get(entry, "last_error"));
    if (error != NULL && error[0] != '\0') {
        sum->last_error = error;
    }
}

static struct stage_sum
sum_stage(struct lutra_manager *manager, const char *service, const char *pipeline)
{
    struct stage_sum sum = {
        .service = service,
        .pipeline = pipeline,
        .instances = json_array(),
        .ids = json_array(),
        .last_error = "",
    };

    mgr_nodes_each(manager->nodes, add_instance, &sum);
    return sum;
}

/* ---- who cannot serve it ---- */

struct blocked_walk {
    const char *pipeline;
    json_t *array;
};

static void add_blocked(const struct mgr_node *node, void *arg)
{
    const struct blocked_walk *walk = arg;
    const json_t *entry;
    json_t *object;

    if (node->vanished_ms != 0 || !node->answers) {
        return;
    }
    entry = mgr_state_entry(node->root, walk->pipeline);
    if (entry == NULL || !mgr_entry_blocked(entry)) {
        return;
    }
    object = json_pack("{s:s, s:s}", "service", node->service, "instance", node->instance);
    copy(object, "class", entry, "error_class");
    copy(object, "error", entry, "last_error");
    json_array_append_new(walk->array, object);
}

static json_t *blocked_json(struct lutra_manager *manager, const char *pipeline)
{
    struct blocked_walk walk = {.pipeline = pipeline, .array = json_array()};

    mgr_nodes_each(manager->nodes, add_blocked, &walk);
    return walk.array;
}

/* ---- one pipeline ---- */

static json_t *control_json(const struct lutra_pipeline *pipeline)
{
    const struct lutra_control *control = &pipeline->control;

    if (!pipeline->has_control) {
        return json_null();
    }
    return json_pack("{s:s, s:I, s:o, s:I, s:I, s:b, s:o, s:I}", "state",
                     control->start ? "START" : "PAUSE", "epoch", (json_int_t)control->epoch,
                     "reason", string_or_null(control->reason), "retry_at_ms",
                     (json_int_t)control->retry_at_ms, "attempt", (json_int_t)control->attempt,
                     "exhausted", control->exhausted, "by", string_or_null(control->by), "at_ms",
                     (json_int_t)control->at_ms);
}

/* A side that is a media group: the member that is current, and the one that the epoch was made
 * for; null: a single server. */
static json_t *member_json(const struct lutra_endpoint *endpoint,
                           const struct lutra_media_side *side,
                           const char *used)
{
    if (endpoint->group == NULL) {
        return json_null();
    }
    return json_pack("{s:s, s:o, s:o}", "group", endpoint->group, "primary",
                     string_or_null(side->known ? side->member : NULL), "used",
                     string_or_null(used[0] != '\0' ? used : NULL));
}

static json_t *media_json(const struct lutra_pipeline *pipeline)
{
    const struct lutra_origin *origin = &pipeline->origin;

    return json_pack("{s:o, s:o}", "source",
                     member_json(lutra_pipeline_source(pipeline), &pipeline->source_media,
                                 origin->source_member),
                     "target",
                     member_json(lutra_pipeline_target(pipeline), &pipeline->target_media,
                                 origin->target_member));
}

static json_t *
position_json(const struct lutra_pipeline *pipeline, const json_t *select, const json_t *load)
{
    json_t *position = json_object();

    copy(position, "read", select, "read");
    copy(position, "acknowledged", select, "acknowledged");
    copy(position, "applied", load, "position");
    /* Without an answer: what load last wrote into ZooKeeper, about a second old. */
    if (json_is_null(json_object_get(position, "applied")) && pipeline->has_position) {
        set(position, "applied", string_or_null(pipeline->position.position));
    }
    return position;
}

static json_t *process_json(const struct lutra_pipeline *pipeline,
                            const json_t *select,
                            const json_t *load,
                            json_t *extract_ids,
                            json_t *transform_ids)
{
    json_t *process = json_object();

    copy(process, "published", select, "published");
    copy(process, "consumed", select, "consumed");
    copy(process, "applied", load, "process_id");
    if (json_is_null(json_object_get(process, "applied")) && pipeline->has_position) {
        set(process, "applied", u64(pipeline->position.process_id));
    }
    copy(process, "in_flight", select, "in_flight");
    copy(process, "window", select, "window");
    set(process, "extract", extract_ids);
    set(process, "transform", transform_ids);
    copy(process, "load", load, "buffered");
    return process;
}

static const char *first_error(const json_t *load,
                               const json_t *select,
                               const struct stage_sum *extract,
                               const struct stage_sum *transform)
{
    const char *texts[] = {
        json_string_value(json_object_get(load, "last_error")),
        json_string_value(json_object_get(select, "last_error")),
        extract->last_error,
        transform->last_error,
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i] != NULL && texts[i][0] != '\0') {
            return texts[i];
        }
    }
    return "";
}

/* Load knows the lag of what it has got. What does not reach it, only select knows: a process that
 * has been without credit for longer than termins take to come back. */
static void set_lag(json_t *root, const json_t *select, const json_t *load)
{
    enum { TERMIN_DUE_MS = 2000 };
    double oldest_ms = json_number_value(json_object_get(select, "oldest_ms"));

    copy(root, "lag_ms", load, "lag_ms");
    if (oldest_ms >= TERMIN_DUE_MS &&
        oldest_ms > json_number_value(json_object_get(root, "lag_ms"))) {
        set(root, "lag_ms", json_real(oldest_ms));
    }
}

static json_t *pipeline_json(struct mgr_pipeline *mine)
{
    struct lutra_manager *manager = mine->manager;
    const struct lutra_pipeline *pipeline = mine->pipeline;
    struct stage_sum extract = sum_stage(manager, "extract", pipeline->id);
    struct stage_sum transform = sum_stage(manager, "transform", pipeline->id);
    json_t *root = json_object(), *owners = json_object(), *instances = json_object();
    const json_t *select = NULL, *load = NULL;
    struct mgr_verdict verdict;
    struct mgr_view view;

    mgr_pipeline_look(mine, &view, &verdict);
    if (view.select_owner != NULL) {
        select = mgr_nodes_entry(manager->nodes, "select", view.select_owner, pipeline->id);
    }
    if (view.load_owner != NULL) {
        load = mgr_nodes_entry(manager->nodes, "load", view.load_owner, pipeline->id);
    }
    set(root, "pipeline", string_or_null(pipeline->id));
    set(root, "channel", string_or_null(pipeline->channel->name));
    set(root, "state", json_string(mgr_state_name(verdict.state)));
    set(root, "reason", string_or_null(verdict.reason));
    set(root, "desired",
        string_or_null(view.has_desired ? lutra_desired_name(view.desired) : NULL));
    set(root, "control", control_json(pipeline));
    set(root, "epoch", view.has_origin ? u64(view.origin_epoch) : json_null());
    set(root, "fence_pending", json_boolean(verdict.fence_pending));
    set(owners, "select", string_or_null(view.select_owner));
    set(owners, "load", string_or_null(view.load_owner));
    set(root, "owners", owners);
    set(instances, "extract", extract.instances);
    set(instances, "transform", transform.instances);
    set(root, "media", media_json(pipeline));
    set(root, "instances", instances);
    set(root, "blocked", blocked_json(manager, pipeline->id));
    set(root, "position", position_json(pipeline, select, load));
    set(root, "last_error", string_or_null(first_error(load, select, &extract, &transform)));
    set(root, "process", process_json(pipeline, select, load, extract.ids, transform.ids));
    set_lag(root, select, load);
    copy(root, "lag_p50_ms", load, "lag_p50_ms");
    copy(root, "lag_p99_ms", load, "lag_p99_ms");
    copy(root, "lag_method", load, "lag_method");
    if (json_is_null(json_object_get(root, "lag_method")) && load != NULL) {
        set(root, "lag_method", json_string(lag_method));
    }
    copy(root, "rows_per_s", load, "rows_per_s");
    copy(root, "rows_total", load, "rows");
    set(root, "config_version", u64(pipeline->config_version));
    set(root, "alarms", mgr_alarms_json(manager->alarms, pipeline->id));
    return root;
}

/* ---- channels ---- */

struct channel_walk {
    const char *only; /* NULL: all */
    json_t *array;
    json_t *current; /* the channel object being filled */
};

static json_t *find_channel(json_t *array, const char *name)
{
    size_t i;
    json_t *value;

    json_array_foreach(array, i, value)
    {
        if (strcmp(json_string_value(json_object_get(value, "channel")), name) == 0) {
            return value;
        }
    }
    return NULL;
}

static void add_to_channel(struct lutra_pipeline *pipeline, void *arg)
{
    struct channel_walk *walk = arg;
    const char *name = pipeline->channel->name;
    json_t *channel;

    if (walk->only != NULL && strcmp(walk->only, name) != 0) {
        return;
    }
    channel = find_channel(walk->array, name);
    if (channel == NULL) {
        channel = json_object();
        set(channel, "channel", string_or_null(name));
        set(channel, "description",
            string_or_null(pipeline->channel->description != NULL ? pipeline->channel->description
                                                                  : ""));
        set(channel, "version", u64(pipeline->config_version));
        set(channel, "desired",
            string_or_null(pipeline->has_desired ? lutra_desired_name(pipeline->desired.state)
                                                 : NULL));
        set(channel, "pipelines", json_array());
        json_array_append_new(walk->array, channel);
    }
    json_array_append_new(json_object_get(channel, "pipelines"), pipeline_json(pipeline->user));
}

json_t *mgr_channel_status_json(struct lutra_manager *manager, const char *channel)
{
    struct channel_walk walk = {.only = channel, .array = json_array()};
    json_t *found;

    lutra_catalog_each(manager->catalog, add_to_channel, &walk);
    found = json_array_size(walk.array) > 0 ? json_incref(json_array_get(walk.array, 0)) : NULL;
    json_decref(walk.array);
    return found;
}

static void add_definition(struct lutra_pipeline *pipeline, void *arg)
{
    json_t *array = arg;
    struct lutra_buf text = {0};
    json_t *definition;

    if (find_channel(array, pipeline->channel->name) != NULL) {
        return;
    }
    lutra_channel_to_json(pipeline->channel, &text);
    definition = json_loadb((const char *)text.data, text.len, 0, NULL);
    lutra_buf_fini(&text);
    if (definition != NULL) {
        json_array_append_new(array, definition);
    }
}

json_t *mgr_channels_json(struct lutra_manager *manager)
{
    json_t *array = json_array();

    lutra_catalog_each(manager->catalog, add_definition, array);
    return json_pack("{s:o}", "channels", array);
}

/* ---- the whole ---- */

json_t *mgr_managers_json(struct lutra_manager *manager)
{
    struct mgr_candidate candidates[32];
    size_t n = mgr_election_candidates(manager->election, candidates, 32);
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++) {
        json_array_append_new(array, json_pack("{s:s, s:s, s:b}", "instance",
                                               candidates[i].instance, "http", candidates[i].http,
                                               "leader", candidates[i].leader));
    }
    return array;
}

static void add_node(const struct mgr_node *node, void *arg)
{
    json_t *object;
    bool polled = strcmp(node->service, "manager") != 0;

    if (node->vanished_ms != 0 || !node->has_record) {
        return;
    }
    object = json_pack("{s:s, s:s}", "service", node->service, "instance", node->instance);
    set(object, "host", string_or_null(node->record.host));
    set(object, "pid", json_integer((json_int_t)node->record.pid));
    set(object, "site", string_or_null(node->record.site));
    set(object, "version", string_or_null(node->record.version));
    set(object, "http", string_or_null(node->record.http));
    set(object, "started_ms", json_integer((json_int_t)node->record.started_ms));
    set(object, "restarts", json_integer((json_int_t)node->restarts));
    set(object, "answers", polled ? json_boolean(node->answers) : json_null());
    set(object, "error", string_or_null(node->error));
    if (polled && node->answers) {
        copy(object, "ready", node->root, "ready");
        copy(object, "ready_reason", node->root, "ready_reason");
    }
    json_array_append_new(arg, object);
}

json_t *mgr_status_json(struct lutra_manager *manager)
{
    struct channel_walk walk = {.array = json_array()};
    json_t *root = json_object(), *nodes = json_array();

    lutra_catalog_each(manager->catalog, add_to_channel, &walk);
    mgr_nodes_each(manager->nodes, add_node, nodes);
    set(root, "instance", json_string(manager->options.instance));
    set(root, "leader", string_or_null(mgr_election_leader(manager->election)));
    set(root, "connected",
        json_boolean(lutra_coord_state_of(manager->options.coord) == LUTRA_COORD_CONNECTED));
    set(root, "managers", mgr_managers_json(manager));
    set(root, "nodes", nodes);
    set(root, "channels", walk.array);
    set(root, "alarms", mgr_alarms_json(manager->alarms, NULL));
    set(root, "events", mgr_events_json(manager->events));
    return root;
}

/* ---- lag ---- */

static json_t *ids_count(const json_t *process, const char *stage)
{
    const json_t *ids = json_object_get(process, stage);

    return json_is_array(ids) ? json_integer((json_int_t)json_array_size(ids)) : json_null();
}

static void add_lag(struct lutra_pipeline *pipeline, void *arg)
{
    static const char *const copied[] = {"pipeline",   "channel",    "state",     "lag_ms",
                                         "lag_p50_ms", "lag_p99_ms", "lag_method"};
    json_t *full = pipeline_json(pipeline->user);
    json_t *lag = json_object(), *stages = json_object();
    const json_t *process = json_object_get(full, "process");

    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        json_object_set(lag, copied[i], json_object_get(full, copied[i]));
    }
    json_object_set(lag, "in_flight", json_object_get(process, "in_flight"));
    set(stages, "extract", ids_count(process, "extract"));
    set(stages, "transform", ids_count(process, "transform"));
    set(stages, "load", ids_count(process, "load"));
    set(lag, "stages", stages);
    json_array_append_new(arg, lag);
    json_decref(full);
}

json_t *mgr_lag_json(struct lutra_manager *manager)
{
    json_t *array = json_array();

    lutra_catalog_each(manager->catalog, add_lag, array);
    return json_pack("{s:o}", "pipelines", array);
}
