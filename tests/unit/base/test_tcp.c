#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/tcp.h"

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    cr_assert_eq(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

Test(tcp, silence_is_bounded_on_a_connection_with_and_without_data_under_way)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_geq(fd, 0);
    lutra_tcp_bound_silence(fd);
    cr_assert_eq(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), LUTRA_TCP_SILENCE_MS);
    cr_assert_neq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    int idle_ms =
        1000 * (option(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
                option(fd, IPPROTO_TCP, TCP_KEEPINTVL) * option(fd, IPPROTO_TCP, TCP_KEEPCNT));
    cr_assert_leq(idle_ms, LUTRA_TCP_SILENCE_MS);
    close(fd);
}

Test(tcp, other_sockets_are_left_alone)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    lutra_tcp_bound_silence(fds[0]);
    cr_assert_eq(write(fds[0], "x", 1), 1);
    close(fds[0]);
    close(fds[1]);
}
