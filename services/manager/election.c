#include "manager/election.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "coord/mirror.h"

#define ELECTION_PATH "/lutra/manager/election"

enum { EVALUATE_MS = 1000 };

struct candidate {
    char *name; /* n-0000000007 */
    struct mgr_election *election;
    struct lutra_znode *znode;
    char instance[64], http[128];
    bool stays; /* while comparing with the current children */
};

struct mgr_election {
    struct lutra_coord *coord;
    struct lutra_zchildren *children;
    struct candidate **candidates; /* in the children's order: by sequence */
    size_t n;
    struct lutra_timer *timer;
    char *data;
    unsigned missed; /* evaluations in a row that did not find a node of ours */
    bool creating;
    /* mgr_election_verify under way; one at a time. */
    void (*verify_fn)(bool leads, void *arg);
    void *verify_arg;
};

static bool is_ours(const struct mgr_election *election, const struct candidate *candidate)
{
    int64_t session = lutra_coord_session_id(election->coord);

    return session != 0 && lutra_znode_known(candidate->znode) &&
           lutra_znode_exists(candidate->znode) &&
           lutra_znode_stat(candidate->znode)->ephemeral_owner == session;
}

bool mgr_election_leads(const struct mgr_election *election)
{
    return lutra_coord_state_of(election->coord) == LUTRA_COORD_CONNECTED && election->n > 0 &&
           is_ours(election, election->candidates[0]);
}

static const struct candidate *leader(const struct mgr_election *election)
{
    return election->n > 0 && election->candidates[0]->http[0] != '\0' ? election->candidates[0]
                                                                       : NULL;
}

const char *mgr_election_leader_http(const struct mgr_election *election)
{
    const struct candidate *first = leader(election);

    return first != NULL ? first->http : NULL;
}

const char *mgr_election_leader(const struct mgr_election *election)
{
    const struct candidate *first = leader(election);

    return first != NULL ? first->instance : NULL;
}

size_t
mgr_election_candidates(const struct mgr_election *election, struct mgr_candidate *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < election->n && n < max; i++) {
        const struct candidate *candidate = election->candidates[i];

        if (candidate->http[0] != '\0') {
            out[n++] = (struct mgr_candidate){
                .instance = candidate->instance,
                .http = candidate->http,
                .leader = i == 0,
                .self = is_ours(election, candidate),
            };
        }
    }
    return n;
}

/* ---- the own node ---- */

static void created_cb(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_election *election = arg;

    election->creating = false;
    /* It becomes visible by the children; an unknown outcome is settled there too. */
    election->missed = 0;
    if (result->rc != LUTRA_COORD_OK && result->rc != LUTRA_COORD_UNKNOWN) {
        LUTRA_WARN("manager.election_refused",
                   LUTRA_F_STR("error", result->err != NULL ? result->err->msg : ""));
    }
}

static void stand(struct mgr_election *election)
{
    election->creating = true;
    lutra_coord_create(election->coord, ELECTION_PATH "/n-", election->data, strlen(election->data),
                       LUTRA_COORD_EPHEMERAL | LUTRA_COORD_SEQUENTIAL, created_cb, election);
}

/* There must be exactly one node of this session. One evaluation without it is no proof: the
 * children may be older than a create that has just succeeded. */
static void evaluate(struct mgr_election *election, bool first)
{
    bool found = false;

    if (lutra_coord_state_of(election->coord) != LUTRA_COORD_CONNECTED ||
        !lutra_zchildren_known(election->children)) {
        return;
    }
    for (size_t i = 0; i < election->n; i++) {
        if (!lutra_znode_known(election->candidates[i]->znode)) {
            return;
        }
    }
    for (size_t i = 0; i < election->n; i++) {
        char path[256];

        if (!is_ours(election, election->candidates[i])) {
            continue;
        }
        if (found) { /* a create whose answer was lost had succeeded */
            snprintf(path, sizeof(path), ELECTION_PATH "/%s", election->candidates[i]->name);
            lutra_coord_delete(election->coord, path, -1, NULL, NULL);
        }
        found = true;
    }
    election->missed = found ? 0 : election->missed + 1;
    if (!found && !election->creating && (first || election->missed >= 2)) {
        stand(election);
    }
}

static void timer_cb(void *arg)
{
    struct mgr_election *election = arg;

    evaluate(election, false);
    lutra_timer_start(election->timer, EVALUATE_MS);
}

/* ---- the candidates ---- */

