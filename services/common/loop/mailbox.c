/* DESIGN: any thread appends to `posted` under the lock and wakes the loop when the list was empty.
 * The loop takes the whole list at once into `taken`, its own, and delivers from there; what the
 * budget leaves is continued by a task. Since posts wake only on empty -> non-empty, `posted` is
 * never left non-empty without a wake-up on its way: it is emptied whole. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "loop/loop_private.h"
#include "loop/worker.h"

/* Simulated: one, so that other tasks come between as they would between threads. */
enum { BUDGET = 64, SIM_BUDGET = 1 };

struct letter {
    struct letter *next;
    void *item;
};

struct letters {
    struct letter *first, **end;
};

struct lutra_mailbox {
    uint32_t magic;
    struct lutra_loop *loop;
    void (*fn)(void *item, void *arg);
    void *arg;
    struct lutra_task *task;
    struct lutra_io *io; /* real loops only, likewise eventfd */
    int eventfd;
    struct letters taken;
    bool *freed; /* told to the delivery that is under way */
    pthread_mutex_t lock;
    struct letters posted; /* @locks lock */
};

static void letters_init(struct letters *letters)
{
    letters->first = NULL;
    letters->end = &letters->first;
}

/* Moves all of `posted` behind `taken`. */
static void take_posted(struct lutra_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->posted.first) {
        *mailbox->taken.end = mailbox->posted.first;
        mailbox->taken.end = mailbox->posted.end;
        letters_init(&mailbox->posted);
    }
    pthread_mutex_unlock(&mailbox->lock);
}

/* The next item of `taken` into *item; false: none. */
static bool next_item(struct lutra_mailbox *mailbox, void **item)
{
    struct letter *letter = mailbox->taken.first;

    if (!letter) {
        return false;
    }
    mailbox->taken.first = letter->next;
    if (!letter->next) {
        mailbox->taken.end = &mailbox->taken.first;
    }
    *item = letter->item;
    lutra_free(letter);
    return true;
}

static void deliver(struct lutra_mailbox *mailbox)
{
    unsigned budget = mailbox->io ? BUDGET : SIM_BUDGET;
    bool freed = false;
    void *item;

    take_posted(mailbox);
    mailbox->freed = &freed;
    while (budget-- > 0 && next_item(mailbox, &item)) {
        mailbox->fn(item, mailbox->arg);
        if (freed) {
            return;
        }
    }
    mailbox->freed = NULL;
    if (mailbox->taken.first) {
        lutra_task_schedule(mailbox->task);
    }
}

static void on_task_cb(void *arg)
{
    struct lutra_mailbox *mailbox = arg;

    LUTRA_ASSERT(mailbox->magic == LUTRA_MAILBOX_MAGIC);
    deliver(mailbox);
}

static void on_eventfd_cb(unsigned events, void *arg)
{
    struct lutra_mailbox *mailbox = arg;
    uint64_t count;

    (void)events;
    LUTRA_ASSERT(mailbox->magic == LUTRA_MAILBOX_MAGIC);
    /* Before the list is taken: a post after this writes again. */
    if (read(mailbox->eventfd, &count, sizeof(count)) < 0) {
        LUTRA_ASSERT(errno == EAGAIN || errno == EINTR);
    }
    deliver(mailbox);
}

struct lutra_mailbox *lutra_mailbox_open(struct lutra_loop *loop,
                                         void (*fn)(void *item, void *arg),
                                         void *arg,
                                         struct lutra_error *err)
{
    int fd = loop->sim ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct lutra_mailbox *mailbox;

    if (!loop->sim && fd < 0) {
        lutra_error_set(err, LUTRA_RETRY, errno, "no eventfd: %s", strerror(errno));
        return NULL;
    }
    mailbox = LUTRA_NEW(struct lutra_mailbox);
    mailbox->magic = LUTRA_MAILBOX_MAGIC;
    mailbox->loop = loop;
    mailbox->fn = fn;
    mailbox->arg = arg;
    letters_init(&mailbox->taken);
    letters_init(&mailbox->posted);
    LUTRA_ASSERT(pthread_mutex_init(&mailbox->lock, NULL) == 0);
    mailbox->task = lutra_task_new(loop, on_task_cb, mailbox);
    mailbox->eventfd = fd;
    if (fd >= 0) {
        mailbox->io = lutra_io_new(loop, mailbox->eventfd, on_eventfd_cb, mailbox);
        lutra_io_want(mailbox->io, LUTRA_IO_READ);
    }
    return mailbox;
}

struct lutra_mailbox *
lutra_mailbox_new(struct lutra_loop *loop, void (*fn)(void *item, void *arg), void *arg)
{
    struct lutra_mailbox *mailbox = lutra_mailbox_open(loop, fn, arg, NULL);

    LUTRA_ASSERT(mailbox);
    return mailbox;
}

void lutra_mailbox_close(struct lutra_mailbox *mailbox,
                         void (*drop)(void *item, void *arg),
                         void *arg)
{
    void *item;

    LUTRA_ASSERT(mailbox->magic == LUTRA_MAILBOX_MAGIC);
    if (mailbox->freed) {
        *mailbox->freed = true;
    }
    take_posted(mailbox);
    while (next_item(mailbox, &item)) {
        drop(item, arg);
    }
    lutra_task_free(mailbox->task);
    if (mailbox->io) {
        lutra_io_free(mailbox->io);
        close(mailbox->eventfd);
    }
    pthread_mutex_destroy(&mailbox->lock);
    mailbox->magic = 0;
    lutra_free(mailbox);
}

static void drop_item(void *item, void *arg)
{
    void (**drop)(void *item) = arg;

    if (*drop) {
        (*drop)(item);
    }
}

void lutra_mailbox_free(struct lutra_mailbox *mailbox, void (*drop)(void *item))
{
    if (mailbox) {
        lutra_mailbox_close(mailbox, drop_item, &drop);
    }
}

void lutra_mailbox_post(struct lutra_mailbox *mailbox, void *item)
{
    struct letter *letter = LUTRA_NEW(struct letter);
    const uint64_t one = 1;
    bool was_empty;

    letter->item = item;
    pthread_mutex_lock(&mailbox->lock);
    was_empty = mailbox->posted.first == NULL;
    *mailbox->posted.end = letter;
    mailbox->posted.end = &letter->next;
    if (was_empty && mailbox->io) {
        /* Under the lock: after it the loop may have delivered the letter and freed the mailbox. A
         * full counter (EAGAIN) is a wake-up as well. */
        while (write(mailbox->eventfd, &one, sizeof(one)) < 0 && errno == EINTR) {
        }
    }
    if (!mailbox->io) {
        lutra_task_schedule(mailbox->task); /* simulated: one thread */
    }
    pthread_mutex_unlock(&mailbox->lock);
}
