#include "db/mem_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/mem.h"
#include "db/row_text.h"

struct mem_image {
    size_t n;
    struct lutra_value values[]; /* bytes behind them, in the same block */
};

/* A row version pair: what is committed, and what its owner has made of it. */
struct mem_row {
    struct mem_row *prev, *next; /* of its entry */
    struct mem_table *table;
    struct mem_entry *entry;
    struct mem_image *committed, *current; /* the same pointer when unchanged */
    struct mem_tx *owner;
};

/* The rows of one key: of the primary key at most one, else all rows with that very content. */
struct mem_entry {
    UT_hash_handle hh;
    struct mem_row *rows;
    size_t key_len;
    uint8_t key[];
};

struct mem_column {
    char *name;
    uint32_t key_part;
};

struct mem_table {
    struct mem_table *next;
    char *schema, *name;
    bool keyed;
    size_t n_columns;
    struct mem_column *columns;
    struct mem_entry *entries;
};

/* ---- Images ---- */

static const struct lutra_value null_value = {.tag = LUTRA_VALUE_NULL};

static void put_value(struct lutra_buf *out, const struct lutra_value *v)
{
    switch (v->tag) {
    case LUTRA_VALUE_INT:
        lutra_values_put_int(out, v->i64);
        break;
    case LUTRA_VALUE_UINT:
        lutra_values_put_uint(out, v->u64);
        break;
    case LUTRA_VALUE_BYTES:
        lutra_values_put_bytes(out, v->bytes.data, v->bytes.len);
        break;
    case LUTRA_VALUE_NULL:
    case LUTRA_VALUE_ABSENT:
        lutra_values_put_null(out);
        break;
    }
}

static struct mem_image *image_new(const struct lutra_value *values, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += values[i].tag == LUTRA_VALUE_BYTES ? values[i].bytes.len : 0;
    }
    struct mem_image *image = lutra_alloc(sizeof(*image) + n * sizeof(values[0]) + bytes);
    uint8_t *p = (uint8_t *)(image->values + n);
    image->n = n;
    for (size_t i = 0; i < n; i++) {
        image->values[i] = values[i];
        if (values[i].tag == LUTRA_VALUE_BYTES) {
            if (values[i].bytes.len) {
                memcpy(p, values[i].bytes.data, values[i].bytes.len);
            }
            image->values[i].bytes.data = p;
            p += values[i].bytes.len;
        } else if (values[i].tag == LUTRA_VALUE_ABSENT) {
            image->values[i] = null_value;
        }
    }
    return image;
}

/* The message's values in the table's order, over `base` where the message has none. */
static struct lutra_value *arrange(const struct mem_table *table,
                                   const size_t *map,
                                   const struct lutra_value *values,
                                   size_t n,
                                   const struct mem_image *base)
{
    struct lutra_value *out = lutra_alloc(table->n_columns * sizeof(*out) + 1);
    for (size_t i = 0; base && i < base->n; i++) {
        out[i] = base->values[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (values[i].tag != LUTRA_VALUE_ABSENT) {
            out[map[i]] = values[i];
        }
    }
    return out;
}

static void
key_of(const struct mem_table *table, const struct lutra_value *values, struct lutra_buf *out)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!table->keyed || table->columns[i].key_part) {
            put_value(out, &values[i]);
        }
    }
    if (!table->keyed) { /* columns that came later and are NULL do not tell rows apart */
        while (out->len > 0 && out->data[out->len - 1] == LUTRA_VALUE_NULL) {
            out->len--;
        }
    }
}

/* ---- Tables and entries ---- */

static struct mem_table *table_find(struct lutra_mem_db *db, const char *schema, const char *name)
{
    struct mem_table *table = db->tables;
    while (table && (strcmp(table->schema, schema) != 0 || strcmp(table->name, name) != 0)) {
        table = table->next;
    }
    return table;
}

static size_t column_of(struct mem_table *table, const char *name, uint32_t key_part)
{
    size_t i = 0;
    while (i < table->n_columns && strcmp(table->columns[i].name, name) != 0) {
        i++;
    }
    if (i == table->n_columns) {
        table->columns = lutra_realloc(table->columns, (i + 1) * sizeof(table->columns[0]));
        table->columns[i] = (struct mem_column){.name = lutra_strdup(name), .key_part = key_part};
        table->n_columns++;
    }
    return i;
}

