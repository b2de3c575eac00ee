/* libFuzzer target: a binlog file through the whole reader, checksums made right first. Seeds:
 *   build/fuzz/tests/fuzz_binlog CORPUS tests/unit/binlog/samples */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "binlog/ddl.h"
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The input once more, as the text of a statement. */
static void parse_text(const uint8_t *data, size_t len)
{
    struct lutra_query query;
    struct lutra_event_query in = {
        .schema = "s", .schema_len = 1, .text = (const char *)data, .text_len = len};
    lutra_query_parse(&in, &query);
    lutra_query_fini(&query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct walk walk;
    struct lutra_error err = {0};
    uint8_t *copy = lutra_alloc(len ? len : 1);
    memcpy(copy, data, len);
    walk_repair_checksums(copy, len);
    walk_init(&walk);
    if (walk_file(&walk, copy, len, &err)) {
        LUTRA_ASSERT(err.class == LUTRA_DATA || err.class == LUTRA_CONFIG);
    }
    walk_fini(&walk);
    lutra_free(copy);
    parse_text(data, len);
    return 0;
}
