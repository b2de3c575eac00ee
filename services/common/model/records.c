#include "model/records.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/json_text.h"

enum { RECORD_MAX_BYTES = 4 << 20 };

/* ---- reading ---- */

enum need { OPTIONAL, REQUIRED };

struct reader {
    const char *what; /* names the record in messages */
    json_t *root;
    struct lutra_error *err;
};

static int
reader_open(struct reader *r, const char *what, const char *s, size_t n, struct lutra_error *err)
{
    json_error_t e;
    *r = (struct reader){.what = what, .err = err};
    if (n > RECORD_MAX_BYTES) {
        return lutra_error_set(err, LUTRA_DATA, 0, "%s record: %zu bytes, expected at most %d",
                               what, n, RECORD_MAX_BYTES);
    }
    r->root = json_loadb(s, n, JSON_REJECT_DUPLICATES, &e);
    if (!r->root) {
        return lutra_error_set(err, LUTRA_DATA, 0, "%s record: byte %d: %s, expected a JSON object",
                               what, e.position, e.text);
    }
    if (!json_is_object(r->root)) {
        json_decref(r->root);
        return lutra_error_set(err, LUTRA_DATA, 0, "%s record: expected a JSON object", what);
    }
    return 0;
}

static int reader_close(struct reader *r, int rc)
{
    json_decref(r->root);
    return rc;
}

static int bad_key(const struct reader *r, const char *key, const char *expected)
{
    return lutra_error_set(r->err, LUTRA_DATA, 0, "%s record: \"%s\": expected %s", r->what, key,
                           expected);
}

/* 1: there; 0: absent and not needed (JSON null counts as absent); -1: missing. */
static int lookup(const struct reader *r, const char *key, enum need need, json_t **value)
{
    *value = json_object_get(r->root, key);
    if (*value && !json_is_null(*value)) {
        return 1;
    }
    return need == REQUIRED ? lutra_error_set(r->err, LUTRA_DATA, 0, "%s record: \"%s\" is missing",
                                              r->what, key)
                            : 0;
}

static int read_heap(const struct reader *r, const char *key, enum need need, char **out)
{
    json_t *value;
    int rc = lookup(r, key, need, &value);
    if (rc <= 0) {
        *out = rc == 0 ? lutra_strdup("") : NULL;
        return rc;
    }
    if (!json_is_string(value)) {
        return bad_key(r, key, "a string");
    }
    *out = lutra_strdup(json_string_value(value));
    return 0;
}

/* A name or token: what does not fit is refused, since a cut one would name something else. */
static int
read_token(const struct reader *r, const char *key, enum need need, char *out, size_t size)
{
    json_t *value;
    int rc = lookup(r, key, need, &value);
    if (rc <= 0) {
        return rc;
    }
    if (!json_is_string(value)) {
        return bad_key(r, key, "a string");
    }
    if (json_string_length(value) >= size) {
        return bad_key(r, key, "a shorter string");
    }
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return 0;
}

/* Text for people: cut, at a character's end, when it is longer than we keep. */
static int read_text(const struct reader *r, const char *key, char *out, size_t size)
{
    json_t *value;
    int rc = lookup(r, key, OPTIONAL, &value);
    if (rc <= 0) {
        return rc;
    }
    if (!json_is_string(value)) {
        return bad_key(r, key, "a string");
    }
    const char *s = json_string_value(value);
    size_t len = json_string_length(value), used = 0;
    while (used < len) {
        size_t n = lutra_utf8_len(s + used, len - used);
        n = n ? n : 1;
        if (used + n >= size) {
            break;
        }
        used += n;
    }
    memcpy(out, s, used);
    out[used] = '\0';
    return 0;
}

