#include "bus/bus_kafka.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tcp.h"
#include "bus/bus_kafka_impl.h"

/* Set first: the operator's kafka.* may change them. */
struct setting {
    const char *name, *value;
};

static const struct setting common_defaults[] = {
    {"socket.keepalive.enable", "true"},
    {"socket.connection.setup.timeout.ms", "5000"},
    {"reconnect.backoff.ms", "100"},
    {"reconnect.backoff.max.ms", "1000"},
    {"log.connection.close", "false"},
    /* A broker that stands still is given up after it: told, and looked for elsewhere. */
    {"socket.timeout.ms", "8000"},
};

static const struct setting producer_defaults[] = {
    {"queue.buffering.max.ms", "0"}, /* linger.ms */
    {"queue.buffering.max.kbytes", "65536"},
    {"queue.buffering.max.messages", "100000"},
    {"topic.metadata.refresh.interval.ms", "5000"}, /* finds the broker again when idle, too */
    {"retry.backoff.ms", "50"},
};

static const struct setting consumer_defaults[] = {
    {"fetch.min.bytes", "1"},
    /* A partition that is added waits for the fetch under way. */
    {"fetch.wait.max.ms", "100"},
    {"fetch.error.backoff.ms", "50"},
    /* Per partition; one message that is larger comes all the same. */
    {"fetch.message.max.bytes", "1048576"},
    {"fetch.max.bytes", "16777216"},
    {"queued.max.messages.kbytes", "8192"}, /* per partition, since each has a queue of its own */
    {"queued.min.messages", "20000"},
};

static const struct setting member_defaults[] = {
    {"session.timeout.ms", "2000"},
    {"heartbeat.interval.ms", "1000"},
    /* Finds subscribed topics soon after they are made: one small request a second. */
    {"topic.metadata.refresh.interval.ms", "1000"},
};

/* The default of brokers' group.min.session.timeout.ms, for those that refuse ours. */
static const struct setting session_fallback[] = {
    {"session.timeout.ms", "6000"},
    {"heartbeat.interval.ms", "1000"},
};

/* Set last. What the protocol and this implementation rest on: refused in kafka.*. */
static const struct setting common_required[] = {
    {"log.queue", "true"},
    {"socket.nagle.disable", "true"},
    {"allow.auto.create.topics", "false"},
};

static const struct setting producer_required[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"message.timeout.ms", "0"},
    {"statistics.interval.ms", "1000"}, /* tells when it has its id, and whether a broker is up */
};

static const struct setting consumer_required[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"check.crcs", "true"},
    {"isolation.level", "read_uncommitted"},
    {"enable.partition.eof", "false"},
    {"partition.assignment.strategy", "cooperative-sticky"},
};

/* Also refused: set from elsewhere, or in the way of what we do. */
static const char *const reserved[] = {
    "bootstrap.servers", "metadata.broker.list",     "client.id",
    "group.id",          "group.instance.id",        "message.max.bytes",
    "max.message.bytes", "request.required.acks",    "delivery.timeout.ms",
    "transactional.id",  "enable.gapless.guarantee", "auto.commit.enable"};

#define N(array) (sizeof(array) / sizeof((array)[0]))

static bool in_settings(const struct setting *settings, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(settings[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < N(reserved); i++) {
        if (strcmp(reserved[i], name) == 0) {
            return true;
        }
    }
    return in_settings(common_required, N(common_required), name) ||
           in_settings(producer_required, N(producer_required), name) ||
           in_settings(consumer_required, N(consumer_required), name);
}

static int
set_one(rd_kafka_conf_t *conf, const char *name, const char *value, struct lutra_error *err)
{
    char why[512];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
        return lutra_error_set(err, LUTRA_CONFIG, 0, "kafka.%s: %s", name, why);
    }
    return 0;
}

