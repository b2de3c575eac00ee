/* DESIGN: one connection and one worker thread per member, so that one that is silent holds nobody
 * up. A look asks each that is not busy with an older one, and ends when all have answered or when
 * its time is over. */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/scout.h"
#include "db/source_private.h"
#include "loop/worker.h"

enum { LOOK_MS = 3000 };

struct scouted {
    struct mysql_scout *scout;
    struct lutra_worker *worker;
    struct lutra_conn conn; /* the worker's */
    bool busy;
};

struct mysql_scout {
    struct lutra_scout scout;
    struct lutra_loop *loop;
    struct lutra_timer *deadline;
    char *pipeline; /* NULL: a source */
    size_t n;
    struct scouted members[LUTRA_MAX_MEMBERS];
    uint64_t look; /* number of the look under way; answers to older ones come to nothing */
    bool looking;
    size_t missing;
    size_t n_views;
    struct lutra_member_view views[LUTRA_MAX_MEMBERS];
    void (*done)(const struct lutra_member_view *, size_t, void *);
    void *arg;
};

struct glance {
    struct lutra_job job; /* first */
    struct scouted *member;
    uint64_t generation, look;
    size_t index; /* among the views */
    char *position, *pipeline;
    struct lutra_member_view view;
};

/* ---- On the worker ---- */

/* A source must have applied what the target has. */
static int source_fits(struct lutra_conn *conn, const char *text, struct lutra_error *err)
{
    struct lutra_position position = {0};
    if (text[0] == '\0') {
        return 0;
    }
    if (lutra_position_parse(LUTRA_FLAVOR_MARIADB, text, &position, err)) {
        return -1;
    }
    int rc = position.gtids && !lutra_gtid_set_empty(position.gtids)
                 ? lutra_source_check_gtids(conn, &position, err)
                 : lutra_error_set(err, LUTRA_CONFIG, 0, "the checkpoint has no GTIDs");
    lutra_position_fini(&position);
    return rc;
}

/* A target must have the pipeline's checkpoint, however old. */
static int target_fits(struct lutra_conn *conn, const char *pipeline, struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *found = lutra_conn_text(
        conn, err, "SELECT COUNT(*) FROM lutra.checkpoint WHERE pipeline='%s' AND process_id > 0",
        pipeline);
    if (!found) {
        return -1;
    }
    return atoi(found) > 0
               ? 0
               : lutra_error_set(err, LUTRA_CONFIG, 0, "%s has no checkpoint of the pipeline",
                                 conn->endpoint.name);
}

static int look_closely(struct glance *g, struct lutra_conn *conn, struct lutra_error *err)
{
    if (!conn->mysql && lutra_conn_open(conn, 0, err)) {
        return -1;
    }
    LUTRA_AUTO_FREE char *read_only = lutra_conn_text(conn, err, "SELECT @@GLOBAL.read_only");
    if (!read_only || lutra_conn_replicates(conn, &g->view.replicates, err)) {
        return -1;
    }
    g->view.read_only = strcmp(read_only, "0") != 0;
    g->view.reachable = true;
    if (g->view.read_only || g->view.replicates) {
        return 0; /* nobody's successor */
    }
    g->view.fits = (g->pipeline ? target_fits(conn, g->pipeline, err)
                                : source_fits(conn, g->position, err)) == 0;
    return g->view.fits ? 0 : -1;
}

static void on_glance_run(struct lutra_job *job, void *state)
{
    struct glance *g = (struct glance *)job;
    struct lutra_conn *conn = state;
    struct lutra_error err = {0};
    if (!lutra_conn_enter(conn, g->generation)) {
        return;
    }
    if (look_closely(g, conn, &err)) {
        (void)snprintf(g->view.detail, sizeof(g->view.detail), "%.399s", err.msg);
        if (!g->view.reachable) {
            lutra_conn_close(conn);
        }
    }
}

/* ---- On the loop ---- */

static void glance_free(struct lutra_job *job)
{
    struct glance *g = (struct glance *)job;
    lutra_free(g->position);
    lutra_free(g->pipeline);
    lutra_free(g);
}

