/* Arbitration over the whole installation: real services and, where a test says so, real managers,
 * under virtual time. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fetch/fetch.h"
#include "http/server.h"
#include "manager/manager.h"
#include "model/records.h"
#include "world.h"

#define MINUTE_MS 60000u
#define SESSION_MS 2000u

/* ---- managers ---- */

static struct world *w;
static struct member {
    struct lutra_coord *coord;
    struct lutra_buses *buses;
    struct lutra_manager *manager;
    char instance[8];
} members[2];

static char *answer_of_node(const char *address, const char *target)
{
    cr_assert_str_eq(target, "/state");
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i].alive && strcmp(w->nodes[i].instance, address) == 0) {
            json_t *root = json_pack("{s:[o]}", "pipelines", world_state(&w->nodes[i]));
            char *text = json_dumps(root, JSON_COMPACT);

            json_decref(root);
            return text;
        }
    }
    return NULL;
}

static struct fetch_port fetches;

static void managers_start(void)
{
    fetches = (struct fetch_port){.loop = w->loop, .answer = answer_of_node};
    for (int i = 0; i < 2; i++) {
        struct member *m = &members[i];

        snprintf(m->instance, sizeof(m->instance), "m%d", i);
        m->coord = lutra_coord_mem_new(w->tree, SESSION_MS);
        m->buses = lutra_buses_new(w->loop, NULL, NULL);
        lutra_buses_put(m->buses, "default", lutra_bus_mem_new(w->broker, m->instance));
        m->manager = lutra_manager_new(&(struct lutra_manager_options){
            .loop = w->loop,
            .coord = m->coord,
            .buses = m->buses,
            .instance = m->instance,
            .http = m->instance,
            .fetcher = fetch_from(&fetches),
            .stall_ms = 30000,
        });
    }
}

static void managers_stop(void)
{
    for (int i = 0; i < 2; i++) {
        if (members[i].manager != NULL) {
            lutra_manager_free(members[i].manager);
            lutra_buses_free(members[i].buses);
            lutra_coord_free(members[i].coord);
        }
    }
    memset(members, 0, sizeof(members));
}

/* What the daemon does for a process. */
static void registration(struct world_node *node)
{
    const char *service = lutra_stage_name(node->stage);
    char path[128], json[512];

    snprintf(path, sizeof(path), "/lutra/nodes/%s/%s", service, node->instance);
    snprintf(
        json, sizeof(json),
        "{\"service\":\"%s\",\"instance\":\"%s\",\"host\":\"h\",\"pid\":1,\"site\":\"default\","
        "\"version\":\"1\",\"http\":\"%s\",\"started_ms\":1}",
        service, node->instance, node->instance);
    lutra_coord_create(node->env.coord, path, json, strlen(json), LUTRA_COORD_EPHEMERAL, NULL,
                       NULL);
}

/* ---- the installation ---- */

static void begin(uint64_t seed, const char *recovery)
{
    const char *text;
    json_t *config;
    char *json;

    w = world_new(seed, "");
    text = lutra_mem_tree_peek(w->tree, "/lutra/channels/c/config");
    config = json_loads(text, 0, NULL);
    json_object_set_new(config, "recovery", json_loads(recovery, 0, NULL));
    json = json_dumps(config, JSON_COMPACT);
    lutra_mem_tree_poke(w->tree, "/lutra/channels/c/config", json);
    free(json);
    json_decref(config);
    world_start_all(w, false);
    for (size_t i = 0; i < w->n; i++) {
        registration(&w->nodes[i]);
    }
    for (unsigned i = 0; i < 20; i++) {
        world_transaction(w, 3);
    }
    world_settle(w, MINUTE_MS);
}

static void finish(void)
{
    managers_stop();
    world_free(w);
    w = NULL;
}

static struct world_node *node(const char *instance)
{
    for (size_t i = 0; i < w->n; i++) {
        if (strcmp(w->nodes[i].instance, instance) == 0) {
            return &w->nodes[i];
        }
    }
    cr_assert_fail("no node");
    return NULL;
}

static struct lutra_control control(void)
{
    struct lutra_control record = {0};
    struct lutra_error err = {0};
    const char *text = world_record(w, "control");

