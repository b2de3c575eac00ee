#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "manager/cli/cli.h"

enum { MAX_COLUMNS = 16 };

struct cli_table {
    size_t columns, rows;
    char **cells; /* rows * columns; row 0: the headers */
};

static char *cell(const char *text)
{
    char *copy = lutra_strdup(text != NULL && text[0] != '\0' ? text : "-");

    for (char *p = copy; *p != '\0'; p++) { /* one row is one line */
        if (*p == '\n' || *p == '\r' || *p == '\t') {
            *p = ' ';
        }
    }
    return copy;
}

void cli_table_row(struct cli_table *table, const char *const *cells)
{
    size_t n = table->rows * table->columns;

    table->cells = lutra_realloc(table->cells, (n + table->columns) * sizeof(char *));
    for (size_t i = 0; i < table->columns; i++) {
        table->cells[n + i] = cell(cells[i]);
    }
    table->rows++;
}

struct cli_table *cli_table_new(const char *const *headers)
{
    struct cli_table *table = LUTRA_NEW(struct cli_table);

    while (headers[table->columns] != NULL && table->columns < MAX_COLUMNS) {
        table->columns++;
    }
    cli_table_row(table, headers);
    return table;
}

/* Characters, not bytes: UTF-8 continuation bytes take no room. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static bool is_number(const char *text)
{
    return text[0] >= '0' && text[0] <= '9' && strspn(text, "0123456789.") == strlen(text);
}

/* A column whose cells below the header are numbers or "-". */
static bool is_numeric(const struct cli_table *table, size_t column)
{
    bool any = false;

    for (size_t r = 1; r < table->rows; r++) {
        const char *text = table->cells[r * table->columns + column];

        if (is_number(text)) {
            any = true;
        } else if (strcmp(text, "-") != 0) {
            return false;
        }
    }
    return any;
}

void cli_table_end(struct cli_table *table, struct lutra_buf *out)
{
    size_t widths[MAX_COLUMNS] = {0};
    bool right[MAX_COLUMNS];

    for (size_t i = 0; i < table->rows * table->columns; i++) {
        size_t width = width_of(table->cells[i]);

        if (width > widths[i % table->columns]) {
            widths[i % table->columns] = width;
        }
    }
    for (size_t c = 0; c < table->columns; c++) {
        right[c] = is_numeric(table, c);
    }
    for (size_t r = 0; r < table->rows; r++) {
        for (size_t c = 0; c < table->columns; c++) {
            const char *text = table->cells[r * table->columns + c];
            int fill = (int)(widths[c] - width_of(text));
            bool last = c + 1 == table->columns;

            lutra_buf_printf(out, "%*s%s%*s", right[c] ? fill : 0, "", text,
                             right[c] || last ? 0 : fill, "");
            lutra_buf_printf(out, "%s", last ? "\n" : "  ");
        }
    }
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        lutra_free(table->cells[i]);
    }
    lutra_free(table->cells);
    lutra_free(table);
}
