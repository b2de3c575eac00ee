/* `pipelines:` of a channel. */
#include <string.h>

#include "base/mem.h"
#include "model/channel_parse.h"
#include "model/channel_private.h"

enum { MAX_START_BYTES = 65536 }; /* a GTID set */

const char *const lutra_start_names[] = {"current", "earliest", "gtid", "file", "checkpoint", NULL};
const char *const lutra_balance_names[] = {"round-robin", "stick", "random", "least-lag", NULL};

static int bad_start(const struct lutra_parse *p, const struct lutra_yaml *node, const char *why)
{
    return PARSE_ERROR(p, node,
                       "start \"%.100s\"%s, expected current, earliest, gtid:<set>, "
                       "file:<binlog file>:<offset> or checkpoint",
                       node->text, why);
}

/* "binlog.000003:4711" */
static bool is_file_and_offset(const char *text, uint64_t *offset)
{
    struct lutra_position pos;
    LUTRA_AUTO_FREE char *position = lutra_asprintf("%s;", text);
    if (strchr(text, ';') || lutra_position_parse(LUTRA_FLAVOR_MARIADB, position, &pos, NULL)) {
        return false;
    }
    *offset = pos.offset;
    lutra_position_fini(&pos);
    return true;
}

static int
parse_start_file(const struct lutra_parse *p, const struct lutra_yaml *node, const char *text)
{
    uint64_t offset;
    if (!is_file_and_offset(text, &offset)) {
        return bad_start(p, node, " is not a binlog file and offset");
    }
    return offset < 4 ? bad_start(p, node, ": a binlog begins at offset 4") : 0;
}

static int parse_start_gtid(const struct lutra_parse *p,
                            const struct lutra_yaml *node,
                            const char *text,
                            enum lutra_flavor flavor)
{
    struct lutra_error why;
    struct lutra_gtid_set *set = lutra_gtid_set_parse(flavor, text, &why);
    if (!set) {
        return PARSE_ERROR(p, node, "start: %.300s", why.msg);
    }
    bool empty = lutra_gtid_set_empty(set);
    lutra_gtid_set_free(set);
    return empty ? bad_start(p, node, ": the GTID set is empty") : 0;
}

static int parse_start(const struct lutra_parse *p,
                       const struct lutra_yaml *node,
                       enum lutra_flavor flavor,
                       struct lutra_pipeline_def *def)
{
    const char *rest = NULL;
    LUTRA_AUTO_FREE char *text = NULL;
    if (lutra_parse_text(p, node, "start", MAX_START_BYTES, &text)) {
        return -1;
    }
    if (strncmp(text, "gtid:", 5) == 0) {
        def->start = LUTRA_START_GTID;
        rest = text + 5;
    } else if (strncmp(text, "file:", 5) == 0) {
        def->start = LUTRA_START_FILE;
        rest = text + 5;
    }
    if (rest) {
        def->start_text = lutra_strdup(rest);
        return def->start == LUTRA_START_FILE ? parse_start_file(p, node, rest)
                                              : parse_start_gtid(p, node, rest, flavor);
    }
    for (unsigned i = 0; lutra_start_names[i]; i++) {
        if (i != LUTRA_START_GTID && i != LUTRA_START_FILE &&
            strcmp(text, lutra_start_names[i]) == 0) {
            def->start = (enum lutra_start_kind)i;
            return 0;
        }
    }
    const char *near = lutra_did_you_mean(text, lutra_start_names);
    LUTRA_AUTO_FREE char *why =
        near ? lutra_asprintf(" (did you mean %s?)", near) : lutra_strdup("");
    return bad_start(p, node, why);
}

/* `source:` or `target:`: the name of one of the channel's sources. */
static int take_endpoint(const struct lutra_parse *p,
                         const struct lutra_yaml *map,
                         const char *key,
                         const struct lutra_channel *channel,
                         char **out)
{
    const struct lutra_yaml *node = lutra_parse_need(p, map, key, "the name of one of the sources");
    const char **names, *near;
    if (!node || lutra_parse_text(p, node, key, LUTRA_PARSE_TEXT_BYTES, out)) {
        return -1;
    }
    if (lutra_channel_endpoint(channel, *out)) {
        return 0;
    }
    names = lutra_alloc((channel->n_endpoints + 1) * sizeof(*names));
    for (size_t i = 0; i < channel->n_endpoints; i++) {
        names[i] = channel->endpoints[i].name;
    }
    near = lutra_did_you_mean(*out, names);
    (void)PARSE_ERROR(p, node, "%s \"%s\" is not one of the sources%s%s%s", key, *out,
                      near ? ", did you mean " : ", expected the name of one", near ? near : "",
                      near ? "?" : "");
    lutra_free(names);
    return -1;
}

