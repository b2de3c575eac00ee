/* The port on a real ZooKeeper: sessions, watches, restarts, expiry, a wiped server, all servers
 * down. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coord/coord_zk.h"
#include "coord/mirror.h"
#include "coord/owner.h"
#include "coord_test.h"
#include "support/stack.h"
#include "support/test.h"
#include "support/zk.h"

enum { WAIT_MS = 30000 };

static struct lutra_loop *loop;
static struct answer a;

static void setup(void)
{
    loop = lutra_loop_new();
}

static void teardown(void)
{
    lutra_loop_free(loop);
}

TestSuite(coord_zk, .init = setup, .fini = teardown, .timeout = 120);

static struct lutra_coord *connect_to(const char *address)
{
    struct lutra_error err;
    struct lutra_coord *coord = lutra_coord_zk_new(loop, address, SESSION_MS, &err);

    cr_assert_not_null(coord);
    return coord;
}

static void await_until(bool (*fn)(void *arg), void *arg)
{
    cr_assert(lutra_loop_run_until(loop, fn, arg, lutra_test_scaled_ms(WAIT_MS)));
}

static void await(struct lutra_coord *coord, enum lutra_coord_state state)
{
    struct state_wanted wanted = {coord, state};

    await_until(is_in_state, &wanted);
}

/* A server of this test alone. */
static char *private_server(const char *name, uint16_t *port)
{
    char *text;

    *port = lutra_test_free_port();
    text = lutra_test_format("%d", *port);
    lutra_test_server("zookeeper_start", name, text, NULL);
    free(text);
    return lutra_test_format("127.0.0.1:%d", *port);
}

static void start_again(const char *name, uint16_t port)
{
    char *text = lutra_test_format("%d", port);

    lutra_test_server("zookeeper_start", name, text, NULL);
    free(text);
}

