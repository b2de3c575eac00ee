/* Writes asked for over HTTP: a queue, one at a time, so that what one checks holds while it
 * writes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "manager/manager_private.h"

enum { SETTLE_MS = 2000, SETTLE_LOOK_MS = 10 };

void mgr_text_copy(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from, size - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

struct mgr_op *mgr_op_new(struct lutra_manager *manager,
                          struct lutra_http_request *request,
                          const char *name,
                          void (*run)(struct mgr_op *op))
{
    struct mgr_op *op = LUTRA_NEW(struct mgr_op);
    const char *body = lutra_http_body(request, &op->body_len);

    op->manager = manager;
    op->request = request;
    op->run = run;
    mgr_text_copy(op->name, sizeof(op->name), name);
    mgr_text_copy(op->by, sizeof(op->by), "operator");
    op->body = lutra_alloc(op->body_len + 1);
    memcpy(op->body, body, op->body_len);
    return op;
}

static void names_free(struct mgr_op *op)
{
    for (size_t i = 0; i < op->n_names; i++) {
        lutra_free(op->names[i]);
    }
    lutra_free(op->names);
    op->names = NULL;
    op->n_names = op->next_name = 0;
}

void mgr_op_set_names(struct mgr_op *op, size_t n)
{
    names_free(op);
    op->names = lutra_alloc((n + 1) * sizeof(char *));
    op->n_names = n;
}

static void forget_bus(const char *name, struct lutra_bus *bus, void *arg)
{
    (void)name;
    lutra_bus_forget(bus, arg);
}

static void op_free(struct mgr_op *op)
{
    struct lutra_manager *manager = op->manager;

    lutra_coord_forget(manager->options.coord, op);
    lutra_request_forget(manager->options.coord, op);
    lutra_buses_each(manager->options.buses, forget_bus, op);
    if (manager->options.fetcher.forget != NULL) {
        manager->options.fetcher.forget(manager->options.fetcher.port, op);
    }
    mgr_janitor_free(op->jan);
    names_free(op);
    lutra_channel_free(op->def);
    lutra_channel_free(op->old);
    json_decref(op->answer);
    lutra_free(op->body);
    lutra_free(op);
}

static void begin_first(void *arg)
{
    struct lutra_manager *manager = arg;

    if (manager->ops != NULL) {
        manager->ops->run(manager->ops);
    }
}

void mgr_op_submit(struct mgr_op *op)
{
    struct lutra_manager *manager = op->manager;
    bool idle = manager->ops == NULL;

    *manager->ops_end = op;
    manager->ops_end = &op->next;
    if (idle) {
        begin_first(manager);
    }
}

/* The operation at the head is over; the next one begins in a later turn. */
static void op_end(struct mgr_op *op)
{
    struct lutra_manager *manager = op->manager;

    LUTRA_ASSERT(manager->ops == op);
    manager->ops = op->next;
    if (manager->ops == NULL) {
        manager->ops_end = &manager->ops;
    }
    op_free(op);
    lutra_timer_stop(manager->op_timer);
    if (manager->ops != NULL) {
        lutra_timer_start(manager->op_timer, 0);
    }
}

void mgr_op_answer(struct mgr_op *op, json_t *body)
{
    lutra_http_reply_json(op->request, 200, body);
    op_end(op);
}

void mgr_op_fail(struct mgr_op *op, int status, const char *class, const char *fmt, ...)
{
    char message[1500];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    lutra_http_reply_error(op->request, status, class, "%s", message);
    op_end(op);
}

bool mgr_op_failed(struct mgr_op *op,
                   const struct lutra_coord_result *result,
                   enum lutra_coord_rc other)
{
    if (result->rc == LUTRA_COORD_OK || result->rc == other) {
        return false;
    }
    if (result->rc == LUTRA_COORD_UNKNOWN) {
        mgr_op_fail(op, 503, "retry",
                    "the connection to ZooKeeper was lost: it may or may not have been done; ask "
                    "again");
        return true;
    }
    mgr_op_fail(op, 503, "retry", "ZooKeeper: %s",
                result->err != NULL ? result->err->msg : "refused");
    return true;
}

void mgr_op_answer_settled(struct mgr_op *op, json_t *body, bool (*settled)(struct mgr_op *op))
{
    struct lutra_manager *manager = op->manager;

    op->answer = body;
    op->settled = settled;
    op->settle_end_ms = lutra_loop_now_ms(manager->options.loop) + SETTLE_MS;
    lutra_timer_start(manager->op_timer, 0);
}

/* Also begins the next operation: one timer serves both, since only the head has business. */
static void op_timer_cb(void *arg)
{
    struct lutra_manager *manager = arg;
    struct mgr_op *op = manager->ops;

    if (op == NULL) {
        return;
    }
    if (op->settled == NULL) {
        begin_first(manager);
        return;
    }
    if (op->settled(op) || lutra_loop_now_ms(manager->options.loop) >= op->settle_end_ms) {
        json_t *answer = op->answer;

        op->answer = NULL;
        mgr_op_answer(op, answer);
        return;
    }
    lutra_timer_start(manager->op_timer, SETTLE_LOOK_MS);
}

void mgr_ops_start(struct lutra_manager *manager)
{
    manager->ops_end = &manager->ops;
    manager->op_timer = lutra_timer_new(manager->options.loop, op_timer_cb, manager);
}

void mgr_ops_free(struct lutra_manager *manager)
{
    while (manager->ops != NULL) {
        struct mgr_op *op = manager->ops;

        manager->ops = op->next;
        lutra_http_reply_error(op->request, 503, "retry", "this manager is stopping");
        op_free(op);
    }
    lutra_timer_free(manager->op_timer);
}

json_t *mgr_body_object(struct lutra_http_request *request)
{
    json_error_t at;
    size_t len;
    const char *body = lutra_http_body(request, &len);
    json_t *object;

    if (len == 0) {
        return json_object();
    }
    object = json_loadb(body, len, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(object)) {
        lutra_http_reply_error(request, 400, "config", "the body: expected a JSON object%s%s",
                               object == NULL ? ": " : "", object == NULL ? at.text : "");
        json_decref(object);
        return NULL;
    }
    return object;
}
