#include "select/slicer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/rows.h"
#include "select/slicer_part.h"
#include "select/slicer_sql.h"

enum {
    FILTERED_DELAY_MS = 1000,     /* nothing matched: the checkpoint moves at least this often */
    FILTERED_TRANSACTIONS = 5000, /* ... and after so many */
    IDLE_DELAY_MS = 10000,        /* only the file changed */
    STATEMENT_TEXT_BYTES = 300,   /* of a statement in a message */
    KEEP_FILES = 16,
};

struct transaction {
    bool open;
    bool has_gtid;
    bool standalone; /* one statement, no COMMIT */
    bool cut;        /* a piece was cut */
    bool resolved;   /* dealt with by hand as a whole: its rows are passed over */
    struct lutra_gtid gtid;
    int64_t commit_us;
};

struct lutra_slicer {
    const struct lutra_pipeline_def *def;
    enum lutra_flavor flavor;
    uint64_t epoch, config_version, process_id;
    char nonce[17];
    char *source_identity;
    char *member; /* "" or "<member>@": stands before positions that operators read and write */
    size_t max_event_bytes;

    struct lutra_binlog_format format;
    struct lutra_slice_tables *tables;
    struct lutra_buf scratch; /* decompressed rows or statement */
    char **files;             /* names that parts point to; the last is the current one */
    size_t n_files;
    uint64_t offset; /* end of the last event in that file */

    struct lutra_position at;  /* end of the last whole transaction read */
    struct lutra_position cut; /* ... of the last one cut */
    char *cut_text;            /* position_to of the last batch */
    bool moved;                /* `at` is beyond `cut` */
    uint64_t due_ms;

    struct transaction tx;
    struct lutra_part whole; /* transactions read and not cut */
    struct lutra_part open;  /* what was read of tx and not cut */

    struct lutra_slice *slices, **last_slice;
    bool stopped;
    struct lutra_error why;
    bool resolved_known;
    struct lutra_position resolved_until;
};

/* ---- life ---- */

void lutra_slice_free(struct lutra_slice *slice)
{
    if (slice) {
        lutra_buf_fini(&slice->payload);
        lutra_free(slice->position_to);
        lutra_free(slice);
    }
}

static void set_file(struct lutra_slicer *s, const char *name)
{
    if (s->n_files && strcmp(s->files[s->n_files - 1], name) == 0) {
        return;
    }
    /* Names are kept while a part may point to them. */
    if (s->n_files >= KEEP_FILES && s->whole.n_transactions == 0 && s->open.n_transactions == 0) {
        while (s->n_files) {
            lutra_free(s->files[--s->n_files]);
        }
    }
    s->files = lutra_realloc(s->files, (s->n_files + 1) * sizeof(*s->files));
    s->files[s->n_files++] = lutra_strdup(name);
}

static const char *current_file(const struct lutra_slicer *s)
{
    return s->files[s->n_files - 1];
}

/* What was resolved at another member of a group says nothing about this one. */
static void read_resolved(struct lutra_slicer *s)
{
    const char *until = s->def->resolved_until ? s->def->resolved_until : "";
    size_t len = strlen(s->member);
    if (!until[0] || strncmp(until, s->member, len) != 0 || strchr(until + len, '@')) {
        return;
    }
    LUTRA_AUTO_FREE char *text = lutra_asprintf("%s;", until + len);
    s->resolved_known = lutra_position_parse(s->flavor, text, &s->resolved_until, NULL) == 0;
}

struct lutra_slicer *lutra_slicer_new(const struct lutra_slicer_config *config)
{
    struct lutra_slicer *s = LUTRA_NEW(struct lutra_slicer);
    s->def = config->def;
    s->flavor = config->flavor;
    s->epoch = config->epoch;
    s->config_version = config->config_version;
    s->process_id = config->process_id;
    snprintf(s->nonce, sizeof(s->nonce), "%s", config->nonce);
    s->source_identity = lutra_strdup(config->source_identity);
    s->member = config->member ? lutra_asprintf("%s@", config->member) : lutra_strdup("");
    s->max_event_bytes = config->max_event_bytes;
    s->tables = lutra_slice_tables_new(config->def);
    lutra_position_copy(&s->at, config->position);
    lutra_position_copy(&s->cut, config->position);
    s->at.flavor = s->cut.flavor = config->flavor;
    s->cut_text = lutra_strdup(config->position_text);
    s->last_slice = &s->slices;
    s->due_ms = UINT64_MAX;
    lutra_binlog_format_init(&s->format, config->flavor, false);
    set_file(s, config->position->file);
    s->offset = config->position->offset;
    read_resolved(s);
    return s;
}

