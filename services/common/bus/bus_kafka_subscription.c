/* Subscriptions: members of a consumer group, cooperative-sticky.
 *
 * Leaving takes a conversation with the broker: the handle goes on living as a kafka_leaving until
 * that is over, then it is retired. What replaces or frees a consumer happens in a later turn
 * (kafka_subscriptions_reap), never below one of its own events. */
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/bus_kafka_impl.h"

#define LEAVE_POLL_MS 20
#define LEAVE_DEADLINE_MS 5000

static rd_kafka_topic_partition_list_t *topic_list(const struct kafka_subscription *sub)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)sub->n_topics);

    for (size_t i = 0; i < sub->n_topics; i++) {
        rd_kafka_topic_partition_list_add(list, sub->topics[i], RD_KAFKA_PARTITION_UA);
    }
    return list;
}

/* Asks for the metadata of the topics, too. */
static void subscribe(struct kafka_subscription *sub)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;

    if (!sub->consumer) {
        return;
    }
    if (sub->n_topics == 0) {
        code = rd_kafka_unsubscribe(sub->consumer->rk);
    } else {
        list = topic_list(sub);
        code = rd_kafka_subscribe(sub->consumer->rk, list);
        rd_kafka_topic_partition_list_destroy(list);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        LUTRA_ERROR("bus.subscribe_failed", LUTRA_F_STR("group", sub->group),
                    LUTRA_F_STR("error", rd_kafka_err2str(code)));
    }
}

/* ---- rebalance ---- */

