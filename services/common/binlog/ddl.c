#include "binlog/ddl.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "binlog/ddl_lex.h"

struct parser {
    struct lutra_lexer lexer;
    struct lutra_token token; /* the current one */
    const char *default_schema;
    size_t default_schema_len;
    struct lutra_query *query;
};

/* ---- results ---- */

static void set(struct parser *p, enum lutra_query_class class, enum lutra_query_scope scope)
{
    p->query->class = class;
    p->query->scope = scope;
}

static void add_name(struct lutra_query *query, char *schema, char *table)
{
    query->names = lutra_realloc(query->names, (query->n_names + 1) * sizeof(*query->names));
    query->names[query->n_names++] = (struct lutra_query_name){.schema = schema, .table = table};
}

void lutra_query_fini(struct lutra_query *query)
{
    for (size_t i = 0; i < query->n_names; i++) {
        lutra_free(query->names[i].schema);
        lutra_free(query->names[i].table);
    }
    lutra_free(query->names);
    *query = (struct lutra_query){.class = LUTRA_QUERY_UNKNOWN, .scope = LUTRA_QUERY_ANY};
}

const char *lutra_query_class_name(enum lutra_query_class class)
{
    static const char *const names[] = {
        [LUTRA_QUERY_BEGIN] = "begin",
        [LUTRA_QUERY_COMMIT] = "commit",
        [LUTRA_QUERY_ROLLBACK] = "rollback",
        [LUTRA_QUERY_SAVEPOINT] = "savepoint",
        [LUTRA_QUERY_ROLLBACK_TO] = "rollback_to",
        [LUTRA_QUERY_XA] = "xa",
        [LUTRA_QUERY_DDL] = "ddl",
        [LUTRA_QUERY_DML] = "dml",
        [LUTRA_QUERY_OTHER] = "other",
        [LUTRA_QUERY_UNKNOWN] = "unknown",
    };
    return names[class];
}

/* ---- tokens ---- */

static void advance(struct parser *p)
{
    p->token = lutra_lexer_next(&p->lexer);
}

static bool at_word(const struct parser *p, const char *word)
{
    return p->token.kind == LUTRA_TOKEN_WORD && p->token.len == strlen(word) &&
           strncasecmp(p->token.text, word, p->token.len) == 0;
}

/* The current token is one of the words, which are separated by blanks. */
static bool at_one_of(const struct parser *p, const char *words)
{
    while (*words) {
        size_t len = strcspn(words, " ");
        if (p->token.kind == LUTRA_TOKEN_WORD && p->token.len == len &&
            strncasecmp(p->token.text, words, len) == 0) {
            return true;
        }
        words += len + (words[len] == ' ');
    }
    return false;
}

static bool take_word(struct parser *p, const char *word)
{
    if (!at_word(p, word)) {
        return false;
    }
    advance(p);
    return true;
}

static bool at_punct(const struct parser *p, char c)
{
    return p->token.kind == LUTRA_TOKEN_PUNCT && *p->token.text == c;
}

static bool take_punct(struct parser *p, char c)
{
    if (!at_punct(p, c)) {
        return false;
    }
    advance(p);
    return true;
}

/* The identifier at the current token, unquoted; NULL: there is none. */
static char *take_identifier(struct parser *p)
{
    const struct lutra_token *t = &p->token;
    if ((t->kind != LUTRA_TOKEN_WORD && t->kind != LUTRA_TOKEN_QUOTED) || t->len == 0 ||
        memchr(t->text, '\0', t->len)) {
        return NULL;
    }
    char *name = lutra_strndup(t->text, t->len), *to = name;
    for (const char *from = name; *from; from++) {
        *to++ = *from;
        if (t->kind == LUTRA_TOKEN_QUOTED && *from == t->quote) {
            from++; /* doubled */
        }
    }
    *to = '\0';
    advance(p);
    return name;
}

