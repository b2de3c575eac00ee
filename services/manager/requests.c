/* POST /v1/pipelines/<p>/rollback|restart. */
#include "manager/manager_private.h"

static void
on_done(enum lutra_request_outcome outcome, const struct lutra_control *control, void *arg)
{
    struct mgr_op *op = arg;

    switch (outcome) {
    case LUTRA_REQUEST_DONE:
    case LUTRA_REQUEST_COALESCED:
        mgr_op_answer(
            op, json_pack("{s:s, s:s, s:I, s:I}", "result",
                          outcome == LUTRA_REQUEST_DONE ? "done" : "coalesced", "pipeline",
                          op->name, "epoch", (json_int_t)(control != NULL ? control->epoch : 0),
                          "retry_at_ms", (json_int_t)(control != NULL ? control->retry_at_ms : 0)));
        return;
    case LUTRA_REQUEST_YIELDED:
        mgr_op_fail(op, 409, "conflict", "an earlier word stands above it%s%s",
                    control != NULL && control->reason[0] != '\0' ? ": " : "",
                    control != NULL ? control->reason : "");
        return;
    case LUTRA_REQUEST_FAILED:
        break;
    }
    mgr_op_fail(op, 503, "retry",
                "ZooKeeper did not answer: it may or may not have been done; ask again");
}

void mgr_op_request(struct mgr_op *op)
{
    if (lutra_catalog_find(op->manager->catalog, op->name) == NULL) {
        mgr_op_fail(op, 404, "not_found", "no pipeline %s", op->name);
        return;
    }
    lutra_request_send(op->manager->options.coord, op->name, &op->wish, on_done, op);
}
