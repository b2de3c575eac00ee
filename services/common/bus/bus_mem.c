/* A client of the broker in memory.
 *
 * DESIGN: everything happens in the client's turn (a task; a timer when something is due later):
 * what was published is written when its delay is over and acknowledged after that, then messages
 * are delivered, one at a time, to the partition that waited longest. Nothing is called from within
 * a call of the port. Any callback may free readers and subscriptions or kill the client: after
 * each one the next piece of work is looked up anew. */
#include "bus/bus_mem.h"

#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "bus/mem_broker.h"

#define MEM_QUEUE_MESSAGES 100000
#define MEM_QUEUE_BYTES ((size_t)64 << 20)

struct mem_send {
    char *topic;
    int32_t partition;
    struct mem_record *record; /* NULL once written */
    size_t bytes;
    uint64_t due_ms; /* written then; after that: acknowledged then */
    lutra_bus_ack_fn ack;
    void *arg;
    struct lutra_error err; /* class OK: the ack says so */
    struct mem_send *prev, *next;
};

enum call_kind { CALL_WARM_UP, CALL_ENSURE, CALL_DELETE, CALL_LIST, CALL_GROUP, CALL_FORGET };

struct mem_call {
    enum call_kind kind;
    size_t n;
    struct lutra_bus_topic *topics; /* names owned */
    char **names;
    lutra_bus_ack_fn done;
    lutra_bus_names_fn list;
    void *arg;
    struct mem_call *prev, *next;
};

void mem_wake(struct mem_bus *bus)
{
    if (!bus->killed) {
        lutra_task_schedule(bus->turn);
    }
}

void mem_wake_all(struct lutra_mem_broker *broker)
{
    struct mem_bus *bus;

    DL_FOREACH(broker->clients, bus)
    {
        mem_wake(bus);
    }
}

/* ---- publishing ---- */

static int mem_publish(struct lutra_bus *base,
                       const struct lutra_bus_record *record,
                       lutra_bus_ack_fn ack,
                       void *arg,
                       struct lutra_error *err)
{
    struct mem_bus *bus = (struct mem_bus *)base;
    struct mem_partition *partition =
        mem_partition_find(bus->broker, record->topic, record->partition);
    struct mem_send *send;

    if (bus->killed || bus->queued_n >= MEM_QUEUE_MESSAGES ||
        bus->queued_bytes >= MEM_QUEUE_BYTES) {
        return lutra_error_set(err, LUTRA_RETRY, 0, "the bus's queue is full");
    }
    send = LUTRA_NEW(struct mem_send);
    send->topic = lutra_strdup(record->topic);
    send->partition = record->partition;
    send->record = mem_record_new(record);
    send->bytes = mem_record_bytes(send->record);
    send->ack = ack;
    send->arg = arg;
    send->due_ms = lutra_loop_now_ms(base->loop) + mem_draw_delay_ms(bus->broker);
    if (partition) {
        if (send->due_ms < partition->last_due_ms) {
            send->due_ms = partition->last_due_ms;
        }
        partition->last_due_ms = send->due_ms;
    }
    bus->queued_n++;
    bus->queued_bytes += send->bytes;
    DL_APPEND(bus->sending, send);
    mem_wake(bus);
    return 0;
}

static void send_free(struct mem_bus *bus, struct mem_send *send)
{
    bus->queued_n--;
    bus->queued_bytes -= send->bytes;
    mem_record_free(send->record);
    lutra_free(send->topic);
    lutra_free(send);
}

static void write_one(struct mem_bus *bus, struct mem_send *send)
{
    struct lutra_mem_broker *broker = bus->broker;
    struct mem_partition *partition = mem_partition_find(broker, send->topic, send->partition);

    if (!partition) {
        lutra_error_set(&send->err, LUTRA_RETRY, 0, "there is no partition %d of topic %s",
                        (int)send->partition, send->topic);
        return;
    }
    if (mem_draw_percent(broker, broker->faults.duplicate_percent)) {
        mem_partition_append(partition, mem_record_dup(send->record));
    }
    mem_partition_append(partition, LUTRA_STEAL(send->record));
    if (mem_draw_percent(broker, broker->faults.lose_ack_percent)) {
        lutra_error_set(&send->err, LUTRA_RETRY, 0, "the acknowledgement was lost");
    }
}

