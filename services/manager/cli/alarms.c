/* alarms, warn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "manager/cli/cli.h"
#include "model/channel.h"

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

void cli_alarms_text(const json_t *alarms, struct lutra_buf *out)
{
    static const char *const headers[] = {"SINCE", "KIND", "SUBJECT", "NAME", "TEXT", NULL};
    struct cli_table *table = cli_table_new(headers);

    for (size_t i = 0; i < json_array_size(alarms); i++) {
        const json_t *alarm = json_array_get(alarms, i);
        char when[32];
        const char *cells[] = {
            lutra_clock_format_us(json_integer_value(json_object_get(alarm, "raised_ms")) * 1000,
                                  when),
            text_at(alarm, "kind"),
            text_at(alarm, "subject"),
            text_at(alarm, "name"),
            text_at(alarm, "text"),
        };

        cli_table_row(table, cells);
    }
    cli_table_end(table, out);
}

static int clear(struct cli *cli)
{
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/v1/alarms/%s", cli->options.clear);
    struct cli_answer answer;
    int rc = CLI_OK;

    cli_client_call(cli->client, "DELETE", target, NULL, 0, true, &answer);
    if (answer.status != 200 || answer.body == NULL) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (!cli_is_human(cli)) {
        cli_print(cli, answer.body);
    } else {
        printf("alarm %s cleared\n", cli->options.clear);
    }
    cli_answer_fini(&answer);
    return rc;
}

int cli_alarms(struct cli *cli)
{
    struct cli_answer answer;
    struct lutra_buf out = {0};
    const json_t *alarms;
    int rc = CLI_OK;

    if (cli->options.clear != NULL) {
        return clear(cli);
    }
    cli_client_call(cli->client, "GET", "/v1/alarms", NULL, 0, false, &answer);
    alarms = json_object_get(answer.body, "alarms");
    if (answer.status != 200 || alarms == NULL) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (!cli_is_human(cli)) {
        cli_print(cli, answer.body);
    } else if (json_array_size(alarms) == 0) {
        cli_say("no alarm");
    } else {
        cli_alarms_text(alarms, &out);
        fwrite(out.data, 1, out.len, stdout);
        lutra_buf_fini(&out);
    }
    cli_answer_fini(&answer);
    return rc;
}

int cli_warn(struct cli *cli)
{
    const char *name = cli->options.words[0];
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/v1/pipelines/%s/warning", name);
    struct cli_answer answer;
    json_t *body;
    int rc = CLI_OK;

    if (!cli_name_ok(name, "pipeline")) {
        return CLI_USAGE;
    }
    if (cli->options.reason == NULL || cli->options.reason[0] == '\0') {
        cli_say("--reason is missing: what is to be told");
        return CLI_USAGE;
    }
    body = json_pack("{s:s, s:s}", "by", cli->options.by, "reason", cli->options.reason);
    cli_client_post(cli->client, target, body, true, &answer);
    if (answer.status != 200 || answer.body == NULL) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (!cli_is_human(cli)) {
        cli_print(cli, answer.body);
    } else {
        printf("pipeline %s: warning %s; lutractl alarms --clear %s-warning ends it\n", name,
               text_at(answer.body, "result"), name);
    }
    cli_answer_fini(&answer);
    return rc;
}
