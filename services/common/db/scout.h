/* The scout port: what the members of a media group are, for `follow: auto`. Implementations: real
 * servers (scout_mysql.c); tests bring their own. Loop thread only. */
#ifndef LUTRA_DB_SCOUT_H
#define LUTRA_DB_SCOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "loop/loop.h"
#include "model/channel.h"

enum { LUTRA_MAX_MEMBERS = 16 };

struct lutra_scout;

/* What one member is. */
struct lutra_member_view {
    char name[64];
    bool reachable;
    bool read_only;
    bool replicates;  /* it applies what it gets from another server */
    bool fits;        /* it has what this pipeline needs to go on */
    char detail[400]; /* why not reachable, or why it does not fit; "" */
};

/* Looks at one member, or at all of the group (member NULL). done is called once, in a later turn,
 * within some seconds: who has not answered until then is not reachable. position: of a source,
 * what is applied ("" when nothing is). At most one look at a time. */
void lutra_scout_look(struct lutra_scout *scout,
                      const char *member,
                      const char *position,
                      void (*done)(const struct lutra_member_view *views, size_t n, void *arg),
                      void *arg);
/* done is not called any more. */
void lutra_scout_free(struct lutra_scout *scout);

struct lutra_scout_ops {
    void (*look)(struct lutra_scout *,
                 const char *member,
                 const char *position,
                 void (*done)(const struct lutra_member_view *, size_t, void *),
                 void *arg);
    void (*free)(struct lutra_scout *);
};
struct lutra_scout {
    const struct lutra_scout_ops *ops;
};

/* Real servers. The group is copied. pipeline: of a target, the one whose checkpoint a member must
 * have; NULL: a source. */
struct lutra_scout *lutra_scout_mysql_new(struct lutra_loop *loop,
                                          const struct lutra_endpoint *group,
                                          const char *pipeline);

/* ---- The decision ---- */

enum lutra_follow_verdict {
    LUTRA_FOLLOW_STAY,   /* the current member is the primary */
    LUTRA_FOLLOW_SWITCH, /* *to took its place */
    LUTRA_FOLLOW_WAIT,   /* it is not, and nobody is */
    LUTRA_FOLLOW_SPLIT,  /* several are: nobody here can say which one is right */
};
/* Of a look at all members. A member is a primary when it is reachable, neither read_only nor
 * replicating. why: one line, "" when there is nothing to say. */
enum lutra_follow_verdict lutra_follow_decide(const struct lutra_member_view *views,
                                              size_t n,
                                              const char *current,
                                              size_t *to,
                                              char *why,
                                              size_t why_len);

#endif
