#include "base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

enum action { ACTION_ERROR, ACTION_CRASH, ACTION_PAUSE, ACTION_DELAY, N_ACTIONS };

static const char *const action_names[N_ACTIONS] = {
    [ACTION_ERROR] = "error",
    [ACTION_CRASH] = "crash",
    [ACTION_PAUSE] = "pause",
    [ACTION_DELAY] = "delay",
};

enum { MAX_ARMED = 64, MAX_DELAY_MS = 600000 };

struct armed {
    char *name;
    enum action action;
    uint64_t at, hits, delay_ms;
};
struct plan {
    struct armed points[MAX_ARMED];
    size_t n;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan plan;        /* @locks lock */
static char *plan_text;         /* @locks lock */
static atomic_bool plan_is_set; /* nothing armed must cost next to nothing */

/* Points as they are first reached. A name is compared by address first: a call site has one. */
static struct {
    const char *name;
    atomic_uint_fast64_t hits;
} known[LUTRA_FAULT_MAX_POINTS];
static atomic_size_t n_known; /* grows under lock */

/* ---- arming ---- */

/* "action[@ms][:n]" */
static int parse_action(char *text, struct armed *point)
{
    char *at = strchr(text, ':'), *ms;

    point->at = 1;
    if (at) {
        *at++ = '\0';
        if (lutra_units_parse_u64(at, &point->at) < 0 || point->at == 0) {
            return -1;
        }
    }
    ms = strchr(text, '@');
    if (ms) {
        *ms++ = '\0';
        if (lutra_units_parse_u64(ms, &point->delay_ms) < 0 || point->delay_ms == 0 ||
            point->delay_ms > MAX_DELAY_MS) {
            return -1;
        }
    }
    for (unsigned i = 0; i < N_ACTIONS; i++) {
        if (strcmp(text, action_names[i]) == 0) {
            point->action = (enum action)i;
            return (point->action == ACTION_DELAY) == (ms != NULL) ? 0 : -1;
        }
    }
    return -1;
}

static int parse_point(char *text, struct plan *out, struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *whole = lutra_strdup(text);
    char *action = strchr(text, '=');

    if (out->n == MAX_ARMED) {
        return lutra_error_set(err, LUTRA_CONFIG, 0, "more than %d fault points", MAX_ARMED);
    }
    if (action && action != text) {
        struct armed point = {0};

        *action++ = '\0';
        if (parse_action(action, &point) == 0) {
            point.name = lutra_strdup(text);
            out->points[out->n++] = point;
            return 0;
        }
    }
    return lutra_error_set(err, LUTRA_CONFIG, 0,
                           "\"%.200s\" is no fault: expected name=error|crash|pause|delay@MS[:N]",
                           whole);
}

static void plan_fini(struct plan *old)
{
    while (old->n > 0) {
        lutra_free(old->points[--old->n].name);
    }
}

static int arm(const char *spec, struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *copy = lutra_strdup(spec ? spec : "");
    char *save = NULL;
    struct plan new = {0};

    for (char *text = strtok_r(copy, ",", &save); text; text = strtok_r(NULL, ",", &save)) {
        if (parse_point(text, &new, err)) {
            plan_fini(&new);
            return -1;
        }
    }
    pthread_mutex_lock(&lock);
    plan_fini(&plan);
    plan = new;
    lutra_free(plan_text);
    plan_text = lutra_strdup(spec ? spec : "");
    atomic_store(&plan_is_set, plan.n > 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

static void arm_from_environment(void)
{
    const char *spec = getenv("LUTRA_TEST_FAULTS");
    struct lutra_error err = {0};

    if (arm(spec, &err)) {
        LUTRA_ERROR("fault.bad_spec", LUTRA_F_STR("spec", spec), LUTRA_F_ERR(&err));
    }
}

int lutra_fault_set(const char *spec, struct lutra_error *err)
{
    pthread_once(&once, arm_from_environment); /* or it would come later, over this */
    return arm(spec, err);
}

void lutra_fault_arm(const char *spec)
{
    int rc = lutra_fault_set(spec, NULL);

    LUTRA_ASSERT(rc == 0);
}

char *lutra_fault_armed(void)
{
    char *text;

    pthread_once(&once, arm_from_environment);
    pthread_mutex_lock(&lock);
    text = lutra_strdup(plan_text);
    pthread_mutex_unlock(&lock);
    return text;
}

/* ---- counting ---- */

static void count_new(const char *name)
{
    pthread_mutex_lock(&lock);
    size_t n = atomic_load(&n_known), i = 0;
    while (i < n && strcmp(known[i].name, name) != 0) {
        i++;
    }
    if (i < LUTRA_FAULT_MAX_POINTS) {
        atomic_fetch_add_explicit(&known[i].hits, 1, memory_order_relaxed);
        if (i == n) {
            known[i].name = name;
            atomic_store_explicit(&n_known, n + 1, memory_order_release);
        }
    }
    pthread_mutex_unlock(&lock);
}

static void count(const char *name)
{
    size_t n = atomic_load_explicit(&n_known, memory_order_acquire);

    for (size_t i = 0; i < n; i++) {
        if (known[i].name == name) {
            atomic_fetch_add_explicit(&known[i].hits, 1, memory_order_relaxed);
            return;
        }
    }
    count_new(name);
}

size_t lutra_fault_points(struct lutra_fault_point *points, size_t capacity)
{
    size_t n = atomic_load_explicit(&n_known, memory_order_acquire);

    n = n < capacity ? n : capacity;
    for (size_t i = 0; i < n; i++) {
        points[i] = (struct lutra_fault_point){known[i].name, atomic_load(&known[i].hits)};
    }
    return n;
}

/* ---- hits ---- */

/* What is to happen at this hit; false: nothing. */
static bool take_hit(const char *name, struct armed *hit)
{
    bool found = false;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < plan.n; i++) {
        struct armed *point = &plan.points[i];

        if (strcmp(point->name, name) == 0) {
            point->hits++;
            if (point->action == ACTION_DELAY ? point->hits >= point->at
                                              : point->hits == point->at) {
                *hit = *point;
                found = true;
            }
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec rest = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}

bool lutra_fault_hit(const char *name)
{
    struct armed hit;

    pthread_once(&once, arm_from_environment);
    count(name);
    if (!atomic_load_explicit(&plan_is_set, memory_order_relaxed) || !take_hit(name, &hit)) {
        return false;
    }
    if (hit.hits == hit.at) {
        LUTRA_WARN("fault.hit", LUTRA_F_STR("point", name),
                   LUTRA_F_STR("action", action_names[hit.action]), LUTRA_F_U64("hit", hit.hits));
    }
    switch (hit.action) {
    case ACTION_CRASH:
        kill(getpid(), SIGKILL);
        break;
    case ACTION_PAUSE:
        kill(getpid(), SIGSTOP);
        break;
    case ACTION_DELAY:
        sleep_ms(hit.delay_ms);
        break;
    case ACTION_ERROR:
    case N_ACTIONS:
        break;
    }
    return hit.action == ACTION_ERROR;
}