static void write_due(struct mem_bus *bus, uint64_t now_ms)
{
    struct mem_send *send, *tmp;
    bool written = false;

    DL_FOREACH_SAFE(bus->sending, send, tmp)
    {
        if (send->due_ms > now_ms) {
            continue;
        }
        write_one(bus, send);
        written = true;
        DL_DELETE(bus->sending, send);
        send->due_ms = now_ms + mem_draw_delay_ms(bus->broker) / 2;
        if (send->due_ms < bus->last_ack_ms) {
            send->due_ms = bus->last_ack_ms; /* acks come in order */
        }
        bus->last_ack_ms = send->due_ms;
        DL_APPEND(bus->acking, send);
    }
    if (written) {
        mem_wake_all(bus->broker);
    }
}

static void ack_due(struct mem_bus *bus, uint64_t now_ms)
{
    while (!bus->killed && bus->acking && bus->acking->due_ms <= now_ms) {
        struct mem_send *send = bus->acking;

        DL_DELETE(bus->acking, send);
        if (send->ack) {
            send->ack(send->err.class == LUTRA_OK ? NULL : &send->err, send->arg);
        }
        send_free(bus, send);
    }
}

static void mem_forget(struct lutra_bus *base, void *arg)
{
    struct mem_bus *bus = (struct mem_bus *)base;
    struct mem_send *send;
    struct mem_call *call;

    DL_FOREACH(bus->sending, send)
    {
        send->ack = send->arg == arg ? NULL : send->ack;
    }
    DL_FOREACH(bus->acking, send)
    {
        send->ack = send->arg == arg ? NULL : send->ack;
    }
    DL_FOREACH(bus->calls, call)
    {
        call->done = call->arg == arg ? NULL : call->done;
        call->list = call->arg == arg ? NULL : call->list;
    }
}

/* ---- topics ---- */

static struct mem_call *
call_new(struct mem_bus *bus, enum call_kind kind, size_t n, lutra_bus_ack_fn done, void *arg)
{
    struct mem_call *call = LUTRA_NEW(struct mem_call);

    call->kind = kind;
    call->n = n;
    call->names = lutra_alloc(n * sizeof(char *));
    call->topics = lutra_alloc(n * sizeof(*call->topics));
    call->done = done;
    call->arg = arg;
    DL_APPEND(bus->calls, call);
    mem_wake(bus);
    return call;
}

static void call_free(struct mem_call *call)
{
    for (size_t i = 0; i < call->n; i++) {
        lutra_free(call->names[i]);
    }
    lutra_free(call->names);
    lutra_free(call->topics);
    lutra_free(call);
}

static void mem_warm_up(struct lutra_bus *base, const char *topic, lutra_bus_ack_fn done, void *arg)
{
    struct mem_call *call = call_new((struct mem_bus *)base, CALL_WARM_UP, 1, done, arg);

    call->names[0] = lutra_strdup(topic);
}

static void mem_ensure_topics(struct lutra_bus *base,
                              const struct lutra_bus_topic *topics,
                              size_t n,
                              lutra_bus_ack_fn done,
                              void *arg)
{
    struct mem_call *call = call_new((struct mem_bus *)base, CALL_ENSURE, n, done, arg);

    for (size_t i = 0; i < n; i++) {
        call->names[i] = lutra_strdup(topics[i].name);
        call->topics[i] = topics[i];
    }
}

static void mem_delete_topics(
    struct lutra_bus *base, const char *const *topics, size_t n, lutra_bus_ack_fn done, void *arg)
{
    struct mem_call *call = call_new((struct mem_bus *)base, CALL_DELETE, n, done, arg);

    for (size_t i = 0; i < n; i++) {
        call->names[i] = lutra_strdup(topics[i]);
    }
}

static void mem_list_topics(struct lutra_bus *base, lutra_bus_names_fn done, void *arg)
{
    call_new((struct mem_bus *)base, CALL_LIST, 0, NULL, arg)->list = done;
}

