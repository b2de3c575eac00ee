#include "manager/alarms.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "coord/mirror.h"

#define ALARMS_PATH "/lutra/alarms"

enum {
    MAX_ALARMS = 1000,
    CLEAR_TURNS = 2, /* in a row without a cause: one may see records of two moments */
};

/* One that stands in ZooKeeper. */
struct standing {
    struct mgr_alarms *alarms;
    struct lutra_znode *znode;
    struct mgr_alarm alarm;
    bool readable;
    bool listed, wanted;
    unsigned unwanted_turns;
};

/* A write of the leader under way. */
struct writing {
    struct mgr_alarms *alarms;
    struct mgr_alarm alarm;
    bool raise;
    bool unsure; /* its answer was lost: what appears, or vanishes, tells */
    struct writing *next;
};

struct mgr_alarms {
    struct lutra_coord *coord;
    struct lutra_metrics *metrics;
    struct mgr_events *events;
    struct lutra_zchildren *children;
    struct standing **all; /* by name */
    size_t n;
    struct writing *writings;
    char by[128];
    bool told_full;
    char (*labels)[256]; /* of the gauges that are exposed */
    size_t n_labels;
};

/* ---- one record ---- */

bool mgr_alarm_name_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < sizeof(((struct mgr_alarm *)0)->name) && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@") ==
               len;
}

const char *mgr_alarm_path(const char *name, char *buf, size_t size)
{
    snprintf(buf, size, ALARMS_PATH "/%s", name);
    return buf;
}

static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);

    return value != NULL ? value : json_string("(not UTF-8)");
}

static json_t *record_json(const struct mgr_alarm *alarm)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "kind", text_json(alarm->kind), "subject",
                     text_json(alarm->subject), "pipeline", text_json(alarm->pipeline), "text",
                     text_json(alarm->text), "by", text_json(alarm->by), "raised_ms",
                     (json_int_t)alarm->raised_ms);
}

char *mgr_alarm_record(const struct mgr_alarm *alarm)
{
    json_t *record = record_json(alarm);
    char *text = json_dumps(record, JSON_COMPACT);

    json_decref(record);
    LUTRA_ASSERT(text != NULL);
    return text;
}

static void take(const json_t *record, const char *key, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(record, key));

    snprintf(to, size, "%s", text != NULL ? text : "");
}

static bool parse(const char *data, size_t len, struct mgr_alarm *alarm)
{
    json_t *record = json_loadb(data, len, 0, NULL);

    take(record, "kind", alarm->kind, sizeof(alarm->kind));
    take(record, "subject", alarm->subject, sizeof(alarm->subject));
    take(record, "pipeline", alarm->pipeline, sizeof(alarm->pipeline));
    take(record, "text", alarm->text, sizeof(alarm->text));
    take(record, "by", alarm->by, sizeof(alarm->by));
    alarm->raised_ms = json_integer_value(json_object_get(record, "raised_ms"));
    json_decref(record);
    return alarm->kind[0] != '\0';
}

static void
name_of(char *to, size_t size, const char *kind, const char *subject, const char *suffix)
{
    snprintf(to, size, "%s-%s%s%s", subject, kind, suffix[0] != '\0' ? "-" : "", suffix);
    for (; *to != '\0'; to++) {
        if (*to == '/') {
            *to = '-';
        }
    }
}

/* ---- told ---- */

void mgr_alarms_tell(struct mgr_alarms *alarms, const struct mgr_alarm *alarm, bool raised)
{
    mgr_events_add(alarms->events, raised ? "alarm.raised" : "alarm.cleared", alarm->subject,
                   "%s%s%s", alarm->kind, raised ? ": " : "", raised ? alarm->text : "");
    if (raised) {
        LUTRA_WARN("alarm.raised", LUTRA_F_STR("kind", alarm->kind),
                   LUTRA_F_STR("subject", alarm->subject), LUTRA_F_STR("text", alarm->text));
    } else {
        LUTRA_WARN("alarm.cleared", LUTRA_F_STR("kind", alarm->kind),
                   LUTRA_F_STR("subject", alarm->subject));
    }
    if (alarms->metrics != NULL) {
        struct lutra_buf labels = {0};

        lutra_metrics_label(&labels, "kind", alarm->kind);
        lutra_counter_add(lutra_metrics_counter(alarms->metrics,
                                                raised ? "lutra_manager_alarms_raised_total"
                                                       : "lutra_manager_alarms_cleared_total",
                                                lutra_buf_cstr(&labels),
                                                raised ? "Alarms that this manager raised"
                                                       : "Alarms that this manager cleared"),
                          1);
        lutra_buf_fini(&labels);
    }
}

