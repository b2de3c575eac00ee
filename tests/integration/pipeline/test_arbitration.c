/* Arbitration on real servers: what is restarted and what is not, who acts, and what is told. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "support/http.h"
#include "support/test.h"

static void begin(struct cluster *c, const struct cluster_options *options)
{
    cluster_start(c, options);
    cluster_both(c, "CREATE TABLE busy (id BIGINT PRIMARY KEY)");
    cluster_both(c, "CREATE TABLE idle (id BIGINT PRIMARY KEY)");
    cluster_go(c);
    cluster_sync(c, 20000);
}

/* Members of the pipeline's status: "reason", or of its control record. */
static char *status_text(struct cluster *c, const char *key)
{
    json_t *status = cluster_status(c);
    const char *text = json_string_value(json_object_get(status, key));
    char *copy = lutra_test_format("%s", text != NULL ? text : "");
    json_decref(status);
    return copy;
}

static int64_t control_epoch_of(struct cluster *c, const char *pipeline)
{
    json_t *status = cluster_status_of(c, pipeline);
    int64_t epoch =
        json_integer_value(json_object_get(json_object_get(status, "control"), "epoch"));
    json_decref(status);
    return epoch;
}

static char *control_reason(struct cluster *c)
{
    json_t *status = cluster_status(c);
    const char *text =
        json_string_value(json_object_get(json_object_get(status, "control"), "reason"));
    char *copy = lutra_test_format("%s", text != NULL ? text : "");
    json_decref(status);
    return copy;
}

static void await_epoch(struct cluster *c, int64_t epoch, uint64_t deadline_ms)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(deadline_ms);
    while (control_epoch_of(c, c->name) < epoch) {
        if (lutra_test_now_ms() >= end_ms) {
            char *reason = status_text(c, "reason");
            lutra_test_fail("no new epoch within %llu ms: %s", (unsigned long long)deadline_ms,
                            reason);
        }
        lutra_test_poll_pause();
    }
}

/* Runs for so long while nothing of what must not happen happens. */
static void expect_epoch_stays(struct cluster *c, int64_t epoch, uint64_t ms)
{
    uint64_t end_ms = lutra_test_now_ms() + ms;
    while (lutra_test_now_ms() < end_ms) {
        int64_t now = control_epoch_of(c, c->name);
        if (now > epoch) {
            char *reason = control_reason(c);
            lutra_test_fail("epoch %lld became %lld: %s", (long long)epoch, (long long)now, reason);
        }
        lutra_test_poll_pause();
    }
}

static void await_alarm(struct cluster *c, const char *name, bool there, uint64_t deadline_ms)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(deadline_ms);
    for (;;) {
        char *output = NULL;
        int rc = cluster_ctl_output(c, &output, "alarms -o json");
        bool is = rc == 0 && strstr(output, name) != NULL;
        if (rc == 0 && is == there) {
            free(output);
            return;
        }
        if (lutra_test_now_ms() >= end_ms) {
            lutra_test_fail("alarm %s %s within %llu ms: %s", name,
                            there ? "did not come" : "did not go", (unsigned long long)deadline_ms,
                            output);
        }
        free(output);
        lutra_test_poll_pause();
    }
}

Test(arbitration,
     the_only_extract_away_longer_than_its_protection_restarts_what_it_served,
     .timeout = 120)
{
    struct cluster c;
    begin(&c, &(struct cluster_options){.channel = "recovery: {protection: 3s}\n"});
    int64_t epoch = control_epoch_of(&c, c.name);
    lutra_proc_kill9(c.extracts[0].proc);
    cluster_write(&c, "INSERT INTO busy VALUES (1)");
    await_epoch(&c, epoch + 1, 30000);
    char *reason = control_reason(&c);
    cr_expect_not_null(strstr(reason, "extract extract-1 is gone for"), "%s", reason);
    free(reason);
    await_alarm(&c, "extract-extract-1-node_lost", true, 10000);
    cluster_restart(&c, &c.extracts[0]);
    cluster_sync(&c, 30000);
    cr_assert_eq(control_epoch_of(&c, c.name), epoch + 1, "one RESTART, not more");
    await_alarm(&c, "extract-extract-1-node_lost", false, 15000);
    cluster_equal(&c, "busy");
    cluster_end(&c);
}

