#include "support/kafka.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test.h"

enum { CALL_MS = 20000 };

static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers, const char *group)
{
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const settings[][2] = {
        {"bootstrap.servers", brokers},        {"group.id", group ? group : "lutra-test"},
        {"enable.auto.commit", "false"},       {"enable.partition.eof", "true"},
        {"allow.auto.create.topics", "false"}, {"log_level", "2"}};
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        rd_kafka_conf_set(conf, settings[i][0], settings[i][1], error, sizeof(error));
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof(error));
    if (!rk) {
        lutra_test_fail("rd_kafka_new: %s", error);
    }
    return rk;
}

static void check_created(rd_kafka_event_t *event, const char *topic)
{
    size_t n = 0;
    const rd_kafka_CreateTopics_result_t *result =
        event ? rd_kafka_event_CreateTopics_result(event) : NULL;
    const rd_kafka_topic_result_t **topics =
        result ? rd_kafka_CreateTopics_result_topics(result, &n) : NULL;
    if (n != 1) {
        lutra_test_fail("create topic %s: no answer", topic);
    }
    rd_kafka_resp_err_t error = rd_kafka_topic_result_error(topics[0]);
    if (error && error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        lutra_test_fail("create topic %s: %s", topic, rd_kafka_err2str(error));
    }
}

void lutra_kafka_create_topic(const char *brokers,
                              const char *topic,
                              int partitions,
                              const char *const *config)
{
    char error[512];
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, brokers, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t *request =
        rd_kafka_NewTopic_new(topic, partitions, 1, error, sizeof(error));
    for (; config && *config; config++) {
        char name[128];
        size_t len = strcspn(*config, "=");
        snprintf(name, sizeof(name), "%.*s", (int)len, *config);
        rd_kafka_NewTopic_set_config(request, name, *config + len + 1);
    }
    rd_kafka_CreateTopics(rk, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    check_created(event, topic);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(request);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

void lutra_kafka_produce(const char *brokers,
                         const char *topic,
                         const struct lutra_kafka_message *message)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, brokers, NULL);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(message->n_headers);
    for (size_t i = 0; i < message->n_headers; i++) {
        rd_kafka_header_add(headers, message->headers[i].name, -1, message->headers[i].value, -1);
    }
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = message->partition},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {message->key, message->key ? strlen(message->key) : 0}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {message->payload, message->len}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(rk, parts, sizeof(parts) / sizeof(parts[0]));
    if (error) {
        rd_kafka_headers_destroy(headers);
        lutra_test_fail("produce to %s: %s", topic, rd_kafka_error_string(error));
    }
    if (rd_kafka_flush(rk, CALL_MS) != 0) {
        lutra_test_fail("produce to %s: not acknowledged", topic);
    }
    rd_kafka_destroy(rk);
}

static void take_headers(struct lutra_kafka_message *out, const rd_kafka_message_t *in)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(in, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    size_t n = rd_kafka_header_cnt(headers);
    out->headers = calloc(n, sizeof(*out->headers));
    for (; out->headers && out->n_headers < n; out->n_headers++) {
        const char *name;
        const void *value;
        size_t len;
        rd_kafka_header_get_all(headers, out->n_headers, &name, &value, &len);
        out->headers[out->n_headers].name = strdup(name);
        out->headers[out->n_headers].value = strndup(value ? value : "", value ? len : 0);
    }
}

static void take_message(struct lutra_kafka_messages *messages, const rd_kafka_message_t *in)
{
    struct lutra_kafka_message *items =
        realloc(messages->items, (messages->n + 1) * sizeof(*messages->items));
    if (!items) {
        abort();
    }
    messages->items = items;
    struct lutra_kafka_message *out = &items[messages->n++];
    *out = (struct lutra_kafka_message){
        .partition = in->partition, .offset = in->offset, .len = in->len};
    out->key = in->key ? strndup(in->key, in->key_len) : NULL;
    out->payload = malloc(in->len + 1);
    if (!out->payload) {
        abort();
    }
    if (in->len) {
        memcpy(out->payload, in->payload, in->len);
    }
    take_headers(out, in);
}

