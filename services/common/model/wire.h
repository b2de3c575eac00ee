/* struct lutra_table <-> its protobuf form, and checked unpacking of batches from the wire.
 * Bounds: payload <= LUTRA_WIRE_MAX_BYTES; every index (table, transaction, file) inside its array;
 * n_rows > 0; kinds known; names present. What passes here needs no second check. A column of kind
 * NONE (a type that is not carried) may stand in a batch before transform, its values are ABSENT;
 * transform lets none through. */
#ifndef LUTRA_MODEL_WIRE_H
#define LUTRA_MODEL_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/table.h"
#include "proto/batch.pb-c.h"

#define LUTRA_WIRE_FORMAT 1
#define LUTRA_WIRE_MAX_BYTES (1u << 30)

/* All from the arena; borrowed until it is reset. NULL and DATA when the bytes are malformed. */
Lutra__RawBatch *lutra_wire_raw_batch(struct lutra_arena *arena,
                                      const void *data,
                                      size_t len,
                                      struct lutra_error *err);
Lutra__ChangeBatch *lutra_wire_change_batch(struct lutra_arena *arena,
                                            const void *data,
                                            size_t len,
                                            struct lutra_error *err);
Lutra__Termin *
lutra_wire_termin(struct lutra_arena *arena, const void *data, size_t len, struct lutra_error *err);

Lutra__Table *lutra_wire_table_pack(struct lutra_arena *arena, const struct lutra_table *table);
/* Heap; lutra_table_free. */
struct lutra_table *lutra_wire_table_unpack(const Lutra__Table *table);
/* The same from the arena, with names borrowed from `table`. Never given to lutra_table_free. */
const struct lutra_table *lutra_wire_table_view(struct lutra_arena *arena,
                                                const Lutra__Table *table);

#endif
