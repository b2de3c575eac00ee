#include "db/leftovers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/mysql_conn.h"
#include "loop/worker.h"

enum call_kind { CALL_LIST, CALL_ROWS, CALL_KILL };

struct lutra_leftovers {
    struct lutra_worker *worker;
    struct lutra_conn conn; /* the worker's */
};

struct call {
    struct lutra_job job; /* first */
    struct lutra_leftovers *owner;
    uint64_t generation;
    enum call_kind kind;
    char pipeline[64];
    unsigned lock;
    uint64_t connection;
    struct lutra_leftover *list;
    size_t n;
    struct lutra_error err;
    void (*listed)(const struct lutra_leftover *, size_t, const struct lutra_error *, void *);
    void (*done)(const struct lutra_error *, void *);
    void *arg;
};

/* ---- on the worker ---- */

static int run_list(struct lutra_conn *conn, struct call *call)
{
    MYSQL_RES *result = lutra_conn_query(
        conn, &call->err,
        "SELECT pipeline, TIMESTAMPDIFF(MICROSECOND, MAX(updated_at), NOW(6)) DIV 1000,"
        " IS_USED_LOCK(CONCAT('lutra.', pipeline, '.0')),"
        " IS_USED_LOCK(CONCAT('lutra.', pipeline, '.1')),"
        " IS_USED_LOCK(CONCAT('lutra.', pipeline, '.2')),"
        " IS_USED_LOCK(CONCAT('lutra.', pipeline, '.3'))"
        " FROM lutra.checkpoint GROUP BY pipeline ORDER BY pipeline");
    MYSQL_ROW row;
    if (!result) {
        if (call->err.code == LUTRA_ER_NO_SUCH_TABLE || call->err.code == LUTRA_ER_BAD_DB) {
            lutra_error_clear(&call->err); /* Lutra has never written there */
            return 0;
        }
        return -1;
    }
    call->list = lutra_alloc(((size_t)mysql_num_rows(result) + 1) * sizeof(*call->list));
    while ((row = mysql_fetch_row(result))) {
        struct lutra_leftover *one = &call->list[call->n++];
        *one = (struct lutra_leftover){.idle_ms = strtoll(row[1], NULL, 10)};
        snprintf(one->pipeline, sizeof(one->pipeline), "%s", row[0]);
        for (unsigned i = 0; i < LUTRA_LEFTOVER_LOCKS; i++) {
            one->locks[i] = row[2 + i] ? strtoull(row[2 + i], NULL, 10) : 0;
        }
    }
    mysql_free_result(result);
    return 0;
}

static int run_kill(struct lutra_conn *conn, struct call *call)
{
    LUTRA_AUTO_FREE char *holder = lutra_conn_text(
        conn, &call->err, "SELECT IS_USED_LOCK('lutra.%s.%u')", call->pipeline, call->lock);
    if (!holder) {
        return call->err.class == LUTRA_OK ? 0 : -1; /* free already */
    }
    if (strtoull(holder, NULL, 10) != call->connection) {
        return lutra_error_set(&call->err, LUTRA_CONFIG, 0,
                               "lock lutra.%s.%u is held by connection %s now: list again",
                               call->pipeline, call->lock, holder);
    }
    return lutra_conn_exec(conn, &call->err, "KILL CONNECTION %" PRIu64, call->connection);
}

static void job_run(struct lutra_job *job, void *state)
{
    struct call *call = (struct call *)job;
    struct lutra_conn *conn = state;
    if (!lutra_conn_enter(conn, call->generation)) {
        return;
    }
    if (lutra_conn_open(conn, 0, &call->err) == 0) {
        int rc = call->kind == CALL_LIST   ? run_list(conn, call)
                 : call->kind == CALL_KILL ? run_kill(conn, call)
                                           : lutra_conn_exec(conn, &call->err,
                                                             "DELETE FROM lutra.checkpoint"
                                                             " WHERE pipeline='%s'",
                                                             call->pipeline);
        (void)rc; /* the error is in the call */
    }
    lutra_conn_close(conn);
}

/* ---- on the loop ---- */

static void drop(struct lutra_job *job)
{
    struct call *call = (struct call *)job;
    lutra_free(call->list);
    lutra_free(call);
}

static void job_done(struct lutra_job *job)
{
    struct call *call = (struct call *)job;
    const struct lutra_error *err = call->err.class == LUTRA_OK ? NULL : &call->err;
    if (call->listed) {
        call->listed(call->list, err ? 0 : call->n, err, call->arg);
    } else {
        call->done(err, call->arg);
    }
    drop(job);
}

static struct call *
call_new(struct lutra_leftovers *leftovers, enum call_kind kind, const char *pipeline, void *arg)
{
    struct call *call = LUTRA_NEW(struct call);
    call->job = (struct lutra_job){.run = job_run, .done = job_done};
    call->owner = leftovers;
    call->generation = lutra_conn_generation(&leftovers->conn);
    call->kind = kind;
    call->arg = arg;
    snprintf(call->pipeline, sizeof(call->pipeline), "%s", pipeline);
    LUTRA_ASSERT(kind == CALL_LIST || lutra_name_valid(call->pipeline));
    return call;
}

void lutra_leftovers_list(struct lutra_leftovers *leftovers,
                          void (*done)(const struct lutra_leftover *list,
                                       size_t n,
                                       const struct lutra_error *err,
                                       void *arg),
                          void *arg)
{
    struct call *call = call_new(leftovers, CALL_LIST, "", arg);
    call->listed = done;
    lutra_worker_submit(leftovers->worker, &call->job);
}

void lutra_leftovers_delete_rows(struct lutra_leftovers *leftovers,
                                 const char *pipeline,
                                 void (*done)(const struct lutra_error *err, void *arg),
                                 void *arg)
{
    struct call *call = call_new(leftovers, CALL_ROWS, pipeline, arg);
    call->done = done;
    lutra_worker_submit(leftovers->worker, &call->job);
}

void lutra_leftovers_kill(struct lutra_leftovers *leftovers,
                          const char *pipeline,
                          unsigned n,
                          uint64_t connection,
                          void (*done)(const struct lutra_error *err, void *arg),
                          void *arg)
{
    struct call *call = call_new(leftovers, CALL_KILL, pipeline, arg);
    call->lock = n;
    call->connection = connection;
    call->done = done;
    lutra_worker_submit(leftovers->worker, &call->job);
}

struct lutra_leftovers *lutra_leftovers_new(struct lutra_loop *loop,
                                            const struct lutra_endpoint *endpoint)
{
    struct lutra_leftovers *leftovers = LUTRA_NEW(struct lutra_leftovers);
    lutra_conn_init(&leftovers->conn, endpoint, "lutra-manager janitor");
    leftovers->worker = lutra_worker_new(loop, "janitor", lutra_conn_worker_begin,
                                         lutra_conn_worker_end, &leftovers->conn);
    return leftovers;
}

void lutra_leftovers_free(struct lutra_leftovers *leftovers)
{
    if (!leftovers) {
        return;
    }
    lutra_conn_interrupt(&leftovers->conn);
    lutra_worker_free(leftovers->worker, drop);
    lutra_conn_fini(&leftovers->conn);
    lutra_free(leftovers);
}
