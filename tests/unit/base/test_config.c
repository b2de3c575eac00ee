#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"

struct config {
    char *connect, *password;
    bool check;
    uint64_t window, batch_bytes, timeout_ms;
    struct lutra_config_map kafka;
};

static const struct lutra_config_key keys[] = {
    {"zookeeper.connect", LUTRA_CONFIG_STRING, offsetof(struct config, connect), NULL, 0, 0, false,
     "where ZooKeeper is"},
    {"select.window", LUTRA_CONFIG_U64, offsetof(struct config, window), "8", 1, 1024, false, ""},
    {"zookeeper.session-timeout", LUTRA_CONFIG_DURATION_MS, offsetof(struct config, timeout_ms),
     "10s", 1000, 60000, false, "session"},
    {"select.batch.bytes", LUTRA_CONFIG_SIZE_BYTES, offsetof(struct config, batch_bytes), "1MiB", 1,
     0, false, ""},
    {"check", LUTRA_CONFIG_BOOL, offsetof(struct config, check), "true", 0, 0, false, ""},
    {"password", LUTRA_CONFIG_STRING, offsetof(struct config, password), "", 0, 0, true, ""},
    {"kafka", LUTRA_CONFIG_MAP, offsetof(struct config, kafka), NULL, 0, 0, false, "librdkafka"},
    {0},
};

static struct lutra_error err;
static char path[64];

