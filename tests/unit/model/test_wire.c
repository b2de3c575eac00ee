#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/wire.h"

static struct lutra_arena *arena;

static void setup(void)
{
    arena = lutra_arena_new(0);
}

static void teardown(void)
{
    lutra_arena_free(arena);
}

TestSuite(wire, .init = setup, .fini = teardown);

/* A well-formed batch that tests then break in one place. */
struct sample {
    Lutra__BatchHead head;
    Lutra__Transaction tx[2];
    Lutra__Transaction *txs[2];
    char *files[1];
    Lutra__Table *tables[1];
    Lutra__RawRows rows[2];
    Lutra__RawRows *rowsp[2];
    Lutra__RawBatch raw;
    Lutra__RowGroup group[2];
    Lutra__RowGroup *groups[2];
    Lutra__ChangeBatch change;
};

static Lutra__Table *sample_table(void)
{
    struct lutra_table *table = lutra_table_new("shop", "orders", 2);
    table->columns[0] = (struct lutra_column){.name = lutra_strdup("id"),
                                              .kind = LUTRA_KIND_UINT,
                                              .type = 8,
                                              .is_unsigned = true,
                                              .key_part = 1};
    table->columns[1] = (struct lutra_column){.name = lutra_strdup("note"),
                                              .kind = LUTRA_KIND_STRING,
                                              .type = 15,
                                              .meta = 400,
                                              .nullable = true,
                                              .collation = 45};
    Lutra__Table *packed = lutra_wire_table_pack(arena, table);
    struct lutra_table *back = lutra_wire_table_unpack(packed);
    cr_assert(lutra_table_equal(table, back));
    lutra_table_free(back);
    lutra_table_free(table);
    return packed;
}

static void sample_head(struct sample *s)
{
    lutra__batch_head__init(&s->head);
    s->head.pipeline = (char *)"orders";
    s->head.epoch = 3;
    s->head.nonce = (char *)"0123456789abcdef";
    s->head.process_id = 12;
    s->head.flavor = (char *)"mariadb";
    s->head.position_from = (char *)"binlog.000001:4;";
    s->head.position_to = (char *)"binlog.000001:400;0-1-2";
    s->head.source_identity = (char *)"mariadb:1:0:17";
    s->head.n_files = 1;
    s->head.files = s->files;
    s->files[0] = (char *)"binlog.000001";
    s->head.n_transactions = 2;
    s->head.transactions = s->txs;
    for (int i = 0; i < 2; i++) {
        s->txs[i] = &s->tx[i];
        lutra__transaction__init(&s->tx[i]);
        s->tx[i].gtid = (char *)"0-1-2";
        s->tx[i].end_offset = 400;
    }
}

static void sample_init(struct sample *s)
{
    sample_head(s);
    s->tables[0] = sample_table();
    lutra__raw_batch__init(&s->raw);
    lutra__change_batch__init(&s->change);
    for (unsigned i = 0; i < 2; i++) {
        s->rowsp[i] = &s->rows[i];
        lutra__raw_rows__init(&s->rows[i]);
        s->rows[i].transaction = i;
        s->rows[i].event_type = 23;
        s->rows[i].body = (ProtobufCBinaryData){.len = 5, .data = (uint8_t *)"12345"};
        s->groups[i] = &s->group[i];
        lutra__row_group__init(&s->group[i]);
        s->group[i].transaction = i;
        s->group[i].n_rows = 1;
        s->group[i].rows = (ProtobufCBinaryData){.len = 5, .data = (uint8_t *)"12345"};
    }
    s->raw.head = s->change.head = &s->head;
    s->raw.n_tables = s->change.n_tables = 1;
    s->raw.tables = s->change.tables = s->tables;
    s->raw.n_rows = 2;
    s->raw.rows = s->rowsp;
    s->change.n_groups = 2;
    s->change.groups = s->groups;
}

static void *pack(const struct sample *s, bool raw, size_t *len)
{
    void *data;
    *len = raw ? lutra__raw_batch__get_packed_size(&s->raw)
               : lutra__change_batch__get_packed_size(&s->change);
    data = lutra_arena_alloc(arena, *len + 1);
    (void)(raw ? lutra__raw_batch__pack(&s->raw, data)
               : lutra__change_batch__pack(&s->change, data));
    return data;
}

static bool accepted(const struct sample *s, bool raw, struct lutra_error *err)
{
    size_t len;
    void *data = pack(s, raw, &len);
    return raw ? lutra_wire_raw_batch(arena, data, len, err) != NULL
               : lutra_wire_change_batch(arena, data, len, err) != NULL;
}

