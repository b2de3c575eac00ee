/* bus_member BROKERS GROUP TOPIC: subscribes, commits what it gets, says what happens. */
#include <signal.h>
#include <stdio.h>

#include "bus/bus_kafka.h"

static struct lutra_bus_subscription *sub;

static void on_message(const struct lutra_bus_message *message, void *arg)
{
    (void)arg;
    printf("got %d %lld\n", (int)message->partition, (long long)message->offset);
    lutra_bus_subscription_commit(sub, message->topic, message->partition, message->offset + 1);
}

static void on_assigned(const char *topic, int32_t partition, void *arg)
{
    (void)arg;
    printf("assigned %s %d\n", topic, (int)partition);
}

static void on_revoked(const char *topic, int32_t partition, void *arg)
{
    (void)arg;
    printf("revoked %s %d\n", topic, (int)partition);
}

static void on_term(int signo, void *arg)
{
    (void)signo;
    lutra_loop_stop(arg);
}

int main(int argc, char **argv)
{
    static const struct lutra_bus_subscription_handler handler = {
        .on_message = on_message, .on_assigned = on_assigned, .on_revoked = on_revoked};
    struct lutra_signal *term;
    struct lutra_error err;
    struct lutra_loop *loop;
    struct lutra_bus *bus;
    const char *topic;

    if (argc != 4) {
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    loop = lutra_loop_new();
    term = lutra_signal_new(loop, SIGTERM, on_term, loop);
    bus = lutra_bus_kafka_new(loop, "test", argv[1], "bus-member", NULL, NULL, &err);
    if (!bus) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    sub = lutra_bus_subscription_new(bus, argv[2], &handler, NULL);
    topic = argv[3];
    lutra_bus_subscription_topics(sub, &topic, 1);
    lutra_loop_run(loop);
    lutra_bus_subscription_free(sub);
    lutra_bus_free(bus);
    lutra_signal_free(term);
    lutra_loop_free(loop);
    printf("left\n");
    return 0;
}