/* Reads one partition from its beginning until its end is told. */
static void read_partition(rd_kafka_t *rk,
                           const char *topic,
                           int32_t partition,
                           struct lutra_kafka_messages *messages)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    for (bool at_end = false; !at_end;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, CALL_MS);
        if (!message) {
            lutra_test_fail("read %s [%d]: nothing within %d ms", topic, partition, CALL_MS);
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            at_end = message->partition == partition;
        } else if (message->err) {
            lutra_test_fail("read %s [%d]: %s", topic, partition, rd_kafka_message_errstr(message));
        } else {
            take_message(messages, message);
        }
        rd_kafka_message_destroy(message);
    }
}

struct lutra_kafka_messages lutra_kafka_read_all(const char *brokers, const char *topic)
{
    struct lutra_kafka_messages messages = {0};
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, brokers, NULL);
    rd_kafka_topic_conf_t *conf = rd_kafka_topic_conf_new();
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, conf);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 0, handle, &metadata, CALL_MS);
    if (error || metadata->topic_cnt != 1 || metadata->topics[0].err) {
        lutra_test_fail("metadata of %s: %s", topic,
                        rd_kafka_err2str(error ? error : metadata->topics[0].err));
    }
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++) {
        read_partition(rk, topic, i, &messages);
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return messages;
}

void lutra_kafka_messages_fini(struct lutra_kafka_messages *messages)
{
    for (size_t i = 0; i < messages->n; i++) {
        struct lutra_kafka_message *message = &messages->items[i];
        for (size_t j = 0; j < message->n_headers; j++) {
            free(message->headers[j].name);
            free(message->headers[j].value);
        }
        free(message->headers);
        free(message->key);
        free(message->payload);
    }
    free(messages->items);
    *messages = (struct lutra_kafka_messages){0};
}

const char *lutra_kafka_header(const struct lutra_kafka_message *message, const char *name)
{
    for (size_t i = 0; i < message->n_headers; i++) {
        if (strcmp(message->headers[i].name, name) == 0) {
            return message->headers[i].value;
        }
    }
    return NULL;
}

int64_t
lutra_kafka_committed(const char *brokers, const char *group, const char *topic, int32_t partition)
{
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, brokers, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_resp_err_t error = rd_kafka_committed(rk, list, CALL_MS);
    int64_t offset = error ? -1 : list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return offset < 0 ? -1 : offset;
}

int64_t lutra_kafka_end_offset(const char *brokers, const char *topic, int32_t partition)
{
    int64_t low = -1, high = -1;
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, brokers, NULL);
    rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(rk, topic, partition, &low, &high, CALL_MS);
    rd_kafka_destroy(rk);
    if (error) {
        lutra_test_fail("end of %s [%d]: %s", topic, partition, rd_kafka_err2str(error));
    }
    return high;
}

int lutra_kafka_partitions(const char *brokers, const char *topic)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, brokers, NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 0, handle, &metadata, CALL_MS);
    if (error) {
        lutra_test_fail("metadata of %s: %s", topic, rd_kafka_err2str(error));
    }
    int n = metadata->topic_cnt == 1 && !metadata->topics[0].err ? metadata->topics[0].partition_cnt
                                                                 : 0;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(rk);
    return n;
}

/* The value of a setting in the answer to DescribeConfigs; heap. */
static char *described(const rd_kafka_event_t *event, const char *name)
{
    size_t n = 0;
    const rd_kafka_DescribeConfigs_result_t *result =
        event ? rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)(uintptr_t)event) : NULL;
    const rd_kafka_ConfigResource_t **resources =
        result ? rd_kafka_DescribeConfigs_result_resources(result, &n) : NULL;
    if (n != 1 || rd_kafka_ConfigResource_error(resources[0])) {
        lutra_test_fail("describe configs: %s",
                        n == 1 ? rd_kafka_ConfigResource_error_string(resources[0]) : "no answer");
    }
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &n);
    for (size_t i = 0; i < n; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (value && strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0) {
            return strdup(value);
        }
    }
    return NULL;
}

char *lutra_kafka_topic_config(const char *brokers, const char *topic, const char *name)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, brokers, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_DescribeConfigs(rk, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    char *value = described(event, name);
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return value;
}
