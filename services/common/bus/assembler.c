#include <string.h>
#include <utlist.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/mem.h"
#include "bus/pipe.h"
#include "bus/pipe_part.h"

/* Writers that interleave on one partition; more at once than instances of a stage make sense. */
#define ASSEMBLER_MAX_OPEN 16
/* A writer publishes the parts of a payload in a row: one that is this many messages behind died
 * on the way. */
#define ASSEMBLER_MAX_SILENCE 1024

struct assembly {
    struct lutra_envelope envelope;
    struct lutra_pipe_part part; /* of the first chunk; index: the last one collected */
    struct lutra_buf data;
    int64_t first_offset;
    uint64_t seen; /* count of messages when its last chunk came */
    struct assembly *prev, *next;
};

struct lutra_assembler {
    size_t max_bytes;
    size_t collected_bytes;
    unsigned n_open;
    uint64_t messages, dropped;
    struct assembly *open;     /* oldest first */
    struct lutra_buf whole;    /* the last complete payload as it travelled */
    struct lutra_buf unpacked; /* the same decompressed */
    ZSTD_DCtx *zstd;
};

struct lutra_assembler *lutra_assembler_new(size_t max_bytes)
{
    struct lutra_assembler *assembler = LUTRA_NEW(struct lutra_assembler);

    assembler->max_bytes = max_bytes;
    assembler->zstd = ZSTD_createDCtx();
    LUTRA_ASSERT(assembler->zstd);
    return assembler;
}

static void assembly_close(struct lutra_assembler *assembler, struct assembly *assembly)
{
    DL_DELETE(assembler->open, assembly);
    assembler->n_open--;
    assembler->collected_bytes -= assembly->data.len;
    lutra_buf_fini(&assembly->data);
    lutra_free(assembly);
}

static void assembly_drop(struct lutra_assembler *assembler, struct assembly *assembly)
{
    assembler->dropped++;
    assembly_close(assembler, assembly);
}

void lutra_assembler_reset(struct lutra_assembler *assembler)
{
    while (assembler->open) {
        assembly_close(assembler, assembler->open);
    }
}

void lutra_assembler_free(struct lutra_assembler *assembler)
{
    if (!assembler) {
        return;
    }
    lutra_assembler_reset(assembler);
    lutra_buf_fini(&assembler->whole);
    lutra_buf_fini(&assembler->unpacked);
    ZSTD_freeDCtx(assembler->zstd);
    lutra_free(assembler);
}

int64_t lutra_assembler_first_offset(const struct lutra_assembler *assembler)
{
    const struct assembly *assembly;
    int64_t first = -1;

    DL_FOREACH(assembler->open, assembly)
    {
        if (first < 0 || assembly->first_offset < first) {
            first = assembly->first_offset;
        }
    }
    return first;
}

uint64_t lutra_assembler_dropped(const struct lutra_assembler *assembler)
{
    return assembler->dropped;
}

static int bad_payload(const struct lutra_bus_message *message,
                       const struct lutra_envelope *envelope,
                       const char *why,
                       struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_DATA, 0, "%s, partition %d, offset %lld: process %llu: %s",
                           message->topic, (int)message->partition, (long long)message->offset,
                           (unsigned long long)envelope->process_id, why);
}

/* Memory kept for the largest payload ever seen is not given to the small ones after it. */
static void trim(struct lutra_buf *buf)
{
    if (buf->cap > ((size_t)1 << 20)) {
        lutra_buf_fini(buf);
    }
    lutra_buf_clear(buf);
}

static int unpack(struct lutra_assembler *assembler,
                  const struct lutra_bus_message *message,
                  const struct lutra_envelope *envelope,
                  const uint8_t **payload,
                  size_t *len,
                  struct lutra_error *err)
{
    unsigned long long size = ZSTD_getFrameContentSize(*payload, *len);
    size_t n;

    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
        return bad_payload(message, envelope, "not a zstd frame of known size", err);
    }
    if (size > assembler->max_bytes) {
        return bad_payload(message, envelope, "larger than allowed when decompressed", err);
    }
    lutra_buf_reserve(&assembler->unpacked, (size_t)size + 1);
    n = ZSTD_decompressDCtx(assembler->zstd, assembler->unpacked.data, (size_t)size, *payload,
                            *len);
    if (ZSTD_isError(n) || n != size) {
        return bad_payload(message, envelope, "its zstd frame is damaged", err);
    }
    assembler->unpacked.len = n;
    *payload = assembler->unpacked.data;
    *len = n;
    return 0;
}

/* What a new message makes pointless: lower epochs, writers long silent. */
static void drop_outdated(struct lutra_assembler *assembler, uint64_t epoch)
{
    struct assembly *assembly, *tmp;

    DL_FOREACH_SAFE(assembler->open, assembly, tmp)
    {
        if (assembly->envelope.epoch < epoch ||
            assembler->messages - assembly->seen > ASSEMBLER_MAX_SILENCE) {
            assembly_drop(assembler, assembly);
        }
    }
}

void lutra_assembler_drop_below(struct lutra_assembler *assembler, uint64_t epoch)
{
    drop_outdated(assembler, epoch);
}

static struct assembly *find(struct lutra_assembler *assembler,
                             const struct lutra_envelope *envelope)
{
    struct assembly *assembly;

    DL_FOREACH(assembler->open, assembly)
    {
        if (assembly->envelope.epoch == envelope->epoch &&
            assembly->envelope.process_id == envelope->process_id) {
            return assembly;
        }
    }
    return NULL;
}

