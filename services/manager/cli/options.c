/* The command line: one table of options; every verb says which it takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "base/yaml.h"
#include "manager/cli/cli.h"
#include "model/json_text.h"

enum id {
    ID_MANAGER,
    ID_OUTPUT,
    ID_HELP,
    ID_VERSION,
    ID_FILE,
    ID_DRY_RUN,
    ID_WATCH,
    ID_INTERVAL,
    ID_EXIT_CODE,
    ID_EVENTS,
    ID_WAIT,
    ID_REASON,
    ID_RETRY_AFTER,
    ID_FORCE,
    ID_TOPICS,
    ID_BY,
    ID_CLEAR,
    ID_REMOVE,
    ID_YES,
};
enum argument { NONE, REQUIRED, OPTIONAL_DURATION };

static const struct option_row {
    enum id id;
    const char *name;
    char letter; /* 0: none */
    enum argument argument;
    const char *placeholder, *help;
    unsigned bits;
} rows[] = {
    {ID_MANAGER, "--manager", 'm', REQUIRED, "HOST:PORT,...",
     "managers to try in this order; default: LUTRA_MANAGER, then 127.0.0.1:8640", CLI_OPT_COMMON},
    {ID_OUTPUT, "--output", 'o', REQUIRED, "FORMAT", "table, json or yaml", CLI_OPT_COMMON},
    {ID_HELP, "--help", 'h', NONE, NULL, "this", CLI_OPT_COMMON},
    {ID_VERSION, "--version", 0, NONE, NULL, "the version of lutractl", CLI_OPT_COMMON},
    {ID_FILE, "--file", 'f', REQUIRED, "FILE",
     "definition (YAML or JSON), - is standard input; "
     "may be given more than once",
     CLI_OPT_FILE},
    {ID_DRY_RUN, "--dry-run", 0, NONE, NULL, "only say what would happen", CLI_OPT_FILE},
    {ID_WATCH, "--watch", 'w', NONE, NULL, "again and again, until interrupted", CLI_OPT_WATCH},
    {ID_INTERVAL, "--interval", 0, REQUIRED, "DURATION", "of --watch, default 1s", CLI_OPT_WATCH},
    {ID_EXIT_CODE, "--exit-code", 0, NONE, NULL, "exit status 10 unless every pipeline is RUNNING",
     CLI_OPT_EXIT_CODE},
    {ID_EVENTS, "--events", 0, NONE, NULL, "also what happened lately", CLI_OPT_EXIT_CODE},
    {ID_WAIT, "--wait", 0, OPTIONAL_DURATION, "[DURATION]",
     "wait until it is so, at most that long (default 60s)", CLI_OPT_WAIT},
    {ID_REASON, "--reason", 0, REQUIRED, "TEXT", "shown in status and history", CLI_OPT_REASON},
    {ID_RETRY_AFTER, "--retry-after", 0, REQUIRED, "DURATION",
     "start again by itself after that; default: when an operator starts it", CLI_OPT_RETRY},
    {ID_FORCE, "--force", 0, NONE, NULL, "although it is not stopped and drained", CLI_OPT_DELETE},
    {ID_TOPICS, "--topics", 0, NONE, NULL, "delete its Kafka topics too", CLI_OPT_DELETE},
    {ID_REMOVE, "--remove", 0, NONE, NULL, "remove what is listed", CLI_OPT_REMOVE},
    {ID_YES, "--yes", 'y', NONE, NULL, "do not ask", CLI_OPT_REMOVE},
    {ID_BY, "--by", 0, REQUIRED, "NAME", "who asks; default: user@host", CLI_OPT_BY},
    {ID_CLEAR, "--clear", 0, REQUIRED, "NAME", "end an alarm; one whose cause lasts comes again",
     CLI_OPT_CLEAR},
};
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

void cli_options_print(unsigned bits)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        char left[64], letter[8] = "    ";

        if (!(rows[i].bits & bits)) {
            continue;
        }
        if (rows[i].letter != 0) {
            snprintf(letter, sizeof(letter), "-%c, ", rows[i].letter);
        }
        snprintf(left, sizeof(left), "%s%s%s%s", letter, rows[i].name,
                 rows[i].placeholder != NULL ? " " : "",
                 rows[i].placeholder != NULL ? rows[i].placeholder : "");
        printf("  %-30s %s\n", left, rows[i].help);
    }
}