static int parse_batch(const struct lutra_parse *p,
                       const struct lutra_yaml *node,
                       struct lutra_pipeline_def *def)
{
    static const char *const known[] = {"max_rows", "max_bytes", "max_delay", NULL};
    const struct lutra_yaml *delay;
    if (lutra_parse_map(p, node, "batch", known) ||
        lutra_parse_u32(p, node, "max_rows", 1, 1000000, &def->batch_max_rows) ||
        lutra_parse_size(p, node, "max_bytes", 1 << 10, 256 << 20, &def->batch_max_bytes)) {
        return -1;
    }
    delay = lutra_parse_optional(node, "max_delay");
    return delay
               ? lutra_yaml_duration_ms(delay, p->name, 1, 60000, &def->batch_max_delay_ms, p->err)
               : 0;
}

static int parse_unit(const struct lutra_parse *p,
                      const struct lutra_yaml *node,
                      struct lutra_pipeline_def *def)
{
    static const char *const known[] = {"max_rows", "max_bytes", NULL};
    return lutra_parse_map(p, node, "unit", known) ||
                   lutra_parse_u32(p, node, "max_rows", 1, 10000000, &def->unit_max_rows) ||
                   lutra_parse_size(p, node, "max_bytes", 1 << 10, 1 << 30, &def->unit_max_bytes)
               ? -1
               : 0;
}

static int parse_limits(const struct lutra_parse *p,
                        const struct lutra_yaml *node,
                        struct lutra_pipeline_def *def)
{
    const struct lutra_yaml *batch = lutra_parse_optional(node, "batch"),
                            *unit = lutra_parse_optional(node, "unit"),
                            *accept = lutra_parse_optional(node, "accept_new_source");
    unsigned balance = 0;
    if (lutra_parse_u32(p, node, "window", 1, 1024, &def->window) ||
        lutra_parse_u32(p, node, "partitions", 1, 256, &def->partitions) ||
        lutra_parse_enum(p, node, "balance", lutra_balance_names, &balance) ||
        (batch && parse_batch(p, batch, def)) || (unit && parse_unit(p, unit, def)) ||
        (accept && lutra_yaml_bool(accept, p->name, &def->accept_new_source, p->err))) {
        return -1;
    }
    def->balance = (enum lutra_balance)balance;
    return 0;
}

/* Positions belong to one server: of a media group the member is named. */
static int parse_resolved(const struct lutra_parse *p,
                          const struct lutra_yaml *node,
                          const struct lutra_endpoint *source,
                          struct lutra_pipeline_def *def)
{
    uint64_t offset;
    const char *position;
    def->resolved_until = lutra_strdup("");
    if (!node) {
        return 0;
    }
    if (lutra_parse_text(p, node, "resolved_until", LUTRA_PARSE_TEXT_BYTES, &def->resolved_until)) {
        return -1;
    }
    position = def->resolved_until;
    if (source->n_members) {
        LUTRA_AUTO_FREE char *member = lutra_strdup(position);
        char *at = strchr(member, '@');
        if (!at) {
            return PARSE_ERROR(p, node,
                               "resolved_until \"%s\" names no server, expected <member>@<binlog "
                               "file>:<offset> since source %s is a media group",
                               def->resolved_until, source->name);
        }
        *at = '\0';
        position += strlen(member) + 1;
        if (lutra_parse_member_of(p, node, "resolved_until", source, member)) {
            return -1;
        }
    }
    if (!is_file_and_offset(position, &offset)) {
        return PARSE_ERROR(p, node,
                           "resolved_until \"%s\" is not a position, expected %s<binlog "
                           "file>:<offset>",
                           def->resolved_until, source->n_members ? "<member>@" : "");
    }
    return 0;
}

static bool is_epoch(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits < 20 && text[digits] == '\0';
}

/* What a target that went back holds now: "empty:<epoch>" or a position, whole or without its
 * GTIDs, and "@<epoch>". Definitions of earlier versions have none; they are still read, and accept
 * nothing. */
static bool is_accepted_target(const char *text, enum lutra_flavor flavor)
{
    struct lutra_position pos;
    uint64_t offset;
    if (strncmp(text, "empty:", 6) == 0) {
        return is_epoch(text + 6);
    }
    const char *at = strrchr(text, '@');
    size_t len = at != NULL && is_epoch(at + 1) ? (size_t)(at - text) : strlen(text);
    LUTRA_AUTO_FREE char *position = lutra_strndup(text, len);
    if (!strchr(position, ';')) {
        return is_file_and_offset(position, &offset);
    }
    if (lutra_position_parse(flavor, position, &pos, NULL)) {
        return false;
    }
    lutra_position_fini(&pos);
    return true;
}

static int parse_accept_target(const struct lutra_parse *p,
                               const struct lutra_yaml *map,
                               enum lutra_flavor flavor,
                               struct lutra_pipeline_def *def)
{
    const struct lutra_yaml *accept = lutra_parse_optional(map, "accept_target"),
                            *may_lose = lutra_parse_optional(map, "target_may_lose");
    def->accept_target = lutra_strdup("");
    def->target_may_lose_ms = LUTRA_TARGET_MAY_LOSE_MS;
    if (accept &&
        lutra_parse_text(p, accept, "accept_target", MAX_START_BYTES, &def->accept_target)) {
        return -1;
    }
    if (accept && !is_accepted_target(def->accept_target, flavor)) {
        return PARSE_ERROR(p, accept,
                           "accept_target \"%.100s\" is not what a target holds, expected <binlog "
                           "file>:<offset>[;<gtids>]@<epoch> or empty:<epoch>",
                           def->accept_target);
    }
    return may_lose ? lutra_yaml_duration_ms(may_lose, p->name, 0, 86400000,
                                             &def->target_may_lose_ms, p->err)
                    : 0;
}

