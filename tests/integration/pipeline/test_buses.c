/* Two sites with a broker each: select, extract and transform at the source's, load at the
 * target's. Rows cross once; either broker may die; topics move from one to the other. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/http.h"
#include "support/kafka.h"
#include "support/test.h"
#include "workload.h"

static const char *const source_topics[] = {"extract", "transform", "termin"};

#define TWO_SITES "    source_site: a\n    target_site: b\n    target_bus: far\n"

static struct lutra_test_broker far;

static const char *at_sites(const char *instance)
{
    static char text[160];
    (void)snprintf(text, sizeof text, "site: %s\nbuses: {far: {brokers: \"%s\"}}\n",
                   strncmp(instance, "load", 4) == 0 ? "b" : "a", far.brokers);
    return text;
}

/* Both brokers, every service at its site, tables; the channel is not begun. */
static void two_sites(struct cluster *c, const char *pipeline)
{
    lutra_test_kafka_start();
    far = lutra_test_broker_start("far");
    cluster_start(
        c,
        &(struct cluster_options){
            .extracts = 2, .transforms = 2, .window = 8, .config = at_sites, .pipeline = pipeline});
    workload_tables(c);
}

static int partitions(struct cluster *c, const char *brokers, const char *stage)
{
    char *topic = cluster_topic(c, stage);
    int n = lutra_kafka_partitions(brokers, topic);
    free(topic);
    return n;
}

static void expect_topics_apart(struct cluster *c)
{
    const char *near = lutra_test_stack()->kafka;
    cr_expect_eq(partitions(c, near, "load"), 0, "the source's bus has a load topic");
    cr_expect_eq(partitions(c, far.brokers, "load"), 1);
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(partitions(c, near, source_topics[i]), i < 2 ? 2 : 1, "%s", source_topics[i]);
        cr_expect_eq(partitions(c, far.brokers, source_topics[i]), 0,
                     "the target's bus has a topic %s", source_topics[i]);
    }
    char *topic = cluster_topic(c, "load");
    char *retention = lutra_kafka_topic_config(far.brokers, topic, "retention.ms");
    cr_expect_str_eq(retention, "86400000");
    free(retention);
    free(topic);
}

/* How often the text stands in the payloads; small ones are not compressed. */
static int64_t occurrences(const struct lutra_kafka_messages *messages, const char *text)
{
    int64_t n = 0;
    for (size_t i = 0; i < messages->n; i++) {
        const uint8_t *at = messages->items[i].payload, *end = at + messages->items[i].len;
        while ((at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
            n++;
            at++;
        }
    }
    return n;
}

/* Every process of this epoch crossed as one message, and a row's text, written when `before` had
 * been published again, once: except what select published again since (an overloaded machine). */
static void expect_crossed_once(struct cluster *c, const char *text, int64_t before)
{
    char *topic = cluster_topic(c, "load"),
         *epoch = lutra_test_format("%" PRId64, cluster_epoch(c));
    struct lutra_kafka_messages messages = lutra_kafka_read_all(far.brokers, topic);
    int64_t again = cluster_state_int(c, &c->selects[0], "republished");
    int64_t first = INT64_MAX, last = 0, n = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < messages.n; i++) {
        const char *of = lutra_kafka_header(&messages.items[i], "lutra-epoch");
        int64_t id = strtoll(messages.items[i].key, NULL, 10);
        if (of != NULL && strcmp(of, epoch) == 0) {
            n++;
            bytes += messages.items[i].len;
            first = id < first ? id : first;
            last = id > last ? id : last;
        }
    }
    cr_expect_eq(last, cluster_state_int(c, &c->selects[0], "published"));
    cr_expect_geq(n, last - first + 1);
    cr_expect_leq(n, last - first + 1 + again,
                  "%" PRId64 " messages for processes %" PRId64 " to %" PRId64, n, first, last);
    cr_expect_geq(occurrences(&messages, text), 1);
    cr_expect_leq(occurrences(&messages, text), 1 + again - before);
    cr_log_info("%" PRId64 " messages and %zu bytes crossed for %" PRId64 " processes", n, bytes,
                last - first + 1);
    lutra_kafka_messages_fini(&messages);
    free(epoch);
    free(topic);
}

