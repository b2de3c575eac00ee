#include "catalog/request.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    MAGIC = 0x7a5c2101,
    RETRY_MIN_MS = 1000,
    RETRY_MAX_MS = 60000,
    MAX_TRIES = 100,   /* lost races of one request */
    FREE_RESTARTS = 2, /* in a row; the next ones wait like a ROLLBACK */
    MAX_DOUBLINGS = 5,
};

/* --- the decision --- */

static int64_t backoff_ms(uint32_t attempt)
{
    int64_t ms = RETRY_MIN_MS;

    for (uint32_t i = 0; i < attempt && ms < RETRY_MAX_MS; i++) {
        ms *= 2;
    }
    return ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

/* A PAUSE that no automatic request ends: an operator must, or its time has not come. */
static bool paused_on(const struct lutra_control *control, int64_t now_ms)
{
    return !control->start && (control->retry_at_ms == 0 || control->retry_at_ms > now_ms);
}

static enum lutra_request_outcome may_automatic(const struct lutra_control *control,
                                                uint64_t origin_epoch,
                                                const struct lutra_request *request,
                                                int64_t now_ms)
{
    uint64_t served = request->about_epoch;
    bool forever = request->retry_at_ms == 0 && !request->retry_with_backoff;

    if (served != 0 && (control->epoch > served ||
                        (request->kind != LUTRA_REQUEST_RESUME && origin_epoch > served))) {
        return LUTRA_REQUEST_COALESCED;
    }
    switch (request->kind) {
    case LUTRA_REQUEST_RESUME:
        if (control->start) {
            return LUTRA_REQUEST_COALESCED;
        }
        if (request->early && control->retry_at_ms != 0) {
            return LUTRA_REQUEST_DONE;
        }
        return paused_on(control, now_ms) ? LUTRA_REQUEST_YIELDED : LUTRA_REQUEST_DONE;
    case LUTRA_REQUEST_RESTART:
        return paused_on(control, now_ms) ? LUTRA_REQUEST_YIELDED : LUTRA_REQUEST_DONE;
    case LUTRA_REQUEST_ROLLBACK:
        if (!paused_on(control, now_ms)) {
            return LUTRA_REQUEST_DONE;
        }
        if (control->retry_at_ms == 0) { /* waits for an operator already */
            return forever ? LUTRA_REQUEST_COALESCED : LUTRA_REQUEST_YIELDED;
        }
        return forever ? LUTRA_REQUEST_DONE : LUTRA_REQUEST_COALESCED;
    }
    return LUTRA_REQUEST_FAILED;
}

static void plain_line(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 127) {
            *text = ' ';
        }
    }
}

static void copy_line(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from);
    plain_line(to);
}

/* Attempts that stand in a row: since they began nothing more was applied. A target that went back
 * is another one, and begins anew too. */
static uint32_t attempts_in_a_row(const struct lutra_control *control,
                                  uint64_t known_process_id,
                                  uint64_t origin_process_id)
{
    bool moved = known_process_id > control->process_id ||
                 (origin_process_id != 0 && origin_process_id < control->process_id);

    return moved ? 0 : control->attempt;
}

uint64_t
lutra_control_pace_ms(const struct lutra_control *control, uint64_t process_id, uint64_t base_ms)
{
    uint32_t attempts = attempts_in_a_row(control, process_id, 0);

    return base_ms << (attempts < MAX_DOUBLINGS ? attempts : MAX_DOUBLINGS);
}

void lutra_request_bound(struct lutra_request *request,
                         const struct lutra_pipeline *pipeline,
                         uint64_t process_id)
{
    request->max_attempts = pipeline->channel->max_attempts;
    request->process_id = process_id;
    (void)snprintf(request->channel, sizeof(request->channel), "%s", pipeline->channel->name);
}

