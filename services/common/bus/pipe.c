/* DESIGN: a payload that fits into one message goes straight to the bus with the caller's ack. One
 * that does not becomes a group: its parts are published in a row, each part's ack counts down,
 * the last one calls the caller's. Groups hang on the bus, so that forget and free find them. */
#include "bus/pipe.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/mem.h"
#include "bus/bus_ops.h"
#include "bus/pipe_part.h"

/* Room for key and headers in a message; a test checks it against the longest values. */
#define PIPE_HEADERS_BYTES 1024
#define PIPE_ZSTD_LEVEL 1
#define PIPE_MAX_HEADERS 16

struct pipe_group {
    struct lutra_pipe_state *state;
    lutra_bus_ack_fn ack; /* NULL: forgotten */
    void *arg;
    size_t waiting; /* parts whose ack is to come */
    bool failed;
    struct lutra_error err; /* the first */
    struct pipe_group *prev, *next;
};

struct lutra_pipe_state {
    struct pipe_group *groups;
    ZSTD_CCtx *zstd;
    struct lutra_buf compressed;
};

struct pipe_headers {
    size_t n;
    struct lutra_bus_header list[PIPE_MAX_HEADERS];
    char text[PIPE_MAX_HEADERS][24];
};

static const char *const stage_names[LUTRA_N_STAGES] = {"select", "extract", "transform", "load"};
static const char *const stamp_headers[LUTRA_N_STAGES] = {"lutra-ts-select", "lutra-ts-extract",
                                                          "lutra-ts-transform", "lutra-ts-load"};

const char *lutra_stage_name(enum lutra_stage stage)
{
    return (unsigned)stage < LUTRA_N_STAGES ? stage_names[stage] : "?";
}

const char *lutra_topic_name(const char *pipeline, const char *stage, char *buf)
{
    snprintf(buf, 80, "lutra.%s.%s", pipeline, stage);
    return buf;
}

static struct lutra_pipe_state *pipe_state(struct lutra_bus *bus)
{
    if (!bus->pipe) {
        bus->pipe = LUTRA_NEW(struct lutra_pipe_state);
        bus->pipe->zstd = ZSTD_createCCtx();
        LUTRA_ASSERT(bus->pipe->zstd);
    }
    return bus->pipe;
}

void lutra_pipe_state_free(struct lutra_pipe_state *state)
{
    struct pipe_group *group, *tmp;

    if (!state) {
        return;
    }
    DL_FOREACH_SAFE(state->groups, group, tmp)
    {
        lutra_free(group);
    }
    ZSTD_freeCCtx(state->zstd);
    lutra_buf_fini(&state->compressed);
    lutra_free(state);
}

/* ---- publishing ---- */

static void add_header(struct pipe_headers *headers, const char *name, const char *value)
{
    LUTRA_ASSERT(headers->n < PIPE_MAX_HEADERS);
    headers->list[headers->n++] = (struct lutra_bus_header){.name = name, .value = value};
}

static void add_decimal(struct pipe_headers *headers, const char *name, uint64_t v)
{
    char *text = headers->text[headers->n];

    snprintf(text, sizeof(headers->text[0]), "%llu", (unsigned long long)v);
    add_header(headers, name, text);
}

static void add_hex(struct pipe_headers *headers, const char *name, uint64_t v)
{
    char *text = headers->text[headers->n];

    snprintf(text, sizeof(headers->text[0]), "%016llx", (unsigned long long)v);
    add_header(headers, name, text);
}

static void add_envelope(struct pipe_headers *headers, const struct lutra_envelope *envelope)
{
    add_header(headers, "lutra-format", LUTRA_PIPE_FORMAT);
    add_decimal(headers, "lutra-epoch", envelope->epoch);
    add_header(headers, "lutra-nonce", envelope->nonce);
    add_decimal(headers, "lutra-config", envelope->config_version);
    for (int i = 0; i < LUTRA_N_STAGES; i++) {
        if (envelope->ts_us[i] > 0) {
            add_decimal(headers, stamp_headers[i], (uint64_t)envelope->ts_us[i]);
        }
    }
}

/* Compresses into the state's buffer when that pays; false: travels as it is. */
static bool compress(struct lutra_pipe_state *state, const void *payload, size_t len)
{
    size_t bound = ZSTD_compressBound(len);
    size_t n;

    if (len <= LUTRA_PIPE_COMPRESS_ABOVE_BYTES) {
        return false;
    }
    lutra_buf_clear(&state->compressed);
    lutra_buf_reserve(&state->compressed, bound);
    n = ZSTD_compressCCtx(state->zstd, state->compressed.data, bound, payload, len,
                          PIPE_ZSTD_LEVEL);
    if (ZSTD_isError(n) || n >= len) {
        return false;
    }
    state->compressed.len = n;
    return true;
}

