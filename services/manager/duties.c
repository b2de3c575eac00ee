/* What only the leader does, once a second: carry out due retries, ask for RESTART where a pipeline
 * stands still or a dead node holds it up, raise and clear alarms.
 *
 * Before anything is done leadership is read afresh, and if that took long (this process stood
 * still, or ZooKeeper did) the turn is left out: what it knows may be old. For the same reason
 * nothing is done in the first seconds of a connection, until everybody else is connected again and
 * the mirrors are fresh. A second leader does no harm all the same: every request is a
 * compare-and-set that two initiators share, and an alarm is a node that only one can make. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "manager/manager_private.h"

enum { LATE_MS = 3000, SETTLE_MS = 5000 };

/* A request under way; it may outlive the pipeline's entry in the catalog. */
struct mgr_sent {
    struct lutra_manager *manager;
    struct mgr_pipeline *mine;
    const char *kind; /* "resume", "restart" */
    char pipeline[64];
};

void mgr_sent_free(struct mgr_sent *sent)
{
    if (sent != NULL) {
        lutra_request_forget(sent->manager->options.coord, sent);
        lutra_free(sent);
    }
}

static void
sent_done(enum lutra_request_outcome outcome, const struct lutra_control *control, void *arg)
{
    static const char *const names[] = {
        [LUTRA_REQUEST_DONE] = "done",
        [LUTRA_REQUEST_COALESCED] = "served already",
        [LUTRA_REQUEST_YIELDED] = "yielded",
        [LUTRA_REQUEST_FAILED] = "failed",
    };
    struct mgr_sent *sent = arg;

    (void)control;
    mgr_events_add(sent->manager->events, sent->kind, sent->pipeline, "%s", names[outcome]);
    sent->mine->sent = NULL;
    lutra_free(sent);
}

static void send(struct mgr_pipeline *mine, const char *kind, const struct lutra_request *request)
{
    struct mgr_sent *sent = LUTRA_NEW(struct mgr_sent);

    sent->manager = mine->manager;
    sent->mine = mine;
    sent->kind = kind;
    mgr_text_copy(sent->pipeline, sizeof(sent->pipeline), mine->pipeline->id);
    mine->sent = sent;
    mgr_events_add(mine->manager->events, kind, mine->pipeline->id, "asked for: %s",
                   request->reason);
    lutra_request_send(mine->manager->options.coord, mine->pipeline->id, request, sent_done, sent);
}

static struct lutra_request request_of(struct mgr_pipeline *mine, enum lutra_request_kind kind)
{
    struct lutra_request request = {.kind = kind};

    snprintf(request.by, sizeof(request.by), "manager/%.100s", mine->manager->options.instance);
    return request;
}

static void restart(struct mgr_pipeline *mine, const char *reason)
{
    struct lutra_request request = request_of(mine, LUTRA_REQUEST_RESTART);

    request.keeps_permit = true;
    lutra_request_bound(&request, mine->pipeline, mine->best_applied);

    request.about_epoch = mine->pipeline->has_origin ? mine->pipeline->origin.epoch : 0;
    mgr_text_copy(request.reason, sizeof(request.reason), reason);
    send(mine, "restart", &request);
}

static void resume_if_due(struct mgr_pipeline *mine, const struct mgr_view *view)
{
    struct lutra_request request = request_of(mine, LUTRA_REQUEST_RESUME);

    if (!view->connected || !view->known || !view->has_control || view->control_start ||
        view->retry_at_ms == 0 || view->wall_ms < view->retry_at_ms ||
        view->desired != LUTRA_DESIRED_START) {
        return;
    }
    request.about_epoch = view->control_epoch;
    request.retry_at_ms = view->retry_at_ms;
    snprintf(request.reason, sizeof(request.reason), "retry is due");
    send(mine, "resume", &request);
}

/* Only since every stage has an instance can a RESTART help; and one that has just come back has
 * the time to show that it works. So a planned restart causes nothing. */
static void restart_if_stuck(struct mgr_pipeline *mine,
                             const struct mgr_view *view,
                             const struct mgr_verdict *verdict)
{
    uint64_t now_ms = lutra_loop_now_ms(mine->manager->options.loop);

    if (verdict->curable && view->still_ms >= view->pace_ms && mine->complete_since_ms != 0 &&
        now_ms - mine->complete_since_ms >= view->pace_ms) {
        restart(mine, verdict->reason);
    }
}

static void tell_state(struct mgr_pipeline *mine, const struct mgr_verdict *verdict)
{
    if (!mine->told || mine->told_state != verdict->state) {
        mgr_events_add(mine->manager->events, "state", mine->pipeline->id, "%s%s%s",
                       mgr_state_name(verdict->state), verdict->reason[0] != '\0' ? ": " : "",
                       verdict->reason);
        mine->told = true;
        mine->told_state = verdict->state;
    }
}

