/* What the files of the manager share. */
#ifndef LUTRA_MANAGER_MANAGER_PRIVATE_H
#define LUTRA_MANAGER_MANAGER_PRIVATE_H

#include <jansson.h>

#include "catalog/catalog.h"
#include "coord/mirror.h"
#include "manager/alarms.h"
#include "manager/election.h"
#include "manager/events.h"
#include "manager/manager.h"
#include "manager/nodes.h"
#include "manager/view.h"

/* How old gathered states may be when they are shown. */
enum { MGR_FRESH_MS = 1000, MGR_TICK_MS = 1000 };

struct mgr_op;

/* One pipeline, as watched by this manager: lutra_pipeline.user. */
struct mgr_pipeline {
    struct lutra_manager *manager;
    const struct lutra_pipeline *pipeline;
    /* Progress: a change of any of these is a move. */
    uint64_t epoch, consumed, applied, executed, committed, rows;
    uint64_t best_applied;       /* processId */
    uint64_t moved_ms;           /* when it moved last, or had no reason to */
    uint64_t no_stream_since_ms; /* 0: there is a stream, or no permit */
    enum mgr_state told_state;   /* the last one written into the history */
    bool told;
    char told_owners[160];
    char told_members[2][64];   /* source, target */
    uint64_t complete_since_ms; /* every stage has an instance that answers; 0: not now */
    uint64_t looked_ms;         /* when it was looked at last */
    uint64_t unknown_since_ms;  /* an owner does not tell its state; 0: it does */
    uint64_t rival_since_ms;    /* two processes say that they own it; 0: no */
    uint64_t stalled_applied;   /* best_applied when it stalled, or when it was first seen */
    bool seen;
    char whereabouts[256], silent[192];
    struct mgr_sent *sent; /* a request of this manager under way, or NULL */
};

struct lutra_manager {
    struct lutra_manager_options options;
    struct lutra_catalog *catalog;
    struct mgr_election *election;
    struct mgr_nodes *nodes;
    struct mgr_events *events;
    struct lutra_timer *tick;
    struct mgr_alarms *alarms;
    uint64_t connected_ms; /* to ZooKeeper, since; 0: not now */
    uint64_t verified_ms;  /* when leadership was read afresh for this tick */
    bool told_leading;
    struct mgr_op *ops, **ops_end; /* writes, one at a time; the first is under way */
    struct mgr_read *reads;
    bool stopping;
    struct lutra_timer *op_timer;
};

/* ---- progress.c ---- */
void mgr_pipeline_added(struct lutra_pipeline *pipeline, void *arg);
void mgr_pipeline_changed(struct lutra_pipeline *pipeline, unsigned what, void *arg);
void mgr_pipeline_removed(struct lutra_pipeline *pipeline, void *arg);
/* Looks at what is known now: remembers moves, fills the view and judges it. */
void mgr_pipeline_look(struct mgr_pipeline *mine,
                       struct mgr_view *view,
                       struct mgr_verdict *verdict);

/* Where its oldest process in flight is (mine->whereabouts), and who is silent (mine->silent). */
void mgr_pipeline_find(struct mgr_pipeline *mine, const json_t *select, const json_t *load);

/* ---- status.c ---- */
json_t *mgr_status_json(struct lutra_manager *manager);
json_t *mgr_channels_json(struct lutra_manager *manager);
/* NULL: no such channel. */
json_t *mgr_channel_status_json(struct lutra_manager *manager, const char *channel);
json_t *mgr_lag_json(struct lutra_manager *manager);
json_t *mgr_managers_json(struct lutra_manager *manager);

/* ---- duties.c: what only the leader does ---- */
void mgr_duties_start(struct lutra_manager *manager);
void mgr_duties_stop(struct lutra_manager *manager);
void mgr_sent_free(struct mgr_sent *sent); /* NULL is legal */
/* It was taken away on purpose, and others of its service serve what it did. */
bool mgr_node_is_spared(struct lutra_manager *manager, const struct mgr_node *node);

