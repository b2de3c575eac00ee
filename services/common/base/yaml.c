/* The tree out of libyaml's events. Reading values from it is in yaml_read.c. */
#include "base/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/mem.h"

enum { MAX_INPUT_BYTES = 8 << 20, MAX_DEPTH = 64, MAX_NODES = 100000 };

struct builder {
    yaml_parser_t parser;
    const char *name;
    struct lutra_error *err;
    unsigned depth, n_nodes;
};

static struct lutra_yaml *parse_node(struct builder *builder, yaml_event_t *event);

static void node_free(struct lutra_yaml *node)
{
    if (!node) {
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        node_free(node->items[i]);
        if (node->keys) {
            node_free(node->keys[i]);
        }
    }
    lutra_free(node->items);
    lutra_free(node->keys);
    lutra_free(node->text);
    lutra_free(node);
}

void lutra_yaml_free(struct lutra_yaml *root)
{
    node_free(root);
}

static void *refuse(struct builder *builder, yaml_mark_t mark, const char *what)
{
    lutra_error_set(builder->err, LUTRA_CONFIG, 0, "%s:%zu:%zu: %s", builder->name, mark.line + 1,
                    mark.column + 1, what);
    return NULL;
}

static bool next_event(struct builder *builder, yaml_event_t *event)
{
    yaml_parser_t *parser = &builder->parser;

    if (yaml_parser_parse(parser, event)) {
        return true;
    }
    if (parser->error == YAML_READER_ERROR) {
        lutra_error_set(builder->err, LUTRA_CONFIG, 0, "%s: byte %zu: %s", builder->name,
                        parser->problem_offset, parser->problem ? parser->problem : "not UTF-8");
    } else {
        lutra_error_set(builder->err, LUTRA_CONFIG, 0, "%s:%zu:%zu: %s%s%s", builder->name,
                        parser->problem_mark.line + 1, parser->problem_mark.column + 1,
                        parser->problem ? parser->problem : "not YAML", parser->context ? " " : "",
                        parser->context ? parser->context : "");
    }
    return false;
}

static struct lutra_yaml *node_new(enum lutra_yaml_kind kind, yaml_mark_t mark)
{
    struct lutra_yaml *node = LUTRA_NEW(struct lutra_yaml);

    node->kind = kind;
    node->line = (unsigned)mark.line + 1;
    node->column = (unsigned)mark.column + 1;
    return node;
}

static struct lutra_yaml *parse_scalar(struct builder *builder, const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    struct lutra_yaml *node;

    if (strlen(value) != event->data.scalar.length) {
        return refuse(builder, event->start_mark, "a text with a NUL byte in it");
    }
    if (event->data.scalar.tag) {
        return refuse(builder, event->start_mark, "tags are not supported");
    }
    node = node_new(LUTRA_YAML_SCALAR, event->start_mark);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = lutra_strdup(value);
    return node;
}

/* Room for one more child: capacities are the powers of two. */
static void grow(struct lutra_yaml *node)
{
    if ((node->n & (node->n - 1)) == 0) {
        size_t cap = node->n ? node->n * 2 : 1;

        node->items = lutra_realloc(node->items, cap * sizeof(struct lutra_yaml *));
        if (node->kind == LUTRA_YAML_MAPPING) {
            node->keys = lutra_realloc(node->keys, cap * sizeof(struct lutra_yaml *));
        }
    }
}

static int by_text_then_place(const void *a, const void *b)
{
    const struct lutra_yaml *x = *(const struct lutra_yaml *const *)a;
    const struct lutra_yaml *y = *(const struct lutra_yaml *const *)b;
    int order = strcmp(x->text, y->text);

    if (order == 0) {
        order = x->line != y->line ? (x->line < y->line ? -1 : 1)
                                   : (x->column > y->column) - (x->column < y->column);
    }
    return order;
}

static int check_duplicates(struct builder *builder, const struct lutra_yaml *map)
{
    LUTRA_AUTO_FREE struct lutra_yaml **sorted = NULL;

    if (map->n < 2) {
        return 0;
    }
    sorted = lutra_alloc(map->n * sizeof(struct lutra_yaml *));
    memcpy(sorted, map->keys, map->n * sizeof(struct lutra_yaml *));
    qsort(sorted, map->n, sizeof(struct lutra_yaml *), by_text_then_place);
    for (size_t i = 1; i < map->n; i++) {
        if (strcmp(sorted[i - 1]->text, sorted[i]->text) == 0) {
            return lutra_yaml_error(sorted[i], builder->name, builder->err,
                                    "key \"%s\" was already given in line %u", sorted[i]->text,
                                    sorted[i - 1]->line);
        }
    }
    return 0;
}

