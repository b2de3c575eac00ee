#include "manager/manager.h"

#include <stdio.h>

#include "base/mem.h"
#include "manager/manager_private.h"

struct lutra_manager *lutra_manager_new(const struct lutra_manager_options *options)
{
    static const struct lutra_catalog_handler handler = {
        .on_added = mgr_pipeline_added,
        .on_changed = mgr_pipeline_changed,
        .on_removed = mgr_pipeline_removed,
    };
    struct lutra_manager *manager = LUTRA_NEW(struct lutra_manager);

    manager->options = *options;
    mgr_ops_start(manager);
    manager->events = mgr_events_new(options->loop);
    manager->election = mgr_election_new(options->coord, options->instance, options->http);
    manager->nodes =
        mgr_nodes_new(options->loop, options->coord, &options->fetcher, manager->events);
    manager->catalog =
        lutra_catalog_new(options->coord, NULL,
                          LUTRA_CHANGED_CONFIG | LUTRA_CHANGED_DESIRED | LUTRA_CHANGED_CONTROL |
                              LUTRA_CHANGED_ORIGIN | LUTRA_CHANGED_OWNERS | LUTRA_CHANGED_POSITION |
                              LUTRA_CHANGED_MEDIA,
                          &handler, manager);
    manager->alarms =
        mgr_alarms_new(options->coord, options->metrics, options->instance, manager->events);
    mgr_duties_start(manager);
    return manager;
}

void lutra_manager_free(struct lutra_manager *manager)
{
    if (manager == NULL) {
        return;
    }
    manager->stopping = true;
    mgr_duties_stop(manager);
    mgr_ops_free(manager);
    mgr_alarms_free(manager->alarms);
    mgr_nodes_free(manager->nodes); /* answers the reads that wait for states */
    mgr_reads_free(manager);
    lutra_catalog_each(manager->catalog, mgr_pipeline_removed, manager);
    lutra_catalog_free(manager->catalog);
    mgr_election_free(manager->election);
    mgr_events_free(manager->events);
    lutra_free(manager);
}

bool lutra_manager_leads(const struct lutra_manager *manager)
{
    return mgr_election_leads(manager->election);
}

bool lutra_manager_ready(struct lutra_manager *manager, char *reason, size_t reason_len)
{
    if (!lutra_catalog_known(manager->catalog)) {
        snprintf(reason, reason_len, "the channels have not been read from ZooKeeper yet");
        return false;
    }
    if (mgr_election_leader_http(manager->election) == NULL) {
        snprintf(reason, reason_len, "no manager leads yet");
        return false;
    }
    return true;
}

static void add_pipeline(struct lutra_pipeline *pipeline, void *arg)
{
    struct mgr_verdict verdict;
    struct mgr_view view;

    mgr_pipeline_look(pipeline->user, &view, &verdict);
    json_array_append_new(arg, json_pack("{s:s, s:s, s:I, s:s}", "pipeline", pipeline->id, "state",
                                         mgr_state_name(verdict.state), "epoch",
                                         (json_int_t)view.origin_epoch, "last_error", ""));
}

void lutra_manager_state(struct lutra_manager *manager, json_t *root)
{
    json_t *pipelines = json_array();

    lutra_catalog_each(manager->catalog, add_pipeline, pipelines);
    json_object_set_new(root, "leads", json_boolean(lutra_manager_leads(manager)));
    json_object_set_new(root, "managers", mgr_managers_json(manager));
    json_object_set_new(root, "pipelines", pipelines);
}