/* ---- ops.c: writes, carried out one after the other ---- */
enum { MGR_BY_LEN = 64 };
struct mgr_op {
    struct lutra_manager *manager;
    struct lutra_http_request *request;
    void (*run)(struct mgr_op *op);
    char name[96]; /* of the channel, pipeline or media group */
    char by[MGR_BY_LEN];
    char *body;
    size_t body_len;
    struct lutra_channel *def, *old; /* as asked for; as it stands in ZooKeeper */
    int32_t version;                 /* of the config znode */
    enum lutra_desired desired;
    char to[64], from[64], expected[64]; /* media switch: members; expected "": any */
    bool force, topics;
    bool recover;    /* apply: a definition from a node's cache, of a channel that is not there */
    char node[160];  /* recover: whose cache */
    struct jan *jan; /* janitor.c */
    struct lutra_request wish; /* rollback, restart */
    char **names;              /* a list being worked through */
    size_t n_names, next_name;
    void (*each_done)(struct mgr_op *op);
    bool (*settled)(struct mgr_op *op); /* is it visible in the catalog yet? */
    uint64_t settle_end_ms;
    json_t *answer; /* sent when settled */
    struct mgr_op *next;
};
/* Takes the request. */
struct mgr_op *mgr_op_new(struct lutra_manager *manager,
                          struct lutra_http_request *request,
                          const char *name,
                          void (*run)(struct mgr_op *op));
void mgr_op_submit(struct mgr_op *op);
/* Both answer and end the operation. */
void mgr_op_answer(struct mgr_op *op, json_t *body);
void mgr_op_fail(struct mgr_op *op, int status, const char *class, const char *fmt, ...)
    LUTRA_PRINTF(4, 5);
/* True when the result is not OK and not `other` either: the operation has been failed. */
bool mgr_op_failed(struct mgr_op *op,
                   const struct lutra_coord_result *result,
                   enum lutra_coord_rc other);
/* Answers as soon as settled(op), at the latest after 2 s: who asks next sees what he wrote. */
void mgr_op_answer_settled(struct mgr_op *op, json_t *body, bool (*settled)(struct mgr_op *op));
void mgr_op_set_names(struct mgr_op *op, size_t n);
void mgr_ops_start(struct lutra_manager *manager);
void mgr_ops_free(struct lutra_manager *manager);
/* Reads the body as a JSON object ({} when empty); NULL: answered with 400. */
json_t *mgr_body_object(struct lutra_http_request *request);
void mgr_text_copy(char *to, size_t size, const char *from);

/* desired.c: writes op->desired, then op->each_done. */
void mgr_op_write_desired(struct mgr_op *op);
/* api.c */
void mgr_reads_free(struct lutra_manager *manager);
/* True: this manager leads. False: answered. */
bool mgr_may_write(struct lutra_manager *manager, struct lutra_http_request *request);
/* False: answered with 405. */
bool mgr_is_method(struct lutra_http_request *request, const char *method);
/* Asks all nodes afresh, then calls then, which takes the request. */
void mgr_refresh_then(struct lutra_manager *manager,
                      struct lutra_http_request *request,
                      const char *name,
                      void (*then)(struct lutra_manager *manager,
                                   struct lutra_http_request *request,
                                   const char *name));
/* Answers with make(manager), with states as young as status wants them. */
void mgr_get_fresh(struct lutra_manager *manager,
                   struct lutra_http_request *request,
                   json_t *(*make)(struct lutra_manager *manager));
/* "by" of the body. */
void mgr_op_take_by(struct mgr_op *op, const json_t *body);

/* recover.c: channels that nodes know and ZooKeeper does not. */
json_t *mgr_recover_json(struct lutra_manager *manager);
/* Takes the requests below its path; false: not its path. */
bool mgr_recover_route(struct lutra_manager *manager, struct lutra_http_request *request);
/* janitor.c: what deleted pipelines left behind. */
bool mgr_janitor_route(struct lutra_manager *manager, struct lutra_http_request *request);
void mgr_janitor_free(struct jan *jan); /* NULL is legal */

/* media.c */
json_t *mgr_media_json(struct lutra_manager *manager);
/* NULL: no pipeline uses such a group. */
json_t *mgr_media_group_json(struct lutra_manager *manager, const char *key);
void mgr_op_media(struct mgr_op *op);

void mgr_op_apply(struct mgr_op *op);
void mgr_op_desired(struct mgr_op *op);
void mgr_op_remove(struct mgr_op *op);
void mgr_op_request(struct mgr_op *op);

/* alarm_rules.c: between mgr_alarms_begin and its end. */
void mgr_alarms_collect(struct lutra_manager *manager);

/* alarm_ops.c */
void mgr_op_warn(struct mgr_op *op);
void mgr_op_clear(struct mgr_op *op);

#endif
