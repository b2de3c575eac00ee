#include "support/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/stack.h"
#include "support/test.h"

extern char **environ;

static struct lutra_proc *all;

static void kill_all(void)
{
    for (struct lutra_proc *proc = all; proc; proc = proc->next) {
        if (proc->running) {
            lutra_proc_kill9(proc);
        }
    }
}

/* The environment of a child: ours without LUTRA_*, and `extra`. Heap, for the child to keep. */
static char **child_environment(const char *const *extra)
{
    size_t n = 0, capacity = 1;
    for (char **e = environ; *e; e++) {
        capacity++;
    }
    for (const char *const *e = extra; e && *e; e++) {
        capacity++;
    }
    char **list = calloc(capacity, sizeof(*list));
    if (!list) {
        abort();
    }
    for (char **e = environ; *e; e++) {
        if (strncmp(*e, "LUTRA_", 6) != 0) {
            list[n++] = *e;
        }
    }
    for (const char *const *e = extra; e && *e; e++) {
        list[n++] = lutra_test_format("%s", *e);
    }
    return list;
}

static _Noreturn void
run_child(const char *program, const char *const *argv, char **env, int log, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    /* Dies with the test, even when that is killed. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        close_range(3, ~0u, 0);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(program, (char *const *)(uintptr_t)argv, env);
        dprintf(STDERR_FILENO, "exec %s: %s\n", program, strerror(errno));
    }
    _exit(127);
}

struct lutra_proc *
lutra_proc_start(const char *name, const char *const *argv, const char *const *env)
{
    struct lutra_proc *proc = calloc(1, sizeof(*proc));
    if (!proc) {
        abort();
    }
    snprintf(proc->name, sizeof(proc->name), "%s", name);
    snprintf(proc->log, sizeof(proc->log), "%s/%s.log", lutra_test_dir(), name);
    char *program = strchr(argv[0], '/') ? lutra_test_format("%s", argv[0])
                                         : lutra_test_format("%s/%s", lutra_test_bin(), argv[0]);
    int log = open(proc->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (access(program, X_OK) != 0 || log < 0) {
        lutra_test_fail("start %s: %s", log < 0 ? proc->log : program, strerror(errno));
    }
    if (!all) {
        atexit(kill_all);
    }
    char **environment = child_environment(env);
    pid_t parent = getpid();
    proc->pid = fork();
    if (proc->pid == 0) {
        run_child(program, argv, environment, log, parent);
    }
    for (size_t i = 0; environment[i]; i++) {
        bool ours = true;
        for (char **e = environ; *e && ours; e++) {
            ours = environment[i] != *e;
        }
        if (ours) {
            free(environment[i]);
        }
    }
    free(environment);
    free(program);
    close(log);
    if (proc->pid < 0) {
        lutra_test_fail("fork: %s", strerror(errno));
    }
    proc->running = true;
    proc->next = all;
    all = proc;
    return proc;
}

bool lutra_proc_running(struct lutra_proc *proc)
{
    if (proc->running && waitpid(proc->pid, &proc->status, WNOHANG) == proc->pid) {
        proc->running = false;
    }
    return proc->running;
}

void lutra_proc_signal(struct lutra_proc *proc, int signal)
{
    if (lutra_proc_running(proc)) {
        kill(proc->pid, signal);
    }
}

void lutra_proc_kill9(struct lutra_proc *proc)
{
    if (lutra_proc_running(proc)) {
        kill(proc->pid, SIGKILL);
        while (waitpid(proc->pid, &proc->status, 0) < 0 && errno == EINTR) {
        }
        proc->running = false;
    }
}

void lutra_proc_freeze(struct lutra_proc *proc)
{
    int status;
    if (!lutra_proc_running(proc) || kill(proc->pid, SIGSTOP) != 0 ||
        waitpid(proc->pid, &status, WUNTRACED) != proc->pid || !WIFSTOPPED(status)) {
        lutra_test_fail("%s (pid %d) cannot be stopped: it is not running", proc->name,
                        (int)proc->pid);
    }
}

void lutra_proc_thaw(struct lutra_proc *proc)
{
    lutra_proc_signal(proc, SIGCONT);
}

int lutra_proc_wait(struct lutra_proc *proc, uint64_t deadline_ms)
{
    LUTRA_WAIT_FOR(!lutra_proc_running(proc), deadline_ms);
    return WIFSIGNALED(proc->status) ? 128 + WTERMSIG(proc->status) : WEXITSTATUS(proc->status);
}

int lutra_proc_terminate(struct lutra_proc *proc, uint64_t deadline_ms)
{
    lutra_proc_signal(proc, SIGTERM);
    return lutra_proc_wait(proc, deadline_ms);
}

unsigned lutra_proc_log_count(const struct lutra_proc *proc, const char *text)
{
    FILE *file = fopen(proc->log, "re");
    if (!file) {
        return 0;
    }
    unsigned n = 0;
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0) {
        n += strstr(line, text) != NULL;
    }
    free(line);
    fclose(file);
    return n;
}

void lutra_proc_log_await(struct lutra_proc *proc, const char *text, uint64_t deadline_ms)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(deadline_ms);
    while (lutra_proc_log_count(proc, text) == 0) {
        if (lutra_test_now_ms() >= end_ms || !lutra_proc_running(proc)) {
            lutra_test_fail("%s %s without \"%s\" in its log", proc->name,
                            proc->running ? "went on" : "ended", text);
        }
        lutra_test_poll_pause();
    }
}

static uint64_t status_kib(const struct lutra_proc *proc, const char *key)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)proc->pid);
    char *text = proc->running ? lutra_test_read_file(path) : NULL;
    const char *line = text ? strstr(text, key) : NULL;
    uint64_t kib = line ? strtoull(line + strlen(key), NULL, 10) : 0;
    free(text);
    return kib;
}

uint64_t lutra_proc_rss_kib(const struct lutra_proc *proc)
{
    return status_kib(proc, "VmRSS:");
}

uint64_t lutra_proc_rss_peak_kib(const struct lutra_proc *proc)
{
    return status_kib(proc, "VmHWM:");
}
