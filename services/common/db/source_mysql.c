/* DESIGN: whatever is asked by SQL runs on a worker: check, resolve, and the opening of a stream up
 * to the dump command. Then the socket is the loop's: non-blocking reads, own framing
 * (binlog/packet.h), at most READS_A_TURN reads a turn.
 *
 * The user may pause, close or free the source in every callback: after each of them `alive` is
 * looked at, and a callback that ends something is the last thing a function does. */
#include <errno.h>
#include <fcntl.h>
#include <mysql.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "binlog/event.h"
#include "binlog/packet.h"
#include "db/plain_event.h"
#include "db/source_private.h"
#include "loop/worker.h"

enum { READ_BYTES = 256 * 1024, READS_A_TURN = 8, SILENT_HEARTBEATS = 4, EVENTS_A_TURN = 4096 };
enum { ER_MASTER_FATAL = 1236, ER_SLAVE_SAME_ID = 4052 };

struct stream {
    bool open;  /* the user's view: from open to on_end or close */
    bool ready; /* the socket is ours */
    bool paused, delivered;
    MYSQL *mysql;
    int fd;
    struct lutra_io *io;
    struct lutra_packets *packets; /* heap: outlives a close inside on_event */
    struct lutra_binlog_format format;
    uint64_t heartbeat_ms, heard_ms;
    size_t max_event_bytes;
    const struct lutra_source_handler *handler;
    void *arg;
};

struct mysql_source {
    struct lutra_source source;
    struct lutra_loop *loop;
    struct lutra_worker *worker;
    struct lutra_conn conn; /* the worker's */
    bool asking;            /* a check, resolve or open is under way */
    struct stream stream;
    struct lutra_task *more; /* go on delivering */
    struct lutra_timer *silence;
    bool *alive; /* of the callback under way: false when the stream was closed in it */
};

enum question_kind { ASK_CHECK, ASK_RESOLVE, ASK_OPEN };

struct question {
    struct lutra_job job; /* first */
    struct mysql_source *owner;
    uint64_t generation;
    enum question_kind kind;
    bool (*match)(const char *, const char *, const char *, void *);
    void (*check_done)(const struct lutra_source_info *, const struct lutra_error *, void *);
    void (*resolve_done)(const struct lutra_position *, const struct lutra_error *, void *);
    void *arg;
    enum lutra_start_kind start;
    char *start_text;
    struct lutra_position position; /* open: from where; resolve: the answer */
    uint32_t server_id;
    uint64_t heartbeat_ms;

    struct lutra_error err;
    struct lutra_source_info info;
    struct lutra_unfits unfits;
    MYSQL *mysql; /* open: the connection that dumps */
};

static struct mysql_source *mysql_source_of(struct lutra_source *source)
{
    return (struct mysql_source *)source;
}

/* ---- On the worker ---- */

static void on_question_run(struct lutra_job *job, void *state)
{
    struct question *q = (struct question *)job;
    struct lutra_conn *conn = state;
    int rc = -1;
    if (!lutra_conn_enter(conn, q->generation)) {
        return;
    }
    switch (q->kind) {
    case ASK_CHECK:
        rc = lutra_source_look(conn, &q->info, &q->unfits, &q->err);
        break;
    case ASK_RESOLVE:
        rc = lutra_source_locate(conn, q->start, q->start_text, &q->position, &q->err);
        break;
    case ASK_OPEN:
        rc = lutra_source_dump(conn, &q->position, q->server_id, q->heartbeat_ms, &q->err);
        q->mysql = rc == 0 ? lutra_conn_release(conn) : NULL;
        break;
    }
    if (rc && q->err.class == LUTRA_OK) {
        lutra_error_set(&q->err, LUTRA_BUG, 0, "a source question failed without a reason");
    }
    if (q->err.class == LUTRA_DATA) {
        q->err.class = LUTRA_RETRY; /* an answer that SQL should not give */
    }
    lutra_conn_close(conn);
}

