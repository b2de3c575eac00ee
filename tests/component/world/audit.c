#include "audit.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/arena.h"
#include "base/mem.h"
#include "model/records.h"
#include "model/wire.h"

enum { LOOK_MS = 5, KEEP_MESSAGES = 256, MAX_HEADERS = 16 };

/* What the source held from one commit to the next. */
struct source_state {
    uint64_t end; /* offset */
    uint64_t hash;
    size_t bag_rows;
};

/* The content of one (stage, epoch, processId). */
struct content {
    UT_hash_handle hh;
    struct {
        uint64_t stage, epoch, process_id;
    } key;
    uint64_t hash;
};

struct kept_message {
    char topic[80];
    char key[32];
    size_t n_headers;
    char *names[MAX_HEADERS], *values[MAX_HEADERS];
    struct lutra_buf payload;
};

/* Follows one partition. */
struct follower {
    struct world_audit *audit;
    uint64_t stage;
    struct lutra_bus_reader *reader;
};

struct world_audit {
    struct world *w;
    bool no_target;
    struct lutra_timer *look;
    struct lutra_bus *bus;
    struct lutra_arena *arena;
    struct follower followers[10];
    size_t n_followers;

    struct source_state *states;
    size_t n_states, cap_states;
    uint64_t fence, epoch, process_id, offset; /* the highest committed */
    uint64_t base_offset, base_process_id;     /* ... before the first commit of that epoch */
    uint64_t most_process_id;                  /* ever, also of a target that went back since */
    uint64_t origins_known_from;               /* epoch: before it the target went back */

    struct content *contents;
    struct kept_message *kept[KEEP_MESSAGES];
    size_t n_seen;

    char *origin, *control; /* as last seen */
    uint64_t origin_epoch, control_epoch;
};

static uint64_t hash_of(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * 1099511628211u;
    }
    return hash;
}

static uint64_t text_hash(char *text)
{
    uint64_t hash = hash_of(text, strlen(text));
    lutra_free(text);
    return hash;
}

/* ---- the target ---- */

void world_audit_source(struct world_audit *audit)
{
    struct world *w = audit->w;
    if (audit->n_states == audit->cap_states) {
        audit->cap_states = audit->cap_states > 0 ? audit->cap_states * 2 : 256;
        audit->states =
            lutra_realloc(audit->states, audit->cap_states * sizeof(struct source_state));
    }
    audit->states[audit->n_states++] = (struct source_state){
        .end = w->file.bytes.len, .hash = text_hash(world_truth(w)), .bag_rows = w->bag_rows};
}

