#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

#include "manager/cli/cli.h"

static struct cli_options options;

/* Splits a line by blanks. */
static int parse(const char *line)
{
    static char text[256];
    char *argv[32] = {"lutractl"};
    int argc = 1;

    snprintf(text, sizeof(text), "%s", line);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    return cli_options_parse(argc, argv, &options);
}

Test(cli_options, verbs_and_their_words)
{
    cr_assert_eq(parse("status"), CLI_OK);
    cr_assert_str_eq(options.verb, "status");
    cr_assert_eq(options.n_words, 0);
    cr_assert_eq(parse("start orders"), CLI_OK);
    cr_assert_str_eq(options.words[0], "orders");
    cr_assert_eq(parse("-m a:1,b:2 get -o json orders"), CLI_OK);
    cr_assert_str_eq(options.managers, "a:1,b:2");
    cr_assert_eq(options.format, CLI_JSON);
    cr_assert_str_eq(options.words[0], "orders");
    cr_assert_eq(parse("get -- -x"), CLI_OK);
    cr_assert_str_eq(options.words[0], "-x");
}

Test(cli_options, values_in_every_form)
{
    cr_assert_eq(parse("apply -f a.yaml --file=b.yaml -fc.yaml -f -"), CLI_OK);
    cr_assert_eq(options.n_files, 4);
    cr_assert_str_eq(options.files[1], "b.yaml");
    cr_assert_str_eq(options.files[2], "c.yaml");
    cr_assert_str_eq(options.files[3], "-");
    cr_assert_eq(parse("rollback p --reason=why --retry-after 10m"), CLI_OK);
    cr_assert_str_eq(options.reason, "why");
    cr_assert_eq(options.retry_after_ms, 600000);
    cr_assert_eq(parse("status --watch --interval 250ms --exit-code"), CLI_OK);
    cr_assert_eq(options.interval_ms, 250);
    cr_assert(options.watch && options.exit_code);
    cr_assert_eq(parse("delete c --force --topics"), CLI_OK);
    cr_assert(options.force && options.topics);
}

Test(cli_options, waiting_takes_a_time_or_none)
{
    cr_assert_eq(parse("start orders --wait"), CLI_OK);
    cr_assert(options.wait);
    cr_assert_eq(options.wait_ms, 60000);
    cr_assert_eq(parse("start --wait 30s orders"), CLI_OK);
    cr_assert_eq(options.wait_ms, 30000);
    cr_assert_str_eq(options.words[0], "orders");
    cr_assert_eq(parse("start --wait=5m orders"), CLI_OK);
    cr_assert_eq(options.wait_ms, 300000);
    cr_assert_eq(parse("start --wait orders"), CLI_OK);
    cr_assert_str_eq(options.words[0], "orders");
}

/* Nobody's name is dropped in silence: what JSON cannot carry is refused, whatever the verb. */
Test(cli_options, who_asks_and_why_are_utf_8, .init = cr_redirect_stderr)
{
    static const char *const verbs[] = {
        "apply -f a.yaml", "start c",  "pause c",          "stop c",    "rollback p", "restart p",
        "warn p",          "delete c", "media switch k m", "recover c", "janitor",    NULL,
    };
    char line[128];

    for (size_t i = 0; verbs[i] != NULL; i++) {
        snprintf(line, sizeof(line), "%s --by J\xc3\xb6rg", verbs[i]);
        cr_expect_eq(parse(line), CLI_OK, "%s", verbs[i]);
        cr_expect_str_eq(options.by, "J\xc3\xb6rg");
        snprintf(line, sizeof(line), "%s --by J\xf6rg", verbs[i]);
        cr_expect_eq(parse(line), CLI_USAGE, "%s", verbs[i]);
    }
    cr_expect_eq(parse("rollback p --reason=\xff"), CLI_USAGE);
    cr_expect_eq(parse("media switch k m\xff"), CLI_USAGE);
}

Test(cli_options, what_is_wrong_is_usage)
{
    static const char *const lines[] = {
        "",
        "nonsense",
        "start",
        "start a b",
        "status --force",
        "apply -f",
        "status --watch=1",
        "status -o xml",
        "status --interval often",
        "rollback p --retry-after -5s",
        "start a --wait=never",
        "-x",
        "get --",
    };

    cr_redirect_stderr();
    for (size_t i = 0; i + 1 < sizeof(lines) / sizeof(lines[0]); i++) {
        cr_assert_eq(parse(lines[i]), CLI_USAGE, "\"%s\"", lines[i]);
    }
    cr_assert_eq(parse("get --"), CLI_OK);
}

Test(cli_options, a_slip_of_the_hand_is_answered)
{
    cr_redirect_stderr();
    cr_assert_eq(parse("stats"), CLI_USAGE);
    cr_assert_stderr_eq_str("lutractl: unknown command: stats; did you mean status?\n"
                            "See: lutractl --help\n");
}

Test(cli_options, every_verb_has_help_and_an_example_that_parses)
{
    for (const struct cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        char line[128];

        cr_assert_not_null(verb->summary);
        cr_assert(strstr(verb->example, verb->name) != NULL, "%s", verb->name);
        snprintf(line, sizeof(line), "%s --help", verb->name);
        cr_assert_eq(parse(line), CLI_OK);
        cr_assert(options.help);
        cr_assert_str_eq(options.verb, verb->name);
    }
}
