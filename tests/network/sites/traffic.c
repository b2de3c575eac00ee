#include "traffic.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"

enum { ACCOUNTS = 10, MONEY = 1000 * ACCOUNTS, STEP_PAUSES = 2, LOOK_EVERY_MS = 50 };

void traffic_tables(struct sites *s)
{
    cluster_both(&s->c, "CREATE TABLE bank (id INT PRIMARY KEY, balance BIGINT NOT NULL);"
                        "CREATE TABLE bag (a INT, b VARCHAR(20));"
                        "CREATE TABLE versions (id INT PRIMARY KEY, v BIGINT)");
    /* Written by a trigger, in the unit's own transaction, while it holds its slot: in the order in
     * which units and fences took the slots. Not in the pipeline's database. */
    lutra_sql_exec(s->c.target,
                   "CREATE DATABASE audit; CREATE TABLE audit.units (n BIGINT AUTO_INCREMENT "
                   "PRIMARY KEY, slot INT, fence BIGINT, epoch BIGINT, unit BIGINT) ENGINE=InnoDB");
}

static void audit_begin(struct traffic *t)
{
    lutra_sql_exec(t->s->c.target,
                   "CREATE TRIGGER lutra.audit AFTER UPDATE ON lutra.checkpoint FOR EACH ROW "
                   "INSERT INTO audit.units (slot, fence, epoch, unit) VALUES (NEW.slot, "
                   "NEW.fence, NEW.epoch, NEW.unit)");
}

void traffic_start(struct traffic *t, struct sites *s)
{
    *t = (struct traffic){.s = s};
    audit_begin(t);
    lutra_sql_exec(s->c.source, "BEGIN");
    for (int i = 0; i < ACCOUNTS; i++) {
        lutra_sql_exec(s->c.source, "INSERT INTO bank VALUES (%d, %d)", i, MONEY / ACCOUNTS);
    }
    lutra_sql_exec(s->c.source, "INSERT INTO versions VALUES (1, 0); COMMIT");
    cluster_sync(&s->c, 60000);
    t->moved_ms = lutra_test_now_ms();
    traffic_look(t);
}

void traffic_look(struct traffic *t)
{
    long long money, version, rows, epoch, fence;
    /* One statement, one snapshot. */
    char *seen = lutra_sql_text(
        t->s->c.target,
        "SELECT CONCAT_WS(' ', (SELECT SUM(balance) FROM bank), (SELECT v FROM versions), (SELECT "
        "COUNT(*) FROM bag), (SELECT MAX(epoch) FROM lutra.checkpoint WHERE pipeline = '%s'), "
        "(SELECT MAX(fence) FROM lutra.checkpoint WHERE pipeline = '%s'))",
        t->s->c.name, t->s->c.name);
    if (sscanf(seen, "%lld %lld %lld %lld %lld", &money, &version, &rows, &epoch, &fence) != 5) {
        lutra_test_fail("the target shows \"%s\"", seen);
    }
    free(seen);
    cr_assert_eq(money, MONEY, "a transfer is torn: %lld", money);
    cr_assert_eq(rows, 2 * version, "version %lld and %lld rows: torn, lost or twice", version,
                 rows);
    cr_assert_geq(version, t->version, "time ran back");
    cr_assert_geq(epoch, t->epoch, "the epoch fell");
    cr_assert_geq(fence, t->fence, "the fence fell");
    t->looked_ms = lutra_test_now_ms();
    if (version > t->version) {
        t->moved_ms = t->looked_ms;
    }
    t->version = version;
    t->epoch = epoch;
    t->fence = fence;
    t->looks++;
}

void traffic_step(struct traffic *t)
{
    int from = (int)(t->n % ACCOUNTS), to = (int)((t->n * 7 + 3) % ACCOUNTS);
    t->n++;
    lutra_sql_exec(t->s->c.source,
                   "BEGIN; UPDATE bank SET balance = balance - %lld WHERE id = %d;"
                   "INSERT INTO bag VALUES (%lld, 'same'), (%lld, 'same');"
                   "UPDATE bank SET balance = balance + %lld WHERE id = %d;"
                   "UPDATE versions SET v = v + 1; COMMIT",
                   (long long)(t->n % 17), from, (long long)(t->n % 7), (long long)(t->n % 7),
                   (long long)(t->n % 17), to);
    for (int i = 0; i < STEP_PAUSES; i++) {
        lutra_test_poll_pause();
    }
    if (lutra_test_now_ms() - t->looked_ms >= LOOK_EVERY_MS) {
        traffic_look(t);
    }
}

void traffic_for(struct traffic *t, uint64_t ms)
{
    uint64_t end_ms = lutra_test_now_ms() + ms;
    while (lutra_test_now_ms() < end_ms) {
        traffic_step(t);
    }
}

uint64_t traffic_until(struct traffic *t, int64_t version, uint64_t deadline_ms)
{
    uint64_t began_ms = lutra_test_now_ms();
    uint64_t end_ms = began_ms + lutra_test_scaled_ms(deadline_ms);
    while (t->version < version) {
        if (lutra_test_now_ms() >= end_ms) {
            return UINT64_MAX;
        }
        traffic_step(t);
    }
    return lutra_test_now_ms() - began_ms;
}

void traffic_equal(struct traffic *t, uint64_t deadline_ms)
{
    static const char *const tables[] = {"bank", "bag", "versions", "marker"};
    cluster_sync(&t->s->c, deadline_ms);
    traffic_look(t);
    cr_assert_eq(t->version, t->n);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        cluster_equal(&t->s->c, tables[i]);
    }
    cr_assert_gt(lutra_sql_int(t->s->c.target, "SELECT COUNT(*) FROM audit.units"), 0,
                 "the audit saw nothing");
    cr_assert_eq(lutra_sql_int(t->s->c.target,
                               "SELECT COUNT(*) FROM (SELECT fence, MAX(fence) OVER (ORDER BY n) "
                               "AS highest FROM audit.units) AS u WHERE fence < highest"),
                 0, "a unit was committed under an older fence");
}
