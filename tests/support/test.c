#include "support/test.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/internal.h"

static void (*on_failure)(const char *message);

void lutra_test_on_failure(void (*fn)(const char *message))
{
    on_failure = fn;
}

void lutra_test_fail(const char *format, ...)
{
    char message[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (on_failure) {
        on_failure(message);
    }
    cr_assert_fail("%s", message);
    abort(); /* cr_assert_fail does not return, but does not say so to the compiler */
}

static __attribute__((format(printf, 1, 0))) char *vformat(const char *format, va_list args)
{
    char *text;
    if (vasprintf(&text, format, args) < 0) {
        abort();
    }
    return text;
}

char *lutra_test_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = vformat(format, args);
    va_end(args);
    return text;
}

void lutra_test_measured(const char *format, ...)
{
    const char *root = getenv("LUTRA_TEST_DIR");
    va_list args;
    va_start(args, format);
    char *text = vformat(format, args);
    va_end(args);
    fprintf(stderr, "%s\n", text);
    char *path = lutra_test_format("%s/measured", root ? root : "");
    FILE *file = root ? fopen(path, "ae") : NULL;
    if (file) {
        fprintf(file, "%s\n", text);
        fclose(file);
    }
    free(path);
    free(text);
}

/* Short enough that a socket in a folder below it still fits into sun_path. */
char *lutra_test_dir_of(pid_t runner, const char *suite, const char *test)
{
    const char *root = getenv("LUTRA_TEST_DIR");
    return lutra_test_format("%s/%d-%.12s-%.30s", root ? root : "/tmp", (int)runner, suite, test);
}

const char *lutra_test_dir(void)
{
    static char *dir;
    if (!dir) {
        dir = lutra_test_dir_of(getppid(), criterion_current_test->category,
                                criterion_current_test->name);
        if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
            lutra_test_fail("mkdir %s: %s", dir, strerror(errno));
        }
    }
    return dir;
}

char *lutra_test_path(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *name = vformat(format, args);
    va_end(args);
    char *path = lutra_test_format("%s/%s", lutra_test_dir(), name);
    free(name);
    return path;
}

void lutra_test_write_file(const char *path, const char *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = strlen(content);
    if (fd < 0 || write(fd, content, len) != (ssize_t)len || close(fd) != 0) {
        lutra_test_fail("write %s: %s", path, strerror(errno));
    }
}

char *lutra_test_read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return NULL;
    }
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof(block), file)) > 0) {
        fwrite(block, 1, n, out);
    }
    fclose(out);
    fclose(file);
    return text;
}

char *lutra_test_unique(const char *prefix)
{
    static unsigned n;
    return lutra_test_format("%s-%d-%u", prefix, (int)getpid(), ++n);
}

/* Nobody listens there now, and no other test of this run was given it: the server that it was
 * for may not listen yet, or be dead for a moment. */
static bool claim_port(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is_free = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    if (!is_free) {
        return false;
    }
    const char *root = getenv("LUTRA_TEST_DIR");
    if (!root) {
        return true;
    }
    char *path = lutra_test_format("%s/port-%u", root, port);
    int claim = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    free(path);
    if (claim >= 0) {
        close(claim);
    }
    return claim >= 0;
}

uint16_t lutra_test_free_port(void)
{
    static unsigned seed;
    if (!seed) {
        seed = (unsigned)getpid() * 2654435761u ^ (unsigned)lutra_test_now_ms();
    }
    for (int attempt = 0; attempt < 1000; attempt++) {
        uint16_t port = (uint16_t)(10240 + rand_r(&seed) % 20480);
        if (claim_port(port)) {
            return port;
        }
    }
    lutra_test_fail("no free TCP port found");
}

uint64_t lutra_test_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t lutra_test_scaled_ms(uint64_t deadline_ms)
{
    const char *scale = getenv("LUTRA_TEST_TIMEOUT_SCALE");
    double factor = scale ? strtod(scale, NULL) : 1;
    return factor > 0 ? (uint64_t)((double)deadline_ms * factor) : deadline_ms;
}

void lutra_test_poll_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

bool lutra_test_wait_until(bool (*cond)(void *arg), void *arg, uint64_t deadline_ms)
{
    uint64_t end_ms = lutra_test_now_ms() + lutra_test_scaled_ms(deadline_ms);
    while (!cond(arg)) {
        if (lutra_test_now_ms() >= end_ms) {
            return false;
        }
        lutra_test_poll_pause();
    }
    return true;
}
