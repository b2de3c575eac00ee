#include "cell.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "support/test.h"

/* ---- runs, and what they tell ---- */

uint64_t cell_seed(void)
{
    static uint64_t seed;
    const char *given = getenv("LUTRA_TEST_SEED");
    if (seed == 0) {
        seed = given ? strtoull(given, NULL, 10)
                     : (lutra_test_now_ms() * 2654435761u ^ (uint64_t)getpid()) % 1000000;
        seed = seed ? seed : 1;
    }
    return seed;
}

bool cell_another_round(unsigned done, unsigned fallback)
{
    static uint64_t began_ms;
    const char *rounds = getenv("LUTRA_TEST_ROUNDS"), *minutes = getenv("LUTRA_TEST_MINUTES");
    if (began_ms == 0) {
        began_ms = lutra_test_now_ms();
    }
    if (minutes && !rounds) {
        return lutra_test_now_ms() - began_ms < strtoull(minutes, NULL, 10) * 60000;
    }
    return done < (rounds ? strtoul(rounds, NULL, 10) : fallback);
}

/* With the time as the services' logs have it, so that it stands among their lines. */
static void note(const char *text)
{
    char *path = lutra_test_path("test.log");
    FILE *file = fopen(path, "ae");
    struct timeval now;
    struct tm utc;
    char stamp[32];
    if (!file) {
        lutra_test_fail("%s cannot be written", path);
    }
    (void)gettimeofday(&now, NULL);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
    fprintf(file, "%s.%03ldZ %s\n", stamp, (long)now.tv_usec / 1000, text);
    (void)fclose(file);
    free(path);
}

void cell_note(const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    note(text);
}

void cell_measured(const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    note(text);
    lutra_test_measured("%s", text);
}

/* Name of this program, as ctest has it. */
static const char *program(void)
{
    static char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

/* ---- status ---- */

static bool one_of(const char *state, const char *const *states)
{
    for (; *states; states++) {
        if (strcmp(state, *states) == 0) {
            return true;
        }
    }
    return false;
}

/* NULL, or how the status differs from what the target shows (heap). */
static char *lie(struct traffic *t)
{
    static const char *const standing[] = {"STALLED", "ROLLED_BACK", "PAUSED", "STOPPED", NULL};
    uint64_t still_ms = lutra_test_now_ms() - t->moved_ms;
    json_t *status = cluster_status(&t->s->c);
    const char *state = json_string_value(json_object_get(status, "state"));
    const json_t *lag = json_object_get(status, "lag_ms");
    char *found = NULL;
    if (!state) {
        found = lutra_test_format("there is no status");
    } else if (still_ms >= CELL_STATUS_MS && strcmp(state, "RUNNING") == 0 &&
               (!json_is_number(lag) || json_number_value(lag) < 5000)) {
        found = lutra_test_format("nothing has arrived for %" PRIu64 " ms, and status says RUNNING "
                                  "without a lag",
                                  still_ms);
    } else if (still_ms < 1000 && one_of(state, standing)) {
        found = lutra_test_format("rows flow, and status says %s", state);
    }
    json_decref(status);
    return found;
}

/* A lie has CELL_STATUS_MS to become true; for how long it has stood. */
struct honesty {
    uint64_t lie_ms; /* since when; 0: it tells the truth */
    uint64_t looked_ms;
};

static void look_at_status(struct traffic *t, struct honesty *honesty)
{
    uint64_t now_ms = lutra_test_now_ms();
    if (now_ms - honesty->looked_ms < 500) {
        return;
    }
    honesty->looked_ms = now_ms;
    char *found = lie(t);
    if (!found) {
        honesty->lie_ms = 0;
    } else if (honesty->lie_ms == 0) {
        honesty->lie_ms = now_ms;
    } else if (now_ms - honesty->lie_ms >= lutra_test_scaled_ms(CELL_STATUS_MS) &&
               strncmp(found, "nothing", 7) != 0) {
        lutra_test_fail("%s", found);
    } else if (strncmp(found, "nothing", 7) == 0 &&
               now_ms - honesty->lie_ms >= lutra_test_scaled_ms(CELL_STATUS_MS) - CELL_STATUS_MS) {
        lutra_test_fail("%s", found); /* that time is in the finding itself */
    }
    free(found);
}

static void await_running(struct traffic *t)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(CELL_STATUS_MS);
    for (bool running = false; !running;) {
        json_t *status = cluster_status(&t->s->c);
        const char *state = json_string_value(json_object_get(status, "state"));
        running = state && strcmp(state, "RUNNING") == 0;
        if (!running && lutra_test_now_ms() >= end_ms) {
            char *text = status ? json_dumps(status, JSON_INDENT(1)) : NULL;
            lutra_test_fail("rows flow, and 15 s later status does not say RUNNING: %s",
                            text ? text : "none");
        }
        json_decref(status);
        traffic_step(t);
    }
}

