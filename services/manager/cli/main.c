/* lutractl: see cli.h. */
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/yaml.h"
#include "manager/cli/cli.h"

static void print_overview(void)
{
    printf("lutractl: channels of Lutra, from the command line\n\n"
           "Usage: lutractl COMMAND [ARGUMENT] [OPTION...]\n\nCommands:\n");
    for (const struct cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        printf("  %-9s %-11s %s\n", verb->name, verb->words, verb->summary);
    }
    printf("\nOptions of all commands:\n");
    cli_options_print(CLI_OPT_COMMON);
    printf("\nExit status: 0 done, 1 failed, 2 usage, 10 a pipeline is not RUNNING (status "
           "--exit-code),\n69 no manager can be reached, 75 try again later, 78 definition "
           "refused.\n\nExample: lutractl apply -f channel.yaml && lutractl start orders --wait\n");
}

static void print_help(const struct cli_verb *verb)
{
    printf("lutractl %s: %s\n\nUsage: lutractl %s%s%s [OPTION...]\n", verb->name, verb->summary,
           verb->name, verb->words[0] != '\0' ? " " : "", verb->words);
    if (verb->help[0] != '\0') {
        printf("\n%s\n", verb->help);
    }
    printf("\nOptions:\n");
    cli_options_print(verb->options);
    cli_options_print(CLI_OPT_COMMON);
    printf("\nExample: %s\n", verb->example);
}

static int help(const struct cli_options *options)
{
    const char *name = options->verb;
    const struct cli_verb *verb;

    if (name != NULL && strcmp(name, "help") == 0) {
        name = options->n_words > 0 ? options->words[0] : NULL;
    }
    if (name == NULL) {
        print_overview();
        return CLI_OK;
    }
    verb = cli_verb_find(name);
    if (verb == NULL) {
        cli_say("unknown command: %s; see lutractl --help", name);
        return CLI_USAGE;
    }
    print_help(verb);
    return CLI_OK;
}

static int version(const struct cli *cli)
{
    if (cli->options.format == CLI_JSON || cli->options.format == CLI_YAML) {
        json_t *body = json_pack("{s:s}", "version", LUTRA_VERSION);

        cli_print(cli, body);
        json_decref(body);
    } else {
        printf("lutractl %s\n", LUTRA_VERSION);
    }
    return CLI_OK;
}

/* user@host, for the history. */
static const char *who(char *buf, size_t size)
{
    const struct passwd *user = getpwuid(getuid());
    char host[64] = "";

    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    snprintf(buf, size, "%s@%s", user != NULL ? user->pw_name : "operator", host);
    return cli_is_utf8(buf) ? buf : "operator";
}

static int run(struct cli *cli)
{
    const struct cli_verb *verb = cli_verb_find(cli->options.verb);
    struct lutra_error err = {0};
    int rc;

    cli->client = cli_client_new(cli->options.managers, &err);
    if (cli->client == NULL) {
        cli_say("%s", err.msg);
        return CLI_USAGE;
    }
    rc = verb->run(cli);
    cli_client_free(cli->client);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        cli_say("standard output cannot be written");
        return CLI_FAILED;
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    char by[64];
    int rc = cli_options_parse(argc, argv, &cli.options);

    if (rc != CLI_OK) {
        return rc;
    }
    signal(SIGPIPE, SIG_IGN);
    lutra_log_setup("lutractl", "", LUTRA_LOG_ERROR, 0);
    if (cli.options.version || (cli.options.verb != NULL &&
                                strcmp(cli.options.verb, "version") == 0 && !cli.options.help)) {
        return version(&cli);
    }
    if (cli.options.help || strcmp(cli.options.verb, "help") == 0) {
        return help(&cli.options);
    }
    if (cli.options.by == NULL) {
        cli.options.by = who(by, sizeof(by));
    }
    return run(&cli);
}