void lutra_slicer_free(struct lutra_slicer *s)
{
    struct lutra_slice *slice;
    if (!s) {
        return;
    }
    while ((slice = lutra_slicer_take(s))) {
        lutra_slice_free(slice);
    }
    lutra_part_fini(&s->whole);
    lutra_part_fini(&s->open);
    lutra_slice_tables_free(s->tables);
    lutra_position_fini(&s->at);
    lutra_position_fini(&s->cut);
    lutra_position_fini(&s->resolved_until);
    lutra_buf_fini(&s->scratch);
    while (s->n_files) {
        lutra_free(s->files[--s->n_files]);
    }
    lutra_free(s->files);
    lutra_free(s->cut_text);
    lutra_free(s->source_identity);
    lutra_free(s->member);
    lutra_free(s);
}

/* ---- cutting ---- */

static void cut(struct lutra_slicer *s,
                struct lutra_part *part,
                Lutra__BatchHead__Kind kind,
                bool continues,
                bool unfinished)
{
    struct lutra_slice *slice = LUTRA_NEW(struct lutra_slice);
    LUTRA_AUTO_FREE char *flavor = lutra_strdup(lutra_flavor_name(s->flavor));
    Lutra__BatchHead head;
    lutra__batch_head__init(&head); /* the initialiser's casts do not pass clang's -Wcast-qual */
    slice->process_id = ++s->process_id;
    slice->position_to = unfinished ? lutra_strdup(s->cut_text) : lutra_position_text(&s->at);
    slice->rows = part->row_count;
    slice->events_filtered = part->events_filtered;
    slice->ddl_passed = part->ddl_passed;
    slice->unfinished = unfinished;
    head.pipeline = s->def->name;
    head.epoch = s->epoch;
    head.nonce = s->nonce;
    head.process_id = slice->process_id;
    head.config_version = s->config_version;
    head.kind = kind;
    head.flavor = flavor;
    head.position_from = s->cut_text;
    head.position_to = slice->position_to;
    head.source_identity = s->source_identity;
    head.continues = continues;
    head.unfinished = unfinished;
    lutra_part_pack(part, &head, slice->process_id, &slice->payload);
    lutra_part_clear(part);
    lutra_free(s->cut_text);
    s->cut_text = lutra_strdup(slice->position_to);
    *s->last_slice = slice;
    s->last_slice = &slice->next;
}

/* Everything up to `at` is cut with this part. */
static void cut_to_here(struct lutra_slicer *s,
                        struct lutra_part *part,
                        Lutra__BatchHead__Kind kind,
                        bool continues)
{
    cut(s, part, kind, continues, false);
    lutra_position_copy(&s->cut, &s->at);
    s->moved = false;
    s->due_ms = UINT64_MAX;
}

void lutra_slicer_close(struct lutra_slicer *s)
{
    if (s->whole.n_transactions) {
        cut_to_here(s, &s->whole, LUTRA__BATCH_HEAD__KIND__ROWS, false);
    } else if (s->moved) {
        cut_to_here(s, &s->whole, LUTRA__BATCH_HEAD__KIND__IDLE, false);
    }
}

void lutra_slicer_cut_start(struct lutra_slicer *s, const struct lutra_position *position)
{
    struct lutra_part empty = {0};
    lutra_position_copy(&s->at, position);
    s->at.flavor = s->flavor;
    set_file(s, position->file);
    s->offset = position->offset;
    cut_to_here(s, &empty, LUTRA__BATCH_HEAD__KIND__START, false);
    lutra_part_fini(&empty);
}

struct lutra_slice *lutra_slicer_take(struct lutra_slicer *s)
{
    struct lutra_slice *slice = s->slices;
    if (slice) {
        s->slices = slice->next;
        slice->next = NULL;
        if (!s->slices) {
            s->last_slice = &s->slices;
        }
    }
    return slice;
}

bool lutra_slicer_has_slice(const struct lutra_slicer *s)
{
    return s->slices != NULL;
}

