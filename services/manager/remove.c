/* DELETE /v1/channels/<c>: only in STOP and without owners, unless forced. The config goes first:
 * from then on nobody works for the channel. */
#include <string.h>

#include "base/mem.h"
#include "bus/pipe.h"
#include "manager/manager_private.h"

static bool gone(struct mgr_op *op)
{
    for (size_t i = 0; i < op->old->n_pipelines; i++) {
        if (lutra_catalog_find(op->manager->catalog, op->old->pipelines[i].name) != NULL) {
            return false;
        }
    }
    return true;
}

static void finish(struct mgr_op *op, bool topics_deleted)
{
    mgr_events_add(op->manager->events, "delete", op->name, "deleted%s, by %s",
                   topics_deleted ? " with its topics" : "", op->by);
    mgr_op_answer_settled(op,
                          json_pack("{s:s, s:s, s:b}", "result", "deleted", "channel", op->name,
                                    "topics", topics_deleted),
                          gone);
}

static void delete_next_topics(struct mgr_op *op);

static void on_topics(const struct lutra_error *err, void *arg)
{
    struct mgr_op *op = arg;

    if (err != NULL) {
        mgr_op_fail(op, 503, "retry", "the channel is deleted, its topics are not: %s", err->msg);
        return;
    }
    delete_next_topics(op);
}

/* Step 2i: pipeline i's topics on its source's bus; step 2i + 1: the one on its target's. */
static void delete_next_topics(struct mgr_op *op)
{
    static const char *const stages[] = {"extract", "transform", "termin", "load"};
    const struct lutra_pipeline_def *def = &op->old->pipelines[op->next_name / 2];
    bool at_target = op->next_name % 2 == 1;
    size_t first = at_target ? 3 : 0, n = at_target ? 1 : 3;
    char names[3][80];
    const char *topics[3];
    struct lutra_error err = {0};
    struct lutra_bus *bus;

    if (op->next_name == op->old->n_pipelines * 2) {
        finish(op, true);
        return;
    }
    op->next_name++;
    bus = lutra_buses_get(op->manager->options.buses, at_target ? def->target_bus : def->source_bus,
                          &err);
    if (bus == NULL) {
        on_topics(&err, op);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        topics[i] = lutra_topic_name(def->name, stages[first + i], names[i]);
    }
    lutra_bus_delete_topics(bus, topics, n, on_topics, op);
}

/* Before anything is deleted: are the buses to be had where the topics live? */
static int check_buses(struct mgr_op *op, struct lutra_error *err)
{
    struct lutra_bus_pair pair;

    for (size_t i = 0; i < op->old->n_pipelines; i++) {
        const struct lutra_pipeline_def *def = &op->old->pipelines[i];

        if (lutra_buses_pair(op->manager->options.buses, def->source_bus, def->target_bus, &pair,
                             err) != 0) {
            return lutra_error_wrap(err, "the topics of pipeline %s", def->name);
        }
    }
    return 0;
}

static void delete_next_tree(struct mgr_op *op);

static void on_tree(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (!mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        delete_next_tree(op);
    }
}

static void delete_next_tree(struct mgr_op *op)
{
    LUTRA_AUTO_FREE char *path = NULL;

    if (op->next_name < op->old->n_pipelines) {
        path = lutra_asprintf("/lutra/pipelines/%s", op->old->pipelines[op->next_name].name);
    } else if (op->next_name == op->old->n_pipelines) {
        path = lutra_asprintf("/lutra/channels/%s", op->name);
    } else if (op->topics) {
        op->next_name = 0;
        delete_next_topics(op);
        return;
    } else {
        finish(op, false);
        return;
    }
    op->next_name++;
    lutra_coord_delete_tree(op->manager->options.coord, path, on_tree, op);
}

static void on_config_deleted(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    mgr_op_set_names(op, 0);
    delete_next_tree(op);
}

static void delete_config(struct mgr_op *op)
{
    char path[256];

    lutra_coord_delete(op->manager->options.coord, lutra_path_channel(op->name, "config", path), -1,
                       on_config_deleted, op);
}

/* ---- may it go? ---- */

static void check_next_owner(struct mgr_op *op);

static void on_owner(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_OK) {
        mgr_op_fail(op, 409, "conflict",
                    "pipeline %s is not drained: its %s owner is still there; wait, or force",
                    op->old->pipelines[(op->next_name - 1) / 2].name,
                    op->next_name % 2 == 1 ? "select" : "load");
        return;
    }
    check_next_owner(op);
}

static void check_next_owner(struct mgr_op *op)
{
    char path[256];
    size_t i = op->next_name / 2;

    if (i == op->old->n_pipelines) {
        delete_config(op);
        return;
    }
    lutra_path_pipeline(op->old->pipelines[i].name, op->next_name % 2 == 0 ? "select" : "load",
                        path);
    op->next_name++;
    lutra_coord_get(op->manager->options.coord, path, NULL, on_owner, op);
}

static void on_desired(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    struct lutra_desired_record record = {0};
    struct lutra_error err = {0};

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_OK &&
        lutra_desired_from_json(result->data, result->len, &record, &err) == 0 &&
        record.state != LUTRA_DESIRED_STOP) {
        mgr_op_fail(op, 409, "conflict", "channel %s is in %s: stop it first, or force", op->name,
                    lutra_desired_name(record.state));
        return;
    }
    mgr_op_set_names(op, 0);
    check_next_owner(op);
}

static void on_config(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    struct lutra_error err = {0};
    char path[256];

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_NO_NODE) {
        mgr_op_fail(op, 404, "not_found", "no channel %s", op->name);
        return;
    }
    op->old = lutra_channel_parse(result->data, result->len, op->name, &err);
    if (op->old == NULL) {
        mgr_op_fail(op, 409, "conflict", "the definition in ZooKeeper cannot be read: %s", err.msg);
        return;
    }
    if (op->topics && check_buses(op, &err) != 0) {
        mgr_op_fail(op, 409, "config", "nothing is deleted: %s", err.msg);
        return;
    }
    if (op->force) {
        delete_config(op);
        return;
    }
    lutra_coord_get(op->manager->options.coord, lutra_path_channel(op->name, "desired", path), NULL,
                    on_desired, op);
}

void mgr_op_remove(struct mgr_op *op)
{
    char path[256];

    lutra_coord_get(op->manager->options.coord, lutra_path_channel(op->name, "config", path), NULL,
                    on_config, op);
}
