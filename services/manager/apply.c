/* PUT /v1/channels/<c>: checks a definition against all others and writes it.
 *
 *   children of /lutra/channels -> each other definition (pipeline names are unique over all)
 *   -> the own one: absent: desired STOP, control of each pipeline, config last
 *                   equal: nothing      other: control of new pipelines, config by version */
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "manager/manager_private.h"

static void read_next_other(struct mgr_op *op);
static void read_own(struct mgr_op *op);

static json_t *result_json(const char *result, uint64_t version)
{
    return json_pack("{s:s, s:I}", "result", result, "version", (json_int_t)version);
}

/* ---- the definition as asked for ---- */

static bool parse_wanted(struct mgr_op *op)
{
    struct lutra_error err = {0};

    op->def = lutra_channel_parse(op->body, op->body_len, op->name, &err);
    if (op->def == NULL) {
        mgr_op_fail(op, 400, "config", "%s", err.msg);
        return false;
    }
    if (strcmp(op->def->name, op->name) != 0) {
        mgr_op_fail(op, 400, "config", "the definition is of channel %s, the path names %s",
                    op->def->name, op->name);
        return false;
    }
    return true;
}

/* ---- the other definitions ---- */

static void on_other(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    struct lutra_channel *other;
    struct lutra_error err = {0};

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_NO_NODE) { /* being made or deleted: it holds no names */
        read_next_other(op);
        return;
    }
    other = lutra_channel_parse(result->data, result->len, op->names[op->next_name - 1], &err);
    if (other == NULL) {
        /* Of another version, perhaps; its names cannot be known, and it must not block all. */
        LUTRA_WARN("manager.bad_definition", LUTRA_F_STR("channel", op->names[op->next_name - 1]),
                   LUTRA_F_ERR(&err));
        read_next_other(op);
        return;
    }
    for (size_t i = 0; i < op->def->n_pipelines; i++) {
        if (lutra_channel_pipeline(other, op->def->pipelines[i].name) != NULL) {
            char name[64];

            mgr_text_copy(name, sizeof(name), other->name);
            lutra_channel_free(other);
            mgr_op_fail(op, 409, "conflict",
                        "pipeline %s belongs to channel %s: pipeline names are unique in the whole "
                        "installation",
                        op->def->pipelines[i].name, name);
            return;
        }
    }
    lutra_channel_free(other);
    read_next_other(op);
}

static void read_next_other(struct mgr_op *op)
{
    char path[256];

    if (op->next_name == op->n_names) {
        read_own(op);
        return;
    }
    lutra_coord_get(op->manager->options.coord,
                    lutra_path_channel(op->names[op->next_name++], "config", path), NULL, on_other,
                    op);
}

static void on_channels(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    mgr_op_set_names(op, result->n_children);
    op->n_names = 0;
    for (size_t i = 0; i < result->n_children; i++) {
        if (strcmp(result->children[i], op->name) != 0) {
            op->names[op->n_names++] = lutra_strdup(result->children[i]);
        }
    }
    read_next_other(op);
}

/* ---- control records: made where there is none, never touched where there is one ---- */

static void make_next_control(struct mgr_op *op);

static void on_control(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (!mgr_op_failed(op, result, LUTRA_COORD_NODE_EXISTS)) {
        make_next_control(op);
    }
}

static void make_next_control(struct mgr_op *op)
{
    struct lutra_control control = {.start = true};
    struct lutra_buf json = {0};
    char path[256];

    if (op->next_name == op->def->n_pipelines) {
        op->each_done(op);
        return;
    }
    mgr_text_copy(control.by, sizeof(control.by), op->by);
    control.at_ms = lutra_loop_wall_us(op->manager->options.loop) / 1000;
    lutra_control_to_json(&control, &json);
    lutra_coord_create(
        op->manager->options.coord,
        lutra_path_pipeline(op->def->pipelines[op->next_name++].name, "control", path),
        (const char *)json.data, json.len, 0, on_control, op);
    lutra_buf_fini(&json);
}

static void make_controls(struct mgr_op *op, void (*then)(struct mgr_op *op))
{
    mgr_op_set_names(op, 0);
    op->each_done = then;
    make_next_control(op);
}

/* ---- the config ---- */

static bool config_visible(struct mgr_op *op)
{
    for (size_t i = 0; i < op->def->n_pipelines; i++) {
        const struct lutra_pipeline *pipeline =
            lutra_catalog_find(op->manager->catalog, op->def->pipelines[i].name);

        if (pipeline == NULL || !pipeline->known || pipeline->config_version < op->def->version) {
            return false;
        }
    }
    return true;
}

