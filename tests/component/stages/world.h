/* A broker, a ZooKeeper and processes of extract and transform on one simulated loop; the test
 * plays select (publishes RawBatches) and load (collects what reaches the load topic). */
#ifndef LUTRA_TESTS_STAGES_WORLD_H
#define LUTRA_TESTS_STAGES_WORLD_H

#include <jansson.h>

#include "bus/bus_mem.h"
#include "coord/coord_mem.h"
#include "stage/stage.h"

enum { MAX_PROCESSES = 512, MAX_NODES = 16, PARTITIONS = 4 };

struct node {
    struct world *world;
    struct lutra_env env;
    struct lutra_bus *bus; /* of env.buses */
    struct lutra_stage_engine *engine;
    bool drained;
};

/* A process as select published it. */
struct sent {
    struct world *world;
    uint64_t epoch, process_id;
    struct lutra_envelope envelope;
    int32_t partition;
    struct lutra_buf raw, expected;
    unsigned arrived; /* how often at the load topic */
    bool acked;
};

struct world {
    struct lutra_loop *loop;
    struct lutra_mem_broker *broker;
    struct lutra_mem_tree *tree;
    struct lutra_bus *bus; /* the test's own */
    struct lutra_bus_reader *reader;
    struct lutra_assembler *assembler;
    struct lutra_channel *channel;
    struct node nodes[MAX_NODES];
    bool no_threads; /* any bus but the default one cannot be opened for now */
    uint64_t max_bytes_in_hand;
    struct sent sent[MAX_PROCESSES];
    size_t n_sent;
    unsigned foreign; /* at the load topic, and not among sent */
    uint64_t arrived; /* in all, repetitions included */
};

/* Topics of pipeline "orders" exist; its definition, version 1, stands in ZooKeeper. */
struct world *world_new(uint64_t seed);
/* As world_new, without the topics of what comes after extract. */
struct world *world_new_without_output(uint64_t seed);
void world_create_output(struct world *w);
void world_free(struct world *w);
/* Puts the definition with this version into ZooKeeper. */
void world_config(struct world *w, uint64_t version);
void world_remove_config(struct world *w);

struct node *world_start(struct world *w, enum lutra_stage stage);
void world_kill(struct node *node); /* as kill -9 */
void world_drain(struct node *node);
void world_stop(struct node *node); /* frees it cleanly */

/* Publishes process `process_id` (again when it was sent before). rows: about 60 bytes each. */
struct sent *world_send(struct world *w, uint64_t epoch, uint64_t process_id, uint32_t rows);
struct sent *world_send_config(
    struct world *w, uint64_t epoch, uint64_t process_id, uint32_t rows, uint64_t config_version);
/* A batch that extract cannot decode. */
struct sent *world_send_bad(struct world *w, uint64_t epoch, uint64_t process_id);

void world_run(struct world *w, uint64_t ms);
/* Every process of this epoch (0: any) has arrived. */
bool world_all_arrived(struct world *w, uint64_t epoch, uint64_t timeout_ms);
/* A number of the node's /state of pipeline "orders"; or the state's name. */
int64_t node_number(struct node *node, const char *key);
const char *node_text(struct node *node, const char *key); /* until the next call */
uint64_t node_bytes_in_hand(struct node *node);
int64_t world_committed(struct world *w, const char *stage, int32_t partition);

#endif
