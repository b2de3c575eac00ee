/* What readers and subscriptions have in common: the handle, its partitions, delivery, commits, and
 * where to begin. */
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/bus_kafka_impl.h"

#define MAX_HEADERS 64
/* Well below what a partition's queue holds (queued.max.messages.kbytes, queued.min.messages). */
#define WAKE_EVERY_BYTES ((size_t)1 << 20)
#define WAKE_EVERY_MESSAGES 5000

/* ---- delivery ---- */

static size_t take_headers(const rd_kafka_message_t *message, struct lutra_bus_header *out)
{
    rd_kafka_headers_t *headers;
    size_t n = 0, size;
    const void *value;

    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    /* librdkafka puts a NUL behind each value. */
    while (n < MAX_HEADERS && rd_kafka_header_get_all(headers, n, &out[n].name, &value, &size) ==
                                  RD_KAFKA_RESP_ERR_NO_ERROR) {
        out[n].value = value ? value : "";
        n++;
    }
    return n;
}

static void
on_woken(struct kafka_consumer *consumer, uint64_t id, const struct kafka_offsets *offsets);

/* A partition whose queue was full is looked at by librdkafka's thread once a second only, unless
 * something wakes that thread (there is no fetch.queue.backoff.ms before 2.2): that would be one
 * queue full a second. A request to the leader wakes it; its answer does not matter. */
static void wake_fetcher(struct kafka_part *part)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    part->taken_bytes = part->taken = 0;
    part->waking = true;
    rd_kafka_topic_partition_list_add(list, part->topic, part->partition);
    kafka_offsets_ask(part->consumer, list, KAFKA_WANT_WATERMARKS, part->id, on_woken);
    rd_kafka_topic_partition_list_destroy(list);
}

static void
on_woken(struct kafka_consumer *consumer, uint64_t id, const struct kafka_offsets *offsets)
{
    struct kafka_part *part;

    (void)offsets;
    DL_FOREACH(consumer->parts, part)
    {
        if (part->id == id) {
            part->waking = false;
            /* Emptied meanwhile: perhaps it was still full when it was looked at. */
            if (part->taken > 0 && rd_kafka_queue_length(kafka_pump_queue(part->pump)) == 0) {
                wake_fetcher(part);
            }
            return;
        }
    }
}

static void count_taken(struct kafka_part *part, size_t bytes)
{
    part->taken_bytes += bytes;
    part->taken++;
    if (!part->waking &&
        (part->taken_bytes >= WAKE_EVERY_BYTES || part->taken >= WAKE_EVERY_MESSAGES)) {
        wake_fetcher(part);
    }
}

static void deliver(struct kafka_part *part, const rd_kafka_message_t *rkmessage)
{
    struct lutra_bus_header headers[MAX_HEADERS];
    struct kafka_consumer *consumer = part->consumer;
    struct lutra_bus_message message = {
        .topic = rd_kafka_topic_name(rkmessage->rkt), /* lives as long as the message */
        .partition = rkmessage->partition,
        .offset = rkmessage->offset,
        .key = rkmessage->key,
        .key_len = rkmessage->key_len,
        .payload = rkmessage->payload,
        .payload_len = rkmessage->len,
        .headers = headers,
    };

    if (rkmessage->offset < part->position) {
        return; /* fetched before the partition was assigned anew */
    }
    part->position = rkmessage->offset + 1;
    count_taken(part, rkmessage->len);
    message.n_headers = take_headers(rkmessage, headers);
    lutra_counter_add(consumer->bus->metrics.received, 1);
    /* The callback may free the part. */
    if (part->reader) {
        part->reader->handler.on_message(&message, part->reader->arg);
    } else if (!consumer->sub->freed) {
        consumer->sub->handler.on_message(&message, consumer->sub->arg);
    }
}

/* The offset to go on from is not there any more (retention, topic made anew). */
static bool is_reset(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == RD_KAFKA_RESP_ERR__NO_OFFSET ||
           code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
}

