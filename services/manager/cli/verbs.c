/* The verbs of lutractl. */
#include <string.h>

#include "manager/cli/cli.h"

const struct cli_verb cli_verbs[] = {
    {.name = "apply",
     .words = "",
     .summary = "make or change channels from definition files",
     .help =
         "Checks the file here first (file:line:column), then hands it to a manager. Applying "
         "an equal\ndefinition changes nothing. A new channel is stopped: start it. Exit status "
         "78: refused.",
     .example = "lutractl apply -f channel.yaml",
     .options = CLI_OPT_FILE | CLI_OPT_BY,
     .run = cli_apply},
    {.name = "get",
     .words = "[CHANNEL]",
     .summary = "the definitions",
     .help = "Without a channel: a list. With one: its definition, as YAML unless asked otherwise; "
             "apply\ntakes it back.",
     .example = "lutractl get orders -o yaml > orders.yaml",
     .max_words = 1,
     .run = cli_get},
    {.name = "status",
     .words = "[CHANNEL]",
     .summary = "what runs, where, how far",
     .help = "Without a channel: one line per pipeline. With one: owners, positions, processes in "
             "flight and lag.\nE+T: instances of extract and transform. LAG MS: see lutractl lag.\n"
             "States: RUNNING, STARTING (permitted, no stream yet), PAUSED and STOPPED (by an "
             "operator),\nROLLED_BACK (waits for a retry or an operator), STALLED, UNKNOWN.",
     .example = "lutractl status --watch",
     .options = CLI_OPT_WATCH | CLI_OPT_EXIT_CODE,
     .max_words = 1,
     .run = cli_status},
    {.name = "start",
     .words = "CHANNEL",
     .summary = "let a channel run; also after a rollback",
     .help = "With --wait: until all of its pipelines are RUNNING. Exit status 1 when they do not "
             "come there.",
     .example = "lutractl start orders --wait 30s",
     .options = CLI_OPT_WAIT | CLI_OPT_BY,
     .min_words = 1,
     .max_words = 1,
     .run = cli_start},
    {.name = "pause",
     .words = "CHANNEL",
     .summary = "publish nothing new; what is in flight is applied",
     .help = "Owners and connections stay. With --wait: until nothing is in flight.",
     .example = "lutractl pause orders --wait",
     .options = CLI_OPT_WAIT | CLI_OPT_BY,
     .min_words = 1,
     .max_words = 1,
     .run = cli_pause},
    {.name = "stop",
     .words = "CHANNEL",
     .summary = "pause, then give up ownership and connections",
     .help = "With --wait: until nobody owns a pipeline of it any more.",
     .example = "lutractl stop orders --wait",
     .options = CLI_OPT_WAIT | CLI_OPT_BY,
     .min_words = 1,
     .max_words = 1,
     .run = cli_stop},
    {.name = "rollback",
     .words = "PIPELINE",
     .summary = "throw away what is in flight and wait",
     .help = "Nothing that is applied is undone: the pipeline goes on from its checkpoint, with a "
             "new epoch, when\nthe time has come or the channel is started again.",
     .example = "lutractl rollback orders --reason 'target maintenance' --retry-after 10m",
     .options = CLI_OPT_REASON | CLI_OPT_RETRY | CLI_OPT_BY,
     .min_words = 1,
     .max_words = 1,
     .run = cli_rollback},
    {.name = "restart",
     .words = "PIPELINE",
     .summary = "throw away what is in flight and read it again",
     .help = "Goes on at once from the target's checkpoint, with a new epoch.",
     .example = "lutractl restart orders --reason 'looks stuck'",
     .options = CLI_OPT_REASON | CLI_OPT_BY,
     .min_words = 1,
     .max_words = 1,
     .run = cli_restart},
    {.name = "warn",
     .words = "PIPELINE",
     .summary = "raise an alarm and do nothing else",
     .help = "It stands, for everybody to see, until lutractl alarms --clear PIPELINE-warning.",
     .example = "lutractl warn orders --reason 'do not touch before Monday'",
     .options = CLI_OPT_REASON | CLI_OPT_BY,
     .min_words = 1,
     .max_words = 1,
     .run = cli_warn},
    {.name = "alarms",
     .words = "",
     .summary = "what needs an operator",
     .help = "Alarms are raised once and cleared once, by the manager that leads, when their cause "
             "has gone.\nWarnings of operators, and lost nodes that will not come back, are "
             "cleared by hand.",
     .example = "lutractl alarms -o json",
     .options = CLI_OPT_CLEAR,
     .run = cli_alarms},
    {.name = "lag",
     .words = "",
     .summary = "how far behind, how it is measured, where it waits",
     .help = "In milliseconds; P50 and P99 of the last minute. EXTRACT, TRANSFORM and LOAD: "
             "processes that these\nhave in hand.",
     .example = "lutractl lag --watch",
     .options = CLI_OPT_WATCH,
     .run = cli_lag},
    {.name = "media",
     .words = "get|switch",
     .summary = "media groups: which member is current, and another one",
     .help = "media get [KEY]: the groups, or one. media switch KEY MEMBER: that member is the "
             "current one from\nnow on; pipelines go on there within seconds, with a new epoch. A "
             "target is switched to a member\nthat was promoted (it neither replicates nor is "
             "read_only).",
     .example = "lutractl media switch orders.dublin b",
     .options = CLI_OPT_BY,
     .min_words = 1,
     .max_words = 3,
     .run = cli_media},
    {.name = "delete",
     .words = "CHANNEL",
     .summary = "forget a channel",
     .help =
         "Only when it is stopped and drained, unless forced. The target keeps its rows and its "
         "checkpoint.",
     .example = "lutractl stop orders --wait && lutractl delete orders --topics",
     .options = CLI_OPT_DELETE | CLI_OPT_BY,
     .min_words = 1,
     .max_words = 1,
     .run = cli_delete},
    {.name = "recover",
     .words = "[CHANNEL]",
     .summary = "channels that ZooKeeper has lost",
     .help =
         "After ZooKeeper was wiped or restored from an old copy. Without a channel: those that "
         "nodes know from\ntheir caches and ZooKeeper does not. With one: its newest "
         "definition is written into ZooKeeper again,\nstopped; start it when you are content: "
         "it goes on from the target's checkpoint, with a higher epoch.",
     .example = "lutractl recover && lutractl recover orders && lutractl start orders --wait",
     .options = CLI_OPT_BY,
     .max_words = 1,
     .run = cli_recover},
    {.name = "janitor",
     .words = "[PIPELINE...]",
     .summary = "what deleted pipelines left behind",
     .help = "Topics, committed offsets, znodes, checkpoint rows and locks whose names are exactly "
             "Lutra's and that\nno channel has, in ZooKeeper or in a node's cache. Listed only, "
             "unless --remove is given; that asks\nfor the word yes, or takes --yes.",
     .example = "lutractl janitor --remove",
     .options = CLI_OPT_REMOVE | CLI_OPT_BY,
     .max_words = CLI_MAX_WORDS,
     .run = cli_janitor},
    {.name = "version",
     .words = "",
     .summary = "the version of lutractl",
     .help = "",
     .example = "lutractl version -o json"},
    {.name = "help",
     .words = "[COMMAND]",
     .summary = "about a command",
     .help = "",
     .example = "lutractl help status",
     .max_words = 1},
    {.name = NULL},
};

const struct cli_verb *cli_verb_find(const char *name)
{
    for (const struct cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        if (strcmp(verb->name, name) == 0) {
            return verb;
        }
    }
    return NULL;
}