static void finish(struct mysql_scout *s)
{
    s->looking = false;
    lutra_timer_stop(s->deadline);
    s->done(s->views, s->n_views, s->arg); /* last: the scout may be freed in it */
}

static void on_glance_done(struct lutra_job *job)
{
    struct glance *g = (struct glance *)job;
    struct mysql_scout *s = g->member->scout;
    bool last = false;
    g->member->busy = false;
    if (s->looking && g->look == s->look) {
        s->views[g->index] = g->view;
        last = --s->missing == 0;
    }
    glance_free(job);
    if (last) {
        finish(s);
    }
}

static void on_deadline(void *arg)
{
    struct mysql_scout *s = arg;
    if (s->looking) {
        finish(s);
    }
}

static void ask(struct mysql_scout *s, struct scouted *member, const char *position)
{
    struct lutra_member_view *view = &s->views[s->n_views];
    *view = (struct lutra_member_view){.detail = "it does not answer"};
    (void)snprintf(view->name, sizeof(view->name), "%s", member->conn.endpoint.member);
    size_t index = s->n_views++;
    if (member->busy) {
        return; /* still with an older question */
    }
    struct glance *g = LUTRA_NEW(struct glance);
    g->job = (struct lutra_job){.run = on_glance_run, .done = on_glance_done};
    g->member = member;
    g->generation = lutra_conn_generation(&member->conn);
    g->look = s->look;
    g->index = index;
    g->position = lutra_strdup(position);
    g->pipeline = lutra_strdup(s->pipeline);
    memcpy(g->view.name, view->name, sizeof(g->view.name));
    member->busy = true;
    s->missing++;
    lutra_worker_submit(member->worker, &g->job);
}

static void mysql_look(struct lutra_scout *scout,
                       const char *member,
                       const char *position,
                       void (*done)(const struct lutra_member_view *, size_t, void *),
                       void *arg)
{
    struct mysql_scout *s = (struct mysql_scout *)scout;
    LUTRA_ASSERT(!s->looking);
    s->looking = true;
    s->look++;
    s->done = done;
    s->arg = arg;
    s->n_views = s->missing = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!member || strcmp(s->members[i].conn.endpoint.member, member) == 0) {
            ask(s, &s->members[i], position);
        }
    }
    lutra_timer_start(s->deadline, s->missing > 0 ? LOOK_MS : 0);
}

static void mysql_free(struct lutra_scout *scout)
{
    struct mysql_scout *s = (struct mysql_scout *)scout;
    for (size_t i = 0; i < s->n; i++) {
        lutra_conn_interrupt(&s->members[i].conn);
    }
    for (size_t i = 0; i < s->n; i++) {
        lutra_worker_free(s->members[i].worker, glance_free);
        lutra_conn_fini(&s->members[i].conn);
    }
    lutra_timer_free(s->deadline);
    lutra_free(s->pipeline);
    lutra_free(s);
}

struct lutra_scout *lutra_scout_mysql_new(struct lutra_loop *loop,
                                          const struct lutra_endpoint *group,
                                          const char *pipeline)
{
    static const struct lutra_scout_ops ops = {.look = mysql_look, .free = mysql_free};
    struct mysql_scout *s = LUTRA_NEW(struct mysql_scout);
    struct lutra_error never;
    s->scout.ops = &ops;
    s->loop = loop;
    s->pipeline = lutra_strdup(pipeline);
    s->deadline = lutra_timer_new(loop, on_deadline, s);
    LUTRA_ASSERT(group->n_members <= LUTRA_MAX_MEMBERS);
    for (size_t i = 0; i < group->n_members; i++) {
        struct scouted *member = &s->members[s->n++];
        struct lutra_endpoint *endpoint =
            lutra_endpoint_resolve(group, group->members[i].name, &never);
        LUTRA_ASSERT(endpoint);
        member->scout = s;
        lutra_conn_init(&member->conn, endpoint, "lutra-scout");
        lutra_endpoint_free(endpoint);
        member->worker = lutra_worker_new(loop, "scout", lutra_conn_worker_begin,
                                          lutra_conn_worker_end, &member->conn);
    }
    return &s->scout;
}
