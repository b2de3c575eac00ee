/* A whole service process from its options to its end, on ports in memory. A second thread is the
 * outside world: it asks over HTTP and sends signals. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "bus/bus_mem.h"
#include "coord/coord_mem.h"
#include "daemon/daemon_private.h"
#include "support/http.h"
#include "support/test.h"

static struct lutra_mem_tree *tree;
static struct lutra_mem_broker *broker, *far_broker;
static char config_path[512];
static _Atomic unsigned port;
static _Atomic bool drained_asked, stopped;
static bool finish_drain = true, lose_zookeeper;
static const char *former_mark;
static struct lutra_daemon *the_daemon;

/* ---- ports ---- */

static struct lutra_coord *coord_new(struct lutra_loop *loop,
                                     const struct lutra_daemon_config *config,
                                     struct lutra_error *err)
{
    (void)err;
    tree = lutra_mem_tree_new(loop);
    broker = lutra_mem_broker_new(loop);
    far_broker = lutra_mem_broker_new(loop);
    return lutra_coord_mem_new(tree, config->zookeeper_session_timeout_ms);
}

static struct lutra_bus *bus_new(struct lutra_loop *loop,
                                 const char *name,
                                 const char *brokers,
                                 const struct lutra_config_map *properties,
                                 const char *client_id,
                                 struct lutra_metrics *metrics,
                                 struct lutra_error *err)
{
    (void)loop;
    (void)properties;
    if (strcmp(name, "far") == 0) {
        cr_assert_str_eq(brokers, "f:1");
        return lutra_bus_mem_new(far_broker, client_id);
    }
    cr_assert_str_eq(name, "default");
    cr_assert_str_eq(brokers, "k:1");
    (void)metrics;
    (void)err;
    cr_assert_str_eq(client_id, "lutra-sample-one");
    return lutra_bus_mem_new(broker, client_id);
}

static const struct lutra_daemon_ports ports = {.coord_new = coord_new, .bus_new = bus_new};

/* ---- the service ---- */

static void hello(struct lutra_http_request *request, void *arg)
{
    (void)arg;
    lutra_http_reply_text(request, 200, "text/plain", "hello");
}

/* Opens bus "far", as a pipeline would that needs it; /bus/down: its broker is away. */
static void open_bus(struct lutra_http_request *request, void *arg)
{
    struct lutra_error err = {0};
    const char *name = strrchr(lutra_http_path(request), '/') + 1;

    (void)arg;
    if (strcmp(name, "down") == 0) {
        const struct lutra_mem_broker_faults down = {.down = true};

        lutra_mem_broker_set_faults(far_broker, &down);
    } else if (lutra_buses_get(the_daemon->env.buses, name, &err) == NULL) {
        lutra_http_reply_text(request, 404, "text/plain", err.msg);
        return;
    }
    lutra_http_reply_text(request, 200, "text/plain", "done");
}

static int start(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *config,
                 void **state,
                 struct lutra_error *err)
{
    const char *address = lutra_daemon_http_address(daemon);

    (void)config;
    (void)err;
    cr_assert_str_eq(env->instance, "one");
    lutra_daemon_route(daemon, "/hello", hello, NULL);
    lutra_daemon_route(daemon, "/bus/", open_bus, NULL);
    the_daemon = daemon;
    *state = &the_daemon;
    atomic_store(&port, (unsigned)atoi(strrchr(address, ':') + 1));
    return 0;
}

static void drain(void *state, void (*drained)(void *arg), void *arg)
{
    (void)state;
    atomic_store(&drained_asked, true);
    if (former_mark != NULL) {
        lutra_mem_tree_poke(tree, "/lutra/departed/sample-one", former_mark);
    }
    if (lose_zookeeper) {
        lutra_coord_mem_expire_silently(the_daemon->env.coord);
    }
    if (finish_drain) {
        lutra_loop_post(the_daemon->loop, drained, arg);
    }
}

static char mark[1024]; /* what stood in ZooKeeper when it stopped, "" */

static void stop(void *state)
{
    const char *text = lutra_mem_tree_peek(tree, "/lutra/departed/sample-one");

    cr_assert_eq(state, &the_daemon);
    snprintf(mark, sizeof(mark), "%s", text != NULL ? text : "");
    cr_expect(lose_zookeeper || lutra_mem_tree_peek(tree, "/lutra/nodes/sample/one") != NULL,
              "the mark comes first");
    atomic_store(&stopped, true);
}

static bool ready(void *state, char *reason, size_t reason_len)
{
    (void)state;
    if (lutra_mem_tree_peek(tree, "/not-ready") != NULL) {
        snprintf(reason, reason_len, "the test says no");
        return false;
    }
    return true;
}

