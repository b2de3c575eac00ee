/* A service's configuration: one table of keys gives parsing, defaults, environment overrides,
 * --check-config, --print-config and the documentation.
 *
 * File: YAML, nested mappings; a key is written "zookeeper.connect" in the table. Environment
 * override: LUTRA_ + the key in capitals with '.' and '-' as '_' (LUTRA_ZOOKEEPER_CONNECT). An
 * unknown key is an error with file:line:column and did-you-mean; so is an unknown LUTRA_ variable
 * that is not in `env_ignored` (LUTRA_MANAGER, LUTRA_KAFKA, LUTRA_SOURCE_SOCKET, LUTRA_TEST_*, ...
 * are for tools). */
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
    LUTRA_CONFIG_MAP,         /* struct lutra_config_map: free keys passed through (kafka.*) */
};

struct lutra_config_map {
    size_t n;
    char **keys, **values;
};

struct lutra_config_key {
    const char *key;
    enum lutra_config_type type;
    size_t offset;     /* of the member in the service's config struct */
    const char *def;   /* default as text; NULL: required (STRING) */
    uint64_t min, max; /* numbers only */
    bool secret;       /* printed as *** */
    const char *help;
};

/* Ends with a zeroed key. `path` may be NULL (defaults and environment only). Zeroes and fills
 * *out. */
int lutra_config_load(const struct lutra_config_key *keys,
                      const char *path,
                      void *out,
                      struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_config_fini(const struct lutra_config_key *keys, void *config);
/* The effective values as YAML; secrets as ***. */
void lutra_config_print(const struct lutra_config_key *keys,
                        const void *config,
                        struct lutra_buf *out);

#endif