    cr_assert_eq(lutra_control_from_json(text, strlen(text), &record, &err), 0, "%s", err.msg);
    return record;
}

/* Both process nothing any more, and answer as if all were well. */
static void stall_extracts(void)
{
    lutra_bus_mem_kill(node("extract-1")->bus);
    lutra_bus_mem_kill(node("extract-2")->bus);
    lutra_loop_run_for(w->loop, 5000);
}

static void heal_extracts(void)
{
    for (int i = 1; i <= 2; i++) {
        char name[16];

        snprintf(name, sizeof(name), "extract-%d", i);
        world_kill(node(name));
        lutra_loop_run_for(w->loop, 2 * SESSION_MS);
        world_restart(node(name));
        registration(node(name));
    }
}

static const char *alarm_text(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "/lutra/alarms/%s", name);
    return lutra_mem_tree_peek(w->tree, path);
}

/* ---- attempts ---- */

static void refuse_everything(bool refuse)
{
    struct lutra_mem_db_faults faults = {.fail_apply = refuse ? UINT32_MAX : 0};

    lutra_mem_db_set_faults(w->db, &faults);
}

static void exhaust(bool managed)
{
    begin(11, "{\"max_attempts\": 3, \"protection\": \"90s\"}");
    if (managed) {
        managers_start();
        lutra_loop_run_for(w->loop, 10000);
    }
    refuse_everything(true);
    world_transaction(w, 3);
    lutra_loop_run_for(w->loop, 30 * MINUTE_MS);
    cr_assert_not(control().start);
    cr_assert_eq(control().retry_at_ms, 0);
    cr_assert(control().exhausted);
    cr_assert_eq(control().attempt, 4);
    cr_assert(strstr(control().reason, "3 attempts in a row failed, the last: "), "%s",
              control().reason);
    cr_assert(strstr(control().reason, "`lutractl start c`"), "%s", control().reason);
    if (managed) {
        cr_assert(strstr(alarm_text("p-attempts_exhausted"), "3 attempts in a row failed"));
        cr_assert_null(alarm_text("p-rolled_back"));
    }
    refuse_everything(false);
    lutra_loop_run_for(w->loop, 10 * MINUTE_MS);
    cr_assert_not(control().start, "only an operator ends it");
    lutra_mem_tree_poke(w->tree, "/lutra/pipelines/p/control",
                        "{\"state\":\"START\",\"epoch\":100,\"reason\":\"\",\"retry_at_ms\":0,"
                        "\"attempt\":0,\"by\":\"op\",\"at_ms\":1}");
    world_settle(w, MINUTE_MS);
    world_check(w);
    lutra_loop_run_for(w->loop, 5000);
    cr_assert_null(alarm_text("p-attempts_exhausted"));
    finish();
}

Test(arbitration, a_target_that_refuses_for_good_is_tried_so_often_and_then_waits_for_an_operator)
{
    exhaust(false);
    exhaust(true);
}

Test(arbitration, a_target_that_comes_back_in_time_needs_nobody_and_the_row_begins_anew)
{
    begin(12, "{\"max_attempts\": 3, \"protection\": \"90s\"}");
    for (unsigned round = 0; round < 6; round++) {
        refuse_everything(true);
        world_transaction(w, 3);
        lutra_loop_run_for(w->loop, 14000);
        cr_assert_leq(control().attempt, 2, "round %u", round);
        refuse_everything(false);
        world_settle(w, MINUTE_MS);
    }
    world_check(w);
    lutra_loop_run_for(w->loop, 90000);
    world_transaction(w, 3);
    world_settle(w, MINUTE_MS);
    lutra_loop_run_for(w->loop, 90000);
    cr_assert_eq(control().attempt, 0, "a minute of peace");
    finish();
}