Test(arbitration, a_planned_restart_needs_nothing, .timeout = 120)
{
    struct cluster c;
    begin(&c, &(struct cluster_options){.channel = "recovery: {protection: 60s}\n"});
    int64_t epoch = control_epoch_of(&c, c.name);
    cr_assert_eq(lutra_proc_terminate(c.extracts[0].proc, 10000), 0);
    cluster_write(&c, "INSERT INTO busy VALUES (1)");
    expect_epoch_stays(&c, epoch, 8000);
    char *reason = status_text(&c, "reason");
    cr_expect_not_null(strstr(reason, "extract extract-1 is gone for"), "%s", reason);
    free(reason);
    cluster_restart(&c, &c.extracts[0]);
    cluster_sync(&c, 30000);
    expect_epoch_stays(&c, epoch, 2000);
    cluster_equal(&c, "busy");
    cluster_end(&c);
}

/* Scaled down by SIGTERM; then the same instance, back again, dies. */
Test(arbitration, who_is_taken_away_in_order_alarms_nobody_and_who_crashes_does, .timeout = 120)
{
    struct cluster c;
    begin(&c, &(struct cluster_options){
                  .extracts = 2, .loads = 2, .channel = "recovery: {protection: 3s}\n"});
    struct lutra_proc *manager = c.managers[0].proc;
    cr_assert_eq(lutra_proc_terminate(c.extracts[1].proc, 10000), 0);
    cr_assert_eq(lutra_proc_terminate(c.loads[0].proc, 10000), 0);
    cluster_write(&c, "INSERT INTO busy VALUES (1)");
    LUTRA_WAIT_FOR(lutra_proc_log_count(manager, "kind=node.departed") == 2, 20000);
    cluster_sync(&c, 30000);
    cr_assert_eq(lutra_proc_log_count(manager, "event=alarm.raised kind=node_lost"), 0);
    cluster_restart(&c, &c.extracts[1]);
    LUTRA_WAIT_FOR(lutra_proc_log_count(manager, "kind=node.returned") == 1, 20000);
    lutra_proc_kill9(c.extracts[1].proc);
    await_alarm(&c, "extract-extract-2-node_lost", true, 20000);
    cluster_sync(&c, 30000);
    cluster_equal(&c, "busy");
    cluster_end(&c);
}

static unsigned raised(struct cluster *c, const char *what)
{
    char *line = lutra_test_format("event=alarm.raised kind=%s", what);
    unsigned n = 0;
    for (int i = 0; i < 2; i++) {
        n += lutra_proc_log_count(c->managers[i].proc, line);
    }
    free(line);
    return n;
}

/* The leader stands still through its session, at about the moment at which it is to act. */
Test(arbitration, two_managers_raise_one_alarm_whenever_the_leader_is_frozen, .timeout = 240)
{
    struct cluster c;
    begin(&c, &(struct cluster_options){.managers = 2});
    for (int round = 0; round < 2; round++) {
        char *output = NULL;
        cr_assert_eq(cluster_ctl(&c, "rollback %s --reason round-%d", c.name, round), 0);
        uint64_t moment_ms = lutra_test_now_ms() + (uint64_t)round * 700;
        while (lutra_test_now_ms() < moment_ms) {
            lutra_test_poll_pause(); /* another moment of the leader's turn in each round */
        }
        cr_assert_eq(cluster_ctl_output(&c, &output, "status -o json"), 0);
        json_t *status = json_loads(output, 0, NULL);
        const char *leader = json_string_value(json_object_get(status, "leader"));
        cr_assert_not_null(leader);
        struct lutra_test_service *frozen =
            strcmp(c.managers[0].instance, leader) == 0 ? &c.managers[0] : &c.managers[1];
        lutra_proc_freeze(frozen->proc);
        json_decref(status);
        free(output);
        await_alarm(&c, "rolled_back", true, 60000);
        lutra_proc_thaw(frozen->proc);
        lutra_test_service_await_ready(frozen, 30000);
        await_alarm(&c, "rolled_back", true, 10000);
        cr_assert_eq(raised(&c, "rolled_back"), (unsigned)round + 1, "round %d", round);
        cluster_resume(&c);
        await_alarm(&c, "rolled_back", false, 20000);
    }
    cluster_sync(&c, 30000);
    cluster_end(&c);
}

