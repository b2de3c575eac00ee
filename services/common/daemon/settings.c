/* Checks and defaults of the members that every service's configuration has. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/daemon_private.h"
#include "model/channel.h"

static bool instance_valid(const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        char c = *p;

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_')) {
            return false;
        }
    }
    return strlen(name) <= 63 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check_state_dir(const char *path, struct lutra_error *err)
{
    struct stat st;

    if (path[0] == '\0') {
        return 0;
    }
    if (mkdir(path, 0750) != 0 && errno != EEXIST) {
        return lutra_error_set(err, LUTRA_CONFIG, errno, "state_dir %.200s: cannot be made: %s",
                               path, strerror(errno));
    }
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return lutra_error_set(err, LUTRA_CONFIG, 0, "state_dir %.200s: expected a folder", path);
    }
    if (access(path, W_OK | X_OK) != 0) {
        return lutra_error_set(err, LUTRA_CONFIG, errno, "state_dir %.200s: cannot be written to",
                               path);
    }
    return 0;
}

int lutra_daemon_settings_check(const struct lutra_service *service,
                                const struct lutra_daemon_config *config,
                                struct lutra_error *err)
{
    struct lutra_http_address address;
    enum lutra_log_level level;

    if (!instance_valid(config->instance)) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "instance \"%.100s\": expected at most 63 letters, digits, '.', '-' "
                               "or '_'",
                               config->instance);
    }
    if (!lutra_name_valid(config->site)) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "site \"%.100s\": expected [a-z0-9-], at most 40", config->site);
    }
    if (lutra_log_level_parse(config->log_level, &level) != 0) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "log.level \"%.100s\": expected debug, info, warn or error",
                               config->log_level);
    }
    if (lutra_http_address_parse(config->http_listen, &address, err) != 0) {
        return lutra_error_wrap(err, "http.listen");
    }
    if (!lutra_http_address_is_numeric(&address) && strcmp(address.host, "localhost") != 0) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "http.listen \"%.200s\": expected an address in numbers and a port, "
                               "such as 127.0.0.1:8640",
                               config->http_listen);
    }
    if (config->http_advertise[0] != '\0' &&
        lutra_http_address_parse(config->http_advertise, &address, err) != 0) {
        return lutra_error_wrap(err, "http.advertise");
    }
    if (config->zookeeper_connect[0] == '\0') {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "zookeeper.connect is empty: expected host:port[,host:port...]");
    }
    if (lutra_daemon_buses_check(config, err) != 0) {
        return -1;
    }
    return service->stateless ? 0 : check_state_dir(config->state_dir, err);
}

void lutra_daemon_host_name(char *buf, size_t size)
{
    if (gethostname(buf, size - 1) != 0) {
        snprintf(buf, size, "localhost");
    }
    buf[size - 1] = '\0';
}

void lutra_daemon_instance_name(const struct lutra_service *service,
                                const struct lutra_daemon_config *config,
                                const char *host,
                                char *buf,
                                size_t size)
{
    if (config->instance[0] != '\0') {
        snprintf(buf, size, "%s", config->instance);
        return;
    }
    /* The service's name must survive a long host name. */
    snprintf(buf, size, "%.*s-%s", (int)(size - 2 - strlen(service->name)), host, service->name);
    for (char *p = buf; *p != '\0'; p++) {
        char one[2] = {*p, '\0'};

        if (!instance_valid(one) && *p != '.') {
            *p = '_';
        }
    }
}

void lutra_daemon_advertised(const struct lutra_daemon_config *config,
                             const char *listening,
                             const char *host,
                             char *buf,
                             size_t size)
{
    struct lutra_http_address address;

    if (config->http_advertise[0] != '\0') {
        snprintf(buf, size, "%s", config->http_advertise);
        return;
    }
    snprintf(buf, size, "%s", listening);
    if (lutra_http_address_parse(listening, &address, NULL) == 0 &&
        lutra_http_address_is_any(&address)) {
        snprintf(buf, size, "%s:%u", host, (unsigned)address.port);
    }
}
