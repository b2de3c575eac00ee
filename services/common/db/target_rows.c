/* DESIGN: consecutive rows of one table, operation and shape (which columns are absent) form a run,
 * across groups and source transactions. A run is one prepared statement, executed with arrays of
 * parameters where the server can do that (MariaDB), else row by row: the same statements in the
 * same order. Each may touch one row at most (primary key, or LIMIT 1), so a run whose number of
 * affected rows is its number of rows has touched exactly one row each. Otherwise the unit fails
 * with RETRY and is executed row by row the next time, which finds the row and names it. */
#include <inttypes.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "db/row_text.h"
#include "db/target_private.h"

/* KEYLESS_RUN_ROWS: each of these rows may cost a scan of the table, and a statement must end
 * before the connection's read time-out. */
enum { RUN_ROWS = 1000, KEYLESS_RUN_ROWS = 20, RUN_BYTES = 1 << 20, PACKET_OVERHEAD = 4096 };

struct run {
    const Lutra__ChangeBatch *batch;
    const struct lutra_plan *plan; /* NULL: empty */
    Lutra__RowGroup__Op op;
    size_t stride; /* values per row: one image, or two */
    size_t n, bytes;
    struct lutra_value *values; /* n * stride, cap_values */
    size_t cap_values;
    const Lutra__RowGroup *groups[RUN_ROWS]; /* of each row, for messages */
};

/* One parameter: which column, out of which image. */
struct param {
    size_t column, value;
};

struct statement {
    struct lutra_buf sql;
    struct param *params;
    size_t n_params;
};

/* ---- SQL ---- */

static void put_name(struct lutra_buf *sql, const char *name)
{
    lutra_buf_put_u8(sql, '`');
    for (; *name; name++) {
        if (*name == '`') {
            lutra_buf_put_u8(sql, '`');
        }
        lutra_buf_put_u8(sql, (uint8_t)*name);
    }
    lutra_buf_put_u8(sql, '`');
}

static void add_param(struct statement *st, size_t column, size_t value)
{
    st->params[st->n_params++] = (struct param){.column = column, .value = value};
}

static bool is_present(const struct run *run, size_t value)
{
    return run->values[value].tag != LUTRA_VALUE_ABSENT;
}

static void put_where(struct statement *st, const struct run *run)
{
    const struct lutra_plan *plan = run->plan;
    const char *separator = " WHERE ";
    for (size_t i = 0; i < plan->table->n_columns; i++) {
        const struct lutra_plan_column *column = &plan->columns[i];
        if (plan->keyed ? !column->is_key : (column->skip || !is_present(run, i))) {
            continue;
        }
        lutra_buf_printf(&st->sql, "%s%s", separator,
                         !plan->keyed && column->by_bytes ? "BINARY " : "");
        put_name(&st->sql, plan->table->columns[i]->name);
        lutra_buf_printf(&st->sql, "%s", plan->keyed ? "=?" : " <=> ?");
        add_param(st, i, i);
        separator = " AND ";
    }
    if (!plan->keyed) {
        lutra_buf_printf(&st->sql, " LIMIT 1");
    }
}

static void put_insert(struct statement *st, const struct run *run)
{
    const struct lutra_plan *plan = run->plan;
    lutra_buf_printf(&st->sql, " (");
    for (size_t i = 0; i < plan->table->n_columns; i++) {
        if (!plan->columns[i].skip && is_present(run, i)) {
            lutra_buf_printf(&st->sql, "%s", st->n_params ? "," : "");
            put_name(&st->sql, plan->table->columns[i]->name);
            add_param(st, i, i);
        }
    }
    lutra_buf_printf(&st->sql, ") VALUES (");
    for (size_t i = 0; i < st->n_params; i++) {
        lutra_buf_printf(&st->sql, "%s", i ? ",?" : "?");
    }
    lutra_buf_printf(&st->sql, ")");
}

