/* SIGHUP: the file is read into a new struct; what can change while running is taken over, of the
 * rest it is told that a restart is needed. A file that is refused changes nothing. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon_private.h"

static const void *member(const struct lutra_config_key *key, const void *config)
{
    return (const char *)config + key->offset;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool same_map(const struct lutra_config_map *a, const struct lutra_config_map *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (!same_text(a->keys[i], b->keys[i]) || !same_text(a->values[i], b->values[i])) {
            return false;
        }
    }
    return true;
}

static bool same(const struct lutra_config_key *key, const void *a, const void *b)
{
    switch (key->type) {
    case LUTRA_CONFIG_STRING:
        return same_text(*(char *const *)member(key, a), *(char *const *)member(key, b));
    case LUTRA_CONFIG_BOOL:
        return *(const bool *)member(key, a) == *(const bool *)member(key, b);
    case LUTRA_CONFIG_U64:
    case LUTRA_CONFIG_SIZE_BYTES:
    case LUTRA_CONFIG_DURATION_MS:
        return *(const uint64_t *)member(key, a) == *(const uint64_t *)member(key, b);
    case LUTRA_CONFIG_MAP:
        return same_map(member(key, a), member(key, b));
    }
    return false;
}

void lutra_daemon_config_diff(const struct lutra_config_key *keys,
                              const void *a,
                              const void *b,
                              struct lutra_buf *names)
{
    for (const struct lutra_config_key *key = keys; key->key != NULL; key++) {
        if (!same(key, a, b)) {
            lutra_buf_printf(names, "%s%s", names->len > 0 ? " " : "", key->key);
        }
    }
}

/* What can change while running; `fresh` is equal in these afterwards. */
static void take_over(struct lutra_daemon_config *mine, const struct lutra_daemon_config *fresh)
{
    lutra_free(mine->log_level);
    mine->log_level = lutra_strdup(fresh->log_level);
    mine->log_json = fresh->log_json;
}

void lutra_daemon_reload(struct lutra_daemon *daemon)
{
    const struct lutra_service *service = daemon->service;
    struct lutra_daemon_config *fresh = lutra_alloc(service->config_size);
    struct lutra_error err = {0};
    struct lutra_buf names = {0};
    enum lutra_log_level level = LUTRA_LOG_INFO;

    if (lutra_config_load(service->keys, daemon->config_path, fresh, &err) != 0 ||
        lutra_daemon_settings_check(service, fresh, &err) != 0 ||
        (service->check != NULL && service->check(fresh, &err) != 0)) {
        LUTRA_ERROR("daemon.reload_refused", LUTRA_F_ERR(&err));
        lutra_config_fini(service->keys, fresh);
        lutra_free(fresh);
        return;
    }
    take_over(daemon->config, fresh);
    (void)lutra_log_level_parse(daemon->config->log_level, &level); /* checked above */
    lutra_log_setup(service->name, daemon->instance, level, daemon->config->log_json);
    LUTRA_INFO("daemon.reloaded", LUTRA_F_STR("log_level", daemon->config->log_level));
    lutra_daemon_config_diff(service->keys, daemon->config, fresh, &names);
    if (names.len > 0) {
        LUTRA_WARN("daemon.reload_needs_restart", LUTRA_F_STR("changed", lutra_buf_cstr(&names)));
    }
    lutra_buf_fini(&names);
    lutra_config_fini(service->keys, fresh);
    lutra_free(fresh);
}
