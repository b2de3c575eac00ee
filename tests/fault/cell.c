#include "cell.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/http.h"
#include "support/test.h"

enum {
    HIT_MS = 30000,      /* for a point to be reached */
    RECOVERY_MS = 30000, /* I7: from the fault, or its end, to the first new row */
    HONEST_MS = 15000,   /* I10 */
    WHOLE_MS = 40000,
    CUT_MS = 5000,
    MAX_RSS_KIB = 256 * 1024, /* I9, times that under a sanitizer's shadow */
    SANITIZER_FACTOR = 6,
    BURST = 20,
};

void cell_blame(struct cell *cell, unsigned invariant, const char *format, ...)
{
    va_list args;
    cell->result = CELL_FAILED;
    cell->broken[invariant] = true;
    if (cell->why[0] == '\0') {
        int used = invariant > 0 ? snprintf(cell->why, sizeof cell->why, "I%u: ", invariant) : 0;
        va_start(args, format);
        vsnprintf(cell->why + used, sizeof cell->why - (size_t)used, format, args);
        va_end(args);
    }
}

void cell_take_findings(struct world *w, struct cell *cell)
{
    static const unsigned invariants[N_SEEN] = {
        [SEEN_DOUBLE] = 2, [SEEN_ORDER] = 3, [SEEN_TORN] = 4, [SEEN_PREFIX] = 5, [SEEN_FENCE] = 6};
    char findings[N_SEEN][256];
    if (traffic_findings(w->traffic, findings)) {
        return;
    }
    for (unsigned i = 0; i < N_SEEN; i++) {
        if (findings[i][0] != '\0') {
            cell_blame(cell, invariants[i], "%s", findings[i]);
        }
    }
}

/* ---- time that passes, with an eye on the status (I10) ---- */

static void look_at_status(struct world *w, struct cell *cell)
{
    uint64_t stall_ms = lutra_test_now_ms() - traffic_moved_ms(w->traffic);
    if (stall_ms < lutra_test_scaled_ms(HONEST_MS)) {
        return;
    }
    json_t *status = cluster_status(&w->c);
    const char *state = json_string_value(json_object_get(status, "state"));
    const json_t *lag = json_object_get(status, "lag_ms");
    if (state != NULL && strcmp(state, "RUNNING") == 0 &&
        (json_is_null(lag) || json_number_value(lag) < HONEST_MS / 2.0)) {
        cell_blame(cell, 10, "RUNNING with a lag of %.0f ms, and no row came for %" PRIu64 " ms",
                   json_number_value(lag), stall_ms);
    }
    json_decref(status);
}

static void pass_ms(struct world *w, struct cell *cell, uint64_t ms)
{
    uint64_t end_ms = lutra_test_now_ms() + ms, look_ms = 0;
    while (lutra_test_now_ms() < end_ms) {
        if (lutra_test_now_ms() >= look_ms) {
            look_at_status(w, cell);
            look_ms = lutra_test_now_ms() + 500;
        }
        lutra_test_poll_pause();
    }
}

/* ---- to the point ---- */

static const char *action(enum fault_kind kind)
{
    return kind == FAULT_KILL ? "crash" : "pause";
}

static void arm(const struct lutra_test_service *victim, const char *spec)
{
    struct lutra_http_answer answer = lutra_http_call("PUT", victim->port, "/faults", spec);
    if (answer.status != 200) {
        lutra_test_fail("%s: PUT /faults %s: %d %s", victim->instance, spec, answer.status,
                        answer.body);
    }
    lutra_http_answer_fini(&answer);
}

/* lutractl that nobody waits for: the manager it asks may die. */
static struct lutra_proc *ask_manager(struct world *w, enum fault_trigger trigger, char *extra)
{
    switch (trigger) {
    case BY_RESTART:
        return cluster_ctl_start(&w->c, "restart %s --reason test", w->c.name);
    case BY_START:
        return cluster_ctl_start(&w->c, "start %s", w->c.name);
    case BY_APPLY:
        return cluster_ctl_start(&w->c, "apply -f %s", extra);
    case BY_TRAFFIC:
    case BY_TAKE_OVER:
        break;
    }
    return NULL;
}

/* A channel that nobody starts, in a file of its own. */
static char *another_channel(struct world *w)
{
    char *name = lutra_test_unique("x");
    char *path = lutra_test_path("%s.yaml", name);
    char *yaml = lutra_test_format("channel: %s\nsources:\n"
                                   "  a: {type: mariadb, socket: /nowhere, user: u}\n"
                                   "  b: {type: mariadb, socket: /nowhere, user: u}\n"
                                   "pipelines:\n  - name: %s\n    source: a\n    target: b\n"
                                   "    pairs:\n      - source: {schema: %s, table: \"*\"}\n",
                                   name, name, w->c.name);
    lutra_test_write_file(path, yaml);
    free(yaml);
    free(name);
    return path;
}