static void on_part_ack(const struct lutra_error *err, void *arg)
{
    struct pipe_group *group = arg;

    if (err && !group->failed) {
        group->failed = true;
        group->err = *err;
    }
    LUTRA_ASSERT(group->waiting > 0);
    if (--group->waiting > 0) {
        return;
    }
    DL_DELETE(group->state->groups, group);
    if (group->ack) {
        group->ack(group->failed ? &group->err : NULL, group->arg);
    }
    lutra_free(group);
}

/* Parts of one payload, in a row. When a later part is refused the first ones are under way
 * already: the caller hears of it by the ack. */
static int publish_parts(struct lutra_bus *bus,
                         struct lutra_bus_record *record,
                         struct pipe_headers *headers,
                         size_t part_bytes,
                         lutra_bus_ack_fn ack,
                         void *arg,
                         struct lutra_error *err)
{
    const uint8_t *payload = record->payload;
    size_t len = record->payload_len;
    size_t count = (len + part_bytes - 1) / part_bytes;
    struct pipe_group *group;
    char *part;

    if (count > LUTRA_PIPE_MAX_PARTS) {
        return lutra_error_set(err, LUTRA_DATA, 0,
                               "a payload of %zu bytes for %s needs more than %d parts", len,
                               record->topic, LUTRA_PIPE_MAX_PARTS);
    }
    add_hex(headers, "lutra-attempt", lutra_loop_random(bus->loop));
    add_hex(headers, "lutra-hash", XXH3_64bits(payload, len));
    part = headers->text[headers->n];
    add_header(headers, "lutra-part", part);
    record->headers = headers->list;
    record->n_headers = headers->n;

    group = LUTRA_NEW(struct pipe_group);
    *group = (struct pipe_group){.state = pipe_state(bus), .ack = ack, .arg = arg};
    for (size_t i = 0; i < count; i++) {
        size_t offset = i * part_bytes;

        snprintf(part, sizeof(headers->text[0]), "%zu/%zu", i + 1, count);
        record->payload = payload + offset;
        record->payload_len = len - offset < part_bytes ? len - offset : part_bytes;
        if (lutra_bus_publish(bus, record, on_part_ack, group, &group->err) != 0) {
            group->failed = true;
            break;
        }
        group->waiting++;
    }
    if (group->waiting == 0) {
        if (err) {
            *err = group->err;
        }
        lutra_free(group);
        return -1;
    }
    DL_APPEND(group->state->groups, group);
    return 0;
}

int lutra_pipe_publish(struct lutra_bus *bus,
                       const char *topic,
                       int32_t partition,
                       const struct lutra_envelope *envelope,
                       const void *payload,
                       size_t len,
                       lutra_bus_ack_fn ack,
                       void *arg,
                       struct lutra_error *err)
{
    struct lutra_pipe_state *state = pipe_state(bus);
    struct pipe_headers headers = {0};
    struct lutra_bus_record record = {.topic = topic, .partition = partition};
    size_t part_bytes = bus->max_message_bytes - PIPE_HEADERS_BYTES;
    char key[24];

    LUTRA_ASSERT(bus->max_message_bytes > PIPE_HEADERS_BYTES);
    snprintf(key, sizeof(key), "%llu", (unsigned long long)envelope->process_id);
    record.key = key;
    add_envelope(&headers, envelope);
    record.payload = payload;
    record.payload_len = len;
    if (compress(state, payload, len)) {
        add_header(&headers, "lutra-encoding", "zstd");
        record.payload = state->compressed.data;
        record.payload_len = state->compressed.len;
    }
    if (record.payload_len > part_bytes) {
        return publish_parts(bus, &record, &headers, part_bytes, ack, arg, err);
    }
    add_header(&headers, "lutra-part", "1/1");
    record.headers = headers.list;
    record.n_headers = headers.n;
    return lutra_bus_publish(bus, &record, ack, arg, err);
}

void lutra_pipe_forget(struct lutra_bus *bus, void *arg)
{
    struct pipe_group *group;

    lutra_bus_forget(bus, arg);
    if (!bus->pipe) {
        return;
    }
    DL_FOREACH(bus->pipe->groups, group)
    {
        if (group->arg == arg) {
            group->ack = NULL;
        }
    }
}

/* ---- reading the headers ---- */

static int bad_header(const struct lutra_bus_message *message,
                      const char *name,
                      const char *value,
                      const char *expected,
                      struct lutra_error *err)
{
    char shown[41] = "";

    for (size_t i = 0; value && value[i] && i + 1 < sizeof(shown); i++) {
        shown[i] = value[i] > ' ' && value[i] < 0x7f ? value[i] : '?';
    }
    return lutra_error_set(err, LUTRA_DATA, 0,
                           "%s, partition %d, offset %lld: %s is %s%s%s, expected %s",
                           message->topic, (int)message->partition, (long long)message->offset,
                           name, value ? "\"" : "absent", shown, value ? "\"" : "", expected);
}

/* Strict: digits of that base only, no sign, no blank, no overflow. `end` (may be NULL) gets what
 * follows the digits; without it nothing may follow. */
