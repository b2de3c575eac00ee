/* What a service knows of channels and pipelines: mirrors of ZooKeeper's tree, parsed, with the
 * permit worked out, and the definitions cached on disk so that a service starts without ZooKeeper.
 * docs/PROTOCOL.md §5. */
#ifndef LUTRA_CATALOG_CATALOG_H
#define LUTRA_CATALOG_CATALOG_H

#include "coord/coord.h"
#include "model/channel.h"
#include "model/records.h"

/* One side of a pipeline whose source is a media group (docs/PROTOCOL.md §13). */
struct lutra_media_side {
    bool known; /* a single server, or the group's record has been read */
    /* The member that is current: the record's, or the definition's `primary` without one; "": a
     * single server. The definition may not have it: lutra_endpoint_resolve tells. */
    char member[64];
    bool has_record;
    struct lutra_media_record record;
    int32_t version; /* of the znode; -1: absent */
};

/* One pipeline, as far as known. Owned by the catalog; valid until on_removed returned. */
struct lutra_pipeline {
    const char *id;
    const struct lutra_channel *channel;
    const struct lutra_pipeline_def
        *def; /* replaced (with channel) when the definition changes: never keep a pointer */
    uint64_t config_version;
    bool from_cache; /* the definition comes from disk; ZooKeeper has not spoken yet */
    /* The definition is known from disk or from before, and ZooKeeper, which was wiped or restored
     * from an older snapshot, does not know the channel. Never permitted. */
    bool unknown_to_zookeeper;
    bool known; /* what is mirrored of it (see watch) has been read at least once */
    bool has_desired;
    struct lutra_desired_record desired;
    bool has_control;
    struct lutra_control control;
    int32_t control_version; /* of the znode */
    bool has_origin;
    struct lutra_origin origin;
    bool has_select, has_load;
    struct lutra_owner_record select_owner, load_owner;
    bool has_position;
    struct lutra_position_record position;
    struct lutra_media_side source_media, target_media;
    /* desired START and control START. Without ZooKeeper: as last seen. Needs both in watch. */
    bool permit;
    void *user; /* the service's own, set in on_added */
};

enum {
    LUTRA_CHANGED_CONFIG = 1,
    LUTRA_CHANGED_DESIRED = 2,
    LUTRA_CHANGED_CONTROL = 4,
    LUTRA_CHANGED_ORIGIN = 8,
    LUTRA_CHANGED_OWNERS = 16,
    LUTRA_CHANGED_POSITION = 32,
    LUTRA_WATCH_MANAGERS = 64, /* for lutra_catalog_managed; not told by on_changed */
    LUTRA_CHANGED_MEDIA = 128,
};

/* Called from later turns only. on_changed: something of `what` is new, or became known. Handlers
 * do not free the catalog. */
struct lutra_catalog_handler {
    void (*on_added)(struct lutra_pipeline *pipeline, void *arg);
    void (*on_changed)(struct lutra_pipeline *pipeline, unsigned what, void *arg);
    void (*on_removed)(struct lutra_pipeline *pipeline, void *arg);
};

struct lutra_catalog;
/* cache_dir: NULL without cache (tests, manager); made when missing; written by rename, one file
 * per channel. A channel's file goes only when the channel was deleted, not when ZooKeeper was
 * wiped. watch: which of the LUTRA_CHANGED_* to mirror; CONFIG always is (extract and transform
 * want only that; POSITION: the manager). Pipelines from the cache are added in the next turn. */
struct lutra_catalog *lutra_catalog_new(struct lutra_coord *coord,
                                        const char *cache_dir,
                                        unsigned watch,
                                        const struct lutra_catalog_handler *handler,
                                        void *arg);
void lutra_catalog_free(struct lutra_catalog *catalog);
struct lutra_pipeline *lutra_catalog_find(struct lutra_catalog *catalog, const char *pipeline);
/* Calls fn for each pipeline, by name. */
void lutra_catalog_each(struct lutra_catalog *catalog,
                        void (*fn)(struct lutra_pipeline *pipeline, void *arg),
                        void *arg);
/* Calls fn for each definition that is known here, also of channels that a wiped or restored
 * ZooKeeper does not know. Borrowed for the call. */
void lutra_catalog_definitions(const struct lutra_catalog *catalog,
                               void (*fn)(const struct lutra_channel *channel,
                                          bool unknown_to_zookeeper,
                                          void *arg),
                               void *arg);
bool lutra_catalog_known(
    const struct lutra_catalog *catalog); /* the list of channels has been read */
