#include "manager/view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

const char *mgr_state_name(enum mgr_state state)
{
    switch (state) {
    case MGR_RUNNING:
        return "RUNNING";
    case MGR_STARTING:
        return "STARTING";
    case MGR_PAUSED:
        return "PAUSED";
    case MGR_STOPPED:
        return "STOPPED";
    case MGR_ROLLED_BACK:
        return "ROLLED_BACK";
    case MGR_STALLED:
        return "STALLED";
    case MGR_UNKNOWN:
        return "UNKNOWN";
    }
    return "UNKNOWN";
}

__attribute__((format(printf, 3, 4))) static void
set(struct mgr_verdict *verdict, enum mgr_state state, const char *fmt, ...)
{
    va_list ap;

    verdict->state = state;
    va_start(ap, fmt);
    vsnprintf(verdict->reason, sizeof(verdict->reason), fmt, ap);
    va_end(ap);
}

static const char *text_of(const char *text)
{
    return text != NULL ? text : "";
}

static void judge_stopped(const struct mgr_view *view, struct mgr_verdict *verdict)
{
    if (view->select_owner != NULL || view->load_owner != NULL) {
        set(verdict, MGR_STOPPED, "stopping: %s%s%s still there",
            view->select_owner != NULL ? "select owner" : "",
            view->select_owner != NULL && view->load_owner != NULL ? " and " : "",
            view->load_owner != NULL ? "load owner" : "");
        return;
    }
    set(verdict, MGR_STOPPED, "%s", "");
}

static void judge_paused(const struct mgr_view *view, struct mgr_verdict *verdict)
{
    if (view->in_flight > 0) {
        set(verdict, MGR_PAUSED, "draining: %" PRIu64 " processes in flight", view->in_flight);
        return;
    }
    set(verdict, MGR_PAUSED, "%s", "");
}

static void judge_rolled_back(const struct mgr_view *view, struct mgr_verdict *verdict)
{
    const char *reason = view->control_reason[0] != '\0' ? view->control_reason : "no reason given";
    const char *fence = verdict->fence_pending ? "; the new fence is not made yet" : "";
    char when[32];

    if (view->retry_at_ms == 0) {
        set(verdict, MGR_ROLLED_BACK, "%s; waits for an operator%s", reason, fence);
        return;
    }
    lutra_clock_format_us(view->retry_at_ms * 1000, when);
    set(verdict, MGR_ROLLED_BACK, "%s; %s %s%s", reason,
        view->wall_ms >= view->retry_at_ms ? "retry due since" : "retry at", when, fence);
}

/* Why there is no stream, or NULL when there is one. */
static const char *missing(const struct mgr_view *view, bool fence_pending, char *buf, size_t size)
{
    if (view->load_owner == NULL && view->select_owner == NULL) {
        return "neither a select nor a load owner";
    }
    if (view->load_owner == NULL) {
        return "no load owner";
    }
    if (view->select_owner == NULL) {
        return "no select owner";
    }
    if (!view->has_origin) {
        return "load has not made the first epoch yet";
    }
    if (fence_pending) {
        snprintf(buf, size, "load has not made epoch %" PRIu64 " yet", view->control_epoch);
        return buf;
    }
    if (strcmp(view->origin_select_session, view->select_session) != 0) {
        return "another select owner: load has not made an epoch for it yet";
    }
    if (view->origin_config_version != view->config_version) {
        snprintf(buf, size, "load has not made an epoch for config version %" PRIu64 " yet",
                 view->config_version);
        return buf;
    }
    if (view->select_answers && view->select_epoch != view->origin_epoch) {
        snprintf(buf, size, "select has not begun epoch %" PRIu64 " yet", view->origin_epoch);
        return buf;
    }
    return NULL;
}

/* Why the stream does not flow although both owners agree about it, or NULL. select's DRAINING: it
 * has stopped reading for good and waits for what is in flight, before it says why. */
static const char *not_flowing(const struct mgr_view *view, char *buf, size_t size)
{
    if (strcmp(view->load_state, "RUN") != 0) {
        snprintf(buf, size, "load does not apply yet: %s", view->load_state);
        return buf;
    }
    if (strcmp(view->select_state, "STREAM") != 0 && strcmp(view->select_state, "DRAINING") != 0) {
        snprintf(buf, size, "select does not read yet: %s", view->select_state);
        return buf;
    }
    if (view->extracts == 0 || view->transforms == 0) {
        snprintf(buf, size, "no instance of %s serves it%s",
                 view->extracts > 0     ? "transform"
                 : view->transforms > 0 ? "extract"
                                        : "extract and transform",
                 text_of(view->silent));
        return buf;
    }
    if (view->start_pending) {
        return "the start position is not committed at the target yet";
    }
    return NULL;
}

