#include <string.h>

#include "load/pipeline.h"
#include "model/json_text.h"

/* Of what is applied, or of what waits, whichever is worse: a stuck load must not look well. */
double ldr_lag_now_ms(struct ldr_pipeline *p)
{
    int64_t wall = lutra_loop_wall_us(p->load->env->loop);
    uint64_t now = lutra_loop_now_ms(p->load->env->loop);
    double lag = 0;
    const struct ldr_batch *waiting = ldr_window_oldest(&p->window);
    int64_t since_us = p->unit.open && p->unit.n > 0 ? p->unit.ts_select_us : 0;
    if (since_us == 0 && waiting != NULL) {
        since_us = waiting->ts_select_us;
    }
    if (since_us != 0) {
        lag = (double)(wall - since_us) / 1000.0;
    }
    if (p->lag.n > 0) {
        size_t last = (p->lag.next + LDR_LAG_SAMPLES - 1) % LDR_LAG_SAMPLES;
        if (now - p->lag.samples[last].at_ms < 2000 && p->lag.samples[last].lag_ms > lag) {
            lag = p->lag.samples[last].lag_ms;
        }
    }
    return lag > 0 ? lag : 0;
}

static json_t *buffered(const struct ldr_pipeline *p)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < p->unit.n; i++) {
        (void)json_array_append_new(ids, json_integer((json_int_t)p->unit.batches[i]->process_id));
    }
    for (size_t i = 0; i < p->window.capacity; i++) {
        const struct ldr_batch *batch = p->window.slots[(p->window.next + i) % p->window.capacity];
        if (batch != NULL) {
            (void)json_array_append_new(ids, json_integer((json_int_t)batch->process_id));
        }
    }
    return ids;
}

/* What an operator should know although it runs. */
static const char *warning(const struct ldr_pipeline *p, char *text, size_t size)
{
    bool is =
        (p->state == LDR_BLOCKED && lutra_warn_blocked(p->blocked_class, p->reason, text, size)) ||
        lutra_warn_unusable(&p->broken, p->load->env->loop, p->id, "load", text, size) ||
        lutra_warn_bus(ldr_owns(p) ? p->buses.source : NULL, text, size);
    return is ? text : lutra_follower_note(p->follower);
}

static void set_int(json_t *entry, const char *key, uint64_t value)
{
    (void)json_object_set_new(entry, key, json_integer((json_int_t)value));
}

void ldr_pipeline_json(struct ldr_pipeline *p, json_t *array)
{
    uint64_t now = lutra_loop_now_ms(p->load->env->loop);
    struct lutra_target_stats stats = {0};
    char text[640];
    if (p->target != NULL) {
        lutra_target_stats_get(p->target, &stats);
    }
    json_t *entry = json_object();
    (void)json_object_set_new(entry, "pipeline", json_string(p->id));
    (void)json_object_set_new(entry, "state", json_string(ldr_state_name(p->state)));
    (void)json_object_set_new(entry, "last_error", json_string(p->reason));
    if (p->state == LDR_BLOCKED) {
        (void)json_object_set_new(entry, "error_class",
                                  json_string(lutra_error_class_name(p->blocked_class)));
    }
    (void)json_object_set_new(entry, "waits", json_string(p->state == LDR_RUN ? p->waits : ""));
    (void)json_object_set_new(entry, "warning", lutra_json_text(warning(p, text, sizeof text)));
    (void)json_object_set_new(entry, "owner", json_boolean(ldr_owns(p)));
    (void)json_object_set_new(
        entry, "position", json_string(p->ring.position_text != NULL ? p->ring.position_text : ""));
    (void)json_object_set_new(entry, "media_note",
                              lutra_json_text(lutra_follower_note(p->follower)));
    (void)json_object_set_new(entry, "target_member", json_string(p->target_member));
    (void)json_object_set_new(entry, "target_went_back", json_string(p->went_back));
    set_int(entry, "epoch", p->epoch);
    set_int(entry, "fence", p->fence);
    set_int(entry, "process_id", p->ring.process_id);
    set_int(entry, "consumed", p->consumed_process_id);
    (void)json_object_set_new(entry, "buffered", buffered(p));
    set_int(entry, "max_buffered", p->window.max_count);
    set_int(entry, "units", p->units);
    set_int(entry, "rows", p->rows);
    set_int(entry, "inserted", stats.rows[LUTRA__ROW_GROUP__OP__INSERT]);
    set_int(entry, "updated", stats.rows[LUTRA__ROW_GROUP__OP__UPDATE]);
    set_int(entry, "deleted", stats.rows[LUTRA__ROW_GROUP__OP__DELETE]);
    set_int(entry, "statements", stats.statements);
    set_int(entry, "round_trips", stats.round_trips);
    set_int(entry, "reconnects", stats.reconnects);
    set_int(entry, "kills", stats.kills);
    set_int(entry, "stale", p->stale);
    set_int(entry, "duplicates", p->duplicates);
    set_int(entry, "broken", p->broken.n);
    set_int(entry, "fenced", p->fenced);
    set_int(entry, "idle_ms", now - p->last_commit_ms);
    (void)json_object_set_new(entry, "lag_ms", json_real(ldr_lag_now_ms(p)));
    (void)json_object_set_new(entry, "lag_p50_ms", json_real(ldr_lag_quantile(&p->lag, now, 0.50)));
    (void)json_object_set_new(entry, "lag_p99_ms", json_real(ldr_lag_quantile(&p->lag, now, 0.99)));
    (void)json_object_set_new(entry, "rows_per_s", json_real(ldr_rate_per_s(&p->rate, now)));
    (void)json_array_append_new(array, entry);
}