static const struct lutra_config_key keys[] = {LUTRA_DAEMON_CONFIG_KEYS, {0}};
static const struct lutra_service service = {
    .name = "sample",
    .description = "a sample",
    .keys = keys,
    .config_size = sizeof(struct lutra_daemon_config),
    .start = start,
    .drain = drain,
    .stop = stop,
    .ready = ready,
};

static void write_config(const char *more)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "instance: one\nzookeeper: {connect: \"z:1\"}\nkafka: {brokers: \"k:1\"}\n%s", more);
    snprintf(config_path, sizeof(config_path), "%s/sample.yaml", lutra_test_dir());
    lutra_test_write_file(config_path, text);
}

static int run(const char *more, const char *option, void *(*outside)(void *arg))
{
    char *argv[] = {"lutra-sample", "--config", config_path, (char *)(uintptr_t)option, NULL};
    pthread_t thread;
    int status;

    if (more != NULL) {
        write_config(more);
    }
    if (outside != NULL) {
        cr_assert_eq(pthread_create(&thread, NULL, outside, NULL), 0);
    }
    status = lutra_daemon_run(&service, &ports, option != NULL ? 4 : 3, argv);
    if (outside != NULL) {
        pthread_join(thread, NULL);
    }
    return status;
}

/* ---- the outside world ---- */

static uint16_t await_up(void)
{
    LUTRA_WAIT_FOR(atomic_load(&port) != 0, 10000);
    LUTRA_WAIT_FOR(lutra_http_status((uint16_t)atomic_load(&port), "/readyz") == 200, 10000);
    return (uint16_t)atomic_load(&port);
}

static json_t *seen_state;
static char seen_metrics[65536], seen_hello[64];
static int seen_health, seen_missing, seen_post;

static void *look_around(void *arg)
{
    uint16_t at = await_up();
    char *text;
    struct lutra_http_answer answer;

    (void)arg;
    seen_health = lutra_http_status(at, "/healthz");
    seen_missing = lutra_http_status(at, "/nothing");
    answer = lutra_http_call("POST", at, "/state", "{}");
    seen_post = answer.status;
    lutra_http_answer_fini(&answer);
    text = lutra_http_get(at, "/state");
    seen_state = text != NULL ? json_loads(text, 0, NULL) : NULL;
    free(text);
    text = lutra_http_get(at, "/metrics");
    snprintf(seen_metrics, sizeof(seen_metrics), "%s", text != NULL ? text : "");
    free(text);
    text = lutra_http_get(at, "/hello");
    snprintf(seen_hello, sizeof(seen_hello), "%s", text != NULL ? text : "");
    free(text);
    kill(getpid(), SIGTERM);
    return NULL;
}

Test(daemon_life, it_answers_and_a_TERM_ends_it_cleanly)
{
    cr_assert_eq(run("", NULL, look_around), 0);
    cr_assert_eq(seen_health, 200);
    cr_assert_eq(seen_missing, 404);
    cr_assert_eq(seen_post, 405);
    cr_assert_str_eq(seen_hello, "hello");
    cr_assert_not_null(seen_state);
    cr_assert_str_eq(json_string_value(json_object_get(seen_state, "service")), "sample");
    cr_assert_str_eq(json_string_value(json_object_get(seen_state, "instance")), "one");
    cr_assert_str_eq(json_string_value(json_object_get(seen_state, "coord")), "CONNECTED");
    cr_assert(json_is_array(json_object_get(seen_state, "pipelines")));
    cr_assert(strstr(seen_metrics, "lutra_build_info{"), "%s", seen_metrics);
    cr_assert(strstr(seen_metrics, "lutra_process_resident_memory_bytes "));
    cr_assert(strstr(seen_metrics, "lutra_ready 1"));
    cr_assert(atomic_load(&drained_asked));
    cr_assert(atomic_load(&stopped));
    json_decref(seen_state);
}

static struct lutra_http_answer bus_answers[7];

static void *look_at_buses(void *arg)
{
    uint16_t at = await_up();

    (void)arg;
    bus_answers[0] = lutra_http_call("GET", at, "/state", NULL);
    bus_answers[1] = lutra_http_call("GET", at, "/bus/nowhere", NULL);
    bus_answers[2] = lutra_http_call("GET", at, "/bus/far", NULL);
    LUTRA_WAIT_FOR(lutra_http_status(at, "/readyz") == 200, 10000);
    bus_answers[3] = lutra_http_call("GET", at, "/state", NULL);
    bus_answers[4] = lutra_http_call("GET", at, "/bus/down", NULL);
    LUTRA_WAIT_FOR(lutra_http_status(at, "/readyz") == 503, 10000);
    bus_answers[5] = lutra_http_call("GET", at, "/readyz", NULL);
    bus_answers[6] = lutra_http_call("GET", at, "/metrics", NULL);
    kill(getpid(), SIGTERM);
    return NULL;
}

