/* The four topics of a pipeline are there before anything is published: three on the source's bus,
 * load's on the target's.
 *
 * They are asked for as soon as this process owns the pipeline, beside the wait for its epoch, and
 * once for a definition: an epoch that follows does not wait for them again. One that is gone later
 * is noticed by the credit that does not come (run.c), and sel_topics_forget brings it back. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "select/pipeline.h"

enum {
    HOUR_MS = 3600000,
    DAY_MS = 24 * HOUR_MS,
};

static void finished(struct sel_topics *topics, enum sel_topics_state state)
{
    topics->state = state;
    if (topics->p->run && topics->p->state == SEL_TOPICS) {
        sel_run_topics(topics->p->run);
    }
}

static void failed(struct sel_topics *topics, const char *bus, const struct lutra_error *cause)
{
    topics->err = *cause;
    (void)lutra_error_wrap(&topics->err, "bus %s", bus);
    finished(topics, SEL_TOPICS_FAILED);
}

static void on_target(const struct lutra_error *err, void *arg)
{
    struct sel_topics *topics = arg;
    if (err) {
        failed(topics, topics->target_bus, err);
    } else {
        finished(topics, SEL_TOPICS_THERE);
    }
}

static void on_source(const struct lutra_error *err, void *arg)
{
    struct sel_topics *topics = arg;
    char name[80];
    if (err) {
        failed(topics, topics->source_bus, err);
        return;
    }
    const struct lutra_bus_topic load = {lutra_topic_name(topics->p->id, "load", name), 1, DAY_MS};
    lutra_bus_ensure_topics(topics->buses.target, &load, 1, on_target, topics);
}

void sel_topics_want(struct sel_pipeline *p)
{
    struct sel_topics *topics = &p->topics;
    const struct lutra_pipeline_def *def = p->view->def;
    char names[3][80];
    bool same = topics->config_version == p->view->config_version &&
                lutra_bus_pair_same(&topics->buses, &p->buses);
    if (same && (topics->state == SEL_TOPICS_ASKED || topics->state == SEL_TOPICS_THERE)) {
        return;
    }
    sel_topics_forget(p);
    topics->p = p;
    topics->buses = p->buses;
    topics->config_version = p->view->config_version;
    (void)snprintf(topics->source_bus, sizeof(topics->source_bus), "%s", def->source_bus);
    (void)snprintf(topics->target_bus, sizeof(topics->target_bus), "%s", def->target_bus);
    topics->state = SEL_TOPICS_ASKED;
    const struct lutra_bus_topic three[] = {
        {lutra_topic_name(p->id, "extract", names[0]), (int32_t)def->partitions, DAY_MS},
        {lutra_topic_name(p->id, "transform", names[1]), (int32_t)def->partitions, DAY_MS},
        {lutra_topic_name(p->id, "termin", names[2]), 1, HOUR_MS},
    };
    lutra_bus_ensure_topics(topics->buses.source, three, 3, on_source, topics);
}

void sel_topics_forget(struct sel_pipeline *p)
{
    lutra_bus_pair_forget(&p->topics.buses, &p->topics);
    p->topics.state = SEL_TOPICS_UNKNOWN;
}