/* The gauges show what stands, on every manager. */
static void expose(struct mgr_alarms *alarms)
{
    if (alarms->metrics == NULL) {
        return;
    }
    for (size_t i = 0; i < alarms->n_labels; i++) {
        lutra_metrics_remove(alarms->metrics, alarms->labels[i]);
    }
    lutra_free(alarms->labels);
    alarms->labels = lutra_alloc((alarms->n + 1) * sizeof(*alarms->labels));
    alarms->n_labels = 0;
    for (size_t i = 0; i < alarms->n; i++) {
        struct lutra_gauge *gauge;
        struct lutra_buf labels = {0};

        if (!alarms->all[i]->readable) {
            continue;
        }
        lutra_metrics_label(&labels, "kind", alarms->all[i]->alarm.kind);
        lutra_metrics_label(&labels, "pipeline", alarms->all[i]->alarm.pipeline);
        snprintf(alarms->labels[alarms->n_labels++], sizeof(*alarms->labels), "%s",
                 lutra_buf_cstr(&labels));
        gauge = lutra_metrics_gauge(alarms->metrics, "lutra_alarm", lutra_buf_cstr(&labels),
                                    "Alarms that stand");
        lutra_gauge_set(gauge, lutra_gauge_get(gauge) + 1);
        lutra_buf_fini(&labels);
    }
}

/* ---- the mirror ---- */

static void settle_writings(struct mgr_alarms *alarms);

static void on_data(void *arg)
{
    struct standing *standing = arg;
    size_t len;
    const char *data = lutra_znode_data(standing->znode, &len);

    if (lutra_znode_exists(standing->znode)) {
        standing->readable = parse(data, len, &standing->alarm);
    }
    settle_writings(standing->alarms);
    expose(standing->alarms);
}

static void standing_free(struct standing *standing)
{
    lutra_znode_free(standing->znode);
    lutra_free(standing);
}

static struct standing *find(const struct mgr_alarms *alarms, const char *name)
{
    for (size_t i = 0; i < alarms->n; i++) {
        if (strcmp(alarms->all[i]->alarm.name, name) == 0) {
            return alarms->all[i];
        }
    }
    return NULL;
}

static struct standing *standing_of(struct mgr_alarms *alarms, const char *name)
{
    struct standing *standing = find(alarms, name);
    char path[256];

    if (standing == NULL) {
        standing = LUTRA_NEW(struct standing);
        standing->alarms = alarms;
        snprintf(standing->alarm.name, sizeof(standing->alarm.name), "%s", name);
        standing->znode = lutra_znode_new(alarms->coord, mgr_alarm_path(name, path, sizeof(path)),
                                          on_data, standing);
    }
    standing->listed = true;
    return standing;
}

static void on_children(void *arg)
{
    struct mgr_alarms *alarms = arg;
    const char *const *names;
    size_t n = lutra_zchildren_names(alarms->children, &names), kept = 0;
    struct standing **now = lutra_alloc((n + 1) * sizeof(struct standing *));

    for (size_t i = 0; i < alarms->n; i++) {
        alarms->all[i]->listed = false;
    }
    for (size_t i = 0; i < n && kept < (size_t)MAX_ALARMS * 2; i++) {
        if (mgr_alarm_name_valid(names[i])) {
            now[kept++] = standing_of(alarms, names[i]);
        }
    }
    for (size_t i = 0; i < alarms->n; i++) {
        if (!alarms->all[i]->listed) {
            standing_free(alarms->all[i]);
        }
    }
    lutra_free(alarms->all);
    alarms->all = now;
    alarms->n = kept;
    settle_writings(alarms);
    expose(alarms);
}

/* ---- the leader's writes ---- */

static void writing_end(struct writing *writing, bool done)
{
    struct mgr_alarms *alarms = writing->alarms;
    struct writing **place = &alarms->writings;

    while (*place != writing) {
        place = &(*place)->next;
    }
    *place = writing->next;
    if (done) {
        mgr_alarms_tell(alarms, &writing->alarm, writing->raise);
    }
    lutra_free(writing);
}

