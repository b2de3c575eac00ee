/* Topics: made, checked, corrected, deleted, counted.
 *
 * ensure:  CreateTopics ─▶ partition counts (again until the brokers agree) ─▶ DescribeConfigs of
 * those that were there ─▶ AlterConfigs of those that differ ─▶ done */
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/bus_kafka_impl.h"

#define METADATA_RETRY_MS 100
#define METADATA_FRESH_MS 2000
#define N_SETTINGS 3

enum admin_step { ADMIN_CREATE, ADMIN_COUNT, ADMIN_DESCRIBE, ADMIN_ALTER, ADMIN_DELETE };

struct admin_setting {
    const char *name;
    char value[24];
};

struct admin_topic {
    char *name;
    int32_t partitions;
    bool existed;
    size_t n_settings;
    struct admin_setting settings[N_SETTINGS];
};

struct kafka_admin {
    struct kafka_bus *bus;
    enum admin_step step;
    const rd_kafka_t *rk; /* the last request's */
    struct admin_topic *topics;
    size_t n;
    uint64_t deadline_ms;
    struct lutra_timer *retry;
    lutra_bus_ack_fn done; /* NULL: forgotten */
    void *arg;
    struct kafka_admin *prev, *next;
};

/* ---- partition counts ---- */

struct metadata_job {
    struct lutra_job job;
    struct kafka_bus *bus;
    rd_kafka_t *rk;
    char **topics;
    int32_t *partitions;
    size_t n;
    struct lutra_error err;
    kafka_metadata_fn fn;
    void *ctx;
};

rd_kafka_resp_err_t kafka_topic_count(rd_kafka_t *rk, const char *topic, int32_t *partitions)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code;

    if (!rkt) {
        return rd_kafka_last_error();
    }
    code = rd_kafka_metadata(rk, 0, rkt, &metadata, KAFKA_QUERY_TIMEOUT_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1 &&
        metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        *partitions = metadata->topics[0].partition_cnt;
    }
    if (metadata) {
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(rkt);
    return code;
}

static void metadata_run(struct lutra_job *base, void *worker_state)
{
    struct metadata_job *job = (struct metadata_job *)base;

    (void)worker_state;
    for (size_t i = 0; i < job->n; i++) {
        rd_kafka_resp_err_t code = kafka_topic_count(job->rk, job->topics[i], &job->partitions[i]);

        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            kafka_error(&job->err, code, NULL);
            lutra_error_wrap(&job->err, "metadata of topic %s", job->topics[i]);
            return;
        }
    }
}

static struct kafka_topic *topic_get(struct kafka_bus *bus, const char *name)
{
    struct kafka_topic *topic;

    HASH_FIND_STR(bus->topics, name, topic);
    if (!topic) {
        topic = LUTRA_NEW(struct kafka_topic);
        topic->name = lutra_strdup(name);
        HASH_ADD_KEYPTR(hh, bus->topics, topic->name, strlen(topic->name), topic);
    }
    return topic;
}

static void metadata_done(struct lutra_job *base)
{
    struct metadata_job *job = (struct metadata_job *)base;
    bool failed = job->err.class != LUTRA_OK;

    if (!job->bus->closing) {
        for (size_t i = 0; i < job->n && !failed; i++) {
            topic_get(job->bus, job->topics[i])->partitions = job->partitions[i];
        }
        if (job->fn) {
            job->fn(job->bus, job->partitions, failed ? &job->err : NULL, job->ctx);
        }
    }
    for (size_t i = 0; i < job->n; i++) {
        lutra_free(job->topics[i]);
    }
    lutra_free(job->topics);
    lutra_free(job->partitions);
    lutra_free(job);
}

void kafka_metadata_ask(
    struct kafka_bus *bus, const char *const *topics, size_t n, kafka_metadata_fn fn, void *ctx)
{
    struct metadata_job *job = LUTRA_NEW(struct metadata_job);

    job->job.run = metadata_run;
    job->job.done = metadata_done;
    job->bus = bus;
    job->rk = bus->producer;
    job->topics = lutra_alloc(n * sizeof(char *));
    job->partitions = lutra_alloc(n * sizeof(int32_t));
    job->fn = fn;
    job->ctx = ctx;
    if (!bus->producer) {
        n = 0;
        lutra_error_set(&job->err, LUTRA_RETRY, 0, "kafka: there is no producer");
    }
    job->n = n;
    for (size_t i = 0; i < n; i++) {
        job->topics[i] = lutra_strdup(topics[i]);
    }
    lutra_worker_submit(bus->worker, &job->job);
}