static void put_set(struct statement *st, const struct run *run)
{
    const struct lutra_plan *plan = run->plan;
    size_t n = plan->table->n_columns;
    lutra_buf_printf(&st->sql, " SET ");
    for (size_t i = 0; i < n; i++) {
        if (!plan->columns[i].skip && is_present(run, n + i)) {
            lutra_buf_printf(&st->sql, "%s", st->n_params ? "," : "");
            put_name(&st->sql, plan->table->columns[i]->name);
            lutra_buf_printf(&st->sql, "=?");
            add_param(st, i, n + i);
        }
    }
    if (st->n_params ==
        0) { /* only generated columns changed: the row must be there all the same */
        put_name(&st->sql, plan->table->columns[0]->name);
        lutra_buf_printf(&st->sql, "=");
        put_name(&st->sql, plan->table->columns[0]->name);
    }
}

static void make_statement(struct statement *st, const struct run *run, struct lutra_arena *arena)
{
    const Lutra__Table *table = run->plan->table;
    st->params = lutra_arena_calloc(arena, 2 * table->n_columns + 1, sizeof(st->params[0]));
    lutra_buf_printf(&st->sql, "%s",
                     run->op == LUTRA__ROW_GROUP__OP__INSERT   ? "INSERT INTO "
                     : run->op == LUTRA__ROW_GROUP__OP__UPDATE ? "UPDATE "
                                                               : "DELETE FROM ");
    put_name(&st->sql, table->schema);
    lutra_buf_put_u8(&st->sql, '.');
    put_name(&st->sql, table->name);
    if (run->op == LUTRA__ROW_GROUP__OP__INSERT) {
        put_insert(st, run);
        return;
    }
    if (run->op == LUTRA__ROW_GROUP__OP__UPDATE) {
        put_set(st, run);
    }
    put_where(st, run);
}

/* ---- Parameters ---- */

static char *value_bytes(const struct lutra_value *value)
{
    static char nothing[1];
    /* Read only: MYSQL_BIND has no const. */
    return value->bytes.len ? (char *)(uintptr_t)value->bytes.data : nothing;
}

static void bind_row(MYSQL_BIND *bind,
                     const struct lutra_plan_column *column,
                     struct lutra_value *value,
                     unsigned long *length)
{
    static my_bool is_null = 1;
    *bind = (MYSQL_BIND){.buffer_type = column->bind};
    if (value->tag == LUTRA_VALUE_NULL) {
        bind->is_null = &is_null;
    } else if (value->tag == LUTRA_VALUE_BYTES) {
        *length = (unsigned long)value->bytes.len;
        bind->buffer = value_bytes(value);
        bind->buffer_length = *length;
        bind->length = length;
    } else {
        bind->buffer = &value->i64; /* the same place as u64 */
        bind->is_unsigned = value->tag == LUTRA_VALUE_UINT;
    }
}

/* Column-wise arrays of all rows of the run. */
static void bind_array(MYSQL_BIND *bind,
                       const struct run *run,
                       const struct param *param,
                       struct lutra_arena *arena)
{
    const struct lutra_plan_column *column = &run->plan->columns[param->column];
    bool integer = column->bind == MYSQL_TYPE_LONGLONG;
    uint64_t *numbers = lutra_arena_calloc(arena, integer ? run->n : 0, sizeof(*numbers));
    char **texts = lutra_arena_calloc(arena, integer ? 0 : run->n, sizeof(*texts));
    unsigned long *lengths = lutra_arena_calloc(arena, integer ? 0 : run->n, sizeof(*lengths));
    char *indicators = lutra_arena_calloc(arena, run->n, 1);
    *bind = (MYSQL_BIND){.buffer_type = column->bind, .u.indicator = indicators};
    for (size_t row = 0; row < run->n; row++) {
        const struct lutra_value *value = &run->values[row * run->stride + param->value];
        if (value->tag == LUTRA_VALUE_NULL) {
            indicators[row] = STMT_INDICATOR_NULL;
        } else if (integer) {
            numbers[row] = value->u64;
            bind->is_unsigned = value->tag == LUTRA_VALUE_UINT;
        } else {
            texts[row] = value_bytes(value);
            lengths[row] = (unsigned long)value->bytes.len;
        }
    }
    bind->buffer = integer ? (void *)numbers : (void *)texts;
    bind->length = integer ? NULL : lengths;
}

