#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon_private.h"

struct sample_config {
    struct lutra_daemon_config daemon;
    uint64_t own_ms;
};
static const struct lutra_config_key keys[] = {
    LUTRA_DAEMON_CONFIG_KEYS,
    {.key = "sample.own",
     .type = LUTRA_CONFIG_DURATION_MS,
     .offset = offsetof(struct sample_config, own_ms),
     .def = "1s",
     .help = "own"},
    {0},
};
static const struct lutra_service service = {.name = "sample", .keys = keys};

static char path[64];
static struct sample_config config;
static struct lutra_error err;

static void file(const char *text)
{
    int fd;

    snprintf(path, sizeof(path), "/tmp/lutra-settings-XXXXXX");
    fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* The check's verdict on a file with these lines besides what is required. */
static int check(const char *more)
{
    char text[1024];
    int rc;

    snprintf(text, sizeof(text),
             "zookeeper: {connect: \"127.0.0.1:1\"}\nkafka: {brokers: \"127.0.0.1:2\"}\n%s", more);
    file(text);
    lutra_error_clear(&err);
    rc = lutra_config_load(keys, path, &config, &err);
    if (rc == 0) {
        rc = lutra_daemon_settings_check(&service, &config.daemon, &err);
        lutra_config_fini(keys, &config);
    }
    unlink(path);
    return rc;
}

Test(daemon_settings, the_least_that_is_needed)
{
    cr_assert_eq(check(""), 0, "%s", err.msg);
}

Test(daemon_settings, each_mistake_is_named)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"instance: \"a/b\"", "instance"},
        {"instance: \"..\"", "instance"},
        {"site: \"No Such\"", "site"},
        {"log: {level: loud}", "log.level"},
        {"http: {listen: \"8640\"}", "http.listen"},
        {"http: {listen: \"example.org:80\"}", "http.listen"},
        {"http: {advertise: \"nowhere\"}", "http.advertise"},
        {"state_dir: /dev/null/x", "state_dir"},
        {"state_dir: /dev/null", "state_dir"},
        {"drain_timeout: 11m", "drain_timeout"},
        {"watchdog: often", "watchdog"},
        {"zookeper: 1", "zookeper"},
        {"buses: {far: {properties: {client.rack: r}}}", "buses.far.brokers is missing"},
        {"buses: {far: {brokers: \"\"}}", "buses.far.brokers is empty"},
        {"buses: {far: {broker: \"f:1\"}}", "buses.far.broker: unknown key"},
        {"buses: {far: \"f:1\"}", "buses.far: unknown key"},
        {"buses: {Far: {brokers: \"f:1\"}}", "[a-z0-9-]"},
        {"buses: {default: {brokers: \"f:1\"}}", "kafka.* is the bus `default`"},
        {"buses: {far: {brokers: \"f:1\", properties: {acks: 0}}}", "bus far"},
        {"buses: {far: {brokers: \"f:1\", properties: {no.such: 0}}}", "no.such"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(check(cases[i].text), -1, "%s", cases[i].text);
        cr_assert_eq(err.class, LUTRA_CONFIG, "%s", cases[i].text);
        cr_assert(strstr(err.msg, cases[i].word) != NULL, "%s: %s", cases[i].text, err.msg);
    }
}

Test(daemon_settings, the_instance_is_named_after_host_and_service)
{
    struct lutra_daemon_config mine = {.instance = ""};
    char name[64];

    lutra_daemon_instance_name(&service, &mine, "db1.example", name, sizeof(name));
    cr_assert_str_eq(name, "db1.example-sample");
    lutra_daemon_instance_name(
        &service, &mine,
        "a-host-whose-name-is-so-very-long-that-it-fills-all-of-the-space-there-is.example", name,
        sizeof(name));
    cr_assert_eq(strlen(name), 63);
    cr_assert_str_eq(name + 63 - 7, "-sample");
    mine.instance = "own";
    lutra_daemon_instance_name(&service, &mine, "db1", name, sizeof(name));
    cr_assert_str_eq(name, "own");
}

