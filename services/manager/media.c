/* Media groups: GET /v1/media[/<group>] and POST /v1/media/<group>/switch. A switch is one
 * compare-and-set of the group's record; load owners see it and do the rest. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "manager/manager_private.h"

/* ---- looking ---- */

/* Calls fn for every side of every pipeline that uses this group (NULL: any). */
struct side_walk {
    const char *group;
    void (*fn)(const struct lutra_pipeline *pipeline,
               const struct lutra_endpoint *endpoint,
               const struct lutra_media_side *side,
               void *arg);
    void *arg;
};

static void look_at(struct lutra_pipeline *pipeline, void *arg)
{
    const struct side_walk *walk = arg;
    const struct lutra_endpoint *ends[] = {lutra_pipeline_source(pipeline),
                                           lutra_pipeline_target(pipeline)};
    const struct lutra_media_side *sides[] = {&pipeline->source_media, &pipeline->target_media};

    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->group != NULL &&
            (walk->group == NULL || strcmp(walk->group, ends[i]->group) == 0)) {
            walk->fn(pipeline, ends[i], sides[i], walk->arg);
        }
    }
}

static json_t *address_json(const struct lutra_member *member)
{
    char port[16];

    snprintf(port, sizeof(port), ":%u", member->port);
    return json_sprintf("%s%s", member->socket != NULL ? member->socket : member->host,
                        member->socket != NULL ? "" : port);
}

static void add_members(json_t *group, const struct lutra_endpoint *endpoint)
{
    json_t *members = json_object_get(group, "members"), *known;
    size_t i;

    for (size_t m = 0; m < endpoint->n_members; m++) {
        const struct lutra_member *member = &endpoint->members[m];
        bool there = false;

        json_array_foreach(members, i, known)
        {
            there = there ||
                    strcmp(json_string_value(json_object_get(known, "name")), member->name) == 0;
        }
        if (!there) {
            json_array_append_new(members, json_pack("{s:s, s:o}", "name", member->name, "address",
                                                     address_json(member)));
        }
    }
}

static void add_text(json_t *array, const char *text)
{
    json_t *known;
    size_t i;

    json_array_foreach(array, i, known)
    {
        if (strcmp(json_string_value(known), text) == 0) {
            return;
        }
    }
    json_array_append_new(array, json_string(text));
}

static void add_group(const struct lutra_pipeline *pipeline,
                      const struct lutra_endpoint *endpoint,
                      const struct lutra_media_side *side,
                      void *arg)
{
    json_t *groups = arg, *group = json_object_get(groups, endpoint->group);

    if (group == NULL) {
        group = json_pack("{s:s, s:s, s:s, s:[], s:[], s:[]}", "group", endpoint->group, "primary",
                          side->member, "follow",
                          endpoint->follow == LUTRA_FOLLOW_AUTO ? "auto" : "manual", "members",
                          "channels", "pipelines");
        json_object_set_new(group, "by",
                            side->has_record ? json_string(side->record.by) : json_null());
        json_object_set_new(group, "at_ms",
                            side->has_record ? json_integer(side->record.at_ms) : json_null());
        json_object_set_new(groups, endpoint->group, group);
    }
    add_members(group, endpoint);
    add_text(json_object_get(group, "channels"), pipeline->channel->name);
    add_text(json_object_get(group, "pipelines"), pipeline->id);
}

/* By key, one object each. */
static json_t *groups_json(struct lutra_manager *manager, const char *only)
{
    json_t *groups = json_object();
    struct side_walk walk = {.group = only, .fn = add_group, .arg = groups};

    lutra_catalog_each(manager->catalog, look_at, &walk);
    return groups;
}

json_t *mgr_media_json(struct lutra_manager *manager)
{
    json_t *groups = groups_json(manager, NULL), *list = json_array(), *group;
    const char *key;

    json_object_foreach(groups, key, group)
    {
        json_array_append(list, group);
    }
    json_decref(groups);
    return json_pack("{s:o}", "groups", list);
}