/* What it is connected to, as /state says: "default", "far" or both. */
static void expect_buses(struct lutra_test_service *service, bool with_far)
{
    char *body = lutra_http_get(service->port, "/state");
    json_t *root = body != NULL ? json_loads(body, 0, NULL) : NULL;
    const json_t *buses = json_object_get(root, "buses");
    cr_expect_eq(json_object_size(buses), with_far ? 2 : 1, "%s", service->instance);
    const char *state = json_string_value(json_object_get(buses, with_far ? "far" : "default"));
    cr_expect(state != NULL && strcmp(state, "CONNECTED") == 0, "%s: %s", service->instance, body);
    json_decref(root);
    free(body);
}

static bool load_is_committed(struct cluster *c)
{
    char *topic = cluster_topic(c, "load");
    bool is = lutra_kafka_committed(far.brokers, "lutra-load", topic, 0) ==
              lutra_kafka_end_offset(far.brokers, topic, 0);
    free(topic);
    return is;
}

Test(buses, rows_cross_once_and_each_topic_lives_on_its_bus, .timeout = 300)
{
    struct cluster c;
    struct workload w;
    two_sites(&c, TWO_SITES);
    cluster_both(&c, "CREATE TABLE told (id INT PRIMARY KEY, t VARCHAR(80))");
    cluster_go(&c);
    workload_start(&w, &c, 6, 200);
    workload_for(&w, 6000);
    workload_finish(&w);
    int64_t again = cluster_state_int(&c, &c.selects[0], "republished");
    cluster_write(&c, "INSERT INTO told VALUES (1, 'this text crosses the ocean once only')");
    cluster_sync(&c, 10000);
    cluster_equal(&c, "told");
    expect_topics_apart(&c);
    expect_crossed_once(&c, "this text crosses the ocean once only", again);
    expect_buses(&c.selects[0], true);
    expect_buses(&c.extracts[0], false);
    expect_buses(&c.transforms[0], true);
    expect_buses(&c.loads[0], true);
    LUTRA_WAIT_FOR(load_is_committed(&c), 10000);
    cr_expect_eq(cluster_ctl(&c, "stop %s --wait", c.name), 0);
    cr_expect_eq(cluster_ctl(&c, "delete %s --topics", c.name), 0);
    cr_expect_eq(partitions(&c, far.brokers, "load"), 0);
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(partitions(&c, lutra_test_stack()->kafka, source_topics[i]), 0);
    }
    cluster_end(&c);
}

static void expect_named(struct lutra_test_service *service, const char *bus)
{
    struct lutra_http_answer ready = {0};
    char *words = lutra_test_format("bus %s:", bus);
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(15000);
    for (;;) {
        ready = lutra_http_call("GET", service->port, "/readyz", NULL);
        if (ready.status == 503 && strstr(ready.body, words) != NULL) {
            break;
        }
        cr_assert(lutra_test_now_ms() < end_ms, "%s: /readyz says %d %s", service->instance,
                  ready.status, ready.body);
        lutra_http_answer_fini(&ready);
        lutra_test_poll_pause();
    }
    cr_expect_eq(lutra_http_status(service->port, "/healthz"), 200, "%s", service->instance);
    lutra_http_answer_fini(&ready);
    free(words);
}

static int64_t seen_version;

static bool moved(struct cluster *c)
{
    return lutra_sql_int(c->target, "SELECT IFNULL(MAX(v), 0) FROM versions") > seen_version;
}

/* What is written from now on arrives within this time. */
static void expect_flow(struct workload *w, uint64_t deadline_ms, const char *when)
{
    uint64_t began_ms = lutra_test_now_ms();
    workload_step(w);
    seen_version = w->n - 1;
    if (!workload_until(w, moved, deadline_ms)) {
        json_t *status = cluster_status(w->c);
        char *text = status != NULL ? json_dumps(status, JSON_INDENT(1)) : NULL;
        lutra_test_fail("nothing flows within %llu ms %s; status: %s",
                        (unsigned long long)deadline_ms, when, text != NULL ? text : "none");
    }
    cr_log_info("rows flow %llu ms %s", (unsigned long long)(lutra_test_now_ms() - began_ms), when);
}

