/* Harm done while rows flow; afterwards both sides hold the same rows. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/kafka.h"
#include "support/test.h"
#include "workload.h"

Test(faults, sysbench_while_syncing, .timeout = 180)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2, .transforms = 2}, 10, 150);
    workload_for(&w, 8000);
    workload_finish(&w);
    cr_assert_leq(cluster_state_int(&c, &c.selects[0], "max_in_flight"), 32,
                  "the window was exceeded");
    cluster_end(&c);
}

Test(faults, kill_9_of_each_service_in_turn, .timeout = 300)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2, .transforms = 2}, 40, 150);
    struct lutra_test_service *victims[] = {&c.selects[0], &c.extracts[0], &c.transforms[0],
                                            &c.loads[0],   &c.managers[0], &c.extracts[1],
                                            &c.loads[0],   &c.selects[0]};
    for (size_t i = 0; i < sizeof victims / sizeof *victims; i++) {
        workload_for(&w, 2000);
        lutra_proc_kill9(victims[i]->proc);
        workload_for(&w, 500);
        lutra_test_service_restart(victims[i], NULL);
        workload_for(&w, 1500);
    }
    workload_finish(&w);
    cluster_end(&c);
}

Test(faults, standbys_take_over_without_a_manager, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    workload_begin(
        &w, &c, &(struct cluster_options){.selects = 2, .extracts = 2, .transforms = 2, .loads = 2},
        20, 150);
    workload_for(&w, 2000);
    lutra_proc_kill9(c.managers[0].proc);
    for (int i = 0; i < 2; i++) {
        struct lutra_test_service *load = cluster_owner(&c, "load");
        struct lutra_test_service *select = cluster_owner(&c, "select");
        cr_assert_not_null(load);
        cr_assert_not_null(select);
        lutra_proc_kill9(load->proc);
        workload_for(&w, 5000);
        lutra_proc_kill9(select->proc);
        workload_for(&w, 5000);
        lutra_test_service_restart(load, NULL);
        lutra_test_service_restart(select, NULL);
        workload_for(&w, 3000);
    }
    lutra_proc_kill9(c.extracts[0].proc);
    lutra_proc_kill9(c.transforms[1].proc);
    workload_finish(&w);
    cluster_end(&c);
}

Test(faults, rollback_and_restart_under_load, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2, .transforms = 2}, 20, 150);
    int64_t epoch = cluster_epoch(&c);
    for (int i = 0; i < 3; i++) {
        workload_for(&w, 1500);
        cr_assert_eq(cluster_ctl(&c, "restart %s --reason test", c.name), 0);
        workload_for(&w, 1500);
        cr_assert_eq(cluster_ctl(&c, "rollback %s --reason test", c.name), 0);
        cluster_await_state(&c, "ROLLED_BACK", 20000);
        workload_for(&w, 500);
        cr_assert_eq(cluster_ctl(&c, "start %s", c.name), 0);
        cluster_await_state(&c, "RUNNING", 30000);
        cr_assert_gt(cluster_epoch(&c), epoch, "no new epoch");
        epoch = cluster_epoch(&c);
    }
    workload_finish(&w);
    cluster_end(&c);
}

Test(faults, pause_and_stop_keep_every_row, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){0}, 15, 150);
    workload_for(&w, 1000);
    cr_assert_eq(cluster_ctl(&c, "pause %s", c.name), 0);
    cluster_await_state(&c, "PAUSED", 20000);
    workload_for(&w, 1500);
    cr_assert_eq(cluster_ctl(&c, "start %s", c.name), 0);
    cluster_await_state(&c, "RUNNING", 30000);
    workload_for(&w, 1000);
    cr_assert_eq(cluster_ctl(&c, "stop %s", c.name), 0);
    cluster_await_state(&c, "STOPPED", 60000);
    workload_for(&w, 1500);
    cr_assert_eq(cluster_ctl(&c, "start %s", c.name), 0);
    cluster_await_state(&c, "RUNNING", 30000);
    workload_finish(&w);
    cluster_end(&c);
}

static struct lutra_test_service *zombie;
static bool another_owner(struct cluster *c)
{
    struct lutra_test_service *owner = cluster_owner(c, "load");
    return owner != NULL && owner != zombie;
}

static int64_t epoch_before;
static bool epoch_rose(struct cluster *c)
{
    return cluster_epoch(c) > epoch_before;
}

static void zombie_wakes(struct cluster *c, struct workload *w)
{
    cr_assert(workload_until(w, another_owner, 30000), "no standby took over");
    cr_assert(workload_until(w, epoch_rose, 30000), "the standby made no epoch");
    workload_for(w, 2000);
    lutra_proc_thaw(zombie->proc);
    workload_for(w, 4000);
    workload_finish(w);
    cr_assert_eq(cluster_state_int(c, zombie, "owner"), 0,
                 "the zombie believes that it owns the pipeline");
}

Test(faults, a_zombie_load_commits_nothing, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.loads = 2}, 20, 150);
    workload_for(&w, 2000);
    epoch_before = cluster_epoch(&c);
    zombie = cluster_owner(&c, "load");
    cr_assert_not_null(zombie);
    lutra_proc_freeze(zombie->proc);
    zombie_wakes(&c, &w);
    cluster_end(&c);
}

Test(faults, a_zombie_frozen_before_its_commit_is_killed_and_refused, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    static const char *const faults[] = {"load:load.before_commit=pause:40", NULL};
    workload_begin(&w, &c, &(struct cluster_options){.loads = 2, .faults = faults}, 30, 150);
    LUTRA_WAIT_FOR(cluster_owner(&c, "load") != NULL, 10000);
    zombie = &c.loads[0]; /* the one with the fault; it must be the owner */
    if (cluster_owner(&c, "load") != zombie) {
        lutra_proc_kill9(c.loads[1].proc);
        LUTRA_WAIT_FOR(cluster_owner(&c, "load") == zombie, 20000);
        lutra_test_service_restart(&c.loads[1], NULL);
    }
    epoch_before = cluster_epoch(&c);
    zombie_wakes(&c, &w);
    cluster_end(&c);
}