/* ---- Execution ---- */

static int execute(struct lutra_work *work,
                   MYSQL_STMT *stmt,
                   MYSQL_BIND *binds,
                   unsigned array_size,
                   uint64_t *affected,
                   struct lutra_error *err)
{
    work->stats.statements += array_size ? array_size : 1;
    work->stats.round_trips++;
    if (mysql_stmt_attr_set(stmt, STMT_ATTR_ARRAY_SIZE, &array_size) ||
        mysql_stmt_bind_param(stmt, binds) || mysql_stmt_execute(stmt)) {
        return lutra_stmt_error(stmt, err);
    }
    *affected = mysql_stmt_affected_rows(stmt);
    return 0;
}

static int row_error(const struct run *run, size_t row, const char *what, struct lutra_error *err)
{
    const struct lutra_value *values = run->values + row * run->stride;
    bool insert = run->op == LUTRA__ROW_GROUP__OP__INSERT;
    bool update = run->op == LUTRA__ROW_GROUP__OP__UPDATE;
    struct lutra_buf text = {0};
    lutra_row_message(&text, run->batch, run->groups[row], insert ? NULL : values,
                      insert   ? values
                      : update ? values + run->plan->table->n_columns
                               : NULL,
                      what);
    lutra_error_set(err, err->class, err->code, "%s", lutra_buf_cstr(&text));
    lutra_buf_fini(&text);
    return -1;
}

static int run_error(const struct run *run, struct lutra_error *err)
{
    return lutra_error_wrap(err, "%s %s.%s", lutra_op_name(run->op), run->plan->table->schema,
                            run->plan->table->name);
}

static int execute_rows(struct lutra_work *work,
                        const struct run *run,
                        MYSQL_STMT *stmt,
                        const struct statement *st,
                        struct lutra_error *err)
{
    MYSQL_BIND *binds = lutra_arena_calloc(work->run_arena, st->n_params + 1, sizeof(*binds));
    unsigned long *lengths =
        lutra_arena_calloc(work->run_arena, st->n_params + 1, sizeof(*lengths));
    for (size_t row = 0; row < run->n; row++) {
        uint64_t affected = 0;
        for (size_t i = 0; i < st->n_params; i++) {
            bind_row(&binds[i], &run->plan->columns[st->params[i].column],
                     &run->values[row * run->stride + st->params[i].value], &lengths[i]);
        }
        if (execute(work, stmt, binds, 0, &affected, err)) {
            if (err->class != LUTRA_DATA) {
                return run_error(run, err);
            }
            struct lutra_error cause = *err;
            return row_error(run, row, cause.msg, err);
        }
        if (affected != 1) {
            *err = (struct lutra_error){.class = LUTRA_DATA};
            return row_error(run, row, affected ? "more than one row" : "no such row", err);
        }
    }
    return 0;
}

static int execute_bulk(struct lutra_work *work,
                        const struct run *run,
                        MYSQL_STMT *stmt,
                        const struct statement *st,
                        struct lutra_error *err)
{
    MYSQL_BIND *binds = lutra_arena_calloc(work->run_arena, st->n_params, sizeof(*binds));
    uint64_t affected = 0;
    for (size_t i = 0; i < st->n_params; i++) {
        bind_array(&binds[i], run, &st->params[i], work->run_arena);
    }
    if (execute(work, stmt, binds, (unsigned)run->n, &affected, err)) {
        if (err->class != LUTRA_DATA) {
            return run_error(run, err);
        }
    } else if (affected == run->n) {
        return 0;
    } else {
        lutra_error_set(err, LUTRA_DATA, 0, "%" PRIu64 " of %zu rows matched", affected, run->n);
    }
    work->row_by_row = true;
    err->class = LUTRA_RETRY;
    (void)run_error(run, err);
    return lutra_error_wrap(err, "to be repeated row by row");
}

