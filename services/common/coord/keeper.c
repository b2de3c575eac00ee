#include "coord/keeper.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum { MAGIC = 0x7a5c1201, RETRY_MS = 1000 };

struct lutra_keeper {
    uint32_t magic;
    struct lutra_coord *coord;
    char *path;
    const struct lutra_keeper_ops *ops; /* NULL: freed, only deletes what it may have */
    void *arg;
    enum lutra_keeper_state state;
    struct lutra_buf data;
    int64_t filled_in;   /* the session `data` was filled in for; 0: none */
    bool rewrite;        /* a node of ours has `data`, or gets it */
    bool looking, again; /* a read is under way; and its answer is outdated */
    bool creating;       /* a create is under way */
    bool at_stake;       /* a node of ours may be there */
    bool giving_up;      /* and is to be deleted */
    uint64_t not_before_ms;
    struct lutra_timer *timer; /* until the node may be made */
};

static void look(struct lutra_keeper *keeper);

static void destroy(void *object)
{
    struct lutra_keeper *keeper = object;

    LUTRA_ASSERT(keeper->magic == MAGIC);
    lutra_coord_forget(keeper->coord, keeper);
    lutra_coord_unlisten(keeper->coord, keeper);
    lutra_timer_free(keeper->timer);
    lutra_buf_fini(&keeper->data);
    lutra_free(keeper->path);
    keeper->magic = 0;
    lutra_free(keeper);
}

/* The last thing a function does: what is called may free the keeper. */
static void set_state(struct lutra_keeper *keeper, enum lutra_keeper_state state)
{
    if (keeper->state != state) {
        keeper->state = state;
        if (keeper->ops && keeper->ops->changed) {
            keeper->ops->changed(state, keeper->arg);
        }
    }
}

/* Nothing of ours is there any more. true: that was all a freed keeper waited for, and it is gone.
 */
static bool nothing_left(struct lutra_keeper *keeper)
{
    keeper->at_stake = false;
    keeper->giving_up = false;
    if (!keeper->ops) {
        lutra_coord_detach(keeper->coord, keeper);
        destroy(keeper);
        return true;
    }
    return false;
}

static void on_refused(struct lutra_keeper *keeper, const struct lutra_coord_result *result)
{
    LUTRA_ERROR("coord.refused", LUTRA_F_STR("path", keeper->path), LUTRA_F_ERR(result->err));
    lutra_timer_start(keeper->timer, RETRY_MS);
}

/* --- making the node --- */

static void on_created(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_keeper *keeper = arg;

    LUTRA_ASSERT(keeper->magic == MAGIC);
    keeper->creating = false;
    if (result->rc == LUTRA_COORD_ERROR) {
        on_refused(keeper, result);
    }
    /* In every case: the watch; whose node is it, if it is there; was it made after all? */
    look(keeper);
    if (result->rc == LUTRA_COORD_OK && !keeper->giving_up) {
        set_state(keeper, LUTRA_KEEPER_HELD);
    }
}

static void create(struct lutra_keeper *keeper)
{
    int64_t session = lutra_coord_session_id(keeper->coord);

    if (keeper->filled_in != session) {
        lutra_buf_clear(&keeper->data);
        keeper->ops->fill(&keeper->data, keeper->arg);
        keeper->filled_in = session;
    }
    keeper->creating = true;
    keeper->at_stake = true;
    lutra_coord_create(keeper->coord, keeper->path, lutra_buf_cstr(&keeper->data), keeper->data.len,
                       LUTRA_COORD_EPHEMERAL, on_created, keeper);
}

static void on_timer(void *arg)
{
    struct lutra_keeper *keeper = arg;

    LUTRA_ASSERT(keeper->magic == MAGIC);
    if (keeper->ops && !keeper->creating && !keeper->giving_up &&
        keeper->state == LUTRA_KEEPER_NONE &&
        lutra_coord_state_of(keeper->coord) == LUTRA_COORD_CONNECTED) {
        create(keeper);
    } else {
        look(keeper);
    }
}

static void contend(struct lutra_keeper *keeper)
{
    uint64_t now_ms = lutra_loop_now_ms(lutra_coord_loop(keeper->coord));
    uint64_t delay_ms;

    if (keeper->creating || lutra_timer_active(keeper->timer)) {
        return;
    }
    delay_ms = keeper->ops->delay_ms(keeper->arg);
    if (keeper->not_before_ms > now_ms + delay_ms) {
        delay_ms = keeper->not_before_ms - now_ms;
    }
    if (delay_ms > 0) {
        lutra_timer_start(keeper->timer, delay_ms);
    } else {
        create(keeper);
    }
}

/* --- looking --- */

static void on_changed(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_keeper *keeper = arg;

    LUTRA_ASSERT(keeper->magic == MAGIC);
    if (result->rc == LUTRA_COORD_ERROR) {
        on_refused(keeper, result);
    } else {
        look(keeper); /* whatever the answer is, what counts is what is there now */
    }
}