Test(daemon_settings, what_others_are_told_of_the_listener)
{
    struct lutra_daemon_config mine = {.http_advertise = ""};
    char text[272];

    lutra_daemon_advertised(&mine, "127.0.0.1:8641", "db1", text, sizeof(text));
    cr_assert_str_eq(text, "127.0.0.1:8641");
    lutra_daemon_advertised(&mine, "0.0.0.0:8641", "db1", text, sizeof(text));
    cr_assert_str_eq(text, "db1:8641");
    mine.http_advertise = "proxy:80";
    lutra_daemon_advertised(&mine, "0.0.0.0:8641", "db1", text, sizeof(text));
    cr_assert_str_eq(text, "proxy:80");
}

Test(daemon_settings, a_reload_names_what_changed)
{
    struct sample_config a, b;
    struct lutra_buf names = {0};

    file("zookeeper: {connect: \"a:1\"}\nkafka: {brokers: \"b:1\", properties: {x.y: 1}}\n");
    cr_assert_eq(lutra_config_load(keys, path, &a, &err), 0, "%s", err.msg);
    unlink(path);
    file("zookeeper: {connect: \"a:2\"}\nkafka: {brokers: \"b:1\", properties: {x.y: 2}}\n"
         "sample: {own: 2s}\nlog: {json: true}\n");
    cr_assert_eq(lutra_config_load(keys, path, &b, &err), 0, "%s", err.msg);
    unlink(path);
    lutra_daemon_config_diff(keys, &a, &b, &names);
    cr_assert_str_eq(lutra_buf_cstr(&names),
                     "log.json zookeeper.connect kafka.properties sample.own");
    lutra_buf_clear(&names);
    lutra_daemon_config_diff(keys, &a, &a, &names);
    cr_assert_eq(names.len, 0);
    lutra_buf_fini(&names);
    lutra_config_fini(keys, &a);
    lutra_config_fini(keys, &b);
}

Test(daemon_settings, buses_besides_the_default_one)
{
    struct lutra_config_map properties;

    file("zookeeper: {connect: \"a:1\"}\nkafka: {brokers: \"k:1\", properties: {client.rack: d}}\n"
         "buses:\n  far: {brokers: \"f:1,f:2\", properties: {client.rack: f, socket: {nagle: 1}}}\n"
         "  far-off.brokers: \"o:1\"\n");
    cr_assert_eq(lutra_config_load(keys, path, &config, &err), 0, "%s", err.msg);
    unlink(path);
    cr_expect_str_eq(lutra_daemon_bus_brokers(&config.daemon, "default"), "k:1");
    cr_expect_str_eq(lutra_daemon_bus_brokers(&config.daemon, "far"), "f:1,f:2");
    cr_expect_str_eq(lutra_daemon_bus_brokers(&config.daemon, "far-off"), "o:1");
    cr_expect_null(lutra_daemon_bus_brokers(&config.daemon, "fa"));
    lutra_daemon_bus_properties(&config.daemon, "default", &properties);
    cr_assert_eq(properties.n, 1);
    cr_expect_str_eq(properties.values[0], "d");
    lutra_daemon_bus_properties_fini(&properties);
    lutra_daemon_bus_properties(&config.daemon, "far", &properties);
    cr_assert_eq(properties.n, 2);
    cr_expect_str_eq(properties.keys[0], "client.rack");
    cr_expect_str_eq(properties.values[0], "f");
    cr_expect_str_eq(properties.keys[1], "socket.nagle");
    lutra_daemon_bus_properties_fini(&properties);
    lutra_daemon_bus_properties(&config.daemon, "far-off", &properties);
    cr_expect_eq(properties.n, 0);
    lutra_daemon_bus_properties_fini(&properties);
    lutra_config_fini(keys, &config);
}

Test(daemon_settings, some_bus_is_needed_not_the_default_one)
{
    file("zookeeper: {connect: \"a:1\"}\n");
    cr_assert_eq(lutra_config_load(keys, path, &config, &err), 0, "%s", err.msg);
    unlink(path);
    cr_expect_eq(lutra_daemon_settings_check(&service, &config.daemon, &err), -1);
    cr_expect(strstr(err.msg, "kafka.brokers") != NULL, "%s", err.msg);
    lutra_config_fini(keys, &config);
    file("zookeeper: {connect: \"a:1\"}\nbuses: {far: {brokers: \"f:1\"}}\n");
    cr_assert_eq(lutra_config_load(keys, path, &config, &err), 0, "%s", err.msg);
    unlink(path);
    cr_expect_eq(lutra_daemon_settings_check(&service, &config.daemon, &err), 0, "%s", err.msg);
    lutra_config_fini(keys, &config);
}
