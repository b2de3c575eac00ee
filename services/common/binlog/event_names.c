#include "binlog/event.h"

static const char *const names[256] = {
    [LUTRA_EVENT_QUERY] = "QUERY",
    [LUTRA_EVENT_STOP] = "STOP",
    [LUTRA_EVENT_ROTATE] = "ROTATE",
    [LUTRA_EVENT_INTVAR] = "INTVAR",
    [LUTRA_EVENT_SLAVE] = "SLAVE",
    [LUTRA_EVENT_APPEND_BLOCK] = "APPEND_BLOCK",
    [LUTRA_EVENT_DELETE_FILE] = "DELETE_FILE",
    [LUTRA_EVENT_RAND] = "RAND",
    [LUTRA_EVENT_USER_VAR] = "USER_VAR",
    [LUTRA_EVENT_FORMAT_DESCRIPTION] = "FORMAT_DESCRIPTION",
    [LUTRA_EVENT_XID] = "XID",
    [LUTRA_EVENT_BEGIN_LOAD_QUERY] = "BEGIN_LOAD_QUERY",
    [LUTRA_EVENT_EXECUTE_LOAD_QUERY] = "EXECUTE_LOAD_QUERY",
    [LUTRA_EVENT_TABLE_MAP] = "TABLE_MAP",
    [LUTRA_EVENT_WRITE_ROWS_V1] = "WRITE_ROWS_V1",
    [LUTRA_EVENT_UPDATE_ROWS_V1] = "UPDATE_ROWS_V1",
    [LUTRA_EVENT_DELETE_ROWS_V1] = "DELETE_ROWS_V1",
    [LUTRA_EVENT_INCIDENT] = "INCIDENT",
    [LUTRA_EVENT_HEARTBEAT] = "HEARTBEAT",
    [LUTRA_EVENT_IGNORABLE] = "IGNORABLE",
    [LUTRA_EVENT_ROWS_QUERY] = "ROWS_QUERY",
    [LUTRA_EVENT_WRITE_ROWS] = "WRITE_ROWS",
    [LUTRA_EVENT_UPDATE_ROWS] = "UPDATE_ROWS",
    [LUTRA_EVENT_DELETE_ROWS] = "DELETE_ROWS",
    [LUTRA_EVENT_GTID] = "GTID",
    [LUTRA_EVENT_ANONYMOUS_GTID] = "ANONYMOUS_GTID",
    [LUTRA_EVENT_PREVIOUS_GTIDS] = "PREVIOUS_GTIDS",
    [LUTRA_EVENT_TRANSACTION_CONTEXT] = "TRANSACTION_CONTEXT",
    [LUTRA_EVENT_VIEW_CHANGE] = "VIEW_CHANGE",
    [LUTRA_EVENT_XA_PREPARE] = "XA_PREPARE",
    [LUTRA_EVENT_PARTIAL_UPDATE_ROWS] = "PARTIAL_UPDATE_ROWS",
    [LUTRA_EVENT_TRANSACTION_PAYLOAD] = "TRANSACTION_PAYLOAD",
    [LUTRA_EVENT_HEARTBEAT_V2] = "HEARTBEAT_V2",
    [LUTRA_EVENT_GTID_TAGGED] = "GTID_TAGGED",
    [LUTRA_EVENT_ANNOTATE_ROWS] = "ANNOTATE_ROWS",
    [LUTRA_EVENT_BINLOG_CHECKPOINT] = "BINLOG_CHECKPOINT",
    [LUTRA_EVENT_MARIADB_GTID] = "MARIADB_GTID",
    [LUTRA_EVENT_GTID_LIST] = "GTID_LIST",
    [LUTRA_EVENT_START_ENCRYPTION] = "START_ENCRYPTION",
    [LUTRA_EVENT_QUERY_COMPRESSED] = "QUERY_COMPRESSED",
    [LUTRA_EVENT_WRITE_ROWS_COMPRESSED_V1] = "WRITE_ROWS_COMPRESSED_V1",
    [LUTRA_EVENT_UPDATE_ROWS_COMPRESSED_V1] = "UPDATE_ROWS_COMPRESSED_V1",
    [LUTRA_EVENT_DELETE_ROWS_COMPRESSED_V1] = "DELETE_ROWS_COMPRESSED_V1",
    [LUTRA_EVENT_WRITE_ROWS_COMPRESSED] = "WRITE_ROWS_COMPRESSED",
    [LUTRA_EVENT_UPDATE_ROWS_COMPRESSED] = "UPDATE_ROWS_COMPRESSED",
    [LUTRA_EVENT_DELETE_ROWS_COMPRESSED] = "DELETE_ROWS_COMPRESSED",
};

