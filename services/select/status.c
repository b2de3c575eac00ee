#include "model/json_text.h"
#include "select/pipeline.h"

#include "base/mem.h"

static void keep_text(char **kept, char *text)
{
    lutra_free(*kept);
    *kept = text;
}

void sel_status_update(struct sel_pipeline *p)
{
    if (p->run) {
        sel_window_stats(p->run->window, &p->last);
        if (p->last.max_in_flight > p->max_in_flight) {
            p->max_in_flight = p->last.max_in_flight;
        }
        lutra_gauge_set(p->g_epoch, (double)p->run->origin.epoch);
        lutra_follower_position(p->follower, p->last.acknowledged && p->last.acknowledged[0]
                                                 ? p->last.acknowledged
                                                 : p->run->origin.position);
    }
    lutra_gauge_set(p->g_in_flight, (double)p->last.in_flight);
    lutra_gauge_set(p->g_bytes, (double)p->last.bytes);
    lutra_counter_add(p->c_republished, p->republished_before + p->last.republished -
                                            lutra_counter_get(p->c_republished));
}

void sel_status_keep(struct sel_pipeline *p)
{
    sel_status_update(p);
    if (p->run && p->run->slicer) {
        keep_text(&p->read, lutra_slicer_read_position(p->run->slicer));
    }
    if (p->run) {
        keep_text(&p->acknowledged, lutra_strdup(p->last.acknowledged));
    }
}

static void set_text(json_t *entry, const char *key, const char *value)
{
    (void)json_object_set_new(entry, key, lutra_json_text(value));
}

static void set_u64(json_t *entry, const char *key, uint64_t value)
{
    (void)json_object_set_new(entry, key, lutra_json_u64(value));
}

/* What an operator should know although it runs. */
static const char *warning(const struct sel_pipeline *p, char *text, size_t size)
{
    const struct lutra_loop *loop = p->select->env->loop;
    uint64_t since_ms = p->state == SEL_WAITING ? p->definition_since_ms : 0;
    sel_stall_warning(p, text, size);
    bool is = text[0] != '\0' || lutra_warn_blocked(p->blocked, p->reason, text, size) ||
              lutra_warn_definition(since_ms, p->view->origin.config_version,
                                    p->view->config_version, loop, text, size) ||
              lutra_warn_unusable(&p->refused, loop, p->id, "termin", text, size) ||
              lutra_warn_bus(sel_owns(p) ? p->buses.source : NULL, text, size);
    return is ? text : lutra_follower_note(p->follower);
}

void sel_pipeline_json(struct sel_pipeline *p, json_t *array)
{
    json_t *entry = json_object();
    char waits[256], text[640];
    sel_status_keep(p);
    sel_stall_describe(p, waits, sizeof(waits));
    set_text(entry, "pipeline", p->id);
    set_text(entry, "state", sel_state_name(p->state));
    set_text(entry, "reason", p->reason);
    set_text(entry, "last_error", p->last_error);
    if (p->state == SEL_BLOCKED) {
        set_text(entry, "error_class", lutra_error_class_name(p->blocked));
    }
    set_text(entry, "waits", waits);
    set_text(entry, "warning", warning(p, text, sizeof(text)));
    (void)json_object_set_new(entry, "owner", json_boolean(sel_owns(p)));
    (void)json_object_set_new(entry, "paused", json_boolean(!sel_permitted(p)));
    set_text(entry, "media_note", lutra_follower_note(p->follower));
    set_text(entry, "source_member", p->run ? p->run->origin.source_member : "");
    set_u64(entry, "epoch", p->used_epoch);
    set_text(entry, "read", p->read);
    set_text(entry, "acknowledged", p->acknowledged);
    set_u64(entry, "published", p->last.published);
    set_u64(entry, "consumed", p->last.consumed);
    set_u64(entry, "applied", p->last.applied);
    set_u64(entry, "in_flight", p->last.in_flight);
    set_u64(entry, "in_flight_bytes", p->last.bytes);
    set_u64(entry, "oldest_ms", p->run ? p->last.oldest_ms : 0);
    if (p->run && p->last.oldest) {
        json_t *oldest = json_object();
        set_u64(oldest, "process_id", p->last.oldest);
        set_u64(oldest, "partition", (uint64_t)p->last.oldest_partition);
        set_u64(oldest, "times", p->last.oldest_times);
        (void)json_object_set_new(entry, "oldest", oldest);
    }
    set_u64(entry, "window", p->max_window);
    set_u64(entry, "max_in_flight", p->max_in_flight);
    set_u64(entry, "rows_read", p->rows_read);
    set_u64(entry, "events_filtered", p->events_filtered);
    set_u64(entry, "ddl_passed", p->ddl_passed);
    set_u64(entry, "malformed", p->refused.n);
    set_u64(entry, "republished", p->republished_before + p->last.republished);
    (void)json_array_append_new(array, entry);
}