static void written(const struct lutra_coord_result *result, void *arg)
{
    struct writing *writing = arg;

    switch (result->rc) {
    case LUTRA_COORD_OK:
        writing_end(writing, true);
        break;
    case LUTRA_COORD_UNKNOWN:
        writing->unsure = true;
        break;
    case LUTRA_COORD_NO_NODE: /* another one was quicker, and has told */
    case LUTRA_COORD_NODE_EXISTS:
    case LUTRA_COORD_BAD_VERSION:
        writing_end(writing, false);
        break;
    case LUTRA_COORD_NOT_EMPTY:
    case LUTRA_COORD_ERROR:
        LUTRA_WARN("alarm.refused", LUTRA_F_STR("name", writing->alarm.name),
                   LUTRA_F_ERR(result->err));
        writing_end(writing, false);
        break;
    }
}

/* Those whose answer was lost: done when what stands there says so. */
static void settle_writings(struct mgr_alarms *alarms)
{
    struct writing *writing = alarms->writings;

    while (writing != NULL) {
        struct writing *next = writing->next;
        const struct standing *standing = find(alarms, writing->alarm.name);

        if (writing->unsure && writing->raise && standing != NULL && standing->readable) {
            writing_end(writing, standing->alarm.raised_ms == writing->alarm.raised_ms &&
                                     strcmp(standing->alarm.by, writing->alarm.by) == 0);
        } else if (writing->unsure && !writing->raise && standing == NULL) {
            writing_end(writing, true);
        }
        writing = next;
    }
}

static struct writing *writing_of(const struct mgr_alarms *alarms, const char *name)
{
    for (struct writing *writing = alarms->writings; writing != NULL; writing = writing->next) {
        if (strcmp(writing->alarm.name, name) == 0) {
            return writing;
        }
    }
    return NULL;
}

static struct writing *
writing_new(struct mgr_alarms *alarms, const struct mgr_alarm *alarm, bool raise)
{
    struct writing *writing = LUTRA_NEW(struct writing);

    writing->alarms = alarms;
    writing->alarm = *alarm;
    writing->raise = raise;
    writing->next = alarms->writings;
    alarms->writings = writing;
    return writing;
}

static void raise_alarm(struct mgr_alarms *alarms, const struct mgr_alarm *alarm)
{
    char path[256], *record;

    if (alarms->n >= MAX_ALARMS) {
        if (!alarms->told_full) {
            alarms->told_full = true;
            LUTRA_ERROR("alarm.too_many", LUTRA_F_U64("alarms", alarms->n),
                        LUTRA_F_STR("not_raised", alarm->name));
        }
        return;
    }
    alarms->told_full = false;
    record = mgr_alarm_record(alarm);
    lutra_coord_create(alarms->coord, mgr_alarm_path(alarm->name, path, sizeof(path)), record,
                       strlen(record), 0, written, writing_new(alarms, alarm, true));
    free(record);
}

static void clear_alarm(struct mgr_alarms *alarms, const struct standing *standing)
{
    char path[256];

    lutra_coord_delete(alarms->coord, mgr_alarm_path(standing->alarm.name, path, sizeof(path)),
                       lutra_znode_version(standing->znode), written,
                       writing_new(alarms, &standing->alarm, false));
}

/* ---- the leader's turn ---- */

bool mgr_alarms_begin(struct mgr_alarms *alarms)
{
    struct writing *writing = alarms->writings;

    if (!lutra_zchildren_known(alarms->children)) {
        return false;
    }
    for (size_t i = 0; i < alarms->n; i++) {
        if (!lutra_znode_known(alarms->all[i]->znode)) {
            return false;
        }
        alarms->all[i]->wanted = false;
    }
    /* Connected, and what stands does not show it: it was not done. */
    while (writing != NULL) {
        struct writing *next = writing->next;

        if (writing->unsure) {
            writing_end(writing, false);
        }
        writing = next;
    }
    return true;
}

