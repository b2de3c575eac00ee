#include "model/channel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_PASSWORD_BYTES = 1024 };

bool lutra_name_valid(const char *name)
{
    size_t len = strnlen(name, 41);
    return len >= 1 && len <= 40 && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

bool lutra_group_key_valid(const char *key)
{
    size_t len = strnlen(key, 82);
    return len >= 1 && len <= 81 && key[0] != '-' && key[0] != '.' &&
           strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

static void endpoint_fini(struct lutra_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->n_members; i++) {
        lutra_free(endpoint->members[i].name);
        lutra_free(endpoint->members[i].host);
        lutra_free(endpoint->members[i].socket);
    }
    lutra_free(endpoint->members);
    lutra_free(endpoint->primary);
    lutra_free(endpoint->group);
    lutra_free(endpoint->member);
    lutra_free(endpoint->name);
    lutra_free(endpoint->host);
    lutra_free(endpoint->socket);
    lutra_free(endpoint->user);
    lutra_free(endpoint->password_file);
    lutra_free(endpoint->password_env);
}

static void pair_fini(struct lutra_pair *pair)
{
    lutra_free(pair->source_schema);
    lutra_free(pair->source_table);
    lutra_free(pair->target_schema);
    lutra_free(pair->target_table);
    for (size_t i = 0; i < pair->n_renames; i++) {
        lutra_free(pair->renames[i].source);
        lutra_free(pair->renames[i].target);
    }
    lutra_free(pair->renames);
    for (size_t i = 0; i < pair->n_excluded; i++) {
        lutra_free(pair->excluded[i]);
    }
    lutra_free(pair->excluded);
}

static void pipeline_fini(struct lutra_pipeline_def *def)
{
    lutra_free(def->name);
    lutra_free(def->source);
    lutra_free(def->target);
    lutra_free(def->source_site);
    lutra_free(def->target_site);
    lutra_free(def->source_bus);
    lutra_free(def->target_bus);
    lutra_free(def->start_text);
    lutra_free(def->resolved_until);
    lutra_free(def->accept_target);
    for (size_t i = 0; i < def->n_pairs; i++) {
        pair_fini(&def->pairs[i]);
    }
    lutra_free(def->pairs);
}

void lutra_channel_free(struct lutra_channel *channel)
{
    if (!channel) {
        return;
    }
    for (size_t i = 0; i < channel->n_endpoints; i++) {
        endpoint_fini(&channel->endpoints[i]);
    }
    lutra_free(channel->endpoints);
    for (size_t i = 0; i < channel->n_pipelines; i++) {
        pipeline_fini(&channel->pipelines[i]);
    }
    lutra_free(channel->pipelines);
    lutra_free(channel->name);
    lutra_free(channel->description);
    lutra_free(channel);
}

const struct lutra_endpoint *lutra_channel_endpoint(const struct lutra_channel *channel,
                                                    const char *name)
{
    for (size_t i = 0; i < channel->n_endpoints; i++) {
        if (strcmp(channel->endpoints[i].name, name) == 0) {
            return &channel->endpoints[i];
        }
    }
    return NULL;
}

const struct lutra_pipeline_def *lutra_channel_pipeline(const struct lutra_channel *channel,
                                                        const char *name)
{
    for (size_t i = 0; i < channel->n_pipelines; i++) {
        if (strcmp(channel->pipelines[i].name, name) == 0) {
            return &channel->pipelines[i];
        }
    }
    return NULL;
}

const struct lutra_member *lutra_endpoint_member(const struct lutra_endpoint *endpoint,
                                                 const char *member)
{
    for (size_t i = 0; i < endpoint->n_members; i++) {
        if (strcmp(endpoint->members[i].name, member) == 0) {
            return &endpoint->members[i];
        }
    }
    return NULL;
}

char *lutra_endpoint_member_names(const struct lutra_endpoint *endpoint, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < endpoint->n_members && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s%s", i ? ", " : "", endpoint->members[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}

struct lutra_endpoint *lutra_endpoint_resolve(const struct lutra_endpoint *endpoint,
                                              const char *member,
                                              struct lutra_error *err)
{
    const struct lutra_member *found = NULL;
    if (endpoint->n_members && !(found = lutra_endpoint_member(endpoint, member))) {
        char names[512];
        lutra_error_set(err, LUTRA_CONFIG, 0,
                        "media group %s: the current primary is \"%s\", which is not a member of "
                        "source %s (%s); switch it to one: lutractl media switch %s MEMBER",
                        endpoint->group, member, endpoint->name,
                        lutra_endpoint_member_names(endpoint, names, sizeof(names)),
                        endpoint->group);
        return NULL;
    }
    struct lutra_endpoint *copy = LUTRA_NEW(struct lutra_endpoint);
    copy->name =
        found ? lutra_asprintf("%s/%s", endpoint->name, member) : lutra_strdup(endpoint->name);
    copy->flavor = endpoint->flavor;
    copy->host = lutra_strdup(found ? found->host : endpoint->host);
    copy->port = found ? found->port : endpoint->port;
    copy->socket = lutra_strdup(found ? found->socket : endpoint->socket);
    copy->user = lutra_strdup(endpoint->user);
    copy->password_file = lutra_strdup(endpoint->password_file);
    copy->password_env = lutra_strdup(endpoint->password_env);
    copy->follow = endpoint->follow;
    copy->group = lutra_strdup(endpoint->group);
    copy->member = lutra_strdup(found ? found->name : NULL);
    return copy;
}

void lutra_endpoint_free(struct lutra_endpoint *endpoint)
{
    if (endpoint) {
        endpoint_fini(endpoint);
        lutra_free(endpoint);
    }
}

/* The first line of the file, without its line end. */
static int read_first_line(const char *path, char *line, size_t size, struct lutra_error *err)
{
    FILE *file = fopen(path, "re");
    size_t n;
    char *end;
    if (!file) {
        return lutra_error_set(err, LUTRA_CONFIG, errno, "password_file %s: %s", path,
                               strerror(errno));
    }
    n = fread(line, 1, size - 1, file);
    if (ferror(file)) {
        int code = errno;
        fclose(file);
        return lutra_error_set(err, LUTRA_CONFIG, code, "password_file %s: %s", path,
                               strerror(code));
    }
    fclose(file);
    line[n] = '\0';
    end = strpbrk(line, "\r\n");
    if (end) {
        *end = '\0';
    } else if (n == size - 1) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "password_file %s: first line is longer than %d bytes", path,
                               MAX_PASSWORD_BYTES);
    }
    return 0;
}

int lutra_endpoint_password(const struct lutra_endpoint *endpoint,
                            char **out,
                            struct lutra_error *err)
{
    char line[MAX_PASSWORD_BYTES + 2];
    *out = NULL;
    if (endpoint->password_env) {
        const char *value = getenv(endpoint->password_env);
        if (!value) {
            return lutra_error_set(err, LUTRA_CONFIG, 0,
                                   "endpoint %s: environment variable %s is not set",
                                   endpoint->name, endpoint->password_env);
        }
        *out = lutra_strdup(value);
        return 0;
    }
    if (!endpoint->password_file) {
        *out = lutra_strdup("");
        return 0;
    }
    if (read_first_line(endpoint->password_file, line, sizeof(line), err)) {
        explicit_bzero(line, sizeof(line));
        return lutra_error_wrap(err, "endpoint %s", endpoint->name);
    }
    *out = lutra_strdup(line);
    explicit_bzero(line, sizeof(line));
    return 0;
}

void lutra_secret_free(char *secret)
{
    if (secret) {
        explicit_bzero(secret, strlen(secret));
        lutra_free(secret);
    }
}
