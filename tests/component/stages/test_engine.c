#include <criterion/criterion.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "bus/bus_ops.h"
#include "model/records.h"
#include "stages/batches.h"
#include "world.h"

static struct world *w;

static void setup(void)
{
    lutra_log_setup("test", "test", LUTRA_LOG_ERROR + 1, 0);
    lutra_fault_arm(NULL);
}

static void teardown(void)
{
    lutra_fault_arm(NULL);
    world_free(w);
}

TestSuite(engine, .init = setup, .fini = teardown);

static void start_all(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        (void)world_start(w, LUTRA_STAGE_EXTRACT);
        (void)world_start(w, LUTRA_STAGE_TRANSFORM);
    }
}

/* Everything that was written to the stage's input is committed. */
static void assert_all_committed(const char *stage)
{
    char topic[80];
    snprintf(topic, sizeof topic, "lutra.orders.%s", stage);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        int64_t n = (int64_t)lutra_mem_broker_count(w->broker, topic, i);
        if (n > 0) {
            cr_assert_eq(world_committed(w, stage, i), n, "%s/%d: %lld of %lld", topic, i,
                         (long long)world_committed(w, stage, i), (long long)n);
        }
    }
}

static bool control_read(struct lutra_control *control)
{
    struct lutra_error err;
    const char *text = lutra_mem_tree_peek(w->tree, "/lutra/pipelines/orders/control");
    return text && lutra_control_from_json(text, strlen(text), control, &err) == 0;
}

Test(engine, processes_pass_both_stages_and_everything_is_committed)
{
    w = world_new(1);
    struct node *extract = world_start(w, LUTRA_STAGE_EXTRACT);
    struct node *transform = world_start(w, LUTRA_STAGE_TRANSFORM);
    for (uint64_t id = 1; id <= 50; id++) {
        world_send(w, 1, id, id % 5 == 0 ? 0 : (uint32_t)id * 3);
    }
    cr_assert(world_all_arrived(w, 1, 30000));
    cr_assert_eq(w->arrived, 50);
    world_run(w, 3000);
    assert_all_committed("extract");
    assert_all_committed("transform");
    cr_assert_str_eq(node_text(extract, "state"), "RUNNING");
    cr_assert_eq(node_number(extract, "done"), 50);
    cr_assert_eq(node_number(extract, "partitions"), PARTITIONS);
    cr_assert_eq(node_number(extract, "last_process_id"), 50);
    cr_assert_eq(node_number(extract, "epoch"), 1);
    cr_assert_eq(node_number(extract, "in_hand"), 0);
    cr_assert_gt(node_number(extract, "rows"), 1000);
    cr_assert_eq(node_number(extract, "rows"), node_number(transform, "rows"));
    cr_assert_eq(node_bytes_in_hand(extract), 0);
}

Test(engine, is_ready_once_the_channels_are_known)
{
    char reason[128];
    w = world_new(1);
    lutra_mem_tree_set_down(w->tree, true);
    struct node *extract = world_start(w, LUTRA_STAGE_EXTRACT);
    world_run(w, 1000);
    cr_assert_not(lutra_stage_engine_ready(extract->engine, reason, sizeof reason));
    cr_assert_str_eq(reason, "the list of channels has not been read yet");
    lutra_mem_tree_set_down(w->tree, false);
    world_run(w, 10000);
    cr_assert(lutra_stage_engine_ready(extract->engine, reason, sizeof reason));
}

Test(engine, lower_epochs_are_dropped_and_counted)
{
    w = world_new(2);
    start_all(1);
    world_send(w, 7, 1, 3);
    cr_assert(world_all_arrived(w, 7, 10000));
    world_send(w, 6, 1, 3);
    world_send(w, 6, 2, 200);
    world_run(w, 5000);
    cr_assert_eq(w->arrived, 1);
    cr_assert_geq(node_number(&w->nodes[0], "stale"), 2);
    assert_all_committed("extract");
    world_send(w, 7, 2, 3);
    cr_assert(world_all_arrived(w, 7, 10000));
}

