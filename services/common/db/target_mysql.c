/* DESIGN: each call of the port is a job on one worker thread, so calls are carried out in order
 * and completions come back in order. lutra_target_close begins a new generation: jobs of older
 * ones do nothing, the running one is interrupted, and no completion of theirs is delivered. */
#include <mysql.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "db/target_private.h"
#include "loop/worker.h"

enum call_kind {
    CALL_PREPARE,
    CALL_MAKE_EPOCH,
    CALL_BEGIN,
    CALL_APPLY,
    CALL_COMMIT,
    CALL_ROLLBACK,
    CALL_CLOSE,
};

struct mysql_target {
    struct lutra_target target;
    struct lutra_worker *worker;
    struct lutra_work work;          /* the worker's */
    struct lutra_target_stats stats; /* the loop's copy */
};

struct call {
    struct lutra_job job; /* first */
    struct mysql_target *owner;
    uint64_t generation;
    enum call_kind kind;
    lutra_target_fn done;
    void (*epoch_done)(const struct lutra_ring *, uint64_t, const struct lutra_error *, void *);
    void *arg;

    uint64_t control_epoch, mine; /* make_epoch */
    struct lutra_epoch_check check;
    struct lutra_unit_begin begin; /* its strings are ours */
    const Lutra__ChangeBatch *batch;
    struct lutra_unit_end end;
    char *text[2]; /* strings of begin, end, or the nonce */

    struct lutra_error err; /* the answer */
    struct lutra_ring ring;
    uint64_t fence;
    struct lutra_target_stats stats;
};

static struct mysql_target *mysql_target_of(struct lutra_target *target)
{
    return (struct mysql_target *)target;
}

/* ---- On the worker ---- */

static void on_worker_end(void *state)
{
    lutra_work_disconnect(state);
    mysql_thread_end();
}

static int run_call(struct lutra_work *work, struct call *call)
{
    struct lutra_error *err = &call->err;
    switch (call->kind) {
    case CALL_PREPARE:
        return lutra_work_prepare(work, err);
    case CALL_MAKE_EPOCH:
        return lutra_work_make_epoch(work, call->control_epoch, call->mine, call->text[0],
                                     &call->check, &call->ring, &call->fence, err);
    case CALL_BEGIN:
        lutra_work_begin(work, &call->begin);
        return 0;
    case CALL_APPLY:
        return lutra_work_apply(work, call->batch, err);
    case CALL_COMMIT:
        return lutra_work_commit(work, &call->end, err);
    case CALL_ROLLBACK:
        return lutra_work_rollback(work, err);
    case CALL_CLOSE:
        lutra_work_disconnect(work);
        work->state = LUTRA_UNIT_NONE;
        return 0;
    }
    return 0;
}

static void on_job_run(struct lutra_job *job, void *state)
{
    struct call *call = (struct call *)job;
    struct lutra_work *work = state;
    if (!lutra_conn_enter(&work->conn, call->generation)) {
        return;
    }
    if (run_call(work, call) && call->err.class == LUTRA_OK) {
        lutra_error_set(&call->err, LUTRA_BUG, 0, "a target call failed without a reason");
    }
    if (work->conn.mysql && lutra_mysql_error_lost(call->err.code) &&
        call->err.class == LUTRA_RETRY) {
        lutra_work_disconnect(work); /* the next call connects anew */
    }
    call->stats = work->stats;
    call->stats.statements += work->conn.statements;
    call->stats.round_trips += work->conn.statements;
}

/* ---- On the loop ---- */

static void call_free(struct call *call)
{
    lutra_ring_fini(&call->ring);
    lutra_epoch_check_fini(&call->check);
    lutra_free(call->text[0]);
    lutra_free(call->text[1]);
    lutra_free(call);
}

static void drop_job(struct lutra_job *job)
{
    call_free((struct call *)job);
}

static void on_job_done(struct lutra_job *job)
{
    struct call *call = (struct call *)job;
    struct mysql_target *t = call->owner;
    if (call->generation == lutra_conn_generation(&t->work.conn)) {
        const struct lutra_error *err = call->err.class == LUTRA_OK ? NULL : &call->err;
        t->stats = call->stats;
        /* Last: the target may be freed in it. */
        if (call->epoch_done) {
            call->epoch_done(err ? NULL : &call->ring, call->fence, err, call->arg);
        } else if (call->done) {
            call->done(err, call->arg);
        }
    }
    call_free(call);
}

static struct call *
call_new(struct lutra_target *target, enum call_kind kind, lutra_target_fn done, void *arg)
{
    struct call *call = LUTRA_NEW(struct call);
    call->job = (struct lutra_job){.run = on_job_run, .done = on_job_done};
    call->owner = mysql_target_of(target);
    call->generation = lutra_conn_generation(&call->owner->work.conn);
    call->kind = kind;
    call->done = done;
    call->arg = arg;
    return call;
}

