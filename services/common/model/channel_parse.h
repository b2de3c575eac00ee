/* What the parts of the channel definition's parser share. Private to the module. All report by
 * p->err with file:line:column, and return -1 or NULL then. */
#ifndef LUTRA_MODEL_CHANNEL_PARSE_H
#define LUTRA_MODEL_CHANNEL_PARSE_H

#include "base/yaml.h"
#include "model/channel.h"

enum { LUTRA_PARSE_TEXT_BYTES = 255 };

struct lutra_parse {
    const char *name; /* of the file */
    struct lutra_error *err;
};

#define PARSE_ERROR(p, node, ...) lutra_yaml_error((node), (p)->name, (p)->err, __VA_ARGS__)

/* A mapping whose keys are all known (known NULL: any). `what` stands in the message. */
int lutra_parse_map(const struct lutra_parse *p,
                    const struct lutra_yaml *node,
                    const char *what,
                    const char *const *known) LUTRA_MUST_CHECK;
int lutra_parse_list(const struct lutra_parse *p,
                     const struct lutra_yaml *node,
                     const char *what) LUTRA_MUST_CHECK;
/* The value of a key that must be there. */
const struct lutra_yaml *lutra_parse_need(const struct lutra_parse *p,
                                          const struct lutra_yaml *map,
                                          const char *key,
                                          const char *expected);
/* NULL when left out or null. */
const struct lutra_yaml *lutra_parse_optional(const struct lutra_yaml *map, const char *key);
/* One line of text, not empty; replaces *out (heap). */
int lutra_parse_text(const struct lutra_parse *p,
                     const struct lutra_yaml *node,
                     const char *what,
                     size_t max_bytes,
                     char **out) LUTRA_MUST_CHECK;
int lutra_parse_name(const struct lutra_parse *p,
                     const struct lutra_yaml *node,
                     const char *what,
                     char **out) LUTRA_MUST_CHECK;
/* Optional keys: *out stays when they are left out. */
int lutra_parse_u32(const struct lutra_parse *p,
                    const struct lutra_yaml *map,
                    const char *key,
                    uint32_t min,
                    uint32_t max,
                    uint32_t *out) LUTRA_MUST_CHECK;
int lutra_parse_size(const struct lutra_parse *p,
                     const struct lutra_yaml *map,
                     const char *key,
                     uint64_t min,
                     uint64_t max,
                     uint64_t *out) LUTRA_MUST_CHECK;
int lutra_parse_enum(const struct lutra_parse *p,
                     const struct lutra_yaml *map,
                     const char *key,
                     const char *const *values,
                     unsigned *out) LUTRA_MUST_CHECK;

/* channel_parse_media.c: host, port, socket, or members and what belongs to them. */
int lutra_parse_place(const struct lutra_parse *p,
                      const struct lutra_yaml *node,
                      const char *channel,
                      struct lutra_endpoint *endpoint) LUTRA_MUST_CHECK;
/* Is it the name of one of the group's members? `what` stands in the message. */
int lutra_parse_member_of(const struct lutra_parse *p,
                          const struct lutra_yaml *node,
                          const char *what,
                          const struct lutra_endpoint *endpoint,
                          const char *name) LUTRA_MUST_CHECK;
/* channel_parse_pipelines.c; the channel's endpoints are there. */
int lutra_parse_pipelines(const struct lutra_parse *p,
                          const struct lutra_yaml *node,
                          struct lutra_channel *channel) LUTRA_MUST_CHECK;
/* channel_parse_pairs.c */
int lutra_parse_pairs(const struct lutra_parse *p,
                      const struct lutra_yaml *node,
                      struct lutra_pipeline_def *def) LUTRA_MUST_CHECK;

#endif
