/* A Kafka bus without a broker: opening it in a process that lacks what it needs, and a producer
 * that fails for good. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/fault.h"
#include "bus/bus_kafka.h"
#include "bus/bus_kafka_impl.h"

static struct lutra_loop *loop;

static struct lutra_bus *open_bus(struct lutra_error *err)
{
    return lutra_bus_kafka_new(loop, "far", "127.0.0.1:1", "test", NULL, NULL, err);
}

static void expect_opens(void)
{
    struct lutra_error err = {0};
    struct lutra_bus *bus = open_bus(&err);
    cr_assert_not_null(bus, "%s", err.msg);
    lutra_bus_free(bus);
}

static void setup(void)
{
    loop = lutra_loop_new();
}

static void teardown(void)
{
    lutra_loop_free(loop);
}

TestSuite(bus_open, .init = setup, .fini = teardown);

/* Stacks of every thread that is started with this size: all of the address space. */
static void set_stack_size(size_t bytes)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    cr_assert_eq(pthread_attr_setstacksize(&attr, bytes), 0);
    cr_assert_eq(pthread_setattr_default_np(&attr), 0);
    pthread_attr_destroy(&attr);
}

Test(bus_open, without_a_thread_to_be_had_is_passing)
{
    struct lutra_error err = {0};
    set_stack_size((size_t)1 << 47);
    cr_assert_null(open_bus(&err));
    cr_assert_eq(err.class, LUTRA_RETRY, "%s: %s", lutra_error_class_name(err.class), err.msg);
    set_stack_size((size_t)8 << 20);
    expect_opens();
}

/* librdkafka's own threads, which come after ours. */
Test(bus_open, a_handle_without_threads_is_passing)
{
    char brokers[] = "127.0.0.1:1", client_id[] = "test";
    struct kafka_bus bus = {.brokers = brokers, .client_id = client_id};
    struct lutra_error err = {0};
    set_stack_size((size_t)1 << 47);
    cr_assert_null(kafka_handle_new(&bus, KAFKA_PRODUCER, NULL, &err));
    cr_assert_eq(err.class, LUTRA_RETRY, "%s: %s", lutra_error_class_name(err.class), err.msg);
    set_stack_size((size_t)8 << 20);
    rd_kafka_t *rk = kafka_handle_new(&bus, KAFKA_PRODUCER, NULL, &err);
    cr_assert_not_null(rk, "%s", err.msg);
    rd_kafka_destroy(rk);
}

/* The descriptor that the next one opened will get. */
static rlim_t next_descriptor(void)
{
    DIR *dir = opendir("/proc/self/fd");
    cr_assert_not_null(dir);
    rlim_t fd = (rlim_t)dirfd(dir);
    closedir(dir);
    return fd;
}

Test(bus_open, without_a_descriptor_to_be_had_is_passing)
{
    struct rlimit all, few;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
    /* None, one, two: whatever it is that is opened last. */
    for (rlim_t more = 0; more < 2; more++) {
        struct lutra_error err = {0};
        few = (struct rlimit){.rlim_cur = next_descriptor() + more, .rlim_max = all.rlim_max};
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        struct lutra_bus *bus = open_bus(&err);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
        cr_assert_null(bus);
        cr_assert_eq(err.class, LUTRA_RETRY, "%s: %s", lutra_error_class_name(err.class), err.msg);
    }
    expect_opens();
}

static bool is_warned(void *bus)
{
    return lutra_bus_warning(bus)[0] != '\0';
}

Test(bus_open, a_producer_that_failed_for_good_is_told)
{
    const struct lutra_bus_record record = {
        .topic = "t", .key = "1", .payload = "x", .payload_len = 1};
    struct lutra_error err = {0};
    struct lutra_bus *bus = open_bus(&err);
    cr_assert_not_null(bus, "%s", err.msg);
    cr_assert_str_eq(lutra_bus_warning(bus), "");
    lutra_fault_arm("bus.producer_fatal=error");
    cr_assert_neq(lutra_bus_publish(bus, &record, NULL, NULL, &err), 0);
    cr_assert(lutra_loop_run_until(loop, is_warned, bus, 10000));
    const char *warning = lutra_bus_warning(bus);
    cr_assert_not_null(strstr(warning, "producer of bus far failed for good and was replaced, 1"),
                       "%s", warning);
    cr_assert_not_null(strstr(warning, "fault bus.producer_fatal"), "%s", warning);
    lutra_fault_arm(NULL);
    lutra_bus_free(bus);
}
