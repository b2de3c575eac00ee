/* YAML (and therefore JSON) text as a tree of nodes that know where they stood. Bounded: input
 * size, depth (64) and node count (100 000) have limits; aliases are refused. */
#ifndef LUTRA_BASE_YAML_H
#define LUTRA_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum lutra_yaml_kind { LUTRA_YAML_SCALAR, LUTRA_YAML_SEQUENCE, LUTRA_YAML_MAPPING };

struct lutra_yaml {
    enum lutra_yaml_kind kind;
    unsigned line, column; /* from 1 */
    bool plain; /* an unquoted scalar: `~`, `null` or empty is null, `true` is a boolean */
    char *text; /* scalar: its value, NUL-terminated */
    size_t n;   /* sequence: items; mapping: pairs */
    struct lutra_yaml **items; /* sequence: n nodes; mapping: n values */
    struct lutra_yaml **keys;  /* mapping: n scalar keys; a duplicate key is an error */
};

/* Parses one document. `name` stands in messages ("channel.yaml:3:5: ..."). NULL and CONFIG on
 * error. Free with lutra_yaml_free (the root only). */
struct lutra_yaml *
lutra_yaml_parse(const char *text, size_t len, const char *name, struct lutra_error *err);
struct lutra_yaml *lutra_yaml_load(const char *path, struct lutra_error *err);
void lutra_yaml_free(struct lutra_yaml *root);

/* Value of a key of a mapping, or NULL. */
struct lutra_yaml *lutra_yaml_get(const struct lutra_yaml *map, const char *key);
/* NULL, or a plain `~`, `null` or empty scalar. */
bool lutra_yaml_is_null(const struct lutra_yaml *node);

/* Typed reading: -1 and CONFIG "name:line:column: ..., expected ..." when it does not fit.
 * Sizes accept KiB, MiB, GiB, kB, MB, GB; durations (result in ms) accept us, ms, s, m, h, d. */
int lutra_yaml_u64(const struct lutra_yaml *node,
                   const char *name,
                   uint64_t min,
                   uint64_t max,
                   uint64_t *out,
                   struct lutra_error *err) LUTRA_MUST_CHECK;
int lutra_yaml_size_bytes(const struct lutra_yaml *node,
                          const char *name,
                          uint64_t min,
                          uint64_t max,
                          uint64_t *out,
                          struct lutra_error *err) LUTRA_MUST_CHECK;
int lutra_yaml_duration_ms(const struct lutra_yaml *node,
                           const char *name,
                           uint64_t min,
                           uint64_t max,
                           uint64_t *out,
                           struct lutra_error *err) LUTRA_MUST_CHECK;
int lutra_yaml_bool(const struct lutra_yaml *node,
                    const char *name,
                    bool *out,
                    struct lutra_error *err) LUTRA_MUST_CHECK;
/* A scalar string; NULL node or non-scalar is the error. Borrowed from the tree. */
const char *
lutra_yaml_str(const struct lutra_yaml *node, const char *name, struct lutra_error *err);
/* One of a NULL-terminated list; *out is the index; did-you-mean in the error. */
int lutra_yaml_enum(const struct lutra_yaml *node,
                    const char *name,
                    const char *const *values,
                    unsigned *out,
                    struct lutra_error *err) LUTRA_MUST_CHECK;
/* Every key of `map` must be one of `known` (NULL-terminated), else CONFIG with did-you-mean. */
int lutra_yaml_check_keys(const struct lutra_yaml *map,
                          const char *name,
                          const char *const *known,
                          struct lutra_error *err) LUTRA_MUST_CHECK;
/* Fills a CONFIG error "name:line:column: message". Returns -1. */
int lutra_yaml_error(const struct lutra_yaml *node,
                     const char *name,
                     struct lutra_error *err,
                     const char *fmt,
                     ...) LUTRA_PRINTF(4, 5);

/* The candidate nearest to `word` when it is near enough to be a slip of the hand, else NULL. */
const char *lutra_did_you_mean(const char *word, const char *const *candidates);

#endif