static void
mem_list_group(struct lutra_bus *base, const char *group, lutra_bus_names_fn done, void *arg)
{
    struct mem_call *call = call_new((struct mem_bus *)base, CALL_GROUP, 1, NULL, arg);

    call->names[0] = lutra_strdup(group);
    call->list = done;
}

static void mem_delete_offsets(
    struct lutra_bus *base, const char *group, const char *topic, lutra_bus_ack_fn done, void *arg)
{
    struct mem_call *call = call_new((struct mem_bus *)base, CALL_FORGET, 2, done, arg);

    call->names[0] = lutra_strdup(topic);
    call->names[1] = lutra_strdup(group);
}

static void call_run(struct mem_bus *bus, const struct mem_call *call, struct lutra_error *err)
{
    for (size_t i = 0; i < call->n; i++) {
        const char *name = call->names[i];
        const struct mem_topic *topic = mem_topic_find(bus->broker, name);

        switch (call->kind) {
        case CALL_WARM_UP:
            if (!topic) {
                lutra_error_set(err, LUTRA_RETRY, 0, "topic %s does not exist", name);
            }
            break;
        case CALL_ENSURE:
            if (!topic) {
                lutra_mem_broker_create_topic(bus->broker, name, call->topics[i].partitions);
            } else if (topic->n < call->topics[i].partitions) {
                lutra_error_set(err, LUTRA_CONFIG, 0,
                                "topic %s has %d partitions, fewer than the %d asked for", name,
                                (int)topic->n, (int)call->topics[i].partitions);
            }
            break;
        case CALL_DELETE:
            mem_topic_delete(bus->broker, name);
            break;
        case CALL_LIST:
        case CALL_GROUP:
            break;
        case CALL_FORGET:
            mem_group_delete_offsets(mem_group_get(bus->broker, call->names[1]), name);
            return;
        }
    }
}

static void run_calls(struct mem_bus *bus)
{
    while (!bus->killed && bus->calls) {
        struct mem_call *call = bus->calls;
        struct lutra_error err = {0};

        DL_DELETE(bus->calls, call);
        call_run(bus, call, &err);
        if (call->list) {
            char **names = NULL;
            size_t n = call->kind == CALL_LIST
                           ? mem_topic_names(bus->broker, &names)
                           : mem_group_topics(mem_group_get(bus->broker, call->names[0]), &names);
            call->list((const char *const *)names, n, NULL, call->arg);
            while (n > 0) {
                lutra_free(names[--n]);
            }
            lutra_free(names);
        } else if (call->done) {
            call->done(err.class == LUTRA_OK ? NULL : &err, call->arg);
        }
        call_free(call);
    }
}

static int32_t mem_partitions(struct lutra_bus *base, const char *topic)
{
    const struct mem_topic *found = mem_topic_find(((struct mem_bus *)base)->broker, topic);

    return found ? found->n : 0;
}

static void arm_timer(struct mem_bus *bus, uint64_t now_ms)
{
    const struct mem_send *send;
    uint64_t due_ms = bus->acking ? bus->acking->due_ms : UINT64_MAX;

    DL_FOREACH(bus->sending, send)
    {
        due_ms = send->due_ms < due_ms ? send->due_ms : due_ms;
    }
    if (due_ms != UINT64_MAX) {
        lutra_timer_start(bus->later, due_ms > now_ms ? due_ms - now_ms : 0);
    }
}

static void on_turn(void *arg)
{
    struct mem_bus *bus = arg;
    uint64_t now_ms = lutra_loop_now_ms(bus->base.loop);

    if (bus->killed) {
        return;
    }
    lutra_bus_set_healthy(&bus->base, !bus->broker->faults.down);
    if (bus->killed || bus->broker->faults.down) {
        return;
    }
    run_calls(bus);
    if (bus->killed) {
        return;
    }
    write_due(bus, now_ms);
    ack_due(bus, now_ms);
    if (mem_deliver_some(bus)) {
        mem_wake(bus);
    }
    if (!bus->killed && !bus->broker->faults.down) {
        arm_timer(bus, now_ms);
    }
}