void mgr_alarms_want(struct mgr_alarms *alarms,
                     const char *kind,
                     const char *subject,
                     const char *pipeline,
                     const char *suffix,
                     const char *fmt,
                     ...)
{
    struct mgr_alarm alarm = {
        .raised_ms = lutra_loop_wall_us(lutra_coord_loop(alarms->coord)) / 1000,
    };
    struct standing *standing;
    va_list ap;

    name_of(alarm.name, sizeof(alarm.name), kind, subject, suffix);
    standing = find(alarms, alarm.name);
    if (standing != NULL) {
        standing->wanted = true;
        return;
    }
    if (writing_of(alarms, alarm.name) != NULL || !mgr_alarm_name_valid(alarm.name)) {
        return;
    }
    snprintf(alarm.kind, sizeof(alarm.kind), "%s", kind);
    snprintf(alarm.subject, sizeof(alarm.subject), "%s", subject);
    snprintf(alarm.pipeline, sizeof(alarm.pipeline), "%s", pipeline);
    snprintf(alarm.by, sizeof(alarm.by), "%s", alarms->by);
    va_start(ap, fmt);
    vsnprintf(alarm.text, sizeof(alarm.text), fmt, ap);
    va_end(ap);
    raise_alarm(alarms, &alarm);
}

void mgr_alarms_keep(struct mgr_alarms *alarms,
                     const char *kind,
                     const char *subject,
                     const char *suffix)
{
    char name[sizeof(((struct mgr_alarm *)0)->name)];
    struct standing *standing;

    name_of(name, sizeof(name), kind, subject, suffix);
    standing = find(alarms, name);
    if (standing != NULL) {
        standing->wanted = true;
    }
}

void mgr_alarms_end(struct mgr_alarms *alarms,
                    bool (*stays)(const struct mgr_alarm *alarm, void *arg),
                    void *arg)
{
    for (size_t i = 0; i < alarms->n; i++) {
        struct standing *standing = alarms->all[i];

        if (standing->wanted || (standing->readable && stays(&standing->alarm, arg))) {
            standing->unwanted_turns = 0;
        } else if (++standing->unwanted_turns >= CLEAR_TURNS &&
                   writing_of(alarms, standing->alarm.name) == NULL) {
            clear_alarm(alarms, standing);
        }
    }
}

/* ---- looking ---- */

void mgr_alarms_each(const struct mgr_alarms *alarms,
                     void (*fn)(const struct mgr_alarm *alarm, void *arg),
                     void *arg)
{
    for (size_t i = 0; i < alarms->n; i++) {
        if (alarms->all[i]->readable) {
            fn(&alarms->all[i]->alarm, arg);
        }
    }
}

const struct mgr_alarm *mgr_alarms_find(const struct mgr_alarms *alarms, const char *name)
{
    const struct standing *standing = find(alarms, name);

    return standing != NULL ? &standing->alarm : NULL;
}

struct listing {
    json_t *array;
    const char *pipeline;
};

static void add_to_list(const struct mgr_alarm *alarm, void *arg)
{
    struct listing *listing = arg;
    json_t *object;

    if (listing->pipeline == NULL || strcmp(alarm->pipeline, listing->pipeline) == 0) {
        object = record_json(alarm);
        json_object_set_new(object, "name", text_json(alarm->name));
        json_array_append_new(listing->array, object);
    }
}

json_t *mgr_alarms_json(const struct mgr_alarms *alarms, const char *pipeline)
{
    struct listing listing = {.array = json_array(), .pipeline = pipeline};

    mgr_alarms_each(alarms, add_to_list, &listing);
    return listing.array;
}

/* ---- life ---- */

struct mgr_alarms *mgr_alarms_new(struct lutra_coord *coord,
                                  struct lutra_metrics *metrics,
                                  const char *instance,
                                  struct mgr_events *events)
{
    struct mgr_alarms *alarms = LUTRA_NEW(struct mgr_alarms);

    alarms->coord = coord;
    alarms->metrics = metrics;
    alarms->events = events;
    snprintf(alarms->by, sizeof(alarms->by), "manager/%.100s", instance);
    alarms->children = lutra_zchildren_new(coord, ALARMS_PATH, on_children, alarms);
    return alarms;
}

void mgr_alarms_free(struct mgr_alarms *alarms)
{
    if (alarms == NULL) {
        return;
    }
    while (alarms->writings != NULL) {
        lutra_coord_forget(alarms->coord, alarms->writings);
        writing_end(alarms->writings, false);
    }
    for (size_t i = 0; i < alarms->n; i++) {
        standing_free(alarms->all[i]);
    }
    lutra_free(alarms->all);
    lutra_zchildren_free(alarms->children);
    lutra_free(alarms->labels);
    lutra_free(alarms);
}