Test(faults, a_crash_at_every_step_of_a_unit_loses_and_doubles_nothing, .timeout = 300)
{
    static const char *const steps[] = {"load.after_begin", "load.mid_rows", "load.before_commit",
                                        "load.commit_sent", "load.after_commit"};
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){0}, 25, 150);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        lutra_proc_kill9(c.loads[0].proc);
        char *fault = lutra_test_format("LUTRA_TEST_FAULTS=%s=crash:15", steps[i]);
        const char *env[] = {fault, NULL};
        lutra_test_service_restart(&c.loads[0], env);
        uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(30000);
        while (lutra_proc_running(c.loads[0].proc)) {
            cr_assert(lutra_test_now_ms() < end_ms, "%s was never reached", steps[i]);
            workload_step(&w);
            lutra_test_poll_pause();
        }
        free(fault);
        lutra_test_service_restart(&c.loads[0], NULL);
        workload_for(&w, 1000);
    }
    workload_finish(&w);
    cluster_end(&c);
}

/* ---- messages that should not be there ---- */

static void reproduce(const char *topic,
                      const struct lutra_kafka_message *message,
                      const char *header,
                      const char *value)
{
    const char *brokers = lutra_test_stack()->kafka;
    struct lutra_kafka_header headers[32];
    struct lutra_kafka_message copy = *message;
    size_t n = message->n_headers < 32 ? message->n_headers : 32;
    for (size_t i = 0; i < n; i++) {
        headers[i] = message->headers[i];
        if (header != NULL && strcmp(headers[i].name, header) == 0) {
            headers[i].value = strdup(value);
        }
    }
    copy.headers = headers;
    copy.n_headers = n;
    lutra_kafka_produce(brokers, topic, &copy);
}