static int flush(struct lutra_work *work, struct run *run, struct lutra_error *err)
{
    struct statement st = {0};
    int rc = -1;
    if (run->n == 0) {
        return 0;
    }
    lutra_arena_reset(work->run_arena);
    make_statement(&st, run, work->run_arena);
    MYSQL_STMT *stmt = lutra_stmt_get(work, lutra_buf_cstr(&st.sql), err);
    if (!stmt) {
        (void)run_error(run, err);
    } else if (run->n > 1 && work->bulk && !work->row_by_row && st.n_params > 0) {
        rc = execute_bulk(work, run, stmt, &st, err);
    } else {
        rc = execute_rows(work, run, stmt, &st, err);
    }
    lutra_buf_fini(&st.sql);
    if (rc == 0) {
        work->stats.rows[run->op] += run->n;
    }
    run->n = run->bytes = 0;
    run->plan = NULL;
    if (rc == 0 && LUTRA_FAULT("load.mid_rows")) {
        rc = lutra_error_set(err, LUTRA_RETRY, 0, "fault load.mid_rows");
    }
    return rc;
}

/* ---- Runs ---- */

static bool tag_fits(uint32_t kind, enum lutra_value_tag tag)
{
    if (tag == LUTRA_VALUE_NULL || tag == LUTRA_VALUE_ABSENT) {
        return true;
    }
    return tag == (kind == LUTRA_KIND_INT    ? LUTRA_VALUE_INT
                   : kind == LUTRA_KIND_UINT ? LUTRA_VALUE_UINT
                                             : LUTRA_VALUE_BYTES);
}

static int malformed(const struct lutra_plan *plan, const char *what, struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_DATA, 0, "%s.%s: %s", plan->table->schema, plan->table->name,
                           what);
}

/* The next row of the group, behind those of the run; its size in *bytes. */
static int read_row(struct lutra_work *work,
                    const struct lutra_plan *plan,
                    Lutra__RowGroup__Op op,
                    struct lutra_cur *cur,
                    struct lutra_value *values,
                    size_t stride,
                    size_t *bytes,
                    struct lutra_error *err)
{
    size_t n = plan->table->n_columns, left = lutra_cur_left(cur), compared = 0;
    for (size_t i = 0; i < stride; i++) {
        size_t column = i % n;
        if (lutra_values_next(cur, &values[i], err)) {
            return lutra_error_wrap(err, "%s.%s", plan->table->schema, plan->table->name);
        }
        if (!tag_fits(plan->table->columns[column]->kind, values[i].tag)) {
            return malformed(plan, "a value is not of its column's kind", err);
        }
        bool before = i < n && op != LUTRA__ROW_GROUP__OP__INSERT;
        if (before && plan->columns[column].is_key &&
            (values[i].tag == LUTRA_VALUE_ABSENT || values[i].tag == LUTRA_VALUE_NULL)) {
            return malformed(plan, "a before image without its key", err);
        }
        compared += before && values[i].tag != LUTRA_VALUE_ABSENT && !plan->columns[column].skip;
    }
    if (op != LUTRA__ROW_GROUP__OP__INSERT && compared == 0) {
        return malformed(plan, "a before image without values", err);
    }
    *bytes = left - lutra_cur_left(cur);
    if (*bytes + PACKET_OVERHEAD > work->max_packet_bytes) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "%s.%s: a row of %zu bytes is larger than the target's "
                               "max_allowed_packet of %" PRIu64 "; raise it",
                               plan->table->schema, plan->table->name, *bytes,
                               work->max_packet_bytes);
    }
    return 0;
}

