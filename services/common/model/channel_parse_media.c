/* Where a source is: one server, or the members of a media group. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/channel_parse.h"
#include "model/channel_private.h"

enum { MAX_SOCKET_BYTES = 107, MAX_MEMBERS = 16 };

const char *const lutra_follow_names[] = {"manual", "auto", NULL};

/* `what`: "source a" or "member b". */
static int parse_address(const struct lutra_parse *p,
                         const struct lutra_yaml *node,
                         const char *what,
                         char **host_out,
                         uint16_t *port_out,
                         char **socket_out)
{
    const struct lutra_yaml *host = lutra_parse_optional(node, "host"),
                            *socket = lutra_parse_optional(node, "socket"),
                            *port = lutra_parse_optional(node, "port");
    uint32_t number = 3306;
    if (!host && !socket) {
        return PARSE_ERROR(p, node, "%s has no address, expected host or socket", what);
    }
    if (host && socket) {
        return PARSE_ERROR(p, socket, "%s has host and socket, expected one of them", what);
    }
    if (socket && port) {
        return PARSE_ERROR(p, port, "%s has socket and port, expected port with host only", what);
    }
    if ((host && lutra_parse_text(p, host, "host", LUTRA_PARSE_TEXT_BYTES, host_out)) ||
        (socket && lutra_parse_text(p, socket, "socket", MAX_SOCKET_BYTES, socket_out)) ||
        lutra_parse_u32(p, node, "port", 1, 65535, &number)) {
        return -1;
    }
    if (socket && (*socket_out)[0] != '/') {
        return PARSE_ERROR(p, socket, "socket %s is not a path, expected one that begins with /",
                           *socket_out);
    }
    *port_out = host ? (uint16_t)number : 0;
    return 0;
}

static bool same_address(const struct lutra_member *a, const struct lutra_member *b)
{
    if (a->socket || b->socket) {
        return a->socket && b->socket && strcmp(a->socket, b->socket) == 0;
    }
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static int parse_member(const struct lutra_parse *p,
                        const struct lutra_yaml *key,
                        const struct lutra_yaml *node,
                        struct lutra_endpoint *endpoint)
{
    static const char *const known[] = {"host", "port", "socket", NULL};
    struct lutra_member *member = &endpoint->members[endpoint->n_members++];
    if (lutra_parse_name(p, key, "member", &member->name) ||
        lutra_parse_map(p, node, "a member", known)) {
        return -1;
    }
    LUTRA_AUTO_FREE char *what = lutra_asprintf("member %s", member->name);
    if (parse_address(p, node, what, &member->host, &member->port, &member->socket)) {
        return -1;
    }
    for (const struct lutra_member *other = endpoint->members; other < member; other++) {
        if (same_address(other, member)) {
            return PARSE_ERROR(p, node,
                               "member %s has the address of member %s, expected another server",
                               member->name, other->name);
        }
    }
    return 0;
}

static int by_member_name(const void *a, const void *b)
{
    return strcmp(((const struct lutra_member *)a)->name, ((const struct lutra_member *)b)->name);
}

static int parse_members(const struct lutra_parse *p,
                         const struct lutra_yaml *node,
                         struct lutra_endpoint *endpoint)
{
    if (lutra_parse_map(p, node, "members", NULL)) {
        return -1;
    }
    if (node->n == 0 || node->n > MAX_MEMBERS) {
        return PARSE_ERROR(p, node, "source %s has %zu members, expected 1..%d", endpoint->name,
                           node->n, MAX_MEMBERS);
    }
    endpoint->members = lutra_alloc(node->n * sizeof(*endpoint->members));
    for (size_t i = 0; i < node->n; i++) {
        if (parse_member(p, node->keys[i], node->items[i], endpoint)) {
            return -1;
        }
    }
    qsort(endpoint->members, endpoint->n_members, sizeof(*endpoint->members), by_member_name);
    return 0;
}

int lutra_parse_member_of(const struct lutra_parse *p,
                          const struct lutra_yaml *node,
                          const char *what,
                          const struct lutra_endpoint *endpoint,
                          const char *name)
{
    const char *names[MAX_MEMBERS + 1] = {NULL};
    char list[512];
    if (lutra_endpoint_member(endpoint, name)) {
        return 0;
    }
    for (size_t i = 0; i < endpoint->n_members; i++) {
        names[i] = endpoint->members[i].name;
    }
    const char *near = lutra_did_you_mean(name, names);
    return PARSE_ERROR(p, node, "%s \"%s\" is not a member of source %s, expected one of %s%s%s%s",
                       what, name, endpoint->name,
                       lutra_endpoint_member_names(endpoint, list, sizeof(list)),
                       near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int parse_group(const struct lutra_parse *p,
                       const struct lutra_yaml *node,
                       const char *channel,
                       struct lutra_endpoint *endpoint)
{
    static const char *const single[] = {"host", "port", "socket", NULL};
    const struct lutra_yaml *primary, *group = lutra_parse_optional(node, "group");
    unsigned follow = LUTRA_FOLLOW_MANUAL;
    for (unsigned i = 0; single[i]; i++) {
        if (lutra_parse_optional(node, single[i])) {
            return PARSE_ERROR(p, lutra_yaml_get(node, single[i]),
                               "source %s has members and %s, expected each member's own",
                               endpoint->name, single[i]);
        }
    }
    if (parse_members(p, lutra_yaml_get(node, "members"), endpoint) ||
        !(primary = lutra_parse_need(p, node, "primary", "the member that is current at first")) ||
        lutra_parse_name(p, primary, "primary", &endpoint->primary) ||
        lutra_parse_member_of(p, primary, "primary", endpoint, endpoint->primary) ||
        lutra_parse_enum(p, node, "follow", lutra_follow_names, &follow)) {
        return -1;
    }
    endpoint->follow = (enum lutra_follow)follow;
    if (!group) {
        endpoint->group = lutra_asprintf("%s.%s", channel, endpoint->name);
        return 0;
    }
    if (lutra_parse_text(p, group, "group", LUTRA_PARSE_TEXT_BYTES, &endpoint->group)) {
        return -1;
    }
    return lutra_group_key_valid(endpoint->group)
               ? 0
               : PARSE_ERROR(p, group,
                             "group \"%s\" is not a key, expected lower-case letters, digits, '-' "
                             "and '.', at most 81, beginning with a letter or digit",
                             endpoint->group);
}

int lutra_parse_place(const struct lutra_parse *p,
                      const struct lutra_yaml *node,
                      const char *channel,
                      struct lutra_endpoint *endpoint)
{
    static const char *const of_groups[] = {"primary", "follow", "group", NULL};
    if (lutra_parse_optional(node, "members")) {
        return parse_group(p, node, channel, endpoint);
    }
    for (unsigned i = 0; of_groups[i]; i++) {
        if (lutra_parse_optional(node, of_groups[i])) {
            return PARSE_ERROR(p, lutra_yaml_get(node, of_groups[i]),
                               "source %s has %s without members, expected it with members only",
                               endpoint->name, of_groups[i]);
        }
    }
    LUTRA_AUTO_FREE char *what = lutra_asprintf("source %s", endpoint->name);
    return parse_address(p, node, what, &endpoint->host, &endpoint->port, &endpoint->socket);
}
