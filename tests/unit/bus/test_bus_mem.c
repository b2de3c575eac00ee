#include "bus/bus_mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one service instance sees. */
struct client {
    struct lutra_bus *bus;
    struct lutra_bus_subscription *sub;
    struct lutra_bus_reader *reader;
    unsigned acks, failed, starts, resets, health_changes;
    int64_t start, reset_from;
    struct lutra_error last_err;
    size_t n;
    struct {
        int32_t partition;
        int64_t offset;
        char text[24];
    } got[4096];
    bool owns[32];
    unsigned n_owned;
    bool commits, dies_at_revoke, frees_at_message;
    unsigned pause_after;
};

static struct lutra_loop *loop;
static struct lutra_mem_broker *broker;
static struct client a, b, c;

static void setup(void)
{
    loop = lutra_loop_new_sim(7);
    broker = lutra_mem_broker_new(loop);
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    memset(&c, 0, sizeof(c));
    a.bus = lutra_bus_mem_new(broker, "a");
    b.bus = lutra_bus_mem_new(broker, "b");
    c.bus = lutra_bus_mem_new(broker, "c");
}

static void client_fini(struct client *client)
{
    lutra_bus_reader_free(client->reader);
    lutra_bus_subscription_free(client->sub);
    lutra_bus_free(client->bus);
}

static void teardown(void)
{
    client_fini(&a);
    client_fini(&b);
    client_fini(&c);
    lutra_mem_broker_free(broker);
    lutra_loop_free(loop);
}

TestSuite(bus_mem, .init = setup, .fini = teardown);

static void on_ack(const struct lutra_error *err, void *arg)
{
    struct client *client = arg;

    client->acks++;
    if (err) {
        client->failed++;
        client->last_err = *err;
    }
}

static void on_message(const struct lutra_bus_message *message, void *arg)
{
    struct client *client = arg;

    cr_assert_lt(client->n, 4096);
    client->got[client->n].partition = message->partition;
    client->got[client->n].offset = message->offset;
    snprintf(client->got[client->n].text, 24, "%.*s", (int)message->payload_len,
             (const char *)message->payload);
    client->n++;
    if (client->commits && client->sub) {
        lutra_bus_subscription_commit(client->sub, message->topic, message->partition,
                                      message->offset + 1);
    }
    if (client->commits && client->reader) {
        lutra_bus_reader_commit(client->reader, message->offset + 1);
    }
    if (client->pause_after && client->n == client->pause_after) {
        lutra_bus_reader_pause(client->reader, true);
    }
    if (client->frees_at_message) {
        lutra_bus_reader_free(client->reader);
        client->reader = NULL;
    }
}

static void on_start(int64_t offset, void *arg)
{
    struct client *client = arg;

    client->starts++;
    client->start = offset;
}

static void on_reset(int64_t from, int64_t to, void *arg)
{
    struct client *client = arg;

    (void)to;
    client->resets++;
    client->reset_from = from;
}

static void on_assigned(const char *topic, int32_t partition, void *arg)
{
    struct client *client = arg;

    (void)topic;
    cr_assert(!client->owns[partition]);
    client->owns[partition] = true;
    client->n_owned++;
}

static void on_revoked(const char *topic, int32_t partition, void *arg)
{
    struct client *client = arg;

    (void)topic;
    cr_assert(client->owns[partition]);
    client->owns[partition] = false;
    client->n_owned--;
    if (client->dies_at_revoke) {
        lutra_bus_mem_kill(client->bus);
    }
}

static const struct lutra_bus_reader_handler reader_handler = {
    .on_message = on_message, .on_start = on_start, .on_reset = on_reset};
static const struct lutra_bus_subscription_handler sub_handler = {
    .on_message = on_message, .on_assigned = on_assigned, .on_revoked = on_revoked};

static int publish(struct client *client, int32_t partition, const char *text)
{
    struct lutra_error err;

    return lutra_bus_publish(client->bus,
                             &(struct lutra_bus_record){.topic = "t",
                                                        .partition = partition,
                                                        .key = "1",
                                                        .payload = text,
                                                        .payload_len = strlen(text)},
                             on_ack, client, &err);
}

static void publish_numbers(struct client *client, int32_t partition, int from, int to)
{
    char text[24];

    for (int i = from; i < to; i++) {
        snprintf(text, sizeof(text), "%d", i);
        cr_assert_eq(publish(client, partition, text), 0);
    }
}

