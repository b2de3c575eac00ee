/* A channel definition: what an operator writes in channel.yaml (docs/PROTOCOL.md §8) and what
 * stands, as JSON, in /lutra/channels/<c>/config. One parser reads both. */
#ifndef LUTRA_MODEL_CHANNEL_H
#define LUTRA_MODEL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/position.h"

/* One server of a media group: either host and port, or a unix socket. */
struct lutra_member {
    char *name;
    char *host;
    uint16_t port;
    char *socket;
};

/* Who says which member of a media group is the current one: only operators (and what calls the
 * managers' HTTP), or the services too, when they see that another one became the primary. */
enum lutra_follow { LUTRA_FOLLOW_MANUAL, LUTRA_FOLLOW_AUTO };

/* A data media source: how to reach a server. Passwords only by reference. */
struct lutra_endpoint {
    char *name;
    enum lutra_flavor
        flavor; /* `type: mariadb` (mysql is parsed, and refused at start for now by select) */
    char *host; /* either host and port ... */
    uint16_t port;
    char *socket; /* ... or a unix socket */
    char *user;
    char *password_file, *password_env; /* at most one; neither: no password */
    /* ... or a media group: servers of which one is current (docs/PROTOCOL.md §13). Sorted by name;
     * 0: a single server. */
    size_t n_members;
    struct lutra_member *members;
    char *primary; /* the member that is current while nothing else was said */
    enum lutra_follow follow;
    char *group;  /* the group's key: sources that share it are switched together */
    char *member; /* of a resolved endpoint: the member it leads to; else NULL */
};

enum lutra_start_kind {
    LUTRA_START_CURRENT,
    LUTRA_START_EARLIEST,
    LUTRA_START_GTID,       /* gtid:<set> */
    LUTRA_START_FILE,       /* file:<binlog file>:<offset> */
    LUTRA_START_CHECKPOINT, /* only from what the target already has */
};

enum lutra_balance {
    LUTRA_BALANCE_ROUND_ROBIN,
    LUTRA_BALANCE_STICK,
    LUTRA_BALANCE_RANDOM,
    LUTRA_BALANCE_LEAST_LAG,
};

struct lutra_column_rename {
    char *source, *target;
};

/* A data media pair. A name may hold `*` (any run of characters) at the source; then the target's
 * `*` stands for the same text, and a target left out means "as at the source". The first pair that
 * matches a table wins. */
struct lutra_pair {
    char *source_schema, *source_table;
    char *target_schema, *target_table; /* never NULL after parsing */
    size_t n_renames;
    struct lutra_column_rename *renames;
    size_t n_excluded;
    char **excluded;     /* source columns that are not carried */
    bool allow_triggers; /* triggers: allow */
};

#define LUTRA_TARGET_MAY_LOSE_MS 10000u

struct lutra_pipeline_def {
    char *name; /* unique in the whole installation: topics, znodes and checkpoints bear it */
    char *source, *target; /* endpoint names */
    char *source_site, *target_site;
    /* Names of Kafka clusters, as the services' configuration knows them: the extract, transform
     * and termin topics live on source_bus, the load topic on target_bus. */
    char *source_bus, *target_bus;
    enum lutra_start_kind start;
    char *start_text; /* the GTID set, or file:offset */
    uint32_t window;  /* processes in flight */
    uint32_t partitions;
    enum lutra_balance balance;
    uint32_t batch_max_rows;
    uint64_t batch_max_bytes;
    uint64_t batch_max_delay_ms;
    uint32_t unit_max_rows;
    uint64_t unit_max_bytes;
    bool accept_new_source;
    char *resolved_until; /* "file:offset" ("member@file:offset" of a media group) or "": what
                             select stopped at up to there (DDL, changes logged as statements, ...)
                             has been dealt with by hand */
    /* A checkpoint that went back (the target was restored from a backup, replaced, emptied): what
     * it holds now, and the pipeline may go on from. "" | <position>@<epoch that was there> |
     * empty:<epoch that was there>. */
    char *accept_target;
    uint64_t target_may_lose_ms; /* what a failover of the target loses without anybody's word */
    size_t n_pairs;
    struct lutra_pair *pairs;
};

