#include "support/stack.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/internal.h"
#include "support/netns.h"
#include "support/test.h"
#include "support/zk.h"

extern char **environ;

static const char *stack_lib(void)
{
    const char *path = getenv("LUTRA_TEST_STACK_LIB");
    return path ? path : LUTRA_STACK_LIB;
}

int lutra_test_stack_lib(const char *function, const char *const *args)
{
    const char *argv[32] = {"bash", stack_lib(), function};
    size_t n = 3;
    for (; args && *args; args++) {
        argv[n++] = *args;
        if (n == 31) {
            return -1;
        }
    }
    pid_t pid;
    int status;
    char *const *child_argv = (char *const *)(uintptr_t)argv;
    if (posix_spawnp(&pid, "bash", NULL, NULL, child_argv, environ) != 0) {
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* ---- The runner: one stack for all tests of a binary that was started by hand ---------------- */

static char own_dir[64], own_stack[80];

/* Takes "export NAME=value" lines into the environment, which the tests inherit. */
static void take_exports(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[512];
    while (file && fgets(line, sizeof(line), file)) {
        char name[64], value[256];
        if (sscanf(line, "export %63[A-Z_]=%255s", name, value) == 2) {
            setenv(name, value, 1);
        }
    }
    if (file) {
        fclose(file);
    }
}

/* ctest gives each program that runs at the same time a set of servers of its own. */
static void take_stack(void)
{
    const char *dir = getenv("LUTRA_TEST_STACK_DIR");
    const char *given = getenv("CTEST_RESOURCE_GROUP_0_STACKS"); /* "id:1,slots:1" */
    char id[16], path[256];
    if (dir && given && sscanf(given, "id:%15[0-9]", id) == 1) {
        snprintf(path, sizeof(path), "%s/%s/env", dir, id);
        take_exports(path);
    }
}

void lutra_test_session_begin(void)
{
    if (!getenv("LUTRA_TEST_DIR")) {
        snprintf(own_dir, sizeof(own_dir), "/tmp/lutra-XXXXXX");
        if (!mkdtemp(own_dir)) {
            perror("mkdtemp");
            exit(1);
        }
        setenv("LUTRA_TEST_DIR", own_dir, 1);
    }
    lutra_netns_sweep();
    take_stack();
    if (getenv("LUTRA_TEST_SOURCE_SOCKET") || getenv("LUTRA_TEST_OWN_SERVERS")) {
        return;
    }
    snprintf(own_stack, sizeof(own_stack), "%s/stack", getenv("LUTRA_TEST_DIR"));
    const char *const args[] = {own_stack, NULL};
    if (lutra_test_stack_lib("stack_start", args) == 0) {
        char path[128];
        snprintf(path, sizeof(path), "%s/env", own_stack);
        take_exports(path);
    }
}

void lutra_test_session_end(int failed)
{
    lutra_netns_sweep();
    if (own_stack[0]) {
        const char *const args[] = {own_stack, NULL};
        lutra_test_stack_lib("stack_stop", args);
        lutra_test_remove_tree(own_stack);
    }
    if (own_dir[0] && !failed) {
        lutra_test_remove_tree(own_dir);
    }
}

/* ---- The test -------------------------------------------------------------------------------- */

static const char *need(const char *variable)
{
    const char *value = getenv(variable);
    if (!value) {
        cr_skip_test("no real servers (%s is not set)", variable);
    }
    return value;
}

static void find_programs(char *bin, size_t len)
{
    const char *given = getenv("LUTRA_TEST_BIN");
    if (given) {
        snprintf(bin, len, "%s", given);
        return;
    }
    /* build/<preset>/tests/<this program> -> build/<preset>/bin */
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(exe, '/');
        if (slash) {
            *slash = '\0';
        }
    }
    snprintf(bin, len, "%.200s/bin", exe);
}

const char *lutra_test_bin(void)
{
    static char bin[256];
    if (!bin[0]) {
        find_programs(bin, sizeof(bin));
    }
    return bin;
}

static struct lutra_test_stack stack;

const struct lutra_test_stack *lutra_test_stack(void)
{
    if (!stack.kafka[0]) {
        snprintf(stack.zookeeper, sizeof(stack.zookeeper), "%s", need("LUTRA_TEST_ZOOKEEPER"));
        snprintf(stack.source.socket, sizeof(stack.source.socket), "%s",
                 need("LUTRA_TEST_SOURCE_SOCKET"));
        snprintf(stack.target.socket, sizeof(stack.target.socket), "%s",
                 need("LUTRA_TEST_TARGET_SOCKET"));
        stack.source.port = (uint16_t)strtoul(need("LUTRA_TEST_SOURCE_PORT"), NULL, 10);
        stack.target.port = (uint16_t)strtoul(need("LUTRA_TEST_TARGET_PORT"), NULL, 10);
        snprintf(stack.bin, sizeof(stack.bin), "%s", lutra_test_bin());
        snprintf(stack.kafka, sizeof(stack.kafka), "%s", need("LUTRA_TEST_KAFKA"));
    }
    return &stack;
}

static char own_chroot[160];

void lutra_test_chroot_renew(void)
{
    own_chroot[0] = '\0';
}

const char *lutra_test_chroot(void)
{
    if (!own_chroot[0]) {
        char *name = lutra_test_unique("/test");
        lutra_zk_create(lutra_test_stack()->zookeeper, name, "");
        snprintf(own_chroot, sizeof(own_chroot), "%.63s%.60s", lutra_test_stack()->zookeeper, name);
        free(name);
    }
    return own_chroot;
}

/* ---- Private servers ------------------------------------------------------------------------- */

static void stop_private_servers(void)
{
    const char *const args[] = {lutra_test_dir(), NULL};
    lutra_test_stack_lib("daemons_stop_all", args);
}

static void server_call(const char *function, const char *const *args)
{
    static pid_t registered;
    if (registered != getpid()) {
        registered = getpid();
        lutra_test_dir(); /* worked out while the parent is alive */
        atexit(stop_private_servers);
    }
    if (lutra_test_stack_lib(function, args) != 0) {
        lutra_test_fail("%s %s failed", function, args[0]);
    }
}

void lutra_test_server(const char *function, const char *name, ...)
{
    char *dir = lutra_test_path("%s", name);
    const char *args[16] = {dir};
    va_list rest;
    va_start(rest, name);
    for (size_t n = 1; n < 15 && (args[n] = va_arg(rest, const char *)) != NULL; n++) {
    }
    va_end(rest);
    server_call(function, args);
    free(dir);
}

struct lutra_test_mariadb lutra_test_mariadb_start(const char *name, const char *const *options)
{
    struct lutra_test_mariadb server = {.port = lutra_test_free_port()};
    snprintf(server.dir, sizeof(server.dir), "%s/%s", lutra_test_dir(), name);
    if ((size_t)snprintf(server.socket, sizeof(server.socket), "%.90s/mariadb.sock", server.dir) !=
        strlen(server.dir) + strlen("/mariadb.sock")) {
        lutra_test_fail("the path %s is too long for a socket", server.dir);
    }
    char port[8];
    snprintf(port, sizeof(port), "%u", server.port);
    const char *args[16] = {server.dir, port};
    for (size_t n = 2; options && *options && n < 15; n++) {
        args[n] = *options++;
    }
    server_call("mariadb_start", args);
    return server;
}

void lutra_test_mariadb_restart(const struct lutra_test_mariadb *server)
{
    char port[8];
    snprintf(port, sizeof(port), "%u", server->port);
    const char *const args[] = {server->dir, port, NULL};
    server_call("mariadb_start", args);
}

void lutra_test_mariadb_stop(const struct lutra_test_mariadb *server)
{
    const char *const args[] = {server->dir, NULL};
    server_call("mariadb_stop", args);
}

void lutra_test_server_signal(const char *name, const char *program, int signal)
{
    char *path = lutra_test_path("%s/%s.pid", name, program);
    char *text = lutra_test_read_file(path);
    pid_t pid = text ? (pid_t)strtol(text, NULL, 10) : 0;
    if (pid <= 0 || kill(pid, signal) != 0) {
        lutra_test_fail("signal %d to %s (pid %d): %s", signal, name, (int)pid, strerror(errno));
    }
    free(text);
    free(path);
}

void lutra_test_server_kill9(const char *name, const char *program)
{
    char *path = lutra_test_path("%s/%s.pid", name, program);
    const char *const args[] = {path, NULL};
    server_call("daemon_kill", args);
    free(path);
}

void lutra_test_stack_start(const char *address)
{
    char *dir = lutra_test_path("stack"), *env = lutra_test_path("stack/env");
    const char *const args[] = {dir, address, NULL};
    server_call("stack_start", args);
    take_exports(env);
    free(dir);
    free(env);
}

static struct lutra_test_broker private_kafka;
static uint16_t zookeeper_port;

void lutra_test_broker_restart(const struct lutra_test_broker *broker)
{
    char port[8], controller[8];
    snprintf(port, sizeof(port), "%u", broker->port);
    snprintf(controller, sizeof(controller), "%u", broker->controller_port);
    lutra_test_server("kafka_start", broker->name, port, controller, NULL);
}

struct lutra_test_broker lutra_test_broker_start(const char *name)
{
    struct lutra_test_broker broker = {.port = lutra_test_free_port(),
                                       .controller_port = lutra_test_free_port()};
    snprintf(broker.name, sizeof(broker.name), "%s", name);
    snprintf(broker.brokers, sizeof(broker.brokers), "127.0.0.1:%u", broker.port);
    lutra_test_broker_restart(&broker);
    return broker;
}

void lutra_test_kafka_restart(void)
{
    lutra_test_broker_restart(&private_kafka);
}

void lutra_test_kafka_start(void)
{
    lutra_test_stack();
    private_kafka = lutra_test_broker_start("kafka");
    snprintf(stack.kafka, sizeof(stack.kafka), "%s", private_kafka.brokers);
}

void lutra_test_zookeeper_restart(void)
{
    char port[8];
    snprintf(port, sizeof(port), "%u", zookeeper_port);
    lutra_test_server("zookeeper_start", "zookeeper", port, NULL);
}

void lutra_test_zookeeper_start(void)
{
    lutra_test_stack();
    zookeeper_port = lutra_test_free_port();
    lutra_test_zookeeper_restart();
    snprintf(stack.zookeeper, sizeof(stack.zookeeper), "127.0.0.1:%u", zookeeper_port);
}