struct mem_table *mem_table_of(struct lutra_mem_db *db,
                               const Lutra__Table *message,
                               size_t *map,
                               struct lutra_error *err)
{
    struct mem_table *table = table_find(db, message->schema, message->name);
    bool keyed = false;
    for (size_t i = 0; i < message->n_columns; i++) {
        keyed = keyed || message->columns[i]->key_part > 0;
    }
    if (!table) {
        table = LUTRA_NEW(struct mem_table);
        table->schema = lutra_strdup(message->schema);
        table->name = lutra_strdup(message->name);
        table->keyed = keyed;
        table->next = db->tables;
        db->tables = table;
    }
    for (size_t i = 0; i < message->n_columns; i++) {
        map[i] = column_of(table, message->columns[i]->name, message->columns[i]->key_part);
        if (table->columns[map[i]].key_part != message->columns[i]->key_part ||
            table->keyed != keyed) {
            lutra_error_set(err, LUTRA_CONFIG, 0, "%s.%s has another primary key at the target",
                            message->schema, message->name);
            return NULL;
        }
    }
    return table;
}

static struct mem_entry *entry_find(const struct mem_table *table, const struct lutra_buf *key)
{
    struct mem_entry *entry;
    static const uint8_t nothing[1];
    HASH_FIND(hh, table->entries, key->len ? key->data : nothing, key->len, entry);
    return entry;
}

static struct mem_row *row_new(struct mem_table *table, const struct lutra_buf *key)
{
    struct mem_entry *entry = entry_find(table, key);
    struct mem_row *row = LUTRA_NEW(struct mem_row);
    if (!entry) {
        entry = lutra_alloc(sizeof(*entry) + key->len + 1);
        entry->key_len = key->len;
        if (key->len) {
            memcpy(entry->key, key->data, key->len);
        }
        HASH_ADD_KEYPTR(hh, table->entries, entry->key, entry->key_len, entry);
    }
    row->table = table;
    row->entry = entry;
    row->next = entry->rows;
    if (row->next) {
        row->next->prev = row;
    }
    entry->rows = row;
    return row;
}

static void row_free(struct mem_row *row)
{
    struct mem_entry *entry = row->entry;
    if (row->prev) {
        row->prev->next = row->next;
    } else {
        entry->rows = row->next;
    }
    if (row->next) {
        row->next->prev = row->prev;
    }
    if (!entry->rows) {
        HASH_DEL(row->table->entries, entry);
        lutra_free(entry);
    }
    if (row->current != row->committed) {
        lutra_free(row->current);
    }
    lutra_free(row->committed);
    lutra_free(row);
}

/* ---- Row changes ---- */

static void row_set(struct mem_tx *tx, struct mem_row *row, struct mem_image *image)
{
    if (!row->owner) {
        row->owner = tx;
        if (tx->n_rows == tx->cap_rows) {
            tx->cap_rows = tx->cap_rows ? tx->cap_rows * 2 : 64;
            tx->rows = lutra_realloc(tx->rows, tx->cap_rows * sizeof(struct mem_row *));
        }
        tx->rows[tx->n_rows++] = row;
    }
    if (row->current != row->committed) {
        lutra_free(row->current);
    }
    row->current = image;
}

/* A row that this transaction may change. */
static enum mem_result row_find(struct mem_tx *tx,
                                struct mem_table *table,
                                const struct lutra_buf *key,
                                struct mem_row **out)
{
    struct mem_entry *entry = entry_find(table, key);
    enum mem_result result = MEM_NO_ROW;
    for (struct mem_row *row = entry ? entry->rows : NULL; row; row = row->next) {
        if (row->owner && row->owner != tx) {
            result = MEM_LOCKED;
        } else if (row->current) {
            *out = row;
            return MEM_DONE;
        }
    }
    return result;
}

/* A place for a new row of that key: a fresh row, or the one this transaction has deleted. */
static enum mem_result row_place(struct mem_tx *tx,
                                 struct mem_table *table,
                                 const struct lutra_buf *key,
                                 struct mem_row **out)
{
    struct mem_entry *entry = table->keyed ? entry_find(table, key) : NULL;
    *out = NULL;
    if (entry) {
        if (entry->rows->owner && entry->rows->owner != tx) {
            return MEM_LOCKED;
        }
        if (entry->rows->current) {
            return MEM_DUPLICATE;
        }
        *out = entry->rows;
    }
    return MEM_DONE;
}

enum mem_result mem_insert(struct mem_tx *tx,
                           struct mem_table *table,
                           const size_t *map,
                           const struct lutra_value *values,
                           size_t n)
{
    struct lutra_value *arranged = arrange(table, map, values, n, NULL);
    struct lutra_buf key = {0};
    struct mem_row *row;
    key_of(table, arranged, &key);
    enum mem_result result = row_place(tx, table, &key, &row);
    if (result == MEM_DONE) {
        row = row ? row : row_new(table, &key);
        row_set(tx, row, image_new(arranged, table->n_columns));
    }
    lutra_buf_fini(&key);
    lutra_free(arranged);
    return result;
}