/* Some manager stands for election, as last seen. Needs LUTRA_WATCH_MANAGERS. */
bool lutra_catalog_managed(const struct lutra_catalog *catalog);

/* ---- Media groups ---- */

/* The definition's endpoints of a pipeline. */
const struct lutra_endpoint *lutra_pipeline_source(const struct lutra_pipeline *pipeline);
const struct lutra_endpoint *lutra_pipeline_target(const struct lutra_pipeline *pipeline);

/* Makes `to` the current member of a group, if the record's znode has this version (-1: there is
 * none). done(BAD_VERSION, NODE_EXISTS or NO_NODE): somebody else was faster. done may be NULL;
 * cancel with lutra_coord_forget(coord, arg). */
void lutra_media_write(struct lutra_coord *coord,
                       const char *group,
                       int32_t version,
                       const char *to,
                       const char *by,
                       lutra_coord_fn done,
                       void *arg);

/* ---- Requests: ROLLBACK, RESTART and START as one compare-and-set (docs/PROTOCOL.md §6.4) ---- */

enum lutra_request_kind {
    LUTRA_REQUEST_ROLLBACK, /* new epoch, PAUSE; START again at retry_at_ms, or by an operator when
                               0 */
    LUTRA_REQUEST_RESTART,  /* new epoch, START; automatic ones leave a ROLLBACK alone before its
                               retry_at_ms */
    LUTRA_REQUEST_RESUME,   /* START, same epoch (retry_at has come, or an operator's start after a
                               ROLLBACK) */
};
struct lutra_request {
    enum lutra_request_kind kind;
    bool by_operator;
    bool early; /* RESUME: a retry_at_ms that is still to come is not waited for */
    /* Automatic requests: the epoch the initiator complains about; when control.epoch or
     * origin.epoch is above it the request is already served and nothing is written. 0: no such
     * condition. */
    uint64_t about_epoch;
    int64_t retry_at_ms;
    bool retry_with_backoff; /* work retry_at out from control.attempt: 1 s doubling to 60 s */
    /* Automatic requests that are tried again by themselves: see lutra_request_bound. */
    uint32_t max_attempts; /* in a row; 0: without end */
    uint64_t process_id;   /* applied, as far as the initiator knows */
    char channel[48];
    /* RESTART of a stall, spaced by who asks (lutra_control_pace_ms): never becomes a PAUSE, so
     * that a cause that goes away needs nobody; beyond the bound it is only marked as exhausted. */
    bool keeps_permit;
    char reason[512];
    char by[128];
};
enum lutra_request_outcome {
    LUTRA_REQUEST_DONE,
    LUTRA_REQUEST_COALESCED, /* somebody else asked for the same, or it is served already */
    LUTRA_REQUEST_YIELDED,   /* an operator's word or a pending ROLLBACK stands above it */
    LUTRA_REQUEST_FAILED,    /* ZooKeeper did not answer; ask again */
};
/* Reads control and origin afresh, decides, does one compare-and-set; a lost race reads and decides
 * again. A control that is missing is made. done may be NULL; its control is what stands there now,
 * NULL when FAILED. Cancel with lutra_request_forget(coord, arg). */
void lutra_request_send(struct lutra_coord *coord,
                        const char *pipeline,
                        const struct lutra_request *request,
                        void (*done)(enum lutra_request_outcome outcome,
                                     const struct lutra_control *control,
                                     void *arg),
                        void *arg);
void lutra_request_forget(struct lutra_coord *coord, void *arg);
/* What bounds an automatic request, from the pipeline's definition. process_id: applied, as far as
 * known; more of it than at the attempt before means that the row of attempts begins anew. Beyond
 * the bound a ROLLBACK or RESTART is a PAUSE that waits for an operator and says so. */
void lutra_request_bound(struct lutra_request *request,
                         const struct lutra_pipeline *pipeline,
                         uint64_t process_id);
/* How long to wait before the next RESTART of a stall: base_ms, doubled (at most five times) for
 * each attempt in a row that did not help. */
uint64_t
lutra_control_pace_ms(const struct lutra_control *control, uint64_t process_id, uint64_t base_ms);

/* Paths; buf of at least 256 bytes; return buf. */
const char *lutra_path_channel(const char *channel, const char *leaf, char *buf);
const char *lutra_path_pipeline(const char *pipeline, const char *leaf, char *buf);
const char *lutra_path_media(const char *group, char *buf);

#endif
