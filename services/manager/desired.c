/* POST /v1/channels/<c>/start|pause|stop: the operator's wish. START also lifts a ROLLBACK of each
 * of the channel's pipelines. */
#include <string.h>

#include "base/fault.h"
#include "manager/manager_private.h"

static void on_desired_created(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (mgr_op_failed(op, result, LUTRA_COORD_NODE_EXISTS)) {
        return;
    }
    if (result->rc == LUTRA_COORD_NODE_EXISTS) {
        mgr_op_write_desired(op);
        return;
    }
    op->each_done(op);
}

static size_t desired_json(const struct mgr_op *op, struct lutra_buf *json)
{
    struct lutra_desired_record record = {
        .state = op->desired,
        .at_ms = lutra_loop_wall_us(op->manager->options.loop) / 1000,
    };

    mgr_text_copy(record.by, sizeof(record.by), op->by);
    lutra_desired_to_json(&record, json);
    return json->len;
}

static void on_desired_set(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    struct lutra_buf json = {0};
    char path[256];

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_OK) {
        (void)LUTRA_FAULT("manager.desired_written");
        op->each_done(op);
        return;
    }
    desired_json(op, &json);
    lutra_coord_create(op->manager->options.coord, lutra_path_channel(op->name, "desired", path),
                       (const char *)json.data, json.len, 0, on_desired_created, op);
    lutra_buf_fini(&json);
}

void mgr_op_write_desired(struct mgr_op *op)
{
    struct lutra_buf json = {0};
    char path[256];

    (void)LUTRA_FAULT("manager.before_znode");
    desired_json(op, &json);
    lutra_coord_set(op->manager->options.coord, lutra_path_channel(op->name, "desired", path),
                    (const char *)json.data, json.len, -1, on_desired_set, op);
    lutra_buf_fini(&json);
}

static bool desired_visible(struct mgr_op *op)
{
    for (size_t i = 0; i < op->old->n_pipelines; i++) {
        const struct lutra_pipeline *pipeline =
            lutra_catalog_find(op->manager->catalog, op->old->pipelines[i].name);

        if (pipeline == NULL || !pipeline->has_desired || pipeline->desired.state != op->desired ||
            (op->desired == LUTRA_DESIRED_START &&
             (!pipeline->has_control || !pipeline->control.start))) {
            return false;
        }
    }
    return true;
}

static void resume_next(struct mgr_op *op);

static void
on_resumed(enum lutra_request_outcome outcome, const struct lutra_control *control, void *arg)
{
    struct mgr_op *op = arg;

    (void)control;
    if (outcome == LUTRA_REQUEST_FAILED) {
        mgr_op_fail(op, 503, "retry",
                    "the wish is written, but ZooKeeper did not answer for pipeline %s: ask again",
                    op->old->pipelines[op->next_name - 1].name);
        return;
    }
    resume_next(op);
}

static void resume_next(struct mgr_op *op)
{
    struct lutra_request request = {.kind = LUTRA_REQUEST_RESUME, .by_operator = true};

    if (op->desired != LUTRA_DESIRED_START || op->next_name == op->old->n_pipelines) {
        mgr_op_answer_settled(op,
                              json_pack("{s:s, s:s}", "channel", op->name, "desired",
                                        lutra_desired_name(op->desired)),
                              desired_visible);
        return;
    }
    mgr_text_copy(request.by, sizeof(request.by), op->by);
    mgr_text_copy(request.reason, sizeof(request.reason), "");
    lutra_request_send(op->manager->options.coord, op->old->pipelines[op->next_name++].name,
                       &request, on_resumed, op);
}

static void on_config(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    struct lutra_error err = {0};

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
    op->each_done = resume_next;
    mgr_op_write_desired(op);
}

void mgr_op_desired(struct mgr_op *op)
{
    char path[256];

    lutra_coord_get(op->manager->options.coord, lutra_path_channel(op->name, "config", path), NULL,
                    on_config, op);
}
