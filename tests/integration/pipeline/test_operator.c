/* What an operator sees and does: lutractl, the services' HTTP, Kafka's own tools, the programs'
 * options; and what nobody may see. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "scan.h"
#include "support/http.h"
#include "support/kafka.h"
#include "support/test.h"
#include "workload.h"

/* ---- lutractl ---- */

static json_t *json_of(struct cluster *c, const char *command)
{
    char *output = NULL;
    json_error_t error;
    cr_assert_eq(cluster_ctl_output(c, &output, "%s", command), 0, "%s: %s", command, output);
    json_t *root = json_loads(output, 0, &error);
    cr_assert_not_null(root, "%s is no JSON (%s): %s", command, error.text, output);
    free(output);
    return root;
}

static void expect_keys(const json_t *object, const char *what, const char *const *keys)
{
    for (; *keys != NULL; keys++) {
        cr_expect_not_null(json_object_get(object, *keys), "%s lacks \"%s\"", what, *keys);
    }
}

/* A definition with one line replaced; refused with `place` and every word. */
static void expect_mistake(
    struct cluster *c, const char *yaml, const char *place, const char *word, const char *right)
{
    char *path = lutra_test_path("mistake.yaml");
    char *at = lutra_test_format("mistake.yaml:%s: ", place);
    char *output = NULL;
    lutra_test_write_file(path, yaml);
    cr_expect_eq(cluster_ctl_output(c, &output, "apply -f %s", path), 78, "%s", output);
    cr_expect_not_null(strstr(output, at), "not at %s: %s", place, output);
    cr_expect_not_null(strstr(output, word), "no word of %s: %s", word, output);
    cr_expect_not_null(strstr(output, right), "does not say what would be right (%s): %s", right,
                       output);
    free(output);
    free(path);
    free(at);
}

#define SOURCES                                                \
    "sources:\n"                                               \
    "  frankfurt: {type: mariadb, socket: /x/s, user: root}\n" \
    "  dublin: {type: mariadb, socket: /x/t, user: root}\n"

static void expect_usage(struct cluster *c, const char *command, const char *word)
{
    char *output = NULL;
    cr_expect_eq(cluster_ctl_output(c, &output, "%s", command), 2, "%s: %s", command, output);
    cr_expect_not_null(strstr(output, word), "%s: %s", command, output);
    free(output);
}

static void expect_exit(struct cluster *c, int status, const char *command)
{
    char *output = NULL;
    int got = cluster_ctl_output(c, &output, "%s", command);
    cr_expect_eq(got, status, "%s: %d, not %d: %s", command, got, status, output);
    cr_expect_gt(strlen(output), 0, "%s says nothing", command);
    free(output);
}

Test(operator, mistakes_are_told_with_file_line_column_and_what_would_be_right, .timeout = 60)
{
    struct cluster c = {0}; /* no manager is needed to see a mistake */
    (void)lutra_test_stack();
    expect_mistake(&c,
                   "channel: orders\n" SOURCES "pipelines:\n"
                   "  - source: frankfurt\n"
                   "    target: dublin\n"
                   "    pears:\n"
                   "      - source: {schema: shop, table: t}\n",
                   "8:5", "pears", "pairs");
    expect_mistake(&c,
                   "channel: orders\n" SOURCES "pipelines:\n"
                   "  - source: frankfurd\n"
                   "    target: dublin\n"
                   "    pairs:\n"
                   "      - source: {schema: shop, table: t}\n",
                   "6:13", "frankfurd", "frankfurt");
    expect_mistake(&c,
                   "channel: orders\n" SOURCES "pipelines:\n"
                   "  - source: frankfurt\n"
                   "    target: dublin\n"
                   "    window: many\n"
                   "    pairs:\n"
                   "      - source: {schema: shop, table: t}\n",
                   "8:13", "many", "1024");
    expect_mistake(&c,
                   "channel: orders\n" SOURCES "pipelines:\n"
                   "  - source: frankfurt\n"
                   "    target: dublin\n"
                   "    balance: roundrobin\n"
                   "    pairs:\n"
                   "      - source: {schema: shop, table: t}\n",
                   "8:14", "roundrobin", "round-robin");
    expect_mistake(&c, "channel: orders\nsources: [frankfurt\n", "3:1", "", "");
    expect_usage(&c, "statsu", "did you mean status?");
    expect_usage(&c, "status --wach", "did you mean --watch?");
    expect_usage(&c, "start", "CHANNEL");
    expect_usage(&c, "apply", "-f");
    expect_usage(&c, "recover orders --by \xff", "--by: expected UTF-8");
    expect_usage(&c, "start orders --by \xff", "--by: expected UTF-8");
    expect_exit(&c, 69, "status"); /* nobody listens there */
    expect_exit(&c, 69, "start orders");
    expect_exit(&c, 0, "--help");
    expect_exit(&c, 0, "--version");
    static const char *const verbs[] = {"apply",    "get",     "status", "start",  "pause", "stop",
                                        "rollback", "restart", "lag",    "delete", NULL};
    for (size_t i = 0; verbs[i] != NULL; i++) {
        char *command = lutra_test_format("%s --help", verbs[i]);
        expect_exit(&c, 0, command);
        free(command);
    }
}