static bool parse_number(const char *text, unsigned base, uint64_t *out, const char **end)
{
    const char *p = text;
    uint64_t v = 0;

    for (; *p; p++) {
        unsigned digit = 99;

        if (*p >= '0' && *p <= '9') {
            digit = (unsigned)(*p - '0');
        } else if (*p >= 'a' && *p <= 'f') {
            digit = (unsigned)(*p - 'a') + 10;
        }
        if (digit >= base) {
            break;
        }
        if (v > (UINT64_MAX - digit) / base) {
            return false;
        }
        v = v * base + digit;
    }
    if (p == text || (!end && *p)) {
        return false;
    }
    if (end) {
        *end = p;
    }
    *out = v;
    return true;
}

static int number_header(const struct lutra_bus_message *message,
                         const char *name,
                         unsigned base,
                         uint64_t *out,
                         struct lutra_error *err)
{
    const char *value = lutra_bus_header_get(message, name);

    if (!value || !parse_number(value, base, out, NULL)) {
        return bad_header(message, name, value,
                          base == 10 ? "a decimal number" : "a hexadecimal number", err);
    }
    return 0;
}

static int parse_key(const struct lutra_bus_message *message,
                     struct lutra_envelope *envelope,
                     struct lutra_error *err)
{
    char key[24] = "";

    if (message->key && message->key_len < sizeof(key)) {
        memcpy(key, message->key, message->key_len);
    }
    if (strlen(key) != message->key_len || !parse_number(key, 10, &envelope->process_id, NULL)) {
        return bad_header(message, "key", key, "a processId", err);
    }
    return 0;
}

static int parse_nonce(const struct lutra_bus_message *message,
                       struct lutra_envelope *envelope,
                       struct lutra_error *err)
{
    const char *nonce = lutra_bus_header_get(message, "lutra-nonce");
    uint64_t ignored;

    if (!nonce || strlen(nonce) != 16 || !parse_number(nonce, 16, &ignored, NULL)) {
        return bad_header(message, "lutra-nonce", nonce, "16 hexadecimal digits", err);
    }
    memcpy(envelope->nonce, nonce, sizeof(envelope->nonce));
    return 0;
}

static int parse_stamps(const struct lutra_bus_message *message,
                        struct lutra_envelope *envelope,
                        struct lutra_error *err)
{
    for (int i = 0; i < LUTRA_N_STAGES; i++) {
        const char *value = lutra_bus_header_get(message, stamp_headers[i]);
        uint64_t us;

        if (!value) {
            continue;
        }
        if (!parse_number(value, 10, &us, NULL) || us > INT64_MAX) {
            return bad_header(message, stamp_headers[i], value, "microseconds", err);
        }
        envelope->ts_us[i] = (int64_t)us;
    }
    return 0;
}

static int parse_part(const struct lutra_bus_message *message,
                      struct lutra_pipe_part *part,
                      struct lutra_error *err)
{
    const char *value = lutra_bus_header_get(message, "lutra-part");
    const char *encoding = lutra_bus_header_get(message, "lutra-encoding");
    const char *p;
    uint64_t index, count;

    if (!value || !parse_number(value, 10, &index, &p) || *p != '/' ||
        !parse_number(p + 1, 10, &count, NULL) || index < 1 || index > count ||
        count > LUTRA_PIPE_MAX_PARTS) {
        return bad_header(message, "lutra-part", value, "i/n", err);
    }
    part->index = (uint32_t)index;
    part->count = (uint32_t)count;
    if (encoding && strcmp(encoding, "zstd") != 0) {
        return bad_header(message, "lutra-encoding", encoding, "zstd or none", err);
    }
    part->zstd = encoding != NULL;
    if (count == 1) {
        return 0;
    }
    if (number_header(message, "lutra-attempt", 16, &part->attempt, err) != 0) {
        return -1;
    }
    return number_header(message, "lutra-hash", 16, &part->hash, err);
}

int lutra_pipe_parse(const struct lutra_bus_message *message,
                     struct lutra_envelope *envelope,
                     struct lutra_pipe_part *part,
                     struct lutra_error *err)
{
    const char *format = lutra_bus_header_get(message, "lutra-format");

    *envelope = (struct lutra_envelope){0};
    *part = (struct lutra_pipe_part){0};
    if (!format || strcmp(format, LUTRA_PIPE_FORMAT) != 0) {
        return bad_header(message, "lutra-format", format, LUTRA_PIPE_FORMAT, err);
    }
    if (parse_key(message, envelope, err) != 0 ||
        number_header(message, "lutra-epoch", 10, &envelope->epoch, err) != 0 ||
        parse_nonce(message, envelope, err) != 0 ||
        number_header(message, "lutra-config", 10, &envelope->config_version, err) != 0 ||
        parse_stamps(message, envelope, err) != 0) {
        return -1;
    }
    return parse_part(message, part, err);
}

int lutra_envelope_parse(const struct lutra_bus_message *message,
                         struct lutra_envelope *envelope,
                         struct lutra_error *err)
{
    struct lutra_pipe_part part;

    return lutra_pipe_parse(message, envelope, &part, err);
}
