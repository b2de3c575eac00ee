/* Rows per second of the pure work of extract and transform, one core.
 *   stage_bench [seconds per line] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "extract/extract.h"
#include "stages/batches.h"
#include "transform/transform.h"

enum { ROWS = 1000 };

static void make_raw(bool one_row_transactions, uint8_t code, struct lutra_buf *out)
{
    struct batch_maker *m = batch_maker_new("orders", 1, 1);
    struct lutra_buf body = {0};
    uint32_t table = batch_orders(m);
    bool update = code == 31;
    orders_body(&body, update);
    for (uint32_t i = 0; i < ROWS; i++) {
        for (int image = 0; image < (update ? 2 : 1); image++) {
            orders_image(&body, 1000000 + i, (int32_t)i + image,
                         "a customer's name, as long as they are", (int64_t)i * 1357 - 20);
        }
        if (one_row_transactions) {
            batch_raw(m, table, i == 0 ? 0 : batch_transaction(m), code, &body);
            orders_body(&body, update);
        }
    }
    if (!one_row_transactions) {
        batch_raw(m, table, 0, code, &body);
    }
    batch_pack_raw(m, out);
    lutra_buf_fini(&body);
    batch_maker_free(m);
}

static void measure(const char *name,
                    double seconds,
                    lutra_stage_work_fn work,
                    const struct lutra_pipeline *pipeline,
                    const struct lutra_buf *in,
                    struct lutra_stage_output *out)
{
    struct lutra_envelope envelope = {
        .epoch = 1, .nonce = BATCH_NONCE, .process_id = 1, .config_version = 1};
    struct lutra_arena *arena = lutra_arena_new(0);
    struct lutra_error err;
    uint64_t rows = 0, start = lutra_clock_now_us(), now = start;
    while ((double)(now - start) < seconds * 1e6) {
        lutra_buf_clear(&out->payload);
        out->rows = 0;
        if (work(pipeline, &envelope, in->data, in->len, arena, out, &err)) {
            fprintf(stderr, "%s: %s\n", name, err.msg);
            exit(1);
        }
        lutra_arena_reset(arena);
        rows += out->rows;
        now = lutra_clock_now_us();
    }
    printf("%-52s %9.0f rows/s %7.1f MB/s in\n", name, (double)rows * 1e6 / (double)(now - start),
           (double)rows / ROWS * (double)in->len / (double)(now - start));
    lutra_arena_free(arena);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1.0;
    static const struct {
        const char *name, *pairs;
    } maps[] = {
        {"same names", "[{source: {schema: shop, table: '*'}}]"},
        {"other schema", "[{source: {schema: shop, table: '*'}, target: {schema: eu}}]"},
        {"a column excluded", "[{source: {schema: shop, table: '*'}, exclude: [qty]}]"},
    };
    static const struct {
        const char *name;
        bool one_row;
        uint8_t code;
    } shapes[] = {
        {"INSERT, 1-row transactions", true, 30},
        {"INSERT, 1000-row groups", false, 30},
        {"UPDATE, 1-row transactions", true, 31},
        {"UPDATE, 1000-row groups", false, 31},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct lutra_buf raw = {0};
        struct lutra_stage_output mid = {0}, out = {0};
        char name[128];
        make_raw(shapes[s].one_row, shapes[s].code, &raw);
        for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
            struct lutra_channel *channel = batch_channel(maps[i].pairs);
            struct lutra_pipeline pipeline = {
                .id = "orders", .channel = channel, .def = &channel->pipelines[0]};
            if (i == 0) {
                snprintf(name, sizeof name, "extract    %s", shapes[s].name);
                measure(name, seconds, lutra_extract_work, &pipeline, &raw, &mid);
            }
            snprintf(name, sizeof name, "transform  %s, %s", shapes[s].name, maps[i].name);
            measure(name, seconds, lutra_transform_work, &pipeline, &mid.payload, &out);
            lutra_channel_free(channel);
        }
        lutra_buf_fini(&raw);
        lutra_buf_fini(&mid.payload);
        lutra_buf_fini(&out.payload);
    }
    return 0;
}