Test(operator, without_a_leader_commands_say_to_try_again, .timeout = 60)
{
    struct cluster c;
    lutra_test_zookeeper_start();
    cluster_start(&c, &(struct cluster_options){
                          .selects = -1, .extracts = -1, .transforms = -1, .loads = -1});
    expect_exit(&c, 1, "start nothing-of-that-name");
    lutra_test_server_kill9("zookeeper", "zookeeper");
    LUTRA_WAIT_FOR(lutra_http_status(c.managers[0].port, "/readyz") == 503, 10000);
    expect_exit(&c, 75, "start orders");
    cr_assert_eq(lutra_http_status(c.managers[0].port, "/healthz"), 200,
                 "health depends on ZooKeeper");
    cluster_end(&c);
}

/* ---- what commands print ---- */

static void check_status(struct cluster *c)
{
    static const char *const keys[] = {
        "pipeline",   "channel",        "state",      "reason",     "desired",    "control",
        "epoch",      "owners",         "instances",  "position",   "process",    "fence_pending",
        "lag_ms",     "lag_p50_ms",     "lag_p99_ms", "lag_method", "rows_per_s", "rows_total",
        "last_error", "config_version", NULL};
    static const char *const process[] = {"published", "consumed",  "applied", "in_flight",
                                          "extract",   "transform", "load",    NULL};
    static const char *const position[] = {"read", "acknowledged", "applied", NULL};
    char *command = lutra_test_format("status %s -o json", c->name);
    json_t *root = json_of(c, command);
    json_t *pipeline = json_array_get(json_object_get(root, "pipelines"), 0);
    expect_keys(pipeline, "the pipeline's status", keys);
    expect_keys(json_object_get(pipeline, "process"), "process", process);
    expect_keys(json_object_get(pipeline, "position"), "position", position);
    cr_expect_str_eq(json_string_value(json_object_get(pipeline, "state")), "RUNNING");
    json_t *owners = json_object_get(pipeline, "owners");
    cr_expect_str_eq(json_string_value(json_object_get(owners, "select")), "select-1");
    cr_expect_str_eq(json_string_value(json_object_get(owners, "load")), "load-1");
    json_t *instances = json_object_get(pipeline, "instances");
    cr_expect_eq(json_array_size(json_object_get(instances, "extract")), 2);
    cr_expect_eq(json_array_size(json_object_get(instances, "transform")), 2);
    json_decref(root);
    free(command);
    root = json_of(c, "status -o json");
    cr_expect_eq(json_array_size(json_object_get(root, "managers")), 2);
    cr_expect_eq(json_array_size(json_object_get(root, "nodes")), 8);
    cr_expect_eq(json_array_size(json_object_get(root, "channels")), 1);
    json_decref(root);
}

static void check_get_and_lag(struct cluster *c)
{
    static const char *const keys[] = {"pipeline",   "lag_ms", "lag_p50_ms", "lag_p99_ms",
                                       "lag_method", "stages", NULL};
    char *command = lutra_test_format("get %s -o json", c->name);
    json_t *root = json_of(c, command);
    cr_expect_str_eq(json_string_value(json_object_get(root, "channel")), c->name);
    cr_expect_eq(json_integer_value(json_object_get(root, "version")), 1);
    json_decref(root);
    free(command);
    root = json_of(c, "get -o json");
    json_decref(root);
    root = json_of(c, "lag -o json");
    expect_keys(json_array_get(json_object_get(root, "pipelines"), 0), "lag", keys);
    json_decref(root);

    /* What get prints, apply takes back, and nothing changes. */
    char *yaml = NULL, *output = NULL, *path = lutra_test_path("again.yaml");
    cr_assert_eq(cluster_ctl_output(c, &yaml, "get %s", c->name), 0);
    lutra_test_write_file(path, yaml);
    cr_expect_eq(cluster_ctl_output(c, &output, "apply -f %s", path), 0, "%s", output);
    cr_expect_not_null(strstr(output, "unchanged"), "%s", output);
    free(output);
    free(yaml);
    free(path);
}