/* [schema.]table is added to the names. False: not understood, or no schema known. */
static bool take_table(struct parser *p)
{
    LUTRA_AUTO_FREE char *first = take_identifier(p);
    if (!first) {
        return false;
    }
    if (take_punct(p, '.')) {
        char *second = take_identifier(p);
        if (second) {
            add_name(p->query, LUTRA_STEAL(first), second);
        }
        return second != NULL;
    }
    if (p->default_schema_len == 0) {
        return false;
    }
    add_name(p->query, lutra_strndup(p->default_schema, p->default_schema_len), LUTRA_STEAL(first));
    return true;
}

static void skip_if_exists(struct parser *p)
{
    if (take_word(p, "IF")) {
        (void)take_word(p, "NOT");
        (void)take_word(p, "EXISTS");
    }
}

/* The rest of the statement must be one statement. */
static bool ends_well(struct parser *p)
{
    while (p->token.kind != LUTRA_TOKEN_END) {
        if (p->token.kind == LUTRA_TOKEN_BAD) {
            return false;
        }
        bool end = at_punct(p, ';');
        advance(p);
        if (end && p->token.kind != LUTRA_TOKEN_END) {
            return false;
        }
    }
    return true;
}

/* ---- statements: each returns whether it was understood ---- */

static bool ddl_names(struct parser *p, bool understood)
{
    set(p, LUTRA_QUERY_DDL, LUTRA_QUERY_NAMES);
    return understood && ends_well(p);
}

static bool ddl_no_table(struct parser *p)
{
    set(p, LUTRA_QUERY_DDL, LUTRA_QUERY_NO_TABLE);
    return true;
}

static bool ddl_schema(struct parser *p)
{
    skip_if_exists(p);
    char *schema = take_identifier(p);
    if (schema) {
        add_name(p->query, schema, NULL);
    }
    return ddl_names(p, schema != NULL);
}

/* Objects that have no rows and no part in a table's definition. */
static const char rowless[] =
    "VIEW PROCEDURE FUNCTION TRIGGER EVENT PACKAGE USER ROLE SERVER TABLESPACE UNDO "
    "LOGFILE RESOURCE LIBRARY INSTANCE";

/* ALGORITHM=..., DEFINER=..., SQL SECURITY ..., AGGREGATE: only such objects have them. */
static bool rowless_with_options(struct parser *p)
{
    enum { TOKENS_MAX = 24 };
    if (!at_one_of(p, "ALGORITHM DEFINER SQL AGGREGATE")) {
        return false;
    }
    for (int i = 0; i < TOKENS_MAX && p->token.kind != LUTRA_TOKEN_END; i++) {
        if (at_one_of(p, "VIEW PROCEDURE FUNCTION TRIGGER EVENT PACKAGE")) {
            return ddl_no_table(p);
        }
        advance(p);
    }
    return false;
}

/* After INDEX: [IF [NOT] EXISTS] name [USING type] ON table. */
static bool index_on(struct parser *p)
{
    skip_if_exists(p);
    LUTRA_AUTO_FREE char *index = take_identifier(p);
    if (index && take_word(p, "USING")) {
        advance(p);
    }
    return ddl_names(p, index && take_word(p, "ON") && take_table(p));
}

static bool create(struct parser *p)
{
    bool temporary;
    if (take_word(p, "OR") && !take_word(p, "REPLACE")) {
        return false;
    }
    temporary = take_word(p, "TEMPORARY");
    if (take_word(p, "TABLE") || take_word(p, "SEQUENCE")) {
        skip_if_exists(p);
        return temporary ? ddl_no_table(p) : ddl_names(p, take_table(p));
    }
    if (take_word(p, "DATABASE") || take_word(p, "SCHEMA")) {
        return ddl_schema(p);
    }
    if (at_one_of(p, rowless)) {
        return ddl_no_table(p);
    }
    while (at_one_of(p, "UNIQUE FULLTEXT SPATIAL VECTOR ONLINE OFFLINE")) {
        advance(p);
    }
    if (at_word(p, "REFERENCE")) { /* SPATIAL REFERENCE SYSTEM */
        return ddl_no_table(p);
    }
    if (take_word(p, "INDEX")) {
        return index_on(p);
    }
    return rowless_with_options(p);
}

