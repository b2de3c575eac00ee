/* The JSON records in ZooKeeper (docs/PROTOCOL.md §5). Unknown keys are ignored on reading (newer
 * versions), missing required ones are DATA errors that name the key. */
#ifndef LUTRA_MODEL_RECORDS_H
#define LUTRA_MODEL_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum lutra_desired { LUTRA_DESIRED_START, LUTRA_DESIRED_PAUSE, LUTRA_DESIRED_STOP };
const char *lutra_desired_name(enum lutra_desired desired); /* "START" ... */

/* /lutra/channels/<c>/desired */
struct lutra_desired_record {
    enum lutra_desired state;
    char by[64];
    int64_t at_ms; /* wall clock, ms since 1970 */
};

/* /lutra/pipelines/<p>/control */
struct lutra_control {
    bool start;       /* state START | PAUSE */
    uint64_t epoch;   /* wanted: the load owner must make one at least this high */
    char reason[512]; /* why, one line; "" */
    int64_t
        retry_at_ms;  /* PAUSE only: when to START again by itself; 0: when an operator says so */
    uint32_t attempt; /* automatic ROLLBACKs and RESTARTs in a row, for back-off and bound */
    uint64_t process_id; /* applied when the last of them was asked for: beyond it is progress */
    bool exhausted;      /* attempt is above the channel's bound: an operator must look at it */
    char by[128];        /* service/instance or operator */
    int64_t at_ms;
};

/* /lutra/pipelines/<p>/origin */
struct lutra_origin {
    uint64_t epoch;
    char nonce[17];
    uint64_t process_id; /* select's first process is process_id + 1 */
    char *position;      /* text form; "" while the checkpoint has none. Heap */
    uint64_t config_version;
    char select_session[64];   /* the one select owner session that may publish this epoch */
    char source_identity[256]; /* "" while unknown; select refuses another */
    /* The members of the media groups that hold for this epoch; "": a single server. */
    char source_member[64], target_member[64];
    char by[128];
    int64_t at_ms;
};

/* /lutra/media/<group>: which member is the current one; changed by compare-and-set */
struct lutra_media_record {
    char primary[64];
    char by[128];
    int64_t at_ms;
};

/* /lutra/pipelines/<p>/select, /lutra/pipelines/<p>/load: ephemeral */
struct lutra_owner_record {
    char instance[64];
    char session[64]; /* instance + random part: a new one for every time the node is created */
};

/* /lutra/pipelines/<p>/position: written by the load owner about once a second while it changes,
 * for operators only */
struct lutra_position_record {
    uint64_t epoch, process_id;
    char *position; /* heap */
    int64_t commit_us;
    int64_t at_ms;
};

/* /lutra/nodes/<service>/<instance>: ephemeral */
struct lutra_node_record {
    char service[32], instance[64], host[256], site[64], version[32], http[128];
    int64_t pid;
    int64_t started_ms;
};

int lutra_desired_from_json(const char *s,
                            size_t n,
                            struct lutra_desired_record *r,
                            struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_desired_to_json(const struct lutra_desired_record *r, struct lutra_buf *out);
int lutra_control_from_json(const char *s,
                            size_t n,
                            struct lutra_control *r,
                            struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_control_to_json(const struct lutra_control *r, struct lutra_buf *out);
int lutra_origin_from_json(const char *s, size_t n, struct lutra_origin *r, struct lutra_error *err)
    LUTRA_MUST_CHECK;
void lutra_origin_to_json(const struct lutra_origin *r, struct lutra_buf *out);
void lutra_origin_fini(struct lutra_origin *r);
int lutra_media_from_json(const char *s,
                          size_t n,
                          struct lutra_media_record *r,
                          struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_media_to_json(const struct lutra_media_record *r, struct lutra_buf *out);
int lutra_owner_from_json(const char *s,
                          size_t n,
                          struct lutra_owner_record *r,
                          struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_owner_to_json(const struct lutra_owner_record *r, struct lutra_buf *out);
int lutra_position_record_from_json(const char *s,
                                    size_t n,
                                    struct lutra_position_record *r,
                                    struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_position_record_to_json(const struct lutra_position_record *r, struct lutra_buf *out);
void lutra_position_record_fini(struct lutra_position_record *r);
int lutra_node_from_json(const char *s,
                         size_t n,
                         struct lutra_node_record *r,
                         struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_node_to_json(const struct lutra_node_record *r, struct lutra_buf *out);

#endif