static bool same_attempt(const struct assembly *assembly,
                         const struct lutra_envelope *envelope,
                         const struct lutra_pipe_part *part)
{
    return assembly->part.attempt == part->attempt && assembly->part.hash == part->hash &&
           assembly->part.count == part->count && assembly->part.zstd == part->zstd &&
           assembly->envelope.config_version == envelope->config_version &&
           strcmp(assembly->envelope.nonce, envelope->nonce) == 0;
}

static struct assembly *assembly_open(struct lutra_assembler *assembler,
                                      const struct lutra_bus_message *message,
                                      const struct lutra_envelope *envelope,
                                      const struct lutra_pipe_part *part)
{
    struct assembly *assembly;

    if (assembler->n_open == ASSEMBLER_MAX_OPEN) {
        assembly_drop(assembler, assembler->open);
    }
    assembly = LUTRA_NEW(struct assembly);
    assembly->envelope = *envelope;
    assembly->part = *part;
    assembly->part.index = 0;
    assembly->first_offset = message->offset;
    DL_APPEND(assembler->open, assembly);
    assembler->n_open++;
    return assembly;
}

/* The assembly that this chunk continues, or NULL: the chunk is of no use. */
static struct assembly *assembly_for(struct lutra_assembler *assembler,
                                     const struct lutra_bus_message *message,
                                     const struct lutra_envelope *envelope,
                                     const struct lutra_pipe_part *part)
{
    struct assembly *assembly = find(assembler, envelope);

    if (assembly && !same_attempt(assembly, envelope, part)) {
        /* Later chunks of the attempt that lost: the one under assembly is not given up. */
        if (part->index > 1) {
            return NULL;
        }
        assembly_drop(assembler, assembly);
        assembly = NULL;
    }
    if (!assembly) {
        return part->index == 1 ? assembly_open(assembler, message, envelope, part) : NULL;
    }
    if (part->index <= assembly->part.index) {
        return NULL; /* delivered twice */
    }
    if (part->index != assembly->part.index + 1) {
        assembly_drop(assembler, assembly);
        return NULL;
    }
    return assembly;
}

static int collect(struct lutra_assembler *assembler,
                   struct assembly *assembly,
                   const struct lutra_bus_message *message,
                   struct lutra_error *err)
{
    if (message->payload_len > assembler->max_bytes - assembly->data.len) {
        bad_payload(message, &assembly->envelope, "larger than allowed", err);
        assembly_drop(assembler, assembly);
        return -1;
    }
    while (message->payload_len > assembler->max_bytes - assembler->collected_bytes) {
        struct assembly *victim = assembler->open == assembly ? assembly->next : assembler->open;

        LUTRA_ASSERT(victim);
        assembly_drop(assembler, victim);
    }
    lutra_buf_append(&assembly->data, message->payload, message->payload_len);
    assembler->collected_bytes += message->payload_len;
    assembly->part.index++;
    assembly->seen = assembler->messages;
    return 0;
}

/* Takes the data of a complete assembly into assembler->whole and checks it. */
static int finish(struct lutra_assembler *assembler,
                  struct assembly *assembly,
                  const struct lutra_bus_message *message,
                  const uint8_t **payload,
                  size_t *len,
                  struct lutra_error *err)
{
    uint64_t hash = assembly->part.hash;
    struct lutra_envelope envelope = assembly->envelope;

    lutra_buf_fini(&assembler->whole);
    assembler->whole = assembly->data;
    assembler->collected_bytes -= assembly->data.len;
    assembly->data = (struct lutra_buf){0};
    assembly_close(assembler, assembly);
    if (XXH3_64bits(assembler->whole.data, assembler->whole.len) != hash) {
        return bad_payload(message, &envelope, "its parts do not have the hash they promise", err);
    }
    *payload = assembler->whole.data;
    *len = assembler->whole.len;
    return 0;
}

int lutra_assembler_feed(struct lutra_assembler *assembler,
                         const struct lutra_bus_message *message,
                         struct lutra_envelope *envelope,
                         const uint8_t **payload,
                         size_t *len,
                         struct lutra_error *err)
{
    struct lutra_pipe_part part;
    struct assembly *assembly;

    if (lutra_pipe_parse(message, envelope, &part, err) != 0) {
        return -1;
    }
    assembler->messages++;
    trim(&assembler->whole);
    trim(&assembler->unpacked);
    drop_outdated(assembler, envelope->epoch);
    if (part.count == 1) {
        assembly = find(assembler, envelope);
        if (assembly) {
            assembly_drop(assembler, assembly);
        }
        if (message->payload_len > assembler->max_bytes) {
            return bad_payload(message, envelope, "larger than allowed", err);
        }
        *payload = message->payload;
        *len = message->payload_len;
    } else {
        assembly = assembly_for(assembler, message, envelope, &part);
        if (!assembly) {
            return 0;
        }
        if (collect(assembler, assembly, message, err) != 0) {
            return -1;
        }
        if (assembly->part.index < assembly->part.count) {
            return 0;
        }
        *envelope = assembly->envelope;
        if (finish(assembler, assembly, message, payload, len, err) != 0) {
            return -1;
        }
    }
    if (part.zstd && unpack(assembler, message, envelope, payload, len, err) != 0) {
        return -1;
    }
    return 1;
}