static void report(const struct kafka_subscription *sub, const char *what, rd_kafka_error_t *error)
{
    if (error) {
        LUTRA_ERROR("bus.rebalance_failed", LUTRA_F_STR("group", sub->group),
                    LUTRA_F_STR("what", what), LUTRA_F_STR("error", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
}

void kafka_subscription_lost(
    struct kafka_subscription *sub, const char *topic, int32_t partition, int64_t from, int64_t to)
{
    if (!sub->freed && sub->handler.on_reset) {
        sub->handler.on_reset(topic, partition, from, to, sub->arg);
    }
}

/* Where a partition begins: at what was committed, else at the low watermark. */
static int64_t begin_offset(struct kafka_subscription *sub,
                            const rd_kafka_topic_partition_t *at,
                            const struct kafka_offsets *offsets)
{
    bool gone = offsets->committed >= 0 && offsets->low >= 0 &&
                (offsets->committed < offsets->low || offsets->committed > offsets->high);

    if (gone) {
        kafka_tell_offset_gone(sub->consumer, at->topic, at->partition, offsets->committed,
                               offsets->low);
    }
    return offsets->committed >= 0 && !gone ? offsets->committed : offsets->low;
}

static bool is_told(const struct kafka_subscription *sub, const rd_kafka_topic_partition_t *at)
{
    return sub->told_topic && strcmp(sub->told_topic, at->topic) == 0 &&
           sub->told_partition == at->partition;
}

static void
on_offsets(struct kafka_consumer *consumer, uint64_t id, const struct kafka_offsets *offsets)
{
    struct kafka_subscription *sub = consumer->sub;
    rd_kafka_topic_partition_list_t *list = consumer->assigning;

    if (id != consumer->assigning_id || !list || sub->freed || sub->rejoin) {
        return; /* it is answered when the group is left */
    }
    if (!offsets) {
        lutra_timer_start(sub->retry, KAFKA_RETRY_MS);
        return;
    }
    consumer->assigning = NULL;
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *at = &list->elems[i];
        struct kafka_part *part = kafka_part_new(consumer, at->topic, at->partition, NULL);

        at->offset = part->position = begin_offset(sub, at, &offsets[i]);
        kafka_part_attach(part);
    }
    report(sub, "assign", rd_kafka_incremental_assign(consumer->rk, list));
    for (int i = 0; i < list->cnt && !sub->freed; i++) {
        LUTRA_INFO("bus.assigned", LUTRA_F_STR("group", sub->group),
                   LUTRA_F_STR("topic", list->elems[i].topic),
                   LUTRA_F_I64("partition", list->elems[i].partition),
                   LUTRA_F_I64("offset", list->elems[i].offset));
        sub->handler.on_assigned(list->elems[i].topic, list->elems[i].partition, sub->arg);
        if (offsets[i].committed >= 0 && offsets[i].committed != list->elems[i].offset &&
            !is_told(sub, &list->elems[i])) {
            kafka_subscription_lost(sub, list->elems[i].topic, list->elems[i].partition,
                                    offsets[i].committed, list->elems[i].offset);
        }
    }
    sub->offset_gone = false;
    rd_kafka_topic_partition_list_destroy(list);
}

static void ask_offsets(void *arg)
{
    struct kafka_subscription *sub = arg;

    if (sub->consumer && sub->consumer->assigning) {
        kafka_offsets_ask(sub->consumer, sub->consumer->assigning,
                          sub->offset_gone ? KAFKA_WANT_BOTH : KAFKA_WANT_COMMITTED, 0, on_offsets);
    }
}

/* librdkafka waits for rd_kafka_incremental_assign before anything else happens in the group, and
 * keeps the member alive meanwhile: there is time to ask where to begin. */
static void assigned(struct kafka_subscription *sub, const rd_kafka_topic_partition_list_t *list)
{
    struct kafka_consumer *consumer = sub->consumer;

    if (list->cnt == 0) {
        report(sub, "assign", rd_kafka_incremental_assign(consumer->rk, list));
        return;
    }
    if (consumer->assigning) {
        rd_kafka_topic_partition_list_destroy(consumer->assigning);
    }
    consumer->assigning = rd_kafka_topic_partition_list_copy(list);
    ask_offsets(sub);
}

static void revoked(struct kafka_subscription *sub, rd_kafka_topic_partition_list_t *list)
{
    struct kafka_consumer *consumer = sub->consumer;
    bool lost = rd_kafka_assignment_lost(consumer->rk) != 0;

    for (int i = 0; i < list->cnt; i++) {
        struct kafka_part *part =
            kafka_part_find(consumer, list->elems[i].topic, list->elems[i].partition);

        if (!part) {
            continue;
        }
        LUTRA_INFO("bus.revoked", LUTRA_F_STR("group", sub->group),
                   LUTRA_F_STR("topic", part->topic), LUTRA_F_I64("partition", part->partition),
                   LUTRA_F_STR("lost", lost ? "yes" : "no"));
        if (!sub->freed) {
            sub->handler.on_revoked(part->topic, part->partition, sub->arg);
        }
        if (!lost) {
            kafka_part_commit_now(part);
        }
    }
    report(sub, "unassign", rd_kafka_incremental_unassign(consumer->rk, list));
    for (int i = 0; i < list->cnt; i++) {
        struct kafka_part *part =
            kafka_part_find(consumer, list->elems[i].topic, list->elems[i].partition);

        if (part) {
            kafka_part_free(part);
        }
    }
}

void kafka_subscription_rebalance(struct kafka_subscription *sub, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);

    if (!sub || !list) {
        return;
    }
    lutra_counter_add(sub->consumer->bus->metrics.rebalances, 1);
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assigned(sub, list);
    } else {
        revoked(sub, list);
    }
}

/* ---- leaving ---- */

static void leaving_free(struct kafka_leaving *leaving)
{
    struct kafka_bus *bus = leaving->bus;

    DL_DELETE(bus->leaving, leaving);
    kafka_pump_free(leaving->pump);
    lutra_timer_free(leaving->timer);
    kafka_retire(bus, leaving->rk);
    lutra_free(leaving);
}

static bool leaving_over(struct kafka_leaving *leaving)
{
    return rd_kafka_consumer_closed(leaving->rk) || lutra_clock_now_ms() >= leaving->deadline_ms;
}

static void on_leaving_timer(void *arg)
{
    struct kafka_leaving *leaving = arg;

    if (leaving_over(leaving)) {
        leaving_free(leaving);
    } else {
        lutra_timer_start(leaving->timer, LEAVE_POLL_MS);
    }
}

