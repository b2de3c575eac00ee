/* Consumer groups of the broker in memory. Sticky: a partition stays with its owner unless the
 * owner has more than its share. A rebalance is one timer; it first tells all that lose partitions,
 * then those that get them. Callbacks may free, kill or resubscribe: what is to be told is written
 * down first and checked again before each call. */
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "bus/mem_broker.h"

struct seat {
    const char *topic; /* of the topic's struct */
    int32_t partition;
    struct mem_member *owner; /* to be */
};

struct change {
    uint64_t member_id;
    char *topic;
    int32_t partition;
};

struct changes {
    struct change *items;
    size_t n;
};

/* ---- offsets ---- */

static char *offset_key(const char *topic, int32_t partition)
{
    return lutra_asprintf("%s/%d", topic, (int)partition);
}

int64_t mem_group_committed(struct mem_group *group, const char *topic, int32_t partition)
{
    LUTRA_AUTO_FREE char *key = offset_key(topic, partition);
    struct mem_offset *offset;

    HASH_FIND_STR(group->offsets, key, offset);
    return offset ? offset->offset : -1;
}

void mem_group_commit(struct mem_group *group,
                      const char *topic,
                      int32_t partition,
                      int64_t next_offset)
{
    char *key = offset_key(topic, partition);
    struct mem_offset *offset;

    HASH_FIND_STR(group->offsets, key, offset);
    if (offset) {
        lutra_free(key);
    } else {
        offset = LUTRA_NEW(struct mem_offset);
        offset->key = key;
        HASH_ADD_KEYPTR(hh, group->offsets, offset->key, strlen(offset->key), offset);
    }
    offset->offset = next_offset;
}

/* "topic/partition": the topic alone; heap. */
static char *offset_topic(const struct mem_offset *offset)
{
    return lutra_strndup(offset->key, (size_t)(strrchr(offset->key, '/') - offset->key));
}

size_t mem_group_topics(struct mem_group *group, char ***names)
{
    struct mem_offset *offset, *tmp;
    size_t n = 0;

    *names = lutra_alloc((HASH_COUNT(group->offsets) + 1) * sizeof(char *));
    HASH_ITER(hh, group->offsets, offset, tmp)
    {
        char *topic = offset_topic(offset);
        size_t i = 0;

        while (i < n && strcmp((*names)[i], topic) != 0) {
            i++;
        }
        if (i < n) {
            lutra_free(topic);
        } else {
            (*names)[n++] = topic;
        }
    }
    return n;
}

void mem_group_delete_offsets(struct mem_group *group, const char *topic)
{
    struct mem_offset *offset, *tmp;

    HASH_ITER(hh, group->offsets, offset, tmp)
    {
        LUTRA_AUTO_FREE char *of = offset_topic(offset);

        if (strcmp(of, topic) == 0) {
            HASH_DEL(group->offsets, offset);
            lutra_free(offset->key);
            lutra_free(offset);
        }
    }
}

/* ---- members ---- */

static void owned_free(struct mem_member *member, struct mem_owned *owned)
{
    DL_DELETE(member->owned, owned);
    lutra_free(owned->topic);
    lutra_free(owned);
}

static void topics_free(struct mem_member *member)
{
    for (size_t i = 0; i < member->n_topics; i++) {
        lutra_free(member->topics[i]);
    }
    lutra_free(member->topics);
    member->topics = NULL;
    member->n_topics = 0;
}

static void member_free(struct mem_member *member)
{
    DL_DELETE(member->group->members, member);
    while (member->owned) {
        owned_free(member, member->owned);
    }
    topics_free(member);
    lutra_timer_free(member->session);
    lutra_free(member);
}

struct mem_member *mem_member_new(struct mem_group *group, struct mem_sub *sub)
{
    struct mem_member *member = LUTRA_NEW(struct mem_member);

    member->id = ++group->broker->next_id;
    member->group = group;
    member->sub = sub;
    DL_APPEND(group->members, member);
    return member;
}

void mem_member_topics(struct mem_member *member, const char *const *topics, size_t n)
{
    topics_free(member);
    member->topics = lutra_alloc(n * sizeof(char *));
    member->n_topics = n;
    for (size_t i = 0; i < n; i++) {
        member->topics[i] = lutra_strdup(topics[i]);
    }
    mem_group_rebalance(member->group);
}

