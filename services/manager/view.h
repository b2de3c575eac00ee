/* What is known of a pipeline at one moment, and the one word for it. Pure. */
#ifndef LUTRA_MANAGER_VIEW_H
#define LUTRA_MANAGER_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/records.h"

enum mgr_state {
    MGR_RUNNING,     /* owners there, stream of the wanted epoch, progress or nothing to do */
    MGR_STARTING,    /* permit, no stream yet */
    MGR_PAUSED,      /* by an operator */
    MGR_STOPPED,     /* by an operator */
    MGR_ROLLED_BACK, /* waits for retry_at or an operator */
    MGR_STALLED,     /* permit, and it does not move */
    MGR_UNKNOWN,     /* cannot be known now; the reason says why */
};
const char *mgr_state_name(enum mgr_state state);

/* Everything borrowed. */
struct mgr_view {
    const char *pipeline;
    /* From ZooKeeper. */
    bool connected; /* this manager's session */
    bool known;     /* all records have been read once */
    bool wiped;     /* the channel is known from before, and ZooKeeper does not know it any more */
    bool has_desired;
    enum lutra_desired desired;
    bool has_control, control_start;
    uint64_t control_epoch;
    int64_t retry_at_ms;
    const char *control_reason;
    bool has_origin;
    uint64_t origin_epoch, origin_config_version;
    const char *origin_select_session;
    uint64_t config_version;
    const char *select_owner, *select_session, *load_owner; /* NULL: nobody */
    /* From the owners' /state. */
    bool select_answers, load_answers; /* they know the pipeline and own it */
    uint64_t select_epoch, load_epoch;
    const char *select_state, *load_state; /* "STREAM", "RUN" when they work; "" unknown */
    unsigned extracts, transforms;         /* instances that serve the pipeline and answer */
    bool start_pending; /* the target has no position yet: what `start:` means is not settled */
    uint64_t in_flight;
    const char *last_error; /* "" when none */
    const char *blocked;    /* why some instance cannot serve it, "" */
    /* Where the oldest process in flight is, and who of those that served the pipeline is silent or
     * gone; "" when there is nothing to say. */
    const char *whereabouts, *silent;
    /* From watching. */
    int64_t wall_ms;
    uint64_t still_ms; /* data in flight and no progress for so long; 0: it moves, or has not to */
    uint64_t waiting_ms; /* permit and no stream for so long */
    uint64_t stall_ms;   /* the bound of both */
    uint64_t pace_ms;    /* the bound of still_ms for the next RESTART */
};

struct mgr_verdict {
    enum mgr_state state;
    char reason[640]; /* "" when there is nothing to say */
    bool permit;
    bool fence_pending; /* an epoch is wanted that load has not made yet */
    bool agreed;        /* owners, origin and select are of one epoch */
    bool flowing;       /* and every stage works; only then does the time of a start not count */
    bool stuck;         /* STALLED with data in flight */
    bool curable;       /* and every stage has an instance: a RESTART may help */
    bool no_owner;      /* nobody has taken select or load */
};
void mgr_view_judge(const struct mgr_view *view, struct mgr_verdict *verdict);

#endif