static void submit(struct call *call)
{
    lutra_worker_submit(call->owner->worker, &call->job);
}

static void mysql_prepare(struct lutra_target *target, lutra_target_fn done, void *arg)
{
    submit(call_new(target, CALL_PREPARE, done, arg));
}

static void mysql_make_epoch(
    struct lutra_target *target,
    uint64_t control_epoch,
    uint64_t mine,
    const char *nonce,
    struct lutra_epoch_check check,
    void (*done)(const struct lutra_ring *, uint64_t, const struct lutra_error *, void *),
    void *arg)
{
    struct call *call = call_new(target, CALL_MAKE_EPOCH, NULL, arg);
    call->epoch_done = done;
    call->control_epoch = control_epoch;
    call->mine = mine;
    call->check = check;
    call->text[0] = lutra_strdup(nonce);
    submit(call);
}

static void mysql_begin(struct lutra_target *target, const struct lutra_unit_begin *unit)
{
    struct call *call = call_new(target, CALL_BEGIN, NULL, NULL);
    call->begin = *unit;
    call->begin.low = call->text[0] = lutra_strdup(unit->low);
    call->begin.from = call->text[1] = lutra_strdup(unit->from);
    submit(call);
}

static void mysql_apply(struct lutra_target *target,
                        const Lutra__ChangeBatch *batch,
                        lutra_target_fn done,
                        void *arg)
{
    struct call *call = call_new(target, CALL_APPLY, done, arg);
    call->batch = batch;
    submit(call);
}

static void mysql_unit_commit(struct lutra_target *target,
                              const struct lutra_unit_end *end,
                              lutra_target_fn done,
                              void *arg)
{
    struct call *call = call_new(target, CALL_COMMIT, done, arg);
    call->end = *end;
    call->end.to = call->text[0] = lutra_strdup(end->to);
    call->end.source_identity = call->text[1] = lutra_strdup(end->source_identity);
    submit(call);
}

static void mysql_unit_rollback(struct lutra_target *target, lutra_target_fn done, void *arg)
{
    submit(call_new(target, CALL_ROLLBACK, done, arg));
}

static void mysql_target_close(struct lutra_target *target)
{
    struct mysql_target *t = mysql_target_of(target);
    lutra_conn_interrupt(&t->work.conn);
    submit(call_new(target, CALL_CLOSE, NULL, NULL)); /* of the new generation */
}

static void mysql_target_free(struct lutra_target *target)
{
    struct mysql_target *t = mysql_target_of(target);
    lutra_conn_interrupt(&t->work.conn);
    lutra_worker_free(t->worker, drop_job);
    lutra_conn_fini(&t->work.conn);
    for (size_t i = 0; i < t->work.n_rules; i++) {
        lutra_free(t->work.rules[i].schema);
        lutra_free(t->work.rules[i].table);
    }
    lutra_free(t->work.rules);
    lutra_arena_free(t->work.batch_arena);
    lutra_arena_free(t->work.run_arena);
    lutra_free(t);
}

static void mysql_stats(const struct lutra_target *target, struct lutra_target_stats *stats)
{
    *stats = ((const struct mysql_target *)target)->stats;
}

static const struct lutra_target_ops mysql_ops = {
    .prepare = mysql_prepare,
    .make_epoch = mysql_make_epoch,
    .begin = mysql_begin,
    .apply = mysql_apply,
    .commit = mysql_unit_commit,
    .rollback = mysql_unit_rollback,
    .close = mysql_target_close,
    .free = mysql_target_free,
    .stats = mysql_stats,
};

struct lutra_target *lutra_target_mysql_new(struct lutra_loop *loop,
                                            const struct lutra_endpoint *endpoint,
                                            const char *pipeline,
                                            const struct lutra_pipeline_def *def)
{
    struct mysql_target *t = LUTRA_NEW(struct mysql_target);
    struct lutra_work *work = &t->work;
    char program[64];
    t->target.ops = &mysql_ops;
    snprintf(program, sizeof(program), "lutra-load %s", pipeline);
    lutra_conn_init(&work->conn, endpoint, program);
    snprintf(work->pipeline, sizeof(work->pipeline), "%s", pipeline);
    work->lock = -1;
    work->batch_arena = lutra_arena_new(0);
    work->run_arena = lutra_arena_new(0);
    work->rules = lutra_alloc(def->n_pairs * sizeof(work->rules[0]) + 1);
    for (; work->n_rules < def->n_pairs; work->n_rules++) {
        const struct lutra_pair *pair = &def->pairs[work->n_rules];
        work->rules[work->n_rules] =
            (struct lutra_trigger_rule){.schema = lutra_strdup(pair->target_schema),
                                        .table = lutra_strdup(pair->target_table),
                                        .allow = pair->allow_triggers};
    }
    t->worker = lutra_worker_new(loop, "target", lutra_conn_worker_begin, on_worker_end, work);
    return &t->target;
}