#define BROKEN(change_, part)                                                  \
    do {                                                                       \
        for (int raw_ = 0; raw_ < 2; raw_++) {                                 \
            struct sample s;                                                   \
            struct lutra_error err = {0};                                      \
            sample_init(&s);                                                   \
            change_;                                                           \
            cr_expect_not(accepted(&s, raw_, &err), "%s passed", #change_);    \
            cr_expect_eq(err.class, LUTRA_DATA);                               \
            cr_expect(strstr(err.msg, part), "%s: \"%s\"", #change_, err.msg); \
        }                                                                      \
    } while (0)

Test(wire, a_good_batch_passes)
{
    struct sample s;
    struct lutra_error err = {0};
    sample_init(&s);
    cr_expect(accepted(&s, true, &err), "%s", err.msg);
    cr_expect(accepted(&s, false, &err), "%s", err.msg);
}

Test(wire, what_breaks_the_contract_is_refused)
{
    BROKEN(s.raw.head = s.change.head = NULL, "no head");
    BROKEN(s.head.pipeline = (char *)"Bad/Name", "pipeline");
    BROKEN(s.head.pipeline = (char *)"", "pipeline");
    BROKEN(s.head.epoch = 0, "epoch");
    BROKEN(s.head.process_id = 0, "processId");
    BROKEN(s.head.nonce = (char *)"0123456789abcdeg", "nonce");
    BROKEN(s.head.nonce = (char *)"0123456789abcdef0", "nonce");
    BROKEN(s.head.kind = (Lutra__BatchHead__Kind)9, "kind");
    BROKEN(s.head.flavor = (char *)"oracle", "flavor");
    BROKEN(s.head.position_from = (char *)"nowhere", "position_from");
    BROKEN(s.head.position_to = (char *)"a:1;zz", "position_to");
    BROKEN(s.tx[1].file = 1, "file index");
    BROKEN(s.tx[1].end_offset = 0, "end of a transaction");
    BROKEN(s.head.continues = 1, "exactly that one");
    BROKEN(s.head.kind = LUTRA__BATCH_HEAD__KIND__IDLE, "no transactions");
    BROKEN(s.files[0] = (char *)"", "binlog file");
    BROKEN(s.tables[0]->schema = (char *)"", "name of a table");
    BROKEN(s.tables[0]->n_columns = 0, "number of columns");
    BROKEN(s.tables[0]->columns[1]->name = (char *)"", "name of a column");
    BROKEN(s.tables[0]->columns[1]->kind = 10, "definition");
    BROKEN(s.tables[0]->columns[1]->type = 256, "definition");
    BROKEN(s.tables[0]->columns[1]->key_part = 3, "primary key");
    BROKEN(s.group[1].table = s.rows[1].table = 1, "table index");
    BROKEN(s.group[1].transaction = s.rows[1].transaction = 2, "transaction index");
    BROKEN((s.group[0].transaction = s.rows[0].transaction = 1,
            s.group[1].transaction = s.rows[1].transaction = 0),
           "transaction index");
    BROKEN((s.rows[0].event_type = 26, s.group[0].n_rows = 0), "rows");
    BROKEN((s.rows[0].body.len = 0, s.group[0].n_rows = 3), "rows");
}

Test(wire, a_piece_of_a_transaction_keeps_the_position)
{
    struct sample s;
    struct lutra_error err = {0};
    sample_init(&s);
    s.head.n_transactions = 1;
    s.raw.n_rows = 1;
    s.head.unfinished = 1;
    s.tx[0].end_offset = 0;
    cr_expect_not(accepted(&s, true, &err));
    cr_expect(strstr(err.msg, "unfinished"), "%s", err.msg);
    s.head.position_to = s.head.position_from;
    cr_expect(accepted(&s, true, &err), "%s", err.msg);
}

Test(wire, an_update_needs_bytes_for_both_images)
{
    struct sample s;
    struct lutra_error err = {0};
    sample_init(&s);
    s.group[0].op = LUTRA__ROW_GROUP__OP__UPDATE;
    cr_expect(accepted(&s, false, &err), "%s", err.msg);
    s.group[0].n_rows = 2;
    cr_expect_not(accepted(&s, false, &err));
}

Test(wire, a_termin_is_checked)
{
    Lutra__Termin t = LUTRA__TERMIN__INIT;
    struct lutra_error err = {0};
    uint8_t data[256];
    t.pipeline = (char *)"orders";
    t.epoch = 1;
    t.nonce = (char *)"0123456789abcdef";
    t.consumed_process_id = 5;
    t.applied_process_id = 4;
    size_t len = lutra__termin__pack(&t, data);
    Lutra__Termin *back = lutra_wire_termin(arena, data, len, &err);
    cr_assert(back, "%s", err.msg);
    cr_expect_eq(back->consumed_process_id, 5);
    t.applied_process_id = 6;
    len = lutra__termin__pack(&t, data);
    cr_expect_null(lutra_wire_termin(arena, data, len, &err));
    cr_expect_null(lutra_wire_termin(arena, "\xff\xff", 2, &err));
    cr_expect_null(lutra_wire_termin(arena, "", 0, &err));
}

/* Bytes from the network, broken at random, never crash: under the sanitizers this is the proof. */
Test(wire, mutated_bytes_never_crash)
{
    struct sample s;
    size_t len[2];
    uint8_t *good[2], *copy;
    unsigned passed = 0;
    sample_init(&s);
    for (int raw = 0; raw < 2; raw++) {
        uint8_t *data = pack(&s, raw, &len[raw]);
        good[raw] = malloc(len[raw]);
        memcpy(good[raw], data, len[raw]);
    }
    srand(7);
    for (int i = 0; i < 60000; i++) {
        int raw = i & 1;
        size_t n = len[raw];
        lutra_arena_reset(arena);
        copy =
            malloc(n ? n : 1); /* exactly as long as the message, so that a read beyond is seen */
        memcpy(copy, good[raw], n);
        for (int k = rand() % 4; k >= 0; k--) {
            copy[(size_t)rand() % n] ^= (uint8_t)(1 << (rand() % 8));
        }
        if (rand() % 4 == 0) {
            n = (size_t)rand() % n;
        }
        if (raw) {
            Lutra__RawBatch *b = lutra_wire_raw_batch(arena, copy, n, NULL);
            passed += b != NULL;
            for (size_t t = 0; b && t < b->n_tables; t++) {
                lutra_table_free(lutra_wire_table_unpack(b->tables[t]));
            }
        } else {
            passed += lutra_wire_change_batch(arena, copy, n, NULL) != NULL;
        }
        (void)lutra_wire_termin(arena, copy, n, NULL);
        free(copy);
    }
    cr_expect_gt(passed, 0);
    cr_expect_lt(passed, 60000);
    free(good[0]);
    free(good[1]);
}
