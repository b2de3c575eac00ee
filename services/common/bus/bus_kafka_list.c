/* What there is on the broker: topics, and offsets of groups; for the janitor. Rare, so each is one
 * blocking job of the worker. */
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "bus/bus_kafka_impl.h"

enum list_kind { LIST_TOPICS, LIST_GROUP, LIST_DELETE };

struct kafka_list {
    struct lutra_job job;
    struct kafka_bus *bus;
    rd_kafka_t *rk;
    enum list_kind kind;
    char *group, *topic;
    char **names;
    size_t n;
    struct lutra_error err;
    lutra_bus_names_fn done; /* both NULL: forgotten */
    lutra_bus_ack_fn deleted;
    void *arg;
    struct kafka_list *prev, *next;
};

/* ---- on the worker ---- */

static void add_name(struct kafka_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->names[i], name) == 0) {
            return;
        }
    }
    list->names = lutra_realloc(list->names, (list->n + 1) * sizeof(char *));
    list->names[list->n++] = lutra_strdup(name);
}

static void run_topics(struct kafka_list *list)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(list->rk, 1, NULL, &metadata, KAFKA_ADMIN_TIMEOUT_MS);

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_error(&list->err, code, NULL);
        lutra_error_wrap(&list->err, "the list of topics");
        return;
    }
    for (int i = 0; i < metadata->topic_cnt; i++) {
        add_name(list, metadata->topics[i].topic);
    }
    rd_kafka_metadata_destroy(metadata);
}

static rd_kafka_event_t *wait_event(struct kafka_list *list, rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_ADMIN_TIMEOUT_MS + 1000);

    if (!event) {
        lutra_error_set(&list->err, LUTRA_RETRY, 0, "kafka: group %s: no answer", list->group);
    } else if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_error(&list->err, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        lutra_error_wrap(&list->err, "group %s", list->group);
    }
    return event;
}

/* The group's result, or NULL with the error set; valid as long as the event. */
static const rd_kafka_group_result_t *
group_result(struct kafka_list *list, const rd_kafka_group_result_t **groups, size_t n)
{
    const rd_kafka_error_t *error = n == 1 ? rd_kafka_group_result_error(groups[0]) : NULL;

    if (n != 1) {
        lutra_error_set(&list->err, LUTRA_RETRY, 0, "kafka: no answer for group %s", list->group);
        return NULL;
    }
    if (error) {
        kafka_error(&list->err, rd_kafka_error_code(error), rd_kafka_error_string(error));
        lutra_error_wrap(&list->err, "group %s", list->group);
        return NULL;
    }
    return groups[0];
}

/* What the group has committed; the list is the caller's. NULL with the error set. */
static rd_kafka_topic_partition_list_t *committed(struct kafka_list *list, rd_kafka_queue_t *queue)
{
    rd_kafka_ListConsumerGroupOffsets_t *ask =
        rd_kafka_ListConsumerGroupOffsets_new(list->group, NULL);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(list->rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_topic_partition_list_t *copy = NULL;
    rd_kafka_event_t *event;

    rd_kafka_AdminOptions_set_request_timeout(options, KAFKA_ADMIN_TIMEOUT_MS, NULL, 0);
    rd_kafka_ListConsumerGroupOffsets(list->rk, &ask, 1, options, queue);
    event = wait_event(list, queue);
    if (event && list->err.class == LUTRA_OK) {
        size_t n;
        const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(event), &n);
        const rd_kafka_group_result_t *group = group_result(list, groups, n);

        if (group && rd_kafka_group_result_partitions(group)) {
            copy = rd_kafka_topic_partition_list_copy(rd_kafka_group_result_partitions(group));
        } else if (group) {
            copy = rd_kafka_topic_partition_list_new(0);
        }
    }
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ListConsumerGroupOffsets_destroy(ask);
    return copy;
}

