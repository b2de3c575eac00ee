#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "manager/cli/cli.h"

static char why[512];

static int verdict(const char *verb, const char *state, const char *more)
{
    char text[512];
    json_t *channel;
    int rc;

    snprintf(text, sizeof(text),
             "{\"pipelines\":[{\"pipeline\":\"p\",\"state\":\"%s\",\"reason\":\"because\"%s}]}",
             state, more);
    channel = json_loads(text, 0, NULL);
    cr_assert_not_null(channel, "%s", text);
    rc = cli_wait_verdict(verb, channel, why, sizeof(why));
    json_decref(channel);
    return rc;
}

Test(cli_wait, start)
{
    cr_assert_eq(verdict("start", "RUNNING", ""), 1);
    cr_assert_eq(verdict("start", "STARTING", ""), 0);
    cr_assert_str_eq(why, "pipeline p is STARTING: because");
    cr_assert_eq(verdict("start", "STALLED", ""), 0);
    cr_assert_eq(verdict("start", "ROLLED_BACK", ",\"control\":{\"retry_at_ms\":5}"), 0);
    cr_assert_eq(verdict("start", "ROLLED_BACK", ",\"control\":{\"retry_at_ms\":0}"), -1);
}

Test(cli_wait, stop_means_that_nobody_owns_it)
{
    cr_assert_eq(verdict("stop", "STOPPED", ",\"owners\":{\"select\":\"s\",\"load\":null}"), 0);
    cr_assert_eq(verdict("stop", "STOPPED", ",\"owners\":{\"select\":null,\"load\":null}"), 1);
    cr_assert_eq(verdict("stop", "RUNNING", ""), 0);
}

Test(cli_wait, pause_means_that_nothing_is_in_flight)
{
    cr_assert_eq(verdict("pause", "PAUSED", ",\"process\":{\"in_flight\":2}"), 0);
    cr_assert_eq(verdict("pause", "PAUSED", ",\"process\":{\"in_flight\":0}"), 1);
}

Test(cli_wait, a_channel_without_pipelines_is_not_there_yet)
{
    json_t *channel = json_loads("{\"pipelines\":[]}", 0, NULL);

    cr_assert_eq(cli_wait_verdict("start", channel, why, sizeof(why)), 0);
    json_decref(channel);
}
