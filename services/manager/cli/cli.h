/* lutractl: the operators' tool. Data goes to stdout, messages to stderr. */
#ifndef LUTRA_MANAGER_CLI_CLI_H
#define LUTRA_MANAGER_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Exit codes: docs/PROTOCOL.md §10. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_RUNNING = 10,
    CLI_UNREACHABLE = 69,
    CLI_TRY_LATER = 75,
    CLI_REFUSED = 78,
};

enum cli_format { CLI_DEFAULT, CLI_TABLE, CLI_JSON, CLI_YAML };

enum { CLI_MAX_FILES = 64, CLI_MAX_MANAGERS = 16, CLI_MAX_WORDS = 4 };

/* Which options a verb takes, beside those all take. */
enum cli_option_bit {
    CLI_OPT_COMMON = 1 << 0,
    CLI_OPT_FILE = 1 << 1,
    CLI_OPT_WATCH = 1 << 2,
    CLI_OPT_EXIT_CODE = 1 << 3,
    CLI_OPT_WAIT = 1 << 4,
    CLI_OPT_REASON = 1 << 5,
    CLI_OPT_RETRY = 1 << 6,
    CLI_OPT_DELETE = 1 << 7,
    CLI_OPT_BY = 1 << 8,
    CLI_OPT_CLEAR = 1 << 9,
    CLI_OPT_REMOVE = 1 << 20,
};

struct cli_options {
    const char *verb;
    const char *words[CLI_MAX_WORDS]; /* what is no option, after the verb */
    size_t n_words;
    const char *managers; /* host:port,host:port */
    enum cli_format format;
    bool help, version;
    const char *files[CLI_MAX_FILES];
    size_t n_files;
    bool dry_run;
    bool watch;
    uint64_t interval_ms;
    bool exit_code, events;
    bool wait;
    uint64_t wait_ms;
    const char *reason, *by, *clear;
    uint64_t retry_after_ms;
    bool force, topics;
    bool remove, yes;
};

struct cli {
    struct cli_options options;
    struct cli_client *client;
};

struct cli_verb {
    const char *name, *words, *summary, *help, *example;
    unsigned options; /* cli_option_bit */
    size_t min_words, max_words;
    int (*run)(struct cli *cli);
};
extern const struct cli_verb cli_verbs[]; /* ends with a NULL name */
const struct cli_verb *cli_verb_find(const char *name);

/* options.c. 0, or CLI_USAGE after saying on stderr what is wrong. Everything borrowed from argv.
 */
int cli_options_parse(int argc, char **argv, struct cli_options *options);
/* Words, --by and --reason of parsed options are: managers are told them as JSON or in a query. */
bool cli_is_utf8(const char *text);
/* The lines of --help about a verb's options. */
void cli_options_print(unsigned bits);

/* client.c: one call to the managers: the first that answers; redirections are followed; 503 is
 * tried again for a while when `patient`. */
struct cli_client;
/* managers: as of --manager; NULL: LUTRA_MANAGER, then 127.0.0.1:8640. NULL and CONFIG on error. */
struct cli_client *cli_client_new(const char *managers, struct lutra_error *err);
void cli_client_free(struct cli_client *client);
struct cli_answer {
    int status;         /* 0: nobody could be reached */
    json_t *body;       /* NULL when it is not JSON */
    char message[1024]; /* of an error */
};
void cli_client_call(struct cli_client *client,
                     const char *method,
                     const char *target,
                     const char *body,
                     size_t len,
                     bool patient,
                     struct cli_answer *answer);
/* POST of a JSON body, which it takes. */
void cli_client_post(struct cli_client *client,
                     const char *target,
                     json_t *body,
                     bool patient,
                     struct cli_answer *answer);
void cli_answer_fini(struct cli_answer *answer);
/* Says the error on stderr and returns the exit code for it; refused: of status 400. */
int cli_answer_failed(const struct cli_answer *answer, int refused);
void cli_client_pause(struct cli_client *client, uint64_t ms);

/* output.c */
/* In the format asked for (JSON indented, or YAML) on stdout. */
void cli_print(const struct cli *cli, const json_t *value);
struct lutra_buf;
void cli_yaml(const json_t *value, struct lutra_buf *out);
__attribute__((format(printf, 1, 2))) void cli_say(const char *fmt, ...);
/* Percent-encodes for a query; free with lutra_free. */
char *cli_encode(const char *text);
/* Are tables and sentences asked for? */
bool cli_is_human(const struct cli *cli);
/* False, and said: it is no name of a `what` (channel, pipeline). */
bool cli_name_ok(const char *name, const char *what);

/* table.c: columns as wide as their widest cell. */
struct cli_table;
struct cli_table *cli_table_new(const char *const *headers);
/* As many cells as headers; copied; NULL is "-". A cell of digits stands to the right. */
void cli_table_row(struct cli_table *table, const char *const *cells);
/* Appends the text and frees the table. */
void cli_table_end(struct cli_table *table, struct lutra_buf *out);

/* status.c */
int cli_status(struct cli *cli);
int cli_lag(struct cli *cli);
/* The human form of one status or lag document, for tests too. */
void cli_status_text(const json_t *status, bool events, struct lutra_buf *out);
void cli_channel_text(const json_t *channel, struct lutra_buf *out);
void cli_lag_text(const json_t *lag, struct lutra_buf *out);
bool cli_all_running(const json_t *channels);

/* media.c */
int cli_media(struct cli *cli);
void cli_media_text(const json_t *groups, struct lutra_buf *out);
/* alarms.c */
int cli_alarms(struct cli *cli);
int cli_warn(struct cli *cli);
void cli_alarms_text(const json_t *alarms, struct lutra_buf *out);

/* apply.c, control.c */
int cli_apply(struct cli *cli);
int cli_get(struct cli *cli);
int cli_start(struct cli *cli);
int cli_pause(struct cli *cli);
int cli_stop(struct cli *cli);
int cli_rollback(struct cli *cli);
int cli_restart(struct cli *cli);
int cli_delete(struct cli *cli);
/* recover.c, janitor.c */
int cli_recover(struct cli *cli);
int cli_janitor(struct cli *cli);
/* Is the channel where the verb ("start", "pause", "stop") wants it? 1 yes, 0 not yet, -1 it will
 * not come there by itself. why gets one line. */
int cli_wait_verdict(const char *verb, const json_t *channel, char *why, size_t why_len);

#endif
