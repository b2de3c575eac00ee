/* line NETNS_A DEVICE_A NETNS_B DEVICE_B SOCKET [SEED]: a long line between two network namespaces.
 *
 * Makes a TUN device in each (their addresses are the caller's affair) and carries packets from one
 * to the other with delay, jitter, loss, duplication and a rate, each direction by rules of its
 * own (way.h). SOCKET is a unix datagram socket; a datagram from a bound socket is answered:
 *   "ab RULES", "ba RULES", "both RULES"   sets rules: "ok", or "error: ..."
 *   "counts"                               "ab packets=.. bytes=.. delivered=.. ... \nba ..."
 * "ready" is printed when the devices are there. The devices vanish with the process, which ends
 * by a signal, or when its parent does. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "way.h"

enum { PACKET_BYTES = 65536, PACKETS_A_TURN = 64 };

struct end {
    int fd;
    struct way out; /* from this end to the other */
};
struct line {
    struct end a, b;
    int control;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "line: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The device belongs to the namespace that this thread is in when it opens /dev/net/tun. */
static int open_device(const char *netns, const char *device)
{
    int ns = open(netns, O_RDONLY | O_CLOEXEC);
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    if (ns < 0) {
        die(netns);
    }
    if (setns(ns, CLONE_NEWNET) != 0) {
        die("setns");
    }
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        die("/dev/net/tun");
    }
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        die(device);
    }
    close(ns);
    return fd;
}

static int open_control(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        die(path);
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        die(path);
    }
    return fd;
}

/* ---- packets ---- */

static void read_packets(struct end *end)
{
    static unsigned char packet[PACKET_BYTES];
    for (int i = 0; i < PACKETS_A_TURN; i++) {
        ssize_t n = read(end->fd, packet, sizeof(packet));
        if (n <= 0) {
            return;
        }
        way_put(&end->out, now_us(), packet, (size_t)n);
    }
}

/* What has arrived goes to the other device; one that is down or full drops it, as devices do. */
static void write_packets(struct way *way, int fd)
{
    static unsigned char packet[PACKET_BYTES];
    size_t len;
    uint64_t now = now_us();
    while ((len = way_take(way, now, packet, sizeof(packet))) > 0) {
        ssize_t n = write(fd, packet, len);
        (void)n;
    }
}

/* ---- control ---- */

static void set_rules(struct line *line, char *words, bool ab, bool ba, char *reply, size_t size)
{
    struct way_rules rules_ab = line->a.out.rules, rules_ba = line->b.out.rules;
    const char *bad = "";
    char *copy = strdup(words);
    if (!copy) {
        abort();
    }
    if ((ab && !way_rules_parse(&rules_ab, words, &bad)) ||
        (ba && !way_rules_parse(&rules_ba, copy, &bad))) {
        snprintf(reply, size, "error: \"%.80s\" is not understood", bad);
    } else {
        line->a.out.rules = rules_ab;
        line->b.out.rules = rules_ba;
        snprintf(reply, size, "ok");
    }
    free(copy);
}

static int tell(const char *name, const struct way *way, char *reply, size_t size)
{
    const struct way_counts *c = &way->counts;
    return snprintf(reply, size,
                    "%s packets=%llu bytes=%llu delivered=%llu delivered_bytes=%llu lost=%llu "
                    "duplicated=%llu overflowed=%llu queued=%zu\n",
                    name, (unsigned long long)c->packets, (unsigned long long)c->bytes,
                    (unsigned long long)c->delivered_packets,
                    (unsigned long long)c->delivered_bytes, (unsigned long long)c->lost,
                    (unsigned long long)c->duplicated, (unsigned long long)c->overflowed, way->n);
}

static void carry_out(struct line *line, char *request, char *reply, size_t size)
{
    char *words = strchr(request, ' ');
    if (words) {
        *words++ = '\0';
    }
    bool both = strcmp(request, "both") == 0;
    bool ab = both || strcmp(request, "ab") == 0, ba = both || strcmp(request, "ba") == 0;
    if (strcmp(request, "counts") == 0) {
        int n = tell("ab", &line->a.out, reply, size);
        tell("ba", &line->b.out, reply + n, size - (size_t)n);
    } else if (words && (ab || ba)) {
        set_rules(line, words, ab, ba, reply, size);
    } else {
        snprintf(reply, size, "error: \"%.80s\": expected ab, ba or both with rules, or counts",
                 request);
    }
}

static void serve(struct line *line)
{
    char request[512], reply[1024];
    struct sockaddr_un from;
    socklen_t from_len = sizeof(from);
    ssize_t n = recvfrom(line->control, request, sizeof(request) - 1, 0, (struct sockaddr *)&from,
                         &from_len);
    if (n < 0) {
        return;
    }
    request[n] = '\0';
    carry_out(line, request, reply, sizeof(reply));
    /* One who does not wait for the answer does not get it. */
    (void)sendto(line->control, reply, strlen(reply), 0, (const struct sockaddr *)&from, from_len);
}

static void run(struct line *line)
{
    struct pollfd fds[] = {{.fd = line->a.fd, .events = POLLIN},
                           {.fd = line->b.fd, .events = POLLIN},
                           {.fd = line->control, .events = POLLIN}};
    for (;;) {
        uint64_t a = way_next_us(&line->a.out), b = way_next_us(&line->b.out);
        uint64_t next = a < b ? a : b, now = now_us();
        uint64_t wait_us = next > now ? next - now : 0;
        struct timespec wait = {.tv_sec = (time_t)(wait_us / 1000000),
                                .tv_nsec = (long)(wait_us % 1000000) * 1000};
        if (ppoll(fds, 3, next == UINT64_MAX ? NULL : &wait, NULL) < 0 && errno != EINTR) {
            die("poll");
        }
        read_packets(&line->a);
        read_packets(&line->b);
        write_packets(&line->a.out, line->b.fd);
        write_packets(&line->b.out, line->a.fd);
        if (fds[2].revents != 0) {
            serve(line);
        }
    }
}

int main(int argc, char **argv)
{
    struct line line;
    if (argc != 6 && argc != 7) {
        fprintf(stderr, "Usage: %s NETNS_A DEVICE_A NETNS_B DEVICE_B SOCKET [SEED]\n", argv[0]);
        return 2;
    }
    uint64_t seed = argc == 7 ? strtoull(argv[6], NULL, 10) : 1;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    line.control = open_control(argv[5]);
    line.a.fd = open_device(argv[1], argv[2]);
    line.b.fd = open_device(argv[3], argv[4]);
    way_init(&line.a.out, seed);
    way_init(&line.b.out, seed + 1);
    printf("ready\n");
    (void)fflush(stdout);
    run(&line);
}
