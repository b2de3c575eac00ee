/* DESIGN: no allocation per row. All rows of the batch are decoded into one buffer, one behind the
 * other, so a group is a length of it; where it lies is only settled when the buffer no longer
 * grows. Tables are looked at once a batch. */
#include "extract/extract.h"

#include "binlog/rows.h"

struct ext_table {
    const struct lutra_table *table;
    bool lenient; /* its columns of unsupported types are excluded: their values become ABSENT */
};

struct extraction {
    struct ext_table *tables;
    Lutra__RowGroup *groups; /* room for one for each rows event */
    size_t n_groups;
    struct lutra_buf rows; /* of all groups */
    uint64_t n_rows;
};

static bool unsupported_are_excluded(const struct lutra_pipeline_def *def,
                                     const struct lutra_table *table)
{
    const struct lutra_pair *pair = NULL;
    for (size_t i = 0; i < table->n_columns; i++) {
        if (lutra_column_supported(&table->columns[i])) {
            continue;
        }
        if (!pair) {
            pair = lutra_pipeline_match(def, table->schema, table->name);
        }
        if (!pair || lutra_pair_target_column(pair, table->columns[i].name)) {
            return false;
        }
    }
    return true;
}

static struct ext_table *view_tables(const struct lutra_pipeline_def *def,
                                     const Lutra__RawBatch *raw,
                                     struct lutra_arena *arena)
{
    struct ext_table *tables = lutra_arena_calloc(arena, raw->n_tables, sizeof *tables);
    for (size_t i = 0; i < raw->n_tables; i++) {
        tables[i].table = lutra_wire_table_view(arena, raw->tables[i]);
        tables[i].lenient = unsupported_are_excluded(def, tables[i].table);
    }
    return tables;
}

static Lutra__RowGroup__Op wire_op(enum lutra_rows_op op)
{
    switch (op) {
    case LUTRA_ROWS_INSERT:
        return LUTRA__ROW_GROUP__OP__INSERT;
    case LUTRA_ROWS_UPDATE:
        return LUTRA__ROW_GROUP__OP__UPDATE;
    case LUTRA_ROWS_DELETE:
        break;
    }
    return LUTRA__ROW_GROUP__OP__DELETE;
}

/* The group that these rows go on, or a new one. */
static Lutra__RowGroup *
group_of(struct extraction *x, const Lutra__RawRows *event, Lutra__RowGroup__Op op)
{
    if (x->n_groups > 0) {
        Lutra__RowGroup *last = &x->groups[x->n_groups - 1];
        if (last->table == event->table && last->transaction == event->transaction &&
            last->op == op) {
            return last;
        }
    }
    Lutra__RowGroup *group = &x->groups[x->n_groups++];
    lutra__row_group__init(group);
    group->table = event->table;
    group->transaction = event->transaction;
    group->op = op;
    return group;
}

static int extract_event(struct extraction *x, const Lutra__RawRows *event, struct lutra_error *err)
{
    const struct ext_table *t = &x->tables[event->table];
    struct lutra_rows rows;
    size_t before = x->rows.len;
    uint32_t n = 0;
    int rc = (t->lenient ? lutra_rows_begin_supported : lutra_rows_begin)(
        &rows, t->table, (uint8_t)event->event_type, event->body.data, event->body.len, err);
    if (rc) {
        return -1;
    }
    while ((rc = lutra_rows_next(&rows, &x->rows, err)) == 1) {
        /* A few bytes can stand for many: padding, absent columns. */
        if (x->rows.len > LUTRA_WIRE_MAX_BYTES) {
            return lutra_error_set(err, LUTRA_DATA, 0, "rows of %s.%s: more than %u bytes",
                                   t->table->schema, t->table->name, LUTRA_WIRE_MAX_BYTES);
        }
        n++;
    }
    if (rc < 0) {
        return -1;
    }
    if (n > 0) {
        Lutra__RowGroup *group = group_of(x, event, wire_op(rows.op));
        group->n_rows += n; /* a row takes a byte at least: no overflow */
        group->rows.len += x->rows.len - before;
        x->n_rows += n;
    }
    return 0;
}

/* Reserves once for all: most values grow by a byte or two. */
static void reserve_rows(struct extraction *x, const Lutra__RawBatch *raw)
{
    size_t total = 0;
    for (size_t i = 0; i < raw->n_rows; i++) {
        total += raw->rows[i]->body.len;
    }
    lutra_buf_reserve(&x->rows, total + total / 2);
}

static int extract_all(struct extraction *x,
                       const Lutra__RawBatch *raw,
                       struct lutra_arena *arena,
                       struct lutra_stage_output *out,
                       struct lutra_error *err)
{
    Lutra__ChangeBatch batch = LUTRA__CHANGE_BATCH__INIT;
    reserve_rows(x, raw);
    for (size_t i = 0; i < raw->n_rows; i++) {
        if (extract_event(x, raw->rows[i], err)) {
            return -1;
        }
    }
    batch.groups = lutra_arena_alloc(arena, x->n_groups * sizeof *batch.groups);
    batch.n_groups = x->n_groups;
    uint8_t *data = x->rows.data;
    for (size_t i = 0; i < x->n_groups; i++) {
        batch.groups[i] = &x->groups[i];
        x->groups[i].rows.data = data;
        data += x->groups[i].rows.len;
    }
    batch.head = raw->head;
    batch.n_tables = raw->n_tables;
    batch.tables = raw->tables;
    out->rows = x->n_rows;
    return lutra_stage_pack(&batch, &out->payload, err);
}

int lutra_extract_work(const struct lutra_pipeline *pipeline,
                       const struct lutra_envelope *envelope,
                       const uint8_t *payload,
                       size_t len,
                       struct lutra_arena *arena,
                       struct lutra_stage_output *out,
                       struct lutra_error *err)
{
    struct extraction x = {0};
    const Lutra__RawBatch *raw =
        lutra_stage_raw_batch(pipeline, envelope, payload, len, arena, err);
    if (!raw) {
        return -1;
    }
    x.tables = view_tables(pipeline->def, raw, arena);
    x.groups = lutra_arena_alloc(arena, raw->n_rows * sizeof *x.groups);
    int rc = extract_all(&x, raw, arena, out, err);
    lutra_buf_fini(&x.rows);
    return rc;
}

static int start(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *config,
                 void **state,
                 struct lutra_error *err)
{
    (void)daemon;
    (void)err;
    return lutra_stage_start(env, LUTRA_STAGE_EXTRACT, lutra_extract_work, config, state);
}

const struct lutra_service lutra_extract_service = {
    .name = "extract",
    .description = "decodes row images",
    .keys = lutra_stage_config_keys,
    .config_size = sizeof(struct lutra_stage_config),
    .start = start,
    .catalog = lutra_stage_catalog,
    .drain = lutra_stage_drain,
    .stop = lutra_stage_stop,
    .ready = lutra_stage_ready,
    .state_json = lutra_stage_state_json,
};