static void
on_asked(struct kafka_bus *bus, const int32_t *partitions, const struct lutra_error *err, void *ctx)
{
    struct kafka_topic *topic = ctx;

    (void)bus;
    (void)partitions;
    (void)err;
    topic->asking = false;
}

int32_t kafka_partitions(struct lutra_bus *base, const char *name)
{
    struct kafka_bus *bus = (struct kafka_bus *)base;
    struct kafka_topic *topic = topic_get(bus, name);
    uint64_t now_ms = lutra_loop_now_ms(base->loop);
    uint64_t fresh_ms = topic->partitions > 0 ? METADATA_FRESH_MS : KAFKA_TICK_MS;

    if (!topic->asking && (topic->asked_ms == 0 || now_ms - topic->asked_ms > fresh_ms)) {
        topic->asked_ms = now_ms ? now_ms : 1;
        topic->asking = true; /* a broker that is slow to answer is not asked again meanwhile */
        kafka_metadata_ask(bus, &name, 1, on_asked, topic);
    }
    return topic->partitions;
}

/* ---- requests ---- */

static struct kafka_admin *admin_new(
    struct kafka_bus *bus, size_t n, lutra_bus_ack_fn done, void *arg, void (*on_retry)(void *arg))
{
    struct kafka_admin *admin = LUTRA_NEW(struct kafka_admin);

    admin->bus = bus;
    admin->topics = lutra_alloc(n * sizeof(*admin->topics));
    admin->n = n;
    admin->done = done;
    admin->arg = arg;
    admin->deadline_ms = lutra_loop_now_ms(bus->base.loop) + KAFKA_ADMIN_TIMEOUT_MS;
    admin->retry = lutra_timer_new(bus->base.loop, on_retry, admin);
    DL_APPEND(bus->admins, admin);
    return admin;
}

static void admin_free(struct kafka_admin *admin)
{
    DL_DELETE(admin->bus->admins, admin);
    for (size_t i = 0; i < admin->n; i++) {
        lutra_free(admin->topics[i].name);
    }
    lutra_free(admin->topics);
    lutra_timer_free(admin->retry);
    lutra_free(admin);
}

/* err NULL: done. */
static void admin_finish(struct kafka_admin *admin, const struct lutra_error *err)
{
    if (admin->done && !admin->bus->closing) {
        admin->done(err, admin->arg);
    }
    admin_free(admin);
}

void kafka_admin_forget(struct kafka_bus *bus, const void *arg)
{
    struct kafka_admin *admin;

    DL_FOREACH(bus->admins, admin)
    {
        admin->done = admin->arg == arg ? NULL : admin->done;
    }
}

static struct kafka_admin *admin_of(struct kafka_bus *bus, const rd_kafka_t *rk)
{
    struct kafka_admin *admin;

    DL_FOREACH(bus->admins, admin)
    {
        if (admin->rk == rk && admin->step != ADMIN_COUNT) {
            return admin;
        }
    }
    return NULL;
}

void kafka_admin_fail(struct kafka_bus *bus, const rd_kafka_t *rk)
{
    struct kafka_admin *admin;
    struct lutra_error err;

    lutra_error_set(&err, LUTRA_RETRY, 0, "kafka: the client had to be replaced");
    while ((admin = admin_of(bus, rk))) {
        admin_finish(admin, &err);
    }
}

void kafka_admin_close(struct kafka_bus *bus)
{
    while (bus->admins) {
        admin_free(bus->admins);
    }
}

static rd_kafka_AdminOptions_t *admin_options(struct kafka_admin *admin, rd_kafka_admin_op_t op)
{
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->bus->producer, op);

    admin->rk = admin->bus->producer;
    rd_kafka_AdminOptions_set_request_timeout(options, KAFKA_ADMIN_TIMEOUT_MS, NULL, 0);
    rd_kafka_AdminOptions_set_opaque(options, admin);
    return options;
}

/* false: finished with an error, since there is no producer to ask with. */
static bool admin_can_ask(struct kafka_admin *admin)
{
    struct lutra_error err;

    if (admin->bus->producer) {
        return true;
    }
    lutra_error_set(&err, LUTRA_RETRY, 0, "kafka: there is no producer");
    admin_finish(admin, &err);
    return false;
}

