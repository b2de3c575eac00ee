#include "walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "binlog/payload.h"
#include "binlog/rows.h"
#include "binlog/table_map.h"
#include "model/values.h"

enum { MAGIC_BYTES = 4, TABLES_MAX = 512 };

void walk_init(struct walk *walk)
{
    *walk = (struct walk){.max_bytes = 1 << 20};
    lutra_binlog_format_init(&walk->format, LUTRA_FLAVOR_NONE, false);
}

void walk_fini(struct walk *walk)
{
    for (size_t i = 0; i < walk->n_tables; i++) {
        lutra_table_free(walk->tables[i]);
    }
    lutra_gtid_set_free(walk->gtids);
    lutra_buf_fini(&walk->lines);
    lutra_buf_fini(&walk->scratch);
    lutra_buf_fini(&walk->rows);
}

const struct lutra_table *walk_table(const struct walk *walk, const char *name)
{
    for (size_t i = walk->n_tables; i > 0; i--) {
        if (strcmp(walk->tables[i - 1]->name, name) == 0) {
            return walk->tables[i - 1];
        }
    }
    return NULL;
}

static const struct lutra_table *find_table(const struct walk *walk, uint64_t id)
{
    for (size_t i = walk->n_tables; i > 0; i--) {
        if (walk->table_ids[i - 1] == id) {
            return walk->tables[i - 1];
        }
    }
    return NULL;
}

static int on_table_map(struct walk *walk, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_table_map map;
    struct lutra_table *table;
    bool has_names;
    if (lutra_event_table_map(&walk->format, event, &map, err) ||
        lutra_table_map_decode(&map, &table, &has_names, err)) {
        return -1;
    }
    if (walk->n_tables == TABLES_MAX) {
        lutra_table_free(walk->tables[0]);
        walk->n_tables--;
        memmove(walk->tables, walk->tables + 1, walk->n_tables * sizeof(walk->tables[0]));
        memmove(walk->table_ids, walk->table_ids + 1, walk->n_tables * sizeof(walk->table_ids[0]));
    }
    for (size_t i = 0; walk->hidden_table && i < table->n_columns; i++) {
        if (strcmp(table->name, walk->hidden_table) == 0 &&
            lutra_column_hides_decimals(&table->columns[i])) {
            table->columns[i].decimals = walk->hidden_decimals[i];
        }
    }
    walk->table_ids[walk->n_tables] = map.table_id;
    walk->tables[walk->n_tables++] = table;
    return 0;
}

static void
print_value(struct lutra_buf *out, const struct lutra_column *column, const struct lutra_value *v)
{
    switch (v->tag) {
    case LUTRA_VALUE_NULL:
        lutra_buf_printf(out, "NULL");
        break;
    case LUTRA_VALUE_ABSENT:
        lutra_buf_printf(out, "~");
        break;
    case LUTRA_VALUE_INT:
        lutra_buf_printf(out, "%" PRId64, v->i64);
        break;
    case LUTRA_VALUE_UINT:
        lutra_buf_printf(out, "%" PRIu64, v->u64);
        break;
    case LUTRA_VALUE_BYTES:
        if (column->kind == LUTRA_KIND_BINARY) {
            lutra_buf_printf(out, "x");
            for (size_t i = 0; i < v->bytes.len; i++) {
                lutra_buf_printf(out, "%02x", v->bytes.data[i]);
            }
        } else {
            lutra_buf_printf(out, "'");
            lutra_buf_append(out, v->bytes.data, v->bytes.len);
            lutra_buf_printf(out, "'");
        }
        break;
    }
}

static int print_row(struct walk *walk,
                     const struct lutra_table *table,
                     enum lutra_rows_op op,
                     struct lutra_error *err)
{
    static const char *const ops[] = {"INSERT", "UPDATE", "DELETE"};
    struct lutra_cur cur = lutra_cur_of(walk->rows.data, walk->rows.len);
    lutra_buf_printf(&walk->lines, "%s %s.%s ", ops[op], table->schema, table->name);
    for (int image = 0; image < (op == LUTRA_ROWS_UPDATE ? 2 : 1); image++) {
        if (image) {
            lutra_buf_printf(&walk->lines, " -> ");
        }
        for (size_t i = 0; i < table->n_columns; i++) {
            struct lutra_value value;
            if (lutra_values_next(&cur, &value, err)) {
                return lutra_error_wrap(err, "the decoder's own row");
            }
            lutra_buf_printf(&walk->lines, "%s", i ? "," : "");
            print_value(&walk->lines, &table->columns[i], &value);
        }
    }
    lutra_buf_printf(&walk->lines, "\n");
    LUTRA_ASSERT(lutra_cur_left(&cur) == 0);
    return 0;
}