static void tend(struct lutra_pipeline *pipeline, void *arg)
{
    struct mgr_pipeline *mine = pipeline->user;
    struct mgr_verdict verdict;
    struct mgr_view view;

    (void)arg;
    mgr_pipeline_look(mine, &view, &verdict);
    tell_state(mine, &verdict);
    if (mine->sent != NULL) {
        return;
    }
    resume_if_due(mine, &view);
    if (mine->sent == NULL) {
        restart_if_stuck(mine, &view, &verdict);
    }
}

/* ---- dead nodes ---- */

struct dead {
    struct lutra_manager *manager;
    const struct mgr_node *node;
    uint64_t gone_ms;
    uint64_t protection_ms; /* the shortest of those it worked for */
    uint64_t longest_ms;
};

/* It said so itself; of one that never answered its site must do. */
static bool works_for(const struct mgr_node *node, const struct lutra_pipeline *pipeline)
{
    bool at_target = strcmp(node->service, "load") == 0;

    if (strcmp(node->service, "manager") == 0) {
        return false;
    }
    if (node->root != NULL) {
        return mgr_state_entry(node->root, pipeline->id) != NULL;
    }
    return node->has_record &&
           strcmp(node->record.site,
                  at_target ? pipeline->def->target_site : pipeline->def->source_site) == 0;
}

/* Somebody else of its kind does its work, or there is none to do. */
static bool is_replaced(const struct mgr_node *node, const struct mgr_view *view)
{
    if (strcmp(node->service, "extract") == 0) {
        return view->extracts > 0 || view->in_flight == 0;
    }
    if (strcmp(node->service, "transform") == 0) {
        return view->transforms > 0 || view->in_flight == 0;
    }
    return false;
}

static void restart_if_held_up(struct lutra_pipeline *pipeline, void *arg)
{
    const struct dead *dead = arg;
    struct mgr_pipeline *mine = pipeline->user;
    uint64_t protection_ms = pipeline->channel->protection_ms;
    struct mgr_verdict verdict;
    struct mgr_view view;
    char reason[800];

    /* In the one turn in which its time is over. */
    if (dead->gone_ms < protection_ms || dead->node->judged_ms >= protection_ms ||
        mine->sent != NULL || !works_for(dead->node, pipeline)) {
        return;
    }
    mgr_pipeline_look(mine, &view, &verdict);
    if (!verdict.permit || verdict.fence_pending ||
        (verdict.state == MGR_RUNNING && view.still_ms < view.stall_ms) ||
        (verdict.agreed &&
         (is_replaced(dead->node, &view) || mine->moved_ms > dead->node->vanished_ms))) {
        return;
    }
    snprintf(reason, sizeof(reason), "%s %s is gone for %" PRIu64 " s: %s", dead->node->service,
             dead->node->instance, dead->gone_ms / 1000, verdict.reason);
    restart(mine, reason);
}

static void find_protection(struct lutra_pipeline *pipeline, void *arg)
{
    struct dead *dead = arg;
    uint64_t protection_ms = pipeline->channel->protection_ms;

    if (works_for(dead->node, pipeline) && protection_ms < dead->protection_ms) {
        dead->protection_ms = protection_ms;
    }
}

struct heir {
    const struct mgr_node *node;
    struct mgr_nodes *nodes;
    const char *orphan; /* a pipeline that it served and nobody of its service does now, or NULL */
};

static void find_orphan(struct lutra_pipeline *pipeline, void *arg)
{
    struct heir *heir = arg;

    if (works_for(heir->node, pipeline) &&
        mgr_nodes_serving(heir->nodes, heir->node->service, pipeline->id) == 0) {
        heir->orphan = pipeline->id;
    }
}

static const char *orphan_of(struct lutra_manager *manager, const struct mgr_node *node)
{
    struct heir heir = {.node = node, .nodes = manager->nodes};

    lutra_catalog_each(manager->catalog, find_orphan, &heir);
    return heir.orphan;
}

bool mgr_node_is_spared(struct lutra_manager *manager, const struct mgr_node *node)
{
    return node->departed && orphan_of(manager, node) == NULL;
}

/* Scaling down is an everyday act: one that left in order, and is not needed, alarms nobody. */
static void tell_lost(struct lutra_manager *manager,
                      const struct mgr_node *node,
                      uint64_t gone_ms,
                      uint64_t protection_ms)
{
    char subject[128], why[160] = "";

    if (mgr_node_is_spared(manager, node)) {
        mgr_events_add(manager->events, "node.departed", node->instance,
                       "%s %s left in order, and others serve what it served", node->service,
                       node->instance);
        return;
    }
    mgr_events_add(manager->events, "node.dead", node->instance,
                   "%s %s did not come back within %" PRIu64 " s", node->service, node->instance,
                   protection_ms / 1000);
    if (node->departed) {
        snprintf(why, sizeof(why), " (it left in order, and no other %s serves pipeline %s)",
                 node->service, orphan_of(manager, node));
    }
    snprintf(subject, sizeof(subject), "%s/%s", node->service, node->instance);
    mgr_alarms_want(manager->alarms, "node_lost", subject, "", "",
                    "%s %s on %s is not registered for %" PRIu64
                    " s%s; if it was taken away on purpose: lutractl alarms --clear %s-%s-node_"
                    "lost",
                    node->service, node->instance,
                    node->has_record ? node->record.host : "an unknown host", gone_ms / 1000, why,
                    node->service, node->instance);
}