/* The row of attempts has come to its end: what stands there says so, and what to do. */
static void give_up(struct lutra_control *next, const struct lutra_request *request)
{
    next->exhausted = true;
    if (request->keeps_permit) {
        return;
    }
    next->start = false;
    next->retry_at_ms = 0;
    (void)snprintf(next->reason, sizeof(next->reason),
                   "%u attempts in a row failed, the last: %.330s; put it right and `lutractl "
                   "start %s`",
                   next->attempt - 1, request->reason, request->channel);
    plain_line(next->reason);
}

/* Counts an automatic ROLLBACK or RESTART, and makes it wait or give up when there were too many.
 */
static void count_attempt(const struct lutra_control *now,
                          uint64_t origin_process_id,
                          const struct lutra_request *request,
                          int64_t now_ms,
                          struct lutra_control *next)
{
    uint64_t known =
        request->process_id > origin_process_id ? request->process_id : origin_process_id;
    uint32_t before = attempts_in_a_row(now, known, origin_process_id);
    bool again = request->kind == LUTRA_REQUEST_RESTART || request->retry_with_backoff ||
                 request->retry_at_ms != 0;

    next->attempt = before < UINT32_MAX ? before + 1 : before;
    next->process_id = known;
    if (request->kind == LUTRA_REQUEST_ROLLBACK && request->retry_with_backoff) {
        next->retry_at_ms = now_ms + backoff_ms(before);
    }
    if (request->kind == LUTRA_REQUEST_RESTART && !request->keeps_permit &&
        before >= FREE_RESTARTS) {
        next->start = false;
        next->retry_at_ms = now_ms + backoff_ms(before);
    }
    if (again && request->max_attempts != 0 && next->attempt > request->max_attempts) {
        give_up(next, request);
    }
}

enum lutra_request_outcome lutra_request_decide(const struct lutra_control *control,
                                                uint64_t origin_epoch,
                                                uint64_t origin_process_id,
                                                const struct lutra_request *request,
                                                int64_t now_ms,
                                                struct lutra_control *next)
{
    static const struct lutra_control none = {.start = true};
    const struct lutra_control *now = control ? control : &none;
    enum lutra_request_outcome outcome = LUTRA_REQUEST_DONE;
    bool automatic = !request->by_operator;

    if (automatic) {
        outcome = may_automatic(now, origin_epoch, request, now_ms);
    } else if (request->kind == LUTRA_REQUEST_RESUME && control && control->start) {
        outcome = LUTRA_REQUEST_COALESCED;
    }
    if (outcome != LUTRA_REQUEST_DONE) {
        return outcome;
    }
    *next = (struct lutra_control){
        .start = request->kind != LUTRA_REQUEST_ROLLBACK,
        .epoch = now->epoch,
        .attempt = automatic ? now->attempt : 0,
        .process_id = now->process_id,
        .exhausted = automatic && now->exhausted && request->kind == LUTRA_REQUEST_RESUME,
        .at_ms = now_ms,
    };
    copy_line(next->reason, sizeof(next->reason), request->reason);
    copy_line(next->by, sizeof(next->by), request->by);
    if (request->kind != LUTRA_REQUEST_RESUME) {
        next->epoch = (now->epoch > origin_epoch ? now->epoch : origin_epoch) + 1;
    }
    if (request->kind == LUTRA_REQUEST_ROLLBACK) {
        next->retry_at_ms =
            request->retry_with_backoff ? now_ms + backoff_ms(0) : request->retry_at_ms;
    }
    if (automatic && request->kind != LUTRA_REQUEST_RESUME) {
        count_attempt(now, origin_process_id, request, now_ms, next);
    }
    return LUTRA_REQUEST_DONE;
}

/* --- sending it --- */

struct sending {
    uint32_t magic;
    struct lutra_coord *coord;
    struct lutra_request request;
    void (*done)(enum lutra_request_outcome outcome,
                 const struct lutra_control *control,
                 void *arg);
    void *arg;
    char control_path[256], origin_path[256];
    bool has_control;
    int32_t version; /* of the control read, -1: absent */
    struct lutra_control control, next;
    bool unsure; /* `next` was sent, and may stand there */
    unsigned tries;
};

