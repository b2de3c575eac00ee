/* Alarms: what an operator must know or do, kept in ZooKeeper (/lutra/alarms), so that each is
 * raised and cleared once, whichever manager leads and however often that changes.
 *
 * Every manager mirrors them; only the leader, in its turn, says which there ought to be. */
#ifndef LUTRA_MANAGER_ALARMS_H
#define LUTRA_MANAGER_ALARMS_H

#include <jansson.h>

#include "base/metrics.h"
#include "coord/coord.h"
#include "manager/events.h"

struct mgr_alarm {
    char name[200];    /* of the znode: "<subject>-<kind>", or as its maker wished */
    char kind[32];     /* "rolled_back", ... (docs/PROTOCOL.md §6.6) */
    char subject[160]; /* the pipeline, or "<service>/<instance>" */
    char pipeline[48]; /* "": of none */
    char text[640];
    char by[128];
    int64_t raised_ms;
};

struct mgr_alarms;
struct mgr_alarms *mgr_alarms_new(struct lutra_coord *coord,
                                  struct lutra_metrics *metrics,
                                  const char *instance,
                                  struct mgr_events *events);
void mgr_alarms_free(struct mgr_alarms *alarms);

/* ---- the leader's turn: begin, then any of the others, then end ---- */

/* False: what stands in ZooKeeper is not known now; the turn is left out. */
bool mgr_alarms_begin(struct mgr_alarms *alarms);
/* There ought to be one: raised unless it stands. Its text stays as it was raised. */
void mgr_alarms_want(struct mgr_alarms *alarms,
                     const char *kind,
                     const char *subject,
                     const char *pipeline,
                     const char *suffix,
                     const char *fmt,
                     ...) LUTRA_PRINTF(6, 7);
/* If it stands it stays: whether its cause lasts cannot be told now. */
void mgr_alarms_keep(struct mgr_alarms *alarms,
                     const char *kind,
                     const char *subject,
                     const char *suffix);
/* fn(alarm): true when it stays. For those that nobody wanted or kept. */
void mgr_alarms_end(struct mgr_alarms *alarms,
                    bool (*stays)(const struct mgr_alarm *alarm, void *arg),
                    void *arg);

/* ---- everybody ---- */

/* Calls fn for each, by name. */
void mgr_alarms_each(const struct mgr_alarms *alarms,
                     void (*fn)(const struct mgr_alarm *alarm, void *arg),
                     void *arg);
const struct mgr_alarm *mgr_alarms_find(const struct mgr_alarms *alarms, const char *name);
/* [{"name","kind","subject","pipeline","text","by","raised_ms"}]; of one pipeline, or NULL: all. */
json_t *mgr_alarms_json(const struct mgr_alarms *alarms, const char *pipeline);
/* The record of an operator's or the leader's alarm, as it stands in ZooKeeper. Free with free().
 */
char *mgr_alarm_record(const struct mgr_alarm *alarm);
const char *mgr_alarm_path(const char *name, char *buf, size_t size);
/* What may stand as a name in a path. */
bool mgr_alarm_name_valid(const char *name);
/* Told once in history, log and counters: by whoever wrote it. */
void mgr_alarms_tell(struct mgr_alarms *alarms, const struct mgr_alarm *alarm, bool raised);

#endif
