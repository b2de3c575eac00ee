#include "db/source.h"

void lutra_source_check(
    struct lutra_source *source,
    bool (*match)(const char *schema, const char *table, const char *column, void *arg),
    void (*done)(const struct lutra_source_info *info, const struct lutra_error *err, void *arg),
    void *arg)
{
    source->ops->check(source, match, done, arg);
}

void lutra_source_resolve(struct lutra_source *source,
                          enum lutra_start_kind start,
                          const char *start_text,
                          void (*done)(const struct lutra_position *position,
                                       const struct lutra_error *err,
                                       void *arg),
                          void *arg)
{
    source->ops->resolve(source, start, start_text, done, arg);
}

void lutra_source_open(struct lutra_source *source,
                       const struct lutra_position *position,
                       uint32_t server_id,
                       uint64_t heartbeat_ms,
                       size_t max_event_bytes,
                       const struct lutra_source_handler *handler,
                       void *arg)
{
    source->ops->open(source, position, server_id, heartbeat_ms, max_event_bytes, handler, arg);
}

void lutra_source_pause(struct lutra_source *source, bool paused)
{
    source->ops->pause(source, paused);
}

void lutra_source_close(struct lutra_source *source)
{
    source->ops->close(source);
}

void lutra_source_free(struct lutra_source *source)
{
    if (source) {
        source->ops->free(source);
    }
}
