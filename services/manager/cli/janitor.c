/* janitor: what deleted pipelines left behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "manager/cli/cli.h"

static const char *text_of(const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item, key));

    return text != NULL ? text : "";
}

static bool is_meant(const struct cli *cli, const json_t *item)
{
    for (size_t i = 0; i < cli->options.n_words; i++) {
        if (strcmp(cli->options.words[i], text_of(item, "pipeline")) == 0) {
            return true;
        }
    }
    return cli->options.n_words == 0;
}

/* Those of the pipelines named, or all. */
static json_t *meant(const struct cli *cli, const json_t *items)
{
    json_t *some = json_array(), *item;
    size_t i;

    json_array_foreach(items, i, item)
    {
        if (is_meant(cli, item)) {
            json_array_append(some, item);
        }
    }
    return some;
}

static void print_items(const json_t *items)
{
    static const char *const headers[] = {"KIND", "NAME", "WHERE", "PIPELINE", NULL};
    struct cli_table *table = cli_table_new(headers);
    struct lutra_buf out = {0};
    const json_t *item;
    size_t i;

    json_array_foreach(items, i, item)
    {
        const char *where = text_of(item, "where"), *pipeline = text_of(item, "pipeline");

        cli_table_row(table, (const char *const[]){text_of(item, "kind"), text_of(item, "name"),
                                                   where[0] != '\0' ? where : NULL,
                                                   pipeline[0] != '\0' ? pipeline : NULL});
    }
    cli_table_end(table, &out);
    fputs(lutra_buf_cstr(&out), stdout);
    lutra_buf_fini(&out);
}

static void say_warnings(const json_t *body)
{
    const json_t *warning;
    size_t i;

    json_array_foreach(json_object_get(body, "warnings"), i, warning)
    {
        cli_say("%s", json_string_value(warning));
    }
}

static bool confirmed(const struct cli *cli, size_t n)
{
    char line[16] = "";

    if (cli->options.yes) {
        return true;
    }
    fprintf(stderr, "Remove these %zu for good? Type yes: ", n);
    return fgets(line, sizeof(line), stdin) != NULL && strcmp(line, "yes\n") == 0;
}

static int remove_them(struct cli *cli, json_t *items)
{
    json_t *body = json_pack("{s:O, s:s}", "items", items, "by", cli->options.by);
    struct cli_answer answer;
    const json_t *failure;
    size_t i;
    int rc = CLI_OK;

    cli_client_post(cli->client, "/v1/janitor/remove", body, true, &answer);
    if (answer.status != 200) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else {
        json_array_foreach(json_object_get(answer.body, "failed"), i, failure)
        {
            cli_say("%s: %s", text_of(json_object_get(failure, "item"), "name"),
                    text_of(failure, "error"));
            rc = CLI_FAILED;
        }
        if (cli_is_human(cli)) {
            printf("%zu removed\n", json_array_size(json_object_get(answer.body, "removed")));
        } else {
            cli_print(cli, answer.body);
        }
    }
    cli_answer_fini(&answer);
    return rc;
}

int cli_janitor(struct cli *cli)
{
    struct cli_answer answer;
    json_t *items;
    size_t n;
    int rc = CLI_OK;

    cli_client_call(cli->client, "GET", "/v1/janitor", NULL, 0, true, &answer);
    if (answer.status != 200) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
        cli_answer_fini(&answer);
        return rc;
    }
    items = meant(cli, json_object_get(answer.body, "items"));
    n = json_array_size(items);
    say_warnings(answer.body);
    if (!cli_is_human(cli) && !cli->options.remove) {
        json_object_set(answer.body, "items", items);
        cli_print(cli, answer.body);
    } else if (n == 0) {
        printf("nothing is left over\n");
    } else if (cli_is_human(cli)) {
        print_items(items);
    }
    if (cli->options.remove && n > 0) {
        if (confirmed(cli, n)) {
            rc = remove_them(cli, items);
        } else {
            cli_say("nothing is removed");
            rc = CLI_FAILED;
        }
    }
    json_decref(items);
    cli_answer_fini(&answer);
    return rc;
}
