#include "db/scout.h"

#include <stdio.h>
#include <string.h>

void lutra_scout_look(struct lutra_scout *scout,
                      const char *member,
                      const char *position,
                      void (*done)(const struct lutra_member_view *views, size_t n, void *arg),
                      void *arg)
{
    scout->ops->look(scout, member, position, done, arg);
}

void lutra_scout_free(struct lutra_scout *scout)
{
    if (scout) {
        scout->ops->free(scout);
    }
}

static bool is_primary(const struct lutra_member_view *view)
{
    return view->reachable && !view->read_only && !view->replicates;
}

static const char *state_of(const struct lutra_member_view *view)
{
    if (!view->reachable) {
        return "cannot be reached";
    }
    if (view->read_only) {
        return "is read_only";
    }
    return view->replicates ? "replicates from another server" : "is writable";
}

static void describe(const struct lutra_member_view *views, size_t n, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n && used < size; i++) {
        int len = snprintf(out + used, size - used, "%s%s %s", i ? ", " : "", views[i].name,
                           state_of(&views[i]));
        used += len > 0 ? (size_t)len : 0;
    }
}

enum lutra_follow_verdict lutra_follow_decide(const struct lutra_member_view *views,
                                              size_t n,
                                              const char *current,
                                              size_t *to,
                                              char *why,
                                              size_t why_len)
{
    char all[700];
    size_t others = 0;
    describe(views, n, all, sizeof(all));
    why[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (strcmp(views[i].name, current) == 0) {
            /* One that is writable stays current, whatever it replicates: a ring of primaries. */
            if (views[i].reachable && !views[i].read_only) {
                return LUTRA_FOLLOW_STAY;
            }
        } else if (is_primary(&views[i])) {
            others++;
            *to = i;
        }
    }
    if (others == 0) {
        (void)snprintf(why, why_len, "no member is a primary: %s", all);
        return LUTRA_FOLLOW_WAIT;
    }
    if (others > 1) {
        (void)snprintf(why, why_len,
                       "split brain, several members are writable: %s; nothing is switched, say "
                       "which one is right: lutractl media switch",
                       all);
        return LUTRA_FOLLOW_SPLIT;
    }
    if (!views[*to].fits) {
        (void)snprintf(why, why_len, "%s became the primary, but cannot be followed: %s",
                       views[*to].name, views[*to].detail);
        return LUTRA_FOLLOW_WAIT;
    }
    (void)snprintf(why, why_len, "%s", all);
    return LUTRA_FOLLOW_SWITCH;
}