/* ---- the client ---- */

/* What a crashed process had under way: the first so many are written, the rest never left it. */
static void kill_sending(struct mem_bus *bus)
{
    uint64_t keep = 0;

    if (bus->sending && !bus->broker->faults.down) {
        keep = lutra_loop_random(bus->base.loop) % (bus->queued_n + 1);
    }
    while (bus->sending) {
        struct mem_send *send = bus->sending;

        DL_DELETE(bus->sending, send);
        if (keep > 0) {
            keep--;
            write_one(bus, send);
        }
        send_free(bus, send);
    }
    mem_wake_all(bus->broker);
}

static void drop_rest(struct mem_bus *bus)
{
    struct mem_send *send, *next_send;
    struct mem_call *call, *next_call;

    DL_CONCAT(bus->sending, bus->acking);
    bus->acking = NULL;
    DL_FOREACH_SAFE(bus->sending, send, next_send)
    {
        send_free(bus, send);
    }
    bus->sending = NULL;
    DL_FOREACH_SAFE(bus->calls, call, next_call)
    {
        call_free(call);
    }
    bus->calls = NULL;
}

void lutra_bus_mem_kill(struct lutra_bus *base)
{
    struct mem_bus *bus = (struct mem_bus *)base;
    struct mem_sub *sub;

    if (bus->killed) {
        return;
    }
    bus->killed = true;
    kill_sending(bus);
    DL_FOREACH(bus->subs, sub)
    {
        mem_member_killed(sub->member);
        sub->member = NULL;
    }
    lutra_timer_stop(bus->later);
    lutra_timer_stop(bus->commit);
    lutra_task_cancel(bus->turn);
    /* The list may be in use by the frame below: freed with the client. */
}

static void mem_free(struct lutra_bus *base)
{
    struct mem_bus *bus = (struct mem_bus *)base;

    while (bus->readers) {
        mem_reader_free(&bus->readers->base);
    }
    while (bus->subs) {
        mem_subscription_free(&bus->subs->base);
    }
    if (!bus->killed && !bus->broker->faults.down) {
        write_due(bus, UINT64_MAX);
    }
    drop_rest(bus);
    lutra_task_free(bus->turn);
    lutra_timer_free(bus->later);
    lutra_timer_free(bus->commit);
    DL_DELETE(bus->broker->clients, bus);
    lutra_free(bus->client_id);
    lutra_free(bus);
}

static const struct lutra_bus_ops mem_ops = {
    .free = mem_free,
    .publish = mem_publish,
    .forget = mem_forget,
    .warm_up = mem_warm_up,
    .ensure_topics = mem_ensure_topics,
    .delete_topics = mem_delete_topics,
    .list_topics = mem_list_topics,
    .group_topics = mem_list_group,
    .delete_offsets = mem_delete_offsets,
    .partitions = mem_partitions,
    .reader_new = mem_reader_new,
    .reader_free = mem_reader_free,
    .reader_pause = mem_reader_pause,
    .reader_commit = mem_reader_commit,
    .subscription_new = mem_subscription_new,
    .subscription_free = mem_subscription_free,
    .subscription_topics = mem_subscription_topics,
    .subscription_pause = mem_subscription_pause,
    .subscription_commit = mem_subscription_commit,
};

struct lutra_bus *lutra_bus_mem_new(struct lutra_mem_broker *broker, const char *client_id)
{
    struct mem_bus *bus = LUTRA_NEW(struct mem_bus);

    bus->base.ops = &mem_ops;
    bus->base.loop = broker->loop;
    bus->base.max_message_bytes = broker->max_message_bytes;
    bus->base.healthy = !broker->faults.down;
    bus->broker = broker;
    bus->client_id = lutra_strdup(client_id);
    bus->turn = lutra_task_new(broker->loop, on_turn, bus);
    bus->later = lutra_timer_new(broker->loop, on_turn, bus);
    bus->commit = lutra_timer_new(broker->loop, mem_write_commits, bus);
    DL_APPEND(broker->clients, bus);
    return &bus->base;
}