json_t *mgr_media_group_json(struct lutra_manager *manager, const char *key)
{
    json_t *groups = groups_json(manager, key), *group = json_object_get(groups, key);

    json_incref(group);
    json_decref(groups);
    return group;
}

/* ---- the switch ---- */

struct check {
    const char *to;
    size_t uses;
    const struct lutra_endpoint *lacks; /* one that has no such member */
    const struct lutra_channel *channel;
    bool visible;
};

static void check_use(const struct lutra_pipeline *pipeline,
                      const struct lutra_endpoint *endpoint,
                      const struct lutra_media_side *side,
                      void *arg)
{
    struct check *check = arg;

    check->uses++;
    if (lutra_endpoint_member(endpoint, check->to) == NULL) {
        check->lacks = endpoint;
        check->channel = pipeline->channel;
    }
    check->visible = check->visible && strcmp(side->member, check->to) == 0;
}

static struct check check_uses(const struct mgr_op *op)
{
    struct check check = {.to = op->to, .visible = true};
    struct side_walk walk = {.group = op->name, .fn = check_use, .arg = &check};

    lutra_catalog_each(op->manager->catalog, look_at, &walk);
    return check;
}

static bool switch_visible(struct mgr_op *op)
{
    return check_uses(op).visible;
}

static json_t *switch_answer(const struct mgr_op *op, const char *result)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "result", result, "group", op->name, "primary", op->to,
                     "from", op->from);
}

static void on_switched(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (result->rc == LUTRA_COORD_BAD_VERSION || result->rc == LUTRA_COORD_NODE_EXISTS ||
        result->rc == LUTRA_COORD_NO_NODE) {
        mgr_op_fail(op, 409, "conflict", "media group %s was switched by somebody else meanwhile",
                    op->name);
        return;
    }
    if (mgr_op_failed(op, result, LUTRA_COORD_OK)) {
        return;
    }
    mgr_op_answer_settled(op, switch_answer(op, "switched"), switch_visible);
}

static void on_record(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    struct lutra_media_record record = {0};
    struct lutra_error err = {0};
    int32_t version = -1;

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_OK) {
        version = result->stat.version;
        if (lutra_media_from_json(result->data, result->len, &record, &err) == 0) {
            mgr_text_copy(op->from, sizeof(op->from), record.primary);
        } else {
            mgr_text_copy(op->from, sizeof(op->from), ""); /* nobody can read it: written anew */
        }
    }
    if (op->expected[0] != '\0' && strcmp(op->expected, op->from) != 0) {
        mgr_op_fail(op, 409, "conflict", "media group %s: the current primary is %s, not %s",
                    op->name, op->from, op->expected);
        return;
    }
    if (strcmp(op->from, op->to) == 0) {
        mgr_op_answer(op, switch_answer(op, "unchanged"));
        return;
    }
    lutra_media_write(op->manager->options.coord, op->name, version, op->to, op->by, on_switched,
                      op);
}

static void take_first(const struct lutra_pipeline *pipeline,
                       const struct lutra_endpoint *endpoint,
                       const struct lutra_media_side *side,
                       void *arg)
{
    struct mgr_op *op = arg;

    (void)pipeline;
    (void)side;
    mgr_text_copy(op->from, sizeof(op->from), endpoint->primary);
}

void mgr_op_media(struct mgr_op *op)
{
    struct side_walk walk = {.group = op->name, .fn = take_first, .arg = op};
    struct check check = check_uses(op);
    char path[256], names[512];

    if (check.uses == 0) {
        mgr_op_fail(op, 404, "not_found", "no pipeline uses a media group %s", op->name);
        return;
    }
    if (check.lacks != NULL) {
        mgr_op_fail(op, 400, "config",
                    "media group %s: \"%s\" is not a member of source %s of channel %s, expected "
                    "one of %s",
                    op->name, op->to, check.lacks->name, check.channel->name,
                    lutra_endpoint_member_names(check.lacks, names, sizeof(names)));
        return;
    }
    lutra_catalog_each(op->manager->catalog, look_at, &walk); /* while there is no record */
    lutra_coord_get(op->manager->options.coord, lutra_path_media(op->name, path), NULL, on_record,
                    op);
}
