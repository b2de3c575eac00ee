/* What the network suites stand on: parties, cuts in one direction, a long line. By datagrams. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "link.h"
#include "support/stack.h"
#include "support/test.h"

LUTRA_TEST_OWN_SERVERS

static struct lutra_netns *hub_a, *hub_b, *x, *y, *z; /* x and z at a, y at b */
static struct link the_link;

static void world(void)
{
    lutra_netns_need();
    hub_a = lutra_netns_add_hub("a", "10.77.1.1");
    hub_b = lutra_netns_add_hub("b", "10.77.2.1");
    x = lutra_netns_add_party("x", hub_a, "10.77.1.2");
    z = lutra_netns_add_party("z", hub_a, "10.77.1.3");
    y = lutra_netns_add_party("y", hub_b, "10.77.2.2");
    link_start(&the_link, hub_a, hub_b, 1);
}

static int open_port(const struct lutra_netns *ns)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct timeval patience = {.tv_usec = 300000};
    lutra_netns_enter(ns);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    lutra_netns_enter(NULL);
    cr_assert(fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof any) == 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

static void post(int fd, const struct lutra_netns *to, const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7)};
    cr_assert_eq(inet_pton(AF_INET, to->address, &address.sin_addr), 1);
    cr_assert_gt(
        sendto(fd, text, strlen(text), 0, (const struct sockaddr *)&address, sizeof address), 0);
}

/* Does this text come in before the socket's patience ends? */
static bool comes(int fd, const char *text)
{
    char got[64];
    ssize_t n;
    while ((n = recv(fd, got, sizeof got - 1, 0)) >= 0) {
        got[n] = '\0';
        if (strcmp(got, text) == 0) {
            return true;
        }
    }
    return false;
}

static bool passes(int from_fd, const struct lutra_netns *to, int to_fd)
{
    static unsigned n;
    char *text = lutra_test_format("message %u", ++n);
    post(from_fd, to, text);
    bool came = comes(to_fd, text);
    free(text);
    return came;
}

Test(netns, a_cut_silences_one_direction_until_it_heals, .timeout = 60)
{
    world();
    int fx = open_port(x), fz = open_port(z), fy = open_port(y);
    cr_assert(passes(fx, z, fz) && passes(fz, x, fx), "neighbours");
    cr_assert(passes(fx, y, fy) && passes(fy, x, fx), "over the line");
    lutra_netns_cut(x, z);
    lutra_netns_cut(y, x);
    cr_assert_not(passes(fx, z, fz), "cut");
    cr_assert(passes(fz, x, fx), "the other direction of a cut");
    cr_assert_not(passes(fy, x, fx), "cut over the line");
    cr_assert(passes(fx, y, fy), "the other direction of a cut over the line");
    lutra_netns_heal(x, z);
    cr_assert(passes(fx, z, fz), "healed");
    cr_assert_not(passes(fy, x, fx), "another cut goes on");
    lutra_netns_heal_all();
    cr_assert(passes(fy, x, fx), "all healed");
}

/* What connecting to a port where nobody listens, says: 0 or errno. */
static int connecting_says(const struct lutra_netns *from, const struct lutra_netns *to)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct timeval patience = {.tv_sec = 1};
    cr_assert_eq(inet_pton(AF_INET, to->address, &address.sin_addr), 1);
    lutra_netns_enter(from);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    lutra_netns_enter(NULL);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
    int said = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    return said;
}

Test(netns, a_cut_is_silent_and_a_reset_is_told, .timeout = 60)
{
    world();
    lutra_netns_reset(x, z);
    cr_assert_eq(connecting_says(x, z), ECONNREFUSED);
    lutra_netns_heal(x, z);
    lutra_netns_cut(x, z);
    cr_assert_eq(connecting_says(x, z), EINPROGRESS, "no answer was expected");
}

Test(line, delays_loses_and_counts_in_each_direction, .timeout = 60)
{
    struct link_counts ab, ba;
    world();
    int fx = open_port(x), fy = open_port(y);
    cr_assert(passes(fx, y, fy));
    link_rules(&the_link, "ab", "delay=200ms");
    uint64_t began_ms = lutra_test_now_ms();
    cr_assert(passes(fy, x, fx));
    cr_assert_lt(lutra_test_now_ms() - began_ms, 150, "the other direction is delayed as well");
    began_ms = lutra_test_now_ms();
    cr_assert(passes(fx, y, fy));
    cr_assert_geq(lutra_test_now_ms() - began_ms, 200);
    link_rules(&the_link, "both", "clear loss=100%");
    cr_assert_not(passes(fx, y, fy), "a black hole");
    cr_assert_not(passes(fy, x, fx), "a black hole");
    link_rules(&the_link, "both", "clear");
    cr_assert(passes(fx, y, fy) && passes(fy, x, fx));
    link_counts(&the_link, &ab, &ba);
    cr_assert_geq(ab.packets, 4);
    cr_assert_geq(ab.lost, 1);
    cr_assert_geq(ba.lost, 1);
    cr_assert_geq(ab.bytes, ab.packets * 28, "IP and UDP headers count");
}

/* A namespace of a test that was killed: the next test removes it. */
Test(netns, what_a_crashed_test_left_is_removed, .timeout = 60)
{
    lutra_netns_need();
    /* Process 1 is there, and did not start at tick 1 of the machine's life plus a year. */
    lutra_netns_run(NULL, "ip netns add lutra-1-99999999999-left");
    lutra_netns_sweep();
    cr_assert_neq(access("/run/netns/lutra-1-99999999999-left", F_OK), 0);
}
