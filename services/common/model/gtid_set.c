#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/gtid_text.h"
#include "model/position.h"

enum { DOMAINS_MAX = 1024, INTERVALS_MAX = 100000 };

struct interval {
    uint64_t start, end; /* end is exclusive */
};

/* MySQL: the transactions of one (uuid, tag): sorted, no two touch or overlap, never empty. */
struct source {
    uint8_t uuid[16];
    char tag[33];
    struct interval *intervals;
    size_t n, cap;
};

struct domain {
    uint32_t domain, server_id;
    uint64_t seq;
};

struct lutra_gtid_set {
    enum lutra_flavor flavor;
    size_t n, cap;          /* of sources or domains */
    struct source *sources; /* MySQL, sorted by (uuid, tag) */
    struct domain *domains; /* MariaDB, sorted by domain */
    size_t n_intervals;     /* MySQL, over all sources */
};

struct lutra_gtid_set *lutra_gtid_set_new(enum lutra_flavor flavor)
{
    struct lutra_gtid_set *set = LUTRA_NEW(struct lutra_gtid_set);
    set->flavor = flavor;
    return set;
}

void lutra_gtid_set_free(struct lutra_gtid_set *set)
{
    if (!set) {
        return;
    }
    for (size_t i = 0; set->sources && i < set->n; i++) {
        lutra_free(set->sources[i].intervals);
    }
    lutra_free(set->sources);
    lutra_free(set->domains);
    lutra_free(set);
}

static void *copy_of(const void *data, size_t size_bytes)
{
    void *copy = lutra_alloc(size_bytes);
    memcpy(copy, data, size_bytes);
    return copy;
}

struct lutra_gtid_set *lutra_gtid_set_dup(const struct lutra_gtid_set *set)
{
    struct lutra_gtid_set *dup = copy_of(set, sizeof(*set));
    dup->cap = set->n;
    dup->sources = NULL;
    dup->domains = NULL;
    if (set->n == 0) {
        return dup;
    }
    if (set->flavor == LUTRA_FLAVOR_MARIADB) {
        dup->domains = copy_of(set->domains, set->n * sizeof(*set->domains));
        return dup;
    }
    dup->sources = copy_of(set->sources, set->n * sizeof(*set->sources));
    for (size_t i = 0; i < set->n; i++) {
        struct source *s = &dup->sources[i];
        s->cap = s->n;
        s->intervals = copy_of(s->intervals, s->n * sizeof(*s->intervals));
    }
    return dup;
}

enum lutra_flavor lutra_gtid_set_flavor(const struct lutra_gtid_set *set)
{
    return set->flavor;
}

bool lutra_gtid_set_empty(const struct lutra_gtid_set *set)
{
    return set->n == 0;
}

/* ---- MySQL: intervals ---- */

static int source_cmp(const struct source *s, const uint8_t uuid[16], const char *tag)
{
    int order = memcmp(s->uuid, uuid, 16);
    return order ? order : strcmp(s->tag, tag);
}

/* The source's index, or where it would be inserted. */
static size_t
source_find(const struct lutra_gtid_set *set, const uint8_t uuid[16], const char *tag, bool *found)
{
    size_t low = 0, high = set->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = source_cmp(&set->sources[mid], uuid, tag);
        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *found = false;
    return low;
}

static struct source *
source_get_or_add(struct lutra_gtid_set *set, const uint8_t uuid[16], const char *tag)
{
    bool found;
    size_t at = source_find(set, uuid, tag, &found);
    if (found) {
        return &set->sources[at];
    }
    if (set->n == set->cap) {
        set->cap = set->cap ? set->cap * 2 : 4;
        set->sources = lutra_realloc(set->sources, set->cap * sizeof(*set->sources));
    }
    memmove(&set->sources[at + 1], &set->sources[at], (set->n - at) * sizeof(*set->sources));
    set->n++;
    struct source *s = &set->sources[at];
    *s = (struct source){.n = 0};
    memcpy(s->uuid, uuid, 16);
    snprintf(s->tag, sizeof(s->tag), "%s", tag);
    return s;
}

