#include "suite.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cell.h"
#include "report.h"
#include "support/internal.h"
#include "support/test.h"
#include "world.h"

enum { SESSION_MS = 2000, ZOMBIE_SESSION_MS = 1000, MAX_WORLDS = 30 };

struct suite {
    struct world world;
    bool up;
    unsigned session_ms;
    uint64_t seed, began_ms, written, read;
    regex_t only;
    unsigned rounds, worlds;
    uint64_t end_ms; /* 0: rounds count */
};

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void suite_begin(struct suite *s, unsigned session_ms)
{
    const char *only = getenv("LUTRA_TEST_ONLY");
    uint64_t minutes = number_from("LUTRA_TEST_MINUTES", 0);
    *s = (struct suite){.session_ms = session_ms, .began_ms = lutra_test_now_ms()};
    s->seed = number_from("LUTRA_TEST_SEED", (uint64_t)time(NULL) % 1000000);
    s->rounds = (unsigned)number_from("LUTRA_TEST_ROUNDS", 1);
    s->end_ms = minutes > 0 ? s->began_ms + minutes * 60000 : 0;
    cr_assert_eq(regcomp(&s->only, only != NULL ? only : ".", REG_EXTENDED | REG_NOSUB), 0);
    fprintf(stderr, "seed %" PRIu64 "\n", s->seed);
    world_servers();
}

static void world_down(struct suite *s)
{
    uint64_t written = 0, read = 0;
    if (s->up) {
        traffic_counts(s->world.traffic, &written, &read);
        s->written += written;
        s->read += read;
        world_end(&s->world);
        s->up = false;
    }
}

static void world_up(struct suite *s)
{
    if (!s->up) {
        cr_assert_lt(s->worlds++, MAX_WORLDS, "too many failures");
        world_start(&s->world, s->session_ms, s->seed);
        s->up = true;
    }
}

static void suite_end(struct suite *s)
{
    world_down(s);
    regfree(&s->only);
    unsigned failed = report_write(s->seed, s->began_ms, s->written, s->read);
    cr_assert_eq(failed, 0, "%u cells failed", failed);
}

/* ---- cells ---- */

/* The same for one cell of one seed, alone or among all. */
static uint64_t mix(uint64_t seed, const char *name)
{
    uint64_t hash = 14695981039346656037u ^ seed;
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    }
    return hash ^ hash >> 29;
}

static void cell_of(struct cell *cell, size_t index, uint64_t seed)
{
    *cell = (struct cell){.point = &fault_points[index / N_FAULTS],
                          .kind = (enum fault_kind)(index % N_FAULTS),
                          .seed = seed};
    snprintf(cell->name, sizeof cell->name, "%s/%s", cell->point->name, fault_names[cell->kind]);
}

static bool is_named(const char *const *named, const char *name)
{
    bool found = named == NULL;
    for (; named != NULL && *named != NULL && !found; named++) {
        found = strcmp(*named, name) == 0;
    }
    return found;
}

static void one_cell(struct suite *s, struct cell *cell, enum cell_end end)
{
    uint64_t seed = cell->seed;
    world_up(s);
    cell->seed = mix(seed, cell->name);
    cell_run(&s->world, cell, end);
    cell->seed = seed;
    report_cell(cell);
    if (cell->result == CELL_FAILED) {
        lutra_test_print_logs(lutra_test_dir());
        world_down(s);
    }
}

/* All selected cells, shuffled. */
static void one_round(struct suite *s, const char *const *named, uint64_t seed)
{
    size_t n = n_fault_points * N_FAULTS, left = 0;
    size_t *order = calloc(n, sizeof *order);
    unsigned state = (unsigned)seed;
    struct cell cell;
    for (size_t i = 0; i < n; i++) {
        cell_of(&cell, i, seed);
        if (is_named(named, cell.name) && regexec(&s->only, cell.name, 0, NULL, 0) == 0) {
            order[left++] = i;
        }
    }
    while (left > 0 && (s->end_ms == 0 || lutra_test_now_ms() < s->end_ms)) {
        size_t pick = (size_t)rand_r(&state) % left;
        cell_of(&cell, order[pick], seed);
        order[pick] = order[--left];
        one_cell(s, &cell, CELL_COMPARE);
    }
    free(order);
}