static int
set_all(rd_kafka_conf_t *conf, const struct setting *settings, size_t n, struct lutra_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (set_one(conf, settings[i].name, settings[i].value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
set_extra(rd_kafka_conf_t *conf, const struct lutra_config_map *extra, struct lutra_error *err)
{
    for (size_t i = 0; i < extra->n; i++) {
        if (is_reserved(extra->keys[i])) {
            return lutra_error_set(err, LUTRA_CONFIG, 0,
                                   "kafka.%s cannot be changed: Lutra depends on its setting",
                                   extra->keys[i]);
        }
        if (set_one(conf, extra->keys[i], extra->values[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int set_role(rd_kafka_conf_t *conf,
                    struct kafka_bus *bus,
                    enum kafka_role role,
                    const char *group,
                    struct lutra_error *err)
{
    if (set_all(conf, common_defaults, N(common_defaults), err) != 0) {
        return -1;
    }
    if (role == KAFKA_PRODUCER) {
        if (set_all(conf, producer_defaults, N(producer_defaults), err) != 0 ||
            set_extra(conf, &bus->extra, err) != 0 ||
            set_all(conf, producer_required, N(producer_required), err) != 0) {
            return -1;
        }
        return set_all(conf, common_required, N(common_required), err);
    }
    if (set_all(conf, consumer_defaults, N(consumer_defaults), err) != 0 ||
        (role == KAFKA_MEMBER && set_all(conf, member_defaults, N(member_defaults), err) != 0) ||
        set_extra(conf, &bus->extra, err) != 0 ||
        set_all(conf, consumer_required, N(consumer_required), err) != 0 ||
        (bus->session_refused && set_all(conf, session_fallback, N(session_fallback), err) != 0) ||
        set_one(conf, "group.id", group, err) != 0) {
        return -1;
    }
    return set_all(conf, common_required, N(common_required), err);
}

/* librdkafka bounds how long an answer may take (a minute), but not how long a network may be away
 * before a connection is given up. */
static int open_socket(int domain, int type, int protocol, void *opaque)
{
    int fd = socket(domain, type | SOCK_CLOEXEC, protocol);

    (void)opaque;
    if (fd >= 0) {
        lutra_tcp_bound_silence(fd);
    }
    return fd;
}

rd_kafka_t *kafka_handle_new(struct kafka_bus *bus,
                             enum kafka_role role,
                             const char *group,
                             struct lutra_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char max_bytes[24], why[512];
    rd_kafka_t *rk;

    snprintf(max_bytes, sizeof(max_bytes), "%d", KAFKA_MESSAGE_MAX_BYTES);
    if (set_role(conf, bus, role, group, err) != 0 ||
        set_one(conf, "bootstrap.servers", bus->brokers, err) != 0 ||
        set_one(conf, "client.id", bus->client_id, err) != 0 ||
        set_one(conf, "message.max.bytes", max_bytes, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_socket_cb(conf, open_socket);
    rd_kafka_conf_set_events(conf, role == KAFKA_PRODUCER
                                       ? RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR |
                                             RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS
                                       : RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR |
                                             RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_REBALANCE |
                                             RD_KAFKA_EVENT_OFFSET_COMMIT);
    rk = rd_kafka_new(role == KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, why,
                      sizeof(why));
    if (!rk) {
        bool lacking = rd_kafka_last_error() == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;

        rd_kafka_conf_destroy(conf);
        lutra_error_set(err, lacking ? LUTRA_RETRY : LUTRA_CONFIG, 0, "kafka: %s", why);
    }
    return rk;
}

/* ---- events that every handle has ---- */

static void log_line(rd_kafka_event_t *event)
{
    const char *facility, *text;
    enum lutra_log_level as = LUTRA_LOG_INFO;
    int level; /* syslog's */

    if (rd_kafka_event_log(event, &facility, &text, &level) != 0) {
        return;
    }
    if (level >= 7) {
        as = LUTRA_LOG_DEBUG;
    } else if (level <= 4) {
        as = LUTRA_LOG_WARN;
    }
    LUTRA_LOG(as, "bus.librdkafka", LUTRA_F_STR("facility", facility), LUTRA_F_STR("text", text));
}

bool kafka_common_event(struct kafka_bus *bus, rd_kafka_event_t *event)
{
    rd_kafka_event_type_t type = rd_kafka_event_type(event);

    if (type == RD_KAFKA_EVENT_LOG) {
        log_line(event);
        return true;
    }
    if (type == RD_KAFKA_EVENT_ERROR &&
        rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        kafka_set_healthy(bus, false);
        return true;
    }
    return false;
}

void kafka_set_healthy(struct kafka_bus *bus, bool healthy)
{
    if (bus->closing || bus->base.healthy == healthy) {
        return;
    }
    if (healthy) {
        LUTRA_INFO("bus.up", LUTRA_F_STR("bus", bus->name), LUTRA_F_STR("brokers", bus->brokers));
    } else {
        LUTRA_WARN("bus.down", LUTRA_F_STR("bus", bus->name), LUTRA_F_STR("brokers", bus->brokers));
    }
    if (bus->metrics.up) {
        lutra_gauge_set(bus->metrics.up, healthy ? 1 : 0);
    }
    lutra_bus_set_healthy(&bus->base, healthy);
}

enum lutra_error_class kafka_error_class(rd_kafka_resp_err_t code)
{
    /* Not a switch: the enum has 180 values, and all but these pass with time. */
    static const rd_kafka_resp_err_t config[] = {
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        RD_KAFKA_RESP_ERR_INVALID_CONFIG,
        RD_KAFKA_RESP_ERR_INVALID_PARTITIONS,
        RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
        RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
        RD_KAFKA_RESP_ERR__INVALID_ARG,
    };

    for (size_t i = 0; i < N(config); i++) {
        if (code == config[i]) {
            return LUTRA_CONFIG;
        }
    }
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? LUTRA_DATA : LUTRA_RETRY;
}

int kafka_error(struct lutra_error *err, rd_kafka_resp_err_t code, const char *text)
{
    return lutra_error_set(err, kafka_error_class(code), code, "kafka: %s: %s",
                           rd_kafka_err2name(code), text ? text : rd_kafka_err2str(code));
}

/* ---- destroying handles ---- */

/* Does nothing but wait for its turn: after the jobs that use the handle. */
struct retire_job {
    struct lutra_job job;
    struct kafka_reaper *reaper;
    rd_kafka_t *rk;
};

static void retire_run(struct lutra_job *job, void *worker_state)
{
    (void)job;
    (void)worker_state;
}

static void retire_done(struct lutra_job *base)
{
    struct retire_job *job = (struct retire_job *)base;

    kafka_reaper_take(job->reaper, job->rk);
    lutra_free(job);
}

void kafka_retire(struct kafka_bus *bus, rd_kafka_t *rk)
{
    struct kafka_retired *retired = LUTRA_NEW(struct kafka_retired);

    retired->rk = rk;
    LL_APPEND(bus->retired, retired);
    lutra_task_schedule(bus->reap);
}

static void reap_retired(struct kafka_bus *bus)
{
    while (bus->retired) {
        struct kafka_retired *retired = bus->retired;
        struct retire_job *job;

        LL_DELETE(bus->retired, retired);
        if (bus->closing) {
            kafka_reaper_take(bus->reaper, retired->rk);
        } else {
            job = LUTRA_NEW(struct retire_job);
            job->job.run = retire_run;
            job->job.done = retire_done;
            job->reaper = bus->reaper;
            job->rk = retired->rk;
            lutra_worker_submit(bus->worker, &job->job);
        }
        lutra_free(retired);
    }
}

/* Jobs that were never begun, or whose result was not delivered any more. */
static void drop_job(struct lutra_job *job)
{
    job->done(job);
}

static void on_reap(void *arg)
{
    struct kafka_bus *bus = arg;

    kafka_subscriptions_reap(bus);
    reap_retired(bus);
}

/* ---- the bus ---- */

static void on_tick(void *arg)
{
    struct kafka_bus *bus = arg;
    struct kafka_consumer *consumer;

    lutra_timer_start(bus->tick, KAFKA_TICK_MS);
    DL_FOREACH(bus->consumers, consumer)
    {
        kafka_consumer_commit(consumer);
        /* A member whose queues are never looked at would leave its group after
         * max.poll.interval.ms, however idle its topics are. */
        kafka_pump_kick(consumer->pump);
    }
    kafka_producer_tick(bus);
    kafka_subscriptions_reap(bus);
}

static void kafka_forget(struct lutra_bus *base, void *arg)
{
    struct kafka_bus *bus = (struct kafka_bus *)base;

    kafka_producer_forget(bus, arg);
    kafka_admin_forget(bus, arg);
    kafka_list_forget(bus, arg);
}

static bool commits_under_way(const struct kafka_bus *bus)
{
    const struct kafka_consumer *consumer;

    DL_FOREACH(bus->consumers, consumer)
    {
        if (consumer->commits_under_way > 0) {
            return true;
        }
    }
    return false;
}

static void close_consumers(struct kafka_bus *bus, uint64_t deadline_ms)
{
    struct kafka_consumer *consumer, *tmp;

    kafka_subscriptions_reap(bus);
    DL_FOREACH(bus->consumers, consumer)
    {
        kafka_consumer_commit(consumer);
    }
    while (commits_under_way(bus) && lutra_clock_now_ms() < deadline_ms) {
        DL_FOREACH(bus->consumers, consumer)
        {
            kafka_pump_wait(consumer->pump, 5);
        }
    }
    kafka_leaving_close(bus, deadline_ms);
    DL_FOREACH_SAFE(bus->consumers, consumer, tmp)
    {
        kafka_retire(bus, kafka_consumer_take_apart(consumer));
    }
}

static void free_rest(struct kafka_bus *bus)
{
    struct kafka_topic *topic, *tmp;

    HASH_ITER(hh, bus->topics, topic, tmp)
    {
        HASH_DEL(bus->topics, topic);
        lutra_free(topic->name);
        lutra_free(topic);
    }
    for (size_t i = 0; i < bus->extra.n; i++) {
        lutra_free(bus->extra.keys[i]);
        lutra_free(bus->extra.values[i]);
    }
    lutra_free(bus->extra.keys);
    lutra_free(bus->extra.values);
    lutra_timer_free(bus->tick);
    lutra_task_free(bus->reap);
    lutra_free(bus->name);
    lutra_free(bus->brokers);
    lutra_free(bus->client_id);
    lutra_free(bus);
}

static void kafka_free(struct lutra_bus *base)
{
    struct kafka_bus *bus = (struct kafka_bus *)base;
    /* Nothing to wait for when nobody answers. */
    uint64_t deadline_ms = lutra_clock_now_ms() + (base->healthy ? 3000 : 300);

    bus->closing = true;
    kafka_producer_close(bus, deadline_ms);
    close_consumers(bus, deadline_ms);
    kafka_admin_close(bus);
    lutra_worker_free(bus->worker, drop_job);
    reap_retired(bus);
    kafka_reaper_free(bus->reaper, 1500);
    free_rest(bus);
}

static void copy_extra(struct kafka_bus *bus, const struct lutra_config_map *extra)
{
    if (!extra || extra->n == 0) {
        return;
    }
    bus->extra.n = extra->n;
    bus->extra.keys = lutra_alloc(extra->n * sizeof(char *));
    bus->extra.values = lutra_alloc(extra->n * sizeof(char *));
    for (size_t i = 0; i < extra->n; i++) {
        bus->extra.keys[i] = lutra_strdup(extra->keys[i]);
        bus->extra.values[i] = lutra_strdup(extra->values[i]);
    }
}

static void register_metrics(struct kafka_bus *bus, struct lutra_metrics *metrics)
{
    struct kafka_metrics *m = &bus->metrics;

    struct lutra_buf text = {0};
    const char *labels;

    if (!metrics) {
        return;
    }
    lutra_metrics_label(&text, "bus", bus->name);
    labels = lutra_buf_cstr(&text);
    m->published = lutra_metrics_counter(metrics, "lutra_bus_published_total", labels,
                                         "Messages that the broker has acknowledged");
    m->publish_errors = lutra_metrics_counter(metrics, "lutra_bus_publish_errors_total", labels,
                                              "Messages that were not acknowledged");
    m->received =
        lutra_metrics_counter(metrics, "lutra_bus_received_total", labels, "Messages received");
    m->resets = lutra_metrics_counter(metrics, "lutra_bus_offset_resets_total", labels,
                                      "Offsets that were gone: reading went on at the low "
                                      "watermark");
    m->corrupt = lutra_metrics_counter(metrics, "lutra_bus_corrupt_total", labels,
                                       "Records without the checksum they promise: passed over, "
                                       "and told as lost");
    m->producers_failed = lutra_metrics_counter(metrics, "lutra_bus_producers_failed_total", labels,
                                                "Producers that failed for good and were replaced");
    m->rebalances = lutra_metrics_counter(metrics, "lutra_bus_rebalances_total", labels,
                                          "Assignments and revocations of partitions");
    m->ack_seconds = lutra_metrics_histogram(metrics, "lutra_bus_ack_seconds", labels,
                                             "From publishing to acknowledgement", 0.0001, 100);
    m->up = lutra_metrics_gauge(metrics, "lutra_bus_up", labels, "Is a broker reachable");
    lutra_buf_fini(&text);
}

static const struct lutra_bus_ops kafka_ops = {
    .free = kafka_free,
    .publish = kafka_publish,
    .forget = kafka_forget,
    .warm_up = kafka_warm_up,
    .ensure_topics = kafka_ensure_topics,
    .delete_topics = kafka_delete_topics,
    .list_topics = kafka_list_topics,
    .group_topics = kafka_group_topics,
    .delete_offsets = kafka_delete_offsets,
    .partitions = kafka_partitions,
    .reader_new = kafka_reader_new,
    .reader_free = kafka_reader_free,
    .reader_pause = kafka_reader_pause,
    .reader_commit = kafka_reader_commit,
    .subscription_new = kafka_subscription_new,
    .subscription_free = kafka_subscription_free,
    .subscription_topics = kafka_subscription_topics,
    .subscription_pause = kafka_subscription_pause,
    .subscription_commit = kafka_subscription_commit,
};

/* Consumers are made when first needed; a setting they refuse is to be told now. */
static int check_consumer_settings(struct kafka_bus *bus, struct lutra_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = set_role(conf, bus, KAFKA_MEMBER, "check", err);

    rd_kafka_conf_destroy(conf);
    return rc;
}

int lutra_bus_kafka_check(const struct lutra_config_map *extra, struct lutra_error *err)
{
    struct kafka_bus bus = {.extra = *extra};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = set_role(conf, &bus, KAFKA_PRODUCER, NULL, err);

    rd_kafka_conf_destroy(conf);
    return rc == 0 ? check_consumer_settings(&bus, err) : -1;
}

static int open_rest(struct kafka_bus *bus, struct lutra_error *err)
{
    if (check_consumer_settings(bus, err) != 0) {
        return -1;
    }
    bus->worker = lutra_worker_open(bus->base.loop, "bus", NULL, NULL, NULL, err);
    if (!bus->worker) {
        return -1;
    }
    if (kafka_producer_open(bus, err) != 0) {
        lutra_worker_free(bus->worker, NULL);
        return -1;
    }
    return 0;
}

struct lutra_bus *lutra_bus_kafka_new(struct lutra_loop *loop,
                                      const char *name,
                                      const char *brokers,
                                      const char *client_id,
                                      const struct lutra_config_map *extra,
                                      struct lutra_metrics *metrics,
                                      struct lutra_error *err)
{
    struct kafka_bus *bus = LUTRA_NEW(struct kafka_bus);

    bus->base.ops = &kafka_ops;
    bus->base.loop = loop;
    bus->base.max_message_bytes = KAFKA_MESSAGE_MAX_BYTES - KAFKA_BATCH_OVERHEAD_BYTES;
    bus->name = lutra_strdup(name);
    bus->brokers = lutra_strdup(brokers);
    bus->client_id = lutra_strdup(client_id);
    copy_extra(bus, extra);
    bus->tick = lutra_timer_new(loop, on_tick, bus);
    bus->reap = lutra_task_new(loop, on_reap, bus);
    if (open_rest(bus, err) != 0) {
        free_rest(bus);
        return NULL;
    }
    register_metrics(bus, metrics);
    bus->reaper = kafka_reaper_new();
    lutra_timer_start(bus->tick, KAFKA_TICK_MS);
    return &bus->base;
}
