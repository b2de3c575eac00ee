/* POST /v1/pipelines/<p>/warning and DELETE /v1/alarms/<name>: what operators raise and clear. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "manager/manager_private.h"

static void fill(const struct mgr_op *op, struct mgr_alarm *alarm)
{
    *alarm = (struct mgr_alarm){
        .kind = "warning",
        .raised_ms = lutra_loop_wall_us(op->manager->options.loop) / 1000,
    };
    snprintf(alarm->name, sizeof(alarm->name), "%s-warning", op->name);
    mgr_text_copy(alarm->subject, sizeof(alarm->subject), op->name);
    mgr_text_copy(alarm->pipeline, sizeof(alarm->pipeline), op->name);
    mgr_text_copy(alarm->text, sizeof(alarm->text), op->wish.reason);
    mgr_text_copy(alarm->by, sizeof(alarm->by), op->by);
}

static bool warning_visible(struct mgr_op *op)
{
    struct mgr_alarm alarm;
    const struct mgr_alarm *seen;

    fill(op, &alarm);
    seen = mgr_alarms_find(op->manager->alarms, alarm.name);
    return seen != NULL && strcmp(seen->text, alarm.text) == 0;
}

static void answer_warning(struct mgr_op *op, const char *result)
{
    mgr_op_answer_settled(op, json_pack("{s:s, s:s}", "pipeline", op->name, "result", result),
                          warning_visible);
}

static void warning_set(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;

    if (result->rc == LUTRA_COORD_NO_NODE) { /* cleared meanwhile */
        mgr_op_warn(op);
    } else if (!mgr_op_failed(op, result, LUTRA_COORD_OK)) {
        answer_warning(op, "changed");
    }
}

static void warning_created(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    struct mgr_alarm alarm;
    char path[256], *record;

    if (mgr_op_failed(op, result, LUTRA_COORD_NODE_EXISTS)) {
        return;
    }
    fill(op, &alarm);
    if (result->rc == LUTRA_COORD_OK) {
        mgr_alarms_tell(op->manager->alarms, &alarm, true);
        answer_warning(op, "raised");
        return;
    }
    record = mgr_alarm_record(&alarm);
    lutra_coord_set(op->manager->options.coord, mgr_alarm_path(alarm.name, path, sizeof(path)),
                    record, strlen(record), -1, warning_set, op);
    free(record);
}

void mgr_op_warn(struct mgr_op *op)
{
    struct mgr_alarm alarm;
    char path[256], *record;

    if (lutra_catalog_find(op->manager->catalog, op->name) == NULL) {
        mgr_op_fail(op, 404, "not_found", "no pipeline %s", op->name);
        return;
    }
    fill(op, &alarm);
    record = mgr_alarm_record(&alarm);
    lutra_coord_create(op->manager->options.coord, mgr_alarm_path(alarm.name, path, sizeof(path)),
                       record, strlen(record), 0, warning_created, op);
    free(record);
}

static bool cleared_visible(struct mgr_op *op)
{
    return mgr_alarms_find(op->manager->alarms, op->body) == NULL;
}

static void cleared(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_op *op = arg;
    struct mgr_alarm alarm = {0};

    if (mgr_op_failed(op, result, LUTRA_COORD_NO_NODE)) {
        return;
    }
    if (result->rc == LUTRA_COORD_NO_NODE) {
        mgr_op_fail(op, 404, "not_found", "no alarm %s", op->body);
        return;
    }
    mgr_text_copy(alarm.kind, sizeof(alarm.kind), op->name);
    mgr_text_copy(alarm.subject, sizeof(alarm.subject), op->wish.reason);
    mgr_alarms_tell(op->manager->alarms, &alarm, false);
    mgr_op_answer_settled(op, json_pack("{s:s, s:s}", "alarm", op->body, "result", "cleared"),
                          cleared_visible);
}

/* op->body: the alarm's name. Its kind and subject are kept in name and wish.reason, since the
 * mirror may drop it before the answer comes. */
void mgr_op_clear(struct mgr_op *op)
{
    const struct mgr_alarm *alarm = mgr_alarms_find(op->manager->alarms, op->body);
    char path[256];

    mgr_text_copy(op->name, sizeof(op->name), alarm != NULL ? alarm->kind : "unknown");
    mgr_text_copy(op->wish.reason, sizeof(op->wish.reason),
                  alarm != NULL ? alarm->subject : op->body);
    lutra_coord_delete(op->manager->options.coord, mgr_alarm_path(op->body, path, sizeof(path)), -1,
                       cleared, op);
}
