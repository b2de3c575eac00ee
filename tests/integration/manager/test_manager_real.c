/* lutra-manager and lutractl as processes, on a real ZooKeeper. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/http.h"
#include "support/proc.h"
#include "support/service.h"
#include "support/stack.h"
#include "support/test.h"
#include "support/zk.h"

TestSuite(manager_real, .timeout = 240);

static struct lutra_test_service m[2];

static void start(int n)
{
    for (int i = 0; i < n; i++) {
        lutra_test_service_start(&m[i], "manager", i == 0 ? "m0" : "m1", NULL, NULL);
    }
    for (int i = 0; i < n; i++) {
        lutra_test_service_await_ready(&m[i], 20000);
    }
}

/* Runs lutractl against the managers; its exit status. What it printed is in `printed`. */
static char *printed;

static int ctl(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int ctl(const char *format, ...)
{
    static unsigned calls;
    char managers[64], line[512], name[32], *save = NULL;
    const char *argv[24] = {"lutractl", "--manager", managers};
    struct lutra_proc *proc;
    int n = 3, status;
    va_list ap;

    snprintf(managers, sizeof(managers), "127.0.0.1:%u", m[0].port);
    if (m[1].port != 0) {
        snprintf(managers, sizeof(managers), "127.0.0.1:%u,127.0.0.1:%u", m[0].port, m[1].port);
    }
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    for (char *word = strtok_r(line, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        argv[n++] = word;
    }
    snprintf(name, sizeof(name), "ctl%u", calls++);
    proc = lutra_proc_start(name, argv, NULL);
    status = lutra_proc_wait(proc, 60000);
    free(printed);
    printed = lutra_test_read_file(proc->log);
    return status;
}

static char *definition(const char *name, const char *text)
{
    char *path = lutra_test_path("%s", name);

    lutra_test_write_file(path, text);
    return path;
}

static const char good[] = "channel: orders\n"
                           "description: from here to there\n"
                           "sources:\n"
                           "  a: {type: mariadb, host: 127.0.0.1, user: lutra}\n"
                           "  b: {type: mariadb, host: 127.0.0.1, user: lutra}\n"
                           "pipelines:\n"
                           "  - source: a\n"
                           "    target: b\n"
                           "    pairs: [{source: {schema: shop, table: \"*\"}}]\n";

/* The index of the manager that m[i] names as leader; -1: none. */
static int leader_of(int i)
{
    char *body = lutra_http_get(m[i].port, "/v1/status");
    json_t *root = body != NULL ? json_loads(body, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(root, "leader"));
    int leader = name == NULL ? -1 : name[1] - '0';

    json_decref(root);
    free(body);
    return leader;
}

static bool leads(int i)
{
    char *body = lutra_http_get(m[i].port, "/state");
    json_t *root = body != NULL ? json_loads(body, 0, NULL) : NULL;
    bool yes = json_is_true(json_object_get(root, "leads"));

    json_decref(root);
    free(body);
    return yes;
}

Test(manager_real, writes_reach_the_leader_through_either_and_survive_its_death)
{
    char *path = definition("orders.yaml", good);
    struct lutra_http_answer answer;
    char location[128];
    int leader, follower;

    start(2);
    leader = leader_of(0);
    cr_assert_geq(leader, 0);
    cr_assert_eq(leader_of(1), leader);
    follower = 1 - leader;
    cr_assert(leads(leader));
    cr_assert_not(leads(follower));

    answer = lutra_http_call("POST", m[follower].port, "/v1/channels/orders/start?x=1", "{}");
    cr_assert_eq(answer.status, 307);
    snprintf(location, sizeof(location), "http://127.0.0.1:%u/v1/channels/orders/start?x=1",
             m[leader].port);
    cr_assert_str_eq(answer.location, location);
    lutra_http_answer_fini(&answer);

    cr_assert_eq(ctl("apply -f %s", path), 0, "%s", printed);
    cr_assert(strstr(printed, "created, version 1"), "%s", printed);
    lutra_proc_kill9(m[leader].proc);
    cr_assert_eq(ctl("start orders"), 0, "%s", printed);
    cr_assert(leads(follower));
    cr_assert_eq(ctl("status orders"), 0, "%s", printed);
    cr_assert(strstr(printed, "STARTING"), "%s", printed);

    lutra_test_service_restart(&m[leader], NULL);
    lutra_test_service_await_ready(&m[leader], 20000);
    cr_assert_eq(leader_of(leader), follower, "who comes back does not take it away");
    cr_assert_eq(lutra_proc_terminate(m[leader].proc, 10000), 0);
    cr_assert_eq(lutra_proc_terminate(m[follower].proc, 10000), 0);
    cr_assert_eq(ctl("status"), 69);
    free(path);
}

Test(manager_real, a_frozen_leader_does_not_act_on_what_it_believed)
{
    int leader, follower;

    start(2);
    leader = leader_of(0);
    follower = 1 - leader;
    lutra_proc_freeze(m[leader].proc);
    LUTRA_WAIT_FOR(leads(follower), 20000);
    lutra_proc_thaw(m[leader].proc);
    LUTRA_WAIT_FOR(leader_of(leader) == follower, 20000);
    cr_assert_not(leads(leader));
    cr_assert(lutra_proc_running(m[leader].proc), "being stopped is not being hung");
}

Test(manager_real, mistakes_in_a_definition_are_named_with_their_place)
{
    char *unknown = definition("unknown.yaml", "channel: orders\nsorces: {}\n");
    char *missing =
        definition("missing.yaml", "channel: orders\nsources:\n"
                                   "  a: {type: mariadb, host: h, user: u}\n"
                                   "pipelines:\n  - {source: a, target: nowhere, pairs: [{source: "
                                   "{schema: s, table: t}}]}\n");
    char *path = definition("orders.yaml", good);
    struct lutra_http_answer answer;

    start(1);
    cr_assert_eq(ctl("apply -f %s", unknown), 78);
    cr_assert(strstr(printed, "unknown.yaml:2:1: unknown key \"sorces\""), "%s", printed);
    cr_assert(strstr(printed, "sources"), "%s", printed);
    cr_assert_eq(ctl("apply -f %s", missing), 78);
    cr_assert(strstr(printed, "missing.yaml:5:"), "%s", printed);
    cr_assert_eq(ctl("apply -f /does/not/exist"), 1);
    cr_assert_eq(ctl("apply"), 2);
    cr_assert_eq(ctl("aply -f %s", path), 2);
    cr_assert(strstr(printed, "did you mean apply?"), "%s", printed);
    answer = lutra_http_call("PUT", m[0].port, "/v1/channels/orders", "channel: [");
    cr_assert_eq(answer.status, 400);
    lutra_http_answer_fini(&answer);
    cr_assert_eq(ctl("apply -f %s", path), 0, "%s", printed);
    cr_assert_eq(ctl("start nothing"), 1);
    cr_assert(strstr(printed, "no channel nothing"), "%s", printed);
    free(unknown);
    free(missing);
    free(path);
}

Test(manager_real, a_definition_goes_out_and_in_and_is_the_same)
{
    char *path = definition("orders.yaml", good), *again;

    start(1);
    cr_assert_eq(ctl("apply -f %s", path), 0, "%s", printed);
    cr_assert_eq(ctl("apply -f %s -o json", path), 0, "%s", printed);
    cr_assert(strstr(printed, "\"unchanged\""), "%s", printed);
    cr_assert_eq(ctl("get orders -o yaml"), 0, "%s", printed);
    again = definition("again.yaml", printed);
    cr_assert_eq(ctl("apply -f %s", again), 0, "%s", printed);
    cr_assert(strstr(printed, "unchanged, version 1"), "%s", printed);
    cr_assert_eq(ctl("get orders -o json"), 0, "%s", printed);
    free(again);
    again = definition("again.json", printed);
    cr_assert_eq(ctl("apply -f %s", again), 0, "%s", printed);
    cr_assert(strstr(printed, "unchanged, version 1"), "%s", printed);
    cr_assert_eq(ctl("status --exit-code"), 10, "%s", printed);
    cr_assert_eq(ctl("delete orders"), 0, "%s", printed);
    cr_assert_eq(ctl("get orders"), 1, "%s", printed);
    free(path);
    free(again);
}

/* ---- what comes in from outside ---- */

static int dial(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

Test(manager_real, bad_http_input_never_ends_it)
{
    static const char *const bytes[] = {
        "\x16\x03\x01\x00garbage\r\n\r\n",
        "PUT /v1/channels/%ff%fe HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        "PUT /v1/channels/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        "POST /v1/channels/a/start HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
        "GET /v1/status?a=%00&=&&x=% HTTP/1.1\r\n\r\n",
        "DELETE /v1/channels/../../lutra HTTP/1.1\r\n\r\n",
        "GET //////v1/status HTTP/1.0\r\n\r\n",
        "BREW /v1/status HTCPCP/1.0\r\n\r\n",
    };
    unsigned seed = 20261123;
    char noise[512];

    start(1);
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        int fd = dial(m[0].port);

        cr_assert_gt(send(fd, bytes[i], strlen(bytes[i]), MSG_NOSIGNAL), 0);
        close(fd);
    }
    for (int i = 0; i < 200; i++) {
        int fd = dial(m[0].port);
        int n = snprintf(noise, sizeof(noise),
                         "PUT /v1/channels/orders HTTP/1.1\r\nHost: x\r\n"
                         "Content-Length: 400\r\n\r\n");

        for (int k = n; k < (int)sizeof(noise); k++) {
            noise[k] = (char)(rand_r(&seed) & 0xff);
        }
        (void)!send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
        close(fd);
    }
    cr_assert_eq(lutra_http_status(m[0].port, "/healthz"), 200);
    cr_assert_eq(lutra_http_status(m[0].port, "/v1/status"), 200);
    cr_assert(lutra_proc_running(m[0].proc));
    cr_assert_eq(lutra_proc_terminate(m[0].proc, 10000), 0);
}

Test(manager_real, a_registered_node_that_never_answers_does_not_hold_up_the_status)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint64_t begin_ms;
    char *node, *body;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(fd, 8), 0); /* accepted by the kernel, answered by nobody */
    getsockname(fd, (struct sockaddr *)&at, &len);
    start(1);
    node = lutra_test_format("{\"service\":\"select\",\"instance\":\"mute\",\"host\":\"h\","
                             "\"pid\":1,\"site\":\"default\",\"version\":\"1\","
                             "\"http\":\"127.0.0.1:%u\",\"started_ms\":1}",
                             ntohs(at.sin_port));
    lutra_zk_create(lutra_test_chroot(), "/lutra/nodes", "");
    lutra_zk_create(lutra_test_chroot(), "/lutra/nodes/select", "");
    lutra_zk_create(lutra_test_chroot(), "/lutra/nodes/select/mute", node);
    LUTRA_WAIT_FOR((body = lutra_http_get(m[0].port, "/v1/status")) != NULL &&
                       strstr(body, "no answer within") != NULL,
                   20000);
    begin_ms = lutra_test_now_ms();
    cr_assert_eq(lutra_http_status(m[0].port, "/v1/status"), 200);
    cr_assert_leq(lutra_test_now_ms() - begin_ms, lutra_test_scaled_ms(2500));
    cr_assert_eq(lutra_http_status(m[0].port, "/healthz"), 200);
    free(node);
    close(fd);
}

