#include "cluster.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/http.h"
#include "support/proc.h"
#include "support/test.h"
#include "support/zk.h"

static int instances(int n)
{
    return n == 0 ? 1 : n < 0 ? 0 : n;
}

static void
service_start(struct cluster *c, struct lutra_test_service *services, const char *name, int n)
{
    for (int i = 0; i < instances(n); i++) {
        char *instance = lutra_test_format("%s-%d", name, i + 1);
        char *fault = NULL;
        const char *env[16];
        size_t n_env = 0;
        size_t len = strlen(name);
        for (const char *const *f = c->options.faults; i == 0 && f != NULL && *f != NULL; f++) {
            if (strncmp(*f, name, len) == 0 && (*f)[len] == ':') {
                fault = lutra_test_format("LUTRA_TEST_FAULTS=%s", *f + len + 1);
            }
        }
        for (const char *const *e = c->options.env; e != NULL && *e != NULL && n_env < 14; e++) {
            env[n_env++] = *e;
        }
        env[n_env++] = fault; /* or the end */
        env[n_env] = NULL;
        const struct lutra_netns *here = lutra_netns_current();
        if (c->options.place != NULL) {
            lutra_netns_enter(c->options.place(instance));
        }
        lutra_test_service_start(&services[i], name, instance,
                                 c->options.config != NULL ? c->options.config(instance) : NULL,
                                 env);
        lutra_netns_enter(here);
        free(instance);
        free(fault);
    }
}

static void services_await(struct lutra_test_service *services, int n)
{
    for (int i = 0; i < instances(n); i++) {
        lutra_test_service_await_ready(&services[i], 30000);
    }
}

void cluster_start(struct cluster *c, const struct cluster_options *options)
{
    const struct lutra_test_stack *stack = lutra_test_stack();
    *c = (struct cluster){.options = *options};
    char *name = lutra_test_unique("t");
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    free(name);
    c->source_server = options->source != NULL ? *options->source : stack->source;
    c->target_server = options->target != NULL ? *options->target : stack->target;
    c->source = lutra_sql_open(c->source_server.socket);
    c->target = lutra_sql_open(c->target_server.socket);
    lutra_sql_exec(c->source, "CREATE DATABASE `%s`; USE `%s`", c->name, c->name);
    lutra_sql_exec(c->target, "CREATE DATABASE `%s`; USE `%s`", c->name, c->name);
    cluster_both(c, "CREATE TABLE marker (id BIGINT PRIMARY KEY)");
    service_start(c, c->managers, "manager", options->managers);
    service_start(c, c->selects, "select", options->selects);
    service_start(c, c->extracts, "extract", options->extracts);
    service_start(c, c->transforms, "transform", options->transforms);
    service_start(c, c->loads, "load", options->loads);
    services_await(c->managers, options->managers);
    services_await(c->selects, options->selects);
    services_await(c->extracts, options->extracts);
    services_await(c->transforms, options->transforms);
    services_await(c->loads, options->loads);
}

void cluster_both(struct cluster *c, const char *format, ...)
{
    char *sql;
    va_list ap;
    va_start(ap, format);
    cr_assert(vasprintf(&sql, format, ap) >= 0);
    va_end(ap);
    lutra_sql_exec(c->source, "%s", sql);
    lutra_sql_exec(c->target, "%s", sql);
    free(sql);
}

void cluster_write(struct cluster *c, const char *format, ...)
{
    char *sql;
    va_list ap;
    va_start(ap, format);
    cr_assert(vasprintf(&sql, format, ap) >= 0);
    va_end(ap);
    lutra_sql_exec(c->source, "%s", sql);
    free(sql);
}