/* "state", "error_class" and "warning" of pipeline `other`, which follows after `orders`. */
static void
expect_other(struct node *node, const char *state, const char *class, const char *warning)
{
    json_t *root = json_object();
    lutra_stage_engine_state(node->engine, root);
    const json_t *entry = json_array_get(json_object_get(root, "pipelines"), 1);
    const char *found = json_string_value(json_object_get(entry, "error_class"));
    cr_assert_str_eq(json_string_value(json_object_get(entry, "pipeline")), "other");
    cr_assert_str_eq(json_string_value(json_object_get(entry, "state")), state);
    cr_assert_str_eq(found ? found : "", class);
    const char *said = json_string_value(json_object_get(entry, "warning"));
    cr_assert_eq(strncmp(said, warning, warning[0] ? strlen(warning) : 1), 0, "%s", said);
    json_decref(root);
}

Test(engine, a_bus_that_cannot_be_opened_for_now_stops_its_pipelines_only_and_not_for_good)
{
    w = world_new(11);
    w->no_threads = true;
    struct lutra_channel *channel =
        batch_channel_named("other", "[{source: {schema: shop, table: '*'}}]\n    source_bus: far");
    struct lutra_buf json = {0};
    lutra_channel_to_json(channel, &json);
    lutra_mem_tree_poke(w->tree, "/lutra/channels/other/config", lutra_buf_cstr(&json));
    lutra_mem_tree_poke(w->tree, "/lutra/channels/other/desired",
                        "{\"state\":\"START\",\"by\":\"test\",\"at_ms\":1}");
    lutra_buf_fini(&json);
    lutra_channel_free(channel);
    start_all(1);
    for (uint64_t id = 1; id <= 20; id++) {
        world_send(w, 1, id, 3);
    }
    cr_assert(world_all_arrived(w, 1, 10000));
    world_run(w, 300000);
    expect_other(&w->nodes[0], "BLOCKED", "retry", "cannot be opened now, is tried again: bus far");
    expect_other(&w->nodes[1], "BLOCKED", "retry", "cannot be opened now, is tried again: bus far");
    cr_assert_str_eq(node_text(&w->nodes[0], "warning"), "");
    cr_assert_str_eq(node_text(&w->nodes[0], "state"), "RUNNING");
    w->no_threads = false;
    world_run(w, 90000);
    expect_other(&w->nodes[0], "UNASSIGNED", "", "");
    expect_other(&w->nodes[1], "UNASSIGNED", "", "");
}

Test(engine, a_higher_epoch_drops_what_is_in_hand_of_lower_ones)
{
    w = world_new_without_output(3);
    struct node *extract = world_start(w, LUTRA_STAGE_EXTRACT);
    /* Without an output topic all is refused and waits. */
    world_send(w, 1, 1, 3);
    world_run(w, 3000);
    cr_assert_eq(node_number(extract, "in_hand"), 1);
    cr_assert_str_eq(node_text(extract, "state"), "RETRYING");
    for (uint64_t id = 1; id <= 20; id++) {
        world_send(w, 2, id, 3);
    }
    world_run(w, 3000);
    cr_assert_eq(node_number(extract, "epoch"), 2);
    cr_assert_eq(node_number(extract, "stale"), 1);
    world_create_output(w);
    (void)world_start(w, LUTRA_STAGE_TRANSFORM);
    cr_assert(world_all_arrived(w, 2, 30000));
    cr_assert_eq(w->sent[0].arrived, 0);
    world_run(w, 3000);
    assert_all_committed("extract");
}

Test(engine, a_message_of_a_later_definition_is_held_until_that_arrives)
{
    w = world_new(4);
    start_all(1);
    struct node *extract = &w->nodes[0];
    world_send(w, 1, 1, 3);
    cr_assert(world_all_arrived(w, 1, 10000));
    struct sent *held = world_send_config(w, 2, 2, 100, 2);
    world_run(w, 5000);
    cr_assert_eq(held->arrived, 0);
    cr_assert_eq(node_number(extract, "held"), 1);
    cr_assert_str_eq(node_text(extract, "state"), "HELD");
    cr_assert_lt(
        world_committed(w, "extract", held->partition),
        (int64_t)lutra_mem_broker_count(w->broker, "lutra.orders.extract", held->partition));
    cr_assert_str_eq(node_text(extract, "warning"), "", "it may be on its way");
    world_run(w, 6000);
    cr_assert_not_null(strstr(node_text(extract, "warning"), "waits for version 2 of the"), "%s",
                       node_text(extract, "warning"));
    world_config(w, 2);
    cr_assert(world_all_arrived(w, 2, 10000));
    cr_assert_eq(node_number(extract, "held"), 0);
    cr_assert_str_eq(node_text(extract, "warning"), "");
    /* And an earlier one is dropped: its epoch is about to end. */
    struct sent *late = world_send_config(w, 2, 3, 3, 1);
    world_run(w, 5000);
    cr_assert_eq(late->arrived, 0);
    cr_assert_eq(node_number(extract, "stale"), 1);
    assert_all_committed("extract");
}

