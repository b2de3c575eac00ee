#include "support/netns.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/internal.h"
#include "support/test.h"

#define RUN_DIR "/run/netns"

static struct lutra_netns *all;
static const struct lutra_netns *current;
static int first_fd = -1; /* the namespace this process began in */

/* ---- those of processes that are gone ---- */

/* When the process started, in ticks since the machine did; 0: there is none. */
static unsigned long long start_time(pid_t pid)
{
    char *path = lutra_test_format("/proc/%d/stat", (int)pid);
    char *stat = lutra_test_read_file(path);
    char *p = stat ? strrchr(stat, ')') : NULL;
    unsigned long long time = 0;
    /* After the name: field 3 is the state, field 22 the time. */
    for (int field = 2; p && field < 22; field++) {
        p = strchr(p + 1, ' ');
    }
    if (p) {
        time = strtoull(p, NULL, 10);
    }
    free(stat);
    free(path);
    return time;
}

static int shell(const char *command)
{
    int status = system(command);
    return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* SIGKILL to what is inside, then the name goes; the namespace goes with its last process. */
static void remove_netns(const char *name)
{
    char *command = lutra_test_format("ip netns pids %s 2>/dev/null | xargs -r kill -9 2>/dev/null;"
                                      "ip netns delete %s 2>/dev/null",
                                      name, name);
    (void)shell(command);
    free(command);
}

void lutra_netns_sweep(void)
{
    DIR *dir = geteuid() == 0 ? opendir(RUN_DIR) : NULL;
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        int pid;
        unsigned long long started;
        if (sscanf(entry->d_name, "lutra-%d-%llu-", &pid, &started) == 2 &&
            start_time(pid) != started) {
            remove_netns(entry->d_name);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

/* ---- this process's own ---- */

static void remove_own(void)
{
    lutra_netns_enter(NULL);
    for (struct lutra_netns *ns = all; ns; ns = ns->next) {
        remove_netns(ns->name);
    }
}

const char *lutra_netns_missing(void)
{
    if (geteuid() != 0) {
        return "only root may make them";
    }
    if (shell("command -v ip >/dev/null && command -v nft >/dev/null") != 0) {
        return "the programs ip and nft are not installed";
    }
    char *name = lutra_test_format("lutra-%d-%llu-try", (int)getpid(), start_time(getpid()));
    char *command = lutra_test_format(
        "ip netns add %s && ip netns exec %s nft list ruleset >/dev/null", name, name);
    int status = shell(command);
    remove_netns(name);
    free(command);
    free(name);
    return status != 0 ? "the system refuses to make one with nftables in it" : NULL;
}

void lutra_netns_need(void)
{
    const char *what = lutra_netns_missing();
    if (what == NULL && access("/dev/net/tun", R_OK | W_OK) != 0) {
        what = "there is no /dev/net/tun";
    }
    if (what != NULL && getenv("LUTRA_TEST_REQUIRE_SERVERS")) {
        lutra_test_fail("no network namespaces: %s", what);
    }
    if (what != NULL) {
        cr_skip_test("no network namespaces: %s", what);
    }
}

static void begin(void)
{
    first_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (first_fd < 0) {
        lutra_test_fail("/proc/self/ns/net: %s", strerror(errno));
    }
    /* The servers that a test started are stopped by handlers that were registered later, hence
     * run earlier. */
    atexit(remove_own);
}

struct lutra_netns *lutra_netns_add(const char *name)
{
    if (first_fd < 0) {
        begin();
    }
    struct lutra_netns *ns = calloc(1, sizeof(*ns));
    if (!ns) {
        abort();
    }
    snprintf(ns->name, sizeof(ns->name), "lutra-%d-%llu-%s", (int)getpid(), start_time(getpid()),
             name);
    snprintf(ns->path, sizeof(ns->path), RUN_DIR "/%s", ns->name);
    ns->next = all;
    all = ns;
    lutra_netns_run(NULL, "ip netns add %s", ns->name);
    ns->fd = open(ns->path, O_RDONLY | O_CLOEXEC);
    if (ns->fd < 0) {
        lutra_test_fail("%s: %s", ns->path, strerror(errno));
    }
    lutra_netns_run(ns, "ip link set lo up");
    return ns;
}

struct lutra_netns *lutra_netns_add_hub(const char *name, const char *address)
{
    struct lutra_netns *hub = lutra_netns_add(name);
    snprintf(hub->address, sizeof(hub->address), "%s", address);
    lutra_netns_run(hub,
                    "echo 1 >/proc/sys/net/ipv4/ip_forward && "
                    "ip link add bridge type bridge forward_delay 0 && ip link set bridge up && "
                    "ip address add %s/24 dev bridge",
                    address);
    return hub;
}

struct lutra_netns *
lutra_netns_add_party(const char *name, struct lutra_netns *hub, const char *address)
{
    static unsigned n;
    struct lutra_netns *ns = lutra_netns_add(name);
    snprintf(ns->address, sizeof(ns->address), "%s", address);
    n++;
    lutra_netns_run(NULL, "ip link add port%u netns %s type veth peer name eth0 netns %s", n,
                    hub->name, ns->name);
    lutra_netns_run(hub, "ip link set port%u master bridge up", n);
    lutra_netns_run(ns,
                    "ip address add %s/24 dev eth0 && ip link set eth0 up && "
                    "ip route add default via %s && "
                    "nft 'table ip cut {"
                    " set dropped { type ipv4_addr; };"
                    " set refused { type ipv4_addr; };"
                    " chain in { type filter hook input priority 0;"
                    " ip saddr @dropped drop;"
                    " ip saddr @refused ip protocol tcp reject with tcp reset; }; }'",
                    address, hub->address);
    return ns;
}

void lutra_netns_enter(const struct lutra_netns *ns)
{
    if (first_fd < 0 || ns == current) {
        return;
    }
    if (setns(ns ? ns->fd : first_fd, CLONE_NEWNET) != 0) {
        lutra_test_fail("entering %s: %s", ns ? ns->name : "the first namespace", strerror(errno));
    }
    current = ns;
}

const struct lutra_netns *lutra_netns_current(void)
{
    return current;
}

void lutra_netns_run(const struct lutra_netns *ns, const char *format, ...)
{
    char *command;
    va_list args;
    va_start(args, format);
    if (vasprintf(&command, format, args) < 0) {
        abort();
    }
    va_end(args);
    const struct lutra_netns *before = current;
    lutra_netns_enter(ns);
    int status = shell(command);
    lutra_netns_enter(before);
    if (status != 0) {
        lutra_test_fail("in %s, status %d: %s", ns ? ns->name : "the first namespace", status,
                        command);
    }
    free(command);
}

/* ---- cuts ---- */

void lutra_netns_cut(const struct lutra_netns *from, const struct lutra_netns *to)
{
    lutra_netns_run(to, "nft 'add element ip cut dropped { %s }'", from->address);
}

void lutra_netns_reset(const struct lutra_netns *from, const struct lutra_netns *to)
{
    lutra_netns_run(to, "nft 'add element ip cut refused { %s }'", from->address);
}

void lutra_netns_heal(const struct lutra_netns *from, const struct lutra_netns *to)
{
    /* Adding first: deleting what is not there is an error. */
    lutra_netns_run(to,
                    "nft 'add element ip cut dropped { %s }; delete element ip cut dropped { %s };"
                    "add element ip cut refused { %s }; delete element ip cut refused { %s }'",
                    from->address, from->address, from->address, from->address);
}

void lutra_netns_heal_all(void)
{
    for (struct lutra_netns *ns = all; ns; ns = ns->next) {
        lutra_netns_run(ns, "if nft list table ip cut >/dev/null 2>&1; then "
                            "nft 'flush set ip cut dropped; flush set ip cut refused'; fi");
    }
}
