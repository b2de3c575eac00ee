#include "coord/owner.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "coord/keeper.h"
#include "model/records.h"

enum { REGISTRATION_MAGIC = 0x7a5c1301, OWNER_MAGIC = 0x7a5c1302 };

/* --- registration --- */

struct lutra_registration {
    uint32_t magic;
    char *path, *data;
    bool told; /* that another's node stands there */
    struct lutra_keeper *keeper;
};

static void reg_fill(struct lutra_buf *out, void *arg)
{
    const struct lutra_registration *reg = arg;

    lutra_buf_append(out, reg->data, strlen(reg->data));
}

static bool reg_ours(const char *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    (void)arg;
    return true; /* of our session: the keeper brings the content up to date */
}

static uint64_t reg_delay_ms(void *arg)
{
    (void)arg;
    return 0;
}

static void reg_foreign(const char *data, size_t len, void *arg)
{
    struct lutra_registration *reg = arg;

    (void)data;
    (void)len;
    if (!reg->told) {
        reg->told = true;
        LUTRA_WARN("coord.registration_taken", LUTRA_F_STR("path", reg->path),
                   LUTRA_F_STR("hint", "a former run of this instance, or another instance of the "
                                       "same name; waiting for its session to end"));
    }
}

static void reg_changed(enum lutra_keeper_state state, void *arg)
{
    struct lutra_registration *reg = arg;

    if (state == LUTRA_KEEPER_HELD) {
        reg->told = false;
        LUTRA_DEBUG("coord.registered", LUTRA_F_STR("path", reg->path));
    }
}

static const struct lutra_keeper_ops registration_ops = {
    .fill = reg_fill,
    .ours = reg_ours,
    .delay_ms = reg_delay_ms,
    .foreign = reg_foreign,
    .changed = reg_changed,
};

struct lutra_registration *
lutra_registration_new(struct lutra_coord *coord, const char *path, const char *data)
{
    struct lutra_registration *reg = LUTRA_NEW(struct lutra_registration);

    reg->magic = REGISTRATION_MAGIC;
    reg->path = lutra_strdup(path);
    reg->data = lutra_strdup(data);
    reg->keeper = lutra_keeper_new(coord, path, &registration_ops, reg);
    lutra_keeper_set(reg->keeper, data, strlen(data));
    return reg;
}

void lutra_registration_set(struct lutra_registration *reg, const char *data)
{
    char *copy = lutra_strdup(data);

    LUTRA_ASSERT(reg->magic == REGISTRATION_MAGIC);
    lutra_free(reg->data);
    reg->data = copy;
    lutra_keeper_set(reg->keeper, data, strlen(data));
}

void lutra_registration_free(struct lutra_registration *reg)
{
    if (!reg) {
        return;
    }
    LUTRA_ASSERT(reg->magic == REGISTRATION_MAGIC);
    lutra_keeper_free(reg->keeper);
    lutra_free(reg->path);
    lutra_free(reg->data);
    reg->magic = 0;
    lutra_free(reg);
}

/* --- owner --- */

struct lutra_owner {
    uint32_t magic;
    struct lutra_coord *coord;
    char *instance;
    uint64_t protection_ms;
    void (*fn)(enum lutra_owner_state state, void *arg);
    void *arg;
    enum lutra_owner_state state;
    struct lutra_owner_record record; /* as made last */
    bool at_once; /* nobody else has owned it since we did, or since we look: no protection delay */
    struct lutra_task *stood_down;
    struct lutra_keeper *keeper;
};

static void owner_fill(struct lutra_buf *out, void *arg)
{
    struct lutra_owner *owner = arg;

    (void)snprintf(owner->record.instance, sizeof(owner->record.instance), "%s", owner->instance);
    (void)snprintf(owner->record.session, sizeof(owner->record.session), "%.46s-%016" PRIx64,
                   owner->instance, lutra_loop_random(lutra_coord_loop(owner->coord)));
    lutra_owner_to_json(&owner->record, out);
}

