#include "binlog/ddl_lex.h"

#include <string.h>

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool starts_with(const struct lutra_lexer *lexer, const char *s)
{
    size_t len = strlen(s);
    return (size_t)(lexer->end - lexer->p) >= len && memcmp(lexer->p, s, len) == 0;
}

/* After the opening of a comment. False: it does not end. */
static bool skip_comment(struct lutra_lexer *lexer)
{
    const char *close = memmem(lexer->p, (size_t)(lexer->end - lexer->p), "*/", 2);
    if (!close) {
        return false;
    }
    lexer->p = close + 2;
    return true;
}

static void skip_line(struct lutra_lexer *lexer)
{
    const char *close = memchr(lexer->p, '\n', (size_t)(lexer->end - lexer->p));
    lexer->p = close ? close + 1 : lexer->end;
}

/* Blanks and comments; enters and leaves versioned comments when their contents count. False:
 * unterminated. */
static bool skip_blanks(struct lutra_lexer *lexer)
{
    while (lexer->p < lexer->end) {
        if (is_blank(*lexer->p)) {
            lexer->p++;
        } else if (*lexer->p == '#') {
            skip_line(lexer);
        } else if (starts_with(lexer, "--") &&
                   (lexer->end - lexer->p == 2 || (unsigned char)lexer->p[2] <= ' ')) {
            skip_line(lexer);
        } else if (starts_with(lexer, "/*!") || starts_with(lexer, "/*M!")) {
            lexer->saw_comment = true;
            if (!lexer->run_comments) {
                lexer->p += 2;
                if (!skip_comment(lexer)) {
                    return false;
                }
                continue;
            }
            lexer->p += lexer->p[2] == 'M' ? 4 : 3;
            lexer->in_comment = true;
            for (int i = 0; i < 6 && lexer->p < lexer->end && *lexer->p >= '0' && *lexer->p <= '9';
                 i++) {
                lexer->p++;
            }
        } else if (starts_with(lexer, "/*")) {
            lexer->p += 2;
            if (!skip_comment(lexer)) {
                return false;
            }
        } else if (lexer->in_comment && starts_with(lexer, "*/")) {
            lexer->p += 2;
            lexer->in_comment = false;
        } else {
            return true;
        }
    }
    return !lexer->in_comment;
}

static struct lutra_token quoted(struct lutra_lexer *lexer, char quote)
{
    struct lutra_token token = {.kind = quote == '\'' ? LUTRA_TOKEN_STRING : LUTRA_TOKEN_QUOTED,
                                .quote = quote};
    token.text = ++lexer->p;
    while (lexer->p < lexer->end) {
        char c = *lexer->p++;
        if (c == '\\' && quote != '`') {
            lexer->saw_backslash = true;
            if (lexer->escapes && lexer->p < lexer->end) {
                lexer->p++;
            }
        } else if (c == quote) {
            if (lexer->p < lexer->end && *lexer->p == quote) {
                lexer->p++;
                continue;
            }
            token.len = (size_t)(lexer->p - 1 - token.text);
            return token;
        }
    }
    token.kind = LUTRA_TOKEN_BAD;
    return token;
}

struct lutra_token lutra_lexer_next(struct lutra_lexer *lexer)
{
    struct lutra_token token = {.kind = LUTRA_TOKEN_END};
    if (!skip_blanks(lexer)) {
        token.kind = LUTRA_TOKEN_BAD;
        return token;
    }
    if (lexer->p == lexer->end) {
        return token;
    }
    char c = *lexer->p;
    if (c == '`' || c == '"' || c == '\'') {
        return quoted(lexer, c);
    }
    token.text = lexer->p;
    if (is_word(c)) {
        token.kind = LUTRA_TOKEN_WORD;
        while (lexer->p < lexer->end && is_word(*lexer->p)) {
            lexer->p++;
        }
    } else {
        token.kind = LUTRA_TOKEN_PUNCT;
        lexer->p++;
    }
    token.len = (size_t)(lexer->p - token.text);
    return token;
}