static const struct source_state *state_at(const struct world_audit *audit, uint64_t offset)
{
    size_t low = 0, high = audit->n_states;
    while (low + 1 < high) {
        size_t middle = (low + high) / 2;
        if (audit->states[middle].end <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &audit->states[low]; /* the first one is that of the empty source */
}

static void on_committed(const struct lutra_slot *slot, void *arg)
{
    struct world_audit *audit = arg;
    struct world *w = audit->w;
    const char *colon = strchr(slot->to, ':');
    uint64_t offset = colon != NULL ? strtoull(colon + 1, NULL, 10) : 0;
    cr_assert_geq(slot->fence, audit->fence, "I6: a commit under fence %" PRIu64 " after %" PRIu64,
                  slot->fence, audit->fence);
    cr_assert_geq(slot->fence, lutra_mem_db_epoch(w->db, WORLD_PIPELINE),
                  "I6: a commit under fence %" PRIu64 " although a newer one was made",
                  slot->fence);
    cr_assert_geq(slot->epoch, audit->epoch, "I5: epoch %" PRIu64 " after %" PRIu64, slot->epoch,
                  audit->epoch);
    cr_assert_geq(slot->process_id, audit->process_id, "I5: process %" PRIu64 " after %" PRIu64,
                  slot->process_id, audit->process_id);
    cr_assert_geq(offset, audit->offset, "I3: position %" PRIu64 " after %" PRIu64, offset,
                  audit->offset);
    if (audit->origins_known_from == UINT64_MAX) {
        audit->origins_known_from = slot->epoch + 1;
    }
    if (slot->epoch > audit->epoch) {
        audit->base_offset = audit->offset;
        audit->base_process_id = audit->process_id;
    }
    audit->fence = slot->fence;
    audit->epoch = slot->epoch;
    audit->process_id = slot->process_id;
    audit->offset = offset;
    if (slot->process_id > audit->most_process_id) {
        audit->most_process_id = slot->process_id;
    }
    const struct source_state *state = state_at(audit, offset);
    cr_assert_eq(text_hash(world_reality(w)), state->hash,
                 "I1, I2, I4: at position %" PRIu64 " (process %" PRIu64 ", epoch %" PRIu64
                 ") the target is not what the source was",
                 offset, slot->process_id, slot->epoch);
    cr_assert_eq(lutra_mem_db_rows(w->db, "shop", "bag"), state->bag_rows,
                 "I1, I2, I4: rows without a key at position %" PRIu64, offset);
}

/* ---- the topics ---- */

static void keep(struct world_audit *audit, const struct lutra_bus_message *message)
{
    struct kept_message **place = &audit->kept[audit->n_seen++ % KEEP_MESSAGES];
    if (*place != NULL) {
        for (size_t i = 0; i < (*place)->n_headers; i++) {
            lutra_free((*place)->names[i]);
            lutra_free((*place)->values[i]);
        }
        lutra_buf_fini(&(*place)->payload);
        lutra_free(*place);
    }
    struct kept_message *kept = *place = LUTRA_NEW(struct kept_message);
    cr_assert_leq(message->n_headers, MAX_HEADERS);
    (void)snprintf(kept->topic, sizeof kept->topic, "%s", message->topic);
    (void)snprintf(kept->key, sizeof kept->key, "%.*s", (int)message->key_len, message->key);
    kept->n_headers = message->n_headers;
    for (size_t i = 0; i < message->n_headers; i++) {
        kept->names[i] = lutra_strdup(message->headers[i].name);
        kept->values[i] = lutra_strdup(message->headers[i].value);
    }
    lutra_buf_append(&kept->payload, message->payload, message->payload_len);
}

void world_audit_replay(struct world_audit *audit, unsigned n)
{
    size_t most = audit->n_seen < KEEP_MESSAGES ? audit->n_seen : KEEP_MESSAGES;
    for (unsigned i = 0; i < n && most > 0; i++) {
        const struct kept_message *kept = audit->kept[world_random(audit->w, most)];
        struct lutra_bus_header headers[MAX_HEADERS];
        for (size_t h = 0; h < kept->n_headers; h++) {
            headers[h] = (struct lutra_bus_header){kept->names[h], kept->values[h]};
        }
        bool single = strcmp(kept->topic, "lutra." WORLD_PIPELINE ".load") == 0 ||
                      strcmp(kept->topic, "lutra." WORLD_PIPELINE ".termin") == 0;
        struct lutra_bus_record record = {
            .topic = kept->topic,
            .partition = single ? 0 : (int32_t)world_random(audit->w, 4),
            .key = kept->key,
            .n_headers = kept->n_headers,
            .headers = headers,
            .payload = kept->payload.data,
            .payload_len = kept->payload.len,
        };
        lutra_mem_broker_inject(audit->w->broker, &record);
    }
}

static void check_content(struct world_audit *audit,
                          uint64_t stage,
                          const struct lutra_envelope *envelope,
                          const struct lutra_bus_message *message)
{
    uint64_t hash = hash_of(message->payload, message->payload_len);
    struct content *found, *new = LUTRA_NEW(struct content);
    new->key.stage = stage;
    new->key.epoch = envelope->epoch;
    new->key.process_id = envelope->process_id;
    new->hash = hash;
    HASH_FIND(hh, audit->contents, &new->key, sizeof new->key, found);
    if (found == NULL) {
        HASH_ADD(hh, audit->contents, key, sizeof new->key, new);
        return;
    }
    lutra_free(new);
    cr_assert_eq(hash, found->hash,
                 "process %" PRIu64 " of epoch %" PRIu64 " has two contents in %s",
                 envelope->process_id, envelope->epoch, message->topic);
}

static void check_termin(struct world_audit *audit, const struct lutra_bus_message *message)
{
    struct lutra_error err = {0};
    lutra_arena_reset(audit->arena);
    if (audit->no_target) {
        return;
    }
    const Lutra__Termin *termin =
        lutra_wire_termin(audit->arena, message->payload, message->payload_len, &err);
    cr_assert_not_null(termin, "%s", err.msg);
    cr_assert_leq(termin->applied_process_id, audit->most_process_id,
                  "I10: termin says that process %" PRIu64 " is applied, committed is %" PRIu64,
                  termin->applied_process_id, audit->most_process_id);
    cr_assert_leq(termin->applied_process_id, termin->consumed_process_id);
}

static void on_message(const struct lutra_bus_message *message, void *arg)
{
    struct follower *follower = arg;
    struct lutra_envelope envelope;
    struct lutra_error err = {0};
    keep(follower->audit, message);
    cr_assert_eq(lutra_envelope_parse(message, &envelope, &err), 0, "%s", err.msg);
    if (follower->stage == LUTRA_N_STAGES) {
        check_termin(follower->audit, message);
    } else {
        check_content(follower->audit, follower->stage, &envelope, message);
    }
}

static void follow(struct world_audit *audit, const char *stage, uint64_t number, int32_t partition)
{
    static const struct lutra_bus_reader_handler handler = {.on_message = on_message};
    char topic[80];
    struct follower *follower = &audit->followers[audit->n_followers++];
    follower->audit = audit;
    follower->stage = number;
    lutra_topic_name(WORLD_PIPELINE, stage, topic);
    follower->reader = lutra_bus_reader_new(audit->bus, "audit", topic, partition,
                                            LUTRA_BUS_START_LOW, &handler, follower);
}

/* ---- ZooKeeper ---- */

static bool is_news(char **seen, const char *now)
{
    if (now == NULL || (*seen != NULL && strcmp(*seen, now) == 0)) {
        return false;
    }
    lutra_free(*seen);
    *seen = lutra_strdup(now);
    return true;
}

/* An origin goes on exactly where the target ended when its epoch was made. */
static void check_origin_position(const struct world_audit *audit,
                                  const struct lutra_origin *origin)
{
    bool begun = audit->epoch == origin->epoch;
    const char *colon = strchr(origin->position, ':');
    uint64_t offset = colon != NULL ? strtoull(colon + 1, NULL, 10) : 0;
    if (origin->epoch < audit->epoch || origin->epoch < audit->origins_known_from) {
        return;
    }
    cr_assert_eq(offset, begun ? audit->base_offset : audit->offset,
                 "the origin of epoch %" PRIu64 " says %s, the target another end", origin->epoch,
                 origin->position);
    cr_assert_eq(origin->process_id, begun ? audit->base_process_id : audit->process_id);
}

static void look_at_origin(struct world_audit *audit)
{
    struct lutra_origin origin = {0};
    struct lutra_error err = {0};
    if (!is_news(&audit->origin, world_record(audit->w, "origin"))) {
        return;
    }
    cr_assert_eq(lutra_origin_from_json(audit->origin, strlen(audit->origin), &origin, &err), 0,
                 "%s", err.msg);
    cr_assert_gt(origin.epoch, audit->origin_epoch,
                 "an origin of epoch %" PRIu64 " is written after that of %" PRIu64, origin.epoch,
                 audit->origin_epoch);
    audit->origin_epoch = origin.epoch;
    if (!audit->no_target && strncmp(origin.by, "load/", 5) == 0) { /* and not a test */
        cr_assert_leq(origin.epoch, lutra_mem_db_epoch(audit->w->db, WORLD_PIPELINE),
                      "an origin is published before its epoch is in the target");
        check_origin_position(audit, &origin);
    }
    lutra_origin_fini(&origin);
}

static void look_at_control(struct world_audit *audit)
{
    struct lutra_control control = {0};
    struct lutra_error err = {0};
    if (!is_news(&audit->control, world_record(audit->w, "control"))) {
        return;
    }
    cr_assert_eq(lutra_control_from_json(audit->control, strlen(audit->control), &control, &err), 0,
                 "%s", err.msg);
    cr_assert_geq(control.epoch, audit->control_epoch, "control's epoch falls");
    audit->control_epoch = control.epoch;
}

static void on_look(void *arg)
{
    struct world_audit *audit = arg;
    look_at_origin(audit);
    look_at_control(audit);
    lutra_timer_start(audit->look, LOOK_MS);
}

void world_audit_zookeeper_restored(struct world_audit *audit)
{
    look_at_origin(audit);
    audit->origin_epoch = audit->control_epoch = 0;
}

void world_audit_leave_target(struct world_audit *audit)
{
    audit->no_target = true;
    lutra_mem_db_watch(audit->w->db, NULL, NULL);
}

void world_audit_target_restored(struct world_audit *audit)
{
    look_at_origin(audit);
    audit->fence = audit->epoch = audit->process_id = audit->offset = 0;
    audit->origins_known_from = UINT64_MAX;
}

uint64_t world_audit_process_id(const struct world_audit *audit)
{
    return audit->process_id;
}

/* ---- life ---- */

struct world_audit *world_audit_new(struct world *w)
{
    struct world_audit *audit = LUTRA_NEW(struct world_audit);
    audit->w = w;
    world_audit_source(audit);
    audit->states[0].end = 0;
    lutra_mem_db_watch(w->db, on_committed, audit);
    audit->arena = lutra_arena_new(0);
    audit->bus = lutra_bus_mem_new(w->broker, "audit");
    for (int32_t partition = 3; partition >= 0; partition--) {
        follow(audit, "extract", LUTRA_STAGE_EXTRACT, partition);
        follow(audit, "transform", LUTRA_STAGE_TRANSFORM, partition);
    }
    follow(audit, "load", LUTRA_STAGE_LOAD, 0);
    follow(audit, "termin", LUTRA_N_STAGES, 0);
    audit->look = lutra_timer_new(w->loop, on_look, audit);
    lutra_timer_start(audit->look, LOOK_MS);
    return audit;
}

void world_audit_free(struct world_audit *audit)
{
    struct content *content, *tmp;
    lutra_mem_db_watch(audit->w->db, NULL, NULL);
    lutra_timer_free(audit->look);
    for (size_t i = 0; i < audit->n_followers; i++) {
        lutra_bus_reader_free(audit->followers[i].reader);
    }
    lutra_bus_free(audit->bus);
    lutra_arena_free(audit->arena);
    HASH_ITER(hh, audit->contents, content, tmp)
    {
        HASH_DEL(audit->contents, content);
        lutra_free(content);
    }
    for (size_t i = 0; i < KEEP_MESSAGES && audit->kept[i] != NULL; i++) {
        for (size_t h = 0; h < audit->kept[i]->n_headers; h++) {
            lutra_free(audit->kept[i]->names[h]);
            lutra_free(audit->kept[i]->values[h]);
        }
        lutra_buf_fini(&audit->kept[i]->payload);
        lutra_free(audit->kept[i]);
    }
    lutra_free(audit->states);
    lutra_free(audit->origin);
    lutra_free(audit->control);
    lutra_free(audit);
}