/* RENAME [TO|AS|=] table, but not RENAME COLUMN, INDEX, KEY. */
static bool alter_rename(struct parser *p)
{
    if (at_one_of(p, "COLUMN INDEX KEY CONSTRAINT")) {
        return true;
    }
    if (!take_word(p, "TO") && !take_word(p, "AS")) {
        (void)take_punct(p, '=');
    }
    return take_table(p);
}

/* The list of changes, for the other tables that they name: RENAME TO t, EXCHANGE PARTITION p WITH
 * TABLE t, CONVERT PARTITION p TO TABLE t, CONVERT TABLE t TO PARTITION p. Both words are reserved.
 */
static bool alter_list(struct parser *p)
{
    int depth = 0;
    while (p->token.kind != LUTRA_TOKEN_END) {
        if (p->token.kind == LUTRA_TOKEN_BAD) {
            return false;
        }
        depth += at_punct(p, '(') ? 1 : at_punct(p, ')') ? -1 : 0;
        bool rename = depth == 0 && at_word(p, "RENAME"), table = depth == 0 && at_word(p, "TABLE");
        bool end = at_punct(p, ';');
        advance(p);
        if ((rename && !alter_rename(p)) || (table && !take_table(p)) ||
            (end && p->token.kind != LUTRA_TOKEN_END)) {
            return false;
        }
    }
    return depth == 0;
}

static bool alter(struct parser *p)
{
    while (at_one_of(p, "ONLINE OFFLINE IGNORE")) {
        advance(p);
    }
    if (take_word(p, "TABLE")) {
        skip_if_exists(p);
        return ddl_names(p, take_table(p) && alter_list(p));
    }
    if (take_word(p, "SEQUENCE")) {
        skip_if_exists(p);
        return ddl_names(p, take_table(p));
    }
    if (take_word(p, "DATABASE") || take_word(p, "SCHEMA")) {
        /* The name may be left out; a name given is told from the options by what follows it. */
        if (at_one_of(p, "CHARACTER CHARSET COLLATE DEFAULT ENCRYPTION READ COMMENT UPGRADE")) {
            if (p->default_schema_len == 0) {
                return false;
            }
            add_name(p->query, lutra_strndup(p->default_schema, p->default_schema_len), NULL);
            return ddl_names(p, true);
        }
        return ddl_schema(p);
    }
    return at_one_of(p, rowless) ? ddl_no_table(p) : rowless_with_options(p);
}

static bool table_list(struct parser *p)
{
    do {
        if (!take_table(p)) {
            return false;
        }
    } while (take_punct(p, ','));
    return true;
}

static bool drop(struct parser *p)
{
    bool temporary = take_word(p, "TEMPORARY");
    if (take_word(p, "TABLE") || take_word(p, "TABLES") || take_word(p, "SEQUENCE")) {
        skip_if_exists(p);
        return temporary ? ddl_no_table(p) : ddl_names(p, table_list(p));
    }
    if (take_word(p, "DATABASE") || take_word(p, "SCHEMA")) {
        return ddl_schema(p);
    }
    while (at_one_of(p, "ONLINE OFFLINE")) {
        advance(p);
    }
    if (take_word(p, "INDEX")) {
        return index_on(p);
    }
    return (at_one_of(p, rowless) || at_word(p, "SPATIAL")) && ddl_no_table(p);
}

static bool rename_tables(struct parser *p)
{
    if (at_word(p, "USER")) {
        return ddl_no_table(p);
    }
    if (!take_word(p, "TABLE") && !take_word(p, "TABLES")) {
        return false;
    }
    skip_if_exists(p);
    do {
        if (!take_table(p)) {
            return false;
        }
        if (take_word(p, "WAIT")) {
            advance(p);
        } else {
            (void)take_word(p, "NOWAIT");
        }
        if (!take_word(p, "TO") || !take_table(p)) {
            return false;
        }
    } while (take_punct(p, ','));
    return ddl_names(p, true);
}