/* ---- Questions ---- */

static void close_dump(MYSQL *mysql)
{
    /* Without a farewell: the server's dump thread does not read while it sends. */
    (void)shutdown((int)mysql_get_socket(mysql), SHUT_RDWR);
    mysql_close(mysql);
}

static void question_free(struct question *q)
{
    if (q->mysql) {
        close_dump(q->mysql);
    }
    lutra_unfits_fini(&q->unfits);
    lutra_position_fini(&q->position);
    lutra_free(q->start_text);
    lutra_free(q);
}

static void drop_question(struct lutra_job *job)
{
    question_free((struct question *)job);
}

/* What of the tables that the user wants is unfit, by name. */
static void match_unfits(struct question *q)
{
    struct lutra_buf text = {0};
    size_t n = 0;
    for (size_t i = 0; i < q->unfits.n; i++) {
        const struct lutra_unfit *unfit = &q->unfits.items[i];
        if (!q->match || !q->match(unfit->schema, unfit->table, unfit->column, q->arg)) {
            continue;
        }
        if (text.len < 700) {
            lutra_buf_printf(&text, "%s%s.%s%s%s %s", n ? ", " : "", unfit->schema, unfit->table,
                             unfit->column ? "." : "", unfit->column ? unfit->column : "",
                             unfit->type);
        }
        n++;
    }
    if (n) {
        lutra_error_set(
            &q->err, LUTRA_CONFIG, 0,
            "%s: %zu columns or tables are of types that are not carried; exclude them: "
            "%s",
            q->owner->conn.endpoint.name, n, lutra_buf_cstr(&text));
    }
    lutra_buf_fini(&text);
}

static void stream_begin(struct mysql_source *s, MYSQL *mysql);
static void stream_end(struct mysql_source *s, const struct lutra_error *err);

static void answer(struct mysql_source *s, struct question *q)
{
    const struct lutra_error *err = q->err.class == LUTRA_OK ? NULL : &q->err;
    switch (q->kind) {
    case ASK_CHECK:
        if (!err) {
            match_unfits(q);
            err = q->err.class == LUTRA_OK ? NULL : &q->err;
        }
        q->check_done(err ? NULL : &q->info, err, q->arg);
        break;
    case ASK_RESOLVE:
        q->resolve_done(err ? NULL : &q->position, err, q->arg);
        break;
    case ASK_OPEN:
        if (err) {
            stream_end(s, err);
        } else {
            MYSQL *mysql = q->mysql;
            q->mysql = NULL;
            stream_begin(s, mysql);
        }
        break;
    }
}

static void on_question_done(struct lutra_job *job)
{
    struct question *q = (struct question *)job;
    struct mysql_source *s = q->owner;
    if (q->generation == lutra_conn_generation(&s->conn)) {
        s->asking = false;
        answer(s, q); /* may free the source */
    }
    question_free(q);
}

static struct question *ask(struct lutra_source *source, enum question_kind kind, void *arg)
{
    struct mysql_source *s = mysql_source_of(source);
    struct question *q = LUTRA_NEW(struct question);
    LUTRA_ASSERT(!s->asking);
    s->asking = true;
    q->job = (struct lutra_job){.run = on_question_run, .done = on_question_done};
    q->owner = s;
    q->generation = lutra_conn_generation(&s->conn);
    q->kind = kind;
    q->arg = arg;
    return q;
}

static void
mysql_check(struct lutra_source *source,
            bool (*match)(const char *, const char *, const char *, void *),
            void (*done)(const struct lutra_source_info *, const struct lutra_error *, void *),
            void *arg)
{
    struct question *q = ask(source, ASK_CHECK, arg);
    q->match = match;
    q->check_done = done;
    lutra_worker_submit(q->owner->worker, &q->job);
}