static void check_exit_codes(struct cluster *c)
{
    char *output = NULL;
    cr_expect_eq(cluster_ctl(c, "status --exit-code"), 0);
    cr_expect_eq(cluster_ctl_output(c, &output, "delete %s", c->name), 1);
    cr_expect_not_null(strstr(output, "stop"), "it does not say what to do: %s", output);
    free(output);
    cr_expect_eq(cluster_ctl(c, "status no-such-channel"), 1);
    cr_assert_eq(cluster_ctl(c, "pause %s --wait 20s", c->name), 0);
    cr_expect_eq(cluster_ctl(c, "status %s --exit-code", c->name), 10);
    cr_assert_eq(cluster_ctl(c, "start %s --wait 20s", c->name), 0);
}

/* The manager that does not lead answers reads, and sends who writes to the one that does. */
static void check_follower(struct cluster *c)
{
    unsigned redirects = 0;
    char *path = lutra_test_format("/v1/channels/%s/start", c->name);
    for (int i = 0; i < 2; i++) {
        uint16_t port = c->managers[i].port;
        cr_expect_eq(lutra_http_status(port, "/v1/status"), 200);
        struct lutra_http_answer answer =
            lutra_http_call("POST", port, path, "{\"by\": \"a test\"}");
        if (answer.status == 307) {
            char *leader =
                lutra_test_format("http://127.0.0.1:%u%s", c->managers[1 - i].port, path);
            cr_expect_str_eq(answer.location, leader);
            free(leader);
            redirects++;
        } else {
            cr_expect_eq(answer.status, 200, "%s", answer.body);
        }
        lutra_http_answer_fini(&answer);
    }
    cr_expect_eq(redirects, 1);
    free(path);
}

static void check_deletion(struct cluster *c)
{
    char *topic = cluster_topic(c, "extract");
    cr_assert_eq(cluster_ctl(c, "stop %s --wait 40s", c->name), 0);
    cr_assert_eq(cluster_ctl(c, "delete %s --topics", c->name), 0);
    cr_expect_eq(cluster_ctl(c, "status %s", c->name), 1);
    LUTRA_WAIT_FOR(lutra_kafka_partitions(lutra_test_stack()->kafka, topic) == 0, 10000);
    cr_expect_eq(lutra_sql_int(c->target, "SELECT COUNT(*) FROM marker"), c->marker,
                 "the target's rows went with it");
    free(topic);
}

static void change_definition(struct cluster *c)
{
    static char pairs[512];
    int64_t epoch = cluster_epoch(c);
    cr_assert_eq(lutra_sql_int(c->target, "SELECT COUNT(*) FROM later"), 0);
    (void)snprintf(pairs, sizeof pairs,
                   "      - source: {schema: %s, table: t}\n"
                   "      - source: {schema: %s, table: later}\n"
                   "      - source: {schema: %s, table: marker}\n",
                   c->name, c->name, c->name);
    c->options.pairs = pairs;
    cluster_apply(c);
    LUTRA_WAIT_FOR(cluster_epoch(c) > epoch, 20000);
    cluster_await_state(c, "RUNNING", 20000);
    cluster_write(c, "INSERT INTO later VALUES (2)");
    cluster_sync(c, 20000);
    cr_expect_eq(lutra_sql_int(c->target, "SELECT MAX(id) FROM later"), 2);
    cr_expect_eq(lutra_sql_int(c->target, "SELECT COUNT(*) FROM later"), 1,
                 "what was written before its pair was there arrived too");
}

