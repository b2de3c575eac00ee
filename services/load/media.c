/* Media groups (docs/PROTOCOL.md §13): the record says which member is current; the load owner,
 * which makes epochs, answers a change of it with a new one. Origins name the members that they
 * hold for, so that select reads from the same one that load thinks of. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "load/pipeline.h"

struct lutra_target *ldr_media_target(struct ldr_pipeline *p, struct lutra_error *err)
{
    const struct lutra_env *env = p->load->env;
    const struct lutra_media_side *side = &p->view->target_media;
    if (!side->known) {
        lutra_error_set(err, LUTRA_RETRY, 0, "the record of media group %s has not been read yet",
                        lutra_pipeline_target(p->view)->group);
        return NULL;
    }
    struct lutra_endpoint *endpoint =
        lutra_endpoint_resolve(lutra_pipeline_target(p->view), side->member, err);
    if (endpoint == NULL) {
        return NULL;
    }
    memcpy(p->target_member, side->member, sizeof p->target_member);
    struct lutra_target *target = env->target_new(env, endpoint, p->id, p->view->def);
    lutra_endpoint_free(endpoint);
    return target;
}

/* A ROLLBACK that waits for its time waits for a server that is no longer meant. One that waits for
 * an operator stays. */
static void lift_rollback(struct ldr_pipeline *p)
{
    const struct lutra_control *control = &p->view->control;
    struct lutra_request request = {.kind = LUTRA_REQUEST_RESUME, .early = true};
    if (control->start || control->retry_at_ms == 0) {
        return;
    }
    (void)snprintf(request.by, sizeof request.by, "load/%s", p->load->env->instance);
    (void)snprintf(request.reason, sizeof request.reason, "the media group was switched");
    lutra_request_send(p->load->env->coord, p->id, &request, NULL, p);
}

static void tell(const struct ldr_pipeline *p, const char *side, const char *from, const char *to)
{
    LUTRA_INFO("load.media_switched", LUTRA_F_STR("pipeline", p->id), LUTRA_F_STR("side", side),
               LUTRA_F_STR("from", from), LUTRA_F_STR("to", to));
}

void ldr_media_check(struct ldr_pipeline *p)
{
    const struct lutra_media_side *source = &p->view->source_media,
                                  *target = &p->view->target_media;
    if (target->known && p->target != NULL && strcmp(target->member, p->target_member) != 0) {
        tell(p, "target", p->target_member, target->member);
        ldr_reopen(p, "the target's media group was switched");
        lift_rollback(p);
    } else if (source->known && (p->state == LDR_RUN || p->state == LDR_ORIGIN) &&
               strcmp(source->member, p->source_member) != 0) {
        tell(p, "source", p->source_member, source->member);
        ldr_make_epoch(p, "the source's media group was switched");
        lift_rollback(p);
    }
}

int ldr_media_check_ring(const struct ldr_pipeline *p, struct lutra_error *err)
{
    const struct lutra_origin *origin = &p->view->origin;
    bool empty = p->ring.process_id == 0 && p->ring.position_text[0] == '\0';
    bool was_there = p->view->has_origin && (origin->process_id > 0 || origin->position[0] != '\0');
    if (p->target_member[0] == '\0' || !empty || !was_there ||
        strcmp(origin->target_member, p->target_member) == 0) {
        return 0;
    }
    return lutra_error_set(
        err, LUTRA_CONFIG, 0,
        "target %s/%s has no checkpoint of this pipeline, which has come to process %lu at member "
        "\"%s\": it is not a replica of it, or does not replicate schema lutra; switch back "
        "(lutractl media switch %s %s), or make it a replica first",
        p->view->def->target, p->target_member, origin->process_id, origin->target_member,
        lutra_pipeline_target(p->view)->group, origin->target_member);
}
