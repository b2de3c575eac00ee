#include "catalog/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/worker.h"

enum { MAX_FILE_BYTES = 2 << 20 };
static const char SUFFIX[] = ".channel";
static const char HEAD[] = "lutra-channel-cache 1 ";

struct lutra_cache {
    struct lutra_loop *loop;
    char *dir;
    struct lutra_worker *worker;
};

/* One file to write, or to remove. */
struct cache_job {
    struct lutra_job job; /* first */
    char *dir, *name;
    struct lutra_buf text; /* empty: remove */
    bool ran;
    struct lutra_error err;
};

static void make_folders(const char *dir)
{
    LUTRA_AUTO_FREE char *path = lutra_strdup(dir);

    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    if (mkdir(path, 0750) != 0 && errno != EEXIST) {
        LUTRA_ERROR("catalog.cache_failed", LUTRA_F_STR("path", dir),
                    LUTRA_F_STR("error", strerror(errno)));
    }
}

struct lutra_cache *lutra_cache_new(struct lutra_loop *loop, const char *dir)
{
    struct lutra_cache *cache = LUTRA_NEW(struct lutra_cache);

    cache->loop = loop;
    cache->dir = lutra_strdup(dir);
    make_folders(dir);
    cache->worker = lutra_worker_new(loop, "catalog", NULL, NULL, NULL);
    return cache;
}

/* --- writing --- */

