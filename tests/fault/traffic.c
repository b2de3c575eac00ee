#include "traffic.h"

#include <inttypes.h>
#include <mysql.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cluster.h"
#include "support/sql.h"
#include "support/test.h"

enum {
    WRITERS = 2,
    ACCOUNTS = 32,
    BALANCE = 1000,
    SLOTS = 4,
    WRITE_MS = 15,
    READ_MS = 10,
    CALM_MS = 1000,
    CALM_WRITE_MS = 150
};

struct traffic {
    struct cluster *c;
    uint64_t seed;
    pthread_t writers[WRITERS], reader;
    atomic_bool stop, pause;
    atomic_uint paused;
    atomic_uint_fast64_t written, read, newest_ms, moved_ms;
    pthread_mutex_t lock;
    uint64_t watch_ms, watched_ms; /* @locks lock */
    char findings[N_SEEN][256];    /* @locks lock */
    /* The reader's: what the snapshot before showed. */
    int64_t versions[ACCOUNTS];
    uint64_t fences[SLOTS], units[SLOTS], process_id;
};

const char *const traffic_table_names[] = {"accounts", "bag", "totals", "blocks", "beat", NULL};

void traffic_tables(struct cluster *c)
{
    cluster_both(c, "CREATE TABLE accounts (id INT PRIMARY KEY, balance BIGINT, v BIGINT);"
                    "CREATE TABLE bag (w INT, b VARCHAR(20));"
                    "CREATE TABLE totals (w INT PRIMARY KEY, n BIGINT);"
                    "CREATE TABLE blocks (id BIGINT AUTO_INCREMENT PRIMARY KEY, w INT, x INT);"
                    "CREATE TABLE beat (id INT PRIMARY KEY, at_ms BIGINT)");
    cluster_both(c,
                 "INSERT INTO accounts SELECT seq, %d, 0 FROM seq_1_to_%d;"
                 "INSERT INTO totals SELECT seq, 0 FROM seq_1_to_%d;"
                 "INSERT INTO beat SELECT seq, 0 FROM seq_1_to_%d",
                 BALANCE, ACCOUNTS, WRITERS, WRITERS);
}

static void rest_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}

/* ---- writers ---- */

struct writer {
    struct traffic *t;
    struct lutra_sql *sql;
    unsigned w, seed;
    uint64_t n;
};

static unsigned transfer(struct writer *x)
{
    unsigned a = (unsigned)rand_r(&x->seed) % ACCOUNTS + 1;
    unsigned b = (a + (unsigned)rand_r(&x->seed) % (ACCOUNTS - 1)) % ACCOUNTS + 1;
    int amount = (int)((unsigned)rand_r(&x->seed) % 100) * (a < b ? 1 : -1);
    unsigned low = a < b ? a : b, high = a < b ? b : a; /* so that two writers never deadlock */
    bool shrink = x->n % 10 == 9;
    char bag[128];
    snprintf(bag, sizeof bag,
             shrink ? "DELETE FROM bag WHERE w = %u LIMIT 16"
                    : "INSERT INTO bag VALUES (%u, 'same'), (%u, 'same')",
             x->w, x->w);
    return lutra_sql_try(x->sql,
                         "BEGIN;"
                         "UPDATE accounts SET balance = balance - %d, v = v + 1 WHERE id = %u;"
                         "UPDATE accounts SET balance = balance + %d, v = v + 1 WHERE id = %u;"
                         "%s; UPDATE totals SET n = n + %d WHERE w = %u;"
                         "UPDATE beat SET at_ms = %" PRIu64 " WHERE id = %u; COMMIT",
                         amount, low, amount, high, bag, shrink ? -16 : 2, x->w,
                         lutra_test_now_ms(), x->w);
}

static unsigned block(struct writer *x)
{
    return x->n % 50 == 49
               ? lutra_sql_try(x->sql, "DELETE FROM blocks WHERE w = %u ORDER BY id LIMIT %d", x->w,
                               TRAFFIC_BLOCK)
               : lutra_sql_try(x->sql, "INSERT INTO blocks (w, x) SELECT %u, seq FROM seq_1_to_%d",
                               x->w, TRAFFIC_BLOCK);
}

static void *write_all(void *arg)
{
    struct writer x = *(struct writer *)arg;
    struct traffic *t = x.t;
    free(arg);
    while (!atomic_load(&t->stop)) {
        if (atomic_load(&t->pause)) {
            atomic_fetch_add(&t->paused, 1);
            while (atomic_load(&t->pause) && !atomic_load(&t->stop)) {
                rest_ms(2);
            }
            atomic_fetch_sub(&t->paused, 1);
            continue;
        }
        unsigned failed = x.n % 25 == 24 ? block(&x) : transfer(&x);
        if (failed) {
            lutra_sql_try(x.sql, "ROLLBACK");
        } else {
            atomic_fetch_add(&t->written, 1);
        }
        x.n++;
        /* What counts is when rows come again, not how fast a machine works off a backlog. */
        bool behind = lutra_test_now_ms() - atomic_load(&t->newest_ms) > CALM_MS;
        rest_ms(behind ? CALM_WRITE_MS : WRITE_MS);
    }
    lutra_sql_close(x.sql);
    return NULL;
}

