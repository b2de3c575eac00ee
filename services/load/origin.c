/* From an epoch in the target to one in ZooKeeper: the origin once, only upward, then
 * control.epoch; and what the owner writes there for operators. */
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "load/pipeline.h"

#define ORIGIN_SEEN_MS 10000u
#define ATTEMPT_QUIET_MS 60000u
#define AGAIN_MS 500u

static int64_t wall_ms(const struct ldr_pipeline *p)
{
    return lutra_loop_wall_us(p->load->env->loop) / 1000;
}

const char *ldr_origin_outdated(struct ldr_pipeline *p)
{
    const struct lutra_pipeline *view = p->view;
    if (view->control.epoch > p->epoch) {
        return "control asks for a newer epoch";
    }
    if (!p->origin_published) {
        return NULL;
    }
    bool ours = view->has_origin && view->origin.epoch == p->epoch &&
                strcmp(view->origin.nonce, p->nonce) == 0;
    if (ours) {
        p->origin_seen = true;
    } else if (p->origin_seen) {
        return "the origin in ZooKeeper is no longer ours";
    } else if (lutra_coord_state_of(p->load->env->coord) != LUTRA_COORD_CONNECTED) {
        p->origin_published_ms = lutra_loop_now_ms(p->load->env->loop);
    } else if (lutra_loop_now_ms(p->load->env->loop) - p->origin_published_ms >= ORIGIN_SEEN_MS) {
        return "the origin did not stay in ZooKeeper";
    }
    if (view->has_select && strcmp(view->select_owner.session, p->select_session) != 0) {
        return "another select owner";
    }
    return NULL;
}

/* ---- publishing ---- */

static void step_again(struct ldr_pipeline *p)
{
    p->origin_op.busy = false;
    p->again = ldr_origin_step;
    lutra_timer_start(p->timer, AGAIN_MS);
}

static void control_read(const struct lutra_coord_result *result, void *arg);

static void control_raise(struct ldr_pipeline *p)
{
    char path[256];
    lutra_coord_get(p->load->env->coord, lutra_path_pipeline(p->id, "control", path), NULL,
                    control_read, &p->origin_op);
}

static void control_written(const struct lutra_coord_result *result, void *arg)
{
    struct ldr_pipeline *p = ((struct ldr_origin_op *)arg)->p;
    if (result->rc == LUTRA_COORD_OK && !LUTRA_FAULT("load.control_raised")) {
        p->origin_op.busy = false;
        ldr_run(p);
    } else if (result->rc == LUTRA_COORD_BAD_VERSION) {
        control_raise(p);
    } else {
        step_again(p);
    }
}

static void control_read(const struct lutra_coord_result *result, void *arg)
{
    struct ldr_pipeline *p = ((struct ldr_origin_op *)arg)->p;
    struct lutra_control control = {0};
    struct lutra_error err = {0};
    if (result->rc != LUTRA_COORD_OK) {
        step_again(p);
        return;
    }
    if (lutra_control_from_json(result->data, result->len, &control, &err)) {
        LUTRA_ERROR("load.control", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(&err));
        step_again(p);
        return;
    }
    if (control.epoch >= p->epoch) {
        p->origin_op.busy = false;
        ldr_run(p); /* above: the mirror will say so, and a newer epoch follows */
        return;
    }
    char path[256];
    struct lutra_buf json = {0};
    control.epoch = p->epoch;
    lutra_control_to_json(&control, &json);
    lutra_coord_set(p->load->env->coord, lutra_path_pipeline(p->id, "control", path),
                    (const char *)json.data, json.len, result->stat.version, control_written,
                    &p->origin_op);
    lutra_buf_fini(&json);
}

static void origin_is_there(struct ldr_pipeline *p)
{
    p->origin_published = true;
    p->origin_published_ms = lutra_loop_now_ms(p->load->env->loop);
    LUTRA_INFO("load.origin_published", LUTRA_F_STR("pipeline", p->id),
               LUTRA_F_U64("epoch", p->epoch), LUTRA_F_STR("select_session", p->select_session));
    control_raise(p);
}

static void origin_written(const struct lutra_coord_result *result, void *arg)
{
    struct ldr_pipeline *p = ((struct ldr_origin_op *)arg)->p;
    if (result->rc == LUTRA_COORD_OK && !LUTRA_FAULT("load.origin_published")) {
        origin_is_there(p);
    } else {
        step_again(p); /* lost the race, or unknown: read what is there now */
    }
}

static void origin_write(struct ldr_pipeline *p, bool exists, int32_t version)
{
    char path[256];
    struct lutra_buf json = {0};
    struct lutra_origin origin = {
        .epoch = p->epoch,
        .process_id = p->ring.process_id,
        .position = p->ring.position_text,
        .config_version = p->config_version,
        .at_ms = wall_ms(p),
    };
    (void)snprintf(p->select_session, sizeof p->select_session, "%s",
                   p->view->select_owner.session);
    (void)snprintf(origin.nonce, sizeof origin.nonce, "%s", p->nonce);
    (void)snprintf(origin.select_session, sizeof origin.select_session, "%s", p->select_session);
    (void)snprintf(origin.source_identity, sizeof origin.source_identity, "%s",
                   p->ring.source_identity);
    memcpy(origin.source_member, p->source_member, sizeof origin.source_member);
    memcpy(origin.target_member, p->target_member, sizeof origin.target_member);
    (void)snprintf(origin.by, sizeof origin.by, "load/%s", p->load->env->instance);
    lutra_origin_to_json(&origin, &json);
    lutra_path_pipeline(p->id, "origin", path);
    if (exists) {
        lutra_coord_set(p->load->env->coord, path, (const char *)json.data, json.len, version,
                        origin_written, &p->origin_op);
    } else {
        lutra_coord_create(p->load->env->coord, path, (const char *)json.data, json.len, 0,
                           origin_written, &p->origin_op);
    }
    lutra_buf_fini(&json);
}