static void add_text(struct mgr_verdict *verdict, const char *text)
{
    size_t len = strlen(verdict->reason);

    if (text != NULL && text[0] != '\0') {
        snprintf(verdict->reason + len, sizeof(verdict->reason) - len, "%s%s", len > 0 ? "; " : "",
                 text);
    }
}

static void add_errors(const struct mgr_view *view, struct mgr_verdict *verdict)
{
    add_text(verdict, view->blocked);
    add_text(verdict, view->last_error);
}

static void judge_waiting(const struct mgr_view *view, struct mgr_verdict *verdict, const char *why)
{
    if (view->waiting_ms >= view->stall_ms) {
        set(verdict, MGR_STALLED, "%s, for %" PRIu64 " s", why, view->waiting_ms / 1000);
    } else {
        set(verdict, MGR_STARTING, "%s", why);
    }
    add_errors(view, verdict);
}

static void
judge_still(const struct mgr_view *view, struct mgr_verdict *verdict, enum mgr_state state)
{
    const char *where = text_of(view->whereabouts);

    set(verdict, state, "%" PRIu64 " processes in flight, no progress for %" PRIu64 " s%s%s%s",
        view->in_flight, view->still_ms / 1000, where[0] != '\0' ? ": " : "", where,
        text_of(view->silent));
}

static void judge_permitted(const struct mgr_view *view, struct mgr_verdict *verdict)
{
    char buf[320];
    const char *why = missing(view, verdict->fence_pending, buf, sizeof(buf));

    if (why != NULL) {
        verdict->no_owner = view->select_owner == NULL || view->load_owner == NULL;
        judge_waiting(view, verdict, why);
        return;
    }
    verdict->agreed = true;
    if (!view->select_answers || !view->load_answers) {
        set(verdict, MGR_UNKNOWN, "%s owner %s does not tell its state",
            view->select_answers ? "load" : "select",
            view->select_answers ? view->load_owner : view->select_owner);
        return;
    }
    if (view->in_flight > 0 && view->still_ms >= view->stall_ms) {
        judge_still(view, verdict, MGR_STALLED);
        verdict->stuck = true;
        verdict->curable = view->extracts > 0 && view->transforms > 0;
        add_errors(view, verdict);
        return;
    }
    why = not_flowing(view, buf, sizeof(buf));
    if (why != NULL) {
        judge_waiting(view, verdict, why);
        return;
    }
    verdict->flowing = true;
    if (view->in_flight > 0 && view->still_ms >= view->stall_ms / 3) {
        judge_still(view, verdict, MGR_RUNNING); /* told before it is called a stall */
    } else {
        set(verdict, MGR_RUNNING, "%s", "");
    }
}

void mgr_view_judge(const struct mgr_view *view, struct mgr_verdict *verdict)
{
    memset(verdict, 0, sizeof(*verdict));
    verdict->fence_pending =
        view->has_control && view->control_epoch > (view->has_origin ? view->origin_epoch : 0);
    verdict->permit = view->has_desired && view->desired == LUTRA_DESIRED_START &&
                      view->has_control && view->control_start;
    if (!view->connected) {
        set(verdict, MGR_UNKNOWN, "this manager is not connected to ZooKeeper");
    } else if (view->wiped) {
        set(verdict, MGR_UNKNOWN,
            "ZooKeeper does not know this channel any more: was it wiped? "
            "Apply the definition again");
    } else if (!view->known) {
        set(verdict, MGR_UNKNOWN, "ZooKeeper's records have not been read yet");
    } else if (!view->has_desired || !view->has_control) {
        set(verdict, MGR_UNKNOWN, "ZooKeeper has no %s record: apply the definition again",
            view->has_desired ? "control" : "desired");
    } else if (view->desired == LUTRA_DESIRED_STOP) {
        judge_stopped(view, verdict);
    } else if (view->desired == LUTRA_DESIRED_PAUSE) {
        judge_paused(view, verdict);
    } else if (!view->control_start) {
        judge_rolled_back(view, verdict);
    } else {
        judge_permitted(view, verdict);
    }
}