static void delete_committed(struct kafka_list *list,
                             rd_kafka_queue_t *queue,
                             rd_kafka_topic_partition_list_t *all)
{
    rd_kafka_topic_partition_list_t *these = rd_kafka_topic_partition_list_new(all->cnt);
    rd_kafka_DeleteConsumerGroupOffsets_t *ask;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_event_t *event;

    for (int i = 0; i < all->cnt; i++) {
        if (strcmp(all->elems[i].topic, list->topic) == 0) {
            rd_kafka_topic_partition_list_add(these, list->topic, all->elems[i].partition);
        }
    }
    if (these->cnt > 0) {
        ask = rd_kafka_DeleteConsumerGroupOffsets_new(list->group, these);
        options = rd_kafka_AdminOptions_new(list->rk, RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS);
        rd_kafka_AdminOptions_set_request_timeout(options, KAFKA_ADMIN_TIMEOUT_MS, NULL, 0);
        rd_kafka_DeleteConsumerGroupOffsets(list->rk, &ask, 1, options, queue);
        event = wait_event(list, queue);
        if (event && list->err.class == LUTRA_OK) {
            size_t n;
            const rd_kafka_group_result_t **groups =
                rd_kafka_DeleteConsumerGroupOffsets_result_groups(
                    rd_kafka_event_DeleteConsumerGroupOffsets_result(event), &n);

            (void)group_result(list, groups, n);
        }
        if (event) {
            rd_kafka_event_destroy(event);
        }
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_DeleteConsumerGroupOffsets_destroy(ask);
    }
    rd_kafka_topic_partition_list_destroy(these);
}

static void run_group(struct kafka_list *list)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(list->rk);
    rd_kafka_topic_partition_list_t *all = committed(list, queue);

    if (all && list->kind == LIST_DELETE) {
        delete_committed(list, queue, all);
    } else if (all) {
        for (int i = 0; i < all->cnt; i++) {
            if (all->elems[i].offset >= 0) {
                add_name(list, all->elems[i].topic);
            }
        }
    }
    if (all) {
        rd_kafka_topic_partition_list_destroy(all);
    }
    rd_kafka_queue_destroy(queue);
}

static void list_run(struct lutra_job *job, void *worker_state)
{
    struct kafka_list *list = (struct kafka_list *)job;

    (void)worker_state;
    if (!list->rk) {
        lutra_error_set(&list->err, LUTRA_RETRY, 0, "kafka: there is no producer");
    } else if (list->kind == LIST_TOPICS) {
        run_topics(list);
    } else {
        run_group(list);
    }
}

/* ---- on the loop ---- */

static void list_done(struct lutra_job *job)
{
    struct kafka_list *list = (struct kafka_list *)job;
    const struct lutra_error *err = list->err.class == LUTRA_OK ? NULL : &list->err;

    DL_DELETE(list->bus->lists, list);
    if (!list->bus->closing && list->done) {
        list->done((const char *const *)list->names, err ? 0 : list->n, err, list->arg);
    } else if (!list->bus->closing && list->deleted) {
        list->deleted(err, list->arg);
    }
    for (size_t i = 0; i < list->n; i++) {
        lutra_free(list->names[i]);
    }
    lutra_free(list->names);
    lutra_free(list->group);
    lutra_free(list->topic);
    lutra_free(list);
}

static void
ask(struct lutra_bus *base, enum list_kind kind, const struct kafka_list *what, void *arg)
{
    struct kafka_bus *bus = (struct kafka_bus *)base;
    struct kafka_list *list = LUTRA_NEW(struct kafka_list);

    *list = *what;
    list->job.run = list_run;
    list->job.done = list_done;
    list->bus = bus;
    list->rk = bus->producer;
    list->kind = kind;
    list->arg = arg;
    DL_APPEND(bus->lists, list);
    lutra_worker_submit(bus->worker, &list->job);
}

void kafka_list_topics(struct lutra_bus *base, lutra_bus_names_fn done, void *arg)
{
    ask(base, LIST_TOPICS, &(struct kafka_list){.done = done}, arg);
}

void kafka_group_topics(struct lutra_bus *base,
                        const char *group,
                        lutra_bus_names_fn done,
                        void *arg)
{
    ask(base, LIST_GROUP, &(struct kafka_list){.done = done, .group = lutra_strdup(group)}, arg);
}

void kafka_delete_offsets(
    struct lutra_bus *base, const char *group, const char *topic, lutra_bus_ack_fn done, void *arg)
{
    ask(base, LIST_DELETE,
        &(struct kafka_list){
            .deleted = done, .group = lutra_strdup(group), .topic = lutra_strdup(topic)},
        arg);
}

void kafka_list_forget(struct kafka_bus *bus, const void *arg)
{
    struct kafka_list *list;

    DL_FOREACH(bus->lists, list)
    {
        if (list->arg == arg) {
            list->done = NULL;
            list->deleted = NULL;
        }
    }
}
