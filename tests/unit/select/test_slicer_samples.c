/* Binlogs of a real MariaDB: what the slicer cuts holds every row of the tables asked for. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/rows.h"
#include "model/wire.h"
#include "sample.h"
#include "select/slicer.h"

static const char *const tables[] = {"t_int", "t_nopk", "t_cpk", "t_myisam",
                                     "t_big", "t_pre",  NULL};

/* Rows of those tables, by the reader that the binlog tests trust. */
static uint64_t rows_in(const char *sample)
{
    static const char *const ops[] = {"INSERT", "UPDATE", "DELETE"};
    struct walk walk;
    uint64_t n = 0;
    walk_init(&walk);
    sample_walk(sample, &walk);
    for (size_t at = 0; at < walk.lines.len;) { /* a value may hold any byte, NUL too */
        const uint8_t *line = walk.lines.data + at;
        const uint8_t *end = memchr(line, '\n', walk.lines.len - at);
        for (size_t i = 0; tables[i] && end; i++) {
            for (size_t k = 0; k < 3; k++) {
                char head[64];
                size_t len = (size_t)snprintf(head, sizeof(head), "%s s.%s ", ops[k], tables[i]);
                n += (size_t)(end - line) >= len && memcmp(line, head, len) == 0;
            }
        }
        at = end ? (size_t)(end - walk.lines.data) + 1 : walk.lines.len;
    }
    walk_fini(&walk);
    return n;
}

static struct lutra_channel *definition(const char *limits)
{
    struct lutra_buf text = {0};
    struct lutra_error err = {0};
    lutra_buf_printf(&text,
                     "channel: p\nsources:\n  a: {type: mariadb, host: h, user: u}\n"
                     "  b: {type: mariadb, host: h, user: u}\npipelines:\n"
                     "  - {source: a, target: b, resolved_until: 'binlog.000099:4', %s, pairs: [",
                     limits);
    for (size_t i = 0; tables[i]; i++) {
        lutra_buf_printf(&text, "{source: {schema: s, table: %s}, exclude: [b1, b7, b17, b64]},",
                         tables[i]);
    }
    lutra_buf_printf(&text, "]}\n");
    struct lutra_channel *channel =
        lutra_channel_parse(lutra_buf_cstr(&text), text.len, "test", &err);
    cr_assert(channel, "%s", err.msg);
    lutra_buf_fini(&text);
    return channel;
}

/* Takes what was cut; checks the chain and that every row can be decoded; returns the rows. */
static uint64_t take(struct lutra_slicer *slicer, char **position, unsigned *pieces)
{
    struct lutra_slice *slice;
    uint64_t n = 0;
    while ((slice = lutra_slicer_take(slicer))) {
        struct lutra_arena *arena = lutra_arena_new(0);
        struct lutra_error err = {0};
        Lutra__RawBatch *batch =
            lutra_wire_raw_batch(arena, slice->payload.data, slice->payload.len, &err);
        cr_assert(batch, "%s", err.msg);
        cr_assert_str_eq(batch->head->position_from, *position);
        *pieces += slice->unfinished;
        for (size_t i = 0; i < batch->n_rows; i++) {
            const Lutra__RawRows *rows = batch->rows[i];
            struct lutra_table *table = lutra_wire_table_unpack(batch->tables[rows->table]);
            struct lutra_buf packed = {0};
            struct lutra_rows cursor;
            int more;
            cr_assert_eq(lutra_rows_begin_supported(&cursor, table, (uint8_t)rows->event_type,
                                                    rows->body.data, rows->body.len, &err),
                         0, "%s", err.msg);
            while ((more = lutra_rows_next(&cursor, &packed, &err)) == 1) {
                n++;
            }
            cr_assert_eq(more, 0, "%s", err.msg);
            lutra_buf_fini(&packed);
            lutra_table_free(table);
        }
        lutra_free(*position);
        *position = lutra_strdup(slice->position_to);
        lutra_slice_free(slice);
        lutra_arena_free(arena);
    }
    return n;
}

static void check_sample(const char *sample, const char *limits, bool in_pieces)
{
    struct lutra_channel *channel = definition(limits);
    struct lutra_position begin = {
        .flavor = LUTRA_FLAVOR_MARIADB, .file = "binlog.000001", .offset = 4};
    struct lutra_error err = {0};
    struct lutra_buf bytes = {0};
    char *position = lutra_position_text(&begin);
    uint64_t rows = 0;
    unsigned pieces = 0;
    struct lutra_slicer *slicer =
        lutra_slicer_new(&(struct lutra_slicer_config){.def = &channel->pipelines[0],
                                                       .flavor = LUTRA_FLAVOR_MARIADB,
                                                       .epoch = 1,
                                                       .nonce = "0123456789abcdef",
                                                       .source_identity = "x",
                                                       .position_text = position,
                                                       .position = &begin,
                                                       .max_event_bytes = 64 << 20});
    sample_load(sample, &bytes);
    for (size_t at = 4; at < bytes.len;) {
        struct lutra_cur cur = lutra_cur_of(bytes.data + at + 9, 4);
        size_t len = (size_t)lutra_cur_le(&cur, 4);
        cr_assert_eq(lutra_slicer_feed(slicer, bytes.data + at, len, 1, &err), 0, "%s: %s", sample,
                     err.msg);
        rows += take(slicer, &position, &pieces);
        at += len;
    }
    lutra_slicer_close(slicer);
    rows += take(slicer, &position, &pieces);
    cr_expect_gt(rows, 20);
    cr_expect_eq(rows, rows_in(sample), "%s: %d rows, not %d", sample, (int)rows,
                 (int)rows_in(sample));
    cr_expect_eq(pieces > 0, in_pieces);
    lutra_slicer_free(slicer);
    lutra_channel_free(channel);
    lutra_buf_fini(&bytes);
    lutra_free(position);
}

Test(slicer_samples, hold_every_row_in_large_batches)
{
    check_sample("mariadb1011-02-metafull", "batch: {max_rows: 100000}", false);
}

Test(slicer_samples, hold_every_row_in_small_batches)
{
    check_sample("mariadb1011-02-metafull", "batch: {max_rows: 1}", true);
}

Test(slicer_samples, without_full_metadata_are_refused_by_name)
{
    struct lutra_channel *channel = definition("window: 1");
    struct lutra_position begin = {
        .flavor = LUTRA_FLAVOR_MARIADB, .file = "binlog.000001", .offset = 4};
    struct lutra_buf bytes = {0};
    struct lutra_error err = {0};
    struct lutra_slicer *slicer =
        lutra_slicer_new(&(struct lutra_slicer_config){.def = &channel->pipelines[0],
                                                       .flavor = LUTRA_FLAVOR_MARIADB,
                                                       .nonce = "0123456789abcdef",
                                                       .source_identity = "x",
                                                       .position_text = "binlog.000001:4;",
                                                       .position = &begin,
                                                       .max_event_bytes = 64 << 20});
    sample_load("mariadb1011-07-compressed", &bytes);
    for (size_t at = 4; at < bytes.len && err.class == LUTRA_OK;) {
        struct lutra_cur cur = lutra_cur_of(bytes.data + at + 9, 4);
        size_t len = (size_t)lutra_cur_le(&cur, 4);
        (void)!lutra_slicer_feed(slicer, bytes.data + at, len, 1, &err);
        at += len;
    }
    cr_expect_eq(err.class, LUTRA_CONFIG);
    cr_expect(strstr(err.msg, "binlog_row_metadata=FULL"), "%s", err.msg);
    lutra_slicer_free(slicer);
    lutra_channel_free(channel);
    lutra_buf_fini(&bytes);
}
