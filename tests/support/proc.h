/* Processes that a test starts. Their output goes to <test folder>/<name>.log. Whatever is still
 * there when the test's process ends, however it ends, is killed. */
#ifndef LUTRA_TEST_SUPPORT_PROC_H
#define LUTRA_TEST_SUPPORT_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct lutra_proc {
    char name[64];
    char log[256];
    pid_t pid;
    bool running; /* as far as known: lutra_proc_running looks */
    int status;   /* as of waitpid, when not running */
    struct lutra_proc *next;
};

/* argv[0] without a slash is a program of the build's bin folder. env: "NAME=value" beside the
 * test's own environment, ended by NULL; may be NULL. LUTRA_* variables of the test are not
 * inherited: they belong to tools, and a service refuses those it does not know. The log is
 * appended to. Owned by the library. */
struct lutra_proc *
lutra_proc_start(const char *name, const char *const *argv, const char *const *env);

bool lutra_proc_running(struct lutra_proc *proc);
void lutra_proc_signal(struct lutra_proc *proc, int signal);
void lutra_proc_kill9(struct lutra_proc *proc);  /* and reaps it */
void lutra_proc_freeze(struct lutra_proc *proc); /* SIGSTOP, until it stands */
void lutra_proc_thaw(struct lutra_proc *proc);   /* SIGCONT */
/* Waits for the end; ends the test when it does not come. Exit status, or 128 + signal. */
int lutra_proc_wait(struct lutra_proc *proc, uint64_t deadline_ms);
/* TERM, then lutra_proc_wait. */
int lutra_proc_terminate(struct lutra_proc *proc, uint64_t deadline_ms);

/* Number of log lines that contain the text. */
unsigned lutra_proc_log_count(const struct lutra_proc *proc, const char *text);
/* Waits until the log has a line with the text; ends the test when it does not come or the process
 * ends. */
void lutra_proc_log_await(struct lutra_proc *proc, const char *text, uint64_t deadline_ms);
/* Resident memory in KiB, now and at its highest; 0 when it is gone. */
uint64_t lutra_proc_rss_kib(const struct lutra_proc *proc);
uint64_t lutra_proc_rss_peak_kib(const struct lutra_proc *proc);

#endif
