#include "sites.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/internal.h"
#include "support/stack.h"
#include "support/test.h"

LUTRA_TEST_OWN_SERVERS

/* Every party has its own address, so all may have the same ports. */
enum {
    HTTP_PORT = 8640,
    MARIADB_PORT = 3306,
    KAFKA_PORT = 9092,
    CONTROLLER_PORT = 9093,
    ZOOKEEPER_PORT = 2181
};

static const struct {
    const char *name;
    char site;
} about[N_PARTIES] = {
    [PARTY_SELECT] = {"select", 'a'},       [PARTY_EXTRACT] = {"extract", 'a'},
    [PARTY_TRANSFORM] = {"transform", 'a'}, [PARTY_LOAD] = {"load", 'b'},
    [PARTY_MANAGER] = {"manager", 'a'},     [PARTY_SOURCE] = {"source", 'a'},
    [PARTY_TARGET] = {"target", 'b'},       [PARTY_KAFKA_A] = {"kafka-a", 'a'},
    [PARTY_KAFKA_B] = {"kafka-b", 'b'},     [PARTY_ZOOKEEPER] = {"zookeeper", 'a'},
};

static struct sites *the_sites; /* of this test */

const char *party_name(enum party party)
{
    return about[party].name;
}

static struct lutra_netns *add_party(struct sites *s, enum party party, int instance)
{
    bool b = about[party].site == 'b';
    unsigned n = ++s->addresses[b];
    char *name = lutra_test_format("%s-%d", about[party].name, instance + 1);
    char *address = lutra_test_format("10.77.%d.%u", b ? 2 : 1, n + 1);
    struct lutra_netns *ns = lutra_netns_add_party(name, b ? s->hub_b : s->hub_a, address);
    s->parties[party][instance] = ns;
    free(name);
    free(address);
    return ns;
}

/* ---- servers ---- */

/* One call of deploy/local/lib.sh: function, folder's name, arguments. */
struct launch {
    struct lutra_netns *ns;
    const char *function, *folder, *args[5];
    pid_t pid;
};

/* In a process of its own: servers take seconds to start. */
static void launch_begin(struct launch *launch)
{
    char *folder = lutra_test_path("%s", launch->folder);
    const char *args[8] = {folder};
    for (size_t i = 0; i < 5 && launch->args[i]; i++) {
        args[i + 1] = launch->args[i];
    }
    launch->pid = fork();
    if (launch->pid == 0) {
        lutra_netns_enter(launch->ns);
        _exit(lutra_test_stack_lib(launch->function, args) == 0 ? 0 : 1);
    }
    free(folder);
}

static void launch_all(struct launch *launches, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        launch_begin(&launches[i]);
    }
    for (size_t i = 0; i < n; i++) {
        int status = -1;
        (void)waitpid(launches[i].pid, &status, 0);
        if (status != 0) {
            lutra_test_fail("%s failed", launches[i].function);
        }
    }
}

static struct lutra_test_mariadb
mariadb_of(const struct lutra_netns *ns, enum party party, const char **endpoint)
{
    struct lutra_test_mariadb server = {.port = MARIADB_PORT};
    snprintf(server.dir, sizeof server.dir, "%s/%s", lutra_test_dir(), about[party].name);
    char *socket = lutra_test_path("%s/mariadb.sock", about[party].name);
    snprintf(server.socket, sizeof server.socket, "%s", socket);
    free(socket);
    struct lutra_sql *sql = lutra_sql_open(server.socket);
    lutra_sql_exec(sql, "CREATE USER lutra; GRANT ALL ON *.* TO lutra");
    lutra_sql_close(sql);
    *endpoint = lutra_test_format("{type: mariadb, host: %s, port: %u, user: lutra}", ns->address,
                                  server.port);
    return server;
}