static void on_part_event(rd_kafka_event_t *event, void *arg)
{
    struct kafka_part *part = arg;
    const rd_kafka_message_t *message;

    if (part->consumer->bus->closing) {
        return;
    }
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH) {
        message = rd_kafka_event_message_next(event); /* one per event */
        if (message && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            deliver(part, message);
        }
    } else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
        rd_kafka_resp_err_t code = rd_kafka_event_error(event);

        if (code == RD_KAFKA_RESP_ERR__BAD_MSG) {
            kafka_part_corrupt(part, rd_kafka_event_error_string(event));
        } else if (!is_reset(code)) {
            LUTRA_WARN("bus.partition_error", LUTRA_F_STR("topic", part->topic),
                       LUTRA_F_I64("partition", part->partition),
                       LUTRA_F_STR("code", rd_kafka_err2name(code)),
                       LUTRA_F_STR("error", rd_kafka_event_error_string(event)));
        } else if (part->reader) {
            kafka_reader_offset_gone(part->reader);
        } else {
            kafka_subscription_offset_gone(part->consumer->sub, part);
        }
    }
}

void kafka_tell_offset_gone(
    struct kafka_consumer *consumer, const char *topic, int32_t partition, int64_t from, int64_t to)
{
    LUTRA_WARN("bus.offset_gone", LUTRA_F_STR("group", consumer->group),
               LUTRA_F_STR("topic", topic), LUTRA_F_I64("partition", partition),
               LUTRA_F_I64("from", from), LUTRA_F_I64("to", to));
    lutra_counter_add(consumer->bus->metrics.resets, 1);
}

/* ---- offsets to begin at ---- */

struct offsets_job {
    struct lutra_job job;
    struct kafka_bus *bus;
    struct kafka_consumer *consumer; /* compared only: it may be gone */
    rd_kafka_t *rk;
    uint64_t id;
    enum kafka_offsets_want want;
    rd_kafka_topic_partition_list_t *list;
    struct kafka_offsets *offsets; /* one per element of the list */
    struct lutra_error err;
    kafka_offsets_fn fn;
};

static rd_kafka_resp_err_t ask_committed(struct offsets_job *job)
{
    rd_kafka_resp_err_t code = rd_kafka_committed(job->rk, job->list, KAFKA_QUERY_TIMEOUT_MS);

    for (int i = 0; i < job->list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = job->list->elems[i].err;
        if (job->list->elems[i].offset >= 0) {
            job->offsets[i].committed = job->list->elems[i].offset;
        }
    }
    return code;
}

/* A topic seen in the moment of its making has no partitions yet, and librdkafka remembers that for
 * minutes without asking again: the next attempt shall find fresh metadata. */
static void forget_absent_partitions(const struct offsets_job *job)
{
    int32_t ignored;

    for (int i = 0; i < job->list->cnt; i++) {
        (void)kafka_topic_count(job->rk, job->list->elems[i].topic, &ignored);
    }
}

static void offsets_run(struct lutra_job *base, void *worker_state)
{
    struct offsets_job *job = (struct offsets_job *)base;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    (void)worker_state;
    if (job->want != KAFKA_WANT_WATERMARKS) {
        code = ask_committed(job);
    }
    for (int i = 0; i < job->list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        struct kafka_offsets *offsets = &job->offsets[i];

        if (job->want != KAFKA_WANT_COMMITTED || offsets->committed < 0) {
            code = rd_kafka_query_watermark_offsets(job->rk, job->list->elems[i].topic,
                                                    job->list->elems[i].partition, &offsets->low,
                                                    &offsets->high, KAFKA_QUERY_TIMEOUT_MS);
        }
    }
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
        forget_absent_partitions(job);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_error(&job->err, code, NULL);
    }
}

static bool consumer_lives(const struct kafka_bus *bus, const struct kafka_consumer *wanted)
{
    const struct kafka_consumer *consumer;

    DL_FOREACH(bus->consumers, consumer)
    {
        if (consumer == wanted) {
            return true;
        }
    }
    return false;
}

