/* status and lag. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "manager/cli/cli.h"
#include "model/channel.h"

static const json_t *at(const json_t *object, const char *a, const char *b)
{
    const json_t *value = json_object_get(object, a);

    return b != NULL ? json_object_get(value, b) : value;
}

static const char *text_at(const json_t *object, const char *a, const char *b)
{
    const char *text = json_string_value(at(object, a, b));

    return text != NULL ? text : "";
}

/* A number without needless digits; "-" when there is none. */
static const char *number_at(const json_t *object, const char *a, const char *b, char *buf)
{
    const json_t *value = at(object, a, b);

    if (json_is_integer(value)) {
        snprintf(buf, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        double real = json_real_value(value);

        snprintf(buf, 32, real < 10 ? "%.1f" : "%.0f", real);
    } else {
        snprintf(buf, 32, "-");
    }
    return buf;
}

static size_t items(const json_t *object, const char *a, const char *b)
{
    return json_array_size(at(object, a, b));
}

/* ---- all channels: a table ---- */

static void pipeline_row(struct cli_table *table, const json_t *pipeline)
{
    char epoch[32], in_flight[32], lag[32], rate[32], workers[64];

    snprintf(workers, sizeof(workers), "%zu+%zu", items(pipeline, "instances", "extract"),
             items(pipeline, "instances", "transform"));
    const char *cells[] = {
        text_at(pipeline, "channel", NULL),
        text_at(pipeline, "pipeline", NULL),
        text_at(pipeline, "state", NULL),
        number_at(pipeline, "epoch", NULL, epoch),
        text_at(pipeline, "owners", "select"),
        workers,
        text_at(pipeline, "owners", "load"),
        number_at(pipeline, "process", "in_flight", in_flight),
        number_at(pipeline, "lag_ms", NULL, lag),
        number_at(pipeline, "rows_per_s", NULL, rate),
        text_at(pipeline, "reason", NULL)[0] != '\0' ? text_at(pipeline, "reason", NULL)
                                                     : text_at(pipeline, "last_error", NULL),
    };

    cli_table_row(table, cells);
}

static void events_text(const json_t *events, struct lutra_buf *out)
{
    static const char *const headers[] = {"TIME", "WHAT", "SUBJECT", "TEXT", NULL};
    struct cli_table *table = cli_table_new(headers);

    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        char when[32];
        const char *cells[] = {
            lutra_clock_format_us(json_integer_value(at(event, "at_ms", NULL)) * 1000, when),
            text_at(event, "kind", NULL),
            text_at(event, "subject", NULL),
            text_at(event, "text", NULL),
        };

        cli_table_row(table, cells);
    }
    lutra_buf_printf(out, "\n");
    cli_table_end(table, out);
}

static void tell_alarms(const json_t *alarms, struct lutra_buf *out)
{
    if (json_array_size(alarms) > 0) {
        lutra_buf_printf(out, "\nALARMS (%zu)\n", json_array_size(alarms));
        cli_alarms_text(alarms, out);
    }
}

void cli_status_text(const json_t *status, bool events, struct lutra_buf *out)
{
    static const char *const headers[] = {"CHANNEL", "PIPELINE", "STATE",  "EPOCH",
                                          "SELECT",  "E+T",      "LOAD",   "IN FLIGHT",
                                          "LAG MS",  "ROWS/S",   "REASON", NULL};
    const json_t *channels = json_object_get(status, "channels");
    struct cli_table *table = cli_table_new(headers);

    for (size_t i = 0; i < json_array_size(channels); i++) {
        const json_t *pipelines = json_object_get(json_array_get(channels, i), "pipelines");

        for (size_t k = 0; k < json_array_size(pipelines); k++) {
            pipeline_row(table, json_array_get(pipelines, k));
        }
    }
    cli_table_end(table, out);
    tell_alarms(json_object_get(status, "alarms"), out);
    if (events) {
        events_text(json_object_get(status, "events"), out);
    }
}

/* ---- one channel: everything ---- */

static void ids_text(const json_t *pipeline, const char *stage, struct lutra_buf *out)
{
    const json_t *ids = at(pipeline, "process", stage);
    size_t n = json_array_size(ids);

    lutra_buf_printf(out, "%s ", stage);
    if (!json_is_array(ids)) {
        lutra_buf_printf(out, "-");
        return;
    }
    lutra_buf_printf(out, "[");
    for (size_t i = 0; i < n && i < 16; i++) {
        lutra_buf_printf(out, "%s%" JSON_INTEGER_FORMAT, i > 0 ? " " : "",
                         json_integer_value(json_array_get(ids, i)));
    }
    lutra_buf_printf(out, n > 16 ? " and %zu more]" : "]", n - 16);
}