static void
mysql_resolve(struct lutra_source *source,
              enum lutra_start_kind start,
              const char *start_text,
              void (*done)(const struct lutra_position *, const struct lutra_error *, void *),
              void *arg)
{
    struct question *q = ask(source, ASK_RESOLVE, arg);
    q->start = start;
    q->start_text = lutra_strdup(start_text ? start_text : "");
    q->resolve_done = done;
    lutra_worker_submit(q->owner->worker, &q->job);
}

/* ---- The stream ---- */

static void packets_free(struct lutra_packets *packets)
{
    if (packets) {
        lutra_packets_fini(packets);
        lutra_free(packets);
    }
}

static void stream_stop(struct mysql_source *s)
{
    struct stream *stream = &s->stream;
    lutra_task_cancel(s->more);
    lutra_timer_stop(s->silence);
    if (stream->io) {
        lutra_io_free(stream->io);
        stream->io = NULL;
    }
    if (stream->mysql) {
        close_dump(stream->mysql);
        stream->mysql = NULL;
    }
    stream->open = stream->ready = false;
    if (s->alive) {
        *s->alive = false; /* the callback's event lies in the packets: who called it frees them */
        s->alive = NULL;
    } else {
        packets_free(stream->packets);
    }
    stream->packets = NULL;
}

static void stream_end(struct mysql_source *s, const struct lutra_error *err)
{
    struct lutra_error copy = *err; /* the caller's may lie in what is freed now */
    const struct lutra_source_handler *handler = s->stream.handler;
    void *arg = s->stream.arg;
    stream_stop(s);
    handler->on_end(&copy, arg);
}

/* The server's reason for ending the dump. */
static void refuse(struct mysql_source *s, const struct lutra_packet *packet)
{
    struct lutra_error err = {0};
    enum lutra_error_class class = lutra_mysql_error_class((unsigned)packet->code);
    if (packet->code == ER_SLAVE_SAME_ID || strstr(packet->message, "slave with the same")) {
        class = LUTRA_RETRY; /* our successor, or our own former self */
    } else if (packet->code == ER_MASTER_FATAL || class == LUTRA_DATA) {
        class = LUTRA_FATAL;
    }
    lutra_error_set(&err, class, packet->code, "%s ended the dump: %d %s", s->conn.endpoint.name,
                    packet->code, packet->message);
    stream_end(s, &err);
}

/* One event to the user; false when the stream has ended in it. */
static bool deliver_event(struct mysql_source *s, const struct lutra_packet *packet)
{
    struct stream *stream = &s->stream;
    struct lutra_error err = {0};
    struct lutra_event event;
    if (lutra_event_parse(&stream->format, packet->data, packet->len, &event, &err)) {
        if (err.class == LUTRA_DATA) {
            err.class = LUTRA_RETRY; /* bytes that were damaged on the way come whole next time */
        }
        stream_end(s, &err);
        return false;
    }
    uint8_t *data = (uint8_t *)(uintptr_t)packet->data; /* in the reader's buffer, which is ours */
    size_t len = packet->len;
    if (event.code == LUTRA_EVENT_FORMAT_DESCRIPTION) {
        lutra_plain_format(data, len);
    } else if (LUTRA_EVENT_HEADER_BYTES + event.body_len < len) {
        len = LUTRA_EVENT_HEADER_BYTES + event.body_len;
        lutra_plain_size(data, len);
    }
    struct lutra_packets *packets = stream->packets;
    bool alive = true;
    s->alive = &alive;
    stream->delivered = true;
    stream->handler->on_event(data, len, stream->arg);
    if (!alive) {
        packets_free(packets);
        return false;
    }
    s->alive = NULL;
    return true;
}

enum delivery { DRAINED, HELD, ENDED };

/* The events that have been read: until they are all delivered, or the user pauses, or enough for
 * one turn is done. */
