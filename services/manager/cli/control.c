/* start, pause, stop, rollback, restart, delete. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "manager/cli/cli.h"
#include "model/channel.h"

enum { LOOK_MS = 250 };

/* ---- waiting ---- */

static const char *state_of(const json_t *pipeline)
{
    const char *state = json_string_value(json_object_get(pipeline, "state"));

    return state != NULL ? state : "UNKNOWN";
}

static bool has_owner(const json_t *pipeline)
{
    const json_t *owners = json_object_get(pipeline, "owners");

    return json_is_string(json_object_get(owners, "select")) ||
           json_is_string(json_object_get(owners, "load"));
}

static bool reached(const char *verb, const json_t *pipeline)
{
    const char *state = state_of(pipeline);

    if (strcmp(verb, "start") == 0) {
        return strcmp(state, "RUNNING") == 0;
    }
    if (strcmp(verb, "stop") == 0) {
        return strcmp(state, "STOPPED") == 0 && !has_owner(pipeline);
    }
    return strcmp(state, "PAUSED") == 0 &&
           json_integer_value(json_object_get(json_object_get(pipeline, "process"), "in_flight")) ==
               0;
}

/* Rolled back until an operator acts: waiting helps nobody. */
static bool hopeless(const char *verb, const json_t *pipeline)
{
    const json_t *control = json_object_get(pipeline, "control");

    return strcmp(verb, "start") == 0 && strcmp(state_of(pipeline), "ROLLED_BACK") == 0 &&
           json_integer_value(json_object_get(control, "retry_at_ms")) == 0;
}

int cli_wait_verdict(const char *verb, const json_t *channel, char *why, size_t why_len)
{
    const json_t *pipelines = json_object_get(channel, "pipelines");

    for (size_t i = 0; i < json_array_size(pipelines); i++) {
        const json_t *pipeline = json_array_get(pipelines, i);
        const char *name = json_string_value(json_object_get(pipeline, "pipeline"));
        const char *reason = json_string_value(json_object_get(pipeline, "reason"));

        if (!reached(verb, pipeline)) {
            snprintf(why, why_len, "pipeline %s is %s%s%s", name != NULL ? name : "?",
                     state_of(pipeline), reason != NULL && reason[0] != '\0' ? ": " : "",
                     reason != NULL ? reason : "");
            return hopeless(verb, pipeline) ? -1 : 0;
        }
    }
    snprintf(why, why_len, "%s", "");
    return json_array_size(pipelines) > 0;
}

static int wait_for(struct cli *cli, const char *verb, const char *channel)
{
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/v1/channels/%s/status", channel);
    uint64_t end_ms = lutra_clock_now_ms() + cli->options.wait_ms;
    char why[1024] = "";

    for (;;) {
        struct cli_answer answer;
        int verdict = 0;

        cli_client_call(cli->client, "GET", target, NULL, 0, false, &answer);
        if (answer.status == 200 && answer.body != NULL) {
            verdict = cli_wait_verdict(verb, answer.body, why, sizeof(why));
        } else {
            snprintf(why, sizeof(why), "%s", answer.message);
        }
        cli_answer_fini(&answer);
        if (verdict > 0) {
            return CLI_OK;
        }
        if (verdict < 0) {
            cli_say("%s", why);
            return CLI_FAILED;
        }
        if (lutra_clock_now_ms() >= end_ms) {
            cli_say("not within %" PRIu64 " ms: %s", cli->options.wait_ms, why);
            return CLI_FAILED;
        }
        cli_client_pause(cli->client, LOOK_MS);
    }
}

/* ---- the operator's wish ---- */

static int desired(struct cli *cli, const char *verb, const char *done)
{
    const char *name = cli->options.words[0];
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/v1/channels/%s/%s", name, verb);
    struct cli_answer answer;
    json_t *body;
    int rc = CLI_OK;

    if (!cli_name_ok(name, "channel")) {
        return CLI_USAGE;
    }
    body = json_pack("{s:s}", "by", cli->options.by);
    cli_client_post(cli->client, target, body, true, &answer);
    if (answer.status != 200 || answer.body == NULL) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else {
        if (cli->options.wait) {
            rc = wait_for(cli, verb, name);
        }
        if (rc == CLI_OK && !cli_is_human(cli)) {
            cli_print(cli, answer.body);
        } else if (rc == CLI_OK) {
            printf("channel %s %s\n", name, done);
        }
    }
    cli_answer_fini(&answer);
    return rc;
}

int cli_start(struct cli *cli)
{
    return desired(cli, "start", cli->options.wait ? "is running" : "is to run");
}

int cli_pause(struct cli *cli)
{
    return desired(cli, "pause", cli->options.wait ? "is paused" : "is to pause");
}

int cli_stop(struct cli *cli)
{
    return desired(cli, "stop", cli->options.wait ? "is stopped" : "is to stop");
}

/* ---- rollback, restart ---- */

static int request(struct cli *cli, const char *verb)
{
    const char *name = cli->options.words[0];
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/v1/pipelines/%s/%s", name, verb);
    struct cli_answer answer;
    json_t *body;
    int rc = CLI_OK;

    if (!cli_name_ok(name, "pipeline")) {
        return CLI_USAGE;
    }
    body = json_pack("{s:s, s:s, s:I}", "by", cli->options.by, "reason",
                     cli->options.reason != NULL ? cli->options.reason : "", "retry_after_ms",
                     (json_int_t)cli->options.retry_after_ms);
    cli_client_post(cli->client, target, body, false, &answer);
    if (answer.status != 200 || answer.body == NULL) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (!cli_is_human(cli)) {
        cli_print(cli, answer.body);
    } else {
        printf("pipeline %s: %s asked for, epoch %" JSON_INTEGER_FORMAT "\n", name, verb,
               json_integer_value(json_object_get(answer.body, "epoch")));
    }
    cli_answer_fini(&answer);
    return rc;
}

int cli_rollback(struct cli *cli)
{
    return request(cli, "rollback");
}

int cli_restart(struct cli *cli)
{
    return request(cli, "restart");
}

int cli_delete(struct cli *cli)
{
    const char *name = cli->options.words[0];
    LUTRA_AUTO_FREE char *by = cli_encode(cli->options.by);
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/v1/channels/%s?force=%s&topics=%s&by=%s", name,
                                                  cli->options.force ? "true" : "false",
                                                  cli->options.topics ? "true" : "false", by);
    struct cli_answer answer;
    int rc = CLI_OK;

    if (!cli_name_ok(name, "channel")) {
        return CLI_USAGE;
    }
    cli_client_call(cli->client, "DELETE", target, NULL, 0, false, &answer);
    if (answer.status != 200 || answer.body == NULL) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (!cli_is_human(cli)) {
        cli_print(cli, answer.body);
    } else {
        printf("channel %s deleted%s\n", name, cli->options.topics ? ", with its topics" : "");
    }
    cli_answer_fini(&answer);
    return rc;
}
