/* What an administrator may do to topics under a running pipeline. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "support/kafka.h"
#include "support/test.h"

enum { CALL_MS = 20000 };

static rd_kafka_t *admin(const char *brokers)
{
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, error, sizeof(error));
    rd_kafka_conf_set(conf, "log_level", "2", error, sizeof(error));
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    if (!rk) {
        lutra_test_fail("rd_kafka_new: %s", error);
    }
    return rk;
}

/* Waits for the answer to the request that was sent, and gives everything back. */
static void finish(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *what, const char *topic)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    const rd_kafka_topic_result_t **topics = NULL;
    size_t n = 0;
    if (!event || rd_kafka_event_error(event)) {
        lutra_test_fail("%s %s: %s", what, topic,
                        event ? rd_kafka_event_error_string(event) : "no answer");
    }
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DELETETOPICS_RESULT) {
        topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
    } else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT) {
        topics = rd_kafka_CreatePartitions_result_topics(
            rd_kafka_event_CreatePartitions_result(event), &n);
    }
    if (n == 1 && rd_kafka_topic_result_error(topics[0])) {
        lutra_test_fail("%s %s: %s", what, topic, rd_kafka_topic_result_error_string(topics[0]));
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

void lutra_kafka_delete_topic(const char *brokers, const char *topic)
{
    rd_kafka_t *rk = admin(brokers);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopic_t *request = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(rk, &request, 1, NULL, queue);
    rd_kafka_DeleteTopic_destroy(request);
    finish(rk, queue, "delete", topic);
}

void lutra_kafka_grow_topic(const char *brokers, const char *topic, int partitions)
{
    char error[512];
    rd_kafka_t *rk = admin(brokers);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewPartitions_t *request =
        rd_kafka_NewPartitions_new(topic, (size_t)partitions, error, sizeof(error));
    if (!request) {
        lutra_test_fail("%s: %s", topic, error);
    }
    rd_kafka_CreatePartitions(rk, &request, 1, NULL, queue);
    rd_kafka_NewPartitions_destroy(request);
    finish(rk, queue, "grow", topic);
}

void lutra_kafka_truncate(const char *brokers, const char *topic, int32_t partition)
{
    rd_kafka_t *rk = admin(brokers);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(rk, &request, 1, NULL, queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    finish(rk, queue, "truncate", topic);
}

/* Leader and number of replicas of a partition. */
static void
describe(const char *brokers, const char *topic, int32_t partition, int *leader, int *replicas)
{
    rd_kafka_t *rk = admin(brokers);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    *leader = *replicas = 0;
    if (rd_kafka_metadata(rk, 0, handle, &metadata, CALL_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        for (int i = 0; metadata->topic_cnt == 1 && i < metadata->topics[0].partition_cnt; i++) {
            const rd_kafka_metadata_partition_t *p = &metadata->topics[0].partitions[i];
            if (p->id == partition) {
                *leader = p->leader > 0 ? p->leader : 0;
                *replicas = p->replica_cnt;
            }
        }
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(rk);
}

int lutra_kafka_leader(const char *brokers, const char *topic, int32_t partition)
{
    int leader, replicas;
    describe(brokers, topic, partition, &leader, &replicas);
    return leader;
}

int lutra_kafka_replicas(const char *brokers, const char *topic, int32_t partition)
{
    int leader, replicas;
    describe(brokers, topic, partition, &leader, &replicas);
    return replicas;
}
