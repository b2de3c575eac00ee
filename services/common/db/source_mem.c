/* DESIGN: the binlog is an array of events with their file and offset. A stream is an index into it
 * and a task that delivers up to BUDGET events a turn, in front of them what a server puts there:
 * an artificial ROTATE that names file and offset, and the file's FORMAT_DESCRIPTION when the
 * stream begins behind it. Everything that calls the user is the last thing a step does, or looks
 * at `alive` after it, since the user may close or free the source. */
#include "db/source_mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/plain_event.h"

enum { BUDGET = 64, HEADER = 19, FIRST_OFFSET = 4 };
enum { EV_ROTATE = 4, EV_FORMAT = 15, EV_HEARTBEAT = 27, EV_GTID = 162 };
enum { FLAG_ARTIFICIAL = 0x20 };

struct mem_event {
    uint8_t *data;
    size_t len;
    size_t file;
    uint64_t offset, end;
};

struct lutra_mem_binlog {
    struct lutra_loop *loop;
    char identity[256];
    bool down;
    size_t n_events, cap_events;
    struct mem_event *events;
    size_t n_files;
    char (*files)[128];
    uint64_t end; /* of the last file */
    struct mem_source *sources;
};

struct mem_source {
    struct lutra_source source;
    struct lutra_mem_binlog *binlog;
    struct mem_source *prev, *next;
    struct lutra_task *task;   /* deliver */
    struct lutra_task *answer; /* check and resolve */
    struct lutra_timer *heartbeat;
    uint64_t heartbeat_ms;
    bool *alive; /* of the delivery under way: false when closed or freed in it */

    bool open, paused, idle;
    uint32_t server_id;
    size_t max_event_bytes;
    const struct lutra_source_handler *handler;
    void *arg;
    size_t next_event;
    size_t n_head; /* made-up events before it */
    struct mem_event head[2];
    struct lutra_error end; /* how the stream is to end */

    bool (*match)(const char *, const char *, const char *, void *); /* the question under way */
    void (*check_done)(const struct lutra_source_info *, const struct lutra_error *, void *);
    void (*resolve_done)(const struct lutra_position *, const struct lutra_error *, void *);
    void *question_arg;
    enum lutra_start_kind start;
    char *start_text;
};

static struct mem_source *mem_source_of(struct lutra_source *source)
{
    return (struct mem_source *)source;
}

/* ---- The server ---- */

static void put_le(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(v >> 8 * i);
    }
}

static uint64_t get_le(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) {
        v |= (uint64_t)p[i] << 8 * i;
    }
    return v;
}

static void add_file(struct lutra_mem_binlog *binlog, const char *name, size_t len)
{
    binlog->files = lutra_realloc(binlog->files, (binlog->n_files + 1) * sizeof(*binlog->files));
    snprintf(binlog->files[binlog->n_files], sizeof(*binlog->files), "%.*s",
             (int)(len < 127 ? len : 127), name);
    binlog->n_files++;
    binlog->end = FIRST_OFFSET;
}

struct lutra_mem_binlog *lutra_mem_binlog_new(struct lutra_loop *loop, const char *identity)
{
    struct lutra_mem_binlog *binlog = LUTRA_NEW(struct lutra_mem_binlog);
    binlog->loop = loop;
    lutra_mem_binlog_set_identity(binlog, identity);
    add_file(binlog, "binlog.000001", 13);
    return binlog;
}

void lutra_mem_binlog_free(struct lutra_mem_binlog *binlog)
{
    if (!binlog) {
        return;
    }
    LUTRA_ASSERT(!binlog->sources); /* sources are freed first */
    for (size_t i = 0; i < binlog->n_events; i++) {
        lutra_free(binlog->events[i].data);
    }
    lutra_free(binlog->events);
    lutra_free(binlog->files);
    lutra_free(binlog);
}

static void wake(struct mem_source *s)
{
    if (s->open && !s->paused) {
        lutra_task_schedule(s->task);
    }
}