Test(faults, duplicate_stale_and_garbage_messages_change_nothing, .timeout = 240)
{
    static const char *const stages[] = {"extract", "transform", "load", "termin"};
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c, &(struct cluster_options){.extracts = 2, .transforms = 2}, 15, 150);
    workload_for(&w, 2000);
    cr_assert_eq(cluster_ctl(&c, "restart %s --reason test", c.name),
                 0); /* now there are two epochs in the topics */
    workload_for(&w, 3000);
    for (size_t s = 0; s < 4; s++) {
        char *topic = cluster_topic(&c, stages[s]);
        struct lutra_kafka_messages all = lutra_kafka_read_all(lutra_test_stack()->kafka, topic);
        cr_assert_gt(all.n, 0, "nothing in %s", topic);
        for (size_t i = 0; i < all.n && i < 40; i++) {
            const struct lutra_kafka_message *m = &all.items[all.n > 40 ? all.n - 1 - i : i];
            reproduce(topic, m, NULL, NULL); /* again, byte for byte */
            if (s >=
                2) { /* another epoch of that number; the stages in between do not look at it */
                reproduce(topic, m, "lutra-nonce", "0123456789abcdef");
            }                                            /* another epoch of that number */
            reproduce(topic, &all.items[i], NULL, NULL); /* of the former epoch */
        }
        struct lutra_kafka_message garbage = all.items[all.n - 1];
        garbage.payload = (void *)(uintptr_t) "\xff\xff\xff\xff not protobuf";
        garbage.len = 10;
        garbage.n_headers = 0;
        lutra_kafka_produce(lutra_test_stack()->kafka, topic, &garbage); /* no headers at all */
        lutra_kafka_messages_fini(&all);
        free(topic);
        workload_for(&w, 1000);
    }
    workload_finish(&w);
    cr_assert_gt(cluster_state_int(&c, &c.loads[0], "duplicates"), 0);
    cr_assert_gt(cluster_state_int(&c, &c.loads[0], "stale"), 0);
    cluster_end(&c);
}

/* ---- order ---- */

Test(faults, processes_that_arrive_out_of_order_are_applied_in_order, .timeout = 240)
{
    struct cluster c;
    struct workload w;
    workload_begin(&w, &c,
                   &(struct cluster_options){
                       .extracts = 2, .transforms = 2, .pipeline = "    batch: {max_rows: 2}\n"},
                   12, 150);
    int64_t version = 0, process_id = 0;
    uint64_t end_ms = lutra_test_now_ms() + 10000;
    while (lutra_test_now_ms() < end_ms) {
        workload_step(&w);
        workload_step(&w);
        int64_t v = lutra_sql_int(c.target, "SELECT IFNULL(MAX(v), 0) FROM versions");
        int64_t id = lutra_sql_int(
            c.target, "SELECT MAX(process_id) FROM lutra.checkpoint WHERE pipeline = '%s'", c.name);
        cr_assert_geq(v, version, "a key went back in time");
        cr_assert_geq(id, process_id, "the confirmed prefix shrank");
        version = v;
        process_id = id;
    }
    workload_finish(&w);
    char *topic = cluster_topic(&c, "load");
    struct lutra_kafka_messages all = lutra_kafka_read_all(lutra_test_stack()->kafka, topic);
    size_t inversions = 0;
    for (size_t i = 1; i < all.n; i++) {
        inversions +=
            strtoull(all.items[i].key, NULL, 10) < strtoull(all.items[i - 1].key, NULL, 10);
    }
    cr_assert_gt(inversions, 0,
                 "two instances of each stage never overtook each other: nothing was proven");
    cr_assert_eq(cluster_state_int(&c, &c.loads[0], "broken"), 0);
    lutra_kafka_messages_fini(&all);
    free(topic);
    cluster_end(&c);
}