static void read_from(struct client *client, enum lutra_bus_start start)
{
    client->reader = lutra_bus_reader_new(client->bus, "g", "t", 0, start, &reader_handler, client);
}

static void subscribe(struct client *client)
{
    const char *topics[] = {"t"};

    client->sub = lutra_bus_subscription_new(client->bus, "s", &sub_handler, client);
    lutra_bus_subscription_topics(client->sub, topics, 1);
}

Test(bus_mem, order_within_a_partition_survives_delays)
{
    struct lutra_mem_broker_faults faults = {.delay_min_ms = 1, .delay_max_ms = 40};

    lutra_mem_broker_create_topic(broker, "t", 1);
    lutra_mem_broker_set_faults(broker, &faults);
    read_from(&b, LUTRA_BUS_START_LOW);
    publish_numbers(&a, 0, 0, 500);
    cr_assert_eq(a.acks, 0, "nothing is called from within publish");
    lutra_loop_run_for(loop, 5000);
    cr_assert_eq(a.acks, 500);
    cr_assert_eq(a.failed, 0);
    cr_assert_eq(b.n, 500);
    for (int i = 0; i < 500; i++) {
        cr_assert_eq(atoi(b.got[i].text), i);
        cr_assert_eq(b.got[i].offset, i);
    }
}

Test(bus_mem, lost_acks_and_duplicates)
{
    struct lutra_mem_broker_faults faults = {.duplicate_percent = 30, .lose_ack_percent = 30};

    lutra_mem_broker_create_topic(broker, "t", 1);
    lutra_mem_broker_set_faults(broker, &faults);
    publish_numbers(&a, 0, 0, 300);
    lutra_loop_run_for(loop, 1000);
    cr_assert_eq(a.acks, 300);
    cr_assert(a.failed > 40 && a.failed < 160, "%u", a.failed);
    cr_assert_eq(a.last_err.class, LUTRA_RETRY);
    cr_assert(lutra_mem_broker_count(broker, "t", 0) > 340);
}

Test(bus_mem, a_broker_that_is_down_keeps_everything_waiting)
{
    struct lutra_mem_broker_faults down = {.down = true}, up = {0};

    lutra_mem_broker_create_topic(broker, "t", 1);
    read_from(&b, LUTRA_BUS_START_LOW);
    lutra_loop_run_for(loop, 10);
    lutra_mem_broker_set_faults(broker, &down);
    publish_numbers(&a, 0, 0, 10);
    lutra_loop_run_for(loop, 60000);
    cr_assert_eq(a.acks, 0);
    cr_assert_eq(b.n, 0);
    cr_assert(!lutra_bus_healthy(a.bus));
    lutra_mem_broker_set_faults(broker, &up);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.acks, 10);
    cr_assert_eq(b.n, 10);
    cr_assert(lutra_bus_healthy(a.bus));
}

Test(bus_mem, publishing_to_what_does_not_exist_is_told_by_the_ack)
{
    cr_assert_eq(publish(&a, 0, "x"), 0);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.failed, 1);
    cr_assert_eq(a.last_err.class, LUTRA_RETRY);
}

Test(bus_mem, a_message_above_the_limit_is_refused_at_once)
{
    size_t len = lutra_bus_max_message_bytes(a.bus);
    char *big = calloc(1, len + 1);
    struct lutra_bus_record record = {.topic = "t", .payload = big, .payload_len = len};
    struct lutra_error err;

    lutra_mem_broker_create_topic(broker, "t", 1);
    cr_assert_eq(lutra_bus_publish(a.bus, &record, on_ack, &a, &err), 0);
    record.key = "k";
    cr_assert_eq(lutra_bus_publish(a.bus, &record, on_ack, &a, &err), -1);
    cr_assert_eq(err.class, LUTRA_DATA);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.acks, 1);
    free(big);
}

Test(bus_mem, a_full_queue_refuses_and_recovers)
{
    struct lutra_mem_broker_faults down = {.down = true}, up = {0};
    char *big = calloc(1, 1 << 20);
    struct lutra_bus_record record = {.topic = "t", .payload = big, .payload_len = 1 << 20};
    struct lutra_error err;
    unsigned accepted = 0;

    lutra_mem_broker_create_topic(broker, "t", 1);
    lutra_mem_broker_set_faults(broker, &down);
    while (accepted < 1000 && lutra_bus_publish(a.bus, &record, on_ack, &a, &err) == 0) {
        accepted++;
    }
    cr_assert_lt(accepted, 100);
    cr_assert_eq(err.class, LUTRA_RETRY);
    lutra_mem_broker_set_faults(broker, &up);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.acks, accepted);
    cr_assert_eq(lutra_bus_publish(a.bus, &record, NULL, NULL, &err), 0);
    free(big);
}

