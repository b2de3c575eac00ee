#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/yaml.h"

static struct lutra_error err;

static struct lutra_yaml *parse(const char *text)
{
    return lutra_yaml_parse(text, strlen(text), "f.yaml", &err);
}

static void refused(const char *text, const char *want)
{
    lutra_error_clear(&err);
    cr_assert_null(parse(text), "%s", text);
    cr_assert_eq(err.class, LUTRA_CONFIG);
    cr_assert_not_null(strstr(err.msg, want), "%s: \"%s\" has no \"%s\"", text, err.msg, want);
}

Test(yaml, a_tree_knows_where_it_stood)
{
    struct lutra_yaml *root =
        parse("# c\nname: demo\nlist:\n  - 1\n  - {a: b}\nempty:\nq: \"~\"\n");
    struct lutra_yaml *list = lutra_yaml_get(root, "list");

    cr_assert_not_null(root);
    cr_assert_eq(root->kind, LUTRA_YAML_MAPPING);
    cr_assert_eq(root->n, 4);
    cr_assert_str_eq(lutra_yaml_str(lutra_yaml_get(root, "name"), "f.yaml", &err), "demo");
    cr_assert_eq(list->kind, LUTRA_YAML_SEQUENCE);
    cr_assert_eq(list->n, 2);
    cr_assert_eq(list->items[1]->line, 5);
    cr_assert_eq(list->items[1]->column, 5);
    cr_assert_str_eq(lutra_yaml_get(list->items[1], "a")->text, "b");
    cr_assert(lutra_yaml_is_null(lutra_yaml_get(root, "empty")));
    cr_assert_not(lutra_yaml_is_null(lutra_yaml_get(root, "q")));
    cr_assert(lutra_yaml_is_null(NULL));
    cr_assert_null(lutra_yaml_get(root, "nope"));
    cr_assert_null(lutra_yaml_get(list, "name"));
    cr_assert_null(lutra_yaml_get(NULL, "name"));
    lutra_yaml_free(root);
    lutra_yaml_free(NULL);
}

Test(yaml, json_is_yaml)
{
    struct lutra_yaml *root = parse("{\"a\": [1, true, null, \"x\\ny\"]}");
    struct lutra_yaml *a = lutra_yaml_get(root, "a");
    bool b = false;

    cr_assert_not_null(a);
    cr_assert_eq(a->n, 4);
    cr_assert_eq(lutra_yaml_bool(a->items[1], "f", &b, &err), 0);
    cr_assert(b);
    cr_assert(lutra_yaml_is_null(a->items[2]));
    cr_assert_str_eq(a->items[3]->text, "x\ny");
    lutra_yaml_free(root);
}

Test(yaml, nothing_is_null)
{
    struct lutra_yaml *root = parse("# only a comment\n");

    cr_assert_not_null(root);
    cr_assert(lutra_yaml_is_null(root));
    lutra_yaml_free(root);
    root = lutra_yaml_parse(NULL, 0, "f", &err);
    cr_assert(lutra_yaml_is_null(root));
    lutra_yaml_free(root);
}

Test(yaml, what_is_refused_says_where)
{
    refused("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: key \"a\" was already given in line 1");
    refused("a: &x 1\nb: *x\n", "f.yaml:2:4: aliases");
    refused("a: !!binary x\n", "f.yaml:1:4: tags");
    refused("? [a]\n: b\n", "f.yaml:1:3: a key must");
    refused("a: [1, 2\n", "f.yaml:");
    refused("a: 'x\n", "f.yaml:");
    refused("--- 1\n--- 2\n", "f.yaml:2:1: expected one document");
    refused("a: \"x\\0y\"\n", "f.yaml:1:4: a text with a NUL");
    refused("a: \xff\n", "f.yaml");
    refused("\t- a", "f.yaml:");
}

Test(yaml, depth_nodes_and_size_are_bounded)
{
    struct lutra_buf text = {0};

    for (int i = 0; i < 65; i++) {
        lutra_buf_put_u8(&text, '[');
    }
    refused(lutra_buf_cstr(&text), "nested too deeply");
    lutra_buf_clear(&text);
    for (int i = 0; i < 64; i++) {
        lutra_buf_put_u8(&text, '[');
    }
    for (int i = 0; i < 64; i++) {
        lutra_buf_put_u8(&text, ']');
    }
    lutra_yaml_free(parse(lutra_buf_cstr(&text)));
    lutra_buf_clear(&text);
    lutra_buf_put_u8(&text, '[');
    for (int i = 0; i < 100001; i++) {
        lutra_buf_append(&text, "1,", 2);
    }
    refused(lutra_buf_cstr(&text), "too many values");
    lutra_buf_clear(&text);
    for (int i = 0; i < 9 << 20; i++) {
        lutra_buf_put_u8(&text, '\n');
    }
    refused(lutra_buf_cstr(&text), "at most");
    lutra_buf_fini(&text);
}

