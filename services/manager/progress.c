/* A pipeline as this manager watches it: what moves, since when it does not. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "manager/manager_private.h"

/* Managers look once a second while they lead. */
enum { GAP_MS = 10000 };

static uint64_t number(const json_t *entry, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(entry, key));

    return value > 0 ? (uint64_t)value : 0;
}

static const char *text(const json_t *entry, const char *key)
{
    const char *value = json_string_value(json_object_get(entry, key));

    return value != NULL ? value : "";
}

static bool owns(const json_t *entry)
{
    return json_is_true(json_object_get(entry, "owner"));
}

/* True when one of the numbers differs from what was seen last. */
static bool remember(uint64_t *seen, uint64_t now)
{
    bool moved = *seen != now;

    *seen = now;
    return moved;
}

static bool has_moved(struct mgr_pipeline *mine, const json_t *select, const json_t *load)
{
    uint64_t applied = number(select, "applied");
    bool moved = false;

    /* Only what reached the target counts as success: a new epoch alone moves numbers too. */
    if (number(load, "process_id") > applied) {
        applied = number(load, "process_id");
    }
    if (applied > mine->best_applied) {
        mine->best_applied = applied;
    }
    if (mine->pipeline->has_origin) {
        moved |= remember(&mine->epoch, mine->pipeline->origin.epoch);
    }
    if (select != NULL) {
        /* Not what it publishes: a window that fills is no progress. */
        moved |= remember(&mine->consumed, number(select, "consumed"));
        moved |= remember(&mine->applied, number(select, "applied"));
    }
    if (load != NULL) {
        /* Not its units: an idle owner commits empty ones. */
        moved |= remember(&mine->executed, number(load, "consumed"));
        moved |= remember(&mine->committed, number(load, "process_id"));
        moved |= remember(&mine->rows, number(load, "rows"));
    }
    return moved;
}

static void fill_records(const struct lutra_pipeline *pipeline, struct mgr_view *view)
{
    view->known = pipeline->known && !pipeline->from_cache;
    view->wiped = pipeline->unknown_to_zookeeper;
    view->has_desired = pipeline->has_desired;
    view->desired = pipeline->desired.state;
    view->has_control = pipeline->has_control;
    view->control_start = pipeline->control.start;
    view->control_epoch = pipeline->control.epoch;
    view->retry_at_ms = pipeline->control.retry_at_ms;
    view->control_reason = pipeline->control.reason;
    view->has_origin = pipeline->has_origin;
    view->origin_epoch = pipeline->has_origin ? pipeline->origin.epoch : 0;
    view->origin_config_version = pipeline->origin.config_version;
    view->origin_select_session = pipeline->origin.select_session;
    view->config_version = pipeline->config_version;
    view->select_owner = pipeline->has_select ? pipeline->select_owner.instance : NULL;
    view->select_session = pipeline->has_select ? pipeline->select_owner.session : "";
    view->load_owner = pipeline->has_load ? pipeline->load_owner.instance : NULL;
}

static void fill_states(const json_t *select, const json_t *load, struct mgr_view *view)
{
    view->select_answers = owns(select);
    view->load_answers = owns(load);
    view->select_epoch = number(select, "epoch");
    view->load_epoch = number(load, "epoch");
    view->start_pending = text(load, "position")[0] == '\0';
    view->select_state = text(select, "state");
    view->load_state = text(load, "state");
    view->in_flight = number(select, "in_flight");
    view->last_error =
        text(load, "last_error")[0] != '\0' ? text(load, "last_error") : text(select, "last_error");
}

static void find_blocked(const struct mgr_node *node, void *arg)
{
    struct mgr_view *view = arg;
    const json_t *entry = node->vanished_ms == 0 && node->answers
                              ? mgr_state_entry(node->root, view->pipeline)
                              : NULL;

    if (entry != NULL && mgr_entry_blocked(entry)) {
        view->blocked = text(entry, "last_error");
    }
}

static void remember_since(uint64_t *since_ms, bool is, uint64_t now_ms)
{
    if (!is) {
        *since_ms = 0;
    } else if (*since_ms == 0) {
        *since_ms = now_ms > 0 ? now_ms : 1;
    }
}

/* Nobody looked for a while (this process stood still, was cut off, or did not lead): what happened
 * meanwhile is not known, and every time begins anew. */
static void note_gap(struct mgr_pipeline *mine, uint64_t now_ms)
{
    if (now_ms - mine->looked_ms > GAP_MS) {
        mine->moved_ms = now_ms;
        mine->no_stream_since_ms = mine->complete_since_ms = 0;
        mine->unknown_since_ms = mine->rival_since_ms = 0;
    }
    mine->looked_ms = now_ms;
}

void mgr_pipeline_look(struct mgr_pipeline *mine,
                       struct mgr_view *view,
                       struct mgr_verdict *verdict)
{
    struct lutra_manager *manager = mine->manager;
    const struct lutra_pipeline *pipeline = mine->pipeline;
    struct lutra_loop *loop = manager->options.loop;
    uint64_t now_ms = lutra_loop_now_ms(loop);
    const json_t *select = NULL, *load = NULL;