static void expect_bus(const struct lutra_http_answer *answer, size_t n, const char *far)
{
    json_t *root = json_loads(answer->body, 0, NULL);
    json_t *buses = json_object_get(root, "buses");
    const char *state = json_string_value(json_object_get(buses, "far"));

    cr_expect_eq(json_object_size(buses), n, "%s", answer->body);
    cr_expect_str_eq(json_string_value(json_object_get(buses, "default")), "CONNECTED");
    cr_expect_str_eq(state != NULL ? state : "", far);
    json_decref(root);
}

Test(daemon_life, a_bus_is_opened_when_needed_and_named_when_away)
{
    cr_assert_eq(run("buses: {far: {brokers: \"f:1\"}}\n", NULL, look_at_buses), 0);
    expect_bus(&bus_answers[0], 1, "");
    cr_expect_eq(bus_answers[1].status, 404);
    cr_expect_str_eq(bus_answers[1].body,
                     "bus nowhere is not configured: the configuration of sample one lacks "
                     "buses.nowhere.brokers");
    cr_expect_eq(bus_answers[2].status, 200);
    expect_bus(&bus_answers[3], 2, "CONNECTED");
    cr_expect_str_eq(bus_answers[5].body, "bus far: no Kafka broker reachable of f:1\n");
    cr_expect_not_null(strstr(bus_answers[6].body, "lutra_bus_connected{bus=\"default\"} 1"));
    cr_expect_not_null(strstr(bus_answers[6].body, "lutra_bus_connected{bus=\"far\"} 0"));
    for (size_t i = 0; i < 7; i++) {
        lutra_http_answer_fini(&bus_answers[i]);
    }
}

#ifdef LUTRA_FAULTS
static struct lutra_http_answer fault_answers[4];

static void *arm_faults(void *arg)
{
    uint16_t at = await_up();

    (void)arg;
    (void)lutra_fault_hit("sample.step");
    fault_answers[0] = lutra_http_call("PUT", at, "/faults", "sample.step=error:2\n");
    fault_answers[1] = lutra_http_call("PUT", at, "/faults", "sample.step=explode");
    fault_answers[2] = lutra_http_call("POST", at, "/faults", "");
    fault_answers[3] = lutra_http_call("GET", at, "/faults", NULL);
    kill(getpid(), SIGTERM);
    return NULL;
}

Test(daemon_life, fault_points_are_armed_and_counted_over_HTTP)
{
    cr_assert_eq(run("", NULL, arm_faults), 0);
    cr_expect_eq(fault_answers[0].status, 200);
    cr_expect_eq(fault_answers[1].status, 400);
    cr_expect(strstr(fault_answers[1].body, "sample.step=explode"), "%s", fault_answers[1].body);
    cr_expect_eq(fault_answers[2].status, 405);
    cr_assert_eq(fault_answers[3].status, 200);
    json_t *told = json_loads(fault_answers[3].body, 0, NULL);
    cr_expect_str_eq(json_string_value(json_object_get(told, "armed")), "sample.step=error:2",
                     "a bad text changes nothing");
    json_t *point = json_array_get(json_object_get(told, "points"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(point, "name")), "sample.step");
    cr_expect_eq(json_integer_value(json_object_get(point, "hits")), 1);
    cr_expect_not(lutra_fault_hit("sample.step"));
    cr_expect(lutra_fault_hit("sample.step"));
    json_decref(told);
    for (size_t i = 0; i < 4; i++) {
        lutra_http_answer_fini(&fault_answers[i]);
    }
}
#endif

static void *reload_twice(void *arg)
{
    await_up();
    (void)arg;
    write_config("log: {level: debug}\nsite: elsewhere\n");
    kill(getpid(), SIGHUP);
    LUTRA_WAIT_FOR(strcmp(the_daemon->config->log_level, "debug") == 0, 10000);
    write_config("log: {level: nonsense}\n");
    kill(getpid(), SIGHUP);
    seen_health = lutra_http_status((uint16_t)atomic_load(&port), "/healthz");
    kill(getpid(), SIGTERM);
    return NULL;
}

Test(daemon_life, HUP_takes_the_log_level_and_keeps_the_rest)
{
    cr_assert_eq(run("", NULL, reload_twice), 0);
    cr_assert_eq(seen_health, 200);
}

