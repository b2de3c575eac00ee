/* apply and get. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "manager/cli/cli.h"
#include "model/channel.h"

enum { MAX_FILE_BYTES = 1024 * 1024 };

static int read_file(const char *path, struct lutra_buf *text)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char chunk[8192];
    size_t n;
    int rc = CLI_OK;

    if (file == NULL) {
        cli_say("%s: %s", path, strerror(errno));
        return CLI_FAILED;
    }
    while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0 && text->len <= MAX_FILE_BYTES) {
        lutra_buf_append(text, chunk, n);
    }
    if (ferror(file)) {
        cli_say("%s: %s", path, strerror(errno));
        rc = CLI_FAILED;
    } else if (text->len > MAX_FILE_BYTES) {
        cli_say("%s: larger than 1 MiB", path);
        rc = CLI_REFUSED;
    }
    if (file != stdin) {
        fclose(file);
    }
    return rc;
}

/* What would happen, by comparing with what stands there. */
static int dry_run(struct cli *cli, const struct lutra_channel *wanted, json_t **result)
{
    struct lutra_channel *present = NULL;
    struct lutra_error err = {0};
    struct cli_answer answer;
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/v1/channels/%s", wanted->name);
    const char *word = "created";
    uint64_t version = 1;
    char *text;

    cli_client_call(cli->client, "GET", target, NULL, 0, true, &answer);
    if (answer.status != 200 && answer.status != 404) {
        int rc = cli_answer_failed(&answer, CLI_FAILED);

        cli_answer_fini(&answer);
        return rc;
    }
    if (answer.status == 200) {
        text = json_dumps(answer.body, JSON_COMPACT);
        present = lutra_channel_parse(text != NULL ? text : "", text != NULL ? strlen(text) : 0,
                                      wanted->name, &err);
        free(text);
        word = present != NULL && lutra_channel_same(present, wanted) ? "unchanged" : "changed";
        version = present != NULL ? present->version + (word[0] == 'c') : 0;
        lutra_channel_free(present);
    }
    cli_answer_fini(&answer);
    *result =
        json_pack("{s:s, s:I, s:b}", "result", word, "version", (json_int_t)version, "dry_run", 1);
    return CLI_OK;
}

static int put(struct cli *cli,
               const struct lutra_channel *wanted,
               const struct lutra_buf *text,
               json_t **result)
{
    LUTRA_AUTO_FREE char *by = cli_encode(cli->options.by);
    LUTRA_AUTO_FREE char *target = lutra_asprintf("/v1/channels/%s?by=%s", wanted->name, by);
    struct cli_answer answer;
    int rc = CLI_OK;

    cli_client_call(cli->client, "PUT", target, (const char *)text->data, text->len, true, &answer);
    if (answer.status == 200 && answer.body != NULL) {
        *result = json_incref(answer.body);
    } else {
        rc = cli_answer_failed(&answer, CLI_REFUSED);
    }
    cli_answer_fini(&answer);
    return rc;
}

static int apply_one(struct cli *cli, const char *path, json_t *results)
{
    const char *name = strcmp(path, "-") == 0 ? "<stdin>" : path;
    struct lutra_buf text = {0};
    struct lutra_error err = {0};
    struct lutra_channel *wanted = NULL;
    json_t *result = NULL;
    int rc = read_file(path, &text);

    if (rc == CLI_OK) {
        wanted = lutra_channel_parse((const char *)text.data, text.len, name, &err);
        if (wanted == NULL) {
            cli_say("%s", err.msg);
            rc = CLI_REFUSED;
        }
    }
    if (rc == CLI_OK) {
        rc =
            cli->options.dry_run ? dry_run(cli, wanted, &result) : put(cli, wanted, &text, &result);
    }
    if (rc == CLI_OK) {
        json_object_set_new(result, "channel", json_string(wanted->name));
        if (cli->options.format == CLI_DEFAULT || cli->options.format == CLI_TABLE) {
            printf("channel %s %s%s, version %" JSON_INTEGER_FORMAT "\n", wanted->name,
                   cli->options.dry_run ? "would be " : "",
                   json_string_value(json_object_get(result, "result")),
                   json_integer_value(json_object_get(result, "version")));
        }
        json_array_append(results, result);
    }
    json_decref(result);
    lutra_channel_free(wanted);
    lutra_buf_fini(&text);
    return rc;
}

int cli_apply(struct cli *cli)
{
    json_t *results = json_array();
    int rc = CLI_OK;

    if (cli->options.n_files == 0) {
        cli_say("which file? lutractl apply -f channel.yaml");
        json_decref(results);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < cli->options.n_files && rc == CLI_OK; i++) {
        rc = apply_one(cli, cli->options.files[i], results);
    }
    if (cli->options.format == CLI_JSON || cli->options.format == CLI_YAML) {
        cli_print(cli, cli->options.n_files == 1 && json_array_size(results) == 1
                           ? json_array_get(results, 0)
                           : results);
    }
    json_decref(results);
    return rc;
}

static void print_list(const json_t *channels)
{
    static const char *const headers[] = {"CHANNEL", "VERSION", "PIPELINES", "DESCRIPTION", NULL};
    struct cli_table *table = cli_table_new(headers);
    struct lutra_buf out = {0};

    for (size_t i = 0; i < json_array_size(channels); i++) {
        const json_t *channel = json_array_get(channels, i);
        const json_t *pipelines = json_object_get(channel, "pipelines");
        struct lutra_buf names = {0};
        char version[32];

        for (size_t k = 0; k < json_array_size(pipelines); k++) {
            const char *name =
                json_string_value(json_object_get(json_array_get(pipelines, k), "name"));

            lutra_buf_printf(&names, "%s%s", k > 0 ? "," : "", name != NULL ? name : "?");
        }
        snprintf(version, sizeof(version), "%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(channel, "version")));
        const char *cells[] = {json_string_value(json_object_get(channel, "channel")), version,
                               lutra_buf_cstr(&names),
                               json_string_value(json_object_get(channel, "description"))};

        cli_table_row(table, cells);
        lutra_buf_fini(&names);
    }
    cli_table_end(table, &out);
    fwrite(out.data, 1, out.len, stdout);
    lutra_buf_fini(&out);
}

int cli_get(struct cli *cli)
{
    const char *name = cli->options.n_words > 0 ? cli->options.words[0] : NULL;
    LUTRA_AUTO_FREE char *target =
        lutra_asprintf("/v1/channels%s%s", name != NULL ? "/" : "", name != NULL ? name : "");
    struct cli_answer answer;
    int rc = CLI_OK;

    if (name != NULL && !cli_name_ok(name, "channel")) {
        return CLI_USAGE;
    }
    cli_client_call(cli->client, "GET", target, NULL, 0, false, &answer);
    if (answer.status != 200 || answer.body == NULL) {
        rc = cli_answer_failed(&answer, CLI_FAILED);
    } else if (name == NULL &&
               (cli->options.format == CLI_DEFAULT || cli->options.format == CLI_TABLE)) {
        print_list(json_object_get(answer.body, "channels"));
    } else {
        if (cli->options.format != CLI_JSON) {
            cli->options.format = CLI_YAML;
        }
        cli_print(cli, answer.body);
    }
    cli_answer_fini(&answer);
    return rc;
}
