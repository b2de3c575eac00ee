/* A service's configuration: one table of keys gives parsing, defaults, environment overrides,
 * --check-config, --print-config and the documentation.
 *
 * File: YAML, nested mappings; a key is written "zookeeper.connect" in the table. Environment
 * override: LUTRA_ + the key in capitals with '.' and '-' as '_' (LUTRA_ZOOKEEPER_CONNECT), which
 * wins over the file; a MAP has none. An unknown key is an error with file:line:column and
 * did-you-mean; so is an unknown LUTRA_ variable, except those of tools and tests (LUTRA_MANAGER,
 * LUTRA_KAFKA, LUTRA_ZOOKEEPER, LUTRA_SOURCE_SOCKET, LUTRA_TARGET_SOCKET, LUTRA_LOCAL_*,
 * LUTRA_DEMO_*, LUTRA_BENCH_*, LUTRA_TEST_*). */
#ifndef LUTRA_BASE_CONFIG_H
#define LUTRA_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum lutra_config_type {
    LUTRA_CONFIG_STRING,      /* char *   owned by the struct */
    LUTRA_CONFIG_BOOL,        /* bool */
    LUTRA_CONFIG_U64,         /* uint64_t */
    LUTRA_CONFIG_SIZE_BYTES,  /* uint64_t */
    LUTRA_CONFIG_DURATION_MS, /* uint64_t */
    LUTRA_CONFIG_MAP,         /* struct lutra_config_map: free keys, passed through */
};

struct lutra_config_map {
    size_t n;
    char **keys, **values;
};

struct lutra_config_key {
    const char *key;
    enum lutra_config_type type;
    size_t offset;     /* of the member in the service's config struct */
    const char *def;   /* default as text; NULL: required (a MAP is never) */
    uint64_t min, max; /* numbers only; max 0: no upper limit */
    bool secret;       /* printed as *** */
    const char *help;
};

/* `keys` ends with a zeroed key. `path` may be NULL (defaults and environment only). Fills the
 * members that the table names, whose old contents are not looked at; on error they are all zero.
 */
int lutra_config_load(const struct lutra_config_key *keys,
                      const char *path,
                      void *out,
                      struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_config_fini(const struct lutra_config_key *keys, void *config);
/* The effective values as YAML; secrets as ***, likewise passed-through keys whose name says
 * password, secret or token. */
void lutra_config_print(const struct lutra_config_key *keys,
                        const void *config,
                        struct lutra_buf *out);
/* A Markdown table of the keys, for the documentation. */
void lutra_config_document(const struct lutra_config_key *keys, struct lutra_buf *out);

#endif
