/* The buses as configured: kafka.* is the bus `default`, buses.<name>.* are the others, with the
 * same keys. */
#include <string.h>

#include "base/mem.h"
#include "bus/bus_kafka.h"
#include "bus/buses.h"
#include "daemon/daemon_private.h"
#include "model/channel.h"

/* "dublin.brokers" of bus dublin: "brokers". NULL: of another bus. */
static const char *key_of(const char *key, const char *name)
{
    size_t len = strlen(name);

    return strncmp(key, name, len) == 0 && key[len] == '.' ? key + len + 1 : NULL;
}

const char *lutra_daemon_bus_brokers(const struct lutra_daemon_config *config, const char *name)
{
    const char *brokers = NULL;

    if (strcmp(name, LUTRA_BUS_DEFAULT) == 0) {
        brokers = config->kafka_brokers;
    }
    for (size_t i = 0; i < config->buses.n && !brokers; i++) {
        const char *key = key_of(config->buses.keys[i], name);

        if (key && strcmp(key, "brokers") == 0) {
            brokers = config->buses.values[i];
        }
    }
    return brokers && brokers[0] ? brokers : NULL;
}

void lutra_daemon_bus_properties(const struct lutra_daemon_config *config,
                                 const char *name,
                                 struct lutra_config_map *out)
{
    const struct lutra_config_map *from = &config->buses;

    *out = (struct lutra_config_map){0};
    if (strcmp(name, LUTRA_BUS_DEFAULT) == 0) {
        from = &config->kafka;
    }
    out->keys = lutra_alloc((from->n + 1) * sizeof(char *));
    out->values = lutra_alloc((from->n + 1) * sizeof(char *));
    for (size_t i = 0; i < from->n; i++) {
        char *key = from->keys[i];

        if (from == &config->buses) {
            const char *rest = key_of(key, name);

            if (!rest || strncmp(rest, "properties.", 11) != 0) {
                continue;
            }
            key += rest + 11 - key;
        }
        out->keys[out->n] = key;
        out->values[out->n++] = from->values[i];
    }
}

void lutra_daemon_bus_properties_fini(struct lutra_config_map *properties)
{
    lutra_free(properties->keys);
    lutra_free(properties->values);
    *properties = (struct lutra_config_map){0};
}

static int check_properties(const struct lutra_daemon_config *config,
                            const char *name,
                            struct lutra_error *err)
{
    struct lutra_config_map properties;
    int rc;

    lutra_daemon_bus_properties(config, name, &properties);
    rc = lutra_bus_kafka_check(&properties, err);
    lutra_daemon_bus_properties_fini(&properties);
    return rc == 0 ? 0 : lutra_error_wrap(err, "bus %s", name);
}

static int check_key(const struct lutra_daemon_config *config,
                     const char *key,
                     const char *value,
                     struct lutra_error *err)
{
    const char *dot = strchr(key, '.');
    LUTRA_AUTO_FREE char *name = lutra_strndup(key, dot ? (size_t)(dot - key) : strlen(key));

    if (!lutra_name_valid(name)) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "buses.%.100s: the name of a bus is [a-z0-9-], at most 40", key);
    }
    if (strcmp(name, LUTRA_BUS_DEFAULT) == 0) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "buses.%.100s: kafka.* is the bus `default`, expected another name",
                               key);
    }
    if (!dot || (strcmp(dot, ".brokers") != 0 && strncmp(dot, ".properties.", 12) != 0)) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "buses.%.100s: unknown key, expected buses.%s.brokers or "
                               "buses.%s.properties.*",
                               key, name, name);
    }
    if (strcmp(dot, ".brokers") == 0 && value[0] == '\0') {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "buses.%s.brokers is empty: expected host:port[,host:port...]",
                               name);
    }
    if (!lutra_daemon_bus_brokers(config, name)) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "buses.%s.brokers is missing: expected host:port[,host:port...]",
                               name);
    }
    return check_properties(config, name, err);
}

int lutra_daemon_buses_check(const struct lutra_daemon_config *config, struct lutra_error *err)
{
    for (size_t i = 0; i < config->buses.n; i++) {
        if (check_key(config, config->buses.keys[i], config->buses.values[i], err) != 0) {
            return -1;
        }
    }
    if (config->kafka_brokers[0] == '\0' && config->buses.n == 0) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "kafka.brokers is empty: expected host:port[,host:port...]");
    }
    return check_properties(config, LUTRA_BUS_DEFAULT, err);
}
