/* The janitor's removing: what was asked for and is in the list, one by one. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "manager/janitor_private.h"

static void remove_next(struct mgr_op *op);

static void on_removed(const struct lutra_error *err, void *arg)
{
    struct mgr_op *op = arg;
    struct jan *jan = op->jan;
    json_t *item = json_array_get(jan->wanted, jan->i++);

    if (err == NULL) {
        json_array_append(jan->removed, item);
        mgr_events_add(op->manager->events, "janitor", op->name, "%s %s removed, by %s",
                       json_string_value(json_object_get(item, "kind")),
                       json_string_value(json_object_get(item, "name")), op->by);
    } else {
        json_array_append_new(jan->failed,
                              json_pack("{s:O, s:s}", "item", item, "error", err->msg));
    }
    remove_next(op);
}

static void on_tree(const struct lutra_coord_result *result, void *arg)
{
    bool gone = result->rc == LUTRA_COORD_OK || result->rc == LUTRA_COORD_NO_NODE;
    struct lutra_error err = {.class = LUTRA_RETRY, .msg = "ZooKeeper did not answer"};

    on_removed(gone ? NULL : &err, arg);
}

static void on_record_removed(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_error err = {.class = LUTRA_RETRY, .msg = "it was written meanwhile: list again"};

    if (result->rc == LUTRA_COORD_BAD_VERSION) {
        on_removed(&err, arg);
    } else {
        on_tree(result, arg);
    }
}

static void remove_one(struct mgr_op *op, const json_t *item)
{
    const char *kind = json_string_value(json_object_get(item, "kind"));
    const char *name = json_string_value(json_object_get(item, "name"));
    const char *where = json_string_value(json_object_get(item, "where"));
    const char *pipeline = json_string_value(json_object_get(item, "pipeline"));
    const json_t *version = json_object_get(item, "version");
    struct lutra_error err = {0};
    struct lutra_bus *bus = NULL;
    struct lutra_leftovers *target = jan_target_named(op->jan, where);

    if (strcmp(kind, "topic") == 0 || strcmp(kind, "offsets") == 0) {
        bus = lutra_buses_get(op->manager->options.buses, where, &err);
        if (bus == NULL) {
            on_removed(&err, op);
        } else if (strcmp(kind, "topic") == 0) {
            lutra_bus_delete_topics(bus, &name, 1, on_removed, op);
        } else {
            const char *slash = strchr(name, '/');
            LUTRA_AUTO_FREE char *group = lutra_strndup(name, (size_t)(slash - name));

            lutra_bus_delete_offsets(bus, group, slash + 1, on_removed, op);
        }
    } else if (version != NULL) {
        lutra_coord_delete(op->manager->options.coord, name, (int32_t)json_integer_value(version),
                           on_record_removed, op);
    } else if (strcmp(kind, "znode") == 0) {
        lutra_coord_delete_tree(op->manager->options.coord, name, on_tree, op);
    } else if (target == NULL) {
        (void)lutra_error_set(&err, LUTRA_RETRY, 0, "target %s is not there any more", where);
        on_removed(&err, op);
    } else if (strcmp(kind, "checkpoint") == 0) {
        lutra_leftovers_delete_rows(target, pipeline, on_removed, op);
    } else {
        lutra_leftovers_kill(
            target, pipeline, (unsigned)json_integer_value(json_object_get(item, "lock")),
            (uint64_t)json_integer_value(json_object_get(item, "connection")), on_removed, op);
    }
}

static void remove_next(struct mgr_op *op)
{
    struct jan *jan = op->jan;

    if (jan->i == json_array_size(jan->wanted)) {
        mgr_op_answer(op, json_pack("{s:O, s:O, s:O}", "removed", jan->removed, "failed",
                                    jan->failed, "warnings", jan->warnings));
        return;
    }
    remove_one(op, json_array_get(jan->wanted, jan->i));
}

static bool is_same(const json_t *item, const json_t *asked)
{
    static const char *const keys[] = {"kind", "name", "where", "version"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const json_t *a = json_object_get(item, keys[i]), *b = json_object_get(asked, keys[i]);

        if ((a != NULL || b != NULL) && !json_equal(a, b)) {
            return false;
        }
    }
    return true;
}

/* Puts the found items in the place of those asked for; the first that is not there, or NULL. */
static const json_t *match_wanted(struct jan *jan)
{
    json_t *matched = json_array(), *item;
    const json_t *asked;
    size_t i, k;

    json_array_foreach(jan->wanted, i, asked)
    {
        bool there = false;

        json_array_foreach(jan->items, k, item)
        {
            if (is_same(item, asked)) {
                json_array_append(matched, item);
                there = true;
                break;
            }
        }
        if (!there) {
            json_decref(matched);
            return asked;
        }
    }
    json_decref(jan->wanted);
    jan->wanted = matched;
    return NULL;
}

void jan_remove(struct mgr_op *op)
{
    struct jan *jan = op->jan;
    const json_t *missing;

    if (jan->blocked) {
        mgr_op_fail(op, 409, "conflict", "nothing is removed: %s",
                    json_string_value(json_array_get(jan->warnings, 0)));
        return;
    }
    missing = match_wanted(jan);
    if (missing != NULL) {
        const char *kind = json_string_value(json_object_get(missing, "kind"));
        const char *name = json_string_value(json_object_get(missing, "name"));

        mgr_op_fail(op, 409, "conflict",
                    "nothing is removed: %s %s is not left over (any more): list again",
                    kind != NULL ? kind : "?", name != NULL ? name : "?");
        return;
    }
    jan->i = 0;
    remove_next(op);
}