static void read_control(struct sending *sending);

static void drop(void *object)
{
    struct sending *sending = object;

    LUTRA_ASSERT(sending->magic == MAGIC);
    lutra_coord_forget(sending->coord, sending);
    sending->magic = 0;
    lutra_free(sending);
}

static void
finish(struct sending *sending, enum lutra_request_outcome outcome, const struct lutra_control *now)
{
    static const char *const outcomes[] = {
        [LUTRA_REQUEST_DONE] = "done",
        [LUTRA_REQUEST_COALESCED] = "coalesced",
        [LUTRA_REQUEST_YIELDED] = "yielded",
        [LUTRA_REQUEST_FAILED] = "failed",
    };
    static const char *const kinds[] = {
        [LUTRA_REQUEST_ROLLBACK] = "ROLLBACK",
        [LUTRA_REQUEST_RESTART] = "RESTART",
        [LUTRA_REQUEST_RESUME] = "RESUME",
    };

    LUTRA_INFO("catalog.request", LUTRA_F_STR("path", sending->control_path),
               LUTRA_F_STR("kind", kinds[sending->request.kind]),
               LUTRA_F_STR("outcome", outcomes[outcome]),
               LUTRA_F_U64("about_epoch", sending->request.about_epoch),
               LUTRA_F_U64("epoch", now ? now->epoch : 0),
               LUTRA_F_STR("reason", sending->request.reason));
    lutra_coord_detach(sending->coord, sending);
    if (sending->done) {
        sending->done(outcome, now, sending->arg);
    }
    drop(sending);
}

static void on_written(const struct lutra_coord_result *result, void *arg)
{
    struct sending *sending = arg;

    LUTRA_ASSERT(sending->magic == MAGIC);
    switch (result->rc) {
    case LUTRA_COORD_OK:
        (void)LUTRA_FAULT("request.set");
        finish(sending, LUTRA_REQUEST_DONE, &sending->next);
        return;
    case LUTRA_COORD_UNKNOWN:
        sending->unsure = true;
        read_control(sending);
        return;
    case LUTRA_COORD_BAD_VERSION:
    case LUTRA_COORD_NODE_EXISTS:
    case LUTRA_COORD_NO_NODE: /* lost the race: read again, decide again */
        read_control(sending);
        return;
    case LUTRA_COORD_NOT_EMPTY:
    case LUTRA_COORD_ERROR:
        break;
    }
    LUTRA_ERROR("catalog.request_refused", LUTRA_F_ERR(result->err));
    finish(sending, LUTRA_REQUEST_FAILED, NULL);
}

static bool same(const struct lutra_control *a, const struct lutra_control *b)
{
    return a->start == b->start && a->epoch == b->epoch && a->at_ms == b->at_ms &&
           a->retry_at_ms == b->retry_at_ms && strcmp(a->by, b->by) == 0 &&
           strcmp(a->reason, b->reason) == 0;
}

static void decide(struct sending *sending, uint64_t origin_epoch, uint64_t origin_process_id)
{
    int64_t now_ms = lutra_loop_wall_us(lutra_coord_loop(sending->coord)) / 1000;
    enum lutra_request_outcome outcome;
    struct lutra_buf text = {0};

    if (sending->unsure && sending->has_control && same(&sending->control, &sending->next)) {
        finish(sending, LUTRA_REQUEST_DONE, &sending->control);
        return;
    }
    outcome = lutra_request_decide(sending->has_control ? &sending->control : NULL, origin_epoch,
                                   origin_process_id, &sending->request, now_ms, &sending->next);
    if (outcome != LUTRA_REQUEST_DONE) {
        finish(sending, outcome, sending->has_control ? &sending->control : NULL);
        return;
    }
    (void)LUTRA_FAULT("request.before_set");
    lutra_control_to_json(&sending->next, &text);
    if (sending->version >= 0) {
        lutra_coord_set(sending->coord, sending->control_path, lutra_buf_cstr(&text), text.len,
                        sending->version, on_written, sending);
    } else {
        lutra_coord_create(sending->coord, sending->control_path, lutra_buf_cstr(&text), text.len,
                           0, on_written, sending);
    }
    lutra_buf_fini(&text);
}

