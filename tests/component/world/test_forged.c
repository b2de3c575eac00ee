/* Messages that nobody of ours would write, in the load topic: each is recognised by what it says,
 * and nothing of it reaches the target. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "base/mem.h"
#include "model/records.h"
#include "proto/batch.pb-c.h"
#include "world.h"

#define MINUTE_MS 60000u

/* A world in which load alone is alive, idle, and what the next message must say. */
struct scene {
    struct world *w;
    struct lutra_bus *bus;
    struct lutra_origin origin;
    char position[256], next_position[256];
    uint64_t process_id; /* committed */
};

/* What is said, before a test changes it. */
struct message {
    struct lutra_envelope envelope;
    Lutra__BatchHead head;
};

static void scene_open(struct scene *s)
{
    struct lutra_error err = {0};
    *s = (struct scene){.w = world_new(11, "")};
    world_start_all(s->w, false);
    for (unsigned i = 0; i < 20; i++) {
        world_transaction(s->w, 5);
    }
    world_settle(s->w, MINUTE_MS);
    for (size_t i = 0; i < s->w->n; i++) {
        if (s->w->nodes[i].stage != LUTRA_STAGE_LOAD) {
            world_kill(&s->w->nodes[i]);
        }
    }
    const char *origin = world_record(s->w, "origin");
    cr_assert_eq(lutra_origin_from_json(origin, strlen(origin), &s->origin, &err), 0);
    s->process_id = world_audit_process_id(s->w->audit);
    (void)snprintf(s->position, sizeof s->position, "binlog.000001:%zu;0-1-%llu",
                   s->w->file.bytes.len, (unsigned long long)s->w->seq);
    (void)snprintf(s->next_position, sizeof s->next_position, "binlog.000001:%zu;0-1-%llu",
                   s->w->file.bytes.len + 500, (unsigned long long)s->w->seq + 1);
    s->bus = lutra_bus_mem_new(s->w->broker, "forger");
}

static void scene_close(struct scene *s)
{
    lutra_bus_free(s->bus);
    lutra_origin_fini(&s->origin);
    world_free(s->w);
}

static struct message next_message(struct scene *s)
{
    struct message m = {.envelope = {.epoch = s->origin.epoch,
                                     .process_id = s->process_id + 1,
                                     .config_version = s->origin.config_version}};
    memcpy(m.envelope.nonce, s->origin.nonce, sizeof m.envelope.nonce);
    lutra__batch_head__init(&m.head);
    m.head.pipeline = (char *)WORLD_PIPELINE;
    m.head.epoch = s->origin.epoch;
    m.head.nonce = s->origin.nonce;
    m.head.process_id = s->process_id + 1;
    m.head.config_version = s->origin.config_version;
    m.head.kind = LUTRA__BATCH_HEAD__KIND__IDLE;
    m.head.flavor = (char *)"mariadb";
    m.head.position_from = s->position;
    m.head.position_to = s->next_position;
    m.head.source_identity = (char *)"mariadb:test";
    return m;
}

static void forge(struct scene *s, struct message *m)
{
    struct lutra_error err = {0};
    Lutra__ChangeBatch batch;
    lutra__change_batch__init(&batch);
    batch.head = &m->head;
    size_t len = lutra__change_batch__get_packed_size(&batch);
    LUTRA_AUTO_FREE uint8_t *payload = lutra_alloc(len);
    (void)lutra__change_batch__pack(&batch, payload);
    cr_assert_eq(lutra_pipe_publish(s->bus, "lutra." WORLD_PIPELINE ".load", 0, &m->envelope,
                                    payload, len, NULL, NULL, &err),
                 0, "%s", err.msg);
    lutra_loop_run_for(s->w->loop, 3000);
}

static struct lutra_control control_of(struct scene *s)
{
    struct lutra_control control = {0};
    struct lutra_error err = {0};
    const char *text = world_record(s->w, "control");
    cr_assert_eq(lutra_control_from_json(text, strlen(text), &control, &err), 0, "%s", err.msg);
    return control;
}