/* Takes the line. Its output is in a log of its own. */
static struct lutra_proc *ctl_start(struct cluster *c, char *line)
{
    char ports[96] = "127.0.0.1:1"; /* nobody */
    int used = 0;
    for (int i = 0; i < CLUSTER_MAX && c->managers[i].port != 0; i++) {
        used += snprintf(ports + used, sizeof ports - (size_t)used, "%s%s:%u", i > 0 ? "," : "",
                         c->managers[i].address, c->managers[i].port);
    }
    const char *argv[32] = {"lutractl", "--manager", ports};
    size_t n = 3;
    char *save = NULL;
    for (char *word = strtok_r(line, " ", &save); word != NULL && n < 31;
         word = strtok_r(NULL, " ", &save)) {
        argv[n++] = word;
    }
    char *name = lutra_test_format("lutractl-%u", ++c->n_ctl);
    struct lutra_proc *proc = lutra_proc_start(name, argv, NULL);
    free(name);
    free(line);
    return proc;
}

static int ctl(struct cluster *c, char *line, char **output)
{
    struct lutra_proc *proc = ctl_start(c, line);
    int status = lutra_proc_wait(proc, 60000);
    if (output != NULL) {
        *output = lutra_test_read_file(proc->log);
    }
    return status;
}

struct lutra_proc *cluster_ctl_start(struct cluster *c, const char *format, ...)
{
    char *line;
    va_list ap;
    va_start(ap, format);
    cr_assert(vasprintf(&line, format, ap) >= 0);
    va_end(ap);
    return ctl_start(c, line);
}

int cluster_ctl(struct cluster *c, const char *format, ...)
{
    char *line;
    va_list ap;
    va_start(ap, format);
    cr_assert(vasprintf(&line, format, ap) >= 0);
    va_end(ap);
    return ctl(c, line, NULL);
}

int cluster_ctl_output(struct cluster *c, char **output, const char *format, ...)
{
    char *line;
    va_list ap;
    va_start(ap, format);
    cr_assert(vasprintf(&line, format, ap) >= 0);
    va_end(ap);
    return ctl(c, line, output);
}

static void endpoint_yaml(
    char *out, size_t size, const char *name, const char *given, const struct lutra_test_mariadb *s)
{
    if (given != NULL) {
        (void)snprintf(out, size, "  %s: %s\n", name, given);
    } else {
        (void)snprintf(out, size, "  %s: {type: mariadb, socket: %s, user: root}\n", name,
                       s->socket);
    }
}

void cluster_apply(struct cluster *c)
{
    char source[512], target[512], pairs[256];
    const struct cluster_options *o = &c->options;
    endpoint_yaml(source, sizeof source, "source", o->source_endpoint, &c->source_server);
    endpoint_yaml(target, sizeof target, "target", o->target_endpoint, &c->target_server);
    (void)snprintf(pairs, sizeof pairs, "      - source: {schema: %s, table: \"*\"}\n", c->name);
    char *yaml = lutra_test_format(
        "channel: %s\n%ssources:\n%s%spipelines:\n  - name: %s\n"
        "    source: source\n    target: target\n    start: %s\n"
        "    window: %u\n    partitions: 2\n%s    pairs:\n%s",
        c->name, o->channel != NULL ? o->channel : "", source, target, c->name,
        o->start != NULL ? o->start : "current", o->window > 0 ? o->window : 32,
        o->pipeline != NULL ? o->pipeline : "", o->pairs != NULL ? o->pairs : pairs);
    char *path = lutra_test_path("channel.yaml");
    lutra_test_write_file(path, yaml);
    if (cluster_ctl(c, "apply -f %s", path) != 0) {
        lutra_test_fail("lutractl apply failed");
    }
    free(path);
    free(yaml);
}

void cluster_begin(struct cluster *c)
{
    cluster_apply(c);
    if (cluster_ctl(c, "start %s", c->name) != 0) {
        lutra_test_fail("lutractl start failed");
    }
}

void cluster_go(struct cluster *c)
{
    cluster_begin(c);
    cluster_await_state(c, "RUNNING", 30000);
}

void cluster_resume(struct cluster *c)
{
    if (cluster_ctl(c, "start %s", c->name) != 0) {
        lutra_test_fail("lutractl start failed");
    }
    cluster_await_state(c, "RUNNING", 30000);
}

void cluster_restart(struct cluster *c, struct lutra_test_service *service)
{
    lutra_test_service_restart(service, c->options.env);
}

