/* A whole installation in one process, under virtual time: ports in memory, real service logic,
 * faults, and the truth to compare with. Everything follows from one seed. */
#ifndef LUTRA_TEST_WORLD_H
#define LUTRA_TEST_WORLD_H

#include "binlog_build/build.h"
#include "bus/bus_mem.h"
#include "bus/pipe.h"
#include "coord/coord_mem.h"
#include "daemon/env.h"
#include "db/source_mem.h"
#include "db/target_mem.h"

#define WORLD_NODES 16
#define WORLD_KEYS 64
#define WORLD_PIPELINE "p"

struct world;
struct world_audit;

/* One service process. */
struct world_node {
    struct world *world;
    enum lutra_stage stage;
    char instance[32];
    bool alive;
    struct lutra_env env;
    struct lutra_bus *bus, *far_bus; /* of env.buses; far_bus NULL when lacks_far */
    bool lacks_far;                  /* its configuration has no bus "far" */
    bool short_for_far;              /* it lacks the threads to open it */
    unsigned far_tries;              /* how often it tried to */
    void *service;
    struct lutra_target *target; /* the last one that it made */
    bool frozen;
};

struct world {
    struct lutra_loop *loop;
    struct lutra_mem_broker *broker, *far; /* the buses "default" and "far" */
    struct lutra_mem_tree *tree;
    struct lutra_mem_binlog *binlog;
    struct lutra_mem_db *db; /* the target; of a media group its current member, for checks */
    /* When the target is a group (YAML of the endpoint; NULL: a single server): its members, and
     * what a look at them says. */
    const char *target_yaml;
    struct lutra_mem_db *member_a, *member_b;
    struct lutra_member_view views[3];
    struct world_node nodes[WORLD_NODES];
    size_t n;
    char source_site[41], target_site[41]; /* load stands at the latter, the rest at the former */
    uint64_t config_version;
    bool uses_far; /* a definition named it so far */
    uint64_t random;

    /* the source */
    struct binlog_file file;
    size_t served; /* bytes of `file` that stand in the binlog */
    struct lutra_table *keyed, *bag;
    uint64_t seq;
    /* the truth */
    bool present[WORLD_KEYS];
    int64_t value[WORLD_KEYS];
    size_t bag_rows;
    bool in_transaction;
    struct lutra_mem_tree *snapshot; /* of chaos; NULL: none */
    struct world_audit *audit;       /* looks at every step: audit.h */
};

/* yaml: more lines of the pipeline, four blanks in front, or "". */
struct world *world_new(uint64_t seed, const char *yaml);
void world_free(struct world *w);
uint64_t world_random(struct world *w, uint64_t below);

/* Another definition for the pipeline that is there. Processes keep the sites they stand at. */
void world_define(struct world *w, const char *yaml);

struct world_node *world_start(struct world *w, enum lutra_stage stage, const char *instance);
/* The same without the configuration of bus "far". */
struct world_node *
world_start_without_far(struct world *w, enum lutra_stage stage, const char *instance);
/* The same without the threads to open it, until the test clears `short_for_far`. */
struct world_node *
world_start_short_for_far(struct world *w, enum lutra_stage stage, const char *instance);
/* The process is gone at once: nothing more is heard of it, its session expires in time. */
void world_kill(struct world_node *node);
void world_restart(struct world_node *node);
/* A load process that stands still, its transaction open, and whose session expires meanwhile; and
 * goes on where it stood, still without knowing that. */
void world_freeze(struct world_node *node);
void world_thaw(struct world_node *node);
/* ZooKeeper restored from a snapshot: what it says may be older from now on. NULL: wiped. */
void world_restore_zookeeper(struct world *w, const struct lutra_mem_tree *snapshot);
/* The same for the target. */
void world_restore_target(struct world *w, const struct lutra_mem_db *backup);
/* One of each service; two extracts and two transforms, a standby select and load when `standbys`.
 */
void world_start_all(struct world *w, bool standbys);

/* ---- the source ---- */
void world_begin(struct world *w);
void world_put(struct world *w, unsigned key, int64_t value); /* INSERT or UPDATE */
void world_remove(struct world *w, unsigned key);             /* DELETE, when it is there */
void world_move(struct world *w, unsigned from, unsigned to); /* UPDATE of the key, when possible */
void world_bag(struct world *w, unsigned rows);               /* rows that are all alike */
void world_commit(struct world *w);
/* A transaction of up to max_rows random changes. */
void world_transaction(struct world *w, unsigned max_rows);

/* ---- looking ---- */
/* The keyed table of the source, and that of the target, in the same form. Heap. */
char *world_truth(const struct world *w);
char *world_reality(struct world *w);
/* Everything that the source committed is in the target. */
bool world_caught_up(void *world);
/* Runs until caught up; fails the test with the state of all nodes when it takes longer than ms of
 * virtual time. */
void world_settle(struct world *w, uint64_t ms);
/* Fails unless the target holds the truth and its history is one that the invariants allow. */
void world_check(struct world *w);
/* The entry of the pipeline in a node's state; json_decref it. */
struct json_t *world_state(struct world_node *node);
bool world_state_true(struct world_node *node, const char *key);
int64_t world_state_int(struct world_node *node, const char *key);
/* Is the text of `key` this one (or, whole false, does it hold it)? */
bool world_state_is(struct world_node *node, const char *key, const char *text, bool whole);
/* The record in ZooKeeper, or NULL. Borrowed. */
const char *world_record(struct world *w, const char *leaf);
/* Writes a control record that asks for a new epoch: start or pause. */
void world_request(struct world *w, bool start);
void world_desire(struct world *w, const char *state);

#endif