static void on_origin(const struct lutra_coord_result *result, void *arg)
{
    struct sending *sending = arg;
    struct lutra_origin origin = {0};
    struct lutra_error err;
    uint64_t epoch = 0, process_id = 0;

    LUTRA_ASSERT(sending->magic == MAGIC);
    if (result->rc != LUTRA_COORD_OK && result->rc != LUTRA_COORD_NO_NODE) {
        finish(sending, LUTRA_REQUEST_FAILED, NULL);
        return;
    }
    if (result->rc == LUTRA_COORD_OK) {
        if (lutra_origin_from_json(result->data, result->len, &origin, &err) == 0) {
            epoch = origin.epoch;
            process_id = origin.process_id;
            lutra_origin_fini(&origin);
        } else { /* the control's epoch rises all the same */
            LUTRA_ERROR("catalog.malformed", LUTRA_F_STR("path", sending->origin_path),
                        LUTRA_F_ERR(&err));
        }
    }
    decide(sending, epoch, process_id);
}

static void on_control(const struct lutra_coord_result *result, void *arg)
{
    struct sending *sending = arg;
    struct lutra_error err;

    LUTRA_ASSERT(sending->magic == MAGIC);
    sending->has_control = false;
    sending->version = -1;
    if (result->rc == LUTRA_COORD_OK) {
        sending->version = result->stat.version;
        sending->has_control =
            lutra_control_from_json(result->data, result->len, &sending->control, &err) == 0;
        if (!sending->has_control) {
            LUTRA_ERROR("catalog.malformed", LUTRA_F_STR("path", sending->control_path),
                        LUTRA_F_ERR(&err));
        }
    } else if (result->rc != LUTRA_COORD_NO_NODE) {
        finish(sending, LUTRA_REQUEST_FAILED, NULL);
        return;
    }
    /* What cannot be read may hold an operator's word: only an operator writes over it. */
    if (sending->version >= 0 && !sending->has_control && !sending->request.by_operator) {
        finish(sending, LUTRA_REQUEST_FAILED, NULL);
        return;
    }
    lutra_coord_get(sending->coord, sending->origin_path, NULL, on_origin, sending);
}

static void read_control(struct sending *sending)
{
    if (sending->tries++ >= MAX_TRIES) {
        finish(sending, LUTRA_REQUEST_FAILED, NULL);
        return;
    }
    lutra_coord_get(sending->coord, sending->control_path, NULL, on_control, sending);
}

void lutra_request_send(struct lutra_coord *coord,
                        const char *pipeline,
                        const struct lutra_request *request,
                        void (*done)(enum lutra_request_outcome outcome,
                                     const struct lutra_control *control,
                                     void *arg),
                        void *arg)
{
    struct sending *sending = LUTRA_NEW(struct sending);

    sending->magic = MAGIC;
    sending->coord = coord;
    sending->request = *request;
    sending->done = done;
    sending->arg = arg;
    (void)lutra_path_pipeline(pipeline, "control", sending->control_path);
    (void)lutra_path_pipeline(pipeline, "origin", sending->origin_path);
    lutra_coord_attach(coord, drop, sending);
    read_control(sending);
}

struct forget_args {
    struct lutra_coord *coord;
    void *arg;
};

static void forget_one(void *object, void *arg)
{
    struct sending *sending = object;
    const struct forget_args *args = arg;

    if (sending->arg == args->arg) {
        lutra_coord_detach(args->coord, sending);
        drop(sending);
    }
}

void lutra_request_forget(struct lutra_coord *coord, void *arg)
{
    struct forget_args args = {coord, arg};

    lutra_coord_each_attached(coord, drop, forget_one, &args);
}