static void instances_text(const json_t *pipeline, const char *stage, struct lutra_buf *out)
{
    const json_t *list = at(pipeline, "instances", stage);

    lutra_buf_printf(out, "%s", stage);
    for (size_t i = 0; i < json_array_size(list); i++) {
        lutra_buf_printf(out, " %s", json_string_value(json_array_get(list, i)));
    }
    if (json_array_size(list) == 0) {
        lutra_buf_printf(out, " -");
    }
}

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

/* "source a" or, while the epoch was made for another one, "source a (still b)"; nothing for a
 * single server. */
static void member_text(const json_t *pipeline, const char *side, struct lutra_buf *out)
{
    const json_t *member = json_object_get(json_object_get(pipeline, "media"), side);
    const char *primary = text_at(member, "primary", NULL), *used = text_at(member, "used", NULL);

    if (json_is_object(member)) {
        lutra_buf_printf(out, "  %-13s %s of group %s%s%s\n", side, or_dash(primary),
                         text_at(member, "group", NULL),
                         strcmp(primary, used) != 0 ? ", still using " : "",
                         strcmp(primary, used) != 0 ? or_dash(used) : "");
    }
}

static void pipeline_text(const json_t *pipeline, struct lutra_buf *out)
{
    char a[32], b[32], c[32];

    lutra_buf_printf(out, "\npipeline %s: %s\n", text_at(pipeline, "pipeline", NULL),
                     text_at(pipeline, "state", NULL));
    lutra_buf_printf(out, "  reason        %s\n", or_dash(text_at(pipeline, "reason", NULL)));
    lutra_buf_printf(out, "  last error    %s\n", or_dash(text_at(pipeline, "last_error", NULL)));
    lutra_buf_printf(out, "  epoch         %s%s\n", number_at(pipeline, "epoch", NULL, a),
                     json_is_true(at(pipeline, "fence_pending", NULL))
                         ? ", a new one is asked for and not made yet"
                         : "");
    lutra_buf_printf(out, "  owners        select %s, load %s\n",
                     or_dash(text_at(pipeline, "owners", "select")),
                     or_dash(text_at(pipeline, "owners", "load")));
    member_text(pipeline, "source", out);
    member_text(pipeline, "target", out);
    lutra_buf_printf(out, "  instances     ");
    instances_text(pipeline, "extract", out);
    lutra_buf_printf(out, ", ");
    instances_text(pipeline, "transform", out);
    lutra_buf_printf(out, "\n  read          %s\n", or_dash(text_at(pipeline, "position", "read")));
    lutra_buf_printf(out, "  acknowledged  %s\n",
                     or_dash(text_at(pipeline, "position", "acknowledged")));
    lutra_buf_printf(out, "  applied       %s\n",
                     or_dash(text_at(pipeline, "position", "applied")));
    lutra_buf_printf(out, "  processes     published %s, consumed %s, applied %s\n",
                     number_at(pipeline, "process", "published", a),
                     number_at(pipeline, "process", "consumed", b),
                     number_at(pipeline, "process", "applied", c));
    lutra_buf_printf(out, "  in flight     %s: ", number_at(pipeline, "process", "in_flight", a));
    ids_text(pipeline, "extract", out);
    lutra_buf_printf(out, ", ");
    ids_text(pipeline, "transform", out);
    lutra_buf_printf(out, ", ");
    ids_text(pipeline, "load", out);
    lutra_buf_printf(out, "\n  lag           %s ms, p50 %s ms, p99 %s ms%s%s\n",
                     number_at(pipeline, "lag_ms", NULL, a),
                     number_at(pipeline, "lag_p50_ms", NULL, b),
                     number_at(pipeline, "lag_p99_ms", NULL, c),
                     text_at(pipeline, "lag_method", NULL)[0] != '\0' ? " (from " : "",
                     text_at(pipeline, "lag_method", NULL));
    if (text_at(pipeline, "lag_method", NULL)[0] != '\0') {
        out->len--; /* the newline, to close the bracket before it */
        lutra_buf_printf(out, ")\n");
    }
    lutra_buf_printf(out, "  rows          %s/s, %s since the load owner started\n",
                     number_at(pipeline, "rows_per_s", NULL, a),
                     number_at(pipeline, "rows_total", NULL, b));
    for (size_t i = 0; i < items(pipeline, "alarms", NULL); i++) {
        const json_t *alarm = json_array_get(at(pipeline, "alarms", NULL), i);

        lutra_buf_printf(out, "  alarm         %s: %s\n", text_at(alarm, "kind", NULL),
                         text_at(alarm, "text", NULL));
    }
}

void cli_channel_text(const json_t *channel, struct lutra_buf *out)
{
    const json_t *pipelines = json_object_get(channel, "pipelines");
    char version[32];

    lutra_buf_printf(out, "channel %s: desired %s, config version %s\n",
                     text_at(channel, "channel", NULL), or_dash(text_at(channel, "desired", NULL)),
                     number_at(channel, "version", NULL, version));
    for (size_t i = 0; i < json_array_size(pipelines); i++) {
        pipeline_text(json_array_get(pipelines, i), out);
    }
}