static void on_our_node(struct lutra_keeper *keeper, const struct lutra_coord_result *result)
{
    keeper->at_stake = true;
    lutra_timer_stop(keeper->timer);
    if (keeper->giving_up || !keeper->ops->ours(result->data, result->len, keeper->arg)) {
        lutra_coord_delete(keeper->coord, keeper->path, result->stat.version, on_changed, keeper);
        return;
    }
    if (keeper->rewrite &&
        (result->len != keeper->data.len ||
         memcmp(result->data, lutra_buf_cstr(&keeper->data), result->len) != 0)) {
        lutra_coord_set(keeper->coord, keeper->path, lutra_buf_cstr(&keeper->data),
                        keeper->data.len, result->stat.version, on_changed, keeper);
    }
    set_state(keeper, LUTRA_KEEPER_HELD);
}

static void on_look(const struct lutra_coord_result *result, void *arg)
{
    struct lutra_keeper *keeper = arg;

    LUTRA_ASSERT(keeper->magic == MAGIC);
    keeper->looking = false;
    if (keeper->again) {
        look(keeper);
        return;
    }
    if (lutra_coord_state_of(keeper->coord) != LUTRA_COORD_CONNECTED ||
        (result->rc != LUTRA_COORD_OK && result->rc != LUTRA_COORD_NO_NODE)) {
        return; /* the watch fires when it is time to look again */
    }
    if (result->rc == LUTRA_COORD_OK &&
        result->stat.ephemeral_owner == lutra_coord_session_id(keeper->coord)) {
        on_our_node(keeper, result);
        return;
    }
    if (keeper->creating) {
        return; /* its answer decides, and looks again */
    }
    if (nothing_left(keeper)) {
        return;
    }
    if (result->rc == LUTRA_COORD_OK) {
        lutra_timer_stop(keeper->timer);
        keeper->ops->foreign(result->data, result->len, keeper->arg);
    } else {
        contend(keeper);
    }
    set_state(keeper, LUTRA_KEEPER_NONE);
}

static void on_watch(const char *path, void *arg)
{
    struct lutra_keeper *keeper = arg;

    (void)path;
    LUTRA_ASSERT(keeper->magic == MAGIC);
    look(keeper);
}

static void look(struct lutra_keeper *keeper)
{
    keeper->again = keeper->looking;
    if (!keeper->looking) {
        keeper->looking = true;
        lutra_coord_get(keeper->coord, keeper->path, on_watch, on_look, keeper);
    }
}

static void on_state(enum lutra_coord_state state, void *arg)
{
    struct lutra_keeper *keeper = arg;

    LUTRA_ASSERT(keeper->magic == MAGIC);
    if (state == LUTRA_COORD_CONNECTED) {
        return; /* the watch fires */
    }
    lutra_timer_stop(keeper->timer);
    if (state == LUTRA_COORD_SUSPENDED) {
        if (keeper->state == LUTRA_KEEPER_HELD) {
            set_state(keeper, LUTRA_KEEPER_DOUBTFUL);
        }
        return;
    }
    /* The node went with the session; a create under way has failed with it. */
    keeper->filled_in = 0;
    if (!nothing_left(keeper)) {
        set_state(keeper, LUTRA_KEEPER_NONE);
    }
}

/* --- the owner's side --- */

struct lutra_keeper *lutra_keeper_new(struct lutra_coord *coord,
                                      const char *path,
                                      const struct lutra_keeper_ops *ops,
                                      void *arg)
{
    struct lutra_keeper *keeper = LUTRA_NEW(struct lutra_keeper);

    keeper->magic = MAGIC;
    keeper->coord = coord;
    keeper->path = lutra_strdup(path);
    keeper->ops = ops;
    keeper->arg = arg;
    keeper->timer = lutra_timer_new(lutra_coord_loop(coord), on_timer, keeper);
    lutra_coord_listen(coord, on_state, keeper);
    look(keeper);
    return keeper;
}

void lutra_keeper_set(struct lutra_keeper *keeper, const char *data, size_t len)
{
    LUTRA_ASSERT(keeper->magic == MAGIC);
    lutra_buf_clear(&keeper->data);
    lutra_buf_append(&keeper->data, data, len);
    keeper->filled_in = lutra_coord_session_id(keeper->coord);
    keeper->rewrite = true;
    look(keeper);
}

void lutra_keeper_give_up(struct lutra_keeper *keeper, uint64_t back_off_ms)
{
    LUTRA_ASSERT(keeper->magic == MAGIC);
    lutra_timer_stop(keeper->timer);
    keeper->not_before_ms = lutra_loop_now_ms(lutra_coord_loop(keeper->coord)) + back_off_ms;
    keeper->giving_up = keeper->at_stake;
    keeper->filled_in = 0;
    keeper->state = LUTRA_KEEPER_NONE;
    look(keeper);
}

enum lutra_keeper_state lutra_keeper_state_of(const struct lutra_keeper *keeper)
{
    return keeper->state;
}

struct lutra_coord *lutra_keeper_coord(const struct lutra_keeper *keeper)
{
    return keeper->coord;
}

void lutra_keeper_free(struct lutra_keeper *keeper)
{
    if (!keeper) {
        return;
    }
    LUTRA_ASSERT(keeper->magic == MAGIC);
    if (!keeper->at_stake) {
        destroy(keeper);
        return;
    }
    keeper->ops = NULL;
    keeper->giving_up = true;
    lutra_timer_stop(keeper->timer);
    lutra_coord_attach(keeper->coord, destroy, keeper);
    look(keeper);
}