static void add_setting(struct admin_topic *topic, const char *name, uint64_t value)
{
    struct admin_setting *setting = &topic->settings[topic->n_settings++];

    setting->name = name;
    snprintf(setting->value, sizeof(setting->value), "%llu", (unsigned long long)value);
}

/* ---- create ---- */

static void admin_create(struct kafka_admin *admin)
{
    rd_kafka_NewTopic_t **list = lutra_alloc(admin->n * sizeof(*list));
    rd_kafka_AdminOptions_t *options = admin_options(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = kafka_pump_queue(admin->bus->producer_pump);
    struct lutra_error err = {0};
    char why[256];
    size_t n = 0;

    admin->step = ADMIN_CREATE;
    for (; n < admin->n; n++) {
        struct admin_topic *topic = &admin->topics[n];

        list[n] = rd_kafka_NewTopic_new(topic->name, topic->partitions, -1, why, sizeof(why));
        if (!list[n]) {
            lutra_error_set(&err, LUTRA_CONFIG, 0, "topic %s: %s", topic->name, why);
            break;
        }
        for (size_t j = 0; j < topic->n_settings; j++) {
            rd_kafka_NewTopic_set_config(list[n], topic->settings[j].name,
                                         topic->settings[j].value);
        }
    }
    if (err.class == LUTRA_OK) {
        rd_kafka_CreateTopics(admin->bus->producer, list, n, options, queue);
    }
    rd_kafka_NewTopic_destroy_array(list, n);
    rd_kafka_AdminOptions_destroy(options);
    lutra_free(list);
    if (err.class != LUTRA_OK) {
        admin_finish(admin, &err);
    }
}

static struct admin_topic *admin_topic_find(struct kafka_admin *admin, const char *name)
{
    for (size_t i = 0; i < admin->n; i++) {
        if (strcmp(admin->topics[i].name, name) == 0) {
            return &admin->topics[i];
        }
    }
    return NULL;
}

static void admin_count(struct kafka_admin *admin);

static void on_created(struct kafka_admin *admin, rd_kafka_event_t *event)
{
    size_t n;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    struct lutra_error err = {0};

    for (size_t i = 0; i < n; i++) {
        const char *name = rd_kafka_topic_result_name(results[i]);
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        struct admin_topic *topic = admin_topic_find(admin, name);

        if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS && topic) {
            topic->existed = true;
        } else if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            LUTRA_INFO("bus.topic_made", LUTRA_F_STR("topic", name),
                       LUTRA_F_I64("partitions", topic ? topic->partitions : 0));
        } else {
            kafka_error(&err, code, rd_kafka_topic_result_error_string(results[i]));
            lutra_error_wrap(&err, "making topic %s", name);
        }
    }
    if (err.class != LUTRA_OK) {
        admin_finish(admin, &err);
        return;
    }
    admin_count(admin);
}

/* ---- count ---- */

static void admin_describe(struct kafka_admin *admin);

static void admin_on_counted(struct kafka_bus *bus,
                             const int32_t *partitions,
                             const struct lutra_error *err,
                             void *ctx)
{
    struct kafka_admin *admin = ctx;
    struct lutra_error why;

    if (err) {
        admin_finish(admin, err);
        return;
    }
    for (size_t i = 0; i < admin->n; i++) {
        struct admin_topic *topic = &admin->topics[i];

        if (partitions[i] == 0 && lutra_loop_now_ms(bus->base.loop) < admin->deadline_ms) {
            lutra_timer_start(admin->retry, METADATA_RETRY_MS); /* the brokers don't know it yet */
            return;
        }
        if (partitions[i] == 0) {
            lutra_error_set(&why, LUTRA_RETRY, 0, "kafka: topic %s does not appear", topic->name);
            admin_finish(admin, &why);
            return;
        }
        if (partitions[i] < topic->partitions) {
            lutra_error_set(&why, LUTRA_CONFIG, 0,
                            "topic %s has %d partitions, fewer than the %d asked for", topic->name,
                            (int)partitions[i], (int)topic->partitions);
            admin_finish(admin, &why);
            return;
        }
    }
    admin_describe(admin);
}