/* Names the first table for messages; which tables change cannot be known. */
static bool dml(struct parser *p)
{
    bool named = at_one_of(p, "INSERT REPLACE UPDATE DELETE");
    advance(p);
    while (at_one_of(p, "LOW_PRIORITY HIGH_PRIORITY DELAYED QUICK IGNORE INTO FROM")) {
        advance(p);
    }
    if (named) {
        (void)take_table(p);
    }
    set(p, LUTRA_QUERY_DML, LUTRA_QUERY_ANY);
    return true;
}

static bool rollback(struct parser *p)
{
    (void)take_word(p, "WORK");
    set(p, at_word(p, "TO") ? LUTRA_QUERY_ROLLBACK_TO : LUTRA_QUERY_ROLLBACK, LUTRA_QUERY_NO_TABLE);
    return ends_well(p);
}

static bool plain(struct parser *p, enum lutra_query_class class)
{
    set(p, class, LUTRA_QUERY_NO_TABLE);
    return ends_well(p);
}

/* BEGIN also opens MariaDB's compound statements (BEGIN NOT ATOMIC ... END). */
static bool begin(struct parser *p)
{
    (void)take_word(p, "WORK");
    set(p, LUTRA_QUERY_BEGIN, LUTRA_QUERY_NO_TABLE);
    (void)take_punct(p, ';');
    return p->token.kind == LUTRA_TOKEN_END;
}

static const char rowless_statements[] =
    "SET USE FLUSH GRANT REVOKE ANALYZE OPTIMIZE REPAIR CHECK CHECKSUM KILL RESET CHANGE INSTALL "
    "UNINSTALL PURGE LOCK "
    "UNLOCK SHOW EXPLAIN DESCRIBE DESC HELP PREPARE DEALLOCATE CACHE SHUTDOWN RESTART STOP CLONE "
    "BACKUP START";

static bool statement(struct parser *p)
{
    if (take_word(p, "BEGIN")) {
        return begin(p);
    }
    if (take_word(p, "COMMIT")) {
        return plain(p, LUTRA_QUERY_COMMIT);
    }
    if (take_word(p, "ROLLBACK")) {
        return rollback(p);
    }
    if (at_one_of(p, "SAVEPOINT RELEASE")) {
        return plain(p, LUTRA_QUERY_SAVEPOINT);
    }
    if (at_word(p, "XA")) {
        return plain(p, LUTRA_QUERY_XA);
    }
    if (take_word(p, "CREATE")) {
        return create(p);
    }
    if (take_word(p, "ALTER")) {
        return alter(p);
    }
    if (take_word(p, "DROP")) {
        return drop(p);
    }
    if (take_word(p, "RENAME")) {
        return rename_tables(p);
    }
    if (take_word(p, "TRUNCATE")) {
        (void)take_word(p, "TABLE");
        return ddl_names(p, take_table(p));
    }
    if (at_one_of(
            p,
            "INSERT REPLACE UPDATE DELETE LOAD CALL DO SELECT WITH HANDLER VALUES TABLE EXECUTE") ||
        at_punct(p, '(')) {
        return dml(p);
    }
    if (take_word(p, "START")) {
        return plain(p, at_word(p, "TRANSACTION") ? LUTRA_QUERY_BEGIN : LUTRA_QUERY_OTHER);
    }
    return at_one_of(p, rowless_statements) && plain(p, LUTRA_QUERY_OTHER);
}

/* ---- the readings ---- */

static bool is_ddl_word(const struct parser *p)
{
    return at_one_of(p, "CREATE ALTER DROP RENAME TRUNCATE");
}

/* Returns false when the text holds no token at all, in this reading. */
static bool read_once(struct parser *p)
{
    advance(p);
    if (p->token.kind == LUTRA_TOKEN_END) {
        return false;
    }
    bool ddl = is_ddl_word(p);
    if (!statement(p)) {
        lutra_query_fini(p->query);
        p->query->class = ddl ? LUTRA_QUERY_DDL : LUTRA_QUERY_UNKNOWN;
    }
    return true;
}

