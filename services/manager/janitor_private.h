/* What the files of the janitor share: one look, and what came of it. */
#ifndef LUTRA_MANAGER_JANITOR_PRIVATE_H
#define LUTRA_MANAGER_JANITOR_PRIVATE_H

#include "db/leftovers.h"
#include "manager/manager_private.h"

struct jan_target {
    char name[160]; /* host:port or socket */
    struct lutra_leftovers *leftovers;
};

struct jan {
    bool blocked;                         /* the list is not to be trusted for removal */
    json_t *wanted;                       /* NULL: list only */
    json_t *pipelines, *channels, *media; /* sets: what is known */
    json_t *defined;                      /* set: channels whose definition ZooKeeper has */
    json_t *records;                      /* of media groups: key -> version of the record */
    json_t *alive;                        /* set: pipelines that somebody else works for */
    json_t *buses;                        /* names */
    json_t *items, *warnings, *removed, *failed;
    size_t i, k; /* where it stands in the list being worked through */
    size_t n_targets;
    struct jan_target *targets;
};

/* NULL: not looked at. */
struct lutra_leftovers *jan_target_named(struct jan *jan, const char *name);

/* janitor_remove.c. Once the list is complete: removes what is wanted of it, and answers. */
void jan_remove(struct mgr_op *op);

#endif
