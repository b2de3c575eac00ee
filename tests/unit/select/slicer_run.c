#include "slicer_run.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/rows.h"
#include "model/values.h"
#include "model/wire.h"

#define NONCE "0123456789abcdef"
#define IDENTITY "mariadb:1:0:1700000000"

void slicer_run_init_at(struct slicer_run *run, const char *limits, const char *position)
{
    char text[1000];
    struct lutra_position at;
    *run = (struct slicer_run){.now_ms = 1000, .position = lutra_strdup(position)};
    snprintf(text, sizeof(text),
             "channel: p\nsources:\n  a: {type: mariadb, host: h, user: u}\n"
             "  b: {type: mariadb, host: h, user: u}\npipelines:\n  - {source: a, target: b, "
             "pairs: [{source: {schema: shop, table: 't*'}, exclude: [secret]}]%s%s}\n",
             limits[0] ? ", " : "", limits);
    run->channel = lutra_channel_parse(text, strlen(text), "test", &run->err);
    cr_assert(run->channel, "%s", run->err.msg);
    cr_assert_eq(lutra_position_parse(LUTRA_FLAVOR_MARIADB, position, &at, &run->err), 0);
    run->slicer = lutra_slicer_new(&(struct lutra_slicer_config){
        .def = &run->channel->pipelines[0],
        .flavor = LUTRA_FLAVOR_MARIADB,
        .epoch = 3,
        .nonce = NONCE,
        .config_version = 2,
        .source_identity = IDENTITY,
        .position_text = position,
        .position = &at,
        .max_event_bytes = 1 << 20,
    });
    lutra_position_fini(&at);
    events_init(&run->events);
}

void slicer_run_init(struct slicer_run *run, const char *limits)
{
    slicer_run_init_at(run, limits, "binlog.000001:4;0-1-0");
}

void slicer_run_fini(struct slicer_run *run)
{
    lutra_slicer_free(run->slicer);
    lutra_channel_free(run->channel);
    events_fini(&run->events);
    lutra_buf_fini(&run->log);
    lutra_buf_fini(&run->ids);
    lutra_buf_fini(&run->bytes);
    lutra_free(run->position);
}

int slicer_run_feed(struct slicer_run *run)
{
    for (; run->fed < run->events.n; run->fed++) {
        if (lutra_slicer_feed(run->slicer, events_at(&run->events, run->fed),
                              run->events.items[run->fed].len, run->now_ms, &run->err)) {
            return -1;
        }
    }
    return 0;
}

static void note_ids(struct slicer_run *run, const Lutra__RawBatch *batch)
{
    for (size_t i = 0; i < batch->n_rows; i++) {
        const Lutra__RawRows *rows = batch->rows[i];
        struct lutra_table *table = lutra_wire_table_unpack(batch->tables[rows->table]);
        struct lutra_buf packed = {0};
        uint32_t n;
        cr_assert_eq(lutra_rows_decode(table, (uint8_t)rows->event_type, rows->body.data,
                                       rows->body.len, &packed, &n, &run->err),
                     0, "%s", run->err.msg);
        struct lutra_cur cur = lutra_cur_of(packed.data, packed.len);
        for (uint32_t k = 0; k < n; k++) {
            struct lutra_value id, note;
            cr_assert_eq(lutra_values_next(&cur, &id, NULL), 0);
            cr_assert_eq(lutra_values_next(&cur, &note, NULL), 0);
            cr_assert_eq(id.tag, LUTRA_VALUE_UINT);
            lutra_buf_printf(&run->ids, "%" PRIu64 " ", id.u64);
        }
        lutra_buf_fini(&packed);
        lutra_table_free(table);
    }
}

static void check(struct slicer_run *run, const struct lutra_slice *slice)
{
    static const char *const kinds[] = {"ROWS", "START", "IDLE"};
    struct lutra_arena *arena = lutra_arena_new(0);
    const Lutra__RawBatch *batch =
        lutra_wire_raw_batch(arena, slice->payload.data, slice->payload.len, &run->err);
    cr_assert(batch, "%s", run->err.msg);
    const Lutra__BatchHead *head = batch->head;
    cr_expect_str_eq(head->pipeline, "p");
    cr_expect_str_eq(head->nonce, NONCE);
    cr_expect_str_eq(head->source_identity, IDENTITY);
    cr_expect_eq(head->epoch, 3);
    cr_expect_eq(head->config_version, 2);
    cr_expect_eq(head->process_id, run->process_id + 1, "processIds are gapless");
    cr_expect_eq(slice->process_id, head->process_id);
    cr_expect_str_eq(head->position_from, run->position, "the chain is unbroken");
    cr_expect_str_eq(head->position_to, slice->position_to);
    cr_expect_eq(head->rows_read, slice->rows);
    cr_expect_eq((bool)head->unfinished, slice->unfinished);
    run->process_id = head->process_id;
    lutra_free(run->position);
    run->position = lutra_strdup(head->position_to);
    lutra_buf_printf(&run->log,
                     "%" PRIu64 " %s t=%zu r=%" PRIu64 " f=%" PRIu64 " d=%" PRIu64 "%s%s",
                     head->process_id, kinds[head->kind], head->n_transactions, head->rows_read,
                     head->events_filtered, head->ddl_passed, head->continues ? " continues" : "",
                     head->unfinished ? " unfinished" : "");
    lutra_buf_printf(&run->log, "\n");
    note_ids(run, batch);
    lutra_buf_append(&run->bytes, slice->payload.data, slice->payload.len);
    lutra_arena_free(arena);
}

const char *slicer_run_cut(struct slicer_run *run)
{
    struct lutra_slice *slice;
    lutra_buf_clear(&run->log);
    while ((slice = lutra_slicer_take(run->slicer))) {
        check(run, slice);
        lutra_slice_free(slice);
    }
    return lutra_buf_cstr(&run->log);
}

const char *slicer_run_close(struct slicer_run *run)
{
    lutra_slicer_close(run->slicer);
    return slicer_run_cut(run);
}

const char *slicer_run_ids(struct slicer_run *run)
{
    return lutra_buf_cstr(&run->ids);
}
