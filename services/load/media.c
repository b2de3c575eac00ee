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
        if (p->ring_epoch != 0) {
            p->left_process_id = p->ring.process_id;
        }
        ldr_reopen(p, "the target's media group was switched");
        lift_rollback(p);
    } else if (source->known && (p->state == LDR_RUN || p->state == LDR_ORIGIN) &&
               strcmp(source->member, p->source_member) != 0) {
        tell(p, "source", p->source_member, source->member);
        ldr_make_epoch(p, "the source's media group was switched");
        lift_rollback(p);
    }
}

/* What the pipeline had come to, as far as anybody knows: the origin of a first epoch says nothing
 * yet, and the record of the position is up to a second late. */
static uint64_t came_to(const struct ldr_pipeline *p)
{
    uint64_t process_id = p->view->has_origin ? p->view->origin.process_id : 0;
    if (p->found.process_id > process_id) {
        process_id = p->found.process_id;
    }
    return p->left_process_id > process_id ? p->left_process_id : process_id;
}

int ldr_media_check_ring(const struct ldr_pipeline *p, struct lutra_error *err)
{
    const struct lutra_origin *origin = &p->view->origin;
    bool empty = p->ring.process_id == 0 && p->ring.position_text[0] == '\0';
    uint64_t had = came_to(p);
    char accept[64];
    (void)snprintf(accept, sizeof accept, "empty:%lu", origin->epoch);
    if (p->target_member[0] == '\0' || !empty || had == 0 ||
        strcmp(origin->target_member, p->target_member) == 0 ||
        strcmp(p->view->def->accept_target, accept) == 0) {
        return 0;
    }
    return lutra_error_set(
        err, LUTRA_CONFIG, 0,
        "target %s/%s has no checkpoint of this pipeline, which has come to process %lu at member "
        "\"%s\": it is not a replica of it, or does not replicate schema lutra; switch back "
        "(lutractl media switch %s %s), make it a replica first, or, to begin there as start: "
        "says, "
        "put \"accept_target: %s\" into the pipeline",
        p->view->def->target, p->target_member, had, origin->target_member,
        lutra_pipeline_target(p->view)->group, origin->target_member, accept);
}