static bool owner_ours(const char *data, size_t len, void *arg)
{
    const struct lutra_owner *owner = arg;
    struct lutra_owner_record record;
    struct lutra_error err;

    return lutra_owner_from_json(data, len, &record, &err) == 0 &&
           strcmp(record.session, owner->record.session) == 0;
}

static uint64_t owner_delay_ms(void *arg)
{
    const struct lutra_owner *owner = arg;

    return owner->at_once ? 0 : owner->protection_ms;
}

static void owner_foreign(const char *data, size_t len, void *arg)
{
    struct lutra_owner *owner = arg;
    struct lutra_owner_record record;
    struct lutra_error err;

    /* A node of this instance is that of our former self, which is gone when its session is. */
    owner->at_once = lutra_owner_from_json(data, len, &record, &err) == 0 &&
                     strcmp(record.instance, owner->instance) == 0;
}

static void owner_changed(enum lutra_keeper_state state, void *arg)
{
    static const enum lutra_owner_state states[] = {
        [LUTRA_KEEPER_NONE] = LUTRA_OWNER_STANDBY,
        [LUTRA_KEEPER_HELD] = LUTRA_OWNER_OWNED,
        [LUTRA_KEEPER_DOUBTFUL] = LUTRA_OWNER_SUSPENDED,
    };
    struct lutra_owner *owner = arg;

    LUTRA_ASSERT(owner->magic == OWNER_MAGIC);
    owner->state = states[state];
    if (state == LUTRA_KEEPER_HELD) {
        owner->at_once = true;
    }
    owner->fn(owner->state, owner->arg); /* may free the owner */
}

static const struct lutra_keeper_ops owner_ops = {
    .fill = owner_fill,
    .ours = owner_ours,
    .delay_ms = owner_delay_ms,
    .foreign = owner_foreign,
    .changed = owner_changed,
};

static void on_stood_down(void *arg)
{
    struct lutra_owner *owner = arg;

    LUTRA_ASSERT(owner->magic == OWNER_MAGIC);
    owner->fn(owner->state, owner->arg);
}

struct lutra_owner *lutra_owner_new(struct lutra_coord *coord,
                                    const char *path,
                                    const char *instance,
                                    uint64_t protection_ms,
                                    void (*fn)(enum lutra_owner_state state, void *arg),
                                    void *arg)
{
    struct lutra_owner *owner = LUTRA_NEW(struct lutra_owner);

    owner->magic = OWNER_MAGIC;
    owner->coord = coord;
    owner->instance = lutra_strdup(instance);
    owner->protection_ms = protection_ms;
    owner->fn = fn;
    owner->arg = arg;
    owner->at_once = true;
    owner->stood_down = lutra_task_new(lutra_coord_loop(coord), on_stood_down, owner);
    owner->keeper = lutra_keeper_new(coord, path, &owner_ops, owner);
    return owner;
}

enum lutra_owner_state lutra_owner_state_of(const struct lutra_owner *owner)
{
    return owner->state;
}

const char *lutra_owner_session(const struct lutra_owner *owner)
{
    return owner->state == LUTRA_OWNER_STANDBY ? "" : owner->record.session;
}

void lutra_owner_stand_down(struct lutra_owner *owner, uint64_t back_off_ms)
{
    LUTRA_ASSERT(owner->magic == OWNER_MAGIC);
    owner->at_once = false;
    /* At least a moment: STANDBY is told before the node can be taken again. */
    lutra_keeper_give_up(owner->keeper, back_off_ms > 0 ? back_off_ms : 1);
    if (owner->state != LUTRA_OWNER_STANDBY) {
        owner->state = LUTRA_OWNER_STANDBY;
        lutra_task_schedule(owner->stood_down);
    }
}

void lutra_owner_free(struct lutra_owner *owner)
{
    if (!owner) {
        return;
    }
    LUTRA_ASSERT(owner->magic == OWNER_MAGIC);
    lutra_keeper_free(owner->keeper);
    lutra_task_free(owner->stood_down);
    lutra_free(owner->instance);
    owner->magic = 0;
    lutra_free(owner);
}