/* Index of the first interval that ends at or after seq (it holds seq, touches it, or lies beyond
 * it). */
static size_t interval_find(const struct source *s, uint64_t seq)
{
    size_t low = 0, high = s->n;
    /* Transactions nearly always arrive in order: look at the end first. */
    if (s->n && s->intervals[s->n - 1].start <= seq) {
        return s->intervals[s->n - 1].end >= seq ? s->n - 1 : s->n;
    }
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->intervals[mid].end < seq) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static int set_full(struct lutra_error *err)
{
    return lutra_error_set(err, LUTRA_DATA, 0, "GTID set has more than %d intervals",
                           INTERVALS_MAX);
}

/* Inserts [start, end), start < end, merging what it meets. */
static int set_insert(struct lutra_gtid_set *set,
                      const uint8_t uuid[16],
                      const char *tag,
                      struct interval add,
                      struct lutra_error *err)
{
    if (set->n_intervals >= INTERVALS_MAX) {
        bool found;
        size_t at = source_find(set, uuid, tag, &found);
        size_t i = found ? interval_find(&set->sources[at], add.start) : 0;
        if (!found || i == set->sources[at].n || set->sources[at].intervals[i].start > add.end) {
            return set_full(err); /* nothing to merge with */
        }
    }
    struct source *s = source_get_or_add(set, uuid, tag);
    size_t first = interval_find(s, add.start), last = first;
    while (last < s->n && s->intervals[last].start <= add.end) {
        struct interval *met = &s->intervals[last++];
        add.start = met->start < add.start ? met->start : add.start;
        add.end = met->end > add.end ? met->end : add.end;
    }
    if (last == first) {
        if (s->n == s->cap) {
            s->cap = s->cap ? s->cap * 2 : 2;
            s->intervals = lutra_realloc(s->intervals, s->cap * sizeof(*s->intervals));
        }
        memmove(&s->intervals[first + 1], &s->intervals[first],
                (s->n - first) * sizeof(*s->intervals));
        s->n++;
        set->n_intervals++;
    } else {
        memmove(&s->intervals[first + 1], &s->intervals[last],
                (s->n - last) * sizeof(*s->intervals));
        s->n -= last - first - 1;
        set->n_intervals -= last - first - 1;
    }
    s->intervals[first] = add;
    return 0;
}

static bool source_covers(const struct source *s, struct interval wanted)
{
    size_t i = interval_find(s, wanted.start);
    if (i < s->n && s->intervals[i].end == wanted.start) {
        i++; /* only touches */
    }
    return i < s->n && s->intervals[i].start <= wanted.start && s->intervals[i].end >= wanted.end;
}

/* ---- MariaDB: domains ---- */

static size_t domain_find(const struct lutra_gtid_set *set, uint32_t domain, bool *found)
{
    size_t low = 0, high = set->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (set->domains[mid].domain < domain) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *found = low < set->n && set->domains[low].domain == domain;
    return low;
}

static int domain_put(struct lutra_gtid_set *set, struct domain d, struct lutra_error *err)
{
    bool found;
    size_t at = domain_find(set, d.domain, &found);
    if (!found) {
        if (set->n == DOMAINS_MAX) {
            return lutra_error_set(err, LUTRA_DATA, 0, "GTID position has more than %d domains",
                                   DOMAINS_MAX);
        }
        if (set->n == set->cap) {
            set->cap = set->cap ? set->cap * 2 : 4;
            set->domains = lutra_realloc(set->domains, set->cap * sizeof(*set->domains));
        }
        memmove(&set->domains[at + 1], &set->domains[at], (set->n - at) * sizeof(*set->domains));
        set->n++;
    }
    set->domains[at] = d;
    return 0;
}

/* ---- both ---- */

