#include "select/identity.h"

#include <stdio.h>
#include <string.h>

char *sel_identity_make(const char *member, const char *server, char *out, size_t size)
{
    (void)snprintf(out, size, "%s%s%s", member ? member : "", member ? "/" : "", server);
    return out;
}

static const char *server_of(const char *identity)
{
    const char *slash = strchr(identity, '/');
    return slash ? slash + 1 : identity;
}

/* Length of the member's name, 0: a single server. */
static size_t member_len(const char *identity)
{
    const char *slash = strchr(identity, '/');
    return slash ? (size_t)(slash - identity) : 0;
}

static bool same_member(const char *a, const char *b)
{
    return member_len(a) == member_len(b) && strncmp(a, b, member_len(a)) == 0;
}

bool sel_identity_same(const char *known, const char *now)
{
    bool one_unnamed = member_len(known) == 0 || member_len(now) == 0;
    return strcmp(server_of(known), server_of(now)) == 0 &&
           (one_unnamed || same_member(known, now));
}

bool sel_identity_switched(const char *known, const char *now)
{
    return member_len(now) > 0 && !same_member(known, now);
}