void cluster_reopen(struct cluster *c)
{
    lutra_sql_close(c->source);
    lutra_sql_close(c->target);
    c->source = lutra_sql_open(c->source_server.socket);
    c->target = lutra_sql_open(c->target_server.socket);
    lutra_sql_exec(c->source, "USE `%s`", c->name);
    lutra_sql_exec(c->target, "USE `%s`", c->name);
}

/* The object of this pipeline in an array, borrowed. */
static json_t *entry_of(const char *pipeline, json_t *array)
{
    size_t i;
    json_t *entry;
    json_array_foreach(array, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "pipeline"));
        if (name != NULL && strcmp(name, pipeline) == 0) {
            return entry;
        }
    }
    return NULL;
}

json_t *cluster_status_of(struct cluster *c, const char *pipeline)
{
    json_t *found = NULL;
    char *path = lutra_test_format("/v1/channels/%s/status", c->name);
    for (int i = 0; i < CLUSTER_MAX && found == NULL; i++) {
        char *body = c->managers[i].port != 0 ? lutra_http_get(c->managers[i].port, path) : NULL;
        json_t *root = body != NULL ? json_loads(body, 0, NULL) : NULL;
        json_t *entry = entry_of(pipeline, json_object_get(root, "pipelines"));
        found = entry != NULL ? json_incref(entry) : NULL;
        json_decref(root);
        free(body);
    }
    free(path);
    return found;
}

json_t *cluster_status(struct cluster *c)
{
    return cluster_status_of(c, c->name);
}

static bool state_is(struct cluster *c, const char *state)
{
    json_t *status = cluster_status(c);
    const char *now = json_string_value(json_object_get(status, "state"));
    bool is = now != NULL && strcmp(now, state) == 0;
    json_decref(status);
    return is;
}

void cluster_await_state(struct cluster *c, const char *state, uint64_t deadline_ms)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(deadline_ms);
    while (!state_is(c, state)) {
        if (lutra_test_now_ms() >= end_ms) {
            json_t *status = cluster_status(c);
            char *text = status != NULL ? json_dumps(status, JSON_INDENT(1)) : NULL;
            lutra_test_fail("not %s within %llu ms; status: %s", state,
                            (unsigned long long)deadline_ms, text != NULL ? text : "none");
        }
        lutra_test_poll_pause();
    }
}

/* Heap: the reason when the pipeline is ROLLED_BACK and it has all the words; else NULL. */
static char *refusal_of(struct cluster *c, const char *const *words)
{
    json_t *status = cluster_status(c);
    const char *state = json_string_value(json_object_get(status, "state"));
    const char *reason = json_string_value(json_object_get(status, "reason"));
    bool found = state != NULL && reason != NULL && strcmp(state, "ROLLED_BACK") == 0;
    for (; found && *words != NULL; words++) {
        found = strcasestr(reason, *words) != NULL;
    }
    char *text = found ? strdup(reason) : NULL;
    json_decref(status);
    return text;
}

char *cluster_await_refusal(struct cluster *c, const char *word, ...)
{
    const char *words[16] = {word};
    va_list ap;
    va_start(ap, word);
    for (size_t n = 1; n < 15 && (words[n] = va_arg(ap, const char *)) != NULL; n++) {
    }
    va_end(ap);
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(30000);
    for (;;) {
        char *reason = refusal_of(c, words);
        if (reason != NULL) {
            return reason;
        }
        if (lutra_test_now_ms() >= end_ms) {
            json_t *status = cluster_status(c);
            char *text = status != NULL ? json_dumps(status, JSON_INDENT(1)) : NULL;
            lutra_test_fail("not ROLLED_BACK for a reason with \"%s\", \"%s\"; status: %s",
                            words[0], words[1] != NULL ? words[1] : "",
                            text != NULL ? text : "none");
        }
        lutra_test_poll_pause();
    }
}