uint64_t lutra_mem_binlog_append(struct lutra_mem_binlog *binlog, const uint8_t *event, size_t len)
{
    LUTRA_ASSERT(len >= HEADER);
    if (binlog->n_events == binlog->cap_events) {
        binlog->cap_events = binlog->cap_events ? binlog->cap_events * 2 : 64;
        binlog->events =
            lutra_realloc(binlog->events, binlog->cap_events * sizeof(binlog->events[0]));
    }
    struct mem_event *e = &binlog->events[binlog->n_events++];
    *e = (struct mem_event){.data = lutra_alloc(len),
                            .len = len,
                            .file = binlog->n_files - 1,
                            .offset = binlog->end,
                            .end = binlog->end + len};
    memcpy(e->data, event, len);
    put_le(e->data + 9, len, 4);
    put_le(e->data + 13, e->end, 4);
    if (event[4] == EV_FORMAT) {
        lutra_plain_format(e->data, len);
    }
    binlog->end = e->end;
    uint64_t end = e->end;
    if (event[4] == EV_ROTATE && len > HEADER + 8) {
        add_file(binlog, (const char *)event + HEADER + 8, len - HEADER - 8);
    }
    for (struct mem_source *s = binlog->sources; s; s = s->next) {
        wake(s);
    }
    return end;
}

void lutra_mem_binlog_set_identity(struct lutra_mem_binlog *binlog, const char *identity)
{
    snprintf(binlog->identity, sizeof(binlog->identity), "%s", identity);
}

static void
end_stream(struct mem_source *s, enum lutra_error_class class, int code, const char *why)
{
    if (s->open && s->end.class == LUTRA_OK) {
        lutra_error_set(&s->end, class, code, "%s", why);
        lutra_task_schedule(s->task);
    }
}

void lutra_mem_binlog_drop_streams(struct lutra_mem_binlog *binlog)
{
    for (struct mem_source *s = binlog->sources; s; s = s->next) {
        end_stream(s, LUTRA_RETRY, 2013, "lost connection to the source");
    }
}

void lutra_mem_binlog_set_down(struct lutra_mem_binlog *binlog, bool down)
{
    binlog->down = down;
    if (down) {
        lutra_mem_binlog_drop_streams(binlog);
    }
}

/* ---- Positions ---- */

static int gtid_of(const struct mem_event *e, struct lutra_gtid *gtid)
{
    if (e->data[4] != EV_GTID || e->len < HEADER + 13) {
        return -1;
    }
    *gtid = (struct lutra_gtid){.flavor = LUTRA_FLAVOR_MARIADB,
                                .server_id = (uint32_t)get_le(e->data + 5, 4),
                                .seq = get_le(e->data + HEADER, 8),
                                .domain = (uint32_t)get_le(e->data + HEADER + 8, 4)};
    return 0;
}

/* The position before event i, both halves; i == n_events: the end. */
static int position_before(const struct lutra_mem_binlog *binlog,
                           size_t i,
                           struct lutra_position *position,
                           struct lutra_error *err)
{
    size_t file = i < binlog->n_events ? binlog->events[i].file : binlog->n_files - 1;
    struct lutra_gtid gtid;
    *position = (struct lutra_position){.flavor = LUTRA_FLAVOR_MARIADB,
                                        .offset = i < binlog->n_events ? binlog->events[i].offset
                                                                       : binlog->end,
                                        .gtids = lutra_gtid_set_new(LUTRA_FLAVOR_MARIADB)};
    memcpy(position->file, binlog->files[file], sizeof(position->file));
    for (size_t k = 0; k < i; k++) {
        if (gtid_of(&binlog->events[k], &gtid) == 0 &&
            lutra_gtid_set_add(position->gtids, &gtid, err)) {
            return -1;
        }
    }
    return 0;
}

/* The first event at or after file:offset. */
static int find_offset(const struct lutra_mem_binlog *binlog,
                       const char *name,
                       uint64_t offset,
                       size_t *index,
                       struct lutra_error *err)
{
    size_t file = 0;
    while (file < binlog->n_files && strcmp(binlog->files[file], name) != 0) {
        file++;
    }
    if (file == binlog->n_files) {
        return lutra_error_set(err, LUTRA_FATAL, 1236, "binlog file %s is not at the source", name);
    }
    size_t i = 0;
    while (i < binlog->n_events &&
           (binlog->events[i].file < file ||
            (binlog->events[i].file == file && binlog->events[i].offset < offset))) {
        i++;
    }
    *index = i;
    bool found = i < binlog->n_events && binlog->events[i].file == file
                     ? binlog->events[i].offset == offset
                     : (file == binlog->n_files - 1 ? binlog->end == offset
                                                    : i > 0 && binlog->events[i - 1].end == offset);
    if (!found) {
        return lutra_error_set(err, LUTRA_FATAL, 1236, "binlog file %s has no event at %" PRIu64,
                               name, offset);
    }
    return 0;
}

