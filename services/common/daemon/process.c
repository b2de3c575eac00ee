/* Metrics of the process itself. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/daemon_private.h"

struct lutra_process_metrics {
    struct lutra_gauge *rss, *fds, *cpu, *uptime, *longest_turn;
    uint64_t started_ms;
};

struct lutra_process_metrics *lutra_process_metrics_new(struct lutra_metrics *metrics,
                                                        const char *service)
{
    struct lutra_process_metrics *process = LUTRA_NEW(struct lutra_process_metrics);
    struct lutra_buf labels = {0};

    lutra_metrics_label(&labels, "service", service);
    lutra_metrics_label(&labels, "version", LUTRA_VERSION);
    lutra_gauge_set(lutra_metrics_gauge(metrics, "lutra_build_info", lutra_buf_cstr(&labels),
                                        "Always 1; the labels say what runs here."),
                    1);
    lutra_buf_fini(&labels);
    process->rss = lutra_metrics_gauge(metrics, "lutra_process_resident_memory_bytes", "",
                                       "Resident memory of the process.");
    process->fds =
        lutra_metrics_gauge(metrics, "lutra_process_open_fds", "", "Open file descriptors.");
    process->cpu = lutra_metrics_gauge(metrics, "lutra_process_cpu_seconds", "",
                                       "User and system time used since the start.");
    process->uptime =
        lutra_metrics_gauge(metrics, "lutra_process_uptime_seconds", "", "Time since the start.");
    process->longest_turn =
        lutra_metrics_gauge(metrics, "lutra_loop_longest_turn_seconds", "",
                            "The longest turn of the event loop in the last minute.");
    process->started_ms = lutra_clock_now_ms();
    return process;
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0, resident = 0;

    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%lu %lu", &pages, &resident) != 2) {
        resident = 0;
    }
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double n = -3; /* "." and ".." and this folder's own */

    if (dir == NULL) {
        return 0;
    }
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n;
}

void lutra_process_metrics_update(struct lutra_process_metrics *process, struct lutra_loop *loop)
{
    struct rusage usage;

    lutra_gauge_set(process->rss, resident_bytes());
    lutra_gauge_set(process->fds, open_fds());
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        lutra_gauge_set(process->cpu,
                        (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    }
    lutra_gauge_set(process->uptime, (double)(lutra_clock_now_ms() - process->started_ms) / 1e3);
    lutra_gauge_set(process->longest_turn, (double)lutra_loop_longest_turn_ms(loop) / 1e3);
}

void lutra_process_metrics_free(struct lutra_process_metrics *process)
{
    lutra_free(process);
}