void cli_lag_text(const json_t *lag, struct lutra_buf *out)
{
    static const char *const headers[] = {"PIPELINE", "STATE",         "LAG MS",  "P50",
                                          "P99",      "IN FLIGHT",     "EXTRACT", "TRANSFORM",
                                          "LOAD",     "MEASURED FROM", NULL};
    const json_t *pipelines = json_object_get(lag, "pipelines");
    struct cli_table *table = cli_table_new(headers);

    for (size_t i = 0; i < json_array_size(pipelines); i++) {
        const json_t *one = json_array_get(pipelines, i);
        char n[7][32];
        const char *cells[] = {
            text_at(one, "pipeline", NULL),
            text_at(one, "state", NULL),
            number_at(one, "lag_ms", NULL, n[0]),
            number_at(one, "lag_p50_ms", NULL, n[1]),
            number_at(one, "lag_p99_ms", NULL, n[2]),
            number_at(one, "in_flight", NULL, n[3]),
            number_at(one, "stages", "extract", n[4]),
            number_at(one, "stages", "transform", n[5]),
            number_at(one, "stages", "load", n[6]),
            text_at(one, "lag_method", NULL),
        };

        cli_table_row(table, cells);
    }
    cli_table_end(table, out);
}

bool cli_all_running(const json_t *channels)
{
    for (size_t i = 0; i < json_array_size(channels); i++) {
        const json_t *pipelines = json_object_get(json_array_get(channels, i), "pipelines");

        for (size_t k = 0; k < json_array_size(pipelines); k++) {
            if (strcmp(text_at(json_array_get(pipelines, k), "state", NULL), "RUNNING") != 0) {
                return false;
            }
        }
    }
    return true;
}

/* ---- the verbs ---- */

static void print_text(const struct cli *cli, struct lutra_buf *out)
{
    if (cli->options.watch && isatty(STDOUT_FILENO)) {
        fputs("\033[H\033[J", stdout);
    } else if (cli->options.watch) {
        putchar('\n');
    }
    fwrite(out->data, 1, out->len, stdout);
    lutra_buf_fini(out);
}

static int show_status(struct cli *cli, const json_t *body, bool one)
{
    struct lutra_buf out = {0};
    json_t *channels =
        one ? json_pack("[O]", body) : json_incref(json_object_get(body, "channels"));
    bool running = cli_all_running(channels);

    if (cli->options.format == CLI_JSON || cli->options.format == CLI_YAML) {
        cli_print(cli, body);
    } else if (one) {
        cli_channel_text(body, &out);
        print_text(cli, &out);
    } else {
        cli_status_text(body, cli->options.events, &out);
        print_text(cli, &out);
        if (json_array_size(channels) == 0) {
            cli_say("no channel yet; see lutractl apply --help");
        }
    }
    json_decref(channels);
    fflush(stdout);
    return cli->options.exit_code && !running ? CLI_NOT_RUNNING : CLI_OK;
}

/* Fetches and shows, once or again and again. */
static int repeat(struct cli *cli, const char *target, int (*show)(struct cli *, const json_t *))
{
    for (;;) {
        struct cli_answer answer;
        int status;

        cli_client_call(cli->client, "GET", target, NULL, 0, false, &answer);
        status = answer.status == 200 && answer.body != NULL
                     ? show(cli, answer.body)
                     : cli_answer_failed(&answer, CLI_FAILED);
        cli_answer_fini(&answer);
        if (!cli->options.watch || ferror(stdout)) {
            return status;
        }
        cli_client_pause(cli->client, cli->options.interval_ms);
    }
}

static int show_all(struct cli *cli, const json_t *body)
{
    return show_status(cli, body, false);
}

static int show_one(struct cli *cli, const json_t *body)
{
    return show_status(cli, body, true);
}

int cli_status(struct cli *cli)
{
    char target[128];

    if (cli->options.n_words == 0) {
        return repeat(cli, "/v1/status", show_all);
    }
    if (!cli_name_ok(cli->options.words[0], "channel")) {
        return CLI_USAGE;
    }
    snprintf(target, sizeof(target), "/v1/channels/%s/status", cli->options.words[0]);
    return repeat(cli, target, show_one);
}

static int show_lag(struct cli *cli, const json_t *body)
{
    struct lutra_buf out = {0};

    if (cli->options.format == CLI_JSON || cli->options.format == CLI_YAML) {
        cli_print(cli, body);
    } else {
        cli_lag_text(body, &out);
        print_text(cli, &out);
    }
    fflush(stdout);
    return CLI_OK;
}

int cli_lag(struct cli *cli)
{
    return repeat(cli, "/v1/lag", show_lag);
}