/* ---- the cell ---- */

static void begin_trouble(struct traffic *t, const struct cell *cell)
{
    struct sites *s = t->s;
    if (cell->ab) {
        link_rules(&s->link, "ab", cell->ab);
    }
    if (cell->ba) {
        link_rules(&s->link, "ba", cell->ba);
    }
    if (cell->from != cell->to) {
        sites_cut(s, cell->from, cell->to, cell->which);
    }
}

/* Longest time that nothing arrived meanwhile. */
static uint64_t endure(struct traffic *t, const struct cell *cell)
{
    struct honesty honesty = {0};
    uint64_t longest_ms = 0;
    uint64_t end_ms = lutra_test_now_ms() + cell->lasts_ms;
    while (lutra_test_now_ms() < end_ms) {
        traffic_step(t);
        look_at_status(t, &honesty);
        uint64_t still_ms = lutra_test_now_ms() - t->moved_ms;
        longest_ms = still_ms > longest_ms ? still_ms : longest_ms;
        if (cell->flow_ms && still_ms > lutra_test_scaled_ms(cell->flow_ms)) {
            lutra_test_fail("%s: nothing has arrived for %" PRIu64 " ms", cell->name, still_ms);
        }
    }
    return longest_ms;
}

void cell_run(struct traffic *t, const struct cell *cell)
{
    char took[24] = "-";
    int64_t epoch = t->epoch;
    /* The short one is run with every change. */
    cell_note("%s begins; again: ./tests/run %s --seed %" PRIu64 " -R %s", cell->name,
              strstr(program(), "smoke") ? "integration" : "network", cell_seed(), program());
    begin_trouble(t, cell);
    uint64_t longest_ms = endure(t, cell);
    traffic_look(t);
    int64_t before = t->version, written = t->n;
    sites_heal(t->s);
    cell_note("%s heals", cell->name);
    uint64_t bound_ms = cell->heals_ms ? cell->heals_ms : CELL_FLOW_MS;
    uint64_t flow_ms = traffic_until(t, before + 1, bound_ms);
    if (flow_ms == UINT64_MAX) {
        json_t *status = cluster_status(&t->s->c);
        char *text = status ? json_dumps(status, JSON_INDENT(1)) : NULL;
        uint64_t more_ms = traffic_until(t, before + 1, 60000);
        lutra_test_fail(
            "%s: nothing flows %" PRIu64 " ms after it healed (%s%" PRIu64 " ms); status: %s",
            cell->name, bound_ms, more_ms == UINT64_MAX ? "and not in " : "but after ",
            more_ms == UINT64_MAX ? bound_ms + 60000 : more_ms + bound_ms, text ? text : "none");
    }
    uint64_t caught_ms = traffic_until(t, written, 60000);
    cr_assert_neq(caught_ms, UINT64_MAX, "%s: what was written meanwhile does not arrive",
                  cell->name);
    await_running(t);
    traffic_equal(t, 60000);
    if (t->epoch > epoch) {
        (void)snprintf(took, sizeof took, "%lld", (long long)(t->epoch - epoch));
    }
    cell_measured("%-44s still %6.1f s   flow after %5.0f ms   caught up %6.0f ms   epochs %s",
                  cell->name, (double)longest_ms / 1000, (double)flow_ms,
                  (double)(flow_ms + caught_ms), took);
    cr_assert(!cell->keeps_epoch || t->epoch == epoch, "%s: no reason for a new epoch", cell->name);
}