void traffic_pause(struct traffic *t)
{
    atomic_store(&t->pause, true);
    LUTRA_WAIT_FOR(atomic_load(&t->paused) == WRITERS, 20000);
}

void traffic_resume(struct traffic *t)
{
    atomic_store(&t->pause, false);
    LUTRA_WAIT_FOR(atomic_load(&t->paused) == 0, 20000);
}

/* ---- the reader ---- */

static __attribute__((format(printf, 3, 4))) void
found(struct traffic *t, enum traffic_check check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&t->lock);
    if (t->findings[check][0] == '\0') {
        vsnprintf(t->findings[check], sizeof t->findings[check], format, args);
    }
    pthread_mutex_unlock(&t->lock);
    va_end(args);
}

static MYSQL_RES *query(struct traffic *t, MYSQL *mysql, const char *text)
{
    MYSQL_RES *result = mysql_query(mysql, text) == 0 ? mysql_store_result(mysql) : NULL;
    if (result == NULL) {
        found(t, SEEN_UNREADABLE, "%s: %s", text, mysql_error(mysql));
    }
    return result;
}

static int64_t number(const char *text)
{
    return text != NULL ? strtoll(text, NULL, 10) : -1;
}

static void look_at_accounts(struct traffic *t, MYSQL *mysql)
{
    MYSQL_RES *result = query(t, mysql, "SELECT id, balance, v FROM accounts");
    MYSQL_ROW row;
    int64_t sum = 0;
    unsigned n = 0;
    while (result != NULL && (row = mysql_fetch_row(result)) != NULL) {
        int64_t id = number(row[0]), v = number(row[2]);
        sum += number(row[1]);
        n++;
        if (id < 1 || id > ACCOUNTS) {
            continue;
        }
        if (v < t->versions[id - 1]) {
            found(t, SEEN_ORDER, "account %" PRId64 ": version %" PRId64 " after %" PRId64, id, v,
                  t->versions[id - 1]);
        }
        t->versions[id - 1] = v;
    }
    if (result != NULL && (n != ACCOUNTS || sum != (int64_t)ACCOUNTS * BALANCE)) {
        found(t, SEEN_TORN, "%u accounts hold %" PRId64 ", not %d", n, sum, ACCOUNTS * BALANCE);
    }
    mysql_free_result(result);
}

static void look_at_bags(struct traffic *t, MYSQL *mysql)
{
    MYSQL_RES *result =
        query(t, mysql,
              "SELECT w, n, (SELECT COUNT(*) FROM bag WHERE bag.w = totals.w),"
              " (SELECT COUNT(*) FROM blocks WHERE blocks.w = totals.w) FROM totals");
    MYSQL_ROW row;
    while (result != NULL && (row = mysql_fetch_row(result)) != NULL) {
        if (number(row[1]) != number(row[2])) {
            found(t, SEEN_DOUBLE, "writer %s made %s rows without a key, %s are there", row[0],
                  row[1], row[2]);
        }
        if (number(row[3]) % TRAFFIC_BLOCK != 0) {
            found(t, SEEN_TORN, "%s rows of blocks of %d", row[3], TRAFFIC_BLOCK);
        }
    }
    mysql_free_result(result);
}

static void look_at_slots(struct traffic *t, MYSQL *mysql)
{
    char text[256];
    snprintf(text, sizeof text,
             "SELECT slot, fence, unit, process_id FROM lutra.checkpoint WHERE pipeline = '%s'"
             " ORDER BY slot",
             t->c->name);
    MYSQL_RES *result = query(t, mysql, text);
    MYSQL_ROW row;
    uint64_t newest = 0, first_fence = 0;
    while (result != NULL && (row = mysql_fetch_row(result)) != NULL) {
        uint64_t slot = (uint64_t)number(row[0]), fence = (uint64_t)number(row[1]);
        uint64_t unit = (uint64_t)number(row[2]), process_id = (uint64_t)number(row[3]);
        if (slot >= SLOTS) {
            continue;
        }
        if (slot == 0) {
            first_fence = fence;
        }
        if (fence < t->fences[slot] || fence != first_fence) {
            found(t, SEEN_FENCE,
                  "slot %" PRIu64 ": fence %" PRIu64 " after %" PRIu64 ", slot 0 has %" PRIu64,
                  slot, fence, t->fences[slot], first_fence);
        }
        if (unit < t->units[slot]) {
            found(t, SEEN_FENCE, "slot %" PRIu64 ": unit %" PRIu64 " after %" PRIu64, slot, unit,
                  t->units[slot]);
        }
        t->fences[slot] = fence;
        t->units[slot] = unit;
        newest = process_id > newest ? process_id : newest;
    }
    if (result != NULL && newest < t->process_id) {
        found(t, SEEN_PREFIX, "confirmed %" PRIu64 " after %" PRIu64, newest, t->process_id);
    }
    t->process_id = newest;
    mysql_free_result(result);
}

