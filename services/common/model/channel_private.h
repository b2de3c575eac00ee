/* What the parts of the channel definition's code share. Private to the module. */
#ifndef LUTRA_MODEL_CHANNEL_PRIVATE_H
#define LUTRA_MODEL_CHANNEL_PRIVATE_H

#include <stdbool.h>

/* Stars in one pattern; the parser refuses more. */
#define LUTRA_PATTERN_MAX_STARS 8

/* The server's own schemas and ours: never matched by any pattern, refused by the parser. */
bool lutra_schema_is_system(const char *schema);

extern const char *const lutra_start_names[];   /* by enum lutra_start_kind, NULL-terminated */
extern const char *const lutra_follow_names[];  /* by enum lutra_follow, NULL-terminated */
extern const char *const lutra_balance_names[]; /* by enum lutra_balance, NULL-terminated */

#endif