static enum delivery deliver(struct mysql_source *s, unsigned *budget)
{
    struct stream *stream = &s->stream;
    struct lutra_error err = {0};
    struct lutra_packet packet;
    while (!stream->paused && *budget > 0) {
        int rc = lutra_packets_next(stream->packets, &packet, &err);
        if (rc == 0) {
            return DRAINED;
        }
        if (rc < 0) {
            err.class = err.class == LUTRA_DATA ? LUTRA_RETRY : err.class;
            stream_end(s, &err);
            return ENDED;
        }
        (*budget)--;
        if (packet.kind == LUTRA_PACKET_ERROR) {
            refuse(s, &packet);
            return ENDED;
        }
        if (packet.kind == LUTRA_PACKET_EOF) {
            lutra_error_set(&err, LUTRA_RETRY, 0, "%s ended the dump", s->conn.endpoint.name);
            stream_end(s, &err);
            return ENDED;
        }
        if (!deliver_event(s, &packet)) {
            return ENDED;
        }
    }
    return HELD;
}

/* Reads once. 1: bytes came; 0: none for now; -1: the stream has ended. */
static int read_some(struct mysql_source *s)
{
    struct stream *stream = &s->stream;
    struct lutra_error err = {0};
    size_t space;
    uint8_t *room = lutra_packets_room(stream->packets, READ_BYTES, &space);
    ssize_t n = read(stream->fd, room, space);
    if (n > 0) {
        lutra_packets_filled(stream->packets, (size_t)n);
        stream->heard_ms = lutra_loop_now_ms(s->loop);
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return 0;
    }
    lutra_error_set(&err, LUTRA_RETRY, n < 0 ? errno : 0, "lost connection to %s: %s",
                    s->conn.endpoint.name, n < 0 ? strerror(errno) : "closed by the server");
    stream_end(s, &err);
    return -1;
}

/* Delivers and reads in turns until the socket is empty or this turn's share is done. */
static void pump(struct mysql_source *s)
{
    struct stream *stream = &s->stream;
    unsigned budget = EVENTS_A_TURN;
    for (unsigned reads = 0;; reads++) {
        enum delivery delivery = deliver(s, &budget);
        if (delivery == ENDED) {
            return;
        }
        if (delivery == HELD) {
            /* Level triggered: what is not read waits in the kernel, and then at the server. */
            lutra_io_want(stream->io, 0);
            if (!stream->paused) {
                lutra_task_schedule(s->more);
            }
            return;
        }
        lutra_io_want(stream->io, LUTRA_IO_READ);
        if (reads == READS_A_TURN) {
            return;
        }
        int rc = read_some(s);
        if (rc < 0) {
            return;
        }
        if (rc == 0) {
            break;
        }
    }
    bool partial = stream->packets->in.len > stream->packets->done || stream->packets->joining;
    if (stream->delivered && !partial) {
        stream->delivered = false;
        if (stream->handler->on_idle) {
            stream->handler->on_idle(stream->arg);
        }
    }
}

static void on_readable_cb(unsigned events, void *arg)
{
    (void)events;
    pump(arg);
}

static void on_more_cb(void *arg)
{
    struct mysql_source *s = arg;
    if (s->stream.ready && !s->stream.paused) {
        pump(s);
    }
}

static void on_silence_cb(void *arg)
{
    struct mysql_source *s = arg;
    struct stream *stream = &s->stream;
    struct lutra_error err = {0};
    if (stream->paused) {
        return;
    }
    uint64_t silent_ms = lutra_loop_now_ms(s->loop) - stream->heard_ms;
    if (silent_ms < SILENT_HEARTBEATS * stream->heartbeat_ms) {
        lutra_timer_start(s->silence, SILENT_HEARTBEATS * stream->heartbeat_ms - silent_ms);
        return;
    }
    lutra_error_set(&err, LUTRA_RETRY, ETIMEDOUT,
                    "%s: not a byte for %llu ms, a heartbeat is due every %llu",
                    s->conn.endpoint.name, (unsigned long long)silent_ms,
                    (unsigned long long)stream->heartbeat_ms);
    stream_end(s, &err);
}