Test(coord_zk, works_below_a_chroot_that_it_makes)
{
    char *name = lutra_test_unique("coord");
    char *address = lutra_test_format("%s/%s/deep", lutra_test_stack()->zookeeper, name);
    struct lutra_coord *coord = connect_to(address);

    await(coord, LUTRA_COORD_CONNECTED);
    cr_assert_neq(lutra_coord_session_id(coord), 0);
    cr_assert_eq(ASK(coord, a, lutra_coord_get(coord, "/a/b", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
    lutra_coord_create(coord, "/a/b", "x", 1, 0, NULL, NULL);
    await_until(has_fired, &a);
    cr_assert_eq(ASK(coord, a, lutra_coord_get(coord, "/a/b", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_OK);
    cr_assert_str_eq(a.data, "x");
    cr_assert_str_eq(a.path, "/a/b");
    cr_assert_eq(
        ASK(coord, a,
            lutra_coord_create(coord, "/top", "", 0, LUTRA_COORD_EPHEMERAL, on_answer, &a)),
        LUTRA_COORD_OK);
    cr_assert_str_eq(a.path, "/top");
    cr_assert_eq(ASK(coord, a, lutra_coord_children(coord, "/", NULL, on_answer, &a)),
                 LUTRA_COORD_OK);
    cr_assert_eq(a.n_children, 2);
    cr_assert_str_eq(a.children[0], "a");
    cr_assert_eq(ASK(coord, a, lutra_coord_delete_tree(coord, "/a", on_answer, &a)),
                 LUTRA_COORD_OK);
    lutra_coord_free(coord);
    free(address);
    free(name);
}

Test(coord_zk, answers_as_the_port_says)
{
    struct lutra_coord *coord = connect_to(lutra_test_chroot());
    char *big = lutra_alloc(LUTRA_COORD_MAX_DATA + 2);

    cr_assert_eq(
        ASK(coord, a,
            lutra_coord_create(coord, "/e/n-", "1", 1,
                               LUTRA_COORD_EPHEMERAL | LUTRA_COORD_SEQUENTIAL, on_answer, &a)),
        LUTRA_COORD_OK);
    cr_assert_str_eq(a.path, "/e/n-0000000000");
    cr_assert_eq(ASK(coord, a, lutra_coord_get(coord, "/e/n-0000000000", NULL, on_answer, &a)),
                 LUTRA_COORD_OK);
    cr_assert_eq(a.stat.ephemeral_owner, lutra_coord_session_id(coord));
    cr_assert_eq(ASK(coord, a, lutra_coord_delete(coord, "/e", -1, on_answer, &a)),
                 LUTRA_COORD_NOT_EMPTY);
    cr_assert_eq(ASK(coord, a, lutra_coord_create(coord, "/v", "", 0, 0, on_answer, &a)),
                 LUTRA_COORD_OK);
    cr_assert_eq(ASK(coord, a, lutra_coord_create(coord, "/v", "", 0, 0, on_answer, &a)),
                 LUTRA_COORD_NODE_EXISTS);
    cr_assert_eq(ASK(coord, a, lutra_coord_set(coord, "/v", "1", 1, 0, on_answer, &a)),
                 LUTRA_COORD_OK);
    cr_assert_eq(a.stat.version, 1);
    cr_assert_eq(ASK(coord, a, lutra_coord_set(coord, "/v", "2", 1, 0, on_answer, &a)),
                 LUTRA_COORD_BAD_VERSION);
    cr_assert_eq(ASK(coord, a, lutra_coord_delete(coord, "/none", -1, on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
    /* The client refuses the path by itself; the answer still comes, and later. */
    cr_assert_eq(ASK(coord, a, lutra_coord_get(coord, "/a//b", NULL, on_answer, &a)),
                 LUTRA_COORD_ERROR);
    cr_assert_eq(
        ASK(coord, a,
            lutra_coord_create(coord, "/big", big, LUTRA_COORD_MAX_DATA + 1, 0, on_answer, &a)),
        LUTRA_COORD_ERROR);
    lutra_free(big);
    lutra_coord_free(coord);
}

Test(coord_zk, refuses_addresses_that_are_none)
{
    static const char *const bad[] = {
        "",      "host",     "host:",        "host:x",       "host:70000", "host:21812x",
        ":2181", "a:1,,b:2", "host:2181/a/", "host:2181//a",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lutra_error err = {0};

        cr_assert_null(lutra_coord_zk_new(loop, bad[i], SESSION_MS, &err), "%s", bad[i]);
        cr_assert_eq(err.class, LUTRA_CONFIG);
    }
}

static int watched_calls;

static void on_mirror(void *arg)
{
    (void)arg;
    watched_calls++;
}

static bool mirror_shows(void *arg)
{
    struct lutra_znode *znode = arg;

    return strcmp(lutra_znode_data(znode, NULL), "2") == 0;
}

static bool mirror_known(void *arg)
{
    return lutra_znode_known(arg);
}

Test(coord_zk, a_session_survives_a_server_restart_and_mirrors_catch_up)
{
    uint16_t port;
    char *address = private_server("zk", &port);
    struct lutra_coord *coord = connect_to(address);
    struct lutra_znode *znode = lutra_znode_new(coord, "/n", on_mirror, NULL);
    int64_t session;

    await_until(mirror_known, znode);
    cr_assert_eq(
        ASK(coord, a,
            lutra_coord_create(coord, "/eph", "", 0, LUTRA_COORD_EPHEMERAL, on_answer, &a)),
        LUTRA_COORD_OK);
    session = lutra_coord_session_id(coord);
    lutra_test_server("zookeeper_stop", "zk", NULL);
    await(coord, LUTRA_COORD_SUSPENDED);
    memset(&a, 0, sizeof(a));
    lutra_coord_create(coord, "/n", "2", 1, 0, on_answer, &a); /* waits, and may be too late */
    start_again("zk", port);
    await(coord, LUTRA_COORD_CONNECTED);
    cr_assert_eq(lutra_coord_session_id(coord), session);
    await_until(has_come, &a);
    if (a.rc != LUTRA_COORD_OK) {
        lutra_coord_create(coord, "/n", "2", 1, 0, NULL, NULL);
    }
    await_until(mirror_shows, znode);
    cr_assert_eq(ASK(coord, a, lutra_coord_get(coord, "/eph", NULL, on_answer, &a)),
                 LUTRA_COORD_OK);
    lutra_znode_free(znode);
    lutra_coord_free(coord);
    free(address);
}

/* A process with a registration, as a service has one. Does not return. */
static void run_victim(const char *address)
{
    struct lutra_loop *own = lutra_loop_new();
    struct lutra_error err;
    struct lutra_coord *coord = lutra_coord_zk_new(own, address, SESSION_MS, &err);

    (void)lutra_registration_new(coord, "/lutra/nodes/load/victim", "{}");
    lutra_loop_run(own);
    _exit(0);
}

static bool victim_is_there(void *arg)
{
    return lutra_znode_exists(arg);
}

static bool victim_is_gone(void *arg)
{
    return !lutra_znode_exists(arg);
}

Test(coord_zk, the_node_of_a_killed_process_vanishes_when_its_session_expires)
{
    const char *address = lutra_test_chroot();
    pid_t victim = fork();
    struct lutra_coord *coord;
    struct lutra_znode *znode;
    uint64_t begin_ms;

    if (victim == 0) {
        run_victim(address);
    }
    coord = connect_to(address);
    znode = lutra_znode_new(coord, "/lutra/nodes/load/victim", on_mirror, NULL);
    await_until(victim_is_there, znode);
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    begin_ms = lutra_test_now_ms();
    await_until(victim_is_gone, znode);
    cr_log_info("vanished after %d ms", (int)(lutra_test_now_ms() - begin_ms));
    cr_assert_geq(lutra_test_now_ms() - begin_ms, SESSION_MS / 2);
    lutra_znode_free(znode);
    lutra_coord_free(coord);
}

Test(coord_zk, closing_takes_the_nodes_away_at_once)
{
    struct lutra_coord *one = connect_to(lutra_test_chroot()), *two;
    uint64_t begin_ms;

    cr_assert_eq(
        ASK(one, a, lutra_coord_create(one, "/eph", "", 0, LUTRA_COORD_EPHEMERAL, on_answer, &a)),
        LUTRA_COORD_OK);
    two = connect_to(lutra_test_chroot());
    cr_assert_eq(ASK(two, a, lutra_coord_get(two, "/eph", on_answer_watch, on_answer, &a)),
                 LUTRA_COORD_OK);
    begin_ms = lutra_test_now_ms();
    lutra_coord_free(one);
    await_until(has_fired, &a);
    cr_assert_lt(lutra_test_now_ms() - begin_ms, lutra_test_scaled_ms(SESSION_MS / 2));
    lutra_coord_free(two);
}

static void count_states(enum lutra_coord_state state, void *arg)
{
    ((int *)arg)[state]++;
}

/* The server hangs longer than the session: what it then does with the session is its choice; the
 * client must end up connected in either case. */
Test(coord_zk, a_server_that_hangs_suspends_and_the_client_comes_back)
{
    uint16_t port;
    char *address = private_server("zk", &port);
    struct lutra_coord *coord = connect_to(address);
    int heard[3] = {0};

    await(coord, LUTRA_COORD_CONNECTED);
    lutra_coord_listen(coord, count_states, heard);
    lutra_test_server_signal("zk", "zookeeper", SIGSTOP);
    await(coord, LUTRA_COORD_SUSPENDED);
    lutra_loop_run_for(loop, SESSION_MS * 2);
    cr_assert_eq(heard[LUTRA_COORD_LOST], 0, "only a server can say that a session is over");
    cr_assert_eq(lutra_coord_state_of(coord), LUTRA_COORD_SUSPENDED);
    lutra_test_server_signal("zk", "zookeeper", SIGCONT);
    await(coord, LUTRA_COORD_CONNECTED);
    cr_assert_eq(ASK(coord, a, lutra_coord_create(coord, "/n", "", 0, 0, on_answer, &a)),
                 LUTRA_COORD_OK);
    lutra_coord_free(coord);
    free(address);
}

static bool lost_and_back(void *arg)
{
    const int *heard = arg;

    return heard[LUTRA_COORD_LOST] > 0 && heard[LUTRA_COORD_CONNECTED] > 0;
}

/* The client itself hangs (a stopped process): the loop does not run for longer than the session.
 */
Test(coord_zk, an_expired_session_is_lost_and_a_new_one_begins)
{
    struct lutra_coord *coord = connect_to(lutra_test_chroot()), *other;
    struct lutra_registration *reg = lutra_registration_new(coord, "/reg", "{}");
    int64_t session;
    int heard[3] = {0};
    char *value;

    await(coord, LUTRA_COORD_CONNECTED);
    session = lutra_coord_session_id(coord);
    LUTRA_WAIT_FOR((lutra_loop_run_for(loop, 20), value = lutra_zk_get(lutra_test_chroot(), "/reg"),
                    value != NULL),
                   WAIT_MS);
    free(value);
    lutra_coord_listen(coord, count_states, heard);
    LUTRA_WAIT_FOR((value = lutra_zk_get(lutra_test_chroot(), "/reg"), free(value), value == NULL),
                   WAIT_MS);
    await_until(lost_and_back, heard);
    cr_assert_eq(heard[LUTRA_COORD_LOST], 1);
    cr_assert_neq(lutra_coord_session_id(coord), session);
    other = connect_to(lutra_test_chroot());
    do {
        (void)ASK(other, a, lutra_coord_get(other, "/reg", NULL, on_answer, &a));
    } while (a.rc == LUTRA_COORD_NO_NODE);
    cr_assert_eq(a.stat.ephemeral_owner, lutra_coord_session_id(coord));
    lutra_registration_free(reg);
    lutra_coord_free(coord);
    lutra_coord_free(other);
}

/* Every server refuses a client that has seen a later transaction than it has itself. */
Test(coord_zk, a_wiped_server_is_a_lost_session_in_the_end)
{
    uint16_t port;
    char *address = private_server("zk", &port);
    char *data = lutra_test_path("zk/data/version-2");
    char *command = lutra_test_format("rm -rf '%s'", data);
    struct lutra_coord *coord = connect_to(address);
    int heard[3] = {0};

    for (int i = 0; i < 20; i++) {
        cr_assert_eq(
            ASK(coord, a,
                lutra_coord_create(coord, "/s-", "", 0, LUTRA_COORD_SEQUENTIAL, on_answer, &a)),
            LUTRA_COORD_OK);
    }
    lutra_coord_listen(coord, count_states, heard);
    lutra_test_server("zookeeper_stop", "zk", NULL);
    await(coord, LUTRA_COORD_SUSPENDED);
    cr_assert_eq(system(command), 0);
    start_again("zk", port);
    await_until(lost_and_back, heard);
    cr_assert_eq(ASK(coord, a, lutra_coord_get(coord, "/s-0000000001", NULL, on_answer, &a)),
                 LUTRA_COORD_NO_NODE);
    lutra_coord_free(coord);
    free(address);
    free(data);
    free(command);
}

struct contender {
    struct lutra_coord *coord;
    struct lutra_owner *owner;
};

static void on_owner(enum lutra_owner_state state, void *arg)
{
    (void)state;
    (void)arg;
}

static bool owns(void *arg)
{
    return lutra_owner_state_of(((struct contender *)arg)->owner) == LUTRA_OWNER_OWNED;
}

/* Owns until it is killed. Does not return. */
static void run_owner(const char *address)
{
    struct lutra_loop *own = lutra_loop_new();
    struct lutra_error err;
    struct lutra_coord *coord = lutra_coord_zk_new(own, address, SESSION_MS, &err);

    (void)lutra_owner_new(coord, "/p/load", "dead", 1000, on_owner, NULL);
    lutra_loop_run(own);
    _exit(0);
}

Test(coord_zk, a_standby_takes_over_from_a_killed_owner)
{
    const char *address = lutra_test_chroot();
    struct contender two = {0};
    struct lutra_znode *node;
    uint64_t begin_ms, ms;
    pid_t pid = fork();

    if (pid == 0) {
        run_owner(address);
    }
    two.coord = connect_to(address);
    node = lutra_znode_new(two.coord, "/p/load", on_mirror, NULL);
    await_until(victim_is_there, node);
    two.owner = lutra_owner_new(two.coord, "/p/load", "b", 1000, on_owner, NULL);
    lutra_loop_run_for(loop, 200);
    cr_assert_not(owns(&two));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    begin_ms = lutra_test_now_ms();
    await_until(owns, &two);
    ms = lutra_test_now_ms() - begin_ms;
    cr_log_info("took over from a killed owner after %d ms", (int)ms);
    cr_assert_lt(ms, lutra_test_scaled_ms(SESSION_MS + 1000 + 1500));
    lutra_owner_free(two.owner);
    lutra_znode_free(node);
    lutra_coord_free(two.coord);
}

Test(coord_zk, a_standby_takes_over_from_an_owner_that_lets_go)
{
    const char *address = lutra_test_chroot();
    struct contender one = {.coord = connect_to(address)}, two = {.coord = connect_to(address)};
    uint64_t begin_ms, ms;

    one.owner = lutra_owner_new(one.coord, "/p/load", "a", 1000, on_owner, NULL);
    await_until(owns, &one);
    two.owner = lutra_owner_new(two.coord, "/p/load", "b", 1000, on_owner, NULL);
    await(two.coord, LUTRA_COORD_CONNECTED);
    lutra_loop_run_for(loop, 200);
    cr_assert_not(owns(&two));
    begin_ms = lutra_test_now_ms();
    lutra_owner_free(one.owner);
    await_until(owns, &two);
    ms = lutra_test_now_ms() - begin_ms;
    cr_log_info("took over from an owner that let go after %d ms", (int)ms);
    cr_assert_geq(ms, 1000);
    cr_assert_lt(ms, lutra_test_scaled_ms(1500));
    lutra_owner_free(two.owner);
    lutra_coord_free(one.coord);
    lutra_coord_free(two.coord);
}

/* Loop time that a client of servers that are all down uses. */
Test(coord_zk, does_not_spin_while_all_servers_are_down)
{
    char *address =
        lutra_test_format("127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d", lutra_test_free_port(),
                          lutra_test_free_port(), lutra_test_free_port());
    struct lutra_coord *coord = connect_to(address);
    struct rusage before, after;
    double used_s;

    getrusage(RUSAGE_SELF, &before);
    lutra_loop_run_for(loop, 3000);
    getrusage(RUSAGE_SELF, &after);
    used_s = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
             (double)(after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
             (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6 +
             (double)(after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1e6;
    cr_log_info("%f s of processor time in 3 s", used_s);
    cr_assert_lt(used_s, 0.15);
    cr_assert_eq(lutra_coord_state_of(coord), LUTRA_COORD_SUSPENDED);
    cr_assert_lt(lutra_loop_longest_turn_ms(loop), 200);
    lutra_coord_free(coord);
    free(address);
}
