#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/internal.h"
#include "support/test.h"

enum { MAX_LINES_PRINTED = 300, TIME_LEN = 32 };

struct line {
    char time[TIME_LEN]; /* ISO 8601, UTC: compares as text */
    size_t sequence;     /* keeps lines of one time in their order */
    char *text;
};
struct lines {
    size_t n, capacity;
    struct line *items;
};
static struct lines merged; /* nftw has no argument for its callback */
static size_t prefix_len;

/* The first ISO time of a line, "2026-11-23T21:43:30.123Z", within its beginning. */
static void find_time(const char *text, char *time)
{
    for (const char *p = text; *p && p - text < 24; p++) {
        if (strncmp(p, "20", 2) == 0 && strlen(p) >= 19 && p[4] == '-' && p[10] == 'T') {
            snprintf(time, TIME_LEN, "%.*s", (int)strcspn(p, " ,\""), p);
            return;
        }
    }
}

static void add_line(const char *name, const char *text, const char *time)
{
    if (merged.n == merged.capacity) {
        merged.capacity = merged.capacity ? merged.capacity * 2 : 1024;
        merged.items = realloc(merged.items, merged.capacity * sizeof(*merged.items));
        if (!merged.items) {
            abort();
        }
    }
    struct line *line = &merged.items[merged.n];
    snprintf(line->time, sizeof(line->time), "%s", time);
    line->sequence = merged.n++;
    line->text = lutra_test_format("[%s] %s", name, text);
}

static int add_file(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    size_t len = strlen(path);
    if (type != FTW_F || len < 4 || strcmp(path + len - 4, ".log") != 0) {
        return 0;
    }
    FILE *file = fopen(path, "re");
    if (!file) {
        return 0;
    }
    char *text = NULL, time[TIME_LEN] = "";
    size_t capacity = 0;
    while (getline(&text, &capacity, file) > 0) {
        text[strcspn(text, "\n")] = '\0';
        find_time(text, time);
        /* Of a server's log, in a folder of its own, only what went wrong. */
        if (ftw->level > 1 && !strstr(text, "ERROR") && !strstr(text, "FATAL")) {
            continue;
        }
        add_line(path + (ftw->level ? prefix_len : 0), text, time);
    }
    free(text);
    fclose(file);
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct line *left = a, *right = b;
    int order = strcmp(left->time, right->time);
    return order ? order : (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

void lutra_test_print_logs(const char *dir)
{
    prefix_len = strlen(dir) + 1;
    nftw(dir, add_file, 16, FTW_PHYS);
    if (merged.n) {
        qsort(merged.items, merged.n, sizeof(*merged.items), by_time);
    }
    size_t first = merged.n > MAX_LINES_PRINTED ? merged.n - MAX_LINES_PRINTED : 0;
    if (first) {
        fprintf(stderr, "(%zu earlier lines are in the folder)\n", first);
    }
    for (size_t i = 0; i < merged.n; i++) {
        if (i >= first) {
            fprintf(stderr, "%s\n", merged.items[i].text);
        }
        free(merged.items[i].text);
    }
    free(merged.items);
    merged = (struct lines){0};
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat, (void)type, (void)ftw;
    remove(path);
    return 0;
}

void lutra_test_remove_tree(const char *dir)
{
    nftw(dir, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
}