static void look_at_beat(struct traffic *t, MYSQL *mysql)
{
    MYSQL_RES *result = query(t, mysql, "SELECT MAX(at_ms) FROM beat");
    MYSQL_ROW row = result != NULL ? mysql_fetch_row(result) : NULL;
    uint64_t newest_ms = row != NULL ? (uint64_t)number(row[0]) : 0, now_ms = lutra_test_now_ms();
    if (newest_ms > atomic_load(&t->newest_ms)) {
        atomic_store(&t->newest_ms, newest_ms);
        atomic_store(&t->moved_ms, now_ms);
    }
    pthread_mutex_lock(&t->lock);
    if (t->watched_ms == 0 && newest_ms >= t->watch_ms) {
        t->watched_ms = now_ms;
    }
    pthread_mutex_unlock(&t->lock);
    mysql_free_result(result);
}

static void *read_all(void *arg)
{
    struct traffic *t = arg;
    MYSQL mysql;
    char use[128];
    mysql_init(&mysql);
    if (!mysql_real_connect(&mysql, NULL, "root", NULL, NULL, 0, t->c->target_server.socket, 0)) {
        found(t, SEEN_UNREADABLE, "%s", mysql_error(&mysql));
    }
    snprintf(use, sizeof use, "USE `%s`", t->c->name);
    mysql_free_result(mysql_query(&mysql, use) == 0 ? mysql_store_result(&mysql) : NULL);
    while (!atomic_load(&t->stop)) {
        if (mysql_query(&mysql, "START TRANSACTION WITH CONSISTENT SNAPSHOT") != 0) {
            found(t, SEEN_UNREADABLE, "%s", mysql_error(&mysql));
        }
        look_at_accounts(t, &mysql);
        look_at_bags(t, &mysql);
        look_at_slots(t, &mysql);
        look_at_beat(t, &mysql);
        mysql_query(&mysql, "COMMIT");
        atomic_fetch_add(&t->read, 1);
        rest_ms(READ_MS);
    }
    mysql_close(&mysql);
    mysql_thread_end();
    return NULL;
}

/* ---- for the test ---- */

struct traffic *traffic_start(struct cluster *c, uint64_t seed)
{
    struct traffic *t = calloc(1, sizeof *t);
    if (t == NULL) {
        abort();
    }
    t->c = c;
    t->seed = seed;
    pthread_mutex_init(&t->lock, NULL);
    atomic_store(&t->moved_ms, lutra_test_now_ms());
    for (unsigned i = 0; i < WRITERS; i++) {
        struct writer *x = calloc(1, sizeof *x);
        if (x == NULL) {
            abort();
        }
        *x = (struct writer){.t = t, .w = i + 1, .seed = (unsigned)(seed * 31 + i)};
        x->sql = lutra_sql_open(c->source_server.socket);
        lutra_sql_exec(x->sql, "USE `%s`", c->name);
        pthread_create(&t->writers[i], NULL, write_all, x);
    }
    pthread_create(&t->reader, NULL, read_all, t);
    return t;
}

void traffic_stop(struct traffic *t)
{
    atomic_store(&t->stop, true);
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(t->writers[i], NULL);
    }
    pthread_join(t->reader, NULL);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

uint64_t traffic_newest_ms(struct traffic *t)
{
    return atomic_load(&t->newest_ms);
}

uint64_t traffic_moved_ms(struct traffic *t)
{
    return atomic_load(&t->moved_ms);
}

void traffic_watch(struct traffic *t, uint64_t since_ms)
{
    pthread_mutex_lock(&t->lock);
    t->watch_ms = since_ms;
    t->watched_ms = 0;
    pthread_mutex_unlock(&t->lock);
}

uint64_t traffic_watched_ms(struct traffic *t)
{
    pthread_mutex_lock(&t->lock);
    uint64_t ms = t->watched_ms;
    pthread_mutex_unlock(&t->lock);
    return ms;
}

bool traffic_findings(struct traffic *t, char findings[N_SEEN][256])
{
    bool well = true;
    pthread_mutex_lock(&t->lock);
    memcpy(findings, t->findings, sizeof t->findings);
    memset(t->findings, 0, sizeof t->findings);
    pthread_mutex_unlock(&t->lock);
    for (int i = 0; i < N_SEEN; i++) {
        well = well && findings[i][0] == '\0';
    }
    return well;
}

void traffic_counts(struct traffic *t, uint64_t *written, uint64_t *read)
{
    *written = atomic_load(&t->written);
    *read = atomic_load(&t->read);
}