Test(operator, lutractl_tells_and_does_what_it_says, .timeout = 180)
{
    struct cluster c;
    static char pairs[256];
    cluster_start(&c, &(struct cluster_options){.extracts = 2, .transforms = 2, .managers = 2});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE later (id INT PRIMARY "
                     "KEY)");
    (void)snprintf(pairs, sizeof pairs,
                   "      - source: {schema: %s, table: t}\n"
                   "      - source: {schema: %s, table: marker}\n",
                   c.name, c.name);
    c.options.pairs = pairs;
    cluster_go(&c);
    cluster_write(&c, "INSERT INTO t SELECT seq FROM seq_1_to_500; INSERT INTO later VALUES (1)");
    cluster_sync(&c, 20000);
    check_status(&c);
    check_get_and_lag(&c);
    check_follower(&c);
    check_exit_codes(&c);
    change_definition(&c);
    cluster_equal(&c, "t");
    check_deletion(&c);
    cluster_end(&c);
}

/* ---- Kafka, as its own tools show it ---- */

static bool reached_the_end(const char *group, const char *topic)
{
    const char *brokers = lutra_test_stack()->kafka;
    int partitions = lutra_kafka_partitions(brokers, topic);
    for (int i = 0; i < partitions; i++) {
        int64_t end = lutra_kafka_end_offset(brokers, topic, i);
        if (end != 0 && lutra_kafka_committed(brokers, group, topic, i) != end) {
            return false;
        }
    }
    return partitions > 0;
}

static void check_topic(const char *topic, int partitions, const char *retention_ms)
{
    const char *const settings[][2] = {{"cleanup.policy", "delete"},
                                       {"max.message.bytes", "8388608"},
                                       {"retention.ms", retention_ms}};
    cr_expect_eq(lutra_kafka_partitions(lutra_test_stack()->kafka, topic), partitions, "%s", topic);
    for (size_t i = 0; i < 3; i++) {
        char *value = lutra_kafka_topic_config(lutra_test_stack()->kafka, topic, settings[i][0]);
        cr_expect_str_eq(value, settings[i][1], "%s: %s is %s", topic, settings[i][0], value);
        free(value);
    }
}

Test(operator, topics_are_made_as_documented_and_groups_show_true_lag, .timeout = 120)
{
    static const char *const stages[][2] = {{"extract", "lutra-extract"},
                                            {"transform", "lutra-transform"},
                                            {"load", "lutra-load"},
                                            {"termin", "lutra-select"}};
    struct cluster c;
    cluster_start(&c, &(struct cluster_options){0});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY)");
    cluster_go(&c);
    for (int i = 1; i <= 50; i++) {
        cluster_write(&c, "INSERT INTO t VALUES (%d)", i);
    }
    cluster_sync(&c, 20000);
    for (size_t i = 0; i < 4; i++) {
        char *topic = cluster_topic(&c, stages[i][0]);
        check_topic(topic, i < 2 ? 2 : 1, i < 3 ? "86400000" : "3600000");
        LUTRA_WAIT_FOR(reached_the_end(stages[i][1], topic), 10000);
        free(topic);
    }
    /* A stage that does not work shows as lag, and only there. */
    lutra_proc_freeze(c.transforms[0].proc);
    cluster_write(&c, "INSERT INTO t VALUES (1000)");
    char *transform = cluster_topic(&c, "transform"), *load = cluster_topic(&c, "load");
    LUTRA_WAIT_FOR(!reached_the_end("lutra-transform", transform), 10000);
    LUTRA_WAIT_FOR(reached_the_end("lutra-load", load), 10000);
    lutra_proc_thaw(c.transforms[0].proc);
    cluster_sync(&c, 20000);
    cluster_equal(&c, "t");
    LUTRA_WAIT_FOR(reached_the_end("lutra-transform", transform), 10000);
    free(transform);
    free(load);
    cluster_end(&c);
}

/* ---- the services' own HTTP; signals; secrets ---- */

static void check_http(struct cluster *c, struct lutra_test_service *service)
{
    static const char *const common[] = {"service",    "instance", "site", "version",
                                         "started_ms", "coord",    "bus",  NULL};
    cr_expect_eq(lutra_http_status(service->port, "/healthz"), 200, "%s", service->instance);
    cr_expect_eq(lutra_http_status(service->port, "/readyz"), 200, "%s", service->instance);
    cr_expect_eq(lutra_http_status(service->port, "/no-such-path"), 404, "%s", service->instance);
    char *body = lutra_http_get(service->port, "/state");
    json_t *root = body != NULL ? json_loads(body, 0, NULL) : NULL;
    cr_assert_not_null(root, "%s: /state: %s", service->instance, body);
    expect_keys(root, service->instance, common);
    json_decref(root);
    free(body);
    body = lutra_http_get(service->port, "/metrics");
    cr_assert_not_null(body, "%s has no metrics", service->instance);
    cr_expect_gt(scan_metrics(service->instance, body), 10, "%s", service->instance);
    cr_expect_not_null(strstr(body, "lutra_ready 1\n"), "%s", service->instance);
    free(body);
    (void)c;
}