static void write_file(const char *text)
{
    int fd;

    strcpy(path, "/tmp/lutra-config-XXXXXX");
    fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int load(const char *text, struct config *config)
{
    int rc;

    memset(config, 0xa5, sizeof(*config)); /* old contents do not matter */
    write_file(text);
    rc = lutra_config_load(keys, path, config, &err);
    unlink(path);
    return rc;
}

static void refused(const char *text, const char *want)
{
    struct config config;

    cr_assert_eq(load(text, &config), -1, "%s", text);
    cr_assert_eq(err.class, LUTRA_CONFIG);
    cr_assert_not_null(strstr(err.msg, want), "\"%s\" has no \"%s\"", err.msg, want);
    cr_assert_null(config.connect);
    cr_assert_eq(config.kafka.n, 0);
}

Test(config, file_over_defaults)
{
    struct config config;

    cr_assert_eq(load("zookeeper:\n  connect: a:1,b:2\nselect: {window: 16, batch.bytes: 2 MiB}\n"
                      "kafka:\n  linger.ms: 5\n  socket:\n    keepalive.enable: true\n",
                      &config),
                 0, "%s", err.msg);
    cr_assert_str_eq(config.connect, "a:1,b:2");
    cr_assert_eq(config.window, 16);
    cr_assert_eq(config.batch_bytes, 2u << 20);
    cr_assert_eq(config.timeout_ms, 10000);
    cr_assert(config.check);
    cr_assert_str_eq(config.password, "");
    cr_assert_eq(config.kafka.n, 2);
    cr_assert_str_eq(config.kafka.keys[0], "linger.ms");
    cr_assert_str_eq(config.kafka.values[0], "5");
    cr_assert_str_eq(config.kafka.keys[1], "socket.keepalive.enable");
    cr_assert_str_eq(config.kafka.values[1], "true");
    lutra_config_fini(keys, &config);
    cr_assert_null(config.connect);
    cr_assert_null(config.kafka.keys);
}

Test(config, environment_over_file)
{
    struct config config;

    setenv("LUTRA_ZOOKEEPER_CONNECT", "env:1", 1);
    setenv("LUTRA_ZOOKEEPER_SESSION_TIMEOUT", "2s", 1);
    setenv("LUTRA_TEST_ANYTHING", "x", 1);
    setenv("LUTRA_MANAGER", "http://127.0.0.1:1", 1);
    setenv("LUTRA_ZOOKEEPER", "127.0.0.1:1", 1);
    cr_assert_eq(load("zookeeper.connect: file:1\n", &config), 0, "%s", err.msg);
    cr_assert_str_eq(config.connect, "env:1");
    cr_assert_eq(config.timeout_ms, 2000);
    lutra_config_fini(keys, &config);
    cr_assert_eq(lutra_config_load(keys, NULL, &config, &err), 0, "%s", err.msg);
    cr_assert_str_eq(config.connect, "env:1");
    lutra_config_fini(keys, &config);
}

Test(config, mistakes_in_the_file_say_where)
{
    refused("zookeper:\n  connect: a\n", ":1:1: unknown key \"zookeper\"");
    refused("zookeeper:\n  conect: a\n",
            ":2:3: unknown key \"zookeeper.conect\", did you mean \"zookeeper.connect\"?");
    refused("zookeeper: {connect: a}\nselect: {window: 0}\n",
            ":2:18: select.window: \"0\", expected a whole number, 1 to 1024");
    refused("zookeeper: {connect: a, session-timeout: 10}\n", "expected a duration");
    refused("zookeeper: {connect: a}\ncheck: yes\n", "expected true or false");
    refused("zookeeper: {connect: a}\nselect: [1]\n", "select: expected a mapping");
    refused("zookeeper: {connect: a}\nzookeeper.connect: b\n", "zookeeper.connect is given twice");
    refused("zookeeper: {connect: [a]}\n", "zookeeper.connect: expected a text");
    refused("zookeeper: {connect: }\n", "zookeeper.connect: expected a text");
    refused("zookeeper: {connect: a}\nkafka: {a.b: 1, a: {b: 2}}\n", "a.b is given twice");
    refused("zookeeper: {connect: a}\nkafka: {a: [1]}\n", "expected a text");
    refused("check: true\n", "\"zookeeper.connect\" is required (or the variable "
                             "LUTRA_ZOOKEEPER_CONNECT): where ZooKeeper is");
    refused("a: [\n", "");
}

Test(config, mistakes_in_the_environment_name_the_variable)
{
    struct config config;

    setenv("LUTRA_ZOOKEEPER_CONECT", "x", 1);
    cr_assert_eq(lutra_config_load(keys, NULL, &config, &err), -1);
    cr_assert_str_eq(err.msg, "environment: unknown variable LUTRA_ZOOKEEPER_CONECT, did you mean "
                              "LUTRA_ZOOKEEPER_CONNECT?");
    unsetenv("LUTRA_ZOOKEEPER_CONECT");
    setenv("LUTRA_ZOOKEEPER_CONNECT", "x", 1);
    setenv("LUTRA_SELECT_WINDOW", "many", 1);
    cr_assert_eq(lutra_config_load(keys, NULL, &config, &err), -1);
    cr_assert_str_eq(err.msg, "environment: LUTRA_SELECT_WINDOW: select.window: \"many\", expected "
                              "a whole number, 1 to 1024");
}

Test(config, print_hides_secrets_and_reads_back)
{
    struct config config, again;
    struct lutra_buf out = {0};

    cr_assert_eq(load("zookeeper.connect: \"a\\\"b\\n\"\npassword: hunter2\nkafka: "
                      "{sasl.password: hunter3, linger.ms: 5}\n",
                      &config),
                 0, "%s", err.msg);
    lutra_config_print(keys, &config, &out);
    cr_assert_str_eq(lutra_buf_cstr(&out), "zookeeper:\n"
                                           "  connect: \"a\\\"b\\x0a\"\n"
                                           "  session-timeout: 10s\n"
                                           "select:\n"
                                           "  window: 8\n"
                                           "  batch:\n"
                                           "    bytes: 1MiB\n"
                                           "check: true\n"
                                           "password: \"***\"\n"
                                           "kafka:\n"
                                           "  \"sasl.password\": \"***\"\n"
                                           "  \"linger.ms\": \"5\"\n");
    cr_assert_eq(load(lutra_buf_cstr(&out), &again), 0, "%s", err.msg);
    cr_assert_str_eq(again.connect, "a\"b\n");
    lutra_config_fini(keys, &config);
    lutra_config_fini(keys, &again);
    lutra_buf_fini(&out);
}

Test(config, every_key_is_documented)
{
    struct lutra_buf out = {0};

    lutra_config_document(keys, &out);
    for (size_t i = 0; keys[i].key; i++) {
        cr_assert_not_null(strstr(lutra_buf_cstr(&out), keys[i].key));
    }
    cr_assert_not_null(strstr(lutra_buf_cstr(&out), "`LUTRA_ZOOKEEPER_SESSION_TIMEOUT`"));
    lutra_buf_fini(&out);
}
