/* A select process on ports in memory, under virtual time. The test plays load: it writes origins,
 * reads the extract topic and sends termin. */
#ifndef LUTRA_TEST_SELECT_FIXTURE_H
#define LUTRA_TEST_SELECT_FIXTURE_H

#include "bus/bus_mem.h"
#include "bus/pipe.h"
#include "coord/coord_mem.h"
#include "db/source_mem.h"
#include "events.h"
#include "model/records.h"
#include "model/wire.h"
#include "select/select.h"

#define FIX_NONCE "00000000000000aa"
enum { FIX_PARTITIONS = 3 };

/* A message on the extract topic. */
struct fix_message {
    uint64_t process_id, epoch;
    int32_t partition;
    int64_t stamp_us;
    uint64_t at_ms; /* when it came */
    struct lutra_buf payload;
    Lutra__RawBatch *batch; /* of fix.arena */
};

struct fix {
    struct lutra_loop *loop;
    struct lutra_mem_broker *broker;
    struct lutra_mem_tree *tree;
    struct lutra_mem_binlog *binlog;
    struct events events;
    size_t served; /* events in the binlog */
    struct lutra_env env;
    void *select;          /* of lutra_select_service */
    struct lutra_bus *bus; /* load's */
    struct lutra_bus_reader *readers[FIX_PARTITIONS];
    struct lutra_arena *arena;
    struct fix_message *messages;
    size_t n;
    uint64_t epoch; /* of the last origin */
    uint64_t consumed;
    uint64_t config_version; /* of the next origin; 1 */
    bool credit;             /* everything that comes is consumed and applied at once */
};

extern struct fix fix;

/* yaml: more of the pipeline, in flow style, such as "window: 2, batch: {max_rows: 3}"; the default
 * window is 4. Nothing of the epoch is there yet. */
void fix_init(const char *yaml);
void fix_fini(void);
void fix_define(const char *yaml, uint64_t version);
void fix_desire(const char *state);
/* The session of the select owner, waits for one. */
const char *fix_session(void);
/* A new origin for that session, and the control record that goes with it. */
void fix_origin(uint64_t process_id, const char *position);
void fix_origin_as(const char *session,
                   uint64_t process_id,
                   const char *position,
                   const char *identity);
/* Puts what was built into `events` into the binlog. */
void fix_serve(void);
/* n transactions of one row each on shop.t; ids from `first`. */
void fix_rows(unsigned n, uint64_t first);
void fix_termin(uint64_t consumed, uint64_t applied);
void fix_termin_as(uint64_t epoch, const char *nonce, uint64_t consumed, uint64_t applied);

void fix_run(uint64_t ms);
/* Until so many messages came; fails after ms. */
void fix_messages(size_t n, uint64_t ms);
/* Rows in the messages with this number of the current epoch, of first copies only. */
uint64_t fix_rows_read(void);
/* Waits until the messages of the current epoch hold so many rows. */
void fix_wait_rows(uint64_t rows, uint64_t ms);
/* processIds of the current epoch come gapless, the chain of positions is unbroken, copies are
 * equal. */
void fix_check_chain(uint64_t first_process_id, const char *position);

/* The pipeline's entry of /state. */
int64_t fix_state_int(const char *key);
bool fix_state_is(const char *key, const char *value);
void fix_wait_state(const char *state, uint64_t ms);
bool fix_control(struct lutra_control *control);

#endif