static void listen_again(struct mysql_source *s)
{
    struct stream *stream = &s->stream;
    stream->heard_ms = lutra_loop_now_ms(s->loop);
    if (stream->heartbeat_ms) {
        lutra_timer_start(s->silence, SILENT_HEARTBEATS * stream->heartbeat_ms);
    }
    lutra_task_schedule(s->more);
}

static void stream_begin(struct mysql_source *s, MYSQL *mysql)
{
    struct stream *stream = &s->stream;
    struct lutra_error err = {0};
    stream->mysql = mysql;
    stream->fd = (int)mysql_get_socket(mysql);
    int flags = fcntl(stream->fd, F_GETFL);
    if (flags < 0 || fcntl(stream->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        lutra_error_set(&err, LUTRA_RETRY, errno, "fcntl: %s", strerror(errno));
        stream_end(s, &err);
        return;
    }
    stream->packets = LUTRA_NEW(struct lutra_packets);
    lutra_packets_init(stream->packets, stream->max_event_bytes);
    lutra_binlog_format_init(&stream->format, LUTRA_FLAVOR_MARIADB, true);
    stream->ready = true;
    stream->delivered = false;
    stream->io = lutra_io_new(s->loop, stream->fd, on_readable_cb, s);
    if (!stream->paused) {
        listen_again(s);
    }
}

static void mysql_open(struct lutra_source *source,
                       const struct lutra_position *position,
                       uint32_t server_id,
                       uint64_t heartbeat_ms,
                       size_t max_event_bytes,
                       const struct lutra_source_handler *handler,
                       void *arg)
{
    struct mysql_source *s = mysql_source_of(source);
    LUTRA_ASSERT(!s->stream.open);
    struct question *q = ask(source, ASK_OPEN, NULL);
    s->stream = (struct stream){.open = true,
                                .fd = -1,
                                .heartbeat_ms = heartbeat_ms,
                                .max_event_bytes = max_event_bytes,
                                .handler = handler,
                                .arg = arg};
    lutra_position_copy(&q->position, position);
    q->server_id = server_id;
    q->heartbeat_ms = heartbeat_ms;
    lutra_worker_submit(s->worker, &q->job);
}

static void mysql_pause(struct lutra_source *source, bool paused)
{
    struct mysql_source *s = mysql_source_of(source);
    bool was = s->stream.paused;
    s->stream.paused = paused;
    if (!s->stream.ready || was == paused) {
        return;
    }
    if (paused) {
        lutra_io_want(s->stream.io, 0);
        lutra_timer_stop(s->silence);
    } else {
        listen_again(s);
    }
}

static void mysql_source_close(struct lutra_source *source)
{
    struct mysql_source *s = mysql_source_of(source);
    lutra_conn_interrupt(&s->conn);
    s->asking = false;
    stream_stop(s);
}

static void mysql_source_free(struct lutra_source *source)
{
    struct mysql_source *s = mysql_source_of(source);
    mysql_source_close(source);
    lutra_worker_free(s->worker, drop_question);
    lutra_conn_fini(&s->conn);
    lutra_task_free(s->more);
    lutra_timer_free(s->silence);
    lutra_free(s);
}

static const struct lutra_source_ops mysql_ops = {
    .check = mysql_check,
    .resolve = mysql_resolve,
    .open = mysql_open,
    .pause = mysql_pause,
    .close = mysql_source_close,
    .free = mysql_source_free,
};

struct lutra_source *lutra_source_mysql_new(struct lutra_loop *loop,
                                            const struct lutra_endpoint *endpoint)
{
    struct mysql_source *s = LUTRA_NEW(struct mysql_source);
    s->source.ops = &mysql_ops;
    s->loop = loop;
    lutra_conn_init(&s->conn, endpoint, "lutra-select");
    s->more = lutra_task_new(loop, on_more_cb, s);
    s->silence = lutra_timer_new(loop, on_silence_cb, s);
    s->worker =
        lutra_worker_new(loop, "source", lutra_conn_worker_begin, lutra_conn_worker_end, &s->conn);
    return &s->source;
}