/* The first GTID event that the set does not contain. */
static size_t find_gtids(const struct lutra_mem_binlog *binlog, const struct lutra_gtid_set *gtids)
{
    struct lutra_gtid gtid;
    for (size_t i = 0; i < binlog->n_events; i++) {
        if (gtid_of(&binlog->events[i], &gtid) == 0 && !lutra_gtid_set_contains(gtids, &gtid)) {
            return i;
        }
    }
    return binlog->n_events;
}

/* ---- check and resolve ---- */

static int resolve(struct mem_source *s, struct lutra_position *position, struct lutra_error *err)
{
    const struct lutra_mem_binlog *binlog = s->binlog;
    struct lutra_position at = {0};
    LUTRA_AUTO_FREE char *text = NULL;
    size_t i;
    int rc;
    switch (s->start) {
    case LUTRA_START_CURRENT:
        return position_before(binlog, binlog->n_events, position, err);
    case LUTRA_START_EARLIEST:
        return position_before(binlog, 0, position, err);
    case LUTRA_START_GTID:
    case LUTRA_START_FILE:
        text = s->start == LUTRA_START_GTID ? lutra_asprintf(";%s", s->start_text)
                                            : lutra_asprintf("%s;", s->start_text);
        if (lutra_position_parse(LUTRA_FLAVOR_MARIADB, text, &at, err)) {
            return -1;
        }
        i = 0;
        rc = 0;
        if (s->start == LUTRA_START_GTID) {
            i = find_gtids(binlog, at.gtids);
        } else {
            rc = find_offset(binlog, at.file, at.offset, &i, err);
            if (rc) {
                err->class = LUTRA_CONFIG;
            }
        }
        lutra_position_fini(&at);
        return rc ? rc : position_before(binlog, i, position, err);
    case LUTRA_START_CHECKPOINT:
        break;
    }
    return lutra_error_set(err, LUTRA_CONFIG, 0,
                           "start: checkpoint, and the target has no checkpoint");
}

static void on_answer_cb(void *arg)
{
    struct mem_source *s = arg;
    struct lutra_error err = {0};
    if (s->binlog->down) {
        lutra_error_set(&err, LUTRA_RETRY, 2003, "the source cannot be reached");
    }
    if (s->check_done) {
        void (*done)(const struct lutra_source_info *, const struct lutra_error *, void *) =
            s->check_done;
        struct lutra_source_info info = {.flavor = LUTRA_FLAVOR_MARIADB, .version = "memory"};
        memcpy(info.identity, s->binlog->identity, sizeof(info.identity));
        s->check_done = NULL;
        done(err.class ? NULL : &info, err.class ? &err : NULL, s->question_arg);
        return;
    }
    if (s->resolve_done) {
        void (*done)(const struct lutra_position *, const struct lutra_error *, void *) =
            s->resolve_done;
        struct lutra_position position = {0};
        if (err.class == LUTRA_OK) {
            (void)resolve(s, &position, &err); /* its error is the answer */
        }
        s->resolve_done = NULL;
        done(err.class ? NULL : &position, err.class ? &err : NULL, s->question_arg);
        lutra_position_fini(&position);
    }
}

static void
mem_check(struct lutra_source *source,
          bool (*match)(const char *, const char *, const char *, void *),
          void (*done)(const struct lutra_source_info *, const struct lutra_error *, void *),
          void *arg)
{
    struct mem_source *s = mem_source_of(source);
    LUTRA_ASSERT(!s->check_done && !s->resolve_done);
    s->match = match;
    s->check_done = done;
    s->question_arg = arg;
    lutra_task_schedule(s->answer);
}