static void on_data(void *arg)
{
    struct candidate *candidate = arg;
    size_t len;
    const char *data = lutra_znode_data(candidate->znode, &len);
    json_t *record = json_loadb(data, len, 0, NULL);
    const char *instance = json_string_value(json_object_get(record, "instance"));
    const char *http = json_string_value(json_object_get(record, "http"));

    snprintf(candidate->instance, sizeof(candidate->instance), "%s",
             instance != NULL ? instance : "");
    snprintf(candidate->http, sizeof(candidate->http), "%s", http != NULL ? http : "");
    json_decref(record);
}

static void candidate_free(struct candidate *candidate)
{
    lutra_znode_free(candidate->znode);
    lutra_free(candidate->name);
    lutra_free(candidate);
}

static struct candidate *candidate_of(struct mgr_election *election, const char *name)
{
    struct candidate *candidate;
    char path[256];

    for (size_t i = 0; i < election->n; i++) {
        if (strcmp(election->candidates[i]->name, name) == 0) {
            election->candidates[i]->stays = true;
            return election->candidates[i];
        }
    }
    candidate = LUTRA_NEW(struct candidate);
    candidate->name = lutra_strdup(name);
    candidate->election = election;
    candidate->stays = true;
    snprintf(path, sizeof(path), ELECTION_PATH "/%.200s", name);
    candidate->znode = lutra_znode_new(election->coord, path, on_data, candidate);
    return candidate;
}

static void on_children(void *arg)
{
    struct mgr_election *election = arg;
    bool first = election->candidates == NULL && election->missed == 0;
    const char *const *names;
    size_t n = lutra_zchildren_names(election->children, &names);
    struct candidate **now = lutra_alloc((n + 1) * sizeof(struct candidate *));

    for (size_t i = 0; i < election->n; i++) {
        election->candidates[i]->stays = false;
    }
    for (size_t i = 0; i < n; i++) {
        now[i] = candidate_of(election, names[i]);
    }
    for (size_t i = 0; i < election->n; i++) {
        if (!election->candidates[i]->stays) {
            candidate_free(election->candidates[i]);
        }
    }
    lutra_free(election->candidates);
    election->candidates = now;
    election->n = n;
    evaluate(election, first);
}

static void on_state(enum lutra_coord_state state, void *arg)
{
    struct mgr_election *election = arg;

    if (state == LUTRA_COORD_LOST) {
        election->missed = 1; /* the node is gone with the session: no need to look twice */
    }
}

/* ---- verify ---- */

static void verified_cb(const struct lutra_coord_result *result, void *arg)
{
    struct mgr_election *election = arg;
    void (*fn)(bool, void *) = election->verify_fn;
    bool leads = result->rc == LUTRA_COORD_OK && result->n_children > 0 &&
                 mgr_election_leads(election) &&
                 strcmp(result->children[0], election->candidates[0]->name) == 0;

    election->verify_fn = NULL;
    if (fn != NULL) {
        fn(leads, election->verify_arg);
    }
}

void mgr_election_verify(struct mgr_election *election,
                         void (*fn)(bool leads, void *arg),
                         void *arg)
{
    bool busy = election->verify_fn != NULL;

    election->verify_fn = fn;
    election->verify_arg = arg;
    if (!busy) {
        lutra_coord_children(election->coord, ELECTION_PATH, NULL, verified_cb, election);
    }
}

struct mgr_election *
mgr_election_new(struct lutra_coord *coord, const char *instance, const char *http)
{
    struct mgr_election *election = LUTRA_NEW(struct mgr_election);
    json_t *record = json_pack("{s:s, s:s}", "instance", instance, "http", http);
    char *text = json_dumps(record, JSON_COMPACT);

    json_decref(record);
    LUTRA_ASSERT(text != NULL); /* both are checked names */
    election->data = lutra_strdup(text);
    free(text);
    election->coord = coord;
    election->timer = lutra_timer_new(lutra_coord_loop(coord), timer_cb, election);
    lutra_timer_start(election->timer, EVALUATE_MS);
    lutra_coord_listen(coord, on_state, election);
    election->children = lutra_zchildren_new(coord, ELECTION_PATH, on_children, election);
    return election;
}

void mgr_election_free(struct mgr_election *election)
{
    if (election == NULL) {
        return;
    }
    lutra_coord_unlisten(election->coord, election);
    lutra_coord_forget(election->coord, election);
    for (size_t i = 0; i < election->n; i++) {
        char path[256];

        if (is_ours(election, election->candidates[i])) {
            snprintf(path, sizeof(path), ELECTION_PATH "/%s", election->candidates[i]->name);
            lutra_coord_delete(election->coord, path, -1, NULL, NULL);
        }
        candidate_free(election->candidates[i]);
    }
    lutra_free(election->candidates);
    lutra_zchildren_free(election->children);
    lutra_timer_free(election->timer);
    lutra_free(election->data);
    lutra_free(election);
}