int lutra_gtid_set_add(struct lutra_gtid_set *set,
                       const struct lutra_gtid *gtid,
                       struct lutra_error *err)
{
    if (gtid->flavor != set->flavor || set->flavor == LUTRA_FLAVOR_NONE) {
        return lutra_error_set(err, LUTRA_DATA, 0, "a GTID of %s does not belong in a set of %s",
                               lutra_flavor_name(gtid->flavor), lutra_flavor_name(set->flavor));
    }
    if (set->flavor == LUTRA_FLAVOR_MARIADB) {
        return domain_put(set, (struct domain){gtid->domain, gtid->server_id, gtid->seq}, err);
    }
    if (gtid->seq == 0 || gtid->seq >= LUTRA_GNO_END) {
        return lutra_error_set(err, LUTRA_DATA, 0, "GTID number %" PRIu64 " is out of range",
                               gtid->seq);
    }
    return set_insert(set, gtid->uuid, gtid->tag, (struct interval){gtid->seq, gtid->seq + 1}, err);
}

bool lutra_gtid_set_contains(const struct lutra_gtid_set *set, const struct lutra_gtid *gtid)
{
    bool found;
    size_t at;
    if (gtid->flavor != set->flavor || set->flavor == LUTRA_FLAVOR_NONE) {
        return false;
    }
    if (set->flavor == LUTRA_FLAVOR_MARIADB) {
        at = domain_find(set, gtid->domain, &found);
        return found && set->domains[at].seq >= gtid->seq;
    }
    if (gtid->seq == 0 || gtid->seq >= LUTRA_GNO_END) {
        return false;
    }
    at = source_find(set, gtid->uuid, gtid->tag, &found);
    return found && source_covers(&set->sources[at], (struct interval){gtid->seq, gtid->seq + 1});
}

bool lutra_gtid_set_equal(const struct lutra_gtid_set *a, const struct lutra_gtid_set *b)
{
    if (a->flavor != b->flavor || a->n != b->n || a->n_intervals != b->n_intervals) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (a->flavor == LUTRA_FLAVOR_MARIADB) {
            const struct domain *x = &a->domains[i], *y = &b->domains[i];
            if (x->domain != y->domain || x->server_id != y->server_id || x->seq != y->seq) {
                return false;
            }
        } else {
            const struct source *x = &a->sources[i], *y = &b->sources[i];
            if (source_cmp(x, y->uuid, y->tag) != 0 || x->n != y->n ||
                memcmp(x->intervals, y->intervals, x->n * sizeof(*x->intervals)) != 0) {
                return false;
            }
        }
    }
    return true;
}

bool lutra_gtid_set_includes(const struct lutra_gtid_set *a, const struct lutra_gtid_set *b)
{
    if (b->n == 0) {
        return true;
    }
    if (a->flavor != b->flavor) {
        return false;
    }
    for (size_t i = 0; i < b->n; i++) {
        bool found;
        if (a->flavor == LUTRA_FLAVOR_MARIADB) {
            size_t at = domain_find(a, b->domains[i].domain, &found);
            if (!found || a->domains[at].seq < b->domains[i].seq) {
                return false;
            }
            continue;
        }
        const struct source *want = &b->sources[i];
        size_t at = source_find(a, want->uuid, want->tag, &found);
        for (size_t k = 0; k < want->n; k++) {
            if (!found || !source_covers(&a->sources[at], want->intervals[k])) {
                return false;
            }
        }
    }
    return true;
}

/* ---- text ---- */

static int text_error(struct lutra_error *err, enum lutra_flavor flavor, const char *part)
{
    return lutra_error_set(
        err, LUTRA_CONFIG, 0, "GTID set of %s: cannot read \"%.*s\", expected %s",
        lutra_flavor_name(flavor), (int)strnlen(part, 80), part,
        flavor == LUTRA_FLAVOR_MARIADB ? "domain-server-sequence, ... with each domain once"
                                       : "uuid[:tag]:first[-last][:first[-last]], ...");
}

static int parse_domain(struct lutra_gtid_set *set, const char **p, struct lutra_error *err)
{
    const char *part = *p;
    struct domain d;
    bool twice;
    if (!lutra_gtid_scan_mariadb(p, &d.domain, &d.server_id, &d.seq)) {
        return text_error(err, set->flavor, part);
    }
    (void)domain_find(set, d.domain, &twice);
    if (twice) {
        return text_error(err, set->flavor, part);
    }
    return domain_put(set, d, err);
}

