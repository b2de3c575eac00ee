/* Private to binlog/: SQL tokens. */
#ifndef LUTRA_BINLOG_DDL_LEX_H
#define LUTRA_BINLOG_DDL_LEX_H

#include <stdbool.h>
#include <stddef.h>

enum lutra_token_kind {
    LUTRA_TOKEN_END,
    LUTRA_TOKEN_BAD,    /* a quote or comment that does not end */
    LUTRA_TOKEN_WORD,   /* keyword, plain identifier or number */
    LUTRA_TOKEN_QUOTED, /* `identifier`, or "identifier" under ANSI_QUOTES (else a string) */
    LUTRA_TOKEN_STRING, /* 'text' */
    LUTRA_TOKEN_PUNCT,  /* one character */
};

struct lutra_token {
    enum lutra_token_kind kind;
    char quote;       /* ` or " of QUOTED */
    const char *text; /* without quotes; doubled quotes still doubled */
    size_t len;
};

struct lutra_lexer {
    const char *p, *end;
    /* What the text alone does not tell: whether this server ran the contents of versioned
     * comments, and whether a backslash escapes in strings (NO_BACKSLASH_ESCAPES). */
    bool run_comments, escapes;
    bool in_comment;
    bool saw_comment, saw_backslash; /* so that it matters */
};

struct lutra_token lutra_lexer_next(struct lutra_lexer *lexer);

#endif
