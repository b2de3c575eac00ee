/* A channel definition from YAML or JSON text: the whole and its sources. Every message says
 * file:line:column, what is wrong and what would be right. */
#include "model/channel_parse.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    MAX_DESCRIPTION_BYTES = 1000,
    MAX_PATH_BYTES = 4000,
    MAX_ATTEMPTS = 1000000,
    MIN_PROTECTION_MS = 1000,
    MAX_PROTECTION_MS = 86400000,
};

static int parse_password(const struct lutra_parse *p,
                          const struct lutra_yaml *node,
                          struct lutra_endpoint *endpoint)
{
    const struct lutra_yaml *file = lutra_parse_optional(node, "password_file"),
                            *env = lutra_parse_optional(node, "password_env");
    if (lutra_yaml_get(node, "password")) {
        return PARSE_ERROR(
            p, lutra_yaml_get(node, "password"),
            "a password must not stand here, expected password_file or password_env");
    }
    if (file && env) {
        return PARSE_ERROR(
            p, env, "source %s has password_file and password_env, expected at most one of them",
            endpoint->name);
    }
    if ((file &&
         lutra_parse_text(p, file, "password_file", MAX_PATH_BYTES, &endpoint->password_file)) ||
        (env && lutra_parse_text(p, env, "password_env", LUTRA_PARSE_TEXT_BYTES,
                                 &endpoint->password_env))) {
        return -1;
    }
    if (env && strspn(endpoint->password_env,
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") !=
                   strlen(endpoint->password_env)) {
        return PARSE_ERROR(p, env, "password_env \"%s\" is not the name of an environment variable",
                           endpoint->password_env);
    }
    return 0;
}

static int parse_endpoint(const struct lutra_parse *p,
                          const struct lutra_yaml *key,
                          const struct lutra_yaml *node,
                          const char *channel,
                          struct lutra_endpoint *endpoint)
{
    /* `password` is known so that its message can say what to write instead. */
    static const char *const known[] = {"type",    "host",          "port",         "socket",
                                        "user",    "password_file", "password_env", "password",
                                        "members", "primary",       "follow",       "group",
                                        NULL};
    static const char *const types[] = {"mariadb", "mysql", NULL};
    const struct lutra_yaml *type, *user;
    unsigned index;
    if (lutra_parse_name(p, key, "source", &endpoint->name) ||
        lutra_parse_map(p, node, "a source", known)) {
        return -1;
    }
    if (!(type = lutra_parse_need(p, node, "type", "mariadb or mysql")) ||
        lutra_yaml_enum(type, p->name, types, &index, p->err) ||
        lutra_parse_place(p, node, channel, endpoint) ||
        !(user = lutra_parse_need(p, node, "user", "the user to connect as")) ||
        lutra_parse_text(p, user, "user", LUTRA_PARSE_TEXT_BYTES, &endpoint->user) ||
        parse_password(p, node, endpoint)) {
        return -1;
    }
    endpoint->flavor = index == 0 ? LUTRA_FLAVOR_MARIADB : LUTRA_FLAVOR_MYSQL;
    return 0;
}

static int by_endpoint_name(const void *a, const void *b)
{
    return strcmp(((const struct lutra_endpoint *)a)->name,
                  ((const struct lutra_endpoint *)b)->name);
}

static int parse_endpoints(const struct lutra_parse *p,
                           const struct lutra_yaml *node,
                           struct lutra_channel *channel)
{
    if (lutra_parse_map(p, node, "sources", NULL)) {
        return -1;
    }
    channel->endpoints = lutra_alloc((node->n ? node->n : 1) * sizeof(*channel->endpoints));
    for (size_t i = 0; i < node->n; i++) {
        channel->n_endpoints++;
        if (parse_endpoint(p, node->keys[i], node->items[i], channel->name,
                           &channel->endpoints[i])) {
            return -1;
        }
    }
    if (node->n) { /* one order in the canonical form, whatever that in the file */
        qsort(channel->endpoints, channel->n_endpoints, sizeof(*channel->endpoints),
              by_endpoint_name);
    }
    return 0;
}

static int parse_recovery(const struct lutra_parse *p,
                          const struct lutra_yaml *node,
                          struct lutra_channel *channel)
{
    static const char *const known[] = {"max_attempts", "protection", NULL};
    const struct lutra_yaml *protection;
    channel->max_attempts = LUTRA_DEFAULT_MAX_ATTEMPTS;
    channel->protection_ms = LUTRA_DEFAULT_PROTECTION_MS;
    if (!node) {
        return 0;
    }
    if (lutra_parse_map(p, node, "recovery", known) ||
        lutra_parse_u32(p, node, "max_attempts", 0, MAX_ATTEMPTS, &channel->max_attempts)) {
        return -1;
    }
    protection = lutra_parse_optional(node, "protection");
    return protection ? lutra_yaml_duration_ms(protection, p->name, MIN_PROTECTION_MS,
                                               MAX_PROTECTION_MS, &channel->protection_ms, p->err)
                      : 0;
}

static int parse_channel(const struct lutra_parse *p,
                         const struct lutra_yaml *root,
                         struct lutra_channel *channel)
{
    static const char *const known[] = {"channel", "description", "version", "recovery",
                                        "sources", "pipelines",   NULL};
    const struct lutra_yaml *name, *description, *version, *sources, *pipelines;
    if (lutra_parse_map(p, root, "the definition", known) ||
        !(name = lutra_parse_need(p, root, "channel", "the channel's name")) ||
        lutra_parse_name(p, name, "channel", &channel->name)) {
        return -1;
    }
    description = lutra_parse_optional(root, "description");
    version = lutra_parse_optional(root, "version");
    channel->description = lutra_strdup("");
    if (parse_recovery(p, lutra_parse_optional(root, "recovery"), channel) ||
        (description && (description->kind != LUTRA_YAML_SCALAR || description->text[0]) &&
         lutra_parse_text(p, description, "description", MAX_DESCRIPTION_BYTES,
                          &channel->description)) ||
        (version && lutra_yaml_u64(version, p->name, 0, INT64_MAX, &channel->version, p->err))) {
        return -1;
    }
    if (!(sources = lutra_parse_need(p, root, "sources", "a mapping of names to servers")) ||
        parse_endpoints(p, sources, channel) ||
        !(pipelines = lutra_parse_need(p, root, "pipelines", "a list of pipelines"))) {
        return -1;
    }
    return lutra_parse_pipelines(p, pipelines, channel);
}

struct lutra_channel *
lutra_channel_parse(const char *text, size_t len, const char *name, struct lutra_error *err)
{
    const struct lutra_parse p = {.name = name, .err = err};
    struct lutra_yaml *root = lutra_yaml_parse(text, len, name, err);
    struct lutra_channel *channel;
    if (!root) {
        return NULL;
    }
    channel = LUTRA_NEW(struct lutra_channel);
    if (parse_channel(&p, root, channel)) {
        lutra_channel_free(channel);
        channel = NULL;
    }
    lutra_yaml_free(root);
    return channel;
}