static int read_u64(const struct reader *r, const char *key, enum need need, uint64_t *out)
{
    json_t *value;
    int rc = lookup(r, key, need, &value);
    if (rc <= 0) {
        return rc;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return bad_key(r, key, "a whole number, 0 or above");
    }
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

static int read_u32(const struct reader *r, const char *key, uint32_t *out)
{
    uint64_t v = *out;
    if (read_u64(r, key, OPTIONAL, &v)) {
        return -1;
    }
    if (v > UINT32_MAX) {
        return bad_key(r, key, "a number below 2^32");
    }
    *out = (uint32_t)v;
    return 0;
}

static int read_i64(const struct reader *r, const char *key, int64_t *out)
{
    json_t *value;
    int rc = lookup(r, key, OPTIONAL, &value);
    if (rc <= 0) {
        return rc;
    }
    if (!json_is_integer(value)) {
        return bad_key(r, key, "a whole number");
    }
    *out = json_integer_value(value);
    return 0;
}

static int read_bool(const struct reader *r, const char *key, bool *out)
{
    json_t *value;
    int rc = lookup(r, key, OPTIONAL, &value);
    if (rc <= 0) {
        return rc;
    }
    if (!json_is_boolean(value)) {
        return bad_key(r, key, "true or false");
    }
    *out = json_is_true(value);
    return 0;
}

static int read_nonce(const struct reader *r, char out[17])
{
    if (read_token(r, "nonce", REQUIRED, out, 17)) {
        return -1;
    }
    return strspn(out, "0123456789abcdef") == 16 ? 0 : bad_key(r, "nonce", "16 hexadecimal digits");
}

/* ---- the records ---- */

static const char *const desired_names[] = {"START", "PAUSE", "STOP"};

const char *lutra_desired_name(enum lutra_desired desired)
{
    return desired_names[desired];
}

int lutra_desired_from_json(const char *s,
                            size_t n,
                            struct lutra_desired_record *rec,
                            struct lutra_error *err)
{
    struct reader r;
    char state[16] = "";
    *rec = (struct lutra_desired_record){0};
    if (reader_open(&r, "desired", s, n, err)) {
        return -1;
    }
    if (read_token(&r, "state", REQUIRED, state, sizeof(state)) ||
        read_text(&r, "by", rec->by, sizeof(rec->by)) || read_i64(&r, "at_ms", &rec->at_ms)) {
        return reader_close(&r, -1);
    }
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(state, desired_names[i]) == 0) {
            rec->state = (enum lutra_desired)i;
            return reader_close(&r, 0);
        }
    }
    return reader_close(&r, bad_key(&r, "state", "START, PAUSE or STOP"));
}

void lutra_desired_to_json(const struct lutra_desired_record *rec, struct lutra_buf *out)
{
    json_t *o = json_object();
    json_object_set_new(o, "state", lutra_json_text(lutra_desired_name(rec->state)));
    json_object_set_new(o, "by", lutra_json_text(rec->by));
    json_object_set_new(o, "at_ms", json_integer(rec->at_ms));
    lutra_json_put(o, out);
}

int lutra_control_from_json(const char *s,
                            size_t n,
                            struct lutra_control *rec,
                            struct lutra_error *err)
{
    struct reader r;
    char state[16] = "";
    *rec = (struct lutra_control){0};
    if (reader_open(&r, "control", s, n, err)) {
        return -1;
    }
    if (read_token(&r, "state", REQUIRED, state, sizeof(state)) ||
        read_u64(&r, "epoch", REQUIRED, &rec->epoch) ||
        read_text(&r, "reason", rec->reason, sizeof(rec->reason)) ||
        read_i64(&r, "retry_at_ms", &rec->retry_at_ms) || read_u32(&r, "attempt", &rec->attempt) ||
        read_u64(&r, "process_id", OPTIONAL, &rec->process_id) ||
        read_bool(&r, "exhausted", &rec->exhausted) ||
        read_text(&r, "by", rec->by, sizeof(rec->by)) || read_i64(&r, "at_ms", &rec->at_ms)) {
        return reader_close(&r, -1);
    }
    rec->start = strcmp(state, "START") == 0;
    if (!rec->start && strcmp(state, "PAUSE") != 0) {
        return reader_close(&r, bad_key(&r, "state", "START or PAUSE"));
    }
    return reader_close(&r, 0);
}