static bool same(const struct lutra_query *a, const struct lutra_query *b)
{
    if (a->class != b->class || a->scope != b->scope || a->n_names != b->n_names) {
        return false;
    }
    for (size_t i = 0; i < a->n_names; i++) {
        const char *ta = a->names[i].table, *tb = b->names[i].table;
        if (strcmp(a->names[i].schema, b->names[i].schema) != 0 || !ta != !tb ||
            (ta && strcmp(ta, tb) != 0)) {
            return false;
        }
    }
    return true;
}

/* Names in TABLE_MAP are UTF-8. A text of another character set may even hide quotes inside
 * characters. */
static bool is_utf8(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    while (p < end) {
        unsigned more = *p < 0x80                 ? 0
                        : *p >= 0xc2 && *p < 0xe0 ? 1
                        : *p >= 0xe0 && *p < 0xf0 ? 2
                        : *p >= 0xf0 && *p < 0xf5 ? 3
                                                  : 4;
        if (more == 4 || (size_t)(end - p) <= more) {
            return false;
        }
        for (p++; more > 0; more--, p++) {
            if ((*p & 0xc0) != 0x80) {
                return false;
            }
        }
    }
    return true;
}

void lutra_query_parse(const struct lutra_event_query *in, struct lutra_query *query)
{
    struct lutra_query readings[4];
    size_t n = 0;
    bool saw_comment = false, saw_backslash = false;
    /* The text is read under each assumption that makes a difference; only agreement counts. */
    for (unsigned i = 0; i < 4; i++) {
        bool run_comments = !(i & 1), escapes = !(i & 2);
        bool wanted = escapes ? in->escapes != LUTRA_ESCAPES_NONE
                              : in->escapes == LUTRA_ESCAPES_NONE ||
                                    (in->escapes == LUTRA_ESCAPES_UNKNOWN && saw_backslash);
        if (!wanted || (!run_comments && !saw_comment)) {
            continue;
        }
        struct parser p = {.lexer = {.p = in->text,
                                     .end = in->text + in->text_len,
                                     .run_comments = run_comments,
                                     .escapes = escapes},
                           .default_schema = in->schema,
                           .default_schema_len = in->schema_len,
                           .query = &readings[n]};
        readings[n] =
            (struct lutra_query){.class = LUTRA_QUERY_OTHER, .scope = LUTRA_QUERY_NO_TABLE};
        bool has_tokens = read_once(&p);
        saw_comment = saw_comment || p.lexer.saw_comment;
        saw_backslash = saw_backslash || p.lexer.saw_backslash;
        if (has_tokens || n == 0) {
            n++;
        }
    }
    *query = readings[0];
    for (size_t i = 1; i < n; i++) {
        if (!same(query, &readings[i])) {
            enum lutra_query_class class =
                query->class == readings[i].class ? query->class : LUTRA_QUERY_UNKNOWN;
            lutra_query_fini(query);
            query->class = class;
        }
        lutra_query_fini(&readings[i]);
    }
    if (query->scope != LUTRA_QUERY_ANY && query->class == LUTRA_QUERY_DDL &&
        !is_utf8(in->text, in->text_len)) {
        lutra_query_fini(query);
        query->class = LUTRA_QUERY_DDL;
    }
}

enum lutra_query_concern
lutra_query_concerns(const struct lutra_query *query,
                     bool (*match)(const char *schema, const char *table, void *arg),
                     void *arg)
{
    switch (query->scope) {
    case LUTRA_QUERY_NO_TABLE:
        return LUTRA_CONCERNS_NONE;
    case LUTRA_QUERY_NAMES:
        for (size_t i = 0; i < query->n_names; i++) {
            if (match(query->names[i].schema, query->names[i].table, arg)) {
                return LUTRA_CONCERNS_SOME;
            }
        }
        return LUTRA_CONCERNS_NONE;
    case LUTRA_QUERY_ANY:
        break;
    }
    return LUTRA_CONCERNS_UNKNOWN;
}