static void admin_count(struct kafka_admin *admin)
{
    const char **names = lutra_alloc(admin->n * sizeof(*names));

    admin->step = ADMIN_COUNT;
    for (size_t i = 0; i < admin->n; i++) {
        names[i] = admin->topics[i].name;
    }
    kafka_metadata_ask(admin->bus, names, admin->n, admin_on_counted, admin);
    lutra_free(names);
}

static void on_count_again(void *arg)
{
    admin_count(arg);
}

/* ---- settings ---- */

static void admin_describe(struct kafka_admin *admin)
{
    rd_kafka_ConfigResource_t **list;
    rd_kafka_AdminOptions_t *options;
    size_t n = 0;

    if (!admin_can_ask(admin)) {
        return;
    }
    admin->step = ADMIN_DESCRIBE;
    list = lutra_alloc(admin->n * sizeof(*list));
    for (size_t i = 0; i < admin->n; i++) {
        if (admin->topics[i].existed) {
            list[n++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, admin->topics[i].name);
        }
    }
    if (n > 0) {
        options = admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
        rd_kafka_DescribeConfigs(admin->bus->producer, list, n, options,
                                 kafka_pump_queue(admin->bus->producer_pump));
        rd_kafka_AdminOptions_destroy(options);
    }
    rd_kafka_ConfigResource_destroy_array(list, n);
    lutra_free(list);
    if (n == 0) {
        admin_finish(admin, NULL);
    }
}

static const char *wanted(const struct admin_topic *topic, const char *name)
{
    for (size_t i = 0; i < topic->n_settings; i++) {
        if (strcmp(topic->settings[i].name, name) == 0) {
            return topic->settings[i].value;
        }
    }
    return NULL;
}

static bool differs(const struct admin_topic *topic, const rd_kafka_ConfigResource_t *found)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(found, &n);
    size_t equal = 0;

    for (size_t i = 0; i < n; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        const char *want = wanted(topic, rd_kafka_ConfigEntry_name(entries[i]));

        equal += want && value && strcmp(want, value) == 0;
    }
    return equal < topic->n_settings;
}

/* AlterConfigs replaces all settings of a topic: those that others made are set again. */
static rd_kafka_ConfigResource_t *altered(const struct admin_topic *topic,
                                          const rd_kafka_ConfigResource_t *found)
{
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic->name);
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(found, &n);

    for (size_t i = 0; i < n; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]);
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);

        if (rd_kafka_ConfigEntry_source(entries[i]) ==
                RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG &&
            value && !wanted(topic, name)) {
            rd_kafka_ConfigResource_set_config(resource, name, value);
        }
    }
    for (size_t i = 0; i < topic->n_settings; i++) {
        rd_kafka_ConfigResource_set_config(resource, topic->settings[i].name,
                                           topic->settings[i].value);
    }
    return resource;
}

static void not_corrected(const char *name, const char *why)
{
    LUTRA_WARN("bus.topic_not_corrected", LUTRA_F_STR("topic", name), LUTRA_F_STR("error", why));
}