Test(manager_real, without_zookeeper_it_lives_and_says_so)
{
    uint16_t port = lutra_test_free_port();
    char text[8];
    char *config, *path;
    const char *argv[] = {"lutra-manager", "--config", NULL, NULL};

    snprintf(text, sizeof(text), "%u", port);
    lutra_test_server("zookeeper_start", "zk", text, NULL);
    m[0] = (struct lutra_test_service){.port = lutra_test_free_port()};
    snprintf(m[0].instance, sizeof(m[0].instance), "m0");
    config = lutra_test_format("instance: m0\nhttp: {listen: \"127.0.0.1:%u\"}\n"
                               "zookeeper: {connect: \"127.0.0.1:%u\"}\n"
                               "kafka: {brokers: \"%s\"}\n",
                               m[0].port, port, lutra_test_stack()->kafka);
    path = definition("m0.yaml", config);
    argv[2] = path;
    m[0].proc = lutra_proc_start("m0", argv, NULL);
    lutra_test_service_await_ready(&m[0], 20000);
    lutra_test_server("zookeeper_stop", "zk", NULL);
    LUTRA_WAIT_FOR(lutra_http_status(m[0].port, "/readyz") == 503, 20000);
    cr_assert_eq(lutra_http_status(m[0].port, "/healthz"), 200);
    cr_assert_eq(ctl("start orders"), 75, "%s", printed);
    lutra_test_server("zookeeper_start", "zk", text, NULL);
    LUTRA_WAIT_FOR(lutra_http_status(m[0].port, "/readyz") == 200, 30000);
    free(config);
    free(path);
}