struct mem_owned *mem_member_owned(struct mem_member *member, const char *topic, int32_t partition)
{
    struct mem_owned *owned;

    DL_FOREACH(member->owned, owned)
    {
        if (owned->partition == partition && strcmp(owned->topic, topic) == 0) {
            return owned;
        }
    }
    return NULL;
}

static void write_commit(struct mem_member *member, struct mem_owned *owned)
{
    if (owned->commit >= 0) {
        mem_group_commit(member->group, owned->topic, owned->partition, owned->commit);
        owned->commit = -1;
    }
}

void mem_member_write_commits(struct mem_member *member)
{
    struct mem_owned *owned;

    DL_FOREACH(member->owned, owned)
    {
        write_commit(member, owned);
    }
}

void mem_member_leave(struct mem_member *member)
{
    struct mem_group *group = member->group;

    member_free(member);
    mem_group_rebalance(group);
}

static void on_session_over(void *arg)
{
    struct mem_member *member = arg;

    if (member->group->broker->faults.down) {
        lutra_timer_start(member->session, MEM_SESSION_MS);
        return;
    }
    mem_member_leave(member);
}

void mem_member_killed(struct mem_member *member)
{
    member->sub = NULL;
    member->session = lutra_timer_new(member->group->broker->loop, on_session_over, member);
    lutra_timer_start(member->session, MEM_SESSION_MS);
}

/* ---- rebalance ---- */

static bool subscribes(const struct mem_member *member, const char *topic)
{
    for (size_t i = 0; i < member->n_topics; i++) {
        if (strcmp(member->topics[i], topic) == 0) {
            return true;
        }
    }
    return false;
}

static struct mem_member *least_loaded(struct mem_group *group, const char *topic)
{
    struct mem_member *member, *best = NULL;

    DL_FOREACH(group->members, member)
    {
        if (subscribes(member, topic) && (!best || member->load < best->load)) {
            best = member;
        }
    }
    return best;
}

/* Every partition of every topic that anybody wants, with the owner of now where it may stay. */
static struct seat *make_seats(struct mem_group *group, size_t *n)
{
    struct seat *seats = NULL;
    struct mem_topic *topic, *tmp;
    struct mem_member *member;

    *n = 0;
    DL_FOREACH(group->members, member)
    {
        member->load = 0;
    }
    HASH_ITER(hh, group->broker->topics, topic, tmp)
    {
        if (!least_loaded(group, topic->name)) {
            continue;
        }
        seats = lutra_realloc(seats, (*n + (size_t)topic->n) * sizeof(*seats));
        for (int32_t i = 0; i < topic->n; i++) {
            struct seat *seat = &seats[(*n)++];

            *seat = (struct seat){.topic = topic->name, .partition = i};
            DL_FOREACH(group->members, member)
            {
                if (subscribes(member, topic->name) && mem_member_owned(member, topic->name, i)) {
                    seat->owner = member;
                    member->load++;
                }
            }
        }
    }
    return seats;
}

static void share_out(struct mem_group *group, struct seat *seats, size_t n)
{
    bool moved = true;

    for (size_t i = 0; i < n; i++) {
        if (!seats[i].owner) {
            seats[i].owner = least_loaded(group, seats[i].topic);
            seats[i].owner->load++;
        }
    }
    while (moved) {
        moved = false;
        for (size_t i = 0; i < n; i++) {
            struct mem_member *best = least_loaded(group, seats[i].topic);

            if (seats[i].owner->load > best->load + 1) {
                seats[i].owner->load--;
                best->load++;
                seats[i].owner = best;
                moved = true;
            }
        }
    }
}

static void add_change(struct changes *changes, uint64_t id, const char *topic, int32_t partition)
{
    changes->items = lutra_realloc(changes->items, (changes->n + 1) * sizeof(*changes->items));
    changes->items[changes->n++] =
        (struct change){.member_id = id, .topic = lutra_strdup(topic), .partition = partition};
}