Test(arbitration, a_frozen_transform_is_told_within_30_s, .timeout = 120)
{
    struct cluster c;
    begin(&c, &(struct cluster_options){0});
    lutra_proc_freeze(c.transforms[0].proc);
    cluster_write(&c, "INSERT INTO busy VALUES (1)");
    uint64_t began_ms = lutra_test_now_ms(), end_ms = began_ms + lutra_test_scaled_ms(30000);
    for (bool told = false; !told;) {
        char *reason = status_text(&c, "reason");
        told = strstr(reason, "transform transform-1") != NULL;
        cr_assert(told || lutra_test_now_ms() < end_ms, "after 30 s: %s", reason);
        free(reason);
        lutra_test_poll_pause();
    }
    lutra_proc_thaw(c.transforms[0].proc);
    cluster_sync(&c, 30000);
    cluster_equal(&c, "busy");
    cluster_end(&c);
}

Test(arbitration, a_silent_stall_restarts_itself_without_a_manager, .timeout = 180)
{
    struct cluster c;
    begin(&c, &(struct cluster_options){0});
    int64_t epoch = cluster_epoch(&c);
    lutra_proc_kill9(c.managers[0].proc);
    lutra_proc_freeze(c.extracts[0].proc);
    cluster_write(&c, "INSERT INTO busy VALUES (1)");
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(60000);
    while (cluster_epoch(&c) == epoch) {
        cr_assert_lt(lutra_test_now_ms(), end_ms, "nobody restarted it");
        lutra_test_poll_pause();
    }
    cr_assert_geq(lutra_proc_log_count(c.selects[0].proc, "is not credited for"), 1);
    lutra_proc_thaw(c.extracts[0].proc);
    cluster_sync(&c, 30000);
    cluster_equal(&c, "busy");
    cluster_end(&c);
}

Test(arbitration, lutractl_warns_and_tells_alarms, .timeout = 90)
{
    struct cluster c;
    char *output = NULL;
    begin(&c, &(struct cluster_options){0});
    cr_assert_eq(cluster_ctl(&c, "warn %s", c.name), 2, "a reason is needed");
    cr_assert_eq(cluster_ctl(&c, "warn nobody --reason x"), 1);
    cr_assert_eq(cluster_ctl(&c, "warn %s --reason hands-off", c.name), 0);
    cr_assert_eq(cluster_ctl_output(&c, &output, "alarms"), 0);
    cr_expect_not_null(strstr(output, "hands-off"), "%s", output);
    free(output);
    cr_assert_eq(cluster_ctl_output(&c, &output, "status"), 0);
    cr_expect_not_null(strstr(output, "ALARMS (1)"), "%s", output);
    free(output);
    char *metrics = lutra_http_get(c.managers[0].port, "/metrics");
    char *line = lutra_test_format("lutra_alarm{kind=\"warning\",pipeline=\"%s\"} 1", c.name);
    cr_expect_not_null(strstr(metrics, line), "no %s", line);
    free(metrics);
    free(line);
    cr_assert_eq(cluster_ctl(&c, "alarms --clear %s-warning", c.name), 0);
    cr_assert_eq(cluster_ctl_output(&c, &output, "alarms -o json"), 0);
    cr_expect_null(strstr(output, "hands-off"), "%s", output);
    free(output);
    cr_assert_eq(cluster_ctl(&c, "alarms --clear %s-warning", c.name), 1);
    cluster_end(&c);
}