static void expect_not_applied(struct scene *s, const char *what)
{
    cr_expect_eq(world_audit_process_id(s->w->audit), s->process_id, "%s was applied", what);
}

/* Else the others would prove nothing. */
Test(forged, what_is_right_in_everything_is_applied)
{
    struct scene s;
    scene_open(&s);
    struct message m = next_message(&s);
    forge(&s, &m);
    cr_expect_eq(world_audit_process_id(s.w->audit), s.process_id + 1);
    cr_expect_eq(control_of(&s).epoch, s.origin.epoch);
    scene_close(&s);
}

Test(forged, what_is_not_of_this_epoch_is_dropped)
{
    for (unsigned i = 0; i < 3; i++) {
        static const char *const what[] = {"another nonce", "a lower epoch", "a higher epoch"};
        char nonce[17] = "feedfeedfeedfeed";
        struct scene s;
        scene_open(&s);
        struct message m = next_message(&s);
        if (i == 0) {
            memcpy(m.envelope.nonce, nonce, sizeof nonce);
            m.head.nonce = nonce;
        } else {
            m.envelope.epoch = m.head.epoch = i == 1 ? s.origin.epoch - 1 : s.origin.epoch + 1;
        }
        int64_t stale = world_state_int(&s.w->nodes[5], "stale");
        forge(&s, &m);
        expect_not_applied(&s, what[i]);
        cr_expect_eq(control_of(&s).epoch, s.origin.epoch, "%s is nobody's trouble", what[i]);
        cr_expect_eq(world_state_int(&s.w->nodes[5], "stale"), stale + 1, "%s", what[i]);
        scene_close(&s);
    }
}

Test(forged, a_broken_chain_is_never_applied)
{
    for (unsigned i = 0; i < 3; i++) {
        static const char *const what[] = {"a later beginning", "an earlier beginning",
                                           "the rest of a transaction that is not open"};
        static char earlier[] = "binlog.000001:4;";
        struct scene s;
        scene_open(&s);
        struct message m = next_message(&s);
        Lutra__Transaction transaction, *transactions[] = {&transaction};
        char *files[] = {(char *)"binlog.000001"};
        if (i == 2) {
            lutra__transaction__init(&transaction);
            transaction.gtid = (char *)"0-1-9999";
            transaction.end_offset = 1;
            m.head.kind = LUTRA__BATCH_HEAD__KIND__ROWS;
            m.head.n_files = m.head.n_transactions = 1;
            m.head.files = files;
            m.head.transactions = transactions;
            m.head.continues = true;
        } else {
            m.head.position_from = i == 0 ? s.next_position : earlier;
        }
        forge(&s, &m);
        expect_not_applied(&s, what[i]);
        cr_expect_gt(control_of(&s).epoch, s.origin.epoch, "%s asks for a new epoch", what[i]);
        scene_close(&s);
    }
}

Test(forged, what_contradicts_its_headers_is_passed_over)
{
    for (unsigned i = 0; i < 3; i++) {
        static const char *const what[] = {"another process id", "another epoch", "another nonce"};
        char nonce[17] = "feedfeedfeedfeed";
        struct scene s;
        scene_open(&s);
        struct message m = next_message(&s);
        if (i == 0) {
            m.head.process_id++;
        } else if (i == 1) {
            m.head.epoch++;
        } else {
            m.head.nonce = nonce;
        }
        forge(&s, &m);
        expect_not_applied(&s, what[i]);
        cr_expect_eq(control_of(&s).epoch, s.origin.epoch, "%s is nobody's trouble", what[i]);
        cr_expect_eq(world_state_int(&s.w->nodes[5], "broken"), 1, "%s", what[i]);
        cr_expect(world_state_is(&s.w->nodes[5], "warning", "could not be used", false), "%s",
                  what[i]);
        scene_close(&s);
    }
}