Test(engine, what_is_held_for_a_definition_that_was_passed_by_is_dropped)
{
    w = world_new(5);
    start_all(1);
    struct sent *held = world_send_config(w, 1, 1, 3, 2);
    world_run(w, 5000);
    cr_assert_eq(node_number(&w->nodes[0], "held"), 1);
    world_config(w, 3);
    struct sent *next = world_send_config(w, 2, 1, 3, 3);
    cr_assert(world_all_arrived(w, 2, 10000));
    cr_assert_eq(next->arrived, 1);
    cr_assert_eq(held->arrived, 0);
    world_run(w, 3000);
    assert_all_committed("extract");
}

Test(engine, a_batch_that_cannot_be_worked_on_rolls_back_and_nothing_of_it_is_committed)
{
    struct lutra_control control;
    w = world_new(6);
    start_all(2);
    struct node *stopped = NULL;
    lutra_mem_tree_poke(w->tree, "/lutra/pipelines/orders/control",
                        "{\"state\":\"START\",\"epoch\":5,\"reason\":\"\",\"retry_at_ms\":0,"
                        "\"attempt\":0,\"by\":\"test\",\"at_ms\":1}");
    world_send(w, 5, 1, 3);
    cr_assert(world_all_arrived(w, 5, 10000));
    struct sent *bad = world_send_bad(w, 5, 2);
    world_run(w, 5000);
    cr_assert(control_read(&control));
    cr_assert_eq(control.epoch, 6);
    cr_assert_not(control.start);
    cr_assert_eq(control.retry_at_ms, 0);
    cr_assert_not_null(strstr(control.reason, "extract: process 2: "), "%s", control.reason);
    cr_assert_str_eq(control.by, "extract/one");
    for (size_t i = 0; i < 4; i += 2) {
        if (strcmp(node_text(&w->nodes[i], "state"), "STOPPED") == 0) {
            stopped = &w->nodes[i];
        }
    }
    cr_assert_not_null(stopped);
    int64_t committed = world_committed(w, "extract", bad->partition);
    cr_assert_lt(committed, (int64_t)lutra_mem_broker_count(w->broker, "lutra.orders.extract",
                                                            bad->partition));

    /* Killed before anything else happened: its successor comes to the same end. */
    world_kill(stopped);
    world_run(w, 10000);
    struct node *successor = NULL;
    for (size_t i = 0; i < 4; i++) {
        if (w->nodes[i].engine && strcmp(node_text(&w->nodes[i], "state"), "STOPPED") == 0) {
            successor = &w->nodes[i];
        }
    }
    cr_assert_not_null(successor);
    cr_assert(control_read(&control));
    cr_assert_eq(control.epoch, 6, "asked for twice");

    /* The next epoch flows. */
    for (uint64_t id = 2; id <= 30; id++) {
        world_send(w, 6, id, 3);
    }
    cr_assert(world_all_arrived(w, 6, 20000));
    world_run(w, 3000);
    assert_all_committed("extract");
    cr_assert_str_eq(node_text(successor, "state"), "RUNNING");
    cr_assert_str_eq(node_text(successor, "last_error"), "");
}

Test(engine, a_rollback_is_asked_for_again_until_it_is_heard)
{
    struct lutra_control control;
    w = world_new(7);
    start_all(1);
    world_send(w, 5, 1, 3);
    cr_assert(world_all_arrived(w, 5, 10000));
    lutra_mem_tree_set_down(w->tree, true);
    world_send_bad(w, 5, 2);
    world_send(w, 5, 3, 3);
    world_run(w, 20000);
    cr_assert_str_eq(node_text(&w->nodes[0], "state"), "STOPPED");
    cr_assert_not(control_read(&control));
    lutra_mem_tree_set_down(w->tree, false);
    world_run(w, 20000);
    cr_assert(control_read(&control));
    cr_assert_eq(control.epoch, 1, "%llu", (unsigned long long)control.epoch);
}