json_t *cluster_state_of(struct cluster *c, struct lutra_test_service *service)
{
    char *body = lutra_http_get(service->port, "/state");
    json_t *root = body != NULL ? json_loads(body, 0, NULL) : NULL;
    json_t *entry = entry_of(c->name, json_object_get(root, "pipelines"));
    json_t *found = entry != NULL ? json_incref(entry) : NULL;
    json_decref(root);
    free(body);
    return found;
}

char *cluster_state_text(struct cluster *c, struct lutra_test_service *service, const char *key)
{
    json_t *entry = cluster_state_of(c, service);
    const char *value = json_string_value(json_object_get(entry, key));
    char *text = strdup(value != NULL ? value : "");
    json_decref(entry);
    return text;
}

int64_t cluster_state_int(struct cluster *c, struct lutra_test_service *service, const char *key)
{
    json_t *entry = NULL;
    LUTRA_WAIT_FOR((entry = cluster_state_of(c, service)) != NULL, 10000);
    const json_t *value = json_object_get(entry, key);
    if (!json_is_integer(value) && !json_is_boolean(value)) {
        lutra_test_fail("%s: its state has no number %s", service->instance, key);
    }
    int64_t number = json_is_integer(value) ? json_integer_value(value) : json_is_true(value);
    json_decref(entry);
    return number;
}

void cluster_sync(struct cluster *c, uint64_t deadline_ms)
{
    lutra_sql_exec(c->source, "INSERT INTO marker VALUES (%lld)", (long long)++c->marker);
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(deadline_ms);
    while (lutra_sql_int(c->target, "SELECT id FROM marker WHERE id = %lld",
                         (long long)c->marker) != c->marker) {
        if (lutra_test_now_ms() >= end_ms) {
            json_t *status = cluster_status(c);
            char *text = status != NULL ? json_dumps(status, JSON_INDENT(1)) : NULL;
            lutra_test_fail("the target has not caught up within %llu ms; status: %s",
                            (unsigned long long)deadline_ms, text != NULL ? text : "none");
        }
        lutra_test_poll_pause();
    }
}

void cluster_equal(struct cluster *c, const char *table)
{
    char *difference = NULL;
    char *name = lutra_test_format("%s.%s", c->name, table);
    if (!lutra_sql_tables_equal(c->source, c->target, name, name, &difference)) {
        lutra_test_fail("table %s differs: %s", table, difference);
    }
    free(name);
}

char *cluster_topic(struct cluster *c, const char *stage)
{
    return lutra_test_format("lutra.%s.%s", c->name, stage);
}

int64_t cluster_epoch(struct cluster *c)
{
    return lutra_sql_int(c->target, "SELECT MAX(epoch) FROM lutra.checkpoint WHERE pipeline = '%s'",
                         c->name);
}

struct lutra_test_service *cluster_owner(struct cluster *c, const char *stage)
{
    struct lutra_test_service *services = strcmp(stage, "load") == 0 ? c->loads : c->selects;
    char *path = lutra_test_format("/lutra/pipelines/%s/%s", c->name, stage);
    char *json = lutra_zk_get(lutra_test_chroot(), path);
    struct lutra_test_service *found = NULL;
    for (int i = 0; json != NULL && i < CLUSTER_MAX; i++) {
        char *needle = lutra_test_format("\"%s\"", services[i].instance);
        if (services[i].port != 0 && strstr(json, needle) != NULL) {
            found = &services[i];
        }
        free(needle);
    }
    free(json);
    free(path);
    return found;
}

void cluster_kill(struct cluster *c)
{
    struct lutra_test_service *const all[] = {c->selects, c->extracts, c->transforms, c->loads,
                                              c->managers};
    for (size_t s = 0; s < sizeof all / sizeof *all; s++) {
        for (int i = 0; i < CLUSTER_MAX; i++) {
            if (all[s][i].proc != NULL) {
                lutra_proc_kill9(all[s][i].proc);
            }
        }
    }
}

void cluster_end(struct cluster *c)
{
    lutra_sql_exec(c->source, "DROP DATABASE `%s`", c->name);
    lutra_sql_exec(c->target, "DROP DATABASE `%s`", c->name);
    lutra_sql_close(c->source);
    lutra_sql_close(c->target);
}