static bool scan_interval(const char **p, struct interval *out)
{
    uint64_t last;
    if (!lutra_gtid_scan_u64(p, &out->start)) {
        return false;
    }
    last = out->start;
    lutra_gtid_skip_blanks(p);
    if (lutra_gtid_scan_char(p, '-')) {
        lutra_gtid_skip_blanks(p);
        if (!lutra_gtid_scan_u64(p, &last)) {
            return false;
        }
    }
    if (out->start == 0 || last < out->start || last >= LUTRA_GNO_END) {
        return false;
    }
    out->end = last + 1;
    return true;
}

/* uuid, then any number of ":tag" and ":interval"; a tag holds for the intervals after it. */
static int parse_source(struct lutra_gtid_set *set, const char **p, struct lutra_error *err)
{
    const char *part = *p;
    uint8_t uuid[16];
    char tag[33] = "";
    bool owed = true; /* an interval must follow */
    if (!lutra_gtid_scan_uuid(p, uuid)) {
        return text_error(err, set->flavor, part);
    }
    lutra_gtid_skip_blanks(p);
    while (lutra_gtid_scan_char(p, ':')) {
        struct interval interval;
        const char *item = *p;
        lutra_gtid_skip_blanks(p);
        if (lutra_gtid_scan_tag(p, tag)) {
            owed = true;
        } else if (!scan_interval(p, &interval)) {
            return text_error(err, set->flavor, item);
        } else {
            if (set_insert(set, uuid, tag, interval, err)) {
                return -1;
            }
            owed = false;
        }
        lutra_gtid_skip_blanks(p);
    }
    return owed ? text_error(err, set->flavor, part) : 0;
}

struct lutra_gtid_set *
lutra_gtid_set_parse(enum lutra_flavor flavor, const char *text, struct lutra_error *err)
{
    struct lutra_gtid_set *set = lutra_gtid_set_new(flavor);
    const char *p = text;
    int rc = 0;
    lutra_gtid_skip_blanks(&p);
    if (*p && flavor == LUTRA_FLAVOR_NONE) {
        rc = lutra_error_set(err, LUTRA_CONFIG, 0, "a GTID set needs a flavor, mariadb or mysql");
    }
    while (rc == 0 && *p) {
        const char *part = p;
        rc = flavor == LUTRA_FLAVOR_MARIADB ? parse_domain(set, &p, err)
                                            : parse_source(set, &p, err);
        if (rc) {
            break;
        }
        lutra_gtid_skip_blanks(&p);
        if (*p && !lutra_gtid_scan_char(&p, ',')) {
            rc = text_error(err, flavor, part);
        } else if (p[-1] == ',') {
            lutra_gtid_skip_blanks(&p);
            rc = *p ? 0 : text_error(err, flavor, part);
        }
    }
    if (rc) {
        /* Also a bound exceeded is the operator's text here. */
        if (err) {
            err->class = LUTRA_CONFIG;
        }
        lutra_gtid_set_free(set);
        return NULL;
    }
    return set;
}

void lutra_gtid_set_format(const struct lutra_gtid_set *set, struct lutra_buf *out)
{
    for (size_t i = 0; i < set->n; i++) {
        if (i) {
            lutra_buf_put_u8(out, ',');
        }
        if (set->flavor == LUTRA_FLAVOR_MARIADB) {
            const struct domain *d = &set->domains[i];
            lutra_buf_printf(out, "%" PRIu32 "-%" PRIu32 "-%" PRIu64, d->domain, d->server_id,
                             d->seq);
            continue;
        }
        const struct source *s = &set->sources[i];
        char uuid[LUTRA_UUID_TEXT_LEN + 1];
        lutra_uuid_format(s->uuid, uuid);
        lutra_buf_printf(out, "%s%s%s", uuid, s->tag[0] ? ":" : "", s->tag);
        for (size_t k = 0; k < s->n; k++) {
            lutra_buf_printf(out, ":%" PRIu64, s->intervals[k].start);
            if (s->intervals[k].end - s->intervals[k].start > 1) {
                lutra_buf_printf(out, "-%" PRIu64, s->intervals[k].end - 1);
            }
        }
    }
}

