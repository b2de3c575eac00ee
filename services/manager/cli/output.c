/* What leaves the tool: JSON, YAML, messages. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "manager/cli/cli.h"
#include "model/channel.h"

void cli_say(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "lutractl: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* Text that every YAML reader takes for this very string without quotes. */
static bool is_plain(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no",
                                        "on",   "off",   "y",    "n",   NULL};
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";

    if (!((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z') ||
          text[0] == '/') ||
        strspn(text, letters) != strlen(text)) {
        return false;
    }
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return false;
        }
    }
    return true;
}

static void yaml_string(const char *text, struct lutra_buf *out)
{
    json_t *value;
    char *quoted;

    if (is_plain(text)) {
        lutra_buf_printf(out, "%s", text);
        return;
    }
    /* A JSON string is a YAML double-quoted one. */
    value = json_string(text);
    quoted = json_dumps(value, JSON_ENCODE_ANY);
    lutra_buf_printf(out, "%s", quoted != NULL ? quoted : "\"\"");
    free(quoted);
    json_decref(value);
}

static bool is_block(const json_t *value)
{
    return (json_is_object(value) && json_object_size(value) > 0) ||
           (json_is_array(value) && json_array_size(value) > 0);
}

static void yaml_scalar(const json_t *value, struct lutra_buf *out)
{
    char *text;

    if (json_is_string(value)) {
        yaml_string(json_string_value(value), out);
        return;
    }
    text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    lutra_buf_printf(out, "%s", text != NULL ? text : "null");
    free(text);
}

static void
yaml_block(const json_t *value, unsigned depth, bool first_is_placed, struct lutra_buf *out);

static void yaml_member(const char *key, const json_t *value, unsigned depth, struct lutra_buf *out)
{
    yaml_string(key, out);
    lutra_buf_printf(out, ":");
    if (is_block(value)) {
        lutra_buf_printf(out, "\n");
        yaml_block(value, depth + 1, false, out);
        return;
    }
    lutra_buf_printf(out, " ");
    yaml_scalar(value, out);
    lutra_buf_printf(out, "\n");
}

/* first_is_placed: the first line's indentation has been written ("- " of a sequence). */
static void
yaml_block(const json_t *value, unsigned depth, bool first_is_placed, struct lutra_buf *out)
{
    const char *key;
    const json_t *item;
    size_t i = 0;

    if (json_is_object(value)) {
        /* jansson's iteration wants a non-const object, and does not change it. */
        for (void *it = json_object_iter((json_t *)(uintptr_t)value); it != NULL;
             it = json_object_iter_next((json_t *)(uintptr_t)value, it)) {
            key = json_object_iter_key(it);
            item = json_object_iter_value(it);
            lutra_buf_printf(out, "%*s", first_is_placed && i == 0 ? 0 : (int)(depth * 2), "");
            yaml_member(key, item, depth, out);
            i++;
        }
        return;
    }
    for (i = 0; i < json_array_size(value); i++) {
        item = json_array_get(value, i);
        lutra_buf_printf(out, "%*s- ", first_is_placed && i == 0 ? 0 : (int)(depth * 2), "");
        if (is_block(item)) {
            yaml_block(item, depth + 1, true, out);
        } else {
            yaml_scalar(item, out);
            lutra_buf_printf(out, "\n");
        }
    }
}

void cli_yaml(const json_t *value, struct lutra_buf *out)
{
    if (is_block(value)) {
        yaml_block(value, 0, false, out);
        return;
    }
    yaml_scalar(value, out);
    lutra_buf_printf(out, "\n");
}

void cli_print(const struct cli *cli, const json_t *value)
{
    struct lutra_buf out = {0};
    size_t flags = cli->options.watch ? JSON_COMPACT : JSON_INDENT(2);
    char *text;

    if (cli->options.format == CLI_YAML) {
        if (cli->options.watch) {
            lutra_buf_printf(&out, "---\n");
        }
        cli_yaml(value, &out);
        fwrite(out.data, 1, out.len, stdout);
        lutra_buf_fini(&out);
        return;
    }
    text = json_dumps(value, flags | JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY);
    if (text != NULL) {
        puts(text);
    }
    free(text);
}

char *cli_encode(const char *text)
{
    struct lutra_buf out = {0};
    char *copy;

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_') {
            lutra_buf_put_u8(&out, c);
        } else {
            lutra_buf_printf(&out, "%%%02X", c);
        }
    }
    copy = lutra_strdup(lutra_buf_cstr(&out));
    lutra_buf_fini(&out);
    return copy;
}

bool cli_is_human(const struct cli *cli)
{
    return cli->options.format == CLI_DEFAULT || cli->options.format == CLI_TABLE;
}

bool cli_name_ok(const char *name, const char *what)
{
    if (lutra_name_valid(name)) {
        return true;
    }
    cli_say("\"%s\" is not a %s's name: expected [a-z0-9-], at most 40", name, what);
    return false;
}