static int fail(struct cache_job *job, const char *what)
{
    return lutra_error_set(&job->err, LUTRA_RETRY, errno, "%s/%s: %s: %s", job->dir, job->name,
                           what, strerror(errno));
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_file(struct cache_job *job, int dir)
{
    LUTRA_AUTO_FREE char *temporary = lutra_asprintf(".%s.new", job->name);
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool written;

    if (fd < 0) {
        return fail(job, "create");
    }
    written = write_all(fd, job->text.data, job->text.len) == 0 && fsync(fd) == 0;
    if (close(fd) != 0 || !written) {
        (void)fail(job, "write");
        (void)unlinkat(dir, temporary, 0);
        return -1;
    }
    if (renameat(dir, temporary, dir, job->name) != 0) {
        return fail(job, "rename");
    }
    return 0;
}

static void run_job(struct lutra_job *base, void *worker_state)
{
    struct cache_job *job = (struct cache_job *)base;
    int dir = open(job->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)worker_state;
    job->ran = true;
    if (dir < 0) {
        (void)fail(job, "open the folder");
        return;
    }
    if (job->text.len > 0) {
        (void)write_file(job, dir);
    } else if (unlinkat(dir, job->name, 0) != 0 && errno != ENOENT) {
        (void)fail(job, "remove");
    }
    if (fsync(dir) != 0 && job->err.class == LUTRA_OK) {
        (void)fail(job, "fsync the folder");
    }
    (void)close(dir);
}

static void end_job(struct lutra_job *base)
{
    struct cache_job *job = (struct cache_job *)base;

    if (job->err.class != LUTRA_OK) {
        LUTRA_WARN("catalog.cache_failed", LUTRA_F_ERR(&job->err));
    }
    lutra_buf_fini(&job->text);
    lutra_free(job->dir);
    lutra_free(job->name);
    lutra_free(job);
}

static void finish_job(struct lutra_job *base)
{
    struct cache_job *job = (struct cache_job *)base;

    if (!job->ran) {
        run_job(base, NULL);
    }
    end_job(base);
}

static struct cache_job *new_job(const struct lutra_cache *cache, const char *channel)
{
    struct cache_job *job = LUTRA_NEW(struct cache_job);

    job->job.run = run_job;
    job->job.done = end_job;
    job->dir = lutra_strdup(cache->dir);
    job->name = lutra_asprintf("%s%s", channel, SUFFIX);
    return job;
}

void lutra_cache_write(struct lutra_cache *cache,
                       const struct lutra_channel *channel,
                       const struct lutra_cache_stamp *stamp)
{
    struct cache_job *job = new_job(cache, channel->name);

    lutra_buf_printf(&job->text, "%s%" PRId64 " %" PRId64 " %" PRId64 "\n", HEAD, stamp->czxid,
                     stamp->ctime_ms, stamp->pzxid);
    lutra_channel_to_json(channel, &job->text);
    lutra_buf_append(&job->text, "\n", 1);
    lutra_worker_submit(cache->worker, &job->job);
}

void lutra_cache_remove(struct lutra_cache *cache, const char *channel)
{
    struct cache_job *job = new_job(cache, channel);

    lutra_worker_submit(cache->worker, &job->job);
}

void lutra_cache_free(struct lutra_cache *cache)
{
    if (cache) {
        lutra_worker_free(cache->worker, finish_job);
        lutra_free(cache->dir);
        lutra_free(cache);
    }
}

/* --- reading --- */

static int read_file(const char *path, struct lutra_buf *out, struct lutra_error *err)
{
    FILE *file = fopen(path, "re");
    char block[4096];
    size_t n;
    int rc = 0;

    if (!file) {
        return lutra_error_set(err, LUTRA_DATA, errno, "%s: %s", path, strerror(errno));
    }
    while ((n = fread(block, 1, sizeof(block), file)) > 0 && out->len <= MAX_FILE_BYTES) {
        lutra_buf_append(out, block, n);
    }
    if (ferror(file) || out->len > MAX_FILE_BYTES) {
        rc = lutra_error_set(err, LUTRA_DATA, 0, "%s: cannot be read, or is too large", path);
    }
    (void)fclose(file);
    return rc;
}

static struct lutra_channel *
read_channel(const char *path, struct lutra_cache_stamp *stamp, struct lutra_error *err)
{
    struct lutra_channel *channel = NULL;
    struct lutra_buf text = {0};

    if (read_file(path, &text, err) == 0) {
        const char *begin = lutra_buf_cstr(&text), *end = strchr(begin, '\n');

        if (!end || strncmp(begin, HEAD, strlen(HEAD)) != 0 ||
            sscanf(begin + strlen(HEAD), "%" SCNd64 " %" SCNd64 " %" SCNd64, &stamp->czxid,
                   &stamp->ctime_ms, &stamp->pzxid) != 3) {
            (void)lutra_error_set(err, LUTRA_DATA, 0, "%s: not a channel's cache", path);
        } else {
            end++;
            channel = lutra_channel_parse(end, text.len - (size_t)(end - begin), path, err);
        }
    }
    lutra_buf_fini(&text);
    return channel;
}

void lutra_cache_load(struct lutra_cache *cache,
                      void (*fn)(struct lutra_channel *channel,
                                 const struct lutra_cache_stamp *stamp,
                                 void *arg),
                      void *arg)
{
    DIR *dir = opendir(cache->dir);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        size_t len = strlen(entry->d_name);
        LUTRA_AUTO_FREE char *path = lutra_asprintf("%s/%s", cache->dir, entry->d_name);
        struct lutra_cache_stamp stamp = {0};
        struct lutra_channel *channel;
        struct lutra_error err = {0};

        if (entry->d_name[0] == '.' || len <= strlen(SUFFIX) ||
            strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) != 0) {
            continue;
        }
        channel = read_channel(path, &stamp, &err);
        if (channel && (strlen(channel->name) != len - strlen(SUFFIX) ||
                        strncmp(channel->name, entry->d_name, len - strlen(SUFFIX)) != 0)) {
            (void)lutra_error_set(&err, LUTRA_DATA, 0, "%s: holds channel %s", path, channel->name);
            lutra_channel_free(channel);
            channel = NULL;
        }
        if (channel) {
            fn(channel, &stamp, arg);
        } else {
            LUTRA_WARN("catalog.cache_ignored", LUTRA_F_ERR(&err));
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
}