void lutra_control_to_json(const struct lutra_control *rec, struct lutra_buf *out)
{
    json_t *o = json_object();
    json_object_set_new(o, "state", lutra_json_text(rec->start ? "START" : "PAUSE"));
    json_object_set_new(o, "epoch", lutra_json_u64(rec->epoch));
    json_object_set_new(o, "reason", lutra_json_text(rec->reason));
    json_object_set_new(o, "retry_at_ms", json_integer(rec->retry_at_ms));
    json_object_set_new(o, "attempt", json_integer(rec->attempt));
    json_object_set_new(o, "process_id", lutra_json_u64(rec->process_id));
    json_object_set_new(o, "exhausted", json_boolean(rec->exhausted));
    json_object_set_new(o, "by", lutra_json_text(rec->by));
    json_object_set_new(o, "at_ms", json_integer(rec->at_ms));
    lutra_json_put(o, out);
}

int lutra_origin_from_json(const char *s,
                           size_t n,
                           struct lutra_origin *rec,
                           struct lutra_error *err)
{
    struct reader r;
    *rec = (struct lutra_origin){0};
    if (reader_open(&r, "origin", s, n, err)) {
        return -1;
    }
    if (read_u64(&r, "epoch", REQUIRED, &rec->epoch) || read_nonce(&r, rec->nonce) ||
        read_u64(&r, "process_id", REQUIRED, &rec->process_id) ||
        read_heap(&r, "position", REQUIRED, &rec->position) ||
        read_u64(&r, "config_version", REQUIRED, &rec->config_version) ||
        read_token(&r, "select_session", REQUIRED, rec->select_session,
                   sizeof(rec->select_session)) ||
        read_token(&r, "source_identity", OPTIONAL, rec->source_identity,
                   sizeof(rec->source_identity)) ||
        read_token(&r, "source_member", OPTIONAL, rec->source_member, sizeof(rec->source_member)) ||
        read_token(&r, "target_member", OPTIONAL, rec->target_member, sizeof(rec->target_member)) ||
        read_text(&r, "by", rec->by, sizeof(rec->by)) || read_i64(&r, "at_ms", &rec->at_ms)) {
        lutra_origin_fini(rec);
        return reader_close(&r, -1);
    }
    return reader_close(&r, 0);
}

void lutra_origin_to_json(const struct lutra_origin *rec, struct lutra_buf *out)
{
    json_t *o = json_object();
    json_object_set_new(o, "epoch", lutra_json_u64(rec->epoch));
    json_object_set_new(o, "nonce", lutra_json_text(rec->nonce));
    json_object_set_new(o, "process_id", lutra_json_u64(rec->process_id));
    json_object_set_new(o, "position", lutra_json_text(rec->position));
    json_object_set_new(o, "config_version", lutra_json_u64(rec->config_version));
    json_object_set_new(o, "select_session", lutra_json_text(rec->select_session));
    json_object_set_new(o, "source_identity", lutra_json_text(rec->source_identity));
    json_object_set_new(o, "source_member", lutra_json_text(rec->source_member));
    json_object_set_new(o, "target_member", lutra_json_text(rec->target_member));
    json_object_set_new(o, "by", lutra_json_text(rec->by));
    json_object_set_new(o, "at_ms", json_integer(rec->at_ms));
    lutra_json_put(o, out);
}

void lutra_origin_fini(struct lutra_origin *rec)
{
    lutra_free(rec->position);
    *rec = (struct lutra_origin){0};
}

int lutra_media_from_json(const char *s,
                          size_t n,
                          struct lutra_media_record *rec,
                          struct lutra_error *err)
{
    struct reader r;
    *rec = (struct lutra_media_record){0};
    if (reader_open(&r, "media", s, n, err)) {
        return -1;
    }
    return reader_close(&r,
                        read_token(&r, "primary", REQUIRED, rec->primary, sizeof(rec->primary)) ||
                                read_text(&r, "by", rec->by, sizeof(rec->by)) ||
                                read_i64(&r, "at_ms", &rec->at_ms)
                            ? -1
                            : 0);
}

void lutra_media_to_json(const struct lutra_media_record *rec, struct lutra_buf *out)
{
    json_t *o = json_object();
    json_object_set_new(o, "primary", lutra_json_text(rec->primary));
    json_object_set_new(o, "by", lutra_json_text(rec->by));
    json_object_set_new(o, "at_ms", json_integer(rec->at_ms));
    lutra_json_put(o, out);
}