/* Children up to the end event of the collection. */
static int parse_children(struct builder *builder, struct lutra_yaml *node)
{
    bool mapping = node->kind == LUTRA_YAML_MAPPING;

    for (;;) {
        struct lutra_yaml *child, *key = NULL;
        yaml_event_t event;

        if (!next_event(builder, &event)) {
            return -1;
        }
        if (event.type == (mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT)) {
            yaml_event_delete(&event);
            return mapping ? check_duplicates(builder, node) : 0;
        }
        child = parse_node(builder, &event);
        if (child && mapping) {
            key = child;
            child = NULL;
            if (key->kind != LUTRA_YAML_SCALAR) {
                lutra_yaml_error(key, builder->name, builder->err, "a key must be a plain text");
            } else if (next_event(builder, &event)) {
                child = parse_node(builder, &event);
            }
        }
        if (!child) {
            node_free(key);
            return -1;
        }
        grow(node);
        if (mapping) {
            node->keys[node->n] = key;
        }
        node->items[node->n++] = child;
    }
}

static struct lutra_yaml *parse_collection(struct builder *builder, const yaml_event_t *event)
{
    bool mapping = event->type == YAML_MAPPING_START_EVENT;
    struct lutra_yaml *node;

    if (mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag) {
        return refuse(builder, event->start_mark, "tags are not supported");
    }
    if (builder->depth >= MAX_DEPTH) {
        return refuse(builder, event->start_mark, "nested too deeply");
    }
    node = node_new(mapping ? LUTRA_YAML_MAPPING : LUTRA_YAML_SEQUENCE, event->start_mark);
    builder->depth++;
    if (parse_children(builder, node) < 0) {
        node_free(node);
        return NULL;
    }
    builder->depth--;
    return node;
}

/* Consumes *event. */
static struct lutra_yaml *parse_node(struct builder *builder, yaml_event_t *event)
{
    struct lutra_yaml *node;

    if (++builder->n_nodes > MAX_NODES) {
        node = refuse(builder, event->start_mark, "too many values");
    } else if (event->type == YAML_SCALAR_EVENT) {
        node = parse_scalar(builder, event);
    } else if (event->type == YAML_MAPPING_START_EVENT ||
               event->type == YAML_SEQUENCE_START_EVENT) {
        node = parse_collection(builder, event);
    } else {
        node = refuse(builder, event->start_mark, "aliases are not supported");
    }
    yaml_event_delete(event);
    return node;
}

/* The next event must be of this type. */
static bool expect(struct builder *builder, yaml_event_type_t type, const char *what)
{
    yaml_event_t event;
    bool is;

    if (!next_event(builder, &event)) {
        return false;
    }
    is = event.type == type;
    if (!is) {
        refuse(builder, event.start_mark, what);
    }
    yaml_event_delete(&event);
    return is;
}

static struct lutra_yaml *parse_document(struct builder *builder)
{
    struct lutra_yaml *root;
    yaml_event_t event;

    if (!expect(builder, YAML_STREAM_START_EVENT, "not YAML") || !next_event(builder, &event)) {
        return NULL;
    }
    if (event.type == YAML_STREAM_END_EVENT) { /* nothing but blanks and comments is null */
        root = node_new(LUTRA_YAML_SCALAR, event.start_mark);
        root->plain = true;
        root->text = lutra_strdup("");
        yaml_event_delete(&event);
        return root;
    }
    yaml_event_delete(&event); /* the start of the document */
    if (!next_event(builder, &event)) {
        return NULL;
    }
    root = parse_node(builder, &event);
    if (root && (!expect(builder, YAML_DOCUMENT_END_EVENT, "expected the end of the document") ||
                 !expect(builder, YAML_STREAM_END_EVENT, "expected one document only"))) {
        node_free(root);
        root = NULL;
    }
    return root;
}

struct lutra_yaml *
lutra_yaml_parse(const char *text, size_t len, const char *name, struct lutra_error *err)
{
    struct builder builder = {.name = name, .err = err};
    struct lutra_yaml *root;

    if (len > MAX_INPUT_BYTES) {
        lutra_error_set(err, LUTRA_CONFIG, 0, "%s: %zu bytes, at most %d are read", name, len,
                        MAX_INPUT_BYTES);
        return NULL;
    }
    if (!yaml_parser_initialize(&builder.parser)) {
        lutra_error_set(err, LUTRA_FATAL, 0, "%s: no memory for the YAML parser", name);
        return NULL;
    }
    yaml_parser_set_input_string(&builder.parser, (const unsigned char *)(text ? text : ""), len);
    root = parse_document(&builder);
    yaml_parser_delete(&builder.parser);
    return root;
}

/* All of the file, at most one byte more than is allowed. */
static int read_file(int fd, struct lutra_buf *buf)
{
    while (buf->len <= MAX_INPUT_BYTES) {
        ssize_t n;

        lutra_buf_reserve(buf, 64 << 10);
        n = read(fd, buf->data + buf->len, 64 << 10);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return (int)n;
        }
        buf->len += (size_t)n;
    }
    return 0;
}

struct lutra_yaml *lutra_yaml_load(const char *path, struct lutra_error *err)
{
    struct lutra_yaml *root = NULL;
    struct lutra_buf buf = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read_file(fd, &buf) < 0) {
        int code = errno;

        lutra_error_set(err, LUTRA_CONFIG, code, "%s: %s", path, strerror(code));
    } else {
        root = lutra_yaml_parse((const char *)buf.data, buf.len, path, err);
    }
    if (fd >= 0) {
        close(fd);
    }
    lutra_buf_fini(&buf);
    return root;
}
