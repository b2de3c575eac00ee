/* media get, media switch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "manager/cli/cli.h"
#include "model/channel.h"

static bool key_ok(const char *key)
{
    if (lutra_group_key_valid(key)) {
        return true;
    }
    cli_say("\"%s\" is not a media group's key: expected [a-z0-9.-], at most 81", key);
    return false;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value != NULL ? value : "-";
}

static char *joined(const json_t *array, const char *key)
{
    struct lutra_buf out = {0};
    char *copy;

    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        const char *value = key != NULL ? text(item, key) : json_string_value(item);

        lutra_buf_printf(&out, "%s%s", i > 0 ? "," : "", value != NULL ? value : "?");
    }
    copy = lutra_strdup(lutra_buf_cstr(&out));
    lutra_buf_fini(&out);
    return copy;
}

void cli_media_text(const json_t *groups, struct lutra_buf *out)
{
    static const char *const headers[] = {"GROUP",    "PRIMARY", "MEMBERS", "FOLLOW",
                                          "CHANNELS", "BY",      NULL};
    struct cli_table *table = cli_table_new(headers);

    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        LUTRA_AUTO_FREE char *members = joined(json_object_get(group, "members"), "name");
        LUTRA_AUTO_FREE char *channels = joined(json_object_get(group, "channels"), NULL);
        const char *cells[] = {
            text(group, "group"), text(group, "primary"), members, text(group, "follow"), channels,
            text(group, "by")};

        cli_table_row(table, cells);
    }
    cli_table_end(table, out);
}

static int get(struct cli *cli)
{
    const char *key = cli->options.n_words > 1 ? cli->options.words[1] : NULL;
    LUTRA_AUTO_FREE char *target =
        lutra_asprintf("/v1/media%s%s", key != NULL ? "/" : "", key != NULL ? key : "");
    struct cli_answer answer;
    int rc = CLI_OK;

    if (key != NULL && !key_ok(key)) {
        return CLI_USAGE;
    }
    cli_client_call(cli->client, "GET", target, NULL, 0, true, &answer);
    if (answer.status != 200 || answer.body == NULL) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (!cli_is_human(cli)) {
        cli_print(cli, answer.body);
    } else {
        json_t *list = key != NULL ? json_pack("[O]", answer.body)
                                   : json_incref(json_object_get(answer.body, "groups"));
        struct lutra_buf out = {0};

        cli_media_text(list, &out);
        fputs(lutra_buf_cstr(&out), stdout);
        lutra_buf_fini(&out);
        json_decref(list);
    }
    cli_answer_fini(&answer);
    return rc;
}

static int switch_to(struct cli *cli)
{
    const char *key = cli->options.words[1], *member = cli->options.words[2];
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/v1/media/%s/switch", key);
    struct cli_answer answer;
    json_t *body;
    int rc = CLI_OK;

    if (!key_ok(key)) {
        return CLI_USAGE;
    }
    body = json_pack("{s:s, s:s}", "to", member, "by", cli->options.by);
    cli_client_post(cli->client, target, body, true, &answer);
    if (answer.status != 200 || answer.body == NULL) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (!cli_is_human(cli)) {
        cli_print(cli, answer.body);
    } else if (strcmp(text(answer.body, "result"), "unchanged") == 0) {
        printf("media group %s: the primary is %s already\n", key, member);
    } else {
        printf("media group %s: switched from %s to %s\n", key, text(answer.body, "from"), member);
    }
    cli_answer_fini(&answer);
    return rc;
}

int cli_media(struct cli *cli)
{
    const struct cli_options *options = &cli->options;

    if (strcmp(options->words[0], "get") == 0 && options->n_words <= 2) {
        return get(cli);
    }
    if (strcmp(options->words[0], "switch") == 0 && options->n_words == 3) {
        return switch_to(cli);
    }
    cli_say("media: expected get [KEY], or switch KEY MEMBER\nSee: lutractl media --help");
    return CLI_USAGE;
}
