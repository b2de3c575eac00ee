/* termin: window credit and progress, back to select. Cumulative, so only the newest one matters:
 * while one is on its way, changes wait for its acknowledgement and go out together. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "load/pipeline.h"

#define REPEAT_MS 1000u
#define REPEAT_FOR_MS 30000u
#define REPEAT_IDLE_MS 10000u

static void termin_send(struct ldr_pipeline *p);

static void on_termin_ack(const struct lutra_error *err, void *arg)
{
    struct ldr_pipeline *p = arg;
    LUTRA_ASSERT(p->magic == LDR_PIPELINE_MAGIC);
    p->termin_in_flight = false;
    if (err != NULL) {
        p->termin_dirty = true; /* the tick sends it again */
    } else if (p->termin_dirty) {
        termin_send(p);
    }
}

static void termin_send(struct ldr_pipeline *p)
{
    char topic[80];
    struct lutra_error err = {0};
    Lutra__Termin termin;
    if (p->termin_in_flight || p->state != LDR_RUN) {
        p->termin_dirty = true;
        return;
    }
    lutra__termin__init(&termin);
    termin.pipeline = p->id;
    termin.epoch = p->epoch;
    termin.nonce = p->nonce;
    termin.applied_process_id = p->ring.process_id;
    termin.consumed_process_id = p->consumed_process_id;
    termin.position = p->ring.position_text;
    termin.commit_us = p->last_commit_us;
    struct lutra_envelope envelope = {
        .epoch = p->epoch, .process_id = p->ring.process_id, .config_version = p->config_version};
    memcpy(envelope.nonce, p->nonce, sizeof envelope.nonce);
    envelope.ts_us[LUTRA_STAGE_LOAD] = lutra_loop_wall_us(p->load->env->loop);
    size_t len = lutra__termin__get_packed_size(&termin);
    LUTRA_AUTO_FREE uint8_t *payload = lutra_alloc(len > 0 ? len : 1);
    (void)lutra__termin__pack(&termin, payload);
    p->termin_dirty = false;
    p->termin_in_flight = true;
    p->termin_sent_ms = lutra_loop_now_ms(p->load->env->loop);
    if (lutra_pipe_publish(p->buses.source, lutra_topic_name(p->id, "termin", topic), 0, &envelope,
                           payload, len, on_termin_ack, p, &err)) {
        p->termin_in_flight = false;
        p->termin_dirty = true;
    }
}

void ldr_termin_changed(struct ldr_pipeline *p)
{
    p->termin_changed_ms = lutra_loop_now_ms(p->load->env->loop);
    termin_send(p);
}

void ldr_termin_tick(struct ldr_pipeline *p)
{
    uint64_t now = lutra_loop_now_ms(p->load->env->loop);
    bool lively = now - p->termin_changed_ms < REPEAT_FOR_MS;
    if (p->termin_dirty || now - p->termin_sent_ms >= (lively ? REPEAT_MS : REPEAT_IDLE_MS)) {
        termin_send(p);
    }
}