enum mem_result mem_delete(struct mem_tx *tx,
                           struct mem_table *table,
                           const size_t *map,
                           const struct lutra_value *before,
                           size_t n)
{
    struct lutra_value *arranged = arrange(table, map, before, n, NULL);
    struct lutra_buf key = {0};
    struct mem_row *row;
    key_of(table, arranged, &key);
    enum mem_result result = row_find(tx, table, &key, &row);
    if (result == MEM_DONE) {
        row_set(tx, row, NULL);
    }
    lutra_buf_fini(&key);
    lutra_free(arranged);
    return result;
}

enum mem_result mem_update(struct mem_tx *tx,
                           struct mem_table *table,
                           const size_t *map,
                           const struct lutra_value *before,
                           const struct lutra_value *after,
                           size_t n)
{
    struct lutra_value *old = arrange(table, map, before, n, NULL), *new = NULL;
    struct lutra_buf old_key = {0}, new_key = {0};
    struct mem_row *row, *place = NULL;
    key_of(table, old, &old_key);
    enum mem_result result = row_find(tx, table, &old_key, &row);
    if (result == MEM_DONE) {
        new = arrange(table, map, after, n, row->current);
        key_of(table, new, &new_key);
        if (old_key.len == new_key.len &&
            (new_key.len == 0 || memcmp(old_key.data, new_key.data, new_key.len) == 0)) {
            row_set(tx, row, image_new(new, table->n_columns));
        } else if ((result = row_place(tx, table, &new_key, &place)) == MEM_DONE) {
            /* The image first: its bytes may be borrowed from the row that goes. */
            struct mem_image *image = image_new(new, table->n_columns);
            row_set(tx, row, NULL);
            row_set(tx, place ? place : row_new(table, &new_key), image);
        }
    }
    lutra_buf_fini(&old_key);
    lutra_buf_fini(&new_key);
    lutra_free(old);
    lutra_free(new);
    return result;
}

/* ---- Transactions ---- */

static void tx_end(struct mem_tx *tx)
{
    if (tx->slot) {
        tx->pipeline->holder[tx->slot->slot] = NULL;
        lutra_free(tx->pending.from);
        lutra_free(tx->pending.to);
        lutra_free(tx->pending.low);
        tx->pending = (struct lutra_slot){0};
        tx->slot = NULL;
    }
    tx->open = false;
    tx->n_rows = tx->n_changes = 0;
    lutra_free(tx->rows);
    tx->rows = NULL;
    tx->cap_rows = 0;
}

void mem_tx_commit(struct lutra_mem_db *db, struct mem_tx *tx)
{
    for (size_t i = 0; i < tx->n_rows; i++) {
        struct mem_row *row = tx->rows[i];
        row->owner = NULL;
        if (row->current != row->committed) {
            lutra_free(row->committed);
            row->committed = row->current;
        }
        if (!row->committed) {
            row_free(row);
        }
    }
    struct lutra_slot *slot = tx->slot, *pending = &tx->pending;
    slot->unit = pending->unit;
    slot->low_process_id = pending->low_process_id;
    slot->process_id = pending->process_id;
    memcpy(slot->source_identity, pending->source_identity, sizeof(slot->source_identity));
    tx->pipeline->written_ms[slot->slot] = lutra_loop_wall_us(db->loop) / 1000;
    mem_slot_set(&slot->from, pending->from);
    mem_slot_set(&slot->to, pending->to);
    mem_slot_set(&slot->low, pending->low);
    lutra_buf_printf(&db->history, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", pending->fence,
                     slot->epoch, slot->process_id, slot->to);
    db->commits++;
    if (tx->n_changes > db->largest_unit_rows) {
        db->largest_unit_rows = tx->n_changes;
    }
    if (db->committed) {
        struct lutra_slot as_written = *slot;
        as_written.fence = pending->fence;
        db->committed(&as_written, db->committed_arg);
    }
    tx_end(tx);
}

void mem_tx_rollback(struct mem_tx *tx)
{
    for (size_t i = 0; i < tx->n_rows; i++) {
        struct mem_row *row = tx->rows[i];
        row->owner = NULL;
        if (row->current != row->committed) {
            lutra_free(row->current);
            row->current = row->committed;
        }
        if (!row->committed) {
            row_free(row);
        }
    }
    tx_end(tx);
}