static void
mem_resolve(struct lutra_source *source,
            enum lutra_start_kind start,
            const char *start_text,
            void (*done)(const struct lutra_position *, const struct lutra_error *, void *),
            void *arg)
{
    struct mem_source *s = mem_source_of(source);
    LUTRA_ASSERT(!s->check_done && !s->resolve_done);
    s->start = start;
    lutra_free(s->start_text);
    s->start_text = lutra_strdup(start_text ? start_text : "");
    s->resolve_done = done;
    s->question_arg = arg;
    lutra_task_schedule(s->answer);
}

/* ---- The stream ---- */

static void make_event(struct mem_event *out, uint8_t type, const char *name, uint64_t *offset)
{
    size_t name_len = strlen(name), len = HEADER + (offset ? 8u : 0u) + name_len;
    *out = (struct mem_event){.data = lutra_alloc(len), .len = len};
    out->data[4] = type;
    put_le(out->data + 9, len, 4);
    put_le(out->data + 17, FLAG_ARTIFICIAL, 2);
    if (offset) {
        put_le(out->data + HEADER, *offset, 8);
    }
    memcpy(out->data + len - name_len, name, name_len);
}

static void clear_head(struct mem_source *s)
{
    while (s->n_head) {
        lutra_free(s->head[--s->n_head].data);
    }
}

/* What a server sends before the first event; head is delivered from its end. */
static void make_head(struct mem_source *s, size_t file, uint64_t offset)
{
    const struct lutra_mem_binlog *binlog = s->binlog;
    size_t first = 0;
    clear_head(s);
    while (first < binlog->n_events && binlog->events[first].file < file) {
        first++;
    }
    if (offset > FIRST_OFFSET && first < binlog->n_events &&
        binlog->events[first].data[4] == EV_FORMAT) {
        struct mem_event *e = &s->head[s->n_head++];
        *e = binlog->events[first];
        e->data = lutra_alloc(e->len);
        memcpy(e->data, binlog->events[first].data, e->len);
        put_le(e->data + 13, 0, 4);
        lutra_plain_format(e->data, e->len);
    }
    make_event(&s->head[s->n_head++], EV_ROTATE, binlog->files[file], &offset);
}

static void mem_open(struct lutra_source *source,
                     const struct lutra_position *position,
                     uint32_t server_id,
                     uint64_t heartbeat_ms,
                     size_t max_event_bytes,
                     const struct lutra_source_handler *handler,
                     void *arg)
{
    struct mem_source *s = mem_source_of(source);
    struct lutra_mem_binlog *binlog = s->binlog;
    LUTRA_ASSERT(!s->open);
    s->open = true;
    s->paused = s->idle = false;
    s->server_id = server_id;
    s->max_event_bytes = max_event_bytes;
    s->handler = handler;
    s->arg = arg;
    s->heartbeat_ms = heartbeat_ms;
    lutra_error_clear(&s->end);
    for (struct mem_source *other = binlog->sources; other; other = other->next) {
        if (other != s && other->open && other->server_id == server_id) {
            end_stream(other, LUTRA_RETRY, 4052, "another replica with the same server_id came");
        }
    }
    if (binlog->down) {
        end_stream(s, LUTRA_RETRY, 2003, "the source cannot be reached");
    } else if (position->file[0]) {
        struct lutra_error err = {0};
        if (find_offset(binlog, position->file, position->offset, &s->next_event, &err)) {
            end_stream(s, err.class, err.code, err.msg);
        }
    } else {
        s->next_event = position->gtids ? find_gtids(binlog, position->gtids) : 0;
    }
    size_t file =
        s->next_event < binlog->n_events ? binlog->events[s->next_event].file : binlog->n_files - 1;
    make_head(s, file,
              s->next_event < binlog->n_events ? binlog->events[s->next_event].offset
                                               : binlog->end);
    lutra_task_schedule(s->task);
}

static void mem_close(struct lutra_source *source)
{
    struct mem_source *s = mem_source_of(source);
    s->open = false;
    s->check_done = NULL;
    s->resolve_done = NULL;
    if (s->alive) {
        *s->alive = false;
        s->alive = NULL;
    }
    clear_head(s);
    lutra_task_cancel(s->task);
    lutra_task_cancel(s->answer);
    lutra_timer_stop(s->heartbeat);
}