/* ---- MySQL's bytes ---- */

void lutra_gtid_set_encode(const struct lutra_gtid_set *set, struct lutra_buf *out)
{
    bool tagged = false;
    if (set->flavor != LUTRA_FLAVOR_MYSQL) {
        lutra_buf_put_le(out, 0, 8);
        return;
    }
    for (size_t i = 0; i < set->n; i++) {
        tagged = tagged || set->sources[i].tag[0];
    }
    if (tagged) {
        lutra_buf_put_u8(out, 1);
        lutra_buf_put_le(out, set->n, 6);
        lutra_buf_put_u8(out, 1);
    } else {
        lutra_buf_put_le(out, set->n, 8);
    }
    for (size_t i = 0; i < set->n; i++) {
        const struct source *s = &set->sources[i];
        size_t tag_len = strlen(s->tag);
        lutra_buf_append(out, s->uuid, 16);
        if (tagged) {
            lutra_buf_put_u8(out, (uint8_t)(tag_len << 1));
            lutra_buf_append(out, s->tag, tag_len);
        }
        lutra_buf_put_le(out, s->n, 8);
        for (size_t k = 0; k < s->n; k++) {
            lutra_buf_put_le(out, s->intervals[k].start, 8);
            lutra_buf_put_le(out, s->intervals[k].end, 8);
        }
    }
}

static int bytes_error(struct lutra_error *err, const char *what)
{
    return lutra_error_set(err, LUTRA_DATA, 0, "encoded GTID set: %s", what);
}

static int decode_source(struct lutra_gtid_set *set,
                         struct lutra_cur *cur,
                         bool tagged,
                         struct lutra_error *err)
{
    char tag[33] = "";
    const uint8_t *uuid = lutra_cur_bytes(cur, 16);
    if (tagged) {
        unsigned coded = lutra_cur_u8(cur);
        size_t len = coded >> 1;
        const uint8_t *text = lutra_cur_bytes(cur, len);
        if (cur->bad || (coded & 1) || !lutra_gtid_tag_valid((const char *)text, len)) {
            return bytes_error(err, "bad tag");
        }
        memcpy(tag, text, len);
    }
    uint64_t n = lutra_cur_le(cur, 8);
    if (cur->bad || n > lutra_cur_left(cur) / 16) {
        return bytes_error(err, "cut short");
    }
    for (uint64_t i = 0; i < n; i++) {
        struct interval interval;
        interval.start = lutra_cur_le(cur, 8);
        interval.end = lutra_cur_le(cur, 8);
        if (interval.start == 0 || interval.end <= interval.start || interval.end > LUTRA_GNO_END) {
            return bytes_error(err, "bad interval");
        }
        if (set_insert(set, uuid, tag, interval, err)) {
            return -1;
        }
    }
    return 0;
}

struct lutra_gtid_set *lutra_gtid_set_decode(const void *data, size_t len, struct lutra_error *err)
{
    struct lutra_cur cur = lutra_cur_of(data, len);
    struct lutra_gtid_set *set = lutra_gtid_set_new(LUTRA_FLAVOR_MYSQL);
    uint64_t head = lutra_cur_le(&cur, 8);
    bool tagged = head >> 56 == 1;
    uint64_t n = tagged ? (head >> 8) & 0xffffffffffff : head;
    int rc = 0;
    if (cur.bad || (tagged && (head & 0xff) != 1)) {
        rc = bytes_error(err, "bad head");
    }
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        rc = decode_source(set, &cur, tagged, err);
    }
    if (rc == 0 && lutra_cur_left(&cur) > 0) {
        rc = bytes_error(err, "bytes after its end");
    }
    if (rc) {
        lutra_gtid_set_free(set);
        return NULL;
    }
    return set;
}
