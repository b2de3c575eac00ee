#include "transform/transform.h"

#include "transform/mapping.h"

/* Maps the tables; *changed: at least one is not the same at the target. */
static struct xfm_mapping *map_tables(const struct lutra_pipeline_def *def,
                                      Lutra__ChangeBatch *batch,
                                      struct lutra_arena *arena,
                                      bool *changed,
                                      struct lutra_error *err)
{
    struct xfm_mapping *mappings = lutra_arena_alloc(arena, batch->n_tables * sizeof *mappings);
    *changed = false;
    for (size_t i = 0; i < batch->n_tables; i++) {
        if (xfm_mapping_init(&mappings[i], def, batch->tables[i], arena, err)) {
            return NULL;
        }
        *changed = *changed || mappings[i].target != mappings[i].source;
        batch->tables[i] = mappings[i].target;
    }
    return mappings;
}

int lutra_transform_work(const struct lutra_pipeline *pipeline,
                         const struct lutra_envelope *envelope,
                         const uint8_t *payload,
                         size_t len,
                         struct lutra_arena *arena,
                         struct lutra_stage_output *out,
                         struct lutra_error *err)
{
    bool changed;
    Lutra__ChangeBatch *batch =
        lutra_stage_change_batch(pipeline, envelope, payload, len, arena, err);
    if (!batch) {
        return -1;
    }
    const struct xfm_mapping *mappings = map_tables(pipeline->def, batch, arena, &changed, err);
    if (!mappings) {
        return -1;
    }
    for (size_t i = 0; i < batch->n_groups; i++) {
        Lutra__RowGroup *group = batch->groups[i];
        const struct xfm_mapping *mapping = &mappings[group->table];
        out->rows += group->n_rows;
        if (mapping->keep && xfm_mapping_rows(mapping, group, arena, err)) {
            return -1;
        }
    }
    if (!changed) {
        lutra_buf_append(&out->payload, payload, len);
        return 0;
    }
    return lutra_stage_pack(batch, &out->payload, err);
}

static int start(struct lutra_daemon *daemon,
                 const struct lutra_env *env,
                 const void *config,
                 void **state,
                 struct lutra_error *err)
{
    (void)daemon;
    (void)err;
    return lutra_stage_start(env, LUTRA_STAGE_TRANSFORM, lutra_transform_work, config, state);
}

const struct lutra_service lutra_transform_service = {
    .name = "transform",
    .description = "maps tables and columns to the target's",
    .keys = lutra_stage_config_keys,
    .config_size = sizeof(struct lutra_stage_config),
    .start = start,
    .catalog = lutra_stage_catalog,
    .drain = lutra_stage_drain,
    .stop = lutra_stage_stop,
    .ready = lutra_stage_ready,
    .state_json = lutra_stage_state_json,
};
