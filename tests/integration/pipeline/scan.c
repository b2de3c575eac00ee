#include "scan.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/http.h"
#include "support/test.h"
#include "support/zk.h"

/* ---- secrets ---- */

static const char *wanted, *left_out; /* nftw has no argument for its callback */
static unsigned n_files;

static bool holds(const char *path, const char *text)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    bool found = false;
    while (file && !found && (n = getline(&line, &capacity, file)) > 0) {
        found = memmem(line, (size_t)n, text, strlen(text)) != NULL;
    }
    free(line);
    if (file) {
        fclose(file);
    }
    return found;
}

static int look_into(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)ftw;
    if (type == FTW_F && strcmp(path, left_out) != 0) {
        n_files++;
        if (holds(path, wanted)) {
            lutra_test_fail("the password stands in %s", path);
        }
    }
    return 0;
}

void scan_files(const char *secret, const char *but)
{
    wanted = secret;
    left_out = but;
    n_files = 0;
    cr_assert_eq(nftw(lutra_test_dir(), look_into, 16, FTW_PHYS), 0);
    cr_assert_gt(n_files, 5, "no files were looked into");
}

static void scan_znode(const char *path, const char *secret, unsigned *n)
{
    char *value = lutra_zk_get(lutra_test_chroot(), path);
    if (value && strstr(value, secret)) {
        lutra_test_fail("the password stands in %s: %s", path, value);
    }
    free(value);
    ++*n;
    char *children = lutra_zk_children(lutra_test_chroot(), path);
    char *save = NULL;
    for (char *child = children ? strtok_r(children, " ", &save) : NULL; child;
         child = strtok_r(NULL, " ", &save)) {
        char *below = lutra_test_format("%s/%s", strcmp(path, "/") == 0 ? "" : path, child);
        scan_znode(below, secret, n);
        free(below);
    }
    free(children);
}

void scan_znodes(const char *secret)
{
    unsigned n = 0;
    scan_znode("/", secret, &n);
    cr_assert_gt(n, 10, "only %u znodes", n);
}

void scan_http(struct cluster *c, struct lutra_test_service *service, const char *secret)
{
    char *channel = lutra_test_format("/v1/channels/%s", c->name);
    const char *paths[] = {"/state",       "/metrics", "/readyz", "/v1/status",
                           "/v1/channels", "/v1/lag",  channel};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct lutra_http_answer answer = lutra_http_call("GET", service->port, paths[i], NULL);
        if (strstr(answer.body, secret)) {
            lutra_test_fail("the password stands in %s of %s", paths[i], service->instance);
        }
        lutra_http_answer_fini(&answer);
    }
    free(channel);
}

void scan_command_line(const struct lutra_test_service *service, const char *secret)
{
    char *path = lutra_test_format("/proc/%d/cmdline", (int)service->proc->pid);
    FILE *file = fopen(path, "re");
    char text[4096];
    size_t n = file ? fread(text, 1, sizeof text, file) : 0;
    cr_assert_gt(n, 0, "%s cannot be read", path);
    fclose(file);
    cr_assert_null(memmem(text, n, secret, strlen(secret)), "%s", service->instance);
    free(path);
}

/* ---- metrics ---- */

struct exposition {
    const char *instance;
    regex_t comment, sample;
    char **types, **series; /* seen */
    size_t n_types, n_series;
};

static char **append(char **list, size_t *n, const char *text, size_t len)
{
    list = realloc(list, (*n + 1) * sizeof *list);
    cr_assert_not_null(list);
    list[(*n)++] = strndup(text, len);
    return list;
}

static bool contains(char **list, size_t n, const char *text, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(list[i]) == len && memcmp(list[i], text, len) == 0) {
            return true;
        }
    }
    return false;
}

/* A sample of a histogram or summary bears its family's name and one of these. */
static size_t family_len(const struct exposition *e, const char *name, size_t len)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(suffixes[i]);
        if (len > n && memcmp(name + len - n, suffixes[i], n) == 0 &&
            contains(e->types, e->n_types, name, len - n)) {
            return len - n;
        }
    }
    return len;
}

static void take_comment(struct exposition *e, const char *line)
{
    if (strncmp(line, "# TYPE ", 7) == 0) {
        size_t len = strcspn(line + 7, " ");
        cr_assert_not(contains(e->types, e->n_types, line + 7, len), "%s: a second TYPE: %s",
                      e->instance, line);
        e->types = append(e->types, &e->n_types, line + 7, len);
    }
}

static void take_sample(struct exposition *e, const char *line)
{
    size_t name = strcspn(line, "{ ");
    size_t series = (size_t)(strrchr(line, ' ') - line);
    size_t family = family_len(e, line, name);
    cr_assert(contains(e->types, e->n_types, line, family), "%s: no TYPE before: %s", e->instance,
              line);
    cr_assert_not(contains(e->series, e->n_series, line, series), "%s: twice: %s", e->instance,
                  line);
    e->series = append(e->series, &e->n_series, line, series);
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i]);
    }
    free(list);
}

unsigned scan_metrics(const char *instance, const char *text)
{
    static const char name[] = "[a-zA-Z_:][a-zA-Z0-9_:]*";
    static const char label[] = "[a-zA-Z_][a-zA-Z0-9_]*=\"([^\"\\\\]|\\\\[\\\\\"n])*\"";
    struct exposition e = {.instance = instance};
    char *comment = lutra_test_format(
        "^# (HELP %s .+|TYPE %s (counter|gauge|histogram|summary|untyped))$", name, name);
    char *sample = lutra_test_format("^%s(\\{%s(,%s)*\\})? ([-+]?[0-9][0-9.eE+-]*|NaN|[+-]Inf)$",
                                     name, label, label);
    cr_assert_eq(regcomp(&e.comment, comment, REG_EXTENDED | REG_NOSUB), 0);
    cr_assert_eq(regcomp(&e.sample, sample, REG_EXTENDED | REG_NOSUB), 0);
    size_t len = strlen(text);
    cr_assert(len > 0 && text[len - 1] == '\n', "%s: the last line has no end", instance);
    char *copy = strdup(text), *save = NULL;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '#') {
            cr_assert_eq(regexec(&e.comment, line, 0, NULL, 0), 0, "%s: not a comment: %s",
                         instance, line);
            take_comment(&e, line);
        } else {
            cr_assert_eq(regexec(&e.sample, line, 0, NULL, 0), 0, "%s: not a sample: %s", instance,
                         line);
            take_sample(&e, line);
        }
    }
    unsigned n = (unsigned)e.n_series;
    free(copy);
    free(comment);
    free(sample);
    regfree(&e.comment);
    regfree(&e.sample);
    free_list(e.types, e.n_types);
    free_list(e.series, e.n_series);
    return n;
}