static void offsets_done(struct lutra_job *base)
{
    struct offsets_job *job = (struct offsets_job *)base;
    bool failed = job->err.class != LUTRA_OK;

    if (!job->bus->closing && consumer_lives(job->bus, job->consumer)) {
        if (failed) {
            LUTRA_DEBUG("bus.offsets_unknown", LUTRA_F_STR("group", job->consumer->group),
                        LUTRA_F_ERR(&job->err));
        }
        job->fn(job->consumer, job->id, failed ? NULL : job->offsets);
    }
    rd_kafka_topic_partition_list_destroy(job->list);
    lutra_free(job->offsets);
    lutra_free(job);
}

void kafka_offsets_ask(struct kafka_consumer *consumer,
                       const rd_kafka_topic_partition_list_t *list,
                       enum kafka_offsets_want want,
                       uint64_t id,
                       kafka_offsets_fn fn)
{
    struct offsets_job *job = LUTRA_NEW(struct offsets_job);

    job->job.run = offsets_run;
    job->job.done = offsets_done;
    job->bus = consumer->bus;
    job->consumer = consumer;
    job->rk = consumer->rk;
    job->id = id;
    job->want = want;
    job->list = rd_kafka_topic_partition_list_copy(list);
    job->offsets = lutra_alloc((size_t)list->cnt * sizeof(*job->offsets));
    for (int i = 0; i < list->cnt; i++) {
        job->offsets[i].committed = job->offsets[i].low = job->offsets[i].high = -1;
    }
    job->fn = fn;
    lutra_worker_submit(consumer->bus->worker, &job->job);
}

/* ---- partitions ---- */

struct kafka_part *kafka_part_new(struct kafka_consumer *consumer,
                                  const char *topic,
                                  int32_t partition,
                                  struct kafka_reader *reader)
{
    struct kafka_part *part = LUTRA_NEW(struct kafka_part);

    part->id = ++consumer->bus->next_id;
    part->consumer = consumer;
    part->topic = lutra_strdup(topic);
    part->partition = partition;
    part->reader = reader;
    part->position = part->commit = part->committed = -1;
    DL_APPEND(consumer->parts, part);
    return part;
}

void kafka_part_free(struct kafka_part *part)
{
    DL_DELETE(part->consumer->parts, part);
    kafka_pump_free(part->pump);
    lutra_free(part->topic);
    lutra_free(part);
}

struct kafka_part *
kafka_part_find(struct kafka_consumer *consumer, const char *topic, int32_t partition)
{
    struct kafka_part *part;

    DL_FOREACH(consumer->parts, part)
    {
        if (part->partition == partition && strcmp(part->topic, topic) == 0) {
            return part;
        }
    }
    return NULL;
}

void kafka_part_attach(struct kafka_part *part)
{
    struct kafka_consumer *consumer = part->consumer;
    rd_kafka_queue_t *queue =
        rd_kafka_queue_get_partition(consumer->rk, part->topic, part->partition);

    LUTRA_ASSERT(queue);
    rd_kafka_queue_forward(queue, NULL);
    part->pump = kafka_pump_new(consumer->bus->base.loop, on_part_event, part, NULL);
    LUTRA_ASSERT(part->pump);
    kafka_pump_start(part->pump, queue);
    kafka_pump_pause(part->pump, part->paused);
}

void kafka_part_pause(struct kafka_part *part, bool paused)
{
    part->paused = paused;
    if (part->pump) {
        kafka_pump_pause(part->pump, paused);
    }
}

/* ---- commits ---- */