Test(arbitration, an_operators_pause_and_stop_outlive_every_retry)
{
    static const char *const wishes[] = {"PAUSE", "STOP"};

    for (int i = 0; i < 2; i++) {
        size_t commits;

        begin(13, "{\"max_attempts\": 10, \"protection\": \"90s\"}");
        managers_start();
        refuse_everything(true);
        world_transaction(w, 3);
        lutra_loop_run_for(w->loop, 15000);
        cr_assert_gt(control().attempt, 0);
        world_desire(w, wishes[i]);
        refuse_everything(false);
        lutra_loop_run_for(w->loop, 40000);
        world_transaction(w, 3);
        lutra_loop_run_for(w->loop, 10000);
        commits = lutra_mem_db_commits(w->db);
        lutra_loop_run_for(w->loop, 5 * MINUTE_MS);
        cr_assert_not(world_caught_up(w), "%s was lifted", wishes[i]);
        cr_assert_leq(lutra_mem_db_commits(w->db), commits + 70, "only touches");
        world_desire(w, "START");
        world_settle(w, 2 * MINUTE_MS);
        world_check(w);
        finish();
    }
}

/* ---- stalls ---- */

Test(arbitration, a_silent_stall_restarts_itself_without_any_manager)
{
    uint64_t epoch;

    begin(14, "{\"max_attempts\": 3, \"protection\": \"90s\"}");
    epoch = control().epoch;
    stall_extracts();
    world_transaction(w, 3);
    lutra_loop_run_for(w->loop, 4000);
    cr_assert(world_state_is(node("select-1"), "waits", "is not credited for", false));
    lutra_loop_run_for(w->loop, 20000);
    cr_assert_eq(control().epoch, epoch);
    lutra_loop_run_for(w->loop, 10000);
    cr_assert_eq(control().epoch, epoch + 1);
    cr_assert(control().start);
    cr_assert(strncmp(control().by, "select/", 7) == 0, "%s", control().by);
    lutra_loop_run_for(w->loop, 20 * MINUTE_MS);
    cr_assert_leq(control().epoch, epoch + 6, "no storm");
    cr_assert(control().start, "the permit stays: what heals needs nobody");
    cr_assert(control().exhausted);
    heal_extracts();
    world_settle(w, MINUTE_MS);
    world_check(w);
    finish();
}

Test(arbitration, a_process_that_load_misses_is_told_and_read_again)
{
    begin(15, "{\"max_attempts\": 3, \"protection\": \"90s\"}");
    uint64_t epoch = control().epoch;
    /* A target that neither answers nor fails. */
    lutra_target_mem_freeze(node("load-1")->target, true);
    world_transaction(w, 3);
    lutra_loop_run_for(w->loop, 8000);
    cr_assert(world_state_is(node("load-1"), "waits", "without an end", false));
    lutra_loop_run_for(w->loop, 27000);
    cr_assert_eq(control().epoch, epoch + 1);
    lutra_target_mem_freeze(node("load-1")->target, false);
    world_settle(w, MINUTE_MS);
    world_check(w);
    finish();
}

Test(arbitration, with_managers_a_stall_is_told_where_it_is_and_restarted_once)
{
    uint64_t epoch;

    begin(16, "{\"max_attempts\": 10, \"protection\": \"90s\"}");
    managers_start();
    lutra_loop_run_for(w->loop, 10000);
    epoch = control().epoch;
    stall_extracts();
    world_transaction(w, 3);
    lutra_loop_run_for(w->loop, 35000);
    cr_assert_eq(control().epoch, epoch + 1);
    cr_assert(strncmp(control().by, "manager/", 8) == 0, "%s", control().by);
    cr_assert(strstr(control().reason, "no stage that answers has process"), "%s",
              control().reason);
    cr_assert_not_null(alarm_text("p-stalled"));
    lutra_loop_run_for(w->loop, 10000);
    cr_assert_eq(control().epoch, epoch + 1);
    heal_extracts();
    world_settle(w, MINUTE_MS);
    world_check(w);
    lutra_loop_run_for(w->loop, 10000);
    cr_assert_null(alarm_text("p-stalled"));
    finish();
}

Test(arbitration, no_restarts_after_zookeeper_was_away_from_everybody)
{
    uint64_t epoch;

    begin(17, "{\"max_attempts\": 10, \"protection\": \"90s\"}");
    managers_start();
    lutra_loop_run_for(w->loop, 20000);
    epoch = control().epoch;
    lutra_mem_tree_set_down(w->tree, true);
    for (unsigned i = 0; i < 30; i++) {
        world_transaction(w, 3);
        lutra_loop_run_for(w->loop, 10000);
        cr_assert(world_caught_up(w), "owners keep loading");
    }
    lutra_mem_tree_set_down(w->tree, false);
    for (unsigned i = 0; i < 20; i++) {
        world_transaction(w, 3);
        lutra_loop_run_for(w->loop, 10000);
    }
    world_settle(w, MINUTE_MS);
    cr_assert_eq(control().epoch, epoch);
    world_check(w);
    finish();
}

