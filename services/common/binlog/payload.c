#include "binlog/payload.h"

#include <zstd.h>

#include "base/mem.h"
#include "binlog/event_internal.h"

enum { CHUNK_BYTES = 64 * 1024 };
enum { FIELD_END = 0, FIELD_SIZE = 1, FIELD_COMPRESSION = 2, FIELD_RAW_SIZE = 3 };
enum { COMPRESSION_ZSTD = 0, COMPRESSION_NONE = 255 };

struct lutra_payload {
    struct lutra_event outer;
    struct lutra_binlog_format format; /* of the inner events */
    ZSTD_DStream *zstd;                /* NULL: not compressed */
    ZSTD_inBuffer in;
    struct lutra_buf out; /* [done, len) is not yet handed out */
    size_t done, max_event_bytes;
    uint64_t produced, raw_size;
    bool has_raw_size, frame_open;
};

/* The fields of the head; leaves the cursor at the payload. */
static int read_head(struct lutra_cur *cur,
                     const struct lutra_event *event,
                     uint64_t *size,
                     uint64_t *compression,
                     struct lutra_payload *payload,
                     struct lutra_error *err)
{
    *compression = COMPRESSION_NONE;
    *size = UINT64_MAX;
    for (;;) {
        uint64_t field = lutra_cur_lenenc(cur);
        if (cur->bad || field == FIELD_END) {
            break;
        }
        uint64_t len = lutra_cur_lenenc(cur);
        const uint8_t *value = lutra_cur_bytes(cur, len <= SIZE_MAX ? (size_t)len : SIZE_MAX);
        if (cur->bad) {
            break;
        }
        struct lutra_cur number = lutra_cur_of(value, (size_t)len);
        if (field == FIELD_SIZE) {
            *size = lutra_cur_lenenc(&number);
        } else if (field == FIELD_COMPRESSION) {
            *compression = lutra_cur_lenenc(&number);
        } else if (field == FIELD_RAW_SIZE) {
            payload->raw_size = lutra_cur_lenenc(&number);
            payload->has_raw_size = true;
        }
        cur->bad = cur->bad || number.bad;
    }
    if (cur->bad || *size > lutra_cur_left(cur)) {
        return lutra_event_error(event, "malformed head", err);
    }
    return 0;
}

struct lutra_payload *lutra_payload_new(const struct lutra_event *event,
                                        const struct lutra_binlog_format *format,
                                        size_t max_event_bytes,
                                        struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    struct lutra_payload *payload = LUTRA_NEW(struct lutra_payload);
    uint64_t size, compression;
    payload->outer = *event;
    payload->format = *format;
    payload->format.checksum = false;
    payload->max_event_bytes = max_event_bytes;
    if (read_head(&cur, event, &size, &compression, payload, err)) {
        goto fail;
    }
    payload->in = (ZSTD_inBuffer){.src = cur.p, .size = (size_t)size};
    if (compression == COMPRESSION_ZSTD) {
        payload->zstd = ZSTD_createDStream();
        LUTRA_ASSERT(payload->zstd); /* out of memory */
    } else if (compression != COMPRESSION_NONE) {
        lutra_error_set(
            err, LUTRA_CONFIG, 0,
            "TRANSACTION_PAYLOAD event: compression %u is not supported, set the source's "
            "binlog_transaction_compression=OFF",
            (unsigned)compression);
        goto fail;
    }
    return payload;
fail:
    lutra_payload_free(payload);
    return NULL;
}

void lutra_payload_free(struct lutra_payload *payload)
{
    if (!payload) {
        return;
    }
    ZSTD_freeDStream(payload->zstd);
    lutra_buf_fini(&payload->out);
    lutra_free(payload);
}

/* Appends at least one byte to out, or says that there is none: 1, 0, -1. */
static int produce(struct lutra_payload *payload, struct lutra_error *err)
{
    struct lutra_buf *out = &payload->out;
    size_t before = out->len;
    if (!payload->zstd) {
        const uint8_t *src = payload->in.src;
        size_t n = payload->in.size - payload->in.pos;
        n = n < CHUNK_BYTES ? n : CHUNK_BYTES;
        lutra_buf_append(out, src + payload->in.pos, n);
        payload->in.pos += n;
    }
    while (payload->zstd && out->len == before) {
        lutra_buf_reserve(out, CHUNK_BYTES);
        ZSTD_outBuffer to = {.dst = out->data + out->len, .size = out->cap - out->len};
        size_t in_before = payload->in.pos;
        if (payload->in.pos == payload->in.size && !payload->frame_open) {
            break;
        }
        size_t rc = ZSTD_decompressStream(payload->zstd, &to, &payload->in);
        if (ZSTD_isError(rc) || (to.pos == 0 && payload->in.pos == in_before)) {
            return lutra_event_error(&payload->outer, "cannot be decompressed", err);
        }
        payload->frame_open = rc != 0;
        out->len += to.pos;
    }
    payload->produced += out->len - before;
    if (payload->has_raw_size && payload->produced > payload->raw_size) {
        return lutra_event_error(&payload->outer, "holds more than it announces", err);
    }
    return out->len > before;
}

/* Until so many bytes lie ready: 1; 0: the end came before. */
static int need(struct lutra_payload *payload, size_t n_bytes, struct lutra_error *err)
{
    while (payload->out.len - payload->done < n_bytes) {
        lutra_buf_drop_front(&payload->out, payload->done);
        payload->done = 0;
        int rc = produce(payload, err);
        if (rc <= 0) {
            return rc;
        }
    }
    return 1;
}

int lutra_payload_next(struct lutra_payload *payload,
                       struct lutra_event *event,
                       struct lutra_error *err)
{
    int rc = need(payload, LUTRA_EVENT_HEADER_BYTES, err);
    if (rc < 0) {
        return -1;
    }
    if (rc == 0) {
        bool whole = payload->out.len == payload->done &&
                     (!payload->has_raw_size || payload->produced == payload->raw_size);
        return whole ? 0 : lutra_event_error(&payload->outer, "ends inside an event", err);
    }
    struct lutra_cur cur = lutra_cur_of(payload->out.data + payload->done + 9, 4);
    size_t size = (size_t)lutra_cur_le(&cur, 4);
    if (size < LUTRA_EVENT_HEADER_BYTES || size > payload->max_event_bytes) {
        return lutra_event_error(
            &payload->outer,
            "holds an event that is too short or above the bound on an event's size", err);
    }
    rc = need(payload, size, err);
    if (rc <= 0) {
        return rc < 0 ? -1 : lutra_event_error(&payload->outer, "ends inside an event", err);
    }
    const uint8_t *data = payload->out.data + payload->done;
    uint8_t code = data[4];
    if (code == LUTRA_EVENT_FORMAT_DESCRIPTION || code == LUTRA_EVENT_TRANSACTION_PAYLOAD) {
        return lutra_event_error(&payload->outer, "holds an event that cannot be inside", err);
    }
    payload->done += size;
    return lutra_event_parse(&payload->format, data, size, event, err) ? -1 : 1;
}