static void finish(struct mem_source *s)
{
    struct lutra_error end = s->end;
    const struct lutra_source_handler *handler = s->handler;
    mem_close(&s->source);
    handler->on_end(&end, s->arg);
}

/* False when the stream was closed by its user. */
static bool deliver(struct mem_source *s, const struct mem_event *e)
{
    bool alive = true;
    /* A copy: the user may append to the binlog, which moves nothing but the array. */
    const uint8_t *data = e->data;
    s->alive = &alive;
    s->handler->on_event(data, e->len, s->arg);
    if (alive) {
        s->alive = NULL;
    }
    return alive;
}

static bool deliver_head(struct mem_source *s)
{
    struct mem_event e = s->head[--s->n_head];
    bool alive = deliver(s, &e);
    lutra_free(e.data);
    return alive;
}

static void on_deliver_cb(void *arg)
{
    struct mem_source *s = arg;
    struct lutra_mem_binlog *binlog = s->binlog;
    if (!s->open) {
        return;
    }
    if (s->end.class != LUTRA_OK) {
        finish(s);
        return;
    }
    for (unsigned n = 0; n < BUDGET && !s->paused && s->end.class == LUTRA_OK; n++) {
        bool alive;
        if (s->n_head) {
            alive = deliver_head(s);
        } else if (s->next_event < binlog->n_events) {
            if (binlog->events[s->next_event].len > s->max_event_bytes) {
                end_stream(s, LUTRA_FATAL, 0, "an event is larger than the bound");
                return;
            }
            s->idle = false;
            alive = deliver(s, &binlog->events[s->next_event++]);
        } else {
            break;
        }
        if (!alive) {
            return;
        }
    }
    if (s->paused) {
        return;
    }
    if (s->n_head || s->next_event < binlog->n_events || s->end.class != LUTRA_OK) {
        lutra_task_schedule(s->task);
        return;
    }
    if (s->heartbeat_ms) {
        lutra_timer_start(s->heartbeat, s->heartbeat_ms);
    }
    if (!s->idle && s->handler->on_idle) {
        s->idle = true;
        s->handler->on_idle(s->arg);
    }
}

static void on_heartbeat_cb(void *arg)
{
    struct mem_source *s = arg;
    if (!s->open || s->paused || s->n_head || s->next_event < s->binlog->n_events) {
        return;
    }
    struct mem_event e;
    make_event(&e, EV_HEARTBEAT, s->binlog->files[s->binlog->n_files - 1], NULL);
    put_le(e.data + 13, s->binlog->end, 4);
    bool alive = deliver(s, &e);
    lutra_free(e.data);
    if (alive) {
        lutra_timer_start(s->heartbeat, s->heartbeat_ms);
        if (s->handler->on_idle) {
            s->handler->on_idle(s->arg);
        }
    }
}

static void mem_pause(struct lutra_source *source, bool paused)
{
    struct mem_source *s = mem_source_of(source);
    s->paused = paused;
    wake(s);
}

static void mem_free(struct lutra_source *source)
{
    struct mem_source *s = mem_source_of(source);
    mem_close(source);
    lutra_task_free(s->task);
    lutra_task_free(s->answer);
    lutra_timer_free(s->heartbeat);
    if (s->prev) {
        s->prev->next = s->next;
    } else {
        s->binlog->sources = s->next;
    }
    if (s->next) {
        s->next->prev = s->prev;
    }
    lutra_free(s->start_text);
    lutra_free(s);
}

static const struct lutra_source_ops mem_ops = {
    .check = mem_check,
    .resolve = mem_resolve,
    .open = mem_open,
    .pause = mem_pause,
    .close = mem_close,
    .free = mem_free,
};

struct lutra_source *lutra_source_mem_new(struct lutra_mem_binlog *binlog)
{
    struct mem_source *s = LUTRA_NEW(struct mem_source);
    s->source.ops = &mem_ops;
    s->binlog = binlog;
    s->task = lutra_task_new(binlog->loop, on_deliver_cb, s);
    s->answer = lutra_task_new(binlog->loop, on_answer_cb, s);
    s->heartbeat = lutra_timer_new(binlog->loop, on_heartbeat_cb, s);
    s->next = binlog->sources;
    if (s->next) {
        s->next->prev = s;
    }
    binlog->sources = s;
    return &s->source;
}
