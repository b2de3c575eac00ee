/* Whatever dies on the way: every process reaches the load topic at least once, with the same
 * bytes. Each seed is another order of events. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/log.h"
#include "world.h"

enum { SEEDS = 60 };

/* Crashed, or stopped in the midst of it all. */
static void end_one(struct world *w)
{
    size_t i = lutra_loop_random(w->loop) % 4;
    if (!w->nodes[i].engine) {
        return;
    }
    if (lutra_loop_random(w->loop) % 2) {
        world_kill(&w->nodes[i]);
    } else {
        world_stop(&w->nodes[i]);
    }
}

static void start_missing(struct world *w)
{
    for (size_t i = 0; i < 4; i++) {
        if (!w->nodes[i].engine) {
            /* The first free place is i. */
            (void)world_start(w, i % 2 ? LUTRA_STAGE_TRANSFORM : LUTRA_STAGE_EXTRACT);
        }
    }
}

static void set_faults(struct world *w, bool down)
{
    bool slow = lutra_loop_random(w->loop) % 2; /* slower than offsets are written */
    struct lutra_mem_broker_faults faults = {
        .down = down,
        .delay_max_ms = lutra_loop_random(w->loop) % (slow ? 4000 : 60),
        .duplicate_percent = (unsigned)(lutra_loop_random(w->loop) % 20),
        .lose_ack_percent = (unsigned)(lutra_loop_random(w->loop) % 20),
    };
    lutra_mem_broker_set_faults(w->broker, &faults);
}

/* Odd seeds stay in one epoch, all of which must arrive; even ones change it. */
static void one_run(uint64_t seed)
{
    struct world *w = world_new(seed);
    uint64_t epoch = 1, process_id = 0, config = 1;
    bool down = false;
    w->max_bytes_in_hand = 64 << 10;
    start_missing(w);
    for (int step = 0; step < 120; step++) {
        uint64_t draw = lutra_loop_random(w->loop) % 100;
        if (draw < 50) {
            for (uint64_t n = lutra_loop_random(w->loop) % 6; n > 0; n--) {
                world_send_config(w, epoch, ++process_id,
                                  (uint32_t)(lutra_loop_random(w->loop) % 150), config);
            }
        } else if (draw < 62) {
            end_one(w);
        } else if (draw < 74) {
            start_missing(w);
        } else if (draw < 88) {
            down = !down;
            set_faults(w, down);
        } else if (draw < 92 && w->n_sent > 0) {
            struct sent *again = &w->sent[lutra_loop_random(w->loop) % w->n_sent];
            world_send(w, again->epoch, again->process_id, 0);
        } else if (draw < 95 && seed % 2 == 0) {
            /* A new epoch, as load would make it; sometimes with a new definition. */
            epoch++;
            process_id = 0;
            if (draw == 94) {
                world_config(w, ++config);
            }
        } else {
            world_run(w, lutra_loop_random(w->loop) % 3000);
        }
        world_run(w, lutra_loop_random(w->loop) % 200);
    }
    lutra_mem_broker_set_faults(w->broker, &(struct lutra_mem_broker_faults){0});
    start_missing(w);
    if (process_id == 0) {
        world_send_config(w, epoch, ++process_id, 5, config);
    }
    cr_assert(world_all_arrived(w, epoch, 120000), "seed %llu", (unsigned long long)seed);
    cr_assert_eq(w->foreign, 0);
    world_free(w);
}

Test(chaos, every_process_of_the_last_epoch_arrives_with_the_same_bytes)
{
    const char *from = getenv("LUTRA_TEST_SEED");
    lutra_log_setup("test", "test", LUTRA_LOG_ERROR + 1, 0);
    if (from) {
        one_run(strtoull(from, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        one_run(seed);
    }
}
