#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/stack.h"
#include "support/test.h"

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        lutra_test_fail("the path %s is too long for a socket", path);
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return address;
}

/* One request and its answer, heap. */
static char *ask(struct link *link, const char *request)
{
    struct sockaddr_un line = address_of(link->path);
    char answer[1024];
    if (sendto(link->fd, request, strlen(request), 0, (const struct sockaddr *)&line,
               sizeof(line)) < 0) {
        lutra_test_fail("the line is gone: %s", strerror(errno));
    }
    ssize_t n = recv(link->fd, answer, sizeof(answer) - 1, 0);
    if (n < 0) {
        lutra_test_fail("the line does not answer \"%s\": %s", request, strerror(errno));
    }
    answer[n] = '\0';
    return strdup(answer);
}

static void open_socket(struct link *link)
{
    char *path = lutra_test_path("line.client");
    struct sockaddr_un own = address_of(path);
    struct timeval patience = {.tv_sec = 10};
    link->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (link->fd < 0 || bind(link->fd, (const struct sockaddr *)&own, sizeof(own)) != 0 ||
        setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0) {
        lutra_test_fail("%s: %s", path, strerror(errno));
    }
    free(path);
}

/* The network of an address, "10.77.1.1" -> "10.77.1.0/24". */
static void network_of(const char *address, char *network, size_t size)
{
    const char *dot = strrchr(address, '.');
    snprintf(network, size, "%.*s.0/24", (int)(dot - address), address);
}

static void
add_route(const struct lutra_netns *hub, const struct lutra_netns *other, const char *device)
{
    char network[24];
    network_of(other->address, network, sizeof(network));
    lutra_netns_run(hub, "ip link set %s mtu 1500 up && ip route add %s dev %s src %s", device,
                    network, device, hub->address);
}

void link_start(struct link *link,
                const struct lutra_netns *a,
                const struct lutra_netns *b,
                uint64_t seed)
{
    char *path = lutra_test_path("line.sock");
    char *program = lutra_test_format("%s/../tests/line", lutra_test_bin());
    char *seed_text = lutra_test_format("%llu", (unsigned long long)seed);
    const char *argv[] = {program, a->path, "line", b->path, "line", path, seed_text, NULL};
    *link = (struct link){0};
    snprintf(link->path, sizeof(link->path), "%s", path);
    link->proc = lutra_proc_start("line", argv, NULL);
    lutra_proc_log_await(link->proc, "ready", 10000);
    open_socket(link);
    add_route(a, b, "line");
    add_route(b, a, "line");
    free(path);
    free(program);
    free(seed_text);
}

void link_rules(struct link *link, const char *way, const char *rules)
{
    char *request = lutra_test_format("%s %s", way, rules);
    char *answer = ask(link, request);
    if (strcmp(answer, "ok") != 0) {
        lutra_test_fail("the line, asked for \"%s\": %s", request, answer);
    }
    free(answer);
    free(request);
}

static void scan(const char *answer, const char *way, struct link_counts *counts)
{
    const char *p = strstr(answer, way);
    unsigned long long packets, bytes, delivered, delivered_bytes, lost;
    if (!p || sscanf(p + 3, "packets=%llu bytes=%llu delivered=%llu delivered_bytes=%llu lost=%llu",
                     &packets, &bytes, &delivered, &delivered_bytes, &lost) != 5) {
        lutra_test_fail("counts of the line: %s", answer);
    }
    *counts = (struct link_counts){
        .packets = packets, .bytes = bytes, .delivered_bytes = delivered_bytes, .lost = lost};
}

void link_counts(struct link *link, struct link_counts *ab, struct link_counts *ba)
{
    char *answer = ask(link, "counts");
    scan(answer, "ab ", ab);
    scan(answer, "ba ", ba);
    free(answer);
}
