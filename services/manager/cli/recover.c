/* recover: channels that nodes know and ZooKeeper does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "manager/cli/cli.h"
#include "model/channel.h"

static void list_text(const json_t *channels, struct lutra_buf *out)
{
    static const char *const headers[] = {"CHANNEL", "VERSION", "PIPELINES", "KNOWN BY", NULL};
    struct cli_table *table = cli_table_new(headers);
    const json_t *channel, *item;
    size_t i, k;

    json_array_foreach(channels, i, channel)
    {
        struct lutra_buf pipelines = {0}, nodes = {0};
        char version[24];

        json_array_foreach(json_object_get(channel, "pipelines"), k, item)
        {
            lutra_buf_printf(&pipelines, "%s%s", k > 0 ? "," : "", json_string_value(item));
        }
        json_array_foreach(json_object_get(channel, "nodes"), k, item)
        {
            lutra_buf_printf(&nodes, "%s%s (%lld)", k > 0 ? ", " : "",
                             json_string_value(json_object_get(item, "instance")),
                             (long long)json_integer_value(json_object_get(item, "version")));
        }
        snprintf(version, sizeof(version), "%lld",
                 (long long)json_integer_value(json_object_get(channel, "version")));
        cli_table_row(table, (const char *const[]){
                                 json_string_value(json_object_get(channel, "channel")), version,
                                 lutra_buf_cstr(&pipelines), lutra_buf_cstr(&nodes)});
        lutra_buf_fini(&pipelines);
        lutra_buf_fini(&nodes);
    }
    cli_table_end(table, out);
}

static int list(struct cli *cli)
{
    struct cli_answer answer;
    struct lutra_buf out = {0};
    const json_t *channels;
    int rc = CLI_OK;

    cli_client_call(cli->client, "GET", "/v1/recover", NULL, 0, true, &answer);
    channels = json_object_get(answer.body, "channels");
    if (answer.status != 200 || !json_is_array(channels)) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (!cli_is_human(cli)) {
        cli_print(cli, answer.body);
    } else if (json_array_size(channels) == 0) {
        printf("every channel that a node knows is known to ZooKeeper\n");
    } else {
        list_text(channels, &out);
        fputs(lutra_buf_cstr(&out), stdout);
        lutra_buf_fini(&out);
    }
    cli_answer_fini(&answer);
    return rc;
}

int cli_recover(struct cli *cli)
{
    const char *name = cli->options.words[0];
    LUTRA_AUTO_FREE char *target = NULL;
    struct cli_answer answer;
    json_t *body;
    int rc = CLI_OK;

    if (cli->options.n_words == 0) {
        return list(cli);
    }
    if (!cli_name_ok(name, "channel")) {
        return CLI_USAGE;
    }
    target = lutra_asprintf("/v1/recover/%s", name);
    body = json_pack("{s:s}", "by", cli->options.by);
    cli_client_post(cli->client, target, body, true, &answer);
    if (answer.status != 200) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (cli_is_human(cli)) {
        printf("%s: version %lld is in ZooKeeper again, from the cache of %s; it is stopped: "
               "lutractl start %s\n",
               name, (long long)json_integer_value(json_object_get(answer.body, "version")),
               json_string_value(json_object_get(answer.body, "from")), name);
    } else {
        cli_print(cli, answer.body);
    }
    cli_answer_fini(&answer);
    return rc;
}