static void on_described(struct kafka_admin *admin, rd_kafka_event_t *event)
{
    size_t n, n_alter = 0;
    const rd_kafka_ConfigResource_t **found =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
    rd_kafka_ConfigResource_t **list;
    rd_kafka_AdminOptions_t *options;

    if (!admin_can_ask(admin)) {
        return;
    }
    admin->step = ADMIN_ALTER;
    list = lutra_alloc(n * sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        const char *name = rd_kafka_ConfigResource_name(found[i]);
        const struct admin_topic *topic = admin_topic_find(admin, name);

        if (rd_kafka_ConfigResource_error(found[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            not_corrected(name, rd_kafka_ConfigResource_error_string(found[i]));
        } else if (topic && differs(topic, found[i])) {
            LUTRA_INFO("bus.topic_corrected", LUTRA_F_STR("topic", name));
            list[n_alter++] = altered(topic, found[i]);
        }
    }
    if (n_alter > 0) {
        options = admin_options(admin, RD_KAFKA_ADMIN_OP_ALTERCONFIGS);
        rd_kafka_AlterConfigs(admin->bus->producer, list, n_alter, options,
                              kafka_pump_queue(admin->bus->producer_pump));
        rd_kafka_AdminOptions_destroy(options);
    }
    rd_kafka_ConfigResource_destroy_array(list, n_alter);
    lutra_free(list);
    if (n_alter == 0) {
        admin_finish(admin, NULL);
    }
}

static void on_altered(struct kafka_admin *admin, rd_kafka_event_t *event)
{
    size_t n;
    const rd_kafka_ConfigResource_t **results =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &n);

    for (size_t i = 0; i < n; i++) {
        if (rd_kafka_ConfigResource_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            not_corrected(rd_kafka_ConfigResource_name(results[i]),
                          rd_kafka_ConfigResource_error_string(results[i]));
        }
    }
    admin_finish(admin, NULL);
}

void kafka_ensure_topics(struct lutra_bus *base,
                         const struct lutra_bus_topic *topics,
                         size_t n,
                         lutra_bus_ack_fn done,
                         void *arg)
{
    struct kafka_bus *bus = (struct kafka_bus *)base;
    struct kafka_admin *admin = admin_new(bus, n, done, arg, on_count_again);

    for (size_t i = 0; i < n; i++) {
        struct admin_topic *topic = &admin->topics[i];

        topic->name = lutra_strdup(topics[i].name);
        topic->partitions = topics[i].partitions;
        topic->settings[topic->n_settings++] =
            (struct admin_setting){.name = "cleanup.policy", .value = "delete"};
        add_setting(topic, "max.message.bytes", KAFKA_MESSAGE_MAX_BYTES);
        if (topics[i].retention_ms > 0) {
            add_setting(topic, "retention.ms", topics[i].retention_ms);
        }
    }
    if (admin_can_ask(admin)) {
        admin_create(admin);
    }
}

/* ---- delete ---- */

static void on_deleted(struct kafka_admin *admin, rd_kafka_event_t *event)
{
    size_t n;
    const rd_kafka_topic_result_t **results =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
    struct lutra_error err = {0};

    for (size_t i = 0; i < n; i++) {
        const char *name = rd_kafka_topic_result_name(results[i]);
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);

        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            LUTRA_INFO("bus.topic_deleted", LUTRA_F_STR("topic", name));
        }
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            topic_get(admin->bus, name)->partitions = 0;
        } else {
            kafka_error(&err, code, rd_kafka_topic_result_error_string(results[i]));
            lutra_error_wrap(&err, "deleting topic %s", name);
        }
    }
    admin_finish(admin, err.class == LUTRA_OK ? NULL : &err);
}

void kafka_delete_topics(
    struct lutra_bus *base, const char *const *topics, size_t n, lutra_bus_ack_fn done, void *arg)
{
    struct kafka_bus *bus = (struct kafka_bus *)base;
    struct kafka_admin *admin = admin_new(bus, n, done, arg, on_count_again);
    rd_kafka_DeleteTopic_t **list;
    rd_kafka_AdminOptions_t *options;

    admin->step = ADMIN_DELETE;
    for (size_t i = 0; i < n; i++) {
        admin->topics[i].name = lutra_strdup(topics[i]);
    }
    if (!admin_can_ask(admin)) {
        return;
    }
    list = lutra_alloc(n * sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        list[i] = rd_kafka_DeleteTopic_new(topics[i]);
    }
    options = admin_options(admin, RD_KAFKA_ADMIN_OP_DELETETOPICS);
    rd_kafka_DeleteTopics(bus->producer, list, n, options, kafka_pump_queue(bus->producer_pump));
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_DeleteTopic_destroy_array(list, n);
    lutra_free(list);
}

/* ---- results ---- */

void kafka_admin_event(struct kafka_bus *bus, rd_kafka_event_t *event)
{
    struct kafka_admin *admin = rd_kafka_event_opaque(event);
    rd_kafka_event_type_t type = rd_kafka_event_type(event);
    struct lutra_error err;

    if (bus->closing || !admin ||
        (type != RD_KAFKA_EVENT_CREATETOPICS_RESULT && type != RD_KAFKA_EVENT_DELETETOPICS_RESULT &&
         type != RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT &&
         type != RD_KAFKA_EVENT_ALTERCONFIGS_RESULT)) {
        return;
    }
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_error(&err, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        lutra_error_wrap(&err, "topics");
        admin_finish(admin, &err);
        return;
    }
    if (type == RD_KAFKA_EVENT_CREATETOPICS_RESULT) {
        on_created(admin, event);
    } else if (type == RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT) {
        on_described(admin, event);
    } else if (type == RD_KAFKA_EVENT_ALTERCONFIGS_RESULT) {
        on_altered(admin, event);
    } else {
        on_deleted(admin, event);
    }
}
