/* Can this server's binlog be read on from a GTID position that was made at another server? What
 * the server itself would answer to the dump is one number and a sentence about any replica; here
 * the GTID, the server and the way out are named. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/source_private.h"

/* What the server says of itself. */
struct history {
    char *state;   /* gtid_binlog_state: the last GTID of each (domain, server) in its binlog */
    char *end;     /* gtid_binlog_pos: the last of each domain */
    char *applied; /* gtid_slave_pos: what it has replicated */
    char *begin;   /* as end, where its first binlog file begins */
    bool replicates;
};

static void history_fini(struct history *h)
{
    lutra_free(h->state);
    lutra_free(h->end);
    lutra_free(h->applied);
    lutra_free(h->begin);
}

/* The next of a list "0-1-5,1-1-7"; false at its end, or at what is no GTID. */
static bool next_gtid(const char **list, struct lutra_gtid *gtid)
{
    char text[96];
    size_t len;
    *list += strspn(*list, ", \n");
    len = strcspn(*list, ", \n");
    if (len == 0 || len >= sizeof(text)) {
        return false;
    }
    memcpy(text, *list, len);
    text[len] = '\0';
    *list += len;
    return lutra_gtid_parse(text, gtid, NULL) == 0;
}

/* Of that domain and, any_server false, that server: the highest in the list. */
static bool
last_of(const char *list, const struct lutra_gtid *like, bool any_server, struct lutra_gtid *found)
{
    struct lutra_gtid gtid;
    bool any = false;
    while (next_gtid(&list, &gtid)) {
        if (gtid.domain == like->domain && (any_server || gtid.server_id == like->server_id) &&
            (!any || gtid.seq > found->seq)) {
            *found = gtid;
            any = true;
        }
    }
    return any;
}

static bool has_applied(const struct history *h, const struct lutra_gtid *gtid)
{
    struct lutra_gtid last;
    if (last_of(h->state, gtid, false, &last) && last.seq >= gtid->seq) {
        return true;
    }
    /* Seeded from a backup at exactly that place: nothing lies between. */
    return last_of(h->applied, gtid, true, &last) && last.server_id == gtid->server_id &&
           last.seq == gtid->seq;
}

static bool is_running(const MYSQL_FIELD *field, const char *value)
{
    return strcmp(field->name, "Slave_SQL_Running") == 0 && value && strcmp(value, "Yes") == 0;
}

int lutra_conn_replicates(struct lutra_conn *conn, bool *replicates, struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(conn, err, "SHOW ALL SLAVES STATUS");
    MYSQL_ROW row;
    *replicates = false;
    if (!result) {
        if (err->code != LUTRA_ER_SPECIFIC_ACCESS_DENIED) {
            return -1;
        }
        lutra_error_clear(err); /* who may not see replication is taken at his word */
        return 0;
    }
    const MYSQL_FIELD *fields = mysql_fetch_fields(result);
    while ((row = mysql_fetch_row(result))) {
        for (unsigned i = 0; i < mysql_num_fields(result); i++) {
            *replicates = *replicates || is_running(&fields[i], row[i]);
        }
    }
    mysql_free_result(result);
    return 0;
}

static int read_history(struct lutra_conn *conn, struct history *h, struct lutra_error *err)
{
    MYSQL_RES *result = lutra_conn_query(
        conn, err,
        "SELECT @@GLOBAL.gtid_binlog_state, @@GLOBAL.gtid_binlog_pos, @@GLOBAL.gtid_slave_pos");
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    if (!row) {
        mysql_free_result(result);
        return -1;
    }
    h->state = lutra_strdup(row[0] ? row[0] : "");
    h->end = lutra_strdup(row[1] ? row[1] : "");
    h->applied = lutra_strdup(row[2] ? row[2] : "");
    mysql_free_result(result);

    result = lutra_conn_query(conn, err, "SHOW BINARY LOGS");
    row = result ? mysql_fetch_row(result) : NULL;
    LUTRA_AUTO_FREE char *first = row ? lutra_conn_quote(conn, row[0]) : NULL;
    if (result) {
        mysql_free_result(result);
    }
    if (!first) {
        return -1;
    }
    lutra_error_clear(err);
    h->begin = lutra_conn_text(conn, err, "SELECT BINLOG_GTID_POS(%s, 4)", first);
    if (!h->begin && err->class != LUTRA_OK) {
        return -1;
    }
    return lutra_conn_replicates(conn, &h->replicates, err);
}

#define WAY_OUT                                                                                   \
    "switch back to a server that has it (lutractl media switch), or put both sides in step, "    \
    "delete the pipeline's rows of lutra.checkpoint at the target, and start it with the start: " \
    "that fits"

static int refuse(const struct lutra_conn *conn,
                  const struct history *h,
                  const struct lutra_gtid *missing,
                  struct lutra_error *err)
{
    struct lutra_gtid last;
    char text[96], other[96];
    const char *server = conn->endpoint.name;
    lutra_gtid_format(missing, text);
    if (last_of(h->state, missing, true, &last) && last.seq >= missing->seq) {
        return lutra_error_set(
            err, LUTRA_CONFIG, 0,
            "%s never had GTID %s, which the target has: its binlog goes on from "
            "another history to %s; " WAY_OUT,
            server, text, lutra_gtid_format(&last, other));
    }
    if (h->replicates) {
        return lutra_error_set(
            err, LUTRA_RETRY, 0,
            "%s is behind: it has not yet applied GTID %s, its binlog ends at %s; "
            "waiting for its replication",
            server, text, h->end[0] ? h->end : "the beginning");
    }
    return lutra_error_set(
        err, LUTRA_CONFIG, 0,
        "%s lacks GTID %s, which the target has: its binlog ends at %s, and it does not replicate; "
        "it did not get the last writes of the former primary, or does not log what it replicates "
        "(log_slave_updates); " WAY_OUT,
        server, text, h->end[0] ? h->end : "the beginning");
}

/* What lies between the position and the first file is gone. */
static int check_purged(const struct lutra_conn *conn,
                        const struct history *h,
                        const char *position,
                        struct lutra_error *err)
{
    const char *list = h->begin ? h->begin : "";
    struct lutra_gtid begin, ours;
    char text[96];
    while (next_gtid(&list, &begin)) {
        bool known = last_of(position, &begin, true, &ours);
        if (!known || ours.seq < begin.seq) {
            return lutra_error_set(
                err, LUTRA_FATAL, 1236,
                "%s: the binlog begins after GTID %s, the position is %s: what lies between is "
                "purged and must be copied anew, and the pipeline started after it",
                conn->endpoint.name, lutra_gtid_format(&begin, text), position);
        }
    }
    return 0;
}

int lutra_source_check_gtids(struct lutra_conn *conn,
                             const struct lutra_position *position,
                             struct lutra_error *err)
{
    struct history h = {0};
    struct lutra_buf wanted = {0};
    struct lutra_gtid gtid;
    int rc = read_history(conn, &h, err);
    if (rc == 0 && position->gtids) {
        lutra_gtid_set_format(position->gtids, &wanted);
    }
    const char *list = lutra_buf_cstr(&wanted);
    while (rc == 0 && next_gtid(&list, &gtid)) {
        if (!has_applied(&h, &gtid)) {
            rc = refuse(conn, &h, &gtid, err);
        }
    }
    if (rc == 0) {
        rc = check_purged(conn, &h, lutra_buf_cstr(&wanted), err);
    }
    lutra_buf_fini(&wanted);
    history_fini(&h);
    return rc;
}
