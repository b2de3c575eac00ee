#include "chaos.h"

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

void world_harm(struct world *w)
{
    struct lutra_mem_broker *bus = w->uses_far && world_random(w, 2) == 0 ? w->far : w->broker;
    struct world_node *victim = &w->nodes[world_random(w, w->n)];
    struct lutra_mem_broker_faults broker = {.delay_max_ms = world_random(w, 50)};
    struct lutra_mem_db_faults db = {.delay_max_ms = world_random(w, 5)};
    switch (world_random(w, 16)) {
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
        lutra_mem_binlog_drop_streams(w->binlog);
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
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i].alive) {
            lutra_coord_mem_partition(w->nodes[i].env.coord, false);
        } else {
            world_restart(&w->nodes[i]);
        }
    }
}
