#include <string.h>

#include "binlog/event.h"
#include "binlog/event_internal.h"

/* ---- MariaDB ---- */

enum {
    FLAG_STANDALONE = 0x01,
    FLAG_COMMIT_ID = 0x02,
    FLAG_TRANSACTIONAL = 0x04,
    FLAG_DDL = 0x20,
    FLAG_XA_PREPARED = 0x40,
    FLAG_XA_COMPLETED = 0x80,
};

static int
mariadb_gtid(const struct lutra_event *event, struct lutra_event_gtid *out, struct lutra_error *err)
{
    /* The optional parts use the post-header's reserved bytes and may run beyond it. */
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    out->gtid.flavor = LUTRA_FLAVOR_MARIADB;
    out->gtid.server_id = event->server_id;
    out->gtid.seq = lutra_cur_le(&cur, 8);
    out->gtid.domain = (uint32_t)lutra_cur_le(&cur, 4);
    out->flags = lutra_cur_u8(&cur);
    out->standalone = out->flags & FLAG_STANDALONE;
    out->ddl = out->flags & FLAG_DDL;
    out->transactional = out->flags & FLAG_TRANSACTIONAL;
    out->xa_prepared = out->flags & FLAG_XA_PREPARED;
    out->xa_completed = out->flags & FLAG_XA_COMPLETED;
    if (out->flags & FLAG_COMMIT_ID) {
        out->commit_id = lutra_cur_le(&cur, 8);
    }
    if (out->xa_prepared || out->xa_completed) {
        lutra_event_read_xid(&cur, 1, &out->xid);
    }
    return cur.bad ? lutra_event_error(event, "malformed", err) : 0;
}

/* ---- MySQL, fixed layout ---- */

static int
mysql_gtid(const struct lutra_event *event, struct lutra_event_gtid *out, struct lutra_error *err)
{
    enum { LOGICAL_CLOCK = 2, LOGICAL_CLOCK_BYTES = 17, TIMESTAMP_BYTES = 7 };
    const uint64_t has_original = (uint64_t)1 << 55;
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    out->gtid.flavor = LUTRA_FLAVOR_MYSQL;
    out->flags = lutra_cur_u8(&cur);
    const uint8_t *uuid = lutra_cur_bytes(&cur, sizeof(out->gtid.uuid));
    if (uuid) {
        memcpy(out->gtid.uuid, uuid, sizeof(out->gtid.uuid));
    }
    out->gtid.seq = lutra_cur_le(&cur, 8);
    /* Each version appended something: 5.7 the logical clock, 8.0 times and length. */
    if (lutra_cur_left(&cur) >= LOGICAL_CLOCK_BYTES && lutra_cur_u8(&cur) == LOGICAL_CLOCK) {
        out->last_committed = lutra_cur_le(&cur, 8);
        out->sequence_number = lutra_cur_le(&cur, 8);
        if (lutra_cur_left(&cur) >= TIMESTAMP_BYTES) {
            uint64_t us = lutra_cur_le(&cur, TIMESTAMP_BYTES);
            out->commit_us = (int64_t)(us & ~has_original);
            out->original_us =
                us & has_original ? (int64_t)lutra_cur_le(&cur, TIMESTAMP_BYTES) : out->commit_us;
        }
        if (!cur.bad && lutra_cur_left(&cur) > 0) {
            out->transaction_bytes = lutra_cur_lenenc(&cur);
        }
    }
    return cur.bad ? lutra_event_error(event, "malformed", err) : 0;
}

/* ---- MySQL 8.3+, serialization format ---- */

/* A variable-length integer: as many further bytes as the first has trailing one bits. */
static uint64_t read_number(struct lutra_cur *cur)
{
    uint8_t first = lutra_cur_u8(cur);
    unsigned extra = 0;
    while (extra < 8 && (first >> extra & 1)) {
        extra++;
    }
    uint64_t more = extra ? lutra_cur_le(cur, extra) : 0;
    if (extra >= 7) {
        return more; /* no bits are left in the first byte */
    }
    return (uint64_t)first >> (extra + 1) | more << (7 - extra);
}

/* The sign stands in the lowest bit; it inverts the rest. */
static int64_t read_signed(struct lutra_cur *cur)
{
    uint64_t v = read_number(cur);
    return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}

enum tagged_field {
    FIELD_FLAGS,
    FIELD_UUID,
    FIELD_NUMBER,
    FIELD_TAG,
    FIELD_LAST_COMMITTED,
    FIELD_SEQUENCE_NUMBER,
    FIELD_COMMIT_TIME,
    FIELD_ORIGINAL_TIME,
    FIELD_TRANSACTION_BYTES,
    FIELD_SERVER_VERSION,
    FIELD_ORIGINAL_VERSION,
    FIELD_COMMIT_GROUP_TICKET,
    FIELD_COUNT,
};

static void read_tag(struct lutra_cur *cur, struct lutra_gtid *gtid)
{
    uint64_t len = read_number(cur);
    if (len >= sizeof(gtid->tag)) {
        cur->bad = true;
        return;
    }
    const uint8_t *tag = lutra_cur_bytes(cur, (size_t)len);
    if (tag) {
        memcpy(gtid->tag, tag, (size_t)len);
        cur->bad = cur->bad || memchr(tag, '\0', (size_t)len);
    }
}