static void on_leaving_event(rd_kafka_event_t *event, void *arg)
{
    struct kafka_leaving *leaving = arg;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_error_t *error;

    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_REBALANCE) {
        return;
    }
    list = rd_kafka_event_topic_partition_list(event);
    error = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
                ? rd_kafka_incremental_assign(leaving->rk, list)
                : rd_kafka_incremental_unassign(leaving->rk, list);
    if (error) {
        rd_kafka_error_destroy(error);
    }
}

static void leave(struct kafka_bus *bus, struct kafka_consumer *consumer)
{
    struct kafka_leaving *leaving;
    rd_kafka_queue_t *queue;
    rd_kafka_error_t *error;

    consumer->commits_under_way = 0;
    kafka_consumer_commit(consumer); /* goes out before the group is left */
    if (consumer->assigning) {
        error = rd_kafka_incremental_assign(consumer->rk, consumer->assigning);
        if (error) {
            rd_kafka_error_destroy(error);
        }
    }
    leaving = LUTRA_NEW(struct kafka_leaving);
    leaving->bus = bus;
    leaving->rk = kafka_consumer_take_apart(consumer);
    leaving->deadline_ms = lutra_clock_now_ms() + LEAVE_DEADLINE_MS;
    leaving->timer = lutra_timer_new(bus->base.loop, on_leaving_timer, leaving);
    DL_APPEND(bus->leaving, leaving);
    queue = rd_kafka_queue_new(leaving->rk);
    error = rd_kafka_consumer_close_queue(leaving->rk, queue);
    if (error) {
        LUTRA_WARN("bus.leave_failed", LUTRA_F_STR("error", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
        leaving->deadline_ms = 0;
    }
    leaving->pump = kafka_pump_new(bus->base.loop, on_leaving_event, leaving, NULL);
    LUTRA_ASSERT(leaving->pump);
    kafka_pump_start(leaving->pump, queue);
    lutra_timer_start(leaving->timer, LEAVE_POLL_MS);
}

void kafka_leaving_close(struct kafka_bus *bus, uint64_t deadline_ms)
{
    while (bus->leaving) {
        struct kafka_leaving *leaving = bus->leaving;

        while (!leaving_over(leaving) && lutra_clock_now_ms() < deadline_ms) {
            kafka_pump_wait(leaving->pump, 5);
        }
        leaving_free(leaving);
    }
}

/* ---- the subscription ---- */

static void topics_free(struct kafka_subscription *sub)
{
    for (size_t i = 0; i < sub->n_topics; i++) {
        lutra_free(sub->topics[i]);
    }
    lutra_free(sub->topics);
    sub->topics = NULL;
    sub->n_topics = 0;
}

static void open_consumer(struct kafka_subscription *sub)
{
    struct lutra_error err;

    sub->consumer = kafka_consumer_new((struct kafka_bus *)sub->base.bus, sub->group, sub, &err);
    if (!sub->consumer) {
        LUTRA_ERROR("bus.consumer_not_made", LUTRA_F_STR("group", sub->group), LUTRA_F_ERR(&err));
        return; /* again at the next tick */
    }
    if (sub->n_topics > 0) {
        subscribe(sub);
    }
}

struct lutra_bus_subscription *
kafka_subscription_new(struct lutra_bus *base,
                       const char *group,
                       const struct lutra_bus_subscription_handler *handler,
                       void *arg)
{
    struct kafka_bus *bus = (struct kafka_bus *)base;
    struct kafka_subscription *sub = LUTRA_NEW(struct kafka_subscription);

    sub->base.bus = base;
    sub->group = lutra_strdup(group);
    sub->handler = *handler;
    sub->arg = arg;
    sub->retry = lutra_timer_new(base->loop, ask_offsets, sub);
    DL_APPEND(bus->subs, sub);
    open_consumer(sub);
    return &sub->base;
}

void kafka_subscription_free(struct lutra_bus_subscription *base)
{
    struct kafka_subscription *sub = (struct kafka_subscription *)base;

    sub->freed = true;
    lutra_task_schedule(((struct kafka_bus *)base->bus)->reap);
}

/* Its partitions are revoked; it joins again with a consumer of its own. */
static void replace_consumer(struct kafka_bus *bus, struct kafka_subscription *sub)
{
    struct kafka_consumer *consumer = sub->consumer;
    struct kafka_part *part;

    sub->rejoin = false;
    if (consumer) {
        DL_FOREACH(consumer->parts, part)
        {
            if (sub->freed) {
                break;
            }
            sub->handler.on_revoked(part->topic, part->partition, sub->arg);
        }
        sub->consumer = NULL;
        leave(bus, consumer);
    }
    if (!sub->freed) {
        open_consumer(sub);
    }
}

void kafka_subscription_rejoin(struct kafka_subscription *sub)
{
    sub->rejoin = true;
    lutra_task_schedule(((struct kafka_bus *)sub->base.bus)->reap);
}

/* librdkafka has no way to go on elsewhere in one partition of a group while a rebalance may be
 * under way: the member joins anew, and its committed offsets are checked this time. It is rare. */
void kafka_subscription_offset_gone(struct kafka_subscription *sub, const struct kafka_part *part)
{
    if (sub->offset_gone) {
        return; /* joins anew already */
    }
    sub->offset_gone = true;
    lutra_free(sub->told_topic);
    sub->told_topic = lutra_strdup(part->topic);
    sub->told_partition = part->partition;
    kafka_subscription_rejoin(sub);
    kafka_subscription_lost(sub, part->topic, part->partition, part->position, -1);
}

void kafka_subscription_refused(struct kafka_subscription *sub)
{
    struct kafka_bus *bus = (struct kafka_bus *)sub->base.bus;

    if (!bus->session_refused) {
        bus->session_refused = true;
        LUTRA_WARN("bus.session_timeout_refused", LUTRA_F_STR("group", sub->group),
                   LUTRA_F_STR("used_instead", "6 s"),
                   LUTRA_F_STR("hint", "the broker's group.min.session.timeout.ms"));
    }
    if (!sub->refused) { /* else: refused again, librdkafka goes on trying */
        sub->refused = true;
        kafka_subscription_rejoin(sub);
    }
}

static void subscription_end(struct kafka_bus *bus, struct kafka_subscription *sub)
{
    if (sub->consumer) {
        leave(bus, sub->consumer);
    }
    DL_DELETE(bus->subs, sub);
    topics_free(sub);
    lutra_timer_free(sub->retry);
    lutra_free(sub->told_topic);
    lutra_free(sub->group);
    lutra_free(sub);
}

void kafka_subscriptions_reap(struct kafka_bus *bus)
{
    struct kafka_subscription *sub, *tmp;

    DL_FOREACH_SAFE(bus->subs, sub, tmp)
    {
        if (sub->freed || bus->closing) {
            subscription_end(bus, sub);
        } else if (sub->rejoin || !sub->consumer) {
            replace_consumer(bus, sub);
        }
    }
}

void kafka_subscription_topics(struct lutra_bus_subscription *base,
                               const char *const *topics,
                               size_t n)
{
    struct kafka_subscription *sub = (struct kafka_subscription *)base;

    topics_free(sub);
    sub->topics = lutra_alloc(n * sizeof(char *));
    sub->n_topics = n;
    for (size_t i = 0; i < n; i++) {
        sub->topics[i] = lutra_strdup(topics[i]);
    }
    subscribe(sub);
}

static struct kafka_part *
sub_part(struct lutra_bus_subscription *base, const char *topic, int32_t partition)
{
    struct kafka_subscription *sub = (struct kafka_subscription *)base;

    return sub->consumer ? kafka_part_find(sub->consumer, topic, partition) : NULL;
}

void kafka_subscription_pause(struct lutra_bus_subscription *base,
                              const char *topic,
                              int32_t partition,
                              bool paused)
{
    struct kafka_part *part = sub_part(base, topic, partition);

    if (part) {
        kafka_part_pause(part, paused);
    }
}

void kafka_subscription_commit(struct lutra_bus_subscription *base,
                               const char *topic,
                               int32_t partition,
                               int64_t next_offset)
{
    struct kafka_part *part = sub_part(base, topic, partition);

    if (part) {
        part->commit = next_offset;
    }
}
