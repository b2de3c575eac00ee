/* The canonical form: every member written, defaults too, in one order. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/channel.h"
#include "model/channel_private.h"
#include "model/json_text.h"

static void set_text(json_t *object, const char *key, const char *value)
{
    if (value) {
        json_object_set_new(object, key, lutra_json_text(value));
    }
}

static void set_u64(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, lutra_json_u64(value));
}

static void set_address(json_t *o, const char *host, uint16_t port, const char *socket)
{
    set_text(o, "host", host);
    if (host) {
        set_u64(o, "port", port);
    }
    set_text(o, "socket", socket);
}

static json_t *members_json(const struct lutra_endpoint *endpoint)
{
    json_t *members = json_object();
    for (size_t i = 0; i < endpoint->n_members; i++) {
        const struct lutra_member *member = &endpoint->members[i];
        json_t *o = json_object();
        set_address(o, member->host, member->port, member->socket);
        json_object_set_new(members, member->name, o);
    }
    return members;
}

static json_t *endpoint_json(const struct lutra_endpoint *endpoint)
{
    json_t *o = json_object();
    set_text(o, "type", lutra_flavor_name(endpoint->flavor));
    set_address(o, endpoint->host, endpoint->port, endpoint->socket);
    if (endpoint->n_members) {
        json_object_set_new(o, "members", members_json(endpoint));
        set_text(o, "primary", endpoint->primary);
        set_text(o, "follow", lutra_follow_names[endpoint->follow]);
        set_text(o, "group", endpoint->group);
    }
    set_text(o, "user", endpoint->user);
    set_text(o, "password_file", endpoint->password_file);
    set_text(o, "password_env", endpoint->password_env);
    return o;
}

static json_t *table_json(const char *schema, const char *table)
{
    json_t *o = json_object();
    set_text(o, "schema", schema);
    set_text(o, "table", table);
    return o;
}

static json_t *pair_json(const struct lutra_pair *pair)
{
    json_t *o = json_object(), *columns = json_object(), *exclude = json_array();
    for (size_t i = 0; i < pair->n_renames; i++) {
        set_text(columns, pair->renames[i].source, pair->renames[i].target);
    }
    for (size_t i = 0; i < pair->n_excluded; i++) {
        json_array_append_new(exclude, lutra_json_text(pair->excluded[i]));
    }
    json_object_set_new(o, "source", table_json(pair->source_schema, pair->source_table));
    json_object_set_new(o, "target", table_json(pair->target_schema, pair->target_table));
    json_object_set_new(o, "columns", columns);
    json_object_set_new(o, "exclude", exclude);
    set_text(o, "triggers", pair->allow_triggers ? "allow" : "refuse");
    return o;
}

static json_t *start_json(const struct lutra_pipeline_def *def)
{
    LUTRA_AUTO_FREE char *text = NULL;
    if (def->start != LUTRA_START_GTID && def->start != LUTRA_START_FILE) {
        return lutra_json_text(lutra_start_names[def->start]);
    }
    text = lutra_asprintf("%s:%s", lutra_start_names[def->start], def->start_text);
    return lutra_json_text(text);
}

static json_t *pipeline_json(const struct lutra_pipeline_def *def)
{
    json_t *o = json_object(), *batch = json_object(), *unit = json_object(), *pairs = json_array();
    char delay[32], may_lose[32];
    snprintf(delay, sizeof(delay), "%" PRIu64 "ms", def->batch_max_delay_ms);
    set_text(o, "name", def->name);
    set_text(o, "source", def->source);
    set_text(o, "target", def->target);
    set_text(o, "source_site", def->source_site);
    set_text(o, "target_site", def->target_site);
    set_text(o, "source_bus", def->source_bus);
    set_text(o, "target_bus", def->target_bus);
    json_object_set_new(o, "start", start_json(def));
    set_u64(o, "window", def->window);
    set_u64(o, "partitions", def->partitions);
    set_text(o, "balance", lutra_balance_names[def->balance]);
    set_u64(batch, "max_rows", def->batch_max_rows);
    set_u64(batch, "max_bytes", def->batch_max_bytes);
    set_text(batch, "max_delay", delay);
    json_object_set_new(o, "batch", batch);
    set_u64(unit, "max_rows", def->unit_max_rows);
    set_u64(unit, "max_bytes", def->unit_max_bytes);
    json_object_set_new(o, "unit", unit);
    json_object_set_new(o, "accept_new_source", json_boolean(def->accept_new_source));
    if (def->resolved_until && def->resolved_until[0]) {
        set_text(o, "resolved_until", def->resolved_until);
    }
    if (def->accept_target && def->accept_target[0]) {
        set_text(o, "accept_target", def->accept_target);
    }
    if (def->target_may_lose_ms != LUTRA_TARGET_MAY_LOSE_MS) {
        snprintf(may_lose, sizeof(may_lose), "%" PRIu64 "ms", def->target_may_lose_ms);
        set_text(o, "target_may_lose", may_lose);
    }
    for (size_t i = 0; i < def->n_pairs; i++) {
        json_array_append_new(pairs, pair_json(&def->pairs[i]));
    }
    json_object_set_new(o, "pairs", pairs);
    return o;
}

static json_t *recovery_json(const struct lutra_channel *channel)
{
    json_t *o = json_object();
    char protection[32];
    snprintf(protection, sizeof(protection), "%" PRIu64 "ms", channel->protection_ms);
    set_u64(o, "max_attempts", channel->max_attempts);
    set_text(o, "protection", protection);
    return o;
}

static json_t *channel_json(const struct lutra_channel *channel)
{
    json_t *o = json_object(), *sources = json_object(), *pipelines = json_array();
    set_text(o, "channel", channel->name);
    set_text(o, "description", channel->description);
    json_object_set_new(o, "recovery", recovery_json(channel));
    for (size_t i = 0; i < channel->n_endpoints; i++) {
        json_object_set_new(sources, channel->endpoints[i].name,
                            endpoint_json(&channel->endpoints[i]));
    }
    json_object_set_new(o, "sources", sources);
    for (size_t i = 0; i < channel->n_pipelines; i++) {
        json_array_append_new(pipelines, pipeline_json(&channel->pipelines[i]));
    }
    json_object_set_new(o, "pipelines", pipelines);
    return o;
}

void lutra_channel_to_json(const struct lutra_channel *channel, struct lutra_buf *out)
{
    json_t *o = channel_json(channel);
    set_u64(o, "version", channel->version);
    lutra_json_put(o, out);
}

/* By value, so that the order in which sources or renamed columns are written does not count; that
 * of pipelines and pairs does. */
bool lutra_channel_same(const struct lutra_channel *a, const struct lutra_channel *b)
{
    json_t *ja = channel_json(a), *jb = channel_json(b);
    bool same = json_equal(ja, jb);
    json_decref(ja);
    json_decref(jb);
    return same;
}
