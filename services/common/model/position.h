/* Positions in a source's binlog, and GTID sets of both families. */
#ifndef LUTRA_MODEL_POSITION_H
#define LUTRA_MODEL_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum lutra_flavor { LUTRA_FLAVOR_NONE, LUTRA_FLAVOR_MARIADB, LUTRA_FLAVOR_MYSQL };

/* One GTID. MariaDB: domain-server-sequence. MySQL: uuid[:tag]:number. */
struct lutra_gtid {
    enum lutra_flavor flavor;
    uint32_t domain, server_id; /* MariaDB */
    uint8_t uuid[16];           /* MySQL */
    char tag[33];               /* MySQL 8.3+, lower case, "" without */
    uint64_t seq;
};

int lutra_gtid_parse(const char *text,
                     struct lutra_gtid *gtid,
                     struct lutra_error *err) LUTRA_MUST_CHECK;
/* buf of at least 96 bytes; returns buf. */
const char *lutra_gtid_format(const struct lutra_gtid *gtid, char *buf);

/* A set of GTIDs. MariaDB: a position, the last GTID of each domain (as gtid_binlog_pos), at most 1
 * 024 domains. MySQL: intervals per (uuid, tag), kept sorted and merged, tags included; at most 100
 * 000 intervals. */
struct lutra_gtid_set;
struct lutra_gtid_set *lutra_gtid_set_new(enum lutra_flavor flavor);
struct lutra_gtid_set *lutra_gtid_set_dup(const struct lutra_gtid_set *set);
void lutra_gtid_set_free(struct lutra_gtid_set *set);
/* "0-1-140,5-77-9" | "uuid:1-5:7,uuid:tag:1-3" (blanks and newlines allowed, as servers print
 * them); "" is the empty set. NULL and CONFIG on error, naming the offending part. */
struct lutra_gtid_set *
lutra_gtid_set_parse(enum lutra_flavor flavor, const char *text, struct lutra_error *err);
void lutra_gtid_set_format(const struct lutra_gtid_set *set, struct lutra_buf *out);
enum lutra_flavor lutra_gtid_set_flavor(const struct lutra_gtid_set *set);
bool lutra_gtid_set_empty(const struct lutra_gtid_set *set);
/* MariaDB: replaces the domain's GTID. MySQL: inserts. -1 and DATA: other flavor, or a bound
 * exceeded. */
int lutra_gtid_set_add(struct lutra_gtid_set *set,
                       const struct lutra_gtid *gtid,
                       struct lutra_error *err) LUTRA_MUST_CHECK;
/* MariaDB: the domain is at that sequence or beyond. MySQL: membership. */
bool lutra_gtid_set_contains(const struct lutra_gtid_set *set, const struct lutra_gtid *gtid);
bool lutra_gtid_set_equal(const struct lutra_gtid_set *a, const struct lutra_gtid_set *b);
/* Every GTID of b is in a. */
bool lutra_gtid_set_includes(const struct lutra_gtid_set *a, const struct lutra_gtid_set *b);
/* MySQL: the block of COM_BINLOG_DUMP_GTID; the tagged form as soon as the set has a tag. */
void lutra_gtid_set_encode(const struct lutra_gtid_set *set, struct lutra_buf *out);
/* The reverse, both forms; also the body of a PREVIOUS_GTIDS event. NULL and DATA on malformed
 * bytes. */
struct lutra_gtid_set *
lutra_gtid_set_decode(const void *data, size_t len, struct lutra_error *err) LUTRA_MUST_CHECK;

/* The end of a source transaction (or where reading begins). Text form, used in znodes, checkpoints
 * and logs: binlog.000003:1234;0-1-140,5-77-9      file:offset;gtid-set      (either half may be
 * empty, not both)
 *   ""                                     no position
 * Order (lutra_position_cmp) is by file number, then offset, and holds within one source identity
 * only; a position without file is before every other. */
struct lutra_position {
    enum lutra_flavor flavor;
    char file[128]; /* "" when only the GTID set is known */
    uint64_t offset;
    struct lutra_gtid_set *gtids; /* may be NULL; owned */
};

void lutra_position_fini(struct lutra_position *pos);
void lutra_position_copy(struct lutra_position *dst,
                         const struct lutra_position *src); /* frees dst's */
bool lutra_position_is_none(const struct lutra_position *pos);
int lutra_position_parse(enum lutra_flavor flavor,
                         const char *text,
                         struct lutra_position *pos,
                         struct lutra_error *err) LUTRA_MUST_CHECK;
void lutra_position_format(const struct lutra_position *pos, struct lutra_buf *out);
/* Heap copy of the text form; lutra_free it. */
char *lutra_position_text(const struct lutra_position *pos);
/* <0, 0, >0. File names compare by their trailing number; different base names compare as text. */
int lutra_position_cmp(const struct lutra_position *a, const struct lutra_position *b);

const char *lutra_flavor_name(enum lutra_flavor flavor); /* "mariadb", "mysql", "none" */

#endif