Test(arbitration, a_planned_restart_of_the_only_extract_causes_nothing)
{
    uint64_t epoch;

    begin(18, "{\"max_attempts\": 10, \"protection\": \"90s\"}");
    managers_start();
    world_kill(node("extract-2"));
    lutra_loop_run_for(w->loop, 20000);
    epoch = control().epoch;
    world_kill(node("extract-1"));
    world_transaction(w, 3);
    lutra_loop_run_for(w->loop, 60000);
    cr_assert_eq(control().epoch, epoch);
    world_restart(node("extract-1"));
    registration(node("extract-1"));
    world_settle(w, MINUTE_MS);
    lutra_loop_run_for(w->loop, 10000);
    cr_assert_eq(control().epoch, epoch);
    world_check(w);
    finish();
}

/* ---- warnings ---- */

/* How often an alarm of that name appears within ms. */
static unsigned raised(const char *name, uint64_t ms)
{
    unsigned times = 0;
    bool stood = alarm_text(name) != NULL;

    for (uint64_t at = 0; at < ms; at += 100) {
        lutra_loop_run_for(w->loop, 100);
        times += !stood && alarm_text(name) != NULL;
        stood = alarm_text(name) != NULL;
    }
    return times;
}

/* A message of this epoch, as its headers say, that is nothing of the kind. */
static void poison(const char *stage)
{
    static unsigned n;
    char topic[80], key[16], epoch[24];
    const struct lutra_bus_header headers[] = {{"lutra-format", "1"},
                                               {"lutra-epoch", epoch},
                                               {"lutra-nonce", "feedfeedfeedfeed"},
                                               {"lutra-config", "1"},
                                               {"lutra-part", "1/1"}};
    struct lutra_bus_record record = {.key = key,
                                      .payload = "garbage",
                                      .payload_len = 7,
                                      .headers = headers,
                                      .n_headers = sizeof(headers) / sizeof(*headers)};

    (void)snprintf(key, sizeof(key), "%u", 1000000 + n++);
    (void)snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)control().epoch);
    record.topic = lutra_topic_name(WORLD_PIPELINE, stage, topic);
    lutra_mem_broker_inject(w->broker, &record);
}

/* The alarm of the one that reads partition 0. */
static const char *warning_of(const char *stage)
{
    static char name[64];

    for (size_t i = 0; i < w->n; i++) {
        if (strcmp(lutra_stage_name(w->nodes[i].stage), stage) == 0 &&
            world_state_int(&w->nodes[i], "malformed") > 0) {
            (void)snprintf(name, sizeof(name), "p-warning-%s-%s", stage, w->nodes[i].instance);
        }
    }
    return name;
}

Test(arbitration, poison_raises_one_warning_of_the_stage_that_passes_it_over_and_clears_it_once)
{
    static const char *const stages[] = {"extract", "transform"};

    begin(19, "{\"max_attempts\": 10, \"protection\": \"90s\"}");
    managers_start();
    lutra_loop_run_for(w->loop, 10000);
    uint64_t epoch = control().epoch;
    for (int i = 0; i < 2; i++) {
        poison(stages[i]);
        lutra_loop_run_for(w->loop, 5000);
        const char *name = warning_of(stages[i]);
        cr_assert(alarm_text(name) && strstr(alarm_text(name), "could not be used"), "%s", name);
        for (int n = 0; n < 20; n++) {
            poison(stages[i]);
            cr_assert_eq(raised(name, 30000), 0, "%s: raised again", name);
            cr_assert_not_null(alarm_text(name), "%s: cleared although it went on", name);
        }
        cr_assert_eq(raised(name, 10 * MINUTE_MS), 0, "%s: raised again", name);
        cr_assert_null(alarm_text(name), "%s: it is over", name);
    }
    world_transaction(w, 3);
    world_settle(w, MINUTE_MS);
    cr_assert_eq(control().epoch, epoch, "poison is nobody's trouble");
    world_check(w);
    finish();
}