struct lutra_channel {
    char *name, *description;
    uint64_t version; /* config version; 0 in a file that was never applied */
    /* recovery: how often in a row it is tried again by itself before an operator must act (0:
     * without end), and how long a node may be gone before anything is done about it. */
    uint32_t max_attempts;
    uint64_t protection_ms;
    size_t n_endpoints;
    struct lutra_endpoint *endpoints;
    size_t n_pipelines;
    struct lutra_pipeline_def *pipelines;
};

enum { LUTRA_DEFAULT_MAX_ATTEMPTS = 10, LUTRA_DEFAULT_PROTECTION_MS = 90000 };

/* Parses and validates. `name` is the file's name for messages "name:line:column: what; expected".
 * Reports the first error. NULL and CONFIG on error. */
struct lutra_channel *
lutra_channel_parse(const char *text, size_t len, const char *name, struct lutra_error *err);
void lutra_channel_free(struct lutra_channel *channel);
/* Canonical JSON, one line, `version` included; lutra_channel_parse reads it back equal. */
void lutra_channel_to_json(const struct lutra_channel *channel, struct lutra_buf *out);
/* Equal but for the version. */
bool lutra_channel_same(const struct lutra_channel *a, const struct lutra_channel *b);

const struct lutra_endpoint *lutra_channel_endpoint(const struct lutra_channel *channel,
                                                    const char *name);
const struct lutra_pipeline_def *lutra_channel_pipeline(const struct lutra_channel *channel,
                                                        const char *name);

/* The first pair that matches, or NULL. Schemas of the server (mysql, information_schema,
 * performance_schema, sys) and of Lutra match nothing, whatever the pattern. Schemas and tables
 * compare by bytes, columns without regard to case (ASCII), as MySQL does. */
const struct lutra_pair *
lutra_pipeline_match(const struct lutra_pipeline_def *def, const char *schema, const char *table);
/* Some pair may match a table of this schema, one that exists or one to come. */
bool lutra_pipeline_match_schema(const struct lutra_pipeline_def *def, const char *schema);
/* Target names of a matched table; out buffers of at least 65 bytes (names of up to 64 bytes). -1
 * and CONFIG when a name becomes longer. */
int lutra_pair_target_name(const struct lutra_pair *pair,
                           const char *schema,
                           const char *table,
                           char *target_schema,
                           char *target_table,
                           struct lutra_error *err) LUTRA_MUST_CHECK;
/* The target's name of a source column; NULL: excluded. Borrowed. */
const char *lutra_pair_target_column(const struct lutra_pair *pair, const char *column);

const struct lutra_member *lutra_endpoint_member(const struct lutra_endpoint *endpoint,
                                                 const char *member);
/* "a, b, c": the names of a group's members, for messages; cut when out is too small. Returns out.
 */
char *lutra_endpoint_member_names(const struct lutra_endpoint *endpoint, char *out, size_t size);
/* The endpoint as it is to be connected to: that of a single server as it is, of a group the
 * member's, named "<source>/<member>". Heap, free with lutra_endpoint_free. NULL and CONFIG, by
 * name, when the group has no such member. */
struct lutra_endpoint *lutra_endpoint_resolve(const struct lutra_endpoint *endpoint,
                                              const char *member,
                                              struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_endpoint_free(struct lutra_endpoint *endpoint);

/* Reads the password now (file: first line; environment variable). *out is heap ("" when there is
 * none) and never logged; free with lutra_secret_free. */
int lutra_endpoint_password(const struct lutra_endpoint *endpoint,
                            char **out,
                            struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_secret_free(char *secret); /* overwrites, then frees */

/* ^[a-z0-9][a-z0-9-]{0,39}$: names of channels, pipelines, sites, endpoints. */
bool lutra_name_valid(const char *name);
/* ^[a-z0-9][a-z0-9.-]{0,80}$: keys of media groups. */
bool lutra_group_key_valid(const char *key);

#endif