bool lutra_slicer_has_rows(const struct lutra_slicer *s)
{
    return s->whole.n_transactions > 0;
}

uint64_t lutra_slicer_due_ms(const struct lutra_slicer *s)
{
    return s->due_ms;
}

static void due_within(struct lutra_slicer *s, uint64_t now_ms, uint64_t delay_ms)
{
    if (now_ms + delay_ms < s->due_ms) {
        s->due_ms = now_ms + delay_ms;
    }
}

/* ---- transactions ---- */

static bool part_full(const struct lutra_slicer *s, uint64_t rows, uint64_t bytes)
{
    return rows > s->def->batch_max_rows || bytes > s->def->batch_max_bytes;
}

/* The open transaction broke off at the source (its server crashed while writing it): as if it had
 * never begun. -1 when a piece of it is out already. */
static int abandon_transaction(struct lutra_slicer *s, struct lutra_error *err)
{
    bool was_cut = s->tx.open && s->tx.cut;
    lutra_part_clear(&s->open);
    s->tx = (struct transaction){.open = false};
    if (was_cut) {
        return lutra_error_set(
            err, LUTRA_RETRY, 0,
            "a transaction broke off at the source after a piece of it was sent");
    }
    return 0;
}

static uint32_t open_transaction_index(struct lutra_slicer *s)
{
    struct lutra_part_transaction t = {
        .has_gtid = s->tx.has_gtid, .gtid = s->tx.gtid, .file = current_file(s)};
    return s->open.n_transactions ? 0 : lutra_part_add_transaction(&s->open, &t);
}

static void add_rows(struct lutra_slicer *s,
                     struct lutra_slice_table *table,
                     const struct lutra_event_rows *rows,
                     uint32_t row_count)
{
    uint64_t cost = lutra_part_rows_cost(rows->body_len);
    if (part_full(s, s->whole.row_count + s->open.row_count + row_count,
                  s->whole.bytes + s->open.bytes + cost)) {
        lutra_slicer_close(s);
    }
    if (s->open.n_rows && part_full(s, s->open.row_count + row_count, s->open.bytes + cost)) {
        s->open.transactions[0].commit_us = s->tx.commit_us;
        cut(s, &s->open, LUTRA__BATCH_HEAD__KIND__ROWS, s->tx.cut, true);
        s->tx.cut = true;
    }
    lutra_part_add_rows(&s->open, table, open_transaction_index(s), rows->code, rows->body,
                        rows->body_len, row_count);
}

static int move_position(struct lutra_slicer *s, struct lutra_error *err)
{
    if (s->at.gtids && s->tx.has_gtid && lutra_gtid_set_add(s->at.gtids, &s->tx.gtid, err)) {
        return -1;
    }
    snprintf(s->at.file, sizeof(s->at.file), "%s", current_file(s));
    s->at.offset = s->offset;
    s->moved = true;
    return 0;
}

/* The transaction's last event was read. */
static int end_transaction(struct lutra_slicer *s, uint64_t now_ms, struct lutra_error *err)
{
    bool rows = s->open.n_rows > 0, was_cut = s->tx.cut;
    if (rows) {
        s->open.transactions[0].end_offset = s->offset;
        s->open.transactions[0].commit_us = s->tx.commit_us;
    } else {
        s->open.transactions_filtered = 1;
    }
    if (!was_cut && s->whole.n_transactions && rows &&
        part_full(s, s->whole.row_count + s->open.row_count, s->whole.bytes + s->open.bytes)) {
        lutra_slicer_close(s);
    }
    if (move_position(s, err)) {
        return -1;
    }
    s->tx = (struct transaction){.open = false};
    lutra_slice_tables_trim(s->tables);
    if (was_cut) {
        cut_to_here(s, &s->open, LUTRA__BATCH_HEAD__KIND__ROWS, true);
        return 0;
    }
    lutra_part_join(&s->whole, &s->open);
    due_within(s, now_ms, rows ? s->def->batch_max_delay_ms : FILTERED_DELAY_MS);
    if (s->whole.row_count >= s->def->batch_max_rows || s->whole.bytes >= s->def->batch_max_bytes ||
        s->whole.transactions_filtered >= FILTERED_TRANSACTIONS) {
        lutra_slicer_close(s);
    }
    return 0;
}

