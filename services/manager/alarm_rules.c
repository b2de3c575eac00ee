/* Which alarms there ought to be: docs/PROTOCOL.md §6.6, row by row. The leader's, once a second.
 *
 * An alarm is cleared only when its cause is seen to be gone: while that cannot be told (an owner
 * does not answer, a RESTART is under way) it stays as it is. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "manager/manager_private.h"

enum { RIVAL_MS = 15000 };

static void want(struct mgr_pipeline *mine, bool is, const char *kind, const char *text)
{
    const char *id = mine->pipeline->id;

    if (is) {
        mgr_alarms_want(mine->manager->alarms, kind, id, id, "", "%s", text);
    }
}

static void keep(struct mgr_pipeline *mine, bool is, const char *kind)
{
    if (is) {
        mgr_alarms_keep(mine->manager->alarms, kind, mine->pipeline->id, "");
    }
}

/* ---- what the records say ---- */

static void judge_control(struct mgr_pipeline *mine, const struct mgr_view *view)
{
    const struct lutra_control *control = &mine->pipeline->control;
    bool wanted = view->known && view->has_desired && view->desired == LUTRA_DESIRED_START &&
                  view->has_control && !view->wiped;
    char text[640];

    want(mine, view->wiped, "unknown_to_zookeeper",
         "ZooKeeper does not know the channel any more; lutractl apply or recover brings it back");
    keep(mine, !view->known, "rolled_back");
    keep(mine, !view->known, "attempts_exhausted");
    if (control->exhausted && control->start) {
        snprintf(text, sizeof(text), "%" PRIu32 " restarts in a row did not help, the last: %.500s",
                 control->attempt - 1, control->reason);
    } else {
        snprintf(text, sizeof(text), "%.600s", control->reason);
    }
    want(mine, wanted && control->exhausted, "attempts_exhausted", text);
    want(mine, wanted && !control->exhausted && !control->start && control->retry_at_ms == 0,
         "rolled_back", text);
}

/* ---- what is seen of the stream ---- */

static void judge_stream(struct mgr_pipeline *mine,
                         const struct mgr_view *view,
                         const struct mgr_verdict *verdict)
{
    uint64_t now_ms = lutra_loop_now_ms(mine->manager->options.loop);
    bool stalled = verdict->state == MGR_STALLED;
    bool unclear =
        verdict->permit && (verdict->state == MGR_UNKNOWN || verdict->state == MGR_STARTING ||
                            (verdict->state == MGR_RUNNING && view->in_flight > 0 &&
                             mine->best_applied <= mine->stalled_applied));

    want(mine, stalled && verdict->no_owner, "no_owner", verdict->reason);
    keep(mine, verdict->state == MGR_UNKNOWN, "no_owner");
    want(mine, stalled && !verdict->no_owner, "stalled", verdict->reason);
    keep(mine, unclear || stalled, "stalled");
    want(mine, mine->unknown_since_ms != 0 && now_ms - mine->unknown_since_ms >= view->stall_ms,
         "no_answer", verdict->reason);
}

/* ---- what the nodes say ---- */

struct walk {
    struct mgr_pipeline *mine;
    const char *select_owner, *load_owner;
    char rivals[256];
};

static void hear(const struct mgr_node *node, void *arg)
{
    struct walk *walk = arg;
    const char *id = walk->mine->pipeline->id;
    bool select = strcmp(node->service, "select") == 0;
    const char *owner = select ? walk->select_owner : walk->load_owner;
    const char *warning;
    const json_t *entry;
    char suffix[128];

    entry = mgr_state_entry(node->root, id);
    if (entry == NULL || node->vanished_ms != 0) {
        return;
    }
    snprintf(suffix, sizeof(suffix), "%s-%s", node->service, node->instance);
    if (!node->answers) {
        mgr_alarms_keep(walk->mine->manager->alarms, "warning", id, suffix);
        return;
    }
    warning = json_string_value(json_object_get(entry, "warning"));
    if (warning != NULL && warning[0] != '\0') {
        mgr_alarms_want(walk->mine->manager->alarms, "warning", id, id, suffix, "%s %s: %s",
                        node->service, node->instance, warning);
    }
    if ((select || strcmp(node->service, "load") == 0) &&
        json_is_true(json_object_get(entry, "owner")) &&
        (owner == NULL || strcmp(owner, node->instance) != 0)) {
        snprintf(walk->rivals, sizeof(walk->rivals),
                 "%s %s says that it owns the pipeline; ZooKeeper says %s", node->service,
                 node->instance, owner != NULL ? owner : "nobody");
    }
}

static void judge_nodes(struct mgr_pipeline *mine, const struct mgr_view *view)
{
    uint64_t now_ms = lutra_loop_now_ms(mine->manager->options.loop);
    struct walk walk = {
        .mine = mine, .select_owner = view->select_owner, .load_owner = view->load_owner};

    mgr_nodes_each(mine->manager->nodes, hear, &walk);
    if (walk.rivals[0] == '\0' || !view->known) {
        mine->rival_since_ms = 0;
    } else if (mine->rival_since_ms == 0) {
        mine->rival_since_ms = now_ms;
    }
    want(mine, mine->rival_since_ms != 0 && now_ms - mine->rival_since_ms >= RIVAL_MS, "two_owners",
         walk.rivals);
}

static void judge(struct lutra_pipeline *pipeline, void *arg)
{
    struct mgr_pipeline *mine = pipeline->user;
    struct mgr_verdict verdict;
    struct mgr_view view;

    (void)arg;
    mgr_pipeline_look(mine, &view, &verdict);
    judge_control(mine, &view);
    judge_stream(mine, &view, &verdict);
    judge_nodes(mine, &view);
}

/* Those whose cause is no state of now: a node that is still not there (unless it left in order,
 * and others do its work by now), an operator's warning about a pipeline that still exists. */
static bool stays(const struct mgr_alarm *alarm, void *arg)
{
    struct lutra_manager *manager = arg;
    char service[32], own[128];
    const char *slash = strchr(alarm->subject, '/');
    const struct mgr_node *node;

    if (strcmp(alarm->kind, "node_lost") == 0 && slash != NULL) {
        snprintf(service, sizeof(service), "%.*s", (int)(slash - alarm->subject), alarm->subject);
        node = mgr_nodes_find_vanished(manager->nodes, service, slash + 1);
        return mgr_nodes_find(manager->nodes, service, slash + 1) == NULL &&
               (node == NULL || !mgr_node_is_spared(manager, node));
    }
    snprintf(own, sizeof(own), "%s-warning", alarm->pipeline);
    return strcmp(alarm->kind, "warning") == 0 && strcmp(alarm->name, own) == 0 &&
           lutra_catalog_find(manager->catalog, alarm->pipeline) != NULL;
}

void mgr_alarms_collect(struct lutra_manager *manager)
{
    lutra_catalog_each(manager->catalog, judge, manager);
    mgr_alarms_end(manager->alarms, stays, manager);
}