static void commit_list(struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    if (list->cnt > 0) {
        code =
            rd_kafka_commit_queue(consumer->rk, list, kafka_pump_queue(consumer->pump), NULL, NULL);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            consumer->commits_under_way++;
        } else {
            LUTRA_WARN("bus.commit_failed", LUTRA_F_STR("group", consumer->group),
                       LUTRA_F_STR("error", rd_kafka_err2str(code)));
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static bool has_commit(const struct kafka_part *part)
{
    return part->commit >= 0 && part->commit != part->committed;
}

void kafka_consumer_commit(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list;
    struct kafka_part *part;

    if (consumer->commits_under_way > 0) {
        return; /* what fails is asked for again at the next tick */
    }
    list = rd_kafka_topic_partition_list_new(8);
    DL_FOREACH(consumer->parts, part)
    {
        if (has_commit(part)) {
            rd_kafka_topic_partition_list_add(list, part->topic, part->partition)->offset =
                part->commit;
        }
    }
    commit_list(consumer, list);
}

void kafka_part_commit_now(struct kafka_part *part)
{
    rd_kafka_topic_partition_list_t *list;

    if (!has_commit(part)) {
        return;
    }
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, part->topic, part->partition)->offset = part->commit;
    commit_list(part->consumer, list);
}

static void on_committed(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);

    if (consumer->commits_under_way > 0) {
        consumer->commits_under_way--;
    }
    for (int i = 0; list && i < list->cnt; i++) {
        struct kafka_part *part =
            kafka_part_find(consumer, list->elems[i].topic, list->elems[i].partition);

        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = list->elems[i].err;
        } else if (code == RD_KAFKA_RESP_ERR_NO_ERROR && part) {
            part->committed = list->elems[i].offset;
        }
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        LUTRA_DEBUG("bus.commit_failed", LUTRA_F_STR("group", consumer->group),
                    LUTRA_F_STR("error", rd_kafka_err2str(code)));
    }
}

/* ---- the consumer ---- */

static void on_consumer_error(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    bool expected = code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || /* not made yet */
                    code == RD_KAFKA_RESP_ERR__TRANSPORT;              /* librdkafka logs it */

    if (code == RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT && consumer->sub) {
        kafka_subscription_refused(consumer->sub);
        return;
    }
    LUTRA_LOG(expected ? LUTRA_LOG_DEBUG : LUTRA_LOG_WARN, "bus.consumer_error",
              LUTRA_F_STR("group", consumer->group), LUTRA_F_STR("code", rd_kafka_err2name(code)),
              LUTRA_F_STR("error", rd_kafka_event_error_string(event)));
    if (rd_kafka_event_error_is_fatal(event) && consumer->sub) {
        kafka_subscription_rejoin(consumer->sub);
    }
}

static void on_consumer_event(rd_kafka_event_t *event, void *arg)
{
    struct kafka_consumer *consumer = arg;
    rd_kafka_event_type_t type = rd_kafka_event_type(event);

    if (kafka_common_event(consumer->bus, event)) {
        return;
    }
    if (type == RD_KAFKA_EVENT_OFFSET_COMMIT) {
        on_committed(consumer, event);
    } else if (type == RD_KAFKA_EVENT_REBALANCE) {
        kafka_subscription_rebalance(consumer->sub, event);
    } else if (type == RD_KAFKA_EVENT_ERROR) {
        on_consumer_error(consumer, event);
    }
}

struct kafka_consumer *kafka_consumer_new(struct kafka_bus *bus,
                                          const char *group,
                                          struct kafka_subscription *sub,
                                          struct lutra_error *err)
{
    struct kafka_consumer *consumer = LUTRA_NEW(struct kafka_consumer);
    rd_kafka_queue_t *queue;

    consumer->bus = bus;
    consumer->sub = sub;
    consumer->pump = kafka_pump_new(bus->base.loop, on_consumer_event, consumer, err);
    if (consumer->pump) {
        consumer->rk = kafka_handle_new(bus, sub ? KAFKA_MEMBER : KAFKA_READER, group, err);
    }
    if (!consumer->rk) {
        kafka_pump_free(consumer->pump);
        lutra_free(consumer);
        return NULL;
    }
    consumer->group = lutra_strdup(group);
    rd_kafka_poll_set_consumer(consumer->rk);
    queue = rd_kafka_queue_get_consumer(consumer->rk);
    rd_kafka_set_log_queue(consumer->rk, queue);
    kafka_pump_start(consumer->pump, queue);
    DL_APPEND(bus->consumers, consumer);
    return consumer;
}

rd_kafka_t *kafka_consumer_take_apart(struct kafka_consumer *consumer)
{
    rd_kafka_t *rk = consumer->rk;

    while (consumer->parts) {
        kafka_part_free(consumer->parts);
    }
    DL_DELETE(consumer->bus->consumers, consumer);
    kafka_pump_free(consumer->pump);
    if (consumer->assigning) {
        rd_kafka_topic_partition_list_destroy(consumer->assigning);
    }
    lutra_free(consumer->group);
    lutra_free(consumer);
    return rk;
}
