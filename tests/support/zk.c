#include "support/zk.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#include "support/test.h"

enum { CALL_MS = 20000 };

struct call {
    bool done;
    int rc;
    char *text;
};

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh, (void)type, (void)state, (void)path, (void)context;
}

static struct call *call_of(const void *data)
{
    return (struct call *)(uintptr_t)data;
}

static void on_void(int rc, const void *data)
{
    *call_of(data) = (struct call){.done = true, .rc = rc};
}

static void on_string(int rc, const char *value, const void *data)
{
    (void)value;
    on_void(rc, data);
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    (void)stat;
    on_void(rc, data);
}

static void on_data(int rc, const char *value, int len, const struct Stat *stat, const void *data)
{
    (void)stat;
    on_void(rc, data);
    if (rc == ZOK) {
        call_of(data)->text = lutra_test_format("%.*s", len > 0 ? len : 0, len > 0 ? value : "");
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void on_strings(int rc, const struct String_vector *strings, const void *data)
{
    on_void(rc, data);
    if (rc != ZOK) {
        return;
    }
    size_t len;
    FILE *out = open_memstream(&call_of(data)->text, &len);
    if (strings->count) {
        qsort(strings->data, (size_t)strings->count, sizeof(strings->data[0]), by_name);
    }
    for (int i = 0; i < strings->count; i++) {
        fprintf(out, i ? " %s" : "%s", strings->data[i]);
    }
    fclose(out);
}

/* The single-threaded client wants to be driven: one turn, at most 100 ms. */
static void turn(zhandle_t *zh)
{
    int fd = -1, interest = 0;
    struct timeval wait = {0};
    zookeeper_interest(zh, &fd, &interest, &wait);
    struct pollfd p = {.fd = fd,
                       .events = (short)((interest & ZOOKEEPER_READ ? POLLIN : 0) |
                                         (interest & ZOOKEEPER_WRITE ? POLLOUT : 0))};
    long wait_ms = wait.tv_sec * 1000 + wait.tv_usec / 1000;
    poll(&p, 1, wait_ms < 100 ? (int)wait_ms : 100);
    zookeeper_process(zh, (p.revents & (POLLIN | POLLHUP | POLLERR) ? ZOOKEEPER_READ : 0) |
                              (p.revents & POLLOUT ? ZOOKEEPER_WRITE : 0));
}

static zhandle_t *open_session(const char *connect)
{
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init(connect, on_event, 10000, NULL, NULL, 0);
    if (!zh) {
        lutra_test_fail("zookeeper_init %s", connect);
    }
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(CALL_MS);
    while (zoo_state(zh) != ZOO_CONNECTED_STATE) {
        if (lutra_test_now_ms() >= end_ms) {
            zookeeper_close(zh);
            lutra_test_fail("ZooKeeper at %s does not answer", connect);
        }
        turn(zh);
    }
    return zh;
}

/* Drives the session until the call has its answer, and ends both. rc is the call's own outcome, or
 * that of sending it. */
static int finish(zhandle_t *zh, int rc, const struct call *call, const char *path)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(CALL_MS);
    while (rc == ZOK && !call->done && lutra_test_now_ms() < end_ms) {
        turn(zh);
    }
    zookeeper_close(zh); /* completes what is open */
    rc = rc == ZOK ? call->rc : rc;
    if (rc != ZOK && rc != ZNONODE && rc != ZNODEEXISTS) {
        lutra_test_fail("ZooKeeper, %s: %s", path, zerror(rc));
    }
    return rc;
}

void lutra_zk_create(const char *connect, const char *path, const char *value)
{
    struct call call = {0};
    zhandle_t *zh = open_session(connect);
    int rc =
        zoo_acreate(zh, path, value, (int)strlen(value), &ZOO_OPEN_ACL_UNSAFE, 0, on_string, &call);
    if (finish(zh, rc, &call, path) == ZNONODE) {
        lutra_test_fail("ZooKeeper, create %s: its parent is not there", path);
    }
}

char *lutra_zk_get(const char *connect, const char *path)
{
    struct call call = {0};
    zhandle_t *zh = open_session(connect);
    finish(zh, zoo_aget(zh, path, 0, on_data, &call), &call, path);
    return call.text;
}

void lutra_zk_set(const char *connect, const char *path, const char *value)
{
    struct call call = {0};
    zhandle_t *zh = open_session(connect);
    int rc = zoo_aset(zh, path, value, (int)strlen(value), -1, on_stat, &call);
    if (finish(zh, rc, &call, path) == ZNONODE) {
        lutra_test_fail("ZooKeeper, set %s: it is not there", path);
    }
}

bool lutra_zk_delete(const char *connect, const char *path)
{
    struct call call = {0};
    zhandle_t *zh = open_session(connect);
    return finish(zh, zoo_adelete(zh, path, -1, on_void, &call), &call, path) == ZOK;
}

char *lutra_zk_children(const char *connect, const char *path)
{
    struct call call = {0};
    zhandle_t *zh = open_session(connect);
    finish(zh, zoo_aget_children(zh, path, 0, on_strings, &call), &call, path);
    return call.text;
}