static void on_created(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    (void)LUTRA_FAULT("manager.config_written");
    if (mgr_op_failed(op, result, LUTRA_COORD_NODE_EXISTS)) {
        return;
    }
    if (result->rc == LUTRA_COORD_NODE_EXISTS) {
        mgr_op_fail(op, 409, "conflict",
                    "channel %s was made at the same time: look, then apply "
                    "again",
                    op->name);
        return;
    }
    if (op->recover) {
        mgr_events_add(op->manager->events, "recover", op->name,
                       "version %llu from the cache of %s, by %s",
                       (unsigned long long)op->def->version, op->node, op->by);
        mgr_op_answer_settled(op,
                              json_pack("{s:s, s:s, s:I, s:s}", "result", "recovered", "channel",
                                        op->name, "version", (json_int_t)op->def->version, "from",
                                        op->node),
                              config_visible);
        return;
    }
    mgr_events_add(op->manager->events, "apply", op->name, "created, by %s", op->by);
    mgr_op_answer_settled(op, result_json("created", 1), config_visible);
}

static void create_config(struct mgr_op *op)
{
    struct lutra_buf json = {0};
    char path[256];

    if (!op->recover) { /* the version is known already, and may be that of epochs to come */
        op->def->version = 1;
    }
    (void)LUTRA_FAULT("manager.before_config"); /* its other records are there */
    lutra_channel_to_json(op->def, &json);
    lutra_coord_create(op->manager->options.coord, lutra_path_channel(op->name, "config", path),
                       (const char *)json.data, json.len, 0, on_created, op);
    lutra_buf_fini(&json);
}

static void after_desired(struct mgr_op *op)
{
    (void)LUTRA_FAULT("manager.between_znodes");
    make_controls(op, create_config);
}

static void on_changed(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    (void)LUTRA_FAULT("manager.config_written");
    if (mgr_op_failed(op, result, LUTRA_COORD_BAD_VERSION)) {
        return;
    }
    if (result->rc == LUTRA_COORD_BAD_VERSION) {
        mgr_op_fail(op, 409, "conflict",
                    "channel %s was changed at the same time: look, then apply again", op->name);
        return;
    }
    mgr_events_add(op->manager->events, "apply", op->name, "version %llu, by %s",
                   (unsigned long long)op->def->version, op->by);
    for (size_t i = 0; i < op->old->n_pipelines; i++) {
        const char *name = op->old->pipelines[i].name;

        if (lutra_channel_pipeline(op->def, name) == NULL) {
            LUTRA_AUTO_FREE char *path = lutra_asprintf("/lutra/pipelines/%s", name);

            lutra_coord_delete_tree(op->manager->options.coord, path, NULL, NULL);
        }
    }
    mgr_op_answer_settled(op, result_json("changed", op->def->version), config_visible);
}

static void change_config(struct mgr_op *op)
{
    struct lutra_buf json = {0};
    char path[256];

    (void)LUTRA_FAULT("manager.before_config");
    lutra_channel_to_json(op->def, &json);
    lutra_coord_set(op->manager->options.coord, lutra_path_channel(op->name, "config", path),
                    (const char *)json.data, json.len, op->version, on_changed, op);
    lutra_buf_fini(&json);
}

/* A pipeline may leave its channel only when nobody works for it: its records go with it. */
static const char *removed_and_alive(struct mgr_op *op)
{
    for (size_t i = 0; i < op->old->n_pipelines; i++) {
        const char *name = op->old->pipelines[i].name;
        const struct lutra_pipeline *pipeline = lutra_catalog_find(op->manager->catalog, name);

        if (lutra_channel_pipeline(op->def, name) == NULL &&
            (pipeline == NULL || !pipeline->has_desired ||
             pipeline->desired.state != LUTRA_DESIRED_STOP || pipeline->has_select ||
             pipeline->has_load)) {
            return name;
        }
    }
    return NULL;
}

static void on_own(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    struct lutra_error err = {0};
    const char *alive;

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_NO_NODE) {
        op->desired = LUTRA_DESIRED_STOP;
        op->each_done = after_desired;
        mgr_op_write_desired(op);
        return;
    }
    if (op->recover) {
        mgr_op_fail(op, 409, "conflict", "ZooKeeper knows channel %s: nothing to recover",
                    op->name);
        return;
    }
    op->version = result->stat.version;
    op->old = lutra_channel_parse(result->data, result->len, op->name, &err);
    if (op->old == NULL) {
        mgr_op_fail(op, 409, "conflict", "the definition in ZooKeeper cannot be read: %s", err.msg);
        return;
    }
    if (lutra_channel_same(op->old, op->def)) {
        mgr_op_answer(op, result_json("unchanged", op->old->version));
        return;
    }
    alive = removed_and_alive(op);
    if (alive != NULL) {
        mgr_op_fail(op, 409, "conflict",
                    "pipeline %s would leave the channel: stop the channel and wait until it is "
                    "drained first",
                    alive);
        return;
    }
    op->def->version = op->old->version + 1;
    make_controls(op, change_config);
}

static void read_own(struct mgr_op *op)
{
    char path[256];

    lutra_coord_get(op->manager->options.coord, lutra_path_channel(op->name, "config", path), NULL,
                    on_own, op);
}

void mgr_op_apply(struct mgr_op *op)
{
    if (parse_wanted(op)) {
        lutra_coord_children(op->manager->options.coord, "/lutra/channels", NULL, on_channels, op);
    }
}