static void
check_state(struct cluster *c, struct lutra_test_service *service, const char *const *keys)
{
    static const char *const common[] = {"pipeline", "state", "epoch", "last_error", NULL};
    json_t *entry = cluster_state_of(c, service);
    cr_assert_not_null(entry, "%s knows nothing of the pipeline", service->instance);
    expect_keys(entry, service->instance, common);
    expect_keys(entry, service->instance, keys);
    json_decref(entry);
}

static void check_states(struct cluster *c)
{
    static const char *const select[] = {
        "owner",       "read",   "acknowledged",  "published", "consumed",        "applied",
        "in_flight",   "window", "max_in_flight", "rows_read", "events_filtered", "ddl_passed",
        "republished", NULL};
    static const char *const stage[] = {"done", "in_hand", "last_process_id", "stale", "held",
                                        "rows", NULL};
    static const char *const load[] = {
        "owner",      "fence",      "position",   "process_id",   "buffered",   "units",  "rows",
        "inserted",   "updated",    "deleted",    "stale",        "duplicates", "fenced", "lag_ms",
        "lag_p50_ms", "lag_p99_ms", "rows_per_s", "max_buffered", NULL};
    check_state(c, &c->selects[0], select);
    check_state(c, &c->extracts[0], stage);
    check_state(c, &c->transforms[0], stage);
    check_state(c, &c->loads[0], load);
    cr_expect_eq(cluster_state_int(c, &c->loads[0], "inserted"), 102);
    cr_expect_eq(cluster_state_int(c, &c->loads[0], "updated"), 10);
    cr_expect_eq(cluster_state_int(c, &c->loads[0], "deleted"), 5);
    cr_expect_eq(cluster_state_int(c, &c->selects[0], "rows_read"), 117);
}

/* SIGTERM under load, one after the other; each leaves with 0 within seconds. */
static void check_sigterm(struct cluster *c, struct lutra_test_service **services, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cluster_write(c, "INSERT INTO t SELECT seq + %zu, 'term' FROM seq_1_to_100",
                      1000 * (i + 1));
        uint64_t began_ms = lutra_test_now_ms();
        cr_expect_eq(lutra_proc_terminate(services[i]->proc, 15000), 0, "%s",
                     services[i]->instance);
        uint64_t took_ms = lutra_test_now_ms() - began_ms;
        cr_log_info("%s took %llu ms to stop", services[i]->instance, (unsigned long long)took_ms);
        cr_expect_lt(took_ms, 6000, "%s took %llu ms", services[i]->instance,
                     (unsigned long long)took_ms);
        cluster_restart(c, services[i]);
    }
    for (size_t i = 0; i < n; i++) {
        lutra_test_service_await_ready(services[i], 20000);
    }
    cluster_sync(c, 30000);
    cluster_equal(c, "t");
}

static char *tcp_user(struct lutra_sql *sql,
                      const struct lutra_test_mariadb *server,
                      const char *user,
                      const char *password,
                      const char *where)
{
    lutra_sql_exec(sql,
                   "CREATE OR REPLACE USER '%s'@'127.0.0.1' IDENTIFIED BY '%s';"
                   "GRANT ALL ON *.* TO '%s'@'127.0.0.1'",
                   user, password, user);
    return lutra_test_format("{type: mariadb, host: 127.0.0.1, port: %u, user: %s, %s}",
                             server->port, user, where);
}

