/* Where the oldest process in flight is, in plain words: which stage and instance have it in hand,
 * or which partition it lies in, and who of those that served the pipeline is silent or gone. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "manager/manager_private.h"

struct search {
    const char *pipeline;
    uint64_t process_id;
    json_int_t partition; /* -1: not known */
    uint64_t now_ms;
    const struct mgr_node *holder;
    const json_t *holds;             /* what that one says of the pipeline */
    const char *extract, *transform; /* who reads that partition */
    char *silent;
    size_t silent_size;
};

static bool has_number(const json_t *array, json_int_t number)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (json_integer_value(json_array_get(array, i)) == number) {
            return true;
        }
    }
    return false;
}

static void add_silent(struct search *search, const struct mgr_node *node)
{
    size_t len = strlen(search->silent);

    if (node->vanished_ms != 0) {
        snprintf(search->silent + len, search->silent_size - len,
                 "; %s %s is gone for %" PRIu64 " s", node->service, node->instance,
                 (search->now_ms > node->vanished_ms ? search->now_ms - node->vanished_ms : 0) /
                     1000);
    } else {
        snprintf(search->silent + len, search->silent_size - len, "; %s %s does not answer",
                 node->service, node->instance);
    }
}

static void look_at(const struct mgr_node *node, void *arg)
{
    struct search *search = arg;
    bool extract = strcmp(node->service, "extract") == 0;
    const json_t *entry;

    if (!extract && strcmp(node->service, "transform") != 0) {
        return;
    }
    entry = mgr_state_entry(node->root, search->pipeline);
    if (entry == NULL) {
        return;
    }
    if (search->process_id != 0 &&
        has_number(json_object_get(entry, "in_hand"), (json_int_t)search->process_id)) {
        search->holder = node;
        search->holds = entry;
    }
    if (node->vanished_ms != 0 || !node->answers) {
        add_silent(search, node);
    } else if (search->partition >= 0 &&
               has_number(json_object_get(entry, "assigned"), search->partition)) {
        *(extract ? &search->extract : &search->transform) = node->instance;
    }
}

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));

    return text != NULL ? text : "";
}

static void tell_holder(const struct search *search, char *text, size_t size)
{
    const char *error = text_of(search->holds, "last_error");

    if (search->holder->answers) {
        snprintf(text, size, "process %" PRIu64 " is in hand at %s %s%s%.120s", search->process_id,
                 search->holder->service, search->holder->instance,
                 error[0] != '\0' ? ", which says: " : "", error);
    } else {
        snprintf(text, size, "process %" PRIu64 " was in hand at %s %s when that answered last",
                 search->process_id, search->holder->service, search->holder->instance);
    }
}

static void tell_nobody(const struct search *search, char *text, size_t size)
{
    int n = snprintf(text, size, "no stage that answers has process %" PRIu64 " in hand",
                     search->process_id);

    if (n > 0 && search->partition >= 0) {
        snprintf(text + n, size - (size_t)n,
                 "; it was published to partition %" JSON_INTEGER_FORMAT
                 ", which extract %s and transform %s read",
                 search->partition, search->extract != NULL ? search->extract : "(nobody)",
                 search->transform != NULL ? search->transform : "(nobody)");
    }
}

void mgr_pipeline_find(struct mgr_pipeline *mine, const json_t *select, const json_t *load)
{
    struct lutra_manager *manager = mine->manager;
    const json_t *oldest = json_object_get(select, "oldest");
    const json_t *partition = json_object_get(oldest, "partition");
    json_int_t id = json_integer_value(json_object_get(oldest, "process_id"));
    struct search search = {
        .pipeline = mine->pipeline->id,
        .partition = json_is_integer(partition) ? json_integer_value(partition) : -1,
        .now_ms = lutra_loop_now_ms(manager->options.loop),
        .silent = mine->silent,
        .silent_size = sizeof(mine->silent),
    };

    mine->whereabouts[0] = mine->silent[0] = '\0';
    if (id <= 0 && json_integer_value(json_object_get(select, "in_flight")) > 0) {
        id = json_integer_value(json_object_get(select, "consumed")) + 1;
    }
    search.process_id = id > 0 ? (uint64_t)id : 0;
    mgr_nodes_each(manager->nodes, look_at, &search);
    if (id <= 0) {
        return;
    }
    if (has_number(json_object_get(load, "buffered"), id)) {
        const char *waits = text_of(load, "waits");

        snprintf(mine->whereabouts, sizeof(mine->whereabouts),
                 "process %" JSON_INTEGER_FORMAT " is in hand at load %s%s%.120s", id,
                 mine->pipeline->has_load ? mine->pipeline->load_owner.instance : "",
                 waits[0] != '\0' ? ": " : "", waits);
    } else if (search.holder != NULL) {
        tell_holder(&search, mine->whereabouts, sizeof(mine->whereabouts));
    } else {
        tell_nobody(&search, mine->whereabouts, sizeof(mine->whereabouts));
    }
}
