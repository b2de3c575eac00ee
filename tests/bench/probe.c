/* lutra-probe SOURCE_SOCKET TARGET_SOCKET SCHEMA.TABLE COUNT INTERVAL_MS
 *
 * Lag as a user sees it: commits a row (an increasing id) at the source and asks the target, on
 * another connection, until the row is there. Both times are of one clock of one process: from the
 * source's answer to COMMIT to the first target read that sees the row. Asking costs about 0.1 ms
 * and is part of the figure. Prints one line. */
#include <inttypes.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEADLINE_MS 60000.0

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void pause_ms(double ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1e3)};
    t.tv_nsec = (long)((ms - (double)t.tv_sec * 1e3) * 1e6);
    (void)nanosleep(&t, NULL);
}

static MYSQL *connect_to(const char *socket_path)
{
    MYSQL *mysql = mysql_init(NULL);
    if (mysql == NULL || !mysql_real_connect(mysql, NULL, "root", NULL, NULL, 0, socket_path, 0)) {
        (void)fprintf(stderr, "lutra-probe: %s: %s\n", socket_path,
                      mysql != NULL ? mysql_error(mysql) : "out of memory");
        exit(1);
    }
    return mysql;
}

/* Number of rows of the answer; ends the program on an error. */
static unsigned long long ask(MYSQL *mysql, const char *sql)
{
    unsigned long long n = 0;
    if (mysql_query(mysql, sql) != 0) {
        (void)fprintf(stderr, "lutra-probe: %s: %s\n", sql, mysql_error(mysql));
        exit(1);
    }
    MYSQL_RES *result = mysql_store_result(mysql);
    if (result != NULL) {
        n = mysql_num_rows(result);
        mysql_free_result(result);
    }
    return n;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double probe(MYSQL *source, MYSQL *target, const char *table, int64_t id)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (%" PRId64 ")", table, id);
    (void)ask(source, sql);
    double committed = now_ms();
    (void)snprintf(sql, sizeof sql, "SELECT 1 FROM %s WHERE id = %" PRId64, table, id);
    while (ask(target, sql) == 0) {
        if (now_ms() - committed > DEADLINE_MS) {
            (void)fprintf(stderr, "lutra-probe: row %" PRId64 " is not there after %.0f s\n", id,
                          DEADLINE_MS / 1e3);
            exit(1);
        }
        pause_ms(0.2);
    }
    return now_ms() - committed;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        (void)fprintf(
            stderr,
            "usage: lutra-probe SOURCE_SOCKET TARGET_SOCKET SCHEMA.TABLE COUNT INTERVAL_MS\n");
        return 2;
    }
    size_t n = strtoul(argv[4], NULL, 10);
    double interval_ms = strtod(argv[5], NULL);
    if (n == 0 || n > 1000000) {
        (void)fprintf(stderr, "lutra-probe: COUNT is 1 to 1000000\n");
        return 2;
    }
    MYSQL *source = connect_to(argv[1]), *target = connect_to(argv[2]);
    double *lag = calloc(n, sizeof *lag);
    if (lag == NULL) {
        return 1;
    }
    int64_t id = (int64_t)time(NULL) * 1000000;
    for (size_t i = 0; i < n; i++) {
        lag[i] = probe(source, target, argv[3], id + (int64_t)i);
        if (lag[i] < interval_ms) {
            pause_ms(interval_ms - lag[i]);
        }
    }
    qsort(lag, n, sizeof *lag, order);
    printf("lag p50 %.1f ms  p99 %.1f ms  max %.1f ms  (%zu probes, source commit to visible at "
           "the target)\n",
           lag[n / 2], lag[n * 99 / 100], lag[n - 1], n);
    free(lag);
    mysql_close(source);
    mysql_close(target);
    return 0;
}