static void *term_and_look(void *arg)
{
    uint16_t at = await_up();
    char *text;

    (void)arg;
    kill(getpid(), SIGTERM);
    LUTRA_WAIT_FOR(atomic_load(&drained_asked), 10000);
    seen_missing = lutra_http_status(at, "/readyz");
    text = lutra_http_get(at, "/healthz");
    seen_health = text != NULL ? 200 : 0;
    free(text);
    return NULL;
}

Test(daemon_life, draining_is_not_ready_and_has_a_bound)
{
    uint64_t begin_ms = lutra_test_now_ms();

    finish_drain = false;
    cr_assert_eq(run("drain_timeout: 1s\n", NULL, term_and_look), 0);
    cr_assert_geq(lutra_test_now_ms() - begin_ms, 1000);
    cr_assert_eq(seen_missing, 503);
    cr_assert_eq(seen_health, 200);
    cr_assert(atomic_load(&stopped));
}

static void *term(void *arg)
{
    await_up();
    kill(getpid(), SIGTERM);
    return arg;
}

static void expect_own_mark(void)
{
    json_t *root = json_loads(mark, 0, NULL);

    cr_assert_not_null(root, "%s", mark);
    cr_expect_str_eq(json_string_value(json_object_get(root, "service")), "sample");
    cr_expect_str_eq(json_string_value(json_object_get(root, "instance")), "one");
    cr_expect_eq(json_integer_value(json_object_get(root, "pid")), getpid());
    cr_expect_gt(json_integer_value(json_object_get(root, "started_ms")), 1);
    json_decref(root);
}

Test(daemon_life, one_that_leaves_in_order_leaves_a_mark_that_it_did)
{
    cr_assert_eq(run("", NULL, term), 0);
    expect_own_mark();
}

Test(daemon_life, the_mark_of_a_former_one_is_replaced)
{
    former_mark = "{\"service\":\"sample\",\"instance\":\"one\",\"pid\":1,\"started_ms\":1}";
    cr_assert_eq(run("", NULL, term), 0);
    expect_own_mark();
}

Test(daemon_life, without_an_answer_it_ends_unmarked_and_soon)
{
    uint64_t begin_ms;

    lose_zookeeper = true;
    begin_ms = lutra_test_now_ms();
    cr_assert_eq(run("drain_timeout: 10m\n", NULL, term), 0);
    cr_assert_lt(lutra_test_now_ms() - begin_ms, lutra_test_scaled_ms(10000));
    cr_expect_str_eq(mark, "");
}

static void *term_twice(void *arg)
{
    await_up();
    (void)arg;
    kill(getpid(), SIGTERM);
    LUTRA_WAIT_FOR(atomic_load(&drained_asked), 10000);
    kill(getpid(), SIGINT);
    return NULL;
}

Test(daemon_life, a_second_signal_ends_it_at_once, .exit_code = 1)
{
    finish_drain = false;
    run("drain_timeout: 10m\n", NULL, term_twice);
    _exit(0);
}

Test(daemon_life, what_is_refused_says_78)
{
    cr_assert_eq(run("sight: x\n", NULL, NULL), 78);
    cr_assert_eq(run("site: \"No\"\n", "--check-config", NULL), 78);
    cr_assert_eq(run("", "--check-config", NULL), 0);
    cr_assert_eq(run("", "--print-config", NULL), 0);
    cr_assert_eq(run("", "--print-keys", NULL), 0);
    cr_assert_eq(run("", "--bogus", NULL), 2);
    unlink(config_path);
    cr_assert_eq(run(NULL, NULL, NULL), 78);
}

static struct lutra_timer *fail_timer;

static void fail_cb(void *arg)
{
    struct lutra_error err = {.class = LUTRA_FATAL, .msg = "cannot go on"};

    (void)arg;
    lutra_daemon_fail(the_daemon, &err);
}

static int start_to_fail(struct lutra_daemon *daemon,
                         const struct lutra_env *env,
                         const void *config,
                         void **state,
                         struct lutra_error *err)
{
    int rc = start(daemon, env, config, state, err);

    fail_timer = lutra_timer_new(env->loop, fail_cb, NULL);
    lutra_timer_start(fail_timer, 50);
    return rc;
}

static void stop_failed(void *state)
{
    lutra_timer_free(fail_timer);
    stop(state);
}

Test(daemon_life, who_cannot_go_on_says_1)
{
    struct lutra_service failing = service;
    char *argv[] = {"lutra-sample", "--config", config_path, NULL};

    failing.start = start_to_fail;
    failing.stop = stop_failed;
    write_config("");
    cr_assert_eq(lutra_daemon_run(&failing, &ports, 3, argv), 1);
    cr_assert(atomic_load(&stopped));
    cr_expect_str_eq(mark, "", "it did not leave in order");
}