static int on_rows(struct walk *walk, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_event_rows in;
    struct lutra_rows rows;
    struct lutra_error ignored;
    uint32_t counted, strict, decoded = 0;
    int rc;
    if (lutra_event_rows(&walk->format, event, walk->max_bytes, &walk->scratch, &in, err)) {
        return -1;
    }
    const struct lutra_table *table = find_table(walk, in.table_id);
    if (!table) {
        return lutra_error_set(err, LUTRA_DATA, 0, "no TABLE_MAP for table id %" PRIu64,
                               in.table_id);
    }
    if (lutra_rows_begin_supported(&rows, table, in.code, in.body, in.body_len, err) ||
        lutra_rows_count(table, in.code, in.body, in.body_len, &counted, err)) {
        return -1;
    }
    for (;;) {
        lutra_buf_clear(&walk->rows);
        rc = lutra_rows_next(&rows, &walk->rows, err);
        if (rc <= 0) {
            break;
        }
        decoded++;
        if (print_row(walk, table, rows.op, err)) {
            return -1;
        }
    }
    if (rc < 0) {
        return rc;
    }
    LUTRA_ASSERT(decoded == counted);
    walk->n_rows += decoded;
    /* The strict form agrees, or refuses because of a type. */
    lutra_buf_clear(&walk->rows);
    if (lutra_rows_decode(table, in.code, in.body, in.body_len, &walk->rows, &strict, &ignored)) {
        LUTRA_ASSERT(lutra_table_check_types(table, &ignored) == -1);
        walk->n_refused++;
    } else {
        LUTRA_ASSERT(strict == decoded);
    }
    return 0;
}

static int on_gtid(struct walk *walk, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_event_gtid gtid;
    char text[96];
    if (lutra_event_gtid(&walk->format, event, &gtid, err)) {
        return -1;
    }
    lutra_buf_printf(&walk->lines, "GTID %s%s%s%s%s%s\n",
                     gtid.anonymous ? "anonymous" : lutra_gtid_format(&gtid.gtid, text),
                     gtid.standalone ? " standalone" : "", gtid.ddl ? " ddl" : "",
                     gtid.transactional ? " transactional" : "",
                     gtid.xa_prepared ? " prepared" : "", gtid.xa_completed ? " completed" : "");
    return walk->gtids && !gtid.anonymous ? lutra_gtid_set_add(walk->gtids, &gtid.gtid, err) : 0;
}

static int on_payload(struct walk *walk, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_event inner;
    struct lutra_binlog_format format = walk->format;
    int rc;
    struct lutra_payload *payload = lutra_payload_new(event, &walk->format, walk->max_bytes, err);
    if (!payload) {
        return -1;
    }
    lutra_buf_printf(&walk->lines, "PAYLOAD\n");
    walk->format.checksum = false;
    while ((rc = lutra_payload_next(payload, &inner, err)) == 1) {
        const uint8_t *start = inner.body - LUTRA_EVENT_HEADER_BYTES;
        rc = walk_event(walk, start, inner.size_bytes, err);
        if (rc < 0) {
            break;
        }
    }
    walk->format = format;
    lutra_payload_free(payload);
    return rc;
}

static int on_query(struct walk *walk, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_event_query query;
    if (lutra_event_query(&walk->format, event, walk->max_bytes, &walk->scratch, &query, err)) {
        return -1;
    }
    lutra_buf_printf(&walk->lines, "QUERY [%.*s] ", (int)query.schema_len, query.schema);
    lutra_buf_append(&walk->lines, query.text, query.text_len);
    lutra_buf_printf(&walk->lines, "\n");
    return 0;
}