static void start_servers(struct sites *s)
{
    struct cluster *c = &s->c;
    struct lutra_netns *source = add_party(s, PARTY_SOURCE, 0);
    struct lutra_netns *target = add_party(s, PARTY_TARGET, 0);
    struct lutra_netns *zookeeper = add_party(s, PARTY_ZOOKEEPER, 0);
    struct lutra_netns *kafka_a = add_party(s, PARTY_KAFKA_A, 0);
    struct lutra_netns *kafka_b = s->options.one_bus ? kafka_a : add_party(s, PARTY_KAFKA_B, 0);
    char port[4][8];
    s->parties[PARTY_KAFKA_B][0] = kafka_b;
    snprintf(port[0], sizeof port[0], "%d", MARIADB_PORT);
    snprintf(port[1], sizeof port[1], "%d", ZOOKEEPER_PORT);
    snprintf(port[2], sizeof port[2], "%d", KAFKA_PORT);
    snprintf(port[3], sizeof port[3], "%d", CONTROLLER_PORT);
    char *bind_source = lutra_test_format("bind_address=%s", source->address);
    char *bind_target = lutra_test_format("bind_address=%s", target->address);
    struct launch launches[] = {
        {zookeeper, "zookeeper_start", "zookeeper", {port[1], zookeeper->address}, 0},
        {kafka_a, "kafka_start", "kafka-a", {port[2], port[3], kafka_a->address}, 0},
        {source, "mariadb_start", "source", {port[0], bind_source, "server_id=1"}, 0},
        {target, "mariadb_start", "target", {port[0], bind_target, "server_id=2"}, 0},
        {kafka_b, "kafka_start", "kafka-b", {port[2], port[3], kafka_b->address}, 0}};
    launch_all(launches, s->options.one_bus ? 4 : 5);
    /* It runs already: from here on the servers are stopped with the test. */
    lutra_test_server("zookeeper_start", "zookeeper", port[1], zookeeper->address, NULL);
    c->source_server = mariadb_of(source, PARTY_SOURCE, &c->options.source_endpoint);
    c->target_server = mariadb_of(target, PARTY_TARGET, &c->options.target_endpoint);
    free(bind_source);
    free(bind_target);
}

/* ---- services ---- */

static void
start_service(struct sites *s, enum party party, int i, struct lutra_test_service *service)
{
    struct lutra_netns *ns = add_party(s, party, i);
    const char *name = about[party].name;
    char buses[160] = "";
    *service = (struct lutra_test_service){.port = HTTP_PORT, .netns = ns};
    snprintf(service->address, sizeof service->address, "%s", ns->address);
    snprintf(service->service, sizeof service->service, "%s", name);
    snprintf(service->instance, sizeof service->instance, "%s-%d", name, i + 1);
    snprintf(service->config, sizeof service->config, "%s/%s.yaml", lutra_test_dir(),
             service->instance);
    if (!s->options.one_bus) {
        snprintf(buses, sizeof buses, "buses: {b: {brokers: \"%s:%d\"}}\n",
                 s->parties[PARTY_KAFKA_B][0]->address, KAFKA_PORT);
    }
    char *config =
        lutra_test_format("instance: %s\nsite: %c\nlog: {level: debug}\n"
                          "http: {listen: \"0.0.0.0:%d\", advertise: \"%s:%d\"}\n"
                          "zookeeper: {connect: \"%s:%d\"}\nkafka: {brokers: \"%s:%d\"}\n%s"
                          "state_dir: \"%s/%s.state\"\n",
                          service->instance, about[party].site, HTTP_PORT, ns->address, HTTP_PORT,
                          s->parties[PARTY_ZOOKEEPER][0]->address, ZOOKEEPER_PORT,
                          s->parties[PARTY_KAFKA_A][0]->address, KAFKA_PORT, buses,
                          lutra_test_dir(), service->instance);
    lutra_test_write_file(service->config, config);
    free(config);
    lutra_netns_enter(ns);
    lutra_test_service_restart(service, NULL);
    lutra_netns_enter(NULL);
}

static struct lutra_test_service *services_of(struct sites *s, enum party party)
{
    struct lutra_test_service *const services[N_PARTIES] = {[PARTY_SELECT] = s->c.selects,
                                                            [PARTY_EXTRACT] = s->c.extracts,
                                                            [PARTY_TRANSFORM] = s->c.transforms,
                                                            [PARTY_LOAD] = s->c.loads,
                                                            [PARTY_MANAGER] = s->c.managers};
    if (!services[party]) {
        lutra_test_fail("%s is no service of ours", party_name(party));
    }
    return services[party];
}

static void start_services(struct sites *s)
{
    const int wanted[] = {[PARTY_SELECT] = s->options.selects,
                          [PARTY_EXTRACT] = s->options.extracts,
                          [PARTY_TRANSFORM] = s->options.transforms,
                          [PARTY_LOAD] = s->options.loads,
                          [PARTY_MANAGER] = 1};
    for (enum party party = PARTY_SELECT; party <= PARTY_MANAGER; party++) {
        for (int i = 0; i < (wanted[party] > 0 ? wanted[party] : 1); i++) {
            start_service(s, party, i, &services_of(s, party)[i]);
        }
    }
    for (enum party party = PARTY_SELECT; party <= PARTY_MANAGER; party++) {
        for (int i = 0; i < (wanted[party] > 0 ? wanted[party] : 1); i++) {
            lutra_netns_enter(s->parties[party][i]);
            lutra_test_service_await_ready(&services_of(s, party)[i], 30000);
        }
    }
}