Test(bus_mem, a_reader_starts_where_it_is_told)
{
    lutra_mem_broker_create_topic(broker, "t", 1);
    publish_numbers(&a, 0, 0, 10);
    lutra_loop_run_for(loop, 100);
    read_from(&b, LUTRA_BUS_START_END);
    cr_assert_eq(b.starts, 0);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(b.starts, 1);
    cr_assert_eq(b.start, 10);
    cr_assert_eq(b.n, 0);
    publish_numbers(&a, 0, 10, 12);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(b.n, 2);

    read_from(&c, LUTRA_BUS_START_COMMITTED);
    c.commits = true;
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(c.start, 0);
    cr_assert_eq(c.n, 12);
    lutra_bus_reader_free(c.reader);
    cr_assert_eq(lutra_mem_broker_committed(broker, "g", "t", 0), 12);
    publish_numbers(&a, 0, 12, 13);
    read_from(&c, LUTRA_BUS_START_COMMITTED);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(c.start, 12);
    cr_assert_eq(c.n, 13);
}

Test(bus_mem, pausing_takes_effect_before_the_next_message)
{
    lutra_mem_broker_create_topic(broker, "t", 1);
    read_from(&b, LUTRA_BUS_START_LOW);
    b.pause_after = 3;
    publish_numbers(&a, 0, 0, 10);
    lutra_loop_run_for(loop, 1000);
    cr_assert_eq(b.n, 3);
    lutra_bus_reader_pause(b.reader, false);
    lutra_loop_run_for(loop, 1000);
    cr_assert_eq(b.n, 10);
}

Test(bus_mem, a_reader_may_be_freed_in_its_own_callback)
{
    lutra_mem_broker_create_topic(broker, "t", 1);
    read_from(&b, LUTRA_BUS_START_LOW);
    b.frees_at_message = true;
    publish_numbers(&a, 0, 0, 10);
    lutra_loop_run_for(loop, 1000);
    cr_assert_eq(b.n, 1);
}

Test(bus_mem, a_lost_tail_resets_the_reader)
{
    lutra_mem_broker_create_topic(broker, "t", 1);
    read_from(&b, LUTRA_BUS_START_LOW);
    publish_numbers(&a, 0, 0, 3);
    lutra_loop_run_for(loop, 100);
    lutra_mem_broker_lose_last(broker, "t", 0);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(b.resets, 1);
    cr_assert_eq(b.reset_from, 3);
    cr_assert_eq(b.n, 5, "0 1 2, then 0 1 again");
}

Test(bus_mem, members_share_partitions_and_take_over)
{
    lutra_mem_broker_create_topic(broker, "t", 8);
    subscribe(&a);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.n_owned, 8);
    subscribe(&b);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.n_owned, 4);
    cr_assert_eq(b.n_owned, 4);
    for (int i = 0; i < 8; i++) {
        cr_assert_neq(a.owns[i], b.owns[i]);
    }
    /* Killed: its partitions stand still until its session is over. */
    a.commits = b.commits = true;
    lutra_bus_mem_kill(a.bus);
    for (int i = 0; i < 8; i++) {
        publish_numbers(&c, i, 0, 1);
    }
    lutra_loop_run_for(loop, 1500);
    cr_assert_eq(b.n, 4);
    lutra_loop_run_for(loop, 1000);
    cr_assert_eq(b.n, 8);
    cr_assert_eq(b.n_owned, 8);
    cr_assert_eq(a.n, 0, "no callback after the kill");
}

Test(bus_mem, leaving_hands_over_at_once_and_from_the_commit)
{
    lutra_mem_broker_create_topic(broker, "t", 2);
    a.commits = b.commits = true;
    subscribe(&a);
    publish_numbers(&c, 0, 0, 5);
    publish_numbers(&c, 1, 0, 5);
    lutra_loop_run_for(loop, 200);
    cr_assert_eq(a.n, 10);
    lutra_bus_subscription_free(a.sub);
    a.sub = NULL;
    subscribe(&b);
    publish_numbers(&c, 0, 5, 6);
    lutra_loop_run_for(loop, 200);
    cr_assert_eq(b.n, 1, "what was committed is not read again");
    cr_assert_eq(b.got[0].offset, 5);
}