static bool is_owner(const struct seat *seats,
                     size_t n,
                     const struct mem_member *member,
                     const struct mem_owned *owned)
{
    for (size_t i = 0; i < n; i++) {
        if (seats[i].owner == member && seats[i].partition == owned->partition &&
            strcmp(seats[i].topic, owned->topic) == 0) {
            return true;
        }
    }
    return false;
}

static struct mem_member *member_by_id(struct mem_group *group, uint64_t id)
{
    struct mem_member *member;

    DL_FOREACH(group->members, member)
    {
        if (member->id == id) {
            return member;
        }
    }
    return NULL;
}

static void revoke(struct mem_group *group, const struct change *change)
{
    struct mem_member *member = member_by_id(group, change->member_id);
    struct mem_owned *owned =
        member ? mem_member_owned(member, change->topic, change->partition) : NULL;

    if (!owned) {
        return;
    }
    if (member->sub) {
        write_commit(member, owned);
    }
    owned_free(member, owned);
    if (member->sub) {
        mem_sub_revoked(member->sub, change->topic, change->partition);
    }
}

static void assign(struct mem_group *group, const struct change *change)
{
    struct mem_member *member = member_by_id(group, change->member_id);
    struct mem_owned *owned;
    int64_t committed;

    if (!member || mem_member_owned(member, change->topic, change->partition)) {
        return;
    }
    committed = mem_group_committed(group, change->topic, change->partition);
    owned = LUTRA_NEW(struct mem_owned);
    *owned = (struct mem_owned){.topic = lutra_strdup(change->topic),
                                .partition = change->partition,
                                .position = committed < 0 ? 0 : committed,
                                .commit = -1};
    DL_APPEND(member->owned, owned);
    if (member->sub) {
        mem_sub_assigned(member->sub, change->topic, change->partition);
    }
}

static void apply_changes(struct mem_group *group,
                          struct changes *changes,
                          void (*apply)(struct mem_group *group, const struct change *change))
{
    for (size_t i = 0; i < changes->n; i++) {
        apply(group, &changes->items[i]);
        lutra_free(changes->items[i].topic);
    }
    lutra_free(changes->items);
}

static void on_rebalance(void *arg)
{
    struct mem_group *group = arg;
    struct changes revoked = {0}, assigned = {0};
    struct mem_member *member;
    struct mem_owned *owned;
    struct seat *seats;
    size_t n;

    if (group->broker->faults.down) {
        return;
    }
    seats = make_seats(group, &n);
    share_out(group, seats, n);
    DL_FOREACH(group->members, member)
    {
        DL_FOREACH(member->owned, owned)
        {
            if (!is_owner(seats, n, member, owned)) {
                add_change(&revoked, member->id, owned->topic, owned->partition);
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!mem_member_owned(seats[i].owner, seats[i].topic, seats[i].partition)) {
            add_change(&assigned, seats[i].owner->id, seats[i].topic, seats[i].partition);
        }
    }
    lutra_free(seats);
    apply_changes(group, &revoked, revoke);
    apply_changes(group, &assigned, assign);
}

void mem_group_rebalance(struct mem_group *group)
{
    if (!lutra_timer_active(group->rebalance)) {
        lutra_timer_start(group->rebalance, MEM_REBALANCE_MS);
    }
}

struct mem_group *mem_group_get(struct lutra_mem_broker *broker, const char *name)
{
    struct mem_group *group;

    HASH_FIND_STR(broker->groups, name, group);
    if (!group) {
        group = LUTRA_NEW(struct mem_group);
        group->name = lutra_strdup(name);
        group->broker = broker;
        group->rebalance = lutra_timer_new(broker->loop, on_rebalance, group);
        HASH_ADD_KEYPTR(hh, broker->groups, group->name, strlen(group->name), group);
    }
    return group;
}

void mem_group_free(struct mem_group *group)
{
    struct mem_offset *offset, *tmp;

    while (group->members) {
        member_free(group->members);
    }
    HASH_ITER(hh, group->offsets, offset, tmp)
    {
        HASH_DEL(group->offsets, offset);
        lutra_free(offset->key);
        lutra_free(offset);
    }
    lutra_timer_free(group->rebalance);
    lutra_free(group->name);
    lutra_free(group);
}