/* Does the row behind the run's rows belong to it? */
static bool joins(const struct lutra_work *work,
                  const struct run *run,
                  const struct lutra_plan *plan,
                  Lutra__RowGroup__Op op,
                  size_t bytes)
{
    size_t most = plan->keyed || op == LUTRA__ROW_GROUP__OP__INSERT ? RUN_ROWS : KEYLESS_RUN_ROWS;
    if (run->plan != plan || run->op != op || run->n >= most || run->bytes + bytes > RUN_BYTES ||
        run->bytes + bytes + PACKET_OVERHEAD > work->max_packet_bytes / 2) {
        return false;
    }
    const struct lutra_value *next = run->values + run->n * run->stride;
    for (size_t i = 0; i < run->stride; i++) {
        if ((next[i].tag == LUTRA_VALUE_ABSENT) != (run->values[i].tag == LUTRA_VALUE_ABSENT)) {
            return false;
        }
    }
    return true;
}

static int add_group(struct lutra_work *work,
                     struct run *run,
                     const struct lutra_plan *plan,
                     const Lutra__RowGroup *group,
                     struct lutra_error *err)
{
    size_t n = plan->table->n_columns;
    size_t stride = group->op == LUTRA__ROW_GROUP__OP__UPDATE ? 2 * n : n, bytes = 0;
    struct lutra_cur cur = lutra_cur_of(group->rows.data, group->rows.len);
    if (run->plan && (run->plan != plan || run->op != group->op) && flush(work, run, err)) {
        return -1;
    }
    for (uint32_t row = 0; row < group->n_rows; row++) {
        if ((run->n + 1) * stride > run->cap_values) {
            run->cap_values = 2 * (run->n + 1) * stride;
            run->values = lutra_realloc(run->values, run->cap_values * sizeof(run->values[0]));
        }
        struct lutra_value *next = run->values + run->n * stride;
        if (read_row(work, plan, group->op, &cur, next, stride, &bytes, err)) {
            return -1;
        }
        if (run->n > 0 && !joins(work, run, plan, group->op, bytes)) {
            if (flush(work, run, err)) {
                return -1;
            }
            memmove(run->values, next, stride * sizeof(*next));
        }
        run->plan = plan;
        run->op = group->op;
        run->stride = stride;
        run->groups[run->n++] = group;
        run->bytes += bytes;
    }
    return lutra_cur_left(&cur) ? malformed(plan, "bytes behind the last row", err) : 0;
}

static int apply(struct lutra_work *work, struct run *run, struct lutra_error *err)
{
    const Lutra__ChangeBatch *batch = run->batch;
    struct lutra_plan **plans =
        lutra_arena_calloc(work->batch_arena, batch->n_tables + 1, sizeof(*plans));
    for (size_t i = 0; i < batch->n_groups; i++) {
        const Lutra__RowGroup *group = batch->groups[i];
        struct lutra_plan **plan = &plans[group->table];
        if (!*plan) {
            *plan = lutra_plan_make(work, work->batch_arena, batch->tables[group->table], err);
        }
        if (!*plan || add_group(work, run, *plan, group, err)) {
            return -1;
        }
    }
    return flush(work, run, err);
}

int lutra_work_apply(struct lutra_work *work,
                     const Lutra__ChangeBatch *batch,
                     struct lutra_error *err)
{
    if (work->state == LUTRA_UNIT_FAILED) {
        *err = work->failure;
        return -1;
    }
    if (work->state != LUTRA_UNIT_OPEN) {
        return lutra_error_set(err, LUTRA_BUG, 0, "no unit is open");
    }
    struct run *run = LUTRA_NEW(struct run);
    run->batch = batch;
    lutra_arena_reset(work->batch_arena);
    int rc = apply(work, run, err);
    lutra_free(run->values);
    lutra_free(run);
    return rc ? lutra_work_fail(work, err) : 0;
}