Test(buses, either_broker_may_die_under_load, .timeout = 400)
{
    struct cluster c;
    struct workload w;
    two_sites(&c, TWO_SITES);
    cluster_go(&c);
    workload_start(&w, &c, 40, 100);
    for (unsigned round = 0; round < 4; round++) {
        bool at_target = round % 2 == 0;
        workload_for(&w, 2000);
        lutra_test_server_kill9(at_target ? "far" : "kafka", "kafka");
        workload_for(&w, 3000);
        expect_named(&c.transforms[0], at_target ? "far" : "default");
        expect_named(&c.loads[0], at_target ? "far" : "default");
        if (at_target) {
            cr_expect_eq(lutra_http_status(c.extracts[0].port, "/readyz"), 200,
                         "extract needs the source's bus only");
            lutra_test_broker_restart(&far);
        } else {
            lutra_test_kafka_restart();
        }
        expect_flow(&w, 15000,
                    at_target ? "after the target's bus is back"
                              : "after the source's bus is back");
    }
    workload_finish(&w);
    cr_assert_leq(cluster_state_int(&c, &c.selects[0], "max_in_flight"), 8,
                  "the window was exceeded");
    expect_topics_apart(&c);
    cluster_end(&c);
}

Test(buses, topics_move_with_the_definition_under_load, .timeout = 400)
{
    static const char *const places[] = {
        "    source_site: a\n    target_site: b\n    source_bus: far\n    target_bus: far\n",
        "    source_site: a\n    target_site: b\n    source_bus: far\n",
        TWO_SITES,
        "    source_site: a\n    target_site: b\n",
    };
    struct cluster c;
    struct workload w;
    two_sites(&c, TWO_SITES);
    cluster_go(&c);
    workload_start(&w, &c, 25, 200);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int64_t epoch = cluster_epoch(&c);
        workload_for(&w, 2000);
        c.options.pipeline = places[i];
        cluster_apply(&c);
        LUTRA_WAIT_FOR(cluster_epoch(&c) > epoch, 15000);
        expect_flow(&w, 15000, "after the topics have moved");
    }
    workload_finish(&w);
    cluster_await_state(&c, "RUNNING", 15000);
    /* Those of former places are left for the janitor. */
    cr_expect_eq(partitions(&c, lutra_test_stack()->kafka, "load"), 1);
    cr_expect_eq(partitions(&c, far.brokers, "extract"), 2);
    cluster_end(&c);
}

/* ---- a bus that nobody here knows ---- */

static bool tells_of_the_bus(struct cluster *c, const char *pipeline)
{
    json_t *status = cluster_status_of(c, pipeline);
    const char *reason = json_string_value(json_object_get(status, "reason"));
    const json_t *blocked = json_object_get(status, "blocked");
    unsigned told = 0;
    size_t i;
    json_t *entry;
    json_array_foreach(blocked, i, entry)
    {
        const char *class = json_string_value(json_object_get(entry, "class"));
        const char *error = json_string_value(json_object_get(entry, "error"));
        told += class != NULL && strcmp(class, "config") == 0 && error != NULL &&
                strstr(error, "bus far") != NULL && strstr(error, "buses.far.brokers") != NULL;
    }
    /* extract has all that it needs: the source's bus. */
    bool all = told == 3 && reason != NULL && strstr(reason, "buses.far.brokers") != NULL;
    json_decref(status);
    return all;
}

Test(buses, a_bus_without_configuration_is_told_and_stops_that_pipeline_only, .timeout = 200)
{
    struct cluster c;
    struct lutra_test_service *services[] = {c.selects, c.extracts, c.transforms, c.loads};
    cluster_start(&c, &(struct cluster_options){0});
    cluster_both(&c, "CREATE TABLE t (id INT PRIMARY KEY)");
    char *other = lutra_test_format("%s-far", c.name);
    char *pairs = lutra_test_format(
        "      - source: {schema: %s, table: \"*\"}\n"
        "  - name: %s\n    source: source\n    target: target\n    target_bus: far\n"
        "    pairs:\n      - source: {schema: %s_none, table: \"*\"}\n",
        c.name, other, c.name);
    c.options.pairs = pairs;
    cluster_go(&c);
    LUTRA_WAIT_FOR(tells_of_the_bus(&c, other), 20000);
    cluster_write(&c, "INSERT INTO t VALUES (1), (2)");
    cluster_sync(&c, 10000);
    cluster_equal(&c, "t");
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(lutra_http_status(services[i]->port, "/readyz"), 200, "%s",
                     services[i]->instance);
    }
    char *said = NULL;
    cr_expect_eq(cluster_ctl(&c, "stop %s --wait", c.name), 0);
    cr_expect_eq(cluster_ctl_output(&c, &said, "delete %s --topics", c.name), 1);
    cr_expect_not_null(strstr(said, "buses.far.brokers"), "%s", said);
    cr_expect_eq(cluster_ctl(&c, "delete %s", c.name), 0);
    free(said);
    free(pairs);
    free(other);
    cluster_end(&c);
}