static void begin_transaction(struct lutra_slicer *s)
{
    s->tx = (struct transaction){.open = true};
}

/* ---- stopping ---- */

/* Has an operator dealt with this event by hand? */
static bool is_resolved(const struct lutra_slicer *s)
{
    struct lutra_position here = {.flavor = s->flavor, .offset = s->offset};
    if (!s->resolved_known) {
        return false;
    }
    snprintf(here.file, sizeof(here.file), "%s", current_file(s));
    return lutra_position_cmp(&here, &s->resolved_until) <= 0;
}

/* Stops at the event just read, or passes it when an operator has dealt with it: 0. `text` is the
 * statement, "" without. */
static int stop_at(struct lutra_slicer *s,
                   const char *what,
                   const char *text,
                   size_t text_len,
                   struct lutra_error *err)
{
    int len = text_len < STATEMENT_TEXT_BYTES ? (int)text_len : STATEMENT_TEXT_BYTES;
    if (s->tx.resolved || is_resolved(s)) {
        return 0;
    }
    return lutra_error_set(err, LUTRA_CONFIG, 0,
                           "%s at %s:%" PRIu64 "%s%.*s%s; do what it needs at the target, set "
                           "resolved_until: %s%s:%" PRIu64 " in the pipeline, then start",
                           what, current_file(s), s->offset, len ? ": " : "", len, text,
                           text_len > STATEMENT_TEXT_BYTES ? "..." : "", s->member, current_file(s),
                           s->offset);
}

/* ---- events ---- */

static int
feed_gtid(struct lutra_slicer *s, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_event_gtid gtid;
    if (lutra_event_gtid(&s->format, event, &gtid, err) || abandon_transaction(s, err)) {
        return -1;
    }
    begin_transaction(s);
    s->tx.has_gtid = !gtid.anonymous;
    s->tx.gtid = gtid.gtid;
    s->tx.standalone = gtid.standalone;
    s->tx.commit_us = gtid.commit_us ? gtid.commit_us : (int64_t)event->timestamp_s * 1000000;
    if (gtid.xa_prepared || gtid.xa_completed) {
        if (stop_at(s, "XA transaction, which is not carried,", "", 0, err)) {
            return -1;
        }
        s->tx.resolved = true;
    }
    return 0;
}

/* What the transaction has read so far may be undone at the source. */
static int
rollback(struct lutra_slicer *s, const struct lutra_event_query *query, struct lutra_error *err)
{
    if (s->tx.cut) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "transaction ending at %s:%" PRIu64 " is undone at the source after "
                               "a piece of it was sent",
                               current_file(s), s->offset);
    }
    if (s->open.n_rows == 0) {
        return 0;
    }
    if (stop_at(s, "partly undone transaction with rows of synchronised tables", query->text,
                query->text_len, err)) {
        return -1;
    }
    lutra_part_clear(&s->open);
    return 0;
}

static int feed_statement(struct lutra_slicer *s,
                          const struct lutra_event_query *query,
                          uint64_t now_ms,
                          struct lutra_error *err)
{
    enum lutra_slice_sql sql = lutra_slice_sql_of(s->def, query);
    bool outside = !s->tx.open;
    switch (sql) {
    case LUTRA_SLICE_SQL_BEGIN:
        if (outside) {
            begin_transaction(s);
        }
        return 0;
    case LUTRA_SLICE_SQL_COMMIT:
        return outside ? 0 : end_transaction(s, now_ms, err);
    case LUTRA_SLICE_SQL_ROLLBACK:
        if (outside) {
            return 0;
        }
        return rollback(s, query, err) ? -1 : end_transaction(s, now_ms, err);
    case LUTRA_SLICE_SQL_ROLLBACK_TO:
        if (rollback(s, query, err)) {
            return -1;
        }
        break;
    case LUTRA_SLICE_SQL_NOTHING:
        break;
    case LUTRA_SLICE_SQL_DDL:
        s->open.ddl_passed++;
        break;
    case LUTRA_SLICE_SQL_STATEMENT:
        s->open.events_filtered++;
        break;
    case LUTRA_SLICE_SQL_XA:
        if (stop_at(s, "XA statement, which is not carried,", query->text, query->text_len, err)) {
            return -1;
        }
        break;
    case LUTRA_SLICE_SQL_STOP_DDL:
        if (stop_at(s, "schema change", query->text, query->text_len, err)) {
            return -1;
        }
        s->open.ddl_passed++;
        break;
    case LUTRA_SLICE_SQL_STOP_STATEMENT:
        if (stop_at(s, "change logged as a statement (set the source's binlog_format=ROW)",
                    query->text, query->text_len, err)) {
            return -1;
        }
        s->open.events_filtered++;
        break;
    }
    return outside || s->tx.standalone ? end_transaction(s, now_ms, err) : 0;
}