Test(operator, every_service_answers_leaves_when_told_and_keeps_its_secrets, .timeout = 180)
{
    static const char file_secret[] = "canary-of-the-file-7f3a",
                      env_secret[] = "canary-of-env-9b1c";
    static const char *const env[] = {"CANARY=canary-of-env-9b1c", NULL};
    struct cluster c;
    cluster_start(&c, &(struct cluster_options){.env = env});
    char *password = lutra_test_path("canary.password");
    char *where = lutra_test_format("password_file: %s", password);
    lutra_test_write_file(password, "canary-of-the-file-7f3a\n");
    char *source = tcp_user(c.source, &c.source_server, c.name, file_secret, where);
    char *target = tcp_user(c.target, &c.target_server, c.name, env_secret, "password_env: CANARY");
    c.options.source_endpoint = source;
    c.options.target_endpoint = target;
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))");
    cluster_go(&c);
    cluster_write(&c, "INSERT INTO t SELECT seq, 'x' FROM seq_1_to_100");
    cluster_write(&c, "UPDATE t SET v = 'y' WHERE id <= 10; DELETE FROM t WHERE id > 95");
    cluster_write(&c, "INSERT INTO t VALUES (999, 'z')");
    cluster_sync(&c, 20000);
    cluster_equal(&c, "t");
    struct lutra_test_service *services[] = {&c.selects[0], &c.extracts[0], &c.transforms[0],
                                             &c.loads[0], &c.managers[0]};
    for (size_t i = 0; i < 5; i++) {
        check_http(&c, services[i]);
    }
    check_states(&c);
    check_sigterm(&c, services, 5);
    /* A wrong password is told, and not shown. */
    lutra_sql_exec(c.source, "SET PASSWORD FOR '%s'@'127.0.0.1' = PASSWORD('another')", c.name);
    cr_assert_eq(cluster_ctl(&c, "restart %s --reason test", c.name), 0);
    free(cluster_await_refusal(&c, c.name, NULL));
    for (size_t i = 0; i < 5; i++) {
        const char *const secrets[] = {file_secret, env_secret};
        for (size_t k = 0; k < 2; k++) {
            scan_http(&c, services[i], secrets[k]);
            scan_command_line(services[i], secrets[k]);
        }
    }
    scan_znodes(file_secret);
    scan_znodes(env_secret);
    scan_files(file_secret, password);
    scan_files(env_secret, password);
    lutra_sql_exec(c.source, "DROP USER '%s'@'127.0.0.1'", c.name);
    lutra_sql_exec(c.target, "DROP USER '%s'@'127.0.0.1'", c.name);
    free(source);
    free(target);
    free(where);
    free(password);
    cluster_end(&c);
}

/* ---- the programs by themselves ---- */

static int run_program(const char *program, const char *option, const char *value, char **output)
{
    static unsigned n;
    const char *const argv[] = {program, option, value, value != NULL ? "--check-config" : NULL,
                                NULL};
    char *name = lutra_test_format("program-%u", ++n);
    struct lutra_proc *proc = lutra_proc_start(name, argv, NULL);
    int status = lutra_proc_wait(proc, 10000);
    *output = lutra_test_read_file(proc->log);
    free(name);
    return status;
}

static void expect_program(
    const char *program, const char *option, const char *value, int status, const char *word)
{
    char *output = NULL;
    cr_expect_eq(run_program(program, option, value, &output), status, "%s %s: %s", program, option,
                 output);
    cr_expect_not_null(strstr(output, word), "%s %s lacks \"%s\": %s", program, option, word,
                       output);
    free(output);
}

Test(operator, programs_check_their_configuration_and_explain_themselves, .timeout = 60)
{
    static const char *const programs[] = {"lutra-select", "lutra-extract", "lutra-transform",
                                           "lutra-load",   "lutra-manager", NULL};
    char *good = lutra_test_path("good.yaml"), *bad = lutra_test_path("bad.yaml");
    lutra_test_write_file(good, "zookeeper: {connect: \"127.0.0.1:2181\"}\n"
                                "kafka: {brokers: \"127.0.0.1:9092\"}\n");
    lutra_test_write_file(bad, "zookeeper:\n  conect: \"127.0.0.1:2181\"\n"
                               "kafka: {brokers: \"127.0.0.1:9092\"}\n");
    for (size_t i = 0; programs[i] != NULL; i++) {
        expect_program(programs[i], "--version", NULL, 0, programs[i]);
        expect_program(programs[i], "--help", NULL, 0, "--check-config");
        expect_program(programs[i], "--chek-config", NULL, 2, "did you mean --check-config?");
        expect_program(programs[i], "--config", good, 0, "valid");
        expect_program(programs[i], "--config", bad, 78, "bad.yaml:2:3: ");
        expect_program(programs[i], "--config", bad, 78, "connect");
        expect_program(programs[i], "--config", "/no/such/file.yaml", 78, "/no/such/file.yaml");
    }
    free(good);
    free(bad);
}