static void origin_read(const struct lutra_coord_result *result, void *arg)
{
    struct ldr_pipeline *p = ((struct ldr_origin_op *)arg)->p;
    struct lutra_origin origin = {0};
    struct lutra_error err = {0};
    if (result->rc == LUTRA_COORD_NO_NODE) {
        origin_write(p, false, -1);
        return;
    }
    if (result->rc != LUTRA_COORD_OK) {
        step_again(p);
        return;
    }
    if (lutra_origin_from_json(result->data, result->len, &origin, &err)) {
        /* Nobody can use it, and the epoch in the target is newer than anything written before it.
         */
        LUTRA_WARN("load.origin_replaced", LUTRA_F_STR("pipeline", p->id), LUTRA_F_ERR(&err));
        origin_write(p, true, result->stat.version);
        return;
    }
    if (origin.epoch == p->epoch && strcmp(origin.nonce, p->nonce) == 0) {
        /* An earlier attempt whose answer was lost: the session named then is the one. */
        (void)snprintf(p->select_session, sizeof p->select_session, "%s", origin.select_session);
        origin_is_there(p);
    } else if (origin.epoch >= p->epoch) {
        p->origin_op.busy = false;
        /* The mirror may not have it yet: what was read counts. */
        if (p->view->control.epoch <= origin.epoch) {
            p->view->control.epoch = origin.epoch + 1;
        }
        ldr_make_epoch(p, "the origin in ZooKeeper is newer");
    } else {
        origin_write(p, true, result->stat.version);
    }
    lutra_origin_fini(&origin);
}

void ldr_origin_step(struct ldr_pipeline *p)
{
    char path[256];
    if (p->state != LDR_ORIGIN || p->origin_op.busy) {
        return;
    }
    if (!p->view->has_select) {
        (void)snprintf(p->reason, sizeof p->reason, "waiting for a select owner");
        return;
    }
    p->reason[0] = '\0';
    p->origin_op.busy = true;
    lutra_coord_get(p->load->env->coord, lutra_path_pipeline(p->id, "origin", path), NULL,
                    origin_read, &p->origin_op);
}

/* ---- for operators ---- */

static void position_created(const struct lutra_coord_result *result, void *arg)
{
    struct ldr_pipeline *p = arg;
    (void)result;
    p->position_writing = false;
}

static void position_json(struct ldr_pipeline *p, struct lutra_buf *json)
{
    struct lutra_position_record record = {
        .epoch = p->epoch,
        .process_id = p->ring.process_id,
        .position = p->ring.position_text,
        .commit_us = p->last_commit_us,
        .at_ms = wall_ms(p),
    };
    lutra_position_record_to_json(&record, json);
}

static void position_set(const struct lutra_coord_result *result, void *arg)
{
    struct ldr_pipeline *p = arg;
    p->position_writing = false;
    if (result->rc == LUTRA_COORD_NO_NODE) {
        char path[256];
        struct lutra_buf json = {0};
        position_json(p, &json);
        p->position_writing = true;
        lutra_coord_create(p->load->env->coord, lutra_path_pipeline(p->id, "position", path),
                           (const char *)json.data, json.len, 0, position_created, p);
        lutra_buf_fini(&json);
    }
}

static void attempt_written(const struct lutra_coord_result *result, void *arg)
{
    struct ldr_pipeline *p = arg;
    (void)result;
    p->attempt_resetting = false;
}

/* A minute of START in which more was applied than when the last attempt was made: the next one is
 * the first of a new row. */
static void attempt_reset(struct ldr_pipeline *p)
{
    const struct lutra_control *control = &p->view->control;
    uint64_t now = lutra_loop_now_ms(p->load->env->loop);
    if (p->attempt_resetting || !control->start || control->attempt == 0 ||
        wall_ms(p) - control->at_ms < (int64_t)ATTEMPT_QUIET_MS ||
        now - p->state_since_ms < ATTEMPT_QUIET_MS || p->ring.process_id <= control->process_id) {
        return;
    }
    char path[256];
    struct lutra_buf json = {0};
    struct lutra_control next = *control;
    next.attempt = 0;
    next.exhausted = false;
    next.reason[0] = '\0';
    lutra_control_to_json(&next, &json);
    p->attempt_resetting = true;
    lutra_coord_set(p->load->env->coord, lutra_path_pipeline(p->id, "control", path),
                    (const char *)json.data, json.len, p->view->control_version, attempt_written,
                    p);
    lutra_buf_fini(&json);
}

void ldr_position_tick(struct ldr_pipeline *p)
{
    attempt_reset(p);
    if (p->position_writing ||
        (p->position_written != NULL && strcmp(p->position_written, p->ring.position_text) == 0)) {
        return;
    }
    char path[256];
    struct lutra_buf json = {0};
    position_json(p, &json);
    p->position_writing = true;
    lutra_free(p->position_written);
    p->position_written = lutra_strdup(p->ring.position_text);
    lutra_coord_set(p->load->env->coord, lutra_path_pipeline(p->id, "position", path),
                    (const char *)json.data, json.len, -1, position_set, p);
    lutra_buf_fini(&json);
}