    note_gap(mine, now_ms);
    memset(view, 0, sizeof(*view));
    view->connected = lutra_coord_state_of(manager->options.coord) == LUTRA_COORD_CONNECTED;
    view->wall_ms = lutra_loop_wall_us(loop) / 1000;
    view->stall_ms = manager->options.stall_ms;
    fill_records(pipeline, view);
    if (view->select_owner != NULL) {
        select = mgr_nodes_entry(manager->nodes, "select", view->select_owner, pipeline->id);
    }
    if (view->load_owner != NULL) {
        load = mgr_nodes_entry(manager->nodes, "load", view->load_owner, pipeline->id);
    }
    fill_states(select, load, view);
    view->pipeline = pipeline->id;
    view->blocked = "";
    mgr_nodes_each(manager->nodes, find_blocked, view);
    view->extracts = mgr_nodes_serving(manager->nodes, "extract", pipeline->id);
    view->transforms = mgr_nodes_serving(manager->nodes, "transform", pipeline->id);
    mgr_pipeline_find(mine, select, load);
    view->whereabouts = mine->whereabouts;
    view->silent = mine->silent;
    mgr_view_judge(view, verdict);
    /* Without a permit, or with nothing in flight, there is no reason to move. */
    if (has_moved(mine, select, load) || !verdict->permit || view->in_flight == 0 ||
        !view->select_answers) {
        mine->moved_ms = now_ms;
    }
    remember_since(&mine->no_stream_since_ms,
                   verdict->permit && !verdict->flowing && !verdict->stuck &&
                       verdict->state != MGR_UNKNOWN,
                   now_ms);
    remember_since(&mine->unknown_since_ms,
                   view->connected && verdict->agreed && verdict->state == MGR_UNKNOWN, now_ms);
    remember_since(&mine->complete_since_ms,
                   view->select_answers && view->load_answers && view->extracts > 0 &&
                       view->transforms > 0,
                   now_ms);
    view->still_ms = now_ms - mine->moved_ms;
    view->waiting_ms = mine->no_stream_since_ms != 0 ? now_ms - mine->no_stream_since_ms : 0;
    view->pace_ms =
        lutra_control_pace_ms(&pipeline->control, mine->best_applied, manager->options.stall_ms);
    mgr_view_judge(view, verdict);
    if (verdict->state == MGR_STALLED || !mine->seen) {
        mine->seen = true;
        mine->stalled_applied = mine->best_applied;
    }
}

void mgr_pipeline_added(struct lutra_pipeline *pipeline, void *arg)
{
    struct lutra_manager *manager = arg;
    struct mgr_pipeline *mine = LUTRA_NEW(struct mgr_pipeline);

    mine->manager = manager;
    mine->pipeline = pipeline;
    mine->moved_ms = lutra_loop_now_ms(manager->options.loop);
    pipeline->user = mine;
}

/* Both owners become known one after the other, and sessions change: told only when names do. */
static void tell_owners(const struct lutra_pipeline *pipeline)
{
    struct mgr_pipeline *mine = pipeline->user;
    char now[sizeof(mine->told_owners)];

    if (!pipeline->known) {
        return;
    }
    snprintf(now, sizeof(now), "select %.63s, load %.63s",
             pipeline->has_select ? pipeline->select_owner.instance : "nobody",
             pipeline->has_load ? pipeline->load_owner.instance : "nobody");
    if (strcmp(now, mine->told_owners) != 0) {
        memcpy(mine->told_owners, now, sizeof(now));
        mgr_events_add(mine->manager->events, "owners", pipeline->id, "%s", now);
    }
}

/* One of the members that a pipeline uses is another one. */
static void tell_member(const struct lutra_pipeline *pipeline,
                        const char *side_name,
                        const struct lutra_media_side *side,
                        char told[64])
{
    const struct mgr_pipeline *mine = pipeline->user;

    if (!side->known || strcmp(told, side->member) == 0) {
        return;
    }
    if (told[0] != '\0' && side->member[0] != '\0') {
        mgr_events_add(mine->manager->events, "media", pipeline->id, "%s: %s to %s, by %s",
                       side_name, told, side->member, side->has_record ? side->record.by : "-");
    }
    mgr_text_copy(told, 64, side->member);
}

void mgr_pipeline_changed(struct lutra_pipeline *pipeline, unsigned what, void *arg)
{
    struct lutra_manager *manager = arg;

    if ((what & LUTRA_CHANGED_CONTROL) && pipeline->has_control) {
        const struct lutra_control *control = &pipeline->control;

        mgr_events_add(manager->events, "control", pipeline->id, "%s, epoch %" PRIu64 "%s%s, by %s",
                       control->start ? "START" : "PAUSE", control->epoch,
                       control->reason[0] != '\0' ? ": " : "", control->reason, control->by);
    }
    if ((what & LUTRA_CHANGED_DESIRED) && pipeline->has_desired) {
        mgr_events_add(manager->events, "desired", pipeline->id, "%s, by %s",
                       lutra_desired_name(pipeline->desired.state), pipeline->desired.by);
    }
    if ((what & LUTRA_CHANGED_ORIGIN) && pipeline->has_origin) {
        mgr_events_add(manager->events, "epoch", pipeline->id,
                       "epoch %" PRIu64 " after process %" PRIu64 ", by %s", pipeline->origin.epoch,
                       pipeline->origin.process_id, pipeline->origin.by);
    }
    if (what & LUTRA_CHANGED_OWNERS) {
        tell_owners(pipeline);
    }
    if (what & (LUTRA_CHANGED_MEDIA | LUTRA_CHANGED_CONFIG)) {
        struct mgr_pipeline *mine = pipeline->user;

        tell_member(pipeline, "source", &pipeline->source_media, mine->told_members[0]);
        tell_member(pipeline, "target", &pipeline->target_media, mine->told_members[1]);
    }
}

void mgr_pipeline_removed(struct lutra_pipeline *pipeline, void *arg)
{
    struct mgr_pipeline *mine = pipeline->user;

    (void)arg;
    mgr_sent_free(mine->sent);
    lutra_free(mine);
    pipeline->user = NULL;
}