void mem_kill(struct mem_conn *conn)
{
    if (conn->connected) {
        mem_tx_rollback(&conn->tx);
        conn->connected = false;
        conn->killed = true;
    }
}

/* ---- The checkpoint ---- */

void mem_slot_set(char **field, const char *text)
{
    char *copy = lutra_strdup(text);
    lutra_free(*field);
    *field = copy;
}

struct mem_pipeline *mem_pipeline_of(struct lutra_mem_db *db, const char *name)
{
    struct mem_pipeline *pipeline = db->pipelines;
    while (pipeline && strcmp(pipeline->name, name) != 0) {
        pipeline = pipeline->next;
    }
    return pipeline;
}

struct mem_pipeline *mem_pipeline_make(struct lutra_mem_db *db, const char *name)
{
    struct mem_pipeline *pipeline = mem_pipeline_of(db, name);
    if (pipeline) {
        return pipeline;
    }
    pipeline = LUTRA_NEW(struct mem_pipeline);
    snprintf(pipeline->name, sizeof(pipeline->name), "%s", name);
    for (uint32_t i = 0; i < LUTRA_RING_SLOTS; i++) {
        struct lutra_slot *slot = &pipeline->slots[i];
        slot->slot = i;
        pipeline->written_ms[i] = lutra_loop_wall_us(db->loop) / 1000;
        mem_slot_set(&slot->from, "");
        mem_slot_set(&slot->to, "");
        mem_slot_set(&slot->low, "");
    }
    pipeline->next = db->pipelines;
    db->pipelines = pipeline;
    return pipeline;
}

/* ---- Text ---- */

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct named_column {
    const char *name;
    size_t index;
};

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const struct named_column *)a)->name, ((const struct named_column *)b)->name);
}

void lutra_mem_db_dump(struct lutra_mem_db *db,
                       const char *schema,
                       const char *name,
                       struct lutra_buf *out)
{
    const struct mem_table *table = table_find(db, schema, name);
    size_t n = lutra_mem_db_rows(db, schema, name), filled = 0;
    if (n == 0) {
        return;
    }
    char **lines = lutra_alloc(n * sizeof(*lines));
    struct named_column *order = lutra_alloc(table->n_columns * sizeof(*order));
    for (size_t i = 0; i < table->n_columns; i++) {
        order[i] = (struct named_column){.name = table->columns[i].name, .index = i};
    }
    qsort(order, table->n_columns, sizeof(*order), compare_named);
    struct lutra_buf line = {0};
    for (struct mem_entry *entry = table->entries; entry; entry = entry->hh.next) {
        for (struct mem_row *row = entry->rows; row; row = row->next) {
            if (!row->committed) {
                continue;
            }
            lutra_buf_clear(&line);
            for (size_t i = 0; i < table->n_columns; i++) {
                size_t c = order[i].index;
                lutra_buf_printf(&line, "%s%s=", i ? " " : "", order[i].name);
                lutra_value_text(&line,
                                 c < row->committed->n ? &row->committed->values[c] : &null_value,
                                 SIZE_MAX);
            }
            lines[filled++] = lutra_strdup(lutra_buf_cstr(&line));
        }
    }
    lutra_buf_fini(&line);
    qsort(lines, filled, sizeof(*lines), compare_text);
    for (size_t i = 0; i < filled; i++) {
        lutra_buf_printf(out, "%s\n", lines[i]);
        lutra_free(lines[i]);
    }
    lutra_free(lines);
    lutra_free(order);
}

size_t lutra_mem_db_rows(struct lutra_mem_db *db, const char *schema, const char *name)
{
    const struct mem_table *table = table_find(db, schema, name);
    size_t n = 0;
    for (struct mem_entry *entry = table ? table->entries : NULL; entry; entry = entry->hh.next) {
        for (struct mem_row *row = entry->rows; row; row = row->next) {
            n += row->committed != NULL;
        }
    }
    return n;
}

/* ---- The server ---- */

struct lutra_mem_db *lutra_mem_db_new(struct lutra_loop *loop)
{
    struct lutra_mem_db *db = LUTRA_NEW(struct lutra_mem_db);
    db->loop = loop;
    return db;
}

static void table_free(struct mem_table *table)
{
    struct mem_entry *entry, *next;
    for (entry = table->entries; entry; entry = next) {
        next = entry->hh.next;
        for (size_t more = 1; more;) {
            more = entry->rows->next != NULL;
            row_free(entry->rows);
        }
    }
    for (size_t i = 0; i < table->n_columns; i++) {
        lutra_free(table->columns[i].name);
    }
    lutra_free(table->columns);
    lutra_free(table->schema);
    lutra_free(table->name);
    lutra_free(table);
}