static int on_other(struct walk *walk, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_event_rotate at;
    struct lutra_event_xa_prepare xa;
    struct lutra_event_incident incident;
    uint64_t xid;
    switch (event->code) {
    case LUTRA_EVENT_XID:
        if (lutra_event_xid(event, &xid, err)) {
            return -1;
        }
        lutra_buf_printf(&walk->lines, "XID\n");
        return 0;
    case LUTRA_EVENT_ROTATE:
    case LUTRA_EVENT_HEARTBEAT:
    case LUTRA_EVENT_HEARTBEAT_V2:
        if (event->code == LUTRA_EVENT_ROTATE ? lutra_event_rotate(event, &at, err)
                                              : lutra_event_heartbeat(event, &at, err)) {
            return -1;
        }
        lutra_buf_printf(&walk->lines, "%s %s:%" PRIu64 "\n", lutra_event_name(event->code),
                         at.file, at.offset);
        return 0;
    case LUTRA_EVENT_XA_PREPARE:
        if (lutra_event_xa_prepare(event, &xa, err)) {
            return -1;
        }
        lutra_buf_printf(&walk->lines, "XA_PREPARE %.*s+%.*s+%u%s\n", xa.xid.gtrid_len, xa.xid.data,
                         xa.xid.bqual_len, xa.xid.data + xa.xid.gtrid_len, xa.xid.format_id,
                         xa.one_phase ? " one phase" : "");
        return 0;
    case LUTRA_EVENT_INCIDENT:
        return lutra_event_incident(event, &incident, err);
    case LUTRA_EVENT_GTID_LIST:
    case LUTRA_EVENT_PREVIOUS_GTIDS:
        lutra_gtid_set_free(walk->gtids);
        walk->gtids = lutra_event_gtids_before(event, err);
        return walk->gtids ? 0 : -1;
    default:
        return 0;
    }
}

int walk_event(struct walk *walk, const uint8_t *data, size_t len, struct lutra_error *err)
{
    struct lutra_event event;
    if (lutra_event_parse(&walk->format, data, len, &event, err)) {
        return -1;
    }
    walk->codes[event.code]++;
    enum lutra_event_use use = lutra_event_use(&event, err);
    if (use != LUTRA_EVENT_HANDLE) {
        return use == LUTRA_EVENT_SKIP ? 0 : -1;
    }
    if (lutra_event_is_rows(event.code)) {
        return on_rows(walk, &event, err);
    }
    switch (event.code) {
    case LUTRA_EVENT_TABLE_MAP:
        return on_table_map(walk, &event, err);
    case LUTRA_EVENT_QUERY:
    case LUTRA_EVENT_QUERY_COMPRESSED:
    case LUTRA_EVENT_EXECUTE_LOAD_QUERY:
        return on_query(walk, &event, err);
    case LUTRA_EVENT_GTID:
    case LUTRA_EVENT_ANONYMOUS_GTID:
    case LUTRA_EVENT_GTID_TAGGED:
    case LUTRA_EVENT_MARIADB_GTID:
        return on_gtid(walk, &event, err);
    case LUTRA_EVENT_TRANSACTION_PAYLOAD:
        return on_payload(walk, &event, err);
    default:
        return on_other(walk, &event, err);
    }
}

int walk_file(struct walk *walk, const uint8_t *data, size_t len, struct lutra_error *err)
{
    static const uint8_t magic[MAGIC_BYTES] = {0xfe, 'b', 'i', 'n'};
    struct lutra_cur cur = lutra_cur_of(data, len);
    const uint8_t *start = lutra_cur_bytes(&cur, MAGIC_BYTES);
    if (!start || memcmp(start, magic, MAGIC_BYTES) != 0) {
        return lutra_error_set(err, LUTRA_DATA, 0, "not a binlog file");
    }
    while (lutra_cur_left(&cur) > 0) {
        if (lutra_cur_left(&cur) < LUTRA_EVENT_HEADER_BYTES) {
            return lutra_error_set(err, LUTRA_DATA, 0, "cut short");
        }
        struct lutra_cur size_at = lutra_cur_of(cur.p + 9, 4);
        size_t size = (size_t)lutra_cur_le(&size_at, 4);
        const uint8_t *event = lutra_cur_bytes(&cur, size);
        if (!event) {
            return lutra_error_set(err, LUTRA_DATA, 0, "cut short");
        }
        if (walk_event(walk, event, size, err)) {
            return -1;
        }
    }
    return 0;
}

void walk_repair_checksums(uint8_t *data, size_t len)
{
    enum { LEAST = LUTRA_EVENT_HEADER_BYTES + LUTRA_EVENT_CHECKSUM_BYTES };
    for (size_t at = MAGIC_BYTES; at + LEAST <= len;) {
        struct lutra_cur size_at = lutra_cur_of(data + at + 9, 4);
        size_t size = (size_t)lutra_cur_le(&size_at, 4);
        if (size < LEAST || size > len - at) {
            return;
        }
        uLong crc = crc32_z(0, data + at, size - LUTRA_EVENT_CHECKSUM_BYTES);
        for (unsigned i = 0; i < LUTRA_EVENT_CHECKSUM_BYTES; i++) {
            data[at + size - LUTRA_EVENT_CHECKSUM_BYTES + i] = (uint8_t)(crc >> 8 * i);
        }
        at += size;
    }
}