static int usage(const struct cli_options *options, const char *what, const char *word)
{
    fprintf(stderr, "lutractl: %s: %s\n", what, word);
    fprintf(stderr, "See: lutractl %s%s--help\n", options->verb != NULL ? options->verb : "",
            options->verb != NULL ? " " : "");
    return CLI_USAGE;
}

static int unknown_option(const struct cli_options *options, const char *word, unsigned bits)
{
    const char *names[N_ROWS + 1] = {NULL};
    const char *near;
    size_t n = 0;

    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].bits & bits) {
            names[n++] = rows[i].name;
        }
    }
    near = lutra_did_you_mean(word, names);
    fprintf(stderr, "lutractl: unknown option: %s", word);
    if (near != NULL) {
        fprintf(stderr, "; did you mean %s?", near);
    }
    fprintf(stderr, "\nSee: lutractl %s%s--help\n", options->verb != NULL ? options->verb : "",
            options->verb != NULL ? " " : "");
    return CLI_USAGE;
}

static int unknown_verb(const char *word)
{
    const char *names[32] = {NULL};
    const char *near;

    for (size_t i = 0; cli_verbs[i].name != NULL && i < 31; i++) {
        names[i] = cli_verbs[i].name;
    }
    near = lutra_did_you_mean(word, names);
    fprintf(stderr, "lutractl: unknown command: %s", word);
    if (near != NULL) {
        fprintf(stderr, "; did you mean %s?", near);
    }
    fprintf(stderr, "\nSee: lutractl --help\n");
    return CLI_USAGE;
}

static int set_format(struct cli_options *options, const char *value)
{
    static const char *const names[] = {"table", "json", "yaml", NULL};
    static const enum cli_format formats[] = {CLI_TABLE, CLI_JSON, CLI_YAML};

    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(value, names[i]) == 0) {
            options->format = formats[i];
            return CLI_OK;
        }
    }
    return usage(options, "--output: expected table, json or yaml", value);
}

static int
set_duration(struct cli_options *options, const char *value, const char *name, uint64_t *ms)
{
    char what[80];

    if (lutra_units_parse_duration(value, ms) == 0 && *ms <= (uint64_t)365 * 86400 * 1000) {
        return CLI_OK;
    }
    snprintf(what, sizeof(what), "%s: expected a duration such as 500ms, 10s or 5m", name);
    return usage(options, what, value);
}

bool cli_is_utf8(const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t n = lutra_utf8_len(text, left);

        if (n == 0) {
            return false;
        }
        text += n;
        left -= n;
    }
    return true;
}

/* What managers are told: refused here, for every verb, before anything is sent. */
static int
set_text(struct cli_options *options, const char *value, const char *name, const char **text)
{
    char what[80];

    if (cli_is_utf8(value)) {
        *text = value;
        return CLI_OK;
    }
    snprintf(what, sizeof(what), "%s: expected UTF-8", name);
    return usage(options, what, value);
}

static int set(struct cli_options *options, const struct option_row *row, const char *value)
{
    switch (row->id) {
    case ID_MANAGER:
        options->managers = value;
        return CLI_OK;
    case ID_OUTPUT:
        return set_format(options, value);
    case ID_HELP:
        options->help = true;
        return CLI_OK;
    case ID_VERSION:
        options->version = true;
        return CLI_OK;
    case ID_FILE:
        if (options->n_files == CLI_MAX_FILES) {
            return usage(options, "too many files", value);
        }
        options->files[options->n_files++] = value;
        return CLI_OK;
    case ID_DRY_RUN:
        options->dry_run = true;
        return CLI_OK;
    case ID_WATCH:
        options->watch = true;
        return CLI_OK;
    case ID_INTERVAL:
        return set_duration(options, value, row->name, &options->interval_ms);
    case ID_EXIT_CODE:
        options->exit_code = true;
        return CLI_OK;
    case ID_EVENTS:
        options->events = true;
        return CLI_OK;
    case ID_WAIT:
        options->wait = true;
        return value == NULL ? CLI_OK : set_duration(options, value, row->name, &options->wait_ms);
    case ID_REASON:
        return set_text(options, value, row->name, &options->reason);
    case ID_RETRY_AFTER:
        return set_duration(options, value, row->name, &options->retry_after_ms);
    case ID_FORCE:
        options->force = true;
        return CLI_OK;
    case ID_TOPICS:
        options->topics = true;
        return CLI_OK;
    case ID_REMOVE:
        options->remove = true;
        return CLI_OK;
    case ID_YES:
        options->yes = true;
        return CLI_OK;
    case ID_BY:
        return set_text(options, value, row->name, &options->by);
    case ID_CLEAR:
        options->clear = value;
        return CLI_OK;
    }
    return CLI_USAGE;
}