static int feed_query(struct lutra_slicer *s,
                      const struct lutra_event *event,
                      uint64_t now_ms,
                      struct lutra_error *err)
{
    struct lutra_event_query query;
    if (lutra_event_query(&s->format, event, s->max_event_bytes, &s->scratch, &query, err)) {
        return -1;
    }
    if (s->flavor == LUTRA_FLAVOR_MARIADB && event->timestamp_s) {
        s->tx.commit_us = (int64_t)event->timestamp_s * 1000000;
    }
    return feed_statement(s, &query, now_ms, err);
}

static int
feed_table_map(struct lutra_slicer *s, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_table_map map;
    return lutra_event_table_map(&s->format, event, &map, err) ||
                   lutra_slice_tables_map(s->tables, &map, err)
               ? -1
               : 0;
}

static int
feed_rows(struct lutra_slicer *s, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_event_rows rows;
    struct lutra_slice_table *table;
    uint32_t row_count;
    if (!s->tx.open) {
        return lutra_error_set(err, LUTRA_DATA, 0, "rows outside a transaction at %s:%" PRIu64,
                               current_file(s), s->offset);
    }
    /* The id stands at the head of the body, so a filtered event is not even decompressed. */
    if (lutra_event_rows_table_id(&s->format, event, &rows.table_id, err) ||
        lutra_slice_tables_find(s->tables, rows.table_id, &table, err)) {
        return -1;
    }
    if (!table || s->tx.resolved) {
        s->open.events_filtered++;
        return 0;
    }
    if (lutra_event_rows(&s->format, event, s->max_event_bytes, &s->scratch, &rows, err) ||
        lutra_rows_count(table->table, rows.code, rows.body, rows.body_len, &row_count, err)) {
        return -1;
    }
    add_rows(s, table, &rows, row_count);
    return 0;
}

static int feed_rotate(struct lutra_slicer *s,
                       const struct lutra_event *event,
                       uint64_t now_ms,
                       struct lutra_error *err)
{
    struct lutra_event_rotate rotate;
    if (lutra_event_rotate(event, &rotate, err) || abandon_transaction(s, err)) {
        return -1;
    }
    set_file(s, rotate.file);
    s->offset = rotate.offset;
    /* Everything of the old file has been read: the position may stand in the new one. An
     * artificial one only says where the stream begins. */
    if (!lutra_event_is_artificial(event) && s->at.file[0]) {
        snprintf(s->at.file, sizeof(s->at.file), "%s", rotate.file);
        s->at.offset = rotate.offset;
        s->moved = true;
        due_within(s, now_ms, IDLE_DELAY_MS);
    }
    return 0;
}

/* GTIDs before this file: completes a position that was given by file and offset only. */
static int
feed_gtids_before(struct lutra_slicer *s, const struct lutra_event *event, struct lutra_error *err)
{
    if (s->at.gtids || lutra_event_is_artificial(event)) {
        return 0;
    }
    s->at.gtids = lutra_event_gtids_before(event, err);
    return s->at.gtids ? 0 : -1;
}

static int
feed_incident(struct lutra_slicer *s, const struct lutra_event *event, struct lutra_error *err)
{
    struct lutra_event_incident incident;
    if (lutra_event_incident(event, &incident, err)) {
        return -1;
    }
    return stop_at(s, "incident: the source lost events", incident.message,
                   strlen(incident.message), err);
}

