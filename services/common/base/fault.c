#include "base/fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

enum action { ACTION_ERROR, ACTION_CRASH, ACTION_PAUSE, N_ACTIONS };

static const char *const action_names[N_ACTIONS] = {
    [ACTION_ERROR] = "error",
    [ACTION_CRASH] = "crash",
    [ACTION_PAUSE] = "pause",
};

enum { MAX_POINTS = 64 };

struct point {
    char *name;
    enum action action;
    uint64_t at, hits;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct point points[MAX_POINTS]; /* @locks lock */
static size_t n_points;                 /* @locks lock */
static atomic_bool armed;               /* nothing armed must cost nothing */

/* "name=action[:n]" */
static int parse_point(char *text, struct point *point)
{
    char *action = strchr(text, '='), *at;

    if (!action || action == text) {
        return -1;
    }
    *action++ = '\0';
    at = strchr(action, ':');
    point->at = 1;
    if (at) {
        *at++ = '\0';
        if (lutra_units_parse_u64(at, &point->at) < 0 || point->at == 0) {
            return -1;
        }
    }
    for (unsigned i = 0; i < N_ACTIONS; i++) {
        if (strcmp(action, action_names[i]) == 0) {
            point->action = (enum action)i;
            point->hits = 0;
            point->name = lutra_strdup(text);
            return 0;
        }
    }
    return -1;
}

static void arm(const char *spec)
{
    LUTRA_AUTO_FREE char *copy = lutra_strdup(spec);
    char *save = NULL;
    bool bad = false;

    pthread_mutex_lock(&lock);
    while (n_points > 0) {
        lutra_free(points[--n_points].name);
    }
    for (char *text = copy ? strtok_r(copy, ",", &save) : NULL; text;
         text = strtok_r(NULL, ",", &save)) {
        if (n_points == MAX_POINTS || parse_point(text, &points[n_points]) < 0) {
            bad = true;
        } else {
            n_points++;
        }
    }
    atomic_store(&armed, n_points > 0);
    pthread_mutex_unlock(&lock);
    if (bad) {
        LUTRA_ERROR("fault.bad_spec", LUTRA_F_STR("spec", spec));
    }
}

static void arm_from_environment(void)
{
    arm(getenv("LUTRA_TEST_FAULTS"));
}

void lutra_fault_arm(const char *spec)
{
    pthread_once(&once, arm_from_environment); /* or it would come later, over this */
    arm(spec);
}

bool lutra_fault_hit(const char *name)
{
    enum action action = ACTION_ERROR;
    uint64_t hit = 0;

    pthread_once(&once, arm_from_environment);
    if (!atomic_load_explicit(&armed, memory_order_relaxed)) {
        return false;
    }
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_points; i++) {
        if (strcmp(points[i].name, name) == 0 && ++points[i].hits == points[i].at) {
            action = points[i].action;
            hit = points[i].hits;
        }
    }
    pthread_mutex_unlock(&lock);
    if (hit == 0) {
        return false;
    }
    LUTRA_WARN("fault.hit", LUTRA_F_STR("point", name), LUTRA_F_STR("action", action_names[action]),
               LUTRA_F_U64("hit", hit));
    if (action == ACTION_CRASH) {
        kill(getpid(), SIGKILL);
    } else if (action == ACTION_PAUSE) {
        kill(getpid(), SIGSTOP);
    }
    return action == ACTION_ERROR;
}
