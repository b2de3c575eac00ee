/* What pipe.c writes about a part and assembler.c reads. */
#ifndef LUTRA_BUS_PIPE_PART_H
#define LUTRA_BUS_PIPE_PART_H

#include "bus/pipe.h"

#define LUTRA_PIPE_FORMAT "1"
/* More parts than any payload needs: a number above it is not ours. */
#define LUTRA_PIPE_MAX_PARTS 65536

struct lutra_pipe_part {
    uint32_t index, count;  /* from 1 */
    uint64_t attempt, hash; /* only when count > 1 */
    bool zstd;
};

/* The envelope and the part; -1 and DATA names header, topic, partition and offset. */
int lutra_pipe_parse(const struct lutra_bus_message *message,
                     struct lutra_envelope *envelope,
                     struct lutra_pipe_part *part,
                     struct lutra_error *err) LUTRA_MUST_CHECK;

#endif