int lutra_owner_from_json(const char *s,
                          size_t n,
                          struct lutra_owner_record *rec,
                          struct lutra_error *err)
{
    struct reader r;
    *rec = (struct lutra_owner_record){0};
    if (reader_open(&r, "owner", s, n, err)) {
        return -1;
    }
    return reader_close(
        &r, read_token(&r, "instance", REQUIRED, rec->instance, sizeof(rec->instance)) ||
                    read_token(&r, "session", REQUIRED, rec->session, sizeof(rec->session))
                ? -1
                : 0);
}

void lutra_owner_to_json(const struct lutra_owner_record *rec, struct lutra_buf *out)
{
    json_t *o = json_object();
    json_object_set_new(o, "instance", lutra_json_text(rec->instance));
    json_object_set_new(o, "session", lutra_json_text(rec->session));
    lutra_json_put(o, out);
}

int lutra_position_record_from_json(const char *s,
                                    size_t n,
                                    struct lutra_position_record *rec,
                                    struct lutra_error *err)
{
    struct reader r;
    *rec = (struct lutra_position_record){0};
    if (reader_open(&r, "position", s, n, err)) {
        return -1;
    }
    if (read_u64(&r, "epoch", REQUIRED, &rec->epoch) ||
        read_u64(&r, "process_id", REQUIRED, &rec->process_id) ||
        read_heap(&r, "position", REQUIRED, &rec->position) ||
        read_i64(&r, "commit_us", &rec->commit_us) || read_i64(&r, "at_ms", &rec->at_ms)) {
        lutra_position_record_fini(rec);
        return reader_close(&r, -1);
    }
    return reader_close(&r, 0);
}

void lutra_position_record_to_json(const struct lutra_position_record *rec, struct lutra_buf *out)
{
    json_t *o = json_object();
    json_object_set_new(o, "epoch", lutra_json_u64(rec->epoch));
    json_object_set_new(o, "process_id", lutra_json_u64(rec->process_id));
    json_object_set_new(o, "position", lutra_json_text(rec->position));
    json_object_set_new(o, "commit_us", json_integer(rec->commit_us));
    json_object_set_new(o, "at_ms", json_integer(rec->at_ms));
    lutra_json_put(o, out);
}

void lutra_position_record_fini(struct lutra_position_record *rec)
{
    lutra_free(rec->position);
    *rec = (struct lutra_position_record){0};
}

int lutra_node_from_json(const char *s,
                         size_t n,
                         struct lutra_node_record *rec,
                         struct lutra_error *err)
{
    struct reader r;
    *rec = (struct lutra_node_record){0};
    if (reader_open(&r, "node", s, n, err)) {
        return -1;
    }
    if (read_token(&r, "service", REQUIRED, rec->service, sizeof(rec->service)) ||
        read_token(&r, "instance", REQUIRED, rec->instance, sizeof(rec->instance)) ||
        read_text(&r, "host", rec->host, sizeof(rec->host)) || read_i64(&r, "pid", &rec->pid) ||
        read_token(&r, "site", OPTIONAL, rec->site, sizeof(rec->site)) ||
        read_text(&r, "version", rec->version, sizeof(rec->version)) ||
        read_token(&r, "http", OPTIONAL, rec->http, sizeof(rec->http)) ||
        read_i64(&r, "started_ms", &rec->started_ms)) {
        return reader_close(&r, -1);
    }
    return reader_close(&r, 0);
}

void lutra_node_to_json(const struct lutra_node_record *rec, struct lutra_buf *out)
{
    json_t *o = json_object();
    json_object_set_new(o, "service", lutra_json_text(rec->service));
    json_object_set_new(o, "instance", lutra_json_text(rec->instance));
    json_object_set_new(o, "host", lutra_json_text(rec->host));
    json_object_set_new(o, "pid", json_integer(rec->pid));
    json_object_set_new(o, "site", lutra_json_text(rec->site));
    json_object_set_new(o, "version", lutra_json_text(rec->version));
    json_object_set_new(o, "http", lutra_json_text(rec->http));
    json_object_set_new(o, "started_ms", json_integer(rec->started_ms));
    lutra_json_put(o, out);
}
