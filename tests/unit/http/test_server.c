/* The server against raw bytes: what a browser, a scanner or an attacker may send. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/address.h"
#include "http/server.h"

static struct lutra_loop *loop;
static struct lutra_http_server *server;
static int handled;

static void hello(struct lutra_http_request *request, void *arg)
{
    (void)arg;
    handled++;
    lutra_http_reply_text(request, 200, "text/plain", "hello\n");
}

static void start(const struct lutra_http_limits *limits)
{
    struct lutra_error err = {0};

    loop = lutra_loop_new();
    server = lutra_http_server_new(loop, "127.0.0.1:0", limits, &err);
    cr_assert_not_null(server, "%s", err.msg);
    lutra_http_server_route(server, "/hello", hello, NULL);
    lutra_http_server_route(server, "/under/", hello, NULL);
}

static void stop(void)
{
    lutra_http_server_free(server);
    lutra_loop_free(loop);
}

static int dial(void)
{
    struct lutra_http_address address;
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(lutra_http_address_parse(lutra_http_server_address(server), &address, NULL), 0);
    to.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host, &to.sin_addr);
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

struct peer {
    int fd;
    const char *send;
    size_t left;
    char got[8192];
    size_t n;
    bool closed;
    size_t want; /* that many bytes are enough; 0: until closed */
};

static bool turn(void *arg)
{
    struct peer *peer = arg;
    ssize_t n;

    if (peer->left > 0) {
        n = send(peer->fd, peer->send, peer->left, MSG_NOSIGNAL);
        if (n > 0) {
            peer->send += n;
            peer->left -= (size_t)n;
        }
    }
    n = recv(peer->fd, peer->got + peer->n, sizeof(peer->got) - 1 - peer->n, 0);
    if (n > 0) {
        peer->n += (size_t)n;
    } else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        peer->closed = true;
    }
    return peer->closed || (peer->want > 0 && peer->n >= peer->want);
}

static void noop(void *arg)
{
    lutra_timer_start(*(struct lutra_timer **)arg, 5);
}

/* Runs the loop until the server closed the connection, or `want` bytes came. */
static void talk(struct peer *peer, uint64_t timeout_ms)
{
    /* The loop sleeps until something happens: this makes it look at the peer often. */
    struct lutra_timer *tick = NULL;

    tick = lutra_timer_new(loop, noop, &tick);
    lutra_timer_start(tick, 5);
    lutra_loop_run_until(loop, turn, peer, timeout_ms);
    lutra_timer_free(tick);
}

static void exchange(struct peer *peer, const char *bytes, size_t len, size_t want)
{
    memset(peer, 0, sizeof(*peer));
    peer->fd = dial();
    peer->send = bytes;
    peer->left = len;
    peer->want = want;
    talk(peer, 5000);
    peer->got[peer->n] = '\0';
    close(peer->fd);
}

static int status_of(const struct peer *peer)
{
    return strncmp(peer->got, "HTTP/1.", 7) == 0 ? atoi(peer->got + 9) : 0;
}