/* The row an argument names; *value: what follows it in the same argument, or NULL. */
static const struct option_row *find(const char *word, const char **value)
{
    *value = NULL;
    for (size_t i = 0; i < N_ROWS; i++) {
        size_t len = strlen(rows[i].name);

        if (word[1] == '-') {
            if (strncmp(word, rows[i].name, len) == 0 && (word[len] == '\0' || word[len] == '=')) {
                *value = word[len] == '=' ? word + len + 1 : NULL;
                return &rows[i];
            }
        } else if (rows[i].letter != 0 && word[1] == rows[i].letter) {
            *value = word[2] != '\0' ? word + 2 : NULL;
            return &rows[i];
        }
    }
    return NULL;
}

static bool is_duration(const char *word)
{
    uint64_t ms;

    return word != NULL && lutra_units_parse_duration(word, &ms) == 0;
}

/* The option at argv[*i]; takes the next argument where it needs it. */
static int take_option(int argc, char **argv, int *i, unsigned bits, struct cli_options *options)
{
    const char *word = argv[*i], *value;
    const struct option_row *row = find(word, &value);

    if (row == NULL || !(row->bits & bits)) {
        return unknown_option(options, word, bits);
    }
    if (row->argument == NONE && value != NULL) {
        return usage(options, "takes no value", word);
    }
    if (row->argument == REQUIRED && value == NULL) {
        if (*i + 1 >= argc) {
            return usage(options, "a value is missing", word);
        }
        value = argv[++*i];
    }
    if (row->argument == OPTIONAL_DURATION && value == NULL && *i + 1 < argc &&
        is_duration(argv[*i + 1])) {
        value = argv[++*i];
    }
    return set(options, row, value);
}

static int take_word(const char *word, const struct cli_verb **verb, struct cli_options *options)
{
    if (*verb == NULL) {
        *verb = cli_verb_find(word);
        if (*verb == NULL) {
            return unknown_verb(word);
        }
        options->verb = (*verb)->name;
        return CLI_OK;
    }
    if (options->n_words >= (*verb)->max_words || options->n_words == CLI_MAX_WORDS) {
        return usage(options, "unexpected argument", word);
    }
    return set_text(options, word, (*verb)->words, &options->words[options->n_words++]);
}

int cli_options_parse(int argc, char **argv, struct cli_options *options)
{
    const struct cli_verb *verb = NULL;
    bool only_words = false;

    *options = (struct cli_options){.interval_ms = 1000, .wait_ms = 60000};
    for (int i = 1; i < argc; i++) {
        int rc;

        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
            continue;
        }
        if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            rc = take_option(argc, argv, &i, CLI_OPT_COMMON | (verb != NULL ? verb->options : 0),
                             options);
        } else {
            rc = take_word(argv[i], &verb, options);
        }
        if (rc != CLI_OK) {
            return rc;
        }
    }
    if (options->help || options->version) {
        return CLI_OK;
    }
    if (verb == NULL) {
        fprintf(stderr, "lutractl: which command? See: lutractl --help\n");
        return CLI_USAGE;
    }
    if (options->n_words < verb->min_words) {
        return usage(options, "an argument is missing", verb->words);
    }
    return CLI_OK;
}