/* What the operator wanted is done in the end, whoever died on the way. */
static void
ask_until_done(struct world *w, struct cell *cell, struct lutra_proc *first, char *extra)
{
    if (first == NULL) {
        return;
    }
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(RECOVERY_MS);
    int status = lutra_proc_wait(first, 60000);
    while (status != 0 && lutra_test_now_ms() < end_ms) {
        status = lutra_proc_wait(ask_manager(w, cell->point->trigger, extra), 60000);
    }
    if (status != 0) {
        cell_blame(cell, 7, "lutractl still fails, with status %d", status);
    }
}

struct act {
    struct lutra_test_service *victim, *before; /* the owner that was killed for a take-over */
    struct lutra_proc *asked;
    char *extra;
};

/* Arms the victim and makes the point happen; returns when the fault has struck. */
static void strike(struct world *w, struct cell *cell, struct act *act)
{
    act->victim = world_victim(w, cell->point->role);
    if (cell->point->trigger == BY_TAKE_OVER) {
        act->before = world_other(w, act->victim);
    }
    char *spec = lutra_test_format("%s=%s:%u", cell->point->name, action(cell->kind), cell->nth);
    char *hit = lutra_test_format("point=%s", cell->point->name);
    unsigned hits = lutra_proc_log_count(act->victim->proc, hit);
    arm(act->victim, spec);
    if (cell->point->trigger == BY_APPLY) {
        act->extra = another_channel(w);
    }
    if (act->before != NULL) {
        lutra_proc_kill9(act->before->proc);
    }
    act->asked = ask_manager(w, cell->point->trigger, act->extra);
    LUTRA_WAIT_FOR(cell->kind == FAULT_KILL ? !lutra_proc_running(act->victim->proc)
                                            : world_stopped(act->victim),
                   HIT_MS);
    if (lutra_proc_log_count(act->victim->proc, hit) != hits + 1) {
        lutra_test_fail("%s ended or stands still, but not at %s", act->victim->instance,
                        cell->point->name);
    }
    free(spec);
    free(hit);
}

/* ---- the fault ---- */

/* Until it is over; when it was, 0 when it has no end of its own. */
static uint64_t suffer(struct world *w, struct cell *cell, struct act *act, unsigned *seed)
{
    uint64_t began_ms = lutra_test_now_ms();
    if (cell->kind == FAULT_PARTITION) {
        world_cut(w, act->victim);
        lutra_proc_thaw(act->victim->proc);
    }
    if (act->before != NULL) {
        world_restart(w, act->before);
    }
    switch (cell->kind) {
    case FAULT_KILL:
        pass_ms(w, cell, 200 + (unsigned)rand_r(seed) % 1000);
        world_restart(w, act->victim);
        return 0;
    case FAULT_STOP:
        pass_ms(w, cell, began_ms + 3 * w->session_ms - lutra_test_now_ms());
        lutra_proc_thaw(act->victim->proc);
        break;
    case FAULT_PARTITION:
        pass_ms(w, cell, CUT_MS);
        world_heal(w, act->victim);
        break;
    case N_FAULTS:
        break;
    }
    return lutra_test_now_ms();
}

static void recover(struct world *w, struct cell *cell, uint64_t struck_ms, uint64_t healed_ms)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(RECOVERY_MS);
    while (traffic_watched_ms(w->traffic) == 0 && lutra_test_now_ms() < end_ms) {
        pass_ms(w, cell, 20);
    }
    uint64_t seen_ms = traffic_watched_ms(w->traffic);
    if (seen_ms == 0) {
        cell_blame(cell, 7, "no new row within %d ms", RECOVERY_MS);
        return;
    }
    cell->recovery_ms = seen_ms - struck_ms;
    if (healed_ms == 0) {
        return;
    }
    /* And what was written after the end of it? */
    traffic_watch(w->traffic, healed_ms);
    while (traffic_watched_ms(w->traffic) == 0 && lutra_test_now_ms() < end_ms) {
        pass_ms(w, cell, 20);
    }
    seen_ms = traffic_watched_ms(w->traffic);
    if (seen_ms == 0) {
        cell_blame(cell, 7, "no new row within %d ms of the fault's end", RECOVERY_MS);
        return;
    }
    cell->heal_ms = seen_ms - healed_ms;
}

/* ---- afterwards ---- */

static void check_bounds(struct world *w, struct cell *cell)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const uint64_t max_kib = (uint64_t)MAX_RSS_KIB * SANITIZER_FACTOR;
#else
    const uint64_t max_kib = MAX_RSS_KIB;
#endif
    for (unsigned i = 0; i < WORLD_SERVICES * WORLD_INSTANCES; i++) {
        struct lutra_test_service *service = world_process(w, i);
        uint64_t kib = lutra_proc_rss_peak_kib(service->proc);
        if (kib > max_kib) {
            cell_blame(cell, 9, "%s grew to %" PRIu64 " KiB", service->instance, kib);
        }
    }
    for (int i = 0; i < WORLD_INSTANCES; i++) {
        json_t *select = cluster_state_of(&w->c, &w->c.selects[i]);
        json_t *load = cluster_state_of(&w->c, &w->c.loads[i]);
        int64_t published = json_integer_value(json_object_get(select, "max_in_flight"));
        int64_t buffered = json_integer_value(json_object_get(load, "max_buffered"));
        if (published > 32 || buffered > 32) {
            cell_blame(cell, 9, "a window of 32 held %" PRId64 ", load buffered %" PRId64,
                       published, buffered);
        }
        json_decref(select);
        json_decref(load);
    }
}

