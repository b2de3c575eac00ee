#include "chaos.h"

#include "audit.h"

#include <criterion/criterion.h>

struct world_node *world_node_of(struct world *w, const char *instance)
{
    for (size_t i = 0; i < w->n; i++) {
        if (strcmp(w->nodes[i].instance, instance) == 0) {
            return &w->nodes[i];
        }
    }
    cr_assert(false, "no node %s", instance);
    return NULL;
}

void world_run_load(struct world *w, unsigned transactions, unsigned max_rows)
{
    for (unsigned i = 0; i < transactions; i++) {
        world_transaction(w, max_rows);
        lutra_loop_run_for(w->loop, world_random(w, 20));
    }
}

/* A broker that lost what it had acknowledged: the last message of some partitions. */
static void lose_tail(struct world *w, struct lutra_mem_broker *broker)
{
    static const char *const topics[] = {"lutra.p.extract", "lutra.p.transform", "lutra.p.load",
                                         "lutra.p.termin"};
    for (size_t i = 0; i < 4; i++) {
        int32_t partition = i < 2 ? (int32_t)world_random(w, 4) : 0;
        if (lutra_mem_broker_count(broker, topics[i], partition) > 0) {
            lutra_mem_broker_lose_last(broker, topics[i], partition);
        }
    }
}

/* The load owner stands still in the midst of it, and nobody tells it that it is the owner no
 * more. */
static void freeze_owner(struct world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        struct world_node *node = &w->nodes[i];
        if (node->alive && node->stage == LUTRA_STAGE_LOAD && world_state_true(node, "owner")) {
            world_freeze(node);
        }
    }
}

/* It goes on as if nothing had happened. */
static void expire_owner_silently(struct world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        struct world_node *node = &w->nodes[i];
        if (node->alive && node->stage == LUTRA_STAGE_LOAD && world_state_true(node, "owner")) {
            lutra_coord_mem_expire_silently(node->env.coord);
        }
    }
}

static void thaw_all(struct world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        world_thaw(&w->nodes[i]);
    }
}

/* The source drops its reader, who has read a backlog and not yet cut it. */
static void drop_with_backlog(struct world *w)
{
    struct lutra_mem_db_faults slow = {.delay_min_ms = 50, .delay_max_ms = 100};
    lutra_mem_db_set_faults(w->db, &slow);
    world_run_load(w, 20, 5);
    lutra_mem_binlog_drop_streams(w->binlog);
}

/* Back to what ZooKeeper said in some round before. */
static void restore_zookeeper(struct world *w)
{
    if (w->snapshot != NULL) {
        thaw_all(w); /* what is silent hears of the end of all sessions */
        world_restore_zookeeper(w, w->snapshot);
        world_desire(w, "START");
    }
}

static void snapshot_zookeeper(struct world *w)
{
    if (w->snapshot == NULL || world_random(w, 8) == 0) {
        if (w->snapshot != NULL) {
            lutra_mem_tree_free(w->snapshot);
        }
        w->snapshot = lutra_mem_tree_snapshot(w->tree);
    }
}

void world_harm(struct world *w)
{
    struct lutra_mem_broker *bus = w->uses_far && world_random(w, 2) == 0 ? w->far : w->broker;
    struct world_node *victim = &w->nodes[world_random(w, w->n)];
    struct lutra_mem_broker_faults broker = {.delay_max_ms = world_random(w, 50)};
    struct lutra_mem_db_faults db = {.delay_max_ms = world_random(w, 5)};
    snapshot_zookeeper(w);
    switch (world_random(w, 24)) {
    case 0:
        broker.down = true;
        break;
    case 1:
        broker.lose_ack_percent = 20;
        break;
    case 2:
        broker.duplicate_percent = 30;
        break;
    case 3:
        db.down = true;
        break;
    case 4:
        db.lose_commit_reply = 2;
        break;
    case 5:
        db.lose_commit = 2;
        break;
    case 6:
        db.fail_apply = 3;
        break;
    case 7:
        drop_with_backlog(w);
        break;
    case 8:
        world_request(w, true);
        break;
    case 9:
        lutra_mem_tree_set_down(w->tree, true);
        break;
    case 10:
        if (victim->alive) {
            lutra_coord_mem_partition(victim->env.coord, true);
        }
        break;
    case 11:
        if (victim->alive) {
            lutra_coord_mem_expire(victim->env.coord);
        }
        break;
    case 12:
        lose_tail(w, bus);
        break;
    case 13:
        freeze_owner(w);
        break;
    case 14: /* a successor comes while it is in the midst of a unit */
        expire_owner_silently(w);
        db = (struct lutra_mem_db_faults){.delay_min_ms = 5, .delay_max_ms = 60};
        break;
    case 15:
        if (victim->alive) {
            lutra_coord_mem_expire_silently(victim->env.coord);
        }
        break;
    case 16:
    case 17:
        world_audit_replay(w->audit, 20);
        break;
    case 18:
        world_desire(w, "PAUSE");
        break;
    case 19:
        restore_zookeeper(w);
        break;
    case 20:
        lutra_mem_binlog_drop_streams(w->binlog);
        break;
    default:
        world_kill(victim);
        break;
    }
    lutra_mem_broker_set_faults(bus, &broker);
    lutra_mem_db_set_faults(w->db, &db);
}

void world_heal(struct world *w)
{
    lutra_mem_broker_set_faults(w->broker, &(struct lutra_mem_broker_faults){0});
    lutra_mem_broker_set_faults(w->far, &(struct lutra_mem_broker_faults){0});
    lutra_mem_db_set_faults(w->db, &(struct lutra_mem_db_faults){0});
    lutra_mem_tree_set_down(w->tree, false);
    world_desire(w, "START");
    thaw_all(w);
    /* A zombie goes on before it learns anything. */
    lutra_loop_run_for(w->loop, world_random(w, 50));
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i].alive) {
            lutra_coord_mem_partition(w->nodes[i].env.coord, false);
        } else {
            world_restart(&w->nodes[i]);
        }
    }
}