/* Sites and buses: a name each, "default" when left out. */
static int parse_places(const struct lutra_parse *p,
                        const struct lutra_yaml *map,
                        struct lutra_pipeline_def *def)
{
    const struct {
        const char *key;
        char **out;
    } places[] = {
        {"source_site", &def->source_site},
        {"target_site", &def->target_site},
        {"source_bus", &def->source_bus},
        {"target_bus", &def->target_bus},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const struct lutra_yaml *node = lutra_parse_optional(map, places[i].key);
        *places[i].out = lutra_strdup("default");
        if (node && lutra_parse_name(p, node, places[i].key, places[i].out)) {
            return -1;
        }
    }
    return 0;
}

static int parse_pipeline_name(const struct lutra_parse *p,
                               const struct lutra_yaml *node,
                               const struct lutra_channel *channel,
                               bool only,
                               struct lutra_pipeline_def *def)
{
    const struct lutra_yaml *name = lutra_parse_optional(node, "name");
    if (!name && only) {
        def->name = lutra_strdup(channel->name);
        return 0;
    }
    if (!name) {
        return PARSE_ERROR(p, node, "name is missing, expected one for each of several pipelines");
    }
    if (lutra_parse_name(p, name, "pipeline", &def->name)) {
        return -1;
    }
    for (const struct lutra_pipeline_def *other = channel->pipelines; other < def; other++) {
        if (strcmp(other->name, def->name) == 0) {
            return PARSE_ERROR(p, name, "pipeline %s is defined twice, expected different names",
                               def->name);
        }
    }
    return 0;
}

static int parse_pipeline(const struct lutra_parse *p,
                          const struct lutra_yaml *node,
                          const struct lutra_channel *channel,
                          bool only,
                          struct lutra_pipeline_def *def)
{
    static const char *const known[] = {"name",
                                        "source",
                                        "target",
                                        "source_site",
                                        "target_site",
                                        "source_bus",
                                        "target_bus",
                                        "start",
                                        "window",
                                        "partitions",
                                        "balance",
                                        "batch",
                                        "unit",
                                        "accept_new_source",
                                        "resolved_until",
                                        "accept_target",
                                        "target_may_lose",
                                        "pairs",
                                        NULL};
    const struct lutra_yaml *start, *pairs;
    def->start = LUTRA_START_CURRENT;
    def->window = 32;
    def->partitions = 8;
    def->batch_max_rows = 1000;
    def->batch_max_bytes = 512 << 10;
    def->batch_max_delay_ms = 50;
    def->unit_max_rows = 5000;
    def->unit_max_bytes = 8 << 20;
    if (lutra_parse_map(p, node, "a pipeline", known) ||
        parse_pipeline_name(p, node, channel, only, def) ||
        take_endpoint(p, node, "source", channel, &def->source) ||
        take_endpoint(p, node, "target", channel, &def->target)) {
        return -1;
    }
    if (strcmp(def->source, def->target) == 0) {
        return PARSE_ERROR(p, lutra_yaml_get(node, "target"),
                           "target is the source itself, expected another of the sources");
    }
    start = lutra_parse_optional(node, "start");
    if (parse_places(p, node, def) ||
        parse_resolved(p, lutra_parse_optional(node, "resolved_until"),
                       lutra_channel_endpoint(channel, def->source), def) ||
        parse_accept_target(p, node, lutra_channel_endpoint(channel, def->source)->flavor, def) ||
        (start &&
         parse_start(p, start, lutra_channel_endpoint(channel, def->source)->flavor, def)) ||
        parse_limits(p, node, def) ||
        !(pairs = lutra_parse_need(p, node, "pairs", "a list of {source: ..., target: ...}"))) {
        return -1;
    }
    return lutra_parse_pairs(p, pairs, def);
}

int lutra_parse_pipelines(const struct lutra_parse *p,
                          const struct lutra_yaml *node,
                          struct lutra_channel *channel)
{
    if (lutra_parse_list(p, node, "pipelines")) {
        return -1;
    }
    if (node->n == 0) {
        return PARSE_ERROR(p, node, "pipelines is empty, expected at least one");
    }
    channel->pipelines = lutra_alloc(node->n * sizeof(*channel->pipelines));
    for (size_t i = 0; i < node->n; i++) {
        channel->n_pipelines++;
        if (parse_pipeline(p, node->items[i], channel, node->n == 1, &channel->pipelines[i])) {
            return -1;
        }
    }
    return 0;
}