Test(engine, malformed_messages_are_counted_and_passed_over)
{
    const struct lutra_bus_header headers[] = {
        {"lutra-format", "2"}, {"lutra-epoch", "1"}, {"lutra-nonce", "x"}};
    w = world_new(8);
    start_all(1);
    world_run(w, 1000);
    for (size_t n = 0; n <= 3; n++) {
        struct lutra_bus_record record = {.topic = "lutra.orders.extract",
                                          .partition = 1,
                                          .key = "12",
                                          .n_headers = n,
                                          .headers = headers,
                                          .payload = "garbage",
                                          .payload_len = 7};
        lutra_mem_broker_inject(w->broker, &record);
    }
    for (uint64_t id = 1; id <= 20; id++) {
        world_send(w, 1, id, 3);
    }
    cr_assert(world_all_arrived(w, 1, 10000));
    cr_assert_eq(node_number(&w->nodes[0], "malformed"), 4);
    world_run(w, 3000);
    assert_all_committed("extract");
    cr_assert_str_eq(node_text(&w->nodes[0], "warning"),
                     "4 messages of topic lutra.orders.extract could not be used and were passed "
                     "over; what they should have been is sent again");
    cr_assert_str_eq(node_text(&w->nodes[1], "warning"), "");
    world_run(w, 300000);
    cr_assert_str_eq(node_text(&w->nodes[0], "warning"), "", "five minutes are enough");
}

Test(engine, a_producer_that_was_replaced_is_warned_of_by_those_who_use_it)
{
    w = world_new(12);
    start_all(1);
    struct node *idle = NULL;
    for (uint64_t id = 1; id <= 20; id++) {
        world_send(w, 1, id, 3);
    }
    cr_assert(world_all_arrived(w, 1, 10000));
    for (unsigned i = 0; i < PARTITIONS; i++) {
        idle = world_start(w, LUTRA_STAGE_EXTRACT); /* one too many */
    }
    world_run(w, 10000);
    for (size_t i = 0; i < MAX_NODES; i++) {
        if (w->nodes[i].engine && strcmp(node_text(&w->nodes[i], "state"), "UNASSIGNED") == 0) {
            idle = &w->nodes[i];
        }
    }
    lutra_bus_warn(w->nodes[1].bus, "the producer failed");
    lutra_bus_warn(idle->bus, "the producer failed");
    cr_assert_str_eq(node_text(&w->nodes[1], "warning"), "the producer failed");
    cr_assert_str_eq(node_text(idle, "state"), "UNASSIGNED");
    cr_assert_str_eq(node_text(idle, "warning"), "");
    world_run(w, 300000);
    cr_assert_str_eq(node_text(&w->nodes[1], "warning"), "");
}

Test(engine, memory_is_bounded_while_nothing_can_be_published)
{
    w = world_new_without_output(9);
    w->max_bytes_in_hand = 128 << 10;
    struct node *extract = world_start(w, LUTRA_STAGE_EXTRACT);
    for (uint64_t id = 1; id <= 200; id++) {
        world_send(w, 1, id, 100);
        if (id % 10 == 0) {
            world_run(w, 100);
        }
        cr_assert_lt(node_bytes_in_hand(extract), 1 << 20);
    }
    world_run(w, 30000);
    cr_assert_lt(node_bytes_in_hand(extract), 1 << 20);
    cr_assert_gt(node_number(extract, "retries"), 0);
    world_create_output(w);
    (void)world_start(w, LUTRA_STAGE_TRANSFORM);
    cr_assert(world_all_arrived(w, 1, 60000));
    world_run(w, 3000);
    assert_all_committed("extract");
    cr_assert_eq(node_bytes_in_hand(extract), 0);
}

