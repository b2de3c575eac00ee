/* A target on the shared server, with a pipeline and a schema of its own. Included by each test
 * file: set_up and tear_down are for its TestSuite. */
#ifndef LUTRA_TEST_TARGET_FIXTURE_H
#define LUTRA_TEST_TARGET_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batches.h"
#include "support/sql.h"
#include "support/stack.h"
#include "support/test.h"
#include "target_sync.h"

static struct lutra_loop *loop;
static struct lutra_sql *sql;
static struct lutra_target *target;
static char *schema, *pipeline;
static uint64_t fence;
static uint64_t units[LUTRA_RING_SLOTS], last_unit;

static struct lutra_endpoint endpoint_of(const char *socket, const char *user)
{
    return (struct lutra_endpoint){.name = (char *)(uintptr_t) "target",
                                   .flavor = LUTRA_FLAVOR_MARIADB,
                                   .socket = (char *)(uintptr_t)socket,
                                   .user = (char *)(uintptr_t)user};
}

static __attribute__((unused)) struct lutra_target *
target_as(const char *socket, const char *user, bool allow_triggers)
{
    struct lutra_endpoint endpoint = endpoint_of(socket, user);
    char any[] = "*";
    struct lutra_pair pair = {.source_schema = any,
                              .source_table = any,
                              .target_schema = any,
                              .target_table = any,
                              .allow_triggers = allow_triggers};
    struct lutra_pipeline_def def = {.n_pairs = 1, .pairs = &pair};
    return lutra_target_mysql_new(loop, &endpoint, pipeline, &def);
}

static struct lutra_target *another_target(void)
{
    return target_as(lutra_test_stack()->target.socket, "root", false);
}

static __attribute__((unused)) void set_up(void)
{
    struct lutra_error err = {0};
    loop = lutra_loop_new();
    sql = lutra_sql_open(lutra_test_stack()->target.socket);
    schema = lutra_test_unique("db");
    pipeline = lutra_test_unique("p");
    lutra_sql_exec(sql, "CREATE DATABASE `%s`; USE `%s`", schema, schema);
    target = another_target();
    cr_assert_eq(sync_prepare(loop, target, &err), LUTRA_OK, "%s", err.msg);
    fence = sync_epoch(loop, target, 0, 0, &err);
    cr_assert_eq(fence, 1, "%s", err.msg);
}

static __attribute__((unused)) void tear_down(void)
{
    lutra_target_free(target);
    lutra_sql_exec(sql, "DROP DATABASE `%s`; DELETE FROM lutra.checkpoint WHERE pipeline='%s'",
                   schema, pipeline);
    lutra_sql_close(sql);
    lutra_loop_free(loop);
}

/* The next unit of this test: one batch, which is freed. */
static __attribute__((unused)) enum lutra_error_class run_unit(struct batch *batch,
                                                               struct lutra_error *err)
{
    uint64_t unit = last_unit + 1, *slot = &units[unit % LUTRA_RING_SLOTS];
    enum lutra_error_class class =
        sync_unit(loop, target, fence, unit, *slot, batch_get(batch), err);
    if (class == LUTRA_OK) {
        *slot = last_unit = unit;
    }
    batch_free(batch);
    return class;
}

static __attribute__((unused)) void expect_unit(struct batch *batch)
{
    struct lutra_error err = {0};
    enum lutra_error_class class = run_unit(batch, &err);
    cr_assert_eq(class, LUTRA_OK, "%s: %s", lutra_error_class_name(class), err.msg);
}

/* The one value of a query. */
static __attribute__((unused)) void expect_text(const char *query, const char *expected)
{
    char *text = lutra_sql_text(sql, "%s", query);
    cr_expect_str_eq(text ? text : "NULL", expected, "%s: %s", query, text ? text : "NULL");
    free(text);
}

#endif