static void read_field(struct lutra_cur *cur, uint64_t field, struct lutra_event_gtid *out)
{
    switch (field) {
    case FIELD_FLAGS:
        out->flags = (uint8_t)read_number(cur);
        break;
    case FIELD_UUID:
        for (unsigned i = 0; i < sizeof(out->gtid.uuid); i++) {
            out->gtid.uuid[i] = (uint8_t)read_number(cur);
        }
        break;
    case FIELD_NUMBER:
        out->gtid.seq = (uint64_t)read_signed(cur);
        break;
    case FIELD_TAG:
        read_tag(cur, &out->gtid);
        break;
    case FIELD_LAST_COMMITTED:
        out->last_committed = (uint64_t)read_signed(cur);
        break;
    case FIELD_SEQUENCE_NUMBER:
        out->sequence_number = (uint64_t)read_signed(cur);
        break;
    case FIELD_COMMIT_TIME:
        out->commit_us = (int64_t)read_number(cur);
        break;
    case FIELD_ORIGINAL_TIME:
        out->original_us = (int64_t)read_number(cur);
        break;
    case FIELD_TRANSACTION_BYTES:
        out->transaction_bytes = read_number(cur);
        break;
    default: /* versions and the ticket, of no use here */
        (void)read_number(cur);
        break;
    }
}

static int
tagged_gtid(const struct lutra_event *event, struct lutra_event_gtid *out, struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    out->gtid.flavor = LUTRA_FLAVOR_MYSQL;
    uint64_t version = read_number(&cur);
    uint64_t size = read_number(&cur);
    uint64_t last_needed = read_number(&cur);
    if (cur.bad || version != 1 || size > event->body_len) {
        return lutra_event_error(event, "malformed head", err);
    }
    if (last_needed >= FIELD_COUNT) {
        return lutra_error_set(
            err, LUTRA_CONFIG, 0,
            "GTID_TAGGED event needs a field unknown here: the source's version is "
            "not supported");
    }
    const uint8_t *end = event->body + (size_t)size;
    bool seen[FIELD_COUNT] = {false};
    while (!cur.bad && cur.p < end) {
        uint64_t field = read_number(&cur);
        if (field >= FIELD_COUNT) {
            break; /* newer than we are, and ignorable: fields come in ascending order */
        }
        seen[field] = true;
        read_field(&cur, field, out);
    }
    if (cur.bad || !seen[FIELD_UUID] || !seen[FIELD_NUMBER]) {
        return lutra_event_error(event, "malformed", err);
    }
    if (!seen[FIELD_ORIGINAL_TIME]) {
        out->original_us = out->commit_us;
    }
    return 0;
}

int lutra_event_gtid(const struct lutra_binlog_format *format,
                     const struct lutra_event *event,
                     struct lutra_event_gtid *out,
                     struct lutra_error *err)
{
    int rc;
    (void)format;
    *out = (struct lutra_event_gtid){0};
    switch (event->code) {
    case LUTRA_EVENT_MARIADB_GTID:
        return mariadb_gtid(event, out, err);
    case LUTRA_EVENT_GTID:
    case LUTRA_EVENT_ANONYMOUS_GTID:
        rc = mysql_gtid(event, out, err);
        break;
    case LUTRA_EVENT_GTID_TAGGED:
        rc = tagged_gtid(event, out, err);
        break;
    default:
        return lutra_event_error(event, "is not a GTID event", err);
    }
    if (rc) {
        return rc;
    }
    if (event->code == LUTRA_EVENT_ANONYMOUS_GTID) {
        out->gtid = (struct lutra_gtid){.flavor = LUTRA_FLAVOR_MYSQL};
        out->anonymous = true;
    } else if (out->gtid.seq == 0 || out->gtid.seq >= INT64_MAX) {
        return lutra_event_error(event, "number out of range", err);
    }
    return 0;
}

static struct lutra_gtid_set *gtid_list(const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(event->body, event->body_len);
    uint64_t n = lutra_cur_le(&cur, 4) & 0x0fffffff; /* the upper four bits are flags */
    if (cur.bad || n > lutra_cur_left(&cur) / 16) {
        lutra_event_error(event, "cut short", err);
        return NULL;
    }
    struct lutra_gtid_set *set = lutra_gtid_set_new(LUTRA_FLAVOR_MARIADB);
    for (uint64_t i = 0; i < n; i++) {
        struct lutra_gtid gtid = {.flavor = LUTRA_FLAVOR_MARIADB};
        gtid.domain = (uint32_t)lutra_cur_le(&cur, 4);
        gtid.server_id = (uint32_t)lutra_cur_le(&cur, 4);
        gtid.seq = lutra_cur_le(&cur, 8);
        if (lutra_gtid_set_add(set, &gtid, err)) {
            lutra_gtid_set_free(set);
            return NULL;
        }
    }
    return set;
}

struct lutra_gtid_set *lutra_event_gtids_before(const struct lutra_event *event,
                                                struct lutra_error *err)
{
    if (event->code == LUTRA_EVENT_GTID_LIST) {
        return gtid_list(event, err);
    }
    if (event->code == LUTRA_EVENT_PREVIOUS_GTIDS) {
        return lutra_gtid_set_decode(event->body, event->body_len, err);
    }
    lutra_event_error(event, "lists no GTIDs", err);
    return NULL;
}