Test(engine, drains_when_all_in_hand_is_acknowledged_and_leaves_the_rest_uncommitted)
{
    w = world_new(10);
    start_all(1);
    struct node *extract = &w->nodes[0];
    struct sent *held = world_send_config(w, 1, 1, 3, 2);
    world_run(w, 2000);
    cr_assert_eq(node_number(extract, "held"), 1);
    struct lutra_mem_broker_faults faults = {.delay_min_ms = 50, .delay_max_ms = 200};
    lutra_mem_broker_set_faults(w->broker, &faults);
    for (uint64_t id = 2; id <= 40; id++) {
        world_send(w, 1, id, 40);
    }
    world_run(w, 150);
    world_drain(extract);
    cr_assert_not(extract->drained); /* never from within the call */
    world_run(w, 10000);
    cr_assert(extract->drained);
    cr_assert_eq(node_number(extract, "in_hand"), 0);
    world_stop(extract);
    cr_assert_lt(
        world_committed(w, "extract", held->partition),
        (int64_t)lutra_mem_broker_count(w->broker, "lutra.orders.extract", held->partition));
    world_config(w, 2);
    (void)world_start(w, LUTRA_STAGE_EXTRACT);
    /* Those of config 1 are dropped now; the held one is there again. */
    world_run(w, 10000);
    cr_assert_eq(held->arrived, 1);
}

Test(engine, an_idle_engine_drains_at_once)
{
    w = world_new(11);
    struct node *extract = world_start(w, LUTRA_STAGE_EXTRACT);
    world_run(w, 1000);
    world_drain(extract);
    world_run(w, 10);
    cr_assert(extract->drained);
}

Test(engine, pipelines_of_another_site_are_left_alone)
{
    w = world_new(12);
    lutra_mem_tree_poke(w->tree, "/lutra/channels/orders/config", NULL);
    struct node *extract = world_start(w, LUTRA_STAGE_EXTRACT);
    extract->env.site = "elsewhere";
    world_config(w, 1);
    (void)world_start(w, LUTRA_STAGE_TRANSFORM);
    struct sent *sent = world_send(w, 1, 1, 3);
    world_run(w, 10000);
    cr_assert_eq(sent->arrived, 0);
    cr_assert_eq(world_committed(w, "extract", sent->partition), -1);
    world_stop(extract);
    (void)world_start(w, LUTRA_STAGE_EXTRACT);
    cr_assert(world_all_arrived(w, 1, 10000));
}

Test(engine, a_channel_that_is_deleted_and_made_again_flows_again)
{
    w = world_new(13);
    start_all(1);
    for (uint64_t id = 1; id <= 10; id++) {
        world_send(w, 1, id, 3);
    }
    struct sent *held = world_send_config(w, 1, 11, 3, 2);
    world_run(w, 3000);
    cr_assert_eq(held->arrived, 0);
    world_remove_config(w);
    world_run(w, 3000);
    world_config(w, 2);
    for (uint64_t id = 1; id <= 10; id++) {
        world_send_config(w, 2, id, 3, 2);
    }
    cr_assert(world_all_arrived(w, 2, 20000));
    world_run(w, 3000);
    assert_all_committed("extract");
}

/* Each point, armed as error, is hit and costs nothing but a repetition. */
Test(engine, fault_points_are_hit_and_survived)
{
    static const char *const points[] = {
        "extract.before_publish",   "extract.published",   "extract.acked",
        "transform.before_publish", "transform.published", "transform.acked",
    };
    w = world_new(14);
    start_all(1);
    world_run(w, 1000);
    for (size_t i = 0; i < 6; i++) {
        char spec[64];
        uint64_t retries =
            (uint64_t)(node_number(&w->nodes[0], "retries") + node_number(&w->nodes[1], "retries"));
        world_run(w, 3000);
        snprintf(spec, sizeof spec, "%s=error:2", points[i]);
        lutra_fault_arm(spec);
        for (uint64_t id = 1; id <= 5; id++) {
            world_send(w, 1, i * 5 + id, 3);
        }
        cr_assert(world_all_arrived(w, 1, 10000), "%s", points[i]);
        world_run(w, 3000);
        cr_assert_eq(
            (uint64_t)(node_number(&w->nodes[0], "retries") + node_number(&w->nodes[1], "retries")),
            retries + 1, "%s was not hit", points[i]);
        assert_all_committed("extract");
        assert_all_committed("transform");
    }
    lutra_fault_arm("extract.received=error,transform.received=error");
    world_send(w, 1, 100, 3);
    world_send(w, 1, 101, 3);
    world_run(w, 5000);
    cr_assert_eq(node_number(&w->nodes[0], "malformed"), 1);
    cr_assert_eq(node_number(&w->nodes[1], "malformed"), 1);
}