static void contents_free(struct lutra_mem_db *db)
{
    while (db->tables) {
        struct mem_table *table = db->tables;
        db->tables = table->next;
        table_free(table);
    }
    while (db->pipelines) {
        struct mem_pipeline *pipeline = db->pipelines;
        db->pipelines = pipeline->next;
        for (size_t i = 0; i < LUTRA_RING_SLOTS; i++) {
            lutra_free(pipeline->slots[i].from);
            lutra_free(pipeline->slots[i].to);
            lutra_free(pipeline->slots[i].low);
        }
        lutra_free(pipeline);
    }
    lutra_buf_fini(&db->history);
}

void lutra_mem_db_free(struct lutra_mem_db *db)
{
    if (!db) {
        return;
    }
    LUTRA_ASSERT(!db->conns); /* targets are freed first */
    contents_free(db);
    lutra_free(db);
}

/* ---- Backups ---- */

static void table_copy(struct lutra_mem_db *to, const struct mem_table *from)
{
    struct mem_table *table = LUTRA_NEW(struct mem_table);
    table->schema = lutra_strdup(from->schema);
    table->name = lutra_strdup(from->name);
    table->keyed = from->keyed;
    for (size_t i = 0; i < from->n_columns; i++) {
        (void)column_of(table, from->columns[i].name, from->columns[i].key_part);
    }
    for (struct mem_entry *entry = from->entries; entry; entry = entry->hh.next) {
        struct lutra_buf key = {0};
        lutra_buf_append(&key, entry->key, entry->key_len);
        for (struct mem_row *row = entry->rows; row; row = row->next) {
            if (row->committed) {
                struct mem_row *copy = row_new(table, &key);
                copy->committed = copy->current =
                    image_new(row->committed->values, row->committed->n);
            }
        }
        lutra_buf_fini(&key);
    }
    table->next = to->tables;
    to->tables = table;
}

static void contents_copy(struct lutra_mem_db *to, const struct lutra_mem_db *from)
{
    for (const struct mem_table *table = from->tables; table; table = table->next) {
        table_copy(to, table);
    }
    for (const struct mem_pipeline *old = from->pipelines; old; old = old->next) {
        struct mem_pipeline *pipeline = mem_pipeline_make(to, old->name);
        for (size_t i = 0; i < LUTRA_RING_SLOTS; i++) {
            struct lutra_slot *slot = &pipeline->slots[i];
            char *texts[] = {slot->from, slot->to, slot->low};
            *slot = old->slots[i];
            slot->from = texts[0];
            slot->to = texts[1];
            slot->low = texts[2];
            mem_slot_set(&slot->from, old->slots[i].from);
            mem_slot_set(&slot->to, old->slots[i].to);
            mem_slot_set(&slot->low, old->slots[i].low);
            pipeline->written_ms[i] = old->written_ms[i];
        }
    }
    lutra_buf_append(&to->history, from->history.data, from->history.len);
}

struct lutra_mem_db *lutra_mem_db_backup(const struct lutra_mem_db *db)
{
    struct lutra_mem_db *copy = lutra_mem_db_new(db->loop);
    contents_copy(copy, db);
    return copy;
}

void lutra_mem_db_restore(struct lutra_mem_db *db, const struct lutra_mem_db *backup)
{
    for (struct mem_conn *conn = db->conns; conn; conn = conn->next) {
        mem_kill(conn);
    }
    contents_free(db);
    db->history = (struct lutra_buf){0};
    contents_copy(db, backup);
}

void lutra_mem_db_set_faults(struct lutra_mem_db *db, const struct lutra_mem_db_faults *faults)
{
    db->faults = *faults;
    for (struct mem_conn *conn = db->conns; faults->down && conn; conn = conn->next) {
        mem_kill(conn);
    }
}

const char *lutra_mem_db_history(struct lutra_mem_db *db)
{
    return lutra_buf_cstr(&db->history);
}

void lutra_mem_db_watch(struct lutra_mem_db *db,
                        void (*committed)(const struct lutra_slot *slot, void *arg),
                        void *arg)
{
    db->committed = committed;
    db->committed_arg = arg;
}

uint64_t lutra_mem_db_epoch(struct lutra_mem_db *db, const char *name)
{
    const struct mem_pipeline *pipeline = mem_pipeline_of(db, name);
    return pipeline ? pipeline->slots[0].epoch : 0;
}

size_t lutra_mem_db_commits(struct lutra_mem_db *db)
{
    return db->commits;
}

size_t lutra_mem_db_largest_unit_rows(struct lutra_mem_db *db)
{
    return db->largest_unit_rows;
}
