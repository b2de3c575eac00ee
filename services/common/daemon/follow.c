#include "daemon/follow.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    LOOK_EVERY_MS = 1000,
    SURE_AFTER = 2, /* looks in a row that say the same */
};

struct lutra_follower {
    const struct lutra_env *env;
    const char *service;
    struct lutra_pipeline *view;
    enum lutra_side side;
    struct lutra_timer *timer;
    struct lutra_scout *scout; /* NULL: not active */
    uint64_t config_version;   /* that the scout was made for */
    char *position;
    char candidate[64]; /* of the last look that would have switched */
    unsigned times;
    bool writing;
    char note[1024];
};

static const struct lutra_endpoint *group_of(const struct lutra_follower *f)
{
    return f->side == LUTRA_SIDE_SOURCE ? lutra_pipeline_source(f->view)
                                        : lutra_pipeline_target(f->view);
}

static const struct lutra_media_side *media_of(const struct lutra_follower *f)
{
    return f->side == LUTRA_SIDE_SOURCE ? &f->view->source_media : &f->view->target_media;
}

static void look_later(struct lutra_follower *f)
{
    lutra_timer_start(f->timer, LOOK_EVERY_MS);
}

static void forget_candidate(struct lutra_follower *f)
{
    f->candidate[0] = '\0';
    f->times = 0;
}

static void note(struct lutra_follower *f, enum lutra_follow_verdict verdict, const char *why)
{
    if (strcmp(f->note, why) == 0) {
        return;
    }
    (void)snprintf(f->note, sizeof(f->note), "%s", why);
    if (verdict == LUTRA_FOLLOW_SPLIT) {
        LUTRA_ERROR("media.split", LUTRA_F_STR("pipeline", f->view->id),
                    LUTRA_F_STR("group", group_of(f)->group), LUTRA_F_STR("members", why));
    } else if (why[0]) {
        LUTRA_WARN("media.no_primary", LUTRA_F_STR("pipeline", f->view->id),
                   LUTRA_F_STR("group", group_of(f)->group), LUTRA_F_STR("members", why));
    }
}

static void on_written(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_follower *f = arg;
    f->writing = false;
    /* Anything else: somebody was faster, or nobody knows; the mirror tells what stands there. */
    LUTRA_INFO("media.switch", LUTRA_F_STR("pipeline", f->view->id),
               LUTRA_F_STR("done", result->rc == LUTRA_COORD_OK ? "yes" : "no"));
    look_later(f);
}

/* Twice in a row, so that a moment in the middle of somebody's failover decides nothing. */
static void consider(struct lutra_follower *f, const char *member, const char *why)
{
    const struct lutra_media_side *media = media_of(f);
    char by[128];
    if (strcmp(f->candidate, member) != 0) {
        forget_candidate(f);
        (void)snprintf(f->candidate, sizeof(f->candidate), "%s", member);
    }
    if (++f->times < SURE_AFTER) {
        look_later(f);
        return;
    }
    LUTRA_WARN("media.following", LUTRA_F_STR("pipeline", f->view->id),
               LUTRA_F_STR("group", group_of(f)->group), LUTRA_F_STR("from", media->member),
               LUTRA_F_STR("to", member), LUTRA_F_STR("members", why));
    (void)snprintf(by, sizeof(by), "%s/%s (auto)", f->service, f->env->instance);
    f->writing = true;
    lutra_media_write(f->env->coord, group_of(f)->group, media->version, member, by, on_written, f);
    forget_candidate(f);
}

static void on_all(const struct lutra_member_view *views, size_t n, void *arg)
{
    struct lutra_follower *f = arg;
    char why[1024];
    size_t to = 0;
    enum lutra_follow_verdict verdict =
        lutra_follow_decide(views, n, media_of(f)->member, &to, why, sizeof(why));
    note(f, verdict, why);
    if (verdict == LUTRA_FOLLOW_SWITCH) {
        consider(f, views[to].name, why);
        return;
    }
    forget_candidate(f);
    look_later(f);
}

/* The current one alone is asked while it is well. */
static void on_current(const struct lutra_member_view *views, size_t n, void *arg)
{
    struct lutra_follower *f = arg;
    if (n == 1 && views[0].reachable && !views[0].read_only) {
        note(f, LUTRA_FOLLOW_STAY, "");
        forget_candidate(f);
        look_later(f);
        return;
    }
    lutra_scout_look(f->scout, NULL, f->position, on_all, f);
}

static void on_timer(void *arg)
{
    struct lutra_follower *f = arg;
    if (!media_of(f)->known || f->writing ||
        lutra_coord_state_of(f->env->coord) != LUTRA_COORD_CONNECTED) {
        look_later(f);
        return;
    }
    lutra_scout_look(f->scout, media_of(f)->member, f->position, on_current, f);
}

static void scout_stop(struct lutra_follower *f)
{
    lutra_timer_stop(f->timer);
    lutra_coord_forget(f->env->coord, f);
    lutra_scout_free(LUTRA_STEAL(f->scout));
    f->writing = false;
    f->note[0] = '\0';
    forget_candidate(f);
}

void lutra_follower_update(struct lutra_follower *f, bool active)
{
    const struct lutra_endpoint *group = f->view->def ? group_of(f) : NULL;
    active = active && group && group->n_members > 0 && group->follow == LUTRA_FOLLOW_AUTO &&
             f->env->scout_new;
    if (f->scout && (!active || f->config_version != f->view->config_version)) {
        scout_stop(f);
    }
    if (active && !f->scout) {
        f->config_version = f->view->config_version;
        f->scout =
            f->env->scout_new(f->env, group, f->side == LUTRA_SIDE_TARGET ? f->view->id : NULL);
        look_later(f);
    }
}

void lutra_follower_position(struct lutra_follower *f, const char *position)
{
    if (strcmp(f->position, position) != 0) {
        lutra_free(f->position);
        f->position = lutra_strdup(position);
    }
}

const char *lutra_follower_note(const struct lutra_follower *f)
{
    return f->note;
}

struct lutra_follower *lutra_follower_new(const struct lutra_env *env,
                                          const char *service,
                                          struct lutra_pipeline *view,
                                          enum lutra_side side)
{
    struct lutra_follower *f = LUTRA_NEW(struct lutra_follower);
    f->env = env;
    f->service = service;
    f->view = view;
    f->side = side;
    f->position = lutra_strdup("");
    f->timer = lutra_timer_new(env->loop, on_timer, f);
    return f;
}

void lutra_follower_free(struct lutra_follower *f)
{
    if (f) {
        scout_stop(f);
        lutra_timer_free(f->timer);
        lutra_free(f->position);
        lutra_free(f);
    }
}