Test(http_server, answers_and_keeps_to_its_routes)
{
    struct peer peer;
    static const struct {
        const char *bytes;
        int status;
    } cases[] = {
        {"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200},
        {"GET /under/any/thing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200},
        {"GET /hello?x=%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200},
        {"GET /hell HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
        {"GET /hello/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
        {"GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400},
        {"GET /% HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400},
        {"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 501},
        {"PATCH /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 501},
    };

    start(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        exchange(&peer, cases[i].bytes, strlen(cases[i].bytes), 0);
        cr_assert_eq(status_of(&peer), cases[i].status, "case %zu: %s", i, peer.got);
    }
    stop();
}

Test(http_server, garbage_never_reaches_a_handler)
{
    static const char *const bytes[] = {
        "\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "GET\r\n\r\n",
        "GET /hello\r\n\r\n",
        "GET /hello HTTP/9.9\r\n\r\n",
        "GET  /hello HTTP/1.1\r\nHost\r\n\r\n",
        "POST /hello HTTP/1.1\r\nContent-Length: -5\r\n\r\nxx",
        "POST /hello HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nxx",
        "POST /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET http://[::1 HTTP/1.1\r\n\r\n",
    };
    struct peer peer;

    start(&(struct lutra_http_limits){
        .max_header_bytes = 1024, .max_body_bytes = 1024, .max_connections = 16, .idle_ms = 1000});
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        exchange(&peer, bytes[i], strlen(bytes[i]), 0);
        cr_assert(peer.closed, "case %zu", i);
        cr_assert_neq(status_of(&peer), 200, "case %zu: %s", i, peer.got);
    }
    cr_assert_eq(handled, 0);
    exchange(&peer, "GET /hello HTTP/1.0\r\n\r\n", 23, 0);
    cr_assert_eq(status_of(&peer), 200);
    stop();
}

Test(http_server, a_body_beyond_the_bound_is_413)
{
    char *bytes = calloc(1, 1200 * 1024);
    int n = sprintf(bytes, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
                    1100 * 1024);
    struct peer peer;

    memset(bytes + n, 'x', 1100 * 1024);
    start(NULL);
    exchange(&peer, bytes, (size_t)n + 1100 * 1024, 0);
    cr_assert_eq(status_of(&peer), 413, "%s", peer.got);
    cr_assert_eq(handled, 0);
    free(bytes);
    stop();
}

Test(http_server, headers_beyond_the_bound_are_refused)
{
    char *bytes = calloc(1, 64 * 1024);
    int n = sprintf(bytes, "GET /hello HTTP/1.1\r\nX-Long: ");
    struct peer peer;

    memset(bytes + n, 'x', 40 * 1024);
    strcpy(bytes + n + 40 * 1024, "\r\n\r\n");
    start(NULL);
    exchange(&peer, bytes, strlen(bytes), 0);
    cr_assert(peer.closed);
    cr_assert_neq(status_of(&peer), 200);
    cr_assert_eq(handled, 0);
    free(bytes);
    stop();
}

Test(http_server, connections_are_bounded_and_come_free_again)
{
    struct peer peers[6];
    struct peer last;
    int open = 0;

    start(&(struct lutra_http_limits){
        .max_header_bytes = 4096, .max_body_bytes = 4096, .max_connections = 4, .idle_ms = 10000});
    memset(peers, 0, sizeof(peers));
    for (int i = 0; i < 6; i++) {
        peers[i].fd = dial();
        peers[i].want = 1;
        talk(&peers[i], 100);
        open += !peers[i].closed;
    }
    cr_assert_eq(open, 4);
    cr_assert_eq(lutra_http_server_connections(server), 4);
    for (int i = 0; i < 6; i++) {
        close(peers[i].fd);
    }
    lutra_loop_run_for(loop, 100);
    exchange(&last, "GET /hello HTTP/1.0\r\n\r\n", 23, 0);
    cr_assert_eq(status_of(&last), 200);
    stop();
}

Test(http_server, who_sends_drop_by_drop_is_closed)
{
    struct peer peer = {0};

    start(&(struct lutra_http_limits){
        .max_header_bytes = 4096, .max_body_bytes = 4096, .max_connections = 4, .idle_ms = 1500});
    peer.fd = dial();
    for (int i = 0; i < 100 && !peer.closed; i++) {
        peer.send = "G";
        peer.left = 1;
        peer.want = 1;
        talk(&peer, 100);
    }
    cr_assert(peer.closed);
    close(peer.fd);
    stop();
}

Test(http_server, an_address_it_cannot_have)
{
    struct lutra_error err = {0};

    loop = lutra_loop_new();
    cr_assert_null(lutra_http_server_new(loop, "example.org:80", NULL, &err));
    cr_assert_eq(err.class, LUTRA_CONFIG);
    cr_assert_null(lutra_http_server_new(loop, "nonsense", NULL, &err));
    cr_assert_eq(err.class, LUTRA_CONFIG);
    server = lutra_http_server_new(loop, "localhost:0", NULL, &err);
    cr_assert_not_null(server);
    cr_assert_null(lutra_http_server_new(loop, lutra_http_server_address(server), NULL, &err));
    cr_assert_eq(err.class, LUTRA_FATAL);
    stop();
}

Test(http_server, a_simulated_loop_has_no_sockets)
{
    struct lutra_error err = {0};

    loop = lutra_loop_new_sim(1);
    cr_assert_null(lutra_http_server_new(loop, "127.0.0.1:0", NULL, &err));
    cr_assert_eq(err.class, LUTRA_FATAL);
    lutra_loop_free(loop);
}