/* Their troubles while the servers are stopped are nobody's business. */
static void on_failure(const char *message)
{
    (void)message;
    lutra_test_on_failure(NULL);
    cluster_kill(&the_sites->c);
}

/* What a busy machine needs for a backlog in one unit is not the network's fault. */
static const char small_units[] = "    unit: {max_rows: 500}\n";

void sites_start(struct sites *s, const struct sites_options *options)
{
    *s = (struct sites){.options = *options};
    lutra_netns_need();
    the_sites = s;
    lutra_test_on_failure(on_failure);
    s->hub_a = lutra_netns_add_hub("a", "10.77.1.1");
    s->hub_b = lutra_netns_add_hub("b", "10.77.2.1");
    link_start(&s->link, s->hub_a, s->hub_b, options->seed);
    struct cluster *c = &s->c;
    char *name = lutra_test_unique("t");
    snprintf(c->name, sizeof c->name, "%s", name);
    free(name);
    start_servers(s);
    c->options.pipeline = lutra_test_format("    source_site: a\n    target_site: b\n%s%s",
                                            options->one_bus ? "" : "    target_bus: b\n",
                                            options->pipeline ? options->pipeline : small_units);
    c->source = lutra_sql_open(c->source_server.socket);
    c->target = lutra_sql_open(c->target_server.socket);
    lutra_sql_exec(c->source, "CREATE DATABASE `%s`; USE `%s`", c->name, c->name);
    lutra_sql_exec(c->target, "CREATE DATABASE `%s`; USE `%s`", c->name, c->name);
    cluster_both(c, "CREATE TABLE marker (id BIGINT PRIMARY KEY)");
    start_services(s);
    lutra_netns_enter(s->parties[PARTY_MANAGER][0]);
}

/* ---- troubles ---- */

void sites_cut(struct sites *s, enum party from, enum party to, int which)
{
    for (int i = 0; i < CLUSTER_MAX && s->parties[from][i]; i++) {
        for (int k = 0; k < CLUSTER_MAX && s->parties[to][k]; k++) {
            /* "One instance" means the side that has several. */
            bool chosen = which < 0 || i == which || k == which;
            if (which >= 0 && s->parties[from][1]) {
                chosen = i == which;
            } else if (which >= 0 && s->parties[to][1]) {
                chosen = k == which;
            }
            if (chosen) {
                lutra_netns_cut(s->parties[from][i], s->parties[to][k]);
            }
        }
    }
}

void sites_heal(struct sites *s)
{
    link_rules(&s->link, "both", "clear");
    lutra_netns_heal_all();
}

/* ---- looking ---- */

json_t *sites_state(struct sites *s, enum party party, int instance)
{
    const struct lutra_netns *before = lutra_netns_current();
    lutra_netns_enter(s->parties[party][instance]);
    json_t *state = cluster_state_of(&s->c, &services_of(s, party)[instance]);
    lutra_netns_enter(before);
    return state;
}

int sites_owner(struct sites *s, enum party party)
{
    int owner = -1;
    for (int i = 0; i < CLUSTER_MAX && s->parties[party][i]; i++) {
        json_t *state = sites_state(s, party, i);
        if (json_is_true(json_object_get(state, "owner"))) {
            owner = i;
        }
        json_decref(state);
    }
    return owner;
}

uint64_t sites_topic_bytes(struct sites *s, const char *stage)
{
    bool at_b = !s->options.one_bus && strcmp(stage, "load") == 0;
    char *folder = lutra_test_path("%s/data", about[at_b ? PARTY_KAFKA_B : PARTY_KAFKA_A].name);
    char *prefix = lutra_test_format("lutra.%s.%s-", s->c.name, stage);
    uint64_t bytes = 0;
    DIR *data = opendir(folder);
    struct dirent *entry;
    cr_assert_not_null(data, "%s", folder);
    while ((entry = readdir(data))) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) {
            continue;
        }
        char *name = lutra_test_format("%s/%s/00000000000000000000.log", folder, entry->d_name);
        struct stat st;
        if (stat(name, &st) == 0) {
            bytes += (uint64_t)st.st_size;
        }
        free(name);
    }
    closedir(data);
    free(prefix);
    free(folder);
    return bytes;
}

void sites_end(struct sites *s)
{
    lutra_sql_close(s->c.source);
    lutra_sql_close(s->c.target);
}