Test(yaml, typed_reading)
{
    static const char *const colours[] = {"red", "green", "blue", NULL};
    struct lutra_yaml *root = parse("n: 42\nsize: 64MiB\nt: 5s\nyes: true\nc: green\nbad: gren\n"
                                    "neg: -1\nquoted: \"true\"\n");
    uint64_t v = 0;
    unsigned i = 9;
    bool b = false;

    cr_assert_eq(lutra_yaml_u64(lutra_yaml_get(root, "n"), "f", 1, 100, &v, &err), 0);
    cr_assert_eq(v, 42);
    cr_assert_eq(lutra_yaml_size_bytes(lutra_yaml_get(root, "size"), "f", 0, UINT64_MAX, &v, &err),
                 0);
    cr_assert_eq(v, 64u << 20);
    cr_assert_eq(lutra_yaml_duration_ms(lutra_yaml_get(root, "t"), "f", 0, 10000, &v, &err), 0);
    cr_assert_eq(v, 5000);
    cr_assert_eq(lutra_yaml_bool(lutra_yaml_get(root, "yes"), "f", &b, &err), 0);
    cr_assert_eq(lutra_yaml_enum(lutra_yaml_get(root, "c"), "f", colours, &i, &err), 0);
    cr_assert_eq(i, 1);

    cr_assert_eq(lutra_yaml_u64(lutra_yaml_get(root, "n"), "f", 1, 41, &v, &err), -1);
    cr_assert_str_eq(err.msg, "f:1:4: \"42\", expected a whole number from 1 to 41");
    cr_assert_eq(lutra_yaml_u64(lutra_yaml_get(root, "neg"), "f", 1, 41, &v, &err), -1);
    cr_assert_eq(lutra_yaml_duration_ms(lutra_yaml_get(root, "n"), "f", 100, 60000, &v, &err), -1);
    cr_assert_str_eq(err.msg,
                     "f:1:4: \"42\", expected a duration such as 500ms, 10s or 5m, 100ms to 1m");
    cr_assert_eq(lutra_yaml_bool(lutra_yaml_get(root, "quoted"), "f", &b, &err), -1);
    cr_assert_eq(lutra_yaml_enum(lutra_yaml_get(root, "bad"), "f", colours, &i, &err), -1);
    cr_assert_str_eq(err.msg, "f:6:6: unknown value \"gren\", did you mean \"green\"?");
    cr_assert_null(lutra_yaml_str(NULL, "f", &err));
    cr_assert_str_eq(err.msg, "f: nothing, expected a text");
    cr_assert_null(lutra_yaml_str(root, "f", &err));
    lutra_yaml_free(root);
}

Test(yaml, unknown_keys_are_told_with_the_nearest_known)
{
    static const char *const known[] = {"name", "pipelines", NULL};
    struct lutra_yaml *root = parse("name: x\npiplines: []\n");

    cr_assert_eq(lutra_yaml_check_keys(root, "f", known, &err), -1);
    cr_assert_str_eq(err.msg, "f:2:1: unknown key \"piplines\", did you mean \"pipelines\"?");
    lutra_yaml_free(root);
    root = parse("zzz: x\n");
    cr_assert_eq(lutra_yaml_check_keys(root, "f", known, &err), -1);
    cr_assert_str_eq(err.msg, "f:1:1: unknown key \"zzz\", expected one of name, pipelines");
    lutra_yaml_free(root);
    root = parse("[1]");
    cr_assert_eq(lutra_yaml_check_keys(root, "f", known, &err), -1);
    lutra_yaml_free(root);
    root = parse("name: x\npipelines: 1\n");
    cr_assert_eq(lutra_yaml_check_keys(root, "f", known, &err), 0);
    lutra_yaml_free(root);
}

Test(yaml, did_you_mean_is_for_slips_only)
{
    static const char *const words[] = {"window", "batch_rows", "batch_bytes", NULL};

    cr_assert_str_eq(lutra_did_you_mean("windwo", words), "window");
    cr_assert_str_eq(lutra_did_you_mean("WINDOW", words), "window");
    cr_assert_str_eq(lutra_did_you_mean("batch_byte", words), "batch_bytes");
    cr_assert_null(lutra_did_you_mean("retention", words));
    cr_assert_null(lutra_did_you_mean("", words));
}

Test(yaml, a_file_that_is_not_there_is_named)
{
    cr_assert_null(lutra_yaml_load("/nonexistent/x.yaml", &err));
    cr_assert_eq(err.class, LUTRA_CONFIG);
    cr_assert_not_null(strstr(err.msg, "/nonexistent/x.yaml: No such file"));
    cr_assert_null(lutra_yaml_load("/", &err));
    cr_assert_not_null(strstr(err.msg, "/: Is a directory"));
}