const char *lutra_event_name(uint8_t code)
{
    return names[code] ? names[code] : "unknown";
}

static enum lutra_event_use refuse(const struct lutra_event *event, struct lutra_error *err)
{
    switch (event->code) {
    case LUTRA_EVENT_START_ENCRYPTION:
        lutra_error_set(
            err, LUTRA_CONFIG, 0,
            "START_ENCRYPTION event: the source sends its binlog encrypted, which is not "
            "supported; set encrypt_binlog=OFF");
        break;
    case LUTRA_EVENT_PARTIAL_UPDATE_ROWS:
        lutra_error_set(
            err, LUTRA_CONFIG, 0,
            "PARTIAL_UPDATE_ROWS event: partial JSON updates are not supported; set the "
            "source's binlog_row_value_options='' for every session");
        break;
    default:
        lutra_error_set(
            err, LUTRA_CONFIG, 0,
            "event code %u is unknown and not marked ignorable: the source's version or "
            "one of its features is not supported",
            event->code);
        break;
    }
    return LUTRA_EVENT_REFUSED;
}

enum lutra_event_use lutra_event_use(const struct lutra_event *event, struct lutra_error *err)
{
    if (lutra_event_is_rows(event->code)) {
        return LUTRA_EVENT_HANDLE;
    }
    switch (event->code) {
    case LUTRA_EVENT_QUERY:
    case LUTRA_EVENT_QUERY_COMPRESSED:
    case LUTRA_EVENT_EXECUTE_LOAD_QUERY:
    case LUTRA_EVENT_ROTATE:
    case LUTRA_EVENT_FORMAT_DESCRIPTION:
    case LUTRA_EVENT_XID:
    case LUTRA_EVENT_TABLE_MAP:
    case LUTRA_EVENT_INCIDENT:
    case LUTRA_EVENT_HEARTBEAT:
    case LUTRA_EVENT_HEARTBEAT_V2:
    case LUTRA_EVENT_GTID:
    case LUTRA_EVENT_ANONYMOUS_GTID:
    case LUTRA_EVENT_GTID_TAGGED:
    case LUTRA_EVENT_MARIADB_GTID:
    case LUTRA_EVENT_PREVIOUS_GTIDS:
    case LUTRA_EVENT_GTID_LIST:
    case LUTRA_EVENT_XA_PREPARE:
    case LUTRA_EVENT_TRANSACTION_PAYLOAD:
        return LUTRA_EVENT_HANDLE;
    /* Parts of statement-format transactions: the QUERY that they belong to is what gets judged. */
    case LUTRA_EVENT_INTVAR:
    case LUTRA_EVENT_RAND:
    case LUTRA_EVENT_USER_VAR:
    case LUTRA_EVENT_BEGIN_LOAD_QUERY:
    case LUTRA_EVENT_APPEND_BLOCK:
    case LUTRA_EVENT_DELETE_FILE:
    /* Texts and bookkeeping of the server. */
    case LUTRA_EVENT_STOP:
    case LUTRA_EVENT_SLAVE:
    case LUTRA_EVENT_IGNORABLE:
    case LUTRA_EVENT_ROWS_QUERY:
    case LUTRA_EVENT_TRANSACTION_CONTEXT:
    case LUTRA_EVENT_VIEW_CHANGE:
    case LUTRA_EVENT_ANNOTATE_ROWS:
    case LUTRA_EVENT_BINLOG_CHECKPOINT:
        return LUTRA_EVENT_SKIP;
    case LUTRA_EVENT_START_ENCRYPTION:
    case LUTRA_EVENT_PARTIAL_UPDATE_ROWS:
        return refuse(event, err);
    default:
        return event->flags & LUTRA_EVENT_F_IGNORABLE ? LUTRA_EVENT_SKIP : refuse(event, err);
    }
}