void suite_cells(const char *const *named)
{
    struct suite s;
    suite_begin(&s, SESSION_MS);
    for (unsigned round = 0; s.end_ms > 0 ? lutra_test_now_ms() < s.end_ms : round < s.rounds;
         round++) {
        one_round(&s, named, s.seed + round);
    }
    suite_end(&s);
}

/* ---- zombies ---- */

void suite_zombies(unsigned rounds_each)
{
    struct suite s;
    unsigned rounds = 0, fenced = 0, stale = 0, refusals = 0;
    suite_begin(&s, ZOMBIE_SESSION_MS);
    for (unsigned round = 0; round < rounds_each * s.rounds; round++) {
        for (size_t i = 0; i < n_fault_points; i++) {
            struct cell cell;
            cell_of(&cell, i * N_FAULTS + FAULT_STOP, s.seed + round);
            if (cell.point->role != ROLE_LOAD ||
                (s.end_ms > 0 && lutra_test_now_ms() >= s.end_ms)) {
                continue;
            }
            one_cell(&s, &cell, rounds % 10 == 9 ? CELL_COMPARE : CELL_LOOK_ONLY);
            rounds++;
            fenced += cell.fenced > 0;
            refusals += (unsigned)(cell.fenced > 0 ? cell.fenced : 0);
            stale += cell.broken[5] || cell.broken[6];
        }
    }
    report_line("Zombies: %u rounds, load frozen for three sessions of %d ms at each of its steps; "
                "the fence refused in %u of them (%u refusals), stale commits: %u.",
                rounds, ZOMBIE_SESSION_MS, fenced, refusals, stale);
    suite_end(&s);
}

/* ---- take-over ---- */

struct sample {
    uint64_t ms[512];
    size_t n;
};

static void take_over(struct suite *s, const char *stage, bool kill, struct sample *sample)
{
    struct world *w = &s->world;
    struct cell cell = {.name = "take-over"};
    world_whole(w, 40000);
    struct lutra_test_service *owner = cluster_owner(&w->c, stage);
    cr_assert_not_null(owner);
    uint64_t began_ms = lutra_test_now_ms();
    if (kill) {
        lutra_proc_kill9(owner->proc);
    } else {
        lutra_proc_signal(owner->proc, SIGTERM);
    }
    traffic_watch(w->traffic, began_ms);
    if (!kill) {
        /* Until another has it the old one may go on: what is written after that counts. */
        struct lutra_test_service *now;
        LUTRA_WAIT_FOR((now = cluster_owner(&w->c, stage)) != NULL && now != owner, 20000);
        traffic_watch(w->traffic, lutra_test_now_ms());
    }
    LUTRA_WAIT_FOR(traffic_watched_ms(w->traffic) != 0, 30000);
    uint64_t ms = traffic_watched_ms(w->traffic) - began_ms;
    if (!kill) {
        cr_assert_eq(lutra_proc_wait(owner->proc, 20000), 0, "%s did not leave cleanly", stage);
    }
    if (sample->n < sizeof sample->ms / sizeof *sample->ms) {
        sample->ms[sample->n++] = ms;
    }
    cell_take_findings(w, &cell);
    cr_assert_eq(cell.result, CELL_PASSED, "%s", cell.why);
}

void suite_take_overs(unsigned n)
{
    static const char *const stages[] = {"load", "select"};
    static struct sample samples[4];
    struct cell cell = {.name = "take-over"};
    struct suite s;
    suite_begin(&s, SESSION_MS);
    world_up(&s);
    for (unsigned round = 0; round < n * s.rounds; round++) {
        for (unsigned i = 0; i < 4; i++) {
            take_over(&s, stages[i % 2], i < 2, &samples[i]);
        }
    }
    cell_compare(&s.world, &cell);
    cr_assert_eq(cell.result, CELL_PASSED, "%s", cell.why);
    for (unsigned i = 0; i < 4; i++) {
        struct sample *sample = &samples[i];
        report_line("Take-over of %s after %s, to the first new row at the target: p50 %" PRIu64
                    " ms, p99 %" PRIu64 " ms (%zu times; session %d ms, standby_delay 200 ms).",
                    stages[i % 2], i < 2 ? "SIGKILL" : "SIGTERM",
                    report_percentile(sample->ms, sample->n, 50),
                    report_percentile(sample->ms, sample->n, 99), sample->n, SESSION_MS);
    }
    suite_end(&s);
}