static int feed_handled(struct lutra_slicer *s,
                        const struct lutra_event *event,
                        uint64_t now_ms,
                        struct lutra_error *err)
{
    if (lutra_event_is_rows(event->code)) {
        return feed_rows(s, event, err);
    }
    switch (event->code) {
    case LUTRA_EVENT_MARIADB_GTID:
    case LUTRA_EVENT_GTID:
    case LUTRA_EVENT_ANONYMOUS_GTID:
    case LUTRA_EVENT_GTID_TAGGED:
        return feed_gtid(s, event, err);
    case LUTRA_EVENT_QUERY:
    case LUTRA_EVENT_QUERY_COMPRESSED:
    case LUTRA_EVENT_EXECUTE_LOAD_QUERY:
        return feed_query(s, event, now_ms, err);
    case LUTRA_EVENT_TABLE_MAP:
        return feed_table_map(s, event, err);
    case LUTRA_EVENT_XID:
        if (s->flavor == LUTRA_FLAVOR_MARIADB && event->timestamp_s) {
            s->tx.commit_us = (int64_t)event->timestamp_s * 1000000;
        }
        return s->tx.open ? end_transaction(s, now_ms, err) : 0;
    case LUTRA_EVENT_XA_PREPARE:
        return stop_at(s, "XA PREPARE, which is not carried,", "", 0, err) ||
                       end_transaction(s, now_ms, err)
                   ? -1
                   : 0;
    case LUTRA_EVENT_ROTATE:
        return feed_rotate(s, event, now_ms, err);
    case LUTRA_EVENT_FORMAT_DESCRIPTION:
        return s->tx.open ? abandon_transaction(s, err) : 0;
    case LUTRA_EVENT_GTID_LIST:
    case LUTRA_EVENT_PREVIOUS_GTIDS:
        return feed_gtids_before(s, event, err);
    case LUTRA_EVENT_INCIDENT:
        return feed_incident(s, event, err);
    case LUTRA_EVENT_TRANSACTION_PAYLOAD:
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "compressed transaction at %s:%" PRIu64 ", set the source's "
                               "binlog_transaction_compression=OFF",
                               current_file(s), s->offset);
    default:
        return 0; /* parts of a statement whose QUERY decides, heartbeats */
    }
}

static int feed(struct lutra_slicer *s,
                const uint8_t *bytes,
                size_t len,
                uint64_t now_ms,
                struct lutra_error *err)
{
    struct lutra_event event;
    if (lutra_event_parse(&s->format, bytes, len, &event, err)) {
        return -1;
    }
    if (!lutra_event_is_artificial(&event) && event.code != LUTRA_EVENT_HEARTBEAT &&
        event.code != LUTRA_EVENT_HEARTBEAT_V2) {
        s->offset = lutra_event_end_offset(s->offset, &event);
    }
    switch (lutra_event_use(&event, err)) {
    case LUTRA_EVENT_REFUSED:
        return lutra_error_wrap(err, "%s:%" PRIu64, current_file(s), s->offset);
    case LUTRA_EVENT_SKIP:
        return 0;
    case LUTRA_EVENT_HANDLE:
        break;
    }
    return feed_handled(s, &event, now_ms, err);
}

int lutra_slicer_feed(struct lutra_slicer *s,
                      const uint8_t *event,
                      size_t len,
                      uint64_t now_ms,
                      struct lutra_error *err)
{
    struct lutra_error why = {0};
    if (!s->stopped && feed(s, event, len, now_ms, &why) == 0) {
        return 0;
    }
    if (!s->stopped) {
        s->stopped = true;
        s->why = why;
        lutra_part_clear(&s->open); /* it stands before the transaction that it cannot carry */
        s->tx = (struct transaction){.open = false};
    }
    *err = s->why;
    return -1;
}

/* ---- positions ---- */

bool lutra_slicer_reopen(struct lutra_slicer *s)
{
    struct lutra_error ignored;
    if (s->stopped || abandon_transaction(s, &ignored)) {
        return false;
    }
    lutra_part_clear(&s->whole);
    lutra_slice_tables_clear(s->tables);
    lutra_position_copy(&s->at, &s->cut);
    s->moved = false;
    s->due_ms = UINT64_MAX;
    lutra_binlog_format_init(&s->format, s->flavor, false);
    set_file(s, s->cut.file);
    s->offset = s->cut.offset;
    return true;
}

const struct lutra_position *lutra_slicer_position(const struct lutra_slicer *s)
{
    return &s->cut;
}

char *lutra_slicer_read_position(const struct lutra_slicer *s)
{
    return lutra_position_text(&s->at);
}