static void judge_gone(const struct mgr_node *node, uint64_t gone_ms, void *arg)
{
    struct lutra_manager *manager = arg;
    struct dead dead = {
        .manager = manager, .node = node, .gone_ms = gone_ms, .protection_ms = UINT64_MAX};

    lutra_catalog_each(manager->catalog, find_protection, &dead);
    if (dead.protection_ms == UINT64_MAX) {
        dead.protection_ms = LUTRA_DEFAULT_PROTECTION_MS;
    }
    if (gone_ms < dead.protection_ms) {
        return;
    }
    if (node->judged_ms < dead.protection_ms) {
        tell_lost(manager, node, gone_ms, dead.protection_ms);
    }
    lutra_catalog_each(manager->catalog, restart_if_held_up, &dead);
}

static void pass_over(const struct mgr_node *node, uint64_t gone_ms, void *arg)
{
    (void)node;
    (void)gone_ms;
    (void)arg;
}

static void find_longest(struct lutra_pipeline *pipeline, void *arg)
{
    uint64_t *longest_ms = arg;

    if (pipeline->channel->protection_ms > *longest_ms) {
        *longest_ms = pipeline->channel->protection_ms;
    }
}

/* How long those that are gone are remembered: by then all that is to be done has been done. */
static uint64_t keep_ms(struct lutra_manager *manager)
{
    uint64_t longest_ms = LUTRA_DEFAULT_PROTECTION_MS;

    lutra_catalog_each(manager->catalog, find_longest, &longest_ms);
    return 2 * longest_ms;
}

/* ---- the tick ---- */

static void only_look(struct lutra_pipeline *pipeline, void *arg)
{
    struct mgr_verdict verdict;
    struct mgr_view view;

    (void)arg;
    mgr_pipeline_look(pipeline->user, &view, &verdict);
    tell_state(pipeline->user, &verdict);
}

static void act(void *arg)
{
    struct lutra_manager *manager = arg;
    uint64_t now_ms = lutra_loop_now_ms(manager->options.loop);

    if (manager->tick == NULL) {
        return; /* being freed */
    }
    if (!mgr_election_leads(manager->election)) {
        return;
    }
    if (now_ms - manager->verified_ms > LATE_MS) {
        LUTRA_WARN("manager.late", LUTRA_F_U64("late_ms", now_ms - manager->verified_ms));
        return;
    }
    if (manager->connected_ms == 0 || now_ms - manager->connected_ms < SETTLE_MS) {
        lutra_catalog_each(manager->catalog, only_look, NULL);
        return;
    }
    lutra_catalog_each(manager->catalog, tend, NULL);
    if (!mgr_alarms_begin(manager->alarms)) {
        return;
    }
    mgr_nodes_judge(manager->nodes, keep_ms(manager), judge_gone, manager);
    mgr_nodes_sweep(manager->nodes, keep_ms(manager));
    mgr_alarms_collect(manager);
}

static void verified(bool leads, void *arg)
{
    struct lutra_manager *manager = arg;

    if (leads != manager->told_leading) {
        manager->told_leading = leads;
        mgr_events_add(manager->events, "leader", manager->options.instance, "%s",
                       leads ? "leads now" : "does not lead any more");
    }
    if (!leads) {
        mgr_nodes_judge(manager->nodes, keep_ms(manager), pass_over, NULL);
        return;
    }
    mgr_nodes_refresh(manager->nodes, MGR_TICK_MS, act, manager);
}

static void tick_cb(void *arg)
{
    struct lutra_manager *manager = arg;

    lutra_timer_start(manager->tick, MGR_TICK_MS);
    manager->verified_ms = lutra_loop_now_ms(manager->options.loop);
    mgr_election_verify(manager->election, verified, manager);
}

static void on_coord(enum lutra_coord_state state, void *arg)
{
    struct lutra_manager *manager = arg;

    if (state != LUTRA_COORD_CONNECTED) {
        manager->connected_ms = 0;
        return;
    }
    manager->connected_ms = lutra_loop_now_ms(manager->options.loop) + 1;
    mgr_nodes_renew(manager->nodes);
}

void mgr_duties_start(struct lutra_manager *manager)
{
    lutra_coord_listen(manager->options.coord, on_coord, manager);
    on_coord(lutra_coord_state_of(manager->options.coord), manager);
    manager->tick = lutra_timer_new(manager->options.loop, tick_cb, manager);
    lutra_timer_start(manager->tick, MGR_TICK_MS);
}

void mgr_duties_stop(struct lutra_manager *manager)
{
    lutra_coord_unlisten(manager->options.coord, manager);
    lutra_timer_free(manager->tick);
    manager->tick = NULL;
}