Test(bus_mem, a_topic_made_after_the_subscription_is_picked_up)
{
    subscribe(&a);
    lutra_loop_run_for(loop, 1000);
    cr_assert_eq(a.n_owned, 0);
    lutra_mem_broker_create_topic(broker, "t", 3);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.n_owned, 3);
}

Test(bus_mem, leaving_out_a_topic_revokes_it)
{
    const char *topics[] = {"u"};

    lutra_mem_broker_create_topic(broker, "t", 3);
    subscribe(&a);
    lutra_loop_run_for(loop, 100);
    lutra_bus_subscription_topics(a.sub, topics, 1);
    lutra_loop_run_for(loop, 100);
    cr_assert_eq(a.n_owned, 0);
}

Test(bus_mem, a_member_may_die_inside_the_rebalance)
{
    lutra_mem_broker_create_topic(broker, "t", 4);
    subscribe(&a);
    lutra_loop_run_for(loop, 100);
    a.dies_at_revoke = true;
    subscribe(&b);
    lutra_loop_run_for(loop, 5000);
    cr_assert_eq(b.n_owned, 4);
}

Test(bus_mem, a_killed_client_writes_a_prefix_and_calls_nobody)
{
    struct lutra_mem_broker_faults faults = {.delay_min_ms = 10, .delay_max_ms = 10};

    lutra_mem_broker_create_topic(broker, "t", 1);
    lutra_mem_broker_set_faults(broker, &faults);
    read_from(&b, LUTRA_BUS_START_LOW);
    publish_numbers(&a, 0, 0, 100);
    lutra_bus_mem_kill(a.bus);
    lutra_loop_run_for(loop, 1000);
    cr_assert_eq(a.acks, 0);
    cr_assert_leq(b.n, 100);
    for (size_t i = 0; i < b.n; i++) {
        cr_assert_eq(atoi(b.got[i].text), (int)i);
    }
}

Test(bus_mem, topics_are_made_checked_and_deleted)
{
    struct lutra_bus_topic topic = {.name = "t", .partitions = 3, .retention_ms = 1000};
    const char *name = "t";

    cr_assert_eq(lutra_bus_partitions(a.bus, "t"), 0);
    lutra_bus_ensure_topics(a.bus, &topic, 1, on_ack, &a);
    lutra_loop_run_for(loop, 10);
    cr_assert_eq(a.acks, 1);
    cr_assert_eq(a.failed, 0);
    cr_assert_eq(lutra_bus_partitions(a.bus, "t"), 3);
    topic.partitions = 2;
    lutra_bus_ensure_topics(a.bus, &topic, 1, on_ack, &a);
    lutra_loop_run_for(loop, 10);
    cr_assert_eq(a.failed, 0, "more partitions than asked for are left");
    topic.partitions = 4;
    lutra_bus_ensure_topics(a.bus, &topic, 1, on_ack, &a);
    lutra_bus_warm_up(a.bus, "t", on_ack, &a);
    lutra_loop_run_for(loop, 10);
    cr_assert_eq(a.failed, 1);
    cr_assert_eq(a.acks, 4);
    cr_assert_eq(a.last_err.class, LUTRA_CONFIG);
    lutra_bus_delete_topics(a.bus, &name, 1, on_ack, &a);
    lutra_bus_warm_up(a.bus, "t", on_ack, &b);
    lutra_bus_forget(a.bus, &b);
    lutra_loop_run_for(loop, 10);
    cr_assert_eq(lutra_bus_partitions(a.bus, "t"), 0);
    cr_assert_eq(a.acks, 5);
    cr_assert_eq(b.acks, 0);
}

Test(bus_mem, injected_messages_are_like_any_other)
{
    struct lutra_bus_header header = {.name = "lutra-epoch", .value = "1"};

    lutra_mem_broker_inject(broker, &(struct lutra_bus_record){.topic = "t",
                                                               .key = "9",
                                                               .n_headers = 1,
                                                               .headers = &header,
                                                               .payload = "z",
                                                               .payload_len = 1});
    read_from(&a, LUTRA_BUS_START_LOW);
    lutra_loop_run_for(loop, 10);
    cr_assert_eq(a.n, 1);
    cr_assert_str_eq(a.got[0].text, "z");
}
