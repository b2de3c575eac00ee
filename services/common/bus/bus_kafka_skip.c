/* Records that do not have the checksum they promise. librdkafka reports them and then fetches the
 * same batch again, for ever: it does not know where the next one begins. So reading goes on one
 * offset further, until a batch is whole again; what was in between is told as lost. */
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/bus_kafka_impl.h"

struct skip_job {
    struct lutra_job job;
    struct kafka_bus *bus;
    struct kafka_consumer *consumer; /* compared only: it may be gone */
    rd_kafka_t *rk;
    uint64_t id;
    rd_kafka_topic_partition_list_t *list;
};

static void skip_run(struct lutra_job *base, void *worker_state)
{
    struct skip_job *job = (struct skip_job *)base;
    rd_kafka_error_t *error = rd_kafka_seek_partitions(job->rk, job->list, KAFKA_QUERY_TIMEOUT_MS);

    (void)worker_state;
    if (error) {
        rd_kafka_error_destroy(error); /* the same record is reported again */
    }
}

static void skip_done(struct lutra_job *base)
{
    struct skip_job *job = (struct skip_job *)base;
    struct kafka_consumer *consumer;
    struct kafka_part *part;

    if (!job->bus->closing) {
        DL_FOREACH(job->bus->consumers, consumer)
        {
            if (consumer != job->consumer) {
                continue;
            }
            DL_FOREACH(consumer->parts, part)
            {
                part->skipping = part->id == job->id ? false : part->skipping;
            }
        }
    }
    rd_kafka_topic_partition_list_destroy(job->list);
    lutra_free(job);
}

void kafka_part_corrupt(struct kafka_part *part, const char *why)
{
    struct kafka_consumer *consumer = part->consumer;
    struct skip_job *job;
    int64_t from = part->position;

    if (part->skipping || from < 0) {
        return; /* reported while the seek is under way */
    }
    LUTRA_ERROR("bus.corrupt_record", LUTRA_F_STR("group", consumer->group),
                LUTRA_F_STR("topic", part->topic), LUTRA_F_I64("partition", part->partition),
                LUTRA_F_I64("offset", from), LUTRA_F_STR("error", why));
    lutra_counter_add(consumer->bus->metrics.corrupt, 1);
    part->skipping = true;
    part->position = from + 1;
    job = LUTRA_NEW(struct skip_job);
    job->job.run = skip_run;
    job->job.done = skip_done;
    job->bus = consumer->bus;
    job->consumer = consumer;
    job->rk = consumer->rk;
    job->id = part->id;
    job->list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(job->list, part->topic, part->partition)->offset = from + 1;
    lutra_worker_submit(consumer->bus->worker, &job->job);
    /* The callback may free the part. */
    if (part->reader) {
        if (part->reader->handler.on_reset) {
            part->reader->handler.on_reset(from, from + 1, part->reader->arg);
        }
    } else {
        kafka_subscription_lost(consumer->sub, part->topic, part->partition, from, from + 1);
    }
}