struct counts {
    int64_t read, filtered, loaded, epoch;
};

static struct counts count(struct world *w)
{
    return (struct counts){.read = world_sum(w, w->c.selects, "rows_read"),
                           .filtered = world_sum(w, w->c.selects, "events_filtered"),
                           .loaded = world_sum(w, w->c.loads, "rows"),
                           .epoch = cluster_epoch(&w->c)};
}

/* A known number of rows, some of a table that no pair names: read = loaded, the rest is counted as
 * filtered. */
static void check_counters(struct world *w, struct cell *cell)
{
    struct counts before = count(w);
    for (int i = 0; i < BURST; i++) {
        lutra_sql_exec(w->c.source, "INSERT INTO `%s-out`.t VALUES (%d);", w->c.name, i);
        lutra_sql_exec(w->c.source, "UPDATE `%s`.accounts SET v = v + 1 WHERE id IN (1, 2, %d)",
                       w->c.name, 3 + i);
    }
    cluster_sync(&w->c, RECOVERY_MS);
    struct counts now;
    int64_t rows = 3 * BURST + 1; /* and the marker */
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(5000);
    do {
        now = count(w);
    } while ((now.loaded - before.loaded != rows || now.read - before.read != rows) &&
             lutra_test_now_ms() < end_ms);
    if (now.epoch != before.epoch) {
        return; /* read again from the source, so counted again */
    }
    if (now.read - before.read != rows || now.loaded - before.loaded != rows ||
        now.filtered - before.filtered < BURST) {
        cell_blame(cell, 8,
                   "%" PRId64 " rows were written: %" PRId64 " read, %" PRId64 " loaded, and of %d "
                   "others %" PRId64 " filtered",
                   rows, now.read - before.read, now.loaded - before.loaded, BURST,
                   now.filtered - before.filtered);
    }
}

void cell_compare(struct world *w, struct cell *cell)
{
    traffic_pause(w->traffic);
    cluster_sync(&w->c, RECOVERY_MS);
    for (size_t i = 0; traffic_table_names[i] != NULL; i++) {
        char *difference = NULL;
        char *table = lutra_test_format("%s.%s", w->c.name, traffic_table_names[i]);
        if (!lutra_sql_tables_equal(w->c.source, w->c.target, table, table, &difference)) {
            cell_blame(cell, 1, "%s: %s", traffic_table_names[i], difference);
            free(difference);
        }
        free(table);
    }
    check_counters(w, cell);
    traffic_resume(w->traffic);
}

/* ---- the whole ---- */

static jmp_buf cell_jump;
static char cell_message[1024];

static void on_failure(const char *message)
{
    snprintf(cell_message, sizeof cell_message, "%s", message);
    longjmp(cell_jump, 1);
}

static void run(struct world *w, struct cell *cell, enum cell_end end)
{
    struct act act = {0};
    unsigned seed = (unsigned)(cell->seed ^ cell->seed >> 32);
    cell->nth = 1 + (unsigned)rand_r(&seed) % cell->point->max_hit;
    world_whole(w, WHOLE_MS);
    cell_take_findings(w, cell);
    int64_t fenced = world_sum(w, w->c.loads, "fenced");
    strike(w, cell, &act);
    uint64_t struck_ms = lutra_test_now_ms();
    traffic_watch(w->traffic, struck_ms);
    uint64_t healed_ms = suffer(w, cell, &act, &seed);
    recover(w, cell, struck_ms, healed_ms);
    ask_until_done(w, cell, act.asked, act.extra);
    if (cell->result == CELL_FAILED) {
        return;
    }
    world_whole(w, WHOLE_MS);
    cell->fenced = world_sum(w, w->c.loads, "fenced") - fenced;
    if (end == CELL_COMPARE) {
        cell_compare(w, cell);
    }
    check_bounds(w, cell);
    cell_take_findings(w, cell);
    free(act.extra);
}

void cell_run(struct world *w, struct cell *cell, enum cell_end end)
{
    if (cell->kind == FAULT_PARTITION && !w->apart) {
        cell->result = CELL_SKIPPED;
        snprintf(cell->why, sizeof cell->why, "no network namespaces: %s", world_no_partition());
        return;
    }
    if (setjmp(cell_jump) == 0) {
        lutra_test_on_failure(on_failure);
        run(w, cell, end);
    } else {
        cell_take_findings(w, cell);
        cell_blame(cell, 0, "%s", cell_message);
    }
    lutra_test_on_failure(NULL);
}
